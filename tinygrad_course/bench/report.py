"""Tables, JSON and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_course.bench.engines import EAGER, OURS
from tinygrad_course.bench.imports import ImportRow
from tinygrad_course.bench.jax_process import JAX
from tinygrad_course.bench.machine import Machine
from tinygrad_course.bench.memory import MemoryRow
from tinygrad_course.bench.models import Row, geometric_mean
from tinygrad_course.bench.ops import OpRow, Peak
from tinygrad_course.bench.overhead import OverheadRow

SCHEMA = 1
_NAMES = {EAGER: "PyTorch", "compile": "torch.compile", JAX: "JAX"}


@dataclass
class Report:
    """All that one run of the command measured; a section that was not run is empty."""

    machine: Machine
    models: list[Row] = field(default_factory=list)
    ops: list[OpRow] = field(default_factory=list)
    overhead: list[OverheadRow] = field(default_factory=list)
    memory: list[MemoryRow] = field(default_factory=list)
    imports: list[ImportRow] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA, "machine": asdict(self.machine), "interrupted": self.interrupted, "absent": self.absent,
            "models": [row.as_dict() for row in self.models], "summary": [asdict(line) for line in summaries(self.models)],
            "peaks": [asdict(peak) for peak in self.peaks],
            **{name: [row.as_dict() for row in getattr(self, name)] for name in ("ops", "overhead", "memory", "imports")}}


@dataclass
class Summary:
    """Geometric mean of the ratios to PyTorch over the models that ran, for one number of threads.

    below    models under their goal, "name 1.2x < 1.8x"
    missing  models without timings
    others   by further engine the number of models that ran in it, and the means over these of training and inference
    """

    threads: int
    models: int
    training: float
    inference: float
    below: list[str]
    missing: list[str]
    others: dict[str, tuple[int, float, float]] = field(default_factory=dict)


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """One per number of threads."""
    found = []
    for threads in dict.fromkeys(row.threads for row in rows):
        timed = [row for row in rows if row.threads == threads and row.timed]
        found.append(Summary(
            threads, len(timed), geometric_mean([row.ratio().value for row in timed]),
            geometric_mean([row.ratio("inference").value for row in timed]),
            [f"{row.model} {row.ratio().value:.2f}x (goal {row.goal:g}x)" for row in timed if row.ratio().value < row.goal],
            [row.model for row in rows if row.threads == threads and not row.timed],
            {name: _means([row for row in timed if name in row.training], name) for name in further_engines(timed)}))
    return found


def further_engines(rows: Sequence[Row]) -> list[str]:
    """Those that any row was compared with, or was to be, beside PyTorch eager."""
    return list(dict.fromkeys(name for row in rows for name in (*row.training, *row.absent) if name not in (OURS, EAGER)))


def _means(rows: Sequence[Row], to: str) -> tuple[int, float, float]:
    training, inference = ([row.ratio(what, to).value for row in rows] for what in ("training", "inference"))
    return len(rows), geometric_mean(training), geometric_mean(inference)


def header(machine: Machine) -> list[str]:
    """What ran on what."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    settings = ", ".join(f"{name}={value}" for name, value in machine.settings.items())
    return [f"{versions}, Python {machine.python} on {machine.system}",
            f"{machine.cpu}, {machine.cores} logical cores, kernels for {machine.isa}, {settings}",
            f"AMX {machine.amx}, float32 matrix products: {machine.precision}",
            f"{machine.date}, load average {machine.load:.2f}"]


MODEL_TITLE = (f"{'':44}{'training step (ms)':^37}  {'inference (ms)':^25}\n"
               f"{'model':<36}{'threads':>8}{'ours':>9}{'PyTorch':>9}{'ratio':>8}{'quartiles':>12}"
               f"{'ours':>10}{'PyTorch':>9}{'ratio':>8}{'goal':>7}")


def model_lines(row: Row) -> list[str]:
    """The line of one model, and more for the other engines, for a disturbed machine, or for what is missing."""
    start = f"{row.title:<36}{row.threads:>8}"
    if not row.timed:
        return [f"{start}  {row.problem}"]
    training, inference = row.ratio(), row.ratio("inference")
    lines = [f"{start}{milliseconds(row.training[OURS].median):>9}{milliseconds(row.training[EAGER].median):>9}"
             f"{training.value:>7.2f}x{f'{training.low:.2f}-{training.high:.2f}':>12}"
             f"{milliseconds(row.inference[OURS].median):>10}{milliseconds(row.inference[EAGER].median):>9}"
             f"{inference.value:>7.2f}x{row.goal:>6g}x"]
    for name in row.training:
        if name not in (OURS, EAGER):
            against, other = row.ratio("training", name), row.ratio("inference", name)
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
        for name, (models, training, inference) in line.others.items():
            lines.append(f"  against {_NAMES[name]}, {models} model{'s' * (models != 1)}: "
                         + (f"training {training:.2f}x, inference {inference:.2f}x" if models else "none ran"))
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
    parts = ["  \n".join(header(report.machine))]
    if report.models:
        further = further_engines(report.models)
        parts.append(_table(("model", "threads", "training, ours (ms)", "PyTorch (ms)", "ratio", "quartiles", "goal",
                             "inference, ours (ms)", "PyTorch (ms)", "ratio",
                             *(f"{what}, {_NAMES[name]} {unit}" for name in further for what in ("training", "inference")
                               for unit in ("(ms)", "/ ours"))),
                            [(*_model_cells(row), *_further_cells(row, further)) for row in report.models]))
        parts.append("\n".join(f"- {line.strip()}" for line in summary_lines(report.models)))
    if report.ops:
        parts.append(_table(("op", "direction", "threads", "ours (µs)", "PyTorch (µs)", "ratio", "rate", "of the roofline"),
                            [(row.op, row.direction, str(row.threads), *_op_cells(row)) for row in report.ops]))
        parts.append("\n".join(f"- {line}" for line in peak_lines(report.peaks)))
    if report.overhead:
        parts.append(_table(("what", "ours (ns)", "PyTorch (ns)", "ratio"),
                            [(row.what, *_overhead_cells(row)) for row in report.overhead]))
    if report.memory:
        parts.append(_table(("model", "peak, ours (MiB)", "PyTorch (MiB)", "page faults per step, ours", "PyTorch"),
                            [(row.title, *_memory_cells(row)) for row in report.memory]))
    if report.imports:
        parts.append(_table(("import", "seconds"), [(row.package, f"{row.timing.median:.3f}") for row in report.imports]))
    return "\n\n".join(parts) + "\n"


def _model_cells(row: Row) -> tuple[str, ...]:
    if not row.timed:
        return (row.title, str(row.threads), row.problem, *[""] * 7)
    training, inference = row.ratio(), row.ratio("inference")
    return (row.title, str(row.threads), milliseconds(row.training[OURS].median), milliseconds(row.training[EAGER].median),
            f"{training.value:.2f}x", f"{training.low:.2f} to {training.high:.2f}", f"{row.goal:g}x",
            milliseconds(row.inference[OURS].median), milliseconds(row.inference[EAGER].median), f"{inference.value:.2f}x")


def _further_cells(row: Row, engines: Sequence[str]) -> Iterator[str]:
    """Empty where an engine is absent."""
    for name in engines:
        for what in ("training", "inference"):
            timings = getattr(row, what)
            if row.timed and name in timings:
                yield from (milliseconds(timings[name].median), f"{row.ratio(what, name).value:.2f}x")
            else:
                yield from ("", "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if n == 0 else "---:" for n in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


OP_TITLE = (f"{'op':<46}{'direction':<10}{'threads':>7}{'ours us':>10}{'PyTorch':>10}{'ratio':>8}{'rate':>16}"
            f"{'roofline':>10}")


def op_line(row: OpRow) -> str:
    """One line of the table of ops."""
    start = f"{row.op:<46}{row.direction:<10}{row.threads:>7}"
    if not row.timed:
        return f"{start}  {row.problem}"
    ours, theirs, factor, rate, share = _op_cells(row)
    mark = "  disturbed" if row.disturbance and row.disturbance.reasons else ""
    return f"{start}{ours:>10}{theirs:>10}{factor:>8}{rate:>16}{share:>10}{mark}"


def _op_cells(row: OpRow) -> tuple[str, ...]:
    if not row.timed:
        return (row.problem, "", "", "", "")
    rate, unit = row.rate()
    return (significant(1e6 * row.timings[OURS].median), significant(1e6 * row.timings[EAGER].median),
            f"{row.ratio().value:.2f}x", f"{significant(rate)} {unit}", f"{100 * row.share():.0f} %")


def peak_lines(peaks: Sequence[Peak]) -> list[str]:
    """The rooflines."""
    return [f"roofline with {peak.threads} thread{'s' * (peak.threads > 1)}: {peak.flops / 1e9:.0f} GFLOP/s, "
            f"{peak.bandwidth / 1e9:.1f} GB/s" for peak in peaks]


def op_summary_lines(rows: Sequence[OpRow]) -> list[str]:
    """Geometric means by direction and threads."""
    lines = []
    for threads, direction in dict.fromkeys((row.threads, row.direction) for row in rows):
        values = [row.ratio().value for row in rows if row.timed and (row.threads, row.direction) == (threads, direction)]
        lines.append(f"geometric mean of {len(values)} ops, {direction}, {threads} thread{'s' * (threads > 1)}: "
                     f"{geometric_mean(values):.2f}x, slower than PyTorch: {sum(value < 1 for value in values)}")
    return lines


OVERHEAD_TITLE = f"{'what':<36}{'ours ns':>10}{'PyTorch':>10}{'ratio':>8}"


def overhead_line(row: OverheadRow) -> str:
    """One line of the table of overheads."""
    ours, theirs, factor = _overhead_cells(row)
    return f"{row.what:<36}{ours:>10}{theirs:>10}{factor:>8}"


def _overhead_cells(row: OverheadRow) -> tuple[str, ...]:
    return (f"{1e9 * row.timings[OURS].median:.0f}", f"{1e9 * row.timings[EAGER].median:.0f}", f"{row.ratio().value:.2f}x")


MEMORY_TITLE = (f"{'':<36}{'peak of a step (MiB)':^20}{'page faults per step':^22}\n"
                f"{'model':<36}{'ours':>10}{'PyTorch':>10}{'ours':>11}{'PyTorch':>11}")


def memory_line(row: MemoryRow) -> str:
    """One line of the table of memory."""
    if not row.timed:
        return f"{row.title:<36}  {row.problem}"
    ours, theirs, faults, their_faults = _memory_cells(row)
    return f"{row.title:<36}{ours:>10}{theirs:>10}{faults:>11}{their_faults:>11}"


def _memory_cells(row: MemoryRow) -> tuple[str, ...]:
    if not row.timed:
        return (row.problem, "", "", "")
    ours, theirs = row.footprints[OURS], row.footprints[EAGER]
    return (f"{ours.peak / 2**20:.1f}", f"{theirs.peak / 2**20:.1f}", f"{ours.faults:.0f}", f"{theirs.faults:.0f}")


def import_line(row: ImportRow) -> str:
    """One line of the table of imports."""
    return f"import {row.package:<24}{row.timing.median:>8.3f} s"
