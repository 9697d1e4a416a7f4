/* Pooling over planes, written against isa.h and simd.h.
 *
 * A row of outputs has a border, windows that stick out of the input, and an interior, where all taps exist.  The
 * border goes window by window.  The interior goes vector by vector: the running result of a few outputs stays in
 * registers while the taps are visited; the last vector of a row overlaps the one before it.  Kernel, stride and
 * dilation of the common geometries are constants of inlined copies.
 * Values are selected by masks, not by `better ? v : best`: which value is larger cannot be guessed, so a jump costs
 * more than the rest of the window, and GCC 12 makes jumps of conditionals even where it could vectorise them.
 */

#if TC_TBYTES == 4
typedef int32_t TC_FN(bits) __attribute__((may_alias));
#else
typedef int64_t TC_FN(bits) __attribute__((may_alias));
#endif
#define TC_BITS TC_FN(bits)

#define TC_SELECT(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))

TC_INLINE TC_BITS TC_FN(to_bits)(TC_T x) {
    union { TC_T x; TC_BITS i; } u = {.x = x};
    return u.i;
}
TC_INLINE TC_T TC_FN(from_bits)(TC_BITS i) {
    union { TC_BITS i; TC_T x; } u = {.i = i};
    return u.x;
}

/* The window of kh x kw taps whose first one is x[at], rows of taps `step` apart.  A NaN beats everything, also an
 * earlier NaN. */
TC_INLINE void TC_FN(max_window)(const TC_T *x, tc_int at, tc_int step, tc_int kh, tc_int kw, tc_int dw, TC_T *y,
                                 int32_t *index) {
    TC_T best = -INFINITY;
    int32_t place = (int32_t)at;
    for (tc_int i = 0; i < kh; i++) {
        for (tc_int j = 0; j < kw; j++) {
            const tc_int here = at + i * step + j * dw;
            const TC_T v = x[here];
            const int32_t better = -(int32_t)((v > best) | (v != v));
            best = TC_FN(from_bits)(TC_SELECT((TC_BITS)better, TC_FN(to_bits)(v), TC_FN(to_bits)(best)));
            place = TC_SELECT(better, (int32_t)here, place);
        }
    }
    *y = best;
    *index = place;
}

/* Vectors of at most 32 bytes also where the CPU has 64, and of 16 for shorter rows: rows of feature maps are short. */
#define TC_SHORT (TC_VBYTES < 32 ? TC_VBYTES : 32)
#define TC_WIDE(name) TC_FN(name)
#include "pool_vector_impl.h"
#undef TC_SHORT
#undef TC_WIDE
#define TC_SHORT 16
#define TC_WIDE(name) TC_FN(name##_narrow)
#include "pool_vector_impl.h"
#undef TC_SHORT
#undef TC_WIDE
enum { TC_FN(WIDE) = (TC_VBYTES < 32 ? TC_VBYTES : 32) / TC_TBYTES, TC_FN(NARROW) = 16 / TC_TBYTES }; /* outputs */

/* CALL for vectors of the widest kind that fits into whole.first <= o < whole.end, the last one overlapping; REST if none. */
#define TC_INTERIOR(whole, CALL, NARROW_CALL, REST)                                        \
    do {                                                                                   \
        const tc_int n_ = (whole).end - (whole).first;                                     \
        if (n_ >= TC_FN(WIDE))                                                             \
            for (tc_int i = (whole).first; i < (whole).end; i += TC_FN(WIDE))              \
                CALL(tc_min(i, (whole).end - TC_FN(WIDE)));                                \
        else if (n_ >= TC_FN(NARROW))                                                      \
            for (tc_int i = (whole).first; i < (whole).end; i += TC_FN(NARROW))            \
                NARROW_CALL(tc_min(i, (whole).end - TC_FN(NARROW)));                       \
        else                                                                               \
            for (tc_int i = (whole).first; i < (whole).end; i++) REST(i);                  \
    } while (0)

/* A window that may stick out of the input. */
static void TC_FN(max_border)(const TC_T *x, TC_T *y, int32_t *index, const tc_pool *p, tc_int r, tc_int o) {
    const tc_range rows = tc_window(&p->row, r), cols = tc_window(&p->col, o);
    TC_FN(max_window)(x, rows.first * p->col.n + cols.first, p->row.dilation * p->col.n, tc_taps(rows, p->row.dilation),
                      tc_taps(cols, p->col.dilation), p->col.dilation, y + o, index + o);
}

/* One row of outputs: kh rows of input from `top` on, `whole` = the outputs of the interior. */
TC_INLINE void TC_FN(max_row)(const TC_T *x, TC_T *y, int32_t *index, const tc_pool *p, tc_range whole, tc_int r,
                              tc_int top, tc_int kh, tc_int kw, tc_int dh, tc_int dw, tc_int s) {
    const tc_int step = dh * p->col.n, start = top * p->col.n - p->col.padding;
    for (tc_int o = 0; o < whole.first; o++) TC_FN(max_border)(x, y, index, p, r, o);
    for (tc_int o = whole.end; o < p->col.out; o++) TC_FN(max_border)(x, y, index, p, r, o);
#define TC_CALL(o) TC_FN(max_vector)(x, start + s * (o), step, kh, kw, dw, s, y + (o), index + (o))
#define TC_NARROW_CALL(o) TC_FN(max_vector_narrow)(x, start + s * (o), step, kh, kw, dw, s, y + (o), index + (o))
#define TC_REST(o) TC_FN(max_window)(x, start + s * (o), step, kh, kw, dw, y + (o), index + (o))
    TC_INTERIOR(whole, TC_CALL, TC_NARROW_CALL, TC_REST);
#undef TC_CALL
#undef TC_NARROW_CALL
#undef TC_REST
}

static void TC_FN(max_pool)(const void *x_, void *y_, int32_t *index_, const tc_pool *p, int threads) {
    const tc_int planes = p->planes, oh = p->row.out, ow = p->col.out;
    const tc_int kw = p->col.kernel, dh = p->row.dilation, dw = p->col.dilation, s = p->col.stride;
    const tc_range whole = tc_interior(&p->col);
    const int close = dh == 1 && dw == 1 && s == 2;
    TC_PARALLEL_FOR_WITH(threads, collapse(2))
    for (tc_int t = 0; t < planes; t++) {
        for (tc_int r = 0; r < oh; r++) {
            const TC_T *x = (const TC_T *)x_ + t * p->row.n * p->col.n;
            TC_T *y = (TC_T *)y_ + (t * oh + r) * ow;
            int32_t *index = index_ + (t * oh + r) * ow;
            const tc_range rows = tc_window(&p->row, r);
            const tc_int kh = tc_taps(rows, dh), top = rows.first;
            if (close && kw == 2 && kh == 2) TC_FN(max_row)(x, y, index, p, whole, r, top, 2, 2, 1, 1, 2);
            else if (close && kw == 3 && kh == 3) TC_FN(max_row)(x, y, index, p, whole, r, top, 3, 3, 1, 1, 2);
            else if (s == 1) TC_FN(max_row)(x, y, index, p, whole, r, top, kh, kw, dh, dw, 1);
            else TC_FN(max_row)(x, y, index, p, whole, r, top, kh, kw, dh, dw, s);
        }
    }
}

/* CALL(at, width) for pieces of 16, 8 or 4 that cover 0 <= o < n, the last one overlapping; REST(o) if n < 4. */
#define TC_PIECES(n, width, CALL) \
    for (tc_int o_ = 0; o_ < (n); o_ += (width)) CALL(tc_min(o_, (n) - (width)), width)
#define TC_COVER(n, CALL, REST)                               \
    do {                                                      \
        if ((n) >= 16) TC_PIECES(n, 16, CALL);                \
        else if ((n) >= 8) TC_PIECES(n, 8, CALL);             \
        else if ((n) >= 4) TC_PIECES(n, 4, CALL);             \
        else for (tc_int o_ = 0; o_ < (n); o_++) REST(o_);    \
    } while (0)

/* The 2x2 cells of `width` outputs; the first cell is at gx[0], which is position `base`.  1 if an index is in none. */
TC_INLINE int TC_FN(unpool_piece)(const TC_T *g, const int32_t *restrict index, TC_T *gx, int32_t base, int32_t w,
                                  int width) {
    const TC_BITS *v = (const TC_BITS *)g;
    TC_BITS *restrict a = (TC_BITS *)gx, *restrict b = a + w, stray = 0;
#pragma omp simd reduction(| : stray)
    for (int l = 0; l < width; l++) {
        const TC_BITS k = index[l] - base - 2 * l;
        const TC_BITS in0 = -(TC_BITS)(k == 0), in1 = -(TC_BITS)(k == 1);
        const TC_BITS in2 = -(TC_BITS)(k == w), in3 = -(TC_BITS)(k == w + 1);
        a[2 * l] = v[l] & in0;
        a[2 * l + 1] = v[l] & in1;
        b[2 * l] = v[l] & in2;
        b[2 * l + 1] = v[l] & in3;
        stray |= ~(in0 | in1 | in2 | in3);
    }
    return stray != 0;
}

/* gx of one plane if every index lies in its own 2x2 cell: then each cell is written once, in order, and no zeroing or
 * scattering is needed.  Returns 0 if one index does not; gx is then to be overwritten. */
static int TC_FN(unpool_2x2)(const TC_T *g, const int32_t *index, TC_T *gx, int32_t h, int32_t w) {
    const int32_t oh = h / 2, ow = w / 2;
    int32_t stray = 0;
    for (int32_t r = 0; r < oh; r++) {
        const TC_T *gr = g + (tc_int)r * ow;
        const int32_t *ir = index + (tc_int)r * ow, base = 2 * r * w;
        TC_T *a = gx + base;
#define TC_CALL(o, width) \
    stray |= TC_FN(unpool_piece)(gr + (o), ir + (o), a + 2 * (o), base + 2 * (int32_t)(o), w, width)
#define TC_REST(o) TC_CALL(o, 1)
        TC_COVER(ow, TC_CALL, TC_REST);
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
    TC_PARALLEL_FOR_WITH(threads, reduction(| : outside))
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
    TC_PARALLEL_FOR_WITH(threads, reduction(| : outside))
    for (tc_int t = 0; t < p->planes; t++) {
        for (tc_int o = t * outs; o < (t + 1) * outs; o++) {
            int inside = (uint32_t)index[o] < (size_t)plane;
            y[o] = inside ? x[t * plane + index[o]] : 0;
            outside |= !inside;
        }
    }
    return outside;
}

/* Sum of kh x kw numbers, rows `step` apart. */
TC_INLINE TC_T TC_FN(sum_window)(const TC_T *from, tc_int step, tc_int kh, tc_int kw) {
    TC_T sum = 0;
    for (tc_int i = 0; i < kh; i++)
        for (tc_int j = 0; j < kw; j++) sum += from[i * step + j];
    return sum;
}

/* The mean over a window that may stick out of the input. */
static TC_T TC_FN(avg_border)(const TC_T *x, const tc_pool *p, tc_int r, tc_int o) {
    const tc_range rows = tc_window(&p->row, r), cols = tc_window(&p->col, o);
    return TC_FN(sum_window)(x + rows.first * p->col.n + cols.first, p->col.n, rows.end - rows.first,
                             cols.end - cols.first) / (TC_T)tc_divisor(p, r, o);
}

/* Mean of a run of numbers: a window that spans whole rows, as in global pooling. */
TC_INLINE TC_T TC_FN(avg_run)(const TC_T *x, tc_int n, TC_T divisor) {
    TC_VEC even = {0}, odd = {0};
    tc_int i = 0;
    for (; i + 2 * TC_VL <= n; i += 2 * TC_VL) {
        even += TC_FN(tc_load)(x + i);
        odd += TC_FN(tc_load)(x + i + TC_VL);
    }
    if (i + TC_VL <= n) {
        even += TC_FN(tc_load)(x + i);
        i += TC_VL;
    }
    if (i < n) odd += TC_FN(tc_load_first)(x + i, n - i); /* one by one the 49 of a 7 x 7 plane wait for each other */
    TC_T lane[TC_VL], sum = 0;
    TC_FN(tc_store)(lane, even + odd);
#pragma omp simd reduction(+ : sum)
    for (int k = 0; k < TC_VL; k++) sum += lane[k];
    return sum / divisor;
}

TC_INLINE void TC_FN(avg_row)(const TC_T *x, TC_T *y, const tc_pool *p, tc_range whole, tc_int r, tc_int top, tc_int kh,
                              tc_int kw, tc_int s) {
    const tc_int w = p->col.n;
    const TC_T *start = x + top * w - p->col.padding;
    const TC_T divisor = (TC_T)tc_divisor(p, r, whole.first);
    for (tc_int o = 0; o < whole.first; o++) y[o] = TC_FN(avg_border)(x, p, r, o);
    for (tc_int o = whole.end; o < p->col.out; o++) y[o] = TC_FN(avg_border)(x, p, r, o);
    if (kw == w && whole.first < whole.end) {
        y[whole.first] = TC_FN(avg_run)(start + s * whole.first, kh * kw, divisor);
        return;
    }
#define TC_CALL(o) TC_FN(avg_vector)(start + s * (o), w, kh, kw, s, divisor, y + (o))
#define TC_NARROW_CALL(o) TC_FN(avg_vector_narrow)(start + s * (o), w, kh, kw, s, divisor, y + (o))
#define TC_REST(o) y[o] = TC_FN(sum_window)(start + s * (o), w, kh, kw) / divisor
    TC_INTERIOR(whole, TC_CALL, TC_NARROW_CALL, TC_REST);
#undef TC_CALL
#undef TC_NARROW_CALL
#undef TC_REST
}

static void TC_FN(avg_pool)(const void *x_, void *y_, const tc_pool *p, int threads) {
    const tc_int planes = p->planes, oh = p->row.out, ow = p->col.out, kw = p->col.kernel, s = p->col.stride;
    const tc_range whole = tc_interior(&p->col);
    TC_PARALLEL_FOR_WITH(threads, collapse(2))
    for (tc_int t = 0; t < planes; t++) {
        for (tc_int r = 0; r < oh; r++) {
            const TC_T *x = (const TC_T *)x_ + t * p->row.n * p->col.n;
            TC_T *y = (TC_T *)y_ + (t * oh + r) * ow;
            const tc_range rows = tc_window(&p->row, r);
            const tc_int kh = rows.end - rows.first, top = rows.first;
            if (kw == 2 && kh == 2 && s == 2) TC_FN(avg_row)(x, y, p, whole, r, top, 2, 2, 2);
            else if (kw == 3 && kh == 3 && s == 2) TC_FN(avg_row)(x, y, p, whole, r, top, 3, 3, 2);
            else if (s == 1) TC_FN(avg_row)(x, y, p, whole, r, top, kh, kw, 1);
            else TC_FN(avg_row)(x, y, p, whole, r, top, kh, kw, s);
        }
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

/* Stride 1: for each tap, the run of outputs `whole` adds to a run of inputs. */
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
    /* Runs of outputs that add to runs of inputs: where the stride is 1 and the row is longer than its windows. */
    tc_range runs = {0, 0};
    if (p->col.stride == 1 && p->col.kernel < ow) runs = tc_interior(&p->col);
    TC_PARALLEL_FOR(threads)
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
                TC_COVER(ow, TC_CALL, TC_REST);
#undef TC_CALL
#undef TC_REST
                continue;
            }
            if (runs.first < runs.end) TC_FN(spread_run)(g, gx, p, r, runs);
            for (tc_int o = 0; o < runs.first; o++) TC_FN(spread)(g[o] / (TC_T)tc_divisor(p, r, o), gx, p, r, o);
            for (tc_int o = runs.end; o < ow; o++) TC_FN(spread)(g[o] / (TC_T)tc_divisor(p, r, o), gx, p, r, o);
        }
    }
}

#undef TC_PIECES
#undef TC_COVER
