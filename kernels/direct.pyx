"""The shortest way from an op to its loop, and from a gradient to the sum it joins.

An elementwise op on small arrays costs more in look-ups (the op's forward, the kernel's name, argument parsing) than in
arithmetic.  Where an op's forward is one kernel call, the engine comes here with the number of the loop instead.  What is
not a contiguous float array, alone or with one of the same shape or a single number, gets None and takes the usual way.
The plain Python twin, which always sends to the usual way, is tinygrad_course/kernels/direct.py.
"""

cimport cython
cimport numpy as cnp
from libc.stddef cimport ptrdiff_t

from tinygrad_course.kernels.arrays cimport same_dims, size_of
from tinygrad_course.kernels.door cimport chosen_level
from tinygrad_course.kernels.elementwise cimport loop_binary, loop_unary
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

from tinygrad_course.kernels.elementwise import LOOPS

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CheckExact(object array)
    bint PyArray_ISCARRAY_RO(cnp.ndarray)

cdef extern from "accumulate.h" nogil:
    ctypedef void (*tc_accumulate_fn)(char *total, const char *g, ptrdiff_t n) noexcept nogil
    const tc_accumulate_fn tc_accumulate[2][3]
    void tc_accumulate_all(tc_accumulate_fn add, char *total, const char *g, ptrdiff_t n, ptrdiff_t item, int threads)

cdef enum:
    GRAIN = 131072     # elements that are worth a thread
    SLOTS = 64         # shapes that are remembered, a power of two
    MOST_AXES = 6

cdef struct KnownShape:
    int nd
    Py_ssize_t dims[MOST_AXES]

cdef KnownShape _known[SLOTS]
cdef list _shapes = [()] * SLOTS   # all are () to begin with, and so are the dims in _known
cdef int _last = 0                 # the one that was asked for last
cdef bint _enabled = True
cdef int _level = chosen_level()


def enable(bint flag):
    """Whether the loops may be reached this way: not while the reference kernels are to run."""
    global _enabled
    _enabled = flag


def loop_number(str kernel):
    """The number of a kernel's loop, -1 if it has none."""
    return LOOPS.get(kernel, -1)


cpdef object unary(int loop, object a):
    """The loop on an array, or None if it has to take the usual way."""
    if not _enabled or not PyArray_CheckExact(a):
        return None
    return loop_unary(loop, <cnp.ndarray>a)


cpdef object binary(int loop, object a, object b):
    """The loop on two arrays, or None if they have to take the usual way."""
    if not _enabled or not PyArray_CheckExact(a) or not PyArray_CheckExact(b):
        return None
    return loop_binary(loop, <cnp.ndarray>a, <cnp.ndarray>b)


@cython.final
cdef class gate:
    """Calls `kernel` if the first argument is a float32 or float64 array, `otherwise` if not.

    Most kernels stand behind such a gate.  A Python function costs 0.4 us there, as much as a small kernel."""

    cdef object kernel, otherwise
    cdef dict __dict__

    def __init__(self, kernel, otherwise):
        self.kernel = kernel
        self.otherwise = otherwise

    def __call__(self, *args):
        if len(args) and PyArray_CheckExact(args[0]) and cnp.PyArray_TYPE(<cnp.ndarray>args[0]) in (
                cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
            return self.kernel(*args)
        return self.otherwise(*args)


cpdef object number(double value, object like):
    """`value` as a 0-d array of the type of `like`, or None if that is not float32 or float64."""
    cdef cnp.ndarray out
    cdef int typenum
    if not PyArray_CheckExact(like):
        return None
    typenum = cnp.PyArray_TYPE(<cnp.ndarray>like)
    if typenum == cnp.NPY_FLOAT32:
        out = pool_empty(0, NULL, typenum)
        (<float *>cnp.PyArray_DATA(out))[0] = <float>value
        return out
    if typenum == cnp.NPY_FLOAT64:
        out = pool_empty(0, NULL, typenum)
        (<double *>cnp.PyArray_DATA(out))[0] = value
        return out
    return None


cpdef bint add_into(object total, object g) except -1:
    """total += g, if both are contiguous float arrays of one shape; says whether it did."""
    cdef cnp.ndarray sum, x
    cdef char *t
    cdef const char *from_
    cdef ptrdiff_t n, item
    cdef int kind
    if not PyArray_CheckExact(total) or not PyArray_CheckExact(g):
        return False
    sum, x = <cnp.ndarray>total, <cnp.ndarray>g
    kind = cnp.PyArray_TYPE(sum) - cnp.NPY_FLOAT32   # 0 float32, 1 float64
    if (kind < 0 or kind > 1 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(sum) or not same_dims(sum, x)
            or not cnp.PyArray_ISCARRAY(sum) or not PyArray_ISCARRAY_RO(x)):
        return False
    t, from_ = <char *>cnp.PyArray_DATA(sum), <const char *>cnp.PyArray_DATA(x)
    n, item = size_of(sum), cnp.PyArray_ITEMSIZE(sum)
    if from_ != t and from_ < t + n * item and t < from_ + n * item:
        return False   # they overlap
    if n < 2 * GRAIN:
        tc_accumulate[kind][_level](t, from_, n)
        return True
    with nogil:
        tc_accumulate_all(tc_accumulate[kind][_level], t, from_, n, item, n_threads(n, GRAIN))
    return True


cdef inline bint _is_shape(cnp.ndarray x, const KnownShape *shape) noexcept:
    cdef int d, nd = cnp.PyArray_NDIM(x)
    if shape.nd != nd:
        return False
    for d in range(nd):
        if shape.dims[d] != cnp.PyArray_DIM(x, d):
            return False
    return True


cpdef tuple shape_of(object a):
    """a.shape; mostly a tuple that exists already, because networks have few shapes, and often that of the last array."""
    global _last
    cdef cnp.ndarray x
    cdef int nd, d
    cdef size_t key
    if not PyArray_CheckExact(a):
        return a.shape
    x = <cnp.ndarray>a
    if _is_shape(x, &_known[_last]):
        return _shapes[_last]
    nd = cnp.PyArray_NDIM(x)
    if nd > MOST_AXES:
        return a.shape
    key = nd
    for d in range(nd):
        key = key * 31 + <size_t>cnp.PyArray_DIM(x, d)
    key = (key ^ (key >> 7)) & (SLOTS - 1)
    if not _is_shape(x, &_known[key]):
        _shapes[key] = a.shape
        _known[key].nd = nd
        for d in range(nd):
            _known[key].dims[d] = cnp.PyArray_DIM(x, d)
    _last = <int>key
    return _shapes[key]
