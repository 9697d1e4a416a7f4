"""Parser and entry point of `tinygrad-course`."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tinygrad_course import __version__
from tinygrad_course.cli import bench, completion, data, figures, info, list_rows, predict, report, run_row, train
from tinygrad_course.cli.usage import (
    FAILED,
    INSTALL_ALL,
    INTERRUPTED,
    READER_GONE,
    WRONG_INPUT,
    Parser,
    UsageError,
    one_line,
    suggestion,
)
from tinygrad_course.errors import DataError, DependencyError, StateDictError
from tinygrad_course.train import DivergenceError

_EXIT_CODES = """\
exit codes:
  0    done
  1    the outcome was not reached (training diverged, a fact fails)
  2    wrong input: an unknown name, a bad value, a missing or broken file, a
       missing package, a folder that cannot be written
  130  interrupted (Ctrl-C or SIGTERM)
  141  the reader of the output has gone (| head)
"""

_EXAMPLES = """\
examples:
  tinygrad-course train lenet           train on the shipped digits
  tinygrad-course predict --test 20     label test images with the new weights
  tinygrad-course predict scan.png      label an image file
  tinygrad-course report runs/lenet     the run as one HTML page
  tinygrad-course list                  the experiments of the course
  tinygrad-course run E1                reproduce one of them
  tinygrad-course figures --all         draw all their figures
  tinygrad-course info                  what is installed and what it runs on
  tinygrad-course bench models          speed beside PyTorch
  tinygrad-course data list             the data sets, and which are here
  tinygrad-course completion bash       completion with the Tab key

"""


_COMMANDS = {"train": train, "predict": predict, "report": report, "list": list_rows, "run": run_row, "figures": figures,
             "info": info, "bench": bench, "data": data, "completion": completion}


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of its sub-commands by name."""
    parser = Parser(prog="tinygrad-course", epilog=_EXAMPLES + _EXIT_CODES,
                    description="Train and use the networks of tinygrad_course.")
    parser.add_argument("--version", action="version", version=f"tinygrad_course {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=Parser)
    parsers = {}
    for name, module in _COMMANDS.items():
        sub = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION,
                                  epilog=module.EXAMPLES + _EXIT_CODES)
        module.add_options(sub)
        sub.set_defaults(run=module.run)
        parsers[name] = sub
    return parser, parsers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process without them) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser, parsers = build_parser()
    try:
        if not given:
            parser.print_help()
            return WRONG_INPUT
        if not given[0].startswith("-") and given[0] not in parsers:
            hint = "; did you mean --help?" if given[0] == "help" else suggestion(given[0], parsers) or "."
            raise UsageError(f"unknown command {given[0]!r}{hint} Commands: {', '.join(parsers)}")
        options, unknown = parser.parse_known_args(given)
        if unknown:
            sub = parsers.get(options.command, parser)
            known = [name for action in sub._actions for name in action.option_strings]
            what = "option" if unknown[0].startswith("-") else "argument"
            raise UsageError(f"unknown {what} {unknown[0]!r}{suggestion(unknown[0], known) or '.'} See {sub.prog} --help")
        if options.command is None:
            raise UsageError(f"give a command: {', '.join(parsers)}")
        options.given = given
        with _terminated_as_by_ctrl_c():
            code: int = options.run(options)
        sys.stdout.flush()  # here, where it can be said what is wrong
        return code
    except DependencyError as error:
        return _complain(f"{error}, or everything at once: {INSTALL_ALL}")
    except DivergenceError as error:
        print(f"tinygrad-course: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    except (UsageError, DataError, StateDictError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _mute()
        return READER_GONE
    except OSError as error:
        if error.filename is None:
            _mute()  # stdout it was, for instance on a full disk
        return _complain(f"{error.filename or 'the output'} cannot be read or written: {error.strerror}")


def _mute() -> None:
    """Nothing can be printed any more; Python would complain about that once more when it closes stdout."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


@contextmanager
def _terminated_as_by_ctrl_c() -> Iterator[None]:
    """For the block SIGTERM raises KeyboardInterrupt: files are left whole, and processes that were started are ended."""
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _complain(message: str) -> int:
    print(f"tinygrad-course: {one_line(message)}", file=sys.stderr)
    return WRONG_INPUT
