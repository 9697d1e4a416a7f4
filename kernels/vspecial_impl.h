/* expm1, log1p and the normal distribution as branch-free scalar C beside vmath_impl.h: the same rules hold.
 *
 * The tail of the normal distribution, Q(a) = 1 - Phi(a) for a >= 0, is e^(-a^2/2) times a slowly varying function, which
 * is t times a polynomial in t (or 1 - 2t) with t = 1 / (1 + c a) (Shepherd and Laframboise 1981, Math. Comp. 36, 249): small
 * relative error however far out.  a^2 is cut in two, high^2 + (a - high)(a + high) with a square that is exact: rounded,
 * it would cost a^2 / 2 units in the last place.  The polynomials are interpolations in Chebyshev nodes.
 * Largest error over 2e6 random arguments, float: x Phi(x) 6.4 ulp (x > -12), expm1 0.9; double: x Phi(x) 4.0, expm1 1.2 ulp.
 */
#include "vmath_impl.h"

#if TC_TBYTES == 4

/* e^x - 1 = 2^k (e^r - 1) + (2^k - 1); halves of everything, because 2^128 is no float. */
TC_INLINE float TC_FN(vexpm1)(float x) {
    float c = x < -25.0f ? -25.0f : x;
    c = c > 89.0f ? 89.0f : c;
    int32_t k;
    float p = TC_FN(vexp_reduced)(c, 0.0f, &k), half = TC_FN(vfloat)((k + 126) << 23);
    float y = 2.0f * (p * half + (half - 0.5f));
    return x == 0.0f ? x : y; /* the sign of zero */
}

/* ln(1 + x) for x in [0, 1]: 2 artanh(s), s = x / (2 + x). */
TC_INLINE float TC_FN(vlog1p_unit)(float x) {
    float s = x / (2.0f + x), z = s * s;
    float p = 0.12196954042f;
    p = p * z + 0.10699280253f;
    p = p * z + 0.14310103704f;
    p = p * z + 0.19999355623f;
    p = p * z + 0.33333339513f;
    return 2.0f * (p * z * s + s);
}

/* t * polynomial = e^(a^2/2) Q(a). */
TC_INLINE float TC_FN(vmills)(float a) {
    float t = 1.0f / (1.0f + 0.32f * a);
    float p = -0.021623132364f;
    p = p * t + 0.097935215310f;
    p = p * t - 0.15160769516f;
    p = p * t + 0.070468261299f;
    p = p * t - 0.012533999246f;
    p = p * t + 0.059799326217f;
    p = p * t + 0.087593530370f;
    p = p * t + 0.11464702820f;
    p = p * t + 0.12765991009f;
    p = p * t + 0.12766153769f;
    return p * t;
}
TC_INLINE float TC_FN(vhigh)(float a) { return TC_FN(vfloat)(TC_FN(vbits)(a) & (int32_t)0xFFFFF000); }

#define TC_FAR 13 /* Q counts as 0 from here on: below, vexp_inside would not do */

#else

TC_INLINE double TC_FN(vexpm1)(double x) {
    double c = x < -50.0 ? -50.0 : x;
    c = c > 710.0 ? 710.0 : c;
    int64_t k;
    double p = TC_FN(vexp_reduced)(c, 0.0, &k), half = TC_FN(vfloat)((k + 1022) << 52);
    double y = 2.0 * (p * half + (half - 0.5));
    return x == 0.0 ? x : y;
}

TC_INLINE double TC_FN(vlog1p_unit)(double x) {
    double s = x / (2.0 + x), z = s * s;
    double p = 0.082441429656947843109;
    p = p * z + 0.034901952491662160103;
    p = p * z + 0.054883083189737470326;
    p = p * z + 0.058576373340552126418;
    p = p * z + 0.066684384078719176769;
    p = p * z + 0.076922235302299837772;
    p = p * z + 0.090909117112476262459;
    p = p * z + 0.11111111059551837201;
    p = p * z + 0.14285714286311463983;
    p = p * z + 0.19999999999996433380;
    p = p * z + 0.33333333333333341662;
    return 2.0 * (p * z * s + s);
}

TC_INLINE double TC_FN(vmills)(double a) {
    double t = 1.0 / (1.0 + 0.3 * a), u = 1.0 - 2.0 * t;
    double p = 7.9391858272045776705e-10;
    p = p * u + 9.0040375234276731001e-10;
    p = p * u - 6.1659460874129146828e-9;
    p = p * u - 1.0771100110430105626e-8;
    p = p * u + 1.8318519208967358903e-8;
    p = p * u + 6.3212584306011808785e-8;
    p = p * u + 7.1058604818073620646e-9;
    p = p * u - 2.3448323343848944795e-7;
    p = p * u - 3.5245701951087940384e-7;
    p = p * u + 5.2033784079687792316e-7;
    p = p * u + 2.2491845993139868275e-6;
    p = p * u + 2.4382180299316768899e-7;
    p = p * u - 0.000010731111583026426666;
    p = p * u - 0.000011125381225620362703;
    p = p * u + 0.000049746315995801624466;
    p = p * u + 0.000090139887935429293318;
    p = p * u - 0.00028363691192147691032;
    p = p * u - 0.00057564251302192994269;
    p = p * u + 0.0024238965476634359429;
    p = p * u + 0.0018171357953306529209;
    p = p * u - 0.027760365473708853328;
    p = p * u + 0.086549637418465284015;
    p = p * u - 0.16457948408616294745;
    p = p * u + 0.22197061383443278445;
    return p * t;
}
TC_INLINE double TC_FN(vhigh)(double a) { return TC_FN(vfloat)(TC_FN(vbits)(a) & (int64_t)0xFFFFFFFFF8000000); }

#define TC_FAR 37
#endif

/* e^(-a^2/2) for a >= 0; 0 beyond TC_FAR. */
TC_INLINE TC_T TC_FN(vbell)(TC_T a) {
    TC_T high = TC_FN(vhigh)(a);
    TC_T e = TC_FN(vexp_inside)((TC_T)-0.5 * high * high, (TC_T)0.5 * (a - high) * (a + high));
    return a > TC_FAR ? 0 : e;
}

/* Phi(x); `bell` is vbell(|x|). */
TC_INLINE TC_T TC_FN(vnormal)(TC_T x, TC_T bell) {
    TC_T tail = bell * TC_FN(vmills)(x < 0 ? -x : x);
    return x < 0 ? tail : 1 - tail;
}
#undef TC_FAR
