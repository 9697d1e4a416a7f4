/* Functions of each number: loops of special_impl.h, loops that NumPy lends, and slow ones; cut into pieces of a fixed size. */
#pragma once
#include <math.h>
#include <stddef.h>
#include "tc_omp.h"

#define TC_IMPL "special_impl.h"
#include "isa.h"

enum { TC_FUNCTION_PIECE = 8192 /* elements of one task */, TC_MOST_OPERANDS = 3 };

static const tc_special_loops *const tc_specials_by[2][TC_LEVELS] = {TC_PER_LEVEL(tc_specials, f32),
                                                                     TC_PER_LEVEL(tc_specials, f64)};

/* y = erf x for n numbers of `item` bytes. */
static void tc_erf(int level, ptrdiff_t item, const char *x, char *y, ptrdiff_t n, int threads) {
    const tc_special_loops *f = tc_specials_by[item == 8][level];
    const ptrdiff_t tasks = tc_ceil_div(n, TC_FUNCTION_PIECE);
    TC_EACH(threads, t, tasks,
            f->erf(x + t * TC_FUNCTION_PIECE * item, y + t * TC_FUNCTION_PIECE * item,
                   tc_min(TC_FUNCTION_PIECE, n - t * TC_FUNCTION_PIECE)));
}

static void tc_erfc(int level, const float *x, float *y, ptrdiff_t n, int threads) {
    const tc_special_loops *f = tc_specials_by[0][level];
    TC_EACH(threads, t, tc_ceil_div(n, TC_FUNCTION_PIECE),
            f->erfc(x + t * TC_FUNCTION_PIECE, y + t * TC_FUNCTION_PIECE, tc_min(TC_FUNCTION_PIECE, n - t * TC_FUNCTION_PIECE)));
}

/* Rows [row, stop) of x (rows, 2, run): halves a and b; y (rows, run), or with g of that shape the gradient in x's shape. */
static void tc_gate_rows(const tc_special_loops *f, ptrdiff_t bytes, const char *x, const char *g, char *y, ptrdiff_t row,
                         ptrdiff_t stop, ptrdiff_t run) {
    for (; row < stop; row++) {
        const char *a = x + 2 * row * bytes;
        if (g)
            f->gate_grad(g + row * bytes, a, a + bytes, y + 2 * row * bytes, y + (2 * row + 1) * bytes, run);
        else
            f->gate(a, a + bytes, y + row * bytes, run);
    }
}

static void tc_gate(int level, ptrdiff_t item, const char *x, const char *g, char *y, ptrdiff_t rows, ptrdiff_t run,
                    int threads) {
    const tc_special_loops *f = tc_specials_by[item == 8][level];
    const ptrdiff_t group = tc_max(1, TC_FUNCTION_PIECE / tc_max(1, run)), tasks = tc_ceil_div(rows, group);
    TC_EACH(threads, t, tasks, tc_gate_rows(f, run * item, x, g, y, t * group, tc_min(rows, (t + 1) * group), run));
}

/* An inner loop of a NumPy ufunc: operands, count, bytes from one element to the next.  It needs no GIL. */
typedef void (*tc_ufunc_loop)(char **operands, ptrdiff_t *count, ptrdiff_t *steps, void *data);

static void tc_ufunc_piece(tc_ufunc_loop loop, void *data, int count, char *const *operands, const ptrdiff_t *steps,
                           ptrdiff_t from, ptrdiff_t n) {
    char *here[TC_MOST_OPERANDS];
    ptrdiff_t own[TC_MOST_OPERANDS];
    for (int k = 0; k < count; k++) {
        here[k] = operands[k] + from * steps[k];
        own[k] = steps[k];
    }
    loop(here, &n, own, data);
}

static void tc_ufunc(tc_ufunc_loop loop, void *data, int count, char *const *operands, const ptrdiff_t *steps, ptrdiff_t n,
                     int threads) {
    const ptrdiff_t tasks = tc_ceil_div(n, TC_FUNCTION_PIECE);
    TC_EACH(threads, t, tasks,
            tc_ufunc_piece(loop, data, count, operands, steps, t * TC_FUNCTION_PIECE,
                           tc_min(TC_FUNCTION_PIECE, n - t * TC_FUNCTION_PIECE)));
}

/* ---- functions without vectors, in double: one piece of code for both types, all levels */

enum { TC_LGAMMA, TC_DIGAMMA, TC_ERFC, TC_ERFINV };

/* The derivative of ln Gamma: reflection below 1/2, up by psi(x) = psi(x + 1) - 1 / x, then the asymptotic series (DLMF
 * 5.5.4, 5.5.2, 5.11.2). */
static double tc_digamma(double x) {
    double y = 0, z = x;
    if (x != x || x == INFINITY) return x;
    if (x == 0) return copysign(INFINITY, -x);
    if (x < 0.5) {
        const double turn = x - rint(x);
        if (turn == 0 || x == -INFINITY) return NAN;
        z = 1 - x;
        y = -3.14159265358979323846 / tan(3.14159265358979323846 * turn);
    }
    for (; z < 10; z += 1) y -= 1 / z;
    double square = 1 / (z * z), p = 1.0 / 12;
    p = p * square - 691.0 / 32760;
    p = p * square + 1.0 / 132;
    p = p * square - 1.0 / 240;
    p = p * square + 1.0 / 252;
    p = p * square - 1.0 / 120;
    p = p * square + 1.0 / 12;
    return y + (log(z) - 0.5 / z - p * square);
}

/* PPND16 of Wichura, Applied Statistics 37 (1988): coefficients of numerators and denominators, the highest power first. */
static const double tc_quantile[3][2][8] = {
    {{2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
      1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080},
     {5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
      5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1}},
    {{7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
      3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734},
     {1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
      6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1}},
    {{2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
      2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720},
     {2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
      1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1}},
};

static double tc_quantile_ratio(int part, double r) {
    double n = tc_quantile[part][0][0], d = tc_quantile[part][1][0];
    for (int k = 1; k < 8; k++) {
        n = n * r + tc_quantile[part][0][k];
        d = d * r + tc_quantile[part][1][k];
    }
    return n / d;
}

/* sqrt(2) erfinv x is the normal quantile of (1 + x) / 2: x / 2 and (1 - |x|) / 2 are exact where they are needed. */
static double tc_erfinv(double x) {
    const double a = fabs(x), q = 0.5 * x;
    if (!(a < 1)) return a == 1 ? x * INFINITY : NAN;
    if (a <= 0.85) return q * tc_quantile_ratio(0, 0.180625 - q * q) * 0.70710678118654752440;
    const double depth = sqrt(-log(0.5 * (1 - a)));
    const double y = depth <= 5 ? tc_quantile_ratio(1, depth - 1.6) : tc_quantile_ratio(2, depth - 5);
    return copysign(y, x) * 0.70710678118654752440;
}

static double tc_slow_value(int which, double x) {
    int sign;
    switch (which) {
    case TC_LGAMMA: return lgamma_r(x, &sign); /* lgamma would write the sign to a variable that all threads share */
    case TC_DIGAMMA: return tc_digamma(x);
    case TC_ERFC: return erfc(x);
    default: return tc_erfinv(x);
    }
}

static void tc_slow_piece(int which, ptrdiff_t item, const char *x, char *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const double result = tc_slow_value(which, item == 4 ? ((const float *)x)[i] : ((const double *)x)[i]);
        if (item == 4)
            ((float *)y)[i] = (float)result;
        else
            ((double *)y)[i] = result;
    }
}

static void tc_slow(int which, ptrdiff_t item, const char *x, char *y, ptrdiff_t n, int threads) {
    enum { PIECE = 512 };
    TC_EACH(threads, t, tc_ceil_div(n, PIECE),
            tc_slow_piece(which, item, x + t * PIECE * item, y + t * PIECE * item, tc_min(PIECE, n - t * PIECE)));
}
