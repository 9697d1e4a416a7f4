"""`tinygrad-course list`: the experiments of the course."""

import argparse
import textwrap

from tinygrad_course.cli.usage import DONE

HELP = "the experiments of the course"
DESCRIPTION = "Show every experiment: its row in the course, its data, what it shows, how long it takes on two cores."
EXAMPLES = """\
examples:
  tinygrad-course list
  tinygrad-course list --long           with the parts of the package it shows

"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """--long."""
    parser.add_argument("--long", action="store_true", help="also data, expected outcome and parts of the package")


def run(options: argparse.Namespace) -> int:
    """One line per row, or a paragraph."""
    from tinygrad_course.course import ROWS  # models and training are not needed for `--help`

    for row in ROWS.values():
        print(f"{row.id:<4} {row.title:<52} {usual_time(row.seconds):>7}")
        if options.long:
            print(_indented(f"data: {row.data}"), _indented(f"expected: {row.expected}"),
                  _indented(f"parts: {', '.join(row.parts)}"), "", sep="\n")
    if not options.long:
        print("\ntinygrad-course run E1 reproduces one; list --long says what each is about.")
    return DONE


def usual_time(seconds: float) -> str:
    """A time of a whole run: "5 s", "3 min"; "1 s" for anything shorter."""
    return f"{max(1, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _indented(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent=" " * 5, subsequent_indent=" " * 7)
