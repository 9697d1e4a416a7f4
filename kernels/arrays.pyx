"""Questions about two arrays that every small op asks.

Through Python attributes each answer costs as much as the op.  The plain Python twins for an installation without compiled
modules are in tinygrad_course/kernels/arrays.py.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cimport numpy as cnp

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CheckExact(object array)


cpdef bint alike(object a, object b):
    """Whether both are NumPy arrays (not CuPy's) of one dtype."""
    if not PyArray_CheckExact(a) or not PyArray_CheckExact(b):
        return False
    return cnp.PyArray_TYPE(<cnp.ndarray>a) == cnp.PyArray_TYPE(<cnp.ndarray>b)


cpdef bint same_shape(object a, object b):
    """Whether both arrays have one shape."""
    if PyArray_CheckExact(a) and PyArray_CheckExact(b):
        return same_dims(<cnp.ndarray>a, <cnp.ndarray>b)
    return a.shape == b.shape


cpdef bint has_shape(object a, tuple shape):
    """Whether the array has this shape."""
    cdef Py_ssize_t axis, ndim = len(shape)
    if not PyArray_CheckExact(a):
        return a.shape == shape
    if cnp.PyArray_NDIM(<cnp.ndarray>a) != ndim:
        return False
    for axis in range(ndim):
        if cnp.PyArray_DIM(<cnp.ndarray>a, axis) != <Py_ssize_t>shape[axis]:
            return False
    return True


cpdef bint is_float(object a):
    """Whether the array holds floating point numbers."""
    if PyArray_CheckExact(a):
        return cnp.PyTypeNum_ISFLOAT(cnp.PyArray_TYPE(<cnp.ndarray>a))
    return a.dtype.kind == "f"


cpdef Py_ssize_t count_classes(object target, Py_ssize_t classes, Py_ssize_t ignored) except -2:
    """How many class numbers are there, those that equal `ignored` left out; -1 if one is not in [0, classes)."""
    cdef cnp.ndarray t
    cdef Py_ssize_t i, n, found = 0
    cdef const int64_t *value
    if (not PyArray_CheckExact(target) or cnp.PyArray_TYPE(<cnp.ndarray>target) != cnp.NPY_INT64
            or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>target)):
        return _count_classes(target, classes, ignored)
    t = <cnp.ndarray>target
    value = <const int64_t *>cnp.PyArray_DATA(t)
    n = cnp.PyArray_SIZE(t)
    for i in range(n):
        if value[i] == ignored:
            continue
        if value[i] < 0 or value[i] >= classes:
            return -1
        found += 1
    return found


cdef Py_ssize_t _count_classes(object target, Py_ssize_t classes, Py_ssize_t ignored) except -2:
    """Likewise for other arrays, also those on a GPU."""
    counted = target != ignored
    if (counted & ((target < 0) | (target >= classes))).any():
        return -1
    return counted.sum()


cpdef bint all_between(object a, double low, double high) except -1:
    """Whether low <= x <= high for every number; NaN is not.  Bounds are rounded to the type of x."""
    cdef cnp.ndarray x
    cdef Py_ssize_t i, n
    cdef int good = 1
    cdef float least = <float>low, most = <float>high
    cdef const float *single
    cdef const double *wide
    if PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a):
        x = <cnp.ndarray>a
        n = cnp.PyArray_SIZE(x)
        if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32:
            single = <const float *>cnp.PyArray_DATA(x)
            for i in range(n):  # all in float and without "and": so it runs in vectors
                good &= <int>(single[i] >= least) & <int>(single[i] <= most)
            return good
        if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64:
            wide = <const double *>cnp.PyArray_DATA(x)
            for i in range(n):
                good &= <int>(wide[i] >= low) & <int>(wide[i] <= high)
            return good
    return bool(((a >= low) & (a <= high)).all())


cpdef object fingerprint(object a):
    """64 bits that a write to the array almost certainly changes: eight interleaved FNV-1a sums over its words."""
    cdef cnp.ndarray x
    cdef const unsigned char* bytes
    cdef Py_ssize_t size, whole, i, lane
    cdef uint64_t h[8]
    cdef uint64_t words[8]
    cdef uint64_t total = 14695981039346656037u
    if not isinstance(a, cnp.ndarray):
        return 0  # on a GPU, where NumPy cannot write
    x = cnp.PyArray_GETCONTIGUOUS(a)
    size = cnp.PyArray_NBYTES(x)
    bytes = <const unsigned char*>cnp.PyArray_DATA(x)
    whole = size // 64
    with nogil:
        for lane in range(8):
            h[lane] = 14695981039346656037u + <uint64_t>lane
        for i in range(whole):
            memcpy(words, bytes + 64 * i, 64)  # whatever the alignment
            for lane in range(8):
                h[lane] = (h[lane] ^ words[lane]) * 1099511628211u
        for i in range(64 * whole, size):
            total = (total ^ bytes[i]) * 1099511628211u
        for lane in range(8):
            total = (total ^ h[lane] ^ (h[lane] >> 32)) * 1099511628211u
    return total
