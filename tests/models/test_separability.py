"""Exact separability against SciPy's linear programming and checks in whole numbers."""

import numpy as np
import pytest

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models.separability import boolean_function, same_midpoint, separable_functions, separate, truth_table

RNG = np.random.default_rng(0)


def by_scipy(x, t):
    """Feasibility of (2 t - 1) (w_0 + w . x) >= 1."""
    optimize = pytest.importorskip("scipy.optimize")
    a = (2 * np.asarray(t) - 1)[:, None] * np.column_stack([np.ones(len(x)), x])
    found = optimize.linprog(np.zeros(a.shape[1]), A_ub=-a, b_ub=-np.ones(len(a)), bounds=(None, None))
    assert found.status in (0, 2)
    return found.status == 0


def check_proof(x, t, found):
    sign, rows = 2 * np.asarray(t) - 1, np.column_stack([np.ones(len(x), dtype=int), x])
    assert (found.weights is None) != (found.multipliers is None)
    if found.separable:
        assert (sign * (rows @ found.weights) > 0).all()
        assert np.gcd.reduce(found.weights) == 1
    else:
        m = np.array(found.multipliers)
        assert (m >= 0).all()
        assert m.any()
        assert not (sign * m @ rows).any()


@pytest.mark.parametrize(("n", "count"), [(1, 4), (2, 14), (3, 104), (4, 1882)])
def test_counts_and_their_proof(n, count):
    found, excluded = separable_functions(n), same_midpoint(n)
    assert found.sum() == count
    assert len(found) == 2 ** 2**n
    assert (found != excluded).all(), "each function is either computed by weights or excluded, and none is both"


@pytest.mark.parametrize(("n", "samples"), [(2, 16), (3, 80), (4, 80)])
def test_against_scipy(n, samples):
    found, table = separable_functions(n), truth_table(n)
    numbers = range(16) if n == 2 else [*RNG.choice(np.flatnonzero(found), samples // 2, replace=False),
                                       *RNG.choice(np.flatnonzero(~found), samples // 2, replace=False)]
    for number in numbers:
        t = boolean_function(int(number), n)
        answer = separate(table, t)
        assert answer.separable == found[number] == by_scipy(table, t)
        check_proof(table, t, answer)


@pytest.mark.parametrize("shift", [0, 1])
def test_points_with_whole_coordinates(shift):
    for _ in range(40):
        x = RNG.integers(-9, 10, (10, 3))
        t = (x @ [1, 2, -1] + RNG.integers(-4, 5, 10) * shift > 0).astype(int)
        answer = separate(x, t)
        assert answer.separable == by_scipy(x, t)
        check_proof(x, t, answer)


def test_a_gap_below_rounding_is_seen():
    """Two classes one unit in the last place apart: nothing is rounded."""
    x = np.array([[1.0], [np.nextafter(1.0, 2.0)]])
    assert separate(x, np.array([0, 1])).separable
    assert separate(np.array([[1.0], [1.0]]), np.array([0, 1])).multipliers == (1, 1)


def test_one_class_alone_and_numbers_of_functions():
    assert separate(truth_table(3), np.ones(8)).separable
    assert [boolean_function(k, 2).tolist() for k in (6, 8, 14)] == [[0, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 1]]
    assert truth_table(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: separate(np.zeros(3), np.zeros(3)), ShapeError, r"patterns have the shape \(3,\)"),
    (lambda: separate(np.eye(2), np.array([1, 2])), DataError, r"targets are \[1, 2\], needed are 0 and 1"),
    (lambda: separate(np.array([[np.nan]]), np.array([1])), DataError, "infinite or NaN"),
    (lambda: separable_functions(5), DataError, "it lists all functions of 1 to 4"),
    (lambda: same_midpoint(0), DataError, "0 inputs; it lists all functions of 1 to 4"),
    (lambda: boolean_function(16, 2), DataError, "no function 16 of 2 inputs; they are 0 to 15"),
    (lambda: truth_table(0), DataError, "0 inputs; give at least 1"),
])
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
