/* 3x3 convolution with stride 1 by Winograd's minimal filtering F(m x m, 3 x 3), m = 2 or 4.
 *
 * The output is cut into tiles of m x m pixels.  After the transforms (winograd_transform_impl.h) each of the (m + 2)^2
 * positions is a matrix product of its own over the channels:
 *
 *     M[q][tile, o] = sum over c of V[q][tile, c] * U[q][c, o]
 *
 * which costs (m + 2)^2 multiplications per m^2 outputs instead of 9 m^2: 2.25 times fewer for m = 2, 4 times for m = 4.
 * The adjoint in the input is the same with the weights turned by 180 degrees, their channels exchanged and padding 2 - p.
 *
 * Layout.  V, U and M are kept in groups of TC_VL channels, [position][group][item][TC_VL]: a transform computes TC_VL
 * channels of one tile with vertical arithmetic and no shuffles, any width and any edge; the rows of the matrix product
 * are tiles (so small maps fill it as well as large ones), its columns output channels.
 *
 * A unit is some images, or a band of tile rows of one, so that its V and M stay in L2.  A task is one unit:
 *
 *     for each group of input channels     a strip of the image as vectors of channels (in L1), transformed: V
 *     for each two groups of output channels
 *         for each position                M = V U, a tile of <= TC_MR image tiles x 2 vectors in registers
 *         for each group                   M transformed, a strip of the output (in L1) transposed into its planes
 *
 * With few units their V is made first, by tasks of their own, and the tasks of the product are cut over output channels
 * as well.  Determinism: units depend on shapes only, every number of the output belongs to one task.
 *
 * Not finite.  The transforms mix the pixels of a tile, so an infinity or NaN would spread to pixels that do not depend
 * on it.  Every output is therefore multiplied by zero and added up: the sum is NaN if any of them is not finite.  Then
 * the caller computes the whole convolution again by the direct algorithm.  (A value that is not finite reaches every
 * position that it has a coefficient in, there every output channel, even where the weight is 0, and from every position
 * some output: none goes unnoticed, cut-off edges included.)
 *
 * Error against float64, the largest over the outputs relative to the largest output, over 450 random shapes of 1 to 69
 * channels at three levels (tests/kernels/test_winograd.py holds the bounds):
 *     direct 9e-7      m = 2: 5e-7      m = 4: 2.3e-6, weight gradient 1.3e-6
 */
#if TC_TBYTES == 4 /* float32 only, see winograd.h */
#define TC_USE_TILE_LANES
#include "tile_impl.h"
#undef TC_USE_TILE_LANES
#include "winograd_transform_impl.h"

#define TC_WINO TC_FN(winograd_plan)

typedef struct {
    int m, turned;                       /* output tile; weights turned by 180 degrees (adjoint) */
    tc_int images, in, out;              /* channels */
    tc_int h, w, pad_h, pad_w;           /* image; padding may be negative in the adjoint */
    tc_int grid_h, grid_w;               /* output */
    const TC_T *image, *weight, *bias;
    tc_int weight_in, weight_out;        /* strides of the weight */
    TC_T *dst;
    /* set by plan: */
    tc_int tiles_h, tiles_w, positions, groups_in, groups_out;
    tc_int unit_images, unit_rows, bands, units, unit_tiles;
    tc_int pairs, parts;                 /* pairs of output groups; in how many tasks per unit */
    tc_int v_pos, v_size, m_pos;         /* numbers per position of V, in all of V, per position of M; of a unit */
    tc_int strip_room;
    TC_T *u, *v, *lane_bias;             /* shared; v NULL: every task makes its own */
    int *not_finite;
} TC_WINO;

/* Images and tile rows of unit u. */
TC_INLINE void TC_FN(wino_unit)(const TC_WINO *q, tc_int u, tc_int *n0, tc_int *images, tc_int *r0, tc_int *r1) {
    *n0 = u / q->bands * q->unit_images;
    *images = tc_min(q->unit_images, q->images - *n0);
    *r0 = tc_cut(q->tiles_h, q->bands, u % q->bands);
    *r1 = tc_cut(q->tiles_h, q->bands, u % q->bands + 1);
}

/* Cut images and tile rows into units of about `tiles` tiles; at least TC_WINO_UNITS if that leaves TC_WINO_LEAST tiles. */
static void TC_FN(wino_units)(TC_WINO *q, tc_int tiles) {
    tc_int per_image = q->tiles_h * q->tiles_w, all = q->images * per_image;
    int many = q->positions * q->in * q->out > TC_WINO_MANY / (tc_int)sizeof(TC_T);
    tiles = tc_min(tc_min(tiles, TC_WINO_MOST), all / TC_WINO_UNITS);
    tiles = tc_max(many ? TC_WINO_LEAST_MANY : TC_WINO_LEAST, tiles);
    if (per_image <= tiles) {
        q->bands = 1;
        q->unit_rows = q->tiles_h;
        q->units = tc_ceil_div(q->images, tiles / per_image);
        q->unit_images = tc_ceil_div(q->images, q->units);
        q->units = tc_ceil_div(q->images, q->unit_images);
    } else {
        q->bands = tc_min(q->tiles_h, tc_ceil_div(per_image, tiles));
        q->unit_rows = tc_ceil_div(q->tiles_h, q->bands);
        q->unit_images = 1;
        q->units = q->images * q->bands;
    }
    q->unit_tiles = q->unit_images * q->unit_rows * q->tiles_w;
}

/* Transform the patches of one group of channels of a unit: [tile][TC_VL] at `to`, positions `pos` apart.
 * The image has `channels` planes of h x w; `end` is the end of the array. */
TC_INLINE void TC_FN(wino_patches)(int m, int adjoint, const TC_WINO *q, tc_int unit, const TC_T *image, tc_int channels,
                                   tc_int h, tc_int w, tc_int pad_h, tc_int pad_w, tc_int group, TC_T *strip, TC_T *to,
                                   tc_int pos) {
    enum { MOST = 6 };
    TC_T edge[MOST * MOST * TC_VL] __attribute__((aligned(64)));
    tc_int size = adjoint ? m : m + 2, n0, images, r0, r1, c0 = group * TC_VL, lanes = tc_min(TC_VL, channels - c0);
    const TC_T *end = image + q->images * channels * h * w;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    tc_int strip_rows = tc_max(1, (TC_WINO_STRIP / (w * TC_VL) - 2) / m);
    for (tc_int n = n0; n < n0 + images; n++) {
        const TC_T *plane = image + (n * channels + c0) * h * w;
        for (tc_int top = r0; top < r1; top += strip_rows) {
            tc_int bottom = tc_min(r1, top + strip_rows);
            tc_int h0 = tc_max(0, top * m - pad_h), h1 = tc_min(h, (bottom - 1) * m - pad_h + size);
            if (h0 < h1) TC_FN(lanes)(plane + h0 * w, h * w, lanes, (h1 - h0) * w, end, strip);
            for (tc_int row = top; row < bottom; row++) {
                tc_int y = row * m - pad_h, y0 = tc_max(0, -y), y1 = tc_min(size, h - y);
                for (tc_int col = 0; col < q->tiles_w; col++, to += TC_VL) {
                    tc_int x = col * m - pad_w, pitch = w * TC_VL;
                    const TC_T *d = strip + ((y - h0) * w + x) * TC_VL;
                    if (y < 0 || x < 0 || y + size > h || x + size > w) {
                        tc_int x0 = tc_max(0, -x), x1 = tc_min(size, w - x);
                        for (tc_int i = 0; i < size; i++)
                            for (tc_int j = 0; j < size; j++) {
                                TC_VEC value = {0};
                                if (i >= y0 && i < y1 && j >= x0 && j < x1) value = TC_LOAD(d + i * pitch + j * TC_VL);
                                TC_STORE(edge + (i * size + j) * TC_VL, value);
                            }
                        d = edge;
                        pitch = size * TC_VL;
                    }
                    TC_FN(wino_patch)(m, adjoint, d, pitch, to, pos);
                }
            }
        }
    }
}

static void TC_FN(wino_image_patches)(const TC_WINO *q, tc_int unit, tc_int group, TC_T *strip, TC_T *v) {
    v += group * q->unit_tiles * TC_VL;
    if (q->m == 4)
        TC_FN(wino_patches)(4, 0, q, unit, q->image, q->in, q->h, q->w, q->pad_h, q->pad_w, group, strip, v, q->v_pos);
    else
        TC_FN(wino_patches)(2, 0, q, unit, q->image, q->in, q->h, q->w, q->pad_h, q->pad_w, group, strip, v, q->v_pos);
}

/* Task: transformed weights of one group of output channels and one of input channels, U[group][position][c][TC_VL]. */
static void TC_FN(wino_weight_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO *q = (const TC_WINO *)plan;
    tc_int group = task / q->groups_in, c0 = task % q->groups_in * TC_VL, c1 = tc_min(q->in, c0 + TC_VL);
    tc_int rows = tc_min(TC_VL, q->out - group * TC_VL);
    const TC_T *end = q->weight + q->in * q->out * 9;
    TC_T *taps = (TC_T *)scratch;
    for (tc_int c = c0; c < c1; c++) {
        TC_T *to = q->u + (group * q->positions * q->in + c) * TC_VL;
        TC_FN(lanes)(q->weight + group * TC_VL * q->weight_out + c * q->weight_in, q->weight_out, rows, 9, end, taps);
        if (q->m == 4) TC_FN(wino_taps)(4, q->turned, taps, to, q->in * TC_VL);
        else TC_FN(wino_taps)(2, q->turned, taps, to, q->in * TC_VL);
    }
}

/* M of one unit, a pair of groups of output channels and one position. */
static void TC_FN(wino_product)(const TC_WINO *q, tc_int tiles, tc_int pair, tc_int position, const TC_T *v, TC_T *to) {
    tc_int group = 2 * pair, nv = tc_min(2, q->groups_out - group), u_pos = q->in * TC_VL, blocks = tc_ceil_div(tiles, TC_MR);
    const TC_T *u = q->u + (group * q->positions + position) * u_pos;
    v += position * q->v_pos;
    to += position * q->m_pos;
    for (tc_int c = 0; c < q->in; c += TC_WINO_SLICE) {
        tc_int k = tc_min(TC_WINO_SLICE, q->in - c);
        for (tc_int block = 0; block < blocks; block++) {
            tc_int i0 = tc_cut(tiles, blocks, block), rows = tc_cut(tiles, blocks, block + 1) - i0;
            TC_FN(tile_lanes)[nv - 1][rows - 1](k, v + (c * q->unit_tiles) + i0 * TC_VL, q->unit_tiles * TC_VL, u + c * TC_VL,
                                                q->positions * u_pos, to + i0 * TC_VL, q->unit_tiles * TC_VL, c > 0);
        }
    }
}

/* Transform M of one group of output channels back into the planes of the output. */
TC_INLINE void TC_FN(wino_results)(int m, const TC_WINO *q, tc_int unit, tc_int group, const TC_T *from, TC_T *strip) {
    tc_int n0, images, r0, r1, o0 = group * TC_VL, rows = tc_min(TC_VL, q->out - o0), plane = q->grid_h * q->grid_w;
    tc_int strip_rows = tc_max(1, TC_WINO_STRIP / (q->grid_w * TC_VL * m));
    TC_VEC bias = TC_LOAD(q->lane_bias + o0), check[2] = {{0}, {0}};
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    for (tc_int n = n0; n < n0 + images; n++) {
        TC_T *dst = q->dst + (n * q->out + o0) * plane;
        for (tc_int top = r0; top < r1; top += strip_rows) {
            tc_int bottom = tc_min(r1, top + strip_rows), pixels = (tc_min(q->grid_h, bottom * m) - top * m) * q->grid_w;
            for (tc_int row = top; row < bottom; row++) {
                tc_int high = tc_min(m, q->grid_h - row * m);
                for (tc_int col = 0; col < q->tiles_w; col++, from += TC_VL) {
                    tc_int wide = tc_min(m, q->grid_w - col * m);
                    TC_T *to = strip + ((row - top) * m * q->grid_w + col * m) * TC_VL;
                    TC_VEC y[4][4];
                    TC_FN(wino_result)(m, from, q->m_pos, bias, y);
                    TC_UNROLL
                    for (int i = 0; i < m; i++) {
                        TC_UNROLL
                        for (int j = 0; j < m; j++) {
                            check[j % 2] += 0 * y[i][j];
                            if (i < high && j < wide) TC_STORE(to + (i * q->grid_w + j) * TC_VL, y[i][j]);
                        }
                    }
                }
            }
            TC_FN(planes)(strip, pixels, dst + top * m * q->grid_w, plane, rows);
        }
    }
    check[0] += check[1];
    for (int l = 0; l < TC_VL; l++)
        if (check[0][l] != 0) __atomic_store_n(q->not_finite, 1, __ATOMIC_RELAXED);
}

/* Task: V of one unit and one group of input channels. */
static void TC_FN(wino_image_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO *q = (const TC_WINO *)plan;
    tc_int unit = task / q->groups_in;
    TC_FN(wino_image_patches)(q, unit, task % q->groups_in, (TC_T *)scratch, q->v + unit * q->v_size);
}

static void TC_FN(wino_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO *q = (const TC_WINO *)plan;
    tc_int unit = task / q->parts, part = task % q->parts, n0, images, r0, r1;
    TC_T *strip = (TC_T *)scratch, *product = strip + q->strip_room, *own = product + q->positions * q->m_pos;
    const TC_T *v = q->v ? q->v + unit * q->v_size : own;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    for (tc_int group = 0; group < q->groups_in && !q->v; group++) TC_FN(wino_image_patches)(q, unit, group, strip, own);
    for (tc_int pair = tc_cut(q->pairs, q->parts, part); pair < tc_cut(q->pairs, q->parts, part + 1); pair++) {
        for (tc_int position = 0; position < q->positions; position++)
            TC_FN(wino_product)(q, images * (r1 - r0) * q->tiles_w, pair, position, v, product);
        for (tc_int group = 2 * pair; group < tc_min(q->groups_out, 2 * pair + 2); group++) {
            const TC_T *from = product + group % 2 * q->unit_tiles * TC_VL;
            if (q->m == 4) TC_FN(wino_results)(4, q, unit, group, from, strip);
            else TC_FN(wino_results)(2, q, unit, group, from, strip);
        }
    }
}

/* Everything but the shared memory; tiles per unit are bounded by `channels` that are kept of each. */
static void TC_FN(wino_plan)(TC_WINO *q, tc_int channels) {
    tc_int a = q->m + 2;
    q->tiles_h = tc_ceil_div(q->grid_h, q->m);
    q->tiles_w = tc_ceil_div(q->grid_w, q->m);
    q->positions = a * a;
    q->groups_in = tc_ceil_div(q->in, TC_VL);
    q->groups_out = tc_ceil_div(q->out, TC_VL);
    q->pairs = tc_ceil_div(q->groups_out, 2);
    TC_FN(wino_units)(q, TC_WINO_BLOCK / ((tc_int)sizeof(TC_T) * q->positions * channels));
    /* One vector more than needed: else all positions of a tile fall into the same set of the cache. */
    q->v_pos = (q->groups_in * q->unit_tiles + 1) * TC_VL;
    q->m_pos = (2 * q->unit_tiles + 1) * TC_VL;
    q->v_size = q->positions * q->v_pos;
    q->strip_room = tc_max(TC_WINO_STRIP, a * tc_max(q->w, q->grid_w) * TC_VL) + TC_VL * TC_VL;
}

/* The convolution (which = TC_CONV) or its adjoint in the input. */
static int TC_FN(wino_conv)(int which, int m, const tc_conv_problem *p, int threads) {
    int not_finite = 0, failed;
    TC_WINO q = {.m = m, .turned = which == TC_CONV_INPUT, .images = p->n, .weight = (const TC_T *)p->weight,
                 .dst = (TC_T *)p->out, .not_finite = &not_finite};
    if (which == TC_CONV) {
        q.in = p->c; q.out = p->o; q.h = p->h; q.w = p->w; q.pad_h = p->ph; q.pad_w = p->pw;
        q.grid_h = p->oh; q.grid_w = p->ow; q.image = (const TC_T *)p->x; q.bias = (const TC_T *)p->bias;
        q.weight_in = 9; q.weight_out = p->c * 9;
    } else {
        q.in = p->o; q.out = p->c; q.h = p->oh; q.w = p->ow; q.pad_h = 2 - p->ph; q.pad_w = 2 - p->pw;
        q.grid_h = p->h; q.grid_w = p->w; q.image = (const TC_T *)p->y;
        q.weight_in = p->c * 9; q.weight_out = 9;
    }
    TC_FN(wino_plan)(&q, q.in + TC_NR);
    tc_int u_size = q.groups_out * q.positions * q.in * TC_VL, bias_size = q.groups_out * TC_VL;
    int shared = q.units == 1 || (q.units < TC_WINO_UNITS / 2 && u_size * (tc_int)sizeof(TC_T) > TC_WINO_MANY);
    q.parts = shared ? tc_min(q.pairs, tc_ceil_div(TC_WINO_UNITS, q.units)) : 1;
    tc_int shared_size = u_size + bias_size + (shared ? q.units * q.v_size : 0);
    q.u = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)shared_size);
    if (!q.u) return -1;
    q.lane_bias = q.u + u_size;
    q.v = shared ? q.lane_bias + bias_size : NULL;
    for (tc_int o = 0; o < bias_size; o++) q.lane_bias[o] = q.bias && o < q.out ? q.bias[o] : 0;
    size_t strip = sizeof(TC_T) * (size_t)q.strip_room;
    size_t bytes = strip + sizeof(TC_T) * (size_t)(q.positions * q.m_pos + (shared ? 0 : q.v_size));
    failed = tc_run(TC_FN(wino_weight_task), &q, q.groups_out * q.groups_in, strip, u_size < 65536 ? 1 : threads);
    if (!failed && shared) failed = tc_run(TC_FN(wino_image_task), &q, q.units * q.groups_in, strip, threads);
    if (!failed) failed = tc_run(TC_FN(wino_task), &q, q.units * q.parts, bytes, threads);
    tc_scratch_put(q.u);
    return failed ? -1 : not_finite;
}

#include "winograd_weight_impl.h" /* shares the tile and the patches */

static int TC_FN(winograd)(int which, int m, const tc_conv_problem *p, int threads) {
    return which == TC_CONV_WEIGHT ? TC_FN(wino_conv_weight)(m, p, threads) : TC_FN(wino_conv)(which, m, p, threads);
}

static const tc_winograd_function TC_FN(tc_winograd_entry) = TC_FN(winograd);
#undef TC_WINO
#undef TC_WINO_GRAD
#undef TC_ROOT_HALF
#undef TC_ROOT_TWO
#endif
