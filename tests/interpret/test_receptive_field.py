"""The calculator of receptive fields."""

import pytest

from tinygrad_course.errors import ShapeError
from tinygrad_course.interpret import receptive_field


def brute(layers, position):
    """First and last place of the input that output `position` reads: window by window, backwards."""
    first = last = position
    for layer in reversed(layers):
        kernel, stride, padding, dilation = (*layer, *(1, 1, 0, 1)[len(layer):])
        first, last = first * stride - padding, last * stride - padding + (kernel - 1) * dilation
    return first, last


@pytest.mark.parametrize("layers", [
    [], [(1,)], [(3,)] * 3, [(7,)], [(7, 2, 3), (3, 2, 1)], [(5, 1, 0), (2, 2), (5,), (2, 2), (5,)],
    [(3, 1, 2, 2), (3, 2, 0, 3), (2, 3, 1)],
    [(11, 4, 2), (3, 2), (5, 1, 2), (3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2)]])
def test_against_the_windows(layers):
    field = receptive_field(layers)
    (first, last), (second, _) = brute(layers, 0), brute(layers, 1)
    assert field.size == last - first + 1
    assert field.jump == second - first
    assert field.start == (first + last) / 2


def test_known_numbers():
    assert receptive_field([(3,)] * 3).size == receptive_field([(7,)]).size == 7
    alexnet = [(11, 4, 2), (3, 2), (5, 1, 2), (3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2)]
    assert receptive_field(alexnet)[:2] == (195, 32)
    vgg16 = [layer for convs in (2, 2, 3, 3, 3) for layer in [(3, 1, 1)] * convs + [(2, 2)]]
    assert receptive_field(vgg16)[:2] == (212, 32)


@pytest.mark.parametrize("layers", [[()], [(3, 1, 0, 1, 1)], [(3.0,)], [(0,)], [(3, 0)], [(3, 1, -1)], [(3, 1, 0, 0)]])
def test_wrong_layers(layers):
    with pytest.raises(ShapeError, match="receptive_field: layer 0"):
        receptive_field(layers)
