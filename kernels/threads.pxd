cdef extern from "tc_omp.h" nogil:
    const bint TC_HAVE_OPENMP
    int omp_get_max_threads()
    int omp_get_num_procs()
    int omp_in_parallel()
    int omp_get_thread_num()
    int tc_flush_denormals(int on)

# Threads worth using for `work` units when `grain` units are worth one thread (about 100 us); 1 means: stay serial.
cdef int n_threads(Py_ssize_t work, Py_ssize_t grain) noexcept nogil
