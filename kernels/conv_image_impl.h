/* The image as the convolution kernels read it: zero-padded, split by stride phase, a slice of the channels at a time.
 *
 * Tap t of an output grid reads   x[r * step_h + row_t, q * step_w + col_t]   for grid position (r, q).  In a padded
 * copy that keeps apart the rows and columns of equal remainder modulo the step ("planes"), it is a constant offset:
 *
 *     copy[plane_t + (r + a_t) * pitch + (q + b_t)]
 *
 * so neighbouring columns are neighbours in memory whatever stride, padding and dilation, and nobody tests for borders.
 * The copy holds one unit (some images, or a band of rows of one) and is small enough for L2; it is the only copy made,
 * there is no matrix of columns.
 */
#define TC_IMAGE TC_FN(tc_image)
#ifndef TC_SHORT_LOOP
#define TC_SHORT_LOOP __asm__ volatile("") /* in a loop that compilers would replace by memset or memcpy: rows are short */
#endif

typedef struct {
    const TC_T *data, *end;            /* (n, channels_total, h, w), and where it ends */
    tc_int channels_total, h, w;
    tc_int step_h, step_w;
    tc_int grid_h, grid_w;             /* output grid */
    tc_int taps;
    const tc_int *row, *col;           /* per tap: row_t, col_t as above, may be negative */
    /* set by image_layout: */
    tc_int unit_images, unit_rows;     /* of the grid, per unit */
    tc_int bands, units;               /* units = image groups * bands */
    tc_int first_row, first_col;       /* smallest floor(row_t / step_h), floor(col_t / step_w) */
    tc_int pitch, image_stride, plane_stride, channel_stride;
    tc_int planes;
    tc_int *plane_row, *plane_col;     /* remainders that occur */
    tc_int *plane_from, *plane_len;    /* columns of the plane that come from the image; the others are zero */
    tc_int *offset;                    /* of each tap: plane_t + a_t * pitch + b_t */
} TC_IMAGE;

/* Planes, pitch and strides.  `images` in a batch, `channels` per slice at most; a copy has about `room` numbers. */
static void TC_FN(image_layout)(TC_IMAGE *m, tc_int images, tc_int channels, tc_int min_units, tc_int room,
                                tc_arena *arena) {
    m->plane_row = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)m->taps);
    m->plane_col = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)m->taps);
    m->plane_from = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)m->taps);
    m->plane_len = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)m->taps);
    m->offset = (tc_int *)tc_take(arena, sizeof(tc_int) * (size_t)m->taps);
    tc_int last_row = 0, last_col = 0;
    m->first_row = m->first_col = m->planes = 0;
    for (tc_int t = 0; t < m->taps; t++) {
        tc_int a = tc_floor_div(m->row[t], m->step_h), b = tc_floor_div(m->col[t], m->step_w);
        m->first_row = t ? tc_min(m->first_row, a) : a;
        m->first_col = t ? tc_min(m->first_col, b) : b;
        last_row = t ? tc_max(last_row, a) : a;
        last_col = t ? tc_max(last_col, b) : b;
    }
    m->pitch = m->grid_w + last_col - m->first_col;
    /* Rows share their zeros: what runs off the right end of a row meets the left border of the next. */
    tc_int left = tc_max(0, tc_min(-m->first_col, last_col - m->first_col));
    tc_int right = tc_max(0, m->grid_w + last_col - tc_ceil_div(m->w, m->step_w));
    m->pitch -= tc_min(left, right);
    tc_int extra = last_row - m->first_row + 1;     /* one more row, so that the last one may run off too */
    /* A unit: enough columns to reuse the weights, few enough for the cache, and enough units for the threads. */
    tc_int rows_fit = tc_max(1, room / tc_max(1, channels * m->pitch) - extra);
    m->unit_rows = tc_min(m->grid_h, rows_fit);
    tc_int pixels = m->grid_h * m->grid_w;
    while (m->unit_rows > 1 && m->unit_rows * m->grid_w > TC_CONV_COLS &&
           images * tc_ceil_div(m->grid_h, m->unit_rows) < min_units)
        m->unit_rows = (m->unit_rows + 1) / 2;
    m->bands = tc_ceil_div(m->grid_h, m->unit_rows);
    m->unit_rows = tc_ceil_div(m->grid_h, m->bands);
    m->bands = tc_ceil_div(m->grid_h, m->unit_rows);
    m->unit_images = 1;
    if (m->bands == 1) {
        tc_int fit = room / tc_max(1, channels * (m->grid_h + extra) * m->pitch);
        m->unit_images = tc_min(tc_ceil_div(TC_CONV_COLS, pixels), fit);
        m->unit_images = tc_max(1, tc_min(m->unit_images, images / tc_max(1, min_units)));
    }
    m->units = tc_ceil_div(images, m->unit_images) * m->bands;
    m->image_stride = (m->unit_rows + extra) * m->pitch;
    m->plane_stride = m->unit_images * m->image_stride;
    if (!arena->base) {
        m->planes = tc_min(m->taps, m->step_h * m->step_w);
        m->channel_stride = m->planes * m->plane_stride;
        return;
    }
    for (tc_int t = 0; t < m->taps; t++) {
        tc_int a = tc_floor_div(m->row[t], m->step_h), b = tc_floor_div(m->col[t], m->step_w);
        tc_int pr = m->row[t] - a * m->step_h, pc = m->col[t] - b * m->step_w, s = 0;
        while (s < m->planes && (m->plane_row[s] != pr || m->plane_col[s] != pc)) s++;
        if (s == m->planes) {
            m->plane_row[s] = pr;
            m->plane_col[s] = pc;
            /* Source columns are (q + first_col) * step + pc. */
            tc_int shift = m->first_col * m->step_w + pc;
            tc_int q0 = tc_min(m->pitch, tc_max(0, -tc_floor_div(shift, m->step_w)));
            m->plane_from[s] = q0;
            m->plane_len[s] = tc_max(q0, tc_min(m->pitch, tc_floor_div(m->w - 1 - shift, m->step_w) + 1)) - q0;
            m->planes++;
        }
        m->offset[t] = s * m->plane_stride + (a - m->first_row) * m->pitch + (b - m->first_col);
    }
    m->channel_stride = m->planes * m->plane_stride;
}

/* Images and grid rows of unit u. */
TC_INLINE void TC_FN(image_unit)(const TC_IMAGE *m, tc_int images, tc_int u, tc_int *n0, tc_int *n, tc_int *r0,
                                 tc_int *rows) {
    *n0 = u / m->bands * m->unit_images;
    *n = tc_min(m->unit_images, images - *n0);
    *r0 = u % m->bands * m->unit_rows;
    *rows = tc_min(m->unit_rows, m->grid_h - *r0);
}

/* Copy exactly len numbers; short rows are common, so no call to memcpy. */
TC_INLINE void TC_FN(copy_run)(TC_T *restrict to, const TC_T *restrict from, tc_int len) {
    if (len >= TC_VL) {
        tc_int i = 0;
        for (; i + TC_VL <= len; i += TC_VL) {
            TC_FN(tc_store)(to + i, TC_FN(tc_load)(from + i));
            TC_SHORT_LOOP;
        }
        if (i < len) TC_FN(tc_store)(to + len - TC_VL, TC_FN(tc_load)(from + len - TC_VL));
        return;
    }
    tc_int i = 0;
#if TC_VL > 8
    if (len & 8) { memcpy(to, from, 8 * sizeof(TC_T)); i = 8; }
#endif
#if TC_VL > 4
    if (len & 4) { memcpy(to + i, from + i, 4 * sizeof(TC_T)); i += 4; }
#endif
#if TC_VL > 2
    if (len & 2) { memcpy(to + i, from + i, 2 * sizeof(TC_T)); i += 2; }
#endif
    if (len & 1) to[i] = from[i];
}

/* Every second lane of the 2 TC_VL numbers x, y; every third of x, y, z; and the lanes of x and y in turn, lower and upper
 * half. */
#if TC_VL == 2
#define TC_EVEN(x, y) __builtin_shufflevector(x, y, 0, 2)
#define TC_THIRD(x, y, z) __builtin_shufflevector(x, y, 0, 3)
#define TC_ZIP_LOW(x, y) __builtin_shufflevector(x, y, 0, 2)
#define TC_ZIP_HIGH(x, y) __builtin_shufflevector(x, y, 1, 3)
#elif TC_VL == 4
#define TC_EVEN(x, y) __builtin_shufflevector(x, y, 0, 2, 4, 6)
#define TC_THIRD(x, y, z) __builtin_shufflevector(__builtin_shufflevector(x, y, 0, 3, 6, 6), z, 0, 1, 2, 5)
#define TC_ZIP_LOW(x, y) __builtin_shufflevector(x, y, 0, 4, 1, 5)
#define TC_ZIP_HIGH(x, y) __builtin_shufflevector(x, y, 2, 6, 3, 7)
#elif TC_VL == 8
#define TC_EVEN(x, y) __builtin_shufflevector(x, y, 0, 2, 4, 6, 8, 10, 12, 14)
#define TC_THIRD(x, y, z) \
    __builtin_shufflevector(__builtin_shufflevector(x, y, 0, 3, 6, 9, 12, 15, 15, 15), z, 0, 1, 2, 3, 4, 5, 10, 13)
#define TC_ZIP_LOW(x, y) __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11)
#define TC_ZIP_HIGH(x, y) __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define TC_EVEN(x, y) __builtin_shufflevector(x, y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define TC_THIRD(x, y, z)                                                                                              \
    __builtin_shufflevector(                                                                                           \
        __builtin_shufflevector(x, y, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 30, 30, 30, 30, 30), z, 0, 1, 2, 3, 4, 5, \
        6, 7, 8, 9, 10, 17, 20, 23, 26, 29)
#define TC_ZIP_LOW(x, y) __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TC_ZIP_HIGH(x, y) __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#endif

#if TC_VBYTES == 64
/* The even ones of the first n lanes; nothing else is touched. */
TC_INLINE void TC_FN(store_even)(TC_T *p, TC_VEC v, tc_int n) {
#if TC_TBYTES == 4
    __builtin_ia32_storeups512_mask(p, v, (unsigned short)(((1u << n) - 1) & 0x5555));
#else
    __builtin_ia32_storeupd512_mask(p, v, (unsigned char)(((1u << n) - 1) & 0x55));
#endif
}
#endif

TC_INLINE void TC_FN(zero_run)(TC_T *to, tc_int len) {
    for (tc_int q = 0; q < len; q += TC_VL) {
        TC_FN(tc_store)(to + q, (TC_VEC){0});
        TC_SHORT_LOOP;
    }
}

/* TC_VL numbers `step` <= TC_STEPS apart; `few`: the wanted ones of them are in the first vector. */
TC_INLINE TC_VEC TC_FN(load_apart)(const TC_T *from, tc_int step, int few) {
    TC_VEC x = TC_FN(tc_load)(from);
    if (step == 1) return x;
    TC_VEC y = few ? x : TC_FN(tc_load)(from + TC_VL);
    if (step == 2) return TC_EVEN(x, y);
    TC_VEC z = few ? x : TC_FN(tc_load)(from + 2 * TC_VL);
    if (step == 3) return TC_THIRD(x, y, z);
    return TC_EVEN(TC_EVEN(x, y), TC_EVEN(z, few ? x : TC_FN(tc_load)(from + 3 * TC_VL)));
}

/* to[q] = from[q * step] for q < len, 0 for len <= q < width.  Writes whole vectors, so up to TC_VL - 1 zeros more; reads
 * whole vectors too, but nothing from `end` on.  `beyond` is tc_lanes_from(len % TC_VL). */
TC_INLINE void TC_FN(fill_row)(TC_T *restrict to, const TC_T *restrict from, tc_int step, tc_int len, tc_int width,
                               TC_IVEC beyond, const TC_T *end) {
    tc_int q = 0, whole = len;
    if (step > TC_STEPS) whole = 0;
    else if (end - from < (len + TC_VL) * step) whole = tc_max(0, (end - from) / (step * TC_VL)) * TC_VL;
    for (; q + TC_VL <= tc_min(len, whole); q += TC_VL) {
        TC_FN(tc_store)(to + q, TC_FN(load_apart)(from + q * step, step, 0));
        TC_SHORT_LOOP;
    }
    if (q < whole) {
        TC_FN(tc_store)(to + q, TC_FN(tc_select)(beyond, TC_FN(load_apart)(from + q * step, step, 0), (TC_VEC){0}));
        q += TC_VL;
    }
    for (; q < len; q++) {
        to[q] = from[q * step];
        TC_SHORT_LOOP;
    }
    TC_FN(zero_run)(to + q, width - q);
}

/* `rows` rows of a plane, h x w numbers, to a block of that pitch: see image_fill. */
TC_INLINE void TC_FN(fill_rows)(TC_T *to, tc_int pitch, const TC_T *from, tc_int from_pitch, tc_int rows, tc_int step,
                                tc_int len, const TC_T *end) {
    if (len == pitch && len == from_pitch && step == 1) { /* no gaps: the block is one row */
        len = pitch = rows * pitch;
        rows = 1;
    }
    TC_IVEC beyond = TC_FN(tc_lanes_from)(len % TC_VL);
    tc_int r = 0;
    if (len > 0 && len < TC_VL && pitch <= TC_VL && step <= TC_STEPS) {
        /* Short rows: a vector each, without further tests as long as what is read lies in the image. */
        tc_int reach = len * step <= TC_VL ? TC_VL : step * TC_VL, left = end - from - reach;
        tc_int safe = left < 0 ? 0 : tc_min(rows, left / from_pitch + 1);
        for (; r < safe; r++) {
            TC_VEC v = TC_FN(load_apart)(from + r * from_pitch, step, reach == TC_VL);
            TC_FN(tc_store)(to + r * pitch, TC_FN(tc_select)(beyond, v, (TC_VEC){0}));
        }
    }
    for (; r < rows; r++) TC_FN(fill_row)(to + r * pitch, from + r * from_pitch, step, len, pitch, beyond, end);
}

/* Fill the copy with channels [c0, c1) (counted in the whole image) of unit (n0, images, r0, rows).  Everything is written
 * in the order of addresses, a row from its first pixel to that of the next row: the zeros that a row writes too many fall
 * on what is written next, or on the spare vector at the end. */
static void TC_FN(image_fill)(const TC_IMAGE *m, tc_int n0, tc_int images, tc_int r0, tc_int c0, tc_int c1, TC_T *to) {
    tc_int rows = m->image_stride / m->pitch, image = m->channels_total * m->h * m->w, row = m->step_h * m->w;
    for (tc_int c = c0; c < c1; c++) {
        for (tc_int s = 0; s < m->planes; s++) {
            TC_T *to_image = to + (c - c0) * m->channel_stride + s * m->plane_stride;
            tc_int y = (r0 + m->first_row) * m->step_h + m->plane_row[s], q0 = m->plane_from[s], len = m->plane_len[s];
            tc_int r1 = 0, r2 = rows; /* rows in the image */
            while (r1 < rows && y + r1 * m->step_h < 0) r1++;
            while (r2 > r1 && y + (r2 - 1) * m->step_h >= m->h) r2--;
            const TC_T *from = m->data + n0 * image + (c * m->h + y + r1 * m->step_h) * m->w +
                               (m->first_col + q0) * m->step_w + m->plane_col[s];
            for (tc_int n = 0; n < images; n++, to_image += m->image_stride, from += image) {
                TC_T *first = to_image + r1 * m->pitch + q0;
                TC_FN(zero_run)(to_image, r1 * m->pitch + q0);
                if (m->step_w == 1) TC_FN(fill_rows)(first, m->pitch, from, row, r2 - r1, 1, len, m->end);
                else if (m->step_w == 2) TC_FN(fill_rows)(first, m->pitch, from, row, r2 - r1, 2, len, m->end);
                else if (m->step_w == 3) TC_FN(fill_rows)(first, m->pitch, from, row, r2 - r1, 3, len, m->end);
                else if (m->step_w == 4) TC_FN(fill_rows)(first, m->pitch, from, row, r2 - r1, 4, len, m->end);
                else TC_FN(fill_rows)(first, m->pitch, from, row, r2 - r1, m->step_w, len, m->end);
                TC_FN(zero_run)(to_image + r2 * m->pitch, (rows - r2) * m->pitch);
            }
        }
    }
}
