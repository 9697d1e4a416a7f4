"""Line search for the strong Wolfe conditions.

J. Nocedal, S. Wright, "Numerical Optimization" (2nd edition, 2006), algorithms 3.5 and 3.6 with the cubic interpolation of
equation 3.59; the safeguards are those of M. Schmidt's minFunc, which PyTorch's LBFGS has as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

SUFFICIENT, CURVATURE = 1e-4, 0.9  # c1, c2


class Point(NamedTuple):
    """A point x + t d of the line: loss and gradient there, and the slope, gradient . d."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(evaluate: Callable[[float], Point], start: Point, t: float, longest: float, tolerance: float = 1e-9,
                 max_evaluations: int = 25) -> tuple[Point, int]:
    """A step t that lowers the loss enough and flattens the slope enough, and the number of evaluations:

        f(t) <= f(0) + c1 t f'(0)   and   |f'(t)| <= c2 |f'(0)|

    `start` is the point t = 0, `t` the first step to be tried, `longest` the largest entry of |d|: the search ends where
    an interval is shorter than `tolerance` in every coordinate.  After max_evaluations the best point so far is returned.
    """
    before, now, count = start, evaluate(t), 1
    for iteration in range(max_evaluations):
        # An interval holds such a step when the loss has risen or fell too little, or the slope points up again.
        if _too_high(now, start) or (iteration > 1 and now.loss >= before.loss):
            break
        if _flat(now, start):
            return now, count
        if now.slope >= 0:
            break
        t = _cubic_minimum(before, now, now.t + 0.01 * (now.t - before.t), 10 * now.t)
        before, now, count = now, evaluate(t), count + 1
    else:
        return min(start, now, key=lambda point: point.loss), count
    return _zoom(evaluate, start, [before, now], longest, tolerance, max_evaluations - count + 1, count)


def _zoom(evaluate: Callable[[float], Point], start: Point, ends: list[Point], longest: float, tolerance: float,
          iterations: int, count: int) -> tuple[Point, int]:
    """Shrink the interval between two points that holds a good step; ends[low] is the better one."""
    low = 0 if ends[0].loss <= ends[1].loss else 1
    stuck = False
    for _ in range(iterations):
        left, right = sorted(point.t for point in ends)
        if (right - left) * longest < tolerance:
            break
        t = _cubic_minimum(ends[0], ends[1], left, right)
        # Twice in a row close to an end is no progress: then a tenth of the interval away from it.
        margin = 0.1 * (right - left)
        close = min(right - t, t - left) < margin
        if close and (stuck or not left < t < right):
            t = right - margin if right - t < t - left else left + margin
            close = False
        stuck = close
        now, count = evaluate(t), count + 1
        high = 1 - low
        if _too_high(now, start) or now.loss >= ends[low].loss:
            ends[high] = now
            low = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if _flat(now, start):
            return now, count
        if now.slope * (ends[high].t - ends[low].t) >= 0:
            ends[high] = ends[low]
        ends[low] = now
    return ends[low], count


def _too_high(point: Point, start: Point) -> bool:
    return point.loss > start.loss + SUFFICIENT * point.t * start.slope


def _flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -CURVATURE * start.slope


def _cubic_minimum(a: Point, b: Point, lowest: float, highest: float) -> float:
    """Where the cubic through two losses and slopes has its minimum, within bounds; their middle if it has none."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t) if a.t != b.t else math.nan
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (lowest + highest) / 2
    d2 = math.sqrt(square)
    denominator = b.slope - a.slope + 2 * d2
    if denominator == 0:
        return (lowest + highest) / 2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / denominator)
    return min(max(t, lowest), highest)
