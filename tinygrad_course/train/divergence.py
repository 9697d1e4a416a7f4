"""What to say when a loss is no longer a number: who made the first NaN or infinity, and from what."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd import detect_anomaly
from tinygrad_course.errors import AnomalyError, TgcError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import as_array
from tinygrad_course.tensor import Tensor
from tinygrad_course.train.evaluate import ComputeLoss, as_tuple, modes_kept

SMALLER_STEPS = ("Use a smaller learning rate, a warm-up, or clip_grad_norm, which also stops before a gradient that is no "
                 "number reaches the weights.")

FIRST_STEP = "No step was made before this one: look at this op, at the initialisation, and at the scale of the inputs."


class DivergenceError(TgcError, ArithmeticError):
    """A loss, or the norm of the gradients, became infinite or NaN.

    step           number of the step that was not made, from 1
    learning_rate  that it would have had
    culprit        who made the first NaN or infinity
    """

    def __init__(self, message: str, step: int, learning_rate: float, culprit: str) -> None:
        super().__init__(message)
        self.step = step
        self.learning_rate = learning_rate
        self.culprit = culprit


def find_culprit(model: Module, batches: Sequence[Any], compute_loss: ComputeLoss, steps: int) -> tuple[str, str]:
    """Who made the first number that is none, and what to do: compute the loss and its gradient again, looked at op by op.

    `steps` steps were made before.  Gradients are added to `.grad`, random numbers are drawn.
    """
    broken = list(broken_state(model))
    if broken:
        when = f"step {steps} wrote it" if steps else "it was so before the first step"
        more = f" (and {len(broken) - 1} more parameters or buffers)" if len(broken) > 1 else ""
        advice = SMALLER_STEPS if steps else "Look at the initialisation, or at the file that the weights came from."
        return f"{broken[0]} already: {when}{more}", advice
    data = [f"{place} holds {bad}" for batch in batches for place, tensor in entries(batch) if (bad := describe_bad(tensor))]
    if data:
        return f"{data[0]}: the data, before any op", "Clean the data: leave out such samples, or nan_to_num()."
    try:
        with detect_anomaly(), np.errstate(all="ignore"):
            for batch in batches:
                as_tuple(compute_loss(model, batch))[0].backward()
    except AnomalyError as error:
        return str(error), SMALLER_STEPS if steps else FIRST_STEP
    return ("every op of the graph is innocent when the step is repeated: the number came from outside of it (NumPy, "
            "no_grad(), a constant), or from random numbers that are no generator's of the trainer", SMALLER_STEPS)


def find_culprit_of_evaluation(model: Module, batches: Iterable[Any], compute_loss: ComputeLoss) -> tuple[str, str]:
    """The same for a loss over a whole data set in evaluation mode."""
    for broken in broken_state(model):
        return broken, SMALLER_STEPS
    with modes_kept(model), detect_anomaly(), np.errstate(all="ignore"):
        model.eval()
        for number, batch in enumerate(batches):
            for place, tensor in entries(batch):
                if bad := describe_bad(tensor):
                    return (f"{place} of batch {number} of this evaluation holds {bad}: the data, before any op",
                            "Clean the data: leave out such samples, or nan_to_num().")
            try:
                compute_loss(model, batch)
            except AnomalyError as error:
                return f"batch {number} of this evaluation: {error}", SMALLER_STEPS
    return ("all weights are finite, and so is all that is computed when the evaluation is repeated: the number came from "
            "outside of the ops (NumPy, a constant), or from data that come only once", SMALLER_STEPS)


def broken_state(model: Module) -> Iterator[str]:
    """The parameters and buffers that are not finite: `parameter 0.weight holds NaN at (3, 1), 2 of 48 numbers`."""
    for kind, named in (("parameter", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, tensor in named:
            if bad := describe_bad(tensor):
                yield f"{kind} {name} holds {bad}"


def describe_bad(tensor: Tensor | np.ndarray) -> str:
    """ "NaN at (3, 1), 2 of 48 numbers", or empty for an array without NaN and infinities."""
    array = as_array(tensor)
    if array.dtype.kind != "f":
        return ""
    finite = np.isfinite(array)
    if finite.all():
        return ""
    place = tuple(int(part) for part in np.unravel_index(int(finite.argmin()), array.shape))
    value = float(array[place])
    name = "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
    return f"{name}{f' at {place}' if place else ''}, {array.size - np.count_nonzero(finite):,} of {array.size:,} numbers"


def describe_batches(batches: Sequence[Any]) -> Iterator[str]:
    """A line per tensor: `batch[0] float32 (16, 3) from -2.1 to 3.4`."""
    for batch in batches:
        for place, tensor in entries(batch):
            array = as_array(tensor)
            finite = array[np.isfinite(array)] if array.dtype.kind in "fiub" else array[:0]
            span = f" from {finite.min():.6g} to {finite.max():.6g}" if finite.size else ""
            yield f"{place} {array.dtype} {tuple(array.shape)}{span}"


def entries(batch: Any, place: str = "batch") -> Iterator[tuple[str, Tensor | np.ndarray]]:
    """Tensors and arrays of nested tuples, lists and dicts, with their places: `batch[0]`, `batch['image']`."""
    if isinstance(batch, Tensor | np.ndarray):
        yield place, batch
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(batch, Mapping):
        inner = batch.items()
    elif isinstance(batch, list | tuple):
        inner = enumerate(batch)
    for key, entry in inner:
        yield from entries(entry, f"{place}[{key!r}]")
