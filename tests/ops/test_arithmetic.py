"""ops/arithmetic.py."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, S, apart, away, exactly, index, positive, whole
from tests.ops.patterns import INTEGERS, ODD, one, torch_function, two
from tinygrad_course.errors import DTypeError


def power_of(x: Any, exponent: float) -> Any:
    return x**exponent


CASES = (
    *(
        Case(
            name,
            getattr(tgc, name),
            oracle,
            tuple(S(whole(2, *a), whole(2, *b), note=f"{a}{b}") for a, b in (((2, 3), (3,)), ((), ()), ((0,), (1,)))),
            torch=torch_function(name),
            out="bool",
            differentiable=False,
            integers=("int64", "bool"),
        )
        for name, oracle in (("logical_and", np.logical_and), ("logical_or", np.logical_or))
    ),
    two("add", lambda x, y: x + y, away, integers=(*INTEGERS, "bool")),
    two("sub", lambda x, y: x - y, away),
    two("mul", lambda x, y: x * y, away, integers=(*INTEGERS, "bool")),
    two("div", lambda x, y: x / y, away, integers=()),
    two(
        "pow",
        lambda x, y: np.float_power(x, y),
        positive,
        away,
        integers=(),
        special=(
            S(
                exactly([np.nan, 1.0, np.inf, 2.0, 0.5, 3.0, -2.0]),
                exactly([0.0, np.nan, 2.0, np.inf, np.inf, -np.inf, 3.0]),
            ),
        ),
        kinks=(
            S(exactly([0.0, 0.0, 0.0, 2.0, -2.0, -1.5]), exactly([2.0, 1.0, 3.0, 0.0, 2.0, 3.0]), note="zero base"),
            S(exactly([0.0, 0.0, 1.0]), exactly([0.0, 0.5, 0.0]), note="zero to the zero"),
        ),
        threaded=(S(positive(650, 640), positive(650, 640)),),
    ),
    Case(
        "pow",
        power_of,
        lambda x, e: np.power(x, e),
        tuple(S(positive(2, 3), args=(e,), note=str(e)) for e in (2, 3.0, -1, 0.5, 0, 1)),
        torch=power_of,
        half=True,
        kinks=tuple(S(exactly([0.0, 1.0, -2.0]), args=(e,), note=f"zero to the {e}") for e in (0, 1, 2, 3)),
        threaded=(S(positive(650, 640), args=(3,)),),
    ),
    Case("pow", lambda x: 2.0**x, lambda x: 2.0**x, (S((2, 3)),), torch=lambda x: 2.0**x),
    two("maximum", np.maximum, apart, lambda *s: apart(*s, offset=0.3), kinks=(S(whole(3, 4, 5), whole(3, 4, 5)),)),
    two("minimum", np.minimum, apart, lambda *s: apart(*s, offset=0.3), kinks=(S(whole(3, 4, 5), whole(3, 4, 5)),)),
    one("neg", lambda x: -x, away),
    one("abs", np.abs, away, kinks=(S(exactly([0.0, -0.0, 1.0])),), special=(S(exactly(ODD[1:])),)),
    one("sign", np.sign, away, kinks=(S(exactly([0.0, -1.0])),), special=(S(exactly([np.inf, -np.inf, 0.0])),)),
    one("exp", np.exp, away, special=(S(exactly([np.nan, np.inf, -np.inf, 0.0, 1e4, -1e4, 88.9])),)),
    one("log", np.log, positive),
    one("sqrt", np.sqrt, positive),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ("float32", 2, "float32"),
        ("float32", 2.5, "float32"),
        ("float64", 2.5, "float64"),
        ("float16", 2.5, "float16"),
        ("int64", 2, "int64"),
        ("int32", 2, "int32"),
        ("int64", 2.5, "float32"),
        ("bool", 2, "int64"),
        ("bool", 2.5, "float32"),
        ("float32", True, "float32"),
        ("uint8", 2, "uint8"),
        ("float32", np.float64(2.5), "float32"),
        ("float32", np.float32(2.5), "float32"),
    ],
)
def test_numbers_do_not_change_the_type(backend: str, x: str, y: Any, expected: str) -> None:
    ours = tgc.ones(3, dtype=x)
    for z in (ours + y, y + ours, ours * y, y * ours):
        assert z.dtype == expected
        assert z.shape == (3,)


def test_types_are_promoted_as_in_torch(backend: str, torch: Any) -> None:
    """All pairs of types, with axes and without."""
    names = ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    for a in names:
        for b in names:
            for sa in ((), (2,)):
                for sb in ((), (2,)):
                    ours = tgc.ones(sa, dtype=a) * tgc.ones(sb, dtype=b)
                    theirs = torch.ones(sa, dtype=getattr(torch, a)) * torch.ones(sb, dtype=getattr(torch, b))
                    assert str(theirs.dtype) == f"torch.{ours.dtype}", (a, sa, b, sb)


def test_gradients_of_mixed_types_have_the_types_of_the_leaves(backend: str) -> None:
    x = tgc.tensor([1.0, 2.0], dtype="float32", requires_grad=True)
    y = tgc.tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    z = x * y
    assert z.dtype == np.float64
    z.sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert (x.grad.tolist(), y.grad.tolist()) == ([3, 4], [1, 2])


@pytest.mark.parametrize(
    ("exponent", "first", "second"),
    [
        (0.0, [0, 0, 0], [0, 0, 0]),
        (1.0, [1, 1, 1], [0, 0, 0]),
        (2.0, [0, 2, -4], [2, 2, 2]),
        (3.0, [0, 3, 12], [0, 6, -12]),
    ],
)
def test_power_at_zero(backend: str, exponent: float, first: list[float], second: list[float]) -> None:
    """x^n is smooth at 0 for n = 0, 1, 2, ...: a number or a tensor as exponent, no 0 * inf anywhere."""
    for power in (exponent, tgc.full((3,), exponent, dtype="float64")):
        x = tgc.tensor([0.0, 1.0, -2.0], dtype="float64", requires_grad=True)
        (g,) = tgc.autograd.grad((x**power).sum(), x, create_graph=True)
        assert g.tolist() == first
        (h,) = tgc.autograd.grad(g.sum(), x)
        assert h.tolist() == second


@pytest.mark.parametrize("values", [(4, 2), (-7, 2), (1, 3)])
def test_integers_divide_to_floating_point(backend: str, values: tuple[int, int]) -> None:
    z = tgc.tensor([values[0]]) / tgc.tensor([values[1]])
    assert z.dtype == np.float32
    assert z.item() == pytest.approx(values[0] / values[1])


def test_operand_is_copied_from_numpy(backend: str) -> None:
    """Otherwise a later change of the user's array would silently change the gradient."""
    x, a = tgc.ones(3, dtype="float64", requires_grad=True), np.ones(3)
    y = x * a
    a[:] = 7.0
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_integer_power_of_a_negative_number_says_what_to_do(backend: str) -> None:
    with pytest.raises(ValueError, match=r"pow"):
        tgc.tensor([2, 3]) ** -1


def test_bool_subtraction_is_an_error_with_a_name(backend: str) -> None:
    with pytest.raises((DTypeError, TypeError), match=r"sub|subtract"):
        tgc.tensor([True]) - tgc.tensor([False])


def test_index_sample_is_what_it_says() -> None:
    """The generators of the battery keep their promises."""
    rng = np.random.default_rng(0)
    assert np.abs(away(100).make(rng)).min() >= 0.3
    values = np.sort(np.concatenate([apart(30).make(rng), apart(30, offset=0.3).make(rng)]))
    assert np.diff(values).min() > 0.19
    assert np.abs(values).min() > 0.09
    assert set(index(3, 100).make(rng)) == {0, 1, 2}


def test_a_number_beyond_the_type_is_infinite_without_a_word(backend: str) -> None:
    x = tgc.ones(1, dtype="float16")
    assert [(x * 1e6).item(), (x - 100_000).item(), (x.float() * 1e300).item()] == [np.inf, -np.inf, np.inf]
