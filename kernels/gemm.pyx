"""matmul and linear: the matrix product on our own micro-kernel.

Design:
* The arithmetic is C (gemm_impl.h, tile_impl.h, pack_impl.h), compiled for three instruction sets and two number types;
  this file checks the arguments, allocates the result and describes the problem.
* Operands are read where they lie, whatever their strides: a transposed view costs no copy, packing turns it round.
* Large float32 products go through AMX where the processor has it (gemm_amx.h), everything else through the register tile.
* Leading dimensions of x are merged into its rows when y has none, so that a (batch, time, features) @ (features, k)
  product is one large product and not many small ones.
"""

cimport numpy as cnp
from libc.string cimport memset
from tinygrad_course.kernels.door cimport chosen_level, contiguous, float_kind
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "gemm.h" nogil:
    void *(*tc_scratch_get)(size_t) noexcept nogil
    void (*tc_scratch_put)(void *) noexcept nogil
    int tc_gemm(int type, int level, const tc_gemm_problem *p, int threads)
    const char *tc_level_names[]
    const int tc_tile_rows[]
    const int tc_vector_bytes[]
    const int TC_GEMM_SLICE

cdef extern from "gemm_amx.h" nogil:
    ctypedef void (*tc_amx_product)(int terms, int row_tiles, int col_tiles, tc_int depth, const cnp.uint16_t *a,
                                    const cnp.uint16_t *b, float *c)
    const int TC_AMX_OFF
    const int TC_AMX_HARDWARE
    const int TC_AMX_EMULATED
    tc_amx_product tc_amx_products[]
    int tc_amx_choose(int level, const char **why)
    bint tc_amx_pays(const tc_gemm_problem *p, int terms)
    int tc_gemm_amx(tc_amx_product product, int terms, int packing, int level, const tc_gemm_problem *p, int threads)

KERNELS = ("matmul", "linear")

cdef int _level = chosen_level()
cdef const char *_why
cdef int _amx = tc_amx_choose(_level, &_why)
cdef int _amx_packing = _level
cdef bint _amx_always = _amx == TC_AMX_EMULATED  # for tests, which want small products
cdef int _terms = 3      # of bf16
tc_scratch_get = tc_malloc
tc_scratch_put = tc_free

cdef enum:
    GRAIN = 2000000      # operations worth one thread: about 13 us
    MAX_DIMS = 64


def isa():
    """Name of the instruction set in use: "base", "v3" (AVX2, FMA) or "v4" (AVX-512)."""
    return tc_level_names[_level].decode()


def tile():
    """(rows, columns, k): the register tile for float32, and the longest slice of k between two visits of a tile."""
    return tc_tile_rows[_level], tc_vector_bytes[_level] // 2, TC_GEMM_SLICE


def amx():
    """(name, reason): whether float32 products may use AMX: "off", "hardware" or "emulated"."""
    return ("off", "hardware", "emulated")[_amx], _why.decode()


def force_amx(level=None, tiles="emulated"):
    """From now on all float32 products go through tiles, "emulated" or "hardware", packed by the code of that level, "base"
    to at most isa(); None: as chosen at import.  For tests."""
    global _amx, _amx_packing, _amx_always, _why
    cdef int chosen = tc_amx_choose(_level, &_why)
    _amx, _amx_packing, _amx_always = chosen, _level, chosen == TC_AMX_EMULATED
    if level is None:
        return
    names = [tc_level_names[i].decode() for i in range(_level + 1)]
    if level not in names:
        raise ValueError(f"force_amx: level {level!r} is none of {', '.join(names)}")
    if tiles not in ("emulated", "hardware"):
        raise ValueError(f"force_amx: tiles {tiles!r} are neither 'emulated' nor 'hardware'")
    if tiles == "hardware" and chosen != TC_AMX_HARDWARE:
        raise ValueError(f"force_amx: there are no tiles in hardware: {_why.decode()}")
    if tiles == "emulated":
        _amx, _why = TC_AMX_EMULATED, b"by force_amx"
    _amx_packing, _amx_always = names.index(level), True


def set_terms(int terms):
    """Terms of bf16 for a float32 number in AMX: 3 (precision of float32) or 2."""
    global _terms
    if terms not in (2, 3):
        raise ValueError(f"set_terms: {terms} terms of bf16; there are 2 and 3")
    _terms = terms


def terms():
    """Terms of bf16 for a float32 number in AMX."""
    return _terms


def amx_pays(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k):
    """Whether AMX, if it is there, would multiply (m, k) by (k, n) faster than the register tile."""
    cdef tc_gemm_problem p
    memset(&p, 0, sizeof(p))
    p.m, p.n, p.k = m, n, k
    return bool(tc_amx_pays(&p, _terms))


def choice(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, bint double_precision=False, Py_ssize_t terms=1):
    """Which kernel adds up `terms` products of (m, k) by (k, n): "amx" or "tile"."""
    cdef tc_gemm_problem p
    memset(&p, 0, sizeof(p))
    p.m, p.n, p.k, p.terms = m, n, k, terms
    return "amx" if not double_precision and by_amx(&p) else "tile"


cdef inline bint by_amx(const tc_gemm_problem *p) noexcept nogil:
    """By the shape alone."""
    if _amx == TC_AMX_OFF or p.m < 1 or p.n < 1 or p.k < 1:
        return False
    return _amx_always or tc_amx_pays(p, _terms)


cdef int gemm(int type, const tc_gemm_problem *p) noexcept nogil:
    cdef Py_ssize_t work = 2 * p.m * p.n * p.k * max(1, p.terms)
    cdef int d, threads
    for d in range(p.batch_dims):
        work *= p.batch_shape[d]
    if p.m == 1 or p.n == 1:
        work *= 8        # memory bound: every number is used once
    threads = n_threads(work, GRAIN)
    if type == TC_F32 and by_amx(p):
        return tc_gemm_amx(tc_amx_products[_amx], _terms, _amx_packing, _level, p, threads)
    return tc_gemm(type, _level, p, threads)


cdef inline int _number_type(str op, cnp.ndarray x, cnp.ndarray y) except -1:
    """TC_F32 or TC_F64."""
    if cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y):
        raise TypeError(f"{op}: operands are {x.dtype} and {y.dtype}; the compiled kernel takes equal types. Cast one.")
    return float_kind(op, x)


cdef inline cnp.ndarray _readable(cnp.ndarray x):
    """x, or a copy if its numbers are not aligned, in foreign byte order or not a whole number of items apart."""
    cdef int d
    cdef bint good = cnp.PyArray_ISBEHAVED_RO(x)
    for d in range(cnp.PyArray_NDIM(x)):
        good = good and cnp.PyArray_STRIDE(x, d) % cnp.PyArray_ITEMSIZE(x) == 0
    return x if good else contiguous(x.copy())


cdef _run(int type, tc_gemm_problem *p):
    cdef int failed
    if p.m * p.n * p.k < 4096 and not p.batch_dims:
        failed = gemm(type, p)      # releasing the GIL would cost more than the product
    else:
        with nogil:
            failed = gemm(type, p)
    if failed:
        raise MemoryError(f"no memory for the scratch of a {p.m} x {p.k} by {p.k} x {p.n} product")


def matmul(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x @ y over the last two axes; leading axes broadcast.  x (..., n, k), y (..., k, m) -> (..., n, m).

    Args: arrays of equal dtype, float32 or float64, at least 2-D, any strides.
    Raises: TypeError for other dtypes, ValueError if the shapes do not fit.
    """
    cdef int type = _number_type("matmul", x, y)
    cdef int dx = cnp.PyArray_NDIM(x) - 2, dy = cnp.PyArray_NDIM(y) - 2, d, dims
    cdef Py_ssize_t item, sx, sy
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef tc_int batch_shape[MAX_DIMS]
    cdef tc_int x_batch[MAX_DIMS]
    cdef tc_int y_batch[MAX_DIMS]
    cdef tc_gemm_problem p
    cdef cnp.ndarray z
    if dx < 0 or dy < 0:
        raise ValueError(f"matmul: operands are {dx + 2}-D and {dy + 2}-D, both must be at least 2-D")
    x = _readable(x)
    y = _readable(y)
    item = cnp.PyArray_ITEMSIZE(x)
    memset(&p, 0, sizeof(p))
    p.m, p.k, p.n = x.shape[dx], x.shape[dx + 1], y.shape[dy + 1]
    if y.shape[dy] != p.k:
        raise ValueError(f"matmul: {(<object>x).shape} @ {(<object>y).shape}: {p.k} columns against {y.shape[dy]} rows")
    p.a, p.b = cnp.PyArray_DATA(x), cnp.PyArray_DATA(y)
    p.a_row, p.a_col = x.strides[dx] // item, x.strides[dx + 1] // item
    p.b_row, p.b_col = y.strides[dy] // item, y.strides[dy + 1] // item
    dims = max(dx, dy)
    for d in range(dims):
        # Axis d of the result is axis d - (dims - dx) of x, if x has it.
        sx = x.shape[d - dims + dx] if d >= dims - dx else 1
        sy = y.shape[d - dims + dy] if d >= dims - dy else 1
        if sx != sy and sx != 1 and sy != 1:
            raise ValueError(f"matmul: leading axes of {(<object>x).shape} and {(<object>y).shape} do not broadcast")
        shape[d] = sy if sx == 1 else sx
        batch_shape[d] = shape[d]
        x_batch[d] = x.strides[d - dims + dx] // item if sx != 1 else 0
        y_batch[d] = y.strides[d - dims + dy] // item if sy != 1 else 0
    shape[dims], shape[dims + 1] = p.m, p.n
    z = pool_empty(dims + 2, shape, cnp.PyArray_TYPE(x))
    p.c, p.c_row = cnp.PyArray_DATA(z), p.n
    # Merge batch axes into the rows of x, last first, while y does not depend on them and x goes on at the same pitch.
    while dims and y_batch[dims - 1] == 0 and (batch_shape[dims - 1] == 1 or p.m == 1 or
                                               x_batch[dims - 1] == p.m * p.a_row):
        if p.m == 1 and batch_shape[dims - 1] != 1:
            p.a_row = x_batch[dims - 1]
        p.m *= batch_shape[dims - 1]
        dims -= 1
    p.batch_dims, p.batch_shape, p.a_batch, p.b_batch = dims, batch_shape, x_batch, y_batch
    _run(type, &p)
    return z


def linear(cnp.ndarray x not None, cnp.ndarray w not None, cnp.ndarray b=None):
    """z = x w^T + b.  x (n, k), w (m, k), b (m,) or None -> (n, m).  dtypes and errors as in matmul."""
    cdef int type = _number_type("linear", x, w)
    cdef Py_ssize_t item
    cdef cnp.npy_intp shape[2]
    cdef tc_gemm_problem p
    cdef cnp.ndarray z
    if cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_NDIM(w) != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f"linear: x {(<object>x).shape} and w {(<object>w).shape} must be (n, k) and (m, k)")
    x = _readable(x)
    w = _readable(w)
    item = cnp.PyArray_ITEMSIZE(x)
    memset(&p, 0, sizeof(p))
    p.m, p.k, p.n = x.shape[0], x.shape[1], w.shape[0]
    if b is not None:
        _number_type("linear", x, b)
        if cnp.PyArray_NDIM(b) != 1 or b.shape[0] != p.n:
            raise ValueError(f"linear: bias {(<object>b).shape} must have shape ({p.n},)")
        b = contiguous(b)
        p.bias = cnp.PyArray_DATA(b)
    p.a, p.a_row, p.a_col = cnp.PyArray_DATA(x), x.strides[0] // item, x.strides[1] // item
    p.b, p.b_row, p.b_col = cnp.PyArray_DATA(w), w.strides[1] // item, w.strides[0] // item
    shape[0], shape[1] = p.m, p.n
    z = pool_empty(2, shape, cnp.PyArray_TYPE(x))
    p.c, p.c_row = cnp.PyArray_DATA(z), p.n
    _run(type, &p)
    return z
