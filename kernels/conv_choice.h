/* Which algorithm computes a convolution or one of its adjoints.
 *
 * Every algorithm states whether it can do a problem and what it would cost; the cheapest one that can is taken.  The
 * answer depends on the shape, the number type and the level alone, never on the number of threads, on the clock or on
 * the run: so the same program gives the same bits everywhere.
 *
 * A new algorithm is a line in the enumeration, its name, and its costs in tc_conv_costs; conv.pyx calls it.
 *
 * Costs are estimates in cycles of one core, made of three things:
 *     arithmetic   multiplications / (2 * lanes) / the fraction of full speed that the inner loop reaches
 *     transforms   vectors of numbers that are rearranged and combined, times cycles per vector
 *     memory       bytes that do not fit in the cache of a core, at TC_BYTES_PER_CYCLE
 */
#ifndef TC_CONV_CHOICE_H
#define TC_CONV_CHOICE_H
#include "conv_types.h"

enum { TC_CONV = 0, TC_CONV_INPUT = 1, TC_CONV_WEIGHT = 2 };
enum { TC_DIRECT, TC_WINOGRAD_2, TC_WINOGRAD_4, TC_ALGORITHMS };
static const char *const tc_algorithm_names[TC_ALGORITHMS] = {"direct", "winograd 2x2", "winograd 4x4"};

typedef struct {
    const char *why_not;      /* NULL if the algorithm can do the problem */
    double multiplications;
    double memory;            /* bytes of scratch that all blocks together write and read again */
    double cycles;
} tc_conv_cost;

#define TC_BYTES_PER_CYCLE 8.0

static inline tc_conv_cost tc_cost_direct(int which, int lanes, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    double pixels = (double)p->n * p->oh * p->ow, k = (double)(p->c / p->groups) * p->kh * p->kw;
    (void)which;
    cost.multiplications = pixels * p->o * k;
    cost.memory = 4.0 * p->n * p->c * p->h * p->w;
    cost.cycles = cost.multiplications / (2 * lanes) / 0.8;
    return cost;
}

static inline tc_conv_cost tc_cost_winograd(int which, int type, int lanes, int m, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    (void)which; (void)lanes;
    if (p->kh != 3 || p->kw != 3) cost.why_not = "kernel is not 3x3";
    else if (p->sh != 1 || p->sw != 1) cost.why_not = "stride is not 1";
    else if (p->dh != 1 || p->dw != 1) cost.why_not = "dilation is not 1";
    else if (p->groups != 1) cost.why_not = "groups";
    else if (type != 0) cost.why_not = "float64: exact sums wanted";
    else if (p->n * p->c * p->h * p->w * p->o * p->oh * p->ow == 0) cost.why_not = "empty";
    cost.cycles = 1e30; (void)m;
    return cost;
}

/* Costs of all algorithms; `lanes` is the number of float32 or float64 in a vector of the level. */
static inline void tc_conv_costs(int which, int type, int lanes, const tc_conv_problem *p,
                                 tc_conv_cost costs[TC_ALGORITHMS]) {
    costs[TC_DIRECT] = tc_cost_direct(which, lanes, p);
    costs[TC_WINOGRAD_2] = tc_cost_winograd(which, type, lanes, 2, p);
    costs[TC_WINOGRAD_4] = tc_cost_winograd(which, type, lanes, 4, p);
}

/* `wish`: the algorithm to take if it can do the problem, for tests; -1: the cheapest. */
static inline int tc_conv_choose(int which, int type, int lanes, const tc_conv_problem *p, int wish) {
    tc_conv_cost costs[TC_ALGORITHMS];
    int best = TC_DIRECT;
    tc_conv_costs(which, type, lanes, p, costs);
    if (wish >= 0 && !costs[wish].why_not) return wish;
    for (int a = 0; a < TC_ALGORITHMS; a++)
        if (!costs[a].why_not && costs[a].cycles < costs[best].cycles) best = a;
    return best;
}
#endif
