"""What the progress prints."""

import io

import pytest

from tinygrad_course.train import BarProgress, Progress, TextProgress

ROW = {"epoch": 7, "learning_rate": 1e-3, "train_loss": 12.34567, "train_accuracy": 1.0, "val_loss": 0.5,
       "val_accuracy": 0.25}


def play(progress):
    progress.begin_epoch(7, 100, 128, 0)
    progress.step(64, 12.3, 0.5)
    progress.step(64, 12.34567, 1.0)
    progress.end_epoch(ROW, True)
    progress.begin_epoch(8, 100, 128, 0)
    progress.step(64, 1.0, 1.0)
    progress.close()


def test_text_is_one_plain_line_per_epoch():
    file = io.StringIO()
    play(TextProgress(file))
    heading, line = file.getvalue().splitlines()
    assert heading.split() == ["epoch", "train", "loss", "accuracy", "val", "loss", "accuracy", "samples/s"]
    assert line.startswith("7/100      12.3457   100.0 %       0.5000    25.0 %")
    assert line.endswith("best")
    assert max(len(heading), len(line)) < 80
    assert file.getvalue().replace("\n", "").isprintable()


def test_the_bar_shows_loss_accuracy_and_speed_and_leaves_the_same_lines():
    pytest.importorskip("tqdm")
    file = io.StringIO()
    progress = BarProgress(file)
    progress.begin_epoch(7, 100, 128, 0)
    progress._bar.mininterval = 0
    progress.step(64, 12.3, 0.5)
    shown = file.getvalue().split("\r")[-1]
    assert "12.3000" in shown
    assert "50.0 %" in shown
    assert "samples/s" in shown
    assert len(shown) < 80
    progress.end_epoch(ROW, True)
    assert file.getvalue().split("\r")[-1].startswith("7/100      12.3457   100.0 %")


def test_the_base_class_is_silent(capsys):
    play(Progress())
    assert capsys.readouterr().out == ""
