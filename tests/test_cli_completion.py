"""`tinygrad-course completion`: each script in its own shell, those of zsh and fish also by what they tell their shell.

zsh and fish are asked only where they are installed (apt-get install zsh fish)."""

import os
import re
import select
import shutil
import subprocess

import pytest

from tinygrad_course.bench import models
from tinygrad_course.cli import data, images, main, train
from tinygrad_course.cli.command import build_parser
from tinygrad_course.cli.completion import SHELLS, Argument, Command, commands, fish, zsh
from tinygrad_course.course import ROWS
from tinygrad_course.data.catalogue import SETS

COMMANDS = list(build_parser()[1])
# The function of the script, called as bash calls it: with the words of the line, the last one is completed.
ASK = """
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _tinygrad_course
    printf '%s\\n' "${COMPREPLY[@]}" ---
}
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        capture = pytest.MonkeyPatch()
        lines = []
        capture.setattr("builtins.print", lambda text, end="\n", lines=lines: lines.append(text + end))
        assert main(["completion", shell]) == 0
        capture.undo()
        (folder / shell).write_text("".join(lines), encoding="utf-8")
    return folder


def bash(text, folder):
    done = subprocess.run(["bash", "--norc", "--noprofile", "-c", text], capture_output=True, text=True, check=True,
                          timeout=60, cwd=folder)
    assert done.stderr == ""
    return done.stdout


def flags(name):
    return {flag for action in build_parser()[1][name]._actions for flag in action.option_strings}


def test_bash(scripts, tmp_path):
    (tmp_path / "some run").mkdir()
    (tmp_path / "some.png").touch()
    queries = [
        (["tr"], {"train"}), ([""], set(COMMANDS)), (["--v"], {"--version"}), (["nothing"], set()),
        (["run", ""], set(ROWS)), (["run", "F1"], {name for name in ROWS if name.startswith("F1")}),
        (["run", "f1"], {name.lower() for name in ROWS if name.startswith("F1")}), (["run", "E1", ""], set()),
        (["run", "--seed", ""], set()), (["run", "--seed", "3", "E1"], {"E1"}), (["run", "--seed", "=", "3", "E1"], {"E1"}),
        (["figures", "E1", "E2", "E3"], {"E3"}), (["run", "--out", "some"], {"some run"}),
        (["train", ""], set(train.MODELS)), (["train", "lenet", "--ep"], {"--epochs"}),
        (["train", "lenet", "--data", "d"], {"digits"}), (["train", "lenet", "--data", "=", "d"], {"digits"}),
        (["train", "lenet", "--data", "="], {*images.NAMES, "some run", "some.png"}),
        (["predict", "--weights", "x", "some"], {"some run", "some.png"}), (["predict", "a", "b", "some.p"], {"some.png"}),
        (["report", "some"], {"some run"}), (["report", "some run", "--open", ""], {"yes", "no"}),
        (["bench", "pro"], {"profile"}), (["bench", "profile", ""], set(models.REGISTRY)), (["data", ""], set(data.WHAT)),
        (["data", "get", "mn"], {name for name in SETS if name.startswith("mn")}), (["data", "get", "mnist", "ir"], {"iris"}),
        (["completion", ""], set(SHELLS)), *(([name, "-"], flags(name)) for name in COMMANDS),
    ]
    asked = [" ".join(["ask", "tinygrad-course", *(f"'{word}'" for word in words)]) for words, _ in queries]
    out = bash("\n".join([f"source '{scripts / 'bash'}'", "complete -p tinygrad-course", ASK, *asked]), tmp_path)
    registered, _, out = out.partition("\n")
    assert registered == "complete -F _tinygrad_course tinygrad-course"
    answers = out.split("---\n")
    assert len(answers) == len(queries) + 1
    for (words, expected), answer in zip(queries, answers, strict=False):
        assert {line for line in answer.splitlines() if line} == expected, words


def test_zsh(scripts, tmp_path):
    """The function runs in bash too, with stand-ins for zsh's _describe and _arguments that print what they are told."""
    stub = """
    compdef() { :; }
    _describe() { printf '%s\\n' "${commands[@]}"; }
    _arguments() { if [[ $1 == -C ]]; then state=$wanted; line=(_ "$command"); else printf '%s\\n' "$@"; fi; }
    """
    calls = ["wanted=command", "_tinygrad_course"]
    for name in COMMANDS:
        calls += ["echo ---", f"wanted=argument command={name}", "_tinygrad_course"]
    out = bash("\n".join([stub, f"source '{scripts / 'zsh'}'", *calls]), tmp_path)
    described, *specs = [part.splitlines() for part in out.split("---\n")]
    assert [line.partition(":")[0] for line in described] == COMMANDS
    for command, lines in zip(commands(), specs, strict=True):
        options = [line for line in lines if line.startswith("-")]
        assert {line.partition("[")[0].rstrip("=") for line in options} == flags(command.name)
        for option in command.options:
            for flag in option.flags:
                line = next(line for line in options if line.startswith((f"{flag}[", f"{flag}=[")))
                # flag=[help]:NAME:action for those with a value; what is special in the texts is escaped
                parts = re.fullmatch(r"[\w-]+=?\[((?:[^\]\[\\]|\\.)*)\](?::((?:[^:\\]|\\.)+):(.*))?", line)
                assert re.sub(r"\\(.)", r"\1", parts[1]) == option.help
                assert (parts[2] is not None) == bool(option.name) == line.startswith(f"{flag}=")
                assert all(word in parts[3] for word in option.words)
                assert ("_files" in (parts[3] or "")) == bool(option.paths)
        arguments = [line for line in lines if not line.startswith("-")]
        assert [line[0] for line in arguments] == ["*" if entry.many else str(place)
                                                   for place, entry in enumerate(command.arguments, 1)]
        for line, entry in zip(arguments, command.arguments, strict=True):
            assert re.search(rf"[( ]{' '.join(entry.words)}(\)|$)", line) or not entry.words
    text = (scripts / "zsh").read_text(encoding="utf-8")
    assert text.startswith("#compdef tinygrad-course\n")


# What is typed, and what the shell then offers.
LINES = [
    ("tr", {"train"}), ("run F1", {name for name in ROWS if name.startswith("F1")}),
    ("run f1", {name for name in ROWS if name.startswith("F1")}), ("run --seed 3 E1", {"E1"}),
    ("figures E1 E2 E3", {"E3"}), ("train ", set(train.MODELS)), ("train lenet --ep", {"--epochs"}),
    ("train lenet --data di", {"digits"}), ("bench pro", {"profile"}), ("bench profile ", set(models.REGISTRY)),
    ("data get mn", {name for name in SETS if name.startswith("mn")}), ("data ", set(data.WHAT)),
    ("report some", {"some_run/"}), ("report some_run --open ", {"yes", "no"}), ("predict some", {"some_run/", "some.png"}),
    ("completion ", set(SHELLS)), ("train --", flags("train") - {"-h"}), ("", set(COMMANDS)),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Where the shells complete names of files."""
    (tmp_path / "some_run").mkdir()
    (tmp_path / "some.png").touch()
    return tmp_path


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_at_a_terminal(scripts, folder):
    """Keys are typed into an interactive zsh; Ctrl-D at the end of a line lists what Tab would choose from."""
    import fcntl  # here: there is none on Windows
    import pty
    import struct
    import termios

    functions = folder / "functions"
    functions.mkdir()
    shutil.copy(scripts / "zsh", functions / "_tinygrad-course")
    terminal, far_end = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 400, 250, 0, 0))
    environment = {**os.environ, "TERM": "dumb", "HOME": str(functions), "LC_ALL": "C"}
    shell = subprocess.Popen(["zsh", "-f", "-i"], cwd=folder, env=environment, stdin=far_end, stdout=far_end, stderr=far_end,
                             start_new_session=True)
    os.close(far_end)

    def answer(keys, until):
        """What appears on the screen after the keys, up to a text that is waited for."""
        os.write(terminal, keys.encode())
        screen = ""
        while until not in screen:
            assert select.select([terminal], [], [], 20)[0], f"zsh shows {screen!r}, not {until!r}"
            screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x07]", "", screen + os.read(terminal, 65536).decode())
        return screen

    try:
        answer("PS1='zsh''> '; unsetopt beep; LISTMAX=9999\r", "zsh> ")
        answer(f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -D -u\r", "zsh> ")
        for typed, expected in LINES:
            line = f"tinygrad-course {typed}"
            shown = answer(f"{line}\x04", f"\nzsh> {line}").partition(line)[2]  # the list, and the line again below it
            words = {word for row in shown.splitlines()[1:-1] for word in re.split(r"\s+-- .*|\s+", row) if word}
            assert words == expected, typed
            answer("\x15", "")
        answer("tinygrad-course train lenet --data=di\t", "--data=digits")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_is_asked(scripts, folder):
    asked = [f"complete -C 'tinygrad-course {typed}'; echo ---" for typed, _ in LINES]
    asked.append("complete -C 'tinygrad-course train lenet --data=di'")
    done = subprocess.run(["fish", "-c", "\n".join([f"source '{scripts / 'fish'}'", *asked])], cwd=folder, timeout=60,
                          capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(folder)})
    assert done.stderr == ""
    *answers, last = done.stdout.split("---\n")
    for (typed, expected), shown in zip(LINES, answers, strict=True):
        assert {line.partition("\t")[0] for line in shown.splitlines()} == expected, typed
    assert last.startswith("--data=digits\t")


def test_fish(scripts):
    text = (scripts / "fish").read_text(encoding="utf-8")
    # Words of fish: bare, or in single quotes, where a backslash stands before a quote or a backslash.
    lines = [[re.sub(r"\\(['\\])", r"\1", word[1:-1]) if word[0] == "'" else word
              for word in re.findall(r"'(?:[^'\\]|\\.)*'|[^\s']+", line)]
             for line in text.splitlines() if line.startswith("complete ")]
    assert all(line[:3] == ["complete", "-c", "tinygrad-course"] for line in lines)

    def value(line, name):
        return line[line.index(name) + 1] if name in line else None

    described = [line for line in lines if value(line, "-n") == "__fish_use_subcommand" and value(line, "-a")]
    assert [value(line, "-a") for line in described] == COMMANDS
    assert [value(line, "-d") for line in described] == [command.help for command in commands()]
    for command in commands():
        options = [line for line in lines if value(line, "-n") == f"__tinygrad_course_command {command.name}"]
        assert {f"--{value(line, '-l')}" for line in options} == flags(command.name) - {"-h"}
        for option in command.options:
            line = next(line for line in options if f"--{value(line, '-l')}" == option.flags[-1])
            assert value(line, "-d") == option.help
            assert bool({"-x", "-r"} & set(line)) == bool(option.name)
            assert set(option.words) <= set((value(line, "-a") or "").split())
            assert (option.paths == "files") == ("-F" in line)
        places = [line for line in lines if (value(line, "-n") or "").startswith(f"__tinygrad_course_place {command.name} ")]
        offered = [entry for entry in command.arguments if entry.words or entry.paths]
        assert [set((value(line, "-a") or "").split()) - {"(__fish_complete_directories)"} for line in places] == \
            [set(entry.words) for entry in offered]
    assert text.count("\nfunction ") == text.count("\nend\n") == 2


def test_special_characters_in_help_texts(tmp_path):
    text = "it's [1]: a \\ and $x `y`"
    option = Argument(("--x",), "N", text, False, ("a",), "")
    found = [Command("go", text, (option,), ())]
    stub = ("compdef() { :; }\n_describe() { printf '%s\\n' \"${commands[@]}\"; }\n"
            "_arguments() { if [[ $1 == -C ]]; then state=$wanted; line=(_ go); else printf '%s\\n' \"$@\"; fi; }\n")
    out = bash(stub + zsh(found) + "wanted=command; _tinygrad_course; wanted=argument; _tinygrad_course", tmp_path)
    escaped = r"it's \[1\]\: a \\ and $x `y`"
    assert out.splitlines() == [f"go:{escaped}", f"--x=[{escaped}]:N:(a)"]
    quoted = r"'it\'s [1]: a \\ and $x `y`'"
    assert fish(found).endswith(f"go' -l x -x -a 'a' -d {quoted}\n")
    assert f"-a go -d {quoted}\n" in fish(found)


def test_every_name_is_known():
    """The scripts offer what the commands take."""
    offered = {(command.name, entry.name or entry.flags): entry.words for command in commands()
               for entry in (*command.options, *command.arguments)}
    assert offered["run", "ROW"] == offered["figures", "ROW"] == tuple(ROWS)
    assert offered["data", "NAME"] == tuple(SETS)
    assert offered["train", "MODEL"] == train.MODELS
    assert offered["bench", "MODEL"] == tuple(models.REGISTRY)
    assert not any(" " in word for words in offered.values() for word in words), "a blank separates words"
