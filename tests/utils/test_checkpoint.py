"""checkpoint.py: the same values and gradients, with fewer arrays kept."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import GraphError
from tinygrad_course.utils.checkpoint import checkpoint, checkpoint_sequential


def plain(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What checkpoint does without checkpointing."""
    return function(*args, **kwargs)


@pytest.fixture
def w() -> Any:
    return tgc.randn(4, 4, dtype="float64", generator=tgc.Generator().manual_seed(1)).requires_grad_()


@pytest.fixture
def x() -> Any:
    return tgc.randn(3, 4, dtype="float64", generator=tgc.Generator().manual_seed(2)).requires_grad_()


def gradients(run: Any, *leaves: Any) -> list[Any]:
    """The values of `run` and the gradients of leaves."""
    y = run()
    found = tgc.autograd.grad((y * y * y).sum(), leaves)
    return [y.tolist(), *[g.tolist() for g in found]]


def test_same_bits(backend: str, x: Any, w: Any) -> None:
    """Arguments and closure, tracked tensors and other things."""

    def block(h: Any, scale: float, *, power: int) -> Any:
        return (h @ w).tanh() * scale + h**power

    def model(wrap: Any) -> Any:
        h = x * 2.0
        for scale in (0.5, 1.5):
            h = wrap(block, h, scale, power=2)
        return h

    assert gradients(lambda: model(checkpoint), x, w) == gradients(lambda: model(plain), x, w)


@pytest.mark.parametrize("use_reentrant", [None, False, True])
def test_backward_accumulates(x: Any, w: Any, use_reentrant: bool | None) -> None:
    checkpoint(lambda h: (h @ w).exp(), x, use_reentrant=use_reentrant).sum().backward()
    expected = tgc.autograd.grad((x @ w).exp().sum(), (x, w))
    assert x.grad.tolist() == expected[0].tolist()
    assert w.grad.tolist() == expected[1].tolist()


def test_only_the_closure_is_tracked(x: Any, w: Any) -> None:
    data = x.detach()
    y = checkpoint(lambda h: (h @ w).exp(), data)
    assert tgc.autograd.grad(y.sum(), w)[0].tolist() == tgc.autograd.grad((data @ w).exp().sum(), w)[0].tolist()


def test_arguments_that_depend_on_each_other(x: Any, w: Any) -> None:
    """Each gets its own part of the gradient: a leaf, what was made of it, and a tensor of the closure made of both."""

    def model(wrap: Any) -> Any:
        h = x @ w
        z = h.tanh()
        return wrap(lambda a, b: (a * b).exp() * z + (a @ w), h, x)

    found, wanted = gradients(lambda: model(checkpoint), x, w), gradients(lambda: model(plain), x, w)
    for f, g in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, g, rtol=1e-12)


def test_random_numbers_are_drawn_again(x: Any) -> None:
    def noisy(h: Any) -> Any:
        return nn.functional.dropout(h, 0.5) * tgc.randn(3, 4, dtype="float64")

    def run(wrap: Any) -> Any:
        tgc.manual_seed(7)
        return wrap(noisy, x) + wrap(noisy, x)

    assert gradients(lambda: run(checkpoint), x) == gradients(lambda: run(plain), x)
    run(checkpoint).sum().backward()
    after = tgc.rand(2).tolist()
    run(plain).sum().backward()
    assert tgc.rand(2).tolist() == after  # backward leaves the generator where it was


def test_nested(x: Any, w: Any) -> None:
    calls = []

    def inner(h: Any) -> Any:
        calls.append("inner")
        return (h @ w).tanh()

    def outer(wrap: Any) -> Any:
        def both(h: Any) -> Any:
            calls.append("outer")
            return wrap(inner, wrap(inner, h) * 2.0)
        return wrap(both, x)

    wanted = gradients(lambda: outer(plain), x, w)
    calls.clear()
    found = gradients(lambda: outer(checkpoint), x, w)
    for f, g in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, g, rtol=1e-13)
    assert calls == ["outer", "inner", "inner"] * 2 + ["inner"] * 2


def test_several_outputs_and_other_things(x: Any, w: Any) -> None:
    def block(pair: Any) -> Any:
        a, b = pair["a"], pair["b"]
        return {"sum": a + b, "rest": [(a @ w).exp(), None, "text"], "same": a, "indices": a.argmax(1)}

    def run(wrap: Any, key: Any) -> Any:
        out = wrap(block, {"a": x, "b": x * 3.0})
        assert out["rest"][1:] == [None, "text"]
        assert out["same"] is x
        assert not out["indices"].requires_grad
        return out["sum"] if key == "sum" else out["rest"][0] * out["sum"]

    assert gradients(lambda: run(checkpoint, "sum"), x) == gradients(lambda: run(plain, "sum"), x)
    assert gradients(lambda: run(checkpoint, "both"), x, w) == gradients(lambda: run(plain, "both"), x, w)


@pytest.mark.parametrize("function", [lambda h, w: (h @ w).tanh() * h, lambda h, w: (h @ w).exp().log_softmax(1)])
def test_second_derivatives(x: Any, w: Any, function: Any) -> None:
    """A gradient penalty, through saved inputs and saved outputs of the segment."""

    def penalty(wrap: Any) -> Any:
        y = wrap(lambda h: function(h * 1.5, w), x * 2.0)
        g, = tgc.autograd.grad((y * y).sum(), x, create_graph=True)
        return tgc.autograd.grad((g * g).sum() + y.sum(), (x, w))

    for found, wanted in zip(penalty(checkpoint), penalty(plain), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)


def test_third_derivative() -> None:
    x = tgc.tensor(0.7, dtype="float64", requires_grad=True)
    y = checkpoint(lambda h: h.exp() * h, x)
    for order in range(1, 4):
        y, = tgc.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(np.exp(0.7) * (0.7 + order), rel=1e-12)


def test_a_derivative_inside(x: Any) -> None:
    """A leaf that the function makes for itself, as a force field does."""

    def force(h: Any) -> Any:
        place = h.detach().requires_grad_()
        return tgc.autograd.grad((place * place * place).sum(), place, create_graph=True)[0] * h

    assert gradients(lambda: checkpoint(force, x), x) == gradients(lambda: force(x), x)


def test_backward_twice(x: Any) -> None:
    y = checkpoint(lambda h: h.exp(), x).sum()
    first, = tgc.autograd.grad(y, x, retain_graph=True)
    assert tgc.autograd.grad(y, x)[0].tolist() == first.tolist()
    with pytest.raises(GraphError, match="checkpoint: backward was called a second time"):
        tgc.autograd.grad(y, x)


def test_no_grad_calls_the_function(x: Any) -> None:
    with tgc.no_grad():
        assert not checkpoint(lambda h: h.exp(), x).requires_grad
    assert checkpoint(lambda h: h + 1.0, tgc.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequential(segments: int) -> None:
    tgc.manual_seed(0)
    layers = [nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 1)]
    model = nn.Sequential(*layers)
    x = tgc.randn(4, 6)
    results = []
    for run in (model, lambda x: checkpoint_sequential(model, segments, x, use_reentrant=False),
                lambda x: checkpoint_sequential(layers, segments, input=x)):  # fmt: skip
        model.zero_grad()
        tgc.manual_seed(1)
        run(x).sum().backward()
        results.append([p.grad.tolist() for p in model.parameters()])
    assert results[0] == results[1] == results[2]


def test_writing_inside(x: Any, w: Any) -> None:
    """Into its own values a function may write; into its arguments it may not."""

    def block(h: Any) -> Any:
        y = h @ w
        part = y[:2]
        y *= h
        y[0] = h[1].exp()
        return y, part * 1.0, part

    def run(wrap: Any) -> Any:
        y, doubled, part = wrap(block, x * 1.0)
        y += 1.0
        part = part if wrap is checkpoint else part - 1.0  # a view of y in the plain call
        return y.sum(0) + doubled.sum(0) * part.sum(0)

    for found, wanted in zip(gradients(lambda: run(checkpoint), x, w), gradients(lambda: run(plain), x, w), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)

    def careless(h: Any) -> Any:
        h += 1.0
        return h.exp()

    with pytest.raises(GraphError, match=r"checkpoint: the function wrote into one of its arguments.*clone\(\)"):
        checkpoint(careless, x * 1.0)


def arrays_alive(wrap: Any) -> int:
    """How many of the intermediate values of eight blocks of four ops live on between forward and backward."""
    alive: list[Any] = []

    def block(h: Any) -> Any:
        for _ in range(4):
            h = h.exp().tanh()
            alive.append(weakref.ref(h.array))
        return h.reshape(4, 25).t()

    x = tgc.ones(100, requires_grad=True)
    h = x
    for _ in range(8):
        h = wrap(block, h)
    gc.collect()
    count = sum(ref() is not None for ref in alive)
    h.sum().backward()
    del h
    assert sum(ref() is not None for ref in alive) == 0
    return count


def test_memory() -> None:
    assert arrays_alive(plain) == 32
    assert arrays_alive(checkpoint) == 0  # only the results of the blocks, which are views of the last ones, are kept


def test_the_graph_dies_without_a_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = tgc.ones(3, requires_grad=True)
        y = checkpoint(lambda h: h.exp() * 2.0, x)
        array = weakref.ref(y.array)
        del y
        assert array() is None
        y = checkpoint(lambda h: h.exp() * 2.0, x).sum()
        y.backward(create_graph=True)
        array = weakref.ref(y.array)
        x.grad = None
        del y
        assert array() is None
    finally:
        gc.enable()


def test_changed_inputs(x: Any, w: Any) -> None:
    h = x * 1.0
    y = checkpoint(lambda h: h.exp() @ w, h)
    with tgc.no_grad():
        h += 1.0
    with pytest.raises(GraphError, match=r"checkpoint: an input of shape \(3, 4\).*changed in place by '\+='"):
        y.sum().backward()


def test_changed_result(x: Any) -> None:
    g = tgc.Generator().manual_seed(0)
    y = checkpoint(lambda h: h * tgc.rand(3, 4, generator=g, dtype="float64"), x)
    with pytest.raises(GraphError, match=r"another value of output 0.*default generator"):
        y.sum().backward()
    y = checkpoint(lambda h: h * tgc.rand(3, 4, dtype="float64"), x, preserve_rng_state=False)
    with pytest.raises(GraphError, match="another value of output 0"):
        y.sum().backward()
    y = checkpoint(lambda h: h * tgc.rand(3, 4, generator=g, dtype="float64"), x, determinism_check="none")
    y.sum().backward()  # the user's own risk
    sizes = iter([3, 2])
    y = checkpoint(lambda h: h[: next(sizes)] * 2.0, x)
    with pytest.raises(GraphError, match=r"outputs \(2, 4\) float64; the first time it was outputs \(3, 4\)"):
        y.sum().backward()
    extra = iter([None, x])
    y = checkpoint(lambda h: h * 2.0 if next(extra) is None else h * 1.0 + x, x * 1.0)
    with pytest.raises(GraphError, match="2 tensors that require a gradient; the first time it was 1"):
        y.sum().backward()


def test_errors() -> None:
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(lambda x: x, tgc.ones(1), determinism_check="sometimes")
    with pytest.raises(ValueError, match="2 functions cannot be cut into 3 segments"):
        checkpoint_sequential([abs, abs], 3, tgc.ones(1))
