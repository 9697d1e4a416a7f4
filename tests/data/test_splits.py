"""Splits: against scikit-learn where nothing is shuffled, and by their properties."""

import itertools

import numpy as np
import pytest
from sklearn import model_selection

import tinygrad_course as tgc
from tinygrad_course.data import group_kfold, kfold, leave_one_out, stratified_kfold, stratified_split
from tinygrad_course.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.repeat(["b", "c", "a"], [31, 17, 7]))
GROUPS = np.random.default_rng(1).permutation(np.repeat(np.arange(8), [9, 2, 14, 5, 6, 1, 11, 4]))  # all sizes differ


def seeded(seed):
    return tgc.Generator().manual_seed(seed)


def check(splits, n, k):
    """Test parts are disjoint and exhaust everything; training parts are the rest; all ascending."""
    splits = list(splits)
    assert len(splits) == k
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(n))
    for train, test in splits:
        assert train.dtype == test.dtype == np.int64
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        assert sorted([*train, *test]) == list(range(n))
    return splits


def assert_same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine[0], other[0])
        np.testing.assert_array_equal(mine[1], other[1])


@pytest.mark.parametrize(("n", "k"), [(10, 5), (11, 3), (5, 5), (8, 2)])
def test_kfold(n, k):
    assert_same(kfold(n, k), model_selection.KFold(k).split(np.zeros(n)))
    shuffled = check(kfold(n, k, True, seeded(1)), n, k)
    assert sorted(len(test) for _, test in shuffled) == sorted(len(test) for _, test in kfold(n, k))
    assert_same(shuffled, kfold(n, k, True, seeded(1)))
    assert any((a[1] != b[1]).any() for a, b in zip(shuffled, kfold(n, k), strict=True) if len(a[1]) == len(b[1]))


@pytest.mark.parametrize("k", [2, 3, 7])
def test_stratified_kfold(k):
    assert_same(stratified_kfold(LABELS, k), model_selection.StratifiedKFold(k).split(LABELS, LABELS))
    for _, test in check(stratified_kfold(LABELS, k, True, seeded(2)), len(LABELS), k):
        for label, count in zip(*np.unique(LABELS, return_counts=True), strict=True):
            assert abs((LABELS[test] == label).sum() - count / k) < 1
        assert abs(len(test) - len(LABELS) / k) < 1
    assert_same(stratified_kfold(LABELS, k, True, seeded(2)), stratified_kfold(LABELS, k, True, seeded(2)))


@pytest.mark.parametrize("k", [2, 3, 8])
def test_group_kfold(k):
    assert_same(group_kfold(GROUPS, k), model_selection.GroupKFold(k).split(GROUPS, groups=GROUPS))
    for shuffle in (False, True):
        for train, test in check(group_kfold(tgc.tensor(GROUPS), k, shuffle), len(GROUPS), k):
            assert not set(GROUPS[train]) & set(GROUPS[test])
            assert not shuffle or abs(len(set(GROUPS[test])) - 8 / k) < 1


def test_leave_one_out():
    assert_same(check(leave_one_out(6), 6, 6), model_selection.LeaveOneOut().split(np.zeros(6)))


@pytest.mark.parametrize("lengths", [[0.8, 0.2], [0.6, 0.2, 0.2], [40, 10, 5], [1.0], [0.5, 0.25, 0.25]])
def test_stratified_split(lengths):
    parts = stratified_split(LABELS, lengths, seeded(4))
    assert sorted(np.concatenate(parts)) == list(range(55))
    sizes = [round(share * 55) if isinstance(share, float) else share for share in lengths]
    assert all(abs(len(part) - size) <= 1 for part, size in zip(parts, sizes, strict=True))
    for part in parts:
        assert (np.diff(part) > 0).all()
        for label, count in zip(*np.unique(LABELS, return_counts=True), strict=True):
            assert abs((LABELS[part] == label).sum() - count * len(part) / 55) <= len(lengths) - 1
    for mine, again in zip(parts, stratified_split(LABELS.tolist(), lengths, seeded(4)), strict=True):
        np.testing.assert_array_equal(mine, again)


def test_class_counts_are_those_of_scikit_learn():
    ours = stratified_split(LABELS, [42, 13], seeded(0))[1]
    theirs = model_selection.train_test_split(np.arange(55), test_size=13, stratify=LABELS, random_state=0)[1]
    counts = [np.unique(LABELS[part], return_counts=True)[1].tolist() for part in (ours, theirs)]
    assert counts[0] == counts[1]


def test_every_member_has_the_same_chance():
    """600 splits of a class of 6 into halves: each member is in the first 300 times, within 5 standard deviations."""
    generator, counts = seeded(9), np.zeros(12)
    for _ in range(600):
        counts[stratified_split([0, 1] * 6, [0.5, 0.5], generator)[0]] += 1
    assert (np.abs(counts - 300) < 5 * np.sqrt(150)).all()


def test_the_default_generator_shuffles():
    tgc.manual_seed(1)
    first = [test.tolist() for _, test in kfold(20, 4, True)]
    second = [test.tolist() for _, test in kfold(20, 4, True)]
    tgc.manual_seed(1)
    assert [test.tolist() for _, test in kfold(20, 4, True)] == first != second


@pytest.mark.parametrize(("make", "message"), [
    (lambda: kfold(3, 4), "kfold: 3 samples in k=4 parts. Give a whole number from 2 to 3"),
    (lambda: kfold(9, 1), "k=1"), (lambda: kfold(9, 2.0), "k=2.0"), (lambda: kfold(9, True), "k=True"),
    (lambda: kfold(9, 3, generator=seeded(1)), "a generator changes nothing without shuffle=True"),
    (lambda: leave_one_out(1), "leave_one_out: 1 samples cannot be split"),
    (lambda: stratified_kfold([0, 0, 1, 1], 3), "no class has more than 2 samples"),
    (lambda: stratified_kfold(np.zeros((3, 2)), 2), r"labels of shape \(3, 2\). Give one for each sample"),
    (lambda: group_kfold([0, 0, 1, 1], 3), "2 groups in k=3 parts"),
    (lambda: stratified_split([0, 0, 0, 1], [0.5, 0.5]), "a class has only 1 samples for 2 parts"),
    (lambda: stratified_split([0, 0, 1, 1], [3, 2]), r"stratified_split: lengths \[3, 2\] add up to 5"),
    (lambda: stratified_split([], [0.5, 0.5]), "shape"),
])
def test_errors_come_with_the_call(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_a_rare_class_is_warned_of():
    with pytest.warns(UserWarning, match="a class has only 1 samples, so it is in 1 of k=3 test parts"):
        check(stratified_kfold([0, 0, 0, 0, 0, 1], 3), 6, 3)


def test_memory_of_leave_one_out():
    """Splits are made when they are asked for: all at once would be 8 TB here."""
    assert [test.tolist() for _, test in itertools.islice(leave_one_out(1_000_000), 2)] == [[0], [1]]


def test_the_number_of_samples_not_the_data_set():
    for split in (kfold, leave_one_out):
        with pytest.raises(DataError, match=rf"{split.__name__}: n is a list. Give the number of samples, len\(dataset\)"):
            split([1, 2, 3])
