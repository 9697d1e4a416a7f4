"""ops/statistics.py: variance, medians, quantiles, histograms, covariance."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, exactly, index, positive, whole
from tests.ops.patterns import torch_function
from tests.ops.test_order import rank
from tests.ops.test_reduce import fold
from tinygrad_course.errors import DTypeError, ShapeError

# -- variance ----------------------------------------------------------------------------------------------------------


def spread(values: list[float], correction: float = 1) -> float:
    if not values:
        return math.nan
    center = sum(values) / len(values)
    total, n = sum((v - center) ** 2 for v in values), max(len(values) - correction, 0)
    return total / n if n else total * math.inf


def var(x: np.ndarray, dim: Any = None, correction: float = 1, keepdim: bool = False) -> np.ndarray:
    return fold(x, dim, keepdim, lambda values: spread(values, correction))


def std(x: np.ndarray, **kwargs: Any) -> np.ndarray:
    return np.sqrt(var(x, **kwargs))


def center(x: np.ndarray, dim: Any = None, correction: float = 1, keepdim: bool = False) -> np.ndarray:
    return fold(x, dim, keepdim, lambda values: sum(values) / len(values))


SPREADS = (
    S((2, 3)),
    S((2, 4), dim=1),
    S((3, 2), dim=0, correction=0, keepdim=True),
    S((2, 3, 2), dim=(0, -1), correction=2),
)
FLAT = (S(exactly([[1.0, 1.0], [2.0, 3.0]]), dim=1), S(exactly([2.0, 2.0, 2.0])))


def variance(op: str, oracle: Callable[..., Any], call: Callable[..., Any] | None = None) -> Case:
    function = getattr(tgc, op)
    return Case(
        op,
        function,
        oracle,
        SPREADS,
        kinks=FLAT,
        torch=call or torch_function(op),
        half=True,
        errors=(
            Error(lambda: function(tgc.tensor([1, 2])), DTypeError, rf"{op}.*int64.*float\(\)"),
            Error(lambda: function(tgc.ones(2), unbiased=True, correction=1), TypeError, rf"{op}: give either unbiased"),
            Error(lambda: function(tgc.ones(2), 1), ShapeError, rf"{op}.*dim 1"),
        ),
    )


# -- order statistics --------------------------------------------------------------------------------------------------


def picked(choose: Callable[[list[float]], int]) -> Callable[..., Any]:
    """(values, indices) of what `choose` takes from each row."""

    def oracle(x: np.ndarray, dim: int = -1, keepdim: bool = False) -> tuple[np.ndarray, np.ndarray]:
        if x.ndim == 0:
            return x, np.zeros((), np.int64)
        return fold(x, dim, keepdim, lambda v: v[choose(v)]), fold(x, dim, keepdim, choose).astype(np.int64)

    return oracle


def order(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda i: rank(values[i]))


def middle(values: list[float]) -> int:
    nan = [k for k, v in enumerate(values) if v != v]
    return nan[0] if nan else order(values)[(len(values) - 1) // 2]


def nan_middle(values: list[float]) -> int:
    n = sum(v == v for v in values)
    return order(values)[max(n - 1, 0) // 2]


def most_frequent(values: list[float]) -> int:
    times = Counter(values)  # a nan counts once: it is only equal to itself as the same object
    best = min((v for v in values if v == v and times[v] == max(times.values())), default=None)
    return 0 if best is None else max(k for k, v in enumerate(values) if v == best)


def whole_value(choose: Callable[[list[float]], int]) -> Callable[..., Any]:
    return lambda x: np.asarray(x.ravel()[choose(list(x.ravel()))])


def along(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    return (
        S(make(2, 4), dim=1),
        S(make(3, 2), dim=0, keepdim=True),
        S(make(2, 3, 2), dim=-2),
        S(make(), dim=0),
        S(make(0, 2), dim=1),
    )


NAN_ROWS = S(exactly([[1.0, np.nan, 0.0, np.nan], [4.0, 2.0, 3.0, 1.0], [np.nan, 2.0, 5.0, 7.0]]), dim=1)


def selection(op: str, choose: Callable[[list[float]], int], **more: Any) -> Case:
    function = getattr(tgc, op)
    return Case(
        op,
        function,
        picked(choose),
        along(apart),
        out=("same", "int64"),
        special=(NAN_ROWS,),
        torch=lambda x, **kwargs: tuple(getattr(x, op)(**kwargs)),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=(
            Error(
                lambda: function(tgc.ones(2, 0), dim=1), ShapeError, rf"{op.removeprefix('nan')}: there is nothing.*\(2, 0\)"
            ),
            Error(lambda: function(tgc.ones(2), dim=1), ShapeError, r"dim 1"),
        ),
        **more,
    )


def quantile(
    x: np.ndarray, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear", drop: bool = False
) -> np.ndarray:
    """Row by row, from the definition."""

    def one(values: list[float], part: float) -> float:
        rest = sorted(v for v in values if v == v)
        if not rest or (len(rest) < len(values) and not drop):
            return math.nan
        place = part * (len(rest) - 1)
        low, high = rest[math.floor(place)], rest[math.ceil(place)]
        return {
            "lower": low,
            "higher": high,
            "midpoint": (low + high) / 2,
            "nearest": rest[round(place)],
            "linear": low + (place - math.floor(place)) * (high - low),
        }[interpolation]

    parts = [fold(x, dim, keepdim, lambda values, part=part: one(values, part)) for part in np.ravel(q)]
    return np.array(parts).reshape((*np.shape(q), *parts[0].shape))


QUANTILES = (
    S(apart(2, 3), args=(0.4,)),
    S(apart(2, 4), args=(0.3,), dim=1, keepdim=True),
    S(apart(3, 2), exactly([0.2, 0.7]), dim=0),
    S(apart(2, 3, 2), exactly([0.1]), dim=1, keepdim=True),
    S(apart(), exactly(0.5), dim=-1),
    S(apart(2, 3), exactly([0.3, 0.65]), keepdim=True),
    *(S(apart(2, 4), args=(0.3,), dim=1, interpolation=kind) for kind in ("lower", "higher", "midpoint", "nearest")),
)


def quantile_case(op: str, drop: bool) -> Case:
    function = getattr(tgc, op)
    return Case(
        op,
        function,
        lambda x, q, **kwargs: quantile(x, q, drop=drop, **kwargs),
        QUANTILES,
        kinks=(S(whole(3, 2, 5), args=(0.5,), dim=1), S(apart(5), args=(0.375,), interpolation="nearest")),
        special=(
            S(exactly([[1.0, np.nan, 0.0], [4.0, 2.0, 3.0]]), args=(0.25,), dim=1),
            S(exactly([[1.0, 0.0], [np.nan, np.nan]]), args=(0.5,), dim=1),
        ),
        torch=torch_function(op),
        errors=(
            Error(lambda: function(tgc.ones(3), 1.5), ValueError, rf"{op}: every q.*1\.5"),
            Error(lambda: function(tgc.ones(0), 0.5), ShapeError, rf"{op}.*\(0,\)"),
            Error(lambda: function(tgc.ones(3), tgc.ones(1, 1)), ShapeError, rf"{op}: q must.*\(1, 1\)"),
            Error(lambda: function(tgc.tensor([1]), 0.5), DTypeError, rf"{op}.*int64"),
            Error(lambda: function(tgc.ones(2), tgc.ones(1).double()), DTypeError, rf"{op}: q has dtype float64.*float32"),
            Error(lambda: function(tgc.ones(3), 0.5, interpolation="cubic"), ValueError, rf"{op}: interpolation.*'cubic'"),
        ),
    )


# -- counts and covariance ---------------------------------------------------------------------------------------------


def histogram(x: np.ndarray, bins: Any, range: Any = None, density: bool = False) -> tuple[np.ndarray, np.ndarray]:
    hist, edges = np.histogram(x.ravel(), bins, range, density=density)
    return hist.astype(float), edges


def weighted(x: np.ndarray, w: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(x.ravel(), bins, weights=w.ravel())


def histogramdd(x: np.ndarray, bins: Any, range: Any = None, density: bool = False) -> Any:
    pairs = None if range is None else [range[0:2], range[2:4]]
    hist, edges = np.histogramdd(x.reshape(-1, x.shape[-1]), bins, pairs, density=density)
    return hist, *edges


def grid(x: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    y = tgc.histogramdd(x, *args, **kwargs)
    return y.hist, *y.bin_edges


def histc(x: np.ndarray, bins: int = 100, min: float = 0, max: float = 0) -> np.ndarray:
    return np.histogram(x[x == x], bins, None if min == max else (min, max))[0].astype(float)


WAVES = np.array([[0.0, 3.0, -1.0, 1.0], [1.0, -2.0, 2.0, 4.0]])

CASES = (
    variance("var", var),
    variance("std", std),
    variance("var_mean", lambda x, **kwargs: (var(x, **kwargs), center(x, **kwargs))),
    variance("std_mean", lambda x, **kwargs: (std(x, **kwargs), center(x, **kwargs))),
    Case(
        "var",
        tgc.var,
        var,
        (),
        special=(S(exactly([[1.0], [np.nan]]), dim=1), S(exactly([[1.0, 2.0]]), dim=1, correction=2), S((2, 0), dim=1)),
    ),
    Case("var", tgc.var, var, (S((0, 2), dim=1),)),
    selection("median", middle),
    selection("nanmedian", nan_middle),
    Case(
        "element",
        tgc.median,
        whole_value(middle),
        (S(apart(2, 3)), S(apart(4)), S(apart())),
        kinks=(S(whole(2, 5)),),
        special=(S(exactly([np.nan, 1.0, np.nan])),),
        torch=torch_function("median"),
        integers=("int64",),
    ),
    Case(
        "nanmedian",
        tgc.nanmedian,
        whole_value(nan_middle),
        (S(apart(2, 3)),),
        kinks=(S(whole(2, 5)),),
        special=(S(exactly([np.nan, 1.0, 2.0, 1.0, np.nan])), S(exactly([np.nan, np.nan]))),
        torch=torch_function("nanmedian"),
    ),
    Case(
        "mode",
        tgc.mode,
        picked(most_frequent),
        along(apart),
        kinks=(S(whole(3, 2, 7)), S(whole(2, 5, 3), dim=0, keepdim=True), S(exactly([2.0, 1.0, 2.0, 1.0, 3.0]))),
        special=(S(exactly([np.inf, 0.0, -np.inf, np.inf])),),
        out=("same", "int64"),
        torch=torch_function("mode"),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=(Error(lambda: tgc.mode(tgc.ones(2, 0)), ShapeError, r"mode: there is nothing.*\(2, 0\)"),),
    ),
    Case(
        "mode",
        tgc.mode,
        picked(most_frequent),
        (),
        special=(S(exactly([[1.0, np.nan, 1.0, np.nan], [np.nan, 2.0, 1.0, 2.0]])),),
    ),
    Case(
        "kthvalue",
        lambda x, k, **kwargs: tgc.kthvalue(x, k, **kwargs),
        lambda x, k, **kwargs: picked(lambda values: order(values)[k - 1])(x, **kwargs),
        tuple(S(*s.inputs, args=(k,), **s.kwargs) for k, s in zip((2, 3, 1, 1, 2), along(apart), strict=True)),
        kinks=(S(whole(9, 1, 5), args=(2,)),),
        special=(S(*NAN_ROWS.inputs, args=(3,)),),
        out=("same", "int64"),
        half=True,
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.kthvalue(tgc.ones(2, 3), 4), ShapeError, r"kthvalue.*k = 4.*\(2, 3\).*1 and 3"),
            Error(lambda: tgc.kthvalue(tgc.ones(3), 0), ShapeError, r"kthvalue.*k = 0"),
        ),
    ),
    quantile_case("quantile", False),
    quantile_case("nanquantile", True),
    Case(
        "histc",
        tgc.histc,
        histc,
        (
            S((20,), bins=4),
            S((2, 5), bins=3, min=-1, max=1),
            S(exactly([2.0, 2.0]), bins=3),
            S(exactly([0.3, 0.7]), bins=5, max=1),
        ),
        differentiable=False,
        special=(S(exactly([np.nan, 0.5, np.inf, 1.0]), bins=2, min=0, max=1),),
        errors=(
            Error(lambda: tgc.histc(tgc.ones(3), 0), ValueError, r"histc.*at least one bin, got 0"),
            Error(lambda: tgc.histc(tgc.ones(3), 2, 1, 0), ValueError, r"histc.*from 1\.0 to 0\.0"),
            Error(lambda: tgc.histc(tgc.tensor([1]), 2), DTypeError, r"histc.*int64"),
        ),
    ),
    Case(
        "histogram",
        lambda x, bins, **kwargs: tgc.histogram(
            x, tgc.tensor(bins, dtype=x.dtype) if isinstance(bins, list) else bins, **kwargs
        ),
        histogram,
        (
            S((20,), args=(4,)),
            S((2, 5), args=(3,), range=(-1.0, 1.0)),
            S((12,), args=([-1.0, 0.0, 0.25, 2.0],)),
            S(whole(4, 9), args=([0.0, 1.0, 3.0],), density=True),
            S(exactly([2.0, 2.0]), args=(3,)),
        ),
        differentiable=False,
        errors=(
            Error(lambda: tgc.histogram(tgc.ones(3), 2, range=(0.0,)), ShapeError, r"histogram: range needs 2.*got 1"),
            Error(lambda: tgc.histogram(tgc.ones(3), 2, weight=tgc.ones(2)), ShapeError, r"histogram.*\(2,\).*\(3,\)"),
            Error(lambda: tgc.histogram(tgc.tensor([math.inf]), 2), ValueError, r"histogram.*inf.*finite"),
        ),
    ),
    Case(
        "histogram",
        lambda x, w, bins: tgc.histogram(x, bins, weight=w),
        weighted,
        (S((2, 4), (2, 4), args=(3,)),),
        differentiable=False,
    ),
    Case(
        "histogramdd",
        grid,
        histogramdd,
        (
            S((9, 2), args=(3,)),
            S((3, 4, 2), args=([2, 3],), range=[-1.0, 1.0, -2.0, 2.0]),
            S((7, 1), args=([2],), density=True),
        ),
        differentiable=False,
        errors=(
            Error(lambda: tgc.histogramdd(tgc.ones(3), 2), ShapeError, r"histogramdd.*two axes.*\(3,\)"),
            Error(lambda: tgc.histogramdd(tgc.ones(3, 2), [2]), ShapeError, r"histogramdd: 1 bins.*2 coordinates"),
            Error(lambda: tgc.histogramdd(tgc.ones(3, 2), 2, weight=tgc.ones(2)), ShapeError, r"histogramdd.*\(2,\).*\(3,\)"),
        ),
    ),
    Case(
        "bincount",
        tgc.bincount,
        lambda x, minlength=0: np.array(
            [sum(v == k for v in x) for k in range(max([minlength, *(v + 1 for v in x)]))], np.int64
        ),
        (S(index(4, 9)), S(index(2, 5), minlength=6), S(index(1, 0)), S(index(1, 0), minlength=2)),
        differentiable=False,
        out="int64",
        errors=(
            Error(lambda: tgc.bincount(tgc.tensor([1, -2])), ValueError, r"bincount.*negative, got -2"),
            Error(lambda: tgc.bincount(tgc.ones(3)), ShapeError, r"bincount.*float32"),
            Error(lambda: tgc.bincount(tgc.tensor([1, 2]), tgc.ones(3)), ShapeError, r"bincount.*\(3,\).*\(2,\)"),
        ),
    ),
    Case(
        "cov",
        tgc.cov,
        lambda x, correction=1: np.cov(x, ddof=correction),
        (S((2, 4)), S((3, 3), correction=0), S((4,))),
        torch=torch_function("cov"),
        errors=(
            Error(lambda: tgc.cov(tgc.ones(2, 2, 2)), ShapeError, r"cov.*\(2, 2, 2\)"),
            Error(lambda: tgc.cov(tgc.ones(2, 3), fweights=tgc.ones(3)), ShapeError, r"fweights.*3 integers.*float32"),
            Error(lambda: tgc.cov(tgc.ones(2, 3), aweights=tgc.ones(2)), ShapeError, r"aweights.*3 real numbers.*\(2,\)"),
        ),
    ),
    Case(
        "cov",
        lambda x, f, a: tgc.cov(x, fweights=f, aweights=a),
        lambda x, f, a: np.cov(x, fweights=f, aweights=a),
        (S((2, 4), exactly([1, 2, 1, 3], "int64"), positive(4)),),
        torch=lambda x, f, a: __import__("torch").cov(x, fweights=f, aweights=a),
    ),
    Case(
        "corrcoef",
        lambda x: tgc.corrcoef(x + tgc.tensor(WAVES, dtype=x.dtype)),  # no row is constant, in any layout
        lambda x: np.corrcoef(x + WAVES),
        (S((2, 4)), S((1, 4))),
        torch=lambda x: (x + __import__("torch").tensor(WAVES)).corrcoef(),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_overloads_of_std(backend: str) -> None:
    """The three ways of PyTorch to say which divisor."""
    x = tgc.tensor([[1.0, 2.0, 6.0]])
    for y in (tgc.var(x, False), tgc.var(x, unbiased=False), tgc.var(x, 1, False), tgc.var(x, correction=0)):
        assert y.item() == pytest.approx(14 / 3)
    assert tgc.var(x, 1, True, True).shape == (1, 1)
    assert tgc.std(x, True).item() == pytest.approx(math.sqrt(7))
    assert tgc.std(x, axis=1, keepdims=True).shape == (1, 1)
    spread, center = tgc.std_mean(x, False)
    assert (spread.item(), center.item()) == (pytest.approx(math.sqrt(14 / 3)), 3.0)


def test_fields(backend: str) -> None:
    x = tgc.tensor([[3.0, 1.0, 1.0]])
    for y in (tgc.median(x, 1), tgc.nanmedian(x, 1), tgc.mode(x), tgc.kthvalue(x, 2)):
        assert y.values.tolist() == [1.0]
        assert y.indices.item() in (1, 2)
    assert tgc.histogram(x, 2).hist.tolist() == [2.0, 1.0]
    assert tgc.histogram(x, 2).bin_edges.tolist() == [1.0, 2.0, 3.0]


def test_median_of_nothing(backend: str) -> None:
    assert math.isnan(tgc.median(tgc.zeros(0)).item())


def test_mode_of_nan(backend: str) -> None:
    y = tgc.mode(tgc.tensor([math.nan, math.nan]))
    assert math.isnan(y.values.item())
    assert y.indices.item() == 0


def test_kthvalue_gradient(backend: str) -> None:
    x = tgc.tensor([3.0, 1.0, 2.0], requires_grad=True)
    tgc.kthvalue(x, 3).values.backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0]


def test_weights_of_bincount(backend: str) -> None:
    x = tgc.tensor([1, 3, 1])
    assert tgc.bincount(x, tgc.tensor([0.5, 2.0, 1.0])).tolist() == [0.0, 1.5, 0.0, 2.0]
    assert tgc.bincount(x, tgc.tensor([0.5, 2.0, 1.0])).dtype == "float32"
    assert tgc.bincount(x, tgc.tensor([1, 2, 3])).dtype == "float64"


def test_values_on_the_edges_of_bins(backend: str) -> None:
    """Where rounding decides histc goes with PyTorch, and histogram with the edges that it returns."""
    torch = torch_or_skip()
    for dtype in ("float32", "float64"):
        x = (np.arange(31) / 30).astype(dtype)
        for bins in (3, 7, 10, 30):
            assert tgc.histc(tgc.tensor(x), bins, 0, 1).tolist() == torch.histc(torch.tensor(x), bins, 0, 1).tolist()
            hist, edges = tgc.histogram(tgc.tensor(x), bins)
            assert edges.tolist() == tgc.linspace(0, 1, bins + 1, dtype=dtype).tolist()
            assert hist.tolist() == np.histogram(x, edges.array)[0].tolist()


def test_corrcoef_of_one_variable(backend: str) -> None:
    assert tgc.corrcoef(tgc.tensor([1.0, 2.0, 4.0])).item() == 1.0
    assert tgc.cov(tgc.tensor([1, 2])).item() == 0.5
