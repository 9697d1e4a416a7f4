/* Running sums of a row whose numbers lie together; included by isa.h, see scan.h.
 *
 * A row is a chain: each total waits for the one before.  So a vector is scanned in itself, in log2 steps, each adding the
 * vector shifted by 1, 2, 4 lanes, and only its last total joins the chain.  Totals are double, whatever the numbers are;
 * only the double copy of this text is used. */
#if TC_TBYTES == 8
#if TC_VL == 2
#define TC_SHIFT_1(v, e) __builtin_shufflevector(e, v, 0, 2)
#define TC_LAST(v) __builtin_shufflevector(v, v, 1, 1)
#define TC_SCAN_VECTOR(v) v += TC_SHIFT_1(v, zero)
#define TC_REVERSED(v) __builtin_shufflevector(v, v, 1, 0)
#elif TC_VL == 4
#define TC_SHIFT_1(v, e) __builtin_shufflevector(e, v, 0, 4, 5, 6)
#define TC_SHIFT_2(v, e) __builtin_shufflevector(e, v, 0, 1, 4, 5)
#define TC_LAST(v) __builtin_shufflevector(v, v, 3, 3, 3, 3)
#define TC_SCAN_VECTOR(v) v += TC_SHIFT_1(v, zero), v += TC_SHIFT_2(v, zero)
#define TC_REVERSED(v) __builtin_shufflevector(v, v, 3, 2, 1, 0)
#else
#define TC_SHIFT_1(v, e) __builtin_shufflevector(e, v, 0, 8, 9, 10, 11, 12, 13, 14)
#define TC_SHIFT_2(v, e) __builtin_shufflevector(e, v, 0, 1, 8, 9, 10, 11, 12, 13)
#define TC_SHIFT_4(v, e) __builtin_shufflevector(e, v, 0, 1, 2, 3, 8, 9, 10, 11)
#define TC_LAST(v) __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7)
#define TC_SCAN_VECTOR(v) v += TC_SHIFT_1(v, zero), v += TC_SHIFT_2(v, zero), v += TC_SHIFT_4(v, zero)
#define TC_REVERSED(v) __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0)
#endif
/* `few` is the type of TC_VL numbers of T at any address. */
#define TC_SCAN_ROW(T)                                                                                    \
    static void TC_CAT3(tc_cumsum, T, TC_LEVEL)(const char *x_, char *y_, tc_int n, int reverse) {        \
        typedef T few __attribute__((vector_size(TC_VL * sizeof(T)), aligned(sizeof(T)), may_alias));     \
        const T *x = (const T *)x_;                                                                       \
        T *y = (T *)y_;                                                                                   \
        const TC_VEC zero = {0};                                                                          \
        TC_VEC total = zero;                                                                              \
        tc_int i = 0;                                                                                     \
        for (; i + TC_VL <= n; i += TC_VL) {                                                              \
            const tc_int at = reverse ? n - TC_VL - i : i;                                                \
            TC_VEC v = __builtin_convertvector(*(const few *)(x + at), TC_VEC);                           \
            if (reverse) v = TC_REVERSED(v);                                                              \
            TC_SCAN_VECTOR(v);                                                                            \
            TC_VEC r = total + v;                                                                         \
            total += TC_LAST(v);                                                                          \
            if (reverse) r = TC_REVERSED(r);                                                              \
            *(few *)(y + at) = __builtin_convertvector(r, few);                                           \
        }                                                                                                 \
        double rest = total[0];                                                                           \
        for (; i < n; i++) {                                                                              \
            const tc_int at = reverse ? n - 1 - i : i;                                                    \
            rest += (double)x[at];                                                                        \
            y[at] = (T)rest;                                                                              \
        }                                                                                                 \
    }                                                                                                     \
    static void TC_CAT3(tc_cumsum_columns, T, TC_LEVEL)(const char *x_, char *y_, tc_int n, tc_int inner, \
                                                        tc_int width, int reverse) {                      \
        const tc_int step = reverse ? -inner : inner;                                                     \
        const T *x = (const T *)x_ + (reverse ? (n - 1) * inner : 0);                                     \
        T *y = (T *)y_ + (reverse ? (n - 1) * inner : 0);                                                 \
        double total[TC_SCAN_TILE] = {0};                                                                 \
        for (tc_int i = 0; i < n; i++, x += step, y += step) {                                            \
            _Pragma("omp simd")                                                                           \
            for (tc_int c = 0; c < width; c++) y[c] = (T)(total[c] += (double)x[c]);                      \
        }                                                                                                 \
    }
TC_SCAN_ROW(float)
TC_SCAN_ROW(double)
#undef TC_SCAN_ROW
#undef TC_SCAN_VECTOR
#undef TC_SHIFT_1
#undef TC_SHIFT_2
#undef TC_SHIFT_4
#undef TC_LAST
#undef TC_REVERSED
#endif
