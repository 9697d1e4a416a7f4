"""Autoencoders: a network that gives back its input through a hidden code, and the denoising one.

    y = s(W x + b)              code
    z = s'(W' y + b')           reconstruction; tied weights: W' = W^T
    E = -sum_i (x_i log z_i + (1 - x_i) log(1 - z_i))     of a sigmoid output, for x from 0 to 1
    E = sum_i (x_i - z_i)^2                               of a linear output

each summed over the values of a pattern and averaged over patterns.  The denoising autoencoder sees x damaged and has to
give back the whole x: to copy is no longer enough, it has to know what belongs together.

Y. Bengio, P. Lamblin, D. Popovici, H. Larochelle, "Greedy layer-wise training of deep networks", NIPS 2006, section 3;
P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol, "Extracting and composing robust features with denoising
autoencoders", ICML 2008, section 2; the same with I. Lajoie, JMLR 11, 3371-3408 (2010), section 3.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import DataError
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.random import Generator
from tinygrad_course.tensor import Tensor

OUTPUTS = ("sigmoid", "linear")
NOISES = ("masking", "gaussian")


class Transposed(nn.Module):
    """The way back through a Linear: y W + c.  The weights are those of `linear`, only the bias c is its own."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._linear = (linear,)  # in a tuple: its parameters are named where they belong
        self.bias = nn.Parameter(tgc.zeros(linear.in_features))

    def forward(self, y: Tensor) -> Tensor:
        """(..., out_features) -> (..., in_features), features of `linear`."""
        return F.linear(y, self._linear[0].weight.T, self.bias)


class Autoencoder(nn.Module):
    """Layers of the given sizes, from the input to the code, and the same way back.

    sizes       (64, 32) has one hidden layer; (64, 100, 2) a code of 2 numbers behind a layer of 100
    activation  makes the nonlinearity behind each layer but the last of the decoder
    output      "sigmoid" for values from 0 to 1, "linear" for any
    tied        the decoder uses the encoder's weights, transposed
    """

    def __init__(self, sizes: Sequence[int], *, activation: Callable[[], nn.Module] = nn.Sigmoid, output: str = "sigmoid",
                 tied: bool = False) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise DataError(f"Autoencoder: sizes are {tuple(sizes)}; at least two are needed, of the input and of the code.")
        if output not in OUTPUTS:
            raise DataError(f"Autoencoder: output is {output!r}, needed is one of {', '.join(OUTPUTS)}.")
        self.output = output
        linears = [nn.Linear(n, m) for n, m in pairwise(sizes)]
        self.encoder = nn.Sequential(*(part for linear in linears for part in (linear, activation())))
        back: list[nn.Module] = []
        for linear in reversed(linears):
            back += [Transposed(linear) if tied else nn.Linear(linear.out_features, linear.in_features), activation()]
        self.decoder = nn.Sequential(*back[:-1])  # the last nonlinearity is that of the output

    def encode(self, x: Tensor) -> Tensor:
        """The code y: (N, sizes[0]) -> (N, sizes[-1])."""
        return self.encoder(x)

    def decode(self, y: Tensor) -> Tensor:
        """The reconstruction z of a code: (N, sizes[-1]) -> (N, sizes[0])."""
        return self._output(self.decoder(y))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction z: (N, sizes[0]) -> (N, sizes[0])."""
        return self.decode(self.encode(x))

    def _output(self, h: Tensor) -> Tensor:
        return h.sigmoid() if self.output == "sigmoid" else h

    def reconstruction_error(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """E of x, or of how well `target` is given back when x is seen; from pre-activations: no log overflows."""
        h, target = self.decoder(self.encode(x)), x if target is None else target
        if self.output == "sigmoid":
            return F.binary_cross_entropy_with_logits(h, target, reduction="sum") / len(x)
        return ((h - target) ** 2).sum() / len(x)

    # ---- as a layer of a stack: see train.pretrain --------------------------------------------------------------------

    def pretraining_loss(self, x: Tensor) -> Tensor:
        """The reconstruction error."""
        return self.reconstruction_error(x)

    def as_encoder(self) -> nn.Sequential:
        """A copy of the encoder, to be trained further."""
        return copy.deepcopy(self.encoder)


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that learns from damaged patterns to give back the whole ones; other arguments as there.

    noise      "masking" sets a share `amount` of the values to 0, "gaussian" adds N(0, amount^2)
    generator  source of the noise; the default generator without it

    Only `pretraining_loss` damages; `encode` and `forward` take patterns as they are.
    """

    def __init__(self, sizes: Sequence[int], *, noise: str = "masking", amount: float = 0.25,
                 activation: Callable[[], nn.Module] = nn.Sigmoid, output: str = "sigmoid", tied: bool = True,
                 generator: Generator | None = None) -> None:
        super().__init__(sizes, activation=activation, output=output, tied=tied)
        if noise not in NOISES:
            raise DataError(f"DenoisingAutoencoder: noise is {noise!r}, needed is one of {', '.join(NOISES)}.")
        if not 0 <= amount <= (1 if noise == "masking" else float("inf")):
            raise DataError(f"DenoisingAutoencoder: amount is {amount}; needed is a share from 0 to 1 for masking, a "
                            "standard deviation of at least 0 for gaussian.")
        self.noise, self.amount, self.generator = noise, amount, generator

    def corrupt(self, x: Tensor) -> Tensor:
        """The damaged pattern: of x's shape, outside the graph."""
        x = x.detach()
        if self.noise == "masking":
            kept = tgc.rand(*x.shape, generator=self.generator, dtype=x.dtype) >= self.amount
            return x * kept.to(x.dtype)
        return x + self.amount * tgc.randn(*x.shape, generator=self.generator, dtype=x.dtype)

    def pretraining_loss(self, x: Tensor) -> Tensor:
        """The error of giving back x when it is seen damaged."""
        return self.reconstruction_error(self.corrupt(x), x)

    def extra_repr(self) -> str:
        return f"noise={self.noise!r}, amount={self.amount}"
