"""ops/predicates.py."""

import operator
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly, index, mask, whole
from tests.ops.elementwise_cases import of_two
from tests.ops.patterns import INTEGERS, does_not_broadcast
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

inf, nan = np.inf, np.nan
ANSWER: dict[str, Any] = {"out": "bool", "differentiable": False}
NUMBERS = (S(exactly([1.0, nan, inf, -inf, -0.0, 1e30])), S(()), S((0, 2)))
NEAR = (
    S(exactly([1.0, 1.0, 1.0, 0.0, inf, inf, nan, 2.0]), exactly([1.0, 1.000009, 1.1, 1e-9, inf, -inf, nan, inf])),
    S(exactly([1.0, nan]), exactly([[1.05], [nan]]), rtol=0.1, equal_nan=True),
    S(exactly([1.0]), exactly([1.5]), args=(0.0, 0.6)),
)


def question(op: str, oracle: Any) -> Case:
    return Case(
        op, getattr(tgc, op), lambda x: np.array([oracle(v) for v in x.flat], bool).reshape(x.shape), NUMBERS, **ANSWER
    )


def comparison(op: str, oracle: Any) -> Case:
    return Case(op, getattr(tgc, op), oracle, (S(whole(3, 2, 3), whole(3, 3)), S(whole(3, 2), args=(1,))), **ANSWER)


def near(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    with np.errstate(invalid="ignore"):
        close = (x == y) | (np.isfinite(y) & (abs(x - y) <= atol + rtol * abs(y)))
    return close | (equal_nan & np.isnan(x) & np.isnan(y))


def every_bit(function: Any) -> Any:
    return np.vectorize(lambda x, y: function(int(x), int(y)))


def bits(op: str, function: Any, *, bools: bool = True) -> Case:
    """Signed integers of all signs and, where they are legal, bools."""
    ours = getattr(tgc, op)
    samples = (S(exactly([[5, -6], [0, 7]], "int64"), exactly([3, 1], "int64")), S(index(9, 2, 3), args=(2,)))
    unlike = Error(lambda: ours(tgc.tensor([1, 2]), tgc.tensor([1, 2, 3])), ShapeError, rf"{op}.*\(2,\).*\(3,\).*equal or 1")
    wrong = Error(lambda: ours(tgc.ones(2), tgc.ones(2)), DTypeError, rf"{op}.*integer{' and bool' * bools} tensors.*float32")
    bad = () if bools else (Error(lambda: ours(tgc.tensor([True]), tgc.tensor([True])), DTypeError, f"{op}.*bool"),)
    return Case(op, ours, every_bit(function), samples, out="int64", differentiable=False, errors=(wrong, *bad, unlike))


def as_tensor(function: Any) -> Any:
    """A function that answers with a Python bool."""

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        assert type(answer) is bool
        return tgc.tensor(answer)

    return call


CASES = (
    question("isnan", lambda v: v != v),
    question("isinf", lambda v: v in (inf, -inf)),
    question("isfinite", lambda v: v == v and v not in (inf, -inf)),
    question("isposinf", lambda v: v == inf),
    question("isneginf", lambda v: v == -inf),
    Case(
        "isclose",
        tgc.isclose,
        near,
        (*NEAR, S(exactly([1, 100], "int64"), exactly([1, 101], "int64"), rtol=0.01)),
        **ANSWER,
        errors=(
            *does_not_broadcast("isclose", tgc.isclose)[:1],
            Error(lambda: tgc.isclose(tgc.ones(1), tgc.tensor([1])), DTypeError, "isclose.*float32 and int64"),
            Error(lambda: tgc.isclose(tgc.ones(1), tgc.ones(1), rtol=-1.0), OperandError, "isclose.*-1.0"),
        ),
    ),
    Case(
        "allclose",
        as_tensor(tgc.allclose),
        lambda *a, **k: near(*a, **k).all(),
        (*NEAR, S(exactly([1.0, 2.0]), exactly([1.0, 2.0])), S((0,), (0,))),
        **ANSWER,
    ),
    Case(
        "equal",
        as_tensor(tgc.equal),
        lambda x, y: np.array_equal(x, y),
        (
            S(exactly([1.0, 2.0]), exactly([1.0, 2.0])),
            S(exactly([1.0, 2.0]), exactly([1.0, 3.0])),
            S((2,), (1, 2)),
            S((0,), (0,)),
            S(exactly([nan]), exactly([nan])),
            S(exactly([1.0]), exactly([1], "int64")),
        ),
        **ANSWER,
    ),
    Case(
        "isin",
        tgc.isin,
        lambda x, y, invert=False, assume_unique=False: np.array(
            [(v in y.ravel().tolist()) != invert for v in x.flat], bool
        ).reshape(x.shape),
        (
            S(whole(6, 2, 3), whole(6, 4)),
            S(whole(6, 2, 3), whole(6, 2, 2), invert=True),
            S(whole(2), whole(2)),
            S((0, 2), (3,)),
            S(index(6, 3), index(6, 0)),
            S(exactly([1.0, 3.0]), exactly([3.0, 2.0]), assume_unique=True),
        ),
        **ANSWER,
    ),
    of_two(
        "logical_xor",
        lambda x, y: (x != 0) != (y != 0),
        lambda *shape: whole(2, *shape),
        half=False,
        errors=does_not_broadcast("logical_xor", tgc.logical_xor),
        **ANSWER,
    ),
    bits("bitwise_and", operator.and_),
    bits("bitwise_or", operator.or_),
    bits("bitwise_xor", operator.xor),
    bits("bitwise_left_shift", operator.lshift, bools=False),
    bits("bitwise_right_shift", operator.rshift, bools=False),
    Case(
        "bitwise_not",
        tgc.bitwise_not,
        lambda x: -x - 1,
        (S(exactly([5, -6, 0], "int64")),),
        out="int64",
        differentiable=False,
        errors=(Error(lambda: tgc.bitwise_not(tgc.ones(2)), DTypeError, "bitwise_not.*float32"),),
    ),
    Case("bitwise_not", tgc.bitwise_not, lambda x: x == False, (S(mask(2, 3)),), **ANSWER),  # noqa: E712
    Case(
        "is_nonzero",
        as_tensor(tgc.is_nonzero),
        lambda x: x.item() != 0,
        (S(exactly([[0.0]])), S(exactly(nan)), S(exactly(-2.0))),
        **ANSWER,
        errors=(
            Error(lambda: tgc.is_nonzero(tgc.ones(2)), ShapeError, r"is_nonzero.*\(2,\).*any\(\)"),
            Error(lambda: tgc.is_nonzero(tgc.ones(0)), ShapeError, r"is_nonzero.*\(0,\)"),
        ),
    ),
    comparison("greater", np.greater),
    comparison("greater_equal", np.greater_equal),
    comparison("less", np.less),
    comparison("less_equal", np.less_equal),
    comparison("not_equal", np.not_equal),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"])
@pytest.mark.parametrize(
    "kinds", [("int64", "int64"), ("int8", "uint8"), ("uint8", "int32"), ("bool", "bool"), ("bool", "int16")]
)
def test_bits_as_in_torch(torch: Any, name: str, kinds: tuple[str, str]) -> None:
    """Types, and shifts by as many bits as there are or more."""
    if kinds == ("bool", "bool") and "shift" in name:
        pytest.skip("a bool has no second bit")
    x, y = np.array([5, 0, 120, 1, 7]).astype(kinds[0]), np.array([1, 3, 7, 40, 0]).astype(kinds[1])
    ours = getattr(tgc, name)(tgc.tensor(x), tgc.tensor(y))
    theirs = getattr(torch, name)(torch.tensor(x), torch.tensor(y))
    assert (str(theirs.dtype), theirs.tolist()) == (f"torch.{ours.dtype}", ours.tolist())


@pytest.mark.parametrize("kind", [*INTEGERS, "bool"])
def test_integers_are_finite(kind: str) -> None:
    x = tgc.tensor([0, 1], dtype=kind)
    for question in (tgc.isnan, tgc.isinf, tgc.isposinf, tgc.isneginf):
        assert question(x).tolist() == [False, False]
    assert tgc.isfinite(x).tolist() == [True, True]


def test_shifts_of_negative_numbers() -> None:
    assert tgc.bitwise_right_shift(tgc.tensor([-1, -9, 9]), tgc.tensor([70, 1, 1])).tolist() == [-1, -5, 4]


def test_a_number_may_come_first() -> None:
    assert tgc.bitwise_xor(2, tgc.tensor([1, -7])).tolist() == [3, -5]
    assert tgc.isin(1, tgc.tensor([1, 2])).item() is True
    assert tgc.isin(tgc.tensor([1, 2]), 2).tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "same"), [("greater", "gt"), ("greater_equal", "ge"), ("less", "lt"), ("less_equal", "le"), ("not_equal", "ne")]
)
def test_long_names(name: str, same: str) -> None:
    assert getattr(tgc, name) is getattr(tgc, same)
