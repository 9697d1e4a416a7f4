"""Batches of a data set, in an order that can be saved and restored, made here or by workers."""

import itertools
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.data.dataset import Dataset, IterableDataset
from tinygrad_course.data.isolation import batch_seed, seeded
from tinygrad_course.data.sampler import (
    BatchSampler,
    RandomSampler,
    SeededSampler,
    SequentialSampler,
    check_generator,
    check_numbers,
    draw_seed,
)
from tinygrad_course.data.workers import END, Failure, Maker, Recipe, ThreadWorkers, Workers
from tinygrad_course.errors import DataError, StateDictError, WorkerError
from tinygrad_course.ops.creation import tensor
from tinygrad_course.ops.dtypes import uint8
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

Collate = Callable[[Any], Any]
FIXED = ("dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "generator", "persistent_workers")
OF_WORKERS = ("num_workers", "collate_fn", "worker_init_fn", "timeout", "multiprocessing_context")
PREFETCH = 2


@dataclass
class _Pass:
    """The number that a pass hangs on, if it hangs on one, and where it stands."""

    seed: int | None = None
    done: int = 0                                  # batches that were given out,
    ahead: set[int] = field(default_factory=set)   # and numbers of later ones (in_order=False)

    def mark(self, number: int) -> None:
        """Take note that a batch was given out."""
        self.ahead.add(number)
        while self.done in self.ahead:
            self.ahead.remove(self.done)
            self.done += 1


class DataLoader:
    """Iterates over a data set in batches of tensors, one pass per `for` loop.

    batch_size  samples per batch; the last batch may be smaller, unless `drop_last`.  None: samples one by one, as they are
    shuffle     a new random order in each pass
    sampler, batch_sampler  give the numbers of the samples, or lists of them, instead (data/sampler.py)
    collate_fn  makes a batch of a list of samples; the default stacks tensors, arrays and numbers in tuples and dicts
    generator   source of the seeds; the default generator without it
    pin_memory  accepted, changes nothing

    Workers make batches while the program does something else:

    num_workers         how many; 0: batches are made here, when they are asked for
    multiprocessing_context  "fork", "spawn", "forkserver" or a context of `multiprocessing` for processes; "thread" for
                        threads, which start at once and share the data, and help where samples are made by NumPy, the
                        kernels or files rather than by Python.  The default is that of `multiprocessing`
    prefetch_factor     batches per worker that may wait to be used: 2
    persistent_workers  they stay for the next pass
    timeout             seconds that a batch may take; 0: any time
    worker_init_fn      called with the worker's number when it starts
    in_order            False: batches come as they are done

    At the start of a pass one number is drawn from the generator (if the order is random, or samples are made by code of
    the user); the pass is a function of that number alone: of it follow the order, and for each batch the seed of
    the random numbers that are drawn while it is made (data/isolation.py), from the default generator, `random`
    and `np.random`.  So a pass has the same bits for any number of workers, and draws made elsewhere hang on no data set;
    except that threads share `random` and `np.random`: with worker threads, or passes in several threads at once, draw from
    the default generator.
    It can be saved in the middle and continued:

        state = loader.state_dict()      # in the loop: the batches given so far count as done
        other.load_state_dict(state)     # the next loop over `other` gives the rest, later loops full passes

    The state is that of the pass that has begun, or given a batch, last: of several side by side only one can be continued.

    Of a stream (IterableDataset) each worker has its own; batches are taken from them in turn.
    Raises DataError for arguments that contradict each other, WorkerError if a worker dies, is late or cannot be started;
    an exception in a worker is raised here, with a note where it comes from.
    """

    def __init__(self, dataset: Dataset[Any] | Sequence[Any], batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[Any] | None = None, batch_sampler: Iterable[Sequence[Any]] | None = None,
                 num_workers: int = 0, collate_fn: Collate | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None,
                 multiprocessing_context: "str | BaseContext | None" = None,
                 generator: Generator | None = None, *, prefetch_factor: int | None = None, persistent_workers: bool = False,
                 pin_memory_device: str = "", in_order: bool = True) -> None:
        if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
            raise DataError(f"DataLoader: batch_size={batch_size!r}. Give a whole number of at least 1, or None for samples "
                            "that are not batched.")
        if sampler is not None and shuffle:
            raise DataError("DataLoader: a sampler says the order, so shuffle=True cannot. Give one of them.")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise DataError("DataLoader: a batch_sampler says what is in a batch, so batch_size, shuffle, sampler and "
                            "drop_last cannot. Give it alone.")
        if batch_size is None and drop_last:
            raise DataError("DataLoader: without batches (batch_size=None) there is no last one for drop_last=True to leave "
                            "out.")
        if isinstance(dataset, type) or not hasattr(dataset, "__getitem__"):
            what = f"the class {dataset.__name__}" if isinstance(dataset, type) else f"a {type(dataset).__name__}"
            raise DataError(f"DataLoader: the data set is {what}. Give an object with __len__ and __getitem__, or, for what "
                            "comes one after the other, an IterableDataset.")
        is_stream = isinstance(dataset, IterableDataset)
        if is_stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise DataError("DataLoader: an IterableDataset comes in its own order, so shuffle and samplers cannot say it. "
                            "Shuffle inside its __iter__.")
        check_generator("DataLoader", generator)
        if sampler is not None and not hasattr(sampler, "__iter__") and not hasattr(sampler, "__getitem__"):
            raise DataError(f"DataLoader: sampler={sampler!r}. Give what the numbers of the samples come out of: a list, or "
                            "an object with __iter__ and __len__.")
        if isinstance(sampler, np.ndarray | Tensor | Sequence):
            check_numbers("DataLoader: sampler", sampler)
        if batch_sampler is not None and not hasattr(batch_sampler, "__iter__") and not hasattr(batch_sampler, "__getitem__"):
            raise DataError(f"DataLoader: batch_sampler={batch_sampler!r}. Give what lists of the numbers of samples come "
                            "out of, such as [[0, 1], [2, 3]] or a BatchSampler.")
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        if sampler is None and not is_stream:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = PREFETCH if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._pass = _Pass()             # that has given a batch last; no place if it has ended
        self._restored = False           # the next pass continues there
        self._bytes = 0                  # of a batch, as far as is known
        self._workers: Workers | None = None  # those that persist

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and "_workers" in self.__dict__:
            raise DataError(f"DataLoader: {name} cannot be changed any more. Make a new DataLoader.")
        if name in OF_WORKERS and self.__dict__.get("_workers") is not None:
            self._workers = None  # they were started for something else
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has a place and workers of its own."""
        return {**self.__dict__, "_pass": replace(self._pass, ahead=set(self._pass.ahead)), "_workers": None}

    def __len__(self) -> int:
        """Number of batches in a full pass."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        if self.sampler is not None:
            return len(self.sampler)  # type: ignore[arg-type]
        full, rest = divmod(len(self.dataset), self.batch_size or 1)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        recipe = Recipe(self.dataset, self.collate_fn, self.batch_size, self.drop_last,
                        self.batch_sampler is not None or self.batch_size is not None)
        if not self._restored:
            self._pass = _Pass(self._draw_seed(recipe))
        self._restored = False
        # All that this pass hangs on is given to it now: another one may begin before it ends.
        place = self._pass
        tasks = iter(()) if recipe.is_stream else self._tasks(place.seed, place.done, frozenset(place.ahead))
        return self._by_workers(recipe, place, tasks) if self.num_workers else self._here(recipe, place, tasks)

    def _seeds(self) -> tuple[bool, Generator | None]:
        """(whether the order hangs on a seed, the generator that seeds come from)."""
        order = _inner(self.batch_sampler, self.sampler)
        return (True, order.generator) if _is_seeded(order) else (False, self.generator)

    def _draw_seed(self, recipe: Recipe) -> int | None:
        random_order, generator = self._seeds()
        return draw_seed(generator) if random_order or recipe.may_draw else None

    def _tasks(self, seed: int | None, done: int, ahead: frozenset[int]) -> Iterator[tuple[int, Any]]:
        """(number, samples) of the batches of the pass that are not done yet."""
        batches = _batches(self.batch_sampler, seed) if self.batch_sampler is not None else _order(self.sampler, seed)
        number = -1
        for number, indices in enumerate(batches):
            if self.batch_sampler is not None and not hasattr(indices, "__len__") and not hasattr(indices, "__iter__"):
                raise DataError(f"DataLoader: batch {number} of the batch_sampler is {indices!r}; it must be the numbers of "
                                "several samples. Give lists, as in [[0, 1], [2, 3]], or give single numbers as sampler.")
            if number >= done and number not in ahead:
                yield number, indices
        if number < 0 and isinstance(_inner(self.batch_sampler, self.sampler), Iterator):
            raise DataError("DataLoader: the sampler gives nothing: it is an iterator, and one can go through it once. Give "
                            "what can be gone through in each pass, such as a list.")

    def _here(self, recipe: Recipe, place: _Pass, tasks: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """The batches, made in this thread."""
        seed = place.seed
        if seed is None or not recipe.is_stream:
            maker = Maker(recipe)
        else:
            with seeded(seed):
                maker = Maker(recipe)
        if recipe.is_stream:
            tasks = ((number, None) for number in itertools.count())
        for number, indices in tasks:
            if seed is None or not recipe.may_draw:
                batch = maker.make(indices)
            else:
                with seeded(batch_seed(seed, number)):
                    batch = maker.make(indices)
            if batch is END:
                break
            self._mark(place, number)
            yield batch
        self._end(place)

    def _by_workers(self, recipe: Recipe, place: _Pass, tasks: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """The batches, made by workers: as many are under way or wait as prefetch_factor allows."""
        seed = place.seed
        workers = self._team(recipe, seed or 0)
        exhausted: set[int] = set()  # workers whose stream has ended
        at_once = False
        try:
            workers.begin(seed or 0)
            if recipe.is_stream:
                tasks = _turns(exhausted, workers.count)
            limit = (self.prefetch_factor or PREFETCH) * workers.count
            under_way: deque[int] = deque()
            arrived: dict[int, Any] = {}
            while True:
                for number, indices in itertools.islice(tasks, limit - len(under_way)):
                    workers.give(number, indices)
                    under_way.append(number)
                if not under_way:
                    break
                while not arrived or (self.in_order and under_way[0] not in arrived):
                    number, result = workers.take()
                    arrived[number] = result
                number = under_way[0] if self.in_order else next(iter(arrived))
                under_way.remove(number)
                result = arrived.pop(number)
                if result is END:
                    exhausted.add(number % workers.count)
                elif isinstance(result, Failure):
                    raise result.error
                else:
                    self._mark(place, number)
                    yield result
                    del result
            self._end(place)
        except GeneratorExit:
            raise
        except BaseException as error:
            at_once = isinstance(error, KeyboardInterrupt | WorkerError)
            self._workers = None if self._workers is workers else self._workers
            raise
        finally:
            workers.busy = False
            self._bytes = max(self._bytes, workers.size)
            if workers is not self._workers:
                workers.close(at_once)

    def _team(self, recipe: Recipe, seed: int) -> Workers:
        """Workers for a pass: those that are there, or new ones."""
        if self._workers is not None and not self._workers.busy:
            self._workers.busy = True
            return self._workers
        context = self.multiprocessing_context
        if context == "thread":
            workers: Workers = ThreadWorkers(recipe, self.num_workers, self.timeout, self.worker_init_fn, seed)
        else:
            _warn_of_many(self.num_workers)
            import multiprocessing

            from tinygrad_course.data.processes import ProcessWorkers  # not on top: these imports take 40 ms
            workers = ProcessWorkers(recipe, self.num_workers, self.timeout, self.worker_init_fn, seed,
                                     multiprocessing.get_context(context) if isinstance(context, str) else context,
                                     self._bytes)
        workers.busy = True
        if self.persistent_workers and self._workers is None:
            self._workers = workers
        return workers

    def _mark(self, place: _Pass, number: int) -> None:
        place.mark(number)
        self._pass = place

    def _end(self, place: _Pass) -> None:
        if self._pass is place:
            self._pass = _Pass()

    def state_dict(self) -> dict[str, Any]:
        """Where the current pass stands, as numbers and lists that JSON can hold.

        It contains the state of the generator of the seeds; the default generator belongs to the whole program and is not
        included.  Batches that workers have made and the loop has not been given do not count.
        Raises StateDictError for a stream or a sampler whose order does not follow from a seed: their place is not known.
        """
        order = _inner(self.batch_sampler, self.sampler)
        if isinstance(self.dataset, IterableDataset) or not _can_be_repeated(order):
            raise StateDictError("DataLoader.state_dict: the order of an IterableDataset, or of a sampler that is no "
                                 "SeededSampler, cannot be restored. Use shuffle=True, or derive the sampler from "
                                 "SeededSampler.")
        generator = self._seeds()[1]
        return {"samples": len(self.dataset), "batch_size": self.batch_size, "order": type(order).__name__,
                "seed": self._pass.seed, "done": self._pass.done, "ahead": sorted(self._pass.ahead),
                "generator": None if generator is None else generator.get_state().tolist()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where another loader over the same data stood.

        Raises StateDictError if keys are missing, or the number of samples, the batch size or the kind of order is different.
        """
        missing = [key for key in ("samples", "batch_size", "order", "seed", "done", "generator") if key not in state_dict]
        if missing:
            raise StateDictError(f"DataLoader.load_state_dict: the state has no {', '.join(missing)}. "
                                 "Give the result of state_dict().")
        order = type(_inner(self.batch_sampler, self.sampler)).__name__
        for key, own in (("samples", len(self.dataset)), ("batch_size", self.batch_size), ("order", order)):
            if state_dict[key] != own:
                raise StateDictError(f"DataLoader.load_state_dict: {key} was {state_dict[key]} when the state was "
                                     f"saved and is {own} now. Continue with the same data, batch size and sampler.")
        generator = self._seeds()[1]
        if generator is not None and state_dict["generator"] is not None:
            generator.set_state(tensor(state_dict["generator"], dtype=uint8))
        self._pass = _Pass(state_dict["seed"], state_dict["done"], set(state_dict.get("ahead", ())))
        self._restored = self._pass != _Pass()


def _is_plain(batch_sampler: Any) -> bool:
    return isinstance(batch_sampler, BatchSampler) and type(batch_sampler).__iter__ is BatchSampler.__iter__


def _inner(batch_sampler: Any, sampler: Any) -> Any:
    """Who says the order."""
    if batch_sampler is None:
        return sampler
    return _inner(batch_sampler.sampler, None) if _is_plain(batch_sampler) else batch_sampler


def _is_seeded(sampler: Any) -> bool:
    return isinstance(sampler, SeededSampler) and type(sampler).__iter__ is SeededSampler.__iter__


def _is_sequential(sampler: Any) -> bool:
    return isinstance(sampler, SequentialSampler) and type(sampler).__iter__ is SequentialSampler.__iter__


def _can_be_repeated(sampler: Any) -> bool:
    return _is_seeded(sampler) or _is_sequential(sampler) or isinstance(sampler, list | tuple | range | np.ndarray)


def _order(sampler: Any, seed: int | None) -> Iterable[Any]:
    """What the sampler gives in the pass with that seed."""
    if _is_seeded(sampler):
        return sampler.order(seed or 0)
    if _is_sequential(sampler):
        return np.arange(len(sampler))
    return sampler


def _batches(batch_sampler: Any, seed: int | None) -> Iterator[Any]:
    """The numbers of the samples of each batch."""
    if not _is_plain(batch_sampler):
        yield from _order(batch_sampler, seed)
        return
    order, size = _order(batch_sampler.sampler, seed), batch_sampler.batch_size
    if not isinstance(order, np.ndarray):
        yield from BatchSampler(order, size, batch_sampler.drop_last)
        return
    for start in range(0, len(order) - (size - 1 if batch_sampler.drop_last else 0), size):  # much faster than one by one
        yield order[start:start + size]


def _turns(exhausted: set[int], count: int) -> Iterator[tuple[int, None]]:
    """Numbers of batches of a stream: number % count is the worker, each in turn."""
    for number in itertools.count():
        if len(exhausted) == count:
            return
        if number % count not in exhausted:
            yield number, None


def _check_workers(num_workers: Any, timeout: Any, prefetch_factor: int | None, persistent: bool, context: Any) -> None:
    """Raise DataError for arguments about workers that cannot be."""
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
        raise DataError(f"DataLoader: num_workers={num_workers!r}. Give a whole number; 0 for no workers.")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise DataError(f"DataLoader: timeout={timeout!r}. Give seconds; 0 for any time.")
    if num_workers == 0:
        for name, given in (("prefetch_factor", prefetch_factor is not None), ("persistent_workers", persistent),
                            ("timeout", timeout != 0), ("multiprocessing_context", context is not None)):
            if given:
                raise DataError(f"DataLoader: {name} is about workers, and there are none. Give num_workers above 0, or "
                                f"leave {name} out.")
    elif prefetch_factor is not None and (not isinstance(prefetch_factor, int) or prefetch_factor < 1):
        raise DataError(f"DataLoader: prefetch_factor={prefetch_factor!r}. Give a whole number: each worker needs at least 1 "
                        "batch to work on.")
    if isinstance(context, str):
        import multiprocessing
        methods = ["thread", *multiprocessing.get_all_start_methods()]
        if context not in methods:
            raise DataError(f"DataLoader: multiprocessing_context={context!r}. Give one of {', '.join(methods)}.")
    elif context is not None and not hasattr(context, "get_start_method"):
        raise DataError(f"DataLoader: multiprocessing_context is a {type(context).__name__}. Give the name of a start "
                        "method, or what multiprocessing.get_context() returns.")


def _warn_of_many(num_workers: int) -> None:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if num_workers > processors:
        warnings.warn(f"This DataLoader will create {num_workers} worker processes, and this process may use {processors} "
                      "processors. More workers than processors make loading slower.", stacklevel=3)
