"""Train LeNet-5 on real handwritten digits: the job of `tinygrad-course train lenet` as one loop, nothing hidden.

    python examples/lenet.py
    python examples/lenet.py --steps 60 --out /tmp/lenet
"""

import argparse
import math
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits, mean_and_std, normalise, resize
from tinygrad_course.io import save_file
from tinygrad_course.metrics import accuracy, confusion_matrix
from tinygrad_course.models import LeNet5
from tinygrad_course.train import RandomAffine

BATCH = 64
N_VAL = 144


def images_and_labels(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The shipped digits, 8 x 8, up-sampled to the 32 x 32 pixels of LeNet-5: float32 (N, 1, 32, 32) in [0, 1]."""
    images, labels = load_digits(split)
    return resize(images.astype(np.float32) / DIGIT_WHITE, 32)[:, None], labels  # (N, 8, 8) -> (N, 1, 32, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=840, help="training steps; 21 are one epoch (default: 840)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_lenet"), help="folder for weights and figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    # ---- data: training, validation (choose the best weights) and test images (looked at once, at the end) ----------
    images, labels = images_and_labels("train")
    mean, std = mean_and_std(images)
    order = tgc.randperm(len(images)).numpy()
    x = tgc.from_numpy(normalise(images[order], mean, std))
    y = tgc.from_numpy(labels[order])
    x_train, y_train, x_val, y_val = x[N_VAL:], y[N_VAL:], x[:N_VAL], y[:N_VAL]

    # ---- model, loss, optimiser -------------------------------------------------------------------------------------
    model = LeNet5()
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    distort = RandomAffine(degrees=10, translate=3, scale=0.1, fill=-mean / std)
    history: dict[str, list[float]] = {"train_loss": [], "train_accuracy": [], "val_loss": [], "val_accuracy": []}
    best_loss, best_epoch, best_weights = math.inf, 0, model.state_dict()

    # ---- the loop ---------------------------------------------------------------------------------------------------
    step = epoch = 0
    while step < options.steps:
        epoch += 1
        losses, hits = [], []
        shuffled = tgc.randperm(len(x_train))
        for start in range(0, len(x_train), BATCH):
            batch = shuffled[start:start + BATCH]
            for group in optimizer.param_groups:  # from 0.003 to 0 along half a cosine
                group["lr"] = 3e-3 * (1 + math.cos(math.pi * step / options.steps)) / 2
            scores = model(distort(x_train[batch]))  # (N, 1, 32, 32) -> (N, 10)
            loss = loss_fn(scores, y_train[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            hits.append(accuracy(scores, y_train[batch]))
            step += 1
            if step == options.steps:
                break
        with tgc.no_grad():
            scores = model(x_val)
            history["train_loss"].append(float(np.mean(losses)))
            history["train_accuracy"].append(float(np.mean(hits)))
            history["val_loss"].append(loss_fn(scores, y_val).item())
            history["val_accuracy"].append(accuracy(scores, y_val))
        if history["val_loss"][-1] < best_loss:
            best_loss, best_epoch = history["val_loss"][-1], epoch
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
        print(f"epoch {epoch:2}  loss {history['train_loss'][-1]:.3f}  "
              f"validation {history['val_loss'][-1]:.3f}, {100 * history['val_accuracy'][-1]:.1f} %")

    # ---- the test, once, with the best weights ----------------------------------------------------------------------
    model.load_state_dict(best_weights)
    images, labels = images_and_labels("test")
    with tgc.no_grad():
        scores = model(tgc.from_numpy(normalise(images, mean, std)))
    save_file(best_weights, options.out / "lenet.safetensors")
    viz.save_figure(viz.plot_learning_curves(history, best_epoch), options.out / "learning_curves.png")
    viz.save_figure(viz.plot_filters(model.c1.weight), options.out / "filters.png")
    counts = confusion_matrix(scores, labels, 10)
    viz.save_figure(viz.plot_confusion_matrix(counts), options.out / "confusion_matrix.png")
    print(f"weights and figures are in {options.out}")
    print(f"test accuracy {100 * accuracy(scores, labels):.1f} %")


if __name__ == "__main__":
    main()
