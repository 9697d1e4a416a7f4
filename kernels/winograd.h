/* Winograd convolutions at every level (isa.h), float32 only: in float64 people check gradients, and want the sums as
 * they are written down. */
#ifndef TC_WINOGRAD_H
#define TC_WINOGRAD_H
#include <string.h>
#include "conv_choice.h"
#include "isa.h"
#include "tasks.h"

typedef int (*tc_winograd_function)(int which, int m, const tc_conv_problem *, int threads);

/* Blocking, in bytes, tiles and tasks (winograd_impl.h says what each is for). */
enum {
    TC_WINO_BLOCK = 1 << 20,    /* transformed tiles of a unit: half of L2 */
    TC_WINO_STRIP = 1 << 13,    /* numbers of a strip of the image as vectors of channels: 2/3 of L1 */
    TC_WINO_LEAST = 32,         /* tiles per unit, at least: they share one reading of the weights */
    TC_WINO_LEAST_MANY = 64,    /* the same if the transformed weights are more than TC_WINO_MANY bytes */
    TC_WINO_MANY = 1 << 22,
    TC_WINO_MOST = 192,
    TC_WINO_UNITS = 16,
    TC_WINO_SLICE = 256,        /* channels that a tile sums at a time */
    TC_WINO_SLAB = 1 << 19,     /* bytes of transformed weights that a task makes for itself at a time */
    TC_WINO_CHUNKS = 8,         /* of a weight gradient, at most */
    TC_WINO_PARTIAL = 1 << 24   /* bytes of all partial weight gradients together, or of all transformed tiles */
};

#define TC_IMPL "winograd_impl.h"
#include "isa.h"

static const tc_winograd_function *const tc_winograd_table[TC_LEVELS] = TC_PER_LEVEL(tc_winograd_entry, f32);

/* Convolution `which` by F(m x m, r x r).  0; -1 if there is no memory for scratch; 1 if a result was not finite: then
 * the output is of no use, because a tile mixes pixels that the convolution keeps apart. */
static inline int tc_winograd(int which, int m, int level, const tc_conv_problem *p, int threads) {
    return (*tc_winograd_table[level])(which, m, p, threads);
}
#endif
