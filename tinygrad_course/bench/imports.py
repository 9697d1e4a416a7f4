"""How long `import` takes, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tinygrad_course.bench.measure import Timing

PACKAGES = ("tinygrad_course", "torch", "numpy")


@dataclass
class ImportRow:
    """Seconds of the import statement, per process."""

    package: str
    timing: Timing

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"median": self.timing.median}


def run(repeats: int, progress: Callable[[str], None] = lambda text: None) -> list[ImportRow]:
    """All packages, in turns; the first round, which fills the file cache, does not count."""
    samples: dict[str, list[float]] = {package: [] for package in PACKAGES}
    for number in range(repeats + 1):
        for package in PACKAGES:
            progress(f"import {package}")
            program = f"import time; start = time.perf_counter(); import {package}; print(time.perf_counter() - start)"
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            if number:
                samples[package].append(float(done.stdout))
    return [ImportRow(package, Timing(values)) for package, values in samples.items()]
