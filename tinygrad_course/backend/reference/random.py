"""Counter-based random numbers in NumPy: Philox4x32-10.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".

A stream is the sequence of 32-bit words that a 64-bit `seed` (the key) gives: block number b (the counter, 128 bits)
yields words 4b .. 4b+3.  Word i depends on the seed and on i alone, so any part of the stream can be made by any thread
in any order.  A kernel reads the stream from `offset`, a multiple of 4; `words` says how far the caller's offset moves.

| kernel       | words per value | how |
|--------------|-----------------|-----|
| philox       | 1               | the words themselves |
| uniform      | 1; float64: 2   | top 24 bits of a word / 2^24;  top 53 bits of two words / 2^53 |
| normal       | 2               | Box-Muller: a block makes two values, in float64, then cast |
| dropout_mask | 1               | kept if word >= round(p * 2^32) |
| randint      | 2               | low + (64-bit number * (high - low)) >> 64 |

These functions create arrays on the host; a device namespace copies them, so that a seed means the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

KERNELS = ("philox", "uniform", "normal", "dropout_mask", "randint", "permutation")

Array = NDArray[Any]
Words = NDArray[np.uint32]

_LOW32 = np.uint64(0xFFFFFFFF)
_MULTIPLIER = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1: added to the key after each round
_WORDS = {"philox": 1, "uniform": 1, "dropout_mask": 1, "normal": 2, "randint": 2}


def words(kind: str, n: int, dtype: DTypeLike = np.float32) -> int:
    """Words of the stream that kernel `kind` uses up for `n` values: a multiple of 4, what the next offset grows by."""
    per_value = 2 if kind == "uniform" and np.dtype(dtype) == np.float64 else _WORDS[kind]
    return -(-n * per_value // 4) * 4


def philox(seed: int, offset: int, n: int) -> Words:
    """The `n` words of stream `seed` from word `offset` (a multiple of 4, below 2^130) on.  ->  (n,) uint32."""
    if offset % 4 or offset < 0:
        raise ValueError(f"philox: offset must be a multiple of 4 and not negative, got {offset}")
    blocks = -(-n // 4)
    counter = _counters(offset // 4, blocks)
    key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    for _ in range(10):
        product0 = _MULTIPLIER[0] * counter[0]
        product1 = _MULTIPLIER[1] * counter[2]
        counter = [
            (product1 >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]),
            product1 & _LOW32,
            (product0 >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]),
            product0 & _LOW32,
        ]
        key = [(k + weyl) & 0xFFFFFFFF for k, weyl in zip(key, _WEYL, strict=True)]
    return np.stack(counter, axis=1).astype(np.uint32).reshape(-1)[:n]


def uniform(seed: int, offset: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Uniform values in [0, 1): every multiple of 2^-24 (float32) or 2^-53 (float64) is equally likely.

    float16 takes multiples of 2^-11, so that rounding never gives 1.
    """
    dtype, n = np.dtype(dtype), math.prod(shape)
    if dtype == np.float64:
        u = (_words64(seed, offset, n) >> np.uint64(11)) * 2.0**-53
    elif dtype == np.float16:
        u = (philox(seed, offset, n) >> np.uint32(21)) * 2.0**-11
    else:
        u = (philox(seed, offset, n) >> np.uint32(8)) * 2.0**-24
    return u.astype(dtype).reshape(shape)


def normal(seed: int, offset: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Standard normal values (Box and Muller 1958), computed in float64.

    u and v are the two uniform float64 of a block:  z0 = sqrt(-2 log(1 - u)) cos(2 pi v),  z1 = the same with sin.
    """
    n = math.prod(shape)
    uv = uniform(seed, offset, (-(-n // 2), 2), np.float64)
    radius = np.sqrt(-2 * np.log(1 - uv[:, 0]))  # 1 - u is never 0
    angle = 2 * np.pi * uv[:, 1]
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return z.reshape(-1)[:n].astype(dtype).reshape(shape)


def dropout_mask(seed: int, offset: int, shape: Sequence[int], p: float, dtype: DTypeLike) -> Array:
    """0 with probability p, else 1 / (1 - p), so that the mean is 1.  p = 1 gives zeros.  p is exact to 2^-33."""
    threshold = np.uint64(round(p * 2**32))
    scale = 1 / (1 - p) if p < 1 else 0.0
    keep = philox(seed, offset, math.prod(shape)).astype(np.uint64) >= threshold
    return np.where(keep, scale, 0.0).astype(dtype).reshape(shape)


def randint(seed: int, offset: int, low: int, high: int, shape: Sequence[int]) -> NDArray[np.int64]:
    """Integers low <= z < high, int64.

    The high 64 bits of (64-bit number) * (high - low): no probability is off by more than 2^-64, which is a relative
    bias of at most (high - low) / 2^64.  Raises ValueError for an empty or too wide range.
    """
    if not -(2**63) <= low < high <= 2**63 - 1:
        raise ValueError(f"randint: needs -2**63 <= low < high <= 2**63 - 1, got low={low}, high={high}")
    number, span = _words64(seed, offset, math.prod(shape)), high - low
    n0, n1 = number & _LOW32, number >> np.uint64(32)
    s0, s1 = np.uint64(span & 0xFFFFFFFF), np.uint64(span >> 32)
    # Schoolbook product of two 64-bit numbers in 32-bit digits; `middle` cannot overflow.
    carry = (n0 * s0) >> np.uint64(32)
    middle = n1 * s0 + carry
    other = n0 * s1 + (middle & _LOW32)
    top = n1 * s1 + (middle >> np.uint64(32)) + (other >> np.uint64(32))
    return (top + np.uint64(low % 2**64)).view(np.int64).reshape(shape)  # modulo 2^64: right for negative low


def permutation(keys: Array) -> NDArray[np.int64]:
    """0..n-1 in the order of n uniform float64 keys in [0, 1); equal keys keep their order."""
    order = np.argsort(keys)  # several times faster than a stable one, and the same if no two keys are equal
    if (np.diff(keys[order]) == 0).any():
        order = np.argsort(keys, kind="stable")
    return order.astype(np.int64, copy=False)


def _words64(seed: int, offset: int, n: int) -> NDArray[np.uint64]:
    """`n` numbers of 64 bits, each made of two words, the low half first."""
    pairs = philox(seed, offset, 2 * n).astype(np.uint64).reshape(n, 2)
    return pairs[:, 0] | pairs[:, 1] << np.uint64(32)


def _counters(first: int, n: int) -> list[NDArray[np.uint64]]:
    """Counter words (4 arrays of n, 32 bits each in a uint64) of blocks first .. first + n - 1, modulo 2^128."""
    low, high = first & 0xFFFFFFFFFFFFFFFF, (first >> 64) & 0xFFFFFFFFFFFFFFFF
    lows = np.arange(n, dtype=np.uint64) + np.uint64(low)
    highs = np.uint64(high) + (lows < np.uint64(low)).astype(np.uint64)  # carry where the low half wrapped around
    return [lows & _LOW32, lows >> np.uint64(32), highs & _LOW32, highs >> np.uint64(32)]
