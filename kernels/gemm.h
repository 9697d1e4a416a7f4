/* The matrix product at every level (isa.h): blocking constants, and the table from (type, level) to function. */
#ifndef TC_GEMM_H
#define TC_GEMM_H
#include "gemm_types.h"
#include "isa.h"
#include "tasks.h"

typedef int (*tc_gemm_function)(const tc_gemm_problem *, int threads);

/* Blocking, in numbers of the matrix (gemm_impl.h says what each is for). */
enum {
    TC_GEMM_SLICE = 512,    /* of k */
    TC_GEMM_SHORT = 64,     /* of k, with at most TC_GEMM_THIN rows or columns, for precision */
    TC_GEMM_THIN = 14,
    TC_GEMM_DOTS = 128,     /* vectors of k, in dot products, for precision */
    TC_GEMM_FEW = 16,       /* rows for dot products: more of them do not stay in the first cache */
    TC_GEMM_ROWS = 196,     /* of A in the second cache */
    TC_GEMM_COLS = 512,     /* of C per task, at most */
    TC_GEMM_LARGE = 1 << 26, /* multiplications and numbers of C from which on packing more often does not matter */
    TC_GEMM_WIDE = 1 << 16,
    TC_GEMM_FAR = 1 << 21   /* bytes of C that do not stay in the second cache */
};

#define TC_IMPL "gemm_impl.h"
#include "isa.h"

static const tc_gemm_function *const tc_gemm_table[2][TC_LEVELS] = {TC_PER_LEVEL(tc_gemm_entry, f32),
                                                                   TC_PER_LEVEL(tc_gemm_entry, f64)};

/* 0, or -1 if there is no memory for scratch. */
static inline int tc_gemm(int type, int level, const tc_gemm_problem *p, int threads) {
    return (*tc_gemm_table[type][level])(p, threads);
}
static const int tc_tile_rows[TC_LEVELS] = {6, 6, 14}, tc_vector_bytes[TC_LEVELS] = {16, 32, 64};
#endif
