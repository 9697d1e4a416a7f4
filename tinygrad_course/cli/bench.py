"""`tinygrad-course bench`: speed and memory, measured against PyTorch."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from tinygrad_course import backend
from tinygrad_course.bench import chart, imports, memory, models, opcases, ops, overhead
from tinygrad_course.bench import profile as profiling
from tinygrad_course.bench import report as reporting
from tinygrad_course.bench.engines import EAGER, OURS, Engine
from tinygrad_course.bench.jax_process import JAX
from tinygrad_course.bench.machine import describe
from tinygrad_course.bench.measure import Plan
from tinygrad_course.cli.usage import (
    DONE,
    FAILED,
    INTERRUPTED,
    UsageError,
    choose,
    output_file,
    positive_number,
    whole_number,
)

HELP = "measure speed and memory against PyTorch"
DESCRIPTION = """\
Measure this package against PyTorch on this machine (docs/benchmarks.md).

  models    training step and inference of 15 networks
  ops       single operations, forward and backward, against the roofline
  overhead  what an operation, a layer, an optimiser cost beside the arithmetic
  memory    peak memory and page faults of a training step (Linux)
  import    how long the import takes
  all       all of these
  profile   where the time of one network's training step goes (only ours)
"""
EXAMPLES = """\
examples:
  tinygrad-course bench models                everything, with 1 and 2 threads
  tinygrad-course bench models --only lenet --threads 1
  tinygrad-course bench models --against torch,jax        (pip install jax)
  tinygrad-course bench models --json now.json --chart now.png
  tinygrad-course bench ops --only "relu 32x64x32x32"
  tinygrad-course bench profile resnet20 --threads 2

"""

SECTIONS = ("models", "ops", "overhead", "memory", "import")
WHAT = (*SECTIONS, "all", "profile")
OTHERS = (EAGER, "compile", JAX)
_CHILD = "TINYGRAD_COURSE_BENCH_CHILD"
# PyTorch is imported first, so that OpenMP, which both share, is set up as PyTorch has it: this package would limit the
# spinning of idle threads, and PyTorch's small parallel regions would take up to three times as long.
_START = """\
import sys
try:
    import torch
except ImportError:
    pass
from tinygrad_course.cli import main
sys.exit(main(sys.argv[1:]))
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Arguments and options of the sub-command."""
    parser.add_argument("what", metavar="WHAT", help=", ".join(WHAT))
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the network to profile")
    parser.add_argument("--only", metavar="NAMES", action="append", default=[],
                        help="only these, separated by commas; may be given several times")
    parser.add_argument("--threads", metavar="N,...", type=_numbers, default=None,
                        help="numbers of threads (default: 1,2; profile: 1)")
    parser.add_argument("--repeats", metavar="N", type=whole_number, default=15,
                        help="at most so many rounds (default: 15)")
    parser.add_argument("--seconds", metavar="S", type=positive_number, default=6.0,
                        help="about so long for each measurement (default: 6)")
    parser.add_argument("--against", metavar="NAMES", default="torch",
                        help=f"what to compare with: {','.join(OTHERS)} (default: torch)")
    parser.add_argument("--json", metavar="FILE", type=output_file, help="write everything that was measured")
    parser.add_argument("--markdown", metavar="FILE", type=output_file, help="write the tables as Markdown")
    parser.add_argument("--chart", metavar="FILE.png", type=output_file, help="draw the ratios of the models")


def run(options: argparse.Namespace) -> int:
    """Measure what the options name; returns the exit code."""
    choose("benchmark", options.what, WHAT)
    names = _names(options)
    for name in options.against.split(","):
        choose("engine", name, OTHERS)
    if options.what == "profile":
        if options.model is None:
            raise UsageError(f"which model? Give one of {', '.join(models.REGISTRY)}")
        choose("model", options.model, models.REGISTRY)
    elif options.model is not None:
        raise UsageError(f"unexpected argument {options.model!r}; choose models by --only {options.model}")
    if options.what != "profile" and find_spec("torch") is None:
        raise UsageError("the benchmark compares with PyTorch, which is not installed: pip install torch")
    if JAX in options.against.split(",") and find_spec("jax") is None:
        raise UsageError("--against jax compares with JAX, which is not installed: pip install jax")
    if options.chart is not None and find_spec("matplotlib") is None:
        raise UsageError("the chart needs the package matplotlib: pip install matplotlib, or leave out --chart")
    if os.environ.get(_CHILD) != "1":
        return _in_child(options.given)
    if options.what == "profile":
        return _profile(options)
    return _measure(options, names)


def _in_child(arguments: list[str]) -> int:
    """Run the command again in a process that starts with PyTorch, see _START."""
    environment = dict(os.environ)
    if environment.get("GOMP_SPINCOUNT") == "10000":  # set by the import of this package
        del environment["GOMP_SPINCOUNT"]
    with subprocess.Popen([sys.executable, "-c", _START, *arguments], env={**environment, _CHILD: "1"}) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                pass  # the terminal has told the child as well, which prints what there is


def _names(options: argparse.Namespace) -> list[str]:
    """What --only names, in the order of the registry; nothing if it was not given."""
    known: dict[str, Mapping[str, object]] = {"models": models.REGISTRY, "memory": models.REGISTRY, "ops": opcases.CASES,
                                              "overhead": overhead.CASES}
    if not options.only:
        return []
    if options.what not in known:
        raise UsageError(f"--only goes with {', '.join(known)}, not with {options.what}")
    registry = list(known[options.what])
    # Names of overheads have commas in them.
    parts = [part for text in options.only for part in ([text] if text in registry else text.split(","))]
    wanted = {choose(_KINDS[options.what], part.strip(), registry) for part in parts}
    return [name for name in registry if name in wanted]


def _measure(options: argparse.Namespace, names: list[str]) -> int:
    report = reporting.Report(describe())
    print(*reporting.header(report.machine), sep="\n", flush=True)
    try:
        for section in SECTIONS if options.what == "all" else (options.what,):
            print()
            _SECTIONS[section](options, names, report)
    except KeyboardInterrupt:
        report.interrupted = True
    return _finish(report, options)


def _models(options: argparse.Namespace, names: list[str], report: reporting.Report) -> None:
    print(reporting.MODEL_TITLE, flush=True)
    try:
        for row in models.run(names or list(models.REGISTRY), _threads(options), _plan(options),
                              options.against.split(","), _progress()):
            report.models.append(row)
            print("\n".join(reporting.model_lines(row)), flush=True)
    finally:
        print("", *reporting.summary_lines(report.models), sep="\n", flush=True)


def _ops(options: argparse.Namespace, names: list[str], report: reporting.Report) -> None:
    say = _progress()
    plan = Plan(options.repeats, min(options.seconds, 1.0))  # there are many
    say("roofline")
    report.peaks = [ops.measure_peak([Engine(OURS), Engine(EAGER)], n, plan) for n in _threads(options)]
    print(*reporting.peak_lines(report.peaks), "", reporting.OP_TITLE, sep="\n", flush=True)
    try:
        for row in ops.run(names or list(opcases.CASES), _threads(options), plan, report.peaks, say):
            report.ops.append(row)
            print(reporting.op_line(row), flush=True)
    finally:
        print("", *reporting.op_summary_lines(report.ops), sep="\n", flush=True)


def _overhead(options: argparse.Namespace, names: list[str], report: reporting.Report) -> None:
    print(reporting.OVERHEAD_TITLE, flush=True)
    plan = Plan(options.repeats, min(options.seconds, 1.0))
    for row in overhead.run(names or list(overhead.CASES), plan, _progress()):
        report.overhead.append(row)
        print(reporting.overhead_line(row), flush=True)


def _memory(options: argparse.Namespace, names: list[str], report: reporting.Report) -> None:
    print(reporting.MEMORY_TITLE, flush=True)
    chosen = [models.REGISTRY[name] for name in names or models.REGISTRY]
    for row in memory.run([model.name for model in chosen], [model.title for model in chosen], _threads(options)[-1],
                          _progress()):
        report.memory.append(row)
        print(reporting.memory_line(row), flush=True)


def _import(options: argparse.Namespace, names: list[str], report: reporting.Report) -> None:
    report.imports = imports.run(min(options.repeats, 7), _progress())
    print(*map(reporting.import_line, report.imports), sep="\n", flush=True)


_SECTIONS = {"models": _models, "ops": _ops, "overhead": _overhead, "memory": _memory, "import": _import}
_KINDS = {"models": "model", "memory": "model", "ops": "op", "overhead": "overhead"}


def _threads(options: argparse.Namespace) -> list[int]:
    return options.threads or [1, 2]


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(options.repeats, options.seconds)


def _finish(report: reporting.Report, options: argparse.Namespace) -> int:
    if options.json is not None:
        reporting.write_json(options.json, report)
        print(f"figures   {options.json}")
    if options.markdown is not None:
        options.markdown.write_text(reporting.markdown(report), encoding="utf-8")
        print(f"tables    {options.markdown}")
    if options.chart is not None:
        if any(row.timed for row in report.models):
            chart.draw(report.models, options.chart)
            print(f"chart     {options.chart}")
        else:
            print("no chart: no model was timed")
    if report.interrupted:
        print("interrupted")
        return INTERRUPTED
    wrong = any(row.wrong for row in report.models) or any(row.wrong for row in report.ops)
    return FAILED if wrong else DONE


def _profile(options: argparse.Namespace) -> int:
    model = models.REGISTRY[options.model]
    for threads in options.threads or [1]:
        backend.set_num_threads(threads)
        result = profiling.profile(Engine(OURS).build(model), steps=options.repeats)
        print(f"{model.title}, {threads} thread{'s' * (threads > 1)}: training step of ours",
              *profiling.profile_lines(result), "", sep="\n")
    return DONE


def _progress() -> Callable[[str], None]:
    """Says on a terminal what is being measured, in a line that the next output replaces."""
    if not sys.stderr.isatty():
        return lambda text: None

    def say(text: str) -> None:
        print(f"\r\x1b[K{text} ...\r", end="", file=sys.stderr, flush=True)

    return say


def _numbers(text: str) -> list[int]:
    return [whole_number(part) for part in text.split(",")]
