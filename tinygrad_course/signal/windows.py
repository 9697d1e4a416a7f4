"""Window functions, by which a stretch of a signal is multiplied before its spectrum is taken.

Names and arguments are those of torch.signal.windows: M points; sym=True gives a window that is its own mirror image, as
filters need it, sym=False the first M of M + 1 points, one period of a periodic function, as spectra need it.  Values are
computed in float64.  The functions at the end are the same windows under the older names of `torch`, periodic by default.

Harris 1978, "On the use of windows for harmonic analysis with the discrete Fourier transform".
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_course.errors import OperandError
from tinygrad_course.ops.arguments import described, integer, number
from tinygrad_course.ops.creation import finish, floating_dtype

__all__ = [
    "bartlett", "bartlett_window", "blackman", "blackman_window", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hamming_window", "hann", "hann_window", "kaiser", "kaiser_window", "nuttall",
]


def bartlett(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A triangle:  w_n = 1 - |2n / (M - 1) - 1|, n = 0 ... M - 1."""
    return _window("bartlett", M, sym, lambda x, last: 1 - np.abs(2 * x / last - 1), dtype, device, requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """w_n = 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1))."""
    return _cosines("blackman", M, (0.42, 0.5, 0.08), sym, dtype, device, requires_grad)


def cosine(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Half a wave:  w_n = sin(pi (n + 1/2) / M)."""
    return _window("cosine", M, sym, lambda x, last: np.sin(np.pi * (x + 0.5) / (last + 1)), dtype, device, requires_grad)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
                device: Any = None, requires_grad: bool = False) -> Any:
    """w_n = e^(-|n - center| / tau), by default around the middle; sym=True allows no other center."""
    if not number("exponential", tau, "tau") > 0:
        raise ValueError(f"exponential: tau must be positive, got {tau}")
    if sym and center is not None:
        raise ValueError(f"exponential: a symmetric window has its center in the middle, not at {center}; pass sym=False")

    def values(x: Any, last: int) -> Any:
        return np.exp(-np.abs(x - (last / 2 if center is None else center)) / tau)

    return _window("exponential", M, sym, values, dtype, device, requires_grad)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:
    """w_n = e^(-((n - (M - 1) / 2) / std)^2 / 2)."""
    if not number("gaussian", std, "std") > 0:
        raise ValueError(f"gaussian: std must be positive, got {std}")

    def values(x: Any, last: int) -> Any:
        return np.exp(-(((x - last / 2) / std) ** 2) / 2)

    return _window("gaussian", M, sym, values, dtype, device, requires_grad)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, device: Any = None,
                   requires_grad: bool = False) -> Any:
    """w_n = sum over k of (-1)^k a_k cos(2 pi k n / (M - 1))."""
    if not isinstance(a, Iterable):
        raise OperandError(f"general_cosine: a must be a list of weights, got {described(a)}")
    weights = tuple(a)
    if not weights:
        raise ValueError("general_cosine: a must hold at least one weight")
    return _cosines("general_cosine", M, weights, sym, dtype, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, device: Any = None,
                    requires_grad: bool = False) -> Any:
    """w_n = alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    alpha = number("general_hamming", alpha, "alpha")
    return _cosines("general_hamming", M, (alpha, 1 - alpha), sym, dtype, device, requires_grad)


def hamming(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """w_n = 0.54 - 0.46 cos(2 pi n / (M - 1))."""
    return _cosines("hamming", M, (0.54, 0.46), sym, dtype, device, requires_grad)


def hann(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """w_n = 1/2 - 1/2 cos(2 pi n / (M - 1)) = sin^2(pi n / (M - 1))."""
    return _cosines("hann", M, (0.5, 0.5), sym, dtype, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:
    """w_n = I0(beta sqrt(1 - (2n / (M - 1) - 1)^2)) / I0(beta), with the modified Bessel function I0.

    Kaiser and Schafer 1980, "On the use of the I0-sinh window for spectrum analysis"."""
    if not number("kaiser", beta, "beta") >= 0:
        raise ValueError(f"kaiser: beta must not be negative, got {beta}")

    def values(x: Any, last: int) -> Any:
        inside = np.maximum(1 - (2 * x / last - 1) ** 2, 0.0)
        return np.i0(beta * np.sqrt(inside)) / np.i0(beta)

    return _window("kaiser", M, sym, values, dtype, device, requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Four cosines with the lowest side lobes (Nuttall 1981, "Some windows with very good sidelobe behavior")."""
    return _cosines("nuttall", M, (0.3635819, 0.4891775, 0.1365995, 0.0106411), sym, dtype, device, requires_grad)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None,
                    requires_grad: bool = False) -> Any:
    """bartlett() of that length."""
    return bartlett(window_length, sym=not periodic, dtype=dtype, device=device, requires_grad=requires_grad)


def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None,
                    requires_grad: bool = False) -> Any:
    """blackman() of that length."""
    return blackman(window_length, sym=not periodic, dtype=dtype, device=device, requires_grad=requires_grad)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
                   device: Any = None, requires_grad: bool = False) -> Any:
    """w_n = alpha - beta cos(2 pi n / (M - 1))."""
    return _cosines("hamming_window", window_length, (alpha, beta), not periodic, dtype, device, requires_grad)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None,
                requires_grad: bool = False) -> Any:
    """hann() of that length."""
    return hann(window_length, sym=not periodic, dtype=dtype, device=device, requires_grad=requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, device: Any = None,
                  requires_grad: bool = False) -> Any:
    """kaiser() of that length."""
    return kaiser(window_length, beta=beta, sym=not periodic, dtype=dtype, device=device, requires_grad=requires_grad)


def _cosines(name: str, M: int, a: tuple[float, ...], sym: bool, dtype: Any, device: Any, requires_grad: bool) -> Any:
    a = tuple([number(name, weight, "a weight") for weight in a])

    def values(x: Any, last: int) -> Any:
        angle = 2 * np.pi * x / last
        return sum((-1) ** k * weight * np.cos(k * angle) for k, weight in enumerate(a))

    return _window(name, M, sym, values, dtype, device, requires_grad)


def _window(name: str, M: int, sym: bool, values: Callable[[Any, int], Any], dtype: Any, device: Any,
            requires_grad: bool) -> Any:
    """values(n, last n) at M points; a window of one point is 1."""
    M = integer(name, "M", M)
    if M < 0:
        raise ValueError(f"{name}: the length of a window must not be negative, got {M}")
    kind = floating_dtype(name, dtype)
    last = M - 1 if sym else M
    array = values(np.arange(M, dtype=np.float64), last) if M > 1 else np.ones(M)
    return finish(np.asarray(array).astype(kind), device, requires_grad)
