"""tinygrad_course: an autograd engine from scratch with Cython kernels, and a torch-like `nn` on top.

    import tinygrad_course as tgc

    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                  # tensor([2., 4.])
"""

import os as _os

# libgomp's idle threads spin for milliseconds by default, which slows every other library's threads: on two cores a 256 x 256
# product of ours and one of NumPy's BLAS in turn take 8 ms instead of 0.25.  Asleep, a thread takes 60 us to wake, as long as
# a whole kernel.  10,000 spins (about 100 us) bridge the gaps between the kernels of a training step, and the pair takes
# 0.7 ms.  libgomp reads this once, when it is loaded: before the first compiled module.
if "OMP_WAIT_POLICY" not in _os.environ:
    _os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import Any as _Any

from numpy import dtype

from tinygrad_course import (
    amp,
    autograd,
    backend,
    backends,
    cuda,
    errors,
    func,
    functional,
    linalg,
    masked,
    nn,
    ops,
    optim,
    signal,
    special,
    testing,
)
from tinygrad_course.amp import GradScaler, autocast
from tinygrad_course.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_course.backend import (
    get_float32_matmul_precision,
    get_num_threads,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_threads,
)
from tinygrad_course.backend.device import device
from tinygrad_course.debug import explain, graph_memory, lint
from tinygrad_course.kernels import get_include
from tinygrad_course.legacy import *
from tinygrad_course.ops import *
from tinygrad_course.ops.creation import tensor  # by name: type checkers take tgc.tensor for the file tensor.py otherwise
from tinygrad_course.ops.dtypes import bool_ as bool
from tinygrad_course.ops.dtypes import float16 as half
from tinygrad_course.ops.dtypes import float32 as float
from tinygrad_course.ops.dtypes import float64 as double
from tinygrad_course.ops.dtypes import int16 as short
from tinygrad_course.ops.dtypes import int32 as int
from tinygrad_course.ops.dtypes import int64 as long
from tinygrad_course.signal.windows import bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window
from tinygrad_course.tensor import Tensor
from tinygrad_course.utils.checkpoint import checkpoint, checkpoint_sequential

__version__ = "0.1.0"

Size = tuple    # the class of shapes
newaxis = None

autograd.gradcheck = testing.gradcheck  # type: ignore[attr-defined]  # PyTorch's place for them, on a higher floor than autograd
autograd.gradgradcheck = testing.gradgradcheck  # type: ignore[attr-defined]
autograd.functional = functional  # type: ignore[attr-defined]


def compile(model: _Any = None, **options: _Any) -> _Any:
    """`model` as it is: kernels are compiled already.  PyTorch's arguments are accepted, so that scripts run unchanged."""
    return model if model is not None else lambda function: function


def use_deterministic_algorithms(mode: _Any, *, warn_only: _Any = False) -> None:
    """Nothing: results are bitwise equal on every run and for any number of threads."""


# Parts of PyTorch that scripts name and that do not exist here, with the way around
_ABSENT = {
    "jit": "models run as they are written; drop the line, or export with tgc.io.export_onnx",
    "distributed": "training runs in one process; drop these lines",
    "distributions": "draw with tgc.normal, multinomial, bernoulli, and write log-probabilities out (log_softmax, gather)",
    "fft": "use numpy.fft on x.numpy() where no gradient is needed",
    "sparse": "tensors are dense; products with few entries: index_add, scatter_add",
    "complex64": "there are no complex numbers; keep two real tensors",
    "complex128": "there are no complex numbers; keep two real tensors",
    "bfloat16": "train in float32",
    "channels_last": "tensors are in C order, and kernels choose their layout themselves; drop memory_format",
    "hub": "build the model and read its weights with tgc.load(path)",
    "multiprocessing": "kernels use all cores in one process; drop these lines",
    "set_printoptions": "numbers print with 4 digits; for others print x.numpy() inside numpy.printoptions(...)",
    "set_default_device": "give device= or call .to(device)",
    "set_default_tensor_type": "use tgc.set_default_dtype(tgc.float64)",
}


def __getattr__(name: str) -> _Any:
    """`tgc.viz` and the like, imported when they are first asked for: they need packages that the core does not."""
    if name in ("course", "data", "interpret", "io", "metrics", "models", "onnx", "train", "utils", "viz"):
        return _import_module(f"tinygrad_course.{name}")
    if name == "summary":
        return _import_module("tinygrad_course.interpret.summary").summary
    if name in ("load", "save"):
        return getattr(_import_module("tinygrad_course.io.script"), name)
    hint = f": {_ABSENT[name]}" if name in _ABSENT else ""
    raise AttributeError(f"module 'tinygrad_course' has no attribute {name!r}{hint}")
