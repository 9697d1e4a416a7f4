"""Fetching: pip itself with a folder as its index; stand-ins for npm and apt-get, which a test machine may not have."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course
from tests.data.packages import deb, zipped
from tinygrad_course.data import fetch as fetch_module
from tinygrad_course.data.archive import read_members
from tinygrad_course.data.fetch import (
    Package,
    cache_folder,
    cached_file,
    fetch,
    find_package,
    installed_folder,
    remove_leftovers,
    scratch_folder,
)
from tinygrad_course.data.prepared import PackagedArrays
from tinygrad_course.errors import DataError

CONTENT = b"the package"
NPM = Package("npm", "numbers", "1.2.0", "numbers-1.2.0.tgz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
DEB = deb({"usr/share/x": b"1"})
APT = Package("apt", "words", "1.0-1", "words_1.0-1_all.deb", len(DEB), hashlib.sha256(DEB).hexdigest())

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are programs of a Unix")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of that name on the PATH, alone; it notes its arguments in calls.txt."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, body):
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\nopen({str(tmp_path / 'calls.txt')!r}, 'a').write("
                        f"' '.join(['{name}', *sys.argv[1:]]) + '\\n')\n{body}\n")
        path.chmod(0o755)

    return write


def calls(tmp_path):
    path = tmp_path / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def files(folder):
    return sorted(path.name for path in folder.iterdir())


WRITE = f"open({NPM.file!r}, 'wb').write({CONTENT!r})"


def test_npm(tmp_path, cache, program):
    program("npm", WRITE)
    assert fetch(NPM) == fetch(NPM) == cache / NPM.file
    assert calls(tmp_path) == ["npm pack --ignore-scripts numbers@1.2.0"]  # what is there is not fetched again
    assert (cache / NPM.file).read_bytes() == CONTENT
    assert files(cache) == [NPM.file]
    assert find_package(NPM, "numbers") == cache / NPM.file
    assert NPM.command == "npm pack numbers@1.2.0"


def test_a_damaged_file_is_not_read_and_is_fetched_again(tmp_path, cache, program):
    program("npm", WRITE)
    fetch(NPM).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"its SHA-256 differs. Delete .* again: tinygrad-course data get numbers"):
        find_package(NPM, "numbers")
    assert fetch(NPM).read_bytes() == CONTENT
    assert len(calls(tmp_path)) == 2


@pytest.mark.parametrize(("body", "says"), [
    (f"open({NPM.file!r}, 'wb').write(b'another')", f"with the SHA-256 .*; {NPM.sha256} is the published one"),
    ("sys.exit('npm ERR! code E404')", "npm pack numbers@1.2.0 failed: npm ERR! code E404"),
    ("sys.exit(3)", "failed: no output"),
    (r"sys.stderr.buffer.write(b'npm ERR! \xff'); sys.exit(1)", "failed: npm ERR! \ufffd"),
    ("pass", "has brought nothing in place of numbers-1.2.0.tgz"),
    ("open('numbers-1.3.0.tgz', 'wb')", "has brought numbers-1.3.0.tgz in place of"),
])
def test_what_can_go_wrong_leaves_nothing(cache, program, body, says):
    program("npm", body)
    with pytest.raises(DataError, match=says) as caught:
        fetch(NPM)
    assert "\n" not in str(caught.value)
    assert files(cache) == []


def test_without_the_program(cache, program):
    with pytest.raises(DataError, match=r"needs npm, which is not on this machine. Run npm pack numbers@1.2.0 on "
                                        r"another one, and copy numbers-1.2.0.tgz to .*cache"):
        fetch(NPM)


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch, program):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*Set TINYGRAD_COURSE_DATA to a folder that can"):
        fetch(NPM)


def test_a_killed_fetch_leaves_nothing(tmp_path, cache, program):
    """No half file; and its folder is removed by the next fetch, which leaves alone that of a process that still works."""
    program("npm", f"open({NPM.file!r}, 'wb').write({CONTENT[:4]!r})\nopen({str(tmp_path / 'begun')!r}, 'w')\n"
                   f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)\n{WRITE}")
    code = ("from tinygrad_course.data.fetch import Package, fetch\n"
            f"fetch(Package('npm', 'numbers', '1.2.0', {NPM.file!r}, 1, {NPM.sha256!r}))")
    root = str(Path(tinygrad_course.__file__).parents[1])

    def begin():
        process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root},
                                   start_new_session=True)
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
        (tmp_path / "begun").unlink()
        return process
    killed = begin()
    os.killpg(killed.pid, signal.SIGKILL)  # the fetching process and its npm
    killed.wait()
    assert cached_file(NPM) is None
    left, = cache.iterdir()
    working = begin()
    mine, = cache.iterdir()
    assert mine.name != left.name
    program("npm", WRITE)
    assert fetch(NPM).read_bytes() == CONTENT
    assert files(cache) == sorted([mine.name, NPM.file])
    (tmp_path / "go").touch()
    assert working.wait() == 0
    assert files(cache) == [NPM.file]


def test_a_new_folder_that_was_taken_for_a_leftover(tmp_path, monkeypatch):
    """Another process removes it, or is about to, between its creation and its lock: there will be another one."""
    tries = []

    def locked(folder):
        tries.append(folder)
        if len(tries) == 1:
            os.rmdir(folder)
            raise FileNotFoundError(folder)
        if len(tries) == 2:
            other = lock(folder)
            try:
                return lock(folder)  # flock() looks at the descriptor, not at the process
            finally:
                os.close(other)
        return lock(folder)
    lock = fetch_module._locked
    monkeypatch.setattr(fetch_module, "_locked", locked)
    with scratch_folder(tmp_path) as folder:
        assert str(folder) == tries[2]
        remove_leftovers(tmp_path)
        assert folder.is_dir()
    assert len(tries) == 4 + 1  # of the three folders the two that are there were looked at
    assert files(tmp_path) == []


def test_several_at_a_time(cache, program):
    program("npm", f"f = open({NPM.file!r}, 'wb')\nf.write({CONTENT[:4]!r})\nf.flush()\ntime.sleep(0.2)\n"
                   f"f.write({CONTENT[4:]!r})")
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(fetch, [NPM] * 4))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert files(cache) == [NPM.file]


def apt(program, version, sha256, content=DEB):
    program("apt-cache", f"print('Package: words\\nVersion: {version}\\nDescription: x\\n Version: 9\\nSHA256: {sha256}')")
    program("apt-get", f"open('words_{version}_all.deb', 'wb').write({content!r})")


def test_apt(tmp_path, cache, program):
    apt(program, "1.0-1", "0" * 64)  # ours is compared with our own sum
    assert fetch(APT) == cache / APT.file
    assert calls(tmp_path) == ["apt-cache show --no-all-versions words", "apt-get --quiet download words=1.0-1"]
    assert read_members(find_package(APT, "words"), "usr/*") == {"usr/share/x": b"1"}


def test_apt_offers_another_version(cache, program):
    other = deb({"usr/share/x": b"2"})
    apt(program, "1.1-1", "0" * 64, other)
    with pytest.raises(DataError, match="the published one"):
        fetch(APT)
    apt(program, "1.1-1", hashlib.sha256(other).hexdigest(), other)
    assert fetch(APT) == find_package(APT, "words") == cache / "words_1.1-1_all.deb"
    (cache / APT.file).write_bytes(DEB)
    assert find_package(APT, "words") == cache / APT.file  # of several, the one that the loader was written for


def test_apt_does_not_know_it(cache, program):
    program("apt-get", "")
    program("apt-cache", "sys.exit('E: No packages found')")
    with pytest.raises(DataError, match="failed: E: No packages found"):
        fetch(APT)
    program("apt-cache", "")
    with pytest.raises(DataError, match=r"apt-cache knows no package words. Update its lists: apt-get update"):
        fetch(APT)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Makes pip know one wheel, as a user's own configuration would."""
    content = zipped({"toy/data.txt": b"data",
                      "toy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
                      "toy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                      "toy-1.0.dist-info/RECORD": b""})
    (tmp_path / "index").mkdir()
    (tmp_path / "index/toy-1.0-py3-none-any.whl").write_bytes(content)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path / "index")), ("PIP_CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(name, value)
    return Package("pip", "toy", "1.0", "toy-1.0-py3-none-any.whl", len(content), hashlib.sha256(content).hexdigest(),
                   "toy/data.txt")


def test_pip(cache, index):
    assert read_members(fetch(index), "toy/*") == {"toy/data.txt": b"data"}
    assert files(cache) == [index.file]
    assert index.command == "pip download --no-deps toy==1.0"
    changed = replace(index, sha256="0" * 64)
    with pytest.raises(DataError, match=r"pip download --no-deps toy==1.0 failed: .*"):
        fetch(changed)  # what is in the cache is not that file, and pip refuses the one of the index


def test_installed_packages_are_found(tmp_path, monkeypatch, cache, index):
    assert installed_folder(index) is None
    (tmp_path / "site/toy").mkdir(parents=True)
    (tmp_path / "site/toy/__init__.py").touch()
    (tmp_path / "site/toy/data.txt").write_bytes(b"data")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert find_package(index, "toy") == tmp_path / "site"
    assert read_members(find_package(index, "toy"), index.installed) == {"toy/data.txt": b"data"}
    assert installed_folder(replace(index, installed="toy/other.txt")) is None
    assert installed_folder(replace(APT, installed="nowhere/at/all")) is None


def test_missing_names_the_command(cache):
    with pytest.raises(DataError, match=r"the data of 'numbers' is not on this machine. Fetch numbers 1.2.0 \(0.0 MB, "
                                        r"npm pack numbers@1.2.0\): tinygrad-course data get numbers"):
        find_package(NPM, "numbers")
    assert not cache.exists()
    assert find_package(NPM, "numbers", "mine.tgz") == Path("mine.tgz")


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINYGRAD_COURSE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG specification
    assert cache_folder() == tmp_path / ".cache/tinygrad_course"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/tinygrad_course")
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", "~/data")
    assert cache_folder() == tmp_path / "data"


def test_prepared_arrays(tmp_path, cache, program):
    read = []

    def reader(path):
        read.append(path)
        return {"values": np.frombuffer(path.read_bytes(), np.uint8)}

    data = PackagedArrays("numbers", (NPM,), reader)
    program("npm", WRITE)
    assert data.prepare() == data.prepare() == data.file
    assert len(read) == 1
    assert files(cache) == sorted([NPM.file, data.file.name])
    assert data.load()["values"].tobytes() == CONTENT
    assert len(read) == 1
    (tmp_path / "mine").write_bytes(b"mine")
    assert data.load(tmp_path / "mine")["values"].tobytes() == b"mine"
    data.file.write_bytes(data.file.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"is damaged .*make it again: tinygrad-course data get numbers"):
        data.load()
    data.file.unlink()
    assert data.load()["values"].tobytes() == CONTENT  # slower, from the package
    assert not data.file.exists()  # loaders write nothing
