"""Layers that take the number of their inputs from the first batch: LazyLinear, LazyConv2d, LazyBatchNorm2d, ...

    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    net(tgc.zeros(1, 3, 28, 28))              # now it is an ordinary network: Conv2d(3, 8, ...), Linear(5408, 10)

Until the first call the parameters are UninitializedParameters.  The call gives them their shape and their initial values,
and makes the layer one of the plain class.  They stay the same objects, so an optimiser that was built before trains them.
load_state_dict() gives them a shape as well.
"""

from __future__ import annotations

from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError, TgcError
from tinygrad_course.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Size,
    _ConvNd,
    _Convolution,
    _Transposed,
)
from tinygrad_course.nn.linear import Linear
from tinygrad_course.nn.module import BUFFER, PARAMETER, Module
from tinygrad_course.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _RunningNorm,
)
from tinygrad_course.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from tinygrad_course.nn.scope import call_module
from tinygrad_course.nn.trail import add_trail
from tinygrad_course.ops.creation import tensor
from tinygrad_course.tensor import Tensor

Shapes = dict[str, tuple[int, ...]]


class LazyModuleMixin(Module):
    """What makes a module lazy: the first call runs `initialize_parameters` with the arguments of forward.

    A class of your own derives from this and from the plain class, in this order, makes UninitializedParameters in its
    __init__, and gives them a shape in initialize_parameters.  cls_to_become: the plain class, None to stay what it is."""

    cls_to_become: type[Module] | None = None

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give every uninitialised parameter a shape and a value; called with the arguments of forward."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {self._get_name()}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        return any(is_lazy(value) for kind in (PARAMETER, BUFFER) for value in self._own(kind).values())

    def _become_plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with no_grad():
            self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized: its initialize_parameters() left "
                               "a parameter without a shape")
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.cls_to_become is not None or self.has_uninitialized_params():
            try:
                self._become_plain(args, kwargs)
            except TgcError as error:
                add_trail(error, self)
                raise
        return call_module(self, *args, **kwargs)


class _Lazy(LazyModuleMixin):
    """What the layers below have in common: they are made with 0 inputs, and learn the number by `_inputs`."""

    def _inputs(self, input: Tensor) -> int:
        """How many features or channels the input has; ShapeError if that cannot be told."""
        raise NotImplementedError

    def _sized(self, inputs: int) -> Shapes:
        """Note the number of inputs; the shape of every parameter that was made lazily."""
        raise NotImplementedError

    def initialize_parameters(self, input: Tensor, *_: Any, **__: Any) -> None:
        """Shapes and initial values for an input like this; what load_state_dict() brought is kept."""
        shapes = self._sized(self._inputs(input))
        own = {name: self.__dict__[name] for name in shapes if self.__dict__[name] is not None}
        loaded = {name: value.clone() for name, value in own.items() if not is_lazy(value)}
        for name, value in loaded.items():
            if value.shape != shapes[name]:
                raise ShapeError(f"{self._get_name()}: an input of shape {tuple(input.shape)} needs {name} of shape "
                                 f"{shapes[name]}, but {value.shape} was loaded by load_state_dict()")
        if len(loaded) == len(own):
            return
        for name in own.keys() - loaded.keys():
            own[name].materialize(shapes[name])
        self._plain_reset()
        for name, value in loaded.items():
            own[name].copy_(value)

    def _plain_reset(self) -> None:
        """The plain class's reset_parameters()."""
        self.cls_to_become.reset_parameters(self)  # type: ignore[union-attr]

    def reset_parameters(self) -> None:
        """Nothing to draw yet: the first call does it."""


class LazyLinear(_Lazy, Linear):
    """A Linear whose in_features is the size of the last axis of its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def _inputs(self, input: Tensor) -> int:
        if input.ndim == 0:
            raise ShapeError("LazyLinear: the input has no axis whose size could be in_features")
        return input.shape[-1]

    def _sized(self, inputs: int) -> Shapes:
        self.in_features = inputs
        return {"weight": (self.out_features, inputs), "bias": (self.out_features,)}


class _LazyConvNd(_Lazy, _ConvNd):
    """What the six lazy convolutions have in common."""

    def _without_shapes(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        if out_channels % self.groups:
            raise ValueError(f"out_channels must be divisible by groups, got {out_channels} and {self.groups}")
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def _inputs(self, input: Tensor) -> int:
        n = self.AXES
        if input.ndim not in (n + 1, n + 2):
            raise ShapeError(f"{self._get_name()}: expected an input with {n + 1} axes (one sample) or {n + 2} (a batch), "
                             f"got shape {tuple(input.shape)}")
        channels = input.shape[-n - 1]
        if channels % self.groups:
            raise ShapeError(f"{self._get_name()}: in_channels must be divisible by groups={self.groups}, the input "
                             f"{tuple(input.shape)} has {channels} channels")
        return channels

    def _sized(self, inputs: int) -> Shapes:
        self.in_channels = inputs
        outputs, groups = self.out_channels, self.groups
        channels = (inputs, outputs // groups) if self.transposed else (outputs, inputs // groups)
        return {"weight": (*channels, *self.kernel_size), "bias": (outputs,)}


class _LazyConvolution(_LazyConvNd, _Convolution):
    def __init__(self, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0, dilation: Size = 1,
                 groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, device,
                         dtype)
        self._without_shapes(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConvolution, Conv1d):
    """A Conv1d whose in_channels is that of its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """A Conv2d whose in_channels is that of its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvolution, Conv3d):
    """A Conv3d whose in_channels is that of its first input."""

    cls_to_become = Conv3d


class _LazyTransposed(_LazyConvNd, _Transposed):
    def __init__(self, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
                 groups: int = 1, bias: bool = True, dilation: Size = 1, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation,
                         padding_mode, device, dtype)
        self._without_shapes(out_channels, bias, device, dtype)


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A ConvTranspose1d whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A ConvTranspose2d whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A ConvTranspose3d whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy, _RunningNorm):
    """What the six lazy norms have in common."""

    def __init__(self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
                 device: Any = None, dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = tensor(0, dtype="int64", device=device)

    def _inputs(self, input: Tensor) -> int:
        self._check_input(input)
        return self._channels(input)

    def _channels(self, input: Tensor) -> int:
        return input.shape[1]

    def _sized(self, inputs: int) -> Shapes:
        self.num_features = inputs
        shapes: Shapes = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (inputs,))
        return {**shapes, "num_batches_tracked": ()}


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A BatchNorm1d whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A BatchNorm2d whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A BatchNorm3d whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm3d


class _LazyInstanceNorm(_LazyNorm):
    def _channels(self, input: Tensor) -> int:
        return input.shape[0 if input.ndim == min(self._axes) else 1]  # (C, ...) or (N, C, ...)


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """An InstanceNorm1d whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """An InstanceNorm2d whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """An InstanceNorm3d whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm3d
