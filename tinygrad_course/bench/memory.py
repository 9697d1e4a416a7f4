"""Memory of a training step: each model and engine in a process of its own.

peak    resident memory at its highest during the first steps, above what it was before the first (weights, batch and the
        library are there by then)
faults  pages that the system had to hand out per step of a running loop; each costs about a microsecond
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinygrad_course.bench.engines import EAGER, OURS

FIRST_STEPS, LOOP_STEPS = 3, 5


@dataclass
class Footprint:
    """Bytes, and page faults per step."""

    before: float
    peak: float
    faults: float


@dataclass
class MemoryRow:
    """One model: footprints by engine, or why there are none."""

    model: str
    title: str
    footprints: dict[str, Footprint]
    problem: str = ""

    @property
    def timed(self) -> bool:
        """Whether both engines were measured."""
        return {OURS, EAGER} <= set(self.footprints)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run(names: Sequence[str], titles: Sequence[str], threads: int,
        progress: Callable[[str], None] = lambda text: None) -> Iterator[MemoryRow]:
    """Rows as they are done.  Linux only: other systems do not tell the peak of a part of a process's life."""
    for name, title in zip(names, titles, strict=True):
        row = MemoryRow(name, title, {})
        for engine in (OURS, EAGER):
            progress(f"{title}: memory, {engine}")
            done = subprocess.run([sys.executable, "-m", "tinygrad_course.bench.memory", name, engine, str(threads)],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                row.problem = f"{engine}: {last}"
                break
            row.footprints[engine] = Footprint(**json.loads(done.stdout.splitlines()[-1]))
        yield row


def measure(model: str, engine_name: str, threads: int) -> Footprint:
    """In this process, which should have done nothing else."""
    import resource

    from tinygrad_course.bench.engines import Engine
    from tinygrad_course.bench.models import REGISTRY

    engine = Engine(engine_name)
    engine.set_num_threads(threads)
    task = engine.build(REGISTRY[model])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status("VmRSS")
    for _ in range(FIRST_STEPS):
        task.step()
    peak = _status("VmHWM")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(LOOP_STEPS):
        task.step()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return Footprint(before, peak - before, faults / LOOP_STEPS)


def _status(key: str) -> float:
    """Bytes, from what the system knows of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return 1024.0 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {key}")


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
