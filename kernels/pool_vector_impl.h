/* The interior of a row of pooling windows, TC_SHORT bytes of outputs at a time: included by pool_impl.h once for each width.
 *
 * TC_WIDE(name) is the name of a function or type of this width, TC_SL the number of outputs in a vector. */
#define TC_SL (TC_SHORT / TC_TBYTES)
#define TC_ROW TC_WIDE(row)
#define TC_MASK TC_WIDE(mask)
typedef TC_T TC_ROW __attribute__((vector_size(TC_SHORT), aligned(TC_TBYTES), may_alias));
typedef TC_BITS TC_MASK __attribute__((vector_size(TC_SHORT)));

/* p[0], p[s], p[2 s], ... without touching anything behind the last of them. */
TC_INLINE TC_ROW TC_WIDE(every)(const TC_T *p, tc_int s) {
    if (s == 1) return *(const TC_ROW *)p;
    if (s == 2) { /* the second load begins one number early, so that it ends with the last one wanted */
        const TC_ROW a = *(const TC_ROW *)p, b = *(const TC_ROW *)(p + TC_SL - 1);
#if TC_SL == 2
        return __builtin_shufflevector(a, b, 0, 3);
#elif TC_SL == 4
        return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#else
        return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#endif
    }
    TC_ROW lanes;
    for (int l = 0; l < TC_SL; l++) lanes[l] = p[s * l];
    return lanes;
}

/* The same for TC_SL neighbouring windows, s apart, whose taps all exist. */
TC_INLINE void TC_WIDE(max_vector)(const TC_T *x, tc_int at, tc_int step, tc_int kh, tc_int kw, tc_int dw, tc_int s,
                                 TC_T *y, int32_t *index) {
    TC_ROW best = -(TC_T)INFINITY - (TC_ROW){0};
    TC_MASK tap = {0};
    for (tc_int i = 0; i < kh; i++) {
        for (tc_int j = 0; j < kw; j++) {
            const TC_ROW v = TC_WIDE(every)(x + at + i * step + j * dw, s);
            const TC_MASK better = (TC_MASK)(v > best) | (TC_MASK)(v != v);
            best = (TC_ROW)TC_SELECT(better, (TC_MASK)v, (TC_MASK)best);
            tap = TC_SELECT(better, (TC_BITS)(i * step + j * dw), tap);
        }
    }
    *(TC_ROW *)y = best;
    for (int l = 0; l < TC_SL; l++) index[l] = (int32_t)(at + s * l + (tc_int)tap[l]);
}

/* Means of TC_SL neighbouring windows of kh x kw taps that all exist, s apart. */
TC_INLINE void TC_WIDE(avg_vector)(const TC_T *from, tc_int step, tc_int kh, tc_int kw, tc_int s, TC_T divisor, TC_T *y) {
    TC_ROW sum = {0};
    for (tc_int i = 0; i < kh; i++)
        for (tc_int j = 0; j < kw; j++) sum += TC_WIDE(every)(from + i * step + j, s);
    *(TC_ROW *)y = sum / divisor;
}
#undef TC_SL
#undef TC_ROW
#undef TC_MASK
