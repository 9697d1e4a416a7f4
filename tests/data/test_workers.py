"""Workers of a DataLoader: the same bits as without them, whatever they are and however many."""

import itertools
import json
import multiprocessing
import os
import queue
import random
import threading
import time

import numpy as np
import pytest
from numpy.random.mtrand import get_bit_generator, set_bit_generator

import tinygrad_course as tgc
from tests.data.worker_data import Counting, Drawing, Growing, Kinds, OnlyOurs, Point, WhoAmI, mark
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SeededSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    isolation,
)
from tinygrad_course.data.isolation import batch_seed
from tinygrad_course.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def seeded(seed):
    return tgc.Generator().manual_seed(seed)


def plain(value):
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def bits(loader, passes=2):
    return [plain(batch) for _ in range(passes) for batch in loader]


def shared_memory():
    """Blocks of this process: others may be testing, too."""
    return sorted(name for name in os.listdir("/dev/shm")
                  if name.startswith(f"tgc_{os.getpid()}_")) if os.path.isdir("/dev/shm") else []


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request):
    """No process, thread or memory; and tests of what this system has not are skipped."""
    context = getattr(request.node, "callspec", None) and request.node.callspec.params.get("context")
    if context not in (None, "thread", *multiprocessing.get_all_start_methods()):
        pytest.skip(f"there is no {context} here")
    before, threads = shared_memory(), threading.active_count()
    yield
    assert shared_memory() == before
    assert multiprocessing.active_children() == []
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads


@pytest.mark.parametrize(("workers", "context", "persistent"), [
    (1, "fork", False), (2, "fork", True), (4, "fork", False), (2, "spawn", False), (1, "forkserver", True)])
def test_the_same_bits_for_any_number_of_processes(workers, context, persistent):
    """Orders, and draws from the default generator, NumPy's and Python's, in two passes."""
    alone = bits(DataLoader(Drawing(), 7, True, generator=seeded(5)))
    loader = DataLoader(Drawing(), 7, True, generator=seeded(5), num_workers=workers, multiprocessing_context=context,
                        persistent_workers=persistent)
    assert bits(loader) == alone
    assert len(alone) == 10
    drawn = [value for batch in alone for kind in batch[1:3] for value in kind]
    assert len(set(drawn)) == len(drawn) == 120


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_same_bits_for_any_number_of_threads(workers):
    before = tgc.get_rng_state().tolist()
    alone = bits(DataLoader(OnlyOurs(), 4, True, generator=seeded(1)))
    loader = DataLoader(OnlyOurs(), 4, True, generator=seeded(1), num_workers=workers, multiprocessing_context="thread",
                        persistent_workers=workers == 2)
    assert bits(loader) == alone
    assert tgc.get_rng_state().tolist() == before


def test_draws_in_the_loop_do_not_meet_those_in_the_data():
    """Samples are the same whatever the loop draws, and the loop draws what it would draw without a loader."""
    def play(batches):
        tgc.manual_seed(3)
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        return [(tgc.rand(1).item(), random.random(), np.random.randn()) for _ in batches]  # noqa: NPY002
    quiet = bits(DataLoader(Drawing(), 7, generator=seeded(2)), 1)
    found = []
    loop = play(found.append(plain(batch)) for batch in DataLoader(Drawing(), 7, generator=seeded(2)))
    assert found == quiet
    assert loop == play(range(5))  # randn() keeps every second value in reserve: that survives, too


@pytest.mark.parametrize("outside", [np.random.MT19937, np.random.PCG64])
def test_every_state_of_numpys_generator_survives(outside):
    """At the beginning and the end of its words, with and without a normal value in reserve; and if it is another one."""
    previous = get_bit_generator()
    set_bit_generator(outside(7))
    try:
        for drawn, normals in itertools.product((0, 1, 622, 623, 624), (0, 1, 2)):
            states = []
            for data in ([np.zeros(2)] * 3, Drawing(3, 2)):
                if outside is np.random.MT19937:
                    np.random.seed(7)  # noqa: NPY002
                    np.random.bytes(4 * drawn)  # noqa: NPY002
                np.random.randn(normals)  # noqa: NPY002
                before = np.random.get_state(legacy=False)  # noqa: NPY002
                assert len(list(DataLoader(data))) == 3
                states.append((before, np.random.get_state(legacy=False)))  # noqa: NPY002
            for before, after in states:
                assert before["has_gauss"] == after["has_gauss"]
                assert before["gauss"] == after["gauss"]
                np.testing.assert_equal(before["state"], after["state"])
            assert outside is np.random.PCG64 or states[0][0]["has_gauss"] == normals % 2
    finally:
        set_bit_generator(previous)


def test_seeds_of_batches_are_numpys():
    """What docs/data.md says, to the letter: other programs can make the same batch."""
    for seed, number in itertools.product((0, 5, 2**32, 2**63 - 2), (0, 1, 999)):
        assert batch_seed(seed, number) == np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]


def test_the_states_of_an_mt19937_are_where_they_are_looked_for():
    assert isolation._is_state_in_memory()  # or 40 us per batch are back


def test_one_draw_per_pass_and_none_where_nothing_is_random():
    tgc.manual_seed(4)
    before = tgc.get_rng_state().tolist()
    list(DataLoader(TensorDataset(tgc.arange(9)), 2))
    list(DataLoader([1, 2, 3], 2))
    assert tgc.get_rng_state().tolist() == before
    list(DataLoader(Drawing(), 7))
    once = tgc.get_rng_state().tolist()
    tgc.manual_seed(4)
    list(DataLoader(TensorDataset(tgc.arange(9)), 2, shuffle=True))
    assert tgc.get_rng_state().tolist() == once != before


class Pairs(SeededSampler):
    """Batches of two, in an order that hangs on the seed."""

    def order(self, seed):
        start = seed % 30
        return [[(start + step) % 30, (start + step + 1) % 30] for step in range(0, 10, 2)]


@pytest.mark.parametrize("make", [
    lambda generator: {"batch_size": 4, "shuffle": True, "generator": generator},
    lambda generator: {"batch_size": 4, "generator": generator},
    lambda generator: {"batch_size": 4, "sampler": RandomSampler(range(30), True, 18, generator)},
    lambda generator: {"batch_size": 4, "sampler": SubsetRandomSampler(range(3, 20), generator), "drop_last": True},
    lambda generator: {"batch_sampler": BatchSampler(WeightedRandomSampler(range(30), 17, generator=generator), 4, False)},
    lambda generator: {"batch_sampler": Pairs()},
    lambda generator: {"sampler": range(29, 0, -3)},
    lambda generator: {"batch_size": None, "sampler": [3, 1, 2, 7, 5]},
])
@pytest.mark.parametrize(("workers", "in_order"), [(0, True), (2, True), (2, False)])
def test_continued_pass_is_the_same(make, workers, in_order):
    """Prefetched batches that were not given out do not count; threads here, they start fastest."""
    def loader(seed, n):
        tgc.manual_seed(seed)  # for the samplers without a generator
        keywords = {"num_workers": n, "multiprocessing_context": "thread"} if n else {}
        return DataLoader(OnlyOurs(size=2), **make(seeded(seed)), **keywords, in_order=in_order)
    whole = bits(loader(7, 0), 1)
    first = loader(7, workers)
    seen = [plain(batch) for _, batch in zip(range(2), iter(first), strict=False)]
    state = json.loads(json.dumps(first.state_dict()))
    other = loader(99, 2 - workers)
    other.load_state_dict(state)
    found = seen + bits(other, 1)
    assert found == whole if in_order else sorted(map(str, found)) == sorted(map(str, whole))
    assert len(seen) == 2


@pytest.mark.parametrize("batch_size", [None, 1, 4])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_streams_come_as_in_pytorch(workers, batch_size):
    torch = torch_or_skip()
    data = torch.utils.data

    class Theirs(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            return iter(range(23) if info is None else range(info.id, 23, info.num_workers))

    wanted = plain(list(data.DataLoader(Theirs(), batch_size, num_workers=workers)))
    for context in ["thread", *(["fork"] if os.name == "posix" and workers else [])]:
        ours = DataLoader(Counting(), batch_size, num_workers=workers, multiprocessing_context=context if workers else None)
        assert [plain(batch[0]) for batch in ours] == wanted


def test_stream_draws_repeat():
    runs = [bits(DataLoader(Counting(), 4, generator=seeded(3), num_workers=n,
                            multiprocessing_context=context), 1)
            for n, context in ((0, None), (1, "thread"), (2, "thread"), (2, "thread"))]
    assert runs[0] == runs[1]
    assert runs[2] == runs[3] != runs[0]
    assert len(set(itertools.chain.from_iterable(row for batch in runs[2] for row in batch[1]))) == 23


def test_a_stream_without_end():
    class Naturals(IterableDataset):
        def __iter__(self):
            return iter(itertools.count())
    loader = DataLoader(Naturals(), 2, num_workers=2, multiprocessing_context="thread")
    assert [plain(batch) for _, batch in zip(range(4), loader, strict=False)] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    endless = DataLoader(range(10), sampler=itertools.cycle([3, 4]), num_workers=1, multiprocessing_context="thread")
    assert [plain(batch) for _, batch in zip(range(3), endless, strict=False)] == [[3], [4], [3]]


def test_no_more_is_made_than_prefetch_factor_says():
    made = []

    class Watched(Drawing):
        def __getitem__(self, index):
            made.append(index)
            return index
    loader = DataLoader(Watched(), num_workers=2, multiprocessing_context="thread", prefetch_factor=3)
    batches = iter(loader)
    next(batches)
    def wait_for(n):
        deadline = time.monotonic() + 5
        while len(made) < n and time.monotonic() < deadline:
            time.sleep(0.01)
    wait_for(6)
    time.sleep(0.05)
    assert sorted(made) == [0, 1, 2, 3, 4, 5]
    next(batches)
    wait_for(7)
    assert len(made) == 7
    del batches


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_what_a_worker_sends_arrives_as_it_was(context):
    for batch in DataLoader(Kinds(), None, num_workers=1, multiprocessing_context=context, collate_fn=default_convert):
        wanted = default_convert(Kinds()[0])
        assert batch["point"].x.tolist() == [0, 1, 2]
        assert type(batch["point"]).__name__ == Point.__name__
        assert isinstance(batch["parameter"], tgc.nn.Parameter)
        assert batch["parameter"].requires_grad
        for name in ("scalar", "flags", "strided", "empty"):
            assert batch[name].dtype == wanted[name].dtype
            assert batch[name].shape == wanted[name].shape
            assert plain(batch[name]) == plain(wanted[name])
        assert (batch["none"], batch["bytes"]) == (None, b"ab")
        batch["flags"].zero_()  # its own memory, that can be written


@pytest.mark.parametrize("context", ["fork"])
def test_batches_of_any_size_keep_their_memory(context):
    """Through the pipe, through blocks, through larger blocks; a batch that is kept is not written over."""
    kept = list(DataLoader(Growing(), num_workers=2, multiprocessing_context=context))
    assert [batch.shape for batch in kept] == [(1, i * 5000) for i in range(12)]
    assert all((batch.numpy() == i).all() for i, batch in enumerate(kept))


def test_a_data_set_of_tensors_can_be_sent():
    x = tgc.arange(50).reshape(10, 5)
    loader = DataLoader(TensorDataset(x), 4, num_workers=1, multiprocessing_context="spawn")
    assert tgc.cat([batch for batch, in loader]).tolist() == x.tolist()


@pytest.mark.parametrize(("context", "persistent"), [("fork", True), ("fork", False), ("thread", True)])
def test_what_workers_know(context, persistent):
    assert get_worker_info() is None
    loader = DataLoader(WhoAmI(), 2, num_workers=2, multiprocessing_context=context, generator=seeded(1),
                        persistent_workers=persistent, worker_init_fn=mark, prefetch_factor=1)
    rows = [row for _ in range(2) for batch in loader for row in zip(*map(plain, batch), strict=True)]
    assert {row[1:3] for row in rows} == {(0, 2), (1, 2)}
    assert len({row[3] - row[1] for row in rows}) == (1 if persistent else 2)  # seed - id is one number per start
    assert len({row[0] for row in rows}) == {"thread": 1, "fork": 2 if persistent else 4}[context]
    if context == "fork":
        assert all(row[5] == row[1] * 10 for row in rows)
    assert {row[4] for row in rows} == {8}
    assert get_worker_info() is None


@pytest.mark.parametrize("keywords", [{}, {"num_workers": 2, "multiprocessing_context": "thread"}])
def test_two_passes_side_by_side(keywords):
    """Each is whole, and in an order of its own."""
    alone = DataLoader(OnlyOurs(), 4, True, generator=seeded(1))
    loader = DataLoader(OnlyOurs(), 4, True, generator=seeded(1), **keywords)
    first, second = zip(*[(plain(a), plain(b)) for a, b in zip(loader, loader, strict=True)], strict=True)
    assert list(first) == bits(alone, 1)
    assert list(second) == bits(alone, 1) != list(first)


def test_two_passes_at_once_over_persistent_workers():
    loader = DataLoader(range(4), num_workers=1, multiprocessing_context="thread", persistent_workers=True)
    assert [(a.item(), b.item()) for a in loader for b in loader] == list(itertools.product(range(4), repeat=2))


@pytest.mark.parametrize("context", ["fork", "thread"])
def test_a_pass_that_was_left_does_not_show_in_the_next(context):
    loader = DataLoader(Drawing(40, 20000), 2, num_workers=2, multiprocessing_context=context, persistent_workers=True)
    for stop in (1, 3, 5):
        for number, batch in enumerate(loader):
            assert batch[0][:, 0].tolist() == [2 * number, 2 * number + 1]
            if number == stop:
                break
    assert sum(len(batch[0]) for batch in loader) == 40


def test_out_of_order():
    class Slow(Drawing):
        def __getitem__(self, index):
            if index == 0:
                others.wait(10)
            elif index == 3:
                others.set()
            return index
    others = threading.Event()
    loader = DataLoader(Slow(6), num_workers=2, multiprocessing_context="thread", in_order=False)
    found = []
    for batch in loader:
        found.append(batch.item())
        if len(found) == 2:
            break
    assert found == [1, 3]
    state = json.loads(json.dumps(loader.state_dict()))
    assert (state["done"], state["ahead"]) == (0, [1, 3])
    other = DataLoader(Slow(6))
    other.load_state_dict(state)
    assert [batch.item() for batch in other] == [0, 2, 4, 5]


@pytest.mark.parametrize(("keywords", "message"), [
    ({"prefetch_factor": 2}, "prefetch_factor is about workers, and there are none"),
    ({"persistent_workers": True}, "persistent_workers is about workers"),
    ({"timeout": 3}, "timeout is about workers"),
    ({"multiprocessing_context": "thread"}, "multiprocessing_context is about workers"),
    ({"timeout": -1}, "timeout=-1. Give seconds"),
    ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor=0. Give a whole number: each worker needs"),
    ({"num_workers": 1, "multiprocessing_context": "forks"}, "multiprocessing_context='forks'. Give one of thread, "),
    ({"num_workers": 1, "multiprocessing_context": 3}, "multiprocessing_context is a int"),
    ({"num_workers": 1.5}, "num_workers=1.5"),
    ({"batch_size": None, "drop_last": True}, "without batches"),
])
def test_arguments_that_cannot_be(keywords, message):
    with pytest.raises(DataError, match=message):
        DataLoader(range(3), **keywords)


def test_contexts_of_multiprocessing_are_taken():
    loader = DataLoader(range(3), num_workers=1, multiprocessing_context=multiprocessing.get_context())
    assert [batch.item() for batch in loader] == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the number of processors is not certain")
def test_more_workers_than_processors_are_warned_of():
    many = len(os.sched_getaffinity(0)) + 1
    with pytest.warns(UserWarning, match=f"will create {many} worker processes, and this process may use {many - 1}"):
        assert len(list(DataLoader(range(3), num_workers=many))) == 3


def test_passes_in_several_threads_at_once():
    """Draws from the default generator are the same; those from NumPy's, which all threads share, do no harm."""
    class Waiting(Drawing):
        def __getitem__(self, index):
            time.sleep(0.001)  # others are in the middle of a sample, too
            return super().__getitem__(index)

    def loader():
        return DataLoader(Waiting(), 4, generator=seeded(5))
    alone, found = [batch[3].tolist() for batch in loader()], []
    before = get_bit_generator(), tgc.default_generator.get_state().tolist()
    threads = [threading.Thread(target=lambda: found.append([batch[3].tolist() for batch in loader()])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4
    assert (get_bit_generator(), tgc.default_generator.get_state().tolist()) == before


def test_a_sample_may_wait_for_a_pass_in_another_thread():
    """A thread fills a queue from one loader, another loader reads it: neither waits for the other's random numbers."""
    samples = queue.Queue(1)

    class Received(IterableDataset):
        def __iter__(self):
            while (sample := samples.get(timeout=10)) is not None:
                yield sample

    def fill():
        for batch in DataLoader(list(range(6)), 2, collate_fn=list):
            samples.put(batch)
        samples.put(None)
    thread = threading.Thread(target=fill)
    thread.start()
    assert [plain(batch) for batch in DataLoader(Received(), None)] == [[0, 1], [2, 3], [4, 5]]
    thread.join()


@pytest.mark.parametrize("context", ["fork"])
def test_memory_is_used_again_within_a_pass(context):
    """As many blocks of shared memory as batches that may be under way or wait, however many batches there are."""
    before, counts = len(shared_memory()), []
    for image in DataLoader(range(60), 2, collate_fn=lambda numbers: np.ones(20000), num_workers=2,
                            multiprocessing_context=context):
        counts.append(len(shared_memory()) - before)
        assert image.all()
    assert len(counts) == 30
    assert max(counts) <= 4


def test_what_code_of_the_user_keeps_of_a_batch_is_its_own():
    """Workers stack samples in memory that the next batches come in, but only where nobody sees it before it is sent."""
    kept = []

    def collate(samples):
        kept.append(default_collate(samples))
        return kept[-1], kept[0]
    data = [np.full(20000, number, np.float32) for number in range(12)]
    firsts = [first for _, first in DataLoader(data, 2, collate_fn=collate, num_workers=1)]
    assert len(firsts) == 6
    assert all(plain(first[:, [0, -1]]) == [[0, 0], [1, 1]] for first in firsts)


def test_arrays_that_find_no_room_in_a_block_come_beside_it():
    """Samples that grow: of a batch's arrays one is stacked in the block, one copied there, and one sent by itself."""
    data = [{"a": np.full(4000 + 100 * number, number, np.float32), "b": np.full(4000 + 900 * number, -number, np.int16),
             "c": [np.full(9 * number, number, np.int8)]} for number in range(20)]
    for number, batch in enumerate(DataLoader(data, 1, num_workers=1)):
        assert [len(batch["a"][0]), len(batch["b"][0]), len(batch["c"][0][0])] == [
            4000 + 100 * number, 4000 + 900 * number, 9 * number]
        assert all((array == value).all() for array, value in zip(
            (batch["a"], batch["b"], batch["c"][0]), (number, -number, number), strict=True))
