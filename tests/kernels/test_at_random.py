"""Every compiled kernel against its NumPy body in float64, on drawn shapes, strides, alignments and values.

Hypothesis draws sizes from 0 up, among them rows narrower than a vector, and lays the arrays out in every way that NumPy
allows: permuted axes, steps, reversed axes, axes of stride 0, addresses that are aligned to nothing.  Arrays end where their
memory ends, so that AddressSanitizer sees a read beyond.  A kernel without a problem here fails the suite.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_course import backend
from tinygrad_course.backend import cpu

pytestmark = pytest.mark.skipif(not backend.COMPILED, reason="built without compiled kernels")
FAMILIES = [family for family in cpu.FAMILIES if family not in cpu._REFERENCE_ONLY]
Draw = Callable[[Any], Any]
SIZES = st.one_of(st.integers(0, 5), st.integers(6, 20), st.sampled_from([31, 32, 33, 63, 65]))


# -- arrays ------------------------------------------------------------------------------------------------------------


def lay_out(draw: Draw, values: np.ndarray) -> np.ndarray:
    """The same values, somewhere in memory in some way."""
    kind = draw(st.sampled_from(["contiguous", "contiguous", "permuted", "stepped", "reversed", "misaligned", "odd address"]))
    if kind == "permuted" and values.ndim:
        order = draw(st.permutations(range(values.ndim)))
        return np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    if kind == "stepped" and values.ndim:
        axis = draw(st.integers(0, values.ndim - 1))
        return np.repeat(values, 2, axis=axis)[(slice(None),) * axis + (slice(None, None, 2),)]
    if kind == "reversed" and values.ndim:
        axis = draw(st.integers(0, values.ndim - 1))
        return np.flip(np.ascontiguousarray(np.flip(values, axis)), axis)
    shift = {"misaligned": values.itemsize, "odd address": 1}.get(kind, 0)
    memory = np.empty(values.nbytes + shift, np.uint8)
    placed = memory[shift:].view(values.dtype).reshape(values.shape)
    placed[...] = values
    return placed


def array(draw: Draw, shape: Any, dtype: Any, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return lay_out(draw, rng.uniform(low, high, shape).astype(dtype))


def shapes(most: int = 4, least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(SIZES, min_size=least, max_size=most).map(tuple).filter(lambda shape: np.prod(shape) < 20000)


def size(draw: Draw, low: int, high: int) -> int:
    return draw(st.integers(low, high))


def pair(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return size(draw, low, high), size(draw, low, high)


# -- problems: the arguments of a kernel -------------------------------------------------------------------------------


def one(low: float = -3.0, high: float = 3.0) -> Any:
    return lambda draw, dtype: (array(draw, draw(shapes()), dtype, low, high),)


def two(low: float = -3.0, high: float = 3.0) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        both = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=18)).input_shapes
        return tuple(array(draw, shape, dtype, low, high) for shape in both)
    return problem


def same(count: int, low: float = -3.0, high: float = 3.0) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        shape = draw(shapes())
        return tuple(array(draw, shape, dtype, low, high) for _ in range(count))
    return problem


def with_numbers(problem: Any, **ranges: tuple[float, float]) -> Any:
    """A problem followed by drawn numbers."""
    return lambda draw, dtype: (*problem(draw, dtype), *(draw(st.floats(*ends)) for ends in ranges.values()))


def piecewise(problem: Any) -> Any:
    lines = st.tuples(*[st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0.0, -1.0, 6.0]))] * 3)
    return lambda draw, dtype: (*problem(draw, dtype), -1.25, 2.5, draw(lines))


def where(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    a, b, c = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=12)).input_shapes
    return lay_out(draw, array(draw, a, dtype) > 0), array(draw, b, dtype), array(draw, c, dtype)


def reduction(least: int) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        x = array(draw, draw(shapes(least=least).filter(lambda shape: not least or min(shape, default=1) > 0)), dtype)
        axes = draw(st.sets(st.integers(0, x.ndim - 1))) if x.ndim else set()
        return x, tuple(sorted(axes)), draw(st.booleans())
    return problem


def truth(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, *rest = reduction(0)(draw, dtype)
    rounded = np.asarray(np.rint(x / draw(st.sampled_from([1.0, 6.0]))))  # some or most are 0
    return lay_out(draw, rounded != 0 if draw(st.booleans()) else rounded), *rest


def argmax(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x = array(draw, draw(shapes(least=1).filter(lambda shape: min(shape) > 0)), dtype)
    return x, size(draw, 0, x.ndim - 1), draw(st.booleans())


def sum_to(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x = array(draw, draw(shapes()), dtype)
    kept = [n if draw(st.booleans()) else 1 for n in x.shape]
    return x, tuple(kept[size(draw, 0, len(kept)) if all(n == 1 for n in kept) else 0:])


def indexed(extra: bool) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        x = array(draw, draw(shapes(3, 1).filter(lambda shape: min(shape) > 0)), dtype)
        dim = size(draw, 0, x.ndim - 1)
        shape = [size(draw, 0, 30) if axis == dim else size(draw, 0, n) for axis, n in enumerate(x.shape)]
        rng = np.random.default_rng(size(draw, 0, 2**32))
        index = lay_out(draw, rng.integers(0, x.shape[dim], shape))
        return (x, dim, index, array(draw, shape, dtype)) if extra else (x, dim, index)
    return problem


def one_hot(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    n = size(draw, 1, 40)
    return lay_out(draw, np.random.default_rng(size(draw, 0, 2**32)).integers(0, n, draw(shapes(2)))), n, dtype


def key_of(draw: Draw, shape: Any) -> Any:
    """A slice or an integer per axis."""
    return tuple(size(draw, 0, n - 1) if n and draw(st.booleans()) else draw(st.slices(n)) for n in shape)


def arrays_of(draw: Draw, shape: Any) -> Any:
    """Integer arrays side by side or a mask, with `:` before and maybe after."""
    first = size(draw, 0, len(shape) - 1)
    stop = size(draw, first + 1, len(shape))
    rng = np.random.default_rng(size(draw, 0, 2**32))
    key: tuple[Any, ...] = (lay_out(draw, rng.random(shape[first:stop]) < 0.5),)
    if draw(st.booleans()) and 0 not in shape[first:stop]:
        places = draw(shapes(2))
        key = tuple(lay_out(draw, rng.integers(-n, n, places[draw(st.integers(0, len(places))):])) for n in shape[first:stop])
    return (*[slice(None)] * first, *key, *[slice(None)] * (draw(st.booleans()) * (len(shape) - stop)))


def take_slice(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x = array(draw, draw(shapes(3, 1)), dtype)
    return x, draw(st.sampled_from([key_of, arrays_of]))(draw, x.shape)


def slice_adjoint(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    shape = draw(shapes(3, 1))
    key = draw(st.sampled_from([key_of, arrays_of]))(draw, shape)
    return array(draw, np.empty(shape)[key].shape, dtype), shape, key


def cat(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    shape = draw(shapes(4, 1))
    axis = size(draw, 0, len(shape) - 1)
    sizes = draw(st.lists(SIZES, min_size=1, max_size=4))
    return [array(draw, (*shape[:axis], n, *shape[axis + 1:]), dtype) for n in sizes], axis


def constant_pad(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x = array(draw, draw(shapes()), dtype)
    before = tuple([size(draw, -min(n, 2), 4) for n in x.shape])
    after = tuple([size(draw, -min(n + min(low, 0), 2), 4) for n, low in zip(x.shape, before, strict=True)])
    return x, before, after, draw(st.sampled_from([0, 1.5]))


def axis_product(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x = array(draw, draw(shapes(3, 1).filter(lambda shape: min(shape) > 0)), dtype)
    axis, rows = size(draw, 0, x.ndim - 1), size(draw, 1, 30)
    rng, layers = np.random.default_rng(size(draw, 0, 2**32)), []
    for _ in range(size(draw, 1, 3)):
        used = np.sort(rng.permutation(rows)[:size(draw, 0, rows)])
        weights = rng.uniform(-1, 1, len(used)) if draw(st.booleans()) else None
        layers.append((used, rng.integers(0, x.shape[axis], len(used)), weights))
    return x, axis, rows, tuple(layers)


def sampling(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    """Shape of x, a grid away from the places where rounding decides which pixel is meant, and the other arguments."""
    axes = size(draw, 2, 3)
    mode = draw(st.sampled_from(["nearest", "bilinear", "bicubic"] if axes == 2 else ["nearest", "bilinear"]))
    n, c = size(draw, 0, 3), size(draw, 0, 18)
    spatial = tuple(size(draw, 1, 20 if axes == 2 else 5) for _ in range(axes))
    places = tuple(size(draw, 0, 20 if axes == 2 else 5) for _ in range(axes))
    align = draw(st.booleans())
    rng, grid = np.random.default_rng(size(draw, 0, 2**32)), np.empty((n, *places, axes), dtype)
    for axis, pixels in enumerate(spatial):  # pixel numbers i + 0.1 to i + 0.4, inside and outside
        pixel = rng.integers(-2 * pixels - 2, 3 * pixels + 2, grid.shape[:-1]) + rng.uniform(0.1, 0.4, grid.shape[:-1])
        scale = max(pixels - 1, 1) if align else pixels
        grid[..., axes - 1 - axis] = (2 * pixel - (pixels - 1)) / scale
    orders = draw(st.sampled_from([(0, 0, 0), (1, 0, 0), (0, 1, 2)]))[:axes]
    padding = draw(st.sampled_from(["zeros", "border", "reflection"]))
    return (n, c, *spatial), lay_out(draw, grid), mode, padding, align, orders


def grid_sample(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, *rest = sampling(draw, dtype)
    return array(draw, x, dtype), *rest


def grid_sample_input(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, grid, *rest = sampling(draw, dtype)
    return array(draw, (*x[:2], *grid.shape[1:-1]), dtype, -0.3, 0.3), grid, x[2:], *rest


def grid_sample_grid(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, grid, *rest = sampling(draw, dtype)
    return array(draw, (*x[:2], *grid.shape[1:-1]), dtype), array(draw, x, dtype), grid, *rest


def warp(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    n, c, lines = size(draw, 0, 2), size(draw, 0, 5), size(draw, 2, 3)
    height, width, rows, columns = size(draw, 1, 20), size(draw, 1, 20), size(draw, 0, 12), draw(SIZES)
    across, down = (array(draw, (n, lines, count), "float64", -9, 25) for count in (columns, rows))
    across[:, 2:], down[:, 2:] = 0.4, 0.7
    offsets = array(draw, (n, 2, rows, columns), "float64") if draw(st.booleans()) else None
    return array(draw, (n, c, height, width), dtype), across, down, offsets, array(draw, (c,), dtype), draw(st.booleans())


def matmul(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    m, k, n = draw(SIZES), draw(SIZES), draw(SIZES)
    left, right = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    return array(draw, (*left, m, k), dtype), array(draw, (*right, k, n), dtype)


def linear(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    m, k, n = draw(SIZES), draw(SIZES), draw(SIZES)
    bias = array(draw, (n,), dtype) if draw(st.booleans()) else None
    return array(draw, (m, k), dtype), array(draw, (n, k), dtype), bias


def geometry(draw: Draw) -> tuple[Any, ...]:
    """Shapes of x, w, y and (stride, padding, dilation, groups) of a convolution with an output."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    per_group, out = draw(st.sampled_from([(1, 1), (1, 2), (3, 2), (2, 5), (9, 17)]))
    kernel = pair(draw, 1, 5) if draw(st.booleans()) else (3, 3)
    stride, padding, dilation = pair(draw, 1, 3), pair(draw, 0, 3), pair(draw, 1, 2)
    if draw(st.booleans()):
        stride = dilation = (1, 1)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    least = [max(1, r - 2 * p) for r, p in zip(reach, padding, strict=True)]
    h, w = (n + size(draw, 0, 20) for n in least)
    n = size(draw, 0, 3)
    oh, ow = ((s + 2 * p - r) // t + 1 for s, p, r, t in zip((h, w), padding, reach, stride, strict=True))
    return ((n, groups * per_group, h, w), (groups * out, per_group, *kernel), (n, groups * out, oh, ow),
            (stride, padding, dilation, groups))


def conv2d(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, w, _, rest = geometry(draw)
    return array(draw, x, dtype), array(draw, w, dtype), array(draw, w[:1], dtype) if draw(st.booleans()) else None, *rest


def conv2d_input(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, w, y, rest = geometry(draw)
    return array(draw, y, dtype), array(draw, w, dtype), x, *rest


def conv2d_weight(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, w, y, rest = geometry(draw)
    return array(draw, x, dtype), array(draw, y, dtype), w, *rest


def window(draw: Draw) -> tuple[Any, ...]:
    """Shape of an image, and kernel_size, stride, padding that fit."""
    kernel, stride = pair(draw, 1, 4), pair(draw, 1, 3)
    padding = tuple(size(draw, 0, k // 2) for k in kernel)
    shape = (size(draw, 0, 2), size(draw, 1, 4), *(k + size(draw, 0, 20) for k in kernel))
    return shape, kernel, stride, padding


def max_pool2d(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    shape, kernel, stride, padding = window(draw)
    return array(draw, shape, dtype), kernel, stride, padding, (1, 1), draw(st.booleans())


def max_pool2d_adjoint(forward: bool) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        x, *rest = max_pool2d(draw, dtype)
        y, index = cpu.reference_module("pool").max_pool2d(x, *rest)
        return (array(draw, x.shape, dtype), index) if forward else (array(draw, y.shape, dtype), index, x.shape)
    return problem


def avg_pool2d(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    shape, kernel, stride, padding = window(draw)
    divisor = draw(st.sampled_from([None, None, 3]))
    return array(draw, shape, dtype), kernel, stride, padding, draw(st.booleans()), draw(st.booleans()), divisor


def avg_pool2d_backward(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, *rest = avg_pool2d(draw, dtype)
    y = cpu.reference_module("pool").avg_pool2d(x, *rest)
    return array(draw, y.shape, dtype), x.shape, *rest


def along(count: int) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        shape = draw(shapes(3, 1).filter(lambda shape: min(shape) > 0))
        arrays = [array(draw, shape, dtype) for _ in range(count)]
        return *arrays, size(draw, 0, len(shape) - 1)
    return problem


def scan(*rest: Any) -> Any:
    def problem(draw: Draw, dtype: Any) -> tuple[Any, ...]:
        x = array(draw, draw(shapes(3, 1)), dtype)
        return x, size(draw, 0, x.ndim - 1), *[draw(further) for further in rest]
    return problem


def topk(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    """Numbers many of which are equal, or NaN."""
    x = array(draw, draw(shapes(3, 1).filter(lambda shape: min(shape) > 0)), dtype)
    x = np.round(x * draw(st.sampled_from([1, 4, 1000])))
    x[np.abs(x) == 1] = draw(st.sampled_from([np.nan, 0.0, -0.0]))
    axis = size(draw, 0, x.ndim - 1)
    return lay_out(draw, x), axis, size(draw, 1, min(x.shape[axis], 64)), draw(st.booleans())


def within(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    places = np.random.default_rng(size(draw, 0, 2**32)).integers(-5, 5, draw(shapes(2)))
    return lay_out(draw, places), size(draw, -6, -3), size(draw, 3, 6)


def recurrence(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    shape = draw(shapes(3, 1).filter(lambda shape: min(shape) > 0))
    axis = size(draw, 0, len(shape) - 1)
    factors = array(draw, (*shape[:axis], shape[axis] - 1, *shape[axis + 1:]), dtype, -1.1, 1.1)
    return array(draw, shape, dtype), factors, axis, draw(st.booleans())


def classes(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    n, c = size(draw, 0, 9), size(draw, 1, 40)
    target = lay_out(draw, np.random.default_rng(size(draw, 0, 2**32)).integers(0, c, n))
    weight = array(draw, (c,), dtype, 0.1, 2.0) if draw(st.booleans()) else None
    return (array(draw, (n, c), dtype), target, weight, draw(st.sampled_from([-100, 0])), draw(st.sampled_from([0.0, 0.1])),
            draw(st.sampled_from(["none", "sum", "mean"])))


def cross_entropy_grad(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, target, *rest = classes(draw, dtype)
    logp = cpu.reference_module("softmax").log_softmax(x, 1)
    return array(draw, target.shape if rest[-1] == "none" else (), dtype), logp, target, *rest


def maybe(draw: Draw, value: np.ndarray) -> np.ndarray | None:
    return value if draw(st.booleans()) else None


def batch_norm(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    """x, weight, bias, residual, and with given statistics or those of the batch, which no argument keeps."""
    shape = draw(shapes(3, 2).filter(lambda shape: shape[1] > 0))
    x, per_channel = array(draw, shape, dtype), shape[1:2]
    weight, bias = (maybe(draw, array(draw, per_channel, dtype, 0.5, 2.0)) for _ in range(2))
    relu, training = draw(st.booleans()), draw(st.booleans())
    residual = maybe(draw, array(draw, shape, dtype)) if relu else None
    running = (None, None) if training else (array(draw, per_channel, dtype), array(draw, per_channel, dtype, 0.5, 2.0))
    return x, weight, bias, residual, *running, training, 0.1, 1e-2, relu


def batch_norm_grad(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, weight, bias, residual, mean, var, training, _, eps, relu = batch_norm(draw, dtype)
    if training:
        _, mean, var = cpu.reference_module("norm").batch_norm(x, None, None, None, None, None, True, 0.1, eps, False)
    return array(draw, x.shape, dtype), x, weight, bias, residual, mean, var, training, eps, relu


def group_norm(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    samples, groups, d, s = size(draw, 0, 4), size(draw, 1, 4), size(draw, 1, 35), size(draw, 1, 35)
    weight, bias = (maybe(draw, array(draw, (groups * d,), dtype, 0.5, 2.0)) for _ in range(2))
    x = array(draw, (samples * groups, d * s), dtype)
    return x, weight, bias, (samples * groups, groups, d, s), 1e-2, draw(st.booleans())


def group_norm_grad(draw: Draw, dtype: Any) -> tuple[Any, ...]:
    x, weight, _, shape, eps, centred = group_norm(draw, dtype)
    _, mean, var = cpu.reference_module("norm").group_norm(x, None, None, shape, eps, centred)
    return array(draw, x.shape, dtype), x, weight, mean, var, shape, eps, centred


PROBLEMS: dict[str, Any] = {
    **dict.fromkeys(["abs", "exp", "logical_not", "neg", "relu", "sigmoid", "sign", "tanh"], one()),
    **dict.fromkeys(["log", "sqrt"], one(0.1, 3.0)),
    **dict.fromkeys(["add", "eq", "ge", "gt", "le", "lt", "maximum", "minimum", "mul", "ne", "sub"], two()),
    **dict.fromkeys(["div", "pow"], two(0.2, 2.0)),
    **dict.fromkeys(["relu_grad", "sigmoid_grad", "tanh_grad"], same(2, 0.05, 0.95)),
    **dict.fromkeys(["gelu", "gelu_tanh", "hardsigmoid", "hardswish", "mish", "silu", "softsign"], one(-6.0, 6.0)),
    **dict.fromkeys(["gelu_grad", "gelu_tanh_grad", "hardsigmoid_grad", "hardswish_grad", "mish_grad", "silu_grad",
                     "softsign_grad"], same(2, -6.0, 6.0)),
    "elu": with_numbers(one(), alpha=(0.5, 2), scale=(0.5, 2), rate=(0.5, 2)),
    "elu_grad": with_numbers(same(2), alpha=(0.5, 2), scale=(0.5, 2), rate=(0.5, 2)),
    "softplus": with_numbers(one(), beta=(0.5, 2), threshold=(1, 20)),
    "softplus_grad": with_numbers(same(2), beta=(0.5, 2), threshold=(1, 20)),
    "piecewise_linear": piecewise(one()), "piecewise_linear_grad": piecewise(same(2)),
    "cast": lambda draw, dtype: (array(draw, draw(shapes()), dtype), draw(st.sampled_from(["float32", "float64"]))),
    "where": where,
    "argmax": argmax, "argmin": argmax, "max": reduction(1), "min": reduction(1), "all": truth, "any": truth,
    "mean": reduction(1), "sum": reduction(0), "sum_to": sum_to,
    "gather": indexed(False), "scatter_add": indexed(True), "one_hot": one_hot, "take_slice": take_slice,
    "slice_adjoint": slice_adjoint, "cat": cat, "constant_pad": constant_pad, "axis_product": axis_product,
    "grid_sample": grid_sample, "grid_sample_grid": grid_sample_grid, "grid_sample_input": grid_sample_input,
    "matmul": matmul, "linear": linear, "warp": warp,
    "cumsum": scan(st.booleans()), **dict.fromkeys(["cummax_index", "cummin_index", "cumprod"], scan()),
    "recurrence": recurrence, "topk_few_index": topk, "within": within,
    "conv2d": conv2d, "conv2d_input": conv2d_input, "conv2d_weight": conv2d_weight,
    "max_pool2d": max_pool2d, "max_pool2d_backward": max_pool2d_adjoint(False), "max_pool2d_gather": max_pool2d_adjoint(True),
    "avg_pool2d": avg_pool2d, "avg_pool2d_backward": avg_pool2d_backward,
    "softmax": along(1), "log_softmax": along(1), "softmax_grad": along(2), "log_softmax_grad": along(2),
    "cross_entropy": classes, "cross_entropy_grad": cross_entropy_grad, "bce_with_logits": same(2, 0.0, 1.0),
    "huber": with_numbers(same(2), delta=(0.1, 3.0)), "bce": same(2, 0.05, 0.95), "bce_grad": same(3, 0.05, 0.95),
    "batch_norm": batch_norm, "batch_norm_grad": batch_norm_grad,
    "group_norm": group_norm, "group_norm_grad": group_norm_grad,
}
# Kernels that draw numbers or write into lists of arrays have no single array to lay out; their own test files compare them.
ELSEWHERE = {"clip": "test_clip.py", "functions": "test_functions.py", "optim": "test_optim_rules.py",
             "random": "test_random.py", "recurrent": "test_recurrent.py", "special": "test_functions.py"}


def test_what_is_tested_elsewhere_is() -> None:
    assert all((Path(__file__).parent / name).is_file() for name in ELSEWHERE.values())


def test_every_kernel_has_a_problem() -> None:
    kernels = {kernel for family in FAMILIES if family not in ELSEWHERE for kernel in cpu.compiled_module(family).KERNELS}
    assert kernels == set(PROBLEMS)


# -- the test ----------------------------------------------------------------------------------------------------------


def wide(value: Any) -> Any:
    """float64 and contiguous, for the body."""
    if isinstance(value, np.ndarray):
        return np.array(value, dtype=np.float64 if value.dtype.kind == "f" else value.dtype, order="C")
    return value


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (np.asarray(result),)


def twins(name: str) -> tuple[Any, Any]:
    family = next(family for family in FAMILIES if name in cpu.reference_module(family).KERNELS)
    return getattr(cpu.reference_module(family), name), getattr(cpu.compiled_module(family), name)


@pytest.mark.parametrize("name", PROBLEMS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_kernel(name: str, data: Any) -> None:
    body, twin = twins(name)
    dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"])))
    args = PROBLEMS[name](data.draw, dtype)
    before = [value.copy() if isinstance(value, np.ndarray) else value for value in args]
    threads = importlib.import_module("tinygrad_course.kernels.threads")
    used = threads.get_num_threads()
    bits = []
    try:
        for n in (1, 2, 3, 8):
            threads.set_num_threads(n)
            got = as_tuple(twin(*args))
            bits.append([part.tobytes() for part in got])
    finally:
        threads.set_num_threads(used)
    assert all(other == bits[0] for other in bits), "the number of threads changed the result"
    for value, old in zip(args, before, strict=True):
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, old, err_msg="an argument was written to")
    with np.errstate(all="ignore"):
        expected = as_tuple(body(*[wide(value) for value in args]))
    assert len(got) == len(expected)
    for part, want in zip(got, expected, strict=True):
        assert part.shape == want.shape
        assert not any(np.shares_memory(part, value) for value in args if isinstance(value, np.ndarray))
        if part.dtype.kind == "f":
            # Rounding is relative to the largest number that took part: results near 0 are differences of such.
            scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0.0)))
            np.testing.assert_allclose(part, want, rtol=0, atol=scale * (1e-5 if part.dtype == np.float32 else 1e-12))
        else:
            np.testing.assert_array_equal(part, want)
