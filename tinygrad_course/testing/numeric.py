"""Derivatives by finite differences.

    central difference    J[j, i] = (f_j(x + h e_i) - f_j(x - h e_i)) / 2h     error ~ h^2 f^(3) / 6  +  round-off / h
    extrapolation         C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering
                          Software 4 (1982) 75-76
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_course.testing.probe import Array, Probe


def numeric_jacobian(probe: Probe, point: Sequence[Array], arg: int, eps: float) -> list[Array]:
    """d outputs[k] / d point[arg] by central differences: one matrix (size of output k, size of the argument) each.

    The divisor is the step that was really taken: near 1e8 a float64 cannot hold 1e8 + 1e-6, and dividing by the step
    asked for would be off by percents.  A column is NaN where the step vanishes in the argument's precision.
    """
    x = point[arg]
    jacobians = [np.zeros((int(np.prod(shape)), x.size)) for shape in probe.out_shapes]
    for i in range(x.size):
        high, low = (probe.shifted(point, arg, i, step) for step in (eps, -eps))
        at = np.unravel_index(i, x.shape)
        taken = float(high[arg][at]) - float(low[arg][at])
        for jacobian, up, down in zip(jacobians, probe.values(high), probe.values(low), strict=True):
            jacobian[:, i] = (up - down) / taken if taken else np.nan
    return jacobians


def ridders(f: Callable[[float], float], h: float, rows: int = 8) -> tuple[float, float]:
    """Derivative of f at 0 and its error estimate: central differences of steps h, h/1.4, ... extrapolated to 0."""
    shrink = 1.4
    table = np.full((rows, rows), np.nan)
    best, error = np.nan, np.inf
    for r in range(rows):
        step = h / shrink**r
        table[r, 0] = (f(step) - f(-step)) / (2 * step)
        factor = 1.0
        for c in range(1, r + 1):
            factor *= shrink * shrink
            table[r, c] = (factor * table[r, c - 1] - table[r - 1, c - 1]) / (factor - 1)
            spread = max(abs(table[r, c] - table[r, c - 1]), abs(table[r, c] - table[r - 1, c - 1]))
            if spread <= error:
                best, error = float(table[r, c]), float(spread)
        if r and abs(table[r, r] - table[r - 1, r - 1]) >= 2 * error:
            break  # round-off has taken over
    return best, error
