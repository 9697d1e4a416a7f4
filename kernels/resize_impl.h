/* The product with a sparse matrix along an axis, compiled once per instruction set and number type (see isa.h).
 *
 * The matrix comes as `taps` layers of one entry per output row: layer t has cols[t * out + r] and weights[t * out + r].
 * A row with fewer entries is filled up with the column `in` and weight 0.
 */
#include "gather_impl.h"
#ifndef TC_RESIZE_COMMON
#define TC_RESIZE_COMMON
typedef struct {
    const char *x, *weights;
    char *y;
    const int32_t *cols;
    ptrdiff_t before, in, out, after, taps, item;
    int padded; /* whether there are rows with fewer entries */
} tc_axis_map;

enum { TC_AXIS_PIECE = 8192 /* elements of a stretch of a row */, TC_AXIS_TASK = 16384 /* elements of a task */ };
#endif

/* Along the last axis: y[r] = sum_t weights[t][r] x[cols[t][r]], in vectors over r, gathering from one row of x, which
 * lies in the first cache.  Filled-up entries read the zero behind the copy of a row: 0 * 0, whatever x holds. */
static void TC_FN(axis_gather)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_axis_map *m = map;
    const ptrdiff_t rows = tc_max(1, TC_AXIS_TASK / m->out), stop = tc_min(m->before, (task + 1) * rows);
    const ptrdiff_t out = m->out;
    const int32_t *cols = m->cols;
    const TC_T *w = (const TC_T *)m->weights;
    for (ptrdiff_t b = task * rows; b < stop; b++) {
        const TC_T *x = (const TC_T *)m->x + b * m->in;
        TC_T *restrict y = (TC_T *)m->y + b * out;
        if (m->padded) {
            memcpy(scratch, x, (size_t)m->in * sizeof(TC_T));
            ((TC_T *)scratch)[m->in] = 0;
            x = scratch;
        }
        ptrdiff_t r = 0;
        for (; r + TC_VL <= out; r += TC_VL) {
            TC_VEC sum = {0};
            for (ptrdiff_t t = 0; t < m->taps; t++)
                sum += TC_FN(tc_load)(w + t * out + r) * TC_FN(tc_gather_all)(x, cols + t * out + r);
            TC_FN(tc_store)(y + r, sum);
        }
        for (; r < out; r++) {
            TC_T sum = 0;
            for (ptrdiff_t t = 0; t < m->taps; t++) sum += w[t * out + r] * x[cols[t * out + r]];
            y[r] = sum;
        }
    }
}

/* y = sum of `count` rows of x with weights; two at a time, so that y is written half as often. */
TC_INLINE void TC_FN(axis_row)(const TC_T *const *x, const TC_T *w, ptrdiff_t count, TC_T *restrict y, ptrdiff_t n) {
    if (count == 0) {
        memset(y, 0, (size_t)n * sizeof(TC_T));
        return;
    }
    const TC_T *a = x[0], *b = x[count > 1];
    const TC_T p = w[0], q = w[count > 1];
    if (count == 1) {
        if (p == 1) {
            memcpy(y, a, (size_t)n * sizeof(TC_T));
            return;
        }
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) y[i] = p * a[i];
        return;
    }
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = p * a[i] + q * b[i];
}

/* Along any other axis: rows of `after` neighbours are added up. */
static void TC_FN(axis_rows)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_axis_map *m = map;
    const ptrdiff_t piece = tc_min(m->after, TC_AXIS_PIECE), pieces = tc_ceil_div(m->after, piece);
    const ptrdiff_t units = m->before * m->out * pieces, each = tc_max(1, TC_AXIS_TASK / piece);
    for (ptrdiff_t u = task * each; u < tc_min(units, (task + 1) * each); u++) {
        const ptrdiff_t row = u / pieces, from = u % pieces * piece, n = tc_min(piece, m->after - from);
        const ptrdiff_t b = row / m->out, r = row % m->out;
        const TC_T *x = (const TC_T *)m->x + b * m->in * m->after + from, *rows[2];
        TC_T *restrict y = (TC_T *)m->y + row * m->after + from, w[2];
        ptrdiff_t t = 0, found = 0;
        for (; t < m->taps && found < 2; t++) {
            const ptrdiff_t c = m->cols[t * m->out + r];
            if (c == m->in) continue;
            rows[found] = x + c * m->after;
            w[found++] = ((const TC_T *)m->weights)[t * m->out + r];
        }
        TC_FN(axis_row)(rows, w, found, y, n);
        for (; t < m->taps; t++) {
            const ptrdiff_t c = m->cols[t * m->out + r];
            if (c == m->in) continue;
            const TC_T *a = x + c * m->after, p = ((const TC_T *)m->weights)[t * m->out + r];
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) y[i] += p * a[i];
        }
    }
    (void)scratch;
}

static void TC_FN(axis_product)(const tc_axis_map *m, int threads, int *failed) {
    ptrdiff_t tasks;
    tc_task run;
    size_t bytes = 0;
    if (m->after == 1) {
        run = TC_FN(axis_gather);
        tasks = tc_ceil_div(m->before, tc_max(1, TC_AXIS_TASK / m->out));
        bytes = (size_t)(m->in + 1) * sizeof(TC_T);
    } else {
        const ptrdiff_t piece = tc_min(m->after, TC_AXIS_PIECE);
        run = TC_FN(axis_rows);
        tasks = tc_ceil_div(m->before * m->out * tc_ceil_div(m->after, piece), tc_max(1, TC_AXIS_TASK / piece));
    }
    *failed = tc_run(run, m, tasks, bytes, threads);
}

#include "grid_impl.h"
