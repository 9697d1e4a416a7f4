"""The command `tinygrad-course`."""

from tinygrad_course.cli.command import main

__all__ = ["main"]
