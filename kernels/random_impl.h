/* Philox4x32-10 and what is made of its words, written against isa.h and simd.h.
 *
 * A stretch of CHUNK blocks is made in one vectorised loop over the counters (32 x 32 -> 64 bit products, no branches),
 * into a buffer that stays in the first cache, and is turned into numbers from there.  Chunk i of a request is the same
 * whichever thread makes it.
 */
#include "vmath_impl.h"

/* words[0 .. 4 TC_CHUNK) = blocks chunk * TC_CHUNK ... of the request. */
static void TC_FN(philox_chunk)(const tc_stream *s, tc_int chunk, uint32_t *restrict words) {
    const uint64_t first = s->low + (uint64_t)chunk * TC_CHUNK;
    const uint64_t high = s->high + (first < s->low);
#pragma omp simd
    for (int b = 0; b < TC_CHUNK; b++) {
        const uint64_t low = first + (uint64_t)b, top = high + (low < first);
        uint32_t c0 = (uint32_t)low, c1 = (uint32_t)(low >> 32), c2 = (uint32_t)top, c3 = (uint32_t)(top >> 32);
        uint32_t k0 = (uint32_t)s->key, k1 = (uint32_t)(s->key >> 32);
        for (int round = 0; round < 10; round++) {
            const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)p1;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        words[4 * b] = c0;
        words[4 * b + 1] = c1;
        words[4 * b + 2] = c2;
        words[4 * b + 3] = c3;
    }
}

/* out[begin .. end) is the part of n values that chunk `chunk` makes, `each` values of one chunk. */
#define TC_EACH_CHUNK(each)                                                                        \
    TC_PARALLEL_FOR(threads)                                                                       \
    for (tc_int chunk = 0; chunk < tc_ceil_div(n, each); chunk++) {                                \
        uint32_t w[4 * TC_CHUNK];                                                                  \
        const tc_int begin = chunk * (each), count = tc_min(n - begin, each);                      \
        TC_FN(philox_chunk)(s, chunk, w);

/* The top 53 bits of two words / 2^53. */
#define TC_UNIFORM53(low, high) ((double)(int64_t)(((uint64_t)(high) << 32 | (low)) >> 11) * 0x1p-53)

static void TC_FN(uniform)(const tc_stream *s, void *out_, tc_int n, int threads) {
    TC_T *out = out_;
#if TC_TBYTES == 4
    TC_EACH_CHUNK(4 * TC_CHUNK)
#pragma omp simd
        for (tc_int i = 0; i < count; i++) out[begin + i] = (float)(int32_t)(w[i] >> 8) * 0x1p-24f;
    }
#else
    TC_EACH_CHUNK(2 * TC_CHUNK)
#pragma omp simd
        for (tc_int i = 0; i < count; i++) out[begin + i] = TC_UNIFORM53(w[2 * i], w[2 * i + 1]);
    }
#endif
}

#if TC_TBYTES == 8
/* cos and sin of 2 pi v, v in [0, 1): v is q / 4 + f with |f| <= 1/8, exactly, and the polynomials are those of fdlibm
 * (k_sin.c, k_cos.c) on [-pi/4, pi/4]. */
TC_INLINE double TC_FN(cosine_part)(double z) {
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z - 2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z - 1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    return c * (z * z) - 0.5 * z + 1.0;
}
TC_INLINE double TC_FN(sine_part)(double t, double z) {
    double s = 1.58969099521155010221e-10;
    s = s * z - 2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z - 1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z - 1.66666666666666324348e-01;
    return s * z * t + t;
}

/* Box and Muller: a block makes two values, in double. */
#define TC_NORMAL(T, name)                                                                                  \
    static void name(const tc_stream *s, void *out_, tc_int n, int threads) {                               \
        T *out = out_;                                                                                      \
        TC_EACH_CHUNK(2 * TC_CHUNK)                                                                         \
            T pair[2 * TC_CHUNK];                                                                           \
            _Pragma("omp simd")                                                                             \
            for (tc_int i = 0; i < TC_CHUNK; i++) {                                                         \
                const double u = TC_UNIFORM53(w[4 * i], w[4 * i + 1]), v = TC_UNIFORM53(w[4 * i + 2], w[4 * i + 3]); \
                const double radius = sqrt(-2.0 * TC_FN(vlog)(1.0 - u));                                    \
                const double shifted = v * 4.0 + 6755399441055744.0, q = shifted - 6755399441055744.0;      \
                const int64_t quarter = TC_FN(vbits)(shifted);                                              \
                const double t = (v - 0.25 * q) * (2.0 * M_PI), z = t * t;                                  \
                const double c = TC_FN(cosine_part)(z), d = TC_FN(sine_part)(t, z);                         \
                const double x = quarter & 1 ? d : c, y = quarter & 1 ? c : d;                              \
                pair[2 * i] = (T)(radius * ((quarter + 1) & 2 ? -x : x));                                   \
                pair[2 * i + 1] = (T)(radius * (quarter & 2 ? -y : y));                                     \
            }                                                                                               \
            memcpy(out + begin, pair, (size_t)count * sizeof(T));                                           \
        }                                                                                                   \
    }
TC_NORMAL(float, TC_CAT3(normal, f32, TC_LEVEL))
TC_NORMAL(double, TC_FN(normal))
#undef TC_NORMAL
#endif

/* scale where the word is at least `threshold`, else 0. */
static void TC_FN(dropout_mask)(const tc_stream *s, void *out_, tc_int n, uint32_t threshold, double scale,
                                int threads) {
    TC_T *out = out_;
    const TC_T kept = (TC_T)scale;
    TC_EACH_CHUNK(4 * TC_CHUNK)
#pragma omp simd
        for (tc_int i = 0; i < count; i++) out[begin + i] = w[i] >= threshold ? kept : 0;
    }
}

#if TC_TBYTES == 4
static void TC_FN(philox)(const tc_stream *s, uint32_t *out, tc_int n, int threads) {
    TC_EACH_CHUNK(4 * TC_CHUNK)
        memcpy(out + begin, w, (size_t)count * sizeof *w);
    }
}

/* low + the high 64 bits of (64-bit number) * span, modulo 2^64. */
static void TC_FN(randint)(const tc_stream *s, int64_t *out, tc_int n, int64_t low, uint64_t span, int threads) {
    TC_EACH_CHUNK(2 * TC_CHUNK)
        for (tc_int i = 0; i < count; i++) {
            const uint64_t number = (uint64_t)w[2 * i + 1] << 32 | w[2 * i];
            out[begin + i] = (int64_t)((uint64_t)low + (uint64_t)((unsigned __int128)number * span >> 64));
        }
    }
}
#endif

#undef TC_EACH_CHUNK
