"""The backward pass: accumulation, graphs of every form, hooks, higher derivatives, what aliases what."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.autograd import Function, Op, apply, backward, grad
from tinygrad_course.errors import DTypeError, GraphError, ShapeError


def leaf(*values: float, dtype: str = "float64") -> Any:
    return tgc.tensor(list(values), dtype=dtype, requires_grad=True)


def shares(a: Any, b: Any) -> bool:
    return np.shares_memory(a.array, b.array)


# ---- accumulation and the form of the graph --------------------------------------------------------------------------


def test_gradients_add_up_over_calls() -> None:
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [3 + 2, 3 + 4]
    assert x.grad is first  # like PyTorch, in place: an optimiser may hold it


def test_a_tensor_used_several_times() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * y + y * x + x
    z.backward()
    assert x.grad.tolist() == [4 * 8 + 3 * 4 + 1]


def test_diamonds_do_not_take_exponential_time() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.tolist() == [1]


def test_order_in_which_branches_were_made_does_not_matter() -> None:
    x, w = leaf(2.0), leaf(3.0)
    late = x * w
    early = x + 1
    for _ in range(3):
        early = early * 2
    z = late * early
    (z + early * late).backward()
    assert x.grad.tolist() == [2 * (3 * 24 + 6 * 8)]
    assert w.grad.tolist() == [2 * 2 * 24]


def test_parts_without_gradient_are_not_walked() -> None:
    x, constant = leaf(1.0), tgc.tensor([5.0], dtype="float64")
    y = constant * 2 + constant.exp()
    assert not y.requires_grad
    assert y.grad_fn is None
    (x * y).backward()
    assert constant.grad is None


def test_gradient_argument() -> None:
    x = leaf(1.0, 2.0)
    (x * x).backward(tgc.tensor([1.0, 10.0], dtype="float64"))
    assert x.grad.tolist() == [2, 40]


def test_several_roots() -> None:
    x = leaf(1.0, 2.0)
    a, b = (x * 2).sum(), x * x
    backward([a, b], [None, tgc.tensor([1.0, 1.0], dtype="float64")])
    assert x.grad.tolist() == [4, 6]
    assert grad([(x * 2).sum(), (x * 3).sum()], x)[0].tolist() == [5, 5]
    y = x.sum()
    assert grad([y, y], x)[0].tolist() == [2, 2]


def test_root_that_is_a_leaf() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.tolist() == [1]
    assert grad(x, x)[0].tolist() == [1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradient_has_the_type_of_its_leaf(dtype: str) -> None:
    x = leaf(1.0, 2.0, dtype=dtype)
    (x.double() * x.float()).sum().backward()
    assert x.grad.dtype == x.dtype
    (x * 2).sum().backward(tgc.tensor(1.0, dtype="float64"))
    assert x.grad.dtype == x.dtype
    assert x.grad.tolist() == [4, 6]


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: (x * 2).backward(), GraphError, r"shape \(2,\).*single number.*\.sum\(\)"),
        (lambda x: x.detach().sum().backward(), GraphError, r"does not require a gradient.*no_grad.*detach"),
        (lambda x: (x * 2).backward(tgc.ones(3, dtype="float64")), ShapeError, r"gradient has shape \(3,\).*\(2,\)"),
        (lambda x: (x * 2).backward(2.0), GraphError, "gradient must be a Tensor, got float"),
        (lambda x: backward([x.sum()], [None, None]), GraphError, "1 tensors, but 2 gradients"),
        (lambda x: grad([x.sum()], x, [None, None]), GraphError, "1 outputs, but 2 grad_outputs"),
        (lambda x: backward(3.0), GraphError, "expected a Tensor, got float"),
        (lambda x: grad(x.sum(), x, only_inputs=False), TypeError, r"backward\(\) fills the \.grad"),
        (lambda x: grad(x.sum(), leaf(1.0)), GraphError, r"input 0 of shape \(1,\) was not used.*allow_unused"),
        (lambda x: grad(x.sum(), tgc.ones(1)), GraphError, r"does not require a gradient.*requires_grad_\(\)"),
        (lambda x: grad(x.sum(), "x"), GraphError, "must be tensors.*str"),
        (lambda x: x.sum().backward(inputs=[]), GraphError, "inputs must not be empty"),
        (lambda x: tgc.tensor([1, 2], requires_grad=True), DTypeError, r"floating point.*int64.*float\(\)"),
        (lambda x: (x * 2).requires_grad_(False), GraphError, r"only for leaves.*detach\(\)"),
        (lambda x: (x * 2).numpy(), GraphError, r"detach\(\)\.numpy\(\)"),
        (lambda x: x.detach().register_hook(print), GraphError, "never be called"),
        (lambda x: x.detach().retain_grad(), GraphError, "retain_grad"),
        (lambda x: setattr(x, "grad", tgc.ones(3)), ShapeError, r"\(3,\)"),
        (lambda x: setattr(x, "grad", 3.0), TypeError, "grad must be a Tensor"),
    ],
)
def test_misuse(call: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(leaf(1.0, 2.0))


def test_backward_twice_names_op_and_remedy() -> None:
    x = leaf(2.0)
    y = (x * x).exp()
    y.backward()
    with pytest.raises(GraphError, match=r"exp: backward was called a second time.*retain_graph=True.*detach\(\)"):
        y.backward()
    assert x.grad.tolist() == [4 * np.exp(4.0)]


def test_ops_that_saved_nothing_can_be_walked_twice() -> None:
    """As in PyTorch."""
    x = leaf(2.0)
    y = (x + x).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4]


def test_retain_graph() -> None:
    x = leaf(2.0)
    y = x * x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [24]
    with pytest.raises(GraphError, match="second time"):
        y.backward()


def test_shared_part_of_two_losses() -> None:
    x = leaf(2.0)
    shared = x * x
    a, b = shared * 2, shared * 3
    a.backward()
    with pytest.raises(GraphError, match=r"mul: backward was called a second time"):
        b.backward()
    assert x.grad.tolist() == [8]


# ---- grad(), inputs= -------------------------------------------------------------------------------------------------


def test_grad_leaves_grad_alone() -> None:
    x, y = leaf(2.0), leaf(3.0)
    gx, gy = grad(x * y, [x, y])
    assert (gx.tolist(), gy.tolist()) == ([3], [2])
    assert x.grad is None
    assert y.grad is None
    assert not gx.requires_grad


def test_grad_of_intermediates() -> None:
    x = leaf(2.0)
    y = x * 3
    z = y * y
    gy, gx = grad(z, [y, x])
    assert (gy.tolist(), gx.tolist()) == ([12], [36])
    z = y * y
    assert grad(z, z)[0].tolist() == [1]
    gz, gy = grad((z * 2).sum(), [z, y])
    assert (gz.tolist(), gy.tolist()) == ([2], [24])


def test_unused_inputs() -> None:
    x, y = leaf(2.0), leaf(3.0)
    assert grad(x * 2, [x, y], allow_unused=True)[1] is None
    assert grad(x * 2, [x, y], None, None, False, True, True)[1] is None  # only_inputs stands where PyTorch has it
    with pytest.raises(GraphError, match="input 1"):
        grad(x * 2, [x, y])


def test_a_gradient_that_came_from_a_sum_is_not_added_to_in_place() -> None:
    """The sum at `a` belongs to the engine, but `b`, `d` and then `c` are given one and the same gradient."""
    x, c = leaf(1.0, 2.0), leaf(3.0, 4.0)
    b = x * 2
    d = b + c
    a = b + d
    (a * 3 + a * 5).sum().backward()
    assert c.grad.tolist() == [8.0, 8.0]
    assert x.grad.tolist() == [32.0, 32.0]


def test_the_same_input_twice() -> None:
    x = leaf(2.0)
    a, b = grad(x * x, [x, x])
    assert (a.tolist(), b.tolist()) == ([4], [4])


def test_backward_to_chosen_inputs() -> None:
    x, y = leaf(2.0), leaf(3.0)
    middle = x * y
    (middle * middle).backward(inputs=[x, middle])
    assert x.grad.tolist() == [2 * 6 * 3]
    assert middle.grad.tolist() == [12]
    assert y.grad is None


def test_only_the_needed_part_runs() -> None:
    ran = []

    class Watched(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, name: str) -> Any:
            ctx.name = name
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            ran.append(ctx.name)
            return g, None

    x, y = leaf(1.0), leaf(1.0)
    z = Watched.apply(Watched.apply(x, "a") * Watched.apply(y, "b"), "c")
    grad(z, x)
    assert ran == ["c", "a"]


# ---- higher derivatives ----------------------------------------------------------------------------------------------


def test_third_derivative() -> None:
    x = leaf(2.0, -1.0)
    y = (x**4 + (x * 2).tanh()).sum()
    derivatives = []
    for _ in range(4):
        (y,) = grad(y.sum(), x, create_graph=True)
        derivatives.append(y.detach().array)
    t, v = np.tanh(2 * x.array), x.array
    s = 1 - t * t
    wanted = [
        4 * v**3 + 2 * s,
        12 * v**2 - 8 * t * s,
        24 * v + 16 * s * (3 * t * t - 1),
        24 + 16 * 2 * (-2 * t * s * (3 * t * t - 1) + s * 6 * t * s),
    ]
    np.testing.assert_allclose(derivatives, wanted, rtol=1e-10)


def test_create_graph_with_backward() -> None:
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.tolist() == [12]


def test_gradient_penalty() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (g,) = grad((x * x * w).sum(), x, create_graph=True)  # 2 x w
    (g * g).sum().backward()  # 4 x^2 w^2
    assert w.grad.tolist() == [8 * 3, 8 * 4 * 4]
    assert x.grad.tolist() == [8 * 9, 8 * 2 * 16]


def test_derivative_by_the_upstream_gradient() -> None:
    x, v = leaf(2.0), leaf(5.0)
    (g,) = grad(x * x, x, v, create_graph=True)
    gv, gx = grad(g, [v, x])
    assert (gv.tolist(), gx.tolist()) == ([4], [10])


def test_without_create_graph_nothing_is_recorded() -> None:
    x = leaf(2.0)
    (g,) = grad(x**3, x)
    assert g.grad_fn is None
    x.grad = None
    (x**3).backward()
    assert not x.grad.requires_grad


def test_product_with_its_own_detached_self() -> None:
    """d/dx (x c) with c = detach(x) is c, a constant: it has no further derivative, though both share their memory."""
    x = leaf(1.0, 2.0)
    c = x.detach()
    for y in (x * c, c * x, tgc.where(x > 0, x * c, c), x.reshape(2, 1).mT @ c.reshape(2, 1)):
        (g,) = grad(y.sum(), x, create_graph=True)
        assert g.tolist() == [1, 2]
        h = grad(g.sum(), x, allow_unused=True)[0] if g.requires_grad else None
        assert h is None or h.tolist() == [0, 0]


def test_two_tensors_around_one_array() -> None:
    values = np.array([1.0, 2.0])
    x, w = tgc.from_numpy(values).requires_grad_(), tgc.from_numpy(values).requires_grad_()
    gx, gw = grad((x * w * w).sum(), [x, w], create_graph=True)  # w^2, 2 x w
    assert grad(gx.sum(), x, allow_unused=True, retain_graph=True)[0] is None
    assert grad(gx.sum(), w, retain_graph=True)[0].tolist() == [2, 4]
    assert [g.tolist() for g in grad(gw.sum(), [x, w])] == [[2, 4], [2, 4]]


# ---- hooks and retain_grad -------------------------------------------------------------------------------------------


def test_hooks_see_and_replace() -> None:
    x = leaf(2.0)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(("y", g.item())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("y again", g.item())))
    x.register_hook(lambda g: seen.append(("x", g.item())))
    x.register_hook(lambda g: g + 1)
    (y * y).backward()
    assert seen == [("y", 12), ("y again", 120), ("x", 360)]
    assert x.grad.tolist() == [361]


def test_leaf_hook_is_called_once_with_the_sum() -> None:
    x = leaf(2.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 3 + x * 4).backward()
    assert seen == [7]


def test_hook_can_be_removed() -> None:
    x = leaf(2.0)
    handle = x.register_hook(lambda g: g * 0)
    with x.register_hook(lambda g: g * 0):
        pass
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert x.grad.tolist() == [2]


def test_hooks_run_in_grad_too() -> None:
    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g * 100)
    gx, gy = grad(y * y, [x, y])
    assert (gx.tolist(), gy.tolist()) == ([36000], [120])


def test_hook_is_differentiated_with_create_graph() -> None:
    x = leaf(2.0)
    x.register_hook(lambda g: g * g)
    (g,) = grad(x * x, x, create_graph=True)  # (2 x)^2
    assert grad(g, x)[0].tolist() == [(8 * 2) ** 2]  # 8 x, through the hook of x once more


@pytest.mark.parametrize(
    ("hook", "kind", "message"),
    [
        (lambda g: 3.0, GraphError, "hook.*Tensor or None.*float"),
        (lambda g: g.sum(), ShapeError, r"hook.*\(\).*\(2,\)"),
        (lambda g: g.float(), (DTypeError, GraphError), "hook.*float32.*float64"),
        (lambda g: (g.mul_(2.0), None)[1], GraphError, "hook"),
    ],
)
def test_bad_hooks(hook: Callable[[Any], Any], kind: Any, message: str) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(hook)
    with pytest.raises(kind, match=message):
        (x * 2).sum().backward()
    assert x.grad is None


def test_hook_that_writes_into_its_argument_is_an_error() -> None:
    x, y, v = leaf(1.0), leaf(2.0), tgc.ones(1, dtype="float64")
    x.register_hook(lambda g: (g.mul_(2.0), None)[1])
    with pytest.raises(GraphError, match="hook"):
        (x + y).backward(v)
    assert x.grad is None
    assert y.grad is None


def test_retain_grad() -> None:
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    z = y * y
    z.retain_grad()
    assert y.retains_grad
    z.backward(retain_graph=True)
    assert (y.grad.tolist(), z.grad.tolist(), x.grad.tolist()) == ([12], [1], [36])
    z.backward()
    assert y.grad.tolist() == [24]


def test_intermediate_gradients_are_not_kept_otherwise() -> None:
    x = leaf(2.0)
    y = x * 3
    (y * y).backward()
    assert y.grad is None


# ---- nobody's gradient is somebody else's memory ---------------------------------------------------------------------


class ReturnsSaved(Function):
    """x^2 / 2, whose gradient for g = 1 is x itself."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return (x * x).sum() * 0.5

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return ctx.saved_tensors[0]


class Identity(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


ALIASES: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda x, y: x + y,
    "clone": lambda x, y: x.clone() + y.clone(),
    "reshape": lambda x, y: x.reshape(1, 3).reshape(3) + y,
    "expand": lambda x, y: x.reshape(1, 3).expand(1, 3).reshape(3) + y[:],
    "permute": lambda x, y: x.permute(0) + y,
    "function": lambda x, y: Identity.apply(x) + Identity.apply(y),
    "cat": lambda x, y: tgc.cat([x, y])[:3] + tgc.cat([x, y])[3:],
    "cast": lambda x, y: x.to("float64") + y.to("float64"),
    "linear": lambda x, y: (
        tgc.ops.linear(tgc.ones(1, 3, dtype="float64"), tgc.eye(3, dtype="float64"), x).reshape(3) + y
    ),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ALIASES)
def test_gradients_have_their_own_memory(name: str, create_graph: bool) -> None:
    x, y, v = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0), tgc.ones(3, dtype="float64")
    z = ALIASES[name](x, y)
    z.retain_grad()
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g))
    z.register_hook(lambda g: seen.append(g))
    z.backward(v, create_graph=create_graph)
    holders = {"x.grad": x.grad, "y.grad": y.grad, "z.grad": z.grad, "v": v, "x": x, "y": y}
    for a in ("x.grad", "y.grad", "z.grad"):
        for b, other in holders.items():
            assert a == b or not shares(holders[a], other), f"{a} and {b} are one memory"
        assert not any(shares(holders[a], g) for g in seen), f"{a} is what a hook was given"


@pytest.mark.parametrize("create_graph", [False, True])
def test_saved_tensor_as_gradient(create_graph: bool) -> None:
    x = leaf(1.0, 2.0)
    ReturnsSaved.apply(x).backward(create_graph=create_graph)
    assert x.grad.tolist() == [1, 2]
    assert x.grad is not x
    assert not shares(x.grad, x)


def test_leaf_as_its_own_root() -> None:
    x, v = leaf(1.0), tgc.ones(1, dtype="float64")
    x.backward(v)
    assert not shares(x.grad, v)
    x = leaf(1.0)
    x.backward(x.detach())
    assert not shares(x.grad, x)


def test_gradients_of_inputs_have_their_own_memory() -> None:
    x, y = leaf(1.0), leaf(2.0)
    s = x + y
    v = tgc.ones(1, dtype="float64")
    s.backward(v, inputs=[x, y, s])
    assert not any(
        shares(a, b) for a, b in [(x.grad, y.grad), (x.grad, s.grad), (y.grad, s.grad), (x.grad, v), (s.grad, v)]
    )


# ---- exceptions, and backward within backward ------------------------------------------------------------------------


class Fails(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise RuntimeError("on purpose")


def test_an_exception_leaves_no_half_result() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = Fails.apply(x) + y * 2
    with pytest.raises(RuntimeError, match="on purpose"):
        z.backward()
    assert x.grad is None
    assert y.grad is None
    assert tgc.is_grad_enabled()
    (x * y).backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([2], [1])


def test_an_exception_in_a_hook_leaves_no_half_result() -> None:
    x, y = leaf(1.0), leaf(2.0)

    def hook(g: Any) -> None:
        raise ValueError("hook on purpose")

    x.register_hook(hook)
    with pytest.raises(ValueError, match="hook on purpose"):
        (y * 2 + x).backward()
    assert x.grad is None
    assert y.grad is None
    assert tgc.is_grad_enabled()


def test_grad_with_an_exception_can_be_tried_again() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = Fails.apply(x) * y
    with pytest.raises(RuntimeError, match="on purpose"):
        grad(z, [x, y], retain_graph=True)
    assert grad(z, y)[0].tolist() == [1]


def test_backward_within_a_hook() -> None:
    x, other = leaf(2.0), leaf(5.0)

    def hook(g: Any) -> Any:
        with tgc.enable_grad():
            (other * other).backward()
        return g * 2

    y = x * 3
    y.register_hook(hook)
    (y * y).backward()
    assert other.grad.tolist() == [10]
    assert x.grad.tolist() == [72]


def test_checkpointing_with_backward_within_backward() -> None:
    """What torch.utils.checkpoint does: forward again inside backward."""

    class Checkpoint(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return (x * w).tanh()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            with tgc.enable_grad():
                x, w = (t.detach().requires_grad_() for t in ctx.saved_tensors)
                y = (x * w).tanh()
            return grad(y, [x, w], g)

    x, w = leaf(0.5, -1.0), leaf(2.0, 0.3)
    (Checkpoint.apply(Checkpoint.apply(x, w), w) * 3).sum().backward()
    a, b = leaf(0.5, -1.0), leaf(2.0, 0.3)
    ((((a * b).tanh() * b).tanh()) * 3).sum().backward()
    np.testing.assert_allclose(x.grad.array, a.grad.array, rtol=1e-14)
    np.testing.assert_allclose(w.grad.array, b.grad.array, rtol=1e-14)


# ---- ops of users ----------------------------------------------------------------------------------------------------


def test_outputs_that_nobody_used() -> None:
    x = leaf(1.0, 3.0, 2.0)
    values, places = x.max(0)
    assert not places.requires_grad
    (values * 2).backward()
    assert x.grad.tolist() == [0, 2, 0]
    image = tgc.tensor(np.arange(4.0).reshape(1, 1, 2, 2), requires_grad=True)
    y, switches = tgc.ops.max_pool2d(image, 2, return_indices=True)
    assert not switches.requires_grad
    y.sum().backward()
    assert image.grad.tolist() == [[[[0, 0], [0, 1]]]]


@pytest.mark.parametrize("outputs", [(0,), (1,), (0, 1)])
def test_both_outputs_of_an_op(outputs: tuple[int, ...]) -> None:
    """cross_entropy also gives log-probabilities: the gradient of each alone and of both together."""
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((3, 4)), np.array([1, 0, 3])
    gs = [rng.standard_normal(3), rng.standard_normal((3, 4))]
    from tinygrad_course.ops.loss import CrossEntropy

    ours, theirs = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ys = apply(CrossEntropy, (ours, tgc.tensor(t), None), (-100, 0.0))
    logp = torch.log_softmax(theirs, 1)
    zs = (-logp[torch.arange(3), torch.tensor(t)], logp)
    backward([ys[k] for k in outputs], [tgc.tensor(gs[k]) for k in outputs])
    torch.autograd.backward([zs[k] for k in outputs], [torch.tensor(gs[k]) for k in outputs])
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


def custom(name: str, answer: Callable[[Any, Any], Any]) -> Any:
    """Two inputs, one output, and the backward under test."""
    body = {
        "name": name,
        "shape": staticmethod(lambda x, y: x),
        "forward": staticmethod(lambda ctx, k, x, y: (ctx.save(x, y), k.mul(x, y))[1]),
        "backward": staticmethod(answer),
    }
    return type("Custom", (Op,), body)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda ctx, g: (g,), "tester.*1 gradient.*2"),
        (lambda ctx, g: (g, g, g), "tester.*3 gradient.*2"),
        (lambda ctx, g: g, "tester.*tuple"),
        (lambda ctx, g: (g.array, g.array), "tester.*ndarray"),
        (lambda ctx, g: (g.sum(), g), r"tester|leaf.*\(\).*\(2,\)"),
        (lambda ctx, g: (g.float(), g), "float32.*float64"),
    ],
)
def test_wrong_answers_of_a_users_op_are_named(answer: Callable[[Any, Any], Any], message: str) -> None:
    op = custom("tester", answer)
    with pytest.raises((GraphError, ShapeError, DTypeError), match=message):
        apply(op, (leaf(1.0, 2.0), leaf(3.0, 4.0))).sum().backward()


@pytest.mark.parametrize("into", ["a leaf", "a result"])
def test_wrong_shape_is_noticed_whoever_comes_first(into: str) -> None:
    """A (1,) added to a (2,) that has arrived already would broadcast silently."""
    op = custom("tester", lambda ctx, g: (g.sum(0, keepdim=True), None))
    x = leaf(1.0, 2.0)
    y = x if into == "a leaf" else x * 1.0
    for make in (lambda: apply(op, (y, y)) + y * 2, lambda: y * 2 + apply(op, (y, y))):
        with pytest.raises(ShapeError, match=r"\(1,\).*\(2,\)"):
            make().sum().backward()
        assert x.grad is None


def test_op_that_saves_an_intermediate_is_refused() -> None:
    class Careless(Op):
        name = "careless"
        shape = staticmethod(lambda x: x)

        @staticmethod
        def forward(ctx: Any, k: Any, x: Any) -> Any:
            ctx.save(k.exp(x))
            return k.mul(x, x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return (g * ctx.saved[0],)

    with pytest.raises(GraphError, match=r"careless.*neither an input nor an output.*ctx\.constants"):
        apply(Careless, (leaf(1.0),))


@pytest.mark.parametrize("before", [(), (0,), (0, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("kept", list(itertools.product([True, False], repeat=4)))
def test_save_leaves_out_none_and_replaces_what_was_saved(kept: tuple[bool, ...], before: tuple[int, ...]) -> None:
    class Saves(Op):
        name = "saves"
        shape = staticmethod(lambda *shapes: shapes[0])

        @staticmethod
        def forward(ctx: Any, k: Any, *arrays: Any) -> Any:
            if before:
                ctx.save(*[arrays[i] for i in before])
            ctx.save(*[array if keep else None for array, keep in zip(arrays, kept, strict=True)])
            return k.mul(arrays[0], arrays[1])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            found.append(ctx.saved)
            return (g, None, None, None)

    found: list[Any] = []
    xs = [leaf(1.0) for _ in range(4)]
    apply(Saves, tuple(xs)).sum().backward()
    expected = [x for x, keep in zip(xs, kept, strict=True) if keep]
    assert [id(x) for x in found[0]] == [id(x) for x in expected]
    for x in expected:
        y = apply(Saves, tuple(xs)).sum()
        with tgc.no_grad():
            x.mul_(2.0)
        with pytest.raises(GraphError, match="changed in place"):
            y.backward()


def test_two_ops_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="'mul' exists already in tinygrad_course"):
        type("Mul", (Op,), {"name": "mul"})


def test_freezing_a_leaf_before_backward() -> None:
    """As in PyTorch, a leaf that no longer requires a gradient gets none."""
    x, y = leaf(1.0), leaf(2.0)
    z = x * y
    x.requires_grad_(False)
    z.backward()
    assert x.grad is None
    assert y.grad.tolist() == [1]
