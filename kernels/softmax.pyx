"""Softmax, its logarithm and their gradients over any axis: compiled twins of backend/reference/softmax.py.

Design:
* An array is seen as (outer, n, inner) around the axis; no axis is moved.  Along the last axis a row is done in whole
  vectors, along any other one the vector lanes are neighbouring columns (softmax_impl.h).
* Rows are independent: the thread count cannot change a bit.
* Each row is shifted by its maximum; rows with NaN, with +inf or of -inf alone come out as NaN, as in PyTorch.
"""

cimport numpy as cnp

import numpy as np

from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, empty_like, float_kind
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "softmax.h" nogil:
    ctypedef void (*tc_softmax_fn)(const void *x, void *y, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner,
                                   int logarithm, int threads) noexcept
    ctypedef void (*tc_softmax_grad_fn)(const void *g, const void *y, void *gx, Py_ssize_t outer, Py_ssize_t n,
                                        Py_ssize_t inner, int logarithm, int threads) noexcept
    tc_softmax_fn tc_softmax[2][3]
    tc_softmax_grad_fn tc_softmax_grad[2][3]

KERNELS = ("softmax", "log_softmax", "softmax_grad", "log_softmax_grad")

cdef enum:
    GRAIN = 50_000      # values that are worth a thread

cdef int _level = chosen_level()


def softmax(cnp.ndarray x, int axis):
    """exp(x) / sum exp(x) over `axis`."""
    return _forward("softmax", x, axis, 0)


def log_softmax(cnp.ndarray x, int axis):
    """x - log sum exp(x) over `axis`."""
    return _forward("log_softmax", x, axis, 1)


def softmax_grad(cnp.ndarray g, cnp.ndarray y, int axis):
    """y * (g - sum(g * y)) with y = softmax(x)."""
    return _backward("softmax_grad", g, y, axis, 0)


def log_softmax_grad(cnp.ndarray g, cnp.ndarray y, int axis):
    """g - exp(y) * sum(g) with y = log_softmax(x)."""
    return _backward("log_softmax_grad", g, y, axis, 1)


cdef _forward(str op, cnp.ndarray x, int axis, int logarithm):
    cdef int kind = float_kind(op, x)
    cdef Py_ssize_t outer, n, inner
    _split(x, axis, &outer, &n, &inner)
    x = contiguous(x)
    cdef cnp.ndarray y = empty_like(x)
    with nogil:
        tc_softmax[kind][_level](cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), outer, n, inner, logarithm,
                                 n_threads(outer * n * inner, GRAIN))
    return y


cdef _backward(str op, cnp.ndarray g, cnp.ndarray y, int axis, int logarithm):
    cdef int kind = float_kind(op, y)
    cdef Py_ssize_t outer, n, inner
    if not cnp.PyArray_SAMESHAPE(g, y):
        raise ValueError(f"{op}: g {(<object>g).shape} and y {(<object>y).shape} must have one shape")
    _split(y, axis, &outer, &n, &inner)
    y = contiguous(y)
    g = contiguous_as(g, cnp.PyArray_TYPE(y))
    cdef cnp.ndarray gx = empty_like(y)
    with nogil:
        tc_softmax_grad[kind][_level](cnp.PyArray_DATA(g), cnp.PyArray_DATA(y), cnp.PyArray_DATA(gx), outer, n, inner,
                                      logarithm, n_threads(outer * n * inner, GRAIN))
    return gx


# Sizes before, along and after the axis; a 0-d array has one axis of size 1.
cdef int _split(cnp.ndarray x, int axis, Py_ssize_t *outer, Py_ssize_t *n, Py_ssize_t *inner) except -1:
    cdef int d, ndim = cnp.PyArray_NDIM(x)
    if axis < 0:
        axis += max(ndim, 1)
    if axis < 0 or axis >= max(ndim, 1):
        raise np.exceptions.AxisError(axis, ndim)
    outer[0] = n[0] = inner[0] = 1
    for d in range(ndim):
        if d < axis:
            outer[0] *= cnp.PyArray_DIM(x, d)
        elif d == axis:
            n[0] = cnp.PyArray_DIM(x, d)
        else:
            inner[0] *= cnp.PyArray_DIM(x, d)
    return 0
