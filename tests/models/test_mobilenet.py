"""MobileNet against the tables of the paper, MobileNetV2 against torchvision."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare, compare_with
from tinygrad_course import models, nn
from tinygrad_course.models.blocks import Conv2dNormActivation, make_divisible


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def multiplications(model, size):
    """Of the convolutions and the classifier for one image: a product for each weight and each place where it is used."""
    total = []

    def add(module, args, out):
        places = out[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        total.append(module.weight.numel() * places)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(add)
    with tgc.no_grad():
        model.eval()(tgc.zeros(1, 3, size, size))
    return sum(total)


@pytest.mark.parametrize(("width", "parameters", "millions", "operations"), [
    (1.0, 4_231_976, 4.2, 569), (0.75, 2_585_560, 2.6, 325), (0.5, 1_331_592, 1.3, 149), (0.25, 470_072, 0.5, 41)])
def test_width_multiplier(width, parameters, millions, operations):
    """Table 6 of the paper: millions of parameters, and of multiplications with additions."""
    model = models.mobilenet_v1(width_mult=width)
    assert count(model) == parameters
    assert round(parameters / 1e6, 1) == millions
    assert round(multiplications(model, 224) / 1e6) == operations


@pytest.mark.parametrize(("size", "operations"), [(192, 418), (160, 290), (128, 186)])
def test_resolution_multiplier(size, operations):
    """Table 7 of the paper, which cuts decimals off in one row and rounds in the others."""
    model = models.mobilenet_v1(resolution_mult=size / 224)
    assert multiplications(model, 224) / 1e6 == pytest.approx(operations, abs=0.7)
    assert count(model) == 4_231_976


def test_layers_of_table_1():
    model = models.mobilenet_v1()
    assert [count(layer) for layer in model.features] == [
        928, 2_528, 9_152, 18_048, 34_688, 68_864, 134_912, *[268_800] * 5, 531_968, 1_061_888]
    sizes = []
    for layer in model.features:
        layer.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    with tgc.no_grad():
        assert model.eval()(tgc.zeros(1, 3, 224, 224)).shape == (1, 1000)
    assert sizes == [(32, 112, 112), (64, 112, 112), (128, 56, 56), (128, 56, 56), (256, 28, 28), (256, 28, 28),
                     *[(512, 14, 14)] * 6, (1024, 7, 7), (1024, 7, 7)]


def test_v1_is_what_pytorch_computes_layer_by_layer(torch):
    def rewritten(weights, h):
        values = iter([value for key, value in weights.items() if "running" not in key and "num_" not in key])
        strides = [2] + [stride for s in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1) for stride in (s, 1)]
        for index, stride in enumerate(strides):
            weight, scale, shift = next(values), next(values), next(values)
            groups = h.shape[1] if index % 2 == 1 else 1
            h = torch.conv2d(h, weight, None, stride, weight.shape[2] // 2, 1, groups)
            h = torch.nn.functional.batch_norm(h, None, None, scale, shift, training=True).relu()
        return h.mean((2, 3)) @ next(values).T + next(values)
    compare_with(rewritten, models.mobilenet_v1(num_classes=5, width_mult=0.25), 3, 3, 40, 40)


def test_v1_refuses_impossible_multipliers():
    for wrong in ({"width_mult": 0}, {"resolution_mult": 1.5}, {"resolution_mult": 0}):
        with pytest.raises(ValueError, match=r"width_mult must be positive and resolution_mult in \(0, 1\]"):
            models.mobilenet_v1(**wrong)
    assert count(models.mobilenet_v1(width_mult=0.01).features[0]) == 8 * 27 + 16  # 8 channels at least


def test_v2_names_shapes_and_parameters():
    assert count(check_names("mobilenet_v2")) == 3_504_872
    check_names("mobilenet_v2", width_mult=0.35)
    check_names("mobilenet_v2", width_mult=1.4, round_nearest=4, inverted_residual_setting=[[1, 8, 1, 1], [4, 12, 2, 2]])


def test_v2_numbers():
    compare("mobilenet_v2", size=64, num_classes=20)
    compare("mobilenet_v2", size=64, batch=3, training=True, num_classes=20, width_mult=0.35, dropout=0.0)


def test_v2_refuses_wrong_settings():
    for wrong in ([], [[1, 16, 1]], [[1, 16, 1, 1], [6, 24]]):
        with pytest.raises(ValueError, match=r"rows \(t, c, n, s\), got"):
            models.MobileNetV2(inverted_residual_setting=wrong)
    with pytest.raises(ValueError, match="stride should be 1 or 2 instead of 3"):
        models.MobileNetV2(inverted_residual_setting=[[1, 16, 1, 3]])


def test_make_divisible():
    assert [make_divisible(c) for c in (1, 11, 12, 18, 19, 32)] == [8, 16, 16, 24, 24, 32]
    for channels in range(1, 400):
        rounded = make_divisible(channels)
        assert rounded % 8 == 0
        assert rounded >= 0.9 * channels


def test_convolution_with_norm_and_activation():
    plain = Conv2dNormActivation(3, 8, 5, stride=2, norm_layer=None, activation_layer=None)
    assert [type(layer) for layer in plain] == [nn.Conv2d]
    assert plain[0].bias is not None
    assert plain(tgc.zeros(1, 3, 8, 8)).shape == (1, 8, 4, 4)
    dilated = Conv2dNormActivation(3, 8, 3, dilation=2, activation_layer=nn.Tanh, inplace=None)
    assert [type(layer) for layer in dilated] == [nn.Conv2d, nn.BatchNorm2d, nn.Tanh]
    assert dilated[0].bias is None
    assert dilated(tgc.zeros(2, 3, 8, 8)).shape == (2, 8, 8, 8)
