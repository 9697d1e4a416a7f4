"""Tensor: what people hold.  The methods that are ops are listed in `tinygrad_course/methods.py`."""

import builtins
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend, ops
from tinygrad_course.autograd import base, engine
from tinygrad_course.autograd.base import new_tensor
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.kernels.arrays import fingerprint
from tinygrad_course.methods import OpMethods
from tinygrad_course.ops import inplace
from tinygrad_course.ops.arithmetic import add, div, mul, neg, sub
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.creation import from_numpy, rand, randint, randn, tensor
from tinygrad_course.ops.dtypes import (
    as_dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from tinygrad_course.ops.dtypes import bool_ as bool_dtype
from tinygrad_course.ops.index import getitem
from tinygrad_course.ops.random import Generator
from tinygrad_course.ops.transfer import to_device

Number = int | float | bool


class Tensor(OpMethods):
    """An n-dimensional array that remembers how it was computed.

    Make one with tgc.tensor(data), tgc.zeros(...), tgc.randn(...).  With requires_grad=True, `y.backward()` fills
    `x.grad` with dy/dx."""

    __slots__ = ()
    __array_ufunc__ = None  # array * tensor asks the tensor, not NumPy

    def __init__(self, data: Any = (), requires_grad: builtins.bool = False) -> None:
        if not isinstance(requires_grad, builtins.bool):
            raise TypeError(f"Tensor(data, requires_grad) got {requires_grad!r} for requires_grad; for a tensor of a shape "
                            "use tgc.empty(2, 3) or tgc.zeros(2, 3), for one of numbers tgc.tensor([2, 3])")
        self._set(tensor(data).array, None, False)
        self.requires_grad_(requires_grad)

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of every axis."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> builtins.int:
        """Number of axes."""
        return int(self.array.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def device(self) -> Device:
        """Where the values live."""
        return Device(backend.device_of(self.array))

    @property
    def is_cuda(self) -> builtins.bool:
        """Whether the values live on a GPU."""
        return backend.device_of(self.array) == "cuda"

    @property
    def requires_grad(self) -> builtins.bool:
        """Whether gradients flow into this tensor."""
        return self._up_to_date().track

    @requires_grad.setter
    def requires_grad(self, value: builtins.bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> builtins.bool:
        """Whether no recorded op made it: the user did, or it needs no gradient."""
        return self._up_to_date().node is None

    @property
    def grad_fn(self) -> Any:
        """The Node that made it, None for a leaf."""
        return self._up_to_date().node

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that backward() has accumulated."""
        grad: Tensor | None = self._grad
        return grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad must be a Tensor or None, got {type(value).__name__}")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(f"grad of shape {value.shape} and type {value.dtype} does not belong to a tensor of shape "
                                 f"{self.shape} and type {self.dtype}")
        self._grad = value

    @property
    def data(self) -> "Tensor":
        """The same memory outside the graph."""
        return self.detach()

    @data.setter
    def data(self, value: "Tensor") -> None:
        if self.track and value.dtype.kind != "f":
            raise DTypeError(f"data of type {value.dtype} cannot replace that of a tensor that requires a gradient; convert "
                             "it with .float()")
        if self.track and value.shape != self.shape:
            raise ShapeError(f"data of shape {value.shape} cannot replace {self.shape} in a tensor that requires a gradient: "
                             "a graph may know it by its shape. Make a new tensor.")
        self.array = value.array
        self.base = None
        self._bump_version("data =")

    @property
    def T(self) -> "Tensor":
        """All axes in reverse order."""
        return ops.permute(self, range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> "Tensor":
        """The last two axes exchanged."""
        return ops.transpose(self, -2, -1)

    @property
    def H(self) -> "Tensor":
        """The transpose of a matrix (there are no complex numbers to conjugate)."""
        if self.ndim != 2:
            raise ShapeError(f"H: expects a matrix, got shape {self.shape}; use .mH for the last two axes")
        return ops.transpose(self, 0, 1)

    @property
    def mH(self) -> "Tensor":
        """The last two axes exchanged (there are no complex numbers to conjugate)."""
        return self.mT

    @property
    def itemsize(self) -> builtins.int:
        """Bytes per value."""
        return int(self.array.itemsize)

    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all values."""
        return int(self.array.nbytes)

    def size(self, dim: builtins.int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> builtins.int:
        """Number of axes."""
        return self.ndim

    def numel(self) -> builtins.int:
        """Number of values."""
        return int(self.array.size)

    def nelement(self) -> builtins.int:
        """Number of values."""
        return int(self.array.size)

    def element_size(self) -> builtins.int:
        """Bytes per value."""
        return int(self.array.itemsize)

    def ndimension(self) -> builtins.int:
        """Number of axes."""
        return self.ndim

    def stride(self, dim: builtins.int | None = None) -> Any:
        """Steps in memory, in values, from one element to the next along every axis, or along one."""
        steps = tuple([step // self.array.itemsize for step in self.array.strides])
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> builtins.int:
        """Address of the first value."""
        self._shared_version()  # who knows it may look there: ops/inplace.py then writes to this memory
        return int(self.array.ctypes.data if isinstance(self.array, np.ndarray) else self.array.data.ptr)

    @property
    def _version(self) -> builtins.int:
        """How often its memory was written to in place."""
        return 0 if self.version is None else self.version.count

    def is_same_size(self, other: "Tensor") -> builtins.bool:
        """Whether both have one shape."""
        return self.shape == other.shape

    def is_floating_point(self) -> builtins.bool:
        """Whether the values are floating point numbers."""
        return bool(self.array.dtype.kind == "f")

    def is_contiguous(self) -> builtins.bool:
        """Whether the memory is in order."""
        return bool(self.array.flags.c_contiguous)

    # -- graph ---------------------------------------------------------------------------------------------------------

    def backward(self, gradient: "Tensor | None" = None, retain_graph: builtins.bool | None = None,
                 create_graph: builtins.bool = False, inputs: "Sequence[Tensor] | Tensor | None" = None) -> None:
        """Accumulate the gradient of this tensor in the `.grad` of every leaf it was computed from."""
        engine.backward((self,), (gradient,), retain_graph, create_graph, inputs)

    def requires_grad_(self, requires_grad: builtins.bool = True) -> "Tensor":
        """Set whether gradients flow into this leaf."""
        self._up_to_date()
        if not requires_grad and self.node is not None:
            raise GraphError("requires_grad can be switched off only for leaves; use detach() for a tensor without history")
        if requires_grad and self.array.dtype.kind != "f":
            raise DTypeError(f"only floating point tensors can require a gradient, this one has dtype {self.dtype}; use "
                             ".float() first")
        self.track = bool(requires_grad)
        return self

    def detach(self) -> "Tensor":
        """The same values, sharing memory, outside the graph."""
        result: Tensor = new_tensor(self.array)
        version = self._shared_version()
        result.version = version
        result.seen = version.rewrites
        return result

    def _up_to_date(self) -> "Tensor":
        """Itself, with the history that it has after recorded writes into the memory it shows."""
        if self.version is not None and self.version.rewrites != self.seen:
            inplace.refresh(self)
        return self

    def retain_grad(self) -> None:
        """Keep `.grad` for a tensor that is not a leaf."""
        self._up_to_date()
        if not self.track:
            raise GraphError("retain_grad: this tensor does not require a gradient")
        if self.node is not None:
            self.node.retained = weakref.ref(self)

    @property
    def retains_grad(self) -> builtins.bool:
        """Whether retain_grad() was called."""
        return self._up_to_date().node is not None and self.node.retained is not None

    def register_hook(self, hook: Callable[["Tensor"], "Tensor | None"]) -> RemovableHandle:
        """Call `hook(gradient)` when the gradient of this tensor is known; what it returns replaces the gradient."""
        self._up_to_date()
        if not self.track:
            raise GraphError("register_hook: this tensor does not require a gradient, so its hook would never be called")
        holder = self if self.node is None else self.node
        if holder.hooks is None:
            holder.hooks = OrderedDict()
        return RemovableHandle(holder.hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[["Tensor"], None]) -> RemovableHandle:
        """Call `hook(tensor)` each time after backward() has added to `.grad` of this leaf."""
        if not self.track or self.node is not None:
            raise GraphError("register_post_accumulate_grad_hook: only a leaf that requires a gradient has a .grad to add to")
        if self.post_hooks is None:
            self.post_hooks = OrderedDict()
        return RemovableHandle(self.post_hooks, hook)

    def detach_(self) -> "Tensor":
        """Cut this tensor off from its graph."""
        self._up_to_date()
        if self.base is not None and self.track:
            raise GraphError("detach_: this tensor is a view, whose base keeps its history; use x = x.detach()")
        self.node = None
        self.track = False
        self._bump_version("detach_")  # what has saved it knew its history
        if self.version is not None:
            self.version.rewrites += 1  # views have to look again
            self.seen = self.version.rewrites
        return self

    # -- conversion ----------------------------------------------------------------------------------------------------

    def item(self) -> Number:
        """The single value as a Python number."""
        if self.array.size != 1:
            raise ShapeError(f"item: a tensor of shape {self.shape} holds {self.array.size} values, not one; use tolist()")
        value: Number = self.array.item()
        return value

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return backend.to_device(self.array, "cpu").tolist()

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that shares memory."""
        if self._up_to_date().track:
            raise GraphError("numpy: this tensor requires a gradient, which NumPy would lose; use x.detach().numpy()")
        if self.is_cuda:
            raise GraphError("numpy: this tensor lives on the GPU; use x.cpu().numpy()")
        version = self._shared_version()
        if version.outside is None:  # from here on NumPy can write there and no counter sees it
            owner = self.array
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            version.outside = (owner, fingerprint(owner))
        array: np.ndarray = self.array
        return array

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False, copy: Any = False) -> "Tensor":
        """The values as another type or on another device: to(dtype), to(device), to(other tensor)."""
        if len(args) > 4:
            raise TypeError(f"to: expected dtype, device, non_blocking and copy, got {len(args)} arguments")
        flags = [arg for arg in args if isinstance(arg, builtins.bool)]  # to(dtype, non_blocking, copy)
        copy = flags[1] if len(flags) > 1 else copy
        for arg in args:
            if isinstance(arg, builtins.bool):
                continue
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, str | Device) and str(arg).split(":")[0] in ("cpu", "cuda"):
                device = arg
            elif arg is not None:
                dtype = arg
        result: Tensor = self if dtype is None else cast(self, as_dtype(dtype))
        if device is not None and Device(device).type != backend.device_of(self.array):
            result = to_device(result, Device(device).type)
        return ops.clone(self) if copy and result is self else result

    def type(self, dtype: Any = None) -> Any:
        """The values as `dtype`; without it the type's name."""
        return self.to(dtype) if dtype is not None else str(self.dtype)

    def type_as(self, other: "Tensor") -> "Tensor":
        """The values as the type of `other`."""
        return self.to(other.dtype)

    def float(self) -> "Tensor":
        """As float32."""
        return cast(self, float32)

    def double(self) -> "Tensor":
        """As float64."""
        return cast(self, float64)

    def half(self) -> "Tensor":
        """As float16."""
        return cast(self, float16)

    def long(self) -> "Tensor":
        """As int64."""
        return cast(self, int64)

    def int(self) -> "Tensor":
        """As int32."""
        return cast(self, int32)

    def byte(self) -> "Tensor":
        """As uint8."""
        return cast(self, uint8)

    def short(self) -> "Tensor":
        """As int16."""
        return cast(self, int16)

    def char(self) -> "Tensor":
        """As int8."""
        return cast(self, int8)

    def bool(self) -> "Tensor":
        """As bool."""
        return cast(self, bool_dtype)

    def cpu(self) -> "Tensor":
        """On the CPU."""
        return self.to(device="cpu")

    def cuda(self) -> "Tensor":
        """On the GPU."""
        return self.to(device="cuda")

    def contiguous(self) -> "Tensor":
        """Itself, or a copy whose memory is in order."""
        return self if self.is_contiguous() else ops.clone(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> "Tensor":
        self._up_to_date()
        if self.node is not None:
            raise GraphError("only leaves can be copied deeply; use x.detach().clone()")
        result = self.__class__.__new__(self.__class__)
        result._set(self.array.copy(), None, self.track)
        if self._grad is not None:
            result._grad = self._grad.detach().clone()
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("tensors are not pickled; save them with tinygrad_course.io.save_file(), which writes safetensors")

    # -- arithmetic ----------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> "Tensor":
        return add(self, other)

    def __radd__(self, other: Any) -> "Tensor":
        return add(other, self)

    def __sub__(self, other: Any) -> "Tensor":
        return sub(self, other)

    def __rsub__(self, other: Any) -> "Tensor":
        return sub(other, self)

    def __mul__(self, other: Any) -> "Tensor":
        return mul(self, other)

    def __rmul__(self, other: Any) -> "Tensor":
        return mul(other, self)

    def __truediv__(self, other: Any) -> "Tensor":
        return div(self, other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return div(other, self)

    def __pow__(self, other: Any) -> "Tensor":
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> "Tensor":
        return ops.pow(other, self)

    def __floordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> "Tensor":
        return ops.floor_divide(other, self)

    def __mod__(self, other: Any) -> "Tensor":
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> "Tensor":
        return ops.remainder(other, self)

    def __rdiv__(self, other: Any) -> "Tensor":
        return div(other, self)

    def __matmul__(self, other: Any) -> "Tensor":
        return ops.matmul(self, _tensor_operand("@", other))

    def __rmatmul__(self, other: Any) -> "Tensor":
        return ops.matmul(_tensor_operand("@", other), self)

    def __neg__(self) -> "Tensor":
        return neg(self)

    def __abs__(self) -> "Tensor":
        return ops.abs(self)

    def __hash__(self) -> builtins.int:
        return self._identity()

    def __eq__(self, other: Any) -> Any:
        return ops.eq(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: Any) -> Any:
        return ops.ne(self, other) if _comparable(other) else NotImplemented

    def __lt__(self, other: Any) -> "Tensor":
        return ops.lt(self, other)

    def __le__(self, other: Any) -> "Tensor":
        return ops.le(self, other)

    def __gt__(self, other: Any) -> "Tensor":
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> "Tensor":
        return ops.ge(self, other)

    def __pos__(self) -> "Tensor":
        return self

    def __invert__(self) -> "Tensor":
        return ops.bitwise_not(self)

    def __and__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> "Tensor":
        return ops.bitwise_and(self, other)

    def __or__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> "Tensor":
        return ops.bitwise_or(self, other)

    def __xor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> "Tensor":
        return ops.bitwise_xor(self, other)

    def __lshift__(self, other: Any) -> "Tensor":
        return ops.bitwise_left_shift(self, other)

    def __rshift__(self, other: Any) -> "Tensor":
        return ops.bitwise_right_shift(self, other)

    def where(self, condition: "Tensor", other: Any) -> "Tensor":
        """self where the condition holds, else other."""
        return ops.where(condition, self, other)

    # -- shape ---------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> "Tensor":
        return getitem(self, key)

    def __len__(self) -> Any:
        if self.ndim == 0:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> "Iterator[Tensor]":
        if self.ndim == 0:
            raise TypeError("a 0-d tensor cannot be iterated over; use .item()")
        return (self[index] for index in range(self.shape[0]))

    def __contains__(self, value: Any) -> Any:
        return bool((self.array == (value.array if isinstance(value, Tensor) else value)).any())

    def __bool__(self) -> Any:
        if self.array.size != 1:
            raise ShapeError(f"the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()")
        return bool(self.array.item())

    def __float__(self) -> Any:
        return float(self.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __index__(self) -> Any:
        if self.array.size != 1 or self.array.dtype.kind not in "iub":
            raise TypeError(f"only a single integer can be an index, this is a tensor of shape {self.shape} and type "
                            f"{self.dtype}")
        return int(self.array.item())

    # -- in place: outside a graph, or under no_grad() -----------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        inplace.set_item(self, key, value)

    def __iadd__(self, other: Any) -> "Tensor":
        return inplace.update(self, "+=", ops.add, other)

    def __isub__(self, other: Any) -> "Tensor":
        return inplace.update(self, "-=", ops.sub, other)

    def __imul__(self, other: Any) -> "Tensor":
        return inplace.update(self, "*=", ops.mul, other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return inplace.update(self, "/=", ops.div, other)

    def __ipow__(self, other: Any) -> "Tensor":
        return inplace.update(self, "**=", ops.pow, other)

    def __ifloordiv__(self, other: Any) -> "Tensor":
        return inplace.update(self, "//=", ops.floor_divide, other)

    def __imod__(self, other: Any) -> "Tensor":
        return inplace.update(self, "%=", ops.remainder, other)

    def __iand__(self, other: Any) -> "Tensor":
        return inplace.update(self, "&=", ops.bitwise_and, other)

    def __ior__(self, other: Any) -> "Tensor":
        return inplace.update(self, "|=", ops.bitwise_or, other)

    def __ixor__(self, other: Any) -> "Tensor":
        return inplace.update(self, "^=", ops.bitwise_xor, other)

    def __ilshift__(self, other: Any) -> "Tensor":
        return inplace.update(self, "<<=", ops.bitwise_left_shift, other)

    def __irshift__(self, other: Any) -> "Tensor":
        return inplace.update(self, ">>=", ops.bitwise_right_shift, other)

    def fill_(self, value: Any) -> "Tensor":
        """`value` everywhere."""
        return self._fill("fill_", value)

    def zero_(self) -> "Tensor":
        """Zeros everywhere."""
        return self._fill("zero_", 0)

    def copy_(self, source: Any) -> "Tensor":
        """The values of `source`, broadcast."""
        return self._fill("copy_", source)

    def uniform_(self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None) -> "Tensor":
        """Uniform random values in [a, b)."""
        return self._fill("uniform_", rand(self.shape, generator=generator, dtype=self.dtype) * (b - a) + a)

    def normal_(self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None) -> "Tensor":
        """Normal random values."""
        return self._fill("normal_", randn(self.shape, generator=generator, dtype=self.dtype) * std + mean)

    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> "Tensor":
        """1 with probability p, else 0."""
        return self._fill("bernoulli_", (rand(self.shape, generator=generator) < p).to(self.dtype))

    def random_(self, from_: Any = 0, to: Any = None, *, generator: Generator | None = None) -> "Tensor":
        """Random integers of [from_, to); random_(to) starts at 0."""
        if to is None:
            from_, to = 0, from_ or 2 ** (24 if self.is_floating_point() else 8 * self.itemsize - 1)
        return self._fill("random_", randint(from_, to, self.shape, generator=generator).to(self.dtype))

    def fill_diagonal_(self, value: Any) -> "Tensor":
        """`value` on the main diagonal of a matrix."""
        if self.ndim != 2:
            raise ShapeError(f"fill_diagonal_: expects a matrix, got shape {self.shape}")
        size = range(min(self.shape))
        if len(size):
            inplace.set_item(self, (np.array(size), np.array(size)), value, "fill_diagonal_")
        return self

    def _fill(self, writer: str, value: Any) -> "Tensor":
        inplace.set_item(self, ..., value, writer)
        return self

    # -- printing ------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        self._up_to_date()
        values = backend.to_device(self.array, "cpu")
        text = np.array2string(values, precision=4, separator=", ", prefix="tensor(", threshold=1000, edgeitems=3)
        notes = []
        if values.size == 0 and values.shape != (0,):
            notes.append(f"size={self.shape}")
        if values.dtype not in (get_default_dtype(), np.int64, np.bool_):
            notes.append(f"dtype={values.dtype}")
        if self.is_cuda:
            notes.append("device='cuda'")
        if self.node is not None:
            notes.append(f"grad_fn={self.node!r}")
        elif self.track:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)


def _tensor_operand(op: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return from_numpy(value)
    raise TypeError(f"{op}: expected a Tensor, got {type(value).__name__}")


def _comparable(value: Any) -> bool:
    return isinstance(value, Tensor | int | float | np.ndarray | np.generic)


base.set_tensor_type(Tensor)
