"""The layers and losses as functions, with PyTorch's names, argument order and defaults.

Each is an op of `tinygrad_course/ops`, where its formula and gradient are.  With `inplace=True`, where PyTorch has it, the
result is written into the input, which is returned.  The graph knows of it: gradients are those of the new value, and if a
backward needs the old one, it raises.
"""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_course import ops
from tinygrad_course.nn.in_place import *
from tinygrad_course.ops.activation import *
from tinygrad_course.ops.attention import *
from tinygrad_course.ops.conv import *
from tinygrad_course.ops.ctc import *
from tinygrad_course.ops.distance import *
from tinygrad_course.ops.divergence import *
from tinygrad_course.ops.dropout import *
from tinygrad_course.ops.embedding import *
from tinygrad_course.ops.gates import *
from tinygrad_course.ops.huber import *
from tinygrad_course.ops.index import one_hot as one_hot
from tinygrad_course.ops.linalg import linear as linear
from tinygrad_course.ops.loss import *
from tinygrad_course.ops.loss import check_reduction as check_reduction
from tinygrad_course.ops.margin_loss import *
from tinygrad_course.ops.norm import *
from tinygrad_course.ops.norms import normalize as normalize
from tinygrad_course.ops.pad import *
from tinygrad_course.ops.piecewise import *
from tinygrad_course.ops.pool import *
from tinygrad_course.ops.products import bilinear as bilinear
from tinygrad_course.ops.regression_loss import *
from tinygrad_course.ops.resize import *
from tinygrad_course.ops.smooth import *
from tinygrad_course.ops.unfold import fold as fold
from tinygrad_course.ops.unfold import unfold as unfold
from tinygrad_course.ops.unpool import *
from tinygrad_course.tensor import Tensor


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return ops.softmax(input, _softmax_dim("softmax", input, _stacklevel) if dim is None else dim, dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x) along `dim`."""
    return ops.softmin(input, _softmax_dim("softmin", input, _stacklevel) if dim is None else dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """x - log(sum(exp(x))) along `dim`."""
    return ops.log_softmax(input, _softmax_dim("log_softmax", input, _stacklevel) if dim is None else dim, dtype)


def _softmax_dim(name: str, input: Tensor, stacklevel: int) -> int:
    """PyTorch's choice where no axis is given."""
    dim = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: no dim given, dim={dim} is used for a {input.ndim}-D input. Say which axis holds the "
                  f"classes: dim={dim}", stacklevel=stacklevel)
    return dim
