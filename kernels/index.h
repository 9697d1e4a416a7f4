/* Loops of the index kernels.  Arrays are (outer, n, inner) with the index along n; indices have been checked. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tc_omp.h"

enum {
    TC_ROWS = 16384,      /* elements that one task of a gather moves */
    TC_INNER_TILE = 4096, /* neighbours that one task of a scatter owns */
    TC_ROW_TILE = 64,     /* neighbours that one task of adding rows owns */
    TC_ROW_BYTES = 65536, /* what one task of taking rows moves */
};

/* Position of the first index outside [low, high), or -1.  In range, i - low and high - 1 - i are both non-negative;
 * their sign bits are collected without a comparison, which SSE2 has not for 64 bits (unsigned, so that wrapping is
 * defined).  Blocks, because a loop that may stop early does not vectorise. */
static ptrdiff_t tc_first_bad(const int64_t *index, ptrdiff_t n, int64_t low, int64_t high) {
    for (ptrdiff_t start = 0; start < n; start += 1024) {
        const ptrdiff_t stop = start + 1024 < n ? start + 1024 : n;
        uint64_t signs = 0;
#pragma omp simd reduction(| : signs)
        for (ptrdiff_t i = start; i < stop; i++)
            signs |= ((uint64_t)index[i] - (uint64_t)low) | ((uint64_t)(high - 1) - (uint64_t)index[i]);
        if (signs >> 63)
            for (ptrdiff_t i = start; i < stop; i++)
                if (index[i] < low || index[i] >= high) return i;
    }
    return -1;
}

/* y[o, i, c] = x[o, index[o, i, c], c], elements by size: moving bytes needs no number type. */
#define TC_GATHER(bits)                                                                                            \
    static void tc_gather_##bits(const void *x_, const int64_t *index, void *y_, ptrdiff_t outer, ptrdiff_t n,     \
                                 ptrdiff_t m, ptrdiff_t inner, int threads) {                                      \
        const uint##bits##_t *x = (const uint##bits##_t *)x_;                                                      \
        uint##bits##_t *y = (uint##bits##_t *)y_;                                                                  \
        const ptrdiff_t rows = TC_ROWS / (inner + 1) + 1, pieces = (m + rows - 1) / rows;                           \
        TC_PARALLEL_FOR(threads)                                                                                   \
        for (ptrdiff_t task = 0; task < outer * pieces; task++) {                                                  \
            const ptrdiff_t o = task / pieces, i = task % pieces * rows, stop = i + rows < m ? i + rows : m;       \
            const uint##bits##_t *from = x + o * n * inner;                                                        \
            const ptrdiff_t first = (o * m + i) * inner, last = (o * m + stop) * inner;                            \
            if (inner == 1)                                                                                        \
                for (ptrdiff_t k = first; k < last; k++) y[k] = from[index[k]];                                    \
            else                                                                                                   \
                for (ptrdiff_t k = first; k < last; k += inner)                                                    \
                    for (ptrdiff_t c = 0; c < inner; c++) y[k + c] = from[index[k + c] * inner + c];               \
        }                                                                                                          \
    }
TC_GATHER(8)
TC_GATHER(16)
TC_GATHER(32)
TC_GATHER(64)

/* y[o, index[o, i, c], c] += src[o, i, c].  A task owns a stretch of (o, c) and goes through i in order, so repeated
 * places add up in the same order whatever the number of threads. */
#define TC_SCATTER(type, name)                                                                                     \
    static void tc_scatter_##name(void *y_, const int64_t *index, const void *src_, ptrdiff_t outer, ptrdiff_t n,  \
                                  ptrdiff_t m, ptrdiff_t inner, int threads) {                                     \
        const ptrdiff_t tiles = (inner + TC_INNER_TILE - 1) / TC_INNER_TILE;                                       \
        TC_PARALLEL_FOR(threads)                                                                                   \
        for (ptrdiff_t task = 0; task < outer * tiles; task++) {                                                   \
            const ptrdiff_t o = task / tiles, start = task % tiles * TC_INNER_TILE;                                \
            const ptrdiff_t stop = start + TC_INNER_TILE < inner ? start + TC_INNER_TILE : inner;                  \
            type *y = (type *)y_ + o * n * inner;                                                                  \
            if (inner == 1) {                                                                                      \
                const int64_t *k = index + o * m;                                                                  \
                const type *s = (const type *)src_ + o * m;                                                        \
                for (ptrdiff_t i = 0; i < m; i++) y[k[i]] += s[i];                                                 \
                continue;                                                                                          \
            }                                                                                                      \
            for (ptrdiff_t i = 0; i < m; i++) {                                                                    \
                const int64_t *k = index + (o * m + i) * inner;                                                    \
                const type *s = (const type *)src_ + (o * m + i) * inner;                                          \
                for (ptrdiff_t c = start; c < stop; c++) y[k[c] * inner + c] += s[c];                              \
            }                                                                                                      \
        }                                                                                                          \
    }                                                                                                              \
    /* y[o, index[i], c] += g[o, i, c].  Tasks as above. */                                                       \
    static void tc_add_rows_##name(void *y_, const int64_t *index, const void *g_, ptrdiff_t outer, ptrdiff_t n,   \
                                   ptrdiff_t m, ptrdiff_t inner, int threads) {                                    \
        const ptrdiff_t tiles = (inner + TC_ROW_TILE - 1) / TC_ROW_TILE;                                           \
        TC_PARALLEL_FOR(threads)                                                                                   \
        for (ptrdiff_t task = 0; task < outer * tiles; task++) {                                                   \
            const ptrdiff_t o = task / tiles, start = task % tiles * TC_ROW_TILE;                                  \
            const ptrdiff_t stop = threads > 1 && start + TC_ROW_TILE < inner ? start + TC_ROW_TILE : inner;       \
            type *all = (type *)y_ + o * n * inner;                                                                \
            const type *g = (const type *)g_ + o * m * inner;                                                      \
            if (inner == 1) {                                                                                      \
                for (ptrdiff_t i = 0; i < m; i++) all[index[i]] += g[i];                                           \
                continue;                                                                                          \
            }                                                                                                      \
            if (threads == 1 && start) continue; /* alone: whole rows, which lie together */                       \
            for (ptrdiff_t i = 0; i < m; i++, g += inner) {                                                        \
                type *restrict y = all + index[i] * inner;                                                         \
                _Pragma("omp simd")                                                                                \
                for (ptrdiff_t c = start; c < stop; c++) y[c] += g[c];                                             \
            }                                                                                                      \
        }                                                                                                          \
    }
TC_SCATTER(float, f32)
TC_SCATTER(double, f64)
TC_SCATTER(int64_t, i64)

/* y[o, i, :] = x[o, index[i], :] for rows of `row` bytes. */
#define TC_MOVE_ROWS(move)                       \
    for (ptrdiff_t i = first; i < stop; i++) {   \
        const ptrdiff_t k = (ptrdiff_t)index[i]; \
        move;                                    \
    }
static void tc_take_rows(const void *x, const int64_t *index, void *y, ptrdiff_t outer, ptrdiff_t n, ptrdiff_t m,
                         ptrdiff_t row, int threads) {
    const ptrdiff_t rows = TC_ROW_BYTES / (row + 1) + 1, pieces = (m + rows - 1) / rows;
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t task = 0; task < outer * pieces; task++) {
        const ptrdiff_t o = task / pieces, first = task % pieces * rows, stop = first + rows < m ? first + rows : m;
        const char *from = (const char *)x + o * n * row;
        char *to = (char *)y + o * m * row;
        if (row == 4) TC_MOVE_ROWS(((uint32_t *)to)[i] = ((const uint32_t *)from)[k])
        else if (row == 8) TC_MOVE_ROWS(((uint64_t *)to)[i] = ((const uint64_t *)from)[k])
        else if (row == 1) TC_MOVE_ROWS(to[i] = from[k])
        else if (row % 16 == 0 && row <= 256) /* a call of memcpy costs more than such a row */
            TC_MOVE_ROWS(for (ptrdiff_t b = 0; b < row; b += 16) memcpy(to + i * row + b, from + k * row + b, 16))
        else TC_MOVE_ROWS(memcpy(to + i * row, from + k * row, (size_t)row))
    }
}
#undef TC_MOVE_ROWS

static void tc_clear(void *y, ptrdiff_t bytes, int threads) {
    const ptrdiff_t piece = 1 << 20;
    TC_PARALLEL_FOR(threads)
    for (ptrdiff_t at = 0; at < bytes; at += piece)
        memset((char *)y + at, 0, (size_t)(bytes - at < piece ? bytes - at : piece));
}

/* The numbers of the `count` bytes that are not 0.  Most blocks of 8 bytes are neither empty nor full, so there is no test:
 * each place is written, and the next one over it if it was none. */
static void tc_true_places(const char *mask, ptrdiff_t n, int64_t *places, ptrdiff_t count) {
    ptrdiff_t k = 0;
    for (ptrdiff_t i = 0; i < n && k < count; i++) {
        places[k] = i;
        k += mask[i] != 0;
    }
}

static void tc_join(const int64_t *index, const int64_t *other, int64_t size, int64_t *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = index[i] * size + other[i];
}
