"""Optimiser steps over a list of parameters in NumPy, in place.

Formulas and the order of operations are those of PyTorch's single-tensor SGD and Adam, so that training runs can be
compared step by step.  All lists have one entry per parameter; the arrays of one parameter have one shape and dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERNELS = ("sgd_step", "adam_step")

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

        g <- (-g if maximize) + weight_decay * p
        m <- momentum * m + (1 - dampening) * g          (first step, entry None: m <- g, a new array)
        p <- p - lr * (g + momentum * m if nesterov else m)

    Without momentum: p <- p - lr * g, and `momenta` is returned as it is.
    Nesterov's form: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """
    new_momenta = list(momenta)
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        g = -g if maximize else g
        if weight_decay:
            g = g + weight_decay * p
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

        g <- (-g if maximize) + weight_decay * p         decoupled (AdamW): p <- p * (1 - lr * weight_decay) instead
        m <- m + (1 - beta1) * (g - m)
        v <- beta2 * v + (1 - beta2) * g * g
        p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    `step` is t, the number of this update, from 1.  With `amsgrad` the largest v so far stands in the last line.
    Kingma and Ba 2015, "Adam", algorithm 1; Loshchilov and Hutter 2019 (AdamW); Reddi et al. 2018 (AMSGrad).
    """
    step_size = lr / (1 - beta1**step)
    root_correction = math.sqrt(1 - beta2**step)
    for i, (p, g, m, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        g = -g if maximize else g
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        largest = v
        if amsgrad:
            largest = np.maximum(max_exp_avg_sqs[i], v, out=max_exp_avg_sqs[i])
        p -= step_size * (m / (np.sqrt(largest) / root_correction + eps))
