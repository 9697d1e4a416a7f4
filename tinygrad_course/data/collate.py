"""How samples become a batch of tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import as_tensor, empty, tensor
from tinygrad_course.tensor import Tensor

Memory = Callable[[tuple[int, ...], np.dtype[Any]], np.ndarray]  # gives an array of that shape and type, to be written to


def from_pool(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Memory of the kernels' pool: a new large block of the system's costs more, page by page, than what is written to it."""
    return np.asarray(empty(shape, dtype=dtype).array)


def default_collate(batch: list[Any]) -> Any:
    """Make a batch of samples: tensors, arrays and numbers are stacked, tuples and dicts collated entry by entry.

    Texts and bytes stay a list, a named tuple keeps its type.  Python's numbers with a fraction become float32.
    Raises DataError if the samples have different shapes or numbers of entries, or another type.
    """
    return collate(batch, from_pool)


def collate(batch: list[Any], memory: Memory) -> Any:
    """default_collate, with stacked arrays in that memory."""
    if not len(batch):
        raise DataError("default_collate: a batch without samples. Leave empty lists out of the batch_sampler.")
    first = batch[0]
    if type(first) in (int, float) and len(set(map(type, batch))) == 1:
        return tensor(batch)
    if isinstance(first, Tensor | np.ndarray | np.generic | int | float):
        arrays = [_on_cpu(sample) if isinstance(sample, Tensor) else sample for sample in batch]
        shapes = {getattr(array, "shape", ()) for array in arrays}
        if len(shapes) > 1:
            raise DataError(f"default_collate: samples of the shapes {', '.join(map(str, sorted(shapes)))} cannot be "
                            "stacked. Bring them to one shape, or give a collate_fn.")
        if not isinstance(first, Tensor | np.ndarray | np.generic):
            return tensor(arrays)
        return as_tensor(_stack(arrays, shapes.pop(), memory))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        for sample in batch:
            if not isinstance(sample, Mapping) or sample.keys() != first.keys():
                raise DataError(f"default_collate: a sample is {_outline(first)}, another one {_outline(sample)}. Give all "
                                "the same keys, or give a collate_fn.")
        return {key: collate([sample[key] for sample in batch], memory) for key in first}
    if isinstance(first, Sequence):
        kinds = {type(sample): sample for sample in batch}
        other = next((sample for sample in kinds.values() if not isinstance(sample, Sequence)), None)
        if other is not None:
            raise DataError(f"default_collate: a sample is a {type(first).__name__}, another one {_outline(other)}. Give all "
                            "the same form, or give a collate_fn.")
        lengths = sorted({len(sample) for sample in batch})
        if len(lengths) > 1:
            raise DataError(f"default_collate: samples have {' or '.join(map(str, lengths))} entries. "
                            "Give all as many, or give a collate_fn.")
        return _like(first, [collate(list(entries), memory) for entries in zip(*batch, strict=True)])
    if first is None:
        raise DataError("default_collate: a sample is None. Does __getitem__ of the data set return it?")
    raise DataError(f"default_collate: cannot make a tensor of {type(first).__name__}. Give a collate_fn.")


def _outline(sample: Any) -> str:
    return f"a dict of {', '.join(map(repr, sample))}" if isinstance(sample, Mapping) else f"a {type(sample).__name__}"


def _on_cpu(sample: Tensor) -> np.ndarray:
    array = sample.array  # most often NumPy's; detach().cpu().numpy() takes longer than to copy a small image
    return array if isinstance(array, np.ndarray) else sample.detach().cpu().numpy()


def _stack(arrays: list[Any], shape: tuple[int, ...], memory: Memory) -> np.ndarray:
    if not shape:
        return np.array(arrays)
    dtype = np.result_type(*{array.dtype for array in arrays})
    stacked = memory((len(arrays), *shape), dtype)
    np.concatenate(arrays, out=stacked.reshape(-1, *shape[1:]))
    return stacked


def default_convert(data: Any) -> Any:
    """The arrays in nested tuples, lists and dicts as tensors, all else as it is: what a loader does with a sample that
    is not batched (batch_size=None)."""
    if isinstance(data, np.ndarray | np.generic) and not isinstance(data, str | bytes):
        return data if data.dtype.kind in "SUO" else as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        return _like(data, [default_convert(value) for value in data])
    return data


def _like(first: Sequence[Any], entries: list[Any]) -> Any:
    """A named tuple for a named tuple, a tuple otherwise."""
    return type(first)(*entries) if hasattr(first, "_fields") else tuple(entries)
