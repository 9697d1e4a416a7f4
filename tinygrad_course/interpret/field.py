"""Receptive fields: how much of the input one output element sees.

For a chain of convolutions and poolings with kernels k, strides s and dilations d, from the first layer on:

    jump_0 = size_0 = 1,    size_l = size_{l-1} + (k_l - 1) d_l jump_{l-1},    jump_l = s_l jump_{l-1}

Dumoulin and Visin 2016, arXiv:1603.07285; Araujo, Norris and Sim 2019, Computing receptive fields of convolutional neural
networks, Distill, https://distill.pub/2019/computing-receptive-fields.

A network is no chain: it reshapes, transposes, concatenates, adds branches, attends.  `Field` carries the sizes through
single ops: it knows of each axis of a tensor which positions of the input run along it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tinygrad_course.errors import ShapeError
from tinygrad_course.ops.broadcast import Elementwise

Number = int | Fraction | float  # float only for infinity
Shape = tuple[int, ...]


class ReceptiveField(NamedTuple):
    """What an output element sees.

    size   of the part of the input, in places along an axis; math.inf: all of it
    jump   distance in the input between the parts of neighbouring output elements
    start  centre of the part that the first output element sees; 0 is the first place of the input, padding lies before it
    """

    size: int
    jump: int
    start: float


def receptive_field(layers: Iterable[Sequence[int]]) -> ReceptiveField:
    """Receptive field of a chain of layers, each (kernel, stride, padding, dilation); what is left out is 1, 0 and 1.

        receptive_field([(3,), (3,), (3,)]).size             # 7: three 3 x 3 layers see 7 x 7
        receptive_field([(7, 2, 3), (3, 2, 1)])              # size 11, jump 4: the stem of a ResNet

    Raises ShapeError for numbers that no layer has."""
    size, jump, start = 1, 1, 0.0
    for number, layer in enumerate(layers):
        if not 1 <= len(layer) <= 4 or not all(isinstance(value, int) for value in layer):
            raise ShapeError(f"receptive_field: layer {number} must be (kernel, stride, padding, dilation), whole numbers, "
                             f"of which the last may be left out; got {layer!r}")
        kernel, stride, padding, dilation = (*layer, *(1, 1, 0, 1)[len(layer):])
        if kernel < 1 or stride < 1 or padding < 0 or dilation < 1:
            raise ShapeError(f"receptive_field: layer {number} has kernel {kernel}, stride {stride}, padding {padding}, "
                             f"dilation {dilation}; all must be at least 1, padding at least 0")
        start += ((kernel - 1) * dilation / 2 - padding) * jump
        size += (kernel - 1) * dilation * jump
        jump *= stride
    return ReceptiveField(size, jump, start)


class Factor(NamedTuple):
    """`n` steps along an axis; each goes `jump` places along the axis `dim` of the input, or, dim None, to another channel,
    sample, unit."""

    n: int
    dim: int | None
    jump: Number


Axes = tuple[tuple[Factor, ...], ...]


class Field(NamedTuple):
    """What the elements of a tensor see of the input.

    size      per axis of the input's space the number of places; math.inf: all
    axes      per axis of the tensor its factors, the outer one first: an axis of H * W places has two
    windowed  whether a convolution or a pooling has been passed
    """

    size: tuple[Number, ...]
    axes: Axes
    windowed: bool

    def jump(self, dim: int) -> Number | None:
        """Places of the input between neighbours along its axis `dim`; None if the tensor does not run along it."""
        jumps = [factor.jump for axis in self.axes for factor in axis if factor.dim == dim]
        return jumps[0] if len(jumps) == 1 else None


def of_input(shape: Shape) -> Field | None:
    """The field of an input (N, C, L), (N, C, H, W) or (N, C, D, H, W); None for others, which have no space."""
    if not 3 <= len(shape) <= 5:
        return None
    space = [(Factor(n, dim, 1),) for dim, n in enumerate(shape[2:])]
    return Field((1,) * len(space), (*_plain(shape[:2]), *space), False)


def _plain(shape: Shape) -> Axes:
    return tuple([(Factor(n, None, 0),) for n in shape])


def propagate(op: Any, args: tuple[Any, ...], shapes: Sequence[Shape | None], fields: Sequence[Field | None],
              out: Sequence[Shape]) -> list[Field | None]:
    """The fields of an op's outputs, None where they are not known.

    Ops that move elements keep the sizes; those that combine elements along an axis add what that axis spans.  Statistics
    of normalisations do not count, or every batch norm would see everything."""
    none: list[Field | None] = [None] * len(out)
    known = [field for field in fields if field is not None]
    if not known or len({len(field.size) for field in known}) > 1:
        return none
    x = fields[0]
    rule = _RULES.get(op.name)
    if rule is not None:
        if x is None and op.name not in ("matmul", "cat"):
            return none
        found = rule(args, shapes, fields, out)
        return [found, *none[1:]] if isinstance(found, Field) or found is None else found
    same_shape = x is not None and shapes[0] == out[0] and op.name not in _MIXING
    if (isinstance(op, type) and issubclass(op, Elementwise)) or same_shape or op.name == "where":
        return [_combined(shapes, fields, out[0]), *none[1:]]
    return none


# ---- rules: (args, shapes of the inputs, their fields, shapes of the outputs) -> field or fields --------------------


def _conv(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    stride, _, dilation, groups = args
    x = fields[0]
    if shapes[0][1] > groups:
        x = _contracted(x, (1,))
    return _windowed(x, _plain(out[0][1:2]), out[0], shapes[1][2:], stride, dilation)


def _conv_transposed(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    _, stride, _, dilation, _ = args
    x = _contracted(fields[0], (1,))
    # An output place gets every stride-th of the kernel's taps.
    taps = [-(-((k - 1) * d + 1) // s) for k, s, d in zip(shapes[1][2:], stride, dilation, strict=True)]
    return _windowed(x, _plain(out[0][1:2]), out[0], taps, [Fraction(1, s) for s in stride], (1, 1))


def _pool(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x: Field = fields[0]
    kernel, stride = args[0], args[1]
    y = _windowed(x, x.axes[1:2], out[0], kernel, stride, args[3] if isinstance(args[3], tuple) else (1, 1))
    if y is None:
        return None
    # A window that is as large as the image: global pooling.
    whole = {factor.dim for number, k in enumerate(kernel, 2) if k == shapes[0][number] > 1 and out[0][number] == 1
             for factor in x.axes[number]}
    return y._replace(size=tuple([math.inf if dim in whole else size for dim, size in enumerate(y.size)]))


def _windowed(x: Field, channels: Axes, out: Shape, kernel: Sequence[int], stride: Sequence[Number], dilation: Sequence[int]
              ) -> Field | None:
    """Windows over the last two axes; `channels` is the axis before them, which has been dealt with."""
    size, axes = list(x.size), [x.axes[0], *channels]
    for number, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        axis, n = x.axes[2 + number], out[2 + number]
        placed = [factor for factor in axis if factor.dim is not None]
        if len(axis) == 1 and placed:
            dim, jump = placed[0].dim, placed[0].jump
            assert dim is not None
            size[dim] = size[dim] + (k - 1) * d * jump
            axes.append((Factor(n, dim, _simple(jump * s)),))
        elif not placed:
            axes.append((Factor(n, None, 0),))
        elif k == 1 and s == 1:
            axes.append(axis)
        else:
            return None  # a window over H * W places as if they were a line
    return Field(tuple(map(_simple, size)), tuple(axes), True)


def _linear(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x = _contracted(fields[0], (-1,))
    return x and x._replace(axes=(*x.axes[:-1], *_plain(out[0][-1:])))


def _matmul(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x, y = fields
    parts = []
    if x is not None:
        x = _contracted(x, (-1,))
        parts.append(x._replace(axes=(*x.axes[:-1], *_plain(out[0][-1:]))))
    if y is not None:
        y = _contracted(y, (-2,))
        parts.append(y._replace(axes=(*y.axes[:-2], *_plain(out[0][-2:-1]), y.axes[-1])))
    return _combined([tuple(map(_length, part.axes)) for part in parts], parts, out[0])


def _attention(args: Any, shapes: Any, fields: Any, out: Any) -> list[Field | None]:
    """A query sees through the scores all keys, and with them all values."""
    q, k, v, _ = fields
    unit, queries = _plain(out[0][-1:]), _plain(out[0][-2:-1])
    parts = []
    if q is not None:
        q = _contracted(q, (-1,))
        parts.append(q._replace(axes=(*q.axes[:-1], *unit)))
    if k is not None:
        k = _contracted(k, (-2, -1))
        parts.append(k._replace(axes=(*k.axes[:-2], *queries, *unit)))
    if v is not None:
        v = _contracted(v, (-2,))
        parts.append(v._replace(axes=(*v.axes[:-2], *queries, v.axes[-1])))
    return [_combined([tuple(map(_length, part.axes)) for part in parts], parts, out[0]), None]


def _recurrent(args: Any, shapes: Any, fields: Any, out: Any) -> list[Field | None]:
    x = _contracted(fields[0], (0, -1))
    y = x._replace(axes=(*x.axes[:-1], *_plain(out[0][-1:])))
    return [y, *[x._replace(axes=_plain(shape)) for shape in out[1:]]]


def _reduction(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x = fields[0]
    axes = args[0] if isinstance(args[0], tuple) else (args[0],)
    axes = tuple([axis % len(x.axes) for axis in axes])
    x = _contracted(x, axes)
    kept = len(out[0]) == len(x.axes)
    return x._replace(axes=tuple([(Factor(1, None, 0),) if number in axes else axis for number, axis in enumerate(x.axes)
                                  if kept or number not in axes]))


def _softmax(args: Any, shapes: Any, fields: Any, out: Any) -> Field:
    return _contracted(fields[0], (args[0],))


def _reshape(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x = fields[0]
    if shapes[0] == out[0]:
        return x
    if 0 in out[0]:
        return None
    waiting = [factor for axis in x.axes for factor in axis if factor.n > 1]
    waiting.reverse()
    axes = []
    for n in out[0]:
        axis, left = [], n
        while left > 1:
            factor = waiting.pop()
            if left % factor.n == 0:
                axis.append(factor)
                left //= factor.n
            elif factor.n % left == 0:  # the outer part; the inner one goes to the next axis
                inner = factor.n // left
                axis.append(Factor(left, factor.dim, factor.jump * inner))
                waiting.append(Factor(inner, factor.dim, factor.jump))
                left = 1
            else:
                return None
        axes.append(tuple(axis) or (Factor(1, None, 0),))
    return _with_single_places(x, x._replace(axes=tuple(axes)), shapes[0], out[0])


def _with_single_places(x: Field, y: Field, before: Shape, after: Shape) -> Field:
    """An axis of one place still knows how far its next place would be, where only other axes of length 1 came or went."""
    if [n for n in before if n > 1] != [n for n in after if n > 1]:
        return y
    known = {axis[0].dim for axis in y.axes if axis[0].dim is not None}
    single = [axis for axis in x.axes if axis[0].n == 1 and axis[0].dim is not None and axis[0].dim not in known]
    places = [number for number, n in enumerate(after) if n == 1]
    axes = list(y.axes)
    for axis, number in zip(reversed(single), reversed(places), strict=False):
        axes[number] = axis
    return y._replace(axes=tuple(axes))


def _permute(args: Any, shapes: Any, fields: Any, out: Any) -> Field:
    return fields[0]._replace(axes=tuple([fields[0].axes[axis] for axis in args[0]]))


def _expand(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    return _combined(shapes[:1], fields[:1], out[0])


def _slice(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    x = fields[0]
    key = args[0] if isinstance(args[0], tuple) else (args[0],)
    named = sum(part is not None and part is not Ellipsis for part in key)
    parts: list[Any] = []
    for part in key:
        parts += [slice(None)] * (len(x.axes) - named) if part is Ellipsis else [part]
    parts += [slice(None)] * (len(x.axes) - sum(part is not None for part in parts))
    axes, number = [], 0
    for part in parts:
        if part is None:
            axes.append((Factor(1, None, 0),))
            continue
        axis = x.axes[number]
        number += 1
        if not isinstance(part, slice):
            continue
        n, step = len(range(*part.indices(_length(axis)))), abs(part.step or 1)
        if n == _length(axis):
            axes.append(axis)
        elif len(axis) == 1:
            axes.append((axis[0]._replace(n=n, jump=axis[0].jump * step),))
        else:
            return None
    return x._replace(axes=tuple(axes))


def _cat(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    axis = args[0] % len(out[0])
    whole = [None if field is None else field._replace(axes=tuple(
        [(Factor(out[0][axis], part[0].dim, part[0].jump),) if number == axis and len(part) == 1
         else (Factor(out[0][axis], None, 0),) if number == axis else part for number, part in enumerate(field.axes)]))
        for field in fields]
    return _combined([out[0]] * len(fields), whole, out[0])


def _pad(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    axes = []
    for axis, n in zip(fields[0].axes, out[0], strict=True):
        if n == _length(axis):
            axes.append(axis)
        elif len(axis) == 1:
            axes.append((axis[0]._replace(n=n),))
        else:
            return None
    return fields[0]._replace(axes=tuple(axes))


def _axis_product(args: Any, shapes: Any, fields: Any, out: Any) -> Field | None:
    """Row r of the matrix combines some places of the axis: the largest distance among them is what the size grows by."""
    matrix, axis = args
    x = fields[0]
    axis %= len(x.axes)
    dims = {factor.dim for factor in x.axes[axis] if factor.dim is not None}
    new: tuple[Factor, ...] = (Factor(matrix.n_out, None, 0),)
    size = list(x.size)
    if len(dims) > 1:
        return None
    for dim in dims:
        places = _places(x.axes[axis])[matrix.cols]
        first, last = np.full(matrix.n_out, np.inf), np.full(matrix.n_out, -np.inf)
        np.minimum.at(first, matrix.rows, places)
        np.maximum.at(last, matrix.rows, places)
        used = np.isfinite(first)
        if not used.any():
            return None
        size[dim] = _simple(size[dim] + Fraction(float((last - first)[used].max())))
        mean = _spread(x.axes[axis], dim) / matrix.n_out
        new = _steps(first, dim, mean)
        rest = any(factor.dim == dim and factor.n > 1 for number, other in enumerate(x.axes) if number != axis
                   for factor in other)
        if matrix.n_out == 1 and not rest and _length(x.axes[axis]) > 1:
            size[dim] = math.inf
    return Field(tuple(size), (*x.axes[:axis], new, *x.axes[axis + 1:]), True)


def _places(axis: tuple[Factor, ...]) -> np.ndarray:
    """The place in the input of every element along an axis."""
    found = np.zeros(1)
    for factor in axis:
        found = (found[:, None] + float(factor.jump) * np.arange(factor.n)).ravel()
    return found


def _spread(axis: tuple[Factor, ...], dim: int) -> Fraction:
    """Places of the input's axis `dim` that an axis covers, the step behind the last one included."""
    factors = [factor for factor in axis if factor.dim == dim]
    return sum((Fraction((factor.n - 1) * factor.jump) for factor in factors), Fraction(factors[-1].jump))


def _steps(first: np.ndarray, dim: int, mean: Fraction) -> tuple[Factor, ...]:
    """The factors of an axis whose element r begins at place first[r] (infinite: nowhere).

    One if the places are evenly spaced; one of the mean step if they only ascend, as after interpolation; or two, one in the
    other, for several passes over the places, as when the taps of a kernel are laid out."""
    n = first.size
    rows = np.flatnonzero(np.isfinite(first))
    for inner in [length for length in range(n, 0, -1) if n % length == 0]:
        design = np.stack([rows // inner, rows % inner, np.ones(rows.size)], axis=1)
        solution = np.linalg.lstsq(design, first[rows], rcond=None)[0]
        if np.abs(design @ solution - first[rows]).max() < 1e-6:
            outer, step = (Fraction(float(value)).limit_denominator(1000) for value in solution[:2])
            factors = [factor for factor in (Factor(n // inner, dim, _simple(outer)), Factor(inner, dim, _simple(step)))
                       if factor.n > 1]
            if factors and all(factor.jump for factor in factors):
                return tuple(factors)
    return (Factor(n, dim, _simple(mean)),)


# ---- what the rules share -------------------------------------------------------------------------------------------


def _length(axis: tuple[Factor, ...]) -> int:
    return math.prod(factor.n for factor in axis)


def _simple(value: Number) -> Number:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def _contracted(x: Field, axes: tuple[int, ...]) -> Field:
    """After a combination of everything along some axes, which stay in `axes` as they are.

    If nothing else runs along an axis of the input, all of it has been seen."""
    axes = tuple([axis % len(x.axes) for axis in axes])
    size = list(x.size)
    seen: set[int] = set()
    for axis in axes:
        for factor in x.axes[axis]:
            if factor.dim is not None and factor.n > 1:
                size[factor.dim] = size[factor.dim] + (factor.n - 1) * factor.jump
                seen.add(factor.dim)
    rest = {factor.dim for number, axis in enumerate(x.axes) if number not in axes for factor in axis if factor.n > 1}
    return x._replace(size=tuple([math.inf if dim in seen - rest else _simple(value) for dim, value in enumerate(size)]))


def _combined(shapes: Sequence[Shape | None], fields: Sequence[Field | None], out: Shape) -> Field | None:
    """Of inputs that broadcast to the output: the largest sizes; the axes of the input that sees most."""
    parts = [(field, shape) for field, shape in zip(fields, shapes, strict=True)
             if field is not None and shape is not None and len(shape) <= len(out)
             and all(n in (1, m) for n, m in zip(shape[::-1], out[::-1], strict=False))]
    if not parts:
        return None
    parts.sort(key=lambda part: part[0].size, reverse=True)
    axes = list(_plain(out))
    for number in range(1, len(out) + 1):
        for field, shape in parts:
            if number <= len(shape) and shape[-number] == out[-number] and any(
                    factor.dim is not None for factor in field.axes[-number]):
                axes[-number] = field.axes[-number]
                break
    size = tuple([max(values) for values in zip(*[field.size for field, _ in parts], strict=True)])
    return Field(size, tuple(axes), any(field.windowed for field, _ in parts))


_RULES: dict[str, Any] = {
    "conv2d": _conv, "conv2d_input": _conv_transposed, "max_pool2d": _pool, "avg_pool2d": _pool, "linear": _linear,
    "matmul": _matmul, "rnn": _recurrent, "lstm": _recurrent, "gru": _recurrent, "softmax": _softmax, "log_softmax": _softmax,
    "reshape": _reshape, "permute": _permute, "expand": _expand, "slice": _slice, "cat": _cat, "constant_pad": _pad,
    "axis_product": _axis_product, "attention": _attention,
    **dict.fromkeys(("sum", "mean", "amax", "amin", "prod", "logsumexp", "var", "vector_norm", "max", "min"), _reduction),
}
_MIXING = ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "inv", "cholesky", "matrix_exp", "pinv", "gather",
           "index", "as_strided", "scatter_add", "scatter_extreme", "overwrite", "setitem")
