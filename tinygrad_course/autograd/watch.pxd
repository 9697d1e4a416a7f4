cimport cython


@cython.final
cdef class Watch:
    cdef public object watcher


