"""`tinygrad-course list`: the experiments of the course."""

import argparse
import textwrap

from tinygrad_course.cli.usage import DONE, UsageError

HELP = "the experiments of the course"
DESCRIPTION = """\
Show every experiment: its row in the course, its title and usual time (whole
run, two cores), its data, and the outcome that is expected of it.
"""
EXAMPLES = """\
examples:
  tinygrad-course list
  tinygrad-course list --short          one line for each
  tinygrad-course list --long           with the parts of the package it shows

"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """--short, --long."""
    parser.add_argument("--short", action="store_true", help="only row, title and usual time")
    parser.add_argument("--long", action="store_true", help="also the parts of the package that it is about")


def run(options: argparse.Namespace) -> int:
    """A paragraph per row, or a line."""
    from tinygrad_course.course import ROWS  # models and training are not needed for `--help`

    if options.short and options.long:
        raise UsageError("list: give --short or --long, not both")
    for row in ROWS.values():
        print(f"{row.id:<4} {row.title:<52} {usual_time(row.seconds):>7}")
        if not options.short:
            print(_indented(f"data: {row.data}"), _indented(f"expected: {row.expected}"), sep="\n")
        if options.long:
            print(_indented(f"parts: {', '.join(row.parts)}"), "", sep="\n")
    example = next(iter(ROWS))
    hint = "list without --short says what each is about" if options.short else "list --short gives each a line"
    print(f"\ntinygrad-course run {example} reproduces one; {hint}.")
    return DONE


def usual_time(seconds: float) -> str:
    """A time of a whole run: "5 s", "3 min"; "1 s" for anything shorter."""
    return f"{max(1, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _indented(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent=" " * 5, subsequent_indent=" " * 7)
