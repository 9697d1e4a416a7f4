/* The tables of rnn_impl.h's functions, [0] float, [1] double, then the level of isa.h; and the barrier between steps. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#define TC_YIELD() sched_yield()
#else
#define TC_YIELD() (void)0
#endif
#include "repeats.h"
#include "rnn_types.h"
#include "tc_omp.h"

/* As in tasks.h. */
static void *(*tc_scratch_get)(size_t bytes);
static void (*tc_scratch_put)(void *p);

#if defined(__x86_64__)
#define TC_PAUSE() __builtin_ia32_pause()
#else
#define TC_PAUSE() (void)0
#endif

/* Threads meet once per time step, some microseconds apart: too often for OpenMP's barrier, which goes to sleep after
 * a short while (see threads.pyx) and takes longer to wake up than a step lasts.  Where threads outnumber the cores,
 * the one that waits steps aside. */
typedef struct {
    int threads;
    int waiting, round;
} tc_meeting;

static inline void tc_meet(tc_meeting *m, int *round) {
    if (m->threads == 1) return;
    const int next = *round + 1;
    *round = next;
    if (__atomic_add_fetch(&m->waiting, 1, __ATOMIC_ACQ_REL) == m->threads) {
        __atomic_store_n(&m->waiting, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&m->round, next, __ATOMIC_RELEASE);
        return;
    }
    for (int spins = 0; __atomic_load_n(&m->round, __ATOMIC_ACQUIRE) != next; spins++) {
        if (spins < 4000) TC_PAUSE();
        else TC_YIELD();
    }
}

#define TC_IMPL "rnn_impl.h"
#include "isa.h"

typedef int (*tc_rnn_function)(const tc_rnn *p, int threads);
typedef void (*tc_column_sums_function)(const void *x, tc_int rows, tc_int columns, void *sums, int threads);
typedef int (*tc_group_sums_function)(const void *x, tc_int rows, tc_int columns, const tc_int *group, tc_int groups,
                                      void *sums, int threads);
static const tc_rnn_function tc_rnn_forward[2][TC_LEVELS] = {TC_PER_LEVEL(rnn_forward, f32),
                                                             TC_PER_LEVEL(rnn_forward, f64)};
static const tc_rnn_function tc_rnn_backward[2][TC_LEVELS] = {TC_PER_LEVEL(rnn_backward, f32),
                                                              TC_PER_LEVEL(rnn_backward, f64)};
static const tc_column_sums_function tc_column_sums[2][TC_LEVELS] = {TC_PER_LEVEL(column_sums, f32),
                                                                     TC_PER_LEVEL(column_sums, f64)};
static const tc_group_sums_function tc_group_sums[2][TC_LEVELS] = {TC_PER_LEVEL(group_sums, f32),
                                                                   TC_PER_LEVEL(group_sums, f64)};
static const int tc_vector[TC_LEVELS] = {16, 32, 64};
