"""set_float32_matmul_precision: PyTorch's values and messages.  What it does is in tests/kernels/test_gemm_amx.py."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import tinygrad_course as tgc


@pytest.fixture(autouse=True)
def highest_afterwards() -> Iterator[None]:
    yield
    tgc.set_float32_matmul_precision("highest")


def test_default_and_values(torch: Any) -> None:
    assert tgc.get_float32_matmul_precision() == torch.get_float32_matmul_precision() == "highest"
    for precision in ("high", "medium", "highest"):
        tgc.set_float32_matmul_precision(precision)
        assert tgc.get_float32_matmul_precision() == precision


def test_another_word_warns_and_changes_nothing(torch: Any) -> None:
    tgc.set_float32_matmul_precision("high")
    for package in (tgc, torch):
        before = package.get_float32_matmul_precision()
        with pytest.warns(UserWarning, match="HIGH is not one of 'highest', 'high', or 'medium'; the current"):
            package.set_float32_matmul_precision("HIGH")
        assert package.get_float32_matmul_precision() == before


def test_no_string() -> None:
    with pytest.raises(TypeError, match="expects a str, but got int: use 'highest', 'high' or 'medium'"):
        tgc.set_float32_matmul_precision(2)  # type: ignore[arg-type]


def test_small_products_are_the_same() -> None:
    x = tgc.randn(20, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tgc.set_float32_matmul_precision("high")
        low = (x @ x.T).numpy().tobytes()
    tgc.set_float32_matmul_precision("highest")
    assert low == (x @ x.T).numpy().tobytes()
