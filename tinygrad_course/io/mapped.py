"""A file as memory: its bytes are read when they are first looked at, page by page, and never twice.

The mapping is private (copy on write): arrays on it can be written to, the file never changes.  While an array on it lives,
another program must not shorten the file in place: reading a page that is gone ends the process (SIGBUS).  Files that this
package writes are replaced, not rewritten (see `atomic`), which is safe.
"""

from __future__ import annotations

import io
import mmap
import os
from typing import Any, BinaryIO

import numpy as np

from tinygrad_course.errors import DataError


class Stream:
    """Reads a part of a mapped file from front to back, never more than it is asked for."""

    def __init__(self, file: MappedFile, start: int, end: int) -> None:
        self._file, self._at, self._end = file, start, end

    def tell(self) -> int:
        """The byte of the file that comes next."""
        return self._at

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end."""
        content = self._file.read(self._at, min(count, self._end - self._at))
        self._at += len(content)
        return content

    def read_line(self, most: int) -> bytes:
        """The next bytes up to a line feed, which is included; without one after `most` bytes."""
        start = self._at
        content = self.read(most)
        line, feed, _ = content.partition(b"\n")
        self._at = start + len(line) + len(feed)
        return line + feed


class MappedFile:
    """The content of a file, `size` bytes.  Raises DataError if it is missing, empty or unreadable.

    Of an open file (io.BytesIO, a download) what it holds from its position on is copied into memory of its own.
    `source` is what other readers can open: the path, or that content."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        if not isinstance(path, str | os.PathLike):
            content = path.read()
            if not content:
                raise DataError("the open file has nothing behind its position. After writing to it: file.seek(0).")
            self.path: str | os.PathLike[str] = "the open file"
            self.source: str | os.PathLike[str] | BinaryIO = io.BytesIO(content)
            self.size = len(content)
            self._memory = mmap.mmap(-1, self.size)
            self._memory.write(content)
            return
        self.path = self.source = path
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

    def stream(self, start: int = 0, count: int | None = None) -> Stream:
        """Reads `count` bytes, or all, from byte `start` on, one after the other."""
        return Stream(self, start, self.size if count is None else start + count)

    def array(self, dtype: Any, count: int, start: int) -> np.ndarray:
        """`count` numbers from byte `start` on, in the machine's byte order; on the file's memory where that is possible."""
        kind = np.dtype(dtype)
        if count == 0:
            return np.empty(0, kind.newbyteorder("="))
        values = np.frombuffer(self._memory, kind, count, start)
        if values.flags.aligned and kind.isnative:
            return values
        return values.astype(kind.newbyteorder("="))  # kernels read aligned numbers only
