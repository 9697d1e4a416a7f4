from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport has_shape, same_shape

cpdef sum_like(TensorBase g, TensorBase x)
cpdef sum_to(TensorBase x, tuple shape)
cpdef expand(x, tuple shape)
