"""What all sub-commands share: errors of the user, checks of option values, names with a suggestion."""

import argparse
import difflib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

DONE, FAILED, WRONG_INPUT, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141
INSTALL_ALL = 'pip install "tinygrad_course[all]"'


class UsageError(Exception):
    """Wrong input on the command line; the message is one line that says what to do."""


class Parser(argparse.ArgumentParser):
    """Raises UsageError in place of printing the whole usage, and keeps the layout of the help texts."""

    def __init__(self, **options: Any) -> None:
        # No abbreviations: `--epoch` shall get a suggestion, not silently mean whatever it means in this version.
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See {self.prog} --help")


def suggestion(name: str, known: Iterable[str]) -> str:
    """ (did you mean 'lenet'?) or nothing."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` if it is among the `known` ones; UsageError with a suggestion otherwise."""
    names = list(known)
    if name not in names:
        raise UsageError(f"unknown {kind} {name!r}{suggestion(name, names) or '.'} Known: {', '.join(names)}")
    return name


def whole_number(text: str) -> int:
    """An option that counts something: 1, 2, ..."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def seed_number(text: str) -> int:
    """A seed: 0 to 2^64 - 1."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^64 - 1")
    return value


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def output_folder(text: str) -> Path:
    """A folder that exists or can be made."""
    folder = Path(text)
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise argparse.ArgumentTypeError(f"{place} is a file, not a folder. Give another folder")
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder for results, before the work is done; UsageError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}. Give another --out") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written to. Give another --out")


def output_file(text: str) -> Path:
    """A file in an existing folder."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in an existing folder")
    return path


def one_line(message: str) -> str:
    """The message without line breaks."""
    return " ".join(message.split())
