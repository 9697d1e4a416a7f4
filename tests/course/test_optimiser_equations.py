"""The equations of the papers in course/optimiser_equations.py, by hand numbers and against PyTorch."""

import numpy as np
import pytest

from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.course import c9_optimisers as c9
from tinygrad_course.course import optimiser_equations as eq

START = np.array([1.0, -2.0])


def slope(p):
    """Of (x^2 + 10 y^2) / 2."""
    return p * np.array([1.0, 10.0])


@pytest.mark.parametrize(("path", "first", "second"), [
    (eq.sgd(START, slope, 0.05), [0.95, -1.0], [0.9025, -0.5]),
    (eq.momentum(START, slope, 0.05, 0.5), [0.95, -1.0], [0.8775, 0.0]),              # v = (-0.05, 1), then (-0.0725, 1)
    (eq.adagrad(START, slope, 0.1, eps=0.0), [0.9, -1.9], [0.9 - 0.09 / 1.81**0.5, -1.9 + 1.9 / 761**0.5]),
    (eq.adam(START, slope, 0.1, b2=0.9, eps=0.0), [0.9, -1.9], None),
    (eq.newton(START, slope, lambda p: np.diag([1.0, 10.0])), [0.0, 0.0], [0.0, 0.0]),
    (eq.diagonal_newton(START, slope, lambda p: np.diag([1.0, 10.0]), 0.5, 0.0), [0.5, -1.0], [0.25, -0.5]),
    # x: the slope went from 1 to 0.9; the parabola's minimum is 9 steps off, cut to 1.75 of -0.1, and -lr * 0.9 comes in
    # addition.  y: a slope of -20, then 0: nothing to add, and the jump to the minimum has length 0
    (eq.quickprop(START, slope, 0.1), [0.9, 0.0], [0.9 - 0.175 - 0.09, 0.0]),
], ids=["sgd", "momentum", "adagrad", "adam", "newton", "diagonal", "quickprop"])
def test_two_steps_by_hand(path, first, second):
    start, one, two = eq.points(path, 2)
    np.testing.assert_array_equal(start, START)
    np.testing.assert_allclose(one, first, rtol=1e-12, atol=1e-15)
    if second is not None:
        np.testing.assert_allclose(two, second, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("path", "name", "options"), [
    (eq.nesterov(START, slope, 0.05, 0.8), "SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    (eq.adadelta(START, slope), "Adadelta", {}),
    (eq.rmsprop(START, slope, 0.02), "RMSprop", {"lr": 0.02}),
    (eq.adam(START, slope, 0.1, decay=0.2), "AdamW", {"lr": 0.1, "weight_decay": 0.2}),
], ids=["nesterov", "adadelta", "rmsprop", "adamw"])
def test_the_equation_is_what_torch_does(path, name, options):
    torch = torch_or_skip()
    p = torch.tensor(START, requires_grad=True)
    optimizer = getattr(torch.optim, name)([p], **options)
    for point in eq.points(path, 15)[1:]:
        p.grad = torch.tensor(slope(p.detach().numpy()))
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), point, rtol=1e-10)


def test_derivatives_of_rosenbrocks_function():
    p, h = np.array([-0.7, 0.4]), 1e-6
    around = [np.array(d) * h for d in ((1, 0), (0, 1))]

    def value(q):
        return (1 - q[0]) ** 2 + 100 * (q[1] - q[0] ** 2) ** 2

    by_differences = [(value(p + d) - value(p - d)) / (2 * h) for d in around]
    np.testing.assert_allclose(c9.rosenbrock_gradient(p), by_differences, rtol=1e-7)
    np.testing.assert_allclose(
        c9.rosenbrock_hessian(p), [(c9.rosenbrock_gradient(p + d) - c9.rosenbrock_gradient(p - d)) / (2 * h) for d in around],
        rtol=1e-7)
