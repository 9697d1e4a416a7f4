"""Recurrent layers in NumPy: one layer, one direction, a whole sequence.

The rows of x and y are the time steps one after the other; step t has sizes[t] rows, one per sequence that is still
running (sizes[0] is the batch, sizes decrease).  With H units the weights are w_ih (G H, I) and w_hh (G H, H), the gates
in PyTorch's order:

    tanh, relu  G = 1   h = tanh(s), relu(s)                                with s = W_ih x + b_ih + W_hh h + b_hh
    lstm        G = 4   i, f, o = sigmoid(s), g = tanh(s);  c = f c + i g;  h = o tanh(c)
    gru         G = 3   r, z = sigmoid(s), n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h = (1 - z) n + z h

An lstm may project: with w_hr (P, H), h = W_hr (o tanh(c)) has P numbers, and w_hh is (G H, P).

    Hochreiter and Schmidhuber (1997), Long short-term memory; with forget gates: Gers et al. (2000).
    Projections: Sak, Senior and Beaufays (2014), Long short-term memory based recurrent neural network architectures.
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder; Elman (1990), Finding structure in time.
"""

from typing import Any

import numpy as np

KERNELS: tuple[str, ...] = ("rnn_backward", "rnn_forward")

_GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _steps(sizes: Any, reverse: bool) -> list[tuple[slice, int]]:
    """(rows, number of sequences) per step, in the order in which the recurrence takes them."""
    ends = np.cumsum(sizes)
    steps = [(slice(int(end - size), int(end)), int(size)) for end, size in zip(ends, sizes, strict=True)]
    return steps[::-1] if reverse else steps


def rnn_forward(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, kind: str, sizes: Any,
                reverse: bool, w_hr: Any = None) -> tuple[Any, Any, Any, Any]:
    """(y, last h, last c or None, what backward needs) of one layer in one direction.

    x (rows, I), h0 and c0 (batch, H), biases (G H,) or None -> y (rows, H).  c0 is None except for lstm.  With a projection
    h0 is (batch, P) and y (rows, P)."""
    gates = _GATES[kind]
    units = w_hh.shape[0] // gates
    sx = x @ w_ih.T if b_ih is None else x @ w_ih.T + b_ih
    y = np.empty_like(x, shape=(x.shape[0], w_hh.shape[1]), order="C")
    work = np.empty_like(x, shape=(x.shape[0], {1: 1, 3: 4, 4: 6}[gates], units), order="C")
    h = h0.copy()
    c: Any = None if c0 is None else c0.copy()
    for rows, n in _steps(sizes, reverse):
        sh = h[:n] @ w_hh.T if b_hh is None else h[:n] @ w_hh.T + b_hh
        s, w = sx[rows].reshape(n, gates, units), work[rows]
        sh = sh.reshape(n, gates, units)
        if kind == "lstm":
            i, f, o = (_sigmoid(s[:, g] + sh[:, g]) for g in (0, 1, 3))
            g = np.tanh(s[:, 2] + sh[:, 2])
            c[:n] = f * c[:n] + i * g
            t = np.tanh(c[:n])
            h[:n] = o * t if w_hr is None else o * t @ w_hr.T
            for slot, value in enumerate((i, f, g, o, c[:n], t)):
                w[:, slot] = value
        elif kind == "gru":
            r, z = (_sigmoid(s[:, g] + sh[:, g]) for g in (0, 1))
            new = np.tanh(s[:, 2] + r * sh[:, 2])
            h[:n] = new + z * (h[:n] - new)
            for slot, value in enumerate((r, z, new, sh[:, 2])):
                w[:, slot] = value
        else:
            s = s + sh
            w[:] = np.tanh(s) if kind == "tanh" else np.maximum(s, 0)
            h[:n] = w[:, 0]
        y[rows] = h[:n]
    return y, h, c, work


def rnn_backward(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, y: Any, work: Any, gy: Any, gh: Any, gc: Any, kind: str,
                 sizes: Any, reverse: bool, wants_x: bool, wants_bias: bool,
                 w_hr: Any = None) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any]:
    """Gradients (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr) from those of y, last h and last c, any of which may be None."""
    gates = _GATES[kind]
    units = w_hh.shape[0] // gates
    gw_hr = None if w_hr is None else np.zeros_like(w_hr, order="C")
    dh = np.zeros_like(h0) if gh is None else gh.copy()
    dc: Any = None if c0 is None else np.zeros_like(c0) if gc is None else gc.copy()
    ds = np.empty_like(x, shape=(x.shape[0], gates, units), order="C")  # gradients of what the input adds to the gates
    dm = np.empty_like(ds)  # and of what h adds: another one in the n of a gru
    h_before = np.empty_like(y)
    steps = _steps(sizes, reverse)
    for number in range(len(steps) - 1, -1, -1):
        rows, n = steps[number]
        old, old_c = h0[:n].copy(), None if c0 is None else c0[:n].copy()
        if number:
            before, size = steps[number - 1]
            going = min(n, size)
            old[:going] = y[before][:going]
            if old_c is not None:
                old_c[:going] = work[before][:going, 4]
        h_before[rows] = old
        g, w = dh[:n] if gy is None else dh[:n] + gy[rows], work[rows]
        d = ds[rows]
        if kind == "lstm":
            i, f, new, o, _, t = (w[:, slot] for slot in range(6))
            if w_hr is not None:
                gw_hr += g.T @ (o * t)
                g = g @ w_hr
            q = dc[:n] + g * o * (1 - t * t)
            d[:, 0], d[:, 1] = q * new * i * (1 - i), q * old_c * f * (1 - f)
            d[:, 2], d[:, 3] = q * i * (1 - new * new), g * t * o * (1 - o)
            dc[:n] = q * f
            dm[rows] = d
            direct = 0
        elif kind == "gru":
            r, z, new, m = (w[:, slot] for slot in range(4))
            q = g * (1 - z) * (1 - new * new)
            d[:, 0], d[:, 1], d[:, 2] = q * m * r * (1 - r), g * (old - new) * z * (1 - z), q
            dm[rows] = d
            dm[rows, 2] = q * r
            direct = g * z
        else:
            d[:, 0] = g * (1 - w[:, 0] ** 2) if kind == "tanh" else np.where(w[:, 0] <= 0, 0, g)
            dm[rows] = d
            direct = 0
        dh[:n] = direct + dm[rows].reshape(n, gates * units) @ w_hh
    ds, dm = ds.reshape(-1, gates * units), dm.reshape(-1, gates * units)
    return (ds @ w_ih if wants_x else None, dh, dc, ds.T @ x, dm.T @ h_before, ds.sum(0) if wants_bias else None,
            dm.sum(0) if wants_bias else None, gw_hr)
