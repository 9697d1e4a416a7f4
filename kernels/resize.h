/* The table of resize_impl.h's functions: [0] float, [1] double, then the level of isa.h. */
#pragma once
#include <stdint.h>
#include <string.h>
#include "tasks.h"

#define TC_IMPL "resize_impl.h"
#include "isa.h"

typedef void (*tc_axis_product_fn)(const tc_axis_map *m, int threads, int *failed);
static const tc_axis_product_fn tc_axis_product[2][TC_LEVELS] = {TC_PER_LEVEL(axis_product, f32),
                                                                 TC_PER_LEVEL(axis_product, f64)};
