"""The state of an optimiser as a dict in PyTorch's layout, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_course.errors import StateDictError
from tinygrad_course.ops.creation import from_numpy, tensor
from tinygrad_course.optim.hooks import Hooked
from tinygrad_course.tensor import Tensor

Group = dict[str, Any]

# What a group may have beside the options of its optimiser: a label, and what schedulers note there.
NOTES = {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "swa_lr", "base_momentum", "max_momentum"}


class Stateful(Hooked):
    """Saving and loading, for a class with `param_groups`, `state` and `defaults`."""

    defaults: Group
    state: defaultdict[Tensor, dict[str, Any]]
    param_groups: list[Group]

    # State that is a number: an int or float in `state`, a tensor of no dimension in state dicts, as PyTorch has it.
    _numbers: tuple[str, ...] = ("step",)
    # State without which a loaded entry is not enough to go on.
    _required: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {...}}, "param_groups": [{options, "params": [numbers]}]}.

        Parameters are numbered in the order of the groups.  The tensors are those of the optimiser: copy them if they
        are to outlive the next step.
        """
        for hook in self._state_dict_pre_hooks.values():
            hook(self)
        numbers = {id(param): number for number, param in enumerate(self._all_params())}
        state = {numbers[id(param)]: self._pack(entry) for param, entry in self.state.items() if id(param) in numbers}
        groups = [{**{key: value for key, value in group.items() if key != "params"},
                   "params": [numbers[id(param)] for param in group["params"]]} for group in self.param_groups]
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state.  Tensors are copied, in each parameter's dtype and on its device.

        Raises StateDictError, which names every difference, if groups or shapes do not fit; nothing is changed then.
        """
        if self._load_state_dict_pre_hooks:
            state_dict = dict(state_dict)
            for hook in self._load_state_dict_pre_hooks.values():
                changed = hook(self, state_dict)
                state_dict = state_dict if changed is None else changed
        lines = _differences(state_dict, self.param_groups)
        if lines:
            raise self._does_not_fit(lines)
        saved = state_dict["param_groups"]
        params = dict(zip([number for group in saved for number in group["params"]], self._all_params(), strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        wrong = []
        for number, entry in state_dict["state"].items():
            param = params.get(number)
            if param is None:
                wrong.append(f"state is given for parameter {number}, which no group has")
                continue
            state[param] = {key: _own_copy(value, None if key in self._numbers else param) for key, value in entry.items()}
            wrong += [f"{key} of parameter {number}{problem}" for key, value in state[param].items()
                      if (problem := self._problem(key, value, param))]
        if wrong:
            raise self._does_not_fit(wrong)
        groups = []
        for given, own in zip(saved, self.param_groups, strict=True):
            names = {"param_names": own["param_names"]} if "param_names" in own else {}
            options = {key: _own_copy(value, None) for key, value in given.items() if key != "params"}
            groups.append({**names, **self.defaults, **options, "params": own["params"]})
        for group in groups:
            self._check_options(group)
        for param, entry in state.items():
            state[param] = self._unpack(entry)
        self.state, self.param_groups = state, groups
        for hook in self._load_state_dict_post_hooks.values():
            hook(self)

    def _does_not_fit(self, lines: list[str]) -> StateDictError:
        return StateDictError(f"load_state_dict: the state does not fit this {type(self).__name__}:\n  " + "\n  ".join(lines))

    def _problem(self, key: str, value: Any, param: Tensor) -> str:
        """What is wrong with a loaded state value, to be read after its name; nothing: ''."""
        if isinstance(value, Tensor):
            shape = self._state_shape(key, param)
            fits = value.ndim == 0 or value.shape == shape
            return "" if fits else f": the file has {value.shape}, the parameter {shape}"
        simple = isinstance(value, (bool, int, float, type(None)))
        return "" if simple else f" is a {type(value).__name__}, a tensor is needed"

    def _state_shape(self, key: str, param: Tensor) -> Any:
        """The shape of a remembered array."""
        return param.shape

    def _all_params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def _pack(self, entry: dict[str, Any]) -> dict[str, Any]:
        """One parameter's state as the state dict shows it."""
        return {key: tensor(value, dtype=np.float32) if key in self._numbers and isinstance(value, (int, float)) else value
                for key, value in entry.items()}

    def _unpack(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The reverse of `_pack`."""
        if not set(self._required) <= set(entry):
            raise StateDictError(f"load_state_dict: a parameter's state has {', '.join(entry)}; {type(self).__name__} "
                                 f"needs {', '.join(self._required)}")
        return {key: (int if key == "step" else float)(value) if key in self._numbers else value
                for key, value in entry.items()}

    def _check_options(self, group: Group) -> None:
        """Raise ValueError for an option out of its range; called for every group."""
        raise NotImplementedError


def _own_copy(value: Any, param: Tensor | None) -> Any:
    """A copy of a state value; tensors follow the parameter's dtype and device, if there is one."""
    if isinstance(value, list):
        return [_own_copy(entry, param) for entry in value]
    if not isinstance(value, Tensor) and hasattr(value, "__array__"):  # arrays, and tensors of other libraries
        value = from_numpy(np.asarray(value))
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    return (value if param is None else value.to(param.device, param.dtype)).clone()


def _differences(given: Any, own: list[Group]) -> list[str]:
    """Why the groups of a state dict do not fit, one line each."""
    if not isinstance(given, Mapping) or not {"state", "param_groups"} <= set(given):
        found = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        return [f"an optimiser's state dict has the keys 'state' and 'param_groups', this one has {found}"]
    saved = given["param_groups"]
    if len(saved) != len(own):
        return [f"different number of parameter groups: the file has {len(saved)}, the optimiser has {len(own)}"]
    lines = []
    for number, (theirs, ours) in enumerate(zip(saved, own, strict=True)):
        if len(theirs["params"]) != len(ours["params"]):
            lines.append(f"group {number}: the file has {len(theirs['params'])} parameters, the optimiser has "
                         f"{len(ours['params'])}")
        unknown, missing = sorted(set(theirs) - set(ours) - NOTES), sorted(set(ours) - set(theirs) - NOTES)
        if unknown and missing:  # one alone is the work of a scheduler, or of another version
            lines.append(f"group {number}: the file is of another kind of optimiser, it has the options "
                         f"{', '.join(unknown)} and not {', '.join(missing)}")
    return lines
