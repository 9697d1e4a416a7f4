"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_course.optim.lr_scheduler.base import LRScheduler, set_option
from tinygrad_course.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinygrad_course.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """Several schedulers of one optimiser."""

    _schedulers: Sequence[LRScheduler]
    _not_saved = ("optimizer", "_schedulers")

    def _check(self, optimizer: Optimizer) -> None:
        name = type(self).__name__
        for number, scheduler in enumerate(self._schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {number} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to "
                                 f"be specified when calling `step`, but got one at index {number} in the given schedulers "
                                 "sequence.")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
                                 f"{type(scheduler).__name__} at index {number}, whose optimizer is another one.")

    def state_dict(self) -> dict[str, Any]:
        """As LRScheduler's, with the states of the parts under "_schedulers"."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state of a combination of the same kinds."""
        super().load_state_dict(state_dict)
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(saved)


class SequentialLR(_Combined):
    """One schedule after the other: number i + 1 begins, from the initial rate, at step milestones[i].

    The parts may be sequences and chains themselves, which PyTorch refuses or counts one step short.
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int],
                 last_epoch: int = -1) -> None:
        if len(schedulers) < 1:
            raise ValueError(f"{type(self).__name__} expects at least one scheduler, but got no scheduler.")
        self._schedulers = schedulers
        self._check(optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError("Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                             f"milestone points, but got number of schedulers {len(schedulers)} and the number of milestones "
                             f"to be equal to {len(milestones)}")
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # All parts have set their first rates, one on top of the other: back, and the first part alone once more.
        for group in optimizer.param_groups:
            set_option(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back the step that each part made when it was made."""
        sched = self if sched is None else sched
        if hasattr(sched, "_schedulers"):
            for part in sched._schedulers:
                self.recursive_undo(part)
        else:
            sched.last_epoch -= 1

    def _initial_step(self) -> None:
        """Begin as a part of another sequence."""
        self._update_lr(0, first=True)

    def _update_lr(self, epoch: int | None = None, first: bool = False) -> None:
        """Go to a step as a part of another sequence."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        part = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[part]
        if first:
            scheduler.last_epoch = -1
            scheduler._initial_step()
        else:
            scheduler._update_lr(self.last_epoch - (self._milestones[part - 1] if part else 0))
        self._last_lr = scheduler.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next step."""
        self.last_epoch += 1
        part = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[part]
        if part > 0 and self._milestones[part - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """Several chainable schedules at once: each step multiplies the factors of all."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if len(schedulers) < 1:
            raise ValueError(f"{type(self).__name__} expects at least one scheduler to be chained, but got no scheduler.")
        self._schedulers = schedulers
        self._check(optimizer or schedulers[0].optimizer)
        self.optimizer = optimizer or schedulers[0].optimizer
        self._last_lr = self._of_groups("lr")

    def _initial_step(self) -> None:
        """Begin as a part of a sequence."""
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
            scheduler._initial_step()
        self._last_lr = self._of_groups("lr")

    def _update_lr(self, epoch: int | None = None) -> None:
        """Begin again, from the initial rate, as a later part of a sequence: the only step that can be asked for."""
        for group in self.optimizer.param_groups:
            set_option(group, "lr", group["initial_lr"])
        self._initial_step()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next step, with all parts in their order."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._of_groups("lr")
