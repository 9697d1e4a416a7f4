/* A place in a Philox stream, and the table of random_impl.h's functions: [0] float, [1] double, then the level. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

enum { TC_CHUNK = 64 }; /* blocks of four words made at a time: 1 KB */

typedef struct {
    uint64_t key, low, high; /* seed, and the 128-bit number of the first block */
} tc_stream;

#define TC_IMPL "random_impl.h"
#include "isa.h"

typedef void (*tc_fill_fn)(const tc_stream *s, void *out, ptrdiff_t n, int threads);
typedef void (*tc_mask_fn)(const tc_stream *s, void *out, ptrdiff_t n, uint32_t threshold, double scale, int threads);
typedef void (*tc_philox_fn)(const tc_stream *s, uint32_t *out, ptrdiff_t n, int threads);
typedef void (*tc_randint_fn)(const tc_stream *s, int64_t *out, ptrdiff_t n, int64_t low, uint64_t span, int threads);
#define TC_BOTH(name) {TC_PER_LEVEL(name, f32), TC_PER_LEVEL(name, f64)}
static const tc_fill_fn tc_uniform[2][TC_LEVELS] = TC_BOTH(uniform);
static const tc_fill_fn tc_normal[2][TC_LEVELS] = TC_BOTH(normal);
static const tc_mask_fn tc_dropout_mask[2][TC_LEVELS] = TC_BOTH(dropout_mask);
static const tc_philox_fn tc_philox[TC_LEVELS] = TC_PER_LEVEL(philox, f32);
static const tc_randint_fn tc_randint[TC_LEVELS] = TC_PER_LEVEL(randint, f32);

/* 0..n-1 in the order of n uniform keys in [0, 1).  As the keys are spread evenly, key * buckets says nearly where each
 * belongs: one pass counts, one puts everything in its bucket in the order in which it comes, and sorting by insertion, which
 * keeps equal keys in order, has little left to do.  `sorted` and `ends` are scratch; the number of buckets is a power of 2, so that a key below 1 has one.
 * 0 if a key is not in [0, 1). */
typedef struct {
    double key;
    int64_t place;
} tc_keyed;

static int tc_permutation(const double *keys, ptrdiff_t n, tc_keyed *sorted, int64_t *ends, ptrdiff_t buckets, int64_t *out) {
    memset(ends, 0, (size_t)(buckets + 1) * sizeof *ends);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (!(keys[i] >= 0 && keys[i] < 1)) return 0;
        ends[(ptrdiff_t)(keys[i] * (double)buckets) + 1]++;
    }
    for (ptrdiff_t b = 0; b < buckets; b++) ends[b + 1] += ends[b];
    for (ptrdiff_t i = 0; i < n; i++) {
        const tc_keyed it = {keys[i], i};
        sorted[ends[(ptrdiff_t)(keys[i] * (double)buckets)]++] = it;
    }
    for (ptrdiff_t i = 1; i < n; i++) {
        const tc_keyed it = sorted[i];
        ptrdiff_t at = i;
        for (; at && sorted[at - 1].key > it.key; at--) sorted[at] = sorted[at - 1];
        sorted[at] = it;
    }
    for (ptrdiff_t i = 0; i < n; i++) out[i] = sorted[i].place;
    return 1;
}
