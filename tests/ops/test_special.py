"""ops/special.py and the namespace tgc.special."""

import math
import sys
from typing import Any

import numpy as np
import pytest
from numpy import polynomial as orthogonal
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, away, exactly, normal, positive
from tests.ops.elementwise_cases import between, of_one
from tests.ops.patterns import torch_function
from tinygrad_course import special
from tinygrad_course.errors import DTypeError, GraphError, OperandError

inf, nan = np.inf, np.nan
LIMITS = (S(exactly([nan, inf, -inf, 0.0, -0.0, 3.0])),)
POLES = (S(exactly([0.0, -0.0, nan, inf, 2.0])),)
broad = between(0.5, 6.0)


def of_torch(name: str) -> Any:
    """torch.special.name."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.special, name)(*args, **kwargs)

    return call


def of_namespace(op: str, name: str, oracle: Any, make: Any, **more: Any) -> Case:
    """A function that only tgc.special has."""
    more = {"torch": of_torch(name), "half": True, "special": LIMITS, **more}
    return Case(op, getattr(special, name), oracle, (S(make(2, 3)), S(make()), S(make(2, 0))), **more)


def erlang(a: Any, x: Any) -> Any:
    """P(a, x) for a whole number a (DLMF 8.4.7)."""
    total = sum(np.where(k < np.asarray(a), x**k / math.factorial(k), 0.0) for k in range(5))
    return 1 - np.exp(-x) * total


def with_order(function: Any) -> Any:
    """The first argument as a constant: there is no derivative by it."""
    return lambda x, a: function(tgc.tensor(a, dtype=x.dtype), x)


def sum_of_powers(q: Any, s: Any) -> Any:
    """sum_k (k + q)^-s: 30 terms, the rest by Euler and Maclaurin."""
    s = np.asarray(s)
    total, n = sum((k + q) ** -s for k in range(30)), q + 30.0
    return total + n ** (1 - s) / (s - 1) + n**-s / 2 + s * n ** (-s - 1) / 12 - s * (s + 1) * (s + 2) * n ** (-s - 3) / 720


def by_degrees(function: Any) -> Any:
    """f(x, n) -> f for tensors of degrees."""
    return lambda x, n: np.vectorize(lambda v, k: function(v, int(k)) if k >= 0 else 0.0, otypes=[float])(x, n)


def basis(kind: Any) -> Any:
    return by_degrees(lambda x, n: kind.basis(n)(x))


def second_kind(x: float, n: int) -> Any:  # T'_{n+1} = (n + 1) U_n
    return orthogonal.Chebyshev.basis(n + 1).deriv()(x) / (n + 1)


def third_kind(x: float, n: int) -> Any:
    return second_kind(x, n) - (second_kind(x, n - 1) if n else 0.0)


def fourth_kind(x: float, n: int) -> Any:
    return second_kind(x, n) + (second_kind(x, n - 1) if n else 0.0)


def shifted(function: Any) -> Any:
    return lambda x, n: function(2 * x - 1, n)


def orthogonal_polynomial(name: str, oracle: Any) -> Case:
    """Values like torch's, which has no derivatives of them; degrees as numbers and as tensors."""
    function = getattr(special, name)
    samples = (S(apart(2, 3), args=(4,)), S(apart(1, 3), args=(np.array([[0], [1], [3], [-2]]),)), S(apart(0, 2), args=(2,)))
    return Case(
        "polynomial",
        lambda x, n: function(x, tgc.tensor(n) if isinstance(n, np.ndarray) else n),
        oracle,
        samples,
        integers=("int64",),
    )


CASES = (
    of_one("erf", sp.erf, normal, special=LIMITS),
    of_one("erfc", sp.erfc, normal, special=LIMITS),
    of_one("erfinv", sp.erfinv, between(-0.9, 0.9), special=(S(exactly([nan, 1.0, -1.0, 2.0, 0.0])),)),
    # Torch's trigamma has ten digits: the oracle and differences are the judges here, at poles test_poles.
    of_one("lgamma", sp.gammaln, broad, special=POLES, torch=None),
    of_one("digamma", sp.digamma, broad, torch=None, special=()),
    Case("lgamma", tgc.lgamma, sp.gammaln, (S(exactly([-0.5, -1.3, -7.6, 0.2])),), tolerance=1e-5),
    Case("digamma", tgc.digamma, sp.digamma, (S(exactly([-0.5, -1.3, -7.6, 0.2])),), tolerance=1e-5),
    Case(
        "polygamma",
        lambda x, n: tgc.polygamma(n, x),
        lambda x, n: sp.polygamma(n, x),
        (*tuple(S(broad(2, 3), args=(n,)) for n in (0, 1, 2, 3)), S(broad(0, 2), args=(1,))),
        tolerance=1e-6,
        integers=("int64",),
        errors=(Error(lambda: tgc.polygamma(-1, tgc.ones(2)), OperandError, "polygamma.*n = -1"),),
    ),
    Case(
        "mvlgamma",
        tgc.mvlgamma,
        lambda x, p: np.vectorize(sp.multigammaln, otypes=[float])(x, p),
        (S(between(2.0, 5.0)(2, 3), args=(1,)), S(between(2.0, 5.0)(2, 3), args=(4,)), S(broad(2, 0), p=2)),
        errors=(Error(lambda: tgc.mvlgamma(tgc.ones(2), 0), OperandError, "mvlgamma.*p.*0"),),
    ),
    Case(
        "igamma",
        with_order(tgc.igamma),
        lambda x, a: erlang(a, x),
        (S(broad(2, 3), args=(2.0,)), S(broad(3), args=([[1.0], [4.0]],))),
        half=True,
        torch=lambda x, a: torch_function("igamma")(x.new_tensor(a), x),
        errors=(Error(lambda: tgc.igamma(tgc.tensor([1]), tgc.tensor([1])), DTypeError, "igamma.*int64"),),
    ),
    Case(
        "igammac",
        with_order(tgc.igammac),
        lambda x, a: 1 - erlang(a, x),
        (S(broad(2, 3), args=(2.0,)), S(broad(3), args=([[1.0], [4.0]],))),
        torch=lambda x, a: torch_function("igammac")(x.new_tensor(a), x),
    ),
    Case(
        "zeta",
        with_order(special.zeta),
        sum_of_powers,
        (S(broad(2, 3), args=(3.0,)), S(broad(3), args=([[1.5], [4.0]],))),
        half=True,
    ),
    of_one("i0", sp.i0, away, special=(S(exactly([nan, 0.0])),)),
    of_namespace("erfcx", "erfcx", lambda x: np.exp(x**2) * sp.erfc(x), away, special=(S(exactly([nan, 0.0])),)),
    of_namespace("ndtr", "ndtr", lambda x: (1 + sp.erf(x / np.sqrt(2))) / 2, normal),
    of_namespace(
        "ndtri",
        "ndtri",
        lambda p: np.sqrt(2) * sp.erfinv(2 * p - 1),
        between(0.1, 0.9),
        special=(S(exactly([nan, 0.0, 1.0, -1.0, 2.0, 0.5])),),
    ),
    of_namespace("log_ndtr", "log_ndtr", lambda x: np.log(sp.erfc(-x / np.sqrt(2)) / 2), normal, special=()),
    of_namespace("entr", "entr", lambda x: np.where(x < 0, -inf, np.where(x == 0, 0.0, -x * np.log(x))), positive),
    Case(
        "xlog1py",
        special.xlog1py,
        lambda x, y: np.where((x == 0) & (y == y), 0.0, x * np.log(1 + y)),
        (S(away(2, 3), positive(3)), S(away(2, 1), positive(1, 2)), S(away(), positive(2))),
        torch=of_torch("xlog1py"),
        half=True,
        special=(S(exactly([0.0, 0.0, 0.0, 1.0, 0.0]), exactly([-1.0, -2.0, 2.0, -1.0, nan])),),
    ),
    orthogonal_polynomial("chebyshev_polynomial_t", basis(orthogonal.Chebyshev)),
    orthogonal_polynomial("chebyshev_polynomial_u", by_degrees(second_kind)),
    orthogonal_polynomial("chebyshev_polynomial_v", by_degrees(third_kind)),
    orthogonal_polynomial("chebyshev_polynomial_w", by_degrees(fourth_kind)),
    orthogonal_polynomial("shifted_chebyshev_polynomial_t", shifted(basis(orthogonal.Chebyshev))),
    orthogonal_polynomial("shifted_chebyshev_polynomial_u", by_degrees(shifted(second_kind))),
    orthogonal_polynomial("shifted_chebyshev_polynomial_v", by_degrees(shifted(third_kind))),
    orthogonal_polynomial("shifted_chebyshev_polynomial_w", by_degrees(shifted(fourth_kind))),
    orthogonal_polynomial("hermite_polynomial_h", basis(orthogonal.Hermite)),
    orthogonal_polynomial("hermite_polynomial_he", basis(orthogonal.HermiteE)),
    orthogonal_polynomial("laguerre_polynomial_l", basis(orthogonal.Laguerre)),
    orthogonal_polynomial("legendre_polynomial_p", basis(orthogonal.Legendre)),
)


class TestBattery(Battery):
    """See battery.py."""


def relative(found: Any, wanted: Any) -> float:
    return float((np.abs(found - wanted) / np.abs(wanted)).max())


def test_error_functions_are_accurate_to_the_last_digits() -> None:
    tails = np.concatenate([1 - 10.0 ** -np.arange(1, 17), 10.0 ** -np.arange(1, 300, 7), np.linspace(-0.999, 0.999, 1000)])
    assert relative(tgc.erfinv(tgc.tensor(tails)).numpy(), sp.erfinv(tails)) < 2e-15
    below = np.concatenate([10.0 ** -np.arange(1, 300, 7), np.linspace(0.001, 0.999, 998)])
    assert relative(special.ndtri(tgc.tensor(below)).numpy(), sp.ndtri(below)) < 2e-15
    x = np.linspace(-6, 6, 601) + 1e-3
    assert relative(tgc.erf(tgc.tensor(x)).numpy(), sp.erf(x)) < 1e-15
    assert relative(tgc.erfc(tgc.tensor(x)).numpy(), sp.erfc(x)) < 1e-14


def test_gamma_functions_are_accurate_to_the_last_digits() -> None:
    x = np.concatenate([np.linspace(2, 30, 500), 10.0 ** np.arange(-8.0, 0), 10.0 ** np.arange(2, 9)])
    assert relative(tgc.digamma(tgc.tensor(x)).numpy(), sp.digamma(x)) < 2e-15
    assert relative(tgc.polygamma(1, tgc.tensor(x)).numpy(), sp.polygamma(1, x)) < 3e-15
    assert (
        relative(
            tgc.polygamma(1, tgc.tensor(-x[:500] - 0.3)).numpy(),
            [math.fsum((k - v - 0.3) ** -2.0 for k in range(60)) + 1 / (59.5 - v - 0.3) for v in x[:500]],
        )
        < 1e-4
    )


def test_poles(torch: Any) -> None:
    x = [0.0, -0.0, -1.0, -2.0, -0.5, 1e306]
    for name in ("lgamma", "digamma"):
        ours = getattr(tgc, name)(tgc.tensor(x, dtype="float64")).numpy()
        np.testing.assert_allclose(
            ours, getattr(torch, name)(torch.tensor(x, dtype=torch.float64)).numpy(), rtol=1e-12, err_msg=name
        )


def test_what_is_in_the_standard_library_needs_no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    x = tgc.tensor([0.3], dtype="float64", requires_grad=True)
    for function in (tgc.erf, tgc.erfc, tgc.erfinv, tgc.lgamma, tgc.digamma, special.ndtr, special.ndtri):
        assert math.isfinite(tgc.autograd.grad(function(x), x)[0].item())


@pytest.mark.parametrize("function", [tgc.igamma, tgc.igammac, special.zeta])
def test_there_is_no_derivative_by_the_order(function: Any) -> None:
    a = tgc.tensor([2.5], requires_grad=True)
    with pytest.raises(GraphError, match=r"input.*not implemented.*input\.detach\(\)"):
        function(a, tgc.tensor([1.5])).backward()


def test_there_is_no_derivative_by_the_degree() -> None:
    n = tgc.tensor([2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"legendre_polynomial_p.*`n`"):
        special.legendre_polynomial_p(tgc.tensor([0.5]), n).backward()


def test_zeta_of_two_is_pi_squared_over_six() -> None:
    assert special.zeta(2, tgc.tensor([1.0], dtype="float64")).item() == pytest.approx(math.pi**2 / 6)


def test_polygamma_as_a_method_has_the_tensor_first() -> None:
    x = tgc.tensor([1.0, 2.5], dtype="float64")
    assert tgc.polygamma(x, 1).tolist() == tgc.polygamma(1, x).tolist()


def test_degrees_are_cut_to_whole_numbers() -> None:
    """As in PyTorch; and a number may stand for the points."""
    x = tgc.tensor([0.3, nan], dtype="float64")
    np.testing.assert_array_equal(
        special.chebyshev_polynomial_t(x, 2.7).numpy(), special.chebyshev_polynomial_t(x, 2).numpy()
    )
    assert special.legendre_polynomial_p(2, tgc.tensor([0, 1, 2, -1])).tolist() == [1, 2, 5.5, 0]


def test_the_namespace_is_that_of_torch(torch: Any) -> None:
    foreign = {"Tensor", "common_args", "multi_dim_common", "torch"}
    assert set(special.__all__) == {name for name in dir(torch.special) if not name.startswith("_")} - foreign
    assert all(callable(getattr(special, name)) for name in special.__all__)


def test_airy_of_large_numbers_is_zero() -> None:
    assert special.airy_ai(tgc.tensor([1e18, 5e3, nan], dtype="float64")).tolist()[:2] == [0.0, 0.0]
