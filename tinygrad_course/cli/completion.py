"""`tinygrad-course completion SHELL`: what the Tab key offers in bash, zsh and fish, made from the parsers of the command.

The scripts hold all words and start no Python while one types: an import per press of the key would be felt.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tinygrad_course.cli.usage import DONE, choose, output_file, output_folder

HELP = "complete commands, options and names with the Tab key"
DESCRIPTION = """\
Print a script for your shell.  With it, Tab completes sub-commands, options,
rows of the course, networks, data sets, files.  To install it, once:

  bash    tinygrad-course completion bash \\
            > ~/.local/share/bash-completion/completions/tinygrad-course
          (mkdir -p that folder first; it needs the package bash-completion.
          Without it: ... > ~/.tinygrad-course.bash, and in ~/.bashrc the line
          source ~/.tinygrad-course.bash)
  zsh     tinygrad-course completion zsh > ~/.zfunc/_tinygrad-course
          and in ~/.zshrc, before compinit:  fpath+=~/.zfunc
  fish    tinygrad-course completion fish \\
            > ~/.config/fish/completions/tinygrad-course.fish

Then open a new terminal.  After an update of the package print it again: the
script holds the names of the rows.
"""
EXAMPLES = """\
examples:
  source <(tinygrad-course completion bash)      only in this terminal
  tinygrad-course completion zsh > ~/.zfunc/_tinygrad-course

"""
SHELLS = ("bash", "zsh", "fish")
PROGRAM = "tinygrad-course"


def add_options(parser: argparse.ArgumentParser) -> None:
    """SHELL."""
    parser.add_argument("shell", metavar="SHELL", help=", ".join(SHELLS))


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    makers: dict[str, Callable[[list[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
    print(makers[choose("shell", options.shell, SHELLS)](commands()), end="")
    return DONE


# ---- what there is to complete --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """An option, or an argument in its place.

    flags   "--epochs" ...; empty for arguments
    name    METAVAR of the value; empty for options without one
    many    whether an argument may be given again and again
    words   that the value may be; paths: "files", "folders", "" for neither
    """

    flags: tuple[str, ...]
    name: str
    help: str
    many: bool
    words: tuple[str, ...]
    paths: str


@dataclass(frozen=True)
class Command:
    """A sub-command."""

    name: str
    help: str
    options: tuple[Argument, ...]
    arguments: tuple[Argument, ...]


def commands() -> list[Command]:
    """All sub-commands, as their parsers describe them."""
    from tinygrad_course.cli.command import build_parser

    parser, parsers = build_parser()
    helps = {choice.dest: choice.help or "" for action in parser._actions
             if isinstance(action, argparse._SubParsersAction) for choice in action._choices_actions}
    names = _names()
    found = []
    for name, sub in parsers.items():
        arguments = [_argument(action, names.get((name, action.dest), ())) for action in sub._actions]
        found.append(Command(name, helps[name], tuple(entry for entry in arguments if entry.flags),
                             tuple(entry for entry in arguments if not entry.flags)))
    return found


def _argument(action: argparse.Action, words: Iterable[str]) -> Argument:
    takes_value = action.nargs != 0
    known = tuple(words) or tuple(map(str, action.choices or ()))
    paths = "folders" if action.type is output_folder or action.dest == "folder" else \
        "files" if action.type in (Path, output_file) or (action.dest == "data" and action.option_strings) else ""
    name = str(action.metavar or "|".join(known)) if takes_value else ""
    return Argument(tuple(action.option_strings), name, (action.help or "").replace("%%", "%"), action.nargs in ("*", "+"),
                    known, paths)


def _names() -> dict[tuple[str, str], Iterable[str]]:
    """The words for (sub-command, argument), where the parsers check them by themselves."""
    from tinygrad_course.bench import models
    from tinygrad_course.cli import bench, data, images, train
    from tinygrad_course.course import ROWS
    from tinygrad_course.data.catalogue import SETS

    return {("train", "model"): train.MODELS, ("train", "data"): images.NAMES, ("predict", "data"): images.NAMES,
            ("run", "row"): ROWS, ("figures", "rows"): ROWS, ("bench", "what"): bench.WHAT,
            ("bench", "model"): models.REGISTRY, ("bench", "only"): models.REGISTRY, ("bench", "against"): bench.OTHERS,
            ("data", "what"): data.WHAT, ("data", "names"): SETS, ("completion", "shell"): SHELLS}


# ---- bash -----------------------------------------------------------------------------------------------------------

_BASH = """\
# bash completion of tinygrad-course, made by `tinygrad-course completion bash`.  Works from bash 3.2 on.

_tinygrad_course() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    # bash cuts --data=digits into three words.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
    fi
    local command=${COMP_WORDS[1]} options= valued= words= paths= place=0 index
    [[ $COMP_CWORD -eq 1 ]] && command=
    case $command in
@options@
    esac
    for ((index = 2; index < COMP_CWORD; index++)); do
        if [[ " $valued " == *" ${COMP_WORDS[index]} "* ]]; then
            ((index++))  # the value of an option
            [[ ${COMP_WORDS[index]} == = ]] && ((index++))
        elif [[ ${COMP_WORDS[index]} != -* ]]; then
            ((place++))
        fi
    done
    if [[ " $valued " == *" $previous "* ]]; then
        case "$command $previous" in
@values@
        esac
    elif [[ $current == -* ]]; then
        words=$options
    else
        case "$command $place" in
@arguments@
        esac
    fi
    # Rows of the course in small letters too.
    [[ $words == *E1* && $current == [[:lower:]]* ]] && words=$(tr '[:upper:]' '[:lower:]' <<< "$words")
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ -n $paths ]]; then
        local IFS=$'\\n'  # names of files have blanks in them
        COMPREPLY+=($(compgen "$paths" -- "$current"))
        compopt -o filenames 2> /dev/null
    fi
    return 0
}

complete -F _tinygrad_course tinygrad-course
"""
_BASH_PATHS = {"files": "-f", "folders": "-d"}


def bash(found: list[Command]) -> str:
    """The script for bash."""
    options = ["        '') options='-h --help --version' ;;"]
    values = []
    arguments = [f"            ' 0') words={_quoted(' '.join(command.name for command in found))} ;;"]
    for command in found:
        flags = [flag for option in command.options for flag in option.flags]
        valued = [flag for option in command.options if option.name for flag in option.flags]
        options.append(f"        {command.name}) options={_quoted(' '.join(flags))} valued={_quoted(' '.join(valued))} ;;")
        for option in command.options:
            if option.words or option.paths:
                pattern = " | ".join(_quoted(f"{command.name} {flag}") for flag in option.flags)
                values.append(f"            {pattern}) {_bash_answer(option)} ;;")
        for place, argument in enumerate(command.arguments):
            if argument.words or argument.paths:
                pattern = f"'{command.name} '*" if argument.many else f"'{command.name} {place}'"
                arguments.append(f"            {pattern}) {_bash_answer(argument)} ;;")
    return (_BASH.replace("@options@", "\n".join(options)).replace("@values@", "\n".join(values))
            .replace("@arguments@", "\n".join(arguments)))


def _bash_answer(argument: Argument) -> str:
    parts = [f"words={_quoted(' '.join(argument.words))}"] if argument.words else []
    return " ".join([*parts, *([f"paths={_BASH_PATHS[argument.paths]}"] if argument.paths else [])])


def _quoted(text: str) -> str:
    """One word of bash and zsh, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


# ---- zsh ------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef tinygrad-course
# zsh completion of tinygrad-course, made by `tinygrad-course completion zsh`.

_tinygrad_course() {
    local context state state_descr line
    typeset -A opt_args
    local -a commands
    commands=(
@commands@
    )
    _arguments -C '(- *)'{-h,--help}'[show the help]' '(- *)--version[show the version]' \\
        '1:command:->command' '*::argument:->argument'
    case $state in
        command) _describe -t commands command commands ;;
        argument)
            case ${line[1]} in
@arguments@
            esac ;;
    esac
}

if [[ ${funcstack[1]} == _tinygrad-course ]]; then
    _tinygrad_course "$@"  # loaded from the file of that name in a folder of fpath, at the first Tab
else
    compdef _tinygrad_course tinygrad-course
fi
"""
_ZSH_PATHS = {"files": "_files", "folders": "_files -/"}


def zsh(found: list[Command]) -> str:
    """The script for zsh."""
    described = [f"        {_quoted(f'{_zsh_text(command.name)}:{_zsh_text(command.help)}')}" for command in found]
    cases = []
    for command in found:
        specs = []
        for option in command.options:
            value = f":{_zsh_text(option.name)}:{_zsh_action(option)}" if option.name else ""
            # With = the value may be the next word or stand behind --flag=.
            specs += [_quoted(f"{flag}{'=' if value and flag.startswith('--') else ''}[{_zsh_text(option.help)}]{value}")
                      for flag in option.flags]
        for place, argument in enumerate(command.arguments, 1):
            specs.append(_quoted(f"{'*' if argument.many else place}:{_zsh_text(argument.name)}:{_zsh_action(argument)}"))
        lines = " \\\n                    ".join(["_arguments", *specs])
        cases.append(f"                {command.name})\n                    {lines} ;;")
    return _ZSH.replace("@commands@", "\n".join(described)).replace("@arguments@", "\n".join(cases))


def _zsh_text(text: str) -> str:
    """Text in a specification of _arguments or _describe, where brackets and colons have a meaning."""
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _zsh_action(argument: Argument) -> str:
    words = f"({' '.join(argument.words)})" if argument.words else ""
    paths = _ZSH_PATHS.get(argument.paths, "")
    if "E1" in argument.words:  # rows of the course in small letters too
        return f"compadd -M \"m\\:{{a-z}}={{A-Z}}\" - {' '.join(argument.words)}"
    if words and paths:
        return f"{{_alternative \"words\\:word\\:{words}\" \"paths\\:path\\:{paths}\"}}"
    return words or paths


# ---- fish -----------------------------------------------------------------------------------------------------------

_FISH = """\
# fish completion of tinygrad-course, made by `tinygrad-course completion fish`.

function __tinygrad_course_command --description 'the sub-command is the first argument'
    set -l typed (commandline -opc)
    test (count $typed) -ge 2; and test "$typed[2]" = "$argv[1]"
end

function __tinygrad_course_place --description 'sub-command, and the number of words after it at least, at most'
    __tinygrad_course_command $argv[1]; or return 1
    set -l after (math (count (commandline -opc)) - 2)
    test $after -ge $argv[2]; and test $after -le $argv[3]
end

complete -c tinygrad-course -f
complete -c tinygrad-course -n __fish_use_subcommand -s h -l help -d 'show the help'
complete -c tinygrad-course -n __fish_use_subcommand -l version -d 'show the version'
"""


def fish(found: list[Command]) -> str:
    """The script for fish."""
    lines = []
    for command in found:
        lines.append(f"\ncomplete -c {PROGRAM} -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}")
        for option in command.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            value = f" {_fish_value(option)}" if option.name else ""
            lines.append(f"complete -c {PROGRAM} -n '__tinygrad_course_command {command.name}' {flags}{value} "
                         f"-d {_fish_quoted(option.help)}")
        for place, argument in enumerate(command.arguments):
            if argument.words or argument.paths:
                # Options may stand before the only argument.
                last = 99 if argument.many or len(command.arguments) == 1 else place
                lines.append(f"complete -c {PROGRAM} -n '__tinygrad_course_place {command.name} {place} {last}' "
                             f"{_fish_value(argument).removeprefix('-x ').removeprefix('-r ')}")
    return _FISH + "\n".join(lines) + "\n"


def _fish_value(argument: Argument) -> str:
    """-x: nothing but what is offered; -F: files too."""
    if argument.paths == "folders":
        words = " ".join([*argument.words, "(__fish_complete_directories)"])
        return f"-x -a {_fish_quoted(words)}"
    words = f" -a {_fish_quoted(' '.join(argument.words))}" if argument.words else ""
    return f"-r -F{words}" if argument.paths else f"-x{words}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
