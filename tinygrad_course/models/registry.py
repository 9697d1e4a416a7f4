"""Networks by name: `list_models()`, `get_model("resnet18", num_classes=10)`, as in torchvision."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from fnmatch import filter as matching
from types import ModuleType
from typing import Any, TypeVar

from tinygrad_course import nn
from tinygrad_course.errors import DataError

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}


def register_model(builder: Builder) -> Builder:
    """Decorator of a function that makes a network: `get_model` finds it under the function's name."""
    if builder.__name__ in _BUILDERS:
        raise ValueError(f"An entry is already registered under the name '{builder.__name__}'.")
    _BUILDERS[builder.__name__] = builder
    return builder


def list_models(module: ModuleType | None = None, include: Iterable[str] | str | None = None,
                exclude: Iterable[str] | str | None = None) -> list[str]:
    """Names of the networks, in alphabetical order.

    `module`: only those of this module (`models.vgg`).  `include`, `exclude`: one pattern or several ("resnet*"); a name
    stays if it fits any of the first and none of the second.
    """
    names = set(_BUILDERS)
    if module is not None:
        names = {name for name in names if f"{_BUILDERS[name].__module__}.".startswith(f"{module.__name__}.")}
    if include:
        names = {name for pattern in _listed(include) for name in matching(names, pattern)}
    if exclude:
        names -= {name for pattern in _listed(exclude) for name in matching(names, pattern)}
    return sorted(names)


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that makes the network `name` (in any case).  Raises ValueError, with near names, if there is none."""
    builder = _BUILDERS.get(name.lower())
    if builder is None:
        near = difflib.get_close_matches(name.lower(), _BUILDERS, n=3)
        hint = f"near names: {', '.join(near)}" if near else "list_models() has all names"
        raise ValueError(f"Unknown model {name}; {hint}")
    return builder


def get_model(name: str, **config: Any) -> nn.Module:
    """A new network: `get_model("vgg11", num_classes=10)` is `vgg11(num_classes=10)`."""
    return get_model_builder(name)(**config)


def no_download(name: str, weights: Any, in_torchvision: bool = True) -> None:
    """Raise DataError unless `weights` is None: torchvision would download them, this package does not."""
    if weights is None:
        return
    if in_torchvision:
        how = ("torchvision's fit unchanged. Get their file, which is at "
               f"torchvision.models.get_model_weights('{name}').DEFAULT.url, and read it:")
    else:
        how = f"torchvision has no {name} either. Weights of your own are read like this:"
    how += f"\n    model = {name}()\n    model.load_state_dict(tgc.io.load('{name}.pth'))"
    raise DataError(f"{name}(weights={weights!r}): there is no download here, leave weights=None; {how}")


def _listed(patterns: Iterable[str] | str) -> Iterable[str]:
    return [patterns] if isinstance(patterns, str) else patterns
