/* Convolution by Winograd's minimal filtering F(m x m, r x r): tiles of m x m outputs from r x r taps, m = 2 or 4.
 *
 * A convolution with stride s is a sum of s x s convolutions with stride 1, one for each remainder ("phase") of the
 * pixel's place, with ceil(k / s) taps; r is that number: 3 for 3x3 with stride 1 and 5x5 and 6x6 with stride 2, 2 for 2x2
 * with stride 1 and 3x3 and 4x4 with stride 2, 5 for 5x5 with stride 1 and 9x9 and 10x10 with stride 2, and for one tap less.
 * (Taps that a phase lacks are 0.)  The phases of a channel are summed like channels.
 *
 * The output is cut into tiles of m x m pixels.  After the transforms (winograd_transform_impl.h) each of the n x n
 * positions, n = m + r - 1, is a matrix product of its own over channels and phases:
 *
 *     M[q][tile, o] = sum over c of V[q][tile, c] * U[q][c, o]
 *
 * which costs n^2 multiplications per m^2 outputs instead of (r m)^2: for r = 3 2.25 times fewer with m = 2 and 4 times
 * with m = 4, for r = 2 and m = 4 2.56 times, for r = 5 and m = 2 2.78 times.
 *
 * With dilation d (and stride 1), the d x d remainders of a pixel are convolutions of their own with the same weights: a
 * tile takes pixels that are d apart, and d x d tiles take turns.
 *
 * In the adjoint in the input the pixels of the output fall into s x s phases, each of them a convolution of y with
 * stride 1, of r x r taps of the weight turned by 180 degrees, with its channels exchanged.
 *
 * Layout.  V, U and M are kept in groups of TC_VL channels, [position][group][phase][item][TC_VL]: a transform computes
 * TC_VL channels of one tile with vertical arithmetic and no shuffles, any width and any edge; the rows of the matrix
 * product are tiles (so small maps fill it as well as large ones), its columns output channels.
 *
 * A unit is some images, or a band of tile rows of one, so that its V and M stay in L2.  A task is one unit:
 *
 *     for each group of input channels     a strip of the image as vectors of channels (in L1), transformed: V
 *     for each two groups of output channels
 *         for each position                M = V U, a tile of <= TC_MR image tiles x 2 vectors in registers
 *         for each group                   M transformed, a strip of the output (in L1) transposed into its planes
 *
 * With few units their V is made first, by tasks of their own, and the tasks of the product are cut over output channels
 * as well.  Then each number of U is read by few tasks, and a task makes what it needs itself, a slab that stays in L2.
 * Determinism: units depend on shapes only, every number of the output belongs to one task.
 *
 * Not finite.  The transforms mix the pixels of a tile, so an infinity or NaN would spread to pixels that do not depend
 * on it.  Every output is therefore multiplied by zero and added up: the sum is NaN if any of them is not finite.  Then
 * the caller computes the whole convolution again by the direct algorithm.  (A value that is not finite reaches every
 * position that it has a coefficient in, there every output channel, even where the weight is 0, and from every position
 * some output: none goes unnoticed, cut-off edges included.)
 *
 * Error against float64, the largest over the outputs relative to the largest output, over 1000 random shapes of 1 to 79
 * channels at three levels (tests/kernels/test_winograd.py holds the bounds):
 *     direct 1.2e-6      m = 2, r = 3: 7e-7      m = 2, r = 5, over some 80 shapes with AVX-512: 3.3e-6, 2.0e-6
 *                        m = 4, r = 3: 2.9e-6, weight gradient 1.4e-6      m = 4, r = 2: 1.8e-6, 6e-7
 */
#if TC_TBYTES == 4 /* float32 only, see winograd.h */
#define TC_USE_TILE_LANES
#include "tile_impl.h"
#undef TC_USE_TILE_LANES
#include "winograd_transform_impl.h"

#define TC_WINO TC_FN(winograd_plan)
#define TC_WINO_SOURCE TC_FN(winograd_source)

/* f(m, r, ...) with m and r known to the compiler. */
#define TC_WINO_FORM(q, f, ...)                          \
    do {                                                 \
        if ((q)->r == 2) f(4, 2, __VA_ARGS__);           \
        else if ((q)->r == 5) f(2, 5, __VA_ARGS__);      \
        else if ((q)->m == 4) f(4, 3, __VA_ARGS__);      \
        else f(2, 3, __VA_ARGS__);                       \
    } while (0)

/* Images that are cut into patches: patch i of phase a begins at pixel i * m * step + from[a], its pixels `step` apart. */
typedef struct {
    const TC_T *image;
    tc_int channels, h, w;
    tc_int step_h, step_w, phases_h, phases_w;
    tc_int from_h[TC_WINO_STRIDE], from_w[TC_WINO_STRIDE];
} TC_WINO_SOURCE;

typedef struct {
    int m, r, sums_phases;               /* output tile, taps; the phases are summed (else each has outputs of its own) */
    tc_int images, in, out;              /* channels */
    tc_int dilation_h, dilation_w;       /* of taps, hence of the pixels of a tile; with stride 1 only */
    TC_WINO_SOURCE source;
    tc_int grid_h, grid_w;               /* output */
    tc_int step_h, step_w;               /* of the pixels of a tile of the output: the stride in the adjoint, else 1 */
    const TC_T *weight, *bias;
    tc_int kernel;                       /* numbers in a kernel */
    tc_int tap[TC_WINO_STRIDE * TC_WINO_STRIDE * 25]; /* of each phase: r x r places in the kernel; `kernel` where it is 0 */
    tc_int weight_in, weight_out;        /* strides of the weight */
    TC_T *dst;
    /* set by plan: */
    tc_int phases, tiles_h, tiles_w, positions, groups_in, groups_out;
    tc_int unit_images, unit_rows, bands, units, unit_tiles;
    tc_int pairs, parts;                 /* pairs of output groups; in how many tasks per unit */
    tc_int v_pos, v_size, m_pos, m_size; /* numbers per position and in all of V, of M of a phase; of a unit */
    tc_int slab, u_pos, u_group;         /* input channels of which U is made at a time; numbers per position, in a group */
    tc_int strip_room;
    TC_T *u, *v, *lane_bias;             /* shared; v, u NULL: every task makes its own */
    int *not_finite;
} TC_WINO;

/* Images and tile rows of unit u. */
TC_INLINE void TC_FN(wino_unit)(const TC_WINO *q, tc_int u, tc_int *n0, tc_int *images, tc_int *r0, tc_int *r1) {
    *n0 = u / q->bands * q->unit_images;
    *images = tc_min(q->unit_images, q->images - *n0);
    *r0 = tc_cut(q->tiles_h / q->dilation_h, q->bands, u % q->bands) * q->dilation_h;
    *r1 = tc_cut(q->tiles_h / q->dilation_h, q->bands, u % q->bands + 1) * q->dilation_h;
}

/* The first pixel of a tile.  With dilation d, tiles come in groups of d, whose pixels take turns: m d pixels in a row. */
TC_INLINE tc_int TC_FN(wino_start)(tc_int tile, tc_int m, tc_int dilation) {
    return dilation == 1 ? tile * m : tile / dilation * dilation * m + tile % dilation;
}

/* Cut images and tile rows into units of about `tiles` tiles; at least TC_WINO_UNITS if that leaves TC_WINO_LEAST tiles. */
static void TC_FN(wino_units)(TC_WINO *q, tc_int tiles) {
    tc_int per_image = q->tiles_h * q->tiles_w, all = q->images * per_image, groups_h = q->tiles_h / q->dilation_h;
    int many = q->positions * q->phases * q->in * q->out > TC_WINO_MANY / (tc_int)sizeof(TC_T);
    tiles = tc_min(tc_min(tiles, TC_WINO_MOST), all / TC_WINO_UNITS);
    tiles = tc_max(many ? TC_WINO_LEAST_MANY : TC_WINO_LEAST, tiles);
    if (per_image <= tiles) {
        q->bands = 1;
        q->unit_rows = q->tiles_h;
        q->units = tc_ceil_div(q->images, tiles / per_image);
        q->unit_images = tc_ceil_div(q->images, q->units);
        q->units = tc_ceil_div(q->images, q->unit_images);
    } else {
        q->bands = tc_min(groups_h, tc_ceil_div(per_image, tiles));
        q->unit_rows = tc_ceil_div(groups_h, q->bands) * q->dilation_h;
        q->unit_images = 1;
        q->units = q->images * q->bands;
    }
    q->unit_tiles = q->unit_images * q->unit_rows * q->tiles_w;
}

/* Rows of an image under `groups` groups of rows of patches of size x size pixels, all phases. */
TC_INLINE tc_int TC_FN(wino_rows)(const TC_WINO *q, const TC_WINO_SOURCE *s, tc_int size, tc_int groups) {
    return (((groups - 1) * q->m + size) * q->dilation_h - 1) * s->step_h + s->from_h[s->phases_h - 1] - s->from_h[0] + 1;
}

/* Transform the patches of one group of channels of a unit: [phase][tile][TC_VL] at `to`, positions `pos` apart.  m and r
 * belong to the transform; B^T knows their sum only, so the tiles may be of q->m pixels. */
TC_INLINE void TC_FN(wino_patches)(int m, int r, int adjoint, const TC_WINO *q, const TC_WINO_SOURCE *s, tc_int unit,
                                   tc_int group, TC_T *strip, TC_T *to, tc_int pos) {
    enum { MOST = 6 };
    TC_T edge[MOST * MOST * TC_VL] __attribute__((aligned(64)));
    tc_int size = adjoint ? m : m + r - 1, n0, images, r0, r1, c0 = group * TC_VL, lanes = tc_min(TC_VL, s->channels - c0);
    tc_int h = s->h, w = s->w, pitch = w * TC_VL, skip = pitch * s->step_h * q->dilation_h, strip_rows = q->dilation_h;
    tc_int step_h = s->step_h * q->dilation_h, step_w = s->step_w * q->dilation_w, step = TC_VL * step_w;
    const TC_T *end = s->image + q->images * s->channels * h * w;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    while (strip_rows < r1 - r0 &&
           TC_FN(wino_rows)(q, s, size, strip_rows / q->dilation_h + 1) * pitch <= TC_WINO_STRIP)
        strip_rows += q->dilation_h;
    for (tc_int n = n0; n < n0 + images; n++) {
        const TC_T *plane = s->image + (n * s->channels + c0) * h * w;
        for (tc_int top = r0; top < r1; top += strip_rows) {
            tc_int bottom = tc_min(r1, top + strip_rows), first = top * q->m * s->step_h + s->from_h[0];
            tc_int h0 = tc_max(0, first);
            tc_int h1 = tc_min(h, first + TC_FN(wino_rows)(q, s, size, (bottom - top) / q->dilation_h));
            if (h0 < h1) TC_FN(lanes)(plane + h0 * w, h * w, lanes, (h1 - h0) * w, end, strip);
            for (tc_int phase = 0; phase < s->phases_h * s->phases_w; phase++) {
                tc_int from_h = s->from_h[phase / s->phases_w], from_w = s->from_w[phase % s->phases_w];
                TC_T *tile = to + phase * q->unit_tiles * TC_VL;
                for (tc_int row = top; row < bottom; row++) {
                    tc_int y = TC_FN(wino_start)(row, q->m, q->dilation_h) * s->step_h + from_h;
                    tc_int y0 = tc_ceil_div(tc_max(0, -y), step_h), y1 = tc_min(size, tc_ceil_div(h - y, step_h));
                    for (tc_int col = 0; col < q->tiles_w; col++, tile += TC_VL) {
                        tc_int x = TC_FN(wino_start)(col, q->m, q->dilation_w) * s->step_w + from_w;
                        tc_int x0 = tc_ceil_div(tc_max(0, -x), step_w), x1 = tc_min(size, tc_ceil_div(w - x, step_w));
                        const TC_T *d = strip + ((y - h0) * w + x) * TC_VL;
                        tc_int d_skip = skip, d_step = step;
                        if (y0 > 0 || x0 > 0 || y1 < size || x1 < size) {
                            for (tc_int i = 0; i < size; i++)
                                for (tc_int j = 0; j < size; j++) {
                                    TC_VEC value = {0};
                                    if (i >= y0 && i < y1 && j >= x0 && j < x1) value = TC_LOAD(d + i * skip + j * step);
                                    TC_STORE(edge + (i * size + j) * TC_VL, value);
                                }
                            d = edge;
                            d_skip = size * TC_VL;
                            d_step = TC_VL;
                        }
                        TC_FN(wino_patch)(m, r, adjoint, d, d_skip, d_step, tile, pos);
                    }
                }
            }
            to += (bottom - top) * q->tiles_w * TC_VL;
        }
    }
}

static void TC_FN(wino_image_patches)(const TC_WINO *q, tc_int unit, tc_int group, TC_T *strip, TC_T *v) {
    v += group * q->phases * q->unit_tiles * TC_VL;
    if (q->r == 2) TC_FN(wino_patches)(4, 2, 0, q, &q->source, unit, group, strip, v, q->v_pos);
    else if (q->m + q->r == 5) TC_FN(wino_patches)(2, 3, 0, q, &q->source, unit, group, strip, v, q->v_pos);
    else TC_FN(wino_patches)(4, 3, 0, q, &q->source, unit, group, strip, v, q->v_pos);
}

/* U of one group of output channels and input channels c0 .. c1 - 1 of the slab [begin, end) that is at `to`: a position of
 * it is in the order in which the product sums, [group of TC_VL][phase][channel] or [phase][channel]. */
static void TC_FN(wino_weights)(const TC_WINO *q, tc_int group, tc_int begin, tc_int end, tc_int c0, tc_int c1, TC_T *to) {
    TC_T taps[(25 * TC_WINO_STRIDE * TC_WINO_STRIDE + TC_VL) * TC_VL] __attribute__((aligned(64)));
    tc_int rows = tc_min(TC_VL, q->out - group * TC_VL), row, step;
    const TC_T *last = q->weight + q->in * q->out * q->kernel;
    for (tc_int c = c0; c < c1; c++) {
        TC_FN(lanes)(q->weight + group * TC_VL * q->weight_out + c * q->weight_in, q->weight_out, rows, q->kernel, last, taps);
        TC_STORE(taps + q->kernel * TC_VL, (TC_VEC){0});
        if (q->sums_phases) {
            tc_int lane = (c - begin) % TC_VL, first = c - begin - lane;
            row = first * q->phases + lane;
            step = tc_min(TC_VL, end - begin - first);
        } else {
            row = c - begin;
            step = end - begin;
        }
        for (tc_int phase = 0; phase < q->phases; phase++)
            TC_WINO_FORM(q, TC_FN(wino_taps), q->tap + phase * q->r * q->r, taps, to + (row + phase * step) * TC_VL, q->u_pos);
    }
}

/* M of a unit (+)= the sum over k, in slices that stay in L1. */
TC_INLINE void TC_FN(wino_sum)(tc_int tiles, tc_int item_group, int nv, tc_int k, const TC_T *v, tc_int v_group, const TC_T *u,
                               tc_int u_group, TC_T *to, int add) {
    tc_int blocks = tc_ceil_div(tiles, TC_MR);
    for (tc_int p = 0; p < k; p += TC_WINO_SLICE, add = 1)
        for (tc_int block = 0; block < blocks; block++) {
            tc_int i0 = tc_cut(tiles, blocks, block), rows = tc_cut(tiles, blocks, block + 1) - i0;
            TC_FN(tile_lanes)[nv - 1][rows - 1](tc_min(TC_WINO_SLICE, k - p), v + p / TC_VL * v_group + i0 * TC_VL, v_group,
                                                u + p * TC_VL, u_group, to + i0 * TC_VL, item_group, add);
        }
}

/* M of one unit, a pair of groups of output channels, one position and phase, over input channels c0 .. c1 - 1; u holds
 * those only. */
static void TC_FN(wino_product)(const TC_WINO *q, tc_int tiles, tc_int pair, tc_int position, tc_int phase, tc_int c0, tc_int c1,
                                const TC_T *v, const TC_T *u, TC_T *to) {
    tc_int items = q->unit_tiles * TC_VL, channels = c1 - c0, whole = channels / TC_VL * TC_VL, rest = channels - whole;
    int nv = (int)tc_min(2, q->groups_out - 2 * pair), add = c0 > 0;
    v += position * q->v_pos + c0 / TC_VL * q->phases * items;
    u += position * q->u_pos;
    if (!q->sums_phases) {
        TC_FN(wino_sum)(tiles, items, nv, channels, v + phase * items, q->phases * items, u + phase * channels * TC_VL,
                        q->u_group, to, add);
        return;
    }
    TC_FN(wino_sum)(tiles, items, nv, whole * q->phases, v, items, u, q->u_group, to, add);
    for (phase = 0; phase < q->phases && rest; phase++)
        TC_FN(wino_sum)(tiles, items, nv, rest, v + (whole / TC_VL * q->phases + phase) * items, items,
                        u + (whole * q->phases + phase * rest) * TC_VL, q->u_group, to, add || whole > 0 || phase > 0);
}

/* Transform M of one group of output channels back into the planes of the output. */
TC_INLINE void TC_FN(wino_results)(int m, int r, const TC_WINO *q, tc_int unit, tc_int group, const TC_T *from, TC_T *strip) {
    tc_int n0, images, r0, r1, o0 = group * TC_VL, rows = tc_min(TC_VL, q->out - o0), plane = q->grid_h * q->grid_w;
    tc_int tile_h = m * q->step_h, step_h = q->step_h * q->dilation_h, step_w = q->step_w * q->dilation_w;
    tc_int strip_rows = tc_max(1, TC_WINO_STRIP / (q->grid_w * TC_VL * tile_h * q->dilation_h)) * q->dilation_h;
    TC_VEC bias = TC_LOAD(q->lane_bias + o0), check[2] = {{0}, {0}};
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    for (tc_int n = n0; n < n0 + images; n++) {
        TC_T *dst = q->dst + (n * q->out + o0) * plane;
        for (tc_int top = r0; top < r1; top += strip_rows) {
            tc_int bottom = tc_min(r1, top + strip_rows);
            tc_int pixels = (tc_min(q->grid_h, bottom * tile_h) - top * tile_h) * q->grid_w;
            for (tc_int phase = 0; phase < q->step_h * q->step_w; phase++) {
                tc_int a = phase / q->step_w, b = phase % q->step_w;
                const TC_T *tile = from + phase * q->m_size;
                for (tc_int row = top; row < bottom; row++) {
                    tc_int y0 = TC_FN(wino_start)(row, m, q->dilation_h) * q->step_h + a;
                    tc_int high = tc_ceil_div(q->grid_h - y0, step_h);
                    for (tc_int col = 0; col < q->tiles_w; col++, tile += TC_VL) {
                        tc_int x0 = TC_FN(wino_start)(col, m, q->dilation_w) * q->step_w + b;
                        tc_int wide = tc_ceil_div(q->grid_w - x0, step_w);
                        TC_T *to = strip + ((y0 - top * tile_h) * q->grid_w + x0) * TC_VL;
                        TC_VEC y[4][4];
                        TC_FN(wino_result)(m, r, tile, q->m_pos, bias, y);
                        TC_UNROLL
                        for (int i = 0; i < m; i++) {
                            TC_UNROLL
                            for (int j = 0; j < m; j++) {
                                check[j % 2] += 0 * y[i][j];
                                if (i < high && j < wide)
                                    TC_STORE(to + (i * step_h * q->grid_w + j * step_w) * TC_VL, y[i][j]);
                            }
                        }
                    }
                }
            }
            from += (bottom - top) * q->tiles_w * TC_VL;
            TC_FN(planes)(strip, pixels, dst + top * tile_h * q->grid_w, plane, rows);
        }
    }
    check[0] += check[1];
    for (int l = 0; l < TC_VL; l++)
        if (check[0][l] != 0) __atomic_store_n(q->not_finite, 1, __ATOMIC_RELAXED);
}

/* Task: U of one group of output channels and one of input channels. */
static void TC_FN(wino_weight_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO *q = (const TC_WINO *)plan;
    tc_int group = task / q->groups_in, c0 = task % q->groups_in * TC_VL;
    (void)scratch;
    TC_FN(wino_weights)(q, group, 0, q->in, c0, tc_min(q->in, c0 + TC_VL), q->u + group * q->u_group);
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
    tc_int results = q->step_h * q->step_w;
    TC_T *strip = (TC_T *)scratch, *product = strip + q->strip_room, *own = product + results * q->m_size;
    const TC_T *v = q->v ? q->v + unit * q->v_size : own;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    tc_int tiles = images * (r1 - r0) * q->tiles_w;
    for (tc_int group = 0; group < q->groups_in && !q->v; group++) TC_FN(wino_image_patches)(q, unit, group, strip, own);
    for (tc_int pair = tc_cut(q->pairs, q->parts, part); pair < tc_cut(q->pairs, q->parts, part + 1); pair++) {
        tc_int end = tc_min(q->groups_out, 2 * pair + 2);
        for (tc_int c0 = 0; c0 < q->in; c0 += q->slab) {
            tc_int c1 = tc_min(q->in, c0 + q->slab);
            const TC_T *u = q->u ? q->u + 2 * pair * q->u_group : own;
            for (tc_int group = 2 * pair; group < end && !q->u; group++)
                TC_FN(wino_weights)(q, group, c0, c1, c0, c1, own + group % 2 * q->u_group);
            for (tc_int phase = 0; phase < results; phase++)
                for (tc_int position = 0; position < q->positions; position++)
                    TC_FN(wino_product)(q, tiles, pair, position, phase, c0, c1, v, u,
                                        product + phase * q->m_size + position * q->m_pos);
        }
        for (tc_int group = 2 * pair; group < end; group++)
            TC_WINO_FORM(q, TC_FN(wino_results), q, unit, group, product + group % 2 * q->unit_tiles * TC_VL, strip);
    }
}

/* Everything but the shared memory; tiles per unit are bounded by the numbers that are kept of each at a position. */
static void TC_FN(wino_plan)(TC_WINO *q, tc_int numbers) {
    tc_int n = q->m + q->r - 1;
    q->phases = q->source.phases_h * q->source.phases_w;
    q->tiles_h = tc_ceil_div(q->grid_h, q->m * q->step_h * q->dilation_h) * q->dilation_h;
    q->tiles_w = tc_ceil_div(q->grid_w, q->m * q->step_w * q->dilation_w) * q->dilation_w;
    q->positions = n * n;
    q->groups_in = tc_ceil_div(q->in, TC_VL);
    q->groups_out = tc_ceil_div(q->out, TC_VL);
    q->pairs = tc_ceil_div(q->groups_out, 2);
    TC_FN(wino_units)(q, TC_WINO_BLOCK / ((tc_int)sizeof(TC_T) * q->positions * numbers));
    /* One vector more than needed: else all positions of a tile fall into the same set of the cache. */
    q->v_pos = (q->groups_in * q->phases * q->unit_tiles + 1) * TC_VL;
    q->m_pos = (2 * q->unit_tiles + 1) * TC_VL;
    q->v_size = q->positions * q->v_pos;
    q->m_size = q->positions * q->m_pos;
    tc_int rows = TC_FN(wino_rows)(q, &q->source, n, 1), results = q->m * q->step_h * q->dilation_h;
    q->strip_room = tc_max(TC_WINO_STRIP, tc_max(rows * q->source.w, results * q->grid_w) * TC_VL) + TC_VL * TC_VL;
}

/* What the convolution and its adjoint in the weight read of x, and the taps of its phases. */
static void TC_FN(wino_phases)(TC_WINO *q, const tc_conv_problem *p) {
    TC_WINO_SOURCE *s = &q->source;
    *s = (TC_WINO_SOURCE){.image = (const TC_T *)p->x, .channels = p->c, .h = p->h, .w = p->w, .step_h = p->sh,
                          .step_w = p->sw, .phases_h = p->sh, .phases_w = p->sw};
    q->sums_phases = 1;
    q->dilation_h = p->dh; q->dilation_w = p->dw;
    q->in = p->c; q->out = p->o; q->grid_h = p->oh; q->grid_w = p->ow; q->step_h = q->step_w = 1;
    q->weight_in = q->kernel; q->weight_out = p->c * q->kernel;
    for (tc_int a = 0; a < p->sh; a++) s->from_h[a] = a - p->ph;
    for (tc_int b = 0; b < p->sw; b++) s->from_w[b] = b - p->pw;
    for (tc_int t = 0; t < p->sh * p->sw * q->r * q->r; t++) {
        tc_int phase = t / (q->r * q->r), i = t / q->r % q->r * p->sh + phase / p->sw, j = t % q->r * p->sw + phase % p->sw;
        q->tap[t] = i < p->kh && j < p->kw ? i * p->kw + j : q->kernel;
    }
}

/* The same for the adjoint in the input: pixel h = sh t + a of phase a sums taps i = (a + ph) % sh + sh k of row
 * t + (a + ph) / sh - k of y. */
static void TC_FN(wino_phases_input)(TC_WINO *q, const tc_conv_problem *p) {
    TC_WINO_SOURCE *s = &q->source;
    *s = (TC_WINO_SOURCE){.image = (const TC_T *)p->y, .channels = p->o, .h = p->oh, .w = p->ow, .step_h = 1, .step_w = 1,
                          .phases_h = p->sh, .phases_w = p->sw};
    q->dilation_h = p->dh; q->dilation_w = p->dw;
    q->in = p->o; q->out = p->c; q->grid_h = p->h; q->grid_w = p->w; q->step_h = p->sh; q->step_w = p->sw;
    q->weight_in = p->c * q->kernel; q->weight_out = q->kernel;
    for (tc_int a = 0; a < p->sh; a++) s->from_h[a] = (a + p->ph) / p->sh - (q->r - 1) * p->dh;
    for (tc_int b = 0; b < p->sw; b++) s->from_w[b] = (b + p->pw) / p->sw - (q->r - 1) * p->dw;
    for (tc_int t = 0; t < p->sh * p->sw * q->r * q->r; t++) {
        tc_int phase = t / (q->r * q->r), a = phase / p->sw, b = phase % p->sw;
        tc_int i = (a + p->ph) % p->sh + (q->r - 1 - t / q->r % q->r) * p->sh;
        tc_int j = (b + p->pw) % p->sw + (q->r - 1 - t % q->r) * p->sw;
        q->tap[t] = i < p->kh && j < p->kw ? i * p->kw + j : q->kernel;
    }
}

/* The convolution (which = TC_CONV) or its adjoint in the input. */
static int TC_FN(wino_conv)(int which, int m, const tc_conv_problem *p, int threads) {
    int not_finite = 0, failed;
    TC_WINO q = {.m = m, .r = (int)tc_conv_taps(p), .images = p->n, .weight = (const TC_T *)p->weight,
                 .kernel = p->kh * p->kw, .dst = (TC_T *)p->out, .not_finite = &not_finite};
    if (which == TC_CONV) {
        TC_FN(wino_phases)(&q, p);
        q.bias = (const TC_T *)p->bias;
    } else {
        TC_FN(wino_phases_input)(&q, p);
    }
    tc_int results = q.step_h * q.step_w;
    TC_FN(wino_plan)(&q, p->sh * p->sw * q.in + results * TC_NR);
    tc_int u_size = q.positions * q.phases * q.in * q.groups_out * TC_VL, bias_size = q.groups_out * TC_VL;
    int shared = q.units == 1 || (q.units < TC_WINO_UNITS / 2 && u_size * (tc_int)sizeof(TC_T) > TC_WINO_MANY);
    q.parts = shared ? tc_min(q.pairs, tc_ceil_div(TC_WINO_UNITS, q.units)) : 1;
    int own_u = q.units == 1 && q.parts == q.pairs && u_size * (tc_int)sizeof(TC_T) > TC_WINO_BLOCK;
    tc_int vectors = TC_WINO_SLAB / ((tc_int)sizeof(TC_T) * 2 * q.positions * q.phases * TC_VL); /* of a pair of groups */
    q.slab = own_u ? tc_min(q.in, tc_max(1, vectors / TC_VL) * TC_VL) : q.in;
    q.u_pos = (q.phases * q.slab + 1) * TC_VL;
    q.u_group = q.positions * q.u_pos;
    u_size = own_u ? 0 : q.groups_out * q.u_group;
    q.lane_bias = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)(bias_size + u_size + (shared ? q.units * q.v_size : 0)));
    if (!q.lane_bias) return -1;
    q.u = own_u ? NULL : q.lane_bias + bias_size;
    q.v = shared ? q.lane_bias + bias_size + u_size : NULL;
    for (tc_int o = 0; o < bias_size; o++) q.lane_bias[o] = q.bias && o < q.out ? q.bias[o] : 0;
    size_t strip = sizeof(TC_T) * (size_t)q.strip_room;
    tc_int own = results * q.m_size + (own_u ? 2 * q.u_group : 0) + (shared ? 0 : q.v_size);
    failed = own_u ? 0 : tc_run(TC_FN(wino_weight_task), &q, q.groups_out * q.groups_in, 64, u_size < 65536 ? 1 : threads);
    if (!failed && shared) failed = tc_run(TC_FN(wino_image_task), &q, q.units * q.groups_in, strip, threads);
    if (!failed)
        failed = tc_run(TC_FN(wino_task), &q, q.units * q.parts, strip + sizeof(TC_T) * (size_t)own, threads);
    tc_scratch_put(q.lane_bias);
    return failed ? -1 : not_finite;
}

#include "winograd_weight_impl.h" /* shares the tile and the patches */

static int TC_FN(winograd)(int which, int m, const tc_conv_problem *p, int threads) {
    return which == TC_CONV_WEIGHT ? TC_FN(wino_conv_weight)(m, p, threads) : TC_FN(wino_conv)(which, m, p, threads);
}

static const tc_winograd_function TC_FN(tc_winograd_entry) = TC_FN(winograd);
#undef TC_WINO
#undef TC_WINO_SOURCE
#undef TC_WINO_GRAD
#undef TC_WINO_FORM
#undef TC_ROOT_HALF
#undef TC_ROOT_TWO
#endif
