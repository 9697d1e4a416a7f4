/* C = A B (+ bias) in float32 through tiles of bf16: how numbers are split, packed and put together again.
 *
 * The split.  bf16 is a float with 8 bits of significand instead of 24, so three of them hold a float exactly:
 *
 *     a1 = bf16(a),   a2 = bf16(a - a1),   a3 = a - a1 - a2              a = a1 + a2 + a3
 *
 * each rounded to the nearest, by integer arithmetic: add half a unit, cut.  The differences are exact, because a number
 * and its rounding are neighbours (Sterbenz), and |a2| <= 2^-8 |a|, |a3| <= 2^-17 |a|.  A product of two floats is then a
 * sum of nine products of bf16, which the tiles compute exactly and add in float32:
 *
 *     a b = a1 b1 + (a1 b2 + a2 b1) + (a1 b3 + a2 b2 + a3 b1) + (a2 b3 + a3 b2 + a3 b3)
 *            1       2^-8 each         2^-16 each                2^-25 each                of |a b|
 *
 * With three terms the last group is left out: at most 2^-24 |a b| together, a rounding of float32.  With two terms (precision
 * "high") a1 b1 + a1 b2 + a2 b1 remain, and at most 2^-15 |a b| is lost.  (Henry, Tang, Heinecke 2019, "Leveraging the
 * bfloat16 artificial intelligence datatype for higher-precision computations", arXiv:1904.06376.)  Cutting instead of
 * rounding would save an addition, lose eight times as much, and always to the same side.
 *
 * Packing.  A pair in a tile is (k, k + 16), not (k, k + 1): A and B agree about it, so the sum is the same, and a row of
 * the tile comes from two vectors without moving a lane: the upper halves of one shifted down, those of the other masked.
 * Both operands are read as 16 "lines": rows of A along k, or columns of B as rows along their 16 columns.  Where the
 * operand lies the other way round it is turned in registers first; edges are filled with zeros.
 *
 * While a line is split its largest magnitude is noted (gemm_amx.h says what for).
 */
#define TC_UVEC TC_FN(tc_uvec)
typedef uint32_t TC_UVEC __attribute__((vector_size(TC_VBYTES)));

TC_INLINE TC_UVEC TC_FN(amx_larger)(TC_UVEC x, TC_UVEC y) {
#if TC_VBYTES == 64
    return (TC_UVEC)_mm512_max_epu32((__m512i)x, (__m512i)y);
#else
    const TC_UVEC more = (TC_UVEC)(x > y);
    return (x & more) | (y & ~more);
#endif
}

/* The operands of a matrix of the batch. */
TC_INLINE void TC_FN(amx_operands)(const tc_gemm_problem *p, tc_int index, const float **a, const float **b, float **c) {
    *a = (const float *)p->a;
    *b = (const float *)p->b;
    *c = (float *)p->c + index * p->m * p->c_row;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        tc_int at = index % p->batch_shape[d];
        index /= p->batch_shape[d];
        *a += at * p->a_batch[d];
        *b += at * p->b_batch[d];
    }
}

/* An operand as 16 rows of A or columns of B ("members") by 32 of k. */
typedef struct {
    const float *x;          /* of the matrix */
    int across;              /* lines run across the members (B), not along k (A) */
    tc_int member, along;    /* strides */
    tc_int term, run, run_step;
} TC_FN(amx_side);

/* 16 lines of 32 numbers along k, or 32 lines of 16 members: where they lie, else copied to `copy`; *pitch apart. */
TC_INLINE const float *TC_FN(amx_lines)(const TC_FN(amx_side) *s, const float *x, tc_int first, tc_int n, tc_int k,
                                        float *copy, tc_int *pitch) {
    const tc_int run = first < s->run ? 0 : first / s->run, at = first - run * s->run;
    const int whole = n == TC_TILE_ROWS && k == TC_TILE_DEPTH && at + n <= s->run;
    const float *from = x + run * s->run_step + at * s->member;
    const tc_int width = s->across ? TC_TILE_ROWS : TC_TILE_DEPTH;
    *pitch = s->across ? s->along : s->member;
    if (whole && (s->across ? s->member : s->along) == 1) return from;
    const tc_int lines_apart = *pitch;
    *pitch = width;
    if (whole && lines_apart == 1) {
        const tc_int apart = s->across ? s->member : s->along, rows = s->across ? TC_TILE_ROWS : TC_TILE_DEPTH;
        for (tc_int i = 0; i < rows; i += TC_VL)
            for (tc_int j = 0; j < TC_TILE_NUMBERS / rows; j += TC_VL)
                TC_FN(tc_transpose)(from + i * apart + j, apart, TC_VL, copy + j * width + i, width);
        return copy;
    }
    memset(copy, 0, sizeof(float) * TC_TILE_NUMBERS);
    const tc_int to_member = s->across ? 1 : width, to_k = s->across ? width : 1;
    for (tc_int i = 0; i < n; i++) {
        from = x + (first + i) / s->run * s->run_step + (first + i) % s->run * s->member;
        for (tc_int r = 0; r < k; r++) copy[i * to_member + r * to_k] = from[r * s->along];
    }
    return copy;
}

/* A tile of 16 lines, all terms of it, `apart` numbers between terms.  The second half of a pair lies `second` on.  Lanes of
 * `most` note magnitudes, those of line r at most + r * most_step. */
TC_INLINE void TC_FN(amx_split)(int terms, const float *x, tc_int pitch, tc_int second, uint16_t *out, tc_int apart,
                                uint32_t *most, tc_int most_step) {
    for (tc_int r = 0; r < TC_TILE_ROWS; r++, x += pitch, out += 2 * TC_TILE_ROWS, most += most_step) {
        TC_UNROLL
        for (tc_int v = 0; v < TC_TILE_ROWS; v += TC_VL) {
            TC_VEC low = TC_FN(tc_load)(x + v), high = TC_FN(tc_load)(x + second + v);
            const TC_UVEC larger = TC_FN(amx_larger)((TC_UVEC)low & 0x7FFFFFFF, (TC_UVEC)high & 0x7FFFFFFF);
            const TC_UVEC seen = (TC_UVEC)TC_FN(tc_load)((const float *)(most + v));
            TC_FN(tc_store)((float *)(most + v), (TC_VEC)TC_FN(amx_larger)(seen, larger));
            TC_UNROLL
            for (int term = 0; term < terms; term++) {
                const TC_UVEC l = ((TC_UVEC)low + 0x8000) & 0xFFFF0000, h = ((TC_UVEC)high + 0x8000) & 0xFFFF0000;
                TC_FN(tc_store)((float *)(out + term * apart + 2 * v), (TC_VEC)(l >> 16 | h));
                low -= (TC_VEC)l;
                high -= (TC_VEC)h;
            }
        }
    }
}

/* A pair of tiles of rows of A or columns of B, along the slice of k. */
static void TC_FN(amx_pack)(const void *plan, tc_int task, void *scratch) {
    const tc_amx_plan *q = (const tc_amx_plan *)plan;
    const tc_gemm_problem *p = q->p;
    const tc_int from_a = q->pack_a ? q->row_pairs : 0, from_b = q->pack_b ? q->col_pairs : 0;
    const tc_int matrix = task / (from_a + from_b), piece = task % (from_a + from_b);
    const int is_b = piece >= from_a;
    const tc_int pair = is_b ? piece - from_a : piece, pairs = is_b ? q->col_pairs : q->row_pairs;
    const tc_int numbers = q->slice * q->terms * TC_PAIR_NUMBERS;
    uint16_t *out = (is_b ? q->b : q->a) + (matrix * pairs + pair) * numbers;
    float copy[TC_TILE_NUMBERS] __attribute__((aligned(64)));
    uint32_t most[2][TC_TILE_ROWS * TC_TILE_ROWS] __attribute__((aligned(64)));
    const float *a, *b;
    float *c;
    (void)scratch;
    TC_FN(amx_operands)(p, q->matrix0 + matrix, &a, &b, &c);
    const TC_FN(amx_side) s = is_b ? (TC_FN(amx_side)){b, 1, p->b_col, p->b_row, p->b_term, q->run, p->b_run}
                                   : (TC_FN(amx_side)){a, 0, p->a_row, p->a_col, p->a_term, p->m, 0};
    const tc_int first = (is_b ? q->col0 : q->row0) + pair * TC_PAIR_ROWS;
    const tc_int end = tc_min(first + TC_PAIR_ROWS, is_b ? q->col0 + q->cols : q->row0 + q->rows);
    const int tiles = end - first > TC_TILE_ROWS ? 2 : 1;
    memset(most, 0, sizeof(most));
    tc_int term = q->first / q->depth, k0 = q->first % q->depth * TC_TILE_DEPTH;
    for (tc_int at = 0; at < q->slice; at++, out += q->terms * TC_PAIR_NUMBERS) {
        const tc_int k = tc_min(TC_TILE_DEPTH, p->k - k0);
        const float *x = s.x + term * s.term + k0 * s.along;
        for (int t = 0; t < tiles; t++) {
            const tc_int member = first + t * TC_TILE_ROWS;
            tc_int pitch;
            const float *lines = TC_FN(amx_lines)(&s, x, member, tc_min(TC_TILE_ROWS, end - member), k, copy, &pitch);
            const tc_int second = is_b ? TC_TILE_ROWS * pitch : TC_TILE_ROWS, step = is_b ? 0 : TC_TILE_ROWS;
            uint16_t *tile = out + t * TC_TILE_NUMBERS;
            if (q->terms == 3) TC_FN(amx_split)(3, lines, pitch, second, tile, TC_PAIR_NUMBERS, most[t], step);
            else TC_FN(amx_split)(2, lines, pitch, second, tile, TC_PAIR_NUMBERS, most[t], step);
        }
        k0 += TC_TILE_DEPTH;
        if (k0 >= p->k) {
            k0 = 0;
            term++;
        }
    }
    tc_amx_range range = {0, UINT32_MAX};
    for (int i = 0; i < tiles * TC_TILE_ROWS; i++) {
        const uint32_t *lanes = most[i / TC_TILE_ROWS] + (is_b ? i % TC_TILE_ROWS : i % TC_TILE_ROWS * TC_TILE_ROWS);
        uint32_t largest = 0;
        for (int lane = 0; lane < (is_b ? 1 : TC_TILE_ROWS); lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
        if (largest > range.largest) range.largest = largest;
        if (largest && largest < range.smallest) range.smallest = largest;
    }
    (is_b ? q->b_range : q->a_range)[matrix * pairs + pair] = range;
}

/* n sums of a row to c: added to it, or with the biases that are not NULL. */
TC_INLINE void TC_FN(amx_put)(tc_int n, const float *from, float *c, int add, const float *row_bias, const float *col_bias) {
    for (tc_int i = 0; i < n; i += TC_VL) {
        const tc_int some = tc_min(TC_VL, n - i);
        TC_VEC v = TC_FN(tc_load)(from + i);
        if (add) v += some == TC_VL ? TC_FN(tc_load)(c + i) : TC_FN(tc_load_first)(c + i, some);
        if (row_bias) v += *row_bias;
        if (col_bias) v += some == TC_VL ? TC_FN(tc_load)(col_bias + i) : TC_FN(tc_load_first)(col_bias + i, some);
        if (some == TC_VL) TC_FN(tc_store)(c + i, v);
        else TC_FN(tc_store_first)(c + i, v, some);
    }
}

/* Some rows and columns of C.  A few row pairs stay in the second cache while all columns pass. */
static void TC_FN(amx_multiply)(const void *plan, tc_int task, void *scratch) {
    const tc_amx_plan *q = (const tc_amx_plan *)plan;
    const tc_gemm_problem *p = q->p;
    const tc_int col_group = task % q->col_groups, row_group = task / q->col_groups % q->row_groups;
    const tc_int matrix = task / q->col_groups / q->row_groups, numbers = q->slice * q->terms * TC_PAIR_NUMBERS;
    const float *a, *b, *bias = (const float *)p->bias;
    float *c, sums[TC_PAIR_ROWS * TC_PAIR_ROWS + TC_VL] __attribute__((aligned(64)));
    (void)scratch;
    if (!q->suits[matrix]) return;
    TC_FN(amx_operands)(p, q->matrix0 + matrix, &a, &b, &c);
    const int add = p->add || q->first > 0;
    const uint16_t *packed_a = q->a + matrix * q->row_pairs * numbers, *packed_b = q->b + matrix * q->col_pairs * numbers;
    const tc_int last_row = tc_cut(q->row_pairs, q->row_groups, row_group + 1);
    const tc_int last_col = tc_cut(q->col_pairs, q->col_groups, col_group + 1);
    tc_amx_begin(q->product);
    for (tc_int row = tc_cut(q->row_pairs, q->row_groups, row_group), stop; row < last_row; row = stop) {
        stop = tc_min(last_row, row + TC_AMX_CACHED);
        for (tc_int col = tc_cut(q->col_pairs, q->col_groups, col_group); col < last_col; col++) {
            const tc_int j0 = q->col0 + col * TC_PAIR_ROWS, n = tc_min(TC_PAIR_ROWS, q->col0 + q->cols - j0);
            for (tc_int r = row; r < stop; r++) {
                const tc_int i0 = q->row0 + r * TC_PAIR_ROWS, m = tc_min(TC_PAIR_ROWS, q->row0 + q->rows - i0);
                q->product(q->terms, m > TC_TILE_ROWS ? 2 : 1, n > TC_TILE_ROWS ? 2 : 1, q->slice, packed_a + r * numbers,
                           packed_b + col * numbers, sums);
                for (tc_int j = 0, some; j < n; j += some) {
                    const tc_int run = (j0 + j) / q->run, at = (j0 + j) % q->run;
                    some = tc_min(n - j, q->run - at);
                    for (tc_int i = 0; i < m; i++)
                        TC_FN(amx_put)(some, sums + i * TC_PAIR_ROWS + j, c + (i0 + i) * p->c_row + run * p->c_run + at, add,
                                       bias && !add && p->row_bias ? bias + i0 + i : NULL,
                                       bias && !add && !p->row_bias ? bias + j0 + j : NULL);
                }
            }
        }
    }
    tc_amx_end(q->product);
}
#undef TC_UVEC
