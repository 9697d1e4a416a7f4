"""Samplers, and loaders with PyTorch's other arguments."""

import itertools

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from tinygrad_course.errors import DataError, StateDictError


def numbers(n=10):
    return TensorDataset(tgc.arange(n))


def batches(loader):
    return [batch[0].tolist() for batch in loader]


class Backwards(Sampler):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n - 1, -1, -1))

    def __len__(self):
        return self.n


class Stream(IterableDataset):
    def __iter__(self):
        return iter([{"x": np.float32(i), "name": str(i)} for i in range(5)])


def test_arguments_about_processes_change_nothing():
    plain = DataLoader(numbers(), 4, False)
    many = DataLoader(numbers(), batch_size=4, shuffle=None, num_workers=1, pin_memory=True, timeout=60, worker_init_fn=abs,
                      prefetch_factor=2, persistent_workers=True, in_order=True)
    assert batches(many) == batches(plain) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_arguments_stand_in_pytorchs_order():
    import inspect
    torch = torch_or_skip()
    theirs = list(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)
    assert list(inspect.signature(DataLoader.__init__).parameters) == theirs


def test_sampler_says_the_order():
    loader = DataLoader(numbers(5), 2, sampler=Backwards(5))
    assert batches(loader) == [[4, 3], [2, 1], [0]]
    assert len(loader) == 3
    short = DataLoader(numbers(5), 2, sampler=Backwards(5), drop_last=True)
    assert batches(short) == [[4, 3], [2, 1]]
    assert len(short) == 2
    lists = DataLoader(numbers(5), batch_sampler=BatchSampler(Backwards(5), 3, drop_last=False))
    assert batches(lists) == [[4, 3, 2], [1, 0]]
    assert len(lists) == 2


def test_random_orders():
    generator = tgc.Generator().manual_seed(0)
    assert list(SequentialSampler(range(3))) == [0, 1, 2]
    order = RandomSampler(range(20), generator=generator)
    first, second = list(order), list(order)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert len(list(RandomSampler(range(3), num_samples=8))) == len(RandomSampler(range(3), num_samples=8)) == 8
    assert set(RandomSampler(range(3), replacement=True, num_samples=200, generator=generator)) == {0, 1, 2}
    assert sorted(SubsetRandomSampler([7, 3, 5], generator)) == [3, 5, 7]


@pytest.mark.parametrize("make", [
    lambda generator: RandomSampler(range(50), generator=generator),
    lambda generator: RandomSampler(range(50), replacement=True, generator=generator),
    lambda generator: SubsetRandomSampler(range(50), generator),
    lambda generator: WeightedRandomSampler(np.ones(50), 50, generator=generator),
])
def test_the_generator_says_the_order(make):
    """And it alone: the default generator stays where it is."""
    before = tgc.default_generator.get_state()
    orders = [list(make(tgc.Generator().manual_seed(seed))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert tgc.equal(tgc.default_generator.get_state(), before)


def test_weighted_sampler_follows_the_weights():
    drawn = list(WeightedRandomSampler([1.0, 0.0, 3.0], 4000, generator=tgc.Generator().manual_seed(1)))
    counts = np.bincount(drawn, minlength=3)
    assert len(drawn) == 4000
    assert counts[1] == 0
    assert abs(counts[0] - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75)
    assert sorted(WeightedRandomSampler(np.ones(4), 4, replacement=False)) == [0, 1, 2, 3]


def test_concatenated_sets():
    both = ConcatDataset([numbers(3), numbers(2)])
    assert [both[i][0].item() for i in range(-1, 5)] == [1, 0, 1, 2, 0, 1]
    assert batches(DataLoader(both, 2)) == [[0, 1], [2, 0], [1]]
    with pytest.raises(IndexError, match="sample 5 of 5"):
        both[5]


def test_stream():
    found = list(DataLoader(Stream(), 2))
    assert [batch["x"].tolist() for batch in found] == [[0, 1], [2, 3], [4]]
    assert found[0]["name"] == ["0", "1"]
    assert len(list(DataLoader(Stream(), 2, drop_last=True))) == 2
    assert list(DataLoader(Stream(), 3, collate_fn=len)) == [3, 2]
    with pytest.raises(TypeError, match=r"object of type 'Stream' has no len\(\)"):
        len(DataLoader(Stream(), 2))
    assert len(list(Stream())) == 5


@pytest.mark.parametrize(("make", "message"), [
    (lambda: DataLoader(numbers(), num_workers=-1), "num_workers=-1"),
    (lambda: DataLoader(numbers(), shuffle=True, sampler=[0]), "a sampler says the order"),
    (lambda: DataLoader(numbers(), 2, batch_sampler=[[0]]), "Give it alone"),
    (lambda: DataLoader(Stream(), 2, shuffle=True), "Shuffle inside its __iter__"),
    (lambda: WeightedRandomSampler([1.0], 0), "num_samples=0"),
    (lambda: WeightedRandomSampler([[1.0]], 1), "one number per sample"),
    (lambda: RandomSampler([1], num_samples=0), "num_samples=0"),
    (lambda: BatchSampler([1], 0, False), "batch_size=0"),
    (lambda: ConcatDataset([]), "at least one"),
    (lambda: DataLoader(numbers(), generator=42), r"DataLoader: generator=42 is no .*Generator\(\).manual_seed\(42\)"),
    (lambda: random_split(numbers(), [5, 5], 42), r"random_split: generator=42 is no Generator.*manual_seed\(42\)"),
    (lambda: random_split(numbers(), ["a", "b"]), r"lengths=\['a', 'b'\]. Give a list of numbers"),
    (lambda: RandomSampler([1], generator="x"), r"RandomSampler: generator='x' is no Generator.*manual_seed\(0\)"),
    (lambda: SubsetRandomSampler([1], 42), "SubsetRandomSampler: generator=42"),
    (lambda: WeightedRandomSampler([1.0], 1, True, 42), "WeightedRandomSampler: generator=42"),
    (lambda: WeightedRandomSampler([1.0], 1, tgc.Generator()), "WeightedRandomSampler: replacement=.*Give True or False"),
    (lambda: RandomSampler([1], 5), "RandomSampler: replacement=5. Give True or False"),
    (lambda: RandomSampler([1], num_samples=True), "num_samples=True. Give a whole number"),
    (lambda: RandomSampler(5), r"RandomSampler: the data set is of type int, without.*range\(5\)"),
    (lambda: list(SequentialSampler(5)), r"SequentialSampler: the data set is of type int, without.*range\(5\)"),
    (lambda: SubsetRandomSampler(5), "SubsetRandomSampler: the data set is of type int, without"),
    (lambda: DistributedSampler(5, 2, 0), "DistributedSampler: the data set is of type int, without"),
    (lambda: DistributedSampler([1], "2", 0), "num_replicas='2'. Give a whole number"),
    (lambda: DistributedSampler([1], 2, 0.0), "rank=0.0. Give a whole number"),
    (lambda: DistributedSampler([1], 2, 0, seed=None), "seed=None. Give a whole number"),
    (lambda: BatchSampler(5, 2, False), "BatchSampler: sampler=5. Give what the numbers of the samples come out of"),
    (lambda: DataLoader(numbers(), batch_sampler=5), r"batch_sampler=5. Give what lists .* \[\[0, 1\], \[2, 3\]\]"),
    (lambda: list(DataLoader(numbers(), batch_sampler=[0, 1])), "batch 0 of the batch_sampler is 0; .* as sampler"),
    (lambda: list(DataLoader(numbers(), batch_sampler=np.arange(3), num_workers=1)), "batch 0 of the batch_sampler is"),
])
def test_errors(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_a_loader_with_a_sampler_has_no_state():
    with pytest.raises(StateDictError, match="Use shuffle=True"):
        DataLoader(numbers(), sampler=Backwards(10)).state_dict()


@pytest.mark.parametrize("base", [Sampler(), Dataset(), IterableDataset()])
def test_bases_name_what_to_write(base):
    with pytest.raises(NotImplementedError, match="must define"):
        iter(base) if isinstance(base, IterableDataset | Sampler) else base[0]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("n", "replicas"), [(10, 3), (9, 3), (2, 5)])
def test_distributed_shares(n, replicas, drop_last):
    torch = torch_or_skip()
    for rank in range(replicas):
        ours = DistributedSampler(range(n), replicas, rank, False, drop_last=drop_last)
        theirs = torch.utils.data.DistributedSampler(range(n), replicas, rank, False, drop_last=drop_last)
        assert (list(ours), len(ours)) == (list(theirs), len(theirs))
    shuffled = [DistributedSampler(range(n), replicas, rank, seed=2) for rank in range(replicas)]
    orders = []
    for epoch in (0, 1):
        for sampler in shuffled:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in shuffled]
        assert set(itertools.chain(*shares)) == set(range(n))
        orders.append(shares)
    assert n < 5 or orders[0] != orders[1]
    with pytest.raises(DataError, match=r"rank 3 of 3 processes. Give 0 to 2"):
        DistributedSampler(range(n), 3, 3)


def test_what_a_loader_is_made_of_stays():
    """As in PyTorch it has a sampler and a batch sampler, and they cannot be exchanged."""
    loader = DataLoader(numbers(), 4, shuffle=True)
    assert isinstance(loader.sampler, RandomSampler)
    assert (loader.batch_sampler.batch_size, loader.batch_sampler.sampler) == (4, loader.sampler)
    assert isinstance(DataLoader(numbers()).sampler, SequentialSampler)
    assert DataLoader(numbers(), batch_sampler=[[1], [2]]).batch_size is None
    with pytest.raises(DataError, match="batch_size cannot be changed any more"):
        loader.batch_size = 5


def test_numbers_that_cannot_be_drawn():
    for replacement in (False, True):
        assert list(RandomSampler([], replacement)) == []
        with pytest.raises(DataError, match="RandomSampler: 5 numbers of a data set without samples"):
            list(RandomSampler([], replacement, 5))
    with pytest.raises(DataError, match=r"num_samples=2.5. Give a whole number"):
        RandomSampler(range(9), num_samples=2.5)


def test_a_sampler_without_a_length():
    class Forwards(Sampler):
        def __iter__(self):
            return iter(range(3))
    loader = DataLoader(range(3), sampler=Forwards())
    assert len(list(loader)) == 3  # list() asks for the length first
    with pytest.raises(TypeError, match=r"'Forwards' has no len\(\)"):
        len(loader)
