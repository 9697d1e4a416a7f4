"""Special functions: the error function and gamma in NumPy and the standard library, the rest from SciPy.

Everything is computed in float64 and rounded once to the type of the input.  DLMF is the Digital Library of Mathematical
Functions, https://dlmf.nist.gov.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course.backend.reference.elementwise import Array, _array, _quiet
from tinygrad_course.errors import DependencyError

KERNELS: tuple[str, ...] = (
    "airy_ai", "bessel_i", "bessel_ie", "bessel_j", "bessel_k", "bessel_ke", "bessel_y", "digamma", "entr", "erf", "erfc",
    "erfcx", "erfinv", "igamma", "igammac", "lgamma", "log_ndtr", "ndtri", "polygamma", "polynomial", "spherical_bessel_j",
    "xlog1py", "zeta",
)


def _scipy(name: str, x: Array) -> Callable[..., Any]:
    """A function of scipy.special, or of its twin for CuPy."""
    module = "scipy.special" if isinstance(x, np.ndarray) else "cupyx.scipy.special"
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise DependencyError(f"the function {name} comes from the package SciPy, which is not installed: "
                              'pip install "tinygrad_course[special]"') from error
    return found


def _wide(x: Array) -> Array:
    return x.astype(np.float64)


def _from_scipy(name: str, doc: str) -> Callable[..., Array]:
    """A function of scipy.special as a kernel."""

    @_quiet
    def kernel(x: Array, *others: Array) -> Array:
        return _array(_scipy(name, x)(_wide(x), *[_wide(y) for y in others]).astype(x.dtype))

    kernel.__doc__ = doc
    return kernel


def _from_math(name: str, doc: str, function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of one float, called for every value; on the GPU CuPy's."""
    every = np.frompyfunc(function, 1, 1)

    @_quiet
    def kernel(x: Array) -> Array:
        if not isinstance(x, np.ndarray):
            return _array(_scipy(name, x)(x))
        return np.asarray(every(x), np.float64).astype(x.dtype)

    kernel.__doc__ = doc
    return kernel


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole; beyond 1e305
        return math.inf


erf = _from_math("erf", "y = 2 / sqrt(pi) int_0^x e^-t^2 dt.", math.erf)
erfc = _from_math("erfc", "y = 1 - erf x, accurate for large x.", math.erfc)
lgamma = _from_math("gammaln", "y = ln |Gamma(x)|; inf at 0, -1, -2, ...", _lgamma)

# Wichura, Algorithm AS 241: The percentage points of the normal distribution, Applied Statistics 37 (1988), PPND16.
# Coefficients of numerator and denominator, the constant first.
_CENTRE = ((3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
            4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
           (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
            3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3))
_TAIL = ((1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
          1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
         (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
          1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9))
_FAR_TAIL = ((6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
              2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
             (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
              7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15))


def _ratio(coefficients: Any, x: Array) -> Array:
    above, below = np.zeros_like(x), np.zeros_like(x)
    for a, b in zip(reversed(coefficients[0]), reversed(coefficients[1]), strict=True):
        above, below = above * x + a, below * x + b
    return above / below


def _normal_quantile(centre: Array, tail: Array) -> Array:
    """y with Phi(y) = 1/2 + centre, given both centre and tail = 1/2 - |centre|: each is exact where the other is not."""
    depth = np.sqrt(-np.log(np.where(tail > 0, tail, 1.0)))
    far = np.where(depth <= 5, _ratio(_TAIL, depth - 1.6), _ratio(_FAR_TAIL, depth - 5))
    y = np.where(np.abs(centre) <= 0.425, centre * _ratio(_CENTRE, 0.180625 - centre * centre), np.copysign(far, centre))
    return np.where(tail > 0, y, np.where(tail == 0, np.copysign(np.inf, centre), np.nan))


@_quiet
def erfinv(x: Array) -> Array:
    """y with erf y = x; +-inf at +-1, NaN beyond."""
    wide = _wide(x)
    return _array((_normal_quantile(wide / 2, (1 - np.abs(wide)) / 2) / math.sqrt(2)).astype(x.dtype))


@_quiet
def ndtri(x: Array) -> Array:
    """y with Phi(y) = x, Phi the normal distribution function; -inf at 0, inf at 1, NaN outside."""
    wide = _wide(x)
    return _array(_normal_quantile(wide - 0.5, np.minimum(wide, 1 - wide)).astype(x.dtype))


@_quiet
def digamma(x: Array) -> Array:
    """y = Gamma'(x) / Gamma(x): -inf at 0, NaN at the other poles.

    Below 1/2 by reflection, psi(x) = psi(1 - x) - pi / tan(pi x) (DLMF 5.5.4), then up by psi(x) = psi(x + 1) - 1/x until the
    asymptotic series ln x - 1/(2x) - sum_k B_2k / (2k x^2k) (DLMF 5.11.2) is exact."""
    wide = _wide(x)
    low = wide < 0.5
    z = np.where(low, 1 - wide, wide)
    y = np.zeros_like(z)
    for _ in range(10):
        y = y - np.where(z < 10, 1 / z, 0.0)
        z = np.where(z < 10, z + 1, z)
    series = _bernoulli_series(z, [b / (2 * k) for k, b in enumerate(_BERNOULLI, 1)])
    y = y + (np.log(z) - 0.5 / z - series)
    turn = math.pi * (wide - np.rint(wide))  # from the nearest pole, so that it is exact near 0
    y = np.where(low, y - math.pi / np.tan(turn), y)
    y = np.where((wide <= 0) & (wide == np.floor(wide)), np.where(wide == 0, np.copysign(np.inf, -wide), np.nan), y)
    return _array(y.astype(x.dtype))


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)  # B_2, B_4, ...


def _bernoulli_series(z: Array, coefficients: list[float]) -> Array:
    """sum_k coefficients[k - 1] / z^2k, k from 1."""
    square = 1 / (z * z)
    total = np.zeros_like(z)
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * square
    return total


@_quiet
def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of digamma; n = 1 as digamma, from n = 2 on (-1)^(n+1) n! zeta(n + 1, x) (DLMF 25.11.12)."""
    if n == 0:
        return digamma(x)
    wide = _wide(x)
    if n > 1:
        factor = (-1.0) ** (n + 1) * math.gamma(n + 1) if n < 171 else (-1.0) ** (n + 1) * math.inf
        return _array((factor * _scipy("zeta", x)(n + 1.0, wide)).astype(x.dtype))
    low = wide < 0.5
    z = np.where(low, 1 - wide, wide)
    y = np.zeros_like(z)
    for _ in range(10):
        y = y + np.where(z < 10, 1 / (z * z), 0.0)
        z = np.where(z < 10, z + 1, z)
    y = y + (1 / z + 0.5 / (z * z) + _bernoulli_series(z, list(_BERNOULLI)) / z)
    y = np.where(low, (math.pi / np.sin(math.pi * np.remainder(wide, 1.0))) ** 2 - y, y)  # DLMF 5.15.6
    return _array(y.astype(x.dtype))


@_quiet
def entr(x: Array) -> Array:
    """y = -x ln x; 0 at 0, -inf below."""
    y = np.where(x == 0, np.zeros_like(x, shape=()), -x * np.log(x))
    return _array(np.where(x < 0, np.full_like(x, -np.inf, shape=()), y))


@_quiet
def xlog1py(x: Array, y: Array) -> Array:
    """z = x ln(1 + y); 0 where x = 0, unless y is NaN."""
    return _array(np.where((x == 0) & ~np.isnan(y), np.zeros_like(x, shape=()), x * np.log1p(y)))


erfcx = _from_scipy("erfcx", "y = e^(x^2) erfc x.")
log_ndtr = _from_scipy("log_ndtr", "y = the logarithm of the normal distribution function.")
zeta = _from_scipy("zeta", "z = sum_k (k + y)^-x, k from 0: the zeta function of Hurwitz.")
igamma = _from_scipy("gammainc", "z = int_0^y t^(x-1) e^-t dt / Gamma(x).")
igammac = _from_scipy("gammaincc", "z = int_y^inf t^(x-1) e^-t dt / Gamma(x).")


def airy_ai(x: Array) -> Array:
    """y = Ai x, which is 0 in float64 long before SciPy gives up and says NaN."""
    y = _scipy("airy", x)(_wide(x))[0]
    return _array(np.where(x > 1000, 0.0, y).astype(x.dtype))


def _bessel(usual: tuple[str, str], any_order: str, doc: str) -> Callable[[Array, int], Array]:
    """A Bessel function by its order: SciPy has faster and more accurate ones for 0 and 1."""

    @_quiet
    def kernel(x: Array, order: int) -> Array:
        wide = _wide(x)
        y = _scipy(usual[order], x)(wide) if order in (0, 1) else _scipy(any_order, x)(float(order), wide)
        return _array(y.astype(x.dtype))

    kernel.__doc__ = doc
    return kernel


bessel_j = _bessel(("j0", "j1"), "jv", "y = J_n(x): Bessel functions of the first kind.")
bessel_y = _bessel(("y0", "y1"), "yn", "y = Y_n(x): Bessel functions of the second kind; NaN below 0.")
bessel_i = _bessel(("i0", "i1"), "iv", "y = I_n(x): modified Bessel functions of the first kind.")
bessel_ie = _bessel(("i0e", "i1e"), "ive", "y = e^-|x| I_n(x).")
bessel_k = _bessel(("k0", "k1"), "kn", "y = K_n(x): modified Bessel functions of the second kind; NaN below 0.")
bessel_ke = _bessel(("k0e", "k1e"), "kve", "y = e^x K_n(x).")


@_quiet
def spherical_bessel_j(x: Array, order: int) -> Array:
    """y = j_n(x) = sqrt(pi / (2 x)) J_{n+1/2}(x)."""
    wide = _wide(x)
    y = np.where(np.isnan(wide), wide, _scipy("spherical_jn", x)(order, wide))
    return _array(y.astype(x.dtype))


# Orthogonal polynomials (DLMF 18.9.1): P_0 = 1, P_1 = a x + b, P_{k+1} = (A_k x + B_k) P_k - C_k P_{k-1}.
# Each entry: (a, b), then k -> (A_k, B_k, C_k).
RECURRENCES: dict[str, tuple[tuple[float, float], Callable[[int], tuple[float, float, float]]]] = {
    "chebyshev_polynomial_t": ((1, 0), lambda k: (2, 0, 1)),
    "chebyshev_polynomial_u": ((2, 0), lambda k: (2, 0, 1)),
    "chebyshev_polynomial_v": ((2, -1), lambda k: (2, 0, 1)),
    "chebyshev_polynomial_w": ((2, 1), lambda k: (2, 0, 1)),
    "shifted_chebyshev_polynomial_t": ((2, -1), lambda k: (4, -2, 1)),
    "shifted_chebyshev_polynomial_u": ((4, -2), lambda k: (4, -2, 1)),
    "shifted_chebyshev_polynomial_v": ((4, -3), lambda k: (4, -2, 1)),
    "shifted_chebyshev_polynomial_w": ((4, -1), lambda k: (4, -2, 1)),
    "hermite_polynomial_h": ((2, 0), lambda k: (2, 0, 2 * k)),
    "hermite_polynomial_he": ((1, 0), lambda k: (1, 0, k)),
    "laguerre_polynomial_l": ((-1, 1), lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1))),
    "legendre_polynomial_p": ((1, 0), lambda k: ((2 * k + 1) / (k + 1), 0, k / (k + 1))),
}


@_quiet
def polynomial(x: Array, n: Array, family: str, order: int) -> Array:
    """The derivative of that order of the n-th polynomial of a family; 0 where n < 0.  n is rounded towards 0.

    The recurrence is run once, up to the largest n, together with its derivatives:
    P^(m)_{k+1} = (A x + B) P^(m)_k + m A P^(m-1)_k - C P^(m)_{k-1}."""
    (a, b), step = RECURRENCES[family]
    wide, degree = np.broadcast_arrays(_wide(x), np.trunc(n))
    zero = np.zeros_like(wide)
    last = [zero + 1, *[zero] * order]
    now = [a * wide + b, zero + a, *[zero] * order][: order + 1]
    y = np.where(degree == 0, last[order], zero)
    for k in range(1, int(np.max(degree, initial=0, where=np.isfinite(degree))) + 1):
        y = np.where(degree == k, now[order], y)
        slope, offset, weight = step(k)
        upper = [(slope * wide + offset) * now[m] + (m * slope * now[m - 1] if m else 0) - weight * last[m]
                 for m in range(order + 1)]
        last, now = now, upper
    return _array(y.astype(x.dtype))
