"""What a failed comparison says: op, output, argument, index, both values, the tolerance and the worst entries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinygrad_course.testing.clues import Tolerance
from tinygrad_course.testing.probe import Array, Probe, subscript

_ROWS = 6  # of the table of worst entries, and of the list of other wrong pairs


@dataclass
class Failure:
    """A pair of argument and output (positions in the probe) that was compared entry by entry.

    analytic, numeric, tolerance   matrices (output entries, argument entries): the Jacobian; for `dense` one row, the
                                   gradient for a dense random upstream gradient
    missing                        backward gave None
    shape                          the wrong shape that backward gave; then there are no values
    wrong                          flat indices of the entries out of tolerance, worst first
    """

    arg: int
    out: int
    analytic: Array
    numeric: Array
    tolerance: Array
    dense: bool = False
    missing: bool = False
    shape: tuple[int, ...] | None = None
    excess: Array = field(init=False)
    wrong: list[int] = field(init=False)

    def __post_init__(self) -> None:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            excess = np.abs(self.analytic - self.numeric) / self.tolerance
        self.excess = np.where(np.isnan(excess), np.inf, excess).ravel()
        order = np.argsort(-self.excess, kind="stable")
        self.wrong = [int(n) for n in order if self.excess[n] > 1]

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The wrong Jacobian entries (output entry, argument entry); none where only other things are known."""
        if self.dense or self.shape is not None:
            return []
        return [divmod(n, self.numeric.shape[1]) for n in self.wrong]


def head(probe: Probe, title: str, label: str, arg: int, out: int) -> str:
    """The first line: which gradient of what."""
    position = probe.args[arg]
    name = probe.names[position]
    known = "" if name == f"argument {position}" else f" ({name})"
    return f"{title}: wrong gradient of {label}, {probe.out_names[out]}, with respect to argument {position}{known}"


def describe(probe: Probe, failures: list[Failure], tolerance: Tolerance) -> str:
    """The values of the first failure, and where else it fails."""
    first = failures[0]
    if first.shape is not None:
        lines = [f"  backward returns the shape {first.shape}, the argument has {probe.point[first.arg].shape}"]
    else:
        lines = _values(probe, first, tolerance)
    for other in failures[1:_ROWS]:
        lines.append(f"  also wrong: {probe.out_names[other.out]} with respect to argument {probe.args[other.arg]}: "
                     f"{len(other.wrong)} of {other.numeric.size} entries")
    return "\n".join(lines)


def _values(probe: Probe, failure: Failure, tolerance: Tolerance) -> list[str]:
    n = failure.wrong[0]
    analytic, numeric, allowed = (float(x.flat[n]) for x in (failure.analytic, failure.numeric, failure.tolerance))
    what = "gradient" if failure.dense else "Jacobian"
    rule = f"atol {tolerance.atol:g} + rtol {tolerance.rtol:g} * |numeric|"
    if failure.dense:
        rule += ", summed over the random upstream gradient g"
    lines = [
        f"  {len(failure.wrong)} of {failure.numeric.size} entries of the {what} are wrong; the worst is "
        + _entry(probe, failure, n),
        f"    analytic    {analytic:.9g}" + ("   (backward gave None)" if failure.missing else ""),
        f"    numeric     {numeric:.9g}   (central difference, eps={tolerance.eps:g})",
        f"    difference  {abs(analytic - numeric):.9g}, {failure.excess[n]:.4g} times the tolerance {allowed:.3g}"
        f" ({rule})",
    ]
    if len(failure.wrong) > 1:
        rows = [("entry", "analytic", "numeric", "difference/tolerance")]
        rows += [(_entry(probe, failure, m), f"{failure.analytic.flat[m]:.9g}", f"{failure.numeric.flat[m]:.9g}",
                  f"{failure.excess[m]:.4g}") for m in failure.wrong[:_ROWS]]
        width = [max(len(row[c]) for row in rows) for c in range(4)]
        lines += [f"    {a:<{width[0]}}  {b:>{width[1]}}  {c:>{width[2]}}  {d:>{width[3]}}" for a, b, c, d in rows]
    return lines


def _entry(probe: Probe, failure: Failure, n: int) -> str:
    j, i = divmod(n, failure.numeric.shape[1])
    out = probe.out_names[failure.out]
    top = f"sum(g * {out})" if failure.dense else subscript(out, j, probe.out_shapes[failure.out])
    return f"d {top} / d {probe.entry_name(failure.arg, i)}"
