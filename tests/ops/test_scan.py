"""ops/scan.py: running sums, products and extremes, differences and integrals."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, away, exactly, whole
from tests.ops.patterns import torch_function
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.scan import Recurrence


def running(rule: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """`rule` of the elements up to each along dim."""

    def oracle(x: np.ndarray, dim: int) -> np.ndarray:
        if x.ndim == 0:
            return np.asarray(rule([x.item()]))
        rows = np.moveaxis(x, dim, -1)
        out = np.empty(rows.shape, np.float64 if x.dtype.kind == "f" else np.int64)
        for place in np.ndindex(rows.shape):
            out[place] = rule([v.item() for v in rows[place[:-1]][: place[-1] + 1]])
        return np.moveaxis(out, -1, dim)

    return oracle


def log_of_sum(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values)) if math.isfinite(top) else top


def recurrence(g: np.ndarray, c: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    """Row i is the sum of all g_j before it, each times the factors on its way."""
    g, c = np.moveaxis(g, axis, 0), np.moveaxis(c, axis, 0)
    if reverse:
        g, c = g[::-1], c[::-1]
    rows = np.array([sum(g[j] * np.prod(c[j:i], axis=0) for j in range(i + 1)) for i in range(len(g))])
    return np.moveaxis(rows[::-1] if reverse else rows, 0, axis)


def last(best: Callable[[list[float]], float]) -> Callable[[list[float]], int]:
    """Where the extreme is: the last of equal ones, the last nan."""

    def rule(values: list[float]) -> int:
        nan = [k for k, v in enumerate(values) if v != v]
        return nan[-1] if nan else max(k for k, v in enumerate(values) if v == best(values))

    return rule


def with_nan(best: Callable[[list[float]], float]) -> Callable[[list[float]], float]:
    return lambda values: math.nan if any(v != v for v in values) else best(values)


def along(make: Callable[..., Draw], more: tuple[Sample, ...] = ()) -> tuple[Sample, ...]:
    shapes = [((2, 3), 1), ((3, 2), 0), ((2, 3, 2), -2), ((), 0), ((1,), -1), ((0, 2), 1), ((2, 0), 1)]
    return tuple(S(make(*shape), dim=dim, note=f"{shape}-{dim}".replace(" ", "")) for shape, dim in shapes) + more


def errors(op: str, call: Callable[..., Any]) -> tuple[Error, ...]:
    return (
        Error(lambda: call(tgc.ones(2, 3), 2), ShapeError, rf"{op}.*dim 2.*2 axes"),
        Error(lambda: call(tgc.ones(2, 3), 0.5), TypeError, rf"{op}.*integer"),
        Error(lambda: call([1.0], 0), TypeError, "must be a Tensor"),
    )


def extreme(op: str, best: Callable[[list[float]], float]) -> Case:
    value, place = running(with_nan(best)), running(last(best))
    call = getattr(tgc, op)
    return Case(
        op,
        call,
        lambda x, dim: (value(x, dim), place(x, dim).astype(np.int64)),
        along(apart),
        out=("same", "int64"),
        kinks=(S(whole(3, 2, 6), dim=1), S(whole(2, 6, 2), dim=0)),
        special=(S(exactly([[1.0, 2.0, np.nan, 3.0, np.nan, 0.0], [np.inf, 1.0, np.inf, -np.inf, 0.0, -np.inf]]), dim=1),),
        torch=torch_function(op),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=errors(op, call),
    )


def differences(x: np.ndarray, n: int = 1, dim: int = -1) -> np.ndarray:
    for _ in range(n):
        rows = np.moveaxis(x, dim, 0)
        pairs = itertools.pairwise(rows)
        x = np.moveaxis(np.array([b - a for a, b in pairs]).reshape((max(len(rows) - 1, 0), *rows.shape[1:])), 0, dim)
    return x


def areas(y: np.ndarray, x: np.ndarray | None, dx: float | None, dim: int) -> list[np.ndarray]:
    rows = np.moveaxis(y, dim, 0)
    if x is not None:
        places = x if x.ndim == 1 else np.moveaxis(x, dim, 0)
    else:
        places = np.arange(len(rows)) * (1.0 if dx is None else dx)
    return [(places[k + 1] - places[k]) * (rows[k] + rows[k + 1]) / 2 for k in range(len(rows) - 1)]


def integral(y: np.ndarray, x: Any = None, dx: Any = None, dim: int = -1) -> np.ndarray:
    return sum(areas(y, x, dx, dim), np.zeros(np.moveaxis(y, dim, 0).shape[1:]))


def integrals(y: np.ndarray, x: Any = None, dx: Any = None, dim: int = -1) -> np.ndarray:
    return np.moveaxis(np.array(list(itertools.accumulate(areas(y, x, dx, dim)))), 0, dim)


TRAPEZOIDS = (
    S((5,)),
    S((2, 3), dx=0.5),
    S((3, 2), dim=0),
    S((2, 3), (3,)),
    S((3, 2), (3,), dim=0),
    S((2, 3), (2, 3), dim=-1),
)


def slopes(x: np.ndarray, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    spacings = spacing if isinstance(spacing, tuple) else (spacing,)
    return several(np.gradient(x, *spacings, axis=dim, edge_order=edge_order))


def several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


ZEROS = (
    S(exactly([[2.0, 0.0, 3.0, -1.0], [0.0, 1.5, 0.0, 2.0]]), dim=1, note="zeros"),
    S(exactly([0.0, 0.0, 0.0]), dim=0, note="only zeros"),
    S((6, 2), dim=0),
)

CASES = (
    Case(
        "cumsum",
        tgc.cumsum,
        running(sum),
        along(away),
        torch=torch_function("cumsum"),
        special=(S(exactly([[1.0, np.nan, 2.0], [np.inf, 1.0, -np.inf]]), dim=1),),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=errors("cumsum", tgc.cumsum),
    ),
    Case(
        "cumprod",
        tgc.cumprod,
        running(math.prod),
        along(away, ZEROS),
        torch=torch_function("cumprod"),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=errors("cumprod", tgc.cumprod),
    ),
    Case(
        "cumprod", tgc.cumprod, running(math.prod), (), special=(S(exactly([[1.0, np.nan, 2.0], [np.inf, 0.0, 1.0]]), dim=1),)
    ),
    Case(
        "logcumsumexp",
        tgc.logcumsumexp,
        running(log_of_sum),
        along(away, (S((6, 2), dim=0),)),
        torch=torch_function("logcumsumexp"),
        special=(S(exactly([[-np.inf, -np.inf, 1.0], [1.0, np.inf, 2.0], [1.0, -np.inf, 2.0]]), dim=1),),
        half=True,
        errors=errors("logcumsumexp", tgc.logcumsumexp),
    ),
    Case(
        "logcumsumexp",
        tgc.logcumsumexp,
        running(log_of_sum),
        (S(exactly([-1e3, 1e3, 0.0, 1e3]), dim=0),),
        torch=torch_function("logcumsumexp"),
    ),
    Case(
        "recurrence",
        lambda g, c, axis, reverse: apply(Recurrence, (g, c), (axis, reverse)),
        recurrence,
        (
            S((5,), (4,), args=(0, False)),
            S((1,), (0,), args=(0, True)),
            S((2, 4), (2, 3), args=(1, True)),
            S((4, 3), (3, 3), args=(0, True)),
            S((2, 3, 2), (2, 2, 2), args=(1, False)),
        ),
        special=(S(exactly([1.0, np.nan, 2.0, np.inf, 1.0]), exactly([1.0, 0.0, 2.0, 0.0]), args=(0, False)),),
        errors=(
            Error(lambda: apply(Recurrence, (tgc.ones(3), tgc.ones(3)), (0, True)), ShapeError, "recurrence.*shorter.*dim 0"),
        ),
    ),
    extreme("cummax", max),
    extreme("cummin", min),
    Case(
        "diff",
        tgc.diff,
        differences,
        (S((2, 4)), S((4, 2), dim=0, n=2), S((3,), n=0), S((1, 2), dim=0), S((2, 2), n=5)),
        torch=torch_function("diff"),
        half=True,
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.diff(tgc.tensor(1.0)), ShapeError, r"diff.*at least one axis"),
            Error(lambda: tgc.diff(tgc.ones(3), -1), ShapeError, r"diff: n = -1"),
            Error(lambda: tgc.diff(tgc.ones(2, 3), 1, 0, tgc.ones(1, 2)), ShapeError, r"cat"),
        ),
    ),
    Case(
        "diff",
        lambda x, before, after: tgc.diff(x, 1, 1, before, after),
        lambda x, before, after: differences(np.concatenate([before, x, after], 1)),
        (S((2, 3), (2, 1), (2, 2)),),
        torch=lambda x, before, after: __import__("torch").diff(x, 1, 1, before, after),
    ),
    Case(
        "trapezoid",
        tgc.trapezoid,
        integral,
        (*TRAPEZOIDS, S((1, 2), dim=0)),
        torch=torch_function("trapezoid"),
        errors=(
            Error(lambda: tgc.trapezoid(tgc.ones(3), tgc.ones(2)), ShapeError, r"trapezoid: y has 3.*x 2"),
            Error(lambda: tgc.trapezoid(tgc.ones(2, 3), tgc.ones(2, 1)), ShapeError, r"trapezoid: y has 3.*x 1"),
            Error(lambda: tgc.trapezoid(tgc.tensor(1.0)), ShapeError, r"trapezoid.*at least one axis"),
            Error(lambda: tgc.trapezoid(tgc.ones(3), tgc.ones(3), 1.0), TypeError, r"trapezoid: either|either the places"),
            Error(lambda: tgc.trapezoid(tgc.tensor([True, False])), DTypeError, r"trapezoid: truth values"),
        ),
    ),
    Case("trapezoid", tgc.trapezoid, integral, (S((2, 0)),)),
    Case("trapz", tgc.trapz, integral, TRAPEZOIDS[:3], torch=torch_function("trapz")),
    Case(
        "cumulative_trapezoid", tgc.cumulative_trapezoid, integrals, TRAPEZOIDS, torch=torch_function("cumulative_trapezoid")
    ),
    Case(
        "gradient",
        tgc.gradient,
        slopes,
        (
            S((2, 3)),
            S((4, 3), spacing=0.5, dim=0),
            S((3, 4), spacing=(2.0, 0.5), edge_order=2),
            S((3,), dim=-1, edge_order=2),
            S((2,), dim=0),
        ),
        torch=lambda x, **kwargs: __import__("torch").gradient(x, **kwargs),
        errors=(
            Error(lambda: tgc.gradient(tgc.ones(2), edge_order=2), ShapeError, r"gradient: axis 0.*2 values.*at least 3"),
            Error(lambda: tgc.gradient(tgc.ones(3), edge_order=3), ValueError, r"gradient: edge_order.*3"),
            Error(lambda: tgc.gradient(tgc.ones(3, 3), spacing=[1.0]), ShapeError, r"gradient: 1 spacings.*2 axes"),
            Error(lambda: tgc.gradient(tgc.ones(3), spacing=(tgc.ones(2),)), ShapeError, r"3 coordinates, got \(2,\)"),
            Error(lambda: tgc.gradient(tgc.ones(3, 3), dim=(0, -2)), ShapeError, r"gradient.*twice"),
        ),
    ),
    *(
        Case(
            "gradient",
            lambda x, c, order=order: tgc.gradient(x, spacing=(tgc.cumsum(c.exp(), 0),), dim=1, edge_order=order),
            lambda x, c, order=order: slopes(x, (np.cumsum(np.exp(c)),), 1, order),
            (S((2, 4), (4,)),),
            torch=lambda x, c, order=order: __import__("torch").gradient(
                x, spacing=(c.exp().cumsum(0),), dim=1, edge_order=order
            ),
        )
        for order in (1, 2)
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_types(backend: str, name: str) -> None:
    x = tgc.tensor([100, 2, 3], dtype="uint8")
    assert getattr(tgc, name)(x, 0).dtype == "int64"
    assert getattr(tgc, name)(x, 0, dtype="float64").dtype == "float64"
    assert getattr(tgc, name)(x.half(), 0).dtype == "float16"


def test_fields_and_names(backend: str) -> None:
    y = tgc.cummax(tgc.tensor([1.0, 3.0, 2.0]), axis=0)
    assert (y.values.tolist(), y.indices.tolist()) == ([1.0, 3.0, 3.0], [0, 1, 1])
    assert tgc.cummin(tgc.tensor([3, 1, 2]), dim=0).values.tolist() == [3, 1, 1]


def test_third_derivative_of_cumprod_at_a_zero(backend: str) -> None:
    """The last product is x y z: its third derivative is 1, also where y = 0."""
    x = tgc.tensor([2.0, 0.0, 5.0], requires_grad=True)
    g = tgc.cumprod(x, 0)[2]
    for place in range(3):
        g = tgc.autograd.grad(g, [x], create_graph=True)[0][place]
    assert g.item() == 1.0


def test_long_cumprod_and_logcumsumexp(backend: str) -> None:
    """The gradient of a thousand elements, against the sums of its definition."""
    rng = np.random.default_rng(0)
    a, g = rng.uniform(0.9, 1.1, 1000), rng.standard_normal(1000)
    x = tgc.tensor(a, requires_grad=True)
    tgc.cumprod(x, 0).backward(tgc.tensor(g))
    np.testing.assert_allclose(x.grad.array, np.cumsum((g * np.cumprod(a))[::-1])[::-1] / a, rtol=1e-9, atol=1e-12)
    x.grad = None
    y = tgc.logcumsumexp(x, 0)
    y.backward(tgc.tensor(g))
    np.testing.assert_allclose(x.grad.array, np.exp(a) * np.cumsum((g * np.exp(-y.array))[::-1])[::-1], rtol=1e-9, atol=1e-12)


def test_diff_of_bools_tells_where_they_change(backend: str) -> None:
    y = tgc.diff(tgc.tensor([True, False, False, True]))
    assert y.dtype == "bool"
    assert y.tolist() == [True, False, True]


def test_integers_are_integrated_as_floating_point_numbers(backend: str) -> None:
    y = tgc.tensor([200, 100], dtype="uint8")
    assert tgc.trapezoid(y).item() == 150.0
    assert tgc.trapezoid(y, tgc.tensor([3, 1], dtype="uint8")).item() == -300.0
    assert tgc.gradient(tgc.tensor([1, 2, 4]))[0].tolist() == [1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("cumsum", 0.1, 1e5), ("cumprod", 1 + 2.0**-20, (1 + 2.0**-20) ** 1_000_000), ("logcumsumexp", 0.0, math.log(1e6))],
)
def test_errors_do_not_grow_along_the_axis(backend: str, name: str, value: float, wanted: float) -> None:
    """A million times 0.1, added one by one in float32, is off by 1 %."""
    assert getattr(tgc, name)(tgc.full((1_000_000,), value), 0)[-1].item() == pytest.approx(wanted, rel=1e-6)


def test_totals_that_overflow_are_infinite_without_a_word(backend: str) -> None:
    x = tgc.tensor([3e38, 3e38, 3e38])
    assert tgc.cumsum(x, 0).tolist()[1:] == [math.inf, math.inf]
    assert tgc.logcumsumexp(x.half(), 0).tolist() == [math.inf] * 3
