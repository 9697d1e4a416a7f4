"""Mistakes in a training loop that are cheap to see are warned of at once."""

from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_course as tgc
import tinygrad_course.nn.functional as F
from tinygrad_course import nn

x = tgc.ones(4, 3, requires_grad=True)
classes = tgc.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.cross_entropy(F.softmax(x, 1), classes), r"cross_entropy gets the result of softmax: give it the logits"),
        (lambda: nn.CrossEntropyLoss()(F.log_softmax(x, 1), classes), r"cross_entropy gets the result of log_softmax"),
        (lambda: F.nll_loss(F.softmax(x, 1), classes), r"nll_loss gets the result of softmax.*log_softmax"),
        (
            lambda: F.binary_cross_entropy_with_logits(x.sigmoid(), tgc.ones(4, 3)),
            r"binary_cross_entropy_with_logits gets the result of sigmoid",
        ),
        (lambda: F.mse_loss(x, tgc.ones(3)), r"mse_loss: .*\(4, 3\).*\(3,\).*stretched to \(4, 3\)"),
        (lambda: F.l1_loss(x, tgc.ones(4, 1)), r"l1_loss: .*\(4, 3\).*\(4, 1\)"),
    ],
)
def test_a_mistake_is_warned_of(call: Callable[[], Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.cross_entropy(x, classes),
        lambda: F.nll_loss(F.log_softmax(x, 1), classes),
        lambda: F.binary_cross_entropy(x.sigmoid(), tgc.ones(4, 3)),
        lambda: F.mse_loss(x, tgc.ones(4, 3)),
    ],
)
def test_what_is_right_is_not(call: Callable[[], Any]) -> None:
    call()  # warnings are errors in this suite
