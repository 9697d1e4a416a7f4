"""Reading single files out of packages without installing them: .deb, .whl, .zip, .tgz, or a folder they are unpacked in.

A .deb is an `ar` archive of three members, debian-binary, control.tar.* and data.tar.* (deb(5), ar(5)); the files of the
package are in the last.  Wheels are zip files.  Everything here is the standard library's; nothing is written to disk.
"""

import fnmatch
import io
import lzma
import os
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from tinygrad_course.errors import DataError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60  # bytes: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, and the two that end it
_ZIP_MAGIC = b"PK"
_MOST_BYTES = 1 << 30  # of one file, unpacked; the largest that is read here has 154 MB

# What the modules of the standard library raise for damaged archives of all kinds, and for encrypted ones.
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError, RuntimeError, ValueError,
           OverflowError, MemoryError)


def read_members(path: str | os.PathLike[str], *patterns: str) -> dict[str, bytes]:
    """The files of a package whose names fit the patterns of `fnmatch` (`*` also crosses folders), by name and in order.

    path   a .deb, a wheel or another zip, a tar of any packing, or the folder that one was unpacked in
    Names have no "./" in front.  Raises DataError if the package is missing or broken, or nothing fits one of the patterns.
    """
    path = Path(path)
    try:
        found = _from_folder(path, patterns) if path.is_dir() else _from_file(path, patterns)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Give a package file, or the folder that it was unpacked in.") from error
    except DAMAGED as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)  # tarfile tells all that it has tried
        raise DataError(f"{path} is truncated, damaged or no package file ({reason}). Fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Give another path.") from error
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in found):
            raise DataError(f"{path} has no file {pattern}. Is it another package, or another version of it?")
    return dict(sorted(found.items()))


def _from_folder(folder: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    files = [file for pattern in patterns for file in folder.glob("**/*" if pattern.startswith("*") else pattern)
             if file.is_file() and _fits(file.relative_to(folder).as_posix(), patterns)]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _from_file(path: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    with path.open("rb") as file:
        magic = file.read(len(_AR_MAGIC))
        file.seek(0)
        if magic == _AR_MAGIC:
            return _from_tar(_deb_payload(file, path), patterns)
        if magic.startswith(_ZIP_MAGIC):
            with zipfile.ZipFile(file) as archive:
                return {name: read_zipped(archive, name) for name in archive.namelist() if _fits(name, patterns)}
        return _from_tar(file, patterns)


def read_zipped(archive: zipfile.ZipFile, name: str) -> bytes:
    """The file `name` of an open zip archive."""
    _check_size(name, archive.getinfo(name).file_size)
    return archive.read(name)


def _check_size(name: str, size: int) -> None:
    """A few kilobytes can be packed so that they unpack to more than there is memory."""
    if size > _MOST_BYTES:
        raise ValueError(f"{name} would have {size:,} bytes when unpacked")


def _from_tar(file: BinaryIO, patterns: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and _fits(name, patterns):
                _check_size(name, member.size)
                found[name] = archive.extractfile(member).read()  # type: ignore[union-attr]  # a regular file has content
    return found


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _deb_payload(file: BinaryIO, path: Path) -> io.BytesIO:
    """The member data.tar.* of the .deb that is open at its start."""
    file.seek(len(_AR_MAGIC))
    while header := file.read(_AR_HEADER):
        size_text = header[48:58].strip()
        if len(header) < _AR_HEADER or header[58:] != b"`\n" or not size_text.isdigit():
            break
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(size_text)
        if not name.startswith("data.tar"):
            file.seek(size + size % 2, os.SEEK_CUR)  # members start at even places
            continue
        if name.endswith(".zst") and sys.version_info < (3, 14):
            raise DataError(f"{path} is packed with Zstandard, which Python reads from 3.14 on. Install the package, or "
                            f"unpack it (dpkg-deb -x {path.name} FOLDER) and give the folder.")
        there = path.stat().st_size - file.tell()
        if there < size:
            raise DataError(f"{path} is truncated: {name} should have {size:,} bytes, {there:,} are there. Fetch it again.")
        return io.BytesIO(file.read(size))
    raise DataError(f"{path} is no complete Debian package: it has no data.tar. Fetch it again.")
