"""Every op has a case, at the mirrored path."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.ops.battery import Case
from tinygrad_course.autograd import Op, registry


def modules() -> dict[str, Any]:
    """The test modules of this folder by the name of the module that they test."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != "test_registry")
    return {name.removeprefix("test_"): importlib.import_module(f"tests.ops.{name}") for name in names}


def own_ops() -> dict[str, type[Op]]:
    """The package's ops; tests of custom ops add theirs to the registry."""
    return {name: op for name, op in registry.items() if op.__module__.startswith("tinygrad_course.ops.")}


def cases_of(name: str) -> list[tuple[str, Case]]:
    return [(module, case) for module, tests in modules().items() for case in tests.CASES if case.op == name]


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_every_op_has_a_case_where_one_looks_for_it(name: str) -> None:
    home = own_ops()[name].__module__.rsplit(".", 1)[-1]
    found = cases_of(name)
    assert any(module == home for module, _ in found), f"{name} needs a Case in tests/ops/test_{home}.py"
    assert any(case.samples for _, case in found)


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_a_case_says_the_truth(name: str) -> None:
    assert {case.differentiable for _, case in cases_of(name)} == {own_ops()[name].differentiable}


def test_every_case_has_an_op() -> None:
    assert {case.op for tests in modules().values() for case in tests.CASES} <= set(own_ops())


def test_every_module_of_ops_is_tested() -> None:
    helpers = {"axes", "creation", "dtypes"}  # no ops in them
    assert {op.__module__.rsplit(".", 1)[-1] for op in own_ops().values()} == set(modules()) - helpers


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_every_op_has_a_docstring(name: str) -> None:
    assert (own_ops()[name].__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_an_op_without_gradient_has_no_backward(name: str) -> None:
    op = own_ops()[name]
    assert op.differentiable == hasattr(op, "backward")
