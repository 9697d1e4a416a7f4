"""ops/norm.py: batch, layer, group, instance, RMS and local response normalisation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, positive
from tinygrad_course import ops
from tinygrad_course.autograd import apply
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.norm import BatchNormGrad, GroupNorm, GroupNormGrad, batch_norm_add_relu, batch_norm_relu

Array = np.ndarray


def functional(name: str) -> Callable[..., Any]:
    """torch.nn.functional.name, looked up when PyTorch is wanted."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*args, **kwargs)

    return call


def standardise(x: Array, w: Any, b: Any, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
    """By loops over what stays."""
    y, kept = np.empty(x.shape), [1 if a in axes else n for a, n in enumerate(x.shape)]
    m, v = np.zeros(kept), np.zeros(kept)
    for place in np.ndindex(*kept):
        part = tuple(slice(None) if a in axes else i for a, i in enumerate(place))
        if x.size:
            m[place] = x[part].mean() if centred else 0.0
            v[place] = ((x[part] - m[place]) ** 2).mean()
            y[part] = (x[part] - m[place]) / (v[place] + eps) ** 0.5
    return y * (1.0 if w is None else w) + (0.0 if b is None else b), m, v


def standardise_grad(g: Array, x: Array, w: Any, axes: tuple[int, ...], eps: float, centred: bool) -> Any:
    """r (I - 1 1^T / n - xhat xhat^T / n) (g w) as a matrix per row of `axes`; and g xhat."""
    out, g_xhat = np.empty(x.shape), np.empty(x.shape)
    t = g * (1.0 if w is None else w)
    for place in np.ndindex(*[1 if a in axes else n for a, n in enumerate(x.shape)]):
        part = tuple(slice(None) if a in axes else i for a, i in enumerate(place))
        row = x[part].ravel()
        n = row.size
        row = row - row.mean() if centred else row
        r = (np.mean(row**2) + eps) ** -0.5
        matrix = np.eye(n) - np.outer(row, row) * r * r / n - (np.ones((n, n)) / n if centred else 0)
        out[part] = (r * matrix @ t[part].ravel()).reshape(x[part].shape)
        g_xhat[part] = g[part] * (row * r).reshape(x[part].shape)
    return out, g_xhat


def per_channel(x: Array, values: Any) -> Any:
    return None if values is None else np.reshape(values, (-1, *[1] * (x.ndim - 2)))


def batch_norm(x: Array, m: Any, v: Any, w: Any = None, b: Any = None, training: bool = False, eps: float = 1e-5) -> Array:
    w, b = per_channel(x, w), per_channel(x, b)
    if training:
        return standardise(x, w, b, (0, *range(2, x.ndim)), eps, True)[0]
    y = (x - per_channel(x, m)) / np.sqrt(per_channel(x, v) + eps)
    return y * (1.0 if w is None else w) + (0.0 if b is None else b)


def instance_norm(x: Array, w: Any = None, b: Any = None, eps: float = 1e-5) -> Array:
    return standardise(x, per_channel(x, w), per_channel(x, b), tuple(range(2, x.ndim)), eps, True)[0]


def group_norm(x: Array, w: Any, b: Any, num_groups: int, eps: float = 1e-5) -> Array:
    parts = [standardise(p, None, None, tuple(range(1, x.ndim)), eps, True)[0] for p in np.split(x, num_groups, axis=1)]
    y = np.concatenate(parts, axis=1) if x.size else x
    return y * (1.0 if w is None else per_channel(x, w)) + (0.0 if b is None else per_channel(x, b))


def last_axes(centred: bool) -> Callable[..., Array]:
    def norm(x: Array, w: Any, b: Any, shape: tuple[int, ...], eps: float = 1e-5) -> Array:
        return standardise(x, w, b, tuple(range(x.ndim - len(shape), x.ndim)), eps, centred)[0]

    return norm


def local_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        first = c - size // 2
        window = x[:, max(0, first) : first + size]
        y[:, c] = x[:, c] / (k + alpha * (window**2).sum(1) / size) ** beta
    return y


def rearranged(function: Callable[..., Any]) -> Callable[..., Any]:
    """(x, w, b, what, eps) -> function(x, what, w, b, eps): tensors first, as the battery has them."""
    return lambda x, w, b, what, **kwargs: function(x, what, w, b, **kwargs)


def learned(function: Callable[..., Any]) -> Callable[..., Any]:
    """(x, w, b) -> function(x, None, None, w, b)."""
    return lambda x, w=None, b=None, **kwargs: function(x, None, None, w, b, **kwargs)


def rms(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, w, shape, **kwargs: function(x, shape, w, **kwargs)


RUNNING = (np.array([0.3, -0.2]), np.array([0.5, 3.0]))


def statistics(x: Any) -> tuple[Array, Array]:
    """Mean and variance per channel of a tensor, as forward leaves them for backward."""
    axes = (0, *range(2, x.ndim))
    return x.array.mean(axes), x.array.var(axes)


def row_statistics(x: Any, rows: tuple[int, ...], centred: bool) -> tuple[Array, Array]:
    row = x.array.reshape(rows[0], -1)
    return (row.mean(1), row.var(1)) if centred else (np.zeros(rows[0], row.dtype), (row**2).mean(1))


def batch_norm_grad(g: Array, x: Array, w: Any, b: Any, res: Any, m: Any, v: Any, relu: bool) -> Any:
    axes = (0, *range(2, x.ndim))
    if relu:
        g = np.where(batch_norm(x, m, v, w, b, m is None) + (0.0 if res is None else res) > 0, g, 0.0)
    if m is None:
        gx, g_xhat = standardise_grad(g, x, per_channel(x, w), axes, 1e-5, True)
    else:
        r = per_channel(x, (v + 1e-5) ** -0.5)
        gx, g_xhat = g * r * (1.0 if w is None else per_channel(x, w)), g * (x - per_channel(x, m)) * r
    found = (gx, g_xhat.sum(axes), g.sum(axes))
    return found if res is None else (*found, g)


def rows_of(x: Array, w: Any, b: Any, rows: tuple[int, ...], eps: float, centred: bool) -> Array:
    full = x.reshape(-1, *rows[1:])
    w, b = [None if p is None else p.reshape(*rows[1:3], 1) for p in (w, b)]
    return standardise(full, w, b, (2, 3), eps, centred)[0].reshape(x.shape)


def group_norm_grad(g: Array, x: Array, w: Any, rows: tuple[int, ...], centred: bool) -> Any:
    full = [a.reshape(-1, *rows[1:]) for a in (g, x)]
    gx, g_xhat = standardise_grad(*full, None if w is None else w.reshape(*rows[1:3], 1), (2, 3), 1e-5, centred)
    return gx.reshape(x.shape), g_xhat.sum((0, 3)).ravel(), full[0].sum((0, 3)).ravel()


CASES = (
    Case(
        "batch_norm_grad",
        lambda g, x, w, b, res, relu: apply(BatchNormGrad, (g, x, w, b, res), (*statistics(x), True, 1e-5, relu)),
        lambda g, x, w, b, res, relu: batch_norm_grad(g, x, w, b, res, None, None, relu),
        (
            S((4, 3), (4, 3), positive(3), None, None, args=(False,)),
            S((2, 2, 3), (2, 2, 3), None, None, None, args=(False,)),
            S((3, 2, 2), (3, 2, 2), positive(2), (2,), None, args=(True,), note="relu"),
            S((3, 2, 2), (3, 2, 2), positive(2), (2,), (3, 2, 2), args=(True,), note="residual"),
        ),
    ),
    Case(
        "batch_norm_grad",
        lambda g, x, w, b, res, relu: apply(
            BatchNormGrad, (g, x, w, b, res), (RUNNING[0].astype(x.dtype), RUNNING[1].astype(x.dtype), False, 1e-5, relu)
        ),
        lambda g, x, w, b, res, relu: batch_norm_grad(g, x, w, b, res, *RUNNING, relu),
        (
            S((3, 2), (3, 2), positive(2), None, None, args=(False,)),
            S((2, 2, 3), (2, 2, 3), positive(2), (2,), (2, 2, 3), args=(True,)),
        ),
    ),
    Case(
        "group_norm",
        lambda x, w, b, *args: apply(GroupNorm, (x, w, b), args),
        lambda x, w, b, rows, eps, centred: rows_of(x, w, b, rows, eps, centred),
        (
            S((3, 4), (4,), (4,), args=((3, 1, 4, 1), 1e-5, True)),
            S((2, 6, 2), (6,), (6,), args=((4, 2, 3, 2), 0.1, True)),
            S((2, 4), None, None, args=((2, 1, 4, 1), 1e-5, False)),
            S((2, 4), None, (4,), args=((2, 1, 4, 1), 1e-5, True)),
        ),
    ),
    Case(
        "group_norm_grad",
        lambda g, x, w, rows, centred: apply(
            GroupNormGrad, (g, x, w), (*row_statistics(x, rows, centred), rows, 1e-5, centred)
        ),
        lambda g, x, w, rows, centred: group_norm_grad(g, x, w, rows, centred),
        (
            S((2, 3), (2, 3), positive(3), args=((2, 1, 3, 1), True)),
            S((2, 4, 2), (2, 4, 2), positive(4), args=((4, 2, 2, 2), True)),
            S((3, 2), (3, 2), None, args=((3, 1, 2, 1), False)),
        ),
    ),
    Case(
        "batch_norm",
        lambda x, w, b: batch_norm_relu(x, None, None, w, b, True),
        lambda x, w, b: np.maximum(batch_norm(x, None, None, w, b, True), 0),
        (S((4, 3), positive(3), (3,), note="relu"), S((2, 2, 3), None, None, note="relu")),
        threaded=(S((32, 12, 9, 9), positive(12), (12,)), S((300, 300), positive(300), (300,))),
    ),
    Case(
        "batch_norm",
        lambda x, w, b, res: batch_norm_add_relu(x, res, None, None, w, b, True),
        lambda x, w, b, res: np.maximum(batch_norm(x, None, None, w, b, True) + res, 0),
        (S((4, 3), positive(3), (3,), (4, 3), note="add"), S((2, 2, 3), None, None, (2, 2, 3), note="add")),
        errors=(
            Error(
                lambda: batch_norm_add_relu(tgc.ones(4, 3), tgc.ones(3), None, None, training=True),
                ShapeError,
                r"batch_norm.*added before the ReLU.*\(3,\).*\(4, 3\)",
            ),
        ),
    ),
    Case(
        "batch_norm",
        lambda x, w, b, res: batch_norm_add_relu(x, res, *[tgc.tensor(a).to(x.dtype) for a in RUNNING], w, b),
        lambda x, w, b, res: np.maximum(batch_norm(x, *RUNNING, w, b) + res, 0),
        (S((3, 2), (2,), (2,), (3, 2)), S((2, 2, 3), None, None, (2, 2, 3))),
    ),
    Case(
        "batch_norm",
        learned(ops.batch_norm),
        learned(batch_norm),
        (
            S((4, 3), positive(3), (3,), training=True),
            S((2, 2, 3), None, None, training=True, eps=0.1),
            S((2, 2, 2, 2), (2,), None, training=True),
            S((0, 2), (2,), (2,), training=True),
        ),
        torch=learned(functional("batch_norm")),
        errors=(
            Error(
                lambda: ops.batch_norm(tgc.ones(1, 3), None, None, training=True),
                ShapeError,
                r"batch_norm.*more than 1 value per channel.*\(1, 3\).*drop_last",
            ),
            Error(
                lambda: ops.batch_norm(tgc.ones(4), None, None, training=True),
                ShapeError,
                r"batch_norm.*\(N, C, ...\).*\(4,\)",
            ),
            Error(
                lambda: ops.batch_norm(tgc.ones(4, 3), tgc.ones(2), tgc.ones(3)),
                ShapeError,
                r"batch_norm.*3 channels.*running_mean.*\(3,\).*\(2,\)",
            ),
            Error(lambda: ops.batch_norm(tgc.ones(4, 3), None, None), ValueError, "batch_norm.*running_mean and running_var"),
            Error(lambda: ops.batch_norm(tgc.ones(4, 3).long(), None, None, training=True), DTypeError, "batch_norm.*int64"),
        ),
    ),
    Case(
        "batch_norm",
        lambda x, w, b: ops.batch_norm(x, tgc.tensor([1.0, 2.0]).to(x.dtype), tgc.tensor([0.5, 3.0]).to(x.dtype), w, b),
        lambda x, w, b: batch_norm(x, np.array([1.0, 2.0]), np.array([0.5, 3.0]), w, b),
        (S((3, 2), (2,), (2,)), S((1, 2, 3), None, None), S((0, 2), (2,), None)),
    ),
    Case(
        "instance_norm",
        learned(ops.instance_norm),
        instance_norm,
        (S((2, 3, 4), (3,), (3,)), S((1, 2, 2, 2), None, None), S((2, 2, 3), (2,), None, eps=0.1)),
        torch=learned(functional("instance_norm")),
        errors=(
            Error(
                lambda: ops.instance_norm(tgc.ones(2, 3, 1)), ShapeError, r"instance_norm.*more than 1 spatial.*\(2, 3, 1\)"
            ),
        ),
    ),
    Case(
        "group_norm",
        rearranged(ops.group_norm),
        group_norm,
        (
            S((2, 4, 3), (4,), (4,), args=(2,)),
            S((2, 3), None, None, args=(1,)),
            S((1, 2, 2, 2), (2,), None, args=(2,), eps=0.1),
            S((0, 4, 3), (4,), None, args=(2,)),
        ),
        torch=rearranged(functional("group_norm")),
        errors=(
            Error(lambda: ops.group_norm(tgc.ones(2, 3), 2), ShapeError, r"group_norm.*\(2, 3\).*num_groups=2"),
            Error(
                lambda: ops.group_norm(tgc.ones(2, 4), 2, tgc.ones(2)), ShapeError, r"group_norm.*weight.*\(4,\).*\(2,\)"
            ),
        ),
    ),
    Case(
        "layer_norm",
        rearranged(ops.layer_norm),
        last_axes(True),
        (
            S((3, 4), (4,), (4,), args=((4,),)),
            S((2, 2, 3), (2, 3), None, args=((2, 3),), eps=0.1),
            S((5,), None, None, args=((5,),)),
            S((0, 3), (3,), (3,), args=((3,),)),
        ),
        torch=rearranged(functional("layer_norm")),
        errors=(
            Error(lambda: ops.layer_norm(tgc.ones(2, 3), (2,)), ShapeError, r"layer_norm.*\(2,\).*\(2, 3\)"),
            Error(lambda: ops.layer_norm(tgc.ones(2, 3), ()), ShapeError, "layer_norm"),
            Error(lambda: ops.layer_norm(tgc.ones(2, 3), (3,), tgc.ones(2)), ShapeError, r"layer_norm.*\(3,\).*\(2,\)"),
        ),
    ),
    Case(
        "rms_norm",
        rms(ops.rms_norm),
        lambda x, w, shape, eps: last_axes(False)(x, w, None, shape, eps),
        (S((3, 4), (4,), args=((4,),), eps=1e-5), S((2, 2, 3), None, args=((2, 3),), eps=0.1)),
        torch=rms(functional("rms_norm")),
    ),
    Case(
        "local_response_norm",
        ops.local_response_norm,
        local_response_norm,
        (
            S((2, 4, 2), args=(3,), alpha=0.5, beta=0.6, k=1.5),
            S((1, 3, 2), args=(2,), alpha=1.0),
            S((1, 2, 2, 2), args=(5,)),
        ),
        torch=functional("local_response_norm"),
        errors=(
            Error(lambda: ops.local_response_norm(tgc.ones(2, 3), 2), ShapeError, r"local_response_norm.*\(2, 3\)"),
            Error(lambda: ops.local_response_norm(tgc.ones(1, 2, 3), 0), ValueError, "local_response_norm.*size.*0"),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_are_those_of_torch(backend: str, torch: Any, name: str) -> None:
    """Moved by the momentum towards the mean and the unbiased variance; used as they are outside training."""
    x, m, v = S((4, 3, 5), (3,), positive(3)).arrays("running")
    ours, theirs = [tgc.tensor(a) for a in (m, v)], [torch.tensor(a) for a in (m, v)]
    for momentum in (0.1, 1.0, 0.3):
        getattr(ops, name)(tgc.tensor(x), *ours, None, None, True, momentum)
        getattr(torch.nn.functional, name)(torch.tensor(x), *theirs, None, None, True, momentum)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.array, b.numpy(), rtol=1e-12)
    y = getattr(ops, name)(tgc.tensor(x), *ours, None, None, False)
    z = getattr(torch.nn.functional, name)(torch.tensor(x), *theirs, None, None, False)
    np.testing.assert_allclose(y.array, z.numpy(), rtol=1e-11, atol=1e-12)


def test_one_of_the_running_statistics_may_be_missing() -> None:
    mean = tgc.zeros(2)
    ops.batch_norm(tgc.tensor([[1.0, 2.0], [3.0, 6.0]]), mean, None, training=True, momentum=0.5)
    assert mean.tolist() == [1.0, 2.0]


def test_gradient_is_the_one_of_the_statistics_that_were_used() -> None:
    """Moving the running ones afterwards, in place, changes nothing."""
    x, mean, var = tgc.tensor([[1.0], [4.0]]), tgc.ones(1), tgc.full((1,), 4.0)
    weight = tgc.ones(1, requires_grad=True)
    y = ops.batch_norm(x, mean, var, weight, eps=0.0).sum()
    ops.batch_norm(tgc.randn(4, 1), mean, var, training=True)
    y.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.5]


def test_rms_norm_has_the_epsilon_of_its_type() -> None:
    for dtype in ("float32", "float64"):
        y = ops.rms_norm(tgc.zeros(2, dtype=dtype) + 1e-30, (2,))
        np.testing.assert_allclose(y.array, 1e-30 / np.sqrt(np.finfo(dtype).eps), rtol=1e-6)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm"])
def test_halves_are_normalised_in_single_precision(backend: str, name: str) -> None:
    """A square of more than 255 does not fit into float16; neither do value, nor gradient, nor statistics suffer."""
    a = (np.random.default_rng(0).standard_normal((2, 4, 6)) * 100 + 600).astype("float16")
    args = {"layer_norm": ((6,),), "rms_norm": ((6,),), "group_norm": (2,), "batch_norm": (None, None, None, None, True)}
    found = []
    for dtype in ("float16", "float64"):
        x = tgc.tensor(a, dtype=dtype, requires_grad=True)
        y = getattr(ops, name)(x, *args.get(name, ()))
        y[:, 1].sum().backward()
        assert y.dtype == x.grad.dtype == dtype
        found.append((y.array, x.grad.array))
    for half, exact in zip(*found, strict=True):
        np.testing.assert_allclose(half, exact, rtol=2e-3, atol=2e-3)


def test_half_input_may_have_single_running_statistics(backend: str) -> None:
    x, mean, var = tgc.full((4, 2, 3), 300.0, dtype="float16"), tgc.zeros(2), tgc.ones(2)
    assert ops.batch_norm(x, mean, var).dtype == "float16"
    assert ops.batch_norm(x, mean, var, training=True, momentum=1.0).tolist() == np.zeros((4, 2, 3)).tolist()
    assert (mean.tolist(), mean.dtype, var.tolist()) == ([300.0, 300.0], "float32", [0.0, 0.0])
