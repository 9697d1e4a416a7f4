"""Reductions; what each computes stands in tinygrad_course/backend/reference/reduce.py.

Design:
* A contiguous float32 or float64 array is seen as (outer, n, inner) with the reduction along n.  Axes that are reduced
  or kept together merge first; several groups, as in (N, C, H, W) over N, H, W, are reduced one after the other,
  innermost first.  inner == 1 reduces runs, inner > 1 adds whole rows: both read memory in order, no axis is moved.
* Long sums are cut into blocks by shape alone, and block results are reduced by the same code: the result does not
  depend on the number of threads, not in the last bit.  Errors are those of pairwise summation (reduce_impl.h).
* A transposed operand is reduced as it lies in memory, unless that would turn the axes that are kept; other strided ones
  are copied first.  One that broadcasting has expanded goes to NumPy, as does every other dtype.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from tinygrad_course.kernels.copy cimport copied, movable
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISBEHAVED_RO(cnp.ndarray) nogil
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil

cdef extern from "reduce.h" nogil:
    ctypedef struct tc_reducer:
        pass
    enum:
        TC_SUM, TC_MAX, TC_MIN, TC_ALL, TC_ANY
    ctypedef struct tc_place:
        pass
    const tc_reducer tc_logical[2]
    const tc_place *tc_place_by[2]
    const tc_reducer *tc_reduce_by[2]
    void (*tc_divide_by[2])(char *, ptrdiff_t, double) noexcept nogil
    int tc_choose_reducers()
    int64_t tc_count(const char *x, ptrdiff_t n)
    void tc_find(const tc_place *f, const char *x, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int64_t *out,
                 ptrdiff_t item, int threads)
    ptrdiff_t tc_block_rows(ptrdiff_t n, ptrdiff_t inner)
    void tc_reduce_pass(const tc_reducer *f, const char *x, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
                        ptrdiff_t rows, char *out, ptrdiff_t item, int threads)

KERNELS = ("all", "any", "argmax", "argmin", "max", "mean", "min", "sum", "sum_to")

if tc_choose_reducers() < 0:
    raise ImportError("TINYGRAD_COURSE_ISA must be base, v3, v4 or amx")

cdef enum:
    GRAIN = 131072   # elements that are worth a thread
    MAX_ND = 64


cdef inline int _float_kind(cnp.ndarray x) noexcept nogil:
    """0 float32, 1 float64, -1 anything else."""
    cdef int t = cnp.PyArray_TYPE(x)
    return 0 if t == cnp.NPY_FLOAT32 else 1 if t == cnp.NPY_FLOAT64 else -1


cdef cnp.ndarray _contiguous(cnp.ndarray x):
    """x, or a C-contiguous copy of it; None if x repeats elements, which a copy would multiply."""
    cdef int d
    if PyArray_ISCARRAY_RO(x):
        return x
    for d in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_STRIDE(x, d) == 0 and cnp.PyArray_DIM(x, d) > 1:
            return None
    return copied(x) if movable(x) else np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


cdef int _in_memory_order(cnp.ndarray x, int *order) except -1:
    """Sort the axes by their strides; whether x lies without a gap in that order, as a transposed array does."""
    cdef int d, k, nd = cnp.PyArray_NDIM(x)
    cdef Py_ssize_t expected = cnp.PyArray_ITEMSIZE(x)
    if not PyArray_ISBEHAVED_RO(x):
        return False
    for d in range(nd):
        k = d
        while k and cnp.PyArray_STRIDE(x, order[k - 1]) < cnp.PyArray_STRIDE(x, d):
            order[k] = order[k - 1]
            k -= 1
        order[k] = d
    for k in range(nd - 1, -1, -1):
        d = order[k]
        if cnp.PyArray_DIM(x, d) != 1:
            if cnp.PyArray_STRIDE(x, d) != expected:
                return False
            expected *= cnp.PyArray_DIM(x, d)
    return expected > 0


cdef int _middle(const tc_reducer *f, const char *x, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, char *out,
                 ptrdiff_t item) except -1 nogil:
    """x (outer, n, inner) -> out (outer, inner), in as many passes as the blocks need."""
    cdef ptrdiff_t rows, blocks
    cdef char *part = NULL
    cdef char *next_part
    while True:
        rows = tc_block_rows(n, inner)
        blocks = (n + rows - 1) / rows
        if blocks == 1:
            tc_reduce_pass(f, x, outer, n, inner, rows, out, item, n_threads(outer * n * inner, GRAIN))
            tc_free(part)
            return 0
        next_part = <char *>tc_malloc(outer * blocks * inner * item)
        if next_part == NULL:
            tc_free(part)
            with gil:
                raise MemoryError()
        tc_reduce_pass(f, x, outer, n, inner, rows, next_part, item, n_threads(outer * n * inner, GRAIN))
        tc_free(part)
        x = part = next_part
        n = blocks


cdef int _groups(const tc_reducer *f, const char *x, int nd, const cnp.npy_intp *dims, const bint *reduced, char *out,
                 ptrdiff_t item) except -1 nogil:
    """Reduce all marked axes of a contiguous array without empty axes; at least one axis is marked."""
    cdef ptrdiff_t size[MAX_ND]
    cdef bint flag[MAX_ND]
    cdef ptrdiff_t outer, inner
    cdef int groups = 0, last, d, left = 0
    cdef char *part = NULL
    cdef char *target
    for d in range(nd):   # merge neighbours; axes of length 1 belong to any group
        if dims[d] == 1:
            continue
        if groups and flag[groups - 1] == reduced[d]:
            size[groups - 1] *= dims[d]
        else:
            size[groups] = dims[d]
            flag[groups] = reduced[d]
            groups += 1
    for d in range(groups):
        left += flag[d]
    if left == 0:   # every marked axis has length 1: a reduction of single elements, that is a copy
        for d in range(groups):
            item *= size[d]
        memcpy(out, x, item)
        return 0
    while left:
        last = groups - 1
        inner = 1
        while not flag[last]:
            inner *= size[last]
            last -= 1
        outer = 1
        for d in range(last):
            outer *= size[d]
        target = out
        if left > 1:
            target = <char *>tc_malloc(outer * inner * item)
            if target == NULL:
                tc_free(part)
                with gil:
                    raise MemoryError()
        try:
            _middle(f, x, outer, size[last], inner, target, item)
        finally:
            tc_free(part)
            part = NULL
            if left > 1:
                x = part = target
        left -= 1
        groups = last   # what follows is one kept group, which joins the kept group before
        if inner > 1:
            if groups and not flag[groups - 1]:
                size[groups - 1] *= inner
            else:
                size[groups] = inner
                flag[groups] = False
                groups += 1
    return 0


cdef int _mark(str name, cnp.ndarray x, tuple axis, bint *reduced) except -1:
    cdef int d
    cdef Py_ssize_t a
    for d in range(cnp.PyArray_NDIM(x)):
        reduced[d] = False
    for item in axis:
        a = item
        if a < 0 or a >= cnp.PyArray_NDIM(x) or reduced[a]:
            raise ValueError(f"{name}: axis {axis} of an input with {cnp.PyArray_NDIM(x)} dimensions; "
                             "each axis must be in range and named once")
        reduced[a] = True
    return 0


cdef cnp.ndarray _apply(const tc_reducer *f, cnp.ndarray x, const bint *reduced, int out_nd, cnp.npy_intp *out_dims):
    """The reduction of x as a new array of shape `out_dims`, 0 over no elements; None if x repeats elements."""
    cdef cnp.ndarray out
    cdef ptrdiff_t item = cnp.PyArray_ITEMSIZE(x)
    cdef int nd = cnp.PyArray_NDIM(x), d, last = -1
    cdef int order[MAX_ND]
    cdef cnp.npy_intp dims[MAX_ND]
    cdef bint marks[MAX_ND]
    cdef bint straight = not PyArray_ISCARRAY_RO(x) and _in_memory_order(x, order)
    cdef char *to
    if straight:
        for d in range(nd):
            if not reduced[order[d]] and cnp.PyArray_DIM(x, order[d]) != 1:
                straight = straight and order[d] > last   # the axes that are kept stay in their order
                last = order[d]
    if not straight:
        x = _contiguous(x)
        if x is None:
            return None
    for d in range(nd):
        dims[d] = cnp.PyArray_DIM(x, order[d] if straight else d)
        marks[d] = reduced[order[d] if straight else d]
    out = pool_empty(out_nd, out_dims, cnp.PyArray_TYPE(x))
    to = <char *>cnp.PyArray_DATA(out)
    if cnp.PyArray_SIZE(x) == 0:
        memset(to, 0, cnp.PyArray_NBYTES(out))
    elif cnp.PyArray_SIZE(x) < 2 * GRAIN:
        _groups(f, <const char *>cnp.PyArray_DATA(x), nd, dims, marks, to, item)
    else:
        with nogil:
            _groups(f, <const char *>cnp.PyArray_DATA(x), nd, dims, marks, to, item)
    return out


cdef cnp.ndarray _along(const tc_reducer *f, cnp.ndarray x, const bint *reduced, bint keepdims):
    cdef cnp.npy_intp dims[MAX_ND]
    cdef int d, nd = 0
    for d in range(cnp.PyArray_NDIM(x)):
        if not reduced[d]:
            dims[nd] = cnp.PyArray_DIM(x, d)
            nd += 1
        elif keepdims:
            dims[nd] = 1
            nd += 1
    return _apply(f, x, reduced, nd, dims)


def sum(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Sum over the axes of the tuple `axis`; bools and integers in int64."""
    cdef bint reduced[MAX_ND]
    cdef cnp.npy_intp ones[MAX_ND]
    cdef cnp.ndarray out
    cdef int d
    for d in range(cnp.PyArray_NDIM(x)):
        ones[d] = 1
    _mark("sum", x, axis, reduced)
    if _float_kind(x) >= 0:
        out = _along(&tc_reduce_by[_float_kind(x)][<int>TC_SUM], x, reduced, keepdims)
        if out is not None:
            return out
    if cnp.PyArray_TYPE(x) == cnp.NPY_BOOL and len(axis) == cnp.PyArray_NDIM(x) and PyArray_ISCARRAY_RO(x):
        out = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x) if keepdims else 0, ones, cnp.NPY_INT64, 0)
        (<int64_t *>cnp.PyArray_DATA(out))[0] = tc_count(<const char *>cnp.PyArray_DATA(x), cnp.PyArray_SIZE(x))
        return out
    if x.dtype.kind in "biu":
        return np.asarray(np.sum(x, axis=axis, keepdims=keepdims, dtype=np.int64))
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT16:
        return np.asarray(np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float32)).astype(np.float16)
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(x, axis=axis, keepdims=keepdims))


def mean(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Mean over the axes of the tuple `axis`; NaN over no elements."""
    cdef bint reduced[MAX_ND]
    cdef cnp.ndarray out
    cdef double count = 1
    cdef int d
    _mark("mean", x, axis, reduced)
    for d in range(cnp.PyArray_NDIM(x)):
        if reduced[d]:
            count *= cnp.PyArray_DIM(x, d)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT16:
        return mean(x.astype(np.float32), axis, keepdims).astype(np.float16)
    if _float_kind(x) >= 0:
        out = _along(&tc_reduce_by[_float_kind(x)][<int>TC_SUM], x, reduced, keepdims)
        if out is None:
            out = sum(x, axis, keepdims)
        tc_divide_by[_float_kind(x)](<char *>cnp.PyArray_DATA(out), cnp.PyArray_SIZE(out), count)
        return out
    with np.errstate(all="ignore"):
        return np.asarray(np.divide(sum(x, axis, keepdims), np.asarray(count, x.dtype)))


cdef int _not_empty(str name, str wanted, cnp.ndarray x, const bint *reduced) except -1:
    cdef int d
    for d in range(cnp.PyArray_NDIM(x)):
        if reduced[d] and cnp.PyArray_DIM(x, d) == 0:
            raise ValueError(f"{name}: input {(<object>x).shape} has no elements along axis {d}, "
                             f"a {wanted} needs at least one")
    return 0


cdef _extreme(str name, int which, body, cnp.ndarray x, tuple axis, bint keepdims):
    cdef bint reduced[MAX_ND]
    _mark(name, x, axis, reduced)
    _not_empty(name, "maximum" if which == TC_MAX else "minimum", x, reduced)
    out = _along(&tc_reduce_by[_float_kind(x)][which], x, reduced, keepdims) if _float_kind(x) >= 0 else None
    if out is not None:
        return out
    with np.errstate(invalid="ignore"):
        return np.array(body(x, axis=axis, keepdims=keepdims))


def max(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Largest value over the axes of the tuple `axis`, NaN if there is one."""
    return _extreme("max", TC_MAX, np.max, x, axis, keepdims)


def min(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Smallest value over the axes of the tuple `axis`, NaN if there is one."""
    return _extreme("min", TC_MIN, np.min, x, axis, keepdims)


cdef cnp.ndarray _place(str name, int which, cnp.ndarray x, int axis, bint keepdims):
    """Places along `axis`; None for types that NumPy serves."""
    cdef bint reduced[MAX_ND]
    cdef cnp.npy_intp dims[MAX_ND]
    cdef int d, at = 0, nd = cnp.PyArray_NDIM(x)
    cdef ptrdiff_t outer = 1, inner = 1, item = cnp.PyArray_ITEMSIZE(x), n
    cdef const tc_place *f
    cdef const char *data
    cdef int64_t *to
    cdef cnp.ndarray out
    if nd == 0:
        return np.zeros((), np.int64)
    _mark(name, x, (axis,), reduced)
    _not_empty(name, "minimum" if which else "maximum", x, reduced)
    n = cnp.PyArray_DIM(x, axis)
    if _float_kind(x) < 0 or n > 0x7FFFFFFF:
        return None
    x = _contiguous(x)
    if x is None:
        return None
    for d in range(nd):
        if d < axis:
            outer *= cnp.PyArray_DIM(x, d)
        elif d > axis:
            inner *= cnp.PyArray_DIM(x, d)
        if d != axis or keepdims:
            dims[at] = 1 if d == axis else cnp.PyArray_DIM(x, d)
            at += 1
    out = pool_empty(at, dims, cnp.NPY_INT64)
    if cnp.PyArray_SIZE(out) == 0:
        return out
    f = &tc_place_by[_float_kind(x)][which]
    data, to = <const char *>cnp.PyArray_DATA(x), <int64_t *>cnp.PyArray_DATA(out)
    with nogil:
        tc_find(f, data, outer, n, inner, to, item, n_threads(outer * n * inner, GRAIN))
    return out


def argmax(cnp.ndarray x not None, int axis, bint keepdims):
    """Index of the first largest value along `axis`, of the first NaN if there is one."""
    out = _place("argmax", 0, x, axis, keepdims)
    return out if out is not None else np.asarray(np.argmax(x, axis=axis, keepdims=keepdims)).astype(np.int64, copy=False)


def argmin(cnp.ndarray x not None, int axis, bint keepdims):
    """Index of the first smallest value along `axis`, of the first NaN if there is one."""
    out = _place("argmin", 1, x, axis, keepdims)
    return out if out is not None else np.asarray(np.argmin(x, axis=axis, keepdims=keepdims)).astype(np.int64, copy=False)


cdef cnp.ndarray _holds(str name, int which, cnp.ndarray x, tuple axis, bint keepdims):
    """`all` or `any`; None where NumPy has to do it."""
    cdef bint reduced[MAX_ND]
    _mark(name, x, axis, reduced)
    if cnp.PyArray_SIZE(x) == 0:
        return None
    if cnp.PyArray_TYPE(x) != cnp.NPY_BOOL:
        x = np.asarray(np.not_equal(x, 0))
    return _along(&tc_logical[which], x, reduced, keepdims)


def all(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Whether no element over the axes of the tuple `axis` is 0."""
    out = _holds("all", TC_ALL, x, axis, keepdims)
    return out if out is not None else np.asarray(np.all(x, axis=axis, keepdims=keepdims))


def any(cnp.ndarray x not None, tuple axis not None, bint keepdims):
    """Whether an element over the axes of the tuple `axis` is not 0."""
    out = _holds("any", TC_ANY, x, axis, keepdims)
    return out if out is not None else np.asarray(np.any(x, axis=axis, keepdims=keepdims))


def sum_to(cnp.ndarray x not None, tuple shape not None):
    """Sum of x over the axes that broadcasting from `shape` to x.shape has added or stretched."""
    cdef bint reduced[MAX_ND]
    cdef cnp.npy_intp dims[MAX_ND]
    cdef int nd = <int>len(shape), lead = cnp.PyArray_NDIM(x) - nd, d
    cdef cnp.ndarray out
    if lead < 0:
        raise ValueError(f"sum_to: shape {shape} has more dimensions than the input {(<object>x).shape}")
    for d in range(lead):
        reduced[d] = True
    for d in range(nd):
        dims[d] = shape[d]
        reduced[lead + d] = dims[d] == 1 and cnp.PyArray_DIM(x, lead + d) != 1
        if not reduced[lead + d] and dims[d] != cnp.PyArray_DIM(x, lead + d):
            raise ValueError(f"sum_to: shape {shape} does not broadcast to the input's {(<object>x).shape}")
    if _float_kind(x) >= 0:
        out = _apply(&tc_reduce_by[_float_kind(x)][<int>TC_SUM], x, reduced, nd, dims)
        if out is not None:
            return out
    stretched = tuple([d for d in range(lead + nd) if reduced[d]])
    return sum(x, stretched, True).astype(x.dtype, copy=False).reshape(shape)
