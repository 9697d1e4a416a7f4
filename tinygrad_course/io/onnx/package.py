"""The package onnx, imported when it is first needed."""

from types import ModuleType

from tinygrad_course.errors import DependencyError


def onnx_package() -> ModuleType:
    """The module onnx.  Raises DependencyError if it is not installed."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise DependencyError("reading and writing ONNX files needs the package onnx: pip install onnx") from error
    return onnx
