"""The equations of the papers, in NumPy: what each optimiser remembers, and one step of it.

Every function takes the point p (n,) and g, a function that gives the gradient there, and yields the points that it visits,
the start first.  Products, roots and quotients are element by element.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]
Path = Iterator[np.ndarray]


def sgd(p: np.ndarray, g: Gradient, lr: float) -> Path:
    """p = p - lr g.  A. Cauchy (1847); with noise H. Robbins, S. Monro (1951)."""
    while True:
        yield p
        p = p - lr * g(p)


def momentum(p: np.ndarray, g: Gradient, lr: float, mu: float) -> Path:
    """v = mu v - lr g,  p = p + v.  B. Polyak (1964), the heavy ball."""
    v = np.zeros_like(p)
    while True:
        yield p
        v = mu * v - lr * g(p)
        p = p + v


def nesterov(x: np.ndarray, g: Gradient, lr: float, mu: float) -> Path:
    """v = mu v - lr g(x + mu v),  x = x + v; what is yielded is x + mu v, where the gradient is taken.

    Y. Nesterov (1983), as in I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
    2013, equations 3 and 4.  Libraries keep x + mu v as their parameters, so that nobody has to look ahead.
    """
    v = np.zeros_like(x)
    while True:
        yield x + mu * v
        v = mu * v - lr * g(x + mu * v)
        x = x + v


def adagrad(p: np.ndarray, g: Gradient, lr: float, eps: float = 1e-10) -> Path:
    """s = s + g^2,  p = p - lr g / (sqrt(s) + eps).  J. Duchi et al., JMLR 12 (2011), figure 1."""
    s = np.zeros_like(p)
    while True:
        yield p
        d = g(p)
        s = s + d**2
        p = p - lr * d / (np.sqrt(s) + eps)


def adadelta(p: np.ndarray, g: Gradient, rho: float = 0.9, eps: float = 1e-6) -> Path:
    """d = RMS(d before) / RMS(g) g,  p = p - d, with RMS(a) = sqrt(E[a^2] + eps).

    M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, algorithm 1.
    """
    squared_g, squared_d = np.zeros_like(p), np.zeros_like(p)
    while True:
        yield p
        d = g(p)
        squared_g = rho * squared_g + (1 - rho) * d**2
        d = np.sqrt(squared_d + eps) / np.sqrt(squared_g + eps) * d
        squared_d = rho * squared_d + (1 - rho) * d**2
        p = p - d


def rmsprop(p: np.ndarray, g: Gradient, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> Path:
    """v = alpha v + (1 - alpha) g^2,  p = p - lr g / (sqrt(v) + eps).  T. Tieleman, G. Hinton, lecture 6.5 (2012)."""
    v = np.zeros_like(p)
    while True:
        yield p
        d = g(p)
        v = alpha * v + (1 - alpha) * d**2
        p = p - lr * d / (np.sqrt(v) + eps)


def adam(p: np.ndarray, g: Gradient, lr: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
         decay: float = 0.0) -> Path:
    """D. Kingma, J. Ba, ICLR 2015, algorithm 1; decay > 0: AdamW, I. Loshchilov, F. Hutter, ICLR 2019, algorithm 2."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in itertools.count(1):
        yield p
        d = g(p)
        m = b1 * m + (1 - b1) * d
        v = b2 * v + (1 - b2) * d**2
        p = p - lr * decay * p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def quickprop(p: np.ndarray, g: Gradient, lr: float, mu: float = 1.75) -> Path:
    """S. Fahlman, CMU-CS-88-162 (1988), section 3.4: each number by itself, and his three rules as he tells them."""
    d, before = np.zeros_like(p), np.zeros_like(p)
    while True:
        yield p
        slope = g(p)
        for i in range(len(p)):
            step = 0.0
            if d[i] != 0:
                share = slope[i] / (before[i] - slope[i]) if before[i] != slope[i] else np.inf  # to the parabola's minimum
                step = d[i] * (share if share <= mu and (before[i] - slope[i]) * d[i] < 0 else mu)
            if slope[i] * before[i] > 0 or d[i] == 0:
                step -= lr * slope[i]
            d[i] = step
        before = slope
        p = p + d


def newton(p: np.ndarray, g: Gradient, hessian: Callable[[np.ndarray], np.ndarray]) -> Path:
    """p = p - H^-1 g.  J. Nocedal, S. Wright, "Numerical Optimization" (2006), equation 2.15."""
    while True:
        yield p
        p = p - np.linalg.solve(hessian(p), g(p))


def diagonal_newton(p: np.ndarray, g: Gradient, hessian: Callable[[np.ndarray], np.ndarray], lr: float,
                    damping: float) -> Path:
    """p_i = p_i - lr g_i / (|h_ii| + damping).  S. Becker, Y. LeCun (1988), equation 12."""
    while True:
        yield p
        p = p - lr * g(p) / (np.abs(np.diag(hessian(p))) + damping)


def points(path: Path, steps: int) -> np.ndarray:
    """The first steps + 1 points of a path, (steps + 1, n)."""
    return np.array(list(itertools.islice(path, steps + 1)))
