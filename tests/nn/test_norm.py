"""nn/norm.py against PyTorch: signatures, repr, keys, values, gradients, running statistics."""

import inspect
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError

# class, arguments, keyword arguments, shape of an input
MODULES = [
    ("BatchNorm1d", (3,), {}, (4, 3)),
    ("BatchNorm1d", (3,), {"eps": 0.1, "momentum": 0.3}, (4, 3, 5)),
    ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 5, 2)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 9, 8)),
    ("BatchNorm2d", (3,), {"momentum": None}, (2, 3, 4, 4)),
    ("BatchNorm3d", (2,), {}, (2, 2, 3, 2, 2)),
    ("BatchNorm2d", (3,), {"bias": False}, (4, 3, 5, 2)),
    ("GroupNorm", (2, 4), {"bias": False}, (3, 4, 5)),
    ("InstanceNorm1d", (3,), {"affine": True, "bias": False}, (2, 3, 5)),
    ("LayerNorm", (6,), {}, (4, 6)),
    ("LayerNorm", ((2, 3),), {"eps": 0.1}, (4, 2, 3)),
    ("LayerNorm", (6,), {"bias": False}, (4, 6)),
    ("LayerNorm", (6,), {"elementwise_affine": False}, (4, 6)),
    ("RMSNorm", (6,), {}, (4, 6)),
    ("RMSNorm", ([2, 3],), {"eps": 0.1, "elementwise_affine": False}, (4, 2, 3)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("GroupNorm", (4, 4), {"affine": False, "eps": 0.1}, (3, 4, 2, 2)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 5)),
    ("InstanceNorm1d", (3,), {"affine": True}, (3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 4)),
    ("InstanceNorm3d", (2,), {"affine": True}, (2, 2, 3, 2, 2)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 2.0}, (2, 4, 3, 3)),
]
modules = pytest.mark.parametrize(("name", "args", "kwargs", "shape"), MODULES, ids=lambda value: str(value))


def both(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return getattr(nn, name)(*args, **kwargs), getattr(torch_or_skip().nn, name)(*args, **kwargs)


def moved(module: Any) -> Any:
    """Weights that are not all 1 or 0."""
    rng = np.random.default_rng(0)
    with tgc.no_grad():
        for parameter in module.parameters():
            parameter.copy_(tgc.tensor(rng.uniform(0.5, 2.0, tuple(parameter.shape))))
    return module


@modules
def test_values_and_gradients_are_pytorchs(name: str, args: Any, kwargs: Any, shape: Any) -> None:
    ours, theirs = both(name, args, kwargs)
    assert repr(ours) == repr(theirs)
    compare_module(moved(ours), theirs, np.random.default_rng(1).standard_normal(shape) * 2 + 1)


@modules
def test_many_steps_and_then_evaluation(name: str, args: Any, kwargs: Any, shape: Any) -> None:
    torch, rng = torch_or_skip(), np.random.default_rng(2)
    for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-10)):
        ours, theirs = both(name, args, kwargs)
        ours, theirs = (ours.double(), theirs.double()) if dtype == "float64" else (ours, theirs)
        for _ in range(5):
            x = (rng.standard_normal(shape) * 3 + 2).astype(dtype)
            assert_close(ours(tgc.tensor(x)), theirs(torch.tensor(x)), tolerance, tolerance)
        for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
            assert key == other
            assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
            assert_close(a, b, tolerance, tolerance, key)
    ours, theirs = ours.eval(), theirs.eval()
    x = rng.standard_normal(shape)
    assert_close(ours(tgc.tensor(x)), theirs(torch.tensor(x)))


@pytest.mark.parametrize("name", sorted({name for name, *_ in MODULES}))
def test_signature_is_pytorchs(name: str) -> None:
    def parameters(kind: Any) -> list[Any]:
        return [(p.name, p.default) for p in inspect.signature(kind).parameters.values()]

    assert parameters(getattr(nn, name)) == parameters(getattr(torch_or_skip().nn, name))


def test_number_of_axes_is_checked() -> None:
    with pytest.raises(ShapeError, match=r"BatchNorm2d: expected \(N, C, H, W\), got .*\(4, 3\)"):
        nn.BatchNorm2d(3)(tgc.ones(4, 3))
    with pytest.raises(ValueError, match=r"GroupNorm: num_channels=4 .* num_groups=3"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ShapeError, match=r"InstanceNorm1d: made for 3 channels.*\(2, 4, 5\)"):
        nn.InstanceNorm1d(3, affine=True)(tgc.ones(2, 4, 5))


def test_evaluation_counts_no_batch() -> None:
    norm = nn.BatchNorm1d(2).eval()
    norm(tgc.randn(4, 2))
    assert norm.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() == [0.0, 0.0]
