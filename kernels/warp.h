/* The tables of warp_impl.h's functions, by the level of isa.h. */
#pragma once
#include <stdint.h>
#include <string.h>
#include "tasks.h"

#define TC_IMPL "warp_impl.h"
#include "isa.h"

typedef void (*tc_warp_fn)(const tc_warp_map *m, int threads, int *failed);
static const tc_warp_fn tc_warp_bilinear[2][TC_LEVELS] = {TC_PER_LEVEL(warp_bilinear, f32), TC_PER_LEVEL(warp_bilinear, f64)};
static const tc_warp_fn tc_warp_bytes[TC_LEVELS] = TC_PER_LEVEL(warp_bytes, f32);
