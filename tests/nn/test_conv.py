"""Convolution layers in 1, 2 and 3 dimensions, plain and transposed: values, gradients, keys, printing, initial values."""

import inspect
import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError

LAYERS = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

CASES = {
    "1d": (lambda nn: nn.Conv1d(3, 4, 3), (2, 3, 9)),
    "1d with all": (lambda nn: nn.Conv1d(4, 6, 3, 2, 3, 2, 2, bias=False), (2, 4, 11)),
    "1d unbatched": (lambda nn: nn.Conv1d(3, 4, 3, padding="same"), (3, 9)),
    "1d depthwise": (lambda nn: nn.Conv1d(4, 8, 5, padding=2, groups=4), (2, 4, 20)),
    "1d reflect": (lambda nn: nn.Conv1d(3, 4, 3, padding=2, padding_mode="reflect"), (2, 3, 9)),
    "2d reflect": (lambda nn: nn.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="reflect"), (2, 3, 6, 7)),
    "2d replicate": (lambda nn: nn.Conv2d(3, 4, (3, 5), 2, (1, 2), padding_mode="replicate"), (2, 3, 6, 7)),
    "2d circular": (lambda nn: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (2, 3, 6, 7)),
    "2d circular, unbatched": (lambda nn: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 6, 7)),
    "2d same and replicate": (lambda nn: nn.Conv2d(3, 4, (3, 4), padding="same", padding_mode="replicate"), (2, 3, 6, 7)),
    "2d valid and circular": (lambda nn: nn.Conv2d(3, 4, 3, padding="valid", padding_mode="circular"), (2, 3, 6, 7)),
    "3d": (lambda nn: nn.Conv3d(2, 3, 2), (2, 2, 4, 5, 6)),
    "3d with all": (lambda nn: nn.Conv3d(4, 6, (2, 3, 1), (2, 1, 2), (1, 2, 0), (2, 1, 1), 2, bias=False), (2, 4, 5, 4, 6)),
    "3d replicate": (lambda nn: nn.Conv3d(2, 3, 3, padding=1, padding_mode="replicate"), (1, 2, 3, 4, 5)),
    "3d unbatched": (lambda nn: nn.Conv3d(2, 3, 2), (2, 4, 5, 6)),
    "transposed 1d": (lambda nn: nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), (2, 3, 5)),
    "transposed 2d": (lambda nn: nn.ConvTranspose2d(4, 6, (4, 3), (2, 1), (1, 0), (1, 0), 2, False, (2, 1)), (2, 4, 5, 6)),
    "transposed 2d of 1 pixel": (lambda nn: nn.ConvTranspose2d(20, 6, 4), (3, 20, 1, 1)),
    "transposed 2d unbatched": (lambda nn: nn.ConvTranspose2d(3, 4, 2, 2), (3, 5, 6)),
    "transposed 2d depthwise": (lambda nn: nn.ConvTranspose2d(4, 4, 3, 2, 1, groups=4), (2, 4, 5, 6)),
    "transposed 3d": (lambda nn: nn.ConvTranspose3d(2, 3, 2, 2, output_padding=1), (2, 2, 3, 2, 3)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # of PyTorch, about its own speed
@pytest.mark.parametrize("case", CASES)
def test_values_gradients_keys_and_repr_are_those_of_torch(case):
    torch = torch_or_skip()
    build, shape = CASES[case]
    assert repr(build(nn)) == repr(build(torch.nn))
    compare_module(build(nn), build(torch.nn), np.random.default_rng(len(case)).standard_normal(shape))


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_are_those_of_torch(name):
    torch = torch_or_skip()

    def arguments(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert arguments(ours) == arguments(theirs)
    assert arguments(ours.forward) == arguments(theirs.forward)


@pytest.mark.parametrize("name", LAYERS)
def test_initial_values_fill_the_uniform_range(name):
    layer = getattr(nn, name)(8, 64, 3, groups=2)
    fan_in = math.prod(layer.weight.shape[1:])
    bound = 1 / math.sqrt(fan_in)
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert 0.85 * bound < np.abs(values).max() <= bound


@pytest.mark.parametrize("size", [(9, 11), (10, 12), (2, 5, 10, 11)])
def test_output_size_picks_one_of_the_possible_sizes(size):
    torch = torch_or_skip()
    ours, theirs = nn.ConvTranspose2d(3, 5, 3, 2, 1), torch.nn.ConvTranspose2d(3, 5, 3, 2, 1)
    theirs.load_state_dict({key: torch.tensor(value.detach().numpy()) for key, value in ours.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6)).astype("float32")
    y = ours(tgc.tensor(x), output_size=size)
    assert tuple(y.shape) == (2, 5, *size[-2:])
    assert_close(y, theirs(torch.tensor(x), output_size=list(size)), 1e-5, 1e-6)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.Conv1d(3, 4, (3, 3)), ShapeError, r"Conv1d: kernel_size must be an integer, got \(3, 3\)"),
    (lambda: nn.Conv3d(3, 4, 0), ShapeError, "Conv3d: kernel_size must be at least 1, got 0"),
    (lambda: nn.Conv3d(3, 4, 3, padding=(1, 1)), ShapeError, "padding must be an integer or three integers"),
    (lambda: nn.Conv1d(3, 4, 3, padding="same", stride=2), ValueError, "not supported for strided"),
    (lambda: nn.Conv1d(4, 6, 3, groups=3), ValueError, "in_channels must be divisible by groups, got 4 and 3"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError,
     "Only \"zeros\" padding mode is supported for ConvTranspose2d, got 'reflect'"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, 2)(tgc.zeros(1, 3, 5, 5), output_size=(20, 11)), ShapeError,
     r"output_size \(20, 11\) is not possible: along axis 0 of 2 an input of 5 gives 11 to 12"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, 2)(tgc.zeros(1, 3, 5, 5), output_size=(11,)), ShapeError,
     "output_size must have 2 or 4 numbers"),
    (lambda: nn.ConvTranspose1d(3, 4, 3, output_padding=1)(tgc.zeros(1, 3, 5)), ShapeError, "output_padding 1"),
    (lambda: nn.Conv1d(3, 4, 3)(tgc.zeros(1, 2, 5)), ShapeError, r"conv1d: the input \(1, 2, 5\) has 2 channels"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()
