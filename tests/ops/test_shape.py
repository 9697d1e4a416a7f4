"""ops/shape.py: reshape, permute, cat and what follows from them."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course.errors import ShapeError

INTEGERS = ("int64", "uint8", "bool")


def reordered(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(x.ravel().tolist(), x.dtype).reshape(shape)


def axes_moved(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """y[i_0, i_1, ...] = x[...] with i_k at axis dims[k] of x."""
    out = np.empty([x.shape[d] for d in dims], x.dtype)
    for place in np.ndindex(out.shape):
        source = [0] * x.ndim
        for axis, at in zip(dims, place, strict=True):
            source[axis] = at
        out[place] = x[tuple(source)]
    return out


def cat_oracle(*arrays: np.ndarray, dim: int = 0) -> np.ndarray:
    """Rows one after the other, with `dim` in front."""
    rows = [row for a in arrays for row in np.moveaxis(a, dim, 0)]
    front = np.moveaxis(arrays[0], dim, 0).shape[1:]
    return np.moveaxis(np.array(rows, arrays[0].dtype).reshape(-1, *front), 0, dim)


def cat(*tensors: Any, dim: int = 0) -> Any:
    return tgc.cat(tensors, dim)


def stack(*tensors: Any, dim: int = 0) -> Any:
    return tgc.stack(tensors, dim)


def torch_cat(*tensors: Any, dim: int = 0) -> Any:
    import torch

    return torch.cat(tensors, dim)


CASES = (
    Case(
        "reshape",
        tgc.reshape,
        reordered,
        tuple(
            S(a, args=(b,))
            for a, b in [
                ((2, 3), (3, 2)),
                ((2, 3), (6,)),
                ((4,), (2, 2)),
                ((), (1,)),
                ((1,), ()),
                ((2, 0), (0, 5)),
                ((2, 3, 4), (6, 4)),
                ((2, 3, 4), (2, 12)),
                ((1, 1), ()),
            ]
        ),
        torch=lambda x, s: x.reshape(s),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3).reshape(4, 2), ShapeError, r"reshape.*\(2, 3\) has 6.*\(4, 2\) would have 8"),
            Error(lambda: tgc.ones(2, 3).reshape(4, -1), ShapeError, r"reshape.*\(2, 3\).*6.*\(4, -1\)"),
            Error(lambda: tgc.ones(2, 3).reshape(-1, -1), ShapeError, r"reshape.*-1"),
            Error(lambda: tgc.ones(0, 3).reshape(0, -1), ShapeError, r"reshape.*-1"),
            Error(lambda: tgc.ones(2, 3).reshape(-2, -3), ShapeError, "reshape.*negative"),
            Error(lambda: tgc.ones(2, 3).flatten(1, 0), ShapeError, "flatten.*start_dim 1.*end_dim 0"),
            Error(lambda: tgc.ones(2, 3).unsqueeze(4), ShapeError, "unsqueeze.*dim 4"),
            Error(lambda: tgc.ones(2, 3).T.view(6), ShapeError, r"view.*\(3, 2\).*reshape\(\)"),
        ),
    ),
    Case(
        "permute",
        tgc.permute,
        axes_moved,
        tuple(
            S(a, args=(b,))
            for a, b in [
                ((2, 3), (1, 0)),
                ((2, 3, 4), (2, 0, 1)),
                ((2, 3, 4), (1, 2, 0)),
                ((2, 3, 4), (0, 2, 1)),
                ((), ()),
                ((3,), (0,)),
                ((2, 0, 3), (2, 1, 0)),
                ((2, 1, 3, 2), (3, 1, 0, 2)),
            ]
        ),
        torch=lambda x, d: x.permute(d),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3).permute(0, 0), ShapeError, r"permute.*\(0, 0\).*2 axes.*once"),
            Error(lambda: tgc.ones(2, 3).permute(0), ShapeError, "permute.*each of the 2 axes"),
            Error(lambda: tgc.ones(2, 3).transpose(0, 2), ShapeError, "transpose.*dim 2"),
            Error(lambda: tgc.ones(2, 3, 4).t(), ShapeError, r"t: expects at most 2 axes.*\(2, 3, 4\)"),
        ),
    ),
    Case(
        "cat",
        cat,
        cat_oracle,
        (
            S((2, 3), (1, 3)),
            S((2, 3), (2, 1), (2, 2), dim=1),
            S((3,)),
            S((0, 2), (3, 2)),
            S((2, 1, 2), (2, 3, 2), dim=1),
            S((2, 1, 2), (2, 3, 2), dim=-2),
            S((0,), (0,)),
        ),
        torch=torch_cat,
        integers=INTEGERS,
        half=True,
        errors=(
            Error(
                lambda: tgc.cat([tgc.ones(2, 3), tgc.ones(2, 4)]),
                ShapeError,
                r"cat: tensor 1.*\(2, 4\).*\(2, 3\).*dim 0",
            ),
            Error(lambda: tgc.cat([tgc.ones(2), tgc.ones(2, 1)]), ShapeError, r"cat: tensor 1.*\(2, 1\).*\(2,\)"),
            Error(lambda: tgc.cat([]), ShapeError, "cat.*at least one"),
            Error(lambda: tgc.cat([tgc.ones(2), 3.0]), TypeError, "cat.*number 1 is float"),
            Error(lambda: tgc.cat([tgc.ones(()), tgc.ones(())]), ShapeError, "cat.*stack"),
            Error(lambda: tgc.cat([tgc.ones(2)], 1), ShapeError, "cat.*dim 1"),
        ),
    ),
    Case(
        "cat",
        stack,
        lambda *a, dim=0: np.stack(a, dim),
        (
            S((2, 3), (2, 3), note="stack"),
            S((2, 3), (2, 3), dim=2, note="stack 2"),
            S((), (), (), note="stack 0-d"),
            S((2,), (2,), dim=-1, note="stack -1"),
        ),
        errors=(
            Error(lambda: tgc.stack([tgc.ones(2), tgc.ones(3)]), ShapeError, r"stack: tensor 1.*\(3,\).*\(2,\).*equal"),
            Error(lambda: tgc.stack([]), ShapeError, "stack.*at least one"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.flatten(),
        lambda x: x.flatten(1),
        lambda x: x.flatten(0, 1),
        lambda x: x.unsqueeze(0),
        lambda x: x.unsqueeze(-1),
        lambda x: x.squeeze(),
        lambda x: x.squeeze(1),
        lambda x: x.squeeze(0),
        lambda x: x.transpose(0, -1),
        lambda x: x.mT,
        lambda x: x.reshape(-1, 2),
        lambda x: x.view(2, 6),
        lambda x: x.permute(2, 0, 1, 3),
        lambda x: x.unsqueeze(1).expand(-1, 4, -1, -1, -1),
    ],
    ids=range(14),
)
def test_names_of_pytorch(backend: str, torch: Any, call: Any) -> None:
    x = np.arange(12.0).reshape(2, 1, 3, 2)
    ours, theirs = call(tgc.tensor(x)), call(torch.tensor(x))
    assert ours.shape == tuple(theirs.shape)
    assert ours.tolist() == theirs.tolist()


def test_view_shares_memory_or_refuses(backend: str) -> None:
    x = tgc.tensor(np.arange(24.0).reshape(2, 3, 4))
    for base in (x, x[1], x.detach(), x.permute(0, 1, 2), x[:, :, :]):
        y = base.view(-1)
        assert np.shares_memory(y.array, x.array)
        assert y.tolist() == base.array.ravel().tolist()
    for base in (x.permute(2, 1, 0), x[:, 1], x[:, :, :3]):
        with pytest.raises(ShapeError, match="view"):
            base.view(-1)
        assert base.reshape(-1).tolist() == base.array.ravel().tolist()


def test_types_are_promoted_by_cat(backend: str) -> None:
    x, y = tgc.ones(2, requires_grad=True), tgc.tensor([2])
    z = tgc.cat([x, y])
    assert z.dtype == np.float32
    z.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_one_tensor_several_times(backend: str) -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    tgc.cat([x, x * 2, x]).backward(tgc.tensor([1.0, 2, 3, 4, 5, 6]))
    assert x.grad.tolist() == [1 + 2 * 3 + 5, 2 + 2 * 4 + 6]
