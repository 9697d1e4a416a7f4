"""ops/pool.py: maximum, average and power-mean pooling; adaptive and fractional windows."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, apart, exactly, positive, whole
from tinygrad_course.autograd import apply
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.pool import AvgPool2dGrad, MaxIndex, MaxPool2dGather, MaxPool2dGrad


def numbers(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n


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


def boxes(x: np.ndarray, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """Size of the result, and per place of it the positions along each axis, for any number of axes."""
    n = x.ndim - 2
    stride = kernel_size if stride is None else stride
    args = (x.shape[2:], *(numbers(v, n) for v in (kernel_size, stride, padding, dilation)))
    along = [windows(*a, ceil_mode) for a in zip(*args, strict=True)]
    size = tuple(len(places) for places in along)
    return size, ((at, [places[i] for places, i in zip(along, at, strict=True)]) for at in np.ndindex(size))


def largest(x: np.ndarray, size: tuple[int, ...], every: Any, return_indices: bool = True) -> Any:
    """The largest value per box, the first of equal ones, the last NaN, and its place in the flattened x.shape[2:]."""
    y, index = np.zeros((*x.shape[:2], *size)), np.zeros((*x.shape[:2], *size), np.int64)
    flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    for at, box in every:
        inside = [[i for i in places if 0 <= i < m] for places, m in zip(box, x.shape[2:], strict=True)]
        places = [int(np.ravel_multi_index(place, x.shape[2:])) for place in itertools.product(*inside)]
        for n, c in np.ndindex(x.shape[:2]):
            bad = [place for place in places if np.isnan(flat[n, c, place])]
            best = bad[-1] if bad else places[int(np.argmax(flat[n, c, places]))]
            y[(n, c, *at)], index[(n, c, *at)] = flat[n, c, best], best
    return (y, index) if return_indices else y


def max_pool(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    return largest(x, *boxes(x, kernel_size, stride, padding, dilation, ceil_mode), return_indices)


def avg_pool(
    x: np.ndarray,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    pads = numbers(padding, x.ndim - 2)
    size, every = boxes(x, kernel_size, stride, padding, 1, ceil_mode)
    y = np.zeros((*x.shape[:2], *size))
    for at, box in every:
        inside = [[i for i in places if 0 <= i < m] for places, m in zip(box, x.shape[2:], strict=True)]
        padded = [[i for i in places if i < m + p] for places, m, p in zip(box, x.shape[2:], pads, strict=True)]
        count = math.prod(len(places) for places in (padded if count_include_pad else inside))
        total = x[(slice(None), slice(None), *np.ix_(*inside))].sum(axis=tuple(range(2, x.ndim)))
        y[(slice(None), slice(None), *at)] = total / (divisor_override or count)
    return y


def lp_pool(x: np.ndarray, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> np.ndarray:
    if math.isinf(norm_type):
        y = max_pool(np.abs(x) * np.sign(norm_type), kernel_size, stride, ceil_mode=ceil_mode) * np.sign(norm_type)
        return np.asarray(y)
    y = avg_pool(x**norm_type, kernel_size, stride, 0, ceil_mode)
    return (y * math.prod(numbers(kernel_size, x.ndim - 2))) ** (1 / norm_type)


def equal_parts(x: np.ndarray, output_size: Any) -> Any:
    """As boxes: part i of m along an axis goes from floor(i n / m) to ceil((i + 1) n / m)."""
    size = tuple(m if k is None else k for k, m in zip(numbers(output_size, x.ndim - 2), x.shape[2:], strict=True))
    along = [
        [list(range(math.floor(i * m / k), math.ceil((i + 1) * m / k))) for i in range(k)]
        for k, m in zip(size, x.shape[2:], strict=True)
    ]
    return size, ((at, [places[i] for places, i in zip(along, at, strict=True)]) for at in np.ndindex(size))


def adaptive_avg(x: np.ndarray, output_size: Any) -> np.ndarray:
    size, every = equal_parts(x, output_size)
    y = np.zeros((*x.shape[:2], *size))
    for at, box in every:
        part = x[(slice(None), slice(None), *np.ix_(*box))]
        y[(slice(None), slice(None), *at)] = part.mean(axis=tuple(range(2, x.ndim)))
    return y


def adaptive_max(x: np.ndarray, output_size: Any, return_indices: bool = False) -> Any:
    return largest(x, *equal_parts(x, output_size), return_indices)


def fractional(x: np.ndarray, samples: np.ndarray, kernel_size: Any, output_size: Any) -> Any:
    """Window i of m starts at floor((i + u) a) - floor(u a), a = (n - k) / (m - 1); the last one ends the axis."""
    n = x.ndim - 2
    kernel, size = numbers(kernel_size, n), numbers(output_size, n)
    y, index = np.zeros((*x.shape[:2], *size)), np.zeros((*x.shape[:2], *size), np.int64)
    for a, b in np.ndindex(x.shape[:2]):
        drawn = samples[a, b, ::-1] if n == 2 else samples[a, b]
        along = []
        for u, m, k, length in zip(drawn, size, kernel, x.shape[2:], strict=True):
            step = (length - k) / (m - 1) if m > 1 else 0.0
            starts = [math.floor((i + u) * step) - math.floor(u * step) for i in range(m - 1)] + [length - k]
            along.append([list(range(start, start + k)) for start in starts])
        every = ((at, [places[i] for places, i in zip(along, at, strict=True)]) for at in np.ndindex(size))
        y[a : a + 1, b : b + 1], index[a : a + 1, b : b + 1] = largest(x[a : a + 1, b : b + 1], size, every)
    return y, index


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
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *args, **kwargs)

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
        out[place] = (g * avg_pool(unit, k, s, p, ceil_mode, pad, divisor)).sum()
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


def errors(op: str, n: int = 2, *before: Any) -> tuple[Error, ...]:
    """`before` are arguments that come before kernel_size."""
    small, image = (1, 1, *(2,) * n), (1, 1, *(4,) * n)
    listed = ", ".join(map(str, small))
    found = [
        Error(pool(op, small, *before, 3), ShapeError, rf"{op}.*reaches over 3.*\({listed}\).*only 2"),
        Error(pool(op, (2,) * n, *before, 1), ShapeError, rf"{op}.*\(2,"),
        Error(pool(op, image, *before, 0), ShapeError, rf"{op}.*kernel_size.*at least 1"),
        Error(pool(op, image, *before, 2, stride=0), ShapeError, rf"{op}.*stride.*at least 1"),
        Error(pool(op, image, *before, "2"), ShapeError, rf"{op}.*kernel_size.*'2'"),
        Error(pool(op, image, *before, (2,) * (n + 1)), ShapeError, rf"{op}.*kernel_size.*\(2, 2"),
    ]
    if not before:
        found.append(Error(pool(op, image, 2, padding=2), ShapeError, rf"{op}.*padding 2.*half.*2"))
    return tuple(found)


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

SIZES = {1: (5,), 2: (4, 5), 3: (3, 4, 3)}
EXPECTED = {1: r"\(N, C, L\)", 2: r"\(N, C, H, W\)", 3: r"\(N, C, D, H, W\)"}


def with_indices(name: str, oracle: Any, items: tuple[Sample, ...]) -> Case:
    op = f"{name}_with_indices"
    return Case(
        op,
        getattr(tgc.ops, op),
        lambda x, *args, **kwargs: oracle(x, *args, return_indices=True, **kwargs),
        items,
        out=("same", "int64"),
        torch=torch_call(op),
    )


def fixed_windows(n: int) -> tuple[Case, ...]:
    """max_pool, avg_pool and lp_pool along n axes; those of 2 are below."""
    size = SIZES[n]
    highest, mean, power = f"max_pool{n}d", f"avg_pool{n}d", f"lp_pool{n}d"
    odd = (2, 1, 2)[:n]
    items = samples(
        [
            ((2, 2, *size), {"kernel_size": 2}),
            ((1, 1, *size), {"kernel_size": 3, "stride": odd, "padding": 1}),
            ((1, 2, *size), {"kernel_size": odd, "stride": 2, "ceil_mode": True}),
        ]
    )
    more = samples([((1, 1, *size), {"kernel_size": 2, "stride": 1, "dilation": (2, 3, 2)[:n]})])
    means = [((1, 1, *size), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False})]
    if n > 1:
        means.append(((1, 1, *size), {"kernel_size": 2, "divisor_override": 3}))
    powers = (
        S(positive(2, 1, *size), args=(2.0, 2)),
        S(positive(1, 2, *size), args=(3, odd if n > 1 else 2), stride=1, ceil_mode=True, note="cubes"),
        S(apart(1, 1, *size), args=(math.inf, 2), note="largest"),
        S(apart(1, 1, *size), args=(-math.inf, 2), stride=1, note="smallest"),
    )
    same = (
        with_indices(highest, max_pool, more),
        Case(
            power,
            getattr(tgc.ops, power),
            lp_pool,
            powers,
            kinks=(S(exactly(np.zeros((1, 1, *size))), args=(2.0, 2), note="zeros"),),
            torch=torch_call(power),
            errors=errors(power, n, 2.0),
        ),
    )
    if n == 2:
        return same
    return (
        *same,
        Case(
            highest,
            getattr(tgc.ops, highest),
            max_pool,
            items + more,
            kinks=(S(whole(2, 2, 1, *size), kernel_size=2, note="ties"),),
            torch=torch_call(highest),
            errors=errors(highest, n),
        ),
        Case(
            mean,
            getattr(tgc.ops, mean),
            avg_pool,
            items + samples(means),
            torch=torch_call(mean),
            errors=errors(mean, n),
        ),
    )


def adaptive(n: int) -> tuple[Case, ...]:
    size = SIZES[n]
    mean, highest = f"adaptive_avg_pool{n}d", f"adaptive_max_pool{n}d"
    outs: list[Any] = [3, 1, (2, 1, None)[:n] if n > 1 else 4]
    items = tuple(S(apart(1 + k % 2, 1, *size), args=(out,), note=f"out{k}") for k, out in enumerate(outs))
    empty = S((0, 1, *size), args=(2,), note="empty")

    def bad(name: str) -> tuple[Error, ...]:
        return (
            Error(pool(name, (1, 1, *size), -1), ShapeError, rf"{name}.*output_size.*at least 0"),
            Error(pool(name, (1, 1, *size), (1,) * (n + 1)), ShapeError, rf"{name}.*output_size"),
            Error(pool(name, (3,) * n, 1), ShapeError, rf"{name}.*{EXPECTED[n]}"),
            Error(pool(name, (2, 1, *size[1:], 0), 1), ShapeError, rf"{name}.*nothing to pool"),
        )

    return (
        Case(mean, getattr(tgc.ops, mean), adaptive_avg, (*items, empty), torch=torch_call(mean), errors=bad(mean)),
        Case(
            highest,
            getattr(tgc.ops, highest),
            adaptive_max,
            (*items, empty),
            kinks=(S(whole(2, 2, 1, *size), args=(2,), note="ties"), S(whole(2, 2, 1, *size), args=(3,), note="ties3")),
            torch=torch_call(highest),
            errors=bad(highest),
        ),
        with_indices(highest, adaptive_max, items[:1]),
    )


def fractions(n: int) -> tuple[Case, Case]:
    size, out = {2: ((7, 6), (3, 4)), 3: ((6, 4, 3), (3, 2, 1))}[n]  # of fewer than 3 windows none is drawn
    drawn = np.random.default_rng(n).uniform(0.05, 0.95, (1, 2, n))
    name = f"fractional_max_pool{n}d"

    def ours(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(tgc.ops, name)(x, *args, _random_samples=tgc.tensor(drawn, dtype=x.dtype), **kwargs)

    def indexed(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(tgc.ops, name + "_with_indices")(x, *args, _random_samples=tgc.tensor(drawn, dtype=x.dtype), **kwargs)

    def theirs(x: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *args, _random_samples=torch.tensor(drawn), **kwargs)

    items = (
        S(apart(1, 2, *size), args=(2, out)),
        S(apart(1, 2, *size), args=((3, 1, 2)[:n], (1, 3, 1)[:n]), note="other"),
    )

    def bad(*args: Any, **kwargs: Any) -> Any:
        return lambda: getattr(tgc.ops, name)(tgc.ones(1, 1, *size), *args, **kwargs)

    return (
        Case(
            name,
            ours,
            lambda x, *args: fractional(x, drawn, *args)[0],
            items,
            torch=theirs,
            errors=(
                Error(bad(2), ShapeError, rf"{name}.*either output_size or output_ratio"),
                Error(bad(2, 3, 0.5), ShapeError, rf"{name}.*either output_size or output_ratio"),
                Error(bad(2, None, 1.5), ShapeError, rf"{name}.*output_ratio.*between 0 and 1.*1.5"),
                Error(bad(4, 5), ShapeError, rf"{name}.*5 windows of 4.*8 must be at most {size[0]}"),
                Error(bad(2, 2, _random_samples=tgc.ones(1, 1, 1)), ShapeError, rf"{name}.*_random_samples.*\(1, 1, 1\)"),
            ),
        ),
        Case(
            name + "_with_indices",
            indexed,
            lambda x, *args: fractional(x, drawn, *args),
            items[1:],
            out=("same", "int64"),
            torch=lambda x, *args: theirs(x, *args, return_indices=True),
        ),
    )


def index_of_largest(x: np.ndarray, tables: Any) -> np.ndarray:
    size = tuple(table.shape[2] for table in tables)
    every = (
        (at, [sorted(set(table[0, 0, i].tolist())) for table, i in zip(tables, at, strict=True)]) for at in np.ndindex(size)
    )
    index: np.ndarray = largest(x, size, every)[1]
    return index


ROWS, COLUMNS = np.array([[[[0, 1], [1, 2], [2, 2]]]]), np.array([[[[0, 0, 0], [1, 2, 3]]]])

CASES = (
    *fixed_windows(1),
    *fixed_windows(2),
    *fixed_windows(3),
    *adaptive(1),
    *adaptive(2),
    *adaptive(3),
    *fractions(2),
    *fractions(3),
    Case(
        "max_index",
        lambda x, *tables: apply(MaxIndex, (x,), (tables,)),
        lambda x, *tables: index_of_largest(x, tables),
        (S(apart(2, 1, 3, 4), args=(ROWS, COLUMNS)), S(whole(2, 1, 2, 3, 4), args=(ROWS, COLUMNS), note="ties")),
        special=(S(exactly([[[[1, np.nan, 2, 3], [np.nan, 4, np.inf, 1], [-np.inf] * 4]]]), args=(ROWS, COLUMNS)),),
        out="int64",
        differentiable=False,
        errors=(
            Error(
                lambda: apply(MaxIndex, (tgc.ones(1, 1, 3),), ((ROWS, COLUMNS),)),
                ShapeError,
                r"max_index.*2 tables.*\(1, 1, 3\)",
            ),
        ),
    ),
    Case(
        "max_pool2d",
        tgc.ops.max_pool2d,
        max_pool,
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
        max_pool,
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
        avg_pool,
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


def test_an_empty_stride_is_the_kernel_size(backend: str) -> None:
    x = tgc.tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    for stride in ((), []):
        assert tgc.ops.avg_pool2d(x, 2, stride).shape == tgc.ops.max_pool2d(x, 2, stride).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_ties_and_nan_in_every_number_of_axes(backend: str, torch: Any, n: int) -> None:
    """Indices, with equal values, NaN and windows of -inf, as PyTorch has them; for batches and single inputs."""
    x = np.random.default_rng(3).integers(0, 2, (2, 2, *(6, 5, 4)[:n])).astype(float)
    x.ravel()[::7], x.ravel()[1::3] = np.nan, -np.inf
    for values in (x, x[0], np.full_like(x, -np.inf)):
        for name, args in ((f"max_pool{n}d", (2, 1)), (f"max_pool{n}d", (3, 2, 1)), (f"adaptive_max_pool{n}d", (3,))):
            found = getattr(tgc.ops, name)(tgc.tensor(values), *args, return_indices=True)
            wanted = getattr(torch.nn.functional, name)(torch.tensor(values), *args, return_indices=True)
            for y, z in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(y.numpy(), z.numpy(), err_msg=f"{name} {args}")


def test_fractional_windows_are_drawn(backend: str) -> None:
    """From the package's generator; with output_ratio the size follows; every value is one of the input's."""
    x = tgc.tensor(np.arange(200.0).reshape(1, 2, 10, 10))
    tgc.manual_seed(0)
    runs = [tgc.ops.fractional_max_pool2d(x, 2, output_ratio=0.61).numpy() for _ in range(4)]
    assert {run.shape for run in runs} == {(1, 2, 6, 6)}
    assert len({run.tobytes() for run in runs}) > 1
    tgc.manual_seed(0)
    np.testing.assert_array_equal(tgc.ops.fractional_max_pool2d(x, 2, output_ratio=0.61).numpy(), runs[0])
    y, index = tgc.ops.fractional_max_pool2d(x[0], 2, (3, 4), return_indices=True)
    assert y.shape == index.shape == (2, 3, 4)
    np.testing.assert_array_equal(y.numpy(), index.numpy() + np.array([0, 100]).reshape(2, 1, 1))


def test_nothing_asked_for(backend: str) -> None:
    assert tgc.ops.adaptive_avg_pool2d(tgc.ones(1, 2, 3, 4), (0, 2)).shape == (1, 2, 0, 2)
    assert tgc.ops.adaptive_max_pool1d(tgc.ones(1, 2, 3), 0).shape == (1, 2, 0)


@pytest.mark.parametrize("call", [lambda x: tgc.ops.avg_pool2d(x, 50), lambda x: tgc.ops.adaptive_avg_pool2d(x, 3)])
def test_sums_of_halves_do_not_overflow(backend: str, call: Any) -> None:
    x = tgc.full((1, 1, 50, 50), 100.0, dtype="float16", requires_grad=True)
    y = call(x)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype) == ("float16", "float16")
    assert set(y.reshape(-1).tolist()) == {100.0}
    assert x.grad.array.astype(float).sum() == pytest.approx(y.array.size, rel=1e-3)


def test_means_of_integers_are_cut_off_once(backend: str) -> None:
    x = tgc.tensor([[1, 0], [0, 1], [3, 0], [1, 2]]).reshape(1, 1, 2, 2, 2)
    assert tgc.ops.avg_pool3d(x, 2).tolist() == [[[[[1]]]]]
    assert tgc.ops.avg_pool3d(-x, 2).dtype == "int64"
    assert tgc.ops.avg_pool3d(-x * 2 + 1, 2).tolist() == [[[[[-1]]]]]
