/* The register tile of AMX: 32 x 32 sums in four tiles, two tiles of A against two of B.  amx.h includes this twice.
 *
 * A step along k multiplies the terms of A and B that matter (gemm_amx_impl.h says which and why), in an order that
 * changes one side at a time.  Two tiles of A and two of B feed four products, so that a load serves two of them.
 */
#define TILE_A(term) TILE_LOAD(4, a + 2 * (term) * TC_TILE_NUMBERS, 64); \
    if (row_tiles > 1) TILE_LOAD(5, a + (2 * (term) + 1) * TC_TILE_NUMBERS, 64)
#define TILE_B(term) TILE_LOAD(6, b + 2 * (term) * TC_TILE_NUMBERS, 64); \
    if (col_tiles > 1) TILE_LOAD(7, b + (2 * (term) + 1) * TC_TILE_NUMBERS, 64)
#define TILE_PRODUCTS                                 \
    TILE_MULTIPLY(0, 4, 6);                           \
    if (col_tiles > 1) TILE_MULTIPLY(1, 4, 7);        \
    if (row_tiles > 1) TILE_MULTIPLY(2, 5, 6);        \
    if (row_tiles > 1 && col_tiles > 1) TILE_MULTIPLY(3, 5, 7)

TC_INLINE TILE_TARGET void TILE_NAME(tc_amx_product_of)(const int terms, const int row_tiles, const int col_tiles,
                                                        tc_int depth, const uint16_t *a, const uint16_t *b, float *c) {
    enum { PITCH = TC_PAIR_ROWS * 4 };
    TILE_REGISTERS
    TILE_ZERO(0);
    if (col_tiles > 1) TILE_ZERO(1);
    if (row_tiles > 1) TILE_ZERO(2);
    if (row_tiles > 1 && col_tiles > 1) TILE_ZERO(3);
    for (; depth > 0; depth--, a += terms * TC_PAIR_NUMBERS, b += terms * TC_PAIR_NUMBERS) {
        if (terms == 3) {
            TILE_A(2); TILE_B(0); TILE_PRODUCTS;
            TILE_A(1); TILE_PRODUCTS;
            TILE_B(1); TILE_PRODUCTS;
            TILE_A(0); TILE_PRODUCTS;
            TILE_B(2); TILE_PRODUCTS;
            TILE_B(0); TILE_PRODUCTS;
        } else {
            TILE_A(1); TILE_B(0); TILE_PRODUCTS;
            TILE_A(0); TILE_PRODUCTS;
            TILE_B(1); TILE_PRODUCTS;
        }
    }
    TILE_STORE(0, c, PITCH);
    if (col_tiles > 1) TILE_STORE(1, c + TC_TILE_ROWS, PITCH);
    if (row_tiles > 1) TILE_STORE(2, c + TC_TILE_ROWS * TC_PAIR_ROWS, PITCH);
    if (row_tiles > 1 && col_tiles > 1) TILE_STORE(3, c + TC_TILE_ROWS * TC_PAIR_ROWS + TC_TILE_ROWS, PITCH);
}

static TILE_TARGET void TILE_NAME(tc_amx_product)(int terms, int row_tiles, int col_tiles, tc_int depth, const uint16_t *a,
                                                  const uint16_t *b, float *c) {
    if (terms == 3 && row_tiles == 2 && col_tiles == 2) TILE_NAME(tc_amx_product_of)(3, 2, 2, depth, a, b, c);
    else if (row_tiles == 2 && col_tiles == 2) TILE_NAME(tc_amx_product_of)(2, 2, 2, depth, a, b, c);
    else TILE_NAME(tc_amx_product_of)(terms, row_tiles, col_tiles, depth, a, b, c);
}
#undef TILE_A
#undef TILE_B
#undef TILE_PRODUCTS
#undef TILE_NAME
#undef TILE_TARGET
#undef TILE_REGISTERS
#undef TILE_ZERO
#undef TILE_LOAD
#undef TILE_STORE
#undef TILE_MULTIPLY
