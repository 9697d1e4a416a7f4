"""What is in the sdist and in the wheel, and that both, and an editable installation, work away from the sources."""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.building import QUICK, ROOT, copy_of_the_sources, pip, run, virtual_environment
from tests.packaging.third_party import check_cimport

pytestmark = pytest.mark.slow

# Compressed bytes.  The kernels: 24 families, most of them six times (kernels/isa.h).  The data: what lessons need without
# a network; what is bigger is fetched (docs/datasets.md).  The rest is source that people read.
COMPILED_LIMIT, DATA_LIMIT, SOURCE_LIMIT = 4_300_000, 2_000_000, 1_500_000
SMOKE = """
import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.data import load_digits
from tinygrad_course.kernels import threads

assert tgc.backend.backend_name() == "compiled"
tgc.manual_seed(0)
images, labels = load_digits("train")
x = tgc.from_numpy(images[:64].astype("float32") / 16)[:, None]  # (64, 8, 8) -> (64, 1, 8, 8)
y = tgc.from_numpy(labels[:64])
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))
optimizer = optim.Adam(net.parameters(), lr=0.02)
losses = []
for _ in range(60):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < 0.5 * losses[0], losses
print(tgc.__file__)
print("OpenMP", threads.have_openmp(), tgc.get_num_threads())
"""


def compiled_modules() -> set[str]:
    """The modules that must be compiled, as paths without the suffix."""
    kernels = {f"tinygrad_course/kernels/{source.stem}" for source in (ROOT / "kernels").glob("*.pyx")}
    headers_only = ROOT / "tinygrad_course/kernels"
    typed = {twin.relative_to(ROOT).with_suffix("").as_posix() for twin in (ROOT / "tinygrad_course").rglob("*.pxd")
             if twin.parent != headers_only}
    return kernels | typed | {"tinygrad_course/kernels/_cyutility"}


def test_wheel_contents(built_wheel):
    with zipfile.ZipFile(built_wheel) as archive:
        names = set(archive.namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"tinygrad_course"}, \
        "nothing else may be installed: a top-level `kernels` would clash with other packages"
    binaries = {name for name in names if name.endswith((".so", ".pyd"))}
    assert {name.partition(".")[0] for name in binaries} == compiled_modules()
    headers = {f"tinygrad_course/kernels/{header.name}" for pattern in ("*.h", "*.pxd")
               for header in (ROOT / "kernels").glob(pattern)}
    assert {name for name in names if name.startswith("tinygrad_course/kernels/")
            and name.endswith((".h", ".pxd"))} == headers
    files = ROOT / "tinygrad_course/data/files"
    shipped = {f"tinygrad_course/data/files/{path.name}" for path in files.iterdir()}
    assert shipped | {"tinygrad_course/py.typed"} <= names
    notices = {name.partition(".dist-info/licenses/")[2] for name in names if ".dist-info/licenses/" in name}
    assert notices == {"LICENSE", "tinygrad_course/data/files/NOTICE.md"}
    others = {PurePosixPath(name).suffix for name in names - binaries if ".dist-info/" not in name}
    assert others == {".py", ".pxd", ".h", ".npz", ".xz", ".md", ".typed"}


def test_wheel_is_small(built_wheel):
    with zipfile.ZipFile(built_wheel) as archive:
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    compiled = sum(size for name, size in sizes.items() if name.endswith((".so", ".pyd")))
    data = sum(size for name, size in sizes.items() if name.startswith("tinygrad_course/data/files/"))
    assert compiled < COMPILED_LIMIT
    assert data < DATA_LIMIT
    assert built_wheel.stat().st_size - compiled - data < SOURCE_LIMIT


def test_sdist_contents(sdist):
    """Everything that a clone has, and nothing that a build makes."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    wanted = {path.relative_to(ROOT).as_posix() for folder, pattern in [
        ("kernels", "*.pyx"), ("kernels", "*.h"), ("kernels", "*.pxd"), ("tools", "*.py"), ("tests", "*.py"),
        ("examples", "*.py"), ("examples", "*.pyx"), ("tinygrad_course", "*.py"), ("tinygrad_course/data", "*.npz"),
        ("tinygrad_course/data", "*.xz"), ("docs", "*.*")]
        for path in (ROOT / folder).rglob(pattern) if "build" not in path.parts}
    assert wanted <= names, wanted - names
    assert {"setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".ci/run"} <= names
    made = {name for name in names if name.endswith((".c", ".so", ".pyc"))
            or (name.startswith("tinygrad_course/kernels/") and name.endswith((".h", ".pxd")))}
    assert not made


def test_the_installed_wheel_works(installed, tmp_path):
    where, openmp = run(installed, "-W", "error", "-c", SMOKE, cwd=tmp_path).splitlines()
    assert ROOT not in Path(where).parents
    assert installed.parents[1] in Path(where).parents
    assert openmp.startswith("OpenMP")
    command = installed.with_name("tinygrad-course" + installed.suffix)
    assert "compiled kernels" in run(command, "info", cwd=tmp_path)


def test_an_editable_installation_without_openmp_works(compiler, tmp_path):
    """Other people's extensions find our headers in it, too: it is a plain path, not an import hook."""
    sources = copy_of_the_sources(tmp_path, translated=True)  # without OpenMP it is the same C
    python = virtual_environment(tmp_path / "venv")
    pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", sources, cwd=tmp_path, python=python,
        TINYGRAD_COURSE_NO_OPENMP="1", TINYGRAD_COURSE_CFLAGS=QUICK)
    where, openmp = run(python, "-W", "error", "-c", SMOKE, cwd=tmp_path).splitlines()
    assert Path(where) == sources / "tinygrad_course/__init__.py"
    assert openmp == "OpenMP False 1"
    check_cimport(python, tmp_path / "third_party")


@pytest.mark.skipif(sys.platform != "linux", reason="the C flags of this test are those of gcc on Linux")
def test_no_module_needs_more_than_the_c_library(built_wheel, tmp_path):
    """A wheel that was linked to a library of the builder would not load elsewhere."""
    with zipfile.ZipFile(built_wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.endswith(".so")])
    needed = set()
    for module in tmp_path.rglob("*.so"):
        lines = run("ldd", module, cwd=tmp_path).splitlines()
        needed |= {line.split()[0].partition(".so")[0].rpartition("/")[2] for line in lines}
    assert needed <= {"linux-vdso", "libc", "libm", "libgomp", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
