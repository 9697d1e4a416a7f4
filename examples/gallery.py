"""Every kind of figure that the package draws, of one small network on real digits: the pictures of docs/gallery.md.

    python examples/gallery.py
    python examples/gallery.py --steps 20 --out /tmp/gallery --dpi 60

A convolutional network learns the shipped 8 x 8 digits; what it does on the way, and in the end on the test images, is drawn.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
import tinygrad_course.nn.functional as F
from tinygrad_course import data, metrics, nn, optim, train, viz
from tinygrad_course.data import DIGIT_WHITE, load_digits

BATCH = 64


def draw_networks(out: Path, dpi: float) -> None:
    """A network of a weight matrix W[i, j], from j to i: XOR with a hidden unit and shortcuts, and a recurrent one."""
    weights = np.zeros((4, 4))
    weights[2, :2] = 1, 1      # an AND of both inputs, with its bias
    weights[3, :3] = 1, 1, -2  # OR, but not AND
    viz.save_figure(viz.plot_network(weights, [0, 0, -1.5, -0.5], names=["x₁", "x₂", "and", "xor"],
                                     title="Exclusive or by threshold units"), out / "network.png", dpi=dpi)
    rng = np.random.default_rng(0)
    weights = np.zeros((9, 9))
    weights[3:7, :3], weights[3:7, 3:7], weights[7:, 3:7] = (rng.normal(size=shape) for shape in ((4, 3), (4, 4), (2, 4)))
    viz.save_figure(viz.plot_network(weights, title="3 inputs, 4 recurrent units, 2 outputs", numbers=False),
                    out / "recurrent.png", dpi=dpi)


def draw_regression(out: Path, dpi: float) -> None:
    """How much ink is in the lower half of a digit, by least squares from the pixels of the upper half."""
    (seen, _), (held_out, _) = load_digits("train"), load_digits("test")
    halves = [(np.c_[images[:, :4].reshape(-1, 32), np.ones(len(images))], images[:, 4:].sum(axis=(1, 2), dtype=float))
              for images in (seen, held_out)]
    coefficients = np.linalg.lstsq(*halves[0], rcond=None)[0]
    pred, ink = halves[1][0] @ coefficients, halves[1][1]
    viz.save_figure(viz.plot_regression(pred, ink, title="Ink of the lower half"), out / "regression.png", dpi=dpi)
    viz.save_figure(viz.plot_residuals(pred, ink), out / "residuals.png", dpi=dpi)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=230, help="training steps (default: 230, ten epochs)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dpi", type=float, default=150, help="pixels per inch (default: 150)")
    parser.add_argument("--out", type=Path, default=Path("runs/example_gallery"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tgc.manual_seed(options.seed)

    def save(name: str, drawing: object) -> None:
        viz.save_figure(drawing, options.out / f"{name}.png", dpi=options.dpi)

    # ---- training, and what is noted on the way -----------------------------------------------------------------------
    (x, y), (x_test, y_test) = ((tgc.tensor(images[:, None].astype(np.float32) / DIGIT_WHITE), tgc.tensor(labels))
                                for images, labels in (load_digits("train"), load_digits("test")))
    net = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
                        nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    start = viz.weights_of(net)
    path, norms, steps = [start], {}, 0
    history = {f"{part}_{name}": [] for name in ("loss", "accuracy", "f1_score") for part in ("train", "val")}
    while steps < options.steps:
        for batch in tgc.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for layer, norm in viz.gradient_norms(net).items():
                norms.setdefault(layer, []).append(norm)
            steps += 1
            if steps == options.steps:
                break
        path.append(viz.weights_of(net))
        with tgc.no_grad():
            for part, scores, truth in (("train", net(x), y), ("val", net(x_test), y_test)):
                history[f"{part}_loss"].append(F.cross_entropy(scores, truth).item())
                history[f"{part}_accuracy"].append(metrics.accuracy(scores, truth))
                history[f"{part}_f1_score"].append(metrics.f1_score(scores, truth))
    save("learning_curves", viz.plot_learning_curves(history))
    save("metric", viz.plot_metric(history, "f1_score", best_epoch=int(np.argmax(history["val_f1_score"])) + 1))
    save("gradient_norms", viz.plot_gradient_norms(norms))
    save("weights", viz.plot_weight_histograms(net))
    save("preactivations", viz.plot_preactivations(net, x_test, kind="box"))

    # ---- what it has become, on the test images -----------------------------------------------------------------------
    with tgc.no_grad():
        scores, hidden = net(x_test), net[:8](x_test)  # (N, 10), (N, 32)
        chances = F.softmax(scores, dim=1)
    said = scores.argmax(dim=1)
    save("images", viz.plot_images(x_test[:28], said[:28], y_test[:28]))
    save("confusion", viz.plot_confusion_matrix(metrics.confusion_matrix(scores, y_test)))
    save("filters", viz.plot_filters(net[0].weight))
    save("activations", viz.plot_activations(net, "1", x_test[:1]))
    save("roc", viz.plot_roc(chances, y_test))
    save("precision_recall", viz.plot_precision_recall(chances, y_test))
    save("calibration", viz.plot_calibration(chances, y_test))
    save("embedding", viz.plot_embedding(hidden, y_test, title="The 32 hidden units in two dimensions"))

    # ---- the loss over the weights ------------------------------------------------------------------------------------
    losses = {"training": lambda: F.cross_entropy(net(x), y), "test": lambda: F.cross_entropy(net(x_test), y_test)}
    save("loss_line", viz.plot_loss_line(net, losses, start, path[-1], points=21, names=("initialisation", "trained")))
    save("loss_surface", viz.plot_loss_surface(net, losses["test"], points=15))
    if len(path) > 2:
        save("loss_path", viz.plot_loss_surface(net, losses["test"], viz.path_directions(net, path), path=path, points=15,
                                                title="Training in the plane of its way"))

    fresh = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    loader = data.DataLoader(data.TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    found = train.lr_finder(fresh, optim.SGD(fresh.parameters(), lr=1e-3), F.cross_entropy, loader)
    save("lr_finder", viz.plot_lr_finder(found))

    draw_networks(options.out, options.dpi)
    draw_regression(options.out, options.dpi)
    print(f"test accuracy {100 * metrics.accuracy(scores, y_test):.1f} %; figures are in {options.out}")


if __name__ == "__main__":
    main()
