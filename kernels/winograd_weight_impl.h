/* Weight gradient of a 3x3 convolution with stride 1, in Winograd's domain:
 *
 *     gw[o, c] = G^T [ sum over tiles of (A gy A^T)[o] * (B^T d B)[c] ] G
 *
 * Per position a matrix product whose sum runs over tiles: rows are channels of y, columns channels of x, both operands
 * in groups of TC_VL channels as in winograd_impl.h.
 *
 * Determinism.  The units are cut into a number of chunks that depends on the shape only; a chunk is summed in order into
 * a partial gradient of its own, the partial gradients are added in order.  A task is a chunk.  Where that makes too few
 * tasks (few tiles, many channels) all units are transformed first and a task is one position of the single chunk.
 */
#define TC_WINO_GRAD TC_FN(winograd_grad)

typedef struct {
    TC_WINO q;
    const TC_T *grad;             /* (images, out, grid_h, grid_w) */
    tc_int chunks, d_pos;         /* d_pos: numbers per position of D, the transformed gradient of a unit */
    tc_int unit_size;             /* numbers of V and D of a unit, which lie one after the other */
    TC_T *partial;                /* [chunk][position][group of in][out][TC_VL] */
    tc_int partial_pos;
} TC_WINO_GRAD;

/* V (groups of input channels first) or D of one unit and group. */
static void TC_FN(wino_grad_patches)(const TC_WINO_GRAD *g, tc_int unit, tc_int group, TC_T *strip, TC_T *v) {
    const TC_WINO *q = &g->q;
    if (group < q->groups_in) {
        TC_FN(wino_image_patches)(q, unit, group, strip, v);
        return;
    }
    group -= q->groups_in;
    TC_T *d = v + q->v_size + group * q->unit_tiles * TC_VL;
    if (q->m == 4)
        TC_FN(wino_patches)(4, 1, q, unit, g->grad, q->out, q->grid_h, q->grid_w, 0, 0, group, strip, d, g->d_pos);
    else
        TC_FN(wino_patches)(2, 1, q, unit, g->grad, q->out, q->grid_h, q->grid_w, 0, 0, group, strip, d, g->d_pos);
}

/* The product of one unit and position, written to or added to `to`. */
static void TC_FN(wino_grad_product)(const TC_WINO_GRAD *g, tc_int unit, tc_int position, const TC_T *v, TC_T *to, int add) {
    const TC_WINO *q = &g->q;
    tc_int n0, images, r0, r1, v_group = q->unit_tiles * TC_VL, to_group = q->out * TC_VL;
    const TC_T *d = v + q->v_size + position * g->d_pos;
    v += position * q->v_pos;
    to += position * g->partial_pos;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    tc_int tiles = images * (r1 - r0) * q->tiles_w;
    for (tc_int c = 0; c < q->groups_in; c += 2) {
        tc_int nv = tc_min(2, q->groups_in - c);
        for (tc_int o = 0; o < q->groups_out; o++) {
            tc_int rows = tc_min(TC_VL, q->out - o * TC_VL), blocks = tc_ceil_div(rows, TC_MR);
            for (tc_int block = 0; block < blocks; block++) {
                tc_int i0 = tc_cut(rows, blocks, block), m = tc_cut(rows, blocks, block + 1) - i0;
                TC_FN(tile_items)[nv - 1][m - 1](tiles, d + o * v_group + i0, 0, v + c * v_group, v_group,
                                                 to + c * to_group + (o * TC_VL + i0) * TC_VL, to_group, add);
            }
        }
    }
}

/* Task: one chunk. */
static void TC_FN(wino_grad_task)(const void *plan, tc_int chunk, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    const TC_WINO *q = &g->q;
    TC_T *strip = (TC_T *)scratch, *v = strip + q->strip_room, *to = g->partial + chunk * q->positions * g->partial_pos;
    tc_int unit0 = tc_cut(q->units, g->chunks, chunk), unit1 = tc_cut(q->units, g->chunks, chunk + 1);
    for (tc_int unit = unit0; unit < unit1; unit++) {
        for (tc_int group = 0; group < q->groups_in + q->groups_out; group++)
            TC_FN(wino_grad_patches)(g, unit, group, strip, v);
        for (tc_int position = 0; position < q->positions; position++)
            TC_FN(wino_grad_product)(g, unit, position, v, to, unit > unit0);
    }
}

/* Few units, first task: V or D of one unit and group. */
static void TC_FN(wino_grad_image_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    tc_int groups = g->q.groups_in + g->q.groups_out, unit = task / groups;
    TC_FN(wino_grad_patches)(g, unit, task % groups, (TC_T *)scratch, g->q.v + unit * g->unit_size);
}

/* Few units, second task: one position. */
static void TC_FN(wino_grad_position_task)(const void *plan, tc_int position, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    (void)scratch;
    for (tc_int unit = 0; unit < g->q.units; unit++)
        TC_FN(wino_grad_product)(g, unit, position, g->q.v + unit * g->unit_size, g->partial, unit > 0);
}

/* G^T u G of the sum of all chunks, as nine vectors. */
TC_INLINE void TC_FN(wino_grad_taps)(int m, const TC_WINO_GRAD *g, const TC_T *u, TC_T *taps) {
    TC_VEC half[3][6], in[6], out[3];
    tc_int chunk_size = g->q.positions * g->partial_pos;
    TC_UNROLL
    for (int j = 0; j < m + 2; j++) {
        TC_UNROLL
        for (int i = 0; i < m + 2; i++) {
            const TC_T *from = u + (i * (m + 2) + j) * g->partial_pos;
            in[i] = TC_LOAD(from);
            for (tc_int chunk = 1; chunk < g->chunks; chunk++) in[i] += TC_LOAD(from + chunk * chunk_size);
        }
        TC_FN(wino_weight_adjoint)(m, in, out);
        TC_UNROLL
        for (int i = 0; i < 3; i++) half[i][j] = out[i];
    }
    TC_UNROLL
    for (int i = 0; i < 3; i++) {
        TC_FN(wino_weight_adjoint)(m, half[i], out);
        TC_UNROLL
        for (int j = 0; j < 3; j++) TC_STORE(taps + (3 * i + j) * TC_VL, out[j]);
    }
}

/* Task: the gradient of one output channel's weights. */
static void TC_FN(wino_grad_sum_task)(const void *plan, tc_int o, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    const TC_WINO *q = &g->q;
    TC_T taps[9 * TC_VL] __attribute__((aligned(64))), check = 0;
    (void)scratch;
    for (tc_int group = 0; group < q->groups_in; group++) {
        const TC_T *u = g->partial + group * q->out * TC_VL + o * TC_VL;
        TC_T *to = q->dst + (o * q->in + group * TC_VL) * 9;
        if (q->m == 4) TC_FN(wino_grad_taps)(4, g, u, taps);
        else TC_FN(wino_grad_taps)(2, g, u, taps);
        for (tc_int l = 0; l < tc_min(TC_VL, q->in - group * TC_VL); l++)
            for (int t = 0; t < 9; t++) {
                to[l * 9 + t] = taps[t * TC_VL + l];
                check += 0 * taps[t * TC_VL + l];
            }
    }
    if (check != 0) __atomic_store_n(q->not_finite, 1, __ATOMIC_RELAXED);
}

static int TC_FN(wino_conv_weight)(int m, const tc_conv_problem *p, int threads) {
    int not_finite = 0;
    TC_WINO_GRAD g = {
        .q = {.m = m, .images = p->n, .in = p->c, .out = p->o, .h = p->h, .w = p->w, .pad_h = p->ph, .pad_w = p->pw,
              .grid_h = p->oh, .grid_w = p->ow, .image = (const TC_T *)p->x, .dst = (TC_T *)p->out,
              .not_finite = &not_finite},
        .grad = (const TC_T *)p->y};
    TC_WINO *q = &g.q;
    TC_FN(wino_plan)(q, q->in + q->out);
    g.d_pos = (q->groups_out * q->unit_tiles + 1) * TC_VL;
    g.partial_pos = (q->groups_in * q->out + 1) * TC_VL;
    tc_int partial_size = q->positions * g.partial_pos;
    g.unit_size = q->v_size + q->positions * g.d_pos;
    g.chunks = tc_max(1, tc_min(TC_WINO_CHUNKS, TC_WINO_PARTIAL / (partial_size * (tc_int)sizeof(TC_T))));
    g.chunks = tc_ceil_div(q->units, tc_ceil_div(q->units, g.chunks)); /* of equal numbers of units, as far as possible */
    int shared = g.chunks < TC_WINO_CHUNKS / 2 && q->units * g.unit_size * (tc_int)sizeof(TC_T) <= TC_WINO_PARTIAL;
    if (shared) g.chunks = 1;
    tc_int partial = g.chunks * partial_size;
    g.partial = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)(partial + (shared ? q->units * g.unit_size : 0)));
    if (!g.partial) return -1;
    size_t strip = sizeof(TC_T) * (size_t)q->strip_room, bytes = strip + sizeof(TC_T) * (size_t)g.unit_size;
    int failed;
    if (shared) {
        q->v = g.partial + partial;
        failed = tc_run(TC_FN(wino_grad_image_task), &g, q->units * (q->groups_in + q->groups_out), strip, threads);
        if (!failed) failed = tc_run(TC_FN(wino_grad_position_task), &g, q->positions, 64, threads);
    } else {
        failed = tc_run(TC_FN(wino_grad_task), &g, g.chunks, bytes, threads);
    }
    if (!failed)
        failed = tc_run(TC_FN(wino_grad_sum_task), &g, q->out, 64, partial < 65536 ? 1 : threads);
    tc_scratch_put(g.partial);
    return failed ? -1 : not_finite;
}
