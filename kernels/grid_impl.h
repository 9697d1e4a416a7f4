/* Images at the places of a grid, compiled once per instruction set and number type (see isa.h).
 *
 * An image is seen as a volume with three axes (depth 1 for images).  Along each axis a place has 1, 2 or 4 taps: pixels and
 * their weights (nearest; linear; cubic).  A block of places first fills a table with an entry for every combination of taps:
 * where the pixel lies, whether it is inside, and the product of the weights.  What remains for every channel is, per entry, one
 * gathered multiplication (or one addition to a pixel), whatever the mode, the number of axes and the order of the derivative.
 */
#ifndef TC_GRID_COMMON
#define TC_GRID_COMMON
enum { TC_GRID_NEAREST, TC_GRID_LINEAR, TC_GRID_CUBIC };
enum { TC_GRID_ZEROS, TC_GRID_BORDER, TC_GRID_REFLECTION };
enum { TC_GRID_BLOCK = 128 /* places of a block */, TC_GRID_TAPS = 16, TC_GRID_SHARE = 4096 /* places of a task */ };

typedef struct {
    const char *x;    /* (n, channels, size[0], size[1], size[2]); NULL where only g counts */
    const char *grid; /* (n, places, axes), the last axis of the image first */
    const char *g;    /* (n, channels, places) */
    char *y;
    ptrdiff_t n, channels, places, size[3], group; /* group: channels of a task of grid_scatter */
    int axes, mode, padding, aligned;
    int order[3]; /* of the derivative of the weights along each axis */
} tc_grid_map;
#endif

#if TC_TBYTES == 4
TC_INLINE float TC_FN(grid_floor)(float x) { return __builtin_floorf(x); }
TC_INLINE float TC_FN(grid_round)(float x) { return __builtin_rintf(x); }
#else
TC_INLINE double TC_FN(grid_floor)(double x) { return __builtin_floor(x); }
TC_INLINE double TC_FN(grid_round)(double x) { return __builtin_rint(x); }
#endif

typedef struct {
    int32_t where[TC_GRID_TAPS][TC_GRID_BLOCK];  /* element of the channel, 0 for outside */
    TC_BITS inside[TC_GRID_TAPS][TC_GRID_BLOCK]; /* all bits, or none */
    TC_T weight[TC_GRID_TAPS][TC_GRID_BLOCK];
    TC_T sum[TC_GRID_TAPS][TC_GRID_BLOCK];
    TC_T at[4][TC_GRID_BLOCK];
    TC_T along[3][4][TC_GRID_BLOCK]; /* weights along one axis */
    TC_T steep[3][4][TC_GRID_BLOCK]; /* and their derivatives */
    int32_t line[3][4][TC_GRID_BLOCK];
} TC_FN(tc_grid_table);

/* Coordinates moved into the image; `slope`: 1 where they change with the old ones, -1 where the other way round,
 * else 0.  The same arithmetic as in backend/reference/resize.py. */
static void TC_FN(grid_move)(TC_T *restrict x, TC_T *restrict slope, ptrdiff_t size, int padding, int aligned) {
    const TC_T last = (TC_T)(size - 1), low = aligned ? 0 : (TC_T)-0.5, length = aligned ? last : (TC_T)size;
    if (padding == TC_GRID_REFLECTION && length == 0) {
        for (int i = 0; i < TC_GRID_BLOCK; i++) x[i] = slope[i] = 0;
    } else if (padding == TC_GRID_REFLECTION) {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) {
            const TC_T from = x[i] - low, far = from < 0 ? -from : from, flips = TC_FN(grid_floor)(far / length);
            const TC_T half = flips * (TC_T)0.5;
            const int even = TC_FN(grid_floor)(half) == half;
            const TC_T rest = far - flips * length, side = from < 0 ? (TC_T)-1 : (TC_T)1;
            const TC_T moved = low + (even ? rest : length - rest), turn = even ? side : -side;
            const int inside = moved > 0 && moved < last;
            x[i] = inside ? moved : moved > 0 ? last : 0;
            slope[i] = inside ? turn : 0;
        }
    } else {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) {
            const TC_T old = x[i];
            const int inside = old > 0 && old < last;
            x[i] = inside ? old : old > 0 ? last : 0;
            slope[i] = inside ? (TC_T)1 : (TC_T)0;
        }
    }
}

/* The tap's weights at places with the fraction `part`, differentiated `order` times.  Cubic: Keys' kernel of the distance
 * t = |part - tap|, whose derivative has the sign of part - tap; every derivative brings a factor of `steep`. */
static void TC_FN(grid_weights)(int mode, int order, int tap, const TC_T *restrict part, const TC_T *restrict steep,
                                TC_T *restrict w) {
    if (mode == TC_GRID_CUBIC) {
        const TC_T a = (TC_T)-0.75, sign = tap < 1 ? 1 : -1;
        const int near = tap == 0 || tap == 1;
        TC_T c[4] = {near ? 1 : -4 * a, near ? 0 : 8 * a, near ? -(a + 3) : -5 * a, near ? a + 2 : a}; /* of t^0 .. t^3 */
        for (int n = 0; n < order; n++) {
            for (int i = 0; i < 3; i++) c[i] = sign * (TC_T)(i + 1) * c[i + 1];
            c[3] = 0;
        }
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) {
            const TC_T t = sign * (part[i] - (TC_T)tap);
            w[i] = ((c[3] * t + c[2]) * t + c[1]) * t + c[0];
        }
        for (int n = 0; n < order; n++) {
#pragma omp simd
            for (int i = 0; i < TC_GRID_BLOCK; i++) w[i] *= steep[i];
        }
    } else if (mode == TC_GRID_LINEAR && order == 0) {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) w[i] = tap ? part[i] : 1 - part[i];
    } else if (mode == TC_GRID_LINEAR && order == 1) {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) w[i] = tap ? steep[i] : -steep[i];
    } else {
        for (int i = 0; i < TC_GRID_BLOCK; i++) w[i] = mode == TC_GRID_NEAREST && order == 0;
    }
}

/* Where the taps along an axis lie, in elements of the channel, and their weights; `steep` if the table shall hold their
 * derivatives, too. */
static void TC_FN(grid_axis)(const tc_grid_map *m, int axis, const TC_T *grid, ptrdiff_t count, ptrdiff_t stride, int taps,
                             int steep, TC_FN(tc_grid_table) * table) {
    const ptrdiff_t size = m->size[axis];
    const TC_T scale = (TC_T)(m->aligned ? size - 1 : size) / 2, shift = (TC_T)(size - 1) / 2, stop = (TC_T)size;
    TC_T *restrict x = table->at[0], *restrict slope = table->at[1], *restrict part = table->at[2], *restrict to = table->at[3];
    if (m->axes == 2) {
        for (ptrdiff_t i = 0; i < count; i++) x[i] = grid[2 * i] * scale + shift;
    } else {
        for (ptrdiff_t i = 0; i < count; i++) x[i] = grid[3 * i] * scale + shift;
    }
    for (ptrdiff_t i = count; i < TC_GRID_BLOCK; i++) x[i] = 0;
    for (int i = 0; i < TC_GRID_BLOCK; i++) slope[i] = 1;
    if (m->mode != TC_GRID_CUBIC && m->padding != TC_GRID_ZEROS) TC_FN(grid_move)(x, slope, size, m->padding, m->aligned);
    if (m->mode == TC_GRID_NEAREST) {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) x[i] = TC_FN(grid_round)(x[i]), part[i] = 0;
    } else {
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) {
            const TC_T left = TC_FN(grid_floor)(x[i]);
            part[i] = x[i] - left;
            x[i] = left;
            slope[i] *= scale;
        }
    }
    const int first = m->mode == TC_GRID_CUBIC ? -1 : 0;
    for (int t = 0; t < taps; t++) {
        int32_t *restrict line = table->line[axis][t];
        for (int i = 0; i < TC_GRID_BLOCK; i++) to[i] = x[i] + (TC_T)(t + first);
        if (m->mode == TC_GRID_CUBIC && m->padding != TC_GRID_ZEROS)
            TC_FN(grid_move)(to, table->weight[0], size, m->padding, m->aligned);
#pragma omp simd
        for (int i = 0; i < TC_GRID_BLOCK; i++) {
            const int inside = to[i] >= 0 && to[i] < stop; /* false for NaN, too */
            const int32_t at = (int32_t)(inside ? to[i] : 0) * (int32_t)stride;
            line[i] = inside ? at : -1;
        }
        TC_FN(grid_weights)(m->mode, m->order[axis], t + first, part, slope, table->along[axis][t]);
        if (steep) TC_FN(grid_weights)(m->mode, m->order[axis] + 1, t + first, part, slope, table->steep[axis][t]);
    }
}

/* The table of `count` places; the number of its entries. */
static int TC_FN(grid_table)(const tc_grid_map *m, const TC_T *grid, ptrdiff_t count, int steep,
                             TC_FN(tc_grid_table) * table) {
    int taps[3], entries = 0;
    ptrdiff_t stride = 1;
    for (int axis = 2; axis >= 0; axis--) {
        taps[axis] = axis < 3 - m->axes ? 1 : m->mode == TC_GRID_CUBIC ? 4 : m->mode == TC_GRID_LINEAR ? 2 : 1;
        if (axis < 3 - m->axes) { /* an image has no depth */
            for (int i = 0; i < TC_GRID_BLOCK; i++) table->along[axis][0][i] = 1, table->line[axis][0][i] = 0;
        } else {
            TC_FN(grid_axis)(m, axis, grid + 2 - axis, count, stride, taps[axis], steep, table);
        }
        stride *= m->size[axis];
    }
    for (int z = 0; z < taps[0]; z++)
        for (int y = 0; y < taps[1]; y++)
            for (int x = 0; x < taps[2]; x++, entries++) {
                const int32_t *lz = table->line[0][z], *ly = table->line[1][y], *lx = table->line[2][x];
                const TC_T *wz = table->along[0][z], *wy = table->along[1][y], *wx = table->along[2][x];
                int32_t *restrict where = table->where[entries];
                TC_BITS *restrict inside = table->inside[entries];
                TC_T *restrict w = table->weight[entries];
#pragma omp simd
                for (int i = 0; i < TC_GRID_BLOCK; i++) {
                    const int32_t out = (lz[i] | ly[i] | lx[i]) >> 31;
                    where[i] = (lz[i] + ly[i] + lx[i]) & ~out;
                    inside[i] = ~(TC_BITS)out;
                    w[i] = wz[i] * wy[i] * wx[i];
                }
            }
    return entries;
}

/* y[c, p] = sum over the entries of p of weight * x[c, where]. */
static void TC_FN(grid_gather)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_grid_map *m = map;
    TC_FN(tc_grid_table) *table = scratch;
    const ptrdiff_t shares = tc_ceil_div(m->places, TC_GRID_SHARE), image = task / shares;
    const ptrdiff_t stop = tc_min(m->places, (task % shares + 1) * TC_GRID_SHARE);
    const ptrdiff_t plane = m->size[0] * m->size[1] * m->size[2];
    for (ptrdiff_t p = task % shares * TC_GRID_SHARE; p < stop; p += TC_GRID_BLOCK) {
        const ptrdiff_t count = tc_min(TC_GRID_BLOCK, stop - p);
        const int entries = TC_FN(grid_table)(m, (const TC_T *)m->grid + (image * m->places + p) * m->axes, count, 0, table);
        for (ptrdiff_t c = 0; c < m->channels; c++) {
            const TC_T *x = (const TC_T *)m->x + (image * m->channels + c) * plane;
            TC_T *restrict y = (TC_T *)m->y + (image * m->channels + c) * m->places + p;
            for (ptrdiff_t i = 0; i < count; i += TC_VL) {
                TC_VEC sum = {0};
                for (int e = 0; e < entries; e++)
                    sum += TC_FN(tc_load)(table->weight[e] + i) *
                           TC_FN(tc_gather)(x, table->where[e] + i, table->inside[e] + i);
                if (i + TC_VL <= count) TC_FN(tc_store)(y + i, sum);
                else TC_FN(tc_store_first)(y + i, sum, count - i);
            }
        }
    }
}

/* y[c, where] += weight * g[c, p]: the transpose of grid_gather.  A task owns some channels of an image. */
static void TC_FN(grid_scatter)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_grid_map *m = map;
    TC_FN(tc_grid_table) *table = scratch;
    const ptrdiff_t groups = tc_ceil_div(m->channels, m->group), image = task / groups, first = task % groups * m->group;
    const ptrdiff_t last = tc_min(m->channels, first + m->group), plane = m->size[0] * m->size[1] * m->size[2];
    TC_T *all = (TC_T *)m->y + (image * m->channels + first) * plane;
    memset(all, 0, (size_t)((last - first) * plane) * sizeof(TC_T));
    for (ptrdiff_t p = 0; p < m->places; p += TC_GRID_BLOCK) {
        const ptrdiff_t count = tc_min(TC_GRID_BLOCK, m->places - p);
        const int entries = TC_FN(grid_table)(m, (const TC_T *)m->grid + (image * m->places + p) * m->axes, count, 0, table);
        for (ptrdiff_t c = first; c < last; c++) {
            const TC_T *restrict g = (const TC_T *)m->g + (image * m->channels + c) * m->places + p;
            TC_T *restrict y = all + (c - first) * plane;
            for (int e = 0; e < entries; e++) {
                const int32_t *restrict at = table->where[e];
                const TC_BITS *restrict in = table->inside[e];
                const TC_T *restrict w = table->weight[e];
                for (ptrdiff_t i = 0; i < count; i++)
                    if (in[i]) y[at[i]] += w[i] * g[i];
            }
        }
    }
}

/* The gradient of sum of g * grid_gather(x) in the coordinates.  First sums over the channels, then derivatives of weights. */
static void TC_FN(grid_slope)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_grid_map *m = map;
    TC_FN(tc_grid_table) *table = scratch;
    const ptrdiff_t shares = tc_ceil_div(m->places, TC_GRID_SHARE), image = task / shares;
    const ptrdiff_t stop = tc_min(m->places, (task % shares + 1) * TC_GRID_SHARE);
    const ptrdiff_t plane = m->size[0] * m->size[1] * m->size[2];
    for (ptrdiff_t p = task % shares * TC_GRID_SHARE; p < stop; p += TC_GRID_BLOCK) {
        const ptrdiff_t count = tc_min(TC_GRID_BLOCK, stop - p);
        const int entries = TC_FN(grid_table)(m, (const TC_T *)m->grid + (image * m->places + p) * m->axes, count, 1, table);
        for (int e = 0; e < entries; e++) memset(table->sum[e], 0, sizeof table->sum[e]);
        for (ptrdiff_t c = 0; c < m->channels; c++) {
            const TC_T *x = (const TC_T *)m->x + (image * m->channels + c) * plane;
            const TC_T *restrict g = (const TC_T *)m->g + (image * m->channels + c) * m->places + p;
            for (ptrdiff_t i = 0; i < count; i += TC_VL) {
                const TC_VEC weight = i + TC_VL <= count ? TC_FN(tc_load)(g + i) : TC_FN(tc_load_first)(g + i, count - i);
                for (int e = 0; e < entries; e++) {
                    const TC_VEC pixel = TC_FN(tc_gather)(x, table->where[e] + i, table->inside[e] + i);
                    TC_FN(tc_store)(table->sum[e] + i, TC_FN(tc_load)(table->sum[e] + i) + weight * pixel);
                }
            }
        }
        TC_T *restrict y = (TC_T *)m->y + (image * m->places + p) * m->axes;
        const int taps = m->mode == TC_GRID_CUBIC ? 4 : m->mode == TC_GRID_LINEAR ? 2 : 1, deep = m->axes == 3 ? taps : 1;
        for (int axis = 3 - m->axes; axis < 3; axis++) {
            TC_T *restrict total = table->at[0];
            memset(total, 0, sizeof table->at[0]);
            for (int e = 0; e < deep * taps * taps; e++) {
                const int tap[3] = {e / (taps * taps), e / taps % taps, e % taps};
                const TC_T *w[3], *sum = table->sum[e];
                for (int b = 0; b < 3; b++) w[b] = b == axis ? table->steep[b][tap[b]] : table->along[b][tap[b]];
#pragma omp simd
                for (int i = 0; i < TC_GRID_BLOCK; i++) total[i] += w[0][i] * w[1][i] * w[2][i] * sum[i];
            }
            for (ptrdiff_t i = 0; i < count; i++) y[i * m->axes + 2 - axis] = total[i];
        }
    }
}

static void TC_FN(grid_sample)(const tc_grid_map *m, int threads, int *failed) {
    *failed = tc_run(TC_FN(grid_gather), m, m->n * tc_ceil_div(m->places, TC_GRID_SHARE), sizeof(TC_FN(tc_grid_table)), threads);
}

static void TC_FN(grid_sample_input)(const tc_grid_map *m, int threads, int *failed) {
    *failed = tc_run(TC_FN(grid_scatter), m, m->n * tc_ceil_div(m->channels, m->group), sizeof(TC_FN(tc_grid_table)), threads);
}

static void TC_FN(grid_sample_grid)(const tc_grid_map *m, int threads, int *failed) {
    *failed = tc_run(TC_FN(grid_slope), m, m->n * tc_ceil_div(m->places, TC_GRID_SHARE), sizeof(TC_FN(tc_grid_table)), threads);
}
