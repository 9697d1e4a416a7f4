"""What one threshold unit can compute: linear separability, decided exactly.

Patterns with targets 0 and 1 are linearly separable if weights exist with w_0 + w . x > 0 for targets 1 and < 0 for
targets 0.  If none exist there is a proof of that as well: a point that lies in the convex hull of both classes (the
theorem of the alternative of P. Gordan, 1873).  `separate` finds one or the other, in integers, so that both can be
checked by hand.  For XOR the point is (1/2, 1/2): halfway between (0, 0) and (1, 1), and between (0, 1) and (1, 0).

M. Minsky, S. Papert, "Perceptrons", MIT Press (1969); S. Muroga, "Threshold Logic and Its Applications", Wiley (1971),
for the number of separable Boolean functions of n inputs: 4, 14, 104, 1,882, 94,572, ...
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np

from tinygrad_course.errors import DataError, ShapeError

MAX_INPUTS = 4  # of the functions listed at once: with 5 inputs there are 4,294,967,296


@dataclass(frozen=True)
class Separation:
    """Exactly one of the two is there, with whole numbers without a common divisor.

    weights      (w_0, w_1, ..., w_n): w_0 + w . x > 0 for each pattern with target 1, < 0 for each with target 0
    multipliers  one per pattern, not negative, not all 0: weighted with them, the patterns of target 1 have the same sum
                 and the same count as those of target 0, which is the point in both convex hulls
    """

    weights: tuple[int, ...] | None = None
    multipliers: tuple[int, ...] | None = None

    @property
    def separable(self) -> bool:
        """Whether a line (a plane) has the classes on its two sides."""
        return self.weights is not None


def separate(x: np.ndarray, t: np.ndarray) -> Separation:
    """Decide whether patterns (N, n) with targets 0 or 1, (N,), are linearly separable, with the proof.

    With a_p = +(1, x_p) for target 1 and -(1, x_p) for target 0 the question is whether some w has w . a_p > 0 for all p.
    Its alternative, sum_p m_p a_p = 0 with m >= 0 and sum_p m_p = 1, is a linear programme: minimise the violation of
    these n + 2 equations.  The simplex method solves it in fractions, so nothing is rounded; R. Bland's choice of pivots
    (Mathematics of Operations Research 2, 1977) cannot cycle, so it ends.  Violation 0 gives m, otherwise the dual
    variables give w.
    Raises ShapeError for shapes that do not fit, DataError for other targets or inputs that are not finite.
    """
    x, t = np.asarray(x), np.asarray(t)
    if x.ndim != 2 or t.shape != x.shape[:1] or not x.size:
        raise ShapeError(f"separate: patterns have the shape {x.shape} and targets {t.shape}, needed are (N, n) and (N,).")
    if not np.isin(t, (0, 1)).all():
        raise DataError(f"separate: targets are {np.unique(t)[:5].tolist()}, needed are 0 and 1.")
    if not np.isfinite(x).all():
        raise DataError("separate: an input is infinite or NaN. Remove such patterns.")
    count, equations = len(x), x.shape[1] + 2
    # Columns: the multipliers, one slack per equation, the right-hand side.  Last row: reduced costs, minus the violation.
    table = np.full((equations + 1, count + equations + 1), Fraction(0), dtype=object)
    for p, (pattern, target) in enumerate(zip(x.tolist(), t.tolist(), strict=True)):
        sign = 1 if target else -1
        table[:-1, p] = [Fraction(sign), *(sign * Fraction(value) for value in pattern), Fraction(1)]
    table[range(equations), range(count, count + equations)] = Fraction(1)
    table[equations - 1, -1] = Fraction(1)
    table[-1] = -table[:-1].sum(axis=0)
    table[-1, count:-1] = Fraction(0)
    basis = list(range(count, count + equations))
    while True:
        entering = next((p for p in range(count) if table[-1, p] < 0), None)
        if entering is None:
            break
        _, _, row = min((table[r, -1] / table[r, entering], basis[r], r) for r in range(equations) if table[r, entering] > 0)
        table[row] /= table[row, entering]
        for other in range(equations + 1):
            if other != row and table[other, entering] != 0:
                table[other] -= table[other, entering] * table[row]
        basis[row] = entering
    if table[-1, -1] == 0:
        multipliers = [Fraction(0)] * count
        for variable, value in zip(basis, table[:-1, -1], strict=True):
            if variable < count:
                multipliers[variable] = value
        return Separation(multipliers=_whole(multipliers))
    # The dual variable of an equation is 1 - the reduced cost of its slack; w is minus those of the first n + 1.
    return Separation(weights=_whole([cost - 1 for cost in table[-1, count:count + equations - 1]]))


def _whole(values: list[Fraction]) -> tuple[int, ...]:
    """The same ratios in whole numbers without a common divisor."""
    scale = math.lcm(*(value.denominator for value in values))
    numbers = [int(value * scale) for value in values]
    divisor = math.gcd(*numbers)
    return tuple(number // divisor for number in numbers)


def truth_table(n: int) -> np.ndarray:
    """All inputs of a Boolean function of n inputs, int64 (2^n, n), counting up: 00, 01, 10, 11."""
    if n < 1:
        raise DataError(f"truth_table: {n} inputs; give at least 1.")
    return np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1) & 1


def boolean_function(number: int, n: int) -> np.ndarray:
    """Outputs int64 (2^n,) of one of the 2^(2^n) Boolean functions: bit p of its number is the output of row p of
    `truth_table(n)`.  XOR is number 6 of n = 2, AND 8, OR 14."""
    if not 0 <= number < 2 ** 2**n:
        raise DataError(f"boolean_function: there is no function {number} of {n} inputs; they are 0 to {2 ** 2**n - 1:,}.")
    return np.array([number >> p & 1 for p in range(2**n)])


def separable_functions(n: int) -> np.ndarray:
    """Which of the 2^(2^n) Boolean functions of n inputs are linearly separable: bool, by number.  n is 1 to 4.

    Lists what a unit with whole weights from -(n - 1) to n - 1 (at least 1) computes, with every threshold.  So small
    weights suffice for n <= 4 (Muroga, 1971): all other functions are `same_midpoint`.
    """
    _check_inputs(n, "separable_functions")
    largest = max(n - 1, 1)
    weights = np.stack(np.meshgrid(*[np.arange(-largest, largest + 1)] * n), axis=-1).reshape(-1, n)
    sums = weights @ truth_table(n).T                 # (weights, rows of the table)
    found = np.zeros(2 ** 2**n, dtype=bool)
    for threshold in range(int(sums.min()), int(sums.max()) + 2):
        found[(sums >= threshold) @ (1 << np.arange(2**n))] = True
    return found


def same_midpoint(n: int) -> np.ndarray:
    """Which Boolean functions of n inputs have two inputs with output 1 and two with output 0 that share their midpoint.

    bool, by number.  n is 1 to 4.  None of them is separable, for the unit's net input at the midpoint would have to be
    both positive and negative.
    """
    _check_inputs(n, "same_midpoint")
    table = truth_table(n)
    by_sum: dict[bytes, list[int]] = {}               # pairs of rows, as bits, by the sum of the two inputs
    for a, b in combinations_with_replacement(range(2**n), 2):
        by_sum.setdefault((table[a] + table[b]).tobytes(), []).append(1 << a | 1 << b)
    numbers = np.arange(2 ** 2**n)
    found = np.zeros(2 ** 2**n, dtype=bool)
    for pairs in by_sum.values():
        for ones in pairs:
            for zeros in pairs:
                if ones != zeros:
                    found |= (numbers & ones == ones) & (numbers & zeros == 0)
    return found


def _check_inputs(n: int, caller: str) -> None:
    if not 1 <= n <= MAX_INPUTS:
        raise DataError(f"{caller}: {n} inputs; it lists all functions of 1 to {MAX_INPUTS}. For a single function call "
                        "separate(truth_table(n), outputs).")
