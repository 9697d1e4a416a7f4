"""Running results along an axis: cumulative sums, products and extremes, differences and integrals."""

from typing import Any

from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer
from tinygrad_course.ops.arithmetic import add, div, exp, mul, sub
from tinygrad_course.ops.axes import normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast, clone, floating, is_floating
from tinygrad_course.ops.comparison import eq, ne, where
from tinygrad_course.ops.dtypes import as_dtype, bool_, full_like, require_tensors
from tinygrad_course.ops.join import cat
from tinygrad_course.ops.reduce import Selected, Selection, part, select, sum
from tinygrad_course.ops.shape import reshape

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "gradient", "logcumsumexp", "trapezoid", "trapz",
]


class Cumsum(Op):
    """y_i = x_0 + ... + x_i along an axis, or x_i + ... + x_n in reverse.  The gradient runs the other way."""

    name = "cumsum"

    @staticmethod
    def shape(x: Shape, axis: int, reverse: bool) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, reverse: bool) -> Any:
        return k.cumsum(x, axis, reverse)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        axis, reverse = ctx.args
        return (apply(Cumsum, (g,), (axis, not reverse)),)


class Cumprod(Op):
    """y_i = x_0 ... x_i along an axis.

    With p_i = x_0 ... x_(i-1), everything before x_i:  gx_i = p_i r_i,  r_i = g_i + x_(i+1) r_(i+1).
    There is no division, so a zero in x does no harm."""

    name = "cumprod"

    @staticmethod
    def shape(x: Shape, axis: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        ctx.save(x)
        return k.cumprod(x, axis)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        axis = ctx.args[0]
        if x.array.shape[axis] == 0:
            return (g,)
        before = part(apply(Cumprod, (x,), ctx.args), axis, 0, -1)
        one = full_like(x, part(x, axis, 0, 1).array.shape, 1.0)
        return (mul(cat((one, before), axis), apply(Recurrence, (g, part(x, axis, 1, None)), (axis, True))),)


class Logcumsumexp(Op):
    """y_i = ln(exp(x_0) + ... + exp(x_i)) along an axis.

    gx_i = sum_(k>=i) g_k exp(x_i - y_k) = exp(x_i - y_i) r_i,  r_i = g_i + exp(y_i - y_(i+1)) r_(i+1).
    No exponent is positive: y grows."""

    name = "logcumsumexp"

    @staticmethod
    def shape(x: Shape, axis: int) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        y = k.logcumsumexp(x, axis)
        ctx.save(x, y)
        return y

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, y = ctx.saved
        axis = ctx.args[0]
        if x.array.shape[axis] == 0:
            return (g,)
        following = part(y, axis, 1, None)
        ratio = where(eq(following, float("inf")), 0.0, exp(sub(part(y, axis, 0, -1), following)))
        return (mul(exp(sub(x, y)), apply(Recurrence, (g, ratio), (axis, True))),)


class Recurrence(Op):
    """r_i = g_i + c_i r_(i+1) along an axis from its end, or r_i = g_i + c_(i-1) r_(i-1); c has one element less than g.

    With v the gradient of r, that of g is the same recurrence the other way, a = recurrence(v, c); that of c is the product
    of the a that c leads to and the r that it comes from."""

    name = "recurrence"

    @staticmethod
    def shape(g: Shape, c: Shape, axis: int, reverse: bool) -> Shape:
        if g[axis] == 0 or c != (*g[:axis], g[axis] - 1, *g[axis + 1:]):
            raise ShapeError(f"recurrence: the factors {c} must be one shorter than the summands {g} along dim {axis}, and "
                             "equal elsewhere")
        return g

    @staticmethod
    def forward(ctx: Node, k: Any, g: Any, c: Any, axis: int, reverse: bool) -> Any:
        r = k.recurrence(g, c, axis, reverse)
        ctx.save(c, r)
        return r

    @staticmethod
    def backward(ctx: Node, v: Any) -> Any:
        c, r = ctx.saved
        axis, reverse = ctx.args
        a = apply(Recurrence, (v, c), (axis, not reverse))
        after, before = (slice(0, -1), slice(1, None)) if reverse else (slice(1, None), slice(0, -1))
        gc = mul(part(a, axis, after.start, after.stop), part(r, axis, before.start, before.stop)) if ctx.needs[1] else None
        return a if ctx.needs[0] else None, gc


class Cummax(Selection):
    """y_i = max(x_0, ..., x_i) along an axis, and the index of the last of equal maxima."""

    name = "cummax"

    @staticmethod
    def shape(x: Shape, axis: int) -> Any:
        return x, x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.cummax_index(x, axis))


class Cummin(Selection):
    """y_i = min(x_0, ..., x_i) along an axis, and the index of the last of equal minima."""

    name = "cummin"
    shape = Cummax.shape

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.cummin_index(x, axis))


# -- functions ---------------------------------------------------------------------------------------------------------


@numpy_names
def cumsum(input: Any, dim: int, dtype: Any = None) -> Any:
    """Sums of the elements up to and including each along `dim`; booleans and integers add up to int64."""
    return _along(Cumsum, input, dim, dtype, False)


@numpy_names
def cumprod(input: Any, dim: int, dtype: Any = None) -> Any:
    """Products of the elements up to and including each along `dim`; booleans and integers multiply in int64."""
    return _along(Cumprod, input, dim, dtype)


@numpy_names
def logcumsumexp(input: Any, dim: int) -> Any:
    """ln of the sums of exp(input) up to and including each element along `dim`, without overflow."""
    return _along(Logcumsumexp, floating(input), dim, None)


def _along(op: Any, x: Any, dim: int, dtype: Any, *args: Any) -> Any:
    require_tensors(op.name, x)
    if dtype is not None:
        x = cast(x, as_dtype(dtype))
    shape = x.array.shape
    axis = normalise_axis(op.name, dim, len(shape))
    y = reshape(apply(op, (x if shape else reshape(x, (1,)),), (axis, *args)), shape)
    return y if dtype is None else cast(y, x.array.dtype)


@numpy_names
def cummax(input: Any, dim: int) -> Selected:
    """(values, indices) of the largest element up to each along `dim`; of equal ones, and of nan, the last."""
    return select(Cummax, input, dim)


@numpy_names
def cummin(input: Any, dim: int) -> Selected:
    """(values, indices) of the smallest element up to each along `dim`; of equal ones, and of nan, the last."""
    return select(Cummin, input, dim)


@numpy_names
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences x[i + 1] - x[i] along `dim`, n times; for bools whether both differ.

    `prepend` and `append` are put before and after the input first."""
    require_tensors("diff", input, prepend=prepend, append=append)
    if input.array.ndim == 0:
        raise ShapeError("diff: a tensor without axes has no neighbours; the input needs at least one axis")
    n = integer("diff", "n", n)
    if n < 0:
        raise ShapeError(f"diff: n = {n} differences cannot be taken; n must not be negative")
    axis = normalise_axis("diff", dim, input.array.ndim)
    if n == 0:
        return clone(input)
    parts = [x for x in (prepend, input, append) if x is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    difference = ne if x.array.dtype == bool_ else sub
    for _ in range(n):
        x = difference(part(x, axis, 1, None), part(x, axis, 0, -1))
    return x


@numpy_names
def trapezoid(y: Any, x: Any = None, dx: Any = None, dim: int = -1) -> Any:
    """Integral of y along `dim` by the trapezoidal rule: sum of (x[i + 1] - x[i]) (y[i] + y[i + 1]) / 2.

    The places are `x` (of y's shape, or one axis), or `dx` (1) apart."""
    axis, areas = _trapezoids("trapezoid", y, x, dx, dim)
    return sum(areas, axis)


@numpy_names
def trapz(y: Any, x: Any = None, dx: Any = None, dim: int = -1) -> Any:
    """The older name of `trapezoid`."""
    return trapezoid(y, x, dx, dim)


@numpy_names
def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = None, dim: int = -1) -> Any:
    """Integrals of y along `dim` from its beginning to each further place, by the trapezoidal rule (see `trapezoid`)."""
    axis, areas = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, axis)


def _trapezoids(op: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[int, Any]:
    """The axis, counted from the end, and the areas along it."""
    require_tensors(op, y, x=x)
    if x is not None and dx is not None:
        raise TypeError(f"{op}: give either the places x or their distance dx, not both")
    if y.array.ndim == 0:
        raise ShapeError(f"{op}: a tensor without axes cannot be integrated; y needs at least one axis")
    axis = normalise_axis(op, dim, y.array.ndim)
    if y.array.dtype == bool_ or (x is not None and x.array.dtype == bool_):
        raise DTypeError(f"{op}: truth values cannot be integrated; convert them with .float()")
    y = floating(y)
    heights = div(add(part(y, axis, 1, None), part(y, axis, 0, -1)), 2.0)
    if x is None:
        return axis - y.array.ndim, heights if dx is None else mul(heights, dx)
    n = y.array.shape[axis]
    along = x.array.ndim == 1 and y.array.ndim > 1
    size = x.array.shape[0 if along else axis - y.array.ndim] if along or x.array.ndim >= y.array.ndim - axis else 0
    if size != n:
        raise ShapeError(f"{op}: y has {n} values along dim {dim}, x {size} places; there must be as many")
    places = x if is_floating(x) else cast(x, y.array.dtype)
    if along:
        places = reshape(places, (n,) + (1,) * (y.array.ndim - 1 - axis))
    return axis - y.array.ndim, mul(heights, diff(places, 1, axis - y.array.ndim))


@numpy_names
def gradient(input: Any, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Any, ...]:
    """Estimated derivative of a sampled function along each of `dim` (all axes): a tensor of the input's shape per axis.

    Inside it is the slope at the middle of the parabola through three neighbours; at the ends the slope of the line
    (edge_order = 1) or of the parabola (2) through the last ones.  `spacing`: the distance of the places, a number (1),
    one per axis, or one tensor of coordinates per axis."""
    require_tensors("gradient", input)
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order must be 1 (a line at the ends) or 2 (a parabola), got {edge_order!r}")
    x = floating(input)
    spacing = 1 if spacing is None else spacing
    axes = range(x.array.ndim) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    axes = [normalise_axis("gradient", axis, x.array.ndim) for axis in axes]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"gradient: dim {dim} names an axis twice")
    spacings = spacing if isinstance(spacing, tuple | list) else (spacing,) * len(axes)
    if len(spacings) != len(axes):
        raise ShapeError(f"gradient: {len(spacings)} spacings were given for {len(axes)} axes; give one number, or one for "
                         "each")
    return tuple([_gradient(x, h, axis, edge_order) for axis, h in zip(axes, spacings, strict=True)])


def _gradient(x: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    n = x.array.shape[axis] if x.array.ndim else 0
    if n <= edge_order:
        raise ShapeError(f"gradient: axis {axis} of {x.array.shape} has {n} values, edge_order = {edge_order} needs at least "
                         f"{edge_order + 1}")
    if isinstance(spacing, TensorBase) and spacing.array.ndim:
        if spacing.array.shape != (n,):
            raise ShapeError(f"gradient: axis {axis} of {x.array.shape} needs {n} coordinates, got {spacing.array.shape}")
        h = diff(cast(spacing, x.array.dtype))
    else:
        h = mul(full_like(x, (n - 1,), 1.0), spacing)
    h = reshape(h, (n - 1,) + (1,) * (x.array.ndim - 1 - axis))
    slope = div(diff(x, 1, axis), h)
    left, right = part(slope, axis, 0, -1), part(slope, axis, 1, None)
    h_left, h_right = part(h, 0, 0, -1), part(h, 0, 1, None)
    width = add(h_left, h_right)
    inside = div(add(mul(left, h_right), mul(right, h_left)), width)
    first, last = part(slope, axis, 0, 1), part(slope, axis, n - 2, None)
    if edge_order == 2:  # the slope grows linearly from the middle of one interval to that of the next
        bend = div(sub(left, right), width)
        first = add(first, mul(part(h, 0, 0, 1), part(bend, axis, 0, 1)))
        last = sub(last, mul(part(h, 0, n - 2, None), part(bend, axis, n - 3, None)))
    return cat((first, inside, last), axis)
