"""RNN, GRU and LSTM nodes as ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course import ops
from tinygrad_course.io.onnx.registry import reads
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.ops.recurrent import layer

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # of the blocks: i o f c -> i f g o, and z r h -> r z n
_USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@reads("RNN", "GRU", "LSTM")
def recurrent(node: Any, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None, c: Any = None,
              peepholes: Any = None) -> Any:
    """One layer in one or both directions: Y (T, directions, batch, H), the last h and the last c."""
    kind, hidden = _check(node, lengths, peepholes, r)
    batch_first = bool(node.get("layout", 0))
    if batch_first:
        x = x.transpose(0, 1)
        h, c = [None if state is None else state.transpose(0, 1) for state in (h, c)]
    direction = node.get("direction", "forward")
    outputs, last_h, last_c = [], [], []
    for at, reverse in enumerate({"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]):
        zeros = from_numpy(np.zeros((x.shape[1], hidden), x.dtype))
        weights = [_blocks(node.kind, part[at]) for part in (w, r)]
        biases: list[Any] = [None, None]
        if b is not None:
            half = b.shape[1] // 2
            biases = [_blocks(node.kind, b[at, :half]), _blocks(node.kind, b[at, half:])]
        start = [zeros if state is None else state[at] for state in (h, c)]
        y, h_n, c_n = layer(kind, x, start[0], start[1] if node.kind == "LSTM" else None, (*weights, *biases), None, reverse)
        outputs.append(y)
        last_h.append(h_n)
        last_c.append(c_n)
    y = ops.stack(outputs, 1)
    states = [ops.stack(last_h), *([ops.stack(last_c)] if node.kind == "LSTM" else [])]
    if batch_first:
        y, states = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in states]
    return (y, *states)


def _blocks(kind: str, x: Any) -> Any:
    """The rows of the gates in this package's order."""
    order = _ORDER[kind]
    parts = ops.chunk(x, len(order), 0)
    return ops.cat([parts[place] for place in order]) if len(order) > 1 else x


def _check(node: Any, lengths: Any, peepholes: Any, r: Any) -> tuple[str, int]:
    """(kind for `layer`, hidden size), if the node asks for nothing unusual."""
    directions, hidden = r.shape[0], r.shape[2]
    usual = _USUAL[node.kind]
    given = node.get("activations", usual * directions)
    kind = {"LSTM": "lstm", "GRU": "gru", "RNN": "tanh"}[node.kind]
    if node.kind == "RNN" and {name.lower() for name in given} == {"relu"}:
        kind = "relu"
    elif [name.lower() for name in given] != [name.lower() for name in usual * directions]:
        raise node.refuse(f"the activations {given} are not supported, only {usual}")
    for what, asked in (("sequence_lens (sequences of different lengths)", lengths is not None),
                        ("peepholes", peepholes is not None), ("clip", "clip" in node.attributes),
                        ("input_forget=1", bool(node.get("input_forget", 0))),
                        ("linear_before_reset=0", node.kind == "GRU" and not node.get("linear_before_reset", 0))):
        if asked:
            raise node.refuse(f"{what} is not supported")
    return kind, hidden
