"""What is computed of one batch, and a model judged on all batches of a loader."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError, OperandError, ShapeError
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor

LossFunction = Callable[[Tensor, Tensor], Tensor]  # (output, target) -> mean over the batch
Metric = Callable[[np.ndarray, np.ndarray], float]  # (output, target) of all samples -> a number
# (model, batch) -> the mean loss, or (mean loss, output, target); what there are metrics of needs the three
ComputeLoss = Callable[[Module, Any], Tensor | tuple[Tensor, Tensor, Tensor]]

_ARRAYS, _SEQUENCES = (Tensor, np.ndarray), (tuple, list)  # made once: these are asked in every step


def supervised(loss_fn: LossFunction) -> ComputeLoss:
    """The usual way: a batch is (input, ..., target), the model takes all inputs."""
    def compute_loss(model: Module, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        if not isinstance(batch, _SEQUENCES) or len(batch) < 2:
            what = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, _SEQUENCES) else "")
            raise DataError(f"loss_fn(output, target) needs batches (input, ..., target), the loader gives {what}. Give the "
                            "data set targets, or give compute_loss(model, batch) instead.")
        *inputs, target = batch
        output = model(*inputs)
        return loss_fn(output, target), output, target
    return compute_loss


def batch_length(batch: Any) -> int:
    """Number of samples: rows of the first tensor or array in nested tuples, lists and dicts."""
    entry = batch
    while not isinstance(entry, _ARRAYS):
        if isinstance(entry, _SEQUENCES) and entry:
            entry = entry[0]
            continue
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
            if len(result) != 2:
                what = f"{len(result) + 1} values" if result else "the loss alone"
                raise DataError(f"compute_loss returned {what}, and {', '.join(self.metrics)} cannot be computed of that. "
                                "Return (loss, output, target).")
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
                            "are fewer samples than batch_size; of a generator, which has batches for one pass only, make "
                            "a list.")
        output, target = self.all()
        values = {"loss": self.loss / self.samples}
        for name, metric in self.metrics.items():
            value = metric(output, target)
            if not isinstance(value, int | float | np.number | np.ndarray | Tensor):
                raise DataError(f"the metric {name} gives {value!r}, a column of the history holds numbers. Return one.")
            if np.ndim(value):
                raise DataError(f"the metric {name} gives an array {np.shape(value)}, a column of the history holds numbers. "
                                "Take a mean, or one metric for each entry.")
            values[name] = float(value)
        return values

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

    The loss is the mean over the samples.  Each module is in the mode it was in afterwards.
    """
    compute = choose_loss("evaluate", loss_fn, compute_loss)
    sums = Sums(check_metrics("evaluate", metrics))
    with modes_kept(model), no_grad():
        model.eval()
        for batch in loader:
            loss, *result = as_tuple(compute(model, batch))
            sums.add(loss.item(), batch_length(batch), result)
    values = sums.values()
    return Evaluation(values.pop("loss"), values, *sums.all())


def choose_loss(caller: str, loss_fn: LossFunction | None, compute_loss: ComputeLoss | None) -> ComputeLoss:
    """One of the two ways to give a loss."""
    if (loss_fn is None) == (compute_loss is None):
        raise ValueError(f"{caller}: give either loss_fn(output, target) or compute_loss(model, batch)")
    return compute_loss if loss_fn is None else supervised(loss_fn)  # type: ignore[return-value]


def as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What compute_loss returned."""
    if isinstance(result, Tensor):
        result = (result,)
    loss = result[0] if isinstance(result, _SEQUENCES) and result else result
    if isinstance(loss, Tensor) and loss.array.size != 1:
        raise ShapeError(f"the loss has the shape {loss.shape}: needed is one number, the mean over the batch. Leave "
                         "reduction at 'mean', or take loss.mean().")
    if not isinstance(loss, Tensor):
        raise OperandError(f"the loss is of type {type(loss).__name__}: needed is a Tensor, or (loss, output, target). Of a "
                           "loss in nn give an instance, nn.MSELoss().")
    return result


def check_metrics(caller: str, metrics: Mapping[str, Metric] | None) -> dict[str, Metric]:
    """A dict of functions, none of them in the place of the loss."""
    if metrics is not None and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
        raise OperandError(f"{caller}: metrics is {metrics!r}; give {{name: function of (output, target)}}")
    if metrics and "loss" in metrics:
        raise ValueError(f"{caller}: a metric called loss would take the place of the loss; give it another name")
    return dict(metrics or {})


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Afterwards each module is in training or evaluation mode as before: some may be frozen."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
