"""What the progress prints."""

import io
from types import SimpleNamespace

import pytest

from tinygrad_course.errors import DataError
from tinygrad_course.train import BarProgress, TextProgress

LINE = "7/100      12.3457   100.0 %       0.5000    25.0 %"


def trainer_of(**values):
    """What the progress asks of a trainer, after epoch 7."""
    row = {"epoch": 7, "learning_rate": 1e-3, "train_loss": 12.34567, "train_accuracy": 1.0, "val_loss": 0.5,
           "val_accuracy": 0.25}
    return SimpleNamespace(**{
        "metrics": {"accuracy": None}, "splits": ["train", "val"], "epochs": 100, "epoch": 7, "samples": 0, "steps": 14,
        "epoch_samples": 128, "improved": True, "row": lambda: row, "running": lambda: {"loss": 12.3, "accuracy": 0.5},
        "train_loader": SimpleNamespace(dataset=range(128)), **values})


def play(progress):
    progress.on_epoch_begin(trainer_of(epoch=6))
    progress.on_step_end(trainer_of(epoch=6, samples=64))
    progress.on_epoch_end(trainer_of())
    progress.on_epoch_begin(trainer_of())
    progress.on_fit_end(trainer_of(), None)


def test_text_is_one_plain_line_per_epoch():
    file = io.StringIO()
    play(TextProgress(file))
    heading, line = file.getvalue().splitlines()
    assert heading == "epoch   train loss  accuracy     val loss  accuracy    samples/s"
    assert line.startswith(LINE)
    assert line.endswith("best")
    assert len(line.removesuffix("  best")) == len(heading)
    assert file.getvalue().replace("\n", "").isprintable()


def test_columns_are_those_of_the_run():
    file = io.StringIO()
    progress = TextProgress(file)
    trainer = trainer_of(metrics={"mean_absolute_error": None}, splits=["train_eval"], improved=False,
                         row=lambda: {"train_eval_loss": 2.0, "train_eval_mean_absolute_error": 0.012345})
    progress.on_epoch_begin(trainer)
    progress.on_epoch_end(trainer)
    heading, line = file.getvalue().splitlines()
    assert heading.split() == ["epoch", "eval", "loss", "mean_absolute_error", "samples/s"]
    assert line.split()[:3] == ["7/100", "2.0000", "0.01235"]
    assert len(line) == len(heading)


@pytest.mark.parametrize("stream", [False, True])
def test_the_bar_shows_loss_accuracy_and_speed_and_leaves_the_same_lines(stream):
    pytest.importorskip("tqdm")
    file = io.StringIO()
    progress = BarProgress(file, seconds=0)
    loader = SimpleNamespace(dataset=iter(())) if stream else SimpleNamespace(dataset=range(128))
    progress.on_epoch_begin(trainer_of(epoch=6, train_loader=loader))
    progress._bar.mininterval = 0
    progress.on_step_end(trainer_of(epoch=6, samples=64))
    shown = file.getvalue().split("\r")[-1]
    assert shown.startswith("7/100      12.3000    50.0 %")
    assert "samples/s" in shown
    assert len(shown) < 80
    progress.on_epoch_end(trainer_of())
    assert file.getvalue().split("\r")[-1].startswith(LINE)


def test_a_measure_that_the_first_batches_do_not_have_does_not_stop_the_bar():
    pytest.importorskip("tqdm")

    def running():
        raise DataError("roc_auc: all 64 targets are class 0")

    progress = BarProgress(io.StringIO(), seconds=0)
    progress.on_epoch_begin(trainer_of(epoch=6))
    progress.on_step_end(trainer_of(epoch=6, samples=64, running=running))
    assert progress._bar.n == 64
    progress.on_epoch_end(trainer_of())
