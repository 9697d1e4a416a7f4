/* Pooling over planes, written against isa.h and simd.h.
 *
 * A row of outputs has a border, windows that stick out of the input, and an interior, where all taps exist.  The border
 * goes window by window.  The interior goes in pieces of 16, 8 or 4 outputs whose running result stays in registers while
 * the taps are visited; kernel, stride and dilation of the common geometries are constants of inlined copies, so that
 * the compiler reads with shuffles.  The last piece of a row overlaps the one before it: writing a few outputs twice is
 * cheaper than scalar code, whose branches depend on the data and are guessed wrong.
 */

/* CALL(at, width) for pieces that cover lo <= o < hi; REST(o) for each output if there are fewer than 4. */
#define TC_PIECES(lo, hi, width, CALL) \
    for (tc_int o_ = (lo); o_ < (hi); o_ += (width)) CALL(tc_min(o_, (hi) - (width)), width)
#define TC_COVER(lo, hi, CALL, REST)                                 \
    do {                                                             \
        if ((hi) - (lo) >= 16) TC_PIECES(lo, hi, 16, CALL);          \
        else if ((hi) - (lo) >= 8) TC_PIECES(lo, hi, 8, CALL);       \
        else if ((hi) - (lo) >= 4) TC_PIECES(lo, hi, 4, CALL);       \
        else for (tc_int o_ = (lo); o_ < (hi); o_++) REST(o_);       \
    } while (0)

/* One window, by its input rows and columns (first, end, step); index counts from x. */
TC_INLINE void TC_FN(max_window)(const TC_T *x, TC_T *y, int32_t *index, const tc_pool *p, tc_int r, tc_int o) {
    const tc_range rows = tc_window(&p->row, r), cols = tc_window(&p->col, o);
    TC_T best = -INFINITY;
    tc_int at = rows.first * p->col.n + cols.first;
    for (tc_int h = rows.first; h < rows.end; h += p->row.dilation) {
        const TC_T *row = x + h * p->col.n;
        for (tc_int c = cols.first; c < cols.end; c += p->col.dilation) {
            if (row[c] > best || row[c] != row[c]) {
                best = row[c];
                at = h * p->col.n + c;
            }
        }
    }
    y[o] = best;
    index[o] = (int32_t)at;
}

/* `width` neighbouring windows of kh x kw taps that all exist; the first tap of the first one is x[at], s apart.  A NaN
 * beats everything, also an earlier NaN. */
TC_INLINE void TC_FN(max_piece)(const TC_T *x, TC_T *restrict y, int32_t *restrict index, int32_t at, int32_t w,
                                int32_t kh, int32_t kw, int32_t dh, int32_t dw, int32_t s, int width) {
    TC_T best[16];
    int32_t tap[16];
    for (int l = 0; l < width; l++) {
        best[l] = -INFINITY;
        tap[l] = 0;
    }
    for (int32_t i = 0; i < kh; i++) {
        for (int32_t j = 0; j < kw; j++) {
            const int32_t here = i * dh * w + j * dw;
            const TC_T *from = x + at + here;
#pragma omp simd
            for (int l = 0; l < width; l++) {
                const TC_T v = from[s * l];
                const int better = (v > best[l]) | (v != v);
                best[l] = better ? v : best[l];
                tap[l] = better ? here : tap[l];
            }
        }
    }
    for (int l = 0; l < width; l++) {
        y[l] = best[l];
        index[l] = at + s * l + tap[l];
    }
}

/* One row of outputs. */
TC_INLINE void TC_FN(max_row)(const TC_T *x, TC_T *y, int32_t *index, const tc_pool *p, tc_int r, int32_t kh, int32_t kw,
                              int32_t dh, int32_t dw, int32_t s) {
    const tc_int ow = p->col.out, w = p->col.n;
    const tc_range rows = tc_window(&p->row, r), whole = tc_interior(&p->col);
    const int32_t height = kh ? kh : (int32_t)tc_ceil_div(rows.end - rows.first, dh);
    const tc_int start = rows.first * w - p->col.padding;
    for (tc_int o = 0; o < whole.first; o++) TC_FN(max_window)(x, y, index, p, r, o);
    for (tc_int o = whole.end; o < ow; o++) TC_FN(max_window)(x, y, index, p, r, o);
#define TC_CALL(o, width)                                                                                          \
    TC_FN(max_piece)(x, y + (o), index + (o), (int32_t)(start + s * (o)), (int32_t)w, height, kw, dh, dw, s, width)
#define TC_REST(o) TC_FN(max_window)(x, y, index, p, r, o)
    TC_COVER(whole.first, whole.end, TC_CALL, TC_REST);
#undef TC_CALL
#undef TC_REST
}

static void TC_FN(max_pool)(const void *x_, void *y_, int32_t *index_, const tc_pool *p, int threads) {
    const tc_int plane = p->row.n * p->col.n, oh = p->row.out, ow = p->col.out;
    const int32_t kw = (int32_t)p->col.kernel, dh = (int32_t)p->row.dilation, dw = (int32_t)p->col.dilation;
    const int32_t s = (int32_t)p->col.stride;
    const int close = dh == 1 && dw == 1 && s == 2;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int t = 0; t < p->planes * oh; t++) {
        const TC_T *x = (const TC_T *)x_ + t / oh * plane;
        TC_T *y = (TC_T *)y_ + t * ow;
        int32_t *index = index_ + t * ow;
        const tc_int r = t % oh;
        if (close && kw == 2 && tc_rows(p, r) == 2) TC_FN(max_row)(x, y, index, p, r, 2, 2, 1, 1, 2);
        else if (close && kw == 3 && tc_rows(p, r) == 3) TC_FN(max_row)(x, y, index, p, r, 3, 3, 1, 1, 2);
        else if (s == 1) TC_FN(max_row)(x, y, index, p, r, 0, kw, dh, dw, 1);
        else TC_FN(max_row)(x, y, index, p, r, 0, kw, dh, dw, s);
    }
}

/* The 2x2 cells of `width` outputs; the first cell is at a[0], which is position `base`.  Nonzero if an index is in none. */
TC_INLINE int32_t TC_FN(unpool_piece)(const TC_T *restrict g, const int32_t *restrict index, TC_T *restrict a,
                                      int32_t base, int32_t w, int width) {
    int32_t stray = 0;
    TC_T *restrict b = a + w;
#pragma omp simd reduction(| : stray)
    for (int l = 0; l < width; l++) {
        const int32_t k = index[l] - base - 2 * l;
        a[2 * l] = k == 0 ? g[l] : 0;
        a[2 * l + 1] = k == 1 ? g[l] : 0;
        b[2 * l] = k == w ? g[l] : 0;
        b[2 * l + 1] = k == w + 1 ? g[l] : 0;
        stray |= (k != 0) & (k != 1) & (k != w) & (k != w + 1);
    }
    return stray;
}

/* gx of one plane if every index lies in its own 2x2 cell: then each cell is written once, in order, and no zeroing or
 * scattering is needed.  Returns 0 if one index does not; gx is then to be overwritten. */
static int TC_FN(unpool_2x2)(const TC_T *restrict g, const int32_t *restrict index, TC_T *restrict gx, int32_t h, int32_t w) {
    const int32_t oh = h / 2, ow = w / 2;
    int32_t stray = 0;
    for (int32_t r = 0; r < oh; r++) {
        const TC_T *gr = g + (tc_int)r * ow;
        const int32_t *ir = index + (tc_int)r * ow, base = 2 * r * w;
        TC_T *a = gx + base;
#define TC_CALL(o, width) \
    stray |= TC_FN(unpool_piece)(gr + (o), ir + (o), a + 2 * (o), base + 2 * (int32_t)(o), w, width)
#define TC_REST(o) TC_CALL(o, 1)
        TC_COVER(0, ow, TC_CALL, TC_REST);
#undef TC_CALL
#undef TC_REST
        if (w % 2) a[w - 1] = a[2 * w - 1] = 0;
        if (stray) return 0;
    }
    if (h % 2) memset(gx + (tc_int)(h - 1) * w, 0, (size_t)w * sizeof(TC_T));
    return 1;
}

/* gx (planes, h, w) = zeros with g (planes, oh, ow) added at index.  Returns 1 if an index is outside its plane.
 * One thread has the whole plane: windows that overlap are added in the order of the outputs. */
static int TC_FN(max_pool_backward)(const void *g_, const int32_t *index, void *gx_, const tc_pool *p, int threads) {
    const TC_T *g = g_;
    TC_T *gx = gx_;
    const tc_int plane = p->row.n * p->col.n, outs = p->row.out * p->col.out;
    const int cells = p->row.out == p->row.n / 2 && p->col.out == p->col.n / 2;
    int outside = 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1) reduction(| : outside)
    for (tc_int t = 0; t < p->planes; t++) {
        const TC_T *gt = g + t * outs;
        const int32_t *it = index + t * outs;
        TC_T *out = gx + t * plane;
        if (cells && TC_FN(unpool_2x2)(gt, it, out, (int32_t)p->row.n, (int32_t)p->col.n))
            continue;
        memset(out, 0, (size_t)plane * sizeof(TC_T));
        for (tc_int o = 0; o < outs; o++) {
            if ((uint32_t)it[o] < (size_t)plane)
                out[it[o]] += gt[o];
            else
                outside = 1;
        }
    }
    return outside;
}

/* y (planes, oh, ow) = x (planes, h, w) at index.  Returns 1 if an index is outside its plane. */
static int TC_FN(max_pool_gather)(const void *x_, const int32_t *index, void *y_, const tc_pool *p, int threads) {
    const TC_T *x = x_;
    TC_T *y = y_;
    const tc_int plane = p->row.n * p->col.n, outs = p->row.out * p->col.out;
    int outside = 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1) reduction(| : outside)
    for (tc_int t = 0; t < p->planes; t++) {
        for (tc_int o = t * outs; o < (t + 1) * outs; o++) {
            int inside = (uint32_t)index[o] < (size_t)plane;
            y[o] = inside ? x[t * plane + index[o]] : 0;
            outside |= !inside;
        }
    }
    return outside;
}

/* Sum over the window of output o in row r. */
TC_INLINE TC_T TC_FN(sum_window)(const TC_T *x, const tc_pool *p, tc_int r, tc_int o) {
    const tc_range rows = tc_window(&p->row, r), cols = tc_window(&p->col, o);
    const tc_int w = p->col.n;
    tc_int height = rows.end - rows.first, width = cols.end - cols.first;
    if (width == w) { /* whole rows, as in global pooling: one run */
        width *= height;
        height = 1;
    }
    TC_T sum = 0;
    for (tc_int h = 0; h < height; h++) {
        const TC_T *row = x + (rows.first + h) * w + cols.first;
#pragma omp simd reduction(+ : sum)
        for (tc_int c = 0; c < width; c++) sum += row[c];
    }
    return sum;
}

/* y = scale * sum over `width` neighbouring windows of kh x kw taps that all exist. */
TC_INLINE void TC_FN(avg_piece)(const TC_T *x, TC_T *restrict y, tc_int w, tc_int kh, tc_int kw, tc_int s, TC_T divisor,
                                int width) {
    TC_T sum[16];
    for (int l = 0; l < width; l++) sum[l] = 0;
    for (tc_int i = 0; i < kh; i++)
        for (tc_int j = 0; j < kw; j++) {
#pragma omp simd
            for (int l = 0; l < width; l++) sum[l] += x[i * w + j + s * l];
        }
    for (int l = 0; l < width; l++) y[l] = sum[l] / divisor;
}

TC_INLINE void TC_FN(avg_row)(const TC_T *x, TC_T *y, const tc_pool *p, tc_int r, tc_int kh, tc_int kw, tc_int s) {
    const tc_int ow = p->col.out, w = p->col.n;
    const tc_range rows = tc_window(&p->row, r), whole = tc_interior(&p->col);
    const TC_T *start = x + rows.first * w - p->col.padding;
    const TC_T divisor = (TC_T)tc_divisor(p, r, whole.first);
#define TC_REST(o) y[o] = TC_FN(sum_window)(x, p, r, o) / (TC_T)tc_divisor(p, r, o)
    for (tc_int o = 0; o < whole.first; o++) TC_REST(o);
    for (tc_int o = whole.end; o < ow; o++) TC_REST(o);
#define TC_CALL(o, width) \
    TC_FN(avg_piece)(start + s * (o), y + (o), w, kh ? kh : rows.end - rows.first, kw, s, divisor, width)
    TC_COVER(whole.first, whole.end, TC_CALL, TC_REST);
#undef TC_CALL
#undef TC_REST
}

static void TC_FN(avg_pool)(const void *x_, void *y_, const tc_pool *p, int threads) {
    const tc_int plane = p->row.n * p->col.n, oh = p->row.out, ow = p->col.out, kw = p->col.kernel, s = p->col.stride;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int t = 0; t < p->planes * oh; t++) {
        const TC_T *x = (const TC_T *)x_ + t / oh * plane;
        TC_T *y = (TC_T *)y_ + t * ow;
        const tc_int r = t % oh;
        if (kw == 2 && s == 2 && tc_rows(p, r) == 2) TC_FN(avg_row)(x, y, p, r, 2, 2, 2);
        else if (s == 1) TC_FN(avg_row)(x, y, p, r, 0, kw, 1);
        else TC_FN(avg_row)(x, y, p, r, 0, kw, s);
    }
}

/* Adds the share of output o in row r to every input that its window saw. */
TC_INLINE void TC_FN(spread)(TC_T share, TC_T *gx, const tc_pool *p, tc_int r, tc_int o) {
    const tc_range rows = tc_window(&p->row, r), cols = tc_window(&p->col, o);
    const tc_int w = p->col.n;
    tc_int height = rows.end - rows.first, width = cols.end - cols.first;
    if (width == w) {
        width *= height;
        height = 1;
    }
    for (tc_int h = 0; h < height; h++) {
        TC_T *row = gx + (rows.first + h) * w + cols.first;
#pragma omp simd
        for (tc_int c = 0; c < width; c++) row[c] += share;
    }
}

/* Stride 1, interior: for each tap, a run of outputs adds to a run of inputs. */
TC_INLINE void TC_FN(spread_run)(const TC_T *g, TC_T *gx, const tc_pool *p, tc_int r, tc_range whole) {
    const tc_range rows = tc_window(&p->row, r);
    const TC_T divisor = (TC_T)tc_divisor(p, r, whole.first);
    for (tc_int h = rows.first; h < rows.end; h++)
        for (tc_int j = 0; j < p->col.kernel; j++) {
            TC_T *restrict to = gx + h * p->col.n - p->col.padding + j;
#pragma omp simd
            for (tc_int o = whole.first; o < whole.end; o++) to[o] += g[o] / divisor;
        }
}

/* 2x2 windows side by side: every input is written once. */
TC_INLINE void TC_FN(spread_2x2)(const TC_T *restrict g, TC_T *restrict a, tc_int w, TC_T divisor, int width) {
    TC_T *restrict b = a + w;
#pragma omp simd
    for (int l = 0; l < width; l++) {
        const TC_T share = g[l] / divisor;
        a[2 * l] = share;
        a[2 * l + 1] = share;
        b[2 * l] = share;
        b[2 * l + 1] = share;
    }
}

static void TC_FN(avg_pool_backward)(const void *g_, void *gx_, const tc_pool *p, int threads) {
    const tc_int h = p->row.n, w = p->col.n, oh = p->row.out, ow = p->col.out;
    const int cells = tc_is_2x2(p);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (tc_int t = 0; t < p->planes; t++) {
        TC_T *gx = (TC_T *)gx_ + t * h * w;
        if (!cells || h % 2 || w % 2) memset(gx, 0, (size_t)(h * w) * sizeof(TC_T));
        for (tc_int r = 0; r < oh; r++) {
            const TC_T *g = (const TC_T *)g_ + (t * oh + r) * ow;
            if (cells) {
                const TC_T divisor = (TC_T)tc_divisor(p, r, 0);
                TC_T *a = gx + 2 * r * w;
#define TC_CALL(o, width) TC_FN(spread_2x2)(g + (o), a + 2 * (o), w, divisor, width)
#define TC_REST(o) TC_CALL(o, 1)
                TC_COVER(0, ow, TC_CALL, TC_REST);
#undef TC_CALL
#undef TC_REST
                continue;
            }
            tc_range whole = {0, 0};
            if (p->col.stride == 1 && p->col.kernel < ow) {
                whole = tc_interior(&p->col);
                TC_FN(spread_run)(g, gx, p, r, whole);
            }
            for (tc_int o = 0; o < whole.first; o++) TC_FN(spread)(g[o] / (TC_T)tc_divisor(p, r, o), gx, p, r, o);
            for (tc_int o = whole.end; o < ow; o++) TC_FN(spread)(g[o] / (TC_T)tc_divisor(p, r, o), gx, p, r, o);
        }
    }
}

#undef TC_PIECES
#undef TC_COVER
