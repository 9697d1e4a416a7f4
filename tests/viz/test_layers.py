"""Activations, weights, pre-activations and gradients: the numbers in the pictures are those of the layers."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, viz
from tinygrad_course.errors import DataError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)


class Net(nn.Module):
    """A convolution, a linear layer, and one that never runs."""

    def __init__(self):
        super().__init__()
        self.conv, self.head, self.unused, self.lstm = nn.Conv2d(1, 5, 3), nn.Linear(45, 7), nn.Linear(2, 2), nn.LSTM(7, 2)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.lstm(self.head(self.relu(self.conv(x)).flatten(1)))[0]


@pytest.fixture(scope="module")
def net():
    tgc.manual_seed(0)
    return Net()


X = np.random.default_rng(0).normal(size=(4, 1, 5, 5)).astype(np.float32)


class TestActivations:
    def test_maps_in_reading_order(self, net):
        ax = viz.plot_activations(net, "conv", tgc.tensor(X[:1]))
        shown = np.ma.filled(ax.images[0].get_array(), np.nan)
        maps = net.conv(tgc.tensor(X[:1])).detach().numpy()[0]
        assert shown.shape == (7, 11)  # 2 rows of 3 maps of 3 x 3, 1 cell between them
        for number, one in enumerate(maps):
            top, left = number // 3 * 4, number % 3 * 4
            np.testing.assert_array_equal(shown[top:top + 3, left:left + 3], one)
        assert np.isnan(shown[3]).all()
        assert np.isnan(shown[4:, 8:]).all()
        assert ax.images[0].get_clim() == pytest.approx((-np.abs(maps).max(), np.abs(maps).max()))
        assert (ax.get_title(), ax.get_xlabel()) == ("Activations of conv", "5 maps of 3 x 3")

    def test_from_zero_up(self, net):
        ax = viz.plot_activations(net, "relu", X[:1], max_maps=2, title="t")
        assert ax.images[0].get_clim()[0] == 0
        assert (ax.get_title(), ax.get_xlabel()) == ("t", "5 maps of 3 x 3, the first 2")
        assert viz.plot_activations(net, "relu", X[:1], ax=ax) is ax

    def test_units_are_folded(self, net):
        ax = viz.plot_activations(net, "head", X[:1])
        shown = np.ma.filled(ax.images[0].get_array(), np.nan).ravel()
        units = net.head(net.relu(net.conv(tgc.tensor(X[:1]))).flatten(1)).detach().numpy()[0]
        np.testing.assert_array_equal(shown, [*units, np.nan])
        assert ax.get_xlabel() == "7 units in reading order"

    def test_refuses_and_leaves_no_hook(self, net):
        with pytest.raises(ShapeError, match=r"'conv' gives the shape \(4, 5, 3, 3\).*x\[:1\]"):
            viz.plot_activations(net, "conv", X)
        with pytest.raises(DataError, match=r"no layer 'cnv'\. It has conv, head"):
            viz.plot_activations(net, "cnv", X)
        with pytest.raises(DataError, match="'unused' does not run for this input"):
            viz.plot_activations(net, "unused", X)
        with pytest.raises(DataError, match="'lstm' gives a tuple, no tensor"):
            viz.plot_activations(net, "lstm", X)
        with pytest.raises(ShapeError):
            viz.plot_activations(net, "conv", np.zeros((1, 2, 5, 5), np.float32))  # the model's own error
        assert not any(module._forward_hooks for module in net.modules())


GROUPS = {"first": np.repeat([1.0, 2.0], [30, 10]), "second": np.zeros((2, 3))}


class TestDistributions:

    def test_ridges(self):
        ax = viz.plot_distributions(GROUPS, title="t", x_label="weight (mV)")
        assert (ax.get_title(), ax.get_xlabel()) == ("t", "weight (mV)")
        assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
        assert ax.get_yticks().tolist() == [1, 0]
        values, edges, _ = ax.patches[0].get_data()
        heights = values - 1
        peaks = {round(edges[k], 1): heights[k] for k in np.flatnonzero(heights)}
        assert len(peaks) == 2
        (x1, tall), (x2, low) = sorted(peaks.items())
        assert 0.8 <= x1 <= 1 < 1.8 <= x2 <= 2
        assert low / tall == pytest.approx(1 / 3)
        assert [text.get_text() for text in ax.texts] == ["1.2 ± 0.43", "0 ± 0", "mean ± s.d."]
        assert viz.plot_distributions(GROUPS, ax=ax) is ax

    def test_boxes(self):
        values = np.arange(101.0)
        ax = viz.plot_distributions({"a": values}, kind="box")
        box = ax.patches[0]
        assert (box.get_x(), box.get_width()) == (25, 50)
        whisker, median, ends = (np.array(lines.get_segments())[..., 0] for lines in ax.collections)
        assert whisker.tolist() == [[1, 99]]
        assert median.tolist() == [[50, 50]]
        assert ends[:, 0].tolist() == [1, 99]

    def test_weights_of_a_model(self, net):
        ax = viz.plot_weight_histograms(net)
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert names == ["conv", "head", "unused", "lstm.weight_ih_l0", "lstm.weight_hh_l0"]
        weight = net.head.weight.detach().numpy()
        assert ax.texts[1].get_text() == f"{weight.mean():.2g} ± {weight.std():.2g}"
        assert ax.get_xlabel() == "weight"

    def test_preactivations(self, net):
        ax = viz.plot_preactivations(net, X, ["conv", "head"], kind="box")
        out = net.conv(tgc.tensor(X)).detach().numpy()
        assert ax.patches[0].get_x() == pytest.approx(np.percentile(out, 25))
        assert ax.texts[0].get_text() == f"{out.mean():.2g} ± {out.std():.2g}"
        assert ax.get_title() == "Pre-activations"
        ax = viz.plot_preactivations(nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2)), X[:, 0, 0])
        assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "2"]

    @pytest.mark.parametrize(("call", "says"), [
        (lambda: viz.plot_distributions({}), "there are no groups"),
        (lambda: viz.plot_distributions({"a": [1.0]}, kind="violin"), "kind is 'violin'. Give 'ridge' or 'box'"),
        (lambda: viz.plot_distributions({"a": [1.0, np.inf]}), "in 'a' 1 of 2 numbers are not finite"),
        (lambda: viz.plot_distributions({"a": []}), "in 'a' there are no numbers"),
        (lambda: viz.plot_weight_histograms(nn.ReLU()), "ReLU has no weights"),
        (lambda: viz.plot_preactivations(nn.ReLU(), X), "has no linear or convolutional layers"),
    ])
    def test_refuses(self, call, says):
        with pytest.raises(DataError, match=says):
            call()


class TestGradients:
    def test_norms(self):
        model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        with pytest.raises(DataError, match="no parameter of Sequential has a gradient"):
            viz.gradient_norms(model)
        model[2](model[0](tgc.ones(4, 3))).sum().backward()
        norms = viz.gradient_norms(model)
        expected = [np.sqrt((layer.weight.grad.numpy() ** 2).sum() + (layer.bias.grad.numpy() ** 2).sum())
                    for layer in (model[0], model[2])]
        assert list(norms) == ["0", "2"]
        np.testing.assert_allclose(list(norms.values()), expected, rtol=1e-6)
        ax = viz.plot_gradient_norms(model)
        assert [bar.get_x() + bar.get_width() for bar in ax.patches] == pytest.approx(expected)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "2"]
        assert ax.get_xscale() == "log"

    def test_zero_is_said(self):
        ax = viz.plot_gradient_norms({"a": 0.0, "b": 0.02})
        assert [text.get_text() for text in ax.texts] == ["zero", "0.02"]
        assert viz.plot_gradient_norms({"a": 0.0, "b": 0.0}).texts[1].get_text() == "zero"

    def test_over_steps(self):
        ax = viz.plot_gradient_norms({"a": [1.0, 0.0, 3.0], "b": [0.1, 0.2, 0.3]}, title="t")
        assert ax.get_yscale() == "log"
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [2, np.nan], [3, 3]])
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
        assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("t", "step", "norm of the gradient")
        assert viz.plot_gradient_norms({"a": [1.0]}, ax=ax) is ax

    @pytest.mark.parametrize(("norms", "says"), [
        ({}, "Give one number per layer"), ({"a": [1.0], "b": [1.0, 2.0]}, r"the shapes \[\(1,\), \(2,\)\]"),
        ({"a": -1.0}, "a norm is negative"),
    ])
    def test_refuses(self, norms, says):
        with pytest.raises(DataError, match=says):
            viz.plot_gradient_norms(norms)
