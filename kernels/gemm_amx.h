/* The product of float32 matrices through AMX: plan, what numbers it may be given, and the loop over its parts.
 *
 * gemm_amx_impl.h packs and multiplies (its header explains the split into terms of bf16); amx.h has the tiles.  This is
 * the order of work:
 *
 *     for a group of matrices of the batch, a slice of k, a chunk of columns, a chunk of rows:
 *         all threads pack rows of A and columns of B, and note how large the numbers are
 *         all threads multiply; a product whose numbers do not suit the tiles goes to the kernel of gemm_impl.h instead
 *
 * Groups, slices and chunks bound the memory for packed operands to some 50 MB; they depend on the shape alone.  A number
 * of C is always the same sum over the k of a slice, wherever its tile begins, so results are bitwise the same for any
 * number of threads.
 *
 * What suits the tiles.  AMX takes denormal operands for zero and makes denormal results zero.  Its result is as good as
 * that of float32 if no number is so small or so large that this, or an overflow, could be seen; then no step overflows
 * either.  Packing finds, for the slice: the largest magnitude of A and of B, and the smallest of the largest magnitudes of
 * the rows of A that are not zero, likewise for the columns of B.  `tc_amx_suits` has the bounds.  In particular NaN and
 * infinity never get into a tile, where a zero low term would make a NaN of an infinity: they come out as in gemm_impl.h.
 */
#ifndef TC_GEMM_AMX_H
#define TC_GEMM_AMX_H
#include "amx.h"
#include "gemm.h"
#if TC_X86
#include <immintrin.h>
#endif

enum {
    TC_AMX_SLICE = 32,          /* tiles of k: 1,024 numbers; a packed pair of tiles of such a slice has 192 KB */
    TC_AMX_CHUNK = 4096,        /* rows of A, columns of B */
    TC_AMX_GROUP = 16 << 20,    /* bytes of packed operands of small matrices in one go */
    TC_AMX_CACHED = 6           /* pairs of row tiles that stay in the second cache while columns pass */
};

/* Bits of magnitudes, which order floats like integers: the largest, and the smallest of the rows' largest but 0. */
typedef struct {
    uint32_t largest, smallest;
} tc_amx_range;

typedef struct {
    const tc_gemm_problem *p;
    tc_amx_product product;
    int packing;                          /* level of the code that packs: that of the rest, unless a test wants less */
    int terms;                            /* of bf16: 3 or 2 */
    tc_int depth;                         /* tiles along k, of one term of the problem's sum */
    tc_int first, slice;                  /* tiles along k to take now, of all terms of the sum */
    tc_int matrix0, matrices;             /* of the batch */
    tc_int row0, rows, col0, cols;        /* chunk of C */
    tc_int run;                           /* columns in a run; all of them if there are no runs */
    tc_int row_pairs, col_pairs;          /* of tiles in the chunk */
    int pack_a, pack_b;                   /* not if they are packed already */
    tc_int row_groups, col_groups;        /* tasks per matrix */
    uint16_t *a, *b;                      /* packed: [matrix][pair][slice][terms][2] tiles */
    tc_amx_range *a_range, *b_range;      /* [matrix][pair] */
    unsigned char *suits;                 /* [matrix] */
} tc_amx_plan;

TC_INLINE tc_amx_range tc_amx_range_of(const tc_amx_range *each, tc_int n) {
    tc_amx_range all = {0, UINT32_MAX};
    for (tc_int i = 0; i < n; i++) {
        if (each[i].largest > all.largest) all.largest = each[i].largest;
        if (each[i].smallest < all.smallest) all.smallest = each[i].smallest;
    }
    return all;
}

/* With exponents e (2^e <= x < 2^(e + 1)) of the numbers above and 2^s >= k:
 *     below 2^127                          finite, and rounding to bf16 leaves it so
 *     e(A) + e(B) + s + 3 <= 127           no sum overflows
 *     e >= s - 102, smallest               operands that become zero, below 2^-126 in each of k places, add up to 2^-24 of
 *                                          their row's largest
 *     e(A) + e(B) >= s + 3 - 102, smallest results that become zero, below 2^-126 in each of at most 8 k steps, add up to
 *                                          2^-24 of the largest number of the row times that of the column */
static int tc_amx_suits(tc_amx_range a, tc_amx_range b, tc_int k) {
    enum { BIAS = 127 };
    int s = 0;
    while ((tc_int)1 << s < k) s++;
    int a_high = (int)(a.largest >> 23) - BIAS, b_high = (int)(b.largest >> 23) - BIAS;
    int a_low = (int)(a.smallest >> 23) - BIAS, b_low = (int)(b.smallest >> 23) - BIAS;
    if (tc_max(a_high, b_high) >= 127) return 0;
    if (!a.largest || !b.largest) return 1;
    return a_high + b_high + s + 3 <= 127 && tc_min(a_low, b_low) >= s - 102 && a_low + b_low >= s + 3 - 102;
}

/* ---- packing and multiplying, for any processor and for AVX-512 */
#define TC_T float
#define TC_TNAME f32
#define TC_TBYTES 4

#define TC_LEVEL amx_base
#define TC_VBYTES 16
#include "simd.h"
#include "gemm_amx_impl.h"
#undef TC_LEVEL
#undef TC_VBYTES

#if TC_X86
#ifdef __clang__
#pragma clang attribute push(__attribute__((target(TC_CLANG_V4))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#endif
#define TC_LEVEL amx_v4
#define TC_VBYTES 64
#include "simd.h"
#include "gemm_amx_impl.h"
#undef TC_LEVEL
#undef TC_VBYTES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#undef TC_T
#undef TC_TNAME
#undef TC_TBYTES

static const tc_task tc_amx_pack[TC_LEVELS] = {
    amx_pack_f32_amx_base, amx_pack_f32_amx_base,
#if TC_X86
    amx_pack_f32_amx_v4
#else
    amx_pack_f32_amx_base
#endif
};
static const tc_task tc_amx_multiply[TC_LEVELS] = {
    amx_multiply_f32_amx_base, amx_multiply_f32_amx_base,
#if TC_X86
    amx_multiply_f32_amx_v4
#else
    amx_multiply_f32_amx_base
#endif
};

/* Is AMX faster?  Cycles by the shape alone: 31 multiply-adds in one with AVX-512, 27 for a product of tiles (a prototype of
 * this kernel, on a Xeon with AMX), 450 to pack 512 numbers, 100 to store a tile of C, 5,000 for two more meetings of the
 * threads.  It must gain a tenth: the estimate knows nothing of caches. */
static int tc_amx_pays(const tc_gemm_problem *p, int terms) {
    const double sum = (double)tc_max(1, p->terms), depth = sum * (double)tc_ceil_div(p->k, TC_TILE_DEPTH);
    const double rows = (double)tc_ceil_div(p->m, TC_TILE_ROWS), cols = (double)tc_ceil_div(p->n, TC_TILE_ROWS);
    const double tiles = depth * (terms == 3 ? 6 : 3) * 27 + 100 * ceil(depth / TC_AMX_SLICE);
    const double cycles = rows * cols * tiles + (rows + cols) * depth * 450 + 5000;
    return 1.1 * cycles < (double)p->m * (double)p->n * (double)p->k * sum / 31;
}

/* The part of a product that the plan stands at, in float32: a matrix of the group, the slice, the chunk. */
static int tc_amx_float32(const tc_amx_plan *q, tc_int matrix, int level, int threads) {
    const tc_gemm_problem *p = q->p;
    tc_gemm_problem part = *p;
    const float *a, *b;
    float *c;
    amx_operands_f32_amx_base(p, q->matrix0 + matrix, &a, &b, &c);
    a += q->row0 * p->a_row;
    b += p->run ? q->col0 / p->run * p->b_run : q->col0 * p->b_col;
    c += q->row0 * p->c_row + (p->run ? q->col0 / p->run * p->c_run : q->col0);
    part.m = q->rows;
    part.n = q->cols;
    part.c = c;
    part.terms = 0;
    part.batch_dims = 0;
    if (p->bias) part.bias = (const float *)p->bias + (p->row_bias ? q->row0 : q->col0);
    for (tc_int at = q->first, next; at < q->first + q->slice; at = next) {
        tc_int term = at / q->depth, k0 = at % q->depth * TC_TILE_DEPTH;
        next = tc_min((term + 1) * q->depth, q->first + q->slice);
        part.k = tc_min(p->k - k0, (next - at) * TC_TILE_DEPTH);
        part.a = a + term * p->a_term + k0 * p->a_col;
        part.b = b + term * p->b_term + k0 * p->b_row;
        if (at > 0) {
            part.add = 1;
            part.bias = NULL;
        }
        if (tc_gemm(TC_F32, level, &part, threads)) return -1;
    }
    return 0;
}

/* Pack, look at the numbers, multiply: one chunk. */
static int tc_amx_chunk(tc_amx_plan *q, int level, int threads) {
    q->row_pairs = tc_ceil_div(q->rows, TC_PAIR_ROWS);
    q->col_pairs = tc_ceil_div(q->cols, TC_PAIR_ROWS);
    const tc_int pairs = (q->pack_a ? q->row_pairs : 0) + (q->pack_b ? q->col_pairs : 0);
    if (tc_run(tc_amx_pack[q->packing], q, q->matrices * pairs, 0, threads)) return -1;
    int any = 0, all = 1;
    for (tc_int i = 0; i < q->matrices; i++) {
        q->suits[i] = (unsigned char)tc_amx_suits(tc_amx_range_of(q->a_range + i * q->row_pairs, q->row_pairs),
                                                  tc_amx_range_of(q->b_range + i * q->col_pairs, q->col_pairs),
                                                  q->slice * TC_TILE_DEPTH);
        any |= q->suits[i];
        all &= q->suits[i];
    }
    if (any) {
        q->row_groups = tc_ceil_div(q->row_pairs, TC_AMX_CACHED);
        q->col_groups = 1;
        while (threads > 1 && q->matrices * q->row_groups * q->col_groups < 2 * threads) {
            if (q->col_pairs * q->row_groups >= q->row_pairs * q->col_groups && q->col_groups < q->col_pairs)
                q->col_groups = tc_min(2 * q->col_groups, q->col_pairs);
            else if (q->row_groups < q->row_pairs) q->row_groups = tc_min(2 * q->row_groups, q->row_pairs);
            else break;
        }
        if (tc_run(tc_amx_multiply[q->packing], q, q->matrices * q->row_groups * q->col_groups, 0, threads)) return -1;
    }
    for (tc_int i = 0; i < q->matrices && !all; i++)
        if (!q->suits[i] && tc_amx_float32(q, i, level, threads)) return -1;
    return 0;
}

/* As tc_gemm for TC_F32 and sizes of at least 1, with `terms` of bf16 and tiles of that kind.  0, or -1 if there is no
 * memory for scratch. */
static int tc_gemm_amx(tc_amx_product product, int terms, int packing, int level, const tc_gemm_problem *p, int threads) {
    tc_int batch = 1;
    for (int d = 0; d < p->batch_dims; d++) batch *= p->batch_shape[d];
    if (batch == 0) return 0;
    tc_amx_plan q = {.p = p, .product = product, .packing = packing, .terms = terms};
    q.depth = tc_ceil_div(p->k, TC_TILE_DEPTH);
    q.run = p->run ? p->run : p->n;
    const tc_int depth = tc_max(1, p->terms) * q.depth, slices = tc_ceil_div(depth, TC_AMX_SLICE);
    const tc_int most = tc_ceil_div(depth, slices) * terms * TC_PAIR_NUMBERS; /* numbers of a packed pair */
    const tc_int chunk_rows = tc_min(p->m, TC_AMX_CHUNK);
    const tc_int chunk_cols = tc_min(p->n, p->run ? tc_max(1, TC_AMX_CHUNK / p->run) * p->run : TC_AMX_CHUNK);
    const tc_int row_pairs = tc_ceil_div(chunk_rows, TC_PAIR_ROWS), col_pairs = tc_ceil_div(chunk_cols, TC_PAIR_ROWS);
    const tc_int group = tc_min(batch, tc_max(1, TC_AMX_GROUP / (2 * most * (row_pairs + col_pairs))));

    const size_t packed = sizeof(uint16_t) * (size_t)(group * (row_pairs + col_pairs) * most);
    const size_t ranges = sizeof(tc_amx_range) * (size_t)(group * (row_pairs + col_pairs));
    char *scratch = tc_scratch_get(packed + ranges + (size_t)group);
    if (!scratch) return -1;
    q.a = (uint16_t *)scratch;
    q.b = q.a + group * row_pairs * most;
    q.a_range = (tc_amx_range *)(scratch + packed);
    q.b_range = q.a_range + group * row_pairs;
    q.suits = (unsigned char *)(scratch + packed + ranges);
    int failed = 0;
    for (q.matrix0 = 0; q.matrix0 < batch; q.matrix0 += group) {
        q.matrices = tc_min(group, batch - q.matrix0);
        for (tc_int slice = 0; slice < slices; slice++) {
            q.first = tc_cut(depth, slices, slice);
            q.slice = tc_cut(depth, slices, slice + 1) - q.first;
            for (q.col0 = 0; q.col0 < p->n; q.col0 += chunk_cols) {
                q.cols = tc_min(chunk_cols, p->n - q.col0);
                for (q.row0 = 0; q.row0 < p->m && !failed; q.row0 += chunk_rows) {
                    q.rows = tc_min(chunk_rows, p->m - q.row0);
                    q.pack_b = q.row0 == 0;
                    q.pack_a = q.col0 == 0 || chunk_rows < p->m;
                    failed = tc_amx_chunk(&q, level, threads);
                }
            }
        }
    }
    tc_scratch_put(scratch);
    return failed;
}
#endif
