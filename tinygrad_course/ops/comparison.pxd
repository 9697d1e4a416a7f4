from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply, binary, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.ops.broadcast cimport sum_to
from tinygrad_course.ops.cast cimport cast, operands
