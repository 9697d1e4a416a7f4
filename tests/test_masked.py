"""masked.py: against NumPy on the elements that take part, and torch.masked."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import tinygrad_course as tgc
from tinygrad_course import masked
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

X = np.array([[0.5, -1.0, 2.0, 0.3], [1.5, 0.7, -0.2, 4.0], [3.0, -2.0, 0.1, 0.9]])
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, True, True]])

# name -> (arguments, the same of a vector with only the elements that take part)
REDUCTIONS: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], Any]]] = {
    "sum": ({}, np.sum),
    "prod": ({}, np.prod),
    "mean": ({}, np.mean),
    "amax": ({}, np.max),
    "amin": ({}, np.min),
    "median": ({}, lambda x: np.sort(x)[(len(x) - 1) // 2]),
    "logsumexp": ({}, lambda x: np.log(np.exp(x).sum())),
    "norm": ({"ord": 3.0}, lambda x: (np.abs(x) ** 3).sum() ** (1 / 3)),
    "var": ({}, lambda x: np.var(x, ddof=1)),
    "std": ({"correction": 0}, np.std),
}
NORMALISATIONS: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], Any], float]] = {
    "softmax": ({}, special.softmax, 0.0),
    "log_softmax": ({}, special.log_softmax, -np.inf),
    "softmin": ({}, lambda x: special.softmax(-x), 0.0),
    "normalize": ({"ord": 2.0}, lambda x: x / np.sqrt((x * x).sum()), 0.0),
}


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, dim: int) -> None:
    keywords, oracle = REDUCTIONS[name]
    lines = zip(np.moveaxis(X, dim, -1), np.moveaxis(MASK, dim, -1), strict=True)
    wanted = np.array([oracle(x[m]) for x, m in lines])
    x = tgc.tensor(X)
    found = getattr(masked, name)(x, dim=dim, mask=tgc.tensor(MASK), **keywords)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    kept = getattr(masked, name)(x, dim=dim, keepdim=True, mask=tgc.tensor(MASK), **keywords)
    np.testing.assert_array_equal(kept.numpy(), np.expand_dims(found.numpy(), dim))
    plain = getattr(masked, name)(x, dim=dim, **keywords)
    everything = getattr(masked, name)(x, dim=dim, mask=tgc.ones(3, 4, dtype=tgc.bool), **keywords)
    np.testing.assert_allclose(plain.numpy(), everything.numpy(), rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in REDUCTIONS if name != "median"])
def test_over_all_axes(name: str) -> None:
    keywords, oracle = REDUCTIONS[name]
    for dim in (None, (0, 1)):
        found = getattr(masked, name)(tgc.tensor(X), dim=dim, mask=tgc.tensor(MASK), **keywords)
        np.testing.assert_allclose(found.item(), oracle(X[MASK]), rtol=1e-12)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations(name: str) -> None:
    keywords, oracle, elsewhere = NORMALISATIONS[name]
    found = getattr(masked, name)(tgc.tensor(X), dim=1, mask=tgc.tensor(MASK), **keywords).numpy()
    for y, x, m in zip(found, X, MASK, strict=True):
        np.testing.assert_allclose(y[m], oracle(x[m]), rtol=1e-12)
        assert (y[~m] == elsewhere).all()


def test_cumulative() -> None:
    x, mask = tgc.tensor(X), tgc.tensor(MASK)
    np.testing.assert_allclose(masked.cumsum(x, 1, mask=mask).numpy(), np.cumsum(np.where(MASK, X, 0), 1))
    np.testing.assert_allclose(masked.cumprod(x, 0, mask=mask).numpy(), np.cumprod(np.where(MASK, X, 1), 0))
    assert masked.cumsum(tgc.ones(2, dtype=tgc.int32), 0).dtype == np.int32


def test_argmax_and_argmin() -> None:
    x, mask = tgc.tensor(X), tgc.tensor(MASK)
    np.testing.assert_array_equal(masked.argmax(x, 1, mask=mask).numpy(), np.where(MASK, X, -np.inf).argmax(1))
    np.testing.assert_array_equal(masked.argmin(x, 1, mask=mask).numpy(), np.where(MASK, X, np.inf).argmin(1))
    assert masked.argmax(x, mask=mask).item() == np.where(MASK, X, -np.inf).argmax()
    assert masked.argmin(x, 1, dtype=tgc.int64, mask=mask).dtype == np.int64


def test_logaddexp() -> None:
    x, y = tgc.tensor([1.0, 2.0, 3.0]), tgc.tensor([1.0, 5.0, 4.0])
    masks = {"input_mask": tgc.tensor([True, False, False]), "other_mask": tgc.tensor([True, True, False])}
    found = masked.logaddexp(x, y, **masks)
    np.testing.assert_allclose(found.numpy(), [1 + np.log(2), 5, -np.inf], rtol=1e-6)


def test_a_row_without_elements() -> None:
    x, mask = tgc.tensor(X), tgc.tensor([[True], [False], [True]])
    empty = {"sum": 0.0, "prod": 1.0, "amax": -np.inf, "amin": np.inf, "logsumexp": -np.inf, "norm": 0.0,
             "mean": np.nan, "median": np.nan, "var": np.nan, "std": np.nan}  # fmt: skip
    for name, value in empty.items():
        np.testing.assert_array_equal(getattr(masked, name)(x, dim=1, mask=mask).numpy()[1], value, name)
    assert masked.norm(x, -np.inf, 1, mask=mask).tolist()[1] == np.inf
    assert np.isnan(masked.softmax(x, 1, mask=mask).numpy()[1]).all()


@pytest.mark.parametrize("name", [*REDUCTIONS, *NORMALISATIONS, "cumsum", "cumprod"])
def test_gradients_like_torch(torch: Any, name: str) -> None:
    """Upstream gradients are random; what is masked out has the gradient 0, even where it is inf."""
    keywords = (REDUCTIONS.get(name) or NORMALISATIONS.get(name) or ({},))[0]
    rows = []
    for package, tensor in ((tgc.masked, tgc.tensor), (torch.masked, torch.tensor)):
        x = tensor(X, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = getattr(package, name)(x, dim=1, mask=tensor(MASK), **keywords)
        g = np.random.default_rng(0).standard_normal(tuple(y.shape)) * np.isfinite(y.detach().numpy())
        y.backward(tensor(g))
        rows.append(x.grad.numpy())
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-9, atol=1e-12)
    assert (rows[0][~MASK] == 0).all()
    x = tgc.tensor(np.where(MASK, X, np.inf), requires_grad=True)
    y = getattr(masked, name)(x, dim=1, mask=tgc.tensor(MASK), **keywords)
    y.backward(tgc.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), rows[0], rtol=1e-9, atol=1e-12)


def test_types(torch: Any) -> None:
    whole, theirs = tgc.tensor([[1, 5, 2], [3, 4, 6]]), torch.tensor([[1, 5, 2], [3, 4, 6]])
    mask, their_mask = tgc.tensor([True, False, True]), torch.tensor([True, False, True])
    for name in ("sum", "prod", "amax", "amin", "argmax", "median", "var", "std"):
        for keywords in ({}, {"dtype": "float64"}):
            found = getattr(masked, name)(whole, 1, mask=mask, **keywords)
            their_keywords = dict.fromkeys(keywords, torch.float64)
            wanted = getattr(torch.masked, name)(theirs, 1, mask=their_mask, **their_keywords).numpy()
            assert found.dtype == wanted.dtype, (name, keywords)
            np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    assert masked.mean(whole, 1, dtype=tgc.float64, mask=mask).tolist() == [1.5, 4.5]
    assert masked.var(whole, 1, unbiased=False).tolist() == pytest.approx(np.var(whole.numpy(), axis=1))


M = tgc.ones(2, dtype=tgc.bool)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: masked.sum(x, mask=tgc.ones(1, 2, 2, dtype=tgc.bool)), ShapeError, r"sum: the mask.*\(1, 2, 2\).*more"),
        (lambda x: masked.sum(x, mask=tgc.ones(3, dtype=tgc.bool)), ShapeError, r"\(3,\)"),
        (lambda x: masked.amax(x, mask=[True, False]), OperandError, "amax: the mask must be a Tensor of bools, got list"),
        (lambda x: masked.mean(x.long(), mask=M), DTypeError, "mean.*int64.*dtype="),
        (lambda x: masked.median(x.long(), mask=~M), ShapeError, "median: along dim -1.*int64 has no nan"),
        (lambda x: masked.var(x, unbiased=True, correction=1), TypeError, "var: give either"),
        (lambda x: masked.sum([1.0]), OperandError, "sum.*Tensor.*list"),
        (lambda x: masked.amin([1.0]), OperandError, "Tensor.*list"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(tgc.ones(2, 2))
