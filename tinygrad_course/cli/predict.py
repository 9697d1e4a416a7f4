"""`tinygrad-course predict`: label image files or test images with trained weights."""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.cli.images import bounding_box, load_image_data
from tinygrad_course.cli.train import WEIGHTS, as_png
from tinygrad_course.cli.usage import DONE, UsageError, whole_number
from tinygrad_course.cli.weights import load_weights
from tinygrad_course.data import load_image_file, normalise, resize
from tinygrad_course.io.atomic import write_atomic
from tinygrad_course.models import LeNet5
from tinygrad_course.models.lenet import IMAGE_SIZE
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.creation import from_numpy

HELP = "label image files or test images with trained weights"
DESCRIPTION = """\
Label images with the weights of a training run.

Image files may have any size and colours.  They are made grey; if most of the
outermost pixels are bright (above half of white) the image is taken for dark
ink on light paper and inverted, because the training images are bright on
dark.  Then the depicted thing is cut out (all pixels above half of the
brightest), put in the middle of a square that it fills as far as the training
images do, and resized to 32 x 32.  One thing per image.
"""
EXAMPLES = """\
examples:
  tinygrad-course predict scan.png photo.jpg
  tinygrad-course predict --test 20 --out predictions.png
  tinygrad-course predict --weights runs/fashion/best.safetensors --test 10
  tinygrad-course predict --weights lenet.pt --data digits --test 10

"""

_LONGEST_NAME = 40  # columns for a file name


def add_options(parser: argparse.ArgumentParser) -> None:
    """Arguments and options of the sub-command."""
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="image files (PNG, JPEG, PGM, ...)")
    parser.add_argument("--test", metavar="N", type=whole_number,
                        help="label the first N test images of the data that the weights were trained on")
    parser.add_argument("--weights", metavar="FILE", type=Path, default=Path("runs/lenet") / WEIGHTS,
                        help=f"weights of a training run (default: runs/lenet/{WEIGHTS})")
    parser.add_argument("--data", metavar="NAME",
                        help="what weights from elsewhere (safetensors, .npz, .pt) were trained on: digits, fashion or a "
                             "folder with the files of MNIST")
    parser.add_argument("--out", metavar="FILE.png", type=Path, help="draw the images with their labels")


def run(options: argparse.Namespace) -> int:
    """Label what the options name; returns the exit code."""
    if bool(options.files) == bool(options.test):
        raise UsageError("give image files, or --test N for test images" + (", not both" if options.files else ""))
    if options.out is not None and (options.out.suffix.lower() != ".png" or not options.out.parent.is_dir()):
        raise UsageError(f"--out {options.out} must be a .png file in an existing folder")
    model, info = load_weights(options.weights, options.data)
    target = None
    if options.test:
        data = load_image_data(info.data)
        images, target = data.test_images[:options.test], data.test_labels[:options.test]
        names = [f"test image {number}" for number in range(len(images))]
    else:
        images = np.stack([prepare(load_image_file(path), info.fill) for path in options.files])[:, None]
        names = [str(path) for path in options.files]
    probabilities = predict(model, normalise(images, info.mean, info.std))
    labels = probabilities.argmax(axis=1)
    _print_table(names, labels, probabilities.max(axis=1), target, info.class_names)
    if options.out is not None:
        from tinygrad_course.viz import plot_images
        write_atomic(options.out, as_png(plot_images(images, labels, target, info.class_names)))
        print(f"figure {options.out}")
    return DONE


def predict(model: LeNet5, images: np.ndarray) -> np.ndarray:
    """Probabilities of the classes: (N, 1, 32, 32) -> (N, C)."""
    with no_grad():
        return np.concatenate([F.softmax(model(from_numpy(images[start:start + 256])), dim=1).numpy()
                               for start in range(0, len(images), 256)])


def prepare(image: np.ndarray, fill: float) -> np.ndarray:
    """A grey image (H, W) in [0, 1] as the training images are: (32, 32), bright on dark, the thing in the middle.

    `fill` is the share of the square that the thing takes up along its longer side.
    """
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    paper = float(np.median(border))
    if paper > 0.5:
        image, paper = 1 - image, 1 - paper
    image = np.clip((image - paper) / max(float(image.max()) - paper, 1e-6), 0, 1)
    cut = image[bounding_box(image)]
    height, width = cut.shape
    side = max(round(max(height, width) / fill), height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top:top + height, left:left + width] = cut
    return resize(square, IMAGE_SIZE)


def _print_table(names: list[str], labels: np.ndarray, probabilities: np.ndarray, target: np.ndarray | None,
                 class_names: list[str]) -> None:
    shown = [name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME:]}" for name in names]
    width = max(5, *map(len, shown))
    label_width = max(5, *map(len, class_names))
    print(f"{'image':<{width}}  {'label':<{label_width}}  probability" + ("" if target is None else "  truth"))
    for number, name in enumerate(shown):
        label = labels[number]
        line = f"{name:<{width}}  {class_names[label]:<{label_width}}  {100 * probabilities[number]:>9.1f} %"
        if target is not None:
            line += f"  {class_names[target[number]]}{'' if label == target[number] else '  wrong'}"
        print(line)
    if target is not None:
        right = int((labels == target).sum())
        print(f"{right} of {len(target)} right")
