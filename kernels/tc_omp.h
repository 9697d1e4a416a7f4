/* OpenMP where the compiler has it, one thread where it has not: kernels include this, never <omp.h>. */
#pragma once
#ifdef _OPENMP
#include <omp.h>
#define TC_HAVE_OPENMP 1
#else
#define TC_HAVE_OPENMP 0
static inline int omp_get_max_threads(void) { return 1; }
static inline int omp_get_num_procs(void) { return 1; }
static inline int omp_in_parallel(void) { return 0; }
static inline int omp_get_thread_num(void) { return 0; }
static inline int omp_get_num_threads(void) { return 1; }
#endif

/* Denormals become zero, or are kept, in the calling thread and in the threads of its team; threads that are started later
 * inherit it from the one that starts them.  0 where the processor has no such switch that we know. */
#if defined(__x86_64__)
#include <xmmintrin.h>
static inline int tc_flush_denormals(int on, int threads) {
    const unsigned bits = 0x8040; /* FTZ: results, DAZ: operands */
    (void)threads;
#pragma omp parallel num_threads(threads)
    _mm_setcsr(on ? _mm_getcsr() | bits : _mm_getcsr() & ~bits);
    return 1;
}
#else
static inline int tc_flush_denormals(int on, int threads) {
    (void)on;
    (void)threads;
    return 0;
}
#endif
