"""Matrix products, convolutions and resampling as ONNX nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_course.errors import ExportError
from tinygrad_course.io.onnx.join import Call, VaryingError
from tinygrad_course.io.onnx.registry import writes
from tinygrad_course.ops.resize import linear_matrix, nearest_matrix


@writes("matmul")
def matmul(g: Any, call: Any, x: str, y: str) -> Any:
    """The last two axes; leading axes broadcast."""
    return g.node("MatMul", x, y)


@writes("linear")
def linear(g: Any, call: Any, x: str, w: str, b: str | None) -> Any:
    """x w^T + b: Gemm keeps the weight as it is, (out, in)."""
    return g.node("Gemm", x, w, b, transB=1)


@writes("conv2d")
def conv2d(g: Any, call: Any, x: str, w: str, b: str | None, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Conv."""
    return g.node("Conv", x, w, b, kernel_shape=call.inputs[1].a.shape[2:], strides=stride, pads=[*padding, *padding],
                  dilations=dilation, group=groups)


@writes("conv2d_input")
def conv2d_input(g: Any, call: Any, x: str, w: str, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """ConvTranspose.  Of the sizes that the convolution maps to the input's, output_padding picks that of `shape`."""
    kernel = call.inputs[1].a.shape[2:]
    found = []
    for source, target in ((call.inputs[0].a, call.outputs[0].a), (call.inputs[0].b, call.outputs[0].b)):
        found.append([m - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for m, n, s, p, d, k in
                      zip(target.shape[2:], source.shape[2:], stride, padding, dilation, kernel, strict=True)])
    if found[0] != found[1]:
        raise VaryingError("the output_padding of the transposed convolution depends on the size of the input")
    return g.node("ConvTranspose", x, w, kernel_shape=kernel, strides=stride, pads=[*padding, *padding], dilations=dilation,
                  output_padding=found[0], group=groups)


# ---- resampling ------------------------------------------------------------------------------------------------------


@writes("axis_product")
def axis_product(g: Any, call: Any, x: str, matrix: Any, axis: int) -> Any:
    """The product with a matrix along one axis: Resize where it is interpolation, Gather where it picks, else MatMul."""
    if not hasattr(matrix, "cols"):
        raise VaryingError("the matrix along a dynamic axis depends on its size")
    mode = _interpolation(call)
    if mode is not None:
        source, axes, sizes = _along_all_axes(call, mode)
        return _resize(g, g.value(source), axes, sizes, mode)
    dtype = call.inputs[0].dtype
    if matrix.weights is None and np.array_equal(np.sort(matrix.rows), np.arange(matrix.n_out)):
        return g.node("Gather", x, g.constant(matrix.cols[np.argsort(matrix.rows)], np.int64), axis=axis)
    dense = np.zeros((matrix.n_in, matrix.n_out), dtype)
    np.add.at(dense, (matrix.cols, matrix.rows), 1.0 if matrix.weights is None else matrix.weights)
    order = [*(i for i in range(call.inputs[0].a.ndim) if i != axis), axis]
    if order[-2:] == [axis - 1, axis]:
        return g.node("MatMul", x, g.constant(dense))
    y = g.node("MatMul", g.node("Transpose", x, perm=order), g.constant(dense))
    return g.node("Transpose", y, perm=np.argsort(order).tolist())


def _interpolation(call: Call) -> str | None:
    """'nearest', 'linear' or 'corners' if the matrix is that of an interpolation that ONNX computes with the same numbers.

    Nearest by a whole factor only: elsewhere ONNX leaves the rounding of the place to the runtime."""
    matrix, axis = call.args
    if not hasattr(matrix, "cols") or axis < 2:
        return None
    size, out = matrix.n_in, matrix.n_out
    if size == out or not size or not out:
        return None
    working = str(np.dtype(call.inputs[0].dtype)) if call.inputs[0] is not None else "float32"
    if out % size == 0 and _equal(matrix, nearest_matrix(size, out, None, False, working)):
        return "nearest"
    if _equal(matrix, linear_matrix(size, out, size / out, False)):
        return "linear"
    if out > 1 and _equal(matrix, linear_matrix(size, out, (size - 1) / (out - 1), True)):
        return "corners"
    return None


def _along_all_axes(call: Call, mode: str) -> tuple[Any, list[int], list[int]]:
    """The chain of products along several axes that ends with `call`: what goes in, the axes, the new sizes."""
    axes: dict[int, int] = {}
    while True:
        matrix, axis = call.args
        axes[axis] = matrix.n_out
        source = call.inputs[0]
        assert source is not None
        before = source.producer
        if before is None or before.op != "axis_product" or before.args[1] in axes or _interpolation(before) != mode:
            return source, sorted(axes), [axes[axis] for axis in sorted(axes)]
        call = before


def _resize(g: Any, x: str, axes: list[int], sizes: list[int], mode: str) -> Any:
    settings: dict[str, Any] = {
        "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        "linear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        "corners": {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    }[mode]
    return g.node("Resize", x, None, None, g.constant(sizes, np.int64), axes=axes, **settings)


def _equal(x: Any, y: Any) -> bool:
    return bool(x.rows.shape == y.rows.shape and np.array_equal(x.rows, y.rows) and np.array_equal(x.cols, y.cols)
                and (x.weights is None) == (y.weights is None)
                and (x.weights is None or np.allclose(x.weights, y.weights, rtol=0, atol=1e-12)))


# ---- recurrent layers ------------------------------------------------------------------------------------------------

_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}  # of the blocks: i f g o -> i o f c, and r z n -> z r h


@writes("rnn", "gru", "lstm")
def recurrent(g: Any, call: Any, x: str, h: str, *rest: Any) -> Any:
    """One layer in one direction.  ONNX orders the gates otherwise and adds an axis for the directions.

    The weights stay as they are in the state dict; nodes bring their blocks into ONNX's order."""
    c = rest[0] if call.op == "lstm" else None
    w_ih, w_hh, b_ih, b_hh, *projection, kind, sizes, reverse = rest[1:] if call.op == "lstm" else rest
    if sizes is not None:
        raise ExportError("packed sequences have no ONNX counterpart; export the model with padded sequences")
    if any(projection):
        return _projected(g, call.inputs[0].shape[0], x, h, c, w_ih, w_hh, b_ih, b_hh, projection[0], reverse)
    hidden = call.inputs[1].a.shape[1]
    order = _ORDER.get(call.op)
    front = g.constant([0], np.int64)

    def ready(name: str) -> str:
        if order is not None:
            blocks = g.node("Split", name, axis=0, outputs=len(order), num_outputs=len(order))
            name = g.node("Concat", *[blocks[place] for place in order], axis=0)
        return name

    biases = None
    if b_ih is not None:
        biases = g.node("Unsqueeze", g.node("Concat", ready(b_ih), ready(b_hh), axis=0), front)
    weights = [g.node("Unsqueeze", ready(name), front) for name in (w_ih, w_hh)]
    states = [g.node("Unsqueeze", name, front) for name in (h, c) if name is not None]
    options: dict[str, Any] = {"hidden_size": hidden, "direction": "reverse" if reverse else "forward"}
    if call.op == "gru":
        options["linear_before_reset"] = 1
    if call.op == "rnn":
        options["activations"] = ["Relu" if kind == "relu" else "Tanh"]
    y, *last = g.node(call.op.upper(), x, *weights, biases, None, *states, outputs=2 + (c is not None), **options)
    second = g.constant([1], np.int64)
    return (g.node("Squeeze", y, second), *[g.node("Squeeze", state, front) for state in last])


def _projected(g: Any, steps: Any, x: str, h: str, c: Any, w_ih: str, w_hh: str, b_ih: Any, b_hh: Any, w_hr: str,
               reverse: bool) -> Any:
    """ONNX's LSTM cannot project: one step after the other.  The time axis of x stays, with the length 1, in h and c."""
    if not isinstance(steps, int):
        raise VaryingError("an LSTM with a projection is written step by step, for one number of steps")
    w_ih, w_hh, w_hr = [g.node("Transpose", name, perm=[1, 0]) for name in (w_ih, w_hh, w_hr)]
    from_x = g.node("MatMul", x, w_ih)
    for bias in (b_ih, b_hh):
        from_x = from_x if bias is None else g.node("Add", from_x, bias)
    parts = g.node("Split", from_x, axis=0, outputs=steps, num_outputs=steps) if steps > 1 else (from_x,)
    outputs = []
    for part in reversed(parts) if reverse else parts:
        gates = g.node("Add", part, g.node("MatMul", h, w_hh))
        i, f, cell, o = g.node("Split", gates, axis=2, outputs=4, num_outputs=4)
        i, f, o = [g.node("Sigmoid", gate) for gate in (i, f, o)]
        c = g.node("Add", g.node("Mul", f, c), g.node("Mul", i, g.node("Tanh", cell)))
        h = g.node("MatMul", g.node("Mul", o, g.node("Tanh", c)), w_hr)
        outputs.append(h)
    front = g.constant([0], np.int64)
    y = g.node("Concat", *(outputs[::-1] if reverse else outputs), axis=0)
    return y, g.node("Squeeze", h, front), g.node("Squeeze", c, front)
