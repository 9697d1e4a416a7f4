/* The convolution and its two adjoints at every level (isa.h). */
#ifndef TC_CONV_H
#define TC_CONV_H
#include <string.h>
#include "conv_choice.h"
#include "isa.h"
#include "tasks.h"

static const int tc_level_vector_bytes[TC_LEVELS] = {16, 32, 64};

typedef int (*tc_conv_function)(const tc_conv_problem *, int threads);

/* Blocking, in numbers (conv_impl.h says what each is for). */
enum {
    TC_CONV_SLICE = 256,        /* of k = (channel, tap) */
    TC_CONV_IMAGE = 1 << 16,    /* scratch for one slice of the image, about */
    TC_CONV_COLS = 512,         /* output pixels per task, at least, if there are enough tasks */
    TC_CONV_TASKS = 16,
    TC_CONV_COLUMNS = 1 << 21,  /* columns packed for all groups of rows, at most */
    TC_CONV_WEIGHTS = 1 << 17,  /* weights that stay in L2 while units come and go */
    TC_CONV_PARTIAL = 1 << 23,  /* all partial sums of a weight gradient together, at most */
    TC_CONV_FOLD = 1 << 17,     /* products that are summed up, about (conv_fold_impl.h) */
    TC_CONV_DOT = 6144,         /* numbers of g that stay in L1 (conv_weight_impl.h) */
    TC_STEPS = 4                /* strides that are loaded by vectors (conv_image_impl.h) */
};

static inline tc_int tc_floor_div(tc_int a, tc_int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* Shared memory of a problem is one block, handed out piece by piece: first measured with base == NULL. */
typedef struct { char *base; size_t used; } tc_arena;
static inline void *tc_take(tc_arena *arena, size_t bytes) {
    void *p = arena->base ? arena->base + arena->used : NULL;
    arena->used += (bytes + 127) / 64 * 64;
    return p;
}

/* `len` numbers that lie in a row: columns lane, lane+1, ... of a panel, and where they are in an image. */
typedef struct { int lane, len; tc_int at; } tc_segment;

#define TC_IMPL "conv_impl.h"
#include "isa.h"

static const tc_conv_function *const tc_conv_table[4][2][TC_LEVELS] = {
    {TC_PER_LEVEL(tc_conv_entry, f32), TC_PER_LEVEL(tc_conv_entry, f64)},
    {TC_PER_LEVEL(tc_conv_input_entry, f32), TC_PER_LEVEL(tc_conv_input_entry, f64)},
    {TC_PER_LEVEL(tc_conv_weight_entry, f32), TC_PER_LEVEL(tc_conv_weight_entry, f64)},
    {TC_PER_LEVEL(tc_conv_fold_entry, f32), TC_PER_LEVEL(tc_conv_fold_entry, f64)}};

/* The direct algorithm, or TC_CONV_FOLDED.  0, or -1 if there is no memory for scratch. */
static inline int tc_conv(int which, int type, int level, const tc_conv_problem *p, int threads) {
    return (*tc_conv_table[which][type][level])(p, threads);
}
#endif
