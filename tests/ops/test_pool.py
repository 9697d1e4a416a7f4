"""ops/pool.py: maximum and average pooling."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, apart, exactly, whole
from tinygrad_course.autograd import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.pool import AvgPool2dGrad, MaxPool2dGather, MaxPool2dGrad


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def windows(size: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> list[list[int]]:
    """Per window the input positions of its taps, those in the padding included.

    A window lies in the padded input; with ceil_mode one more may stick out if it starts before the right padding."""
    out = []
    start = -p
    while start + d * (k - 1) < size + p:
        out.append([start + d * tap for tap in range(k)])
        start += s
    sticks_out = out and out[-1][-1] < size + p - 1
    if ceil_mode and sticks_out and start < size:
        out.append([start + d * tap for tap in range(k)])
    return out


def planes(
    x: np.ndarray, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[tuple[int, ...], Iterator[Any]]:
    """Shape of the result, and (its place, rows, columns) for every window of every plane."""
    stride = kernel_size if stride is None else stride
    args = zip(x.shape[2:], pair(kernel_size), pair(stride), pair(padding), pair(dilation), strict=True)
    rows, cols = (windows(*a, ceil_mode) for a in args)
    shape = (*x.shape[:2], len(rows), len(cols))
    return shape, ((place, rows[place[2]], cols[place[3]]) for place in np.ndindex(shape))


def max_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    height, width = x.shape[2:]
    shape, every = planes(x, kernel_size, stride, padding, dilation, ceil_mode)
    y, index = np.zeros(shape), np.zeros(shape, np.int64)
    for place, rows, cols in every:
        plane = x[place[:2]]
        inside = [(plane[i, j], i * width + j) for i in rows for j in cols if 0 <= i < height and 0 <= j < width]
        bad = [item for item in inside if item[0] != item[0]]
        best = max(item[0] for item in inside)
        y[place], index[place] = bad[-1] if bad else next(item for item in inside if item[0] == best)
    return (y, index) if return_indices else y


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    height, width = x.shape[2:]
    ph, pw = pair(padding)
    shape, every = planes(x, kernel_size, stride, padding, 1, ceil_mode)
    y = np.zeros(shape)
    for place, rows, cols in every:
        inside = [x[place[0], place[1], i, j] for i in rows for j in cols if 0 <= i < height and 0 <= j < width]
        padded = sum(i < height + ph and j < width + pw for i in rows for j in cols)
        y[place] = sum(inside) / (divisor_override or (padded if count_include_pad else len(inside)))
    return y


GEOMETRIES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 4, 4), {"kernel_size": 2}),
    ((1, 1, 5, 6), {"kernel_size": (3, 2), "stride": (2, 1)}),
    ((1, 2, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 1, 6, 5), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((1, 1, 7, 7), {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ((1, 1, 5, 4), {"kernel_size": (2, 3), "stride": 1, "padding": (1, 1)}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((1, 1, 2, 2), {"kernel_size": 2, "stride": 5, "padding": 1}),
    ((0, 2, 4, 4), {"kernel_size": 4}),
]
DILATED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 6, 5), {"kernel_size": 2, "stride": 1, "dilation": (3, 2)}),
    ((1, 1, 7, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
]
MEANS = [
    *GEOMETRIES,
    ((1, 1, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ((1, 1, 6, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ((1, 1, 6, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 4, 4), {"kernel_size": 2, "divisor_override": 3}),
]


def samples(geometries: Any, make: Any = apart, **more: Any) -> tuple[Sample, ...]:
    return tuple(S(make(*shape), note=f"g{k}", **kwargs, **more) for k, (shape, kwargs) in enumerate(geometries))


def torch_call(name: str) -> Any:
    def call(x: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, **kwargs)

    return call


SWITCHES = np.array([[[[0, 5], [5, 11]]], [[[3, 3], [3, 3]]]], np.int32)  # planes of 3 x 4


def scatter(g: np.ndarray, switches: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros((shape[0], shape[1], shape[2] * shape[3]))
    for n, c, i, j in np.ndindex(g.shape):
        out[n, c, switches[n, c, i, j]] += g[n, c, i, j]
    return out.reshape(shape)


def read(x: np.ndarray, switches: np.ndarray) -> np.ndarray:
    values = [x[n, c].ravel()[switches[n, c, i, j]] for n, c, i, j in np.ndindex(switches.shape)]
    return np.array(values).reshape(switches.shape)


def spread(
    g: np.ndarray, shape: tuple[int, ...], k: Any, s: Any, p: Any, ceil_mode: bool, pad: bool, divisor: Any
) -> np.ndarray:
    """<g, avg_pool2d(x)> is linear in x: its coefficients, one unit at a time."""
    out = np.zeros(shape)
    for place in np.ndindex(shape):
        unit = np.zeros(shape)
        unit[place] = 1.0
        out[place] = (g * avg_pool2d(unit, k, s, p, ceil_mode, pad, divisor)).sum()
    return out


def spread_samples() -> tuple[Sample, ...]:
    return (
        S((2, 1, 2, 2), args=((2, 1, 4, 4), (2, 2), (2, 2), (0, 0), False, True, None)),
        S((1, 1, 3, 3), args=((1, 1, 5, 5), (3, 3), (2, 2), (1, 1), False, False, None), note="no padding counted"),
        S((1, 1, 3, 2), args=((1, 1, 6, 5), (3, 3), (2, 2), (0, 0), True, True, None), note="ceil"),
        S((1, 1, 2, 2), args=((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), False, True, 7), note="divisor"),
    )


def pool(name: str, shape: tuple[int, ...], *args: Any, **kwargs: Any) -> Any:
    return lambda: getattr(tgc.ops, name)(tgc.ones(*shape), *args, **kwargs)


def errors(op: str) -> tuple[Error, ...]:
    return (
        Error(pool(op, (1, 1, 2, 2), 3), ShapeError, rf"{op}.*reaches over 3.*\(1, 1, 2, 2\).*only 2"),
        Error(pool(op, (2, 2), 1), ShapeError, rf"{op}.*\(2, 2\)"),
        Error(pool(op, (1, 1, 4, 4), 2, padding=2), ShapeError, rf"{op}.*padding 2.*half.*2"),
        Error(pool(op, (1, 1, 4, 4), 0), ShapeError, rf"{op}.*kernel_size.*at least 1"),
        Error(pool(op, (1, 1, 4, 4), 2, stride=0), ShapeError, rf"{op}.*stride.*at least 1"),
        Error(pool(op, (1, 1, 4, 4), "2"), ShapeError, rf"{op}.*kernel_size.*'2'"),
        Error(pool(op, (1, 1, 4, 4), (2, 2, 2)), ShapeError, rf"{op}.*kernel_size.*\(2, 2, 2\)"),
    )


NAN = exactly(
    [
        [
            [
                [1.0, np.nan, 3.0, 4.0],
                [np.nan, 6.0, np.inf, 1.0],
                [-np.inf, -np.inf, 0.0, 1.0],
                [-np.inf, -np.inf, 1.0, 0.0],
            ]
        ]
    ]
)
BIG = [((8, 16, 64, 64), {"kernel_size": 2}), ((4, 16, 64, 64), {"kernel_size": 3, "stride": 2, "padding": 1})]

CASES = (
    Case(
        "max_pool2d",
        tgc.ops.max_pool2d,
        max_pool2d,
        samples(GEOMETRIES + DILATED),
        kinks=(S(whole(3, 2, 2, 6, 6), kernel_size=2), S(whole(2, 1, 2, 6, 6), kernel_size=3, stride=1, padding=1)),
        special=(S(NAN, kernel_size=2),),
        torch=torch_call("max_pool2d"),
        half=True,
        threaded=samples(BIG),
        errors=errors("max_pool2d"),
    ),
    Case(
        "max_pool2d",
        tgc.ops.max_pool2d,
        max_pool2d,
        samples(GEOMETRIES + DILATED, return_indices=True),
        out=("same", "int64"),
        torch=torch_call("max_pool2d"),
        kinks=(S(whole(3, 2, 2, 6, 6), kernel_size=2, return_indices=True, note="ties"),),
        special=(S(NAN, kernel_size=2, return_indices=True, note="indices"),),
    ),
    Case(
        "max_pool2d_grad",
        lambda g, i, s: apply(MaxPool2dGrad, (g,), (i, s)),
        scatter,
        (S((2, 1, 2, 2), args=(SWITCHES, (2, 1, 3, 4))),),
        half=True,
        errors=(
            Error(
                lambda: apply(MaxPool2dGrad, (tgc.ones(1, 1, 2, 2),), (SWITCHES, (2, 1, 3, 4))),
                ShapeError,
                r"max_pool2d_grad.*\(1, 1, 2, 2\).*\(2, 1, 2, 2\)",
            ),
        ),
    ),
    Case(
        "max_pool2d_gather",
        lambda x, i: apply(MaxPool2dGather, (x,), (i,)),
        read,
        (S((2, 1, 3, 4), args=(SWITCHES,)),),
        half=True,
        errors=(
            Error(
                lambda: apply(MaxPool2dGather, (tgc.ones(1, 1, 2, 2),), (SWITCHES,)),
                ShapeError,
                r"max_pool2d_gather.*\(1, 1, 2, 2\).*\(2, 1, 2, 2\)",
            ),
        ),
    ),
    Case(
        "avg_pool2d",
        tgc.ops.avg_pool2d,
        avg_pool2d,
        samples(MEANS),
        torch=torch_call("avg_pool2d"),
        half=True,
        threaded=samples(BIG),
        special=(S(NAN, kernel_size=2),),
        errors=(
            *errors("avg_pool2d"),
            Error(
                pool("avg_pool2d", (1, 1, 4, 4), 2, divisor_override=0),
                ShapeError,
                "avg_pool2d.*divisor_override.*zero",
            ),
        ),
    ),
    Case(
        "avg_pool2d_grad",
        lambda g, *a: apply(AvgPool2dGrad, (g,), a),
        spread,
        spread_samples(),
        half=True,
        errors=(
            Error(
                lambda: apply(
                    AvgPool2dGrad, (tgc.ones(1, 1, 3, 3),), ((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), False, True, None)
                ),
                ShapeError,
                r"avg_pool2d_grad.*\(1, 1, 3, 3\).*\(1, 1, 2, 2\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_every_geometry_has_torchs_size(backend: str, torch: Any) -> None:
    """All small combinations of size, kernel, stride, padding, dilation, ceil_mode, or an error in both."""
    for n, k, s, p, d, ceil in itertools.product((1, 2, 3, 5, 8), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)):
        x = np.arange(float(n * n)).reshape(1, 1, n, n)
        for ours, theirs, extra in (
            (tgc.ops.max_pool2d, torch.nn.functional.max_pool2d, {"dilation": d}),
            (tgc.ops.avg_pool2d, torch.nn.functional.avg_pool2d, {}),
        ):
            kwargs = {"stride": s, "padding": p, "ceil_mode": ceil, **extra}
            try:
                wanted = theirs(torch.tensor(x), k, **kwargs)
            except RuntimeError:
                with pytest.raises(ShapeError):
                    ours(tgc.tensor(x), k, **kwargs)
                continue
            y = ours(tgc.tensor(x), k, **kwargs)
            np.testing.assert_allclose(y.array, wanted.numpy(), rtol=1e-12, err_msg=str((n, k, s, p, d, ceil)))


def test_single_image(backend: str) -> None:
    x = tgc.tensor(np.arange(16.0).reshape(1, 4, 4))
    assert tgc.ops.max_pool2d(x, 2).tolist() == [[[5, 7], [13, 15]]]
    y, switches = tgc.ops.max_pool2d(x, 2, return_indices=True)
    assert switches.tolist() == [[[5, 7], [13, 15]]]
    assert y.shape == (1, 2, 2)
    assert tgc.ops.avg_pool2d(x, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
