"""LRScheduler: the life of a schedule, and its state dict in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_course.autograd.origin import warn
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.options import as_number
from tinygrad_course.tensor import Tensor

Factor = Callable[[int], float]


class LRScheduler:
    """Base of all schedules.  A subclass writes `get_lr()`: the rates of all groups for step number `last_epoch`.

    optimizer    its param_groups get the rates; what they were at first is noted there as "initial_lr"
    last_epoch   number of the last step, -1 before the first one; more than -1 resumes a run whose optimiser was loaded
    base_lrs     the initial rates

    The first rates are set when the scheduler is made.  Call step() after optimizer.step(), once per epoch or per batch as
    the schedule was meant.  Most schedules are chainable: they change the rate that they find, so that several can work
    on one optimiser.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = require_optimizer(optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{number}] when resuming scheduler with "
                               f"last_epoch >= 0: last_epoch={last_epoch} goes on with a run, so load the optimiser's state "
                               "first; a new run begins with last_epoch=-1")
        self.base_lrs: list[Any] = self._of_groups("initial_lr")
        self.last_epoch = last_epoch
        if not optimizer._scheduled:
            optimizer._scheduled, optimizer._opt_called = True, False  # only steps from now on count
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first step."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_last_lr(self) -> list[Any]:
        """The rates that are in use, one per group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates for step `last_epoch`; only step() may ask, because chainable schedules start from the present ones."""
        if not self._get_lr_called_within_step:
            warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.")
        return self._rates()

    def _rates(self) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no rate for a given step: write get_lr()")

    _get_lr_called_within_step = False

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, or with `epoch`, which is deprecated, to that one."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them in the opposite order, "
                 "`optimizer.step()` first. Otherwise the first value of the learning rate schedule is skipped")
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        with self._asking():
            closed_form = getattr(self, "_get_closed_form_lr", None) if epoch is not None else None
            rates = self.get_lr() if closed_form is None else closed_form()
        self._set_rates(rates)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _set_rates(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_option(group, "lr", rate)
        self._last_lr: list[Any] = self._of_groups("lr")

    def _of_groups(self, key: str) -> list[Any]:
        """What the groups have under a key; tensors are copied, because step() writes into them."""
        return [copied(group[key]) for group in self.optimizer.param_groups]

    def _times(self, factor: float) -> list[Any]:
        """The present rates, times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    # ---- state dict ---------------------------------------------------------------------------------------------

    _not_saved: tuple[str, ...] = ("optimizer",)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, and but functions: numbers, lists and dicts."""
        return {key: value for key, value in self.__dict__.items() if key not in self._not_saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of a scheduler of the same kind."""
        self.__dict__.update({key: _own(value) for key, value in state_dict.items() if key not in self._not_saved})
        self.optimizer._opt_called = True  # a run that goes on: its last optimizer.step() was before the state was saved


class OfFunctions(LRScheduler):
    """A schedule with one function per group.  Functions are not saved, only the attributes of callable objects."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        groups = len(require_optimizer(optimizer).param_groups)
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != groups:
                raise ValueError(f"Expected {groups} lr_lambdas, but got {len(lr_lambda)}: one for each parameter group")
            self.lr_lambdas = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * groups
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        super().__init__(optimizer, last_epoch)

    _not_saved = ("optimizer", "lr_lambdas")

    def state_dict(self) -> dict[str, Any]:
        """As LRScheduler's; under "lr_lambdas" the attributes of callable objects, None for functions."""
        return {**super().state_dict(), "lr_lambdas": [attributes(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state; functions stay as they are, callable objects get their attributes back."""
        super().load_state_dict(state_dict)
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                function.__dict__.update(saved)


def attributes(function: Any) -> dict[str, Any] | None:
    """What a callable object remembers; None for a function."""
    return None if function is None or isinstance(function, FunctionType) else dict(getattr(function, "__dict__", {}))


def require_optimizer(optimizer: Any) -> Optimizer:
    """Raise TypeError for anything else."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def copied(value: Any) -> Any:
    """A number as it is, a tensor as a copy."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def set_option(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group; a tensor is written into."""
    if isinstance(group[key], Tensor):
        group[key].fill_(as_number(value))
    else:
        group[key] = value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A list with one value per group; a single one is repeated."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [copied(value) for _ in range(groups)]
    if len(value) != groups:
        raise ValueError(f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
                         f"param_groups has {groups}.")
    return [copied(each) for each in value]


def warn_of_epoch() -> None:
    """step(epoch) still works."""
    warn("The epoch parameter in `scheduler.step()` is deprecated, as in PyTorch: call `scheduler.step()` once per step. "
         "With it the closed form of the schedule is used, where there is one")


def _own(value: Any) -> Any:
    """A copy of a loaded value; tensors of other libraries become ours."""
    if isinstance(value, list):
        return [_own(each) for each in value]
    if isinstance(value, dict):
        return {key: _own(each) for key, each in value.items()}
    if not isinstance(value, (Tensor, np.generic)) and hasattr(value, "__array__"):
        value = from_numpy(np.array(value))
    return copied(value)
