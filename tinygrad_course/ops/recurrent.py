"""Recurrent layers: RNN, LSTM and GRU, one layer and direction over a whole sequence, and the cells of one step.

A layer is one op, whose forward and backward are a kernel each.  Backward with create_graph computes the layer once more
with elementary ops and differentiates those, so that there are derivatives of every order.

The input is (T, batch, I), or the rows of a packed sequence, (rows, I) with `sizes`: how many sequences each step has.
"""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, new_tensor
from tinygrad_course.autograd.engine import grad
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.grad_mode import is_grad_enabled
from tinygrad_course.autograd.node import Node
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.activation import relu, sigmoid, tanh
from tinygrad_course.ops.arithmetic import add, mul, sub
from tinygrad_course.ops.cast import clone
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.join import cat, chunk
from tinygrad_course.ops.linalg import linear
from tinygrad_course.ops.shape import reshape, squeeze, unsqueeze

__all__ = [
    "gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell",
]

_GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
_NAMES = {"tanh": "rnn", "relu": "rnn", "lstm": "lstm", "gru": "gru"}


class Rnn(Op):
    """h(t) = tanh(W_ih x(t) + b_ih + W_hh h(t-1) + b_hh), or relu of it -> all h (T, batch, H), and the last one.

    Elman (1990), Finding structure in time, Cognitive Science 14."""

    name = "rnn"

    @staticmethod
    def shape(x: Shape, h: Shape, w_ih: Shape, w_hh: Shape, b_ih: Shape | None, b_hh: Shape | None, kind: str, sizes: Any,
              reverse: bool) -> tuple[Shape, Shape]:
        _check_shapes(kind, sizes, x, {"h": h}, w_ih, w_hh, b_ih, b_hh)
        return (*x[:-1], h[1]), h

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, kind: str, sizes: Any,
                reverse: bool) -> Any:
        return _forward(ctx, k, kind, sizes, reverse, x, h, None, w_ih, w_hh, b_ih, b_hh)[:2]

    @staticmethod
    def backward(ctx: Node, gy: Any, gh: Any) -> Any:
        gx, gh0, _, *weights, _ = _backward(ctx, gy, gh, None)
        return gx, gh0, *weights


class Gru(Op):
    """r, z = sigmoid(W x + b + U h + c) each, n = tanh(W_n x + b_n + r (U_n h + c_n)), h' = (1 - z) n + z h.

    Rows of the weights: r, z, n.  Results as of Rnn.  Cho et al. (2014), Learning phrase representations using RNN
    encoder-decoder, arXiv:1406.1078; r is applied after the product, as in cuDNN and PyTorch."""

    name = "gru"
    shape = staticmethod(Rnn.shape)
    forward = staticmethod(Rnn.forward)
    backward = staticmethod(Rnn.backward)


class Lstm(Op):
    """i, f, o = sigmoid(W x + b + U h + c) each, g = tanh(...), c' = f c + i g, h' = o tanh(c'), or w_hr times that.

    Rows of the weights: i, f, g, o  ->  all h (T, batch, H), the last h and the last c.  With w_hr (P, H) h has P numbers.
    Hochreiter and Schmidhuber (1997), Long short-term memory; with forget gates: Gers, Schmidhuber and Cummins (2000);
    with projections: Sak, Senior and Beaufays (2014), arXiv:1402.1128."""

    name = "lstm"

    @staticmethod
    def shape(x: Shape, h: Shape, c: Shape, w_ih: Shape, w_hh: Shape, b_ih: Shape | None, b_hh: Shape | None,
              w_hr: Shape | None, kind: str, sizes: Any, reverse: bool) -> tuple[Shape, Shape, Shape]:
        _check_shapes(kind, sizes, x, {"h": h, "c": c}, w_ih, w_hh, b_ih, b_hh, w_hr)
        return (*x[:-1], h[1]), h, c

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, kind: str,
                sizes: Any, reverse: bool) -> Any:
        return _forward(ctx, k, kind, sizes, reverse, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr)

    @staticmethod
    def backward(ctx: Node, gy: Any, gh: Any, gc: Any) -> Any:
        return _backward(ctx, gy, gh, gc)


def _forward(ctx: Node, k: Any, kind: str, sizes: Any, reverse: bool, x: Any, h: Any, c: Any, w_ih: Any,
             w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any = None) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    y, h_last, c_last, work = k.rnn_forward(rows, h, c, w_ih, w_hh, b_ih, b_hh, kind, _sizes(x, sizes), reverse, w_hr)
    y = y.reshape(*x.shape[:-1], y.shape[1])
    ctx.save_all((x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, y))
    ctx.constants = work  # what only the first derivative needs
    return y, h_last, c_last


def _backward(ctx: Node, gy: Any, gh: Any, gc: Any) -> tuple[Any, ...]:
    """Gradients of x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr; None for a c, biases or a projection that there are not."""
    kind, sizes, reverse = ctx.args
    saved, needs = list(ctx.saved), list(ctx.needs)
    y = saved.pop()
    if kind != "lstm":
        saved.insert(2, None)
        needs.insert(2, False)
        needs.append(False)
    w_hr = None if len(saved) % 2 else saved.pop()  # only what there is was saved: 5 values, 2 biases or none, and w_hr
    saved += [None] * (7 - len(saved)) + [w_hr]
    if is_grad_enabled():
        return _differentiable_backward(kind, sizes, reverse, saved, needs, (gy, gh, gc))
    arrays: list[Any] = [None if value is None else value.array for value in saved]
    x = arrays[0]
    rows, width = x.reshape(-1, x.shape[-1]), y.array.shape[-1]
    gs: list[Any] = [None if g is None else g.array for g in (gy, gh, gc)]
    if gs[0] is not None:
        gs[0] = gs[0].reshape(-1, width)
    k = backend.kernels_for(ctx.name, arrays)
    found = list(k.rnn_backward(rows, *arrays[1:5], y.array.reshape(-1, width), ctx.constants, *gs, kind, _sizes(x, sizes),
                                reverse, needs[0], needs[5] or needs[6], arrays[7]))
    if needs[0]:
        found[0] = found[0].reshape(x.shape)
    return tuple([new_tensor(g) if needed else None for g, needed in zip(found, needs, strict=True)])


def _differentiable_backward(kind: str, sizes: Any, reverse: bool, inputs: list[Any], needs: list[bool],
                             gs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients, made by elementary ops.

    Of clones: an input that depends on another one, or is passed twice, shall get only what comes through its own place."""
    own = [clone(value) if needed else value for value, needed in zip(inputs, needs, strict=True)]
    x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = own
    outputs = _steps_of_ops(kind, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse)
    pairs = [(y, g) for y, g in zip(outputs, gs, strict=True) if g is not None]
    wanted = [value for value, needed in zip(own, needs, strict=True) if needed]
    found = iter(grad([y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True))
    return tuple([next(found) if needed else None for needed in needs])


def _steps_of_ops(kind: str, x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, sizes: Any,
                  reverse: bool) -> tuple[Any, Any, Any]:
    """(y, last h, last c or None) of a layer, step by step.  w_hr (P, H) projects h of an lstm, as in Sak et al. (2014)."""
    op = _NAMES[kind]
    shape = x.array.shape
    rows = reshape(x, (-1, shape[-1]))
    from_x = linear(rows, w_ih, b_ih)
    outputs = []
    counts = _sizes(x.array, sizes).tolist()
    ends = np.cumsum(counts).tolist()
    order = list(zip(ends, counts, strict=True))
    for end, n in reversed(order) if reverse else order:
        everyone = n == h.array.shape[0]
        old_h = h if everyone else getitem(h, slice(0, n))
        s, sh = getitem(from_x, slice(end - n, end)), linear(old_h, w_hh, b_hh)
        if op == "lstm":
            old_c = c if everyone else getitem(c, slice(0, n))
            i, f, g, o = chunk(add(s, sh), 4, 1)
            new_c = add(mul(sigmoid(f), old_c), mul(sigmoid(i), tanh(g)))
            new = mul(sigmoid(o), tanh(new_c))
            if w_hr is not None:
                new = linear(new, w_hr)
            c = new_c if everyone else cat([new_c, getitem(c, slice(n, None))])
        elif op == "gru":
            (xr, xz, xn), (hr, hz, hn) = chunk(s, 3, 1), chunk(sh, 3, 1)
            n_gate = tanh(add(xn, mul(sigmoid(add(xr, hr)), hn)))
            new = add(n_gate, mul(sigmoid(add(xz, hz)), sub(old_h, n_gate)))
        else:
            new = (tanh if kind == "tanh" else relu)(add(s, sh))
        h = new if everyone else cat([new, getitem(h, slice(n, None))])
        outputs.append(new)
    y = cat(outputs[::-1] if reverse else outputs)
    return reshape(y, (*shape[:-1], y.array.shape[-1])), h, c


def layer(kind: str, x: Any, h: Any, c: Any, weights: tuple[Any, ...], sizes: Any = None,
          reverse: bool = False) -> tuple[Any, Any, Any]:
    """(y, last h, last c or None) of one layer in one direction; kind: 'tanh', 'relu', 'lstm' or 'gru'.

    weights: w_ih, w_hh, b_ih, b_hh (None for no bias) and for an lstm possibly w_hr."""
    op = _NAMES[kind]
    require_tensors(op, x, h, *weights[:2], c=c)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the input must be floating point, got {x.array.dtype}; use .float()")
    if op == "lstm":
        w_hr = weights[4] if len(weights) > 4 else None
        y, h, c = apply(Lstm, (x, h, c, *weights[:4], w_hr), (kind, sizes, reverse))
        return y, h, c
    y, h = apply(Gru if op == "gru" else Rnn, (x, h, *weights), (kind, sizes, reverse))
    return y, h, None


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh).  input (batch, I), hx (batch, H) -> (batch, H)"""
    return _cell("tanh", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh).  input (batch, I), hx (batch, H) -> (batch, H)"""
    return _cell("relu", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU.  input (batch, I), hx (batch, H) -> (batch, H)"""
    return _cell("gru", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


def lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """One step of an LSTM.  input (batch, I), hx = (h, c), both (batch, H) -> (h', c')"""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise TypeError("lstm_cell: hx must be the pair (h, c)")
    return _cell("lstm", input, hx[0], hx[1], (w_ih, w_hh, b_ih, b_hh))


def _cell(kind: str, x: Any, h: Any, c: Any, weights: tuple[Any, ...]) -> tuple[Any, Any]:
    """(h', c') of one step."""
    op = f"{kind}_cell" if kind in ("lstm", "gru") else f"rnn_{kind}_cell"
    require_tensors(op, x, h, c=c)
    if x.array.ndim != 2:
        raise ShapeError(f"{op}: the input must have 2 axes (batch, features), got shape {x.array.shape}; a single sample "
                         "gets a batch axis by unsqueeze(0)")
    y, _, c = layer(kind, unsqueeze(x, 0), h, c, weights)
    return squeeze(y, 0), c


def _sizes(x: Any, sizes: Any) -> Any:
    """Sequences per step."""
    return np.full(x.shape[0], x.shape[1], np.intp) if sizes is None else np.asarray(sizes, np.intp)


def _check_shapes(kind: str, sizes: Any, x: Shape, states: dict[str, Shape], w_ih: Shape, w_hh: Shape, b_ih: Shape | None,
                  b_hh: Shape | None, w_hr: Shape | None = None) -> None:
    op, gates = _NAMES[kind], _GATES[kind]
    if len(x) != (3 if sizes is None else 2):
        raise ShapeError(f"{op}: the input must be (time, batch, features), or (rows, features) of a packed sequence; got "
                         f"{x}")
    if w_hr is not None:
        if len(w_hr) != 2 or len(w_hh) != 2 or len(w_ih) != 2 or w_hh != (gates * w_hr[1], w_hr[0]) or w_ih[0] != w_hh[0]:
            raise ShapeError(f"{op}: with a projection the weights must be w_ih ({gates} H, features), w_hh ({gates} H, P) "
                             f"and w_hr (P, H), got {w_ih}, {w_hh} and {w_hr}")
    elif len(w_ih) != 2 or len(w_hh) != 2 or w_hh[0] != gates * w_hh[1] or w_ih[0] != w_hh[0]:
        raise ShapeError(f"{op}: the weights must be w_ih ({gates} H, features) and w_hh ({gates} H, H), got {w_ih} and "
                         f"{w_hh}")
    if x[-1] != w_ih[1]:
        raise ShapeError(f"{op}: the input {x} has {x[-1]} features, w_ih {w_ih} expects {w_ih[1]}")
    if sizes is None and not x[0]:
        raise ShapeError(f"{op}: the input {x} has no time step")
    batch, units = x[1] if sizes is None else int(sizes[0]), w_hh[0] // gates
    for name, state in states.items():
        size, letter = (units, "H") if name == "c" else (w_hh[1], "H" if w_hr is None else "P")
        if state != (batch, size):
            raise ShapeError(f"{op}: the initial {name} must be (batch, {letter}) = {(batch, size)}, got {state}")
    if (b_ih is None) != (b_hh is None):
        raise ShapeError(f"{op}: give both biases or none")
    for name, bias in (("b_ih", b_ih), ("b_hh", b_hh)):
        if bias is not None and bias != (w_hh[0],):
            raise ShapeError(f"{op}: {name} must be ({w_hh[0]},), got {bias}")
