"""`tinygrad-course train`: train a network, keep its best weights, draw what it learnt."""

import argparse
import io
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_course import __version__, backend, metrics
from tinygrad_course.cli.images import NAMES, ImageData, canonical_name, load_image_data
from tinygrad_course.cli.usage import (
    DONE,
    FAILED,
    INSTALL_ALL,
    INTERRUPTED,
    UsageError,
    choose,
    output_folder,
    positive_number,
    seed_number,
    whole_number,
)
from tinygrad_course.cli.weights import WeightsInfo, save_weights
from tinygrad_course.data import DataLoader, TensorDataset, mean_and_std, normalise, random_split
from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.models import LeNet5
from tinygrad_course.nn import CrossEntropyLoss
from tinygrad_course.ops.creation import randint
from tinygrad_course.ops.random import Generator, manual_seed
from tinygrad_course.optim import AdamW
from tinygrad_course.train import (
    BarProgress,
    Callback,
    DivergenceError,
    Evaluation,
    RandomAffine,
    StopSignals,
    TextProgress,
    TimeLog,
    Trainer,
    cosine,
    evaluate,
    load_checkpoint,
    save_checkpoint,
    write_history,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

HELP = "train a network; weights, figures and history go to a folder"
DESCRIPTION = """\
Train LeNet-5 on images of 32 x 32 pixels.  A tenth of the training images is
set aside for validation: training ends early when the validation loss no
longer falls, and the weights with the smallest one are kept.  The test images
are looked at once, at the end.

Ctrl-C stops after the current step; `--resume` continues to the same result,
to the last bit, as if nothing had happened.  The same seed gives the same
weights for any number of threads.
"""
EXAMPLES = """\
examples:
  tinygrad-course train lenet
  tinygrad-course train lenet --data fashion --out runs/fashion
  tinygrad-course train lenet --data ~/mnist --epochs 5 --out runs/mnist
  tinygrad-course train lenet --resume

"""

MODELS = ("lenet",)
CHECKPOINT, WEIGHTS, RESULT, HISTORY = "checkpoint.safetensors", "best.safetensors", "result.json", "history.csv"
CONFIGURATION, TIMES, REPORT = "run.json", "times.json", "report.html"
FIGURES = ("learning_curves.png", "filters.png", "confusion_matrix.png")

VALIDATION_SHARE = 0.1
PATIENCE = 12            # epochs
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05   # in the validation loss as well: without it a few sure errors decide which epoch is the best
EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Settings:
    """What a run depends on, with the defaults of the command line."""

    model: str = "lenet"
    data: str = "digits"
    epochs: int = 40
    batch_size: int = 64
    lr: float = 3e-3
    seed: int = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Arguments and options of the sub-command."""
    default = Settings()
    parser.add_argument("model", metavar="MODEL", help=f"the network: {', '.join(MODELS)}")
    # Without defaults: an option that was not given must be told apart from its default, for --resume.
    parser.add_argument("--data", metavar="DATA",
                        help=f"{', '.join(NAMES)} (both shipped), or a folder with the four IDX files of MNIST, plain "
                             f"or gzipped (default: {default.data})")
    parser.add_argument("--epochs", metavar="N", type=whole_number,
                        help=f"passes over the training images at most (default: {default.epochs})")
    parser.add_argument("--batch-size", metavar="N", type=whole_number,
                        help=f"images per step (default: {default.batch_size})")
    parser.add_argument("--lr", metavar="RATE", type=positive_number,
                        help=f"learning rate of AdamW at the start; falls to 0 along a cosine (default: {default.lr})")
    parser.add_argument("--seed", metavar="N", type=seed_number,
                        help=f"seed of all random numbers (default: {default.seed})")
    parser.add_argument("--steps", metavar="N", type=whole_number,
                        help="stop after N steps in all, evaluate, and leave a checkpoint for --resume")
    parser.add_argument("--threads", metavar="N", type=whole_number, help="threads to use (default: all cores)")
    parser.add_argument("--out", metavar="FOLDER", type=output_folder,
                        help="where everything goes (default: runs/MODEL); an earlier run in it is replaced")
    parser.add_argument("--resume", action="store_true",
                        help="continue the interrupted run in the folder of --out, with its settings")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing; works without matplotlib")


def run(options: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code."""
    choose("model", options.model, MODELS)
    folder = options.out or Path("runs") / options.model
    figures = not options.no_figures
    _check_packages(figures)
    given = {field.name: getattr(options, field.name) for field in fields(Settings)
             if getattr(options, field.name) is not None}
    checkpoint = _read_checkpoint(folder) if options.resume else None
    settings = Settings(**given) if checkpoint is None else _settings_of(checkpoint, given, folder)
    data = load_image_data(settings.data)
    settings = replace(settings, data=canonical_name(settings.data))
    if options.threads is not None:
        backend.set_num_threads(options.threads)
    job = Job(settings, data, folder)
    if checkpoint is None:
        job.clear_folder()
    else:
        job.restore(checkpoint)
    job.print_heading()
    try:
        return job.train(options.steps, figures)
    except KeyboardInterrupt:
        print(f"\naborted; {job.how_to_resume()}", file=sys.stderr)
        return INTERRUPTED
    except DivergenceError as error:
        what, culprit = str(error).splitlines()[0], error.culprit.splitlines()[0]
        print(f"tinygrad-course: {what} First was: {culprit}. Use a smaller learning rate; it was --lr {settings.lr:g}.",
              file=sys.stderr)
        return FAILED


class Job:
    """One training run and the files of its folder."""

    def __init__(self, settings: Settings, data: ImageData, folder: Path) -> None:
        self.settings = settings
        self.data = data
        self.folder = folder
        manual_seed(settings.seed)
        # Two streams of their own, so that a change of the one leaves the other as it is.
        order, distortions = (Generator().manual_seed(int(randint(0, 2**62, (1,)).item())) for _ in range(2))
        self.mean, self.std = mean_and_std(data.train_images)
        train = TensorDataset(normalise(data.train_images, self.mean, self.std), data.train_labels)
        test = TensorDataset(normalise(data.test_images, self.mean, self.std), data.test_labels)
        self.n_val = max(1, round(VALIDATION_SHARE * len(train)))
        self.n_train, self.n_test = len(train) - self.n_val, len(test)
        if self.n_train < 1:
            raise UsageError(f"{settings.data} has only {len(train)} training image. Take other data")
        train_part, val_part = random_split(train, [self.n_train, self.n_val])
        train_loader = DataLoader(train_part, settings.batch_size, shuffle=True, generator=order)
        self.test_loader = DataLoader(test, EVALUATION_BATCH)
        model = LeNet5(num_classes=len(data.class_names))
        black = -self.mean / self.std  # the background after normalisation
        self.trainer = Trainer(
            model, AdamW(model.parameters(), settings.lr, weight_decay=WEIGHT_DECAY),
            CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING), train_loader, DataLoader(val_part, EVALUATION_BATCH),
            epochs=settings.epochs, patience=PATIENCE, metrics={"accuracy": metrics.accuracy},
            schedule=cosine(settings.lr, settings.epochs * len(train_loader)),
            augment=RandomAffine(degrees=10, translate=3, scale=0.1, fill=black, generator=distortions),
            generators={"distortions": distortions})

    # ---- the folder ---------------------------------------------------------------------------------------------

    def clear_folder(self) -> None:
        """Make the folder; remove the files of an earlier run, which would not belong to this one."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            old = [self.folder / name for name in
                   (CONFIGURATION, CHECKPOINT, WEIGHTS, RESULT, HISTORY, TIMES, REPORT, *FIGURES)]
            if any(path.exists() for path in old):
                print(f"replacing the earlier run in {self.folder}")
            for path in old:
                path.unlink(missing_ok=True)
            self._save_configuration()
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be written: {error.strerror}. Give another --out") from error

    def _save_configuration(self) -> None:
        """What the run depends on: its options, and what the program adds to them."""
        content = {
            "command": "train", "version": __version__, "settings": asdict(self.settings),
            "images": {"training": self.n_train, "validation": self.n_val, "test": self.n_test, "digest": self.data.digest},
            "training": {"optimizer": "AdamW", "weight_decay": WEIGHT_DECAY, "label_smoothing": LABEL_SMOOTHING,
                         "patience": PATIENCE, "schedule": "cosine"}}
        write_json(self.folder / CONFIGURATION, content)

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        if checkpoint["digest"] != self.data.digest:
            raise UsageError(f"the images of {self.settings.data} have changed since {self.folder / CHECKPOINT} was "
                             "written. Start a new run without --resume")
        self.trainer.load_state_dict(checkpoint["trainer"])

    def save(self) -> None:
        """Write checkpoint, weights and history; each file is replaced in one step."""
        save_checkpoint(self.folder / CHECKPOINT, {
            "settings": asdict(self.settings), "digest": self.data.digest, "trainer": self.trainer.state_dict()})
        self._save_weights()

    def _save_weights(self) -> None:
        trainer = self.trainer
        best = trainer.stopping.best_epoch
        save_weights(self.folder / WEIGHTS, trainer.best_weights or trainer.model.state_dict(), WeightsInfo(
            model=self.settings.model, data=self.settings.data, class_names=list(self.data.class_names),
            mean=self.mean, std=self.std, fill=self.data.fill, epoch=best,
            val_accuracy=trainer.history["val_accuracy"][best - 1] if best else None))
        write_history(self.folder / HISTORY, trainer.history)

    # ---- the run ------------------------------------------------------------------------------------------------

    def print_heading(self) -> None:
        """What is about to happen."""
        parameters = sum(parameter.numel() for parameter in self.trainer.model.parameters())
        threads = backend.get_num_threads()
        print(f"LeNet-5, {parameters:,} parameters, seed {self.settings.seed}")
        print(f"{self.settings.data}: {self.n_train:,} training, {self.n_val:,} validation, "
              f"{self.n_test:,} test images")
        print(f"{backend.backend_name()} kernels, {threads} thread{'s' if threads > 1 else ''}; "
              f"files go to {self.folder}")
        if self.trainer.steps:
            print(f"resumed after step {self.trainer.steps}, {self.trainer.epoch} epochs complete")
        print(flush=True)

    def train(self, steps: int | None, figures: bool) -> int:
        """The training, then the test; returns the exit code."""
        trainer = self.trainer
        bar = sys.stdout.isatty() and find_spec("tqdm") is not None
        progress = BarProgress() if bar else TextProgress()
        trainer.callbacks = [progress, TimeLog(self.folder / TIMES), AfterEpoch(self.save)]
        with StopSignals() as stop:
            finished = trainer.fit(stop=stop, max_steps=steps)
            if stop() or not finished:
                self.save()
        if stop():
            print(f"stopped after step {trainer.steps} (epoch {trainer.epoch + trainer.in_epoch}); "
                  f"weights and checkpoint are saved.\n{self.how_to_resume()}")
            return INTERRUPTED
        if trainer.in_epoch:
            # After the checkpoint: a run that is resumed shall not see this validation within an epoch.
            trainer.end_epoch()
            progress.on_epoch_end(trainer)
            self._save_weights()
        self._report(finished, figures)
        return DONE

    def how_to_resume(self) -> str:
        """The command that continues this run."""
        out = shlex.quote(str(self.folder))
        return f"continue with: tinygrad-course train {self.settings.model} --resume --out {out}"

    def _report(self, finished: bool, figures: bool) -> None:
        trainer = self.trainer
        best = trainer.stopping.best_epoch
        why = ("all epochs are done" if trainer.epoch >= trainer.epochs else
               f"early stopping: {PATIENCE} epochs without a smaller validation loss" if finished else
               f"stopped after {trainer.steps} steps")
        print(f"\n{why}; the best was epoch {best}")
        trainer.model.load_state_dict(trainer.best_weights)
        result = evaluate(trainer.model, self.test_loader, trainer.loss_fn, trainer.metrics)
        self._save_result(result)
        print(f"weights   {self.folder / WEIGHTS}")
        print(f"settings  {self.folder / CONFIGURATION}")
        print(f"history   {self.folder / HISTORY}, {self.folder / RESULT}")
        print(f"times     {self.folder / TIMES}")
        if figures:
            for name in self._draw(result):
                print(f"figure    {self.folder / name}")
        print(f"all of it as one page: tinygrad-course report {shlex.quote(str(self.folder))}")
        if not finished:
            print(self.how_to_resume())
        print(f"test accuracy {100 * result.metrics['accuracy']:.1f} %", flush=True)

    def _save_result(self, result: Evaluation) -> None:
        trainer = self.trainer
        best = trainer.stopping.best_epoch
        row = {column: values[best - 1] for column, values in trainer.history.items()}
        content = {
            "settings": asdict(self.settings),
            "images": {"training": self.n_train, "validation": self.n_val, "test": self.n_test},
            "epochs": trainer.epoch, "steps": trainer.steps, "best": row,
            "test": {"loss": result.loss, "accuracy": result.metrics["accuracy"],
                     "right": int((result.output.argmax(axis=1) == result.target).sum()),
                     "class_names": list(self.data.class_names), "confusion": self._confusion(result).tolist()}}
        write_json(self.folder / RESULT, content)

    def _confusion(self, result: Evaluation) -> np.ndarray:
        """Test images by true and predicted class (C, C)."""
        return metrics.confusion_matrix(result.output, result.target, len(self.data.class_names))

    def _draw(self, result: Evaluation) -> tuple[str, ...]:
        """Draw the figures; returns their file names."""
        from tinygrad_course.viz import plot_confusion_matrix, plot_filters, plot_learning_curves
        trainer = self.trainer
        drawings: tuple[FigureBase | Axes, ...] = (
            plot_learning_curves(trainer.history, trainer.stopping.best_epoch,
                                 unit="smoothed cross-entropy (nats)"),
            plot_filters(np.asarray(trainer.best_weights["c1.weight"].numpy()), title="Filters of layer C1"),
            plot_confusion_matrix(self._confusion(result), self.data.class_names, title="Test images"))
        for name, drawing in zip(FIGURES, drawings, strict=True):
            write_atomic(self.folder / name, as_png(drawing))
        return FIGURES


class AfterEpoch(Callback):
    """Calls a function after each epoch."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.function()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """The content as text for people and programs; an old file is replaced only by a complete new one."""
    text = json.dumps(content, indent=2)
    # A row of a matrix on one line.
    text = re.sub(r"\[\s+(-?\d+(?:,\s+-?\d+)*)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)
    write_atomic(path, (text + "\n").encode())


def as_png(drawing: "FigureBase | Axes") -> bytes:
    """The drawing as the content of a PNG file."""
    from tinygrad_course.viz import save_figure
    buffer = io.BytesIO()
    save_figure(drawing, buffer)  # type: ignore[arg-type]
    return buffer.getvalue()


def _check_packages(figures: bool) -> None:
    """Say what is missing before any work is done."""
    if figures and find_spec("matplotlib") is None:
        raise UsageError(f"drawing needs the package matplotlib: {INSTALL_ALL}, or add --no-figures")
    if sys.stdout.isatty() and find_spec("tqdm") is None:
        print(f"no progress bar: it needs the package tqdm: {INSTALL_ALL}")


def _read_checkpoint(folder: Path) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.exists():
        raise UsageError(f"{folder} has no {CHECKPOINT} to resume from. Give the --out folder of an interrupted run, "
                         "or leave out --resume")
    checkpoint = load_checkpoint(path)
    if not {"settings", "digest", "trainer"} <= set(checkpoint):
        raise UsageError(f"{path} was not written by `tinygrad-course train`. Start a new run without --resume")
    return checkpoint


def _settings_of(checkpoint: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> Settings:
    """The settings of the interrupted run; UsageError if an option contradicts them."""
    try:
        settings = Settings(**checkpoint["settings"])
    except TypeError as error:
        raise UsageError(f"{folder / CHECKPOINT} was written by another version. Start a new run without "
                         "--resume") from error
    for name, value in given.items():
        own = getattr(settings, name)
        if (canonical_name(value) if name == "data" else value) != own:
            option = "model" if name == "model" else f"--{name.replace('_', '-')}"
            raise UsageError(f"the run in {folder} was made with {option} {own}, not {value}. Leave {option} out to "
                             "continue it, or start a new run in another --out")
    return settings
