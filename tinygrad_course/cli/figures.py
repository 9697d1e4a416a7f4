"""`tinygrad-course figures`: the figures of the course, several experiments at a time."""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path

from tinygrad_course import __version__
from tinygrad_course.cli.list_rows import usual_time
from tinygrad_course.cli.run_row import OUTCOME, find_row
from tinygrad_course.cli.usage import DONE, FAILED, INSTALL_ALL, UsageError, output_folder, seed_number, whole_number

HELP = "draw the figures of the course"
DESCRIPTION = """\
Run experiments of the course side by side, each in a process of its own, and
collect outcome and figures in DIR/ROW.  A row that is there already, from this
version and with the same seed and steps, is left as it is: an interrupted
command goes on where it was.  Exit code 0 if all facts hold, 1 if not.
"""
EXAMPLES = """\
examples:
  tinygrad-course figures --all
  tinygrad-course figures E1 E5 F7 --out lecture
  tinygrad-course figures --all --jobs 4 --again

"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """ROW ..., --all, --steps, --seed, --out, --jobs, --again."""
    parser.add_argument("rows", metavar="ROW", nargs="*", help="E1, F7, ...")
    parser.add_argument("--all", action="store_true", help="every row")
    parser.add_argument("--steps", type=whole_number, metavar="N", help="training steps of each network, for a quick look")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="S", help="of all random draws (default: 0)")
    parser.add_argument("--out", type=output_folder, default=Path("runs/course"), metavar="DIR",
                        help="folder for outcomes and figures (default: runs/course)")
    parser.add_argument("--jobs", type=whole_number, metavar="N", default=os.cpu_count() or 1,
                        help="rows at a time, each on one thread (default: one per core)")
    parser.add_argument("--again", action="store_true", help="also those that are there already")


def run(options: argparse.Namespace) -> int:
    """Start the rows that are not there yet, and report each as it ends."""
    from tinygrad_course.course import ROWS

    if bool(options.rows) == options.all:
        raise UsageError("figures: give the rows to draw, or --all (see tinygrad-course list)")
    if find_spec("matplotlib") is None:
        raise UsageError(f"figures need matplotlib: {INSTALL_ALL}")
    chosen = list(ROWS.values()) if options.all else [find_row(name) for name in dict.fromkeys(options.rows)]
    missing = [row for row in chosen if options.again or not _is_there(row.id, options)]
    if len(missing) < len(chosen):
        print(f"{len(chosen) - len(missing)} of {len(chosen)} are in {options.out} already (--again draws them anew)")
    # The longest first: the short ones fill the gaps at the end.
    missing.sort(key=lambda row: -row.seconds)
    total = sum(row.seconds for row in missing)
    if missing:
        print(f"{len(missing)} to run, about {usual_time(total / min(options.jobs, len(missing)))}", flush=True)
    failed = [row.id for row in chosen if row not in missing and not _outcome(row.id, options)["holds"]]
    pool = ThreadPoolExecutor(options.jobs)
    waiting = {pool.submit(_run, row.id, options): row for row in missing}
    try:
        for number, job in enumerate(as_completed(waiting), 1):
            row, (code, last) = waiting[job], job.result()
            print(f"{number}/{len(missing)} {row.id:<4} {row.title}: {last}", flush=True)
            if code != DONE:
                failed.append(row.id)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C: those that run have got it too; the others do not start
    if failed and options.steps is None:
        print(f"facts fail in {', '.join(sorted(failed))}")
        return FAILED
    return DONE


def _outcome(row: str, options: argparse.Namespace) -> dict[str, object]:
    """What outcome.json of the row says, {} if there is none that can be read."""
    try:
        found = json.loads((options.out / row / OUTCOME).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_there(row: str, options: argparse.Namespace) -> bool:
    found = _outcome(row, options)
    figures = found.get("figures")
    return ((found.get("version"), found.get("seed"), found.get("steps")) == (__version__, options.seed, options.steps)
            and isinstance(figures, list) and bool(figures)
            and all((options.out / row / str(name)).is_file() for name in figures))


def _run(row: str, options: argparse.Namespace) -> tuple[int, str]:
    """Run one row in a process of its own; its exit code and the last line it printed."""
    arguments = [sys.executable, "-m", "tinygrad_course", "run", row, "--seed", str(options.seed), "--out", str(options.out)]
    if options.steps is not None:
        arguments += ["--steps", str(options.steps)]
    threads = {} if options.jobs == 1 else {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env={**os.environ, **threads})
    verdicts = [line for line in done.stdout.splitlines() if "facts hold" in line]
    # A library may have warned on stderr all the same; without a verdict its last line says what went wrong.
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line]
    return done.returncode, (verdicts or lines or ["no output"])[-1]
