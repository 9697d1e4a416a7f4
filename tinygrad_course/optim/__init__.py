"""Optimisers, under PyTorch's names."""

from tinygrad_course.optim.adam import Adam, AdamW
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
