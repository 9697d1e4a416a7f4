/* Vectors of the current level and number type (see isa.h), written with the vector extensions of GCC and clang.
 *
 *     TC_VEC          a vector of TC_VL numbers; may lie at any address that suits one number
 *     tc_load/store   unaligned; they touch exactly TC_VL numbers
 *     tc_load_first/store_first   the same for the first n < TC_VL numbers only; the other lanes are zero
 *     tc_transpose    TC_VL x TC_VL block, rows to columns (fewer rows: the last one is repeated, nothing else is read)
 *
 * Arithmetic is ordinary C: `acc += x * v` is one FMA where the CPU has it, with the scalar x broadcast by the load.
 * isa_types.h includes it before every copy of an implementation header, that is six times: no include guard.
 */
#undef TC_VEC
#undef TC_VL
#undef TC_NR
#define TC_VL (TC_VBYTES / TC_TBYTES)
#define TC_NR (2 * TC_VL) /* columns of the register tile */
#define TC_VEC TC_FN(tc_vec)
typedef TC_T TC_VEC __attribute__((vector_size(TC_VBYTES), aligned(TC_TBYTES), may_alias));

TC_INLINE TC_VEC TC_FN(tc_load)(const TC_T *p) { return *(const TC_VEC *)p; }
TC_INLINE void TC_FN(tc_store)(TC_T *p, TC_VEC v) { *(TC_VEC *)p = v; }

/* Masked instructions where there are any: GCC makes a loop of 20 instructions of the plain form.  Not for AddressSanitizer,
 * which takes them for accesses to the whole vector. */
#if TC_VBYTES == 64 && TC_TBYTES == 4 && !defined(__SANITIZE_ADDRESS__)
TC_INLINE TC_VEC TC_FN(tc_load_first)(const TC_T *p, tc_int n) {
    return __builtin_ia32_loadups512_mask(p, (TC_VEC){0}, (unsigned short)((1u << n) - 1));
}
TC_INLINE void TC_FN(tc_store_first)(TC_T *p, TC_VEC v, tc_int n) {
    __builtin_ia32_storeups512_mask(p, v, (unsigned short)((1u << n) - 1));
}
#elif TC_VBYTES == 64 && !defined(__SANITIZE_ADDRESS__)
TC_INLINE TC_VEC TC_FN(tc_load_first)(const TC_T *p, tc_int n) {
    return __builtin_ia32_loadupd512_mask(p, (TC_VEC){0}, (unsigned char)((1u << n) - 1));
}
TC_INLINE void TC_FN(tc_store_first)(TC_T *p, TC_VEC v, tc_int n) {
    __builtin_ia32_storeupd512_mask(p, v, (unsigned char)((1u << n) - 1));
}
#else
TC_INLINE TC_VEC TC_FN(tc_load_first)(const TC_T *p, tc_int n) {
    TC_VEC v = {0};
    for (tc_int i = 0; i < n; i++) v[i] = p[i];
    return v;
}
TC_INLINE void TC_FN(tc_store_first)(TC_T *p, TC_VEC v, tc_int n) {
    for (tc_int i = 0; i < n; i++) p[i] = v[i];
}
#endif

/* Bit patterns of a vector; tc_select takes y from lane `start` on and x before, exactly (NaNs included). */
#undef TC_IVEC
#define TC_IVEC TC_FN(tc_ivec)
#if TC_TBYTES == 4
typedef int TC_IVEC __attribute__((vector_size(TC_VBYTES)));
#else
typedef long long TC_IVEC __attribute__((vector_size(TC_VBYTES)));
#endif
TC_INLINE TC_IVEC TC_FN(tc_lanes_from)(tc_int start) {
    TC_IVEC mask;
    for (int i = 0; i < TC_VL; i++) mask[i] = i >= start ? -1 : 0;
    return mask;
}
TC_INLINE TC_VEC TC_FN(tc_select)(TC_IVEC mask, TC_VEC x, TC_VEC y) {
    return (TC_VEC)((mask & (TC_IVEC)y) | (~mask & (TC_IVEC)x));
}

/* Lanes of the lower (upper) halves of x and y, alternating. */
#if TC_VL == 2
#define TC_LOW(x, y) __builtin_shufflevector(x, y, 0, 2)
#define TC_HIGH(x, y) __builtin_shufflevector(x, y, 1, 3)
#elif TC_VL == 4
#define TC_LOW(x, y) __builtin_shufflevector(x, y, 0, 4, 1, 5)
#define TC_HIGH(x, y) __builtin_shufflevector(x, y, 2, 6, 3, 7)
#elif TC_VL == 8
#define TC_LOW(x, y) __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11)
#define TC_HIGH(x, y) __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define TC_LOW(x, y) __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TC_HIGH(x, y) __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#endif

/* out[j * ldo + i] = in[i * ldi + j] for i < rows, j < TC_VL; lanes from `rows` on repeat the last row.
 * Each pass interleaves row i with row i + TC_VL/2, which rotates the bits of (row, lane) by one place; after
 * log2(TC_VL) passes row and lane have changed places. */
TC_INLINE void TC_FN(tc_transpose)(const TC_T *in, tc_int ldi, tc_int rows, TC_T *out, tc_int ldo) {
    TC_VEC r[TC_VL], t[TC_VL];
    TC_UNROLL
    for (int i = 0; i < TC_VL; i++) r[i] = TC_FN(tc_load)(in + tc_min(i, rows - 1) * ldi);
    TC_UNROLL
    for (int pass = 1; pass < TC_VL; pass *= 2) {
        TC_UNROLL
        for (int i = 0; i < TC_VL / 2; i++) {
            t[2 * i] = TC_LOW(r[i], r[i + TC_VL / 2]);
            t[2 * i + 1] = TC_HIGH(r[i], r[i + TC_VL / 2]);
        }
        TC_UNROLL
        for (int i = 0; i < TC_VL; i++) r[i] = t[i];
    }
    TC_UNROLL
    for (int i = 0; i < TC_VL; i++) TC_FN(tc_store)(out + i * ldo, r[i]);
}
#undef TC_LOW
#undef TC_HIGH
