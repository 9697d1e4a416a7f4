"""Random programs with views, writes in place and branches: the gradient is the slope, or an error says why not.

A program is a list of instructions on a pool of tensors.  Run on tensors that require no gradient it is plain NumPy
memory being read and written, which is what the slopes are taken of; run on leaves it builds a graph.  A backward that
refuses ("changed in place") is right; a number that is not the slope is not.

CI runs 400 programs from a fixed seed.  A longer run by hand:

    TGC_FUZZ_EXAMPLES=20000 python -m pytest tests/autograd/test_fuzz.py -s
"""

import os
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import tinygrad_course as tgc
from tinygrad_course.errors import GraphError

EXAMPLES = int(os.environ.get("TGC_FUZZ_EXAMPLES", "400"))
SHAPE = (2, 3)
POINTS = [np.array([[0.31, -0.72, 0.55], [1.13, -0.27, 0.46]]), np.array([[-0.64, 0.83, 0.22], [0.37, -1.05, 0.71]])]


class TooLarge(Exception):
    """A value has grown so much that slopes say nothing, or a branch is close to its edge."""


def same_shape(pool: list[Any], number: int, like: Any) -> Any:
    """A tensor of the pool with the shape of another."""
    fitting = [t for t in pool if t.shape == like.shape]
    return fitting[number % len(fitting)]


def run(program: list[tuple[int, int, int, int]], leaves: list[Any]) -> Any:
    """The last tensors of the pool, added up."""
    pool = [leaf * 1.0 for leaf in leaves]
    for code, i, j, k in program:
        a = pool[i % len(pool)]
        b = same_shape(pool, j, a)
        new = INSTRUCTIONS[code % len(INSTRUCTIONS)](pool, a, b, k)
        if new is not None and new.numel():
            pool.append(new)
        if len(pool) > 12:
            del pool[k % 6]
    if any(np.abs(t.detach().numpy()).max() > 1e3 for t in pool):
        raise TooLarge
    return sum((t * (0.3 + 0.1 * n)).sum() for n, t in enumerate(pool[-4:]))


def branch(pool: list[Any], a: Any, b: Any, k: int) -> Any:
    value = a.sum().item()
    if abs(value) < 1e-3:
        raise TooLarge
    return a.tanh() if value > 0 else b * 0.5


def maximum(pool: list[Any], a: Any, b: Any, k: int) -> Any:
    if a is not b and np.abs((a - b).detach().numpy()).min() < 1e-3:
        raise TooLarge
    return a.maximum(b)


def part(t: Any, k: int) -> Any:
    """A view of a part of t."""
    if t.ndim == 0:
        return t
    return [lambda: t[0], lambda: t[1:], lambda: t[..., ::2], lambda: t[:1], lambda: t.reshape(-1)[:2]][k % 5]()


def write_part(pool: list[Any], a: Any, b: Any, k: int) -> None:
    part(a, k).mul_(part(b, k).tanh())


def write_slice(pool: list[Any], a: Any, b: Any, k: int) -> None:
    if a.ndim:
        a[0] = b[0] * 0.7


def write_last(pool: list[Any], a: Any, b: Any, k: int) -> None:
    if a.ndim:
        a[..., -1] *= b[..., 0].sigmoid()


def write_indexed(pool: list[Any], a: Any, b: Any, k: int) -> None:
    if a.ndim:
        a[tgc.tensor([0, a.shape[0] - 1, 0])] = b[tgc.tensor([a.shape[0] - 1, 0, 0])] * 0.9


def write_masked(pool: list[Any], a: Any, b: Any, k: int) -> None:
    near = np.abs(b.detach().numpy())
    if near.size and near.min() < 1e-3:
        raise TooLarge
    a[b > 0] = 0.25


def write_whole(pool: list[Any], a: Any, b: Any, k: int) -> None:
    [lambda: a.add_(b, alpha=0.5), lambda: a.mul_(0.9), lambda: a.tanh_(), lambda: a.copy_(b * 0.8), lambda: a.sub_(b),
     lambda: a.fill_(0.4), lambda: a.sigmoid_(), lambda: a.neg_()][k % 8]()  # fmt: skip


def view(pool: list[Any], a: Any, b: Any, k: int) -> Any:
    if a.ndim < 2:
        return a.unsqueeze(0)
    return [lambda: a.T, lambda: a.reshape(-1), lambda: a[:1], lambda: a[:, 1:], lambda: a[0], lambda: a[::-1]][k % 6]()


INSTRUCTIONS = [
    lambda pool, a, b, k: a + b,
    lambda pool, a, b, k: a * b.tanh(),
    lambda pool, a, b, k: (a - b * 0.5).sigmoid(),
    lambda pool, a, b, k: a.exp().log() + 1.0 / (1.0 + b * b),
    lambda pool, a, b, k: (a @ b.mT).tanh() if a.ndim == 2 else a * 0.5,
    lambda pool, a, b, k: tgc.cat([a, b])[: a.shape[0]] if a.ndim else a + 1,
    lambda pool, a, b, k: a.sum(0, keepdim=True) * b if a.ndim else a * b,
    view, view, lambda pool, a, b, k: part(a, k),
    branch, maximum, write_part, write_slice, write_last, write_indexed, write_masked, write_whole, write_whole,
]  # fmt: skip

outcomes: Counter[str] = Counter()
numbers = st.integers(0, 59)
programs = st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=3, max_size=30)


def slope(program: list[tuple[int, int, int, int]], which: int, place: tuple[int, ...]) -> float:
    values = []
    for step in (1e-5, -1e-5):
        points = [p.copy() for p in POINTS]
        points[which][place] += step
        values.append(run(program, [tgc.tensor(p) for p in points]).item())
    return (values[0] - values[1]) / 2e-5


@settings(max_examples=EXAMPLES, derandomize="TGC_FUZZ_EXAMPLES" not in os.environ, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))
@given(programs)
def test_the_gradient_is_the_slope_or_an_error(program: list[tuple[int, int, int, int]]) -> None:
    leaves = [tgc.tensor(p, requires_grad=True) for p in POINTS]
    try:
        loss = run(program, leaves)
        plain = run(program, [tgc.tensor(p) for p in POINTS])
        assert loss.item() == plain.item()  # recording changes no value
        loss.backward()
    except TooLarge:
        outcomes["left out: too large or too close to an edge"] += 1
        return
    except GraphError as error:
        reasons = [reason for reason in ("changed in place", "does not require a gradient") if reason in str(error)]
        if not reasons:
            raise
        outcomes[f"refused: {reasons[0]}"] += 1
        return
    try:
        wanted = [np.array([[slope(program, n, (i, j)) for j in range(3)] for i in range(2)]) for n in range(2)]
    except TooLarge:
        outcomes["left out: too large or too close to an edge"] += 1
        return
    for leaf, slopes in zip(leaves, wanted, strict=True):
        found = np.zeros(SHAPE) if leaf.grad is None else leaf.grad.numpy()
        note(f"gradient {found.tolist()}, slopes {slopes.tolist()}")
        np.testing.assert_allclose(found, slopes, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(slopes).max())))
    outcomes["right"] += 1


def test_most_programs_were_answered() -> None:
    """Runs after the one above: if nearly all had been refused, nothing would have been tested."""
    print(dict(outcomes))
    assert outcomes["right"] > 0.3 * sum(outcomes.values())
