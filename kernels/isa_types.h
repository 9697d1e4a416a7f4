/* The inner half of isa.h: includes simd.h and TC_IMPL for float and for double at the level that isa.h has set. */
#define TC_T float
#define TC_TNAME f32
#define TC_TBYTES 4
#include "simd.h"
#include TC_IMPL
#undef TC_T
#undef TC_TNAME
#undef TC_TBYTES

#define TC_T double
#define TC_TNAME f64
#define TC_TBYTES 8
#include "simd.h"
#include TC_IMPL
#undef TC_T
#undef TC_TNAME
#undef TC_TBYTES
