"""What the benchmark runs on, and whether anything else was running there."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinygrad_course import __version__, backend, kernels
from tinygrad_course.backend import cpu
from tinygrad_course.bench.engines import package_version

SPREAD_LIMIT = 0.10   # of the calibration loop: upper quartile over the fastest
OTHERS_LIMIT = 0.05   # share of the processors that other processes took
STEAL_LIMIT = 0.01    # share that the host gave to other machines

_SETTINGS = ("TINYGRAD_COURSE_ISA", "TINYGRAD_COURSE_BACKEND", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
             "MKL_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")


@dataclass
class Machine:
    """Where and with what a run was made."""

    date: str
    cpu: str
    cores: int
    isa: str
    amx: str         # off, hardware or emulated, and why
    precision: str   # of large float32 products: set_float32_matmul_precision
    system: str
    python: str
    versions: dict[str, str]
    settings: dict[str, str]
    load: float


def describe() -> Machine:
    """The machine as it is now."""
    packages = ("torch", "jax", "numpy")
    versions = {"tinygrad_course": __version__} | {name: found for name in packages if (found := package_version(name))}
    isa, amx = "none", "off (no compiled kernels)"
    if kernels.AVAILABLE:
        linalg = cpu.compiled_module("linalg")
        isa, amx = str(linalg.isa()), "{} ({})".format(*linalg.amx())
    return Machine(
        date=time.strftime("%Y-%m-%d %H:%M"), cpu=_cpu_name(), cores=os.cpu_count() or 1, isa=isa, amx=amx,
        precision=backend.get_float32_matmul_precision(),
        system=f"{platform.system()} {platform.machine()}", python=platform.python_version(), versions=versions,
        settings={name: os.environ[name] for name in _SETTINGS if name in os.environ} | {"backend": backend.backend_name()},
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"))


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


@dataclass
class Disturbance:
    """Signs that the machine was not ours alone: shares from 0 to 1, NaN where the system does not tell.

    spread  of a small fixed loop that ran between the rounds: upper quartile over the fastest, less 1
    others  what other processes took of all processors
    steal   what the host of a virtual machine took
    """

    spread: float
    others: float
    steal: float
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = (("a fixed loop varied by", self.spread, SPREAD_LIMIT), ("other processes took", self.others, OTHERS_LIMIT),
                  ("the host took", self.steal, STEAL_LIMIT))
        self.reasons = [f"{what} {100 * value:.0f} %" for what, value, limit in limits if value > limit]


class Watchman:
    """Looks at the machine from its making until `report()`; call `calibrate()` now and then between measurements."""

    def __init__(self, helpers: Callable[[], float] = lambda: 0.0) -> None:
        """`helpers()` says how many processor seconds processes have taken that belong to the measurement."""
        self._helpers = helpers
        self._loops: list[float] = []
        self._data = np.linspace(0.1, 1.0, 2048, dtype=np.float32)
        self._product = np.empty_like(self._data)
        self._start = _cpu_times(), self._own_time()

    def calibrate(self) -> None:
        """Time a loop that lives in the first-level cache of one core: the fastest of five, so that it is warm."""
        self._loops.append(min(self._loop() for _ in range(5)))

    def _loop(self) -> float:
        start = time.perf_counter()
        for _ in range(100):
            np.multiply(self._data, self._data, out=self._product)
        return time.perf_counter() - start

    def report(self) -> Disturbance:
        """What was seen."""
        spread = 0.0
        if len(self._loops) >= 4:
            spread = statistics.quantiles(self._loops, n=4)[2] / min(self._loops) - 1
        (before, own_before), after, own = self._start, _cpu_times(), self._own_time()
        if before is None or after is None or (total := after["total"] - before["total"]) <= 0:
            return Disturbance(spread, float("nan"), float("nan"))
        ticks = os.sysconf("SC_CLK_TCK")
        others = after["busy"] - before["busy"] - ticks * (own - own_before)
        return Disturbance(spread, max(0.0, others / total), (after["steal"] - before["steal"]) / total)

    def _own_time(self) -> float:
        return time.process_time() + self._helpers()


def _cpu_times() -> dict[str, int] | None:
    """Clock ticks of all processors since the start of the system (Linux)."""
    try:
        values = [int(text) for text in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = values
    busy = user + nice + system + irq + softirq
    return {"busy": busy, "steal": steal, "total": busy + idle + iowait + steal}


