/* Winograd's transforms, and the way between images and vectors of channels.
 *
 *     y = A^T [ (G w G^T) * (B^T d B) ] A          * elementwise;  d: n x n pixels,  w: r x r,  y: m x m,  n = m + r - 1
 *
 * (Winograd 1980; Lavin and Gray 2016, eq. 8.)  The 1-D transforms evaluate polynomials at points and interpolate:
 *     m = 2, r = 3    0, 1, -1, infinity
 *     m = 4, r = 3    0, +-sqrt(1/2), +-sqrt(2), infinity.  The usual points 0, +-1, +-2 cost the same and lose five times
 *                     more digits, because powers of 2 up to 8 are added to numbers of size 1.
 *     m = 2, r = 5    the same: they belong to n, and so does B
 *     m = 4, r = 2    +-1/2, +-5/4, infinity.  Found by search: pairs +-p make even and odd parts that are shared, and a
 *                     search over pairs found nothing better than these, whose squares are exact; 0, +-1, 2 costs as much
 *                     and loses four times more.
 * The adjoint in w, which the weight gradient needs, is  gw = G^T [ (A gy A^T) * (B^T d B) ] G.
 *
 * A vector holds TC_VL channels of one pixel, so every transform is plain vertical arithmetic for any width of the image.
 * `lanes` and `planes` transpose between that and the planes of an (N, C, H, W) array.
 */
#define TC_ROOT_HALF ((TC_T)0.70710678118654752440)
#define TC_ROOT_TWO ((TC_T)1.41421356237309504880)

/* B^T d: n numbers to n. */
TC_INLINE void TC_FN(wino_input)(int m, int r, const TC_VEC *d, TC_VEC *v) {
    if (m + r == 5) {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[1] - d[3];
        return;
    }
    if (r == 2) {
        TC_VEC even = d[3] - (TC_T)(25 / 16.) * d[1], odd = d[2] - (TC_T)(25 / 16.) * d[0];
        v[0] = even + (TC_T)0.5 * odd;
        v[1] = even - (TC_T)0.5 * odd;
        even = d[3] - (TC_T)0.25 * d[1];
        odd = d[2] - (TC_T)0.25 * d[0];
        v[2] = even + (TC_T)1.25 * odd;
        v[3] = even - (TC_T)1.25 * odd;
        v[4] = (d[4] + (TC_T)(25 / 64.) * d[0]) - (TC_T)(29 / 16.) * d[2];
        return;
    }
    TC_VEC even = d[4] - 2 * d[2], odd = TC_ROOT_HALF * (d[3] - 2 * d[1]);
    v[0] = (d[0] + d[4]) - (TC_T)2.5 * d[2];
    v[1] = even + odd;
    v[2] = even - odd;
    even = d[4] - (TC_T)0.5 * d[2];
    odd = TC_ROOT_TWO * (d[3] - (TC_T)0.5 * d[1]);
    v[3] = even + odd;
    v[4] = even - odd;
    v[5] = (d[1] + d[5]) - (TC_T)2.5 * d[3];
}

/* A^T v: n numbers to m. */
TC_INLINE void TC_FN(wino_output)(int m, int r, const TC_VEC *v, TC_VEC *y) {
    if (m == 2 && r == 3) {
        y[0] = v[0] + v[1] + v[2];
        y[1] = v[1] - v[2] - v[3];
        return;
    }
    if (r == 2) {
        TC_VEC even1 = v[0] + v[1], odd1 = v[0] - v[1], even2 = v[2] + v[3], odd2 = v[2] - v[3];
        y[0] = even1 + even2;
        y[1] = (TC_T)0.5 * odd1 + (TC_T)1.25 * odd2;
        y[2] = (TC_T)0.25 * even1 + (TC_T)(25 / 16.) * even2;
        y[3] = v[4] + (TC_T)0.125 * odd1 + (TC_T)(125 / 64.) * odd2;
        return;
    }
    TC_VEC even1 = v[1] + v[2], odd1 = v[1] - v[2], even2 = v[3] + v[4], odd2 = v[3] - v[4];
    y[0] = v[0] + even1 + even2;
    if (r == 5) {
        y[1] = v[5] + TC_ROOT_HALF * odd1 + TC_ROOT_TWO * odd2;
        return;
    }
    y[1] = TC_ROOT_HALF * odd1 + TC_ROOT_TWO * odd2;
    y[2] = (TC_T)0.5 * even1 + 2 * even2;
    y[3] = v[5] + TC_ROOT_HALF * ((TC_T)0.5 * odd1) + TC_ROOT_TWO * (2 * odd2);
}

/* A g: m numbers to n. */
TC_INLINE void TC_FN(wino_output_adjoint)(int m, int r, const TC_VEC *g, TC_VEC *v) {
    if (m == 2 && r == 3) {
        v[0] = g[0];
        v[1] = g[0] + g[1];
        v[2] = g[0] - g[1];
        v[3] = -g[1];
        return;
    }
    if (r == 2) {
        TC_VEC even = g[0] + (TC_T)0.25 * g[2], odd = (TC_T)0.5 * (g[1] + (TC_T)0.25 * g[3]);
        v[0] = even + odd;
        v[1] = even - odd;
        even = g[0] + (TC_T)(25 / 16.) * g[2];
        odd = (TC_T)1.25 * (g[1] + (TC_T)(25 / 16.) * g[3]);
        v[2] = even + odd;
        v[3] = even - odd;
        v[4] = g[3];
        return;
    }
    if (r == 5) {
        TC_VEC odd1 = TC_ROOT_HALF * g[1], odd2 = TC_ROOT_TWO * g[1];
        v[0] = g[0];
        v[1] = g[0] + odd1;
        v[2] = g[0] - odd1;
        v[3] = g[0] + odd2;
        v[4] = g[0] - odd2;
        v[5] = g[1];
        return;
    }
    TC_VEC even = g[0] + (TC_T)0.5 * g[2], odd = TC_ROOT_HALF * (g[1] + (TC_T)0.5 * g[3]);
    v[0] = g[0];
    v[1] = even + odd;
    v[2] = even - odd;
    even = g[0] + 2 * g[2];
    odd = TC_ROOT_TWO * (g[1] + 2 * g[3]);
    v[3] = even + odd;
    v[4] = even - odd;
    v[5] = g[3];
}

/* G w: r numbers to n. */
TC_INLINE void TC_FN(wino_weight)(int m, int r, const TC_VEC *w, TC_VEC *u) {
    if (m == 2 && r == 3) {
        TC_VEC even = (TC_T)0.5 * (w[0] + w[2]), odd = (TC_T)0.5 * w[1];
        u[0] = w[0];
        u[1] = even + odd;
        u[2] = even - odd;
        u[3] = w[2];
        return;
    }
    if (r == 2) {
        TC_VEC odd = (TC_T)(-8 / 21.) * w[1];
        u[0] = odd - (TC_T)(16 / 21.) * w[0];
        u[1] = odd + (TC_T)(16 / 21.) * w[0];
        u[2] = (TC_T)(32 / 105.) * w[0] - odd;
        u[3] = (TC_T)(-32 / 105.) * w[0] - odd;
        u[4] = w[1];
        return;
    }
    if (r == 5) {
        TC_VEC even = (TC_T)(-2 / 3.) * (w[0] + (TC_T)0.5 * (w[2] + (TC_T)0.5 * w[4]));
        TC_VEC odd = ((TC_T)(-2 / 3.) * TC_ROOT_HALF) * (w[1] + (TC_T)0.5 * w[3]);
        u[0] = w[0];
        u[1] = even + odd;
        u[2] = even - odd;
        even = (TC_T)(1 / 6.) * (w[0] + 2 * (w[2] + 2 * w[4]));
        odd = ((TC_T)(1 / 6.) * TC_ROOT_TWO) * (w[1] + 2 * w[3]);
        u[3] = even + odd;
        u[4] = even - odd;
        u[5] = w[4];
        return;
    }
    TC_VEC even = (TC_T)(-2 / 3.) * (w[0] + (TC_T)0.5 * w[2]), odd = ((TC_T)(-2 / 3.) * TC_ROOT_HALF) * w[1];
    u[0] = w[0];
    u[1] = even + odd;
    u[2] = even - odd;
    even = (TC_T)(1 / 6.) * (w[0] + 2 * w[2]);
    odd = ((TC_T)(1 / 6.) * TC_ROOT_TWO) * w[1];
    u[3] = even + odd;
    u[4] = even - odd;
    u[5] = w[2];
}

/* G^T u: n numbers to r. */
TC_INLINE void TC_FN(wino_weight_adjoint)(int m, int r, const TC_VEC *u, TC_VEC *w) {
    if (m == 2 && r == 3) {
        TC_VEC even = (TC_T)0.5 * (u[1] + u[2]);
        w[0] = u[0] + even;
        w[1] = (TC_T)0.5 * (u[1] - u[2]);
        w[2] = u[3] + even;
        return;
    }
    if (r == 2) {
        w[0] = (TC_T)(32 / 105.) * (u[2] - u[3]) - (TC_T)(16 / 21.) * (u[0] - u[1]);
        w[1] = u[4] + (TC_T)(8 / 21.) * ((u[2] + u[3]) - (u[0] + u[1]));
        return;
    }
    TC_VEC even1 = u[1] + u[2], odd1 = u[1] - u[2], even2 = u[3] + u[4], odd2 = u[3] - u[4];
    w[0] = u[0] - (TC_T)(2 / 3.) * even1 + (TC_T)(1 / 6.) * even2;
    w[1] = ((TC_T)(1 / 6.) * TC_ROOT_TWO) * odd2 - ((TC_T)(2 / 3.) * TC_ROOT_HALF) * odd1;
    if (r == 5) {
        w[2] = (TC_T)(1 / 3.) * (even2 - even1);
        w[3] = ((TC_T)(1 / 3.) * TC_ROOT_TWO) * odd2 - ((TC_T)(1 / 3.) * TC_ROOT_HALF) * odd1;
        w[4] = u[5] + ((TC_T)(2 / 3.) * even2 - (TC_T)(1 / 6.) * even1);
    } else {
        w[2] = u[5] + (TC_T)(1 / 3.) * (even2 - even1);
    }
}

/* to[p][l] = from[l * stride + p] for p < count; lanes l from `rows` on repeat the last row.  Writes up to TC_VL - 1
 * items too many.  Nothing at or after `end` is read. */
static void TC_FN(lanes)(const TC_T *from, tc_int stride, tc_int rows, tc_int count, const TC_T *end, TC_T *to) {
    const TC_T *last = from + (rows - 1) * stride;
    for (tc_int p = 0; p < count; p += TC_VL) {
        if (end - last - p < TC_VL && count < TC_VL) {
            for (tc_int i = 0; i < count * TC_VL; i++) to[i] = from[tc_min(i % TC_VL, rows - 1) * stride + i / TC_VL];
        } else {
            tc_int at = end - last - p < TC_VL ? count - TC_VL : p;
            TC_FN(tc_transpose)(from + at, stride, rows, to + at * TC_VL, TC_VL);
        }
    }
}

/* The way back: to[l * stride + p] = from[p][l] for p < count, l < rows; writes nothing else. */
static void TC_FN(planes)(const TC_T *from, tc_int count, TC_T *to, tc_int stride, tc_int rows) {
    TC_T block[TC_VL * TC_VL] __attribute__((aligned(64)));
    for (tc_int p = 0; p < count; p += TC_VL) {
        tc_int at = tc_min(p, count - TC_VL);
        if (at < 0) {
            for (tc_int l = 0; l < rows; l++)
                for (tc_int i = 0; i < count; i++) to[l * stride + i] = from[i * TC_VL + l];
        } else if (rows == TC_VL) {
            TC_FN(tc_transpose)(from + at * TC_VL, TC_VL, TC_VL, to + at, stride);
        } else {
            TC_FN(tc_transpose)(from + at * TC_VL, TC_VL, TC_VL, block, TC_VL);
            for (tc_int l = 0; l < rows; l++) TC_STORE(to + l * stride + at, TC_LOAD(block + l * TC_VL));
        }
    }
}

/* One patch of an image, transformed: B^T d B of n x n pixels, or A g A^T of m x m pixels (adjoint).  Pixels are `step`
 * numbers apart, rows `pitch`; position q of the result goes to to + q * pos. */
TC_INLINE void TC_FN(wino_patch)(int m, int r, int adjoint, const TC_T *d, tc_int pitch, tc_int step, TC_T *to, tc_int pos) {
    int n = m + r - 1, size = adjoint ? m : n;
    TC_VEC half[6][6], in[6], out[6];
    TC_UNROLL
    for (int j = 0; j < size; j++) {
        TC_UNROLL
        for (int i = 0; i < size; i++) in[i] = TC_LOAD(d + i * pitch + j * step);
        if (adjoint) TC_FN(wino_output_adjoint)(m, r, in, out);
        else TC_FN(wino_input)(m, r, in, out);
        TC_UNROLL
        for (int i = 0; i < n; i++) half[i][j] = out[i];
    }
    TC_UNROLL
    for (int i = 0; i < n; i++) {
        if (adjoint) TC_FN(wino_output_adjoint)(m, r, half[i], out);
        else TC_FN(wino_input)(m, r, half[i], out);
        TC_UNROLL
        for (int j = 0; j < n; j++) TC_STORE(to + (i * n + j) * pos, out[j]);
    }
}

/* A^T v A + bias of one tile: half a result, then rows i of y in registers for the caller. */
TC_INLINE void TC_FN(wino_result)(int m, int r, const TC_T *v, tc_int pos, TC_VEC bias, TC_VEC y[4][4]) {
    int n = m + r - 1;
    TC_VEC half[4][6], in[6], out[4];
    TC_UNROLL
    for (int j = 0; j < n; j++) {
        TC_UNROLL
        for (int i = 0; i < n; i++) in[i] = TC_LOAD(v + (i * n + j) * pos);
        TC_FN(wino_output)(m, r, in, out);
        TC_UNROLL
        for (int i = 0; i < m; i++) half[i][j] = out[i];
    }
    TC_UNROLL
    for (int i = 0; i < m; i++) {
        TC_FN(wino_output)(m, r, half[i], y[i]);
        TC_UNROLL
        for (int j = 0; j < m; j++) y[i][j] += bias;
    }
}

/* G w G^T of r x r vectors, tap (i, j) at w + tap[i * r + j] * TC_VL; position q of the result goes to to + q * pos. */
TC_INLINE void TC_FN(wino_taps)(int m, int r, const tc_int *tap, const TC_T *w, TC_T *to, tc_int pos) {
    int n = m + r - 1;
    TC_VEC half[6][5], in[5], out[6];
    TC_UNROLL
    for (int j = 0; j < r; j++) {
        TC_UNROLL
        for (int i = 0; i < r; i++) in[i] = TC_LOAD(w + tap[i * r + j] * TC_VL);
        TC_FN(wino_weight)(m, r, in, out);
        TC_UNROLL
        for (int i = 0; i < n; i++) half[i][j] = out[i];
    }
    TC_UNROLL
    for (int i = 0; i < n; i++) {
        TC_FN(wino_weight)(m, r, half[i], out);
        TC_UNROLL
        for (int j = 0; j < n; j++) TC_STORE(to + (i * n + j) * pos, out[j]);
    }
}

/* G^T u G of n x n vectors, position q at u + q * pos, summed over `chunks` that are chunk_size apart. Tap (i, j) of the
 * result goes to w + tap[i * r + j] * TC_VL. */
TC_INLINE void TC_FN(wino_taps_adjoint)(int m, int r, const tc_int *tap, const TC_T *u, tc_int pos, tc_int chunks,
                                        tc_int chunk_size, TC_T *w) {
    int n = m + r - 1;
    TC_VEC half[5][6], in[6], out[5];
    TC_UNROLL
    for (int j = 0; j < n; j++) {
        TC_UNROLL
        for (int i = 0; i < n; i++) {
            const TC_T *from = u + (i * n + j) * pos;
            in[i] = TC_LOAD(from);
            for (tc_int chunk = 1; chunk < chunks; chunk++) in[i] += TC_LOAD(from + chunk * chunk_size);
        }
        TC_FN(wino_weight_adjoint)(m, r, in, out);
        TC_UNROLL
        for (int i = 0; i < r; i++) half[i][j] = out[i];
    }
    TC_UNROLL
    for (int i = 0; i < r; i++) {
        TC_FN(wino_weight_adjoint)(m, r, half[i], out);
        TC_UNROLL
        for (int j = 0; j < r; j++) TC_STORE(w + tap[i * r + j] * TC_VL, out[j]);
    }
}
