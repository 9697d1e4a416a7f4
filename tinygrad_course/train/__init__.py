"""Training: the loop and what looks on, checkpoints, early stopping, progress, losses, validation and search."""

from tinygrad_course.train.augment import RandomAffine
from tinygrad_course.train.callback import Callback
from tinygrad_course.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tinygrad_course.train.divergence import DivergenceError
from tinygrad_course.train.early_stopping import EarlyStopping
from tinygrad_course.train.evaluate import Evaluation, evaluate
from tinygrad_course.train.greedy import classifier, pretrain
from tinygrad_course.train.history import CsvHistory, write_history
from tinygrad_course.train.losses import SensitivityWeightedMSE, class_weights
from tinygrad_course.train.lr_finder import LRFinder, lr_finder
from tinygrad_course.train.progress import BarProgress, TextProgress
from tinygrad_course.train.schedule import cosine
from tinygrad_course.train.search import Search, Trial, grid_search, log_uniform, random_search, uniform
from tinygrad_course.train.signals import StopSignals
from tinygrad_course.train.tensorboard import TensorBoard
from tinygrad_course.train.times import TimeLog
from tinygrad_course.train.trainer import Trainer
from tinygrad_course.train.validation import CrossValidation, cross_validate

__all__ = ["BarProgress", "Callback", "Checkpoint", "CrossValidation", "CsvHistory", "DivergenceError", "EarlyStopping",
           "Evaluation", "LRFinder", "RandomAffine", "Search", "SensitivityWeightedMSE", "StopSignals", "TensorBoard",
           "TextProgress", "TimeLog", "Trainer", "Trial", "class_weights", "classifier", "cosine", "cross_validate",
           "evaluate", "grid_search", "load_checkpoint", "log_uniform", "lr_finder", "pretrain", "random_search",
           "save_checkpoint", "uniform", "write_history"]
