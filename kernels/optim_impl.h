/* Optimiser updates of one stretch of one parameter, written against isa.h and simd.h.
 *
 * The variants are constants of always-inlined bodies, so that the loops that run have no branches.  The order of the
 * operations is that of PyTorch's single-tensor optimisers.
 */

TC_INLINE void TC_FN(sgd_body)(const tc_sgd *s, TC_T *restrict p, const TC_T *restrict g, TC_T *restrict m, tc_int n,
                               int mode) {
    const TC_T lr = (TC_T)s->lr, momentum = (TC_T)s->momentum, gain = (TC_T)(1 - s->dampening);
    const TC_T decay = (TC_T)s->weight_decay, sign = s->maximize ? -1 : 1;
    const int decayed = decay != 0, nesterov = s->nesterov; /* selections, not factors of 0: 0 * inf is NaN */
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T d = sign * g[i];
        d = decayed ? d + decay * p[i] : d;
        if (mode != TC_PLAIN) {
            TC_T moved = mode == TC_FIRST ? d : momentum * m[i] + gain * d;
            m[i] = moved;
            d = nesterov ? d + momentum * moved : moved;
        }
        p[i] -= lr * d;
    }
}

static void TC_FN(sgd)(const void *settings, const tc_stretch *t) {
    if (!t->m)
        TC_FN(sgd_body)(settings, t->p, t->g, NULL, t->n, TC_PLAIN);
    else if (t->first)
        TC_FN(sgd_body)(settings, t->p, t->g, t->m, t->n, TC_FIRST);
    else
        TC_FN(sgd_body)(settings, t->p, t->g, t->m, t->n, TC_NEXT);
}

TC_INLINE void TC_FN(adam_body)(const tc_adam *a, TC_T *restrict p, const TC_T *restrict g, TC_T *restrict m,
                                TC_T *restrict v, TC_T *restrict top, tc_int n, int amsgrad) {
    const TC_T shrink = (TC_T)a->shrink, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps;
    const TC_T gain1 = (TC_T)(1 - a->beta1), beta2 = (TC_T)a->beta2, gain2 = (TC_T)(1 - a->beta2);
    const TC_T step_size = (TC_T)a->step_size, root = (TC_T)a->root_correction;
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T d = sign * g[i];
        d = decayed ? d + decay * p[i] : d;
        TC_T mean = m[i] + gain1 * (d - m[i]);
        TC_T square = beta2 * v[i] + gain2 * d * d;
        m[i] = mean;
        v[i] = square;
        if (amsgrad) {
            square = (top[i] > square) | (top[i] != top[i]) ? top[i] : square; /* NaN stays, as in maximum() */
            top[i] = square;
        }
#if TC_TBYTES == 4
        p[i] = shrink * p[i] - step_size * (mean / (sqrtf(square) / root + eps));
#else
        p[i] = shrink * p[i] - step_size * (mean / (sqrt(square) / root + eps));
#endif
    }
}

static void TC_FN(adam)(const void *settings, const tc_stretch *t) {
    if (t->top)
        TC_FN(adam_body)(settings, t->p, t->g, t->m, t->v, t->top, t->n, 1);
    else
        TC_FN(adam_body)(settings, t->p, t->g, t->m, t->v, NULL, t->n, 0);
}
