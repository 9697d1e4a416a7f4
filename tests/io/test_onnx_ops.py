"""Every op that has an ONNX counterpart, with random inputs: onnxruntime and the imported graph compute the same, for the
batch size of the example and for another, and the gradients agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.io.onnx_oracle import Wrapped, check
from tinygrad_course.nn import functional as F


def normal(*shape: int) -> Callable[[Any, int], np.ndarray]:
    """(n, *shape) normal numbers."""
    return lambda rng, n: rng.standard_normal((n, *shape)).astype(np.float32)


def uniform(low: float, high: float, *shape: int) -> Callable[[Any, int], np.ndarray]:
    return lambda rng, n: rng.uniform(low, high, (n, *shape)).astype(np.float32)


def whole(low: int, high: int, *shape: int) -> Callable[[Any, int], np.ndarray]:
    return lambda rng, n: rng.integers(low, high, (n, *shape))


def truths(*shape: int) -> Callable[[Any, int], np.ndarray]:
    return lambda rng, n: rng.random((n, *shape)) < 0.5


X, IMAGE = normal(4, 5), normal(4, 9, 8)
RNG = np.random.default_rng(3)
W = {
    name: RNG.standard_normal(shape).astype(np.float32)
    for name, shape in {
        "conv": (6, 4, 3, 2),
        "grouped": (6, 2, 3, 3),
        "up": (4, 3, 3, 2),
        "line": (6, 4, 3),
        "row": (3, 5),
        "bias": (3,),
        "six": (6,),
        "four": (4,),
        "inner": (4, 5),
        "table": (7, 3),
        "square": (5, 5),
    }.items()
}


def module(function: Callable[..., Any], *names: str) -> Wrapped:
    return Wrapped(function, {name: W[name] for name in names})


UNARY = dict.fromkeys((
    "abs", "sign", "exp", "neg", "tanh", "sigmoid", "relu", "floor", "ceil", "trunc", "round", "sin", "cos", "tan", "atan",
    "sinh", "cosh", "asinh", "erf", "erfc", "exp2", "expm1", "isnan", "isinf", "isfinite", "logical_not", "clone"), X)
UNARY |= {
    "log": uniform(0.1, 3, 4),
    "sqrt": uniform(0.1, 3, 4),
    "asin": uniform(-0.9, 0.9, 4),
    "acos": uniform(-0.9, 0.9, 4),
    "acosh": uniform(1.1, 3, 4),
    "atanh": uniform(-0.9, 0.9, 4),
    "log1p": uniform(0.1, 3, 4),
    "log2": uniform(0.1, 3, 4),
    "log10": uniform(0.1, 3, 4),
    "logit": uniform(0.1, 0.9, 4),
    "rsqrt": uniform(0.1, 3, 4),
    "reciprocal": uniform(0.1, 3, 4),
    "square": X,
    "entr": uniform(0.1, 3, 4),
}
BINARY = dict.fromkeys((
    "add", "sub", "mul", "div", "maximum", "minimum", "lt", "le", "gt", "ge", "eq", "ne", "floor_divide", "fmod", "remainder",
    "hypot", "logaddexp"), (X, normal(1, 5)))
BINARY |= {
    "pow": (uniform(0.1, 3, 4), normal(4)),
    "xlogy": (whole(0, 2, 4), uniform(0.1, 3, 4)),
    "logical_and": (truths(4), truths(4)),
    "logical_or": (truths(4), truths(4)),
    "logical_xor": (truths(4), truths(4)),
    "bitwise_and": (whole(0, 50, 4), whole(0, 50, 4)),
    "bitwise_or": (truths(4), truths(4)),
    "bitwise_xor": (whole(0, 50, 4), whole(0, 50, 4)),
}
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, "tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softsign": F.softsign,
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.7),
    "softplus": F.softplus,
    "softplus beta": lambda x: F.softplus(x, 2.0, 1.0),
    "logsigmoid": F.logsigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "relu6": lambda x: F.relu6(x * 4),
    "hardtanh": F.hardtanh,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 0.3, -2.0),
    "softmax": lambda x: F.softmax(x, 1),
    "softmin": lambda x: F.softmin(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "glu": lambda x: F.glu(x, 1),
    "dropout": lambda x: F.dropout(x, 0.5, False),
    "normalize": F.normalize,
}
SHAPES: dict[str, Any] = {
    "flatten": lambda x: x.flatten(1),
    "flatten all": lambda x: x.flatten(),
    "reshape": lambda x: x.reshape(-1, 2, 10),
    "rows": lambda x: x.reshape(-1, 5) @ tgc.ones(5, 3),
    "transpose": lambda x: x.transpose(0, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.unsqueeze(2).squeeze(2),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 3, -1, -1),
    "repeat": lambda x: x.repeat(1, 2, 3),
    "cat": lambda x: tgc.cat([x, x * 2], 1),
    "cat batch": lambda x: tgc.cat([x, x * 2]),
    "stack": lambda x: tgc.stack([x, x * 2], 1),
    "split": lambda x: tgc.split(x, 2, 1),
    "chunk": lambda x: tgc.chunk(x, 3, 2),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
    "step": lambda x: x[:, ::2],
    "negative": lambda x: x[:, -3:-1, None],
    "ellipsis": lambda x: x[..., 1:3],
    "flip": lambda x: x.flip(1, 2),
    "roll": lambda x: x.roll(2, 2),
    "list": lambda x: x[:, [2, 0, -1]],
    "two lists": lambda x: x[:, [2, 0], [1, -2]],
    "mask": lambda x: x[:, tgc.tensor([True, False, True, True])],
    "movedim": lambda x: x.movedim(1, 2),
    "unbind": lambda x: x.unbind(1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
    "crop": lambda x: F.pad(x, (-1, 1)),
    "reflect": lambda x: F.pad(x, (2, 1), "reflect"),
    "replicate": lambda x: F.pad(x, (2, 1), "replicate"),
    "circular": lambda x: F.pad(x, (2, 1), "circular"),
    "unfold": lambda x: x.unfold(2, 3, 2),
    "tril": lambda x: x.tril(),
    "masked_fill": lambda x: x.masked_fill(x > 0, -9.0),
    "where fixed": lambda x: tgc.where(tgc.tensor([True, False, True, False, False]), x, -x),
    "where never": lambda x: tgc.where(tgc.zeros(5).bool(), 7.0, -x),
    "where": lambda x: tgc.where(x > 0, x, x * 0.1),
    "where of truth values": lambda x: tgc.where(x > 0, x > 1, x > -1),
    "zeros_like": lambda x: tgc.cat([x, tgc.zeros_like(x)], 1),
    "diff": lambda x: x.diff(dim=1),
    "cast": lambda x: (x > 0).float() + x.double().float(),
    "long": lambda x: x.long(),
    "set column": lambda x: _written(x, (slice(None), 1), 5.0),
    "set range": lambda x: _written(x, (slice(None), slice(1, 3)), x[:, :2] * 2),
    "set all": lambda x: _written(x, Ellipsis, 2.0),
    "in place": lambda x: (x * 2).add_(x).relu_(),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "block": lambda x: F.pixel_shuffle(x.reshape(-1, 4, 5, 1), 2),
    "meshgrid": lambda x: x + tgc.meshgrid(tgc.arange(4), tgc.arange(5), indexing="ij")[0],
    "one_hot": lambda x: F.one_hot(x.argmax(1), 4),
    "diagonal": lambda x: x.diagonal(1, 1, 2),
    "lower diagonal": lambda x: x.diagonal(-2, 2, 1),
}


def _written(x: Any, key: Any, value: Any) -> Any:
    y = x * 3
    y[key] = value
    return y


REDUCTIONS: dict[str, Any] = {
    "sum": lambda x: x.sum(1),
    "sum all": lambda x: x.sum(),
    "sum batch": lambda x: x.sum(0),
    "mean": lambda x: x.mean((1, 2), keepdim=True),
    "count": lambda x: (x > 0).sum(1),
    "prod": lambda x: x.prod(1),
    "logsumexp": lambda x: x.logsumexp(-1),
    "amax": lambda x: x.amax((1, 2)),
    "amin": lambda x: x.amin(1, keepdim=True),
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(2, keepdim=True),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(-1, keepdim=True),
    "all": lambda x: (x > -1).all(1),
    "any": lambda x: (x > 1).any(2),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std((1, 2), correction=0),
    "norm": lambda x: x.norm(dim=1),
    "norm 1": lambda x: x.norm(1, dim=(1, 2)),
    "norm 3": lambda x: x.norm(3, dim=1),
    "norm inf": lambda x: x.norm(float("inf"), dim=1),
    "cumsum": lambda x: x.cumsum(1),
    "sort": lambda x: x.sort(1),
    "descending": lambda x: x.sort(2, descending=True),
    "topk": lambda x: x.topk(2, 2),
    "argsort": lambda x: x.argsort(1),
    "smallest": lambda x: x.topk(2, 1, largest=False),
    "aminmax": lambda x: x.aminmax(dim=1),
    "nansum": lambda x: x.nansum(1),
    "median": lambda x: x.median(1),
    "kthvalue": lambda x: x.kthvalue(2, 2, keepdim=True),
}
PRODUCTS: dict[str, tuple[Any, Any]] = {
    "matmul": (lambda x, square: x @ square, ["square"]),
    "linear": (lambda x, row, bias: F.linear(x, row, bias), ["row", "bias"]),
    "no bias": (lambda x, row: F.linear(x, row), ["row"]),
    "einsum": (lambda x, row: tgc.einsum("nij,kj->nki", x, row), ["row"]),
    "einsum trace": (lambda x, inner: tgc.einsum("nij,ij->n", x, inner), ["inner"]),
    "bmm": (lambda x: x @ x.transpose(1, 2), []),
    "vector": (lambda x, square: x @ square[0], ["square"]),
    "lerp": (lambda x, inner: x.lerp(x * 2, inner), ["inner"]),
    "clamp": (lambda x, inner: x.clamp(inner - 1, inner + 1), ["inner"]),
    "clamp numbers": (lambda x: x.clamp(-0.5, 0.7), []),
    "clamp low": (lambda x: x.clamp(min=0.1), []),
    "prelu": (lambda x, four: F.prelu(x, four), ["four"]),
    "layer_norm": (lambda x, inner: F.layer_norm(x, (4, 5), inner, inner * 2), ["inner"]),
    "layer_norm epsilon": (lambda x: F.layer_norm(x, (5,), eps=0.3), []),
    "batch_norm epsilon": (lambda x, four: F.batch_norm(x, four, four.abs(), four, four * 2, eps=0.3), ["four"]),
    "batch_norm of the batch": (lambda x, four: F.batch_norm(x, None, None, four, four * 2, True, eps=0.3), ["four"]),
    "instance_norm epsilon": (lambda x: F.instance_norm(x, eps=0.3), []),
    "plain layer_norm": (lambda x: F.layer_norm(x, (5,)), []),
    "rms_norm": (lambda x, square: F.rms_norm(x, (5,), square[0]), ["square"]),
    "attention": (lambda x, inner: F.scaled_dot_product_attention(x + inner, x, x), ["inner"]),
    "causal": (lambda x, inner: F.scaled_dot_product_attention(x + inner, x, x, is_causal=True), ["inner"]),
    "cdist": (lambda x: tgc.cdist(x, x + 1), []),
    "cosine": (lambda x, inner: F.cosine_similarity(x, inner, 2), ["inner"]),
}
IMAGES: dict[str, tuple[Any, Any]] = {
    "conv2d": (lambda x, conv, six: F.conv2d(x, conv, six, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), ["conv", "six"]),
    "grouped": (lambda x, grouped: F.conv2d(x, grouped, padding=1, groups=2), ["grouped"]),
    "same": (lambda x, conv: F.conv2d(x, conv, padding="same"), ["conv"]),
    "conv1d": (lambda x, line, six: F.conv1d(x[:, :, 0], line, six, padding=1), ["line", "six"]),
    "transposed": (
        lambda x, up, bias: F.conv_transpose2d(x, up, bias, stride=(2, 3), padding=1, output_padding=(1, 2), dilation=1),
        ["up", "bias"],
    ),
    "max": (lambda x: F.max_pool2d(x, 3, 2, 1), []),
    "max ceil": (lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True), []),
    "max ceil pad": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), []),
    "max dilated": (lambda x: F.max_pool2d(x, 2, 1, 0, 2), []),
    "max 1d": (lambda x: F.max_pool1d(x[:, :, 0], 3), []),
    "indices": (lambda x: F.max_pool2d(x, 2, return_indices=True), []),
    "unpool": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(9, 8)), []),
    "avg": (lambda x: F.avg_pool2d(x, 3, 2, 1), []),
    "avg inside": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), []),
    "avg ceil": (lambda x: F.avg_pool2d(x, 3, 2, 0, True), []),
    "avg ceil pad": (lambda x: F.avg_pool2d(x, 2, 2, 1, True), []),
    "avg divisor": (lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=5), []),
    "global": (lambda x: F.adaptive_avg_pool2d(x, 1), []),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)), []),
    "uneven": (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), []),
    "adaptive max": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), []),
    "lp": (lambda x: F.lp_pool2d(x.abs() + 0.1, 2, 3), []),
    "instance_norm": (lambda x, four: F.instance_norm(x, weight=four, bias=four * 2), ["four"]),
    "group_norm": (lambda x, four: F.group_norm(x, 2, four, four * 2), ["four"]),
    "lrn": (lambda x: F.local_response_norm(x, 3, 0.5), []),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), []),
    "nearest other": (lambda x: F.interpolate(x, size=(13, 5)), []),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), []),
    "bilinear corners": (lambda x: F.interpolate(x, size=(17, 5), mode="bilinear", align_corners=True), []),
    "bilinear down": (lambda x: F.interpolate(x, size=(4, 5), mode="bilinear"), []),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), []),
    "linear": (lambda x: F.interpolate(x[:, :, 0], scale_factor=3, mode="linear"), []),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), []),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x[:, :, :8], 2), []),
    "im2col": (lambda x: F.unfold(x, 3, padding=1), []),
    "gather": (lambda x: x.gather(2, x.argsort(2)), []),
}
LOSSES: dict[str, tuple[Any, Any]] = {
    "cross_entropy": (lambda x, t: F.cross_entropy(x, t), (normal(4), whole(0, 4))),
    "sum": (lambda x, t: F.cross_entropy(x, t, reduction="sum"), (normal(4), whole(0, 4))),
    "ignore": (lambda x, t: F.cross_entropy(x, t, ignore_index=1, reduction="none"), (normal(4), whole(0, 4))),
    "mse": (lambda x, t: F.mse_loss(x, t), (X, X)),
    "bce": (lambda x, t: F.binary_cross_entropy(x, t), (uniform(0.1, 0.9, 3), uniform(0.1, 0.9, 3))),
    "bce_with_logits": (lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"), (X, X)),
    "l1": (lambda x, t: F.l1_loss(x, t), (X, X)),
    "smooth_l1": (lambda x, t: F.smooth_l1_loss(x, t), (X, X)),
    "huber": (lambda x, t: F.huber_loss(x, t, reduction="none", delta=0.5), (X, X)),
    "gaussian_kl": (lambda m, v: F.gaussian_kl(m, v, reduction="sum"), (X, X)),
    "kl": (lambda x, t: F.kl_div(x, t, reduction="sum"), (X, uniform(0.1, 1, 4, 5))),
}


def prove(function: Any, makers: tuple[Any, ...], **options: Any) -> bytes:
    rng = np.random.default_rng(11)
    example, other = [tuple(make(rng, n) for make in makers) for n in (2, 5)]
    return check(function if isinstance(function, Wrapped) else Wrapped(function), *example, others=(other,), **options)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    prove(getattr(tgc, name, None) or getattr(tgc.special, name), (UNARY[name],))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    prove(getattr(tgc, name), BINARY[name])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    prove(ACTIVATIONS[name], (normal(4, 6),))


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    prove(SHAPES[name], (X,), gradients=name not in ("in place",))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction(name: str) -> None:
    prove(REDUCTIONS[name], (X,))


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(name: str) -> None:
    function, names = PRODUCTS[name]
    prove(module(function, *names), (X,))


@pytest.mark.parametrize("name", IMAGES)
def test_image(name: str) -> None:
    function, names = IMAGES[name]
    prove(module(function, *names), (IMAGE,))


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    function, makers = LOSSES[name]
    prove(function, makers)
