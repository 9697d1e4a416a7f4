"""Helpers for layers, under PyTorch's names."""

from tinygrad_course.nn.utils import rnn

__all__ = ["rnn"]
