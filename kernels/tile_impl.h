/* The register tile: the one piece of arithmetic under matmul and all three convolutions.
 *
 *     C[i][j] (+)= sum over k of A(i, k) * B(k, j)          i < m <= TC_MR,   j < nv * TC_VL,   nv = 1, 2 or 4
 *
 * The m * nv accumulators stay in vector registers during the whole sum (14 x 2 of the 32 of AVX-512, 6 x 2 of the 16
 * of AVX2 and SSE).  A step loads nv vectors of B, broadcasts m numbers of A, and does m * nv FMAs: many independent
 * chains hide the latency of the FMA, and 14 + 2 loads feed 28 FMAs, so that loads do not limit.
 *
 * Five ways to find A and B, otherwise one body:
 *     tile_panels   A packed [k][m],            B rows at b + k * ldb          convolution with packed columns
 *     tile_table    A packed [k][m],            B vector j at b[j] + table[k]  convolution read from the image
 *     tile_across   A(i, k) = a[i * lda + k],   B rows at b + k * ldb          rows of A in place
 *     tile_runs     the same for `runs` runs of k numbers, a_skip apart        matmul, one run for each term of the sum
 *     tile_down     A(i, k) = a[i + k * lda],   B rows at b + k * ldb          matmul, columns of A in place, or packed
 *
 * With few rows (TC_WIDE_ROWS) there are too few sums under way, and too many loads for them: tile_table has a copy with
 * four vectors for those.
 *
 * m and nv are compile-time constants in every copy: an accumulator array with a variable bound lives in memory.  The
 * function tables are indexed [nv - 1][m - 1].  A sum is always taken in the order of k, whatever m, nv and the way of
 * reading: so cutting the output into other tiles never changes a bit.
 *
 * The result goes to c (row pitch ldc): added to what is there if `add`, else plus the biases that are not NULL
 * (row_bias[i], col_bias[j]).  Reads and writes exactly m x nv * TC_VL numbers of c, never beyond.  tile_runs (of one run)
 * and tile_down, where TC_COPIES, write the rows of B to `copy`, unless that is NULL, as a panel of TC_NR columns.
 */

#define TC_TILE_V 4
#define TC_WIDE_ROWS (TC_MR == 14 ? 6 : 3)
#define TC_TILE_OUT TC_FN(tc_tile_out)
#define TC_LOAD TC_FN(tc_load)
#define TC_STORE TC_FN(tc_store)

typedef struct {
    TC_T *c;
    tc_int ldc;
    int add;
    const TC_T *row_bias, *col_bias;
    TC_T *copy;
} TC_TILE_OUT;

TC_INLINE void TC_FN(tile_finish)(int m, int nv, TC_VEC acc[TC_MR][TC_TILE_V], const TC_TILE_OUT *out) {
    TC_T *c = out->c;
    const TC_T *row_bias = out->row_bias, *col_bias = out->col_bias;
    if (out->add) {
        TC_UNROLL
        for (int i = 0; i < m; i++) {
            TC_UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] += TC_LOAD(c + i * out->ldc + j * TC_VL);
        }
    } else {
        if (row_bias) {
            TC_UNROLL
            for (int i = 0; i < m; i++) {
                TC_UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] += row_bias[i];
            }
        }
        if (col_bias) {
            TC_UNROLL
            for (int i = 0; i < m; i++) {
                TC_UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] += TC_LOAD(col_bias + j * TC_VL);
            }
        }
    }
    TC_UNROLL
    for (int i = 0; i < m; i++) {
        TC_UNROLL
        for (int j = 0; j < nv; j++) TC_STORE(c + i * out->ldc + j * TC_VL, acc[i][j]);
    }
}

#define TC_CLEAR(m, nv)                                       \
    TC_VEC acc[TC_MR][TC_TILE_V];                             \
    TC_UNROLL                                                 \
    for (int i = 0; i < m; i++) {                             \
        TC_UNROLL                                             \
        for (int j = 0; j < nv; j++) acc[i][j] = (TC_VEC){0}; \
    }

TC_INLINE void TC_FN(tile_panels_body)(int m, int nv, tc_int k, const TC_T *a, const TC_T *b, tc_int ldb,
                                       const TC_TILE_OUT *out) {
    TC_CLEAR(m, nv)
    for (; k > 0; k--, a += m, b += ldb) {
        TC_VEC row[2];
        TC_UNROLL
        for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b + j * TC_VL);
        TC_UNROLL
        for (int i = 0; i < m; i++) {
            TC_UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] += a[i] * row[j];
        }
    }
    TC_FN(tile_finish)(m, nv, acc, out);
}

TC_INLINE void TC_FN(tile_table_body)(int m, int nv, tc_int k, const TC_T *a, const TC_T *const *b,
                                      const tc_int *table, const TC_TILE_OUT *out) {
    TC_CLEAR(m, nv)
    for (tc_int p = 0; p < k; p++, a += m) {
        TC_VEC row[TC_TILE_V];
        TC_UNROLL
        for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b[j] + table[p]);
        TC_UNROLL
        for (int i = 0; i < m; i++) {
            TC_UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] += a[i] * row[j];
        }
    }
    TC_FN(tile_finish)(m, nv, acc, out);
}

/* Operands in groups of TC_VL channels, [group][item][TC_VL], as Winograd's transforms leave them.  The groups of B and
 * of the result are b_group and c_group apart.
 *     tile_lanes     A(i, k) = a[i * TC_VL + k] in the group of k, groups a_group apart: k runs over channels
 *     tile_items     A(i, k) = a[k * TC_VL + i]: k runs over items, the rows are channels of one group
 */
#define TC_TILE_LANES_ARGS                                                                                             \
    tc_int k, const TC_T *a, tc_int a_group, const TC_T *b, tc_int b_group, TC_T *c, tc_int c_group, int add

TC_INLINE void TC_FN(tile_lanes_body)(int m, int nv, int k_is_item, TC_TILE_LANES_ARGS) {
    TC_CLEAR(m, nv)
    while (k > 0) {
        tc_int len = k_is_item ? k : tc_min(k, TC_VL);
        for (tc_int p = 0; p < len; p++, b += TC_VL) {
            const TC_T *from = k_is_item ? a + p * TC_VL : a + p;
            TC_VEC row[2];
            TC_UNROLL
            for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b + j * b_group);
            TC_UNROLL
            for (int i = 0; i < m; i++) {
                TC_UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] += from[k_is_item ? i : i * TC_VL] * row[j];
            }
        }
        k -= len;
        a += a_group;
    }
    if (add) {
        TC_UNROLL
        for (int i = 0; i < m; i++) {
            TC_UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] += TC_LOAD(c + i * TC_VL + j * c_group);
        }
    }
    TC_UNROLL
    for (int i = 0; i < m; i++) {
        TC_UNROLL
        for (int j = 0; j < nv; j++) TC_STORE(c + i * TC_VL + j * c_group, acc[i][j]);
    }
}

/* A step of a tile whose rows of B may be copied on the way: two stores beside so many FMAs cost nothing, and the next
 * panel, which will be read from far away as well, is called up. */
#define TC_COPY_ROW                                            \
    if (copies) {                                              \
        TC_UNROLL                                              \
        for (int j = 0; j < nv; j++) {                         \
            TC_STORE(copy + j * TC_VL, row[j]);                \
            tc_prefetch(b, (nv + j) * TC_VBYTES);              \
        }                                                      \
        copy += TC_NR;                                         \
    }

/* Fourteen row pointers do not fit into the registers; x86 adds 0, 1 or 2 times the pitch to a pointer for nothing. */
TC_INLINE void TC_FN(tile_runs_sum)(int m, int nv, int copies, tc_int runs, tc_int a_skip, tc_int k, const TC_T *a,
                                    tc_int lda, const TC_T *b, tc_int ldb, TC_VEC acc[TC_MR][TC_TILE_V], TC_T *copy) {
    const TC_T *third[(TC_MR + 2) / 3];
    TC_UNROLL
    for (int i = 0; i < m; i += 3) third[i / 3] = a + i * lda;
    for (tc_int at = 0; runs > 0; runs--, at += a_skip) {
        for (tc_int p = at; p < at + k; p++, b += ldb) {
            TC_VEC row[2];
            TC_UNROLL
            for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b + j * TC_VL);
            TC_COPY_ROW
            TC_UNROLL
            for (int i = 0; i < m; i++) {
                const TC_T *line = third[i / 3] + i % 3 * lda;
                TC_UNROLL
                for (int j = 0; j < nv; j++) acc[i][j] += line[p] * row[j];
            }
        }
    }
}

TC_INLINE void TC_FN(tile_runs_body)(int m, int nv, tc_int runs, tc_int a_skip, tc_int k, const TC_T *a, tc_int lda,
                                     const TC_T *b, tc_int ldb, const TC_TILE_OUT *out) {
    TC_CLEAR(m, nv)
    TC_FN(tile_runs_sum)(m, nv, 0, runs, a_skip, k, a, lda, b, ldb, acc, NULL);
    TC_FN(tile_finish)(m, nv, acc, out);
}

TC_INLINE void TC_FN(tile_down_sum)(int m, int nv, int copies, tc_int k, const TC_T *a, tc_int lda, const TC_T *b, tc_int ldb,
                                    TC_VEC acc[TC_MR][TC_TILE_V], TC_T *copy) {
    for (; k > 0; k--, a += lda, b += ldb) {
        TC_VEC row[2];
        TC_UNROLL
        for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b + j * TC_VL);
        TC_COPY_ROW
        TC_UNROLL
        for (int i = 0; i < m; i++) {
            TC_UNROLL
            for (int j = 0; j < nv; j++) acc[i][j] += a[i] * row[j];
        }
    }
}
#undef TC_COPY_ROW

#define TC_COPIES(m, nv) ((nv) == 2 && 2 * (m) > TC_MR)

/* ---- one function per (m, nv), and the tables */
typedef void (*TC_FN(tc_tile_panels))(tc_int k, const TC_T *a, const TC_T *b, tc_int ldb, const TC_TILE_OUT *out);
typedef void (*TC_FN(tc_tile_table))(tc_int k, const TC_T *a, const TC_T *const *b, const tc_int *table,
                                     const TC_TILE_OUT *out);
typedef void (*TC_FN(tc_tile_runs))(tc_int runs, tc_int a_skip, tc_int k, const TC_T *a, tc_int lda, const TC_T *b,
                                    tc_int ldb, const TC_TILE_OUT *out);
typedef void (*TC_FN(tc_tile_matrix))(tc_int k, const TC_T *a, tc_int lda, const TC_T *b, tc_int ldb,
                                      const TC_TILE_OUT *out);

#if TC_MR == 6
#define TC_EACH_M(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv)
#define TC_EACH_FEW(X, nv) X(1, nv) X(2, nv) X(3, nv)
#else
#define TC_EACH_FEW(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv)
#define TC_EACH_M(X, nv)                                                                                        \
    X(1, nv) X(2, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv) X(7, nv) X(8, nv) X(9, nv) X(10, nv) X(11, nv) X(12, nv) \
    X(13, nv) X(14, nv)
#endif
#define TC_TILE_NAME_(kind, m, nv, fn) fn(kind##_##m##x##nv)
#define TC_TILE_NAME(kind, m, nv) TC_TILE_NAME_(kind, m, nv, TC_FN)

#ifdef TC_USE_TILE_PANELS
#define TC_DEFINE(m, nv)                                                                                           \
    static void TC_TILE_NAME(tile_panels, m, nv)(tc_int k, const TC_T *a, const TC_T *b, tc_int ldb,               \
                                                 const TC_TILE_OUT *out) {                                         \
        TC_FN(tile_panels_body)(m, nv, k, a, b, ldb, out);                                                         \
    }
TC_EACH_M(TC_DEFINE, 1)
TC_EACH_M(TC_DEFINE, 2)
#undef TC_DEFINE
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_panels, m, nv),
static const TC_FN(tc_tile_panels) TC_FN(tile_panels)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#endif

#ifdef TC_USE_TILE_TABLE
#define TC_DEFINE(m, nv)                                                                                           \
    static void TC_TILE_NAME(tile_table, m, nv)(tc_int k, const TC_T *a, const TC_T *const *b, const tc_int *table, \
                                                const TC_TILE_OUT *out) {                                          \
        TC_FN(tile_table_body)(m, nv, k, a, b, table, out);                                                        \
    }
TC_EACH_M(TC_DEFINE, 1)
TC_EACH_M(TC_DEFINE, 2)
TC_EACH_FEW(TC_DEFINE, 4)
#undef TC_DEFINE
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_table, m, nv),
static const TC_FN(tc_tile_table) TC_FN(tile_table)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
static const TC_FN(tc_tile_table) TC_FN(tile_table_wide)[TC_WIDE_ROWS] = {TC_EACH_FEW(TC_ENTRY, 4)};
#undef TC_ENTRY
#endif

#ifdef TC_USE_TILE_LANES
typedef void (*TC_FN(tc_tile_lanes))(TC_TILE_LANES_ARGS);
#define TC_DEFINE(m, nv)                                                                 \
    static void TC_TILE_NAME(tile_lanes, m, nv)(TC_TILE_LANES_ARGS) {                    \
        TC_FN(tile_lanes_body)(m, nv, 0, k, a, a_group, b, b_group, c, c_group, add);    \
    }                                                                                    \
    static void TC_TILE_NAME(tile_items, m, nv)(TC_TILE_LANES_ARGS) {                    \
        TC_FN(tile_lanes_body)(m, nv, 1, k, a, a_group, b, b_group, c, c_group, add);    \
    }
TC_EACH_M(TC_DEFINE, 1)
TC_EACH_M(TC_DEFINE, 2)
#undef TC_DEFINE
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_lanes, m, nv),
static const TC_FN(tc_tile_lanes) TC_FN(tile_lanes)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_items, m, nv),
static const TC_FN(tc_tile_lanes) TC_FN(tile_items)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#endif
#undef TC_TILE_LANES_ARGS

#ifdef TC_USE_TILE_ACROSS
#define TC_DEFINE(m, nv)                                                                                           \
    static void TC_TILE_NAME(tile_across, m, nv)(tc_int k, const TC_T *a, tc_int lda, const TC_T *b, tc_int ldb,    \
                                                 const TC_TILE_OUT *out) {                                         \
        TC_FN(tile_runs_body)(m, nv, 1, 0, k, a, lda, b, ldb, out);                                                \
    }
TC_EACH_M(TC_DEFINE, 1)
TC_EACH_M(TC_DEFINE, 2)
#undef TC_DEFINE
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_across, m, nv),
static const TC_FN(tc_tile_matrix) TC_FN(tile_across)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#endif

#ifdef TC_USE_TILE_MATRIX
#define TC_DEFINE(m, nv)                                                                                           \
    static void TC_TILE_NAME(tile_runs, m, nv)(tc_int runs, tc_int a_skip, tc_int k, const TC_T *a, tc_int lda,     \
                                               const TC_T *b, tc_int ldb, const TC_TILE_OUT *out) {                \
        TC_CLEAR(m, nv)                                                                                            \
        if (TC_COPIES(m, nv) && out->copy)                                                                         \
            TC_FN(tile_runs_sum)(m, nv, 1, 1, 0, k, a, lda, b, ldb, acc, out->copy);                               \
        else TC_FN(tile_runs_sum)(m, nv, 0, runs, a_skip, k, a, lda, b, ldb, acc, NULL);                           \
        TC_FN(tile_finish)(m, nv, acc, out);                                                                       \
    }                                                                                                              \
    static void TC_TILE_NAME(tile_down, m, nv)(tc_int k, const TC_T *a, tc_int lda, const TC_T *b, tc_int ldb,      \
                                               const TC_TILE_OUT *out) {                                           \
        TC_CLEAR(m, nv)                                                                                            \
        if (TC_COPIES(m, nv) && out->copy) TC_FN(tile_down_sum)(m, nv, 1, k, a, lda, b, ldb, acc, out->copy);      \
        else TC_FN(tile_down_sum)(m, nv, 0, k, a, lda, b, ldb, acc, NULL);                                         \
        TC_FN(tile_finish)(m, nv, acc, out);                                                                       \
    }
TC_EACH_M(TC_DEFINE, 1)
TC_EACH_M(TC_DEFINE, 2)
#undef TC_DEFINE
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_runs, m, nv),
static const TC_FN(tc_tile_runs) TC_FN(tile_runs)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#define TC_ENTRY(m, nv) TC_TILE_NAME(tile_down, m, nv),
static const TC_FN(tc_tile_matrix) TC_FN(tile_down)[2][TC_MR] = {{TC_EACH_M(TC_ENTRY, 1)}, {TC_EACH_M(TC_ENTRY, 2)}};
#undef TC_ENTRY
#endif

#undef TC_CLEAR
#undef TC_EACH_M
#undef TC_EACH_FEW
#undef TC_TILE_V
#undef TC_TILE_NAME_
#undef TC_TILE_NAME
