"""Newton and DiagonalNewton: quadratic problems in one step, and steep valleys."""

import itertools

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import linalg, nn, optim
from tinygrad_course.errors import GraphError, ShapeError


def quadratic(seed=0, n=5):
    """A positive definite matrix and the minimum of (p - m)^T A (p - m) / 2."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    return root @ root.T + 0.1 * np.eye(n), rng.standard_normal(n)


def start(*shapes, value=0.5):
    return [tgc.full(shape, value, dtype="float64").requires_grad_() for shape in shapes]


def flat(params):
    return tgc.cat([p.reshape(-1) for p in params])


@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, {"solver": "cg"}], ids=str)
def test_a_quadratic_is_solved_in_one_step(options):
    a, m = quadratic()
    params = start((2, 2), ())
    optimizer = optim.Newton(params, **options)
    at_first = 0.5 * (0.5 - m) @ a @ (0.5 - m)

    def closure():
        d = flat(params) - tgc.tensor(m)
        return d @ (tgc.tensor(a) @ d) / 2

    assert optimizer.step(closure).item() == pytest.approx(at_first)
    gradient = a @ (0.5 - m)
    np.testing.assert_allclose(np.append(params[0].grad.numpy(), params[1].grad.numpy()), gradient)
    if "solver" in options:  # conjugate gradients stop at a hundredth of |g|, and less near the solution
        for _ in range(3):
            optimizer.step(closure)
    np.testing.assert_allclose(flat(params).detach().numpy(), m, rtol=1e-9)


def test_damping_and_rate_are_levenbergs():
    a, m = quadratic()
    params = start((5,))
    optim.Newton(params, lr=0.3, damping=2.0).step(
        lambda: (params[0] - tgc.tensor(m)) @ (tgc.tensor(a) @ (params[0] - tgc.tensor(m))) / 2)
    expected = 0.5 - 0.3 * np.linalg.solve(a + 2 * np.eye(5), a @ (0.5 - m))
    np.testing.assert_allclose(params[0].detach().numpy(), expected)


def test_the_hessian_of_a_network_is_that_of_finite_differences():
    """A step with the Hessian by central differences of the gradient, through layers, and with a saddle on the way."""
    tgc.manual_seed(1)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x, y = tgc.randn(6, 2, dtype="float64"), tgc.randn(6, 1, dtype="float64")
    params = list(net.parameters())
    before = flat(params).detach().numpy().copy()

    def gradient(values):
        at = 0
        for p in params:
            p.detach().copy_(tgc.tensor(values[at:at + p.numel()].reshape(p.shape)))
            at += p.numel()
        net.zero_grad()
        nn.MSELoss()(net(x), y).backward()
        return flat([p.grad for p in params]).numpy().copy()

    h = 1e-5
    hessian = np.array([(gradient(before + h * e) - gradient(before - h * e)) / (2 * h) for e in np.eye(before.size)])
    expected = before - np.linalg.solve(hessian + 0.1 * np.eye(before.size), gradient(before))
    diagonal = before - 0.1 * gradient(before) / (np.abs(np.diag(hessian)) + 0.1)
    gradient(before)
    optim.Newton(params, damping=0.1).step(lambda: nn.MSELoss()(net(x), y))
    np.testing.assert_allclose(flat(params).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    gradient(before)
    optim.DiagonalNewton(params, lr=0.1, damping=0.1).step(lambda: nn.MSELoss()(net(x), y))
    np.testing.assert_allclose(flat(params).detach().numpy(), diagonal, rtol=1e-6, atol=1e-7)


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


VALLEY = [
    (optim.Newton, {}, 10), (optim.Newton, {"line_search_fn": "strong_wolfe"}, 30), (optim.Newton, {"solver": "cg"}, 15),
    (optim.Newton, {"solver": "cg", "line_search_fn": "strong_wolfe"}, 30),
    (optim.Newton, {"curvature": "gauss_newton"}, 4), (optim.Newton, {"curvature": "gauss_newton", "damping": 1e-2}, 12),
    (optim.DiagonalNewton, {"damping": 1.0, "line_search_fn": "strong_wolfe"}, 400),
    (optim.DiagonalNewton, {"curvature": "gauss_newton", "line_search_fn": "strong_wolfe"}, 300),
]


@pytest.mark.parametrize(("kind", "options", "steps"), VALLEY, ids=str)
def test_a_steep_valley(kind, options, steps):
    """Rosenbrock's, from (-1.2, 1): the full matrix gets to the bottom, the diagonal only along."""
    x, y = (tgc.tensor(v, dtype="float64", requires_grad=True) for v in (-1.2, 1.0))
    optimizer = kind([x, y], **options)
    root = 2**0.5

    def closure():
        if "curvature" in options:
            return tgc.stack([root * (1 - x), root * 10 * (y - x * x)])
        return rosenbrock(x, y)

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    assert losses[0] == pytest.approx(24.2)
    final = rosenbrock(x, y).item()
    assert final < (1e-15 if kind is optim.Newton else 0.1)
    if options.get("line_search_fn"):
        assert all(b <= a for a, b in itertools.pairwise(losses))


def test_quickprop_goes_down_the_valley_faster_than_its_gradient_alone():
    finals = []
    for make in (lambda p: optim.Quickprop(p, lr=1e-3), lambda p: optim.SGD(p, lr=1e-3)):
        x, y = (tgc.tensor(v, dtype="float64", requires_grad=True) for v in (-1.2, 1.0))
        optimizer = make([x, y])
        for _ in range(1200):
            optimizer.zero_grad()
            loss = rosenbrock(x, y)
            loss.backward()
            optimizer.step()
        finals.append(loss.item())
    assert finals[0] < 2e-3  # its way depends on rounding: from 12 starts 1e-9 apart it ends between 1e-5 and 1e-4
    assert finals[1] > 0.1


def test_a_line_search_leaves_a_saddle_downhill():
    """x^2 - y^2 + y^4: without it Newton's step leads to the saddle, where the gradient is 0."""
    ends = []
    for line_search in (None, "strong_wolfe"):
        x, y = start((), (), value=0.1)
        optimizer = optim.Newton([x, y], line_search_fn=line_search)
        for _ in range(20):
            optimizer.step(lambda x=x, y=y: x * x - y * y + y**4)
        ends.append([x.item(), y.item()])
    np.testing.assert_allclose(ends, [[0, 0], [0, 0.5**0.5]], atol=1e-6)


def test_frozen_and_unused_parameters_stay():
    used, frozen, unused = start((2,), (2,), (2,))
    frozen.requires_grad_(False)
    optim.Newton([used, frozen, unused], damping=1e-6).step(lambda: ((used + frozen) ** 2).sum())
    np.testing.assert_allclose(used.detach().numpy(), -0.5, atol=1e-5)
    assert frozen.tolist() == unused.tolist() == [0.5, 0.5]
    optim.DiagonalNewton([used, unused]).step(lambda: ((used - 1) ** 2).sum())
    np.testing.assert_allclose(used.detach().numpy(), 1)
    assert unused.tolist() == [0.5, 0.5]
    with pytest.warns(UserWarning, match=r"Newton\.step: no parameter has a gradient"):
        optim.Newton([frozen]).step(lambda: (frozen * used.detach()).sum())


def test_mistakes():
    p = tgc.ones(2, dtype="float64", requires_grad=True)

    def with_backward():
        loss = (p**3).sum()
        loss.backward()
        return loss

    with pytest.raises(GraphError, match=r"Newton\.step: the closure must return the loss .* without calling backward"):
        optim.Newton([p]).step(with_backward)
    with pytest.raises(linalg.LinAlgError, match=r"singular.*give damping"):
        optim.Newton([p]).step(lambda: p.sum() ** 2)
    with pytest.raises(linalg.LinAlgError, match="a slope and no curvature; give damping"):
        optim.DiagonalNewton([p]).step(lambda: p.sum())
    with pytest.raises(ShapeError, match=r"returned a tensor of shape \(2,\).*'gauss_newton' for residuals"):
        optim.Newton([p]).step(lambda: p * p)
    with pytest.raises(TypeError, match=r"DiagonalNewton\.step: needs a closure"):
        optim.DiagonalNewton([p]).step()
    for options, match in (({"solver": "qr"}, "solver: 'direct' or 'cg', got 'qr'"),
                           ({"damping": -1}, "Invalid damping value"),
                           ({"curvature": "fisher"}, "curvature: 'hessian' or 'gauss_newton', got 'fisher'"),
                           ({"solver": "cg", "curvature": "gauss_newton"}, "needs solver='direct'"),
                           ({"line_search_fn": "armijo"}, "only 'strong_wolfe'")):
        with pytest.raises(ValueError, match=match):
            optim.Newton([p], **options)
    with pytest.raises(ValueError, match="Newton doesn't support per-parameter options"):
        optim.Newton([p]).add_param_group({"params": [tgc.ones(1, requires_grad=True)]})
