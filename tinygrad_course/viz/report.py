"""A training run as one HTML file: what was asked for, how it went, what came out, what it gets wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_course import __version__
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.interpret import summary
from tinygrad_course.io import load_file
from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.metrics import confusion_matrix
from tinygrad_course.nn import Module
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.creation import as_array, from_numpy
from tinygrad_course.tensor import Tensor
from tinygrad_course.train import load_checkpoint
from tinygrad_course.viz.confusion import plot_confusion_matrix
from tinygrad_course.viz.curves import plot_accuracy, plot_loss, plot_metric, read_history
from tinygrad_course.viz.distributions import plot_distributions
from tinygrad_course.viz.filters import plot_filters
from tinygrad_course.viz.images import to_pixels
from tinygrad_course.viz.page import Markup, chart, element, join, page, picture, sample, table

CONFIGURATION, HISTORY, RESULT, TIMES = "run.json", "history.csv", "result.json", "times.json"
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "best.safetensors"
FILES = (CONFIGURATION, HISTORY, RESULT, TIMES, CHECKPOINT, WEIGHTS)

MISTAKES = "Worst mistakes"
SHOWN = 24            # samples, and mistakes
MOST_CLASSES = 25     # in the picture of a confusion matrix
MOST_LAYERS = 30      # with a histogram
MOST_FILTERS = 64
LONGEST_CLASS, LONGEST_LAYER = 20, 32  # characters of a name in a figure; tables have the whole
BATCH = 256

Array = np.ndarray | Tensor


def write_report(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, model: Module | None = None,
                 inputs: Array | None = None, labels: Array | Sequence[int] | None = None, pictures: Array | None = None,
                 class_names: Sequence[str] | None = None, title: str | None = None, note: str = "") -> Path:
    """Write the report of the run in `folder` to the HTML file `out` (report.html in the folder); returns its path.

        write_report("runs/digits", model=model, inputs=x_test, labels=y_test)

    folder       what `tinygrad-course train` or a Trainer with callbacks wrote, any of run.json (configuration), history.csv
                 (CsvHistory), result.json, times.json (TimeLog), checkpoint.safetensors and best.safetensors (Checkpoint);
                 a sentence stands in the report for what is missing
    model        with the weights to be judged; (N, ...) -> one score per class (N, C).  For its summary and predictions
    inputs       test data as the model takes them, and their labels (N,): samples with predictions, worst mistakes
    pictures     to be shown in place of the inputs, (N, H, W), (N, 1, H, W) or (N, 3, H, W), for instance when those are flat
    class_names  one per class; numbers without
    title        default: the name of the folder
    note         why there is no model, or no test data: a sentence for the report

    The file needs nothing beside it and no network, runs no script, and is made for screens of any size and for paper.
    Raises DataError if the folder holds nothing of a run, DependencyError without matplotlib, ShapeError for labels or
    pictures that do not fit the inputs.
    """
    run = _read(Path(folder))
    title = title or Path(folder).resolve().name
    judged = _judge(model, inputs, labels, pictures, class_names) if model is not None and inputs is not None else None
    names = list(class_names) if class_names is not None else None
    note = note or "Neither the model nor test data were given to write_report: there are no samples to show."
    sections = [
        ("Result", _result(run)),
        ("Configuration", _configuration(run)),
        ("Curves", _curves(run)),
        ("Test", _test(run, judged, names)),
        (MISTAKES, _mistakes(judged, note)),
        ("Samples", _samples(judged, note)),
        ("Model", _model(run, model, inputs)),
        ("Filters", _filters(run)),
        ("Weights", _weights(run)),
        ("Times", _times(run)),
    ]
    path = Path(folder) / "report.html" if out is None else Path(out)
    write_atomic(path, page(title, _head(run), sections).encode())
    return path


# ---- the folder -----------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """What the folder holds; `missing` has a sentence for each file that is not there or cannot be read."""

    folder: Path
    content: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    changed: float = 0.0  # when the newest file was written, seconds since 1970

    def mapping(self, *keys: str) -> dict[str, Any]:
        """The dict at a path of keys; empty if there is none."""
        value: Any = self.content
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return dict(value) if isinstance(value, Mapping) else {}

    @property
    def state(self) -> dict[str, Any]:
        """Of the Trainer: `tinygrad-course train` wraps it up, a Checkpoint writes it as it is."""
        return self.mapping(CHECKPOINT, "trainer") or self.mapping(CHECKPOINT)

    @property
    def history(self) -> dict[str, list[float]]:
        """The columns; empty before the first epoch is complete."""
        columns = self.mapping(HISTORY)
        return columns if columns and len(next(iter(columns.values()))) else {}

    @property
    def best(self) -> tuple[int | None, str]:
        """The best epoch (from 1), and from where that is known."""
        epochs = len(next(iter(self.history.values()), []))
        for value, where in ((self.mapping(RESULT, "best").get("epoch"), RESULT),
                             (_mapping(self.state.get("stopping")).get("best_epoch"), CHECKPOINT)):
            if isinstance(value, int) and 1 <= value <= (epochs or value):
                return value, where
        for column in ("val_loss", "train_loss"):
            values = np.asarray(self.history.get(column, []), np.float64)
            if np.isfinite(values).any():
                return int(np.nanargmin(values)) + 1, f"the smallest {column}"
        return None, ""


def _read(folder: Path) -> _Run:
    readers: dict[str, Callable[[Path], Any]] = {
        CONFIGURATION: _json, HISTORY: read_history, RESULT: _json, TIMES: _json, CHECKPOINT: load_checkpoint,
        WEIGHTS: load_file}
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Give the folder of a run, as `tinygrad-course train` or a Trainer's "
                        "callbacks write it.")
    run = _Run(folder)
    for name, reader in readers.items():
        path = folder / name
        if not path.exists():
            run.missing[name] = f"The folder has no {name}."
            continue
        try:
            run.content[name] = reader(path)
        except (DataError, OSError, ValueError) as error:
            run.missing[name] = f"{name} cannot be read: {error}"
        run.changed = max(run.changed, path.stat().st_mtime)
    if not run.changed:
        raise DataError(f"{folder} holds nothing of a run: none of {', '.join(FILES)}. Give the folder of a run, as "
                        "`tinygrad-course train` or a Trainer's callbacks write it.")
    return run


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


# ---- test data ------------------------------------------------------------------------------------------------------


@dataclass
class _Judged:
    """What the model says of the test data."""

    probabilities: np.ndarray  # (N, C)
    labels: np.ndarray | None  # (N,)
    pictures: np.ndarray | None  # (N, H, W), (N, 1, H, W), (N, 3, H, W)
    names: list[str]

    @property
    def said(self) -> np.ndarray:
        return np.asarray(self.probabilities.argmax(axis=1))


def _judge(model: Module, inputs: Array, labels: Array | Sequence[int] | None, pictures: Array | None,
           class_names: Sequence[str] | None) -> _Judged:
    values = as_array(inputs)
    training = model.training
    model.eval()
    try:
        with no_grad():
            parts = [model(from_numpy(values[start:start + BATCH])).numpy() for start in range(0, len(values), BATCH)]
        scores = np.concatenate(parts) if parts else np.empty((0, 0))
        if scores.ndim != 2 or not scores.size or len(scores) != len(values):
            raise ShapeError(f"write_report: the model made {scores.shape} of inputs {values.shape}, needed are scores of "
                             "classes (N, C) with N >= 1. Leave inputs out for a model that is no classifier.")
        probabilities = F.softmax(from_numpy(scores), dim=1).numpy()
    finally:
        model.train(training)
    true = None if labels is None else as_array(labels).astype(np.int64)
    n, n_classes = probabilities.shape
    if true is not None and (true.shape != (n,) or true.min() < 0 or true.max() >= n_classes):
        raise ShapeError(f"write_report: labels {true.shape} from {true.min()} to {true.max()} for {n} inputs and "
                         f"{n_classes} classes. Give one label per input, from 0 to {n_classes - 1}.")
    names = [str(number) for number in range(n_classes)] if class_names is None else list(class_names)
    if len(names) != n_classes:
        raise ShapeError(f"write_report: {len(names)} class names for {n_classes} classes. Give one per class.")
    shown = values if pictures is None else as_array(pictures)
    if pictures is not None and len(shown) != n:
        raise ShapeError(f"write_report: {len(shown)} pictures for {n} inputs. Give one per input.")
    drawable = shown.ndim == 3 or (shown.ndim == 4 and shown.shape[1] in (1, 3))
    return _Judged(probabilities, true, shown if drawable else None, names)


# ---- the sections ---------------------------------------------------------------------------------------------------


def _absent(*sentences: str) -> Markup:
    return element("p", " ".join(sentences), class_="soft")


def _head(run: _Run) -> Markup:
    begun = next((session.get("begun") for session in _sessions(run)), None)
    date = begun or datetime.fromtimestamp(run.changed, UTC).isoformat(timespec="seconds")
    version = run.mapping(CONFIGURATION).get("version")
    with_version = f" with tinygrad_course {version}" if version else ""
    return element("p", f"Run of {date}{with_version}; report made by tinygrad_course {__version__}, NumPy "
                        f"{np.__version__}.", class_="soft")


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """("settings.lr", 0.003) ...: nested dicts by path; numbers as they are, anything else as text."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield name, content
    else:
        yield name, "none" if content is None else str(content)


def _configuration(run: _Run) -> Markup:
    rows = list(_flat(run.content.get(CONFIGURATION, {})))
    if rows:
        return table(rows)
    state = run.state
    optimizer = _mapping(state.get("optimizer")).get("param_groups")
    rows = [(name, state[name]) for name in ("epochs", "monitor", "accumulate") if name in state]
    rows += [(f"stopping.{name}", _mapping(state.get("stopping")).get(name)) for name in ("mode", "patience")
             if "stopping" in state]
    for number, group in enumerate(optimizer if isinstance(optimizer, list) else []):
        rows += [(f"optimizer.{number}.{name}", value) for name, value in _flat(group) if name != "params"]
    rows = [pair for name, value in rows for pair in _flat(value, name)]
    why = run.missing.get(CONFIGURATION, f"{CONFIGURATION} is empty.")
    if not rows:
        return _absent(why)
    return join((_absent(why, f"{CHECKPOINT} says, with the rates of the last step:"), table(rows)))


def _result(run: _Run) -> Markup:
    best, where = run.best
    tested = [(f"test {name}", value) for name, value in _flat(run.mapping(RESULT, "test"))
              if isinstance(value, int | float)]
    epochs = len(next(iter(run.history.values()), []))
    rows: list[tuple[str, Any]] = [*tested]
    if epochs:
        rows.append(("epochs", epochs))
    steps = run.mapping(RESULT).get("steps", run.state.get("steps"))
    if isinstance(steps, int):
        rows.append(("steps", steps))
    parts = []
    if best is not None:
        rows.append(("best epoch", best))
        rows += [(f"{name} in the best epoch", values[best - 1]) for name, values in run.history.items()
                 if name != "epoch" and best <= len(values)]
        parts.append(_absent(f"The best epoch is that of {where}."))
    if RESULT in run.missing:
        parts.append(_absent(run.missing[RESULT], "The run may have been interrupted."))
    return join((table(rows) if rows else "", *parts))


_KINDS = (("train_eval_", "training, in evaluation mode"), ("train_", "training"), ("val_", "validation"))


def _curves(run: _Run) -> Markup:
    history = run.history
    if not history:
        return _absent(run.missing.get(HISTORY, "No epoch is complete yet."))
    best = run.best[0]
    measures: dict[str, dict[str, str]] = {}  # loss -> {"training": train_loss, ...}
    alone = []
    for column in history:
        for prefix, kind in _KINDS:
            if column.startswith(prefix):
                measures.setdefault(column.removeprefix(prefix), {})[kind] = column
                break
        else:
            if column != "epoch":
                alone.append(column)
    parts = []
    for measure, columns in measures.items():
        said = ", ".join(f"{kind} {_ends(history[column])}" for kind, column in columns.items())
        parts.append(chart(_curve(history, measure, columns, best), f"{measure} after each epoch: {said}", half=True))
    for column in alone:
        ax = plot_metric(history, column)
        if legend := ax.get_legend():  # one curve, and the title names it
            legend.remove()
        parts.append(chart(ax, f"{column} after each epoch: {_ends(history[column])}", half=True))
    rows = [[int(value) if name == "epoch" else value for name, value in zip(history, row, strict=True)]
            for row in zip(*history.values(), strict=True)]
    numbers = element("details", element("summary", "The numbers"), table(rows, list(history), HISTORY))
    return join((*parts, numbers))


def _ends(values: Sequence[float]) -> str:
    return f"from {values[0]:.4g} to {values[-1]:.4g}"


def _curve(history: Mapping[str, list[float]], measure: str, columns: Mapping[str, str], best: int | None) -> Any:
    """One panel; the training curve in evaluation mode where there is no other partner for the validation."""
    train, val = columns.get("training"), columns.get("validation")
    evaluated = columns.get("training, in evaluation mode")
    if train is None or evaluated is not None or measure not in ("loss", "accuracy"):
        ax = plot_metric(history, measure if train or val else evaluated or measure, best)
        if evaluated is not None and (train or val):
            epochs = range(1, len(history[evaluated]) + 1)
            ax.plot(epochs, history[evaluated], label="training, in evaluation mode", color="#009E73", linewidth=2)
            ax.legend(framealpha=0.9)
        return ax
    validation = history[val] if val else None
    if measure == "loss":
        return plot_loss(history[train], validation, best, unit="loss")
    return plot_accuracy(history[train], validation, best)


def _test(run: _Run, judged: _Judged | None, class_names: list[str] | None) -> Markup:
    test = run.mapping(RESULT, "test")
    counts = _counts(test.pop("confusion", None))
    names = test.pop("class_names", None)
    parts = [table(list(_flat(test))) if test else
             _absent(run.missing.get(RESULT, f"{RESULT} has no test result."))]
    if counts is None and judged is not None and judged.labels is not None:
        counts = confusion_matrix(judged.said, judged.labels, len(judged.names))
        names = judged.names
        parts.append(_absent("The confusion matrix is that of the model and the test data that the report was given."))
    if counts is None:
        return join((*parts, _absent(f"{RESULT} has no confusion matrix.") if test else ""))
    if not isinstance(names, list) or len(names) != len(counts):
        names = class_names if class_names is not None and len(class_names) == len(counts) else \
            [str(number) for number in range(len(counts))]
    names = [str(name) for name in names]
    if len(counts) <= MOST_CLASSES:
        drawing = plot_confusion_matrix(counts, [_plain(_short(name, LONGEST_CLASS)) for name in names])
        parts.append(chart(drawing, "confusion matrix: rows true classes, columns predicted; the counts are in the table"))
        rows = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
        parts.append(element("details", element("summary", "The counts"),
                             table(rows, ["true \\ predicted", *names], "Test samples by true and predicted class")))
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = [[name, int(support[i]), _share(right[i], predicted[i]), _share(right[i], support[i]),
             _share(2 * right[i], support[i] + predicted[i])] for i, name in enumerate(names)]
    parts.append(table(rows, ["class", "samples", "precision", "recall", "F1"], "Classes"))
    wrong = counts - np.diag(right)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [[names[i // len(names)], names[i % len(names)], int(wrong.flat[i])] for i in order if wrong.flat[i]]
    if pairs:
        parts.append(table(pairs, ["true", "taken for", "times"], "The most frequent confusions"))
    return join(parts)


def _counts(value: Any) -> np.ndarray | None:
    """The confusion matrix of result.json; None where it is none."""
    try:
        counts = np.asarray(value)
    except ValueError:
        return None
    square = counts.ndim == 2 and counts.shape[0] == counts.shape[1] and counts.size and counts.dtype.kind in "iu"
    return counts if square else None


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mistakes(judged: _Judged | None, note: str) -> Markup:
    if judged is None or judged.labels is None:
        return _absent(note)
    wrong = np.flatnonzero(judged.said != judged.labels)
    if not wrong.size:
        return _absent(f"All {len(judged.labels):,} test samples are labelled right.")
    sure = judged.probabilities.max(axis=1)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:SHOWN]
    rows = [[int(i), judged.names[judged.said[i]], float(sure[i]), judged.names[judged.labels[i]],
             float(judged.probabilities[i, judged.labels[i]])] for i in worst]
    return join((
        element("p", f"{len(wrong):,} of {len(judged.labels):,} test samples are labelled wrong. Here are "
                     f"{'they' if len(worst) == len(wrong) else f'{len(worst)} of them'}, the surest mistakes first."),
        _grid(judged, worst),
        table(rows, ["sample", "predicted", "probability", "true", "probability of the true class"])))


def _samples(judged: _Judged | None, note: str) -> Markup:
    if judged is None:
        return _absent(note)
    first = np.arange(min(SHOWN, len(judged.probabilities)))
    rows = [[int(i), judged.names[judged.said[i]], float(judged.probabilities[i].max()),
             "" if judged.labels is None else judged.names[judged.labels[i]]] for i in first]
    wrong = "" if judged.labels is None else f", {(judged.said[first] != judged.labels[first]).sum()} of them labelled wrong"
    return join((element("p", f"The first {len(first)} test samples{wrong}."), _grid(judged, first),
                 element("details", element("summary", "The probabilities"),
                         table(rows, ["sample", "predicted", "probability", "true"]))))


def _grid(judged: _Judged, which: np.ndarray) -> Markup:
    """The images, each with its predicted class below it, and the true one where that differs."""
    if judged.pictures is None:
        return _absent("The inputs are no images (N, H, W), (N, 1, H, W) or (N, 3, H, W): give pictures to show them.")
    parts, true = [], judged.said if judged.labels is None else judged.labels
    for i, pixels in zip(which, to_pixels(judged.pictures[which], "write_report"), strict=True):
        wrong = bool(judged.said[i] != true[i])
        caption = [judged.names[judged.said[i]]]
        if wrong:
            caption += [Markup("<br>"), f"true: {judged.names[true[i]]}"]
        parts.append(sample(pixels, f"test sample {i}", join(caption), wrong=wrong))
    return element("figure", *parts, class_="samples")


def _short(name: str, length: int) -> str:
    """A name that leaves room for the drawing: its beginning and its end."""
    return name if len(name) <= length else f"{name[:length // 2].rstrip()}…{name[-(length // 2 - 1):].lstrip()}"


def _plain(name: str) -> str:
    """A name that matplotlib takes as it is: between two dollars it would read a formula."""
    return name.replace("$", r"\$")


def _model(run: _Run, model: Module | None, inputs: Array | None) -> Markup:
    if model is not None and inputs is not None:
        return element("pre", summary(model, input_data=from_numpy(as_array(inputs)[:1])))
    weights = run.mapping(WEIGHTS)
    if not weights:
        return _absent(run.missing.get(WEIGHTS, f"{WEIGHTS} is empty."))
    rows = [[name, " × ".join(map(str, value.shape)) or "1", str(value.dtype), value.numel()]
            for name, value in weights.items()]
    return join((element("p", f"{sum(row[3] for row in rows):,} numbers in {len(rows)} tensors."),
                 table(rows, ["tensor", "shape", "dtype", "numbers"], WEIGHTS)))


def _filters(run: _Run) -> Markup:
    for name, value in run.mapping(WEIGHTS).items():
        weight = value.numpy()
        if weight.ndim == 4 and weight.size and max(weight.shape[2:]) > 1:
            if not np.isfinite(weight).all():
                return _absent(f"{name} has numbers that are not finite.")
            drawing = plot_filters(weight[:MOST_FILTERS].astype(np.float32), title=name)
            more = f"The first {MOST_FILTERS} of {len(weight)} filters." if len(weight) > MOST_FILTERS else ""
            return join((picture(drawing, f"the filters of {name}"), _absent(more) if more else ""))
    return _absent(run.missing.get(WEIGHTS, f"{WEIGHTS} has no convolution that is larger than 1 × 1."))


def _weights(run: _Run) -> Markup:
    weights = {name: value.numpy() for name, value in run.mapping(WEIGHTS).items()}
    layers = {name.removesuffix(".weight"): value for name, value in weights.items()
              if value.ndim >= 2 and value.size and value.dtype.kind == "f"}
    broken = [name for name, value in layers.items() if not np.isfinite(value).all()]
    first = [name for name in list(layers)[:MOST_LAYERS] if name not in broken]
    short = {name: _short(name, LONGEST_LAYER) for name in first}
    unique = len(set(short.values())) == len(short)
    shown = {_plain(short[name] if unique else name): layers[name] for name in first}
    sentences = [f"{name} has numbers that are not finite." for name in broken]
    if len(layers) > MOST_LAYERS:
        sentences.append(f"The first {MOST_LAYERS} of {len(layers)} layers.")
    if not shown:
        return _absent(*(sentences or [run.missing.get(WEIGHTS, f"{WEIGHTS} has no weights of two or more axes.")]))
    rows = [[name, value.size, float(value.mean()), float(value.std()), float(np.abs(value).max())]
            for name, value in layers.items() if name not in broken]
    drawing = plot_distributions(shown, title="Weights in best.safetensors", x_label="weight")
    return join((chart(drawing, "histograms of the weights of each layer"),
                 table(rows, ["layer", "weights", "mean", "standard deviation", "largest magnitude"]),
                 _absent(*sentences) if sentences else ""))


def _sessions(run: _Run) -> list[dict[str, Any]]:
    content = run.content.get(TIMES)
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _times(run: _Run) -> Markup:
    sessions = _sessions(run)
    if not sessions:
        return _absent(run.missing.get(TIMES, f"{TIMES} is empty."), "A Trainer writes it with the callback TimeLog.")
    names = [name for name in sessions[0] if name != "epochs"]
    rows = [[session.get(name) for name in names] for session in sessions]
    epochs = [entry for session in sessions for entry in session.get("epochs", []) if entry.get("seconds")]
    lines = [[entry.get("epoch"), entry["seconds"], entry.get("samples"), entry.get("samples", 0) / entry["seconds"]]
             for entry in epochs]
    total = sum(session.get("seconds", 0) for session in sessions)
    return join((
        element("p", f"{total:.1f} s of training and validation in {len(sessions)} "
                     f"{'part' if len(sessions) == 1 else 'parts'}."),
        table(rows, names),
        element("details", element("summary", "Each epoch"), table(lines, ["epoch", "seconds", "samples", "samples/s"]))
        if lines else ""))
