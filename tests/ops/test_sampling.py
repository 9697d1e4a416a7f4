"""ops/sampling.py: distributions of seeded draws, against those of SciPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tinygrad_course as tgc
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

N = 20000


def generator(seed: int = 1) -> Any:
    return tgc.Generator().manual_seed(seed)


CONTINUOUS = {
    "uniform": (lambda x, g: tgc.uniform(x, -2.0, 5.0, generator=g), stats.uniform(-2, 7)),
    "exponential": (lambda x, g: tgc.exponential(x, 2.5, generator=g), stats.expon(scale=1 / 2.5)),
    "cauchy": (lambda x, g: tgc.cauchy(x, 1.0, 0.5, generator=g), stats.cauchy(1, 0.5)),
    "log_normal": (lambda x, g: tgc.log_normal(x, 0.3, 0.7, generator=g), stats.lognorm(0.7, scale=np.exp(0.3))),
    "normal": (lambda x, g: tgc.normal(x + 2.0, 3.0, generator=g), stats.norm(2, 3)),
    "normal of numbers": (lambda x, g: tgc.normal(-1.0, 0.1, x.shape, generator=g, dtype=x.dtype), stats.norm(-1, 0.1)),
}
DISCRETE = {
    "bernoulli": (lambda x, g: tgc.bernoulli(x + 0.3, generator=g), stats.bernoulli(0.3)),
    "bernoulli of a number": (lambda x, g: tgc.bernoulli(x, 0.8, generator=g), stats.bernoulli(0.8)),
    "geometric": (lambda x, g: tgc.geometric(x, 0.3, generator=g), stats.geom(0.3)),
    "poisson of 0.7": (lambda x, g: tgc.poisson(x + 0.7, generator=g), stats.poisson(0.7)),
    "poisson of 9.5": (lambda x, g: tgc.poisson(x + 9.5, generator=g), stats.poisson(9.5)),
    "poisson of 10": (lambda x, g: tgc.poisson(x + 10.0, generator=g), stats.poisson(10)),
    "poisson of 60": (lambda x, g: tgc.poisson(x + 60.0, generator=g), stats.poisson(60)),
    "binomial": (lambda x, g: tgc.binomial(x + 12.0, x + 0.25, generator=g), stats.binom(12, 0.25)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str, dtype: str) -> None:
    draw, law = CONTINUOUS[name]
    y = draw(tgc.zeros(N, dtype=dtype), generator())
    assert y.dtype == np.dtype(dtype)
    assert stats.kstest(y.numpy(), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name: str, dtype: str) -> None:
    draw, law = DISCRETE[name]
    y = draw(tgc.zeros(N, dtype=dtype), generator()).numpy()
    assert y.dtype == np.dtype(dtype)
    assert chi_square(y, law) > 1e-3


def chi_square(y: np.ndarray, law: Any) -> float:
    """The p-value of the counts, rare values taken together."""
    values = [k for k in range(int(law.ppf(1e-9)), int(law.ppf(1 - 1e-9)) + 1) if law.pmf(k) * len(y) > 10]
    expected = [law.pmf(k) * len(y) for k in values]
    counts = [int((y == k).sum()) for k in values]
    if len(y) - sum(expected) > 1e-6:
        expected, counts = [*expected, len(y) - sum(expected)], [*counts, len(y) - sum(counts)]
    return float(stats.chisquare(counts, expected).pvalue)


def test_poisson_of_a_large_mean() -> None:
    """Where the distribution is nearly normal, mean and variance are both the parameter."""
    y = tgc.poisson(tgc.full((N,), 1e6, dtype="float64"), generator()).numpy()
    assert stats.kstest((y - 1e6) / 1e3, "norm").pvalue > 1e-3
    assert tgc.poisson(tgc.zeros(3)).tolist() == [0, 0, 0]
    mixed = tgc.poisson(tgc.tensor([[0.0, 1000.0], [1.0, 20.0]]), generator())
    assert mixed.shape == (2, 2)
    assert abs(mixed[0, 1].item() - 1000) < 200


def test_extreme_probabilities() -> None:
    assert tgc.bernoulli(tgc.tensor([0.0, 1.0] * 50)).tolist() == [0.0, 1.0] * 50
    assert tgc.binomial(tgc.tensor([5.0, 5.0, 0.0]), tgc.tensor([0.0, 1.0, 0.5])).tolist() == [0.0, 5.0, 0.0]
    assert tgc.geometric(tgc.zeros(100), 0.999999).tolist() == [1.0] * 100
    assert tgc.exponential(tgc.zeros(N), generator=generator()).numpy().min() > 0


def test_integers_and_bools_hold_counts() -> None:
    y = tgc.geometric(tgc.zeros(N, dtype=tgc.int64), 0.5, generator=generator())
    assert y.dtype == np.int64
    assert y.numpy().min() == 1
    coins = tgc.bernoulli(tgc.zeros(N, dtype=tgc.bool), 0.25, generator=generator())
    assert coins.dtype == np.bool_
    assert abs(coins.numpy().mean() - 0.25) < 0.02


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial(replacement: bool) -> None:
    weights = [0.5, 0.0, 3.0, 1.5]
    rows = tgc.tensor([weights] * 5000, dtype="float64")
    y = tgc.multinomial(rows, 3, replacement, generator=generator())
    assert (y.shape, y.dtype) == ((5000, 3), np.int64)
    first = y.numpy()[:, 0]
    assert stats.chisquare([(first == k).sum() for k in (0, 2, 3)], np.array([0.5, 3.0, 1.5]) * 1000).pvalue > 1e-3
    after = y.numpy()[first == 2, 1]  # what comes second, after a 2
    left = np.array([0.5, 3.0, 1.5]) if replacement else np.array([0.5, 1.5])
    counts = [(after == k).sum() for k in ((0, 2, 3) if replacement else (0, 3))]
    assert stats.chisquare(counts, left / left.sum() * len(after)).pvalue > 1e-3
    if not replacement:
        assert sorted(y.numpy()[0]) == [0, 2, 3]


def test_multinomial_of_one_row_and_none() -> None:
    assert tgc.multinomial(tgc.tensor([0.0, 2.0]), 1).tolist() == [1]
    assert tgc.multinomial(tgc.tensor([0.0, 2.0, 0.0]), 4, replacement=True).tolist() == [1] * 4
    assert tgc.multinomial(tgc.zeros(0, 3), 2).shape == (0, 2)


def test_normal_broadcasts_and_promotes() -> None:
    mean, std = tgc.tensor([[100.0], [200.0]]), tgc.tensor([1e-3, 1e-3, 1e-3], dtype="float64")
    y = tgc.normal(mean, std, generator=generator())
    assert (y.shape, y.dtype) == ((2, 3), np.float64)
    np.testing.assert_allclose(y.numpy(), np.broadcast_to(mean.numpy(), (2, 3)), atol=0.01)
    assert tgc.normal(1.0, tgc.zeros(2)).tolist() == [1.0, 1.0]
    assert tgc.normal(3.0, 0.0, (2,)).tolist() == [3.0, 3.0]
    assert tgc.normal(size=(2, 0)).shape == (2, 0)


DRAWS: dict[str, Callable[[Any], Any]] = {
    name: (lambda g, draw=draw: draw(tgc.zeros(40001), g)) for name, (draw, _) in {**CONTINUOUS, **DISCRETE}.items()
} | {"multinomial": lambda g: tgc.multinomial(tgc.ones(300, 100), 20, generator=g)}


@pytest.mark.parametrize("name", DRAWS)
def test_the_generator_alone_decides(name: str, threads: Any) -> None:
    """The same seed gives the same bits: for any number of threads, and from the default generator too."""
    found = []
    for count in (1, 2):
        threads(count)
        found.append(DRAWS[name](generator(5)).numpy().tobytes())
    tgc.manual_seed(5)
    found.append(DRAWS[name](None).numpy().tobytes())
    assert found[0] == found[1] == found[2]
    g = generator(5)
    assert DRAWS[name](g).numpy().tobytes() != DRAWS[name](g).numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_stays_below_one(dtype: str) -> None:
    y = tgc.rand(N, dtype=dtype, generator=generator())
    assert y.numpy().min() >= 0
    assert y.numpy().max() < 1


def test_gradients_are_zero() -> None:
    p = tgc.full((2, 3), 0.5, requires_grad=True)
    for draw in (tgc.bernoulli, tgc.poisson, lambda p: tgc.normal(p, p), lambda p: tgc.normal(0.0, p),
                 lambda p: tgc.binomial(p, p), lambda p: tgc.bernoulli(tgc.zeros(2, 3), p)):  # fmt: skip
        y = draw(p)
        assert y.requires_grad
        assert tgc.autograd.grad(y.sum(), p)[0].tolist() == [[0.0] * 3] * 2
    assert tgc.bernoulli(tgc.zeros(2, 3), p.double()).dtype == np.float32
    assert not tgc.exponential(p).requires_grad
    with tgc.no_grad():
        assert not tgc.bernoulli(p).requires_grad


X = tgc.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tgc.bernoulli(X * 1.5), ValueError, "bernoulli: every probability must be between 0 and 1"),
        (lambda: tgc.bernoulli(X * float("nan")), ValueError, "bernoulli: every probability"),
        (lambda: tgc.bernoulli(X, -0.1), ValueError, "bernoulli: every probability"),
        (lambda: tgc.bernoulli(X.long()), DTypeError, "bernoulli.*int64"),
        (lambda: tgc.bernoulli(X, tgc.ones(3, 2)), ShapeError, r"bernoulli: p of shape \(3, 2\).*\(2,\)"),
        (lambda: tgc.bernoulli(0.5), OperandError, "bernoulli.*Tensor.*float"),
        (lambda: tgc.binomial(X, X.double()), DTypeError, "binomial.*float32 and float64"),
        (lambda: tgc.binomial(-X, X), ValueError, "binomial: counts must not be negative"),
        (lambda: tgc.poisson(-X), ValueError, "poisson: every mean"),
        (lambda: tgc.poisson(X.int()), DTypeError, "poisson.*int32"),
        (lambda: tgc.multinomial(X.long(), 1), DTypeError, "multinomial.*int64"),
        (lambda: tgc.multinomial(tgc.ones(1, 1, 1), 1), ShapeError, r"multinomial.*\(1, 1, 1\)"),
        (lambda: tgc.multinomial(X, 0), ValueError, "multinomial: the number of samples must be positive, got 0"),
        (lambda: tgc.multinomial(-X, 1), ValueError, "multinomial: every weight"),
        (lambda: tgc.multinomial(X * 0, 1, True), ValueError, "0 categories have a positive weight"),
        (lambda: tgc.multinomial(X, 3), ValueError, "3 samples.*2 categories.*replacement=True"),
        (lambda: tgc.normal(X, -1.0), ValueError, "normal: a standard deviation must not be negative"),
        (lambda: tgc.normal(0.0, 1.0), TypeError, "normal.*third argument is the size"),
        (lambda: tgc.normal(X.long(), 1.0), DTypeError, "normal.*int64"),
        (lambda: tgc.normal(tgc.ones(2), tgc.ones(3)), ShapeError, "normal"),
        (lambda: tgc.uniform(X, 1.0, 0.0), ValueError, r"uniform: \[1.0, 0.0\) is empty"),
        (lambda: tgc.uniform(X.long()), DTypeError, r"uniform.*int64.*float\(\)"),
        (lambda: tgc.exponential(X, 0.0), ValueError, "exponential: the rate lambd must be positive, got 0.0"),
        (lambda: tgc.geometric(X, 1.0), ValueError, "geometric: the probability p.*1.0"),
        (lambda: tgc.cauchy(X, 0.0, 0.0), ValueError, "cauchy: the width sigma"),
        (lambda: tgc.log_normal(X, 0.0, -1.0), ValueError, "log_normal: the standard deviation"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
