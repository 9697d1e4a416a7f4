/* Sums and maxima of blocks, compiled once per instruction set and number type (see isa.h).
 *
 * A sum runs in 128 / sizeof(T) lanes over at most TC_LEAF numbers; leaves and at last the lanes are added in pairs.
 * The error so grows with the logarithm of the length, as in NumPy's pairwise sum, and the lanes are the same at every
 * level.
 */
#include <math.h>
#include <string.h>

#ifndef TC_REDUCE_COMMON
#define TC_REDUCE_COMMON
typedef struct {
    /* out[r] = f(x[r * n .. (r + 1) * n)) for r < count, n >= 1 */
    void (*runs)(const char *x, tc_int count, tc_int n, char *out);
    /* out[c] = f over r of x[r * ld + c], for rows >= 1 and cols columns */
    void (*columns)(const char *x, tc_int ld, tc_int rows, tc_int cols, char *out);
} tc_reducer;
enum { TC_SUM, TC_MAX, TC_MIN, TC_REDUCERS };
/* Places of extremes: in a run, and in every column of at most TC_NARROW. */
typedef struct {
    int64_t (*run)(const char *x, tc_int n);
    /* at[c] = place over r of the extreme of x[r * ld + c] */
    void (*columns)(const char *x, tc_int ld, tc_int rows, tc_int cols, int64_t *at);
} tc_place;
enum { TC_NARROW = 64 /* columns that fill vectors well */ };
#endif

#define TC_LANES (128 / TC_TBYTES)
#define TC_VECS (128 / TC_VBYTES)
#define TC_LEAF (16 * TC_LANES)

/* The lanes of at most TC_LEAF numbers. */
TC_INLINE void TC_FN(sum_leaf)(const TC_T *x, tc_int n, TC_T *restrict lane) {
    TC_VEC acc[TC_VECS];
    tc_int i = 0;
    TC_UNROLL
    for (int v = 0; v < TC_VECS; v++) acc[v] = (TC_VEC){0};
    for (; i + TC_LANES <= n; i += TC_LANES)
        TC_UNROLL
        for (int v = 0; v < TC_VECS; v++) acc[v] += TC_FN(tc_load)(x + i + v * TC_VL);
    TC_UNROLL
    for (int v = 0; v < TC_VECS; v++, i += TC_VL) /* the rest, also in vectors: numbers put beside them would wait for them */
        if (i < n) acc[v] += i + TC_VL <= n ? TC_FN(tc_load)(x + i) : TC_FN(tc_load_first)(x + i, n - i);
    TC_UNROLL
    for (int v = 0; v < TC_VECS; v++) TC_FN(tc_store)(lane + v * TC_VL, acc[v]);
}

/* The lanes of any count of numbers, halves added in pairs: lane k sums x[k], x[k + TC_LANES], ... */
static void TC_FN(sum_pairs)(const TC_T *x, tc_int n, TC_T *restrict lane) {
    if (n <= TC_LEAF) {
        TC_FN(sum_leaf)(x, n, lane);
        return;
    }
    TC_T other[TC_LANES];
    tc_int half = (n / TC_LEAF + 1) / 2 * TC_LEAF;
    TC_FN(sum_pairs)(x, half, lane);
    TC_FN(sum_pairs)(x + half, n - half, other);
    TC_UNROLL
    for (int v = 0; v < TC_VECS; v++)
        TC_FN(tc_store)(lane + v * TC_VL, TC_FN(tc_load)(lane + v * TC_VL) + TC_FN(tc_load)(other + v * TC_VL));
}

static TC_T TC_FN(sum_of)(const TC_T *x, tc_int n) {
    if (n < TC_LANES) { /* rows of a few numbers: four lanes, no vectors */
        TC_T s[4] = {0, 0, 0, 0};
        tc_int i = 0;
        for (; i + 4 <= n; i += 4)
            for (int k = 0; k < 4; k++) s[k] += x[i + k];
        for (; i < n; i++) s[i & 3] += x[i];
        return (s[0] + s[1]) + (s[2] + s[3]);
    }
    TC_T lane[TC_LANES];
    TC_FN(sum_pairs)(x, n, lane);
    TC_UNROLL
    for (int half = TC_LANES / 2; half; half /= 2)
        TC_UNROLL
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}

/* Many short runs: the lanes of TC_VL of them are transposed, so that a step of their last sums, which are those of sum_of,
 * is one addition for all. */
static void TC_FN(sum_runs)(const char *x_, tc_int count, tc_int n, char *out_) {
    const TC_T *x = (const TC_T *)x_;
    TC_T *out = (TC_T *)out_;
    tc_int r = 0;
    if (n >= TC_LANES && n <= TC_LEAF)
        for (; r + TC_VL <= count; r += TC_VL) {
            TC_T rows[TC_VL * TC_VL], turned[TC_VL * TC_VL];
            for (tc_int k = 0; k < TC_VL; k++) {
                TC_T lane[TC_LANES];
                TC_VEC acc[TC_VECS];
                TC_FN(sum_leaf)(x + (r + k) * n, n, lane);
                TC_UNROLL
                for (int v = 0; v < TC_VECS; v++) acc[v] = TC_FN(tc_load)(lane + v * TC_VL);
                TC_UNROLL
                for (int half = TC_VECS / 2; half; half /= 2)
                    TC_UNROLL
                    for (int v = 0; v < half; v++) acc[v] += acc[v + half];
                TC_FN(tc_store)(rows + k * TC_VL, acc[0]);
            }
            TC_FN(tc_transpose)(rows, TC_VL, TC_VL, turned, TC_VL);
            TC_VEC sum[TC_VL];
            TC_UNROLL
            for (int k = 0; k < TC_VL; k++) sum[k] = TC_FN(tc_load)(turned + k * TC_VL);
            TC_UNROLL
            for (int half = TC_VL / 2; half; half /= 2)
                TC_UNROLL
                for (int k = 0; k < half; k++) sum[k] += sum[k + half];
            TC_FN(tc_store)(out + r, sum[0]);
        }
    for (; r < count; r++) out[r] = TC_FN(sum_of)(x + r * n, n);
}

/* Eight rows at a time, added in pairs: one pass over `out` for eight over x, and an eighth of the rounding steps. */
static void TC_FN(sum_wide)(const TC_T *x, tc_int ld, tc_int rows, tc_int cols, TC_T *restrict out) {
    tc_int r = rows & 7;
    memset(out, 0, (size_t)cols * sizeof(TC_T));
    for (tc_int k = 0; k < r; k++) {
        const TC_T *p = x + k * ld;
#pragma omp simd
        for (tc_int c = 0; c < cols; c++) out[c] += p[c];
    }
    for (; r < rows; r += 8) {
        const TC_T *p = x + r * ld;
#pragma omp simd
        for (tc_int c = 0; c < cols; c++)
            out[c] += ((p[c] + p[c + ld]) + (p[c + 2 * ld] + p[c + 3 * ld])) +
                      ((p[c + 4 * ld] + p[c + 5 * ld]) + (p[c + 6 * ld] + p[c + 7 * ld]));
    }
}

/* Of two numbers the larger (smaller) one, or the second if it is NaN: of a long line a NaN stays. */
TC_INLINE TC_T TC_FN(max_two)(TC_T a, TC_T b) { return b > a || b != b ? b : a; }
TC_INLINE TC_T TC_FN(min_two)(TC_T a, TC_T b) { return b < a || b != b ? b : a; }
#define TC_WIDE(name)                                                                                               \
    static void TC_FN(name##_wide)(const TC_T *x, tc_int ld, tc_int rows, tc_int cols, TC_T *restrict out) {        \
        memcpy(out, x, (size_t)cols * sizeof(TC_T));                                                                \
        for (tc_int r = 1; r < rows; r++) {                                                                         \
            const TC_T *p = x + r * ld;                                                                             \
            _Pragma("omp simd")                                                                                     \
            for (tc_int c = 0; c < cols; c++) out[c] = TC_FN(name##_two)(out[c], p[c]);                             \
        }                                                                                                           \
    }
TC_WIDE(max)
TC_WIDE(min)
#undef TC_WIDE

/* Few columns leave vectors empty: `fold` rows that follow each other without a gap count as one wide row; its columns
 * are then reduced to the few. */
#define TC_COLUMNS(name)                                                                                     \
    static void TC_FN(name##_columns)(const char *x_, tc_int ld, tc_int rows, tc_int cols, char *out_) {     \
        const TC_T *x = (const TC_T *)x_;                                                                    \
        TC_T *out = (TC_T *)out_, wide[2 * TC_NARROW];                                                       \
        tc_int fold = 2 * TC_NARROW / cols, whole = fold > 1 ? rows / fold : 0;                              \
        if (ld != cols || cols >= TC_NARROW || whole < 2) {                                                  \
            TC_FN(name##_wide)(x, ld, rows, cols, out);                                                      \
            return;                                                                                          \
        }                                                                                                    \
        TC_FN(name##_wide)(x, fold * cols, whole, fold * cols, wide);                                        \
        for (tc_int r = whole * fold; r < rows; r++)                                                         \
            for (tc_int c = 0; c < cols; c++) wide[c] = TC_FN(name##_two)(wide[c], x[r * cols + c]);         \
        TC_FN(name##_wide)(wide, cols, fold, cols, out);                                                     \
    }
TC_INLINE TC_T TC_FN(sum_two)(TC_T a, TC_T b) { return a + b; }
TC_COLUMNS(sum)
TC_COLUMNS(max)
TC_COLUMNS(min)
#undef TC_COLUMNS

/* Runs of maxima and minima (`worst` is what all others beat), and their places: of the first one, or of the first NaN. */
#define TC_EXTREME(name, worst, beats, reduction)                                                                   \
    static TC_T TC_FN(name##_of)(const TC_T *x, tc_int n) {                                                         \
        TC_T m = worst;                                                                                             \
        int nan = 0;                                                                                                \
        _Pragma(reduction)                                                                                          \
        for (tc_int i = 0; i < n; i++) {                                                                            \
            m = x[i] beats m ? x[i] : m;                                                                            \
            nan |= x[i] != x[i];                                                                                    \
        }                                                                                                           \
        return nan ? (TC_T)NAN : m;                                                                                 \
    }                                                                                                               \
    static void TC_FN(name##_runs)(const char *x, tc_int count, tc_int n, char *out) {                              \
        for (tc_int r = 0; r < count; r++) ((TC_T *)out)[r] = TC_FN(name##_of)((const TC_T *)x + r * n, n);         \
    }                                                                                                               \
    static int64_t TC_FN(name##_place)(const char *x_, tc_int n) {                                                  \
        const TC_T *x = (const TC_T *)x_;                                                                           \
        if (n < 64) { /* as many classes as most classifiers have: one pass without vectors */                      \
            tc_int best = 0;                                                                                        \
            for (tc_int i = 1; i < n && x[best] == x[best]; i++)                                                    \
                best = x[i] beats x[best] || x[i] != x[i] ? i : best;                                               \
            return best;                                                                                            \
        }                                                                                                           \
        const TC_T m = TC_FN(name##_of)(x, n);                                                                      \
        for (tc_int i = 0; i < n; i += 64) {                                                                        \
            const tc_int stop = tc_min(n, i + 64);                                                                  \
            int found = 0;                                                                                          \
            _Pragma("omp simd reduction(| : found)")                                                                \
            for (tc_int k = i; k < stop; k++) found |= x[k] == m || x[k] != x[k];                                   \
            if (found)                                                                                              \
                for (tc_int k = i; k < stop; k++)                                                                   \
                    if (x[k] == m || x[k] != x[k]) return k;                                                        \
        }                                                                                                           \
        return 0;                                                                                                   \
    }                                                                                                               \
    static void TC_FN(name##_places)(const char *x_, tc_int ld, tc_int rows, tc_int cols, int64_t *at) {            \
        const TC_T *x = (const TC_T *)x_;                                                                           \
        TC_T best[TC_NARROW];                                                                                       \
        TC_COUNT place[TC_NARROW]; /* as wide as the numbers, so that they share vectors */                         \
        for (tc_int c = 0; c < cols; c++) {                                                                         \
            best[c] = x[c];                                                                                         \
            place[c] = 0;                                                                                           \
        }                                                                                                           \
        for (tc_int r = 1; r < rows; r++) {                                                                         \
            const TC_T *p = x + r * ld;                                                                             \
            _Pragma("omp simd")                                                                                     \
            for (tc_int c = 0; c < cols; c++) {                                                                     \
                const int take = (p[c] beats best[c] || p[c] != p[c]) && best[c] == best[c];                        \
                best[c] = take ? p[c] : best[c];                                                                    \
                place[c] = take ? (TC_COUNT)r : place[c];                                                           \
            }                                                                                                       \
        }                                                                                                           \
        for (tc_int c = 0; c < cols; c++) at[c] = place[c];                                                         \
    }
#if TC_TBYTES == 4
#define TC_COUNT int32_t
#else
#define TC_COUNT int64_t
#endif
TC_EXTREME(max, -INFINITY, >, "omp simd reduction(max : m) reduction(| : nan)")
TC_EXTREME(min, INFINITY, <, "omp simd reduction(min : m) reduction(| : nan)")
#undef TC_EXTREME
#undef TC_COUNT

static void TC_FN(divide)(char *x_, tc_int n, double by) {
    TC_T *x = (TC_T *)x_;
    const TC_T d = (TC_T)by;
#pragma omp simd
    for (tc_int i = 0; i < n; i++) x[i] /= d;
}

static const tc_reducer TC_FN(tc_reducers)[TC_REDUCERS] = {
    {TC_FN(sum_runs), TC_FN(sum_columns)},
    {TC_FN(max_runs), TC_FN(max_columns)},
    {TC_FN(min_runs), TC_FN(min_columns)},
};
static const tc_place TC_FN(tc_places)[2] = {{TC_FN(max_place), TC_FN(max_places)}, {TC_FN(min_place), TC_FN(min_places)}};
static void (*const TC_FN(tc_divide))(char *, tc_int, double) = TC_FN(divide);

#undef TC_LANES
#undef TC_VECS
#undef TC_LEAF
