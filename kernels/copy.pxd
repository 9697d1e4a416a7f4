cimport numpy as cnp

# A copy of x in C order, whatever its strides; its memory comes from the pool.
cdef cnp.ndarray copied(cnp.ndarray x)

# y[...] = x for arrays of one shape and type that do not overlap.
cdef int copy_into(cnp.ndarray y, cnp.ndarray x) except -1

# A new array of nd axes with before[d] + size[d] + after[d] places, those in the middle from x, which is looked at under
# `size` and `strides` (bytes; the numbers along the last axis lie together), the others `value`.
cdef cnp.ndarray extended(cnp.ndarray x, const char *data, int nd, const Py_ssize_t *size, const Py_ssize_t *strides,
                          const Py_ssize_t *before, const Py_ssize_t *after, object value)

# Whether these functions move arrays of this type themselves: numbers of native byte order.
cdef bint movable(cnp.ndarray x) noexcept
