/* The recurrence of RNN, LSTM and GRU over a whole sequence, written against isa.h, simd.h and tile_impl.h.
 *
 *     forward    gates(t) = input part (one matrix product for all steps, done before) + h(t-1) W_hh^T,  then activations
 *     backward   gradients of the gates' sums for all steps, last step first;  dh(t-1) = sums(t) W_hh
 *                (the gradients of the weights are matrix products over all steps, done after)
 *
 * - W_hh is packed once per call into panels of two vectors of units, in the order in which the register tile reads it,
 *   and stays in the second cache during all steps.
 * - The rows of a batch never meet.  While the packed weights fit into the second cache, each thread takes some rows
 *   through all steps, without a barrier.  Larger weights are shared out instead: each thread owns some units, keeps
 *   their weights in its cache, and the threads meet once per step.  Each number is the same sum in the same order
 *   either way, so the thread count cannot change a bit.
 * - Odd steps take the panels in the opposite order: what is left in the cache from the step before is used first.
 *   (In the same order, weights somewhat larger than the cache would push each other out before they are needed.)
 * - Forward takes the rows through one panel of all gates, applies the gates to the sums while they are in the first
 *   cache, and goes on to the next panel.
 * - h is kept twice: a step reads one and writes the other, so that threads that own units need no second barrier.
 * - A row of `work` is padded to whole vectors.  The surplus lanes hold numbers that nothing else depends on: a sum over
 *   units never runs into them.
 * - The sequences of a batch may end early (packed sequences): step t has the first size[t] of them, size decreasing.
 *   In reverse, a sequence begins at its own last step; until then its h and c stay what they were set to.
 */
#define TC_USE_TILE_ACROSS
#include "tile_impl.h"
#include "rnn_gates_impl.h"

enum { TC_FN(RNN_CACHE) = 1 << 20 }; /* bytes of packed weights up to which threads share out rows */
enum { TC_FN(RNN_ROWS) = 48 }; /* rows whose sums for a panel of all gates stay in the first cache, in at most 24 KB */
enum { TC_FN(RNN_DEPTH) = (16 << 10) / (TC_NR * TC_TBYTES) }; /* rows of a panel in 16 KB: they stay in the first cache */

#define TC_TEAM TC_FN(rnn_team)
typedef struct {
    const tc_rnn *p;
    TC_T *panels;       /* packed weights */
    TC_T *h[2];         /* (batch, padded); h[1] in backward: gradient of c */
    TC_T *h0, *c0;      /* (batch, padded) */
    TC_T *bias;         /* (padded) */
    tc_int n_panels, panel_size, gates;
    int by_rows;
    tc_meeting meeting;
} TC_TEAM;

TC_INLINE int TC_FN(panel_vectors)(const tc_rnn *p, tc_int q) { return p->padded - q * TC_NR >= TC_NR ? 2 : 1; }

/* Panel q, gate g: out[k][j] = W[g H + u][k] with u = q TC_NR + j.  Units beyond the last repeat it. */
static void TC_FN(rnn_pack_forward)(const TC_TEAM *team, tc_int q) {
    const tc_rnn *p = team->p;
    const tc_int h = p->units, whole = h - h % TC_VL;
    for (tc_int g = 0; g < team->gates; g++) {
        TC_T *out = team->panels + q * team->panel_size + g * h * TC_NR;
        for (int v = 0; v < TC_FN(panel_vectors)(p, q); v++, out += TC_VL) {
            const tc_int u = q * TC_NR + v * TC_VL, count = tc_min(TC_VL, h - u);
            const TC_T *w = (const TC_T *)p->weight + (g * h + u) * h;
            for (tc_int k = 0; k < whole; k += TC_VL)
                TC_FN(tc_transpose)(w + k, h, count, out + k * TC_NR, TC_NR);
            for (tc_int k = whole; k < h; k++)
                for (tc_int j = 0; j < TC_VL; j++) out[k * TC_NR + j] = w[tc_min(j, count - 1) * h + k];
        }
    }
}

/* Panel q: out[g H + k][j] = W[gate g, unit k][u] in the order of the gates in `sums`, zero for units beyond the last. */
static void TC_FN(rnn_pack_backward)(const TC_TEAM *team, tc_int q) {
    const tc_rnn *p = team->p;
    const tc_int h = p->units, count = tc_min(TC_NR, h - q * TC_NR);
    TC_T *out = team->panels + q * team->panel_size;
    for (tc_int g = 0; g < team->gates; g++) {
        const tc_int from = p->kind == TC_GRU ? (g + 2) % 3 : g;
        const TC_T *w = (const TC_T *)p->weight + from * h * h + q * TC_NR;
        for (tc_int k = 0; k < h; k++, out += TC_NR, w += h) {
            memcpy(out, w, sizeof(TC_T) * (size_t)count);
            if (count < TC_NR) memset(out + count, 0, sizeof(TC_T) * (size_t)(TC_NR - count));
        }
    }
}

/* Row b of (batch, units) into a padded row; zeros if there is none. */
TC_INLINE void TC_FN(rnn_row)(const tc_rnn *p, const void *from, tc_int b, TC_T *to) {
    const tc_int h = from ? p->units : 0;
    if (h) memcpy(to, (const TC_T *)from + b * h, sizeof(TC_T) * (size_t)h);
    memset(to + h, 0, sizeof(TC_T) * (size_t)(p->padded - h));
}

/* The step that came before step t in the direction of the recurrence, and how many of its sequences go on. */
TC_INLINE tc_int TC_FN(rnn_before)(const tc_rnn *p, tc_int t, tc_int *going) {
    const tc_int before = p->reverse ? t + 1 : t - 1;
    *going = before < 0 || before >= p->steps ? 0 : tc_min(p->size[t], p->size[before]);
    return before;
}

/* c[i][panel columns] (+)= a[i] . panel for m rows, in tiles of nearly equal height.  a[i] has `runs` runs of `len`
 * numbers, lda apart from those of a[i + 1], `skip` apart from each other.  All tiles go through a piece of the panel
 * that fits into the first cache, then through the next: the weights come from the second cache or beyond once. */
TC_INLINE void TC_FN(rnn_product)(tc_int m, int nv, tc_int runs, tc_int len, tc_int skip, const TC_T *a, tc_int lda,
                                  const TC_T *panel, TC_TILE_OUT out) {
    const tc_int tiles = tc_ceil_div(m, TC_MR);
    TC_T *c = out.c;
    if (len == skip) {
        len *= runs;
        runs = 1;
    }
    for (; runs > 0; runs--, a += skip) {
        const tc_int pieces = tc_ceil_div(len, TC_FN(RNN_DEPTH));
        for (tc_int piece = 0; piece < pieces; piece++) {
            const tc_int k0 = tc_cut(len, pieces, piece), k = tc_cut(len, pieces, piece + 1) - k0;
            for (tc_int tile = 0; tile < tiles; tile++) {
                const tc_int i = tc_cut(m, tiles, tile), rows = tc_cut(m, tiles, tile + 1) - i;
                out.c = c + i * out.ldc;
                TC_FN(tile_across)[nv - 1][rows - 1](k, a + i * lda + k0, lda, panel, TC_NR, &out);
            }
            panel += k * TC_NR;
            out.add = 1;
        }
    }
}

/* The gates of `width` neighbouring units of one sequence.  The first `units` of them go to y; the others are surplus. */
TC_INLINE void TC_FN(rnn_cell)(const tc_rnn *p, const TC_T *s, const TC_T *in, TC_T *w, const TC_T *old, const TC_T *c,
                               TC_T *h, TC_T *y, tc_int width, tc_int units) {
    if (p->kind == TC_LSTM) TC_FN(lstm_gates)(s, in, w, p->padded, c, h, width);
    else if (p->kind == TC_GRU) TC_FN(gru_gates)(s, in, w, p->padded, old, h, width);
    else TC_FN(rnn_gates)(p->kind == TC_RNN_RELU, s, in, w, h, width);
    memcpy(y, h, sizeof(TC_T) * (size_t)units);
}

/* Step t for sequences r0..r1 and panels q0..q1; h_in and h_out are the two states.  The products of some rows with the
 * panels of all gates stay in the first cache until the gates have taken them up. */
static void TC_FN(rnn_step)(const TC_TEAM *team, tc_int t, const TC_T *h_in, TC_T *h_out, tc_int r0, tc_int r1, tc_int q0,
                            tc_int q1) {
    const tc_rnn *p = team->p;
    const tc_int m = tc_min(r1, p->size[t]) - r0, h = p->units, padded = p->padded;
    const tc_int pitch = tc_rnn_work[p->kind] * padded, s_pitch = team->gates * TC_NR;
    TC_T sums[TC_FN(RNN_ROWS) * 4 * TC_NR] __attribute__((aligned(64)));
    tc_int going;
    const tc_int before = TC_FN(rnn_before)(p, t, &going), blocks = tc_ceil_div(m, TC_FN(RNN_ROWS));
    if (m <= 0) return;
    for (tc_int i = q0; i < q1; i++) {
        const tc_int q = t & 1 ? q0 + q1 - 1 - i : i, u = q * TC_NR, nv = TC_FN(panel_vectors)(p, q);
        const TC_T *panel = team->panels + q * team->panel_size;
        for (tc_int block = 0; block < blocks; block++) {
            const tc_int b0 = r0 + tc_cut(m, blocks, block), b1 = r0 + tc_cut(m, blocks, block + 1);
            for (tc_int g = 0; g < team->gates; g++) {
                const TC_TILE_OUT out = {.c = sums + g * TC_NR, .ldc = s_pitch,
                                         .col_bias = p->kind == TC_GRU && g == 2 ? team->bias + u : NULL};
                TC_FN(rnn_product)(b1 - b0, (int)nv, 1, h, 0, h_in + b0 * padded, padded, panel + g * h * TC_NR, out);
            }
            for (tc_int b = b0; b < b1; b++) {
                const tc_int row = p->first[t] + b;
                TC_T *w = (TC_T *)p->work + row * pitch + u, *to = h_out + b * padded + u, *y = (TC_T *)p->y + row * h + u;
                const TC_T *s = sums + (b - b0) * s_pitch, *old = h_in + b * padded + u, *c = team->c0 + b * padded + u;
                const TC_T *in = w;
                if (p->input) in = (const TC_T *)p->input + p->group[row] * team->gates * padded + u;
                if (p->kind == TC_LSTM && b < going)
                    c = (TC_T *)p->work + (p->first[before] + b) * pitch + 4 * padded + u;
                if (h - u >= TC_NR) {
                    TC_FN(rnn_cell)(p, s, in, w, old, c, to, y, TC_NR, TC_NR);
                    continue;
                }
                if (!p->input)
                    for (tc_int g = 0; g < team->gates; g++)
                        memset(w + g * padded + h - u, 0, sizeof(TC_T) * (size_t)(padded - h));
                TC_FN(rnn_cell)(p, s, in, w, old, c, to, y, nv * TC_VL, h - u);
            }
        }
    }
}

/* Gradients of the gates' sums at step t, for sequences r0..r1 and units of panels q0..q1. */
static void TC_FN(rnn_step_gates_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const tc_int h = p->units, padded = p->padded, u0 = q0 * TC_NR, u1 = tc_min(padded, q1 * TC_NR);
    const tc_int pitch = tc_rnn_work[p->kind] * padded, d_pitch = tc_rnn_sums[p->kind] * padded;
    const tc_int last = tc_min(r1, p->size[t]);
    tc_int going;
    const tc_int before = TC_FN(rnn_before)(p, t, &going);
    if (q0 == q1) return;
    for (tc_int b = r0; b < last; b++) {
        const TC_T *w = (const TC_T *)p->work + (p->first[t] + b) * pitch + u0;
        TC_T *d = (TC_T *)p->sums + (p->first[t] + b) * d_pitch + u0, *dh = team->h[0] + b * padded + u0;
        if (p->gy) {
            const TC_T *gy = (const TC_T *)p->gy + (p->first[t] + b) * h + u0;
            const tc_int n = tc_min(u1, h) - u0;
#pragma omp simd
            for (tc_int u = 0; u < n; u++) dh[u] += gy[u];
        }
        if (p->kind == TC_LSTM) {
            const TC_T *c = b < going ? (const TC_T *)p->work + (p->first[before] + b) * pitch + 4 * padded
                                      : team->c0 + b * padded;
            TC_FN(lstm_gates_back)(w, padded, c + u0, dh, team->h[1] + b * padded + u0, d, u1 - u0);
        } else if (p->kind == TC_GRU) {
            TC_T old[TC_NR];
            for (tc_int u = 0; u < u1 - u0; u += TC_NR) {
                const tc_int width = tc_min(TC_NR, u1 - u0 - u), n = tc_min(width, h - u0 - u);
                if (b < going)
                    memcpy(old, (const TC_T *)p->y + (p->first[before] + b) * h + u0 + u, sizeof(TC_T) * (size_t)n);
                else
                    memcpy(old, team->h0 + b * padded + u0 + u, sizeof(TC_T) * (size_t)n);
                for (tc_int j = n; j < width; j++) old[j] = 0;
                TC_FN(gru_gates_back)(w + u, padded, old, dh + u, d + u, width);
            }
        } else {
            TC_FN(rnn_gates_back)(p->kind == TC_RNN_RELU, w, dh, d, u1 - u0);
        }
    }
}

/* What step t hands on to the step before it: dh (+)= sums W, for panels q0..q1. */
static void TC_FN(rnn_step_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const tc_int m = tc_min(r1, p->size[t]) - r0, padded = p->padded, pitch = tc_rnn_sums[p->kind] * padded;
    const TC_T *d = (const TC_T *)p->sums + (p->first[t] + r0) * pitch;
    if (m <= 0) return;
    for (tc_int i = q0; i < q1; i++) {
        const tc_int q = t & 1 ? q0 + q1 - 1 - i : i;
        const TC_TILE_OUT out = {.c = team->h[0] + r0 * padded + q * TC_NR, .ldc = padded, .add = p->kind == TC_GRU};
        TC_FN(rnn_product)(m, TC_FN(panel_vectors)(p, q), team->gates, p->units, padded, d, pitch,
                           team->panels + q * team->panel_size, out);
    }
}

/* Scratch for a call, or NULL.  The vectors behind the panels are padded to whole ones. */
static TC_T *TC_FN(rnn_team_init)(TC_TEAM *team, const tc_rnn *p) {
    const tc_int state = p->batch * p->padded;
    *team = (TC_TEAM){.p = p, .gates = tc_rnn_gates[p->kind]};
    team->n_panels = tc_ceil_div(p->padded, TC_NR);
    team->panel_size = team->gates * p->units * TC_NR;
    const tc_int weights = team->n_panels * team->panel_size;
    team->by_rows = weights * TC_TBYTES <= TC_FN(RNN_CACHE);
    TC_T *scratch = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)(weights + 4 * state + p->padded));
    if (!scratch) return NULL;
    team->panels = scratch;
    team->h[0] = scratch + weights;
    team->h[1] = team->h[0] + state;
    team->h0 = team->h[1] + state;
    team->c0 = team->h0 + state;
    team->bias = team->c0 + state;
    TC_FN(rnn_row)(p, p->bias, 0, team->bias);
    return scratch;
}

static int TC_FN(rnn_forward)(const tc_rnn *p, int threads) {
    TC_TEAM team;
    TC_T *scratch = TC_FN(rnn_team_init)(&team, p);
    if (!scratch) return -1;
    TC_PARALLEL(threads) {
        const int n = omp_get_num_threads(), me = omp_get_thread_num();
        int round = 0;
#pragma omp single
        team.meeting.threads = n;
        for (tc_int q = tc_cut(team.n_panels, n, me); q < tc_cut(team.n_panels, n, me + 1); q++)
            TC_FN(rnn_pack_forward)(&team, q);
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            TC_FN(rnn_row)(p, p->h0, b, team.h[0] + b * p->padded);
            TC_FN(rnn_row)(p, p->h0, b, team.h[1] + b * p->padded);
            TC_FN(rnn_row)(p, p->c0, b, team.c0 + b * p->padded);
        }
#pragma omp barrier
        const tc_int r0 = team.by_rows ? tc_cut(p->batch, n, me) : 0;
        const tc_int r1 = team.by_rows ? tc_cut(p->batch, n, me + 1) : p->batch;
        const tc_int q0 = team.by_rows ? 0 : tc_cut(team.n_panels, n, me);
        const tc_int q1 = team.by_rows ? team.n_panels : tc_cut(team.n_panels, n, me + 1);
        for (tc_int s = 0; s < p->steps; s++) {
            TC_FN(rnn_step)(&team, p->reverse ? p->steps - 1 - s : s, team.h[s & 1], team.h[~s & 1], r0, r1, q0, q1);
            if (!team.by_rows) tc_meet(&team.meeting, &round);
        }
    }
    tc_scratch_put(scratch);
    return 0;
}

static int TC_FN(rnn_backward)(const tc_rnn *p, int threads) {
    TC_TEAM team;
    TC_T *scratch = TC_FN(rnn_team_init)(&team, p);
    if (!scratch) return -1;
    TC_PARALLEL(threads) {
        const int n = omp_get_num_threads(), me = omp_get_thread_num();
        int round = 0;
#pragma omp single
        team.meeting.threads = n;
        for (tc_int q = tc_cut(team.n_panels, n, me); q < tc_cut(team.n_panels, n, me + 1); q++)
            TC_FN(rnn_pack_backward)(&team, q);
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            TC_FN(rnn_row)(p, p->gh, b, team.h[0] + b * p->padded);
            TC_FN(rnn_row)(p, p->gc, b, team.h[1] + b * p->padded);
            TC_FN(rnn_row)(p, p->h0, b, team.h0 + b * p->padded);
            TC_FN(rnn_row)(p, p->c0, b, team.c0 + b * p->padded);
        }
#pragma omp barrier
        const tc_int r0 = team.by_rows ? tc_cut(p->batch, n, me) : 0;
        const tc_int r1 = team.by_rows ? tc_cut(p->batch, n, me + 1) : p->batch;
        const tc_int q0 = team.by_rows ? 0 : tc_cut(team.n_panels, n, me);
        const tc_int q1 = team.by_rows ? team.n_panels : tc_cut(team.n_panels, n, me + 1);
        for (tc_int s = 0; s < p->steps; s++) {
            const tc_int t = p->reverse ? s : p->steps - 1 - s;
            TC_FN(rnn_step_gates_back)(&team, t, r0, r1, q0, q1);
            if (!team.by_rows) tc_meet(&team.meeting, &round);
            TC_FN(rnn_step_back)(&team, t, r0, r1, q0, q1);
        }
#pragma omp barrier
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            const size_t bytes = sizeof(TC_T) * (size_t)p->units;
            memcpy((TC_T *)p->gh0 + b * p->units, team.h[0] + b * p->padded, bytes);
            if (p->gc0) memcpy((TC_T *)p->gc0 + b * p->units, team.h[1] + b * p->padded, bytes);
        }
    }
    tc_scratch_put(scratch);
    return 0;
}
#undef TC_TEAM

/* sums[j] = sum over i of x[i][j], in blocks of 64 rows, so that long sums keep their precision. */
static void TC_FN(column_sums)(const void *x_, tc_int rows, tc_int columns, void *sums_, int threads) {
    enum { WIDTH = 256, BLOCK = 64 };
    const tc_int tasks = tc_ceil_div(columns, WIDTH);
    TC_PARALLEL_FOR(threads)
    for (tc_int task = 0; task < tasks; task++) {
        const tc_int j0 = task * WIDTH, n = tc_min(WIDTH, columns - j0);
        TC_T *sums = (TC_T *)sums_ + j0, part[WIDTH];
        memset(sums, 0, sizeof(TC_T) * (size_t)n);
        for (tc_int i = 0; i < rows; i += BLOCK) {
            memset(part, 0, sizeof part);
            for (tc_int k = i; k < tc_min(rows, i + BLOCK); k++) {
                const TC_T *x = (const TC_T *)x_ + k * columns + j0;
#pragma omp simd
                for (tc_int j = 0; j < n; j++) part[j] += x[j];
            }
            for (tc_int j = 0; j < n; j++) sums[j] += part[j];
        }
    }
}

/* sums[g][j] = sum over the rows i of group g of x[i][j].  Taken in blocks of rows, for the same reason. */
static int TC_FN(group_sums)(const void *x_, tc_int rows, tc_int columns, const tc_int *group, tc_int groups, void *sums_,
                             int threads) {
    enum { WIDTH = 128, BLOCK = 256 };
    const tc_int tasks = tc_ceil_div(columns, WIDTH);
    TC_T *parts = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)(threads * groups * WIDTH));
    if (!parts) return -1;
    TC_PARALLEL_FOR(threads)
    for (tc_int task = 0; task < tasks; task++) {
        const tc_int j0 = task * WIDTH, n = tc_min(WIDTH, columns - j0);
        TC_T *part = parts + omp_get_thread_num() * groups * WIDTH;
        for (tc_int i = 0; i < rows; i += BLOCK) {
            memset(part, 0, sizeof(TC_T) * (size_t)(groups * WIDTH));
            for (tc_int k = i; k < tc_min(rows, i + BLOCK); k++) {
                const TC_T *x = (const TC_T *)x_ + k * columns + j0;
                TC_T *to = part + group[k] * WIDTH;
#pragma omp simd
                for (tc_int j = 0; j < n; j++) to[j] += x[j];
            }
            for (tc_int g = 0; g < groups; g++) {
                TC_T *to = (TC_T *)sums_ + g * columns + j0;
                const TC_T *from = part + g * WIDTH;
                for (tc_int j = 0; j < n; j++) to[j] = i ? to[j] + from[j] : from[j];
            }
        }
    }
    tc_scratch_put(parts);
    return 0;
}
