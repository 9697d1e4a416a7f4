"""ops/reduce.py: sum, mean, max, argmax."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, away, exactly, whole
from tinygrad_course.errors import DTypeError, ShapeError

NAN = [[1.0, np.nan, 2.0], [np.inf, -np.inf, 0.0], [-np.inf, -np.inf, -np.inf]]


def fold(x: np.ndarray, dim: Any, keepdim: bool, rule: Callable[[list[Any]], Any]) -> np.ndarray:
    """`rule` of the list of all elements that share a place in the result: loops, as one would do it by hand."""
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    axes = [d % x.ndim for d in dims] if x.ndim else []
    kept = [n for axis, n in enumerate(x.shape) if axis not in axes]
    out = []
    for place in itertools.product(*map(range, kept)):
        fixed = iter(place)
        key = tuple(slice(None) if axis in axes else next(fixed) for axis in range(x.ndim))
        out.append(rule(list(np.asarray(x[key]).flat)))
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)] if keepdim else kept
    return np.array(out, x.dtype if not out else None).reshape(shape)


def folded(rule: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: fold(x, dim, keepdim, rule)


def total(values: list[Any]) -> Any:
    return sum(int(v) if isinstance(v, np.bool_ | np.integer) else v for v in values)


def average(values: list[float]) -> float:
    return total(values) / len(values) if values else np.nan


def largest(values: list[float]) -> float:
    return next((v for v in values if v != v), max(values))


def first_largest(values: list[float]) -> int:
    return next(k for k, v in enumerate(values) if v != v or v == largest(values))


def samples(make: Callable[..., Draw], empty: bool) -> tuple[Sample, ...]:
    full = [
        ((2, 3, 4), None),
        ((2, 3, 4), 1),
        ((2, 3, 4), -1),
        ((2, 3, 4), 0),
        ((2, 3, 4), (0, 2)),
        ((2, 3, 4), (-1, -2)),
        ((), None),
        ((), 0),
        ((1,), 0),
        ((5,), -1),
        ((2, 1, 3), 1),
    ]
    none = [((0,), None), ((0, 3), 0), ((3, 0), 1)]
    return tuple(
        S(make(*shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
        for shape, dim in full + (none if empty else [((0, 3), 1)])
        for keep in (False, True)
    )


def torch_call(name: str) -> Callable[..., Any]:
    def call(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        import torch

        if dim is None and keepdim:
            dim = tuple(range(x.ndim))
        return getattr(torch, name)(x, **({} if dim is None else {"dim": dim, "keepdim": keepdim}))

    return call


def axis_errors(op: str, call: Callable[..., Any]) -> tuple[Error, ...]:
    return (
        Error(lambda: call(tgc.ones(2, 3), 2), ShapeError, rf"{op}.*dim 2.*2 axes.*between -2 and 1"),
        Error(lambda: call(tgc.ones(2, 3), -3), ShapeError, rf"{op}.*dim -3"),
        Error(lambda: call(tgc.ones(2, 3), 0.5), TypeError, rf"{op}.*integer.*0\.5"),
    )


TWICE = Error(lambda: tgc.ones(2, 3).sum((0, -2)), ShapeError, "sum.*twice")
THREADED = (S((800, 700)), S((800, 700), dim=0), S((800, 700), dim=1), S((8, 300, 200), dim=(0, 2)))


CASES = (
    Case(
        "sum",
        tgc.sum,
        folded(total),
        samples(away, True),
        errors=(*axis_errors("sum", tgc.sum), TWICE),
        torch=torch_call("sum"),
        threaded=THREADED,
        special=(S(exactly(NAN)), S(exactly(NAN), dim=1)),
        half=True,
        integers=("int64", "int32", "uint8", "bool"),
    ),
    Case(
        "mean",
        tgc.mean,
        folded(average),
        samples(away, False),
        errors=(
            *axis_errors("mean", tgc.mean),
            Error(lambda: tgc.tensor([1, 2]).mean(), DTypeError, r"mean.*int64.*float\(\)"),
        ),
        torch=torch_call("mean"),
        threaded=THREADED,
        special=(S(exactly(NAN)), S(exactly(NAN), dim=1)),
        half=True,
    ),
    Case(
        "amax",
        tgc.amax,
        folded(largest),
        samples(apart, False),
        errors=(
            *axis_errors("amax", tgc.amax),
            Error(lambda: tgc.ones(2, 0).amax(1), ShapeError, r"amax.*empty axis.*\(2, 0\)"),
            Error(lambda: tgc.ones(0).max(), ShapeError, r"empty axis.*\(0,\)"),
        ),
        torch=torch_call("amax"),
        threaded=THREADED,
        special=(S(exactly(NAN)), S(exactly(NAN), dim=1)),
        half=True,
        kinks=(S(whole(3, 4, 5), dim=1), S(whole(2, 4, 5)), S(whole(2, 4, 5, 2), dim=(0, 2))),
        integers=("int64", "int32", "uint8", "bool"),
    ),
    Case(
        "argmax",
        tgc.argmax,
        folded(first_largest),
        tuple(
            S(whole(4, *shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
            for shape, dim in [
                ((3, 4), 0),
                ((3, 4), -1),
                ((3, 4), None),
                ((5,), 0),
                ((2, 3, 4), 1),
                ((), None),
                ((), 0),
                ((0, 2), 1),
            ]
            for keep in (False, True)
        ),
        differentiable=False,
        out="int64",
        threaded=THREADED[:3],
        special=(S(exactly(NAN[:2]), dim=1), S(exactly(NAN), dim=0), S(exactly(NAN))),
        integers=("int64", "int32", "uint8", "bool"),
        errors=(
            *axis_errors("argmax", tgc.argmax),
            Error(lambda: tgc.ones(2, 0).argmax(1), ShapeError, r"argmax.*axis 1.*\(2, 0\).*empty"),
            Error(lambda: tgc.ones(0).argmax(), ShapeError, r"argmax.*empty"),
        ),
    ),
    Case(
        "gather",
        tgc.max,
        lambda x, dim, keepdim=False: (fold(x, dim, keepdim, largest), fold(x, dim, keepdim, first_largest)),
        tuple(
            S(apart(*shape), dim=dim, keepdim=keep, note=f"max {shape}-{dim}-{keep}".replace(" ", ""))
            for shape, dim in [((3, 4), 0), ((3, 4), -1), ((5,), 0), ((2, 3, 4), 1)]
            for keep in (False, True)
        ),
        out=("same", "int64"),
        torch=lambda x, dim, keepdim=False: tuple(x.max(dim, keepdim)),
        threaded=(S((800, 700), dim=0), S((800, 700), dim=1)),
        kinks=(S(whole(3, 4, 5), dim=1),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_max_of_two_tensors_is_the_elementwise_maximum(backend: str) -> None:
    assert tgc.max(tgc.tensor([1, 5]), tgc.tensor([3, 2])).tolist() == [3, 5]


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "max", "argmax"])
def test_dim_and_axis_are_the_same_word(backend: str, name: str) -> None:
    x = tgc.tensor(np.arange(6.0).reshape(2, 3))
    for a, b in [
        (getattr(x, name)(dim=1, keepdim=True), getattr(x, name)(axis=1, keepdims=True)),
        (getattr(x, name)(1), getattr(x, name)(axis=1)),
    ]:
        for left, right in zip(*(v if isinstance(v, tuple) else (v,) for v in (a, b)), strict=True):
            assert left.tolist() == right.tolist()
            assert left.shape == right.shape
    with pytest.raises(TypeError, match="either dim or axis"):
        getattr(x, name)(dim=1, axis=1)


@pytest.mark.parametrize(
    ("source", "result"),
    [("bool", "int64"), ("uint8", "int64"), ("int32", "int64"), ("float16", "float16"), ("float32", "float32")],
)
def test_sum_type(backend: str, source: str, result: str) -> None:
    x = tgc.ones(300, dtype=source)
    assert x.sum().dtype == result
    assert x.sum().item() == 300
    assert x.sum(dtype="float64").dtype == np.float64


def test_sum_is_accurate(backend: str) -> None:
    """A million times 0.1 in float32: adding one by one is off by 1 %; NumPy does it so over the first axis."""
    x = tgc.full((1000, 1000), 0.1)
    assert x.sum().item() == pytest.approx(1e5, rel=1e-6)
    assert x.sum(0).sum().item() == pytest.approx(1e5, rel=1e-6 if backend == "compiled" else 2e-5)
    assert x.reshape(-1).mean().item() == pytest.approx(0.1, rel=1e-6)


def test_mean_of_nothing_is_nan(backend: str) -> None:
    assert np.isnan(tgc.zeros(0).mean().item())
