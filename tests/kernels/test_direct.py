"""The engine's short ways: the loops without their kernels' doors, shapes, sums in place, and the plain Python twin."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import kernels
from tinygrad_course.autograd import registry
from tinygrad_course.kernels import direct

spec = importlib.util.spec_from_file_location("plain_direct", Path(kernels.get_include(), "direct.py"))
assert spec is not None
assert spec.loader is not None
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)

both = pytest.mark.parametrize("module", [direct, plain], ids=["installed", "plain"])
needs_extensions = pytest.mark.skipif(not tgc.backend.COMPILED, reason="built without compiled kernels")
OPS = sorted(name for name, op in registry.items() if "kernel" in op.__dict__)


def operands(shape, dtype, count):
    rng = np.random.default_rng(3)
    return [rng.uniform(0.5, 2.0, shape).astype(dtype) for _ in range(count)]


@needs_extensions
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (0,), (700, 400)])
def test_a_loop_gives_the_bits_of_its_kernel(name, dtype, shape):
    rule = registry[name].rule
    assert rule.loop >= 0
    kernel = getattr(tgc.backend.get("cpu"), registry[name].kernel)
    x, y = operands(shape, dtype, 2)
    two = name in ("add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge") or "_grad" in name
    pairs = [(x, y), (x, np.array(1.5, dtype)), (np.array(1.5, dtype), x)] if two else [(x,)]
    for given in pairs:
        found = (direct.binary if two else direct.unary)(rule.loop, *given)
        wanted = kernel(*given)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
        assert found.shape == wanted.shape


@pytest.mark.parametrize("name", [name for name in OPS if registry[name].saves])
def test_what_an_op_says_it_saves_is_what_forward_saves(name, backend):
    op = registry[name]
    two = name in ("add", "sub", "mul")
    for tracked in [(True, True), (True, False), (False, True)] if two else [(True,)]:
        found = []
        original = op.__dict__["forward"]
        for spy in (False, True):
            tensors = [tgc.tensor(a, requires_grad=flag) for a, flag in
                       zip(operands((3,), "float64", len(tracked)), tracked, strict=True)]
            try:
                if spy:  # a forward that was replaced is the one that runs
                    op.forward = staticmethod(lambda *args, run=original.__func__: run(*args))
                    assert op.rule.loop == -1
                y = (tgc.autograd.function.binary if two else tgc.autograd.function.unary)(op, *tensors)
            finally:
                op.forward = original
            node = y.grad_fn
            assert node.op is op
            saved = [next((k for k, t in enumerate([*tensors, y]) if t.array is s.array), None) for s in node.saved]
            found.append((saved, node.needs, node.shape, [edge is None for edge in node.edges]))
        assert found[0] == found[1]


@both
def test_what_the_loops_do_not_take(module):
    x = np.ones((4, 6), "float32")
    loop = module.loop_number("add")
    for a, b in [(x[:, ::2], x[:, ::2]), (x, x[0]), (x, np.ones((5, 6), "float32")), (x, x.astype("float64")),
                 (x.astype("int64"), x.astype("int64")), (x.astype(">f4"), x.astype(">f4")), (np.ma.ones(3), np.ma.ones(3))]:
        assert module.binary(loop, a, b) is None
    for a in [x.T, x.astype("float16"), x.astype(">f4"), np.ma.ones(3)]:
        assert module.unary(module.loop_number("neg"), a) is None
    assert module.loop_number("pow") == -1


@needs_extensions
def test_the_reference_backend_takes_no_short_way():
    x = np.ones(3, "float32")
    with tgc.backend.using("reference"):
        assert direct.binary(direct.loop_number("add"), x, x) is None
    assert direct.binary(direct.loop_number("add"), x, x) is not None


@both
def test_shapes(module):
    for shape in [(), (1,), (2, 3), (0, 4), (1,) * 6, (1, 2) * 5, *[(n, n + 1) for n in range(300)]]:
        for _ in range(2):
            found = module.shape_of(np.empty(shape, "float32"))
            assert found == shape
            assert type(found) is tuple


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (33,), (4, 5), (0, 2), (900, 501)])
def test_add_into(module, dtype, shape):
    x, y = operands(shape, dtype, 2)
    wanted = x + y
    total = x.copy()
    assert module.add_into(total, y)
    assert np.array_equal(total, wanted)
    assert module.add_into(total, total)
    assert np.array_equal(total, wanted + wanted)


def test_add_into_refuses_what_it_cannot_do():
    x = np.ones((3, 4), "float32")
    locked = x.copy()
    locked.flags.writeable = False
    line = np.arange(8.0)
    for total, g in [(x, np.ones((4, 3), "float32")), (x, np.ones((3, 4))), (np.ma.ones(3), np.ma.ones(3)),
                     *([(locked, x), (x.T, x.T), (line[:6], line[2:])] if tgc.backend.COMPILED else [])]:
        assert not direct.add_into(total, g)


@needs_extensions
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_add_into_is_the_same_for_any_number_of_threads(threads):
    x, y = operands((1_000_003,), "float32", 2)
    before = tgc.backend.get_num_threads()
    tgc.backend.set_num_threads(threads)
    try:
        assert direct.add_into(x, y)
    finally:
        tgc.backend.set_num_threads(before)
    again, _ = operands((1_000_003,), "float32", 2)
    assert np.array_equal(x, again + y)


@needs_extensions
def test_numbers():
    for dtype in ("float32", "float64"):
        for value in (0.1, -0.0, 1e300, float("inf"), float("nan"), 1e-42):
            with np.errstate(over="ignore"):
                wanted = np.array(value, dtype)
            found = direct.number(value, np.empty(2, dtype))
            assert found.dtype == wanted.dtype
            assert found.tobytes() == wanted.tobytes()
    assert direct.number(1.0, np.empty(2, "float16")) is None
    assert plain.number(1.0, np.empty(2, "float32")) is None


@both
def test_a_gate_lets_float_arrays_through_and_nothing_else(module):
    def kernel(*args):
        return "kernel", args

    def otherwise(*args):
        return "otherwise", args

    gate = module.gate(kernel, otherwise)
    for_floats = "otherwise" if module is plain or not tgc.backend.COMPILED else "kernel"
    for dtype in ("float32", "float64"):
        x = np.zeros(3, dtype)
        found, given = gate(x, 2, "three")
        assert found == for_floats
        assert given[0] is x
        assert given[1:] == (2, "three")
    others = [np.zeros(3, dtype) for dtype in np.typecodes["All"] if np.dtype(dtype).num not in (11, 12)]
    for x in (*others, [1.0], 1.0, None):
        assert gate(x, 2)[0] == "otherwise"
    assert gate() == ("otherwise", ())
