"""Philox4x32-10 and the numbers made of it: compiled twins of backend/reference/random.py.

Design:
* Word i of a stream is a function of the seed and of i.  A request is cut into chunks of 64 blocks; any thread can make
  any chunk, so the thread count cannot change a bit, nor can the instruction set: all of it is integer arithmetic and
  exact scaling, except the logarithm and the cosines of `normal`, whose last bit depends on the instruction set.
* How many words a call uses up is a rule of the reference module (`words`), not of this one.
* The loops are in random_impl.h, compiled for each instruction set.
"""

cimport numpy as cnp

import numpy as np

from libc.stdint cimport int64_t, uint32_t, uint64_t
from tinygrad_course.kernels.door cimport chosen_level, contiguous_as
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "random.h" nogil:
    ctypedef struct tc_stream:
        uint64_t key
        uint64_t low
        uint64_t high

    ctypedef void (*tc_fill_fn)(const tc_stream *s, void *out, Py_ssize_t n, int threads) noexcept
    ctypedef void (*tc_mask_fn)(const tc_stream *s, void *out, Py_ssize_t n, uint32_t threshold, double scale,
                                int threads) noexcept
    ctypedef void (*tc_philox_fn)(const tc_stream *s, uint32_t *out, Py_ssize_t n, int threads) noexcept
    ctypedef void (*tc_randint_fn)(const tc_stream *s, int64_t *out, Py_ssize_t n, int64_t low, uint64_t span,
                                   int threads) noexcept
    tc_fill_fn tc_uniform[2][3]
    tc_fill_fn tc_normal[2][3]
    tc_mask_fn tc_dropout_mask[2][3]
    tc_philox_fn tc_philox[3]
    tc_randint_fn tc_randint[3]

    ctypedef struct tc_keyed:
        pass
    bint tc_permutation(const double *keys, Py_ssize_t n, tc_keyed *sorted, int64_t *ends, Py_ssize_t buckets, int64_t *out)

KERNELS = ("philox", "uniform", "normal", "dropout_mask", "randint", "permutation")

cdef enum:
    GRAIN = 100_000      # words that are worth a thread
    NORMAL_COST = 4      # a normal value takes as long as so many words
    MAX_DIMS = 64
    MOST_BUCKETS = 131072   # their ends stay in the second cache

cdef int _level = chosen_level()


def philox(seed, offset, n):
    """`n` words of stream `seed` from word `offset` on, uint32."""
    cdef tc_stream s = _stream(seed, offset)
    cdef cnp.ndarray out = _empty((n,), cnp.NPY_UINT32)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(out)
    with nogil:
        tc_philox[_level](&s, <uint32_t *>cnp.PyArray_DATA(out), size, n_threads(size, GRAIN))
    return out


def uniform(seed, offset, shape, dtype):
    """Uniform in [0, 1): 24 bits (float32) or 53 bits (float64)."""
    cdef tc_stream s = _stream(seed, offset)
    cdef cnp.ndarray out = _empty(shape, _typenum("uniform", dtype))
    cdef int kind = cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT64
    cdef Py_ssize_t size = cnp.PyArray_SIZE(out)
    with nogil:
        tc_uniform[kind][_level](&s, cnp.PyArray_DATA(out), size, n_threads(size, GRAIN))
    return out


def normal(seed, offset, shape, dtype):
    """Standard normal values by Box and Muller, computed in float64."""
    cdef tc_stream s = _stream(seed, offset)
    cdef cnp.ndarray out = _empty(shape, _typenum("normal", dtype))
    cdef int kind = cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT64
    cdef Py_ssize_t size = cnp.PyArray_SIZE(out)
    with nogil:
        tc_normal[kind][_level](&s, cnp.PyArray_DATA(out), size, n_threads(size * NORMAL_COST, GRAIN))
    return out


def dropout_mask(seed, offset, shape, double p, dtype):
    """0 with probability p, else 1 / (1 - p)."""
    cdef tc_stream s = _stream(seed, offset)
    cdef cnp.ndarray out = _empty(shape, _typenum("dropout_mask", dtype))
    cdef int kind = cnp.PyArray_TYPE(out) == cnp.NPY_FLOAT64
    cdef Py_ssize_t size = cnp.PyArray_SIZE(out)
    cdef uint64_t threshold = round(p * 2.0**32)
    cdef double scale = 0 if threshold >> 32 else 1 / (1 - p)      # p = 1: a mask of zeros
    with nogil:
        tc_dropout_mask[kind][_level](&s, cnp.PyArray_DATA(out), size, <uint32_t>threshold, scale,
                                      n_threads(size, GRAIN))
    return out


def randint(seed, offset, low, high, shape):
    """Integers low <= z < high, int64."""
    if not -(2**63) <= low < high <= 2**63 - 1:
        raise ValueError(f"randint: needs -2**63 <= low < high <= 2**63 - 1, got low={low}, high={high}")
    cdef tc_stream s = _stream(seed, offset)
    cdef cnp.ndarray out = _empty(shape, cnp.NPY_INT64)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(out)
    cdef int64_t first = low
    cdef uint64_t span = high - low
    with nogil:
        tc_randint[_level](&s, <int64_t *>cnp.PyArray_DATA(out), size, first, span, n_threads(size, GRAIN))
    return out


def permutation(cnp.ndarray keys not None):
    """0..n-1 in the order of n uniform float64 keys in [0, 1); equal keys keep their order."""
    cdef cnp.ndarray c = contiguous_as(keys, cnp.NPY_FLOAT64), out
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(c)
    cdef Py_ssize_t buckets = 1
    cdef tc_keyed *scratch
    cdef int64_t *ends
    cdef bint done = False
    while buckets < n and buckets < MOST_BUCKETS:
        buckets *= 2
    out = pool_empty(1, &n, cnp.NPY_INT64)
    scratch = <tc_keyed *>tc_malloc(n * sizeof(tc_keyed) + (buckets + 1) * sizeof(int64_t))
    if scratch == NULL:
        raise MemoryError()
    ends = <int64_t *>(scratch + n)
    with nogil:
        done = tc_permutation(<const double *>cnp.PyArray_DATA(c), n, scratch, ends, buckets,
                              <int64_t *>cnp.PyArray_DATA(out))
        tc_free(scratch)
    if not done:
        raise ValueError("permutation: the keys must lie in [0, 1)")
    return out


cdef tc_stream _stream(seed, offset) except *:
    """Key and first block: Python integers, because the counter has 128 bits."""
    cdef tc_stream s
    if offset % 4 or offset < 0:
        raise ValueError(f"philox: offset must be a multiple of 4 and not negative, got {offset}")
    s.key = seed & 0xFFFFFFFFFFFFFFFF
    s.low = (offset >> 2) & 0xFFFFFFFFFFFFFFFF
    s.high = (offset >> 66) & 0xFFFFFFFFFFFFFFFF
    return s


cdef int _typenum(str op, dtype) except -1:
    cdef int code = (<cnp.dtype>np.dtype(dtype)).type_num
    if code != cnp.NPY_FLOAT32 and code != cnp.NPY_FLOAT64:
        raise TypeError(f"{op}: the compiled kernel makes float32 or float64, not {dtype}")
    return code


cdef cnp.ndarray _empty(shape, int typenum):
    cdef cnp.npy_intp[MAX_DIMS] dims
    cdef int d = 0
    for size in shape:
        if d == MAX_DIMS or size < 0:
            raise ValueError(f"random: {tuple(shape)} is not a shape")
        dims[d] = size
        d += 1
    return pool_empty(d, dims, typenum)
