"""tinygrad_course: an autograd engine from scratch with Cython kernels, and a torch-like `nn` on top.

    import tinygrad_course as tgc

    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                  # tensor([2., 4.])
"""

import os as _os

# libgomp's idle threads spin for milliseconds by default, which slows every other library's threads (20x for a BLAS on
# two cores).  It reads this once, when it is loaded: before the first compiled module.
if "OMP_WAIT_POLICY" not in _os.environ:
    _os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from tinygrad_course import autograd, backend, errors, nn, ops, optim, testing
from tinygrad_course.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_course.backend import get_num_threads, set_num_threads
from tinygrad_course.backend.device import device
from tinygrad_course.kernels import get_include
from tinygrad_course.ops import (
    abs,
    add,
    amax,
    argmax,
    cat,
    clone,
    div,
    eq,
    exp,
    flatten,
    gather,
    ge,
    gt,
    le,
    log,
    log_softmax,
    logical_and,
    logical_not,
    logical_or,
    lt,
    matmul,
    max,
    maximum,
    mean,
    minimum,
    mul,
    ne,
    neg,
    permute,
    pow,
    relu,
    reshape,
    scatter_add,
    sigmoid,
    sign,
    softmax,
    sqrt,
    squeeze,
    stack,
    sub,
    sum,
    t,
    tanh,
    transpose,
    unsqueeze,
    where,
)
from tinygrad_course.ops.dtypes import bool_ as bool
from tinygrad_course.ops.dtypes import (
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from tinygrad_course.tensor import (
    Generator,
    Tensor,
    arange,
    as_tensor,
    bernoulli,
    default_generator,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    initial_seed,
    linspace,
    manual_seed,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)

__version__ = "0.1.0"

__all__ = [
    "Generator", "Tensor", "abs", "add", "amax", "arange", "argmax", "as_tensor", "autograd", "backend", "bernoulli",
    "bool", "cat", "clone", "default_generator", "device", "div", "empty", "empty_like", "enable_grad", "eq",
    "errors", "exp", "eye", "flatten", "float16", "float32", "float64", "from_numpy", "full", "full_like", "gather",
    "ge", "get_default_dtype", "get_include", "get_num_threads", "gt", "initial_seed", "int16", "int32", "int64",
    "int8", "is_grad_enabled", "le", "linspace", "log", "log_softmax", "logical_and", "logical_not", "logical_or",
    "lt", "manual_seed", "matmul", "max", "maximum", "mean", "minimum", "mul", "ne", "neg", "nn", "no_grad", "ones",
    "ones_like", "ops", "optim", "permute", "pow", "promote_types", "rand", "rand_like", "randint", "randn",
    "randn_like", "randperm", "relu", "reshape", "scatter_add", "set_default_dtype", "set_grad_enabled",
    "set_num_threads", "sigmoid", "sign", "softmax", "sqrt", "squeeze", "stack", "sub", "sum", "t", "tanh", "tensor",
    "testing", "transpose", "uint8", "unsqueeze", "where", "zeros", "zeros_like",
]
