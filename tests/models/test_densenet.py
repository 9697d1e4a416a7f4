"""DenseNet against torchvision, DenseNet-BC for small images against the numbers of the paper."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare
from tinygrad_course import models
from tinygrad_course.errors import ShapeError

PARAMETERS = {"densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480, "densenet201": 20_013_928}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_shapes_and_parameters(name):
    assert count(check_names(name)) == PARAMETERS[name]


def test_numbers():
    compare("densenet121", size=64, num_classes=20)


@pytest.mark.parametrize("memory_efficient", [False, True])
def test_numbers_in_training(memory_efficient):
    """Checkpoints run batch norms twice, in torchvision too: the running averages are part of the comparison."""
    compare("densenet121", size=64, training=True, num_classes=20, memory_efficient=memory_efficient)


def test_memory_efficient_keeps_less():
    kept = []
    for memory_efficient in (False, True):
        tgc.manual_seed(0)
        model = models.DenseNet(8, (16,), 16, num_classes=2, memory_efficient=memory_efficient)
        y = model(tgc.randn(2, 3, 64, 64)).sum()
        kept.append(tgc.graph_memory(y).total)
        y.backward()
    assert kept[1] < 0.6 * kept[0]


def test_dropout_behind_each_layer():
    model = models.DenseNet(8, (2,), 16, num_classes=2, drop_rate=0.5)
    layer = model.features.denseblock1["denselayer1"]
    x = tgc.randn(4, 16, 8, 8)
    assert 0.4 < (layer(x) == 0).float().mean().item() < 0.6
    assert (layer.eval()(x) == 0).float().mean().item() == 0
    np.testing.assert_array_equal(layer(x).detach().numpy(), layer([x[:, :9], x[:, 9:]]).detach().numpy())


@pytest.mark.parametrize(("depth", "growth_rate", "parameters", "millions"), [
    (100, 12, 769_162, 0.8), (250, 24, 15_324_406, 15.3), (190, 40, 25_624_430, 25.6)])
def test_cifar_parameters_are_those_of_table_2(depth, growth_rate, parameters, millions):
    assert count(models.DenseNetCIFAR(depth, growth_rate)) == parameters
    assert round(parameters / 1e6, 1) == millions


def test_cifar_has_as_many_layers_as_its_depth():
    model = models.densenet_cifar(depth=40, num_classes=7)
    weights = [value for key, value in model.named_parameters() if value.ndim > 1]
    assert len(weights) == 40
    sizes = []
    for name in ("denseblock1", "denseblock2", "denseblock3"):
        getattr(model.features, name).register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert model(tgc.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert sizes == [(24 + 72, 32, 32), (48 + 72, 16, 16), (60 + 72, 8, 8)]
    with pytest.raises(ValueError, match=r"depth must be 6 n \+ 4 .*got 41"):
        models.densenet_cifar(depth=41)


@pytest.mark.parametrize(("name", "smallest", "layer"), [("densenet121", 29, r"transition3\.pool \(AvgPool2d"),
                                                         ("densenet_cifar", 4, r"transition2\.pool \(AvgPool2d")])
def test_small_images_are_refused(name, smallest, layer):
    model = models.get_model(name, num_classes=3).eval()
    assert model(tgc.zeros(1, 3, smallest, smallest)).shape == (1, 3)
    with pytest.raises(ShapeError, match=rf"images of {smallest - 1} x 40 pixels are too small, the smallest are "
                                         rf"{smallest} x {smallest}\.(.|\n)*in DenseNet.*\.features\.{layer}"):
        model(tgc.zeros(1, 3, smallest - 1, 40))
