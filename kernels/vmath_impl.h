/* exp, log, tanh, sigmoid and pow as branch-free scalar C, for TC_IMPL headers (see isa.h): TC_FN(vexp)(x) and so on.
 *
 * Loops over them under `#pragma omp simd` are vectorised at every level: the conditionals become masks, which GCC's
 * own vector types cannot express in C without a detour.  Nothing here relies on -ffast-math; NaN, infinities, signed
 * zeros and denormals come out as in libm.
 *
 * float: range reduction and polynomials of the Cephes library (S. Moshier, single/expf.c, logf.c, tanhf.c).  Largest
 * error against long double, over every 997th float: exp 0.98, log 0.76, tanh 1.30, sigmoid 2.18, pow 0.51 ulp.
 * double: the series of exp, the logarithm of fdlibm, tanh of Cephes (double/tanh.c); pow is one libm call per element.
 * Largest error over 2e6 random arguments: exp 0.98, log 0.81, tanh 1.32, sigmoid 2.27 ulp.
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

/* e^r - 1, where e^(x - less) = 2^k e^r with k = round(x / ln 2), |r| <= ln(2) / 2.  `less` is small: what x lost when it
 * was rounded. */
TC_INLINE float TC_FN(vexp_reduced)(float x, float less, int32_t *k) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
    float t = x * 1.44269504088896341f + magic;
    float n = t - magic;
    *k = TC_FN(vbits)(t) - 0x4B400000;
    float r = x - n * 0.693359375f; /* exact: the constant has 9 bits */
    r = r - n * -2.12194440e-4f - less;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r;
}

/* 2^k is applied in two steps, so that k from -150 to 128 passes through without overflow of the exponent and denormals
 * are rounded once. */
TC_INLINE float TC_FN(vexp)(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c; /* both comparisons are false for NaN, which so runs through the polynomial */
    int32_t k;
    float p = TC_FN(vexp_reduced)(c, 0.0f, &k) + 1.0f;
    int32_t half = k >> 1;
    return p * TC_FN(vfloat)((half + 127) << 23) * TC_FN(vfloat)((k - half + 127) << 23);
}
/* e^(x - less) for |x| < 86 without the care for overflow and denormals. */
TC_INLINE float TC_FN(vexp_inside)(float x, float less) {
    int32_t k;
    float p = TC_FN(vexp_reduced)(x, less, &k) + 1.0f;
    return p * TC_FN(vfloat)((k + 127) << 23);
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
    float q = 1.0f - 2.0f / (TC_FN(vexp_inside)(a > 20.0f ? 40.0f : 2.0f * a, 0.0f) + 1.0f);
    return copysignf(a < 0.625f ? p : q, x);
}

/* 2^t = 2^n e^(r ln 2), |r| <= 1/2, in double with an error of about 1e-10, for results to be rounded to float; |t| < 1000. */
TC_INLINE double TC_FN(vtwo_to)(double t) {
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
    return q * scale.f;
}

/* x^y = 2^(y log2 |x|) in double, with an error of about 1e-10: the result is rounded once, to float.
 * log2 |x| = e + 2 / ln 2 * artanh(s), s = f / (2 + f) for |x| = 2^e (1 + f). */
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
    float m = (float)TC_FN(vtwo_to)(t);
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

TC_INLINE int64_t TC_FN(vbits)(double x) {
    union { double f; int64_t i; } u = {.f = x};
    return u.i;
}
TC_INLINE double TC_FN(vfloat)(int64_t i) {
    union { int64_t i; double f; } u = {.i = i};
    return u.f;
}

/* As for float; the series of e^r to r^13, whose rest is below 2^-57.  Shifts are logical: AVX2 has no other for int64. */
TC_INLINE double TC_FN(vexp_reduced)(double x, double less, int64_t *k) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    double t = x * 1.44269504088896340736 + magic;
    double n = t - magic;
    *k = TC_FN(vbits)(t) - 0x4338000000000000;
    double r = x - n * 6.93147180369123816490e-01; /* exact: the constant has 33 bits */
    r = r - n * 1.90821492927058770002e-10 - less;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * (r * r) + r;
}

TC_INLINE double TC_FN(vexp)(double x) {
    double c = x < -746.0 ? -746.0 : x;
    c = c > 710.0 ? 710.0 : c;
    int64_t k;
    double p = TC_FN(vexp_reduced)(c, 0.0, &k) + 1.0;
    int64_t half = (int64_t)((uint64_t)(k + 4096) >> 1) - 2048;
    return p * TC_FN(vfloat)((half + 1023) << 52) * TC_FN(vfloat)((k - half + 1023) << 52);
}
TC_INLINE double TC_FN(vexp_inside)(double x, double less) { /* |x| < 700 */
    int64_t k;
    double p = TC_FN(vexp_reduced)(x, less, &k) + 1.0;
    return p * TC_FN(vfloat)((k + 1023) << 52);
}

/* The method and the polynomial of fdlibm (e_log.c): ln(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f / (2 + f). */
TC_INLINE double TC_FN(vlog)(double x) {
    const int64_t root = 0x3FE6A09E667F3BCD; /* bits of sqrt(1/2) */
    int small = x < 2.2250738585072014e-308;
    double scaled = small ? x * 18014398509481984.0 : x; /* 2^54 */
    int64_t u = TC_FN(vbits)(scaled) - root;
    /* u >> 52 as a number, by way of the mantissa of 2^52: AVX2 does not convert int64 */
    int64_t biased = (int64_t)((uint64_t)(u + 0x4000000000000000) >> 52);
    double e = TC_FN(vfloat)(biased | 0x4330000000000000) - (4503599627370496.0 + 1024.0);
    e = small ? e - 54.0 : e;
    double f = TC_FN(vfloat)((u & 0xFFFFFFFFFFFFF) + root) - 1.0;
    double s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double p = 1.479819860511658591e-01;
    p = p * z + 1.531383769920937332e-01;
    p = p * z + 1.818357216161805012e-01;
    p = p * z + 2.222219843214978396e-01;
    p = p * z + 2.857142874366239149e-01;
    p = p * z + 3.999999999940941908e-01;
    p = p * z + 6.666666666666735130e-01;
    p = p * z;
    double r = e * 6.93147180369123816490e-01 - ((h - (s * (h + p) + e * 1.90821492927058770002e-10)) - f);
    r = x > 1.7976931348623157e308 ? x : r;
    r = x == 0.0 ? -INFINITY : r;
    r = x < 0.0 ? NAN : r;
    return x != x ? x : r;
}

TC_INLINE double TC_FN(vpow)(double x, double y) { return pow(x, y); }

TC_INLINE double TC_FN(vsigmoid)(double x) {
    double e = TC_FN(vexp)(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

/* As for float, with the rational function of Cephes (double/tanh.c) near zero. */
TC_INLINE double TC_FN(vtanh)(double x) {
    double a = fabs(x), z = a * a;
    double p = -9.64399179425052238628e-1;
    p = p * z - 9.92877231001918586564e1;
    p = p * z - 1.61468768441708447952e3;
    double q = z + 1.12811678491632931402e2;
    q = q * z + 2.23548839060100448583e3;
    q = q * z + 4.84406305325125486048e3;
    double near = a + a * z * (p / q);
    double far = 1.0 - 2.0 / (TC_FN(vexp_inside)(a > 20.0 ? 40.0 : 2.0 * a, 0.0) + 1.0);
    return copysign(a < 0.625 ? near : far, x);
}
#endif
