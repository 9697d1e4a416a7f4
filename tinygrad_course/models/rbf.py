"""Radial basis function networks: hidden units that answer to places, not to directions.

A hidden unit has a centre c_j in input space and a width sigma_j; it is active near its centre.  The read-out is linear:

    phi_j(x) = exp(-|x - c_j|^2 / (2 sigma_j^2)),    y(x) = W phi(x) + b

Two ways to train it.  In two stages: the centres by k-means, without targets; the widths from the distances between centres;
the read-out by least squares, which has one best solution and needs no steps.  Or end to end: everything by gradient, which
moves the centres to where the targets need them.  With a centre on each of N distinct points the least-squares read-out goes
through all N targets: interpolation.

D. Broomhead, D. Lowe, "Multivariable functional interpolation and adaptive networks", Complex Systems 2, 321-355 (1988);
J. Moody, C. Darken, "Fast learning in networks of locally-tuned processing units", Neural Computation 1, 281-294 (1989);
D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007, 1027-1035.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from tinygrad_course import nn
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.ops.creation import tensor
from tinygrad_course.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Clusters:
    """What k-means found.

    centres   (K, D)
    nearest   (N,): the centre of each point
    errors    sum of the squared distances to the nearest centre, in each round; they never rise
    """

    centres: np.ndarray
    nearest: np.ndarray
    errors: np.ndarray


class RBFNetwork(nn.Module):
    """x (N, D) -> y (N, out_features), with K Gaussian units.

    centres   (K, D)
    widths    (K,), or one for all; kept as logarithms, so that they stay positive while they are trained
    """

    def __init__(self, centres: np.ndarray, widths: np.ndarray | float, out_features: int) -> None:
        super().__init__()
        centres = np.asarray(centres)
        if centres.ndim != 2 or not centres.size:
            raise ShapeError(f"RBFNetwork: centres have the shape {centres.shape}, needed is (K, D), K centres.")
        widths = np.broadcast_to(np.asarray(widths, dtype=np.float64), len(centres))
        if not (widths > 0).all():
            raise DataError(f"RBFNetwork: the smallest width is {widths.min():g}; widths must be positive. Are there equal "
                            "centres?")
        self.centres = nn.Parameter(tensor(centres.astype(np.float32)))
        self.log_widths = nn.Parameter(tensor(np.log(widths).astype(np.float32)))
        self.linear = nn.Linear(len(centres), out_features)

    @property
    def widths(self) -> Tensor:
        """sigma_j, (K,)."""
        return self.log_widths.exp()

    def activity(self, x: Tensor) -> Tensor:
        """phi_j(x):  (N, D) -> (N, K)."""
        if x.ndim != 2 or x.shape[1] != self.centres.shape[1]:
            raise ShapeError(f"RBFNetwork: inputs have the shape {tuple(x.shape)}, needed is (N, {self.centres.shape[1]}).")
        c = self.centres
        squared = (x * x).sum(1, keepdim=True) - 2 * (x @ c.t()) + (c * c).sum(1)  # |x - c|^2, without an array (N, K, D)
        return (-0.5 * squared * (-2 * self.log_widths).exp()).exp()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.activity(x))

    def fit_read_out(self, x: np.ndarray, y: np.ndarray) -> None:
        """Set W and b to the least squares of |W phi(x) + b - y|^2; of several solutions, the one with the smallest weights.

        x, y   points (N, D) and targets (N, out_features)
        """
        dtype = self.linear.weight.detach().numpy().dtype
        with no_grad():
            phi = self.activity(tensor(np.asarray(x, dtype=dtype))).numpy().astype(np.float64)
            design = np.concatenate([phi, np.ones((len(phi), 1))], axis=1)      # (N, K + 1)
            if np.shape(y) != (len(x), self.linear.out_features):
                raise ShapeError(f"RBFNetwork.fit_read_out: targets have the shape {np.shape(y)}, needed is "
                                 f"({len(x)}, {self.linear.out_features}).")
            solution = np.linalg.lstsq(design, np.asarray(y, dtype=np.float64), rcond=None)[0]  # (K + 1, out)
            self.linear.weight.copy_(tensor(solution[:-1].T.astype(dtype)))
            cast(Tensor, self.linear.bias).copy_(tensor(solution[-1].astype(dtype)))


def k_means(x: np.ndarray, k: int, rng: np.random.Generator, max_rounds: int = 100) -> Clusters:
    """Lloyd's algorithm from k-means++ seeds: each point to its nearest centre, each centre to the mean of its points.

    The first seed is any point; each next one a point drawn with a probability in proportion to its squared distance from
    the seeds so far.  A centre that has lost all its points goes to the point that is farthest from its own.
    Stops when no point changes its centre, or after max_rounds.
    Raises ShapeError for other shapes than (N, D), DataError if k is not from 1 to the number of distinct points.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2:
        raise ShapeError(f"k_means: points have the shape {x.shape}, needed is (N, D).")
    distinct = len(np.unique(x, axis=0))
    if not 1 <= k <= distinct:
        raise DataError(f"k_means: k={k}, but there are {distinct} distinct points. Give k from 1 to {distinct}.")
    seeds = [int(rng.integers(len(x)))]
    squared = ((x - x[seeds[0]]) ** 2).sum(axis=1)  # from the nearest seed
    while len(seeds) < k:
        seeds.append(int(rng.choice(len(x), p=squared / squared.sum())))
        squared = np.minimum(squared, ((x - x[seeds[-1]]) ** 2).sum(axis=1))
    centres = x[seeds]
    nearest, errors = np.full(len(x), -1), []
    for _ in range(max_rounds):
        squared = squared_distances(x, centres)                                 # (N, K)
        before, nearest = nearest, squared.argmin(axis=1)
        own = squared[np.arange(len(x)), nearest]
        errors.append(own.sum())
        if (nearest == before).all():
            break
        counts = np.bincount(nearest, minlength=k)
        is_member = (nearest == np.arange(k)[:, None]).astype(np.float64)        # (K, N)
        centres = is_member @ x / np.maximum(counts, 1)[:, None]
        for empty, farthest in zip(np.flatnonzero(counts == 0), np.argsort(-own), strict=False):
            centres[empty] = x[farthest]
    return Clusters(centres, nearest, np.array(errors))


def squared_distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """|x_i - c_j|^2:  (N, D), (K, D) -> (N, K)."""
    squared = (x * x).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres * centres).sum(axis=1)
    return np.maximum(squared, 0)


def neighbour_widths(centres: np.ndarray, neighbours: int = 2) -> np.ndarray:
    """Of each centre the root of the mean squared distance to its nearest `neighbours` others, (K,).

    Moody and Darken (1989), "P nearest neighbours": the units overlap, so that the sum of all is smooth between them.
    Raises DataError if there are no so many other centres.
    """
    centres = np.asarray(centres, dtype=np.float64)
    if not 1 <= neighbours < len(centres):
        raise DataError(f"neighbour_widths: {len(centres)} centres have no {neighbours} neighbours each. Give from 1 to "
                        f"{len(centres) - 1}, or set one width by hand.")
    squared = squared_distances(centres, centres)
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(np.sort(squared, axis=1)[:, :neighbours].mean(axis=1))


def two_stage(x: np.ndarray, y: np.ndarray, k: int, rng: np.random.Generator, neighbours: int = 2,
              width_scale: float = 1.0) -> RBFNetwork:
    """A network trained in two stages: k-means centres, `width_scale` times the neighbour widths, least-squares read-out."""
    centres = k_means(x, k, rng).centres
    net = RBFNetwork(centres, width_scale * neighbour_widths(centres, neighbours), np.shape(y)[1])
    net.fit_read_out(x, y)
    return net
