# elementwise.py is compiled as it stands: its ops are called so often that Python's own frames would cost most.
from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply, binary, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport has_shape, same_shape

cpdef sum_like(g, x)
cpdef sum_to(x, tuple shape)
cpdef expand(x, tuple shape)
cpdef add(x, y)
cpdef sub(x, y)
cpdef mul(x, y)
cpdef neg(x)
