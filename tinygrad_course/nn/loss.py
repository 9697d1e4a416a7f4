"""Losses as modules.  The formulas stand with the functions in `nn/functional.py`."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.linear import Linear
from tinygrad_course.nn.module import Module
from tinygrad_course.tensor import Tensor


class _Loss(Module):
    """A loss with PyTorch's `reduction`: "mean", "sum" or "none"."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = F.check_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a weight, which is a buffer."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of logits (N, C, ...) with class numbers (N, ...) or with probabilities (N, C, ...).

    weight (C,) scales each class; the mean is then divided by the weights of the targets that were used.
    Targets equal to ignore_index count nothing.  label_smoothing s mixes the target with s/C on every class.
    """

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """logits (N, C, ...), target -> a scalar, or (N, ...) with reduction="none" """
        return F.cross_entropy(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
                               label_smoothing=self.label_smoothing)


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood: takes what LogSoftmax gives, (N, C, ...), and class numbers (N, ...)."""

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """log-probabilities (N, C, ...), target (N, ...) -> a scalar, or (N, ...) with reduction="none" """
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """NLLLoss under an old name."""

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        warnings.warn("`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in replacement",
                      FutureWarning, stacklevel=2)
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class MSELoss(_Loss):
    """(input - target)^2.  Both must have the same shape: (N, 1) against (N,) would compare all pairs."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.mse_loss(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of sigmoid(input), computed from the logits without overflow.

    weight scales each element, pos_weight the positive term (both broadcast).
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.binary_cross_entropy_with_logits(input, target, self.weight, reduction=self.reduction,
                                                  pos_weight=self.pos_weight)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities; weight scales each element."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """With d = input - target: d^2 / (2 beta) where |d| < beta, else |d| - beta / 2.  Girshick 2015, equation 3."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """With d = input - target: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2).  Huber 1964."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(Module):
    """Kullback-Leibler divergence: t (ln t - x) with input x = ln q and target t = p, or ln p if log_target.

    reduction="batchmean" divides the sum by the size of axis 0, which is the divergence; "mean" by all elements."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 log_target: bool = False) -> None:
        super().__init__()
        batchmean = reduction == "batchmean" and size_average is None and reduce is None
        self.reduction = reduction if batchmean else F.check_reduction(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts t of a Poisson distribution, without ln t!: e^x - t x, with input x = ln of the rate.

    log_input=False: the input is the rate itself, x - t ln(x + eps).  full=True adds Stirling's approximation of ln t!."""

    def __init__(self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """any shape, the same -> a scalar, or that shape with reduction="none" """
        return F.poisson_nll_loss(log_input, target, log_input=self.log_input, full=self.full, eps=self.eps,
                                  reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood of t under a normal distribution with mean x and variance v: (ln v + (x - t)^2 / v) / 2.

    v is not less than eps.  full=True adds ln(2 pi) / 2.  Nix and Weigend 1994."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """means, targets and variances (or one for all) -> a scalar, or their shape with reduction="none" """
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class CTCLoss(_Loss):
    """-ln of the sum over all alignments that read as the target.  Graves et al. 2006, connectionist temporal classification.

    zero_infinity: a target that is longer than its input allows counts 0 instead of infinity."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        """log-probabilities (T, N, C), targets (N, S) or all in a row, lengths (N,) -> a scalar, or (N,) unreduced"""
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """PyTorch's hints how linear_cross_entropy may save memory.  They change no value, and nothing needs them here."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        name, colon, factor = (self.chunking_method or "auto").partition(":")
        if not (name == "auto" and not colon) and not (
                name == "aspect_ratio" and (not colon or (factor.isdigit() and int(factor) > 0))):
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        if self.batch_chunk_size is not None and not (isinstance(self.batch_chunk_size, int) and self.batch_chunk_size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size!r}")


class LinearCrossEntropyLoss(_WeightedLoss):
    """The last layer of a classifier together with its loss: CrossEntropyLoss(Linear(input), target).

    linear.weight (num_classes * d1 * ..., in_features) for out_features = (d1, ...), the places of a loss in several places;
    drawn as that of Linear.  ignore_index None: -100, and not at all where the targets are probabilities."""

    def __init__(self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (), bias: bool = False,
                 device: Any = None, dtype: Any = None, reduction: str = "mean", weight: Tensor | None = None,
                 ignore_index: int | None = None, label_smoothing: float = 0.0,
                 options: LinearCrossEntropyOptions | None = None) -> None:
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise ShapeError(f"LinearCrossEntropyLoss: expected weight shape to be {(num_classes,)}, got "
                             f"{tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"LinearCrossEntropyLoss: expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.linear = Linear(in_features, math.prod(out_features, start=num_classes), bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, in_features), classes (N, d1, ...) or probabilities (N, num_classes, d1, ...) -> a scalar, or (N, d1, ...)"""
        places = (self.num_classes, *self.out_features)
        weight, bias = self.linear.weight.reshape(*places, self.linear.in_features), self.linear.bias
        return F.linear_cross_entropy(input, weight, target, linear_bias=None if bias is None else bias.reshape(*places),
                                      weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index,
                                      label_smoothing=self.label_smoothing, options=self.options)

    def extra_repr(self) -> str:
        return (f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
                f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
                f"label_smoothing={self.label_smoothing}, options={self.options}")
