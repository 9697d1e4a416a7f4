/* Which algorithm computes a convolution or one of its adjoints.
 *
 * Every algorithm states whether it can do a problem and what it would cost; the cheapest one that can is taken.  The
 * answer depends on the shape, the number type and the level alone, never on the number of threads, on the clock or on
 * the run: so the same program gives the same bits everywhere.
 *
 * A new algorithm is a line in the enumeration, its name, and its costs in tc_conv_costs; conv.pyx calls it.
 *
 * Costs are estimates in cycles of one core, fitted to measurements (AVX-512, 3 GHz) and good to about 30 %:
 *     arithmetic   multiplications / (2 * lanes), divided by the part of full speed that the inner loop reaches
 *     transforms   vectors of channels that are rearranged and combined, times cycles for each
 *     memory       bytes that go out of the cache of a core and come back, at TC_BYTES_PER_CYCLE
 */
#ifndef TC_CONV_CHOICE_H
#define TC_CONV_CHOICE_H
#include "conv_types.h"

enum { TC_CONV = 0, TC_CONV_INPUT = 1, TC_CONV_WEIGHT = 2, TC_CONV_FOLDED = 3 }; /* 3: as 1, by the algorithm TC_FOLD */
enum { TC_DIRECT, TC_WINOGRAD_2, TC_WINOGRAD_4, TC_PRODUCT, TC_FOLD, TC_ALGORITHMS };
static const char *const tc_algorithm_names[TC_ALGORITHMS] = {"direct", "winograd 2x2", "winograd 4x4", "product", "fold"};

typedef struct {
    const char *why_not;      /* NULL if the algorithm can do the problem */
    double multiplications;   /* of the matrix products; lanes that compute nothing are counted too */
    double memory;            /* bytes read and written outside of the cache: arrays, and scratch that is shared */
    double cycles;
} tc_conv_cost;

#define TC_BYTES_PER_CYCLE 8.0
#define TC_FOLD_MOST (1 << 18) /* numbers */
#define TC_START 3000.0       /* cycles to plan, to take scratch and to wake the threads, for every parallel region */

static inline double tc_round_up(tc_int n, int lanes) { return (double)((n + lanes - 1) / lanes * lanes); }

static inline double tc_conv_arrays(const tc_conv_problem *p) {
    return (double)p->n * p->c * p->h * p->w + (double)p->n * p->o * p->oh * p->ow;
}

/* The kernel is as large as the image, which it sees once: y is one pixel, a product of all numbers of an image. */
static inline int tc_conv_sees_all(const tc_conv_problem *p) {
    return p->kh == p->h && p->kw == p->w && !p->ph && !p->pw && (p->dh == 1 || p->kh == 1) && (p->dw == 1 || p->kw == 1);
}

static inline tc_conv_cost tc_cost_direct(int which, int type, int lanes, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    double k = (double)(p->c / p->groups) * p->kh * p->kw, number = type == 0 ? 4 : 8;
    cost.multiplications = (double)p->n * p->oh * p->ow * p->o * k;
    cost.memory = number * (tc_conv_arrays(p) + p->o * k);
    /* The adjoint in the input makes a padded copy of y for each phase of the stride, not just one. */
    double copies = which == TC_CONV_INPUT ? (double)(p->sh * p->sw - 1) * p->n * p->o * p->oh * p->ow : 0;
    /* It also looks at all taps from every pixel of x, those outside of y too; and one row alone is half of full speed. */
    if (which == TC_CONV_INPUT && !tc_conv_sees_all(p)) {
        cost.multiplications = (double)p->n * p->h * p->w / (double)(p->sh * p->sw) * p->o * k;
        if (p->c == p->groups) cost.multiplications *= 2;
    }
    cost.cycles = cost.multiplications / (2 * lanes) / (which == TC_CONV_WEIGHT ? 0.7 : 0.8) + copies +
                  cost.memory / TC_BYTES_PER_CYCLE + 2 * TC_START;
    /* There nothing that is packed is read a second time. */
    if (tc_conv_sees_all(p)) cost.cycles += (double)p->n * p->groups * k + p->o * k;
    return cost;
}

enum { TC_WINO_STRIDE = 2 };  /* at most */

/* Taps that a phase of the stride has, the same in both directions; 0 if they differ.  Four count as five, one of them 0. */
static inline tc_int tc_conv_taps(const tc_conv_problem *p) {
    tc_int high = (p->kh + p->sh - 1) / p->sh, wide = (p->kw + p->sw - 1) / p->sw;
    if (high == 4) high = 5;
    if (wide == 4) wide = 5;
    return high == wide ? high : 0;
}

/* F(m x m, r x r), m = 2 or 4 (winograd_impl.h). */
static inline tc_conv_cost tc_cost_winograd(int which, int type, int lanes, int m, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    tc_int r = tc_conv_taps(p);
    if (p->sh > TC_WINO_STRIDE || p->sw > TC_WINO_STRIDE) cost.why_not = "stride over 2";
    else if (r != 3 && r != (m == 4 ? 2 : 5)) cost.why_not = m == 4 ? "not 2x2 or 3x3 taps per phase of the stride"
                                                                    : "not 3x3 to 5x5 taps per phase of the stride";
    else if ((p->sh > 1 || p->sw > 1) && (p->dh > 1 || p->dw > 1)) cost.why_not = "stride and dilation";
    else if (p->groups != 1) cost.why_not = "groups not 1";
    else if (type != 0) cost.why_not = "not float32";
    else if (p->n * p->c * p->h * p->w * p->o * p->oh * p->ow == 0) cost.why_not = "nothing to compute";
    if (cost.why_not) return cost;
    /* The tiles cover the output of this function: y, or the phases of gx for the adjoint in the input. */
    tc_int in = which == TC_CONV_INPUT ? p->o : p->c, out = which == TC_CONV_INPUT ? p->c : p->o;
    tc_int high = which == TC_CONV_INPUT ? (p->h + p->sh - 1) / p->sh : p->oh;
    tc_int wide = which == TC_CONV_INPUT ? (p->w + p->sw - 1) / p->sw : p->ow;
    double phases = (double)(p->sh * p->sw), positions = (double)((m + r - 1) * (m + r - 1));
    tc_int tile_h = m * p->dh, tile_w = m * p->dw; /* a group of dh x dw tiles each */
    double tiles = (double)p->n * p->dh * p->dw * ((high + tile_h - 1) / tile_h) * ((wide + tile_w - 1) / tile_w);
    double groups = (phases * tc_round_up(in, lanes) + (which == TC_CONV_INPUT ? phases : 1) * tc_round_up(out, lanes)) / lanes;
    int weight_gradient = which == TC_CONV_WEIGHT;
    double transform = m == 4 ? r == 3 ? 300 : 150 : r == 3 ? 120 : weight_gradient ? 250 : 200;
    double weights = positions * phases * tc_round_up(in, lanes) * out;
    double pairs = phases * (weight_gradient ? tc_round_up(in, lanes) * out : in * tc_round_up(out, lanes));
    cost.multiplications = tiles * positions * pairs;
    cost.memory = 4.0 * (tc_conv_arrays(p) + weights);
    cost.cycles = cost.multiplications / (2 * lanes) / (weight_gradient ? 0.7 : 0.8) + tiles * groups * transform +
                  weights / lanes * 3 + cost.memory / TC_BYTES_PER_CYCLE + 3 * TC_START;
    return cost;
}

/* A kernel of one pixel: a matrix product for each image (gemm_impl.h), o x c by c x pixels; its adjoints are products
 * with the transposed weight, and the sum over images of o x pixels by pixels x c.  A kernel as large as the image: one
 * product for all of them, n x (c h w) by (c h w) x o. */
static inline tc_conv_cost tc_cost_product(int which, int type, int lanes, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    int all = tc_conv_sees_all(p);
    if (!all && (p->kh != 1 || p->kw != 1)) cost.why_not = "kernel neither 1x1 nor the whole image";
    else if (!all && (p->sh != 1 || p->sw != 1)) cost.why_not = "stride not 1";
    else if (p->ph || p->pw) cost.why_not = "padding not 0";
    else if (p->groups != 1) cost.why_not = "groups not 1";
    else if (p->n * p->c * p->h * p->w * p->o == 0) cost.why_not = "nothing to compute";
    if (cost.why_not) return cost;
    tc_int pixels = p->n * p->oh * p->ow, rows = which == TC_CONV ? p->o : p->c, k = p->c * p->kh * p->kw;
    double number = type == 0 ? 4 : 8, weights = (double)p->o * k, packed = 0;
    if (all) {
        /* Vectors run along k in the adjoints.  Forward along the longer side; the other operand is turned. */
        double forward = tc_round_up(p->n, lanes) * p->o, turned = tc_round_up(p->o, lanes) * p->n;
        cost.multiplications = which == TC_CONV ? (forward < turned ? forward : turned) * k
                                                : p->n * p->o * tc_round_up(k, lanes);
        if (p->n > 1 && p->o > 1) packed = 5 * tc_round_up(p->n < p->o ? p->n : p->o, lanes) / lanes * k;
    } else if (which == TC_CONV_WEIGHT) {
        cost.multiplications = pixels * p->o * tc_round_up(p->c, lanes);
        packed = 5 * pixels * tc_round_up(p->c, lanes) / lanes; /* transposed */
    } else {
        cost.multiplications = tc_round_up(pixels, lanes) * weights;
        if (rows > 14) packed = 2.5 * tc_round_up(pixels, lanes) / lanes * (weights / rows);
    }
    cost.memory = number * (tc_conv_arrays(p) + weights);
    cost.cycles = cost.multiplications / (2 * lanes) / 0.9 + packed + cost.memory / TC_BYTES_PER_CYCLE + TC_START;
    return cost;
}

/* The adjoint in the input as a product whose rows are (channel, tap), and the sum of its results (conv_fold_impl.h). */
static inline tc_conv_cost tc_cost_fold(int which, int type, int lanes, const tc_conv_problem *p) {
    tc_conv_cost cost = {NULL, 0, 0, 0};
    if (which != TC_CONV_INPUT) cost.why_not = "only for the gradient of the input";
    else if (p->c == p->groups && p->groups > 1) cost.why_not = "one channel per group";
    else if (p->n * p->c * p->h * p->w * p->o * p->oh * p->ow == 0) cost.why_not = "nothing to compute";
    else if (p->kh * p->kw * p->oh * p->ow > TC_FOLD_MOST) cost.why_not = "products of a channel do not fit into the cache";
    if (cost.why_not) return cost;
    double taps = (double)p->kh * p->kw, rows = (double)(p->c / p->groups) * taps, pixels = (double)p->n * p->oh * p->ow;
    double row_vectors = tc_round_up((p->w + p->sw - 1) / p->sw, lanes) / lanes;
    double vectors = (double)p->n * p->c * taps * p->h / p->sh * row_vectors;
    cost.multiplications = pixels * p->o * rows;
    cost.memory = (type == 0 ? 4 : 8) * (tc_conv_arrays(p) + p->o * rows);
    double stores = (p->sw == 1 ? 0.2 : p->sw == 2 ? 0.4 : 1.0) * p->n * p->c * p->h * p->w;
    cost.cycles = cost.multiplications / (2 * lanes) / 0.7 + pixels / lanes * (2 * p->o + 5 * p->groups * rows) +
                  2 * vectors + stores +
                  cost.memory / TC_BYTES_PER_CYCLE + 2 * TC_START;
    return cost;
}

/* Costs of all algorithms; `lanes` is the number of float32 or float64 in a vector of the level. */
static inline void tc_conv_costs(int which, int type, int lanes, const tc_conv_problem *p,
                                 tc_conv_cost costs[TC_ALGORITHMS]) {
    costs[TC_DIRECT] = tc_cost_direct(which, type, lanes, p);
    costs[TC_WINOGRAD_2] = tc_cost_winograd(which, type, lanes, 2, p);
    costs[TC_WINOGRAD_4] = tc_cost_winograd(which, type, lanes, 4, p);
    costs[TC_PRODUCT] = tc_cost_product(which, type, lanes, p);
    costs[TC_FOLD] = tc_cost_fold(which, type, lanes, p);
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
