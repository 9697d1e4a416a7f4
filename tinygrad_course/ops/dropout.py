"""Functions of a network that draw random numbers: the dropouts, rrelu, gumbel_softmax.

Each takes a `generator`; without one it draws from the default generator, which `manual_seed` seeds.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import number
from tinygrad_course.ops.arithmetic import add, div, mul, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.cast import cast, floating
from tinygrad_course.ops.comparison import eq, gt, where
from tinygrad_course.ops.dtypes import constant, require_tensors
from tinygrad_course.ops.inplace import overwrite
from tinygrad_course.ops.piecewise import leaky_relu
from tinygrad_course.ops.random import Generator, default_generator, draw
from tinygrad_course.ops.reduce import argmax
from tinygrad_course.ops.shape import reshape
from tinygrad_course.ops.softmax import softmax

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "feature_dropout",
    "gumbel_softmax", "rrelu",
]

_FLOOR = -1.7580993408473766  # what SELU tends to for x -> -inf: -alpha scale


class Dropout(Op):
    """y = x m / (1 - p) with m = 1 with probability 1 - p, else 0 (inverted dropout: nothing to scale at test time).

    m has the shape `mask`, which broadcasts to x: a size of 1 makes neighbours share their fate.
    Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15."""

    name = "dropout"

    @staticmethod
    def shape(x: Shape, p: float, mask: Shape, seed: int, offset: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, p: float, mask: Shape, seed: int, offset: int) -> Any:
        drawn = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
        scale = k.dropout_mask(seed, offset, mask, p, drawn).astype(x.dtype, copy=False)
        ctx.constants = scale = backend.to_device(scale, backend.device_of(x))
        return k.mul(x, scale)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (mul(g, new_tensor(ctx.constants)),)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False,
            generator: Generator | None = None) -> Any:
    """Each value is 0 with probability p, else divided by 1 - p; the identity if not training."""
    if inplace:
        return _in_place("dropout_", dropout, input, p, training, generator)
    return _dropout("dropout", input, p, training, lambda shape: shape, generator)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False,
              generator: Generator | None = None) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L).  Tompson et al. 2015, arXiv:1411.4280."""
    if inplace:
        return _in_place("feature_dropout_", dropout1d, input, p, training, generator)
    return _dropout_channels("dropout1d", input, p, training, generator, unbatched=2)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False,
              generator: Generator | None = None) -> Any:
    """Dropout of whole channels of (N, C, H, W)."""
    if inplace:
        return _in_place("feature_dropout_", dropout2d, input, p, training, generator)
    require_tensors("dropout2d", input)
    if input.array.ndim == 3:
        warnings.warn("dropout2d: an input with 3 axes is taken for (N, C, L), as in PyTorch; use dropout1d for it, or "
                      "unsqueeze(0) an unbatched (C, H, W)", stacklevel=2)
    return _dropout_channels("dropout2d", input, p, training, generator)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False,
              generator: Generator | None = None) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    if inplace:
        return _in_place("feature_dropout_", dropout3d, input, p, training, generator)
    return _dropout_channels("dropout3d", input, p, training, generator, unbatched=4)


def feature_dropout(input: Any, p: float = 0.5, train: bool = True, generator: Generator | None = None) -> Any:
    """Dropout of whole channels of (N, C, ...)."""
    return _dropout_channels("feature_dropout", input, p, train, generator)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False,
                  generator: Generator | None = None) -> Any:
    """Dropout that keeps mean 0 and variance 1: a dropped value becomes SELU's lower limit, then all are scaled and shifted.

    Klambauer et al. 2017, "Self-normalizing neural networks", arXiv:1706.02515."""
    if inplace:
        return _in_place("alpha_dropout_", alpha_dropout, input, p, training, generator)
    return _alpha_dropout("alpha_dropout", input, p, training, lambda shape: shape, generator)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False,
                          generator: Generator | None = None) -> Any:
    """alpha_dropout of whole channels of (N, C, ...)."""
    if inplace:
        return _in_place("feature_alpha_dropout_", feature_alpha_dropout, input, p, training, generator)
    return _alpha_dropout("feature_alpha_dropout", input, p, training, _channels("feature_alpha_dropout"), generator)


def rrelu(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False,
          generator: Generator | None = None) -> Any:
    """x where x > 0, else a x, with a drawn from [lower, upper) per value, or their mean if not training.

    Xu et al. 2015, arXiv:1505.00853."""
    if inplace:
        return overwrite(input, "rrelu_", lambda x: rrelu(x, lower, upper, training, generator=generator))
    lower, upper = number("rrelu", lower, "lower"), number("rrelu", upper, "upper")
    if not lower <= upper:
        raise ValueError(f"rrelu: lower {lower} must not be greater than upper {upper}")
    x = floating(input)
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    slope = constant(draw("uniform", x.array.shape, x.array.dtype, generator), x)
    return where(gt(x, 0.0), x, mul(x, add(mul(slope, upper - lower), lower)))


def gumbel_softmax(logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1,
                   generator: Generator | None = None) -> Any:
    """A differentiable draw of a class: softmax((logits + Gumbel noise) / tau) along `dim`.

    hard=True gives a one-hot vector, with the gradient of the soft one.  eps is not used.
    Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712."""
    x = floating(logits)
    axis = normalise_axis("gumbel_softmax", dim, x.array.ndim)
    uniform = draw("uniform", x.array.shape, x.array.dtype, generator)
    with np.errstate(divide="ignore"):  # a draw of 0 has noise -inf: that class is not chosen
        noise = constant(-np.log(-np.log(uniform)), x)
    soft = softmax(div(add(x, noise), tau), axis)
    if not hard:
        return soft
    chosen = argmax(soft, axis, True)
    classes = np.arange(soft.array.shape[axis] if soft.array.ndim else 1).reshape((-1,) + (1,) * (soft.array.ndim - 1 - axis))
    one = cast(eq(chosen, constant(classes, chosen)), x.array.dtype)
    return add(sub(one, new_tensor(soft.array)), soft)


def _in_place(writer: str, function: Callable[..., Any], input: Any, p: float, training: bool,
              generator: Generator | None) -> Any:
    """The function, written into its input; where nothing is dropped, the input as it is."""
    if training and p:
        return overwrite(input, writer, lambda x: function(x, p, generator=generator, training=True))
    function(input, p, training, generator=generator)  # for its errors
    return input


def _checked(op: str, x: Any, p: float) -> Any:
    if not 0.0 <= number(op, p, "p") <= 1.0:
        raise ValueError(f"{op}: the probability p must be between 0 and 1, got {p}")
    require_tensors(op, x)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input must be floating point, got {x.array.dtype}; use x.float()")


def _dropout(op: str, x: Any, p: float, training: bool, mask_shape: Any, generator: Generator | None) -> Any:
    _checked(op, x, p)
    if not training or p == 0.0:
        return x
    mask = mask_shape(x.array.shape)
    if p == 1.0:
        return mul(x, 0.0)
    generator = default_generator if generator is None else generator
    return apply(Dropout, (x,), (float(p), mask, *generator.take("dropout_mask", math.prod(mask))))


def _channels(op: str) -> Any:
    """The shape of one number per sample and channel."""

    def shape(x: Shape) -> Shape:
        if len(x) < 2:
            raise ShapeError(f"{op}: whole channels are dropped, so the input needs the axes (N, C, ...), got shape {x}")
        return x[:2] + (1,) * (len(x) - 2)

    return shape


def _dropout_channels(op: str, x: Any, p: float, training: bool, generator: Generator | None, unbatched: int = 0) -> Any:
    require_tensors(op, x)
    if x.array.ndim != unbatched:
        return _dropout(op, x, p, training, _channels(op), generator)
    y = _dropout(op, reshape(x, (1, *x.array.shape)), p, training, _channels(op), generator)
    return reshape(y, x.array.shape)


def _alpha_dropout(op: str, x: Any, p: float, training: bool, mask_shape: Any, generator: Generator | None) -> Any:
    """y = a (x m + floor (1 - m)) + b; a and b keep mean 0 and variance 1."""
    _checked(op, x, p)
    if not training or p == 0.0:
        return x
    mask = mask_shape(x.array.shape)
    if p == 1.0:
        return mul(x, 0.0)
    kept = (draw("uniform", mask, x.array.dtype, generator) >= p).astype(x.array.dtype)
    a = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _FLOOR**2))
    b = -a * p * _FLOOR
    return add(mul(x, constant(kept * a, x)), constant((1.0 - kept) * (a * _FLOOR) + b, x))
