"""VGG against torchvision."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare
from tinygrad_course import models
from tinygrad_course.errors import ShapeError

PARAMETERS = {
    "vgg11": 132_863_336, "vgg11_bn": 132_868_840, "vgg13": 133_047_848, "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544, "vgg16_bn": 138_365_992, "vgg19": 143_667_240, "vgg19_bn": 143_678_248,
}


def test_all_are_listed():
    assert sorted(PARAMETERS) == models.list_models(models.vgg)


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_shapes_and_parameters(name):
    model = check_names(name, init_weights=False)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def narrow(model, nn):
    """Nearly all parameters are in the first fully connected layers: 64 units instead of 4096."""
    model.classifier[0] = nn.Linear(512 * 7 * 7, 64)
    model.classifier[3] = nn.Linear(64, 64)
    model.classifier[6] = nn.Linear(64, 20)


@pytest.mark.parametrize("name", ["vgg11", "vgg19_bn"])
def test_numbers(name):
    compare(name, size=32, batch=2, change=narrow, init_weights=False)


def test_numbers_in_training():
    compare("vgg13_bn", size=32, batch=4, training=True, change=narrow, init_weights=False, dropout=0.0)


@pytest.fixture(scope="module")
def vgg11():
    tgc.manual_seed(0)
    return models.vgg11(num_classes=2)


def test_initial_values(vgg11):
    """He's, by fan_out, for convolutions; a standard deviation of 0.01 for fully connected layers; no bias."""
    for layer, std in [(vgg11.features[0], (2 / (64 * 9)) ** 0.5), (vgg11.features[18], (2 / (512 * 9)) ** 0.5),
                       (vgg11.classifier[3], 0.01), (vgg11.classifier[6], 0.01)]:
        assert layer.weight.std().item() == pytest.approx(std, rel=0.1)
        assert layer.bias.abs().max().item() == 0


def test_small_images_are_refused(vgg11):
    with pytest.raises(ShapeError, match=r"VGG: images of 31 x 40 pixels are too small, the smallest are 32 x 32\.(.|\n)*"
                                         r"in VGG\.features\.20 \(MaxPool2d"):
        vgg11(tgc.zeros(1, 3, 31, 40))
    assert vgg11(tgc.zeros(1, 3, 32, 32)).shape == (1, 2)
