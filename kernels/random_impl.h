/* Philox4x32-10 and what is made of its words, written against isa.h and simd.h.
 *
 * A stretch of CHUNK blocks is made in one vectorised loop over the counters (32 x 32 -> 64 bit products, no branches),
 * into a buffer that stays in the first cache, and is turned into numbers from there.  Chunk i of a request is the same
 * whichever thread makes it.
 */

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
    _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)")             \
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

/* Box and Muller: a block makes two values. */
static void TC_FN(normal)(const tc_stream *s, void *out_, tc_int n, int threads) {
    TC_T *out = out_;
    TC_EACH_CHUNK(2 * TC_CHUNK)
        for (tc_int i = 0; i < count; i += 2) {
            const double u = TC_UNIFORM53(w[2 * i], w[2 * i + 1]), v = TC_UNIFORM53(w[2 * i + 2], w[2 * i + 3]);
            const double radius = sqrt(-2 * log(1 - u)), angle = 2 * M_PI * v;
            out[begin + i] = (TC_T)(radius * cos(angle));
            if (i + 1 < count) out[begin + i + 1] = (TC_T)(radius * sin(angle));
        }
    }
}

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
