"""Why a convolution or a matrix product runs as it does: the choice that the compiled kernels make, as text."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tinygrad_course.backend import cpu

Pair = int | Sequence[int]


class Explanation(str):
    """Text that shows itself as it is, also at the prompt."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _pair(value: Pair) -> tuple[int, int]:
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    first, second = value
    return int(first), int(second)


def explain_conv(x_shape: Sequence[int], w_shape: Sequence[int], stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
                 groups: int = 1, dtype: npt.DTypeLike = "float32") -> Explanation:
    """Which algorithm computes conv2d and its two gradients for these shapes, what each candidate would cost, and why.

    x_shape (N, C, H, W), w_shape (O, C/groups, kh, kw); stride, padding and dilation numbers or pairs, as for conv2d.
    Costs are estimates for this processor's instruction set: multiplications, bytes of memory traffic, and the cycles of
    one core that both take together.  The algorithm with the fewest cycles is used, whatever the number of threads; the
    estimates know nothing of AMX, through which only the algorithm "product" may go.
    Raises ValueError if the shapes do not fit.
    """
    kind, shapes = np.dtype(dtype), f"x {tuple(x_shape)}, w {tuple(w_shape)}"
    head = f"conv2d of {shapes}, stride {stride}, padding {padding}, dilation {dilation}, groups {groups}, {kind}"
    if not cpu.COMPILED or kind.char not in "fd":
        why = "no compiled kernels are installed" if not cpu.COMPILED else f"there are no compiled kernels for {kind}"
        return Explanation(f"{head}\n{why}: the NumPy body gathers columns and multiplies matrices")
    chosen = cpu.compiled_module("conv").costs(tuple(x_shape), tuple(w_shape), _pair(stride), _pair(padding), _pair(dilation),
                                               groups, kind.char == "d")
    lines = [f"{head}, instruction set {cpu.compiled_module('gemm').isa()}"]
    for function, title in (("conv2d", "forward"), ("conv2d_input", "input gradient"), ("conv2d_weight", "weight gradient")):
        algorithm, costs = chosen[function]
        can = {name: cost for name, cost in costs.items() if not cost["why_not"]}
        others = [cost["cycles"] for name, cost in can.items() if name != algorithm]
        why = (f"fewest cycles, {min(others) / can[algorithm]['cycles']:.1f} times less than the next" if others
               else "the only one that can")
        lines.append(f"{title}: {algorithm} ({why})")
        if algorithm == "product":
            sizes = _product_sizes(function, tuple(x_shape), tuple(w_shape))
            lines.append(f"    its matrix product goes through the {_product_kernel(*sizes, kind.char == 'd')}")
        for name, cost in sorted(can.items(), key=lambda item: float(item[1]["cycles"])):
            lines.append(f"    {name:14s} {cost['multiplications'] / 1e6:12.2f} M multiplications "
                         f"{cost['memory'] / 2**20:10.2f} MB {cost['cycles'] / 1e6:10.3f} M cycles")
        lines += [f"    {name:14s} cannot: {cost['why_not']}" for name, cost in costs.items() if cost["why_not"]]
    return Explanation("\n".join(lines))


def _product_sizes(function: str, x: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(m, n, k, terms) of the product that a convolution is: with a 1x1 kernel, or with one as large as the image."""
    (n, c, height, width), o = x, w[0]
    pixels, numbers = height * width, c * height * width
    if x[2:] == w[2:]:
        sizes = {"conv2d": (n, o, numbers, 1), "conv2d_input": (n, numbers, o, 1), "conv2d_weight": (o, numbers, n, 1)}
    else:
        sizes = {"conv2d": (o, n * pixels, c, 1), "conv2d_input": (c, n * pixels, o, 1), "conv2d_weight": (o, c, pixels, n)}
    return sizes[function]


def _product_kernel(m: int, n: int, k: int, terms: int, double_precision: bool) -> str:
    """The kernel that adds up `terms` products of (m, k) by (k, n), and why."""
    gemm = cpu.compiled_module("gemm")
    if gemm.choice(m, n, k, double_precision, terms) == "amx":
        return f"tiles of AMX{', emulated' if gemm.amx()[0] == 'emulated' else ''}"
    return f"register tile ({_why_not_amx(double_precision)})"


def _why_not_amx(double_precision: bool) -> str:
    state, reason = cpu.compiled_module("gemm").amx()
    if double_precision:
        return "AMX has no float64"
    return f"AMX is off: {reason}" if state == "off" else "too small for AMX: packing would cost more than it gains"


def explain_matmul(x_shape: Sequence[int], y_shape: Sequence[int], dtype: npt.DTypeLike = "float32") -> Explanation:
    """Which kernel computes x @ y for these shapes, and why: the register tile, or Intel AMX (large float32 products only).

    x_shape (..., n, k), y_shape (..., k, m), contiguous; for a linear layer (n, in_features) and (in_features, out_features).
    The choice depends on the shape, the processor and set_float32_matmul_precision, whatever the number of threads.
    Raises ValueError if the shapes do not fit.
    """
    kind, x, y = np.dtype(dtype), tuple(x_shape), tuple(y_shape)
    if len(x) < 2 or len(y) < 2 or x[-1] != y[-2]:
        raise ValueError(f"explain_matmul: x {x} and y {y} must be (..., n, k) and (..., k, m)")
    batch = np.broadcast_shapes(x[:-2], y[:-2])
    head = f"matmul of x {x}, y {y}, {kind}"
    if not cpu.COMPILED or kind.char not in "fd":
        why = "no compiled kernels are installed" if not cpu.COMPILED else f"there are no compiled kernels for {kind}"
        return Explanation(f"{head}\n{why}: NumPy multiplies")
    gemm = cpu.compiled_module("gemm")
    rows = x[-2] if any(n > 1 for n in y[:-2]) else x[-2] * math.prod(batch)  # one y for all: one product
    lines = [f"{head}, instruction set {gemm.isa()}"]
    if gemm.choice(rows, y[-1], x[-1], kind.char == "d") == "amx":
        how = ("three terms of bf16, six products, precision of float32" if gemm.terms() == 3
               else "two terms of bf16, three products")
        lines.append(f"AMX{', emulated' if gemm.amx()[0] == 'emulated' else ''}: every number as {how}")
    else:
        height, width, _ = gemm.tile()
        lines.append(f"register tile of {height} x {width * 4 // kind.itemsize} numbers ({_why_not_amx(kind.char == 'd')})")
    return Explanation("\n".join(lines))
