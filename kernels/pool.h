/* Geometry of a pooling call, and the table of pool_impl.h's functions: [0] float, [1] double, then the level. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

typedef struct {
    ptrdiff_t n, out, kernel, stride, padding, dilation;
} tc_axis;

typedef struct {
    tc_axis row, col;
    ptrdiff_t planes;
    double divisor;        /* 0: the size of the window */
    int count_include_pad;
} tc_pool;

/* Windows along an axis of n; below 1 if the kernel does not fit.  With ceil_mode the division rounds up, but a window
 * that would start in the right padding is dropped. */
static inline ptrdiff_t tc_pool_size(const tc_axis *a, int ceil_mode) {
    ptrdiff_t span = a->n + 2 * a->padding - a->dilation * (a->kernel - 1) - 1;
    if (ceil_mode) span += a->stride - 1;
    if (span < 0) return 0; /* C's division would round towards zero */
    ptrdiff_t size = span / a->stride + 1;
    if (!ceil_mode) return size;
    return (size - 1) * a->stride >= a->n + a->padding ? size - 1 : size;
}

typedef struct {
    ptrdiff_t first, end;
} tc_range;

/* The input positions that window o sees: from the first tap that is not in the left padding, in steps of the dilation.
 * `first` is clipped to the input: it serves as an index even where no tap is inside. */
static inline tc_range tc_window(const tc_axis *a, ptrdiff_t o) {
    ptrdiff_t start = o * a->stride - a->padding, end = start + (a->kernel - 1) * a->dilation + 1;
    if (start < 0) start += (-start + a->dilation - 1) / a->dilation * a->dilation;
    tc_range range = {start < a->n ? start : a->n - 1, end < a->n ? end : a->n};
    if (range.first != start) range.end = range.first;
    return range;
}

/* The windows all of whose taps are inside the input. */
static inline tc_range tc_interior(const tc_axis *a) {
    ptrdiff_t last = a->n - 1 + a->padding - (a->kernel - 1) * a->dilation; /* the largest start + padding that fits */
    tc_range range = {(a->padding + a->stride - 1) / a->stride, last < 0 ? 0 : last / a->stride + 1};
    if (range.end > a->out) range.end = a->out;
    if (range.first > range.end) range.first = range.end;
    return range;
}

/* Taps in a window. */
static inline ptrdiff_t tc_taps(tc_range window, ptrdiff_t dilation) {
    ptrdiff_t span = window.end - window.first;
    return dilation == 1 ? span : (span + dilation - 1) / dilation;
}

/* Taps of window o along an axis that count for the mean (dilation 1). */
static inline ptrdiff_t tc_count(const tc_axis *a, ptrdiff_t o, int count_include_pad) {
    ptrdiff_t start = o * a->stride - a->padding, end = start + a->kernel;
    if (end > a->n + a->padding) end = a->n + a->padding;
    if (!count_include_pad) {
        start = start < 0 ? 0 : start;
        end = end > a->n ? a->n : end;
    }
    return end > start ? end - start : 1;
}

static inline double tc_divisor(const tc_pool *p, ptrdiff_t r, ptrdiff_t o) {
    if (p->divisor != 0) return p->divisor;
    return (double)(tc_count(&p->row, r, p->count_include_pad) * tc_count(&p->col, o, p->count_include_pad));
}

static inline int tc_cells_of_2(const tc_axis *a) {
    return a->kernel == 2 && a->stride == 2 && !a->padding && a->dilation == 1 && 2 * a->out <= a->n;
}

/* 2x2 windows side by side, none of them cut off by the border. */
static inline int tc_is_2x2(const tc_pool *p) { return tc_cells_of_2(&p->row) && tc_cells_of_2(&p->col); }

#define TC_IMPL "pool_impl.h"
#include "isa.h"

typedef void (*tc_max_fn)(const void *x, void *y, int32_t *index, const tc_pool *p, int threads);
typedef int (*tc_indexed_fn)(const void *from, const int32_t *index, void *to, const tc_pool *p, int threads);
typedef void (*tc_avg_fn)(const void *from, void *to, const tc_pool *p, int threads);

#define TC_BOTH(name) {TC_PER_LEVEL(name, f32), TC_PER_LEVEL(name, f64)}
static const tc_max_fn tc_max_pool[2][TC_LEVELS] = TC_BOTH(max_pool);
static const tc_indexed_fn tc_max_pool_backward[2][TC_LEVELS] = TC_BOTH(max_pool_backward);
static const tc_indexed_fn tc_max_pool_gather[2][TC_LEVELS] = TC_BOTH(max_pool_gather);
static const tc_avg_fn tc_avg_pool[2][TC_LEVELS] = TC_BOTH(avg_pool);
static const tc_avg_fn tc_avg_pool_backward[2][TC_LEVELS] = TC_BOTH(avg_pool_backward);
