"""ops/resize.py: interpolation, grid sampling, pixel shuffling."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, exactly
from tinygrad_course.errors import DTypeError, ShapeError

Array = np.ndarray

# ---- oracles: by the definition, one weight at a time ----------------------------------------------------------------


def keys(t: float, a: float = -0.75) -> float:
    """Cubic convolution: (a + 2)|t|^3 - (a + 3)|t|^2 + 1, then a|t|^3 - 5a|t|^2 + 8a|t| - 4a, then 0."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def hat(t: float) -> float:
    return max(0.0, 1.0 - abs(t))


def resize_matrix(n: int, m: int, mode: str, scale: float | None, align_corners: bool, antialias: bool) -> Array:
    """(m, n): row i holds the weights of the input for output i."""
    step = (n - 1) / (m - 1) if align_corners and m > 1 else 0.0 if align_corners else 1 / scale if scale else n / m
    out = np.zeros((m, n))
    for i in range(m):
        if mode == "area":
            first, end = math.floor(i * n / m), math.ceil((i + 1) * n / m)
            out[i, first:end] = 1 / (end - first)
        elif mode.startswith("nearest"):
            out[i, min(math.floor((i + 0.5) * step if mode == "nearest-exact" else i * step), n - 1)] = 1
        elif antialias:
            width, centre = max(step, 1.0), (i + 0.5) * step - 0.5
            row = [hat((j - centre) / width) if mode == "bilinear" else keys((j - centre) / width, -0.5) for j in range(n)]
            out[i] = np.array(row) / sum(row)
        else:
            x = i * step if align_corners else (i + 0.5) * step - 0.5
            if mode != "bicubic":
                x = min(max(x, 0.0), n - 1.0)
            for j in range(math.floor(x) - 1, math.floor(x) + 3):
                out[i, min(max(j, 0), n - 1)] += keys(x - j) if mode == "bicubic" else hat(x - j)
    return out


def interpolated(
    x: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Array:
    n = x.ndim - 2
    given = size if scale_factor is None else scale_factor
    given = given if isinstance(given, tuple) else (given,) * n
    for axis, (old, value) in enumerate(zip(x.shape[2:], given, strict=True)):
        new = value if scale_factor is None else math.floor(old * value)
        scale = None if scale_factor is None or recompute_scale_factor else value
        matrix = resize_matrix(old, new, mode, scale, bool(align_corners), antialias)
        x = np.moveaxis(np.tensordot(matrix, x, (1, 2 + axis)), 0, 2 + axis)
    return x


def moved(x: float, n: int, padding_mode: str, align_corners: bool) -> float:
    """A coordinate after reflection at the edges, as a triangular wave, and after the border."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, length = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        if length == 0:
            return 0.0
        phase = (x - low) % (2 * length)
        x = low + min(phase, 2 * length - phase)
    return min(max(x, 0.0), n - 1.0)


def sampled(
    image: Array, grid: Array, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Array:
    align, spatial = bool(align_corners), image.shape[2:]
    y = np.zeros((*image.shape[:2], *grid.shape[1:-1]))
    for at in np.ndindex(grid.shape[:-1]):
        along = []
        for n, g in zip(spatial, grid[at][::-1], strict=True):
            x = (g + 1) / 2 * (n - 1) if align else ((g + 1) * n - 1) / 2
            if mode == "bicubic":
                first = math.floor(x) - 1
                taps = [(moved(j, n, padding_mode, align), keys(x - j)) for j in range(first, first + 4)]
            else:
                x = moved(x, n, padding_mode, align)
                left = math.floor(x)
                taps = [(round(x), 1.0)] if mode == "nearest" else [(left, hat(x - left)), (left + 1, hat(x - left - 1))]
            along.append([(int(j), w) for j, w in taps if 0 <= j < n])
        for taps in itertools.product(*along):
            place, weight = tuple(j for j, _ in taps), math.prod(w for _, w in taps)
            y[(at[0], slice(None), *at[1:])] += weight * image[(at[0], slice(None), *place)]
    return y


def affine(theta: Array, size: tuple[int, ...], align_corners: bool | None = None) -> Array:
    n = len(size) - 2
    y = np.zeros((size[0], *size[2:], n))
    for at in np.ndindex(y.shape[:-1]):
        place = [
            (2 * i / (m - 1) - 1 if m > 1 else 0.0) if align_corners else (2 * i + 1) / m - 1
            for i, m in zip(at[1:], size[2:], strict=True)
        ]
        y[at] = theta[at[0]] @ [*place[::-1], 1.0]
    return y


def shuffled(x: Array, r: int) -> Array:
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c // r**2, h * r, w * r))
    for k, i, j in np.ndindex(y.shape[-3:]):
        y[..., k, i, j] = x[..., k * r**2 + i % r * r + j % r, i // r, j // r]
    return y


def unshuffled(x: Array, r: int) -> Array:
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c * r**2, h // r, w // r))
    for k, i, j in np.ndindex(x.shape[-3:]):
        y[..., k * r**2 + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return y


def dealt(x: Array, groups: int) -> Array:
    per_group = x.shape[1] // groups
    return x[:, [k % groups * per_group + k // groups for k in range(x.shape[1])]]


# ---- cases -----------------------------------------------------------------------------------------------------------


def torch_call(name: str, home: str = "nn.functional") -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        place = torch.nn.functional if home else torch
        return getattr(place, name)(*args, **kwargs)

    return call


def places(*shape: int) -> Draw:
    """Coordinates, some outside of the image, none within 0.02 of a kink of an image of 3 or 4 pixels per axis."""

    def make(rng: np.random.Generator) -> Array:
        good = np.array([-1.93, -1.21, -0.83, -0.57, -0.29, -0.11, 0.06, 0.21, 0.43, 0.59, 0.87, 1.13, 1.61, 2.43])
        return np.asarray(rng.choice(good, shape))

    return Draw(make)


def by_number(x: Array, grid: Array, mode: int, padding: int, align_corners: bool) -> Array:
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    return sampled(x, grid, modes[mode], paddings[padding], align_corners)


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """A call with ones of the shapes that come first."""
    return lambda: getattr(tgc.ops, name)(*[tgc.ones(a) if isinstance(a, tuple) else a for a in args], **kwargs)


def adjoint(g: Array, grid: Array, size: tuple[int, ...], mode: str, padding_mode: str, align: bool, orders: Any) -> Array:
    """Every pixel alone, sampled: what g weighs is what comes back to it."""
    gx = np.zeros((*g.shape[:2], *size))
    for place in np.ndindex(size):
        lit = np.zeros(gx.shape)
        lit[(..., *place)] = 1.0
        gx[(..., *place)] = (g * sampled(lit, grid, mode, padding_mode, align)).reshape(*g.shape[:2], -1).sum(-1)
    return gx


def uphill(g: Array, x: Array, grid: Array, mode: str, padding_mode: str, align: bool, orders: Any) -> Array:
    """By central differences of sum(g * sampled(x, grid)); exact up to rounding for pieces of degree two."""
    slope, step = np.zeros_like(grid), 1e-3
    for at in np.ndindex(grid.shape):
        high, low = grid.copy(), grid.copy()
        high[at] += step
        low[at] -= step
        ends = [float((g * sampled(x, moving, mode, padding_mode, align)).sum()) for moving in (high, low)]
        slope[at] = (ends[0] - ends[1]) / (2 * step)
    return slope


def from_registry(name: str, inputs: int) -> Any:
    """An op that has no function of its own: what comes after the tensors are its arguments."""
    def op_call(*args: Any) -> Any:
        from tinygrad_course.autograd import registry
        from tinygrad_course.autograd.function import apply

        return apply(registry[name], args[:inputs], args[inputs:])

    return op_call


IMAGE = (1, 1, 3, 4)
EDGES = exactly([[[[-1, -1], [1, 1], [0, 0], [3, -3], [0.25, 0.5]]]])
CASES = (
    Case(
        "interpolate",
        tgc.ops.interpolate,
        interpolated,
        (
            S((2, 1, 3), size=7, note="nearest"),
            S((1, 2, 3, 2), size=(2, 5), mode="nearest-exact"),
            S((1, 1, 5), scale_factor=1.5, mode="linear"),
            S((1, 1, 5), scale_factor=1.5, mode="linear", recompute_scale_factor=True, note="recomputed"),
            S((1, 2, 3, 4), size=(5, 2), mode="bilinear", align_corners=False),
            S((1, 1, 3, 2), scale_factor=(2.0, 1.7), mode="bilinear", align_corners=True, note="aligned"),
            S((1, 1, 3, 4), size=(5, 1), mode="bicubic"),
            S((1, 1, 4, 1), size=(3, 2), mode="bicubic", align_corners=True, note="aligned"),
            S((1, 1, 2, 3, 2), size=(3, 2, 3), mode="trilinear"),
            S((1, 1, 5, 4), size=3, mode="area"),
            S((1, 1, 7, 3), size=(3, 4), mode="bilinear", antialias=True, note="smooth"),
            S((1, 1, 9, 3), size=(2, 4), mode="bicubic", antialias=True, note="smooth"),
        ),
        torch=torch_call("interpolate"),
        errors=(
            Error(call("interpolate", IMAGE), ShapeError, "interpolate.*either size or scale_factor"),
            Error(call("interpolate", IMAGE, 2, scale_factor=2), ShapeError, "interpolate.*either size or scale_factor"),
            Error(call("interpolate", IMAGE, size=[1, 2, 3]), ShapeError, r"interpolate.*\[1, 2, 3\].*\(3, 4\)"),
            Error(call("interpolate", IMAGE, scale_factor=0.1), ShapeError, r"interpolate.*at least 1.*\(0, 0\)"),
            Error(call("interpolate", IMAGE, 2, mode="cubic"), ShapeError, "interpolate.*'cubic'.*bicubic"),
            Error(call("interpolate", IMAGE, 2, mode="linear"), ShapeError, r"interpolate.*3 axes.*\(1, 1, 3, 4\).*bilinear"),
            Error(call("interpolate", (3, 4), 2), ShapeError, r"interpolate.*\(3, 4\).*none"),
            Error(call("interpolate", IMAGE, 2, align_corners=True), ShapeError, "interpolate.*align_corners.*'nearest'"),
            Error(call("interpolate", IMAGE, 2, antialias=True), ShapeError, "interpolate.*antialias.*'nearest'"),
            Error(call("interpolate", IMAGE, 2, recompute_scale_factor=True), ShapeError, "interpolate.*needs a scale"),
            Error(
                lambda: tgc.ops.interpolate(tgc.ones(1, 1, 3).long(), 2, mode="linear"),
                DTypeError,
                "interpolate.*int64.*float",
            ),
        ),
    ),
    Case(
        "upsample",
        tgc.ops.upsample,
        interpolated,
        (S((1, 1, 2, 3), scale_factor=2, mode="bilinear", align_corners=True),),
    ),
    Case("upsample_nearest", tgc.ops.upsample_nearest, interpolated, (S((1, 2, 2, 3), args=((3, 5),)),)),
    Case(
        "upsample_bilinear",
        tgc.ops.upsample_bilinear,
        lambda x, size: interpolated(x, size, None, "bilinear", True),
        (S((1, 2, 2, 3), args=((3, 5),)),),
    ),
    Case(
        "grid_sample",
        tgc.ops.grid_sample,
        sampled,
        (
            S((2, 2, 3, 4), places(2, 1, 2, 2), align_corners=False),
            S((1, 1, 3, 4), places(1, 1, 4, 2), padding_mode="border", align_corners=True),
            S((1, 1, 3, 4), places(1, 1, 4, 2), padding_mode="reflection", align_corners=False),
            S((1, 1, 4, 3), places(1, 2, 2, 2), padding_mode="reflection", align_corners=True, note="aligned"),
            S((1, 2, 3, 3), places(1, 3, 1, 2), mode="nearest", padding_mode="reflection", align_corners=False),
            S((1, 1, 3, 3), places(1, 1, 2, 2), mode="bicubic", align_corners=True),
            S((1, 1, 3, 3), places(1, 1, 2, 2), mode="bicubic", padding_mode="reflection", align_corners=False),
            S((1, 1, 2, 3, 3), places(1, 1, 1, 2, 3), padding_mode="reflection", align_corners=False, note="volume"),
            S((1, 1, 2, 3, 3), places(1, 1, 1, 2, 3), mode="nearest", align_corners=True, note="volume"),
        ),
        kinks=(
            S(IMAGE, EDGES, padding_mode="border", align_corners=True, note="edges"),
            S(IMAGE, EDGES, padding_mode="reflection", align_corners=True, note="edges"),
            S(IMAGE, EDGES, mode="nearest", align_corners=False, note="halves"),
            S((1, 1, 1, 1), places(1, 2, 2, 2), padding_mode="reflection", align_corners=True, note="one pixel"),
        ),
        torch=torch_call("grid_sample"),
        errors=(
            Error(call("grid_sample", IMAGE, (1, 2, 2, 3)), ShapeError, r"grid_sample.*\(N, oh, ow, 2\).*\(1, 2, 2, 3\)"),
            Error(call("grid_sample", IMAGE, (2, 2, 2, 2)), ShapeError, r"grid_sample.*\(2, 2, 2, 2\)"),
            Error(call("grid_sample", (1, 0, 2, 2), (1, 2, 2, 2)), ShapeError, "grid_sample.*no pixels"),
            Error(call("grid_sample", IMAGE, (1, 2, 2, 2), mode="linear"), ShapeError, "grid_sample.*'linear'.*'bicubic'"),
            Error(
                call("grid_sample", (1, 1, 2, 2, 2), (1, 2, 2, 2, 3), mode="bicubic"),
                ShapeError,
                "grid_sample.*'bicubic'.*3 axes",
            ),
            Error(call("grid_sample", IMAGE, (1, 2, 2, 2), padding_mode="wrap"), ShapeError, "grid_sample.*'wrap'.*'border'"),
            Error(
                lambda: tgc.ops.grid_sample(tgc.ones(IMAGE), tgc.ones(1, 2, 2, 2).double()),
                DTypeError,
                "grid_sample.*float64",
            ),
        ),
    ),
    Case(
        "grid_sample_input",
        from_registry("grid_sample_input", 2),
        adjoint,
        (
            S((2, 2, 1, 2), places(2, 1, 2, 2), args=((3, 4), "bilinear", "zeros", False, (0, 0))),
            S((1, 1, 1, 3), places(1, 1, 3, 2), args=((4, 3), "bilinear", "reflection", True, (0, 0)), note="reflection"),
            S((1, 1, 1, 3), places(1, 1, 3, 2), args=((3, 3), "bicubic", "border", False, (0, 0)), note="cubic"),
            S((1, 2, 1, 1, 2), places(1, 1, 1, 2, 3), args=((2, 3, 3), "bilinear", "zeros", False, (0, 0, 0)), note="volume"),
        ),
    ),
    Case(
        "grid_sample_grid",
        from_registry("grid_sample_grid", 3),
        uphill,
        (
            S((2, 2, 1, 2), (2, 2, 3, 4), places(2, 1, 2, 2), args=("bilinear", "zeros", False, (0, 0))),
            S((1, 1, 1, 3), (1, 1, 4, 3), places(1, 1, 3, 2), args=("bilinear", "reflection", True, (0, 0)), note="mirror"),
            S((1, 1, 1, 3), (1, 1, 3, 3), places(1, 1, 3, 2), args=("nearest", "border", False, (0, 0)), note="nearest"),
            S((1, 2, 1, 1, 2), (1, 2, 2, 3, 3), places(1, 1, 1, 2, 3), args=("bilinear", "border", False, (0, 0, 0)),
              note="volume"),
        ),
    ),
    *(
        Case(
            name,
            getattr(tgc.ops, name),
            by_number,
            tuple(S(shape, grid, args=args, note=str(args[:2])) for args in arguments),
            torch=torch_call(name, home=""),
        )
        for name, shape, grid, arguments in (
            ("grid_sampler", IMAGE, places(1, 2, 2, 2), [(1, 0, True), (2, 1, False)]),
            ("grid_sampler_2d", IMAGE, places(1, 2, 2, 2), [(0, 2, False)]),
            ("grid_sampler_3d", (1, 1, 3, 3, 4), places(1, 1, 2, 1, 3), [(0, 1, True)]),
        )
    ),
    Case(
        "affine_grid",
        tgc.ops.affine_grid,
        affine,
        (
            S((2, 2, 3), args=((2, 5, 3, 2), False)),
            S((1, 2, 3), args=((1, 1, 2, 4), True), note="aligned"),
            S((1, 3, 4), args=((1, 1, 2, 3, 2), False), note="volume"),
        ),
        torch=torch_call("affine_grid"),
        errors=(
            Error(call("affine_grid", (2, 2, 3), size=(1, 1, 2, 2)), ShapeError, r"affine_grid.*\(1, 2, 3\).*\(2, 2, 3\)"),
            Error(call("affine_grid", (1, 2, 3), size=(1, 1, 2, 0)), ShapeError, "affine_grid.*at least 1"),
            Error(lambda: tgc.ops.affine_grid(tgc.ones(1, 2, 3).long(), (1, 1, 2, 2)), DTypeError, "affine_grid.*int64"),
        ),
    ),
    Case(
        "pixel_shuffle",
        tgc.ops.pixel_shuffle,
        shuffled,
        (
            S((2, 8, 2, 3), args=(2,)),
            S((9, 1, 2), args=(3,), note="single"),
        ),
        torch=torch_call("pixel_shuffle"),
        integers=("int64",),
        view=True,
        errors=(
            Error(call("pixel_shuffle", (1, 3, 2, 2), 2), ShapeError, r"pixel_shuffle.*3 channels.*\^2 = 4"),
            Error(call("pixel_shuffle", (1, 4, 2, 2), 0), ShapeError, "pixel_shuffle.*upscale_factor.*positive.*0"),
            Error(call("pixel_shuffle", (2, 2), 1), ShapeError, r"pixel_shuffle.*\(2, 2\)"),
        ),
    ),
    Case(
        "pixel_unshuffle",
        tgc.ops.pixel_unshuffle,
        unshuffled,
        (S((2, 2, 4, 6), args=(2,)), S((1, 3, 3), args=(3,), note="single")),
        torch=torch_call("pixel_unshuffle"),
        view=True,
        errors=(
            Error(call("pixel_unshuffle", (1, 1, 3, 4), 2), ShapeError, r"pixel_unshuffle.*\(1, 1, 3, 4\).*_factor 2"),
        ),
    ),
    *(
        Case(
            name,
            getattr(tgc.ops, name),
            dealt,
            (S((1, 6, 2, 1), args=(3,)), S((2, 4, 3), args=(2,), note="sequence")),
            torch=torch_call(name) if name == "channel_shuffle" else None,  # it has no derivative for the other
            view=True,
            errors=(
                Error(call(name, (1, 4, 2), 3), ShapeError, r"channel_shuffle.*groups=3.*4 channels"),
                Error(call(name, (4, 2), 2), ShapeError, r"channel_shuffle.*\(4, 2\)"),
            ),
        )
        for name in ("channel_shuffle", "native_channel_shuffle")
    ),
)


class TestBattery(Battery):
    """See battery.py."""


MODES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", MODES)
def test_every_size_and_factor_against_torch(torch: Any, mode: str, dtype: str) -> None:
    """Which pixel is nearest is a matter of rounding, and some sizes are special: all small ones."""
    resize = torch.nn.functional.interpolate
    for n, m in itertools.product((1, 2, 3, 5, 10), (1, 2, 3, 4, 9, 10, 20, 29)):
        x = np.random.default_rng(n).standard_normal((1, 1, n, 3)).astype(dtype)
        calls: list[dict[str, Any]] = [{"size": (m, 4)}, {"scale_factor": (m / n + 0.3 / n, 1.3)}, {"scale_factor": (3.7, 1)}]
        for kwargs in [c | {"antialias": a} for c in calls for a in {False, mode.startswith("bi")}]:
            y, wanted = tgc.ops.interpolate(tgc.tensor(x), mode=mode, **kwargs), resize(torch.tensor(x), mode=mode, **kwargs)
            np.testing.assert_allclose(y.numpy(), wanted.numpy(), rtol=0, atol=2e-5 if dtype == "float32" else 1e-12)


def test_nearest_keeps_integers(backend: str) -> None:
    y = tgc.ops.interpolate(tgc.tensor([[[1, 2, 3]]]), 5)
    assert y.dtype == np.int64
    assert y.tolist() == [[[1, 1, 2, 2, 3]]]


def test_infinity_stays_where_it_is(backend: str) -> None:
    """A pixel that an output does not depend on does not spoil it."""
    x = tgc.tensor([[[1.0, 2.0, math.inf, 4.0]]])
    assert tgc.ops.interpolate(x, 8).tolist() == [[[1, 1, 2, 2, math.inf, math.inf, 4, 4]]]
    assert tgc.ops.interpolate(x, 3, mode="area").tolist() == [[[1.5, math.inf, math.inf]]]
    grid = tgc.tensor([[[[-0.9, 0.0], [0.9, 0.0]]]])
    assert tgc.ops.grid_sample(x.reshape(1, 1, 1, 4), grid, "nearest", align_corners=False).tolist() == [[[[1, 4]]]]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_places_that_are_nowhere(backend: str, torch: Any, mode: str) -> None:
    """NaN, infinite and huge coordinates are PyTorch's, whatever is outside."""
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    grid = np.array([[[[v, w] for v in (np.nan, np.inf, -np.inf, 1e30) for w in (0.1, v)]]])
    for padding in ("zeros", "border", "reflection"):
        y = tgc.ops.grid_sample(tgc.tensor(x), tgc.tensor(grid), mode, padding, False).numpy()
        wanted = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), mode, padding, False).numpy()
        np.testing.assert_allclose(y, wanted, rtol=1e-12, err_msg=padding)


@pytest.mark.parametrize("axis", [0, 1])
def test_every_derivative_of_the_cubic_weights(backend: str, axis: int) -> None:
    """The fourth is zero, the others are differences of those before; two axes do not mix."""
    from tinygrad_course.autograd import registry
    from tinygrad_course.autograd.function import apply

    rng = np.random.default_rng(0)
    x, grid, step = tgc.tensor(rng.standard_normal((1, 2, 5, 6))), rng.uniform(-0.8, 0.8, (1, 3, 3, 2)), 1e-4

    def sample(places: Array, order: int) -> Array:
        orders = (order, 1) if axis == 0 else (1, order)
        result: Array = apply(registry["grid_sample"], (x, tgc.tensor(places)), ("bicubic", "border", True, orders)).numpy()
        return result

    shift = np.eye(2)[1 - axis] * step
    for order in range(4):
        difference = (sample(grid + shift, order) - sample(grid - shift, order)) / (2 * step)
        np.testing.assert_allclose(sample(grid, order + 1), difference, rtol=0, atol=1e-5 * 10**order)
    assert not sample(grid, 4).any()
    assert sample(grid, 3).any()


def test_the_identity_map_gives_the_image_back(backend: str) -> None:
    x = tgc.tensor(np.arange(24.0).reshape(1, 2, 3, 4))
    for align in (False, True):
        grid = tgc.ops.affine_grid(tgc.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype="float64"), x.shape, align)
        np.testing.assert_allclose(tgc.ops.grid_sample(x, grid, align_corners=align).numpy(), x.numpy(), atol=1e-12)


def test_places_of_the_nearest_pixel_get_a_gradient_of_zeros(backend: str) -> None:
    """Zeros, not None: as in PyTorch, also where only the grid wants one."""
    grid = tgc.zeros((1, 2, 2, 2), requires_grad=True)
    tgc.ops.grid_sample(tgc.ones(1, 1, 2, 2), grid, "nearest", align_corners=False).sum().backward()
    assert grid.grad.tolist() == np.zeros((1, 2, 2, 2)).tolist()


def test_shuffles_undo_each_other(backend: str) -> None:
    x = tgc.tensor(np.arange(72.0).reshape(1, 8, 3, 3))
    assert tgc.ops.pixel_unshuffle(tgc.ops.pixel_shuffle(x, 2), 2).tolist() == x.tolist()
    assert tgc.ops.channel_shuffle(tgc.ops.channel_shuffle(x, 2), 4).tolist() == x.tolist()
    assert tgc.ops.pixel_shuffle(tgc.ones(2, 0, 4, 1, 1), 2).shape == (2, 0, 1, 2, 2)


def test_a_shuffle_by_one_is_a_copy(backend: str) -> None:
    x = tgc.ones(1, 2, 2, 2)
    for function in (tgc.ops.pixel_shuffle, tgc.ops.pixel_unshuffle):
        assert not np.shares_memory(function(x, 1).array, x.array)
