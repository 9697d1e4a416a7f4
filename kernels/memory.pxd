cimport numpy as cnp

# Scratch from the pool: 64-byte aligned, readable 128 bytes beyond n; NULL if there is no memory.  Any thread, no GIL.
cdef void *tc_malloc(size_t n) noexcept nogil
cdef void tc_free(void *p) noexcept nogil

# An uninitialised C-contiguous ndarray that owns its data; from 4 KB on the data come from the pool.
cdef cnp.ndarray pool_empty(int nd, cnp.npy_intp *dims, int typenum)

# A new object of a compiled class, and the class whose dead objects wait for that (see memory.pyx).
cpdef object blank(type kind)
cpdef keep(type kind)
