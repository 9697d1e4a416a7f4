"""Where the time of a training step of ours goes, op by op.

A watcher sees every op's forward and every node's backward when they are done; the time since the event before belongs to
it.  So the lines add up to the step, with everything in between: Python of the layers, the engine, the optimiser.  Beside it
stands the time spent inside kernels, which are wrapped while the profile runs; the rest of a line is overhead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tinygrad_course import backend
from tinygrad_course.autograd.watch import set_watcher
from tinygrad_course.backend.reference import optim
from tinygrad_course.bench.measure import quiet_collector
from tinygrad_course.bench.task import Task

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"


@dataclass
class Line:
    """What one op with one set of shapes took in one training step.

    seconds  from the end of the op before to the end of this one
    inside   of these, in kernels
    kernels  which ones
    """

    phase: str
    op: str
    shapes: str
    count: float = 0
    seconds: float = 0.0
    inside: float = 0.0
    kernels: set[str] = field(default_factory=set)


@dataclass
class Profile:
    """Lines by time, the longest first; the seconds of a watched step, and of one that nobody watched."""

    lines: list[Line]
    watched: float
    unwatched: float


class Recorder:
    """The watcher, and the keeper of the wrapped kernels."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str, str], Line] = {}
        self._depth = 0
        self._inside = 0.0
        self._names: set[str] = set()
        self._before = time.perf_counter()

    def start(self) -> None:
        """A step begins: what happened since the last event belongs to nobody."""
        self._inside, self._names, self._before = 0.0, set(), time.perf_counter()

    def forward(self, op: Any, node: Any, inputs: tuple[Any, ...], arrays: list[Any], args: tuple[Any, ...],
                out: Any) -> None:
        """Called by the engine after an op's forward; those that are not recorded belong to the backward pass."""
        self._event(BACKWARD if node.closed else FORWARD, op.name, _shapes(arrays))

    def backward(self, node: Any, gradients: tuple[Any, ...], answer: Any) -> None:
        """Called by the engine after a node's backward: the part of its rule after the last op."""
        self._event(BACKWARD, f"rule of {node.op.name}", _shapes([g.array for g in gradients if g is not None]))

    def write(self, array: Any, key: Any, value: Any) -> None:
        """Called by the engine before a write in place; its time belongs to the event after it."""

    def _event(self, phase: str, op: str, shapes: str) -> None:
        now = time.perf_counter()
        line = self.lines.setdefault((phase, op, shapes), Line(phase, op, shapes))
        line.count += 1
        line.seconds += now - self._before
        line.inside += self._inside
        line.kernels |= self._names
        self._inside, self._names, self._before = 0.0, set(), time.perf_counter()

    def wrap(self, name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """The kernel with a clock; kernels that call kernels are counted once."""
        def timed(*args: Any, **options: Any) -> Any:
            self._depth += 1
            start = time.perf_counter()
            try:
                return kernel(*args, **options)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._inside += time.perf_counter() - start
                    self._names.add(name)
                    if name in optim.KERNELS:
                        self._event(UPDATE, name, f"{len(args[0])} tensors")

        return timed


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """The block's ops and kernels are timed by the recorder."""
    kernels = vars(backend.cpu_kernels)
    before = dict(kernels)
    watcher = set_watcher(recorder)
    try:
        kernels.update({name: recorder.wrap(name, kernel) for name, kernel in before.items() if callable(kernel)})
        yield
    finally:
        kernels.update(before)
        set_watcher(watcher)


def profile(task: Task, steps: int = 10, warm_up: int = 3) -> Profile:
    """Profile `steps` training steps; all figures are means per step."""
    for _ in range(warm_up):
        task.step()
    with quiet_collector():
        start = time.perf_counter()
        for _ in range(steps):
            task.step()
        unwatched = (time.perf_counter() - start) / steps
        recorder = Recorder()
        watched = 0.0
        with recording(recorder):
            for _ in range(steps):
                recorder.start()
                start = time.perf_counter()
                task.step()
                watched += (time.perf_counter() - start) / steps
    for line in recorder.lines.values():
        line.count, line.seconds, line.inside = line.count / steps, line.seconds / steps, line.inside / steps
    return Profile(sorted(recorder.lines.values(), key=lambda line: -line.seconds), watched, unwatched)


def profile_lines(result: Profile, most: int = 40) -> list[str]:
    """A table: what took longest, the sums by op, and the sums by phase."""
    total = sum(line.seconds for line in result.lines) or 1.0
    inside = sum(line.inside for line in result.lines)
    head = f"{'phase':<9}{'op':<30}{'count':>6}{'ms':>9}{'share':>7}{'kernels':>9}  "
    text = [f"one step {1e3 * result.unwatched:.3f} ms, {1e3 * result.watched:.3f} ms while watched; "
            f"in kernels {100 * inside / total:.0f} %", "", head + "shapes"]
    for line in result.lines[:most]:
        text.append(f"{line.phase:<9}{line.op[:29]:<30}{line.count:>6g}{1e3 * line.seconds:>9.3f}"
                    f"{100 * line.seconds / total:>6.1f}%{1e3 * line.inside:>9.3f}  {line.shapes}")
    rest = result.lines[most:]
    if rest:
        text.append(f"{'':<9}{f'{len(rest)} more':<30}{sum(line.count for line in rest):>6g}"
                    f"{1e3 * sum(line.seconds for line in rest):>9.3f}"
                    f"{100 * sum(line.seconds for line in rest) / total:>6.1f}%")
    text += ["", head + "kernels called"]
    for summed in _summed(result.lines, lambda line: (line.phase, line.op)):
        text.append(f"{summed.phase:<9}{summed.op[:29]:<30}{summed.count:>6g}{1e3 * summed.seconds:>9.3f}"
                    f"{100 * summed.seconds / total:>6.1f}%{1e3 * summed.inside:>9.3f}  {', '.join(sorted(summed.kernels))}")
    text.append("")
    for summed in _summed(result.lines, lambda line: (line.phase, "")):
        text.append(f"{summed.phase:<39}{summed.count:>6g}{1e3 * summed.seconds:>9.3f}"
                    f"{100 * summed.seconds / total:>6.1f}%{1e3 * summed.inside:>9.3f}")
    return text


def _summed(lines: list[Line], key: Callable[[Line], tuple[str, str]]) -> list[Line]:
    sums: dict[tuple[str, str], Line] = {}
    for line in lines:
        phase, op = key(line)
        into = sums.setdefault((phase, op), Line(phase, op, ""))
        into.count += line.count
        into.seconds += line.seconds
        into.inside += line.inside
        into.kernels |= line.kernels
    return sorted(sums.values(), key=lambda line: -line.seconds)


def _shapes(arrays: list[Any]) -> str:
    return " ".join("x".join(map(str, array.shape)) or "()" for array in arrays if array is not None)
