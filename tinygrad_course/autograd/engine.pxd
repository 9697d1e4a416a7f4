from tinygrad_course.autograd.base cimport TensorBase, new_tensor
from tinygrad_course.autograd.function cimport up_to_date
from tinygrad_course.autograd.grad_mode cimport switch_grad
from tinygrad_course.autograd.node cimport Node, Output
from tinygrad_course.autograd.watch cimport Watch
from tinygrad_course.kernels.arrays cimport alike, has_shape, same_shape

cdef object _cpu_kernels
cdef Watch watch

cdef _deliver(dict pending, list heap, edge, g, source)
cdef _accumulate(target, g, bint create_graph)
cdef _add_to_grad(target, g, bint create_graph)
