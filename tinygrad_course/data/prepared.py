"""Arrays out of package files, kept in the cache folder where reading the package takes long.

`tinygrad-course data get` writes them; the loaders write nothing, and read the package itself where they are missing.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad_course.data.fetch import Package, cache_folder, fetch, find_package, scratch_folder
from tinygrad_course.errors import DataError

_FORMAT = 1  # raise it when a reader gives other arrays than before: the old files are then not looked at


@dataclass(frozen=True)
class PackagedArrays:
    """A data set that is read from package files into arrays.

    name      its name in `tinygrad-course data`
    packages  the files that it needs
    read      gives its arrays; takes one path per package
    """

    name: str
    packages: tuple[Package, ...]
    read: Callable[..., dict[str, np.ndarray]]

    def load(self, *paths: str | os.PathLike[str] | None) -> dict[str, np.ndarray]:
        """The arrays: those of the given packages, else the prepared ones, else those of the packages that are found."""
        if not any(paths) and self.file.is_file():
            try:
                # np.load would leave a broken file open.
                with self.file.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    return dict(arrays)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"{self.file} is damaged ({error}). Delete it and make it again: tinygrad-course data get "
                                f"{self.name}") from error
        given = paths or (None,) * len(self.packages)
        return self.read(*(find_package(package, self.name, path)
                           for package, path in zip(self.packages, given, strict=True)))

    @property
    def file(self) -> Path:
        """The file of the prepared arrays, which need not exist."""
        key = hashlib.sha256(" ".join([str(_FORMAT), *(package.sha256 for package in self.packages)]).encode())
        return cache_folder() / f"{self.name}-{key.hexdigest()[:12]}.npz"

    def prepare(self) -> Path:
        """Fetch the packages where they are missing, and write the prepared file unless it is there."""
        paths = [fetch(package) for package in self.packages]
        if not self.file.is_file():
            arrays = self.read(*paths)
            # Under another name first: a reader must never see half of it.
            with scratch_folder(self.file.parent) as scratch:
                file = scratch / self.file.name
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
                os.replace(file, self.file)
        return self.file
