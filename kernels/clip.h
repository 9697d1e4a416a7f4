/* The stretches that many arrays are cut into, and the table of clip_impl.h's functions. */
#pragma once
#include <math.h>
#include <stddef.h>
#include "tc_omp.h"

enum { TC_NORM_1, TC_NORM_2, TC_NORM_INF, TC_SCALE, TC_CLAMP, TC_CLIP_JOBS };
enum { TC_CLIP_STRETCH = 8192 }; /* elements at a time: the unit of work of a thread */

/* A piece of one array, and what its elements come to. */
typedef struct {
    void *x;
    ptrdiff_t n;
    int kind; /* element type: 0 float, 1 double */
    double result;
} tc_clip_piece;

#define TC_IMPL "clip_impl.h"
#include "isa.h"

typedef double (*tc_clip_job)(void *x, ptrdiff_t n, double low, double high);
typedef const tc_clip_job (*tc_clip_jobs)[TC_CLIP_JOBS];
static const tc_clip_jobs tc_clip_table[2][TC_LEVELS] = {TC_PER_LEVEL(clip_jobs, f32), TC_PER_LEVEL(clip_jobs, f64)};

static void tc_clip_all(int job, double low, double high, tc_clip_piece *all, ptrdiff_t n, int level, int threads) {
    TC_EACH(threads, i, n, all[i].result = (*tc_clip_table[all[i].kind][level])[job](all[i].x, all[i].n, low, high));
}
