"""Regularisation: what makes a network that could learn its training data by heart generalise instead.

    L2       E + lambda/2 sum w^2     every step shrinks a weight by the share lr * lambda ("weight decay")
    L1       E + lambda sum |w|       every step shrinks a weight by the same amount lr * lambda: small ones end at zero
    dropout  every unit is absent from a training step with probability p
    noise    what batch norm gives for a pattern depends on its companions, the more the fewer they are

Biases are usually left out of L1 and L2: a bias sees no input, so a large one makes no output sensitive to noise in the
inputs (C. Bishop, "Neural Networks for Pattern Recognition" (1995), section 9.2; M. Nielsen, "Neural Networks and Deep
Learning" (2015), chapter 3).
"""

from __future__ import annotations

from typing import Any

from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import BatchNorm1d, Module, Parameter
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.dropout import Dropout
from tinygrad_course.tensor import Tensor


def split_parameters(model: Module) -> tuple[list[Parameter], list[Parameter]]:
    """The weights of a model, and its other parameters: biases, and scales and shifts of normalisations.

    A weight is a parameter with two dimensions or more: the matrix of a linear layer, the kernel of a convolution, an
    embedding.  A parameter that is used in several places is listed once.
    """
    parameters = list(model.parameters())
    return [p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2]


def decay_groups(model: Module, weight_decay: float, *, biases: bool = False) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: weight decay on the weights, and on the rest only with biases=True.

        optimizer = optim.SGD(decay_groups(model, 1e-2), lr=0.1)

    In SGD, with momentum or without, weight_decay is the L2 penalty lambda/2 sum w^2 in the loss.  Adam would divide its
    gradient by the size of past gradients like any other: there AdamW, which shrinks the weights beside Adam's step, is what
    is meant (I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019).
    """
    weights, others = split_parameters(model)
    groups = [{"params": weights, "weight_decay": weight_decay},
              {"params": others, "weight_decay": weight_decay if biases else 0.0}]
    return [group for group in groups if group["params"]]


def l1_penalty(model: Module, *, biases: bool = False) -> Tensor:
    """sum |w| over the weights of a model, and with biases=True over all its parameters: one number, with its graph.

        loss = loss_fn(model(x), y) + 1e-3 * l1_penalty(model)

    R. Tibshirani, "Regression shrinkage and selection via the lasso", J. R. Stat. Soc. B 58, 267-288 (1996).
    Raises DataError if the model has no such parameter.
    """
    return _sum(model, biases, "l1_penalty", lambda parameter: parameter.abs().sum())


def l2_penalty(model: Module, *, biases: bool = False) -> Tensor:
    """1/2 sum w^2 over the weights of a model, and with biases=True over all its parameters: one number, with its graph.

    With SGD the same as the weight decay of `decay_groups`, which costs less.
    Raises DataError if the model has no such parameter.
    """
    return _sum(model, biases, "l2_penalty", lambda parameter: (parameter * parameter).sum() / 2)


def _sum(model: Module, biases: bool, caller: str, measure: Any) -> Tensor:
    weights, others = split_parameters(model)
    terms = [measure(parameter) for parameter in (weights + others if biases else weights)]
    if not terms:
        raise DataError(f"{caller}: {type(model).__name__} has no parameter with two dimensions or more. Give a model with "
                        "weights, or biases=True.")
    total: Tensor = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


class DropoutScaledAtTest(Dropout):
    """Dropout as it was published: in training a value is 0 with probability p; in evaluation all are multiplied by 1 - p.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014), section 4: at
    test time the weights behind the layer are scaled by the probability 1 - p that their input was there in training, so
    that the expected input of the next unit is the same.  (Scaling the values does the same, and leaves the weights alone.)
    `nn.Dropout` divides by 1 - p in training instead ("inverted"), so that evaluation needs nothing.  With the weights of
    the next layer multiplied by 1 - p the two are the same network, mask by mask.  p = 1 leaves nothing in either mode.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, elementwise."""
        if not self.training or self.p == 1:
            return input * (1 - self.p)
        return F.dropout(input, self.p) * (1 - self.p)


class GhostBatchNorm1d(BatchNorm1d):
    """Batch norm of (N, C) over groups of `group_size` patterns that follow each other in the batch, not over all N.

    The noise that the companions bring goes as 1 / sqrt(group size): small groups in a large batch make a regulariser of
    batch norm, with the gradient of the large batch.  Evaluation is that of BatchNorm1d; the running statistics move towards
    the mean of those of the groups.  Parameters, buffers and state-dict keys are BatchNorm1d's.

    E. Hoffer, I. Hubara, D. Soudry, "Train longer, generalize better", NIPS 2017, algorithm 1;
    P. Luo, X. Wang, W. Shao, Z. Peng, "Towards understanding regularization in batch normalization", ICLR 2019.
    Raises ShapeError in training if N is no multiple of the group size, DataError if a group has fewer than two patterns.
    """

    def __init__(self, num_features: int, group_size: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        if group_size < 2:
            raise DataError(f"GhostBatchNorm1d: group_size must be 2 or more, got {group_size}: one pattern has no variance")
        super().__init__(num_features, eps, momentum)
        self.group_size = group_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        if not self.training:
            return super().forward(input)
        if input.ndim != 2 or input.shape[1] != self.num_features or input.shape[0] % self.group_size:
            raise ShapeError(f"GhostBatchNorm1d: expected (N, {self.num_features}) with N a multiple of the group size "
                             f"{self.group_size}, got {tuple(input.shape)}. Leave the last, smaller batch out "
                             "(drop_last=True), or choose another group size.")
        groups, size, width = len(input) // self.group_size, self.group_size, self.num_features
        state = dict(self.named_buffers())
        state["num_batches_tracked"].add_(1)
        momentum = 1 / state["num_batches_tracked"].item() if self.momentum is None else self.momentum
        mean, var = (state[name].repeat(groups) for name in ("running_mean", "running_var"))
        # Each channel of each group is a channel of its own.
        apart = input.reshape(groups, size, width).transpose(0, 1).reshape(size, groups * width)
        out = F.batch_norm(apart, mean, var, training=True, momentum=momentum, eps=self.eps)
        state["running_mean"].copy_(mean.reshape(groups, width).mean(0))
        state["running_var"].copy_(var.reshape(groups, width).mean(0))
        out = out.reshape(size, groups, width).transpose(0, 1).reshape(groups * size, width)
        return out * self.weight + self.bias

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_features}, group_size={self.group_size}, eps={self.eps}, momentum={self.momentum}"
