/* Loops of the activation functions and their gradients, compiled once per instruction set and number type (see isa.h).
 *
 * TC_ACTIVATION(name, value, slope) makes two loops of two expressions: `value` is y in terms of x, `slope` is dy/dx;
 * p[0], p[1], ... are the arguments of the function.  Conditionals become masks, so that all of it runs in vectors.
 */
#include "vspecial_impl.h"

#ifndef TC_ACTIVATION
/* g is NULL for the forward loop. */
typedef void (*tc_activation_loop)(const void *x, const void *g, void *y, ptrdiff_t n, const double *arguments);

enum {
    TC_GELU, TC_GELU_TANH, TC_SILU, TC_SOFTPLUS, TC_ELU, TC_MISH, TC_HARDSWISH, TC_HARDSIGMOID, TC_SOFTSIGN, TC_PIECEWISE,
    TC_ACTIVATIONS
};
enum { TC_MAX_ARGUMENTS = 8 };

#define TC_ACTIVATION_LOOP(name, body)                                                                         \
    static void TC_FN(name)(const void *xs, const void *gs, void *ys, ptrdiff_t n, const double *arguments) { \
        const TC_T *px = (const TC_T *)xs, *pg = (const TC_T *)gs;                                            \
        TC_T *restrict py = (TC_T *)ys, p[TC_MAX_ARGUMENTS];                                                  \
        for (int k = 0; k < TC_MAX_ARGUMENTS; k++) p[k] = (TC_T)arguments[k];                                 \
        (void)pg, (void)p[0];                                                                                 \
        _Pragma("omp simd")                                                                                   \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                   \
            const TC_T x = px[i];                                                                             \
            py[i] = body;                                                                                     \
        }                                                                                                     \
    }
#define TC_ACTIVATION(name, value, slope)                \
    TC_ACTIVATION_LOOP(name, value)                      \
    TC_ACTIVATION_LOOP(name##_grad, pg[i] * (slope))
#endif

TC_INLINE TC_T TC_FN(gelu_of)(TC_T x) { return x * TC_FN(vnormal)(x, TC_FN(vbell)(x < 0 ? -x : x)); }
TC_INLINE TC_T TC_FN(gelu_slope)(TC_T x) {
    TC_T bell = TC_FN(vbell)(x < 0 ? -x : x);
    return TC_FN(vnormal)(x, bell) + x * (TC_T)0.398942280401432677940 * bell;
}

/* (1 + tanh u) / 2 = sigmoid(2u) */
#define TC_KAPPA ((TC_T)1.5957691216057307117598) /* 2 sqrt(2 / pi) */
TC_INLINE TC_T TC_FN(gelu_tanh_of)(TC_T x) {
    return x * TC_FN(vsigmoid)(TC_KAPPA * (x + (TC_T)0.044715 * x * x * x));
}
TC_INLINE TC_T TC_FN(gelu_tanh_slope)(TC_T x) {
    TC_T z = x * x, s = TC_FN(vsigmoid)(TC_KAPPA * (x + (TC_T)0.044715 * x * z));
    return s + x * s * (1 - s) * TC_KAPPA * (1 + (TC_T)0.134145 * z);
}

TC_INLINE TC_T TC_FN(silu_slope)(TC_T x) {
    TC_T s = TC_FN(vsigmoid)(x);
    return s * (1 + x * (1 - s));
}

TC_INLINE TC_T TC_FN(softplus_of)(TC_T x, TC_T beta, TC_T threshold) {
    TC_T z = x * beta, a = z < 0 ? -z : z;
    TC_T y = ((z > 0 ? z : 0) + TC_FN(vlog1p_unit)(TC_FN(vexp)(-a))) / beta;
    return z != z || z > threshold ? x : y;
}

/* x tanh(ln(1 + w)) with w = e^x: tanh = m / (m + 2) with m = w (w + 2); 1 for large x, where m would overflow. */
TC_INLINE TC_T TC_FN(mish_of)(TC_T x) {
    TC_T w = TC_FN(vexp)(x > 40 ? 40 : x), m = w * (w + 2);
    return x * (m / (m + 2));
}
TC_INLINE TC_T TC_FN(mish_slope)(TC_T x) {
    TC_T c = x > 40 ? 40 : x, w = TC_FN(vexp)(c), m = w * (w + 2), r = 1 / (m + 2);
    return m * r + c * 4 * (w * r) * ((w + 1) * r);
}

/* Three straight lines: slope p[2], offset p[3] up to p[0]; p[4], p[5] in between; p[6], p[7] from p[1] on.  A flat piece
 * is constant also at infinity. */
TC_INLINE TC_T TC_FN(line)(TC_T x, TC_T slope, TC_T offset) { return (slope == 0 ? 0 : x * slope) + offset; }
TC_INLINE TC_T TC_FN(piecewise_of)(TC_T x, const TC_T *p) {
    TC_T low = TC_FN(line)(x, p[2], p[3]), high = TC_FN(line)(x, p[6], p[7]);
    TC_T y = x >= p[1] ? high : x * p[4] + p[5];
    return x <= p[0] ? low : y;
}

TC_ACTIVATION(gelu, TC_FN(gelu_of)(x), TC_FN(gelu_slope)(x))
TC_ACTIVATION(gelu_tanh, TC_FN(gelu_tanh_of)(x), TC_FN(gelu_tanh_slope)(x))
TC_ACTIVATION(silu, x * TC_FN(vsigmoid)(x), TC_FN(silu_slope)(x))
TC_ACTIVATION(softplus, TC_FN(softplus_of)(x, p[0], p[1]), x * p[0] > p[1] ? 1 : TC_FN(vsigmoid)(x * p[0]))
TC_ACTIVATION(elu, x > 0 ? x * p[1] : TC_FN(vexpm1)(x * p[2]) * (p[1] * p[0]),
              x > 0 ? p[1] : TC_FN(vexp)(x * p[2]) * (p[1] * p[0] * p[2]))
TC_ACTIVATION(mish, TC_FN(mish_of)(x), TC_FN(mish_slope)(x))
TC_ACTIVATION(hardswish, x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6, x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + (TC_T)0.5)
TC_ACTIVATION(hardsigmoid, x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6, x <= -3 || x >= 3 ? 0 : (TC_T)(1.0 / 6))
TC_ACTIVATION(softsign, x / (1 + (x < 0 ? -x : x)), 1 / ((1 + (x < 0 ? -x : x)) * (1 + (x < 0 ? -x : x))))
TC_ACTIVATION(piecewise, TC_FN(piecewise_of)(x, p), x <= p[0] ? p[2] : x >= p[1] ? p[6] : p[4])
#undef TC_KAPPA

static const tc_activation_loop TC_FN(tc_activations)[2][TC_ACTIVATIONS] = {
    {TC_FN(gelu), TC_FN(gelu_tanh), TC_FN(silu), TC_FN(softplus), TC_FN(elu), TC_FN(mish), TC_FN(hardswish),
     TC_FN(hardsigmoid), TC_FN(softsign), TC_FN(piecewise)},
    {TC_FN(gelu_grad), TC_FN(gelu_tanh_grad), TC_FN(silu_grad), TC_FN(softplus_grad), TC_FN(elu_grad), TC_FN(mish_grad),
     TC_FN(hardswish_grad), TC_FN(hardsigmoid_grad), TC_FN(softsign_grad), TC_FN(piecewise_grad)},
};
