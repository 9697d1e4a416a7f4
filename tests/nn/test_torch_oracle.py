"""A missing oracle must be seen: skipped by default, a failure where it is demanded."""

import sys

import pytest

from tests.nn.torch_oracle import torch_or_skip


@pytest.mark.parametrize(("demanded", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_missing_torch(monkeypatch, demanded, outcome):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("TGC_REQUIRE_TORCH", demanded)
    with pytest.raises(outcome):
        torch_or_skip()
