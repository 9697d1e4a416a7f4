"""Normalisation as modules: BatchNorm, LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm."""

from __future__ import annotations

from typing import Any

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.ops.creation import empty, ones, tensor, zeros
from tinygrad_course.ops.norm import batch_norm_add_relu, batch_norm_relu
from tinygrad_course.tensor import Tensor


class _RunningNorm(Module):
    """What batch and instance norm share: weight and bias per channel, running statistics, the check of the axes."""

    _version = 2  # of state dicts with num_batches_tracked
    _axes: tuple[int, ...] = ()  # how many axes an input may have
    _expected = ""

    def __init__(self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
                 device: Any, dtype: Any, bias: bool) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None)
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked",
                             tensor(0, dtype="int64", device=device) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and fresh running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")

    def _check_input(self, input: Any) -> None:
        if input.ndim not in self._axes:
            raise ShapeError(f"{self._get_name()}: expected {self._expected}, got an input of shape {tuple(input.shape)}")


class _BatchNorm(_RunningNorm):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return F.batch_norm(input, *self._arguments(input))

    def forward_relu(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """relu(forward(input) + residual), the same bits in one pass; nn/fusion.py says when it is called."""
        if residual is None:
            return batch_norm_relu(input, *self._arguments(input))
        return batch_norm_add_relu(input, residual, *self._arguments(input))

    def _arguments(self, input: Any) -> tuple[Any, ...]:
        """What batch_norm is given besides the input; counts the batch.

        momentum None: the running statistics are the plain mean over all batches, each moves them by 1 / count."""
        self._check_input(input)
        state = self.__dict__
        if "parametrizations" in state:  # some of them are computed: nn.utils.parametrize
            state = {name: getattr(self, name) for name in ("weight", "bias", "running_mean", "running_var",
                                                            "num_batches_tracked")}
        mean, var, counter = state["running_mean"], state["running_var"], state["num_batches_tracked"]
        momentum, training = self.momentum, self.training
        if training and self.track_running_stats and counter is not None:
            counter.array += 1
            counter._bump_version("batch_norm")
            if momentum is None:
                momentum = 1.0 / float(counter.item())
        elif training and not self.track_running_stats:
            mean = var = None
        return (mean, var, state["weight"], state["bias"], training or (mean is None and var is None),
                0.0 if momentum is None else momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Each channel of (N, C) or (N, C, L) to mean 0 and variance 1, times weight, plus bias.

    Training uses this batch's statistics and moves the running ones towards them by `momentum` (None: their plain mean over
    all batches); evaluation uses the running ones.  Ioffe and Szegedy 2015, arXiv:1502.03167."""

    _axes = (2, 3)
    _expected = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Each channel of (N, C, H, W) to mean 0 and variance 1; see BatchNorm1d."""

    _axes = (4,)
    _expected = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Each channel of (N, C, D, H, W) to mean 0 and variance 1; see BatchNorm1d."""

    _axes = (5,)
    _expected = "(N, C, D, H, W)"


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes.  Here one process has the whole batch: (N, C, ...), see BatchNorm1d.

    For models that were written for several GPUs: the state dict and the result are those of BatchNorm1d to BatchNorm3d."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:
        if process_group is not None:
            raise ValueError(f"SyncBatchNorm: process_group must be None, got {process_group!r}: there is one process only")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = None

    def _check_input(self, input: Any) -> None:
        if input.ndim < 2:
            raise ShapeError(f"SyncBatchNorm: expected (N, C, ...), got an input of shape {tuple(input.shape)}")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The model with SyncBatchNorm in place of every batch norm; parameters and buffers are the same objects."""
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                         process_group, bias=module.bias is not None)
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(result, name, getattr(module, name))
            result.training = module.training
        for name, child in module.named_children():
            result.register_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _InstanceNorm(_RunningNorm):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        self._check_input(input)
        if input.ndim == min(self._axes):  # no batch axis
            return self._normalised(input.unsqueeze(0)).squeeze(0)
        return self._normalised(input)

    def _normalised(self, input: Tensor) -> Tensor:
        if self.affine and input.shape[1] != self.num_features:
            raise ShapeError(f"{self._get_name()}: made for {self.num_features} channels, got an input of shape "
                             f"{tuple(input.shape)}")
        return F.instance_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                               self.training or not self.track_running_stats, self.momentum or 0.0, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample of (N, C, L), or of (C, L), to mean 0 and variance 1.

    Ulyanov et al. 2016, arXiv:1607.08022."""

    _axes = (2, 3)
    _expected = "(C, L) or (N, C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample of (N, C, H, W), or of (C, H, W), to mean 0 and variance 1."""

    _axes = (3, 4)
    _expected = "(C, H, W) or (N, C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each sample of (N, C, D, H, W), or of (C, D, H, W), to mean 0 and variance 1."""

    _axes = (4, 5)
    _expected = "(C, D, H, W) or (N, C, D, H, W)"


class LayerNorm(Module):
    """The last axes, of sizes normalized_shape, to mean 0 and variance 1, times weight, plus bias (of that shape).

    Ba, Kiros and Hinton 2016, arXiv:1607.06450."""

    def __init__(self, normalized_shape: int | list[int] | tuple[int, ...], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(
                name, Parameter(empty(*self.normalized_shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Same shape as the input."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) weight over the last axes; eps None: the type's epsilon.

    Zhang and Sennrich 2019, arXiv:1910.07467."""

    def __init__(self, normalized_shape: int | list[int] | tuple[int, ...], eps: float | None = None,
                 elementwise_affine: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter("weight", Parameter(empty(*self.normalized_shape, device=device, dtype=dtype))
                                if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as the input."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Each of num_groups groups of neighbouring channels of a sample to mean 0 and variance 1.

    Wu and He 2018, arXiv:1803.08494."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} must be divisible by num_groups={num_groups}")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(num_channels, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...), same shape out"""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """x / (k + alpha s / size)^beta, s the sum of x^2 over `size` neighbouring channels.

    Krizhevsky et al. 2012, section 3.3."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...), same shape out"""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """LocalResponseNorm of images (N, C, H, W), under the name that it had in Lua Torch.

    PyTorch's CrossMapLRN2d never takes channel 0 out of its sum again, so from channel size // 2 + 1 on its values are not
    those of the formula (and its gradients not those of its values); here they are."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W), same shape out"""
        if input.ndim != 4:
            raise ShapeError(f"CrossMapLRN2d: expected (N, C, H, W), got an input of shape {tuple(input.shape)}")
        return super().forward(input)
