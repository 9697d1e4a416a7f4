"""The command `tinygrad-course`, in this process and as a real one."""

import gzip
import importlib.util
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.cli import command, main
from tinygrad_course.cli import train as train_command
from tinygrad_course.cli.images import bounding_box
from tinygrad_course.cli.predict import prepare
from tinygrad_course.data import load_digits, resize
from tinygrad_course.io import load_file, load_metadata, save, save_file

COMMAND = [sys.executable, "-u", "-m", "tinygrad_course"]
FILES = ("run.json", "best.safetensors", "history.csv", "result.json", "checkpoint.safetensors")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}
LAST_LINE = re.compile(r"test accuracy \d+\.\d %")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of some epochs: good enough to know digits."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "lenet", "--epochs", "6", "--no-figures", "--out", str(out)]) == 0
    return out


def run(*arguments, code=0, **environment):
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=900, check=False,
                          env={**ENVIRONMENT, **environment})
    assert done.returncode == code, done.stdout + done.stderr
    return done


def interrupt(*arguments, number=signal.SIGINT):
    """Start a run, send the signal when the first epoch of it is complete, and return its output."""
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=ENVIRONMENT) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if re.match(r"\d+/\d+ ", line):
                break
        process.send_signal(number)
        out, error = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(seen) + out + error
    assert error == ""
    return "".join(seen) + out


def different_files(first, second):
    return [name for name in FILES if (first / name).read_bytes() != (second / name).read_bytes()]


# ---- train ----------------------------------------------------------------------------------------------------------

def test_a_short_run_says_where_everything_is(folder):
    done = run("train", "lenet", "--steps", "25")
    lines = done.stdout.splitlines()
    assert LAST_LINE.fullmatch(lines[-1])
    assert done.stderr == ""
    assert max(map(len, lines)) < 80
    assert done.stdout.replace("\n", "").isprintable()
    assert sum(bool(re.match(r"\d+/40 ", line)) for line in lines) == 2  # one whole epoch, one that was cut off
    out = Path("runs/lenet")
    expected = {*FILES, "times.json", "learning_curves.png", "filters.png", "confusion_matrix.png"}
    assert {path.name for path in out.iterdir()} == expected
    for name in expected - {"checkpoint.safetensors"}:
        assert str(out / name) in done.stdout
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    result = json.loads((out / "result.json").read_text())
    assert result["images"] == {"training": 1294, "validation": 144, "test": 359}
    assert f"{100 * result['test']['right'] / 359:.1f} %" in lines[-1]
    assert len((out / "history.csv").read_text().splitlines()) == 3
    configuration = json.loads((out / "run.json").read_text())
    assert configuration["settings"] == result["settings"] == {
        "model": "lenet", "data": "digits", "epochs": 40, "batch_size": 64, "lr": 3e-3, "seed": 0}
    assert configuration["version"] == tgc.__version__
    assert sum(value.numel() for value in load_file(out / "best.safetensors").values()) == 61_706


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_continues_to_the_same_bits(folder, number):
    options = ["train", "lenet", "--no-figures", "--epochs", "4", "--batch-size", "16"]
    run(*options, "--out", "whole")
    out = interrupt(*options, "--out", "pieces", number=number)
    assert "weights and checkpoint are saved" in out
    assert out.splitlines()[-1] == "continue with: tinygrad-course train lenet --resume --out pieces"
    assert not Path("pieces/result.json").exists()
    interrupt("train", "lenet", "--no-figures", "--resume", "--out", "pieces", number=number)
    run("train", "lenet", "--no-figures", "--resume", "--out", "pieces")
    assert not different_files(Path("whole"), Path("pieces"))


def test_a_run_cut_by_steps_continues_to_the_same_bits(folder):
    options = ["train", "lenet", "--no-figures", "--epochs", "2"]
    assert main([*options, "--out", "whole"]) == 0
    assert main([*options, "--out", "pieces", "--steps", "10"]) == 0
    assert main(["train", "lenet", "--no-figures", "--resume", "--out", "pieces", "--steps", "21"]) == 0
    assert main(["train", "lenet", "--no-figures", "--resume", "--out", "pieces"]) == 0
    assert not different_files(Path("whole"), Path("pieces"))


def test_a_second_ctrl_c_aborts_and_leaves_whole_files(folder, monkeypatch, capsys):
    saved = []

    def save_then_interrupt(path, state, save=train_command.save_checkpoint):
        if saved:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        saved.append(path)
        save(path, state)

    monkeypatch.setattr(train_command, "save_checkpoint", save_then_interrupt)
    assert main(["train", "lenet", "--no-figures", "--epochs", "3", "--out", "run"]) == 130
    assert "continue with" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main(["train", "lenet", "--no-figures", "--resume", "--out", "run"]) == 0
    assert main(["train", "lenet", "--no-figures", "--epochs", "3", "--out", "whole"]) == 0
    assert not different_files(Path("whole"), Path("run"))


def test_a_finished_run_can_be_resumed_to_report_again(folder, capsys):
    assert main(["train", "lenet", "--no-figures", "--epochs", "1", "--out", "run"]) == 0
    before = {name: Path("run", name).read_bytes() for name in FILES}
    first = capsys.readouterr().out.splitlines()[-1]
    assert main(["train", "lenet", "--resume", "--no-figures", "--out", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == first
    assert before == {name: Path("run", name).read_bytes() for name in FILES}


def test_threads_do_not_change_a_bit(folder):
    for threads in ("1", "2"):
        run("train", "lenet", "--no-figures", "--steps", "30", "--threads", threads, "--out", threads)
    assert not different_files(Path("1"), Path("2"))


def test_a_new_run_replaces_the_old_one(folder, capsys):
    options = ["train", "lenet", "--steps", "1", "--out", "run"]
    assert main(options) == 0
    Path("run/notes.txt").write_text("mine")
    capsys.readouterr()
    assert main([*options, "--no-figures"]) == 0
    assert "replacing the earlier run in run" in capsys.readouterr().out
    assert not Path("run/filters.png").exists()
    assert Path("run/notes.txt").read_text() == "mine"


def test_divergence_is_exit_code_1(folder, capsys):
    assert main(["train", "lenet", "--no-figures", "--lr", "1e4", "--out", "run"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(r"training has diverged\. First was: .* made (NaN|Inf) in forward.*Use a smaller learning rate", error)


def write_idx(path, array):
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def mnist_like(tmp_path):
    """Four IDX files, with six classes, in a folder of its own."""
    folder = tmp_path / "idx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        labels = np.arange(n) % 6
        images = rng.integers(0, 50, (n, 28, 28))
        images[np.arange(n), 4 * labels] = 255
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


def test_idx_files_by_folder_and_by_file(folder, mnist_like, capsys):
    options = ["train", "lenet", "--steps", "3", "--no-figures"]
    assert main([*options, "--data", str(mnist_like), "--out", "a"]) == 0
    assert "54 training, 6 validation, 20 test images" in capsys.readouterr().out
    assert main([*options, "--data", str(mnist_like / "train-images-idx3-ubyte.gz"), "--out", "b"]) == 0
    assert load_file("a/best.safetensors")["output.bias"].shape == (6,)
    assert main(["predict", "--weights", "a/best.safetensors", "--test", "5"]) == 0
    write_idx(mnist_like / "t10k-labels-idx1-ubyte", np.zeros(20, int))
    capsys.readouterr()
    assert main(["train", "lenet", "--resume", "--out", "a"]) == 2
    assert "have changed since" in capsys.readouterr().err


def test_fashion(folder, capsys):
    assert main(["train", "lenet", "--data", "fashion", "--steps", "2", "--no-figures", "--out", "f"]) == 0
    assert main(["predict", "--weights", "f/best.safetensors", "--test", "3"]) == 0
    assert "Ankle boot" in capsys.readouterr().out or "/top" in capsys.readouterr().out


@pytest.mark.slow
def test_the_default_run_reaches_98_percent(folder):
    """With the kernels in NumPy, and compiled if there are any; their losses are the same until rounding has grown."""
    losses = []
    for backend in ("reference", "compiled") if tgc.backend.COMPILED else ("reference",):
        done = run("train", "lenet", "--no-figures", "--out", backend, TINYGRAD_COURSE_BACKEND=backend)
        assert float(done.stdout.splitlines()[-1].split()[2]) >= 98
        history = np.genfromtxt(Path(backend, "history.csv"), delimiter=",", names=True)[:8]
        losses.append([history["train_loss"], history["val_loss"]])
    np.testing.assert_allclose(losses[0], losses[-1], rtol=0.02)


# ---- predict --------------------------------------------------------------------------------------------------------

def write_image(path, pixels):
    from PIL import Image
    Image.fromarray(np.clip(255 * pixels, 0, 255).astype(np.uint8)).save(path)


def test_predict_labels_files_of_any_polarity_size_and_margin(folder, trained, capsys):
    images, labels = load_digits("test")
    names = []
    for number in range(10):
        big = resize(images[number].astype(np.float32) / 16, 90)
        framed = np.pad(big, ((10, 30), (50, 20)))
        for kind, pixels in (("dark", framed), ("light", 0.9 - 0.8 * framed),
                             ("colour", np.stack([1 - framed] * 3, axis=-1))):
            names.append(f"{kind}{number}.png")
            write_image(names[-1], pixels)
    weights = ["--weights", str(trained / "best.safetensors")]
    assert main(["predict", *weights, *names, "--out", "grid.png"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "figure grid.png"
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG")
    said = dict(line.split()[:2] for line in lines[1:])
    right = sum(said[name] == str(labels[int(re.sub(r"\D", "", name))]) for name in names)
    assert right >= 27
    assert all(re.fullmatch(r"\S+ +\d +\d+\.\d %", line) for line in lines[1:])


def test_predict_test_images(trained, capsys):
    assert main(["predict", "--weights", str(trained / "best.safetensors"), "--test", "100"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    right = int(re.fullmatch(r"(\d+) of 100 right", last).group(1))
    assert right >= 90
    assert sum(line.endswith("wrong") for line in lines) == 100 - right


def test_prepare_fills_the_square_as_asked():
    image = np.full((100, 60), 0.9, np.float32)
    image[20:60, 30:40] = 0.1
    ready = prepare(image, 0.5)
    rows, columns = bounding_box(ready)
    assert ready.shape == (32, 32)
    assert (ready.min(), ready.max()) == (0, 1)
    assert rows.stop - rows.start == pytest.approx(16, abs=1)
    assert columns.stop - columns.start == pytest.approx(4, abs=1)
    assert rows.start + rows.stop == pytest.approx(32, abs=1)


def test_an_empty_image_is_black():
    assert (prepare(np.full((5, 7), 0.8, np.float32), 1.0) == 0).all()


# ---- info, help -----------------------------------------------------------------------------------------------------

def test_info_tells_everything(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for name in ("tinygrad_course", "Python", "NumPy", "backend", "instruction set", "threads", "OpenMP", "memory pool",
                 "CuPy", "pillow", "matplotlib", "tqdm"):
        assert re.search(rf"^{name}", out, re.MULTILINE), name
    assert tgc.__version__ in out
    assert np.__version__ in out
    assert max(map(len, out.splitlines())) < 80


def test_version_and_help(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["--version"], ["--help"], *([name, "--help"] for name in ("train", "predict", "info"))):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 0
    out = capsys.readouterr().out
    assert f"tinygrad_course {tgc.__version__}" in out
    assert "examples:" in out
    assert "130  interrupted" in out
    assert max(map(len, out.splitlines())) <= 80


# ---- wrong input ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("arguments", "message"), [
    ("", None),
    ("trian lenet", "did you mean 'train'"),
    ("train", "MODEL"),
    ("train lnet", "did you mean 'lenet'"),
    ("train resnet", "Known: lenet"),
    ("train lenet --epoch 3", "did you mean '--epochs'"),
    ("train lenet extra", "unknown argument 'extra'"),
    ("train lenet --epochs 0", "'0' is not a whole number of at least 1"),
    ("train lenet --epochs many", "'many' is not a whole number"),
    ("train lenet --batch-size 1.5", "'1.5' is not a whole number"),
    ("train lenet --lr -1", "--lr"),
    ("train lenet --lr nan", "'nan' is not a number above 0"),
    ("train lenet --seed -1", "--seed"),
    ("train lenet --threads 0", "--threads"),
    ("train lenet --data digts", "did you mean 'digits'"),
    ("train lenet --data nowhere", "unknown data 'nowhere'"),
    ("train lenet --data .", "train-images-idx3-ubyte"),
    ("train lenet --data file.txt", "not one of the four IDX files"),
    ("train lenet --out file.txt/run", "file.txt is a file"),
    ("train lenet --resume", "has no checkpoint.safetensors"),
    ("train lenet --resume --out folder", "has no checkpoint.safetensors"),
    ("predict", "give image files, or --test N"),
    ("predict file.txt --test 3", "not both"),
    ("predict file.txt", "runs/lenet/best.safetensors does not exist"),
    ("predict --test 3 --weights file.txt", "file.txt is no file of weights"),
    ("predict --test 3 --weights other.safetensors", "holds no weights with the names of LeNet-5's layers"),
    ("predict --test 3 --out grid.gif", "must be a .png file"),
    ("predict --test 3 --out nowhere/grid.png", "existing folder"),
    ("info --all", "unknown option '--all'"),
])
def test_wrong_input_is_one_line_and_exit_code_2(folder, capsys, arguments, message):
    Path("file.txt").write_text("text")
    Path("folder").mkdir()
    save_file({"fc.weight": tgc.zeros(3)}, "other.safetensors")
    before = sorted(folder.rglob("*"))
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert sorted(folder.rglob("*")) == before
    if message is not None:
        assert captured.out == ""
        assert captured.err.startswith("tinygrad-course: ")
        assert captured.err.count("\n") == 1
        assert message in captured.err


def test_resume_with_other_settings_or_a_broken_checkpoint(folder, capsys):
    assert main(["train", "lenet", "--steps", "1", "--no-figures", "--out", "run"]) == 0
    for option, value in (("--lr", "0.5"), ("--seed", "1"), ("--epochs", "3"), ("--batch-size", "8"),
                          ("--data", "fashion")):
        capsys.readouterr()
        assert main(["train", "lenet", "--resume", option, value, "--out", "run"]) == 2
        assert re.search(rf"was made with {option} \S+, not {value}", capsys.readouterr().err)
    assert main(["train", "lenet", "--resume", "--seed", "0", "--steps", "1", "--no-figures", "--out", "run"]) == 0
    path = Path("run/checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["train", "lenet", "--resume", "--out", "run"]) == 2
    path.write_bytes(Path("run/best.safetensors").read_bytes())
    capsys.readouterr()
    assert main(["train", "lenet", "--resume", "--out", "run"]) == 2
    assert "is no checkpoint" in capsys.readouterr().err


def test_predict_with_broken_images_or_weights_of_another_shape(folder, trained, capsys):
    weights = ["--weights", str(trained / "best.safetensors")]
    Path("notes.png").write_text("text")
    for name, message in (("missing.png", "does not exist"), ("notes.png", "is not an image"), (".", "is a folder")):
        assert main(["predict", *weights, name]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    metadata = load_metadata(trained / "best.safetensors")
    save_file({"c1.weight": tgc.zeros(6, 1, 3, 3)}, "wrong.safetensors", metadata)
    assert main(["predict", "--weights", "wrong.safetensors", "--test", "1"]) == 2
    error = capsys.readouterr().err
    assert "does not fit LeNet-5" in error
    assert error.count("\n") == 1


def test_a_missing_package_is_named_before_any_work(folder, monkeypatch, capsys):
    def find_spec(name, find=importlib.util.find_spec):
        return None if name == "matplotlib" else find(name)

    monkeypatch.setattr(train_command, "find_spec", find_spec)
    assert main(["train", "lenet"]) == 2
    error = capsys.readouterr().err
    assert "needs the package matplotlib" in error
    assert 'pip install "tinygrad_course[all]"' in error
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["w.pt", "w.npz", "w.safetensors", "checkpoint.pth"])
def test_predict_with_weights_from_elsewhere(folder, trained, capsys, name):
    """The same weights without what `train` writes beside them, in every format: the same answers."""
    weights = load_file(trained / "best.safetensors")
    save({"epoch": 3, "model": weights} if name == "checkpoint.pth" else weights, name)
    assert main(["predict", "--weights", str(trained / "best.safetensors"), "--test", "20"]) == 0
    expected = capsys.readouterr().out
    assert main(["predict", "--weights", name, "--data", "digits", "--test", "20"]) == 0
    assert capsys.readouterr().out == expected
    assert main(["predict", "--weights", name, "--test", "20"]) == 2
    assert "does not say what its images look like. Add --data NAME" in capsys.readouterr().err
    assert main(["predict", "--weights", str(trained / "best.safetensors"), "--data", "fashion", "--test", "2"]) == 2
    assert "was trained on digits, not on fashion" in capsys.readouterr().err


def test_ctrl_c_outside_training_is_130(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.info, "run", interrupted)
    assert main(["info"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_gets_no_traceback():
    done = subprocess.run(f"{sys.executable} -m tinygrad_course info | true", shell=True, capture_output=True,
                          text=True, env=ENVIRONMENT, timeout=60, check=False)
    assert done.stderr == ""
    process = subprocess.Popen([sys.executable, "-m", "tinygrad_course", "list"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=ENVIRONMENT)
    process.stdout.close()  # long before it has anything to say
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_one_line():
    done = subprocess.run(f"{sys.executable} -m tinygrad_course info > /dev/full", shell=True, capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 2
    assert re.fullmatch("tinygrad-course: the output cannot be .* No space left on device\n", done.stderr)
