"""Splits of sets that come without one: drawn once and for ever, so that results of two people can be compared."""

import numpy as np

from tinygrad_course.errors import DataError

SPLIT_SEED = 0


def fixed_order(size: int) -> np.ndarray:
    """The numbers below `size` in an order that looks random and is the same everywhere: int64 (size,)."""
    # Raw Philox words: NumPy promises their stream for ever, that of `permutation` it does not.
    return np.argsort(np.random.Philox(key=SPLIT_SEED).random_raw(size), kind="stable")


def fixed_test_part(groups: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Which samples are the test part: bool (N,).  Of each value in `groups` (N,) the share, rounded, is drawn."""
    rank = np.empty(len(groups), dtype=np.int64)
    rank[fixed_order(len(groups))] = np.arange(len(groups))
    is_test = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        is_test[members[np.argsort(rank[members])][:round(share * len(members))]] = True
    return is_test


def check_split(split: str, caller: str) -> None:
    """Raises DataError unless `split` is "train" or "test"."""
    if split not in ("train", "test"):
        raise DataError(f'{caller}: there is no split {split!r}. Give "train" or "test".')
