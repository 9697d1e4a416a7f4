"""Splits for validation.  All give arrays of sample numbers (int64, ascending), for whatever holds the samples:

    for train, test in stratified_kfold(labels, k=5, shuffle=True):
        fit(images[train], labels[train])                 # arrays and tensors
        loader = DataLoader(Subset(dataset, train), 64)   # data sets

The test parts of one call are disjoint and together hold every sample once.  What is not shuffled equals scikit-learn's split
of the same name; to repeat a shuffled split, give a generator with the same seed.

The mean of the errors on the k test parts, weighted with their sizes, estimates the error of a model trained on (k-1)/k of
the data: M. Stone, "Cross-validatory choice and assessment of statistical predictions", J. Royal Stat. Soc. B 36 (1974).
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_course.data.dataset import part_sizes
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import as_array, randperm
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

Split = tuple[np.ndarray, np.ndarray]  # sample numbers of (training, test)
Labels = Sequence[Any] | np.ndarray | Tensor


def kfold(n: int, k: int = 5, shuffle: bool = False, generator: Generator | None = None) -> Iterator[Split]:
    """k splits of n samples; the first n % k test parts hold one sample more.

    Without `shuffle` test parts are neighbours: sorted data would give parts of other classes than the rest.
    Raises DataError unless 2 <= k <= n.
    """
    _check("kfold", n, k, shuffle, generator)
    order = randperm(n, generator=generator).array if shuffle else np.arange(n)
    folds = np.empty(n, dtype=np.int64)  # of each sample
    folds[order] = np.repeat(np.arange(k), [n // k + (fold < n % k) for fold in range(k)])
    return _splits(folds, k)


def stratified_kfold(labels: Labels, k: int = 5, shuffle: bool = False,
                     generator: Generator | None = None) -> Iterator[Split]:
    """k splits whose test parts have the same shares of the classes as the whole, to one sample of each class.

    R. Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model selection", IJCAI 1995.
    Raises DataError unless k is 2 to the size of the largest class; warns if a class is not in every part.
    """
    classes = _classes("stratified_kfold", labels)  # 0, 1, ... in the order in which they appear
    counts = np.bincount(classes)
    _check("stratified_kfold", len(classes), k, shuffle, generator)
    if k > counts.max():
        raise DataError(f"stratified_kfold: k={k}, but no class has more than {counts.max()} samples. Use a smaller k.")
    if k > counts.min():
        warnings.warn(f"stratified_kfold: a class has only {counts.min()} samples, so it is in {counts.min()} of k={k} test "
                      "parts.", stacklevel=2)
    folds = np.empty(len(classes), dtype=np.int64)
    dealt = np.sort(classes)  # like cards: card i goes to part i % k
    for label in range(len(counts)):
        share = np.repeat(np.arange(k), [np.count_nonzero(dealt[fold::k] == label) for fold in range(k)])
        if shuffle:
            share = share[randperm(len(share), generator=generator).array]
        folds[classes == label] = share
    return _splits(folds, k)


def group_kfold(groups: Labels, k: int = 5, shuffle: bool = False, generator: Generator | None = None) -> Iterator[Split]:
    """k splits that never have samples of one group (a patient, a photo, a writer) on both sides.

    Without `shuffle` the groups go, from the largest to the smallest, to the test part with the fewest samples so far, so
    that parts are about equally large; with it, parts get equally many groups, at random.
    Raises DataError unless k is 2 to the number of groups.
    """
    numbers = _classes("group_kfold", groups)
    sizes = np.bincount(numbers)
    _check("group_kfold", len(sizes), k, shuffle, generator, "groups")
    if shuffle:
        fold_of_group = np.empty(len(sizes), dtype=np.int64)
        fold_of_group[randperm(len(sizes), generator=generator).array] = np.arange(len(sizes)) % k
        return _splits(fold_of_group[numbers], k)
    load = np.zeros(k, dtype=np.int64)
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of_group[group] = load.argmin()
        load[fold_of_group[group]] += sizes[group]
    return _splits(fold_of_group[numbers], k)


def leave_one_out(n: int) -> Iterator[Split]:
    """n splits with one test sample each, in order.  Raises DataError for fewer than 2 samples."""
    _check("leave_one_out", n, 2, False, None)
    numbers = np.arange(n)
    return ((np.delete(numbers, sample), numbers[sample:sample + 1]) for sample in range(n))


def stratified_split(labels: Labels, lengths: Sequence[int | float], generator: Generator | None = None) -> list[np.ndarray]:
    """Cut n samples at random into parts with about the same shares of the classes: a training, validation and test set.

    `lengths` are counts that add up to n, or shares that add up to 1, as for random_split.  Each part in turn takes of each
    class its share of what is left, rounded up or down so that the part has its size.
    Raises DataError for other sums, and for a class with fewer samples than there are parts.
    """
    classes = _classes("stratified_split", labels)
    left = np.bincount(classes)
    sizes = part_sizes("stratified_split", len(classes), lengths)
    if left.min() < len(sizes):
        raise DataError(f"stratified_split: a class has only {left.min()} samples for {len(sizes)} parts. Leave it out, or "
                        "use random_split.")
    order = randperm(len(classes), generator=generator).array
    members = [order[classes[order] == label] for label in range(len(left))]
    parts = []
    for size in sizes:
        wanted = left * size / left.sum() if size else left * 0.0
        taken = np.floor(wanted).astype(np.int64)
        taken[np.argsort(taken - wanted, kind="stable")[:size - taken.sum()]] += 1  # where most was cut off
        parts.append(np.sort(np.concatenate([own[:count] for own, count in zip(members, taken, strict=True)])))
        members = [own[count:] for own, count in zip(members, taken, strict=True)]
        left = left - taken
    return parts


def _splits(folds: np.ndarray, k: int) -> Iterator[Split]:
    return ((np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(k))


def _classes(name: str, labels: Labels) -> np.ndarray:
    """The labels as numbers 0, 1, ... in the order in which they appear."""
    array = as_array(labels)
    if array.ndim != 1 or not len(array):
        raise DataError(f"{name}: labels of shape {array.shape}. Give one for each sample.")
    _, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _check(name: str, n: int, k: int, shuffle: bool, generator: Generator | None, what: str = "samples") -> None:
    if not isinstance(n, int | np.integer):
        raise DataError(f"{name}: n is a {type(n).__name__}. Give the number of samples, len(dataset).")
    if isinstance(k, bool) or not isinstance(k, int) or not 2 <= k <= n:
        raise DataError(f"{name}: {n} {what} in k={k!r} parts. Give a whole number from 2 to {n}." if n > 1 else
                        f"{name}: {n} {what} cannot be split. Give at least 2.")
    if generator is not None and not shuffle:
        raise DataError(f"{name}: a generator changes nothing without shuffle=True. Give both or none.")
