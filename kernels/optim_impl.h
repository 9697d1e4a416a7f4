/* Optimiser updates of one stretch of one parameter, written against isa.h and simd.h.
 *
 * The variants are constants of always-inlined bodies, so that the loops that run have no branches.  The order of the
 * operations is that of PyTorch's single-tensor optimisers.  The formulas stand in backend/reference/optim.py.
 */
#define TC_ARGS TC_T *restrict p, const TC_T *restrict g

TC_INLINE TC_T TC_FN(root)(TC_T x) {
#if TC_TBYTES == 4
    return sqrtf(x);
#else
    return sqrt(x);
#endif
}

/* The gradient of what is minimised.  `decayed` selects, it is no factor of 0: 0 * inf is NaN. */
TC_INLINE TC_T TC_FN(slope)(TC_T g, TC_T p, TC_T sign, TC_T decay, int decayed) {
    TC_T d = sign * g;
    return decayed ? d + decay * p : d;
}

/* The larger one; NaN if either is, as in maximum(). */
TC_INLINE TC_T TC_FN(larger)(TC_T a, TC_T b) { return (a > b) | (a != a) ? a : b; }

TC_INLINE void TC_FN(sgd_body)(const tc_sgd *s, TC_ARGS, TC_T *restrict m, tc_int n, int mode) {
    const TC_T lr = (TC_T)s->lr, momentum = (TC_T)s->momentum, gain = (TC_T)(1 - s->dampening);
    const TC_T decay = (TC_T)s->decay, sign = s->maximize ? -1 : 1;
    const int decayed = decay != 0, nesterov = s->nesterov;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        if (mode != TC_PLAIN) {
            TC_T moved = mode == TC_FIRST ? d : momentum * m[i] + gain * d;
            m[i] = moved;
            d = nesterov ? d + momentum * moved : moved;
        }
        p[i] -= lr * d;
    }
}

static void TC_FN(sgd)(const void *settings, const tc_stretch *t) {
    if (!t->s[0])
        TC_FN(sgd_body)(settings, t->p, t->g, NULL, t->n, TC_PLAIN);
    else if (t->first)
        TC_FN(sgd_body)(settings, t->p, t->g, t->s[0], t->n, TC_FIRST);
    else
        TC_FN(sgd_body)(settings, t->p, t->g, t->s[0], t->n, TC_NEXT);
}

/* Adam with top == NULL or amsgrad; NAdam; RAdam with trust in v (rectified) or without. */
enum { TC_FN(ADAM), TC_FN(AMSGRAD), TC_FN(NADAM), TC_FN(RECTIFIED), TC_FN(UNRECTIFIED) };
TC_INLINE void TC_FN(adam_body)(const tc_adam *a, TC_ARGS, TC_T *restrict m, TC_T *restrict v, TC_T *restrict top,
                                tc_int n, int variant) {
    const TC_T shrink = (TC_T)a->shrink, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps;
    const TC_T gain1 = (TC_T)(1 - a->beta1), beta2 = (TC_T)a->beta2, gain2 = (TC_T)(1 - a->beta2);
    const TC_T step_size = (TC_T)a->step_size, g_size = (TC_T)a->gradient_size, correction = (TC_T)a->root_correction;
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        TC_T mean = m[i] + gain1 * (d - m[i]);
        TC_T square = beta2 * v[i] + gain2 * d * d;
        m[i] = mean;
        v[i] = square;
        if (variant == TC_FN(AMSGRAD)) top[i] = square = TC_FN(larger)(top[i], square);
        TC_T step;
        if (variant == TC_FN(UNRECTIFIED))
            step = step_size * mean;
        else if (variant == TC_FN(RECTIFIED))
            step = step_size * (mean / (TC_FN(root)(square) + eps));
        else if (variant == TC_FN(NADAM))
            step = (g_size * d + step_size * mean) / (TC_FN(root)(square) / correction + eps);
        else
            step = step_size * (mean / (TC_FN(root)(square) / correction + eps));
        p[i] = shrink * p[i] - step;
    }
}

static void TC_FN(adam)(const void *settings, const tc_stretch *t) {
    if (t->s[2])
        TC_FN(adam_body)(settings, t->p, t->g, t->s[0], t->s[1], t->s[2], t->n, TC_FN(AMSGRAD));
    else
        TC_FN(adam_body)(settings, t->p, t->g, t->s[0], t->s[1], NULL, t->n, TC_FN(ADAM));
}

static void TC_FN(nadam)(const void *settings, const tc_stretch *t) {
    TC_FN(adam_body)(settings, t->p, t->g, t->s[0], t->s[1], NULL, t->n, TC_FN(NADAM));
}

static void TC_FN(radam)(const void *settings, const tc_stretch *t) {
    if (((const tc_adam *)settings)->rectified)
        TC_FN(adam_body)(settings, t->p, t->g, t->s[0], t->s[1], NULL, t->n, TC_FN(RECTIFIED));
    else
        TC_FN(adam_body)(settings, t->p, t->g, t->s[0], t->s[1], NULL, t->n, TC_FN(UNRECTIFIED));
}

static void TC_FN(adamax)(const void *settings, const tc_stretch *t) {
    const tc_adam *a = settings;
    TC_T *restrict p = t->p, *restrict m = t->s[0], *restrict u = t->s[1];
    const TC_T *restrict g = t->g;
    const TC_T decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps, step_size = (TC_T)a->step_size;
    const TC_T gain1 = (TC_T)(1 - a->beta1), beta2 = (TC_T)a->beta2;
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        TC_T mean = m[i] + gain1 * (d - m[i]);
        TC_T norm = TC_FN(larger)(beta2 * u[i], (d < 0 ? -d : d) + eps);
        m[i] = mean;
        u[i] = norm;
        p[i] -= step_size * (mean / norm);
    }
}

static void TC_FN(adagrad)(const void *settings, const tc_stretch *t) {
    const tc_square *a = settings;
    TC_T *restrict p = t->p, *restrict s = t->s[0];
    const TC_T *restrict g = t->g;
    const TC_T lr = (TC_T)a->lr, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps;
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        TC_T sum = s[i] + d * d;
        s[i] = sum;
        p[i] -= lr * (d / (TC_FN(root)(sum) + eps));
    }
}

static void TC_FN(adadelta)(const void *settings, const tc_stretch *t) {
    const tc_square *a = settings;
    TC_T *restrict p = t->p, *restrict v = t->s[0], *restrict u = t->s[1];
    const TC_T *restrict g = t->g;
    const TC_T lr = (TC_T)a->lr, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps;
    const TC_T rho = (TC_T)a->rho, gain = (TC_T)(1 - a->rho);
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        TC_T square = rho * v[i] + gain * d * d;
        TC_T delta = TC_FN(root)(u[i] + eps) / TC_FN(root)(square + eps) * d;
        v[i] = square;
        u[i] = rho * u[i] + gain * delta * delta;
        p[i] -= lr * delta;
    }
}

TC_INLINE void TC_FN(rmsprop_body)(const tc_square *a, TC_ARGS, TC_T *restrict v, TC_T *restrict avg, TC_T *restrict b,
                                   tc_int n, int centered, int moving) {
    const TC_T lr = (TC_T)a->lr, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1, eps = (TC_T)a->eps;
    const TC_T alpha = (TC_T)a->rho, gain = (TC_T)(1 - a->rho), momentum = (TC_T)a->momentum;
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        TC_T square = alpha * v[i] + gain * d * d;
        v[i] = square;
        if (centered) {
            TC_T mean = avg[i] + gain * (d - avg[i]);
            avg[i] = mean;
            square = square - mean * mean;
            square = square < 0 ? 0 : square; /* keeps NaN */
        }
        TC_T step = d / (TC_FN(root)(square) + eps);
        if (moving) b[i] = step = momentum * b[i] + step;
        p[i] -= lr * step;
    }
}

static void TC_FN(rmsprop)(const void *settings, const tc_stretch *t) {
    if (t->s[1] && t->s[2])
        TC_FN(rmsprop_body)(settings, t->p, t->g, t->s[0], t->s[1], t->s[2], t->n, 1, 1);
    else if (t->s[1])
        TC_FN(rmsprop_body)(settings, t->p, t->g, t->s[0], t->s[1], NULL, t->n, 1, 0);
    else if (t->s[2])
        TC_FN(rmsprop_body)(settings, t->p, t->g, t->s[0], NULL, t->s[2], t->n, 0, 1);
    else
        TC_FN(rmsprop_body)(settings, t->p, t->g, t->s[0], NULL, NULL, t->n, 0, 0);
}

static void TC_FN(rprop)(const void *settings, const tc_stretch *t) {
    const tc_rprop *a = settings;
    TC_T *restrict p = t->p, *restrict prev = t->s[0], *restrict s = t->s[1];
    const TC_T *restrict g = t->g;
    const TC_T etaminus = (TC_T)a->etaminus, etaplus = (TC_T)a->etaplus, sign = a->maximize ? -1 : 1;
    const TC_T smallest = (TC_T)a->smallest, largest = (TC_T)a->largest;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T d = sign * g[i], agreement = d * prev[i];
        TC_T size = s[i] * (agreement > 0 ? etaplus : agreement < 0 ? etaminus : (TC_T)1);
        size = size < smallest ? smallest : size;
        size = size > largest ? largest : size;
        d = agreement < 0 ? 0 : d;
        s[i] = size;
        prev[i] = d;
        TC_T moved = d > 0 ? size : d < 0 ? -size : d * size; /* NaN and 0 stay */
        p[i] -= moved;
    }
}

static void TC_FN(asgd)(const void *settings, const tc_stretch *t) {
    const tc_asgd *a = settings;
    TC_T *restrict p = t->p, *restrict mean = t->s[0];
    const TC_T *restrict g = t->g;
    const TC_T eta = (TC_T)a->eta, mu = (TC_T)a->mu, decay = (TC_T)a->decay, shrink = (TC_T)a->shrink;
    const TC_T sign = a->maximize ? -1 : 1;
    const int decayed = decay != 0, copied = mu == 1;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T now = shrink * p[i] - eta * TC_FN(slope)(g[i], p[i], sign, decay, decayed);
        p[i] = now;
        mean[i] = copied ? now : mean[i] + mu * (now - mean[i]);
    }
}

static void TC_FN(quickprop)(const void *settings, const tc_stretch *t) {
    const tc_quickprop *a = settings;
    TC_T *restrict p = t->p, *restrict prev = t->s[0], *restrict delta = t->s[1];
    const TC_T *restrict g = t->g;
    const TC_T lr = (TC_T)a->lr, growth = (TC_T)a->growth, decay = (TC_T)a->decay, sign = a->maximize ? -1 : 1;
    const TC_T shrink = (TC_T)(a->growth / (1 + a->growth));
    const int decayed = decay != 0;
#pragma omp simd
    for (tc_int i = 0; i < t->n; i++) {
        TC_T d = TC_FN(slope)(g[i], p[i], sign, decay, decayed), last = delta[i];
        TC_T towards = last > 0 ? 1 : last < 0 ? -1 : 0;
        TC_T along = d * towards, before = prev[i] * towards; /* < 0 is downhill along the last change */
        int too_far = along < shrink * before, still = last == 0;
        TC_T gap = too_far | still ? 1 : prev[i] - d;
        TC_T step = too_far ? growth * last : last * (d / gap);
        step = (along < 0) | still ? step - lr * d : step;
        prev[i] = d;
        delta[i] = step;
        p[i] += step;
    }
}
#undef TC_ARGS
