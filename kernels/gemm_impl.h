/* C = A B (+ bias): the matrix product on top of the register tile.  See gemm_types.h for the interface.
 *
 * Blocking.  The output is cut into blocks (a group of row blocks x a group of column panels); a block is one task:
 *
 *     for each slice of k of about 256 numbers                      a slice of a panel of B fills L1
 *         pack the rows of A that belong to the block               stays in L2 during the slice
 *         for each panel of TC_NR columns
 *             pack the panel of B                                   stays in L1 during the rows
 *             for each block of <= TC_MR rows:  C tile (+)= A B     in registers
 *
 * Tasks share no packed data, so there is no barrier between threads.  The price is packing A once per group of columns
 * and B once per group of rows, some per cent with the group sizes below.
 *
 * Determinism.  Slices of k depend on k alone, and a tile is always summed in the same order, so an element of C is the
 * same sum however the output is cut.  The cut itself depends on the shape only.
 *
 * Packing is skipped where it does not pay: A is read in place where its rows are contiguous and few columns would use
 * the copy; B where its rows are contiguous and one row block would.
 *
 * A product with a single row or column is memory bound and has its own loop (dot products along the contiguous rows).
 * Very small products use plain loops: their cost is the call.
 */
#define TC_USE_TILE_PANELS
#define TC_USE_TILE_ROWS
#include "tile_impl.h"
#include "pack_impl.h"
#undef TC_USE_TILE_PANELS
#undef TC_USE_TILE_ROWS

#define TC_PLAN TC_FN(gemm_plan)

typedef struct {
    const tc_gemm_problem *p;
    tc_int row_blocks, panels;        /* of the whole matrix: blocks of <= TC_MR rows, panels of TC_NR columns */
    tc_int row_groups, panel_groups;  /* tasks per matrix */
    tc_int slices;                    /* of k */
    tc_int a_room;                    /* numbers of scratch for packed A */
    int a_in_place, b_in_place;
    tc_int bias_step;                 /* 0 if the problem was transposed: one bias for the whole row */
} TC_PLAN;

/* The operands of matrix number `index` of the batch; dimensions of size 1 have stride 0. */
TC_INLINE void TC_FN(gemm_batch)(const tc_gemm_problem *p, tc_int index, const TC_T **a, const TC_T **b, TC_T **c) {
    *a = (const TC_T *)p->a;
    *b = (const TC_T *)p->b;
    *c = (TC_T *)p->c + index * p->m * p->c_row;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        tc_int at = index % p->batch_shape[d];
        index /= p->batch_shape[d];
        *a += at * p->a_batch[d];
        *b += at * p->b_batch[d];
    }
}

/* Copy the valid n columns of a tile computed aside into C. */
static void TC_FN(gemm_edge)(tc_int m, tc_int n, const TC_T *tile, TC_T *c, tc_int ldc, int add, const TC_T *bias) {
    for (tc_int i = 0; i < m; i++, tile += TC_NR, c += ldc) {
        if (add) for (tc_int j = 0; j < n; j++) c[j] += tile[j];
        else if (bias) for (tc_int j = 0; j < n; j++) c[j] = tile[j] + bias[j];
        else for (tc_int j = 0; j < n; j++) c[j] = tile[j];
    }
}

static void TC_FN(gemm_task)(const void *plan, tc_int task, void *scratch) {
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c, *packed_a = (TC_T *)scratch, *packed_b = packed_a + q->a_room;
    TC_T aside[TC_MR * TC_NR] __attribute__((aligned(64)));
    tc_int a_rows[TC_MR];
    tc_int panel_group = task % q->panel_groups;
    task /= q->panel_groups;
    tc_int row_group = task % q->row_groups;
    TC_FN(gemm_batch)(p, task / q->row_groups, &a, &b, &c);
    tc_int block0 = tc_cut(q->row_blocks, q->row_groups, row_group);
    tc_int block1 = tc_cut(q->row_blocks, q->row_groups, row_group + 1);
    tc_int panel0 = tc_cut(q->panels, q->panel_groups, panel_group);
    tc_int panel1 = tc_cut(q->panels, q->panel_groups, panel_group + 1);
    tc_int top = tc_cut(p->m, q->row_blocks, block0);
    for (int i = 0; i < TC_MR; i++) a_rows[i] = i * p->a_row;

    for (tc_int slice = 0; slice < q->slices; slice++) {
        tc_int k0 = tc_cut(p->k, q->slices, slice), k = tc_cut(p->k, q->slices, slice + 1) - k0;
        int add = p->add || slice > 0;
        for (tc_int block = block0; block < block1 && !q->a_in_place; block++) {
            tc_int i0 = tc_cut(p->m, q->row_blocks, block), m = tc_cut(p->m, q->row_blocks, block + 1) - i0;
            TC_FN(pack_a)(m, k, a + i0 * p->a_row + k0 * p->a_col, p->a_row, p->a_col, packed_a + (i0 - top) * k);
        }
        for (tc_int panel = panel0; panel < panel1; panel++) {
            tc_int j0 = panel * TC_NR, n = tc_min(TC_NR, p->n - j0), nv = n > TC_VL ? 2 : 1;
            const TC_T *rows = b + k0 * p->b_row + j0 * p->b_col;
            tc_int ldb = p->b_row;
            if (!q->b_in_place || n % TC_VL) {
                TC_FN(pack_b)(k, n, rows, p->b_row, p->b_col, packed_b);
                rows = packed_b;
                ldb = TC_NR;
            }
            for (tc_int block = block0; block < block1; block++) {
                tc_int i0 = tc_cut(p->m, q->row_blocks, block), m = tc_cut(p->m, q->row_blocks, block + 1) - i0;
                TC_T *to = c + i0 * p->c_row + j0;
                const TC_T *tile_bias = bias && !add ? bias + j0 : NULL;
                TC_TILE_OUT out = {to, p->c_row, add, NULL, tile_bias};
                if (n % TC_VL) out = (TC_TILE_OUT){aside, TC_NR, 0, NULL, NULL};
                if (q->a_in_place)
                    TC_FN(tile_rows)[nv - 1][m - 1](1, k, 0, a + i0 * p->a_row + k0, a_rows, rows, ldb, &out);
                else
                    TC_FN(tile_panels)[nv - 1][m - 1](k, packed_a + (i0 - top) * k, rows, ldb, &out);
                if (n % TC_VL) TC_FN(gemm_edge)(m, n, aside, to, p->c_row, add, tile_bias);
            }
        }
    }
}

/* ---- one row:  c[j] = sum over k of a[k] * b[k, j],  columns of b contiguous (b_row == 1) */
enum { TC_FN(DOT_COLS) = 32 }; /* columns per task */

TC_INLINE TC_T TC_FN(lane_sum)(TC_VEC v) {
    TC_T s = 0;
    for (int i = 0; i < TC_VL; i++) s += v[i];
    return s;
}

/* sums[j] = x . (b + j * ldb) for j < cols, all along contiguous numbers; one load of x serves all columns. */
TC_INLINE void TC_FN(dots)(int cols, tc_int k, const TC_T *x, const TC_T *b, tc_int ldb, TC_T *sums) {
    TC_VEC acc[4];
    tc_int p = 0;
    TC_UNROLL
    for (int j = 0; j < cols; j++) acc[j] = (TC_VEC){0};
    for (; p + TC_VL <= k; p += TC_VL) {
        TC_VEC xv = TC_LOAD(x + p);
        TC_UNROLL
        for (int j = 0; j < cols; j++) acc[j] += xv * TC_LOAD(b + j * ldb + p);
    }
    for (int j = 0; j < cols; j++) {
        TC_T s = TC_FN(lane_sum)(acc[j]);
        for (tc_int r = p; r < k; r++) s += x[r] * b[j * ldb + r];
        sums[j] = s;
    }
}

static void TC_FN(gemm_row_task)(const void *plan, tc_int task, void *scratch) {
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c, sums[4];
    TC_FN(gemm_batch)(p, task / q->panel_groups, &a, &b, &c);
    if (p->a_col != 1) {
        TC_T *copy = (TC_T *)scratch;
        for (tc_int r = 0; r < p->k; r++) copy[r] = a[r * p->a_col];
        a = copy;
    }
    tc_int j = task % q->panel_groups * TC_FN(DOT_COLS), end = tc_min(p->n, j + TC_FN(DOT_COLS));
    while (j < end) {
        int cols = end - j >= 4 ? 4 : 1;
        if (cols == 4) TC_FN(dots)(4, p->k, a, b + j * p->b_col, p->b_col, sums);
        else TC_FN(dots)(1, p->k, a, b + j * p->b_col, p->b_col, sums);
        for (int i = 0; i < cols; i++, j++) {
            if (p->add) sums[i] += c[j];
            c[j] = bias ? sums[i] + bias[j * q->bias_step] : sums[i];
        }
    }
}

static void TC_FN(gemm_small)(const tc_gemm_problem *p, tc_int batch) {
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c;
    for (tc_int t = 0; t < batch; t++) {
        TC_FN(gemm_batch)(p, t, &a, &b, &c);
        for (tc_int i = 0; i < p->m; i++) {
            for (tc_int j = 0; j < p->n; j++) {
                TC_T s = 0;
                for (tc_int r = 0; r < p->k; r++) s += a[i * p->a_row + r * p->a_col] * b[r * p->b_row + j * p->b_col];
                TC_T *to = c + i * p->c_row + j;
                *to = p->add ? *to + s : bias ? s + bias[j] : s;
            }
        }
    }
}

/* 0, or -1 if there is no memory for scratch. */
static int TC_FN(gemm)(const tc_gemm_problem *problem, int threads) {
    tc_gemm_problem own = *problem;
    const tc_gemm_problem *p = &own;
    tc_int batch = 1;
    for (int d = 0; d < p->batch_dims; d++) batch *= p->batch_shape[d];
    if (batch == 0 || p->m == 0 || p->n == 0) return 0;
    if (p->m * p->n * p->k <= 128) {
        TC_FN(gemm_small)(p, batch);
        return 0;
    }
    TC_PLAN q = {.p = p, .bias_step = 1};
    if (p->n == 1 && p->m > 1 && p->c_row == 1 && (!p->bias || p->a_col == 1)) {
        /* One column: the transposed problem has one row. */
        own.m = 1; own.n = problem->m; own.c_row = problem->m;
        own.a = problem->b; own.a_row = problem->b_col; own.a_col = problem->b_row; own.a_batch = problem->b_batch;
        own.b = problem->a; own.b_row = problem->a_col; own.b_col = problem->a_row; own.b_batch = problem->a_batch;
        q.bias_step = 0;
    }
    if (p->m == 1 && p->b_row == 1) {
        q.panel_groups = tc_ceil_div(p->n, TC_FN(DOT_COLS));
        return tc_run(TC_FN(gemm_row_task), &q, batch * q.panel_groups, sizeof(TC_T) * (size_t)p->k, threads);
    }
    q.row_blocks = tc_ceil_div(p->m, TC_MR);
    q.panels = tc_ceil_div(p->n, TC_NR);
    q.slices = tc_max(1, tc_ceil_div(p->k, TC_GEMM_SLICE));
    q.a_in_place = p->a_col == 1 && q.panels <= 4;
    q.b_in_place = p->b_col == 1 && q.row_blocks == 1;
    /* Groups as large as the caches like, then halved (the longer side first) until there are some tasks to share out,
     * as long as a task stays worth its packing. */
    tc_int rows = tc_min(q.row_blocks, TC_GEMM_ROWS / TC_MR), cols = tc_min(q.panels, TC_GEMM_COLS / TC_NR);
    for (;;) {
        q.row_groups = tc_ceil_div(q.row_blocks, rows);
        q.panel_groups = tc_ceil_div(q.panels, cols);
        tc_int work = rows * TC_MR * cols * TC_NR * p->k;
        if (batch * q.row_groups * q.panel_groups >= TC_GEMM_TASKS || work < TC_GEMM_WORK) break;
        if (rows * TC_MR > cols * TC_NR) rows = (rows + 1) / 2;
        else if (cols > 1) cols = (cols + 1) / 2;
        else if (rows > 1) rows = (rows + 1) / 2;
        else break;
    }
    tc_int k = tc_ceil_div(p->k, q.slices);
    tc_int group_rows = tc_ceil_div(q.row_blocks, q.row_groups) * TC_MR;
    q.a_room = q.a_in_place ? 0 : (group_rows * k + TC_VL + 63) / 64 * 64;
    size_t bytes = sizeof(TC_T) * (size_t)(q.a_room + k * TC_NR + TC_VL);
    return tc_run(TC_FN(gemm_task), &q, batch * q.row_groups * q.panel_groups, bytes, threads);
}

static const tc_gemm_function TC_FN(tc_gemm_entry) = TC_FN(gemm);
#undef TC_PLAN
