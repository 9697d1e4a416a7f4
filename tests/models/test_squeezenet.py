"""SqueezeNet against torchvision."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare
from tinygrad_course import models
from tinygrad_course.errors import ShapeError


@pytest.mark.parametrize(("name", "parameters"), [("squeezenet1_0", 1_248_424), ("squeezenet1_1", 1_235_496)])
def test_names_shapes_and_parameters(name, parameters):
    assert sum(parameter.numel() for parameter in check_names(name).parameters()) == parameters


def test_numbers():
    compare("squeezenet1_0", size=64, num_classes=20)
    compare("squeezenet1_1", size=50, training=True, num_classes=20, dropout=0.0)


@pytest.mark.parametrize(("name", "smallest", "layer"), [("squeezenet1_0", 21, r"features\.11 \(MaxPool2d"),
                                                         ("squeezenet1_1", 17, r"features\.8 \(MaxPool2d")])
def test_small_images_are_refused(name, smallest, layer):
    model = models.get_model(name, num_classes=3)
    assert model(tgc.zeros(1, 3, smallest, smallest)).shape == (1, 3)
    with pytest.raises(ShapeError, match=rf"SqueezeNet: images of 30 x {smallest - 1} pixels are too small, the smallest are "
                                         rf"{smallest} x {smallest}\.(.|\n)*in SqueezeNet\.{layer}"):
        model(tgc.zeros(1, 3, 30, smallest - 1))


def test_other_versions_are_refused():
    with pytest.raises(ValueError, match="Unsupported SqueezeNet version 2_0: 1_0 or 1_1 expected"):
        models.SqueezeNet("2_0")


def test_initial_values():
    tgc.manual_seed(0)
    model = models.squeezenet1_1()
    assert model.classifier[1].weight.std().item() == pytest.approx(0.01, rel=0.02)
    weight = model.features[12].expand3x3.weight  # uniform in +- sqrt(6 / fan_in)
    assert weight.abs().max().item() == pytest.approx((6 / (64 * 9)) ** 0.5, rel=0.01)
    assert max(bias.abs().max().item() for key, bias in model.named_parameters() if key.endswith("bias")) == 0
