"""Learning rates as functions of the step.  Those with a state are in optim.lr_scheduler."""

import math
from collections.abc import Callable


def cosine(lr: float, steps: int) -> Callable[[int], float]:
    """Learning rate of step t = 0 ... steps - 1:  lr (1 + cos(pi t / steps)) / 2.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.
    """
    return lambda step: 0.5 * lr * (1 + math.cos(math.pi * min(step, steps) / steps))
