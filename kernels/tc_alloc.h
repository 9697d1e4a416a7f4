/* A caching pool of memory blocks.  Included by memory.pyx only: its state is static, and there must be one pool.
 * Other modules use the functions that memory.pxd exports.
 *
 *   block:  | header 64 bytes | payload, 64-byte aligned | slack 128 bytes |
 *
 * - The header keeps the size class: free() needs no size (NEP 49 hands over none to realloc, and arrays can change
 *   theirs), and nothing depends on malloc_usable_size, which macOS has not.
 * - Size classes: four per power of two, so a block wastes at most a quarter; powers of two waste nothing.
 * - LIFO per class: the block that was freed last is the one still in the cache.  Large requests also take a block of one
 *   of the next two classes: the shapes of a network are many, and each class would hold back blocks of its own.
 * - Slack: vector kernels may read (never write) up to 128 bytes behind the last element.
 * - Blocks from 2 MB on start on a 2 MB boundary and ask for huge pages: a page fault costs over 1 us per 4 KB.
 * - `tc_cap` limits what waits in the pool, not what is in use.
 * - One mutex, also held across fork(), so that the child never inherits it locked.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if (defined(__unix__) || defined(__APPLE__)) && !defined(__SANITIZE_ADDRESS__) /* which wants to see every block */
#  include <pthread.h>
#  include <sys/mman.h>
#  define TC_HAVE_POOL 1
#else
#  define TC_HAVE_POOL 0
#endif

#define TC_HEAD ((size_t)64)
#define TC_SLACK ((size_t)128)

typedef struct tc_block {
    struct tc_block *next; /* in the free list; unused while the block is out */
    size_t size;           /* payload bytes */
    int cls;               /* size class, or -1: too large, never cached */
} tc_block;

static size_t tc_cached, tc_live, tc_peak, tc_hits, tc_misses, tc_cap = (size_t)512 << 20;

static inline void *tc_payload(tc_block *b) { return (char *)b + TC_HEAD; }
static inline tc_block *tc_block_of(void *p) { return (tc_block *)((char *)p - TC_HEAD); }

#if TC_HAVE_POOL

#define TC_HUGE ((size_t)2 << 20)
#define TC_LARGER 2    /* a request of 2 MB or more may get a block of the next classes: at most 1.5 times what it needs */
#define TC_CLASSES 140 /* 64 bytes * 2^(140/4) = 2 TB */

static tc_block *tc_lists[TC_CLASSES];
static pthread_mutex_t tc_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Class of a request and the payload it gets: 64, then k * 2^e/4 with k = 5..8, rounded up to 64. */
static inline int tc_class(size_t n, size_t *size) {
    if (n <= 64) {
        *size = 64;
        return 0;
    }
    int e = 63 - __builtin_clzll((unsigned long long)(n - 1)); /* 2^e < n <= 2^(e+1) */
    size_t quarter = (size_t)1 << (e - 2);
    size_t k = (n - 1) / quarter + 1; /* 5..8 */
    int cls = (e - 6) * 4 + (int)k - 4;
    *size = (k * quarter + 63) & ~(size_t)63;
    return cls < TC_CLASSES ? cls : -1;
}

static void tc_pool_trim(void) {
    tc_block *all = NULL;
    pthread_mutex_lock(&tc_mutex);
    for (int c = 0; c < TC_CLASSES; c++)
        while (tc_lists[c]) {
            tc_block *b = tc_lists[c];
            tc_lists[c] = b->next;
            b->next = all;
            all = b;
        }
    tc_cached = 0;
    pthread_mutex_unlock(&tc_mutex);
    while (all) {
        tc_block *b = all;
        all = b->next;
        free(b);
    }
}

static tc_block *tc_from_system(size_t size) {
    size_t bytes = TC_HEAD + size + TC_SLACK;
    void *p = NULL;
    size_t align = size >= TC_HUGE ? TC_HUGE : 64;
    if (posix_memalign(&p, align, bytes)) {
        tc_pool_trim(); /* what the pool holds back may be what is missing */
        if (posix_memalign(&p, align, bytes)) return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (size >= TC_HUGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return (tc_block *)p;
}

static void *tc_pool_malloc(size_t n) {
    size_t size;
    if (n > SIZE_MAX / 4) return NULL;
    int cls = tc_class(n, &size);
    tc_block *b = NULL;
    pthread_mutex_lock(&tc_mutex);
    int from = cls;
    while (size >= TC_HUGE && from >= 0 && from < cls + TC_LARGER && from + 1 < TC_CLASSES && !tc_lists[from]) from++;
    if (from >= 0 && (b = tc_lists[from])) {
        tc_lists[from] = b->next;
        size = b->size;
        tc_cached -= size;
        tc_hits++;
    } else
        tc_misses++;
    tc_live += size;
    if (tc_live > tc_peak) tc_peak = tc_live;
    pthread_mutex_unlock(&tc_mutex);
    if (b) return tc_payload(b);
    b = tc_from_system(size);
    if (!b) {
        pthread_mutex_lock(&tc_mutex);
        tc_live -= size;
        pthread_mutex_unlock(&tc_mutex);
        return NULL;
    }
    b->size = size;
    b->cls = cls;
    return tc_payload(b);
}

static void tc_pool_free(void *p) {
    if (!p) return;
    tc_block *b = tc_block_of(p);
    pthread_mutex_lock(&tc_mutex);
    tc_live -= b->size;
    int keep = b->cls >= 0 && tc_cached + b->size <= tc_cap;
    if (keep) {
        b->next = tc_lists[b->cls];
        tc_lists[b->cls] = b;
        tc_cached += b->size;
    }
    pthread_mutex_unlock(&tc_mutex);
    if (!keep) free(b);
}

static void tc_pool_reset_peak(void) {
    pthread_mutex_lock(&tc_mutex);
    tc_peak = tc_live;
    pthread_mutex_unlock(&tc_mutex);
}

static void tc_pool_lock(void) { pthread_mutex_lock(&tc_mutex); }
static void tc_pool_unlock(void) { pthread_mutex_unlock(&tc_mutex); }
static void tc_pool_init(void) { pthread_atfork(tc_pool_lock, tc_pool_unlock, tc_pool_unlock); }

#else /* no pool: aligned blocks straight from malloc; the header remembers where the allocation began */

static void *tc_pool_malloc(size_t n) {
    if (n > SIZE_MAX / 4) return NULL;
    char *raw = (char *)malloc(n + 2 * TC_HEAD + TC_SLACK);
    if (!raw) return NULL;
    tc_block *b = (tc_block *)(((uintptr_t)raw + TC_HEAD - 1) & ~(uintptr_t)(TC_HEAD - 1));
    b->next = (tc_block *)raw;
    b->size = n;
    return tc_payload(b);
}
static void tc_pool_free(void *p) {
    if (p) free(tc_block_of(p)->next);
}
static void tc_pool_trim(void) {}
static void tc_pool_reset_peak(void) {}
static void tc_pool_init(void) {}

#endif

/* ---- the four functions of NumPy's PyDataMemAllocator (NEP 49) */

static void *tc_np_malloc(void *ctx, size_t n) {
    (void)ctx;
    return tc_pool_malloc(n);
}
static void *tc_np_calloc(void *ctx, size_t count, size_t each) {
    (void)ctx;
    if (each && count > SIZE_MAX / each) return NULL;
    void *p = tc_pool_malloc(count * each);
    return p ? memset(p, 0, count * each) : NULL;
}
static void tc_np_free(void *ctx, void *p, size_t n) {
    (void)ctx;
    (void)n; /* not the size of the block if the array was reshaped into another dtype: the header knows */
    tc_pool_free(p);
}
static void *tc_np_realloc(void *ctx, void *p, size_t n) {
    (void)ctx;
    if (!p) return tc_pool_malloc(n);
    size_t old = tc_block_of(p)->size;
    if (n <= old && n >= old / 2) return p;
    void *q = tc_pool_malloc(n);
    if (q) {
        memcpy(q, p, old < n ? old : n);
        tc_pool_free(p);
    }
    return q;
}
