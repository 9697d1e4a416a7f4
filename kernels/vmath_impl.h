/* exp, log, tanh, sigmoid and pow as branch-free scalar C, for TC_IMPL headers (see isa.h): TC_FN(vexp)(x) and so on.
 *
 * Loops over them under `#pragma omp simd` are vectorised at every level: the conditionals become masks, which GCC's
 * own vector types cannot express in C without a detour.  Nothing here relies on -ffast-math; NaN, infinities, signed
 * zeros and denormals come out as in libm.
 *
 * float: range reduction and polynomials of the Cephes library (S. Moshier, single/expf.c, logf.c, tanhf.c).  Largest
 * error against long double, over every 997th float: exp 0.98, log 0.76, tanh 1.25, sigmoid 2.18, pow 0.51 ulp.
 * double: libm, for now one call per element; float64 is for checking gradients.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if TC_TBYTES == 4

TC_INLINE int32_t TC_FN(vbits)(float x) {
    union { float f; int32_t i; } u = {.f = x};
    return u.i;
}
TC_INLINE float TC_FN(vfloat)(int32_t i) {
    union { int32_t i; float f; } u = {.i = i};
    return u.f;
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2) / 2.  2^n is applied in two steps, so that n from -150 to 128
 * passes through without overflow of the exponent and denormals are rounded once. */
TC_INLINE float TC_FN(vexp)(float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c; /* both comparisons are false for NaN, which so runs through the polynomial */
    float t = c * 1.44269504088896341f + magic;
    float n = t - magic;
    int32_t k = TC_FN(vbits)(t) - 0x4B400000;
    float r = c - n * 0.693359375f; /* exact: the constant has 9 bits */
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t half = k >> 1;
    return p * TC_FN(vfloat)((half + 127) << 23) * TC_FN(vfloat)((k - half + 127) << 23);
}

/* ln x = e ln 2 + ln(1 + f) with x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2). */
TC_INLINE float TC_FN(vlog)(float x) {
    const int32_t root = 0x3F3504F3; /* bits of sqrt(1/2) */
    int small = x < 1.17549435e-38f; /* denormal, zero or negative */
    float s = small ? x * 8388608.0f : x;
    int32_t u = TC_FN(vbits)(s) - root;
    float e = (float)((u >> 23) - (small ? 23 : 0));
    float f = TC_FN(vfloat)((u & 0x7FFFFF) + root) - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * z;
    p = p + e * -2.12194440e-4f;
    p = p - 0.5f * z;
    float r = f + p + e * 0.693359375f;
    r = x > 3.40282347e38f ? x : r;
    r = x == 0.0f ? -INFINITY : r;
    r = x < 0.0f ? NAN : r;
    return x != x ? x : r;
}

TC_INLINE float TC_FN(vsigmoid)(float x) {
    float e = TC_FN(vexp)(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* An odd polynomial near zero, 1 - 2 / (e^2|x| + 1) elsewhere; the sign goes on last, so that -0 stays -0. */
TC_INLINE float TC_FN(vtanh)(float x) {
    float a = fabsf(x), z = a * a;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    p = p * z * a + a;
    float q = 1.0f - 2.0f / (TC_FN(vexp)(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? p : q, x);
}

/* x^y = 2^(y log2 |x|) in double, with an error of about 1e-10: the result is rounded once, to float.
 * log2 |x| = e + 2 / ln 2 * artanh(s), s = f / (2 + f) for |x| = 2^e (1 + f); 2^t = 2^n e^(r ln 2), |r| <= 1/2. */
TC_INLINE float TC_FN(vpow)(float x, float y) {
    const int32_t root = 0x3F3504F3;
    float a = fabsf(x);
    int small = a < 1.17549435e-38f;
    int32_t u = TC_FN(vbits)(small ? a * 8388608.0f : a) - root;
    double f = (double)TC_FN(vfloat)((u & 0x7FFFFF) + root) - 1.0;
    double s = f / (2.0 + f), z = s * s;
    double p = 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    p = p * z + 1.0;
    double lg = p * s * 2.885390081777926815 + (double)((u >> 23) - (small ? 23 : 0));
    lg = a == 0.0f ? -(double)INFINITY : lg;
    lg = a > 3.40282347e38f ? (double)INFINITY : lg;
    double t = (double)y * lg;
    t = t < -200.0 ? -200.0 : t;
    t = t > 200.0 ? 200.0 : t;
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    double shifted = t + magic, r = (t - (shifted - magic)) * 0.693147180559945309;
    union { double f; int64_t i; } bits = {.f = shifted};
    int64_t n = bits.i - 0x4338000000000000;
    double q = 1.0 / 40320;
    q = q * r + 1.0 / 5040;
    q = q * r + 1.0 / 720;
    q = q * r + 1.0 / 120;
    q = q * r + 1.0 / 24;
    q = q * r + 1.0 / 6;
    q = q * r + 0.5;
    q = q * r + 1.0;
    q = q * r + 1.0;
    union { int64_t i; double f; } scale = {.i = (n + 1023) << 52};
    float m = (float)(q * scale.f);
    m = a == 1.0f ? 1.0f : m; /* also to the power of infinity */
    m = x != x || y != y ? x + y : m;
    /* the sign: is |y| whole, and odd?  Compared as bits; floats from 2^24 on are even */
    int32_t size = TC_FN(vbits)(y) & 0x7FFFFFFF;
    float c = TC_FN(vfloat)(size < 0x4C000000 ? size : 0x4C000000);
    int32_t whole = (int32_t)c;
    float fraction = c - (float)whole;
    int32_t odd = fraction == 0.0f ? whole : 0;
    m = TC_FN(vfloat)(TC_FN(vbits)(m) ^ (int32_t)((uint32_t)odd << 31 & (uint32_t)TC_FN(vbits)(x)));
    float low = a > 3.40282347e38f ? 0.0f : x;
    m = low < 0.0f && fraction != 0.0f ? NAN : m;
    m = y == 0.0f ? 1.0f : m;
    return x == 1.0f ? 1.0f : m;
}

#else

TC_INLINE double TC_FN(vexp)(double x) { return exp(x); }
TC_INLINE double TC_FN(vlog)(double x) { return log(x); }
TC_INLINE double TC_FN(vpow)(double x, double y) { return pow(x, y); }
TC_INLINE double TC_FN(vtanh)(double x) { return tanh(x); }
TC_INLINE double TC_FN(vsigmoid)(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

#endif
