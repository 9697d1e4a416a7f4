/* Softmax and its relatives, written against isa.h and simd.h.
 *
 * An array is (outer, n, inner) with the softmax along n.  For inner == 1 the loops run along the rows, in blocks;
 * otherwise they run along TC_TILE neighbouring columns, so no axis is ever moved in memory.  Partial sums go into a
 * double after every block (or TC_FLUSH rows of a tile), so that rows of any length keep their precision.
 *
 * The loops are short and many on purpose.  One that does more than exp is not vectorised: GCC 12 turns the clamp
 * inside vexp into a jump around the polynomial.  What a loop leaves for the next one is in the first cache.
 */
#include "vmath_impl.h"

#define TC_BLOCK 256
#define TC_TILE 128
#define TC_FLUSH 64

/* The statement for whole vectors at i, and for what is left of a row of n; `left` tells some() and put() how much there is. */
#ifndef TC_ALONG
#define TC_ALONG(i, n, statement)                            \
    do {                                                     \
        tc_int i = 0;                                        \
        for (; i + TC_VL <= (n); i += TC_VL) {               \
            const tc_int left = TC_VL;                       \
            statement;                                       \
        }                                                    \
        if (i < (n)) {                                       \
            const tc_int left = (n) - i;                     \
            statement;                                       \
        }                                                    \
    } while (0)
#endif

/* A vector from p on, or the first n < TC_VL numbers of it and zeros. */
TC_INLINE TC_VEC TC_FN(some)(const TC_T *p, tc_int n) { return n < TC_VL ? TC_FN(tc_load_first)(p, n) : TC_FN(tc_load)(p); }
TC_INLINE void TC_FN(put)(TC_T *p, TC_VEC v, tc_int n) {
    if (n < TC_VL) TC_FN(tc_store_first)(p, v, n);
    else TC_FN(tc_store)(p, v);
}

/* e = exp(x - shift).  The tail is a whole vector, too: ten classes one by one would take five times as long.  It begins before
 * the last whole one has ended, and computes some numbers again. */
TC_INLINE void TC_FN(exp_of)(const TC_T *x, TC_T shift, TC_T *restrict e, tc_int n) {
    const tc_int whole = n - n % TC_VL;
#pragma omp simd
    for (tc_int i = 0; i < whole; i++) e[i] = TC_FN(vexp)(x[i] - shift);
    if (whole == n) return;
    TC_T tail[TC_VL];
    const tc_int from = n < TC_VL ? 0 : n - TC_VL;
    TC_FN(tc_store)(tail, TC_FN(some)(x + from, n - from) - shift);
#pragma omp simd
    for (tc_int i = 0; i < TC_VL; i++) tail[i] = TC_FN(vexp)(tail[i]);
    TC_FN(put)(e + from, TC_FN(tc_load)(tail), n - from);
}

TC_INLINE TC_T TC_FN(row_max)(const TC_T *x, tc_int n) { /* a NaN is skipped: it comes back from exp(NaN - m) */
    const tc_int whole = n - n % TC_VL;
    TC_T m = -INFINITY;
#pragma omp simd reduction(max : m)
    for (tc_int i = 0; i < whole; i++) m = x[i] > m ? x[i] : m;
    if (n < TC_VL) {
        for (tc_int i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
    } else if (whole < n) {
        const TC_T *last = x + n - TC_VL;
#pragma omp simd reduction(max : m)
        for (tc_int i = 0; i < TC_VL; i++) m = last[i] > m ? last[i] : m;
    }
    return m;
}

/* Sum of g * y over a block, or of g alone if y is NULL. */
TC_INLINE TC_T TC_FN(block_dot)(const TC_T *g, const TC_T *y, tc_int n) {
    TC_T sum = 0, lane[TC_VL];
    if (n % TC_VL == 0) { /* the compiler adds up the lanes better */
        if (y) {
#pragma omp simd reduction(+ : sum)
            for (tc_int i = 0; i < n; i++) sum += g[i] * y[i];
        } else {
#pragma omp simd reduction(+ : sum)
            for (tc_int i = 0; i < n; i++) sum += g[i];
        }
        return sum;
    }
    TC_VEC total = {0};
    if (y) TC_ALONG(i, n, total += TC_FN(some)(g + i, left) * TC_FN(some)(y + i, left));
    else TC_ALONG(i, n, total += TC_FN(some)(g + i, left));
    TC_FN(tc_store)(lane, total);
#pragma omp simd reduction(+ : sum)
    for (tc_int k = 0; k < TC_VL; k++) sum += lane[k];
    return sum;
}

TC_INLINE TC_T TC_FN(row_dot)(const TC_T *g, const TC_T *y, tc_int n) {
    double total = 0;
    for (tc_int i = 0; i < n; i += TC_BLOCK)
        total += TC_FN(block_dot)(g + i, y ? y + i : NULL, tc_min(n - i, TC_BLOCK));
    return (TC_T)total;
}

/* Sum of exp(x - m) over a row; the exponentials go to y if it is not NULL. */
TC_INLINE TC_T TC_FN(row_exp)(const TC_T *x, TC_T *y, tc_int n, TC_T m) {
    TC_T spare[TC_BLOCK];
    double total = 0;
    for (tc_int i = 0; i < n; i += TC_BLOCK) {
        const tc_int count = tc_min(n - i, TC_BLOCK);
        TC_T *e = y ? y + i : spare;
        TC_FN(exp_of)(x + i, m, e, count);
        total += TC_FN(block_dot)(e, NULL, count);
    }
    return (TC_T)total;
}

TC_INLINE void TC_FN(softmax_row)(const TC_T *x, TC_T *y, tc_int n) {
    const TC_T sum = TC_FN(row_exp)(x, y, n, TC_FN(row_max)(x, n));
    TC_ALONG(i, n, TC_FN(put)(y + i, TC_FN(some)(y + i, left) / sum, left));
}

TC_INLINE void TC_FN(log_softmax_row)(const TC_T *x, TC_T *restrict y, tc_int n) {
    const TC_T m = TC_FN(row_max)(x, n), log_sum = TC_FN(vlog)(TC_FN(row_exp)(x, NULL, n, m));
    TC_ALONG(i, n, TC_FN(put)(y + i, TC_FN(some)(x + i, left) - m - log_sum, left));
}

TC_INLINE void TC_FN(softmax_grad_row)(const TC_T *g, const TC_T *y, TC_T *restrict gx, tc_int n) {
    const TC_T sum = TC_FN(row_dot)(g, y, n);
    TC_ALONG(i, n, TC_FN(put)(gx + i, TC_FN(some)(y + i, left) * (TC_FN(some)(g + i, left) - sum), left));
}

TC_INLINE void TC_FN(log_softmax_grad_row)(const TC_T *g, const TC_T *y, TC_T *restrict gx, tc_int n) {
    const TC_T sum = TC_FN(row_dot)(g, NULL, n);
    TC_FN(exp_of)(y, 0, gx, n);
    TC_ALONG(i, n, TC_FN(put)(gx + i, TC_FN(some)(g + i, left) - TC_FN(some)(gx + i, left) * sum, left));
}

/* The same for `width` <= TC_TILE neighbouring columns of n numbers that are `inner` apart. */
TC_INLINE void TC_FN(flush)(double *restrict total, TC_T *restrict sum, tc_int width) {
    for (tc_int k = 0; k < width; k++) {
        total[k] += sum[k];
        sum[k] = 0;
    }
}

TC_INLINE void TC_FN(softmax_columns)(const TC_T *x, TC_T *y, tc_int n, tc_int inner, tc_int width, int logarithm) {
    TC_T m[TC_TILE], sum[TC_TILE] = {0}, spare[TC_TILE];
    double total[TC_TILE] = {0};
    for (tc_int k = 0; k < width; k++) m[k] = -INFINITY;
    for (tc_int i = 0; i < n; i++) {
        const TC_T *xi = x + i * inner;
#pragma omp simd
        for (tc_int k = 0; k < width; k++) m[k] = xi[k] > m[k] ? xi[k] : m[k];
    }
    for (tc_int i = 0; i < n; i++) {
        const TC_T *xi = x + i * inner;
        TC_T *restrict e = logarithm ? spare : y + i * inner;
#pragma omp simd
        for (tc_int k = 0; k < width; k++) e[k] = TC_FN(vexp)(xi[k] - m[k]);
#pragma omp simd
        for (tc_int k = 0; k < width; k++) sum[k] += e[k];
        if (i % TC_FLUSH == TC_FLUSH - 1) TC_FN(flush)(total, sum, width);
    }
    TC_FN(flush)(total, sum, width);
    for (tc_int k = 0; k < width; k++) sum[k] = logarithm ? TC_FN(vlog)((TC_T)total[k]) : (TC_T)total[k];
    for (tc_int i = 0; i < n; i++) {
        const TC_T *xi = x + i * inner;
        TC_T *restrict yi = y + i * inner;
        if (logarithm) {
#pragma omp simd
            for (tc_int k = 0; k < width; k++) yi[k] = xi[k] - m[k] - sum[k];
        } else {
#pragma omp simd
            for (tc_int k = 0; k < width; k++) yi[k] /= sum[k];
        }
    }
}

TC_INLINE void TC_FN(softmax_grad_columns)(const TC_T *g, const TC_T *y, TC_T *gx, tc_int n, tc_int inner, tc_int width,
                                           int logarithm) {
    TC_T sum[TC_TILE] = {0};
    double total[TC_TILE] = {0};
    for (tc_int i = 0; i < n; i++) {
        const TC_T *gi = g + i * inner, *yi = y + i * inner;
#pragma omp simd
        for (tc_int k = 0; k < width; k++) sum[k] += logarithm ? gi[k] : gi[k] * yi[k];
        if (i % TC_FLUSH == TC_FLUSH - 1) TC_FN(flush)(total, sum, width);
    }
    TC_FN(flush)(total, sum, width);
    for (tc_int k = 0; k < width; k++) sum[k] = (TC_T)total[k];
    for (tc_int i = 0; i < n; i++) {
        const TC_T *gi = g + i * inner, *yi = y + i * inner;
        TC_T *restrict out = gx + i * inner;
        if (logarithm) {
            TC_FN(exp_of)(yi, 0, out, width);
#pragma omp simd
            for (tc_int k = 0; k < width; k++) out[k] = gi[k] - out[k] * sum[k];
        } else {
#pragma omp simd
            for (tc_int k = 0; k < width; k++) out[k] = yi[k] * (gi[k] - sum[k]);
        }
    }
}

/* Softmax (or its logarithm) of x (outer, n, inner) along n. */
static void TC_FN(softmax)(const void *x_, void *y_, tc_int outer, tc_int n, tc_int inner, int logarithm, int threads) {
    const TC_T *x = x_;
    TC_T *y = y_;
    const tc_int tiles = tc_ceil_div(inner, TC_TILE);
    TC_PARALLEL_FOR(threads)
    for (tc_int t = 0; t < outer * tiles; t++) {
        const tc_int first = t % tiles * TC_TILE, at = t / tiles * n * inner + first;
        const tc_int width = tc_min(inner - first, TC_TILE);
        if (inner == 1 && logarithm) TC_FN(log_softmax_row)(x + at, y + at, n);
        else if (inner == 1) TC_FN(softmax_row)(x + at, y + at, n);
        else if (logarithm) TC_FN(softmax_columns)(x + at, y + at, n, inner, width, 1);
        else TC_FN(softmax_columns)(x + at, y + at, n, inner, width, 0);
    }
}

/* Gradient of softmax (or its logarithm) from the output y and g. */
static void TC_FN(softmax_grad)(const void *g_, const void *y_, void *gx_, tc_int outer, tc_int n, tc_int inner,
                                int logarithm, int threads) {
    const TC_T *g = g_, *y = y_;
    TC_T *gx = gx_;
    const tc_int tiles = tc_ceil_div(inner, TC_TILE);
    TC_PARALLEL_FOR(threads)
    for (tc_int t = 0; t < outer * tiles; t++) {
        const tc_int first = t % tiles * TC_TILE, at = t / tiles * n * inner + first;
        const tc_int width = tc_min(inner - first, TC_TILE);
        if (inner == 1 && logarithm) TC_FN(log_softmax_grad_row)(g + at, y + at, gx + at, n);
        else if (inner == 1) TC_FN(softmax_grad_row)(g + at, y + at, gx + at, n);
        else if (logarithm) TC_FN(softmax_grad_columns)(g + at, y + at, gx + at, n, inner, width, 1);
        else TC_FN(softmax_grad_columns)(g + at, y + at, gx + at, n, inner, width, 0);
    }
}
