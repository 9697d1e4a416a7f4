"""Helpers for modules, under PyTorch's names."""

from tinygrad_course.nn.utils import fusion, rnn

__all__ = ["fusion", "rnn"]
