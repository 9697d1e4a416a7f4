"""Whole models in evaluation mode: onnxruntime and the imported graph compute what the model does, for the batch size of the
example and for another, and the gradients of all parameters agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.io.onnx_oracle import check
from tinygrad_course import nn
from tinygrad_course.bench.models import REGISTRY
from tinygrad_course.models import get_model
from tinygrad_course.models.lenet import LeNet5

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def settled(model: Any) -> Any:
    """The model with running statistics and batch norm weights other than 0 and 1."""
    tgc.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -0.3), (module.running_var, 0.6), (module.weight, 0.6)):
                with tgc.no_grad():
                    tensor.copy_(tgc.tensor(RNG.uniform(low, low + 0.8, tensor.shape).astype(np.float32)))
    return model


def built(name: str, *batch: np.ndarray) -> Any:
    """The modules of a benchmark model."""
    tgc.manual_seed(2)
    return REGISTRY[name].build(tgc, *[tgc.tensor(array) for array in batch]).modules


def test_lenet() -> None:
    check(LeNet5(), normal(1, 1, 32, 32), others=((normal(6, 1, 32, 32),),))


@pytest.mark.parametrize(("name", "shape"), [
    ("lenet", (1, 32, 32)), ("vgg", (3, 32, 32)), ("resnet20", (3, 32, 32)), ("mobilenet", (3, 32, 32)),
    ("inception", (3, 32, 32)), ("unet", (1, 32, 32)), ("mlp", (784,)), ("mlp-sigmoid", (784,)), ("xor", (2,)),
    ("autoencoder", (784,))])
def test_benchmark_model(name: str, shape: tuple[int, ...]) -> None:
    model, = built(name, normal(2, *shape), np.zeros(2, np.int64))
    check(settled(model), normal(2, *shape), others=((normal(3, *shape),),))


@pytest.mark.parametrize("name", ["densenet121", "googlenet2014", "mobilenet_v2", "resnet18", "squeezenet1_1"])
def test_zoo(name: str) -> None:
    """Small images and few classes; their backward passes are those of the layers above."""
    tgc.manual_seed(0)
    model = settled(get_model(name, num_classes=5))
    size = 224 if name == "googlenet2014" else 64
    check(model, normal(2, 3, size, size), others=((normal(3, 3, size, size),),), gradients=False)


def test_generator_and_discriminator() -> None:
    generator, discriminator = built("dcgan", normal(2, 1, 32, 32), normal(2, 100, 1, 1))
    check(settled(generator), normal(2, 100, 1, 1), others=((normal(3, 100, 1, 1),),))
    check(settled(discriminator), normal(2, 1, 32, 32), others=((normal(3, 1, 32, 32),),))


@pytest.mark.parametrize("name", ["lstm128", "rnn128"])
def test_character_model(name: str) -> None:
    model, = built(name, RNG.integers(0, 65, (2, 7)), np.zeros((2, 7), np.int64))
    check(model, RNG.integers(0, 65, (2, 7)), others=((RNG.integers(0, 65, (3, 7)),),))
    check(model, RNG.integers(0, 65, (2, 7)), others=((RNG.integers(0, 65, (3, 11)),),),
          dynamic_axes={"x": {0: "batch", 1: "time"}})


def test_variational_autoencoder() -> None:
    """Its noise is part of the program and has a fixed batch size."""
    model, = built("vae", normal(4, 784), normal(4, 20))
    with pytest.warns(UserWarning, match=r"a batch of 4 only, because the model fails for inputs of shape \(2, 784\)"):
        check(model, normal(4, 784))
    check(model, normal(4, 784), dynamic_axes={})


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{"bidirectional": True, "num_layers": 2}, {"batch_first": True, "bias": False}], ids=str)
def test_recurrent(kind: str, options: dict[str, Any]) -> None:
    model = getattr(nn, kind)(5, 6, **options)
    shapes = ((2, 7), (4, 7)) if "batch_first" in options else ((7, 2), (3, 4))
    check(model, normal(*shapes[0], 5), others=((normal(*shapes[1], 5),),),
          dynamic_axes={"input": {0: "batch"} if "batch_first" in options else {0: "time", 1: "batch"}})


def test_recurrent_with_states() -> None:
    model = nn.LSTM(5, 6)

    class States(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = model

        def forward(self, x: Any, h: Any, c: Any) -> Any:
            return self.lstm(x, (h, c))

    check(States(), normal(7, 2, 5), normal(1, 2, 6), normal(1, 2, 6), dynamic_axes={},)
    relu = nn.RNN(5, 6, nonlinearity="relu")
    check(relu, normal(7, 2, 5))


def test_lstm_with_a_projection() -> None:
    model = nn.LSTM(5, 6, 2, proj_size=3, bidirectional=True, bias=False)
    check(model, normal(4, 2, 5), others=((normal(4, 3, 5),),), dynamic_axes={"input": {1: "batch"}})
    check(nn.LSTM(5, 6, proj_size=3), normal(1, 2, 5), others=((normal(1, 3, 5),),), dynamic_axes={"input": {1: "batch"}})


def test_transformer() -> None:
    layer = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
    check(layer, normal(2, 5, 12), others=((normal(3, 5, 12),),))
    check(layer, normal(2, 5, 12), others=((normal(3, 9, 12),),), dynamic_axes={"src": {0: "batch", 1: "time"}})
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", norm_first=True), 2)
    check(encoder, normal(5, 2, 8), others=((normal(5, 3, 8),),), dynamic_axes={"src": {1: "batch"}})
    causal = tgc.tensor(np.where(np.tri(5, dtype=bool), 0.0, -np.inf).astype(np.float32))
    check(layer, normal(2, 5, 12), causal.numpy(), others=((normal(3, 5, 12), causal.numpy()),), gradients=False,
          dynamic_axes={"src": {0: "batch"}})


def test_attention() -> None:
    model = nn.MultiheadAttention(12, 3)
    check(model, normal(5, 2, 12), normal(4, 2, 12), normal(4, 2, 12), dynamic_axes={"query": {0: "length"}},
          others=((normal(7, 2, 12), normal(4, 2, 12), normal(4, 2, 12)),))


def test_padding_mask() -> None:
    """Masks that go in with the data, among them one that hides everything from a query."""
    layer = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any, mask: Any) -> Any:
            return self.layer(x, src_key_padding_mask=mask)

    masks = [RNG.random((n, 5)) < 0.4 for n in (2, 3)]
    masks[1][1] = True
    check(Masked(), normal(2, 5, 12), masks[0], others=((normal(3, 5, 12), masks[1]),), gradients=False)


def test_shared_parameters() -> None:
    """One initialiser, one parameter, whose gradient is the sum."""
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 4, padding_idx=0)
            self.out = nn.Linear(4, 7, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, x: Any) -> Any:
            return self.out(self.embedding(x))

    check(Tied(), RNG.integers(1, 7, (2, 5)), others=((RNG.integers(1, 7, (3, 5)),),))


def test_normalised_weights() -> None:
    """What is computed from parameters alone stays a computation, so that the parameters can be trained on."""
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.g = nn.Parameter(tgc.ones(3, 1))
            self.v = nn.Parameter(tgc.tensor(normal(3, 4)))
            self.register_buffer("scale", tgc.tensor(2.0))
            self.register_buffer("hidden", tgc.ones(4), persistent=False)

        def forward(self, x: Any) -> Any:
            weight = self.g * self.v / self.v.norm(dim=1, keepdim=True)
            return (x + self.hidden) @ weight.t() * self.scale

    check(Normalised(), normal(2, 4), others=((normal(3, 4),),))
