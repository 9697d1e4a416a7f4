cimport cython

from tinygrad_course.kernels.local cimport scope as current_scope, set_scope


@cython.final
cdef class Scope:
    cdef public object _class
    cdef public object _module
    cdef public object parent


cdef bint _all_watched


cpdef enter(module)
