"""nn/fusion.py: batch norm and ReLU as one op give the same bits; hooks and subclasses switch it off."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import TgcError
from tinygrad_course.nn import fusion

SHAPES = [(4, 3), (5, 7, 6), (3, 5, 9, 9), (2, 20, 4, 4), (2, 3, 13, 11)]


def norm_for(shape: tuple[int, ...]) -> Any:
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](shape[1])
    rng = np.random.default_rng(3)
    with tgc.no_grad():
        norm.weight.copy_(tgc.tensor(rng.standard_normal(shape[1])))
        norm.bias.copy_(tgc.tensor(rng.standard_normal(shape[1])))
    return norm


def ops_of(y: Any) -> set[str]:
    """Names of the ops in a graph."""
    found, waiting = set(), [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and hasattr(node, "next_functions"):
            found.add(node.name)
            waiting += [edge for edge, _ in node.next_functions]
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_bits_are_those_without_fusion(shape: Any, training: bool, dtype: str, residual: bool) -> None:
    rng = np.random.default_rng(4)
    values = [rng.standard_normal(shape).astype(dtype) for _ in range(3)]
    runs = []
    for fused in (True, False):
        norm = norm_for(shape).to(tgc.tensor(values[0]).dtype).train(training)
        x, r = (tgc.tensor(v, requires_grad=True) for v in values[:2])
        if not residual:
            y = nn.Sequential(norm, nn.ReLU())(x) if fused else norm(x).relu()
        else:
            y = fusion.norm_relu(norm, x, r) if fused else (norm(x) + r).relu()
        assert ("relu" in ops_of(y)) != fused
        y.backward(tgc.tensor(values[2]))
        parts = [y, x.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()] + ([r.grad] if residual else [])
        runs.append([part.detach().numpy().tobytes() for part in parts])
    assert runs[0] == runs[1]


def test_hooks_switch_it_off() -> None:
    seen: list[str] = []
    for position in (0, 1):
        net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
        handle = net[position].register_forward_hook(lambda module, *_: seen.append(type(module).__name__))
        assert "relu" in ops_of(net(tgc.randn(4, 3)))
        handle.remove()
        assert "relu" not in ops_of(net(tgc.randn(4, 3)))
    assert seen == ["BatchNorm1d", "ReLU"]


def test_subclasses_and_own_forwards_switch_it_off() -> None:
    class Shifted(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return super().forward(input) + 5

    class Norm(nn.BatchNorm1d):
        def forward(self, input: Any) -> Any:
            return super().forward(input) + 5

    x = tgc.randn(4, 3)
    assert nn.Sequential(nn.BatchNorm1d(3), Shifted())(x).min().item() >= 5
    assert nn.Sequential(Norm(3), nn.ReLU())(x).mean().item() > 4
    net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    net[1].forward = lambda input: input * 0 + 7
    assert net(x).tolist() == [[7.0] * 3] * 4


def test_errors_and_scopes_name_the_batch_norm() -> None:
    net = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3), nn.ReLU())
    with pytest.raises(TgcError, match=r"in Sequential\.1 \(BatchNorm2d\(3"):
        net(tgc.ones(4, 3))
    assert net(tgc.randn(4, 3, 2, 2)).grad_fn.scope.path() == "Sequential.1"


def test_second_derivative_through_the_fused_op() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()).double()
    assert tgc.testing.gradgradcheck(net, (tgc.randn(4, 3, dtype="float64", requires_grad=True),))


def test_a_model_s_own_relu_is_asked() -> None:
    """One with hooks, or something else in its place, is called; a plain one is what the fused op does."""
    norm, x = norm_for((3, 5, 9, 9)), tgc.randn(3, 5, 9, 9, requires_grad=True)
    assert "relu" not in ops_of(fusion.norm_relu(norm, x, activation=nn.ReLU(inplace=True)))
    assert "tanh" in ops_of(fusion.norm_relu(norm, x, x, nn.Tanh()))
    watched, seen = nn.ReLU(), []
    watched.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    fusion.norm_relu(norm, x, x, watched)
    assert len(seen) == 1
    assert seen[0].min().item() < 0
