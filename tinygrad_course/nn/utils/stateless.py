"""Call a module with other tensors in the places of its parameters and buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygrad_course.nn.module import BUFFER, PARAMETER, Module
from tinygrad_course.tensor import Tensor

Named = Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]]


def functional_call(module: Module, parameters_and_buffers: Named, args: Any = None, kwargs: dict[str, Any] | None = None, *,
                    tie_weights: bool = True, strict: bool = False) -> Any:
    """module(*args, **kwargs) with the given tensors, by dotted path, in place of its own; gradients flow to them.

    parameters_and_buffers: a dict or several of them.  args: a tuple, or the only argument.  A buffer that forward
    replaces is replaced in the dict.  tie_weights: a tensor that the module has under several names is replaced under all of
    them.  strict: every parameter and buffer must be given.  This is torch.func.functional_call, too."""
    given: dict[str, Any] = {}
    for part in [parameters_and_buffers] if isinstance(parameters_and_buffers, Mapping) else parameters_and_buffers:
        double = sorted(given.keys() & part.keys())
        if double:
            raise ValueError(f"functional_call: {double} appeared in multiple dictionaries; behavior of functional call is "
                             "ambiguous")
        given.update(part)
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict) as places:
        result = module(*arguments, **(kwargs or {}))
        if isinstance(parameters_and_buffers, dict):
            for key in given:
                owner, name = places[key]
                parameters_and_buffers[key] = owner.__dict__[name]
    return result


@contextlib.contextmanager
def _replaced(module: Module, given: dict[str, Any], tie_weights: bool,
              strict: bool) -> Iterator[dict[str, tuple[Module, str]]]:
    places = {f"{path}.{name}" if path else name: (owner, name)
              for path, owner in module.named_modules(remove_duplicate=False)
              for kind in (PARAMETER, BUFFER) for name in owner._own(kind)}
    unknown = [key for key in given if key not in places]
    missing = [key for key, (owner, name) in places.items() if key not in given and owner.__dict__[name] is not None]
    if unknown or (strict and missing and not tie_weights):
        raise RuntimeError(f"functional_call: unexpected keys {unknown}, missing keys {missing if strict else []}; a "
                           "parametrized weight is replaced under parametrizations.<name>.original")
    new = dict(given)
    if tie_weights:
        by_tensor: dict[int, list[str]] = {}
        for key, (owner, name) in places.items():
            if owner.__dict__[name] is not None:
                by_tensor.setdefault(id(owner.__dict__[name]), []).append(key)
        for keys in by_tensor.values():
            values = {id(given[key]): given[key] for key in keys if key in given}
            if len(values) > 1:
                raise ValueError(f"functional_call got multiple values for keys {sorted(keys)}, which are tied. Consider "
                                 "using tie_weights=False")
            for value in values.values():
                new.update(dict.fromkeys(keys, value))
        left = [key for key in missing if key not in new]
        if strict and left:
            raise RuntimeError(f"functional_call: unexpected keys [], missing keys {left}")
    before = {key: places[key][0].__dict__[places[key][1]] for key in new}
    try:
        for key, value in new.items():
            owner, name = places[key]
            owner.__dict__[name] = value
        yield places
    finally:
        for key, value in before.items():
            owner, name = places[key]
            owner.__dict__[name] = value
