"""Writing in place: allowed where it cannot make a gradient wrong, noticed where it does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import grad
from tinygrad_course.errors import DTypeError, GraphError, ShapeError


def leaf(*values: float) -> Any:
    return tgc.tensor(list(values), dtype="float64", requires_grad=True)


def silently(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Under no_grad, as an optimiser would."""

    def wrapped(x: Any) -> None:
        with tgc.no_grad():
            write(x)

    return wrapped


def assign(x: Any) -> None:
    x[0] = 9.0


def assign_data(x: Any) -> None:
    x.data = x.detach() * 2


def plus_equals(x: Any) -> None:
    x += 1


# name in the message -> how x is changed
WRITES: dict[str, Callable[[Any], Any]] = {
    "add_": silently(lambda x: x.add_(1)),
    "sub_": silently(lambda x: x.sub_(1)),
    "mul_": silently(lambda x: x.mul_(2)),
    "div_": silently(lambda x: x.div_(2)),
    "fill_": silently(lambda x: x.fill_(7)),
    "zero_": silently(lambda x: x.zero_()),
    "copy_": silently(lambda x: x.copy_(tgc.zeros(3, dtype="float64"))),
    "+=": silently(plus_equals),
    "x[...] = value": silently(assign),
    "data =": assign_data,
    "uniform_": silently(lambda x: x.uniform_()),
    "mul_ ": lambda x: x.detach().mul_(2),
    "add_ ": lambda x: x.data.add_(1),
    "mul_  ": lambda x: x.detach()[1:].mul_(2),
    "mul_   ": lambda x: x.detach().reshape(3, 1).mT.mul_(2),
    "fill_  ": lambda x: x.detach().detach().unsqueeze(0).fill_(1),
    "div_ ": silently(lambda x: x[:2].div_(2)),
    "sub_ ": silently(lambda x: x.view(3, 1)[0].sub_(2)),
}

# op -> a result whose gradient needs the value of x
SAVERS: dict[str, Callable[[Any], Any]] = {
    "mul": lambda x: x * x,
    "div": lambda x: 1 / x,
    "pow": lambda x: x**3,
    "log": lambda x: x.log(),
    "abs": lambda x: x.abs(),
    "maximum": lambda x: x.maximum(2.0),
    "matmul": lambda x: x.reshape(1, 3) @ tgc.ones(3, 1, dtype="float64").requires_grad_(),
    "linear": lambda x: tgc.ops.linear(x.reshape(1, 3), tgc.ones(2, 3, dtype="float64").requires_grad_()),
    "amax": lambda x: x.amax(),
}


@pytest.mark.parametrize("write", WRITES)
def test_every_way_to_write_is_noticed(write: str) -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = (x * x).sum()
    WRITES[write](x)
    with pytest.raises(GraphError) as caught:
        y.backward()
    message = str(caught.value)
    assert f"'{write.strip()}'" in message
    assert message.startswith("mul: an input of shape (3,) that backward needs was changed in place by ")
    assert "clone()" in message
    assert x.grad is None


@pytest.mark.parametrize("op", SAVERS)
def test_every_op_that_needs_its_input_notices(op: str) -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = SAVERS[op](x).sum()
    with tgc.no_grad():
        x.mul_(2)
    with pytest.raises(GraphError, match=rf"^{op}: an input of shape .* changed in place by 'mul_'"):
        y.backward()


@pytest.mark.parametrize("op", ["exp", "sqrt", "tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("through", ["itself", "detach", "view", "view of a detached view"])
def test_saved_outputs(op: str, through: str) -> None:
    x = leaf(1.0, 2.0)
    y = getattr(x, op)()
    target = {
        "itself": lambda: y,
        "detach": y.detach,
        "view": lambda: y[:1],
        "view of a detached view": lambda: y.detach().reshape(2, 1)[1:],
    }[through]()
    with tgc.no_grad():
        target.mul_(5.0)
    with pytest.raises(GraphError, match=rf"{op}: an output of shape \(2,\).*changed in place by 'mul_'"):
        y.sum().backward()


def test_saved_index_and_mask() -> None:
    for make in (
        lambda x, i: x.gather(0, i),
        lambda x, i: x.scatter_add(0, i, x),
        lambda x, i: tgc.where(i > 0, x, 0.0 * x),
    ):
        x, i = leaf(1.0, 2.0), tgc.tensor([1, 0])
        y = make(x, i).sum()
        i.fill_(0)
        try:
            y.backward()
        except GraphError as error:
            assert "'fill_'" in str(error)  # noqa: PT017
        else:
            (wanted,) = grad(make(x, tgc.tensor([1, 0])).sum(), x)
            assert x.grad.tolist() == wanted.tolist()
    mask = tgc.tensor([True, False])
    x = leaf(1.0, 2.0)
    y = x.masked_fill(mask, 0.0)
    mask.fill_(False)
    with pytest.raises(GraphError, match=r"where.*'fill_'"):
        y.sum().backward()


def test_writes_before_saving_are_fine() -> None:
    x = leaf(1.0, 2.0)
    with tgc.no_grad():
        x.mul_(3)
    (x * x).sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_writes_to_what_nobody_saved_are_fine() -> None:
    x = leaf(1.0, 2.0)
    y = (x + 1) * 3
    with tgc.no_grad():
        x.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_clone_and_a_copying_reshape_are_other_memory() -> None:
    x = tgc.tensor(np.ones((2, 3)), requires_grad=True)
    y = (x * x).sum()
    x.detach().clone().mul_(0)
    x.detach().T.reshape(-1).mul_(0)  # the memory is not in this order: reshape has to copy
    x.detach()[[0, 1]].mul_(0)
    y.backward()
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_second_derivative_notices_too() -> None:
    x = leaf(2.0)
    (g,) = grad(x * x * x, x, create_graph=True)
    with tgc.no_grad():
        x.mul_(2)
    with pytest.raises(GraphError, match="changed in place by 'mul_'"):
        g.backward()


def test_backward_before_the_step_of_an_optimiser() -> None:
    from tinygrad_course import optim

    x = leaf(1.0, 2.0)
    for kind in (optim.SGD, optim.Adam):
        optimiser = kind([x], lr=0.1)
        loss = (x * x).sum()
        loss.backward(retain_graph=True)
        optimiser.step()
        with pytest.raises(GraphError, match=r"mul.*changed in place"):
            loss.backward()
        optimiser.zero_grad()
        (x * x).sum().backward()
        np.testing.assert_allclose(x.grad.array, 2 * x.detach().array)


# ---- refused at once -------------------------------------------------------------------------------------------------

ARITHMETIC: dict[str, Callable[[Any], Any]] = {
    "add_": lambda x: x.add_(1),
    "sub_": lambda x: x.sub_(1),
    "mul_": lambda x: x.mul_(1),
    "div_": lambda x: x.div_(1),
    "fill_": lambda x: x.fill_(1),
    "copy_": lambda x: x.copy_(1.0),
    "+=": plus_equals,
    "x[...] = value": assign,
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_leaves_are_not_written_into(name: str) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError) as caught:
        ARITHMETIC[name](x)
    assert str(caught.value).startswith(f"{name}: this tensor of shape (2,) is a leaf that requires a gradient")
    assert "no_grad" in str(caught.value)
    assert x.tolist() == [1, 2]


def test_under_no_grad_a_tracked_value_is_a_constant() -> None:
    x, buffer = leaf(1.0), tgc.zeros(2, dtype="float64")
    buffer[0] = x.detach()[0]
    with tgc.no_grad():
        buffer[1] = x[0]
    assert buffer.tolist() == [1, 1]
    assert not buffer.requires_grad


def test_outside_a_graph_writing_works() -> None:
    x = tgc.tensor([1.0, 2.0, 3.0])
    x += 1
    x -= tgc.ones(1)
    x *= 2
    x /= tgc.tensor(4.0)
    x[0] = 7
    x[1:] = tgc.tensor([8.0, 9.0])
    x[x > 8] = 0.5
    assert x.tolist() == [7, 8, 0.5]
    assert x.add_(tgc.ones(3), alpha=2).tolist() == [9, 10, 2.5]
    assert x.dtype == np.float32


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        (lambda x: x.add_(tgc.ones(2, 3)), ShapeError, r"add_.*\(2, 3\).*does not fit.*\(3,\)"),
        (lambda x: x.copy_(tgc.ones(2)), ShapeError, r"copy_.*\(2,\).*\(3,\)"),
        (lambda x: x.long().add_(0.5), DTypeError, r"add_.*float32.*int64"),
        (lambda x: x[:1].expand(3).add_(1), GraphError, r"add_.*expand.*clone\(\)"),
        (lambda x: x.__setitem__(5, 1.0), IndexError, "5"),
        (lambda x: x.__setitem__(slice(0, 2), tgc.ones(3)), (ShapeError, ValueError), "3"),
    ],
)
def test_bad_writes(write: Callable[[Any], Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        write(tgc.tensor([1.0, 2.0, 3.0]))
