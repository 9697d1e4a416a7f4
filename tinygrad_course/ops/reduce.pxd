from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.ops.arithmetic cimport div, mul, sub
from tinygrad_course.ops.broadcast cimport expand, sum_to
from tinygrad_course.ops.cast cimport cast, floating
