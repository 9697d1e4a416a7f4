/* The recurrence of RNN, LSTM and GRU over a whole sequence, written against isa.h, simd.h and tile_impl.h.
 *
 *     forward    gates(t) = input part (one matrix product for all steps, done before) + h(t-1) W_hh^T,  then activations
 *     backward   gradients of the gates' sums for all steps, last step first;  dh(t-1) = sums(t) W_hh
 *                (the gradients of the weights are matrix products over all steps, done after)
 *
 * An LSTM may project what its gates give: r = o tanh(c) has the width of the units, h = r W_hr^T and y another one.  Then
 * forward takes a product more after the gates, and backward one before them, dr = dh W_hr.
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

/* A weight (gates * rows, columns) in panels of TC_NR: of rows for forward, x W^T, and of columns for backward, d W. */
#define TC_PACKED TC_FN(rnn_packed)
typedef struct {
    const TC_T *weight;
    tc_int gates, rows, columns;
    tc_int width, n_panels, panel_size; /* width: numbers along all panels */
    TC_T *panels;
} TC_PACKED;

#define TC_TEAM TC_FN(rnn_team)
typedef struct {
    const tc_rnn *p;
    TC_PACKED recurrent, projection; /* no panels of a projection that there is not */
    TC_T *h[2];         /* (batch, padded outputs); backward: [0] gradient of h */
    TC_T *dr, *dc;      /* (batch, padded); backward: gradients of o tanh(c), or else of h, and of c */
    TC_T *h0, *c0;      /* (batch, padded outputs), (batch, padded) */
    TC_T *bias;         /* (padded) */
    int by_rows;
    tc_meeting meeting;
} TC_TEAM;

TC_INLINE int TC_FN(panel_vectors)(const TC_PACKED *w, tc_int q) { return w->width - q * TC_NR > TC_VL ? 2 : 1; }

/* Panel q, gate g: out[k][j] = W[g, row u][k] with u = q TC_NR + j.  Rows beyond the last repeat it. */
static void TC_FN(rnn_pack_forward)(const TC_PACKED *w, tc_int q) {
    const tc_int depth = w->columns, whole = depth - depth % TC_VL;
    for (tc_int g = 0; g < w->gates; g++) {
        TC_T *out = w->panels + q * w->panel_size + g * depth * TC_NR;
        for (int v = 0; v < TC_FN(panel_vectors)(w, q); v++, out += TC_VL) {
            const tc_int u = q * TC_NR + v * TC_VL, count = tc_min(TC_VL, w->rows - u);
            const TC_T *from = w->weight + (g * w->rows + u) * depth;
            for (tc_int k = 0; k < whole; k += TC_VL)
                TC_FN(tc_transpose)(from + k, depth, count, out + k * TC_NR, TC_NR);
            for (tc_int k = whole; k < depth; k++)
                for (tc_int j = 0; j < TC_VL; j++) out[k * TC_NR + j] = from[tc_min(j, count - 1) * depth + k];
        }
    }
}

/* Panel q: out[g, k][j] = W[gate g, row k][u], zero for columns beyond the last.  The first gate in `sums` is `turn`. */
static void TC_FN(rnn_pack_backward)(const TC_PACKED *w, tc_int q, tc_int turn) {
    const tc_int count = tc_min(TC_NR, w->columns - q * TC_NR);
    TC_T *out = w->panels + q * w->panel_size;
    for (tc_int g = 0; g < w->gates; g++) {
        const TC_T *from = w->weight + (g + turn) % w->gates * w->rows * w->columns + q * TC_NR;
        for (tc_int k = 0; k < w->rows; k++, out += TC_NR, from += w->columns) {
            memcpy(out, from, sizeof(TC_T) * (size_t)count);
            if (count < TC_NR) memset(out + count, 0, sizeof(TC_T) * (size_t)(TC_NR - count));
        }
    }
}

/* Row b of (batch, width) into a padded row; zeros if there is none. */
TC_INLINE void TC_FN(rnn_row)(const void *from, tc_int width, tc_int b, TC_T *to, tc_int padded) {
    if (!from) width = 0;
    if (width) memcpy(to, (const TC_T *)from + b * width, sizeof(TC_T) * (size_t)width);
    memset(to + width, 0, sizeof(TC_T) * (size_t)(padded - width));
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

/* The gates of `width` neighbouring units of one sequence.  The first `units` of them go to y, if that is not NULL; the
 * others are surplus. */
TC_INLINE void TC_FN(rnn_cell)(const tc_rnn *p, const TC_T *s, const TC_T *in, TC_T *w, const TC_T *old, const TC_T *c,
                               TC_T *h, TC_T *y, tc_int width, tc_int units) {
    if (p->kind == TC_LSTM) TC_FN(lstm_gates)(s, in, w, p->padded, c, h, width);
    else if (p->kind == TC_GRU) TC_FN(gru_gates)(s, in, w, p->padded, old, h, width);
    else TC_FN(rnn_gates)(p->kind == TC_RNN_RELU, s, in, w, h, width);
    if (y) memcpy(y, h, sizeof(TC_T) * (size_t)units);
}

/* Step t for sequences r0..r1 and panels q0..q1; h_in and h_out are the two states.  The products of some rows with the
 * panels of all gates stay in the first cache until the gates have taken them up. */
static void TC_FN(rnn_step)(const TC_TEAM *team, tc_int t, const TC_T *h_in, TC_T *h_out, tc_int r0, tc_int r1, tc_int q0,
                            tc_int q1) {
    const tc_rnn *p = team->p;
    const TC_PACKED *weight = &team->recurrent;
    const tc_int m = tc_min(r1, p->size[t]) - r0, h = p->units, padded = p->padded, depth = p->outputs;
    const tc_int pitch = tc_rnn_work_pitch(p), h_pitch = p->padded_outputs, s_pitch = weight->gates * TC_NR;
    TC_T sums[TC_FN(RNN_ROWS) * 4 * TC_NR] __attribute__((aligned(64)));
    tc_int going;
    const tc_int before = TC_FN(rnn_before)(p, t, &going), blocks = tc_ceil_div(m, TC_FN(RNN_ROWS));
    if (m <= 0) return;
    for (tc_int i = q0; i < q1; i++) {
        const tc_int q = t & 1 ? q0 + q1 - 1 - i : i, u = q * TC_NR, nv = TC_FN(panel_vectors)(weight, q);
        const TC_T *panel = weight->panels + q * weight->panel_size;
        for (tc_int block = 0; block < blocks; block++) {
            const tc_int b0 = r0 + tc_cut(m, blocks, block), b1 = r0 + tc_cut(m, blocks, block + 1);
            for (tc_int g = 0; g < weight->gates; g++) {
                const TC_TILE_OUT out = {.c = sums + g * TC_NR, .ldc = s_pitch,
                                         .col_bias = p->kind == TC_GRU && g == 2 ? team->bias + u : NULL};
                TC_FN(rnn_product)(b1 - b0, (int)nv, 1, depth, 0, h_in + b0 * h_pitch, h_pitch, panel + g * depth * TC_NR,
                                   out);
            }
            for (tc_int b = b0; b < b1; b++) {
                const tc_int row = p->first[t] + b;
                TC_T *w = (TC_T *)p->work + row * pitch + u, *to = h_out + b * h_pitch + u, *y = (TC_T *)p->y + row * h + u;
                const TC_T *s = sums + (b - b0) * s_pitch, *old = h_in + b * h_pitch + u, *c = team->c0 + b * padded + u;
                const TC_T *in = w;
                if (p->projection) {
                    to = w + tc_rnn_work[TC_LSTM] * padded;
                    y = NULL;
                }
                if (p->input) in = (const TC_T *)p->input + p->group[row] * weight->gates * padded + u;
                if (p->kind == TC_LSTM && b < going)
                    c = (TC_T *)p->work + (p->first[before] + b) * pitch + 4 * padded + u;
                if (h - u >= TC_NR) {
                    TC_FN(rnn_cell)(p, s, in, w, old, c, to, y, TC_NR, TC_NR);
                    continue;
                }
                if (!p->input)
                    for (tc_int g = 0; g < weight->gates; g++)
                        memset(w + g * padded + h - u, 0, sizeof(TC_T) * (size_t)(padded - h));
                TC_FN(rnn_cell)(p, s, in, w, old, c, to, y, nv * TC_VL, h - u);
            }
        }
    }
}

/* h and y of step t from r = o tanh(c), for sequences r0..r1 and panels q0..q1 of W_hr. */
static void TC_FN(rnn_step_project)(const TC_TEAM *team, tc_int t, TC_T *h_out, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const TC_PACKED *weight = &team->projection;
    const tc_int last = tc_min(r1, p->size[t]), pitch = tc_rnn_work_pitch(p), h_pitch = p->padded_outputs;
    const tc_int j0 = q0 * TC_NR, n = tc_min(p->outputs, q1 * TC_NR) - j0;
    const TC_T *r = (const TC_T *)p->work + (p->first[t] + r0) * pitch + tc_rnn_work[TC_LSTM] * p->padded;
    if (last <= r0 || q0 == q1) return;
    for (tc_int q = q0; q < q1; q++) {
        const TC_TILE_OUT out = {.c = h_out + r0 * h_pitch + q * TC_NR, .ldc = h_pitch};
        TC_FN(rnn_product)(last - r0, TC_FN(panel_vectors)(weight, q), 1, p->units, 0, r, pitch,
                           weight->panels + q * weight->panel_size, out);
    }
    for (tc_int b = r0; b < last; b++)
        memcpy((TC_T *)p->y + (p->first[t] + b) * p->outputs + j0, h_out + b * h_pitch + j0, sizeof(TC_T) * (size_t)n);
}

/* dh += gy at step t, for sequences r0..r1 and panels q0..q1 of h; then it is complete. */
static void TC_FN(rnn_step_output_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const tc_int j0 = q0 * TC_NR, n = tc_min(p->outputs, q1 * TC_NR) - j0;
    if (q0 == q1) return;
    for (tc_int b = r0; b < tc_min(r1, p->size[t]); b++) {
        const tc_int at = (p->first[t] + b) * p->outputs + j0;
        TC_T *dh = team->h[0] + b * p->padded_outputs + j0;
        if (p->gy) {
            const TC_T *gy = (const TC_T *)p->gy + at;
#pragma omp simd
            for (tc_int j = 0; j < n; j++) dh[j] += gy[j];
        }
        if (p->projection) memcpy((TC_T *)p->gh_rows + at, dh, sizeof(TC_T) * (size_t)n);
    }
}

/* dr = dh W_hr at step t, for sequences r0..r1 and panels q0..q1 of units. */
static void TC_FN(rnn_step_project_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const TC_PACKED *weight = &team->projection;
    const tc_int m = tc_min(r1, p->size[t]) - r0;
    if (m <= 0) return;
    for (tc_int q = q0; q < q1; q++) {
        const TC_TILE_OUT out = {.c = team->dr + r0 * p->padded + q * TC_NR, .ldc = p->padded};
        TC_FN(rnn_product)(m, TC_FN(panel_vectors)(weight, q), 1, p->outputs, 0, team->h[0] + r0 * p->padded_outputs,
                           p->padded_outputs, weight->panels + q * weight->panel_size, out);
    }
}

/* Gradients of the gates' sums at step t, for sequences r0..r1 and units of panels q0..q1. */
static void TC_FN(rnn_step_gates_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const tc_int h = p->units, padded = p->padded, u0 = q0 * TC_NR, u1 = tc_min(padded, q1 * TC_NR);
    const tc_int pitch = tc_rnn_work_pitch(p), d_pitch = tc_rnn_sums[p->kind] * padded;
    const tc_int last = tc_min(r1, p->size[t]);
    tc_int going;
    const tc_int before = TC_FN(rnn_before)(p, t, &going);
    if (q0 == q1) return;
    for (tc_int b = r0; b < last; b++) {
        const TC_T *w = (const TC_T *)p->work + (p->first[t] + b) * pitch + u0;
        TC_T *d = (TC_T *)p->sums + (p->first[t] + b) * d_pitch + u0, *dh = team->dr + b * padded + u0;
        if (p->kind == TC_LSTM) {
            const TC_T *c = b < going ? (const TC_T *)p->work + (p->first[before] + b) * pitch + 4 * padded
                                      : team->c0 + b * padded;
            TC_FN(lstm_gates_back)(w, padded, c + u0, dh, team->dc + b * padded + u0, d, u1 - u0);
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

/* What step t hands on to the step before it: dh (+)= sums W, for panels q0..q1 of h. */
static void TC_FN(rnn_step_back)(const TC_TEAM *team, tc_int t, tc_int r0, tc_int r1, tc_int q0, tc_int q1) {
    const tc_rnn *p = team->p;
    const TC_PACKED *weight = &team->recurrent;
    const tc_int m = tc_min(r1, p->size[t]) - r0, h_pitch = p->padded_outputs, pitch = tc_rnn_sums[p->kind] * p->padded;
    const TC_T *d = (const TC_T *)p->sums + (p->first[t] + r0) * pitch;
    if (m <= 0) return;
    for (tc_int i = q0; i < q1; i++) {
        const tc_int q = t & 1 ? q0 + q1 - 1 - i : i;
        const TC_TILE_OUT out = {.c = team->h[0] + r0 * h_pitch + q * TC_NR, .ldc = h_pitch, .add = p->kind == TC_GRU};
        TC_FN(rnn_product)(m, TC_FN(panel_vectors)(weight, q), weight->gates, p->units, p->padded, d, pitch,
                           weight->panels + q * weight->panel_size, out);
    }
}

TC_INLINE TC_PACKED TC_FN(rnn_packed_init)(const void *weight, tc_int gates, tc_int rows, tc_int columns, int backward) {
    const tc_int width = backward ? columns : rows, depth = backward ? rows : columns;
    return (TC_PACKED){.weight = weight, .gates = gates, .rows = rows, .columns = columns, .width = width,
                       .n_panels = tc_ceil_div(width, TC_NR), .panel_size = gates * depth * TC_NR};
}

/* Scratch for a call, or NULL.  The vectors behind the panels are padded to whole ones. */
static TC_T *TC_FN(rnn_team_init)(TC_TEAM *team, const tc_rnn *p, int backward) {
    const tc_int h_state = p->batch * p->padded_outputs, c_state = p->batch * p->padded;
    *team = (TC_TEAM){.p = p};
    team->recurrent = TC_FN(rnn_packed_init)(p->weight, tc_rnn_gates[p->kind], p->units, p->outputs, backward);
    if (p->projection) team->projection = TC_FN(rnn_packed_init)(p->projection, 1, p->outputs, p->units, backward);
    const tc_int recurrent = team->recurrent.n_panels * team->recurrent.panel_size;
    const tc_int weights = recurrent + team->projection.n_panels * team->projection.panel_size;
    team->by_rows = weights * TC_TBYTES <= TC_FN(RNN_CACHE);
    TC_T *scratch = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)(weights + 3 * (h_state + c_state) + p->padded));
    if (!scratch) return NULL;
    team->recurrent.panels = scratch;
    team->projection.panels = scratch + recurrent;
    team->h[0] = scratch + weights;
    team->h[1] = team->h[0] + h_state;
    team->h0 = team->h[1] + h_state;
    team->c0 = team->h0 + h_state;
    team->dc = team->c0 + c_state;
    team->dr = p->projection ? team->dc + c_state : team->h[0];
    team->bias = team->dc + 2 * c_state;
    TC_FN(rnn_row)(p->bias, p->units, 0, team->bias, p->padded);
    return scratch;
}

/* What a thread works on: sequences r0..r1, panels q0..q1 of units, panels o0..o1 of h. */
#define TC_SHARE TC_FN(rnn_share)
typedef struct {
    tc_int r0, r1, q0, q1, o0, o1;
} TC_SHARE;

TC_INLINE TC_SHARE TC_FN(rnn_share_of)(const TC_TEAM *team, tc_int n, tc_int me) {
    const tc_int batch = team->p->batch, panels = tc_ceil_div(team->p->units, TC_NR);
    const tc_int h_panels = tc_ceil_div(team->p->outputs, TC_NR);
    if (team->by_rows) return (TC_SHARE){tc_cut(batch, n, me), tc_cut(batch, n, me + 1), 0, panels, 0, h_panels};
    return (TC_SHARE){0, batch, tc_cut(panels, n, me), tc_cut(panels, n, me + 1), tc_cut(h_panels, n, me),
                      tc_cut(h_panels, n, me + 1)};
}

TC_INLINE void TC_FN(rnn_meet)(TC_TEAM *team, int *round) {
    if (!team->by_rows) tc_meet(&team->meeting, round);
}

static int TC_FN(rnn_forward)(const tc_rnn *p, int threads) {
    TC_TEAM team;
    TC_T *scratch = TC_FN(rnn_team_init)(&team, p, 0);
    if (!scratch) return -1;
    TC_PARALLEL(threads) {
        const int n = omp_get_num_threads(), me = omp_get_thread_num();
        const TC_PACKED *w = &team.recurrent, *w_hr = &team.projection;
        int round = 0;
#pragma omp single
        team.meeting.threads = n;
        for (tc_int q = tc_cut(w->n_panels, n, me); q < tc_cut(w->n_panels, n, me + 1); q++) TC_FN(rnn_pack_forward)(w, q);
        for (tc_int q = tc_cut(w_hr->n_panels, n, me); q < tc_cut(w_hr->n_panels, n, me + 1); q++)
            TC_FN(rnn_pack_forward)(w_hr, q);
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            TC_FN(rnn_row)(p->h0, p->outputs, b, team.h[0] + b * p->padded_outputs, p->padded_outputs);
            TC_FN(rnn_row)(p->h0, p->outputs, b, team.h[1] + b * p->padded_outputs, p->padded_outputs);
            TC_FN(rnn_row)(p->c0, p->units, b, team.c0 + b * p->padded, p->padded);
        }
#pragma omp barrier
        const TC_SHARE my = TC_FN(rnn_share_of)(&team, n, me);
        for (tc_int s = 0; s < p->steps; s++) {
            const tc_int t = p->reverse ? p->steps - 1 - s : s;
            TC_FN(rnn_step)(&team, t, team.h[s & 1], team.h[~s & 1], my.r0, my.r1, my.q0, my.q1);
            if (p->projection) {
                TC_FN(rnn_meet)(&team, &round);
                TC_FN(rnn_step_project)(&team, t, team.h[~s & 1], my.r0, my.r1, my.o0, my.o1);
            }
            TC_FN(rnn_meet)(&team, &round);
        }
    }
    tc_scratch_put(scratch);
    return 0;
}

static int TC_FN(rnn_backward)(const tc_rnn *p, int threads) {
    TC_TEAM team;
    TC_T *scratch = TC_FN(rnn_team_init)(&team, p, 1);
    if (!scratch) return -1;
    TC_PARALLEL(threads) {
        const int n = omp_get_num_threads(), me = omp_get_thread_num();
        const TC_PACKED *w = &team.recurrent, *w_hr = &team.projection;
        int round = 0;
#pragma omp single
        team.meeting.threads = n;
        for (tc_int q = tc_cut(w->n_panels, n, me); q < tc_cut(w->n_panels, n, me + 1); q++)
            TC_FN(rnn_pack_backward)(w, q, p->kind == TC_GRU ? 2 : 0);
        for (tc_int q = tc_cut(w_hr->n_panels, n, me); q < tc_cut(w_hr->n_panels, n, me + 1); q++)
            TC_FN(rnn_pack_backward)(w_hr, q, 0);
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            TC_FN(rnn_row)(p->gh, p->outputs, b, team.h[0] + b * p->padded_outputs, p->padded_outputs);
            TC_FN(rnn_row)(p->gc, p->units, b, team.dc + b * p->padded, p->padded);
            TC_FN(rnn_row)(p->h0, p->outputs, b, team.h0 + b * p->padded_outputs, p->padded_outputs);
            TC_FN(rnn_row)(p->c0, p->units, b, team.c0 + b * p->padded, p->padded);
        }
#pragma omp barrier
        const TC_SHARE my = TC_FN(rnn_share_of)(&team, n, me);
        for (tc_int s = 0; s < p->steps; s++) {
            const tc_int t = p->reverse ? s : p->steps - 1 - s;
            TC_FN(rnn_step_output_back)(&team, t, my.r0, my.r1, my.o0, my.o1);
            if (p->projection) {
                TC_FN(rnn_meet)(&team, &round);
                TC_FN(rnn_step_project_back)(&team, t, my.r0, my.r1, my.q0, my.q1);
            }
            TC_FN(rnn_step_gates_back)(&team, t, my.r0, my.r1, my.q0, my.q1);
            TC_FN(rnn_meet)(&team, &round);
            TC_FN(rnn_step_back)(&team, t, my.r0, my.r1, my.o0, my.o1);
        }
#pragma omp barrier
        for (tc_int b = tc_cut(p->batch, n, me); b < tc_cut(p->batch, n, me + 1); b++) {
            memcpy((TC_T *)p->gh0 + b * p->outputs, team.h[0] + b * p->padded_outputs, sizeof(TC_T) * (size_t)p->outputs);
            if (p->gc0)
                memcpy((TC_T *)p->gc0 + b * p->units, team.dc + b * p->padded, sizeof(TC_T) * (size_t)p->units);
        }
    }
    tc_scratch_put(scratch);
    return 0;
}
#undef TC_SHARE
#undef TC_PACKED
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
