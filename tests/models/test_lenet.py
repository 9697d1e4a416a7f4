"""LeNet-5 against the numbers of the paper."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import ShapeError
from tinygrad_course.models import LeNet5


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_table():
    model = LeNet5()
    assert count(model) == 61_706
    assert [count(layer) for layer in (model.c1, model.c3, model.c5, model.f6, model.output)] == [
        156, 2_416, 48_120, 10_164, 850]
    assert count(model.s2) == count(model.s4) == 0


def test_maps_have_the_sizes_of_figure_2():
    shapes = {}
    model = LeNet5()
    for name, module in model.named_children():
        module.register_forward_hook(lambda module, args, out, name=name: shapes.__setitem__(name, tuple(out.shape)))
    model(tgc.zeros(2, 1, 32, 32))
    assert shapes == {"c1": (2, 6, 28, 28), "s2": (2, 6, 14, 14), "c3": (2, 16, 10, 10), "s4": (2, 16, 5, 5),
                      "c5": (2, 120), "f6": (2, 84), "output": (2, 10)}


def test_colour_and_other_numbers_of_classes():
    model = LeNet5(in_channels=3, num_classes=47)
    assert model(tgc.zeros(1, 3, 32, 32)).shape == (1, 47)
    assert count(model) == 61_706 + 2 * 6 * 25 + 37 * 85


def test_every_parameter_gets_a_gradient():
    tgc.manual_seed(0)
    model = LeNet5()
    model(tgc.randn(4, 1, 32, 32)).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        assert np.abs(parameter.grad.numpy()).max() > 0, name


def test_names_are_those_of_the_paper():
    assert list(LeNet5().state_dict()) == [
        f"{layer}.{kind}" for layer in ("c1", "c3", "c5", "f6", "output") for kind in ("weight", "bias")]


@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (1, 3, 32, 32), (32, 32), (1, 32, 32)])
def test_other_images_are_refused(shape):
    with pytest.raises(ShapeError, match=r"LeNet5: input .*needed is \(N, 1, 32, 32\), .*; colour needs LeNet5\(in_"):
        LeNet5()(tgc.zeros(*shape))
