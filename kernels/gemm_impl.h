/* C = A B (+ bias): the matrix product on top of the register tile.  See gemm_types.h for the interface.
 *
 * Blocking.  The output is cut into blocks (a group of row blocks x a group of column panels); a block is one task:
 *
 *     for each slice of k of about 512 numbers:  pack the panels of B    (or as many whole terms as have 512)
 *         for each chunk of about 200 rows:  pack A                     both stay in the second cache
 *             for each panel of TC_NR columns
 *                 for each block of <= TC_MR rows:  C tile (+)= A B     in registers
 *
 * The tile does 28 FMAs for two loads of B, so that reading the panel from the second cache costs nothing; what costs is
 * packing, and memory that is read in another order than it lies in.
 *
 * Packing.  The tile broadcasts numbers of A and loads vectors of B.  A is read where it lies if its rows are contiguous
 * (or its columns, if there are few panels).  B is copied to panels, transposed on the way if need be.  Tasks pack for
 * themselves: letting all pack together first was slower, by a barrier and by cold caches.  Where rows of B are contiguous
 * the tiles of the first block of rows read them in place and leave the copy for the other blocks, which costs no time of
 * its own.
 *
 * Turning.  C' = B' A' is the same product with the parts exchanged, at the price of transposing the tiles of C.  In
 * x w' (the forward pass of a layer) a small batch x is then packed in place of the large w, and with a few columns the
 * vectors become full.  `gemm_cost` estimates both ways.
 *
 * Determinism.  Slices of k depend on the sizes alone and a tile is summed in the order of k, so an element of C is the
 * same sum however the output is cut into tasks, turned, and read.
 *
 * Precision.  The error of a sum of k numbers in slices of s grows like sqrt(k (s + k / s)).  Thin products, which others
 * compute as dot products in 16 lanes, take slices of 64: their tiles are few, and visiting them more often costs little.
 *
 * A product with a single row or column is memory bound and has its own loops, and so has one with few rows where dot
 * products fill the vectors better.  Very small products use plain loops: their cost is the call.
 */
#define TC_USE_TILE_MATRIX
#include "tile_impl.h"
#include "pack_impl.h"
#undef TC_USE_TILE_MATRIX

#define TC_PLAN TC_FN(gemm_plan)
#define TC_PIECE TC_FN(gemm_piece_place)

typedef struct {
    const tc_gemm_problem *p;         /* as computed: of the turned problem if `turned` */
    int turned;                       /* element (i, j) lies at c[j * c_row + i] */
    int row_bias;                     /* the bias goes by rows (after turning) */
    tc_int run;                       /* columns in a run of B and C; all of them if there are no runs */
    tc_int c_matrix;                  /* from one matrix C of the batch to the next */
    tc_int row_blocks, panels;        /* of the whole matrix: blocks of <= TC_MR rows, panels of TC_NR columns */
    tc_int row_groups, panel_groups;  /* tasks per matrix */
    tc_int terms, slices;             /* of the sum, and of k */
    tc_int joined;                    /* parts into which the terms are joined; `terms` if k is sliced */
    tc_int chunk;                     /* row blocks */
    int a_in_place, b_in_place;
    int b_copied, one_panel;          /* B: by the first block of rows; to one place, as no other chunk will read it */
    int c_far;                        /* C does not stay in the second cache, and the sum is short */
    tc_int a_room;                    /* numbers of scratch for packed A */
} TC_PLAN;

/* The operands of matrix number `index` of the batch; dimensions of size 1 have stride 0. */
TC_INLINE void TC_FN(gemm_batch)(const TC_PLAN *q, tc_int index, const TC_T **a, const TC_T **b, TC_T **c) {
    const tc_gemm_problem *p = q->p;
    *a = (const TC_T *)p->a;
    *b = (const TC_T *)p->b;
    *c = (TC_T *)p->c + index * q->c_matrix;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        tc_int at = index % p->batch_shape[d];
        index /= p->batch_shape[d];
        *a += at * p->a_batch[d];
        *b += at * p->b_batch[d];
    }
}

/* n <= 2 * TC_VL numbers to c, or added to it. */
TC_INLINE void TC_FN(gemm_put)(tc_int n, const TC_T *from, TC_T *c, int add) {
    for (; n >= TC_VL; n -= TC_VL, from += TC_VL, c += TC_VL) {
        TC_VEC v = TC_LOAD(from);
        if (add) v += TC_LOAD(c);
        TC_STORE(c, v);
    }
    if (n > 0) {
        TC_VEC v = TC_FN(tc_load_first)(from, n);
        if (add) v += TC_FN(tc_load_first)(c, n);
        TC_FN(tc_store_first)(c, v, n);
    }
}

/* A tile of m rows and n columns that was computed aside goes to C; transposed if `turned`. */
static void TC_FN(gemm_store)(tc_int m, tc_int n, const TC_T *tile, TC_T *c, tc_int ldc, int add, int turned) {
    if (!turned) {
        for (tc_int i = 0; i < m; i++) TC_FN(gemm_put)(n, tile + i * TC_NR, c + i * ldc, add);
        return;
    }
    enum { WIDTH = (TC_MR + TC_VL - 1) / TC_VL * TC_VL };
    TC_T block[TC_VL * WIDTH] __attribute__((aligned(64)));
    for (tc_int j0 = 0; j0 < n; j0 += TC_VL) {
        for (tc_int i = 0; i < m; i += TC_VL)
            TC_FN(tc_transpose)(tile + i * TC_NR + j0, TC_NR, tc_min(TC_VL, m - i), block + i, WIDTH);
        for (tc_int j = j0; j < tc_min(n, j0 + TC_VL); j++)
            for (tc_int i = 0; i < m; i += 2 * TC_VL)
                TC_FN(gemm_put)(tc_min(2 * TC_VL, m - i), block + (j - j0) * WIDTH + i, c + j * ldc + i, add);
    }
}

/* The piece of a panel (columns j to `end`) that lies in one run: its length, and where it starts in B and C. */
typedef struct {
    tc_int n, b, c;
} TC_PIECE;

TC_INLINE TC_PIECE TC_FN(gemm_piece)(const TC_PLAN *q, tc_int j, tc_int end) {
    if (q->run == q->p->n) return (TC_PIECE){end - j, j * q->p->b_col, j};
    tc_int run = j / q->run, at = j % q->run;
    return (TC_PIECE){tc_min(end - j, q->run - at), run * q->p->b_run + at * q->p->b_col, run * q->p->c_run + at};
}

/* Columns j to `end` of k rows of B, at most a panel.  Pieces of several runs are put side by side. */
static void TC_FN(gemm_pack_panel)(const TC_PLAN *q, tc_int k, tc_int j, tc_int end, const TC_T *b, TC_T *out) {
    tc_int b_row = q->p->b_row, n = end - j;
    TC_PIECE piece = TC_FN(gemm_piece)(q, j, end);
    if (piece.n == n) {
        TC_FN(pack_b)(k, n, b + piece.b, b_row, q->p->b_col, out);
        return;
    }
    if (n < TC_NR) memset(out, 0, sizeof(TC_T) * (size_t)(k * TC_NR));
    for (; j < end; j += piece.n, out += piece.n) {
        piece = TC_FN(gemm_piece)(q, j, end);
        for (tc_int p = 0; p < k; p++) TC_FN(gemm_put)(piece.n, b + piece.b + p * b_row, out + p * TC_NR, 0);
    }
}

/* Panels of k rows of B, one after another, each `all` rows long.  Where rows are contiguous a few are read to their end
 * before the next. */
static void TC_FN(gemm_pack_b)(const TC_PLAN *q, tc_int k, tc_int all, tc_int left, tc_int right, const TC_T *b, TC_T *out) {
    tc_int step = q->p->b_col == 1 ? 8 : k;
    for (tc_int p = 0; p < k; p += step)
        for (tc_int j = left; j < right; j += TC_NR)
            TC_FN(gemm_pack_panel)(q, tc_min(step, k - p), j, tc_min(right, j + TC_NR), b + p * q->p->b_row,
                                   out + (j - left) * all + p * TC_NR);
}

/* The rows of a task in blocks of `size` or, the first ones, size + 1. */
#define TC_ROW_CUT TC_FN(gemm_row_cut)
typedef struct {
    tc_int top, size, larger, blocks;
} TC_ROW_CUT;

TC_INLINE TC_ROW_CUT TC_FN(gemm_cut)(tc_int top, tc_int end) {
    tc_int rows = end - top, blocks = tc_ceil_div(rows, TC_MR);
    return (TC_ROW_CUT){top, rows / blocks, rows % blocks, blocks};
}

/* Where block i begins. */
TC_INLINE tc_int TC_FN(gemm_block)(const TC_ROW_CUT *cut, tc_int i) {
    return cut->top + i * cut->size + tc_min(i, cut->larger);
}

/* Blocks first .. last - 1 of rows of A, each [k][rows], in a good order for either layout. */
static void TC_FN(gemm_pack_a)(const TC_PLAN *q, const TC_ROW_CUT *cut, tc_int first, tc_int last, tc_int k, const TC_T *a,
                               TC_T *out) {
    const tc_gemm_problem *p = q->p;
    tc_int step = p->a_row == 1 ? 8 : k, top = TC_FN(gemm_block)(cut, first);
    for (tc_int r = 0; r < k; r += step)
        for (tc_int block = first; block < last; block++) {
            tc_int i0 = TC_FN(gemm_block)(cut, block), m = TC_FN(gemm_block)(cut, block + 1) - i0;
            TC_FN(pack_a)(m, tc_min(step, k - r), a + i0 * p->a_row + r * p->a_col, p->a_row, p->a_col,
                          out + (i0 - top) * k + r * m);
        }
}

/* Call up the lines of a tile of C: they come while the sums are taken. */
TC_INLINE void TC_FN(gemm_call_up)(const TC_PLAN *q, tc_int m, tc_int n, const TC_T *c) {
    tc_int lines = q->turned ? n : m, last = ((q->turned ? m : n) - 1) * TC_TBYTES;
    for (tc_int at = 0; lines > 0; lines--, at += q->p->c_row * TC_TBYTES) {
        tc_prefetch(c, at);
        tc_prefetch(c, at + last);
    }
}

static void TC_FN(gemm_task)(const void *plan, tc_int task, void *scratch) {
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c, *packed_a = (TC_T *)scratch, *packed_b = packed_a + q->a_room;
    TC_T aside[TC_MR * TC_NR + TC_VL] __attribute__((aligned(64))), edge_bias[TC_NR] = {0};
    tc_int panel_group = task % q->panel_groups;
    task /= q->panel_groups;
    tc_int row_group = task % q->row_groups;
    TC_FN(gemm_batch)(q, task / q->row_groups, &a, &b, &c);
    tc_int row0 = tc_cut(p->m, q->row_groups, row_group), row1 = tc_cut(p->m, q->row_groups, row_group + 1);
    const TC_ROW_CUT cut = TC_FN(gemm_cut)(row0, row1);
    tc_int panel0 = tc_cut(q->panels, q->panel_groups, panel_group);
    tc_int panel1 = tc_cut(q->panels, q->panel_groups, panel_group + 1);
    tc_int left = panel0 * TC_NR, right = tc_min(p->n, panel1 * TC_NR);

    for (tc_int part = 0; part < q->joined * q->slices; part++) {
        tc_int slice = part % q->slices, term = tc_cut(q->terms, q->joined, part / q->slices);
        tc_int terms = tc_cut(q->terms, q->joined, part / q->slices + 1) - term;
        tc_int k0 = tc_cut(p->k, q->slices, slice), k = tc_cut(p->k, q->slices, slice + 1) - k0, all = terms * k;
        const TC_T *a_part = a + term * p->a_term + k0 * p->a_col, *b_part = b + term * p->b_term + k0 * p->b_row;
        int add = p->add || part > 0;
        for (tc_int t = 0; t < terms && !q->b_in_place && !q->b_copied; t++)
            TC_FN(gemm_pack_b)(q, k, all, left, right, b_part + t * p->b_term, packed_b + t * k * TC_NR);
        for (tc_int first = 0; first < cut.blocks; first += q->chunk) {
            tc_int last = tc_min(cut.blocks, first + q->chunk), top = TC_FN(gemm_block)(&cut, first);
            if (!q->a_in_place) TC_FN(gemm_pack_a)(q, &cut, first, last, k, a_part, packed_a);
            for (tc_int panel = panel0; panel < panel1; panel++) {
                tc_int j0 = panel * TC_NR, n = tc_min(TC_NR, p->n - j0), nv = n > TC_VL ? 2 : 1, ldb = TC_NR;
                TC_T *panel_b = packed_b + (q->one_panel ? 0 : (j0 - left) * all), *copy = NULL;
                const TC_T *rows = panel_b;
                TC_PIECE piece = TC_FN(gemm_piece)(q, j0, j0 + n), to_next;
                int whole = !q->turned && n % TC_VL == 0 && piece.n == n;
                if (q->b_in_place) {
                    rows = b_part + piece.b;
                    ldb = p->b_row;
                    if (n % TC_VL || piece.n < n) { /* the tile reads whole vectors */
                        TC_FN(gemm_pack_panel)(q, k, j0, j0 + n, b_part, packed_b);
                        rows = packed_b;
                        ldb = TC_NR;
                    }
                }
                if (q->b_copied && first == 0) {
                    if (n == TC_NR && piece.n == n) copy = panel_b;
                    else TC_FN(gemm_pack_panel)(q, k, j0, j0 + n, b_part, panel_b);
                }
                if (bias && !q->row_bias && n % TC_VL) memcpy(edge_bias, bias + j0, sizeof(TC_T) * (size_t)n);
                for (tc_int block = first, i0 = top, m; block < last; block++, i0 += m) {
                    m = TC_FN(gemm_block)(&cut, block + 1) - i0;
                    TC_T *to = q->turned ? c + j0 * p->c_row + i0 : c + i0 * p->c_row + piece.c;
                    TC_TILE_OUT out = {to, p->c_row, add, NULL, NULL};
                    if (!whole) out = (TC_TILE_OUT){aside, TC_NR, 0, NULL, NULL};
                    if (bias && !add) {
                        if (q->row_bias) out.row_bias = bias + i0;
                        else out.col_bias = n % TC_VL ? edge_bias : bias + j0;
                    }
                    const TC_T *from = q->a_in_place ? a_part + i0 * p->a_row : packed_a + (i0 - top) * all;
                    if (q->c_far) TC_FN(gemm_call_up)(q, m, n, to);
                    const TC_T *now = copy ? b_part + piece.b : rows;
                    tc_int pitch = copy ? p->b_row : ldb;
                    out.copy = copy;
                    copy = NULL; /* the other blocks read the copy */
                    if (q->a_in_place && p->a_col == 1)
                        TC_FN(tile_runs)[nv - 1][m - 1](terms, p->a_term, k, from, p->a_row, now, pitch, &out);
                    else
                        TC_FN(tile_down)[nv - 1][m - 1](all, from, q->a_in_place ? p->a_col : m, now, pitch, &out);
                    if (whole) continue;
                    TC_FN(gemm_store)(m, piece.n, aside, to, p->c_row, add, q->turned);
                    for (tc_int at = piece.n; at < n; at += to_next.n) {
                        to_next = TC_FN(gemm_piece)(q, j0 + at, j0 + n);
                        TC_FN(gemm_store)(m, to_next.n, aside + at, c + i0 * p->c_row + to_next.c, p->c_row, add, 0);
                    }
                }
            }
        }
    }
}

/* ---- one row:  c[j] = sum over k of a[k] * b[k, j] */
enum { TC_FN(DOT_COLS) = 32, TC_FN(ROW_COLS) = 8 * TC_VL }; /* columns per task */

TC_INLINE TC_T TC_FN(lane_sum)(TC_VEC v) {
    TC_T s = 0;
    for (int i = 0; i < TC_VL; i++) s += v[i];
    return s;
}

/* sums[j] = x . (b + j * ldb) for j < cols, all along contiguous numbers; one load of x serves all columns. */
TC_INLINE void TC_FN(dots)(int cols, tc_int k, const TC_T *x, const TC_T *b, tc_int ldb, TC_T *sums) {
    TC_VEC acc[4], total[4];
    tc_int p = 0;
    TC_UNROLL
    for (int j = 0; j < cols; j++) total[j] = (TC_VEC){0};
    while (p + TC_VL <= k) {
        tc_int end = tc_min(k, p + TC_GEMM_DOTS * TC_VL);
        TC_UNROLL
        for (int j = 0; j < cols; j++) acc[j] = (TC_VEC){0};
        for (; p + TC_VL <= end; p += TC_VL) {
            TC_VEC xv = TC_LOAD(x + p);
            TC_UNROLL
            for (int j = 0; j < cols; j++) acc[j] += xv * TC_LOAD(b + j * ldb + p);
        }
        TC_UNROLL
        for (int j = 0; j < cols; j++) total[j] += acc[j];
    }
    for (int j = 0; j < cols; j++) {
        TC_T s = TC_FN(lane_sum)(total[j]);
        for (tc_int r = p; r < k; r++) s += x[r] * b[j * ldb + r];
        sums[j] = s;
    }
}

/* Columns of B contiguous (b_row == 1). */
static void TC_FN(gemm_dot_task)(const void *plan, tc_int task, void *scratch) {
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c, sums[4];
    TC_FN(gemm_batch)(q, task / q->panel_groups, &a, &b, &c);
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
            TC_T *to = c + (q->turned ? j * p->c_row : j);
            if (p->add) sums[i] += *to;
            *to = bias ? sums[i] + bias[q->row_bias ? 0 : j] : sums[i];
        }
    }
}

/* ---- few rows of A and columns of B, both contiguous along k: dot products
 *
 * A layer with a small batch, x w': the tile would fill its vectors with the few rows of x, half empty or less.  Vectors
 * along k are full, nothing is packed, and w is read once, as it lies.  ROWS x COLS sums share their loads; their lanes are
 * added up together, by transposing as many of them as a vector has lanes.
 */
enum { TC_FN(FEW_ROWS) = 4, TC_FN(FEW_COLS) = TC_MR == 6 ? 2 : 4, TC_FN(FEW_SUMS) = TC_FN(FEW_ROWS) * TC_FN(FEW_COLS) };

/* sums[i * FEW_COLS + j] = row i of x . column j of b, along k numbers. */
TC_INLINE void TC_FN(few_dots)(int rows, tc_int k, const TC_T *x, tc_int ldx, const TC_T *const *b, TC_T *sums) {
    enum { COLS = TC_FN(FEW_COLS), ALL = (TC_FN(FEW_SUMS) + TC_VL - 1) / TC_VL * TC_VL };
    TC_T lanes[ALL * TC_VL] __attribute__((aligned(64))), across[TC_VL * TC_VL] __attribute__((aligned(64)));
    TC_VEC acc[TC_FN(FEW_ROWS)][COLS];
    TC_UNROLL
    for (int i = 0; i < rows; i++) {
        TC_UNROLL
        for (int j = 0; j < COLS; j++) acc[i][j] = (TC_VEC){0};
    }
    tc_int p = 0;
    for (; p + TC_VL <= k; p += TC_VL) {
        TC_VEC column[COLS];
        TC_UNROLL
        for (int j = 0; j < COLS; j++) column[j] = TC_LOAD(b[j] + p);
        TC_UNROLL
        for (int i = 0; i < rows; i++) {
            TC_VEC row = TC_LOAD(x + i * ldx + p);
            TC_UNROLL
            for (int j = 0; j < COLS; j++) acc[i][j] += row * column[j];
        }
    }
    if (p < k) {
        for (int i = 0; i < rows; i++) {
            TC_VEC row = TC_FN(tc_load_first)(x + i * ldx + p, k - p);
            for (int j = 0; j < COLS; j++) acc[i][j] += row * TC_FN(tc_load_first)(b[j] + p, k - p);
        }
    }
    TC_UNROLL
    for (int i = 0; i < rows; i++) {
        TC_UNROLL
        for (int j = 0; j < COLS; j++) TC_STORE(lanes + (i * COLS + j) * TC_VL, acc[i][j]);
    }
    for (int first = 0; first < rows * COLS; first += TC_VL) {
        TC_FN(tc_transpose)(lanes + first * TC_VL, TC_VL, tc_min(TC_VL, rows * COLS - first), across, TC_VL);
        TC_VEC sum = TC_LOAD(across);
        TC_UNROLL
        for (int lane = 1; lane < TC_VL; lane++) sum += TC_LOAD(across + lane * TC_VL);
        TC_STORE(sums + first, sum);
    }
}

static void TC_FN(gemm_few_task)(const void *plan, tc_int task, void *scratch) {
    enum { ROWS = TC_FN(FEW_ROWS), COLS = TC_FN(FEW_COLS) };
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias, *column[TC_FN(FEW_COLS)];
    TC_T *c, part[TC_FN(FEW_SUMS) + TC_VL];
    (void)scratch;
    TC_FN(gemm_batch)(q, task / q->panel_groups, &a, &b, &c);
    tc_int first = task % q->panel_groups * TC_FN(DOT_COLS), end = tc_min(p->n, first + TC_FN(DOT_COLS));
    for (tc_int j0 = first; j0 < end; j0 += COLS) {
        for (tc_int i0 = 0; i0 < p->m; i0 += ROWS) {
            tc_int m = tc_min(ROWS, p->m - i0), n = tc_min(COLS, end - j0);
            for (tc_int k0 = 0; k0 < p->k || k0 == 0; k0 += TC_GEMM_DOTS * TC_VL) {
                tc_int k = tc_min(TC_GEMM_DOTS * TC_VL, p->k - k0);
                const TC_T *x = a + i0 * p->a_row + k0;
                for (tc_int j = 0; j < COLS; j++) column[j] = b + tc_min(j0 + j, p->n - 1) * p->b_col + k0;
                if (m == 4) TC_FN(few_dots)(4, k, x, p->a_row, column, part);
                else if (m == 3) TC_FN(few_dots)(3, k, x, p->a_row, column, part);
                else if (m == 2) TC_FN(few_dots)(2, k, x, p->a_row, column, part);
                else TC_FN(few_dots)(1, k, x, p->a_row, column, part);
                for (tc_int i = 0; i < m; i++) {
                    TC_T *to = c + (i0 + i) * p->c_row + j0;
                    for (tc_int j = 0; j < n; j++) {
                        TC_T sum = part[i * COLS + j];
                        if (k0 || p->add) to[j] += sum;
                        else to[j] = bias ? sum + bias[p->row_bias ? i0 + i : j0 + j] : sum;
                    }
                }
            }
        }
    }
}

/* Rows of B contiguous (b_col == 1): they are scaled and added, as many columns at a time as there are registers for. */
static void TC_FN(gemm_row_task)(const void *plan, tc_int task, void *scratch) {
    const TC_PLAN *q = (const TC_PLAN *)plan;
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c, sums[TC_FN(ROW_COLS)] = {0};
    (void)scratch;
    TC_FN(gemm_batch)(q, task / q->panel_groups, &a, &b, &c);
    tc_int j0 = task % q->panel_groups * TC_FN(ROW_COLS), n = tc_min(p->n - j0, TC_FN(ROW_COLS)), j = 0;
    if (n == TC_FN(ROW_COLS)) {
        TC_VEC acc[8];
        TC_UNROLL
        for (int v = 0; v < 8; v++) acc[v] = (TC_VEC){0};
        for (tc_int r0 = 0; r0 < p->k; r0 += TC_GEMM_SHORT) {
            for (tc_int r = r0; r < tc_min(p->k, r0 + TC_GEMM_SHORT); r++) {
                const TC_T *row = b + r * p->b_row + j0, x = a[r * p->a_col];
                TC_UNROLL
                for (int v = 0; v < 8; v++) acc[v] += x * TC_LOAD(row + v * TC_VL);
            }
            TC_UNROLL
            for (int v = 0; v < 8; v++) {
                if (r0) acc[v] += TC_LOAD(sums + v * TC_VL);
                TC_STORE(sums + v * TC_VL, acc[v]);
                acc[v] = (TC_VEC){0};
            }
        }
    } else {
        for (; j < n; j += TC_VL) {
            TC_VEC sum = {0};
            tc_int count = tc_min(TC_VL, n - j);
            for (tc_int r0 = 0; r0 < p->k; r0 += TC_GEMM_SHORT) {
                TC_VEC acc = {0};
                for (tc_int r = r0; r < tc_min(p->k, r0 + TC_GEMM_SHORT); r++) {
                    const TC_T *row = b + r * p->b_row + j0 + j, x = a[r * p->a_col];
                    acc += x * (count == TC_VL ? TC_LOAD(row) : TC_FN(tc_load_first)(row, count));
                }
                sum += acc;
            }
            TC_STORE(sums + j, sum);
        }
    }
    for (j = 0; j < n; j++) {
        TC_T *to = c + (j0 + j) * (q->turned ? p->c_row : 1);
        if (p->add) sums[j] += *to;
        *to = bias ? sums[j] + bias[q->row_bias ? 0 : j0 + j] : sums[j];
    }
}

static void TC_FN(gemm_small)(const TC_PLAN *q, tc_int batch) {
    const tc_gemm_problem *p = q->p;
    const TC_T *a, *b, *bias = (const TC_T *)p->bias;
    TC_T *c;
    for (tc_int t = 0; t < batch; t++) {
        TC_FN(gemm_batch)(q, t, &a, &b, &c);
        for (tc_int i = 0; i < p->m; i++) {
            for (tc_int j = 0; j < p->n; j++) {
                TC_T s = 0;
                for (tc_int r = 0; r < p->k; r++) s += a[i * p->a_row + r * p->a_col] * b[r * p->b_row + j * p->b_col];
                TC_T *to = c + i * p->c_row + j;
                *to = p->add ? *to + s : bias ? s + bias[p->row_bias ? i : j] : s;
            }
        }
    }
}

/* The time of a product, in FMAs of a whole vector (half a cycle): the tiles, packing, and turning the tiles of C. */
TC_INLINE tc_int TC_FN(gemm_cost)(const tc_gemm_problem *p, int turned) {
    tc_int vectors = tc_ceil_div(p->n, TC_VL);
    tc_int cost = tc_max(p->m, 4) * vectors * p->k;                 /* below 4 rows the FMAs wait for each other */
    cost += vectors * p->k * (p->b_col == 1 ? 2 : p->b_row == 1 ? 10 : 3 * TC_VL);
    if (p->a_col != 1 && p->a_row != 1) cost += 2 * p->m * p->k;
    return cost + (turned ? 10 * p->m * vectors : 0);
}

/* The same as dot products: loads limit more than in the tile, most of all those of rows left over, and every sum has its
 * lanes to add. */
TC_INLINE tc_int TC_FN(gemm_few_cost)(const tc_gemm_problem *p) {
    return (p->m + (p->m % TC_FN(FEW_ROWS) != 0)) * p->n * (tc_ceil_div(p->k, TC_VL) * 5 / 4 + 10);
}

/* 0, or -1 if there is no memory for scratch. */
static int TC_FN(gemm)(const tc_gemm_problem *problem, int threads) {
    tc_int batch = 1;
    for (int d = 0; d < problem->batch_dims; d++) batch *= problem->batch_shape[d];
    if (batch == 0 || problem->m == 0 || problem->n == 0) return 0;
    int plain = problem->terms <= 1 && !problem->run;
    TC_PLAN q = {.p = problem, .c_matrix = problem->m * problem->c_row, .terms = tc_max(1, problem->terms)};
    if (plain && problem->m * problem->n * problem->k <= 128) {
        TC_FN(gemm_small)(&q, batch);
        return 0;
    }
    tc_gemm_problem turned = *problem;
    turned.m = problem->n;
    turned.n = problem->m;
    turned.a = problem->b; turned.a_row = problem->b_col; turned.a_col = problem->b_row; turned.a_batch = problem->b_batch;
    turned.b = problem->a; turned.b_row = problem->a_col; turned.b_col = problem->a_row; turned.b_batch = problem->a_batch;
    turned.a_term = problem->b_term; turned.b_term = problem->a_term;
    q.turned = !problem->run && (problem->n == 1 ||
                                 (problem->m > 1 && TC_FN(gemm_cost)(&turned, 1) < TC_FN(gemm_cost)(problem, 0)));
    q.row_bias = q.turned ? !problem->row_bias : problem->row_bias;
    const tc_gemm_problem *p = q.p = q.turned ? &turned : problem;

    if (plain && p->m == 1 && (p->b_row == 1 || p->b_col == 1)) {
        int dot = p->b_row == 1;
        q.panel_groups = tc_ceil_div(p->n, dot ? TC_FN(DOT_COLS) : TC_FN(ROW_COLS));
        return tc_run(dot ? TC_FN(gemm_dot_task) : TC_FN(gemm_row_task), &q, batch * q.panel_groups,
                      sizeof(TC_T) * (size_t)p->k, threads);
    }
    int few = plain && problem->m > 1 && problem->m <= TC_GEMM_FEW && problem->n > 1 && problem->k >= TC_VL;
    if (few && problem->a_col == 1 && problem->b_row == 1 &&
        TC_FN(gemm_few_cost)(problem) < TC_FN(gemm_cost)(p, q.turned)) {
        q.p = problem;
        q.panel_groups = tc_ceil_div(problem->n, TC_FN(DOT_COLS));
        return tc_run(TC_FN(gemm_few_task), &q, batch * q.panel_groups, 0, threads);
    }
    q.run = p->run ? p->run : p->n;
    q.row_blocks = tc_ceil_div(p->m, TC_MR);
    q.panels = tc_ceil_div(p->n, TC_NR);
    tc_int longest = tc_min(p->m, p->n) <= TC_GEMM_THIN ? TC_GEMM_SHORT : TC_GEMM_SLICE;
    q.slices = tc_max(1, tc_ceil_div(p->k, longest));
    /* A task per thread; two where that costs little, in case a thread is held up.  The longer side is cut first. */
    int large = batch * q.terms * p->m * p->n * p->k > TC_GEMM_LARGE && batch * p->m * p->n > TC_GEMM_WIDE;
    tc_int tasks = large ? 2 * threads : threads;
    q.row_groups = q.panel_groups = 1;
    while (threads > 1 && batch * q.row_groups * q.panel_groups < tasks) {
        if (q.row_blocks * TC_MR * q.panel_groups >= q.panels * TC_NR * q.row_groups && q.row_groups < q.row_blocks)
            q.row_groups *= 2;
        else if (q.panel_groups < q.panels) q.panel_groups *= 2;
        else break;
    }
    q.row_groups = tc_min(q.row_groups, q.row_blocks);
    q.panel_groups = tc_min(tc_max(q.panel_groups, tc_ceil_div(q.panels, TC_GEMM_COLS / TC_NR)), q.panels);
    /* Rows a multiple of 4 KB apart share the places of the first cache; a column takes a line for every number. */
    tc_int group_panels = tc_ceil_div(q.panels, q.panel_groups);
    const int shared_places = p->a_row * TC_TBYTES % 4096 == 0;
    if (p->a_col == 1) q.a_in_place = group_panels < 8 || !shared_places;
    else q.a_in_place = p->a_row == 1 && group_panels < 3;
    /* Where k is short, terms in a row, so that C is not read and written for each.  A is read in place then; that must
     * hang on the shape alone, not on the threads as a_in_place may, for the order of the sum hangs on it. */
    q.joined = p->a_col == 1 && !shared_places ? tc_ceil_div(q.terms, tc_max(1, longest / tc_max(1, p->k))) : q.terms;
    q.b_in_place = p->b_col == 1 && q.row_blocks == 1 && q.joined == q.terms;
    q.b_copied = p->b_col == 1 && !q.b_in_place && q.joined == q.terms;
    q.chunk = tc_min(tc_ceil_div(tc_ceil_div(p->m, q.row_groups), TC_MR), tc_max(1, TC_GEMM_ROWS / TC_MR));
    /* With a short sum, writing a large C takes as long: its rows are written from left to right, and called up before. */
    q.c_far = p->k <= TC_GEMM_SHORT && p->m * p->n * TC_TBYTES >= TC_GEMM_FAR;
    if (q.c_far) q.chunk = 1;
    q.one_panel = q.b_copied && q.chunk * q.row_groups >= q.row_blocks;
    tc_int k = tc_ceil_div(p->k, q.slices) * tc_ceil_div(q.terms, q.joined);
    q.a_room = q.a_in_place ? 0 : (q.chunk * TC_MR * k + TC_VL + 63) / 64 * 64;
    tc_int b_room = k * TC_NR * (q.b_in_place || q.one_panel ? 1 : group_panels);
    return tc_run(TC_FN(gemm_task), &q, batch * q.row_groups * q.panel_groups,
                  sizeof(TC_T) * (size_t)(q.a_room + b_room + TC_VL), threads);
}

static const tc_gemm_function TC_FN(tc_gemm_entry) = TC_FN(gemm);
#undef TC_PLAN
#undef TC_PIECE
#undef TC_ROW_CUT
