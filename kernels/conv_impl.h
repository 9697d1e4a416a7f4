/* Convolution and its adjoint with respect to the input, as a matrix product that never builds its right-hand matrix.
 *
 *     out[o, column] = sum over k of A[o, k] * B[k, column]        k = (channel, tap),  column = (image, row, col)
 *
 * A is the weight, packed once per call.  B exists only as offsets into a padded copy of the image (conv_image_impl.h).
 *
 * The adjoint is the same thing: with stride 1 the convolution of g with the weights turned by 180 degrees; with stride
 * s the pixels of gx fall into s x s classes ("phases") by their remainder, each class sees its own subset of taps, and
 * is an ordinary stride-1 convolution of g whose results are stored s apart.  Hence one routine, `taps_run`, which
 * knows taps, a source and a destination with steps, and nothing of what they mean.
 *
 * A task is one unit of columns (some images, or a band of one), for a group and a range of row blocks:
 *
 *     for each slice of channels, about 256 k                       the padded copy of the slice fills part of L2
 *         for each panel of TC_NR columns                           the lines it reads stay in L1 during the rows
 *             for each block of <= TC_MR output channels:  tile     in registers
 *
 * A panel is two vectors of columns, four if there are few output channels and the padded copy is read.  Where its numbers
 * are found depends on the shape, whichever needs least work:
 *     ROWS   a vector lies in one row of the output; the last vector of a row is partly junk, which is not stored
 *     FLAT   vectors run over the rows at the pitch of the padded copy; the positions between the rows are junk
 *     PACK   no junk: the columns are copied to a packed panel first.  For small maps: columns run over images as well.
 *            With many rows, several groups of them share what was packed
 * In ROWS and FLAT the tile reads the padded copy directly.
 *
 * Determinism: units, slices and panels depend on shapes only, every number of the output belongs to one task.
 */
#define TC_USE_TILE_PANELS
#define TC_USE_TILE_TABLE
#include "tile_impl.h"
#include "pack_impl.h"
#undef TC_USE_TILE_PANELS
#undef TC_USE_TILE_TABLE
#include "conv_image_impl.h"

#define TC_TAPS TC_FN(conv_taps)
#define TC_COLUMNS TC_FN(conv_columns)

#ifndef TC_CONV_MODES
#define TC_CONV_MODES
enum { TC_ROWS, TC_FLAT, TC_PACK };
typedef struct {
    int vectors;                  /* 1 to `width` */
    int whole;                    /* the columns lie in a row in the output: the tile may store there itself */
    tc_int from[4];               /* ROWS, FLAT: where the vectors begin in the padded copy */
    int run[5];                   /* PACK: vector v copies runs run[v] .. run[v + 1] - 1 */
    int store0, store1;
} tc_panel;
#endif

typedef struct {                  /* the panels of one unit */
    tc_int panels;
    tc_panel *panel;
    tc_segment *runs;             /* PACK: what a vector is made of; lanes count in the vector */
    tc_segment *stores;           /* where the valid columns of a panel go */
} TC_COLUMNS;

typedef struct {
    TC_IMAGE image;
    tc_int images, groups, in, out;             /* channels per group */
    const TC_T *weight;
    tc_int weight_group, weight_out, weight_in; /* strides of the weight */
    const tc_int *weight_tap;                   /* offset of each tap in it; NULL: k runs through it without gaps */
    const TC_T *bias;
    TC_T *dst;                                  /* first element of the grid in image 0, channel 0 */
    tc_int dst_image, dst_channel, dst_row, dst_col;
    /* set by taps_run: */
    int mode, width;                            /* width: vectors in a panel */
    tc_int slices, row_blocks, row_groups;
    TC_T *packed_weight;                        /* [group][slice][block][k][m] */
    tc_int *table;                              /* offset of each k of a slice */
    TC_COLUMNS full, last;                      /* last: a unit with fewer images or rows */
    int shared;                                 /* PACK: the columns are packed once, before the tasks */
    TC_T *packed_columns;                       /* [unit][group][slice][panel][k][TC_NR] */
    tc_int copy_room, packed_room, aside_room;
} TC_TAPS;

TC_INLINE int TC_FN(add_segment)(tc_segment *list, int first, int n, int lane, int len, tc_int at) {
    if (n > first && list[n - 1].lane + list[n - 1].len == lane && list[n - 1].at + list[n - 1].len == at) {
        list[n - 1].len += len;
        return n;
    }
    list[n] = (tc_segment){lane, len, at};
    return n + 1;
}

/* Vectors of columns that a unit of `images` images and `rows` grid rows needs. */
static tc_int TC_FN(count_vectors)(const TC_TAPS *q, int mode, tc_int images, tc_int rows) {
    const TC_IMAGE *m = &q->image;
    if (mode == TC_ROWS) return images * rows * tc_ceil_div(m->grid_w, TC_VL);
    if (mode == TC_FLAT) return images * tc_ceil_div((rows - 1) * m->pitch + m->grid_w, TC_VL);
    return tc_ceil_div(images * rows * m->grid_w, TC_VL);
}

static void TC_FN(build_columns)(const TC_TAPS *q, tc_int images, tc_int rows, TC_COLUMNS *u, tc_arena *arena) {
    const TC_IMAGE *m = &q->image;
    tc_int vectors = TC_FN(count_vectors)(q, q->mode, images, rows), most = images * rows * m->grid_w;
    tc_int per_image = vectors / tc_max(1, images), per_row = tc_ceil_div(m->grid_w, TC_VL);
    u->panels = tc_ceil_div(vectors, q->width);
    u->panel = (tc_panel *)tc_take(arena, sizeof(tc_panel) * (size_t)u->panels);
    u->runs = (tc_segment *)tc_take(arena, sizeof(tc_segment) * (size_t)tc_min(most, images * rows + 2 * vectors));
    u->stores = (tc_segment *)tc_take(arena, sizeof(tc_segment) * (size_t)tc_min(most, images * rows + 2 * vectors));
    if (!arena->base) return;
    int runs = 0, stores = 0;
    for (tc_int p = 0; p < u->panels; p++) {
        tc_panel *panel = u->panel + p;
        panel->vectors = (int)tc_min(q->width, vectors - q->width * p);
        panel->store0 = stores;
        for (int v = 0; v < 4; v++) panel->from[v] = 0; /* also those of vectors that the last panel has not */
        for (int v = 0; v < panel->vectors; v++) {
            panel->run[v] = runs;
            tc_int index = q->width * p + v, n, r, c, width = m->pitch;
            /* Image, row and column of lane 0, and the pitch at which positions run on from there. */
            if (q->mode == TC_PACK) {
                tc_int at = index * TC_VL;
                n = at / (rows * m->grid_w);
                r = at / m->grid_w % rows;
                c = at % m->grid_w;
                width = m->grid_w;
            } else if (q->mode == TC_FLAT) {
                n = index / per_image;
                r = index % per_image * TC_VL / m->pitch;
                c = index % per_image * TC_VL % m->pitch;
            } else {
                n = index / (rows * per_row);
                r = index / per_row % rows;
                c = index % per_row * TC_VL;
            }
            if (q->mode != TC_PACK) panel->from[v] = n * m->image_stride + r * m->pitch + c;
            for (int lane = 0; lane < TC_VL;) {
                int len = (int)tc_min(TC_VL - lane, width - c), valid = (int)tc_min(len, m->grid_w - c);
                tc_int to = n * q->dst_image + r * q->dst_row + c * q->dst_col;
                tc_int from = n * m->image_stride + r * m->pitch + c;
                if (q->mode == TC_PACK) runs = TC_FN(add_segment)(u->runs, panel->run[v], runs, lane, valid, from);
                if (valid > 0 && q->dst_col == 1) {
                    stores = TC_FN(add_segment)(u->stores, panel->store0, stores, v * TC_VL + lane, valid, to);
                } else if (valid > 0) {
                    u->stores[stores++] = (tc_segment){v * TC_VL + lane, valid, to};
                }
                if (q->mode == TC_ROWS) break;
                lane += len;
                c = 0;
                if (++r == rows) {
                    if (q->mode == TC_FLAT || ++n == images) break;
                    r = 0;
                }
            }
            panel->run[v + 1] = runs;
        }
        panel->store1 = stores;
        if (panel->vectors == 3) panel->from[3] = panel->from[2]; /* there is no tile of three: a fourth for nothing */
        panel->whole = q->dst_col == 1 && panel->vectors != 3 && stores == panel->store0 + 1 &&
                       u->stores[panel->store0].len == panel->vectors * TC_VL;
    }
}

/* Task: pack one row block of the weight, for one group and slice. */
static void TC_FN(weight_task)(const void *plan, tc_int task, void *scratch) {
    const TC_TAPS *q = (const TC_TAPS *)plan;
    const TC_IMAGE *m = &q->image;
    (void)scratch;
    tc_int block = task % q->row_blocks, slice = task / q->row_blocks % q->slices;
    tc_int group = task / q->row_blocks / q->slices;
    tc_int c0 = tc_cut(q->in, q->slices, slice), c1 = tc_cut(q->in, q->slices, slice + 1);
    tc_int i0 = tc_cut(q->out, q->row_blocks, block), rows = tc_cut(q->out, q->row_blocks, block + 1) - i0;
    TC_T *to = q->packed_weight + group * q->out * q->in * m->taps + c0 * m->taps * q->out + i0 * (c1 - c0) * m->taps;
    const TC_T *from = q->weight + group * q->weight_group + i0 * q->weight_out;
    if (!q->weight_tap) {
        TC_FN(pack_a)(rows, (c1 - c0) * m->taps, from + c0 * m->taps, q->weight_out, 1, to);
        return;
    }
    for (tc_int c = c0; c < c1; c++)
        for (tc_int t = 0; t < m->taps; t++)
            for (tc_int i = 0; i < rows; i++)
                *to++ = from[i * q->weight_out + c * q->weight_in + q->weight_tap[t]];
}

/* Copy one vector of columns that comes from n rows of the image: all n are loaded so that their columns fall into the
 * right lanes, and each replaces the lanes from its first column on.  (Storing the pieces one after another instead
 * means stores across cache lines, three times slower.)  Lane 0 of a load may lie before the piece, even before the
 * copy: there is room for it. */
TC_INLINE void TC_FN(pack_vector)(int n, const tc_segment *runs, tc_int k, const TC_T *copy, const tc_int *table,
                                  TC_T *restrict to) {
    TC_IVEC mask[4];
    TC_UNROLL
    for (int s = 1; s < n; s++) mask[s] = TC_FN(tc_lanes_from)(runs[s].lane);
    for (tc_int p = 0; p < k; p++, to += TC_NR) {
        const TC_T *from = copy + table[p];
        TC_VEC v = TC_LOAD(from + runs[0].at);
        TC_UNROLL
        for (int s = 1; s < n; s++) v = TC_FN(tc_select)(mask[s], v, TC_LOAD(from + runs[s].at - runs[s].lane));
        TC_STORE(to, v);
    }
}

static void TC_FN(pack_columns)(const tc_segment *runs, int n, tc_int k, const TC_T *copy, const tc_int *table,
                                TC_T *restrict to) {
    if (n == 1) TC_FN(pack_vector)(1, runs, k, copy, table, to);
    else if (n == 2) TC_FN(pack_vector)(2, runs, k, copy, table, to);
    else if (n == 3) TC_FN(pack_vector)(3, runs, k, copy, table, to);
    else if (n == 4) TC_FN(pack_vector)(4, runs, k, copy, table, to);
    else
        for (tc_int p = 0; p < k; p++, to += TC_NR)
            for (int s = 0; s < n; s++)
                for (int i = 0; i < runs[s].len; i++) to[runs[s].lane + i] = copy[table[p] + runs[s].at + i];
}

/* to[j * step] = from[j] for j < len; between them nothing is touched. */
TC_INLINE void TC_FN(store_apart)(TC_T *to, tc_int step, const TC_T *from, tc_int len) {
    tc_int j = 0;
#if TC_VBYTES == 64
    for (; step == 2 && j < len; j += TC_VL) {
        tc_int n = tc_min(TC_VL, len - j);
        TC_VEC v = TC_FN(tc_load_first)(from + j, n);
        TC_FN(store_even)(to + 2 * j, TC_ZIP_LOW(v, v), tc_min(TC_VL, 2 * n));
        if (2 * n > TC_VL) TC_FN(store_even)(to + 2 * j + TC_VL, TC_ZIP_HIGH(v, v), 2 * n - TC_VL);
    }
#endif
    for (; j < len; j++) to[j * step] = from[j];
}

/* The valid columns of a tile that was computed aside. */
static void TC_FN(store_columns)(const tc_segment *list, int n, tc_int rows, const TC_T *tile, tc_int pitch, TC_T *dst,
                                 tc_int dst_channel, tc_int dst_col) {
    for (tc_int i = 0; i < rows; i++, tile += pitch, dst += dst_channel)
        for (int s = 0; s < n; s++) {
            const TC_T *from = tile + list[s].lane;
            TC_T *to = dst + list[s].at;
            if (dst_col == 1) TC_FN(copy_run)(to, from, list[s].len);
            else TC_FN(store_apart)(to, dst_col, from, list[s].len);
        }
}

/* Where the packed columns of a unit and slice begin, if all tasks share them. */
TC_INLINE TC_T *TC_FN(shared_columns)(const TC_TAPS *q, tc_int unit, tc_int group, tc_int c0) {
    return q->packed_columns + ((unit * q->groups + group) * q->in + c0) * q->image.taps * q->full.panels * TC_NR;
}

/* Task: pack all columns of one unit, group and slice. */
static void TC_FN(columns_task)(const void *plan, tc_int task, void *scratch) {
    const TC_TAPS *q = (const TC_TAPS *)plan;
    const TC_IMAGE *m = &q->image;
    TC_T *copy = (TC_T *)scratch + TC_NR;
    tc_int n0, images, r0, rows, slice = task % q->slices, group = task / q->slices % q->groups;
    tc_int unit = task / q->slices / q->groups;
    tc_int c0 = tc_cut(q->in, q->slices, slice), c1 = tc_cut(q->in, q->slices, slice + 1), k = (c1 - c0) * m->taps;
    TC_FN(image_unit)(m, q->images, unit, &n0, &images, &r0, &rows);
    const TC_COLUMNS *u = images == m->unit_images && rows == m->unit_rows ? &q->full : &q->last;
    TC_T *to = TC_FN(shared_columns)(q, unit, group, c0);
    TC_FN(image_fill)(m, n0, images, r0, group * q->in + c0, group * q->in + c1, copy);
    for (const tc_panel *panel = u->panel; panel < u->panel + u->panels; panel++, to += k * TC_NR)
        for (int v = 0; v < panel->vectors; v++)
            TC_FN(pack_columns)(u->runs + panel->run[v], panel->run[v + 1] - panel->run[v], k, copy, q->table,
                                to + v * TC_VL);
}

static void TC_FN(taps_task)(const void *plan, tc_int task, void *scratch) {
    const TC_TAPS *q = (const TC_TAPS *)plan;
    const TC_IMAGE *m = &q->image;
    TC_T *copy = (TC_T *)scratch + TC_NR, *packed = copy + q->copy_room, *aside = packed + q->packed_room;
    tc_int n0, images, r0, rows;
    tc_int row_group = task % q->row_groups, group = task / q->row_groups % q->groups;
    tc_int unit = task / q->row_groups / q->groups;
    TC_FN(image_unit)(m, q->images, unit, &n0, &images, &r0, &rows);
    const TC_COLUMNS *u = images == m->unit_images && rows == m->unit_rows ? &q->full : &q->last;
    tc_int block0 = tc_cut(q->row_blocks, q->row_groups, row_group);
    tc_int block1 = tc_cut(q->row_blocks, q->row_groups, row_group + 1);
    tc_int row0 = tc_cut(q->out, q->row_blocks, block0), row1 = tc_cut(q->out, q->row_blocks, block1);
    tc_int pitch = q->width * TC_VL;
    TC_T *dst = q->dst + n0 * q->dst_image + group * q->out * q->dst_channel + r0 * q->dst_row;
    const TC_T *weight = q->packed_weight + group * q->out * q->in * m->taps;

    for (tc_int slice = 0; slice < q->slices; slice++) {
        tc_int c0 = tc_cut(q->in, q->slices, slice), c1 = tc_cut(q->in, q->slices, slice + 1), k = (c1 - c0) * m->taps;
        if (q->shared) packed = TC_FN(shared_columns)(q, unit, group, c0);
        else TC_FN(image_fill)(m, n0, images, r0, group * q->in + c0, group * q->in + c1, copy);
        for (const tc_panel *panel = u->panel; panel < u->panel + u->panels; panel++) {
            int nv = panel->vectors;
            const TC_T *from[4];
            for (int v = 0; v < q->width; v++) from[v] = copy + panel->from[v];
            for (int v = 0; v < nv && q->mode == TC_PACK && !q->shared; v++)
                TC_FN(pack_columns)(u->runs + panel->run[v], panel->run[v + 1] - panel->run[v], k, copy, q->table,
                                    packed + v * TC_VL);
            for (tc_int block = block0; block < block1; block++) {
                tc_int i0 = tc_cut(q->out, q->row_blocks, block);
                tc_int mr = tc_cut(q->out, q->row_blocks, block + 1) - i0;
                const TC_T *a = weight + c0 * m->taps * q->out + i0 * k;
                const TC_T *bias = q->bias && slice == 0 ? q->bias + group * q->out + i0 : NULL;
                TC_T *to = dst + i0 * q->dst_channel;
                /* A partly valid tile is made aside and stored when it is complete. */
                TC_T *tile = aside + ((panel - u->panel) * (row1 - row0) + i0 - row0) * pitch;
                TC_TILE_OUT out = {tile, pitch, slice > 0, bias, NULL};
                if (panel->whole)
                    out = (TC_TILE_OUT){to + u->stores[panel->store0].at, q->dst_channel, slice > 0, bias, NULL};
                if (q->mode == TC_PACK) TC_FN(tile_panels)[nv - 1][mr - 1](k, a, packed, TC_NR, &out);
                else if (nv > 2) TC_FN(tile_table_wide)[mr - 1](k, a, from, q->table, &out);
                else TC_FN(tile_table)[nv - 1][mr - 1](k, a, from, q->table, &out);
                if (!panel->whole && slice == q->slices - 1)
                    TC_FN(store_columns)(u->stores + panel->store0, panel->store1 - panel->store0, mr, tile, pitch,
                                         to, q->dst_channel, q->dst_col);
            }
            if (q->shared) packed += k * TC_NR;
        }
    }
}

/* Everything the tasks share; called twice, first to measure (arena->base == NULL). */
static void TC_FN(taps_layout)(TC_TAPS *q, tc_arena *arena) {
    TC_IMAGE *m = &q->image;
    q->slices = tc_max(1, tc_min(q->in, tc_ceil_div(q->in * m->taps, TC_CONV_SLICE)));
    tc_int channels = tc_ceil_div(q->in, q->slices);
    q->row_blocks = tc_ceil_div(q->out, TC_MR);
    /* Units make tasks; so do groups of rows, at the price of packing columns again.  Where the weights do not stay in
     * the cache, units are large, so that they are read from memory less often. */
    tc_int units = tc_ceil_div(TC_CONV_TASKS, q->groups);
    if (q->out * q->in * m->taps > TC_CONV_WEIGHTS) units = tc_ceil_div(units, tc_max(1, q->row_blocks / 4));
    TC_FN(image_layout)(m, q->images, channels, units, TC_CONV_IMAGE, arena);
    q->row_groups = tc_max(1, tc_min(q->row_blocks / 4, TC_CONV_TASKS / (m->units * q->groups)));
    /* Vectors times rows is the arithmetic; packing adds about 3 rows' worth, junk adds vectors. */
    tc_int vectors[3];
    for (int mode = TC_ROWS; mode <= TC_PACK; mode++)
        vectors[mode] = TC_FN(count_vectors)(q, mode, m->unit_images, m->unit_rows);
    q->mode = vectors[TC_ROWS] <= vectors[TC_FLAT] ? TC_ROWS : TC_FLAT;
    tc_int rows = q->out / q->row_groups;
    if (vectors[TC_PACK] * (rows + 3) < vectors[q->mode] * rows) q->mode = TC_PACK;
    q->width = q->mode != TC_PACK && q->out <= TC_WIDE_ROWS ? 4 : 2;
    q->table = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)(channels * m->taps));
    q->packed_weight = (TC_T *)tc_take(arena, sizeof(TC_T) * (size_t)(q->groups * q->out * q->in * m->taps));
    TC_FN(build_columns)(q, m->unit_images, m->unit_rows, &q->full, arena);
    tc_int n0, images, r0;
    TC_FN(image_unit)(m, q->images, m->units - 1, &n0, &images, &r0, &rows);
    TC_FN(build_columns)(q, images, rows, &q->last, arena);
    /* Where groups of rows would pack the same columns again, and there is room, they are packed once before. */
    tc_int all_columns = m->units * q->groups * q->in * m->taps * q->full.panels * TC_NR;
    q->shared = q->mode == TC_PACK && q->row_groups > 1 && all_columns <= TC_CONV_COLUMNS;
    q->packed_columns = (TC_T *)tc_take(arena, q->shared ? sizeof(TC_T) * (size_t)all_columns : 0);
    for (tc_int c = 0; arena->base && c < channels; c++)
        for (tc_int t = 0; t < m->taps; t++) q->table[c * m->taps + t] = c * m->channel_stride + m->offset[t];
    /* The last vector of the last row runs over the end of the copy by less than a row and a vector. */
    q->copy_room = (channels * m->channel_stride + m->pitch + 2 * TC_VL + 63) / 64 * 64;
    q->packed_room = q->mode == TC_PACK && !q->shared ? (channels * m->taps * TC_NR + 63) / 64 * 64 : 0;
    q->aside_room = tc_ceil_div(q->row_blocks, q->row_groups) * TC_MR * q->full.panels * q->width * TC_VL;
}

static int TC_FN(taps_run)(TC_TAPS *q, int threads) {
    tc_arena arena = {NULL, 0};
    if (q->images * q->groups * q->out * q->image.grid_h * q->image.grid_w == 0) return 0;
    TC_FN(taps_layout)(q, &arena);
    arena.base = (char *)tc_scratch_get(arena.used);
    if (!arena.base) return -1;
    arena.used = 0;
    TC_FN(taps_layout)(q, &arena);
    tc_int packing = q->groups * q->slices * q->row_blocks;
    int failed = q->in == 0 || q->image.taps == 0 ? 0 :
        tc_run(TC_FN(weight_task), q, packing, 64, q->out * q->in * q->image.taps * q->groups < 32768 ? 1 : threads);
    if (!failed && q->shared) {
        size_t bytes = sizeof(TC_T) * (size_t)(TC_NR + q->copy_room);
        failed = tc_run(TC_FN(columns_task), q, q->image.units * q->groups * q->slices, bytes, threads);
    }
    if (!failed) {
        size_t bytes = sizeof(TC_T) * (size_t)(TC_NR + q->copy_room + q->packed_room + q->aside_room);
        failed = tc_run(TC_FN(taps_task), q, q->image.units * q->groups * q->row_groups, bytes, threads);
    }
    tc_scratch_put(arena.base);
    return failed;
}

/* y = conv(x, w) + bias */
static int TC_FN(taps_conv)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw;
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(2 * taps));
    if (!list) return -1;
    for (tc_int t = 0; t < taps; t++) {
        list[t] = t / p->kw * p->dh - p->ph;
        list[taps + t] = t % p->kw * p->dw - p->pw;
    }
    TC_TAPS q = {
        .image = {.data = (const TC_T *)p->x, .end = (const TC_T *)p->x + p->n * p->c * p->h * p->w,
                  .channels_total = p->c, .h = p->h, .w = p->w, .step_h = p->sh,
                  .step_w = p->sw, .grid_h = p->oh, .grid_w = p->ow, .taps = taps, .row = list, .col = list + taps},
        .images = p->n, .groups = p->groups, .in = p->c / p->groups, .out = p->o / p->groups,
        .weight = (const TC_T *)p->weight, .weight_group = p->o / p->groups * (p->c / p->groups) * taps,
        .weight_out = p->c / p->groups * taps, .weight_in = taps, .weight_tap = NULL,
        .bias = (const TC_T *)p->bias, .dst = (TC_T *)p->out,
        .dst_image = p->o * p->oh * p->ow, .dst_channel = p->oh * p->ow, .dst_row = p->ow, .dst_col = 1};
    int failed = TC_FN(taps_run)(&q, threads);
    free(list);
    return failed;
}

/* Taps i of a kernel of `size` that reach positions h0, h0 + stride, ... of gx, and the row of g that they read for h0:
 * (h0 + pad - i * dilation) / stride, where that is whole.  Returns how many. */
static tc_int TC_FN(phase_taps)(tc_int size, tc_int stride, tc_int pad, tc_int dilation, tc_int h0, tc_int *tap,
                                tc_int *at) {
    tc_int n = 0;
    for (tc_int i = 0; i < size; i++) {
        tc_int d = h0 + pad - i * dilation;
        if (d - tc_floor_div(d, stride) * stride) continue;
        tap[n] = i;
        at[n++] = tc_floor_div(d, stride);
    }
    return n;
}

/* gx: adjoint of conv with respect to x, applied to y = g. */
static int TC_FN(taps_conv_input)(const tc_conv_problem *p, int threads) {
    tc_int taps = p->kh * p->kw, failed = 0;
    tc_int *list = (tc_int *)malloc(sizeof(tc_int) * (size_t)(3 * taps + 2 * (p->kh + p->kw) + 1));
    if (!list) return -1;
    tc_int *tap_h = list + 3 * taps, *at_h = tap_h + p->kh, *tap_w = at_h + p->kh, *at_w = tap_w + p->kw;
    for (tc_int h0 = 0; h0 < tc_min(p->sh, p->h) && !failed; h0++) {
        tc_int nh = TC_FN(phase_taps)(p->kh, p->sh, p->ph, p->dh, h0, tap_h, at_h);
        for (tc_int w0 = 0; w0 < tc_min(p->sw, p->w) && !failed; w0++) {
            tc_int nw = TC_FN(phase_taps)(p->kw, p->sw, p->pw, p->dw, w0, tap_w, at_w), n = nh * nw;
            for (tc_int t = 0; t < n; t++) {
                list[t] = at_h[t / nw];
                list[taps + t] = at_w[t % nw];
                list[2 * taps + t] = tap_h[t / nw] * p->kw + tap_w[t % nw];
            }
            TC_TAPS q = {
                .image = {.data = (const TC_T *)p->y, .end = (const TC_T *)p->y + p->n * p->o * p->oh * p->ow,
                  .channels_total = p->o, .h = p->oh, .w = p->ow, .step_h = 1,
                          .step_w = 1, .grid_h = (p->h - h0 + p->sh - 1) / p->sh,
                          .grid_w = (p->w - w0 + p->sw - 1) / p->sw, .taps = n, .row = list, .col = list + taps},
                .images = p->n, .groups = p->groups, .in = p->o / p->groups, .out = p->c / p->groups,
                .weight = (const TC_T *)p->weight, .weight_group = p->o / p->groups * (p->c / p->groups) * taps,
                .weight_out = taps, .weight_in = p->c / p->groups * taps, .weight_tap = list + 2 * taps,
                .dst = (TC_T *)p->out + h0 * p->w + w0, .dst_image = p->c * p->h * p->w, .dst_channel = p->h * p->w,
                .dst_row = p->w * p->sh, .dst_col = p->sw};
            failed = TC_FN(taps_run)(&q, threads);
        }
    }
    free(list);
    return (int)failed;
}

#include "conv_weight_impl.h" /* shares the tile and the image */
#include "depthwise_impl.h"   /* shares the image */
#include "conv_fold_impl.h"   /* shares the tile */

/* One input channel and at most `results` output channels per group: a matrix product would have too few rows.  Forward it
 * measured faster from two rows on, as they share the loads of x; its adjoints have a single row, or short sums. */
TC_INLINE int TC_FN(is_depthwise)(const tc_conv_problem *p, tc_int results) {
    return p->c == p->groups && p->o <= results * p->c && p->c > 0;
}

/* A kernel as large as the image makes one pixel.  The adjoint would look for every pixel at all taps, and all but one
 * read padding: here every tap is a channel of its own.  It pays if there is something to sum over. */
static int TC_FN(taps_to_channels)(const tc_conv_problem *p, int threads) {
    tc_conv_problem q = *p;
    int exact_h = p->kh == p->h && p->ph == 0 && (p->dh == 1 || p->kh == 1);
    int exact_w = p->kw == p->w && p->pw == 0 && (p->dw == 1 || p->kw == 1);
    if (exact_h && exact_w && p->o >= TC_MR * p->groups) {
        q.c *= p->h * p->w;
        q.h = q.w = q.kh = q.kw = q.sh = q.sw = q.dh = q.dw = 1;
    }
    return TC_FN(taps_conv_input)(&q, threads);
}

static int TC_FN(conv)(const tc_conv_problem *p, int threads) {
    return TC_FN(is_depthwise)(p, 1) ? TC_FN(depthwise)(p, threads) : TC_FN(taps_conv)(p, threads);
}
static int TC_FN(conv_input)(const tc_conv_problem *p, int threads) {
    return TC_FN(is_depthwise)(p, TC_DEPTH_RESULTS) ? TC_FN(depthwise_input)(p, threads)
                                                    : TC_FN(taps_to_channels)(p, threads);
}
static int TC_FN(conv_weight)(const tc_conv_problem *p, int threads) {
    return TC_FN(is_depthwise)(p, TC_DEPTH_RESULTS) ? TC_FN(depthwise_weight)(p, threads)
                                                    : TC_FN(taps_conv_weight)(p, threads);
}
static const tc_conv_function TC_FN(tc_conv_entry) = TC_FN(conv);
static const tc_conv_function TC_FN(tc_conv_input_entry) = TC_FN(conv_input);
static const tc_conv_function TC_FN(tc_conv_weight_entry) = TC_FN(conv_weight);
static const tc_conv_function TC_FN(tc_conv_fold_entry) = TC_FN(fold);
