/* Tiles of Intel AMX: the instructions, what they do in plain C, and whether this process may use them.
 *
 * AMX adds eight registers of 16 x 64 bytes and an instruction that multiplies two of them.  With bf16 numbers (the upper
 * half of a float: 8 bits of significand) TDPBF16PS does
 *
 *     C += A B         A: 16 x 32,   B: 32 x 16,   C: 16 x 16 floats        16,384 operations in 16 cycles
 *
 * which is 16 times what a core does with AVX-512 in float32.  A register holds pairs of numbers: row i of A has
 * (a[i][0], a[i][1]), (a[i][2], a[i][3]) and so on, and row p of B has (b[2p][j], b[2p + 1][j]) for its 16 columns j.
 *
 * amx_tile_impl.h is written against the macros TILE_... below and compiled twice: with the instructions, and with
 * functions that do the same number by number.  The second runs on every processor; it is what the tests test, and what a
 * processor with AMX is held against at import, bit by bit, before its results are trusted.
 */
#ifndef TC_AMX_H
#define TC_AMX_H
#include <math.h>
#include <stdint.h>
#include "isa.h"

enum {
    TC_TILE_ROWS = 16,
    TC_TILE_DEPTH = 32,                               /* of k in a tile */
    TC_TILE_NUMBERS = TC_TILE_ROWS * TC_TILE_DEPTH,   /* of bf16 */
    TC_PAIR_ROWS = 2 * TC_TILE_ROWS,
    TC_PAIR_NUMBERS = 2 * TC_TILE_NUMBERS
};

/* c[32][32] = A B for a pair of row tiles and a pair of column tiles, of which `row_tiles` x `col_tiles` are there, over
 * `depth` tiles along k.  a, b: [depth][terms][2] tiles.  Between tc_amx_begin and tc_amx_end. */
typedef void (*tc_amx_product)(int terms, int row_tiles, int col_tiles, tc_int depth, const uint16_t *a, const uint16_t *b,
                               float *c);

/* ---- in plain C, after the pseudo-code of Intel's manual (Software Developer's Manual, volume 2, TDPBF16PS) */
typedef struct {
    uint32_t at[TC_TILE_ROWS][TC_TILE_ROWS];
} tc_tile;

TC_INLINE float tc_tile_number(uint32_t bits) {
    float x;
    if (!(bits & 0x7F800000)) bits &= 0x80000000; /* denormal operands count as zero */
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* To the nearest float; a result that would be denormal becomes zero.  The bound is the number from which on 24 bits of
 * significand round up to the smallest normal number. */
TC_INLINE float tc_tile_round(double x) {
    return (float)(fabs(x) < 0x1p-126 * (1 - 0x1p-25) ? x * 0 : x);
}

/* Even and odd k are summed apart, each step a fused multiply-add.  A product of bf16 has 16 bits, so a double holds the
 * sum with a float exactly, or differs too little to change how it rounds: no fma() is needed. */
static void tc_tile_multiply(tc_tile *c, const tc_tile *a, const tc_tile *b) {
    float b0[TC_TILE_ROWS][TC_TILE_ROWS], b1[TC_TILE_ROWS][TC_TILE_ROWS];
    for (int p = 0; p < TC_TILE_ROWS; p++) {
        for (int j = 0; j < TC_TILE_ROWS; j++) {
            b0[p][j] = tc_tile_number(b->at[p][j] << 16);
            b1[p][j] = tc_tile_number(b->at[p][j] & 0xFFFF0000);
        }
    }
    for (int i = 0; i < TC_TILE_ROWS; i++) {
        float even[TC_TILE_ROWS] = {0}, odd[TC_TILE_ROWS] = {0};
        for (int p = 0; p < TC_TILE_ROWS; p++) {
            const double a0 = tc_tile_number(a->at[i][p] << 16), a1 = tc_tile_number(a->at[i][p] & 0xFFFF0000);
#pragma omp simd
            for (int j = 0; j < TC_TILE_ROWS; j++) {
                even[j] = tc_tile_round(even[j] + a0 * b0[p][j]);
                odd[j] = tc_tile_round(odd[j] + a1 * b1[p][j]);
            }
        }
        for (int j = 0; j < TC_TILE_ROWS; j++) {
            const float sum = tc_tile_round((double)even[j] + odd[j]);
            const float out = tc_tile_round((double)tc_tile_number(c->at[i][j]) + sum);
            memcpy(&c->at[i][j], &out, sizeof(out));
        }
    }
}

static void tc_tile_load(tc_tile *tile, const void *from, tc_int pitch) {
    for (int i = 0; i < TC_TILE_ROWS; i++) memcpy(tile->at[i], (const char *)from + i * pitch, sizeof(tile->at[i]));
}

static void tc_tile_store(const tc_tile *tile, void *to, tc_int pitch) {
    for (int i = 0; i < TC_TILE_ROWS; i++) memcpy((char *)to + i * pitch, tile->at[i], sizeof(tile->at[i]));
}

#define TILE_NAME(name) name##_emulated
#define TILE_TARGET
#define TILE_REGISTERS tc_tile tile[8];
#define TILE_ZERO(t) memset(&tile[t], 0, sizeof(tc_tile))
#define TILE_LOAD(t, from, pitch) tc_tile_load(&tile[t], from, pitch)
#define TILE_STORE(t, to, pitch) tc_tile_store(&tile[t], to, pitch)
#define TILE_MULTIPLY(c, a, b) tc_tile_multiply(&tile[c], &tile[a], &tile[b])
#include "amx_tile_impl.h"

/* ---- by the processor: Linux on x86-64, which alone hands out the permission, and an assembler that knows the names */
#if TC_X86 && defined(__linux__) && \
    ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11))
#define TC_AMX_COMPILED 1
#include <cpuid.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Assembly, because the compilers' own functions do not say that they read memory: gcc 12 drops the stores before
 * _tile_loadconfig and may move those before _tile_loadd. */
#define TILE_NAME(name) name##_hardware
#define TC_AMX_TARGET __attribute__((target("amx-tile,amx-bf16")))
#define TILE_TARGET TC_AMX_TARGET
#define TILE_REGISTERS
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::)
#define TILE_LOAD(t, from, pitch) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(from), "r"((tc_int)(pitch)) : "memory")
#define TILE_STORE(t, to, pitch) \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(to), "r"((tc_int)(pitch)) : "memory")
#define TILE_MULTIPLY(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#include "amx_tile_impl.h"

/* All tiles whole: 16 rows of 64 bytes. */
typedef struct {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tc_amx_config;

/* A thread has tiles between these two only: the system need not keep 8 KB for it when it waits. */
static TC_AMX_TARGET void tc_amx_begin(tc_amx_product product) {
    static const tc_amx_config config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    if (product == tc_amx_product_hardware) __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
}
static TC_AMX_TARGET void tc_amx_end(tc_amx_product product) {
    if (product == tc_amx_product_hardware) __asm__ volatile("tilerelease" ::: "memory");
}

/* The processor has AMX with bf16; 0 if not. */
static int tc_amx_in_cpu(void) {
    enum { BF16 = 1 << 22, TILE = 1 << 24 }; /* of edx */
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & BF16) && (edx & TILE);
}

/* The system keeps tiles for processes that ask (Linux 5.16 and later; others do not know the request); threads and forked
 * children have the permission as well.  ENOSPC: a thread has set a signal stack on which they would find no room. */
static int tc_amx_permitted(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* Do the instructions what the manual says?  A small product of drawn numbers, bit by bit. */
static int tc_amx_checked(void) {
    enum { DEPTH = 2, NUMBERS = DEPTH * 3 * TC_PAIR_NUMBERS };
    uint16_t a[NUMBERS], b[NUMBERS];
    float hardware[TC_PAIR_ROWS * TC_PAIR_ROWS], emulated[TC_PAIR_ROWS * TC_PAIR_ROWS];
    uint32_t draw = 1;
    for (int i = 0; i < 2 * NUMBERS; i++) {
        draw = draw * 1664525 + 1013904223;
        /* sign and significand drawn, exponents -7 to 0 */
        *(i < NUMBERS ? a + i : b + i - NUMBERS) = (uint16_t)((draw >> 16 & 0x807F) + ((120 + (draw >> 28 & 7)) << 7));
    }
    for (int terms = 2; terms <= 3; terms++) {
        tc_amx_begin(tc_amx_product_hardware);
        tc_amx_product_hardware(terms, 2, 2, DEPTH, a, b, hardware);
        tc_amx_end(tc_amx_product_hardware);
        tc_amx_product_emulated(terms, 2, 2, DEPTH, a, b, emulated);
        if (memcmp(hardware, emulated, sizeof(hardware))) return 0;
    }
    return 1;
}
#else
#define TC_AMX_COMPILED 0
static void tc_amx_begin(tc_amx_product product) { (void)product; }
static void tc_amx_end(tc_amx_product product) { (void)product; }
#endif

/* ---- what this process does */
enum { TC_AMX_OFF, TC_AMX_HARDWARE, TC_AMX_EMULATED };
#if TC_AMX_COMPILED
static const tc_amx_product tc_amx_products[] = {NULL, tc_amx_product_hardware, tc_amx_product_emulated};
#else
static const tc_amx_product tc_amx_products[] = {NULL, NULL, tc_amx_product_emulated};
#endif

/* One of these; *why is a reason, for people.  AMX is on where it is there, unless TINYGRAD_COURSE_ISA asks for less. */
static int tc_amx_choose(int level, const char **why) {
    const char *wish = getenv("TINYGRAD_COURSE_ISA");
    if (wish && !strcmp(wish, "amx-emulated")) return *why = "as TINYGRAD_COURSE_ISA says", TC_AMX_EMULATED;
    if (wish && *wish && strcmp(wish, "amx")) return *why = "TINYGRAD_COURSE_ISA asks for less", TC_AMX_OFF;
#if TC_AMX_COMPILED
    if (level != TC_V4 || !tc_amx_in_cpu()) return *why = "the processor has none", TC_AMX_OFF;
    if (!tc_amx_permitted())
        return *why = errno == ENOSPC ? "an alternate signal stack of this process is too small for its tiles"
                                      : "the system does not permit it; Linux does from 5.16 on", TC_AMX_OFF;
    if (!tc_amx_checked()) return *why = "its results are not those of Intel's manual", TC_AMX_OFF;
    return *why = "a check at import gave the results of Intel's manual", TC_AMX_HARDWARE;
#else
    (void)level;
    return *why = "not compiled for this system, or by this compiler", TC_AMX_OFF;
#endif
}
#endif
