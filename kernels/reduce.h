/* Reductions of a contiguous (outer, n, inner) array over its middle axis, cut into blocks by shape alone. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

#define TC_IMPL "reduce_impl.h"
#include "isa.h"

static const tc_reducer (*const tc_reducers_f32_[TC_LEVELS])[TC_REDUCERS] = TC_PER_LEVEL(tc_reducers, f32);
static const tc_reducer (*const tc_reducers_f64_[TC_LEVELS])[TC_REDUCERS] = TC_PER_LEVEL(tc_reducers, f64);
typedef void (*const *tc_divide_entry)(char *, tc_int, double);
static const tc_place (*const tc_places_f32_[TC_LEVELS])[2] = TC_PER_LEVEL(tc_places, f32);
static const tc_place (*const tc_places_f64_[TC_LEVELS])[2] = TC_PER_LEVEL(tc_places, f64);
static const tc_divide_entry tc_divide_f32_[TC_LEVELS] = TC_PER_LEVEL(tc_divide, f32);
static const tc_divide_entry tc_divide_f64_[TC_LEVELS] = TC_PER_LEVEL(tc_divide, f64);

/* What was chosen at import: [0] float, [1] double. */
static const tc_reducer *tc_reduce_by[2];
static const tc_place *tc_place_by[2]; /* there [0] of maxima, [1] of minima */
static void (*tc_divide_by[2])(char *, tc_int, double);

/* -1 if TINYGRAD_COURSE_ISA names no level */
static int tc_choose_reducers(void) {
    int level = tc_choose_level();
    if (level < 0) return -1;
    tc_reduce_by[0] = *tc_reducers_f32_[level];
    tc_reduce_by[1] = *tc_reducers_f64_[level];
    tc_place_by[0] = *tc_places_f32_[level];
    tc_place_by[1] = *tc_places_f64_[level];
    tc_divide_by[0] = *tc_divide_f32_[level];
    tc_divide_by[1] = *tc_divide_f64_[level];
    return 0;
}

enum { TC_TILE = 2048 /* columns of a block */, TC_BLOCK = 32768 /* elements of a block */ };

/* How many of the n rows one block takes; one block writes one row of partial results. */
static ptrdiff_t tc_block_rows(ptrdiff_t n, ptrdiff_t inner) {
    if (inner == 1) return tc_min(n, TC_BLOCK);
    return tc_min(n, tc_max(16, tc_min(1024, TC_BLOCK / tc_min(inner, TC_TILE))));
}

/* x (outer, n, inner) -> out (outer, ceil(n / rows), inner). */
static void tc_reduce_pass(const tc_reducer *f, const char *x, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
                           ptrdiff_t rows, char *out, ptrdiff_t item, int threads) {
    const ptrdiff_t blocks = tc_ceil_div(n, rows), tile = tc_min(inner, TC_TILE), tiles = tc_ceil_div(inner, tile);
    const ptrdiff_t units = outer * blocks * tiles, group = tc_max(1, TC_BLOCK / 2 / (rows * tile));
    const ptrdiff_t tasks = tc_ceil_div(units, group);
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t task = 0; task < tasks; task++) {
        const ptrdiff_t first = task * group, stop = tc_min(units, first + group);
        if (inner == 1 && blocks == 1) { /* runs that follow each other, perhaps many short ones */
            f->runs(x + first * n * item, stop - first, n, out + first * item);
            continue;
        }
        for (ptrdiff_t u = first; u < stop; u++) {
            const ptrdiff_t row = u / tiles, col = u % tiles * tile; /* row of the result, of outer * blocks */
            const ptrdiff_t o = row / blocks, r = row % blocks * rows, here = tc_min(rows, n - r);
            const char *from = x + ((o * n + r) * inner + col) * item;
            char *to = out + (row * inner + col) * item;
            if (inner == 1)
                f->runs(from, 1, here, to);
            else
                f->columns(from, inner, here, tc_min(tile, inner - col), to);
        }
    }
}

/* x (outer, n, inner) -> out (outer, inner): places of extremes along the middle axis, in units of one run or some columns. */
static void tc_find_units(const tc_place *f, const char *x, ptrdiff_t n, ptrdiff_t inner, int64_t *out, ptrdiff_t item,
                          ptrdiff_t from, ptrdiff_t stop) {
    const ptrdiff_t tiles = tc_ceil_div(inner, TC_NARROW);
    for (ptrdiff_t u = from; u < stop; u++) {
        const ptrdiff_t o = u / tiles, col = u % tiles * TC_NARROW;
        if (inner == 1)
            out[o] = f->run(x + o * n * item, n);
        else
            f->columns(x + (o * n * inner + col) * item, inner, n, tc_min(TC_NARROW, inner - col), out + o * inner + col);
    }
}

static void tc_find(const tc_place *f, const char *x, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int64_t *out,
                    ptrdiff_t item, int threads) {
    const ptrdiff_t units = outer * tc_ceil_div(inner, TC_NARROW);
    const ptrdiff_t group = tc_max(1, TC_BLOCK / (n * tc_min(inner, TC_NARROW)));
    TC_EACH(threads, t, tc_ceil_div(units, group),
            tc_find_units(f, x, n, inner, out, item, t * group, tc_min(units, (t + 1) * group)));
}

/* ---- bools: bytes; what is not 0 holds */

enum { TC_ALL, TC_ANY };

static void tc_any_runs(const char *x, tc_int count, tc_int n, char *out) {
    for (tc_int r = 0; r < count; r++, x += n) {
        char found = 0;
        for (tc_int i = 0; i < n && !found; i += 1024)
            for (tc_int k = i; k < tc_min(n, i + 1024); k++) found |= x[k];
        out[r] = found != 0;
    }
}
static void tc_all_runs(const char *x, tc_int count, tc_int n, char *out) {
    for (tc_int r = 0; r < count; r++) out[r] = memchr(x + r * n, 0, (size_t)n) == NULL;
}
static void tc_any_columns(const char *x, tc_int ld, tc_int rows, tc_int cols, char *restrict out) {
    memset(out, 0, (size_t)cols);
    for (tc_int r = 0; r < rows; r++)
        for (tc_int c = 0; c < cols; c++) out[c] |= x[r * ld + c] != 0;
}
static void tc_all_columns(const char *x, tc_int ld, tc_int rows, tc_int cols, char *restrict out) {
    memset(out, 1, (size_t)cols);
    for (tc_int r = 0; r < rows; r++)
        for (tc_int c = 0; c < cols; c++) out[c] &= x[r * ld + c] != 0;
}
static const tc_reducer tc_logical[2] = {{tc_all_runs, tc_all_columns}, {tc_any_runs, tc_any_columns}};

/* How many of n bools hold: bytes add up to 255 before they are widened. */
static int64_t tc_count(const char *x, ptrdiff_t n) {
    int64_t total = 0;
    ptrdiff_t i = 0;
    while (i + 64 <= n) {
        unsigned char lane[64] = {0};
        for (int rounds = 0; rounds < 255 && i + 64 <= n; rounds++, i += 64)
            for (int k = 0; k < 64; k++) lane[k] = (unsigned char)(lane[k] + (x[i + k] != 0));
        for (int k = 0; k < 64; k++) total += lane[k];
    }
    for (; i < n; i++) total += x[i] != 0;
    return total;
}
