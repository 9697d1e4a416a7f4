"""Losses: values and gradients against PyTorch and against NumPy, mistakes that must not pass silently."""

import itertools

import numpy as np
import pytest

import tinygrad_course as tgc
import tinygrad_course.nn.functional as F
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, ShapeError

rng = np.random.default_rng(5)
LOGITS = {shape: rng.standard_normal(shape) for shape in [(6, 4), (4,), (2, 4, 3), (2, 4, 3, 5)]}
WEIGHT = rng.uniform(0.2, 2.0, 4)
REDUCTIONS = ("mean", "sum", "none")


def classes(shape):
    target = np.random.default_rng(1).integers(0, 4, (shape[:1] + shape[2:]) if len(shape) > 1 else ())
    return target.astype(np.int64)


def probabilities(shape):
    axis = 1 if len(shape) > 1 else 0
    p = np.random.default_rng(2).uniform(0.1, 1.0, shape)
    return p / p.sum(axis, keepdims=True)


def compare(name, x, target, tensors=None, **options):
    """The same loss in both libraries: value and gradients with a random upstream gradient."""
    torch = torch_or_skip()
    tensors = tensors or {}
    float_target = target.dtype.kind == "f"
    x1, x2 = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    t1 = tgc.tensor(target, requires_grad=float_target)
    t2 = torch.tensor(target, requires_grad=float_target)
    y1 = getattr(nn, name)(**{k: tgc.tensor(v) for k, v in tensors.items()}, **options)(x1, t1)
    y2 = getattr(torch.nn, name)(**{k: torch.tensor(v) for k, v in tensors.items()}, **options)(x2, t2)
    assert_close(y1, y2)
    g = np.random.default_rng(3).standard_normal(tuple(y1.shape))
    y1.backward(tgc.tensor(g))
    y2.backward(torch.tensor(g))
    assert_close(x1.grad, x2.grad, what="gradient of the input")
    if float_target:
        assert_close(t1.grad, t2.grad, what="gradient of the target")


@pytest.mark.parametrize(("shape", "weighted", "smoothing", "reduction", "ignored"), list(itertools.product(
    LOGITS, (False, True), (0.0, 0.1), REDUCTIONS, (False, True))))
def test_cross_entropy_with_classes(shape, weighted, smoothing, reduction, ignored):
    target = classes(shape)
    ignore = int(target.flat[0]) if ignored and len(shape) > 1 else -100
    compare("CrossEntropyLoss", LOGITS[shape], target, {"weight": WEIGHT} if weighted else {},
            label_smoothing=smoothing, reduction=reduction, ignore_index=ignore)


@pytest.mark.parametrize(("shape", "weighted", "smoothing", "reduction"), list(itertools.product(
    LOGITS, (False, True), (0.0, 0.1), REDUCTIONS)))
def test_cross_entropy_with_probabilities(shape, weighted, smoothing, reduction):
    compare("CrossEntropyLoss", LOGITS[shape], probabilities(shape), {"weight": WEIGHT} if weighted else {},
            label_smoothing=smoothing, reduction=reduction)


@pytest.mark.parametrize(("shape", "weighted", "reduction", "ignored"), list(itertools.product(
    LOGITS, (False, True), REDUCTIONS, (False, True))))
def test_nll(shape, weighted, reduction, ignored):
    target = classes(shape)
    ignore = int(target.flat[0]) if ignored and len(shape) > 1 else -100
    compare("NLLLoss", LOGITS[shape], target, {"weight": WEIGHT} if weighted else {}, reduction=reduction,
            ignore_index=ignore)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 3, 4), ()])
def test_mse(shape, reduction):
    r = np.random.default_rng(4)
    compare("MSELoss", r.standard_normal(shape), r.standard_normal(shape), reduction=reduction)


@pytest.mark.parametrize(("weight", "pos_weight", "reduction"), list(itertools.product(
    (None, (4,), (5, 1)), (None, (4,)), REDUCTIONS)))
def test_bce_with_logits(weight, pos_weight, reduction):
    r = np.random.default_rng(6)
    tensors = {"weight": weight, "pos_weight": pos_weight}
    compare("BCEWithLogitsLoss", 3 * r.standard_normal((5, 4)), r.uniform(0, 1, (5, 4)),
            {k: r.uniform(0.5, 3, shape) for k, shape in tensors.items() if shape}, reduction=reduction)


def test_values_by_numpy():
    x, t = LOGITS[6, 4], classes((6, 4))
    logp = x - np.log(np.exp(x).sum(1, keepdims=True))
    picked = -logp[np.arange(6), t]
    w = WEIGHT[t]
    tensors = tgc.tensor(x), tgc.tensor(t)
    assert F.cross_entropy(*tensors).item() == pytest.approx(picked.mean())
    assert F.cross_entropy(*tensors, tgc.tensor(WEIGHT)).item() == pytest.approx((picked * w).sum() / w.sum())
    assert F.cross_entropy(*tensors, ignore_index=int(t[0])).item() == pytest.approx(picked[t != t[0]].mean())
    assert F.nll_loss(tgc.tensor(logp), tensors[1]).item() == pytest.approx(picked.mean())
    one_hot = F.one_hot(tensors[1], 4).double()
    assert F.cross_entropy(tensors[0], one_hot).item() == pytest.approx(picked.mean())
    y = np.array([0.0, 1.0, 0.5])
    z = np.array([-2.0, 3.0, 0.1])
    s = 1 / (1 + np.exp(-z))
    expected = -(y * np.log(s) + (1 - y) * np.log(1 - s))
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(tgc.tensor(z), tgc.tensor(y), reduction="none").numpy(), expected)
    assert F.mse_loss(tgc.tensor(z), tgc.tensor(y), reduction="sum").item() == pytest.approx(((z - y)**2).sum())


def test_extreme_logits_stay_finite():
    x = tgc.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = F.cross_entropy(x, tgc.tensor([1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert np.isfinite(x.grad.numpy()).all()
    z = tgc.tensor([1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(z, tgc.tensor([0.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(5e3)
    assert np.isfinite(z.grad.numpy()).all()


def test_all_samples_ignored():
    x, t = tgc.zeros(2, 3), tgc.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, t).item())
    assert F.cross_entropy(x, t, reduction="sum").item() == 0.0


def test_weights_are_buffers_as_in_torch():
    torch = torch_or_skip()
    for name, given in (("CrossEntropyLoss", ["weight"]), ("NLLLoss", ["weight"]),
                        ("BCEWithLogitsLoss", ["weight", "pos_weight"])):
        ours = getattr(nn, name)(**{key: tgc.ones(3) for key in given})
        theirs = getattr(torch.nn, name)(**{key: torch.ones(3) for key in given})
        assert list(ours.state_dict()) == list(theirs.state_dict())


def test_old_arguments_of_torch():
    x, t = tgc.tensor(LOGITS[6, 4]), tgc.tensor(classes((6, 4)))
    with pytest.warns(UserWarning, match="reduction='sum'"):
        loss = nn.CrossEntropyLoss(size_average=False)
    assert loss(x, t).item() == F.cross_entropy(x, t, reduction="sum").item()
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert nn.MSELoss(reduce=False).reduction == "none"


# ---- mistakes ---------------------------------------------------------------------------------------------------

x64 = tgc.zeros(64, 10)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: F.mse_loss(tgc.zeros(8, 1), tgc.zeros(8)), ShapeError, r"\(8, 1\).*\(8,\).*(squeeze|unsqueeze)"),
    (lambda: F.mse_loss(tgc.zeros(8), tgc.zeros(8, 1)), ShapeError, r"\(8,\).*\(8, 1\).*(squeeze|unsqueeze)"),
    (lambda: F.mse_loss(tgc.zeros(8, 2), tgc.zeros(2)), UserWarning, r"\(8, 2\).*\(2,\).*seldom"),
    (lambda: F.binary_cross_entropy_with_logits(tgc.zeros(8, 1), tgc.zeros(8)), ShapeError, r"\(8, 1\).*\(8,\)"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64, 1, dtype=tgc.int64)), ShapeError, r"\(64, 1\).*squeeze"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64, 1)), ShapeError, r"\(64, 1\)"),
    (lambda: F.cross_entropy(x64, tgc.zeros(32, dtype=tgc.int64)), ShapeError, r"target of shape \(64,\), got \(32,\)"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64)), ShapeError, r"got \(64,\)\..*target\.long\(\)"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64, 10, dtype=tgc.int64)), DTypeError, r"one-hot.*argmax\(1\).*float"),
    (lambda: F.cross_entropy(x64, tgc.full((64,), 10)), IndexError, r"10.*10 classes"),
    (lambda: F.cross_entropy(x64, tgc.full((64,), -1)), IndexError, "-1"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64, dtype=tgc.int64), tgc.ones(3)), ShapeError,
     r"weight of shape \(10,\), got \(3,\)"),
    (lambda: F.cross_entropy(x64, tgc.zeros(64, dtype=tgc.int64), label_smoothing=1.5), ValueError, "label_smoothing"),
    (lambda: F.cross_entropy(tgc.zeros(()), tgc.zeros((), dtype=tgc.int64)), ShapeError, "class"),
    (lambda: F.cross_entropy(tgc.zeros(4, 3, dtype=tgc.int64), tgc.zeros(4, dtype=tgc.int64)), DTypeError, "int64"),
    (lambda: F.nll_loss(x64, tgc.zeros(64)), DTypeError, r"\.long\(\)"),
    (lambda: F.nll_loss(x64, tgc.zeros(64, 1, dtype=tgc.int64)), ShapeError, "squeeze"),
    (lambda: F.nll_loss(x64, tgc.full((64,), 10)), IndexError, "10"),
    (lambda: F.mse_loss(x64, x64, reduction="avg"), ValueError, "'mean', 'sum' or 'none', got 'avg'"),
    (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "'avg'"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_mistakes_name_the_module():
    with pytest.raises(ShapeError, match=r"in MSELoss \(MSELoss\(\)\)"):
        nn.MSELoss()(tgc.zeros(8, 1), tgc.zeros(8))
