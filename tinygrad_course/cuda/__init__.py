"""What scripts ask of `torch.cuda`: is there a GPU, and if so, how many.

    device = tgc.device("cuda" if tgc.cuda.is_available() else "cpu")

A GPU is used through CuPy (see backend/cuda.py); without one these lines are harmless.
"""

from tinygrad_course.backend.cuda import cupy, cupy_state
from tinygrad_course.cuda import amp
from tinygrad_course.ops.random import manual_seed as _manual_seed

__all__ = ["amp", "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all", "synchronize"]


def is_available() -> bool:
    """Whether tensors can live on a GPU: CuPy is installed and finds one."""
    return cupy_state() == "available"


def device_count() -> int:
    """Number of GPUs that this package uses: 0 or 1."""
    return int(is_available())


def manual_seed(seed: int) -> None:
    """Seed the generator; there is one for all devices, so this is `tgc.manual_seed`."""
    _manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generator; there is one for all devices, so this is `tgc.manual_seed`."""
    _manual_seed(seed)


def empty_cache() -> None:
    """Give the GPU memory that CuPy keeps for later back to the driver; nothing happens without a GPU."""
    if is_available():
        cupy().get_default_memory_pool().free_all_blocks()


def synchronize() -> None:
    """Wait until the GPU has done what was asked of it.  Raises DeviceError without a GPU."""
    cupy().cuda.runtime.deviceSynchronize()
