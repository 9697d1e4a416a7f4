"""ops/scatter.py: writing to places that an index names."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, exactly, index, mask, normal, whole
from tests.ops.moving import INTEGERS, dim_first, same
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.scatter import Overwrite, ScatterExtreme


def distinct(n: int, *shape: int) -> Draw:
    """Indices 0..n-1 of which none comes twice along the last axis."""
    return Draw(
        lambda rng: np.asarray(rng.permuted(np.tile(np.arange(n), (*shape[:-1], 1)), axis=-1)[..., : shape[-1]])
    )


def groups(x: np.ndarray, i: np.ndarray, src: np.ndarray, dim: int) -> dict[tuple[int, ...], list[Any]]:
    """The values of src that go to each place of x."""
    out: dict[tuple[int, ...], list[Any]] = {place: [] for place in np.ndindex(x.shape)}
    for at in np.ndindex(i.shape):
        target = list(at)
        target[dim] = int(i[at])
        out[tuple(target)].append(src[at])
    return out


RULES: dict[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: sum(values[1:], values[0]),
    "prod": lambda values: np.prod(values),
    "mean": lambda values: (
        np.mean(values) if isinstance(values[0], np.floating) else sum(map(int, values)) // len(values)
    ),
    "amax": np.max,
    "amin": np.min,
    "last": lambda values: values[-1],
}


def reduced(x: Any, i: Any, src: Any, dim: int, reduce: str, include_self: bool = True) -> np.ndarray:
    out = np.atleast_1d(x).copy()
    i, src = np.atleast_1d(i), np.atleast_1d(src)
    for place, values in groups(out, i, src, dim).items():
        if values:
            out[place] = RULES[reduce]([*([out[place]] if include_self else []), *values])
    return out.reshape(np.shape(x))


def written(x: Any, i: Any, src: Any, dim: int) -> np.ndarray:
    return reduced(
        x, i, np.broadcast_to(src, np.shape(i)) if not np.ndim(src) else src, dim, "last", include_self=False
    )


def scatter(x: Any, i: Any, src: Any, dim: int, reduce: str | None = None) -> np.ndarray:
    return (
        written(x, i, src, dim)
        if reduce is None
        else reduced(x, i, src, dim, {"add": "sum", "multiply": "prod"}[reduce])
    )


def along(x: Any, i: np.ndarray, src: Any, dim: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """A vector of indices for an axis as an index of the shape of src."""
    flat = np.atleast_1d(x)
    shape = [1] * flat.ndim
    shape[dim] = i.size
    whole_shape = list(flat.shape)
    whole_shape[dim] = i.size
    return flat, np.broadcast_to(i.reshape(shape), whole_shape), np.asarray(src).reshape(whole_shape)


def index_reduce(x: Any, i: Any, src: Any, dim: int, reduce: str, include_self: bool = True) -> np.ndarray:
    return reduced(*along(x, i, src, dim), dim, reduce, include_self).reshape(np.shape(x))


def index_fill(x: Any, i: np.ndarray, value: Any, dim: int) -> np.ndarray:
    out = np.atleast_1d(x).copy()
    np.moveaxis(out, dim, 0)[i] = value
    return out.reshape(np.shape(x))


def put(x: np.ndarray, i: np.ndarray, src: np.ndarray, accumulate: bool = False) -> np.ndarray:
    out = x.copy().ravel()
    for k, value in zip(i.flat, src.flat, strict=True):
        out[k] = out[k] + value if accumulate else value
    return out.reshape(x.shape)


def index_put(x: np.ndarray, *rest: Any, accumulate: bool = False) -> np.ndarray:
    *key, values = rest
    out = x.copy()
    if accumulate:
        np.add.at(out, tuple(key), values)
    else:
        out[tuple(key)] = values
    return out


def masked_scatter(x: np.ndarray, m: np.ndarray, source: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(x.shape, m.shape)
    values = iter(source.flat)
    out = [next(values) if chosen else v for v, chosen in np.broadcast(x, m)]
    return np.array(out, x.dtype).reshape(shape)


def sliced(
    x: np.ndarray, src: np.ndarray, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> np.ndarray:
    out = x.copy()
    for row, k in enumerate(range(*slice(start, end, step).indices(x.shape[dim]))):
        np.moveaxis(out, dim, 0)[k] = np.moveaxis(src, dim, 0)[row]
    return out


def selected(x: np.ndarray, src: np.ndarray, dim: int, k: int) -> np.ndarray:
    out = x.copy()
    np.moveaxis(out, dim, 0)[k] = src
    return out


def keyed(function: Any, x: Any, *rest: Any, accumulate: bool = False) -> Any:
    """index_put(x, (i, j, ...), values)."""
    return function(x, rest[:-1], rest[-1], accumulate)


def long(*values: int) -> Any:
    return tgc.tensor(list(values))


TWICE = exactly([[0, 0], [0, 1]], "int64")  # several values for one place, none for others


def reductions(make: Callable[..., Draw], other: Callable[..., Draw], names: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(
        S(make(*x), i, other(*src), dim=dim, reduce=name, include_self=own, note=f"{name}{own}{number}")
        for name, own in itertools.product(names, (True, False))
        for number, (x, i, src, dim) in enumerate(
            [((3, 2), TWICE, (2, 2), 0), ((2, 3), TWICE, (2, 2), -1), ((), index(1, 3), (3,), 0)][
                : 3 if name == "sum" else 2
            ]
        )
    )


def between(*shape: int) -> Draw:
    """Values between those of `apart`."""
    return apart(*shape, offset=0.23)


ZEROS = (  # products with no, one, two and three zeros
    S(exactly([1.5, 0.0, 2.0, 0.0]), exactly([0, 0, 1, 1, 2, 2, 2, 3], "int64"), exactly([0, 2, 0, 3, 0, 0, 5, 4.0]), dim=0,
      reduce="prod", note="zeros"),
    S(exactly([1.5, 2.0]), exactly([0, 0, 0, 0, 1], "int64"), exactly([0, 0, 0, 2, 1.0]), dim=0, reduce="prod", note="three"),
)  # fmt: skip


def reduce_errors(call: Callable[..., Any], name: str) -> tuple[Error, ...]:
    return (
        Error(
            lambda: call(tgc.ones(3), 0, long(0), tgc.ones(1), "max"), OperandError, f"{name}: reduce must be.*'max'"
        ),
        Error(lambda: call(tgc.ones(3), 0, long(3), tgc.ones(1), "prod"), IndexError, f"{name}: index 3.*size 3"),
        Error(lambda: call(tgc.ones(3), 0, long(0), long(1), "prod"), DTypeError, f"{name}: .*int64.*float32"),
    )


CASES = (
    Case(
        "overwrite",
        lambda x, src, key: apply(Overwrite, (x, src), (key,)),
        lambda x, src, key: index_put(x, *key, src),
        (
            S((3, 2), (2,), args=((1,),)),
            S((3, 2), (2, 2), args=((slice(1, None),),)),
            S((3, 2), (1, 2), args=((np.array([2, 0, 2]),),), note="twice"),
            S((3, 2), (3, 2), args=((np.array([2, 0, 2]),),), note="twice"),
            S((2, 2), (), args=((np.array([[True, False], [True, True]]),),), note="mask"),
            S((), (), args=((Ellipsis,),)),
        ),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(
                lambda: apply(Overwrite, (tgc.ones(3), tgc.ones(2)), ((slice(None),),)),
                ShapeError,
                "overwrite.*3 and 2",
            ),
            Error(
                lambda: apply(Overwrite, (tgc.ones(3), tgc.ones(2, 1)), ((slice(2),),)),
                ShapeError,
                r"overwrite.*\(2, 1\)",
            ),
        ),
    ),
    Case(
        "scatter_extreme",
        lambda x, i, src, largest: apply(ScatterExtreme, (x, i, src), (0, largest, True)),
        lambda x, i, src, largest: reduced(x, i, src, 0, "amax" if largest else "amin"),
        (S(apart(3, 2), TWICE, between(2, 2), args=(True,)), S(apart(3), index(3, 2), between(2), args=(False,))),
        special=(S(exactly([1.0, np.nan]), exactly([0, 1], "int64"), exactly([np.nan, 2.0]), args=(True,)),),
        errors=(
            Error(
                lambda: apply(ScatterExtreme, (tgc.ones(3), long(0), tgc.ones(2)), (0, True, True)),
                ShapeError,
                "same shape",
            ),
        ),
    ),
    same(
        "scatter",
        scatter,
        (
            S((3, 3), distinct(3, 2, 3), (2, 3), dim=-1),
            S((3,), distinct(3, 2), (2,), dim=0),
            S((2, 3), distinct(3, 1, 2), (2, 2), dim=1, note="larger source"),
            S((3, 2), TWICE, (2, 2), dim=0, reduce="add"),
            S((3, 2), TWICE, (2, 2), dim=0, reduce="multiply"),
            S((2, 3), index(3, 0, 2), (1, 3), dim=0),
            S((), index(1), (), dim=0),
        ),
        dim_first,
        torch=None,  # it has no derivative for reduce
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.scatter(tgc.ones(3), 0, long(3), 1.0), IndexError, "scatter: index 3.*size 3"),
            Error(lambda: tgc.scatter(tgc.ones(3), 0, long(0, 1), tgc.ones(1)), ShapeError, r"\(2,\).*src \(1,\)"),
            Error(lambda: tgc.scatter(tgc.ones(3), 0, long(0)), OperandError, "scatter: give either src or value"),
            Error(
                lambda: tgc.scatter(tgc.ones(3), 0, long(0), 1.0, reduce="mean"), OperandError, "'add' or 'multiply'"
            ),
            Error(lambda: tgc.scatter(tgc.ones(3), 0, long(0), "a"), OperandError, "scatter: the value.*str"),
        ),
    ),
    same(
        "scatter",
        lambda x, i, dim, value: written(x, i, value, dim),
        (S((2, 3), TWICE, dim=1, value=2.0), S((3,), index(3, 2), dim=0, value=3)),
        dim_first,
    ),
    same(
        "scatter_reduce",
        reduced,
        reductions(normal, normal, ("sum", "mean", "prod")),
        dim_first,
        integers=("int64", "uint8"),
        half=True,
        errors=(
            *reduce_errors(tgc.scatter_reduce, "scatter_reduce"),
            Error(
                lambda: tgc.scatter_reduce(tgc.ones(2, 2), 0, long(0), tgc.ones(1), "sum"),
                ShapeError,
                "same number of axes",
            ),
        ),
    ),
    same("scatter_reduce", reduced, ZEROS, dim_first, torch=None),  # PyTorch cannot do the second derivative
    same(
        "scatter_reduce",
        reduced,
        reductions(apart, between, ("amax", "amin")),
        dim_first,
        kinks=(
            S(whole(2, 3, 2), TWICE, whole(2, 2, 2), dim=0, reduce="amax"),
            S(apart(3, 2), TWICE, whole(2, 2, 2), dim=0, reduce="amin", include_self=False),
        ),
        integers=("int64", "uint8"),
    ),
    same(
        "index_reduce",
        index_reduce,
        (
            S((3, 2), exactly([0, 2, 0], "int64"), (3, 2), dim=0, reduce="prod"),
            S((2, 3), exactly([1, 1], "int64"), (2, 2), dim=-1, reduce="mean", include_self=False),
            S(apart(2, 2), exactly([1, 1, 0], "int64"), between(3, 2), dim=0, reduce="amax"),
            S(apart(3), exactly([1, 1], "int64"), between(2), dim=0, reduce="amin"),
        ),
        dim_first,
        integers=("int64", "uint8"),
        errors=reduce_errors(tgc.index_reduce, "index_reduce"),
    ),
    same(
        "index_add",
        lambda x, i, src, dim, alpha=1: index_reduce(x, i, src * alpha, dim, "sum"),
        (
            S((3, 2), exactly([0, 2, 0], "int64"), (3, 2), dim=0),
            S((2, 3, 2), exactly([1, 1], "int64"), (2, 2, 2), dim=1, alpha=2),
            S((), index(1), (), dim=0),
            S((3, 2), index(1, 0), (0, 2), dim=0),
        ),
        dim_first,
        half=True,
        integers=("int64", "uint8"),
        errors=(
            Error(
                lambda: tgc.index_add(tgc.ones(3, 2), 0, long(0), tgc.ones(1, 3)),
                ShapeError,
                r"\(1, 3\).*need \(1, 2\)",
            ),
            Error(lambda: tgc.index_add(tgc.ones(3), 0, long(3), tgc.ones(1)), IndexError, "index_add: index 3"),
            Error(
                lambda: tgc.index_add(tgc.ones(3), 0, tgc.tensor([[0]]), tgc.ones(1)), ShapeError, "must be a vector"
            ),
            Error(lambda: tgc.index_add(tgc.ones(3), 0, long(0), long(1)), DTypeError, "index_add: source.*int64"),
        ),
    ),
    same(
        "index_copy",
        lambda x, i, src, dim: index_reduce(x, i, src, dim, "last", False),
        (
            S((3, 2), exactly([2, 0], "int64"), (2, 2), dim=0),
            S((2, 3), exactly([1, 2], "int64"), (2, 2), dim=-1),
            S((), index(1), (), dim=0),
        ),
        dim_first,
        errors=(
            Error(
                lambda: tgc.index_copy(tgc.ones(3), 0, long(0), tgc.ones(2)), ShapeError, r"\(2,\).*1 places.*\(1,\)"
            ),
        ),
    ),
    same(
        "index_fill",
        index_fill,
        (
            S((3, 2), exactly([2, 0], "int64"), (), dim=0),
            S((2, 3), index(3, 1), (), dim=-1),
            S((), index(1), (), dim=0),
            S((2, 2), index(1, 0), (), dim=0),
        ),
        dim_first,
        errors=(
            Error(lambda: tgc.index_fill(tgc.ones(3), 0, long(3), 1.0), IndexError, r"index_fill: index 3.*-3\.\.2"),
            Error(
                lambda: tgc.index_fill(tgc.ones(3), 0, long(0), tgc.ones(1)),
                ShapeError,
                r"without axes, got shape \(1,\)",
            ),
            Error(lambda: tgc.index_fill(tgc.ones(3), 0, tgc.tensor([[0]]), 1.0), ShapeError, "must be a vector"),
        ),
    ),
    same(
        "index_put",
        index_put,
        (
            S((3, 2), exactly([2, 0], "int64"), (2, 2)),
            S((3, 2), exactly([2, 0], "int64"), exactly([1, 1], "int64"), (2,)),
            S((3, 2), exactly([0, 0], "int64"), (2,), accumulate=True),
            S((2, 3), mask(2, 3), ()),
            S((2, 3), mask(2), (3,), accumulate=True),
        ),
        keyed,
        integers=("int64", "uint8"),
        errors=(
            Error(
                lambda: tgc.index_put(tgc.ones(3), (long(3),), tgc.ones(1)),
                IndexError,
                r"index_put.*\(3,\).*out of bounds",
            ),
            Error(
                lambda: tgc.index_put(tgc.ones(3), (long(0),), long(1)), DTypeError, "index_put: values has dtype int64"
            ),
        ),
    ),
    same(
        "put",
        put,
        (
            S((2, 3), exactly([0, -1], "int64"), (2,)),
            S((2, 3), exactly([[0, 0], [5, 0]], "int64"), (4,), args=(True,)),
            S((), index(1, 1), (1,)),
        ),
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.put(tgc.ones(3), long(3), tgc.ones(1)), IndexError, r"put: index 3.*3 values.*-3\.\.2"),
            Error(lambda: tgc.put(tgc.ones(3), long(0), tgc.ones(2)), ShapeError, "put: index has 1 values, source 2"),
        ),
    ),
    same(
        "masked_fill",
        lambda x, m, value: np.where(m, np.asarray(value, x.dtype), x),
        (
            S((2, 3), mask(2, 3), ()),
            S((3,), mask(2, 1), args=(1.5,)),
            S((), exactly(True, "bool"), args=(2,)),
        ),
        half=True,
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.masked_fill(tgc.ones(2), long(0, 1), 1.0), DTypeError, r"masked_fill.*int64.*bool\(\)"),
            Error(
                lambda: tgc.masked_fill(tgc.ones(2).half(), tgc.ones(2).bool(), 1e9), DTypeError, "1000000000.*float16"
            ),
            Error(lambda: tgc.masked_fill(long(0), tgc.ones(1).bool(), float("inf")), DTypeError, "inf.*int64"),
            Error(
                lambda: tgc.masked_fill(tgc.ones(2), tgc.ones(2).bool(), tgc.ones(1)), ShapeError, r"got shape \(1,\)"
            ),
        ),
    ),
    same(
        "masked_scatter",
        masked_scatter,
        (
            S((2, 3), mask(2, 3), (3, 2)),
            S((3,), mask(2, 1), (7,)),
            S((), exactly(True, "bool"), (2,)),
            S((), exactly(False, "bool"), (2,)),
        ),
        errors=(
            Error(
                lambda: tgc.masked_scatter(tgc.ones(3), tgc.ones(3).bool(), tgc.ones(2)),
                ShapeError,
                "in 3 places.*only 2",
            ),
            Error(lambda: tgc.masked_scatter(tgc.ones(3), tgc.ones(3), tgc.ones(3)), DTypeError, "must be bool"),
        ),
    ),
    same(
        "fill",
        lambda x, value: np.full_like(x, value),
        (S((2, 3), ()), S((2,), args=(3.0,)), S((), ()), S((0,), ())),
        errors=(
            Error(lambda: tgc.fill(tgc.ones(2), tgc.ones(1)), ShapeError, r"fill.*without axes, got shape \(1,\)"),
        ),
    ),
    same(
        "select_scatter",
        selected,
        (S((3, 2), (2,), args=(0, -1)), S((3, 2), (3,), args=(1, 0))),
        errors=(
            Error(lambda: tgc.select_scatter(tgc.ones(3, 2), tgc.ones(3), 0, 1), ShapeError, r"src.*\(3,\).*\(2,\)"),
            Error(lambda: tgc.select_scatter(tgc.ones(3), tgc.ones(()), 0, 3), IndexError, "select: index 3"),
        ),
    ),
    same(
        "slice_scatter",
        sliced,
        (S((4, 2), (2, 2), args=(0, 1, None, 2)), S((2, 3), (2, 2), args=(-1, -2)), S((3,), (3,))),
        errors=(
            Error(
                lambda: tgc.slice_scatter(tgc.ones(3), tgc.ones(2)), ShapeError, r"slice_scatter: src.*\(2,\).*\(3,\)"
            ),
            Error(lambda: tgc.slice_scatter(tgc.ones(3), tgc.ones(3), step=0), ShapeError, "slice_scatter: step"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_of_several_values_only_the_last_one_has_a_gradient(backend: str) -> None:
    x, src = tgc.zeros(2, requires_grad=True), tgc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = tgc.scatter(x, 0, long(0, 0, 0), src)
    y.backward(tgc.tensor([5.0, 7.0]))
    assert y.tolist() == [3, 0]
    assert src.grad.tolist() == [0, 0, 5]
    assert x.grad.tolist() == [0, 7]


def test_an_index_may_change_after_use(backend: str) -> None:
    for call in (tgc.index_add, tgc.index_copy, tgc.scatter):
        x, i, src = tgc.zeros(3, requires_grad=True), long(1, 2), tgc.ones(2, requires_grad=True)
        y = call(x, 0, i, src)
        i.fill_(0)
        y.backward(tgc.tensor([1.0, 2.0, 4.0]))
        assert src.grad.tolist() == [2, 4]


def test_types_of_values(backend: str) -> None:
    x = tgc.tensor([1, 2])
    assert tgc.fill(x, 3.7).tolist() == [3, 3]
    assert tgc.masked_fill(x, tgc.tensor([True, False]), 2.5).dtype == np.int64
    assert tgc.scatter(x, 0, long(0), value=True).tolist() == [1, 2]
    with pytest.raises(DTypeError, match=r"300.*uint8"):
        tgc.fill(tgc.ones(2, dtype="uint8"), 300)


def test_negative_places(backend: str) -> None:
    x = tgc.zeros(3)
    assert tgc.index_fill(x, 0, long(-1, 0), 2).tolist() == [2, 0, 2]
    assert tgc.put(x, long(-1), tgc.ones(1)).tolist() == [0, 0, 1]
    assert tgc.index_put(x, (long(-3),), tgc.ones(1)).tolist() == [1, 0, 0]
    for call in (tgc.index_add, tgc.index_copy, tgc.scatter, tgc.scatter_add):
        with pytest.raises(IndexError, match="index -1"):
            call(x, 0, long(-1), tgc.ones(1))


def test_a_tie_with_an_input_that_does_not_count(backend: str) -> None:
    """The whole gradient goes to src; in PyTorch the input still takes its share, which is then lost."""
    src = tgc.tensor([2.0, 2.0], requires_grad=True)
    tgc.scatter_reduce(tgc.tensor([2.0]), 0, long(0, 0), src, "amax", include_self=False).backward(tgc.tensor([6.0]))
    assert src.grad.tolist() == [3, 3]


def test_whole_axes_in_index_put(backend: str) -> None:
    y = tgc.index_put(tgc.zeros(2, 3), (None, long(1)), tgc.tensor(1.0))
    assert y.tolist() == [[0, 1, 0], [0, 1, 0]]


def test_products_of_many_values_for_one_place(backend: str) -> None:
    """The tree of pairs has odd and even levels."""
    for n in range(1, 12):
        src = tgc.tensor(np.arange(1.0, n + 1.0), requires_grad=True)
        y = tgc.scatter_reduce(tgc.ones(2).double(), 0, tgc.zeros(n).long(), src, "prod")
        y.backward(tgc.tensor([1.0, 1.0], dtype="float64"))
        product = float(np.prod(np.arange(1.0, n + 1.0)))
        assert y.tolist() == [product, 1]
        assert src.grad.tolist() == pytest.approx([product / k for k in range(1, n + 1)])
