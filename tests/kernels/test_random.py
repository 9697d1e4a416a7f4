"""Random kernels: published Philox vectors, equality of the twins, and statistics of fixed streams."""

import math

import numpy as np
import pytest

from tinygrad_course.backend.reference.random import words

FAMILY = "random"

# Random123, kat_vectors, philox4x32 10 rounds: counter, key, result; words in the order of the file.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def as_int(hexadecimal):
    """Words, least significant first, as one integer."""
    return sum(int(word, 16) << 32 * i for i, word in enumerate(hexadecimal.split()))


def philox_by_hand(seed, block):
    """One block with Python integers, as in the paper."""
    c = [(block >> 32 * i) % 2**32 for i in range(4)]
    k = [seed % 2**32, (seed >> 32) % 2**32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 % 2**32, p0 >> 32 ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_philox_gives_the_published_vectors(k, counter, key, result):
    out = k.philox(as_int(key), 4 * as_int(counter), 4)
    assert out.dtype == np.uint32
    assert [f"{word:08x}" for word in out] == result.split()


@pytest.mark.parametrize("first", [0, 63, 2**32 - 2, 2**64 - 3, 2**128 - 2])
def test_philox_counts_through_carries(k, first):
    expected = [word for block in range(first, first + 5) for word in philox_by_hand(987654321012345, block % 2**128)]
    np.testing.assert_array_equal(k.philox(987654321012345, 4 * first, 19), expected[:19])


def test_a_stream_can_be_entered_anywhere(k):
    whole = k.philox(7, 0, 3000)
    for offset in (4, 252, 256, 1020, 2996):
        np.testing.assert_array_equal(k.philox(7, offset, 3000 - offset), whole[offset:])
    with pytest.raises(ValueError, match="multiple of 4"):
        k.philox(7, 2, 4)


SIZES = [(), (0,), (1,), (3,), (2, 3), (257,), (1023,), (40, 51), (2, 0, 3)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_twins_are_bitwise_equal(compiled, reference, shape, dtype):
    for seed, offset in ((0, 0), (-1, 8), (2**63 + 11, 2**66 - 8)):
        calls = [
            ("uniform", (shape, dtype)),
            ("dropout_mask", (shape, 0.3, dtype)),
            ("randint", (-3, 1000, shape)),
            ("randint", (-(2**63), 2**63 - 1, shape)),
            ("randint", (2**40, 2**40 + 1, shape)),
        ]
        for name, args in calls:
            a, b = (getattr(module, name)(seed, offset, *args) for module in (compiled, reference))
            assert isinstance(a, np.ndarray)
            assert a.shape == b.shape == shape
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes()
        a, b = (module.normal(seed, offset, shape, dtype) for module in (compiled, reference))
        assert a.shape == b.shape == shape
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=1e-14 if dtype == np.float64 else 2e-7, atol=1e-15)


@pytest.mark.parametrize(
    ("kind", "n", "dtype_name", "expected"),
    [
        ("philox", 5, "float32", 8),
        ("uniform", 5, "float32", 8),
        ("uniform", 5, "float64", 12),
        ("uniform", 4, "float16", 4),
        ("normal", 5, "float32", 12),
        ("normal", 2, "float64", 4),
        ("dropout_mask", 1, "float64", 4),
        ("randint", 3, "int64", 8),
        ("uniform", 0, "float32", 0),
    ],
)
def test_words_says_how_far_a_call_reads(k, kind, n, dtype_name, expected):
    """Calls that follow each other at the offsets of `words` are one long call, and none reads a word of the next."""
    assert words(kind, n, dtype_name) == expected
    if n == 0 or dtype_name == "float16":
        return
    args = {"philox": (), "dropout_mask": (0.5, dtype_name), "randint": (0, 10**6)}.get(kind, (dtype_name,))

    def call(offset, count):
        if kind == "randint":
            return k.randint(1, offset, *args, (count,))
        return getattr(k, kind)(1, offset, count if kind == "philox" else (count,), *args)

    per_value = {("uniform", "float64"): 2, ("normal", "float32"): 2, ("normal", "float64"): 2, ("randint", "int64"): 2}
    values = expected // per_value.get((kind, dtype_name), 1)
    assert values * per_value.get((kind, dtype_name), 1) == expected
    assert values >= n
    both = np.concatenate([call(0, values), call(expected, values)])
    np.testing.assert_array_equal(both, call(0, 2 * values))


def test_uniform_is_uniform(k, dtype):
    u = k.uniform(5, 0, (200_000,), dtype).astype(np.float64)
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / u.size))
    assert u.var() == pytest.approx(1 / 12, abs=4 * math.sqrt(1 / 180 / u.size))
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(u, "uniform").pvalue > 1e-3


def test_uniform_stays_below_one(k, dtype):
    """The largest word gives the largest multiple of 2^-24 or 2^-53 below 1; none is rounded up."""
    bits = 24 if dtype == np.float32 else 53
    u = k.uniform(11, 0, (1000,), dtype)
    np.testing.assert_array_equal(u * 2.0**bits, np.floor(u * 2.0**bits))


def test_half_uniform_stays_below_one(reference):
    u = reference.uniform(3, 0, (100_000,), np.float16)
    assert u.dtype == np.float16
    assert u.max() == np.float16(1 - 2**-11)


def test_normal_is_normal(k, dtype):
    z = k.normal(6, 0, (200_000,), dtype).astype(np.float64)
    n = z.size
    assert z.mean() == pytest.approx(0, abs=4 / math.sqrt(n))
    assert z.var() == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    assert np.mean(z**3) == pytest.approx(0, abs=4 * math.sqrt(15 / n))
    assert np.mean(z**4) == pytest.approx(3, abs=4 * math.sqrt(96 / n))
    assert abs(np.corrcoef(z[::2], z[1::2])[0, 1]) < 4 / math.sqrt(n / 2)
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_neighbouring_seeds_and_offsets_are_unrelated(k):
    streams = [k.uniform(seed, offset, (50_000,), np.float32) for seed, offset in ((1, 0), (2, 0), (1, 4), (1, 2**34))]
    correlation = np.corrcoef(np.stack(streams).astype(np.float64))
    assert np.abs(correlation - np.eye(4)).max() < 4.5 / math.sqrt(50_000)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_mask(k, p, dtype):
    mask = k.dropout_mask(9, 0, (300, 400), p, dtype)
    assert mask.shape == (300, 400)
    assert mask.dtype == dtype
    kept = 0 if p == 1 else dtype.type(1 / (1 - p))
    assert set(np.unique(mask)) <= {0, kept}
    assert np.mean(mask == 0) == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / mask.size))


def test_randint_is_even_and_within_bounds(k):
    z = k.randint(10, 0, -4, 9, (130_000,))
    assert z.dtype == np.int64
    counts = np.bincount(z + 4, minlength=13)
    assert counts.size == 13
    chi2 = np.sum((counts - 10_000) ** 2 / 10_000)
    assert chi2 < 12 + 4 * math.sqrt(24)
    for low, high in ((3, 3), (4, 3), (0, 2**63), (-(2**63) - 1, 0)):
        with pytest.raises(ValueError, match="low"):
            k.randint(10, 0, low, high, (1,))


def test_randint_is_the_high_half_of_the_product(k):
    w = k.philox(12, 0, 8).tolist()
    numbers = [w[i] | w[i + 1] << 32 for i in range(0, 8, 2)]
    for low, high in ((0, 10), (-5, 2**33), (-(2**62), 2**63 - 1)):
        expected = [low + (number * (high - low) >> 64) for number in numbers]
        assert k.randint(12, 0, low, high, (4,)).tolist() == expected


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    n = 400_003
    same_for_all_thread_counts(lambda: compiled.philox(1, 4, n))
    same_for_all_thread_counts(lambda: compiled.uniform(1, 4, (n,), dtype))
    same_for_all_thread_counts(lambda: compiled.normal(1, 4, (n,), dtype))
    same_for_all_thread_counts(lambda: compiled.dropout_mask(1, 4, (n,), 0.4, dtype))
    same_for_all_thread_counts(lambda: compiled.randint(1, 4, 0, 1000, (n,)))


@pytest.mark.parametrize("n", [0, 1, 2, 1000, 200_000])
def test_permutation_is_a_stable_argsort(k, n):
    """Also of keys that are spread unevenly, or equal, and at both ends of [0, 1)."""
    rng = np.random.default_rng(n)
    for keys in (rng.random(n), np.floor(rng.random(n) * 50) / 50, rng.random(min(n, 1000)) ** 50):
        keys[:1], keys[1:2] = 0.0, np.nextafter(1.0, 0.0)
        got = k.permutation(keys)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, np.argsort(keys, kind="stable"))


def test_permutation_refuses_other_keys(compiled):
    for wrong in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"permutation.*\[0, 1\)"):
            compiled.permutation(np.array([0.5, wrong]))
