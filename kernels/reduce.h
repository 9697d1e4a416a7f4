/* Reductions of a contiguous (outer, n, inner) array over its middle axis, cut into blocks by shape alone. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "tc_omp.h"

#define TC_IMPL "reduce_impl.h"
#include "isa.h"

static const tc_reducer (*const tc_reducers_f32_[TC_LEVELS])[TC_REDUCERS] = TC_PER_LEVEL(tc_reducers, f32);
static const tc_reducer (*const tc_reducers_f64_[TC_LEVELS])[TC_REDUCERS] = TC_PER_LEVEL(tc_reducers, f64);
typedef int64_t (*const *tc_argmax_entry)(const char *, tc_int);
typedef void (*const *tc_divide_entry)(char *, tc_int, double);
static const tc_argmax_entry tc_argmax_f32_[TC_LEVELS] = TC_PER_LEVEL(tc_argmax, f32);
static const tc_argmax_entry tc_argmax_f64_[TC_LEVELS] = TC_PER_LEVEL(tc_argmax, f64);
static const tc_divide_entry tc_divide_f32_[TC_LEVELS] = TC_PER_LEVEL(tc_divide, f32);
static const tc_divide_entry tc_divide_f64_[TC_LEVELS] = TC_PER_LEVEL(tc_divide, f64);

/* What was chosen at import: [0] float, [1] double. */
static const tc_reducer *tc_reduce_by[2];
static int64_t (*tc_argmax_by[2])(const char *, tc_int);
static void (*tc_divide_by[2])(char *, tc_int, double);

/* -1 if TINYGRAD_COURSE_ISA names no level */
static int tc_choose_reducers(void) {
    int level = tc_choose_level();
    if (level < 0) return -1;
    tc_reduce_by[0] = *tc_reducers_f32_[level];
    tc_reduce_by[1] = *tc_reducers_f64_[level];
    tc_argmax_by[0] = *tc_argmax_f32_[level];
    tc_argmax_by[1] = *tc_argmax_f64_[level];
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
