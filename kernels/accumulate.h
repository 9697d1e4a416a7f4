/* The table of accumulate_impl.h's functions, [0] float, [1] double, and the sum cut into pieces for threads. */
#pragma once
#include <stddef.h>
#include "tc_omp.h"

#define TC_IMPL "accumulate_impl.h"
#include "isa.h"

typedef void (*tc_accumulate_fn)(char *total, const char *g, ptrdiff_t n);
static const tc_accumulate_fn tc_accumulate[2][TC_LEVELS] = {TC_PER_LEVEL(accumulate, f32), TC_PER_LEVEL(accumulate, f64)};

static void tc_accumulate_all(tc_accumulate_fn add, char *total, const char *g, ptrdiff_t n, ptrdiff_t item, int threads) {
    enum { PIECE = 16384 }; /* elements of one task */
    const ptrdiff_t pieces = tc_ceil_div(n, PIECE);
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t i = 0; i < pieces; i++) {
        const ptrdiff_t from = i * PIECE * item;
        add(total + from, g + from, tc_min(PIECE, n - i * PIECE));
    }
}
