"""ops/comparison.py."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly, mask, whole
from tests.ops.patterns import INTEGERS, ODD, comparison, singles, torch_function
from tinygrad_course.errors import OperandError, ShapeError

CASES = (
    comparison("eq", lambda x, y: x == y),
    comparison("ne", lambda x, y: x != y),
    comparison("lt", lambda x, y: x < y),
    comparison("le", lambda x, y: x <= y),
    comparison("gt", lambda x, y: x > y),
    comparison("ge", lambda x, y: x >= y),
    Case(
        "logical_not",
        tgc.logical_not,
        lambda x: x == 0,
        singles(lambda *s: whole(2, *s)),
        differentiable=False,
        out="bool",
        integers=(*INTEGERS, "bool"),
        threaded=(S(whole(2, 650, 640)),),
        special=(S(exactly(ODD)),),
    ),
    Case(
        "where",
        tgc.where,
        np.where,
        (
            S(mask(2, 3), (2, 3), (2, 3)),
            S(mask(2, 3), (3,), ()),
            S(mask(3), (2, 1), (2, 3)),
            S(mask(), (2,), (2,)),
            S(mask(2, 1), (), (1, 3)),
            S(mask(0), (0,), (0,)),
            S(mask(2, 2), (), ()),
        ),
        torch=torch_function("where"),
        half=True,
        special=(S(mask(10), exactly(ODD), exactly(ODD[::-1])),),
        threaded=(S(mask(650, 640), (650, 640), (640,)),),
        errors=(
            Error(lambda: tgc.where(tgc.ones(2).bool(), tgc.ones(3), tgc.ones(3)), ShapeError, r"where.*\(2,\).*\(3,\)"),
        ),
    ),
    Case(
        "where",
        lambda x, m: x.masked_fill(m, -2.5),
        lambda x, m: np.where(m, -2.5, x),
        (S((2, 3), mask(2, 3)),),
        torch=lambda x, m: x.masked_fill(m, -2.5),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_where_of_a_condition_alone_is_where_it_holds(torch: Any) -> None:
    condition = [[True, False, True], [False, True, False]]
    ours, theirs = tgc.where(tgc.tensor(condition)), torch.where(torch.tensor(condition))
    assert [index.tolist() for index in ours] == [index.tolist() for index in theirs]
    with pytest.raises(OperandError, match="give both input and other"):
        tgc.where(tgc.tensor(condition), 1.0)


def test_where_with_numbers_has_torchs_type(backend: str, torch: Any) -> None:
    condition = tgc.tensor([True, False])
    for a, b in [(1, 2), (1.0, 2), (1.0, 2.0), (True, False)]:
        theirs = torch.where(torch.tensor([True, False]), a, b)
        ours = tgc.where(condition, a, b)
        assert str(theirs.dtype) == f"torch.{ours.dtype}", (a, b)
        assert ours.tolist() == theirs.tolist()
