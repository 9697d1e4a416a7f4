/* A vector of numbers from anywhere, for TC_IMPL headers (see isa.h).
 *
 * GCC 12 makes single loads of `x[at[i]]` in a loop, whatever the level, because some processors gather slowly; on those that
 * do not (most with AVX-512) its loops take twice as long as the instruction.  AddressSanitizer does not look into gathers,
 * so with it the loads are single ones.
 */
#ifndef TC_GATHER_COMMON
#define TC_GATHER_COMMON
#include <stdint.h>
#if TC_X86 && !defined(__SANITIZE_ADDRESS__)
#include <immintrin.h>
#define TC_HAVE_GATHER 1
#else
#define TC_HAVE_GATHER 0
#endif
#endif

#undef TC_BITS
#if TC_TBYTES == 4
#define TC_BITS int32_t
#else
#define TC_BITS int64_t
#endif

/* x[at[i]] where all bits of inside[i] are set, 0 where none is; nothing is read there. */
TC_INLINE TC_VEC TC_FN(tc_gather)(const TC_T *x, const int32_t *at, const TC_BITS *inside) {
#if TC_HAVE_GATHER && TC_VBYTES == 64 && TC_TBYTES == 4
    const __mmask16 mask = _mm512_movepi32_mask(_mm512_loadu_si512(inside));
    return (TC_VEC)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, _mm512_loadu_si512(at), x, 4);
#elif TC_HAVE_GATHER && TC_VBYTES == 64
    const __mmask8 mask = _mm512_movepi64_mask(_mm512_loadu_si512(inside));
    return (TC_VEC)_mm512_mask_i32gather_pd(_mm512_setzero_pd(), mask, _mm256_loadu_si256((const __m256i *)at), x, 8);
#elif TC_HAVE_GATHER && TC_VBYTES == 32 && TC_TBYTES == 4
    const __m256 mask = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)inside));
    return (TC_VEC)_mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, _mm256_loadu_si256((const __m256i *)at), mask, 4);
#elif TC_HAVE_GATHER && TC_VBYTES == 32
    const __m256d mask = _mm256_castsi256_pd(_mm256_loadu_si256((const __m256i *)inside));
    return (TC_VEC)_mm256_mask_i32gather_pd(_mm256_setzero_pd(), x, _mm_loadu_si128((const __m128i *)at), mask, 8);
#else
    TC_VEC v = {0};
    for (int i = 0; i < TC_VL; i++)
        if (inside[i]) v[i] = x[at[i]];
    return v;
#endif
}

/* x[at[i]] of all. */
TC_INLINE TC_VEC TC_FN(tc_gather_all)(const TC_T *x, const int32_t *at) {
#if TC_HAVE_GATHER && TC_VBYTES == 64 && TC_TBYTES == 4
    return (TC_VEC)_mm512_i32gather_ps(_mm512_loadu_si512(at), x, 4);
#elif TC_HAVE_GATHER && TC_VBYTES == 64
    return (TC_VEC)_mm512_i32gather_pd(_mm256_loadu_si256((const __m256i *)at), x, 8);
#elif TC_HAVE_GATHER && TC_VBYTES == 32 && TC_TBYTES == 4
    return (TC_VEC)_mm256_i32gather_ps(x, _mm256_loadu_si256((const __m256i *)at), 4);
#elif TC_HAVE_GATHER && TC_VBYTES == 32
    return (TC_VEC)_mm256_i32gather_pd(x, _mm_loadu_si128((const __m128i *)at), 8);
#else
    TC_VEC v;
    for (int i = 0; i < TC_VL; i++) v[i] = x[at[i]];
    return v;
#endif
}
