"""Networks with an energy: what they have learnt is a probability, p proportional to exp(-E)."""

from tinygrad_course.energy.dbn import DeepBeliefNet
from tinygrad_course.energy.rbm import RBM

__all__ = ["RBM", "DeepBeliefNet"]
