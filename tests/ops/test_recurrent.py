"""ops/recurrent.py: RNN, LSTM and GRU over sequences, and the cells of one step."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tests.ops.battery import Battery, Case, Error, S
from tinygrad_course import ops
from tinygrad_course.autograd import grad
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.recurrent import layer

Array = np.ndarray
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def cell(
    kind: str, x: Array, h: Array, c: Any, w: Array, u: Array, b: Any, d: Any, r: Any = None
) -> tuple[Array, Any]:
    """One step, as the formulas of torch.nn say it."""
    s, sh = x @ w.T + (0 if b is None else b), h @ u.T + (0 if d is None else d)
    n = u.shape[0] // GATES[kind]
    s, sh = ([v[:, g * n : (g + 1) * n] for g in range(GATES[kind])] for v in (s, sh))
    if kind == "lstm":
        i, f, g, o = (a + b for a, b in zip(s, sh, strict=True))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h if r is None else h @ r.T, c
    if kind == "gru":
        r, z = sigmoid(s[0] + sh[0]), sigmoid(s[1] + sh[1])
        return (1 - z) * np.tanh(s[2] + r * sh[2]) + z * h, None
    return (np.tanh if kind == "tanh" else lambda v: np.maximum(v, 0))(s[0] + sh[0]), None


def sequence(kind: str, x: Array, h: Array, c: Any, *weights: Any, sizes: Any = None, reverse: bool = False) -> Any:
    """Sequence by sequence: no batches that shrink."""
    flat = x.reshape(-1, x.shape[-1])
    sizes = [x.shape[1]] * x.shape[0] if sizes is None else sizes
    first = np.cumsum([0, *sizes])
    y, last, last_c = np.empty((len(flat), h.shape[1])), h.copy(), None if c is None else c.copy()
    for b in range(len(h)):
        steps = [t for t, n in enumerate(sizes) if n > b]
        state, memory = h[b : b + 1], None if c is None else c[b : b + 1]
        for t in reversed(steps) if reverse else steps:
            row = first[t] + b
            state, memory = cell(kind, flat[row : row + 1], state, memory, *weights)
            y[row] = state[0]
        last[b] = state[0]
        if c is not None:
            last_c[b] = memory[0]
    y = y.reshape(*x.shape[:-1], -1)
    return (y, last) if c is None else (y, last, last_c)


def call(kind: str, x: Any, h: Any, *rest: Any, **how: Any) -> Any:
    c, weights = (rest[0], rest[1:]) if kind == "lstm" else (None, rest)
    return tuple(value for value in layer(kind, x, h, c, weights, **how) if value is not None)


def oracle(kind: str, x: Array, h: Array, *rest: Any, **how: Any) -> Any:
    c, weights = (rest[0], rest[1:]) if kind == "lstm" else (None, rest)
    return sequence(kind, x, h, c, *weights, **how)


def samples(kind: str) -> tuple[Any, ...]:
    """Small ones: every number is moved four times.  Inputs (T, B, I), states (B, H)."""
    g, out = GATES[kind], []
    for x, batch, n, bias, how in (
        ((2, 2, 3), 2, 2, True, {}),
        ((3, 1, 1), 1, 1, True, {"reverse": True}),
        ((1, 2, 2), 2, 3, False, {}),
        ((6, 2), 3, 2, True, {"sizes": (3, 2, 1)}),
        ((5, 2), 3, 2, True, {"sizes": (3, 1, 1), "reverse": True}),
    ):
        states = ((batch, n),) * (2 if kind == "lstm" else 1)
        biases = ((g * n,), (g * n,)) if bias else (None, None)
        out.append(S(x, *states, (g * n, x[-1]), (g * n, n), *biases, note=f"{x}{how}", **how))
    return (*out, *projected()) if kind == "lstm" else tuple(out)


def projected() -> tuple[Any, ...]:
    """An LSTM of 3 units whose h has 2 numbers."""
    return tuple(
        S(x, (batch, 2), (batch, 3), (12, x[-1]), (12, 2), *biases, (2, 3), note=f"projected {x}{how}", **how)
        for x, batch, biases, how in (
            ((2, 2, 2), 2, ((12,), (12,)), {}),
            ((4, 1), 2, (None, None), {"sizes": (2, 1, 1), "reverse": True}),
        )
    )


def large(kind: str) -> tuple[Any, ...]:
    """Weights that fit into a cache, and weights that are shared out."""
    g = GATES[kind]
    states = 2 if kind == "lstm" else 1
    more = (S((3, 9, 20), (9, 40), (9, 130), (520, 20), (520, 40), (520,), (520,), (40, 130), note="projected"),)
    return (more if kind == "lstm" else ()) + tuple(
        S((t, b, 20), *((b, n),) * states, (g * n, 20), (g * n, n), (g * n,), (g * n,), note=f"{n}")
        for t, b, n in ((6, 24, 130), (2, 5, 610))
    )


def torch_layer(kind: str) -> Any:
    """torch.rnn_tanh and the like; packed samples have their own test."""

    def run(x: Any, h: Any, *rest: Any, sizes: Any = None, reverse: bool = False) -> Any:
        torch = torch_or_skip()
        name = kind if kind in ("lstm", "gru") else f"rnn_{kind}"
        states, weights = rest[: kind == "lstm"], rest[kind == "lstm" :]
        hx = [v[None] for v in (h, *states)]
        flat = [w for w in weights if w is not None]
        biases = len(flat) >= 4
        if sizes is not None:
            x = torch.nn.utils.rnn.PackedSequence(x, torch.tensor(sizes))
        if reverse:  # one of two directions, the other one without meaning
            hx = [torch.cat([torch.zeros_like(v), v]) for v in hx]
            flat = [torch.zeros_like(w) for w in flat] + flat
        hx = tuple(hx) if kind == "lstm" else hx[0]
        if sizes is None:
            out = getattr(torch, name)(x, hx, flat, biases, 1, 0.0, False, reverse, False)
        else:
            out = getattr(torch, name)(x.data, x.batch_sizes, hx, flat, biases, 1, 0.0, False, reverse)
        n = h.shape[1]
        return (out[0][..., n:], *(v[1] for v in out[1:])) if reverse else (out[0], *(v[0] for v in out[1:]))

    return run


def mistakes(kind: str, op: str) -> tuple[Error, ...]:
    g = GATES[kind]

    def run(x: Any, h: Any, w: Any = (2 * g, 3), u: Any = (2 * g, 2), b: Any = (2 * g,), d: Any = (2 * g,)) -> Any:
        states = (tgc.ones(*h),) * (2 if kind == "lstm" else 1)
        return call(kind, tgc.ones(*x), *states, tgc.ones(*w), tgc.ones(*u), None if b is None else tgc.ones(*b),
                    None if d is None else tgc.ones(*d))

    return (
        Error(lambda: run((4, 2, 5), (2, 2)), ShapeError, rf"{op}.*\(4, 2, 5\) has 5 features.*expects 3"),
        Error(lambda: run((4, 2, 3), (1, 2)), ShapeError, rf"{op}.*initial h.*\(2, 2\), got \(1, 2\)"),
        Error(lambda: run((2, 3), (1, 2)), ShapeError, rf"{op}.*\(time, batch, features\)"),
        Error(lambda: run((0, 2, 3), (2, 2)), ShapeError, rf"{op}.*no time step"),
        Error(lambda: run((4, 2, 3), (2, 2), u=(2 * g, 3)), ShapeError, rf"{op}.*\({g} H, H\)"),
        Error(lambda: run((4, 2, 3), (2, 2), d=None), ShapeError, rf"{op}.*both biases or none"),
        Error(lambda: run((4, 2, 3), (2, 2), d=(3,)), ShapeError, rf"{op}.*b_hh must be \({2 * g},\), got \(3,\)"),
    )


def layer_case(kind: str, op: str) -> Case:
    return Case(
        op,
        lambda *inputs, **how: call(kind, *inputs, **how),
        lambda *inputs, **how: oracle(kind, *inputs, **how),
        samples(kind),
        threaded=large(kind),
        torch=torch_layer(kind),
        errors=mistakes(kind, op),
    )


def cell_case(kind: str, op: str) -> Case:
    g, function = GATES[kind], getattr(ops, op)
    lstm = kind == "lstm"

    def both(run: Any) -> Any:
        return lambda x, h, c, *weights: run(x, (h, c), *weights) if lstm else run(x, h, *weights)

    def exact(x: Array, h: Array, c: Any, *weights: Any) -> Any:
        h, c = cell(kind, x, h, c, *weights)
        return (h, c) if lstm else h

    def of_torch(*inputs: Any) -> Any:
        return both(getattr(torch_or_skip(), op))(*inputs)

    return Case(
        op,
        both(function),
        exact,
        tuple(
            S((b, 3), (b, n), (b, n) if lstm else None, (g * n, 3), (g * n, n), *biases)
            for b, n, biases in ((2, 2, ((2 * g,), (2 * g,))), (1, 3, (None, None)))
        ),
        torch=of_torch,
        errors=(
            Error(
                lambda: both(function)(*(tgc.ones(3),) * 3, tgc.ones(g, 3), tgc.ones(g, 1)),
                ShapeError,
                rf"{op}.*\(3,\).*unsqueeze\(0\)",
            ),
            Error(
                lambda: both(function)(
                    tgc.ones(1, 3).long(), tgc.ones(1, 1), tgc.ones(1, 1), tgc.ones(g, 3), tgc.ones(g, 1)
                ),
                DTypeError,
                r"int64; use \.float\(\)",
            ),
        ),
    )


CASES = (
    layer_case("tanh", "rnn"),
    layer_case("lstm", "lstm"),
    layer_case("gru", "gru"),
    cell_case("tanh", "rnn_tanh_cell"),
    cell_case("relu", "rnn_relu_cell"),
    cell_case("gru", "gru_cell"),
    cell_case("lstm", "lstm_cell"),
)


class TestBattery(Battery):
    """See battery.py."""


def relu_layer(*inputs: Any, **how: Any) -> Any:
    return call("relu", *inputs, **how)


def test_relu_layer() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((5, 3, 4), (3, 6), (6, 4), (6, 6), (6,), (6,))]
    ours = [tgc.tensor(a, requires_grad=True) for a in arrays]
    y, h = relu_layer(*ours)
    want = oracle("relu", *arrays)
    np.testing.assert_allclose(y.array, want[0], rtol=1e-12)
    np.testing.assert_allclose(h.array, want[1], rtol=1e-12)
    torch = torch_or_skip()
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    g = rng.standard_normal(y.shape)
    y.backward(tgc.tensor(g))
    torch_layer("relu")(*theirs)[0].backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_an_input_that_depends_on_another_keeps_its_own_second_derivative() -> None:
    """h comes from x, and the same tensor is both weights: nothing is counted twice."""
    rng = np.random.default_rng(1)
    a, w0 = rng.standard_normal((2, 3, 2)), rng.standard_normal((2, 2))
    torch = torch_or_skip()
    results = []
    for lib, run in ((tgc, lambda *v: call("tanh", *v)), (torch, torch_layer("tanh"))):
        x, w = (lib.tensor(v, requires_grad=True) for v in (a, w0))
        y = run(x, (x[0] * 2).tanh(), w, w, None, None)[0]
        first = (lib.autograd.grad if lib is torch else grad)((y * y).sum(), (x, w), create_graph=True)
        loss = (first[0] ** 2).sum() + (first[1] ** 3).sum()
        second = (lib.autograd.grad if lib is torch else grad)(loss, (x, w))
        results.append([v.detach().numpy() for v in (*first, *second)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_projections_that_do_not_fit_are_refused() -> None:
    def run(h: Any, w_hh: Any, w_hr: Any) -> Any:
        return layer("lstm", tgc.ones(4, 2, 3), tgc.ones(*h), tgc.ones(2, 5), (tgc.ones(20, 3), tgc.ones(*w_hh), None, None,
                                                                               tgc.ones(*w_hr)))

    with pytest.raises(ShapeError, match=r"w_hh \(4 H, P\) and w_hr \(P, H\), got \(20, 3\), \(20, 2\) and \(5, 2\)"):
        run((2, 2), (20, 2), (5, 2))
    with pytest.raises(ShapeError, match=r"initial h must be \(batch, P\) = \(2, 2\), got \(2, 5\)"):
        run((2, 5), (20, 2), (2, 5))


def test_an_output_that_was_changed_is_noticed() -> None:
    y, _ = call("tanh", *(tgc.ones(*s, requires_grad=True) for s in ((2, 1, 1), (1, 1), (1, 1), (1, 1))), None, None)
    total = (y * 1).sum()
    y += 1
    with pytest.raises(GraphError, match="rnn"):
        total.backward()
