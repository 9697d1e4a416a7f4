"""AlexNet against torchvision, AlexNet2012 against the numbers of the paper."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare
from tinygrad_course import models
from tinygrad_course.errors import ShapeError
from tinygrad_course.models.alexnet import response_norm


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def narrow(model, nn):
    """Nearly all parameters are in the fully connected layers: 64 units instead of 4096."""
    model.classifier[1] = nn.Linear(256 * 6 * 6, 64)
    model.classifier[4] = nn.Linear(64, 64)
    model.classifier[6] = nn.Linear(64, 20)


@pytest.fixture(scope="module")
def alexnet2012():
    tgc.manual_seed(0)
    return models.alexnet2012()


def test_names_shapes_and_parameters():
    assert count(check_names("alexnet")) == 61_100_840


def test_numbers():
    compare("alexnet", size=64, change=narrow)
    compare("alexnet", size=63, training=True, change=narrow, dropout=0.0)


def test_small_images_are_refused():
    with pytest.raises(ShapeError, match=r"AlexNet: images of 90 x 62 pixels are too small, the smallest are 63 x 63\."
                                         r"(.|\n)*in AlexNet\.features\.12 \(MaxPool2d"):
        models.AlexNet(num_classes=2)(tgc.zeros(1, 3, 90, 62))


def test_2012_parameters_are_those_of_the_table(alexnet2012):
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert [count(getattr(alexnet2012, layer)) for layer in layers] == [
        34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    assert count(alexnet2012) == 60_965_224


def test_2012_maps_have_the_sizes_of_the_paper(alexnet2012):
    shapes = {}

    def note(name):
        return lambda module, args, out: shapes.__setitem__(name, tuple(out.shape[1:]))
    handles = [module.register_forward_hook(note(name)) for name, module in alexnet2012.named_children()]
    with tgc.no_grad():
        alexnet2012.eval()(tgc.zeros(1, 3, 227, 227))
    for handle in handles:
        handle.remove()
    assert [shapes[name] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)]
    assert shapes["fc6"] == shapes["fc7"] == (4096,)
    assert shapes["fc8"] == (1000,)


def test_2012_initial_values(alexnet2012):
    biases = [value for key, value in alexnet2012.named_parameters() if key.endswith("bias")]
    assert [(bias.min().item(), bias.max().item()) for bias in biases] == [
        (0, 0), (1, 1), (0, 0), (1, 1), (1, 1), (1, 1), (1, 1), (0, 0)]
    for layer in (alexnet2012.conv1, alexnet2012.conv4, alexnet2012.fc7):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_response_norm_is_that_of_the_paper():
    """Section 3.3, written out: the sum runs over maps i - 2 to i + 2, as far as there are any."""
    x = np.random.default_rng(0).standard_normal((1, 7, 2, 2)) * 30
    expected = np.empty_like(x)
    for i in range(7):
        squares = sum(x[:, j] ** 2 for j in range(max(0, i - 2), min(6, i + 2) + 1))
        expected[:, i] = x[:, i] / (2 + 1e-4 * squares) ** 0.75
    np.testing.assert_allclose(response_norm()(tgc.tensor(x)).numpy(), expected, rtol=1e-12)


def test_2012_groups_are_two_gpus(alexnet2012):
    """conv4 sees only the maps of its own half; conv3 sees all."""
    for layer, crosses in ((alexnet2012.conv3, True), (alexnet2012.conv4, False)):
        x = tgc.randn(1, layer.in_channels, 3, 3, requires_grad=True)
        layer(x)[:, :layer.out_channels // 2].sum().backward()
        assert (x.grad[:, layer.in_channels // 2:].abs().max().item() > 0) == crosses


@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (1, 1, 227, 227), (3, 227, 227)])
def test_2012_refuses_other_images(alexnet2012, shape):
    with pytest.raises(ShapeError, match=r"AlexNet2012: input .*needed is \(N, 3, 227, 227\), .*, or take AlexNet,"):
        alexnet2012(tgc.zeros(*shape))
