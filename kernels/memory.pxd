cimport numpy as cnp

# Scratch from the pool: 64-byte aligned, readable 128 bytes beyond n; NULL if there is no memory.  Any thread, no GIL.
cdef void *tc_malloc(size_t n) noexcept nogil
cdef void tc_free(void *p) noexcept nogil

# An uninitialised C-contiguous ndarray that owns its data; from 4 KB on the data come from the pool.
cdef cnp.ndarray pool_empty(int nd, cnp.npy_intp *dims, int typenum)

# Keeps a tiny array for the next pool_empty of its shape; the caller holds the only reference and gives it up.
cpdef recycle(object array)

# A new object of a compiled class, and how its objects are made and freed (see memory.pyx).
cpdef object blank(type kind)
cpdef live_like(type kind, type base)
