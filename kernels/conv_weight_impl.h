/* Weight gradient of the convolution, on the same register tile and the same padded copy of the image.
 *
 *     gw[o, k] = sum over pixels of g[pixel, o] * x[pixel + offset_k]        k = (channel, tap)
 *
 * Two forms, chosen by shape:
 *     outer   the transposed product gw^T = X^T G: rows of the tile are TC_MR offsets into the padded copy, broadcast;
 *             columns are output channels, from g transposed to [pixel][channel].  No matrix of columns, any stride.
 *     dot     with few output channels most lanes of `outer` would be idle: then the vectors run along the pixels of a
 *             row, for DOT_O channels x DOT_K offsets at a time, and the lanes are added at the end.  Past the end of a
 *             row x is masked, since 0 * Inf would not be 0.
 *
 * Determinism.  The units (images, bands of rows) are cut into a number of chunks that depends on the shape only.  A
 * chunk is summed in order into its own partial gradient; the partial gradients are added in order.
 *
 * A task is one chunk, for one group, one panel of output channels and one slice of input channels.
 */
#define TC_GRAD TC_FN(conv_weight_plan)
#if TC_MR == 14
#define TC_DOT_O 6          /* 6 x 4 accumulators, 4 vectors of x, one of g */
#define TC_DOT_K 4
#else
#define TC_DOT_O 3
#define TC_DOT_K 4
#endif

typedef struct {
    TC_IMAGE image;
    tc_int images, groups, in, out;    /* channels per group */
    const TC_T *g;                     /* (images, groups * out, grid_h, grid_w) */
    tc_int pixels;                     /* grid_h * grid_w */
    int dot;
    tc_int panels, panel_width;        /* of output channels, per task */
    tc_int slices, chunks;
    tc_int *table;
    TC_T *partial;                     /* [chunk][group][panel][k][panel_width]; dot: [chunk][group][o][k] */
    TC_T *gw;
    tc_int copy_room, g_pitch;         /* g_pitch: numbers per row of g in dot form */
} TC_GRAD;

/* sums[o][k] for no channels and TC_DOT_K offsets, over `rows` rows of `len` pixels. */
TC_INLINE void TC_FN(dot_tile)(int no, tc_int rows, tc_int len, const TC_T *x, const tc_int *offset, tc_int pitch,
                               const TC_T *g, tc_int g_pitch, tc_int g_plane, TC_T sums[TC_DOT_O][TC_DOT_K]) {
    TC_VEC acc[TC_DOT_O][TC_DOT_K];
    TC_IVEC beyond = TC_FN(tc_lanes_from)((len - 1) % TC_VL + 1);
    TC_UNROLL
    for (int o = 0; o < no; o++) {
        TC_UNROLL
        for (int k = 0; k < TC_DOT_K; k++) acc[o][k] = (TC_VEC){0};
    }
    for (tc_int r = 0; r < rows; r++, x += pitch, g += g_pitch) {
        for (tc_int p = 0; p < len; p += TC_VL) {
            TC_VEC xv[TC_DOT_K];
            TC_UNROLL
            for (int k = 0; k < TC_DOT_K; k++) xv[k] = TC_LOAD(x + offset[k] + p);
            if (p + TC_VL > len) {
                TC_UNROLL
                for (int k = 0; k < TC_DOT_K; k++) xv[k] = TC_FN(tc_select)(beyond, xv[k], (TC_VEC){0});
            }
            TC_UNROLL
            for (int o = 0; o < no; o++) {
                TC_VEC gv = TC_LOAD(g + o * g_plane + p);
                TC_UNROLL
                for (int k = 0; k < TC_DOT_K; k++) acc[o][k] += gv * xv[k];
            }
        }
    }
    for (int o = 0; o < no; o++)
        for (int k = 0; k < TC_DOT_K; k++) {
            TC_T s = 0;
            for (int i = 0; i < TC_VL; i++) s += acc[o][k][i];
            sums[o][k] = s;
        }
}

#define TC_DOT_ARGS                                                                                                \
    tc_int rows, tc_int len, const TC_T *x, const tc_int *offset, tc_int pitch, const TC_T *g, tc_int g_pitch,     \
        tc_int g_plane, TC_T sums[TC_DOT_O][TC_DOT_K]
#define TC_DOT(no, name)                                                                                           \
    static void TC_FN(name)(TC_DOT_ARGS) {                                                                         \
        TC_FN(dot_tile)(no, rows, len, x, offset, pitch, g, g_pitch, g_plane, sums);                               \
    }
TC_DOT(1, dot_tile_1)
TC_DOT(2, dot_tile_2)
TC_DOT(3, dot_tile_3)
#if TC_DOT_O == 6
TC_DOT(4, dot_tile_4)
TC_DOT(5, dot_tile_5)
TC_DOT(6, dot_tile_6)
#endif
static void (*const TC_FN(dot_tiles)[TC_DOT_O])(TC_DOT_ARGS) = {
    TC_FN(dot_tile_1), TC_FN(dot_tile_2), TC_FN(dot_tile_3),
#if TC_DOT_O == 6
    TC_FN(dot_tile_4), TC_FN(dot_tile_5), TC_FN(dot_tile_6),
#endif
};

/* One image of a unit, dot form: g rows go to a padded copy, so that whole vectors can be read. */
static void TC_FN(dot_image)(const TC_GRAD *q, const TC_T *g, tc_int o_count, tc_int rows, const TC_T *copy, tc_int k,
                             TC_T *to, tc_int to_pitch, int add, TC_T *g_copy) {
    const TC_IMAGE *m = &q->image;
    tc_int len = m->grid_w, plane = rows * q->g_pitch;
    for (tc_int o = 0; o < o_count; o++)
        for (tc_int r = 0; r < rows; r++) {
            TC_T *row = g_copy + o * plane + r * q->g_pitch;
            TC_FN(copy_run)(row, g + o * q->pixels + r * len, len);
            for (tc_int p = len; p < q->g_pitch; p++) row[p] = 0;
        }
    tc_int blocks = tc_ceil_div(o_count, TC_DOT_O);
    for (tc_int k0 = 0; k0 < k; k0 += TC_DOT_K) {
        tc_int offset[TC_DOT_K], nk = tc_min(TC_DOT_K, k - k0);
        for (int i = 0; i < TC_DOT_K; i++) offset[i] = q->table[tc_min(k0 + i, k - 1)];
        for (tc_int block = 0; block < blocks; block++) {
            tc_int o0 = tc_cut(o_count, blocks, block), no = tc_cut(o_count, blocks, block + 1) - o0;
            TC_T sums[TC_DOT_O][TC_DOT_K];
            TC_FN(dot_tiles)[no - 1](rows, len, copy, offset, m->pitch, g_copy + o0 * plane, q->g_pitch, plane, sums);
            for (tc_int o = 0; o < no; o++)
                for (tc_int i = 0; i < nk; i++) {
                    TC_T *s = to + (o0 + o) * to_pitch + k0 + i;
                    *s = add ? *s + sums[o][i] : sums[o][i];
                }
        }
    }
}

/* One image of a unit, outer form. */
static void TC_FN(outer_image)(const TC_GRAD *q, const TC_T *g, tc_int o_count, tc_int rows, const TC_T *copy, tc_int k,
                               TC_T *to, int add, TC_T *g_copy) {
    const TC_IMAGE *m = &q->image;
    int nv = o_count > TC_VL ? 2 : 1;
    TC_FN(pack_b)(rows * m->grid_w, o_count, g, 1, q->pixels, g_copy);
    tc_int blocks = tc_ceil_div(k, TC_MR);
    for (tc_int block = 0; block < blocks; block++) {
        tc_int i0 = tc_cut(k, blocks, block), mr = tc_cut(k, blocks, block + 1) - i0;
        TC_TILE_OUT out = {to + i0 * q->panel_width, q->panel_width, add, NULL, NULL};
        TC_FN(tile_rows)[nv - 1][mr - 1](rows, m->grid_w, m->pitch, copy, q->table + i0, g_copy, TC_NR, &out);
    }
}

static void TC_FN(grad_task)(const void *plan, tc_int task, void *scratch) {
    const TC_GRAD *q = (const TC_GRAD *)plan;
    const TC_IMAGE *m = &q->image;
    TC_T *copy = (TC_T *)scratch, *g_copy = copy + q->copy_room;
    tc_int slice = task % q->slices, panel = task / q->slices % q->panels;
    tc_int group = task / q->slices / q->panels % q->groups, chunk = task / q->slices / q->panels / q->groups;
    tc_int c0 = tc_cut(q->in, q->slices, slice), c1 = tc_cut(q->in, q->slices, slice + 1), k = (c1 - c0) * m->taps;
    tc_int all_k = q->in * m->taps, o0 = panel * q->panel_width, o_count = tc_min(q->panel_width, q->out - o0);
    TC_T *to = q->partial + (((chunk * q->groups + group) * q->panels + panel) * all_k) * q->panel_width;
    to += q->dot ? c0 * m->taps : c0 * m->taps * q->panel_width;
    tc_int unit0 = tc_cut(m->units, q->chunks, chunk), unit1 = tc_cut(m->units, q->chunks, chunk + 1);
    for (tc_int unit = unit0; unit < unit1; unit++) {
        tc_int n0, images, r0, rows;
        TC_FN(image_unit)(m, q->images, unit, &n0, &images, &r0, &rows);
        TC_FN(image_fill)(m, n0, images, r0, group * q->in + c0, group * q->in + c1, copy);
        for (tc_int n = 0; n < images; n++) {
            const TC_T *g = q->g + ((n0 + n) * q->groups * q->out + group * q->out + o0) * q->pixels + r0 * m->grid_w;
            const TC_T *x = copy + n * m->image_stride;
            int add = unit > unit0 || n > 0;
            if (q->dot) TC_FN(dot_image)(q, g, o_count, rows, x, k, to, all_k, add, g_copy);
            else TC_FN(outer_image)(q, g, o_count, rows, x, k, to, add, g_copy);
        }
    }
}

/* Task: add up the partial gradients of one output channel, in the order of the chunks. */
static void TC_FN(grad_sum_task)(const void *plan, tc_int task, void *scratch) {
    const TC_GRAD *q = (const TC_GRAD *)plan;
    tc_int all_k = q->in * q->image.taps, group = task / q->out, o = task % q->out, panel = o / q->panel_width;
    tc_int lane = o - panel * q->panel_width, step = q->dot ? 1 : q->panel_width;
    tc_int chunk_size = q->groups * q->panels * all_k * q->panel_width;
    const TC_T *from = q->partial + (group * q->panels + panel) * all_k * q->panel_width;
    from += q->dot ? lane * all_k : lane;
    TC_T *to = q->gw + task * all_k;
    (void)scratch;
    for (tc_int k = 0; k < all_k; k++) {
        TC_T s = from[k * step];
        for (tc_int chunk = 1; chunk < q->chunks; chunk++) s += from[k * step + chunk * chunk_size];
        to[k] = s;
    }
}

static void TC_FN(grad_layout)(TC_GRAD *q, tc_arena *arena) {
    TC_IMAGE *m = &q->image;
    tc_int row_vectors = tc_ceil_div(m->grid_w, TC_VL);
    q->dot = q->out * row_vectors < m->grid_w * tc_ceil_div(q->out, TC_VL);
    q->panel_width = q->dot ? tc_min(q->out, TC_NR) : q->out > TC_VL ? TC_NR : TC_VL;
    q->panels = tc_ceil_div(q->out, q->panel_width);
    q->slices = tc_max(1, tc_min(q->in, tc_ceil_div(q->in * m->taps, 2 * TC_CONV_SLICE)));
    tc_int channels = tc_ceil_div(q->in, q->slices), jobs = q->groups * q->panels * q->slices;
    tc_int wanted = tc_ceil_div(TC_CONV_TASKS, jobs);
    TC_FN(image_layout)(m, q->images, channels, wanted, TC_CONV_IMAGE, arena);
    tc_int size = q->groups * q->panels * q->in * m->taps * q->panel_width;
    q->chunks = tc_max(1, tc_min(tc_min(wanted, m->units), TC_CONV_PARTIAL / tc_max(1, size)));
    q->g_pitch = row_vectors * TC_VL;
    q->table = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)(channels * m->taps));
    q->partial = (TC_T *)tc_take(arena, sizeof(TC_T) * (size_t)(q->chunks * size));
    for (tc_int c = 0; arena->base && c < channels; c++)
        for (tc_int t = 0; t < m->taps; t++) q->table[c * m->taps + t] = c * m->channel_stride + m->offset[t];
    q->copy_room = (channels * m->channel_stride + m->pitch + 2 * TC_VL + 63) / 64 * 64;
}

/* gw: adjoint of conv with respect to w, applied to y = g. */
static int TC_FN(conv_weight)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw;
    if (p->o * (p->c / p->groups) * taps == 0) return 0;
    if (p->n * p->oh * p->ow == 0) {
        memset(p->out, 0, sizeof(TC_T) * (size_t)(p->o * (p->c / p->groups) * taps));
        return 0;
    }
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(2 * taps));
    if (!list) return -1;
    for (tc_int t = 0; t < taps; t++) {
        list[t] = t / p->kw * p->dh - p->ph;
        list[taps + t] = t % p->kw * p->dw - p->pw;
    }
    TC_GRAD q = {
        .image = {.data = (const TC_T *)p->x, .end = (const TC_T *)p->x + p->n * p->c * p->h * p->w,
                  .channels_total = p->c, .h = p->h, .w = p->w, .step_h = p->sh,
                  .step_w = p->sw, .grid_h = p->oh, .grid_w = p->ow, .taps = taps, .row = list, .col = list + taps},
        .images = p->n, .groups = p->groups, .in = p->c / p->groups, .out = p->o / p->groups,
        .g = (const TC_T *)p->y, .pixels = p->oh * p->ow, .gw = (TC_T *)p->out};
    tc_arena arena = {NULL, 0};
    TC_FN(grad_layout)(&q, &arena);
    arena.base = (char *)tc_scratch_get(arena.used);
    int failed = !arena.base;
    if (!failed) {
        arena.used = 0;
        TC_FN(grad_layout)(&q, &arena);
        tc_int rows = q.image.unit_rows;
        tc_int g_room = q.dot ? q.panel_width * rows * q.g_pitch : rows * p->ow * TC_NR + TC_VL;
        size_t bytes = sizeof(TC_T) * (size_t)(q.copy_room + g_room);
        failed = tc_run(TC_FN(grad_task), &q, q.chunks * q.groups * q.panels * q.slices, bytes, threads);
        if (!failed) {
            tc_int sums = q.chunks * p->o * q.in * taps;
            failed = tc_run(TC_FN(grad_sum_task), &q, p->o, 64, sums < 65536 ? 1 : threads);
        }
    }
    tc_scratch_put(arena.base);
    free(list);
    return failed ? -1 : 0;
}

#undef TC_GRAD
#undef TC_DOT
#undef TC_DOT_ARGS
#undef TC_DOT_O
#undef TC_DOT_K
