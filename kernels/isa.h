/* One implementation, three instruction sets, two number types: six compiled copies, one chosen at import.
 *
 * A kernel family writes its C once, in a header `<family>_impl.h`, against the macros below and simd.h, and says
 *
 *     #define TC_IMPL "<family>_impl.h"
 *     #include "isa.h"
 *
 * This file then includes that header six times:
 *
 *     level   target           vector   tile of the matrix kernels (float)
 *     base    any CPU          16 byte   6 x  8
 *     v3      x86-64-v3 (AVX2) 32 byte   6 x 16
 *     v4      x86-64-v4        64 byte  14 x 32
 *
 * Width and tile follow the level because a vector type wider than the registers is split by the compiler and spilled
 * at every step: the same code loses a factor of fifty.  `target_clones` would do the copying by itself, but it needs
 * ifunc (absent in musl) and a test could not force a level.
 *
 * While TC_IMPL is being included these are defined:
 *     TC_T          float or double            TC_TBYTES  4 or 8 (usable in #if)
 *     TC_VBYTES     bytes in a vector          TC_MR      rows of the register tile
 *     TC_FN(name)   name_f32_v3 and so on: every function and type of the header must be wrapped in it
 */
#ifndef TC_ISA_H
#define TC_ISA_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "gemm_types.h"

#define TC_INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define TC_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__SANITIZE_ADDRESS__) /* a check at every access: unrolled, the products alone are compiled for minutes */
#define TC_UNROLL
#else
#define TC_UNROLL _Pragma("GCC unroll 32")
#endif
TC_INLINE tc_int tc_min(tc_int a, tc_int b) { return a < b ? a : b; }
TC_INLINE tc_int tc_max(tc_int a, tc_int b) { return a > b ? a : b; }
TC_INLINE tc_int tc_ceil_div(tc_int a, tc_int b) { return (a + b - 1) / b; }
/* Cut [0, n) into `parts` pieces whose sizes differ by at most 1: where piece i begins. */
TC_INLINE tc_int tc_cut(tc_int n, tc_int parts, tc_int i) { return n * i / parts; }
/* Call up a line of memory that lies `bytes` behind p; an address outside of all buffers does no harm, and is no pointer. */
TC_INLINE void tc_prefetch(const void *p, tc_int bytes) {
    __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)bytes), 0, 2);
}

#define TC_CAT3_(a, b, c) a##_##b##_##c
#define TC_CAT3(a, b, c) TC_CAT3_(a, b, c)
#define TC_FN(name) TC_CAT3(name, TC_TNAME, TC_LEVEL)

#if defined(__x86_64__) && defined(__GNUC__)
#define TC_X86 1
#else
#define TC_X86 0
#endif

enum { TC_BASE = 0, TC_V3 = 1, TC_V4 = 2, TC_LEVELS = 3 };
static const char *const tc_level_names[TC_LEVELS] = {"base", "v3", "v4"};

/* clang's attribute takes features, not the names of the levels. */
#define TC_CLANG_V3 "avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"
#define TC_CLANG_V4 TC_CLANG_V3 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"

/* A table with one entry per level; where a level is not compiled its entry repeats the base. */
#if TC_X86
#define TC_PER_LEVEL(name, type) {&name##_##type##_base, &name##_##type##_v3, &name##_##type##_v4}
#else
#define TC_PER_LEVEL(name, type) {&name##_##type##_base, &name##_##type##_base, &name##_##type##_base}
#endif

/* The level to use: the best one of this CPU, or less if the environment variable TINYGRAD_COURSE_ISA asks for less.
 * -1 if that variable holds an unknown name.  "amx" and "amx-emulated" add to the best level (amx.h). */
static int tc_choose_level(void) {
    int limit = TC_V4, level = TC_BASE;
    const char *wish = getenv("TINYGRAD_COURSE_ISA");
    if (wish && *wish && strcmp(wish, "amx") && strcmp(wish, "amx-emulated")) {
        for (limit = 0; limit < TC_LEVELS && strcmp(wish, tc_level_names[limit]); limit++) {}
        if (limit == TC_LEVELS) return -1;
    }
#if TC_X86
    __builtin_cpu_init();
    if (limit >= TC_V3 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) level = TC_V3;
    if (level == TC_V3 && limit >= TC_V4 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) level = TC_V4;
#endif
    return level;
}
#endif /* TC_ISA_H */

/* ---- from here on the text is meant to be included again for every family */
#ifdef TC_IMPL

#define TC_LEVEL base
#define TC_VBYTES 16
#define TC_MR 6
#include "isa_types.h"
#undef TC_LEVEL
#undef TC_VBYTES
#undef TC_MR

#if TC_X86
#ifdef __clang__
#pragma clang attribute push(__attribute__((target(TC_CLANG_V3))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#endif
#define TC_LEVEL v3
#define TC_VBYTES 32
#define TC_MR 6
#include "isa_types.h"
#undef TC_LEVEL
#undef TC_VBYTES
#undef TC_MR
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target(TC_CLANG_V4))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#endif
#define TC_LEVEL v4
#define TC_VBYTES 64
#define TC_MR 14
#include "isa_types.h"
#undef TC_LEVEL
#undef TC_VBYTES
#undef TC_MR
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif /* TC_X86 */

#undef TC_IMPL
#endif /* TC_IMPL */
