from tinygrad_course.autograd.function cimport apply, binary, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.ops.arithmetic cimport add, mul, sub
from tinygrad_course.ops.cast cimport floating
