"""`tinygrad-course figures`: the figures of the course, several experiments at a time."""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path

from tinygrad_course import __version__
from tinygrad_course.cli.list_rows import usual_time
from tinygrad_course.cli.run_row import OUTCOME, find_row
from tinygrad_course.cli.usage import (
    DONE,
    FAILED,
    INSTALL_ALL,
    INTERRUPTED,
    UsageError,
    make_folder,
    output_folder,
    seed_number,
    whole_number,
)

HELP = "draw the figures of the course"
DESCRIPTION = """\
Run experiments of the course side by side, each in a process of its own, and
collect outcome and figures in DIR/ROW.  A row that is there already, from this
version and with the same seed and steps, is left as it is: an interrupted
command goes on where it was.  Exit code 0 if all facts hold, 1 if not; with
--steps, a quick look, 1 only if a row cannot be run.
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
    names = ROWS if options.all else dict.fromkeys(find_row(name).id for name in options.rows)
    chosen = [ROWS[name] for name in names]
    make_folder(options.out)
    missing = [row for row in chosen if options.again or not _is_there(row.id, options)]
    if len(missing) < len(chosen):
        print(f"{len(chosen) - len(missing)} of {len(chosen)} are in {options.out} already (--again draws them anew)")
    # The longest first: the short ones fill the gaps at the end.
    missing.sort(key=lambda row: -row.seconds)
    total = sum(row.seconds for row in missing)
    if missing:
        print(f"{len(missing)} to run, about {usual_time(total / min(options.jobs, len(missing)))}", flush=True)
    failed = [row.id for row in chosen if row not in missing and not _outcome(row.id, options).get("holds")]
    broken: list[str] = []
    jobs = Jobs(options)
    pool = ThreadPoolExecutor(options.jobs)
    waiting = {pool.submit(jobs.run, row.id): row for row in missing}
    done = 0
    try:
        for job in as_completed(waiting):
            row, (code, last) = waiting[job], job.result()
            done += 1
            print(f"{done}/{len(missing)} {row.id:<4} {row.title}: {last}", flush=True)
            if code != DONE:
                (failed if "facts hold" in last else broken).append(row.id)
    except KeyboardInterrupt:
        print(f"\ninterrupted, {done} of {len(missing)} done; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    finally:
        jobs.stop()
        pool.shutdown(cancel_futures=True)
    if failed:
        short = "" if options.steps is None else f", as they may with --steps {options.steps}"
        print(f"facts fail in {_in_order(failed)}{short}")
    if broken:
        print(f"no outcome of {_in_order(broken)}; tinygrad-course run {broken[0]} shows why")
    return FAILED if broken or (failed and options.steps is None) else DONE


def _in_order(names: Iterable[str]) -> str:
    from tinygrad_course.course import ROWS

    return ", ".join(sorted(names, key=list(ROWS).index))


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


class Jobs:
    """Rows, each in a process of its own, that can be stopped all together."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def run(self, row: str) -> tuple[int, str]:
        """Run one row to its end; its exit code and the line that says how it went."""
        options = self.options
        arguments = [sys.executable, "-m", "tinygrad_course", "run", row, "--seed", str(options.seed), "--out",
                     str(options.out)]
        if options.steps is not None:
            arguments += ["--steps", str(options.steps)]
        threads = {} if options.jobs == 1 else {"OMP_NUM_THREADS": "1"}
        with self.lock:
            if self.stopped:
                return INTERRUPTED, "not started"
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, **threads})
            self.running.add(process)
        out, error = process.communicate()
        with self.lock:
            self.running.discard(process)
        verdicts = [line for line in out.splitlines() if "facts hold" in line]
        # A library may have warned on stderr all the same; without a verdict its last line says what went wrong.
        lines = [line for line in (error or out).splitlines() if line]
        return process.returncode, (verdicts or lines or ["no output"])[-1]

    def stop(self) -> None:
        """End what runs; a terminal has sent Ctrl-C to the rows too, `kill` has not."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.terminate()
