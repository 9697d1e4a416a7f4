"""The ops that are timed on their own: shapes of the course models, and some larger ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]
Call = Callable[..., Any]


@dataclass(frozen=True)
class OpCase:
    """One op on one set of shapes.

    inputs  arrays from a NumPy generator; the floating point ones get gradients
    call    the op in the engine `torch`, which is torch or tinygrad_course
    flops   of the forward pass, 0 where memory is the limit; the backward pass of a product has twice as many
    """

    name: str
    inputs: Callable[[np.random.Generator], Arrays]
    call: Call
    flops: float = 0.0


def _normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def _matmul(m: int, k: int, n: int) -> OpCase:
    return OpCase(f"matmul {m}x{k}x{n}", _normal((m, k), (k, n)), lambda torch, a, b: a @ b, 2.0 * m * k * n)


def _linear(n: int, inputs: int, outputs: int) -> OpCase:
    return OpCase(f"linear {n}x{inputs} to {outputs}", _normal((n, inputs), (outputs, inputs), (outputs,)),
                  lambda torch, x, w, b: torch.nn.functional.linear(x, w, b), 2.0 * n * inputs * outputs)


def _conv(name: str, n: int, c: int, size: int, o: int, k: int, stride: int = 1, padding: int = 0,
          groups: int = 1) -> OpCase:
    out = (size + 2 * padding - k) // stride + 1
    return OpCase(f"conv {name} {n}x{c}x{size}x{size} to {o} k{k}s{stride}", _normal((n, c, size, size),
                                                                                     (o, c // groups, k, k)),
                  lambda torch, x, w: torch.nn.functional.conv2d(x, w, None, stride, padding, 1, groups),
                  2.0 * n * o * out * out * (c // groups) * k * k)


def _transposed(name: str, n: int, c: int, size: int, o: int, k: int, stride: int, padding: int) -> OpCase:
    return OpCase(f"conv_transpose {name} {n}x{c}x{size}x{size} to {o} k{k}s{stride}",
                  _normal((n, c, size, size), (c, o, k, k)),
                  lambda torch, x, w: torch.nn.functional.conv_transpose2d(x, w, None, stride, padding),
                  2.0 * n * c * size * size * o * k * k)


def _map(name: str, shape: tuple[int, ...], function: Call) -> OpCase:
    return OpCase(f"{name} {'x'.join(map(str, shape))}", _normal(shape), function)


def _batch_norm(shape: tuple[int, ...], relu: bool = False) -> OpCase:
    channels = shape[1]

    def call(torch: Any, x: Any, w: Any, b: Any) -> Any:
        y = torch.nn.functional.batch_norm(x, None, None, w, b, True)
        return torch.relu(y) if relu else y

    name = "batch_norm+relu" if relu else "batch_norm"
    return OpCase(f"{name} {'x'.join(map(str, shape))}", _normal(shape, (channels,), (channels,)), call)


def _cross_entropy(n: int, classes: int) -> OpCase:
    return OpCase(f"cross_entropy {n}x{classes}",
                  lambda rng: (rng.standard_normal((n, classes), dtype=np.float32), rng.integers(0, classes, n)),
                  lambda torch, x, t: torch.nn.functional.cross_entropy(x, t))


def _embedding(n: int, length: int, symbols: int, width: int) -> OpCase:
    return OpCase(f"embedding {n}x{length} of {symbols}x{width}",
                  lambda rng: (rng.integers(0, symbols, (n, length)),
                               rng.standard_normal((symbols, width), dtype=np.float32)),
                  lambda torch, ids, w: torch.nn.functional.embedding(ids, w))


def _gaussian_kl(n: int, width: int) -> OpCase:
    """One op here; in PyTorch the chain of its own example of a variational autoencoder."""

    def call(torch: Any, mean: Any, logvar: Any) -> Any:
        if hasattr(torch.nn.functional, "gaussian_kl"):
            return torch.nn.functional.gaussian_kl(mean, logvar, reduction="sum")
        return -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())

    return OpCase(f"gaussian_kl {n}x{width}", _normal((n, width), (n, width)), call)


CASES: dict[str, OpCase] = {case.name: case for case in (
    _matmul(1024, 1024, 1024), _matmul(256, 256, 256), _matmul(100, 300, 50),
    _linear(64, 784, 256), _linear(64, 256, 128), _linear(10, 784, 100), _linear(128, 400, 784),
    _conv("LeNet", 64, 1, 32, 6, 5), _conv("LeNet", 64, 6, 14, 16, 5),
    _conv("VGG", 32, 3, 32, 64, 3, padding=1), _conv("VGG", 32, 64, 32, 64, 3, padding=1),
    _conv("VGG", 32, 128, 16, 128, 3, padding=1), _conv("VGG", 32, 256, 8, 256, 3, padding=1),
    _conv("ResNet", 32, 16, 32, 16, 3, padding=1), _conv("ResNet", 32, 16, 32, 32, 3, stride=2, padding=1),
    _conv("ResNet", 32, 32, 16, 32, 3, padding=1), _conv("ResNet", 32, 64, 8, 64, 3, padding=1),
    _conv("ResNet", 32, 16, 32, 32, 1, stride=2),
    _conv("stem", 16, 3, 64, 64, 7, stride=2, padding=3), _conv("stem", 4, 3, 224, 32, 3, stride=2, padding=1),
    _conv("1x1", 8, 64, 56, 256, 1), _conv("1x1", 4, 32, 112, 64, 1), _conv("1x1", 4, 512, 14, 512, 1),
    _conv("1x1", 4, 1024, 7, 1024, 1), _conv("Inception", 16, 32, 16, 96, 5, padding=2),
    _conv("U-Net", 2, 32, 128, 32, 3, padding=1), _conv("U-Net", 2, 256, 16, 256, 3, padding=1),
    _conv("DCGAN", 32, 64, 16, 128, 4, stride=2, padding=1),
    _conv("depthwise", 4, 32, 112, 32, 3, padding=1, groups=32), _conv("depthwise", 4, 64, 112, 64, 3, 2, 1, 64),
    _conv("depthwise", 4, 512, 14, 512, 3, padding=1, groups=512), _conv("depthwise", 4, 1024, 7, 1024, 3, 1, 1, 1024),
    _transposed("U-Net", 2, 256, 16, 128, 2, 2, 0), _transposed("DCGAN", 32, 128, 8, 64, 4, 2, 1),
    _transposed("DCGAN", 32, 100, 1, 256, 4, 1, 0),
    _batch_norm((32, 64, 32, 32)), _batch_norm((32, 64, 32, 32), relu=True), _batch_norm((4, 512, 14, 14)),
    _map("max_pool 2x2", (32, 64, 32, 32), lambda torch, x: torch.nn.functional.max_pool2d(x, 2)),
    _map("max_pool 3x3s2", (16, 64, 32, 32), lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1)),
    _map("max_pool 3x3s1", (16, 192, 16, 16), lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 1, 1)),
    _map("avg_pool 2x2", (32, 64, 32, 32), lambda torch, x: torch.nn.functional.avg_pool2d(x, 2)),
    _map("adaptive_avg_pool 1", (4, 1024, 7, 7), lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 1)),
    _map("relu", (32, 64, 32, 32), lambda torch, x: torch.relu(x)),
    _map("leaky_relu", (32, 64, 16, 16), lambda torch, x: torch.nn.functional.leaky_relu(x, 0.2)),
    _map("sigmoid", (64, 784), lambda torch, x: torch.sigmoid(x)),
    _map("tanh", (32, 1, 32, 32), lambda torch, x: torch.tanh(x)),
    _map("exp", (1024, 1024), lambda torch, x: torch.exp(x)),
    _map("sum", (1024, 1024), lambda torch, x: x.sum()),
    _map("sum over rows", (1024, 1024), lambda torch, x: x.sum(0)),
    _map("softmax", (256, 1000), lambda torch, x: torch.softmax(x, 1)),
    OpCase("add 1024x1024", _normal((1024, 1024), (1024, 1024)), lambda torch, a, b: a + b),
    OpCase("mul 1024x1024", _normal((1024, 1024), (1024, 1024)), lambda torch, a, b: a * b),
    OpCase("mul 64x100", _normal((64, 100), (64, 100)), lambda torch, a, b: a * b),
    OpCase("add a row 1024x1024", _normal((1024, 1024), (1024,)), lambda torch, a, b: a + b),
    OpCase("cat 2x64x64x64 twice", _normal((2, 64, 64, 64), (2, 64, 64, 64)), lambda torch, a, b: torch.cat([a, b], 1)),
    _map("erf", (64, 784), lambda torch, x: torch.erf(x)),
    _map("sin", (64, 784), lambda torch, x: torch.sin(x)),
    _map("glu", (32, 256, 64), lambda torch, x: torch.nn.functional.glu(x, 1)),
    _map("topk 5", (256, 1000), lambda torch, x: torch.topk(x, 5)[0]),
    OpCase("huber_loss 64x100", _normal((64, 100), (64, 100)),
           lambda torch, x, t: torch.nn.functional.huber_loss(x, t)),
    _gaussian_kl(128, 20),
    _cross_entropy(64, 10), _cross_entropy(256, 1000), _cross_entropy(1600, 65),
    _embedding(32, 50, 65, 64),
)}
