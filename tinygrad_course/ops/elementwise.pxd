# elementwise.py is compiled as it stands: its ops are called so often that Python's own frames would cost most.
from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.autograd.function cimport apply, binary, unary
from tinygrad_course.autograd.node cimport Node
