<<<<<<< HEAD
"""Helpers for layers, under PyTorch's names."""

from tinygrad_course.nn.utils import rnn

__all__ = ["rnn"]
=======
"""Helpers for modules, under PyTorch's names."""
>>>>>>> 59737ff (nn: normalisation and pooling layers with PyTorch's signatures; batch norm and ReLU fused in Sequential; folding for inference)
