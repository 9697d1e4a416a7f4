"""Moving values between devices."""

from typing import Any

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape
from tinygrad_course.autograd.function import Op, apply
from tinygrad_course.autograd.node import Node


class ToDevice(Op):
    """The same values on another device.  The gradient travels back."""

    name = "to_device"

    @staticmethod
    def shape(x: Shape, device_type: str, before: str) -> Shape:
        return x

    @staticmethod
    def forward(ctx: Node, k: Any, x: Any, device_type: str, before: str) -> Any:
        moved = backend.to_device(x, device_type)
        return moved.copy() if moved is x else moved

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        return (apply(ToDevice, (g,), (ctx.args[1], ctx.args[0])),)


def to_device(x: Any, device_type: str) -> Any:
    """x on 'cpu' or 'cuda'; x itself if it is there."""
    before = backend.device_of(x.array)
    return x if before == device_type else apply(ToDevice, (x,), (device_type, before))
