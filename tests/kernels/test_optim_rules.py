"""Every optimiser kernel with a signature (params, grads, *arrays, *numbers): compiled twin against NumPy body, layouts,
threads, numbers that are not finite.  tests/optim compares the optimisers with PyTorch."""

import itertools

import numpy as np
import pytest

FAMILY = "optim"
SHAPES = [(5, 7), (9,), (), (0, 3), (1,), (70, 130)]
# name, (parameters' arrays start at), numbers of a call; `step` among them is replaced by the running one
STEP = object()
RULES = [
    ("adamax_step", (0, 0), (STEP, 0.1, 0.8, 0.9, 1e-3, 0.1, True)),
    ("nadam_step", (0, 0), (STEP, 0.1, 0.8, 0.9, 1e-3, 0.1, 0.4, 0.45, 0.3, False, False)),
    ("nadam_step", (0, 0), (STEP, 0.1, 0.8, 0.9, 1e-3, 0.1, 0.4, 0.45, 0.3, True, True)),
    ("radam_step", (0, 0), (STEP, 0.1, 0.8, 0.9, 1e-3, 0.1, False, False)),
    ("radam_step", (0, 0), (STEP, 0.1, 0.8, 0.9, 1e-3, 0.1, True, True)),
    ("adagrad_step", (0.5,), (0.1, 1e-3, 0.1, True)),
    ("adadelta_step", (0, 0), (0.5, 0.7, 1e-3, 0.1, True)),
    ("rmsprop_step", (0, 0, 0), (0.1, 0.7, 1e-3, 0.1, 0.9, True, False)),
    ("rmsprop_step", (0, 0, 0), (0.1, 0.7, 1e-3, 0.0, 0.0, True, False)),
    ("rmsprop_step", (0, 0, 0), (0.1, 0.7, 1e-3, 0.0, 0.9, False, True)),
    ("rmsprop_step", (0, 0, 0), (0.1, 0.7, 1e-3, 0.0, 0.0, False, False)),
    ("rprop_step", (0, 0.1), (0.4, 1.3, 0.05, 0.2, False)),
    ("rprop_step", (0, 0.1), (0.4, 1.3, 0.05, 0.2, True)),
    ("asgd_step", (0,), (0.1, 1.0, 0.1, 0.1, False)),
    ("asgd_step", (0,), (0.1, 0.3, 0.1, 0.0, True)),
    ("quickprop_step", (0, 0), (0.1, 1.75, 0.01, False)),
    ("quickprop_step", (0, 0), (0.1, 1.75, 0.0, True)),
]
IDS = [f"{name}-{number}" for number, (name, _, _) in enumerate(RULES)]
rules = pytest.mark.parametrize(("name", "starts", "numbers"), RULES, ids=IDS)


def draw(dtype, seed, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def run(k, name, starts, numbers, dtype, change=lambda x: x, shapes=SHAPES, steps=12):
    """Parameters and remembered arrays after some steps of random gradients, which must be left alone."""
    params = [change(p) for p in draw(dtype, 0, shapes)]
    memory = [[change(np.full(shape, start, dtype)) for shape in shapes] for start in starts]
    kept = [id(array) for array in [*params, *itertools.chain.from_iterable(memory)]]
    for step in range(1, steps + 1):
        grads = [change(g) for g in draw(dtype, step, shapes)]
        getattr(k, name)(params, grads, *memory, *[step if value is STEP else value for value in numbers])
        for g, before in zip(grads, draw(dtype, step, shapes), strict=True):
            np.testing.assert_array_equal(g, before)
    result = [*params, *itertools.chain.from_iterable(memory)]
    assert [id(array) for array in result] == kept
    return result


@rules
def test_twins_agree(reference, compiled, name, starts, numbers, dtype):
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    expected = run(reference, name, starts, numbers, dtype)
    for a, b in zip(run(compiled, name, starts, numbers, dtype), expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@rules
def test_layouts_are_updated_in_place(k, name, starts, numbers, layout):
    shapes = [(6, 8), (3, 4, 5)]
    plain = run(k, name, starts, numbers, np.float64, shapes=shapes)
    for a, b in zip(run(k, name, starts, numbers, np.float64, layout, shapes), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


@rules
def test_thread_counts(compiled, same_for_all_thread_counts, name, starts, numbers):
    shapes = [(300, 500), (77,), (40_001,)]
    same_for_all_thread_counts(lambda: run(compiled, name, starts, numbers, np.float32, shapes=shapes, steps=2))


@rules
def test_nan_shows_and_infinity_stays_without_weight_decay(k, name, starts, numbers):
    """A NaN gradient makes its own parameter NaN, and no other one."""
    params, grads = [np.ones(3)], [np.array([1.0, np.nan, -1.0])]
    memory = [[np.full(3, float(start))] for start in starts]
    getattr(k, name)(params, grads, *memory, *[1 if value is STEP else value for value in numbers])
    np.testing.assert_array_equal(np.isnan(params[0]), [False, True, False])


def test_the_variance_of_constant_gradients_is_never_negative(k, dtype):
    """v - a^2 is 0 but for rounding, and a root of less than 0 would be NaN."""
    rng = np.random.default_rng(0)
    g = rng.uniform(0.1, 10, 500).astype(dtype)
    params, memory = [np.zeros(500, dtype)], [[np.zeros(500, dtype)], [np.zeros(500, dtype)]]
    for _ in range(60):
        k.rmsprop_step(params, [g], *memory, [], 1e-3, 0.5, 1e-8, 0.0, 0.0, True, False)
    assert np.isfinite(params[0]).all()


def test_quickprop_by_hand(k):
    """E = (p - 3)^2 / 2 with the slope p - 3, and -E for maximize: steepest descent first, then the minimum of the parabola.

    lr 0.5, p 1:  slope -2, step 1, p 2;  slope -1, secant 1 * -1 / (-2 + 1) = 1, and 0.5 on top as the slope kept its sign:
    p 3.5;  slope 0.5, secant 1.5 * 0.5 / (-1 - 0.5) = -0.5 alone: p 3.
    """
    for maximize in (False, True):
        p, prev, delta = np.array([1.0]), np.zeros(1), np.zeros(1)
        for expected in (2.0, 3.5, 3.0):
            g = -(p - 3) if maximize else p - 3
            k.quickprop_step([p], [g], [prev], [delta], 0.5, 1.75, 0.0, maximize)
            np.testing.assert_allclose(p, expected)


def test_quickprop_steps_grow_by_the_factor_at_most(k):
    """The slope hardly falls, or even rises: the parabola is far too long, or bends the wrong way."""
    for second in (-0.99, -1.0, -2.0):
        p, prev, delta = np.array([0.0]), np.zeros(1), np.zeros(1)
        k.quickprop_step([p], [np.array([-1.0])], [prev], [delta], 0.1, 1.75, 0.0, False)
        k.quickprop_step([p], [np.array([second])], [prev], [delta], 0.1, 1.75, 0.0, False)
        np.testing.assert_allclose(delta, 1.75 * 0.1 - 0.1 * second)
