from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport has_shape
from tinygrad_course.ops.arithmetic cimport div
