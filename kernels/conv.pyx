"""conv2d and its two adjoints: the three partial derivatives of one trilinear form (conv_types.h).

Design:
* There are several algorithms.  conv_choice.h takes the cheapest for the shape; `_compute` calls it.  All arithmetic is C
  on the register tile of the matrix product:
      direct      conv_impl.h, conv_weight_impl.h: the right-hand matrix is never built, the tiles read a padded copy of
                  a few images that fits in the cache
      winograd    winograd_impl.h: 2x2 to 5x5 taps for each phase of the stride, float32, with 2.25 to 4 times fewer
                  multiplications
      product     gemm_impl.h: 1x1 with stride 1, the images are matrices as they lie; and kernels as large as the image
      fold        conv_fold_impl.h: the gradient of the input with few channels, or much padding or stride: a product for
                  each (channel, tap), and the sum of those that reach a pixel
* This file checks the arguments, makes the arrays contiguous and allocates the result.  Whether sizes fit together is
  explained to users one floor up; the checks here only keep the C code inside its arrays.
"""

cimport numpy as cnp
from libc.string cimport memset
from tinygrad_course.kernels.door cimport chosen_level, contiguous, float_kind
from tinygrad_course.kernels.gemm cimport gemm, tc_gemm_problem
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads
from tinygrad_course.kernels.winograd cimport winograd

cnp.import_array()

cdef extern from "conv.h" nogil:
    ctypedef Py_ssize_t tc_int
    ctypedef struct tc_conv_problem:
        tc_int n, c, h, w, o, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw, groups
        const void *x
        const void *weight
        const void *y
        const void *bias
        void *out
    ctypedef struct tc_conv_cost:
        const char *why_not
        double multiplications, memory, cycles
    const int TC_CONV, TC_CONV_INPUT, TC_CONV_WEIGHT, TC_CONV_FOLDED
    const int TC_DIRECT, TC_WINOGRAD_2, TC_WINOGRAD_4, TC_PRODUCT, TC_FOLD, TC_ALGORITHMS
    const char *const tc_algorithm_names[]
    const int tc_level_vector_bytes[]
    void tc_conv_costs(int which, int type, int lanes, const tc_conv_problem *p, tc_conv_cost *costs)
    int tc_conv_choose(int which, int type, int lanes, const tc_conv_problem *p, int wish)
    void *(*tc_scratch_get)(size_t) noexcept nogil
    void (*tc_scratch_put)(void *) noexcept nogil
    int tc_conv(int which, int type, int level, const tc_conv_problem *p, int threads)

KERNELS = ("conv2d", "conv2d_input", "conv2d_weight")

cdef int _level = chosen_level()
cdef int _forced = -1    # the algorithm to use wherever it can be used; -1: whatever conv_choice.h says
tc_scratch_get = tc_malloc
tc_scratch_put = tc_free

cdef enum:
    GRAIN = 4000000      # operations worth one thread: about 50 us
    TRAFFIC = 16         # operations that take as long as to read or write one number of an image


cdef _fill(str op, tc_conv_problem *p, tuple x, tuple w, stride, padding, dilation, Py_ssize_t groups):
    """Sizes of the problem from the shapes of x and w; those of y follow."""
    if len(x) != 4 or len(w) != 4:
        raise ValueError(f"{op}: image {x} and weight {w} must be 4-D")
    p.n, p.c, p.h, p.w = x
    p.o, _, p.kh, p.kw = w
    p.sh, p.sw = stride
    p.ph, p.pw = padding
    p.dh, p.dw = dilation
    p.groups = groups
    if groups < 1 or p.c % groups or p.o % groups or w[1] != p.c // groups:
        raise ValueError(f"{op}: image {x} and weight {w} do not fit with groups={groups}")
    if min(p.sh, p.sw, p.dh, p.dw) < 1 or min(p.ph, p.pw) < 0 or min(p.kh, p.kw) < 1:
        raise ValueError(f"{op}: stride {stride} and dilation {dilation} must be positive, padding {padding} not "
                         f"negative, kernel {w[2:]} not empty")
    p.oh = (p.h + 2 * p.ph - p.dh * (p.kh - 1) - 1) // p.sh + 1 if p.h + 2 * p.ph > p.dh * (p.kh - 1) else 0
    p.ow = (p.w + 2 * p.pw - p.dw * (p.kw - 1) - 1) // p.sw + 1 if p.w + 2 * p.pw > p.dw * (p.kw - 1) else 0
    p.x = p.weight = p.y = p.bias = NULL


cdef cnp.ndarray _contiguous(str op, cnp.ndarray x, int number_type):
    """x, C-contiguous, aligned and in native byte order."""
    if cnp.PyArray_TYPE(x) != number_type:
        raise TypeError(f"{op}: got arrays of different types, one of them {x.dtype}; cast them to one")
    return contiguous(x)


cdef inline int _lanes(int kind) noexcept nogil:
    """Numbers in a vector."""
    return tc_level_vector_bytes[_level] // (4 if kind == 0 else 8)


cdef int _product(int which, int kind, const tc_conv_problem *p) noexcept nogil:
    """A convolution with a 1x1 kernel, stride 1 and no padding: y_n = w x_n, gx_n = w' g_n, gw = sum over n of g_n x_n'.
    With a kernel as large as the image rows of x and w are whole images: y = x w', gx = g w, gw = g' x."""
    cdef tc_gemm_problem q
    cdef Py_ssize_t pixels = p.oh * p.ow, numbers = p.c * p.h * p.w
    memset(&q, 0, sizeof(q))
    q.c = p.out
    if pixels == 1:
        if which == TC_CONV:
            q.m, q.n, q.k, q.bias = p.n, p.o, numbers, p.bias
            q.a, q.a_row, q.a_col, q.b, q.b_row, q.b_col = p.x, numbers, 1, p.weight, 1, numbers
        elif which == TC_CONV_INPUT:
            q.m, q.n, q.k = p.n, numbers, p.o
            q.a, q.a_row, q.a_col, q.b, q.b_row, q.b_col = p.y, p.o, 1, p.weight, numbers, 1
        else:
            q.m, q.n, q.k = p.o, numbers, p.n
            q.a, q.a_row, q.a_col, q.b, q.b_row, q.b_col = p.y, 1, p.o, p.x, numbers, 1
        q.c_row = q.n
        return gemm(kind, &q)
    if which == TC_CONV_WEIGHT:
        q.m, q.n, q.k, q.terms = p.o, p.c, pixels, p.n
        q.a, q.a_row, q.a_col, q.a_term = p.y, pixels, 1, p.o * pixels
        q.b, q.b_row, q.b_col, q.b_term = p.x, 1, pixels, p.c * pixels
        q.c_row = p.c
        return gemm(kind, &q)
    q.n, q.run = p.n * pixels, pixels
    q.a, q.b_row, q.b_col, q.c_row = p.weight, pixels, 1, pixels
    if which == TC_CONV:
        q.m, q.k, q.a_row, q.a_col = p.o, p.c, p.c, 1
        q.b, q.bias, q.row_bias = p.x, p.bias, 1
    else:
        q.m, q.k, q.a_row, q.a_col = p.c, p.o, 1, p.c
        q.b = p.y
    q.b_run, q.c_run = q.k * pixels, q.m * pixels
    return gemm(kind, &q)


cdef int _compute(int which, int kind, const tc_conv_problem *p, int threads) noexcept nogil:
    """The algorithm that conv_choice.h takes.  0, or -1 if there is no memory for scratch."""
    cdef int algorithm = tc_conv_choose(which, kind, _lanes(kind), p, _forced), failed
    if algorithm == TC_WINOGRAD_2 or algorithm == TC_WINOGRAD_4:
        failed = winograd(which, 2 if algorithm == TC_WINOGRAD_2 else 4, p, threads)
        if failed <= 0:
            return failed
    if algorithm == TC_PRODUCT:
        return _product(which, kind, p)
    if algorithm == TC_FOLD:
        which = TC_CONV_FOLDED
    return tc_conv(which, kind, _level, p, threads)


cdef cnp.ndarray _run(str op, int which, int number_type, int kind, tc_conv_problem *p, Py_ssize_t d0, Py_ssize_t d1,
                      Py_ssize_t d2, Py_ssize_t d3):
    """Allocate the result (d0, d1, d2, d3) and compute it."""
    cdef cnp.npy_intp shape[4]
    cdef Py_ssize_t work = 2 * p.n * p.o * p.oh * p.ow * (p.c // p.groups) * p.kh * p.kw
    cdef int failed
    cdef cnp.ndarray out
    shape[0], shape[1], shape[2], shape[3] = d0, d1, d2, d3
    work += TRAFFIC * p.n * (p.c * p.h * p.w + p.o * p.oh * p.ow)
    out = pool_empty(4, shape, number_type)
    p.out = cnp.PyArray_DATA(out)
    with nogil:
        failed = _compute(which, kind, p, n_threads(work, GRAIN))
    if failed:
        raise MemoryError(f"{op}: no memory for scratch")
    return out


def conv2d(cnp.ndarray x not None, cnp.ndarray w not None, cnp.ndarray b=None, stride=(1, 1), padding=(0, 0),
           dilation=(1, 1), Py_ssize_t groups=1):
    """y[n, o, p, q] = b[o] + sum over c, i, j of w[o, c, i, j] * x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw].

    Args: x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None, equal dtypes float32 or float64; pairs (h, w).
    Returns: (N, O, oh, ow), oh = (H + 2 ph - dh (kh - 1) - 1) // sh + 1.
    Raises: TypeError for other dtypes, ValueError if the shapes do not fit.
    """
    cdef tc_conv_problem p
    cdef int t = cnp.PyArray_TYPE(x), kind = float_kind("conv2d", x)
    x = _contiguous("conv2d", x, t)
    w = _contiguous("conv2d", w, t)
    _fill("conv2d", &p, (<object>x).shape, (<object>w).shape, stride, padding, dilation, groups)
    if b is not None:
        b = _contiguous("conv2d", b, t)
        if cnp.PyArray_NDIM(b) != 1 or b.shape[0] != p.o:
            raise ValueError(f"conv2d: bias {(<object>b).shape} must have shape ({p.o},)")
        p.bias = cnp.PyArray_DATA(b)
    p.x, p.weight = cnp.PyArray_DATA(x), cnp.PyArray_DATA(w)
    return _run("conv2d", TC_CONV, t, kind, &p, p.n, p.o, p.oh, p.ow)


def conv2d_input(cnp.ndarray g not None, cnp.ndarray w not None, shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
                 Py_ssize_t groups=1):
    """gx of `shape` (N, C, H, W): adjoint of conv2d in x, applied to g (N, O, oh, ow).  Errors as in conv2d."""
    cdef tc_conv_problem p
    cdef int t = cnp.PyArray_TYPE(g), kind = float_kind("conv2d_input", g)
    g = _contiguous("conv2d_input", g, t)
    w = _contiguous("conv2d_input", w, t)
    _fill("conv2d_input", &p, tuple(shape), (<object>w).shape, stride, padding, dilation, groups)
    _check_y("conv2d_input", &p, g)
    p.y, p.weight = cnp.PyArray_DATA(g), cnp.PyArray_DATA(w)
    return _run("conv2d_input", TC_CONV_INPUT, t, kind, &p, p.n, p.c, p.h, p.w)


def conv2d_weight(cnp.ndarray x not None, cnp.ndarray g not None, shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
                  Py_ssize_t groups=1):
    """gw of `shape` (O, C/groups, kh, kw): adjoint of conv2d in w, applied to g (N, O, oh, ow).  Errors as there."""
    cdef tc_conv_problem p
    cdef int t = cnp.PyArray_TYPE(x), kind = float_kind("conv2d_weight", x)
    x = _contiguous("conv2d_weight", x, t)
    g = _contiguous("conv2d_weight", g, t)
    _fill("conv2d_weight", &p, (<object>x).shape, tuple(shape), stride, padding, dilation, groups)
    _check_y("conv2d_weight", &p, g)
    p.x, p.y = cnp.PyArray_DATA(x), cnp.PyArray_DATA(g)
    return _run("conv2d_weight", TC_CONV_WEIGHT, t, kind, &p, p.o, p.c // p.groups, p.kh, p.kw)


cdef _check_y(str op, tc_conv_problem *p, cnp.ndarray g):
    if (<object>g).shape != (p.n, p.o, p.oh, p.ow):
        raise ValueError(f"{op}: g {(<object>g).shape} must have shape ({p.n}, {p.o}, {p.oh}, {p.ow})")


def algorithms():
    """Names of the algorithms of conv_choice.h."""
    return tuple(tc_algorithm_names[a].decode() for a in range(TC_ALGORITHMS))


def force_algorithm(name=None):
    """Use this algorithm wherever it can be used; None: the one that conv_choice.h takes.  For tests and measurements."""
    global _forced
    _forced = -1 if name is None else algorithms().index(name)


def costs(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), Py_ssize_t groups=1, bint double=False):
    """What conv_choice.h says about conv2d, conv2d_input and conv2d_weight for the shapes x (N, C, H, W) and w.

    Returns: {function: (chosen algorithm, {algorithm: {why_not, multiplications, memory, cycles}})}.  Errors as there.
    """
    cdef tc_conv_problem p
    cdef tc_conv_cost cost[8]
    cdef int which, a, chosen, kind = 1 if double else 0
    _fill("conv2d", &p, tuple(x), tuple(w), stride, padding, dilation, groups)
    answer = {}
    for which, name in ((TC_CONV, "conv2d"), (TC_CONV_INPUT, "conv2d_input"), (TC_CONV_WEIGHT, "conv2d_weight")):
        tc_conv_costs(which, kind, _lanes(kind), &p, cost)
        chosen = tc_conv_choose(which, kind, _lanes(kind), &p, -1)
        answer[name] = (tc_algorithm_names[chosen].decode(), {
            tc_algorithm_names[a].decode(): {
                "why_not": cost[a].why_not.decode() if cost[a].why_not != NULL else "",
                "multiplications": cost[a].multiplications, "memory": cost[a].memory, "cycles": cost[a].cycles}
            for a in range(TC_ALGORITHMS)})
    return answer
