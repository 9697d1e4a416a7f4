"""Without a compiler: a message that names the way around, and an installation that works on NumPy alone."""

import importlib.util
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import tinygrad_course as tgc
from tests.packaging.building import copy_of_the_sources, install, pip, run, virtual_environment, wheel

TRAIN = """
import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.testing import gradcheck

tgc.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
x, y = tgc.randn(8, 1, 6, 6), tgc.tensor([0, 1] * 4)
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(5):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
tgc.set_num_threads(2)
assert tgc.get_num_threads() == 1
gradcheck(tgc.tanh, (tgc.tensor([0.3, -1.0], dtype=tgc.float64, requires_grad=True),))
print(f"{tgc.backend.backend_name()} {loss.item():.5f}")
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return copy_of_the_sources(tmp_path_factory.mktemp("no_ext"))


@pytest.fixture(scope="module")
def pure_wheel(sources, tmp_path_factory):
    """Built from a tree in which earlier builds have left a module and a copy of a file that is no longer there."""
    for left_over in ("tinygrad_course/kernels/old" + sysconfig.get_config_var("EXT_SUFFIX"),
                      "build/lib/tinygrad_course/old.py"):
        path = sources / left_over
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return wheel(sources, tmp_path_factory.mktemp("pure_wheel"), TINYGRAD_COURSE_NO_EXT="1")


@pytest.fixture(scope="module")
def python(pure_wheel, tmp_path_factory):
    return install(pure_wheel, tmp_path_factory.mktemp("pure") / "venv")


@pytest.mark.skipif(sys.platform == "win32", reason="PATH does not say where MSVC is")
@pytest.mark.parametrize("how", ["wheel", "editable"])
def test_no_compiler_is_one_line_that_names_the_way_around(sources, tmp_path, how):
    empty = tmp_path / "empty"
    empty.mkdir()
    compiler = dict.fromkeys(("CC", "CXX", "LDSHARED"), "gcc")
    if how == "wheel":
        arguments: list[object] = ["wheel", sources, "-w", tmp_path]
        python = None
    else:
        python = virtual_environment(tmp_path / "venv")
        arguments = ["install", "-e", sources]
    output = pip(*arguments, "--no-deps", "--no-index", "--no-build-isolation", cwd=tmp_path, python=python, code=1,
                 PATH=str(empty), **compiler)
    lines = [line.strip() for line in output.splitlines()]
    (message,) = [line for line in lines if "TINYGRAD_COURSE_NO_EXT=1" in line]
    assert message.startswith("tinygrad_course: there is no C compiler that finds Python.h (tried gcc). Install")
    assert "Traceback" not in output
    assert len(lines) < 60, "the line must not drown"
    assert len(lines) - lines.index(message) < 10


def test_the_wheel_is_pure(pure_wheel):
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(pure_wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".so", ".pyd", ".c", "/old.py"))]


def test_it_works_with_one_warning(python, tmp_path):
    output = run(python, "-c", TRAIN, cwd=tmp_path)
    assert output.count("Warning") == 1
    assert "UserWarning: tinygrad_course runs without compiled kernels" in output
    assert "TINYGRAD_COURSE_NO_EXT" in output
    assert output.splitlines()[-1].startswith("reference ")


def test_it_trains_to_the_same_loss_as_the_compiled_kernels(python, tmp_path):
    pure = run(python, "-W", "error", "-c", TRAIN, cwd=tmp_path, TINYGRAD_COURSE_BACKEND="reference").split()
    train = TRAIN.replace("assert tgc.get_num_threads() == 1", "")
    here = run(sys.executable, "-c", train, cwd=Path(tgc.__file__).parents[1]).splitlines()[-1].split()
    assert float(pure[1]) == pytest.approx(float(here[1]), abs=2e-5)


def test_asking_for_compiled_kernels_is_an_error(python, tmp_path):
    output = run(python, "-c", "import tinygrad_course", cwd=tmp_path, code=1, TINYGRAD_COURSE_BACKEND="compiled")
    assert "the compiled kernels are not installed" in output.splitlines()[-1]


def test_the_command_works(python, tmp_path):
    command = python.with_name("tinygrad-course" + python.suffix)
    output = run(command, "info", cwd=tmp_path, TINYGRAD_COURSE_BACKEND="reference")
    assert "the compiled kernels are not installed" in output


def test_an_editable_installation_removes_what_an_earlier_one_compiled(tmp_path):
    """It would be imported otherwise, whether or not it fits the sources."""
    sources = copy_of_the_sources(tmp_path)
    old = [sources / "tinygrad_course" / room / ("x" + sysconfig.get_config_var("EXT_SUFFIX"))
           for room in ("kernels", "autograd", "ops")]
    for module in old:
        module.write_bytes(b"")
    python = virtual_environment(tmp_path / "venv")
    pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", sources, cwd=tmp_path, python=python,
        TINYGRAD_COURSE_NO_EXT="1")
    assert not [module for module in old if module.exists()]
    output = run(python, "-W", "error", "-c", TRAIN, cwd=tmp_path, TINYGRAD_COURSE_BACKEND="reference")
    assert output.startswith("reference ")


@pytest.mark.parametrize(("name", "ours"), [
    ("threads" + sysconfig.get_config_var("EXT_SUFFIX"), True),
    ("threads.cpython-299-x86_64-linux-gnu.so", False),
    ("threads.pyx", False),
])
def test_modules_of_another_python_do_not_count(tmp_path, name, ours):
    source = Path(tgc.kernels.__file__)
    (tmp_path / "__init__.py").write_bytes(source.read_bytes())
    (tmp_path / name).write_bytes(b"")
    spec = importlib.util.spec_from_file_location("kernels_copy", tmp_path / "__init__.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.AVAILABLE is ours
