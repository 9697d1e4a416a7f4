"""nn/utils/fusion.py: a layer and the batch norm behind it folded into one."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def trained(layer: Any, norm: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    net = nn.Sequential(layer, norm).double()
    for _ in range(3):
        net(tgc.randn(*shape, dtype="float64") * 2 + 1)
    with tgc.no_grad():
        norm.weight.copy_(tgc.randn(norm.num_features))
        norm.bias.copy_(tgc.randn(norm.num_features))
    net.eval()
    return layer, norm


@pytest.mark.parametrize("bias", [True, False])
def test_one_layer_computes_what_two_did(bias: bool) -> None:
    x = tgc.randn(2, 3, 7, 7, dtype="float64")
    conv, norm = trained(nn.Conv2d(3, 4, 3, stride=2, bias=bias), nn.BatchNorm2d(4), (5, 3, 7, 7))
    before = conv.weight.detach().numpy().copy()
    folded = fuse_conv_bn_eval(conv, norm)
    np.testing.assert_allclose(folded(x).detach().numpy(), norm(conv(x)).detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(conv.weight.detach().numpy(), before)
    x = tgc.randn(4, 3, dtype="float64")
    linear, norm = trained(nn.Linear(3, 4, bias=bias), nn.BatchNorm1d(4, affine=True), (5, 3))
    np.testing.assert_allclose(
        fuse_linear_bn_eval(linear, norm)(x).detach().numpy(), norm(linear(x)).detach().numpy(), rtol=1e-11, atol=1e-12
    )


def test_training_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"fuse_conv_bn_eval: folding is for inference.*eval\(\)"):
        fuse_conv_bn_eval(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="fuse_linear_bn_eval: the linear layer has 4 outputs, the batch norm 3"):
        fuse_linear_bn_eval(nn.Linear(2, 4).eval(), nn.BatchNorm1d(3).eval())
