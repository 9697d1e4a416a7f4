/* Rows that occur more than once.
 *
 * The rows that enter the first layer of a character or word model come from a table of a few dozen: what holds for a
 * row (its product with the weights, say) needs to be found once for each different row only.  Rows count as equal if
 * all their bits are.
 *
 * An open hash table of row numbers.  The hash reads at most 32 words of a row, evenly spread, and a search ends after
 * 8 places, so that no input can make it slow; a repetition that is missed this way counts as one more different row.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Four products at a time: each alone would wait for the one before. */
static inline uint64_t tc_row_hash(const char *row, ptrdiff_t bytes) {
    enum { WORDS = 32, LANES = 4 };
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    const ptrdiff_t words = bytes / 8, step = words > WORDS ? words / WORDS : 1;
    uint64_t h[LANES] = {(uint64_t)bytes, 1, 2, 3}, word = 0;
    memcpy(&word, row + words * 8, (size_t)(bytes % 8));
    h[0] = (h[0] ^ word) * factor;
    ptrdiff_t i = 0;
    for (; i + (LANES - 1) * step < words; i += LANES * step)
        for (int lane = 0; lane < LANES; lane++) {
            memcpy(&word, row + (i + lane * step) * 8, 8);
            h[lane] = (h[lane] ^ word) * factor;
            h[lane] ^= h[lane] >> 29;
        }
    for (; i < words; i += step) {
        memcpy(&word, row + i * 8, 8);
        h[0] = (h[0] ^ h[0] >> 29 ^ word) * factor;
    }
    for (int lane = 1; lane < LANES; lane++) h[0] = (h[0] ^ h[0] >> 31 ^ h[lane]) * factor;
    return h[0] ^ h[0] >> 32;
}

/* group[i]: number of the different row that row i equals; first[g]: the first row of that number.  Returns how many
 * different rows there are, or 0 as soon as there are more than `most`.  table: `slots` places, a power of two. */
static ptrdiff_t tc_repeats(const char *x, ptrdiff_t rows, ptrdiff_t bytes, ptrdiff_t most, ptrdiff_t *group,
                            ptrdiff_t *first, ptrdiff_t *table, ptrdiff_t slots) {
    enum { PLACES = 8 };
    ptrdiff_t found = 0;
    for (ptrdiff_t s = 0; s < slots; s++) table[s] = -1;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const char *row = x + i * bytes;
        ptrdiff_t at = (ptrdiff_t)(tc_row_hash(row, bytes) & (uint64_t)(slots - 1)), g = -1;
        for (int place = 0; place < PLACES; place++, at = (at + 1) & (slots - 1)) {
            if (table[at] < 0) {
                table[at] = found;
                break;
            }
            if (!memcmp(x + first[table[at]] * bytes, row, (size_t)bytes)) {
                g = table[at];
                break;
            }
        }
        if (g < 0) {
            if (found == most) return 0;
            g = found++;
            first[g] = i;
        }
        group[i] = g;
    }
    return found;
}
