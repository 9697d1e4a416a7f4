/* Sums of |x| and x^2, the largest |x|, and scaling and clamping in place of one stretch, written against isa.h.
 *
 * Sums run in 16 lanes of double, at every instruction set and for both types: squares of float are exact there.
 */
#ifndef TC_CLIP_COMMON
#define TC_CLIP_COMMON
enum { TC_CLIP_LANES = 16 };
#endif

TC_INLINE double TC_FN(clip_sum)(const TC_T *restrict x, tc_int n, int squares) {
    double lane[TC_CLIP_LANES] = {0};
    tc_int i = 0;
    for (; i + TC_CLIP_LANES <= n; i += TC_CLIP_LANES)
#pragma omp simd
        for (int k = 0; k < TC_CLIP_LANES; k++) {
            const double v = (double)x[i + k];
            lane[k] += squares ? v * v : fabs(v);
        }
    for (int k = 0; i < n; i++, k++) {
        const double v = (double)x[i];
        lane[k] += squares ? v * v : fabs(v);
    }
    for (int half = TC_CLIP_LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}

static double TC_FN(clip_norm_1)(void *x, tc_int n, double low, double high) { return TC_FN(clip_sum)(x, n, 0); }
static double TC_FN(clip_norm_2)(void *x, tc_int n, double low, double high) { return TC_FN(clip_sum)(x, n, 1); }

static double TC_FN(clip_norm_inf)(void *x_, tc_int n, double low, double high) {
    const TC_T *restrict x = x_;
    TC_T lane[TC_CLIP_LANES] = {0}, sum[TC_CLIP_LANES] = {0}; /* 0 * x is NaN for NaN, which no comparison would find */
    tc_int i = 0;
    for (; i + TC_CLIP_LANES <= n; i += TC_CLIP_LANES)
#pragma omp simd
        for (int k = 0; k < TC_CLIP_LANES; k++) {
            const TC_T v = x[i + k] < 0 ? -x[i + k] : x[i + k];
            lane[k] = v > lane[k] ? v : lane[k];
            sum[k] += x[i + k] != x[i + k] ? x[i + k] : 0;
        }
    for (int k = 0; i < n; i++, k++) {
        const TC_T v = x[i] < 0 ? -x[i] : x[i];
        lane[k] = v > lane[k] ? v : lane[k];
        sum[k] += x[i] != x[i] ? x[i] : 0;
    }
    TC_T top = 0;
    for (int k = 0; k < TC_CLIP_LANES; k++) {
        if (sum[k] != sum[k]) return (double)sum[k];
        top = lane[k] > top ? lane[k] : top;
    }
    return (double)top;
}

static double TC_FN(clip_scale)(void *x_, tc_int n, double factor, double high) {
    TC_T *restrict x = x_;
    const TC_T by = (TC_T)factor;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) x[i] *= by;
    return 0;
}

static double TC_FN(clip_clamp)(void *x_, tc_int n, double low_, double high_) {
    TC_T *restrict x = x_;
    const TC_T low = (TC_T)low_, high = (TC_T)high_;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        const TC_T v = x[i] < low ? low : x[i];
        x[i] = v > high ? high : v;
    }
    return 0;
}

static double (*const TC_FN(clip_jobs)[TC_CLIP_JOBS])(void *, tc_int, double, double) = {
    TC_FN(clip_norm_1), TC_FN(clip_norm_2), TC_FN(clip_norm_inf), TC_FN(clip_scale), TC_FN(clip_clamp)};
