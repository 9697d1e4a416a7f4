"""Convolution in one, two and three dimensions, and the transposed convolutions.

conv2d, conv2d_input and conv2d_weight are the three partial derivatives of one trilinear form

    <g, x * w> = sum over n, o, i, j, c, p, q of  g[n,o,i,j]  x[n,c, s i + d p - pad, s j + d q - pad]  w[o,c,p,q]

so the set is closed under differentiation: every derivative of any order is one of the three.  The transposed convolution
is conv2d_input, seen from the other side.

A sequence is an image of height 1.  A volume becomes images: for every place of the kernel along the depth, the kd slices
under it are stacked as channels, c kd + i, and one 2-D convolution sums over them.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import add
from tinygrad_course.ops.axis_product import axis_product, windows
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import SliceAdjoint
from tinygrad_course.ops.linalg import _same_dtype
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import permute, reshape
from tinygrad_course.ops.unfold import Sizes, sizes

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]

Pair = tuple[int, int]
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_SHAPES = {  # input, weight, weight of the transposed convolution
    1: ("three", "(N, C, L)", "(O, C/groups, k)", "(C, O/groups, k)"),
    2: ("four", "(N, C, H, W)", "(O, C/groups, kh, kw)", "(C, O/groups, kh, kw)"),
    3: ("five", "(N, C, D, H, W)", "(O, C/groups, kd, kh, kw)", "(C, O/groups, kd, kh, kw)"),
}


class Conv2d(Op):
    """Cross-correlation.  x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) -> (N, O, oh, ow).

    oh = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, likewise ow.
    Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning, arXiv:1603.07285."""

    name = "conv2d"

    @staticmethod
    def shape(x: Shape, w: Shape, b: Shape | None, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        return output_shape("conv2d", x, w, b, stride, padding, dilation, groups)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
        ctx.save(x, w)
        return k.conv2d(x, w, b, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, w) = ctx.needs, ctx.saved
        return (apply(Conv2dInput, (g, w), (x.array.shape, *ctx.args)) if needs[0] else None,
                apply(Conv2dWeight, (x, g), (w.array.shape, *ctx.args)) if needs[1] else None,
                sum(g, (0, 2, 3)) if needs[2] else None)


class Conv2dInput(Op):
    """The gradient of conv2d with respect to its input of `shape`; seen from the other side, the transposed convolution."""

    name = "conv2d_input"

    @staticmethod
    def shape(g: Shape, w: Shape, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        _check_output("conv2d_input", g, Conv2d.shape(shape, w, None, stride, padding, dilation, groups))
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, w: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair,
                groups: int) -> Any:
        ctx.save(g, w)
        return k.conv2d_input(g, w, shape, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (g, w) = ctx.needs, ctx.saved
        geometry = ctx.args[1:]
        return (apply(Conv2d, (v, w, None), geometry) if needs[0] else None,
                apply(Conv2dWeight, (v, g), (w.array.shape, *geometry)) if needs[1] else None)


class Conv2dWeight(Op):
    """The gradient of conv2d with respect to its weight of `shape`."""

    name = "conv2d_weight"

    @staticmethod
    def shape(x: Shape, g: Shape, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Shape:
        _check_output("conv2d_weight", g, Conv2d.shape(x, shape, None, stride, padding, dilation, groups))
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, g: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair,
                groups: int) -> Any:
        ctx.save(x, g)
        return k.conv2d_weight(x, g, shape, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        needs, (x, g) = ctx.needs, ctx.saved
        geometry = ctx.args[1:]
        return (apply(Conv2dInput, (g, v), (x.array.shape, *geometry)) if needs[0] else None,
                apply(Conv2d, (x, v, None), geometry) if needs[1] else None)


# -- functions ---------------------------------------------------------------------------------------------------------


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
           groups: int = 1) -> Any:
    """Cross-correlation of sequences (N, C, L), or of one (C, L), with a weight (O, C/groups, k).

    padding is a number, 'valid' (none) or 'same' (stride 1 only: the output has the input's length)."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
           groups: int = 1) -> Any:
    """2-D cross-correlation of a batch (N, C, H, W) or a single image (C, H, W).

    padding is a number, a pair, 'valid' (none) or 'same' (stride 1 only: the output has the input's size)."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
           groups: int = 1) -> Any:
    """Cross-correlation of volumes (N, C, D, H, W), or of one (C, D, H, W), with a weight (O, C/groups, kd, kh, kw).

    padding is a number, three of them, 'valid' (none) or 'same' (stride 1 only: the output has the input's size)."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
                     groups: int = 1, dilation: Any = 1) -> Any:
    """The adjoint of conv1d: (N, C, L) with a weight (C, O/groups, k) -> (N, O, ol); see conv_transpose2d."""
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
                     groups: int = 1, dilation: Any = 1) -> Any:
    """The adjoint of conv2d with the same weight, plus a bias: every input value lays the kernel, times itself, into the
    output.  (N, C, H, W) with a weight (C, O/groups, kh, kw) -> (N, O, oh, ow), or all that without N.

    oh = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.  Of the stride sizes that conv2d maps to H,
    output_padding picks one; it must be less than the stride or the dilation."""
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
                     groups: int = 1, dilation: Any = 1) -> Any:
    """The adjoint of conv3d: (N, C, D, H, W) with a weight (C, O/groups, kd, kh, kw) -> (N, O, od, oh, ow); see
    conv_transpose2d."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _convolve(op: str, n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """conv1d, conv2d, conv3d."""
    _check_operands(op, x, weight, bias, groups)
    strides, dilations = sizes(op, "stride", stride, n, 1), sizes(op, "dilation", dilation, n, 1)
    if x.array.ndim == n + 1:
        y = _convolve(op, n, reshape(x, (1, *x.array.shape)), weight, bias, stride, padding, dilation, groups)
        return reshape(y, y.array.shape[1:])
    if isinstance(padding, str):
        x, paddings = _named_padding(op, n, x, weight, strides, padding, dilations)
    else:
        paddings = sizes(op, "padding", padding, n, 0)
    if n == 2:
        return apply(Conv2d, (x, weight, bias), (strides, paddings, dilations, groups))
    bias_shape = None if bias is None else bias.array.shape
    shape = output_shape(op, x.array.shape, weight.array.shape, bias_shape, strides, paddings, dilations, groups)
    if n == 1:
        images, kernel, geometry = as_image(x), as_image(weight), _of_images(strides, paddings, dilations, groups)
        return reshape(apply(Conv2d, (images, kernel, bias), geometry), shape)
    if weight.array.shape[2:] == strides == (1, 1, 1) and paddings == (0, 0, 0):  # sees no neighbours: one image of D H rows
        n, c, depth, height, width = x.array.shape
        image = reshape(x, (n, c, depth * height, width))
        y = apply(Conv2d, (image, _flat_kernel(weight), bias), ((1, 1), (0, 0), (1, 1), groups))
        return reshape(y, shape)
    images = _slices_under_kernel(x, weight.array.shape[2], shape[2], strides[0], paddings[0], dilations[0])
    y = apply(Conv2d, (images, _flat_kernel(weight), bias), (strides[1:], paddings[1:], dilations[1:], groups))
    y = reshape(y, (shape[0], shape[2], shape[1], *shape[3:]))  # (N, od, O, oh, ow)
    return permute(y, (0, 2, 1, 3, 4))


def _transposed(op: str, n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
                dilation: Any) -> Any:
    """conv_transpose1d, conv_transpose2d, conv_transpose3d."""
    _check_operands(op, x, weight, bias, groups)
    strides, dilations = sizes(op, "stride", stride, n, 1), sizes(op, "dilation", dilation, n, 1)
    paddings, extra = sizes(op, "padding", padding, n, 0), sizes(op, "output_padding", output_padding, n, 0)
    if x.array.ndim == n + 1:
        x = reshape(x, (1, *x.array.shape))
        y = _transposed(op, n, x, weight, bias, stride, padding, output_padding, groups, dilation)
        return reshape(y, y.array.shape[1:])
    bias_shape = None if bias is None else bias.array.shape
    shape = _transposed_shape(op, x.array.shape, weight.array.shape, bias_shape, strides, paddings, extra, dilations, groups)
    # Where output_padding reaches the stride, the convolution of `shape` is larger than x: by values that are 0.
    kernel = weight.array.shape[2:]
    x = _extended(x, [(m + 2 * p - d * (k - 1) - 1) // s + 1
                      for m, p, d, k, s in zip(shape[2:], paddings, dilations, kernel, strides, strict=True)])
    if n == 1:
        geometry = _of_images(strides, paddings, dilations, groups)
        y = apply(Conv2dInput, (as_image(x), as_image(weight)), ((*shape[:2], 1, shape[2]), *geometry))
        y = reshape(y, shape)
    elif n == 2:
        y = apply(Conv2dInput, (x, weight), (shape, strides, paddings, dilations, groups))
    else:
        y = _transposed_volume(x, weight, shape, strides, paddings, dilations, groups)
    return y if bias is None else add(y, reshape(bias, (1, -1, *(1,) * n)))


def _transposed_volume(x: Any, weight: Any, shape: Shape, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """The way of _slices_under_kernel and the 2-D convolution, backwards."""
    n, _, depth, h, w = x.array.shape
    kd = weight.array.shape[2]
    images = reshape(permute(x, (0, 2, 1, 3, 4)), (n * depth, x.array.shape[1], h, w))
    geometry = ((n * depth, shape[1] * kd, *shape[3:]), stride[1:], padding[1:], dilation[1:], groups)
    y = apply(Conv2dInput, (images, _flat_kernel(weight)), geometry)  # (N D, O kd, oh, ow)
    y = permute(reshape(y, (n, depth, shape[1], kd, *shape[3:])), (0, 2, 3, 1, 4, 5))  # (N, O, kd, D, oh, ow)
    y = reshape(y, (n, shape[1], kd * depth, *shape[3:]))
    return axis_product(y, 2, windows(shape[2], kd, stride[0], padding[0], dilation[0], depth).transposed)


def _slices_under_kernel(x: Any, kd: int, od: int, stride: int, padding: int, dilation: int) -> Any:
    """(N, C, D, H, W) -> (N od, C kd, H, W): for each place of the kernel along the depth the slices that it covers."""
    n, c, depth, h, w = x.array.shape
    y = axis_product(x, 2, windows(depth, kd, stride, padding, dilation, od))  # (N, C, kd * od, H, W)
    y = permute(reshape(y, (n, c, kd, od, h, w)), (0, 3, 1, 2, 4, 5))
    return reshape(y, (n * od, c * kd, h, w))


def _flat_kernel(weight: Any) -> Any:
    """(O, C, kd, kh, kw) -> (O, C kd, kh, kw)."""
    o, c, kd, kh, kw = weight.array.shape
    return reshape(weight, (o, c * kd, kh, kw))


def as_image(x: Any) -> Any:
    """(N, C, L) -> (N, C, 1, L)."""
    n, c, length = x.array.shape
    return reshape(x, (n, c, 1, length))


def _of_images(stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> tuple[Pair, Pair, Pair, int]:
    """The arguments of a 1-D convolution for images of height 1."""
    return (1, *stride), (0, *padding), (1, *dilation), groups  # type: ignore[return-value]


def _named_padding(op: str, n: int, x: Any, weight: Any, stride: Sizes, padding: str, dilation: Sizes) -> tuple[Any, Sizes]:
    """For 'same' and 'valid' the padding in numbers; x has one more zero at the end where the total of 'same' is odd."""
    if padding == "valid":
        return x, (0,) * n
    if padding != "same":
        raise ShapeError(f"{op}: padding {padding!r} is unknown; give a number, {n} numbers, 'same' or 'valid'")
    if max(stride) > 1:
        raise ShapeError(f"{op}: padding='same' keeps the size only with stride 1, got stride {stride}; give the padding as "
                         "a number")
    _check_axes(op, x.array.shape, weight.array.shape, n)
    total = [d * (k - 1) for d, k in zip(dilation, weight.array.shape[2:], strict=True)]
    x = _extended(x, [size + t % 2 for size, t in zip(x.array.shape[2:], total, strict=True)])
    return x, tuple([t // 2 for t in total])


def _extended(x: Any, wanted: list[int]) -> Any:
    """x with zeros at the ends of its axes from the third on, up to the sizes `wanted`."""
    shape = x.array.shape
    if list(shape[2:]) == wanted:
        return x
    return apply(SliceAdjoint, (x,), ((*shape[:2], *wanted), tuple([slice(0, size) for size in shape])))


def pair(op: str, name: str, value: Any, least: int) -> Pair:
    """(height, width) from a number or a pair."""
    height, width = sizes(op, name, value, 2, least)
    return height, width


# -- checks ------------------------------------------------------------------------------------------------------------


def output_shape(op: str, x: Shape, w: Shape, b: Shape | None, stride: Sizes, padding: Sizes, dilation: Sizes,
                 groups: int) -> Shape:
    """(N, O, ...) of a convolution along len(stride) axes; raises ShapeError where the operands do not fit."""
    _check_axes(op, x, w, len(stride))
    if w[0] % groups or x[1] % groups:
        raise ShapeError(f"{op}: groups={groups} must divide the {x[1]} input channels of {x} and the {w[0]} output "
                         f"channels of the weight {w}")
    if x[1] != w[1] * groups:
        raise ShapeError(f"{op}: the input {x} has {x[1]} channels, the weight {w} with groups={groups} needs "
                         f"{w[1]} * {groups} = {w[1] * groups}. Make the layer's in_channels {x[1]}, or permute the "
                         f"input to {_SHAPES[len(stride)][1]}.")
    if b is not None and b != (w[0],):
        raise ShapeError(f"{op}: the bias has shape {b}, the weight {w} needs ({w[0]},)")
    return (x[0], w[0], *[_out_size(op, x, w, axis, stride, padding, dilation) for axis in range(len(stride))])


def _transposed_shape(op: str, x: Shape, w: Shape, b: Shape | None, stride: Sizes, padding: Sizes, extra: Sizes,
                      dilation: Sizes, groups: int) -> Shape:
    """(N, O, ...) of a transposed convolution; raises ShapeError where the operands do not fit."""
    n = len(stride)
    if len(x) != n + 2 or len(w) != n + 2:
        many, image, _, kernel = _SHAPES[n]
        raise ShapeError(f"{op}: input {x} and weight {w} must have {many} axes: {image} and {kernel}")
    if x[1] != w[0] or x[1] % groups:
        raise ShapeError(f"{op}: the input {x} has {x[1]} channels, the weight {w} is for {w[0]}; they must be equal, and "
                         f"groups={groups} must divide them")
    channels = w[1] * groups
    if b is not None and b != (channels,):
        raise ShapeError(f"{op}: the bias has shape {b}, the weight {w} with groups={groups} needs ({channels},)")
    out = []
    for axis, (size, k, s, p, e, d) in enumerate(zip(x[2:], w[2:], stride, padding, extra, dilation, strict=True)):
        if e >= max(s, d):
            raise ShapeError(f"{op}: output_padding {e} along the {AXES[n][axis]} must be less than the stride {s} or the "
                             f"dilation {d}")
        out.append((size - 1) * s - 2 * p + d * (k - 1) + e + 1)
        if out[-1] < 1 or size < 1 or k < 1:
            raise ShapeError(f"{op}: the {AXES[n][axis]} of the output would be ({size} - 1) * {s} - 2 * {p} + {d} * "
                             f"({k} - 1) + {e} + 1 = {out[-1]}. Use less padding or a larger input.")
    return (x[0], channels, *out)


def _check_operands(op: str, x: Any, weight: Any, bias: Any, groups: Any) -> None:
    require_tensors(op, x, weight, bias=bias)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ShapeError(f"{op}: groups must be a positive integer, got {groups!r}")
    _same_dtype(op, x, weight)
    _same_dtype(op, x, bias)


def _check_axes(op: str, x: Shape, w: Shape, n: int) -> None:
    if len(x) != n + 2 or len(w) != n + 2:
        many, image, kernel, _ = _SHAPES[n]
        raise ShapeError(f"{op}: input {x} and weight {w} must have {many} axes: {image} and {kernel}")


def _out_size(op: str, x: Shape, w: Shape, axis: int, stride: Sizes, padding: Sizes, dilation: Sizes) -> int:
    size, kernel = x[2 + axis], w[2 + axis]
    reach = dilation[axis] * (kernel - 1) + 1
    padded = size + 2 * padding[axis]
    if kernel < 1 or reach > padded:
        raise ShapeError(f"{op}: the kernel does not fit: along the {AXES[len(stride)][axis]} it reaches over dilation * "
                         f"(kernel - 1) + 1 = {dilation[axis]} * ({kernel} - 1) + 1 = {reach}, the padded input has {size} "
                         f"+ 2 * {padding[axis]} = {padded}. Use a larger input, more padding or a smaller kernel.")
    return (padded - reach) // stride[axis] + 1


def _check_output(op: str, g: Shape, expected: Shape) -> None:
    if tuple(g) != expected:
        raise ShapeError(f"{op}: the gradient has shape {g}, the output of this convolution has {expected}")
