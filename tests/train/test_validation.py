"""Cross-validation, with a model whose training is exact: the mean."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import TensorDataset
from tinygrad_course.errors import DataError
from tinygrad_course.train import CrossValidation, cross_validate


class Mean(nn.Module):
    value = None


def values(part):
    return np.array([row.item() for row, in part])


def train(model, part):
    assert model.value is None  # a fresh one
    model.value = values(part).mean()


def error(model, part):
    return ((values(part) - model.value) ** 2).mean()


def data(n):
    return TensorDataset(np.random.default_rng(0).standard_normal(n))


def test_every_sample_is_judged_once_by_a_model_that_has_not_seen_it():
    judged = []

    def check(model, part):
        judged.extend(values(part))
        assert not set(values(part)) & model.seen
        return 0.0

    def remember(model, part):
        model.seen = set(values(part))
        assert len(model.seen) == 23 - (8 if len(judged) < 16 else 7)

    cross_validate(Mean, data(23), remember, check, 3)
    assert sorted(judged) == sorted(data(23).tensors[0].numpy())


def test_the_mean_is_weighted_with_the_sizes():
    result = cross_validate(Mean, data(23), train, error, 3, generator=tgc.Generator().manual_seed(1))
    assert result.sizes == [8, 8, 7]
    assert result.mean == pytest.approx(np.average(result.errors, weights=[8, 8, 7]))
    assert result.std == pytest.approx(np.std(result.errors, ddof=1))
    again = cross_validate(Mean, data(23), train, error, 3, generator=tgc.Generator().manual_seed(1))
    other = cross_validate(Mean, data(23), train, error, 3, generator=tgc.Generator().manual_seed(2))
    assert result == again != other
    assert str(CrossValidation([0.5, 0.25], [2, 1])).splitlines() == [
        "fold   1        2 samples          0.5", "fold   2        1 samples         0.25",
        "mean            3 samples     0.416667 +- 0.177"]


def test_leave_one_out_has_a_closed_form():
    x = data(15).tensors[0].numpy()
    result = cross_validate(Mean, data(15), train, error, 15)
    assert result.mean == pytest.approx(x.var() * (15 / 14) ** 2)  # x_i - mean of the others = n / (n - 1) (x_i - mean)


@pytest.mark.parametrize("k", [1, 16])
def test_impossible_numbers_of_parts(k):
    with pytest.raises(DataError, match=r"Give a whole number from 2 to 15"):
        cross_validate(Mean, data(15), train, error, k)
