"""ops/creation.py and ops/dtypes.py: against NumPy and PyTorch."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

# The same call in both packages, without a word on types: values, shapes and types must be the same.
CALLS = {
    "zeros": lambda t: t.zeros(2, 3),
    "zeros of a tuple": lambda t: t.zeros((2, 3)),
    "zeros without axes": lambda t: t.zeros(()),
    "ones of a list": lambda t: t.ones([2, 0]),
    "ones of a type": lambda t: t.ones(2, dtype=t.int32),
    "full of a float": lambda t: t.full((2, 2), 0.5),
    "full of an int": lambda t: t.full((2,), 3),
    "full of a bool": lambda t: t.full((2,), True),
    "full of a type": lambda t: t.full((2,), 3, dtype=t.float64),
    "full of a tensor": lambda t: t.full((2,), t.tensor(2.5)),
    "scalar_tensor": lambda t: t.scalar_tensor(3),
    "scalar_tensor of a type": lambda t: t.scalar_tensor(2.7, dtype=t.int64),
    "eye": lambda t: t.eye(3),
    "eye wide": lambda t: t.eye(2, 3, dtype=t.int64),
    "eye empty": lambda t: t.eye(0, 2),
    "arange": lambda t: t.arange(4),
    "arange down": lambda t: t.arange(5, 0, -2),
    "arange of nothing": lambda t: t.arange(3, 3),
    "arange of floats": lambda t: t.arange(0, 1, 0.3),
    "arange of many": lambda t: t.arange(-1.0, 1.0, 0.1, dtype=t.float64),
    "arange to a type": lambda t: t.arange(1, 6, 2, dtype=t.float64),
    "arange of floats as integers": lambda t: t.arange(0.5, 4.5, dtype=t.int64),
    "arange of tensors": lambda t: t.arange(t.tensor(1), t.tensor(4)),
    "arange of large numbers": lambda t: t.arange(2**60, 2**60 + 3),
    "linspace": lambda t: t.linspace(-1, 2, 7),
    "linspace of one": lambda t: t.linspace(3, 10, 1),
    "linspace of none": lambda t: t.linspace(3, 10, 0),
    "linspace backwards": lambda t: t.linspace(1, 0, 10, dtype=t.float64),
    "linspace of integers": lambda t: t.linspace(0, 10, 4, dtype=t.int64),
    "linspace of tensors": lambda t: t.linspace(t.tensor(1), t.tensor(2.5), 4, dtype=t.float64),
    "logspace": lambda t: t.logspace(0, 3, 4),
    "logspace of base 2": lambda t: t.logspace(-2, 5, 8, base=2, dtype=t.float64),
    "logspace of one": lambda t: t.logspace(2, 5, 1),
    "empty_strided": lambda t: t.empty_strided((2, 3), (1, 2)).fill_(4),
    "empty_permuted": lambda t: t.empty_permuted((2, 3, 4), (2, 0, 1)).zero_(),
    "asarray": lambda t: t.asarray([[1, 2], [3, 4]]),
    "asarray of a type": lambda t: t.asarray([1, 2], dtype=t.float32),
    "result_type": lambda t: t.ones(1, dtype=t.result_type(t.ones(2, dtype=t.int8), 1.5)),
    "result_type 0-d": lambda t: t.ones(1, dtype=t.result_type(t.ones(2), t.tensor(1.5, dtype=t.float64))),
    "result_type with a number": lambda t: t.ones(1, dtype=t.result_type(3, t.tensor(2, dtype=t.uint8))),
    "result_type of numbers": lambda t: t.ones(1, dtype=t.result_type(True, 2)),
    "limits": lambda t: t.tensor([t.finfo(t.float32).eps, t.finfo().max, t.iinfo(t.int16).min], dtype=t.float64),
    "questions": lambda t: t.tensor([t.is_tensor(3), t.is_tensor(t.ones(1)), t.is_floating_point(t.ones(1))]),
    "numel": lambda t: t.tensor([t.numel(t.ones(2, 3)), t.numel(t.ones(())), t.numel(t.ones(0, 2))]),
    "can_cast": lambda t: t.tensor([t.can_cast(t.float64, t.float32), t.can_cast(t.float32, t.int64),
                                    t.can_cast(t.int64, t.uint8), t.can_cast(t.int8, t.bool)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_like_torch(torch: Any, name: str) -> None:
    found, wanted = CALLS[name](tgc), CALLS[name](torch).numpy()
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    tolerance = 4 * np.finfo(wanted.dtype).eps if wanted.dtype.kind == "f" else 0
    np.testing.assert_allclose(found.numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_strides(torch: Any) -> None:
    a, b = tgc.empty_strided((2, 3), (1, 4)), torch.empty_strided((2, 3), (1, 4))
    assert [step // a.array.itemsize for step in a.array.strides] == list(b.stride())
    a, b = tgc.empty_permuted((2, 3, 4), (2, 0, 1)), torch.empty_permuted((2, 3, 4), (2, 0, 1))
    assert [step // a.array.itemsize for step in a.array.strides] == list(b.stride())
    assert tgc.empty_strided((0, 3), (5, 5)).shape == (0, 3)
    assert tgc.empty_strided((), ()).shape == ()


@pytest.mark.parametrize("make", [
    lambda **k: tgc.zeros(2, **k), lambda **k: tgc.full((2,), 1.0, **k), lambda **k: tgc.arange(2.0, **k),
    lambda **k: tgc.linspace(0, 1, 2, **k), lambda **k: tgc.rand(2, **k), lambda **k: tgc.eye(2, **k),
    lambda **k: tgc.empty_strided((2,), (1,), **k), lambda **k: tgc.scalar_tensor(1, **k),
    lambda **k: tgc.asarray([1.0], **k), lambda **k: tgc.normal(0.0, 1.0, (2,), **k),
])  # fmt: skip
def test_keywords(make: Any) -> None:
    x = make(dtype=tgc.float64, device="cpu", requires_grad=True)
    assert (x.dtype, str(x.device), x.requires_grad, x.is_leaf) == (np.float64, "cpu", True, True)


def test_the_default_type() -> None:
    tgc.set_default_dtype(tgc.float64)
    try:
        made = (tgc.zeros(1), tgc.full((1,), 0.5), tgc.arange(1.0), tgc.rand(1), tgc.eye(1))
        assert {t.dtype for t in made} == {tgc.float64}
        assert tgc.result_type(1, 0.5) == tgc.float64
        assert tgc.finfo().bits == 64
    finally:
        tgc.set_default_dtype(tgc.float32)


def test_asarray_shares_or_copies() -> None:
    array = np.ones(3)
    x = tgc.asarray(array)
    assert x.array is array
    assert tgc.asarray(array, copy=True).array is not array
    w = tgc.ones(3, requires_grad=True)
    assert tgc.asarray(w).array is w.array
    assert not tgc.asarray(w * 2).requires_grad
    assert tgc.asarray(w, requires_grad=True).is_leaf
    with pytest.raises(ValueError, match=r"asarray: ndarray cannot become.*float32 without a copy"):
        tgc.asarray(array, dtype=tgc.float32, copy=False)
    with pytest.raises(ValueError, match="asarray: list"):
        tgc.asarray([1.0], copy=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tgc.zeros(2.5), TypeError, "zeros: sizes are integers, got 2.5"),
        (lambda: tgc.ones(2, -1), ShapeError, r"ones: negative size -1 in \(2, -1\)"),
        (lambda: tgc.full((2,), tgc.ones(2)), OperandError, r"full: expected a real number.*shape \(2,\)"),
        (lambda: tgc.full((2,), "a"), OperandError, "full: expected a real number.*str"),
        (lambda: tgc.full((2,), 1j), OperandError, "full: expected a real number.*complex"),
        (lambda: tgc.arange(3, 0), ValueError, "arange: steps of 1 lead away from 0, starting at 3"),
        (lambda: tgc.arange(0, 3, 0), ValueError, "arange: step must not be 0"),
        (lambda: tgc.linspace(0, 1, -1), ValueError, "linspace: the number of steps.*-1"),
        (lambda: tgc.empty_strided((2,), (1, 1)), ShapeError, "empty_strided: 1 sizes.*2 strides"),
        (lambda: tgc.empty_permuted((2, 3), (0, 0)), ShapeError, r"empty_permuted: physical_layout \(0, 0\)"),
        (lambda: tgc.randint(0, 300, (2,), dtype=tgc.uint8), ValueError, "randint: uint8 holds .* 0 to 255, not 0 to 299"),
        (lambda: tgc.randint(5, 5, (2,)), ValueError, r"randint: there is no integer in \[5, 5\)"),
        (lambda: tgc.randperm(300, dtype=tgc.int8), ValueError, "randperm: int8 holds values from -128 to 127"),
        (lambda: tgc.finfo(tgc.int8), DTypeError, "finfo: int8.*iinfo"),
        (lambda: tgc.iinfo(tgc.float16), DTypeError, "iinfo: float16.*finfo"),
        (lambda: tgc.numel([1]), OperandError, "numel.*Tensor.*list"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_arange_of_integers_cuts_off_before_it_counts(torch: Any) -> None:
    for args in ((3.1,), (-0.9, 2.1, 2.0), (2.1, -2.9, -1.0), (0.0, -8.000001, -4.0)):
        for dtype in ("int64", "int32"):
            assert tgc.arange(*args, dtype=dtype).tolist() == torch.arange(*args, dtype=getattr(torch, dtype)).tolist()
    with pytest.raises(ValueError, match="arange: the step is 0 as a number of type int64"):
        tgc.arange(0, 2, 0.5, dtype="int64")
    with pytest.raises(ValueError, match=r"arange: .*finite, got 0, inf and 2"):
        tgc.arange(0, np.inf, 2)
