"""What the causes of a failed check are tried on: samples of analytic and numeric gradients, and the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygrad_course.testing.numeric import numeric_jacobian
from tinygrad_course.testing.probe import Array, Probe


@dataclass(frozen=True)
class Tolerance:
    """|analytic - numeric| <= atol + rtol |numeric|, the numeric value by central differences of step eps."""

    eps: float
    atol: float
    rtol: float


@dataclass(frozen=True)
class Sample:
    """Gradients of sum(upstream * output) at one point.

    jacobians   numeric, one matrix (output entries, argument entries) per argument
    analytic    per argument what backward returned: an array, possibly of a wrong shape, or None
    numeric     per argument upstream @ jacobian, in the argument's shape
    """

    point: list[Array]
    upstream: Array
    jacobians: list[Array]
    analytic: list[Array | None]
    numeric: list[Array]


def random_upstream(shape: tuple[int, ...], seed: int) -> Array:
    """Random upstream gradient: magnitudes 0.5 to 2 (no entry vanishes, none is 1 by chance), random signs."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape))


def moved_point(point: Sequence[Array]) -> list[Array]:
    """Every entry moved by 3 to 10 % of itself, entries near 0 by that much of 0.5: most domains are not left."""
    rng = np.random.default_rng(7)
    moved = []
    for x in point:
        shift = rng.uniform(0.03, 0.1, x.shape) * rng.choice([-1.0, 1.0], x.shape)
        moved.append(np.asarray(x + np.where(np.abs(x) > 1e-3, x, 0.5) * shift).astype(x.dtype))
    return moved


@dataclass
class Clues:
    """One failing pair of output and argument.

    arg, out    positions in `probe.args` and `probe.outs`
    entries     failing Jacobian entries (output entry, argument entry), worst first; empty if every entry is right and
                only a dense upstream gradient fails
    analytic    their analytic values
    backward    (point, upstream gradient of this output) -> what backward returned for each argument
    recheck     (point, eps) -> whether the whole comparison passes there
    """

    probe: Probe
    arg: int
    out: int
    entries: list[tuple[int, int]]
    analytic: list[float]
    tolerance: Tolerance
    backward: Callable[[Sequence[Array], Array], list[Array | None]]
    recheck: Callable[[Sequence[Array], float], bool]
    seed: int
    samples: list[Sample] = field(default_factory=list)
    _lines: dict[tuple[int, float], Array] = field(default_factory=dict)

    def take_samples(self) -> None:
        """Two random upstream gradients at the point, one at the moved point unless the function fails there."""
        shape = self.probe.out_shapes[self.out]
        self.samples = [self.sample(self.probe.point, random_upstream(shape, self.seed + k)) for k in (1, 2)]
        try:
            moved = self.sample(moved_point(self.probe.point), random_upstream(shape, self.seed + 3))
        except Exception:  # the function under test may raise anything outside its domain
            return
        if np.isfinite(moved.numeric[self.arg]).all():
            self.samples.append(moved)

    def sample(self, point: Sequence[Array], upstream: Array) -> Sample:
        """Analytic and numeric gradients of every argument."""
        jacobians = [self.jacobian(point, a) for a in range(len(point))]
        numeric = [(upstream.ravel() @ jac).reshape(x.shape) for jac, x in zip(jacobians, point, strict=True)]
        return Sample(list(point), upstream, jacobians, self.backward(point, upstream), numeric)

    def jacobian(self, point: Sequence[Array], arg: int) -> Array:
        """Numeric Jacobian of the failing output."""
        return numeric_jacobian(self.probe, point, arg, self.tolerance.eps)[self.out]

    def given(self, sample: Sample) -> Array | None:
        """What backward gave for the failing argument."""
        return sample.analytic[self.arg]

    def right(self, sample: Sample) -> Array:
        """What it should have given."""
        return sample.numeric[self.arg]

    def pulled_back(self, sample: Sample, upstream: Array) -> Array:
        """What it should have given for another upstream gradient."""
        return (upstream.ravel() @ sample.jacobians[self.arg]).reshape(sample.point[self.arg].shape)

    def close(self, x: Array | None, y: Array | None) -> bool:
        """Same shape and equal within the tolerance of the check, its absolute part scaled to the largest entry."""
        if x is None or y is None or x.shape != y.shape:
            return False
        scale = max(1.0, float(np.abs(y).max(initial=0.0)))
        return bool(np.allclose(x, y, rtol=self.tolerance.rtol, atol=self.tolerance.atol * scale))

    def always(self, expected: Callable[[Sample], Array | None]) -> bool:
        """Whether backward gave `expected(sample)` for the failing argument in every sample."""
        return all(self.close(self.given(sample), expected(sample)) for sample in self.samples)

    def index(self, i: int) -> str:
        """Entry i of the failing argument, as people write it: x[1, 2]."""
        return self.probe.entry_name(self.arg, i)

    def reachable(self) -> bool:
        """Whether the graph of the failing output leads to the failing argument."""
        run = self.probe.run(self.probe.point)
        return run.leads_to(self.out, run.leaves[self.arg])

    def jacobian_entry(self, entry: tuple[int, int]) -> float:
        """The numeric value of one failing entry."""
        f, eps = self.line(entry), self.tolerance.eps
        return (f(eps) - f(-eps)) / (2 * eps)

    def line(self, entry: tuple[int, int]) -> Callable[[float], float]:
        """t -> the failing output entry with t added to the failing argument entry."""
        j, i = entry

        def value(t: float) -> float:
            if (i, t) not in self._lines:
                self._lines[i, t] = self.probe.values(self.probe.shifted(self.probe.point, self.arg, i, t))[self.out]
            return float(self._lines[i, t][j])
        return value
