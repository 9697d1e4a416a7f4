"""Switches of other libraries that scripts set: `torch.backends.cudnn.benchmark = True` is harmless here.

What computes is in `tinygrad_course.backend`; its results are the same on every run.
"""

from types import SimpleNamespace

from tinygrad_course.backends import cudnn

__all__ = ["cuda", "cudnn", "mps"]

cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False))
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
