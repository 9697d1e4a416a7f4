"""Norms of many arrays, their scaling and clamping in place: compiled twins of backend/reference/clip.py.

Design:
* Gradients are clipped in every step of training, and small networks have many small ones: one call takes all arrays.
* Arrays are cut into stretches of a fixed number of elements, which the threads share; the results of an array's
  stretches are added in order, in double: the thread count cannot change a bit.
* Elements may be taken in any order, so an array that is contiguous in some order of its axes is used as it lies.  One
  that is not, or neither float32 nor float64, is copied into one that is, and what was written is copied back.
"""

cimport numpy as cnp

from libc.math cimport INFINITY, fmax, sqrt
from tinygrad_course.kernels.door cimport chosen_level, contiguous_as
from tinygrad_course.kernels.memory cimport tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "clip.h" nogil:
    enum:
        TC_NORM_1, TC_NORM_2, TC_NORM_INF, TC_SCALE, TC_CLAMP

    ctypedef struct tc_clip_piece:
        void *x
        Py_ssize_t n
        int kind
        double result

    const int TC_CLIP_STRETCH
    void tc_clip_all(int job, double low, double high, tc_clip_piece *all, Py_ssize_t n, int level, int threads)

KERNELS = ("clamp_all", "norms", "scale_all")

cdef enum:
    GRAIN = 200_000      # elements that are worth a thread

cdef int _level = chosen_level()


def norms(arrays, double order):
    """The norm of each array.  See the reference kernel for the formula."""
    if order not in (1, 2, INFINITY):
        raise ValueError(f"norms: the order must be 1, 2 or inf, got {order}")
    found = np.zeros(len(arrays))
    _run(TC_NORM_1 if order == 1 else TC_NORM_2 if order == 2 else TC_NORM_INF, arrays, 0, 0, found)
    return found


def scale_all(arrays, double factor):
    """x <- factor x.  See the reference kernel."""
    _run(TC_SCALE, arrays, factor, 0, None)


def clamp_all(arrays, double low, double high):
    """x <- min(max(x, low), high).  See the reference kernel."""
    _run(TC_CLAMP, arrays, low, high, None)


# Does `job` to all arrays.  Norms go to `found`; without it the arrays are written to.
cdef int _run(int job, arrays, double low, double high, cnp.ndarray found) except -1:
    cdef Py_ssize_t i, size, done, _piece, work = 0, pieces = 0, k = 0
    cdef cnp.ndarray x
    cdef double *total
    cdef tc_clip_piece *all
    cdef list usable = [_usable(x, found is None) for x in arrays]
    for x in usable:
        size = cnp.PyArray_SIZE(x)
        pieces += (size + TC_CLIP_STRETCH - 1) // TC_CLIP_STRETCH
        work += size
    all = <tc_clip_piece *>tc_malloc(pieces * sizeof(tc_clip_piece))
    if all == NULL and pieces:
        raise MemoryError
    for x in usable:
        size = cnp.PyArray_SIZE(x)
        for done in range(0, size, TC_CLIP_STRETCH):
            all[k].x = <char *>cnp.PyArray_DATA(x) + done * cnp.PyArray_ITEMSIZE(x)
            all[k].n = min(size - done, TC_CLIP_STRETCH)
            all[k].kind = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64
            k += 1
    with nogil:
        tc_clip_all(job, low, high, all, pieces, _level, n_threads(work, GRAIN))
    if found is not None:
        k = 0
        total = <double *>cnp.PyArray_DATA(found)
        for i, x in enumerate(usable):
            for _piece in range(0, cnp.PyArray_SIZE(x), TC_CLIP_STRETCH):
                if job != TC_NORM_INF:
                    total[i] += all[k].result
                elif all[k].result != all[k].result or total[i] != total[i]:
                    total[i] += all[k].result    # NaN, which fmax would drop
                else:
                    total[i] = fmax(total[i], all[k].result)
                k += 1
            if job == TC_NORM_2:
                total[i] = sqrt(total[i])
    tc_free(all)
    if found is None:
        for given, x in zip(arrays, usable, strict=True):
            if x is not given:
                given[...] = x
    return 0


# x itself, or a copy that the loops can take.
cdef cnp.ndarray _usable(cnp.ndarray x, bint writes):
    cdef int code = cnp.PyArray_TYPE(x)
    if writes and not cnp.PyArray_ISWRITEABLE(x):
        raise ValueError("assignment destination is read-only")
    if code != cnp.NPY_FLOAT32 and code != cnp.NPY_FLOAT64:
        return contiguous_as(x, cnp.NPY_FLOAT32)
    return x if cnp.PyArray_ISONESEGMENT(x) and cnp.PyArray_ISBEHAVED_RO(x) else contiguous_as(x, code)
