"""Tensor: what people hold.  Every method is one line that calls an op; the ops are in `tinygrad_course/ops`."""

import builtins
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_course import backend, ops
from tinygrad_course.autograd import base, engine
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.autograd.grad_mode import is_grad_enabled
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.backend.device import device as Device
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.ops.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from tinygrad_course.ops.dtypes import as_dtype, float16, float32, float64, int32, int64, uint8
from tinygrad_course.ops.dtypes import bool_ as bool_dtype
from tinygrad_course.ops.elementwise import add, mul, sub
from tinygrad_course.ops.index import plain_key
from tinygrad_course.ops.random import Generator, bernoulli, default_generator, initial_seed, manual_seed

Number = int | float | bool


class Tensor(TensorBase):
    """An n-dimensional array that remembers how it was computed.

    Make one with tgc.tensor(data), tgc.zeros(...), tgc.randn(...).  With requires_grad=True, `y.backward()` fills
    `x.grad` with dy/dx."""

    __slots__ = ()
    __array_ufunc__ = None  # array * tensor asks the tensor, not NumPy

    def __init__(self, data: Any = (), requires_grad: builtins.bool = False) -> None:
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
        return self.track

    @requires_grad.setter
    def requires_grad(self, value: builtins.bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> builtins.bool:
        """Whether no recorded op made it: the user did, or it needs no gradient."""
        return self.node is None

    @property
    def grad_fn(self) -> Any:
        """The Node that made it, None for a leaf."""
        return self.node

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
        self._bump_version("data =")

    @property
    def T(self) -> "Tensor":
        """All axes in reverse order."""
        return ops.permute(self, range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> "Tensor":
        """The last two axes exchanged."""
        return ops.transpose(self, -2, -1)

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
        result.version = self._shared_version()
        return result

    def retain_grad(self) -> None:
        """Keep `.grad` for a tensor that is not a leaf."""
        if not self.track:
            raise GraphError("retain_grad: this tensor does not require a gradient")
        if self.node is not None:
            self.node.retained = weakref.ref(self)

    @property
    def retains_grad(self) -> builtins.bool:
        """Whether retain_grad() was called."""
        return self.node is not None and self.node.retained is not None

    def register_hook(self, hook: Callable[["Tensor"], "Tensor | None"]) -> RemovableHandle:
        """Call `hook(gradient)` when the gradient of this tensor is known; what it returns replaces the gradient."""
        if not self.track:
            raise GraphError("register_hook: this tensor does not require a gradient, so its hook would never be called")
        holder = self if self.node is None else self.node
        if holder.hooks is None:
            holder.hooks = OrderedDict()
        return RemovableHandle(holder.hooks, hook)

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
        if self.track:
            raise GraphError("numpy: this tensor requires a gradient, which NumPy would lose; use x.detach().numpy()")
        if self.is_cuda:
            raise GraphError("numpy: this tensor lives on the GPU; use x.cpu().numpy()")
        array: np.ndarray = self.array
        return array

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False, copy: Any = False) -> "Tensor":
        """The values as another type or on another device: to(dtype), to(device), to(other tensor)."""
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, str | Device) and str(arg).split(":")[0] in ("cpu", "cuda"):
                device = arg
            elif arg is not None:
                dtype = arg
        result: Tensor = self if dtype is None else ops.cast(self, as_dtype(dtype))
        if device is not None and Device(device).type != backend.device_of(self.array):
            result = ops.to_device(result, Device(device).type)
        return ops.clone(self) if copy and result is self else result

    def type(self, dtype: Any = None) -> Any:
        """The values as `dtype`; without it the type's name."""
        return self.to(dtype) if dtype is not None else str(self.dtype)

    def type_as(self, other: "Tensor") -> "Tensor":
        """The values as the type of `other`."""
        return self.to(other.dtype)

    def float(self) -> "Tensor":
        """As float32."""
        return ops.cast(self, float32)

    def double(self) -> "Tensor":
        """As float64."""
        return ops.cast(self, float64)

    def half(self) -> "Tensor":
        """As float16."""
        return ops.cast(self, float16)

    def long(self) -> "Tensor":
        """As int64."""
        return ops.cast(self, int64)

    def int(self) -> "Tensor":
        """As int32."""
        return ops.cast(self, int32)

    def byte(self) -> "Tensor":
        """As uint8."""
        return ops.cast(self, uint8)

    def bool(self) -> "Tensor":
        """As bool."""
        return ops.cast(self, bool_dtype)

    def cpu(self) -> "Tensor":
        """On the CPU."""
        return self.to(device="cpu")

    def cuda(self) -> "Tensor":
        """On the GPU."""
        return self.to(device="cuda")

    def clone(self) -> "Tensor":
        """A copy that stays in the graph."""
        return ops.clone(self)

    def contiguous(self) -> "Tensor":
        """Itself, or a copy whose memory is in order."""
        return self if self.is_contiguous() else ops.clone(self)

    def __deepcopy__(self, memo: dict[Any, Any]) -> "Tensor":
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
        return ops.add(other, self)

    def __sub__(self, other: Any) -> "Tensor":
        return sub(self, other)

    def __rsub__(self, other: Any) -> "Tensor":
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> "Tensor":
        return mul(self, other)

    def __rmul__(self, other: Any) -> "Tensor":
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> "Tensor":
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return ops.div(other, self)

    def __pow__(self, other: Any) -> "Tensor":
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> "Tensor":
        return ops.pow(other, self)

    def __matmul__(self, other: Any) -> "Tensor":
        return ops.matmul(self, _tensor_operand("@", other))

    def __rmatmul__(self, other: Any) -> "Tensor":
        return ops.matmul(_tensor_operand("@", other), self)

    def __neg__(self) -> "Tensor":
        return ops.neg(self)

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

    def __invert__(self) -> "Tensor":
        if self.array.dtype.kind != "b":
            raise DTypeError(f"~ works on bool tensors, this one has dtype {self.dtype}; use x == 0 or x.logical_not()")
        return ops.logical_not(self)

    def __and__(self, other: Any) -> "Tensor":
        return ops.logical_and(*_bool_operands("&", self, other))

    def __or__(self, other: Any) -> "Tensor":
        return ops.logical_or(*_bool_operands("|", self, other))

    def add(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self + alpha * other."""
        return ops.add(self, other if alpha == 1 else other * alpha)

    def sub(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self - alpha * other."""
        return ops.sub(self, other if alpha == 1 else other * alpha)

    def mul(self, other: Any) -> "Tensor":
        """self * other."""
        return ops.mul(self, other)

    def div(self, other: Any) -> "Tensor":
        """self / other."""
        return ops.div(self, other)

    def pow(self, exponent: Any) -> "Tensor":
        """self ** exponent."""
        return ops.pow(self, exponent)

    def square(self) -> "Tensor":
        """self * self."""
        return ops.mul(self, self)

    def neg(self) -> "Tensor":
        """-self."""
        return ops.neg(self)

    def abs(self) -> "Tensor":
        """Absolute value."""
        return ops.abs(self)

    def sign(self) -> "Tensor":
        """-1, 0 or 1."""
        return ops.sign(self)

    def exp(self) -> "Tensor":
        """e ** self."""
        return ops.exp(self)

    def log(self) -> "Tensor":
        """Natural logarithm."""
        return ops.log(self)

    def sqrt(self) -> "Tensor":
        """Square root."""
        return ops.sqrt(self)

    def tanh(self) -> "Tensor":
        """Hyperbolic tangent."""
        return ops.tanh(self)

    def sigmoid(self) -> "Tensor":
        """1 / (1 + exp(-self))."""
        return ops.sigmoid(self)

    def relu(self) -> "Tensor":
        """max(self, 0)."""
        return ops.relu(self)

    def maximum(self, other: Any) -> "Tensor":
        """The larger of both, elementwise."""
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> "Tensor":
        """The smaller of both, elementwise."""
        return ops.minimum(self, other)

    def where(self, condition: "Tensor", other: Any) -> "Tensor":
        """self where the condition holds, else other."""
        return ops.where(condition, self, other)

    def masked_fill(self, mask: "Tensor", value: Any) -> "Tensor":
        """`value` where the mask is true, else self."""
        return ops.where(mask, value, self)

    def eq(self, other: Any) -> "Tensor":
        """self == other, elementwise."""
        return ops.eq(self, other)

    def ne(self, other: Any) -> "Tensor":
        """self != other, elementwise."""
        return ops.ne(self, other)

    def lt(self, other: Any) -> "Tensor":
        """self < other, elementwise."""
        return ops.lt(self, other)

    def le(self, other: Any) -> "Tensor":
        """self <= other, elementwise."""
        return ops.le(self, other)

    def gt(self, other: Any) -> "Tensor":
        """self > other, elementwise."""
        return ops.gt(self, other)

    def ge(self, other: Any) -> "Tensor":
        """self >= other, elementwise."""
        return ops.ge(self, other)

    def logical_not(self) -> "Tensor":
        """True where self is 0."""
        return ops.logical_not(self)

    def matmul(self, other: "Tensor") -> "Tensor":
        """Matrix product."""
        return ops.matmul(self, _tensor_operand("matmul", other))

    def softmax(self, dim: Any, dtype: Any = None) -> "Tensor":
        """Probabilities along `dim`."""
        return ops.softmax(self, dim, dtype)

    def log_softmax(self, dim: Any, dtype: Any = None) -> "Tensor":
        """Logarithms of softmax."""
        return ops.log_softmax(self, dim, dtype)

    # -- reductions ----------------------------------------------------------------------------------------------------

    def sum(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None,
            dtype: Any = None) -> "Tensor":
        """Sum over `dim` (or all axes)."""
        return ops.sum(self, *_axis(dim, axis, keepdim, keepdims), dtype)

    def mean(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None,
             dtype: Any = None) -> "Tensor":
        """Mean over `dim` (or all axes)."""
        return ops.mean(self, *_axis(dim, axis, keepdim, keepdims), dtype)

    def amax(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> "Tensor":
        """Largest value over `dim` (or all axes)."""
        return ops.amax(self, *_axis(dim, axis, keepdim, keepdims))

    def max(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
        """Largest value; with `dim` (values, indices); with a tensor the elementwise maximum."""
        return ops.max(self, *_axis(dim, axis, keepdim, keepdims))

    def argmax(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> "Tensor":
        """Index of the first maximum."""
        return ops.argmax(self, *_axis(dim, axis, keepdim, keepdims))

    def all(self) -> "Tensor":
        """Whether every value is true."""
        return new_tensor(np.asarray(backend.to_device(self.array, "cpu").all()))

    def any(self) -> "Tensor":
        """Whether some value is true."""
        return new_tensor(np.asarray(backend.to_device(self.array, "cpu").any()))

    # -- shape ---------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> "Tensor":
        """The same values under another shape; one size may be -1."""
        return ops.reshape(self, _flat(shape))

    def view(self, *shape: Any) -> "Tensor":
        """Like reshape, but raises where it would have to copy."""
        return ops.view(self, _flat(shape))

    def permute(self, *dims: Any) -> "Tensor":
        """Axes in another order."""
        return ops.permute(self, _flat(dims))

    def transpose(self, dim0: Any, dim1: Any) -> "Tensor":
        """Two axes exchanged."""
        return ops.transpose(self, dim0, dim1)

    def t(self) -> "Tensor":
        """Transpose of a matrix."""
        return ops.t(self)

    def unsqueeze(self, dim: Any) -> "Tensor":
        """With a new axis of size 1."""
        return ops.unsqueeze(self, dim)

    def squeeze(self, dim: Any = None) -> "Tensor":
        """Without axes of size 1."""
        return ops.squeeze(self, dim)

    def flatten(self, start_dim: Any = 0, end_dim: Any = -1) -> "Tensor":
        """Several axes as one."""
        return ops.flatten(self, start_dim, end_dim)

    def expand(self, *sizes: Any) -> "Tensor":
        """Stretched along axes of size 1; -1 keeps an axis."""
        return ops.broadcast_to(self, _flat(sizes))

    def expand_as(self, other: "Tensor") -> "Tensor":
        """Stretched to the shape of `other`."""
        return ops.broadcast_to(self, other.shape)

    def gather(self, dim: Any, index: "Tensor") -> "Tensor":
        """Values along `dim` at the positions `index`."""
        return ops.gather(self, dim, index)

    def scatter_add(self, dim: Any, index: "Tensor", src: "Tensor") -> "Tensor":
        """A copy with `src` added at the positions `index` along `dim`."""
        return ops.scatter_add(self, dim, index, src)

    def __getitem__(self, key: Any) -> "Tensor":
        return ops.select(self, key)

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
        array = self._writable("x[...] = value", value)
        plain, _ = plain_key(key)
        array[plain] = _plain(value)
        self._bump_version("x[...] = value")

    def __iadd__(self, other: Any) -> "Tensor":
        return self._write("+=", ops.add, other)

    def __isub__(self, other: Any) -> "Tensor":
        return self._write("-=", ops.sub, other)

    def __imul__(self, other: Any) -> "Tensor":
        return self._write("*=", ops.mul, other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return self._write("/=", ops.div, other)

    def add_(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self += alpha * other."""
        return self._write("add_", ops.add, other if alpha == 1 else other * alpha)

    def sub_(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self -= alpha * other."""
        return self._write("sub_", ops.sub, other if alpha == 1 else other * alpha)

    def mul_(self, other: Any) -> "Tensor":
        """self *= other."""
        return self._write("mul_", ops.mul, other)

    def div_(self, other: Any) -> "Tensor":
        """self /= other."""
        return self._write("div_", ops.div, other)

    def fill_(self, value: Any) -> "Tensor":
        """`value` everywhere."""
        self._writable("fill_", value)[...] = _plain(value)
        self._bump_version("fill_")
        return self

    def zero_(self) -> "Tensor":
        """Zeros everywhere."""
        return self.fill_(0)

    def copy_(self, source: Any) -> "Tensor":
        """The values of `source`, broadcast."""
        array = self._writable("copy_", source)
        values = _plain(source)
        try:
            array[...] = values
        except ValueError:
            raise ShapeError(f"copy_: values of shape {np.shape(values)} do not broadcast to {self.shape}") from None
        self._bump_version("copy_")
        return self

    def uniform_(self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None) -> "Tensor":
        """Uniform random values in [a, b)."""
        return self.copy_(rand(self.shape, generator=generator, dtype=self.dtype) * (b - a) + a)

    def normal_(self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None) -> "Tensor":
        """Normal random values."""
        return self.copy_(randn(self.shape, generator=generator, dtype=self.dtype) * std + mean)

    def _writable(self, name: str, value: Any = None) -> Any:
        """The array, if writing into it cannot make a gradient wrong."""
        if is_grad_enabled():
            if self.track:
                what = ("a leaf that requires a gradient" if self.node is None
                        else f"the result of '{self.node.name}', which a graph needs")
                raise GraphError(f"{name}: this tensor of shape {self.shape} is {what}; writing into it would make gradients "
                                 "wrong. Use the op that is not in place (x = x + y), or write inside `with tgc.no_grad():` "
                                 "if the change is not to be differentiated.")
            if isinstance(value, Tensor) and value.track:
                raise GraphError(f"{name}: the value requires a gradient, which writing into a tensor would lose. Build the "
                                 "result with where(), cat() or stack(), or use value.detach().")
        if not self.array.flags.writeable:
            raise GraphError(f"{name}: this tensor of shape {self.shape} is stretched by expand() or read-only: several of "
                             "its elements are one place in memory. Write to a copy: x = x.clone()")
        return self.array

    def _write(self, name: str, op: Any, other: Any) -> "Tensor":
        array = self._writable(name, other)
        result = op(self.detach(), other.detach() if isinstance(other, Tensor) else other).array
        if result.shape != array.shape:
            raise ShapeError(f"{name}: the result has shape {result.shape} and does not fit in place into {self.shape}")
        if result.dtype.kind == "f" and array.dtype.kind != "f":
            raise DTypeError(f"{name}: the result is {result.dtype} and cannot be written into {self.dtype}; use "
                             "x = x.float()")
        array[...] = result
        self._bump_version(name)
        return self

    # -- printing ------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        values = backend.to_device(self.array, "cpu")
        text = np.array2string(values, precision=4, separator=", ", prefix="tensor(", threshold=1000, edgeitems=3)
        notes = []
        if values.size == 0 and values.shape != (0,):
            notes.append(f"size={self.shape}")
        if values.dtype not in (np.float32, np.int64, np.bool_):
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


def _bool_operands(op: str, x: Tensor, other: Any) -> tuple[Tensor, Tensor]:
    y = other if isinstance(other, Tensor) else tensor(other)
    if x.dtype.kind != "b" or y.dtype.kind != "b":
        raise DTypeError(f"{op} works on bool tensors, got {x.dtype} and {y.dtype}")
    return x, y


def _axis(dim: Any, axis: Any, keepdim: Any, keepdims: Any) -> tuple[Any, Any]:
    """PyTorch's dim and keepdim, or NumPy's axis and keepdims."""
    if dim is not None and axis is not None:
        raise TypeError("give either dim or axis, not both")
    return axis if dim is None else dim, keepdim if keepdims is None else keepdims


def _flat(sizes: tuple[Any, ...]) -> Sequence[int]:
    """reshape(2, 3) and reshape((2, 3)) alike."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list | range):
        return sizes[0]
    return sizes


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value


base.set_tensor_type(Tensor)

__all__ = [
    "Generator", "Tensor", "arange", "as_tensor", "bernoulli", "default_generator", "empty", "empty_like", "eye",
    "from_numpy", "full", "full_like", "initial_seed", "linspace", "manual_seed", "ones", "ones_like", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "tensor", "zeros", "zeros_like",
]
