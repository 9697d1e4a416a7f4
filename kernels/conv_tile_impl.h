/* A second register tile, for products whose left-hand matrix is read in place at arbitrary rows.
 *
 *     C[i][j] (+)= sum over images, rows, p of   a[a_row[i] + image * image_skip + row * row_skip + p] * B[.., j]
 *
 * with consecutive rows of B for consecutive (image, row, p).  tile_impl.h has a tile of 14 x 2 vectors for this; its
 * fourteen row pointers do not fit into the sixteen address registers of x86, and loading them again at every step takes
 * the place of the loads that matter.  Here it is 8 x 3 (4 x 3 without AVX-512): as many accumulators, 8 pointers, and
 * 11 loads for 24 FMAs.  Reads and writes m x nv * TC_VL numbers of c; sums are taken in the order of B.
 */
#if TC_MR == 14
#define TC_WIDE_M 8
#define TC_EACH_WIDE(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv) X(7, nv) X(8, nv)
#else
#define TC_WIDE_M 4
#define TC_EACH_WIDE(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv)
#endif
#define TC_WIDE_V 3
#define TC_RUNS TC_FN(tc_runs)

typedef struct { tc_int images, image_skip, rows, row_skip, len; } TC_RUNS; /* which numbers of a line of A are read */

TC_INLINE void TC_FN(wide_body)(int m, int nv, const TC_RUNS *runs, const TC_T *a, const tc_int *a_row, const TC_T *b,
                                tc_int ldb, TC_T *c, tc_int ldc, int add) {
    const TC_T *line[TC_WIDE_M];
    TC_VEC acc[TC_WIDE_M][TC_WIDE_V];
    tc_int image_skip = runs->image_skip - runs->rows * runs->row_skip, row_skip = runs->row_skip, len = runs->len;
    TC_UNROLL
    for (int i = 0; i < m; i++) {
        line[i] = a + a_row[i];
        TC_UNROLL
        for (int j = 0; j < nv; j++) acc[i][j] = add ? TC_LOAD(c + i * ldc + j * TC_VL) : (TC_VEC){0};
    }
    tc_int at = 0;
    for (tc_int image = 0; image < runs->images; image++, at += image_skip)
        for (tc_int r = 0; r < runs->rows; r++, at += row_skip)
            for (tc_int p = at; p < at + len; p++, b += ldb) {
                TC_VEC row[TC_WIDE_V];
                TC_UNROLL
                for (int j = 0; j < nv; j++) row[j] = TC_LOAD(b + j * TC_VL);
                TC_UNROLL
                for (int i = 0; i < m; i++) {
                    TC_UNROLL
                    for (int j = 0; j < nv; j++) acc[i][j] += line[i][p] * row[j];
                }
            }
    TC_UNROLL
    for (int i = 0; i < m; i++) {
        TC_UNROLL
        for (int j = 0; j < nv; j++) TC_STORE(c + i * ldc + j * TC_VL, acc[i][j]);
    }
}

typedef void (*TC_FN(tc_wide))(const TC_RUNS *, const TC_T *a, const tc_int *a_row, const TC_T *b, tc_int ldb, TC_T *c,
                               tc_int ldc, int add);
#define TC_WIDE_NAME_(m, nv, fn) fn(wide_##m##x##nv)
#define TC_WIDE_NAME(m, nv) TC_WIDE_NAME_(m, nv, TC_FN)
#define TC_DEFINE(m, nv)                                                                                            \
    static void TC_WIDE_NAME(m, nv)(const TC_RUNS *runs, const TC_T *a, const tc_int *a_row, const TC_T *b,         \
                                    tc_int ldb, TC_T *c, tc_int ldc, int add) {                                     \
        TC_FN(wide_body)(m, nv, runs, a, a_row, b, ldb, c, ldc, add);                                               \
    }
#define TC_ENTRY(m, nv) TC_WIDE_NAME(m, nv),
TC_EACH_WIDE(TC_DEFINE, 1)
TC_EACH_WIDE(TC_DEFINE, 2)
TC_EACH_WIDE(TC_DEFINE, 3)
/* [nv - 1][m - 1] */
static const TC_FN(tc_wide) TC_FN(wide)[TC_WIDE_V][TC_WIDE_M] = {
    {TC_EACH_WIDE(TC_ENTRY, 1)}, {TC_EACH_WIDE(TC_ENTRY, 2)}, {TC_EACH_WIDE(TC_ENTRY, 3)}};
#undef TC_DEFINE
#undef TC_ENTRY
#undef TC_EACH_WIDE
#undef TC_WIDE_NAME_
#undef TC_WIDE_NAME
