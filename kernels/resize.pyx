"""Resizing, that is products with sparse matrices along an axis, and images at the places of a grid: compiled twin of
backend/reference/resize.py.

Design:
* One kernel for interpolation of every mode, adaptive averages, windows, and the adjoint of each, which is the product with
  the transposed matrix.
* Along the last axis the vectors run over the output row and gather from the input row, along any other axis whole rows
  are added up (resize_impl.h).  `interpolate` therefore enlarges the last axis first: the gathers then see fewer rows.
* The layers of the matrix become two tables with an entry for every output row; they are small beside the image.
* Every output element is summed in the order of the layers by one task: the thread count cannot change a bit.
* Grids: see grid_impl.h.  The gradient of the image is added up by tasks that own whole channels, place after place.
"""

cimport numpy as cnp

import numpy as np

from libc.stdint cimport int32_t
from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, float_kind
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
    ctypedef struct tc_grid_map:
        const char *x
        const char *grid
        const char *g
        char *y
        Py_ssize_t n, channels, places, group
        Py_ssize_t size[3]
        int axes, mode, padding, aligned
        int order[3]
    ctypedef void (*tc_grid_fn)(const tc_grid_map *m, int threads, int *failed) noexcept
    tc_grid_fn tc_grid_sample[2][3]
    tc_grid_fn tc_grid_sample_input[2][3]
    tc_grid_fn tc_grid_sample_grid[2][3]

KERNELS = ("axis_product", "grid_sample", "grid_sample_grid", "grid_sample_input")

cdef enum:
    GRAIN = 65536      # products that are worth a thread
    MAX_ND = 64
    SCATTER_TASKS = 16  # at least, where there are so many channels

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


cdef int _run(tc_grid_fn work, const tc_grid_map *m) except -1:
    cdef int failed = 0
    cdef int taps = (m.mode * m.mode or 1) if m.axes == 2 else m.mode * 8 or 1
    with nogil:
        work(m, n_threads(m.n * m.channels * m.places * (taps + 1), GRAIN), &failed)
    if failed:
        raise MemoryError()
    return 0


cdef cnp.ndarray _sample(str op, cnp.ndarray g, cnp.ndarray x, cnp.ndarray grid, tuple size, str mode, str padding_mode,
                         bint align_corners, tuple orders):
    """grid_sample if there is no g, grid_sample_input if there is no x, else grid_sample_grid; size: of the images."""
    cdef tc_grid_map m
    cdef tc_grid_fn work
    cdef cnp.npy_intp dims[MAX_ND]
    cdef cnp.ndarray y, images = x if g is None else g
    cdef int d, kind = float_kind(op, images), code = cnp.PyArray_TYPE(images)
    cdef int axes = <int>len(size), ndim = axes + 2
    cdef Py_ssize_t plane = 1
    cdef bint fits = (2 <= axes <= 3 and len(orders) == axes and cnp.PyArray_NDIM(grid) == ndim
                      and cnp.PyArray_DIM(grid, axes + 1) == axes and cnp.PyArray_NDIM(images) == ndim
                      and cnp.PyArray_DIM(grid, 0) == cnp.PyArray_DIM(images, 0))
    if fits and g is not None:
        for d in range(axes):
            fits = fits and cnp.PyArray_DIM(g, 2 + d) == cnp.PyArray_DIM(grid, 1 + d)
        if x is not None:
            fits = (fits and cnp.PyArray_NDIM(x) == ndim and cnp.PyArray_DIM(x, 0) == cnp.PyArray_DIM(g, 0)
                    and cnp.PyArray_DIM(x, 1) == cnp.PyArray_DIM(g, 1))
    if not fits:
        shapes = [getattr(array, "shape", None) for array in (g, x, grid)]
        raise ValueError("%s: g, images and grid of the shapes %s do not fit each other, the size %s and the orders %s" %
                         (op, shapes, size, orders))
    m.axes, m.n, m.channels, m.places = axes, cnp.PyArray_DIM(images, 0), cnp.PyArray_DIM(images, 1), 1
    for d in range(3):
        m.size[d] = size[d - 3 + axes] if d >= 3 - axes else 1
        m.order[d] = orders[d - 3 + axes] if d >= 3 - axes else 0
        plane *= m.size[d]
    if not 0 < plane < 2**31:
        raise ValueError("%s: a channel of %s has %d pixels; there must be at least one and less than 2^31" %
                         (op, size, plane))
    m.mode = ("nearest", "bilinear", "bicubic").index(mode)
    if m.mode == 2 and axes == 3:
        raise ValueError("%s: there is no bicubic mode for volumes" % op)
    m.padding = ("zeros", "border", "reflection").index(padding_mode)
    m.aligned = align_corners
    m.group = max(1, min(m.channels, m.n * m.channels // SCATTER_TASKS))
    dims[0], dims[1], dims[axes + 1] = m.n, m.channels, axes
    for d in range(axes):
        m.places *= cnp.PyArray_DIM(grid, 1 + d)
        if g is not None and x is not None:
            dims[1 + d] = cnp.PyArray_DIM(grid, 1 + d)
        else:
            dims[2 + d] = cnp.PyArray_DIM(grid, 1 + d) if g is None else m.size[3 - axes + d]
    y = pool_empty(ndim, dims, code)
    grid = contiguous_as(grid, code)
    m.grid, m.y = cnp.PyArray_BYTES(grid), cnp.PyArray_BYTES(y)
    m.g = m.x = NULL
    if g is not None:
        g = contiguous(g)
        m.g = cnp.PyArray_BYTES(g)
    if x is not None:
        x = contiguous_as(x, code)
        m.x = cnp.PyArray_BYTES(x)
    if cnp.PyArray_SIZE(y):
        work = tc_grid_sample[kind][_level]
        if g is not None:
            work = tc_grid_sample_input[kind][_level] if x is None else tc_grid_sample_grid[kind][_level]
        _run(work, &m)
    return y


def grid_sample(cnp.ndarray x not None, cnp.ndarray grid not None, str mode, str padding_mode, bint align_corners,
                tuple orders):
    """y[n, c, p] = sum over the taps of place grid[n, p] of the product of their weights along the axes * x[n, c, tap]."""
    return _sample("grid_sample", None, x, grid, (<object>x).shape[2:], mode, padding_mode, align_corners, orders)


def grid_sample_input(cnp.ndarray g not None, cnp.ndarray grid not None, tuple size, str mode, str padding_mode,
                      bint align_corners, tuple orders):
    """The gradient of sum(g * grid_sample(x, grid)) in x (N, C, *size): the transposed map of g."""
    return _sample("grid_sample_input", g, None, grid, size, mode, padding_mode, align_corners, orders)


def grid_sample_grid(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray grid not None, str mode, str padding_mode,
                     bint align_corners, tuple orders):
    """The gradient of sum(g * grid_sample(x, grid)) in the grid."""
    return _sample("grid_sample_grid", g, x, grid, (<object>x).shape[2:], mode, padding_mode, align_corners, orders)
