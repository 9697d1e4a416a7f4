cimport cython

from tinygrad_course.autograd.base cimport TensorBase, new_tensor
from tinygrad_course.autograd.function cimport up_to_date
from tinygrad_course.autograd.grad_mode cimport switch_grad
from tinygrad_course.autograd.node cimport Node, Output
from tinygrad_course.autograd.watch cimport Watch
from tinygrad_course.kernels.arrays cimport alike, has_shape, same_shape
from tinygrad_course.kernels.direct cimport add_into, number, shape_of
from tinygrad_course.kernels.memory cimport blank, keep

cdef object _cpu_kernels
cdef Watch watch
cdef bint _ever_queued


@cython.final
cdef class _Sum:
    cdef public TensorBase total
    cdef public bint own

    cdef add(self, TensorBase g)


@cython.final
cdef class _Pending:
    cdef public Node ahead
    cdef public _Sum gathered
    cdef public list heap
    cdef public dict sums
    cdef public dict leaves
    cdef public TensorBase leaf
    cdef public _Sum leaf_sum

    cdef deliver(self, edge, g, Node source)
    cdef push(self, Node node, TensorBase g)
    cdef Node take(self)
    cpdef list nodes(self)


cdef _Sum _new_sum(TensorBase g)
cdef _accumulate(TensorBase leaf, TensorBase g, bint create_graph)
cdef _add_to_grad(TensorBase leaf, TensorBase g, bint create_graph)
cdef _holders(TensorBase tensor)
