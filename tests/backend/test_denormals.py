"""Denormal numbers: kept by default, and as zero after set_flush_denormal(True), in every thread."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc

pytestmark = pytest.mark.skipif(not tgc.backend.COMPILED, reason="built without compiled kernels")


@pytest.fixture
def flush() -> Iterator[None]:
    if not tgc.set_flush_denormal(True):
        pytest.skip("this processor has no such switch")
    yield
    tgc.set_flush_denormal(False)


def halves(n: int, dtype: str) -> np.ndarray:
    """Half the smallest normal number, by our kernel."""
    x = tgc.from_numpy(np.full(n, np.finfo(dtype).tiny, dtype))
    return (x * 0.5).numpy().copy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 1_000_000])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_flushed(flush: None, dtype: str, n: int, count: int, threads: object) -> None:
    threads(count)
    assert not halves(n, dtype).view(np.uint8).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 1_000_000])
def test_kept_by_default_and_again(dtype: str, n: int) -> None:
    for _ in range(2):
        found = halves(n, dtype).view(np.uint32 if dtype == "float32" else np.uint64)
        assert (found == found[0]).all()
        assert found[0] != 0
        tgc.set_flush_denormal(True)
        tgc.set_flush_denormal(False)


def test_threads_that_wait_are_switched_as_well(threads: object) -> None:
    """The third thread of the team sleeps while two are in use, and must not keep the old mode for later."""
    for mode in (True, False):
        threads(3)
        halves(1_000_000, "float32")
        threads(2)
        assert tgc.set_flush_denormal(mode)
        threads(3)
        assert halves(1_000_000, "float32").any() is np.bool_(not mode)


def test_a_team_works_in_the_mode_of_its_caller(threads: object, torch: object) -> None:
    """PyTorch switches the calling thread alone; a team that was made before must follow, there and back."""
    draw = np.random.default_rng(0).standard_normal
    lstm, x = tgc.nn.LSTM(20, 610, bias=False), tgc.zeros(2, 5, 20)
    h, c = (tgc.from_numpy((1e-38 * draw((1, 5, 610))).astype(np.float32)) for _ in "hc")  # half of c is denormal
    bits = []
    threads(3)
    halves(1_000_000, "float32")
    try:
        for mode in (True, False):
            assert torch.set_flush_denormal(mode)
            runs = []
            for n in (1, 2, 3):
                threads(n)
                assert np.count_nonzero(halves(1_000_000, "float32").view(np.uint32)) == (0 if mode else 1_000_000)
                y, _ = lstm(x, (h, c))
                runs.append(y.detach().numpy().tobytes())
            assert runs[0] == runs[1] == runs[2]
            bits.append(runs[0])
    finally:
        torch.set_flush_denormal(False)
    assert bits[0] != bits[1], "no denormal was met"


def test_every_team_is_started_in_one_place() -> None:
    """A kernel with a team of its own would forget the mode of the caller."""
    folder = Path(__file__).parents[2] / "kernels"
    users = [path.name for path in folder.iterdir() if re.search(r"omp parallel|prange", path.read_text())]
    assert users == ["tc_omp.h"]


def test_products_of_denormals_are_those_of_numpy() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (40, 40)) * 1e-155
    np.testing.assert_allclose((tgc.from_numpy(x) @ tgc.from_numpy(x)).numpy(), x @ x, rtol=0, atol=2e-323)
