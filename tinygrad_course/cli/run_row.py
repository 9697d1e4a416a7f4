"""`tinygrad-course run ROW`: reproduce one experiment of the course and say whether its facts hold."""

import argparse
import json
import textwrap
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_course import __version__
from tinygrad_course.cli.usage import (
    DONE,
    FAILED,
    INSTALL_ALL,
    UsageError,
    make_folder,
    output_folder,
    seed_number,
    suggestion,
    whole_number,
)
from tinygrad_course.io.atomic import write_atomic

if TYPE_CHECKING:
    from tinygrad_course.course import Outcome, Row

HELP = "reproduce one experiment of the course"
DESCRIPTION = """\
Run one experiment of the course (see `tinygrad-course list`), print each of
its facts with the measured and the expected value, and write outcome.json and
the figures to DIR/ROW.  Exit code 0 if all facts hold, 1 if not.  With fewer
--steps than the facts need some will fail: it is a quick look.
"""
EXAMPLES = """\
examples:
  tinygrad-course run E1
  tinygrad-course run E4 --seed 3 --out figures
  tinygrad-course run E4 --steps 5      a quick look; facts may fail

"""
OUTCOME = "outcome.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """ROW, --steps, --seed, --out, --no-figures."""
    parser.add_argument("row", metavar="ROW", help="E1, F7, ...")
    parser.add_argument("--steps", type=whole_number, metavar="N", help="training steps of each network (default: as many "
                        "as the facts need)")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="S", help="of all random draws (default: 0)")
    parser.add_argument("--out", type=output_folder, default=Path("runs/course"), metavar="DIR",
                        help="folder for outcome and figures (default: runs/course)")
    parser.add_argument("--no-figures", action="store_true", help="facts only")


def find_row(name: str) -> "Row":
    """The row of that id, in capital or small letters; UsageError with a suggestion otherwise."""
    from tinygrad_course.course import ROWS

    if name.upper() not in ROWS:
        titled = [row.id for row in ROWS.values() if name.lower() in row.title.lower()]
        near = f"; did you mean {' or '.join(titled)}?" if titled else suggestion(name.upper(), ROWS) or "."
        raise UsageError(f"unknown row {name!r}{near} Rows: {', '.join(ROWS)} (see tinygrad-course list)")
    return ROWS[name.upper()]


def run(options: argparse.Namespace) -> int:
    """Run the row, print its facts, write what it found."""
    from tinygrad_course.course import Settings

    row = find_row(options.row)
    if not options.no_figures and find_spec("matplotlib") is None:
        raise UsageError(f"figures need matplotlib: {INSTALL_ALL}, or give --no-figures")
    folder = options.out / row.id
    make_folder(folder)
    print(f"{row.id} {row.title}\ndata: {row.data}\n")
    start = time.perf_counter()
    outcome = row.run(Settings(steps=options.steps, seed=options.seed, say=lambda line: print(f"  {line}", flush=True)))
    seconds = time.perf_counter() - start
    for fact in outcome.facts:
        print(f"{'holds' if fact.holds else 'FAILS'}  {_wrapped(fact.text)}\n"
              f"       {_wrapped(f'{fact.measured}   (expected {fact.expected})')}")
    # An outcome says that its figures are whole: the old one goes before they are drawn, the new one comes after them.
    (folder / OUTCOME).unlink(missing_ok=True)
    figures = [] if options.no_figures else _draw(outcome, folder)
    _write(folder, row, options, outcome, figures, seconds)
    held = sum(fact.holds for fact in outcome.facts)
    print(f"\n{held} of {len(outcome.facts)} facts hold, {seconds:.1f} s; {folder}")
    if options.steps is not None and not outcome.holds:
        print(f"with --steps {options.steps} the facts need not hold; leave it out to reproduce them")
    return DONE if outcome.holds else FAILED


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 72, subsequent_indent=" " * 7)


def _draw(outcome: "Outcome", folder: Path) -> list[str]:
    from tinygrad_course.viz import save_figure

    names = []
    for name, draw in outcome.figures.items():
        save_figure(draw(), folder / f"{name}.png")
        names.append(f"{name}.png")
    return names


def _write(folder: Path, row: "Row", options: argparse.Namespace, outcome: "Outcome", figures: list[str],
           seconds: float) -> None:
    found = {
        "row": row.id, "title": row.title, "version": __version__, "seed": options.seed, "steps": options.steps,
        "holds": outcome.holds, "seconds": round(seconds, 2), "figures": figures,
        "facts": [vars(fact) for fact in outcome.facts],
    }
    write_atomic(folder / OUTCOME, (json.dumps(found, indent=2) + "\n").encode())
