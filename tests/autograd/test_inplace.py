"""Writing in place: the values, and the gradients, are those of the same program without writes.

Every program is written once and run with this package and, where it is installed, with PyTorch; its gradient is also
compared with finite differences of itself.
"""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.errors import DTypeError, GraphError, ShapeError

POINT = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.8]])


def slice_times_number(m: Any, x: Any) -> Any:
    t = x * 1
    t[:, :2] *= 10
    return t


def view_times_tensor(m: Any, x: Any) -> Any:
    t = x * 1
    row = t[0]
    row *= x[1]
    return t * t


def earlier_view_sees_the_write(m: Any, x: Any) -> Any:
    t = x * 2
    row = t[0]
    t[0, 1] = x[1, 1] * 3
    return row * row


def disjoint_views(m: Any, x: Any) -> Any:
    t = x * 2
    first, second = t[0], t[1]
    first.mul_(x[1])
    second.add_(first)
    return t * second


def view_of_a_view(m: Any, x: Any) -> Any:
    t = x * 1
    part = t.reshape(3, 2).permute(1, 0)[1]
    part += x[:, 0].sum()
    return t * t


def rows_of_a_buffer(m: Any, x: Any) -> Any:
    out = m.zeros(4, 3, dtype=x.dtype)
    h = x[0]
    for t in range(4):
        h = m.tanh(h + x[1])
        out[t] = h
    return out * out


def value_broadcasts(m: Any, x: Any) -> Any:
    t = m.zeros(2, 3, dtype=x.dtype)
    t[:] = x[0]
    t[:, 1] = x[1, 2]
    return t * x


def integer_array(m: Any, x: Any) -> Any:
    t = x * 2
    t[m.tensor([1, 0]), m.tensor([2, 2])] = x[0, :2]
    return t * t


def mask(m: Any, x: Any) -> Any:
    t = x * 2
    t[x > 0] = 0.0
    return t * x


def whole_tensor(m: Any, x: Any) -> Any:
    t = x * 2
    t.mul_(x).add_(x, alpha=3).sub_(1)
    return t.exp_()


def itself(m: Any, x: Any) -> Any:
    """PyTorch refuses this one."""
    t = x * 2
    t.mul_(t)
    return t


def fill(m: Any, x: Any) -> Any:
    t = x * 2
    y = t + x
    t.fill_(3.0)
    return y + t


def copy(m: Any, x: Any) -> Any:
    t = m.zeros(2, 3, dtype=x.dtype)
    t.copy_(x[0])
    t[1].copy_(x[1] * 2)
    return t * t


def activations(m: Any, x: Any) -> Any:
    return (x * 1).sigmoid_() * (x * 1).tanh_() + (x * 1).relu_() + (x * 1).neg_().abs_()


def through_detach_under_no_grad(m: Any, x: Any) -> Any:
    t = x * 2
    with m.no_grad():
        t[0] = 5.0
    return t + x


def written_twice(m: Any, x: Any) -> Any:
    t = x * 1
    t[0] = x[1]
    t[0, 0] = x[0, 0] * 2
    t[0] += 1
    return t * t


def overwritten_part_has_no_gradient(m: Any, x: Any) -> Any:
    t = x * 3
    t[1] = 0.0
    return t


def view_of_an_untracked_buffer(m: Any, x: Any) -> Any:
    t = m.zeros(2, 3, dtype=x.dtype)
    row = t[1]
    row += x[0]
    t[0] = row * 2
    return t * t


PROGRAMS = [
    slice_times_number, view_times_tensor, earlier_view_sees_the_write, disjoint_views, view_of_a_view, rows_of_a_buffer,
    value_broadcasts, integer_array, mask, whole_tensor, itself, fill, copy, activations, through_detach_under_no_grad,
    written_twice, overwritten_part_has_no_gradient, view_of_an_untracked_buffer,
]  # fmt: skip


def upstream(shape: Any) -> np.ndarray:
    return np.asarray(np.random.default_rng(5).standard_normal(shape))


def value_and_gradient(m: Any, program: Callable[..., Any], twice: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x = m.tensor(POINT, requires_grad=True)
    y = program(m, x)
    (g,) = m.autograd.grad(y, x, m.tensor(upstream(y.shape)), create_graph=twice)
    if twice:
        (g,) = m.autograd.grad(g, x, m.tensor(upstream(g.shape)))
    return y.detach().numpy(), g.detach().numpy()


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p is not itself], ids=lambda program: program.__name__)
def test_gradients_are_those_of_torch(program: Callable[..., Any], backend: str) -> None:
    torch = torch_or_skip()
    for ours, theirs in zip(value_and_gradient(tgc, program), value_and_gradient(torch, program), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_gradients_are_the_slopes(program: Callable[..., Any]) -> None:
    value, g = value_and_gradient(tgc, program)
    found = np.empty(POINT.shape)
    for place in np.ndindex(POINT.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = POINT.copy()
            moved[place] += step
            y = program(tgc, tgc.tensor(moved, requires_grad=True)).detach().numpy()
            sides.append((y * upstream(value.shape)).sum())
        found[place] = (sides[0] - sides[1]) / 2e-6
    if program is through_detach_under_no_grad:
        found[0] = g[0]  # the write under no_grad is not differentiated, on purpose
    np.testing.assert_allclose(g, found, rtol=1e-7, atol=1e-8)


TWICE = [earlier_view_sees_the_write, value_broadcasts, integer_array, copy, written_twice,
         view_of_an_untracked_buffer, whole_tensor]  # fmt: skip


@pytest.mark.parametrize("program", TWICE, ids=lambda program: program.__name__)
def test_second_derivatives(program: Callable[..., Any]) -> None:
    torch = torch_or_skip()
    ours, theirs = (value_and_gradient(m, program, twice=True)[1] for m in (tgc, torch))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def leaf(*values: float) -> Any:
    return tgc.tensor(list(values), dtype="float64", requires_grad=True)


def test_what_was_saved_before_the_write_raises_and_names_both_places() -> None:
    x = leaf(1.0, 2.0)
    t = x * 1
    y = t * t
    t[0] = 7.0
    with pytest.raises(GraphError, match=r"(?s)mul: an input.*changed in place by 'x\[\.\.\.\] = value' at "
                                         r"test_inplace\.py:\d+ after mul saved it"):
        y.sum().backward()
    with tgc.autograd.detect_anomaly():
        t = x * 1
        y = t * t
        t.add_(1)
        with pytest.raises(GraphError, match=r"(?s)changed in place by 'add_' at test_inplace\.py:\d+.*mul ran at "
                                             r"test_inplace\.py:\d+"):
            y.sum().backward()


def test_the_module_of_the_op_that_saved_is_named() -> None:
    class Square(tgc.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * x

    t = leaf(1.0, 2.0) * 1
    model = tgc.nn.Sequential(tgc.nn.Identity(), Square())
    y = model(t)
    t.add_(1)
    with pytest.raises(GraphError, match=r"mul ran in Sequential\.1"):
        y.sum().backward()


@pytest.mark.parametrize("write", ["x[0] = 1.0", "x += 1", "x.mul_(2)", "x[:1] *= 2", "x.view(2, 1)[0].fill_(1)"])
def test_leaves_are_not_written_to(write: str) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"a (view of a )?leaf that requires a gradient.*no_grad"):
        exec(write, {"x": x})
    assert x.tolist() == [1, 2]


def test_stretched_tensors_are_not_written_to() -> None:
    t = (leaf(1.0) * 1).expand(3)
    with pytest.raises(GraphError, match=r"stretched by expand.*clone\(\)"):
        t[0] = 5.0
    with pytest.raises(GraphError, match=r"stretched by expand"):
        t += 1


def test_a_value_that_does_not_fit_changes_nothing() -> None:
    t = leaf(1.0, 2.0, 3.0) * 1
    node = t.grad_fn
    with pytest.raises(ShapeError, match=r"value of shape \(2,\) does not broadcast to the region of shape \(3,\)"):
        t[:] = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"mul_: the result has shape \(2, 3\) and does not fit"):
        t.mul_(tgc.ones(2, 3, dtype="float64"))
    with pytest.raises(IndexError, match="does not fit a tensor of shape"):
        t[5] = 1.0
    with pytest.raises(DTypeError, match="cannot hold"):
        tgc.zeros(3, dtype="int64")[:] = t
    assert t.tolist() == [1, 2, 3]
    assert t.grad_fn is node


def test_of_two_values_for_one_place_the_last_stays_and_has_the_gradient() -> None:
    v = leaf(1.0, 2.0, 3.0)
    t = tgc.zeros(2, dtype="float64")
    t[tgc.tensor([0, 1, 0])] = v
    assert t.tolist() == [3, 2]
    (t * tgc.tensor([10.0, 20.0], dtype="float64")).sum().backward()
    assert v.grad.tolist() == [0, 20, 10]


def test_retained_gradient_is_that_of_the_new_value() -> None:
    t = leaf(1.0, 2.0) * 2
    t.retain_grad()
    t.mul_(3)
    (t * t).sum().backward()
    assert t.grad.tolist() == [12, 24]


def test_backward_from_a_view_made_before_the_write() -> None:
    x = leaf(1.0, 2.0)
    t = x * 1
    last = t[1]
    t.mul_(x)
    assert last.item() == 4
    last.backward()
    assert x.grad.tolist() == [0, 4]


def test_writing_makes_views_require_a_gradient() -> None:
    t = tgc.zeros(2, dtype="float64")
    first, second = t[0], t[1]
    t[0] = leaf(5.0)[0]
    assert t.requires_grad
    assert first.requires_grad
    assert second.requires_grad  # through the base, with gradient 0 for the value
    assert not t.is_leaf


@pytest.mark.parametrize("program", [rows_of_a_buffer, disjoint_views, view_of_a_view], ids=lambda program: program.__name__)
def test_graphs_with_writes_die_by_reference_count(program: Callable[..., Any]) -> None:
    gc.collect()
    gc.disable()
    try:
        x = tgc.tensor(POINT, requires_grad=True)
        y = program(tgc, x)
        alive = weakref.ref(y)
        del y
        assert alive() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_recurrence_through_its_own_buffer_is_refused_and_leaves_nothing_behind() -> None:
    x = leaf(0.5)
    gc.collect()
    gc.disable()
    try:
        out = tgc.ones(4, dtype="float64")
        for t in range(1, 4):
            out[t] = out[t - 1] * x[0]
        with pytest.raises(GraphError, match=r"changed in place"):
            out.sum().backward()
        del out
        assert gc.collect() == 0
    finally:
        gc.enable()


def by_numpy(x: Any) -> None:
    x.detach().numpy()[0] = 9.0


def by_a_view_in_numpy(x: Any) -> None:
    np.asarray(x.detach())[1:].sort()
    np.asarray(x.detach())[::-1].sort()


def by_out(x: Any) -> None:
    np.multiply(x.detach().numpy(), 2, out=x.detach().numpy())


@pytest.mark.parametrize("write", [by_numpy, by_a_view_in_numpy, by_out], ids=lambda write: write.__name__)
@pytest.mark.parametrize("known", ["before", "after"])
@pytest.mark.parametrize("saved", ["input", "output"])
def test_writes_by_numpy_are_noticed(write: Callable[..., Any], known: str, saved: str) -> None:
    x = leaf(1.0, 2.0, 3.0)
    t = x * 1
    if known == "before":
        t.detach().numpy()
    if saved == "input":
        y, name = t * t, "mul"
    else:
        t = y = t.exp()
        name = "exp"
    write(t)
    with pytest.raises(GraphError, match=rf"{name}: an {saved} of shape \(3,\).*changed in place by NumPy, which shares"):
        y.sum().backward()


def test_reading_by_numpy_is_no_write() -> None:
    x = leaf(1.0, 2.0, 3.0)
    t = x * 1
    y = t * t
    t.detach().numpy().sum()
    with tgc.no_grad():
        t.detach()[0:1].numpy()
    y.sum().backward()
    assert x.grad.tolist() == [2, 4, 6]


def test_memory_that_came_from_numpy() -> None:
    data = np.array([1.0, 2.0])
    x, w = tgc.from_numpy(data), leaf(3.0, 4.0)
    y = x * w
    data[0] = 100.0
    with pytest.raises(GraphError, match="NumPy"):
        y.sum().backward()
    z = x * w
    z.sum().backward()
    assert w.grad.tolist() == [100, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 65, 1000])
def test_every_changed_byte_changes_the_fingerprint(dtype: str, size: int) -> None:
    from tinygrad_course.kernels.arrays import fingerprint

    x = np.random.default_rng(0).integers(0, 2, size).astype(dtype)
    before = fingerprint(x)
    assert before == fingerprint(x.copy()) == fingerprint(np.repeat(x, 2)[::2])
    for place in {0, size // 2, size - 1} if size else ():
        y = x.copy()
        y[place] = y[place] + 1 if dtype != "bool" else not y[place]
        assert fingerprint(y) != before
    if size > 8:
        y = np.roll(x, 1)
        assert (fingerprint(y) == before) == np.array_equal(x, y)
