"""tgc.special: PyTorch's names of that namespace."""

from typing import Any

from tinygrad_course.ops.activation import sigmoid
from tinygrad_course.ops.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0,
    i0e,
    i1,
    i1e,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from tinygrad_course.ops.functions import exp2, expm1, log1p, logit, xlogy
from tinygrad_course.ops.reduce import logsumexp
from tinygrad_course.ops.rounding import round
from tinygrad_course.ops.softmax import log_softmax, softmax
from tinygrad_course.ops.special import (
    digamma,
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    igamma,
    igammac,
    lgamma,
    log_ndtr,
    mvlgamma,
    ndtr,
    ndtri,
    polygamma,
    polynomial,
    xlog1py,
    zeta,
)
from tinygrad_course.ops.trigonometry import sinc

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit",
    "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax",
    "spherical_bessel_j0", "xlog1py", "xlogy", "zeta",
]

expit = sigmoid
gammainc = igamma
gammaincc = igammac
gammaln = lgamma
modified_bessel_i0 = i0
modified_bessel_i1 = i1
multigammaln = mvlgamma
psi = digamma

# Orthogonal polynomials: input and n are tensors that broadcast, one of them may be a number.  n counts from 0.


def chebyshev_polynomial_t(input: Any, n: Any) -> Any:
    """Chebyshev polynomial of the first kind: cos(n arccos x)."""
    return polynomial("chebyshev_polynomial_t", input, n)


def chebyshev_polynomial_u(input: Any, n: Any) -> Any:
    """Chebyshev polynomial of the second kind: sin((n + 1) t) / sin t with x = cos t."""
    return polynomial("chebyshev_polynomial_u", input, n)


def chebyshev_polynomial_v(input: Any, n: Any) -> Any:
    """Chebyshev polynomial of the third kind: cos((n + 1/2) t) / cos(t / 2) with x = cos t."""
    return polynomial("chebyshev_polynomial_v", input, n)


def chebyshev_polynomial_w(input: Any, n: Any) -> Any:
    """Chebyshev polynomial of the fourth kind: sin((n + 1/2) t) / sin(t / 2) with x = cos t."""
    return polynomial("chebyshev_polynomial_w", input, n)


def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Any:
    """T_n(2 x - 1), orthogonal on [0, 1]."""
    return polynomial("shifted_chebyshev_polynomial_t", input, n)


def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Any:
    """U_n(2 x - 1), orthogonal on [0, 1]."""
    return polynomial("shifted_chebyshev_polynomial_u", input, n)


def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Any:
    """V_n(2 x - 1), orthogonal on [0, 1]."""
    return polynomial("shifted_chebyshev_polynomial_v", input, n)


def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Any:
    """W_n(2 x - 1), orthogonal on [0, 1]."""
    return polynomial("shifted_chebyshev_polynomial_w", input, n)


def hermite_polynomial_h(input: Any, n: Any) -> Any:
    """Hermite polynomial of the physicists: orthogonal for the weight e^(-x^2)."""
    return polynomial("hermite_polynomial_h", input, n)


def hermite_polynomial_he(input: Any, n: Any) -> Any:
    """Hermite polynomial of the probabilists: orthogonal for the weight e^(-x^2 / 2)."""
    return polynomial("hermite_polynomial_he", input, n)


def laguerre_polynomial_l(input: Any, n: Any) -> Any:
    """Laguerre polynomial: orthogonal on [0, inf) for the weight e^-x."""
    return polynomial("laguerre_polynomial_l", input, n)


def legendre_polynomial_p(input: Any, n: Any) -> Any:
    """Legendre polynomial: orthogonal on [-1, 1] for the weight 1."""
    return polynomial("legendre_polynomial_p", input, n)
