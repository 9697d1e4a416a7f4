/* The table of softmax_impl.h's functions: [0] float, [1] double, then the level of isa.h. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

#define TC_IMPL "softmax_impl.h"
#include "isa.h"

typedef void (*tc_softmax_fn)(const void *x, void *y, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner, int logarithm,
                              int threads);
typedef void (*tc_softmax_grad_fn)(const void *g, const void *y, void *gx, ptrdiff_t outer, ptrdiff_t n,
                                   ptrdiff_t inner, int logarithm, int threads);
static const tc_softmax_fn tc_softmax[2][TC_LEVELS] = {TC_PER_LEVEL(softmax, f32), TC_PER_LEVEL(softmax, f64)};
static const tc_softmax_grad_fn tc_softmax_grad[2][TC_LEVELS] = {TC_PER_LEVEL(softmax_grad, f32),
                                                                 TC_PER_LEVEL(softmax_grad, f64)};
