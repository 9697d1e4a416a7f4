"""Images at other sizes and places: interpolation, grid sampling, pixel shuffling.

Interpolation treats one axis after the other, each by the product with a sparse matrix of weights (axis_product.py).
Grid sampling is linear in the image and piecewise polynomial in the coordinates: three ops with derivatives of every order.
"""

import math
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.arguments import described, integer, integers, number
from tinygrad_course.ops.arithmetic import add, mul
from tinygrad_course.ops.axis_product import SparseMatrix, axis_product, cached
from tinygrad_course.ops.cast import clone
from tinygrad_course.ops.dtypes import constant, require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.linalg import _same_dtype
from tinygrad_course.ops.pool import _adaptive_avg_pool
from tinygrad_course.ops.shape import permute, reshape, transpose
from tinygrad_course.ops.unfold import sizes

__all__ = [
    "affine_grid", "channel_shuffle", "grid_sample", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "interpolate",
    "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "upsample", "upsample_bilinear", "upsample_nearest",
]

_MODES = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
          "bicubic": (2,), "trilinear": (3,)}  # the numbers of axes that they are for
_CUBIC = -0.75  # Keys 1981, Cubic convolution interpolation for digital image processing, with a = -0.75


# -- interpolation -----------------------------------------------------------------------------------------------------


def interpolate(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Any:
    """The input (N, C, L), (N, C, H, W) or (N, C, D, H, W) at another size.

    Either size, or scale_factor: one number, or one per axis; the new size is then floor(old size * scale_factor).
    mode: 'nearest' (of the pixels' left corners), 'nearest-exact' (of their centres), 'linear', 'bilinear', 'bicubic',
    'trilinear', or 'area' (means, as adaptive_avg_pool).  align_corners: the centres of the corner pixels stay where they
    are, instead of the image's edges.  recompute_scale_factor: use the ratio of the sizes, not scale_factor, for the places.
    antialias: widen the filter where the image shrinks ('bilinear' and 'bicubic' only)."""
    require_tensors("interpolate", input)
    shape = input.array.shape
    n = len(shape) - 2
    _check_mode(input, mode, align_corners, antialias)
    wanted, scales = _new_size(shape[2:], size, scale_factor)
    if recompute_scale_factor:
        if scale_factor is None:
            raise ShapeError("interpolate: recompute_scale_factor=True needs a scale_factor, not a size")
        scales = (None,) * n
    if mode == "area":
        return _adaptive_avg_pool("interpolate", n, input, wanted)
    if min(wanted) < 1 or math.prod(shape[1:]) == 0:
        raise ShapeError(f"interpolate: sizes must be at least 1; the input has shape {shape}, the output would have "
                         f"{wanted} after (N, C)")
    working = "float64" if input.array.dtype == np.float64 else "float32"
    for axis in reversed(range(n)):  # the last one first, see kernels/resize.pyx
        old, new, scale = shape[2 + axis], wanted[axis], scales[axis]
        if old == new and (antialias or mode not in ("nearest-exact", "bicubic")):
            scale = None  # the size stays, and so does the image, whatever the scale says: PyTorch's choice
        if mode.startswith("nearest"):
            matrix = nearest_matrix(old, new, scale, mode == "nearest-exact", working)
        elif antialias:
            matrix = smooth_matrix(old, new, _step(old, new, scale, bool(align_corners)), mode == "bicubic")
        elif mode == "bicubic":
            matrix = cubic_matrix(old, new, _step(old, new, scale, bool(align_corners)), bool(align_corners))
        else:
            matrix = linear_matrix(old, new, _step(old, new, scale, bool(align_corners)), bool(align_corners))
        input = axis_product(input, 2 + axis, matrix)
    return input


def upsample(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
             align_corners: bool | None = None) -> Any:
    """The old name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with mode='nearest'."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with mode='bilinear' and align_corners=True."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def _check_mode(x: Any, mode: str, align_corners: bool | None, antialias: bool) -> None:
    n = x.array.ndim - 2
    if mode not in _MODES:
        raise ShapeError(f"interpolate: mode {mode!r} is unknown; there are {', '.join(_MODES)}")
    if n not in _MODES[mode]:
        fitting = ", ".join(name for name, axes in _MODES.items() if n in axes) or "none"
        raise ShapeError(f"interpolate: mode {mode!r} is for {' or '.join(str(a + 2) for a in _MODES[mode])} axes, (N, C, "
                         f"...); the input has shape {x.array.shape}, for which there is: {fitting}")
    nearest = mode.startswith("nearest")
    if align_corners is not None and (nearest or mode == "area"):
        raise ShapeError(f"interpolate: align_corners has no meaning for mode {mode!r}; leave it out")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ShapeError(f"interpolate: antialias is for the modes 'bilinear' and 'bicubic', not {mode!r}")
    if x.array.dtype.kind != "f" and not nearest:
        raise DTypeError(f"interpolate: mode {mode!r} needs floating point numbers, got {x.array.dtype}; use x.float()")


def _new_size(spatial: Shape, size: Any, scale_factor: Any) -> tuple[Shape, tuple[float | None, ...]]:
    """(new size, scale factor or None per axis)."""
    if (size is None) == (scale_factor is None):
        raise ShapeError("interpolate: give either size or scale_factor")
    given = size if scale_factor is None else scale_factor
    values = tuple(given) if isinstance(given, tuple | list) else (given,) * len(spatial)
    if len(values) != len(spatial):
        name = "size" if scale_factor is None else "scale_factor"
        raise ShapeError(f"interpolate: {name} {given!r} must be one number, or one for each of the axes {tuple(spatial)}")
    if scale_factor is None:
        return sizes("interpolate", "size", values, len(spatial), 0), (None,) * len(spatial)
    factors = tuple([float(number("interpolate", value, "scale_factor")) for value in values])
    if not all(math.isfinite(factor) and factor > 0 for factor in factors):
        raise ShapeError(f"interpolate: scale_factor must be positive and finite, got {scale_factor!r}")
    return tuple([math.floor(n * factor) for n, factor in zip(spatial, factors, strict=True)]), factors


def _step(size: int, out: int, scale: float | None, align_corners: bool) -> float:
    """Input pixels per output pixel."""
    if align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else size / out


def _places(out: int, step: float, align_corners: bool) -> Any:
    """Where the centres of the output pixels lie, in input pixels."""
    i = np.arange(out)
    return i * step if align_corners else (i + 0.5) * step - 0.5


@cached
def nearest_matrix(size: int, out: int, scale: float | None, exact: bool, working: str) -> SparseMatrix:
    """Every row picks one pixel.  The place is computed in the input's precision, then rounded to float32: PyTorch's way to
    decide between two pixels.  Like PyTorch it ignores the scale where the size doubles, unless `exact`."""
    if not exact and out == 2 * size:
        scale = None
    real = np.dtype(working).type
    step = real(1.0 / scale) if scale is not None and scale > 0 else real(size) / real(out)
    places = (np.arange(out).astype(working) + real(0.5 if exact else 0.0)) * step
    return SparseMatrix(out, size, np.arange(out), np.minimum(places.astype("float32").astype(np.int64), size - 1))


@cached
def linear_matrix(size: int, out: int, step: float, align_corners: bool) -> SparseMatrix:
    """Every row is a mean of two neighbours, weighted by nearness."""
    place = np.maximum(_places(out, step, align_corners), 0.0)
    left = np.minimum(np.floor(place).astype(np.int64), size - 1)
    part = np.clip(place - left, 0.0, 1.0)
    return _from_taps(size, [left, np.minimum(left + 1, size - 1)], [1.0 - part, part])


@cached
def cubic_matrix(size: int, out: int, step: float, align_corners: bool) -> SparseMatrix:
    """Every row is the cubic convolution of four neighbours; pixels beyond the edge repeat the last one."""
    place = _places(out, step, align_corners)
    left = np.minimum(np.floor(place).astype(np.int64), size - 1)
    part = np.clip(place - left, 0.0, 1.0)
    taps = [np.clip(left + tap, 0, size - 1) for tap in (-1, 0, 1, 2)]
    return _from_taps(size, taps, [cubic(np.abs(part - tap), _CUBIC) for tap in (-1, 0, 1, 2)])


@cached
def smooth_matrix(size: int, out: int, step: float, is_cubic: bool) -> SparseMatrix:
    """Every row is the mean over the triangle, or the cubic (with a = -0.5), made as wide as an output pixel."""
    width = max(step, 1.0)
    reach = width * (2.0 if is_cubic else 1.0)
    rows, cols, weights = [], [], []
    for i in range(out):
        centre = (i + 0.5) * step
        first = max(int(centre - reach + 0.5), 0)
        here = np.arange(first, min(int(centre + reach + 0.5), size))
        distance = np.abs((here - centre + 0.5) / width)
        weight = cubic(distance, -0.5) if is_cubic else np.maximum(1.0 - distance, 0.0)
        rows.append(np.full(here.size, i))
        cols.append(here)
        weights.append(weight / weight.sum())
    return SparseMatrix(out, size, np.concatenate(rows), np.concatenate(cols), np.concatenate(weights))


def cubic(distance: Any, a: float) -> Any:
    """Keys' kernel: (a + 2) t^3 - (a + 3) t^2 + 1 up to 1, a t^3 - 5 a t^2 + 8 a t - 4 a up to 2, then 0."""
    t = distance
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _from_taps(size: int, taps: list[Any], weights: list[Any]) -> SparseMatrix:
    out = taps[0].size
    return SparseMatrix(out, size, np.tile(np.arange(out), len(taps)), np.concatenate(taps), np.concatenate(weights))


# -- grids -------------------------------------------------------------------------------------------------------------


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """Coordinates for `grid_sample`: the affine maps theta (N, 2, 3) of the pixels of images of `size` (N, C, H, W), as
    (N, H, W, 2); or theta (N, 3, 4) for volumes, as (N, D, H, W, 3).

    Coordinates go from -1 to 1, x (along the width) first.  align_corners: -1 and 1 are the centres of the corner pixels,
    not the image's edges.  Jaderberg et al. 2015, Spatial transformer networks, arXiv:1506.02025."""
    require_tensors("affine_grid", theta)
    size = integers("affine_grid", "size", size)
    spatial = size[2:]
    n = len(spatial)
    if n not in (2, 3) or theta.array.shape != (size[0], n, n + 1):
        raise ShapeError(f"affine_grid: for the size {size} theta must have shape {(size[0], n, n + 1)} and the "
                         f"size four or five numbers; theta has {theta.array.shape}")
    if min(spatial) < 1:
        raise ShapeError(f"affine_grid: the sizes must be at least 1, got {size}")
    if theta.array.dtype.kind != "f":
        raise DTypeError(f"affine_grid: theta must be floating point, got {theta.array.dtype}")
    grid = getitem(theta, (..., n))  # (N, n); every axis adds its part, broadcast along the others
    for axis, count in enumerate(spatial):
        line = np.linspace(-1.0, 1.0, count) if count > 1 else np.zeros(1)
        if not align_corners:
            line *= (count - 1) / count
        slope = getitem(theta, (..., n - 1 - axis))  # (N, n)
        part = mul(reshape(slope, (size[0], 1, n)), constant(line.reshape(1, count, 1).astype(theta.array.dtype), theta))
        places = (size[0], *(count if a == axis else 1 for a in range(n)), n)
        grid = add(reshape(grid, (size[0], *(spatial[a] if a < axis else 1 for a in range(n)), n)), reshape(part, places))
    return grid


def grid_sample(input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Any:
    """The image at the places `grid`: input (N, C, H, W), grid (N, oh, ow, 2) -> (N, C, oh, ow); volumes have one more axis.

    grid holds (x, y) or (x, y, z) from -1 to 1; align_corners as in `affine_grid`.  mode: 'bilinear' (for volumes
    trilinear), 'nearest', 'bicubic' (images only).  padding_mode: what lies outside, 'zeros', 'border' (the nearest pixel) or
    'reflection' (the image mirrored at its edge, again and again).  The gradient goes to the image and to the places; the
    places get none where the value does not change with them (nearest, beyond a border)."""
    require_tensors("grid_sample", input, grid)
    shape, places = input.array.shape, grid.array.shape
    n = len(shape) - 2
    _same_dtype("grid_sample", input, grid)
    if n not in (2, 3) or len(places) != n + 2 or places[0] != shape[0] or places[-1] != n:
        raise ShapeError(f"grid_sample: expected an input (N, C, H, W) with a grid (N, oh, ow, 2), or (N, C, D, H, W) with "
                         f"(N, od, oh, ow, 3), got {shape} and {places}")
    if math.prod(shape[1:]) == 0:
        raise ShapeError(f"grid_sample: the input {shape} has no pixels")
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and n == 3):
        raise ShapeError(f"grid_sample: mode {mode!r} is unknown for {n} axes; there are 'bilinear', 'nearest'"
                         + (", 'bicubic'" if n == 2 else ""))
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ShapeError(f"grid_sample: padding_mode {padding_mode!r} is unknown; there are 'zeros', 'border', 'reflection'")
    return apply(GridSample, (input, grid), (mode, padding_mode, bool(align_corners), (0,) * n))


class GridSample(Op):
    """y[n, c, p] = sum over the taps of place grid[n, p] of the product of their weights along the axes * x[n, c, tap].

    `orders` says how often the weights along each axis are differentiated: with it, grid_sample, its transposed map and its
    gradient in the grid are closed under differentiation, and have derivatives of every order."""

    name = "grid_sample"

    @staticmethod
    def shape(x: Shape, grid: Shape, mode: str, padding_mode: str, align_corners: bool, orders: Shape) -> Shape:
        return (*x[:2], *grid[1:-1])

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, grid: Any, *args: Any) -> Any:
        ctx.save(x, grid)
        return k.grid_sample(x, grid, *args)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, grid = ctx.saved
        return (apply(GridSampleInput, (g, grid), (x.shape[2:], *ctx.args)) if ctx.needs[0] else None,
                apply(GridSampleGrid, (g, x, grid), ctx.args) if ctx.needs[1] else None)


class GridSampleInput(Op):
    """The gradient of sum(g * grid_sample(x, grid)) in x (N, C, *size): the transposed map of g."""

    name = "grid_sample_input"

    @staticmethod
    def shape(g: Shape, grid: Shape, size: Shape, *args: Any) -> Shape:
        return (*g[:2], *size)

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, grid: Any, *args: Any) -> Any:
        ctx.save(g, grid)
        return k.grid_sample_input(g, grid, *args)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, grid = ctx.saved
        args = ctx.args[1:]
        return (apply(GridSample, (v, grid), args) if ctx.needs[0] else None,
                apply(GridSampleGrid, (g, v, grid), args) if ctx.needs[1] else None)


class GridSampleGrid(Op):
    """The gradient of sum(g * grid_sample(x, grid)) in the grid: along each axis g times the sample with weights that are
    differentiated once more, summed over the channels."""

    name = "grid_sample_grid"

    @staticmethod
    def shape(g: Shape, x: Shape, grid: Shape, *args: Any) -> Shape:
        return grid

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any, grid: Any, *args: Any) -> Any:
        ctx.save(g, x, grid)
        return k.grid_sample_grid(g, x, grid, *args)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, x, grid = ctx.saved
        *modes, orders = ctx.args
        totals: list[Any] = [None, None, None]
        for axis in range(len(orders)):
            args = (*modes, tuple([order + (a == axis) for a, order in enumerate(orders)]))
            along = getitem(v, (slice(None), None, ..., len(orders) - 1 - axis))  # (N, 1, *places)
            weighted = mul(g, along) if ctx.needs[1] or ctx.needs[2] else None
            for i, needed in enumerate(ctx.needs):
                if needed:
                    part = (mul(along, apply(GridSample, (x, grid), args)) if i == 0 else
                            apply(GridSampleInput, (weighted, grid), (x.shape[2:], *args)) if i == 1 else
                            apply(GridSampleGrid, (weighted, x, grid), args))
                    totals[i] = part if totals[i] is None else add(totals[i], part)
        return tuple(totals)


def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sample` with numbers for the modes: bilinear, nearest, bicubic; zeros, border, reflection."""
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    if interpolation_mode not in range(3) or padding_mode not in range(3):
        raise OperandError(f"grid_sampler: the modes are numbers, 0 to 2 for {', '.join(modes)} and {', '.join(paddings)}; "
                           f"got {described(interpolation_mode)} and {described(padding_mode)}")
    return grid_sample(input, grid, modes[int(interpolation_mode)], paddings[int(padding_mode)], align_corners)


def grid_sampler_2d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sampler` of images."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`grid_sampler` of volumes."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


# -- shuffles ----------------------------------------------------------------------------------------------------------


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels become pixels: (..., C r^2, H, W) -> (..., C, H r, W r), y[c, h r + i, w r + j] = x[c r^2 + i r + j, h, w].

    Shi et al. 2016, Real-time single image and video super-resolution, arXiv:1609.05158."""
    lead, (c, h, w), r = _image_parts("pixel_shuffle", input, "upscale_factor", upscale_factor)
    if c % (r * r):
        raise ShapeError(f"pixel_shuffle: the {c} channels of {input.array.shape} are no multiple of upscale_factor^2 = "
                         f"{r * r}")
    if r == 1:
        return clone(input)
    y = reshape(input, (*lead, c // (r * r), r, r, h, w))
    k = len(lead)
    y = permute(y, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return reshape(y, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """The inverse of pixel_shuffle: (..., C, H r, W r) -> (..., C r^2, H, W)."""
    lead, (c, h, w), r = _image_parts("pixel_unshuffle", input, "downscale_factor", downscale_factor)
    if h % r or w % r:
        raise ShapeError(f"pixel_unshuffle: height and width of {input.array.shape} must be multiples of "
                         f"downscale_factor {r}")
    if r == 1:
        return clone(input)
    y = reshape(input, (*lead, c, h // r, r, w // r, r))
    k = len(lead)
    y = permute(y, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return reshape(y, (*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels dealt out anew: channel g * (C / groups) + k moves to k * groups + g.  (N, C, ...) of any number of axes.

    Zhang et al. 2018, ShuffleNet, arXiv:1707.01083."""
    require_tensors("channel_shuffle", input)
    shape = input.array.shape
    if len(shape) < 3:
        raise ShapeError(f"channel_shuffle: expected (N, C, ...) with at least three axes, got {shape}")
    groups = integer("channel_shuffle", "groups", groups)
    if groups < 1 or shape[1] % groups:
        raise ShapeError(f"channel_shuffle: groups={groups} must be positive and divide the {shape[1]} channels of {shape}")
    y = transpose(reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:])), 1, 2)
    return reshape(y, shape)


def native_channel_shuffle(input: Any, groups: int) -> Any:
    """channel_shuffle, by PyTorch's other name."""
    return channel_shuffle(input, groups)


def _image_parts(op: str, x: Any, name: str, factor: Any) -> tuple[Shape, Shape, int]:
    """(leading axes, (C, H, W), factor)."""
    require_tensors(op, x)
    if isinstance(factor, bool) or not hasattr(factor, "__index__") or factor < 1:
        raise ShapeError(f"{op}: {name} must be a positive integer, got {factor!r}")
    if x.array.ndim < 3:
        raise ShapeError(f"{op}: expected (..., C, H, W), got {x.array.shape}")
    return x.array.shape[:-3], x.array.shape[-3:], factor.__index__()
