/* The convolution's adjoint in the input as one product and a sum ("fold", or col2im).
 *
 *     P[(c, i, j), pixel] = sum over o of w[o, c, i, j] * g[o, pixel]
 *     gx[c, y, x]         = sum over the taps (i, j) that reach (y, x) of P[(c, i, j), the pixel that they reach it from]
 *
 * conv_impl.h takes the channels of gx for the rows of the tile and looks for every pixel of gx at all taps of its phase.
 * With few channels the tile has few rows; where padding is added to g, taps meet zeros; and each phase of the stride copies
 * g once more.  Here the rows are (channel, tap), nothing is multiplied by a zero, and g is copied once.  The price is to
 * write P and to read it again, from the second cache.
 *
 * The sum gathers: a vector of neighbouring pixels of a phase of gx is a sum of vectors of P, one for each tap, in which the
 * lanes that come from beside the image are masked (P has no padding).
 *
 * A task is a unit (some images), a group and a part of its channels.  All cuts depend on the shape alone.
 */
#define TC_FOLDED TC_FN(conv_fold_plan)

typedef struct {
    const tc_conv_problem *p;
    tc_int in, out, taps, pixels;      /* in: channels per group of g, out: of gx; pixels of an image of g */
    tc_int parts, images, units;       /* of `out`; in a unit; of the batch */
    tc_int slices;                     /* of `in` */
    tc_int vectors;                    /* for a row of a phase of gx, at most */
    tc_int pitch, before, after;       /* of P: between its rows; numbers that may be read before and after it */
    /* Rows of gx, then its columns: t = phase[s] .. phase[s + 1] - 1 belong to phase s: tap[t], which reads g at[t] further
     * on (phase_taps). */
    tc_int *phase, *tap, *at, *col_phase, *col_tap, *col_at;
    TC_T *mask;                        /* [column tap][vector][lane]: all bits set where the tap reads a pixel of g */
    TC_T *weight;                      /* packed: [group][part][slice][block][k][rows of the block] */
} TC_FOLDED;

/* Task: pack the weights of a group and a part. */
static void TC_FN(fold_weight_task)(const void *plan, tc_int task, void *scratch) {
    const TC_FOLDED *q = (const TC_FOLDED *)plan;
    tc_int part = task % q->parts, group = task / q->parts, all = q->out * q->taps;
    tc_int row0 = tc_cut(q->out, q->parts, part) * q->taps, rows = tc_cut(q->out, q->parts, part + 1) * q->taps - row0;
    tc_int blocks = tc_ceil_div(rows, TC_MR);
    TC_T *to = q->weight + (group * all + row0) * q->in;
    const TC_T *from = (const TC_T *)q->p->weight + group * q->in * all + row0;
    (void)scratch;
    for (tc_int slice = 0; slice < q->slices; slice++) {
        tc_int k0 = tc_cut(q->in, q->slices, slice), k = tc_cut(q->in, q->slices, slice + 1) - k0;
        for (tc_int block = 0; block < blocks; block++) {
            tc_int i0 = tc_cut(rows, blocks, block), m = tc_cut(rows, blocks, block + 1) - i0;
            TC_FN(pack_a)(m, k, from + k0 * all + i0, 1, all, to);
            to += m * k;
        }
    }
}

/* Columns j .. j + n - 1 of k channels of g, n <= TC_NR; a column is a pixel of one of the images. */
static void TC_FN(fold_pack)(const TC_FOLDED *q, tc_int k, tc_int j, tc_int n, const TC_T *g, TC_T *to) {
    tc_int image = q->p->o * q->pixels, len;
    if (n < TC_NR) memset(to, 0, sizeof(TC_T) * (size_t)(k * TC_NR));
    for (tc_int end = j + n; j < end; j += len, to += len) {
        const TC_T *from = g + j / q->pixels * image + j % q->pixels;
        len = tc_min(end - j, q->pixels - j % q->pixels);
        for (tc_int p = 0; p < k; p++) TC_FN(copy_run)(to + p * TC_NR, from + p * q->pixels, len);
    }
}

/* A row of a phase of gx: the sum of the taps of row phase s and column phase t, for grid row r.  `from` is the P of an
 * image and a channel. */
TC_INLINE void TC_FN(fold_row)(const TC_FOLDED *q, tc_int s, tc_int t, tc_int r, tc_int width, const TC_T *from, TC_T *to) {
    const tc_conv_problem *p = q->p;
    for (tc_int v = 0; v * TC_VL < width; v++) {
        TC_VEC sum = {0};
        for (tc_int i = q->phase[s]; i < q->phase[s + 1]; i++) {
            tc_int row = r + q->at[i];
            if (row < 0 || row >= p->oh) continue;
            const TC_T *line = from + q->tap[i] * p->kw * q->pitch + row * p->ow + v * TC_VL;
            for (tc_int j = q->col_phase[t]; j < q->col_phase[t + 1]; j++) {
                TC_IVEC mask = (TC_IVEC)TC_LOAD(q->mask + (j * q->vectors + v) * TC_VL);
                sum += (TC_VEC)(mask & (TC_IVEC)TC_LOAD(line + q->col_tap[j] * q->pitch + q->col_at[j]));
            }
        }
        TC_STORE(to + v * TC_VL, sum);
    }
}

static void TC_FN(fold_task)(const void *plan, tc_int task, void *scratch) {
    const TC_FOLDED *q = (const TC_FOLDED *)plan;
    const tc_conv_problem *p = q->p;
    tc_int part = task % q->parts, group = task / q->parts % p->groups, unit = task / q->parts / p->groups;
    tc_int n0 = unit * q->images, images = tc_min(q->images, p->n - n0), columns = images * q->pixels;
    tc_int c0 = tc_cut(q->out, q->parts, part), channels = tc_cut(q->out, q->parts, part + 1) - c0;
    tc_int rows = channels * q->taps, blocks = tc_ceil_div(rows, TC_MR);
    TC_T *row = (TC_T *)scratch, *packed = row + q->vectors * TC_VL;
    TC_T *products = packed + tc_ceil_div(q->in, q->slices) * TC_NR + q->before;
    const TC_T *g = (const TC_T *)p->y + (n0 * p->o + group * q->in) * q->pixels;

    for (tc_int j = 0; j < columns; j += TC_NR) {
        tc_int n = tc_min(TC_NR, columns - j), nv = n > TC_VL ? 2 : 1;
        const TC_T *a = q->weight + (group * q->out + c0) * q->taps * q->in;
        for (tc_int slice = 0; slice < q->slices; slice++) {
            tc_int k0 = tc_cut(q->in, q->slices, slice), k = tc_cut(q->in, q->slices, slice + 1) - k0;
            TC_FN(fold_pack)(q, k, j, n, g + k0 * q->pixels, packed);
            for (tc_int block = 0; block < blocks; block++) {
                tc_int i0 = tc_cut(rows, blocks, block), m = tc_cut(rows, blocks, block + 1) - i0;
                TC_TILE_OUT out = {products + i0 * q->pitch + j, q->pitch, slice > 0, NULL, NULL};
                TC_FN(tile_panels)[nv - 1][m - 1](k, a, packed, TC_NR, &out);
                a += m * k;
            }
        }
    }
    for (tc_int n = 0; n < images; n++)
        for (tc_int c = 0; c < channels; c++) {
            const TC_T *from = products + c * q->taps * q->pitch + n * q->pixels;
            TC_T *to = (TC_T *)p->out + ((n0 + n) * p->c + group * q->out + c0 + c) * p->h * p->w;
            for (tc_int y = 0; y < p->h; y++)
                for (tc_int t = 0; t < tc_min(p->sw, p->w); t++) {
                    tc_int width = (p->w - t + p->sw - 1) / p->sw;
                    TC_FN(fold_row)(q, y % p->sh, t, y / p->sh, width, from, row);
                    if (p->sw == 1) TC_FN(copy_run)(to + y * p->w, row, width);
                    else TC_FN(store_apart)(to + y * p->w + t, p->sw, row, width);
                }
        }
}

/* Taps of each phase, one after another. */
static void TC_FN(fold_phases)(tc_int size, tc_int stride, tc_int pad, tc_int dilation, tc_int *phase, tc_int *tap,
                               tc_int *at) {
    phase[0] = 0;
    for (tc_int s = 0; s < stride; s++)
        phase[s + 1] = phase[s] + TC_FN(phase_taps)(size, stride, pad, dilation, s, tap + phase[s], at + phase[s]);
}

/* Everything the tasks share; called twice, first to measure (arena->base == NULL). */
static void TC_FN(fold_layout)(TC_FOLDED *q, tc_arena *arena) {
    const tc_conv_problem *p = q->p;
    q->in = p->o / p->groups;
    q->out = p->c / p->groups;
    q->taps = p->kh * p->kw;
    q->pixels = p->oh * p->ow;
    q->slices = tc_ceil_div(q->in, TC_CONV_SLICE);
    q->vectors = tc_ceil_div(tc_ceil_div(p->w, p->sw), TC_VL);
    /* Parts for the cache; then for the threads, as long as a part has two blocks of rows (each copies g again). */
    tc_int fit = tc_max(1, TC_CONV_FOLD / (q->taps * q->pixels));
    q->parts = tc_ceil_div(q->out, fit);
    q->parts = tc_max(q->parts, tc_min(TC_CONV_TASKS / (p->n * p->groups), q->out * q->taps / (2 * TC_MR)));
    q->parts = tc_min(q->parts, q->out);
    /* Small maps share panels, as long as there are enough tasks. */
    tc_int channels = tc_ceil_div(q->out, q->parts);
    q->images = tc_min(tc_ceil_div(8 * TC_NR, q->pixels), TC_CONV_FOLD / (channels * q->taps * q->pixels));
    q->images = tc_max(1, tc_min(q->images, p->n * p->groups * q->parts / TC_CONV_TASKS));
    q->units = tc_ceil_div(p->n, q->images);
    q->pitch = tc_ceil_div(q->images * q->pixels, TC_VL) * TC_VL;
    if (q->pitch * TC_TBYTES % 2048 == 0) q->pitch += TC_VL; /* such rows would share the places of the first cache */
    q->phase = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)(p->sh + 1 + 2 * p->kh));
    q->col_phase = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)(p->sw + 1 + 2 * p->kw));
    q->mask = (TC_T *)tc_take(arena, sizeof(TC_T) * (size_t)(p->kw * q->vectors * TC_VL));
    q->weight = (TC_T *)tc_take(arena, sizeof(TC_T) * (size_t)(p->o * q->out * q->taps));
    if (!arena->base) return;
    q->tap = q->phase + p->sh + 1;
    q->at = q->tap + p->kh;
    q->col_tap = q->col_phase + p->sw + 1;
    q->col_at = q->col_tap + p->kw;
    TC_FN(fold_phases)(p->kh, p->sh, p->ph, p->dh, q->phase, q->tap, q->at);
    TC_FN(fold_phases)(p->kw, p->sw, p->pw, p->dw, q->col_phase, q->col_tap, q->col_at);
    q->before = q->after = 0;
    for (tc_int j = 0; j < p->kw; j++) {
        q->before = tc_max(q->before, -q->col_at[j]);
        q->after = tc_max(q->after, q->col_at[j] + q->vectors * TC_VL);
        for (tc_int v = 0; v < q->vectors; v++) {
            TC_IVEC mask;
            for (tc_int lane = 0; lane < TC_VL; lane++) {
                tc_int x = v * TC_VL + lane + q->col_at[j];
                mask[lane] = x >= 0 && x < p->ow ? -1 : 0;
            }
            TC_STORE(q->mask + (j * q->vectors + v) * TC_VL, (TC_VEC)mask);
        }
    }
}

static int TC_FN(fold)(const tc_conv_problem *p, int threads) {
    tc_arena arena = {NULL, 0};
    TC_FOLDED q = {.p = p};
    TC_FN(fold_layout)(&q, &arena);
    arena.base = (char *)tc_scratch_get(arena.used);
    if (!arena.base) return -1;
    arena.used = 0;
    TC_FN(fold_layout)(&q, &arena);
    tc_int rows = tc_ceil_div(q.out, q.parts) * q.taps, weights = p->o * q.out * q.taps;
    tc_int room = q.vectors * TC_VL + tc_ceil_div(q.in, q.slices) * TC_NR + q.before + rows * q.pitch + q.after;
    int failed = tc_run(TC_FN(fold_weight_task), &q, p->groups * q.parts, 64, weights < 32768 ? 1 : threads);
    if (!failed)
        failed = tc_run(TC_FN(fold_task), &q, q.units * p->groups * q.parts, sizeof(TC_T) * (size_t)room, threads);
    tc_scratch_put(arena.base);
    return failed;
}
#undef TC_FOLDED
