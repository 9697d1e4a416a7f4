"""Derivatives of whole functions, under the names of torch.autograd.functional.

For y = f(x) with Jacobian J = dy/dx, and H the Jacobian of the gradient of a scalar f:

    vjp       v^T J    one backward pass, whatever the number of inputs
    jvp       J v      forward, by the trick of differentiating twice: v -> v^T J is linear, so its own vjp is u -> J u
    jacobian  J        a vjp per output element, or ('forward-mode') a jvp per input element
    hessian   H        the Jacobian of the gradient
    vhp, hvp  v^T H, H v     without ever forming H (Pearlmutter 1994, "Fast exact multiplication by the Hessian")

`inputs` is a Tensor or a tuple of them, and so is what `func(*inputs)` returns; results are built alike.  An output that
does not depend on an input has the derivative 0, or raises with strict=True.  With create_graph=True the results can be
differentiated again, with respect to those inputs that require a gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend, ops
from tinygrad_course.autograd import enable_grad, grad
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.errors import DTypeError, GraphError, OperandError, ShapeError

__all__ = ["hessian", "hessian_diagonal", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_STRATEGIES = ("reverse-mode", "forward-mode")


@enable_grad()
def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v^T J).  `v` has the shape of the output; it may be left out for a single number."""
    xs, ys, whole = _run("vjp", func, inputs, create_graph, strict)
    vs = _vector("vjp", v, ys, "output")
    result = _pull(ys, xs, vs, create_graph)
    return whole.outputs(_leave(ys, create_graph)), whole.inputs(_filled("vjp", result, xs, strict, create_graph))


@enable_grad()
def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), J v).  `v` has the shape of the inputs; it may be left out for a single number."""
    xs, ys, whole = _run("jvp", func, inputs, create_graph, strict)
    vs = _vector("jvp", v, xs, "input")
    result = _Pushforward("jvp", ys, xs, strict)(vs, create_graph)
    return whole.outputs(_leave(ys, create_graph)), whole.outputs(_filled("jvp", result, ys, strict, create_graph, "output"))


@enable_grad()
def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """All derivatives of outputs y with respect to inputs x:  J[i..., j...] = d y[i...] / d x[j...].

    The result has the shape y.shape + x.shape; for tuples it is a tuple over outputs of tuples over inputs.
    'reverse-mode' takes a backward pass per element of y, 'forward-mode' one per element of x, which pays where outputs
    outnumber inputs.  `vectorize` is accepted for PyTorch's sake and changes nothing."""
    _check_strategy("jacobian", strategy)
    xs, ys, whole = _run("jacobian", func, inputs, create_graph, strict)
    blocks = (_by_rows if strategy == "reverse-mode" else _by_columns)(ys, xs, create_graph, strict)
    return whole.outputs([whole.inputs(row) for row in blocks])


@enable_grad()
def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """All second derivatives of a function with one value:  H[i..., j...] = d^2 y / (d x[i...] d x[j...]).

    The result has the shape x.shape + x.shape; for a tuple of inputs it is a tuple of tuples."""
    _check_strategy("hessian", outer_jacobian_strategy)
    _, alone = _tuple("hessian", inputs, "inputs")

    def gradient(*xs: Any) -> Any:
        y = _scalar("hessian", func(*xs), strict)
        firsts = _filled("hessian", _pull((y,), xs, (None,), True), xs, strict, True, recorded=True)
        return firsts[0] if alone else firsts

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


@enable_grad()
def hessian_diagonal(func: Callable[..., Any], inputs: Any) -> Any:
    """The second derivatives d^2 y / d x_i^2 of a function with one value, exactly; shaped like the inputs.

    One backward pass per element of the inputs, as for the whole Hessian, but the memory of a gradient."""
    xs, ys, whole = _run("hessian_diagonal", func, inputs, False, False)
    y = _scalar("hessian_diagonal", ys[0] if whole.single_output else ys, False)
    result = []
    for x, g in zip(xs, _pull((y,), xs, (None,), True), strict=True):
        diagonal = _zeros(x, x.array.shape)
        if g is not None and g.track:
            for index, v in zip(np.ndindex(*x.array.shape), _basis(x), strict=True):
                second = _pull((g,), (x,), (v,), False, keep=True)[0]
                if second is not None:
                    diagonal.array[index] = second.array[index]
        result.append(diagonal)
    return whole.inputs(result)


@enable_grad()
def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v^T H) for a function with one value: the gradient of <gradient, v>, two backward passes."""
    xs, y, firsts, whole = _gradient("vhp", func, inputs, create_graph, strict)
    vs = _vector("vhp", v, xs, "input")
    result = _pull(firsts, xs, vs, create_graph)
    return _leave((y,), create_graph)[0], whole.inputs(_filled("vhp", result, xs, strict, create_graph))


@enable_grad()
def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), H v) for a function with one value: the jvp of the gradient, three backward passes.

    H is symmetric wherever second derivatives are continuous, and vhp is then the same for two."""
    xs, y, firsts, whole = _gradient("hvp", func, inputs, create_graph, strict)
    vs = _vector("hvp", v, xs, "input")
    result = _Pushforward("hvp", firsts, xs, strict)(vs, create_graph)
    return _leave((y,), create_graph)[0], whole.inputs(_filled("hvp", result, xs, strict, create_graph))


# -- the two directions ------------------------------------------------------------------------------------------------


def _pull(ys: Sequence[Any], xs: Sequence[Any], vs: Sequence[Any], create_graph: bool, keep: bool = False) -> Sequence[Any]:
    """v^T J per input; None where no output depends on it."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y is not None and y.track]
    if not pairs:
        return [None] * len(xs)
    return grad([y for y, _ in pairs], list(xs), [v for _, v in pairs], keep or create_graph, create_graph,
                allow_unused=True)


class _Pushforward:
    """v -> J v.  The vjp u -> u^T J is recorded once, at u = 0, and pulled back for every v: its Jacobian is J^T."""

    def __init__(self, op: str, ys: Sequence[Any], xs: Sequence[Any], strict: bool) -> None:
        self.us = [_zeros(y, y.array.shape).requires_grad_() for y in ys]
        self.gs = _pull(ys, xs, self.us, True)
        if strict:
            for index, g in enumerate(self.gs):
                if g is None or not g.track:
                    raise _independent(op, f"input {index}")

    def __call__(self, vs: Sequence[Any], create_graph: bool, keep: bool = False) -> Sequence[Any]:
        return _pull(self.gs, self.us, vs, create_graph, keep)


def _by_rows(ys: Sequence[Any], xs: Sequence[Any], create_graph: bool, strict: bool) -> list[list[Any]]:
    """blocks[output][input], from a backward pass per output element."""
    blocks = []
    for y in ys:
        rows = [_filled("jacobian", _pull((y,), xs, (v,), create_graph, keep=True), xs, strict, create_graph)
                for v in _basis(y)]
        blocks.append([_joined([row[k] for row in rows], 0, y, x) for k, x in enumerate(xs)])
    return blocks


def _by_columns(ys: Sequence[Any], xs: Sequence[Any], create_graph: bool, strict: bool) -> list[list[Any]]:
    """blocks[output][input], from a backward pass through the vjp per input element."""
    push = _Pushforward("jacobian", ys, xs, strict)
    blocks: list[list[Any]] = [[] for _ in ys]
    for k, x in enumerate(xs):
        columns = []
        for v in _basis(x):
            vs = [v if other == k else None for other in range(len(xs))]
            one = [g if v is not None else None for g, v in zip(push.gs, vs, strict=True)]
            columns.append(_filled("jacobian", _pull(one, push.us, vs, create_graph, keep=True), ys, strict, create_graph,
                                   "output"))
        for number, y in enumerate(ys):
            blocks[number].append(_joined([column[number] for column in columns], -1, y, x))
    return blocks


def _basis(like: Any) -> Any:
    """The unit vectors of the shape of `like`, one after the other."""
    for index in np.ndindex(*like.array.shape):
        v = _zeros(like, like.array.shape)
        v.array[index] = 1
        yield v


def _joined(parts: list[Any], dim: int, y: Any, x: Any) -> Any:
    """The rows (dim 0) or columns (dim -1) of a Jacobian as one tensor of shape y.shape + x.shape."""
    shape = y.array.shape + x.array.shape
    return ops.reshape(ops.stack(parts, dim), shape) if parts else _zeros(x, shape)


# -- what goes in and what comes out -----------------------------------------------------------------------------------


class _Layout:
    """Whether inputs and outputs came as tuples, and how results are given back."""

    def __init__(self, single_input: bool, single_output: bool) -> None:
        self.single_input = single_input
        self.single_output = single_output

    def inputs(self, values: Sequence[Any]) -> Any:
        return values[0] if self.single_input else tuple(values)

    def outputs(self, values: Sequence[Any]) -> Any:
        return values[0] if self.single_output else tuple(values)


def _run(op: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool) -> tuple[Any, Any, _Layout]:
    """Inputs of their own, the outputs, and the layout of both."""
    given, single_input = _tuple(op, inputs, "inputs")
    if not callable(func):
        raise OperandError(f"{op}: func must be a function of the inputs, got {type(func).__name__}")
    for index, x in enumerate(given):
        if x.array.dtype.kind != "f":
            raise DTypeError(f"{op}: input {index} has dtype {x.array.dtype}, only floating point numbers have a derivative; "
                             "use x.float()")
    xs = tuple([ops.clone(x) if create_graph and x.track else x.detach().requires_grad_() for x in given])
    writes = [x._shared_version().count for x in xs]
    ys, single_output = _tuple(op, func(*xs), "outputs of func")
    if writes != [x._shared_version().count for x in xs]:
        raise GraphError(f"{op}: func wrote into its input, whose derivative is asked for; let it work on a copy, x.clone()")
    if strict:
        for index, y in enumerate(ys):
            if not y.track:
                raise GraphError(f"{op}: output {index} of func does not depend on the inputs in a differentiable way, which "
                                 "strict=True forbids")
    return xs, ys, _Layout(single_input, single_output)


def _gradient(op: str, func: Callable[..., Any], inputs: Any, create_graph: bool,
              strict: bool) -> tuple[Any, Any, Sequence[Any], _Layout]:
    """The value of a scalar function and its recorded gradient."""
    xs, ys, whole = _run(op, func, inputs, create_graph, strict)
    y = _scalar(op, ys[0] if whole.single_output else ys, strict)
    firsts = _pull((y,), xs, (None,), True)
    return xs, y, _filled(op, firsts, xs, strict, True, recorded=True), whole


def _tuple(op: str, value: Any, what: str) -> tuple[tuple[Any, ...], bool]:
    """As a tuple, and whether it was a single tensor."""
    if isinstance(value, TensorBase):
        return (value,), True
    if not isinstance(value, tuple) or not value:
        raise OperandError(f"{op}: the {what} must be a Tensor or a tuple of Tensors, got {type(value).__name__}")
    for index, item in enumerate(value):
        if not isinstance(item, TensorBase):
            raise OperandError(f"{op}: the {what} must be Tensors, number {index} is {type(item).__name__}")
    return value, False


def _scalar(op: str, y: Any, strict: bool) -> Any:
    """The one value of a function that is to be differentiated twice."""
    if not isinstance(y, TensorBase):
        raise OperandError(f"{op}: func must return a single Tensor, got {type(y).__name__}")
    if y.array.size != 1:
        raise ShapeError(f"{op}: func returned a tensor of shape {y.array.shape}; second derivatives are those of one "
                         "number, so reduce it with .sum() or .mean()")
    if strict and not y.track:
        raise GraphError(f"{op}: output 0 of func does not depend on the inputs in a differentiable way, which strict=True "
                         "forbids")
    return y


def _vector(op: str, v: Any, like: Sequence[Any], what: str) -> tuple[Any, ...]:
    """`v` as a tuple that fits `like`; None stands for the number 1."""
    if v is None:
        if len(like) != 1 or like[0].array.size != 1:
            shapes = ", ".join(str(x.array.shape) for x in like)
            raise GraphError(f"{op}: v may be left out only for a single {what} with one element; here the {what}s have the "
                             f"shapes {shapes}")
        one = _zeros(like[0], like[0].array.shape)
        one.array[...] = 1
        return (one,)
    vs, _ = _tuple(op, v, "v")
    if len(vs) != len(like):
        raise ShapeError(f"{op}: v has {len(vs)} tensors for {len(like)} {what}s")
    for index, (given, x) in enumerate(zip(vs, like, strict=True)):
        if given.array.shape != x.array.shape:
            raise ShapeError(f"{op}: v[{index}] has shape {given.array.shape}, but {what} {index} has {x.array.shape}")
    return vs


def _filled(op: str, found: Sequence[Any], like: Sequence[Any], strict: bool, create_graph: bool, what: str = "input",
            recorded: bool = False) -> tuple[Any, ...]:
    """Zeros where there is no dependence, or an error if `strict`; `recorded` results must depend on the inputs again."""
    result = []
    for index, (g, x) in enumerate(zip(found, like, strict=True)):
        if strict and (g is None or (create_graph and not g.track)):
            raise _independent(op, f"{what} {index}", again=g is not None or recorded)
        result.append(_zeros(x, x.array.shape) if g is None else g)
    return _leave(result, create_graph)


def _independent(op: str, what: str, again: bool = False) -> GraphError:
    subject = "the derivative of func" if again else "the output of func"
    return GraphError(f"{op}: {subject} does not depend on {what}, which strict=True forbids")


def _leave(values: Sequence[Any], create_graph: bool) -> tuple[Any, ...]:
    """Results leave the graph unless it was asked for."""
    return tuple(values) if create_graph else tuple([value.detach() for value in values])


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    return new_tensor(backend.array_module(like.array).zeros(shape, like.array.dtype))


def _check_strategy(op: str, strategy: str) -> None:
    if strategy not in _STRATEGIES:
        raise ValueError(f"{op}: the strategy is 'reverse-mode' or 'forward-mode', got {strategy!r}")
