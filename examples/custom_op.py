"""Write an op in Python, check it, break it, read the diagnosis, train with it.

    python examples/custom_op.py [--steps N]

Softplus is a ReLU with a round corner:  y = log(1 + exp(beta x)) / beta,  dy/dx = sigmoid(beta x).
"""

import argparse
from typing import Any

import numpy as np

import tinygrad_course as tgc
from tinygrad_course import Tensor, nn, optim
from tinygrad_course.testing import GradcheckError, gradcheck, gradgradcheck


class Softplus(tgc.autograd.Function):
    """y = log(1 + exp(beta x)) / beta = max(x, 0) + log(1 + exp(-|beta x|)) / beta, where exp cannot overflow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.beta = beta
        return x.relu() + (1 + (-(beta * x).abs()).exp()).log() / beta

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        x, = ctx.saved_tensors
        return g * (ctx.beta * x).sigmoid(), None  # tensor operations only: so it can be differentiated again


class ChainRuleTwice(Softplus):
    """The same with a mistake that one makes: the inner derivative beta is cancelled by 1/beta, yet it is put in."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        x, = ctx.saved_tensors
        return g * ctx.beta * (ctx.beta * x).sigmoid(), None


class AddBias(tgc.autograd.Function):
    """y = x + b with x (N, D), b (D,), and a mistake: b is used N times, its gradient is a sum, not a mean."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, b: Tensor) -> Tensor:
        return x + b

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        return g, g.mean(0)


class Net(nn.Module):
    """1 -> 32 -> 1 with the new op in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, 32)
        self.out = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(Softplus.apply(self.hidden(x), 4.0))


def show(title: str, check: Any) -> None:
    """Run a check that must fail and print what it says."""
    print(f"\n{title}")
    try:
        check()
    except GradcheckError as error:
        print(error)
    else:
        raise SystemExit("this check should have failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps (default 400)")
    steps = parser.parse_args().steps

    tgc.manual_seed(0)
    x = tgc.randn(3, 4, dtype=tgc.float64, requires_grad=True)
    bias = tgc.randn(4, dtype=tgc.float64, requires_grad=True)
    print("Softplus, beta = 2:", "gradcheck", gradcheck(Softplus.apply, (x, 2.0)),
          " gradgradcheck", gradgradcheck(Softplus.apply, (x, 2.0)))
    show("The inner derivative once too often:", lambda: gradcheck(ChainRuleTwice.apply, (x, 2.0)))
    show("A bias whose gradient is averaged over the batch:", lambda: gradcheck(AddBias.apply, (x, bias)))

    print(f"\nTraining 1 -> 32 -> 1 on y = sin(3 x) with Softplus, {steps} steps:")
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.02)
    inputs = tgc.linspace(-1, 1, 128).reshape(128, 1)
    targets = tgc.from_numpy(np.sin(3 * inputs.numpy()))
    for step in range(steps):
        loss = nn.functional.mse_loss(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (0, steps - 1) or (step + 1) % 100 == 0:
            print(f"  step {step + 1:4d}   mean squared error {loss.item():.5f}")


if __name__ == "__main__":
    main()
