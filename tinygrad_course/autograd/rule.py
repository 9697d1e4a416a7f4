"""Rule: an op class as the engine uses it, with its functions looked up once and not at every call."""

from typing import Any

from tinygrad_course.kernels.direct import loop_number

# What forward saves for backward.
UNKNOWN, NOTHING, OUTPUT, OPERANDS = -1, 0, 1, 2
_SAVES = {"": UNKNOWN, "nothing": NOTHING, "output": OUTPUT, "operands": OPERANDS}


class Rule:
    """Op classes keep theirs as `rule`.

    op              the class
    shape           its functions
    forward
    backward
    differentiable  its flags
    view
    loop            number of the elementwise loop that forward consists of (kernels/direct.pyx), -1: forward has to be called
    saves           what forward saves; UNKNOWN: forward has to be called where it is recorded
    """

    __slots__ = ("_own_forward", "backward", "differentiable", "forward", "loop", "op", "saves", "shape", "view")

    op: Any
    shape: Any
    forward: Any
    backward: Any
    differentiable: bool
    view: bool
    loop: int
    saves: int
    _own_forward: Any

    def __init__(self, op: Any) -> None:
        self.op = op
        self._own_forward = op.__dict__.get("forward") if "kernel" in op.__dict__ else None
        self.update()

    def update(self) -> None:
        """Look everything up again.  A forward that was replaced, by a spy in a test say, is the one that runs."""
        op = self.op
        self.shape = getattr(op, "shape", None)
        self.forward = getattr(op, "forward", None)
        self.backward = getattr(op, "backward", None)
        self.differentiable = op.differentiable
        self.view = op.view
        own = self._own_forward is not None and op.__dict__["forward"] is self._own_forward
        self.loop = loop_number(op.kernel) if own else -1
        self.saves = _SAVES[op.saves]
