"""Lines of mixed precision in a script, which compute here in the tensors' own type.

Kernels are written for float32 and float64; half precision is a type of storage.  So `autocast` leaves types alone, which is
at least as exact, and `GradScaler` need not scale: float32 gradients do not underflow where float16 ones would.
"""

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tinygrad_course.tensor import Tensor


class autocast:
    """`with autocast("cpu", dtype=...):` or a decorator, with PyTorch's arguments; types stay what they are."""

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:
        self.device_type, self.dtype, self.enabled = device_type, dtype, enabled

    def __enter__(self) -> "autocast":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)
        return inside


class GradScaler:
    """PyTorch's loop with the scale 1: `scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()`."""

    def __init__(self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True) -> None:
        pass

    def scale(self, outputs: Any) -> Any:
        """The loss itself."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Gradients are what they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor | float | None:
        """`optimizer.step(...)`."""
        result: Tensor | float | None = optimizer.step(*args, **kwargs)
        return result

    def update(self, new_scale: float | None = None) -> None:
        """The scale stays 1."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False: nothing is scaled, as in PyTorch without a GPU."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty, as that of a disabled scaler in PyTorch."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing is restored: a checkpoint with another program's scale can be read."""
