"""`tinygrad-course list`, `run` and `figures`, as a user calls them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinygrad_course as tgc
from tinygrad_course.cli import main
from tinygrad_course.cli import run_row as run_command
from tinygrad_course.course import ROWS, Outcome, Row, equal

CHAPTER_E = [name for name in ROWS if name.startswith("E")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}


def test_list_shows_every_row(capsys):
    assert main(["list", "--short"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == list(ROWS)
    assert all(int(line.split()[-2]) > 0 for line in lines[:-2]), "nothing takes 0 s"
    for option, more in ([], False), (["--long"], True):
        assert main(["list", *option]) == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80
        assert [line.split()[0] for line in out.splitlines()[:-2] if line[:1].strip()] == list(ROWS)
        assert all(line in out for line in lines[:-2])
        out = " ".join(out.split())  # without the line breaks
        assert all(part in out for row in ROWS.values() for part in (row.data, row.expected))
        assert all(part in out for row in ROWS.values() for part in row.parts) == more


def test_run_writes_outcome_and_figures(tmp_path, capsys):
    assert main(["run", "e1", "--out", str(tmp_path), "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "holds  the worked example, by hand" in out
    assert f"{len(ROWS['E1'].run(tgc.course.Settings()).facts)} facts hold" in out
    found = json.loads((tmp_path / "E1/outcome.json").read_text())
    assert (found["row"], found["seed"], found["steps"], found["holds"]) == ("E1", 3, None, True)
    assert found["facts"][0] == {"text": "the worked example, by hand", "measured": "[[122.0, 148.0], [126.0, 134.0]]",
                                 "expected": "[[122, 148], [126, 134]]", "holds": True}
    assert sorted(found["figures"]) == sorted(path.name for path in (tmp_path / "E1").glob("*.png"))


def test_a_fact_that_fails_gives_exit_code_1(tmp_path, capsys, monkeypatch):
    wrong = Row("E1", "Wrong", "none", "fails", 1.0, lambda settings: Outcome([equal("one and one", 1 + 1, 3)]))
    monkeypatch.setitem(ROWS, "E1", wrong)
    assert main(["run", "E1", "--out", str(tmp_path), "--no-figures"]) == 1
    assert "FAILS  one and one\n       2   (expected 3)" in capsys.readouterr().out
    assert json.loads((tmp_path / "E1/outcome.json").read_text())["holds"] is False
    assert main(["run", "E1", "--out", str(tmp_path), "--no-figures", "--steps", "1"]) == 1
    assert "with --steps 1 the facts need not hold" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (["run", "E77"], f"unknown row 'E77'. Rows: {', '.join(list(ROWS)[:3])}"),
    (["run", "transposed"], "unknown row 'transposed'; did you mean E2?"),
    (["run"], "the following arguments are required: ROW"),
    (["run", "E1", "--steps", "0"], "'0' is not a whole number of at least 1"),
    (["figures"], "figures: give the rows to draw, or --all"),
    (["figures", "E1", "--all"], "figures: give the rows to draw, or --all"),
    (["figures", "X9"], "unknown row 'X9'"),
    (["run", "mobilenet"], "did you mean F10?"),
    (["run", "E1", "--step", "1"], "unknown option '--step'; did you mean '--steps'? See"),
    (["list", "--short", "--long"], "give --short or --long, not both"),
    (["help"], "did you mean --help?"),
])
def test_wrong_input(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_figures_go_on_where_they_were(tmp_path, capsys):
    chosen = ["figures", "E2", "E5", "E2", "--out", str(tmp_path), "--jobs", "2"]
    assert main(chosen) == 0
    out = capsys.readouterr().out
    assert "2 to run" in out
    assert "8 of 8 facts hold" in out
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    (tmp_path / "E5/real_image.png").unlink()
    assert main(chosen) == 0
    assert "1 of 2 are in" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert set(after) == set(before)
    assert [path for path in after if path.parent.name == "E2" and after[path] != before[path]] == []
    assert main([*chosen, "--seed", "1"]) == 0, "another seed is another run"
    assert "2 to run" in capsys.readouterr().out


def test_figures_report_the_facts_also_where_a_library_warns(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "file" / "matplotlib"))  # cannot be made: matplotlib says so on stderr
    assert main(["figures", "E2", "--out", str(tmp_path)]) == 0
    assert "1/1 E2   Transposed convolution: 8 of 8 facts hold" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("command", ["run", "figures"])
def test_a_folder_that_cannot_be_written_is_named_before_any_work(command, capsys, monkeypatch):
    monkeypatch.setitem(ROWS, "E1", Row("E1", "Never", "", "", 1.0, lambda settings: pytest.fail("it was run")))
    assert main([command, "E1", "--out", "/proc/course"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"tinygrad-course: /proc/course(/E1)? cannot be made: .*Give another --out\n", captured.err)


def test_an_outcome_never_lies_beside_half_a_figure(tmp_path, monkeypatch):
    """Killed while it draws again: what was there before does not count as done any more."""
    assert main(["run", "E2", "--out", str(tmp_path)]) == 0

    def killed(drawing, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_course.viz.save_figure", killed)
    assert main(["run", "E2", "--out", str(tmp_path)]) == 130
    assert not (tmp_path / "E2/outcome.json").exists()


def test_a_row_that_cannot_be_run_is_no_fact_that_fails(tmp_path, capsys):
    (tmp_path / "E2").touch()  # a file where the folder should be
    assert main(["figures", "E2", "e2", "--steps", "1", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 to run" in out
    assert "E2 cannot be made" in out
    assert "no outcome of E2; tinygrad-course run E2 shows why" in out
    assert "facts fail" not in out


def test_figures_report_a_row_whose_facts_failed_before(tmp_path, capsys):
    assert main(["figures", "E2", "--out", str(tmp_path)]) == 0
    path = tmp_path / "E2" / run_command.OUTCOME
    path.write_text(path.read_text().replace('"holds": true,\n  "seconds"', '"holds": false,\n  "seconds"'))
    assert main(["figures", "E2", "--out", str(tmp_path)]) == 1
    assert "facts fail in E2\n" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"steps": null', '"steps": 3'))
    assert main(["figures", "E2", "--out", str(tmp_path), "--steps", "3"]) == 0
    assert "facts fail in E2, as they may with --steps 3\n" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_and_leaves_what_is_whole(tmp_path, number):
    command = [sys.executable, "-m", "tinygrad_course", "figures", *CHAPTER_E, "--jobs", "1", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                          start_new_session=True) as process:
        for line in process.stdout:
            if line.startswith("1/"):
                break
        time.sleep(0.2)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: to the command and to the row that is running
        else:
            process.send_signal(number)  # to the command alone, which ends the row
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1].endswith("done; the same command goes on from here")
    assert "Traceback" not in error
    done = list(tmp_path.glob("*/outcome.json"))
    assert 1 <= len(done) < len(CHAPTER_E)
    for path in done:
        assert all((path.parent / name).is_file() for name in json.loads(path.read_text())["figures"])
