"""Slices through a loss: the heights, the directions, and that the weights come back."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, viz
from tinygrad_course.errors import DataError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)


@pytest.fixture
def net():
    tgc.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 1)).eval()


def squares(net):
    """The loss sum w^2: its slices are parabolas."""
    return lambda: sum((p * p).sum() for p in net.parameters())


def same(net, before):
    return all(np.array_equal(p.detach().numpy(), before[name]) for name, p in net.named_parameters())


def test_random_directions_are_as_long_as_the_filters(net):
    direction = viz.random_direction(net, tgc.Generator().manual_seed(1))
    for name, weight in viz.weights_of(net).items():
        assert direction[name].shape == weight.shape
        if weight.ndim == 1:
            assert not direction[name].any()  # biases and batch normalisation stay
            continue
        flat, wanted = direction[name].reshape(len(weight), -1), weight.reshape(len(weight), -1)
        np.testing.assert_allclose(np.linalg.norm(flat, axis=1), np.linalg.norm(wanted, axis=1), rtol=1e-5)
    again = viz.random_direction(net, tgc.Generator().manual_seed(1))
    assert all(np.array_equal(direction[name], again[name]) for name in direction)
    other = viz.random_direction(net, tgc.Generator().manual_seed(2))
    assert not np.allclose(direction["0.weight"], other["0.weight"])


def test_heights_of_a_slice(net):
    before = viz.weights_of(net)
    first, second = (viz.random_direction(net, tgc.Generator().manual_seed(seed)) for seed in (1, 2))
    a, b = np.array([-0.5, 0.0, 2.0]), np.array([0.0, 1.0])
    heights = viz.loss_slice(net, squares(net), [first, second], a, b)
    expected = [[sum(np.sum((before[n] + i * first[n] + j * second[n]) ** 2) for n in before) for j in b] for i in a]
    np.testing.assert_allclose(heights, expected, rtol=1e-5)
    assert same(net, before)


def test_weights_come_back_after_an_error(net):
    before = viz.weights_of(net)

    def fail():
        raise KeyError("batch")
    with pytest.raises(KeyError):
        viz.loss_slice(net, fail, [viz.random_direction(net)], np.array([1.0]))
    assert same(net, before)


def test_line(net):
    before = viz.weights_of(net)
    zero, one = ({name: np.full_like(values, number) for name, values in before.items()} for number in (0.0, 1.0))
    size = sum(values.size for values in before.values())
    ax = viz.plot_loss_line(net, {"train": squares(net), "test": lambda: 5.0}, zero, one, span=(-1, 2), points=4,
                            names=("nothing", "ones"))
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[a, size * a * a] for a in (-1, 0, 1, 2)], rtol=1e-6)
    assert ax.lines[1].get_ydata().tolist() == [5] * 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "test"]
    assert [text.get_text() for text in ax.texts] == ["nothing", "ones"]
    assert ax.get_xlabel() == "way from nothing (0) to ones (1)"
    assert same(net, before)
    assert viz.plot_loss_line(net, squares(net), dict(net.state_dict()), one, points=3, ax=ax) is ax


def test_surface(net):
    before = viz.weights_of(net)
    ax = viz.plot_loss_surface(net, squares(net), points=5, span=2, generator=tgc.Generator().manual_seed(1), title="t",
                               unit="squares")
    assert (ax.get_title(), ax.get_xlabel()) == ("t", "step along direction 1")
    assert ax.get_xlim() == ax.get_ylim() == (-2, 2)
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "squares"
    gen = tgc.Generator().manual_seed(1)
    directions = [viz.random_direction(net, gen), viz.random_direction(net, gen)]
    ticks = np.linspace(-2, 2, 5)
    heights = viz.loss_slice(net, squares(net), directions, ticks, ticks)
    assert bar.get_ylim() == pytest.approx((heights.min(), heights.max()))
    assert same(net, before)


def test_upwards_is_the_second_direction(net):
    zero = {name: np.zeros_like(values) for name, values in viz.weights_of(net).items()}
    first, second = (zero | {"3.bias": np.array([number], np.float32)} for number in (0.0, 1.0))
    ax = viz.plot_loss_surface(net, lambda: net[3].bias.sum(), [first | {"3.weight": np.ones((1, 3), np.float32)}, second],
                               points=3)
    lowest = ax.collections[0].get_paths()[0].vertices
    assert lowest[:, 1].max() < -0.8  # a band along direction 1
    assert np.ptp(lowest[:, 0]) == 2


def test_path_lies_in_its_plane(net):
    end = viz.weights_of(net)
    rng = np.random.default_rng(0)
    u, v = ({name: rng.normal(size=values.shape) for name, values in end.items()} for _ in range(2))
    steps = np.array([[3.0, 1.0], [2.0, -1.0], [1.0, 0.5], [0.0, 0.0]])
    path = [{name: end[name] + a * u[name] + b * v[name] for name in end} for a, b in steps]
    ax = viz.plot_loss_surface(net, squares(net), [u, v], path=path, points=3)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), steps, atol=1e-5)
    assert ax.get_xlim() == pytest.approx((-0.6, 3.6), abs=1e-5)
    directions = viz.path_directions(net, path)
    flat = np.stack([np.concatenate([d[name].ravel() for name in end]) for d in directions])
    np.testing.assert_allclose(flat @ flat.T, np.eye(2), atol=1e-6)
    shadow = viz.plot_loss_surface(net, squares(net), directions, path=path, points=2).lines[0].get_xydata()
    lengths = [np.sqrt(sum(np.sum((p[name] - end[name]) ** 2) for name in end)) for p in path]
    np.testing.assert_allclose(np.linalg.norm(shadow, axis=1), lengths, rtol=1e-5, atol=1e-6)  # all of it is in the plane


def test_wide_ranges_are_logarithmic(net):
    zero = {name: np.zeros_like(values) for name, values in viz.weights_of(net).items()}
    along = zero | {"3.bias": np.ones(1, np.float32)}

    def bar(factor):
        ax = viz.plot_loss_surface(net, lambda: (factor * net[3].bias).exp(), [along, zero], points=3)
        return ax.figure.axes[1].get_yscale() == "log"
    assert not bar(0.1)
    assert bar(4.0)


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda net, w: viz.plot_loss_surface(net, squares(net), [w]), DataError, "1 directions. Give two"),
    (lambda net, w: viz.loss_slice(net, squares(net), [{}], np.ones(1)), DataError, "nothing for the parameter '0.weight'"),
    (lambda net, w: viz.plot_loss_line(net, squares(net), w, w | {"3.bias": np.ones(2)}), ShapeError,
     r"'3.bias' .* the shape \(2,\), the model \(1,\)"),
    (lambda net, w: viz.path_directions(net, [w]), DataError, "1 settings. Give two or more"),
    (lambda net, w: viz.plot_loss_surface(net, lambda: float("nan"), points=2), DataError, "nowhere a number"),
])
def test_refuses(net, call, error, says):
    with pytest.raises(error, match=says):
        call(net, viz.weights_of(net))
