"""PyTorch's table of ops: every entry that this package has gives PyTorch's values and derivatives.  See opinfo.py."""

from typing import Any

import pytest

from tests.nn.torch_oracle import torch_or_skip
from tests.parity import opinfo

# Entries that do not exist here, and why.
MISSING = {
    "resize_": "PyTorch warns against it itself: reshape() and new_empty() say what they do",
    "resize_as_": "as resize_",
}


def table() -> dict[str, Any]:
    """The entries by name; none where PyTorch is not installed, which test_the_table_is_there reports."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return {}
    return {opinfo.full_name(entry): entry for entry in opinfo.entries()}


ENTRIES = table()


def test_the_table_is_there() -> None:
    torch_or_skip()
    assert len(ENTRIES) > 580
    assert set(MISSING) <= set(ENTRIES)


LONG = ("grid_sampler_3d",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
                                  for name in sorted(set(ENTRIES) - set(MISSING))])
def test_entry(name: str) -> None:
    outcome = opinfo.run(ENTRIES[name])
    assert outcome.status == "pass", outcome.reason


@pytest.mark.parametrize("name", sorted(set(ENTRIES) & set(MISSING)))
def test_what_is_listed_as_missing_is_missing(name: str) -> None:
    assert opinfo.run(ENTRIES[name]).status == "missing"


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: break a rule, and the entry fails."""
    torch_or_skip()
    from tinygrad_course.autograd import registry

    right = registry["sinh"].backward
    monkeypatch.setattr(registry["sinh"], "backward", staticmethod(lambda ctx, g: (right(ctx, g)[0] * 1.00001,)))
    outcome = opinfo.run(ENTRIES["sinh"])
    assert outcome.status == "wrong"
    assert "gradient 0" in outcome.reason
