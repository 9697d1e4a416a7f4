"""Optimiser steps over a list of parameters in NumPy, in place.

Formulas and the order of operations are those of PyTorch's single-tensor optimisers, so that training runs can be
compared step by step.  All lists have one entry per parameter; the arrays of one parameter have one shape and dtype.
Everywhere

    g <- (-g if maximize) + weight_decay * p

comes first, and `step` is t, the number of this update, from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("sgd_step", "adam_step", "adamax_step", "nadam_step", "radam_step", "adagrad_step", "adadelta_step",
           "rmsprop_step", "rprop_step", "asgd_step", "quickprop_step")

Array = NDArray[Any]


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momenta: Sequence[Array | None],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> list[Array | None]:
    """One step of stochastic gradient descent; changes `params` and `momenta` and returns the momentum arrays.

        m <- momentum * m + (1 - dampening) * g          (first step, entry None: m <- g, a new array)
        p <- p - lr * (g + momentum * m if nesterov else m)

    Without momentum: p <- p - lr * g, and `momenta` is returned as it is.
    Nesterov's form: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """
    new_momenta = list(momenta)
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        g = _slope(p, g, weight_decay, maximize)
        if momentum:
            m = new_momenta[i]
            if m is None:
                new_momenta[i] = m = np.array(g, like=p)  # not g.copy(): -g of a 0-d array is a scalar
            else:
                m *= momentum
                m += (1 - dampening) * g
            g = g + momentum * m if nesterov else m
        p -= lr * g
    return new_momenta


def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    maximize: bool,
    decoupled: bool,
) -> None:
    """One step of Adam; changes params, exp_avgs, exp_avg_sqs (and max_exp_avg_sqs, which may be empty otherwise).

        decoupled (AdamW): p <- p * (1 - lr * weight_decay) instead of weight_decay * p in g
        m <- m + (1 - beta1) * (g - m)
        v <- beta2 * v + (1 - beta2) * g * g
        p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    With `amsgrad` the largest v so far stands in the last line.
    Kingma and Ba 2015, "Adam", algorithm 1; Loshchilov and Hutter 2019 (AdamW); Reddi et al. 2018 (AMSGrad).
    """
    step_size = lr / (1 - beta1**step)
    root_correction = math.sqrt(1 - beta2**step)
    for i, (p, g, m, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        g = _decayed(p, g, lr, weight_decay, maximize, decoupled)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        largest = v
        if amsgrad:
            largest = np.maximum(max_exp_avg_sqs[i], v, out=max_exp_avg_sqs[i])
        p -= step_size * (m / (np.sqrt(largest) / root_correction + eps))


def adamax_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_infs: Sequence[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adamax, Adam with the largest instead of the mean square; changes params, exp_avgs, exp_infs.

        m <- m + (1 - beta1) * (g - m)
        u <- max(beta2 * u, |g| + eps)
        p <- p - lr / (1 - beta1^t) * m / u

    Kingma and Ba 2015, "Adam", algorithm 2.
    """
    step_size = lr / (1 - beta1**step)
    for p, g, m, u in zip(params, grads, exp_avgs, exp_infs, strict=True):
        g = _slope(p, g, weight_decay, maximize)
        m += (1 - beta1) * (g - m)
        u *= beta2
        np.maximum(u, abs(g) + eps, out=u)
        p -= step_size * (m / u)


def nadam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    mu: float,
    mu_next: float,
    mu_product: float,
    maximize: bool,
    decoupled: bool,
) -> None:
    """One step of NAdam, Adam with Nesterov's momentum; changes params, exp_avgs, exp_avg_sqs.

        m, v as Adam's
        d <- (1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * m
        p <- p - lr * d / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    mu is the momentum of this step, mu_next that of the next, mu_product the product of all so far.  `decoupled` as in
    Adam.  Dozat 2016, "Incorporating Nesterov momentum into Adam".
    """
    root_correction = math.sqrt(1 - beta2**step)
    g_size, m_size = lr * (1 - mu) / (1 - mu_product), lr * mu_next / (1 - mu_product * mu_next)
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        g = _decayed(p, g, lr, weight_decay, maximize, decoupled)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        p -= (g_size * g + m_size * m) / (np.sqrt(v) / root_correction + eps)


def radam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    decoupled: bool,
) -> None:
    """One step of RAdam, Adam whose first steps do not trust v; changes params, exp_avgs, exp_avg_sqs.

        m, v as Adam's;  m^ = m / (1 - beta1^t)
        rho_inf = 2 / (1 - beta2) - 1;  rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
        rho > 5:   p <- p - lr * m^ * r * sqrt(1 - beta2^t) / (sqrt(v) + eps)
                   r^2 = (rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)
        else:      p <- p - lr * m^

    `decoupled` as in Adam.  Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", algorithm 2.
    """
    step_size = lr / (1 - beta1**step)
    bias, rho_inf = 1 - beta2**step, 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * beta2**step / bias
    if rho > 5:
        step_size *= math.sqrt(bias * (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        g = _decayed(p, g, lr, weight_decay, maximize, decoupled)
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        p -= step_size * (m / (np.sqrt(v) + eps) if rho > 5 else m)


def adagrad_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    sums: Sequence[Array],
    lr: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adagrad; changes params and sums.

        s <- s + g * g
        p <- p - lr * g / (sqrt(s) + eps)

    Duchi, Hazan and Singer 2011, "Adaptive subgradient methods", JMLR 12, figure 1 (diagonal).
    """
    for p, g, s in zip(params, grads, sums, strict=True):
        g = _slope(p, g, weight_decay, maximize)
        s += g * g
        p -= lr * (g / (np.sqrt(s) + eps))


def adadelta_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    acc_deltas: Sequence[Array],
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adadelta; changes params, square_avgs, acc_deltas.

        v <- rho * v + (1 - rho) * g * g
        d <- sqrt(u + eps) / sqrt(v + eps) * g
        u <- rho * u + (1 - rho) * d * d
        p <- p - lr * d

    Zeiler 2012, arXiv:1212.5701, algorithm 1.
    """
    for p, g, v, u in zip(params, grads, square_avgs, acc_deltas, strict=True):
        g = _slope(p, g, weight_decay, maximize)
        v *= rho
        v += (1 - rho) * g * g
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u *= rho
        u += (1 - rho) * d * d
        p -= lr * d


def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array],
    momenta: Sequence[Array],
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> None:
    """One step of RMSprop; changes params, square_avgs, and where they are in use grad_avgs and momenta.

        v <- alpha * v + (1 - alpha) * g * g
        a <- a + (1 - alpha) * (g - a)                   centered; the variance max(v - a * a, 0) then stands for v
        d <- g / (sqrt(v) + eps)
        b <- momentum * b + d                            with momentum; b then stands for d
        p <- p - lr * d

    Tieleman and Hinton 2012, COURSERA lecture 6.5; centered: Graves 2013, arXiv:1308.0850, equations 38 to 41.
    PyTorch takes the root of v - a * a as it is, which is NaN where rounding makes it negative.
    """
    for i, (p, g, v) in enumerate(zip(params, grads, square_avgs, strict=True)):
        g = _slope(p, g, weight_decay, maximize)
        v *= alpha
        v += (1 - alpha) * g * g
        spread = v
        if centered:
            a = grad_avgs[i]
            a += (1 - alpha) * (g - a)
            spread = np.maximum(v - a * a, 0)
        d = g / (np.sqrt(spread) + eps)
        if momentum:
            b = momenta[i]
            b *= momentum
            b += d
            d = b
        p -= lr * d


def rprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    etaminus: float,
    etaplus: float,
    smallest: float,
    largest: float,
    maximize: bool,
) -> None:
    """One step of Rprop; changes params, prevs (the gradients of the step before) and step_sizes.

        g * prev > 0:   s <- min(s * etaplus, largest)
        g * prev < 0:   s <- max(s * etaminus, smallest);  g <- 0
        p <- p - sign(g) * s;  prev <- g

    Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", in the
    form without backtracking (iRprop-, Igel and Huesken 2003, algorithm 4).
    """
    for p, g, prev, s in zip(params, grads, prevs, step_sizes, strict=True):
        g = -g if maximize else g
        agreement = np.sign(g * prev)
        s *= np.where(agreement > 0, etaplus, np.where(agreement < 0, etaminus, 1)).astype(p.dtype)
        s[...] = np.minimum(np.maximum(s, smallest), largest)
        prev[...] = np.where(agreement < 0, 0, g)
        p -= np.sign(prev) * s


def asgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    averages: Sequence[Array],
    eta: float,
    mu: float,
    lambd: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of averaged SGD; changes params and averages.

        p <- (1 - lambd * eta) * p - eta * g
        a <- a + mu * (p - a)                            mu = 1: a <- p

    Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """
    for p, g, a in zip(params, grads, averages, strict=True):
        g = _slope(p, g, weight_decay, maximize)
        p *= 1 - lambd * eta
        p -= eta * g
        if mu == 1:
            a[...] = p
        else:
            a += mu * (p - a)


def quickprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    deltas: Sequence[Array],
    lr: float,
    growth: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Quickprop; changes params, prevs (the gradients of the step before) and deltas (the last changes).

    A parabola through the last two slopes has its minimum at

        d' = d * g / (prev - g)

    from here.  Steps that are uphill or over `growth` times the last one are cut to growth * d; those are the steps where
    g, measured along d, is below growth / (1 + growth) * prev.  While the slope keeps its sign -lr * g is added, and where
    d is 0 it is all there is.

        p <- p + d';  d <- d';  prev <- g

    Fahlman 1988, "An empirical study of learning speed in back-propagation networks", CMU-CS-88-162.
    """
    shrink = growth / (1 + growth)
    for p, g, prev, d in zip(params, grads, prevs, deltas, strict=True):
        g = _slope(p, g, weight_decay, maximize)
        along, before = g * np.sign(d), prev * np.sign(d)    # < 0 is downhill along the last change
        too_far = along < shrink * before
        gap = np.where(too_far | (d == 0), 1, prev - g)      # not 0 where it is used: along >= shrink * before > before
        secant = np.where(too_far, growth * d, d * (g / gap))
        d[...] = secant - np.where((along < 0) | (d == 0), lr * g, 0)
        p += d
        prev[...] = g


def _slope(p: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """The gradient of what is minimised."""
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay else g


def _decayed(p: Array, g: Array, lr: float, weight_decay: float, maximize: bool, decoupled: bool) -> Array:
    """The same, or with `decoupled` the gradient as it is and a smaller p."""
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
        weight_decay = 0
    return _slope(p, g, weight_decay, maximize)
