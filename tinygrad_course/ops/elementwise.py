"""Elementwise ops with broadcasting: arithmetic, comparison, exp and its relatives, where, cast.

Broadcasting follows NumPy: shapes are aligned at their last axis, sizes must be equal or 1.  The adjoint of broadcasting
is a sum over the axes that were stretched: `sum_to`.
"""

from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply, binary, unary
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import ShapeError
from tinygrad_course.kernels.arrays import has_shape, same_shape
from tinygrad_course.ops.dtypes import _CATEGORY, as_dtype, bool_, constant, get_default_dtype, require_tensors, result_type


def broadcast_shape(op: str, *shapes: Shape) -> Shape:
    """The common shape; raises ShapeError with the axis that does not fit."""
    ndim = max(len(shape) for shape in shapes)
    padded = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    out = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        size = next((n for n in sizes if n != 1), 1)
        if any(n not in (1, size) for n in sizes):
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(f"{op}: the shapes {listed} do not broadcast: axis {axis - ndim} has the sizes "
                             f"{' and '.join(str(n) for n in sizes)}, which must be equal or 1. Use unsqueeze or reshape "
                             "to line the axes up.")
        out.append(size)
    return tuple(out)


def operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as tensors of one type."""
    if isinstance(x, TensorBase):
        if not isinstance(y, TensorBase):
            y = constant(y, x)
        elif x.array.dtype is y.array.dtype:
            return x, y
    elif isinstance(y, TensorBase):
        x = constant(x, y)
    else:
        raise TypeError(f"expected at least one Tensor, got {type(x).__name__} and {type(y).__name__}; make one with "
                        "tgc.tensor(...)")
    dtype = result_type(x, y)
    return cast(x, dtype), cast(y, dtype)


def floating(x: TensorBase) -> Any:
    """x itself, or x as floating point numbers: what exp(integer tensor) and the like work on."""
    require_tensors("this function", x)
    return x if x.array.dtype.kind == "f" else cast(x, get_default_dtype())


class Elementwise(Op):
    """Common base: inputs broadcast to the output."""

    operands = staticmethod(operands)

    @classmethod
    def shape(cls, *shapes: Shape) -> Shape:
        """The broadcast shape."""
        return broadcast_shape(cls.name, *shapes)


class SumTo(Op):
    """Sum over the axes along which `shape` would be stretched to x: the adjoint of broadcasting."""

    name = "sum_to"

    @staticmethod
    def shape(x: Shape, shape: Shape) -> Shape:
        if broadcast_shape("sum_to", x, shape) != tuple(x):
            raise ShapeError(f"sum_to: {shape} does not broadcast to {x}")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape) -> Any:
        return k.sum_to(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (expand(g, ctx.input_shape(0)),)


class Expand(Op):
    """Stretch axes of size 1 (and add leading ones) to `shape`, as a view.  Adjoint: sum_to."""

    name = "expand"
    view = True

    @staticmethod
    def shape(x: Shape, shape: Shape) -> Shape:
        if len(shape) < len(x) or any(n not in (1, m) for n, m in zip(x, shape[len(shape) - len(x):], strict=True)):
            raise ShapeError(f"expand: a tensor of shape {x} cannot be stretched to {shape}: only axes of size 1 can, and "
                             "new axes come in front")
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, shape: Shape) -> Any:
        return k.expand(x, shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (sum_to(g, ctx.input_shape(0)),)


def sum_to(x: Any, shape: Shape) -> Any:
    """Sum x over axes so that it has `shape`; x itself if it has it already."""
    operand: TensorBase = x
    if has_shape(operand.array, shape):
        return x
    return apply(SumTo, (x,), (shape,))


def sum_like(g: Any, x: Any) -> Any:
    """sum_to the shape of x: what a gradient of a broadcast x needs, and mostly nothing."""
    gradient: TensorBase = g
    operand: TensorBase = x
    return g if same_shape(gradient.array, operand.array) else sum_to(g, operand.array.shape)


def expand(x: Any, shape: Shape) -> Any:
    """x stretched to `shape`, without copying."""
    operand: TensorBase = x
    if has_shape(operand.array, shape):
        return x
    return apply(Expand, (x,), (shape,))


# -- arithmetic --------------------------------------------------------------------------------------------------------


class Add(Elementwise):
    """z = x + y.  dz/dx = dz/dy = 1."""

    name = "add"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.add(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs = ctx.needs
        return (sum_to(g, ctx.input_shape(0)) if needs[0] else None,
                sum_to(g, ctx.input_shape(1)) if needs[1] else None)


class Sub(Elementwise):
    """z = x - y.  dz/dx = 1, dz/dy = -1."""

    name = "sub"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.sub(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs = ctx.needs
        return (sum_to(g, ctx.input_shape(0)) if needs[0] else None,
                sum_to(neg(g), ctx.input_shape(1)) if needs[1] else None)


class Mul(Elementwise):
    """z = x y.  dz/dx = y, dz/dy = x."""

    name = "mul"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.mul(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return sum_like(mul(g, y), x) if needs[0] else None, sum_like(mul(g, x), y) if needs[1] else None


class Div(Elementwise):
    """z = x / y.  dz/dx = 1 / y, dz/dy = -x / y^2."""

    name = "div"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.div(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        gx = div(g, y)
        return (sum_like(gx, x) if needs[0] else None,
                sum_like(neg(mul(gx, div(x, y))), y) if needs[1] else None)


class Pow(Elementwise):
    """z = x^y.  dz/dx = y x^(y-1), 0 where y = 0; dz/dy = x^y ln x, 0 where x = 0 and y >= 0."""

    name = "pow"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.pow(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        gx = gy = None
        if needs[0]:
            # Where y = 0 the power is constant; any base but 0 keeps 0 * 0^-1 from becoming nan, here and in the derivatives.
            base = where(eq(y, 0.0), 1.0, x)
            gx = sum_to(mul(g, mul(y, pow(base, sub(y, 1.0)))), x.array.shape)
        if needs[1]:
            base = where(logical_and(eq(x, 0.0), ge(y, 0.0)), 1.0, x)  # 0^y ln 0 would be nan, its limit is 0 = 1^y ln 1
            gy = sum_to(mul(g, mul(pow(base, y), log(base))), y.array.shape)
        return gx, gy


class Neg(Elementwise):
    """y = -x."""

    name = "neg"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.neg(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (neg(g),)


class Maximum(Elementwise):
    """z = max(x, y).  The gradient goes to the larger; at a tie half to each, as in PyTorch."""

    name = "maximum"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.maximum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return _to_the_chosen(g, x, y, gt(x, y), lt(x, y), needs)


class Minimum(Elementwise):
    """z = min(x, y).  The gradient goes to the smaller; at a tie half to each, as in PyTorch."""

    name = "minimum"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        ctx.save(x, y)
        return k.minimum(x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (x, y) = ctx.needs, ctx.saved
        return _to_the_chosen(g, x, y, lt(x, y), gt(x, y), needs)


def _to_the_chosen(g: Any, x: Any, y: Any, first: Any, second: Any, needs: tuple[bool, ...]) -> Any:
    share = where(eq(x, y), mul(g, 0.5), g)
    return (sum_to(where(second, 0.0, share), x.array.shape) if needs[0] else None,
            sum_to(where(first, 0.0, share), y.array.shape) if needs[1] else None)


# -- functions of one variable -----------------------------------------------------------------------------------------


class Exp(Elementwise):
    """y = e^x.  dy/dx = y."""

    name = "exp"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.exp(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (mul(g, y),)


class Log(Elementwise):
    """y = ln x.  dy/dx = 1 / x."""

    name = "log"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.log(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (div(g, x),)


class Sqrt(Elementwise):
    """y = x^(1/2).  dy/dx = 1 / (2 y)."""

    name = "sqrt"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        y = k.sqrt(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        y, = ctx.saved
        return (div(g, mul(y, 2.0)),)


class Abs(Elementwise):
    """y = |x|.  dy/dx = sign x, 0 at 0."""

    name = "abs"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.abs(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        return (mul(g, sign(x)),)


class Sign(Elementwise):
    """y = -1, 0 or 1.  dy/dx = 0."""

    name = "sign"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.sign(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (mul(g, 0.0),)


class Tanh(Elementwise):
    """y = tanh x.  dy/dx = 1 - y^2."""

    name = "tanh"

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

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, x: Any) -> Any:
        ctx.save(x)
        return k.relu_grad(g, x)

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        x, = ctx.saved
        return binary(ReluGrad, v, x), None


class Cast(Elementwise):
    """The values as another type.  The gradient is cast back; integers have none."""

    name = "cast"

    @classmethod
    def shape(cls, *shape_and_types: Any) -> Shape:
        """The shape of the input."""
        shape: Shape = shape_and_types[0]
        return shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, dtype: Any, before: Any) -> Any:
        return k.cast(x, dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (cast(g, ctx.args[1]),)


class Clone(Elementwise):
    """A copy that stays in the graph."""

    name = "clone"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.cast(x, x.dtype)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (g,)


class Where(Elementwise):
    """z = x where the condition holds, else y.  The gradient goes to the chosen one."""

    name = "where"

    @staticmethod
    def forward(ctx: Node, k: Any, condition: Any, x: Any, y: Any) -> Any:
        ctx.save(condition)
        return k.where(condition, x, y)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        needs, (condition,) = ctx.needs, ctx.saved
        return (None,
                sum_to(where(condition, g, 0.0), ctx.input_shape(1)) if needs[1] else None,
                sum_to(where(condition, 0.0, g), ctx.input_shape(2)) if needs[2] else None)


# -- comparison: bool results, never a graph ---------------------------------------------------------------------------


class Comparison(Elementwise):
    """Common base of the comparisons."""

    differentiable = False


class Eq(Comparison):
    """x == y."""

    name = "eq"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.eq(x, y)


class Ne(Comparison):
    """x != y."""

    name = "ne"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.ne(x, y)


class Lt(Comparison):
    """x < y."""

    name = "lt"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.lt(x, y)


class Le(Comparison):
    """x <= y."""

    name = "le"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.le(x, y)


class Gt(Comparison):
    """x > y."""

    name = "gt"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.gt(x, y)


class Ge(Comparison):
    """x >= y."""

    name = "ge"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, y: Any) -> Any:
        return k.ge(x, y)


class LogicalNot(Comparison):
    """True where x is 0."""

    name = "logical_not"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        return k.logical_not(x)


# -- functions ---------------------------------------------------------------------------------------------------------


def add(x: Any, y: Any) -> Any:
    """x + y, broadcasting."""
    return binary(Add, x, y)


def sub(x: Any, y: Any) -> Any:
    """x - y, broadcasting."""
    return binary(Sub, x, y)


def mul(x: Any, y: Any) -> Any:
    """x * y, broadcasting."""
    return binary(Mul, x, y)


def div(x: Any, y: Any) -> Any:
    """x / y, broadcasting; integers divide to floating point numbers."""
    x, y = operands(x, y)
    return binary(Div, floating(x), floating(y))


def pow(x: Any, y: Any) -> Any:
    """x ** y, broadcasting."""
    return binary(Pow, x, y)


def neg(x: Any) -> Any:
    """-x."""
    return unary(Neg, x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of both, elementwise; nan wins."""
    return binary(Maximum, x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of both, elementwise; nan wins."""
    return binary(Minimum, x, y)


def exp(x: Any) -> Any:
    """e ** x."""
    return unary(Exp, floating(x))


def log(x: Any) -> Any:
    """Natural logarithm."""
    return unary(Log, floating(x))


def sqrt(x: Any) -> Any:
    """Square root."""
    return unary(Sqrt, floating(x))


def abs(x: Any) -> Any:
    """Absolute value."""
    return unary(Abs, x)


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return unary(Sign, x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return unary(Tanh, floating(x))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return unary(Sigmoid, floating(x))


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return unary(Relu, x)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; all three broadcast."""
    if not isinstance(x, TensorBase) and not isinstance(y, TensorBase):
        x = constant(x, cast(condition, bool_))
    x, y = operands(x, y)
    return apply(Where, (cast(condition, bool_), x, y))


def cast(x: Any, dtype: Any) -> Any:
    """x as `dtype`; x itself if it has it."""
    if x.array.dtype is dtype:
        return x
    dtype = as_dtype(dtype)
    return x if x.array.dtype == dtype else apply(Cast, (x,), (dtype, x.array.dtype))


def clone(x: Any) -> Any:
    """A copy of x that is still connected to it in the graph."""
    return unary(Clone, x)


def eq(x: Any, y: Any) -> Any:
    """x == y, elementwise."""
    return binary(Eq, x, y)


def ne(x: Any, y: Any) -> Any:
    """x != y, elementwise."""
    return binary(Ne, x, y)


def lt(x: Any, y: Any) -> Any:
    """x < y, elementwise."""
    return binary(Lt, x, y)


def le(x: Any, y: Any) -> Any:
    """x <= y, elementwise."""
    return binary(Le, x, y)


def gt(x: Any, y: Any) -> Any:
    """x > y, elementwise."""
    return binary(Gt, x, y)


def ge(x: Any, y: Any) -> Any:
    """x >= y, elementwise."""
    return binary(Ge, x, y)


def logical_not(x: Any) -> Any:
    """True where x is 0."""
    return unary(LogicalNot, x)


def logical_and(x: Any, y: Any) -> Any:
    """True where both are true."""
    return mul(cast(x, bool_), cast(y, bool_))


def logical_or(x: Any, y: Any) -> Any:
    """True where at least one is true."""
    return maximum(cast(x, bool_), cast(y, bool_))


def is_floating(x: TensorBase) -> bool:
    """Whether x holds floating point numbers."""
    return _CATEGORY[x.array.dtype.kind] == 2
