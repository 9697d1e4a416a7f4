"""Constructors that name a type, PyTorch's oldest way to make tensors: `LongTensor([1, 2])`.

Each also says a type: `x.type(LongTensor)` is `x.to(int64)`.
"""

from typing import Any

import numpy as np

from tinygrad_course.ops.creation import empty, tensor
from tinygrad_course.ops.dtypes import bool_, float16, float32, float64, int8, int16, int32, int64, uint8

__all__ = ["BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor",
           "ShortTensor"]


class _TypedTensor:
    """Makes tensors of one type: of values, `LongTensor([2, 3])`, or of a size and any content, `LongTensor(2, 3)`."""

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        self.name, self.dtype = name, dtype

    def __call__(self, *data: Any) -> Any:
        if all(isinstance(size, int) for size in data):
            return empty(*(data or (0,)), dtype=self.dtype)
        if len(data) > 1:
            raise TypeError(f"{self.name}: give one list or array of values, or whole numbers as a size; "
                            f"got {len(data)} arguments")
        return tensor(data[0], dtype=self.dtype)

    def __repr__(self) -> str:
        return f"<constructor {self.name}>"


FloatTensor = _TypedTensor("FloatTensor", float32)
DoubleTensor = _TypedTensor("DoubleTensor", float64)
HalfTensor = _TypedTensor("HalfTensor", float16)
LongTensor = _TypedTensor("LongTensor", int64)
IntTensor = _TypedTensor("IntTensor", int32)
ShortTensor = _TypedTensor("ShortTensor", int16)
CharTensor = _TypedTensor("CharTensor", int8)
ByteTensor = _TypedTensor("ByteTensor", uint8)
BoolTensor = _TypedTensor("BoolTensor", bool_)
