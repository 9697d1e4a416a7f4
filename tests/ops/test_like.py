"""ops/like.py: shapes, types and memory taken from another tensor."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import OperandError

CALLS = {
    "zeros_like": lambda t, x: t.zeros_like(x),
    "ones_like of a type": lambda t, x: t.ones_like(x, dtype=t.int8),
    "full_like": lambda t, x: t.full_like(x, 7.5),
    "full_like of a tensor": lambda t, x: t.full_like(x, t.tensor(2)),
    "new_zeros": lambda t, x: x.new_zeros(2, 3) if t is not tgc else tgc.new_zeros(x, 2, 3),
    "new_ones": lambda t, x: x.new_ones((2,)) if t is not tgc else tgc.new_ones(x, (2,)),
    "new_full": lambda t, x: x.new_full((2, 1), 3.7) if t is not tgc else tgc.new_full(x, (2, 1), 3.7),
    "new_tensor": lambda t, x: x.new_tensor([[1, 2]]) if t is not tgc else tgc.new_tensor(x, [[1, 2]]),
    "new_tensor of a type": lambda t, x: x.new_tensor(2.5, dtype=t.int64) if t is not tgc
    else tgc.new_tensor(x, 2.5, dtype=tgc.int64),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("name", CALLS)
def test_like_torch(torch: Any, name: str, dtype: str) -> None:
    pattern = np.arange(6).reshape(2, 3).astype(dtype)
    found, wanted = CALLS[name](tgc, tgc.tensor(pattern)), CALLS[name](torch, torch.tensor(pattern)).numpy()
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("make", [tgc.empty_like, tgc.rand_like, tgc.randn_like, tgc.zeros_like,
                                  lambda x, **k: tgc.new_empty(x, x.shape, **k),
                                  lambda x, **k: tgc.new_empty_strided(x, (3, 2), (1, 3), **k)])  # fmt: skip
def test_shape_type_and_keywords(make: Any) -> None:
    x = tgc.ones(3, 2, dtype="float64", requires_grad=True)
    assert (make(x).shape, make(x).dtype, make(x).requires_grad) == ((3, 2), np.float64, False)
    y = make(x, dtype=tgc.float16, device="cpu", requires_grad=True)
    assert (y.dtype, y.requires_grad, y.is_leaf) == (np.float16, True, True)


def test_memory() -> None:
    x = tgc.ones(3, 2).t()
    assert tgc.empty_like(x).array.strides == x.array.strides
    assert tgc.new_empty_strided(x, (2, 2), (1, 2)).array.strides == (4, 8)
    data = np.ones(2, np.float32)
    assert tgc.new_tensor(x, data).array is not data
    assert tgc.new_tensor(x, x).array is not x.array


def test_draws_are_those_of_rand() -> None:
    x = tgc.zeros(2, 3, dtype="float64")

    def seeded() -> Any:
        return tgc.Generator().manual_seed(4)

    assert tgc.rand_like(x, generator=seeded()).tolist() == tgc.rand(2, 3, dtype="float64", generator=seeded()).tolist()
    assert tgc.randn_like(x, generator=seeded()).tolist() == tgc.randn(2, 3, dtype="float64", generator=seeded()).tolist()
    ints = tgc.randint(-2, 9, (2, 3), generator=seeded()).tolist()
    assert tgc.randint_like(x, -2, 9, generator=seeded()).tolist() == ints
    assert tgc.randint_like(x, 9).dtype == np.float64
    assert tgc.randint_like(x, 1, dtype=tgc.int8).tolist() == [[0] * 3] * 2


def test_errors() -> None:
    for call in (tgc.zeros_like, tgc.rand_like, tgc.new_zeros, lambda x: tgc.new_tensor(x, 1)):
        with pytest.raises(OperandError, match="must be a Tensor, got float"):
            call(1.0)
    with pytest.raises(ValueError, match=r"randint_like: there is no integer in \[0, 0\)"):
        tgc.randint_like(tgc.ones(1), 0)
    with pytest.raises(ValueError, match="randint_like: uint8 holds"):
        tgc.randint_like(tgc.ones(1, dtype=tgc.uint8), 257)
