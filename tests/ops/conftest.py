"""Turns the CASES of a test module into test items of the battery."""

import pytest

pytest.register_assert_rewrite("tests.ops.battery")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of the battery names with @over what it runs on: samples, errors, ... of every case of its module."""
    pick = getattr(metafunc.function, "over", None)
    if pick is None:
        return
    items, ids = [], []
    for case in metafunc.module.CASES:
        for number, item in enumerate(pick(case)):
            items.append((case, item))
            ids.append(f"{case.op}-{number}" + (f"-{item.note}" if item.note else ""))
    metafunc.parametrize(("case", "sample"), items, ids=ids)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop the placeholders that pytest makes where a module has nothing for a test (no special values, say)."""
    items[:] = [
        item
        for item in items
        if not isinstance(item, pytest.Function)
        or "case" not in item.fixturenames
        or hasattr(item.callspec.params["case"], "op")
    ]
