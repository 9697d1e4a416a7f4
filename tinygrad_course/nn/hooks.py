"""Full backward hooks: what lets a module show, and change, the gradients that pass through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_course.autograd import Function
from tinygrad_course.autograd.origin import warn
from tinygrad_course.tensor import Tensor

Gradients = tuple[Tensor | None, ...]


class Gate(Function):
    """The identity on several tensors.  Their gradients reach `passing` all at once; what it returns goes on.

    A hook on each tensor would not do: it sees the sum of all uses of the tensor, not that of this module, and it is
    never called for an output that nobody used.
    """

    @staticmethod
    def forward(ctx: Any, passing: Callable[[Gradients], Gradients], *tensors: Tensor) -> tuple[Tensor, ...]:
        """tensors -> the same values behind the gate"""
        ctx.passing = passing
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> Any:
        """gradients -> what `passing` makes of them"""
        return None, *ctx.passing(grad_outputs)


class BackwardWatch:
    """One call of a module between two gates: `enter` its arguments, run it, `leave` with its result."""

    def __init__(self, module: Any, hooks: Sequence[Callable[..., Any]],
                 pre_hooks: Sequence[Callable[..., Any]] = ()) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: Gradients | None = None  # known between the two gates
        self.places: list[int] = []  # of the arguments that need a gradient
        self.count = 0
        self.out_places: list[int] = []
        self.out_count = 0

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments behind the first gate, the last one in backward."""
        self.count = len(args)
        behind, self.places = _through(self._inputs_done, args)
        return behind

    def leave(self, result: Any) -> Any:
        """The result behind the second gate, the first one in backward."""
        several = isinstance(result, tuple)
        if not several and not isinstance(result, Tensor):
            warn("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                 f"{type(result)}")
        behind, places = _through(self._outputs_known, result if several else (result,))
        self.out_places, self.out_count = places, len(behind)
        return behind if several else behind[0]

    def _outputs_known(self, gradients: Gradients) -> Gradients:
        known = self._changed(_spread(gradients, self.out_places, self.out_count))
        self.grad_output = known
        if not self.places:  # there is no first gate: nothing but the parameters needs a gradient
            self._call((None,) * self.count)
        return tuple([known[place] for place in self.out_places])

    def _changed(self, grad_output: Gradients) -> Gradients:
        """What the pre-hooks make of the gradients of the outputs."""
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != self.out_count:
                raise RuntimeError(f"a full backward pre-hook of {self.module._get_name()} returned {len(changed)} "
                                   f"gradients, forward has {self.out_count} outputs: return one for each, or None")
            grad_output = changed
        return grad_output

    def _inputs_done(self, gradients: Gradients) -> Gradients:
        if self.grad_output is None:  # a second derivative, which did not come through the output: as PyTorch
            return gradients
        changed = self._call(_spread(gradients, self.places, self.count))
        return tuple([changed[place] for place in self.places])

    def _call(self, grad_input: Gradients) -> Gradients:
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != self.count:
                raise RuntimeError(f"a full backward hook of {self.module._get_name()} returned {len(changed)} "
                                   f"gradients, forward took {self.count} arguments: return one for each, or None")
            grad_input = changed
        self.grad_output = None
        return grad_input


def _through(passing: Callable[[Gradients], Gradients], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """The values, those that need a gradient behind a gate; and the places of these."""
    places = [place for place, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not places:
        return values, places
    behind = list(values)
    for place, value in zip(places, Gate.apply(passing, *[values[place] for place in places]), strict=True):
        behind[place] = value
    return tuple(behind), places


def _spread(gradients: Gradients, places: list[int], count: int) -> Gradients:
    """One entry for each of `count` values, None for those that are not at `places`."""
    full: list[Tensor | None] = [None] * count
    for place, gradient in zip(places, gradients, strict=True):
        full[place] = gradient
    return tuple(full)
