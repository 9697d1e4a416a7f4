cdef int _threads_off

cpdef bint is_grad_enabled()
cpdef bint switch_grad(bint enabled)
