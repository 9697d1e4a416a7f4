"""When to stop, and which epoch was the best."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Keeps the best value of a column of the history; says stop after `patience` epochs without a better one.

    patience  epochs; None never stops and still knows the best
    mode      "min": smaller is better, "max": larger.  NaN is never better

    L. Prechelt, "Early stopping - but when?", in Neural Networks: Tricks of the Trade (1998), criterion UP.
    """

    patience: int | None
    mode: str = "min"
    best_value: float = math.nan
    best_epoch: int = 0  # from 1; 0 before the first
    bad_epochs: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take note of an epoch; True if it is the best so far."""
        better = value < self.best_value if self.mode == "min" else value > self.best_value
        if better or (math.isnan(self.best_value) and not math.isnan(value)):
            self.best_value, self.best_epoch, self.bad_epochs = value, epoch, 0
            return True
        self.bad_epochs += 1
        return False

    @property
    def stop(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self.bad_epochs >= self.patience
