"""Checkpoints: nested state dicts in one safetensors file.

Tensors are stored as such, everything else as JSON in the file's metadata.  One file, because two cannot be replaced in
one step: a run killed between them would leave halves that do not belong together.  Nothing is pickled, so a checkpoint
from a stranger is safe to open.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.io import load_file, load_metadata, save_file
from tinygrad_course.tensor import Tensor
from tinygrad_course.train.callback import Callback

if TYPE_CHECKING:
    from tinygrad_course.train.trainer import Trainer

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
_KEY = "tinygrad_course.checkpoint.v1"


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write `state` to `path`; an old file is replaced only by a complete new one.

    `state` may nest dicts, lists and tuples of tensors, arrays, numbers, texts, True, False and None.
    Raises DataError for anything else, or an unwritable path.
    """
    tensors: dict[str, Tensor | np.ndarray] = {}
    tree = _pack(state, "state", tensors)
    save_file(tensors, path, {_KEY: json.dumps(tree)})


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; arrays come back as tensors.  Raises DataError if it is missing or broken."""
    metadata = load_metadata(path)
    if _KEY not in metadata:
        raise DataError(f"{path} is no checkpoint: it may hold weights, but not the state of a run. "
                        "Give a file of save_checkpoint.")
    tensors = load_file(path)
    try:
        state = _unpack(json.loads(metadata[_KEY]), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is a damaged checkpoint ({error!r}). Start a new run.") from error
    if not isinstance(state, dict):
        raise DataError(f"{path} is a damaged checkpoint: it holds no dict. Start a new run.")
    return state


class Checkpoint(Callback):
    """Keeps a run in a folder: `checkpoint.safetensors`, all that it needs to go on, and `best.safetensors`, weights alone.

    every        epochs between two checkpoints; the end of `fit` writes one too, unless an error ended it
    every_steps  steps between two checkpoints within an epoch; None: only after epochs

        keep = Checkpoint("runs/digits")
        trainer = Trainer(..., callbacks=[keep])
        keep.restore(trainer)  # goes on, if there is something to go on with
        trainer.fit()

    A file is replaced in one step by a complete new one.  The best weights are read by io.load_file and by PyTorch's users.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int = 1, every_steps: int | None = None) -> None:
        if every < 1 or (every_steps is not None and every_steps < 1):
            raise ValueError(f"Checkpoint: every={every}, every_steps={every_steps}; give whole numbers of at least 1")
        self.folder = Path(folder)
        self.every = every
        self.every_steps = every_steps

    def restore(self, trainer: "Trainer") -> bool:
        """Let the trainer continue from the folder; False if there is no checkpoint.

        Raises DataError for a broken file, StateDictError for that of another run.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        trainer.load_state_dict(load_checkpoint(path))
        return True

    def save(self, trainer: "Trainer") -> None:
        """Write the checkpoint."""
        save_checkpoint(self.folder / CHECKPOINT, trainer.state_dict())

    def on_fit_begin(self, trainer: "Trainer") -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder} cannot be made: {error.strerror}. Give another folder.") from error

    def on_step_end(self, trainer: "Trainer") -> None:
        if self.every_steps is not None and trainer.steps % self.every_steps == 0:
            self.save(trainer)

    def on_epoch_end(self, trainer: "Trainer") -> None:
        # The best weights first: a checkpoint shall not say more than there is.
        if trainer.improved:
            save_file(trainer.best_weights, self.folder / BEST)
        if trainer.epoch % self.every == 0:
            self.save(trainer)

    def on_fit_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        if error is None:
            self.save(trainer)


def _pack(value: Any, name: str, tensors: dict[str, Tensor | np.ndarray]) -> Any:
    """`value` as JSON; tensors go to `tensors` and leave {"tensor": their name} behind.

    Containers become {"dict": [[key, value], ...]}, {"list": [...]}, {"tuple": [...]}: JSON alone would turn the
    integer keys of an optimiser's state into texts and tuples into lists.
    """
    if isinstance(value, Tensor | np.ndarray):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str | int):
                raise DataError(f"save_checkpoint: {name} has the key {key!r}; keys must be texts or whole numbers.")
        return {"dict": [[key, _pack(entry, f"{name}.{key}", tensors)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_pack(entry, f"{name}.{number}", tensors) for number, entry in enumerate(value)]}
    if value is None or isinstance(value, str | int | float):
        return value
    raise DataError(f"save_checkpoint: {name} is of type {type(value).__name__}. Convert it to numbers, texts, lists, "
                    "dicts or tensors.")


def _unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    (kind, content), = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpack(entry, tensors) for key, entry in content}
    entries = [_unpack(entry, tensors) for entry in content]
    return tuple(entries) if kind == "tuple" else entries
