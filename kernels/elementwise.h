/* Elementwise loops over arrays of any shape: tables of inner loops, and the walk over broadcast or strided operands.
 *
 * The walk sees every operand as strides over the shape of the result, a broadcast axis being a stride of 0.  Axes that
 * all operands pass through without a gap are merged, so that most shapes end as one or two axes; the innermost one is
 * handed to an inner loop, in which an operand moves by one element or stands still.  Work is cut by shape alone.
 */
#pragma once
#include <stddef.h>
#include "tc_omp.h"

#define TC_IMPL "elementwise_impl.h"
#include "isa.h"

enum { TC_MAX_ND = 64, TC_MAX_IN = 3, TC_PIECE = 16384 /* elements of one task */ };

static const tc_loop (*const tc_loops_f32[TC_LEVELS])[TC_LOOPS] = TC_PER_LEVEL(tc_loops, f32);
static const tc_loop (*const tc_loops_f64[TC_LEVELS])[TC_LOOPS] = TC_PER_LEVEL(tc_loops, f64);
static const tc_loop *tc_chosen[2]; /* float, double */

/* -1 if TINYGRAD_COURSE_ISA names no level */
static int tc_choose_loops(void) {
    int level = tc_choose_level();
    if (level < 0) return -1;
    tc_chosen[0] = *tc_loops_f32[level];
    tc_chosen[1] = *tc_loops_f64[level];
    return 0;
}

typedef struct {
    const char *data;
    int nd;
    const ptrdiff_t *dims, *strides; /* strides in bytes */
    ptrdiff_t item;                  /* bytes of one element */
} tc_operand;

typedef struct {
    tc_loop loop;
    int nin, nd, fixed;
    const char *in[TC_MAX_IN];
    char *out;
    ptrdiff_t out_item;
    ptrdiff_t outer, inner;                   /* the result as (outer, inner) */
    ptrdiff_t dims[TC_MAX_ND];                /* merged axes; the last one is the inner */
    ptrdiff_t strides[TC_MAX_IN][TC_MAX_ND];
} tc_walk;

/* Plan a walk over the result shape `dims`, to which all operands broadcast.  Returns -1, or the number of an operand
 * that must be made contiguous first because its inner stride is neither 0 nor one element. */
static int tc_plan(tc_walk *w, int nin, const tc_operand *operands, int nd, const ptrdiff_t *dims) {
    int last = -1;
    ptrdiff_t total = 1;
    w->nin = nin;
    for (int d = 0; d < nd; d++) {
        if (dims[d] == 1) continue;
        total *= dims[d];
        ptrdiff_t step[TC_MAX_IN];
        int merge = last >= 0;
        for (int k = 0; k < nin; k++) {
            int own = d - (nd - operands[k].nd); /* this axis in the operand's own shape */
            step[k] = own < 0 || operands[k].dims[own] == 1 ? 0 : operands[k].strides[own];
            merge = merge && w->strides[k][last] == step[k] * dims[d];
        }
        if (merge)
            w->dims[last] *= dims[d];
        else
            w->dims[++last] = dims[d];
        for (int k = 0; k < nin; k++) w->strides[k][last] = step[k];
    }
    if (last < 0) { /* one element */
        w->dims[last = 0] = 1;
        for (int k = 0; k < nin; k++) w->strides[k][0] = 0;
    }
    w->nd = last + 1;
    w->inner = w->dims[last];
    w->outer = w->inner ? total / w->inner : 0;
    w->fixed = 0;
    for (int k = 0; k < nin; k++) {
        w->in[k] = operands[k].data;
        if (w->strides[k][last] == 0)
            w->fixed |= 1 << k;
        else if (w->strides[k][last] != operands[k].item)
            return k;
    }
    return -1;
}

/* Elements [from, to) of the inner axis in rows [row, stop) of the outer axes. */
static void tc_walk_rows(const tc_walk *w, ptrdiff_t row, ptrdiff_t stop, ptrdiff_t from, ptrdiff_t to) {
    ptrdiff_t index[TC_MAX_ND];
    const char *in[TC_MAX_IN];
    ptrdiff_t rest = row;
    const int outer = w->nd - 1;
    for (int k = 0; k < w->nin; k++) in[k] = w->in[k] + from * w->strides[k][outer];
    for (int d = outer - 1; d >= 0; d--) {
        index[d] = rest % w->dims[d];
        rest /= w->dims[d];
        for (int k = 0; k < w->nin; k++) in[k] += index[d] * w->strides[k][d];
    }
    for (; row < stop; row++) {
        w->loop(in, w->out + (row * w->inner + from) * w->out_item, to - from, w->fixed);
        for (int d = outer - 1; d >= 0; d--) {
            for (int k = 0; k < w->nin; k++) in[k] += w->strides[k][d];
            if (++index[d] < w->dims[d]) break;
            for (int k = 0; k < w->nin; k++) in[k] -= w->strides[k][d] * w->dims[d];
            index[d] = 0;
        }
    }
}

static void tc_walk_task(const tc_walk *w, ptrdiff_t task) {
    if (w->inner >= TC_PIECE) {
        ptrdiff_t pieces = tc_ceil_div(w->inner, TC_PIECE), row = task / pieces, from = task % pieces * TC_PIECE;
        tc_walk_rows(w, row, row + 1, from, tc_min(w->inner, from + TC_PIECE));
    } else {
        ptrdiff_t rows = TC_PIECE / w->inner;
        tc_walk_rows(w, task * rows, tc_min(w->outer, (task + 1) * rows), 0, w->inner);
    }
}

static void tc_walk_all(const tc_walk *w, int threads) {
    if (w->outer <= 0) return;
    ptrdiff_t tasks = w->inner >= TC_PIECE ? w->outer * tc_ceil_div(w->inner, TC_PIECE)
                                           : tc_ceil_div(w->outer, TC_PIECE / w->inner);
    if (threads <= 1) {
        for (ptrdiff_t t = 0; t < tasks; t++) tc_walk_task(w, t);
        return;
    }
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t t = 0; t < tasks; t++) tc_walk_task(w, t);
}

/* The same for operands that are contiguous and of the result's size, or (bit k of `fixed`) single numbers. */
static void tc_walk_flat(tc_loop loop, int nin, const char *const *in, const ptrdiff_t *item, char *out,
                         ptrdiff_t out_item, ptrdiff_t n, int fixed, int threads) {
    tc_walk w;
    w.loop = loop;
    w.nin = nin;
    w.nd = 1;
    w.fixed = fixed;
    w.outer = 1;
    w.inner = w.dims[0] = n;
    w.out = out;
    w.out_item = out_item;
    for (int k = 0; k < nin; k++) {
        w.in[k] = in[k];
        w.strides[k][0] = fixed >> k & 1 ? 0 : item[k];
    }
    tc_walk_all(&w, threads);
}
