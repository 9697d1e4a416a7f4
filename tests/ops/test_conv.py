"""ops/conv.py: convolution, its two adjoints, and transposed convolution, in one to three dimensions."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, Sample, exactly
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.conv import Conv2dInput, Conv2dWeight

Pair = tuple[int, int]
ONE, NONE = (1, 1), (0, 0)


def taps(shape: tuple[int, ...], w: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """All (n, o, p, q, c, h, w, i, j): output place, input place and weight that meet, by the definition."""
    n_images, _, height, width = shape
    out, per_group, kh, kw = w
    oh = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    for n, o, p, q, c, i, j in np.ndindex(n_images, out, oh, ow, per_group, kh, kw):
        y, x = p * stride[0] - padding[0] + i * dilation[0], q * stride[1] - padding[1] + j * dilation[1]
        if 0 <= y < height and 0 <= x < width:
            yield n, o, p, q, (o // (out // groups)) * per_group + c, c, y, x, i, j


def output(shape: tuple[int, ...], w: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, ...]:
    sizes = [(shape[2 + a] + 2 * padding[a] - dilation[a] * (w[2 + a] - 1) - 1) // stride[a] + 1 for a in (0, 1)]
    return (shape[0], w[0], *sizes)


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: Pair = ONE,
    padding: Pair = NONE,
    dilation: Pair = ONE,
    groups: int = 1,
) -> np.ndarray:
    y = np.zeros(output(x.shape, w.shape, stride, padding, dilation))
    for n, o, p, q, c, k, h, v, i, j in taps(x.shape, w.shape, stride, padding, dilation, groups):
        y[n, o, p, q] += x[n, c, h, v] * w[o, k, i, j]
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def conv2d_input(g: np.ndarray, w: np.ndarray, shape: tuple[int, ...], *geometry: Any) -> np.ndarray:
    gx = np.zeros(shape)
    for n, o, p, q, c, k, h, v, i, j in taps(shape, w.shape, *geometry):
        gx[n, c, h, v] += g[n, o, p, q] * w[o, k, i, j]
    return gx


def conv2d_weight(x: np.ndarray, g: np.ndarray, shape: tuple[int, ...], *geometry: Any) -> np.ndarray:
    gw = np.zeros(shape)
    for n, o, p, q, c, k, h, v, i, j in taps(x.shape, shape, *geometry):
        gw[o, k, i, j] += g[n, o, p, q] * x[n, c, h, v]
    return gw


def numbers(value: Any, n: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * n


def meetings(
    near: tuple[int, ...], kernel: tuple[int, ...], far: tuple[int, ...], stride: Any, padding: Any, dilation: Any
) -> Any:
    """(place in the small image, tap, place in the large one) for all that meet in a convolution along any axes."""
    n = len(kernel)
    steps = list(zip(numbers(stride, n), numbers(padding, n), numbers(dilation, n), strict=True))
    for place in np.ndindex(*near):
        for tap in np.ndindex(*kernel):
            at = tuple(a * s - p + i * d for a, i, (s, p, d) in zip(place, tap, steps, strict=True))
            if all(0 <= a < size for a, size in zip(at, far, strict=True)):
                yield place, tap, at


def convolution(
    x: np.ndarray,
    w: np.ndarray,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> np.ndarray:
    n, (out, per_group) = x.ndim - 2, w.shape[:2]
    sizes = zip(x.shape[2:], w.shape[2:], *(numbers(v, n) for v in (stride, padding, dilation)), strict=True)
    small = tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in sizes)
    y = np.zeros((x.shape[0], out, *small))
    for place, tap, at in meetings(small, w.shape[2:], x.shape[2:], stride, padding, dilation):
        for o in range(out):
            first = o // (out // groups) * per_group
            y[(slice(None), o, *place)] += x[(slice(None), slice(first, first + per_group), *at)] @ w[(o, slice(None), *tap)]
    return y if b is None else y + b.reshape(1, -1, *(1,) * n)


def transposed(
    x: np.ndarray,
    w: np.ndarray,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> np.ndarray:
    n, per_group = x.ndim - 2, w.shape[1]
    geometry = (numbers(v, n) for v in (stride, padding, output_padding, dilation))
    sizes = zip(x.shape[2:], w.shape[2:], *geometry, strict=True)
    large = tuple((size - 1) * s - 2 * p + d * (k - 1) + e + 1 for size, k, s, p, e, d in sizes)
    y = np.zeros((x.shape[0], per_group * groups, *large))
    for place, tap, at in meetings(x.shape[2:], w.shape[2:], large, stride, padding, dilation):
        for c in range(x.shape[1]):
            first = c // (x.shape[1] // groups) * per_group
            part = np.outer(x[(slice(None), c, *place)], w[(c, slice(None), *tap)])
            y[(slice(None), slice(first, first + per_group), *at)] += part
    return y if b is None else y + b.reshape(1, -1, *(1,) * n)


# x, w, stride, padding, dilation, groups
GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], Pair, Pair, Pair, int]] = [
    ((1, 1, 3, 3), (1, 1, 2, 2), ONE, NONE, ONE, 1),
    ((2, 2, 4, 3), (3, 2, 3, 2), ONE, (1, 0), ONE, 1),
    ((1, 2, 5, 4), (2, 1, 2, 3), (2, 1), (0, 2), ONE, 2),
    ((1, 2, 5, 5), (2, 2, 2, 2), (2, 3), (1, 1), (2, 1), 1),
    ((1, 3, 3, 4), (6, 1, 1, 2), ONE, NONE, (1, 2), 3),
    ((1, 4, 3, 3), (2, 2, 3, 3), ONE, (1, 1), ONE, 2),
    ((2, 2, 3, 3), (2, 2, 1, 1), ONE, NONE, ONE, 1),
    ((1, 1, 6, 6), (1, 1, 3, 3), (4, 4), NONE, ONE, 1),  # the last rows and columns are never read
    ((1, 1, 2, 2), (1, 1, 2, 2), ONE, (3, 3), ONE, 1),  # some windows lie in the padding alone
    ((1, 1, 4, 1), (2, 1, 4, 1), ONE, NONE, ONE, 1),
    ((0, 2, 3, 3), (2, 2, 2, 2), ONE, NONE, ONE, 1),
]
LARGE: list[tuple[tuple[int, ...], tuple[int, ...], Pair, Pair, Pair, int]] = [
    ((8, 6, 30, 30), (16, 6, 5, 5), ONE, NONE, ONE, 1),
    ((6, 16, 24, 26), (32, 8, 3, 3), (2, 1), (1, 1), ONE, 2),
    ((8, 16, 40, 40), (32, 16, 1, 1), ONE, NONE, ONE, 1),
    ((3, 8, 40, 40), (8, 1, 5, 5), ONE, (4, 4), (2, 2), 8),
]


def keywords(g: Any) -> dict[str, Any]:
    return {"stride": g[2], "padding": g[3], "dilation": g[4], "groups": g[5]}


def forward_samples(geometries: Any) -> tuple[Sample, ...]:
    return tuple(
        S(g[0], g[1], (g[1][0],) if k % 2 else None, note=f"g{k}", **keywords(g)) for k, g in enumerate(geometries)
    )


def input_samples(geometries: Any) -> tuple[Sample, ...]:
    return tuple(
        S(output(g[0], g[1], *g[2:5]), g[1], args=(g[0], *g[2:]), note=f"g{k}") for k, g in enumerate(geometries)
    )


def weight_samples(geometries: Any) -> tuple[Sample, ...]:
    return tuple(
        S(g[0], output(g[0], g[1], *g[2:5]), args=(g[1], *g[2:]), note=f"g{k}") for k, g in enumerate(geometries)
    )


def torch_conv2d(x: Any, w: Any, b: Any = None, **more: Any) -> Any:
    import torch

    return torch.nn.functional.conv2d(x, w, b, **more)


def torch_call(name: str) -> Any:
    def call(*tensors: Any, **more: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*tensors, **more)

    return call


def torch_input(g: Any, w: Any, shape: Any, *geometry: Any) -> Any:
    import torch

    return torch.nn.grad.conv2d_input(shape, w, g, *geometry)


def call_input(g: Any, w: Any, *args: Any) -> Any:
    return apply(Conv2dInput, (g, w), args)


def call_weight(x: Any, g: Any, *args: Any) -> Any:
    return apply(Conv2dWeight, (x, g), args)


def conv(x: Any = (1, 2, 4, 4), w: Any = (3, 2, 2, 2), b: Any = None, **more: Any) -> Any:
    """A call with ones of these shapes."""
    return lambda: tgc.ops.conv2d(tgc.ones(x), tgc.ones(w), None if b is None else tgc.ones(b), **more)


def other_axes(n: int) -> tuple[Case, Case]:
    """conv and conv_transpose along n axes, n = 1 or 3."""
    size, k, more = {1: ((5,), (3,), (2,)), 3: ((3, 2, 3), (2, 1, 2), (1, 1, 2))}[n]
    name, back = f"conv{n}d", f"conv_transpose{n}d"
    few = (3,) if n == 1 else (2, 2, 3)

    def call(op: str, x: Any, w: Any, b: Any = None, **kwargs: Any) -> Any:
        bias = None if b is None else tgc.ones(b)
        return lambda: getattr(tgc.ops, op)(tgc.ones(x), tgc.ones(w), bias, **kwargs)

    return (
        Case(
            name,
            getattr(tgc.ops, name),
            convolution,
            (
                S((2, 2, *size), (3, 2, *k), (3,)),
                S((1, 2, *size), (2, 1, *k), None, stride=2, padding=1, groups=2, note="groups"),
                S((1, 1, *size), (1, 1, *k), None, stride=(1, 2, 1)[-n:], padding=2, dilation=(2, 1, 2)[-n:], note="dilated"),
                S((0, 1, *size), (1, 1, *more), None, note="empty"),
                S((2, 4, *size), (6, 2, *(1,) * n), (6,), groups=2, note="of one value"),
                S((1, 2, *size), (3, 2, *(1,) * n), (3,), padding=1, note="of one value, padded"),
                S((1, 2, *size), (3, 2, *(1,) * n), None, stride=2, note="of one value, strided"),
            ),
            torch=torch_call(name),
            errors=(
                Error(call(name, (1, 2, *size), (3, 4, *k)), ShapeError, rf"{name}.*has 2 channels.*needs 4"),
                Error(call(name, (1, 2, *size), (3, 2, *[9] * n)), ShapeError, rf"{name}.*does not fit.*= 9"),
                Error(call(name, (2,), (3, 2, *k)), ShapeError, rf"{name}.*\(2,\).*axes.*\(N, C"),
                Error(call(name, (1, 2, *size), (3, 2, *k), padding=-1), ShapeError, rf"{name}.*padding.*at least 0"),
                Error(call(name, (1, 2, *size), (3, 2, *k), padding="full"), ShapeError, rf"{name}.*'full'"),
                Error(call(name, (1, 2, *size), (3, 2, *k), stride=2, padding="same"), ShapeError, rf"{name}.*stride 1"),
                Error(call(name, (1, 2, *size), (3, 2, *k), (2,)), ShapeError, rf"{name}.*bias.*\(2,\).*\(3,\)"),
            ),
        ),
        Case(
            back,
            getattr(tgc.ops, back),
            transposed,
            back_samples(few, k),
            torch=torch_call(back),
            errors=back_errors(back, n),
        ),
    )


def back_samples(size: tuple[int, ...], k: tuple[int, ...]) -> tuple[Sample, ...]:
    n = len(size)
    return (
        S((2, 2, *size), (2, 3, *k), (3,)),
        S((1, 4, *size), (4, 1, *k), (2,), stride=(3, 2, 2)[-n:], padding=1, output_padding=1, groups=2, note="strided"),
        S((1, 1, *size), (1, 1, *k), None, dilation=3, padding=1, output_padding=2, note="padded beyond the stride"),
    )


def back_errors(name: str, n: int) -> tuple[Error, ...]:
    def call(x: Any = (1, 2, *(3,) * n), w: Any = (2, 3, *(2,) * n), b: Any = None, **kwargs: Any) -> Any:
        bias = None if b is None else tgc.ones(b)
        return lambda: getattr(tgc.ops, name)(tgc.ones(x), tgc.ones(w), bias, **kwargs)

    return (
        Error(call(w=(3, 2, *(2,) * n)), ShapeError, rf"{name}.*has 2 channels.*is for 3"),
        Error(call(w=(2, 3)), ShapeError, rf"{name}.*\(2, 3\).*axes"),
        Error(call(output_padding=1), ShapeError, rf"{name}.*output_padding 1.*stride 1.*dilation 1"),
        Error(call(padding=2), ShapeError, rf"{name}.*\(3 - 1\) \* 1 - 2 \* 2 .* = 0"),
        Error(call(b=(2,)), ShapeError, rf"{name}.*bias.*\(2,\).*\(3,\)"),
        Error(call(groups=0), ShapeError, rf"{name}.*groups.*positive"),
    )


CASES = (
    *other_axes(1),
    *other_axes(3),
    Case(
        "conv_transpose2d",
        tgc.ops.conv_transpose2d,
        transposed,
        back_samples((2, 3), (2, 3)),
        torch=torch_call("conv_transpose2d"),
        errors=back_errors("conv_transpose2d", 2),
    ),
    Case(
        "conv2d",
        tgc.ops.conv2d,
        conv2d,
        forward_samples(GEOMETRIES),
        torch=torch_conv2d,
        half=True,
        threaded=forward_samples(LARGE),
        special=(S(exactly([[[[1.0, np.nan, 2.0], [0.0, 1.0, np.inf], [1.0, 1.0, 1.0]]]]), exactly([[[[1.0, 0.5]]]])),),
        errors=(
            Error(
                conv(w=(3, 4, 2, 2)), ShapeError, r"conv2d.*\(1, 2, 4, 4\) has 2 channels.*\(3, 4, 2, 2\).*groups=1.*4"
            ),
            Error(conv(w=(3, 2, 5, 2)), ShapeError, r"conv2d.*height.*1 \* \(5 - 1\) \+ 1 = 5.*4 \+ 2 \* 0 = 4"),
            Error(conv(w=(3, 2, 2, 3), dilation=2), ShapeError, r"conv2d.*width.*2 \* \(3 - 1\) \+ 1 = 5.*= 4"),
            Error(conv(b=(2,)), ShapeError, r"conv2d.*bias.*\(2,\).*\(3,\)"),
            Error(conv(x=(4, 4)), ShapeError, r"conv2d.*\(4, 4\).*four axes"),
            Error(conv(w=(3, 2, 2)), ShapeError, "conv2d.*four axes"),
            Error(conv(groups=2), ShapeError, "conv2d.*groups=2"),
            Error(conv(groups=0), ShapeError, "conv2d.*groups.*positive.*0"),
            Error(conv(stride=0), ShapeError, "conv2d.*stride.*at least 1.*0"),
            Error(conv(stride=(1, 2, 3)), ShapeError, r"conv2d.*stride.*\(1, 2, 3\)"),
            Error(conv(stride=1.5), ShapeError, "conv2d.*stride.*1.5"),
            Error(conv(padding=-1), ShapeError, "conv2d.*padding.*at least 0.*-1"),
            Error(conv(dilation=0), ShapeError, "conv2d.*dilation.*at least 1"),
            Error(conv(padding="sane"), ShapeError, "conv2d.*'sane'.*'same'"),
            Error(conv(padding="same", stride=2), ShapeError, "conv2d.*same.*stride"),
            Error(
                lambda: tgc.ops.conv2d(tgc.ones(1, 1, 3, 3), tgc.ones(1, 1, 2, 2, dtype="float64")),
                DTypeError,
                "conv2d.*float32.*float64",
            ),
            Error(
                lambda: tgc.ops.conv2d(tgc.ones(1, 1, 3, 3), tgc.ones(1, 1, 2, 2), tgc.ones(1).long()),
                DTypeError,
                "conv2d.*int64",
            ),
        ),
    ),
    Case(
        "conv2d_input",
        call_input,
        conv2d_input,
        input_samples(GEOMETRIES),
        threaded=input_samples(LARGE),
        half=True,
        errors=(
            Error(
                lambda: call_input(tgc.ones(1, 1, 3, 3), tgc.ones(1, 1, 2, 2), (1, 1, 3, 3), ONE, NONE, ONE, 1),
                ShapeError,
                r"conv2d_input.*\(1, 1, 3, 3\).*\(1, 1, 2, 2\)",
            ),
        ),
    ),
    Case(
        "conv2d_weight",
        call_weight,
        conv2d_weight,
        weight_samples(GEOMETRIES),
        threaded=weight_samples(LARGE),
        half=True,
        errors=(
            Error(
                lambda: call_weight(tgc.ones(1, 1, 3, 3), tgc.ones(1, 1, 3, 3), (1, 1, 2, 2), ONE, NONE, ONE, 1),
                ShapeError,
                r"conv2d_weight.*\(1, 1, 3, 3\).*\(1, 1, 2, 2\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_against_scipy(backend: str, rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((9, 11)), rng.standard_normal((4, 3))
    y = tgc.ops.conv2d(tgc.tensor(x[None, None]), tgc.tensor(w[None, None]))
    np.testing.assert_allclose(y.array[0, 0], correlate(x, w, mode="valid", method="direct"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("geometry", LARGE, ids=range(len(LARGE)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_ones_against_torch(backend: str, torch: Any, geometry: Any, dtype: str) -> None:
    """Sizes that fill the blocks of the compiled kernels; forward and all gradients."""
    x, w, b = S(geometry[0], geometry[1], (geometry[1][0],)).arrays("large", dtype)
    ours = [tgc.tensor(a, requires_grad=True) for a in (x, w, b)]
    theirs = [torch.tensor(a.astype("float64"), requires_grad=True) for a in (x, w, b)]
    y, z = tgc.ops.conv2d(*ours, **keywords(geometry)), torch_conv2d(*theirs, **keywords(geometry))
    (g,) = S(y.shape).arrays("upstream", dtype)
    y.backward(tgc.tensor(g))
    z.backward(torch.tensor(g.astype("float64")))
    tolerance = 1e-10 if dtype == "float64" else 2e-4
    for a, b in [(y, z), *((t.grad, s.grad) for t, s in zip(ours, theirs, strict=True))]:
        wanted = b.detach().numpy()
        np.testing.assert_allclose(a.detach().numpy(), wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("w", "dilation"), [((2, 3, 3, 3), 1), ((2, 3, 2, 4), 1), ((2, 3, 2, 3), (3, 2)), ((2, 3, 1, 1), 1)]
)
def test_padding_same(backend: str, torch: Any, w: Any, dilation: Any) -> None:
    x, w = S((2, 3, 6, 7), w).arrays("same")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch notes that an uneven padding costs a copy
        wanted = torch_conv2d(torch.tensor(x), torch.tensor(w), padding="same", dilation=dilation)
    y = tgc.ops.conv2d(tgc.tensor(x), tgc.tensor(w), padding="same", dilation=dilation)
    np.testing.assert_allclose(y.array, wanted.numpy(), rtol=1e-11, atol=1e-12)


def test_single_image_and_numbers_for_pairs(backend: str) -> None:
    x, w = S((2, 5, 6), (3, 2, 2, 2)).arrays("single")
    y = tgc.ops.conv2d(tgc.tensor(x), tgc.tensor(w), stride=2, padding=1)
    wanted = conv2d(x[None], w, None, (2, 2), (1, 1))[0]
    np.testing.assert_allclose(y.array, wanted, rtol=1e-12, atol=1e-12)
    with pytest.raises(ShapeError, match="conv2d"):
        tgc.ops.conv2d(tgc.tensor(x[:1]), tgc.tensor(w))


@pytest.mark.parametrize(("n", "k", "dilation"), [(1, (4,), 1), (1, (2,), 3), (3, (2, 3, 4), (1, 2, 1))])
def test_padding_same_and_single_inputs(backend: str, torch: Any, n: int, k: Any, dilation: Any) -> None:
    x, w = S((2, *(5, 6, 7)[:n]), (3, 2, *k)).arrays("same")
    for padding in ("same", "valid"):
        more = {"padding": padding, "dilation": dilation}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = torch_call(f"conv{n}d")(torch.tensor(x), torch.tensor(w), **more)
        y = getattr(tgc.ops, f"conv{n}d")(tgc.tensor(x), tgc.tensor(w), **more)
        np.testing.assert_allclose(y.array, wanted.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_transposed_is_the_adjoint(backend: str, n: int) -> None:
    """<conv(x, w), y> = <x, conv_transpose(y, w)>, also for inputs without a batch."""
    x, w = S((2, *(4, 5, 6)[:n]), (4, 1, *(2, 3, 2)[:n])).arrays("adjoint")
    more = {"stride": 2, "padding": 1, "groups": 2}
    y = getattr(tgc.ops, f"conv{n}d")(tgc.tensor(x), tgc.tensor(w), **more)
    (v,) = S(y.shape).arrays("adjoint image")
    left = np.vdot(y.array, v)
    extra = tuple((size + 2 - k) % 2 for size, k in zip(x.shape[1:], w.shape[2:], strict=True))
    back = getattr(tgc.ops, f"conv_transpose{n}d")(tgc.tensor(v), tgc.tensor(w), output_padding=extra, **more)
    assert back.shape == x.shape
    np.testing.assert_allclose(left, np.vdot(x, back.array), rtol=1e-12)
