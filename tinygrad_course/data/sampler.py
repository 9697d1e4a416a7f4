"""Samplers: in which order, and how often, a DataLoader takes the samples.  Names and arguments are PyTorch's."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import as_tensor, randint, randperm
from tinygrad_course.ops.dtypes import float64
from tinygrad_course.ops.random import Generator
from tinygrad_course.ops.sampling import multinomial
from tinygrad_course.tensor import Tensor

Index = TypeVar("Index", covariant=True)


class Sampler(Generic[Index]):
    """Base of samplers: write `__iter__`, which gives the numbers of the samples of a pass, and `__len__`."""

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[Index]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")

    def __len__(self) -> int:
        # A TypeError, as if it were not there: list(loader) asks for it, and does without.
        raise TypeError(f"object of type {type(self).__name__!r} has no len(). Define __len__().")


def check_numbers(what: str, numbers: Any) -> None:
    """Raise DataError for a mask or for fractions: as numbers they would be the samples 0 and 1, or be cut off."""
    if isinstance(numbers, Tensor):
        numbers = numbers.detach().cpu().numpy()
    found = numbers.dtype if isinstance(numbers, np.ndarray) and numbers.size else next(
        (type(number) for number in numbers if isinstance(number, bool | np.bool_ | float | np.floating)), None)
    if found is not None and np.dtype(found).kind not in "iu":
        raise DataError(f"{what}: {np.dtype(found)} in place of the numbers of samples. Give whole numbers; of a mask, "
                        "np.flatnonzero(mask).")


def check_generator(what: str, generator: Any) -> None:
    """Raise DataError for what is no generator, such as a seed."""
    if generator is not None and not isinstance(generator, Generator):
        seed = generator if isinstance(generator, int) else 0
        raise DataError(f"{what}: generator={generator!r} is no Generator. Give "
                        f"tinygrad_course.Generator().manual_seed({seed}).")


def check_sized(what: str, data_source: Any) -> None:
    """Raise DataError for what has no length, such as the number of samples in place of the data set."""
    if not hasattr(data_source, "__len__"):
        number = f", range({data_source})" if isinstance(data_source, int) else ""
        raise DataError(f"{what}: the data set is of type {type(data_source).__name__}, without a length. Give the data "
                        f"set{number} or another object with __len__.")


def draw_seed(generator: Generator | None) -> int:
    """The number that a pass hangs on; one draw from `generator` (the default generator if None)."""
    return int(randint(0, 2**63 - 1, (1,), generator=generator).item())


class SeededSampler(Sampler[Index]):
    """Base of samplers whose order follows from one number, drawn from `generator` when a pass begins: write `order(seed)`.

    A pass over such a sampler does not hang on what else is drawn meanwhile, and a DataLoader can save it in the middle.
    """

    generator: Generator | None = None

    def order(self, seed: int) -> Sequence[Index] | np.ndarray:
        """The numbers of the pass with that seed."""
        raise NotImplementedError(f"{type(self).__name__} must define order(seed)")

    def __iter__(self) -> Iterator[Index]:
        order = self.order(draw_seed(self.generator))
        return iter(order.tolist() if isinstance(order, np.ndarray) else order)


class SequentialSampler(Sampler[int]):
    """0, 1, ..., len(data_source) - 1."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        check_sized("SequentialSampler", self.data_source)
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(SeededSampler[int]):
    """A new random order in each pass; with `replacement` each number is drawn from all.

    num_samples  numbers per pass, as many as there are samples without it; more begin further orders
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None,
                 generator: Generator | None = None) -> None:
        check_sized("RandomSampler", data_source)
        check_generator("RandomSampler", generator)
        if not isinstance(replacement, bool):
            raise DataError(f"RandomSampler: replacement={replacement!r}. Give True or False.")
        if num_samples is not None and (isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1):
            raise DataError(f"RandomSampler: num_samples={num_samples!r}. Give a whole number of at least 1.")
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """Numbers per pass."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self, seed: int) -> np.ndarray:
        """The pass with that seed."""
        size, wanted, generator = len(self.data_source), self.num_samples, Generator().manual_seed(seed)
        if not size and self._num_samples is not None:
            raise DataError(f"RandomSampler: {wanted} numbers of a data set without samples. Give one with samples.")
        if self.replacement and size:
            return randint(0, size, (wanted,), generator=generator).array
        orders = [randperm(size, generator=generator).array for _ in range(-(-wanted // max(size, 1)))]
        return np.concatenate(orders)[:wanted] if orders else np.arange(0)

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(SeededSampler[Any]):
    """The given numbers in a new random order in each pass."""

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        check_sized("SubsetRandomSampler", indices)
        check_numbers("SubsetRandomSampler", indices)
        check_generator("SubsetRandomSampler", generator)
        self.indices, self.generator = indices, generator

    def order(self, seed: int) -> list[Any]:
        """The pass with that seed."""
        places = randperm(len(self.indices), generator=Generator().manual_seed(seed)).tolist()
        return [self.indices[place] for place in places]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(SeededSampler[int]):
    """`num_samples` numbers per pass, number i with a probability in proportion to weights[i] (they need not add up to 1).

    With rare classes: weights[i] = 1 / (number of samples of the class of sample i)."""

    def __init__(self, weights: Sequence[float] | Tensor | np.ndarray, num_samples: int, replacement: bool = True,
                 generator: Generator | None = None) -> None:
        if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
            raise DataError(f"WeightedRandomSampler: num_samples={num_samples!r}. Give a whole number of at least 1.")
        check_generator("WeightedRandomSampler", generator)
        if not isinstance(replacement, bool):
            raise DataError(f"WeightedRandomSampler: replacement={replacement!r}. Give True or False.")
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            raise DataError(f"WeightedRandomSampler: weights of shape {self.weights.shape}. Give one number per sample.")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def order(self, seed: int) -> np.ndarray:
        """The pass with that seed."""
        generator = Generator().manual_seed(seed)
        return multinomial(self.weights, self.num_samples, self.replacement, generator=generator).array

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler[int]):
    """The share of process `rank` among `num_replicas` that train together: every num_replicas-th sample.

    Each pass has the order of seed + epoch, the same in all processes: call `set_epoch(epoch)` before it.  So that all get
    as many, the first samples come twice, or the last ones are left out (`drop_last`).
    """

    def __init__(self, dataset: Sized, num_replicas: int, rank: int, shuffle: bool = True, seed: int = 0,
                 drop_last: bool = False) -> None:
        check_sized("DistributedSampler", dataset)
        for name, value in (("num_replicas", num_replicas), ("rank", rank), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise DataError(f"DistributedSampler: {name}={value!r}. Give a whole number.")
        if not 0 <= rank < num_replicas:
            raise DataError(f"DistributedSampler: rank {rank} of {num_replicas} processes. Give 0 to {num_replicas - 1}.")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        order = np.arange(size)
        if self.shuffle:
            order = randperm(size, generator=Generator().manual_seed(self.seed + self.epoch)).array
        order = np.resize(order, len(self) * self.num_replicas)  # cut off, or begun again
        return iter(order[self.rank::self.num_replicas].tolist())

    def __len__(self) -> int:
        size = len(self.dataset)
        return size // self.num_replicas if self.drop_last else -(-size // self.num_replicas)

    def set_epoch(self, epoch: int) -> None:
        """The number of the pass that follows."""
        self.epoch = epoch


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` numbers of another sampler; the last may be shorter, unless `drop_last`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not hasattr(sampler, "__iter__") and not hasattr(sampler, "__getitem__"):
            raise DataError(f"BatchSampler: sampler={sampler!r}. Give what the numbers of the samples come out of: a list, "
                            "or an object with __iter__ and __len__.")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise DataError(f"BatchSampler: batch_size={batch_size!r}. Give a whole number of at least 1.")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)
