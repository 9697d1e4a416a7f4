cimport cython


@cython.final
cdef class Rule:
    cdef public object op
    cdef public object shape
    cdef public object forward
    cdef public object backward
    cdef public bint differentiable
    cdef public bint view
    cdef public int loop
    cdef public int saves
    cdef public object _own_forward

    cpdef update(self)
