/* Copies between two layouts of one shape, and copies with more places around; see copy.pyx.  Strides count bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

enum {
    TC_COPY_ND = 64,
    TC_PIECE = 65536 /* bytes of a task: fits a second-level cache twice, and is long beside the start of a task */,
    TC_TURN_ROWS = 128, TC_TURN_COLS = 64 /* the block of a transposed copy: 128 x 64 numbers stay in that cache */,
    TC_BLOCK = TC_TURN_ROWS * TC_TURN_COLS
};

/* The part of a copy that one call moves: rows x cols numbers, at any distances. */
typedef struct {
    ptrdiff_t rows, cols, x_row, x_col, y_row, y_col;
} tc_plane;
typedef void (*tc_plane_copy)(const char *x, char *y, const tc_plane *p);

#define TC_IMPL "copy_impl.h"
#include "isa.h"

static const tc_plane_copy tc_turn_4[TC_LEVELS] = TC_PER_LEVEL(tc_turn, f32);
static const tc_plane_copy tc_turn_8[TC_LEVELS] = TC_PER_LEVEL(tc_turn, f64);
static const tc_plane_copy tc_reverse_4[TC_LEVELS] = TC_PER_LEVEL(tc_reverse, f32);
static const tc_plane_copy tc_reverse_8[TC_LEVELS] = TC_PER_LEVEL(tc_reverse, f64);

/* memcpy for rows that may be too short for a call of it. */
static inline void tc_move(char *restrict y, const char *restrict x, ptrdiff_t n) {
    if (n >= 512) {
        memcpy(y, x, (size_t)n);
        return;
    }
    ptrdiff_t b = 0;
    for (; b + 16 <= n; b += 16) memcpy(y + b, x + b, 16);
    for (; b + 4 <= n; b += 4) memcpy(y + b, x + b, 4);
    for (; b < n; b++) y[b] = x[b];
}

static void tc_rows(const char *x, char *y, const tc_plane *p) { /* neighbours on both sides; `cols` counts bytes */
    for (ptrdiff_t r = 0; r < p->rows; r++) tc_move(y + r * p->y_row, x + r * p->x_row, p->cols);
}

typedef struct {
    uint64_t half[2];
} tc_16;

/* For each size of a number: copy at any distances, and fill. */
#define TC_ONE_BY_ONE(size, type)                                                              \
    static void tc_any_##size(const char *x, char *y, const tc_plane *p) {                     \
        for (ptrdiff_t r = 0; r < p->rows; r++) {                                              \
            const char *from = x + r * p->x_row;                                               \
            char *to = y + r * p->y_row;                                                       \
            for (ptrdiff_t c = 0; c < p->cols; c++) memcpy(to + c * p->y_col, from + c * p->x_col, size); \
        }                                                                                      \
    }                                                                                          \
    static inline void tc_fill_##size(char *y, ptrdiff_t n, const char *value) {                      \
        type v;                                                                                \
        memcpy(&v, value, size);                                                               \
        for (ptrdiff_t i = 0; i < n; i++) ((type *)y)[i] = v;                                  \
    }
TC_ONE_BY_ONE(1, uint8_t)
TC_ONE_BY_ONE(2, uint16_t)
TC_ONE_BY_ONE(4, uint32_t)
TC_ONE_BY_ONE(8, uint64_t)
TC_ONE_BY_ONE(16, tc_16)

typedef void (*tc_filler)(char *y, ptrdiff_t n, const char *value);
typedef struct {
    ptrdiff_t item;
    tc_plane_copy any;
    tc_filler fill;
} tc_size;
static const tc_size tc_sizes[] = {{4, tc_any_4, tc_fill_4}, {8, tc_any_8, tc_fill_8}, {1, tc_any_1, tc_fill_1}, {2, tc_any_2, tc_fill_2},
                {16, tc_any_16, tc_fill_16}};

static const tc_size *tc_size_of(ptrdiff_t item) {
    const tc_size *s = tc_sizes;
    for (size_t i = 1; s->item != item && i < sizeof tc_sizes / sizeof *tc_sizes; i++) s = tc_sizes + i;
    return s;
}
static int tc_has_size(ptrdiff_t item) { return tc_size_of(item)->item == item; }

/* A copy: sizes, and the distances of neighbours in x and in y. */
typedef struct {
    int nd;
    const char *x;
    char *y;
    ptrdiff_t size[TC_COPY_ND + 2], from[TC_COPY_ND + 2], to[TC_COPY_ND + 2];
} tc_copy;

static void tc_put_axis(tc_copy *k, int at, ptrdiff_t size, ptrdiff_t from, ptrdiff_t to) {
    k->size[at] = size;
    k->from[at] = from;
    k->to[at] = to;
}

/* The same copy with as few axes as possible, at least two, in the order of y's memory, and distances in y above 0. */
static void tc_simplify(tc_copy *k, ptrdiff_t item) {
    int nd = 0;
    for (int d = 0; d < k->nd; d++) {
        ptrdiff_t size = k->size[d], from = k->from[d], to = k->to[d];
        if (size == 1) continue;
        if (to < 0) { /* walk the axis from its other end */
            k->x += from * (size - 1);
            k->y += to * (size - 1);
            from = -from;
            to = -to;
        }
        int at = nd++;
        for (; at && k->to[at - 1] < to; at--) tc_put_axis(k, at, k->size[at - 1], k->from[at - 1], k->to[at - 1]);
        tc_put_axis(k, at, size, from, to);
    }
    int last = 0; /* axes that continue each other on both sides are one */
    for (int d = 1; d < nd; d++) {
        if (k->from[last] == k->from[d] * k->size[d] && k->to[last] == k->to[d] * k->size[d])
            tc_put_axis(k, last, k->size[last] * k->size[d], k->from[d], k->to[d]);
        else
            tc_put_axis(k, ++last, k->size[d], k->from[d], k->to[d]);
    }
    nd = nd ? last + 1 : 0;
    if (nd == 0) tc_put_axis(k, nd++, 1, item, item);
    if (nd == 1) {
        tc_put_axis(k, 1, k->size[0], k->from[0], k->to[0]);
        tc_put_axis(k, 0, 1, 0, 0);
        nd = 2;
    }
    k->nd = nd;
}

static int tc_aligned(const tc_copy *k, ptrdiff_t item) {
    uintptr_t all = (uintptr_t)k->x | (uintptr_t)k->y;
    for (int d = 0; d < k->nd; d++) all |= (uintptr_t)k->from[d] | (uintptr_t)k->to[d];
    return all % (uintptr_t)item == 0;
}

/* Do the copy; no size is 0, and x and y do not overlap. */
static void tc_run_copy(tc_copy *k, ptrdiff_t item, int level, int threads) {
    tc_simplify(k, item);
    const int row = k->nd - 2, col = k->nd - 1;
    tc_plane_copy copy = tc_size_of(item)->any;
    int turned = 0;
    const int vectors = (item == 4 || item == 8) && tc_aligned(k, item);
    if (k->from[col] == item && k->to[col] == item) {
        copy = tc_rows;
    } else if (k->from[col] == -item && k->to[col] == item && vectors) {
        copy = (item == 4 ? tc_reverse_4 : tc_reverse_8)[level];
    } else {
        int t = col - 1; /* the axis whose neighbours are neighbours in x becomes the rows */
        while (t >= 0 && k->from[t] != item) t--;
        if (t >= 0) {
            ptrdiff_t size = k->size[t], from = k->from[t], to = k->to[t];
            for (; t < row; t++) tc_put_axis(k, t, k->size[t + 1], k->from[t + 1], k->to[t + 1]);
            tc_put_axis(k, row, size, from, to);
            if (k->to[col] == item && vectors) copy = (item == 4 ? tc_turn_4 : tc_turn_8)[level];
            turned = 1;
        }
    }
    /* The plane of one call: short rows make it higher, a low plane makes it wider. */
    ptrdiff_t high, wide;
    if (turned) {
        wide = tc_min(k->size[col], tc_max(TC_TURN_COLS, TC_BLOCK / k->size[row]));
        high = tc_min(k->size[row], tc_max(TC_TURN_ROWS, TC_BLOCK / wide));
    } else {
        wide = tc_min(k->size[col], TC_PIECE / item);
        high = tc_min(k->size[row], tc_max(1, TC_PIECE / item / wide));
    }
    const ptrdiff_t down = tc_ceil_div(k->size[row], high), across = tc_ceil_div(k->size[col], wide);
    ptrdiff_t units = down * across;
    for (int d = 0; d < row; d++) units *= k->size[d];
    const ptrdiff_t group = tc_max(1, TC_PIECE / (high * wide * item)), tasks = tc_ceil_div(units, group);
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t task = 0; task < tasks; task++)
        for (ptrdiff_t u = task * group; u < tc_min(units, (task + 1) * group); u++) {
            const ptrdiff_t r = u / across % down * high, c = u % across * wide;
            const char *x = k->x + r * k->from[row] + c * k->from[col];
            char *y = k->y + r * k->to[row] + c * k->to[col];
            ptrdiff_t rest = u / across / down;
            for (int d = row - 1; d >= 0; rest /= k->size[d], d--) {
                x += rest % k->size[d] * k->from[d];
                y += rest % k->size[d] * k->to[d];
            }
            tc_plane p = {tc_min(high, k->size[row] - r), tc_min(wide, k->size[col] - c), k->from[row], k->from[col],
                          k->to[row], k->to[col]};
            if (copy == tc_rows) p.cols *= item;
            copy(x, y, &p);
        }
}

/* An array with more places around: `before`, then `size` numbers of x, then `after`, along each axis of y. */
typedef struct {
    int nd;
    ptrdiff_t before[TC_COPY_ND + 1], size[TC_COPY_ND + 1], after[TC_COPY_ND + 1], from[TC_COPY_ND + 1];
} tc_extension;

/* Add an axis in front of those that are there (call it for the last axis first); it joins the axis behind it where that
 * one is whole, and both continue each other in x. */
static void tc_put_extended(tc_extension *e, ptrdiff_t before, ptrdiff_t size, ptrdiff_t after, ptrdiff_t from) {
    const int d = e->nd - 1; /* axes stand here in reverse order */
    if (e->nd && size == 1 && !before && !after) return;
    if (e->nd && !e->before[d] && !e->after[d] && (size == 1 || from == e->from[d] * e->size[d])) {
        e->before[d] = before * e->size[d];
        e->after[d] = after * e->size[d];
        e->size[d] *= size;
        return;
    }
    e->before[e->nd] = before;
    e->size[e->nd] = size;
    e->after[e->nd] = after;
    e->from[e->nd++] = from;
}

/* Compiled for the usual sizes of a number: a fill of one number shall not be a call. */
TC_INLINE void tc_extend_by(const tc_extension *e, const char *x, char *y, ptrdiff_t item, tc_filler fill, const char *value,
                            int threads) {
    const ptrdiff_t width = e->before[0] + e->size[0] + e->after[0], piece = TC_PIECE / item;
    ptrdiff_t total = width;
    for (int d = 1; d < e->nd; d++) total *= e->before[d] + e->size[d] + e->after[d];
    if (total == 0) return;
    const ptrdiff_t tasks = tc_ceil_div(total, piece);
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t task = 0; task < tasks; task++) {
        ptrdiff_t at = task * piece;
        const ptrdiff_t stop = tc_min(total, at + piece);
        ptrdiff_t index[TC_COPY_ND + 1], rest = at / width, c = at % width;
        for (int d = 1; d < e->nd; d++) {
            const ptrdiff_t size = e->before[d] + e->size[d] + e->after[d];
            index[d] = rest % size;
            rest /= size;
        }
        while (at < stop) { /* a row of y, or what is ours of it: places c .. end */
            const ptrdiff_t end = tc_min(width, c + stop - at);
            const char *row = x;
            int inside = 1;
            for (int d = 1; d < e->nd; d++) {
                const ptrdiff_t i = index[d] - e->before[d];
                inside &= i >= 0 && i < e->size[d];
                row += i * e->from[d];
            }
            const ptrdiff_t whole = inside && c == 0 && e->nd > 1 ? (stop - at) / width : 0;
            char *to = y + (at - c) * item;
            if (whole) { /* rows that follow each other: little to do but to move them */
                const ptrdiff_t rows = tc_min(whole, e->before[1] + e->size[1] - index[1]);
                for (ptrdiff_t r = 0; r < rows; r++, to += width * item, row += e->from[1]) {
                    fill(to, e->before[0], value);
                    tc_move(to + e->before[0] * item, row, e->size[0] * item);
                    fill(to + (e->before[0] + e->size[0]) * item, e->after[0], value);
                }
                at += rows * width;
                index[1] += rows - 1;
            } else {
                const ptrdiff_t first = inside ? tc_max(c, tc_min(e->before[0], end)) : end;
                const ptrdiff_t last = inside ? tc_max(first, tc_min(e->before[0] + e->size[0], end)) : end;
                fill(to + c * item, first - c, value);
                if (last > first) tc_move(to + first * item, row + (first - e->before[0]) * item, (last - first) * item);
                fill(to + last * item, end - last, value);
                at += end - c;
                c = 0;
            }
            for (int d = 1; d < e->nd; d++) {
                if (++index[d] < e->before[d] + e->size[d] + e->after[d]) break;
                index[d] = 0;
            }
        }
    }
}

/* y, which lies together, from x, whose numbers lie together along the last axis; `value` elsewhere.  One pass over y. */
static void tc_extend(const tc_extension *e, const char *x, char *y, ptrdiff_t item, const char *value, int threads) {
    if (item == 4)
        tc_extend_by(e, x, y, 4, tc_fill_4, value, threads);
    else if (item == 8)
        tc_extend_by(e, x, y, 8, tc_fill_8, value, threads);
    else
        tc_extend_by(e, x, y, item, tc_size_of(item)->fill, value, threads);
}
