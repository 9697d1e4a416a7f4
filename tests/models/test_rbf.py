"""Radial basis functions by loops, least squares by NumPy and SciPy, k-means against scikit-learn."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models.rbf import RBFNetwork, k_means, neighbour_widths, squared_distances, two_stage

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), RNG.standard_normal((40, 2))


def small_net():
    tgc.manual_seed(0)
    return RBFNetwork(RNG.standard_normal((5, 3)), RNG.uniform(0.5, 2, 5), 2).double()


def test_outputs_by_loops():
    net = small_net()
    centres, widths = net.centres.detach().numpy(), net.widths.detach().numpy()
    phi = np.array([[np.exp(-sum((x - c) ** 2) / (2 * s ** 2)) for c, s in zip(centres, widths, strict=True)] for x in X])
    np.testing.assert_allclose(net.activity(tgc.tensor(X)).detach().numpy(), phi, rtol=1e-10)
    wanted = phi @ net.linear.weight.detach().numpy().T + net.linear.bias.detach().numpy()
    np.testing.assert_allclose(net(tgc.tensor(X)).detach().numpy(), wanted, rtol=1e-10)


def test_gradients():
    net = small_net()
    x = tgc.tensor(X[:4], requires_grad=True)
    parameters = list(net.parameters())
    assert [tuple(p.shape) for p in parameters] == [(5, 3), (5,), (2, 5), (2,)]

    def output(x, centres, log_widths, weight, bias):
        return tgc.func.functional_call(net, {"centres": centres, "log_widths": log_widths, "linear.weight": weight,
                                              "linear.bias": bias}, (x,))

    assert tgc.testing.gradcheck(output, (x, *parameters))


def test_read_out_is_the_least_squares_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    net = small_net()
    net.fit_read_out(X, Y)
    phi = net.activity(tgc.tensor(X)).detach().numpy()
    wanted = linalg.lstsq(np.column_stack([phi, np.ones(40)]), Y)[0]
    np.testing.assert_allclose(net.linear.weight.detach().numpy(), wanted[:-1].T, rtol=1e-8)
    np.testing.assert_allclose(net.linear.bias.detach().numpy(), wanted[-1], rtol=1e-8)


def test_a_centre_on_each_point_interpolates():
    net = RBFNetwork(X, neighbour_widths(X), 2).double()
    net.fit_read_out(X.astype(np.float32), Y)
    np.testing.assert_allclose(net(tgc.tensor(X.astype(np.float32).astype(np.float64))).detach().numpy(), Y, atol=1e-8)


def test_k_means_against_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    x = np.concatenate([centre + 0.3 * RNG.standard_normal((30, 2)) for centre in ((0, 0), (5, 0), (0, 5), (5, 5))])
    found = k_means(x, 4, np.random.default_rng(1))
    theirs = cluster.KMeans(4, n_init=10, random_state=0).fit(x)
    assert found.errors[-1] == pytest.approx(theirs.inertia_)
    order, their_order = np.lexsort(found.centres.round().T), np.lexsort(theirs.cluster_centers_.round().T)
    np.testing.assert_allclose(found.centres[order], theirs.cluster_centers_[their_order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("k", [1, 7, 40])
def test_k_means_ends_where_nothing_changes(k):
    found = k_means(X, k, np.random.default_rng(0))
    distances = np.array([[((x - c) ** 2).sum() for c in found.centres] for x in X])
    np.testing.assert_allclose(squared_distances(X, found.centres), distances, atol=1e-12)
    np.testing.assert_array_equal(found.nearest, distances.argmin(axis=1))
    for j in range(k):
        np.testing.assert_allclose(found.centres[j], X[found.nearest == j].mean(axis=0), atol=1e-12)
    assert (np.diff(found.errors) <= 1e-12).all()
    np.testing.assert_allclose(found.errors[-1], distances.min(axis=1).sum(), atol=1e-12)
    again = k_means(X, k, np.random.default_rng(0))
    np.testing.assert_array_equal(again.centres, found.centres)


def test_seeds_are_distinct_points():
    """Of points that occur many times each k-means++ takes each once."""
    x = np.repeat(np.array([[0.0], [1.0], [10.0]]), [50, 1, 50], axis=0)
    for seed in range(5):
        assert sorted(k_means(x, 3, np.random.default_rng(seed)).centres[:, 0]) == [0, 1, 10]


def test_widths_by_loops():
    wanted = []
    for i, centre in enumerate(X):
        distances = sorted(((centre - other) ** 2).sum() for j, other in enumerate(X) if j != i)
        wanted.append(np.sqrt(np.mean(distances[:3])))
    np.testing.assert_allclose(neighbour_widths(X, 3), wanted, rtol=1e-10)


def test_two_stages_fit_a_curve():
    x = np.linspace(-3, 3, 200)[:, None]
    net = two_stage(x, np.sin(2 * x), 16, np.random.default_rng(0))
    assert tuple(net.centres.shape) == (16, 1)
    assert np.abs(net(tgc.tensor(x.astype(np.float32))).detach().numpy() - np.sin(2 * x)).max() < 0.05


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: RBFNetwork(np.zeros(3), 1, 1), ShapeError, r"centres have the shape \(3,\), needed is \(K, D\)"),
    (lambda: RBFNetwork(X, 0, 1), DataError, "the smallest width is 0; widths must be positive. Are there equal centres"),
    (lambda: small_net()(tgc.zeros(4, 2)), ShapeError, r"inputs have the shape \(4, 2\), needed is \(N, 3\)"),
    (lambda: small_net().fit_read_out(X, Y[:, :1]), ShapeError, r"targets have the shape \(40, 1\), needed is \(40, 2\)"),
    (lambda: k_means(X[:, 0], 2, RNG), ShapeError, r"points have the shape \(40,\), needed is \(N, D\)"),
    (lambda: k_means(np.ones((9, 2)), 2, RNG), DataError, "k=2, but there are 1 distinct points. Give k from 1 to 1"),
    (lambda: neighbour_widths(X, 40), DataError, "40 centres have no 40 neighbours each. Give from 1 to 39"),
])
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
