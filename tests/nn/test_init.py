"""Initialisers: range and moments by the formulas, the same formulas as PyTorch's, generators."""

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
