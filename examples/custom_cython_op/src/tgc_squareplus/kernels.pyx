"""Kernels of squareplus: arrays in, new arrays out, no gradients.

    squareplus       y = (x + sqrt(x^2 + b)) / 2
    squareplus_grad  g * (1 + x / sqrt(x^2 + b)) / 2

The loops run without the GIL on as many threads as tinygrad_course allows (`set_num_threads`, `fork`, nesting: all of it is
`n_threads`).  Each entry is computed by itself, so the result is bitwise the same for any number of threads.
"""

import numpy as np

from cython.parallel cimport prange
from libc.math cimport sqrt
from tinygrad_course.kernels.threads cimport n_threads

ctypedef fused real:
    float
    double

cdef Py_ssize_t GRAIN = 65536  # entries that take one thread about 100 us, what a second thread has to save to pay


def squareplus(x, double b):
    """(x + sqrt(x^2 + b)) / 2 for a float32 or float64 array of any shape and strides."""
    flat, y = _flat_pair(x)
    if flat.dtype == np.float32:
        _forward[float](flat, y, b)
    else:
        _forward[double](flat, y, b)
    return y.reshape(x.shape)


def squareplus_grad(g, x, double b):
    """g (1 + x / sqrt(x^2 + b)) / 2; g and x of the same shape and dtype."""
    flat, gx = _flat_pair(x)
    g = np.ascontiguousarray(g).reshape(-1)
    if flat.dtype == np.float32:
        _backward[float](g, flat, gx, b)
    else:
        _backward[double](g, flat, gx, b)
    return gx.reshape(x.shape)


def _flat_pair(x):
    """The input as one contiguous row, and an output row like it."""
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat, np.empty_like(flat)


cdef void _forward(const real[::1] x, real[::1] y, double b) noexcept nogil:
    cdef Py_ssize_t i, n = x.shape[0]
    for i in prange(n, schedule="static", num_threads=n_threads(n, GRAIN)):
        y[i] = <real>(0.5 * (x[i] + sqrt(<double>x[i] * x[i] + b)))


cdef void _backward(const real[::1] g, const real[::1] x, real[::1] gx, double b) noexcept nogil:
    cdef Py_ssize_t i, n = x.shape[0]
    for i in prange(n, schedule="static", num_threads=n_threads(n, GRAIN)):
        gx[i] = <real>(0.5 * g[i] * (1.0 + x[i] / sqrt(<double>x[i] * x[i] + b)))
