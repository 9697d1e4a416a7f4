/* Transposed and reversed copies, compiled once per instruction set and for numbers of 4 and 8 bytes (see isa.h). */

/* y[r, c] = x[r, c], where neighbours in x are rows and neighbours in y are columns: blocks of TC_VL x TC_VL are turned in
 * registers, so that both sides move whole vectors.  Numbers are never looked at: any 4 or 8 bytes go through unchanged. */
static void TC_FN(tc_turn)(const char *x, char *y, const tc_plane *p) {
    const tc_int ldx = p->x_col / (tc_int)sizeof(TC_T), ldy = p->y_row / (tc_int)sizeof(TC_T);
    const tc_int rows = p->rows / TC_VL * TC_VL, cols = p->cols / TC_VL * TC_VL;
    const TC_T *from = (const TC_T *)x;
    TC_T *to = (TC_T *)y;
    for (tc_int r = 0; r < rows; r += TC_VL)
        for (tc_int c = 0; c < cols; c += TC_VL)
            TC_FN(tc_transpose)(from + r + c * ldx, ldx, TC_VL, to + r * ldy + c, ldy);
    for (tc_int r = 0; r < p->rows; r++)
        for (tc_int c = r < rows ? cols : 0; c < p->cols; c++) to[r * ldy + c] = from[r + c * ldx];
}

/* y[r, c] = x[r, -c]: neighbours in y, and in x the other way round. */
static void TC_FN(tc_reverse)(const char *x, char *y, const tc_plane *p) {
    for (tc_int r = 0; r < p->rows; r++) {
        const TC_T *from = (const TC_T *)(x + r * p->x_row);
        TC_T *restrict to = (TC_T *)(y + r * p->y_row);
        _Pragma("omp simd")
        for (tc_int c = 0; c < p->cols; c++) to[c] = from[-c];
    }
}
