/* What a matrix product is told: the interface of kernels/gemm.pyx for C and Cython.
 *
 * C[t] = A[t] B[t] + bias for every t of the batch.  A is m x k, B is k x n, both with any strides (counted in numbers,
 * not bytes; negative and zero too); C is m x n with contiguous rows, c_row apart, and batches m * c_row apart.
 * bias has n contiguous numbers (m, one for each row, with row_bias != 0) or is NULL.  With add != 0 the product is added
 * to C, and bias must be NULL.  C must not overlap the operands.
 *
 * Two more forms serve convolutions with a kernel of one pixel, where a matrix (channels x pixels) of each image takes part:
 *     terms > 1    C[t] = sum over s < terms of A[t, s] B[t, s], the operands a_term and b_term apart
 *     run > 0      the columns of B and C lie in runs of `run`, b_run and c_run apart; b_col must be 1, and no batch
 */
#ifndef TC_GEMM_TYPES_H
#define TC_GEMM_TYPES_H
#include <stddef.h>

typedef ptrdiff_t tc_int;
enum { TC_F32 = 0, TC_F64 = 1 };

typedef struct {
    tc_int m, n, k;
    const void *a;
    tc_int a_row, a_col;
    const void *b;
    tc_int b_row, b_col;
    void *c;
    tc_int c_row;
    const void *bias;
    int row_bias, add;
    tc_int terms, a_term, b_term;
    tc_int run, b_run, c_run;
    int batch_dims;                                /* 0: one product, the three pointers below are not read */
    const tc_int *batch_shape, *a_batch, *b_batch; /* per batch dimension: size, stride of A, stride of B */
} tc_gemm_problem;
#endif
