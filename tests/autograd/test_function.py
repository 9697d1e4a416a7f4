"""Function: custom ops of users, with PyTorch's interface."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function, grad
from tinygrad_course.errors import GraphError, ShapeError


def leaf(*values: float, dtype: str = "float64") -> Any:
    return tgc.tensor(list(values), dtype=dtype, requires_grad=True)


def function(forward: Callable[..., Any], backward: Callable[..., Any], name: str = "Tester") -> Any:
    return type(name, (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        assert not tgc.is_grad_enabled()
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class ExpTwoOutputs(Function):
    """(e^x, x^2), with the first output saved."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y, x * x

    @staticmethod
    def backward(ctx: Any, g1: Any, g2: Any) -> Any:
        x, y = ctx.saved_tensors
        return y * g1 + 2 * x * g2


def test_derivatives_of_any_order() -> None:
    x = leaf(2.0)
    y = Cube.apply(x)
    assert y.requires_grad
    assert repr(y.grad_fn) == "<CubeBackward>"
    for wanted in (12, 12, 6):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == wanted


def test_two_outputs() -> None:
    x = leaf(0.5)
    for use, wanted in [(lambda a, b: a, np.exp(0.5)), (lambda a, b: b, 1.0), (lambda a, b: a * b, np.exp(0.5) * 1.25)]:
        assert grad(use(*ExpTwoOutputs.apply(x)), x)[0].item() == pytest.approx(wanted)
    a, b = ExpTwoOutputs.apply(x)
    (g,) = grad(a * b, x, create_graph=True)  # e^x (x^2 + 2 x)
    assert grad(g, x)[0].item() == pytest.approx(np.exp(0.5) * (0.25 + 4 * 0.5 + 2))


def test_saved_output_alone_gives_second_derivatives() -> None:
    exp = function(lambda ctx, x: (y := x.exp(), ctx.save_for_backward(y))[0], lambda ctx, g: ctx.saved_tensors[0] * g)
    x = leaf(0.3)
    y = exp.apply(x)
    for _ in range(3):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(np.exp(0.3))


def test_arguments_that_are_not_tensors() -> None:
    scale = function(
        lambda ctx, x, factor, name=None: (setattr(ctx, "factor", factor), x * factor)[1],
        lambda ctx, g: (g * ctx.factor, None),
    )
    x = leaf(1.0)
    scale.apply(x, 3.0).backward()
    assert x.grad.tolist() == [3]


def test_needs_input_grad() -> None:
    seen = []

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        a, b, _ = ctx.saved_tensors
        return (g * b if ctx.needs_input_grad[0] else None), (g * a if ctx.needs_input_grad[1] else None), None, None

    def forward(ctx: Any, a: Any, b: Any, c: Any, n: int) -> Any:
        seen.append(ctx.needs_input_grad)
        ctx.save_for_backward(a, b, None)
        return a * b

    product = function(forward, backward)
    a, b, c = leaf(2.0), leaf(3.0), tgc.ones(1, dtype="float64")
    product.apply(a, b, c, 5).backward()
    product.apply(a, b.detach(), c, 5).backward()
    grad(product.apply(a, b, c, 5), b)
    assert seen == [
        (True, True, False, False),
        (True, True, False, False),
        (True, False, False, False),
        (True, False, False, False),
        (True, True, False, False),
        (False, True, False, False),
    ]
    assert a.grad.tolist() == [6]


def test_mark_non_differentiable() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        sign = x.sign()
        ctx.mark_non_differentiable(sign)
        return x * 2, sign

    def backward(ctx: Any, g: Any, g_sign: Any) -> Any:
        assert g_sign is None or g_sign.tolist() == [0, 0]
        return g * 2

    x = leaf(1.0, -1.0)
    y, sign = function(forward, backward).apply(x)
    assert y.requires_grad
    assert not sign.requires_grad
    (y * sign).sum().backward()
    assert x.grad.tolist() == [2, -2]


@pytest.mark.parametrize("materialize", [True, False])
def test_gradients_of_unused_outputs(materialize: bool) -> None:
    seen = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(materialize)
        return x * 2, x.reshape(2, 1) * 3, x.argmax(0)

    def backward(ctx: Any, *gs: Any) -> Any:
        seen.extend(gs)
        return gs[0] * 2

    x = leaf(1.0, 2.0)
    function(forward, backward).apply(x)[0].sum().backward()
    assert seen[0].tolist() == [1, 1]
    if materialize:
        assert seen[1].tolist() == [[0], [0]]
    else:
        assert seen[1] is None
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (lambda ctx, g: (g, g), GraphError, r"Tester\.backward returned 2 gradients.*forward takes 3"),
        (lambda ctx, g: (g, g, None, g), GraphError, r"Tester\.backward returned 4 gradients.*forward takes 3"),
        (lambda ctx, g: (g, 2.0, None), GraphError, r"Tester\.backward returned float.*argument 1"),
        (lambda ctx, g: (g, g.detach().numpy(), None), GraphError, r"Tester\.backward returned ndarray.*argument 1"),
        (lambda ctx, g: (g, g, g), GraphError, r"Tester\.backward.*argument 2, which is not a tensor"),
        (
            lambda ctx, g: (g.sum(), g, None),
            ShapeError,
            r"Tester\.backward.*shape \(\) for argument 0 of shape \(2,\).*broadcast",
        ),
        (lambda ctx, g: (g, g.reshape(2, 1), None), ShapeError, r"shape \(2, 1\) for argument 1"),
        (lambda ctx, g: [g, g, None], GraphError, r"Tester\.backward returned"),
    ],
)
def test_wrong_answers_are_named(answer: Callable[..., Any], kind: type[Exception], message: str) -> None:
    op = function(lambda ctx, x, y, n: x * y, answer)
    with pytest.raises(kind, match=message):
        op.apply(leaf(1.0, 2.0), leaf(3.0, 4.0), 3).sum().backward()


def test_superfluous_none_are_fine() -> None:
    x = leaf(1.0)
    function(lambda ctx, x: x * 1, lambda ctx, g: (g, None, None)).apply(x).backward()
    assert x.grad.tolist() == [1]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: None, r"Tester\.forward must return a Tensor.*NoneType"),
        (lambda x: x.detach().numpy(), "ndarray"),
        (lambda x: (x, 3.0), "float"),
        (lambda x: [x], "list"),
        (lambda x: (), r"Tester\.forward.*must return"),
    ],
)
def test_wrong_results_of_forward(result: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        function(lambda ctx, x: result(x), lambda ctx, g: g).apply(leaf(1.0))


def test_missing_methods() -> None:
    half = type("Half", (Function,), {"forward": staticmethod(lambda ctx, x: x * 1)})
    with pytest.raises(GraphError, match=r"must define.*backward"):
        half.apply(leaf(1.0)).backward()
    with pytest.raises(GraphError, match=r"must define.*forward"):
        type("Empty", (Function,), {}).apply(leaf(1.0))


def test_save_for_backward_takes_tensors_only() -> None:
    with pytest.raises(GraphError, match=r"save_for_backward takes tensors, got int.*ctx\.name"):
        function(lambda ctx, x: ctx.save_for_backward(3), lambda ctx, g: g).apply(leaf(1.0))


def test_saved_tensors_outside_backward() -> None:
    kept = []
    function(lambda ctx, x: (kept.append(ctx), ctx.save_for_backward(x), x * 1)[2], lambda ctx, g: g).apply(leaf(1.0))
    with pytest.raises(GraphError, match="only inside backward"):
        _ = kept[0].saved_tensors


def test_gradient_is_cast_to_the_type_of_its_argument() -> None:
    x = leaf(1.0, dtype="float32")
    function(lambda ctx, x: x.double(), lambda ctx, g: g).apply(x).backward()
    assert x.grad.dtype == np.float32


def test_changes_in_place_are_noticed() -> None:
    x = leaf(2.0)
    y = Cube.apply(x)
    with tgc.no_grad():
        x.mul_(3)
    with pytest.raises(GraphError, match=r"Cube.*'mul_'"):
        y.backward()


def test_second_backward() -> None:
    x = leaf(2.0)
    y = Cube.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(GraphError, match=r"Cube: backward was called a second time"):
        y.backward()


def test_under_no_grad_nothing_is_recorded() -> None:
    with tgc.no_grad():
        assert not Cube.apply(leaf(2.0)).requires_grad
    assert not Cube.apply(tgc.ones(1)).requires_grad


def test_argument_returned_as_it_is() -> None:
    """The result is another tensor, whose writes are noticed by those who saved the argument."""
    same = function(lambda ctx, x: x, lambda ctx, g: g * 2)
    x = leaf(1.0, 2.0)
    y = same.apply(x)
    assert y is not x
    assert y.grad_fn is not None
    assert x.is_leaf
    (y * y).sum().backward()
    assert x.grad.tolist() == [4, 8]


@pytest.mark.parametrize("look", [lambda x: x, lambda x: x.reshape(-1), lambda x: x[0], lambda x: x.detach()])
def test_views_of_arguments_share_their_version(look: Callable[[Any], Any]) -> None:
    op = function(lambda ctx, x: look(x), lambda ctx, g: None)
    x = tgc.tensor([[1.0, 2.0]], requires_grad=True)
    z = (x * x).sum()
    y = op.apply(x)
    with tgc.no_grad():
        y.mul_(0.0)
    try:
        z.backward()
    except GraphError:
        return
    assert x.grad.tolist() == [[2, 4]]  # silently wrong otherwise


def test_two_functions_with_product_and_detached_self() -> None:
    product = function(
        lambda ctx, a, b: (ctx.save_for_backward(a, b), a * b)[1],
        lambda ctx, g: (g * ctx.saved_tensors[1], g * ctx.saved_tensors[0]),
    )
    x = leaf(3.0)
    (g,) = grad(product.apply(x, x.detach()), x, create_graph=True)
    assert g.item() == 3
    h = grad(g, x, allow_unused=True)[0] if g.requires_grad else None
    assert h is None or h.item() == 0


# ---- second derivatives that cannot be known must raise --------------------------------------------------------------


def intermediate(ctx: Any, x: Any) -> Any:
    square = x * x
    ctx.save_for_backward(square)
    return square * x


def outside(ctx: Any, x: Any) -> Any:
    ctx.x = x.detach().numpy().copy()
    return x * x * x


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (intermediate, lambda ctx, g: 3 * ctx.saved_tensors[0] * g),
        (outside, lambda ctx, g: tgc.from_numpy(3 * ctx.x**2 * g.detach().numpy())),
        (outside, lambda ctx, g: tgc.tensor(3 * ctx.x**2) * g.detach()),
    ],
)
def test_backward_that_cannot_be_differentiated(forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
    op = function(forward, backward)
    x = leaf(2.0)
    op.apply(x).backward()
    assert x.grad.tolist() == [12]
    (g,) = grad(op.apply(x), x, create_graph=True)
    assert g.item() == 12
    with pytest.raises(GraphError, match=r"Tester\.backward cannot be differentiated"):
        grad(g, x)
    with pytest.raises(GraphError, match=r"Tester\.backward cannot be differentiated"):
        grad(g * x + g, x)
    x.grad = None
    with pytest.raises(GraphError, match=r"Tester\.backward cannot be differentiated"):
        (g * g).backward()
    assert x.grad is None


def test_linear_function_has_no_second_derivative() -> None:
    twice = function(lambda ctx, x: x * 2, lambda ctx, g: g * 2)
    x = leaf(1.0)
    (g,) = grad(twice.apply(x) * x, x, create_graph=True)  # 4 x
    assert grad(g, x)[0].item() == 4


def test_inheritance_and_names() -> None:
    class Special(Cube):
        pass

    x = leaf(2.0)
    y = Special.apply(x)
    assert repr(y.grad_fn) == "<SpecialBackward>"
    y.backward()
    assert x.grad.tolist() == [12]
