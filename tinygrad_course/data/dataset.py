"""Data sets: anything with a length and numbered samples."""

import bisect
import itertools
import math
import numbers
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from tinygrad_course.data.sampler import check_generator, check_numbers
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.ops.creation import as_tensor, randperm
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Base of data sets: write `__getitem__(index)` for 0 <= index < len, and `__len__`.

    `a + b` is the one after the other.  A data set that can make many samples at once may write `__getitems__(indices)`,
    which gives the list of them; a DataLoader then calls that.
    """

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__()")

    def __add__(self, other: "Dataset[Any]") -> "Dataset[Any]":
        return ConcatDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors (or arrays) of equal length; sample i is the tuple of their rows i.

    Arrays are not copied.  Raises ShapeError if the lengths differ or there is nothing.
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        self.tensors = tuple(as_tensor(tensor) for tensor in tensors)
        shapes = [tensor.shape for tensor in self.tensors]
        if not shapes or not all(shapes):
            raise ShapeError(f"TensorDataset: shapes {shapes}. Give at least one tensor, each with one row per sample.")
        if len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(f"TensorDataset: shapes {shapes} differ in the number of rows. Give as many of each.")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class Subset(Dataset[Sample]):
    """The samples of `dataset` with the numbers `indices`, in that order."""

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        check_numbers("Subset", indices)
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        size = len(dataset)
        if self.indices.size and not -size <= self.indices.min() <= self.indices.max() < size:
            raise DataError(f"Subset: indices go from {self.indices.min()} to {self.indices.max()}, but the data set "
                            f"has {size} samples. Give 0 to {size - 1}.")

    def __getitem__(self, index: int) -> Sample:
        if not hasattr(index, "__index__"):
            raise TypeError(f"Subset: the number of a sample is {index!r}; it must be one whole number. Another Subset gives "
                            "several.")
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Sample]):
    """The samples of several data sets, one set after the other."""

    def __init__(self, datasets: Iterable[Dataset[Sample]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset: no data sets. Give at least one.")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise DataError("ConcatDataset: the samples of an IterableDataset have no numbers. Use ChainDataset.")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Sample:
        if not hasattr(index, "__index__"):
            raise TypeError(f"ConcatDataset: the number of a sample is {index!r}; it must be one whole number. Subset gives "
                            "several.")
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"ConcatDataset: sample {index} of {len(self)}")
        number = bisect.bisect_right(self.cumulative_sizes, place)
        return self.datasets[number][place - (self.cumulative_sizes[number - 1] if number else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class StackDataset(Dataset[Any]):
    """Several data sets of equal length side by side: sample i is the tuple of their samples i, or the dict of them.

    StackDataset(images, texts)[i] is (images[i], texts[i]); StackDataset(image=images, text=texts)[i] is a dict.
    """

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if bool(args) == bool(kwargs):
            raise DataError("StackDataset: give data sets either without names, for tuples, or all with names, for dicts.")
        self.datasets: tuple[Dataset[Any], ...] | dict[str, Dataset[Any]] = kwargs or args
        lengths = [len(dataset) for dataset in (*args, *kwargs.values())]
        if len(set(lengths)) > 1:
            raise DataError(f"StackDataset: the data sets have {', '.join(map(str, lengths))} samples. Give as many of each.")
        self._length = lengths[0]

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class IterableDataset(Dataset[Sample]):
    """Base of streams: write `__iter__`, which gives samples one after the other; there need not be a length.

    With workers each of them iterates over a copy of its own, and all samples come as often as there are workers, unless
    `__iter__` takes its share:

        info = get_worker_info()  # None without workers
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
    """

    def __iter__(self) -> Iterator[Sample]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")

    def __len__(self) -> int:
        raise TypeError(f"object of type {type(self).__name__!r} has no len()")  # as if it were not there: list() goes on

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset[Sample]):
    """The samples of several streams, one stream after the other."""

    def __init__(self, datasets: Iterable[Dataset[Sample]]) -> None:
        self.datasets = tuple(datasets)

    def _streams(self) -> Iterator[IterableDataset[Sample]]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DataError(f"ChainDataset: {type(dataset).__name__} is no IterableDataset. Use ConcatDataset for data "
                                "sets with numbered samples.")
            yield dataset

    def __iter__(self) -> Iterator[Sample]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())


def random_split(dataset: Dataset[Sample], lengths: Sequence[int | float],
                 generator: Generator | None = None) -> list[Subset[Sample]]:
    """Cut a data set at random into disjoint subsets that together hold every sample once.

    `lengths` are counts that add up to len(dataset), or shares that add up to 1; what rounding down leaves over goes to
    the subsets in turn, from the first.  Raises DataError for other sums.
    """
    check_generator("random_split", generator)
    counts = part_sizes("random_split", len(dataset), lengths)
    order = randperm(len(dataset), generator=generator).array
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count:end]) for count, end in zip(counts, ends, strict=True)]


def part_sizes(name: str, size: int, lengths: Sequence[int | float]) -> list[int]:
    """Sizes of the parts of `size` samples, from counts or shares; what rounding down leaves over goes to them in turn."""
    if not isinstance(lengths, Iterable) or not all(isinstance(length, numbers.Real) for length in lengths):
        raise DataError(f"{name}: lengths={lengths!r}. Give a list of numbers, one for each part.")
    total = sum(lengths)
    if math.isclose(total, 1) and all(0 <= share <= 1 for share in lengths):
        counts = [math.floor(size * share) for share in lengths]
        for number in range(size - sum(counts)):
            counts[number % len(counts)] += 1
        return counts
    if total == size and all(isinstance(count, int | np.integer) and count >= 0 for count in lengths):
        return [int(count) for count in lengths]
    raise DataError(f"{name}: lengths {list(lengths)} add up to {total}, the data set has {size} samples. "
                    f"Give whole counts that add up to {size}, or shares that add up to 1.")
