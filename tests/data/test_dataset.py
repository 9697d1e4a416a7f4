"""Data sets and random splits."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.data import Dataset, Subset, TensorDataset, random_split
from tinygrad_course.errors import DataError, ShapeError


@pytest.fixture
def pairs():
    return TensorDataset(np.arange(20, dtype=np.float32).reshape(10, 2), tgc.arange(10))


def test_tensor_dataset(pairs):
    assert len(pairs) == 10
    x, y = pairs[3]
    assert isinstance(x, tgc.Tensor)
    assert x.tolist() == [6, 7]
    assert (y.item(), y.dtype) == (3, tgc.int64)
    assert pairs[-1][1].item() == 9
    assert [y.item() for _, y in pairs] == list(range(10))
    with pytest.raises(IndexError):
        pairs[10]


def test_tensor_dataset_shares_arrays():
    array = np.zeros((3, 2), np.float32)
    data = TensorDataset(array)
    array[1] = 5
    assert data[1][0].tolist() == [5, 5]


@pytest.mark.parametrize("shapes", [(), ((),), ((3, 2), (4,))])
def test_tensor_dataset_refuses(shapes):
    with pytest.raises(ShapeError, match="TensorDataset"):
        TensorDataset(*[np.zeros(shape) for shape in shapes])


def test_subset(pairs):
    subset = Subset(pairs, [7, 7, -1])
    assert [subset[i][1].item() for i in range(len(subset))] == [7, 7, 9]
    assert len(Subset(pairs, [])) == 0
    with pytest.raises(DataError, match="indices go from 0 to 10, but the data set has 10 samples"):
        Subset(pairs, [0, 10])


def test_base_class_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Dataset must define __getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="Dataset must define __len__"):
        len(Dataset())


@pytest.mark.parametrize(("lengths", "sizes"), [
    ([7, 3], [7, 3]), ([10], [10]), ([0, 10], [0, 10]), ([0.8, 0.2], [8, 2]), ([0.5, 0.25, 0.25], [6, 2, 2]),
    ([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]), ([1.0], [10]),
])
def test_random_split(pairs, lengths, sizes):
    parts = random_split(pairs, lengths, generator=tgc.Generator().manual_seed(3))
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(10))


def test_random_split_repeats_with_its_generator(pairs):
    def draw(seed):
        return random_split(pairs, [5, 5], generator=tgc.Generator().manual_seed(seed))[0].indices.tolist()
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("lengths", [[7, 4], [0.5, 0.4], [-1, 11], [5.5, 4.5], []])
def test_random_split_refuses(pairs, lengths):
    with pytest.raises(DataError, match=r"random_split: lengths .* the data set has 10 samples"):
        random_split(pairs, lengths)
