"""ops/index.py: slices and advanced indices, parts along an axis, gather, scatter_add, one-hot."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, exactly, index, mask
from tests.ops.moving import dim_first, same
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.index import SliceAdjoint

INTEGERS = ("int64", "uint8", "bool")
BASIC: list[tuple[tuple[int, ...], Any]] = [
    ((3, 4), 1),
    ((3, 4), -1),
    ((3, 4), slice(1, 3)),
    ((3, 4), (slice(None), 2)),
    ((3, 4), (slice(None, None, -1), 0)),
    ((3, 4), (slice(None, None, 2), slice(3, 0, -2))),
    ((3, 4), (None, 1, None)),
    ((3, 4), (Ellipsis, 1)),
    ((3, 4), ()),
    ((3, 4), (1, 2)),
    ((2, 3, 2), (0, Ellipsis, slice(1, None))),
    ((3,), slice(3, 3)),
    ((), ()),
    ((), (None,)),
    ((0, 2), slice(None)),
    ((5,), slice(-2, None)),
]
ADVANCED: list[tuple[tuple[int, ...], Any]] = [
    ((4, 3), np.array([0, 2, 2, -1])),
    ((4, 3), (slice(None), np.array([2, 0]))),
    ((4,), np.array([], np.int64)),
    ((4, 3), (np.array([0, 1]), np.array([2, 2]))),
    ((4, 3), np.array([[0, 1], [3, 3]])),
    ((4, 3), (np.array([[0], [1]]), np.array([0, 2]))),
    ((2, 3), np.array([[True, False, True], [False, False, True]])),
    ((3, 2), np.array([True, False, True])),
    ((2, 3, 2), (slice(None), np.array([1, 1]), 0)),
    ((2, 3, 2), (slice(None), 0, np.array([1, 1]))),
    ((2, 3, 2), (np.array([0, 1]), slice(None), np.array([1, 1]))),
    ((3, 2), (None, np.array([2, 2, 2]))),
    ((3, 2), np.array([False, False, False])),
    ((2, 2), (np.array([1, 1]), None, slice(None, None, -1))),
    ((3,), np.array([1, 1, 1], np.int32)),
    ((3,), np.array([2, 1], np.uint8)),
]


def notes(kind: str, items: list[tuple[tuple[int, ...], Any]]) -> tuple[Sample, ...]:
    return tuple(S(shape, args=(key,), note=f"{kind}{n}") for n, (shape, key) in enumerate(items))


def numbered(x: np.ndarray, key: Any) -> np.ndarray:
    """x[key] by asking NumPy only for positions."""
    places = np.arange(x.size).reshape(x.shape)[key]
    return np.array([x.ravel()[k] for k in np.asarray(places).flat], x.dtype).reshape(np.shape(places))


def put_back(g: np.ndarray, shape: tuple[int, ...], key: Any) -> np.ndarray:
    places = np.asarray(np.arange(int(np.prod(shape))).reshape(shape)[key])
    out = np.zeros(int(np.prod(shape)))
    for value, k in zip(g.flat, places.flat, strict=True):
        out[k] += value
    return out.reshape(shape)


def adjoint_samples() -> tuple[Sample, ...]:
    out = []
    for n, (shape, key) in enumerate(BASIC[:8] + ADVANCED):
        size = np.empty(shape)[key].shape
        out.append(S(size, args=(shape, key if isinstance(key, tuple) else (key,)), note=f"adjoint{n}"))
    return tuple(out)


def gather(x: np.ndarray, index: np.ndarray, dim: int) -> np.ndarray:
    out = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place) or [0]
        source[dim] = index[place]
        out[place] = np.atleast_1d(x)[tuple(source)]
    return out


def scatter_add(x: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int) -> np.ndarray:
    out = np.atleast_1d(x).copy()
    for place in np.ndindex(index.shape):
        target = list(place) or [0]
        target[dim] = index[place]
        out[tuple(target)] += src[place]
    return out.reshape(x.shape)


GATHER = (
    S((3, 4), index(3, 2, 4), dim=0),
    S((3, 4), index(4, 3, 6), dim=1),
    S((3, 4), index(4, 2, 2), dim=-1),
    S((5,), index(5, 7), dim=0),
    S((2, 3, 2), index(3, 2, 5, 1), dim=1),
    S((), index(1), dim=0),
    S((), index(1, 2), dim=-1),
    S((3,), index(3), dim=0),
)
SCATTER = (
    S((3, 4), index(3, 2, 4), (2, 4), dim=0),
    S((3, 4), index(4, 3, 6), (3, 6), dim=1),
    S((5,), index(5, 7), (7,), dim=0),
    S((), index(1), (), dim=0),
    S((3,), index(3), (), dim=0),
)
LARGER_SOURCE = (S((3, 4), index(4, 2, 2), (3, 5), dim=-1), S((2, 3, 2), index(3, 2, 5, 1), (2, 5, 2), dim=1))


def torch_gather(x: Any, index: Any, dim: int) -> Any:
    return x.gather(dim, index)


def long(*values: int) -> Any:
    return tgc.tensor(list(values))


CASES = (
    Case(
        "slice",
        lambda x, key: x[key],
        numbered,
        notes("slice", BASIC),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3)[2], IndexError, r"slice.*\[2\].*\(2, 3\).*out of bounds"),
            Error(lambda: tgc.ones(2, 3)[0, 1, 2], IndexError, r"slice.*\(2, 3\).*too many"),
            Error(lambda: tgc.ones(2, 3)["a"], IndexError, "integers, slices.*not by str"),
            Error(lambda: tgc.ones(2, 3)[1.0], IndexError, "not by float"),
        ),
    ),
    Case(
        "index",
        lambda x, key: x[key],
        numbered,
        notes("index", ADVANCED),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3)[long(2)], IndexError, r"index.*\(2, 3\).*out of bounds"),
            Error(lambda: tgc.ones(2, 3)[long(-3, 0)], IndexError, r"index.*\(2, 3\).*out of bounds"),
            Error(lambda: tgc.ones(2, 3)[tgc.tensor([True, False, True])], IndexError, r"index.*\(2, 3\)"),
            Error(lambda: tgc.ones(2, 3)[long(0, 1), long(0, 1, 2)], IndexError, r"index.*\(2, 3\).*broadcast"),
            Error(lambda: tgc.ones(2, 3)[tgc.ones(2)], DTypeError, r"integer or bool.*float32.*long\(\)"),
        ),
    ),
    Case(
        "slice_adjoint",
        lambda g, shape, key: apply(SliceAdjoint, (g,), (shape, key)),
        put_back,
        adjoint_samples(),
        half=True,
        errors=(
            Error(
                lambda: apply(SliceAdjoint, (tgc.ones(3),), ((4,), (slice(2),))),
                ShapeError,
                r"slice_adjoint.*\(3,\).*\(4,\)",
            ),
        ),
    ),
    Case(
        "gather",
        lambda x, i, dim: tgc.gather(x, dim, i),
        gather,
        GATHER,
        torch=torch_gather,
        integers=INTEGERS,
        half=True,
        threaded=(S((700, 300), index(700, 700, 300), dim=0), S((700, 300), index(300, 700, 300), dim=1)),
        errors=(
            Error(
                lambda: tgc.gather(tgc.ones(2, 3), 1, tgc.tensor([[3]])),
                IndexError,
                r"gather.*index 3.*dim 1.*size 3.*0\.\.2",
            ),
            Error(lambda: tgc.gather(tgc.ones(2, 3), 1, tgc.tensor([[-1]])), IndexError, r"gather.*index -1"),
            Error(
                lambda: tgc.gather(tgc.ones(2, 3), 1, long(1)),
                ShapeError,
                r"gather.*\(2, 3\).*\(1,\).*same number of axes",
            ),
            Error(
                lambda: tgc.gather(tgc.ones(2, 3), 1, tgc.zeros(3, 1).long()), ShapeError, r"gather.*\(3, 1\).*\(2, 3\)"
            ),
            Error(lambda: tgc.gather(tgc.ones(2, 3), 2, tgc.zeros(2, 1).long()), ShapeError, "gather.*dim 2"),
            Error(
                lambda: tgc.gather(tgc.ones(2, 3), 1, tgc.zeros(2, 1)),
                DTypeError,
                r"gather.*integer.*float32.*long\(\)",
            ),
        ),
    ),
    Case("scatter_add", lambda x, i, src, dim: tgc.scatter_add(x, dim, i, src), scatter_add, LARGER_SOURCE),
    Case(
        "scatter_add",
        lambda x, i, src, dim: tgc.scatter_add(x, dim, i, src),
        scatter_add,
        SCATTER,
        half=True,
        torch=lambda x, i, src, dim: x.scatter_add(dim, i, src),
        threaded=(
            S((700, 300), index(700, 700, 300), (700, 300), dim=0),
            S((700, 300), index(300, 700, 300), (700, 300), dim=1),
        ),
        errors=(
            Error(
                lambda: tgc.scatter_add(tgc.ones(3), 0, long(3), tgc.ones(1)),
                IndexError,
                "scatter_add.*index 3.*size 3",
            ),
            Error(
                lambda: tgc.scatter_add(tgc.ones(3), 0, long(0, 1), tgc.ones(1)),
                ShapeError,
                r"scatter_add.*\(2,\).*src \(1,\)",
            ),
            Error(lambda: tgc.scatter_add(tgc.ones(3), 0, long(0), tgc.ones(1, 1)), ShapeError, "scatter_add"),
            Error(
                lambda: tgc.scatter_add(tgc.ones(3), 0, long(0), tgc.ones(1, dtype="float64")),
                DTypeError,
                r"scatter_add: src has dtype float64.*float32.*src\.to",
            ),
        ),
    ),
    same(
        "select",
        lambda x, dim, k: np.take(x, k, dim),
        (S((2, 3), args=(0, 1)), S((2, 3, 2), args=(-2, -3)), S((3,), args=(0, 2))),
        view=True,
        errors=(
            Error(
                lambda: tgc.select(tgc.ones(2, 3), 1, 3),
                IndexError,
                r"select: index 3.*dim 1 of shape \(2, 3\).*size 3",
            ),
            Error(lambda: tgc.select(tgc.ones(()), 0, 0), ShapeError, "select: a tensor without axes.*unsqueeze"),
        ),
    ),
    same("select_copy", lambda x, dim, k: np.take(x, k, dim), (S((2, 3), args=(1, -1)),)),
    same(
        "narrow",
        lambda x, dim, start, n: np.take(x, range(start % x.shape[dim], start % x.shape[dim] + n), dim),
        (S((2, 4), args=(1, 1, 2)), S((4, 2), args=(0, -3, 2)), S((2, 4), args=(-1, 3, 0))),
        view=True,
        errors=(
            Error(lambda: tgc.narrow(tgc.ones(2, 3), 1, 4, 0), IndexError, "narrow: start 4.*between -3 and 3"),
            Error(lambda: tgc.narrow(tgc.ones(2, 3), 1, 2, 2), ShapeError, "narrow: start 2 and length 2.*size 3"),
        ),
    ),
    same("narrow_copy", lambda x, dim, a, n: np.take(x, range(a, a + n), dim), (S((2, 4), args=(1, 1, 2)),)),
    Case(
        "slice",
        tgc.slice,
        lambda x, dim=0, start=None, end=None, step=1: np.take(
            x, range(*slice(start, end, step).indices(x.shape[dim])), dim
        ),
        (S((5, 2)), S((5, 2), args=(0, 1, 100, 2)), S((2, 4), args=(-1, -3, -1)), S((4,), args=(0, 3, 1))),
        errors=(Error(lambda: tgc.slice(tgc.ones(3), 0, 0, 3, -1), ShapeError, r"slice: step.*-1; use flip\(\)"),),
    ),
    same(
        "slice_copy",
        lambda x, dim, start, end, step: np.take(x, range(start, end, step), dim),
        (S((5, 2), args=(0, 1, 4, 2)),),
    ),
    same(
        "index_select",
        lambda x, i, dim: np.take(x, np.atleast_1d(i), dim) if x.ndim else x,
        (
            S((3, 2), index(3, 5), dim=0),
            S((2, 3, 2), index(3, 2), dim=-2),
            S((3, 2), index(2), dim=1),
            S((3, 2), index(1, 0), dim=0),
            S((), index(1, 1), dim=0),
        ),
        dim_first,
        errors=(
            Error(
                lambda: tgc.index_select(tgc.ones(2, 3), 1, long(3)), IndexError, "index_select: index 3.*dim 1.*size 3"
            ),
            Error(lambda: tgc.index_select(tgc.ones(2, 3), 1, long(-1)), IndexError, "index_select: index -1"),
            Error(
                lambda: tgc.index_select(tgc.ones(2, 3), 1, tgc.tensor([[0]])),
                ShapeError,
                r"index_select.*vector.*\(1, 1\)",
            ),
            Error(lambda: tgc.index_select(tgc.ones(2, 3), 1, tgc.ones(1)), DTypeError, "index_select.*float32"),
        ),
    ),
    same(
        "masked_select",
        lambda x, m: np.array([v for v, chosen in np.broadcast(x, m) if chosen], x.dtype),
        (
            S((2, 3), mask(2, 3)),
            S((2, 3), mask(3)),
            S((3,), mask(2, 1)),
            S((), exactly([True, False], "bool")),
            S((2,), exactly(False, "bool")),
        ),
        errors=(
            Error(lambda: tgc.masked_select(tgc.ones(2), long(1, 0)), DTypeError, r"masked_select.*int64.*bool\(\)"),
            Error(lambda: tgc.masked_select(tgc.ones(2), tgc.ones(3).bool()), ShapeError, "masked_select.*2 and 3"),
        ),
    ),
    same(
        "take",
        lambda x, i: np.array([x.ravel()[k] for k in i.flat], x.dtype).reshape(i.shape),
        (
            S((2, 3), exactly([[0, -1], [5, 0]], "int64")),
            S((2, 3), index(6)),
            S((), index(1, 2)),
            S((2, 3), index(6, 2, 0)),
        ),
        errors=(Error(lambda: tgc.take(tgc.ones(2, 3), long(6)), IndexError, r"take: index 6.*6 values.*-6\.\.5"),),
    ),
    same(
        "take_along_dim",
        lambda x, i, dim=None: np.take_along_axis(*((x, i, dim) if dim is not None else (x.ravel(), i.ravel(), 0))),
        (
            S((3, 4), index(3, 2, 4), dim=0),
            S((3, 1), exactly([[0, -1, -2]], "int64"), dim=0),
            S((1, 3), index(3, 2, 2), dim=-1),
            S((2, 3), index(6, 2, 2)),
        ),
        errors=(
            Error(lambda: tgc.take_along_dim(tgc.ones(2, 3), long(0), 0), ShapeError, r"\(2, 3\).*\(1,\).*same number"),
            Error(
                lambda: tgc.take_along_dim(tgc.ones(2), long(-3), 0), IndexError, r"take_along_dim: index -3.*-2\.\.1"
            ),
        ),
    ),
    Case(
        "one_hot",
        lambda i, n: tgc.ops.one_hot(i, n),
        lambda i, n: np.array([[int(c == k) for c in range(n)] for k in i.flat]).reshape((*i.shape, n)),
        (S(index(3, 4), args=(3,)), S(index(3, 2, 2), args=(5,)), S(index(3), args=(3,)), S(index(3, 0), args=(3,))),
        differentiable=False,
        out="int64",
        errors=(
            Error(lambda: tgc.ops.one_hot(long(0, 3), 3), IndexError, r"one_hot: class 3.*0\.\.2"),
            Error(lambda: tgc.ops.one_hot(long(0, -1), 3), IndexError, "one_hot: class -1"),
            Error(lambda: tgc.ops.one_hot(tgc.ones(2)), DTypeError, r"one_hot.*float32.*long\(\)"),
            Error(lambda: tgc.ops.one_hot(tgc.zeros(0).long()), ShapeError, "one_hot.*empty"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_index_is_kept_as_it_was(backend: str) -> None:
    """Changing the index tensor or array afterwards must not change the gradient: a copy, or an error."""
    for make in (
        lambda: long(1, 2),
        lambda: np.array([1, 2]),
        lambda: tgc.tensor([False, True, True, False]),
        lambda: np.array([False, True, True, False]),
    ):
        x, key = tgc.zeros(4, requires_grad=True), make()
        y = x[key]
        if isinstance(key, np.ndarray):
            key[...] = 0
        else:
            key.fill_(0)
        try:
            y.sum().backward()
        except tgc.errors.GraphError:
            continue
        assert x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("key", [[0, 2], [True, False, True], ([0, 1], [1, 1]), range(2), [], np.int64(1), True, None])
def test_keys_that_python_offers(backend: str, torch: Any, key: Any) -> None:
    x = np.arange(6.0).reshape(3, 2)
    ours, theirs = tgc.tensor(x)[key], torch.tensor(x)[list(key) if isinstance(key, range) else key]
    assert ours.shape == tuple(theirs.shape)
    assert ours.tolist() == theirs.tolist()


def test_gradient_through_bool_and_int_keys_of_python(backend: str) -> None:
    x = tgc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x[True] * 2 + x[[0, 0, 2]] + x[1]).sum().backward()
    assert x.grad.tolist() == [2 + 2, 2 + 3, 2 + 1]


def test_iteration_and_unpacking(backend: str) -> None:
    x = tgc.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = x
    (a * 2 + b * 3).sum().backward()
    assert x.grad.tolist() == [[2, 2], [3, 3]]


def test_setitem_values(backend: str, torch: Any) -> None:
    for shape, key in BASIC + ADVANCED:
        x = np.arange(float(np.prod(shape))).reshape(shape)
        ours, theirs = tgc.tensor(x), x.copy()
        ours[key] = -1.0
        theirs[key] = -1.0
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize(
    "key",
    [
        (0, slice(None), [1, 1]),
        ([1, 0], slice(None), 0),
        (0, [1, 2], slice(None), [0, 1]),
        (slice(None), 1, None, [0, 2]),
        (0, None, [2, 2]),
        (Ellipsis, [1, 0], 1),
        (True, 1, [0, 0]),
        (1, np.array([[True, False, True, False], [False, True, True, False], [False, False, False, True]])),
        (np.array([True, False]), 0),
        (np.array(1), slice(None), [0, 1]),
        ([0, 1], None, [1, 2]),
        (slice(1, None), 2, [1, 1, 1], 0),
    ],
    ids=range(12),
)
def test_integers_are_taken_before_arrays(backend: str, torch: Any, key: Any) -> None:
    """NumPy counts an integer as an array, PyTorch does not: the axes come out in another order."""
    x, results = np.arange(48.0).reshape(2, 3, 4, 2), []
    for tensor in (tgc.tensor, torch.tensor):
        leaf = tensor(x, requires_grad=True)
        y = leaf[tuple(tensor(part) if isinstance(part, np.ndarray) else part for part in key)]
        y.backward(tensor(np.arange(1.0, 1.0 + y.numel()).reshape(tuple(y.shape))))
        results.append((tuple(y.shape), y.tolist(), leaf.grad.tolist()))
    assert results[0] == results[1]


def test_writes_to_parts_are_seen(backend: str) -> None:
    for part in (lambda x: tgc.select(x, 0, 1), lambda x: tgc.narrow(x, 0, 1, 1), lambda x: tgc.slice(x, 0, 1)):
        x = tgc.zeros(2)
        y = (x * tgc.ones(2, requires_grad=True)).sum()
        part(x).fill_(1)
        assert x.tolist() == [0, 1]
        with pytest.raises(tgc.errors.GraphError, match="fill_"):
            y.backward()


def test_places_as_tensors(backend: str) -> None:
    x = tgc.tensor([1, 2, 3])
    assert tgc.select(x, 0, tgc.tensor(1)).item() == 2
    assert tgc.narrow(x, 0, tgc.tensor(1), 2).tolist() == [2, 3]


def test_an_empty_index_may_have_any_number_of_axes(backend: str) -> None:
    x = tgc.ones(3, 4, requires_grad=True)
    for shape in [(0,), (0, 4), (2, 0, 5)]:
        y = tgc.gather(x, 1, tgc.zeros(shape).long())
        assert y.shape == shape
        y.sum().backward()
        assert tgc.scatter_add(x, 0, tgc.zeros(shape).long(), tgc.ones(1)).tolist() == x.tolist()
    assert x.grad.tolist() == tgc.zeros(3, 4).tolist()
