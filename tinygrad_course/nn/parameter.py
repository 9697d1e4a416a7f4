"""Parameter: a tensor that a Module trains."""

from __future__ import annotations

from tinygrad_course.ops.creation import empty
from tinygrad_course.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that a Module registers when it is assigned as an attribute.  Shares memory with `data`."""

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a Tensor, got {type(data).__name__}; use tgc.tensor(data)")
        self._set(data.array, None, False)
        self.version = data._shared_version()
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
