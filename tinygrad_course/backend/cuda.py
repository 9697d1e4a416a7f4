"""The GPU's kernels: the reference bodies on CuPy arrays.

NumPy's functions hand CuPy arrays over to CuPy (`__array_ufunc__`, `__array_function__`), so the bodies run unchanged.
"""

from types import SimpleNamespace
from typing import Any

from tinygrad_course.backend import cpu
from tinygrad_course.errors import DeviceError


def cupy() -> Any:
    """The cupy package with a usable GPU, or a DeviceError that says what is missing."""
    state = cupy_state()
    if state != "available":
        raise DeviceError(f"device 'cuda': {state}. Use device='cpu', or install CuPy for your CUDA version: "
                          'pip install "tinygrad_course[gpu]"')
    import cupy as package
    return package


def cupy_state() -> str:
    """'available', or why not, in a few words."""
    try:
        import cupy as package
    except ImportError:
        return "CuPy is not installed"
    try:
        count = package.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError, which can only be named when CuPy works
        return f"CuPy {package.__version__} finds no CUDA driver ({type(error).__name__})"
    return "available" if count else f"CuPy {package.__version__} finds no GPU"


def namespace() -> SimpleNamespace:
    """The reference bodies for CuPy arrays."""
    cupy()
    table: dict[str, Any] = {"name": "cuda"}
    for family in cpu.FAMILIES:
        bodies = cpu.reference_module(family)
        table.update({kernel: getattr(bodies, kernel) for kernel in bodies.KERNELS})
    return SimpleNamespace(**table)
