"""The first training step in two engines, compared: nobody shall time a wrong result.

Loss, output and every gradient must agree.  In float32 the bound on gradients is loose: where a pre-activation is nearly
zero, ReLU cuts it in one engine and not in the other, and one such flip moves a gradient by 1e-3 of its length.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.bench.engines import to_numpy
from tinygrad_course.bench.task import Task

LOSS_BOUND, GRADIENT_BOUND = 1e-3, 3e-2


class WrongResult(Exception):
    """Two engines disagree on the first step; the message says where."""


@dataclass
class Agreement:
    """Relative differences of the first step: of the loss, and of the worst gradient in the L2 norm."""

    loss: float
    gradient: float
    worst: str


def compare_first_step(ours: Task, theirs: Task) -> Agreement:
    """Run one training step of both, which must start from the same weights.  Raises WrongResult if they disagree."""
    loss, expected = (float(to_numpy(task.step())) for task in (ours, theirs))
    loss_error = abs(loss - expected) / max(abs(expected), 1e-12)
    if not loss_error <= LOSS_BOUND:
        raise WrongResult(f"loss {loss:.6g}, PyTorch has {expected:.6g}")
    gradients, reference = _gradients(ours), _gradients(theirs)
    # Of a gradient that is zero but for rounding (a bias before batch norm) the direction says nothing.
    floor = 1e-3 * np.sqrt(sum(float(np.sum(g.astype(float) ** 2)) for g in reference.values()))
    errors = {name: float(np.linalg.norm((gradients[name] - g).astype(float))) / max(float(np.linalg.norm(g)), floor, 1e-30)
              for name, g in reference.items()}
    worst = max(errors, key=lambda name: errors[name] if errors[name] == errors[name] else np.inf)
    if not errors[worst] <= GRADIENT_BOUND:
        raise WrongResult(f"gradient of {worst} is off by {errors[worst]:.2g} of its length")
    return Agreement(loss_error, errors[worst], worst)


def _gradients(task: Task) -> dict[str, Any]:
    """By name: "0.fc1.weight" is of the first module.  Compiled modules have a prefix, which is taken off."""
    found = {}
    for number, module in enumerate(task.modules):
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                found[f"{number}.{name}"] = to_numpy(parameter.grad)
    return found
