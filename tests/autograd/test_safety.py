"""Ways to get a silently wrong gradient that were found by trying, and what happens now."""

import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function, grad, graph
from tinygrad_course.errors import GraphError, OperandError, ShapeError


def leaf(*values: float) -> Any:
    return tgc.tensor(list(values) or [1.0, 2.0, 3.0], dtype="float64", requires_grad=True)


def matrix() -> Any:
    return tgc.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", requires_grad=True)


# ---- shapes in place -------------------------------------------------------------------------------------------------


def test_a_shape_changed_after_it_was_saved() -> None:
    m = matrix()
    t = m * 1
    y = m @ t
    t.t_()
    with pytest.raises(GraphError, match=r"matmul: an input .* changed in place by 't_'"):
        y.sum().backward()


def test_a_shape_changed_under_no_grad_keeps_its_history() -> None:
    m = matrix()
    t = m * 2
    with tgc.no_grad():
        t.t_()
    (t * tgc.tensor([[1.0, 10.0], [100.0, 1000.0]], dtype="float64")).sum().backward()
    assert m.grad.tolist() == [[2, 200], [20, 2000]]


def test_detaching_in_place_is_a_change() -> None:
    x = leaf()
    t = x * 1
    y = t * t * t
    t.detach_()
    with pytest.raises(GraphError, match="changed in place by 'detach_'"):
        grad(y.sum(), x, create_graph=True)
    t = x * 2
    v = t[:2]
    t.detach_()
    assert not v.requires_grad


# ---- views -----------------------------------------------------------------------------------------------------------


def view_of_no_grad(t: Any) -> Any:
    with tgc.no_grad():
        return t[:2]


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda v: v.mul_(3), [6, 6, 2]),
        (lambda v: v.__setitem__(0, 5.0), [0, 2, 2]),
        (lambda v: v[:1].mul_(3), [6, 2, 2]),
    ],
)
def test_writing_through_a_view_made_under_no_grad(write: Any, wanted: list[float]) -> None:
    x = leaf()
    t = x * 2
    write(view_of_no_grad(t))
    t.sum().backward()
    assert x.grad.tolist() == wanted


def test_the_same_memory_with_another_history_is_written() -> None:
    x = leaf()
    t = x * 2
    t[:2] = t[:2].detach()
    t.sum().backward()
    assert x.grad.tolist() == [0, 0, 2]


@pytest.mark.parametrize("overlapping", [lambda t: t.unfold(0, 2, 1), lambda t: t.as_strided((2, 2), (1, 1))])
def test_overlapping_windows_are_not_written_to(overlapping: Any) -> None:
    t = leaf() * 1
    with pytest.raises(GraphError, match="overlap"):
        overlapping(t).mul_(2)


def test_retained_gradient_of_a_view_is_that_of_its_new_value() -> None:
    for write in (lambda t, v: v.mul_(2), lambda t, v: t.mul_(2)):
        t = leaf() * 1
        v = t[:2]
        v.retain_grad()
        write(t, v)
        (v * v).sum().backward()
        assert v.grad.tolist() == [4, 8]


def test_hook_on_a_view_whose_base_was_written() -> None:
    x = leaf()
    t = x * 1
    v = t[:2]
    t.mul_(2)
    v.register_hook(lambda g: g * 10)
    v.sum().backward()
    assert x.grad.tolist() == [20, 20, 0]


def test_a_base_with_other_memory() -> None:
    t = leaf() * 1
    v = t[:2]
    t.data = tgc.zeros(3, dtype="float64")
    t.mul_(2)
    v.detach().mul_(1)
    with pytest.raises(GraphError, match="shows memory that its base"):
        _ = (v * v).grad_fn


def test_operators_in_place_write() -> None:
    k = tgc.tensor([[5, 6], [7, 8]])
    row = k[0]
    row %= 4
    row <<= 1
    assert k.tolist() == [[2, 4], [7, 8]]
    k //= 2
    k &= 1
    k |= 4
    k ^= 1
    assert k.tolist() == [[4, 5], [4, 5]]


def test_windows_of_a_result_in_another_order() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    t = tgc.tensor(x).permute(1, 0, 2).sin()
    wanted = np.lib.stride_tricks.sliding_window_view(np.sin(x.transpose(1, 0, 2)), 2, axis=0)
    np.testing.assert_array_equal(t.unfold(0, 2, 1).numpy(), wanted)


# ---- gradients -------------------------------------------------------------------------------------------------------


def test_a_retained_gradient_is_memory_of_its_own() -> None:
    t = leaf() * 2
    t.retain_grad()
    s = (t * t).sum()
    (first,) = grad(s, t, retain_graph=True)
    grad(s, t, retain_graph=True)
    assert first.tolist() == [4, 8, 12]


def test_writing_into_the_gradient_that_was_passed_in() -> None:
    x, w = leaf(), leaf()
    go = tgc.ones(3, dtype="float64")
    (r,) = grad(x + 0 * w, x, go, retain_graph=True)
    z = go * w
    r.mul_(7)
    with pytest.raises(GraphError, match="changed in place"):
        z.sum().backward()


def test_an_input_named_twice_counts_once() -> None:
    x = leaf()
    (x * x).sum().backward(inputs=[x, x])
    assert x.grad.tolist() == [2, 4, 6]


def test_threads_that_meet_in_one_leaf() -> None:
    w = tgc.ones(200_000, dtype="float64", requires_grad=True)

    def work() -> None:
        for _ in range(10):
            (w * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(w.grad.tolist()) == {80.0}


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_of_a_node_with_several_outputs() -> None:
    x = leaf(3.0, 1.0, 2.0)
    y = x.sort(descending=True)[0]
    y.grad_fn.register_hook(lambda gradients, _: (gradients[0] * 2,))
    y.grad_fn.register_prehook(lambda gradients: tuple(None if g is None else g * 5 for g in gradients))
    y.sum().backward()
    assert x.grad.tolist() == [10, 10, 10]


def test_hooks_of_a_node() -> None:
    x = leaf()
    y = x * x
    seen = []
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append((len(inputs), outputs[0].tolist())))
    handle = y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 3,))
    y.sum().backward(retain_graph=True)
    handle.remove()
    assert seen == [(2, [3, 3, 3])]
    assert x.grad.tolist() == [6, 12, 18]
    for wrong, kind, message in (
        (lambda inputs, outputs: (inputs[0][:1], None), ShapeError, r"hook of mul returned shape \(1,\).*\(3,\)"),
        (lambda inputs, outputs: (1, 2), GraphError, "hook of mul returned int"),
        (lambda inputs, outputs: inputs[0], GraphError, "hook of mul must return None or a tuple of 2"),
    ):
        y = x * x
        y.grad_fn.register_hook(wrong)
        with pytest.raises(kind, match=message):
            y.sum().backward()


def test_hook_after_accumulation_may_write() -> None:
    x = leaf()
    x.register_post_accumulate_grad_hook(lambda p: p.sub_(p.grad, alpha=0.5))
    (x * 2).sum().backward()
    assert x.tolist() == [0, 1, 2]


def test_multi_grad_hook_belongs_to_one_pass() -> None:
    x, w, seen = leaf(), leaf(), []
    handle = graph.register_multi_grad_hook([x, w], lambda gs: seen.append([None if g is None else g.tolist() for g in gs]))
    (x * 2).sum().backward()
    (w * 3).sum().backward()
    (x * w).sum().backward()
    handle.remove()
    (x * w).sum().backward()
    assert seen == [[[2, 2, 2], None], [None, [3, 3, 3]], [[1, 2, 3], [1, 2, 3]]]


def test_nodes_and_leaves() -> None:
    x, w = leaf(), leaf()
    y = ((x * w).exp() + x).sum()
    assert [node.name for node in graph.nodes(y)] == ["sum", "add", "exp", "mul"]
    assert [id(t) for t in graph.leaves(y)] == [id(x), id(w)]
    assert graph.leaves(tgc.ones(2)) == []


# ---- custom functions ------------------------------------------------------------------------------------------------


def test_a_constant_that_a_function_saved_is_watched() -> None:
    k = tgc.tensor([1.0, 2.0, 3.0], dtype="float64")

    class Times(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(k)
            return x * k

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0]

    y = Times.apply(leaf())
    k.mul_(5)
    with pytest.raises(GraphError, match=r"Times: an input .* changed in place by 'mul_'"):
        y.sum().backward()


def test_a_function_that_returns_its_argument_gives_memory_of_its_own() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = leaf()
    z = x * 1
    y = Same.apply(z)
    y.mul_(3)
    (z + y).sum().backward()
    assert z.tolist() == [1, 2, 3]
    assert x.grad.tolist() == [4, 4, 4]


def test_a_function_that_writes_into_what_it_was_given() -> None:
    class Writes(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.mul_(0)

    with pytest.raises(GraphError, match=r"Writes\.forward wrote into its argument.*clone\(\)"):
        Writes.apply(leaf() * 1)
    Writes.forward = staticmethod(lambda ctx, x: x * 2)
    with pytest.raises(GraphError, match=r"Writes\.backward wrote into the gradient.*clone\(\)"):
        Writes.apply(leaf()).backward(tgc.ones(3, dtype="float64"))


def test_one_of_several_outputs_that_is_saved_is_itself() -> None:
    class Twice(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            a = x.exp()
            ctx.save_for_backward(a)
            return a, x.exp()

        @staticmethod
        def backward(ctx: Any, ga: Any, gb: Any) -> Any:
            return (ga + gb) * ctx.saved_tensors[0]

    x = leaf(0.0)
    a, b = Twice.apply(x)
    (g,) = grad(b.sum(), x, create_graph=True)
    (h,) = grad((g + a).sum(), a)
    assert h.tolist() == [2]


# ---- other ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [tgc.relu, tgc.neg, tgc.clone, tgc.logical_not, tgc.exp, lambda x: tgc.where(x, 1.0, 2.0)])
@pytest.mark.parametrize("value", [None, [1.0], "a"])
def test_no_tensor_is_no_crash(call: Any, value: Any) -> None:
    with pytest.raises(OperandError, match="Tensor"):
        call(value)


def test_a_function_that_writes_into_the_input_of_its_derivative() -> None:
    with pytest.raises(GraphError, match="func wrote into its input"):
        tgc.functional.jacobian(lambda q: q.mul_(2) ** 2, leaf() * 1, create_graph=True)


def test_checkpoint_notices_another_order_and_another_graph() -> None:
    x, places = leaf(), np.array([0, 1, 2])
    y = tgc.checkpoint(lambda a: a[places] * 2, x)
    places[:] = [2, 1, 0]
    with pytest.raises(GraphError, match="called again for backward"):
        y.sum().backward()
    flag = [True]
    y = tgc.checkpoint(lambda a: a * a if flag[0] else a * a.detach().clone().requires_grad_().detach() + 0, x)
    flag[0] = False
    with pytest.raises(GraphError, match="called again for backward"):
        y.sum().backward()
