/* The tables of the functions of resize_impl.h and grid_impl.h: [0] float, [1] double, then the level of isa.h. */
#pragma once
#include <stdint.h>
#include <string.h>
#include "tasks.h"

#define TC_IMPL "resize_impl.h"
#include "isa.h"

typedef void (*tc_axis_product_fn)(const tc_axis_map *m, int threads, int *failed);
static const tc_axis_product_fn tc_axis_product[2][TC_LEVELS] = {TC_PER_LEVEL(axis_product, f32),
                                                                 TC_PER_LEVEL(axis_product, f64)};

typedef void (*tc_grid_fn)(const tc_grid_map *m, int threads, int *failed);
static const tc_grid_fn tc_grid_sample[2][TC_LEVELS] = {TC_PER_LEVEL(grid_sample, f32), TC_PER_LEVEL(grid_sample, f64)};
static const tc_grid_fn tc_grid_sample_input[2][TC_LEVELS] = {TC_PER_LEVEL(grid_sample_input, f32),
                                                              TC_PER_LEVEL(grid_sample_input, f64)};
static const tc_grid_fn tc_grid_sample_grid[2][TC_LEVELS] = {TC_PER_LEVEL(grid_sample_grid, f32),
                                                             TC_PER_LEVEL(grid_sample_grid, f64)};
