"""Data sets and random splits."""

from collections import namedtuple

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import plain
from tinygrad_course.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
    random_split,
)
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


class Letters(IterableDataset):
    def __init__(self, letters):
        self.letters = letters

    def __iter__(self):
        return iter(self.letters)

    def __len__(self):
        return len(self.letters)


def test_stacked_sets(pairs):
    both = StackDataset(pairs, Subset(pairs, range(9, -1, -1)))
    assert len(both) == 10
    (_, a), (_, b) = both[2]
    assert (a.item(), b.item()) == (2, 7)
    named = StackDataset(left=["a", "b"], right=[1, 2])
    assert named[1] == {"left": "b", "right": 2}
    assert next(iter(DataLoader(named, 2)))["right"].tolist() == [1, 2]
    with pytest.raises(DataError, match="2, 3 samples"):
        StackDataset([1, 2], [1, 2, 3])
    for wrong in (lambda: StackDataset(), lambda: StackDataset([1], right=[1])):
        with pytest.raises(DataError, match="either without names"):
            wrong()


def test_sums_of_sets(pairs):
    both = pairs + Subset(pairs, [3])
    assert isinstance(both, ConcatDataset)
    assert both[10][1].item() == 3
    chained = Letters("ab") + Letters("c")
    assert isinstance(chained, ChainDataset)
    assert (list(chained), len(chained)) == (["a", "b", "c"], 3)
    assert list(DataLoader(chained, 2)) == [["a", "b"], ["c"]]
    assert len(DataLoader(chained, 2)) == 2
    with pytest.raises(DataError, match=r"TensorDataset is no IterableDataset. Use ConcatDataset"):
        list(Letters("ab") + pairs)
    with pytest.raises(DataError, match="Use ChainDataset"):
        ConcatDataset([pairs, Letters("a")])


def test_many_samples_at_once():
    class Many(Dataset):
        def __getitems__(self, indices):
            return [index * 10 for index in indices]

        def __len__(self):
            return 5
    assert [batch.tolist() for batch in DataLoader(Many(), 3)] == [[0, 10, 20], [30, 40]]


@pytest.mark.parametrize("batched", [True, False])
def test_named_tuples_and_bytes(torch, batched):
    Point = namedtuple("Point", ["x", "name"])
    sample = Point(np.arange(2), [b"a", np.float32(3), "t", None])
    found = default_collate([Point(np.arange(2), b"a")] * 2) if batched else default_convert(sample)
    theirs = torch.utils.data.default_collate([Point(np.arange(2), b"a")] * 2) if batched \
        else torch.utils.data.default_convert(sample)
    assert type(found).__name__ == "Point"
    assert found.x.tolist() == theirs.x.tolist()
    assert [plain(value) for value in found.name] == [plain(value) for value in theirs.name]


@pytest.mark.parametrize("batch_size", [None, 2])
def test_samples_with_other_keys_and_no_batches(batch_size):
    data = {"a": np.arange(2), "b": np.arange(2, 4)}
    found = [plain(batch) for batch in DataLoader(data, batch_size, sampler=["b", "a"])]
    assert found == [[2, 3], [0, 1]] if batch_size is None else [[[2, 3], [0, 1]]]


def test_one_sample_at_a_time():
    for data in (Subset(range(5), [1, 2]), ConcatDataset([range(5), range(3)])):
        with pytest.raises(TypeError, match=r"the number of a sample is slice\(0, 2, None\); it must be one whole number"):
            data[0:2]


def test_streams_from_a_generator_come_in_each_pass():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter("ab")
    chain = ChainDataset(Stream() for _ in range(2))
    assert [list(chain) for _ in range(2)] == [list("abab")] * 2


def test_lengths_of_numpy_and_no_list():
    assert [len(part) for part in random_split(range(10), np.array([8, 2]))] == [8, 2]
    with pytest.raises(DataError, match=r"random_split: lengths=0.8. Give a list of numbers, one for each part"):
        random_split(range(10), 0.8)
