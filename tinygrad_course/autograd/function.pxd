from tinygrad_course.autograd.base cimport TensorBase, Version, new_tensor
from tinygrad_course.autograd.grad_mode cimport is_grad_enabled
from tinygrad_course.autograd.node cimport Node, Output, new_node
from tinygrad_course.autograd.watch cimport Watch
from tinygrad_course.kernels.arrays cimport alike

cdef Node _unrecorded
cdef object _cpu_kernels
cdef tuple PAIRS
cdef Watch watch
cdef object _refresh

cpdef apply(op, tuple inputs, tuple args=*)
cpdef up_to_date(tensor)
cpdef unary(op, value)
cpdef binary(op, left, right)
