"""ZFNet against the numbers of the paper and layers written in PyTorch."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import compare_with
from tinygrad_course import models, nn
from tinygrad_course.errors import ShapeError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def zfnet():
    tgc.manual_seed(0)
    return models.zfnet()


def test_parameters_are_those_of_the_table(zfnet):
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert [count(getattr(zfnet, layer)) for layer in layers] == [
        14_208, 614_656, 1_180_160, 4_719_616, 4_719_104, 75_501_568, 16_781_312, 4_097_000]
    assert count(zfnet) == 107_627_624
    assert count(models.ZFNet(filters=(384, 384, 256))) == 62_357_608


def test_initial_values(zfnet):
    for layer in (zfnet.conv1, zfnet.conv5, zfnet.fc8):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert layer.bias.abs().max().item() == 0


def test_maps_have_the_sizes_of_figure_3_and_pytorch_computes_the_same(torch):
    F = torch.nn.functional

    def rewritten(weights, h):
        def conv(h, name, **options):
            return F.conv2d(h, weights[f"{name}.weight"], weights[f"{name}.bias"], **options).relu()

        def pool(h):
            return F.max_pool2d(h, 3, 2, ceil_mode=True)

        def linear(h, name):
            return F.linear(h, weights[f"{name}.weight"], weights[f"{name}.bias"])
        h = F.local_response_norm(pool(conv(h, "conv1", stride=2, padding=1)), 5, alpha=5e-4, beta=0.75, k=2.0)
        h = F.local_response_norm(pool(conv(h, "conv2", stride=2)), 5, alpha=5e-4, beta=0.75, k=2.0)
        h = conv(conv(conv(h, "conv3", padding=1), "conv4", padding=1), "conv5", padding=1)
        h = linear(pool(h).flatten(1), "fc6").relu()
        return linear(linear(h, "fc7").relu(), "fc8")
    model, sizes = models.ZFNet(num_classes=5, filters=(24, 32, 16)).eval(), {}
    model.fc6, model.fc7, model.fc8 = nn.Linear(16 * 36, 64), nn.Linear(64, 64), nn.Linear(64, 5)  # narrow: quick

    def note(name):
        return lambda module, args, out: sizes.__setitem__(name, tuple(out.shape[1:]))
    for name, child in model.named_children():
        child.register_forward_hook(note(name))
    compare_with(rewritten, model, 1, 3, 224, 224)
    assert [sizes[name] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")] == [
        (96, 110, 110), (96, 55, 55), (256, 26, 26), (256, 13, 13), (24, 13, 13), (32, 13, 13), (16, 13, 13), (16, 6, 6)]


@pytest.mark.parametrize("shape", [(1, 3, 227, 227), (1, 1, 224, 224), (3, 224, 224)])
def test_other_images_are_refused(zfnet, shape):
    with pytest.raises(ShapeError, match=r"ZFNet: input .*needed is \(N, 3, 224, 224\), .* Resize images of another size\."):
        zfnet(tgc.zeros(*shape))
