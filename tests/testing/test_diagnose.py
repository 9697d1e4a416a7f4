"""One Function per mistake, with exactly that mistake; the message must name place, values and cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function, Op, apply
from tinygrad_course.testing import GradcheckError, gradcheck, gradgradcheck


def tensor(*shape: int, seed: int = 0, low: float = 0.3, high: float = 2.0) -> tgc.Tensor:
    rng = np.random.default_rng(seed)
    return tgc.tensor(rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape), requires_grad=True)


def message(func: Callable[..., Any], *inputs: Any, check: Callable[..., bool] = gradcheck, **options: Any) -> str:
    assert not check(func, inputs, raise_exception=False, **options)
    with pytest.raises(GradcheckError) as caught:
        check(func, inputs, **options)
    return str(caught.value)


def diagnosis(text: str) -> str:
    return text[text.index("diagnosis: ") + len("diagnosis: "):]


def unary(value: Callable[[Any], Any], backward: Callable[[Any, Any], Any]) -> type[Function]:
    """A Function of one argument x from y = value(x) and gx = backward(g, x)."""
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return value(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(g, *ctx.saved_tensors)
    return Broken


def binary(value: Callable[[Any, Any], Any], backward: Callable[[Any, Any, Any], Any]) -> type[Function]:
    """A Function of two arguments x, w from y = value(x, w) and (gx, gw) = backward(g, x, w)."""
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return value(x, w)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(g, *ctx.saved_tensors)
    return Broken


def square(x: Any) -> Any:
    return x * x


# ---------------------------------------------------------------------------------------------------------- the message


def test_the_message_names_op_argument_index_values_and_tolerance() -> None:
    def backward(g: Any, x: Any, w: Any) -> Any:
        wrong = np.ones((2, 3))
        wrong[1, 2] = 1.5
        return g * w, g * x * tgc.tensor(wrong)

    class Product(binary(lambda x, w: x * w, backward)):  # type: ignore[misc]
        pass

    x, w = tensor(2, 3), tensor(2, 3, seed=1)
    text = message(Product.apply, x, w)
    right = x[1, 2].item()
    assert "wrong gradient of Product, output, with respect to argument 1 (w)" in text
    assert "1 of 36 entries of the Jacobian are wrong; the worst is d output[1, 2] / d w[1, 2]" in text
    analytic, numeric, difference, excess, allowed = (
        float(re.search(pattern, text)[1])  # type: ignore[index]
        for pattern in (r"analytic +(\S+)", r"numeric +(\S+)", r"difference +([^,]+),", r"([\d.e+]+) times the tol",
                        r"tolerance (\S+) "))
    assert analytic == pytest.approx(1.5 * right)
    assert numeric == pytest.approx(right)
    assert difference == pytest.approx(abs(right) / 2, rel=1e-6)
    assert allowed == pytest.approx(1e-5 + 1e-3 * abs(right), rel=1e-2)
    assert excess == pytest.approx(difference / allowed, rel=1e-2)
    assert "atol 1e-05 + rtol 0.001 * |numeric|" in text
    assert "no known cause fits. Tried: non-determinism, " in text
    assert "incomplete gradient" in text


def test_names_come_from_the_signature_and_other_pairs_are_listed() -> None:
    class Scale(Function):
        @staticmethod
        def forward(ctx: Any, data: Any, gain: Any) -> Any:
            ctx.save_for_backward(data, gain)
            return data * gain

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            data, gain = ctx.saved_tensors
            return -g * gain, -g * data

    text = message(Scale.apply, tensor(2), tensor(2, seed=1))
    assert "argument 0 (data)" in text
    assert "d output[0] / d data[0]" in text
    assert "also wrong: output with respect to argument 1: 2 of 4 entries" in text

    def twice_scaled(left: Any, right: Any) -> Any:
        return Scale.apply(left, right) * 2.0

    text = message(twice_scaled, tensor(2), tensor(2, seed=1))
    assert "wrong gradient of twice_scaled (last op: mul), output, with respect to argument 0 (left)" in text


def test_the_table_lists_the_worst_entries_first() -> None:
    text = message(unary(square, lambda g, x: 2 * x * g * tgc.arange(1, 9).double()).apply, tensor(8, low=1.0))
    rows = [line for line in text.splitlines() if line.startswith("    d output[")]
    assert len(rows) == 6
    excess = [float(row.split()[-1]) for row in rows]
    assert excess == sorted(excess, reverse=True)
    assert "7 of 64 entries" in text


# ----------------------------------------------------------------------------------------- the numeric side is to blame


def test_random_forward() -> None:
    rng = np.random.default_rng(0)
    noisy = unary(lambda x: x * tgc.tensor(rng.uniform(0.5, 1, x.shape)), lambda g, x: g)
    found = diagnosis(message(noisy.apply, tensor(3)))
    assert found.startswith("non-determinism: two forward calls with the same inputs differ by up to ")


def test_random_backward() -> None:
    rng = np.random.default_rng(0)
    noisy = unary(lambda x: 2 * x, lambda g, x: 2 * g * (1 + 1e-7 * float(rng.uniform())))
    text = message(noisy.apply, tensor(3))
    assert "two backward passes over the same graph differ at x[" in text
    assert "nondet_tol=0" in text
    assert diagnosis(text).startswith("non-determinism: ")
    assert gradcheck(noisy.apply, (tensor(3),), nondet_tol=1e-5)


def test_input_changed_in_place() -> None:
    def value(x: Any) -> Any:
        y = x * x
        x.detach().numpy()[...] *= 2
        return y

    found = diagnosis(message(unary(value, lambda g, x: 2 * g * x).apply, tensor(3)))
    assert found.startswith("input changed in place: forward writes into its argument 0")


def test_float32_inputs() -> None:
    x = tgc.tensor(np.linspace(0.5, 30, 6, dtype=np.float32), requires_grad=True)
    with pytest.warns(UserWarning, match="input 0 is float32, not float64"), pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: x.exp() * x, (x,))
    found = diagnosis(str(caught.value))
    assert found.startswith("low precision: the inputs are float32")
    assert "the same check with the inputs in float64 passes. Use x.double()." in found


def test_float32_inputs_and_a_mistake() -> None:
    x = tgc.tensor(np.linspace(0.5, 3, 6, dtype=np.float32), requires_grad=True)
    with pytest.warns(UserWarning, match="float32"), pytest.raises(GradcheckError) as caught:
        gradcheck(unary(square, lambda g, x: -2 * x * g).apply, (x,))
    assert "the values above are of the same check in float64, which fails too" in str(caught.value)
    assert diagnosis(str(caught.value)).startswith("wrong sign")


def test_float32_inside_the_function() -> None:
    found = diagnosis(message(lambda x: (x * x).float(), tensor(3)))
    assert found.startswith("low precision: the inputs are float64 but the output is float32")


def test_kink() -> None:
    x = tgc.tensor([1.0, -1.0, 0.0, 2.0], dtype=tgc.float64, requires_grad=True)
    text = message(lambda x: x.relu(), x)
    assert "1 of 16 entries of the Jacobian are wrong; the worst is d output[2] / d x[2]" in text
    found = diagnosis(text)
    assert found.startswith("kink: at x[2] the slope is 0 on the left and 1 on the right")
    assert "lies between the two" in found
    assert "with all inputs moved by some percent the check passes" in found


def test_kink_within_one_step() -> None:
    x = tgc.tensor([1.0, 4e-7], dtype=tgc.float64, requires_grad=True)
    assert diagnosis(message(lambda x: x.relu(), x)).startswith("kink: at x[1] the slope is 0 on the left and 1 on")


def test_jump() -> None:
    step = unary(lambda x: x + (x > 0).double(), lambda g, x: g)
    found = diagnosis(message(step.apply, tgc.tensor([0.0, 1.0], dtype=tgc.float64, requires_grad=True)))
    assert found.startswith("kink: ")
    assert "it jumps" in found


def test_tie_is_not_taken_for_a_factor() -> None:
    x = tensor(3)
    y = x.detach().clone().requires_grad_()
    maximum = binary(lambda x, w: tgc.maximum(x, w), lambda g, x, w: (g * (x >= w).double(), g * (x < w).double()))
    assert diagnosis(message(maximum.apply, x, y)).startswith("kink: ")


def numpy_sin(scale: float) -> type[Function]:
    return unary(lambda x: tgc.from_numpy(np.sin(scale * x.detach().numpy())),
                 lambda g, x: g * tgc.from_numpy(scale * np.cos(scale * x.detach().numpy())))


def test_step_too_long() -> None:
    found = diagnosis(message(numpy_sin(1e6).apply, tgc.tensor([1e-7, 3e-7], dtype=tgc.float64, requires_grad=True)))
    assert found.startswith("step size: eps=1e-06 is too long: at x[")
    eps = float(re.search(r"gradcheck\(\.\.\., eps=(\S+)\) passes", found)[1])  # type: ignore[index]
    assert eps < 1e-6
    assert gradcheck(numpy_sin(1e6).apply, (tgc.tensor([1e-7, 3e-7], dtype=tgc.float64, requires_grad=True),), eps=eps)


def test_step_too_short() -> None:
    found = diagnosis(message(lambda x: x * x + 1e9, tensor(3)))
    assert found.startswith("step size: eps=1e-06 is too short")
    eps = float(re.search(r"gradcheck\(\.\.\., eps=(\S+)\) passes", found)[1])  # type: ignore[index]
    assert gradcheck(lambda x: x * x + 1e9, (tensor(3),), eps=eps)


def test_outside_the_domain() -> None:
    x = tgc.tensor([1.0, 0.0], dtype=tgc.float64, requires_grad=True)
    with np.errstate(all="ignore"):
        found = diagnosis(message(lambda x: x.sqrt(), x))
    assert found.startswith("not finite: the numeric value is nan: the function is undefined, or overflows, within "
                            "1e-06 of ")


def test_backward_returns_nan() -> None:
    zero_over_zero = unary(square, lambda g, x: g * x * (2 * x) / x)
    x = tgc.tensor([1.0, 0.0], dtype=tgc.float64, requires_grad=True)
    with np.errstate(all="ignore"):
        found = diagnosis(message(zero_over_zero.apply, x))
    assert found.startswith("not finite: backward returns nan at x[1] = 0")


# ------------------------------------------------------------------------------------------------ backward is to blame


def gather_backward(g: Any, x: Any) -> Any:
    gx = np.zeros(x.shape)
    gx[[0, 2, 2]] = g.numpy()  # an entry used twice gets only the last
    return tgc.from_numpy(gx)


def first_row_only(g: Any, x: Any) -> Any:
    gx = np.zeros(x.shape)
    gx[0] = (2 * g * x).numpy()[0]
    return tgc.from_numpy(gx)


BROKEN_UNARY = {
    "transposed": (square, lambda g, x: (2 * g * x).T, (3, 3), "transposed gradient: with its axes 0 and 1 exchanged"),
    "transposed, other shape": (square, lambda g, x: (2 * g * x).T, (2, 3),
                                "transposed gradient: with its axes 0 and 1 exchanged"),
    "reshape for transpose": (lambda x: 1 * x.T, lambda g, x: g.reshape(x.shape), (2, 3),
                              "transposed gradient: the right values stand in the order of the gradient with axes 0 "
                              "and 1"),
    "upstream transposed": (square, lambda g, x: 2 * g.T * x, (3, 3),
                            "transposed gradient: the gradient is right for the upstream gradient with axes 0 and 1"),
    "twice": (square, lambda g, x: 4 * g * x, (5,), "constant factor: every entry is 2 times too large"),
    "half": (square, lambda g, x: g * x, (5,), "constant factor: every entry is 0.5 times what it should be (1/2"),
    "mean for sum": (lambda x: x.sum(), lambda g, x: (g / 15).expand(3, 5), (3, 5),
                     "constant factor: every entry is 0.0666667 times what it should be (1/15; 1/N with N = 15, "
                     "the number of entries of the argument (3, 5))"),
    "batch size": (square, lambda g, x: 2 * g * x * 7, (7, 2), "constant factor: every entry is 7 times too large "
                   "(the size of axis 0 of the output (7, 2), the batch). Divide the gradient by 7."),
    "negative factor": (square, lambda g, x: -4 * g * x, (3,), "constant factor: every entry is -2 times what it "
                                                               "should be"),
    "logarithm": (square, lambda g, x: 2 * g * x * float(np.log(2)), (3,), "constant factor: every entry is 0.693147 "
                                                                           "times "
                  "what it should be (ln 2)"),
    "one entry": (square, lambda g, x: 4 * g * x, (), "constant factor: every entry is 2 times too large"),
    "sign": (square, lambda g, x: -2 * g * x, (4,), "wrong sign: every entry has the right magnitude and the wrong "
                                                    "sign"),
    "sign of some": (lambda x: x.abs(), lambda g, x: g, (12,), "wrong sign: every magnitude is right, but the sign is "
                                                               "wrong "),
    "upstream ignored": (square, lambda g, x: 2 * x, (4,), "upstream gradient misused: backward gives the same for a "
                                                           "random "
                         "upstream gradient as for one of ones: it ignores the upstream gradient"),
    "upstream ignored, one entry": (square, lambda g, x: 2 * x, (), "upstream gradient misused: backward gives the "
                                                                    "same"),
    "upstream summed": (square, lambda g, x: 2 * x * g.sum(), (4,), "upstream gradient misused: the gradient is right "
                                                                    "if "
                        "every entry of the upstream gradient is replaced by the sum of it"),
    "upstream squared": (square, lambda g, x: 2 * x * g * g, (4,), "upstream gradient misused: twice the upstream "
                                                                   "gradient "
                         "should double the gradient, but it grows fourfold"),
    "zeros": (square, lambda g, x: 0 * g, (3,), "zero or missing gradient: the gradient is 0 everywhere"),
    "none": (square, lambda g, x: None, (3,), "zero or missing gradient: backward returns None for it"),
    "overwritten": (lambda x: tgc.from_numpy(x.detach().numpy()[[0, 2, 2]]), gather_backward, (4,),
                    "overwritten instead of added: where an entry of the argument is used several times (1 of 4 "
                    "entries"),
    "first row only": (square, first_row_only, (3, 2), "incomplete gradient: along axis 0 of the argument (3, 2) the "
                                                       "gradient "
                       "is right at index 0 and 0 at index 1, 2"),
}


@pytest.mark.parametrize("name", BROKEN_UNARY)
def test_mistakes_of_one_argument(name: str) -> None:
    value, backward, shape, expected = BROKEN_UNARY[name]
    text = message(unary(value, backward).apply, tensor(*shape))
    assert diagnosis(text).startswith(expected), text
    assert "wrong gradient of Broken, output, with respect to argument 0" in text


BROKEN_BINARY = {
    "not reduced": (lambda x, b: x + b, lambda g, x, b: (g, g), (3, 4), (4,), 1,
                    "missing sum over a broadcast axis: the gradient has the shape (3, 4); summed over axes (0,) it "
                    "is right"),
    "not reduced, kept axis": (lambda x, b: x * b, lambda g, x, b: (g * b, g * x), (3, 4), (3, 1), 1,
                               "missing sum over a broadcast axis: the gradient has the shape (3, 4); summed over "
                               "axes (1,)"),
    "mean": (lambda x, b: x + b, lambda g, x, b: (g, g.mean(0)), (3, 4), (4,), 1,
             "missing sum over a broadcast axis: the argument (4,) was broadcast along axes (0,) of the output (3, "
             "4), and the gradient is the mean over these 3 entries"),
    "first slice": (lambda x, b: x + b, lambda g, x, b: (g, g[0]), (3, 4), (4,), 1,
                    "missing sum over a broadcast axis: the gradient counts only the first index along axes (0,)"),
    "last slice": (lambda x, b: x * b, lambda g, x, b: (g * b, (g * x)[:, -1:]), (3, 4), (3, 1), 1,
                   "missing sum over a broadcast axis: the gradient counts only the last index along axes (1,)"),
    "swapped": (lambda x, w: x * w, lambda g, x, w: (g * x, g * w), (2, 3), (2, 3), 0,
                "swapped arguments: the gradients of arguments 0 and 1 are exchanged"),
    "swapped, other shapes": (lambda x, w: x @ w, lambda g, x, w: (x.T @ g, g @ w.T), (2, 3), (3, 4), 0,
                              "swapped arguments: the gradients of arguments 0 and 1 are exchanged"),
    "same one twice": (lambda x, w: x * w, lambda g, x, w: (g * w, g * w), (2, 3), (2, 3), 1,
                       "swapped arguments: the gradient given for argument 1 is that of argument 0"),
    "operand not transposed": (lambda x, w: x @ w, lambda g, x, w: (g @ w, x.T @ g), (2, 3), (3, 3), 0,
                               "transposed gradient: the gradient is right for argument 1 with axes 0 and 1 exchanged"),
}


@pytest.mark.parametrize("name", BROKEN_BINARY)
def test_mistakes_of_two_arguments(name: str) -> None:
    value, backward, first, second, argument, expected = BROKEN_BINARY[name]
    text = message(binary(value, backward).apply, tensor(*first), tensor(*second, seed=1))
    assert diagnosis(text).startswith(expected), text
    assert f"wrong gradient of Broken, output, with respect to argument {argument}" in text


def test_a_wrong_shape_is_reported_with_both_shapes() -> None:
    text = message(unary(square, lambda g, x: (2 * g * x).T).apply, tensor(2, 3))
    assert "backward returns the shape (3, 2), the argument has (2, 3)" in text


def test_an_op_of_the_package_is_seen_through_as_well() -> None:
    class Shift(Op):  # without a name: it stays out of the registry
        @staticmethod
        def shape(x: Any, b: Any) -> Any:
            return x

        @staticmethod
        def forward(ctx: Any, k: Any, x: Any, b: Any) -> Any:
            return k.add(x, b)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g, g

    def shift(x: Any, b: Any) -> Any:
        return apply(Shift, (x, b))

    text = message(shift, tensor(3, 4), tensor(4, seed=1))
    assert "wrong gradient of shift, output, with respect to argument 1 (b)" in text
    assert "backward returns the shape (3, 4), the argument has (4,)" in text
    assert diagnosis(text).startswith("missing sum over a broadcast axis: the gradient has the shape (3, 4); summed "
                                      "over")


def test_detached() -> None:
    found = diagnosis(message(lambda x: tgc.from_numpy(x.detach().numpy() * 2), tensor(3)))
    assert found.startswith("zero or missing gradient: the output is not connected to any input")


def test_one_argument_detached() -> None:
    found = diagnosis(message(lambda x, y: x * y.detach(), tensor(3), tensor(3, seed=1)))
    assert found.startswith("zero or missing gradient: the graph does not lead from the output to it: a detach()")


# --------------------------------------------------------------------------------------------------- second derivatives


def test_wrong_second_derivative() -> None:
    class Inner(Function):
        """2 x g, whose derivative is given the wrong sign."""

        @staticmethod
        def forward(ctx: Any, g: Any, x: Any) -> Any:
            ctx.save_for_backward(g, x)
            return 2 * g * x

        @staticmethod
        def backward(ctx: Any, gg: Any) -> Any:
            g, x = ctx.saved_tensors
            return 2 * gg * x, -2 * gg * g

    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return Inner.apply(g, *ctx.saved_tensors)

    assert gradcheck(Square.apply, (tensor(3),))
    text = message(Square.apply, tensor(3), check=gradgradcheck)
    assert "gradgradcheck: wrong gradient of second derivative of Square (last op: Inner), (gradient of x)" in text
    assert diagnosis(text).startswith("wrong sign")


def test_backward_that_cannot_be_differentiated() -> None:
    frozen = unary(square, lambda g, x: tgc.from_numpy(2 * g.detach().numpy() * x.detach().numpy()))
    assert gradcheck(frozen.apply, (tensor(3),))
    text = message(frozen.apply, tensor(3), check=gradgradcheck)
    assert "second derivative of Broken" in text
    assert "cannot be differentiated" in text


def test_backward_that_forgets_its_argument() -> None:
    half = unary(square, lambda g, x: 2 * g * x.detach())  # the graph to x is cut, the one to g is not
    text = message(half.apply, tensor(3), check=gradgradcheck)
    assert "second derivative of Broken" in text
    assert "zero or missing gradient: the graph does not lead" in text
