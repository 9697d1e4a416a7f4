"""Units and their learning rules against loops by hand, scikit-learn and autograd."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models import LogisticUnit, Perceptron, SoftmaxUnit
from tinygrad_course.models.perceptron import (
    delta_step,
    half_squared_error,
    learn_delta,
    learn_perceptron,
    rosenblatt_step,
    sigmoid,
)

RNG = np.random.default_rng(0)
TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def test_geometry():
    unit = Perceptron((1, 2), 2)
    assert unit(np.array([[2, 0], [0, 1], [1.99, 0], [0, 0], [3, 3]])).tolist() == [1, 1, 0, 0, 1]
    assert unit(np.array([5.0, 5.0])) == 1
    np.testing.assert_allclose(unit.decision_line() @ [1, 2], [2, 2], rtol=1e-15)
    np.testing.assert_allclose(unit.decision_line()[0], [0.4, 0.8])
    np.testing.assert_allclose(unit.distance(np.array([[0, 0], [1.4, 2.8]])), [-2 / 5**0.5, 5**0.5])
    assert Perceptron.from_vector(unit.vector).vector.tolist() == [-2, 1, 2]
    a, b = unit.decision_line()
    right_hand = np.array([(b - a)[1], -(b - a)[0]])  # the direction turned by 90 degrees, clockwise
    assert unit(a + right_hand) == 1
    assert unit(a - right_hand) == 0
    assert repr(unit) == "Perceptron(weights=[1.0, 2.0], threshold=2)"


@pytest.mark.parametrize("batch", [False, True])
def test_rosenblatt_by_loops(batch):
    x, t, rate = RNG.standard_normal((12, 3)), RNG.integers(0, 2, 12), 0.3
    w = start = [0.1, -0.2, 0.3, 0.4]
    for _ in range(5):
        total = [0.0] * 4
        for pattern, target in zip(x, t, strict=True):
            y = 1 if w[0] + sum(a * b for a, b in zip(w[1:], pattern, strict=True)) >= 0 else 0
            change = [rate * (target - y) * value for value in (1, *pattern)]
            if batch:
                total = [a + b for a, b in zip(total, change, strict=True)]
            else:
                w = [a + b for a, b in zip(w, change, strict=True)]
        if batch:
            w = [a + b for a, b in zip(w, total, strict=True)]
    found = learn_perceptron(x, t, start=start, rate=rate, batch=batch, max_epochs=5)
    assert found.epochs == 5, "these patterns must not be learned before"
    np.testing.assert_allclose(found.weights, w, rtol=1e-12)


def test_against_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = RNG.standard_normal((60, 4))
    t = (x @ [1, -2, 0.5, 1] + 0.3 > 0).astype(int)
    x[0], t[0] = -x[0] * (2 * t[0] - 1), 0  # a first pattern with target 0 is wrong at weights of 0 for both conventions
    ours = learn_perceptron(x, t, max_epochs=7)
    theirs = linear_model.Perceptron(shuffle=False, tol=None, max_iter=ours.epochs).fit(x, t)
    np.testing.assert_allclose(ours.weights, [*theirs.intercept_, *theirs.coef_[0]], rtol=1e-12)


def test_what_is_learned_stays():
    t = TABLE.max(axis=1)
    found = learn_perceptron(TABLE, t)
    assert found.converged
    assert found.errors[-1] == 0
    assert all(found.errors[:-1] > 0), "it should have stopped before"
    again = learn_perceptron(TABLE, t, start=found.weights)
    assert (again.epochs, len(again.path), again.converged) == (0, 1, True)


def test_not_converging_is_a_result():
    found = learn_perceptron(TABLE, [0, 1, 1, 0], max_epochs=30)
    assert (found.converged, found.epochs, len(found.errors)) == (False, 30, 31)
    assert np.abs(found.path).max() <= 2, "the weights stay bounded"


def test_the_order_is_drawn_from_the_generator():
    x, t = RNG.standard_normal((30, 2)), RNG.integers(0, 2, 30)
    paths = [learn_perceptron(x, t, max_epochs=3, rng=np.random.default_rng(seed)).path for seed in (1, 1, 2)]
    np.testing.assert_array_equal(paths[0], paths[1])
    assert not np.array_equal(paths[0][:5], paths[2][:5])


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_delta_step_is_the_negative_gradient(output):
    x, t, w = RNG.standard_normal((9, 4)), RNG.random(9), RNG.standard_normal(5)
    step = 1e-6
    gradient = [(half_squared_error(w + step * e, x, t, output) - half_squared_error(w - step * e, x, t, output)) / (2 * step)
                for e in np.eye(5)]
    np.testing.assert_allclose(delta_step(w, x, t, 0.1, output), w - 0.1 * np.array(gradient), rtol=1e-7)


@pytest.mark.parametrize(("size", "changes"), [(1, 30), (4, 9), (None, 3)])
@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_delta_rule_by_loops(size, changes, output):
    x, t, w = RNG.standard_normal((10, 2)), RNG.random(10), np.array([0.2, -0.1, 0.4])
    found = learn_delta(x, t, start=w, rate=0.05, epochs=3, batch_size=size, output=output)
    for _ in range(3):
        for first in range(0, 10, size or 10):
            change = np.zeros(3)
            for pattern, target in list(zip(x, t, strict=True))[first:first + (size or 10)]:
                h = w[0] + w[1] * pattern[0] + w[2] * pattern[1]
                y = h if output == "linear" else 1 / (1 + np.exp(-h))
                change += 0.05 * (target - y) * (1 if output == "linear" else y * (1 - y)) * np.array([1, *pattern])
            w = w + change
    np.testing.assert_allclose(found.weights, w, rtol=1e-12)
    assert len(found.path) == changes + 1
    assert found.errors[-1] == pytest.approx(half_squared_error(w, x, t, output))
    assert found.converged is None


def test_batch_settles_at_least_squares():
    x, t = RNG.standard_normal((20, 3)), RNG.standard_normal(20)
    best = np.linalg.lstsq(np.column_stack([np.ones(20), x]), t, rcond=None)[0]
    np.testing.assert_allclose(learn_delta(x, t, rate=0.03, epochs=2000).weights, best, rtol=1e-9)


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, -1.0, 0.0, 1e4])), [0, 1 / (1 + np.e), 0.5, 1], atol=1e-16)


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_gradient_at_the_pre_activation(kind):
    """dE/dh = y - t, by autograd, with a weight of its own for each pattern."""
    upstream = RNG.random(6)
    if kind == "logistic":
        h, t = tgc.tensor(3 * RNG.standard_normal(6), requires_grad=True), RNG.random(6)
        LogisticUnit.loss(h, tgc.tensor(t), reduction="none").backward(tgc.tensor(upstream))
        wanted = upstream * (1 / (1 + np.exp(-h.detach().numpy())) - t)
    else:
        h, t = tgc.tensor(3 * RNG.standard_normal((6, 4)), requires_grad=True), RNG.integers(0, 4, 6)
        SoftmaxUnit.loss(h, tgc.tensor(t), reduction="none").backward(tgc.tensor(upstream))
        e = np.exp(h.detach().numpy())
        wanted = upstream[:, None] * (e / e.sum(axis=1, keepdims=True) - np.eye(4)[t])
    np.testing.assert_allclose(h.grad.numpy(), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("classes", [2, 3])
def test_units_reach_the_solution_of_scikit_learn(classes):
    linear_model = pytest.importorskip("sklearn.linear_model")
    tgc.manual_seed(0)
    x = RNG.standard_normal((80, 2))
    t = np.digitize(x @ [1, -1] + 0.8 * RNG.standard_normal(80), [0.0, 1.0][:classes - 1])
    reference = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, t)
    unit = (LogisticUnit(2) if classes == 2 else SoftmaxUnit(2, 3)).double()
    optimizer = tgc.optim.LBFGS(unit.parameters(), max_iter=200, tolerance_grad=1e-9, tolerance_change=1e-14,
                                line_search_fn="strong_wolfe")
    inputs, targets = tgc.tensor(x), tgc.tensor(t.astype(np.float64) if classes == 2 else t)

    def closure():
        optimizer.zero_grad()
        loss = unit.loss(unit(inputs), targets, reduction="sum") + 0.5 * (unit.linear.weight ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    wanted = reference.predict_proba(x)
    np.testing.assert_allclose(unit.probability(inputs).detach().numpy(), wanted[:, 1] if classes == 2 else wanted, atol=1e-5)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: Perceptron([[1, 2]]), ShapeError, r"weights have the shape \(1, 2\), needed is \(n,\)"),
    (lambda: Perceptron([1, 2])(np.zeros((5, 3))), ShapeError, r"inputs have the shape \(5, 3\), needed is \(\.\.\., 2\)"),
    (lambda: Perceptron([1, 2, 3]).decision_line(), ShapeError, "there are 3 inputs; it is a line for 2"),
    (lambda: Perceptron([0, 0], 1).decision_line(), DataError, "all weights are 0"),
    (lambda: learn_perceptron(TABLE, [0, 1, 1]), ShapeError, r"\(4, 2\) and targets \(3,\), needed are"),
    (lambda: learn_perceptron(TABLE, [-1, 1, 1, 1]), DataError, r"targets are \[-1.0, 1.0\], needed are 0 and 1"),
    (lambda: learn_perceptron(TABLE, [0, 1, 1, 1], start=[0, 0]), ShapeError, r"start has the shape \(2,\), needed is"),
    (lambda: learn_perceptron(TABLE, [0, 1, 1, 1], rate=0), DataError, "rate is 0; it must be positive"),
    (lambda: learn_perceptron(TABLE, [0, 1, 1, 1], max_epochs=0), DataError, "max_epochs is 0; it must be positive"),
    (lambda: learn_delta(TABLE, [0, 1, 1, 1], rate=0.1, epochs=2, batch_size=0), DataError, "batch_size is 0"),
    (lambda: learn_delta(TABLE, [0, 1, 1, 1], rate=0.1, epochs=2, output="tanh"), DataError, "is one of linear, sigmoid"),
    (lambda: learn_delta(TABLE, [0, 1, 1, 1], rate=5, epochs=200), DataError, "overshoot. Give a smaller rate than 5"),
])
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_right_pattern_changes_nothing():
    w = np.array([0.5, 1.0, 0.0])
    assert rosenblatt_step(w, np.array([1, 1]), 1).tolist() == w.tolist()
