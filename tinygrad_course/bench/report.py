"""Tables, JSON and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_course.bench.engines import EAGER, OURS
from tinygrad_course.bench.machine import Machine
from tinygrad_course.bench.models import Row, geometric_mean

SCHEMA = 1
_NAMES = {EAGER: "PyTorch", "compile": "torch.compile", "jax": "JAX"}


@dataclass
class Report:
    """All that one run of the command measured; a section that was not run is empty."""

    machine: Machine
    models: list[Row] = field(default_factory=list)
    ops: list[Any] = field(default_factory=list)
    overhead: list[Any] = field(default_factory=list)
    memory: list[Any] = field(default_factory=list)
    imports: list[Any] = field(default_factory=list)
    peaks: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA, "machine": asdict(self.machine), "interrupted": self.interrupted, "absent": self.absent,
            "models": [row.as_dict() for row in self.models], "summary": [asdict(line) for line in summaries(self.models)],
            "peaks": self.peaks,
            **{name: [row.as_dict() for row in getattr(self, name)] for name in ("ops", "overhead", "memory", "imports")}}


@dataclass
class Summary:
    """Geometric mean of the ratios to PyTorch over the models that ran, for one number of threads.

    below    models under their goal, "name 1.2x < 1.8x"
    missing  models without timings
    """

    threads: int
    models: int
    training: float
    inference: float
    below: list[str]
    missing: list[str]


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """One per number of threads."""
    found = []
    for threads in dict.fromkeys(row.threads for row in rows):
        timed = [(row, training, inference) for row in rows if row.threads == threads
                 and (training := row.ratio()) is not None and (inference := row.ratio("inference")) is not None]
        found.append(Summary(
            threads, len(timed), geometric_mean([training.value for _, training, _ in timed]),
            geometric_mean([inference.value for _, _, inference in timed]),
            [f"{row.model} {training.value:.2f}x (goal {row.goal:g}x)" for row, training, _ in timed
             if training.value < row.goal],
            [row.model for row in rows if row.threads == threads and row.problem]))
    return found


def header(machine: Machine) -> list[str]:
    """What ran on what."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    settings = ", ".join(f"{name}={value}" for name, value in machine.settings.items())
    return [f"{versions}, Python {machine.python} on {machine.system}",
            f"{machine.cpu}, {machine.cores} logical cores, kernels for {machine.isa}, {settings}",
            f"{machine.date}, load average {machine.load:.2f}"]


MODEL_TITLE = (f"{'':44}{'training step (ms)':^37}  {'inference (ms)':^25}\n"
               f"{'model':<36}{'threads':>8}{'ours':>9}{'PyTorch':>9}{'ratio':>8}{'quartiles':>12}"
               f"{'ours':>10}{'PyTorch':>9}{'ratio':>8}{'goal':>7}")


def model_lines(row: Row) -> list[str]:
    """The line of one model, and more for the other engines, for a disturbed machine, or for what is missing."""
    start = f"{row.title:<36}{row.threads:>8}"
    if row.problem:
        return [f"{start}  {row.problem}"]
    training, inference = row.ratio(), row.ratio("inference")
    assert training is not None and inference is not None
    lines = [f"{start}{milliseconds(row.training[OURS].median):>9}{milliseconds(row.training[EAGER].median):>9}"
             f"{training.value:>7.2f}x{f'{training.low:.2f}-{training.high:.2f}':>12}"
             f"{milliseconds(row.inference[OURS].median):>10}{milliseconds(row.inference[EAGER].median):>9}"
             f"{inference.value:>7.2f}x{row.goal:>6g}x"]
    for name in row.training:
        if name not in (OURS, EAGER):
            against, other = row.ratio("training", name), row.ratio("inference", name)
            assert against is not None and other is not None
            lines.append(f"{'  against ' + _NAMES.get(name, name):<53}{milliseconds(row.training[name].median):>9}"
                         f"{against.value:>7.2f}x{f'{against.low:.2f}-{against.high:.2f}':>12}"
                         f"{milliseconds(row.inference[name].median):>19}{other.value:>7.2f}x")
    lines += [f"  {_NAMES.get(name, name)}: {reason}" for name, reason in row.absent.items()]
    if row.disturbance and row.disturbance.reasons:
        lines.append(f"  disturbed: {', '.join(row.disturbance.reasons)}")
    return lines


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """The geometric means, and the models below their goal."""
    lines = []
    for line in summaries(rows):
        if line.models:
            lines.append(f"geometric mean of {line.models} model{'s' * (line.models > 1)}, {line.threads} "
                         f"thread{'s' * (line.threads > 1)}: training {line.training:.2f}x, inference {line.inference:.2f}x")
            lines.append(f"  below the goal: {', '.join(line.below) or 'none'}")
        if line.missing:
            lines.append(f"  without timings: {', '.join(line.missing)}")
    disturbed = sum(bool(row.disturbance and row.disturbance.reasons) for row in rows)
    if disturbed:
        lines.append(f"WARNING: the machine was disturbed during {disturbed} of {len(rows)} measurements; repeat them when "
                     "nothing else runs")
    return lines


def milliseconds(seconds: float) -> str:
    """Three significant digits, in ms."""
    return significant(seconds * 1e3)


def significant(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def write_json(path: Path, report: Report) -> None:
    """The whole report as JSON; NaN, which JSON has not, becomes null."""
    path.write_text(json.dumps(_without_nan(report.as_dict()), indent=1) + "\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def markdown(report: Report) -> str:
    """The report as Markdown tables, for docs/benchmarks.md."""
    parts = ["\n".join(header(report.machine))]
    if report.models:
        parts.append(_table(("model", "threads", "training, ours (ms)", "PyTorch (ms)", "ratio", "quartiles", "goal",
                             "inference, ours (ms)", "PyTorch (ms)", "ratio"), map(_model_cells, report.models)))
        parts.append("\n".join(f"- {line.strip()}" for line in summary_lines(report.models)))
    return "\n\n".join(parts) + "\n"


def _model_cells(row: Row) -> tuple[str, ...]:
    training, inference = row.ratio(), row.ratio("inference")
    if training is None or inference is None:
        return (row.title, str(row.threads), row.problem, *[""] * 7)
    return (row.title, str(row.threads), milliseconds(row.training[OURS].median), milliseconds(row.training[EAGER].median),
            f"{training.value:.2f}x", f"{training.low:.2f} to {training.high:.2f}", f"{row.goal:g}x",
            milliseconds(row.inference[OURS].median), milliseconds(row.inference[EAGER].median), f"{inference.value:.2f}x")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if n == 0 else "---:" for n in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])
