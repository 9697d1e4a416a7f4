"""Pre-training without labels, fine-tuning with few: a stack of denoising autoencoders, and one of Boltzmann machines.

    python examples/pretraining.py
    python examples/pretraining.py --labels 20 --out /tmp/pretraining

`tinygrad-course run C12` compares them with nets that were not pre-trained, over several draws of the labels.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import nn, optim, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits
from tinygrad_course.energy import DeepBeliefNet
from tinygrad_course.metrics import accuracy
from tinygrad_course.models import DenoisingAutoencoder
from tinygrad_course.nn import functional as F
from tinygrad_course.train import classifier, pretrain

SIZES = (64, 200, 100, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="epochs of pre-training (default: 60)")
    parser.add_argument("--labels", type=int, default=5, help="labels per class (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_pretraining"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    (x, y), (x_test, y_test) = ((tgc.tensor(images.reshape(-1, 64).astype(np.float32) / DIGIT_WHITE), labels)
                                for images, labels in (load_digits("train"), load_digits("test")))
    known = np.concatenate([rng.permutation(np.flatnonzero(y == digit))[:options.labels] for digit in range(10)])
    x_known, y_known = x[tgc.tensor(known)], tgc.tensor(y[known])

    # ---- each layer learns from all images, without labels ------------------------------------------------------------
    autoencoders = [DenoisingAutoencoder(pair, noise="masking", amount=0.25) for pair in pairwise(SIZES)]
    pretrain(autoencoders, x, lambda p: optim.Adam(p, lr=0.003), epochs=options.steps, batch_size=50, say=print)
    belief = DeepBeliefNet(SIZES, std=0.05)
    belief.rbms[0].start_from(x)
    pretrain(belief.rbms, x, lambda p: optim.SGD(p, lr=0.1, momentum=0.8), epochs=options.steps, batch_size=50, say=print)

    # ---- a linear layer on top, and gradient descent through all of them ----------------------------------------------
    for name, net in (("autoencoders", classifier(autoencoders, 10)), ("boltzmann_machines", classifier(belief.rbms, 10))):
        optimizer = optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        for _ in range(300):
            loss = F.cross_entropy(net(x_known), y_known)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tgc.no_grad():
            print(f"{name}, {len(known)} labels: test accuracy {100 * accuracy(net(x_test), y_test):.1f} %")
        first = next(layer for layer in net if isinstance(layer, nn.Linear))
        viz.save_figure(viz.plot_filters(first.weight[:24].reshape(24, 1, 8, 8)), options.out / f"{name}.png")

    # ---- what the belief net dreams: Gibbs sampling in its top machine, then down to the pixels -----------------------
    chain = belief.rbms[1](belief.rbms[0](x_test[:16]))
    pixels, _ = belief.generate(chain, 50)
    with tgc.no_grad():
        said = net(pixels).argmax(1)
    viz.save_figure(viz.plot_images(pixels.reshape(16, 8, 8), said, title="Generated, and what the net says"),
                    options.out / "generated.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
