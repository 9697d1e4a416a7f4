"""Initialisers: range and moments by the formulas, the same formulas as PyTorch's, generators."""

import inspect
import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import init

SHAPE = (60, 20, 3, 4)  # fan_in 240, fan_out 720
STD = {
    "uniform_": (lambda t, g: init.uniform_(t, -1.0, 3.0, generator=g), 4 / math.sqrt(12), 1.0),
    "normal_": (lambda t, g: init.normal_(t, 2.0, 0.5, generator=g), 0.5, 2.0),
    "xavier_uniform_": (lambda t, g: init.xavier_uniform_(t, 2.0, generator=g), 2 * math.sqrt(2 / 960), 0.0),
    "xavier_normal_": (lambda t, g: init.xavier_normal_(t, generator=g), math.sqrt(2 / 960), 0.0),
    "kaiming_uniform_": (lambda t, g: init.kaiming_uniform_(t, a=1, generator=g), math.sqrt(1 / 240), 0.0),
    "kaiming_normal_": (lambda t, g: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu", generator=g),
                        math.sqrt(2 / 720), 0.0),
}


@pytest.mark.parametrize("name", STD)
def test_mean_and_spread(name):
    fill, std, mean = STD[name]
    t = tgc.empty(*SHAPE)
    assert fill(t, tgc.Generator().manual_seed(1)) is t
    values = t.numpy()
    assert abs(values.std() / std - 1) < 0.03
    assert abs(values.mean() - mean) < 0.03 * std
    if "uniform" in name:
        assert np.abs(values - mean).max() <= std * math.sqrt(3) * 1.0001


@pytest.mark.parametrize("name", STD)
def test_generator_decides_alone(name):
    fill, _, _ = STD[name]
    first, second = (fill(tgc.empty(5, 4), tgc.Generator().manual_seed(9)).tolist() for _ in range(2))
    assert first == second
    assert fill(tgc.empty(5, 4), tgc.Generator().manual_seed(8)).tolist() != first


def test_constants_and_parameters():
    p = nn.Parameter(tgc.empty(2, 2))
    assert init.constant_(p, 3.0).tolist() == [[3.0] * 2] * 2
    assert init.zeros_(p).tolist() == [[0.0] * 2] * 2
    assert init.ones_(p).tolist() == [[1.0] * 2] * 2
    assert init.normal_(p) is p
    assert p.is_leaf
    assert p.requires_grad


def test_dtype_is_kept():
    assert init.kaiming_uniform_(tgc.empty(3, 3, dtype=tgc.float64)).dtype == tgc.float64


@pytest.mark.parametrize("args", [
    ("linear",), ("conv2d",), ("sigmoid",), ("tanh",), ("relu",), ("leaky_relu",), ("leaky_relu", 0.2), ("selu",)])
def test_gain_is_that_of_torch(args):
    torch = torch_or_skip()
    assert init.calculate_gain(*args) == torch.nn.init.calculate_gain(*args)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), SHAPE])
def test_fans_are_those_of_torch(shape):
    torch = torch_or_skip()
    assert init._calculate_fan_in_and_fan_out(tgc.empty(*shape)) == \
        torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: init.xavier_uniform_(tgc.empty(3)), ShapeError, r"fewer than 2 dimensions, got shape \(3,\)"),
    (lambda: init.calculate_gain("gelu"), ValueError, "Unsupported nonlinearity 'gelu'.*leaky_relu"),
    (lambda: init.calculate_gain("leaky_relu", "x"), ValueError, "negative_slope 'x'"),
    (lambda: init.kaiming_normal_(tgc.empty(3, 3), mode="fan"), ValueError, "Mode 'fan' not supported"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("fill", [init.kaiming_uniform_, init.kaiming_normal_])
def test_empty_tensors_warn(fill):
    with pytest.warns(UserWarning, match="zero-element"):
        fill(tgc.empty(0, 3))


# ---- the rest of torch.nn.init --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0.0, 1.0, -2.0, 2.0), (0.5, 0.1, 0.3, 0.6), (-3.0, 1.0, 2.0, 4.0),
                                                     (0.0, 1.0, -math.inf, -1.0), (3.0, 1.0, -4.0, -3.0)])
@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
def test_truncated_normal(mean, std, a, b):
    from scipy import stats
    values = init.trunc_normal_(tgc.empty(20_000, dtype=tgc.float64), mean, std, a, b, tgc.Generator().manual_seed(3)).numpy()
    assert a <= values.min()
    assert values.max() <= b
    expected = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(values, expected.cdf).statistic < 1.63 / math.sqrt(values.size)  # 1 % level
    assert init.trunc_normal_(tgc.empty(3, 2)).dtype == tgc.float32
    with pytest.warns(UserWarning, match=r"mean is more than 2 std from \[a, b\]"):
        init.trunc_normal_(tgc.empty(3), 9.0)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (0, 3)])
def test_eye_is_that_of_torch(shape):
    torch = torch_or_skip()
    assert init.eye_(tgc.ones(shape)).tolist() == torch.nn.init.eye_(torch.ones(shape)).tolist()


@pytest.mark.parametrize(("shape", "groups"), [((4, 2, 3), 1), ((4, 2, 3), 2), ((6, 3, 2, 3), 1), ((6, 3, 5, 4), 3),
                                               ((2, 4, 3, 3, 2), 2)])
def test_dirac_is_that_of_torch(shape, groups):
    torch = torch_or_skip()
    assert init.dirac_(tgc.ones(shape), groups).tolist() == torch.nn.init.dirac_(torch.ones(shape), groups).tolist()


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(tgc.empty(shape, dtype=tgc.float64), 1.5, tgc.Generator().manual_seed(2))
    matrix = w.numpy().reshape(shape[0], -1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 1.5**2 * np.eye(len(product)), atol=1e-12)
    again = init.orthogonal_(tgc.empty(shape, dtype=tgc.float64), 1.5, tgc.Generator().manual_seed(2))
    assert again.tolist() == w.tolist()
    assert init.orthogonal_(tgc.empty(0, 3)).shape == (0, 3)


def test_orthogonal_matrices_are_uniform():
    """Without the signs of R the first entry would never be negative, or always."""
    g = tgc.Generator().manual_seed(4)
    first = [init.orthogonal_(tgc.empty(2, 2), generator=g)[0, 0].item() for _ in range(400)]
    assert abs(np.mean(first)) < 3 / math.sqrt(2 * 400)


def test_sparse():
    w = init.sparse_(tgc.empty(50, 40), 0.25, 2.0, tgc.Generator().manual_seed(5)).numpy()
    assert ((w == 0).sum(0) == 13).all()
    assert len({tuple(column) for column in (w == 0).T}) > 30
    assert abs(w[w != 0].std() / 2.0 - 1) < 0.05
    again = init.sparse_(tgc.empty(50, 40), 0.25, 2.0, tgc.Generator().manual_seed(5))
    assert again.tolist() == w.tolist()


@pytest.mark.parametrize(("call", "match"), [
    (lambda: init.eye_(tgc.empty(3)), "Only tensors with 2 dimensions are supported"),
    (lambda: init.sparse_(tgc.empty(3, 3, 3), 0.1), "Only tensors with 2 dimensions are supported"),
    (lambda: init.orthogonal_(tgc.empty(3)), "Only tensors with 2 or more dimensions are supported"),
    (lambda: init.dirac_(tgc.empty(3, 3)), "Only tensors with 3, 4, or 5 dimensions are supported"),
    (lambda: init.dirac_(tgc.empty(3, 3, 3), 2), "dim 0 must be divisible by groups"),
])
def test_shapes_that_do_not_fit(call, match):
    with pytest.raises(ShapeError, match=match):
        call()


def public(module):
    return {name: f for name, f in vars(module).items()
            if inspect.isfunction(f) and not name.startswith("_") and f.__module__ == module.__name__}


def test_names_and_signatures_are_those_of_torch():
    torch = torch_or_skip()
    ours, theirs = public(init), public(torch.nn.init)
    assert ours.keys() == theirs.keys()
    for name, function in theirs.items():
        if name.endswith("_") or name == "calculate_gain":
            assert [(p.name, p.default) for p in inspect.signature(ours[name]).parameters.values()] == \
                [(p.name, p.default) for p in inspect.signature(function).parameters.values()], name


@pytest.mark.parametrize("name", ["uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal",
                                  "kaiming_uniform", "kaiming_normal", "orthogonal", "sparse"])
def test_old_names_warn_as_in_torch(name):
    torch = torch_or_skip()
    args = {"constant": (2.0,), "sparse": (0.5,)}.get(name, ())
    messages = []
    for lib in (tgc, torch):
        tensor = lib.empty((2, 2, 3) if name == "dirac" else (2, 2))
        with pytest.warns(FutureWarning) as caught:
            assert getattr(lib.nn.init, name)(tensor, *args) is tensor
        messages.append((str(caught[0].message), caught[0].filename))
    assert messages[0] == messages[1]
