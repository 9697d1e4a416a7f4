from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport alike
from tinygrad_course.kernels.direct cimport shape_of
from tinygrad_course.kernels.local cimport recording
