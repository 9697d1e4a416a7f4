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
