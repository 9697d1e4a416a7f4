"""Figures of training, of models and of graphs.

All but graphs need matplotlib (extra "viz"), which is imported at the first drawing.
"""

from tinygrad_course.viz.activations import plot_activations
from tinygrad_course.viz.confusion import plot_confusion_matrix
from tinygrad_course.viz.curves import plot_accuracy, plot_learning_curves, plot_loss, plot_metric, read_history
from tinygrad_course.viz.decision import plot_decision
from tinygrad_course.viz.descent import optimiser_paths
from tinygrad_course.viz.distributions import plot_distributions, plot_preactivations, plot_weight_histograms
from tinygrad_course.viz.embedding import pca, plot_embedding
from tinygrad_course.viz.figure import save_figure
from tinygrad_course.viz.filters import plot_filters
from tinygrad_course.viz.gradients import gradient_norms, plot_gradient_norms
from tinygrad_course.viz.graph import GraphDrawing, graph
from tinygrad_course.viz.images import plot_images
from tinygrad_course.viz.loss_surface import (
    loss_slice,
    path_directions,
    plot_loss_line,
    plot_loss_surface,
    random_direction,
    weights_of,
)
from tinygrad_course.viz.lr_finder import plot_lr_finder
from tinygrad_course.viz.matrix import plot_matrix, plot_panels
from tinygrad_course.viz.network import network_layers, plot_network
from tinygrad_course.viz.regression import plot_regression, plot_residuals
from tinygrad_course.viz.report import write_report
from tinygrad_course.viz.scores import plot_calibration, plot_precision_recall, plot_roc

__all__ = ["GraphDrawing", "gradient_norms", "graph", "loss_slice", "network_layers", "optimiser_paths",
           "path_directions", "pca", "plot_accuracy", "plot_activations", "plot_calibration", "plot_confusion_matrix",
           "plot_decision", "plot_distributions", "plot_embedding", "plot_filters", "plot_gradient_norms", "plot_images",
           "plot_learning_curves", "plot_loss", "plot_loss_line", "plot_loss_surface", "plot_lr_finder", "plot_matrix",
           "plot_metric", "plot_network", "plot_panels", "plot_preactivations", "plot_precision_recall", "plot_regression",
           "plot_residuals", "plot_roc", "plot_weight_histograms", "random_direction", "read_history", "save_figure",
           "weights_of", "write_report"]
