"""DataLoader: what batches hold, in which order, and that a pass can be continued to the same bits."""

import copy
import itertools
import json
import pickle

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)
from tinygrad_course.errors import DataError, StateDictError

SIZE = 10


class Squares(Dataset):
    def __getitem__(self, index):
        return np.float32(index) ** 2, index

    def __len__(self):
        return SIZE


class Negative(TensorDataset):
    def __getitem__(self, index):
        return (-super().__getitem__(index)[0],)


def numbers():
    return TensorDataset(tgc.arange(SIZE))


def passes(loader, n=1):
    """Sample numbers of each batch, of n passes one after the other."""
    return [batch[-1].tolist() for _ in range(n) for batch in loader]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


def seeded(seed):
    return tgc.Generator().manual_seed(seed)


@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [
    (1, False, [1] * 10), (3, False, [3, 3, 3, 1]), (3, True, [3, 3, 3]), (5, False, [5, 5]), (64, False, [10]),
    (64, True, []),
])
def test_batch_sizes(batch_size, drop_last, sizes):
    loader = DataLoader(numbers(), batch_size, drop_last=drop_last)
    assert len(loader) == len(sizes)
    assert [len(batch) for batch in passes(loader)] == sizes
    assert flat(passes(loader)) == list(range(sum(sizes)))


def test_empty_data_set():
    loader = DataLoader(TensorDataset(np.zeros((0, 3))), 4, shuffle=True)
    assert len(loader) == 0
    assert list(loader) == []


def test_batches_are_tuples_of_tensors_with_their_own_memory():
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    (x, y), _ = DataLoader(TensorDataset(values, np.arange(4)), 2)
    assert isinstance(x, tgc.Tensor)
    assert (x.shape, x.dtype, y.dtype) == ((2, 3), tgc.float32, tgc.int64)
    x.zero_()
    assert values[0, 1] == 1


def test_shuffle_visits_each_sample_once_in_a_new_order():
    first, second = (flat(passes(loader)) for loader in [DataLoader(numbers(), 3, True, generator=seeded(0))] * 2)
    assert sorted(first) == sorted(second) == list(range(SIZE))
    assert first != second
    assert first != list(range(SIZE))


def test_same_seed_same_orders():
    assert passes(DataLoader(numbers(), 3, True, generator=seeded(5)), 3) == \
        passes(DataLoader(numbers(), 3, True, generator=seeded(5)), 3)
    loader = DataLoader(numbers(), 3, True)
    tgc.manual_seed(8)
    first = passes(loader, 2)
    tgc.manual_seed(8)
    assert passes(loader, 2) == first


def test_orders_are_uniform():
    """1,200 passes over 3 samples: 200 of each order expected; chi-squared with 5 degrees below its 1e-6 quantile."""
    loader = DataLoader(TensorDataset(tgc.arange(3)), 3, True, generator=seeded(0))
    counts = np.unique(passes(loader, 1200), axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 200) ** 2 / 200).sum() < 35.9


def test_order_does_not_depend_on_how_samples_are_fetched():
    orders = [passes(DataLoader(data, 4, True, generator=seeded(1)))
              for data in (numbers(), Subset(numbers(), range(SIZE)), Squares())]
    assert orders[0] == orders[1] == orders[2]


def test_subset_of_subset_and_subclass():
    inner = Subset(Subset(numbers(), range(9, -1, -1)), [0, 2, 4])
    assert passes(DataLoader(inner, 2)) == [[9, 7], [5]]
    assert passes(DataLoader(Subset(Negative(tgc.arange(4)), [1, 3]), 2)) == [[-1, -3]]


def test_samples_of_any_data_set_are_collated():
    x, index = next(iter(DataLoader(Squares(), 3)))
    assert (x.tolist(), x.dtype, index.tolist(), index.dtype) == ([0, 1, 4], tgc.float32, [0, 1, 2], tgc.int64)
    texts = DataLoader(["a", "b", "c"], 2, collate_fn="".join)
    assert list(texts) == ["ab", "c"]


def test_default_collate():
    batch = default_collate([{"x": tgc.ones(2), "y": (1, 2.5)}, {"x": tgc.zeros(2), "y": (3, 4.5)}])
    assert batch["x"].tolist() == [[1, 1], [0, 0]]
    whole, broken = batch["y"]
    assert (whole.dtype, broken.dtype) == (tgc.int64, tgc.float32)
    assert default_collate([True, False]).dtype == tgc.bool
    assert default_collate(["a", "b"]) == ["a", "b"]
    with pytest.raises(DataError, match=r"samples of the shapes \(2,\), \(3,\) cannot be stacked"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(DataError, match="samples have 1 or 2 entries"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(DataError, match="cannot make a tensor of object"):
        default_collate([object()])
    with pytest.raises(DataError, match=r"a sample is None. Does __getitem__ of the data set return it"):
        default_collate([None])
    with pytest.raises(DataError, match="a sample is a tuple, another one a int"):
        default_collate([(1, 2), 3])
    with pytest.raises(DataError, match="a batch without samples"):
        list(DataLoader(range(3), batch_sampler=[[0], []]))


def test_samples_with_other_keys():
    """Those that the first sample has not would be missing without a word."""
    for other, says in ({"x": 1, "y": 2}, "a dict of 'x', 'y'"), ({}, "a dict of "), (3, "a int"):
        with pytest.raises(DataError, match=f"a sample is a dict of 'x', another one {says}"):
            default_collate([{"x": 1}, other])


@pytest.mark.parametrize(("data", "says"), [
    ((i for i in range(3)), "a generator"), ({1, 2}, "a set"), (None, "a NoneType"), (Squares, "the class Squares")])
def test_what_is_no_data_set(data, says):
    with pytest.raises(DataError, match=f"the data set is {says}. Give an object with __len__ and __getitem__"):
        DataLoader(data)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_bad_batch_size(batch_size):
    with pytest.raises(DataError, match=r"batch_size=.* Give a whole number"):
        DataLoader(numbers(), batch_size)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 2, 3, 4, 6])
def test_continued_pass_is_the_same(shuffle, stop):
    """Stop after `stop` batches (4 make a pass), save through JSON, continue with a new loader: nothing differs."""
    def make():
        return DataLoader(numbers(), 3, shuffle, generator=seeded(7))
    whole = passes(make(), 3)
    loader, seen = make(), []
    while len(seen) < stop:
        for batch in loader:
            seen.append(batch[-1].tolist())
            if len(seen) == stop:
                break
    state = json.loads(json.dumps(loader.state_dict()))
    other = make()
    other.generator.manual_seed(99)
    other.load_state_dict(state)
    while len(seen) < 12:
        seen += passes(other)
    assert seen == whole


def test_break_starts_a_new_pass():
    loader = DataLoader(numbers(), 3)
    next(iter(loader))
    assert passes(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_state_does_not_touch_the_default_generator():
    loader = DataLoader(numbers(), 3, True)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    tgc.manual_seed(123)
    before = tgc.default_generator.get_state().tolist()
    other = DataLoader(numbers(), 3, True)
    other.load_state_dict(state)
    assert passes(other) == [batch[-1].tolist() for batch in batches]
    assert tgc.default_generator.get_state().tolist() == before


def test_state_of_other_data_is_refused():
    state = DataLoader(numbers(), 3).state_dict()
    with pytest.raises(StateDictError, match="batch_size was 3 when the state was saved and is 4 now"):
        DataLoader(numbers(), 4).load_state_dict(state)
    with pytest.raises(StateDictError, match="samples was 10"):
        DataLoader(TensorDataset(tgc.arange(11)), 3).load_state_dict(state)
    with pytest.raises(StateDictError, match="the state has no order, seed, done"):
        DataLoader(numbers(), 3).load_state_dict({"samples": 10, "batch_size": 3, "generator": None})
    with pytest.raises(StateDictError, match="order was SequentialSampler when the state was saved and is RandomSampler now"):
        DataLoader(numbers(), 3, True).load_state_dict(state)


@pytest.mark.parametrize("context", [None, "thread"])
def test_a_full_pass_in_the_middle_of_another_one(context):
    """An evaluation on the training set between two steps does not lose the place of the training."""
    def make():
        return DataLoader(numbers(), 3, True, generator=seeded(7), num_workers=1 if context else 0,
                          multiprocessing_context=context)
    whole, loader, seen = passes(make()), make(), []
    for batch in loader:
        seen.append(batch[-1].tolist())
        if len(seen) == 1:
            list(loader)
        if len(seen) == 2:
            state = loader.state_dict()
    other = make()
    other.load_state_dict(state)
    assert seen == whole
    assert passes(other) == whole[2:]


def test_the_numbers_of_samples_are_whole():
    """A mask would be the samples 0 and 1, and fractions would be cut off."""
    mask = np.arange(SIZE) % 2 == 0
    for wrong in (mask, tgc.tensor(mask), mask.tolist(), [0.5, 1.0]):
        for use in (lambda: DataLoader(numbers(), sampler=wrong), lambda: Subset(numbers(), wrong),  # noqa: B023
                    lambda: SubsetRandomSampler(wrong)):  # noqa: B023
            with pytest.raises(DataError, match=r"(bool|float64) in place of the numbers of samples.*flatnonzero"):
                use()

    class Halves(Sampler):
        def __iter__(self):
            return iter([0.5, 1.5])
    with pytest.raises(DataError, match="the sampler gives: float64 in place"):
        list(DataLoader(numbers(), 2, sampler=Halves()))


def test_a_sampler_with_an_order_of_its_own():
    class Backwards(RandomSampler):
        def __iter__(self):
            return reversed(range(SIZE))
    loader = DataLoader(numbers(), 5, sampler=Backwards(numbers()))
    assert passes(loader) == [[9, 8, 7, 6, 5], [4, 3, 2, 1, 0]]
    with pytest.raises(StateDictError, match="cannot be restored"):
        loader.state_dict()


def test_an_iterator_as_sampler_is_not_an_empty_pass():
    loader = DataLoader(numbers(), 5, sampler=iter([3, 1]))
    assert passes(loader) == [[3, 1]]
    with pytest.raises(DataError, match="it is an iterator, and one can go through it once"):
        list(loader)


def test_copies_have_a_place_of_their_own():
    loader = DataLoader(range(SIZE), 3, num_workers=1, multiprocessing_context="thread", persistent_workers=True)
    batches = iter(loader)
    next(batches)
    for other in (copy.copy(loader), copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        list(other)
        assert other.state_dict()["done"] == 0
        assert loader.state_dict()["done"] == 1
    loader.collate_fn = tuple  # persistent workers do not go on with the old one
    assert list(loader) == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9,)]
    loader.num_workers = 2
    assert len(list(loader)) == 4
    with pytest.raises(DataError, match="shuffle cannot be changed any more"):
        loader.shuffle = True


def test_wrong_number_of_samples_from_getitems():
    class Few(Squares):
        def __getitems__(self, indices):
            return indices[1:]
    with pytest.raises(DataError, match=r"Few.__getitems__ gave 3 samples for 4 numbers"):
        list(DataLoader(Few(), 4))


@pytest.mark.parametrize(("keywords", "message"), [
    ({"shuffle": True, "generator": 42}, r"generator=42 is no .* tinygrad_course.Generator\(\).manual_seed\(42\)"),
    ({"sampler": 3}, "sampler=3. Give what the numbers of the samples come out of: a list"),
])
def test_numbers_in_the_place_of_objects(keywords, message):
    with pytest.raises(DataError, match=message):
        DataLoader([1, 2, 3], 2, **keywords)
