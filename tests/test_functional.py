"""functional.py: against finite differences and torch.autograd.functional."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import functional
from tinygrad_course.errors import GraphError, OperandError, ShapeError

A = np.array([[1.0, -0.5, 2.0], [0.3, 0.7, -1.1]])


def wave(x: Any) -> Any:
    """(3,) -> (2,)"""
    return (x * x).exp() @ _like(x, A.T)


def mixed(x: Any, y: Any) -> Any:
    """(2, 2), (3,) -> (2, 3), ()"""
    return (x @ _like(x, A)) * y.tanh() * y, (x * x * x).sum() * y.sum()


def energy(x: Any) -> Any:
    """(3,) -> (1,): a single number need not be 0-d"""
    return ((x.exp() @ _like(x, A.T)).tanh().sum() * x[0]).reshape(1)


def coupled(x: Any, y: Any) -> Any:
    """(2, 2), (3,) -> ()"""
    return ((x @ _like(x, A)) * y * y).tanh().sum() + (x * x).sum()


def one_sided(x: Any, y: Any) -> Any:
    """Does not depend on y, and is linear in x."""
    return x.sum() * 2.0


def _like(x: Any, array: np.ndarray) -> Any:
    if isinstance(x, tgc.Tensor):
        return tgc.tensor(array, dtype=x.dtype)
    import torch

    return torch.tensor(array, dtype=x.dtype)


X3, X22 = np.array([0.3, -0.7, 0.5]), np.array([[0.2, -0.4], [0.9, 0.1]])
X1 = np.array([0.4])
SCALARS = [(energy, (X3,)), (coupled, (X22, X3)), (one_sided, (X22, X3))]
VECTORS = [(wave, (X3,)), (mixed, (X22, X3)), (one_sided, (X22, X3))]


def ours(arrays: Any) -> Any:
    made = tuple(tgc.tensor(a) for a in arrays)
    return made[0] if len(made) == 1 else made


def theirs(torch: Any, arrays: Any) -> Any:
    made = tuple(torch.tensor(a) for a in arrays)
    return made[0] if len(made) == 1 else made


def same(found: Any, wanted: Any) -> None:
    """The same nesting, shapes and values."""
    if isinstance(wanted, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            same(f, w)
        return
    assert not found.requires_grad
    assert found.shape == tuple(wanted.shape)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)


def vectors(arrays: Any, seed: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(a.shape) for a in arrays)


@pytest.mark.parametrize(("f", "arrays"), VECTORS)
def test_vjp_and_jvp(torch: Any, f: Callable[..., Any], arrays: Any) -> None:
    y = f(*[torch.tensor(a) for a in arrays])
    outputs = y if isinstance(y, tuple) else (y,)
    u, v = vectors(outputs), vectors(arrays)
    module = torch.autograd.functional
    same(functional.vjp(f, ours(arrays), ours(u)), module.vjp(f, theirs(torch, arrays), theirs(torch, u)))
    same(functional.jvp(f, ours(arrays), ours(v)), module.jvp(f, theirs(torch, arrays), theirs(torch, v)))


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
@pytest.mark.parametrize(("f", "arrays"), VECTORS)
def test_jacobian(torch: Any, f: Callable[..., Any], arrays: Any, strategy: str) -> None:
    found = functional.jacobian(f, ours(arrays), vectorize=True, strategy=strategy)
    same(found, torch.autograd.functional.jacobian(f, theirs(torch, arrays)))


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
@pytest.mark.parametrize(("f", "arrays"), SCALARS)
def test_hessian(torch: Any, f: Callable[..., Any], arrays: Any, strategy: str) -> None:
    found = functional.hessian(f, ours(arrays), outer_jacobian_strategy=strategy)
    same(found, torch.autograd.functional.hessian(f, theirs(torch, arrays)))


@pytest.mark.parametrize("name", ["vhp", "hvp"])
@pytest.mark.parametrize(("f", "arrays"), SCALARS)
def test_products_with_the_hessian(torch: Any, f: Callable[..., Any], arrays: Any, name: str) -> None:
    v = vectors(arrays)
    found = getattr(functional, name)(f, ours(arrays), ours(v))
    same(found, getattr(torch.autograd.functional, name)(f, theirs(torch, arrays), theirs(torch, v)))


@pytest.mark.parametrize(("f", "arrays"), SCALARS)
def test_diagonal_of_the_hessian(f: Callable[..., Any], arrays: Any) -> None:
    found = functional.hessian_diagonal(f, ours(arrays))
    whole = functional.hessian(f, ours(arrays))
    if len(arrays) == 1:
        found, whole = (found,), ((whole,),)
    for number, (d, x) in enumerate(zip(found, arrays, strict=True)):
        matrix = whole[number][number].numpy().reshape(x.size, x.size)
        np.testing.assert_array_equal(d.numpy(), np.diag(matrix).reshape(x.shape))


def test_finite_differences() -> None:
    h = 1e-5
    steps = np.eye(3) * h
    moved = [wave(tgc.tensor(X3 + s)) - wave(tgc.tensor(X3 - s)) for s in steps]
    differences = np.stack([d.numpy() / (2 * h) for d in moved], -1)
    np.testing.assert_allclose(functional.jacobian(wave, tgc.tensor(X3)).numpy(), differences, rtol=1e-7)

    def slope(x: Any) -> Any:
        return functional.jacobian(energy, tgc.tensor(x)).numpy()[0]

    seconds = np.stack([(slope(X3 + s) - slope(X3 - s)) / (2 * h) for s in steps], -1)
    np.testing.assert_allclose(functional.hessian(energy, tgc.tensor(X3)).numpy(), seconds, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp", "hvp"])
def test_v_may_be_left_out_for_a_single_number(torch: Any, name: str) -> None:
    def cube(x: Any) -> Any:
        return x * x * x

    found = getattr(functional, name)(cube, tgc.tensor(X1))
    wanted = getattr(torch.autograd.functional, name)(cube, torch.tensor(X1))
    np.testing.assert_allclose(found[1].numpy(), wanted[1].numpy())


CALLS = {
    "vjp": lambda m, f, x, v: m.vjp(f, x, v[:2], create_graph=True)[1],
    "jvp": lambda m, f, x, v: m.jvp(f, x, v, create_graph=True)[1],
    "jacobian": lambda m, f, x, v: m.jacobian(f, x, create_graph=True),
    "hessian": lambda m, f, x, v: m.hessian(lambda x: f(x).sum(), x, create_graph=True),
    "vhp": lambda m, f, x, v: m.vhp(lambda x: f(x).sum(), x, v, create_graph=True)[1],
    "hvp": lambda m, f, x, v: m.hvp(lambda x: f(x).sum(), x, v, create_graph=True)[1],
}


@pytest.mark.parametrize("name", CALLS)
def test_create_graph(torch: Any, name: str) -> None:
    """The results are differentiated once more, with respect to x and v."""
    results = []
    for tensor, module in ((tgc.tensor, functional), (torch.tensor, torch.autograd.functional)):
        x, v = tensor(X3, requires_grad=True), tensor(X3[::-1].copy(), requires_grad=True)
        y = CALLS[name](module, wave, x * 1.0, v)
        assert y.requires_grad
        (y * y).sum().backward()
        results.append([x.grad.numpy(), np.zeros(3) if v.grad is None else v.grad.numpy()])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-11)


def test_forward_mode_with_create_graph() -> None:
    """What PyTorch does not offer: checked against the other strategy."""
    grads = []
    for strategy in ("reverse-mode", "forward-mode"):
        x = tgc.tensor(X3, requires_grad=True)
        y = functional.jacobian(wave, x, create_graph=True, strategy=strategy)
        (y * y).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)


def test_inputs_stay_as_they_are() -> None:
    x = tgc.tensor(X3, requires_grad=True)
    with tgc.no_grad():
        functional.hessian(energy, x)
        functional.jvp(wave, x, tgc.tensor(X3))
    assert x.grad is None
    plain = tgc.tensor(X3)
    functional.jacobian(wave, plain)
    assert not plain.requires_grad


def test_empty_output() -> None:
    x = tgc.tensor(X3)
    for strategy in ("reverse-mode", "forward-mode"):
        assert functional.jacobian(lambda x: x[:0], x, strategy=strategy).shape == (0, 3)
        assert functional.jacobian(lambda x: x.sum(), tgc.zeros(0), strategy=strategy).shape == (0,)


CONSTANT = tgc.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: functional.vjp(wave, x), GraphError, r"vjp: v may be left out only for a single output.*\(2,\)"),
        (lambda x: functional.jvp(wave, x), GraphError, r"jvp: v may be left out only for a single input.*\(3,\)"),
        (lambda x: functional.vjp(wave, x, x), ShapeError, r"vjp: v\[0\] has shape \(3,\), but output 0 has \(2,\)"),
        (lambda x: functional.jvp(wave, x, (x, x)), ShapeError, "jvp: v has 2 tensors for 1 inputs"),
        (lambda x: functional.hessian(wave, x), ShapeError, r"hessian: func returned .* \(2,\).*sum\(\)"),
        (lambda x: functional.hvp(wave, x, x), ShapeError, r"hvp: func returned .* \(2,\)"),
        (lambda x: functional.vhp(lambda x: (x.sum(), x.sum()), x, x), OperandError, "vhp: func must return a single Tensor"),
        (lambda x: functional.jacobian(wave, [x]), OperandError, "jacobian: the inputs must be.*list"),
        (lambda x: functional.jacobian(lambda x: (x, 1.0), x), OperandError, "outputs of func.*number 1 is float"),
        (lambda x: functional.jacobian(wave, x, strategy="sideways"), ValueError, "strategy.*sideways"),
        (lambda x: functional.vjp(lambda x: CONSTANT, x, CONSTANT, strict=True), GraphError, "output 0 of func does not"),
        (lambda x: functional.vjp(lambda x, y: x, (x, x), x, strict=True), GraphError, "does not depend on input 1"),
        (lambda x: functional.jvp(lambda x, y: x, (x, x), (x, x), strict=True), GraphError, "does not depend on input 1"),
        (lambda x: functional.jacobian(lambda x, y: x, (x, x), strict=True), GraphError, "depend on input 1"),
        (lambda x: functional.hessian(lambda x: x.sum(), x, strict=True), GraphError, "derivative of func.*input 0"),
        (lambda x: functional.vhp(lambda x: x.sum(), x, x, strict=True), GraphError, "derivative of func.*input 0"),
        (lambda x: functional.hvp(lambda x: x.sum(), x, x, strict=True), GraphError, "derivative of func.*input 0"),
        (lambda x: functional.jacobian(lambda x: x * 2, x.clone().requires_grad_(), create_graph=True, strict=True),
         GraphError, "derivative of func.*input 0"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(tgc.tensor(X3.astype(np.float32)))
