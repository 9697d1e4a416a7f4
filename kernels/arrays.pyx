"""Questions about two arrays that every small op asks.

Through Python attributes each answer costs as much as the op.  The plain Python twins for an installation without compiled
modules are in tinygrad_course/kernels/arrays.py.
"""

cimport numpy as cnp

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CheckExact(object array)
    bint PyArray_SAMESHAPE(cnp.ndarray a, cnp.ndarray b)


cpdef bint alike(object a, object b):
    """Whether both are NumPy arrays (not CuPy's) of one dtype."""
    if not PyArray_CheckExact(a) or not PyArray_CheckExact(b):
        return False
    return cnp.PyArray_TYPE(<cnp.ndarray>a) == cnp.PyArray_TYPE(<cnp.ndarray>b)


cpdef bint same_shape(object a, object b):
    """Whether both arrays have one shape."""
    if PyArray_CheckExact(a) and PyArray_CheckExact(b):
        return PyArray_SAMESHAPE(<cnp.ndarray>a, <cnp.ndarray>b)
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
