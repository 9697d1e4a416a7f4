from tinygrad_course.autograd.base cimport new_tensor
from tinygrad_course.autograd.grad_mode cimport switch_grad

cdef _deliver(dict pending, list heap, edge, g)
cdef _accumulate(target, g, bint create_graph)
