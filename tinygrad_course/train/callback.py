"""What may look on while a Trainer works, and act."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer


class Callback:
    """Base of callbacks: override what you need.  Every method is given the trainer, whose attributes tell the rest.

    `trainer.epoch` epochs and `trainer.steps` steps are complete, `trainer.samples` samples of the running epoch are done,
    `trainer.row()` is the last line of the history, `trainer.improved` says whether it is the best so far.
    `trainer.stop()` ends the run after the step or epoch.
    """

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """`fit` starts, for the first time or again."""

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        """An epoch starts, or the rest of one that was left."""

    def on_step_end(self, trainer: "Trainer") -> None:
        """The weights have changed; `trainer.loss` is the loss before the change."""

    def on_epoch_end(self, trainer: "Trainer") -> None:
        """The epoch is complete, validated and in the history."""

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """`fit` ends or pauses; after an error the state may be that of half a step."""
