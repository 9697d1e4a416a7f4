/* Settings of the optimiser steps, the stretches they are cut into, and the table of optim_impl.h's functions. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

enum { TC_PLAIN, TC_FIRST, TC_NEXT }; /* SGD without momentum, the first step with it, a later one */
enum { TC_STRETCH = 8192 };           /* elements updated at a time: the unit of work of a thread */
enum { TC_ARRAYS = 3 };               /* arrays that an optimiser remembers for a parameter, at most */

/* In all of them `decay` * p is added to the gradient, and p is multiplied by `shrink` before the step. */
typedef struct {
    double lr, momentum, dampening, decay;
    int nesterov, maximize;
} tc_sgd;

typedef struct { /* Adam, Adamax, NAdam, RAdam */
    double beta1, beta2, eps, decay, shrink;
    double step_size;       /* of the corrected mean: lr / (1 - beta1^t), and RAdam's rectification */
    double gradient_size;   /* of the gradient itself: NAdam */
    double root_correction; /* sqrt(1 - beta2^t), by which sqrt(v) is divided */
    int rectified, maximize;
} tc_adam;

typedef struct { /* Adagrad, Adadelta, RMSprop */
    double lr, rho, eps, momentum, decay;
    int maximize;
} tc_square;

typedef struct {
    double etaminus, etaplus, smallest, largest;
    int maximize;
} tc_rprop;

typedef struct {
    double eta, mu, decay, shrink;
    int maximize;
} tc_asgd;

typedef struct {
    double lr, growth, decay;
    int maximize;
} tc_quickprop;

/* A piece of one parameter.  Remembered arrays that the variant does not have are NULL. */
typedef struct {
    void *p, *g, *s[TC_ARRAYS];
    ptrdiff_t n;
    int kind, first; /* element type: 0 float, 1 double; SGD: the momentum array is new */
} tc_stretch;

#define TC_IMPL "optim_impl.h"
#include "isa.h"

typedef void (*tc_update)(const void *settings, const tc_stretch *t);
#define TC_BOTH(name) {TC_PER_LEVEL(name, f32), TC_PER_LEVEL(name, f64)}
enum { TC_SGD, TC_ADAM, TC_ADAMAX, TC_NADAM, TC_RADAM, TC_ADAGRAD, TC_ADADELTA, TC_RMSPROP, TC_RPROP, TC_ASGD, TC_QUICKPROP,
       TC_RULES };
static const tc_update tc_updates[TC_RULES][2][TC_LEVELS] = {
    TC_BOTH(sgd), TC_BOTH(adam), TC_BOTH(adamax), TC_BOTH(nadam), TC_BOTH(radam), TC_BOTH(adagrad), TC_BOTH(adadelta),
    TC_BOTH(rmsprop), TC_BOTH(rprop), TC_BOTH(asgd), TC_BOTH(quickprop)};

static void tc_update_all(int rule, const void *settings, const tc_stretch *all, ptrdiff_t n, int level, int threads) {
    const tc_update(*table)[TC_LEVELS] = tc_updates[rule];
    TC_EACH(threads, i, n, table[all[i].kind][level](settings, all + i));
}
