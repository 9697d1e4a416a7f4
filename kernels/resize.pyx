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


cdef int _describe(str op, tc_grid_map *m, cnp.ndarray grid, tuple spatial, Py_ssize_t n, Py_ssize_t channels, str mode,
                   str padding_mode, bint align_corners, tuple orders) except -1:
    """Fill in everything but the pointers to data."""
    cdef int d
    cdef Py_ssize_t plane = 1
    m.axes, m.n, m.channels, m.places = <int>len(spatial), n, channels, 1
    if (m.axes != 2 and m.axes != 3) or cnp.PyArray_NDIM(grid) != m.axes + 2 or cnp.PyArray_DIM(grid, 0) != n \
            or cnp.PyArray_DIM(grid, m.axes + 1) != m.axes or len(orders) != m.axes:
        raise ValueError(f"{op}: {n} images of {spatial} with a grid {(<object>grid).shape} and the orders {orders}")
    for d in range(m.axes):
        m.places *= cnp.PyArray_DIM(grid, 1 + d)
    for d in range(3):
        m.size[d] = spatial[d - 3 + m.axes] if d >= 3 - m.axes else 1
        m.order[d] = orders[d - 3 + m.axes] if d >= 3 - m.axes else 0
        plane *= m.size[d]
    if not 0 < plane < 2**31:
        raise ValueError(f"{op}: a channel of {spatial} has {plane} pixels; there must be at least one and less than 2^31")
    m.mode = ("nearest", "bilinear", "bicubic").index(mode)
    if m.mode == 2 and m.axes == 3:
        raise ValueError(f"{op}: there is no bicubic mode for volumes")
    m.padding = ("zeros", "border", "reflection").index(padding_mode)
    m.aligned = align_corners
    m.group = max(1, min(channels, n * channels // SCATTER_TASKS))
    return 0


cdef int _run(tc_grid_fn work, const tc_grid_map *m) except -1:
    cdef int failed = 0
    cdef int taps = (m.mode * m.mode or 1) if m.axes == 2 else m.mode * 8 or 1
    with nogil:
        work(m, n_threads(m.n * m.channels * m.places * (taps + 1), GRAIN), &failed)
    if failed:
        raise MemoryError()
    return 0


cdef cnp.ndarray _new(tuple shape, int typenum):
    cdef cnp.npy_intp dims[MAX_ND]
    cdef int d
    for d in range(<int>len(shape)):
        dims[d] = shape[d]
    return pool_empty(<int>len(shape), dims, typenum)


def grid_sample(cnp.ndarray x not None, cnp.ndarray grid not None, str mode, str padding_mode, bint align_corners,
                tuple orders):
    """y[n, c, p] = sum over the taps of place grid[n, p] of the product of their weights along the axes * x[n, c, tap]."""
    cdef tc_grid_map m
    cdef int kind = float_kind("grid_sample", x), code = cnp.PyArray_TYPE(x)
    cdef tuple shape = (<object>x).shape
    _describe("grid_sample", &m, grid, shape[2:], shape[0], shape[1], mode, padding_mode, align_corners, orders)
    cdef cnp.ndarray y = _new(shape[:2] + (<object>grid).shape[1:m.axes + 1], code)
    x, grid = contiguous(x), contiguous_as(grid, code)
    m.x, m.grid, m.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(grid), cnp.PyArray_BYTES(y)
    if cnp.PyArray_SIZE(y):
        _run(tc_grid_sample[kind][_level], &m)
    return y


def grid_sample_input(cnp.ndarray g not None, cnp.ndarray grid not None, tuple size, str mode, str padding_mode,
                      bint align_corners, tuple orders):
    """The gradient of sum(g * grid_sample(x, grid)) in x (N, C, *size): the transposed map of g."""
    cdef tc_grid_map m
    cdef int kind = float_kind("grid_sample_input", g), code = cnp.PyArray_TYPE(g)
    cdef tuple shape = (<object>g).shape
    _describe("grid_sample_input", &m, grid, size, shape[0], shape[1], mode, padding_mode, align_corners, orders)
    _match("grid_sample_input", g, shape[:2], grid)
    cdef cnp.ndarray y = _new(shape[:2] + size, code)
    g, grid = contiguous(g), contiguous_as(grid, code)
    m.g, m.grid, m.y = cnp.PyArray_BYTES(g), cnp.PyArray_BYTES(grid), cnp.PyArray_BYTES(y)
    if cnp.PyArray_SIZE(y):
        _run(tc_grid_sample_input[kind][_level], &m)
    return y


def grid_sample_grid(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray grid not None, str mode, str padding_mode,
                     bint align_corners, tuple orders):
    """The gradient of sum(g * grid_sample(x, grid)) in the grid."""
    cdef tc_grid_map m
    cdef int kind = float_kind("grid_sample_grid", g), code = cnp.PyArray_TYPE(g)
    cdef tuple shape = (<object>x).shape
    _describe("grid_sample_grid", &m, grid, shape[2:], shape[0], shape[1], mode, padding_mode, align_corners, orders)
    _match("grid_sample_grid", g, shape[:2], grid)
    cdef cnp.ndarray y = _new((<object>grid).shape, code)
    g, x, grid = contiguous(g), contiguous_as(x, code), contiguous_as(grid, code)
    m.g, m.x, m.grid, m.y = cnp.PyArray_BYTES(g), cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(grid), cnp.PyArray_BYTES(y)
    if cnp.PyArray_SIZE(y):
        _run(tc_grid_sample_grid[kind][_level], &m)
    return y


cdef int _match(str op, object g, tuple images, object grid) except -1:
    if g.shape != images + grid.shape[1:grid.ndim - 1]:
        raise ValueError(f"{op}: g has the shape {g.shape}, not {images + grid.shape[1:grid.ndim - 1]}")
    return 0
