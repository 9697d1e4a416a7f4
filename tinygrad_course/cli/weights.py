"""Weights files of the command: safetensors with what is needed to use them; files from elsewhere are read as well."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinygrad_course.cli.images import NAMES, canonical_name, load_image_data
from tinygrad_course.cli.usage import UsageError
from tinygrad_course.data import mean_and_std
from tinygrad_course.errors import DataError, StateDictError
from tinygrad_course.io import load, load_metadata, save_file
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


def load_weights(path: Path, data: str | None = None) -> tuple[LeNet5, WeightsInfo]:
    """The network with its weights, in evaluation mode.

    A file of `tinygrad-course train` says itself what its images look like; of any other file with weights of LeNet-5
    (safetensors, .npz, .pt; a state dict, or a checkpoint that has one) `data` names the images that they were trained on.
    Raises UsageError if the file is of something else.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist. Train first (tinygrad-course train lenet), or give --weights FILE")
    weights = load(path)
    info = _own_info(path)
    hint = "Give the best.safetensors of a `tinygrad-course train` run"
    if info is None:
        weights = _state_dict(weights, path)
        if data is None:
            raise UsageError(f"{path} was not written by `tinygrad-course train` and does not say what its images look "
                             f"like. Add --data NAME, the images that it was trained on ({', '.join(NAMES)} or a folder)")
        info = _info_from(data)
    elif data is not None and canonical_name(data) != info.data:
        raise UsageError(f"{path} was trained on {info.data}, not on {data}. Leave --data out")
    if info.model != "lenet":
        raise UsageError(f"{path} holds the weights of {info.model!r}, which this version does not know. {hint}")
    model = LeNet5(num_classes=len(info.class_names))
    try:
        model.load_state_dict(weights)
    except StateDictError as error:
        raise UsageError(f"{path} does not fit LeNet-5: {error} {hint}") from error
    model.eval()
    return model, info


def _own_info(path: Path) -> WeightsInfo | None:
    """What `save_weights` has written beside the weights; None in other files."""
    try:
        metadata = load_metadata(path)
    except DataError:
        return None  # not safetensors
    if _KEY not in metadata:
        return None
    try:
        return WeightsInfo(**json.loads(metadata[_KEY]))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} was written by another version. Give the best.safetensors of a `tinygrad-course train` "
                         "run") from error


def _info_from(data: str) -> WeightsInfo:
    """What `train` would have written for these images."""
    images = load_image_data(data)
    mean, std = mean_and_std(images.train_images)
    return WeightsInfo(model="lenet", data=canonical_name(data), class_names=list(images.class_names), mean=mean, std=std,
                       fill=images.fill, epoch=0, val_accuracy=None)


def _state_dict(content: Any, path: Path) -> Mapping[str, Any]:
    """The weights in a file: all of it, or the one entry of a checkpoint that has the names of LeNet-5's layers."""
    wanted = set(LeNet5().state_dict())
    candidates = [content, *content.values()] if isinstance(content, Mapping) else []
    found = [value for value in candidates if isinstance(value, Mapping) and wanted & set(value)]
    if len(found) != 1:
        what = "several state dicts" if found else "no weights with the names of LeNet-5's layers"
        raise UsageError(f"{path} holds {what}. Save one state dict with tinygrad_course.io.save; names are changed by "
                         "tinygrad_course.io.remap")
    return found[0]
