"""What is computed of one batch, and a model judged on all batches of a loader."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor

LossFunction = Callable[[Tensor, Tensor], Tensor]  # (output, target) -> mean over the batch
Metric = Callable[[np.ndarray, np.ndarray], float]  # (output, target) of all samples -> a number
# (model, batch) -> the mean loss, or (mean loss, output, target); what there are metrics of needs the three
ComputeLoss = Callable[[Module, Any], Tensor | tuple[Tensor, Tensor, Tensor]]

_ARRAYS = (Tensor, np.ndarray)  # made once: this is asked in every step


def supervised(loss_fn: LossFunction) -> ComputeLoss:
    """The usual way: a batch is (input, ..., target), the model takes all inputs."""
    def compute_loss(model: Module, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        *inputs, target = batch
        output = model(*inputs)
        return loss_fn(output, target), output, target
    return compute_loss


def batch_length(batch: Any) -> int:
    """Number of samples: rows of the first tensor or array in nested tuples, lists and dicts."""
    entry = batch
    while not isinstance(entry, _ARRAYS):
        if isinstance(entry, Mapping):
            entry = tuple(entry.values())
        if not isinstance(entry, Sequence) or isinstance(entry, str) or not entry:
            raise DataError(f"a batch of type {type(batch).__name__} does not tell how many samples it has. "
                            "Let the loader give tensors, or tuples, lists or dicts of tensors.")
        entry = entry[0]
    return len(entry)


class Sums:
    """Loss and metrics over the samples so far."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = metrics
        self.loss = 0.0   # sum over the samples
        self.samples = 0
        self.outputs: list[np.ndarray] = []  # of every batch, as far as there are metrics
        self.targets: list[np.ndarray] = []

    def add(self, loss: float, samples: int, result: Sequence[Tensor]) -> None:
        """Take note of a batch; `result` is (output, target), or empty."""
        self.loss += loss * samples
        self.samples += samples
        if self.metrics:
            if not result:
                raise DataError(f"compute_loss returned the loss alone, and {', '.join(self.metrics)} cannot be computed of "
                                "it. Return (loss, output, target).")
            output, target = result
            self.outputs.append(output.detach().cpu().numpy())
            self.targets.append(target.detach().cpu().numpy())

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (N, ...) and targets (N, ...) of all samples; empty if there are no metrics."""
        if not self.outputs:
            return np.empty(0, np.float32), np.empty(0, np.float32)
        # One array each from now on: asking again costs nothing.
        self.outputs, self.targets = [np.concatenate(self.outputs)], [np.concatenate(self.targets)]
        return self.outputs[0], self.targets[0]

    def values(self) -> dict[str, float]:
        """{"loss": mean, name of a metric: value, ...}."""
        if not self.samples:
            raise DataError("there are no samples: the loader gave no batch. Give it data, and drop_last=False if there "
                            "are fewer samples than batch_size.")
        output, target = self.all()
        return {"loss": self.loss / self.samples,
                **{name: float(metric(output, target)) for name, metric in self.metrics.items()}}

    def state_dict(self) -> dict[str, Any]:
        """As numbers and arrays."""
        output, target = self.all()
        return {"loss": self.loss, "samples": self.samples, "output": output, "target": target}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.loss, self.samples = state["loss"], state["samples"]
        self.outputs, self.targets = [], []
        if self.samples and self.metrics:
            self.outputs, self.targets = [_array(state["output"])], [_array(state["target"])]


def _array(value: Tensor | np.ndarray) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else value


@dataclass
class Evaluation:
    """A model on a data set: mean loss and metrics; what the metrics were computed of, outputs (N, ...), targets (N, ...)."""

    loss: float
    metrics: dict[str, float]
    output: np.ndarray = field(repr=False)  # empty without metrics
    target: np.ndarray = field(repr=False)


def evaluate(model: Module, loader: Iterable[Any], loss_fn: LossFunction | None = None,
             metrics: Mapping[str, Metric] | None = None, *, compute_loss: ComputeLoss | None = None) -> Evaluation:
    """Run the model over all batches in evaluation mode, without gradients.

    loss_fn       (output, target) -> mean over the batch, where batches are (input, ..., target)
    metrics       {name: function}; each is called once, with the outputs and the targets of all samples, arrays (N, ...)
    compute_loss  (model, batch) -> loss, or (loss, output, target), instead of loss_fn

    The loss is the mean over the samples.  The model's mode is restored afterwards.
    """
    compute = choose_loss("evaluate", loss_fn, compute_loss)
    sums = Sums(metrics or {})
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                loss, *result = as_tuple(compute(model, batch))
                sums.add(loss.item(), batch_length(batch), result)
    finally:
        model.train(was_training)
    values = sums.values()
    return Evaluation(values.pop("loss"), values, *sums.all())


def choose_loss(caller: str, loss_fn: LossFunction | None, compute_loss: ComputeLoss | None) -> ComputeLoss:
    """One of the two ways to give a loss."""
    if (loss_fn is None) == (compute_loss is None):
        raise ValueError(f"{caller}: give either loss_fn(output, target) or compute_loss(model, batch)")
    return compute_loss if loss_fn is None else supervised(loss_fn)  # type: ignore[return-value]


def as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What compute_loss returned."""
    return (result,) if isinstance(result, Tensor) else result
