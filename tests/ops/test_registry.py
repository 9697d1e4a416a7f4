"""Every op has a case, at the mirrored path."""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tinygrad_course as tgc
from tests.ops.battery import Case
from tinygrad_course.autograd import Op, registry

HELPERS = ("axes", "creation", "dtypes", "like", "random", "sampling")  # what draws or makes tensors has tests of its own


@cache
def modules() -> dict[str, Any]:
    """The test modules of this folder by the name of the module that they test."""
    names = sorted(path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py"))
    return {name: importlib.import_module(f"tests.ops.test_{name}") for name in names if name not in (*HELPERS, "registry")}


def own_ops() -> dict[str, type[Op]]:
    """The package's ops; tests of custom ops add theirs to the registry."""
    return {name: op for name, op in registry.items() if op.__module__.startswith("tinygrad_course.ops.")}


def cases_of(name: str) -> list[tuple[str, Case]]:
    return [(module, case) for module, tests in modules().items() for case in tests.CASES if case.op == name]


@cache
def public_functions() -> dict[str, str]:
    """The functions of the package by name, with the module of ops that holds each."""
    found = {}
    for path in sorted(Path(tgc.ops.__path__[0]).glob("*.py")):
        if path.stem not in (*HELPERS, "__init__"):
            module = importlib.import_module(f"tinygrad_course.ops.{path.stem}")
            found.update({name: path.stem for name in getattr(module, "__all__", ()) if callable(getattr(module, name))})
    return found


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_every_op_has_a_case_where_one_looks_for_it(name: str) -> None:
    home = own_ops()[name].__module__.rsplit(".", 1)[-1]
    found = cases_of(name)
    assert any(module == home for module, _ in found), f"{name} needs a Case in tests/ops/test_{home}.py"
    assert any(case.samples for _, case in found)


@pytest.mark.parametrize("name", sorted(public_functions()))
def test_every_function_has_a_case_where_one_looks_for_it(name: str) -> None:
    home = public_functions()[name]
    found = [case for module, case in cases_of(name) if module == home]
    assert found, f"{name} needs a Case in tests/ops/test_{home}.py"
    assert any(case.samples or case.kinks for case in found)


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_a_case_says_the_truth(name: str) -> None:
    assert {case.differentiable for _, case in cases_of(name)} == {own_ops()[name].differentiable}


def test_every_case_has_an_op_or_a_function() -> None:
    named = {case.op for tests in modules().values() for case in tests.CASES}
    namespaces = {*dir(tgc.special), *dir(tgc.linalg)}
    assert named <= {*own_ops(), *public_functions(), *namespaces}


def test_every_module_of_ops_is_tested() -> None:
    homes = {op.__module__.rsplit(".", 1)[-1] for op in own_ops().values()} | set(public_functions().values())
    assert homes == set(modules())


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_every_op_has_a_docstring(name: str) -> None:
    assert (own_ops()[name].__doc__ or "").strip()


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_an_op_without_gradient_has_no_backward(name: str) -> None:
    op = own_ops()[name]
    assert op.differentiable == hasattr(op, "backward")
