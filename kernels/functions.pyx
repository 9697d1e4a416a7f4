"""Functions of each number: compiled twins of backend/reference/functions.py and special.py, as far as they pay.

Design:
* NumPy's own inner loops for sin, log1p, floor and their like are vectorised and good; what costs is the way to them (2 us of
  type resolution and buffers) and that only one thread walks it.  A ufunc lists its loops in public fields of the C API;
  `_Loops` takes the one for float32 and the one for float64 once, and runs them on our threads, without the GIL, into the
  pool's memory.  A result does not depend on where its number stands, so threads cannot change a bit.
* That way is for one array, arrays of one shape, or a number on one side, contiguous (a single strided array is copied).
  All else - broadcasting, integers, float16 - is called as a ufunc, as in the NumPy body.
* erf, and erfc of float32, are vectorised C of our own (special_impl.h).  erfinv, lgamma and digamma are rarer: computed in
  float64, number by number (functions.h), and rounded once; threads share the work.
* glu has a pass of its own: as separate ops its backward writes its input's size four times.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t

from tinygrad_course.kernels.arrays cimport same_dims, size_of
from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, empty_like, float_kind
from tinygrad_course.kernels.elementwise cimport clamped
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil

cdef extern from "functions.h" nogil:
    ctypedef void (*tc_ufunc_loop)(char **operands, ptrdiff_t *count, ptrdiff_t *steps, void *data) noexcept nogil
    enum:
        TC_LGAMMA, TC_DIGAMMA, TC_ERFC, TC_ERFINV
    void tc_erfc(int level, const float *x, float *y, ptrdiff_t n, int threads)
    void tc_erf(int level, ptrdiff_t item, const char *x, char *y, ptrdiff_t n, int threads)
    void tc_gate(int level, ptrdiff_t item, const char *x, const char *g, char *y, ptrdiff_t rows, ptrdiff_t run, int threads)
    void tc_ufunc(tc_ufunc_loop loop, void *data, int count, char **operands, const ptrdiff_t *steps, ptrdiff_t n,
                  int threads)
    void tc_slow(int which, ptrdiff_t item, const char *x, char *y, ptrdiff_t n, int threads)

# Kernels that are a ufunc by themselves.
UFUNCS = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh, "atan": np.arctan, "atan2": np.arctan2,
    "atanh": np.arctanh, "ceil": np.ceil, "copysign": np.copysign, "cos": np.cos, "cosh": np.cosh, "exp2": np.exp2,
    "expm1": np.expm1, "floor": np.floor, "fmax": np.fmax, "fmin": np.fmin, "hypot": np.hypot, "isfinite": np.isfinite,
    "isinf": np.isinf, "isnan": np.isnan, "log10": np.log10, "log1p": np.log1p, "log2": np.log2,
    "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2, "signbit": np.signbit, "sin": np.sin, "sinh": np.sinh,
    "tan": np.tan, "trunc": np.trunc,
}
KERNELS = (*UFUNCS, "clamp", "digamma", "erf", "erfc", "erfinv", "glu", "glu_grad", "lgamma")

cdef enum:
    LIGHT = 131072    # elements that are worth a thread: bound by memory
    HEAVY = 32768     # a series or so
    SLOW = 2048       # no vectors

cdef int _level = chosen_level()
cdef object _quietly = np.errstate(all="ignore")(lambda function, operands: np.asarray(function(*operands)))


cdef class _Loops:
    """A ufunc of one or two operands and one result, with its loops for float32 and float64."""

    cdef tc_ufunc_loop loop[2]
    cdef void *data[2]
    cdef int result[2]    # type of the result
    cdef int operands
    cdef Py_ssize_t grain
    cdef object function

    def __cinit__(self, object function, Py_ssize_t grain):
        cdef cnp.ufunc f = function
        cdef int kind, k, i, wanted
        cdef bint fits
        self.function = function
        self.operands = f.nin
        self.grain = grain
        for kind in range(2):
            self.loop[kind] = NULL
            wanted = cnp.NPY_FLOAT32 + kind
            for i in range(f.ntypes):
                fits = True
                for k in range(f.nin):
                    fits = fits and f.types[i * f.nargs + k] == wanted
                if fits:
                    self.loop[kind] = <tc_ufunc_loop><void *>f.functions[i]
                    self.data[kind] = f.data[i]
                    self.result[kind] = f.types[i * f.nargs + f.nin]
                    break

    cdef object usual(self, tuple operands):
        """The ufunc called by its name."""
        return _quietly(self.function, operands)

    cdef object run(self, cnp.ndarray x, tuple others):
        cdef int kind = cnp.PyArray_TYPE(x) - cnp.NPY_FLOAT32, count = 1 + <int>len(others)
        cdef cnp.ndarray y, out, shape = x
        cdef char *memory[3]
        cdef ptrdiff_t steps[3]
        cdef ptrdiff_t item = cnp.PyArray_ITEMSIZE(x), n
        if kind < 0 or kind > 1 or self.loop[kind] == NULL or count != self.operands:
            return self.usual((x, *others))
        steps[0] = steps[1] = item
        if count == 1:
            x = contiguous(x)
        else:
            y = others[0]
            if (cnp.PyArray_TYPE(y) != cnp.PyArray_TYPE(x) or not PyArray_ISCARRAY_RO(x) or not PyArray_ISCARRAY_RO(y)):
                return self.usual((x, y))
            if not same_dims(x, y):
                if size_of(y) == 1 and cnp.PyArray_NDIM(y) <= cnp.PyArray_NDIM(x):
                    steps[1] = 0
                elif size_of(x) == 1 and cnp.PyArray_NDIM(x) <= cnp.PyArray_NDIM(y):
                    steps[0] = 0
                    shape = y
                else:
                    return self.usual((x, y))
            memory[1] = <char *>cnp.PyArray_DATA(y)
        memory[0] = <char *>cnp.PyArray_DATA(x)
        out = pool_empty(cnp.PyArray_NDIM(shape), cnp.PyArray_DIMS(shape), self.result[kind])
        memory[count] = <char *>cnp.PyArray_DATA(out)
        steps[count] = cnp.PyArray_ITEMSIZE(out)
        n = size_of(out)
        if n < 2 * self.grain:
            self.loop[kind](memory, &n, steps, self.data[kind])
        else:
            with nogil:
                tc_ufunc(self.loop[kind], self.data[kind], count + 1, memory, steps, n, n_threads(n, self.grain))
        return out


def _kernel(str name, object function):
    """The kernel of a ufunc."""
    cdef _Loops loops = _Loops(function, LIGHT if name in ("ceil", "copysign", "floor", "fmax", "fmin", "isfinite", "isinf",
                                                           "isnan", "signbit", "trunc") else HEAVY)

    def kernel(x, *others):
        return loops.run(x, others)

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = f"NumPy's {function.__name__} on our threads."
    return kernel


globals().update({name: _kernel(name, function) for name, function in UFUNCS.items()})


def erf(cnp.ndarray x not None):
    """y = 2 / sqrt(pi) int_0^x e^-t^2 dt."""
    cdef cnp.ndarray y
    cdef ptrdiff_t n = size_of(x)
    float_kind("erf", x)
    x = contiguous(x)
    y = empty_like(x)
    with nogil:
        tc_erf(_level, cnp.PyArray_ITEMSIZE(x), <const char *>cnp.PyArray_DATA(x), <char *>cnp.PyArray_DATA(y), n,
               n_threads(n, HEAVY))
    return y


cdef cnp.ndarray _slow(str name, int which, cnp.ndarray x):
    cdef cnp.ndarray y
    cdef ptrdiff_t n = size_of(x)
    float_kind(name, x)
    x = contiguous(x)
    y = empty_like(x)
    with nogil:
        tc_slow(which, cnp.PyArray_ITEMSIZE(x), <const char *>cnp.PyArray_DATA(x), <char *>cnp.PyArray_DATA(y), n,
                n_threads(n, SLOW))
    return y


def erfc(cnp.ndarray x not None):
    """y = 1 - erf x, accurate for large x."""
    cdef cnp.ndarray y
    cdef ptrdiff_t n = size_of(x)
    if cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT32:
        return _slow("erfc", TC_ERFC, x)
    x = contiguous(x)
    y = empty_like(x)
    with nogil:
        tc_erfc(_level, <const float *>cnp.PyArray_DATA(x), <float *>cnp.PyArray_DATA(y), n, n_threads(n, HEAVY))
    return y


def erfinv(cnp.ndarray x not None):
    """y with erf y = x; +-inf at +-1, NaN beyond."""
    return _slow("erfinv", TC_ERFINV, x)


def lgamma(cnp.ndarray x not None):
    """y = ln |Gamma(x)|; inf at 0, -1, -2, ..."""
    return _slow("lgamma", TC_LGAMMA, x)


def digamma(cnp.ndarray x not None):
    """y = Gamma'(x) / Gamma(x): -inf at 0, NaN at the other poles."""
    return _slow("digamma", TC_DIGAMMA, x)


def clamp(cnp.ndarray x not None, cnp.ndarray low not None, cnp.ndarray high not None):
    """y = min(max(x, low), high); NaN wins, and `high` where the bounds cross."""
    y = clamped(x, low, high)
    return y if y is not None else np.asarray(np.minimum(np.maximum(x, low), high))


cdef cnp.ndarray _gate(str name, cnp.ndarray x, cnp.ndarray g, int axis):
    cdef cnp.npy_intp dims[64]
    cdef ptrdiff_t rows = 1, run = 1
    cdef int d, nd = cnp.PyArray_NDIM(x)
    cdef char *gradient = NULL
    cdef cnp.ndarray y
    float_kind(name, x)
    if not 0 <= axis < nd or cnp.PyArray_DIM(x, axis) % 2:
        raise ValueError(f"{name}: axis {axis} of {(<object>x).shape} has no halves")
    for d in range(nd):
        dims[d] = cnp.PyArray_DIM(x, d) // (2 if d == axis else 1)
        if d < axis:
            rows *= dims[d]
        else:
            run *= dims[d]
    x = contiguous(x)
    if g is None:
        y = pool_empty(nd, dims, cnp.PyArray_TYPE(x))
    else:
        for d in range(nd):
            if cnp.PyArray_NDIM(g) != nd or cnp.PyArray_DIM(g, d) != dims[d]:
                raise ValueError(f"{name}: g {(<object>g).shape} must be half of x {(<object>x).shape} along axis {axis}")
        g = contiguous_as(g, cnp.PyArray_TYPE(x))
        gradient = <char *>cnp.PyArray_DATA(g)
        y = empty_like(x)
    with nogil:
        tc_gate(_level, cnp.PyArray_ITEMSIZE(x), <const char *>cnp.PyArray_DATA(x), gradient, <char *>cnp.PyArray_DATA(y),
                rows, run, n_threads(rows * run, HEAVY))
    return y


def glu(cnp.ndarray x not None, int axis):
    """a sigmoid(b), with a and b the halves of x along `axis`."""
    return _gate("glu", x, None, axis)


def glu_grad(cnp.ndarray g not None, cnp.ndarray x not None, int axis):
    """The gradient of glu: (g s, g a s (1 - s)) along `axis`, s = sigmoid(b)."""
    return _gate("glu_grad", x, g, axis)
