"""The instruction set: each level can be forced, gives right results, and an unknown name is an error."""

import sys
from pathlib import Path

import pytest

import tinygrad_course as tgc
from tests.packaging.building import run

LEVELS = ("base", "v3", "v4")
ROOT = Path(tgc.__file__).parents[1]
CHECK = """
import numpy as np
import tinygrad_course as tgc
from tinygrad_course.kernels import gemm

print(gemm.isa())
rng = np.random.default_rng(0)
for dtype, rtol in ((np.float32, 2e-5), (np.float64, 1e-13)):
    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    calls = [
        ("matmul", draw(37, 53), draw(53, 41)),
        ("conv2d", draw(3, 5, 13, 11), draw(7, 5, 3, 3), draw(7), (1, 1), (1, 1), (1, 1), 1),
        ("avg_pool2d", draw(2, 3, 9, 7), (3, 3), (2, 2), (1, 1), False, True, None),
        ("log_softmax", draw(9, 31), 1),
        ("sum", draw(9, 131), (1,), False),
        ("exp", draw(77)),
        ("tanh", draw(77)),
        ("uniform", 3, 0, (5, 7), dtype),
    ]
    results = {}
    for backend in ("compiled", "reference"):
        with tgc.backend.using(backend):
            assert tgc.backend.backend_name() == backend
            results[backend] = [getattr(tgc.backend.get("cpu"), name)(*arguments) for name, *arguments in calls]
    for (name, *_), ours, expected in zip(calls, *results.values()):
        np.testing.assert_allclose(ours, expected, rtol, 10 * rtol, err_msg=name)
"""


def level(wish: str | None) -> str:
    """Check the kernels in a new process under that limit; returns the level that they ran on."""
    environment = {} if wish is None else {"TINYGRAD_COURSE_ISA": wish}
    return run(sys.executable, "-W", "error", "-c", CHECK, cwd=ROOT, **environment).strip()


@pytest.fixture(scope="module")
def best(compiler) -> str:
    return level(None)


@pytest.mark.parametrize("limit", LEVELS)
def test_a_level_can_be_forced(limit, best):
    assert level(limit) == min(limit, best, key=LEVELS.index)


def test_an_empty_value_is_no_limit(best):
    assert level("") == best


@pytest.mark.parametrize("name", ["avx512", "V3", "v5"])
def test_an_unknown_level_is_an_error(compiler, name):
    output = run(sys.executable, "-c", "import tinygrad_course", cwd=ROOT, code=1, TINYGRAD_COURSE_ISA=name)
    last = output.splitlines()[-1]
    assert last.startswith("ImportError: TINYGRAD_COURSE_ISA")
    assert all(word in last for word in LEVELS)
