"""nn/utils: clipping of gradients and parameters as a vector, against PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import GraphError, OperandError, ShapeError
from tinygrad_course.nn import utils

SHAPES = ((3, 4), (5,), (), (0, 2), (130, 70))


def with_gradients(lib, scale=1.0, dtypes=("float64",) * 5, skip=()):
    """Parameters with the same random gradients in both libraries."""
    rng = np.random.default_rng(1)
    params = []
    for number, (shape, dtype) in enumerate(zip(SHAPES, dtypes, strict=True)):
        g = np.asarray(rng.standard_normal(shape) * scale, dtype)
        p = lib.zeros(shape, dtype=getattr(lib, dtype), requires_grad=True)
        if number not in skip:
            p.grad = lib.tensor(g)
        params.append(p)
    return params


@pytest.mark.parametrize("order", [2, 1.0, 3, 0.5, float("inf"), "inf", -float("inf"), 0, -1.0])
@pytest.mark.parametrize("max_norm", [0.3, 1e9])
@pytest.mark.parametrize("foreach", [None, False])
def test_clipping_by_norm_is_that_of_torch(order, max_norm, foreach):
    torch = torch_or_skip()
    ours, theirs = with_gradients(tgc, skip=(3,)), with_gradients(torch, skip=(3,))
    a = utils.clip_grad_norm_(iter(ours), max_norm, order, foreach=foreach)
    b = torch.nn.utils.clip_grad_norm_(theirs, max_norm, order, foreach=foreach)
    assert_close(a, b, what="norm")
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p.grad, q.grad, rtol=1e-12, atol=0)


def test_float32_and_mixed_types():
    torch = torch_or_skip()
    for dtypes in (("float32",) * 5, ("float32", "float64", "float32", "float32", "float64"), ("float16",) * 5):
        ours, theirs = with_gradients(tgc, 1.0, dtypes), with_gradients(torch, 1.0, dtypes)
        a = utils.clip_grad_norm_(ours, 1.0)
        b = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        tolerance = 2e-3 if "float16" in dtypes else 2e-6
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        assert_close(a, b, rtol=tolerance)
        for p, q in zip(ours, theirs, strict=True):
            assert p.grad.dtype == p.dtype
            assert_close(p.grad, q.grad, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_norm_that_is_not_finite(value):
    torch = torch_or_skip()
    found = []
    for lib in (tgc, torch):
        params = with_gradients(lib)
        params[1].grad[2] = value
        with pytest.raises(RuntimeError, match=r"The total norm of order 2\.0 for gradients from `parameters` is non-finite"):
            lib.nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
        before = [p.grad.numpy().copy() for p in params]
        assert all(np.isfinite(g).all() for k, g in enumerate(before) if k != 1)  # nothing was scaled
        norm = lib.nn.utils.clip_grad_norm_(params, 1.0)
        found.append([norm, *[p.grad for p in params]])
    for a, b in zip(*found, strict=True):
        assert_close(a, b)


def test_parts_of_clipping():
    torch = torch_or_skip()
    ours, theirs = with_gradients(tgc), with_gradients(torch)
    a = utils.get_total_norm([p.grad for p in ours], 1)
    b = torch.nn.utils.get_total_norm([p.grad for p in theirs], 1)
    assert_close(a, b)
    utils.clip_grads_with_norm_(ours, 7.0, a)
    torch.nn.utils.clip_grads_with_norm_(theirs, 7.0, b)
    utils.clip_grad_value_(ours, 1e-4)
    torch.nn.utils.clip_grad_value_(theirs, 1e-4)
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p.grad, q.grad)
    one = with_gradients(tgc)[0]
    assert utils.clip_grad_norm_(one, 1.0).item() > 1
    assert utils.get_total_norm(one.grad).item() == pytest.approx(1.0, rel=1e-5)


def test_nothing_to_clip():
    assert utils.clip_grad_norm_([], 1.0).tolist() == 0.0
    p = tgc.ones(2, requires_grad=True)
    assert utils.clip_grad_norm_([p], 1.0).tolist() == 0.0
    assert p.grad is None
    utils.clip_grad_value_([p], 1.0)
    with pytest.warns(UserWarning, match="`parameters` is an empty generator, no gradient clipping will occur"):
        utils.clip_grad_norm_(nn.ReLU().parameters(), 1.0)
    with pytest.warns(FutureWarning, match="clip_grad_norm` is now deprecated"):
        utils.clip_grad_norm([p], 1.0)


def test_gradients_that_lie_otherwise_in_memory_are_written_in_place():
    p = tgc.ones(3, 4, requires_grad=True)
    p.grad = tgc.arange(12.0).reshape(4, 3).mT
    grad, memory = p.grad, p.grad.array
    norm = utils.clip_grad_norm_([p], 1.0)
    assert p.grad is grad
    assert p.grad.array is memory
    np.testing.assert_allclose(memory, np.arange(12.0).reshape(4, 3).T / norm.item(), rtol=1e-6)
    p.grad = tgc.ones(3, 8)[:, ::2]
    utils.clip_grad_value_([p], 0.25)
    assert p.grad.tolist() == [[0.25] * 4] * 3


def test_clipping_counts_as_a_write():
    p = tgc.ones(3, requires_grad=True)
    p.grad = tgc.tensor([3.0, 4.0, 0.0], requires_grad=True)
    loss = (p.grad * p.grad).sum()
    utils.clip_grad_norm_([p], 1.0)
    with pytest.raises(GraphError, match="clip_grads_with_norm_"):
        loss.backward()


def test_what_is_no_tensor():
    with pytest.raises(OperandError, match=r"clip_grad_norm_.*tuple"):
        utils.clip_grad_norm_(nn.Linear(1, 1).named_parameters(), 1.0)


def test_vector_of_parameters():
    torch = torch_or_skip()
    a, b = nn.Linear(2, 3), torch.nn.Linear(2, 3)
    b.load_state_dict({key: torch.tensor(value.numpy()) for key, value in a.state_dict().items()})
    va, vb = utils.parameters_to_vector(a.parameters()), torch.nn.utils.parameters_to_vector(b.parameters())
    assert_close(va, vb)
    (va * va).sum().backward()
    assert_close(a.weight.grad, 2 * a.weight)
    fresh = tgc.arange(9.0)
    utils.vector_to_parameters(fresh, a.parameters())
    torch.nn.utils.vector_to_parameters(torch.arange(9.0), b.parameters())
    assert_close(a.weight, b.weight)
    assert_close(a.bias, b.bias)
    assert isinstance(a.weight, nn.Parameter)
    assert a.weight.requires_grad
    fresh[0] = 100.0
    assert a.weight.tolist()[0][0] == 100.0  # PyTorch's parameters show the vector's memory too
    with pytest.raises(ShapeError, match=r"the parameters have 9 values together, the vector has the shape \(8,\)"):
        utils.vector_to_parameters(tgc.ones(8), a.parameters())


def test_the_fusions_have_the_names_of_torch():
    torch = torch_or_skip()
    names = [name for name in dir(torch.nn.utils) if name.startswith(("fuse_", "clip_", "get_"))]
    assert all(hasattr(utils, name) for name in names)
