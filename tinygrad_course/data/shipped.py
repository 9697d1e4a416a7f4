"""The data files inside the package.  Their sources and licences stand in files/NOTICE.md."""

import hashlib
import io
from importlib.resources import files

import numpy as np

from tinygrad_course.data.idx import ImageSet
from tinygrad_course.errors import DataError

# Printed by tools/make_shipped_data.py.
_SHA256 = {
    "cmudict.txt.xz": "8fd53d1b653677942d25bc8ffc907a477a264892083e1db1253ade8fd5404b77",
    "digits.npz": "4f9971f264ebf2d55d4b975e018ea81e52df99713722c0f5a7ed6885f9889dfb",
    "fashion_mnist_2000.npz": "f8f2af74c0ff9d436a20261a56a5034984fc54b3adb40ceac0706f652e68459e",
    "genesis.txt.xz": "6ffa87352aeaf54505a414d9181e430a630e9c45873dfece873a2edb990f0e51",
    "english_spanish.tsv.xz": "473ec92f1eb10e085fe1dc65129dc9f36da60879ad963947fa9d98f2ffa54a0d",
    "iris.npz": "ccb0998b21212b3801fbdd5e3acb960684dc6e4823af3980c31411fa0e21a7eb",
    "sunspots.npz": "0c2cf27c7224d556366bf88806ec56954aa1a4ecd9e8de86fa2e2d1819e5e6da",
    "wine.npz": "d2c70a2133454eafe66d030272eebc552dacbc660862adea0f35e4645b8b55d9",
}


def shipped_bytes(name: str) -> bytes:
    """The content of a shipped file, after checking that its bytes are the published ones.

    Raises DataError if the file is missing or changed.
    """
    try:
        content = (files("tinygrad_course.data") / "files" / name).read_bytes()
    except OSError as error:
        raise DataError(f"the shipped file {name} is missing. Install tinygrad_course again.") from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise DataError(f"the shipped file {name} is damaged: its SHA-256 differs. Install tinygrad_course again.")
    return content


def load_shipped(name: str) -> ImageSet:
    """Read one shipped set of images: uint8 (N, H, W) and labels int64 (N,) in two disjoint parts.

    Raises DataError if the file is missing or changed.
    """
    with np.load(io.BytesIO(shipped_bytes(name)), allow_pickle=False) as arrays:
        return ImageSet(arrays["train_images"], arrays["train_labels"].astype(np.int64),
                        arrays["test_images"], arrays["test_labels"].astype(np.int64))


def choose_split(images: ImageSet, split: str, caller: str) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) of one part, "train" or "test"."""
    if split == "train":
        return images.train_images, images.train_labels
    if split == "test":
        return images.test_images, images.test_labels
    raise DataError(f'{caller}: there is no split {split!r}. Give "train" or "test".')
