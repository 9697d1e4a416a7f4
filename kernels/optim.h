/* Settings of an optimiser step, the stretches it is cut into, and the table of optim_impl.h's functions. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

enum { TC_PLAIN, TC_FIRST, TC_NEXT }; /* SGD without momentum, the first step with it, a later one */
enum { TC_STRETCH = 8192 };           /* elements updated at a time: the unit of work of a thread */

typedef struct {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize;
} tc_sgd;

typedef struct {
    double beta1, beta2, eps, step_size, root_correction;
    double decay;  /* added to the gradient: weight_decay * p */
    double shrink; /* multiplies p: 1 - lr * weight_decay if decoupled, else 1 */
    int maximize;
} tc_adam;

/* A piece of one parameter.  `m` is NULL for SGD without momentum, `top` for Adam without amsgrad. */
typedef struct {
    void *p, *g, *m, *v, *top;
    ptrdiff_t n;
    int kind, first; /* element type: 0 float, 1 double; momentum array is new */
} tc_stretch;

#define TC_IMPL "optim_impl.h"
#include "isa.h"

typedef void (*tc_update)(const void *settings, const tc_stretch *t);
static const tc_update tc_sgd_update[2][TC_LEVELS] = {TC_PER_LEVEL(sgd, f32), TC_PER_LEVEL(sgd, f64)};
static const tc_update tc_adam_update[2][TC_LEVELS] = {TC_PER_LEVEL(adam, f32), TC_PER_LEVEL(adam, f64)};

static void tc_update_all(int adam, const void *settings, const tc_stretch *all, ptrdiff_t n, int level, int threads) {
    const tc_update(*table)[TC_LEVELS] = adam ? tc_adam_update : tc_sgd_update;
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t i = 0; i < n; i++) table[all[i].kind][level](settings, all + i);
}
