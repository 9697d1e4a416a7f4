from tinygrad_course.autograd.node cimport Node

cdef Node _unrecorded

cpdef apply(op, tuple inputs, tuple args=*)
cpdef unary(op, value)
cpdef binary(op, left, right)
