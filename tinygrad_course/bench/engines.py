"""The engines that are compared, each behind the same few functions."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import tinygrad_course  # before torch, see OURS
from tinygrad_course.bench.task import Model, Task
from tinygrad_course.errors import DependencyError

# This package must be imported before PyTorch: it limits how long the OpenMP threads of either spin when idle, and
# OpenMP reads that once.  Otherwise the idle threads of one engine would take the cores from the other.
OURS, EAGER = "ours", "torch"


class Engine:
    """A library with PyTorch's names.  `name` is "ours", "torch" (eager) or "compile" (torch.compile)."""

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self.module: Any = tinygrad_course if name == OURS else import_module("torch")
        except ImportError as error:
            raise DependencyError("the benchmark compares with PyTorch, which is not installed: pip install torch") from error

    def set_num_threads(self, n: int) -> None:
        """Let the library's kernels use `n` threads."""
        self.module.set_num_threads(n)

    def build(self, model: Model, seed: int = 0) -> Task:
        """The model and its batch in this engine; the same batch for the same seed."""
        self.module.manual_seed(seed)
        batch = [self.module.tensor(array) for array in model.batch(np.random.default_rng(seed))]
        task = model.build(self.module, *batch)
        if self.name == "compile":
            for module in task.modules:
                module.compile()
        return task

    def inference(self, task: Task) -> Callable[[], Any]:
        """`task.infer` without recording."""
        def infer() -> Any:
            with self.module.no_grad():
                return task.infer()

        return infer


def to_numpy(value: Any) -> np.ndarray:
    """The values of a tensor of any engine."""
    return np.asarray(value.detach().numpy())


def copy_weights(source: Task, target: Task, engine: Engine) -> None:
    """Give the modules of `target`, which are of `engine`, the weights and buffers of `source`."""
    for theirs, ours in zip(source.modules, target.modules, strict=True):
        # A compiled module has a prefix in its keys; the order is the same.
        values = [to_numpy(value).copy() for value in theirs.state_dict().values()]
        keys = list(ours.state_dict())
        ours.load_state_dict({key: engine.module.tensor(value) for key, value in zip(keys, values, strict=True)})


def named_arrays(task: Task) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Copies of all parameters and of all buffers; "0.fc1.weight" is of the first module."""
    weights: dict[str, np.ndarray] = {}
    buffers: dict[str, np.ndarray] = {}
    for number, module in enumerate(task.modules):
        parameters = dict(module.named_parameters())
        for name, value in module.state_dict().items():
            (weights if name in parameters else buffers)[f"{number}.{name}"] = to_numpy(value).copy()
    return weights, buffers


def package_version(name: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
