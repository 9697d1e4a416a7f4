"""What a benchmark model hands over: a training step, an inference, and what the comparison of two engines needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Task:
    """A model ready to train on one batch, in one engine.

    modules  whose weights are copied from engine to engine and whose gradients are compared
    step     one training step: gradients to zero, forward, backward, update; returns the loss
    infer    one forward pass; returns the output
    """

    modules: Sequence[Any]
    step: Callable[[], Any]
    infer: Callable[[], Any]

    def train(self, mode: bool = True) -> None:
        """Put every module in training mode, or in evaluation mode."""
        for module in self.modules:
            module.train(mode)


def supervised(model: Any, loss: Callable[..., Any], optimizer: Any, batch: Sequence[Any]) -> Task:
    """The usual loop; `loss(*batch)` is the loss and `batch[0]` the model's input."""
    def step() -> Any:
        optimizer.zero_grad()
        value = loss(*batch)
        value.backward()
        optimizer.step()
        return value

    return Task([model], step, lambda: model(batch[0]))


@dataclass(frozen=True)
class Model:
    """An entry of the registry.

    goal   ratio to PyTorch eager, with two threads, that a training step shall reach
    batch  the arrays of a batch, from a NumPy generator
    build  the model in the engine `torch`, which is the module torch or the module tinygrad_course
    """

    name: str
    title: str
    goal: float
    batch: Callable[[Any], tuple[Any, ...]]
    build: Callable[..., Task]
