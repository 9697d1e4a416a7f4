"""The engine: graph of Nodes, backward pass, grad mode, anomaly mode, Op and Function."""

from tinygrad_course.autograd import graph
from tinygrad_course.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.custom import Function
from tinygrad_course.autograd.engine import backward, grad
from tinygrad_course.autograd.function import Op, apply, registry
from tinygrad_course.autograd.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_course.autograd.node import Node
from tinygrad_course.autograd.variable import Variable

__all__ = ["Function", "Node", "Op", "TensorBase", "Variable", "apply", "backward", "detect_anomaly", "enable_grad", "grad",
           "graph", "inference_mode", "is_anomaly_enabled", "is_grad_enabled", "no_grad", "registry", "set_detect_anomaly",
           "set_grad_enabled"]
