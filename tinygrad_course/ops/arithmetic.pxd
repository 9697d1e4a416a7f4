# The modules with a .pxd are compiled as they stand: their ops are called so often that Python's own frames would cost most.
from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport binary, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.ops.broadcast cimport sum_like, sum_to
from tinygrad_course.ops.cast cimport cast, floating, operands

cpdef add(input, other, alpha=*)
cpdef sub(input, other, alpha=*)
cpdef TensorBase mul(input, other)
cpdef div(input, other, rounding_mode=*)
cpdef TensorBase neg(input)
