from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply, unary
from tinygrad_course.autograd.node cimport Node

cpdef cast(x, dtype)
cpdef tuple operands(x, y)
cpdef floating(x)
