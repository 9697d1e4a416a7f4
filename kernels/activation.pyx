"""Activation functions and their gradients: compiled twins of backend/reference/activation.py.

Design:
* One pass over memory forward, one backward, whatever the formula: as a chain of elementwise kernels gelu reads and
  writes memory nine times.  The functions are expressions in activation_impl.h.
* The gradient kernel takes x and not y: y alone does not tell x for functions that are not monotonic (gelu, silu, mish).
* The result of one element does not depend on its position (a loop's remainder runs the same arithmetic), so threads
  cannot change a bit.
* Operands that are not contiguous are copied first.
"""

cimport numpy as cnp

from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, empty_like, float_kind
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_SAMESHAPE(cnp.ndarray, cnp.ndarray) nogil

cdef extern from "activation.h" nogil:
    enum:
        TC_GELU, TC_GELU_TANH, TC_SILU, TC_SOFTPLUS, TC_ELU, TC_MISH, TC_HARDSWISH, TC_HARDSIGMOID, TC_SOFTSIGN
        TC_PIECEWISE, TC_MAX_ARGUMENTS
    void tc_activation(int which, int level, Py_ssize_t item, const char *x, const char *g, char *y, Py_ssize_t n,
                       const double *arguments, int threads) noexcept

KERNELS = (
    "elu", "elu_grad", "gelu", "gelu_grad", "gelu_tanh", "gelu_tanh_grad", "hardsigmoid", "hardsigmoid_grad", "hardswish",
    "hardswish_grad", "mish", "mish_grad", "piecewise_linear", "piecewise_linear_grad", "silu", "silu_grad", "softplus",
    "softplus_grad", "softsign", "softsign_grad",
)

cdef enum:
    LIGHT = 131072    # elements that are worth a thread: a few operations, bound by memory
    HEAVY = 16384     # with an exponential

cdef int _level = chosen_level()


cdef cnp.ndarray _run(str name, int which, cnp.ndarray x, cnp.ndarray g, tuple arguments, Py_ssize_t grain):
    """f(x), or g f'(x) if there is a g."""
    cdef double numbers[TC_MAX_ARGUMENTS]
    cdef int i
    float_kind(name, x)
    for i in range(TC_MAX_ARGUMENTS):
        numbers[i] = arguments[i] if i < len(arguments) else 0.0
    x = contiguous(x)
    if g is not None:
        if not PyArray_SAMESHAPE(g, x):
            raise ValueError(f"{name}: g {(<object>g).shape} must have the shape of x, {(<object>x).shape}")
        g = contiguous_as(g, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray y = empty_like(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    cdef char *slope = NULL if g is None else <char *>cnp.PyArray_DATA(g)
    with nogil:
        tc_activation(which, _level, cnp.PyArray_ITEMSIZE(x), <const char *>cnp.PyArray_DATA(x), slope,
                      <char *>cnp.PyArray_DATA(y), n, numbers, n_threads(n, grain))
    return y


def gelu(cnp.ndarray x not None):
    """x Phi(x)."""
    return _run("gelu", TC_GELU, x, None, (), HEAVY)


def gelu_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g (Phi(x) + x phi(x))."""
    return _run("gelu_grad", TC_GELU, x, g, (), HEAVY)


def gelu_tanh(cnp.ndarray x not None):
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    return _run("gelu_tanh", TC_GELU_TANH, x, None, (), HEAVY)


def gelu_tanh_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g times the slope of gelu_tanh."""
    return _run("gelu_tanh_grad", TC_GELU_TANH, x, g, (), HEAVY)


def silu(cnp.ndarray x not None):
    """x sigmoid(x)."""
    return _run("silu", TC_SILU, x, None, (), HEAVY)


def silu_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    return _run("silu_grad", TC_SILU, x, g, (), HEAVY)


def softplus(cnp.ndarray x not None, double beta, double threshold):
    """log(1 + exp(beta x)) / beta without overflow; x where beta x > threshold."""
    return _run("softplus", TC_SOFTPLUS, x, None, (beta, threshold), HEAVY)


def softplus_grad(cnp.ndarray g not None, cnp.ndarray x not None, double beta, double threshold):
    """g sigmoid(beta x), or g where beta x > threshold."""
    return _run("softplus_grad", TC_SOFTPLUS, x, g, (beta, threshold), HEAVY)


def elu(cnp.ndarray x not None, double alpha, double scale, double rate):
    """scale x where x > 0, else scale alpha (exp(rate x) - 1)."""
    return _run("elu", TC_ELU, x, None, (alpha, scale, rate), HEAVY)


def elu_grad(cnp.ndarray g not None, cnp.ndarray x not None, double alpha, double scale, double rate):
    """g scale where x > 0, else g scale alpha rate exp(rate x)."""
    return _run("elu_grad", TC_ELU, x, g, (alpha, scale, rate), HEAVY)


def mish(cnp.ndarray x not None):
    """x tanh(log(1 + exp x))."""
    return _run("mish", TC_MISH, x, None, (), HEAVY)


def mish_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g times the slope of mish."""
    return _run("mish_grad", TC_MISH, x, g, (), HEAVY)


def hardswish(cnp.ndarray x not None):
    """0 up to -3, x from 3 on, x (x + 3) / 6 between."""
    return _run("hardswish", TC_HARDSWISH, x, None, (), LIGHT)


def hardswish_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """0 up to -3, g from 3 on, g (x / 3 + 1 / 2) between."""
    return _run("hardswish_grad", TC_HARDSWISH, x, g, (), LIGHT)


def hardsigmoid(cnp.ndarray x not None):
    """0 up to -3, 1 from 3 on, (x + 3) / 6 between."""
    return _run("hardsigmoid", TC_HARDSIGMOID, x, None, (), LIGHT)


def hardsigmoid_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g / 6 where -3 < x < 3, else 0."""
    return _run("hardsigmoid_grad", TC_HARDSIGMOID, x, g, (), LIGHT)


def softsign(cnp.ndarray x not None):
    """x / (1 + |x|)."""
    return _run("softsign", TC_SOFTSIGN, x, None, (), LIGHT)


def softsign_grad(cnp.ndarray g not None, cnp.ndarray x not None):
    """g / (1 + |x|)^2."""
    return _run("softsign_grad", TC_SOFTSIGN, x, g, (), LIGHT)


def piecewise_linear(cnp.ndarray x not None, double low, double high, tuple lines):
    """Three lines, each (slope, offset): the first where x <= low, the last where x >= high, the second between."""
    return _run("piecewise_linear", TC_PIECEWISE, x, None, (low, high, *lines[0], *lines[1], *lines[2]), LIGHT)


def piecewise_linear_grad(cnp.ndarray g not None, cnp.ndarray x not None, double low, double high, tuple lines):
    """g times the slope of the line that holds at x."""
    return _run("piecewise_linear_grad", TC_PIECEWISE, x, g, (low, high, *lines[0], *lines[1], *lines[2]), LIGHT)
