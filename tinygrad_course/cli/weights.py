"""Weights files of the command: safetensors with what is needed to use them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tinygrad_course.cli.usage import UsageError
from tinygrad_course.errors import StateDictError
from tinygrad_course.io import load_file, load_metadata, save_file
from tinygrad_course.models import LeNet5
from tinygrad_course.tensor import Tensor

_KEY = "tinygrad_course.train"


@dataclass
class WeightsInfo:
    """How a network was made and what its inputs look like.

    mean, std     of the training pixels, which are in [0, 1]
    fill          see ImageData
    epoch         the epoch of these weights; 0 if the run was stopped before the first was complete
    val_accuracy  0 to 1, or None
    """

    model: str
    data: str
    class_names: list[str]
    mean: float
    std: float
    fill: float
    epoch: int
    val_accuracy: float | None


def save_weights(path: Path, weights: Mapping[str, Tensor], info: WeightsInfo) -> None:
    """Write weights and info in one file."""
    save_file(weights, path, {_KEY: json.dumps(asdict(info))})


def load_weights(path: Path) -> tuple[LeNet5, WeightsInfo]:
    """The network with its weights, in evaluation mode.  Raises UsageError if the file is of something else."""
    if not path.exists():
        raise UsageError(f"{path} does not exist. Train first (tinygrad-course train lenet), or give --weights FILE")
    metadata = load_metadata(path)
    hint = "Give the best.safetensors of a `tinygrad-course train` run"
    if _KEY not in metadata:
        raise UsageError(f"{path} was not written by `tinygrad-course train`. {hint}")
    try:
        info = WeightsInfo(**json.loads(metadata[_KEY]))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} was written by another version. {hint}") from error
    if info.model != "lenet":
        raise UsageError(f"{path} holds the weights of {info.model!r}, which this version does not know. {hint}")
    model = LeNet5(num_classes=len(info.class_names))
    try:
        model.load_state_dict(load_file(path))
    except StateDictError as error:
        raise UsageError(f"{path} does not fit LeNet-5: {error} {hint}") from error
    model.eval()
    return model, info
