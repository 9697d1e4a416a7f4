"""The restricted Boltzmann machine: binary units in two layers, connections only between the layers.

    E(v, h) = -a . v - b . h - h^T W v             energy of a visible and a hidden pattern
    p(v, h) = exp(-E(v, h)) / Z                    Z, the partition function, is the sum over all patterns
    p(h_j = 1 | v) = sigmoid(b_j + sum_i W_ji v_i)   given one layer, the units of the other are independent,
    p(v_i = 1 | h) = sigmoid(a_i + sum_j W_ji h_j)   so a whole layer is drawn at once (block Gibbs sampling)
    F(v) = -a . v - sum_j log(1 + exp(b_j + sum_i W_ji v_i))     free energy: p(v) = exp(-F(v)) / Z

Learning raises log p of the data.  Its gradient is a difference of two means,

    d/dw mean log p(data) = -<dF/dw>_data + <dF/dw>_model,

and the second runs over everything that the machine can produce.  Contrastive divergence replaces it by the mean over
what k steps of Gibbs sampling make of the data (CD-k), or of the patterns of the previous step (persistent CD).

P. Smolensky, "Information processing in dynamical systems", in: Parallel Distributed Processing 1, chapter 6 (1986);
G. Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 1771-1800 (2002);
T. Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008.
"""

from __future__ import annotations

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

MOST_UNITS = 20  # of the smaller layer, when all its patterns are enumerated: 2^20 of them


class RBM(nn.Module):
    """Restricted Boltzmann machine of `n_visible` and `n_hidden` units with values 0 and 1.

    weight        (n_hidden, n_visible), the layout of a Linear from visible to hidden; drawn from N(0, std^2)
    visible_bias  (n_visible,), zeros; `start_from` sets it to what the data say
    hidden_bias   (n_hidden,), zeros
    generator     source of the weights and of all samples; the default generator without it

    Visible values between 0 and 1, such as grey pixels, are taken for probabilities of a unit being on.
    """

    def __init__(self, n_visible: int, n_hidden: int, *, std: float = 0.01, generator: Generator | None = None) -> None:
        super().__init__()
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.generator = generator
        self.weight = nn.Parameter(std * tgc.randn(n_hidden, n_visible, generator=generator))
        self.visible_bias = nn.Parameter(tgc.zeros(n_visible))
        self.hidden_bias = nn.Parameter(tgc.zeros(n_hidden))

    def start_from(self, data: Tensor) -> RBM:
        """Set the visible biases to log(p / (1 - p)), p the mean of each unit over the data (N, n_visible), or nearly so.

        Then the machine has the right means before it learns anything, and the weights need not learn them.
        G. Hinton, "A practical guide to training restricted Boltzmann machines" (2010), section 8.1.
        """
        self._check(data, self.n_visible, "visible")
        n = len(data)
        with tgc.no_grad():
            p = (data.sum(0) + 0.5) / (n + 1)  # half a pattern with and without: units that are never on stay finite
            self.visible_bias.copy_((p / (1 - p)).log())
        return self

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h): (..., n_visible), (..., n_hidden) -> (...)."""
        self._check(v, self.n_visible, "visible")
        self._check(h, self.n_hidden, "hidden")
        return -(v * self.visible_bias).sum(-1) - (h * F.linear(v, self.weight, self.hidden_bias)).sum(-1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)): (..., n_visible) -> (...)."""
        self._check(v, self.n_visible, "visible")
        return -(v * self.visible_bias).sum(-1) - F.softplus(F.linear(v, self.weight, self.hidden_bias)).sum(-1)

    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v): (..., n_visible) -> (..., n_hidden)."""
        self._check(v, self.n_visible, "visible")
        return F.linear(v, self.weight, self.hidden_bias).sigmoid()

    def visible_probability(self, h: Tensor) -> Tensor:
        """p(v_i = 1 | h): (..., n_hidden) -> (..., n_visible)."""
        self._check(h, self.n_hidden, "hidden")
        return F.linear(h, self.weight.T, self.visible_bias).sigmoid()

    def forward(self, v: Tensor) -> Tensor:
        """The hidden probabilities."""
        return self.hidden_probability(v)

    def sample(self, probability: Tensor) -> Tensor:
        """Ones with the given probabilities, and zeros."""
        draws = tgc.rand(*probability.shape, generator=self.generator, dtype=probability.dtype)
        return (draws < probability.detach()).to(probability.dtype)

    def gibbs(self, v: Tensor, steps: int = 1) -> Tensor:
        """The visible layer after `steps` times drawing the hidden layer from it and it from the hidden layer.

        (N, n_visible) -> (N, n_visible); each row is a chain of its own.
        """
        with tgc.no_grad():
            for _ in range(steps):
                v = self.sample(self.visible_probability(self.sample(self.hidden_probability(v))))
        return v

    def contrastive_divergence(self, data: Tensor, k: int = 1, chain: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A number whose gradient is that of CD-k, and the visible patterns after k steps.

        data   (N, n_visible)
        chain  patterns (M, n_visible) that the k steps start from instead of the data.  Persistent CD gives here what
               the call before returned

        The number is mean F(data) - mean F(chain), the chain held fixed, so `.backward()` leaves in `.grad` the
        estimate of the gradient of -mean log p(data).  It is no measure of progress itself: its value may go either way.
        """
        if k < 1:
            raise DataError(f"RBM.contrastive_divergence: k is {k}; at least one step of Gibbs sampling is needed.")
        chain = self.gibbs(data if chain is None else chain, k)
        return self.free_energy(data).mean() - self.free_energy(chain).mean(), chain

    def reconstruct(self, v: Tensor) -> Tensor:
        """p(v | h = p(h | v)): down again from the hidden probabilities, without drawing."""
        return self.visible_probability(self.hidden_probability(v))

    def log_partition(self) -> Tensor:
        """log Z, exactly, by adding up all 2^n patterns of the smaller layer; differentiable.

        Raises DataError if both layers have more than 20 units.
        """
        n = min(self.n_visible, self.n_hidden)
        if n > MOST_UNITS:
            raise DataError(f"RBM.log_partition: the smaller layer has {n} units, so {2**n:.1e} patterns to add up; at most "
                            f"{MOST_UNITS} units can be enumerated.")
        patterns = tgc.tensor(all_patterns(n), dtype=self.weight.dtype)
        if self.n_visible <= self.n_hidden:
            return tgc.logsumexp(-self.free_energy(patterns), 0)
        # The other way round: the visible units are summed out for each hidden pattern.
        inputs = F.linear(patterns, self.weight.T, self.visible_bias)
        return tgc.logsumexp((patterns * self.hidden_bias).sum(-1) + F.softplus(inputs).sum(-1), 0)

    def log_probability(self, v: Tensor) -> Tensor:
        """log p(v) in nats, exactly: (..., n_visible) -> (...).  Raises DataError as `log_partition`."""
        return -self.free_energy(v) - self.log_partition()

    # ---- as a layer of a stack: see train.pretrain --------------------------------------------------------------------

    def pretraining_loss(self, v: Tensor) -> Tensor:
        """CD-1, of patterns drawn with the given probabilities."""
        return self.contrastive_divergence(self.sample(v))[0]

    def encode(self, v: Tensor) -> Tensor:
        """What the next layer of a stack sees: the hidden probabilities."""
        return self.hidden_probability(v)

    def as_encoder(self) -> nn.Sequential:
        """Linear and Sigmoid with a copy of the weights, to be trained further."""
        linear = nn.Linear(self.n_visible, self.n_hidden, dtype=self.weight.dtype)
        with tgc.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(self.hidden_bias)  # type: ignore[union-attr]  # made with bias=True
        return nn.Sequential(linear, nn.Sigmoid())

    def _check(self, x: Tensor, units: int, layer: str) -> None:
        if not x.ndim or x.shape[-1] != units:
            raise ShapeError(f"RBM: a pattern of the {layer} layer has the shape {tuple(x.shape)}, needed is (..., {units}): "
                             "one value per unit.")

    def extra_repr(self) -> str:
        return f"n_visible={self.n_visible}, n_hidden={self.n_hidden}"


def all_patterns(n: int) -> np.ndarray:
    """All 2^n patterns of n binary units, float32 (2^n, n); row i is the number i in binary."""
    return (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1).astype(np.float32)
