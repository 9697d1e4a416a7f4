"""ops/elementwise.py: broadcasting arithmetic, comparison, functions of one variable, where, cast."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special as sp

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Draw, Error, S, Sample, apart, away, exactly, index, mask, positive, whole
from tinygrad_course.autograd.function import binary
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops import elementwise as el

INTEGERS = ("int64", "int32", "uint8")
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-30, -2.0, 0.5]


def torch_function(name: str) -> Callable[..., Any]:
    """torch.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch, name)(*args, **kwargs)

    return call


PAIRS = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((2, 3), ()),
    ((), (2, 3)),
    ((), ()),
    ((2, 0), (1, 1)),
    ((3,), (2, 3)),
    ((1, 1), (1,)),
    ((0,), (1,)),
    ((2, 1, 2), (3, 1)),
    ((1, 2, 1, 2), (2, 1, 1, 2)),
    ((1,), ()),
]


def pairs(make: Callable[..., Draw], other: Callable[..., Draw], count: int) -> tuple[Sample, ...]:
    """Ways to broadcast two operands: the first `count`."""
    return tuple(S(make(*a), other(*b), note=f"{a}{b}".replace(" ", "")) for a, b in PAIRS[:count])


def singles(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    """Shapes for one operand."""
    shapes = [(2, 3), (), (1,), (3, 0), (2, 2, 3)]
    return tuple(S(make(*shape), note=str(shape).replace(" ", "")) for shape in shapes)


def odd_pairs() -> tuple[Sample, ...]:
    """Every special value with every other."""
    x, y = np.meshgrid(ODD, ODD)
    return (S(exactly(x), exactly(y)),)


def does_not_broadcast(op: str, function: Callable[..., Any]) -> tuple[Error, ...]:
    """Shapes that do not fit, operands that are no numbers."""
    return (
        Error(
            lambda: function(tgc.ones(2, 3), tgc.ones(2, 4)),
            ShapeError,
            rf"{op}.*\(2, 3\).*\(2, 4\).*axis -1.*3 and 4.*equal or 1",
        ),
        Error(
            lambda: function(tgc.ones(3, requires_grad=True), tgc.ones(2, 3, 4)),
            ShapeError,
            rf"{op}.*\(3,\).*\(2, 3, 4\)",
        ),
        Error(lambda: function(tgc.ones(0), tgc.ones(2)), ShapeError, rf"{op}.*\(0,\).*\(2,\)"),
        Error(lambda: function(tgc.ones(2), "a"), TypeError, "Tensor cannot be combined with str"),
        Error(lambda: function(tgc.ones(2), [1.0, 2.0]), TypeError, "list.*tgc.tensor"),
        Error(lambda: function(tgc.ones(2), None), TypeError, "NoneType"),
        Error(lambda: function(tgc.ones(2), np.ones(2, complex)), TypeError, "complex"),
    )


def two(
    op: str,
    oracle: Callable[..., Any],
    make: Callable[..., Draw],
    other: Callable[..., Draw] | None = None,
    count: int = len(PAIRS),
    **more: Any,
) -> Case:
    """A case of two operands."""
    function = getattr(tgc, op)
    more = {
        "special": odd_pairs(),
        "torch": torch_function(op),
        "integers": INTEGERS,
        "half": True,
        "threaded": (S((650, 640), (650, 640)), S((650, 640), (640,)), S((650, 1), (1, 640))),
        **more,
    }
    samples = pairs(make, other or make, count)
    return Case(op, function, oracle, samples, errors=does_not_broadcast(op, function), **more)


def one(op: str, oracle: Callable[..., Any], make: Callable[..., Draw], **more: Any) -> Case:
    """A case of one operand."""
    more = {
        "special": (S(exactly(ODD)),),
        "torch": torch_function(op),
        "half": True,
        "integers": INTEGERS,
        "threaded": (S((650, 640)),),
        **more,
    }
    return Case(op, getattr(tgc, op), oracle, singles(make), **more)


def comparison(op: str, oracle: Callable[..., Any]) -> Case:
    return two(
        op,
        oracle,
        lambda *shape: whole(3, *shape),
        count=7,
        differentiable=False,
        out="bool",
        half=False,
        integers=(*INTEGERS, "bool"),
    )


def gradient_kernel(op: Any) -> Callable[..., Any]:
    """Internal ops are reached as backward reaches them."""
    return lambda g, y: binary(op, g, y)


def same_shapes(make: Callable[..., Draw]) -> tuple[Sample, ...]:
    return tuple(S(shape, make(*shape)) for shape in [(2, 3), (), (1,), (0, 2)])


def sum_to(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every element of x is added to the place of `shape` that broadcasting would have copied there."""
    out = np.zeros(shape)
    for place in np.ndindex(x.shape):
        tail = place[len(place) - len(shape) :]
        out[tuple(0 if size == 1 else at for at, size in zip(tail, shape, strict=True))] += x[place]
    return out


def stretched(x: Any, shape: tuple[int, ...]) -> Any:
    return x.expand(shape) if hasattr(x, "expand") else np.broadcast_to(x, shape)


def power_of(x: Any, exponent: float) -> Any:
    return x**exponent


THREADED_GRAD = (S((650, 640), (650, 640)),)

CASES = (
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
    one("tanh", np.tanh, away),
    one("sigmoid", sp.expit, away),
    one("relu", lambda x: np.where(x < 0, 0.0, x), away, kinks=(S(exactly([0.0, -0.0, 1.0, -1.0])),)),
    one("clone", lambda x: x, away, integers=(*INTEGERS, "bool")),
    Case(
        "tanh_grad",
        gradient_kernel(el.TanhGrad),
        lambda g, y: g * (1 - y) * (1 + y),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
    Case(
        "sigmoid_grad",
        gradient_kernel(el.SigmoidGrad),
        lambda g, y: g * (y - y**2),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
    Case(
        "relu_grad",
        gradient_kernel(el.ReluGrad),
        lambda g, x: np.array([a if b > 0 else 0 for a, b in zip(g.flat, x.flat, strict=True)]).reshape(g.shape),
        same_shapes(away),
        half=True,
        threaded=THREADED_GRAD,
    ),
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
            Error(
                lambda: tgc.where(tgc.ones(2).bool(), tgc.ones(3), tgc.ones(3)), ShapeError, r"where.*\(2,\).*\(3,\)"
            ),
        ),
    ),
    Case(
        "where",
        lambda x, m: x.masked_fill(m, -2.5),
        lambda x, m: np.where(m, -2.5, x),
        (S((2, 3), mask(2, 3)),),
        torch=lambda x, m: x.masked_fill(m, -2.5),
    ),
    # Multiples of 1/4 and a step of 1/2 are exact in float16, so that differences can be taken through it.
    Case(
        "cast",
        lambda x: x.half(),
        lambda x: x,
        tuple(S(exactly(np.arange(np.prod(shape)).reshape(shape) / 4 - 1)) for shape in [(2, 3), (), (0,)]),
        out="float16",
        torch=lambda x: x.half(),
        step=0.5,
        tolerance=1e-3,
        threaded=(S((650, 640)),),
    ),
    Case(
        "expand",
        stretched,
        stretched,
        (
            S((3,), args=((2, 3),)),
            S((2, 1), args=((2, 4),)),
            S((), args=((2, 2),)),
            S((1, 1), args=((3, 2, 4),)),
            S((1,), args=((0,),)),
            S((2, 1, 3), args=((2, 2, 3),)),
        ),
        view=True,
        torch=stretched,
        half=True,
        integers=(*INTEGERS, "bool"),
        errors=(
            Error(lambda: tgc.ones(2, 3).expand(3, 3), ShapeError, r"expand.*\(2, 3\).*\(3, 3\).*size 1"),
            Error(lambda: tgc.ones(2, 3).expand(3), ShapeError, r"expand.*\(2, 3\).*\(3,\)"),
            Error(lambda: tgc.ones(3).expand(-1, 3), ShapeError, "expand.*-1.*exists"),
            Error(lambda: tgc.ones(3).expand(-2), ShapeError, "expand.*negative"),
        ),
    ),
    Case(
        "sum_to",
        el.sum_to,
        sum_to,
        (
            S((2, 3), args=((3,),)),
            S((2, 3), args=((1, 3),)),
            S((2, 3), args=((2, 1),)),
            S((2, 3), args=((),)),
            S((2, 3, 4), args=((3, 1),)),
            S((0, 3), args=((3,),)),
            S((1, 3), args=((3,),)),
            S((2, 1, 2), args=((1, 1, 2),)),
        ),
        half=True,
        threaded=(S((650, 640), args=((640,),)), S((650, 640), args=((650, 1),))),
        errors=(
            Error(lambda: tgc.autograd.apply(el.SumTo, (tgc.ones(2, 3),), ((2,),)), ShapeError, r"sum_to.*\(2,\)"),
            Error(lambda: tgc.autograd.apply(el.SumTo, (tgc.ones(3),), ((2, 3),)), ShapeError, r"sum_to.*\(2, 3\)"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


# ---- what the battery does not ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"])
def test_cast_between_all_types(backend: str, source: str, target: str) -> None:
    x = np.array([[0, 1, 2], [3, 0, 100]]).astype(source)
    for array in (x, x.T, x[:, ::-1]):
        y = tgc.from_numpy(array).to(target)
        assert y.dtype == target
        assert np.array_equal(y.array, array.astype(target))
        assert source == target or not np.shares_memory(y.array, array)


@pytest.mark.parametrize("target", ["float32", "float64", "float16"])
def test_gradient_of_a_cast_has_the_type_of_its_input(backend: str, target: str) -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    (x.to(target) * 3).sum().to("float64").backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("target", ["int64", "int32", "uint8", "bool"])
def test_cast_to_integers_leaves_the_graph(backend: str, target: str) -> None:
    """Rounding has no useful derivative: a graph through integers would pass on a gradient that is none."""
    x = tgc.tensor([1.7, 2.5], dtype="float64", requires_grad=True)
    whole_part = x.to(target)
    assert not whole_part.requires_grad
    (whole_part.double() * x).sum().backward()
    assert x.grad.tolist() == whole_part.double().tolist()


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


@pytest.mark.parametrize("layout", ["plain", "transposed", "expanded"])
def test_clone_and_contiguous_are_in_order(backend: str, layout: str) -> None:
    x = tgc.tensor(np.arange(12.0).reshape(3, 4))
    x = {"plain": x, "transposed": x.T, "expanded": x[:1].expand(3, 4)}[layout]
    assert x.contiguous().is_contiguous()
    assert np.array_equal(x.contiguous().array, x.array)
    assert x.clone().array.flags.writeable


def test_where_with_numbers_has_torchs_type(backend: str, torch: Any) -> None:
    condition = tgc.tensor([True, False])
    for a, b in [(1, 2), (1.0, 2), (1.0, 2.0), (True, False)]:
        theirs = torch.where(torch.tensor([True, False]), a, b)
        ours = tgc.where(condition, a, b)
        assert str(theirs.dtype) == f"torch.{ours.dtype}", (a, b)
        assert ours.tolist() == theirs.tolist()


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
