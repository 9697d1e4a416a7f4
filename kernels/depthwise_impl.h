/* Depthwise convolution (one input channel per group) and its two adjoints.
 *
 *     y[n, c m + j, p] = sum over taps t of   w[c m + j, t] * x[n, c, p + offset_t]        j < m, the channel multiplier
 *
 * There is nothing to sum over but the taps, so a matrix tile has no rows to share a load among and memory is the limit.
 * Here a plane is a vector of positions: the padded copy of conv_image_impl.h makes every tap a constant offset, positions
 * run over its rows without regard to their ends, and the few results between the rows are dropped when the plane is
 * stored.  So a row narrower than a vector costs no more than its share.
 *
 * The adjoint with respect to x is the same sum over g for every class of pixels ("phase") modulo the stride; see
 * conv_impl.h.  The phases of a plane are computed aside and interleaved as they are stored.
 *
 * A task fills the copies of several planes (about 16 KB), computes all, stores all: a load right after the stores that
 * it overlaps would wait for them.
 *
 * Weight gradient: dot products of g, copied at the pitch of the padded x with zeros between the rows, with x at every
 * offset.  Zeros between rows meet pixels of the next row there; 0 * Inf is not 0, so a sum that came out NaN or infinite
 * is taken again row by row.  Determinism: a task is a channel and a chunk of the batch whose size depends on the shape,
 * chunks are added in order.
 */
#define TC_DEPTH TC_FN(depthwise_plan)
#define TC_DEPTH_GRAD TC_FN(depthwise_grad)

#ifndef TC_DEPTH_COPY
#define TC_DEPTH_COPY 4096   /* numbers in the copies of a task, about */
#define TC_DEPTH_RESULTS 8   /* output channels per group, at most, for the adjoints */
typedef struct { tc_int first, taps, row, col, grid_h, grid_w; } tc_phase; /* pixels row + i * stride, col + j * stride */
#endif

typedef struct {
    TC_IMAGE image;
    tc_int images, channels, sources, results; /* planes read and written per channel: 1 and m; for the adjoint m and 1 */
    tc_int phases;
    tc_phase *phase;
    tc_int kernel;                             /* kh * kw */
    const tc_int *weight_tap;                  /* which of them a tap is */
    const TC_T *weight, *bias;
    TC_T *dst;
    tc_int dst_h, dst_w, step_h, step_w;
    /* set by depth_layout: */
    tc_int block, blocks;                      /* channels per task */
    tc_int *table;                             /* [phase][source][tap] */
    tc_int copy_room, flat;                    /* flat: room for the results of one phase */
} TC_DEPTH;

/* y[p] = start + sum over k of w[k] * x[p + table[k]] for p < n; whole vectors are written. */
TC_INLINE void TC_FN(depth_step)(int vectors, tc_int taps, const TC_T *w, const tc_int *table, const TC_T *x, TC_T start,
                                 TC_T *y) {
    TC_VEC acc[8];
    TC_UNROLL
    for (int v = 0; v < vectors; v++) acc[v] = start - (TC_VEC){0};
    for (tc_int k = 0; k < taps; k++) {
        const TC_T *from = x + table[k];
        TC_UNROLL
        for (int v = 0; v < vectors; v++) acc[v] += w[k] * TC_LOAD(from + v * TC_VL);
    }
    TC_UNROLL
    for (int v = 0; v < vectors; v++) TC_STORE(y + v * TC_VL, acc[v]);
}

static void TC_FN(depth_flat)(tc_int taps, const TC_T *w, const tc_int *table, const TC_T *x, tc_int n, TC_T start,
                              TC_T *y) {
    /* Steps of equal size: a single vector would wait for its sum at every tap. */
    tc_int vectors = tc_ceil_div(n, TC_VL), steps = tc_ceil_div(vectors, 8);
    for (tc_int step = 0; step < steps; step++) {
        tc_int v = tc_cut(vectors, steps, step), p = v * TC_VL;
        switch (tc_cut(vectors, steps, step + 1) - v) {
        case 1: TC_FN(depth_step)(1, taps, w, table, x + p, start, y + p); break;
        case 2: TC_FN(depth_step)(2, taps, w, table, x + p, start, y + p); break;
        case 3: TC_FN(depth_step)(3, taps, w, table, x + p, start, y + p); break;
        case 4: TC_FN(depth_step)(4, taps, w, table, x + p, start, y + p); break;
        case 5: TC_FN(depth_step)(5, taps, w, table, x + p, start, y + p); break;
        case 6: TC_FN(depth_step)(6, taps, w, table, x + p, start, y + p); break;
        case 7: TC_FN(depth_step)(7, taps, w, table, x + p, start, y + p); break;
        default: TC_FN(depth_step)(8, taps, w, table, x + p, start, y + p);
        }
    }
}

/* Rows of `from` (pitch apart) to rows of `to` (w apart, which is also their length).  Narrow rows are stored as whole
 * vectors whose surplus the next row overwrites; the last ones exactly. */
static void TC_FN(depth_store)(const TC_T *restrict from, tc_int pitch, tc_int rows, tc_int w, TC_T *restrict to) {
    tc_int r = 0;
    if (w < TC_VL)
        for (; (rows - r) * w >= TC_VL; r++) TC_STORE(to + r * w, TC_LOAD(from + r * pitch));
    for (; r < rows; r++) TC_FN(copy_run)(to + r * w, from + r * pitch, w);
}

/* to[2 q] = even[q], to[2 q + 1] = odd[q], w numbers together. */
static void TC_FN(depth_zip)(const TC_T *even, const TC_T *odd, tc_int w, TC_T *restrict to) {
    tc_int q = 0;
    for (; 2 * q + 2 * TC_VL <= w; q += TC_VL) {
        TC_VEC a = TC_LOAD(even + q), b = TC_LOAD(odd + q);
        TC_STORE(to + 2 * q, TC_ZIP_LOW(a, b));
        TC_STORE(to + 2 * q + TC_VL, TC_ZIP_HIGH(a, b));
    }
    if (2 * q == w) return;
    TC_T rest[2 * TC_VL];
    TC_VEC a = TC_LOAD(even + q), b = TC_LOAD(odd + q);
    TC_STORE(rest, TC_ZIP_LOW(a, b));
    TC_STORE(rest + TC_VL, TC_ZIP_HIGH(a, b));
    tc_int left = w - 2 * q;
    if (left >= TC_VL) {
        TC_STORE(to + 2 * q, TC_LOAD(rest));
        TC_STORE(to + w - TC_VL, TC_LOAD(rest + left - TC_VL));
    } else {
        TC_FN(copy_run)(to + 2 * q, rest, left);
    }
}

/* The results of one plane, `rows` rows of the grid from r0 on, phase after phase at `from`. */
static void TC_FN(depth_place)(const TC_DEPTH *q, const TC_T *from, tc_int r0, tc_int rows, TC_T *plane) {
    tc_int pitch = q->image.pitch;
    if (q->phases == 1 && q->step_h == 1 && q->step_w == 1) {
        TC_FN(depth_store)(from, pitch, rows, q->dst_w, plane + r0 * q->dst_w);
        return;
    }
    for (tc_int f = 0; f < q->phases; f++) {
        const tc_phase *phase = q->phase + f;
        int zip = q->step_w == 2 && q->dst_w > 1;
        if (zip && phase->col == 1) continue;
        tc_int here = tc_min(rows, phase->grid_h - r0);
        for (tc_int r = 0; r < here; r++) {
            TC_T *to = plane + ((r0 + r) * q->step_h + phase->row) * q->dst_w + phase->col;
            const TC_T *row = from + f * q->flat + r * pitch;
            if (zip) TC_FN(depth_zip)(row, row + q->flat, q->dst_w, to);
            else if (q->step_w == 1) TC_FN(copy_run)(to, row, phase->grid_w);
            else for (tc_int i = 0; i < phase->grid_w; i++) to[i * q->step_w] = row[i];
        }
    }
}

static void TC_FN(depth_task)(const void *plan, tc_int task, void *scratch) {
    const TC_DEPTH *q = (const TC_DEPTH *)plan;
    const TC_IMAGE *m = &q->image;
    tc_int n, images, r0, rows, block = task % q->blocks, all = m->taps * q->sources;
    TC_FN(image_unit)(m, q->images, task / q->blocks, &n, &images, &r0, &rows);
    tc_int c0 = tc_cut(q->channels, q->blocks, block), c1 = tc_cut(q->channels, q->blocks, block + 1);
    TC_T *copy = (TC_T *)scratch + TC_NR, *w = copy + q->copy_room, *made = w + (all + 63) / 64 * 64;
    TC_FN(image_fill)(m, n, 1, r0, c0 * q->sources, c1 * q->sources, copy);
    tc_int first = c0 * q->results, last = c1 * q->results, plane_room = q->phases * q->flat;
    const TC_T *x = copy;
    for (tc_int o = first, result = 0; o < last; o++) {
        TC_T *y = made + (o - first) * plane_room;
        for (tc_int f = 0; f < q->phases; f++, y += q->flat) {
            const tc_phase *phase = q->phase + f;
            tc_int k = 0;
            for (tc_int j = o * q->sources; j < (o + 1) * q->sources; j++)
                for (tc_int t = phase->first; t < phase->first + phase->taps; t++)
                    w[k++] = q->weight[j * q->kernel + q->weight_tap[t]];
            TC_FN(depth_flat)(k, w, q->table + phase->first * q->sources, x, (rows - 1) * m->pitch + phase->grid_w,
                              q->bias ? q->bias[o] : 0, y);
        }
        if (++result == q->results) {
            result = 0;
            x += q->sources * m->channel_stride;
        }
    }
    for (tc_int o = first; o < last; o++)
        TC_FN(depth_place)(q, made + (o - first) * plane_room, r0, rows,
                           q->dst + (n * q->channels * q->results + o) * q->dst_h * q->dst_w);
}

static int TC_FN(depth_run)(TC_DEPTH *q, int threads) {
    TC_IMAGE *m = &q->image;
    if (q->images * q->channels * q->results * q->dst_h * q->dst_w == 0) return 0;
    tc_arena arena = {NULL, 0};
    for (int pass = 0; pass < 2; pass++) {  /* the first measures */
        arena.used = 0;
        TC_FN(image_layout)(m, q->images, q->sources, q->images, TC_DEPTH_COPY, &arena);
        q->table = (tc_int *)tc_take(&arena, sizeof(tc_int) * (size_t)(q->sources * m->taps));
        if (pass == 0 && !(arena.base = (char *)tc_scratch_get(arena.used))) return -1;
    }
    for (tc_int f = 0, at = 0; f < q->phases; f++)
        for (tc_int j = 0; j < q->sources; j++)
            for (tc_int t = 0; t < q->phase[f].taps; t++)
                q->table[at++] = j * m->channel_stride + m->offset[q->phase[f].first + t];
    tc_int planes = tc_max(1, TC_DEPTH_COPY / tc_max(1, q->sources * m->channel_stride));
    q->blocks = tc_max(tc_ceil_div(q->channels, planes), tc_min(q->channels, tc_ceil_div(TC_CONV_TASKS, m->units)));
    q->block = tc_ceil_div(q->channels, q->blocks);
    q->copy_room = (q->block * q->sources * m->channel_stride + m->pitch + 10 * TC_VL + 63) / 64 * 64;
    q->flat = ((m->unit_rows - 1) * m->pitch + m->grid_w + 9 * TC_VL) / TC_VL * TC_VL;
    tc_int room = TC_NR + q->copy_room + (q->sources * m->taps + 63) / 64 * 64 + q->block * q->results * q->phases * q->flat;
    int failed = tc_run(TC_FN(depth_task), q, m->units * q->blocks, sizeof(TC_T) * (size_t)room, threads);
    tc_scratch_put(arena.base);
    return failed;
}

/* y = depthwise conv(x, w) + bias */
static int TC_FN(depthwise)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw;
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(3 * taps));
    if (!list) return -1;
    for (tc_int t = 0; t < taps; t++) {
        list[t] = t / p->kw * p->dh - p->ph;
        list[taps + t] = t % p->kw * p->dw - p->pw;
        list[2 * taps + t] = t;
    }
    tc_phase all = {0, taps, 0, 0, p->oh, p->ow};
    TC_DEPTH q = {
        .image = {.data = (const TC_T *)p->x, .end = (const TC_T *)p->x + p->n * p->c * p->h * p->w, .channels_total = p->c,
                  .h = p->h, .w = p->w, .step_h = p->sh, .step_w = p->sw, .grid_h = p->oh, .grid_w = p->ow, .taps = taps,
                  .row = list, .col = list + taps},
        .images = p->n, .channels = p->c, .sources = 1, .results = p->o / p->c, .phases = 1, .phase = &all,
        .kernel = taps, .weight_tap = list + 2 * taps, .weight = (const TC_T *)p->weight, .bias = (const TC_T *)p->bias,
        .dst = (TC_T *)p->out, .dst_h = p->oh, .dst_w = p->ow, .step_h = 1, .step_w = 1};
    int failed = TC_FN(depth_run)(&q, threads);
    free(list);
    return failed;
}

/* gx: adjoint of the depthwise convolution with respect to x, applied to y = g. */
static int TC_FN(depthwise_input)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw, phases_h = tc_min(p->sh, p->h), phases_w = tc_min(p->sw, p->w), phases = phases_h * phases_w;
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(3 * taps + 2 * (p->kh + p->kw) + 1));
    tc_phase *phase = (tc_phase *)malloc(sizeof(tc_phase) * (size_t)(phases + 1));
    int failed = !list || !phase;
    if (!failed) {
        tc_int *tap_h = list + 3 * taps, *at_h = tap_h + p->kh, *tap_w = at_h + p->kh, *at_w = tap_w + p->kw, n = 0;
        for (tc_int f = 0; f < phases; f++) {
            tc_int h0 = f / phases_w, w0 = f % phases_w;
            tc_int nh = TC_FN(phase_taps)(p->kh, p->sh, p->ph, p->dh, h0, tap_h, at_h);
            tc_int nw = TC_FN(phase_taps)(p->kw, p->sw, p->pw, p->dw, w0, tap_w, at_w);
            phase[f] = (tc_phase){n, nh * nw, h0, w0, (p->h - h0 + p->sh - 1) / p->sh, (p->w - w0 + p->sw - 1) / p->sw};
            for (tc_int t = 0; t < nh * nw; t++, n++) {
                list[n] = at_h[t / nw];
                list[taps + n] = at_w[t % nw];
                list[2 * taps + n] = tap_h[t / nw] * p->kw + tap_w[t % nw];
            }
        }
        TC_DEPTH q = {
            .image = {.data = (const TC_T *)p->y, .end = (const TC_T *)p->y + p->n * p->o * p->oh * p->ow,
                      .channels_total = p->o, .h = p->oh, .w = p->ow, .step_h = 1, .step_w = 1,
                      .grid_h = tc_ceil_div(p->h, p->sh), .grid_w = tc_ceil_div(p->w, p->sw), .taps = n, .row = list,
                      .col = list + taps},
            .images = p->n, .channels = p->c, .sources = p->o / p->c, .results = 1, .phases = phases, .phase = phase,
            .kernel = taps, .weight_tap = list + 2 * taps, .weight = (const TC_T *)p->weight, .dst = (TC_T *)p->out,
            .dst_h = p->h, .dst_w = p->w, .step_h = p->sh, .step_w = p->sw};
        failed = TC_FN(depth_run)(&q, threads);
    }
    free(list);
    free(phase);
    return failed ? -1 : 0;
}

/* ---- weight gradient */
typedef struct {
    TC_IMAGE image;
    tc_int images, channels, m, chunks;
    const TC_T *g;                     /* (images, channels * m, grid_h, grid_w) */
    TC_T *gw, *partial;                /* partial: [chunk][channel * m][taps] */
    tc_int copy_room, g_stride;        /* g_stride: numbers of the copy of one plane of g */
} TC_DEPTH_GRAD;

enum { TC_FN(DEPTH_TAPS) = 9 };        /* sums held in registers */

/* acc[t] += g . x[offset_t ..] over `rows` rows of `len` numbers, both `pitch` apart; past the end of a row x is masked. */
TC_INLINE void TC_FN(depth_dots_body)(int taps, tc_int rows, tc_int len, const TC_T *x, const tc_int *offset, tc_int pitch,
                                      const TC_T *g, TC_T *sums) {
    TC_VEC acc[TC_FN(DEPTH_TAPS)];
    TC_IVEC beyond = TC_FN(tc_lanes_from)(len % TC_VL);
    TC_UNROLL
    for (int t = 0; t < taps; t++) acc[t] = TC_LOAD(sums + t * TC_VL);
    for (tc_int r = 0; r < rows; r++, x += pitch, g += pitch) {
        tc_int p = 0;
        for (; p + TC_VL <= len; p += TC_VL) {
            TC_VEC gv = TC_LOAD(g + p);
            TC_UNROLL
            for (int t = 0; t < taps; t++) acc[t] += gv * TC_LOAD(x + offset[t] + p);
        }
        if (p < len) {
            TC_VEC gv = TC_FN(tc_select)(beyond, TC_LOAD(g + p), (TC_VEC){0});
            TC_UNROLL
            for (int t = 0; t < taps; t++) acc[t] += gv * TC_FN(tc_select)(beyond, TC_LOAD(x + offset[t] + p), (TC_VEC){0});
        }
    }
    TC_UNROLL
    for (int t = 0; t < taps; t++) TC_STORE(sums + t * TC_VL, acc[t]);
}

#define TC_DOTS(n, name)                                                                                              \
    static void TC_FN(name)(tc_int rows, tc_int len, const TC_T *x, const tc_int *offset, tc_int pitch, const TC_T *g, \
                            TC_T *sums) {                                                                             \
        TC_FN(depth_dots_body)(n, rows, len, x, offset, pitch, g, sums);                                              \
    }
TC_DOTS(1, depth_dots_1)
TC_DOTS(2, depth_dots_2)
TC_DOTS(3, depth_dots_3)
TC_DOTS(4, depth_dots_4)
TC_DOTS(5, depth_dots_5)
TC_DOTS(6, depth_dots_6)
TC_DOTS(7, depth_dots_7)
TC_DOTS(8, depth_dots_8)
TC_DOTS(9, depth_dots_9)
static void (*const TC_FN(depth_dots)[])(tc_int, tc_int, const TC_T *, const tc_int *, tc_int, const TC_T *, TC_T *) = {
    TC_FN(depth_dots_1), TC_FN(depth_dots_2), TC_FN(depth_dots_3), TC_FN(depth_dots_4), TC_FN(depth_dots_5),
    TC_FN(depth_dots_6), TC_FN(depth_dots_7), TC_FN(depth_dots_8), TC_FN(depth_dots_9)};
#undef TC_DOTS

/* The gradient of one channel from one chunk, m * taps vectors of partial sums in `sums`; `exact` goes row by row. */
static void TC_FN(depth_grad_sums)(const TC_DEPTH_GRAD *q, tc_int c, tc_int chunk, int exact, TC_T *copy, TC_T *g_copy,
                                   TC_T *sums) {
    const TC_IMAGE *m = &q->image;
    const TC_T *g_end = q->g + q->images * q->channels * q->m * m->grid_h * m->grid_w;
    memset(sums, 0, sizeof(TC_T) * (size_t)(q->m * m->taps * TC_VL));
    for (tc_int unit = tc_cut(m->units, q->chunks, chunk); unit < tc_cut(m->units, q->chunks, chunk + 1); unit++) {
        tc_int n0, images, r0, rows;
        TC_FN(image_unit)(m, q->images, unit, &n0, &images, &r0, &rows);
        TC_FN(image_fill)(m, n0, images, r0, c, c + 1, copy);
        for (tc_int j = 0; j < q->m; j++) {
            for (tc_int n = 0; n < images; n++) {
                const TC_T *g = q->g + (((n0 + n) * q->channels + c) * q->m + j) * m->grid_h * m->grid_w + r0 * m->grid_w;
                TC_FN(fill_rows)(g_copy + n * q->g_stride, m->pitch, g, m->grid_w, rows, 1, m->grid_w, g_end);
            }
            tc_int parts = tc_ceil_div(m->taps, TC_FN(DEPTH_TAPS));
            for (tc_int part = 0; part < parts; part++) {
                tc_int t0 = tc_cut(m->taps, parts, part), taps = tc_cut(m->taps, parts, part + 1) - t0;
                for (tc_int n = 0; n < images; n++)
                    TC_FN(depth_dots)[taps - 1](exact ? rows : 1, exact ? m->grid_w : (rows - 1) * m->pitch + m->grid_w,
                                                copy + n * m->image_stride, m->offset + t0, m->pitch,
                                                g_copy + n * q->g_stride, sums + (j * m->taps + t0) * TC_VL);
            }
        }
    }
}

static void TC_FN(depth_grad_task)(const void *plan, tc_int task, void *scratch) {
    const TC_DEPTH_GRAD *q = (const TC_DEPTH_GRAD *)plan;
    TC_T *copy = (TC_T *)scratch + TC_NR, *g_copy = copy + q->copy_room;
    TC_T *sums = g_copy + q->image.unit_images * q->g_stride, block[TC_VL * TC_VL];
    tc_int c = task % q->channels, chunk = task / q->channels, all = q->m * q->image.taps;
    TC_T *to = q->partial + task * all;
    for (int exact = 0; exact < 2; exact++) {
        TC_T total = 0;
        TC_FN(depth_grad_sums)(q, c, chunk, exact, copy, g_copy, sums);
        for (tc_int k = 0; k < all; k += TC_VL) {
            tc_int here = tc_min(TC_VL, all - k);
            TC_FN(tc_transpose)(sums + k * TC_VL, TC_VL, here, block, TC_VL);
            TC_VEC v = TC_LOAD(block);
            for (int i = 1; i < TC_VL; i++) v += TC_LOAD(block + i * TC_VL);
            TC_STORE(block, v);
            for (tc_int i = 0; i < here; i++) {
                to[k + i] = block[i];
                total += block[i] * 0;
            }
        }
        if (total == 0) return;
    }
}

/* gw: adjoint of the depthwise convolution with respect to w, applied to y = g. */
static int TC_FN(depthwise_weight)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw, all = p->o * taps;
    if (all == 0) return 0;
    if (p->n * p->oh * p->ow == 0) {
        memset(p->out, 0, sizeof(TC_T) * (size_t)all);
        return 0;
    }
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(2 * taps));
    if (!list) return -1;
    for (tc_int t = 0; t < taps; t++) {
        list[t] = t / p->kw * p->dh - p->ph;
        list[taps + t] = t % p->kw * p->dw - p->pw;
    }
    TC_DEPTH_GRAD q = {
        .image = {.data = (const TC_T *)p->x, .end = (const TC_T *)p->x + p->n * p->c * p->h * p->w, .channels_total = p->c,
                  .h = p->h, .w = p->w, .step_h = p->sh, .step_w = p->sw, .grid_h = p->oh, .grid_w = p->ow, .taps = taps,
                  .row = list, .col = list + taps},
        .images = p->n, .channels = p->c, .m = p->o / p->c, .g = (const TC_T *)p->y, .gw = (TC_T *)p->out};
    TC_IMAGE *m = &q.image;
    tc_arena arena = {NULL, 0};
    int failed = 0;
    for (int pass = 0; pass < 2 && !failed; pass++) {  /* the first measures */
        arena.used = 0;
        TC_FN(image_layout)(m, q.images, 1, 1, TC_DEPTH_COPY, &arena);
        q.chunks = tc_min(m->units, tc_ceil_div(TC_CONV_TASKS, p->c));
        q.partial = q.chunks == 1 ? q.gw : (TC_T *)tc_take(&arena, sizeof(TC_T) * (size_t)(q.chunks * all));
        if (pass == 0) failed = !(arena.base = (char *)tc_scratch_get(arena.used));
    }
    if (!failed) {
        q.copy_room = (m->channel_stride + m->pitch + 2 * TC_VL + 63) / 64 * 64;
        q.g_stride = (m->unit_rows * m->pitch + 2 * TC_VL + 63) / 64 * 64;
        tc_int room = TC_NR + q.copy_room + m->unit_images * q.g_stride + (q.m * taps + TC_VL) * TC_VL;
        failed = tc_run(TC_FN(depth_grad_task), &q, p->c * q.chunks, sizeof(TC_T) * (size_t)room, threads);
        for (tc_int i = 0; i < all && q.chunks > 1; i++) {
            TC_T s = q.partial[i];
            for (tc_int chunk = 1; chunk < q.chunks; chunk++) s += q.partial[chunk * all + i];
            q.gw[i] = s;
        }
    }
    tc_scratch_put(arena.base);
    free(list);
    return failed ? -1 : 0;
}
#undef TC_DEPTH
#undef TC_DEPTH_GRAD
#undef TC_EVEN
#undef TC_THIRD
#undef TC_ZIP_LOW
#undef TC_ZIP_HIGH
