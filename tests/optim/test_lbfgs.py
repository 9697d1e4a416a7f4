"""LBFGS against PyTorch, the line search by the conditions it promises, state dicts both ways."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import optim
from tinygrad_course.errors import StateDictError
from tinygrad_course.optim.line_search import CURVATURE, SUFFICIENT, Point, strong_wolfe

OPTIONS = [{}, {"lr": 0.3, "history_size": 2}, {"line_search_fn": "strong_wolfe"},
           {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 4},
           {"line_search_fn": "strong_wolfe", "max_eval": 6, "lr": 0.2}, {"max_iter": 3, "tolerance_change": 0.05}]


def problem(lib, dtype="float64", **options):
    """A chain of Rosenbrock valleys in 8 numbers of three parameters, one of them without influence, and an empty one."""
    rng = np.random.default_rng(0)
    params = [lib.tensor(rng.uniform(0, 1, shape).astype(dtype), requires_grad=True) for shape in [(2, 3), (), (0, 2), (4,)]]
    optimizer = lib.optim.LBFGS(params, **options)

    def closure():
        optimizer.zero_grad()
        v = lib.cat([params[0].reshape(-1), params[1].reshape(1)])
        loss = ((1 - v[:-1]) ** 2).sum() + 5 * ((v[1:] - v[:-1] ** 2) ** 2).sum()
        loss.backward()
        return loss

    return params, optimizer, closure


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_trajectory_is_that_of_torch(options):
    torch = torch_or_skip()
    (ours, a, f), (theirs, b, g) = problem(tgc, **options), problem(torch, **options)
    assert repr(a) == repr(b)
    for step in range(3):
        assert_close(a.step(f), b.step(g), 1e-9, 1e-10)
        for p, q in zip(ours, theirs, strict=True):
            # the pairs (s, y) magnify rounding in later iterations
            assert_close(p, q, rtol=1e-12 if step == 0 else 1e-8, atol=1e-12 if step == 0 else 1e-8)
        mine, other = a.state[ours[0]], b.state[theirs[0]]
        assert set(mine) == set(other)
        assert [mine[k] for k in ("n_iter", "func_evals")] == [other[k] for k in ("n_iter", "func_evals")]
        assert len(mine["old_dirs"]) == len(other["old_dirs"])


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_float32_stays_close_to_torch(options):
    torch = torch_or_skip()
    (ours, a, f), (theirs, b, g) = (problem(lib, "float32", **{**options, "max_iter": 3}) for lib in (tgc, torch))
    a.step(f)
    b.step(g)
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p, q, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_state_dicts_go_to_torch_and_back(options):
    torch = torch_or_skip()
    options = {**options, "max_iter": 4}
    (ours, a, f), (theirs, b, g) = problem(tgc, **options), problem(torch, **options)
    a.step(f)
    b.step(g)
    params, fresh, f2 = problem(tgc)
    for p, q in zip(params, ours, strict=True):
        p.detach().copy_(q.detach())
    fresh.load_state_dict(b.state_dict())
    params_torch, fresh_torch, g2 = problem(torch)
    for p, q in zip(params_torch, theirs, strict=True):
        p.data.copy_(q.data)
    fresh_torch.load_state_dict(to_torch(a.state_dict()))
    for optimizer, closure in ((a, f), (fresh, f2), (b, g), (fresh_torch, g2)):
        optimizer.step(closure)
    for p, q, r, s in zip(ours, params, theirs, params_torch, strict=True):
        for other in (q, r, s):
            assert_close(p, other, rtol=1e-8, atol=1e-8)


def test_resumed_run_is_bitwise_the_same():
    straight, resumed = (problem(tgc, line_search_fn="strong_wolfe", max_iter=3) for _ in range(2))
    for _ in range(4):
        straight[1].step(straight[2])
    for _ in range(2):
        resumed[1].step(resumed[2])
    saved = resumed[1].state_dict()
    params, optimizer, closure = problem(tgc)
    for p, q in zip(params, resumed[0], strict=True):
        p.detach().copy_(q.detach())
    optimizer.load_state_dict(saved)
    for _ in range(2):
        optimizer.step(closure)
    for p, q in zip(params, straight[0], strict=True):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()


def test_it_solves_what_gradient_descent_does_not():
    params, optimizer, closure = problem(tgc, line_search_fn="strong_wolfe", max_iter=100, tolerance_change=1e-15)
    optimizer.step(closure)
    assert closure().item() < 1e-12
    np.testing.assert_allclose(params[0].detach().numpy(), 1, atol=1e-5)
    with tgc.no_grad():
        assert optimizer.step(closure).item() < 1e-12  # gradients are on in the closure, and nothing is left to do


@pytest.mark.parametrize("first", [1e-3, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("number", range(4))
def test_the_line_search_keeps_its_promise(first, number):
    f, df = [(lambda t: (t - 2) ** 2, lambda t: 2 * (t - 2)), (lambda t: np.exp(t) - 3 * t, lambda t: np.exp(t) - 3),
             (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
             (lambda t: -t + 1e-3 * t**4 + 0.1 * np.sin(5 * t), lambda t: -1 + 4e-3 * t**3 + 0.5 * np.cos(5 * t))][number]
    asked = []

    def evaluate(t):
        asked.append(t)
        return Point(t, float(f(t)), None, float(df(t)))

    start = Point(0.0, float(f(0)), None, float(df(0)))
    found, count = strong_wolfe(evaluate, start, first, 1.0)
    assert count == len(asked) <= 26
    assert found.loss <= start.loss + SUFFICIENT * found.t * start.slope
    assert abs(found.slope) <= CURVATURE * abs(start.slope)


def test_the_line_search_goes_where_torchs_does():
    """The same points on 300 wild functions, for first steps from far too short to far too long."""
    torch = torch_or_skip()
    from torch.optim.lbfgs import _strong_wolfe

    rng, whole = np.random.default_rng(0), 0
    for _ in range(300):
        a, b, c = rng.standard_normal(3), rng.uniform(0.1, 8, 3), rng.uniform(0, 6, 3)
        lift, first = 10 ** rng.uniform(-3, 1), 10 ** rng.uniform(-2, 2)

        def f(t, a=a, b=b, c=c, lift=lift):
            return float((a * np.sin(b * t + c)).sum() + lift * (t - 1) ** 2)

        def df(t, a=a, b=b, c=c, lift=lift):
            return float((a * b * np.cos(b * t + c)).sum() + 2 * lift * (t - 1))

        sign = -1.0 if df(0) > 0 else 1.0  # look downhill
        points = [[], []]

        def evaluate(t, sign=sign, seen=points[0]):
            seen.append(t)
            return Point(t, f(sign * t), None, sign * df(sign * t))

        def objective(x, t, d, seen=points[1], sign=sign):
            seen.append(float(t))
            return f(sign * float(t)), torch.tensor([df(sign * float(t))], dtype=torch.float64)

        slope = torch.tensor([df(0)], dtype=torch.float64)
        direction = torch.tensor([sign], dtype=torch.float64)
        found, count = strong_wolfe(evaluate, Point(0.0, f(0), None, sign * df(0)), first, 1.0)
        loss, _, t, evaluations = _strong_wolfe(objective, None, first, direction, f(0), slope, slope.dot(direction))
        # A cubic through points that nearly coincide is rounding: from there on the two part.
        close = np.flatnonzero(np.abs(np.diff([0.0, *points[1]])) < 1e-3)
        if close.size:
            np.testing.assert_allclose(points[0][:close[0] + 1], points[1][:close[0] + 1], rtol=1e-7)
            continue
        whole += 1
        np.testing.assert_allclose(points[0], points[1], rtol=1e-7)
        assert count == evaluations
        assert found.t == pytest.approx(float(t), rel=1e-7)
        assert found.loss == pytest.approx(loss)
    assert whole > 200


def test_mistakes():
    p = tgc.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"LBFGS doesn't support per-parameter options \(parameter groups\)"):
        optim.LBFGS([{"params": p}, {"params": tgc.ones(1, requires_grad=True)}])
    with pytest.raises(ValueError, match="only 'strong_wolfe' is supported, or None, got 'wolfe'"):
        optim.LBFGS([p], line_search_fn="wolfe")
    optimizer = optim.LBFGS([p])
    with pytest.raises(TypeError, match=r"LBFGS\.step: needs a closure.*got NoneType"):
        optimizer.step()
    with pytest.warns(UserWarning, match=r"LBFGS\.step: no parameter has a gradient"):
        optimizer.step(lambda: (p * p).sum())
    _, other, closure = problem(tgc)
    other.step(closure)
    with pytest.raises(StateDictError, match=r"d of parameter 0: the file has \(11,\), the parameters have 2 elements"):
        optim.LBFGS([p]).load_state_dict({**optimizer.state_dict(), "state": other.state_dict()["state"]})
