"""Winograd convolutions: a module of its own, so that it compiles beside conv.pyx, which calls it.

Design: winograd_impl.h.
"""

from tinygrad_course.kernels.door cimport chosen_level
from tinygrad_course.kernels.memory cimport tc_free, tc_malloc

cdef extern from "winograd.h" nogil:
    void *(*tc_scratch_get)(size_t) noexcept nogil
    void (*tc_scratch_put)(void *) noexcept nogil
    int tc_winograd(int which, int m, int level, const tc_conv_problem *p, int threads)

cdef int _level = chosen_level()
tc_scratch_get = tc_malloc
tc_scratch_put = tc_free


cdef int winograd(int which, int m, const tc_conv_problem *p, int threads) noexcept nogil:
    return tc_winograd(which, m, _level, p, threads)
