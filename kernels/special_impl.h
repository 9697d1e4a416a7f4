/* Loops of the error function and of the gate a sigmoid(b), compiled once per instruction set and number type (see isa.h).
 *
 * erf, float: up to 1 x plus x times a polynomial in x^2, which is small; beyond it 1 - e^-P(|x|), P = -ln erfc; both polynomials
 * interpolate in Chebyshev nodes.  double: up to 1 the rational function of Cephes (double/ndtr.c), beyond it 1 - 2 Q(sqrt(2)
 * |x|) with the tail Q of vspecial_impl.h.
 * Largest error over 2e5 random arguments: float 1.2, double 2.0 ulp.
 *
 * erfc of floats, in double with an error of at most 1e-8 and so nearly rounded once: e^(-a^2), a = |x|, times a function that
 * falls as slowly as that of vspecial_impl.h, t times a polynomial in t = 1 / (1 + 0.3 a); 2 minus that for negative x.
 */
#include "vspecial_impl.h"

#ifndef TC_SPECIAL
#define TC_SPECIAL
typedef struct {
    void (*erf)(const void *x, void *y, ptrdiff_t n);
    void (*erfc)(const float *x, float *y, ptrdiff_t n); /* NULL for double */
    /* y = a sigmoid(b); its gradients by a and b */
    void (*gate)(const void *a, const void *b, void *y, ptrdiff_t n);
    void (*gate_grad)(const void *g, const void *a, const void *b, void *ga, void *gb, ptrdiff_t n);
} tc_special_loops;
#endif

#if TC_TBYTES == 4
TC_INLINE float TC_FN(verf)(float x) {
    float a = fabsf(x), z = x * x, c = a > 4.0f ? 4.0f : a;
    float p = -9.6670445715e-6f;
    p = p * z + 1.1265959026e-4f;
    p = p * z - 8.4840804055e-4f;
    p = p * z + 5.2210318079e-3f;
    p = p * z - 2.6865430728e-2f;
    p = p * z + 1.1283782495e-1f;
    p = p * z - 3.7612638468e-1f;
    p = p * z + 1.2837916706e-1f;
    float q = -1.6371514146e-6f;
    q = q * c + 4.6058042689e-5f;
    q = q * c - 5.9680562566e-4f;
    q = q * c + 4.7595962933e-3f;
    q = q * c - 2.6421136006e-2f;
    q = q * c + 1.1008008295e-1f;
    q = q * c + 6.3182605156e-1f;
    q = q * c + 1.1302334348f;
    q = q * c - 3.2013804968e-4f;
    float far = 1.0f - TC_FN(vexp_inside)(-q, 0.0f);
    return a < 1.0f ? x + x * p : copysignf(far, x);
}
TC_INLINE float TC_FN(verfc)(float x) {
    float size = fabsf(x);
    size = size > 10.5f ? 10.5f : size; /* erfc 10.5 is 0; NaN passes through */
    double a = size, d = 1.0 + 0.3 * a;
    double t = (double)(1.0f / (float)d);
    t = t * (2.0 - d * t);
    double p = 0.0567056848527;
    p = p * t - 0.338719215391;
    p = p * t + 0.759768061389;
    p = p * t - 0.863777456093;
    p = p * t + 0.796061943536;
    p = p * t - 0.29807321641;
    p = p * t + 0.274018193677;
    p = p * t + 0.108068664138;
    p = p * t + 0.168029870374;
    p = p * t + 0.168633627918;
    p = p * t + 0.169283842113;
    double y = p * t * TC_FN(vtwo_to)(a * a * -1.44269504088896341);
    return (float)(x < 0.0f ? 2.0 - y : y);
}
static void TC_FN(erfc_loop)(const float *x, float *restrict y, ptrdiff_t n) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = TC_FN(verfc)(x[i]);
}
#define TC_ERFC_LOOP TC_FN(erfc_loop)
#else
#define TC_ERFC_LOOP NULL
TC_INLINE double TC_FN(verf)(double x) {
    double a = fabs(x), z = x * x, c = a > 6.0 ? 6.0 : a; /* erf 6 is 1 */
    double p = 9.60497373987051638749, q = z + 3.35617141647503099647e1;
    p = p * z + 9.00260197203842689217e1;
    p = p * z + 2.23200534594684319226e3;
    p = p * z + 7.00332514112805075473e3;
    p = p * z + 5.55923013010394962768e4;
    q = q * z + 5.21357949780152679795e2;
    q = q * z + 4.59432382970980127987e3;
    q = q * z + 2.26290000613890934246e4;
    q = q * z + 4.92673942608635921086e4;
    double far = 1.0 - 2.0 * TC_FN(vexp_inside)(-c * c, 0.0) * TC_FN(vmills)(c * 1.41421356237309504880);
    return a < 1.0 ? x * p / q : copysign(far, x);
}
#endif

static void TC_FN(erf_loop)(const void *xs, void *ys, ptrdiff_t n) {
    const TC_T *x = (const TC_T *)xs;
    TC_T *restrict y = (TC_T *)ys;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = TC_FN(verf)(x[i]);
}

static void TC_FN(gate)(const void *as, const void *bs, void *ys, ptrdiff_t n) {
    const TC_T *a = (const TC_T *)as, *b = (const TC_T *)bs;
    TC_T *restrict y = (TC_T *)ys;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = a[i] * TC_FN(vsigmoid)(b[i]);
}

static void TC_FN(gate_grad)(const void *gs, const void *as, const void *bs, void *gas, void *gbs, ptrdiff_t n) {
    const TC_T *g = (const TC_T *)gs, *a = (const TC_T *)as, *b = (const TC_T *)bs;
    TC_T *restrict ga = (TC_T *)gas, *restrict gb = (TC_T *)gbs;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        const TC_T s = TC_FN(vsigmoid)(b[i]), through = g[i] * s;
        ga[i] = through;
        gb[i] = through * (1 - s) * a[i];
    }
}

static const tc_special_loops TC_FN(tc_specials) = {TC_FN(erf_loop), TC_ERFC_LOOP, TC_FN(gate), TC_FN(gate_grad)};
#undef TC_ERFC_LOOP
