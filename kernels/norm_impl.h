/* Normalisation, written against isa.h and simd.h.  m: mean, v: (biased) variance, r = 1 / sqrt(v + eps).
 *
 * Forward needs two things of x, its moments and then its values again; backward two sums, of t and of t (x - m), and
 * then both arrays again.  A task is so small (a channel, a block of columns, a row) that the second look finds its
 * numbers in a cache.
 *
 * Moments are taken chunk by chunk.  A chunk lies in the first cache: its mean, then its squares around that mean, so
 * that a mean far from 0 costs no digits.  Chunks are merged in double, in order (Chan, Golub and LeVeque 1983,
 * "Algorithms for computing the sample variance", eq. 2.1).  Chunks and tasks are cut by the shape alone.
 *
 * Batch norm runs in one of two ways.  Where a channel's pixels fill a few vectors (s >= TC_LONG), the vectors run along
 * them.  Otherwise they run along neighbouring columns (c, s) of the matrix (n, c s), with m, r, weight and bias
 * written out per column: this is also the 2-d case, s == 1.
 *
 * The ReLU and the residual are flags of inlined functions: a forward and a backward loop for each combination.  The
 * backward pass computes the sign of the ReLU's input again instead of reading it: (x - m) a + b is the same expression
 * here and there, and gives the same bits.
 */

#define TC_LONG 64
#define TC_CHUNK 4096
#define TC_COLUMNS 256
#define TC_ROWS 64

typedef struct {
    double mean, m2; /* m2: sum of squares around the mean */
} TC_FN(moments);

/* Add a chunk of n numbers, whose differences from `around` have the sum s and the squared sum q, to `before` others. */
TC_INLINE void TC_FN(merge)(TC_FN(moments) *total, double before, double n, double around, double s, double q) {
    const double one_nth = 1 / n, share = n / (before + n), delta = around + s * one_nth - total->mean;
    double m2 = q - s * s * one_nth;
    m2 = m2 < 0 ? 0 : m2;
    total->m2 += m2 + delta * delta * (before * share);
    total->mean += delta * share;
}

TC_INLINE TC_T TC_FN(scale_of)(TC_T var, double eps) { return (TC_T)(1 / sqrt((double)var + eps)); }
TC_INLINE TC_T TC_FN(at)(const TC_T *p, tc_int i, TC_T otherwise) { return p ? p[i] : otherwise; }

/* ---- sums over a run of neighbouring numbers ------------------------------------------------------------------------- */

typedef struct {
    TC_VEC s[2], q[2];
    TC_T s_rest, q_rest;
} TC_FN(sums);
#define TC_SUMS TC_FN(sums)

/* How a number becomes a normalised one: (x - m) a + b. */
typedef struct {
    TC_T m, a, b;
} TC_FN(affine);
#define TC_AFFINE TC_FN(affine)

/* Lanes of t where the ReLU let its input through.  As in elementwise: a NaN passes. */
#define TC_PASSED(pre, t) ((TC_VEC)((TC_IVEC)(t) & ~(TC_IVEC)((pre) <= 0)))

/* t and x - m of a vector at i: t is x - m itself, or g, or g where the ReLU let (x - m) a + b (+ residual) through. */
TC_INLINE void TC_FN(term)(const TC_T *x, const TC_T *g, const TC_T *res, tc_int i, TC_AFFINE f, int relu, TC_VEC *t,
                           TC_VEC *d) {
    *d = TC_FN(tc_load)(x + i) - f.m;
    *t = *d;
    if (g) {
        *t = TC_FN(tc_load)(g + i);
        if (relu) {
            TC_VEC pre = *d * f.a + f.b;
            if (res) pre += TC_FN(tc_load)(res + i);
            *t = TC_PASSED(pre, *t);
        }
    }
}

/* s += t, q += t (x - m) over n numbers. */
TC_INLINE void TC_FN(add_run)(TC_SUMS *sums, const TC_T *x, const TC_T *g, const TC_T *res, tc_int n, TC_AFFINE f,
                              int relu) {
    TC_VEC t, d, s0 = sums->s[0], s1 = sums->s[1], q0 = sums->q[0], q1 = sums->q[1];
    tc_int i = 0;
    for (; i + 2 * TC_VL <= n; i += 2 * TC_VL) {
        TC_FN(term)(x, g, res, i, f, relu, &t, &d);
        s0 += t;
        q0 += t * d;
        TC_FN(term)(x, g, res, i + TC_VL, f, relu, &t, &d);
        s1 += t;
        q1 += t * d;
    }
    if (i + TC_VL <= n) {
        TC_FN(term)(x, g, res, i, f, relu, &t, &d);
        s0 += t;
        q0 += t * d;
        i += TC_VL;
    }
    if (i < n && n >= TC_VL) { /* the last vector overlaps the one before it, whose lanes are left out */
        const TC_IVEC fresh = TC_FN(tc_lanes_from)(TC_VL - (n - i));
        TC_FN(term)(x, g, res, n - TC_VL, f, relu, &t, &d);
        s1 += (TC_VEC)((TC_IVEC)t & fresh);
        q1 += (TC_VEC)((TC_IVEC)(t * d) & fresh);
        i = n;
    }
    for (; i < n; i++) {
        const TC_T di = x[i] - f.m;
        TC_T ti = g ? g[i] : di;
        if (g && relu) {
            TC_T pre = di * f.a + f.b;
            if (res) pre += res[i];
            ti = pre <= 0 ? 0 : ti;
        }
        sums->s_rest += ti;
        sums->q_rest += ti * di;
    }
    sums->s[0] = s0, sums->s[1] = s1, sums->q[0] = q0, sums->q[1] = q1;
}

TC_INLINE double TC_FN(lanes)(TC_VEC v) {
    double sum = 0;
#if TC_VL > 2
    TC_UNROLL
    for (int half = TC_VL / 2; half > 1; half /= 2) {
        TC_UNROLL
        for (int l = 0; l < half; l++) v[l] += v[l + half];
    }
#endif
    sum = (double)v[0] + v[1];
    return sum;
}
TC_INLINE double TC_FN(sum_s)(const TC_SUMS *sums) { return TC_FN(lanes)(sums->s[0] + sums->s[1]) + sums->s_rest; }
TC_INLINE double TC_FN(sum_q)(const TC_SUMS *sums) { return TC_FN(lanes)(sums->q[0] + sums->q[1]) + sums->q_rest; }

/* Moments of `rows` runs of n numbers, `ld` apart, added to those of `before` numbers; one chunk. */
TC_INLINE void TC_FN(add_chunk)(TC_FN(moments) *total, double before, const TC_T *x, tc_int rows, tc_int ld, tc_int n) {
    const double count = (double)rows * n;
    TC_SUMS first = {0}, second = {0};
    for (tc_int r = 0; r < rows; r++)
        TC_FN(add_run)(&first, x + r * ld, NULL, NULL, n, (TC_AFFINE){0, 0, 0}, 0);
    const TC_T around = (TC_T)(TC_FN(sum_s)(&first) / count);
    for (tc_int r = 0; r < rows; r++)
        TC_FN(add_run)(&second, x + r * ld, NULL, NULL, n, (TC_AFFINE){around, 0, 0}, 0);
    TC_FN(merge)(total, before, count, around, TC_FN(sum_s)(&second), TC_FN(sum_q)(&second));
}

/* Moments of `rows` runs of n numbers, `ld` apart: long runs are cut, short ones put together. */
static TC_FN(moments) TC_FN(moments_of)(const TC_T *x, tc_int rows, tc_int ld, tc_int n) {
    TC_FN(moments) total = {0, 0};
    const tc_int together = n < TC_CHUNK ? TC_CHUNK / n : 1;
    for (tc_int r = 0; r < rows; r += together)
        for (tc_int i = 0; i < n; i += TC_CHUNK)
            TC_FN(add_chunk)(&total, (double)r * n + i, x + r * ld + i, tc_min(together, rows - r), ld,
                             tc_min(TC_CHUNK, n - i));
    return total;
}

/* The same around 0: m2 is the sum of the squares. */
static TC_FN(moments) TC_FN(squares_of)(const TC_T *x, tc_int n) {
    TC_FN(moments) total = {0, 0};
    for (tc_int i = 0; i < n; i += TC_CHUNK) {
        TC_SUMS sums = {0};
        TC_FN(add_run)(&sums, x + i, NULL, NULL, tc_min(TC_CHUNK, n - i), (TC_AFFINE){0, 0, 0}, 0);
        total.m2 += TC_FN(sum_q)(&sums);
    }
    return total;
}

/* ---- one result per number ------------------------------------------------------------------------------------------- */

/* y = (x - m) a + b, plus the residual, through the ReLU. */
TC_INLINE void TC_FN(write_run)(const TC_T *x, const TC_T *res, TC_T *restrict y, tc_int n, TC_AFFINE f, int relu) {
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        TC_T v = (x[i] - f.m) * f.a + f.b;
        if (res) v += res[i];
        y[i] = relu && v < 0 ? 0 : v;
    }
}

/* gx = a t + k (x - m) + l;  gr = t. */
TC_INLINE void TC_FN(write_grad_run)(const TC_T *g, const TC_T *x, const TC_T *res, TC_T *restrict gx, TC_T *restrict gr,
                                     tc_int n, TC_AFFINE f, TC_T k, TC_T l, int relu) {
#pragma omp simd
    for (tc_int i = 0; i < n; i++) {
        const TC_T d = x[i] - f.m;
        TC_T t = g[i];
        if (relu) {
            TC_T pre = d * f.a + f.b;
            if (res) pre += res[i];
            t = pre <= 0 ? 0 : t;
        }
        gx[i] = f.a * t + (k * d + l);
        if (gr) gr[i] = t;
    }
}

/* ---- batch norm: a channel of n runs of s pixels --------------------------------------------------------------------- */

TC_INLINE void TC_FN(channel)(const tc_batch_norm_call *p, tc_int c, const TC_T *res, int relu) {
    const tc_int ld = p->c * p->s;
    const TC_T *x = (const TC_T *)p->x + c * p->s;
    TC_T *y = (TC_T *)p->y + c * p->s, *mean = (TC_T *)p->mean + c, *var = (TC_T *)p->var + c;
    if (p->training) {
        const TC_FN(moments) total = TC_FN(moments_of)(x, p->n, ld, p->s);
        *mean = (TC_T)total.mean;
        *var = (TC_T)(total.m2 / ((double)p->n * p->s));
    }
    const TC_AFFINE f = {*mean, TC_FN(scale_of)(*var, p->eps) * TC_FN(at)(p->weight, c, 1), TC_FN(at)(p->bias, c, 0)};
    for (tc_int n = 0; n < p->n; n++)
        TC_FN(write_run)(x + n * ld, res ? res + c * p->s + n * ld : NULL, y + n * ld, p->s, f, relu);
}

/* From the sums s of t and q of t (x - m) over count numbers: gw, gb, and the k and l of write_grad_run. */
TC_INLINE void TC_FN(finish)(const tc_batch_norm_call *p, tc_int c, double s, double q, TC_T *k, TC_T *l) {
    const double r = TC_FN(scale_of)(((const TC_T *)p->var)[c], p->eps), count = (double)p->n * p->s;
    const double a = r * TC_FN(at)(p->weight, c, 1);
    ((TC_T *)p->gw)[c] = (TC_T)(q * r);
    ((TC_T *)p->gb)[c] = (TC_T)s;
    *k = p->training ? (TC_T)(-a * q * r * r / count) : 0;
    *l = p->training ? (TC_T)(-a * s / count) : 0;
}

TC_INLINE void TC_FN(channel_grad)(const tc_batch_norm_call *p, tc_int c, const TC_T *res, int relu) {
    const tc_int ld = p->c * p->s, together = p->s < TC_CHUNK ? TC_CHUNK / p->s : 1;
    const TC_T *x = (const TC_T *)p->x + c * p->s, *g = (const TC_T *)p->g + c * p->s;
    TC_T *gx = (TC_T *)p->gx + c * p->s, k, l;
    TC_T *gr = res ? (TC_T *)p->gr + c * p->s : NULL;
    const TC_AFFINE f = {((const TC_T *)p->mean)[c],
                         TC_FN(scale_of)(((const TC_T *)p->var)[c], p->eps) * TC_FN(at)(p->weight, c, 1),
                         TC_FN(at)(p->bias, c, 0)};
    double s = 0, q = 0;
    if (res) res += c * p->s;
    for (tc_int first = 0; first < p->n; first += together)
        for (tc_int i = 0; i < p->s; i += TC_CHUNK) {
            TC_SUMS sums = {0};
            for (tc_int n = first; n < tc_min(first + together, p->n); n++)
                TC_FN(add_run)(&sums, x + n * ld + i, g + n * ld + i, res ? res + n * ld + i : NULL,
                               tc_min(TC_CHUNK, p->s - i), f, relu);
            s += TC_FN(sum_s)(&sums);
            q += TC_FN(sum_q)(&sums);
        }
    TC_FN(finish)(p, c, s, q, &k, &l);
    for (tc_int n = 0; n < p->n; n++)
        TC_FN(write_grad_run)(g + n * ld, x + n * ld, res ? res + n * ld : NULL, gx + n * ld, gr ? gr + n * ld : NULL, p->s,
                              f, k, l, relu);
}

/* ---- batch norm: neighbouring columns of the matrix (n, c s) --------------------------------------------------------- */

typedef struct {
    TC_T m[TC_COLUMNS], a[TC_COLUMNS], b[TC_COLUMNS], k[TC_COLUMNS], l[TC_COLUMNS], s[TC_COLUMNS], q[TC_COLUMNS];
} TC_FN(columns);

/* Give each of the s columns of a channel the channel's value. */
TC_INLINE void TC_FN(to_columns)(const TC_T *values, TC_T *columns, tc_int channels, tc_int s) {
    if (s == 1) memcpy(columns, values, (size_t)channels * sizeof(TC_T));
    else
        for (tc_int j = 0; j < channels; j++)
            for (tc_int i = j * s; i < (j + 1) * s; i++) columns[i] = values[j];
}

/* Sum of each channel's s columns. */
TC_INLINE void TC_FN(from_columns)(const TC_T *columns, double *sums, tc_int channels, tc_int s) {
    if (s == 1) {
        for (tc_int j = 0; j < channels; j++) sums[j] = columns[j];
        return;
    }
    for (tc_int j = 0; j < channels; j++) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (tc_int i = j * s; i < (j + 1) * s; i++) sum += columns[i];
        sums[j] = sum;
    }
}

/* m, a and b of `channels` channels from c on.  A function of its own, like column_moments: the flags of its callers do not
 * matter here. */
static void TC_FN(affine_columns)(const tc_batch_norm_call *p, TC_FN(columns) *w, tc_int c, tc_int channels) {
    const TC_T *mean = (const TC_T *)p->mean + c, *var = (const TC_T *)p->var + c;
    const TC_T *weight = p->weight ? (const TC_T *)p->weight + c : NULL, *bias = p->bias ? (const TC_T *)p->bias + c : NULL;
    TC_T a[TC_COLUMNS], b[TC_COLUMNS];
#pragma omp simd
    for (tc_int j = 0; j < channels; j++) a[j] = TC_FN(scale_of)(var[j], p->eps);
    for (tc_int j = 0; j < channels; j++) {
        if (weight) a[j] *= weight[j];
        b[j] = bias ? bias[j] : 0;
    }
    TC_FN(to_columns)(mean, w->m, channels, p->s);
    TC_FN(to_columns)(a, w->a, channels, p->s);
    TC_FN(to_columns)(b, w->b, channels, p->s);
}

/* Mean and variance of `channels` channels from c on. */
static void TC_FN(column_moments)(const tc_batch_norm_call *p, TC_FN(columns) *w, tc_int c, tc_int channels) {
    const tc_int ld = p->c * p->s, width = channels * p->s;
    const TC_T *x = (const TC_T *)p->x + c * p->s;
    TC_FN(moments) total[TC_COLUMNS];
    TC_T around[TC_COLUMNS];
    double s[TC_COLUMNS], q[TC_COLUMNS];
    memset(total, 0, sizeof(total));
    for (tc_int first = 0; first < p->n; first += TC_ROWS) {
        const tc_int end = tc_min(first + TC_ROWS, p->n);
        const double before = (double)first * p->s, count = (double)(end - first) * p->s, one_nth = 1 / count;
        memset(w->s, 0, sizeof(w->s));
        memset(w->q, 0, sizeof(w->q));
        for (tc_int n = first; n < end; n++) {
#pragma omp simd
            for (tc_int i = 0; i < width; i++) w->s[i] += x[n * ld + i];
        }
        TC_FN(from_columns)(w->s, s, channels, p->s);
        for (tc_int j = 0; j < channels; j++) around[j] = (TC_T)(s[j] * one_nth);
        TC_FN(to_columns)(around, w->m, channels, p->s);
        memset(w->s, 0, sizeof(w->s));
        for (tc_int n = first; n < end; n++) {
#pragma omp simd
            for (tc_int i = 0; i < width; i++) {
                const TC_T d = x[n * ld + i] - w->m[i];
                w->s[i] += d;
                w->q[i] += d * d;
            }
        }
        TC_FN(from_columns)(w->s, s, channels, p->s);
        TC_FN(from_columns)(w->q, q, channels, p->s);
        for (tc_int j = 0; j < channels; j++) TC_FN(merge)(&total[j], before, count, around[j], s[j], q[j]);
    }
    for (tc_int j = 0; j < channels; j++) {
        ((TC_T *)p->mean)[c + j] = (TC_T)total[j].mean;
        ((TC_T *)p->var)[c + j] = (TC_T)(total[j].m2 / ((double)p->n * p->s));
    }
}

TC_INLINE void TC_FN(column_block)(const tc_batch_norm_call *p, tc_int c, tc_int channels, const TC_T *res, int relu) {
    const tc_int ld = p->c * p->s, width = channels * p->s;
    TC_FN(columns) w;
    if (p->training) TC_FN(column_moments)(p, &w, c, channels);
    TC_FN(affine_columns)(p, &w, c, channels);
    for (tc_int n = 0; n < p->n; n++) {
        const tc_int at = n * ld + c * p->s;
        const TC_T *x = (const TC_T *)p->x + at;
        TC_T *restrict y = (TC_T *)p->y + at;
#pragma omp simd
        for (tc_int i = 0; i < width; i++) {
            TC_T v = (x[i] - w.m[i]) * w.a[i] + w.b[i];
            if (res) v += res[at + i];
            y[i] = relu && v < 0 ? 0 : v;
        }
    }
}

TC_INLINE void TC_FN(column_block_grad)(const tc_batch_norm_call *p, tc_int c, tc_int channels, const TC_T *res, int relu) {
    const tc_int ld = p->c * p->s, width = channels * p->s;
    TC_FN(columns) w;
    double s[TC_COLUMNS] = {0}, q[TC_COLUMNS] = {0}, more[TC_COLUMNS];
    TC_T k[TC_COLUMNS], l[TC_COLUMNS];
    TC_FN(affine_columns)(p, &w, c, channels);
    for (tc_int first = 0; first < p->n; first += TC_ROWS) {
        memset(w.s, 0, sizeof(w.s));
        memset(w.q, 0, sizeof(w.q));
        for (tc_int n = first; n < tc_min(first + TC_ROWS, p->n); n++) {
            const tc_int at = n * ld + c * p->s;
            const TC_T *x = (const TC_T *)p->x + at, *g = (const TC_T *)p->g + at;
#pragma omp simd
            for (tc_int i = 0; i < width; i++) {
                const TC_T d = x[i] - w.m[i];
                TC_T t = g[i];
                if (relu) {
                    TC_T pre = d * w.a[i] + w.b[i];
                    if (res) pre += res[at + i];
                    t = pre <= 0 ? 0 : t;
                }
                w.s[i] += t;
                w.q[i] += t * d;
            }
        }
        TC_FN(from_columns)(w.s, more, channels, p->s);
        for (tc_int j = 0; j < channels; j++) s[j] += more[j];
        TC_FN(from_columns)(w.q, more, channels, p->s);
        for (tc_int j = 0; j < channels; j++) q[j] += more[j];
    }
#pragma omp simd
    for (tc_int j = 0; j < channels; j++) TC_FN(finish)(p, c + j, s[j], q[j], &k[j], &l[j]);
    TC_FN(to_columns)(k, w.k, channels, p->s);
    TC_FN(to_columns)(l, w.l, channels, p->s);
    for (tc_int n = 0; n < p->n; n++) {
        const tc_int at = n * ld + c * p->s;
        const TC_T *x = (const TC_T *)p->x + at, *g = (const TC_T *)p->g + at;
        TC_T *restrict gx = (TC_T *)p->gx + at, *restrict gr = res ? (TC_T *)p->gr + at : NULL;
#pragma omp simd
        for (tc_int i = 0; i < width; i++) {
            const TC_T d = x[i] - w.m[i];
            TC_T t = g[i];
            if (relu) {
                TC_T pre = d * w.a[i] + w.b[i];
                if (res) pre += res[at + i];
                t = pre <= 0 ? 0 : t;
            }
            gx[i] = w.a[i] * t + (w.k[i] * d + w.l[i]);
            if (res) gr[i] = t;
        }
    }
}

/* Run `channel` or `block` with the flags as constants. */
#define TC_WITH_FLAGS(function, ...)                                     \
    do {                                                                 \
        if (p->residual) function(__VA_ARGS__, p->residual, 1);          \
        else if (p->relu) function(__VA_ARGS__, NULL, 1);                \
        else function(__VA_ARGS__, NULL, 0);                             \
    } while (0)

#define TC_TASKS(p) ((p)->s >= TC_LONG ? (p)->c : tc_ceil_div((p)->c, tc_max(1, TC_COLUMNS / (p)->s)))

static void TC_FN(batch_norm_task)(const tc_batch_norm_call *p, tc_int task) {
    if (p->s >= TC_LONG) {
        TC_WITH_FLAGS(TC_FN(channel), p, task);
    } else {
        const tc_int channels = tc_max(1, TC_COLUMNS / p->s), c = task * channels;
        TC_WITH_FLAGS(TC_FN(column_block), p, c, tc_min(channels, p->c - c));
    }
}

static void TC_FN(batch_norm_grad_task)(const tc_batch_norm_call *p, tc_int task) {
    if (p->s >= TC_LONG) {
        TC_WITH_FLAGS(TC_FN(channel_grad), p, task);
    } else {
        const tc_int channels = tc_max(1, TC_COLUMNS / p->s), c = task * channels;
        TC_WITH_FLAGS(TC_FN(column_block_grad), p, c, tc_min(channels, p->c - c));
    }
}

/* y, and in training mean and var; they are given otherwise. */
static void TC_FN(batch_norm)(const tc_batch_norm_call *p, int threads) {
    const tc_int tasks = TC_TASKS(p);
    TC_EACH(threads, task, tasks, TC_FN(batch_norm_task)(p, task));
}

/* gx, gw, gb, and gr with a residual. */
static void TC_FN(batch_norm_grad)(const tc_batch_norm_call *p, int threads) {
    const tc_int tasks = TC_TASKS(p);
    TC_EACH(threads, task, tasks, TC_FN(batch_norm_grad_task)(p, task));
}

/* ---- group norm: rows of d runs of s numbers ------------------------------------------------------------------------- */

static void TC_FN(group_row)(const tc_group_norm_call *p, tc_int row) {
    const tc_int size = p->d * p->s, c = row % p->groups * p->d;
    const TC_T *x = (const TC_T *)p->x + row * size, *weight = p->weight, *bias = p->bias;
    TC_T *restrict y = (TC_T *)p->y + row * size;
    const TC_FN(moments) total = p->centred ? TC_FN(moments_of)(x, 1, 0, size) : TC_FN(squares_of)(x, size);
    const TC_T m = (TC_T)total.mean, v = (TC_T)(total.m2 / (double)size), r = TC_FN(scale_of)(v, p->eps);
    ((TC_T *)p->mean)[row] = m;
    ((TC_T *)p->var)[row] = v;
    if (!weight && !bias) {
        TC_FN(write_run)(x, NULL, y, size, (TC_AFFINE){m, r, 0}, 0);
    } else if (p->s > 1) {
        for (tc_int d = 0; d < p->d; d++) {
            const TC_AFFINE f = {m, r * TC_FN(at)(weight, c + d, 1), TC_FN(at)(bias, c + d, 0)};
            TC_FN(write_run)(x + d * p->s, NULL, y + d * p->s, p->s, f, 0);
        }
    } else if (!bias) {
#pragma omp simd
        for (tc_int i = 0; i < size; i++) y[i] = (x[i] - m) * r * weight[c + i];
    } else if (!weight) {
#pragma omp simd
        for (tc_int i = 0; i < size; i++) y[i] = (x[i] - m) * r + bias[c + i];
    } else {
#pragma omp simd
        for (tc_int i = 0; i < size; i++) y[i] = (x[i] - m) * r * weight[c + i] + bias[c + i];
    }
}

/* y, mean, var. */
static void TC_FN(group_norm)(const tc_group_norm_call *p, int threads) {
    TC_EACH(threads, row, p->rows, TC_FN(group_row)(p, row));
}

/* gx = r (t - mean(t) - (x - m) r^2 mean(t (x - m))), t = g weight, and this row's share of gb and gw, which is added to
 * (s == 1) or written to `gb` and `gw`. */
static void TC_FN(group_grad_row)(const tc_group_norm_call *p, tc_int row, TC_T *restrict gb, TC_T *restrict gw) {
    const tc_int size = p->d * p->s, c = row % p->groups * p->d;
    const TC_T *x = (const TC_T *)p->x + row * size, *g = (const TC_T *)p->g + row * size, *weight = p->weight;
    const TC_T m = ((const TC_T *)p->mean)[row], r = TC_FN(scale_of)(((const TC_T *)p->var)[row], p->eps);
    TC_T *restrict gx = (TC_T *)p->gx + row * size;
    double s = 0, q = 0;
    if (p->s > 1) {
        for (tc_int d = 0; d < p->d; d++) {
            double sd = 0, qd = 0;
            for (tc_int i = 0; i < p->s; i += TC_CHUNK) {
                TC_SUMS sums = {0};
                TC_FN(add_run)(&sums, x + d * p->s + i, g + d * p->s + i, NULL, tc_min(TC_CHUNK, p->s - i),
                               (TC_AFFINE){m, 0, 0}, 0);
                sd += TC_FN(sum_s)(&sums);
                qd += TC_FN(sum_q)(&sums);
            }
            gb[d] = (TC_T)sd;
            gw[d] = (TC_T)(qd * r);
            s += sd * TC_FN(at)(weight, c + d, 1);
            q += qd * TC_FN(at)(weight, c + d, 1);
        }
    } else {
        for (tc_int first = 0; first < size; first += TC_CHUNK) {
            TC_T s_part = 0, q_part = 0;
            const tc_int end = tc_min(first + TC_CHUNK, size);
#pragma omp simd reduction(+ : s_part, q_part)
            for (tc_int i = first; i < end; i++) {
                const TC_T t = weight ? g[i] * weight[c + i] : g[i], d = x[i] - m;
                s_part += t;
                q_part += t * d;
                gb[i] += g[i];
                gw[i] += g[i] * (d * r);
            }
            s += s_part;
            q += q_part;
        }
    }
    const TC_T k = (TC_T)(-(double)r * r * r * q / size), l = p->centred ? (TC_T)(-(double)r * s / size) : 0;
    if (!weight) {
        TC_FN(write_grad_run)(g, x, NULL, gx, NULL, size, (TC_AFFINE){m, r, 0}, k, l, 0);
    } else if (p->s > 1) {
        for (tc_int d = 0; d < p->d; d++) {
            const TC_AFFINE f = {m, r * TC_FN(at)(weight, c + d, 1), 0};
            TC_FN(write_grad_run)(g + d * p->s, x + d * p->s, NULL, gx + d * p->s, NULL, p->s, f, k, l, 0);
        }
    } else {
#pragma omp simd
        for (tc_int i = 0; i < size; i++) gx[i] = r * weight[c + i] * g[i] + (k * (x[i] - m) + l);
    }
}

/* Row blocks (or rows) first, each with sums of its own; then the sums, in their order. */
static void TC_FN(group_norm_grad)(const tc_group_norm_call *p, int threads) {
    const tc_int together = p->s == 1 && p->groups == 1 ? TC_ROW_BLOCK : 1, parts = tc_ceil_div(p->rows, together);
    TC_T *gb = p->partial, *gw = gb + parts * p->d;
    TC_PARALLEL(threads) {
#pragma omp for schedule(static)
        for (tc_int part = 0; part < parts; part++) {
            memset(gb + part * p->d, 0, (size_t)p->d * sizeof(TC_T));
            memset(gw + part * p->d, 0, (size_t)p->d * sizeof(TC_T));
            for (tc_int row = part * together; row < tc_min((part + 1) * together, p->rows); row++)
                TC_FN(group_grad_row)(p, row, gb + part * p->d, gw + part * p->d);
        }
#pragma omp for schedule(static)
        for (tc_int c = 0; c < p->groups * p->d; c++) {
            double sb = 0, sw = 0;
            for (tc_int part = c / p->d; part < parts; part += p->groups) {
                sb += gb[part * p->d + c % p->d];
                sw += gw[part * p->d + c % p->d];
            }
            ((TC_T *)p->gb)[c] = (TC_T)sb;
            ((TC_T *)p->gw)[c] = (TC_T)sw;
        }
    }
}

#undef TC_LONG
#undef TC_CHUNK
#undef TC_COLUMNS
#undef TC_ROWS
#undef TC_SUMS
#undef TC_AFFINE
#undef TC_PASSED
#undef TC_WITH_FLAGS
#undef TC_TASKS
