/* Packing: copies of a block of a matrix in the order in which the register tile reads it.
 *
 * A packed panel is read front to back with unit stride, stays in the cache that it was written to, and costs no TLB
 * misses when the matrix has long rows.  Transposed operands need no copy of their own: packing goes through strides,
 * and where the other index is the contiguous one it transposes TC_VL x TC_VL blocks in registers.
 *
 * Nothing is read beyond the matrix, nothing is written beyond the panel.
 */

/* Rows of B: out[p * TC_NR + j] = b[p * rs + j * cs] for p < k, j < n <= TC_NR; the other columns are zero. */
static void TC_FN(pack_b)(tc_int k, tc_int n, const TC_T *b, tc_int rs, tc_int cs, TC_T *restrict out) {
    if (n < TC_NR && k > 0) memset(out, 0, sizeof(TC_T) * (size_t)(k * TC_NR));
    if (cs == 1 && n == TC_NR) {
        for (tc_int p = 0; p < k; p++, b += rs, out += TC_NR) {
            TC_FN(tc_store)(out, TC_FN(tc_load)(b));
            TC_FN(tc_store)(out + TC_VL, TC_FN(tc_load)(b + TC_VL));
        }
    } else if (cs == 1) {
        for (tc_int p = 0; p < k; p++, b += rs, out += TC_NR)
            for (tc_int j = 0; j < n; j++) out[j] = b[j];
    } else if (rs == 1) {
        tc_int whole = k - k % TC_VL, j = 0;
        for (; j < n; j += TC_VL)
            for (tc_int p = 0; p < whole; p += TC_VL)
                TC_FN(tc_transpose)(b + p + j * cs, cs, tc_min(TC_VL, n - j), out + p * TC_NR + j, TC_NR);
        for (tc_int p = whole; p < k; p++)
            for (j = 0; j < n; j++) out[p * TC_NR + j] = b[p + j * cs];
    } else {
        for (tc_int p = 0; p < k; p++)
            for (tc_int j = 0; j < n; j++) out[p * TC_NR + j] = b[p * rs + j * cs];
    }
}

/* Columns of A: out[p * m + i] = a[i * rs + p * cs] for p < k, i < m <= TC_MR. */
static void TC_FN(pack_a)(tc_int m, tc_int k, const TC_T *a, tc_int rs, tc_int cs, TC_T *restrict out) {
    TC_T *end = out + m * k;
    tc_int p = 0;
    if (cs == 1) {
        /* Transpose through a small buffer; a row of it is stored with whole vectors, the surplus lands on the next. */
        enum { GROUPS = (TC_MR + TC_VL - 1) / TC_VL, WIDTH = GROUPS * TC_VL };
        TC_T block[TC_VL * WIDTH] __attribute__((aligned(64)));
        for (; p + TC_VL <= k; p += TC_VL) {
            for (tc_int i = 0; i < m; i += TC_VL)
                TC_FN(tc_transpose)(a + i * rs + p, rs, tc_min(TC_VL, m - i), block + i, WIDTH);
            for (int t = 0; t < TC_VL; t++, out += m)
                for (tc_int v = 0; v < m; v += TC_VL) {
                    if (end - out - v >= TC_VL) TC_FN(tc_store)(out + v, TC_FN(tc_load)(block + t * WIDTH + v));
                    else memcpy(out + v, block + t * WIDTH + v, sizeof(TC_T) * (size_t)tc_min(TC_VL, m - v));
                }
        }
    }
    if (rs == 1 && cs >= TC_VL) {
        /* Whole vectors; what they read beyond the m rows lies in the next column, and the last column has none. */
        for (; p < k; p++, out += m)
            for (tc_int i = 0; i < m; i += TC_VL) {
                tc_int n = tc_min(TC_VL, m - i);
                TC_VEC v = p + 1 < k ? TC_FN(tc_load)(a + i + p * cs) : TC_FN(tc_load_first)(a + i + p * cs, n);
                if (end - out - i >= TC_VL) TC_FN(tc_store)(out + i, v);
                else TC_FN(tc_store_first)(out + i, v, n);
            }
    }
    for (; p < k; p++, out += m)
        for (tc_int i = 0; i < m; i++) out[i] = a[i * rs + p * cs];
}
