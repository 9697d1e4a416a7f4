/* Weight gradient of a convolution in Winograd's domain:
 *
 *     gw[o, c] = G^T [ sum over tiles of (A gy A^T)[o] * (B^T d B)[c] ] G        for each phase of the stride
 *
 * Per position a matrix product whose sum runs over tiles: rows are channels of y, columns channels and phases of x, both
 * operands in groups of TC_VL channels as in winograd_impl.h.
 *
 * Determinism.  Where the sums are many and short (many channels, few tiles), all units are transformed first; a task sums
 * all positions of a block of rows and columns over all units, in order, and transforms the sums back.  Otherwise the units
 * are cut into a number of chunks that depends on the shape only; a task sums a chunk in order into a partial gradient of
 * its own, the partial gradients are added in order.
 */
#define TC_WINO_GRAD TC_FN(winograd_grad)

typedef struct {
    TC_WINO q;
    TC_WINO_SOURCE grad;          /* y */
    tc_int chunks, d_pos;         /* d_pos: numbers per position of D, the transformed gradient of a unit */
    tc_int unit_size;             /* numbers of V and D of a unit, which lie one after the other */
    tc_int width;                 /* columns of a block, in groups of TC_VL: the phases of a group of channels, or two groups */
    TC_T *partial;                /* [chunk][position][group of in and phase][out][TC_VL] */
    tc_int partial_pos;
    tc_int sum_pos, sum_phase;    /* numbers per position of the sums that are transformed back, and from phase to phase */
} TC_WINO_GRAD;

/* V (groups of input channels first) or D of one unit and group. */
static void TC_FN(wino_grad_patches)(const TC_WINO_GRAD *g, tc_int unit, tc_int group, TC_T *strip, TC_T *v) {
    const TC_WINO *q = &g->q;
    if (group < q->groups_in) {
        TC_FN(wino_image_patches)(q, unit, group, strip, v);
        return;
    }
    group -= q->groups_in;
    v += q->v_size + group * q->unit_tiles * TC_VL;
    TC_WINO_FORM(q, TC_FN(wino_patches), 1, q, &g->grad, unit, group, strip, v, g->d_pos);
}

/* The product of one unit and position, group o of the rows and columns c0 .. c1 - 1 in groups of TC_VL, written to or
 * added to `to`, whose columns are to_group apart. */
static void TC_FN(wino_grad_product)(const TC_WINO_GRAD *g, tc_int unit, tc_int position, tc_int o, tc_int c0, tc_int c1,
                                     const TC_T *v, TC_T *to, tc_int to_group, int add) {
    const TC_WINO *q = &g->q;
    tc_int n0, images, r0, r1, v_group = q->unit_tiles * TC_VL;
    const TC_T *d = v + q->v_size + position * g->d_pos + o * v_group;
    v += position * q->v_pos;
    TC_FN(wino_unit)(q, unit, &n0, &images, &r0, &r1);
    tc_int tiles = images * (r1 - r0) * q->tiles_w, rows = tc_min(TC_VL, q->out - o * TC_VL), blocks = tc_ceil_div(rows, TC_MR);
    for (tc_int c = c0; c < c1; c += 2, to += 2 * to_group)
        for (tc_int block = 0; block < blocks; block++) {
            tc_int i0 = tc_cut(rows, blocks, block), m = tc_cut(rows, blocks, block + 1) - i0;
            TC_FN(tile_items)[tc_min(2, c1 - c) - 1][m - 1](tiles, d + i0, 0, v + c * v_group, v_group, to + i0 * TC_VL,
                                                            to_group, add);
        }
}

/* Task: one chunk. */
static void TC_FN(wino_grad_task)(const void *plan, tc_int chunk, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    const TC_WINO *q = &g->q;
    TC_T *strip = (TC_T *)scratch, *v = strip + q->strip_room, *to = g->partial + chunk * q->positions * g->partial_pos;
    tc_int unit0 = tc_cut(q->units, g->chunks, chunk), unit1 = tc_cut(q->units, g->chunks, chunk + 1);
    tc_int columns = q->groups_in * q->phases, to_group = q->out * TC_VL;
    for (tc_int unit = unit0; unit < unit1; unit++) {
        for (tc_int group = 0; group < q->groups_in + q->groups_out; group++)
            TC_FN(wino_grad_patches)(g, unit, group, strip, v);
        for (tc_int position = 0; position < q->positions; position++)
            for (tc_int c = 0; c < columns; c += 2)
                for (tc_int o = 0; o < q->groups_out; o++)
                    TC_FN(wino_grad_product)(g, unit, position, o, c, tc_min(columns, c + 2), v,
                                             to + position * g->partial_pos + c * to_group + o * TC_VL * TC_VL, to_group,
                                             unit > unit0);
    }
}

/* Task: V or D of one unit and group. */
static void TC_FN(wino_grad_image_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    tc_int groups = g->q.groups_in + g->q.groups_out, unit = task / groups;
    TC_FN(wino_grad_patches)(g, unit, task % groups, (TC_T *)scratch, g->q.v + unit * g->unit_size);
}

/* The gradient of the weights of output channel o and a group of input channels, from sums of the transformed one at u. */
static void TC_FN(wino_grad_write)(const TC_WINO_GRAD *g, tc_int o, tc_int group, const TC_T *u) {
    const TC_WINO *q = &g->q;
    TC_T taps[(25 * TC_WINO_STRIDE * TC_WINO_STRIDE + 1) * TC_VL] __attribute__((aligned(64)));
    TC_VEC check = {0};
    for (tc_int phase = 0; phase < q->phases; phase++)
        TC_WINO_FORM(q, TC_FN(wino_taps_adjoint), q->tap + phase * q->r * q->r, u + phase * g->sum_phase,
                     g->sum_pos, g->chunks, q->positions * g->partial_pos, taps);
    for (tc_int t = 0; t < q->kernel; t++) check += 0 * TC_LOAD(taps + t * TC_VL);
    TC_FN(planes)(taps, q->kernel, q->dst + (o * q->in + group * TC_VL) * q->kernel, q->kernel,
                  tc_min(TC_VL, q->in - group * TC_VL));
    for (int l = 0; l < TC_VL; l++)
        if (check[l] != 0) __atomic_store_n(q->not_finite, 1, __ATOMIC_RELAXED);
}

/* Task: a block of one group of output channels and `width` columns, from all units. */
static void TC_FN(wino_grad_block_task)(const void *plan, tc_int task, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    const TC_WINO *q = &g->q;
    TC_T *sums = (TC_T *)scratch;
    tc_int o = task % q->groups_out, c0 = task / q->groups_out * g->width, group = TC_VL * TC_VL;
    tc_int c1 = tc_min(q->groups_in * q->phases, c0 + g->width);
    for (tc_int position = 0; position < q->positions; position++)
        for (tc_int unit = 0; unit < q->units; unit++)
            TC_FN(wino_grad_product)(g, unit, position, o, c0, c1, q->v + unit * g->unit_size, sums + position * g->sum_pos,
                                     group, unit > 0);
    for (tc_int l = 0; l < tc_min(TC_VL, q->out - o * TC_VL); l++)
        for (tc_int c = c0; c < c1; c += q->phases)
            TC_FN(wino_grad_write)(g, o * TC_VL + l, c / q->phases, sums + (c - c0) * group + l * TC_VL);
}

/* Task: the gradient of one output channel's weights, from partial gradients. */
static void TC_FN(wino_grad_sum_task)(const void *plan, tc_int o, void *scratch) {
    const TC_WINO_GRAD *g = (const TC_WINO_GRAD *)plan;
    tc_int column = g->q.out * TC_VL;
    (void)scratch;
    for (tc_int group = 0; group < g->q.groups_in; group++)
        TC_FN(wino_grad_write)(g, o, group, g->partial + group * g->q.phases * column + o * TC_VL);
}

static int TC_FN(wino_conv_weight)(int m, const tc_conv_problem *p, int threads) {
    int not_finite = 0, failed;
    TC_WINO_GRAD g = {
        .q = {.m = m, .r = (int)tc_conv_taps(p), .images = p->n, .kernel = p->kh * p->kw, .dst = (TC_T *)p->out,
              .not_finite = &not_finite},
        .grad = {.image = (const TC_T *)p->y, .channels = p->o, .h = p->oh, .w = p->ow, .step_h = 1, .step_w = 1,
                 .phases_h = 1, .phases_w = 1}};
    TC_WINO *q = &g.q;
    TC_FN(wino_phases)(q, p);
    TC_FN(wino_plan)(q, q->in * p->sh * p->sw + q->out);
    g.d_pos = (q->groups_out * q->unit_tiles + 1) * TC_VL;
    g.partial_pos = (q->groups_in * q->phases * q->out + 1) * TC_VL;
    g.unit_size = q->v_size + q->positions * g.d_pos;
    g.width = q->phases == 1 ? 2 : q->phases;
    tc_int partial_size = q->positions * g.partial_pos, all = q->units * g.unit_size;
    size_t strip = sizeof(TC_T) * (size_t)q->strip_room;
    int blocks = all <= TC_WINO_PARTIAL / (tc_int)sizeof(TC_T) && 2 * all <= q->units * partial_size;
    if (blocks) {
        g.chunks = 1;
        g.sum_phase = TC_VL * TC_VL;
        g.sum_pos = g.width * g.sum_phase + TC_VL;
        q->v = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)all);
        if (!q->v) return -1;
        size_t bytes = sizeof(TC_T) * (size_t)(q->positions * g.sum_pos);
        failed = tc_run(TC_FN(wino_grad_image_task), &g, q->units * (q->groups_in + q->groups_out), strip, threads);
        if (!failed)
            failed = tc_run(TC_FN(wino_grad_block_task), &g,
                            q->groups_out * tc_ceil_div(q->groups_in * q->phases, g.width), bytes, threads);
        tc_scratch_put(q->v);
    } else {
        g.chunks = tc_max(1, tc_min(TC_WINO_CHUNKS, TC_WINO_PARTIAL / (partial_size * (tc_int)sizeof(TC_T))));
        g.chunks = tc_ceil_div(q->units, tc_ceil_div(q->units, g.chunks)); /* of equal numbers of units, if possible */
        g.sum_phase = q->out * TC_VL;
        g.sum_pos = g.partial_pos;
        tc_int partial = g.chunks * partial_size;
        g.partial = (TC_T *)tc_scratch_get(sizeof(TC_T) * (size_t)partial);
        if (!g.partial) return -1;
        failed = tc_run(TC_FN(wino_grad_task), &g, g.chunks, strip + sizeof(TC_T) * (size_t)g.unit_size, threads);
        if (!failed) failed = tc_run(TC_FN(wino_grad_sum_task), &g, q->out, 64, partial < 65536 ? 1 : threads);
        tc_scratch_put(g.partial);
    }
    return failed ? -1 : not_finite;
}
