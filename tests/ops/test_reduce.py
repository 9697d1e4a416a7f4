"""ops/reduce.py: sums, products, extremes, logical reductions."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, away, exactly, whole
from tinygrad_course.errors import DTypeError, GraphError, ShapeError

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


def product(values: list[Any]) -> Any:
    return math.prod(int(v) if isinstance(v, np.bool_ | np.integer) else v for v in values)


def average(values: list[float]) -> float:
    return total(values) / len(values) if values else np.nan


def largest(values: list[float]) -> float:
    return next((v for v in values if v != v), max(values))


def smallest(values: list[float]) -> float:
    return next((v for v in values if v != v), min(values))


def first_largest(values: list[float]) -> int:
    return next(k for k, v in enumerate(values) if v != v or v == largest(values))


def first_smallest(values: list[float]) -> int:
    return next(k for k, v in enumerate(values) if v != v or v == smallest(values))


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


def few(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    """A few shapes and axes."""
    return tuple(
        S(make(*shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
        for shape, dim, keep in [
            ((2, 3), 1, False),
            ((2, 3), 0, True),
            ((2, 3), None, False),
            ((), None, False),
            ((), 0, False),
            ((2, 3, 2), (0, -1), False),
            ((2, 3, 2), (1, 2), True),
        ]
    )


def extreme(op: str, call: Callable[..., Any], value: Callable[..., Any], place: Callable[..., Any]) -> Case:
    """max or min with a dim."""
    return Case(
        op,
        call,
        lambda x, dim, keepdim=False: (fold(x, dim, keepdim, value), fold(x, dim, keepdim, place)),
        tuple(
            S(apart(*shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
            for shape, dim in [((3, 4), 0), ((3, 4), -1), ((), 0), ((2, 3, 2), 1), ((0, 2), 1)]
            for keep in (False, True)
        ),
        out=("same", "int64"),
        torch=lambda x, dim, keepdim=False: tuple(getattr(x, op)(dim, keepdim)),
        kinks=(S(whole(2, 3, 4), dim=1),),
        special=(S(exactly(NAN), dim=1), S(exactly(NAN), dim=0)),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=(
            *axis_errors(op, call),
            Error(lambda: call(tgc.ones(2, 0), 1), ShapeError, rf"{op}: there is nothing.*axis 1.*\(2, 0\)"),
            Error(lambda: call(tgc.ones(0)), ShapeError, rf"{op}: there is nothing.*\(0,\)"),
        ),
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
        "amin",
        tgc.amin,
        folded(smallest),
        few(apart),
        errors=(Error(lambda: tgc.amin(tgc.ones(2, 0), 1), ShapeError, r"amin.*empty axis.*\(2, 0\)"),),
        torch=torch_call("amin"),
        special=(S(exactly(NAN)), S(exactly(NAN), dim=1)),
        half=True,
        kinks=(S(whole(3, 4, 5), dim=1), S(whole(2, 4, 5, 2), dim=(0, 2))),
        integers=("int64", "uint8", "bool"),
    ),
    Case(
        "aminmax",
        tgc.aminmax,
        lambda x, dim=None, keepdim=False: (fold(x, dim, keepdim, smallest), fold(x, dim, keepdim, largest)),
        tuple(S(apart(2, 3, 2), dim=dim, keepdim=keep) for dim in (None, 0, -1) for keep in (False, True)),
        torch=lambda x, **kwargs: tuple(__import__("torch").aminmax(x, **kwargs)),
        kinks=(S(whole(2, 4, 3), dim=1),),
    ),
    Case(
        "argmin",
        tgc.argmin,
        folded(first_smallest),
        tuple(
            S(whole(3, *shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
            for shape, dim in [((3, 4), 0), ((3, 4), -1), ((3, 4), None), ((), 0), ((0, 2), 1)]
            for keep in (False, True)
        ),
        differentiable=False,
        out="int64",
        special=(S(exactly(NAN[:2]), dim=1), S(exactly(NAN))),
        integers=("int64", "uint8", "bool"),
        errors=(Error(lambda: tgc.argmin(tgc.ones(0)), ShapeError, r"argmin: there is nothing.*empty"),),
    ),
    extreme("max", tgc.max, largest, first_largest),
    extreme("min", tgc.min, smallest, first_smallest),
    Case(
        "element",
        tgc.max,
        folded(largest),
        (S(apart(2, 3)), S(apart())),
        torch=lambda x: x.max(),
        kinks=(S(whole(2, 3, 3)),),
        special=(S(exactly([np.nan, 1.0, np.nan])), S(exactly([np.inf, np.inf, 0.0]))),
    ),
    Case(
        "prod",
        tgc.prod,
        folded(product),
        (
            *few(away)[:-2],
            S(exactly([[2.0, 0.0, 3.0], [0.0, 1.5, 0.0], [0.5, -1.0, 2.0]]), dim=1, note="zeros"),
            S(exactly([0.0, 0.0, 0.0]), note="all zeros"),
            S((7, 2), dim=0, keepdim=True),
            S((0, 2), dim=0),
            S((2, 0)),
        ),
        torch=torch_call("prod"),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=axis_errors("prod", tgc.prod),
    ),
    Case("prod", tgc.prod, folded(product), (), special=(S(exactly([[np.nan, 2.0], [np.inf, 3.0], [np.inf, 0.0]]), dim=1),)),
    Case(
        "logsumexp",
        tgc.logsumexp,
        lambda x, dim, keepdim=False: fold(x, dim, keepdim, lambda values: math.log(total([math.exp(v) for v in values]))),
        (S((2, 3), dim=1), S((2, 3, 2), dim=(0, -1), keepdim=True), S((), dim=0), S((0, 2), dim=1)),
        torch=lambda x, dim, keepdim=False: x.logsumexp(dim, keepdim),
        half=True,
        integers=("int64", "bool"),
    ),
    Case(
        "logsumexp",
        tgc.logsumexp,
        lambda x, dim: np.array([1e3 + math.log(2), -1e3 + math.log(2), 2.0, np.inf, -np.inf, np.nan]),
        (),
        torch=lambda x, dim: x.logsumexp(dim),
        special=(
            S(exactly([[1e3, 1e3], [-1e3, -1e3], [2.0, -np.inf], [np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 1.0]]), dim=1),
        ),
    ),
    *(
        Case(
            name,
            getattr(tgc, name),
            folded(lambda values, rule=rule: rule(bool(v) for v in values)),
            tuple(
                S(whole(2, *shape), dim=dim, keepdim=keep, note=f"{shape}-{dim}-{keep}".replace(" ", ""))
                for shape, dim in [((3, 2), None), ((3, 2), 0), ((2, 2, 3), (0, -1)), ((), None), ((0, 2), 0)]
                for keep in (False, True)
            ),
            differentiable=False,
            out="bool",
            special=(S(exactly([[np.nan, 0.0], [np.nan, 1.0]]), dim=1),),
            integers=("int64", "uint8", "bool"),
            errors=axis_errors(name, getattr(tgc, name)),
        )
        for name, rule in (("all", all), ("any", any))
    ),
    Case(
        "count_nonzero",
        tgc.count_nonzero,
        lambda x, dim=None: fold(x, dim, False, lambda values: sum(v != 0 for v in values)),
        (S(whole(2, 3, 2)), S(whole(2, 3, 2), dim=0), S(whole(2, 2, 3, 2), dim=(0, -1)), S((0,)), S(whole(2))),
        differentiable=False,
        out="int64",
        special=(S(exactly([np.nan, 0.0, -0.0, np.inf])),),
        integers=("int64", "bool"),
    ),
    Case(
        "nansum",
        tgc.nansum,
        folded(lambda values: total([v for v in values if v == v])),
        few(away),
        torch=torch_call("nansum"),
        special=(S(exactly([[np.nan, 1.0], [np.nan, np.nan], [np.inf, 2.0]]), dim=1),),
        integers=("int64", "uint8", "bool"),
    ),
    Case(
        "nanmean",
        tgc.nanmean,
        folded(lambda values: average([v for v in values if v == v])),
        few(away),
        torch=torch_call("nanmean"),
        special=(S(exactly([[np.nan, 1.0], [np.inf, 2.0]]), dim=1),),
        errors=(Error(lambda: tgc.nanmean(tgc.tensor([1, 2])), DTypeError, r"nanmean.*int64"),),
    ),
    Case(
        "sum_to_size",
        tgc.sum_to_size,
        lambda x, *size: sum(x[i, j : j + 1] for i in range(2) for j in range(4)),
        (S((2, 4, 3), args=(1, 3)),),
        torch=lambda x, *size: x.sum_to_size(*size),
        errors=(Error(lambda: tgc.sum_to_size(tgc.ones(2, 3), 2), ShapeError, r"sum_to.*\(2,\)"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_max_and_min_of_two_tensors_are_elementwise(backend: str) -> None:
    x, y = tgc.tensor([1, 5]), tgc.tensor([3, 2])
    assert tgc.max(x, y).tolist() == tgc.max(x, other=y).tolist() == [3, 5]
    assert tgc.min(x, y).tolist() == tgc.min(x, other=y).tolist() == [1, 2]


def test_fields(backend: str) -> None:
    x = tgc.tensor([[1.0, 3.0, 2.0]])
    assert (x.max(1).values.tolist(), x.max(1).indices.tolist()) == ([3.0], [1])
    assert (tgc.min(x, 1).values.tolist(), tgc.min(x, 1).indices.tolist()) == ([1.0], [0])
    assert (tgc.aminmax(x).min.item(), tgc.aminmax(x).max.item()) == (1.0, 3.0)


def test_returned_indices_are_guarded(backend: str) -> None:
    """The gradient goes to the indices: whoever changes them in place would move it."""
    x = tgc.tensor([1.0, 3.0, 2.0], requires_grad=True)
    y = x.max(0)
    y.indices[...] = 0
    with pytest.raises(GraphError, match=r"max.*changed in place"):
        y.values.backward()


def test_logical_types(backend: str) -> None:
    """bool, but uint8 for uint8."""
    for dtype in ("bool", "uint8", "int64", "float32"):
        x = tgc.tensor([[0, 1], [1, 1]], dtype=dtype)
        for y, wanted in ((tgc.all(x, 1), [0, 1]), (tgc.any(x, 1), [1, 1])):
            assert y.dtype == ("uint8" if dtype == "uint8" else "bool")
            assert y.tolist() == wanted
        assert tgc.all(x, ()).tolist() == tgc.any(x, ()).tolist() == x.tolist()


def test_dtype_argument(backend: str) -> None:
    x = tgc.tensor([200, 100], dtype="uint8")
    assert tgc.prod(x).dtype == "int64"
    assert tgc.prod(x).item() == 20000
    for function in (tgc.prod, tgc.nansum):
        assert function(x, dtype="float64").dtype == "float64"


def test_third_derivative_of_prod_at_a_zero(backend: str) -> None:
    """x y z w at w = 0: d3 / dx dy dw = z."""
    x = tgc.tensor([2.0, 3.0, 5.0, 0.0], requires_grad=True)
    (first,) = tgc.autograd.grad(tgc.prod(x), [x], create_graph=True)
    (second,) = tgc.autograd.grad(first[0], [x], create_graph=True)
    (third,) = tgc.autograd.grad(second[1], [x])
    assert third.tolist() == [0.0, 0.0, 0.0, 5.0]


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "max", "argmax"])
def test_dim_and_axis_are_the_same_word(backend: str, name: str) -> None:
    x, function = tgc.tensor(np.arange(6.0).reshape(2, 3)), getattr(tgc, name)
    for a, b in [
        (function(x, dim=1, keepdim=True), function(x, axis=1, keepdims=True)),
        (function(x, 1), function(x, axis=1)),
    ]:
        for left, right in zip(*(v if isinstance(v, tuple) else (v,) for v in (a, b)), strict=True):
            assert left.tolist() == right.tolist()
            assert left.shape == right.shape
    with pytest.raises(TypeError, match="either dim or axis"):
        function(x, dim=1, axis=1)


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
    x = tgc.tensor([np.nan, np.nan], requires_grad=True)
    tgc.nanmean(x).backward()
    assert np.isnan(tgc.nanmean(x).item())
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["sum", "prod", "nansum", "cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16"])
def test_the_type_asked_for_is_the_type_of_the_result(backend: str, torch: Any, name: str, dtype: str) -> None:
    """Also where it is narrower than int64: uint8 wraps round, bool tells whether it is 0."""
    a = np.array([100, 2, 3], "uint8")
    dims = (0,) if name.startswith("cum") else ()
    y = getattr(tgc, name)(tgc.tensor(a), *dims, dtype=dtype)
    assert y.dtype == dtype
    if not (dtype == "bool" and name.startswith("cum")):  # PyTorch has none
        assert y.tolist() == getattr(torch, name)(torch.tensor(a), *dims, dtype=getattr(torch, dtype)).tolist()


def test_nanmean_of_many_halves(backend: str) -> None:
    """Neither their sum nor their number fits into float16."""
    x = tgc.full((70000,), 2.0, dtype="float16")
    assert tgc.nanmean(x).item() == 2.0
    assert tgc.nanmean(x).dtype == "float16"
    with pytest.raises(DTypeError, match=r"nanmean.*int64"):
        tgc.nanmean(x, dtype="int64")
