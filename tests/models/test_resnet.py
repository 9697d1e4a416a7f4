"""ResNet against torchvision, and its own switches."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare
from tinygrad_course import models, nn

PARAMETERS = {
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "resnext50_32x4d": 25_028_904, "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272, "wide_resnet50_2": 68_883_240, "wide_resnet101_2": 126_886_696,
}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_all_are_listed():
    assert sorted(PARAMETERS) == models.list_models(models.resnet)


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_shapes_and_parameters(name):
    assert count(check_names(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_numbers(name):
    compare(name, size=64, batch=1, num_classes=20)


def test_numbers_in_training():
    compare("resnet18", size=64, batch=3, training=True, num_classes=20)


def test_dilation_keeps_the_maps_large():
    compare("resnet50", size=48, batch=1, num_classes=5, replace_stride_with_dilation=[False, True, True])
    model = models.resnet50(num_classes=5, replace_stride_with_dilation=[False, True, True]).eval()
    sizes = []
    model.layer4.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape)))
    with tgc.no_grad():
        model(tgc.zeros(1, 3, 64, 64))
    assert sizes == [(1, 2048, 8, 8)]


def test_zero_init_residual_starts_blocks_as_the_identity():
    for name, last in [("resnet18", "bn2"), ("resnet50", "bn3")]:
        model = models.get_model(name, num_classes=2, zero_init_residual=True)
        block = model.layer1[1].eval()
        x = tgc.randn(1, block.conv1.in_channels, 4, 4).abs()
        np.testing.assert_array_equal(block(x).detach().numpy(), x.numpy())
        assert getattr(block, last).weight.abs().max().item() == 0
        assert block.bn1.weight.min().item() == 1


def test_initial_values_are_he_s_by_fan_out():
    tgc.manual_seed(0)
    model = models.resnet18()
    for layer in (model.conv1, model.layer2[0].conv1, model.layer2[0].downsample[0], model.layer4[1].conv2):
        fan_out = layer.out_channels * layer.kernel_size[0] ** 2
        assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_norm_layer_and_hooks_of_the_relu():
    """Batch norm, addition and ReLU are one op only where nobody wants to see what lies between."""
    model = models.resnet18(num_classes=2, norm_layer=lambda channels: nn.GroupNorm(8, channels))
    assert model(tgc.zeros(1, 3, 32, 32)).shape == (1, 2)
    model = models.resnet18(num_classes=2).eval()
    x = tgc.randn(1, 3, 64, 64)
    expected = model(x).detach().numpy()
    seen = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, args, out: seen.append(out))
    np.testing.assert_array_equal(model(x).detach().numpy(), expected)
    assert len(seen) == 17
    assert min(out.min().item() for out in seen) == 0


def test_basic_blocks_refuse_what_they_cannot():
    with pytest.raises(ValueError, match="groups=1 and base_width=64, got 1 and 128; take the block Bottleneck"):
        models.resnet18(width_per_group=128)
    with pytest.raises(NotImplementedError, match="take the block Bottleneck"):
        models.resnet18(replace_stride_with_dilation=[False, False, True])
    with pytest.raises(ValueError, match="3-element tuple"):
        models.resnet50(replace_stride_with_dilation=[True])
