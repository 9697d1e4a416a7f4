"""Train any network of the zoo on the shipped Fashion-MNIST images: one loop, nothing hidden.

    python examples/train_classifier.py --model resnet18
    python examples/train_classifier.py --model mobilenet_v1 --size 32 --steps 300
    python examples/train_classifier.py --list
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import models, optim, viz
from tinygrad_course.data import load_fashion, mean_and_std, normalise, resize
from tinygrad_course.io import save_file
from tinygrad_course.metrics import accuracy
from tinygrad_course.nn import functional as F
from tinygrad_course.train import cosine

BATCH = 32
NAMES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18", help="a name of models.list_models() (default: resnet18)")
    parser.add_argument("--list", action="store_true", help="show the names, train nothing")
    parser.add_argument("--size", type=int, default=64, help="pixels along each side (default: 64)")
    parser.add_argument("--steps", type=int, default=120, help="training steps; 46 are one epoch (default: 120)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/classifier"), help="folder for weights and figures")
    options = parser.parse_args()
    if options.list:
        print(*models.list_models(), sep="\n")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    # ---- data: grey images enlarged, standardised, repeated for the three channels that the networks want --------------
    (images, labels), (test_images, test_labels) = load_fashion("train"), load_fashion("test")
    statistics = mean_and_std(images / np.float32(255))

    def prepare(pixels: np.ndarray) -> np.ndarray:
        grey = normalise(resize(pixels.astype(np.float32) / 255, options.size), *statistics)
        return np.repeat(grey[:, None], 3, axis=1)  # (N, H, W) -> (N, 3, H, W)

    x, x_test = prepare(images), prepare(test_images)

    # ---- training ------------------------------------------------------------------------------------------------------
    net = models.get_model(options.model, num_classes=10)
    optimizer = optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    learning_rate = cosine(1e-3, options.steps)
    rng = np.random.default_rng(options.seed)
    order = np.empty(0, dtype=np.int64)
    losses = []
    for step in range(options.steps):
        if len(order) < BATCH:  # the next epoch
            order = rng.permutation(len(x))
        index, order = order[:BATCH], order[BATCH:]
        scores = net(tgc.tensor(x[index]))
        scores = scores[0] if isinstance(scores, tuple) else scores  # GoogLeNet has auxiliary heads while it trains
        loss = F.cross_entropy(scores, tgc.tensor(labels[index]))
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0:
            print(f"step {step:4}/{options.steps}  loss {losses[-1]:.3f}", flush=True)

    # ---- test images, looked at once -----------------------------------------------------------------------------------
    net.eval()
    with tgc.no_grad():
        scores = np.concatenate([net(tgc.tensor(x_test[start:start + 50])).numpy() for start in range(0, len(x_test), 50)])
    print(f"{options.model}: test accuracy {100 * accuracy(scores, test_labels):.1f} %")
    save_file({name: value.numpy() for name, value in net.state_dict().items()}, options.out / f"{options.model}.safetensors")
    viz.save_figure(viz.plot_images(test_images[:24], scores[:24].argmax(1), test_labels[:24], NAMES, title=options.model),
                    options.out / f"{options.model}.png")


if __name__ == "__main__":
    main()
