"""Reference bodies and compiled twins: the same names, the same signatures, and one namespace of them."""

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.backend import cpu
from tinygrad_course.errors import DeviceError, DTypeError, KernelError

FAMILIES = [family for family in cpu.FAMILIES if family not in cpu._REFERENCE_ONLY]
needs_extensions = pytest.mark.skipif(not tgc.backend.COMPILED, reason="built without compiled kernels")


def twins(family: str) -> tuple[ModuleType, ModuleType]:
    return cpu.reference_module(family), cpu.compiled_module(family)


def table(name: str) -> dict[str, Any]:
    """The kernels of a backend by name."""
    with tgc.backend.using(name):
        return dict(vars(tgc.backend.get("cpu")))


def parameters(function: Any) -> list[tuple[str, Any]]:
    """Names and defaults in order; types are each side's own affair."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@needs_extensions
@pytest.mark.parametrize("family", FAMILIES)
def test_signatures(family: str) -> None:
    reference, compiled = twins(family)
    for name in cpu.compiled_kernels(family):
        assert parameters(getattr(compiled, name)) == parameters(getattr(reference, name)), name


@needs_extensions
@pytest.mark.parametrize("family", FAMILIES)
def test_every_twin_has_a_reference_body(family: str) -> None:
    compiled = cpu.compiled_module(family)
    sharing = [other for other in FAMILIES if cpu.compiled_module(other) is compiled]
    assert sorted(compiled.KERNELS) == sorted(name for other in sharing for name in cpu.compiled_kernels(other))


@needs_extensions
@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in cpu._PARTLY_COMPILED])
def test_every_reference_body_has_a_twin(family: str) -> None:
    reference, compiled = twins(family)
    assert set(reference.KERNELS) - set(compiled.KERNELS) == set()


@pytest.mark.parametrize("family", cpu.FAMILIES)
def test_names(family: str) -> None:
    """KERNELS lists what is there, all of it has a docstring, and no name is used by two families."""
    reference = cpu.reference_module(family)
    assert len(set(reference.KERNELS)) == len(reference.KERNELS)
    for name in reference.KERNELS:
        assert (getattr(reference, name).__doc__ or "").strip(), name
        owners = [other for other in cpu.FAMILIES if name in cpu.reference_module(other).KERNELS]
        assert owners == [family], name


def test_namespaces_offer_the_same() -> None:
    names = {kernel for family in cpu.FAMILIES for kernel in cpu.reference_module(family).KERNELS}
    for backend in ("reference", "compiled") if tgc.backend.COMPILED else ("reference",):
        assert set(table(backend)) == names | {"name"}


def test_using_switches_and_restores() -> None:
    before = tgc.backend.backend_name()
    with tgc.backend.using("reference"):
        assert tgc.backend.backend_name() == "reference"
    assert tgc.backend.backend_name() == before
    with pytest.raises(ZeroDivisionError), tgc.backend.using("reference"):
        _ = 1 / 0
    assert tgc.backend.backend_name() == before
    with (
        pytest.raises(KernelError, match=r"unknown backend 'fast'.*'compiled' or 'reference'"),
        tgc.backend.using("fast"),
    ):
        pass


@needs_extensions
def test_strict_mode_and_fallbacks() -> None:
    x = tgc.ones(2, 2, dtype="int64")
    with tgc.backend.using("compiled"):
        before = tgc.backend.fallbacks().get("matmul: dtype int64", 0)
        assert (x @ x).tolist() == [[2, 2], [2, 2]]
        assert tgc.backend.fallbacks()["matmul: dtype int64"] == before + 1
        tgc.backend.strict()
        try:
            with pytest.raises(KernelError, match=r"matmul: dtype int64.*strict.*float32 or float64"):
                x @ x
        finally:
            tgc.backend.strict(False)
        assert (x @ x).sum().item() == 8


@pytest.mark.parametrize(
    ("n", "kind"), [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError), ("2", TypeError)]
)
def test_number_of_threads(n: Any, kind: type[Exception], threads: Any) -> None:
    with pytest.raises(kind, match="set_num_threads"):
        threads(n)
    if tgc.backend.COMPILED:
        threads(3)
        assert tgc.get_num_threads() in (1, 3)  # 1 without OpenMP


def test_kernels_for_refuses_mixtures() -> None:
    with pytest.raises(DTypeError, match=r"op: .*\(2,\) float32.*\(3,\) float64"):
        tgc.backend.kernels_for("op", [np.ones(2, np.float32), np.ones(3)])
    with pytest.raises(DeviceError, match="unknown device 'tpu'"):
        tgc.backend.get("tpu")


@needs_extensions
@pytest.mark.parametrize("size", [0, 1, 3, 17, 300])
def test_twins_agree_on_elementwise_kernels(size: int, rng: np.random.Generator) -> None:
    """Also where the size is no multiple of a vector; the battery compares both with their oracles."""
    reference, compiled = table("reference"), table("compiled")
    for dtype, tolerance in (("float32", 3e-6), ("float64", 1e-14)):
        x, y = (rng.uniform(0.5, 2.0, size).astype(dtype) for _ in range(2))
        for name in ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "tanh_grad", "sigmoid_grad", "relu_grad"):
            np.testing.assert_allclose(
                compiled[name](x, y), reference[name](x, y), rtol=tolerance, atol=tolerance, err_msg=name
            )
        for name in ("neg", "exp", "log", "sqrt", "abs", "sign", "tanh", "sigmoid", "relu"):
            np.testing.assert_allclose(
                compiled[name](x), reference[name](x), rtol=tolerance, atol=tolerance, err_msg=name
            )
