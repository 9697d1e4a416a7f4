"""Max and average pooling: compiled twins of backend/reference/pool.py.

Design:
* The positions of the maxima are int32 positions in the input plane: one format for every geometry, and backward needs
  nothing but them.  A plane of 2^31 values does not exist.
* Forward is cut into rows of outputs, backward into planes; one thread has the whole row or plane, so windows that
  overlap are added in a fixed order and the thread count cannot change a bit.
* 2x2 windows side by side have their own loops (every output reads four values, every input is written once).  Backward
  recognises them by the positions themselves: if each lies in its own cell, gradients are written in order instead of
  zeroing the plane and scattering into it.
* The loops are in pool_impl.h, compiled for each instruction set.
"""

cimport numpy as cnp

from libc.stdint cimport int32_t
from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, float_kind
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

from tinygrad_course.errors import ShapeError

cnp.import_array()

cdef extern from "pool.h" nogil:
    ctypedef struct tc_axis:
        Py_ssize_t n
        Py_ssize_t out
        Py_ssize_t kernel
        Py_ssize_t stride
        Py_ssize_t padding
        Py_ssize_t dilation

    ctypedef struct tc_pool:
        tc_axis row
        tc_axis col
        Py_ssize_t planes
        double divisor
        int count_include_pad

    ctypedef void (*tc_max_fn)(const void *x, void *y, int32_t *index, const tc_pool *p, int threads) noexcept
    ctypedef int (*tc_indexed_fn)(const void *src, const int32_t *index, void *dst, const tc_pool *p,
                                  int threads) noexcept
    ctypedef void (*tc_avg_fn)(const void *src, void *dst, const tc_pool *p, int threads) noexcept

    Py_ssize_t tc_pool_size(const tc_axis *a, int ceil_mode)
    tc_max_fn tc_max_pool[2][3]
    tc_indexed_fn tc_max_pool_backward[2][3]
    tc_indexed_fn tc_max_pool_gather[2][3]
    tc_avg_fn tc_avg_pool[2][3]
    tc_avg_fn tc_avg_pool_backward[2][3]

KERNELS = ("max_pool2d", "max_pool2d_backward", "max_pool2d_gather", "avg_pool2d", "avg_pool2d_backward")

cdef enum:
    GRAIN = 100_000      # values read that are worth a thread

cdef int _level = chosen_level()


def max_pool2d(cnp.ndarray x, kernel_size, stride, padding, dilation, bint ceil_mode):
    """Largest value of every window: x (N, C, H, W) -> y, index (N, C, oh, ow); see the reference kernel."""
    cdef tc_pool p
    cdef int kind = float_kind("max_pool2d", x)
    _geometry(&p, "max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    x = contiguous(x)
    cdef cnp.ndarray y = _empty(x, &p, cnp.PyArray_TYPE(x)), index = _empty(x, &p, cnp.NPY_INT32)
    cdef Py_ssize_t work = cnp.PyArray_SIZE(y) * p.row.kernel * p.col.kernel
    with nogil:
        tc_max_pool[kind][_level](cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), <int32_t *>cnp.PyArray_DATA(index), &p,
                                  n_threads(work, GRAIN))
    return y, index


def max_pool2d_backward(cnp.ndarray g, cnp.ndarray index, shape):
    """Zeros of `shape` (N, C, H, W) with g added at index, both (N, C, oh, ow)."""
    cdef tc_pool p
    cdef int kind = float_kind("max_pool2d_backward", g), outside
    cdef cnp.npy_intp[4] dims
    dims[0], dims[1], dims[2], dims[3] = shape
    g = contiguous(g)
    index = _indices("max_pool2d_backward", index, g, dims, &p)
    cdef cnp.ndarray gx = pool_empty(4, dims, cnp.PyArray_TYPE(g))
    with nogil:
        outside = tc_max_pool_backward[kind][_level](
            cnp.PyArray_DATA(g), <int32_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(gx), &p,
            n_threads(p.planes * p.row.n * p.col.n, GRAIN))
    if outside:
        raise IndexError(f"max_pool2d_backward: an index is outside the plane of {p.row.n} x {p.col.n}")
    return gx


def max_pool2d_gather(cnp.ndarray x, cnp.ndarray index):
    """x (N, C, H, W) at index (N, C, oh, ow) of each plane."""
    cdef tc_pool p
    cdef int kind = float_kind("max_pool2d_gather", x), outside
    x = contiguous(x)
    if cnp.PyArray_NDIM(x) != 4:
        raise ShapeError(f"max_pool2d_gather: x must have 4 dimensions (N, C, H, W), got {_shape(x)}")
    index = _indices("max_pool2d_gather", index, index, cnp.PyArray_DIMS(x), &p)
    cdef cnp.ndarray y = pool_empty(4, cnp.PyArray_DIMS(index), cnp.PyArray_TYPE(x))
    with nogil:
        outside = tc_max_pool_gather[kind][_level](
            cnp.PyArray_DATA(x), <int32_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(y), &p,
            n_threads(cnp.PyArray_SIZE(y), GRAIN))
    if outside:
        raise IndexError(f"max_pool2d_gather: an index is outside the plane of {p.row.n} x {p.col.n}")
    return y


def avg_pool2d(cnp.ndarray x, kernel_size, stride, padding, bint ceil_mode, bint count_include_pad, divisor_override):
    """Mean of every window: x (N, C, H, W) -> (N, C, oh, ow); see the reference kernel."""
    cdef tc_pool p
    cdef int kind = float_kind("avg_pool2d", x)
    _geometry(&p, "avg_pool2d", x, kernel_size, stride, padding, (1, 1), ceil_mode)
    _set_divisor(&p, count_include_pad, divisor_override)
    x = contiguous(x)
    cdef cnp.ndarray y = _empty(x, &p, cnp.PyArray_TYPE(x))
    cdef Py_ssize_t work = cnp.PyArray_SIZE(y) * p.row.kernel * p.col.kernel
    with nogil:
        tc_avg_pool[kind][_level](cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), &p, n_threads(work, GRAIN))
    return y


def avg_pool2d_backward(cnp.ndarray g, shape, kernel_size, stride, padding, bint ceil_mode, bint count_include_pad,
                        divisor_override):
    """Adjoint of avg_pool2d: g (N, C, oh, ow) -> gx of `shape`."""
    cdef tc_pool p
    cdef int kind = float_kind("avg_pool2d_backward", g)
    cdef cnp.npy_intp[4] dims
    dims[0], dims[1], dims[2], dims[3] = shape
    g = contiguous(g)
    cdef cnp.ndarray gx = pool_empty(4, dims, cnp.PyArray_TYPE(g))
    _geometry(&p, "avg_pool2d_backward", gx, kernel_size, stride, padding, (1, 1), ceil_mode)
    _set_divisor(&p, count_include_pad, divisor_override)
    if _shape(g) != (dims[0], dims[1], p.row.out, p.col.out):
        raise ShapeError(f"avg_pool2d_backward: g {_shape(g)} is not the output of a pooled {tuple(shape)}: "
                         f"needs {(dims[0], dims[1], p.row.out, p.col.out)}")
    cdef Py_ssize_t work = cnp.PyArray_SIZE(g) * p.row.kernel * p.col.kernel
    with nogil:
        tc_avg_pool_backward[kind][_level](cnp.PyArray_DATA(g), cnp.PyArray_DATA(gx), &p, n_threads(work, GRAIN))
    return gx


cdef int _geometry(tc_pool *p, str op, cnp.ndarray x, kernel_size, stride, padding, dilation,
                   bint ceil_mode) except -1:
    """Fills p for pooling x; raises ShapeError if the kernel does not fit."""
    if cnp.PyArray_NDIM(x) != 4:
        raise ShapeError(f"{op}: the input must have 4 dimensions (N, C, H, W), got {_shape(x)}")
    p.planes = cnp.PyArray_DIM(x, 0) * cnp.PyArray_DIM(x, 1)
    p.row.n, p.col.n = cnp.PyArray_DIM(x, 2), cnp.PyArray_DIM(x, 3)
    p.row.kernel, p.col.kernel = kernel_size
    p.row.stride, p.col.stride = stride
    p.row.padding, p.col.padding = padding
    p.row.dilation, p.col.dilation = dilation
    p.divisor, p.count_include_pad = 0, 0
    if (min(p.row.kernel, p.col.kernel, p.row.stride, p.col.stride, p.row.dilation, p.col.dilation) < 1
            or min(p.row.padding, p.col.padding) < 0 or p.row.n * p.col.n >= <Py_ssize_t>1 << 31):
        raise ValueError(f"{op}: kernel_size {kernel_size}, stride {stride} and dilation {dilation} must be at least "
                         f"1, padding {padding} at least 0, and a plane smaller than 2**31 values")
    p.row.out, p.col.out = tc_pool_size(&p.row, ceil_mode), tc_pool_size(&p.col, ceil_mode)
    if p.row.n < 1 or p.col.n < 1 or p.row.out < 1 or p.col.out < 1:
        raise ShapeError(
            f"{op}: kernel_size {kernel_size} with padding {padding} and dilation {dilation} does not fit into an "
            f"input plane of {p.row.n} x {p.col.n}: the output would be {p.row.out} x {p.col.out}. "
            "Use a smaller kernel or more padding.")
    return 0


cdef int _set_divisor(tc_pool *p, bint count_include_pad, divisor_override) except -1:
    p.count_include_pad = count_include_pad
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("avg_pool2d: divisor_override must not be 0")
        p.divisor = divisor_override
    return 0


cdef cnp.ndarray _empty(cnp.ndarray x, const tc_pool *p, int typenum):
    cdef cnp.npy_intp[4] dims
    dims[0], dims[1] = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    dims[2], dims[3] = p.row.out, p.col.out
    return pool_empty(4, dims, typenum)


cdef cnp.ndarray _indices(str op, cnp.ndarray index, cnp.ndarray g, const cnp.npy_intp *dims, tc_pool *p):
    """The index array as contiguous int32, and p for planes of dims (N, C, H, W); raises ShapeError."""
    cdef cnp.npy_intp *at = cnp.PyArray_DIMS(index)
    if (cnp.PyArray_NDIM(index) != 4 or at[0] != dims[0] or at[1] != dims[1]
            or not cnp.PyArray_SAMESHAPE(index, g)):
        raise ShapeError(f"{op}: index {_shape(index)} does not fit the planes {(dims[0], dims[1], dims[2], dims[3])} "
                         f"or the values {_shape(g)}")
    p.planes = dims[0] * dims[1]
    p.row.n, p.col.n, p.row.out, p.col.out = dims[2], dims[3], at[2], at[3]
    return contiguous_as(index, cnp.NPY_INT32)


cdef tuple _shape(cnp.ndarray x):
    return (<object>x).shape
