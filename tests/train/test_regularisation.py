"""Weight decay on the weights alone, L1 and L2 penalties, dropout scaled at test time: against PyTorch and by hand."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn, optim
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.train.regularisation import (
    DropoutScaledAtTest,
    GhostBatchNorm1d,
    decay_groups,
    l1_penalty,
    l2_penalty,
    split_parameters,
)


def make_net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize("biases", [False, True])
def test_weight_decay_is_torchs_with_the_same_groups(biases):
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in [(2, 3), (2,), (3, 2, 1, 1), (3,)]]
    gradients = [rng.standard_normal(value.shape) for value in start]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for number, value in enumerate(start):
                setattr(self, f"p{number}", nn.Parameter(tgc.tensor(value)))

    net = Net()
    ours = optim.SGD(decay_groups(net, 0.3, biases=biases), lr=0.1, momentum=0.9)
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in start]
    other = torch.optim.SGD([{"params": [p], "weight_decay": 0.3 if biases or p.dim() > 1 else 0.0} for p in theirs], lr=0.1,
                            momentum=0.9)
    for _ in range(3):
        for p, q, g in zip(net.parameters(), theirs, gradients, strict=True):
            p.grad, q.grad = tgc.tensor(g), torch.tensor(g)
        ours.step()
        other.step()
    for p, q in zip(net.parameters(), theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12)


def test_scales_shifts_slopes_and_biases_are_no_weights():
    net = make_net()
    weights, others = split_parameters(net)
    assert [tuple(w.shape) for w in weights] == [(2, 1, 3, 3), (3, 8)]
    assert len(others) == 6 - 1
    assert [(len(group["params"]), group["weight_decay"]) for group in decay_groups(net, 0.1)] == [(2, 0.1), (5, 0.0)]


def test_groups_that_would_be_empty_are_left_out_and_shared_weights_are_listed_once():
    linear = nn.Linear(3, 3, bias=False)
    group, = decay_groups(nn.Sequential(linear, nn.ReLU(), linear), 0.1)
    assert len(group["params"]) == 1
    assert l1_penalty(nn.Sequential(linear, linear)).item() == pytest.approx(np.abs(linear.weight.detach().numpy()).sum())


@pytest.mark.parametrize("biases", [False, True])
def test_penalties_and_their_gradients(biases):
    net = make_net().double()
    with tgc.no_grad():
        net[4].weight[0, 0] = 0.0
    chosen = [p for p in net.parameters() if biases or p.ndim > 1]
    values = [p.detach().numpy() for p in chosen]
    assert l1_penalty(net, biases=biases).item() == pytest.approx(sum(np.abs(v).sum() for v in values), rel=1e-12)
    assert l2_penalty(net, biases=biases).item() == pytest.approx(sum((v**2).sum() for v in values) / 2, rel=1e-12)
    for penalty, slope in ((l1_penalty, np.sign), (l2_penalty, np.asarray)):
        net.zero_grad()
        (0.7 * penalty(net, biases=biases)).backward()
        for p in net.parameters():
            if any(p is q for q in chosen):
                np.testing.assert_allclose(p.grad.numpy(), 0.7 * slope(p.detach().numpy()), atol=1e-15)
            else:
                assert p.grad is None


def test_a_model_without_weights_is_named():
    with pytest.raises(DataError, match=r"l1_penalty: ReLU has no parameter with two dimensions or more\. Give a model with"):
        l1_penalty(nn.ReLU())


def test_dropout_scaled_at_test():
    x = tgc.tensor(np.random.default_rng(1).standard_normal((200, 300)), requires_grad=True)
    layer = DropoutScaledAtTest(0.3)
    assert repr(layer) == "DropoutScaledAtTest(p=0.3, inplace=False)"
    y = layer(x)
    mask = y.detach().numpy() != 0
    assert mask.mean() == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / x.numel()))
    np.testing.assert_allclose(y.detach().numpy(), mask * x.detach().numpy(), rtol=1e-12)
    upstream = np.random.default_rng(2).standard_normal(x.shape)
    y.backward(tgc.tensor(upstream))
    np.testing.assert_allclose(x.grad.numpy(), mask * upstream, rtol=1e-12)
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), 0.7 * x.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("p", "factor"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_scaled_at_test_at_the_ends(p, factor, train):
    x = tgc.ones(4, 3)
    np.testing.assert_array_equal(DropoutScaledAtTest(p).train(train)(x).numpy(), factor * np.ones((4, 3)))


def test_ghost_batch_norm_is_batch_norm_of_each_group():
    """Output, gradients and running statistics, group by group in PyTorch; evaluation is BatchNorm1d's."""
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    x, upstream = rng.standard_normal((12, 5)), rng.standard_normal((12, 5))
    weight, bias = rng.standard_normal((2, 5))
    layer = GhostBatchNorm1d(5, 3, momentum=0.3).double()
    groups = [torch.nn.BatchNorm1d(5, momentum=0.3).double() for _ in range(4)]
    layer.load_state_dict({**layer.state_dict(), "weight": tgc.tensor(weight), "bias": tgc.tensor(bias)})
    for group in groups:
        group.load_state_dict({**group.state_dict(), "weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    given, given_torch = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out = layer(given)
    out.backward(tgc.tensor(upstream))
    expected = torch.cat([group(part) for group, part in zip(groups, given_torch.split(3), strict=True)])
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(given.grad.numpy(), given_torch.grad.numpy(), rtol=1e-9, atol=1e-12)
    for name in ("weight", "bias"):
        total = sum(getattr(group, name).grad for group in groups)
        np.testing.assert_allclose(getattr(layer, name).grad.numpy(), total.numpy(), rtol=1e-10, atol=1e-12)
    for name in ("running_mean", "running_var"):
        mean = np.mean([getattr(group, name).numpy() for group in groups], axis=0)
        np.testing.assert_allclose(getattr(layer, name).numpy(), mean, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 1
    single = torch.nn.BatchNorm1d(5).double().eval()
    single.load_state_dict({name: torch.tensor(value.numpy()) for name, value in layer.state_dict().items()})
    out, expected = layer.eval()(tgc.tensor(x[:7])), single(torch.tensor(x[:7]))  # any number of patterns
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10)
    assert repr(layer) == "GhostBatchNorm1d(5, group_size=3, eps=1e-05, momentum=0.3)"


def test_ghost_batch_norm_names_what_does_not_fit():
    with pytest.raises(DataError, match="group_size must be 2 or more, got 1: one pattern has no variance"):
        GhostBatchNorm1d(4, 1)
    for shape in ((7, 4), (6, 5), (6, 4, 2)):
        with pytest.raises(ShapeError, match=r"expected \(N, 4\) with N a multiple of the group size 3, .*drop_last=True"):
            GhostBatchNorm1d(4, 3)(tgc.zeros(*shape))
