"""Winograd convolutions for conv.pyx."""

cdef extern from "conv_types.h" nogil:
    ctypedef struct tc_conv_problem:
        pass

# Convolution `which` (TC_CONV, ...) of float32 by F(m x m, 3 x 3): 0, -1 if there is no memory for scratch, 1 if a result
# was not finite and everything must be computed again another way.
cdef int winograd(int which, int m, const tc_conv_problem *p, int threads) noexcept nogil
