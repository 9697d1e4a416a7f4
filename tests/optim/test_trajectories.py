"""Optimisers step by step: against PyTorch, and against the formulas in NumPy."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import optim

SHAPES = [(3, 4), (5,), (), (2, 3, 2, 2), (0, 3)]
OPTIONS = [
    ("SGD", {}), ("SGD", {"lr": 0.1, "weight_decay": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}), ("Adam", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adagrad", {}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3}),
    ("Adagrad", {"lr": 0.1, "eps": 0.1, "maximize": True}),
    ("Adadelta", {}), ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}), ("RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}), ("RMSprop", {"centered": True, "alpha": 0.6}),
    ("RMSprop", {"momentum": 0.5}),
    ("Rprop", {}), ("Rprop", {"lr": 0.1, "etas": (0.3, 1.7), "step_sizes": (0.05, 0.12), "maximize": True}),
    ("Adamax", {}), ("Adamax", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-2, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}), ("NAdam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}), ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True, "betas": (0.9, 0.97)}),
    ("ASGD", {}), ("ASGD", {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}), ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}),
]
NAMES = [f"{name}-{number}" for number, (name, _) in enumerate(OPTIONS)]


def parameters(lib, dtype):
    rng = np.random.default_rng(0)
    return [lib.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in SHAPES]


def run(lib, optimizer, params, dtype, steps=range(12)):
    """Random gradients; the second parameter has none in every third step."""
    for step in steps:
        rng = np.random.default_rng(step)
        for number, p in enumerate(params):
            g = rng.standard_normal(SHAPES[number]).astype(dtype)
            p.grad = None if number == 1 and step % 3 == 0 else lib.tensor(g)
        optimizer.step()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=NAMES)
def test_trajectory_is_that_of_torch(name, options, dtype):
    torch = torch_or_skip()
    ours, theirs = parameters(tgc, dtype), parameters(torch, dtype)
    run(tgc, getattr(optim, name)(ours, **options), ours, dtype)
    run(torch, getattr(torch.optim, name)(theirs, **options, foreach=False), theirs, dtype)
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=NAMES)
def test_state_dict_goes_to_torch_and_back(name, options):
    torch = torch_or_skip()
    ours, theirs = parameters(tgc, "float64"), parameters(torch, "float64")
    a = getattr(optim, name)(ours, **options)
    b = getattr(torch.optim, name)(theirs, **options)
    assert repr(a) == repr(b)
    run(tgc, a, ours, "float64", range(4))
    run(torch, b, theirs, "float64", range(4))
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"] == other["param_groups"]
    assert list(mine["param_groups"][0]) == list(other["param_groups"][0])
    assert {k: list(v) for k, v in mine["state"].items()} == {k: list(v) for k, v in other["state"].items()}
    for number, entry in other["state"].items():
        for key, value in entry.items():
            assert_close(mine["state"][number][key], value, what=key)
            assert str(mine["state"][number][key].dtype) == str(value.dtype).removeprefix("torch.")

    fresh = getattr(optim, name)(ours)
    fresh.load_state_dict(other)
    fresh_torch = getattr(torch.optim, name)(theirs)
    fresh_torch.load_state_dict(to_torch(mine))
    for entry in fresh_torch.state.values():  # loading casts these to the parameters' dtype, and the run becomes another one
        for key in {"mu_product", "eta", "mu"} & set(entry):
            entry[key] = entry[key].float()
    run(tgc, fresh, ours, "float64", range(4, 8))
    run(torch, fresh_torch, theirs, "float64", range(4, 8))
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=NAMES)
def test_resumed_run_is_bitwise_the_same(name, options):
    straight, resumed = parameters(tgc, "float32"), parameters(tgc, "float32")
    run(tgc, getattr(optim, name)(straight, **options), straight, "float32", range(9))
    first = getattr(optim, name)(resumed, **options)
    run(tgc, first, resumed, "float32", range(4))
    saved = first.state_dict()
    second = getattr(optim, name)(resumed, lr=77.0)
    second.load_state_dict(saved)
    for entry in saved["state"].values():
        for value in entry.values():
            value.fill_(9.0)  # what was loaded is a copy
    run(tgc, second, resumed, "float32", range(4, 9))
    for a, b in zip(straight, resumed, strict=True):
        assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def test_sgd_by_the_formula():
    rng = np.random.default_rng(1)
    p = rng.standard_normal(4)
    t = tgc.tensor(p, requires_grad=True)
    optimizer = optim.SGD([t], lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.05)
    v = None
    for _ in range(5):
        g = rng.standard_normal(4)
        t.grad = tgc.tensor(g)
        optimizer.step()
        d = g + 0.05 * p
        v = d if v is None else 0.9 * v + 0.8 * d
        p = p - 0.1 * v
    np.testing.assert_allclose(t.detach().numpy(), p, rtol=1e-12)


def test_adam_by_the_formula():
    rng = np.random.default_rng(1)
    p = rng.standard_normal(4)
    t = tgc.tensor(p, requires_grad=True)
    optimizer = optim.Adam([t], lr=0.1, betas=(0.8, 0.9), eps=1e-4)
    m = v = np.zeros(4)
    for step in range(1, 6):
        g = rng.standard_normal(4)
        t.grad = tgc.tensor(g)
        optimizer.step()
        m = 0.8 * m + 0.2 * g
        v = 0.9 * v + 0.1 * g * g
        p = p - 0.1 * (m / (1 - 0.8**step)) / (np.sqrt(v / (1 - 0.9**step)) + 1e-4)
    np.testing.assert_allclose(t.detach().numpy(), p, rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_parameters_that_are_not_contiguous_are_updated_in_place(name, dtype):
    base = np.arange(12, dtype=dtype).reshape(3, 4)
    p = tgc.from_numpy(base).t().requires_grad_()
    p.grad = tgc.ones(4, 3, dtype=p.dtype)
    getattr(optim, name)([p], lr=0.5).step()
    np.testing.assert_allclose(base, np.arange(12, dtype=dtype).reshape(3, 4) - 0.5, atol=1e-2)


def test_parameters_of_two_dtypes_in_one_group():
    a, b = tgc.ones(2, requires_grad=True), tgc.ones(2, dtype=tgc.float64, requires_grad=True)
    a.grad, b.grad = tgc.ones(2), tgc.ones(2, dtype=tgc.float64)
    optim.Adam([a, b], lr=0.5).step()
    assert a.dtype == tgc.float32
    np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-6)
