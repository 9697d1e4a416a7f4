"""Products with sparse matrices along an axis, which is what resizing is: compiled twin of backend/reference/resize.py.

Design:
* One kernel for interpolation of every mode, adaptive averages, windows, and the adjoint of each, which is the product with
  the transposed matrix.
* Along the last axis the vectors run over the output row and gather from the input row, along any other axis whole rows
  are added up (resize_impl.h).  `interpolate` therefore enlarges the last axis first: the gathers then see fewer rows.
* The layers of the matrix become two tables with an entry for every output row; they are small beside the image.
* Every output element is summed in the order of the layers by one task: the thread count cannot change a bit.
"""

cimport numpy as cnp

import numpy as np

from libc.stdint cimport int32_t
from tinygrad_course.kernels.door cimport chosen_level, contiguous, float_kind
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "resize.h" nogil:
    ctypedef struct tc_axis_map:
        const char *x
        const char *weights
        char *y
        const int32_t *cols
        Py_ssize_t before, out, after, taps, item
        Py_ssize_t n_in "in"
        bint padded
    void *(*tc_scratch_get)(size_t size)
    void (*tc_scratch_put)(void *p)
    ctypedef void (*tc_axis_product_fn)(const tc_axis_map *m, int threads, int *failed) noexcept
    tc_axis_product_fn tc_axis_product[2][3]

KERNELS = ("axis_product",)

cdef enum:
    GRAIN = 65536      # products that are worth a thread
    MAX_ND = 64

cdef int _level = chosen_level()

tc_scratch_get = tc_malloc
tc_scratch_put = tc_free


def axis_product(cnp.ndarray x not None, int axis, Py_ssize_t size, tuple layers not None):
    """y[..., r, ...] = sum over the entries (r, c, w) of w * x[..., c, ...] along `axis`, which gets `size` elements."""
    cdef int kind = float_kind("axis_product", x), d, failed = 0
    cdef int nd = cnp.PyArray_NDIM(x)
    cdef cnp.npy_intp dims[MAX_ND]
    cdef tc_axis_map m
    cdef cnp.ndarray cols, weights, y
    if axis < 0 or axis >= nd:
        raise ValueError(f"axis_product: axis {axis} of an input with {nd} dimensions")
    m.before = m.after = 1
    for d in range(nd):
        dims[d] = size if d == axis else cnp.PyArray_DIM(x, d)
        if d < axis:
            m.before *= dims[d]
        elif d > axis:
            m.after *= dims[d]
    m.n_in, m.out, m.taps = cnp.PyArray_DIM(x, axis), size, max(1, len(layers))
    m.item = cnp.PyArray_ITEMSIZE(x)
    y = pool_empty(nd, dims, cnp.PyArray_TYPE(x))
    if cnp.PyArray_SIZE(y) == 0:
        return y
    cols = np.full((m.taps, size), m.n_in, np.int32)
    weights = np.zeros((m.taps, size), x.dtype)
    cdef Py_ssize_t entries = 0
    for d, (rows, places, values) in enumerate(layers):
        cols[d, rows] = places
        weights[d, rows] = 1 if values is None else values
        entries += len(places)
    if cols.min() < 0 or cols.max() > m.n_in:
        raise ValueError(f"axis_product: the matrix has columns from {cols.min()} to {cols.max()}, axis {axis} of the input "
                         f"{(<object>x).shape} has the size {m.n_in}")
    x = contiguous(x)
    m.padded = entries < m.taps * size
    m.x = <const char *>cnp.PyArray_DATA(x)
    m.y = <char *>cnp.PyArray_DATA(y)
    m.cols = <const int32_t *>cnp.PyArray_DATA(cols)
    m.weights = <const char *>cnp.PyArray_DATA(weights)
    with nogil:
        tc_axis_product[kind][_level](&m, n_threads(cnp.PyArray_SIZE(y) * m.taps, GRAIN), &failed)
    if failed:
        raise MemoryError()
    return y
