"""The front door of a kernel: choose the instruction set, check types once, copy only what is not contiguous."""

cimport numpy as cnp
from tinygrad_course.kernels.copy cimport copied, movable
from tinygrad_course.kernels.memory cimport pool_empty

cdef extern from "isa.h" nogil:
    int tc_choose_level()


# The level of isa.h for this process.
cdef inline int chosen_level() except -1:
    cdef int level = tc_choose_level()
    if level < 0:
        import os
        raise ImportError(f"TINYGRAD_COURSE_ISA={os.environ.get('TINYGRAD_COURSE_ISA')!r} is not an instruction set of "
                          "these kernels. Use base, v3 (AVX2), v4 (AVX-512) or amx, or leave the variable unset.")
    return level


# Index of the element type in the tables of kernel functions: 0 float32, 1 float64.  Other types raise TypeError: the
# namespace of the CPU sends them to the reference kernels.
cdef inline int float_kind(str op, cnp.ndarray x) except -1:
    cdef int code = cnp.PyArray_TYPE(x)
    if code == cnp.NPY_FLOAT32:
        return 0
    if code == cnp.NPY_FLOAT64:
        return 1
    raise TypeError(f"{op}: the compiled kernel takes float32 or float64, not {x.dtype}")


# x itself if it is C-contiguous, aligned and of type `typenum`, else a copy that is.
cdef inline cnp.ndarray contiguous_as(cnp.ndarray x, int typenum):
    if cnp.PyArray_TYPE(x) == typenum and cnp.PyArray_ISCARRAY_RO(x):
        return x
    if cnp.PyArray_TYPE(x) == typenum and movable(x):
        return copied(x)
    return cnp.PyArray_FROMANY(x, typenum, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)


cdef inline cnp.ndarray contiguous(cnp.ndarray x):
    return contiguous_as(x, cnp.PyArray_TYPE(x))


# A new array of the shape and type of x, C order, contents undefined.
cdef inline cnp.ndarray empty_like(cnp.ndarray x):
    return pool_empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
