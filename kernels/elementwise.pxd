cimport numpy as cnp

# The loop with this number (see LOOPS) on contiguous float arrays; None where the kernel's own door has to be taken.
cdef object loop_unary(int loop, cnp.ndarray x)
cdef object loop_binary(int loop, cnp.ndarray x, cnp.ndarray y)

# min(max(x, low), high) with broadcasting; None for other than float arrays of one type.
cdef cnp.ndarray clamped(cnp.ndarray x, cnp.ndarray low, cnp.ndarray high)
