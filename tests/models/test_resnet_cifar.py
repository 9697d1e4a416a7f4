"""The nets of section 4.2 of the ResNet paper, against its numbers and layers written in PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import compare_with
from tinygrad_course import models
from tinygrad_course.models.resnet_cifar import CIFARBlock


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("depth", "parameters", "millions"), [
    (20, 269_722, 0.27), (32, 464_154, 0.46), (44, 658_586, 0.66), (56, 853_018, 0.85), (110, 1_727_962, 1.73)])
def test_parameters_are_those_of_table_6(depth, parameters, millions):
    model = models.get_model(f"resnet{depth}")
    assert count(model) == parameters
    assert round(parameters / 1e6, 2) == millions
    assert sum(value.ndim > 1 for value in model.parameters()) == depth
    if depth != 110:
        assert count(models.get_model(f"plain{depth}")) == parameters


def test_parameters_of_20_layers_are_those_of_the_table():
    model = models.resnet20()
    assert count(model.conv1) + count(model.bn1) == 464
    assert [count(getattr(model, name)) for name in ("layer1", "layer2", "layer3", "linear")] == [
        14_016, 51_072, 203_520, 650]


def test_maps_have_the_sizes_of_the_table():
    model, sizes = models.plain20(num_classes=7), []
    for layer in (model.layer1, model.layer2, model.layer3):
        layer.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert model(tgc.randn(2, 3, 32, 32)).shape == (2, 7)
    assert sizes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_option_a_shortcut():
    """Every second pixel, new channels 0: what is left when the convolutions give 0."""
    block = CIFARBlock(2, 5, stride=2).eval()
    tgc.nn.init.zeros_(block.conv2.weight)
    x = np.random.default_rng(0).standard_normal((1, 2, 7, 6))
    y = block.double()(tgc.tensor(x)).detach().numpy()
    np.testing.assert_array_equal(y[:, :2], np.maximum(x[:, :, ::2, ::2], 0))
    assert y.shape == (1, 5, 4, 3)
    assert np.abs(y[:, 2:]).max() == 0


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
@pytest.mark.parametrize("training", [True, False])
def test_it_is_what_pytorch_computes_layer_by_layer(torch, name, training):
    F = torch.nn.functional

    def rewritten(weights, x):
        def norm(h, path):
            w = [weights[f"{path}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
            return F.batch_norm(h, *w, training=training)
        h = norm(F.conv2d(x, weights["conv1.weight"], padding=1), "bn1").relu()
        for layer in (1, 2, 3):
            for index in range(3):
                path, stride = f"layer{layer}.{index}", 2 if layer > 1 and index == 0 else 1
                g = norm(F.conv2d(h, weights[f"{path}.conv1.weight"], stride=stride, padding=1), f"{path}.bn1").relu()
                g = norm(F.conv2d(g, weights[f"{path}.conv2.weight"], padding=1), f"{path}.bn2")
                if name == "resnet20":
                    if stride == 2:
                        h = torch.cat([h[:, :, ::2, ::2], torch.zeros_like(h[:, :, ::2, ::2])], 1)
                    g = g + h
                h = g.relu()
        return F.linear(h.mean((2, 3)), weights["linear.weight"], weights["linear.bias"])
    compare_with(rewritten, models.get_model(name).train(training), 2, 3, 18, 15)


def test_impossible_depths_are_refused():
    for depth in (2, 21, 18):
        with pytest.raises(ValueError, match=rf"depth must be 6 n \+ 2 .*got {depth}"):
            models.ResNetCIFAR(depth)
