"""A missing oracle must be seen: skipped by default, a failure where it is demanded."""

import sys

import pytest

from tests.models.torchvision_oracle import torchvision_or_skip
from tests.nn.torch_oracle import torch_or_skip


@pytest.mark.parametrize(("demanded", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_missing_torchvision(monkeypatch, demanded, outcome):
    torch_or_skip()
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setenv("TGC_REQUIRE_TORCH", demanded)
    with pytest.raises(outcome):
        torchvision_or_skip()
