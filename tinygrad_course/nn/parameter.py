"""Parameter and Buffer: tensors that a Module registers when they are assigned; and both before their shape is known."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import UninitializedError
from tinygrad_course.ops.creation import empty, zeros
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


class Buffer(Tensor):
    """A tensor that a Module registers as a buffer when it is assigned as an attribute: `m.mean = nn.Buffer(tgc.zeros(3))`.

    persistent=False keeps it out of the state dict.  Shares memory with `data`."""

    __slots__ = ("persistent",)

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Buffer: data must be a Tensor, got {type(data).__name__}; use tgc.tensor(data)")
        self._set(data.array, None, False)
        self.version = data._shared_version()
        self.requires_grad_(data.requires_grad)
        self.persistent = persistent

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        result = super().__deepcopy__(memo)
        assert isinstance(result, Buffer)
        result.persistent = self.persistent
        return result


def _refuse(*_: Any, **__: Any) -> Any:
    raise UninitializedError(
        "this parameter or buffer of a lazy module has no shape and no values yet: they come with the first input, or with "
        "load_state_dict(). Call the model once with a batch of the right shape before the parameters are used")


class _Unknown(np.ndarray):
    """Stands for values whose number is not known, and says what to do when an op wants to use it.

    A real but empty array would not do: many ops would take it, and a sum over it is 0.  Nor would an object that is no
    array, which would be looked for on the GPU."""

    known_dtype: np.dtype[Any]
    known_device: str

    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name) if name.startswith("known_") else _refuse()

    # Python looks these up in the class
    __array_function__ = __array_ufunc__ = __getitem__ = __setitem__ = __len__ = __iter__ = _refuse


class Uninitialized:
    """What UninitializedParameter and UninitializedBuffer have in common: a type and a device, but no shape."""

    __slots__ = ()
    array: Any

    def _set_unknown(self, requires_grad: bool, device: Any, dtype: Any) -> None:
        probe = empty(0, device=device, dtype=dtype).requires_grad_(requires_grad)  # refuses what cannot be
        values = np.ndarray.__new__(_Unknown, (0,), probe.dtype)
        values.known_dtype, values.known_device = probe.dtype, str(probe.device)
        self._set(values, None, requires_grad)  # type: ignore[attr-defined]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that the values will have."""
        dtype: np.dtype[Any] = self.array.known_dtype
        return dtype

    @property
    def device(self) -> Device:
        """Where the values will live."""
        return Device(self.array.known_device)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether gradients will flow into it."""
        self.track = requires_grad  # type: ignore[misc]  # a slot of Tensor
        return self

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary Parameter or Buffer of `shape`, the same object, with memory as it is found."""
        known = empty(tuple(shape), device=self.device if device is None else device,
                      dtype=self.dtype if dtype is None else dtype)
        self.array = known.array
        self.__class__ = _PLAIN[type(self)]

    def copy_(self, source: Tensor) -> Any:
        """Take the shape and the values of `source`: this is what load_state_dict() does."""
        if is_lazy(source):
            return self
        self.materialize(source.shape)
        return self.copy_(source)  # that of the plain class now

    def detach(self) -> Self:
        """Itself: there is no history yet."""
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """One of another type, or on another device, as Tensor.to."""
        probe = zeros((), dtype=self.dtype).to(*args, **kwargs)
        other = copy.deepcopy(self)
        other._set_unknown(other.requires_grad, probe.device, probe.dtype)  # type: ignore[attr-defined]  # is a Tensor too
        return other

    def float(self) -> Self:
        """One of float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """One of float64."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """One on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """One on the GPU."""
        return self.to("cuda")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter whose shape is not known yet; `materialize(shape)` makes it a Parameter.  Used by the lazy modules."""

    __slots__ = ()

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        self._set_unknown(requires_grad, device, dtype)

    def __deepcopy__(self, memo: dict[Any, Any]) -> UninitializedParameter:
        memo[id(self)] = result = UninitializedParameter(self.requires_grad, self.device, self.dtype)
        return result


class UninitializedBuffer(Uninitialized, Buffer):
    """A buffer whose shape is not known yet; `materialize(shape)` makes it a Buffer.  Used by the lazy modules."""

    __slots__ = ()

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> None:
        self._set_unknown(requires_grad, device, dtype)
        self.persistent = persistent

    def __deepcopy__(self, memo: dict[Any, Any]) -> UninitializedBuffer:
        memo[id(self)] = result = UninitializedBuffer(self.requires_grad, self.device, self.dtype, self.persistent)
        return result


_PLAIN: dict[type, type] = {UninitializedParameter: Parameter, UninitializedBuffer: Buffer}


def is_lazy(value: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(value, Uninitialized)
