cimport numpy as cnp

cpdef bint alike(object a, object b)
cpdef bint same_shape(object a, object b)
cpdef bint has_shape(object a, tuple shape)
cpdef object fingerprint(object a)
cpdef bint is_float(object a)
cpdef Py_ssize_t count_classes(object target, Py_ssize_t classes, Py_ssize_t ignored) except -2
cpdef bint all_between(object a, double low, double high) except -1


# NumPy has functions for both, whose call costs more than the comparison of two or three numbers.
cdef inline bint same_dims(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether both arrays have one shape."""
    cdef int d, nd = cnp.PyArray_NDIM(a)
    if cnp.PyArray_NDIM(b) != nd:
        return False
    for d in range(nd):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True


cdef inline Py_ssize_t size_of(cnp.ndarray a) noexcept:
    """How many elements."""
    cdef Py_ssize_t size = 1
    cdef int d
    for d in range(cnp.PyArray_NDIM(a)):
        size *= cnp.PyArray_DIM(a, d)
    return size
