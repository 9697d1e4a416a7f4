"""The training loop of a classifier: epochs, validation, early stopping, and its whole state as one dict."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinygrad_course import metrics
from tinygrad_course.autograd import no_grad
from tinygrad_course.data import DataLoader
from tinygrad_course.errors import StateDictError, TgcError
from tinygrad_course.nn import Module
from tinygrad_course.ops.random import Generator
from tinygrad_course.optim import Optimizer
from tinygrad_course.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tinygrad_course.tensor import Tensor
from tinygrad_course.train.progress import Progress

LossFunction = Callable[[Tensor, Tensor], Tensor]
HISTORY_COLUMNS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


class DivergenceError(TgcError, ArithmeticError):
    """The loss became infinite or NaN."""


@dataclass
class Evaluation:
    """A model on a data set: mean loss, accuracy (0 to 1), scores (N, C) and true labels (N,)."""

    loss: float
    accuracy: float
    scores: np.ndarray
    target: np.ndarray


def evaluate(model: Module, loader: DataLoader, loss_fn: LossFunction) -> Evaluation:
    """Run the model over (input, target) batches in evaluation mode, without gradients.

    `loss_fn(scores, target)` gives the mean over a batch.  The model's mode is restored afterwards.
    """
    was_training = model.training
    model.eval()
    total, scores, targets = 0.0, [], []
    with no_grad():
        for x, y in loader:
            out = model(x)
            total += loss_fn(out, y).item() * len(y)
            scores.append(out.numpy())
            targets.append(y.numpy())
    model.train(was_training)
    all_scores, all_targets = np.concatenate(scores), np.concatenate(targets)  # (N, C), (N,)
    return Evaluation(total / len(all_targets), metrics.accuracy(all_scores, all_targets), all_scores, all_targets)


def cosine(lr: float, steps: int) -> Callable[[int], float]:
    """Learning rate of step t = 0 ... steps - 1:  lr (1 + cos(pi t / steps)) / 2.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.
    """
    return lambda step: 0.5 * lr * (1 + math.cos(math.pi * min(step, steps) / steps))


@dataclass
class EarlyStopping:
    """Keeps the smallest validation loss; says stop after `patience` epochs without a smaller one.

    L. Prechelt, "Early stopping - but when?", in Neural Networks: Tricks of the Trade (1998), criterion UP.
    """

    patience: int
    best_loss: float = math.inf
    best_epoch: int = 0
    bad_epochs: int = 0

    def update(self, epoch: int, loss: float) -> bool:
        """Take note of an epoch; True if it is the best so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.bad_epochs = loss, epoch, 0
            return True
        self.bad_epochs += 1
        return False

    @property
    def stop(self) -> bool:
        """Whether patience is at its end."""
        return self.bad_epochs >= self.patience


class Trainer:
    """Trains a classifier on (input, target) batches and remembers the weights with the smallest validation loss.

    loss_fn     (scores, target) -> mean over the batch
    epochs      passes over the training data at most;  patience: see EarlyStopping
    schedule    step number (from 0) -> learning rate; the optimiser's own rate without it
    scheduler   one of optim.lr_scheduler instead; its step() is called after every epoch, or every step if scheduler_every
                is "step" (OneCycleLR, CyclicLR).  ReduceLROnPlateau is given the validation loss
    augment     distorts a batch of inputs before it is used
    generators  sources of random numbers that `augment` and the model draw from (the loader brings its own): their
                positions are part of the state

    `state_dict()` is everything that the rest of the run depends on.  A run that is stopped anywhere and continued from
    it ends with bitwise the same weights and history as one that was not.
    """

    def __init__(self, model: Module, optimizer: Optimizer, loss_fn: LossFunction, train_loader: DataLoader,
                 val_loader: DataLoader, *, epochs: int, patience: int,
                 schedule: Callable[[int], float] | None = None, scheduler: LRScheduler | None = None,
                 scheduler_every: str = "epoch", augment: Callable[[Tensor], Tensor] | None = None,
                 generators: Mapping[str, Generator] | None = None) -> None:
        if scheduler_every not in ("epoch", "step"):
            raise ValueError(f"Trainer: scheduler_every is 'epoch' or 'step', got {scheduler_every!r}")
        if schedule is not None and scheduler is not None:
            raise ValueError("Trainer: schedule and scheduler both set the learning rate: give one of them")
        if scheduler_every == "step" and isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError("Trainer: ReduceLROnPlateau watches the validation loss, which there is once per epoch: leave "
                             "scheduler_every at 'epoch'")
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_every = scheduler_every
        self.loss_fn = loss_fn
        self.train_loader = train_loader
        self.val_loader = val_loader
        self.epochs = epochs
        self.schedule = schedule
        self.augment = augment
        self.generators = dict(generators or {})
        self.stopping = EarlyStopping(patience)
        self.best_weights: dict[str, Tensor] = {}
        self.history: dict[str, list[float]] = {column: [] for column in HISTORY_COLUMNS}
        self.steps = 0                                 # of the whole run
        self._loss_sum, self._right, self._seen = 0.0, 0, 0  # of the running epoch

    @property
    def epoch(self) -> int:
        """Number of epochs that are complete."""
        return len(self.history["epoch"])

    @property
    def finished(self) -> bool:
        """Whether all epochs are done or early stopping has ended the run."""
        return self.epoch >= self.epochs or self.stopping.stop

    def fit(self, *, stop: Callable[[], bool] = lambda: False, max_steps: int | None = None,
            progress: Progress | None = None, after_epoch: Callable[[], None] = lambda: None) -> bool:
        """Train until the run is finished, `stop()` is true after a step, or `max_steps` steps are done in all.

        `after_epoch` is called after each epoch, to save.  Returns `finished`.
        Raises DivergenceError if the loss is no longer a number; the model then holds the weights of that moment.
        """
        progress = progress or Progress()
        try:
            while not self.finished:
                if not self._train_epoch(stop, max_steps, progress):
                    return False
                self.end_epoch(progress)
                after_epoch()
                if stop():
                    break
            return self.finished
        finally:
            progress.close()

    def _train_epoch(self, stop: Callable[[], bool], max_steps: int | None, progress: Progress) -> bool:
        """The rest of the running epoch; False if it was left early."""
        def enough() -> bool:
            return stop() or (max_steps is not None and self.steps >= max_steps)

        if enough():
            return False
        if self.in_epoch:
            self.train_loader.load_state_dict(self.train_loader.state_dict())  # the pass goes on where it was left
        progress.begin_epoch(self.epoch + 1, self.epochs, len(self.train_loader.dataset), self._seen)
        self.model.train()
        for x, y in self.train_loader:
            if self.schedule is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = self.schedule(self.steps)
            scores = self.model(x if self.augment is None else self.augment(x))
            loss = self.loss_fn(scores, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.scheduler is not None and self.scheduler_every == "step":
                self.scheduler.step()
            self._count(loss.item(), scores, y)
            progress.step(len(y), self._loss_sum / self._seen, self._right / self._seen)
            if enough():
                return False
        return True

    def _count(self, loss: float, scores: Tensor, target: Tensor) -> None:
        self.steps += 1
        self._check_finite(loss, "loss")
        self._loss_sum += loss * len(target)
        self._right += int((scores.detach().numpy().argmax(axis=1) == target.numpy()).sum())
        self._seen += len(target)

    def _check_finite(self, loss: float, name: str) -> None:
        if not math.isfinite(loss):
            raise DivergenceError(f"the {name} is {loss} at step {self.steps}: training has diverged. "
                                  "Use a smaller learning rate.")

    def end_epoch(self, progress: Progress | None = None) -> None:
        """Validate, add a line to the history, and keep the weights if they are the best so far."""
        result = evaluate(self.model, self.val_loader, self.loss_fn)
        self._check_finite(result.loss, "validation loss")
        row: dict[str, float] = {
            "epoch": self.epoch + 1, "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "train_loss": self._loss_sum / self._seen, "train_accuracy": self._right / self._seen,
            "val_loss": result.loss, "val_accuracy": result.accuracy}
        for column, value in row.items():
            self.history[column].append(value)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(result.loss)
        elif self.scheduler is not None and self.scheduler_every == "epoch":
            self.scheduler.step()
        self._loss_sum, self._right, self._seen = 0.0, 0, 0
        best = self.stopping.update(self.epoch, result.loss)
        if best:
            self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if progress is not None:
            progress.end_epoch(row, best)

    @property
    def in_epoch(self) -> bool:
        """Whether an epoch has begun that is not complete."""
        return self._seen > 0

    def state_dict(self) -> dict[str, Any]:
        """Model, optimiser, scheduler, loader, generators, best weights, early stopping, history and position.

        Its tensors are those of the model and the optimiser: save or copy them before the next step.
        """
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "loader": self.train_loader.state_dict(), "best_weights": self.best_weights,
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "stopping": asdict(self.stopping), "history": self.history, "epochs": self.epochs, "steps": self.steps,
            "running": [self._loss_sum, self._right, self._seen],
            **({} if self.scheduler is None else {"scheduler": self.scheduler.state_dict()})}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict()` was called, in a Trainer made with the same arguments.

        Raises StateDictError if the state does not fit.
        """
        missing = [key for key in self.state_dict() if key not in state_dict]
        if missing:
            raise StateDictError(f"Trainer.load_state_dict: the state has no {', '.join(missing)}. "
                                 "Give the result of state_dict().")
        for what, own, other in (("epochs", self.epochs, state_dict["epochs"]),
                                 ("patience", self.stopping.patience, state_dict["stopping"]["patience"]),
                                 ("generators", sorted(self.generators), sorted(state_dict["generators"]))):
            if own != other:
                raise StateDictError(f"Trainer.load_state_dict: {what} was {other} when the state was saved and is "
                                     f"{own} now. Continue with the same settings.")
        if self.scheduler is None and "scheduler" in state_dict:
            raise StateDictError("Trainer.load_state_dict: the state is that of a run with a scheduler and this trainer has "
                                 "none, so that the learning rate would stand still. Continue with the same settings.")
        self.model.load_state_dict(state_dict["model"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state_dict["scheduler"])
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.train_loader.load_state_dict(state_dict["loader"])
        for name, generator in self.generators.items():
            generator.set_state(state_dict["generators"][name])
        self.best_weights = {name: value.clone() for name, value in state_dict["best_weights"].items()}
        self.stopping = EarlyStopping(**state_dict["stopping"])
        self.history = {column: list(values) for column, values in state_dict["history"].items()}
        self.steps = state_dict["steps"]
        self._loss_sum, self._right, self._seen = state_dict["running"]
