"""signal/windows.py: against SciPy and torch.signal.windows."""

from typing import Any

import numpy as np
import pytest
from scipy.signal import windows as scipy_windows

import tinygrad_course as tgc
from tinygrad_course.errors import DTypeError
from tinygrad_course.signal import windows

# name -> (keywords, SciPy's name, SciPy's arguments)
WINDOWS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "bartlett": ({}, "bartlett", {}),
    "blackman": ({}, "blackman", {}),
    "cosine": ({}, "cosine", {}),
    "exponential": ({"tau": 3.0}, "exponential", {"tau": 3.0}),
    "gaussian": ({"std": 2.5}, "gaussian", {"std": 2.5}),
    "general_cosine": ({"a": [0.5, 0.3, 0.2, 0.1]}, "general_cosine", {"a": [0.5, 0.3, 0.2, 0.1]}),
    "general_hamming": ({"alpha": 0.6}, "general_hamming", {"alpha": 0.6}),
    "hamming": ({}, "hamming", {}),
    "hann": ({}, "hann", {}),
    "kaiser": ({"beta": 8.6}, "kaiser", {"beta": 8.6}),
    "nuttall": ({}, "nuttall", {}),
}


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("M", [0, 1, 2, 3, 8, 51])
@pytest.mark.parametrize("name", WINDOWS)
def test_scipy(name: str, M: int, sym: bool) -> None:
    keywords, theirs, arguments = WINDOWS[name]
    found = getattr(windows, name)(M, sym=sym, dtype=tgc.float64, **keywords)
    wanted = getattr(scipy_windows, theirs)(M, sym=sym, **arguments)
    assert found.shape == (M,)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", WINDOWS)
def test_torch(torch: Any, name: str) -> None:
    """Also what is left out has PyTorch's value: keywords, type, symmetry."""
    keywords = {"a": [0.5, 0.5]} if name == "general_cosine" else {}
    found, wanted = getattr(windows, name)(9, **keywords), getattr(torch.signal.windows, name)(9, **keywords).numpy()
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"])
def test_the_older_names(torch: Any, name: str, periodic: bool) -> None:
    for length in (0, 1, 7):
        found = getattr(windows, name)(length, periodic, dtype=tgc.float64)
        wanted = getattr(torch, name)(length, periodic, dtype=torch.float64).numpy()
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-14)
    assert getattr(windows, name)(4).tolist() == getattr(windows, name)(4, True).tolist()


def test_parameters_of_the_older_names(torch: Any) -> None:
    found, wanted = windows.hamming_window(6, True, 0.7, 0.2), torch.hamming_window(6, True, 0.7, 0.2)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
    found, wanted = windows.kaiser_window(6, False, 3.0), torch.kaiser_window(6, False, 3.0)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5)


def test_center_of_an_exponential() -> None:
    found = windows.exponential(5, center=1, tau=2.0, sym=False, dtype=tgc.float64)
    np.testing.assert_allclose(found.numpy(), np.exp(-np.abs(np.arange(5) - 1) / 2), rtol=1e-15)


def test_keywords() -> None:
    w = windows.hann(4, dtype=tgc.float64, device="cpu", requires_grad=True)
    assert (w.dtype, w.requires_grad, w.is_leaf) == (np.float64, True, True)
    assert windows.hann(4).dtype == tgc.get_default_dtype()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: windows.hann(-1), ValueError, "hann: the length.*-1"),
        (lambda: windows.hann(3, dtype=tgc.int64), DTypeError, "hann.*int64"),
        (lambda: windows.general_cosine(3, a=[]), ValueError, "general_cosine: a must hold"),
        (lambda: windows.gaussian(3, std=0.0), ValueError, "gaussian: std must be positive, got 0.0"),
        (lambda: windows.exponential(3, tau=-1.0), ValueError, "exponential: tau must be positive"),
        (lambda: windows.exponential(3, center=1.0), ValueError, "exponential: a symmetric window.*sym=False"),
        (lambda: windows.kaiser(3, beta=-1.0), ValueError, "kaiser: beta"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
