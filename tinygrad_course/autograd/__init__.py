"""The engine: graph of Nodes, backward pass, grad mode, Op and Function."""

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.custom import Function
from tinygrad_course.autograd.engine import backward, grad
from tinygrad_course.autograd.function import Op, apply, registry
from tinygrad_course.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_course.autograd.node import Node

__all__ = ["Function", "Node", "Op", "TensorBase", "apply", "backward", "enable_grad", "grad", "is_grad_enabled",
           "no_grad", "registry", "set_grad_enabled"]
