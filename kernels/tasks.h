/* Independent tasks on a team of threads, each thread with its own scratch memory.
 *
 * The matrix and convolution kernels cut a problem into tasks by its shape alone; a task owns its part of the output
 * and shares nothing.  Which thread runs a task therefore cannot change a bit of the result, and there is no barrier
 * but the one at the end.
 *
 * Scratch comes from the memory pool (memory.pyx), whose functions a module hands over at import: fresh memory costs
 * about 1 us per 4 KB in page faults, often more than the arithmetic done in it.
 */
#ifndef TC_TASKS_H
#define TC_TASKS_H
#include <stddef.h>
#include "tc_omp.h"

/* 64-byte aligned, contents undefined, NULL if there is no memory; must be set before the first tc_run. */
static void *(*tc_scratch_get)(size_t bytes);
static void (*tc_scratch_put)(void *p);

typedef void (*tc_task)(const void *problem, ptrdiff_t task, void *scratch);

/* Run task 0 .. n_tasks-1 on `threads` threads, each with `bytes` of scratch.  0, or -1 if there is no memory. */
static int tc_run(tc_task run, const void *problem, ptrdiff_t n_tasks, size_t bytes, int threads) {
    bytes = (bytes + 4095) & ~(size_t)4095;
    if (threads > n_tasks) threads = n_tasks > 1 ? (int)n_tasks : 1;
    char *scratch = tc_scratch_get(bytes * (size_t)threads);
    if (!scratch) return -1;
    if (threads == 1) {
        for (ptrdiff_t t = 0; t < n_tasks; t++) run(problem, t, scratch);
    } else {
        int chunk = (int)(n_tasks / 128) + 1;
        TC_PARALLEL(threads) {
            char *mine = scratch + bytes * (size_t)omp_get_thread_num();
#pragma omp for schedule(dynamic, chunk)
            for (ptrdiff_t t = 0; t < n_tasks; t++) run(problem, t, mine);
        }
        (void)chunk;
    }
    tc_scratch_put(scratch);
    return 0;
}
#endif
