/* Inner loops of the elementwise kernels, compiled once per instruction set and number type (see isa.h).
 *
 * A loop reads up to three operands and writes n numbers.  An operand is an array, or one number that serves all n:
 * bit k of `fixed` says that operand k is one number.  Outputs never overlap operands.
 */
#include "vmath_impl.h"

#ifndef TC_ELEMENTWISE_COMMON
#define TC_ELEMENTWISE_COMMON

typedef void (*tc_loop)(const char *const *in, char *out, ptrdiff_t n, int fixed);

enum {
    TC_ADD, TC_SUB, TC_MUL, TC_DIV, TC_POW, TC_MAXIMUM, TC_MINIMUM, TC_TANH_GRAD, TC_SIGMOID_GRAD, TC_RELU_GRAD,
    TC_EQ, TC_NE, TC_LT, TC_LE, TC_GT, TC_GE,
    TC_NEG, TC_ABS, TC_SIGN, TC_SQRT, TC_EXP, TC_LOG, TC_TANH, TC_SIGMOID, TC_RELU,
    TC_COPY, TC_SQUARE, TC_CUBE, TC_RECIPROCAL, TC_RSQRT, TC_RECIPROCAL_SQUARE, TC_LOGICAL_NOT,
    TC_WHERE, TC_CLAMP,
    TC_LOOPS
};

#define TC_MAP(expr)                    \
    _Pragma("omp simd")                 \
    for (ptrdiff_t i = 0; i < n; i++) { \
        expr                            \
    }

/* z[i] = value, an expression in a and b; TC_Z is the number type of z. */
#define TC_BINARY(name, TC_Z, value)                                                                     \
    static void TC_FN(name)(const char *const *in, char *out, ptrdiff_t n, int fixed) {                  \
        const TC_T *x = (const TC_T *)in[0], *y = (const TC_T *)in[1];                                   \
        TC_Z *restrict z = (TC_Z *)out;                                                                  \
        if (fixed == 0) {                                                                                \
            TC_MAP(const TC_T a = x[i]; const TC_T b = y[i]; z[i] = value;)                           \
        } else if (fixed == 2) {                                                                         \
            const TC_T b = *y;                                                                           \
            TC_MAP(const TC_T a = x[i]; z[i] = value;)                                                \
        } else if (fixed == 1) {                                                                         \
            const TC_T a = *x;                                                                           \
            TC_MAP(const TC_T b = y[i]; z[i] = value;)                                                \
        } else {                                                                                         \
            const TC_T a = *x, b = *y;                                                                   \
            TC_MAP(z[i] = value;)                                                                     \
        }                                                                                                \
    }

/* z[i] = value, an expression in a. */
#define TC_UNARY(name, TC_Z, value)                                                                      \
    static void TC_FN(name)(const char *const *in, char *out, ptrdiff_t n, int fixed) {                  \
        const TC_T *x = (const TC_T *)in[0];                                                             \
        TC_Z *restrict z = (TC_Z *)out;                                                                  \
        if (!fixed) {                                                                                    \
            TC_MAP(const TC_T a = x[i]; z[i] = value;)                                                \
        } else {                                                                                         \
            const TC_T a = *x;                                                                           \
            TC_MAP(z[i] = value;)                                                                     \
        }                                                                                                \
    }
#endif

TC_BINARY(add, TC_T, a + b)
TC_BINARY(sub, TC_T, a - b)
TC_BINARY(mul, TC_T, a * b)
TC_BINARY(div, TC_T, a / b)
TC_BINARY(maximum, TC_T, (a >= b || a != a) ? a : b)
TC_BINARY(minimum, TC_T, (a <= b || a != a) ? a : b)
TC_BINARY(tanh_grad, TC_T, a * (1 - b * b))
TC_BINARY(sigmoid_grad, TC_T, a * b * (1 - b))
TC_BINARY(relu_grad, TC_T, b <= 0 ? 0 : a)
TC_BINARY(eq, unsigned char, a == b)
TC_BINARY(ne, unsigned char, a != b)
TC_BINARY(lt, unsigned char, a < b)
TC_BINARY(le, unsigned char, a <= b)
TC_BINARY(gt, unsigned char, a > b)
TC_BINARY(ge, unsigned char, a >= b)
TC_BINARY(pow, TC_T, TC_FN(vpow)(a, b))
#if TC_TBYTES == 4
TC_UNARY(sqrt, TC_T, sqrtf(a))
TC_UNARY(rsqrt, TC_T, a == -INFINITY ? 0 : 1 / sqrtf(a + 0)) /* as pow: a + 0 because of -0 */
TC_UNARY(abs, TC_T, fabsf(a))
#else
TC_UNARY(sqrt, TC_T, sqrt(a))
TC_UNARY(rsqrt, TC_T, a == -INFINITY ? 0 : 1 / sqrt(a + 0))
TC_UNARY(abs, TC_T, fabs(a))
#endif
TC_UNARY(neg, TC_T, -a)
TC_UNARY(sign, TC_T, a > 0 ? 1 : a < 0 ? -1 : a * 0) /* a * 0: NaN stays, and so does the sign of zero */
TC_UNARY(exp, TC_T, TC_FN(vexp)(a))
TC_UNARY(log, TC_T, TC_FN(vlog)(a))
TC_UNARY(tanh, TC_T, TC_FN(vtanh)(a))
TC_UNARY(sigmoid, TC_T, TC_FN(vsigmoid)(a))
TC_UNARY(relu, TC_T, a < 0 ? 0 : a)
TC_UNARY(copy, TC_T, a)
TC_UNARY(square, TC_T, a * a)
TC_UNARY(cube, TC_T, a * a * a)
TC_UNARY(reciprocal, TC_T, 1 / a)
TC_UNARY(reciprocal_square, TC_T, 1 / (a * a))
TC_UNARY(logical_not, unsigned char, a == 0)

static void TC_FN(where)(const char *const *in, char *out, ptrdiff_t n, int fixed) {
    const unsigned char *c = (const unsigned char *)in[0];
    const TC_T *x = (const TC_T *)in[1], *y = (const TC_T *)in[2];
    TC_T *restrict z = (TC_T *)out;
    if (fixed & 1) { /* one condition for all: a copy of x or y */
        const TC_T *from = *c ? x : y;
        const ptrdiff_t step = !(fixed & (*c ? 2 : 4));
        for (ptrdiff_t i = 0; i < n; i++) z[i] = from[i * step];
    } else if (fixed == 0) {
        TC_MAP(const TC_T a = x[i]; const TC_T b = y[i]; z[i] = c[i] ? a : b;)
    } else if (fixed == 2) {
        const TC_T a = *x;
        TC_MAP(const TC_T b = y[i]; z[i] = c[i] ? a : b;)
    } else if (fixed == 4) {
        const TC_T b = *y;
        TC_MAP(const TC_T a = x[i]; z[i] = c[i] ? a : b;)
    } else {
        const TC_T a = *x, b = *y;
        TC_MAP(z[i] = c[i] ? a : b;)
    }
}

/* min(max(x, low), high): a NaN wins, and `high` where the bounds cross. */
TC_INLINE TC_T TC_FN(between)(TC_T a, TC_T low, TC_T high) {
    TC_T b = (low > a) | (low != low) ? low : a;
    return (high < b) | (high != high) ? high : b;
}
static void TC_FN(clamp)(const char *const *in, char *out, ptrdiff_t n, int fixed) {
    const TC_T *x = (const TC_T *)in[0], *low = (const TC_T *)in[1], *high = (const TC_T *)in[2];
    TC_T *restrict z = (TC_T *)out;
    if (fixed == 6 && *low == *low && *high == *high) {
        const TC_T least = *low, most = *high;
        TC_MAP(const TC_T a = least > x[i] ? least : x[i]; z[i] = most < a ? most : a;)
    } else if (fixed == 0) {
        TC_MAP(z[i] = TC_FN(between)(x[i], low[i], high[i]);)
    } else if (fixed == 2) {
        const TC_T least = *low;
        TC_MAP(z[i] = TC_FN(between)(x[i], least, high[i]);)
    } else if (fixed == 4) {
        const TC_T most = *high;
        TC_MAP(z[i] = TC_FN(between)(x[i], low[i], most);)
    } else { /* one x for all, or bounds that are NaN */
        const ptrdiff_t step = !(fixed & 1), below = !(fixed & 2), above = !(fixed & 4);
        for (ptrdiff_t i = 0; i < n; i++) z[i] = TC_FN(between)(x[i * step], low[i * below], high[i * above]);
    }
}

static const tc_loop TC_FN(tc_loops)[TC_LOOPS] = {
    TC_FN(add), TC_FN(sub), TC_FN(mul), TC_FN(div), TC_FN(pow), TC_FN(maximum), TC_FN(minimum), TC_FN(tanh_grad),
    TC_FN(sigmoid_grad), TC_FN(relu_grad), TC_FN(eq), TC_FN(ne), TC_FN(lt), TC_FN(le), TC_FN(gt), TC_FN(ge),
    TC_FN(neg), TC_FN(abs), TC_FN(sign), TC_FN(sqrt), TC_FN(exp), TC_FN(log), TC_FN(tanh), TC_FN(sigmoid),
    TC_FN(relu), TC_FN(copy), TC_FN(square), TC_FN(cube), TC_FN(reciprocal), TC_FN(rsqrt), TC_FN(reciprocal_square),
    TC_FN(logical_not), TC_FN(where), TC_FN(clamp),
};
