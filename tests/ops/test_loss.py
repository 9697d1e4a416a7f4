"""ops/loss.py: cross-entropy of classes and of yes or no; the rules that all losses share."""

from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, exactly, index, normal, positive
from tinygrad_course import ops
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.loss import BCE, BCEGrad, BCEWithLogits, CrossEntropy, CrossEntropyGrad


def targets(t: np.ndarray, classes: int, weight: np.ndarray | None, ignored: int, smoothing: float) -> np.ndarray:
    """T[n, c]: what each class counts in the loss of sample n."""
    out = np.zeros((len(t), classes))
    for n, k in enumerate(t):
        for c in range(classes):
            share = (1 - smoothing) * (c == k) + smoothing / classes
            out[n, c] = 0.0 if k == ignored else share * (1.0 if weight is None else weight[c])
    return out


def total_weight(t: np.ndarray, weight: Any, ignored: int, reduction: str) -> float:
    return sum(1.0 if weight is None else weight[k] for k in t if k != ignored) if reduction == "mean" else 1.0


def cross_entropy(
    x: np.ndarray, t: np.ndarray, weight: Any = None, ignored: int = -100, smoothing: float = 0.0, reduction: str = "none"
) -> Any:
    logp = sp.log_softmax(x, axis=1) if x.size else x
    loss = -(targets(t, x.shape[1], weight, ignored, smoothing) * logp).sum(1)
    return loss if reduction == "none" else loss.sum() / total_weight(t, weight, ignored, reduction), logp


def cross_entropy_grad(
    g: np.ndarray, logp: np.ndarray, t: np.ndarray, weight: Any, ignored: int, smoothing: float, reduction: str = "none"
) -> Any:
    shares = targets(t, logp.shape[1], weight, ignored, smoothing)
    total = total_weight(t, weight, ignored, reduction) or 1.0  # where no sample counts, all rows are 0
    return g[..., None] / total * (np.exp(logp) * shares.sum(1, keepdims=True) - shares)


def raw(x: Any, t: Any, weight: Any = None, ignored: int = -100, smoothing: float = 0.0, reduction: str = "none") -> Any:
    return apply(CrossEntropy, (x, t, weight.detach() if weight is not None else None), (ignored, smoothing, reduction))


def raw_grad(g: Any, logp: Any, t: Any, weight: Any, ignored: int, smoothing: float, reduction: str = "none") -> Any:
    return apply(CrossEntropyGrad, (g, logp, t, weight), (ignored, smoothing, reduction))


RAW = (
    S((3, 4), index(4, 3)),
    S((3, 4), index(4, 3), None, args=(2, 0.0)),
    S((3, 4), index(4, 3), None, args=(1, 0.3)),
    S((3, 4), index(4, 3), None, args=(1, 0.3, "mean")),
    S((3, 4), index(4, 3), None, args=(1, 0.0, "sum")),
    S((1, 1), index(1, 1)),
    S((0, 3), index(3, 0)),
)


def with_weight(x: Any, t: Any, ignored: int, smoothing: float, reduction: str = "none") -> Any:
    """Class weights are constants here: the derivative by them is another question, see below."""
    weight = np.linspace(0.5, 2.0, x.shape[1])
    if isinstance(x, np.ndarray):
        return cross_entropy(x, t, weight, ignored, smoothing, reduction)
    return apply(CrossEntropy, (x, t, tgc.tensor(weight).to(x.dtype)), (ignored, smoothing, reduction))


def grad_with_weight(g: Any, logp: Any, t: Any, ignored: int, smoothing: float, reduction: str = "none") -> Any:
    weight = np.linspace(0.5, 2.0, logp.shape[1])
    if isinstance(g, np.ndarray):
        return cross_entropy_grad(g, logp, t, weight, ignored, smoothing, reduction)
    return apply(CrossEntropyGrad, (g, logp, t, tgc.tensor(weight).to(g.dtype)), (ignored, smoothing, reduction))


WEIGHTED = (
    S((3, 4), index(4, 3), args=(-100, 0.0)),
    S((3, 4), index(4, 3), args=(1, 0.2)),
    S((3, 4), index(4, 3), args=(1, 0.2, "mean")),
)

# ---- the functions: (input, target), keywords


def mean_of(loss: np.ndarray, reduction: str, total: float) -> np.ndarray:
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.sum() / total


def cross_entropy_loss(
    x: np.ndarray,
    t: np.ndarray,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]) if x.ndim > 1 else x[None]
    if t.dtype.kind == "f":
        shares = np.moveaxis(t, 1, -1).reshape(-1, x.shape[1]) if x.ndim > 1 else t[None]
        shares = (shares * (1 - label_smoothing) + label_smoothing / rows.shape[1]) * (
            1.0 if weight is None else weight
        )
        total = float(len(rows))
    else:
        shares = targets(t.reshape(-1), rows.shape[1], weight, ignore_index, label_smoothing)
        total = sum(1.0 if weight is None else weight[k] for k in t.reshape(-1) if k != ignore_index)
    loss = -(shares * sp.log_softmax(rows, axis=1)).sum(1)
    shape = (x.shape[:1] + x.shape[2:]) if x.ndim > 1 else ()
    return mean_of(loss.reshape(shape), reduction, total)


def nll_loss(
    x: np.ndarray, t: np.ndarray, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    weight = np.ones(x.shape[1]) if weight is None else weight
    loss, total = np.zeros(t.shape), 0.0
    for place in np.ndindex(t.shape):
        k = t[place]
        if k != ignore_index:
            loss[place] = -weight[k] * x[(place[0], k, *place[1:])]
            total += weight[k]
    return mean_of(loss, reduction, total)


def bce(x: np.ndarray, t: np.ndarray, reduction: str = "mean") -> Any:
    loss = -(t * sp.log_expit(x) + (1 - t) * sp.log_expit(-x))
    return mean_of(loss, reduction, loss.size)


def probable(x: np.ndarray, t: np.ndarray) -> Any:
    """-t ln x - (1 - t) ln(1 - x), logarithms at least -100."""
    return -t * np.maximum(np.log(x), -100) - (1 - t) * np.maximum(np.log(1 - x), -100)


def torch_call(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def chance(*shape: int) -> Any:
    return Draw(lambda rng: np.asarray(rng.uniform(0.1, 0.9, shape)))


CLASSES = (
    *(S((4, 3), index(3, 4), reduction=r, note=r) for r in ("mean", "sum", "none")),
    S((4, 3), exactly([2, 1, 0, 2], "int64"), ignore_index=1),
    S((2, 3, 4), index(3, 2, 4)),
    S((2, 3, 2, 2), index(3, 2, 2, 2), reduction="none"),
)
NARROW = (S((3, 2), exactly([1, 0, 1], "int32"), note="int32"), S((3, 2), exactly([1, 0, 1], "uint8"), note="uint8"))
SMOOTH = (
    S((4, 3), index(3, 4), label_smoothing=0.1),
    S((4, 3), index(3, 4), label_smoothing=1.0),
    S((2, 3, 4), index(3, 2, 4), label_smoothing=0.4, ignore_index=0),
    S((3,), index(3), note="single"),
)
CHANCES = (
    S((4, 3), chance(4, 3)),
    S((2, 3, 2), chance(2, 3, 2), label_smoothing=0.2, reduction="none"),
    S((3,), chance(3)),
    S((4, 3), chance(4, 3), reduction="sum"),
)
BINARY = (*(S((2, 3), chance(2, 3), reduction=r) for r in ("mean", "sum", "none")), S((), chance()), S((1,), chance(1)))


def classes(*values: int) -> Any:
    return tgc.tensor(list(values))


CASES = (
    Case(
        "cross_entropy",
        raw,
        cross_entropy,
        RAW,
        out=("same", "same"),
        half=True,
        threaded=(S((1500, 300), index(300, 1500)), S((1500, 300), index(300, 1500), None, args=(3, 0.1))),
        special=(
            S(exactly([[1000.0, 0.0, -1000.0], [0.0, 1000.0, 0.0], [-np.inf, 0.0, 1.0]]), exactly([2, 1, 0], "int64")),
        ),
    ),
    Case("cross_entropy", with_weight, with_weight, WEIGHTED, out=("same", "same")),
    Case(
        "cross_entropy",
        ops.cross_entropy,
        cross_entropy_loss,
        CLASSES + SMOOTH,
        torch=torch_call("cross_entropy"),
        errors=(
            Error(
                lambda: ops.cross_entropy(tgc.ones(4, 3), classes(0, 1, 2, 3)),
                IndexError,
                r"cross_entropy.*target 3.*3 classes.*0\.\.2",
            ),
            Error(lambda: ops.cross_entropy(tgc.ones(2, 3), classes(0, -1)), IndexError, "cross_entropy.*target -1"),
            Error(
                lambda: ops.cross_entropy(tgc.ones(4, 3), classes(0, 1)),
                ShapeError,
                r"cross_entropy.*\(4, 3\).*\(4,\).*\(2,\)",
            ),
            Error(
                lambda: ops.cross_entropy(tgc.ones(2, 3), tgc.tensor([[0], [1]])),
                ShapeError,
                r"cross_entropy.*squeeze\(1\)",
            ),
            Error(
                lambda: ops.cross_entropy(tgc.ones(2, 3), tgc.ones(2)), ShapeError, r"cross_entropy.*target\.long\(\)"
            ),
            Error(lambda: ops.cross_entropy(tgc.ones(2, 3), [0, 1]), TypeError, "cross_entropy.*Tensor.*list"),
            Error(lambda: ops.cross_entropy(tgc.ones(2, 3).long(), classes(0, 1)), DTypeError, "cross_entropy.*int64"),
            Error(
                lambda: ops.cross_entropy(tgc.ones(2, 3), classes(0, 1), tgc.ones(2)),
                ShapeError,
                r"cross_entropy.*3 classes.*\(2,\)",
            ),
            Error(
                lambda: ops.cross_entropy(tgc.ones(2, 3), classes(0, 1), reduction="avg"),
                ValueError,
                "cross_entropy.*'avg'",
            ),
            Error(
                lambda: ops.cross_entropy(tgc.ones(2, 3), classes(0, 1), label_smoothing=2),
                ValueError,
                "label_smoothing.*2",
            ),
        ),
    ),
    Case(
        "cross_entropy_grad",
        raw_grad,
        cross_entropy_grad,
        tuple(
            S(normal(n), (n, c), index(c, n), None, args=(ignored, e), note=f"{n}x{c}-{ignored}-{e}")
            for n, c, ignored, e in [
                (3, 4, -100, 0.0),
                (3, 4, 2, 0.0),
                (3, 2, 1, 0.3),
                (1, 1, -100, 0.0),
                (0, 2, -100, 0.1),
            ]
        )
        + tuple(S((), (3, 4), index(4, 3), None, args=(2, 0.1, reduction)) for reduction in ("sum", "mean")),
        half=True,
        threaded=(S((1500,), (1500, 300), index(300, 1500), None, args=(3, 0.1)),),
        errors=(
            Error(
                lambda: raw_grad(tgc.ones(2), tgc.ones(3, 2), classes(0, 1, 1), None, -100, 0.0),
                ShapeError,
                r"cross_entropy_grad.*\(2,\).*\(3,\)",
            ),
        ),
    ),
    Case(
        "cross_entropy_grad",
        grad_with_weight,
        grad_with_weight,
        (
            *(S((3,), (3, 4), index(4, 3), args=(ignored, e)) for ignored, e in [(-100, 0.0), (1, 0.3)]),
            S((), (3, 4), index(4, 3), args=(1, 0.3, "mean")),
        ),
    ),
    Case("cross_entropy", ops.cross_entropy, cross_entropy_loss, NARROW),
    Case("log_softmax", ops.cross_entropy, cross_entropy_loss, CHANCES, torch=torch_call("cross_entropy")),
    Case(
        "nll_loss",
        ops.nll_loss,
        nll_loss,
        CLASSES,
        torch=torch_call("nll_loss"),
        errors=(
            Error(lambda: ops.nll_loss(tgc.ones(2, 3), classes(0, 3)), IndexError, r"nll_loss.*target 3.*0\.\.2"),
            Error(
                lambda: ops.nll_loss(tgc.ones(2, 3), tgc.ones(2)), DTypeError, r"nll_loss.*float32.*target\.long\(\)"
            ),
            Error(lambda: ops.nll_loss(tgc.ones(2, 3), classes(0)), ShapeError, r"nll_loss.*\(2, 3\).*\(2,\).*\(1,\)"),
        ),
    ),
    Case(
        "nll_loss", lambda x, t, w: ops.nll_loss(x, t, w), nll_loss, (S((4, 3), index(3, 4), positive(3), note="weight"),)
    ),
    Case(
        "linear_cross_entropy",
        lambda x, w, b, t, **kwargs: ops.linear_cross_entropy(x, w, t, linear_bias=b, **kwargs),
        lambda x, w, b, t, **kwargs: cross_entropy_loss(
            np.tensordot(x, w, (-1, -1)) + (0.0 if b is None else b), t, **kwargs
        ),
        (
            S((4, 2), (3, 2), (3,), index(3, 4)),
            S((2,), (3, 2), None, index(3), label_smoothing=0.2),
            S((2, 3), (2, 2, 3), (2, 2), index(2, 2, 2), reduction="none"),
        ),
        torch=lambda x, w, b, t, **kwargs: torch_call("linear_cross_entropy")(x, w, t, linear_bias=b, **kwargs),
        errors=(
            Error(
                lambda: ops.linear_cross_entropy(tgc.ones(2, 3), tgc.ones(4, 2), classes(0, 1)),
                ShapeError,
                r"linear_cross_entropy.*\(2, 3\) and \(4, 2\)",
            ),
            Error(
                lambda: ops.linear_cross_entropy(tgc.ones(3), tgc.ones(4, 2, 3), classes(0, 1)),
                ShapeError,
                r"linear_cross_entropy.*\(4, 2, 3\).*\(N, 3\)",
            ),
        ),
    ),
    Case(
        "bce_with_logits",
        lambda x, t: apply(BCEWithLogits, (x, t)),
        lambda x, t: bce(x, t, "none"),
        (S((2, 3), chance(2, 3)), S((), chance()), S((0,), chance(0))),
        threaded=(S((650, 640), chance(650, 640)),),
        half=True,
        special=(S(exactly([1e4, -1e4, 0.0, 800.0]), exactly([1.0, 0.0, 0.5, 0.0])),),
    ),
    Case(
        "bce",
        lambda x, t: apply(BCE, (x, t)),
        probable,
        (S(chance(2, 3), chance(2, 3)), S(chance(), chance()), S(chance(0), chance(0))),
    ),
    Case(
        "bce_grad",
        lambda g, x, t: apply(BCEGrad, (g, x, t)),
        lambda g, x, t: g * (x - t) / (x * (1 - x)),
        (S((2, 3), chance(2, 3), chance(2, 3)), S((), chance(), chance()), S((0,), chance(0), chance(0))),
        threaded=(S((650, 640), chance(650, 640), chance(650, 640)),),
        errors=(
            Error(
                lambda: apply(BCEGrad, (tgc.ones(2), tgc.ones(3), tgc.ones(3))),
                ShapeError,
                r"bce_grad.*\(2,\).*\(3,\)",
            ),
        ),
    ),
    Case(
        "binary_cross_entropy",
        ops.binary_cross_entropy,
        lambda x, t, weight=None, reduction="mean": mean_of(probable(x, t), reduction, x.size),
        (*(S(chance(2, 3), chance(2, 3), reduction=r) for r in ("mean", "sum", "none")), S(chance(), chance())),
        special=(S(exactly([0.0, 1.0, 0.0, 1.0]), exactly([0.0, 1.0, 1.0, 0.0]), reduction="none"),),
        errors=(
            Error(
                lambda: ops.binary_cross_entropy(tgc.ones(4, 1), tgc.ones(4)),
                ShapeError,
                r"binary_cross_entropy.*\(4, 1\).*\(4,\).*squeeze\(-1\)",
            ),
            Error(
                lambda: ops.binary_cross_entropy(tgc.tensor([0.5, 1.5]), tgc.ones(2)),
                ValueError,
                "binary_cross_entropy.*between 0 and 1.*0.5 to 1.5.*sigmoid",
            ),
        ),
        torch=torch_call("binary_cross_entropy"),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        ops.binary_cross_entropy_with_logits,
        bce,
        BINARY,
        torch=torch_call("binary_cross_entropy_with_logits"),
        errors=(
            Error(
                lambda: ops.binary_cross_entropy_with_logits(tgc.ones(4, 1), tgc.ones(4)),
                ShapeError,
                r"binary_cross_entropy_with_logits.*\(4, 1\).*\(4,\).*squeeze\(-1\)",
            ),
            Error(
                lambda: ops.binary_cross_entropy_with_logits(tgc.ones(4), tgc.ones(4, 1)),
                ShapeError,
                r"\(4,\).*\(4, 1\).*squeeze\(-1\)",
            ),
            Error(
                lambda: ops.binary_cross_entropy_with_logits(tgc.ones(2), classes(0, 1)),
                DTypeError,
                r"int64.*target\.float\(\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignored", [-100, 1])
def test_class_weights_against_torch(backend: str, torch: Any, reduction: str, smoothing: float, ignored: int) -> None:
    x, w = S((5, 3), positive(3)).arrays("weights")
    t = np.array([0, 1, 2, 2, 1])
    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    kwargs = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignored}
    y = ops.cross_entropy(ours, tgc.tensor(t), tgc.tensor(w), **kwargs)
    z = torch.nn.functional.cross_entropy(theirs, torch.tensor(t), torch.tensor(w), **kwargs)
    np.testing.assert_allclose(y.detach().array, z.detach().numpy(), rtol=1e-12)
    (g,) = S(y.shape).arrays("upstream")
    y.backward(tgc.tensor(g))
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_gradient_by_class_weights_is_right_or_refused(backend: str) -> None:
    """PyTorch refuses.  A gradient of None would mean: the loss does not depend on the weights."""
    x, w = tgc.ones(2, 3, requires_grad=True), tgc.ones(3, requires_grad=True)
    try:
        ops.cross_entropy(x, classes(0, 1), w, reduction="sum").backward()
    except GraphError:
        return
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.array, [np.log(3), np.log(3), 0], rtol=1e-6)


def test_all_targets_ignored(backend: str) -> None:
    x = tgc.ones(2, 3, requires_grad=True)
    assert ops.cross_entropy(x, classes(-100, -100), reduction="sum").item() == 0
    assert np.isnan(ops.cross_entropy(x, classes(-100, -100)).item())


@pytest.mark.parametrize("kwargs", [{"pos_weight": 3.0}, {"weight": 3.0}, {"pos_weight": 0.2, "weight": 2.0}])
def test_binary_weights_against_torch(backend: str, torch: Any, kwargs: dict[str, float]) -> None:
    x, t = S((4, 3), chance(4, 3)).arrays("binary")
    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    full = {k: np.array([v, 1.0, 2 * v]) for k, v in kwargs.items()}
    y = ops.binary_cross_entropy_with_logits(ours, tgc.tensor(t), **{k: tgc.tensor(v) for k, v in full.items()})
    z = torch.nn.functional.binary_cross_entropy_with_logits(
        theirs, torch.tensor(t), **{k: torch.tensor(v) for k, v in full.items()}
    )
    assert y.item() == pytest.approx(z.item(), rel=1e-12)
    y.backward()
    z.backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-11)


def test_type_of_a_binary_loss_is_that_of_the_input(backend: str) -> None:
    for more in ({}, {"pos_weight": tgc.ones(2)}, {"weight": tgc.ones(2)}):
        loss = ops.binary_cross_entropy_with_logits(tgc.zeros(2), tgc.ones(2, dtype="float64"), **more)
        assert loss.dtype == np.float32


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [((None, False), "none"), ((False, None), "sum"), ((True, True), "mean"), ((False, False), "none")],
)
def test_the_old_flags_mean_a_reduction(flags: tuple[Any, Any], wanted: str) -> None:
    x, t = tgc.tensor([[0.5, 1.0, 2.0], [1.0, 0.0, 0.0]]), classes(0, 2)
    with pytest.warns(UserWarning, match=f"cross_entropy.*reduction='{wanted}'"):
        loss = ops.cross_entropy(x, t, size_average=flags[0], reduce=flags[1])
    assert loss.tolist() == ops.cross_entropy(x, t, reduction=wanted).tolist()


def test_one_hot_numbers_are_taken_for_a_mistake() -> None:
    with pytest.raises(DTypeError, match=r"cross_entropy.*argmax\(1\).*float\(\)"):
        ops.cross_entropy(tgc.ones(2, 3), tgc.tensor([[0, 1, 0], [1, 0, 0]]))


def test_targets_changed_in_place_are_noticed(backend: str) -> None:
    x, t = tgc.ones(2, 3, requires_grad=True), classes(0, 1)
    loss = ops.cross_entropy(x, t)
    t.fill_(2)
    with pytest.raises(GraphError, match=r"cross_entropy.*'fill_'"):
        loss.backward()


def test_nll_loss_of_an_ignored_sample_may_be_infinite() -> None:
    """A class of probability 0 in a sample that does not count is no reason for the mean to be nan."""
    x = tgc.tensor([[-1.0, -0.5], [-float("inf"), 0.0], [-2.0, -0.25]], requires_grad=True)
    target = tgc.tensor([0, -100, 1])
    loss = tgc.nn.functional.nll_loss(x, target)
    assert loss.item() == (1.0 + 0.25) / 2
    loss.backward()
    assert x.grad.tolist() == [[-0.5, 0.0], [0.0, 0.0], [0.0, -0.5]]
    weighted = tgc.nn.functional.nll_loss(x, target, tgc.tensor([3.0, 1.0]))
    assert weighted.item() == (3 * 1.0 + 0.25) / 4
