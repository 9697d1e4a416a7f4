"""The training loop: epochs, validation, early stopping, callbacks, and its whole state as one dict."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from numbers import Integral
from typing import Any, NoReturn

import numpy as np

from tinygrad_course.data import DataLoader
from tinygrad_course.errors import OperandError, StateDictError
from tinygrad_course.nn import Module
from tinygrad_course.nn.parameter import UninitializedBuffer, UninitializedParameter
from tinygrad_course.nn.utils import clip_grad_norm_
from tinygrad_course.ops.like import full_like
from tinygrad_course.ops.random import Generator, default_generator
from tinygrad_course.optim import Optimizer
from tinygrad_course.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinygrad_course.tensor import Tensor
from tinygrad_course.train.callback import Callback
from tinygrad_course.train.divergence import DivergenceError, describe_batches, find_culprit, find_culprit_of_evaluation
from tinygrad_course.train.early_stopping import EarlyStopping
from tinygrad_course.train.evaluate import (
    ComputeLoss,
    LossFunction,
    Metric,
    Sums,
    as_tuple,
    batch_length,
    check_metrics,
    choose_loss,
    evaluate,
)


class Trainer:
    """Trains a model, one epoch after the other, and remembers the weights of the best one.

    loss_fn       (output, target) -> mean over the batch, where batches are (input, ..., target)
    compute_loss  instead of loss_fn: (model, batch) -> mean loss, or (mean loss, output, target); for dict batches, several
                  outputs, losses without a target
    val_loader    may be None: then the training loss is watched
    epochs        passes over the training data at most
    metrics       {name: function of (output, target)}, called after each epoch with arrays (N, ...) of all samples: they
                  become the columns train_NAME and val_NAME of the history.  Outputs of an epoch are kept for them
    monitor       the column that says which epoch is the best; val_loss, without validation train_loss
    mode          "min" or "max": which values of it are better; needed unless it ends in "loss"
    patience      epochs without a better one after which the run ends; None: no early stopping
    clip_grad_norm  largest norm of all gradients as one vector; math.inf clips nothing and stops before a gradient that is
                  NaN or infinite reaches the weights
    accumulate    batches whose gradients make one step.  Each counts by its number of samples, also the smaller last one:
                  the gradient is that of the mean over all of them (but batch norm sees each batch by itself)
    schedule      step number (from 0) -> learning rate; the optimiser's own rate without it
    scheduler     one of optim.lr_scheduler instead; its step() is called after every epoch, or every step if
                  scheduler_every is "step" (OneCycleLR, CyclicLR).  ReduceLROnPlateau is given the monitored value
    augment       distorts the first entry of a batch (all of it, if it is no tuple or list) before it is used for training
    evaluate_train  also evaluates the training data after each epoch, in evaluation mode: columns train_eval_...  During
                  the epoch the loss is that of changing weights, with dropout: it may lie above that of validation
    callbacks     told what happens, in this order (see Callback)
    generators    sources of random numbers that `augment` and the model draw from, beside the default one (the loader
                  brings its own): their positions are part of the state

    The training loss and metrics of an epoch are those of each batch before its step.  `state_dict()` is everything that
    the rest of the run depends on: a run that is stopped anywhere and continued from it ends with bitwise the same weights
    and history as one that was not.  For another loop override `step`, or write the loop: docs/training.md has both.
    """

    def __init__(self, model: Module, optimizer: Optimizer, loss_fn: LossFunction | None, train_loader: DataLoader,
                 val_loader: Iterable[Any] | None = None, *, epochs: int, compute_loss: ComputeLoss | None = None,
                 metrics: Mapping[str, Metric] | None = None, monitor: str | None = None, mode: str | None = None,
                 patience: int | None = None, clip_grad_norm: float | None = None, accumulate: int = 1,
                 schedule: Callable[[int], float] | None = None, scheduler: LRScheduler | None = None,
                 scheduler_every: str = "epoch", augment: Callable[[Any], Any] | None = None, evaluate_train: bool = False,
                 callbacks: Sequence[Callback] = (), generators: Mapping[str, Generator] | None = None) -> None:
        if scheduler_every not in ("epoch", "step"):
            raise ValueError(f"Trainer: scheduler_every is 'epoch' or 'step', got {scheduler_every!r}")
        if schedule is not None and scheduler is not None:
            raise ValueError("Trainer: schedule and scheduler both set the learning rate: give one of them")
        if scheduler_every == "step" and isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError("Trainer: ReduceLROnPlateau watches the monitored value, which there is once per epoch: leave "
                             "scheduler_every at 'epoch'")
        for name, number, least in (("epochs", epochs, 0), ("accumulate", accumulate, 1), ("patience", patience, 1)):
            if number is not None and (not isinstance(number, Integral) or number < least):
                raise ValueError(f"Trainer: {name}={number!r}; give a whole number of at least {least}")
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(f"Trainer: clip_grad_norm={clip_grad_norm}; give a positive number, or math.inf: with 0 nothing "
                             "would be learnt, and below it the steps would go uphill")
        strange = callbacks if not isinstance(callbacks, Sequence) else next(
            (callback for callback in callbacks if not isinstance(callback, Callback)), None)
        if strange is not None:
            raise OperandError(f"Trainer: callbacks holds {strange!r}. Give a list of objects of classes that derive from "
                               "Callback, such as [TextProgress()].")
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.compute_loss = choose_loss("Trainer", loss_fn, compute_loss)
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.epochs = epochs
        self.metrics = check_metrics("Trainer", metrics)
        self.clip_grad_norm = clip_grad_norm
        self.accumulate = accumulate
        self.schedule = schedule
        self.scheduler = scheduler
        self.scheduler_every = scheduler_every
        self.augment = augment
        self.evaluate_train = evaluate_train
        self.callbacks = list(callbacks)
        self.generators = {"default": default_generator, **(generators or {})}
        self.splits = ["train", *(["train_eval"] if evaluate_train else []), *(["val"] if val_loader is not None else [])]
        columns = [f"{split}_{name}" for split in self.splits for name in ("loss", *self.metrics)]
        self.history: dict[str, list[float]] = {column: [] for column in ("epoch", "learning_rate", *columns)}
        self.monitor = monitor or f"{self.splits[-1]}_loss"
        self.stopping = EarlyStopping(patience, self._mode(mode))
        self.best_weights: dict[str, Tensor] = {}
        self.improved = False   # whether the last epoch is the best so far
        self.loss = math.nan    # of the last step
        self.epoch_samples = 0  # of the last complete epoch
        self.steps = 0          # of the whole run
        self._sums = Sums(self.metrics)  # of the running epoch
        self._batches: list[Any] = []    # of the running step
        self._places: list[tuple[int, int]] = []             # before it, of the generators
        self._buffers: list[tuple[Tensor, np.ndarray]] = []  # before it
        self._has_buffers = False
        self._stopped = False

    def _mode(self, mode: str | None) -> str:
        if self.monitor not in self.history:
            raise ValueError(f"Trainer: monitor={self.monitor!r} is no column of the history. There will be "
                             f"{', '.join(self.history)}: give one of them, or the metric.")
        if mode is None and not self.monitor.endswith("loss"):
            raise ValueError(f"Trainer: which values of {self.monitor} are better? Give mode='max' or mode='min'.")
        if mode not in (None, "min", "max"):
            raise ValueError(f"Trainer: mode is 'min' or 'max', got {mode!r}")
        return mode or "min"

    # ---- where it stands ------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Number of epochs that are complete."""
        return len(self.history["epoch"])

    @property
    def finished(self) -> bool:
        """Whether all epochs are done or early stopping has ended the run."""
        return self.epoch >= self.epochs or self.stopping.stop

    @property
    def samples(self) -> int:
        """Samples of the running epoch that are done."""
        return self._sums.samples

    @property
    def in_epoch(self) -> bool:
        """Whether an epoch has begun that is not complete."""
        return self._sums.samples > 0

    @property
    def learning_rate(self) -> float:
        """That of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a full epoch."""
        return -(-len(self.train_loader) // self.accumulate)

    def row(self) -> dict[str, float]:
        """The last line of the history.  Raises IndexError before the first epoch is complete."""
        return {column: values[-1] for column, values in self.history.items()}

    def running(self) -> dict[str, float]:
        """Mean loss and metrics of the running epoch so far.  Raises DataError before its first step."""
        return self._sums.values()

    # ---- the loop -------------------------------------------------------------------------------------------------

    def fit(self, *, stop: Callable[[], bool] = lambda: False, max_steps: int | None = None) -> bool:
        """Train until the run is finished, `stop()` is true after a step, or `max_steps` steps are done in all.

        Returns `finished`.  Raises DivergenceError if the loss is no longer a number; the model then holds the weights
        before that step.
        """
        self._stopped = False
        error: BaseException | None = None
        self._tell("on_fit_begin")
        try:
            while not self.finished:
                if not self._train_epoch(stop, max_steps):
                    break
                self.end_epoch()
                self._tell("on_epoch_end")
                if self._stopped or stop():
                    break
        except BaseException as raised:
            error = raised
            raise
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self, error)
        return self.finished

    def stop(self) -> None:
        """Let `fit` return after this step or epoch; a callback may call it."""
        self._stopped = True

    def _train_epoch(self, stop: Callable[[], bool], max_steps: int | None) -> bool:
        """The rest of the running epoch; False if it was left early."""
        def enough() -> bool:
            return self._stopped or stop() or (max_steps is not None and self.steps >= max_steps)

        if enough():
            return False
        loader = self._rest_of_pass() if self.in_epoch else self.train_loader
        self._tell("on_epoch_begin")
        # Only those that want it are told of every step, which may take microseconds.
        after_step = [callback.on_step_end for callback in self.callbacks
                      if type(callback).on_step_end is not Callback.on_step_end]
        self._has_buffers = any(True for _ in self.model.buffers())  # looked up once: it takes microseconds
        self.model.train()
        for batches in groups(loader, self.accumulate):
            if self.schedule is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = self.schedule(self.steps)
            self._batches = batches if self.augment is None else [self._augmented(batch) for batch in batches]
            self._note_before_step()
            self.step(self._batches)
            if self.scheduler is not None and self.scheduler_every == "step":
                self.scheduler.step()
            self.steps += 1
            for tell in after_step:
                tell(self)
            if enough():
                return False
        return True

    def _rest_of_pass(self) -> Iterable[Any]:
        """The batches of the running epoch that are still to come."""
        place = self.train_loader.state_dict()
        if not place["done"] and not place["ahead"]:
            # Only by asking for more is it seen that the last group of accumulated batches is a smaller one: the loader
            # then stands before its next pass, although the epoch has not been left.
            return ()
        self.train_loader.load_state_dict(place)
        return self.train_loader

    def step(self, batches: list[Any]) -> None:
        """One change of the weights, along the gradient of the mean loss over `batches` (one, unless they accumulate).

        Override it for another rule; call `count` for each batch before the weights change.
        """
        total = sum(map(batch_length, batches)) if len(batches) > 1 else 0
        self.optimizer.zero_grad()
        for batch in batches:
            loss, *result = as_tuple(self.compute_loss(self.model, batch))
            samples = batch_length(batch)
            self.count(loss.item(), samples, result)
            loss.backward(full_like(loss, samples / total) if total else None)
        if self.clip_grad_norm is not None:
            params = [param for group in self.optimizer.param_groups for param in group["params"]]
            norm = clip_grad_norm_(params, self.clip_grad_norm).item()
            if not math.isfinite(norm):
                self._not_finite(norm, "norm of the gradients")
        self.optimizer.step()

    def count(self, loss: float, samples: int, result: Sequence[Tensor] = ()) -> None:
        """Take note of a batch: its mean loss, its number of samples, (output, target) for the metrics.

        Raises DivergenceError, with the culprit named, if the loss is no number.
        """
        if not math.isfinite(loss):
            self._not_finite(loss, "loss")
        self.loss = loss
        self._sums.add(loss, samples, result)

    def end_epoch(self) -> None:
        """Validate, add a line to the history, and keep the weights if they are the best so far."""
        results = {"train": self._sums.values()}
        if self.evaluate_train:
            # A loader of its own: another pass of the training loader would move its generator.
            again = self.train_loader
            results["train_eval"] = self._evaluate("train_eval", DataLoader(again.dataset, again.batch_size,
                                                                            collate_fn=again.collate_fn))
        if self.val_loader is not None:
            results["val"] = self._evaluate("val", self.val_loader)
        row = {"epoch": self.epoch + 1, "learning_rate": self.learning_rate,
               **{f"{split}_{name}": value for split, values in results.items() for name, value in values.items()}}
        for column, value in row.items():
            self.history[column].append(value)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row[self.monitor])
        elif self.scheduler is not None and self.scheduler_every == "epoch":
            self.scheduler.step()
        self.epoch_samples = self.samples
        self._sums = Sums(self.metrics)
        self.improved = self.stopping.update(self.epoch, row[self.monitor])
        if self.improved:
            self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def _evaluate(self, split: str, loader: Iterable[Any]) -> dict[str, float]:
        result = evaluate(self.model, loader, metrics=self.metrics, compute_loss=self.compute_loss)
        if not math.isfinite(result.loss):
            culprit, advice = find_culprit_of_evaluation(self.model, loader, self.compute_loss)
            self._diverged(f"the {split}_loss is {result.loss} after step {self.steps}", culprit, advice)
        return {"loss": result.loss, **result.metrics}

    def _augmented(self, batch: Any) -> Any:
        assert self.augment is not None
        return (self.augment(batch[0]), *batch[1:]) if isinstance(batch, tuple | list) else self.augment(batch)

    def _tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)

    # ---- numbers that are none ------------------------------------------------------------------------------------

    def _note_before_step(self) -> None:
        """What a forward pass changes: positions of the generators, and buffers (the statistics of batch norm)."""
        self._places = [generator.place() for generator in self.generators.values()]
        if self._has_buffers:
            self._buffers = [(buffer, buffer.array.copy()) for buffer in self.model.buffers()
                             if not isinstance(buffer, UninitializedBuffer)]  # lazy ones have no values yet

    def _restore(self) -> None:
        for generator, place in zip(self.generators.values(), self._places, strict=True):
            generator.go_to(place)
        for buffer, array in self._buffers:
            buffer.array[...] = array

    def _not_finite(self, value: float, what: str) -> NoReturn:
        """Raise DivergenceError, with the culprit."""
        self._restore()
        culprit, advice = find_culprit(self.model, self._batches, self.compute_loss, self.steps)
        self._restore()
        self.optimizer.zero_grad()
        self._diverged(f"the {what} is {value} at step {self.steps + 1}", culprit, advice, [
            *describe_batches(self._batches), "the step was not made: weights, buffers and optimiser are those before it"])

    def _diverged(self, what: str, culprit: str, advice: str, more: Sequence[str] = ()) -> NoReturn:
        lines = [f"{what}: training has diverged.", culprit, f"learning rate {self.learning_rate:g}, epoch {self.epoch + 1}",
                 *more, advice]
        raise DivergenceError("\n  ".join(lines), self.steps + 1, self.learning_rate, culprit)

    # ---- state ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Model, optimiser, scheduler, loader, generators, best weights, early stopping, history and position.

        Its tensors are those of the model and the optimiser: save or copy them before the next step.
        """
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "loader": self.train_loader.state_dict(), "best_weights": self.best_weights,
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "stopping": asdict(self.stopping), "history": self.history, "epochs": self.epochs, "monitor": self.monitor,
            "accumulate": self.accumulate, "steps": self.steps, "running": self._sums.state_dict(),
            **({} if self.scheduler is None else {"scheduler": self.scheduler.state_dict()})}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict()` was called, in a Trainer made with the same arguments.

        Raises StateDictError if the state does not fit; then everything is as before.
        """
        missing = [key for key in self.state_dict() if key not in state_dict]
        if missing:
            raise StateDictError(f"Trainer.load_state_dict: the state has no {', '.join(missing)}. "
                                 "Give the result of state_dict().")
        for what, own, other in (("epochs", self.epochs, state_dict["epochs"]),
                                 ("patience", self.stopping.patience, state_dict["stopping"]["patience"]),
                                 ("monitor", self.monitor, state_dict["monitor"]),
                                 ("mode", self.stopping.mode, state_dict["stopping"]["mode"]),
                                 ("accumulate", self.accumulate, state_dict["accumulate"]),
                                 ("history", list(self.history), list(state_dict["history"])),
                                 ("generators", sorted(self.generators), sorted(state_dict["generators"]))):
            if own != other:
                raise StateDictError(f"Trainer.load_state_dict: {what} was {other} when the state was saved and is "
                                     f"{own} now. Continue with the same settings.")
        if self.scheduler is None and "scheduler" in state_dict:
            raise StateDictError("Trainer.load_state_dict: the state is that of a run with a scheduler and this trainer has "
                                 "none, so that the learning rate would stand still. Continue with the same settings.")
        # First what can be tried without changing anything.
        for position in state_dict["generators"].values():
            Generator().set_state(position)
        best_weights = {name: value.clone() for name, value in state_dict["best_weights"].items()}
        stopping = EarlyStopping(**state_dict["stopping"])
        history = {column: list(values) for column, values in state_dict["history"].items()}
        before = self.state_dict()
        weights = [(value, value.array.copy()) for value in (*self.model.parameters(), *self.model.buffers())
                   if not isinstance(value, UninitializedParameter | UninitializedBuffer)]
        try:
            self.model.load_state_dict(state_dict["model"])
            self.train_loader.load_state_dict(state_dict["loader"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state_dict["scheduler"])
            self.optimizer.load_state_dict(state_dict["optimizer"])
        except BaseException:  # what was refused has changed nothing
            for value, array in weights:
                value.array[...] = array
            self.train_loader.load_state_dict(before["loader"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(before["scheduler"])
            raise
        for name, generator in self.generators.items():
            generator.set_state(state_dict["generators"][name])
        self.best_weights, self.stopping, self.history = best_weights, stopping, history
        self.steps = state_dict["steps"]
        self._sums.load_state_dict(state_dict["running"])


def groups(loader: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` batches; the last may be shorter."""
    batches = iter(loader)
    while group := list(itertools.islice(batches, size)):
        yield group
