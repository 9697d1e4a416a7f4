"""Spread and order statistics: var, std, median, quantile, mode, histograms, covariance."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer, number
from tinygrad_course.ops.arithmetic import add, div, maximum, mul, sqrt, sub
from tinygrad_course.ops.axes import normalise_axes, normalise_axis, numpy_names
from tinygrad_course.ops.cast import cast, floating
from tinygrad_course.ops.comparison import eq, where
from tinygrad_course.ops.creation import linspace
from tinygrad_course.ops.dtypes import constant, full_like, require_tensors
from tinygrad_course.ops.index import gather, getitem
from tinygrad_course.ops.linalg import matmul
from tinygrad_course.ops.order import sort
from tinygrad_course.ops.reduce import Element, Selected, Selection, count, mean, reduced_shape, select, sum
from tinygrad_course.ops.shape import permute, reshape, t, transpose

__all__ = [
    "bincount", "corrcoef", "cov", "histc", "histogram", "histogramdd", "kthvalue", "median", "mode", "nanmedian",
    "nanquantile", "quantile", "std", "std_mean", "var", "var_mean",
]


class Histogram(NamedTuple):
    """Counts per bin, and the edges of the bins, one more than there are bins."""

    hist: Any
    bin_edges: Any


class Var(Op):
    """y = sum (x - mean)^2 / (n - c) over axes.  gx = 2 g (x - mean) / (n - c)."""

    name = "var"

    @staticmethod
    def shape(x: Shape, axes: tuple[int, ...], correction: float, keepdims: bool) -> Shape:
        return reduced_shape(x, axes, keepdims)

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axes: tuple[int, ...], correction: float, keepdims: bool) -> Any:
        ctx.save(x)
        if x.dtype.itemsize < 4:
            return k.var(x, axes, correction, keepdims)
        d = k.sub(x, k.mean(x, axes, True))
        degrees = max(count(x.shape, axes) - correction, 0)
        return k.div(k.sum(k.mul(d, d), axes, keepdims), np.full_like(d, degrees, shape=()))

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        axes, correction, _ = ctx.args
        kept = reduced_shape(x.array.shape, axes, True)
        degrees = float(max(count(x.array.shape, axes) - correction, 0))
        return (mul(reshape(div(mul(g, 2.0), degrees), kept), sub(x, mean(x, axes, True) if axes else x)),)


class Median(Selection):
    """y = the lower median along an axis, and its index; nan if there is one, unless nan is ignored."""

    name = "median"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, ignore_nan: bool) -> Any:
        return Selection.picked(ctx, k, x, axis, k.median_index(x, axis, ignore_nan))


class Mode(Selection):
    """y = the most frequent value along an axis, the smallest of several, and the index of its last occurrence."""

    name = "mode"

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.mode_index(x, axis))


class Kthvalue(Selection):
    """y = the k-th smallest value along an axis, and its index."""

    name = "kthvalue"

    @staticmethod
    def shape(x: Shape, axis: int, place: int) -> Any:
        if not 1 <= place <= x[axis]:
            raise ShapeError(f"kthvalue: there is no k = {place} smallest value along axis {axis} of shape {x}; k must be "
                             f"between 1 and {x[axis]}")
        kept = reduced_shape(x, (axis,), True)
        return kept, kept

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, axis: int, place: int) -> Any:
        return Selection.picked(ctx, k, x, axis, k.kth_index(x, axis, place - 1))


# -- variance ----------------------------------------------------------------------------------------------------------


@numpy_names
def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: Any = None) -> Any:
    """Variance over `dim`: sum of the squared distances from the mean, divided by n - correction.

    The correction is 1 unless given; unbiased=False is the older way to say 0, and var(x, False) means that."""
    return _variance("var", input, dim, unbiased, keepdim, correction)


@numpy_names
def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: Any = None) -> Any:
    """Standard deviation over `dim`, the root of `var`.  Where it is 0 its gradient is taken as 0."""
    return root(_variance("std", input, dim, unbiased, keepdim, correction))


@numpy_names
def var_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
             correction: Any = None) -> tuple[Any, Any]:
    """(var, mean) over `dim`."""
    return (_variance("var_mean", input, dim, unbiased, keepdim, correction),
            mean(input, None if isinstance(dim, bool) else dim, keepdim))


@numpy_names
def std_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
             correction: Any = None) -> tuple[Any, Any]:
    """(std, mean) over `dim`."""
    return (root(_variance("std_mean", input, dim, unbiased, keepdim, correction)),
            mean(input, None if isinstance(dim, bool) else dim, keepdim))


def _variance(op: str, x: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any) -> Any:
    require_tensors(op, x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{op}: give either unbiased or correction, not both")
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input has dtype {x.array.dtype}, the spread of floating point numbers is wanted; use "
                         "x.float()")
    correction = (0 if unbiased is False else 1) if correction is None else number(op, correction, "correction")
    return apply(Var, (x,), (normalise_axes(op, dim, x.array.ndim), correction, keepdim))


def root(x: Any) -> Any:
    """Square root with derivative 0 at 0, where it is vertical: the choice of PyTorch for deviations and lengths."""
    zero = eq(x, 0.0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, x)))


# -- order statistics --------------------------------------------------------------------------------------------------


@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value, of two the lower; with a `dim` (values, indices).  nan if there is one."""
    return _median("median", input, dim, keepdim, False)


@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of what is not nan; with a `dim` (values, indices)."""
    return _median("nanmedian", input, dim, keepdim, True)


def _median(op: str, x: Any, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    require_tensors(op, x)
    if dim is not None:
        return select(Median, x, dim, (ignore_nan,), keepdim)
    if x.array.size == 0:
        return mul(sum(floating(x)), float("nan"))
    flat = x.array.reshape(-1)
    return apply(Element, (x,), (int(backend.kernels_for(op, [flat]).median_index(flat, 0, ignore_nan)[0]),))


@numpy_names
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Selected:
    """(values, indices) of the most frequent value along `dim`, the smallest of several."""
    return select(Mode, input, dim, (), keepdim)


@numpy_names
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Selected:
    """(values, indices) of the k-th smallest value along `dim`; k counts from 1."""
    return select(Kthvalue, input, dim, (integer("kthvalue", "k", k),), keepdim)


@numpy_names
def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear") -> Any:
    """The value below which a part `q` of the values along `dim` (of all values) lies; nan where there is a nan.

    q: a number in [0, 1] or a tensor of several, whose results are stacked along a new first axis.  Between two values
    `interpolation` decides: 'linear', 'lower', 'higher', 'midpoint' or 'nearest'."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


@numpy_names
def nanquantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear") -> Any:
    """The quantile of what is not nan; nan where nothing is left."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)


def _quantile(op: str, x: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Any:
    require_tensors(op, x)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input has dtype {x.array.dtype}, values between which to choose must be floating point "
                         "numbers; use x.float()")
    q = q if isinstance(q, TensorBase) else constant(float(number(op, q, "q")), x)
    if q.array.ndim > 1:
        raise ShapeError(f"{op}: q must be a number or have one axis, got shape {q.array.shape}")
    if q.array.dtype != x.array.dtype:
        raise DTypeError(f"{op}: q has dtype {q.array.dtype}, the input {x.array.dtype}; they must be equal, use "
                         "q.to(x.dtype)")
    if not ((q.array >= 0) & (q.array <= 1)).all():
        raise ValueError(f"{op}: every q must be between 0 and 1, got {q.array.tolist()}")
    ndim = x.array.ndim
    axis = 0 if dim is None else normalise_axis(op, dim, ndim)
    rows = reshape(x, (x.array.size,)) if dim is None or ndim == 0 else transpose(x, axis, -1)  # (..., n)
    n = rows.array.shape[-1]
    if n == 0:
        raise ShapeError(f"{op}: a tensor of shape {x.array.shape} has no values to choose from")
    ordered = sort(rows).values  # nan comes last
    numbers = sum(eq(rows, rows), -1, True)
    if op == "quantile":
        last = full_like(x, numbers.array.shape, n - 1.0)
        places = where(eq(numbers, n), mul(reshape(q, (-1,)), last), last)
    else:
        places = mul(reshape(q, (-1,)), maximum(sub(cast(numbers, x.array.dtype), 1.0), 0.0))
    y = _between(op, ordered, places, interpolation)  # (..., number of q)
    shape = reduced_shape(x.array.shape, tuple(range(ndim)) if dim is None else (axis,), keepdim)
    if dim is not None and ndim:
        y = transpose(y, axis, -1)  # q where the axis was
        y = permute(y, (axis, *[a for a in range(ndim) if a != axis]))
    return reshape(y, (*q.array.shape, *shape))


def _between(op: str, ordered: Any, places: Any, interpolation: str) -> Any:
    """The sorted rows (..., n) at `places` (..., m), which need not be whole."""
    rounding = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}
    if interpolation not in ("linear", "midpoint", *rounding):
        raise ValueError(f"{op}: interpolation must be 'linear', 'lower', 'higher', 'midpoint' or 'nearest', got "
                         f"{interpolation!r}")

    def at(rule: Any) -> Any:
        return gather(ordered, -1, new_tensor(rule(places.array).astype(np.int64)))

    if interpolation in rounding:
        return at(rounding[interpolation])
    below = at(np.floor)
    weight = 0.5 if interpolation == "midpoint" else sub(places, new_tensor(np.asarray(np.floor(places.array))))
    return add(below, mul(weight, sub(at(np.ceil), below)))


# -- counts ------------------------------------------------------------------------------------------------------------


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """Counts of the values in equal bins from min to max, in the input's dtype; min = max takes the range of the input.

    Values outside and nan are not counted."""
    require_tensors("histc", input)
    bins, min, max = integer("histc", "bins", bins), number("histc", min, "min"), number("histc", max, "max")
    _check_histogram("histc", input, bins)
    low, high = (float(min), float(max)) if min != max else _range(input.array, 1.0)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"histc: the range from {low} to {high} must be finite and increasing; give min and max")
    return new_tensor(backend.kernels_for("histc", [input.array]).histc(input.array, bins, low, high))


def histogram(input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False) -> Histogram:
    """(hist, bin_edges) of all values of the input.  bins: a number of equal bins, or a tensor of increasing edges.

    A bin contains its left edge, the last one both.  range: (lowest, highest) edge, else those of the values.  weight: what
    each value counts.  density: the integral is 1."""
    require_tensors("histogram", input, weight=weight)
    flat = reshape(input, (input.array.size, 1))
    if weight is not None:
        if weight.array.shape != input.array.shape:
            raise ShapeError(f"histogram: the weights have shape {weight.array.shape}, the input {input.array.shape}; they "
                             "must be equal")
        weight = reshape(weight, (input.array.size,))
    hist, edges = _histogram("histogram", flat, (bins,), range, weight, density)
    return Histogram(hist, edges[0])


def histogramdd(input: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False) -> Histogram:
    """(hist, bin_edges) of points, the last axis of the input (..., d).

    bins: a number for all d coordinates, or a list of d numbers or of d tensors of edges.  range: 2 d numbers."""
    require_tensors("histogramdd", input, weight=weight)
    if input.array.ndim < 2:
        raise ShapeError(f"histogramdd: the input needs at least two axes, points and coordinates, got {input.array.shape}")
    d = input.array.shape[-1]
    per_axis = tuple(bins) if isinstance(bins, tuple | list) else (bins,) * d
    if len(per_axis) != d:
        raise ShapeError(f"histogramdd: {len(per_axis)} bins were given for points with {d} coordinates")
    if weight is not None:
        if weight.array.shape != input.array.shape[:-1]:
            raise ShapeError(f"histogramdd: the weights have shape {weight.array.shape}, the points "
                             f"{input.array.shape[:-1]}; they must be equal")
        weight = reshape(weight, (weight.array.size,))
    points = reshape(input, (input.array.size // d if d else 0, d))
    return Histogram(*_histogram("histogramdd", points, per_axis, range, weight, density))


def _histogram(op: str, points: Any, bins: tuple[Any, ...], limits: Any, weight: Any, density: bool) -> tuple[Any, Any]:
    x = points.array
    if limits is not None and len(limits) != 2 * len(bins):
        raise ShapeError(f"{op}: range needs {2 * len(bins)} numbers, the lowest and highest edge per coordinate, got "
                         f"{len(limits)}")
    edges = []
    for axis, wanted in enumerate(bins):
        if isinstance(wanted, TensorBase):
            if wanted.array.ndim != 1 or wanted.array.size < 1:
                raise ShapeError(f"{op}: the edges of the bins must be a vector of numbers, got shape {wanted.array.shape}")
            edges.append(wanted.array.copy())
            continue
        wanted = integer(op, "bins", wanted)
        _check_histogram(op, points, wanted)
        low, high = _range(x[:, axis], 0.5) if limits is None else (float(v) for v in limits[2 * axis:2 * axis + 2])
        if not (np.isfinite([low, high]).all() and low <= high):
            raise ValueError(f"{op}: the range from {low} to {high} must be finite and increasing; give range")
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(linspace(low, high, wanted + 1, dtype=x.dtype, device=backend.device_of(x)).array)
    weights = None if weight is None else weight.array
    hist = backend.kernels_for(op, [x]).histogram(x, tuple(edges), weights)
    if density:
        hist /= hist.sum()
        for axis, row in enumerate(edges):
            hist /= np.diff(row).reshape((-1,) + (1,) * (len(edges) - 1 - axis))
    return new_tensor(hist), tuple([new_tensor(row) for row in edges])


def _check_histogram(op: str, x: Any, bins: Any) -> None:
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input has dtype {x.array.dtype}, a histogram is made of floating point numbers; use "
                         "x.float()")
    if bins < 1:
        raise ValueError(f"{op}: there must be at least one bin, got {bins}")


def _range(x: Any, margin: float) -> tuple[float, float]:
    """Smallest and largest value, with a margin if they are equal; 0 and 1 without values."""
    if x.size == 0:
        return 0.0, 1.0
    low, high = float(x.min()), float(x.max())
    return (low - margin, high + margin) if low == high else (low, high)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often 0, 1, ... up to the largest value occur in a vector of non-negative integers, or the sums of its weights."""
    require_tensors("bincount", input, weights=weights)
    x, minlength = input.array, integer("bincount", "minlength", minlength)
    if x.ndim != 1 or x.dtype.kind not in "iu":
        raise ShapeError(f"bincount: the input must be a vector of integers, got shape {x.shape} and dtype {x.dtype}")
    smallest = min(minlength, int(x.min()) if x.size else 0)
    if smallest < 0:
        raise ValueError(f"bincount: the values and minlength must not be negative, got {smallest}")
    if weights is not None and weights.array.shape != x.shape:
        raise ShapeError(f"bincount: the weights have shape {weights.array.shape}, the input {x.shape}; they must be equal")
    kernels = backend.kernels_for("bincount", [x, None if weights is None else weights.array])
    return new_tensor(kernels.bincount(x, None if weights is None else weights.array, minlength))


# -- covariance --------------------------------------------------------------------------------------------------------


def cov(input: Any, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariance matrix (d, d) of d variables with n observations each, input (d, n); a number for a single one.

    C = sum_i w_i (x_i - m)(x_i - m)^T / (sum w - correction), with the weighted mean m.  fweights: how often each
    observation was made; aweights: how much each counts."""
    require_tensors("cov", input, fweights=fweights, aweights=aweights)
    if input.array.ndim > 2:
        raise ShapeError(f"cov: the input must be a matrix (variables, observations) or a vector, got {input.array.shape}")
    x = floating(input)
    x = x if x.array.ndim == 2 else reshape(x, (1, x.array.size))
    n = x.array.shape[1]
    for name, w, kinds, what in (("fweights", fweights, "iu", "integers"), ("aweights", aweights, "f", "real numbers")):
        if w is not None and (w.array.shape != (n,) or (w.array < 0).any() or w.array.dtype.kind not in kinds):
            raise ShapeError(f"cov: {name} must be {n} {what}, none negative, one per observation; got shape {w.array.shape} "
                             f"and dtype {w.array.dtype}")
    given = [weights for weights in (fweights, aweights) if weights is not None]
    w = mul(*given) if len(given) == 2 else given[0] if given else full_like(x, (n,), 1.0)
    total = sum(w)
    degrees = sub(total, correction if aweights is None else mul(div(sum(mul(w, aweights)), total), correction))
    centred = sub(x, div(sum(mul(x, w), 1, True), total))
    c = div(matmul(mul(centred, w), t(centred)), maximum(degrees, 0))
    return reshape(c, ()) if c.array.size == 1 else c


def corrcoef(input: Any) -> Any:
    """Correlation matrix (d, d) of d variables with n observations each, input (d, n): C_ij / sqrt(C_ii C_jj)."""
    require_tensors("corrcoef", input)
    c = cov(input)
    if c.array.ndim == 0:
        return div(c, c)
    diagonal = np.arange(c.array.shape[0])
    deviation = sqrt(getitem(c, (diagonal, diagonal)))
    return div(div(c, reshape(deviation, (-1, 1))), deviation)
