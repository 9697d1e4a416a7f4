"""Anomaly mode: the first op that makes a NaN or an infinity is named, with the line of the user's program.

What counts as made:

* NaN, in forward: an op of the graph whose inputs hold no NaN has one in its result.  In backward: no gradient that arrives
  at a node has one, one that it passes on has.  NaN that was there before (data, parameters, the gradient given to backward)
  is said to be that, and no op is blamed.
* Inf: likewise, but only if everything that went in was finite.  An infinity that the program wrote, as in
  `scores.masked_fill(mask, -inf)` or `where(mask, scores, -inf)`, went in; so did one in the data.  PyTorch looks for NaN
  alone; `check_inf=False` does so here.  (With loss scaling in float16 overflow is expected, and skipped by the scaler.)

Only what is recorded is looked at: no op under no_grad() and none that prepares data.
"""

from __future__ import annotations

from typing import Any

from numpy import broadcast_to, isfinite, isnan, unravel_index

from tinygrad_course.autograd.causes import backward_cause, forward_cause
from tinygrad_course.autograd.origin import line_number, readable
from tinygrad_course.autograd.watch import set_watcher, watch
from tinygrad_course.errors import AnomalyError


class set_detect_anomaly:
    """Switch anomaly mode on or off at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool, check_nan: bool = True, check_inf: bool | None = None) -> None:
        self._before = set_watcher(AnomalyWatcher(check_nan, check_nan if check_inf is None else check_inf) if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        set_watcher(self._before)


class detect_anomaly:
    """Anomaly mode for a block: a backward (or forward) pass that makes NaN or Inf raises AnomalyError.

        with autograd.detect_anomaly():
            loss = criterion(model(x), y)
            loss.backward()

    The error names the op, its module, the line of the program, the first bad element and the likely cause.
    check_nan=False only notes for each op the line that it came from, for the messages of other errors.
    check_inf   whether infinities count; default: as check_nan.  Slower by some passes over every array.
    """

    def __init__(self, check_nan: bool = True, check_inf: bool | None = None) -> None:
        self._options = (check_nan, check_inf)
        self._open: list[set_detect_anomaly] = []

    def __enter__(self) -> None:
        self._open.append(set_detect_anomaly(True, *self._options))

    def __exit__(self, *_: object) -> None:
        self._open.pop().__exit__()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return isinstance(watch.watcher, AnomalyWatcher)


class AnomalyWatcher:
    """Looks at every op of the graph and every node of the backward pass."""

    def __init__(self, check_nan: bool, check_inf: bool) -> None:
        self.check_nan = check_nan
        self.check_inf = check_inf

    def forward(self, op: Any, node: Any, inputs: tuple[Any, ...], arrays: list[Any], args: tuple[Any, ...],
                out: Any) -> None:
        """Called after an op's forward."""
        if node.closed:
            return
        node.origin = line_number()
        for result in out if type(out) is tuple else (out,):
            found = self._look_at(result)
            if found is None:
                continue
            for index, (tensor, array) in enumerate(zip(inputs, arrays, strict=True)):
                if array is not None and _has_nan(array):
                    if found == "NaN":
                        raise AnomalyError(_was_there(node, index, tensor, array))
                    found = None  # a NaN went in: no Inf counts
            if found == "NaN" or (found == "Inf" and all(map(_is_finite, arrays)) and all(map(_is_finite, node.args))):
                raise AnomalyError(_made_in_forward(node, found, arrays, result))

    def backward(self, node: Any, gradients: tuple[Any, ...], answer: tuple[Any, ...]) -> None:
        """Called after a node's backward."""
        for index, g in enumerate(answer):
            if g is None:
                continue
            found = self._look_at(g.array)
            if found is None:
                continue
            arrived = [gradient.array for gradient in gradients if gradient is not None]
            if any(_has_nan(array) for array in arrived):
                if found == "NaN":
                    raise AnomalyError(
                        f"the gradient that arrived at {_named(node)} holds NaN already\n  No backward rule made it: it was "
                        "given to backward(gradient=), a hook put it there, or inf met -inf where two paths joined")
                continue
            if found == "NaN" or all(map(_is_finite, [*arrived, *(tensor.array for tensor in node.saved)])):
                raise AnomalyError(_made_in_backward(node, found, index, arrived, g.array))

    def write(self, array: Any, key: Any, value: Any) -> None:
        """Called before a write in place that is not recorded, which is none of the graph's."""

    def _look_at(self, array: Any) -> str | None:
        """ "NaN", "Inf" or None, as far as it is checked."""
        if _is_finite(array):
            return None
        if _has_nan(array):
            return "NaN" if self.check_nan else None
        return "Inf" if self.check_inf else None


# ---- messages ------------------------------------------------------------------------------------------------------------


def _made_in_forward(node: Any, found: str, arrays: list[Any], result: Any) -> str:
    at = _first(result, found)
    operands = [_operand(array, result, at) for array in arrays if array is not None]
    told = [f"input {index} holds {value:.6g}" for index, value in enumerate(operands) if value is not None]
    where = f"{' and '.join(told)}{_there(at)}" if told else _ranges(arrays)
    return (f"{node.name} made {found} in forward, {_at(node)}\n  {where}; {_count(result, found, 'the result')}\n"
            f"  {forward_cause(node.name, found, operands, arrays)}")


def _made_in_backward(node: Any, found: str, index: int, arrived: list[Any], g: Any) -> str:
    at = _first(g, found)
    saved = [(tensor, _operand(tensor.array, g, at)) for tensor in node.saved]
    told = [f"its {'output' if tensor.node is node else 'input'} holds {value:.6g}"
            for tensor, value in saved if value is not None]
    zero = any(_operand(array, g, at) == 0 for array in arrived)
    where = f"{' and '.join(told)}{_there(at)}; " if told else ""
    return (f"{_named(node)} made {found} in backward\n  {where}{_count(g, found, f'the gradient of input {index}')}, "
            f"the gradient that arrived is finite\n  {backward_cause(node.name, [value for _, value in saved], zero)}")


def _was_there(node: Any, index: int, tensor: Any, array: Any) -> str:
    there = _there(_first(array, "NaN"))
    what = f"input {index} of {node.name}, shape {tuple(array.shape)}"
    if tensor.node is not None:
        return (f"{what}, holds NaN{there} already, {_at(node)}\n  {_named(tensor.node)} gave it, before anomaly mode was on "
                "or in a custom Function: let the mode begin before forward")
    if tensor.track:
        writer = tensor.version.last_write.strip("'") if tensor.version is not None else ""
        wrote = f", last written by {writer}" if writer else ""
        return (f"the parameter {_parameter_name(node, tensor) or f'at {what}'} holds NaN{there} before {node.name} runs, "
                f"{_at(node)}{wrote}\n  Look at the learning rate and at the gradients of the step before")
    return (f"the data hold NaN: {what}{there}, {_at(node)}\n  No op of the graph made it. Clean the data, for instance with "
            "nan_to_num() or by leaving out the samples where isnan(x).any()")


def _parameter_name(node: Any, tensor: Any) -> str:
    """The path of a parameter in the model whose op this is, empty if it is none."""
    scope = node.scope
    while scope is not None and scope.parent is not None:
        scope = scope.parent
    model = scope.module() if scope is not None else None
    if model is None:
        return ""
    return next((name for name, parameter in model.named_parameters() if parameter is tensor), "")


def _named(node: Any) -> str:
    place = node.place()
    return f"{node.name} ({place})" if place else str(node.name)


def _at(node: Any) -> str:
    """The line only: the module is added to an error that leaves it."""
    return f"at {readable(node.origin, True)}"


def _count(array: Any, found: str, what: str) -> str:
    bad = int((isnan(array) if found == "NaN" else ~isfinite(array)).sum())
    return f"{bad:,} of {array.size:,} numbers of {what} {'is' if bad == 1 else 'are'} {found}"


def _ranges(arrays: list[Any]) -> str:
    parts = [f"input {index} is from {array.min():.4g} to {array.max():.4g}" for index, array in enumerate(arrays)
             if array is not None and array.size]
    return ", ".join(parts) or "there are no inputs"


# ---- arrays --------------------------------------------------------------------------------------------------------------


def _is_finite(value: Any) -> bool:
    """Whether an array, or a number among an op's arguments, is free of NaN and Inf.  What is no number is."""
    if isinstance(value, float):
        return bool(isfinite(value))
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", "") != "f" or bool(isfinite(value).all())


def _has_nan(array: Any) -> bool:
    return bool(array.dtype.kind == "f" and isnan(array).any())


def _first(array: Any, found: str) -> tuple[int, ...]:
    """Where the first NaN, or the first infinity, is."""
    mask = isnan(array) if found == "NaN" else ~isfinite(array)
    return tuple(int(part) for part in unravel_index(int(mask.argmax()), array.shape))


def _there(at: tuple[int, ...]) -> str:
    return f" at {at}" if at else ""


def _operand(array: Any, result: Any, at: tuple[int, ...]) -> float | None:
    """The value that an elementwise op took from `array` for the result at `at`; None if the shapes tell of another kind."""
    try:
        return float(broadcast_to(array, result.shape)[at])
    except ValueError:
        return None
