/* OpenMP where the compiler has it, one thread where it has not: kernels include this, never <omp.h>.
 *
 *     TC_PARALLEL(threads) { ... }                         a team of threads; serial if that is 1
 *     TC_PARALLEL_FOR(threads) for (...) { ... }           the iterations are shared out, each thread has a run of them
 *     TC_PARALLEL_FOR_WITH(threads, reduction(| : found))  the same with more clauses
 *     TC_EACH(threads, i, n, f(x, i));                     a call for every i < n; better for small work, because a region
 *                                                          of one thread takes 0.3 us, and a plain loop nothing
 *
 * All kernels start their teams with these.  A plain "#pragma omp parallel" would break the promise that the number of
 * threads cannot change a bit: a thread has a floating-point mode of its own (are denormals kept? how is rounded?), which
 * it inherits from whoever starts it, and OpenMP keeps threads for later.  After a change of the mode, by us or by any
 * other library, a waiting thread would go on in the old one.  So every team takes the mode of the thread that calls.
 */
#pragma once
#include <stddef.h>
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

/* The floating-point mode of the running thread.  tc_flush_denormals makes denormals zero, or keeps them; 0 where the
 * processor has no such switch that we know. */
#if defined(__x86_64__)
#include <xmmintrin.h>
static inline unsigned tc_get_mode(void) { return _mm_getcsr(); }
static inline int tc_set_mode(unsigned mode) {
    _mm_setcsr(mode);
    return 1;
}
static inline int tc_flush_denormals(int on) {
    const unsigned bits = 0x8040; /* FTZ: results, DAZ: operands */
    return tc_set_mode(on ? tc_get_mode() | bits : tc_get_mode() & ~bits);
}
#else
static inline unsigned tc_get_mode(void) { return 0; }
static inline int tc_set_mode(unsigned mode) {
    (void)mode;
    return 1;
}
static inline int tc_flush_denormals(int on) {
    (void)on;
    return 0;
}
#endif

/* The two loops run once: they hold a variable each, so that what follows the macro is the body of the region. */
#define TC_PRAGMA(...) _Pragma(#__VA_ARGS__)
#define TC_PARALLEL(threads)                                                               \
    for (unsigned tc_mode = tc_get_mode(), tc_first = 1; tc_first; tc_first = 0)           \
        TC_PRAGMA(omp parallel num_threads(threads) if ((threads) > 1))                    \
        for (int tc_ready = tc_set_mode(tc_mode); tc_ready; tc_ready = 0)
#define TC_PARALLEL_FOR_WITH(threads, clauses) \
    TC_PARALLEL(threads)                       \
    TC_PRAGMA(omp for schedule(static) nowait clauses)
#define TC_PARALLEL_FOR(threads) TC_PARALLEL_FOR_WITH(threads, )
#define TC_EACH(threads, i, n, call)                      \
    do {                                                  \
        if ((threads) <= 1) {                             \
            for (ptrdiff_t i = 0; i < (n); i++) call;     \
        } else {                                          \
            TC_PARALLEL_FOR(threads)                      \
            for (ptrdiff_t i = 0; i < (n); i++) call;     \
        }                                                 \
    } while (0)
