"""Looking into a graph: explain, graph_memory, lint."""

from tinygrad_course.debug.explain import explain
from tinygrad_course.debug.lint import lint
from tinygrad_course.debug.memory import graph_memory

__all__ = ["explain", "graph_memory", "lint"]
