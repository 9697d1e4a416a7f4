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


@dataclass
class FirstStep:
    """Loss and gradients of a first step; "0.fc1.weight" is of the first module."""

    loss: float
    gradients: dict[str, Any]


def first_step(task: Task) -> FirstStep:
    """Run one training step."""
    loss = float(to_numpy(task.step()))
    return FirstStep(loss, _gradients(task))


def compare_first_step(ours: Task, theirs: Task) -> Agreement:
    """Run one training step of both, which must start from the same weights.  Raises WrongResult if they disagree."""
    return compare(first_step(ours), first_step(theirs), "PyTorch")


def compare(ours: FirstStep, theirs: FirstStep, name: str) -> Agreement:
    """Compare what has been run; `name` is the other engine's.  Raises WrongResult if they disagree."""
    loss_error = abs(ours.loss - theirs.loss) / max(abs(theirs.loss), 1e-12)
    if not loss_error <= LOSS_BOUND:
        raise WrongResult(f"loss {ours.loss:.6g}, {name} has {theirs.loss:.6g}")
    gradients, reference = ours.gradients, theirs.gradients
    # Of a gradient that is zero but for rounding (a bias before batch norm) the direction says nothing.
    floor = 1e-3 * np.sqrt(sum(float(np.sum(g.astype(float) ** 2)) for g in reference.values()))
    errors = {key: float(np.linalg.norm((gradients[key] - g).astype(float))) / max(float(np.linalg.norm(g)), floor, 1e-30)
              for key, g in reference.items()}
    worst = max(errors, key=lambda key: errors[key] if errors[key] == errors[key] else np.inf)
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
