/* Losses, written against isa.h and simd.h, on the rows of softmax_impl.h. */
#include "softmax_impl.h"

/* log(1 + u) for 0 <= u <= 1: 2 artanh(s) with s = u / (2 + u) <= 1/3, a series in s^2 that is cut off below 2^-29. */
#if TC_TBYTES == 4
TC_INLINE float TC_FN(log1p_unit)(float u) {
    float s = u / (2 + u), z = s * s, p = 1.0f / 15;
    p = p * z + 1.0f / 13;
    p = p * z + 1.0f / 11;
    p = p * z + 1.0f / 9;
    p = p * z + 1.0f / 7;
    p = p * z + 1.0f / 5;
    p = p * z + 1.0f / 3;
    return 2 * (s + s * z * p);
}
#else
TC_INLINE double TC_FN(log1p_unit)(double u) { return log1p(u); }
#endif

/* loss (n,) and logp (n, c) of x (n, c); `target` has been checked, `weight` (c,) is NULL for ones. */
static void TC_FN(cross_entropy)(const void *x_, const int64_t *target, const void *weight_, void *loss_, void *logp_,
                                 tc_int n, tc_int c, int64_t ignore_index, double smoothing, int threads) {
    const TC_T *x = x_, *weight = weight_, keep = (TC_T)(1 - smoothing), spread = (TC_T)(smoothing / c);
    TC_T *loss = loss_, *logp = logp_;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int i = 0; i < n; i++) {
        const int64_t t = target[i];
        TC_T *row = logp + i * c;
        TC_FN(log_softmax_row)(x + i * c, row, c);
        if (t == ignore_index) {
            loss[i] = 0;
            continue;
        }
        loss[i] = weight ? -row[t] * weight[t] : -row[t];
        if (smoothing) loss[i] = keep * loss[i] - spread * TC_FN(row_dot)(row, weight, c);
    }
}

/* gx (n, c) = p * a - b * w, minus g (1 - e) w_t at the target, with a = g ((1 - e) w_t + e / c sum w), b = g e / c. */
static void TC_FN(cross_entropy_grad)(const void *g_, const void *logp_, const int64_t *target, const void *weight_,
                                      void *gx_, tc_int n, tc_int c, int64_t ignore_index, double smoothing,
                                      int threads) {
    const TC_T *g = g_, *logp = logp_, *weight = weight_;
    const TC_T keep = (TC_T)(1 - smoothing), spread = (TC_T)(smoothing / c);
    const TC_T weight_sum = weight ? TC_FN(row_dot)(weight, NULL, c) : (TC_T)c;
    TC_T *gx = gx_;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int i = 0; i < n; i++) {
        const int64_t t = target[i];
        TC_T *out = gx + i * c;
        if (t == ignore_index) {
            memset(out, 0, (size_t)c * sizeof(TC_T));
            continue;
        }
        const TC_T at_target = g[i] * keep * (weight ? weight[t] : 1), b = g[i] * spread;
        const TC_T a = at_target + b * weight_sum;
        TC_FN(exp_of)(logp + i * c, 0, out, c);
#pragma omp simd
        for (tc_int k = 0; k < c; k++) out[k] *= a;
        if (smoothing)
            for (tc_int k = 0; k < c; k++) out[k] -= weight ? b * weight[k] : b;
        out[t] -= at_target;
    }
}

/* max(x, 0) - x t + log(1 + exp(-|x|)), element by element, in blocks of a fixed size. */
static void TC_FN(bce_with_logits)(const void *x_, const void *target_, void *loss_, tc_int n, int threads) {
    enum { BLOCK = 512 };
    const TC_T *x = x_, *target = target_;
    TC_T *loss = loss_;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int begin = 0; begin < n; begin += BLOCK) {
        const TC_T *xb = x + begin, *tb = target + begin;
        TC_T *restrict out = loss + begin, e[BLOCK];
        const tc_int count = tc_min(n - begin, BLOCK);
#pragma omp simd
        for (tc_int i = 0; i < count; i++) e[i] = TC_FN(vexp)(xb[i] > 0 ? -xb[i] : xb[i]);
#pragma omp simd
        for (tc_int i = 0; i < count; i++)
            out[i] = (xb[i] > 0 ? xb[i] : 0) - xb[i] * tb[i] + TC_FN(log1p_unit)(e[i]);
    }
}
