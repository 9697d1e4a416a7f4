"""ops/order.py: sorting and searching."""

import bisect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, apart, exactly, normal, whole
from tests.ops.patterns import torch_function
from tinygrad_course.errors import DTypeError, ShapeError

WITH_NAN = exactly([[1.0, np.nan, -np.inf, np.nan, 2.0], [np.inf, 1.0, np.nan, 1.0, -0.0]])


def rank(value: float) -> tuple[bool, float]:
    """The key by which nan comes last."""
    return (True, 0.0) if value != value else (False, value)


def ordered(x: np.ndarray, dim: int, descending: bool, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Python's stable sort, row by row."""
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    rows = np.moveaxis(x, dim, -1)
    size = rows.shape[-1] if k is None else k
    values, places = np.empty((*rows.shape[:-1], size), x.dtype), np.empty((*rows.shape[:-1], size), np.int64)
    for row in np.ndindex(rows.shape[:-1]):
        items = list(rows[row])
        order = sorted(range(len(items)), key=lambda i: rank(items[i]), reverse=descending)  # stable in reverse too
        values[row], places[row] = [items[i] for i in order[:size]], order[:size]
    return np.moveaxis(values, -1, dim), np.moveaxis(places, -1, dim)


def sort(x: np.ndarray, dim: int = -1, descending: bool = False) -> tuple[np.ndarray, np.ndarray]:
    return ordered(x, dim, descending)


def topk(x: np.ndarray, k: int, dim: int = -1, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    return ordered(x, dim, largest, k)


def shapes(make: Callable[..., Any]) -> tuple[Sample, ...]:
    return (
        S(make(2, 4)),
        S(make(3, 2), dim=0, descending=True),
        S(make(2, 3, 2), dim=-2),
        S(make()),
        S(make(0, 2), dim=0),
    )


def insertion(edges: np.ndarray, x: Any, right: bool = False) -> np.ndarray:
    find = bisect.bisect_right if right else bisect.bisect_left
    x = np.asarray(x)
    out = np.empty(x.shape, np.int64)
    for place in np.ndindex(x.shape):
        out[place] = find(list(edges if edges.ndim == 1 else edges[place[:-1]]), x[place])
    return out


def groups(x: np.ndarray, dim: int | None, consecutive: bool) -> tuple[list[tuple[Any, ...]], list[int], list[int]]:
    """(different slices, number of the group of each slice, sizes)."""
    slices = [tuple(np.ravel(v)) for v in (x.ravel() if dim is None else np.moveaxis(x, dim, 0))]
    if not consecutive:
        found = sorted(set(slices))
        return found, [found.index(v) for v in slices], [slices.count(v) for v in found]
    found, inverse = [], []
    for v in slices:
        if not found or found[-1] != v:
            found.append(v)
        inverse.append(len(found) - 1)
    return found, inverse, [inverse.count(k) for k in range(len(found))]


def unique(consecutive: bool) -> Callable[..., Any]:
    def oracle(x: np.ndarray, dim: int | None = None) -> Any:
        found, inverse, counts = groups(x, dim, consecutive)
        if dim is None:
            values, back = np.array([v for (v,) in found], x.dtype), np.array(inverse, np.int64).reshape(x.shape)
        else:
            rest = np.moveaxis(x, dim, 0).shape[1:]
            values = np.moveaxis(np.array(found, x.dtype).reshape(len(found), *rest), 0, dim)
            back = np.array(inverse, np.int64)
        return values, back, np.array(counts, np.int64)

    return oracle


def all_of(name: str) -> Callable[..., Any]:
    return lambda x, dim=None: getattr(tgc, name)(x, return_inverse=True, return_counts=True, dim=dim)


REPEATED = (
    S(exactly([3.0, 1.0, 1.0, 3.0, 2.0, 1.0])),
    S(whole(2, 5, 2), dim=0),
    S(whole(2, 2, 5), dim=1),
    S(whole(2, 2, 2, 6), dim=-1),
    S(whole(3)),
    S(whole(2, 0)),
    S(whole(2, 0, 2), dim=0),
)


def unique_case(name: str) -> tuple[Case, ...]:
    """Where nothing repeats the values are smooth; where something does, the first occurrence has the gradient."""
    call, oracle = all_of(name), unique(name.endswith("consecutive"))
    message = rf"{name}.*\(3, 0\).*dim 0"
    return (
        Case(
            name,
            call,
            oracle,
            (S(apart(2, 3)), S(apart(3, 2), dim=0)),
            kinks=REPEATED,
            out=("same", "int64", "int64"),
            integers=("int64", "uint8", "bool"),
            errors=(
                Error(lambda: getattr(tgc, name)(tgc.ones(3, 0), dim=0), ShapeError, message),
                Error(lambda: getattr(tgc, name)(tgc.ones(2, 2), dim=2), ShapeError, rf"{name}.*dim 2"),
                Error(lambda: getattr(tgc, name)(tgc.tensor(1.0), dim=0), ShapeError, rf"{name}.*\(\)"),
            ),
        ),
    )


def coordinates(x: np.ndarray) -> np.ndarray:
    found = [p for p in np.ndindex(x.shape) if x[p] != 0]
    return np.array(found, np.int64).reshape(len(found), x.ndim)


COORDINATES = (S(whole(2, 3, 4)), S(whole(2, 2, 2, 3)), S(exactly(5.0)), S(exactly(0.0), note="zero"), S((0, 2)))
EDGES = exactly([[-1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 2.0, 2.0]])

CASES = (
    Case(
        "sort",
        tgc.sort,
        sort,
        shapes(apart),
        out=("same", "int64"),
        kinks=(S(whole(3, 2, 6)), S(whole(2, 6, 2), dim=0, descending=True)),
        special=(S(WITH_NAN), S(WITH_NAN, descending=True)),
        torch=lambda x, **kwargs: tuple(__import__("torch").sort(x, stable=True, **kwargs)),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=(
            Error(lambda: tgc.sort(tgc.ones(2), 1), ShapeError, r"sort.*dim 1"),
            Error(lambda: tgc.sort([1.0]), TypeError, r"sort.*must be a Tensor"),
        ),
    ),
    Case(
        "argsort",
        tgc.argsort,
        lambda x, **kwargs: sort(x, **kwargs)[1],
        shapes(lambda *shape: whole(3, *shape)),
        differentiable=False,
        out="int64",
        special=(S(WITH_NAN), S(WITH_NAN, descending=True)),
        integers=("int64", "bool"),
    ),
    Case(
        "msort",
        tgc.msort,
        lambda x: sort(x, 0)[0] if x.ndim else x,
        (S(apart(3, 2)), S(apart())),
        torch=torch_function("msort"),
    ),
    Case(
        "topk",
        tgc.topk,
        topk,
        (
            S(apart(2, 4), k=2),
            S(apart(3, 2), k=2, dim=0, largest=False),
            S(apart(2, 3), k=0),
            S(apart(), k=1),
            S(apart(2, 3), k=3, dim=-1),
        ),
        out=("same", "int64"),
        kinks=(S(whole(9, 1, 5), k=3),),
        special=(S(WITH_NAN, k=3), S(WITH_NAN, k=4, largest=False)),
        half=True,
        integers=("int64", "uint8", "bool"),
        errors=(
            Error(lambda: tgc.topk(tgc.ones(2, 3), 4), ShapeError, r"topk: k = 4.*axis 1.*\(2, 3\).*0 and 3"),
            Error(lambda: tgc.topk(tgc.ones(3), -1), ShapeError, r"topk: k = -1"),
        ),
    ),
    *unique_case("unique"),
    *unique_case("unique_consecutive"),
    Case(
        "searchsorted",
        lambda edges, x, **kwargs: tgc.searchsorted(edges, x, **kwargs),
        insertion,
        (
            S(exactly([-1.0, 0.0, 0.0, 2.0]), whole(3, 2, 3)),
            S(exactly([-1.0, 0.0, 0.0, 2.0]), whole(3, 2, 3), right=True),
            S(exactly([0.0, 1.0]), whole(3)),
            S(exactly(np.zeros(0)), whole(3, 2)),
        ),
        differentiable=False,
        out="int64",
        special=(S(EDGES, exactly([[0.0, np.inf, -np.inf], [2.0, 0.5, 7.0]])),),
        integers=("int64",),
        errors=(
            Error(lambda: tgc.searchsorted(tgc.ones(2, 3), tgc.ones(3, 3)), ShapeError, r"searchsorted.*\(2, 3\).*\(3, 3\)"),
            Error(lambda: tgc.searchsorted(tgc.tensor(1.0), tgc.ones(3)), ShapeError, r"searchsorted.*single number"),
            Error(lambda: tgc.searchsorted(tgc.ones(3), tgc.tensor([1])), DTypeError, r"searchsorted.*float32.*int64"),
            Error(lambda: tgc.searchsorted(tgc.ones(3), 1.0, side="middle"), ValueError, r"searchsorted: side.*middle"),
            Error(lambda: tgc.searchsorted(tgc.ones(3), 1.0, right=True, side="left"), ValueError, r"right=True.*left"),
        ),
    ),
    Case(
        "bucketize",
        tgc.bucketize,
        lambda x, edges, **kwargs: insertion(edges, x, **kwargs),
        (S(whole(4, 2, 3), exactly([1.0, 2.0])), S(whole(4, 3), exactly([1.0, 2.0]), right=True), S(normal(), normal(0))),
        differentiable=False,
        out="int64",
        errors=(Error(lambda: tgc.bucketize(tgc.ones(3), tgc.ones(1, 2)), ShapeError, r"bucketize.*\(1, 2\)"),),
    ),
    *(
        Case(
            name,
            getattr(tgc, name),
            coordinates,
            COORDINATES,
            differentiable=False,
            out="int64",
            special=(S(exactly([[np.nan, 0.0], [-0.0, np.inf]])),),
            integers=("int64", "bool"),
        )
        for name in ("nonzero", "argwhere")
    ),
    Case(
        "nonzero_static",
        tgc.nonzero_static,
        lambda x, size, fill_value=-1: np.array(
            [*coordinates(x).tolist(), *[[fill_value] * x.ndim] * size][:size], np.int64
        ).reshape(size, x.ndim),
        (S(whole(2, 3, 3), size=2), S(whole(2, 2, 3), size=9), S(whole(2, 4), size=5, fill_value=7), S(exactly(1.0), size=2)),
        differentiable=False,
        out="int64",
        errors=(Error(lambda: tgc.nonzero_static(tgc.ones(3), -1), ShapeError, r"nonzero_static.*-1"),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_fields(backend: str) -> None:
    x = tgc.tensor([2.0, 3.0, 1.0])
    assert (tgc.sort(x).values.tolist(), tgc.sort(x).indices.tolist()) == ([1.0, 2.0, 3.0], [2, 0, 1])
    assert (tgc.topk(x, 1).values.tolist(), tgc.topk(x, 1).indices.tolist()) == ([3.0], [1])
    assert tgc.sort(x, axis=0, descending=True, stable=True).values.tolist() == [3.0, 2.0, 1.0]


def test_what_unique_returns(backend: str) -> None:
    x = tgc.tensor([2, 1, 1])
    assert tgc.unique(x).tolist() == [1, 2]
    assert [y.tolist() for y in tgc.unique(x, return_inverse=True)] == [[1, 2], [1, 0, 0]]
    assert [y.tolist() for y in tgc.unique(x, return_counts=True)] == [[1, 2], [2, 1]]
    assert [y.tolist() for y in tgc.unique_consecutive(x, return_counts=True)] == [[2, 1], [1, 2]]


def test_nan_is_not_equal_to_itself(backend: str) -> None:
    values, counts = tgc.unique(tgc.tensor([math.nan, 1.0, math.nan]), return_counts=True)
    assert np.isnan(values.array).tolist() == [False, True, True]
    assert counts.tolist() == [1, 1, 1]


def test_the_first_of_equal_elements_has_the_gradient(backend: str) -> None:
    x = tgc.tensor([2.0, 1.0, 2.0, 1.0], requires_grad=True)
    tgc.unique(x).backward(tgc.tensor([3.0, 5.0]))
    assert x.grad.tolist() == [5.0, 3.0, 0.0, 0.0]


def test_searchsorted_options(backend: str) -> None:
    x = tgc.tensor([3.0, 1.0, 2.0])
    assert tgc.searchsorted(x, 2.0, sorter=tgc.argsort(x)).item() == 1
    assert tgc.searchsorted(x, 2, sorter=tgc.argsort(x), side="right").item() == 2
    assert tgc.searchsorted(tgc.tensor([1, 2]), tgc.tensor([2]), out_int32=True).dtype == "int32"
    assert tgc.bucketize(2.0, tgc.tensor([1.0, 2.0]), right=True).item() == 2


def test_nonzero_as_an_index(backend: str) -> None:
    x = tgc.tensor([[0, 5], [7, 0]])
    assert x[tgc.nonzero(x, as_tuple=True)].tolist() == [5, 7]
    assert [y.tolist() for y in tgc.nonzero(tgc.tensor(3), as_tuple=True)] == [[0]]


@pytest.mark.parametrize("dtype", ["int64", "float16", "bool"])
def test_sorting_keeps_the_type(backend: str, dtype: str) -> None:
    x = tgc.tensor([1, 0, 1], dtype=dtype)
    assert tgc.sort(x).values.dtype == dtype
    assert tgc.sort(x, descending=True).indices.tolist() == [0, 2, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16", "bool"])
@pytest.mark.parametrize(("shape", "dim"), [((3000,), 0), ((60, 40), 0), ((60, 40), 1)])
def test_many_elements_in_a_stable_order(shape: tuple[int, ...], dim: int, dtype: str, rng: np.random.Generator) -> None:
    """Beyond some 1000 elements narrow types are sorted by another way: with ties, nan of both signs, -0 and infinities."""
    x = rng.integers(-5, 6, shape).astype(dtype)
    if dtype.startswith("float"):
        x *= 0.5
        for value in (np.nan, -np.nan, -0.0, np.inf, -np.inf):
            x[rng.random(shape) < 0.03] = value
    ascending = np.argsort(x, dim, kind="stable")
    descending = x.shape[dim] - 1 - np.flip(np.argsort(np.flip(x, dim), dim, kind="stable"), dim)
    t = tgc.from_numpy(x)
    np.testing.assert_array_equal(tgc.argsort(t, dim).numpy(), ascending)
    np.testing.assert_array_equal(tgc.argsort(t, dim, descending=True).numpy(), descending)
    for k in (0, 1, 7, shape[dim]):
        np.testing.assert_array_equal(tgc.topk(t, k, dim).indices.numpy(), np.take(descending, range(k), dim))
        np.testing.assert_array_equal(tgc.topk(t, k, dim, largest=False).indices.numpy(), np.take(ascending, range(k), dim))
    np.testing.assert_array_equal(tgc.kthvalue(t, 5, dim).indices.numpy(), np.take(ascending, 4, dim))
    finite = np.nan_to_num(x, nan=0)
    middle = np.take(np.argsort(finite, dim, kind="stable"), (x.shape[dim] - 1) // 2, dim)
    np.testing.assert_array_equal(tgc.median(tgc.from_numpy(finite), dim).indices.numpy(), middle)


def test_wide_integers_are_sorted_whole(rng: np.random.Generator) -> None:
    """Their differences need more than 32 bits."""
    x = rng.integers(-2**62, 2**62, 2000)
    np.testing.assert_array_equal(tgc.sort(tgc.from_numpy(x)).values.numpy(), np.sort(x))
    np.testing.assert_array_equal(tgc.unique(tgc.from_numpy(x // 2**60)).numpy(), np.unique(x // 2**60))
