"""ops/join.py: joining, splitting, repeating, grids and tuples."""

import itertools
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.moving import INTEGERS, listed, same
from tinygrad_course.errors import DTypeError, OperandError, ShapeError


def cat(*arrays: np.ndarray, dim: int = 0) -> np.ndarray:
    """Rows one after the other, with `dim` in front."""
    arrays = tuple(a for a in arrays if a.shape != (0,)) or arrays[:1]
    rows = [row for a in arrays for row in np.moveaxis(a, dim, 0)]
    front = np.moveaxis(arrays[0], dim, 0).shape[1:]
    return np.moveaxis(np.array(rows, arrays[0].dtype).reshape(-1, *front), 0, dim)


def cut(x: np.ndarray, dim: int, bounds: list[int]) -> list[np.ndarray]:
    """The parts between neighbours of `bounds`."""
    return [np.take(x, range(a, b), dim) for a, b in itertools.pairwise(bounds)]


def in_parts(x: np.ndarray, size: Any, dim: int = 0) -> list[np.ndarray]:
    n = x.shape[dim]
    sizes = size if isinstance(size, list) else [min(size, n - k) for k in range(0, n, size)] if n else [0]
    return cut(x, dim, [0, *itertools.accumulate(sizes)])


def in_chunks(x: np.ndarray, chunks: int, dim: int = 0) -> list[np.ndarray]:
    n = x.shape[dim]
    return in_parts(x, -(-n // chunks), dim) if n else in_parts(x, [0] * chunks, dim)


def block_diag(*blocks: np.ndarray) -> np.ndarray:
    blocks = tuple(np.atleast_2d(b) for b in blocks)
    out = np.zeros((sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)), blocks[0].dtype)
    row = column = 0
    for b in blocks:
        out[row : row + b.shape[0], column : column + b.shape[1]] = b
        row, column = row + b.shape[0], column + b.shape[1]
    return out


def combinations(x: np.ndarray, r: int = 2, with_replacement: bool = False) -> np.ndarray:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return np.array(list(choose(x, r)), x.dtype).reshape(-1, r)


def spread(function: Any, *tensors: Any, **kwargs: Any) -> Any:
    return function(*tensors, **kwargs)


VIEWS = {"view": True}
CAT = (
    S((2, 3), (1, 3)),
    S((2, 3), (2, 1), (2, 2), dim=1),
    S((3,)),
    S((0, 2), (3, 2)),
    S((2, 1, 2), (2, 3, 2), dim=-2),
    S((0,), (0,)),
    S((0,), (2, 3), dim=-1, note="empty"),
)

CASES = (
    same(
        "cat",
        cat,
        CAT,
        listed,
        half=True,
        errors=(
            Error(
                lambda: tgc.cat([tgc.ones(2, 3), tgc.ones(2, 4)]), ShapeError, r"tensor 1.*\(2, 4\).*\(2, 3\).*dim 0"
            ),
            Error(lambda: tgc.cat([tgc.ones(2), tgc.ones(2, 1)]), ShapeError, r"cat: tensor 1.*\(2, 1\).*\(2,\)"),
            Error(lambda: tgc.cat([]), ShapeError, "cat.*at least one"),
            Error(lambda: tgc.cat([tgc.ones(2), 3.0]), TypeError, "cat.*number 1 is float"),
            Error(lambda: tgc.cat(tgc.ones(2, 2)), OperandError, "cat: expected a list"),
            Error(lambda: tgc.cat([tgc.ones(()), tgc.ones(())]), ShapeError, "cat.*stack"),
            Error(lambda: tgc.cat([tgc.ones(2)], 1), ShapeError, "cat.*dim 1"),
        ),
    ),
    same("concat", cat, (S((2, 3), (1, 3)),), listed),
    same("concatenate", cat, (S((2, 3), (2, 1), dim=1),), listed),
    same(
        "stack",
        lambda *a, dim=0: np.stack(a, dim),
        (S((2, 3), (2, 3)), S((2, 3), (2, 3), dim=2), S((), (), ()), S((2,), (2,), dim=-1), S((0,), (0,))),
        listed,
        errors=(
            Error(lambda: tgc.stack([tgc.ones(2), tgc.ones(3)]), ShapeError, r"stack: tensor 1.*\(3,\).*\(2,\).*equal"),
            Error(lambda: tgc.stack([]), ShapeError, "stack.*at least one"),
        ),
    ),
    same("hstack", lambda *a: np.hstack(a), (S((2,), (3,)), S((2, 1), (2, 3)), S((), ())), listed),
    same("vstack", lambda *a: np.vstack(a), (S((3,), (3,)), S((2, 3), (3,)), S((), ())), listed),
    same("row_stack", lambda *a: np.vstack(a), (S((3,), (2, 3)),), listed),
    same("dstack", lambda *a: np.dstack(a), (S((2,), (2,)), S((2, 3), (2, 3, 2)), S((), ())), listed),
    same("column_stack", lambda *a: np.column_stack(a), (S((2,), (2, 3)), S((2, 1, 2), (2, 2, 2)), S((), ())), listed),
    same(
        "block_diag",
        block_diag,
        (S((2, 3), (1, 2)), S((), (2,), (2, 1)), S((2, 0), (1, 2))),
        spread,
        errors=(Error(lambda: tgc.block_diag(tgc.ones(1, 2, 3)), ShapeError, r"block_diag: tensor 0.*\(1, 2, 3\)"),),
    ),
    same("block_diag", block_diag, (S((0,), (2, 2)),), spread, torch=None),  # PyTorch's gradient is one row off here
    same(
        "split",
        in_parts,
        (
            S((5,), args=(2,)),
            S((2, 4), args=(2, 1)),
            S((5, 2), args=([1, 0, 4],)),
            S((0,), args=(3,)),
            S((3,), args=(7, -1)),
        ),
        **VIEWS,
        errors=(
            Error(lambda: tgc.split(tgc.ones(3), 0), ShapeError, r"split: parts of size 0.*dim 0 of \(3,\)"),
            Error(lambda: tgc.split(tgc.ones(()), 1), ShapeError, "split: a tensor without axes"),
        ),
    ),
    same("split_copy", in_parts, (S((5, 2), args=(2,)),), torch=lambda x, n: x.split(n)),
    same(
        "split_with_sizes",
        in_parts,
        (S((5, 2), args=([2, 3],)), S((2, 3), args=([0, 3], -1))),
        **VIEWS,
        errors=(
            Error(lambda: tgc.split_with_sizes(tgc.ones(5), [2, 2]), ShapeError, r"\[2, 2\].*dim 0.*size 5"),
            Error(lambda: tgc.split_with_sizes(tgc.ones(5), [-1, 6]), ShapeError, r"\[-1, 6\]"),
        ),
    ),
    same("split_with_sizes_copy", in_parts, (S((5, 2), args=([2, 3],)),)),
    same(
        "chunk",
        in_chunks,
        (S((5,), args=(2,)), S((2, 5), args=(4, 1)), S((2,), args=(3,)), S((0, 2), args=(2,))),
        **VIEWS,
        errors=(Error(lambda: tgc.chunk(tgc.ones(3), 0), ShapeError, "chunk.*at least 1, got 0"),),
    ),
    same(
        "tensor_split",
        lambda x, n, dim=0: np.array_split(x, n, dim),
        (
            S((5,), args=(3,)),
            S((2, 4), args=((1, 3), 1)),
            S((3,), args=((2, 1),)),
            S((3,), args=(5,)),
            S((4,), args=((-1,),)),
        ),
        **VIEWS,
        errors=(
            Error(lambda: tgc.tensor_split(tgc.ones(3), 0), ShapeError, "tensor_split.*into 0 parts"),
            Error(lambda: tgc.tensor_split(tgc.ones(3)), OperandError, "tensor_split: give either"),
        ),
    ),
    same(
        "hsplit",
        np.hsplit,
        (S((4,), args=(2,)), S((2, 4), args=(2,)), S((2, 4), args=((1,),))),
        **VIEWS,
        errors=(Error(lambda: tgc.hsplit(tgc.ones(2, 3), 2), ShapeError, "hsplit.*size 3.*2 parts of equal size"),),
    ),
    same(
        "vsplit",
        np.vsplit,
        (S((4, 2), args=(2,)), S((3, 2), args=((1, 2),))),
        **VIEWS,
        errors=(Error(lambda: tgc.vsplit(tgc.ones(2), 2), ShapeError, r"vsplit.*2 axes, got shape \(2,\)"),),
    ),
    same("dsplit", np.dsplit, (S((1, 2, 4), args=(2,)), S((1, 2, 3), args=((1,),))), **VIEWS),
    same(
        "unbind",
        lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
        (S((2, 3)), S((2, 3), args=(-1,)), S((2,)), S((2, 0))),
        **VIEWS,
        errors=(Error(lambda: tgc.unbind(tgc.ones(())), ShapeError, "unbind: a tensor without axes"),),
    ),
    same("unbind_copy", lambda x, dim=0: list(np.moveaxis(x, dim, 0)), (S((2, 3), args=(1,)),)),
    same(
        "repeat",
        np.tile,
        (
            S((2, 3), args=((2, 1),)),
            S((3,), args=((2, 1, 2),)),
            S((), args=((2,),)),
            S((2,), args=((0,),)),
            S((2,), args=((1,),)),
        ),
        half=True,
        errors=(Error(lambda: tgc.repeat(tgc.ones(2, 3), 2), ShapeError, r"repeat: repeats \(2,\).*\(2, 3\)"),),
    ),
    same("tile", np.tile, (S((2, 3), args=((2,),)), S((3,), args=((2, 2),)), S((2,), args=((),)))),
    same(
        "repeat_interleave",
        np.repeat,
        (S((2, 3), args=(2,)), S((2, 3), args=(3, 1)), S((), args=(2,)), S((2, 3), args=(0, 0))),
        errors=(
            Error(lambda: tgc.repeat_interleave(tgc.ones(3), tgc.tensor([1, 2])), ShapeError, r"vector of 3.*\(2,\)"),
            Error(lambda: tgc.repeat_interleave(tgc.ones(3), -1), ShapeError, "repeat_interleave.*negative"),
            Error(lambda: tgc.repeat_interleave(tgc.ones(3), tgc.ones(3)), DTypeError, r"float32.*long\(\)"),
            Error(lambda: tgc.repeat_interleave(tgc.ones(3), 2, output_size=5), ShapeError, "output_size is 5.*to 6"),
        ),
    ),
    Case(
        "repeat_interleave",
        lambda x, counts, dim: tgc.repeat_interleave(x, tgc.tensor(counts), dim),
        np.repeat,
        (S((2, 3), args=([2, 0, 1], 1)), S((2, 3), args=([1, 3], 0)), S((2, 2), args=([0, 2, 0, 1], None))),
        integers=INTEGERS,
    ),
    same(
        "meshgrid",
        lambda *a, indexing="ij": np.meshgrid(*a, indexing=indexing),
        (
            S((2,), (3,), indexing="ij"),
            S((2,), (3,), (1,), indexing="xy"),
            S((), (2,), indexing="ij"),
            S((0,), (2,), indexing="xy"),
        ),
        spread,
        **VIEWS,
        errors=(
            Error(lambda: tgc.meshgrid(tgc.ones(2, 2)), ShapeError, r"meshgrid: tensor 0.*\(2, 2\).*vector"),
            Error(lambda: tgc.meshgrid(tgc.ones(2), tgc.tensor([1])), DTypeError, "tensor 1 has dtype int64.*float32"),
            Error(lambda: tgc.meshgrid(tgc.ones(2), indexing="yx"), OperandError, "'ij' or 'xy', got 'yx'"),
        ),
    ),
    same(
        "cartesian_prod",
        lambda *a: np.array(list(itertools.product(*a)), a[0].dtype).reshape(-1, len(a)) if len(a) > 1 else a[0],
        (S((2,), (3,)), S((2,), (1,), (2,)), S((3,)), S((2,), (0,))),
        spread,
        **VIEWS,
        errors=(Error(lambda: tgc.cartesian_prod(tgc.ones(())), ShapeError, "cartesian_prod.*vector"),),
    ),
    same(
        "combinations",
        combinations,
        (S((4,)), S((3,), args=(3,)), S((3,), args=(2, True)), S((2,), args=(3,)), S((0,))),
        errors=(
            Error(lambda: tgc.combinations(tgc.ones(2, 2)), ShapeError, r"combinations.*vector.*\(2, 2\)"),
            Error(lambda: tgc.combinations(tgc.ones(2), -1), ShapeError, "r must not be negative"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_types_are_promoted_by_cat(backend: str) -> None:
    x, y = tgc.ones(2, requires_grad=True), tgc.tensor([2])
    z = tgc.cat([x, y])
    assert z.dtype == np.float32
    z.sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert tgc.cat([tgc.tensor([1], dtype="uint8"), tgc.tensor([True])]).dtype == np.uint8
    assert tgc.cat([tgc.tensor([1]), tgc.zeros(0)]).dtype == np.float32  # what adds nothing still has a type


def test_one_tensor_several_times(backend: str) -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    tgc.cat([x, x * 2, x]).backward(tgc.tensor([1.0, 2, 3, 4, 5, 6]))
    assert x.grad.tolist() == [1 + 2 * 3 + 5, 2 + 2 * 4 + 6]


def test_repeats_alone_are_places(backend: str) -> None:
    for dtype in ("int64", "int32"):
        places = tgc.repeat_interleave(tgc.tensor([1, 0, 2], dtype=dtype))
        assert (places.tolist(), places.dtype) == ([0, 2, 2], np.dtype(dtype))


def test_cuts_as_tensors_and_by_name(backend: str) -> None:
    x = tgc.tensor([0, 1, 2, 3])
    for parts in (tgc.tensor_split(x, tgc.tensor([1, 2])), tgc.tensor_split(x, indices=(1, 2))):
        assert [p.tolist() for p in parts] == [[0], [1], [2, 3]]
    for parts in (tgc.tensor_split(x, tgc.tensor(2)), tgc.tensor_split(x, sections=2), tgc.hsplit(x, sections=2)):
        assert [p.tolist() for p in parts] == [[0, 1], [2, 3]]
    with pytest.raises(OperandError):
        tgc.tensor_split(x, 2, sections=2)


def test_lists_and_single_tensors(backend: str) -> None:
    x = tgc.tensor([1.0, 2.0])
    assert [g.tolist() for g in tgc.meshgrid([x, x])] == [g.tolist() for g in tgc.meshgrid(x, x)]
    assert tgc.block_diag().shape == (1, 0)
    assert tgc.repeat(x, 2, 1).tolist() == tgc.repeat(x, repeats=(2, 1)).tolist() == [[1, 2], [1, 2]]
    assert tgc.tile(x, 2, 1).tolist() == tgc.tile(x, dims=(2, 1)).tolist() == [[1, 2], [1, 2]]
    assert tgc.combinations(x, 0).shape == (0,)


def test_dim_and_axis_are_the_same_word(backend: str) -> None:
    x = tgc.ones(2, 1)
    for name in ("cat", "concat", "concatenate", "stack"):
        assert getattr(tgc, name)([x, x], axis=1).shape == getattr(tgc, name)([x, x], dim=1).shape


def test_writes_to_parts_are_seen(backend: str) -> None:
    x = tgc.zeros(4)
    y = (x * tgc.ones(4, requires_grad=True)).sum()
    tgc.split(x, 2)[1].fill_(1)
    assert x.tolist() == [0, 0, 1, 1]
    with pytest.raises(tgc.errors.GraphError, match="fill_"):
        y.backward()
