"""The matrix product for other Cython modules.

    from tinygrad_course.kernels.gemm cimport gemm, tc_gemm_problem, TC_F32
"""

cdef extern from "gemm_types.h" nogil:
    ctypedef Py_ssize_t tc_int
    const int TC_F32
    const int TC_F64
    ctypedef struct tc_gemm_problem:
        tc_int m, n, k
        const void *a
        tc_int a_row, a_col
        const void *b
        tc_int b_row, b_col
        void *c
        tc_int c_row
        const void *bias
        int row_bias, add
        tc_int terms, a_term, b_term
        tc_int run, b_run, c_run
        int batch_dims
        const tc_int *batch_shape
        const tc_int *a_batch
        const tc_int *b_batch

# C = A B (+ bias, or added to C) of type TC_F32 or TC_F64, on as many threads as are worth it.  All fields must be set
# (start from memset 0).  Returns 0, or -1 if there was no memory for scratch.
cdef int gemm(int type, const tc_gemm_problem *p) noexcept nogil
