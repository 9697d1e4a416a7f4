"""ops/pad.py: padding in all modes."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample
from tests.ops.moving import INTEGERS, same
from tinygrad_course.autograd import apply
from tinygrad_course.errors import OperandError, ShapeError
from tinygrad_course.ops.pad import ConstantPad, pad

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's name and NumPy's


def padded(x: np.ndarray, sizes: tuple[int, ...], mode: str = "constant", value: float | None = None) -> np.ndarray:
    """np.pad with the positive numbers, then a slice for the negative ones."""
    sides = [(0, 0)] * (x.ndim - len(sizes) // 2) + list(zip(sizes[::2], sizes[1::2], strict=True))[::-1]
    more = [(max(low, 0), max(high, 0)) for low, high in sides]
    sizes = tuple(a + n + b for (a, b), n in zip(more, x.shape, strict=True))
    part = tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(sides, sizes, strict=True))
    if mode == "constant":
        return np.pad(x, more, constant_values=value or 0)[part]
    if mode == "circular":
        inner = tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(sides, x.shape, strict=True))
        return np.pad(x[inner], more, mode="wrap")
    return np.pad(x, more, mode=MODES[mode])[part]


def samples(mode: str) -> tuple[Sample, ...]:
    return tuple(
        S(shape, args=(sizes, mode), note=f"{mode}{sizes}")
        for shape, sizes in [
            ((2, 4), (1, 2)),
            ((1, 3, 4), (2, 0, 1, 1)),
            ((2, 4), (-1, 2)),
            ((2, 5), (2, -2)),
            ((2, 3), (0, 0)),
            ((1, 1, 2, 2, 3), (1, 1, 0, 1, 1, 0)),
        ]
    )


CONSTANT = (
    S((2, 3), args=((1, 2),)),
    S((2, 3), args=((1, 0, 0, 2), "constant", 2.5)),
    S((2, 3), args=((-1, 1, 1, -1),)),
    S((3,), args=((-2, -1),)),
    S((0, 2), args=((0, 0, 1, 1), "constant", 3.0)),
    S((1, 2, 1, 2), args=((1, 1),)),
)

CASES = (
    same(
        "pad",
        padded,
        CONSTANT + samples("reflect") + samples("replicate") + samples("circular"),
        ours=pad,
        half=True,
        integers=("int64", "int32"),
        errors=(
            Error(lambda: pad(tgc.ones(2, 3), (1,)), ShapeError, r"pad: \(1,\).*two numbers"),
            Error(lambda: pad(tgc.ones(3), (1, 1, 1, 1)), ShapeError, r"pad.*\(3,\) has 1 axes"),
            Error(lambda: pad(tgc.ones(2, 3), (-2, -2)), ShapeError, r"pad: \(0, -2\).*\(2, 3\).*more is cut off"),
            Error(lambda: pad(tgc.ones(2, 3), (-4, 2)), ShapeError, "more is cut off"),
            Error(lambda: pad(tgc.ones(2, 3), (3, 0), "reflect"), ShapeError, "3 places.*axis 1.*size 3.*fewer"),
            Error(lambda: pad(tgc.ones(2, 3), (4, 0), "circular"), ShapeError, "4 places.*axis 1.*size 3"),
            Error(lambda: pad(tgc.ones(2, 0), (1, 0), "replicate"), ShapeError, r"axis 1 of \(2, 0\) is empty"),
            Error(
                lambda: pad(tgc.ones(2, 3), (1, 1), "mirror"), OperandError, "mode must be constant, reflect.*'mirror'"
            ),
            Error(lambda: pad(tgc.ones(2, 3), (1, 1), "reflect", 2.0), OperandError, r"takes no value, got 2\.0"),
        ),
    ),
    same(
        "constant_pad_nd",
        lambda x, sizes, value=0: padded(x, sizes, "constant", value),
        (S((2, 3), args=((1, 2),)), S((2, 3), args=((1, -1, 0, 2), 2.0))),
        integers=("int64", "uint8"),
        errors=(
            Error(lambda: tgc.constant_pad_nd(tgc.ones(2), (1, 1), tgc.ones(())), OperandError, "must be a number"),
        ),
    ),
    Case(
        "constant_pad",
        lambda x, before, after, value: apply(ConstantPad, (x,), (before, after, value)),
        lambda x, before, after, value: padded(x, (before[1], after[1], before[0], after[0]), "constant", value),
        (S((2, 3), args=((1, -1), (0, 2), 1.5)), S((2, 2), args=((0, 0), (0, 0), 1.0))),
        integers=INTEGERS[:1],
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("mode", MODES)
def test_what_is_cut_off_as_pytorch_does(backend: str, torch: Any, mode: str) -> None:
    x = np.arange(10.0).reshape(2, 5)
    for sizes in [(-2, 3), (3, -2), (-4, 1), (1, -4), (-1, -2)]:
        if mode == "circular" and max(sizes) > 5 + min(sizes):
            continue  # PyTorch reads memory that nobody has written
        ours = pad(tgc.tensor(x), sizes, mode)
        assert ours.tolist() == torch.nn.functional.pad(torch.tensor(x), sizes, mode).tolist()


def test_replicate_sees_a_value_that_is_cut_off(backend: str) -> None:
    assert pad(tgc.tensor([[1.0, 2.0]]), (-2, 3), "replicate").tolist() == [[2, 2, 2]]


def test_modes_work_on_any_number_of_axes(backend: str) -> None:
    """PyTorch asks for a batch axis; a signal alone is padded here just so."""
    assert pad(tgc.tensor([1, 2, 3]), (2, 1), "reflect").tolist() == [3, 2, 1, 2, 3, 2]


def test_types(backend: str) -> None:
    assert pad(tgc.tensor([1, 2]), (1, 0), value=2.7).tolist() == [2, 1, 2]
    assert pad(tgc.tensor([True]), (0, 1), value=True).tolist() == [True, True]
    assert pad(tgc.tensor(3), ()).tolist() == 3
    assert np.isnan(pad(tgc.ones(1), (0, 1), value=float("nan")).tolist()[1])
