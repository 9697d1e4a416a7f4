"""Optimiser kernels against PyTorch over many steps, and against each other."""

import itertools

import numpy as np
import pytest

from tinygrad_course.errors import ShapeError

FAMILY = "optim"
SHAPES = [(5, 7), (9,), (), (0, 3), (1,), (70, 130)]
STEPS = 20


def draw(dtype, seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def torch_run(torch, optimiser, params, dtype, **options):
    """The parameters after STEPS steps of PyTorch's single-tensor optimiser on the gradients of draw(dtype, step)."""
    tensors = [torch.from_numpy(p.copy()).requires_grad_() for p in params]
    opt = getattr(torch.optim, optimiser)(tensors, foreach=False, **options)
    for step in range(STEPS):
        for t, g in zip(tensors, draw(dtype, seed=100 + step), strict=True):
            t.grad = torch.from_numpy(g)
        opt.step()
    return [t.detach().numpy() for t in tensors]


def sgd_run(k, params, dtype, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    momenta = [None] * len(params)
    for step in range(STEPS):
        grads = draw(dtype, seed=100 + step)
        before = [g.copy() for g in grads]
        momenta = k.sgd_step(params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, maximize)
        for g, b in zip(grads, before, strict=True):
            np.testing.assert_array_equal(g, b)
    return momenta


def adam_run(k, params, dtype, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False,
             decoupled=False):
    m, v, top = ([np.zeros_like(p) for p in params] for _ in range(3))
    for step in range(STEPS):
        k.adam_step(params, draw(dtype, seed=100 + step), m, v, top if amsgrad else [], step + 1, lr, *betas, eps,
                    weight_decay, amsgrad, maximize, decoupled)


def assert_close(params, expected, dtype):
    tol = 1e-6 if dtype == np.float32 else 1e-12
    for p, e in zip(params, expected, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(p, e, rtol=tol, atol=tol)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.1},
        {"momentum": 0.5, "weight_decay": 0.1, "dampening": 0.1},
        {"momentum": 0.5, "weight_decay": 0.1, "nesterov": True},
    ],
    ids=str,
)
def test_sgd_is_pytorchs(k, torch, options, maximize, dtype):
    params = draw(dtype)
    expected = torch_run(torch, "SGD", params, dtype, lr=0.05, maximize=maximize, **options)
    momenta = sgd_run(k, params, dtype, lr=0.05, maximize=maximize, **options)
    assert_close(params, expected, dtype)
    for p, m in zip(params, momenta, strict=True):
        assert (m is None) == ("momentum" not in options)
        assert m is None or (m.shape == p.shape and m.dtype == dtype)


@pytest.mark.parametrize(
    ("amsgrad", "maximize", "decoupled", "weight_decay"),
    list(itertools.product([False, True], [False, True], [False, True], [0.0, 0.1])),
)
def test_adam_is_pytorchs(k, torch, amsgrad, maximize, decoupled, weight_decay, dtype):
    params = draw(dtype)
    options = {"lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": weight_decay, "amsgrad": amsgrad}
    expected = torch_run(
        torch, "AdamW" if decoupled else "Adam", params, dtype, maximize=maximize, **options
    )
    adam_run(k, params, dtype, maximize=maximize, decoupled=decoupled, **options)
    assert_close(params, expected, dtype)


def test_default_adam_is_pytorchs(k, torch, dtype):
    params = draw(dtype)
    expected = torch_run(torch, "Adam", params, dtype, lr=1e-3)
    adam_run(k, params, dtype, lr=1e-3)
    assert_close(params, expected, dtype)


def test_layouts_are_updated_in_place(k, layout, dtype):
    """Views are written through, whatever their strides; the memory between them is left alone."""
    shapes = [(6, 8), (3, 4, 5)]
    plain, views = draw(dtype, 1, shapes), [layout(p) for p in draw(dtype, 1, shapes)]
    grads = draw(dtype, 2, shapes)
    kept = [id(v) for v in views]
    for params, gradients in ((plain, grads), (views, [layout(g) for g in grads])):
        state = [[np.zeros_like(p) for p in params] for _ in range(2)]
        k.sgd_step(params, gradients, [None, None], 0.1, 0.9, 0.0, 0.01, False, False)
        momenta = k.sgd_step(params, gradients, [np.zeros_like(p) for p in params], 0.1, 0.9, 0.0, 0.0, True, False)
        assert all(np.any(m) for m in momenta)
        k.adam_step(params, gradients, *state, [], 1, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, False)
    assert [id(v) for v in views] == kept
    for p, v in zip(plain, views, strict=True):
        np.testing.assert_allclose(v, p, rtol=1e-6, atol=1e-7)

    base = np.ones((4, 6), dtype)
    k.sgd_step([base[:, ::2]], [np.ones((4, 3), dtype)], [None], 1.0, 0.0, 0.0, 0.0, False, False)
    np.testing.assert_array_equal(base, np.tile(np.array([0, 1], dtype), (4, 3)))


def test_momentum_arrays_are_kept(k, dtype):
    p, g, m = (np.ones(3, dtype) for _ in range(3))
    returned = k.sgd_step([p], [g], [m], 0.1, 0.5, 0.0, 0.0, False, False)
    assert returned[0] is m
    np.testing.assert_allclose(m, 1.5)
    first = k.sgd_step([p], [g], [None], 0.1, 0.5, 0.0, 0.0, False, False)[0]
    assert not np.shares_memory(first, g)


def test_mixed_types_in_one_call(k):
    params = [np.ones(3, np.float32), np.ones(3, np.float64), np.ones(3, np.float16)]
    grads = [np.full(3, 0.5, p.dtype) for p in params]
    k.sgd_step(params, grads, [None] * 3, 0.5, 0.0, 0.0, 0.0, False, False)
    for p in params:
        np.testing.assert_array_equal(p, 0.75)


def test_infinite_parameters_and_nan_gradients(k, dtype):
    """Without weight decay the parameter has no part in its update: inf stays inf; a NaN gradient shows."""
    p, g = np.array([np.inf, 1.0], dtype), np.array([1.0, np.nan], dtype)
    k.sgd_step([p], [g], [None], 0.1, 0.9, 0.0, 0.0, False, False)
    assert p[0] == np.inf
    assert np.isnan(p[1])


def test_no_parameters(k):
    assert k.sgd_step([], [], [], 0.1, 0.9, 0.0, 0.0, False, False) == []
    k.adam_step([], [], [], [], [], 1, 0.1, 0.9, 0.999, 1e-8, 0.0, False, False, False)


def test_wrong_arguments_are_refused(compiled):
    p = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"\(3, 2\).*\(2, 3\)"):
        compiled.sgd_step([p], [p.T], [None], 0.1, 0.0, 0.0, 0.0, False, False)
    with pytest.raises(ValueError, match="1 parameters, but 0 gradients"):
        compiled.sgd_step([p], [], [None], 0.1, 0.0, 0.0, 0.0, False, False)
    fixed = np.ones(2)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        compiled.sgd_step([fixed], [np.ones(2)], [None], 0.1, 0.0, 0.0, 0.0, False, False)


def test_thread_counts(compiled, same_for_all_thread_counts, dtype):
    shapes = [(300, 500), (77,), (90_001,), (3, 3)]

    def run():
        params = draw(dtype, 3, shapes)
        state = [[np.zeros_like(p) for p in params] for _ in range(3)]
        for step in (1, 2):
            grads = draw(dtype, 3 + step, shapes)
            compiled.adam_step(params, grads, *state, step, 0.1, 0.9, 0.999, 1e-8, 0.1, True, False, False)
            momenta = compiled.sgd_step(params, grads, [None] * 4, 0.1, 0.9, 0.0, 0.0, True, False)
        return [*params, *state[0], *momenta]

    same_for_all_thread_counts(run)
