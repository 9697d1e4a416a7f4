"""Losses for classes of unequal size, against scikit-learn and PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DataError, DTypeError, ShapeError
from tinygrad_course.testing import gradcheck
from tinygrad_course.train import SensitivityWeightedMSE, class_weights


def test_class_weights_are_those_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils")
    labels = np.random.default_rng(0).choice(4, 100, p=[0.6, 0.3, 0.08, 0.02])
    expected = utils.compute_class_weight("balanced", classes=np.arange(4), y=labels)
    for given in (labels, labels.tolist(), tgc.tensor(labels)):
        np.testing.assert_allclose(class_weights(given).numpy(), expected, rtol=1e-6)
    assert class_weights(labels).numpy()[labels].sum() == pytest.approx(100)


@pytest.mark.parametrize(("labels", "classes", "error", "match"), [
    ([0, 2, 2], None, DataError, "no sample of class 1"), ([0, 1], 3, DataError, "no sample of class 2"),
    ([0, 3], 3, DataError, "labels go from 0 to 3, allowed are 0 to 2"), ([-1, 1], None, DataError, "from -1 to 1"),
    ([[0, 1]], None, ShapeError, r"shape \(1, 2\)"), ([], None, ShapeError, r"shape \(0,\)"),
    ([0.0, 1.0], None, DTypeError, "float64")])
def test_what_has_no_weights(labels, classes, error, match):
    with pytest.raises(error, match=match):
        class_weights(labels, classes)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_sensitivity_weighted_mse_against_torch(reduction):
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    y, t, g = rng.standard_normal((6, 3)), (rng.random((6, 3)) > 0.7).astype(float), rng.standard_normal((6, 3))
    ours = tgc.tensor(y, requires_grad=True)
    loss = SensitivityWeightedMSE(5, reduction=reduction)(ours, tgc.tensor(t))
    theirs = torch.tensor(y, requires_grad=True)
    weights = torch.where(torch.tensor(t) > 0.5, 5.0, 1.0)
    expected = weights * (theirs - torch.tensor(t)) ** 2
    expected = expected if reduction == "none" else getattr(expected, reduction)()
    np.testing.assert_allclose(loss.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    upstream = g if reduction == "none" else np.asarray(g[0, 0])
    loss.backward(tgc.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


def test_a_ratio_of_one_is_the_mean_squared_error():
    y, t = tgc.randn(8, 2, dtype=tgc.float64, requires_grad=True), tgc.tensor(np.eye(2)[[0, 1] * 4])
    assert SensitivityWeightedMSE(1)(y, t).item() == pytest.approx(nn.MSELoss()(y, t).item(), rel=1e-12)
    assert gradcheck(lambda y: SensitivityWeightedMSE(3)(y, t), (y,))


def test_targets_of_minus_one_and_one():
    y, t = tgc.tensor([0.0, 0.0]), tgc.tensor([-1.0, 1.0])
    np.testing.assert_array_equal(SensitivityWeightedMSE(4, threshold=0, reduction="none")(y, t).numpy(), [1, 4])


def test_repr_and_wrong_settings():
    assert repr(SensitivityWeightedMSE(2)) == "SensitivityWeightedMSE(ratio=2, threshold=0.5, reduction='mean')"
    for ratio in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="give a positive number"):
            SensitivityWeightedMSE(ratio)
    with pytest.raises(ShapeError):
        SensitivityWeightedMSE(2)(tgc.zeros(4, 1), tgc.zeros(4))


def test_a_larger_ratio_finds_more_positives():
    rng = np.random.default_rng(0)
    t = (rng.random(400) < 0.1).astype(np.float32)[:, None]
    x = tgc.tensor((rng.standard_normal((400, 1)) + 1.5 * t).astype(np.float32))
    found = []
    for ratio in (1, 9):
        tgc.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid())
        optimizer = tgc.optim.Adam(model.parameters(), 0.1)
        for _ in range(150):
            optimizer.zero_grad()
            SensitivityWeightedMSE(ratio)(model(x), tgc.tensor(t)).backward()
            optimizer.step()
        yes = model(x).detach().numpy() > 0.5
        found.append((yes[t == 1].mean(), yes[t == 0].mean()))  # sensitivity, false alarms
    (few, quiet), (many, loud) = found
    assert few < 0.4 < 0.6 < many
    assert quiet < loud < 0.4
