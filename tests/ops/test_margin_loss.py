"""ops/margin_loss.py: by loops over samples, classes and pairs of classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, exactly, index, positive
from tinygrad_course import ops
from tinygrad_course.errors import DTypeError, ShapeError

Array = np.ndarray


def functional(name: str) -> Callable[..., Any]:
    """torch.nn.functional.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def reduced(each: Callable[..., Any]) -> Callable[..., Array]:
    """The loss of all, by a formula for each."""

    def loss(*arrays: Any, reduction: str = "mean", **kwargs: Any) -> Array:
        values = np.asarray(each(*arrays, **kwargs))
        return values if reduction == "none" else values.sum() if reduction == "sum" else values.sum() / values.size

    return loss


def hinge(x: float) -> float:
    return max(0.0, x)


def cosine_embedding(a: Array, b: Array, t: Array, margin: float = 0.0) -> Any:
    if a.ndim == 1:
        c = a @ b / np.sqrt((a @ a + 1e-12) * (b @ b + 1e-12))
        return 1 - c if t == 1 else hinge(c - margin)
    return [cosine_embedding(x, y, s, margin) for x, y, s in zip(a, b, t, strict=True)]


def multi_margin(x: Array, t: Array, weight: Any = None, p: int = 1, margin: float = 1.0) -> Any:
    if x.ndim == 2:
        return [multi_margin(row, k, weight, p, margin) for row, k in zip(x, t, strict=True)]
    k, scale = int(t), 1.0 if weight is None else weight[int(t)]
    return sum(scale * hinge(margin - x[k] + x[c]) ** p for c in range(len(x)) if c != k) / len(x)


def multilabel_margin(x: Array, t: Array) -> Any:
    if x.ndim == 2:
        return [multilabel_margin(row, labels) for row, labels in zip(x, t, strict=True)]
    labels = [int(k) for k in t]
    labels = labels[: labels.index(-1)] if -1 in labels else labels
    return sum(hinge(1 - x[k] + x[c]) for k in labels for c in range(len(x)) if c not in labels) / len(x)


def triplet(a: Array, p: Array, n: Array, margin: float = 1.0, power: float = 2.0, swap: bool = False) -> Array:
    def d(x: Array, y: Array) -> Array:
        return (np.abs(x - y + 1e-6) ** power).sum(-1) ** (1 / power)

    far = np.minimum(d(a, n), d(p, n)) if swap else d(a, n)
    return np.maximum(0, margin + d(a, p) - far)


def city(x: Any, y: Any) -> Any:
    return (x - y).abs().sum(-1)


REDUCTIONS = ("mean", "sum", "none")
SIGNS = exactly([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
LABELS = exactly([[2, 0, -1, 1], [-1, 0, 1, 2], [3, 1, 0, 2]], "int64")
TRIPLE = ((3, 4), (3, 4), (3, 4))

CASES = (
    Case(
        "hinge_embedding_loss", ops.hinge_embedding_loss,
        reduced(lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(0, margin - x))),
        (*(S((2, 3), SIGNS, reduction=r) for r in REDUCTIONS), S(positive(2, 3), SIGNS, margin=1.7)),
        kinks=(S(exactly([1.0, 2.0]), exactly([-1.0, 1.0])), S(exactly([0.3, 0.4]), exactly([-1.0, 1.0]))),
        torch=functional("hinge_embedding_loss"),
        errors=(Error(lambda: ops.hinge_embedding_loss(tgc.ones(3, 1), tgc.ones(3)), ShapeError, "hinge_embed.*squeeze"),),
    ),
    Case(
        "margin_ranking_loss", ops.margin_ranking_loss,
        reduced(lambda a, b, t, margin=0.0: np.maximum(0, margin - t * (a - b))),
        (*(S((2, 3), (2, 3), SIGNS, reduction=r) for r in REDUCTIONS), S((2, 3), (1, 3), SIGNS, margin=0.5)),
        kinks=(S(exactly([1.0]), exactly([1.0]), exactly([1.0])),),
        torch=functional("margin_ranking_loss"),
        errors=(
            Error(
                lambda: ops.margin_ranking_loss(tgc.ones(3, 1), tgc.ones(3, 1), tgc.ones(3)),
                ShapeError, r"margin_ranking_loss.*number of axes.*\(3, 1\) and \(3,\)",
            ),
        ),
    ),
    Case(
        "cosine_embedding_loss", ops.cosine_embedding_loss, reduced(cosine_embedding),
        (
            *(S((3, 4), (3, 4), exactly([1, -1, 1], "int64"), reduction=r) for r in REDUCTIONS),
            S((2, 4), (2, 4), exactly([-1.0, -1.0]), margin=-0.9),
            S((4,), (4,), exactly(1, "int64")),
        ),
        torch=functional("cosine_embedding_loss"),
        errors=(
            Error(
                lambda: ops.cosine_embedding_loss(tgc.ones(3, 2), tgc.ones(3, 2), tgc.ones(3, 1)),
                ShapeError, r"cosine_embedding_loss.*\(N,\).*\(3, 1\)",
            ),
        ),
    ),
    Case(
        "soft_margin_loss", ops.soft_margin_loss, reduced(lambda x, t: np.logaddexp(0, -t * x)),
        (*(S((3,), exactly([1, -1, 1], "int64"), reduction=r) for r in REDUCTIONS), S((), exactly(-1, "int64"))),
        torch=functional("soft_margin_loss"),  # which has no gradient for the target
    ),
    Case(
        "multi_margin_loss", ops.multi_margin_loss, reduced(multi_margin),
        (
            *(S(apart(3, 4), index(4, 3), reduction=r) for r in REDUCTIONS),
            S(apart(3, 4), index(4, 3), p=2, margin=0.7),
            S(apart(4), index(4)),
            S((2, 1), index(1, 2)),
        ),
        errors=(
            Error(lambda: ops.multi_margin_loss(tgc.ones(2, 3), tgc.tensor([0, 3])), IndexError, r"multi_margin.*0\.\.2.*3"),
            Error(lambda: ops.multi_margin_loss(tgc.ones(2, 3), tgc.ones(2)), DTypeError, "multi_margin_loss.*float32"),
            Error(lambda: ops.multi_margin_loss(tgc.ones(2, 3), tgc.tensor([0])), ShapeError, r"\(2, 3\).*\(2,\).*\(1,\)"),
            Error(lambda: ops.multi_margin_loss(tgc.ones(2, 3), tgc.tensor([0, 1]), p=3), ValueError, "p must be 1 or 2.*3"),
        ),
    ),
    Case(
        "multi_margin_loss", lambda x, t, w, **kwargs: ops.multi_margin_loss(x, t, weight=w.detach(), **kwargs),
        reduced(multi_margin), (S((3, 4), index(4, 3), exactly([1, 2, 3, 4], "int64"), p=2),),
    ),
    Case("multi_margin_loss", ops.multi_margin_loss, reduced(multi_margin), (),
         (S(exactly([[1.0, 0.0, 2.0]]), index(1, 1)), S((3, 4), index(4, 3), p=2)), torch=functional("multi_margin_loss")),
    Case(
        "multilabel_margin_loss", ops.multilabel_margin_loss, reduced(multilabel_margin),
        (*(S(apart(3, 4), LABELS, reduction=r) for r in REDUCTIONS), S(apart(4), exactly([1, 3, -1, 0], "int64"))),
        errors=(
            Error(
                lambda: ops.multilabel_margin_loss(tgc.ones(2, 3), tgc.tensor([0, 1])),
                ShapeError, r"multilabel_margin_loss.*\(2, 3\) and \(2,\)",
            ),
            Error(lambda: ops.multilabel_margin_loss(tgc.ones(2), tgc.tensor([0, 2])), IndexError, r"-1\.\.1.*2"),
        ),
    ),
    Case("multilabel_margin_loss", ops.multilabel_margin_loss, reduced(multilabel_margin), (),
         (S(exactly([1.0, 0.0, 2.0]), exactly([0, -1, 2], "int64")), S((3, 4), LABELS)),
         torch=functional("multilabel_margin_loss")),
    Case(
        "multilabel_soft_margin_loss", ops.multilabel_soft_margin_loss,
        reduced(lambda x, t, weight=1.0: ((np.logaddexp(0, x) - t * x) * weight).mean(-1)),
        (*(S((2, 3), exactly([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), reduction=r) for r in REDUCTIONS), S((3,), positive(3))),
        torch=functional("multilabel_soft_margin_loss"),
    ),
    Case(
        "triplet_margin_loss", lambda a, p, n, power=2.0, **kwargs: ops.triplet_margin_loss(a, p, n, p=power, **kwargs),
        reduced(triplet),
        (*(S(*TRIPLE, reduction=r) for r in REDUCTIONS), S(*TRIPLE, swap=True, margin=3.0), S((4,), (4,), (4,), margin=9.0)),
        torch=lambda a, p, n, power=2.0, **kwargs: functional("triplet_margin_loss")(a, p, n, p=power, **kwargs),
        errors=(
            Error(lambda: ops.triplet_margin_loss(*[tgc.ones(2, 3)] * 3, margin=0), ValueError, "triplet.*margin.*0"),
            Error(
                lambda: ops.triplet_margin_loss(tgc.ones(3), tgc.ones(2, 3), tgc.ones(3)),
                ShapeError, r"triplet_margin_loss.*\(3,\), \(2, 3\)",
            ),
        ),
    ),
    Case(
        "triplet_margin_with_distance_loss",
        lambda a, p, n, **kwargs: ops.triplet_margin_with_distance_loss(a, p, n, distance_function=city, **kwargs),
        reduced(lambda a, p, n, margin=1.0: np.maximum(0, margin + np.abs(a - p).sum(-1) - np.abs(a - n).sum(-1))),
        (*(S(*TRIPLE, reduction=r) for r in REDUCTIONS), S(*TRIPLE, margin=4.0)),
        torch=lambda a, p, n, **kwargs: functional("triplet_margin_with_distance_loss")(
            a, p, n, distance_function=city, **kwargs
        ),
    ),
)  # fmt: skip


class TestBattery(Battery):
    """See battery.py."""


def test_class_weights_of_the_hinge_loss(torch: Any) -> None:
    x, t, w = S((3, 4), index(4, 3), positive(4)).arrays("weights")
    y = ops.multi_margin_loss(tgc.tensor(x), tgc.tensor(t), weight=tgc.tensor(w))
    z = functional("multi_margin_loss")(torch.tensor(x), torch.tensor(t), weight=torch.tensor(w))
    assert y.item() == pytest.approx(z.item(), rel=1e-12)


def test_weights_of_labels(torch: Any) -> None:
    x, t, w = S((3, 4), positive(3, 4), positive(4)).arrays("labels")
    y = ops.multilabel_soft_margin_loss(tgc.tensor(x), tgc.tensor(t), tgc.tensor(w))
    z = functional("multilabel_soft_margin_loss")(torch.tensor(x), torch.tensor(t), torch.tensor(w))
    assert y.item() == pytest.approx(z.item(), rel=1e-12)


def test_without_a_distance_it_is_the_pairwise_one() -> None:
    a, p, n = (tgc.randn(3, 4) for _ in range(3))
    loss = ops.triplet_margin_with_distance_loss(a, p, n, swap=True)
    assert loss.item() == ops.triplet_margin_loss(a, p, n, swap=True).item()


def test_soft_margin_does_not_overflow() -> None:
    assert ops.soft_margin_loss(tgc.tensor([-1000.0]), tgc.tensor([1.0])).item() == 1000.0
