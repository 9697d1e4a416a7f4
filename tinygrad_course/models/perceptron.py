"""The perceptron and its relatives: one unit, and the rules by which it learns.

A unit weighs its inputs and adds a bias, h = w_0 + w_1 x_1 + ... + w_n x_n, and puts out y = f(h).  With x_0 = 1 in front
of the inputs the bias is a weight like the others, and the threshold that the inputs have to reach is theta = -w_0.

    unit       output y                 learning                  change of the weights for a target t
    threshold  1 if h >= 0, else 0      Rosenblatt's rule         eta (t - y) x
    linear     h                        half the squared error    eta (t - y) x                (delta rule, LMS)
    sigmoid    1 / (1 + exp(-h))        half the squared error    eta (t - y) y (1 - y) x
    logistic   1 / (1 + exp(-h))        cross-entropy             eta (t - y) x
    softmax    exp(h_k) / sum_j exp(h_j)  negative log-likelihood   eta (t_k - y_k) x            for the weights of class k

The first three are plain NumPy, to be read beside a blackboard; the last two are modules trained by the engine.

F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
Psychological Review 65(6), 386-408 (1958); B. Widrow, M. Hoff, "Adaptive switching circuits", IRE WESCON (1960).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

OUTPUTS = ("linear", "sigmoid")


class Perceptron:
    """Threshold unit: 1 if w . x >= theta, else 0.

    weights    (n,), one per input
    threshold  theta; the bias is -theta
    """

    def __init__(self, weights: Sequence[float] | np.ndarray, threshold: float = 0.0) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.threshold = float(threshold)
        if self.weights.ndim != 1 or not self.weights.size:
            raise ShapeError(f"Perceptron: weights have the shape {self.weights.shape}, needed is (n,) with n >= 1: one per "
                             "input.")

    @classmethod
    def from_vector(cls, w: Sequence[float] | np.ndarray) -> Perceptron:
        """From (w_0, w_1, ..., w_n), as the learning rules use it."""
        return cls(w[1:], 0.0 - w[0])  # not -0

    @property
    def vector(self) -> np.ndarray:
        """(w_0, w_1, ..., w_n): the bias -theta, then the weights."""
        return np.concatenate([[-self.threshold], self.weights])

    def net(self, x: np.ndarray) -> np.ndarray:
        """h = w . x - theta:  (..., n) -> (...)."""
        x = np.asarray(x, dtype=np.float64)
        if not x.ndim or x.shape[-1] != len(self.weights):
            raise ShapeError(f"Perceptron: inputs have the shape {x.shape}, needed is (..., {len(self.weights)}): one number "
                             "per weight.")
        return x @ self.weights - self.threshold

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """0 or 1 (int64):  (..., n) -> (...)."""
        return (self.net(x) >= 0).astype(np.int64)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Signed distance to the plane w . x = theta, positive where the unit fires:  h / |w|."""
        return self.net(x) / self._length("distance")

    def decision_line(self) -> np.ndarray:
        """Two points (2, 2) of the line w_1 x_1 + w_2 x_2 = theta: the nearest to the origin, and one a unit further.

        Seen from the first to the second the unit fires on the right-hand side.
        Raises ShapeError for other than 2 inputs, DataError if both weights are 0.
        """
        if len(self.weights) != 2:
            raise ShapeError(f"Perceptron.decision_line: there are {len(self.weights)} inputs; it is a line for 2.")
        length = self._length("decision_line")
        normal = self.weights / length
        foot = normal * self.threshold / length
        return np.array([foot, foot + normal[::-1] * (-1, 1)])

    def _length(self, caller: str) -> float:
        length = float(np.linalg.norm(self.weights))
        if length == 0:
            raise DataError(f"Perceptron.{caller}: all weights are 0, so the output is the same everywhere and there is no "
                            "boundary.")
        return length

    def __repr__(self) -> str:
        return f"Perceptron(weights={self.weights.tolist()}, threshold={self.threshold:g})"


@dataclass(frozen=True, eq=False)
class Learning:
    """What a learning rule did.

    path       (changes + 1, n + 1): the weights (w_0, ..., w_n) at the start and after each change
    errors     (epochs + 1,): before the first epoch and after each.  Rosenblatt's rule: number of wrong patterns;
               delta rule: E = 1/2 sum (t - y)^2
    converged  whether all patterns are right.  The delta rule, which goes on to lessen its error, leaves it None
    """

    path: np.ndarray
    errors: np.ndarray
    converged: bool | None = None

    @property
    def weights(self) -> np.ndarray:
        """(w_0, ..., w_n) in the end."""
        return self.path[-1]

    @property
    def epochs(self) -> int:
        """How often all patterns were presented."""
        return len(self.errors) - 1


def sigmoid(h: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-h)), written with the tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(h, dtype=np.float64)))


def with_bias(x: np.ndarray) -> np.ndarray:
    """x_0 = 1 in front of the inputs: (n,) -> (1, n + 1), (N, n) -> (N, n + 1)."""
    x = np.atleast_2d(np.asarray(x, dtype=np.float64))
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def rosenblatt_step(w: np.ndarray, x: np.ndarray, t: np.ndarray | float, rate: float = 1.0) -> np.ndarray:
    """w + eta sum (t - y) x over the patterns given: one, (n,), or several at once, (N, n).

    A right pattern changes nothing; a wrong one is added to the weights (t = 1) or taken away (t = 0).
    """
    x = with_bias(x)                                  # (N, n + 1)
    y = (x @ w >= 0).astype(np.float64)
    return np.asarray(w, dtype=np.float64) + rate * (np.atleast_1d(t) - y) @ x


def delta_step(w: np.ndarray, x: np.ndarray, t: np.ndarray | float, rate: float, output: str = "linear") -> np.ndarray:
    """One step down the gradient of E = 1/2 sum (t - y)^2 over the patterns given: w + eta sum (t - y) f'(h) x."""
    _check_output(output, "delta_step")
    x = with_bias(x)
    h = x @ w
    y = h if output == "linear" else sigmoid(h)
    slope = 1.0 if output == "linear" else y * (1 - y)
    return np.asarray(w, dtype=np.float64) + rate * ((np.atleast_1d(t) - y) * slope) @ x


def half_squared_error(w: np.ndarray, x: np.ndarray, t: np.ndarray, output: str = "linear") -> float:
    """E = 1/2 sum (t - y)^2 over all patterns."""
    h = with_bias(x) @ w
    return float(0.5 * ((t - (h if output == "linear" else sigmoid(h))) ** 2).sum())


def learn_perceptron(x: np.ndarray, t: np.ndarray, *, start: Sequence[float] | None = None, rate: float = 1.0,
                     batch: bool = False, max_epochs: int = 100, rng: np.random.Generator | None = None) -> Learning:
    """Rosenblatt's rule until all patterns are right, or for max_epochs.

    x, t   patterns (N, n) and their targets 0 or 1, (N,)
    start  (w_0, ..., w_n); zeros without it
    batch  all patterns change the weights together; otherwise one after the other (online), each meeting the weights that
           its predecessors left
    rng    draws the order of the patterns anew in each epoch; without it they come in the order given

    If a line (a plane) separates the two classes, the rule finds one after finitely many changes (Rosenblatt's convergence
    theorem).  If none does, it never stops: after max_epochs the result says converged=False.
    Raises ShapeError for shapes that do not fit, DataError for other targets or a rate or bound that is not positive.
    """
    x, t, w = _patterns(x, t, start, rate, "learn_perceptron")
    if not np.isin(t, (0, 1)).all():
        raise DataError(f"learn_perceptron: targets are {np.unique(t)[:5].tolist()}, needed are 0 and 1. For -1 and 1 give "
                        "(t > 0).")
    _check_positive("learn_perceptron", max_epochs=max_epochs)
    patterns = with_bias(x)

    def wrong() -> int:
        return int(((patterns @ w >= 0) != t).sum())

    path, errors = [w], [wrong()]
    while errors[-1] and len(errors) <= max_epochs:
        for chosen in _groups(len(x), len(x) if batch else 1, rng):
            changed = rosenblatt_step(w, x[chosen], t[chosen], rate)
            if (changed != w).any():
                w = changed
                path.append(w)
        errors.append(wrong())
    return Learning(np.array(path), np.array(errors), errors[-1] == 0)


def learn_delta(x: np.ndarray, t: np.ndarray, *, rate: float, epochs: int, start: Sequence[float] | None = None,
                batch_size: int | None = None, output: str = "linear",
                rng: np.random.Generator | None = None) -> Learning:
    """Gradient learning of E = 1/2 sum (t - y)^2 (least mean squares, delta rule).

    x, t        patterns (N, n) and real targets (N,)
    batch_size  patterns whose gradients are added before a step: None all (batch), 1 online, between them mini-batches
    output      "linear" or "sigmoid"
    rng         draws the order of the patterns anew in each epoch; without it they come in the order given

    The gradient is a sum, as in the course, not a mean: a batch of N takes a step N times as long as the mean would.
    Raises ShapeError for shapes that do not fit; DataError for a rate, a number of epochs or a batch size that is not
    positive, another output, or weights that grow without bound.
    """
    x, t, w = _patterns(x, t, start, rate, "learn_delta")
    _check_output(output, "learn_delta")
    size = len(x) if batch_size is None else batch_size
    _check_positive("learn_delta", epochs=epochs, batch_size=size)
    path, errors = [w], [half_squared_error(w, x, t, output)]
    for epoch in range(epochs):
        for chosen in _groups(len(x), size, rng):
            w = delta_step(w, x[chosen], t[chosen], rate, output)
            path.append(w)
        errors.append(half_squared_error(w, x, t, output))
        if not errors[-1] < 1e30:
            raise DataError(f"learn_delta: the error is {errors[-1]:.2g} after {epoch + 1} epochs: the steps overshoot. Give "
                            f"a smaller rate than {rate:g}.")
    return Learning(np.array(path), np.array(errors))


def _groups(n: int, size: int, rng: np.random.Generator | None) -> list[np.ndarray]:
    """Indices of the patterns, `size` at a time; the last group may be smaller."""
    order = np.arange(n) if rng is None else rng.permutation(n)
    return [order[first:first + size] for first in range(0, n, size)]


def _patterns(x: np.ndarray, t: np.ndarray, start: Sequence[float] | None, rate: float,
              caller: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, t = np.asarray(x, dtype=np.float64), np.asarray(t, dtype=np.float64)
    if x.ndim != 2 or t.shape != x.shape[:1] or not x.size:
        raise ShapeError(f"{caller}: patterns have the shape {x.shape} and targets {t.shape}, needed are (N, n) and (N,).")
    w = np.zeros(x.shape[1] + 1) if start is None else np.array(start, dtype=np.float64)
    if w.shape != (x.shape[1] + 1,):
        raise ShapeError(f"{caller}: start has the shape {w.shape}, needed is ({x.shape[1] + 1},): the bias, and one weight "
                         f"for each of {x.shape[1]} inputs.")
    _check_positive(caller, rate=rate)
    return x, t, w


def _check_positive(caller: str, **values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise DataError(f"{caller}: {name} is {value}; it must be positive.")


def _check_output(output: str, caller: str) -> None:
    if output not in OUTPUTS:
        raise DataError(f"{caller}: output is {output!r}, needed is one of {', '.join(OUTPUTS)}.")


class LogisticUnit(nn.Module):
    """Probability of one class against another, y = 1 / (1 + exp(-h)), trained by cross-entropy.

    E = -sum (t log y + (1 - t) log(1 - y)), and dE/dh = y - t: the slope of the sigmoid, which makes the squared error
    slow where the unit is badly wrong, cancels.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pre-activation h: (N, n) -> (N,)."""
        return self.linear(x).squeeze(-1)

    def probability(self, x: Tensor) -> Tensor:
        """y: (N, n) -> (N,)."""
        return self(x).sigmoid()

    @staticmethod
    def loss(h: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of pre-activations (N,) and targets from 0 to 1, (N,)."""
        return F.binary_cross_entropy_with_logits(h, t, reduction=reduction)


class SoftmaxUnit(nn.Module):
    """Probabilities of K classes, y_k = exp(h_k) / sum_j exp(h_j), trained by the negative log-likelihood -log y_t.

    dE/dh_k = y_k - [k = t].  With K = 2 it is a logistic unit of h_1 - h_0.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Pre-activations h: (N, n) -> (N, K)."""
        return self.linear(x)

    def probability(self, x: Tensor) -> Tensor:
        """y: (N, n) -> (N, K); each row adds up to 1."""
        return self(x).softmax(-1)

    @staticmethod
    def loss(h: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
        """Negative log-likelihood of pre-activations (N, K) and classes (N,)."""
        return F.cross_entropy(h, t, reduction=reduction)
