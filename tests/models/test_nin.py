"""Network in network against the numbers of its authors' nets and layers written in PyTorch."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import compare_with
from tinygrad_course import models, nn
from tinygrad_course.errors import ShapeError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def sizes_of(model, *shape):
    sizes = []
    for child in model.children():
        if not isinstance(child, nn.Dropout):
            child.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    with tgc.no_grad():
        model(tgc.randn(*shape))
    return sizes


def test_parameters_are_those_of_the_tables():
    model = models.nin()
    assert [count(block) for block in (model.block1, model.block2, model.block3, model.block4)] == [
        53_568, 746_240, 1_180_800, 5_614_568]
    assert count(model) == 7_595_176
    model = models.nin_cifar()
    assert [count(block) for block in (model.block1, model.block2, model.block3)] == [60_928, 535_104, 370_954]
    assert count(model) == 966_986


def test_maps_have_the_sizes_of_the_tables():
    assert sizes_of(models.nin(), 1, 3, 224, 224) == [
        (96, 54, 54), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 6, 6), (1000, 6, 6), (1000, 1, 1)]
    assert sizes_of(models.nin_cifar(num_classes=100), 1, 3, 32, 32) == [
        (96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 8, 8), (100, 8, 8), (100, 1, 1)]


@pytest.mark.parametrize(("name", "size"), [("nin", 67), ("nin_cifar", 17)])
def test_it_is_what_pytorch_computes_layer_by_layer(torch, name, size):
    F = torch.nn.functional

    def rewritten(weights, h):
        values = iter(weights.values())
        for block in range(4 if name == "nin" else 3):
            for _ in range(3):
                weight, bias = next(values), next(values)
                stride, padding = (4, 0) if weight.shape[2] == 11 else (1, weight.shape[2] // 2)
                h = F.conv2d(h, weight, bias, stride, padding).relu()
            if name == "nin_cifar" and block == 1:
                h = F.avg_pool2d(h, 3, 2, ceil_mode=True)
            elif block < (3 if name == "nin" else 2):
                h = F.max_pool2d(h, 3, 2, ceil_mode=True)
        return h.mean((2, 3))
    compare_with(rewritten, models.get_model(name, num_classes=10).eval(), 2, 3, size, size)


@pytest.mark.parametrize(("name", "smallest", "layer"), [("nin", 39, r"NIN\.pool3 \(MaxPool2d"),
                                                         ("nin_cifar", 4, r"NINCIFAR\.pool2 \(AvgPool2d")])
def test_small_images_are_refused(name, smallest, layer):
    model = models.get_model(name)
    assert model(tgc.zeros(1, 3, smallest, smallest)).ndim == 2
    with pytest.raises(ShapeError, match=rf"images of 50 x {smallest - 1} pixels are too small, the smallest are "
                                         rf"{smallest} x {smallest}\.(.|\n)*in {layer}"):
        model(tgc.zeros(1, 3, 50, smallest - 1))
