"""viz.write_report: the page is read as a browser reads it, and its numbers are compared with the files of the run."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.cli import main
from tinygrad_course.data import DataLoader, TensorDataset, load_digits
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.metrics import accuracy
from tinygrad_course.train import Checkpoint, CsvHistory, TimeLog, Trainer
from tinygrad_course.viz import write_report
from tinygrad_course.viz.page import Markup, element, table

SECTIONS = ["Result", "Configuration", "Curves", "Test", "Worst mistakes", "Samples", "Model", "Filters", "Weights", "Times"]
VOID = {"meta", "img", "br", "wbr"}


class Page(HTMLParser):
    """Checks that tags are closed in order; collects tags, section texts, and tables as rows of cells by section."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.cells, self.texts, self.title = [], [], {}, {}, ""
        self.heading = self.section = ""
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        rows = self.cells.setdefault(self.section, [])
        if tag == "h2":
            self.heading = ""
        elif tag == "tr":
            rows.append([])
        elif tag in ("td", "th"):
            rows[-1].append("")
        elif tag == "data":
            rows[-1][-1] = float(attributes["value"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "h2":
            self.section = self.heading

    def handle_data(self, text):
        if "h2" in self.open:
            self.heading += text
        self.texts[self.section] = self.texts.get(self.section, "") + text
        if self.open[-1:] == ["title"]:
            self.title += text
        if self.open[-1:] in (["td"], ["th"]):
            self.cells[self.section][-1][-1] += text

    def row(self, section, name):
        return next(row[1:] for row in self.cells[section] if row and row[0] == name)


def read(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    assert [name for name in page.texts if name] == SECTIONS
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), tag
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset")]
        if tag == "img":
            source = r"data:(image/png|image/svg\+xml);base64,([A-Za-z0-9+/=]+)"
            kind, content = re.fullmatch(source, attributes["src"]).groups()
            start = base64.b64decode(content)[:200]
            assert start.startswith(b"\x89PNG") if kind == "image/png" else b"<?xml" in start
            assert attributes["alt"]
        assert "src" not in attributes or tag == "img"
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import|https?:", re.sub(r"base64,[^\"]*", "", text))
    assert ("default-src 'none'" in next(a["content"] for t, a in page.tags if a.get("http-equiv")))
    return page


def pixels(source):
    """The red channel of a PNG, 0 to 1."""
    return imread(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))[..., 0]


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """A run of the command, and its report."""
    folder = tmp_path_factory.mktemp("runs") / "<script>alert('run')</script>".replace("/", "&")
    assert main(["train", "lenet", "--steps", "45", "--no-figures", "--out", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0
    return folder


def test_numbers_are_those_of_the_files(lenet):
    page = read(lenet / "report.html")
    with (lenet / "history.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    table = page.cells["Curves"]
    assert table[table.index(head) + 1:] == [[float(cell) for cell in row] for row in rows]
    result, run = (json.loads((lenet / name).read_text()) for name in ("result.json", "run.json"))
    for name in ("loss", "accuracy", "right"):
        assert page.row("Test", name) == [result["test"][name]]
        assert page.row("Result", f"test {name}") == [result["test"][name]]
    assert page.row("Result", "best epoch") == [result["best"]["epoch"]]
    assert page.row("Result", "val_loss in the best epoch") == [result["best"]["val_loss"]]
    for part in ("settings", "images", "training"):
        for name, value in run[part].items():
            assert page.row("Configuration", f"{part}.{name}") == [value]
    counts = result["test"]["confusion"]
    table = page.cells["Test"]
    at = next(number for number, row in enumerate(table) if row[0] == "true \\ predicted")
    assert table[at + 1:at + 11] == [[str(name), *row] for name, row in enumerate(counts)]
    times = json.loads((lenet / "times.json").read_text())
    table = page.cells["Times"]
    assert table[table.index(["epoch", "seconds", "samples", "samples/s"]) + 1][:3] == list(times[0]["epochs"][0].values())
    assert times[0]["begun"] in page.texts[""]
    assert [row[0] for row in page.cells["Weights"][1:]] == ["c1", "c3", "c5", "f6", "output"]
    assert "61,706" in page.texts["Model"]


def test_predictions_agree_with_the_result(lenet):
    """The report judges the weights anew: as many are wrong as when the run ended, the surest mistake first."""
    page = read(lenet / "report.html")
    result = json.loads((lenet / "result.json").read_text())
    n_wrong = result["images"]["test"] - result["test"]["right"]
    assert page.texts["Worst mistakes"].startswith(f"{n_wrong} of 359 test samples are labelled wrong")
    rows = page.cells["Worst mistakes"][1:]
    labels = load_digits("test")[1]
    assert len(rows) == min(n_wrong, 24)
    assert all(predicted != true == str(labels[int(sample)]) for sample, predicted, _, true, _ in rows)
    sure = [row[2] for row in rows]
    assert sure == sorted(sure, reverse=True)
    assert len(page.cells["Samples"]) == 25
    # loss, accuracy, rate, confusion, filters, weights
    assert sum(tag == "img" for tag, _ in page.tags) == 6 + len(rows) + 24
    frames = [attributes for tag, attributes in page.tags if tag == "figure" and "sample wrong" in attributes["class"]]
    assert f"The first 24 test samples, {len(frames) - len(rows)} of them labelled wrong" in page.texts["Samples"]


def test_nothing_in_names_is_markup(lenet):
    text = (lenet / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text.lower()
    assert Page(text).title == lenet.name
    hostile = '"><script>alert(1)</script>&amp;'
    got = Page(table([[hostile, 1.0]], [hostile, "n"], hostile) + element("img", src=hostile, alt=hostile))
    assert not [tag for tag, _ in got.tags if tag == "script"]
    assert got.cells[""][1] == [hostile, 1.0]
    assert got.tags[-1] == ("img", {"src": hostile, "alt": hostile})
    assert element("p", Markup("<b>x</b>"), "<b>") == "<p><b>x</b>&lt;b&gt;</p>"


def test_hostile_configuration_and_class_names(tmp_path):
    hostile = "</td></table><script>alert(1)</script>$x$"
    (tmp_path / "run.json").write_text(json.dumps({hostile: hostile, "list": [hostile, 1], "none": None, "yes": True}))
    (tmp_path / "result.json").write_text(json.dumps(
        {"test": {"accuracy": 0.5, "class_names": [hostile, "b"], "confusion": [[1, 2], [0, 3]]}}))
    page = read(write_report(tmp_path, title=hostile))
    assert page.title == hostile
    assert "Neither the model nor test data were given" in page.texts["Samples"]
    assert page.row("Configuration", hostile) == [hostile]
    assert page.row("Configuration", "none") == ["none"]
    at = next(number for number, row in enumerate(page.cells["Test"]) if row[0] == "class")
    assert page.cells["Test"][at + 1:at + 3] == [[hostile, 3.0, 1.0, 1 / 3, 0.5], ["b", 3.0, 0.6, 1.0, 0.75]]
    assert page.cells["Test"][-1] == [hostile, "b", 2.0]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """A run of a Trainer with callbacks, flat inputs, a monitor of its own."""
    folder = tmp_path_factory.mktemp("trainer")
    tgc.manual_seed(0)
    (x, y), (x_test, y_test) = load_digits("train"), load_digits("test")
    inputs, test = ((part / 16).astype("float32").reshape(len(part), -1) for part in (x, x_test))
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    trainer = Trainer(model, optim.AdamW(model.parameters(), lr=0.01), nn.CrossEntropyLoss(),
                      DataLoader(TensorDataset(inputs, y), 64, shuffle=True), DataLoader(TensorDataset(test, y_test), 256),
                      epochs=3, metrics={"accuracy": accuracy}, monitor="val_accuracy", mode="max", evaluate_train=True,
                      callbacks=[Checkpoint(folder), CsvHistory(folder / "history.csv"), TimeLog(folder / "times.json")])
    trainer.fit()
    return folder, trainer, test, y_test, x_test


def test_a_run_of_a_trainer(trainer, tmp_path):
    folder, run, test, labels, pictures = trainer
    page = read(write_report(folder, tmp_path / "a.html", model=run.model, inputs=test, labels=labels, pictures=pictures))
    assert "The folder has no run.json. checkpoint.safetensors says" in page.texts["Configuration"]
    assert page.row("Configuration", "monitor") == ["val_accuracy"]
    assert page.row("Configuration", "optimizer.0.lr") == [0.01]
    assert page.row("Result", "best epoch") == [run.stopping.best_epoch]
    assert "The folder has no result.json" in page.texts["Test"]
    right = (np.asarray(run.model(tgc.from_numpy(test)).detach().numpy()).argmax(1) == labels).sum()
    assert f"{len(labels) - right} of {len(labels)} test samples are labelled wrong" in page.texts["Worst mistakes"]
    assert "no convolution" in page.texts["Filters"]
    images = [pixels(attributes["src"]) for tag, attributes in page.tags if tag == "img" and
              attributes["alt"].startswith("test sample ")][-24:]
    assert_allclose(images, pictures[:24] / pictures[:24].max(), atol=1 / 255)
    assert run.model.training, "the mode of the model is as it was"
    assert main(["report", str(folder), "--out", str(tmp_path / "b.html")]) == 0
    page = read(tmp_path / "b.html")
    assert "give model and test data to tinygrad_course.viz.write_report" in page.texts["Samples"]
    assert page.row("Model", "0.weight") == ["16 × 64", "float32", 1024.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_what_is_missing_or_broken_has_a_sentence(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,train_loss,val_loss\n1,nan,2.0\n2,inf,\n")
    page = read(write_report(tmp_path))
    for section in ("Configuration", "Test", "Filters", "Weights", "Times"):
        assert "The folder has no " in page.texts[section], section
    assert page.row("Result", "best epoch") == [1]
    assert "The best epoch is that of the smallest val_loss" in page.texts["Result"]
    for name in ("run.json", "result.json", "times.json", "checkpoint.safetensors", "best.safetensors", "history.csv"):
        (tmp_path / name).write_text("[1,\n2")
    page = read(write_report(tmp_path))
    for name, section in (("run.json", "Configuration"), ("result.json", "Test"), ("times.json", "Times"),
                          ("best.safetensors", "Weights"), ("history.csv", "Curves")):
        assert f"{name} cannot be read" in page.texts[section]
    for name in ("run.json", "result.json", "times.json"):
        (tmp_path / name).write_text("[1]")  # JSON, and not what belongs there
    read(write_report(tmp_path))


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    for folder, message in ((tmp_path, "holds nothing of a run"), (tmp_path / "missing", "is no folder")):
        with pytest.raises(DataError, match=message):
            write_report(folder)
        assert main(["report", str(folder)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_labels_and_pictures_that_do_not_fit(trainer):
    folder, run, test, labels, pictures = trainer
    for options, message in (({"labels": labels[:5]}, "Give one label per input"), ({"labels": labels + 5}, "from 0 to 9"),
                             ({"labels": labels, "pictures": pictures[:3]}, "3 pictures for 359 inputs"),
                             ({"labels": labels, "class_names": ["a"]}, "1 class names for 10 classes")):
        with pytest.raises(ShapeError, match=message):
            write_report(folder, model=run.model, inputs=test, **options)
    with pytest.raises(ShapeError, match="Leave inputs out for a model that is no classifier"):
        write_report(folder, model=nn.Flatten(0), inputs=test)
    assert not (folder / "report.html").exists()


def test_images_that_are_gone(lenet, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "best.safetensors"):
        (folder / name).write_bytes((lenet / name).read_bytes())
    configuration = json.loads((folder / "run.json").read_text())
    configuration["images"]["digest"] = "another"
    (folder / "run.json").write_text(json.dumps(configuration))
    assert main(["report", str(folder)]) == 0
    assert "The images of digits have changed since the run" in read(folder / "report.html").texts["Samples"]


def test_open(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text("{}")
    shown = []
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address) or True)
    out = tmp_path / "page.html"
    for options, count in (([], 0), (["--open", "no"], 0), (["--open", "yes"], 1), (["--open"], 2)):
        assert main(["report", str(tmp_path), "--out", str(out), *options]) == 0
        assert shown == count * [out.resolve().as_uri()]


def test_long_names_leave_room(trainer, tmp_path):
    """Figures show the ends of long names, tables the whole; names may be cut where words join."""
    folder, run, test, labels, pictures = trainer
    names = [f"class {number} " + "x" * 40 for number in range(10)]
    page = read(write_report(folder, tmp_path / "a.html", model=run.model, inputs=test, labels=labels, pictures=pictures,
                             class_names=names))
    matrix = next(attributes for tag, attributes in page.tags if attributes.get("alt", "").startswith("confusion matrix"))
    drawn = base64.b64decode(matrix["src"].partition(",")[2]).decode()
    assert "<!-- class 0 xx…xxxxxxxxx -->" in drawn
    assert "x" * 20 not in drawn
    assert [row[0] for row in page.cells["Test"]].count(names[0]) >= 2
    assert [attributes for tag, attributes in page.tags if tag == "td" and attributes.get("class") == "long"]
    assert table([["train_loss.0.weight", 1.5]]) == (
        '<div class="wide"><table><tbody><tr><th scope="row">train_<wbr>loss.0.<wbr>weight</th>'
        '<td class="number"><data value="1.5">1.5</data></td></tr></tbody></table></div>')
    assert 'class="number"' not in table([["rate", 0.5], ["schedule", "cosine"]]), "numbers stand where the texts do"
