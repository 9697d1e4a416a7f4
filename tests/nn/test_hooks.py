"""Forward, forward-pre and full backward hooks."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course import nn


class Double(nn.Module):
    def forward(self, x, shift=0):
        return x * 2 + shift


def test_order_and_what_hooks_see():
    m, seen = Double(), []
    m.register_forward_pre_hook(lambda mod, args: seen.append(("pre", mod, args)))
    m.register_forward_hook(lambda mod, args, out: seen.append(("post", mod, args, out)))
    assert m(3) == 6
    assert seen == [("pre", m, (3,)), ("post", m, (3,), 6)]


def test_hooks_replace_arguments_and_output():
    m = Double()
    m.register_forward_pre_hook(lambda mod, args: args[0] + 1)
    m.register_forward_hook(lambda mod, args, out: out * 10)
    assert m(1) == 40
    m.register_forward_pre_hook(lambda mod, args: (args[0] * 3,))
    assert m(1) == 120


def test_prepend_and_remove():
    m, order = Double(), []
    m.register_forward_hook(lambda *_: order.append("b"))
    first = m.register_forward_hook(lambda *_: order.append("a"), prepend=True)
    m(1)
    assert order == ["a", "b"]
    first.remove()
    first.remove()
    m(1)
    assert order == ["a", "b", "b"]
    with m.register_forward_hook(lambda *_: order.append("c")):
        m(1)
    m(1)
    assert order == ["a", "b", "b", "b", "c", "b"]


def test_keyword_arguments():
    m = Double()
    m.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"shift": kwargs["shift"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, kwargs, out: out + 100 * kwargs["shift"], with_kwargs=True)
    assert m(1, shift=4) == 2 + 5 + 500
    m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"tuple \(args, kwargs\)"):
        m(1, shift=4)


def test_a_hook_may_remove_itself():
    m, calls = Double(), []
    handle = m.register_forward_hook(lambda *_: (calls.append(1), handle.remove())[2:] or None)
    m(1)
    m(1)
    assert calls == [1]


def test_hooks_inside_a_tree_collect_activations():
    net, kept = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda mod, args, out, name=name: kept.__setitem__(name, out))
    y = net(tgc.ones(1, 2))
    assert list(kept) == ["0", "1", ""]
    assert kept[""] is y
    y.sum().backward()
    assert net[0].weight.grad is not None


def test_a_hook_must_be_callable():
    with pytest.raises(TypeError, match="callable"):
        Double().register_forward_hook(3)


# ---- full backward hooks --------------------------------------------------------------------------------------------


def two_in_two_out(lib, base):
    class Cross(base):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.tensor([2.0, 3.0], dtype=lib.float64))

        def forward(self, x, label, y):
            return x * y * self.scale, (x + y) * self.scale

    return Cross()


def test_backward_hooks_see_and_change_what_they_do_in_torch():
    torch = torch_or_skip()

    def play(lib, base):
        seen = []
        module = two_in_two_out(lib, base)
        x = lib.tensor([1.0, -2.0], dtype=lib.float64, requires_grad=True)
        y = lib.tensor([0.5, 4.0], dtype=lib.float64, requires_grad=True)

        def note(mod, grad_input, grad_output):
            assert mod is module
            seen.append((grad_input, grad_output))

        def double(mod, grad_input, grad_output):
            return tuple(None if g is None else g * 2 for g in grad_input)

        module.register_full_backward_hook(note)
        handle = module.register_full_backward_hook(double)
        module.register_full_backward_hook(note)
        a, b = module(x, "label", y)
        (a * x + b.exp()).sum().backward()  # x is used outside as well
        handle.remove()
        module(x, "label", y)[1].sum().backward()  # the first output is not used
        flat = [g for call in seen for side in call for g in side]
        return [x.grad, y.grad, module.scale.grad, *flat]

    ours, theirs = play(tgc, nn.Module), play(torch, torch.nn.Module)
    assert len(ours) == len(theirs) == 3 + 4 * 5
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b is not None and not b.detach().numpy().any():  # torch fills in zeros for the output that nobody used
            assert a is None or not a.detach().numpy().any()
        else:
            assert_close(a, b, what=str(number))


def test_backward_hook_without_any_gradient_of_the_input():
    layer, seen = nn.Linear(2, 3), []
    layer.register_full_backward_hook(lambda mod, grad_input, grad_output: seen.append((grad_input, grad_output)))
    layer(tgc.ones(1, 2)).sum().backward()
    (grad_input, grad_output), = seen
    assert grad_input == (None,)
    assert grad_output[0].tolist() == [[1.0, 1.0, 1.0]]
    assert layer.weight.grad is not None
    with tgc.no_grad():
        layer(tgc.ones(1, 2))
    assert len(seen) == 1


def test_guided_backpropagation_by_hook():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net[1].register_full_backward_hook(lambda mod, grad_input, grad_output: tgc.ops.relu(grad_input[0]))
    net.load_state_dict({"0.weight": np.eye(2), "0.bias": np.zeros(2), "2.weight": np.array([[1.0, -1.0]]),
                         "2.bias": np.zeros(1)})
    x = tgc.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0]]


def test_backward_hooks_allow_second_derivatives():
    layer = nn.Tanh()
    layer.register_full_backward_hook(lambda mod, grad_input, grad_output: (grad_input[0] * 3,))
    x = tgc.tensor([0.3], dtype=tgc.float64, requires_grad=True)
    first, = tgc.autograd.grad(layer(x).sum(), x, create_graph=True)
    second, = tgc.autograd.grad(first.sum(), x)
    t = np.tanh(0.3)
    assert first.item() == pytest.approx(3 * (1 - t * t))
    assert second.item() == pytest.approx(3 * -2 * t * (1 - t * t))


def test_backward_hooks_leave_no_cycles():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda *_: None)
    gc.disable()
    try:
        x = tgc.ones(1, 2, requires_grad=True)
        y = layer(x)
        gone = weakref.ref(y)
        y.sum().backward()
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_backward_hook_that_returns_too_few_gradients():
    module = two_in_two_out(tgc, nn.Module)
    module.register_full_backward_hook(lambda mod, grad_input, grad_output: grad_input[0])
    x = tgc.ones(2, dtype=tgc.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="returned 1 gradients, forward took 3 arguments"):
        module(x, 0, x)[0].sum().backward()
