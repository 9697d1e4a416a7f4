"""Initialisation by name against the variances of the papers; signals of a net against PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DataError
from tinygrad_course.models.initialisation import INITIALISATIONS, initialise, signals

M, N = 200, 300  # inputs and outputs


@pytest.mark.parametrize(("name", "variance"), [
    ("N(0, 1)", 1.0), ("N(0, 1/m)", 1 / M), ("Glorot", 2 / (M + N)), ("He", 2 / M), ("orthogonal", 1 / N)])
def test_variances(name, variance):
    tgc.manual_seed(0)
    net = nn.Sequential(nn.Linear(M, N), nn.ReLU(), nn.Linear(N, 2, bias=False))
    assert initialise(net, name) is net
    w = net[0].weight.detach().numpy().astype(np.float64)
    spread = variance * np.sqrt(2 / w.size)  # standard error of the variance of normal numbers
    assert w.var() == pytest.approx(variance, abs=5 * spread)
    assert abs(w.mean()) < 5 * np.sqrt(variance / w.size)
    assert not net[0].bias.detach().numpy().any()
    if name == "orthogonal":
        np.testing.assert_allclose(w.T @ w, np.eye(M), atol=1e-5)


def test_every_name_is_tested_and_others_are_refused():
    assert list(INITIALISATIONS) == ["N(0, 1)", "N(0, 1/m)", "Glorot", "He", "orthogonal"]
    with pytest.raises(DataError, match=r"initialise: 'he' is unknown\. There are N\(0, 1\), .*orthogonal"):
        initialise(nn.Linear(2, 2), "he")


def test_signals_are_torchs():
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    x, upstream = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Sigmoid(), nn.Linear(3, 2)).double()
    seen = signals(net, tgc.tensor(x), lambda y: (y * tgc.tensor(upstream)).sum())
    h, kept = torch.tensor(x), []
    for layer in net:
        if isinstance(layer, nn.Linear):
            h = h @ torch.tensor(layer.weight.detach().numpy()).T + torch.tensor(layer.bias.detach().numpy())
            h.requires_grad_() if not h.requires_grad else h.retain_grad()
            kept.append(h)
        else:
            h = torch.tanh(h) if isinstance(layer, nn.Tanh) else torch.sigmoid(h)
    (h * torch.tensor(upstream)).sum().backward()
    assert len(seen.pre_activations) == 3
    for number, tensor in enumerate(kept):
        np.testing.assert_allclose(seen.pre_activations[number], tensor.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(seen.deltas[number], tensor.grad.numpy(), rtol=1e-12)
        assert seen.spread[number] == pytest.approx(float(tensor.detach().square().mean().sqrt()))
        assert seen.gradient[number] == pytest.approx(float(tensor.grad.square().mean().sqrt()))
    assert all(p.grad is None for p in net.parameters())


def test_a_net_without_linear_layers_is_named():
    with pytest.raises(DataError, match=r"signals: Sequential has no nn\.Linear"):
        signals(nn.Sequential(nn.ReLU()), tgc.ones(2, 3), lambda y: y.sum())
