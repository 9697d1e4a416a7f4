"""Compares a state dict with what a module needs, and writes the report when they do not fit."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_course.errors import StateDictError
from tinygrad_course.nn.parameter import is_lazy
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

Shapes = dict[str, tuple[int, ...]]
ANY_SHAPE: tuple[int, ...] = (-1,)  # of a parameter of a lazy module: it takes the shape that is loaded


def wanted_shape(value: Tensor) -> tuple[int, ...]:
    """The shape that a parameter or buffer must be given."""
    return ANY_SHAPE if is_lazy(value) else tuple(value.shape)


def check_state_dict(owner: str, wanted: Shapes, given: Mapping[str, Any],
                     strict: bool) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Match `given` with the shapes `wanted` by name.

    Returns the values that fit, as Tensors, the missing and the unexpected keys.
    Raises StateDictError that lists every missing, unexpected (both only if strict) and mis-shaped key.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"expected state_dict to be dict-like, got {type(given).__name__}")
    values: dict[str, Tensor] = {}
    wrong: list[str] = []
    for key, value in given.items():
        tensor = as_tensor(value)
        if tensor is not None:
            values[key] = tensor
        elif key in wanted:
            wrong.append(f"value of {key} is a {type(value).__name__}, the model needs a tensor of shape {wanted[key]}")
    for key, shape in wanted.items():
        if key in values and shape is not ANY_SHAPE and tuple(values[key].shape) != shape:
            wrong.append(shape_line(key, tuple(values[key].shape), shape))
    metadata = getattr(given, "_metadata", None) or {}
    missing = [key for key in wanted if key not in given
               and not is_older_than_counter(key, given, metadata.get(key.rpartition(".")[0], {}))]
    unexpected = [key for key in given if key not in wanted]

    lines: list[str] = []
    if strict and missing:
        lines.append("missing in the file: " + ", ".join(
            f"{key} {'of any shape' if wanted[key] is ANY_SHAPE else wanted[key]}" for key in missing))
    if strict and unexpected:
        shapes = {key: f" {tuple(values[key].shape)}" if key in values else "" for key in unexpected}
        lines.append("unexpected in the file: " + ", ".join(f"{key}{shapes[key]}" for key in unexpected))
    if not lines:
        wrong += _classes_hint(wanted, values)
    lines += wrong
    if lines:
        if missing and unexpected:
            lines += _hints(wanted, given, values, missing, unexpected)
        raise StateDictError(f"load_state_dict: the state dict does not fit {owner}:\n  " + "\n  ".join(lines))
    if missing and len(missing) == len(wanted) and given:
        warnings.warn(f"load_state_dict(strict=False): no key of the state dict fits {owner}, nothing was loaded. The "
                      f"file begins with {next(iter(given))!r}, the model with {missing[0]!r}.", stacklevel=3)
    return {key: values[key] for key in wanted if key in values}, missing, unexpected


def is_older_than_counter(key: str, given: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether `key` is a batch norm's counter of batches, and `given` has that norm in the form before there were any.

    metadata: what the file says of that norm; version 2 has the counter.  torchvision's weights are older.  As in PyTorch
    the module keeps its own counter then."""
    path, _, name = key.rpartition(".")
    if name != "num_batches_tracked" or (f"{path}.running_mean" if path else "running_mean") not in given:
        return False
    version = metadata.get("version")
    return version is None or version < 2


def as_tensor(value: Any) -> Tensor | None:
    """A Tensor of a tensor, an array or a tensor of another library; None for anything else."""
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__"):  # arrays, and tensors of other libraries
        array = np.asarray(value)
        if array.dtype.kind in "fiub":
            return from_numpy(np.require(array, requirements="W"))  # copies read-only arrays, as of a mapped file
    return None


def shape_line(key: str, file: tuple[int, ...], model: tuple[int, ...]) -> str:
    """The line of the report for a shape that does not fit."""
    line = f"shape of {key}: the file has {file}, the model needs {model}"
    if file == model[::-1]:
        line += " (the transpose)"
    elif np.prod(file) == np.prod(model):
        line += " (the same number of values)"
    return line


def _classes_hint(wanted: Shapes, values: Mapping[str, Tensor]) -> list[str]:
    """A hint if all that does not fit is the number of rows, the same for all: that of the classes, most likely."""
    shapes = {key: (tuple(values[key].shape), shape) for key, shape in wanted.items()
              if key in values and shape is not ANY_SHAPE}
    wrong = {key: (file, model) for key, (file, model) in shapes.items() if file != model}
    rows = {(file[:1], model[:1]) for file, model in wrong.values()}
    if len(rows) != 1 or any(file[1:] != model[1:] or not file or not model for file, model in wrong.values()):
        return []
    ((file_rows,), (model_rows,)) = rows.pop()
    return [f"hint: another number of classes? Make the model with {file_rows}, load, then put a new layer of {model_rows} "
            f"in the place of the last; or load the rest only: leave {', '.join(wrong)} out and pass strict=False"]


def _hints(wanted: Shapes, given: Mapping[str, Any], values: Mapping[str, Tensor], missing: list[str],
           unexpected: list[str]) -> list[str]:
    """What probably happened to the names: a nested checkpoint, a prefix on all keys, single renames."""
    for key in unexpected:
        inner = given[key]
        if isinstance(inner, Mapping) and any(name in wanted for name in inner):
            return [f"hint: the file is a checkpoint; its entry {key!r} is the state dict: load that"]
    prefix = common_prefix(list(given), set(wanted))
    if prefix:
        return [f"hint: every key of the file begins with {prefix!r}: load io.remap(state_dict, model), which strips it"]
    prefix = common_prefix(list(wanted), set(given))
    if prefix:
        return [f"hint: the file has all keys without {prefix!r}: load into model.{prefix[:-1]}, or load "
                "io.remap(state_dict, model), which adds it"]
    renames = []
    free = [key for key in unexpected if key in values]
    for key in missing:
        same = [other for other in free if tuple(values[other].shape) == wanted[key]]
        near = difflib.get_close_matches(key, same, n=1, cutoff=0.5)
        if near:
            free.remove(near[0])
            renames.append((near[0], key))
    if not renames:
        return ["hint: io.propose_mapping(state_dict, model) pairs the names by shape and order, for you to judge"]
    return [f"hint: probably renamed (shapes agree): {', '.join(f'{old} -> {new}' for old, new in renames)}",
            "      io.remap(state_dict, model, {old name: new name, ...}) renames"]


def common_prefix(long: list[str], short: set[str]) -> str:
    """The prefix "a.b." that turns every key of `long` into one of `short`, "" if there is none."""
    parts = long[0].split(".") if long else []
    for count in range(1, len(parts)):
        prefix = ".".join(parts[:count]) + "."
        if all(key.startswith(prefix) and key.removeprefix(prefix) in short for key in long):
            return prefix
    return ""
