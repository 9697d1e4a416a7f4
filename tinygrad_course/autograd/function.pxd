from tinygrad_course.autograd.base cimport TensorBase, Version, new_tensor
from tinygrad_course.autograd.node cimport Node, needs_of_two, new_node, new_output, record
from tinygrad_course.autograd.rule cimport Rule
from tinygrad_course.autograd.watch cimport Watch
from tinygrad_course.kernels.arrays cimport alike, is_float
from tinygrad_course.kernels.direct cimport binary as run_binary, shape_of, unary as run_unary
from tinygrad_course.kernels.local cimport recording

cdef Node _unrecorded
cdef object _cpu_kernels
cdef Watch watch
cdef object _refresh

cpdef apply(op, tuple inputs, tuple args=*)
cpdef up_to_date(tensor)
cpdef TensorBase unary(op, value)
cpdef TensorBase binary(op, left, right)
cdef tuple _operands(Rule rule, left, right)
cdef TensorBase _looped_unary(Rule rule, TensorBase x)
cdef TensorBase _two(Rule rule, TensorBase x, TensorBase y)
cdef TensorBase _binary(Rule rule, TensorBase x, TensorBase y)
cdef tuple _tracked(tuple inputs)
cdef bint _share_an_array(list arrays)
cdef tuple _wrap_several(Node node, tuple arrays)
