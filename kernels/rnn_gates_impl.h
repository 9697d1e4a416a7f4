/* The gates of the recurrent cells, one row of units at a time, written against isa.h (see rnn_impl.h).
 *
 * A row holds vectors of `pitch` numbers, one per gate; the functions handle `n` neighbouring units of it, forward at most
 * TC_NR.  Forward is told the two parts of the sums inside the gates: s, what h adds, in vectors of TC_NR, and `in`, what
 * the input adds; it leaves the gates in w, which may be where the input's part was.  Backward takes dh, the gradient of
 * this step's h, and writes the gradients of the sums to d; with dc it hands on the gradient of the cell state.
 *
 * A gate is a quotient whose denominator lies between 1 and 2:
 *
 *     sigmoid(x) = (x < 0 ? e : 1) / (1 + e)          e = exp(-|x|)
 *     tanh(x)    = sign(x) (-m) / (2 + m)             m = exp(-2|x|) - 1, without cancellation
 *
 * A division takes as long as an exp.  So gates that meet in one sum or product share it: 1 / ab gives 1 / a and 1 / b, and
 * a NaN in one, which the others so take over, would have reached the result in any case.
 *
 * Every exp has a loop of its own: GCC 12 does not vectorise a loop that does more than one.
 */
#include "vmath_impl.h"

/* Inlined into the steps, a dozen pointers would be spilled, and loaded again for every vector. */
#define TC_ROW_FUNCTION static __attribute__((noinline)) void

#if TC_TBYTES == 4
enum { TC_FN(SIGMOID_END) = 85 };
TC_INLINE float TC_FN(magnitude)(float x) { return fabsf(x); }
TC_INLINE float TC_FN(signed_as)(float x, float sign) { return copysignf(x, sign); }
TC_INLINE float TC_FN(expm1_inside)(float x) {
    int32_t k;
    const float p = TC_FN(vexp_reduced)(x, 0.0f, &k), power = TC_FN(vfloat)((k + 127) << 23);
    return p * power + (power - 1.0f);
}
#else
enum { TC_FN(SIGMOID_END) = 690 };
TC_INLINE double TC_FN(magnitude)(double x) { return fabs(x); }
TC_INLINE double TC_FN(signed_as)(double x, double sign) { return copysign(x, sign); }
TC_INLINE double TC_FN(expm1_inside)(double x) {
    int64_t k;
    const double p = TC_FN(vexp_reduced)(x, 0.0, &k), power = TC_FN(vfloat)((k + 1023) << 52);
    return p * power + (power - 1.0);
}
#endif

/* sigmoid(s + in) = top / below.  Where it is almost the least number that there is, it gets no smaller. */
TC_INLINE void TC_FN(sigmoid_parts)(const TC_T *s, const TC_T *in, TC_T *restrict top, TC_T *restrict below, tc_int n) {
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T x = s[u] + in[u], a = TC_FN(magnitude)(x);
        const TC_T e = TC_FN(vexp_inside)(a > TC_FN(SIGMOID_END) ? -TC_FN(SIGMOID_END) : -a, 0);
        top[u] = x < 0 ? e : 1;
        below[u] = 1 + e;
    }
}

/* tanh(x) = top / below. */
TC_INLINE void TC_FN(tanh_parts)(const TC_T *x, TC_T *restrict top, TC_T *restrict below, tc_int n) {
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T a = TC_FN(magnitude)(x[u]), m = TC_FN(expm1_inside)(a > 20 ? -40 : -2 * a);
        top[u] = TC_FN(signed_as)(m, x[u]);
        below[u] = 2 + m;
    }
}

/* h = tanh(s) or relu(s); relu keeps NaN. */
TC_INLINE void TC_FN(rnn_gates)(int relu, const TC_T *s, const TC_T *in, TC_T *w, TC_T *restrict h, tc_int n) {
    TC_T top[TC_NR], below[TC_NR], x[TC_NR];
#pragma omp simd
    for (tc_int u = 0; u < n; u++) x[u] = s[u] + in[u];
    if (relu) {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) h[u] = x[u] < 0 ? 0 : x[u];
    } else {
        TC_FN(tanh_parts)(x, top, below, n);
#pragma omp simd
        for (tc_int u = 0; u < n; u++) h[u] = top[u] / below[u];
    }
    memcpy(w, h, sizeof(TC_T) * (size_t)n);
}

/* ds = dh (1 - y^2), or dh where y > 0. */
TC_ROW_FUNCTION TC_FN(rnn_gates_back)(int relu, const TC_T *restrict w, const TC_T *restrict dh,
                                      TC_T *restrict d, tc_int n) {
    if (relu) {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) d[u] = w[u] <= 0 ? 0 : dh[u];
    } else {
#pragma omp simd
        for (tc_int u = 0; u < n; u++) d[u] = dh[u] * (1 - w[u] * w[u]);
    }
}

/* c' = f c + i g;  h = o tanh(c') */
TC_INLINE void TC_FN(lstm_gates)(const TC_T *s, const TC_T *in, TC_T *w, tc_int pitch, const TC_T *c, TC_T *restrict h,
                                 tc_int n) {
    TC_T *i = w, *f = w + pitch, *g = w + 2 * pitch, *o = w + 3 * pitch, *c_new = w + 4 * pitch, *t = w + 5 * pitch;
    TC_T top[4][TC_NR], below[4][TC_NR], x[TC_NR];
    TC_FN(sigmoid_parts)(s, in, top[0], below[0], n);
    TC_FN(sigmoid_parts)(s + TC_NR, in + pitch, top[1], below[1], n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) x[u] = s[2 * TC_NR + u] + in[2 * pitch + u];
    TC_FN(tanh_parts)(x, top[2], below[2], n);
    TC_FN(sigmoid_parts)(s + 3 * TC_NR, in + 3 * pitch, top[3], below[3], n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T a = below[0][u], b = below[1][u], ab = a * b, r = 1 / (ab * below[2][u]), q = r * below[2][u];
        i[u] = top[0][u] * (q * b);
        f[u] = top[1][u] * (q * a);
        g[u] = top[2][u] * (r * ab);
        x[u] = c_new[u] = f[u] * c[u] + i[u] * g[u];
    }
    TC_FN(tanh_parts)(x, top[0], below[0], n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T r = 1 / (below[0][u] * below[3][u]);
        t[u] = top[0][u] * (r * below[3][u]);
        o[u] = top[3][u] * (r * below[0][u]);
        h[u] = o[u] * t[u];
    }
}

TC_ROW_FUNCTION TC_FN(lstm_gates_back)(const TC_T *restrict w, tc_int pitch, const TC_T *restrict c,
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
TC_INLINE void TC_FN(gru_gates)(const TC_T *s, const TC_T *in, TC_T *w, tc_int pitch, const TC_T *old, TC_T *restrict h,
                                tc_int n) {
    TC_T *r = w, *z = w + pitch, *new = w + 2 * pitch, *m = w + 3 * pitch;
    TC_T top[2][TC_NR], below[2][TC_NR], x[TC_NR];
    TC_FN(sigmoid_parts)(s, in, top[0], below[0], n);
    TC_FN(sigmoid_parts)(s + TC_NR, in + pitch, top[1], below[1], n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        const TC_T both = 1 / (below[0][u] * below[1][u]);
        m[u] = s[2 * TC_NR + u];
        r[u] = top[0][u] * (both * below[1][u]);
        z[u] = top[1][u] * (both * below[0][u]);
        x[u] = in[2 * pitch + u] + r[u] * m[u];
    }
    TC_FN(tanh_parts)(x, top[0], below[0], n);
#pragma omp simd
    for (tc_int u = 0; u < n; u++) {
        new[u] = top[0][u] / below[0][u];
        h[u] = new[u] + z[u] * (old[u] - new[u]);
    }
}

/* dh becomes the part of the gradient of h_old that does not go through the weights. */
TC_ROW_FUNCTION TC_FN(gru_gates_back)(const TC_T *restrict w, tc_int pitch, const TC_T *restrict old,
                                      TC_T *restrict dh, TC_T *restrict d, tc_int n) {
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
#undef TC_ROW_FUNCTION
