"""Initialisation in place, under PyTorch's names.

Every function returns the tensor it filled.  Those that draw take a `generator`; without one they use the default
generator, which `manual_seed` sets.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tinygrad_course import ops
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops import special
from tinygrad_course.ops.creation import rand, randn
from tinygrad_course.ops.factor import qr
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
           "sigmoid")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor by which a non-linearity is compensated: sqrt(2) for relu, 5/3 for tanh, 3/4 for selu, 1 for linear maps.

    leaky_relu: sqrt(2 / (1 + slope^2)), `param` is the slope (0.01).
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope!r} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity!r}; there are "
                     f"{', '.join((*_LINEAR, 'tanh', 'relu', 'leaky_relu', 'selu'))}")


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Connections into and out of one unit of a weight (out, in, *kernel): in * kernel size, out * kernel size."""
    if tensor.ndim < 2:
        raise ShapeError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
                         f"got shape {tuple(tensor.shape)}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values from U(a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values from N(mean, std^2)."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)).  Glorot & Bengio 2010, eq. 16."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = gain * math.sqrt(6.0 / max(1, fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)).  Glorot & Bengio 2010, eq. 12."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, fan_in + fan_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / sqrt(fan).  He et al. 2015, arXiv:1502.01852, eq. 10 (fan_in) and 14 (fan_out)."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode!r} not supported, please use one of 'fan_in', 'fan_out'")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan_in if mode == "fan_in" else fan_out))


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: Generator | None = None) -> Tensor:
    """U(-b, b), b = gain * sqrt(3 / fan).  `a` is the slope of leaky_relu.  He et al. 2015, arXiv:1502.01852."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: Generator | None = None) -> Tensor:
    """N(0, std^2), std = gain / sqrt(fan).  `a` is the slope of leaky_relu.  He et al. 2015, arXiv:1502.01852."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Generator | None = None) -> Tensor:
    """Values from N(mean, std^2), conditioned on lying in [a, b].

    By the inverse of the distribution function: mean + std Phi^-1(u), u from U(Phi((a - mean) / std), Phi((b - mean) / std)).
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be "
                      "incorrect.", stacklevel=2)
    low, high, sign = (a - mean) / std, (b - mean) / std, 1.0
    if low > 0:  # below the mean, where Phi is tiny instead of nearly 1, it keeps its digits
        low, high, sign = -high, -low, -1.0
    from_, to = math.erfc(-low / math.sqrt(2)) / 2, math.erfc(-high / math.sqrt(2)) / 2
    with no_grad():
        u = rand(tensor.shape, generator=generator, dtype="float64") * (to - from_) + from_
        return tensor.copy_((special.ndtri(u) * (sign * std) + mean).clamp(a, b))


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, as far as a matrix that is not square can be one."""
    if tensor.ndim != 2:
        raise ShapeError(f"Only tensors with 2 dimensions are supported, got shape {tensor.shape}")
    with no_grad():
        return tensor.zero_().fill_diagonal_(1)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (O, C / groups, *kernel) that hands each channel through: 1 in the middle of its own kernel.

    In every group of outputs, as many as it has inputs; further outputs are 0.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"Only tensors with 3, 4, or 5 dimensions are supported, got shape {tensor.shape}")
    if tensor.shape[0] % groups:
        raise ShapeError(f"dim 0 must be divisible by groups, got shape {tensor.shape} and groups={groups}")
    outputs = tensor.shape[0] // groups
    middle = tuple([size // 2 for size in tensor.shape[2:]])
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(outputs, tensor.shape[1])):
                tensor[(group * outputs + channel, channel, *middle)] = 1
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain times a random matrix (dim 0, the others together) whose rows, or if there are more of them columns, are
    orthonormal.  Saxe et al. 2013, arXiv:1312.6120.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"Only tensors with 2 or more dimensions are supported, got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    with no_grad():
        drawn = randn(rows, columns, generator=generator, dtype="float64")
        q, r = qr(drawn.mT if rows < columns else drawn)
        q = q * ops.sign(ops.diagonal(r))  # uniform among all such matrices: Mezzadri 2006, arXiv:math-ph/0609050
        return tensor.copy_((q.mT if rows < columns else q).reshape(tensor.shape) * gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """A matrix from N(0, std^2) in each of whose columns ceil(sparsity * rows) places are 0.

    Martens 2010, "Deep learning via Hessian-free optimization", section 5.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"Only tensors with 2 dimensions are supported, got shape {tensor.shape}")
    rows, columns = tensor.shape
    with no_grad():
        normal_(tensor, 0.0, std, generator)
        order = ops.argsort(ops.argsort(rand(rows, columns, generator=generator), 0), 0)  # a permutation in each column
        return tensor.copy_(ops.where(order < math.ceil(sparsity * rows), 0.0, tensor))


def _deprecated(new: Callable[P, R]) -> Callable[P, R]:
    """The function under the name it had before it ended in an underscore."""
    name = new.__name__.removesuffix("_")

    @functools.wraps(new)
    def old(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.warn(f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.", FutureWarning, stacklevel=2)
        return new(*args, **kwargs)

    old.__name__ = name
    return old


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
