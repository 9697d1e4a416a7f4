"""Every operation: one class each, with its shape rule, forward and backward, and the function that applies it."""

from tinygrad_course.ops.conv import conv2d
from tinygrad_course.ops.elementwise import (
    abs,
    add,
    cast,
    clone,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    logical_and,
    logical_not,
    logical_or,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    relu,
    sigmoid,
    sign,
    sqrt,
    sub,
    tanh,
    where,
)
from tinygrad_course.ops.index import gather, one_hot, scatter_add, select
from tinygrad_course.ops.linalg import linear, matmul
from tinygrad_course.ops.loss import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from tinygrad_course.ops.pool import avg_pool2d, max_pool2d
from tinygrad_course.ops.random import dropout
from tinygrad_course.ops.reduce import amax, argmax, max, mean, sum
from tinygrad_course.ops.shape import (
    broadcast_to,
    cat,
    flatten,
    permute,
    reshape,
    squeeze,
    stack,
    t,
    transpose,
    unsqueeze,
    view,
)
from tinygrad_course.ops.softmax import log_softmax, softmax
from tinygrad_course.ops.transfer import to_device

__all__ = [
    "abs", "add", "amax", "argmax", "avg_pool2d", "binary_cross_entropy_with_logits", "broadcast_to", "cast", "cat",
    "clone", "conv2d", "cross_entropy", "div", "dropout", "eq", "exp", "flatten", "gather", "ge", "gt", "le", "linear",
    "log", "log_softmax", "logical_and", "logical_not", "logical_or", "lt", "matmul", "max", "max_pool2d", "maximum",
    "mean", "minimum", "mse_loss", "mul", "ne", "neg", "nll_loss", "one_hot", "permute", "pow", "relu", "reshape",
    "scatter_add", "select", "sigmoid", "sign", "softmax", "sqrt", "squeeze", "stack", "sub", "sum", "t", "tanh", "to_device",
    "transpose", "unsqueeze", "view", "where",
]
