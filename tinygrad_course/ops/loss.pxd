from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.kernels.arrays cimport all_between, count_classes, is_float
from tinygrad_course.kernels.direct cimport shape_of
from tinygrad_course.ops.arithmetic cimport add, div, mul, neg, sub
from tinygrad_course.ops.cast cimport cast
