"""Training: the loop, its checkpoints, early stopping, progress, and what distorts training images."""

from tinygrad_course.train.augment import RandomAffine
from tinygrad_course.train.checkpoint import load_checkpoint, save_checkpoint
from tinygrad_course.train.progress import BarProgress, Progress, TextProgress
from tinygrad_course.train.signals import StopSignals
from tinygrad_course.train.trainer import DivergenceError, EarlyStopping, Evaluation, Trainer, cosine, evaluate

__all__ = ["BarProgress", "DivergenceError", "EarlyStopping", "Evaluation", "Progress", "RandomAffine", "StopSignals",
           "TextProgress", "Trainer", "cosine", "evaluate", "load_checkpoint", "save_checkpoint"]
