"""PyTorch's table of modules: each does here what it does there.  See moduleinfo.py."""

from typing import Any

import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tests.parity import moduleinfo


def table() -> dict[str, Any]:
    """The entries by name; none where PyTorch is not installed, which test_the_table_is_there reports."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return {}
    return moduleinfo.entries()


ENTRIES = table()


def test_the_table_is_there() -> None:
    torch_or_skip()
    assert len(ENTRIES) >= 114


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_entry(name: str) -> None:
    outcome = moduleinfo.run(ENTRIES[name])
    assert outcome.status == "pass", outcome.reason


def test_refusals() -> None:
    torch_or_skip()
    counts = {name: moduleinfo.check_refusals(entry) for name, entry in ENTRIES.items()}
    assert sum(counts.values()) > 85


# ---- the comparison itself: break something, and the entry fails --------------------------------------------------------


@pytest.mark.parametrize(("rule", "index", "entry", "reason"), [
    ("relu", 0, "ReLU", "gradient of input 0"),
    ("batch_norm", 1, "BatchNorm1d", "gradient of weight"),
    ("linear", 2, "Linear", "gradient of bias"),
])
def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch, rule: str, index: int, entry: str, reason: str) -> None:
    torch_or_skip()
    from tinygrad_course.autograd import registry

    right = registry[rule].backward

    def wrong(ctx: Any, *gs: Any) -> Any:
        gradients = list(right(ctx, *gs))
        gradients[index] = None if gradients[index] is None else gradients[index] * 1.0000001
        return tuple(gradients)

    monkeypatch.setattr(registry[rule], "backward", staticmethod(wrong))
    outcome = moduleinfo.run(ENTRIES[entry])
    assert outcome.status == "wrong"
    assert reason in outcome.reason


def test_a_wrong_running_statistic_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_or_skip()
    arguments = tgc.nn.BatchNorm2d._arguments

    def wrong(self: Any, input: Any) -> Any:
        given = list(arguments(self, input))
        given[5] *= 1.0000001  # momentum
        return tuple(given)

    monkeypatch.setattr(tgc.nn.BatchNorm2d, "_arguments", wrong)
    outcome = moduleinfo.run(ENTRIES["BatchNorm2d"])
    assert outcome.status == "wrong"
    assert "buffer running_mean afterwards" in outcome.reason


def test_a_wrong_key_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_or_skip()

    class Linear(tgc.nn.Linear):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.register_buffer("more", tgc.zeros(1))

    monkeypatch.setattr(tgc.nn, "Linear", Linear)
    outcome = moduleinfo.run(ENTRIES["Linear"])
    assert outcome.status == "wrong"
    assert "keys ['weight', 'bias', 'more']" in outcome.reason
