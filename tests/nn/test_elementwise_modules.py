"""Activations, dropouts, enlargements and the newer losses as modules, against PyTorch."""

import inspect

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError

rng = np.random.default_rng(0)

ACTIVATIONS = [
    ("CELU", {}), ("CELU", {"alpha": 0.5, "inplace": True}), ("ELU", {}), ("ELU", {"alpha": 0.5, "inplace": True}),
    ("GELU", {}), ("GELU", {"approximate": "tanh"}), ("GLU", {}), ("GLU", {"dim": 1}), ("Hardshrink", {"lambd": 0.3}),
    ("Hardswish", {"inplace": True}), ("Hardtanh", {}), ("LeakyReLU", {}), ("LogSigmoid", {}),
    ("Hardtanh", {"min_val": -2, "max_val": 0.5, "inplace": True}), ("LeakyReLU", {"negative_slope": 0.2, "inplace": True}),
    ("Mish", {}), ("PReLU", {}), ("PReLU", {"num_parameters": 4, "init": 0.1}), ("ReLU6", {}), ("ReLU6", {"inplace": True}),
    ("SELU", {}), ("SELU", {"inplace": True}), ("SiLU", {}), ("SiLU", {"inplace": True}), ("Softmax2d", {}),
    ("Softmin", {"dim": 1}), ("Softplus", {}), ("Softplus", {"beta": 2, "threshold": 1}), ("Softshrink", {}),
    ("Softsign", {}), ("Tanhshrink", {}), ("Threshold", {"threshold": 0.1, "value": 2}),
    ("Threshold", {"threshold": 0.1, "value": 2, "inplace": True}),
]  # fmt: skip
UPSAMPLINGS = [
    ("Upsample", {"scale_factor": 2}), ("Upsample", {"size": (5, 9), "mode": "bilinear"}),
    ("Upsample", {"scale_factor": (2.0, 1.5), "mode": "bilinear", "align_corners": True}),
    ("Upsample", {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
    ("UpsamplingBilinear2d", {"scale_factor": 2}), ("UpsamplingNearest2d", {"size": 7}),
]  # fmt: skip
DROPOUTS = ["Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"]
LOSSES = [
    ("BCELoss", {}), ("L1Loss", {}), ("SmoothL1Loss", {"beta": 0.5}), ("HuberLoss", {"delta": 0.4}), ("KLDivLoss", {}),
    ("KLDivLoss", {"log_target": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS + UPSAMPLINGS)
def test_values_gradients_and_repr(name, options):
    torch = torch_or_skip()
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(ours) == repr(theirs)
    if "inplace" in options:
        ours.inplace = theirs.inplace = False  # a leaf is not overwritten; the rest in test_in_place_layers.py
    compare_module(ours, theirs, rng.standard_normal((2, 4, 3, 6)))


def test_hardsigmoid():
    """Apart, because PyTorch's slope is 1/6 in float32 for float64 as well."""
    torch = torch_or_skip()
    x = rng.standard_normal((2, 3))
    assert repr(nn.Hardsigmoid()) == repr(torch.nn.Hardsigmoid())
    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y1, y2 = nn.Hardsigmoid()(ours), torch.nn.Hardsigmoid()(theirs)
    assert_close(y1, y2)
    y1.sum().backward()
    y2.sum().backward()
    assert_close(ours.grad, theirs.grad, rtol=1e-6)


WITH_ARGUMENTS = {name for name, options in ACTIVATIONS + UPSAMPLINGS + LOSSES if options} | set(DROPOUTS)


@pytest.mark.parametrize("name", sorted(WITH_ARGUMENTS))
def test_signatures(name):
    """PyTorch's names, order and defaults; old spellings, device and dtype are left out."""
    torch = torch_or_skip()

    def parameters(module):
        found = inspect.signature(module).parameters.values()
        return [(p.name, p.default) for p in found if p.name not in ("min_value", "max_value", "device", "dtype")]

    assert parameters(getattr(nn, name)) == parameters(getattr(torch.nn, name))


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropouts(name):
    torch = torch_or_skip()
    layer = getattr(nn, name)(0.3)
    assert repr(layer) == repr(getattr(torch.nn, name)(0.3))
    shape = {"Dropout1d": (50, 40, 3), "Dropout3d": (50, 40, 2, 1, 2)}.get(name, (50, 40, 2, 2))
    x = tgc.tensor(rng.standard_normal(shape), requires_grad=True)
    y = layer(x).detach().numpy()
    if name == "AlphaDropout":
        assert abs(y.mean()) < 0.1
        assert abs(y.std() - 1) < 0.1
    else:
        channels = np.isclose(y, x.detach().numpy() / 0.7).reshape(50, 40, -1)
        assert (channels.all(-1) | ~channels.any(-1)).all()  # whole channels
        assert 0.6 < channels[..., 0].mean() < 0.8
    layer.eval()
    np.testing.assert_array_equal(layer(x).detach().numpy(), x.detach().numpy())
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1\.5"):
        getattr(nn, name)(1.5)


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's of KLDivLoss with "mean"
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_losses(name, options, reduction):
    torch = torch_or_skip()
    if reduction == "batchmean" and name != "KLDivLoss":
        with pytest.raises(ValueError, match="batchmean"):
            getattr(nn, name)(reduction=reduction, **options)
        return
    ours, theirs = (getattr(m, name)(reduction=reduction, **options) for m in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    p, t = rng.uniform(0.1, 0.9, (2, 5, 3))
    compare_module(ours, theirs, np.log(p) if name == "KLDivLoss" else p, targets=(t,))


def test_weighted_bceloss():
    torch = torch_or_skip()
    p, t, w = rng.uniform(0.1, 0.9, (3, 5, 3))
    ours = nn.BCELoss(tgc.tensor(w))(tgc.tensor(p), tgc.tensor(t))
    assert_close(ours, torch.nn.BCELoss(torch.tensor(w))(torch.tensor(p), torch.tensor(t)))


def test_refusals():
    with pytest.raises(ShapeError, match=r"Softmax2d: expected \(N, C, H, W\) or \(C, H, W\), got \(2, 3\)"):
        nn.Softmax2d()(tgc.ones(2, 3))
    with pytest.raises(ValueError, match=r"Hardtanh: max_val \(0\) must be greater than min_val \(1\)"):
        nn.Hardtanh(1, 0)


def test_prelu_is_reset():
    layer = nn.PReLU(3, 0.1)
    with tgc.no_grad():
        layer.weight.mul_(2.0)
    layer.reset_parameters()
    np.testing.assert_allclose(layer.weight.detach().numpy(), 0.1, rtol=1e-6)
