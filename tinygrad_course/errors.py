"""Errors of the package.  Each message names the op, the shapes or values, the violated rule and the way to mend it.

Every class derives from the built-in error that a user would expect as well, so `except ValueError` keeps working.
"""


class TgcError(Exception):
    """Base of all errors that tinygrad_course raises on purpose."""


class ShapeError(TgcError, ValueError):
    """Shapes that do not fit an op's rule."""


class OperandError(TgcError, TypeError):
    """Something that is no Tensor where an op needs one."""


class DTypeError(TgcError, TypeError):
    """A data type that an op cannot take, or a mixture of them."""


class DeviceError(TgcError, RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class GraphError(TgcError, RuntimeError):
    """Misuse of the graph: backward twice, a saved tensor changed in place, a gradient that cannot exist."""


class AnomalyError(GraphError):
    """A NaN or an infinity that an op made, found by anomaly mode (`autograd.detect_anomaly`)."""


class GradcheckError(TgcError, RuntimeError):
    """An analytic gradient that finite differences contradict."""


class StateDictError(TgcError, RuntimeError):
    """A state dict that does not fit the module or the optimiser."""


class UninitializedError(TgcError, RuntimeError, ValueError):
    """Use of a lazy module's parameter before the first call has given it a shape."""


class DataError(TgcError, ValueError):
    """A file or folder that is missing, broken or not of the expected kind."""


class WorkerError(TgcError, RuntimeError):
    """A worker of a DataLoader that died, came to no end in time, or could not be started."""


class ExportError(TgcError, RuntimeError):
    """A model whose forward pass cannot be written as a graph of another format (ONNX)."""


class DependencyError(TgcError, ImportError):
    """An optional package that a feature needs and that is not installed."""


class KernelError(TgcError, RuntimeError):
    """A kernel that is not available where it was demanded."""
