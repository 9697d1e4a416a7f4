/* The tables of activation_impl.h's loops, and the loop over pieces of an array. */
#pragma once
#include <stddef.h>
#include "tc_omp.h"

#define TC_IMPL "activation_impl.h"
#include "isa.h"

enum { TC_ACTIVATION_PIECE = 8192 /* elements of one task */ };

static const tc_activation_loop (*const tc_activation_f32[TC_LEVELS])[2][TC_ACTIVATIONS] = TC_PER_LEVEL(tc_activations, f32);
static const tc_activation_loop (*const tc_activation_f64[TC_LEVELS])[2][TC_ACTIVATIONS] = TC_PER_LEVEL(tc_activations, f64);

/* y = f(x), or with g not NULL y = g f'(x).  `item` bytes per number: 4 float, 8 double. */
static void tc_activation(int which, int level, ptrdiff_t item, const char *x, const char *g, char *y, ptrdiff_t n,
                          const double *arguments, int threads) {
    tc_activation_loop loop = (*(item == 4 ? tc_activation_f32 : tc_activation_f64)[level])[g != NULL][which];
    ptrdiff_t tasks = tc_ceil_div(n, TC_ACTIVATION_PIECE);
    if (threads <= 1) {
        loop(x, g, y, n, arguments);
        return;
    }
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t t = 0; t < tasks; t++) {
        ptrdiff_t from = t * TC_ACTIVATION_PIECE;
        loop(x + from * item, g ? g + from * item : NULL, y + from * item, tc_min(TC_ACTIVATION_PIECE, n - from), arguments);
    }
}
