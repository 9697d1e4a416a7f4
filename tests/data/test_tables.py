"""Tables against scikit-learn and against what their papers say."""

import sys
from importlib.resources import files

import numpy as np
import pytest

from tinygrad_course import data
from tinygrad_course.errors import DependencyError


@pytest.mark.parametrize(("load", "features", "classes", "counts"), [
    (data.load_iris, data.IRIS_FEATURES, data.IRIS_CLASSES, [50, 50, 50]),
    (data.load_wine, data.WINE_FEATURES, data.WINE_CLASSES, [59, 71, 48]),
])
def test_shipped_tables(load, features, classes, counts):
    x, y = load()
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert x.shape == (sum(counts), len(features))
    assert np.bincount(y).tolist() == counts
    assert len(classes) == 3
    source = getattr(pytest.importorskip("sklearn.datasets"), load.__name__)()
    np.testing.assert_array_equal(x, source.data.astype(np.float32))
    np.testing.assert_array_equal(y, source.target)


def test_iris_is_that_of_fisher():
    """Means of the species in his table 2; setosa has the smallest petals."""
    x, y = data.load_iris()
    means = np.array([x[y == k].mean(axis=0) for k in range(3)])
    wanted = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326], [6.588, 2.974, 5.552, 2.026]]
    np.testing.assert_allclose(means, wanted, atol=5e-4)


def test_tables_of_scikit_learn():
    pytest.importorskip("sklearn")
    x, y = data.load_breast_cancer()
    assert (x.shape, x.dtype, y.dtype) == ((569, 30), np.float32, np.int64)
    assert np.bincount(y).tolist() == [212, 357]
    assert x[y == 0, 0].mean() > x[y == 1, 0].mean(), "malignant tumours (0) have the larger nuclei"
    x, y = data.load_diabetes()
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((442, 10), (442,), np.float32, np.float32)
    assert (y.min(), y.max()) == (25, 346)
    assert set(np.unique(x[:, data.DIABETES_FEATURES.index("sex")])) == {1, 2}
    np.testing.assert_allclose(x[:, 0].mean(), 48.518, atol=1e-3)  # years


@pytest.mark.parametrize("load", [data.load_breast_cancer, data.load_diabetes])
def test_without_scikit_learn(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # what makes its import fail
    with pytest.raises(DependencyError, match=f"{load.__name__}: the data comes with scikit-learn: pip install scikit-learn"):
        load()


@pytest.mark.parametrize("name", ["iris.npz", "wine.npz", "sunspots.npz", "cmudict.txt.xz"])
def test_shipped_files_are_small_and_have_a_notice(name):
    folder = files("tinygrad_course.data") / "files"
    assert len((folder / name).read_bytes()) < 1_000_000
    assert f"## {name}\n" in (folder / "NOTICE.md").read_text()
