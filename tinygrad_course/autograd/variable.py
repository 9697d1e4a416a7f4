"""Variable, which tensors replaced in PyTorch 0.4; old scripts still say it."""

from tinygrad_course.autograd.base import TensorBase


def Variable(data: TensorBase, requires_grad: bool = False) -> TensorBase:
    """A leaf tensor on the memory of `data`: today `data.detach().requires_grad_(requires_grad)`."""
    leaf: TensorBase = data.detach().requires_grad_(requires_grad)  # type: ignore[attr-defined]
    return leaf
