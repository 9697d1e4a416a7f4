"""The battery that every op goes through.

A Case says how an op is reached, what it computes (an oracle that shares no code with the package), and on which
samples.  The battery runs op x sample x backend x dtype x memory layout:

    value, shape rule, dtype, inputs unmodified, no aliases      float64 and float32, also integers where they are legal
    first and second derivative                                  central differences, random upstream gradients
    values and derivatives again                                 PyTorch, where it is installed; the only judge at kinks
    float32 gradient near the float64 one, layouts, threads, NaN and infinity, error messages

Samples are drawn once, from a seed made of op and sample number.  Where a derivative has a kink the generator of the
values keeps away from it; nothing is ever drawn again until it passes.
"""

import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.autograd import Op, grad, registry
from tinygrad_course.autograd.watch import set_watcher

Array = np.ndarray
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2}


# ---- samples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """How one input is made from a generator."""

    make: Callable[[np.random.Generator], Array]


def normal(*shape: int) -> Draw:
    """Standard normal values."""
    return Draw(lambda rng: np.asarray(rng.standard_normal(shape)))


def positive(*shape: int) -> Draw:
    """Values in [0.5, 2)."""
    return Draw(lambda rng: np.asarray(rng.uniform(0.5, 2.0, shape)))


def away(*shape: int) -> Draw:
    """Values of either sign, at least 0.3 from 0."""
    return Draw(lambda rng: np.asarray(rng.choice([-1.0, 1.0], shape) * (0.3 + np.abs(rng.standard_normal(shape)))))


def apart(*shape: int, offset: float = 0.1) -> Draw:
    """Values that differ by at least 0.4 from each other, and by 0.1 from 0 and from those of another offset."""
    n = int(np.prod(shape))
    return Draw(lambda rng: 0.4 * (rng.permutation(n) - n // 2).reshape(shape) + offset)


def whole(n: int, *shape: int) -> Draw:
    """Integers 0..n-1 as floating point numbers: equal values are frequent."""
    return Draw(lambda rng: np.asarray(rng.integers(0, n, shape).astype(np.float64)))


def index(n: int, *shape: int) -> Draw:
    """int64 in 0..n-1."""
    return Draw(lambda rng: np.asarray(rng.integers(0, n, shape)))


def mask(*shape: int) -> Draw:
    """bool."""
    return Draw(lambda rng: np.asarray(rng.random(shape) < 0.5))


def exactly(values: Any, dtype: str = "float64") -> Draw:
    """These values."""
    return Draw(lambda rng: np.array(values, dtype))


@dataclass(frozen=True)
class Sample:
    """Inputs of one call, and its other arguments."""

    inputs: tuple[Any, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def arrays(self, op: str, dtype: str = "float64") -> list[Any]:
        """The inputs; floating point ones in `dtype`."""
        key = (op, self.note, repr(self.args), repr(sorted(self.kwargs.items())), len(self.inputs))
        rng = np.random.default_rng(zlib.crc32(repr(key).encode()))
        out = []
        for draw in self.inputs:
            value = None if draw is None else np.asarray(draw.make(rng))
            out.append(value.astype(dtype) if value is not None and value.dtype.kind == "f" else value)
        return out


def S(*inputs: Any, args: tuple[Any, ...] = (), note: str = "", **kwargs: Any) -> Sample:
    """A sample; a tuple of sizes stands for normal values of that shape."""
    return Sample(tuple(normal(*i) if isinstance(i, tuple) else i for i in inputs), args, kwargs, note)


@dataclass(frozen=True)
class Error:
    """A call that must raise `kind` with a message that matches `message`."""

    call: Callable[[], Any]
    kind: type[Exception]
    message: str
    note: str = ""


@dataclass(frozen=True)
class Case:
    """One op, or one function made of ops: how it is called, what it should give, on what.

    op        name of an op of the registry, or of a function of the package
    call      tensors, *args, **kwargs -> tensor, or several
    oracle    the same for float64 arrays
    samples   smooth at their points: derivatives are compared with differences
    kinks     samples at which PyTorch decides what the derivative is
    special   samples with NaN and infinity: value from the oracle, gradient from PyTorch
    threaded  samples that are large enough for several threads
    torch     the same call for torch tensors
    out       dtype of the results: "same" as the inputs' floating point type, or a dtype per result
    integers  the dtypes besides floating point that are legal
    half      whether float16 is tried as well
    step      of the central differences
    tolerance of what they give
    """

    op: str
    call: Callable[..., Any]
    oracle: Callable[..., Any]
    samples: tuple[Sample, ...]
    kinks: tuple[Sample, ...] = ()
    special: tuple[Sample, ...] = ()
    threaded: tuple[Sample, ...] = ()
    errors: tuple[Error, ...] = ()
    torch: Callable[..., Any] | None = None
    out: Any = "same"
    differentiable: bool = True
    view: bool = False
    integers: tuple[str, ...] = ()
    half: bool = False
    step: float = 1e-3
    tolerance: float = 1e-7

    def dtypes(self, dtype: str, outputs: int) -> list[np.dtype]:
        """Expected dtypes of the results for inputs of `dtype`."""
        out = [self.out] * outputs if isinstance(self.out, str) else self.out
        return [np.dtype(dtype if kind == "same" else kind) for kind in out]


def over(pick: Callable[[Case], Any]) -> Callable[[Any], Any]:
    """Run the test for every item that `pick` finds in a case."""

    def mark(function: Any) -> Any:
        function.over = pick
        return function

    return mark


# ---- running ---------------------------------------------------------------------------------------------------------


def several(value: Any) -> list[Any]:
    """A list of results, also for a single one."""
    return list(value) if isinstance(value, tuple | list) else [value]


def is_float(array: Any) -> bool:
    """Whether it can have a gradient."""
    return array is not None and array.dtype.kind == "f"


def as_tensors(arrays: list[Any], track: bool) -> list[Any]:
    """Tensors that share memory with the arrays."""
    tensors = [None if a is None else tgc.from_numpy(a) for a in arrays]
    for tensor in tensors:
        if track and tensor is not None and tensor.is_floating_point():
            tensor.requires_grad_()
    return tensors


def forward(case: Case, sample: Sample, arrays: list[Any]) -> list[Array]:
    """Values, without recording."""
    outputs = several(case.call(*as_tensors(arrays, False), *sample.args, **sample.kwargs))
    return [y.array for y in outputs]


def expected(case: Case, sample: Sample, arrays: list[Any]) -> list[Array]:
    """The oracle's values for the same numbers in float64."""
    wide = [a.astype(np.float64) if is_float(a) else a for a in arrays]
    with np.errstate(all="ignore"):
        return [np.asarray(y) for y in several(case.oracle(*wide, *sample.args, **sample.kwargs))]


def upstream(outputs: list[Array], seed: int = 1) -> list[Array]:
    """Random gradients for the floating point outputs: ones would hide errors of scale."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs if y.dtype.kind == "f"]


def gradients(case: Case, sample: Sample, arrays: list[Any], gs: list[Array]) -> list[Array]:
    """d <gs, outputs> / d inputs, for the floating point inputs; zeros where an output does not depend on one."""
    tensors = as_tensors(arrays, True)
    outputs = [y for y in several(case.call(*tensors, *sample.args, **sample.kwargs)) if y.is_floating_point()]
    wanted = [t for t in tensors if t is not None and t.track]
    found = grad(outputs, wanted, [tgc.from_numpy(g) for g in gs], allow_unused=True)
    return [np.zeros_like(t.array) if g is None else g.array for t, g in zip(wanted, found, strict=True)]


def second_gradients(
    case: Case, sample: Sample, arrays: list[Any], gs: list[Array], vs: list[Array]
) -> tuple[list[Array], list[Array]]:
    """d <vs, gradients> / d inputs and / d gs."""
    tensors = as_tensors(arrays, True)
    outputs = [y for y in several(case.call(*tensors, *sample.args, **sample.kwargs)) if y.is_floating_point()]
    wanted = [t for t in tensors if t is not None and t.track]
    seeds = as_tensors(gs, True)
    found = grad(outputs, wanted, seeds, create_graph=True, allow_unused=True)
    pairs = [(g, tgc.from_numpy(v)) for g, v in zip(found, vs, strict=True) if g is not None and g.track]
    points = wanted + seeds
    if not pairs:
        result = [np.zeros_like(t.array) for t in points]
    else:
        twice = grad([g for g, _ in pairs], points, [v for _, v in pairs], allow_unused=True)
        result = [np.zeros_like(t.array) if h is None else h.array for t, h in zip(points, twice, strict=True)]
    return result[: len(wanted)], result[len(wanted) :]


def inner(left: Any, right: Any) -> float:
    """Sum of the products of all elements, in float64."""
    return sum(float((np.asarray(a, np.float64) * b).sum()) for a, b in zip(left, right, strict=True))


def slopes(f: Callable[..., float], arrays: list[Any], i: int, h: float, linear: bool = False) -> Array:
    """d f / d arrays[i], per element: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h; the error is of order h^4.

    Where f is linear in arrays[i], (f(h) - f(-h)) / 2 h has no error.
    """
    out = np.empty(arrays[i].shape)
    for place in np.ndindex(out.shape):
        values = []
        for step in (h, -h) if linear else (h, -h, 2 * h, -2 * h):
            moved = arrays[i].copy()
            moved[place] += step
            values.append(f(*arrays[:i], moved, *arrays[i + 1 :]))
        if linear:
            out[place] = (values[0] - values[1]) / (2 * h)
        else:
            out[place] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
    return out


def assert_near(found: Array, wanted: Array, tolerance: float, what: str) -> None:
    """Equal shapes, nearly equal values; names the worst elements."""
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}"
    with np.errstate(all="ignore"):
        finite = wanted[np.isfinite(wanted)] if wanted.dtype.kind == "f" else wanted.astype(np.float64)
        scale = max(1.0, float(np.abs(finite).max())) if finite.size else 1.0
        same = (found == wanted) | ((found != found) & (wanted != wanted))
        distance = np.where(same, 0.0, np.abs(found.astype(np.float64) - wanted.astype(np.float64)))
        wrong = ~(distance <= tolerance * scale)
    if wrong.any():
        order = np.argsort(-np.nan_to_num(np.where(wrong, distance, -1.0), nan=np.inf), axis=None)[:5]
        lines = [
            f"  at {tuple(int(n) for n in np.unravel_index(k, wrong.shape))}: {found.flat[k]!r}, expected "
            f"{wanted.flat[k]!r}"
            for k in order
            if wrong.flat[k]
        ]
        pytest.fail(f"{what}: {int(wrong.sum())} of {wrong.size} elements are wrong\n" + "\n".join(lines))


class ShapeWatcher:
    """Notes which ops run, and where an op's shape rule disagrees with what its forward returned."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.faults: list[str] = []

    def forward(self, op: Any, node: Any, inputs: Any, arrays: list[Any], args: tuple[Any, ...], out: Any) -> None:
        """Called by the engine after an op's forward."""
        if not issubclass(op, Op):  # a Function has no shape rule
            return
        self.names.add(op.name)
        shapes = [a if a is None else a.shape for a in arrays]
        rule = op.shape(*shapes, *args)
        real = tuple(a.shape for a in out) if isinstance(out, tuple) else out.shape
        if rule != real:
            self.faults.append(f"{op.name}: the shape rule gives {rule} for {shapes}, forward {real}")
        for array in several(out):
            if type(array) is not np.ndarray:
                self.faults.append(f"{op.name}: forward returned {type(array).__name__}, not an array")

    def backward(self, node: Any, gradients: Any, answer: Any) -> None:
        """Called by the engine after a node's backward, whose ops were seen already."""

    def write(self, array: Any, key: Any, value: Any) -> None:
        """Called by the engine before a write in place, which has no rule."""


@contextmanager
def watched() -> Iterator[ShapeWatcher]:
    """A watcher of the ops that run meanwhile."""
    watcher = ShapeWatcher()
    before = set_watcher(watcher)
    try:
        yield watcher
    finally:
        set_watcher(before)


def both_directions(case: Case, sample: Sample, arrays: list[Any]) -> list[Array]:
    """Values of tracked inputs.  On the way, and in backward, every op's shape rule is compared with its result."""
    with watched() as watcher:
        tensors = as_tensors(arrays, True)
        outputs = several(case.call(*tensors, *sample.args, **sample.kwargs))
        floats = [y for y in outputs if y.is_floating_point()]
        tracked = [t for t in tensors if t is not None and t.track]
        assert all(y.requires_grad == (case.differentiable and bool(tracked)) for y in floats)
        assert not any(y.requires_grad for y in outputs if not y.is_floating_point())
        if case.differentiable and tracked:
            gs = upstream([y.array for y in floats])
            grad(floats, tracked, [tgc.from_numpy(g) for g in gs], allow_unused=True)
    assert case.op in watcher.names or case.op not in registry
    assert not watcher.faults
    return [y.array for y in outputs]


def misaligned(x: Array) -> Array:
    """The same values one byte off the alignment of their type."""
    raw = np.empty(x.nbytes + 1, np.uint8)
    out = raw[1:].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def numbers_of(arrays: list[Any]) -> bytes:
    """The elements in order, wherever they lie."""
    return b"".join(a.tobytes() for a in arrays if a is not None)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "transposed": lambda x: x.T.copy().T,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1] if x.ndim else x,
    "first axis reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1] if x.ndim else x,
    "expanded": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and x.size else x,
    "inner expanded": lambda x: np.broadcast_to(x[..., :1], x.shape) if x.ndim and x.size else x,
    "misaligned": misaligned,
}


SLOPES: dict[Any, Any] = {}
BY_TORCH: dict[Any, Any] = {}


def shared(
    known: dict[Any, Any], what: Any, case: Case, sample: Sample, arrays: list[Any], compute: Callable[[], Any]
) -> Any:
    """What judges a sample at these values, computed once for both backends.

    Slopes come from the first of them, the compiled one: test_value sees that both compute the same function.
    """
    key = (what, id(case), id(sample), numbers_of(arrays))
    if key not in known:  # beside its result the case and the sample, so that nothing else gets their ids
        known[key] = (case, sample, compute())
    return known[key][2]


# ---- the battery -----------------------------------------------------------------------------------------------------


class Battery:
    """The tests.  A test module subclasses it and lists its CASES."""

    @over(lambda case: case.samples + case.kinks)
    def test_value(self, case: Case, sample: Sample, backend: str) -> None:
        """Value, shape rule and dtype; inputs keep their values, and outputs have their own memory."""
        for dtype in ("float64", "float32"):
            arrays = sample.arrays(case.op, dtype)
            before = [None if a is None else a.copy() for a in arrays]
            found = both_directions(case, sample, arrays)
            assert [y.dtype for y in found] == case.dtypes(dtype, len(found))
            for number, (y, wanted) in enumerate(zip(found, expected(case, sample, before), strict=True)):
                assert_near(y, wanted, TOLERANCE[dtype], f"{case.op}, output {number}, {dtype}")
            for number, (now, was) in enumerate(zip(arrays, before, strict=True)):
                assert now is None or now.tobytes() == was.tobytes(), f"{case.op} changed its input {number}"
            if not (case.view or (case.op in registry and registry[case.op].view)):
                assert not any(np.shares_memory(y, a) for y in found for a in arrays if a is not None)
            plain = forward(case, sample, arrays)  # untracked tensors take another way through the engine
            assert [y.tobytes() for y in plain] == [y.tobytes() for y in found]

    @over(lambda case: case.samples if case.differentiable else ())
    def test_first_derivative(self, case: Case, sample: Sample, backend: str) -> None:
        arrays = sample.arrays(case.op)
        gs = upstream(forward(case, sample, arrays))

        def loss(*values: Any) -> float:
            return inner(gs, [y for y in forward(case, sample, list(values)) if y.dtype.kind == "f"])

        wanted = shared(SLOPES, "first", case, sample, arrays, lambda: [
            slopes(loss, arrays, i, case.step) for i, array in enumerate(arrays) if is_float(array)])
        for i, (g, by_differences) in enumerate(zip(gradients(case, sample, arrays, gs), wanted, strict=True)):
            assert_near(g, by_differences, case.tolerance, f"{case.op}, gradient {i}")

    @over(lambda case: case.samples if case.differentiable else ())
    def test_second_derivative(self, case: Case, sample: Sample, backend: str) -> None:
        arrays = sample.arrays(case.op)
        gs = upstream(forward(case, sample, arrays))
        vs = upstream([a for a in arrays if is_float(a)], seed=2)

        def slope(*values: Any) -> float:
            inputs, seeds = list(values[: len(arrays)]), list(values[len(arrays) :])
            return inner(vs, gradients(case, sample, inputs, seeds))

        points = [*arrays, *gs]
        wanted = shared(SLOPES, "second", case, sample, arrays, lambda: [  # a gradient is linear in the one from above
            slopes(slope, points, i, case.step, linear=i >= len(arrays)) for i, x in enumerate(points) if is_float(x)])
        at_inputs, at_gs = second_gradients(case, sample, arrays, gs, vs)
        for i, (h, by_differences) in enumerate(zip(at_inputs + at_gs, wanted, strict=True)):
            assert_near(h, by_differences, case.tolerance, f"{case.op}, second derivative {i}")

    @over(lambda case: case.samples if case.differentiable else ())
    def test_float32_gradient(self, case: Case, sample: Sample, backend: str) -> None:
        """Near the gradient of float64 at the same point, and float32 itself."""
        arrays = sample.arrays(case.op, "float32")
        gs = upstream(forward(case, sample, arrays))
        wide = [a.astype(np.float64) if is_float(a) else a for a in arrays]
        for g, wanted in zip(
            gradients(case, sample, arrays, gs),
            gradients(case, sample, wide, [g.astype(np.float64) for g in gs]),
            strict=True,
        ):
            assert g.dtype == np.float32
            assert_near(g, wanted, 5e-5, f"{case.op}, float32 gradient")

    @over(lambda case: case.samples)
    def test_layout(self, case: Case, sample: Sample, backend: str) -> None:
        """Memory in any order: values, gradients for inputs and upstream gradients that lie otherwise."""
        values: dict[bytes, list[Array]] = {}  # by the numbers of the inputs: most layouts hold the same ones
        plain_gradients: dict[bytes, list[Array]] = {}
        for dtype, layout in itertools.product(("float64", "float32"), LAYOUTS):
            arrays = [None if a is None else LAYOUTS[layout](a) for a in sample.arrays(case.op, dtype)]
            plain = [None if a is None else a.copy(order="C") for a in arrays]
            tolerance = 1e-11 if dtype == "float64" else 2e-5
            outputs = forward(case, sample, arrays)
            key = dtype.encode() + numbers_of(plain)
            if key not in values:
                values[key] = expected(case, sample, plain)
            for y, wanted in zip(outputs, values[key], strict=True):
                assert_near(y, wanted, TOLERANCE[dtype], f"{case.op}, {layout}")
            if case.differentiable:
                gs = [LAYOUTS[layout](g) for g in upstream(outputs)]
                key += numbers_of(gs)
                if key not in plain_gradients:
                    plain_gradients[key] = gradients(case, sample, plain, [g.copy(order="C") for g in gs])
                found = gradients(case, sample, arrays, gs)
                for number, (g, wanted) in enumerate(zip(found, plain_gradients[key], strict=True)):
                    assert_near(g, wanted, tolerance, f"{case.op}, gradient {number}, {layout}")

    @over(lambda case: case.samples + case.kinks if case.torch and case.differentiable else ())
    def test_torch(self, case: Case, sample: Sample, backend: str) -> None:
        """Values and derivatives of PyTorch, first ones also at kinks."""
        torch = torch_or_skip()
        arrays = sample.arrays(case.op)
        smooth = sample in case.samples
        ys, gs, firsts, seconds = torch_derivatives(torch, case, sample, arrays, twice=smooth)
        for y, wanted in zip(forward(case, sample, arrays), ys, strict=True):
            assert_near(y, wanted, 1e-10, f"{case.op}, value")
        for number, (g, wanted) in enumerate(zip(gradients(case, sample, arrays, gs), firsts, strict=True)):
            assert_near(g, wanted, 1e-10, f"{case.op}, gradient {number}")
        if not smooth:
            return
        vs = upstream([a for a in arrays if is_float(a)], seed=2)
        found, _ = second_gradients(case, sample, arrays, gs, vs)
        for number, (h, wanted) in enumerate(zip(found, seconds, strict=True)):
            assert_near(h, wanted, 1e-10, f"{case.op}, second derivative {number}")

    @over(lambda case: case.special)
    def test_special(self, case: Case, sample: Sample, backend: str) -> None:
        """NaN and infinity go where the formula takes them."""
        for dtype in ("float64", "float32"):
            arrays = sample.arrays(case.op, dtype)
            for y, wanted in zip(forward(case, sample, arrays), expected(case, sample, arrays), strict=True):
                with np.errstate(over="ignore"):
                    assert_near(y, wanted.astype(y.dtype), 1e-5, f"{case.op}, {dtype}")
            if case.torch and case.differentiable:
                _, gs, firsts, _ = torch_derivatives(torch_or_skip(), case, sample, arrays, twice=False)
                for number, (g, wanted) in enumerate(zip(gradients(case, sample, arrays, gs), firsts, strict=True)):
                    assert_near(g, wanted, 1e-5, f"{case.op}, gradient {number}, {dtype}")

    @over(lambda case: case.threaded)
    def test_threads(self, case: Case, sample: Sample, threads: Callable[[int], None]) -> None:
        """Bitwise the same results and gradients on 1, 2 and 3 threads."""
        if not tgc.backend.COMPILED:
            pytest.skip("built without compiled kernels")
        for dtype in ("float32", "float64"):
            arrays = sample.arrays(case.op, dtype)
            runs = []
            for n in (1, 2, 3):
                threads(n)
                with tgc.backend.using("compiled"):
                    outputs = forward(case, sample, arrays)
                    gs = gradients(case, sample, arrays, upstream(outputs)) if case.differentiable else []
                runs.append([a.tobytes() for a in outputs + gs])
            assert runs[0] == runs[1] == runs[2], f"{case.op}, {dtype}"

    @over(lambda case: case.samples if case.integers else ())
    def test_integers(self, case: Case, sample: Sample, backend: str) -> None:
        """Integer and bool inputs where they are legal: NumPy decides the value; never a graph."""
        for dtype in case.integers:
            arrays = [
                np.asarray(np.abs(np.rint(a * 3)).astype(dtype)) if is_float(a) else a for a in sample.arrays(case.op)
            ]
            outputs = several(case.call(*as_tensors(arrays, True), *sample.args, **sample.kwargs))
            floating = outputs[0].is_floating_point()  # exp of an integer and the like
            points = [a.astype(np.float64) if floating and a is not None else a for a in arrays]
            with np.errstate(all="ignore"):
                wanted = several(case.oracle(*points, *sample.args, **sample.kwargs))
            for y, array in zip(outputs, wanted, strict=True):
                assert not y.requires_grad
                assert_near(y.array, np.asarray(array), 1e-6 if floating else 0, f"{case.op}, {dtype}")

    @over(lambda case: case.samples if case.half else ())
    def test_half(self, case: Case, sample: Sample, backend: str) -> None:
        """float16 as storage: results and gradients are float16 and near those of float64."""
        arrays = sample.arrays(case.op, "float16")
        found = forward(case, sample, arrays)
        assert [y.dtype for y in found] == case.dtypes("float16", len(found))
        for y, wanted in zip(found, expected(case, sample, arrays), strict=True):
            assert_near(y, wanted, TOLERANCE["float16"], case.op)
        if case.differentiable:
            gs = upstream(found)
            wide = [a.astype(np.float64) if is_float(a) else a for a in arrays]
            for g, wanted in zip(
                gradients(case, sample, arrays, gs),
                gradients(case, sample, wide, [g.astype(np.float64) for g in gs]),
                strict=True,
            ):
                assert g.dtype == np.float16
                assert_near(g, wanted, 2e-2, f"{case.op}, float16 gradient")

    @over(lambda case: case.errors)
    def test_error(self, case: Case, sample: Error, backend: str) -> None:
        """The right exception, with a message that names op, numbers and rule."""
        with pytest.raises(sample.kind) as caught:
            sample.call()
        assert re.search(sample.message, str(caught.value), re.DOTALL), str(caught.value)


def torch_derivatives(
    torch: Any, case: Case, sample: Sample, arrays: list[Any], twice: bool
) -> tuple[list[Array], list[Array], list[Array], list[Array]]:
    """(values, upstream gradients, gradients, second derivatives) of the case in PyTorch."""
    return shared(BY_TORCH, twice, case, sample, arrays, lambda: _torch_derivatives(torch, case, sample, arrays, twice))


def _torch_derivatives(
    torch: Any, case: Case, sample: Sample, arrays: list[Any], twice: bool
) -> tuple[list[Array], list[Array], list[Array], list[Array]]:
    tensors = [None if a is None else torch.tensor(a, requires_grad=is_float(a)) for a in arrays]
    assert case.torch is not None
    outputs = several(case.torch(*tensors, *sample.args, **sample.kwargs))
    values = [y.detach().numpy() for y in outputs]
    gs = upstream(values)
    floats = [y for y in outputs if y.is_floating_point()]
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    firsts = torch.autograd.grad(floats, wanted, [torch.tensor(g) for g in gs], create_graph=twice, allow_unused=True)
    seconds: Any = ()
    if twice:
        vs = upstream([a for a in arrays if is_float(a)], seed=2)
        pairs = [(g, torch.tensor(v)) for g, v in zip(firsts, vs, strict=True) if g is not None and g.requires_grad]
        seconds = (
            [None] * len(wanted)
            if not pairs
            else torch.autograd.grad([g for g, _ in pairs], wanted, [v for _, v in pairs], allow_unused=True)
        )
    plain = [
        [np.zeros(t.shape) if g is None else g.numpy(force=True) for t, g in zip(wanted, found, strict=False)]
        for found in (firsts, seconds)
    ]
    return values, gs, plain[0], plain[1]
