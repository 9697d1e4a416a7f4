"""Elementwise kernels; what each computes stands in tinygrad_course/backend/reference/elementwise.py.

Design:
* float32 and float64 run in our own loops (elementwise_impl.h), whatever their layout.  Two doors lead there: the fast
  one, for contiguous operands of one shape or with one number on one side, goes straight from the arguments to the
  loop and costs about 50 ns over the arithmetic; the other one plans a walk over broadcast or strided operands
  (elementwise.h).  Operands without a unit inner stride are copied first.
* Other dtypes go to the NumPy ufunc of the same meaning, with its warnings off as ours gives none.
* Arguments are `cnp.ndarray`, checked with three macros: a memoryview costs 85 ns per argument.
* Outputs are fresh C-contiguous arrays, from the pool once they are large enough.
* An output element depends on its operands only, not on its position, so threads cannot change a result.
* `pow` with one exponent of 2, 3, 1, -1, -2, 0.5 or -0.5 is products, a copy, divisions or roots, as in torch (so
  pow(-inf, 0.5) is NaN where C99 says inf); otherwise float32 is computed in vectors, float64 by libm.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t

from tinygrad_course.kernels.arrays cimport same_dims, size_of
from tinygrad_course.kernels.copy cimport copied, movable
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil
    bint PyArray_ISNOTSWAPPED(cnp.ndarray) nogil

cdef extern from "elementwise.h" nogil:
    ctypedef void (*tc_loop)(const char *const *inputs, char *out, ptrdiff_t n, int fixed) noexcept nogil
    ctypedef struct tc_operand:
        const char *data
        int nd
        const ptrdiff_t *dims
        const ptrdiff_t *strides
        ptrdiff_t item
    ctypedef struct tc_walk:
        tc_loop loop
        char *out
        ptrdiff_t out_item
    enum:
        TC_ADD, TC_SUB, TC_MUL, TC_DIV, TC_POW, TC_MAXIMUM, TC_MINIMUM, TC_TANH_GRAD, TC_SIGMOID_GRAD, TC_RELU_GRAD
        TC_EQ, TC_NE, TC_LT, TC_LE, TC_GT, TC_GE
        TC_NEG, TC_ABS, TC_SIGN, TC_SQRT, TC_EXP, TC_LOG, TC_TANH, TC_SIGMOID, TC_RELU
        TC_COPY, TC_SQUARE, TC_CUBE, TC_RECIPROCAL, TC_RSQRT, TC_RECIPROCAL_SQUARE, TC_LOGICAL_NOT
        TC_WHERE, TC_CLAMP
        TC_MAX_ND
    const tc_loop *tc_chosen[2]
    int tc_choose_loops()
    int tc_plan(tc_walk *w, int nin, const tc_operand *operands, int nd, const ptrdiff_t *dims)
    void tc_walk_all(const tc_walk *w, int threads)
    void tc_walk_flat(tc_loop loop, int nin, const char *const *inputs, const ptrdiff_t *item, char *out,
                      ptrdiff_t out_item, ptrdiff_t n, int fixed, int threads)

KERNELS = (
    "abs", "add", "cast", "div", "eq", "exp", "ge", "gt", "le", "log", "logical_not", "lt", "maximum", "minimum", "mul",
    "ne", "neg", "pow", "relu", "relu_grad", "sigmoid", "sigmoid_grad", "sign", "sqrt", "sub", "tanh", "tanh_grad",
    "where",
)

if tc_choose_loops() < 0:
    raise ImportError("TINYGRAD_COURSE_ISA must be base, v3, v4 or amx")

cdef enum:
    LIGHT = 131072    # elements that are worth a thread: additions and the like, bound by memory
    HEAVY = 32768     # exp and the like

from numpy import errstate as quiet


cdef inline int _float_kind(cnp.ndarray x) noexcept nogil:
    """Row of `tc_chosen`: 0 float32, 1 float64, -1 anything else."""
    cdef int t = cnp.PyArray_TYPE(x)
    return 0 if t == cnp.NPY_FLOAT32 else 1 if t == cnp.NPY_FLOAT64 else -1


cdef inline cnp.ndarray _new(cnp.ndarray like, int typenum):
    """Uninitialised array of the shape of `like`."""
    return pool_empty(cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), typenum)


cdef inline void _flat(tc_loop loop, int nin, const char *const *inputs, cnp.ndarray out, ptrdiff_t item, int fixed,
                       Py_ssize_t grain) noexcept:
    """Contiguous operands with `item` bytes per element."""
    cdef ptrdiff_t n = size_of(out)
    cdef ptrdiff_t items[3]
    if n < 2 * grain:
        loop(inputs, <char *>cnp.PyArray_DATA(out), n, fixed)
        return
    items[0] = items[1] = items[2] = item
    with nogil:
        tc_walk_flat(loop, nin, inputs, items, <char *>cnp.PyArray_DATA(out), cnp.PyArray_ITEMSIZE(out), n, fixed,
                     n_threads(n, grain))


cdef cnp.ndarray _walk(str name, tc_loop loop, int nin, cnp.ndarray x, cnp.ndarray y, cnp.ndarray z, int out_type,
                       Py_ssize_t grain):
    """Any layout, any broadcast; x, y, z are the first `nin` operands, the rest repeats x."""
    cdef tc_operand operands[3]
    cdef tc_walk w
    cdef ptrdiff_t dims[TC_MAX_ND]
    cdef ptrdiff_t own
    cdef cnp.ndarray operand, out
    cdef list held = [x, y, z]
    cdef int nd = max(cnp.PyArray_NDIM(x), cnp.PyArray_NDIM(y), cnp.PyArray_NDIM(z)), k, d, bad
    for d in range(nd):
        dims[d] = 1
    for k in range(nin):
        operand = held[k]
        if not cnp.PyArray_ISALIGNED(operand) or not PyArray_ISNOTSWAPPED(operand):
            operand = held[k] = np.array(operand, dtype=operand.dtype.newbyteorder("="), order="C")
        for d in range(cnp.PyArray_NDIM(operand)):
            own = cnp.PyArray_DIM(operand, d)
            bad = nd - cnp.PyArray_NDIM(operand) + d
            if dims[bad] == 1:
                dims[bad] = own
            elif own != 1 and own != dims[bad]:
                shapes = ", ".join([str((<object>a).shape) for a in held[:nin]])
                raise ValueError(f"{name}: the shapes {shapes} do not broadcast: {own} against {dims[bad]} along "
                                 f"dimension {bad}. Sizes must be equal or 1.")
    bad = 0
    while bad >= 0:
        for k in range(nin):
            operand = held[k]
            operands[k].data = <const char *>cnp.PyArray_DATA(operand)
            operands[k].nd = cnp.PyArray_NDIM(operand)
            operands[k].dims = <const ptrdiff_t *>cnp.PyArray_DIMS(operand)
            operands[k].strides = <const ptrdiff_t *>cnp.PyArray_STRIDES(operand)
            operands[k].item = cnp.PyArray_ITEMSIZE(operand)
        bad = tc_plan(&w, nin, operands, nd, dims)
        if bad >= 0:
            held[bad] = copied(held[bad])
    out = pool_empty(nd, <cnp.npy_intp *>dims, out_type)
    w.loop = loop
    w.out = <char *>cnp.PyArray_DATA(out)
    w.out_item = cnp.PyArray_ITEMSIZE(out)
    with nogil:
        tc_walk_all(&w, n_threads(cnp.PyArray_SIZE(out), grain))
    return out


cdef cnp.ndarray _ufunc(object function, tuple operands):
    """The NumPy way, for dtypes that our loops do not know."""
    with quiet(all="ignore"):
        return np.asarray(function(*operands))


cdef inline cnp.ndarray _unary(str name, int which, cnp.ndarray x, bint to_bool, Py_ssize_t grain):
    cdef int kind = _float_kind(x)
    cdef int out_type = cnp.NPY_BOOL if to_bool else cnp.PyArray_TYPE(x)
    cdef cnp.ndarray out
    cdef const char *inputs[1]
    if kind < 0:
        return None
    if PyArray_ISCARRAY_RO(x):
        out = _new(x, out_type)
        inputs[0] = <const char *>cnp.PyArray_DATA(x)
        _flat(tc_chosen[kind][which], 1, inputs, out, cnp.PyArray_ITEMSIZE(x), 0, grain)
        return out
    return _walk(name, tc_chosen[kind][which], 1, x, x, x, out_type, grain)


cdef inline cnp.ndarray _binary(str name, int which, cnp.ndarray x, cnp.ndarray y, bint to_bool, Py_ssize_t grain):
    cdef int kind = _float_kind(x)
    cdef int out_type = cnp.NPY_BOOL if to_bool else cnp.PyArray_TYPE(x)
    cdef int fixed
    cdef cnp.ndarray out, shape
    cdef const char *inputs[2]
    if kind < 0 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y):
        return None
    if PyArray_ISCARRAY_RO(x) and PyArray_ISCARRAY_RO(y):
        if same_dims(x, y):
            shape = x
            fixed = 0
        elif cnp.PyArray_SIZE(y) == 1 and cnp.PyArray_NDIM(y) <= cnp.PyArray_NDIM(x):
            shape = x
            fixed = 2
        elif cnp.PyArray_SIZE(x) == 1 and cnp.PyArray_NDIM(x) <= cnp.PyArray_NDIM(y):
            shape = y
            fixed = 1
        else:
            return _walk(name, tc_chosen[kind][which], 2, x, y, x, out_type, grain)
        out = _new(shape, out_type)
        inputs[0] = <const char *>cnp.PyArray_DATA(x)
        inputs[1] = <const char *>cnp.PyArray_DATA(y)
        _flat(tc_chosen[kind][which], 2, inputs, out, cnp.PyArray_ITEMSIZE(x), fixed, grain)
        return out
    return _walk(name, tc_chosen[kind][which], 2, x, y, x, out_type, grain)


cdef cnp.ndarray _widened(object kernel, tuple operands):
    """Composite kernels of other dtypes: in float32 (half) or float64 (integers), and back to half."""
    cdef object dtype = operands[0].dtype
    cdef object wide = np.result_type(dtype, np.float32)
    if wide == dtype:
        raise TypeError(f"{kernel.__name__}: dtype {dtype} is not supported")
    out = kernel(*[a.astype(wide) for a in operands])
    return out.astype(dtype) if dtype.kind == "f" else out


# ---- the loops themselves, for the engine (direct.pyx)

# Kernels that are one loop for every operand, by name.
LOOPS = {
    "add": TC_ADD, "sub": TC_SUB, "mul": TC_MUL, "div": TC_DIV, "maximum": TC_MAXIMUM, "minimum": TC_MINIMUM,
    "tanh_grad": TC_TANH_GRAD, "sigmoid_grad": TC_SIGMOID_GRAD, "relu_grad": TC_RELU_GRAD,
    "eq": TC_EQ, "ne": TC_NE, "lt": TC_LT, "le": TC_LE, "gt": TC_GT, "ge": TC_GE,
    "neg": TC_NEG, "abs": TC_ABS, "sign": TC_SIGN, "sqrt": TC_SQRT, "exp": TC_EXP, "log": TC_LOG, "tanh": TC_TANH,
    "sigmoid": TC_SIGMOID, "relu": TC_RELU, "logical_not": TC_LOGICAL_NOT,
}


cdef inline bint _to_bool(int loop) noexcept nogil:
    return TC_EQ <= loop <= TC_GE or loop == TC_LOGICAL_NOT


cdef inline Py_ssize_t _grain(int loop) noexcept nogil:
    return HEAVY if loop in (TC_EXP, TC_LOG, TC_TANH, TC_SIGMOID) else LIGHT


cdef object loop_unary(int loop, cnp.ndarray x):
    if _float_kind(x) < 0 or not PyArray_ISCARRAY_RO(x):
        return None
    return _loop(loop, 1, x, x, x, 0)


cdef object loop_binary(int loop, cnp.ndarray x, cnp.ndarray y):
    if (_float_kind(x) < 0 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y) or not PyArray_ISCARRAY_RO(x)
            or not PyArray_ISCARRAY_RO(y)):
        return None
    if same_dims(x, y):
        return _loop(loop, 2, x, y, x, 0)
    if size_of(y) == 1 and cnp.PyArray_NDIM(y) <= cnp.PyArray_NDIM(x):
        return _loop(loop, 2, x, y, x, 2)
    if size_of(x) == 1 and cnp.PyArray_NDIM(x) <= cnp.PyArray_NDIM(y):
        return _loop(loop, 2, x, y, y, 1)
    return None


cdef inline cnp.ndarray _loop(int loop, int nin, cnp.ndarray x, cnp.ndarray y, cnp.ndarray like, int fixed):
    cdef cnp.ndarray out = _new(like, cnp.NPY_BOOL if _to_bool(loop) else cnp.PyArray_TYPE(x))
    cdef const char *inputs[2]
    inputs[0] = <const char *>cnp.PyArray_DATA(x)
    inputs[1] = <const char *>cnp.PyArray_DATA(y)
    _flat(tc_chosen[_float_kind(x)][loop], nin, inputs, out, cnp.PyArray_ITEMSIZE(x), fixed, _grain(loop))
    return out


# ---- arithmetic


def add(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x + y."""
    z = _binary("add", TC_ADD, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.add, (x, y))


def sub(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x - y."""
    z = _binary("sub", TC_SUB, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.subtract, (x, y))


def mul(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x * y."""
    z = _binary("mul", TC_MUL, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.multiply, (x, y))


def div(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x / y."""
    z = _binary("div", TC_DIV, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.divide, (x, y))


def pow(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x ** y as in C99."""
    cdef double e
    cdef int which = -1
    if (cnp.PyArray_SIZE(y) == 1 and cnp.PyArray_NDIM(y) <= cnp.PyArray_NDIM(x) and _float_kind(x) >= 0
            and cnp.PyArray_TYPE(x) == cnp.PyArray_TYPE(y) and PyArray_ISCARRAY_RO(y)):
        if _float_kind(y) == 0:
            e = (<float *>cnp.PyArray_DATA(y))[0]
        else:
            e = (<double *>cnp.PyArray_DATA(y))[0]
        if e == 2:
            which = TC_SQUARE
        elif e == 0.5:
            which = TC_SQRT
        elif e == 1:
            which = TC_COPY
        elif e == -1:
            which = TC_RECIPROCAL
        elif e == 3:
            which = TC_CUBE
        elif e == -0.5:
            which = TC_RSQRT
        elif e == -2:
            which = TC_RECIPROCAL_SQUARE
        if which >= 0:
            return _unary("pow", which, x, False, LIGHT)
    z = _binary("pow", TC_POW, x, y, False, HEAVY)
    return z if z is not None else _ufunc(np.power, (x, y))


def maximum(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = max(x, y), NaN if either is."""
    z = _binary("maximum", TC_MAXIMUM, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.maximum, (x, y))


def minimum(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = min(x, y), NaN if either is."""
    z = _binary("minimum", TC_MINIMUM, x, y, False, LIGHT)
    return z if z is not None else _ufunc(np.minimum, (x, y))


# ---- one operand


def neg(cnp.ndarray x not None):
    """y = -x."""
    y = _unary("neg", TC_NEG, x, False, LIGHT)
    return y if y is not None else _ufunc(np.negative, (x,))


def abs(cnp.ndarray x not None):
    """y = |x|."""
    y = _unary("abs", TC_ABS, x, False, LIGHT)
    return y if y is not None else _ufunc(np.absolute, (x,))


def sign(cnp.ndarray x not None):
    """y = -1, 0 or 1; NaN stays NaN."""
    y = _unary("sign", TC_SIGN, x, False, LIGHT)
    return y if y is not None else _ufunc(np.sign, (x,))


def sqrt(cnp.ndarray x not None):
    """y = x ** 0.5."""
    y = _unary("sqrt", TC_SQRT, x, False, LIGHT)
    return y if y is not None else _ufunc(np.sqrt, (x,))


def exp(cnp.ndarray x not None):
    """y = e ** x."""
    y = _unary("exp", TC_EXP, x, False, HEAVY)
    return y if y is not None else _ufunc(np.exp, (x,))


def log(cnp.ndarray x not None):
    """y = ln x."""
    y = _unary("log", TC_LOG, x, False, HEAVY)
    return y if y is not None else _ufunc(np.log, (x,))


def tanh(cnp.ndarray x not None):
    """y = tanh x."""
    y = _unary("tanh", TC_TANH, x, False, HEAVY)
    return y if y is not None else _ufunc(np.tanh, (x,))


def sigmoid(cnp.ndarray x not None):
    """y = 1 / (1 + e^-x)."""
    y = _unary("sigmoid", TC_SIGMOID, x, False, HEAVY)
    return y if y is not None else _widened(sigmoid, (x,))


def relu(cnp.ndarray x not None):
    """y = max(x, 0)."""
    y = _unary("relu", TC_RELU, x, False, LIGHT)
    return y if y is not None else _ufunc(np.maximum, (x, np.zeros((), x.dtype)))


def logical_not(cnp.ndarray x not None):
    """y = (x == 0)."""
    y = _unary("logical_not", TC_LOGICAL_NOT, x, True, LIGHT)
    return y if y is not None else _ufunc(np.logical_not, (x,))


# ---- adjoints of activations


def tanh_grad(cnp.ndarray g not None, cnp.ndarray y not None):
    """gx = g * (1 - y * y)."""
    z = _binary("tanh_grad", TC_TANH_GRAD, g, y, False, LIGHT)
    return z if z is not None else _widened(tanh_grad, (g, y))


def sigmoid_grad(cnp.ndarray g not None, cnp.ndarray y not None):
    """gx = g * y * (1 - y)."""
    z = _binary("sigmoid_grad", TC_SIGMOID_GRAD, g, y, False, LIGHT)
    return z if z is not None else _widened(sigmoid_grad, (g, y))


def relu_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """gx = 0 where x <= 0, else g."""
    z = _binary("relu_grad", TC_RELU_GRAD, g, x, False, LIGHT)
    return z if z is not None else np.asarray(np.where(x <= 0, np.zeros((), g.dtype), g))


# ---- comparison


def eq(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x == y)."""
    z = _binary("eq", TC_EQ, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.equal, (x, y))


def ne(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x != y)."""
    z = _binary("ne", TC_NE, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.not_equal, (x, y))


def lt(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x < y)."""
    z = _binary("lt", TC_LT, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.less, (x, y))


def le(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x <= y)."""
    z = _binary("le", TC_LE, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.less_equal, (x, y))


def gt(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x > y)."""
    z = _binary("gt", TC_GT, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.greater, (x, y))


def ge(cnp.ndarray x not None, cnp.ndarray y not None):
    """z = (x >= y)."""
    z = _binary("ge", TC_GE, x, y, True, LIGHT)
    return z if z is not None else _ufunc(np.greater_equal, (x, y))


# ---- selection and conversion


cdef inline cnp.ndarray _three(str name, int which, cnp.ndarray a, cnp.ndarray x, cnp.ndarray y):
    """A loop of three operands; x is a float array, y of its type."""
    cdef tc_loop loop = tc_chosen[_float_kind(x)][which]
    cdef const char *inputs[3]
    cdef cnp.ndarray z
    if (size_of(x) < 2 * LIGHT and same_dims(x, y) and same_dims(x, a) and PyArray_ISCARRAY_RO(x) and PyArray_ISCARRAY_RO(y)
            and PyArray_ISCARRAY_RO(a)):
        z = _new(x, cnp.PyArray_TYPE(x))
        inputs[0] = <const char *>cnp.PyArray_DATA(a)
        inputs[1] = <const char *>cnp.PyArray_DATA(x)
        inputs[2] = <const char *>cnp.PyArray_DATA(y)
        loop(inputs, <char *>cnp.PyArray_DATA(z), size_of(x), 0)
        return z
    return _walk(name, loop, 3, a, x, y, cnp.PyArray_TYPE(x), LIGHT)


def where(cnp.ndarray cond not None, cnp.ndarray x not None, cnp.ndarray y not None):
    """z = x where cond (bool) holds, else y."""
    if _float_kind(x) < 0 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y) or cnp.PyArray_TYPE(cond) != cnp.NPY_BOOL:
        return np.asarray(np.where(cond, x, y))
    return _three("where", TC_WHERE, cond, x, y)


cdef cnp.ndarray clamped(cnp.ndarray x, cnp.ndarray low, cnp.ndarray high):
    if _float_kind(x) < 0 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(low) or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(high):
        return None
    return _three("clamp", TC_CLAMP, x, low, high)


def cast(cnp.ndarray x not None, object dtype):
    """A copy of x in `dtype`."""
    cdef cnp.dtype target = dtype if isinstance(dtype, cnp.dtype) else np.dtype(dtype)
    if target.type_num == cnp.PyArray_TYPE(x) and movable(x):
        return copied(x)
    with quiet(all="ignore"):
        return x.astype(target, order="C")
