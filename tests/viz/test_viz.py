"""Figures: saved and checked for titles, labels, panels and what they show; broken input is refused in one sentence."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.errors import DataError, DependencyError, ShapeError

pytest.importorskip("matplotlib", exc_type=ImportError)

HISTORY = {"train_loss": [2.0, 1.0, 0.5, 0.25], "val_loss": [2.1, 1.2, 0.9, 1.0],
           "train_accuracy": [0.3, 0.6, 0.8, 0.9], "val_accuracy": [0.25, 0.5, 0.7, 0.65]}


@pytest.fixture
def picture(tmp_path):
    """Saves a drawing as PNG and returns its pixels: the file is whole, and large enough to read at half size."""
    image_module = pytest.importorskip("PIL.Image")

    def save(drawing):
        viz.save_figure(drawing, tmp_path / "figure.png")
        with image_module.open(tmp_path / "figure.png") as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) >= 400
        assert pixels.min() < 100 < pixels.max()
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (border == 255).all(), "something is cut off at the edge"
        return pixels
    return save


def texts(ax):
    return ax.get_title(), ax.get_xlabel(), ax.get_ylabel()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


class TestCurves:
    def test_both_panels(self, picture):
        figure = viz.plot_learning_curves(HISTORY, best_epoch=3)
        picture(figure)
        loss, accuracy = figure.axes
        assert texts(loss) == ("Loss", "epoch", "mean cross-entropy (nats)")
        assert texts(accuracy) == ("Accuracy", "epoch", "correct (%)")
        assert legend(loss) == ["training", "validation", "best, epoch 3: 0.9"]
        assert legend(accuracy) == ["training", "validation", "best, epoch 3: 70.0 %"]
        np.testing.assert_array_equal(loss.lines[0].get_xydata(), [[1, 2], [2, 1], [3, 0.5], [4, 0.25]])
        np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [25, 50, 70, 65])
        assert loss.get_ylim()[0] == 0

    def test_only_training(self, picture):
        figure = viz.plot_learning_curves({"train_loss": [1.0], "train_accuracy": [0.5]})
        picture(figure)
        assert [legend(ax) for ax in figure.axes] == [["training"]] * 2

    def test_wide_range_is_logarithmic(self, picture):
        ax = viz.plot_loss(np.geomspace(2, 0.01, 60))
        picture(ax)
        assert ax.get_yscale() == "log"
        assert viz.plot_loss([2.0, 0.0]).get_yscale() == "linear"

    def test_a_given_panel_is_used(self):
        ax = viz.figure.new_figure(6, 4).subplots()
        assert viz.plot_loss([1.0, 0.5], ax=ax, unit="mean squared error (mV²)") is ax
        assert ax.get_ylabel() == "mean squared error (mV²)"
        assert viz.plot_accuracy([0.5], ax=ax) is ax

    def test_nan_leaves_a_gap(self, picture):
        picture(viz.plot_loss([1.0, float("nan"), 0.5]))

    @pytest.mark.parametrize(("call", "says"), [
        (lambda: viz.plot_loss([]), "there are no values"),
        (lambda: viz.plot_loss([1.0, 2.0], [1.0]), "2 training values, 1 validation values"),
        (lambda: viz.plot_loss([1.0], best_epoch=2), "best_epoch is 2, but there are epochs 1 to 1"),
        (lambda: viz.plot_learning_curves({"loss": [1.0]}), "no train_loss and no train_accuracy, only loss"),
    ])
    def test_refuses(self, call, says):
        with pytest.raises(DataError, match=says):
            call()


class TestHistory:
    FILE = ("epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,val_f1_score\n"
            "1,0.1,2,0.3,2.1,0.25,\n2,0.1,1,0.6,1.2,0.5,0.4\n3,0.05,0.5,0.8,0.9,0.7,0.6\n4,0.05,0.25,0.9,1.0,0.65,0.5\n")

    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "history.csv").write_text(self.FILE)
        return tmp_path

    def test_file_and_folder_are_as_the_lists(self, folder):
        table = viz.read_history(folder / "history.csv")
        assert {name: table[name] for name in HISTORY} == HISTORY
        assert np.isnan(table["val_f1_score"][0])
        assert table["val_f1_score"][1:] == [0.4, 0.6, 0.5]
        np.testing.assert_equal(viz.read_history(str(folder)), table)
        for path in (folder, folder / "history.csv"):
            figure = viz.plot_learning_curves(path)
            np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), HISTORY["val_loss"])

    def test_any_metric(self, folder, picture):
        ax = viz.plot_metric(folder, "f1_score", best_epoch=3)
        picture(ax)
        assert texts(ax) == ("F1 score", "epoch", "f1 score")
        assert legend(ax) == ["validation", "best, epoch 3: 0.6"]
        ax = viz.plot_metric(HISTORY, "accuracy", y="share of right answers", title="A", ax=ax)
        assert texts(ax) == ("A", "epoch", "share of right answers")
        assert legend(ax)[-2:] == ["training", "validation"]
        assert ax.lines[-1].get_ydata().tolist() == HISTORY["val_accuracy"]
        ax = viz.plot_metric(folder, "learning_rate")
        assert legend(ax) == ["learning rate"]
        assert ax.lines[0].get_ydata().tolist() == [0.1, 0.1, 0.05, 0.05]

    @pytest.mark.parametrize("content", [None, "", "a,b\n1\n", "a\nx\n"])
    def test_no_history(self, tmp_path, content):
        if content is not None:
            (tmp_path / "history.csv").write_text(content)
        with pytest.raises(DataError, match=r"history.*cannot be read .*Give the history.csv of a run"):
            viz.read_history(tmp_path / "history.csv")

    def test_no_such_metric(self):
        with pytest.raises(DataError, match="no train_auc, val_auc or auc, only train_loss, val_loss"):
            viz.plot_metric(HISTORY, "auc")


class TestFilters:
    @pytest.mark.parametrize("shape", [(6, 1, 5, 5), (1, 1, 3, 3), (7, 3, 3, 3), (16, 6, 5, 5), (40, 3, 7, 7)])
    def test_one_scale_for_all(self, picture, shape):
        weight = tgc.tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32), requires_grad=True)
        figure = viz.plot_filters(weight)
        picture(figure)
        *panels, bar = figure.axes
        assert len(panels) == shape[0]
        assert [ax.get_title() for ax in panels] == [str(number) for number in range(shape[0])]
        limit = np.abs(weight.detach().numpy()).max()
        for ax in panels:
            assert ax.images[0].get_clim() == pytest.approx((-limit, limit))
        assert bar.get_ylabel() == "weight"
        assert f"{shape[0]} of {shape[2]} x {shape[3]}" in figure.get_suptitle()

    def test_channels_stand_side_by_side(self):
        weight = np.arange(2 * 2 * 2 * 3.0).reshape(2, 2, 2, 3)
        shown = np.ma.filled(viz.plot_filters(weight).axes[1].images[0].get_array(), np.nan)
        np.testing.assert_array_equal(shown, [[12, 13, 14, np.nan, 18, 19, 20], [15, 16, 17, np.nan, 21, 22, 23]])

    def test_zero_weights(self, picture):
        picture(viz.plot_filters(np.zeros((2, 1, 3, 3))))

    @pytest.mark.parametrize("shape", [(5, 5), (0, 1, 3, 3)])
    def test_refuses(self, shape):
        with pytest.raises(ShapeError, match=r"needed is \(O, C, kh, kw\)"):
            viz.plot_filters(np.zeros(shape))


class TestConfusionMatrix:
    COUNTS = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])

    def test_counts_names_recall(self, picture):
        ax = viz.plot_confusion_matrix(self.COUNTS, ["cat", "dog", "axolotl"])
        picture(ax)
        assert texts(ax) == ("Confusion matrix: 86.7 % of 15 correct", "predicted class", "true class")
        assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "axolotl"]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "axolotl"]
        cells = {text.get_text(): text.get_position() for text in ax.texts[:3]}
        assert cells == {"8": (0, 0), "2": (1, 0), "5": (1, 1)}  # column, row
        assert [text.get_text() for text in ax.texts[3:]] == ["recall (%)", "80.0", "100.0", "no samples"]

    @pytest.mark.parametrize("n", [1, 2, 10, 16])
    def test_sizes(self, picture, n):
        ax = viz.plot_confusion_matrix(np.random.default_rng(0).integers(0, 1000, (n, n)))
        picture(ax)
        assert len(ax.get_yticklabels()) == n

    def test_a_given_panel_is_used(self):
        ax = viz.figure.new_figure(6, 6).subplots()
        assert viz.plot_confusion_matrix(np.zeros((2, 2), int), ax=ax) is ax
        assert ax.get_title() == "Confusion matrix: no samples"

    def test_refuses(self):
        with pytest.raises(ShapeError, match=r"needed is \(C, C\)"):
            viz.plot_confusion_matrix(np.zeros((2, 3), int))
        with pytest.raises(ShapeError, match="1 class names for 3 classes"):
            viz.plot_confusion_matrix(self.COUNTS, ["cat"])


class TestImages:
    @pytest.mark.parametrize("shape", [(1, 8, 8), (11, 1, 32, 32), (24, 3, 12, 20)])
    def test_wrong_ones_are_marked(self, picture, shape):
        n = shape[0]
        target = np.arange(n) % 10
        predicted = target.copy()
        predicted[-1] = (target[-1] + 1) % 10
        images = np.random.default_rng(0).random(shape).astype(np.float32)
        figure = viz.plot_images(tgc.tensor(images), tgc.tensor(predicted), target, list("abcdefghij"))
        picture(figure)
        assert figure.get_suptitle() == f"Predictions: 1 of {n} wrong"
        assert len(figure.axes) == sum(len(ax.images) for ax in figure.axes) == n
        names = np.array(list("abcdefghij"))
        assert [ax.get_title() for ax in figure.axes[:-1]] == names[target[:-1]].tolist()
        wrong = figure.axes[-1]
        assert wrong.get_title() == f"{names[predicted[-1]]}\ntrue: {names[target[-1]]}"
        assert wrong.spines["left"].get_linewidth() > 3
        assert all(ax.spines["left"].get_linewidth() < 1 for ax in figure.axes[:-1])

    def test_one_brightness_scale(self):
        figure = viz.plot_images(np.stack([np.full((2, 2), -1.0), np.full((2, 2), 3.0)]), [0, 1])
        assert [ax.images[0].get_array().max() for ax in figure.axes] == [0, 1]
        assert figure.get_suptitle() == "Predictions"
        assert [ax.get_title() for ax in figure.axes] == ["0", "1"]

    def test_colours_keep_their_place(self):
        images = np.zeros((1, 3, 1, 2))
        images[0, 0, 0, 0] = images[0, 2, 0, 1] = 1
        shown = viz.plot_images(images, [0]).axes[0].images[0].get_array()
        np.testing.assert_array_equal(shown, [[[1, 0, 0], [0, 0, 1]]])

    @pytest.mark.parametrize(("call", "says"), [
        (lambda: viz.plot_images(np.zeros((2, 5)), [0, 1]), r"images have the shape \(2, 5\)"),
        (lambda: viz.plot_images(np.zeros((0, 5, 5)), []), "with N >= 1"),
        (lambda: viz.plot_images(np.zeros((2, 5, 5)), [0]), r"predicted has the shape \(1,\) for 2 images"),
        (lambda: viz.plot_images(np.zeros((2, 5, 5)), [0, 1], [0]), r"target has the shape \(1,\)"),
        (lambda: viz.plot_images(np.zeros((1, 5, 5)), [2], class_names=["a"]), "labels go from 2 to 2"),
        (lambda: viz.plot_images(np.zeros((1, 5, 5)), [-1]), "labels go from -1 to -1"),
    ])
    def test_refuses(self, call, says):
        with pytest.raises(ShapeError, match=says):
            call()


def test_save_refuses_bad_paths(tmp_path):
    ax = viz.plot_loss([1.0])
    for path in (tmp_path / "none" / "a.png", tmp_path / "a.xyz"):
        with pytest.raises(DataError, match=r"the figure cannot be written.*Give a file in an existing folder"):
            viz.save_figure(ax, path)


def test_size_of_a_saved_picture(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    ax = viz.plot_loss([1.0], ax=viz.figure.new_figure(6, 4).subplots())
    sizes = []
    for options in ({}, {"dpi": 50}):
        viz.save_figure(ax, tmp_path / "a.png", **options)
        with image_module.open(tmp_path / "a.png") as image:
            sizes.append(image.size)
    assert sizes == [(900, 600), (300, 200)]


def test_pyplot_is_never_imported():
    code = ("import sys, numpy as np; from tinygrad_course import viz; "
            "assert 'matplotlib' not in sys.modules; viz.plot_loss([1.0]); viz.plot_filters(np.ones((1, 1, 2, 2))); "
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match="pip install matplotlib"):
        viz.plot_loss([1.0])
