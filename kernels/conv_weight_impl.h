/* Weight gradient of the convolution, on the same register tile and the same padded copy of the image.
 *
 *     gw[o, k] = sum over pixels of g[pixel, o] * x[pixel + offset_k]        k = (channel, tap)
 *
 * Two forms, chosen by shape:
 *     outer   the transposed product gw^T = X^T G: rows of the tile are offsets into the padded copy, broadcast; columns
 *             are output channels, from g transposed to [pixel][channel].  No matrix of columns, any stride.  The sum runs
 *             over (image, row, pixel), so that small maps make long sums too.
 *     dot     with few output channels most lanes of `outer` would be idle: then the vectors run along the pixels of a
 *             row, for DOT_O channels x DOT_K offsets at a time, and the lanes are added at the end.  Past the end of a
 *             row x is masked, since 0 * Inf would not be 0.  Adding the lanes takes as long as a few vectors, so it pays if
 *             there are enough of them: a block is as many images or rows of g as stay in L1.
 *
 * Determinism.  The units (images, bands of rows) are cut into a number of chunks that depends on the shape only.  A
 * chunk is summed in order into its own partial gradient; the partial gradients are added in order.
 *
 * A task is one chunk, for one group, a slice of the input channels and some panels of output channels.
 */
#include "conv_tile_impl.h"

#define TC_OUTER_PIXELS 160 /* pixels of g per block, about */
#define TC_GRAD TC_FN(conv_weight_plan)
#if TC_MR == 14
#define TC_DOT_O 6          /* 6 x 4 accumulators, 4 vectors of x, one of g */
#define TC_DOT_K 4
#else
#define TC_DOT_O 3
#define TC_DOT_K 4
#endif
#define TC_DOT_LANES 8     /* vectors that take as long as adding the lanes of a sum */

typedef struct {
    TC_IMAGE image;
    tc_int images, groups, in, out;    /* channels per group */
    const TC_T *g;                     /* (images, groups * out, grid_h, grid_w) */
    tc_int pixels;                     /* grid_h * grid_w */
    int dot;
    tc_int panels, panel_width;        /* of output channels */
    tc_int panel_size;                 /* numbers in the partial gradient of a panel */
    tc_int slices, parts, chunks;      /* of input channels, panels, units: a task is one of each */
    tc_int block_images, block_rows, block_pixels;
    tc_int sum_pieces;
    tc_int *table;
    TC_T *partial;                     /* [chunk][group][panel][k][panel_width]; dot: [chunk][group][o][k] */
    TC_T *gw;
    tc_int copy_room, g_room, g_pitch; /* g_pitch: numbers per row of g in dot form */
} TC_GRAD;

/* The sums of the lanes of four vectors a, b, c, d. */
TC_INLINE void TC_FN(sum_lanes)(const TC_VEC v[TC_DOT_K], TC_T sums[TC_DOT_K]) {
    TC_VEC ab = TC_ZIP_LOW(v[0], v[1]) + TC_ZIP_HIGH(v[0], v[1]);
    TC_VEC cd = TC_ZIP_LOW(v[2], v[3]) + TC_ZIP_HIGH(v[2], v[3]);
#if TC_VL == 2
    TC_STORE(sums, ab);
    TC_STORE(sums + 2, cd);
#else
    TC_T lane[TC_VL]; /* of a, c, b, d in turn */
    TC_STORE(lane, TC_ZIP_LOW(ab, cd) + TC_ZIP_HIGH(ab, cd));
    TC_UNROLL
    for (int k = 0; k < TC_DOT_K; k++) {
        sums[k % 2 * 2 + k / 2] = lane[k];
        TC_UNROLL
        for (int i = k + TC_DOT_K; i < TC_VL; i += TC_DOT_K) sums[k % 2 * 2 + k / 2] += lane[i];
    }
#endif
}

/* sums[o][k] for no channels and TC_DOT_K offsets, over runs->len pixels of each row of each image of g. */
TC_INLINE void TC_FN(dot_tile)(int no, const TC_RUNS *runs, const TC_T *x, const tc_int *offset, const TC_T *g,
                               tc_int g_pitch, tc_int g_plane, TC_T sums[TC_DOT_O][TC_DOT_K]) {
    TC_VEC acc[TC_DOT_O][TC_DOT_K];
    tc_int len = runs->len, image_skip = runs->image_skip - runs->rows * runs->row_skip;
    TC_IVEC beyond = TC_FN(tc_lanes_from)((len - 1) % TC_VL + 1);
    TC_UNROLL
    for (int o = 0; o < no; o++) {
        TC_UNROLL
        for (int k = 0; k < TC_DOT_K; k++) acc[o][k] = (TC_VEC){0};
    }
    for (tc_int r = 0, all = runs->images * runs->rows, row = 0; r < all; r++, x += runs->row_skip, g += g_pitch) {
        if (row == runs->rows) {
            row = 0;
            x += image_skip;
        }
        row++;
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
    TC_UNROLL
    for (int o = 0; o < no; o++) TC_FN(sum_lanes)(acc[o], sums[o]);
}

#define TC_DOT_ARGS                                                                                                \
    const TC_RUNS *runs, const TC_T *x, const tc_int *offset, const TC_T *g, tc_int g_pitch, tc_int g_plane,       \
        TC_T sums[TC_DOT_O][TC_DOT_K]
#define TC_DOT(no, name)                                                                                           \
    static void TC_FN(name)(TC_DOT_ARGS) {                                                                         \
        TC_FN(dot_tile)(no, runs, x, offset, g, g_pitch, g_plane, sums);                                           \
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

/* A unit of a panel, dot form: rows of a block of g go to a padded copy, so that whole vectors can be read. */
static void TC_FN(dot_unit)(const TC_GRAD *q, tc_int images, tc_int rows, const TC_T *g, tc_int o_count, const TC_T *copy,
                            tc_int k, TC_T *to, int add, TC_T *g_copy) {
    const TC_IMAGE *m = &q->image;
    tc_int len = m->grid_w, to_pitch = q->in * m->taps, blocks = tc_ceil_div(o_count, TC_DOT_O);
    for (tc_int block = 0; block < blocks; block++) {
        tc_int o0 = tc_cut(o_count, blocks, block), no = tc_cut(o_count, blocks, block + 1) - o0;
        int sum = add;
        for (tc_int n = 0; n < images; n += q->block_images)
            for (tc_int r = 0; r < rows; r += q->block_rows, sum = 1) {
                TC_RUNS runs = {tc_min(q->block_images, images - n), m->image_stride, tc_min(q->block_rows, rows - r),
                                m->pitch, len};
                const TC_T *x = copy + n * m->image_stride + r * m->pitch;
                tc_int plane = runs.images * runs.rows * q->g_pitch;
                TC_T *row = g_copy;
                for (tc_int o = o0; o < o0 + no; o++)
                    for (tc_int i = n; i < n + runs.images; i++)
                        for (tc_int p = r; p < r + runs.rows; p++, row += q->g_pitch) {
                            TC_STORE(row + q->g_pitch - TC_VL, (TC_VEC){0});
                            TC_FN(copy_run)(row, g + (i * q->groups * q->out + o) * q->pixels + p * len, len);
                        }
                for (tc_int k0 = 0; k0 < k; k0 += TC_DOT_K) {
                    tc_int offset[TC_DOT_K], nk = tc_min(TC_DOT_K, k - k0);
                    TC_T sums[TC_DOT_O][TC_DOT_K];
                    for (int i = 0; i < TC_DOT_K; i++) offset[i] = q->table[tc_min(k0 + i, k - 1)];
                    TC_FN(dot_tiles)[no - 1](&runs, x, offset, g_copy, q->g_pitch, plane, sums);
                    for (tc_int o = 0; o < no; o++)
                        for (tc_int i = 0; i < nk; i++) {
                            TC_T *s = to + (o0 + o) * to_pitch + k0 + i;
                            *s = sum ? *s + sums[o][i] : sums[o][i];
                        }
                }
            }
    }
}

/* out[p * width + o] = g[o * plane + p] for p < pixels, o < o_count; the other lanes repeat channels. */
static void TC_FN(pack_pixels)(tc_int pixels, tc_int o_count, const TC_T *g, tc_int plane, tc_int width,
                               TC_T *restrict out) {
    for (tc_int o = 0; o < o_count; o += TC_VL) {
        const TC_T *from = g + o * plane;
        tc_int channels = tc_min(TC_VL, o_count - o);
        if (pixels < TC_VL) {
            for (tc_int p = 0; p < pixels; p++)
                for (tc_int i = 0; i < TC_VL; i++) out[p * width + o + i] = from[tc_min(i, channels - 1) * plane + p];
            continue;
        }
        tc_int p = 0;
        for (; p + TC_VL <= pixels; p += TC_VL) TC_FN(tc_transpose)(from + p, plane, channels, out + p * width + o, width);
        p = pixels - TC_VL; /* once more, so that the last pixels are within a whole block */
        if (pixels % TC_VL) TC_FN(tc_transpose)(from + p, plane, channels, out + p * width + o, width);
    }
}

/* A unit, outer form: blocks of about OUTER_PIXELS pixels of all panels of the task, transposed; a panel of a block stays
 * in L1 while all rows of the tile go over it. */
static void TC_FN(outer_unit)(const TC_GRAD *q, tc_int n0, tc_int images, tc_int r0, tc_int rows, tc_int o0, tc_int o_end,
                              const TC_T *copy, tc_int k, TC_T *to, int add, TC_T *g_copy) {
    const TC_IMAGE *m = &q->image;
    tc_int width = q->panel_width, block_room = q->block_pixels * width, blocks = tc_ceil_div(k, TC_WIDE_M);
    for (tc_int n = 0; n < images; n += q->block_images) {
        for (tc_int r = 0; r < rows; r += q->block_rows, add = 1) {
            TC_RUNS runs = {tc_min(q->block_images, images - n), m->image_stride, tc_min(q->block_rows, rows - r), m->pitch,
                            m->grid_w};
            tc_int pixels = runs.rows * runs.len;
            const TC_T *x = copy + n * m->image_stride + r * m->pitch;
            for (tc_int o = o0; o < o_end; o += width)
                for (tc_int i = 0; i < runs.images; i++)
                    TC_FN(pack_pixels)(pixels, tc_min(width, o_end - o),
                                       q->g + ((n0 + n + i) * q->groups * q->out + o) * q->pixels + (r0 + r) * m->grid_w,
                                       q->pixels, width, g_copy + (o - o0) / width * block_room + i * pixels * width);
            if (runs.row_skip == runs.len) {
                runs.len *= runs.rows;
                runs.row_skip = runs.len;
                runs.rows = 1;
            }
            for (tc_int o = o0, panel = 0; o < o_end; o += width, panel++) {
                int nv = (int)tc_ceil_div(tc_min(width, o_end - o), TC_VL);
                for (tc_int block = 0; block < blocks; block++) {
                    tc_int i0 = tc_cut(k, blocks, block), mr = tc_cut(k, blocks, block + 1) - i0;
                    TC_FN(wide)[nv - 1][mr - 1](&runs, x, q->table + i0, g_copy + panel * block_room, width,
                                                to + panel * q->panel_size + i0 * width, width, add);
                }
            }
        }
    }
}

static void TC_FN(grad_task)(const void *plan, tc_int task, void *scratch) {
    const TC_GRAD *q = (const TC_GRAD *)plan;
    const TC_IMAGE *m = &q->image;
    TC_T *copy = (TC_T *)scratch, *g_copy = copy + q->copy_room;
    tc_int slice = task % q->slices, part = task / q->slices % q->parts;
    tc_int group = task / q->slices / q->parts % q->groups, chunk = task / q->slices / q->parts / q->groups;
    tc_int c0 = tc_cut(q->in, q->slices, slice), c1 = tc_cut(q->in, q->slices, slice + 1), k = (c1 - c0) * m->taps;
    tc_int panel0 = tc_cut(q->panels, q->parts, part), panel1 = tc_cut(q->panels, q->parts, part + 1);
    tc_int o0 = panel0 * q->panel_width, o1 = tc_min(q->out, panel1 * q->panel_width);
    TC_T *to = q->partial + ((chunk * q->groups + group) * q->panels + panel0) * q->panel_size;
    to += q->dot ? c0 * m->taps : c0 * m->taps * q->panel_width;
    tc_int unit0 = tc_cut(m->units, q->chunks, chunk), unit1 = tc_cut(m->units, q->chunks, chunk + 1);
    for (tc_int unit = unit0; unit < unit1; unit++) {
        tc_int n0, images, r0, rows;
        TC_FN(image_unit)(m, q->images, unit, &n0, &images, &r0, &rows);
        TC_FN(image_fill)(m, n0, images, r0, group * q->in + c0, group * q->in + c1, copy);
        if (!q->dot) {
            tc_int first = group * q->out;
            TC_FN(outer_unit)(q, n0, images, r0, rows, first + o0, first + o1, copy, k, to, unit > unit0, g_copy);
            continue;
        }
        for (tc_int panel = panel0; panel < panel1; panel++) {
            tc_int o = panel * q->panel_width, o_count = tc_min(q->panel_width, q->out - o);
            TC_FN(dot_unit)(q, images, rows, q->g + ((n0 * q->groups + group) * q->out + o) * q->pixels + r0 * m->grid_w,
                            o_count, copy, k, to + (panel - panel0) * q->panel_size, unit > unit0, g_copy);
        }
    }
}

/* Task: add up the partial gradients, in the order of the chunks, of one panel of output channels and SUM_K of k. */
static void TC_FN(grad_sum_task)(const void *plan, tc_int task, void *scratch) {
    const TC_GRAD *q = (const TC_GRAD *)plan;
    TC_T block[TC_VL * TC_VL] __attribute__((aligned(64))), turned[TC_VL * TC_VL] __attribute__((aligned(64)));
    tc_int all_k = q->in * q->image.taps, chunk_size = q->groups * q->panels * q->panel_size;
    tc_int piece = task % q->sum_pieces, panel = task / q->sum_pieces % q->panels, group = task / q->sum_pieces / q->panels;
    tc_int k0 = tc_cut(all_k, q->sum_pieces, piece), k1 = tc_cut(all_k, q->sum_pieces, piece + 1);
    tc_int o0 = panel * q->panel_width, o_count = tc_min(q->panel_width, q->out - o0);
    const TC_T *from = q->partial + (group * q->panels + panel) * q->panel_size;
    TC_T *to = q->gw + (group * q->out + o0) * all_k;
    (void)scratch;
    if (q->dot) {
        for (tc_int o = 0; o < o_count; o++)
            for (tc_int k = o * all_k + k0; k < o * all_k + k1; k++) {
                TC_T s = from[k];
                for (tc_int chunk = 1; chunk < q->chunks; chunk++) s += from[k + chunk * chunk_size];
                to[k] = s;
            }
        return;
    }
    for (tc_int o = 0; o < o_count; o += TC_VL)
        for (tc_int k = k0; k < k1; k += TC_VL) {
            tc_int rows = tc_min(TC_VL, k1 - k), lanes = tc_min(TC_VL, o_count - o);
            for (tc_int i = 0; i < rows; i++) {
                const TC_T *line = from + (k + i) * q->panel_width + o;
                TC_VEC s = TC_LOAD(line);
                for (tc_int chunk = 1; chunk < q->chunks; chunk++) s += TC_LOAD(line + chunk * chunk_size);
                TC_STORE(block + i * TC_VL, s);
            }
            if (rows == TC_VL && lanes == TC_VL) {
                TC_FN(tc_transpose)(block, TC_VL, rows, to + o * all_k + k, all_k);
                continue;
            }
            TC_FN(tc_transpose)(block, TC_VL, rows, turned, TC_VL);
            for (tc_int j = 0; j < lanes; j++) TC_FN(copy_run)(to + (o + j) * all_k + k, turned + j * TC_VL, rows);
        }
}

static void TC_FN(grad_layout)(TC_GRAD *q, tc_arena *arena) {
    TC_IMAGE *m = &q->image;
    tc_int row_vectors = tc_ceil_div(m->grid_w, TC_VL), vectors = tc_ceil_div(q->out, TC_VL);
    q->g_pitch = row_vectors * TC_VL;
    /* Vectors; and of `dot` the sums of lanes, once for a block of about so many rows. */
    tc_int rows = tc_max(1, TC_CONV_DOT / (TC_DOT_O * q->g_pitch));
    rows = tc_min(tc_min(rows, q->images * m->grid_h), tc_max(m->grid_h, TC_CONV_COLS / m->grid_w));
    q->dot = q->out * (row_vectors * rows + TC_DOT_LANES) < m->grid_w * rows * vectors;
    q->panels = q->dot ? tc_ceil_div(q->out, TC_NR) : tc_ceil_div(vectors, TC_WIDE_V);
    q->panel_width = q->dot ? tc_min(q->out, TC_NR) : tc_ceil_div(vectors, q->panels) * TC_VL;
    q->panels = tc_ceil_div(q->out, q->panel_width);
    q->panel_size = q->in * m->taps * q->panel_width;
    /* Tasks: chunks of the batch, as long as adding up their results is little work; then slices of the input channels
     * and parts of the output channels, which read g and x again. */
    tc_int size = q->groups * q->panels * q->panel_size, images_pixels = q->images * q->pixels;
    q->slices = tc_max(1, tc_min(q->in, tc_ceil_div(q->in * m->taps, 2 * TC_CONV_SLICE)));
    q->parts = 1;
    q->chunks = tc_min(tc_ceil_div(TC_CONV_TASKS, q->groups * q->slices), TC_CONV_PARTIAL / tc_max(1, size));
    q->chunks = tc_max(1, tc_min(q->chunks, images_pixels / TC_CONV_COLS));
    while (q->chunks * q->groups * q->slices * q->parts < TC_CONV_TASKS && (q->slices < q->in || q->parts < q->panels)) {
        /* A further slice turns g once more, a further part copies x once more: short rows make that the dearer one. */
        int cut_parts = q->slices == q->in || (m->grid_w >= TC_VL && q->slices > q->parts);
        if (q->parts == q->panels || !cut_parts) q->slices = tc_min(q->in, 2 * q->slices);
        else q->parts = tc_min(q->panels, 2 * q->parts);
    }
    tc_int channels = tc_ceil_div(q->in, q->slices);
    TC_FN(image_layout)(m, q->images, channels, q->chunks, TC_CONV_IMAGE, arena);
    q->chunks = tc_min(q->chunks, m->units);
    /* Blocks of g: some images, or some rows of one. */
    tc_int most_rows = q->dot ? TC_CONV_DOT / (TC_DOT_O * q->g_pitch) : TC_OUTER_PIXELS / m->grid_w;
    tc_int most_images = q->dot ? most_rows / m->grid_h : TC_OUTER_PIXELS / q->pixels;
    q->block_images = m->bands > 1 ? 1 : tc_max(1, tc_min(m->unit_images, most_images));
    q->block_rows = q->block_images > 1 ? m->unit_rows : tc_max(1, tc_min(m->unit_rows, most_rows));
    q->block_pixels = q->block_images * q->block_rows * m->grid_w;
    q->sum_pieces = tc_ceil_div(q->in * m->taps, TC_CONV_SLICE);
    q->table = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)(channels * m->taps));
    q->partial = (TC_T *)tc_take(arena, sizeof(TC_T) * (size_t)(q->chunks * size));
    for (tc_int c = 0; arena->base && c < channels; c++)
        for (tc_int t = 0; t < m->taps; t++) q->table[c * m->taps + t] = c * m->channel_stride + m->offset[t];
    q->copy_room = (channels * m->channel_stride + m->pitch + 2 * TC_VL + 63) / 64 * 64;
    q->g_room = q->dot ? TC_DOT_O * q->block_images * q->block_rows * q->g_pitch
                       : q->block_pixels * q->panel_width * tc_ceil_div(q->panels, q->parts) + TC_VL;
}

/* gw: adjoint of conv with respect to w, applied to y = g. */
static int TC_FN(taps_conv_weight)(const tc_conv_problem *p, int threads) {
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
        size_t bytes = sizeof(TC_T) * (size_t)(q.copy_room + q.g_room);
        failed = tc_run(TC_FN(grad_task), &q, q.chunks * q.groups * q.parts * q.slices, bytes, threads);
        if (!failed) {
            tc_int sums = q.chunks * p->o * q.in * taps;
            failed = tc_run(TC_FN(grad_sum_task), &q, q.groups * q.panels * q.sum_pieces, 64, sums < 65536 ? 1 : threads);
        }
    }
    tc_scratch_put(arena.base);
    free(list);
    return failed ? -1 : 0;
}

#undef TC_GRAD
#undef TC_OUTER_PIXELS
#undef TC_WIDE_M
#undef TC_WIDE_V
#undef TC_RUNS
#undef TC_DOT
#undef TC_DOT_ARGS
#undef TC_DOT_O
#undef TC_DOT_K
#undef TC_DOT_LANES
