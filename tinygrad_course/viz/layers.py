"""What goes through the layers of a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import DataError
from tinygrad_course.nn import Module
from tinygrad_course.ops.creation import as_array, tensor
from tinygrad_course.tensor import Tensor


def check_finite(values: np.ndarray, caller: str, what: str) -> None:
    """Raises DataError for NaN and infinities, which have no place in a drawing."""
    wrong = values.size - np.count_nonzero(np.isfinite(values))
    if wrong:
        raise DataError(f"{caller}: {wrong} of {values.size} {what} are NaN or infinite. Leave them out, or look for the "
                        "step at which the model diverged.")


def layer_outputs(model: Module, layers: Sequence[str], x: Tensor | np.ndarray, caller: str) -> dict[str, np.ndarray]:
    """Outputs of the named modules at one run of the model on x; of a module that runs several times, the last one's.

    Raises DataError for a name that the model does not have, or a module that does not run or gives no tensor.
    """
    modules = dict(model.named_modules())
    for name in layers:
        if name not in modules:
            raise DataError(f"{caller}: the model has no layer {name!r}. It has {', '.join(filter(None, modules))}.")
    outputs: dict[str, Any] = {}

    def keeper(name: str) -> Any:
        def keep(module: Module, args: Any, output: Any) -> None:
            outputs[name] = output.clone() if isinstance(output, Tensor) else output  # a ReLU may overwrite it
        return keep

    handles = [modules[name].register_forward_hook(keeper(name)) for name in layers]
    try:
        with no_grad():
            model(x if isinstance(x, Tensor) else tensor(np.asarray(x)))
    finally:
        for handle in handles:
            handle.remove()
    for name in layers:
        if not isinstance(outputs.get(name), Tensor):
            what = f"gives a {type(outputs[name]).__name__}, no tensor" if name in outputs else "does not run for this input"
            raise DataError(f"{caller}: the layer {name!r} {what}. Name another one.")
    return {name: as_array(outputs[name]) for name in layers}
