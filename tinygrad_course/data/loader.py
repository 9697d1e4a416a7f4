"""Batches of a data set, in an order that can be saved and restored."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_course.data.dataset import Dataset, IterableDataset, Subset, TensorDataset
from tinygrad_course.data.sampler import BatchSampler
from tinygrad_course.errors import DataError, StateDictError
from tinygrad_course.ops.creation import as_tensor, randint, randperm, tensor
from tinygrad_course.ops.dtypes import uint8
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

Collate = Callable[[list[Any]], Any]


class DataLoader:
    """Iterates over a data set in batches of tensors, one pass per `for` loop.

    batch_size  samples per batch; the last batch may be smaller, unless `drop_last`
    shuffle     a new random order in each pass
    sampler, batch_sampler  give the numbers of the samples, or lists of them, instead (data/sampler.py)
    collate_fn  makes a batch of a list of samples; the default stacks tensors, arrays and numbers in tuples and dicts
    generator   source of the orders; the default generator without it

    num_workers, pin_memory and PyTorch's other arguments about processes are accepted and change nothing: samples are made
    in this process, when their batch is asked for.

    At the start of a pass one number is drawn from the generator; the order is a function of that number alone.  So a
    pass can be saved in the middle and continued to the same bits, however much randomness was used meanwhile:

        state = loader.state_dict()      # in the loop: the batches given so far count as done
        other.load_state_dict(state)     # the next loop over `other` gives the rest, later loops full passes
    """

    def __init__(self, dataset: Dataset[Any] | Sequence[Any], batch_size: int = 1, shuffle: bool | None = False,
                 sampler: Iterable[int] | None = None, batch_sampler: Iterable[Sequence[int]] | None = None,
                 num_workers: int = 0, collate_fn: Collate | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
                 generator: Generator | None = None, *, prefetch_factor: int | None = None, persistent_workers: bool = False,
                 pin_memory_device: str = "", in_order: bool = True) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise DataError(f"DataLoader: batch_size={batch_size!r}. Give a whole number of at least 1.")
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            raise DataError(f"DataLoader: num_workers={num_workers!r}. Give a whole number; samples are made in this process "
                            "whatever it is.")
        if sampler is not None and shuffle:
            raise DataError("DataLoader: a sampler says the order, so shuffle=True cannot. Give one of them.")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise DataError("DataLoader: a batch_sampler says what is in a batch, so batch_size, shuffle, sampler and "
                            "drop_last cannot. Give it alone.")
        if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
            raise DataError("DataLoader: an IterableDataset comes in its own order, so shuffle and samplers cannot say it. "
                            "Shuffle inside its __iter__.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.generator = generator
        self._seed: int | None = None  # of the current pass, if shuffled
        self._done = 0                 # batches of the current pass that were given out
        self._restored = False         # the next pass continues at _done

    def __len__(self) -> int:
        """Number of batches in a full pass."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        full, rest = divmod(len(self.dataset if self.sampler is None else self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream(self.dataset)
        if self.batch_sampler is not None:
            return (self._fetch(np.asarray(batch, dtype=np.int64)) for batch in self.batch_sampler)
        if self.sampler is not None:
            batches = BatchSampler(self.sampler, self.batch_size, self.drop_last)
            return (self._fetch(np.asarray(batch, dtype=np.int64)) for batch in batches)
        if not self._restored:
            self._done = 0
            self._seed = int(randint(0, 2**63 - 1, (1,), generator=self.generator).item()) if self.shuffle else None
        self._restored = False
        order = np.arange(len(self.dataset))
        if self._seed is not None:
            order = randperm(len(order), generator=Generator().manual_seed(self._seed)).array
        return self._batches(order)

    def _batches(self, order: np.ndarray) -> Iterator[Any]:
        for number in range(self._done, len(self)):
            start = number * self.batch_size
            batch = self._fetch(order[start:start + self.batch_size])
            self._done = number + 1
            yield batch
        self._seed, self._done = None, 0

    def _stream(self, dataset: IterableDataset[Any]) -> Iterator[Any]:
        samples = iter(dataset)
        collate = self.collate_fn or default_collate
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield collate(batch)

    def _fetch(self, indices: np.ndarray) -> Any:
        if self.collate_fn is None:
            return _fetch(self.dataset, indices)
        return self.collate_fn([self.dataset[int(index)] for index in indices])

    def state_dict(self) -> dict[str, Any]:
        """Where the current pass stands, as numbers and lists that JSON can hold.

        It contains the state of `generator`; the default generator belongs to the whole program and is not included.
        Raises StateDictError with a sampler or a stream, whose place is not known here.
        """
        if self.sampler is not None or self.batch_sampler is not None or isinstance(self.dataset, IterableDataset):
            raise StateDictError("DataLoader.state_dict: the order of a sampler or an IterableDataset cannot be restored. "
                                 "Use shuffle=True.")
        return {"samples": len(self.dataset), "batch_size": self.batch_size, "seed": self._seed, "done": self._done,
                "generator": None if self.generator is None else self.generator.get_state().tolist()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where another loader over the same data stood.

        Raises StateDictError if keys are missing, or the number of samples or the batch size is different.
        """
        missing = [key for key in ("samples", "batch_size", "seed", "done", "generator") if key not in state_dict]
        if missing:
            raise StateDictError(f"DataLoader.load_state_dict: the state has no {', '.join(missing)}. "
                                 "Give the result of state_dict().")
        for key, own in (("samples", len(self.dataset)), ("batch_size", self.batch_size)):
            if state_dict[key] != own:
                raise StateDictError(f"DataLoader.load_state_dict: {key} was {state_dict[key]} when the state was "
                                     f"saved and is {own} now. Continue with the same data and batch size.")
        if self.generator is not None and state_dict["generator"] is not None:
            self.generator.set_state(tensor(state_dict["generator"], dtype=uint8))
        self._seed, self._done = state_dict["seed"], state_dict["done"]
        self._restored = self._seed is not None or self._done > 0


def default_collate(samples: list[Any]) -> Any:
    """Make a batch of samples: tensors, arrays and numbers are stacked, tuples and dicts collated entry by entry.

    Texts stay a list.  Raises DataError if the samples have different shapes or numbers of entries, or another type.
    """
    first = samples[0]
    if isinstance(first, Tensor | np.ndarray | np.generic | int | float):
        arrays = [sample.detach().cpu().numpy() if isinstance(sample, Tensor) else sample for sample in samples]
        shapes = sorted({np.shape(array) for array in arrays})
        if len(shapes) > 1:
            raise DataError(f"default_collate: samples of the shapes {', '.join(map(str, shapes))} cannot be stacked. "
                            "Bring them to one shape, or give a collate_fn.")
        return as_tensor(np.stack(arrays)) if isinstance(first, Tensor | np.ndarray | np.generic) else tensor(arrays)
    if isinstance(first, str):
        return samples
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Sequence):
        lengths = sorted({len(sample) for sample in samples})
        if len(lengths) > 1:
            raise DataError(f"default_collate: samples have {' or '.join(map(str, lengths))} entries. "
                            "Give all as many, or give a collate_fn.")
        return tuple(default_collate(list(entries)) for entries in zip(*samples, strict=True))
    raise DataError(f"default_collate: cannot make a tensor of {type(first).__name__}. Give a collate_fn.")


def _fetch(dataset: Dataset[Any] | Sequence[Any], indices: np.ndarray) -> Any:
    """The batch of the samples `indices`: by one indexing per tensor where no subclass has changed what a sample is."""
    if isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__:
        return _fetch(dataset.dataset, dataset.indices[indices])
    if isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__:
        return dataset[indices]
    return default_collate([dataset[int(index)] for index in indices])
