"""Convolution, its gradients and pooling in plain NumPy loops, beside the engine.

    python examples/convolution_by_hand.py
    python examples/convolution_by_hand.py --out /tmp/figures

The functions are those of rows E1 to E5 of the course; `tinygrad-course run E1` checks all facts of a row.
"""

import argparse
from pathlib import Path

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.course import ROWS, Settings
from tinygrad_course.course.e1_convolution import IMAGE, KERNEL, convolve2d, correlate2d
from tinygrad_course.course.e2_transposed import VALUES, convolution_matrix, transposed2d
from tinygrad_course.course.e3_im2col import convolution_by_product, im2col
from tinygrad_course.course.e5_pooling import max_pool, max_unpool
from tinygrad_course.nn import functional as F


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="training steps of the nets in the figures (default: as many as needed)")
    parser.add_argument("--out", type=Path, default=Path("runs/convolution_by_hand"), help="folder for the figures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    # A layer's "convolution" is a cross-correlation: slide the kernel, multiply, add.
    x, w = tgc.tensor(IMAGE, requires_grad=True), tgc.tensor(KERNEL, requires_grad=True)
    y = F.conv2d(x[None, None], w[None, None])[0, 0]
    print("cross-correlation by hand\n", correlate2d(IMAGE, KERNEL), "\nby the engine\n", y.detach().numpy())
    print("true convolution, full size (kernel turned)\n", convolve2d(IMAGE, KERNEL))

    # It is linear, so it is a matrix; backpropagation multiplies by the transpose.
    matrix = convolution_matrix(KERNEL, IMAGE.shape)
    y.backward(tgc.tensor(VALUES))
    print("gradient of the image by the engine\n", x.grad.numpy(), "\nC^T y\n", (matrix.T @ VALUES.ravel()).reshape(4, 4))
    print("the transposed convolution, stamp by stamp\n", transposed2d(VALUES, KERNEL))

    # With im2col both gradients are matrix products.
    signal, taps, upstream = np.array([[1.0, 2, 0, -1, 3]]), np.array([[[1.0, 0, -1]]]), np.array([[1.0, 2, -1]])
    z, gw, gx = convolution_by_product(signal, taps, upstream)
    print("im2col\n", im2col(signal, 3), "\nz", z, "dL/dw", gw, "dL/dx", gx)

    # Max pooling remembers where the largest value was.
    pixels = np.array([[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
    values, switches = max_pool(pixels)
    print("max pooling\n", values, "\nswitches\n", switches, "\nunpooled\n", max_unpool(values, switches, (4, 4)))

    for name in (name for name in ROWS if name.startswith("E")):
        for title, draw in ROWS[name].run(Settings(steps=options.steps)).figures.items():
            viz.save_figure(draw(), options.out / f"{name}_{title}.png")
    print(f"figures are in {options.out}")


if __name__ == "__main__":
    main()
