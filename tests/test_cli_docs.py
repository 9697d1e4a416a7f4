"""docs/cli.md tells of every sub-command, option and exit code; its examples are commands that are understood."""

import re
import shlex
from pathlib import Path

import pytest

from tinygrad_course.cli import command, usage
from tinygrad_course.cli.command import build_parser

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([\w ]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARSER, PARSERS = build_parser()


def understood(line):
    """The sub-command of a command line, parsed without being run; two blanks, > or && end it."""
    words = shlex.split(re.split(r"  +| > | \\|\)| && |\)\"", line)[0])
    assert words[0] == "tinygrad-course"
    options, unknown = PARSER.parse_known_args(words[1:])
    assert not unknown, line
    return options.command


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_and_option_is_on_the_page(name):
    text = SECTIONS[name]
    lines = re.findall(r"^    (tinygrad-course .*)$", text, re.MULTILINE)
    assert lines, "an example"
    assert {understood(line) for line in lines} == {name}
    known = {flag for action in PARSERS[name]._actions for flag in action.option_strings} - {"-h", "--help"}
    named = set(re.findall(r"`(--[\w-]+)", text))
    assert known - named == set()
    assert named - known == set(), "options that there are not"
    assert f"| [`{name}`](#{name}) | {command._COMMANDS[name].HELP}" in PAGE


def test_the_commands_of_the_page_are_those_of_the_parser():
    assert list(SECTIONS) == ["Exit codes", *PARSERS]


def test_exit_codes():
    codes = {usage.DONE, usage.FAILED, usage.WRONG_INPUT, usage.INTERRUPTED, usage.READER_GONE}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", SECTIONS["Exit codes"], re.MULTILINE)} == codes
    for parser in (PARSER, *PARSERS.values()):
        table = parser.epilog.partition("exit codes:\n")[2]
        assert {int(code) for code in re.findall(r"^  (\d+) ", table, re.MULTILINE)} == codes


@pytest.mark.parametrize("name", PARSERS)
def test_examples_of_the_help_are_understood(name):
    examples = re.findall(r"tinygrad-course .*", command._COMMANDS[name].EXAMPLES)
    assert examples, "every help has an example"
    assert {understood(line) for line in examples} == {name}


@pytest.mark.parametrize("name", [None, *PARSERS])
def test_help_fits_a_terminal(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = (PARSERS[name] if name else PARSER).format_help()
    assert max(map(len, text.splitlines())) <= 80
    assert "examples:" in text
