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
