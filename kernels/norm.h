/* The arrays of a normalisation call, and the table of norm_impl.h's functions: [0] float, [1] double, then the level. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

/* x, y, g, gx, residual, gr are (n, c, s); weight, bias, mean, var, gw, gb have c values.  NULL: not given. */
typedef struct {
    const void *x, *g, *residual, *weight, *bias;
    void *y, *gx, *gr, *mean, *var, *gw, *gb;
    ptrdiff_t n, c, s;
    double eps;
    int training, relu;
} tc_batch_norm_call;

/* x is (rows, d, s), normalised over (d, s); row r belongs to group r % groups.  weight, bias, gw, gb have groups * d
 * values, mean and var one per row. */
typedef struct {
    const void *x, *g, *weight, *bias;
    void *y, *gx, *mean, *var, *gw, *gb;
    void *partial; /* room for tc_group_partials numbers */
    ptrdiff_t rows, groups, d, s;
    double eps;
    int centred;
} tc_group_norm_call;

#define TC_ROW_BLOCK 64 /* rows whose share of gw and gb is added up before it meets that of others */

/* How many numbers the backward pass of group norm needs room for. */
static inline ptrdiff_t tc_group_partials(const tc_group_norm_call *p) {
    const ptrdiff_t parts = p->s == 1 && p->groups == 1 ? (p->rows + TC_ROW_BLOCK - 1) / TC_ROW_BLOCK : p->rows;
    return 2 * parts * p->d;
}

#define TC_IMPL "norm_impl.h"
#include "isa.h"

typedef void (*tc_batch_norm_fn)(const tc_batch_norm_call *p, int threads);
typedef void (*tc_group_norm_fn)(const tc_group_norm_call *p, int threads);

#define TC_BOTH(name) {TC_PER_LEVEL(name, f32), TC_PER_LEVEL(name, f64)}
static const tc_batch_norm_fn tc_batch_norm[2][TC_LEVELS] = TC_BOTH(batch_norm);
static const tc_batch_norm_fn tc_batch_norm_grad[2][TC_LEVELS] = TC_BOTH(batch_norm_grad);
static const tc_group_norm_fn tc_group_norm[2][TC_LEVELS] = TC_BOTH(group_norm);
static const tc_group_norm_fn tc_group_norm_grad[2][TC_LEVELS] = TC_BOTH(group_norm_grad);
