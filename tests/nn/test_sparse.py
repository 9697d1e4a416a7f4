"""nn/sparse.py: Embedding and EmbeddingBag against PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError

INDEX = np.array([[0, 3, 3, 5], [1, 2, 0, 3]])
FLAT = INDEX.reshape(-1)
LAYERS = {
    "embedding": (lambda nn: nn.Embedding(6, 4), (INDEX,)),
    "padding": (lambda nn: nn.Embedding(6, 4, padding_idx=3), (INDEX,)),
    "padding from the end": (lambda nn: nn.Embedding(6, 4, -3), (INDEX,)),
    "max_norm": (lambda nn: nn.Embedding(6, 4, max_norm=1.0), (INDEX,)),
    "frequency": (lambda nn: nn.Embedding(6, 4, scale_grad_by_freq=True), (INDEX,)),
    "bag": (lambda nn: nn.EmbeddingBag(6, 4), (INDEX,)),
    "bag of sums": (lambda nn: nn.EmbeddingBag(6, 4, mode="sum", padding_idx=3), (FLAT, np.array([0, 2, 2]))),
    "bag of maxima": (lambda nn: nn.EmbeddingBag(6, 4, mode="max"), (FLAT, np.array([0, 3]))),
    "last offset": (lambda nn: nn.EmbeddingBag(6, 4, include_last_offset=True), (FLAT, np.array([0, 3, 8]))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_values_gradients_and_keys_are_those_of_torch(name):
    torch = torch_or_skip()
    build, inputs = LAYERS[name]
    ours, theirs = build(nn).double(), build(torch.nn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    y1, y2 = ours(*map(tgc.tensor, inputs)), theirs(*map(torch.tensor, inputs))
    assert_close(y1, y2)
    g = np.random.default_rng(0).standard_normal(tuple(y1.shape))
    y1.backward(tgc.tensor(g))
    y2.backward(torch.tensor(g))
    assert_close(ours.weight.grad, theirs.weight.grad)
    assert_close(ours.weight, theirs.weight)  # max_norm writes to it


@pytest.mark.parametrize("build", [
    *(build for build, _ in LAYERS.values()), lambda nn: nn.Embedding(6, 4, 1, 2.0, 1.0, True),
    lambda nn: nn.EmbeddingBag(6, 4, 2.0, 1.0, True, "sum", padding_idx=2),
])  # fmt: skip
def test_repr_is_that_of_torch(build):
    torch = torch_or_skip()
    assert repr(build(nn)) == repr(build(torch.nn))


def test_initial_values():
    weight = nn.Embedding(200, 50, padding_idx=7).weight.detach().numpy()
    assert (weight[7] == 0).all()
    assert abs(weight.mean()) < 0.05
    assert abs(weight.std() - 1) < 0.05


def test_sample_weights():
    torch = torch_or_skip()
    ours, theirs = nn.EmbeddingBag(6, 4, mode="sum").double(), torch.nn.EmbeddingBag(6, 4, mode="sum").double()
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    scale = np.random.default_rng(0).standard_normal(INDEX.shape)
    assert_close(
        ours(tgc.tensor(INDEX), per_sample_weights=tgc.tensor(scale)),
        theirs(torch.tensor(INDEX), per_sample_weights=torch.tensor(scale)),
    )


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_from_pretrained(kind):
    table = tgc.randn(6, 4)
    layer = kind.from_pretrained(table)
    assert layer.weight.tolist() == table.tolist()
    assert not layer.weight.requires_grad
    assert kind.from_pretrained(table, freeze=False, padding_idx=2).weight.requires_grad
    assert kind.from_pretrained(table, padding_idx=2).padding_idx == 2
    with pytest.raises(ShapeError, match=r"from_pretrained.*\(rows, features\), got \(3,\)"):
        kind.from_pretrained(tgc.ones(3))


def test_mistakes():
    for kind in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(ValueError, match="sparse gradients do not exist"):
            kind(6, 4, sparse=True)
        with pytest.raises(ValueError, match="padding_idx 6 is not one of the 6 rows"):
            kind(6, 4, padding_idx=6)
        with pytest.raises(ShapeError, match=r"weight has shape \(6, 3\).*\(6, 4\)"):
            kind(6, 4, _weight=tgc.ones(6, 3))
    with pytest.raises(ValueError, match="mode must be 'sum', 'mean' or 'max', got 'median'"):
        nn.EmbeddingBag(6, 4, mode="median")
    with pytest.raises(IndexError, match="index 6"):
        nn.Embedding(6, 4)(tgc.tensor([6]))
