"""Figures of training, of models and of graphs.

All but graphs need matplotlib (extra "viz"), which is imported at the first drawing.
"""

from tinygrad_course.viz.confusion import plot_confusion_matrix
from tinygrad_course.viz.curves import plot_accuracy, plot_learning_curves, plot_loss
from tinygrad_course.viz.decision import plot_decision
from tinygrad_course.viz.descent import optimiser_paths
from tinygrad_course.viz.figure import save_figure
from tinygrad_course.viz.filters import plot_filters
from tinygrad_course.viz.graph import GraphDrawing, graph
from tinygrad_course.viz.images import plot_images
from tinygrad_course.viz.matrix import plot_matrix, plot_panels

__all__ = ["GraphDrawing", "graph", "optimiser_paths", "plot_accuracy", "plot_confusion_matrix", "plot_decision",
           "plot_filters", "plot_images", "plot_learning_curves", "plot_loss", "plot_matrix", "plot_panels", "save_figure"]
