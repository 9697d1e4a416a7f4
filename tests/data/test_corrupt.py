"""Labels drawn anew: how many, and what they say."""

import numpy as np
import pytest

from tinygrad_course.data import corrupt_labels
from tinygrad_course.errors import DataError

LABELS = np.arange(20_000) % 10


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_drawn_from_all_classes(share):
    changed = corrupt_labels(LABELS, share, 10, np.random.default_rng(0))
    n = share * len(LABELS)
    assert (changed != LABELS).sum() == pytest.approx(0.9 * n, abs=4.5 * np.sqrt(0.09 * n))
    counts = np.bincount(changed[changed != LABELS], minlength=10)
    np.testing.assert_allclose(counts, 0.09 * n, atol=4.5 * np.sqrt(0.09 * n) + 1e-9)
    assert changed.dtype == LABELS.dtype
    assert changed is not LABELS
    np.testing.assert_array_equal(LABELS[:10], range(10))


def test_the_same_generator_gives_the_same_labels():
    first, second = (corrupt_labels(LABELS, 0.5, 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("labels", "share", "message"), [
    (LABELS, 1.5, "share is 1.5; needed is a number from 0 to 1"),
    (LABELS / 2, 0.5, r"labels are float64 of shape \(20000,\), needed are integers \(N,\)"),
    (LABELS + 1, 0.5, "labels go from 1 to 10, with num_classes=10"),
])
def test_refused(labels, share, message):
    with pytest.raises(DataError, match=message):
        corrupt_labels(labels, share, 10, np.random.default_rng(0))
