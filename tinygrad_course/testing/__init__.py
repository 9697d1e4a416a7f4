"""Checking gradients: `gradcheck` for first, `gradgradcheck` for second derivatives, both with a diagnosis."""

from tinygrad_course.errors import GradcheckError
from tinygrad_course.testing.gradcheck import gradcheck, gradgradcheck

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
