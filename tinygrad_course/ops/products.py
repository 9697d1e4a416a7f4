"""Products of vectors, matrices and tensors: dot, outer, addmm, einsum, tensordot, kron, powers and the exponential."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import Shape, TensorBase, new_tensor
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.arguments import described, integer, integers
from tinygrad_course.ops.arithmetic import add, mul, sub
from tinygrad_course.ops.axes import normalise_axis
from tinygrad_course.ops.broadcast import broadcast_shape, expand
from tinygrad_course.ops.cast import cast, is_floating, operands
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.dtypes import float64, int64, require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat, stack
from tinygrad_course.ops.like import ones_like
from tinygrad_course.ops.linalg import _same_dtype, matmul, mT, require_matrices
from tinygrad_course.ops.reduce import sum
from tinygrad_course.ops.shape import permute, reshape, transpose, unsqueeze

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bilinear", "bmm", "chain_matmul", "cross", "dot", "einsum", "ger",
    "inner", "kron", "matrix_exp", "matrix_power", "mm", "mv", "outer", "tensordot", "vander", "vdot",
]


class MatrixExp(Op):
    """Y = e^X = 1 + X + X^2 / 2 + ...

    dX is the derivative of the exponential at X^T in the direction G, and that is the upper right block of
    exp([[X^T, G], [0, X^T]]) (Najfeld & Havel 1995, "Derivatives of the matrix exponential and their computation", theorem
    4.13)."""

    name = "matrix_exp"

    @staticmethod
    def shape(x: Shape) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any) -> Any:
        ctx.save(x)
        return k.matrix_exp(x)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, = ctx.saved
        n = x.array.shape[-1]
        xt = mT(x)
        blocks = cat((cat((xt, g), -1), cat((mul(g, 0.0), xt), -1)), -2)
        return (getitem(apply(MatrixExp, (blocks,)), (..., slice(0, n), slice(n, 2 * n))),)


# -- products of two matrices or vectors ---------------------------------------------------------------------------------


def _require(op: str, *pairs: Any) -> None:
    """Tensors with the number of axes that is given after each."""
    tensors, counts = pairs[::2], pairs[1::2]
    require_tensors(op, *tensors)
    for position, (tensor, count) in enumerate(zip(tensors, counts, strict=True)):
        if tensor.array.ndim != count:
            raise ShapeError(f"{op}: operand {position} must have {count} axes, got shape {tensor.array.shape}"
                             f"{'; matmul takes any number of axes' if op in ('mm', 'bmm', 'mv') else ''}")


def _product(op: str, x: Any, y: Any) -> Any:
    """matmul with an error that names `op`."""
    a, b = x.array.shape, y.array.shape
    inside = b[-2] if len(b) > 1 else b[0]
    if a[-1] != inside:
        raise ShapeError(f"{op}: the shapes {a} and {b} do not fit: {a[-1]} columns times {inside} rows, which must be equal")
    if len(a) == 3 and a[0] != b[0]:
        raise ShapeError(f"{op}: batches of {a[0]} and {b[0]} matrices ({a} and {b}); they must be equal")
    _same_dtype(op, x, y)
    return matmul(x, y)


def mm(input: Any, mat2: Any) -> Any:
    """Product of two matrices, (n, k) and (k, m) -> (n, m)."""
    _require("mm", input, 2, mat2, 2)
    return _product("mm", input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of two stacks of matrices, (b, n, k) and (b, k, m) -> (b, n, m)."""
    _require("bmm", input, 3, mat2, 3)
    return _product("bmm", input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Matrix times vector, (n, k) and (k,) -> (n,)."""
    _require("mv", input, 2, vec, 1)
    return _product("mv", input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Sum of the products of two vectors of equal size."""
    _require("dot", input, 1, tensor, 1)
    if input.array.shape != tensor.array.shape:
        raise ShapeError(f"dot: the vectors {input.array.shape} and {tensor.array.shape} must have the same size")
    return _product("dot", input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """The same as dot, as there are no complex numbers here."""
    return dot(input, other)


def inner(input: Any, other: Any) -> Any:
    """Products over the last axes, (..., k) and (*, k) -> (..., *); with a number the product by it."""
    require_tensors("inner", input, other)
    if input.array.ndim == 0 or other.array.ndim == 0:
        return mul(input, other)
    if input.array.shape[-1] != other.array.shape[-1]:
        raise ShapeError(f"inner: the last axes of {input.array.shape} and {other.array.shape} must be equal")
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Any, vec2: Any) -> Any:
    """z[i, j] = input[i] vec2[j]."""
    _require("outer", input, 1, vec2, 1)
    return mul(unsqueeze(input, 1), vec2)


def ger(input: Any, vec2: Any) -> Any:
    """The older name of outer."""
    return outer(input, vec2)


def vecdot(x: Any, y: Any, dim: int = -1) -> Any:
    """Dot products along an axis; the others broadcast."""
    require_tensors("vecdot", x, y)
    x, y = operands(x, y)
    axis = normalise_axis("vecdot", dim, max(x.array.ndim, y.array.ndim))
    shape = broadcast_shape("vecdot", x.array.shape, y.array.shape)
    if not shape:
        raise ShapeError("vecdot: both operands need at least one axis; multiply numbers with *")
    last = len(shape) - 1
    if axis != last:
        x, y = (transpose(expand(z, shape), axis, last) for z in (x, y))
    product = sum(mul(x, y), -1)
    if axis == last:
        return product
    # The last axis stands where `axis` was: bring it back to the end.
    order = [i for i in range(last) if i != axis]
    return permute(product, [*order[:axis], *order[axis:], axis]) if axis < last else product


# -- beta input + alpha product ------------------------------------------------------------------------------------------


def _accumulate(op: str, input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta input + alpha product; with beta = 0 the input is not looked at, so that its NaN does not spread."""
    require_tensors(op, input)
    _same_dtype(op, input, product)
    shape, wanted = input.array.shape, product.array.shape
    if broadcast_shape(op, shape, wanted) != wanted:
        raise ShapeError(f"{op}: the input {shape} cannot be stretched to the shape {wanted} of the product")
    if product.array.dtype.kind in "iu" and any(isinstance(factor, float) for factor in (beta, alpha)):
        raise DTypeError(f"{op}: beta and alpha must be integers for tensors of {product.array.dtype}, got {beta} and "
                         f"{alpha}")
    if alpha != 1:
        product = mul(product, alpha)
    if beta == 0:
        return product
    return add(input if beta == 1 else mul(input, beta), product)


def addmm(input: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha mat1 @ mat2."""
    _require("addmm", mat1, 2, mat2, 2)
    return _accumulate("addmm", input, _product("addmm", mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha mat @ vec."""
    _require("addmv", mat, 2, vec, 1)
    return _accumulate("addmv", input, _product("addmv", mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha (outer product of vec1 and vec2)."""
    _require("addr", vec1, 1, vec2, 1)
    _same_dtype("addr", vec1, vec2)
    return _accumulate("addr", input, outer(vec1, vec2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha (sum over the batch of batch1 @ batch2).

    The sum over batch and inner axis is one product of (n, b k) and (b k, m)."""
    _require("addbmm", batch1, 3, batch2, 3)
    (b, n, k), (_, _, m) = batch1.array.shape, batch2.array.shape
    if batch1.array.shape[::2] != batch2.array.shape[:2]:
        _product("addbmm", batch1, batch2)  # says what does not fit
    wide = reshape(transpose(batch1, 0, 1), (n, b * k))
    return _accumulate("addbmm", input, _product("addbmm", wide, reshape(batch2, (b * k, m))), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta input + alpha batch1 @ batch2, for stacks of matrices."""
    _require("baddbmm", batch1, 3, batch2, 3)
    return _accumulate("baddbmm", input, _product("baddbmm", batch1, batch2), beta, alpha)


# -- contractions --------------------------------------------------------------------------------------------------------


def _contract(x: Any, of_x: list[Any], y: Any, of_y: list[Any], kept: set[Any]) -> tuple[Any, list[Any]]:
    """Product of two tensors whose axes have labels, summed over the labels that are not `kept`; (result, its labels).

    Common labels that are kept are a batch, common ones that are not are summed in a matrix product:
    x (batch, left, summed) @ y (batch, summed, right)."""
    x, of_x = _sum_out(x, of_x, kept | set(of_y))
    y, of_y = _sum_out(y, of_y, kept | set(of_x))
    x, y = operands(x, y)  # where only one was summed, small integers have become int64
    common = [label for label in of_x if label in of_y]
    batch = [label for label in common if label in kept]
    summed = [label for label in common if label not in kept]
    left = [label for label in of_x if label not in common]
    right = [label for label in of_y if label not in common]
    a, b = dict(zip(of_x, x.array.shape, strict=True)), dict(zip(of_y, y.array.shape, strict=True))
    for label in summed:  # an axis of size 1 meets a longer one: sum of a[0] b[j] = a[0] * sum of b[j]
        if a[label] != b[label]:
            if a[label] == 1:
                y, b[label] = sum(y, of_y.index(label), True, y.array.dtype), 1
            else:
                x, a[label] = sum(x, of_x.index(label), True, x.array.dtype), 1
    sizes = [b[label] if a[label] == 1 else a[label] for label in batch]
    rows, columns = [a[label] for label in left], [b[label] for label in right]
    inside = [a[label] for label in summed]
    x = permute(x, [of_x.index(label) for label in batch + left + summed])
    y = permute(y, [of_y.index(label) for label in batch + summed + right])
    if not summed:
        x = reshape(x, (*x.array.shape, *[1] * len(right)))
        y = reshape(y, (*y.array.shape[:len(batch)], *[1] * len(left), *columns))
        return mul(x, y), batch + left + right
    x = expand(x, (*sizes, *rows, *inside))
    y = expand(y, (*sizes, *inside, *columns))
    n, k, m = math.prod(rows), math.prod(inside), math.prod(columns)
    count = (math.prod(sizes),) if batch else ()
    z = matmul(reshape(x, (*count, n, k)), reshape(y, (*count, k, m)))
    return reshape(z, (*sizes, *rows, *columns)), batch + left + right


def _sum_out(x: Any, labels: list[Any], kept: set[Any]) -> tuple[Any, list[Any]]:
    axes = tuple([axis for axis, label in enumerate(labels) if label not in kept])
    return (sum(x, axes), [label for label in labels if label in kept]) if axes else (x, labels)


def _diagonal(x: Any, labels: list[Any]) -> tuple[Any, list[Any]]:
    """The elements whose indices agree wherever a label is repeated: x[..., i, ..., i] -> [i, ...]."""
    for label in dict.fromkeys(labels):
        axes = [axis for axis, other in enumerate(labels) if other == label]
        if len(axes) > 1:
            others = [axis for axis in range(len(labels)) if axis not in axes]
            # One step along the diagonal is one along each of its axes together.
            index = np.arange(x.array.shape[axes[0]])
            x = getitem(permute(x, axes + others), (index,) * len(axes))
            labels = [label, *[labels[axis] for axis in others]]
    return x, labels


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products, named by the letters of the axes: einsum("bij,bjk->bik", x, y) is a product of matrices.

    A letter that the result does not name is summed; one repeated within an operand takes its diagonal; "..." stands for
    any further axes, which broadcast.  Without "->" the result has "..." and then the letters that occur once, in order of
    the alphabet.  The other form of the call has lists of integers for letters: einsum(x, [0, 1], y, [1, 2], [0, 2]).
    Operands are multiplied from left to right."""
    if isinstance(equation, str):
        tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else list(operands)
        terms, result = _parse(equation)
    else:
        given = [equation, *operands]
        result = list(given.pop()) if len(given) % 2 else None
        tensors, terms = given[::2], [list(term) for term in given[1::2]]
    if not tensors or len(terms) != len(tensors):
        raise ShapeError(f"einsum: {len(terms)} operands are named in the equation, {len(tensors)} are given")
    require_tensors("einsum", *tensors)
    for tensor in tensors[1:]:
        _same_dtype("einsum", tensors[0], tensor)
    named = [_labels(term, tensor, position) for position, (term, tensor) in enumerate(zip(terms, tensors, strict=True))]
    every = [label for labels in named for label in labels]
    dots = sorted({label for label in every if isinstance(label, _Dot)})
    if result is None:
        result = [*dots, *sorted(label for label in set(every) if every.count(label) == 1 and not isinstance(label, _Dot))]
    else:
        result = [label for part in result for label in (dots if part is Ellipsis else [part])]
    for label in result:
        if label not in every:
            raise ShapeError(f"einsum: the result names {label!r}, which no operand has")
        if result.count(label) > 1:
            raise ShapeError(f"einsum: the result names {label!r} twice")
    _check_sizes(tensors, named)
    x, labels = _diagonal(tensors[0], named[0])
    for position in range(1, len(tensors)):
        y, of_y = _diagonal(tensors[position], named[position])
        later = {label for others in named[position + 1:] for label in others}
        x, labels = _contract(x, labels, y, of_y, later | set(result))
    x, labels = _sum_out(x, labels, set(result))
    return permute(x, [labels.index(label) for label in result])


class _Dot(int):
    """An axis that "..." stands for, by its distance from the last of them."""

    def __repr__(self) -> str:
        return "..."


def _parse(equation: str) -> tuple[list[list[Any]], list[Any] | None]:
    """Labels of the operands, and of the result if it is given."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = [*left.split(","), *([right] if arrow else [])]
    lists: list[list[Any]] = []
    for part in parts:
        head, dots, tail = part.partition("...")
        letters = head + tail
        if not all("a" <= letter.lower() <= "z" for letter in letters):
            raise ShapeError(f"einsum: {part!r} in {equation!r} may have letters, and '...' once")
        lists.append([*head, *([Ellipsis] if dots else []), *tail])
    return (lists[:-1], lists[-1]) if arrow else (lists, None)


def _labels(term: list[Any], x: Any, position: int) -> list[Any]:
    """One label per axis, with the axes of "..." counted from the last."""
    extra = x.array.ndim - len(term) + term.count(Ellipsis)
    if extra < 0 or (extra and Ellipsis not in term):
        raise ShapeError(f"einsum: operand {position} of shape {x.array.shape} has {x.array.ndim} axes, the equation names "
                         f"{len(term) - term.count(Ellipsis)}")
    return [label for part in term for label in ([_Dot(-n) for n in range(extra, 0, -1)] if part is Ellipsis else [part])]


def _check_sizes(tensors: list[Any], named: list[list[Any]]) -> None:
    sizes: dict[Any, int] = {}
    for tensor, labels in zip(tensors, named, strict=True):
        for label in set(labels):
            own = {size for other, size in zip(labels, tensor.array.shape, strict=True) if other == label}
            if len(own) > 1:
                raise ShapeError(f"einsum: the label {label!r} is repeated within an operand of shape {tensor.array.shape}, "
                                 f"but its axes have the sizes {sorted(own)}")
        for label, size in zip(labels, tensor.array.shape, strict=True):
            if size != 1 and sizes.setdefault(label, size) != size:
                raise ShapeError(f"einsum: the axis {label!r} has size {sizes[label]} in one operand and {size} in another")


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over several axes: the last `dims` of a with the first of b, or the pairs of ([of a], [of b]).

    The result has the other axes of a, then those of b."""
    require_tensors("tensordot", a, b)
    _same_dtype("tensordot", a, b)
    if isinstance(dims, TensorBase):
        dims = dims.array.tolist()
    if isinstance(dims, int):
        if dims < 0 or dims > min(a.array.ndim, b.array.ndim):
            raise ShapeError(f"tensordot: dims = {dims}, but the operands have the shapes {a.array.shape} and "
                             f"{b.array.shape}")
        dims = (list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims)))
    if not isinstance(dims, tuple | list) or len(dims) != 2:
        raise OperandError(f"tensordot: dims must be a number of axes or two lists of them, got {described(dims)}")
    of_a, of_b = ([d] if isinstance(d, int) else integers("tensordot", "dims", d) for d in dims)
    if len(of_a) != len(of_b):
        raise ShapeError(f"tensordot: {len(of_a)} axes of a and {len(of_b)} of b are named; the numbers must be equal")
    first = [normalise_axis("tensordot", d, a.array.ndim) for d in of_a]
    second = [normalise_axis("tensordot", d, b.array.ndim) for d in of_b]
    if len(set(first)) < len(first) or len(set(second)) < len(second):
        raise ShapeError(f"tensordot: dims {dims} name an axis twice")
    labels = list(range(a.array.ndim)), list(range(a.array.ndim, a.array.ndim + b.array.ndim))
    for i, j in zip(first, second, strict=True):
        if a.array.shape[i] != b.array.shape[j] and 1 not in (a.array.shape[i], b.array.shape[j]):
            raise ShapeError(f"tensordot: axis {i} of {a.array.shape} and axis {j} of {b.array.shape} must have equal sizes")
        labels[1][j] = labels[0][i]
    kept = {*labels[0], *labels[1]} - {labels[0][i] for i in first}
    return _contract(a, labels[0], b, labels[1], kept)[0]


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y[..., o] = sum over i, j of input1[..., i] weight[o, i, j] input2[..., j] + bias[o]."""
    require_tensors("bilinear", input1, input2, weight, bias=bias)
    x, y, w = input1.array.shape, input2.array.shape, weight.array.shape
    if len(w) != 3 or not x or not y or x[:-1] != y[:-1] or (x[-1], y[-1]) != w[1:]:
        raise ShapeError(f"bilinear: input1 {x} and input2 {y} must agree in all axes but the last, and the weight {w} must "
                         "be (out_features, features of input1, features of input2)")
    if bias is not None and bias.array.shape != w[:1]:
        raise ShapeError(f"bilinear: the bias has shape {bias.array.shape}, the weight {w} needs {w[:1]}")
    z = einsum("...i,oij,...j->...o", input1, weight, input2)
    return z if bias is None else add(z, bias)


def kron(input: Any, other: Any) -> Any:
    """Kronecker product: every element of input times the whole of other, block by block."""
    require_tensors("kron", input, other)
    ndim = max(input.array.ndim, other.array.ndim)
    a, b = ((1,) * (ndim - x.array.ndim) + x.array.shape for x in (input, other))
    blocks = mul(reshape(input, [n for size in a for n in (size, 1)]), reshape(other, [n for size in b for n in (1, size)]))
    return reshape(blocks, [n * m for n, m in zip(a, b, strict=True)])


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Vector product along an axis of size 3; without `dim` the first such axis.  Other axes broadcast."""
    require_tensors("cross", input, other)
    if dim is None:
        shape = broadcast_shape("cross", input.array.shape, other.array.shape)
        dim = next((axis for axis, size in enumerate(shape) if size == 3), None)
        if dim is None:
            raise ShapeError(f"cross: no axis of {shape} has size 3")
    return linalg_cross(input, other, dim=dim)


def linalg_cross(input: Any, other: Any, dim: int = -1) -> Any:
    """Vector product along an axis of size 3: z = (x1 y2 - x2 y1, x2 y0 - x0 y2, x0 y1 - x1 y0)."""
    require_tensors("cross", input, other)
    x, y = operands(input, other)
    if x.array.ndim != y.array.ndim:
        raise ShapeError(f"cross: {x.array.shape} and {y.array.shape} must have the same number of axes")
    broadcast_shape("cross", x.array.shape, y.array.shape)
    axis = normalise_axis("cross", dim, x.array.ndim)
    if any(z.array.ndim == 0 or z.array.shape[axis] != 3 for z in (x, y)):
        raise ShapeError(f"cross: axis {dim} of {x.array.shape} and of {y.array.shape} must have size 3")

    def turned(z: Any, *order: int) -> Any:
        return getitem(z, (slice(None),) * axis + (np.array(order),))

    return sub(mul(turned(x, 1, 2, 0), turned(y, 2, 0, 1)), mul(turned(x, 2, 0, 1), turned(y, 1, 2, 0)))


# -- many matrices, powers, functions of matrices ------------------------------------------------------------------------


def multi_dot(tensors: Sequence[Any]) -> Any:
    """Product of a chain of matrices, in the order of the fewest multiplications; the ends may be vectors.

    Cormen et al., "Introduction to algorithms", matrix-chain multiplication."""
    if not isinstance(tensors, tuple | list):
        raise OperandError(f"multi_dot: expected a list of tensors, got {described(tensors)}; write multi_dot([x, y])")
    chain = list(tensors)
    if len(chain) < 2:
        raise ShapeError(f"multi_dot: needs at least two tensors, got {len(chain)}")
    require_tensors("multi_dot", *chain)
    row, column = chain[0].array.ndim == 1, chain[-1].array.ndim == 1
    if row:
        chain[0] = unsqueeze(chain[0], 0)
    if column:
        chain[-1] = unsqueeze(chain[-1], 1)
    for position, matrix in enumerate(chain):
        if matrix.array.ndim != 2:
            raise ShapeError(f"multi_dot: tensor {position} has shape {tensors[position].array.shape}; all must be matrices, "
                             "but the first and the last may be vectors")
    z = _multiply_chain(chain)
    return reshape(z, z.array.shape[int(row):2 - int(column)])


def _multiply_chain(chain: list[Any]) -> Any:
    n = len(chain)
    sizes = [chain[0].array.shape[0], *[matrix.array.shape[1] for matrix in chain]]
    cost = [[0] * n for _ in range(n)]  # of the product of the matrices i..j
    cut = [[0] * n for _ in range(n)]  # where that product is best divided
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (cost[i][s] + cost[s + 1][j] + sizes[i] * sizes[s + 1] * sizes[j + 1], s) for s in range(i, j))

    def product(i: int, j: int) -> Any:
        return chain[i] if i == j else _product("multi_dot", product(i, cut[i][j]), product(cut[i][j] + 1, j))

    return product(0, n - 1)


def chain_matmul(*matrices: Any) -> Any:
    """Product of a chain of matrices, in the order of the fewest multiplications."""
    require_tensors("chain_matmul", *matrices)
    for matrix in matrices:
        _require("chain_matmul", matrix, 2)
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def matrix_power(input: Any, n: int) -> Any:
    """A multiplied by itself n times, in about log2 n products; the identity for n = 0, powers of the inverse for n < 0."""
    require_tensors("matrix_power", input)
    n = integer("matrix_power", "n", n)
    whole = input.array.dtype.kind in "iu" and n >= 0  # integers have products, but no inverse
    require_matrices("matrix_power", cast(input, float64) if whole else input, square=True)
    if n < 0:
        from tinygrad_course.ops.solve import inv

        return matrix_power(inv(input), -n)
    if n == 0:
        one = new_tensor(np.eye(input.array.shape[-1], dtype=input.array.dtype))
        return where(new_tensor(np.zeros((1, 1), bool)), input, one)  # a constant that belongs to the graph, as in PyTorch
    result, square = None, input
    while True:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        if n == 0:
            return mul(result, 1) if result is input else result
        square = matmul(square, square)


def matrix_exp(input: Any) -> Any:
    """e^A = 1 + A + A^2 / 2 + ... of square matrices."""
    require_matrices("matrix_exp", input, square=True)
    return apply(MatrixExp, (input,))


def linalg_vander(x: Any, N: int | None = None) -> Any:
    """Vandermonde matrices: the powers 0 to N - 1 of every element along a new last axis; N is the size of the last axis."""
    require_tensors("vander", x)
    if x.array.ndim == 0:
        x = reshape(x, (1,))
    count = x.array.shape[-1] if N is None else integer("vander", "N", N)
    if count <= 1:
        raise ShapeError(f"vander: N, without it the size of the last axis, must be greater than 1, got {count}")
    return _powers(x, count)


def _powers(x: Any, count: int) -> Any:
    x = x if is_floating(x) else cast(x, int64)
    powers = [ones_like(x)]
    for _ in range(count - 1):
        powers.append(mul(powers[-1], x))
    return stack(powers, -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The matrix of the powers of a vector's elements, the highest first unless `increasing`."""
    _require("vander", x, 1)
    count = x.array.shape[0] if N is None else integer("vander", "N", N)
    if count < 0:
        raise ShapeError(f"vander: N must not be negative, got {N}")
    powers = _powers(x, max(count, 2))  # at least two, so that the result belongs to the graph
    return getitem(powers, (slice(None), slice(count) if increasing else np.arange(count)[::-1].copy()))
