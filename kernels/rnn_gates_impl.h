/* The gates of the recurrent cells, one row of units at a time, written against isa.h (see rnn_impl.h).
 *
 * A row holds vectors of `pitch` numbers, one per gate; the functions handle `n` neighbouring units of it.  Every
 * activation has a loop of its own: GCC 12 does not vectorise a loop that does more than one exp.
 *
 * Forward finds the sums inside the gates in `w` and leaves the gates there.  Backward takes dh, the gradient of this
 * step's h, and writes the gradients of those sums to d; with dc it hands on the gradient of the cell state.
 */
#include "vmath_impl.h"

TC_INLINE void TC_FN(sigmoid_of)(TC_T *x, tc_int n) {
#pragma omp simd
    for (tc_int u = 0; u < n; u++) x[u] = TC_FN(vsigmoid)(x[u]);
}

TC_INLINE void TC_FN(tanh_of)(const TC_T *x, TC_T *y, tc_int n) {
#pragma omp simd
    for (tc_int u = 0; u < n; u++) y[u] = TC_FN(vtanh)(x[u]);
}

/* h = tanh(s) or relu(s); relu keeps NaN. */
TC_INLINE void TC_FN(rnn_gates)(int relu, TC_T *w, TC_T *restrict h, tc_int n) {
    if (relu) {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) w[u] = w[u] < 0 ? 0 : w[u];
    } else {
        TC_FN(tanh_of)(w, w, n);
    }
    memcpy(h, w, sizeof(TC_T) * (size_t)n);
}

/* ds = dh (1 - y^2), or dh where y > 0. */
TC_INLINE void TC_FN(rnn_gates_back)(int relu, const TC_T *restrict w, const TC_T *restrict dh, TC_T *restrict d,
                                     tc_int n) {
    if (relu) {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) d[u] = w[u] <= 0 ? 0 : dh[u];
    } else {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) d[u] = dh[u] * (1 - w[u] * w[u]);
    }
}

/* c' = f c + i g;  h = o tanh(c') */
TC_INLINE void TC_FN(lstm_gates)(TC_T *restrict w, tc_int pitch, const TC_T *restrict c, TC_T *restrict h, tc_int n) {
    TC_T *restrict i = w, *restrict f = w + pitch, *restrict g = w + 2 * pitch, *restrict o = w + 3 * pitch;
    TC_T *restrict c_new = w + 4 * pitch, *restrict t = w + 5 * pitch;
    TC_FN(sigmoid_of)(i, n);
    TC_FN(sigmoid_of)(f, n);
    TC_FN(tanh_of)(g, g, n);
    TC_FN(sigmoid_of)(o, n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) c_new[u] = f[u] * c[u] + i[u] * g[u];
    TC_FN(tanh_of)(c_new, t, n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) h[u] = o[u] * t[u];
}

TC_INLINE void TC_FN(lstm_gates_back)(const TC_T *restrict w, tc_int pitch, const TC_T *restrict c,
                                      const TC_T *restrict dh, TC_T *restrict dc, TC_T *restrict d, tc_int n) {
    const TC_T *restrict i = w, *restrict f = w + pitch, *restrict g = w + 2 * pitch, *restrict o = w + 3 * pitch;
    const TC_T *restrict t = w + 5 * pitch;
    TC_T *restrict di = d, *restrict df = d + pitch, *restrict dg = d + 2 * pitch, *restrict d_o = d + 3 * pitch;
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        d_o[u] = dh[u] * t[u] * (o[u] * (1 - o[u]));
        const TC_T q = dc[u] + dh[u] * o[u] * (1 - t[u] * t[u]);
        di[u] = q * g[u] * (i[u] * (1 - i[u]));
        df[u] = q * c[u] * (f[u] * (1 - f[u]));
        dg[u] = q * i[u] * (1 - g[u] * g[u]);
        dc[u] = q * f[u];
    }
}

/* n = tanh(s_n + r m);  h = (1 - z) n + z h_old */
TC_INLINE void TC_FN(gru_gates)(TC_T *restrict w, tc_int pitch, const TC_T *restrict old, TC_T *restrict h, tc_int n) {
    TC_T *restrict r = w, *restrict z = w + pitch, *restrict s = w + 2 * pitch;
    const TC_T *restrict m = w + 3 * pitch;
    TC_FN(sigmoid_of)(r, n);
    TC_FN(sigmoid_of)(z, n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) s[u] += r[u] * m[u];
    TC_FN(tanh_of)(s, s, n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) h[u] = s[u] + z[u] * (old[u] - s[u]);
}

/* dh becomes the part of the gradient of h_old that does not go through the weights. */
TC_INLINE void TC_FN(gru_gates_back)(const TC_T *restrict w, tc_int pitch, const TC_T *restrict old, TC_T *restrict dh,
                                     TC_T *restrict d, tc_int n) {
    const TC_T *restrict r = w, *restrict z = w + pitch, *restrict s = w + 2 * pitch, *restrict m = w + 3 * pitch;
    TC_T *restrict dm = d, *restrict dr = d + pitch, *restrict dz = d + 2 * pitch, *restrict ds = d + 3 * pitch;
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T q = dh[u] * (1 - z[u]) * (1 - s[u] * s[u]);
        ds[u] = q;
        dm[u] = q * r[u];
        dr[u] = q * m[u] * (r[u] * (1 - r[u]));
        dz[u] = dh[u] * (old[u] - s[u]) * (z[u] * (1 - z[u]));
        dh[u] *= z[u];
    }
}
