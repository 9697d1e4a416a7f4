"""Rotated, sheared, tilted and distorted images: compiled twin of backend/reference/warp.py.

Design:
* A map is given by lines along the two axes (warp_impl.h), so that no grid of places is made for affine and perspective maps.
* Images may lie in memory as (C, H, W) or (H, W, C), or as any array of non-negative strides; the result lies like the image.
  Others are copied.
* Bytes are packed into 32 bits per pixel, so that one gather brings up to four channels.  The nearest pixel is copied, of
  any type of up to eight bytes; wider types and objects are refused.
* A task owns some rows of the result: the thread count cannot change a bit.
"""

cimport numpy as cnp

from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISBEHAVED_RO(cnp.ndarray) nogil

cdef extern from "warp.h" nogil:
    ctypedef struct tc_warp_map:
        const char *x
        const char *fill
        char *y
        const double *across
        const double *down
        const double *offsets
        Py_ssize_t n, channels, height, width, rows, columns, item
        Py_ssize_t from_ "from"[4]
        Py_ssize_t to[4]
        int lines
    void *(*tc_scratch_get)(size_t size)
    void (*tc_scratch_put)(void *p)
    ctypedef void (*tc_warp_fn)(const tc_warp_map *m, int threads, int *failed) noexcept
    tc_warp_fn tc_warp_bilinear[2][3]
    tc_warp_fn tc_warp_bytes[3]
    void tc_warp_nearest(const tc_warp_map *m, int threads, int *failed)

KERNELS = ("warp",)

cdef enum:
    GRAIN = 65536  # values that are worth a thread

cdef int _level = chosen_level()

tc_scratch_get = tc_malloc
tc_scratch_put = tc_free


def warp(cnp.ndarray x not None, cnp.ndarray across not None, cnp.ndarray down not None, cnp.ndarray offsets,
         cnp.ndarray fill not None, bint nearest):
    """Output pixel (row, column) of image n is the image at (u, v) = across[n, :2, column] + down[n, :2, row]."""
    cdef tc_warp_map m
    cdef tc_warp_fn work
    cdef cnp.npy_intp dims[4]
    cdef cnp.ndarray y, moves
    cdef int d, failed = 0, code = cnp.PyArray_TYPE(x)
    cdef Py_ssize_t reach
    m.item = cnp.PyArray_ITEMSIZE(x)
    cdef bint number = cnp.PyArray_ISNUMBER(x) or cnp.PyArray_ISBOOL(x)
    if nearest and number and (m.item == 1 or m.item == 2 or m.item == 4 or m.item == 8):
        work = tc_warp_nearest
    elif not nearest and code == cnp.NPY_UINT8:
        work = tc_warp_bytes[_level]
    elif not nearest and code in (cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        work = tc_warp_bilinear[code == cnp.NPY_FLOAT64][_level]
    else:
        raise TypeError("warp: the compiled kernel takes uint8, float32 and float64, and for the nearest pixel every number "
                        f"of at most 8 bytes, not {x.dtype} with nearest={nearest}")
    _check(x, across, down, offsets, fill)
    for d in range(4):
        if cnp.PyArray_STRIDE(x, d) < 0 or cnp.PyArray_STRIDE(x, d) % m.item or not PyArray_ISBEHAVED_RO(x):
            x = contiguous(x)
            break
    reach = cnp.PyArray_DIM(x, 2) * cnp.PyArray_STRIDE(x, 2) + cnp.PyArray_DIM(x, 3) * cnp.PyArray_STRIDE(x, 3)
    if reach // m.item >= 2**31 - 2 * m.item:
        raise ValueError(f"warp: an image of {(<object>x).shape} is too large; it must span less than 2^31 numbers")
    across, down, fill = (contiguous_as(across, cnp.NPY_FLOAT64), contiguous_as(down, cnp.NPY_FLOAT64),
                          contiguous_as(fill, code))
    m.n, m.channels, m.height, m.width = (cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(x, 2),
                                          cnp.PyArray_DIM(x, 3))
    m.lines, m.columns, m.rows = <int>cnp.PyArray_DIM(across, 1), cnp.PyArray_DIM(across, 2), cnp.PyArray_DIM(down, 2)
    # The channels lie innermost in the result if they do so in the image.
    last = m.channels > 1 and cnp.PyArray_STRIDE(x, 1) < cnp.PyArray_STRIDE(x, 3)
    dims[0], dims[1], dims[2], dims[3] = m.n, m.channels, m.rows, m.columns
    if last:
        dims[1], dims[2], dims[3] = m.rows, m.columns, m.channels
    y = pool_empty(4, dims, code)
    if last:
        y = y.transpose(0, 3, 1, 2)
    if cnp.PyArray_SIZE(y) == 0:
        return y
    for d in range(4):
        m.from_[d], m.to[d] = cnp.PyArray_STRIDE(x, d) // m.item, cnp.PyArray_STRIDE(y, d) // m.item
    m.x, m.fill, m.y = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(fill), cnp.PyArray_BYTES(y)
    m.across, m.down, m.offsets = <double *>cnp.PyArray_DATA(across), <double *>cnp.PyArray_DATA(down), NULL
    if offsets is not None:
        moves = contiguous_as(offsets, cnp.NPY_FLOAT64)
        m.offsets = <double *>cnp.PyArray_DATA(moves)
    with nogil:
        work(&m, n_threads(m.n * m.rows * m.columns * (m.channels + 1), GRAIN), &failed)
    if failed:
        raise MemoryError()
    return y


cdef int _check(cnp.ndarray x, cnp.ndarray across, cnp.ndarray down, cnp.ndarray offsets, cnp.ndarray fill) except -1:
    cdef bint fits = (cnp.PyArray_NDIM(x) == 4 and cnp.PyArray_NDIM(across) == 3 and cnp.PyArray_NDIM(down) == 3
                      and cnp.PyArray_NDIM(fill) == 1 and (offsets is None or cnp.PyArray_NDIM(offsets) == 4))
    if fits:
        fits = (cnp.PyArray_DIM(across, 0) == cnp.PyArray_DIM(x, 0) == cnp.PyArray_DIM(down, 0)
                and 2 <= cnp.PyArray_DIM(across, 1) == cnp.PyArray_DIM(down, 1) <= 3
                and cnp.PyArray_DIM(fill, 0) == cnp.PyArray_DIM(x, 1)
                and cnp.PyArray_DIM(x, 2) > 0 and cnp.PyArray_DIM(x, 3) > 0)
    if fits and offsets is not None:
        fits = (cnp.PyArray_DIM(offsets, 0) == cnp.PyArray_DIM(x, 0) and cnp.PyArray_DIM(offsets, 1) == 2
                and cnp.PyArray_DIM(offsets, 2) == cnp.PyArray_DIM(down, 2)
                and cnp.PyArray_DIM(offsets, 3) == cnp.PyArray_DIM(across, 2))
    if not fits:
        shapes = [getattr(array, "shape", None) for array in (x, across, down, offsets, fill)]
        raise ValueError("warp: the shapes of images, lines across and down, offsets and fill are %s; needed are (N, C, H, "
                         "W), (N, 2 or 3, columns), (N, 2 or 3, rows), None or (N, 2, rows, columns), and (C,)" % shapes)
    return 0
