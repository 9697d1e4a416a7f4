"""How the batches of a DataLoader are made: in its own thread, or in worker threads.  Worker processes: processes.py.

A pass is the same for any number of workers because each batch has random numbers of its own: data/isolation.py.
"""

import itertools
import operator
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.data.collate import Memory, collate, default_convert, from_pool
from tinygrad_course.data.dataset import ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset
from tinygrad_course.data.isolation import batch_seed
from tinygrad_course.data.sampler import check_numbers
from tinygrad_course.errors import DataError, WorkerError
from tinygrad_course.ops.random import Generator, default_generator
from tinygrad_course.tensor import Tensor

CLOSING_S = 2.0  # how long a worker may go on with its batch when the loop has been left
END = object()   # in place of a batch: the stream has no more


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows: its number `id` of `num_workers`, its `dataset` (a copy in a process, the same in a thread), and
    the `seed` that its random numbers started from."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_process_info: WorkerInfo | None = None
_thread = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader what it is to know, elsewhere None."""
    return getattr(_thread, "info", _process_info)


def set_worker_info(info: WorkerInfo) -> None:
    """This process is a worker."""
    global _process_info
    _process_info = info


@dataclass
class Recipe:
    """What a batch is made from and how.  batched=False: single samples, with `collate_fn` applied to each."""

    dataset: Any
    collate_fn: Callable[[Any], Any] | None
    batch_size: int | None
    drop_last: bool
    batched: bool

    @property
    def is_stream(self) -> bool:
        """Whether samples come one after the other, instead of by number."""
        return isinstance(self.dataset, IterableDataset)

    @property
    def may_draw(self) -> bool:
        """Whether code of the user takes part, which may use random numbers."""
        return self.collate_fn is not None or not _holds_only_arrays(self.dataset)


def _holds_only_arrays(dataset: Any) -> bool:
    if isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__:
        return _holds_only_arrays(dataset.dataset)
    if type(dataset) in (ConcatDataset, StackDataset):
        parts = dataset.datasets
        return all(map(_holds_only_arrays, parts.values() if isinstance(parts, dict) else parts))
    return type(dataset) in (list, tuple, range, np.ndarray, Tensor) or (
        isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__)


class Maker:
    """Makes the batches of one pass.

    Stacked arrays lie in `memory`, if no code of the user sees them before they are given out: what it keeps of them would
    be written over by a later batch."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.memory: Memory = from_pool
        self.stream = iter(recipe.dataset) if recipe.is_stream else None

    def make(self, indices: Any) -> Any:
        """The batch of the samples `indices`, or the next of the stream: END after the last."""
        recipe = self.recipe
        if self.stream is not None:
            return self._next_of(self.stream)
        if not recipe.batched:
            return (recipe.collate_fn or default_convert)(_samples(recipe.dataset, [indices])[0])
        if recipe.collate_fn is None:
            return self._rows(recipe.dataset, indices)
        return _collate(recipe.collate_fn, _samples(recipe.dataset, indices), indices)

    def _next_of(self, stream: Iterator[Any]) -> Any:
        recipe = self.recipe
        if not recipe.batched:
            sample = next(stream, END)
            return END if sample is END else (recipe.collate_fn or default_convert)(sample)
        samples = list(itertools.islice(stream, recipe.batch_size))
        if not samples or (recipe.drop_last and len(samples) < recipe.batch_size):  # type: ignore[operator]
            return END
        return self._default(samples) if recipe.collate_fn is None else recipe.collate_fn(samples)

    def _rows(self, dataset: Any, indices: Any) -> Any:
        """The batch of the samples `indices`: by one indexing per tensor where no subclass has changed what a sample is."""
        if isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__:
            return self._rows(dataset.dataset, dataset.indices[_numbers(indices)])
        if isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__:
            return dataset[_numbers(indices)]
        return _collate(self._default, _samples(dataset, indices), indices)

    def _default(self, samples: list[Any]) -> Any:
        return collate(samples, self.memory)


def _numbers(indices: Any) -> np.ndarray:
    if not isinstance(indices, np.ndarray):  # of a sampler of the user
        check_numbers("DataLoader: the sampler gives", indices)
    return np.asarray(indices, dtype=np.int64)


def _samples(dataset: Dataset[Any] | Sequence[Any], indices: Any) -> list[Any]:
    """The samples `indices`; an exception is given a note that says at which it came."""
    keys = indices.tolist() if isinstance(indices, np.ndarray) else [_plain(index) for index in indices]
    if hasattr(dataset, "__getitems__"):
        found = list(dataset.__getitems__(keys))
        if len(found) != len(keys):
            raise DataError(f"{type(dataset).__name__}.__getitems__ gave {len(found)} samples for {len(keys)} numbers. "
                            "Return one for each, in their order.")
        return found
    samples = []
    try:
        for key in keys:
            samples.append(dataset[key])
    except Exception as error:
        error.add_note(f"DataLoader: at sample {key!r} of the data set")
        raise
    return samples


def _collate(collate_fn: Callable[[Any], Any], samples: list[Any], indices: Any) -> Any:
    try:
        return collate_fn(samples)
    except Exception as error:
        error.add_note(f"DataLoader: while the samples {named(indices)} were made into a batch")
        raise


def _plain(index: Any) -> Any:
    """A Python number for a number of any kind; other keys as they are."""
    return operator.index(index) if hasattr(index, "__index__") else index


def named(indices: Any) -> str:
    """A few of the samples' numbers, for messages."""
    plain = [repr(_plain(index)) for index in itertools.islice(indices, 6)]
    return ", ".join(plain[:5]) + (", ..." if len(plain) > 5 else "")


def described(number: int, indices: Any, batched: bool) -> str:
    """A batch, for messages."""
    if indices is None:
        return f"batch {number}"
    return f"batch {number} (samples {named(indices)})" if batched else f"sample {indices!r}"


@dataclass
class Failure:
    """An exception that stopped a worker's batch."""

    error: BaseException


class Workers:
    """A team of workers that make batches.  It serves one pass at a time: begin, then give and take, then begin again."""

    def __init__(self, recipe: Recipe, count: int, timeout: float) -> None:
        self.recipe, self.count, self.timeout = recipe, count, timeout
        self.given: list[dict[int, Any]] = [{} for _ in range(count)]  # batches that each worker is to make
        self.busy = False
        self.size = 0  # bytes of shared memory that a batch needs

    def begin(self, seed: int) -> None:
        """Start a pass; what is left of the one before is dropped."""
        raise NotImplementedError

    def give(self, number: int, indices: Any) -> None:
        """Order a batch: of the least loaded worker, or of a stream from each in turn."""
        worker = number % self.count if self.recipe.is_stream else min(range(self.count), key=lambda w: len(self.given[w]))
        self.given[worker][number] = indices
        self._send(worker, number, indices)

    def _send(self, worker: int, number: int, indices: Any) -> None:
        raise NotImplementedError

    def take(self) -> tuple[int, Any]:
        """(number, batch or END or Failure) of one that is done; waits `timeout` seconds at most, if it is not 0."""
        raise NotImplementedError

    def close(self, at_once: bool = False) -> None:
        """Let all workers end."""
        raise NotImplementedError

    def late(self) -> WorkerError:
        """The error that says who did not come to an end."""
        made = "; ".join(f"worker {worker}: {described(number, indices, self.recipe.batched)}"
                         for worker, given in enumerate(self.given) for number, indices in list(given.items())[:1])
        return WorkerError(f"DataLoader: no batch came within timeout={self.timeout} seconds. In the making: "
                           f"{made or 'nothing yet'}. Give more time, or find out why it takes so long.")


class ThreadWorkers(Workers):
    """Workers in threads of this process: they share the data set, and start at once.

    They run side by side only where Python's lock is released: in NumPy's and the kernels' work on large arrays, in file
    and network access.  Each thread has a stream of its own in place of the default generator; `random` and `np.random` are
    common to all threads, so draws from those are not repeatable here."""

    def __init__(self, recipe: Recipe, count: int, timeout: float, init_fn: Callable[[int], None] | None, seed: int) -> None:
        super().__init__(recipe, count, timeout)
        self._turn = _Turn()
        self._jobs: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(count)]
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_work, name=f"DataLoader worker {worker}", daemon=True,
                             args=(recipe, worker, count, init_fn, (seed + worker) % 2**64, self._turn, jobs, self._done))
            for worker, jobs in enumerate(self._jobs)]
        self._finish = weakref.finalize(self, _send_home, self._turn, self._jobs)
        for thread in self._threads:
            thread.start()

    def begin(self, seed: int) -> None:
        self._turn.number += 1
        self.given = [{} for _ in range(self.count)]
        for jobs in self._jobs:
            jobs.put((self._turn.number, None, seed))

    def _send(self, worker: int, number: int, indices: Any) -> None:
        self._jobs[worker].put((self._turn.number, number, indices))

    def take(self) -> tuple[int, Any]:
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                left = max(0.0, deadline - time.monotonic()) if self.timeout else None
                turn, worker, number, result = self._done.get(timeout=left)
            except queue.Empty:
                raise self.late() from None
            if turn == self._turn.number:
                del self.given[worker][number]
                return number, result

    def close(self, at_once: bool = False) -> None:
        self._finish()
        deadline = time.monotonic() + (0 if at_once else CLOSING_S)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _send_home(turn: "_Turn", jobs: "list[queue.SimpleQueue[Any]]") -> None:
    turn.number += 1
    for queue_of_one in jobs:
        queue_of_one.put(None)


@dataclass
class _Turn:
    """The number of the running pass: what belongs to another one is dropped."""

    number: int = 0


def _work(recipe: Recipe, worker: int, count: int, init_fn: Callable[[int], None] | None, seed: int, turn: _Turn,
          jobs: "queue.SimpleQueue[Any]", done: "queue.SimpleQueue[Any]") -> None:
    """A worker thread."""
    _thread.info = WorkerInfo(worker, count, seed, recipe.dataset)
    generator = Generator().manual_seed(seed)
    default_generator.use_in_this_thread(generator)
    maker: Maker | Failure
    pass_seed, broken = 0, None
    try:
        if init_fn is not None:
            init_fn(worker)
    except BaseException as error:  # sys.exit(), too: the loop would wait for a thread that is gone
        broken = Failure(error)
    while (job := jobs.get()) is not None:
        number_of_pass, number, content = job
        if number_of_pass != turn.number:
            continue
        if number is None:
            pass_seed = content
            generator.manual_seed(pass_seed)
            maker = broken or _maker(recipe)
            continue
        result: Any = maker
        if isinstance(maker, Maker):
            generator.manual_seed(batch_seed(pass_seed, number))
            try:
                result = maker.make(content)
            except BaseException as error:
                error.add_note(f"DataLoader: in worker thread {worker}")
                result = Failure(error)
        done.put((number_of_pass, worker, number, result))


def _maker(recipe: Recipe) -> Maker | Failure:
    try:
        return Maker(recipe)
    except BaseException as error:  # the __iter__ of a stream
        return Failure(error)
