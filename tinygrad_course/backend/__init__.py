"""Which kernels run: a namespace of functions per device.

    cpu     the NumPy reference, overlaid with the compiled kernels of the same names
    cuda    the same reference on CuPy arrays (needs CuPy and a GPU)

A compiled kernel that cannot take an argument (an integer matrix product, say) falls back to its reference body; the
fallbacks are counted (`fallbacks()`), and `strict(True)` turns them into errors.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_course.backend import cpu
from tinygrad_course.backend.explain import explain_conv as explain_conv
from tinygrad_course.backend.explain import explain_matmul as explain_matmul
from tinygrad_course.errors import DeviceError, DTypeError
from tinygrad_course.kernels import direct

COMPILED = cpu.COMPILED
# One object for the life of the process, refilled by using(): the engine holds it, so that no op has to look it up.
cpu_kernels = SimpleNamespace(**cpu.table(os.environ.get("TINYGRAD_COURSE_BACKEND", "")))
direct.enable(cpu_kernels.name == "compiled")
_cuda_kernels: SimpleNamespace | None = None
_BF16_TERMS = {"highest": 3, "high": 2, "medium": 2}
_precision = "highest"


def backend_name() -> str:
    """'compiled' or 'reference': what the CPU runs now."""
    name: str = cpu_kernels.name
    return name


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Run the block on the 'compiled' or the 'reference' kernels of the CPU (for the whole process)."""
    before = dict(vars(cpu_kernels))
    vars(cpu_kernels).update(cpu.table(name))
    direct.enable(cpu_kernels.name == "compiled")
    try:
        yield
    finally:
        vars(cpu_kernels).update(before)
        direct.enable(cpu_kernels.name == "compiled")


def get(device_type: str) -> SimpleNamespace:
    """The kernels of 'cpu' or 'cuda'."""
    if device_type == "cpu":
        return cpu_kernels
    if device_type == "cuda":
        global _cuda_kernels
        if _cuda_kernels is None:
            from tinygrad_course.backend import cuda
            _cuda_kernels = cuda.namespace()
        return _cuda_kernels
    raise DeviceError(f"unknown device {device_type!r}; there are 'cpu' and 'cuda'")


def device_of(array: Any) -> str:
    """'cpu' for a NumPy array, 'cuda' for a CuPy array."""
    return "cpu" if isinstance(array, np.ndarray) else "cuda"


def array_module(array: Any) -> Any:
    """numpy or cupy, whichever `array` belongs to."""
    if isinstance(array, np.ndarray):
        return np
    from tinygrad_course.backend import cuda
    return cuda.cupy()


def to_device(array: Any, device_type: str) -> Any:
    """The array on that device; itself if it is there already."""
    if device_of(array) == device_type:
        return array
    from tinygrad_course.backend import cuda
    return cuda.cupy().asarray(array) if device_type == "cuda" else cuda.cupy().asnumpy(array)


def kernels_for(op: str, arrays: list[Any]) -> SimpleNamespace:
    """The kernels for these operands; refuses operands on several devices or of several floating point types."""
    present = [array for array in arrays if array is not None]
    devices = {device_of(array) for array in present}
    if len(devices) > 1:
        places = ", ".join(f"{array.shape} on {device_of(array)}" for array in present)
        raise DeviceError(f"{op}: the tensors are on different devices ({places}). Move them together with .to(device).")
    floats = {array.dtype for array in present if array.dtype.kind == "f"}
    if len(floats) > 1:
        kinds = ", ".join(f"{array.shape} {array.dtype}" for array in present)
        raise DTypeError(f"{op}: the tensors have different floating point types ({kinds}). Convert one: x.to(y.dtype), "
                         "x.float() or x.double().")
    return get(devices.pop())


def get_num_threads() -> int:
    """Threads that a large kernel uses."""
    if not COMPILED:
        return 1
    return int(cpu.compiled_module("threads").get_num_threads())


def set_num_threads(n: int) -> None:
    """Use at most `n` threads.  Results are bitwise the same for any number."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"set_num_threads: expected an integer, got {n!r}")
    if n < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, got {n}")
    if COMPILED:
        cpu.compiled_module("threads").set_num_threads(int(n))


def set_flush_denormal(mode: bool) -> bool:
    """Treat denormal numbers (below 1.2e-38 in float32) as zero, as operands and as results; False where that is impossible.

    Arithmetic on them is up to 200 times slower, and gradients that decay towards zero are full of them.  It is a switch of
    the processor for the calling thread, its kernels, and threads started from it later; NumPy in that thread is affected as
    well.  Off by default: results are those of IEEE 754."""
    return bool(COMPILED and cpu.compiled_module("threads").set_flush_denormal(bool(mode)))


def get_float32_matmul_precision() -> str:
    """'highest', 'high' or 'medium': see set_float32_matmul_precision."""
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """How exact large products of float32 matrices must be, where the processor multiplies bf16 faster (Intel AMX).

    "highest"         as float32: a number is the sum of three of bf16, and what is left out of a product is below 2^-24 of it
    "high", "medium"  two of bf16, at most 2^-15 of a product is left out; half the work

    It concerns matmul, linear layers, 1x1 convolutions and the products for all steps of a recurrent layer, forward and
    backward.  Without AMX, for small products and in float64 all settings do the same.  Another word is a UserWarning and
    changes nothing, as in PyTorch.  Raises TypeError if it is no string."""
    global _precision
    if not isinstance(precision, str):
        raise TypeError(f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}: use 'highest', "
                        "'high' or 'medium'")
    if precision not in _BF16_TERMS:
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current set_float32_matmul_precision "
                      "call has no effect.", stacklevel=2)
        return
    _precision = precision
    if COMPILED:
        cpu.compiled_module("linalg").set_terms(_BF16_TERMS[precision])


def memory_stats() -> dict[str, int]:
    """What the memory pool holds, in bytes, and how it was used.

    live, peak    bytes in use by arrays of 4 KB and more, and the most since the start or reset_peak_memory_stats()
    cached, cap   bytes that wait for the next array, and the most that may
    hits, misses  requests served by waiting blocks, and by the system

    All are 0 where there is no pool.  Counted are whole blocks, which may be a quarter larger than what was asked for."""
    if not COMPILED:
        return dict.fromkeys(("cached", "live", "peak", "hits", "misses", "cap"), 0)
    stats: dict[str, int] = cpu.compiled_module("memory").stats()
    return stats


def reset_peak_memory_stats() -> None:
    """Let the `peak` of memory_stats() begin anew."""
    if COMPILED:
        cpu.compiled_module("memory").reset_peak()


def empty_cache() -> None:
    """Give the memory that waits in the pool back to the system."""
    if COMPILED:
        cpu.compiled_module("memory").trim()


def fallbacks() -> dict[str, int]:
    """How often a compiled kernel handed over to its reference body, by kernel and reason."""
    return dict(cpu.fallback_counts)


def strict(enabled: bool = True) -> None:
    """Raise KernelError instead of falling back to a reference body on the CPU."""
    cpu.strict_mode = bool(enabled)
