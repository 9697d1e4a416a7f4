/* Running results along the middle axis of a contiguous (outer, n, inner) array.
 *
 * A task has some whole rows if inner is 1, else a stretch of up to TC_SCAN_TILE neighbouring columns, whose totals stay in
 * the first cache.  No result depends on how the work is shared out. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

enum {
    TC_SCAN_TILE = 512,  /* columns of a task */
    TC_SCAN_BLOCK = 8192 /* elements of a task of short rows */
};

#define TC_IMPL "scan_impl.h"
#include "isa.h"

typedef void (*tc_scan_row)(const char *x, char *y, ptrdiff_t n, int reverse);
typedef void (*tc_scan_columns)(const char *x, char *y, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t width, int reverse);

/* What is not worth vectors: products, and whole numbers, which wrap around as unsigned ones. */
#define TC_SCAN(type, wide, name, op, neutral)                                                                        \
    static void tc_##name##_row(const char *x_, char *y_, ptrdiff_t n, int reverse) {                                 \
        const ptrdiff_t step = reverse ? -1 : 1;                                                                      \
        const type *x = (const type *)x_ + (reverse ? n - 1 : 0);                                                     \
        type *y = (type *)y_ + (reverse ? n - 1 : 0);                                                                 \
        wide total = neutral;                                                                                         \
        for (ptrdiff_t i = 0; i < n; i++, x += step, y += step) *y = (type)(total = total op (wide)*x);               \
    }                                                                                                                 \
    static void tc_##name##_columns(const char *x_, char *y_, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t width, int reverse) { \
        const ptrdiff_t step = reverse ? -inner : inner;                                                              \
        const type *x = (const type *)x_ + (reverse ? (n - 1) * inner : 0);                                           \
        type *y = (type *)y_ + (reverse ? (n - 1) * inner : 0);                                                       \
        wide total[TC_SCAN_TILE];                                                                                     \
        for (ptrdiff_t c = 0; c < width; c++) total[c] = neutral;                                                     \
        for (ptrdiff_t i = 0; i < n; i++, x += step, y += step)                                                       \
            for (ptrdiff_t c = 0; c < width; c++) y[c] = (type)(total[c] = total[c] op (wide)x[c]);                   \
    }
TC_SCAN(float, double, cumprod_f32, *, 1)
TC_SCAN(double, double, cumprod_f64, *, 1)
TC_SCAN(uint64_t, uint64_t, cumsum_i64, +, 0)
TC_SCAN(uint64_t, uint64_t, cumprod_i64, *, 1)

static const tc_scan_row tc_sum_row[2][TC_LEVELS] = {TC_PER_LEVEL(tc_cumsum, float), TC_PER_LEVEL(tc_cumsum, double)};
static const tc_scan_columns tc_sum_columns[2][TC_LEVELS] = {TC_PER_LEVEL(tc_cumsum_columns, float),
                                                             TC_PER_LEVEL(tc_cumsum_columns, double)};
static const tc_scan_row tc_product_row[3] = {tc_cumprod_f32_row, tc_cumprod_f64_row, tc_cumprod_i64_row};
static const tc_scan_columns tc_product_columns[3] = {tc_cumprod_f32_columns, tc_cumprod_f64_columns, tc_cumprod_i64_columns};

/* type: 0 float, 1 double, 2 int64. */
static void tc_scan(int product, int type, int level, const char *x, char *y, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
                    int reverse, int threads) {
    const ptrdiff_t item = type == 0 ? 4 : 8;
    if (inner == 1) {
        const tc_scan_row row = product ? tc_product_row[type] : type == 2 ? tc_cumsum_i64_row : tc_sum_row[type][level];
        const ptrdiff_t group = TC_SCAN_BLOCK / (n + 1) + 1, tasks = (outer + group - 1) / group;
        TC_EACH(threads, task, tasks, {
            for (ptrdiff_t o = task * group; o < outer && o < (task + 1) * group; o++)
                row(x + o * n * item, y + o * n * item, n, reverse);
        });
        return;
    }
    const tc_scan_columns columns = product     ? tc_product_columns[type]
                                    : type == 2 ? tc_cumsum_i64_columns
                                                : tc_sum_columns[type][level];
    const ptrdiff_t tiles = (inner + TC_SCAN_TILE - 1) / TC_SCAN_TILE;
    TC_EACH(threads, task, outer * tiles, {
        const ptrdiff_t start = task % tiles * TC_SCAN_TILE;
        const ptrdiff_t at = (task / tiles * n * inner + start) * item;
        columns(x + at, y + at, n, inner, inner - start < TC_SCAN_TILE ? inner - start : TC_SCAN_TILE, reverse);
    });
}

/* Where the largest number up to each one was: the last of equal ones, and of NaN, which wins.  The smallest is the largest
 * of the numbers with all signs, or for whole numbers all bits, turned round. */
#define TC_RUNNING_EXTREME(type, name, turn)                                                                          \
    static void tc_cummax_##name(const void *x_, int64_t *y, ptrdiff_t n, ptrdiff_t inner, ptrdiff_t width, type way) { \
        const type *x = (const type *)x_;                                                                             \
        type best[TC_SCAN_TILE];                                                                                      \
        int64_t place[TC_SCAN_TILE];                                                                                  \
        if (width == 1) { /* a chain, whose links should stay in registers */                                         \
            type most = *x turn way;                                                                                  \
            int64_t at = 0;                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                       \
                const type v = x[i * inner] turn way;                                                                 \
                const int wins = (v >= most) | (v != v);                                                              \
                most = wins ? v : most;                                                                               \
                y[i * inner] = at = wins ? i : at;                                                                    \
            }                                                                                                         \
            return;                                                                                                   \
        }                                                                                                             \
        for (ptrdiff_t c = 0; c < width; c++) {                                                                       \
            best[c] = x[c] turn way;                                                                                  \
            place[c] = 0;                                                                                             \
        }                                                                                                             \
        for (ptrdiff_t i = 0; i < n; i++)                                                                             \
            for (ptrdiff_t c = 0; c < width; c++) {                                                                   \
                const type v = x[i * inner + c] turn way;                                                             \
                const int wins = (v >= best[c]) | (v != v);                                                           \
                best[c] = wins ? v : best[c];                                                                         \
                y[i * inner + c] = place[c] = wins ? i : place[c];                                                    \
            }                                                                                                         \
    }
TC_RUNNING_EXTREME(float, f32, *)
TC_RUNNING_EXTREME(double, f64, *)
TC_RUNNING_EXTREME(int64_t, i64, ^)

static void tc_running_extreme(int smallest, int type, const char *x, int64_t *y, ptrdiff_t outer, ptrdiff_t n,
                               ptrdiff_t inner, int threads) {
    const ptrdiff_t item = type == 0 ? 4 : 8, tiles = (inner + TC_SCAN_TILE - 1) / TC_SCAN_TILE;
    TC_EACH(threads, task, outer * tiles, {
        const ptrdiff_t start = task % tiles * TC_SCAN_TILE;
        const ptrdiff_t at = task / tiles * n * inner + start;
        const ptrdiff_t width = inner - start < TC_SCAN_TILE ? inner - start : TC_SCAN_TILE;
        if (type == 0) tc_cummax_f32(x + at * item, y + at, n, inner, width, smallest ? -1 : 1);
        else if (type == 1) tc_cummax_f64(x + at * item, y + at, n, inner, width, smallest ? -1 : 1);
        else tc_cummax_i64(x + at * item, y + at, n, inner, width, smallest ? -1 : 0);
    });
}

/* r[i] = g[i] + c[i] r[i + 1] from the end (reverse), or r[i] = g[i] + c[i - 1] r[i - 1]; c has n - 1 rows. */
#define TC_RECURRENCE(type, name)                                                                                    \
    static void tc_recurrence_##name(const void *g_, const void *c_, void *r_, ptrdiff_t n, ptrdiff_t inner,         \
                                     ptrdiff_t width, int reverse) {                                                 \
        const ptrdiff_t step = reverse ? -inner : inner;                                                             \
        const type *g = (const type *)g_ + (reverse ? (n - 1) * inner : 0);                                          \
        const type *c = (const type *)c_ + (reverse && n > 1 ? (n - 2) * inner : 0);                                 \
        type *r = (type *)r_ + (reverse ? (n - 1) * inner : 0);                                                      \
        double total[TC_SCAN_TILE];                                                                                  \
        for (ptrdiff_t k = 0; k < width; k++) r[k] = (type)(total[k] = g[k]);                                        \
        for (ptrdiff_t i = 1; i < n; i++, c += step) {                                                               \
            g += step;                                                                                               \
            r += step;                                                                                               \
            for (ptrdiff_t k = 0; k < width; k++) r[k] = (type)(total[k] = g[k] + (double)c[k] * total[k]);          \
        }                                                                                                            \
    }
TC_RECURRENCE(float, f32)
TC_RECURRENCE(double, f64)

static void tc_recurrence(int type, const char *g, const char *c, char *r, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t inner,
                          int reverse, int threads) {
    const ptrdiff_t item = type == 0 ? 4 : 8, tiles = (inner + TC_SCAN_TILE - 1) / TC_SCAN_TILE;
    TC_EACH(threads, task, outer * tiles, {
        const ptrdiff_t o = task / tiles;
        const ptrdiff_t start = task % tiles * TC_SCAN_TILE;
        const ptrdiff_t width = inner - start < TC_SCAN_TILE ? inner - start : TC_SCAN_TILE;
        const char *from = g + (o * n * inner + start) * item;
        (type == 0 ? tc_recurrence_f32 : tc_recurrence_f64)(from, c + (o * (n - 1) * inner + start) * item,
                                                            r + (o * n * inner + start) * item, n, inner, width, reverse);
    });
}

/* Where the `count` largest (smallest) of a row are, the best first, of equal ones the first; NaN is larger than all.
 * The best so far are kept in order.  Once there are enough, few numbers are better than the worst of them: a block is
 * compared with that as a whole, without looking at its numbers one by one. */
#define TC_TOPK(type, name, key_type, key_of)                                                                         \
    static key_type tc_key_##name(type v) { return key_of; }                                                          \
    static void tc_topk_##name(const void *x_, int64_t *y, ptrdiff_t n, ptrdiff_t count, int largest) {               \
        const type *x = (const type *)x_;                                                                             \
        key_type best[TC_FEW];                                                                                        \
        const key_type turn = largest ? 0 : -1;                                                                       \
        ptrdiff_t have = 0;                                                                                           \
        for (ptrdiff_t start = 0; start < n; start += TC_TOPK_BLOCK) {                                                \
            const ptrdiff_t stop = start + TC_TOPK_BLOCK < n ? start + TC_TOPK_BLOCK : n;                             \
            if (have == count && stop - start == TC_TOPK_BLOCK) {                                                     \
                const type worst = x[y[count - 1]];                                                                   \
                int some = 0;                                                                                         \
                if (largest)                                                                                          \
                    for (ptrdiff_t i = 0; i < TC_TOPK_BLOCK; i++) some |= !(x[start + i] <= worst);                   \
                else                                                                                                  \
                    for (ptrdiff_t i = 0; i < TC_TOPK_BLOCK; i++) some |= !(x[start + i] >= worst);                   \
                if (!some) continue;                                                                                  \
            }                                                                                                         \
            for (ptrdiff_t i = start; i < stop; i++) {                                                                \
                const key_type key = tc_key_##name(x[i]) ^ turn;                                                      \
                if (have == count && key <= best[count - 1]) continue;                                                \
                ptrdiff_t at = have < count ? have++ : count - 1;                                                     \
                for (; at && best[at - 1] < key; at--) {                                                              \
                    best[at] = best[at - 1];                                                                          \
                    y[at] = y[at - 1];                                                                                \
                }                                                                                                     \
                best[at] = key;                                                                                       \
                y[at] = i;                                                                                            \
            }                                                                                                         \
        }                                                                                                             \
    }
enum { TC_FEW = 64, TC_TOPK_BLOCK = 64 };

/* Integers in the order of floating point numbers: the bits, of negative ones all but the sign turned round; -0 is 0. */
static int32_t tc_rank_f32(float v) {
    int32_t bits;
    v += 0.0f;
    memcpy(&bits, &v, 4);
    return v != v ? INT32_MAX : bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}
static int64_t tc_rank_f64(double v) {
    int64_t bits;
    v += 0.0;
    memcpy(&bits, &v, 8);
    return v != v ? INT64_MAX : bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}
TC_TOPK(float, f32, int32_t, tc_rank_f32(v))
TC_TOPK(double, f64, int64_t, tc_rank_f64(v))
TC_TOPK(int64_t, i64, int64_t, v)

static void tc_topk(int type, const char *x, int64_t *y, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t count, int largest,
                    int threads) {
    void (*const loops[3])(const void *, int64_t *, ptrdiff_t, ptrdiff_t, int) = {tc_topk_f32, tc_topk_f64, tc_topk_i64};
    const ptrdiff_t item = type == 0 ? 4 : 8;
    TC_EACH(threads, row, rows, loops[type](x + row * n * item, y + row * count, n, count, largest));
}
