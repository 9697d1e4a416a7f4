/* The table of loss_impl.h's functions: [0] float, [1] double, then the level of isa.h. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

#define TC_IMPL "loss_impl.h"
#include "isa.h"

typedef void (*tc_cross_entropy_fn)(const void *x, const int64_t *target, const void *weight, void *loss, void *logp,
                                    ptrdiff_t n, ptrdiff_t c, int64_t ignore_index, double smoothing, int threads);
typedef void (*tc_loss_reduce_fn)(const void *loss, void *out, ptrdiff_t n, double total);
typedef double (*tc_loss_weight_fn)(const int64_t *target, const void *weight, ptrdiff_t n, int64_t ignore_index);
typedef void (*tc_cross_entropy_grad_fn)(const void *g, ptrdiff_t step, double total, const void *logp,
                                         const int64_t *target, const void *weight, void *gx, ptrdiff_t n, ptrdiff_t c,
                                         int64_t ignore_index, double smoothing, int threads);
typedef void (*tc_bce_fn)(const void *x, const void *target, void *loss, ptrdiff_t n, int threads);
typedef void (*tc_bce_grad_fn)(const void *g, const void *x, const void *target, void *gx, ptrdiff_t n, int threads);
typedef void (*tc_huber_fn)(const void *x, const void *target, void *loss, ptrdiff_t n, double delta, int threads);
#define TC_BOTH(name) {TC_PER_LEVEL(name, f32), TC_PER_LEVEL(name, f64)}
static const tc_cross_entropy_fn tc_cross_entropy[2][TC_LEVELS] = TC_BOTH(cross_entropy);
static const tc_loss_reduce_fn tc_loss_reduce[2][TC_LEVELS] = TC_BOTH(loss_reduce);
static const tc_loss_weight_fn tc_loss_weight[2][TC_LEVELS] = TC_BOTH(loss_weight);
static const tc_cross_entropy_grad_fn tc_cross_entropy_grad[2][TC_LEVELS] = TC_BOTH(cross_entropy_grad);
static const tc_bce_fn tc_bce[2][TC_LEVELS] = TC_BOTH(bce);
static const tc_bce_grad_fn tc_bce_grad[2][TC_LEVELS] = TC_BOTH(bce_grad);
static const tc_bce_fn tc_bce_with_logits[2][TC_LEVELS] = TC_BOTH(bce_with_logits);
static const tc_huber_fn tc_huber[2][TC_LEVELS] = TC_BOTH(huber);
