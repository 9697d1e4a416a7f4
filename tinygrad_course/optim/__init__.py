"""Optimisers, under PyTorch's names; docs/optimisers.md has a table of their equations."""

from tinygrad_course.optim import lr_scheduler, swa_utils
from tinygrad_course.optim.adadelta import Adadelta
from tinygrad_course.optim.adafactor import Adafactor
from tinygrad_course.optim.adagrad import Adagrad
from tinygrad_course.optim.adam import Adam, AdamW
from tinygrad_course.optim.adamax import Adamax
from tinygrad_course.optim.asgd import ASGD
from tinygrad_course.optim.hooks import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from tinygrad_course.optim.lbfgs import LBFGS
from tinygrad_course.optim.muon import Muon
from tinygrad_course.optim.nadam import NAdam
from tinygrad_course.optim.newton import DiagonalNewton, Newton
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.quickprop import Quickprop
from tinygrad_course.optim.radam import RAdam
from tinygrad_course.optim.rmsprop import RMSprop
from tinygrad_course.optim.rprop import Rprop
from tinygrad_course.optim.sgd import SGD

__all__ = ["ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "DiagonalNewton", "Muon",
           "NAdam", "Newton", "Optimizer", "Quickprop", "RAdam", "RMSprop", "Rprop", "lr_scheduler",
           "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "swa_utils"]
