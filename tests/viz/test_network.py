"""Networks of a weight matrix: their layers, and arrows that start and end where the matrix says."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.errors import ShapeError
from tinygrad_course.models.weight_matrix import is_feed_forward
from tinygrad_course.viz.network import NEGATIVE, POSITIVE

colors = pytest.importorskip("matplotlib.colors", exc_type=ImportError)
patches = pytest.importorskip("matplotlib.patches", exc_type=ImportError)


def matrix(n, edges):
    weights = np.zeros((n, n))
    for source, target, weight in edges:
        weights[target, source] = weight
    return weights


def units(ax):
    return {int(p.get_gid()[5:]): p for p in ax.patches if isinstance(p, patches.Circle) and p.get_gid().startswith("unit")}


def arrows(ax):
    return {p.get_gid(): p for p in ax.patches if "->" in p.get_gid()}


@pytest.mark.parametrize(("edges", "n", "layers", "recurrent"), [
    ([(0, 2, 1), (1, 2, 1), (2, 3, 1), (0, 3, 1)], 4, [[0, 1], [2], [3]], False),      # with a shortcut
    ([(3, 0, 1), (0, 1, 1)], 4, [[2, 3], [0], [1]], False),                            # numbers in any order; one alone
    ([(0, 1, 1), (1, 2, 1), (2, 1, 1), (2, 3, 1)], 4, [[0], [1, 2], [3]], True),       # hidden units feed each other
    ([(0, 1, 1), (1, 1, 1)], 2, [[0], [1]], True),                                     # a loop
    ([(0, 1, 1), (1, 2, 1), (2, 0, 1)], 3, [[0, 1, 2]], True),
    ([(i, i + 1, 1) for i in range(9)], 10, [[i] for i in range(10)], False),
])
def test_layers(edges, n, layers, recurrent):
    weights = matrix(n, edges)
    assert viz.network_layers(weights) == layers
    assert viz.network_layers(tgc.tensor(weights)) == layers
    assert is_feed_forward(weights) != recurrent


def test_random_networks_without_cycles():
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(12)
        weights = (np.tril(rng.random((12, 12)) < 0.2, -1) * 1.0)[np.argsort(order)][:, np.argsort(order)]
        column = {unit: k for k, layer in enumerate(viz.network_layers(weights)) for unit in layer}
        assert is_feed_forward(weights)
        for unit in range(12):  # one behind the last that feeds it
            assert column[unit] == max((column[j] + 1 for j in np.flatnonzero(weights[unit])), default=0)


def test_arrows():
    edges = [(0, 2, 1.0), (1, 2, -2.0), (2, 3, 0.5), (0, 3, 1.5), (2, 2, -1.0)]
    ax = viz.plot_network(matrix(4, edges), [0, 0, -0.5, 0.25], names=list("abhy"), title="t")
    assert ax.get_title() == "t"
    circles, lines = units(ax), arrows(ax)
    assert sorted(lines) == ["0->2", "0->3", "1->2", "2->2", "2->3"]
    for source, target, weight in edges:
        line = lines[f"{source}->{target}"]
        assert line.get_edgecolor()[:3] == colors.to_rgb(POSITIVE if weight > 0 else NEGATIVE)
        assert line.get_linewidth() == pytest.approx(0.6 + 4 * abs(weight) / 2)
        if source == target:
            assert isinstance(line, patches.Circle)
            continue
        start, control, end = line._path_original.vertices
        for place, unit in ((start, source), (end, target)):  # from rim to rim
            assert np.linalg.norm(place - circles[unit].center) == pytest.approx(circles[unit].radius)
        way, out = end - start, control - start
        straight = abs(way[0] * out[1] - way[1] * out[0]) < 1e-9
        assert straight == ((source, target) != (0, 3))  # the shortcut goes around the hidden unit
    x = {unit: circle.center[0] for unit, circle in circles.items()}
    assert x[0] == x[1] < x[2] < x[3]
    said = [text.get_text() for text in ax.texts]  # weights row by row, then units with their biases
    assert said == ["1", "-2", "-1", "1.5", "0.5", "a", "b", "h", "-0.5", "y", "0.25"]
    assert circles[2].get_facecolor() != circles[3].get_facecolor() != circles[0].get_facecolor()


def test_curves_run_over_no_unit():
    rng = np.random.default_rng(1)
    weights = matrix(9, [(0, 8, 1), (1, 8, 1), (2, 8, 1), *((i, j, 1) for i in (0, 1, 2) for j in (3, 4, 5)),
                         *((i, j, 1) for i in (3, 4, 5) for j in (6, 7)), (6, 8, 1), (7, 8, 1), (3, 5, 1),
                         (5, 3, rng.random())])
    ax = viz.plot_network(weights, numbers=False)
    assert len(ax.texts) == 9
    circles = units(ax)
    for name, line in arrows(ax).items():
        source, target = map(int, name.split("->"))
        a, b, c = line._path_original.vertices
        t = np.linspace(0, 1, 200)[:, None]
        points = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
        for unit in set(circles) - {source, target}:
            assert np.linalg.norm(points - circles[unit].center, axis=1).min() > circles[unit].radius, name


def test_all_connected_stand_in_a_circle():
    weights = np.ones((6, 6)) - np.eye(6)
    ax = viz.plot_network(weights)
    middles = np.array([circle.center for circle in units(ax).values()])
    radii = np.linalg.norm(middles, axis=1)
    np.testing.assert_allclose(radii, radii[0])
    assert sum(isinstance(p, patches.FancyArrowPatch) for p in ax.patches) == 30
    assert len(ax.texts) == 6  # too many weights to write
    assert viz.plot_network(weights, layers=[[0, 1, 2], [3, 4, 5]], ax=ax) is ax


@pytest.mark.parametrize(("call", "says"), [
    (lambda: viz.plot_network(np.zeros((2, 3))), r"plot_network: weights have the shape \(2, 3\), needed is \(N, N\)"),
    (lambda: viz.network_layers(np.zeros(3)), "network_layers: weights"),
    (lambda: viz.plot_network(np.zeros((2, 2)), [1.0]), r"biases have the shape \(1,\) for 2 units"),
    (lambda: viz.plot_network(np.zeros((2, 2)), names=["a"]), "1 names for 2 units"),
    (lambda: viz.plot_network(np.zeros((2, 2)), layers=[[0], [0, 1]]), "do not hold each of the units 0 to 1 once"),
])
def test_refuses(call, says):
    with pytest.raises(ShapeError, match=says):
        call()
