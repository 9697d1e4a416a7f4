"""Activation functions.

Where a function has a corner, its slope there is the one that PyTorch takes."""

import math
from typing import Any

from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.arithmetic import abs, add, div, exp, logical_and, mul, neg, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import Elementwise
from tinygrad_course.ops.cast import floating
from tinygrad_course.ops.comparison import ge, gt, le, lt, where
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.shape import reshape

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish",
    "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold",
]

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class Tanh(Elementwise):
    """y = tanh x.  dy/dx = 1 - y^2."""

    name = "tanh"
    kernel = "tanh"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.tanh(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(TanhGrad, g, y),)


class TanhGrad(Elementwise):
    """z = g (1 - y^2).  dz/dg = 1 - y^2, dz/dy = -2 g y."""

    name = "tanh_grad"
    kernel = "tanh_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any) -> Any:
        ctx.save(g, y)
        return k.tanh_grad(g, y)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        return binary(TanhGrad, v, y), mul(mul(v, g), mul(y, -2.0))


class Sigmoid(Elementwise):
    """y = 1 / (1 + e^-x).  dy/dx = y (1 - y)."""

    name = "sigmoid"
    kernel = "sigmoid"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.sigmoid(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(SigmoidGrad, g, y),)


class SigmoidGrad(Elementwise):
    """z = g y (1 - y).  dz/dg = y (1 - y), dz/dy = g (1 - 2 y)."""

    name = "sigmoid_grad"
    kernel = "sigmoid_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, y: Any) -> Any:
        ctx.save(g, y)
        return k.sigmoid_grad(g, y)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        g, y = ctx.saved
        return binary(SigmoidGrad, v, y), mul(mul(v, g), sub(1.0, mul(y, 2.0)))


class Relu(Elementwise):
    """y = max(x, 0).  dy/dx = 1 where x > 0, else 0 (also at 0, as in PyTorch)."""

    name = "relu"
    kernel = "relu"
    saves = "output"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.relu(x)
        ctx.save(y)  # y > 0 where x > 0: x need not be kept alive
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (binary(ReluGrad, g, y),)


class ReluGrad(Elementwise):
    """z = g where x > 0, else 0.  Linear in g; its derivative with respect to x is 0."""

    name = "relu_grad"
    kernel = "relu_grad"

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(x)
        return k.relu_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        x, = ctx.saved
        return binary(ReluGrad, v, x), None


class Elu(Op):
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1): ELU, SELU and CELU.

    dy/dx = scale where x > 0, else scale alpha rate e^(rate x), which is also the slope at 0, as in PyTorch.
    Clevert et al. 2016 (ELU), Klambauer et al. 2017 (SELU), Barron 2017 (CELU)."""

    name = "elu"

    @staticmethod
    def shape(x: Shape, alpha: float, scale: float, rate: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, alpha: float, scale: float, rate: float) -> Any:
        ctx.save(x)
        return k.elu(x, alpha, scale, rate)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        alpha, scale, rate = ctx.args
        positive = gt(x, 0.0)
        slope = mul(exp(mul(where(positive, 0.0, x), rate)), scale * alpha * rate)  # where: e^x of a large x times 0 is nan
        return (mul(g, where(positive, scale, slope)),)


class Softplus(Op):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold.  dy/dx = sigmoid(beta x), or 1 there."""

    name = "softplus"

    @staticmethod
    def shape(x: Shape, beta: float, threshold: float) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, beta: float, threshold: float) -> Any:
        ctx.save(x)
        return k.softplus(x, beta, threshold)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        beta, threshold = ctx.args
        scaled = mul(x, beta)
        return (where(gt(scaled, threshold), g, mul(g, sigmoid(scaled))),)


def tanh(input: Any) -> Any:
    """Hyperbolic tangent."""
    return unary(Tanh, floating(input))


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-input))."""
    return unary(Sigmoid, floating(input))


def relu(input: Any, inplace: bool = False) -> Any:
    """max(input, 0)."""
    return unary(Relu, input)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^x - 1)."""
    return apply(Elu, (floating(input),), (float(alpha), 1.0, 1.0))


def selu(input: Any, inplace: bool = False) -> Any:
    """ELU times 1.0507 with alpha = 1.6733: normal inputs with mean 0 and variance 1 keep both.  Klambauer et al. 2017."""
    return apply(Elu, (floating(input),), (_SELU_ALPHA, _SELU_SCALE, 1.0))


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1): slope 1 at 0 for every alpha."""
    if alpha == 0:
        raise ValueError("celu: x is divided by alpha, which must not be 0")
    return apply(Elu, (floating(input),), (float(alpha), 1.0, 1.0 / alpha))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x P(Z < x) for a standard normal Z; approximate="tanh" is x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    from tinygrad_course.ops.special import ndtr  # a floor above

    x = floating(input)
    if approximate == "none":
        return mul(x, ndtr(x))
    if approximate != "tanh":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    inner = mul(x, add(mul(mul(x, x), 0.044715), 1.0))
    return mul(mul(x, 0.5), add(tanh(mul(inner, math.sqrt(2.0 / math.pi))), 1.0))


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope x."""
    x = floating(input)
    return where(gt(x, 0.0), x, mul(x, negative_slope))


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x, with one learned w, or one per channel (axis 1).  He et al. 2015, arXiv:1502.01852."""
    require_tensors("prelu", input, weight)
    x, w = input.array.shape, weight.array.shape
    if len(w) > 1:
        raise ShapeError(f"prelu: the weight is one number or one per channel, a tensor with at most 1 axis, got shape {w}")
    n = weight.array.size
    if n != 1:
        channels = x[1] if len(x) > 1 else 1
        if n != channels:
            raise ShapeError(f"prelu: the weight has {n} values, the input {x} has {channels} channels (axis 1); give 1 or "
                             f"{channels} values")
        weight = reshape(weight, (n,) + (1,) * (len(x) - 2))
    elif len(w) > len(x):
        weight = reshape(weight, ())
    return where(gt(input, 0.0), input, mul(weight, input))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x, but not less than min_val nor more than max_val.  Slope 0 at both ends."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    require_tensors("hardtanh", input)
    low, high = (min_val, max_val) if input.array.dtype.kind == "f" else (int(min_val), int(max_val))
    return where(le(input, low), low, where(ge(input, high), high, input))


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6: a sigmoid made of three straight pieces."""
    return div(relu6(add(floating(input), 3.0)), 6.0)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x relu6(x + 3) / 6.  Howard et al. 2019, arXiv:1905.02244."""
    x = floating(input)
    return div(mul(x, relu6(add(x, 3.0))), 6.0)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but 0 where -lambd <= x <= lambd."""
    x = floating(input)
    return where(logical_and(ge(x, -lambd), le(x, lambd)), 0.0, x)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x - lambd where x > lambd, x + lambd where x < -lambd, else 0."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, got {lambd}")
    x = floating(input)
    between = mul(x, 0.0)  # and not 0, so that nan stays nan
    return where(gt(x, lambd), sub(x, lambd), where(lt(x, -lambd), add(x, lambd), between))


def tanhshrink(input: Any) -> Any:
    """x - tanh x."""
    return sub(floating(input), tanh(input))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta x)) / beta: relu with a rounded corner; x itself where beta x > threshold."""
    if beta == 0:
        raise ValueError("softplus: the result is divided by beta, which must not be 0")
    return apply(Softplus, (floating(input),), (float(beta), float(threshold)))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    x = floating(input)
    return div(x, add(abs(x), 1.0))


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x), also called swish.  Elfwing et al. 2017, Ramachandran et al. 2017."""
    x = floating(input)
    return mul(x, sigmoid(x))


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)).  Misra 2019, arXiv:1908.08681."""
    x = floating(input)
    return mul(x, tanh(softplus(x)))


def logsigmoid(input: Any) -> Any:
    """ln sigmoid(x) = -ln(1 + e^-x), accurate for any x."""
    return neg(softplus(neg(floating(input)), 1.0, math.inf))


def glu(input: Any, dim: int = -1) -> Any:
    """a sigmoid(b), with a the first and b the second half of the input along `dim`.  Dauphin et al. 2017."""
    require_tensors("glu", input)
    shape = input.array.shape
    axis = normalise_axis("glu", dim, len(shape))
    if not shape or shape[axis] % 2:
        raise ShapeError(f"glu: dim {dim} of shape {shape} is cut in halves, so its size must be even")
    front, half = (slice(None),) * axis, shape[axis] // 2
    return mul(getitem(input, (*front, slice(None, half))), sigmoid(getitem(input, (*front, slice(half, None)))))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    require_tensors("threshold", input)
    return where(le(input, threshold), value if input.array.dtype.kind == "f" else int(value), input)
