cimport cython

from tinygrad_course.autograd.base cimport TensorBase, new_tensor
from tinygrad_course.autograd.function cimport up_to_date
from tinygrad_course.autograd.grad_mode cimport switch_grad
from tinygrad_course.autograd.node cimport Node, Output
from tinygrad_course.autograd.watch cimport Watch
from tinygrad_course.kernels.arrays cimport alike, has_shape, same_shape
from tinygrad_course.kernels.direct cimport add_into, number, shape_of
from tinygrad_course.kernels.memory cimport blank

cdef object _cpu_kernels
cdef Watch watch
cdef bint _ever_queued


@cython.final
cdef class _Sum:
    cdef public object total
    cdef public bint own

    cdef add(self, g)


@cython.final
cdef class _Pending:
    cdef public object ahead
    cdef public _Sum gathered
    cdef public list heap
    cdef public dict sums
    cdef public dict leaves

    cdef deliver(self, edge, g, source)
    cdef push(self, value, g)
    cdef take(self)
    cpdef list nodes(self)


cdef _new_sum(g)
cdef _accumulate(target, g, bint create_graph)
cdef _add_to_grad(target, g, bint create_graph)
