from tinygrad_course.autograd.function cimport binary, unary
from tinygrad_course.autograd.node cimport Node
from tinygrad_course.ops.arithmetic cimport mul, sub
from tinygrad_course.ops.cast cimport floating
