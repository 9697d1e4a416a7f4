/* Images whose pixels come from elsewhere in the image, compiled once per instruction set and number type (see isa.h).
 *
 * Place (u, v) of output pixel (row, column) is (across[0][column] + down[0][row], across[1][column] + down[1][row]), plus
 * offsets[0 and 1][row][column] if there are any, divided by across[2][column] + down[2][row] if there is a third line: affine
 * and perspective maps and free distortions.  These sums are the same at every level, bit by bit, and so is the choice of the
 * nearest pixel.
 */
#include "gather_impl.h"
#ifndef TC_WARP_COMMON
#define TC_WARP_COMMON
enum { TC_WARP_BLOCK = 128 /* pixels of a block */, TC_WARP_SHARE = 4096 /* pixels of a task */ };

typedef struct {
    const char *x, *fill; /* fill: one number of the type of x for each channel */
    char *y;
    const double *across, *down, *offsets;
    ptrdiff_t n, channels, height, width, rows, columns, item;
    ptrdiff_t from[4], to[4]; /* strides of x and y in elements: images, channels, rows, columns */
    int lines;
    /* for bytes: the image and the channels at hand, packed into 32 bits per pixel, and their fill */
    const uint32_t *packed;
    uint32_t packed_fill;
    ptrdiff_t image, first, count;
} tc_warp_map;

/* (u, v) of `count` pixels of a row. */
static inline void tc_warp_places(const tc_warp_map *m, ptrdiff_t image, ptrdiff_t row, ptrdiff_t column, ptrdiff_t count,
                                  double *restrict u, double *restrict v) {
    const double *across = m->across + image * m->lines * m->columns + column, *across2 = across + m->columns;
    const double *down = m->down + image * m->lines * m->rows + row;
    const double du = down[0], dv = down[m->rows];
    for (ptrdiff_t i = 0; i < count; i++) u[i] = across[i] + du, v[i] = across2[i] + dv;
    if (m->offsets) {
        const double *offset = m->offsets + ((image * 2) * m->rows + row) * m->columns + column;
        const double *offset2 = offset + m->rows * m->columns;
        for (ptrdiff_t i = 0; i < count; i++) u[i] += offset[i], v[i] += offset2[i];
    }
    if (m->lines == 3) {
        const double dw = down[2 * m->rows], *across3 = across2 + m->columns;
        for (ptrdiff_t i = 0; i < count; i++) u[i] /= across3[i] + dw, v[i] /= across3[i] + dw;
    }
    for (ptrdiff_t i = count; i < TC_WARP_BLOCK; i++) u[i] = v[i] = -9;
}

/* Up to four channels of an image of bytes, 32 bits for a pixel. */
static void tc_warp_pack(const tc_warp_map *m, uint32_t *restrict packed) {
    for (ptrdiff_t row = 0; row < m->height; row++) {
        const ptrdiff_t step = m->from[3], next = m->from[1];
        const uint8_t *x = (const uint8_t *)m->x + m->image * m->from[0] + m->first * next + row * m->from[2];
        uint32_t *restrict p = packed + row * m->width;
        if (m->count == 3)
            for (ptrdiff_t i = 0; i < m->width; i++)
                p[i] = x[i * step] | (uint32_t)x[i * step + next] << 8 | (uint32_t)x[i * step + 2 * next] << 16;
        else
            for (ptrdiff_t i = 0; i < m->width; i++) {
                p[i] = x[i * step];
                for (int c = 1; c < m->count; c++) p[i] |= (uint32_t)x[i * step + c * next] << (8 * c);
            }
    }
}

/* The pixels in which the places lie, of any type of 1, 2, 4 or 8 bytes.  Copying gains nothing from wide vectors. */
typedef struct {
    double u[TC_WARP_BLOCK], v[TC_WARP_BLOCK];
    int32_t where[TC_WARP_BLOCK], inside[TC_WARP_BLOCK];
} tc_warp_picked;

#define TC_WARP_COPY(type)                                                                                            \
    do {                                                                                                              \
        const type *x = (const type *)m->x + image * m->from[0] + c * m->from[1], fill = ((const type *)m->fill)[c];  \
        type *y = (type *)m->y + image * m->to[0] + c * m->to[1] + row * m->to[2] + column * m->to[3];                \
        for (ptrdiff_t i = 0; i < count; i++) {                                                                       \
            const type pixel = x[t->where[i]];                                                                        \
            y[i * m->to[3]] = t->inside[i] ? pixel : fill;                                                            \
        }                                                                                                             \
    } while (0)

static void tc_warp_picks(const void *map, ptrdiff_t task, void *scratch) {
    const tc_warp_map *m = map;
    tc_warp_picked *t = scratch;
    const ptrdiff_t share = tc_max(1, TC_WARP_SHARE / m->columns), shares = tc_ceil_div(m->rows, share);
    const ptrdiff_t image = task / shares, stop = tc_min(m->rows, (task % shares + 1) * share);
    const double width = (double)m->width, height = (double)m->height;
    const int32_t down = (int32_t)m->from[2], right = (int32_t)m->from[3];
    for (ptrdiff_t row = task % shares * share; row < stop; row++)
        for (ptrdiff_t column = 0; column < m->columns; column += TC_WARP_BLOCK) {
            const ptrdiff_t count = tc_min(TC_WARP_BLOCK, m->columns - column);
            tc_warp_places(m, image, row, column, count, t->u, t->v);
            for (int i = 0; i < TC_WARP_BLOCK; i++) {
                const double u = t->u[i], v = t->v[i];
                const int in = (u >= 0) & (u < width) & (v >= 0) & (v < height); /* false for NaN, too */
                const int32_t k = (int32_t)(in ? v : 0), l = (int32_t)(in ? u : 0);
                t->where[i] = k * down + l * right;
                t->inside[i] = in;
            }
            for (ptrdiff_t c = 0; c < m->channels; c++) {
                if (m->item == 1) TC_WARP_COPY(uint8_t);
                else if (m->item == 2) TC_WARP_COPY(uint16_t);
                else if (m->item == 4) TC_WARP_COPY(uint32_t);
                else TC_WARP_COPY(uint64_t);
            }
        }
}

static void tc_warp_nearest(const tc_warp_map *m, int threads, int *failed) {
    const ptrdiff_t shares = tc_ceil_div(m->rows, tc_max(1, TC_WARP_SHARE / m->columns));
    *failed = tc_run(tc_warp_picks, m, m->n * shares, sizeof(tc_warp_picked), threads);
}
#endif

typedef struct {
    double u[TC_WARP_BLOCK], v[TC_WARP_BLOCK];
    int32_t where[4][TC_WARP_BLOCK];  /* element of the channel */
    TC_BITS inside[4][TC_WARP_BLOCK]; /* all bits, or none */
    TC_T right[TC_WARP_BLOCK], below[TC_WARP_BLOCK], out[TC_WARP_BLOCK];
    uint32_t bytes[TC_WARP_BLOCK];
} TC_FN(tc_warp_table);

/* The four pixels around each place: upper left, upper right, lower left, lower right. */
TC_INLINE void TC_FN(warp_corners)(const tc_warp_map *m, ptrdiff_t row_step, ptrdiff_t column_step,
                                   TC_FN(tc_warp_table) * restrict t) {
    const double width = (double)m->width, height = (double)m->height;
    const int32_t down = (int32_t)row_step, right = (int32_t)column_step;
#pragma omp simd
    for (int i = 0; i < TC_WARP_BLOCK; i++) {
        const double u = t->u[i] - 0.5, v = t->v[i] - 0.5;
        /* Far outside is outside; NaN, too. */
        const double x = u >= -1 && u < width ? u : -2, y = v >= -1 && v < height ? v : -2;
        const double left = __builtin_floor(x), upper = __builtin_floor(y);
        const int32_t l = (int32_t)left, k = (int32_t)upper;
        t->right[i] = (TC_T)(x - left);
        t->below[i] = (TC_T)(y - upper);
        const int32_t w = (int32_t)m->width, h = (int32_t)m->height;
        const int32_t l0 = l >= 0 && l < w ? -1 : 0, l1 = l >= -1 && l < w - 1 ? -1 : 0;
        const int32_t k0 = k >= 0 && k < h ? -1 : 0, k1 = k >= -1 && k < h - 1 ? -1 : 0;
        const int32_t at = k * down + l * right;
        t->where[0][i] = at & (k0 & l0);
        t->where[1][i] = (at + right) & (k0 & l1);
        t->where[2][i] = (at + down) & (k1 & l0);
        t->where[3][i] = (at + down + right) & (k1 & l1);
        t->inside[0][i] = k0 & l0;
        t->inside[1][i] = k0 & l1;
        t->inside[2][i] = k1 & l0;
        t->inside[3][i] = k1 & l1;
    }
}

/* A vector of corner pixels, `fill` outside. */
TC_INLINE TC_VEC TC_FN(warp_pixels)(const TC_T *x, const TC_FN(tc_warp_table) * t, int corner, ptrdiff_t i, TC_VEC fill) {
    TC_IVEC inside;
    memcpy(&inside, t->inside[corner] + i, sizeof inside);
    return TC_FN(tc_select)(inside, fill, TC_FN(tc_gather)(x, t->where[corner] + i, t->inside[corner] + i));
}

TC_INLINE TC_VEC TC_FN(warp_between)(TC_VEC a, TC_VEC b, TC_VEC c, TC_VEC d, TC_VEC right, TC_VEC below) {
    const TC_VEC upper = a + (b - a) * right, lower = c + (d - c) * right;
    return upper + (lower - upper) * below;
}

static void TC_FN(warp_floats)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_warp_map *m = map;
    TC_FN(tc_warp_table) *t = scratch;
    const ptrdiff_t share = tc_max(1, TC_WARP_SHARE / m->columns), shares = tc_ceil_div(m->rows, share);
    const ptrdiff_t image = task / shares, stop = tc_min(m->rows, (task % shares + 1) * share);
    for (ptrdiff_t row = task % shares * share; row < stop; row++)
        for (ptrdiff_t column = 0; column < m->columns; column += TC_WARP_BLOCK) {
            const ptrdiff_t count = tc_min(TC_WARP_BLOCK, m->columns - column), step = m->to[3];
            tc_warp_places(m, image, row, column, count, t->u, t->v);
            TC_FN(warp_corners)(m, m->from[2], m->from[3], t);
            for (ptrdiff_t c = 0; c < m->channels; c++) {
                const TC_T *x = (const TC_T *)m->x + image * m->from[0] + c * m->from[1];
                TC_T *y = (TC_T *)m->y + image * m->to[0] + c * m->to[1] + row * m->to[2] + column * step;
                const TC_T value = ((const TC_T *)m->fill)[c];
                TC_VEC fill;
                for (int i = 0; i < TC_VL; i++) fill[i] = value;
                for (ptrdiff_t i = 0; i < count; i += TC_VL)
                    TC_FN(tc_store)(t->out + i, TC_FN(warp_between)(
                        TC_FN(warp_pixels)(x, t, 0, i, fill), TC_FN(warp_pixels)(x, t, 1, i, fill),
                        TC_FN(warp_pixels)(x, t, 2, i, fill), TC_FN(warp_pixels)(x, t, 3, i, fill),
                        TC_FN(tc_load)(t->right + i), TC_FN(tc_load)(t->below + i)));
                if (step == 1) memcpy(y, t->out, (size_t)count * sizeof(TC_T));
                else for (ptrdiff_t i = 0; i < count; i++) y[i * step] = t->out[i];
            }
        }
}

static void TC_FN(warp_bilinear)(const tc_warp_map *m, int threads, int *failed) {
    const ptrdiff_t shares = tc_ceil_div(m->rows, tc_max(1, TC_WARP_SHARE / m->columns));
    *failed = tc_run(TC_FN(warp_floats), m, m->n * shares, sizeof(TC_FN(tc_warp_table)), threads);
}

#if TC_TBYTES == 4
/* Up to four channels of bytes at once: a gather brings all of a pixel. */
static void TC_FN(warp_packed)(const void *map, ptrdiff_t task, void *scratch) {
    const tc_warp_map *m = map;
    TC_FN(tc_warp_table) *t = scratch;
    const ptrdiff_t share = tc_max(1, TC_WARP_SHARE / m->columns), stop = tc_min(m->rows, (task + 1) * share);
    const TC_T *x = (const TC_T *)m->packed;
    TC_VEC fill;
    uint32_t fills[TC_VL];
    for (int i = 0; i < TC_VL; i++) fills[i] = m->packed_fill;
    memcpy(&fill, fills, sizeof fill);
    for (ptrdiff_t row = task * share; row < stop; row++)
        for (ptrdiff_t column = 0; column < m->columns; column += TC_WARP_BLOCK) {
            const ptrdiff_t count = tc_min(TC_WARP_BLOCK, m->columns - column), step = m->to[3];
            tc_warp_places(m, m->image, row, column, count, t->u, t->v);
            TC_FN(warp_corners)(m, m->width, 1, t);
            for (ptrdiff_t i = 0; i < count; i += TC_VL) {
                const TC_VEC right = TC_FN(tc_load)(t->right + i), below = TC_FN(tc_load)(t->below + i);
                TC_IVEC corner[4], result = {0};
                for (int k = 0; k < 4; k++) corner[k] = (TC_IVEC)TC_FN(warp_pixels)(x, t, k, i, fill);
                for (int c = 0; c < m->count; c++) {
                    TC_VEC value[4];
                    for (int k = 0; k < 4; k++) {
                        value[k] = __builtin_convertvector(corner[k] & 255, TC_VEC);
                        corner[k] >>= 8;
                    }
                    /* Adding 1.5 * 2^23 rounds to a whole number, half to even, which is left in the lowest bits. */
                    const TC_VEC whole = TC_FN(warp_between)(value[0], value[1], value[2], value[3], right, below) + 12582912.0f;
                    result |= ((TC_IVEC)whole & 255) << (8 * c);
                }
                memcpy(t->bytes + i, &result, sizeof result);
            }
            uint8_t *y = (uint8_t *)m->y + m->image * m->to[0] + m->first * m->to[1] + row * m->to[2] + column * step;
            if (m->count == 3 && step == 3 && m->to[1] == 1) { /* four bytes at a time; the next pixel overwrites the fourth */
                for (ptrdiff_t i = 0; i < count - 1; i++) memcpy(y + 3 * i, t->bytes + i, 4);
                memcpy(y + 3 * (count - 1), t->bytes + count - 1, 3);
                continue;
            }
            for (int c = 0; c < m->count; c++) {
                uint8_t *plane = y + c * m->to[1];
                if (step == 1)
                    for (ptrdiff_t i = 0; i < count; i++) plane[i] = (uint8_t)(t->bytes[i] >> (8 * c));
                else
                    for (ptrdiff_t i = 0; i < count; i++) plane[i * step] = (uint8_t)(t->bytes[i] >> (8 * c));
            }
        }
}

static void TC_FN(warp_bytes)(const tc_warp_map *m, int threads, int *failed) {
    const ptrdiff_t shares = tc_ceil_div(m->rows, tc_max(1, TC_WARP_SHARE / m->columns));
    uint32_t *packed = tc_scratch_get((size_t)(m->height * m->width) * sizeof(uint32_t));
    *failed = !packed;
    for (ptrdiff_t image = 0; image < m->n && !*failed; image++)
        for (ptrdiff_t first = 0; first < m->channels && !*failed; first += 4) {
            tc_warp_map one = *m;
            one.packed = packed;
            one.packed_fill = 0;
            one.image = image;
            one.first = first;
            one.count = tc_min(4, m->channels - first);
            for (int c = 0; c < one.count; c++) one.packed_fill |= (uint32_t)((const uint8_t *)m->fill)[first + c] << (8 * c);
            tc_warp_pack(&one, packed);
            *failed = tc_run(TC_FN(warp_packed), &one, shares, sizeof(TC_FN(tc_warp_table)), threads);
        }
    if (packed) tc_scratch_put(packed);
}
#endif
