from tinygrad_course.autograd.base cimport TensorBase, new_tensor
from tinygrad_course.autograd.grad_mode cimport is_grad_enabled
from tinygrad_course.autograd.node cimport Node, Output, new_node
from tinygrad_course.kernels.arrays cimport alike

cdef Node _unrecorded
cdef object _cpu_kernels

cpdef apply(op, tuple inputs, tuple args=*)
cpdef unary(op, value)
cpdef binary(op, left, right)
