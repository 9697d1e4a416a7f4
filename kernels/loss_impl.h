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

static TC_T TC_FN(cross_entropy_row)(const TC_T *x, int64_t t, const TC_T *weight, TC_T *row, tc_int c,
                                     int64_t ignore_index, double smoothing) {
    TC_FN(log_softmax_row)(x, row, c);
    if (t == ignore_index) return 0;
    const TC_T loss = weight ? -row[t] * weight[t] : -row[t];
    return smoothing ? (TC_T)(1 - smoothing) * loss - (TC_T)(smoothing / c) * TC_FN(row_dot)(row, weight, c) : loss;
}

/* loss (n,) and logp (n, c) of x (n, c); `target` has been checked, `weight` (c,) is NULL for ones. */
static void TC_FN(cross_entropy)(const void *x_, const int64_t *target, const void *weight, void *loss_, void *logp_,
                                 tc_int n, tc_int c, int64_t ignore_index, double smoothing, int threads) {
    const TC_T *x = x_;
    TC_T *loss = loss_, *logp = logp_;
    TC_EACH(threads, i, n,
            loss[i] = TC_FN(cross_entropy_row)(x + i * c, target[i], weight, logp + i * c, c, ignore_index, smoothing));
}

/* The reduced loss: the sum of loss (n,) divided by `total`.  Summed in double, in vectors: one short pass, no threads. */
static void TC_FN(loss_reduce)(const void *loss_, void *out, tc_int n, double total) {
    const TC_T *loss = loss_;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (tc_int i = 0; i < n; i++) sum += loss[i];
    *(TC_T *)out = (TC_T)(sum / total);
}

/* What a mean divides by: the number of samples that count, or the sum of their weights. */
static double TC_FN(loss_weight)(const int64_t *target, const void *weight_, tc_int n, int64_t ignore_index) {
    const TC_T *weight = weight_;
    double total = 0;
    for (tc_int i = 0; i < n; i++)
        if (target[i] != ignore_index) total += weight ? weight[target[i]] : 1;
    return total;
}

static void TC_FN(cross_entropy_grad_row)(TC_T g, const TC_T *logp, int64_t t, const TC_T *weight, TC_T weight_sum,
                                          TC_T *out, tc_int c, int64_t ignore_index, double smoothing) {
    if (t == ignore_index) {
        memset(out, 0, (size_t)c * sizeof(TC_T));
        return;
    }
    const TC_T at_target = g * (TC_T)(1 - smoothing) * (weight ? weight[t] : 1), b = g * (TC_T)(smoothing / c);
    const TC_T a = at_target + b * weight_sum;
    TC_FN(exp_of)(logp, 0, out, c);
    TC_ALONG(k, c, TC_FN(put)(out + k, TC_FN(some)(out + k, left) * a, left));
    if (smoothing)
        for (tc_int k = 0; k < c; k++) out[k] -= weight ? b * weight[k] : b;
    out[t] -= at_target;
}

/* gx (n, c) = p * a - b * w, minus g (1 - e) w_t at the target, with a = g ((1 - e) w_t + e / c sum w), b = g e / c, and
 * g = g_i / total, or g_0 / total for all samples if the loss was reduced (`step` = 0). */
static void TC_FN(cross_entropy_grad)(const void *g_, tc_int step, double total, const void *logp_,
                                      const int64_t *target, const void *weight_, void *gx_, tc_int n, tc_int c,
                                      int64_t ignore_index, double smoothing, int threads) {
    const TC_T *g = g_, *logp = logp_, *weight = weight_, weight_sum = weight ? TC_FN(row_dot)(weight, NULL, c) : (TC_T)c;
    TC_T *gx = gx_;
    TC_EACH(threads, i, n,
            TC_FN(cross_entropy_grad_row)((TC_T)(g[i * step] / total), logp + i * c, target[i], weight, weight_sum,
                                          gx + i * c, c, ignore_index, smoothing));
}

/* log(1 - x) for 0 <= x <= 1.  1 - x is rounded to w, whose logarithm belongs to 1 - w: it is scaled by x / (1 - w). */
TC_INLINE TC_T TC_FN(log_one_minus)(TC_T x) {
    TC_T w = 1 - x, l = TC_FN(vlog)(w), d = 1 - w;
    return d == 0 ? -x : l * (x / d);
}

/* -t max(log x, -100) - (1 - t) max(log(1 - x), -100), element by element, in blocks of a fixed size. */
static void TC_FN(bce)(const void *x_, const void *target_, void *loss_, tc_int n, int threads) {
    enum { BLOCK = 512 };
    const TC_T *x = x_, *target = target_;
    TC_T *loss = loss_;
    TC_PARALLEL_FOR(threads)
    for (tc_int begin = 0; begin < n; begin += BLOCK) {
        const TC_T *xb = x + begin, *tb = target + begin;
        TC_T *restrict out = loss + begin, yes[BLOCK], no[BLOCK];
        const tc_int count = tc_min(n - begin, BLOCK);
#pragma omp simd
        for (tc_int i = 0; i < count; i++) yes[i] = TC_FN(vlog)(xb[i]);
#pragma omp simd
        for (tc_int i = 0; i < count; i++) no[i] = TC_FN(log_one_minus)(xb[i]);
#pragma omp simd
        for (tc_int i = 0; i < count; i++) /* written so that NaN stays */
            out[i] = (tb[i] - 1) * (no[i] < -100 ? -100 : no[i]) - tb[i] * (yes[i] < -100 ? -100 : yes[i]);
    }
}

/* g (x - t) / max(x (1 - x), 1e-12). */
static void TC_FN(bce_grad)(const void *g_, const void *x_, const void *target_, void *gx_, tc_int n, int threads) {
    enum { BLOCK = 4096 };
    const TC_T *g = g_, *x = x_, *target = target_;
    TC_T *restrict gx = gx_;
    TC_PARALLEL_FOR(threads)
    for (tc_int begin = 0; begin < n; begin += BLOCK) {
        const tc_int end = tc_min(n, begin + BLOCK);
#pragma omp simd
        for (tc_int i = begin; i < end; i++) {
            TC_T variance = x[i] * (1 - x[i]);
            gx[i] = g[i] * (x[i] - target[i]) / (variance < (TC_T)1e-12 ? (TC_T)1e-12 : variance);
        }
    }
}

/* c (d - c / 2) with d = x - t and c = d limited to [-delta, delta], element by element. */
static void TC_FN(huber)(const void *x_, const void *target_, void *loss_, tc_int n, double delta_, int threads) {
    enum { BLOCK = 4096 };
    const TC_T *x = x_, *target = target_, delta = (TC_T)delta_;
    TC_T *restrict loss = loss_;
    TC_PARALLEL_FOR(threads)
    for (tc_int begin = 0; begin < n; begin += BLOCK) {
        const tc_int end = tc_min(n, begin + BLOCK);
#pragma omp simd
        for (tc_int i = begin; i < end; i++) {
            const TC_T d = x[i] - target[i], least = -delta > d ? -delta : d, c = delta < least ? delta : least;
            loss[i] = c * (d - (TC_T)0.5 * c);
        }
    }
}

/* max(x, 0) - x t + log(1 + exp(-|x|)), element by element, in blocks of a fixed size. */
static void TC_FN(bce_with_logits)(const void *x_, const void *target_, void *loss_, tc_int n, int threads) {
    enum { BLOCK = 512 };
    const TC_T *x = x_, *target = target_;
    TC_T *loss = loss_;
    TC_PARALLEL_FOR(threads)
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
