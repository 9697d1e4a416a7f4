"""ops/cast.py."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, S, away, exactly
from tests.ops.patterns import INTEGERS, one

CASES = (
    one("clone", lambda x: x, away, integers=(*INTEGERS, "bool")),
    # Multiples of 1/4 and a step of 1/2 are exact in float16, so that differences can be taken through it.
    Case(
        "cast",
        lambda x: x.half(),
        lambda x: x,
        tuple(S(exactly(np.arange(np.prod(shape)).reshape(shape) / 4 - 1)) for shape in [(2, 3), (), (0,)]),
        out="float16",
        torch=lambda x: x.half(),
        step=0.5,
        tolerance=1e-3,
        threaded=(S((650, 640)),),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize("source", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", ["float32", "float64", "float16", "int64", "int32", "uint8", "bool"])
def test_cast_between_all_types(backend: str, source: str, target: str) -> None:
    x = np.array([[0, 1, 2], [3, 0, 100]]).astype(source)
    for array in (x, x.T, x[:, ::-1]):
        y = tgc.from_numpy(array).to(target)
        assert y.dtype == target
        assert np.array_equal(y.array, array.astype(target))
        assert source == target or not np.shares_memory(y.array, array)


@pytest.mark.parametrize("target", ["float32", "float64", "float16"])
def test_gradient_of_a_cast_has_the_type_of_its_input(backend: str, target: str) -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    (x.to(target) * 3).sum().to("float64").backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("target", ["int64", "int32", "uint8", "bool"])
def test_cast_to_integers_leaves_the_graph(backend: str, target: str) -> None:
    """Rounding has no useful derivative: a graph through integers would pass on a gradient that is none."""
    x = tgc.tensor([1.7, 2.5], dtype="float64", requires_grad=True)
    whole_part = x.to(target)
    assert not whole_part.requires_grad
    (whole_part.double() * x).sum().backward()
    assert x.grad.tolist() == whole_part.double().tolist()


@pytest.mark.parametrize("layout", ["plain", "transposed", "expanded"])
def test_clone_and_contiguous_are_in_order(backend: str, layout: str) -> None:
    x = tgc.tensor(np.arange(12.0).reshape(3, 4))
    x = {"plain": x, "transposed": x.T, "expanded": x[:1].expand(3, 4)}[layout]
    assert x.contiguous().is_contiguous()
    assert np.array_equal(x.contiguous().array, x.array)
    assert x.clone().array.flags.writeable
