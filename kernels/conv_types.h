/* What a convolution is told: sizes of the three arrays of one trilinear form, and where they are.
 *
 *     sum over n, o, c, i, j, p, q of   y[n, o, p, q] * w[o, c', i, j] * x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw]
 *
 * (c = group(o) * C/groups + c', x is 0 outside the image).  The convolution and its two adjoints are the derivatives
 * of this number by y, x and w.  All arrays are C-contiguous.
 */
#ifndef TC_CONV_TYPES_H
#define TC_CONV_TYPES_H
#include "gemm_types.h"

typedef struct {
    tc_int n, c, h, w;           /* x (n, c, h, w) */
    tc_int o, kh, kw;            /* weight (o, c / groups, kh, kw) */
    tc_int oh, ow;               /* y (n, o, oh, ow) */
    tc_int sh, sw, ph, pw, dh, dw, groups;
    const void *x, *weight, *y;  /* the one that is computed is not read */
    const void *bias;            /* (o,) or NULL; convolution only */
    void *out;
} tc_conv_problem;
#endif
