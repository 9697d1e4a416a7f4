"""Why a gradient check failed: each cause is tried on the numbers, never guessed.

Two groups, in this order.

1. Can the numeric side be believed: does the function repeat itself, is it precise enough, smooth here, the step right?
   First, because a step too long for sin(1e6 x) looks exactly like a constant factor in backward.
2. What does backward do wrong?  Such a cause must explain every sample: two random upstream gradients at the given
   point and one at a point moved by some percent.  One sample is not enough: a gradient of one entry is always "off
   by a factor", and at a tie max(x, x) is off by a factor too.

A cause is a function of the clues that returns one sentence, the evidence and the fix, or None if it does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import chain, combinations
from math import e, isclose, log, pi, prod

import numpy as np

from tinygrad_course.testing.clues import Clues, Sample, moved_point
from tinygrad_course.testing.numeric import ridders
from tinygrad_course.testing.probe import Array, to_array

Cause = Callable[[Clues], str | None]


def diagnose(c: Clues) -> str:
    """The first cause that fits, as 'name: evidence and fix'; otherwise what was tried."""
    for name, cause in NUMERIC_SIDE:
        if sentence := cause(c):
            return f"{name}: {sentence}"
    c.take_samples()
    for name, cause in BACKWARD_SIDE:
        if sentence := cause(c):
            return f"{name}: {sentence}"
    tried = ", ".join(name for name, _ in NUMERIC_SIDE + BACKWARD_SIDE)
    return f"no known cause fits. Tried: {tried}."


# ------------------------------------------------------------------------------------ can the numeric side be believed?


def nondeterminism(c: Clues) -> str | None:
    first, second = (c.probe.values(c.probe.point)[c.out] for _ in range(2))
    if np.array_equal(first, second, equal_nan=True):
        return None
    return (f"two forward calls with the same inputs differ by up to {np.abs(first - second).max():.3g}, so finite "
            "differences measure noise. Give random ops a freshly seeded generator inside the function, or use eval "
            "mode.")


def changed_inputs(c: Clues) -> str | None:
    run = c.probe.run(c.probe.point)
    for position, before, leaf in zip(c.probe.args, c.probe.point, run.leaves, strict=True):
        if not np.array_equal(to_array(leaf), before, equal_nan=True):
            return (f"forward writes into its argument {position}, and backward then uses the new values. Work on a "
                    "copy (x.clone()).")
    return None


def low_precision(c: Clues) -> str | None:
    # Inputs of low precision are caught before this: gradcheck repeats such a check in float64.
    kind = c.probe.out_dtypes[c.out]
    if kind == np.float64:
        return None
    return (f"the inputs are float64 but the output is {kind}, whose rounding swamps a step of {c.tolerance.eps:g}. "
            f"Remove the cast to {kind} inside the function.")


def not_finite(c: Clues) -> str | None:
    for entry in c.entries[:64]:
        numeric = c.jacobian_entry(entry)
        if not np.isfinite(numeric):
            at, x = c.index(entry[1]), c.probe.point[c.arg].ravel()[entry[1]]
            return (f"the numeric value is {numeric}: the function is undefined, or overflows, within "
                    f"{c.tolerance.eps:g} of {at} = {x:.6g}. Test at a point inside the domain.")
    for entry, analytic in zip(c.entries, c.analytic, strict=True):
        if not np.isfinite(analytic):
            at, x, numeric = c.index(entry[1]), c.probe.point[c.arg].ravel()[entry[1]], c.jacobian_entry(entry)
            return (f"backward returns {analytic} at {at} = {x:.6g}, where the numeric value is {numeric:.6g}. Look "
                    "for 0/0, inf - inf or log(0) in backward.")
    return None


def kink(c: Clues) -> str | None:
    """All failing entries must be kinks: left and right slopes, each taken just outside [-eps, eps], disagree."""
    if not c.entries:
        return None
    evidence = ""
    subgradient = True
    for entry, analytic in zip(c.entries[:256], c.analytic, strict=False):
        f, h = c.line(entry), c.tolerance.eps
        left, right = (f(-h) - f(-16 * h)) / (15 * h), (f(16 * h) - f(h)) / (15 * h)
        far_left, far_right = (f(-16 * h) - f(-32 * h)) / (16 * h), (f(32 * h) - f(16 * h)) / (16 * h)
        gap = abs(right - left)
        straight = max(abs(right - far_right), abs(left - far_left)) < 0.1 * gap
        # A curve bends: its one-sided slopes approach each other as the step shrinks.  Those of a kink do not.
        bend, finer = abs(f(h) + f(-h) - 2 * f(0)) / h, abs(f(h / 16) + f(-h / 16) - 2 * f(0)) / (h / 16)
        noise = 64 * np.finfo(np.float64).eps * abs(f(0)) / (h / 16)
        tolerance = c.tolerance.atol + c.tolerance.rtol * max(abs(left), abs(right)) + noise
        jumps = finer > 4 * bend > tolerance
        if not (jumps or (gap > tolerance and straight) or (bend > tolerance and finer > 0.5 * bend)):
            return None
        subgradient = subgradient and bool(min(left, right) - tolerance <= analytic <= max(left, right) + tolerance)
        if not evidence:
            what = "jumps" if jumps else "has a kink (relu or abs at 0, max at a tie)"
            slopes = f"the slope is {left:.6g} on the left and {right:.6g} on the right"
            evidence = f"at {c.index(entry[1])} {slopes}: it {what}"
    try:
        passes = c.recheck(moved_point(c.probe.point), c.tolerance.eps)
    except Exception:  # outside the domain the function under test may raise anything
        passes = False
    if not (passes or subgradient):
        return None
    lies = "lies between the two, a valid choice" if subgradient else "does not lie between the two"
    return (f"{evidence}, so no derivative exists there. The analytic value {lies}. Move the point away from it"
            + ("; with all inputs moved by some percent the check passes." if passes else "."))


def step_size(c: Clues) -> str | None:
    """The analytic value meets the derivative extrapolated to step 0, the central difference of step eps does not."""
    evidence = ""
    for entry, analytic in zip(c.entries[:6], c.analytic, strict=False):
        x = abs(float(c.probe.point[c.arg].ravel()[entry[1]]))
        best, error = min((ridders(c.line(entry), h * max(1.0, x)) for h in (1e-1, 1e-3, 1e-5, 1e-7)),
                          key=lambda result: result[1])
        allowed = c.tolerance.atol + c.tolerance.rtol * abs(best)
        if not (error <= allowed and abs(analytic - best) <= allowed):
            return None
        evidence = evidence or (f"at {c.index(entry[1])} the numeric value extrapolated to step 0 is {best:.9g} "
                                f"(+- {error:.1g}), which the analytic value meets")
    if not evidence:
        return None
    for power in (-1, 1, -2, 2, -3, 3, 4, 5):
        eps = c.tolerance.eps * 10.0**power
        if c.recheck(c.probe.point, eps):
            side = "long" if power < 0 else "short"
            return f"eps={c.tolerance.eps:g} is too {side}: {evidence}. gradcheck(..., eps={eps:g}) passes."
    return f"eps={c.tolerance.eps:g} does not suit this function: {evidence}. Scale the inputs nearer to 1."


# ----------------------------------------------------------------------------------------- what does backward do wrong?


def transposed(c: Clues) -> str | None:
    shape = c.probe.point[c.arg].shape
    for p, q in combinations(range(len(shape)), 2):
        if c.always(partial(_exchanged, c, p, q)):
            return f"with its axes {p} and {q} exchanged the gradient is right. Transpose what backward returns."
        if c.always(partial(_in_exchanged_order, c, p, q)):
            return (f"the right values stand in the order of the gradient with axes {p} and {q} exchanged: backward "
                    "uses reshape where it needs transpose.")
    out = c.probe.out_shapes[c.out]
    for p, q in combinations(range(len(out)), 2):
        if out[p] == out[q] and c.always(partial(_upstream_exchanged, c, p, q)):
            return (f"the gradient is right for the upstream gradient with axes {p} and {q} exchanged. Transpose the "
                    "upstream gradient in backward.")
    for m, x in enumerate(c.probe.point):
        for p, q in combinations(range(x.ndim), 2):
            if x.shape[p] == x.shape[q] and c.always(partial(_operand_exchanged, c, m, p, q)):
                return (f"the gradient is right for argument {c.probe.args[m]} with axes {p} and {q} exchanged: "
                        "backward uses that argument transposed where it should not, or the other way round.")
    return None


def _exchanged(c: Clues, p: int, q: int, s: Sample) -> Array:
    return np.swapaxes(c.right(s), p, q)


def _in_exchanged_order(c: Clues, p: int, q: int, s: Sample) -> Array:
    return _exchanged(c, p, q, s).reshape(c.right(s).shape)


def _upstream_exchanged(c: Clues, p: int, q: int, s: Sample) -> Array:
    return c.pulled_back(s, np.swapaxes(s.upstream, p, q))


def _operand_exchanged(c: Clues, m: int, p: int, q: int, s: Sample) -> Array:
    """The right gradient at the point whose argument m is transposed."""
    point = list(s.point)
    point[m] = np.swapaxes(point[m], p, q)
    return (s.upstream.ravel() @ c.jacobian(point, c.arg)).reshape(point[c.arg].shape)


def _subsets(n: int) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(range(n), k) for k in range(1, n + 1)))


def missing_sum(c: Clues) -> str | None:
    shape, out = c.probe.point[c.arg].shape, c.probe.out_shapes[c.out]
    given = c.given(c.samples[0])
    if given is None:
        return None
    fix = "Sum the gradient over every axis along which the argument was broadcast."
    if given.shape != shape:
        for axes in _subsets(given.ndim):
            if all(c.close(_reduced(c.given(s), axes, shape), c.right(s)) for s in c.samples):
                return f"the gradient has the shape {given.shape}; summed over axes {axes} it is right. {fix}"
        return None
    padded = (1,) * (len(out) - len(shape)) + shape
    stretched = tuple(a for a, n in enumerate(out) if len(padded) == len(out) and padded[a] == 1 and n > 1)
    count = prod(out[a] for a in stretched)
    if count > 1 and c.always(lambda s: c.right(s) / count):
        return (f"the argument {shape} was broadcast along axes {stretched} of the output {out}, and the gradient is "
                f"the mean over these {count} entries instead of their sum. {fix}")
    for axes in _subsets(len(out)):
        if prod(out[a] for a in axes) < 2:
            continue
        for end, where in ((0, "first"), (-1, "last")):
            # Entries that are right or 0, none in between: nothing was summed, `incomplete` says what that is.
            partial_sum = _one_index(c, axes, end, c.samples[0])
            if np.any(partial_sum != 0) and _right_or_zero(partial_sum, c.right(c.samples[0])):
                continue
            if c.always(partial(_one_index, c, axes, end)):
                return (f"the gradient counts only the {where} index along axes {axes} of the output {out}; the sum "
                        f"over the others is missing. {fix}")
    return None


def _right_or_zero(x: Array, right: Array) -> bool:
    return bool(np.all((x == 0) | np.isclose(x, right)))


def _reduced(x: Array | None, axes: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    if x is None or x.size == 0:
        return None
    summed = np.asarray(x.sum(axes))
    return summed.reshape(shape) if summed.size == prod(shape) else None


def _one_index(c: Clues, axes: tuple[int, ...], index: int, s: Sample) -> Array:
    """The right gradient if the upstream gradient were 0 except at one index of the output axes."""
    key = tuple(index if a in axes else slice(None) for a in range(s.upstream.ndim))
    masked = np.zeros_like(s.upstream)
    masked[key] = s.upstream[key]
    return c.pulled_back(s, masked)


def constant_factor(c: Clues) -> str | None:
    given, right = c.given(c.samples[0]), c.right(c.samples[0])
    if given is None or given.shape != right.shape:
        return None
    squares = float((right * right).sum())
    ratio = float((given * right).sum()) / squares if squares else 0.0
    if abs(ratio) < 1e-9 or isclose(ratio, -1.0, rel_tol=c.tolerance.rtol):
        return None  # zero_or_missing and wrong_sign say it better
    if not c.always(lambda s: ratio * c.right(s)):
        return None
    size = f"{ratio:.6g} times too large" if ratio > 1 else f"{ratio:.6g} times what it should be"
    name = _name_factor(ratio, c)
    verb = "Divide" if abs(ratio) > 1 else "Multiply"
    value = abs(ratio) if abs(ratio) > 1 else 1 / abs(ratio)
    sign = " and turn its sign" if ratio < 0 else ""
    return f"every entry is {size}{name}. {verb} the gradient by {value:.6g}{sign}."


def _name_factor(ratio: float, c: Clues) -> str:
    """Where a factor may come from: sizes first, as a batch of 2 is a likelier source of 2 than the number itself."""
    out, shape = c.probe.out_shapes[c.out], c.probe.point[c.arg].shape
    names: list[tuple[float, str]] = []
    names += [(n, f"the size of axis {a} of the output {out}{'' if a else ', the batch'}") for a, n in enumerate(out)]
    names += [(n, f"the size of axis {a} of the argument {shape}") for a, n in enumerate(shape)]
    names += [(prod(out), f"the number of entries of the output {out}"),
              (prod(shape), f"the number of entries of the argument {shape}")]
    names += [(prod(out[a] for a in axes), f"the size of axes {axes} of the output "
                                           f"{out}") for axes in _subsets(len(out))]
    names += [(log(2), "ln 2"), (log(10), "ln 10"), (pi, "pi"), (pi / 180, "pi/180, degrees for radians"), (e, "e"),
              (2**0.5, "the square root of 2"), (255, "the range of a byte")]
    near = max(c.tolerance.rtol, 1e-6)
    size = abs(ratio)
    found = []
    fraction = Fraction(size).limit_denominator(1000)
    simple = 1 < fraction.denominator <= 12 or (fraction.numerator == 1 and fraction.denominator > 1)
    if simple and isclose(size, fraction, rel_tol=near):
        found.append(str(fraction))
    for value, name in names:
        if value <= 1 and value == int(value):
            continue
        if isclose(size, value, rel_tol=near):
            found.append(name)
            break
        if isclose(size, 1 / value, rel_tol=near):
            found.append(f"1 / {name}" if value != int(value) else f"1/N with N = {value:.0f}, {name}")
            break
    return f" ({'; '.join(found)})" if found else ""


def wrong_sign(c: Clues) -> str | None:
    if c.always(lambda s: -c.right(s)):
        return "every entry has the right magnitude and the wrong sign. Negate the gradient."
    given, right = c.given(c.samples[0]), c.right(c.samples[0])
    if given is None or not all(c.close(_magnitude(c.given(s)), np.abs(c.right(s))) for s in c.samples):
        return None
    wrong = int((np.sign(given) != np.sign(right)).sum())
    return (f"every magnitude is right, but the sign is wrong in {wrong} of {right.size} entries. Look for an abs() "
            "too many, or a sign(x) that is missing, in backward.")


def _magnitude(x: Array | None) -> Array | None:
    return None if x is None else np.abs(x)


def upstream_ignored(c: Clues) -> str | None:
    first = c.samples[0]
    given = c.given(first)
    if given is None or not np.any(given):
        return None

    def answer(g: Array) -> Array | None:
        return c.backward(first.point, g)[c.arg]

    if c.close(given, answer(np.ones_like(first.upstream))):
        return ("backward gives the same for a random upstream gradient as for one of ones: it ignores the upstream "
                "gradient. Multiply by it (the chain rule).")
    fills: list[tuple[str, Callable[[Array], Array]]] = [
        ("the sum", lambda g: np.full_like(g, g.sum())), ("the mean", lambda g: np.full_like(g, g.mean())),
        ("the first entry", lambda g: np.full_like(g, g.flat[0])), ("the sign", np.sign), ("the magnitude", np.abs),
    ]
    for name, fill in fills:
        if c.always(partial(_replaced, c, fill)):
            return (f"the gradient is right if every entry of the upstream gradient is replaced by {name} of it. Use "
                    "the upstream gradient entry by entry.")
    doubled = answer(2 * first.upstream)
    for power, what in ((0, "does not grow"), (2, "grows fourfold"), (3, "grows eightfold")):
        if c.close(doubled, 2**power * given):
            return (f"twice the upstream gradient should double the gradient, but it {what}: backward must be linear "
                    f"in the upstream gradient, it uses its power {power}.")
    return None


def _replaced(c: Clues, fill: Callable[[Array], Array], s: Sample) -> Array:
    return c.pulled_back(s, fill(s.upstream))


def swapped(c: Clues) -> str | None:
    for m, position in enumerate(c.probe.args):
        if m == c.arg or not all(c.close(c.given(s), s.numeric[m]) for s in c.samples):
            continue
        here = c.probe.args[c.arg]
        if all(c.close(s.analytic[m], c.right(s)) for s in c.samples):
            return (f"the gradients of arguments {here} and {position} are exchanged: each is right for the other. "
                    "Exchange what backward returns.")
        return (f"the gradient given for argument {here} is that of argument {position}. Check the order of what "
                "backward returns.")
    return None


def zero_or_missing(c: Clues) -> str | None:
    given = c.given(c.samples[0])
    if given is not None and np.any(given):
        return None
    if not c.probe.connected:
        return ("the output is not connected to any input (requires_grad is False): a detach(), .data, .numpy(), "
                "no_grad() or a new tensor made from values cuts the graph inside the function.")
    if given is not None:
        return ("the gradient is 0 everywhere though the output depends on the argument. Return the derivative, not "
                "zeros; look for a detach() or a comparison on the way.")
    if c.reachable():
        return "backward returns None for it though the output depends on it. Return its derivative."
    return ("the graph does not lead from the output to it: a detach(), .data, .numpy(), no_grad() or a new tensor "
            "made from its values cuts it off inside the function.")


def overwritten(c: Clues) -> str | None:
    shared = np.count_nonzero(c.samples[0].jacobians[c.arg], axis=0) > 1  # argument entries that several outputs use
    if not shared.any():
        return None
    for end, name in ((-1, "last"), (0, "first")):
        if c.always(partial(_one_contribution, c.arg, end)):
            return (f"where an entry of the argument is used several times ({int(shared.sum())} of {shared.size} "
                    f"entries are) the gradient is only the {name} contribution: it is overwritten instead of added. "
                    "Use += on distinct indices, or np.add.at / scatter_add on repeated ones.")
    return None


def _one_contribution(arg: int, end: int, sample: Sample) -> Array:
    """Per argument entry the first or last nonzero term of sum over j of upstream[j] J[j, i]."""
    terms = sample.upstream.ravel()[:, None] * sample.jacobians[arg]
    used = np.abs(terms) > 1e-9 * np.abs(terms).max(initial=0.0)
    rows = used.argmax(0) if end == 0 else len(terms) - 1 - used[::-1].argmax(0)
    picked = np.take_along_axis(terms, rows[None, :], 0)[0]
    return np.asarray(np.where(used.any(0), picked, 0.0)).reshape(sample.point[arg].shape)


def incomplete(c: Clues) -> str | None:
    """Right at the same indices of one axis in every sample, 0 at all others."""
    shape = c.probe.point[c.arg].shape
    if any((given := c.given(s)) is None or given.shape != shape for s in c.samples):
        return None
    for axis, n in enumerate(shape):
        good = [k for k in range(n) if all(c.close(_slice(c.given(s), k, axis), _slice(c.right(s), k, axis))
                                           for s in c.samples)]
        zero = [k for k in range(n) if not any(np.any(_slice(c.given(s), k, axis)) for s in c.samples)]
        if good and zero and sorted(good + zero) == list(range(n)):
            return (f"along axis {axis} of the argument {shape} the gradient is right at {_indices(good)} and 0 at "
                    f"{_indices(zero)}: backward stops early or fills only a part.")
    return None


def _slice(x: Array | None, k: int, axis: int) -> Array:
    return np.asarray(np.empty(0) if x is None else x.take(k, axis))


def _indices(indices: list[int]) -> str:
    listed = ", ".join(str(k) for k in indices[:6])
    return f"index {listed}" if len(indices) <= 6 else f"index {listed}, ... ({len(indices)} of them)"


NUMERIC_SIDE: tuple[tuple[str, Cause], ...] = (
    ("non-determinism", nondeterminism),
    ("input changed in place", changed_inputs),
    ("low precision", low_precision),
    ("not finite", not_finite),
    ("kink", kink),
    ("step size", step_size),
)
BACKWARD_SIDE: tuple[tuple[str, Cause], ...] = (
    ("transposed gradient", transposed),
    ("missing sum over a broadcast axis", missing_sum),
    ("constant factor", constant_factor),
    ("wrong sign", wrong_sign),
    ("upstream gradient misused", upstream_ignored),
    ("swapped arguments", swapped),
    ("zero or missing gradient", zero_or_missing),
    ("overwritten instead of added", overwritten),
    ("incomplete gradient", incomplete),
)
