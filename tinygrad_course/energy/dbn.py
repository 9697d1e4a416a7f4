"""The deep belief net: restricted Boltzmann machines on top of each other, learnt one after the other.

The hidden layer of each machine is the visible layer of the next.  The top two layers are a Boltzmann machine and hold a
memory; the connections below only lead down from it to the data:

    p(v, h1, ..., hL) = p(v | h1) p(h1 | h2) ... p(h(L-1), hL)

Adding a machine, and learning it on the hidden patterns of the one below, raises a lower bound of log p(data) as long as
the new machine starts as the old one turned upside down.

G. Hinton, S. Osindero, Y.-W. Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18, 1527-1554 (2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.energy.rbm import RBM
from tinygrad_course.errors import DataError
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor


class DeepBeliefNet(nn.Module):
    """Machines of the given layer sizes, from the data upwards: (64, 100, 50) has two.

    `train.pretrain(net.rbms, data, ...)` learns them.  `generator` as in RBM.
    """

    def __init__(self, sizes: Sequence[int], *, std: float = 0.01, generator: Generator | None = None) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise DataError(f"DeepBeliefNet: sizes are {tuple(sizes)}; at least two layers are needed, visible and hidden.")
        self.rbms = nn.ModuleList([RBM(below, above, std=std, generator=generator)
                                   for below, above in pairwise(sizes)])

    def forward(self, v: Tensor) -> Tensor:
        """Probabilities of the top layer, each layer computed from the probabilities of the one below."""
        for rbm in self.rbms:
            v = rbm(v)
        return v

    def generate(self, chain: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """`steps` of Gibbs sampling in the top machine, then down: probabilities of the data's units, and the chain.

        chain  patterns (N, units of the layer below the top) to start from: random ones, or data brought up there
        """
        if steps < 1:
            raise DataError(f"DeepBeliefNet.generate: steps is {steps}; at least one step of Gibbs sampling is needed.")
        *lower, top = self.rbms
        with tgc.no_grad():
            chain = below = top.gibbs(chain, steps - 1)
            below = top.visible_probability(top.sample(top.hidden_probability(chain)))
            chain = top.sample(below)
            drawn = chain
            for rbm in reversed(lower):
                below = rbm.visible_probability(drawn)
                drawn = rbm.sample(below)
        return below, chain
