"""A file as memory: its bytes are read when they are first looked at, page by page, and never twice.

The mapping is private (copy on write): arrays on it can be written to, the file never changes.  While an array on it lives,
another program must not shorten the file in place: reading a page that is gone ends the process (SIGBUS).  Files that this
package writes are replaced, not rewritten (see `atomic`), which is safe.
"""

import mmap
import os
from typing import Any, BinaryIO

import numpy as np

from tinygrad_course.errors import DataError


class MappedFile:
    """The content of a file, `size` bytes.  Raises DataError if it is missing, empty or unreadable."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                if self.size == 0:
                    raise DataError(f"{path} is empty. Make or download it again.")
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError as error:
            raise DataError(f"{path} does not exist. Check the path.") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}. Give the path of a readable file.") from error

    def read(self, start: int, count: int) -> bytes:
        """A copy of at most `count` bytes from `start` on."""
        return self._memory[start:start + count]

    def stream(self, start: int) -> BinaryIO:
        """The content as a file to read from, from byte `start` on.  There is one position: use one stream at a time."""
        self._memory.seek(start)
        return self._memory  # type: ignore[return-value]

    def array(self, dtype: Any, count: int, start: int) -> np.ndarray:
        """`count` numbers from byte `start` on, in the machine's byte order; on the file's memory where that is possible."""
        kind = np.dtype(dtype)
        if count == 0:
            return np.empty(0, kind.newbyteorder("="))
        values = np.frombuffer(self._memory, kind, count, start)
        if values.flags.aligned and kind.isnative:
            return values
        return values.astype(kind.newbyteorder("="))  # kernels read aligned numbers only
