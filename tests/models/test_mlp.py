"""Multi-layer perceptrons against torch and torchvision, backpropagation by hand against both engines, regions, bumps."""

import inspect
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import torchvision_or_skip
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models import MLP
from tinygrad_course.models.approximation import best_monotone, bump_network
from tinygrad_course.models.backpropagation import backward, forward
from tinygrad_course.models.mlp import layer_values, with_weights
from tinygrad_course.models.regions import half_plane_network, polygon_network, region_network

RNG = np.random.default_rng(0)


def test_layers_are_those_of_torch():
    torch = torch_or_skip()
    ours = MLP(3, [4, 5, 2], norm_layer=nn.BatchNorm1d, activation_layer=nn.ELU, inplace=False, dropout=0.25)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ELU(inplace=False), torch.nn.Dropout(0.25, inplace=False),
        torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ELU(inplace=False), torch.nn.Dropout(0.25, inplace=False),
        torch.nn.Linear(5, 2), torch.nn.Dropout(0.25, inplace=False))
    assert repr(ours).splitlines()[1:] == repr(theirs).splitlines()[1:]
    theirs.load_state_dict(to_torch(ours.state_dict()))
    x = tgc.randn(6, 3)
    assert_close(ours.eval()(x), theirs.eval()(to_torch(x)), 1e-5, 1e-6)


def test_arguments_and_keys_are_those_of_torchvision():
    theirs = torchvision_or_skip().ops.MLP
    wanted = inspect.signature(theirs).parameters
    ours = inspect.signature(MLP).parameters
    assert list(ours)[:len(wanted)] == list(wanted)
    for name, parameter in wanted.items():
        if name not in ("norm_layer", "activation_layer"):
            assert ours[name].default == parameter.default, name
    assert list(MLP(3, [4, 5, 2], bias=False).state_dict()) == list(theirs(3, [4, 5, 2], bias=False).state_dict())


def test_one_layer_and_an_output_layer():
    assert [type(part) for part in MLP(3, [2])] == [nn.Linear, nn.Dropout]
    net = MLP(3, [4, 2], activation_layer=nn.Tanh, output_layer=nn.Sigmoid)
    assert [type(part) for part in net] == [nn.Linear, nn.Tanh, nn.Dropout, nn.Linear, nn.Dropout, nn.Sigmoid]
    assert [linear.out_features for linear in net.linears] == [4, 2]


@pytest.mark.parametrize("widths", [(3, []), (3, [2, 0]), (0, [2])])
def test_widths_that_make_no_network(widths):
    with pytest.raises(ShapeError, match=r"MLP: \d inputs and layers of .* Give at least one layer"):
        MLP(*widths)
    with pytest.raises(ShapeError, match="Build it with bias=True"):
        with_weights(MLP(2, [1], bias=False), [(np.zeros((1, 2)), np.zeros(1))])


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "linear"])
def test_backpropagation_by_hand_is_torchs(hidden):
    torch = torch_or_skip()
    widths = (3, 5, 4, 2)
    weights = [RNG.standard_normal((above, below)) for below, above in pairwise(widths)]
    biases = [RNG.standard_normal(width) for width in widths[1:]]
    x, t = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 2))
    names = [hidden, hidden, "sigmoid"]
    done = forward(weights, biases, x, names)
    found = backward(weights, done, done.output - t, names)
    ws, bs = ([torch.tensor(value, requires_grad=True) for value in values] for values in (weights, biases))
    a, zs = torch.tensor(x), []
    for w, b, name in zip(ws, bs, names, strict=True):
        zs.append(a @ w.T + b)
        a = zs[-1] if name == "linear" else getattr(torch, name)(zs[-1])
    wanted = torch.autograd.grad(0.5 * ((torch.tensor(t) - a) ** 2).sum(), [*zs, *ws, *bs])
    for ours, theirs in zip([*found.deltas, *found.weights, *found.biases], wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-13)


def test_forward_by_hand_refuses():
    w, b, x = np.zeros((2, 3)), np.zeros(2), np.zeros((4, 3))
    with pytest.raises(ShapeError, match=r"layer 1 has weights \(2, 3\) and biases \(3,\) for inputs \(4, 3\)"):
        forward([w], [np.zeros(3)], x, ["relu"])
    with pytest.raises(ShapeError, match="1 weights, 1 biases, 2 activations"):
        forward([w], [b], x, ["relu", "relu"])
    with pytest.raises(DataError, match="'selu' of layer 1 is none of linear, sigmoid"):
        forward([w], [b], x, ["selu"])


def test_values_of_the_layers():
    net = MLP(3, [4, 2], activation_layer=nn.Sigmoid, output_layer=nn.Tanh)
    x = tgc.randn(5, 3)
    z, a = layer_values(net, x)
    assert [tuple(value.shape) for value in (*z, *a)] == [(5, 4), (5, 2), (5, 3), (5, 4), (5, 2)]
    assert_close(z[0].sigmoid(), a[1])
    assert_close(z[1].tanh(), a[2])
    assert_close(net(x), a[2])
    assert len(tgc.autograd.grad(a[2].sum(), z)) == 2


def inside(corners, points):
    """By counting how often a ray to the right crosses the sides, which knows nothing of half-planes."""
    found = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        between = (points[:, 1] < y1) != (points[:, 1] < y2)
        crossing = x1 + (points[:, 1] - y1) * (x2 - x1) / (y2 - y1 if y2 != y1 else 1.0)
        found ^= between & (points[:, 0] < crossing)
    return found


def test_regions_are_those_of_counted_crossings():
    points = RNG.uniform(-3, 3, (5000, 2))
    angles = np.sort(RNG.uniform(0, 2 * np.pi, 7))
    polygon = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    square = np.array([[1.5, 1.5], [1.5, 2.8], [2.8, 2.8], [2.8, 1.5]])  # clockwise
    fired = [net(tgc.tensor(points)).numpy()[:, 0] for net in (
        half_plane_network((1, -2), 0.5), polygon_network(polygon), region_network([polygon, square]))]
    np.testing.assert_array_equal(fired[0], points @ (1, -2) >= 0.5)
    np.testing.assert_array_equal(fired[1], inside(polygon, points))
    np.testing.assert_array_equal(fired[2], inside(polygon, points) | inside(square, points))


def test_corners_that_are_no_convex_polygon():
    star = np.stack([np.cos(0.8 * np.pi * np.arange(5)), np.sin(0.8 * np.pi * np.arange(5))], axis=1)
    for corners in (star, [[0, 0], [2, 0], [0.5, 0.5], [0, 2]]):
        with pytest.raises(DataError, match=r"once around a convex polygon. Cut it into convex ones"):
            polygon_network(corners)
    with pytest.raises(ShapeError, match=r"corners have the shape \(2, 2\), needed is \(K, 2\) with K >= 3"):
        region_network([[[0, 0], [1, 1]]])
    with pytest.raises(DataError, match="there is no polygon"):
        region_network([])


def test_bumps_are_stairs():
    net = bump_network(np.exp, 8, -1, 1)
    middle = np.linspace(-1, 1, 17)[1::2]
    for offset in (-0.1, 0, 0.1):  # a stair is 0.25 wide
        found = net(tgc.tensor(middle[:, None] + offset)).detach().numpy()
        np.testing.assert_allclose(found[:, 0], np.exp(middle), rtol=1e-3)
    with pytest.raises(DataError, match="0 bumps from -1 to 1 with steepness 100"):
        bump_network(np.exp, 0, -1, 1)


def test_best_monotone_is_that_of_scikit_learn():
    isotonic = pytest.importorskip("sklearn.isotonic")
    for slope in (0.05, -0.05):
        y = slope * np.arange(40) + RNG.standard_normal(40)
        wanted = isotonic.IsotonicRegression(increasing=slope > 0).fit_transform(np.arange(40), y)
        np.testing.assert_allclose(best_monotone(y), wanted, atol=1e-12)
    with pytest.raises(ShapeError, match=r"values have the shape \(0,\)"):
        best_monotone([])
