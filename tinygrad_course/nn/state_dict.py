"""What modules may change about saving and loading: hooks, extra state, and modules that save or load themselves.

Module.load_state_dict compares the whole file with the whole model before it writes anything.  Where a module of the tree
has a say of its own, which only running it can tell, loading goes module by module as in PyTorch (`load_by_parts`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.errors import StateDictError
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.nn.state import ANY_SHAPE, as_tensor, is_older_than_counter, shape_line, wanted_shape

if TYPE_CHECKING:
    from tinygrad_course.nn.module import Module

EXTRA_STATE = "_extra_state"
STATE_HOOKS = ("_state_dict_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")
_NONE: Mapping[int, Any] = MappingProxyType({})


class SavesAndLoads:
    """The part of Module that subclasses override, and users hook into, to save and load something else.

    _version  is saved in the state dict's metadata and handed to `_load_from_state_dict`, so that a class can tell files
              of its earlier versions
    """

    _version: int = 1
    # key -> hook; a module gets tables of its own with its first hook
    _state_dict_pre_hooks: Mapping[int, Any] = _NONE
    _state_dict_hooks: Mapping[int, Any] = _NONE
    _load_state_dict_pre_hooks: Mapping[int, Any] = _NONE
    _load_state_dict_post_hooks: Mapping[int, Any] = _NONE

    def _add_state_hook(self, table: str, hook: Callable[..., Any], entry: Any) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be callable, got {type(hook).__name__}")
        return RemovableHandle(self.__dict__.setdefault(table, OrderedDict()), entry)

    # ---- saving -------------------------------------------------------------------------------------------------

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put what this module itself (not its children) has to save into `destination`; subclasses may override it."""
        module: Any = self
        for key, owner, name in module._own_state(prefix):
            value = owner.__dict__[name]
            destination[key] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not SavesAndLoads.get_extra_state:
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """Override it, with set_extra_state, to save what is no parameter or buffer, under the key `_extra_state`."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state: override get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take over what get_extra_state returned."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state: override get_extra_state and set_extra_state")

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before this module's part of a state dict is written."""
        return self._add_state_hook("_state_dict_pre_hooks", hook, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` behind it; the hook may change the state dict in place."""

        def in_place(*args: Any) -> None:
            if hook(*args) is not None:
                raise RuntimeError("state_dict post-hook must return None: change the state dict in place")
        return self._add_state_hook("_state_dict_hooks", hook, in_place)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As register_state_dict_post_hook; what the hook returns, unless None, replaces the state dict."""
        return self._add_state_hook("_state_dict_hooks", hook, hook)

    # ---- loading ------------------------------------------------------------------------------------------------

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        """Load this module itself (not its children) from the keys that begin with `prefix`; subclasses may override it.

        What does not fit is added to the lists.  A module or hook that changes `state_dict` changes a copy."""
        module: Any = self
        for hook, with_module in tuple(self._load_state_dict_pre_hooks.values()):
            who = (self,) if with_module else ()
            hook(*who, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        own = {key: name for key, _, name in module._own_state(prefix)}
        for key, name in own.items():
            if key not in state_dict:
                if not is_older_than_counter(key, state_dict, local_metadata):
                    missing_keys.append(key)
                continue
            value, shape = as_tensor(state_dict[key]), wanted_shape(module.__dict__[name])
            if value is None:
                error_msgs.append(f"value of {key} is a {type(state_dict[key]).__name__}, the model needs a tensor of shape "
                                  f"{shape}")
            elif shape is not ANY_SHAPE and value.shape != shape:
                error_msgs.append(shape_line(key, value.shape, shape))
            else:
                put(module, name, value, local_metadata.get("assign_to_params_buffers", False))
        extra = prefix + EXTRA_STATE
        wants_extra = type(self).set_extra_state is not SavesAndLoads.set_extra_state
        if wants_extra and extra in state_dict:
            self.set_extra_state(state_dict[extra])
        elif wants_extra:
            missing_keys.append(extra)
        children = dict(_children(module))
        for key in state_dict:
            if key.startswith(prefix):
                first, dot, _ = key.removeprefix(prefix).partition(".")
                if first not in children if dot else key not in own and not (wants_extra and key == extra):
                    unexpected_keys.append(key)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before
        this module is loaded; it may change the state dict, to rename keys of old files, say."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> RemovableHandle:
        """As register_load_state_dict_pre_hook; the hook gets no module unless with_module."""
        return self._add_state_hook("_load_state_dict_pre_hooks", hook, (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` when this module and its children are loaded.

        incompatible_keys has the lists missing_keys and unexpected_keys; a key that the hook removes is no error."""
        return self._add_state_hook("_load_state_dict_post_hooks", hook, hook)


def put(module: Any, name: str, value: Any, assign: bool) -> None:
    """Copy a tensor into a parameter or buffer, or with `assign` put it in its place."""
    old = module.__dict__[name]
    if not assign:
        with no_grad():
            old.copy_(value)
    elif isinstance(old, Parameter) and not isinstance(value, Parameter):
        module.__dict__[name] = Parameter(value, requires_grad=old.requires_grad)
    else:
        module.__dict__[name] = value


def loads_itself(module: Any) -> bool:
    """Whether loading this module is more than copying tensors by name."""
    kind = type(module)
    return bool(module._load_state_dict_pre_hooks or module._load_state_dict_post_hooks
                or kind._load_from_state_dict is not SavesAndLoads._load_from_state_dict
                or kind.set_extra_state is not SavesAndLoads.set_extra_state)


def load_by_parts(module: Module, given: Mapping[str, Any], strict: bool, assign: bool,
                  result: Callable[[list[str], list[str]], Any]) -> Any:
    """Load every module by its `_load_from_state_dict`, parents before children; returns `result(missing, unexpected)`.

    Raises StateDictError at the end, with everything that was wrong; what did fit has been loaded then."""
    if not isinstance(given, Mapping):
        raise TypeError(f"expected state_dict to be dict-like, got {type(given).__name__}")
    missing: list[str] = []
    unexpected: list[str] = []
    wrong: list[str] = []
    metadata = getattr(given, "_metadata", None) or {}

    def load(part: Any, state: dict[str, Any], prefix: str) -> None:
        local = dict(metadata.get(prefix[:-1], {}))
        if assign:
            local["assign_to_params_buffers"] = True
        part._load_from_state_dict(state, prefix, local, True, missing, unexpected, wrong)
        for name, child in _children(part):
            start = f"{prefix}{name}."
            load(child, {key: value for key, value in state.items() if key.startswith(start)}, start)
        incompatible = result(missing, unexpected)
        for hook in tuple(part._load_state_dict_post_hooks.values()):
            if hook(part, incompatible) is not None:
                raise RuntimeError("a load_state_dict post-hook must return None: change the lists of incompatible_keys in "
                                   "place")

    load(module, dict(given), "")
    lines = ["missing in the file: " + ", ".join(missing)] if strict and missing else []
    lines += ["unexpected in the file: " + ", ".join(unexpected)] if strict and unexpected else []
    if lines + wrong:
        raise StateDictError(f"load_state_dict: the state dict does not fit {module._get_name()}:\n  "
                             + "\n  ".join(lines + wrong))
    return result(missing, unexpected)


def save(module: Any, destination: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Write this module and then its children into `destination`, with hooks around it."""
    metadata: dict[str, Any] = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in tuple(module._state_dict_pre_hooks.values()):
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in _children(module):
        child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in tuple(module._state_dict_hooks.values()):
        replaced = hook(module, destination, prefix, metadata)
        destination = destination if replaced is None else replaced
    return destination


def _children(module: Any) -> Iterator[tuple[str, Any]]:
    return ((name, child) for name, child in module._modules.items() if child is not None)
