from tinygrad_course.autograd.base cimport TensorBase, new_tensor
from tinygrad_course.autograd.function cimport apply, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport is_float
from tinygrad_course.kernels.direct cimport number

cpdef cast(x, dtype)
cpdef tuple operands(x, y)
cpdef floating(x)
