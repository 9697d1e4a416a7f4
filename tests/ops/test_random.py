"""ops/random.py: generators, and the draws of ops/creation.py."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tinygrad_course as tgc
from tinygrad_course import ops
from tinygrad_course.errors import DTypeError

MASK_32 = 0xFFFFFFFF


def philox(seed: int, block: int) -> list[int]:
    """Ten rounds of Philox4x32 on one counter, from the paper's figure 2, in Python's integers."""
    c = [(block >> shift) & MASK_32 for shift in (0, 32, 64, 96)]
    k = [seed & MASK_32, seed >> 32]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK_32, (a >> 32) ^ c[3] ^ k[1], a & MASK_32]
        k = [(k[0] + 0x9E3779B9) & MASK_32, (k[1] + 0xBB67AE85) & MASK_32]
    return c


def words(seed: int, n: int) -> list[int]:
    return [word for block in range(-(-n // 4)) for word in philox(seed, block)][:n]


def test_words_of_the_paper() -> None:
    """Known answers of the Random123 distribution (kat_vectors), for counter and key 0 and for pi's digits."""
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    counter = 0x243F6A88 | 0x85A308D3 << 32 | 0x13198A2E << 64 | 0x03707344 << 96
    assert philox(0xA4093822 | 0x299F31D0 << 32, counter) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def test_uniform_comes_from_these_words(backend: str) -> None:
    tgc.manual_seed(11)
    assert tgc.rand(5).tolist() == [(word >> 8) / 2**24 for word in words(11, 5)]
    low_high = words(12, 6)
    tgc.manual_seed(12)
    assert tgc.rand(3, dtype="float64").tolist() == [
        ((low_high[2 * i + 1] << 32 | low_high[2 * i]) >> 11) / 2**53 for i in range(3)
    ]


def test_draws_follow_each_other(backend: str) -> None:
    """Every draw takes its own part of the stream."""
    g = tgc.Generator().manual_seed(5)
    first, second = tgc.rand(3, generator=g).tolist(), tgc.rand(3, generator=g).tolist()
    stream = tgc.rand(8, generator=tgc.Generator().manual_seed(5)).tolist()
    assert first == stream[:3]
    assert second == stream[4:7]  # a draw begins at a block of four


def test_state(backend: str) -> None:
    g = tgc.Generator().manual_seed(5)
    tgc.randn(3, generator=g)
    state = g.get_state()
    a = tgc.randn(4, generator=g).tolist()
    assert tgc.randn(4, generator=tgc.Generator().set_state(state)).tolist() == a
    with pytest.raises(DTypeError, match=r"set_state.*24 bytes"):
        g.set_state(tgc.ones(3))


def test_the_default_generator(backend: str) -> None:
    tgc.manual_seed(8)
    tgc.rand(3)
    state = tgc.get_rng_state()
    a = tgc.rand(3).tolist()
    tgc.set_rng_state(state)
    assert tgc.rand(3).tolist() == a
    assert tgc.seed() == tgc.initial_seed() != 8
    tgc.manual_seed(0)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63, 2**64 - 1])
def test_seeds(backend: str, seed: int) -> None:
    tgc.manual_seed(seed)
    a = tgc.rand(4).tolist()
    tgc.manual_seed(seed)
    assert tgc.rand(4).tolist() == a
    assert tgc.initial_seed() == seed % 2**64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(backend: str, dtype: str) -> None:
    g = tgc.Generator().manual_seed(1)
    n = 20000
    assert stats.kstest(tgc.rand(n, generator=g, dtype=dtype).array, "uniform").pvalue > 1e-3
    assert stats.kstest(tgc.randn(n, generator=g, dtype=dtype).array, "norm").pvalue > 1e-3
    drawn = tgc.randint(-3, 4, (n,), generator=g).array
    assert stats.chisquare([int((drawn == k).sum()) for k in range(-3, 4)]).pvalue > 1e-3
    assert (drawn.min(), drawn.max()) == (-3, 3)
    assert sorted(tgc.randperm(1000, generator=g).tolist()) == list(range(1000))
    flips = tgc.bernoulli(tgc.full((n,), 0.3, dtype=dtype), generator=g)
    assert abs(flips.array.mean() - 0.3) < 0.02


def test_backends_draw_the_same(rng: np.random.Generator) -> None:
    if not tgc.backend.COMPILED:
        pytest.skip("built without compiled kernels")
    drawn = []
    for name in ("compiled", "reference"):
        with tgc.backend.using(name):
            tgc.manual_seed(3)
            drawn.append(
                [
                    tgc.rand(1001).tolist(),
                    tgc.rand(7, dtype="float64").tolist(),
                    tgc.randint(0, 9, (33,)).tolist(),
                    tgc.randperm(50).tolist(),
                    ops.dropout(tgc.ones(99), 0.4).tolist(),
                ]
            )
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tgc.randint(3, 3, (2,)), r"randint.*\[3, 3\)"),
        (lambda: tgc.randperm(-1), "randperm.*-1"),
        (lambda: tgc.bernoulli(tgc.tensor([1.5])), "bernoulli.*between 0 and 1"),
        (lambda: tgc.rand(-1), "rand.*negative size -1"),
        (lambda: tgc.rand(2.0), "rand.*integers.*2.0"),
        (lambda: tgc.manual_seed("a"), "manual_seed.*integer.*'a'"),
        (lambda: tgc.rand(2, dtype="int64"), "rand.*floating point.*int64.*randint"),
        (lambda: tgc.bernoulli(tgc.tensor([1])), "bernoulli.*int64"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
