cimport cython

from tinygrad_course.autograd.base cimport TensorBase, Version, new_tensor
from tinygrad_course.autograd.rule cimport Rule
from tinygrad_course.kernels.arrays cimport fingerprint
from tinygrad_course.kernels.direct cimport shape_of
from tinygrad_course.kernels.local cimport recording, scope
from tinygrad_course.kernels.memory cimport blank, keep

cdef int OUTPUT, OPERANDS


@cython.final
cdef class _Counter:
    cdef public Py_ssize_t last


cdef _Counter _counter
cdef tuple _YES
cdef tuple _NO
cdef tuple _PAIRS


cdef class Node:
    cdef public object op
    cdef public Rule rule
    cdef public tuple needs
    cdef public tuple args
    cdef public object constants
    cdef public tuple shape
    cdef public object hooks
    cdef public object post_hooks
    cdef public object retained
    cdef public object outputs
    cdef public object scope
    cdef public object origin
    cdef public Py_ssize_t order
    cdef public bint freed
    cdef public bint closed
    cdef public bint _outputs_saved
    cdef public int count
    cdef public object _edge0
    cdef public object _edge1
    cdef public tuple _edges
    cdef public object _link0
    cdef public object _link1
    cdef public tuple _links
    cdef public tuple _inputs
    cdef public object _versions

    cpdef save(self, first, second=*, third=*, fourth=*)
    cpdef tuple load(self)
    cpdef save_all(self, arrays)
    cpdef input_shape(self, Py_ssize_t index)
    cpdef first(self)
    cpdef second(self)
    cdef bint _plain(self)
    cpdef tuple run(self, tuple gradients, bint create_graph)
    cpdef tuple pull(self, g)
    cdef _backward(self)
    cdef tuple _one_per_input(self, answer)
    cpdef narrowed(self, wanted)
    cpdef _copy_to(self, other)
    cpdef seal(self, tuple outputs)
    cpdef release(self)
    cdef _link(self, array)
    cdef _link_to_output(self, array, tuple outputs)
    cdef _check_versions(self)
    cpdef _current_versions(self)
    cdef _restore(self, link)



cpdef tuple needs_of_two(bint first, bint second)
cdef _edge(TensorBase tensor)
cpdef TensorBase without_base(TensorBase tensor)
cpdef Node new_node(op, tuple inputs, tuple args)
cpdef Node start_node(Node node, op, tuple inputs, tuple args)
cpdef record(Rule rule, TensorBase result, TensorBase x, TensorBase y)
cdef TensorBase _kept(TensorBase tensor)
cdef bint _has_counter(TensorBase tensor)
cpdef saved_output(array, Py_ssize_t index, bint shared, Version version)


@cython.final
cdef class SavedOutput:
    cdef public object array
    cdef public Py_ssize_t index
    cdef public bint shared
    cdef public Version version


cdef class Output(Node):
    cdef public Py_ssize_t index


cpdef Output new_output(Node node, Py_ssize_t index, shape)
