"""Points on a plane: principal components against scikit-learn, and what is drawn."""

import sys

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.errors import DataError, DependencyError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)

RNG = np.random.default_rng(0)
CLASSES = np.arange(40) % 3
POINTS = RNG.normal(size=(40, 5)) * [3, 2, 1, 1, 0.5] + 4 * CLASSES[:, None]


def test_components_against_scikit_learn():
    oracle = pytest.importorskip("sklearn.decomposition").PCA(3).fit(POINTS)
    places, shares = viz.pca(tgc.tensor(POINTS), 3)
    np.testing.assert_allclose(shares, oracle.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(places), np.abs(oracle.transform(POINTS)), atol=1e-10)
    np.testing.assert_allclose(viz.pca(-POINTS, 3)[0], -places, atol=1e-10)  # axes of a settled sign


def test_classes_and_their_names():
    ax = viz.plot_embedding(POINTS, CLASSES, ["a", "b", "c"])
    places, shares = viz.pca(POINTS)
    for k, drawn in enumerate(ax.collections):
        np.testing.assert_allclose(drawn.get_offsets(), places[k == CLASSES])
        np.testing.assert_allclose(ax.texts[k].get_position(), np.median(places[k == CLASSES], axis=0))
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    assert len({tuple(drawn.get_facecolor()[0]) for drawn in ax.collections}) == 3
    assert ax.get_xlabel() == f"component 1 ({100 * shares[0]:.0f} % of the variance)"
    assert ax.get_title() == "Principal components"
    assert viz.plot_embedding(POINTS, ax=ax, title="t") is ax
    assert ax.get_title() == "t"


def test_points_as_they_are():
    ax = viz.plot_embedding(POINTS[:, :2], tgc.tensor(CLASSES), method="none")
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), POINTS[CLASSES == 1, :2])


def test_tsne_keeps_classes_together():
    pytest.importorskip("sklearn.manifold")
    points = POINTS + 50 * CLASSES[:, None]
    drawn = [np.concatenate([part.get_offsets() for part in viz.plot_embedding(points, CLASSES, method="tsne").collections])
             for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    groups = np.split(drawn[0], np.cumsum(np.bincount(CLASSES))[:-1])
    spread = max(np.linalg.norm(group - group.mean(axis=0), axis=1).max() for group in groups)
    middles = [group.mean(axis=0) for group in groups]
    assert min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > spread


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(DependencyError, match="pip install scikit-learn"):
        viz.plot_embedding(POINTS, method="tsne")


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: viz.plot_embedding(np.zeros((3, 2, 2))), ShapeError, r"\(3, 2, 2\), needed is \(N, D\).*flatten\(1\)"),
    (lambda: viz.plot_embedding(POINTS, CLASSES[:-1]), ShapeError, r"\(39,\) for 40 points"),
    (lambda: viz.plot_embedding(POINTS, CLASSES, ["a"]), ShapeError, "1 names, but classes go to 2"),
    (lambda: viz.plot_embedding(POINTS, method="none"), DataError, r"'none' for points \(40, 5\)"),
    (lambda: viz.plot_embedding(POINTS * np.nan), DataError, "40 points are not finite"),
    (lambda: viz.pca(POINTS, 6), ShapeError, "6 components"),
])
def test_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()
