"""Copies at the speed of memory; what each kernel computes stands in tinygrad_course/backend/reference/copy.py.

Design:
* A copy is sizes and two lists of strides.  Axes are sorted by their distance in the result and merged where both sides
  allow it; what is left is a loop over planes (rows, columns), and one of three ways to move a plane: whole rows, blocks
  that are transposed in registers, or number by number (copy.h).
* Bytes are moved, so all types of 1, 2, 4, 8 and 16 bytes are served.  Others, and foreign byte order, are left to NumPy.
* Padding is one pass over the result: each row is filled, copied and filled.  Zeros first and the copy afterwards would
  write most of the result twice.
* Work is cut into pieces of 64 KB, for which threads are worth their start from 512 KB on.
"""

cimport numpy as cnp
from libc.string cimport memset

from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISNOTSWAPPED(cnp.ndarray) nogil
    bint PyArray_SAMESHAPE(cnp.ndarray, cnp.ndarray) nogil

cdef extern from "copy.h" nogil:
    enum:
        TC_COPY_ND
    ctypedef struct tc_copy:
        int nd
        const char *x
        char *y
    ctypedef struct tc_extension:
        int nd
    int tc_choose_level()
    bint tc_has_size(Py_ssize_t item)
    void tc_put_axis(tc_copy *k, int at, Py_ssize_t size, Py_ssize_t start, Py_ssize_t to)
    void tc_run_copy(tc_copy *k, Py_ssize_t item, int level, int threads)
    void tc_put_extended(tc_extension *e, Py_ssize_t before, Py_ssize_t size, Py_ssize_t after, Py_ssize_t start)
    void tc_extend(const tc_extension *e, const char *x, char *y, Py_ssize_t item, const char *value, int threads)

KERNELS = ("cat", "constant_pad")

cdef enum:
    GRAIN = 262144   # bytes that are worth a thread

cdef int _level = tc_choose_level()
if _level < 0:
    raise ImportError("TINYGRAD_COURSE_ISA must be base, v3, v4 or amx")


cdef bint movable(cnp.ndarray x) noexcept:
    cdef int t = cnp.PyArray_TYPE(x)
    return ((t <= cnp.NPY_CDOUBLE or t == cnp.NPY_FLOAT16) and PyArray_ISNOTSWAPPED(x)
            and tc_has_size(cnp.PyArray_ITEMSIZE(x)))


cdef void _place(char *y, const cnp.npy_intp *strides, cnp.ndarray x) noexcept:
    """Copy x, which is movable, to where y and strides say."""
    cdef tc_copy k
    cdef int d
    cdef Py_ssize_t bytes = cnp.PyArray_NBYTES(x)
    if bytes == 0:
        return
    k.nd = cnp.PyArray_NDIM(x)
    k.x = <const char *>cnp.PyArray_DATA(x)
    k.y = y
    for d in range(k.nd):
        tc_put_axis(&k, d, cnp.PyArray_DIM(x, d), cnp.PyArray_STRIDE(x, d), strides[d])
    if bytes < 2 * GRAIN:
        tc_run_copy(&k, cnp.PyArray_ITEMSIZE(x), _level, 1)
    else:
        with nogil:
            tc_run_copy(&k, cnp.PyArray_ITEMSIZE(x), _level, n_threads(bytes, GRAIN))


cdef cnp.ndarray copied(cnp.ndarray x):
    cdef cnp.ndarray y
    if not movable(x):
        return cnp.PyArray_NewCopy(x, cnp.NPY_CORDER)
    y = pool_empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
    _place(<char *>cnp.PyArray_DATA(y), cnp.PyArray_STRIDES(y), x)
    return y


cdef int copy_into(cnp.ndarray y, cnp.ndarray x) except -1:
    if movable(x) and cnp.PyArray_TYPE(x) == cnp.PyArray_TYPE(y) and PyArray_ISNOTSWAPPED(y) and PyArray_SAMESHAPE(x, y):
        _place(<char *>cnp.PyArray_DATA(y), cnp.PyArray_STRIDES(y), x)
    else:
        y[...] = x
    return 0


def cat(list arrays not None, int axis):
    """Arrays one after the other along an axis."""
    cdef cnp.ndarray first = arrays[0], x, y
    cdef cnp.npy_intp dims[TC_COPY_ND]
    cdef int d, nd = cnp.PyArray_NDIM(first)
    cdef char *to
    if axis < 0 or axis >= nd or not movable(first):
        return np.concatenate(arrays, axis)   # which also raises the errors
    for d in range(nd):
        dims[d] = cnp.PyArray_DIM(first, d)
    dims[axis] = 0
    for x in arrays:
        if cnp.PyArray_NDIM(x) != nd or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(first) or not PyArray_ISNOTSWAPPED(x):
            return np.concatenate(arrays, axis)
        for d in range(nd):
            if d != axis and cnp.PyArray_DIM(x, d) != dims[d]:
                return np.concatenate(arrays, axis)
        dims[axis] += cnp.PyArray_DIM(x, axis)
    y = pool_empty(nd, dims, cnp.PyArray_TYPE(first))
    to = <char *>cnp.PyArray_DATA(y)
    for x in arrays:
        _place(to, cnp.PyArray_STRIDES(y), x)
        to += cnp.PyArray_DIM(x, axis) * cnp.PyArray_STRIDE(y, axis)
    return y


cdef cnp.ndarray extended(cnp.ndarray x, const char *data, int nd, const Py_ssize_t *size, const Py_ssize_t *strides,
                          const Py_ssize_t *before, const Py_ssize_t *after, object value):
    cdef tc_extension e
    cdef cnp.npy_intp dims[TC_COPY_ND]
    cdef char number[16]
    cdef const char *fill = number
    cdef cnp.ndarray y, given
    cdef int d
    cdef Py_ssize_t bytes, item = cnp.PyArray_ITEMSIZE(x)
    if type(value) in (int, float) and value == 0:
        memset(number, 0, 16)
    else:
        with np.errstate(all="ignore"):
            given = np.full((), value, x.dtype)
        fill = <const char *>cnp.PyArray_DATA(given)
    e.nd = 0
    if nd == 0:
        tc_put_extended(&e, 0, 1, 0, item)
    for d in range(nd - 1, -1, -1):
        dims[d] = before[d] + size[d] + after[d]
        tc_put_extended(&e, before[d], size[d], after[d], strides[d])
    y = pool_empty(nd, dims, cnp.PyArray_TYPE(x))
    bytes = cnp.PyArray_NBYTES(y)
    if bytes < 2 * GRAIN:
        tc_extend(&e, data, <char *>cnp.PyArray_DATA(y), item, fill, 1)
    else:
        with nogil:
            tc_extend(&e, data, <char *>cnp.PyArray_DATA(y), item, fill, n_threads(bytes, GRAIN))
    return y


def constant_pad(cnp.ndarray x not None, tuple before not None, tuple after not None, object value):
    """x with `before` and `after` more places per axis, which hold `value`; negative numbers cut off."""
    cdef Py_ssize_t size[TC_COPY_ND]
    cdef Py_ssize_t stride[TC_COPY_ND]
    cdef Py_ssize_t low[TC_COPY_ND]
    cdef Py_ssize_t high[TC_COPY_ND]
    cdef Py_ssize_t cut
    cdef int d, nd = cnp.PyArray_NDIM(x)
    cdef const char *data
    if len(before) != nd or len(after) != nd:
        raise ValueError(f"constant_pad: {before} before and {after} after must name each of the {nd} axes of x")
    if not movable(x):
        x = x.astype(x.dtype.newbyteorder("="), order="C")
    elif nd and cnp.PyArray_STRIDE(x, nd - 1) != cnp.PyArray_ITEMSIZE(x) and cnp.PyArray_DIM(x, nd - 1) > 1:
        x = copied(x)
    data = <const char *>cnp.PyArray_DATA(x)
    for d in range(nd):
        low[d], high[d] = before[d], after[d]
        size[d], stride[d] = cnp.PyArray_DIM(x, d), cnp.PyArray_STRIDE(x, d)
        if size[d] == 1:
            stride[d] = cnp.PyArray_ITEMSIZE(x)   # of an axis that nobody walks a layout may say anything
        if low[d] < 0:
            cut = -low[d]
            data += cut * stride[d]
            size[d] -= cut
            low[d] = 0
        if high[d] < 0:
            size[d] += high[d]
            high[d] = 0
        if size[d] < 0:
            raise ValueError(f"constant_pad: axis {d} of {(<object>x).shape} is shorter than what is cut off")
    return extended(x, data, nd, size, stride, low, high, value)
