/* total += g, where a gradient joins the sum of those that came before: written in place, which saves a buffer and a third
 * of the memory traffic.  `total` is not `restrict`: it may be g itself. */
static void TC_FN(accumulate)(char *total, const char *g, ptrdiff_t n) {
    TC_T *t = (TC_T *)total;
    const TC_T *x = (const TC_T *)g;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) t[i] += x[i];
}
