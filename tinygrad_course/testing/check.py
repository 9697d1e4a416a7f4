"""The comparison itself: Jacobians, random upstream gradients, and what else a backward must keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_course.errors import GradcheckError, ShapeError
from tinygrad_course.testing.clues import Clues, Tolerance, random_upstream
from tinygrad_course.testing.diagnose import diagnose
from tinygrad_course.testing.numeric import numeric_jacobian
from tinygrad_course.testing.probe import Array, Probe, Run
from tinygrad_course.testing.report import Failure, describe, head

UPSTREAM_SEED = 20_000
_PROJECTIONS = 2  # random projections per pair in fast mode


@dataclass(frozen=True)
class Check:
    """One check of one function at one point.

    title, name    'gradcheck' and what is checked, for messages
    nondet_tol     largest difference allowed between two backward passes over one graph
    undefined      using one of several outputs alone must give the same as zero gradients for the others
    dtypes         the op's backward must return its argument's dtype by itself
    fast           random projections instead of Jacobians
    """

    probe: Probe
    title: str
    name: str
    tolerance: Tolerance
    nondet_tol: float
    undefined: bool
    dtypes: bool
    fast: bool

    @property
    def label(self) -> str:
        """The function, and its last op where that has another name."""
        op = self.probe.op_names[0] if self.probe.op_names else ""
        return self.name if not op or op in self.name else f"{self.name} (last op: {op})"

    def run(self) -> None:
        """Raise GradcheckError on the first thing that is wrong."""
        point = self.probe.point
        if not self.fast or self._projections_differ():
            failures = self.failures(point, self.tolerance.eps)
            if failures:
                raise GradcheckError(self._message(failures))
        if not self.probe.connected:
            return  # the numeric Jacobian is 0 as well: a constant
        run = self.probe.run(point)
        self._check_dtypes(run)
        self._check_zero_upstream(run)
        self._check_repeats(run)
        if run.upstream_changed:
            raise GradcheckError(f"{self.title}: {self.label}: backward writes into the upstream gradient that it is "
                                 "given; another op may be waiting for the same array. Work on a copy (g.clone()).")
        if self.undefined and len(self.probe.outs) > 1:
            self._check_undefined(run)

    # -- values --------------------------------------------------------------------------------------------------------

    def failures(self, point: Sequence[Array], eps: float) -> list[Failure]:
        """Every pair that is wrong at this point."""
        run = self.probe.run(point)
        numeric = [numeric_jacobian(self.probe, point, a, eps) for a in range(len(point))]
        found: list[Failure] = []
        for k in range(len(self.probe.outs)):
            jacobians = [of_argument[k] for of_argument in numeric]
            wrong = self._wrong_jacobians(run, k, jacobians)
            if not wrong and self.probe.connected:
                wrong = self._wrong_for_dense(run, k, jacobians)
            found += wrong
        return found

    def _wrong_jacobians(self, run: Run, k: int, numeric: list[Array]) -> list[Failure]:
        """Row j by backward is the gradient for the upstream gradient c e_j, divided by the random c."""
        rows = numeric[0].shape[0]
        analytic = [np.zeros(jacobian.shape) for jacobian in numeric]
        given = [False] * len(numeric)
        scale = random_upstream((rows,), UPSTREAM_SEED + k)
        for j in range(rows if self.probe.connected else 0):
            g = np.zeros(rows)
            g[j] = scale[j]
            try:
                gradients = self._vjp(run, self._alone(k, g.reshape(self.probe.out_shapes[k])))
            except ShapeError as error:
                return [self._wrong_shape(run, k, numeric, error)]
            for a, found in enumerate(gradients):
                if found is not None:
                    analytic[a][j] = found.ravel() / scale[j]
                    given[a] = True
        compared = [Failure(a, k, analytic[a], jacobian, self._allowed(jacobian), missing=not given[a])
                    for a, jacobian in enumerate(numeric)]
        return [failure for failure in compared if failure.wrong]

    def _wrong_for_dense(self, run: Run, k: int, numeric: list[Array]) -> list[Failure]:
        """Every Jacobian entry is right: so must be the gradient for any upstream gradient, if backward is linear."""
        g = random_upstream(self.probe.out_shapes[k], UPSTREAM_SEED + 100 + k)
        row = g.reshape(1, -1)
        compared = []
        for a, found in enumerate(self._vjp(run, self._alone(k, g))):
            jacobian = numeric[a]
            analytic = np.zeros((1, jacobian.shape[1])) if found is None else found.reshape(1, -1)
            compared.append(Failure(a, k, analytic, row @ jacobian, np.abs(row) @ self._allowed(jacobian), dense=True,
                                    missing=found is None))
        return [failure for failure in compared if failure.wrong]

    def _wrong_shape(self, run: Run, k: int, numeric: list[Array], error: ShapeError) -> Failure:
        """The engine refused the shape of a gradient: find out whose it is."""
        for a, found in enumerate(run.raw_vjp(k, np.ones(self.probe.out_shapes[k])) or []):
            if found is not None and found.shape != tuple(run.leaves[a].shape):
                nothing = np.full(numeric[a].shape, np.nan)
                return Failure(a, k, nothing, numeric[a], self._allowed(numeric[a]), shape=found.shape)
        raise GradcheckError(f"{self.title}: {self.label}: backward raised: {error}") from error

    def _projections_differ(self) -> bool:
        """fast_mode: v @ J @ u for random v and u, by backward and by one central difference along u."""
        probe, eps = self.probe, self.tolerance.eps
        if not probe.connected:
            return True  # the full comparison finds the words
        run = probe.run(probe.point)
        for n in range(_PROJECTIONS):
            directions = [random_upstream(x.shape, UPSTREAM_SEED + 300 + 10 * n + a) for a, x in enumerate(probe.point)]
            changes = []
            for a, u in enumerate(directions):
                up, down = (probe.values(probe.shifted(probe.point, a, u, step)) for step in (eps, -eps))
                changes.append([(y - z) / (2 * eps) for y, z in zip(up, down, strict=True)])
            for k, shape in enumerate(probe.out_shapes):
                v = random_upstream(shape, UPSTREAM_SEED + 400 + 10 * n + k)
                try:
                    gradients = self._vjp(run, self._alone(k, v))
                except ShapeError:
                    return True
                for u, change, found in zip(directions, changes, gradients, strict=True):
                    numeric = float(v.ravel() @ change[k])
                    analytic = 0.0 if found is None else float((found * u).sum())
                    if not abs(analytic - numeric) <= self._allowed(np.asarray(numeric)):
                        return True
        return False

    def _allowed(self, numeric: Array) -> Array:
        return self.tolerance.atol + self.tolerance.rtol * np.abs(numeric)

    def _alone(self, k: int, g: Array) -> list[Array | None]:
        """g for output k and zeros for the others."""
        return [g if n == k else np.zeros(shape) for n, shape in enumerate(self.probe.out_shapes)]

    def _vjp(self, run: Run, upstream: Sequence[Array | None]) -> list[Array | None]:
        try:
            return run.vjp(upstream)
        except ShapeError:
            raise
        except Exception as error:  # backward is the user's code
            what = "the backward of the first derivative" if self.title == "gradgradcheck" else "backward"
            raise GradcheckError(f"{self.title}: {self.label}: {what} raised {type(error).__name__}: "
                                 f"{error}") from error

    # -- what else a backward must keep to -----------------------------------------------------------------------------

    def _check_dtypes(self, run: Run) -> None:
        """The gradient's dtype; on request also what backward itself returned, before the engine casts it."""
        for k, shape in enumerate(self.probe.out_shapes):
            g = random_upstream(shape, UPSTREAM_SEED + 500)
            gradients = self._vjp(run, self._alone(k, g))
            if self.dtypes:
                gradients += run.raw_vjp(k, g) or []
            for n, found in enumerate(gradients):
                a = n % len(self.probe.point)
                dtype = self.probe.point[a].dtype
                if found is not None and found.dtype != dtype:
                    raise GradcheckError(f"{self._head(a, k)}: the gradient has dtype {found.dtype}, the argument "
                                         f"{dtype}. Let backward compute in the dtype of its argument.")

    def _check_zero_upstream(self, run: Run) -> None:
        for a, found in enumerate(self._vjp(run, [np.zeros(shape) for shape in self.probe.out_shapes])):
            if found is not None and np.any(found != 0):
                i = int(np.flatnonzero(found.ravel() != 0)[0])
                raise GradcheckError(f"{self._head(a, 0)}: for an upstream gradient of zeros backward gives "
                                     f"{found.ravel()[i]:.9g} at {self.probe.entry_name(a, i)}; it must give 0. "
                                     "Multiply every term by the upstream gradient.")

    def _check_repeats(self, run: Run) -> None:
        upstream = [random_upstream(shape, UPSTREAM_SEED + 600 + k) for k, shape in enumerate(self.probe.out_shapes)]
        first, second = (self._vjp(run, upstream) for _ in range(2))
        for a, (x, y) in enumerate(zip(first, second, strict=True)):
            difference = np.zeros(1) if x is None or y is None else np.abs(x - y)
            if x is None or y is None or not difference.max(initial=0.0) > self.nondet_tol:
                continue
            i = int(difference.argmax())
            raise GradcheckError(
                f"{self._head(a, 0)}: two backward passes over the same graph differ at {self.probe.entry_name(a, i)}: "
                f"{x.ravel()[i]:.9g} and {y.ravel()[i]:.9g} (nondet_tol={self.nondet_tol:g})\n  diagnosis: "
                "non-determinism: backward draws random numbers, changes what forward saved, or adds in a changing "
                "order. Save what forward drew, and do not write into saved tensors.")

    def _check_undefined(self, run: Run) -> None:
        for k, shape in enumerate(self.probe.out_shapes):
            g = random_upstream(shape, UPSTREAM_SEED + 700 + k)
            try:
                alone = run.vjp([g if n == k else None for n in range(len(self.probe.outs))])
            except Exception as error:  # backward is the user's code
                raise GradcheckError(
                    f"{self.title}: {self.label}: backward raised {type(error).__name__} when only "
                    f"{self.probe.out_names[k]} was used and the gradient of the others was not defined "
                    f"(check_undefined_grad): {error}") from error
            for a, (x, y) in enumerate(zip(alone, self._vjp(run, self._alone(k, g)), strict=True)):
                nothing = np.zeros(self.probe.point[a].shape)
                if not np.allclose(nothing if x is None else x, nothing if y is None else y):
                    raise GradcheckError(
                        f"{self._head(a, k)}: using this output alone gives another gradient than zero gradients for "
                        "the other outputs (check_undefined_grad). Treat a gradient that is None as zeros.")

    # -- the message ---------------------------------------------------------------------------------------------------

    def _head(self, arg: int, out: int) -> str:
        return head(self.probe, self.title, self.label, arg, out)

    def _message(self, failures: list[Failure]) -> str:
        report, first = describe(self.probe, failures, self.tolerance), failures[0]
        start = f"{self._head(first.arg, first.out)}\n"
        narrow = sorted({str(x.dtype) for x in self.probe.point if x.dtype != np.float64})
        if not narrow:
            return f"{start}{report}\n  diagnosis: {self._diagnosis(first)}"
        kinds = " and ".join(narrow)
        verdict = f"low precision: the inputs are {kinds}, whose rounding swamps a step of eps={self.tolerance.eps:g}"
        try:
            wide = replace(self, probe=self.probe.in_float64())
            again = wide.failures(wide.probe.point, self.tolerance.eps)
        except Exception as error:  # the function may hold float32 values of its own and refuse to mix
            return (f"{start}{report}\n  diagnosis: {verdict}; in float64 the function raised "
                    f"{type(error).__name__}: {error}")
        if not again:
            return (f"{start}{report}\n  diagnosis: {verdict}: the same check with the inputs in float64 passes. Use "
                    "x.double().")
        return (f"{wide._head(again[0].arg, again[0].out)}\n{describe(wide.probe, again, self.tolerance)}\n"
                f"  (the inputs are {kinds}; the values above are of the same check in float64, which fails too)\n"
                f"  diagnosis: {wide._diagnosis(again[0])}")

    def _diagnosis(self, failure: Failure) -> str:
        probe, k = self.probe, failure.out

        def backward(point: Sequence[Array], g: Array) -> list[Array | None]:
            run = probe.run(point)
            if not probe.connected:
                return [None] * len(point)
            try:
                return run.vjp(self._alone(k, g))
            except ShapeError:
                return run.raw_vjp(k, g) or [None] * len(point)

        return diagnose(Clues(
            probe=probe, arg=failure.arg, out=k, entries=failure.entries,
            analytic=[float(failure.analytic[entry]) for entry in failure.entries], tolerance=self.tolerance,
            backward=backward, recheck=lambda point, eps: not self.failures(point, eps), seed=UPSTREAM_SEED + 800))
