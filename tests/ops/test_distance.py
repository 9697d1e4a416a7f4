"""ops/distance.py: distances and similarities between vectors."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, apart, exactly
from tests.ops.matrices import of_torch
from tinygrad_course.errors import DTypeError, ShapeError

MM, DIRECT = "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"
AT_ZERO = exactly([[1.0, 2.0], [3.0, 2.0], [1.0, 2.0]])


def length(x: np.ndarray, p: float) -> np.ndarray:
    a = np.abs(x)
    if p == 0:
        return (a != 0).sum(-1).astype(float)
    return a.max(-1, initial=0.0) if np.isinf(p) else (a**p).sum(-1) ** (1 / p)


def all_pairs(x: np.ndarray, y: np.ndarray, p: float = 2.0, compute_mode: str = "") -> np.ndarray:
    return length(x[..., :, None, :] - y[..., None, :, :], p)


def upper_pairs(x: np.ndarray, p: float = 2.0) -> np.ndarray:
    return np.array([length(x[i] - x[j], p) for i in range(len(x)) for j in range(i + 1, len(x))])


def cosine(x: np.ndarray, y: np.ndarray, dim: int = 1, eps: float = 1e-8) -> np.ndarray:
    norms = [np.maximum(np.sqrt((z * z).sum(dim)), eps) for z in (x, y)]
    return (x * y).sum(dim) / (norms[0] * norms[1])


CASES = (
    Case(
        "cdist",
        tgc.cdist,
        all_pairs,
        (
            S((2, 3), (4, 3)),
            S((2, 1, 2, 3), (3, 2, 3)),
            S(apart(2, 3), apart(3, 3, offset=0.2), p=1.0),
            S(apart(2, 2), apart(2, 2, offset=0.2), p=3.5),
            S((2, 3), (2, 3), p=float("inf")),
            S((0, 3), (2, 3)),
        ),
        errors=(
            Error(lambda: tgc.cdist(tgc.ones(2, 3), tgc.ones(2, 2)), ShapeError, r"cdist.*\(2, 3\) and \(2, 2\)"),
            Error(lambda: tgc.cdist(tgc.ones(3), tgc.ones(2, 3)), ShapeError, r"cdist.*\(3,\)"),
            Error(lambda: tgc.cdist(tgc.eye(2), tgc.eye(2), -1), ValueError, "cdist.*negative.*-1"),
            Error(lambda: tgc.cdist(tgc.eye(2), tgc.eye(2), compute_mode="mm"), ValueError, "cdist.*'mm'"),
            Error(lambda: tgc.cdist(tgc.eye(2).long(), tgc.eye(2).long()), DTypeError, "cdist.*int64"),
        ),
    ),
    Case(
        "cdist",  # PyTorch has no second derivative here: all are kinks
        tgc.cdist,
        all_pairs,
        (),
        kinks=(
            S((2, 3), (4, 3)),
            S(apart(2, 2), apart(2, 2, offset=0.2), p=3.5),
            S((2, 3), (2, 3), p=0.0),
            S((2, 0), (3, 0)),
            *(S(AT_ZERO, AT_ZERO, p=p) for p in (1.0, 1.5, 2.0, 3.0)),
            S(AT_ZERO, AT_ZERO, compute_mode=MM),
            S(exactly([[0.0, 0.0]]), exactly([[1.0, -1.0], [1.0, 0.5]]), p=float("inf")),
        ),
        torch=of_torch("cdist"),
    ),
    Case(
        "euclidean_distance",
        lambda x, y: tgc.cdist(x, y, compute_mode=MM),
        all_pairs,
        (
            S(apart(2, 3), apart(4, 3, offset=0.2)),
            S(apart(3, 2, 2), apart(3, 2, offset=0.2)),
            S(apart(3, 2), apart(2, 3, 2, offset=0.2)),
        ),
    ),
    Case(
        "largest_difference",
        lambda x: tgc.pdist(x, float("inf")),
        lambda x: upper_pairs(x, float("inf")),
        (S(exactly([[0.0, 0.0], [1.0, -2.0], [4.0, 1.5]])), S((2, 1))),
    ),
    Case(
        "largest_difference",
        lambda x: tgc.pdist(x, float("inf")),
        lambda x: upper_pairs(x, float("inf")),
        (),
        kinks=(S(exactly([[0.0, 0.0], [1.0, -1.0]])), S(apart(4, 3))),
        torch=lambda x: of_torch("pdist")(x, float("inf")),
    ),
    Case(
        "pdist",
        tgc.pdist,
        upper_pairs,
        (S((4, 2)), S(exactly([[0.0, 0.0], [1.0, -2.0], [4.0, 1.5]]), p=1.0), S((2, 3), p=3.0), S((1, 3)), S((0, 2))),
        errors=(Error(lambda: tgc.pdist(tgc.ones(3)), ShapeError, "pdist.*matrix"),),
    ),
    Case(
        "pdist",
        tgc.pdist,
        upper_pairs,
        (),
        kinks=(S((4, 2)), S(AT_ZERO), S(AT_ZERO, p=1.0)),  # of fewer than two rows PyTorch crashes
        torch=of_torch("pdist"),
    ),
    Case(
        "pairwise_distance",
        tgc.pairwise_distance,
        lambda x, y, p=2.0, eps=1e-6, keepdim=False: (
            length(x - y + eps, p)[..., None] if keepdim else length(x - y + eps, p)
        ),
        (
            S((2, 3), (2, 3)),
            S((2, 3), (3,), keepdim=True),
            S((3,), (3,)),
            S(apart(2, 3), apart(2, 3, offset=0.2), p=1.0),
        ),
        kinks=(S(AT_ZERO, AT_ZERO), S(AT_ZERO, AT_ZERO, eps=0.0)),
        torch=of_torch("pairwise_distance"),
    ),
    Case(
        "cosine_similarity",
        tgc.cosine_similarity,
        cosine,
        (
            S((2, 3), (2, 3)),
            S((2, 3), (1, 3), dim=-1),
            S((2, 3, 2), (2, 3, 2)),
            S((3,), (3,), dim=0),
            S((0, 3), (0, 3)),
        ),
        kinks=(
            S(exactly([[0.0, 0.0], [0.3, 0.4]]), exactly([[1.0, 2.0], [0.1, 0.0]]), eps=1.0),
            S((2, 3), (2, 3), eps=10.0),
        ),
        torch=of_torch("cosine_similarity"),
        errors=(
            Error(
                lambda: tgc.cosine_similarity(tgc.ones(2, 3), tgc.ones(2, 2)),
                ShapeError,
                "cosine_similarity.*broadcast",
            ),
            Error(lambda: tgc.cosine_similarity(tgc.ones(2), tgc.ones(2)), ShapeError, "cosine_similarity: dim 1"),
            Error(
                lambda: tgc.cosine_similarity(tgc.ones(2, 2).long(), tgc.ones(2, 2).long()), DTypeError, "cosine.*int64"
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize(("rows", "near"), [(5, True), (40, False)])
def test_cdist_takes_products_for_many_points(backend: str, rows: int, near: bool) -> None:
    """Far from the origin the product loses what the difference keeps: PyTorch's trade, and its limit of 25 rows."""
    x = tgc.tensor(np.full((rows, 2), 1000.0) + 1e-3 * np.arange(rows)[:, None], dtype="float32")
    exact = np.abs(x.array[0, 0].astype(float) - x.array[1, 0]) * np.sqrt(2)
    assert (abs(tgc.cdist(x, x)[0, 1].item() - exact) < 1e-6) == near
    assert abs(tgc.cdist(x, x, compute_mode=DIRECT)[0, 1].item() - exact) < 1e-6


def test_distance_of_a_point_to_itself_has_no_gradient(backend: str) -> None:
    for call in (lambda x: tgc.cdist(x, x), lambda x: tgc.cdist(x, x, compute_mode=MM), lambda x: tgc.cdist(x, x, 1.5)):
        x: Any = tgc.ones(2, 3, requires_grad=True)
        call(x).sum().backward()
        assert x.grad.tolist() == np.zeros((2, 3)).tolist()
