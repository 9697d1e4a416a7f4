# cython: annotation_typing=False
"""Optimizer: parameter groups, per-parameter state, and their state dict in PyTorch's layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd import enable_grad
from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.origin import warn
from tinygrad_course.errors import DTypeError, StateDictError
from tinygrad_course.kernels.arrays import alike
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor

Group = dict[str, Any]


def check_number(name: str, value: Any, low: float = 0.0, below: float = float("inf")) -> None:
    """Raise unless low <= value < below; NaN is refused as well."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"Invalid {name}: {value!r} is a {type(value).__name__}, a number is needed")
    if not low <= value < below:
        limits = f"at least {low:g}" if below == float("inf") else f"in [{low:g}, {below:g})"
        raise ValueError(f"Invalid {name}: {value}; it must be {limits}")


class Optimizer:
    """Base of all optimisers.  A subclass gives `defaults` and writes `_update(group, params)`.

    param_groups  list of dicts: "params" (the list of tensors) and the options of the group
    state         what is remembered for each parameter: state[parameter] is a dict
    """

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(f"{name}: params must be an iterable of Tensors or dicts, got one Tensor: put it in a list")
        if isinstance(params, (set, frozenset)):
            raise TypeError(f"{name}: params is a set, whose order changes from run to run: give a list")
        if isinstance(params, Mapping):
            raise TypeError(f"{name}: params is a dict: give a list of Tensors, or a list of group dicts")
        if not isinstance(params, Iterable):
            hint = ", with the brackets" if getattr(params, "__name__", "") == "parameters" else ""
            raise TypeError(f"{name}: params must be an iterable of Tensors or dicts, got {type(params).__name__}: give "
                            f"model.parameters(){hint}")
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: optimizer got an empty parameter list. A generator like model.parameters() can "
                             "be used once only; layers in a plain Python list are not registered (nn.ModuleList is)")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own; options that are not given are the optimiser's defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"param_group has no 'params', only {sorted(param_group)}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError("params of a group is a set, whose order changes from run to run: give a list")
        group = {**param_group, "params": [params] if isinstance(params, Tensor) else list(params)}
        unknown = sorted(set(group) - set(self.defaults) - {"params", "initial_lr"})
        if unknown:
            raise ValueError(f"{type(self).__name__} has no option {', '.join(unknown)}; "
                             f"a group may have {', '.join(sorted(self.defaults))}")
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        self._check_options(group)
        self._check_params(group["params"])
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        earlier = {id(p): f"group {number}" for number, group in enumerate(self.param_groups) for p in group["params"]}
        for position, param in enumerate(params):
            where = f"parameter {position} of group {len(self.param_groups)}"
            if not isinstance(param, Tensor):
                hint = ": give model.parameters(), not named_parameters()" if isinstance(param, tuple) else ""
                raise TypeError(f"optimizer can only optimize Tensors, but {where} is a {type(param).__name__}{hint}")
            if not param.is_leaf:
                raise ValueError(f"can't optimize a non-leaf Tensor: {where}, shape {tuple(param.shape)}, was computed "
                                 "by an op. Optimise the tensors it was computed from, or call .detach() first and "
                                 "then .requires_grad_()")
            if id(param) in earlier:
                raise ValueError(f"some parameters appear in more than one place: {where}, shape "
                                 f"{tuple(param.shape)}, is in {earlier[id(param)]} already")
            earlier[id(param)] = "this group"

    def _check_options(self, group: Group) -> None:
        """Raise ValueError for an option out of its range; called for every group."""
        check_number("learning rate", group["lr"])
        check_number("weight_decay value", group["weight_decay"])
        if group["differentiable"]:
            raise ValueError("differentiable=True is not supported: a step is one kernel call outside the graph")

    def _update(self, group: Group, params: list[Any]) -> None:
        """Write the new values of `params`, which all have a gradient, in place."""
        raise NotImplementedError(f"{type(self).__name__} has no _update")

    def _memory(self, param: Tensor, key: str) -> Any:
        """The array that is remembered for a parameter under `key`, None if there is none yet."""
        remembered = self.state[param].get(key)
        if remembered is None:
            return None
        if alike(remembered.array, param.array):
            return remembered.array
        if remembered.array.dtype != param.array.dtype or type(remembered.array) is not type(param.array):
            raise DTypeError(f"{type(self).__name__}: {key} is {remembered.dtype} on {remembered.device}, its "
                             f"parameter {param.shape} is now {param.dtype} on {param.device}: the model was converted "
                             "after the optimiser was built. Build the optimiser after model.to(...)")
        return remembered.array

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient.  Returns what `closure()`, if given, returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        writer = f"{type(self).__name__}.step"
        updated = False
        for group in self.param_groups:
            params = _with_gradient(group["params"])
            if params:
                updated = True
                self._update(group, params)
                _bump(params, writer)
        if not updated:
            warn(f"{writer}: no parameter has a gradient, so nothing was changed. Call loss.backward() before step(), and "
                 "build the optimiser from the parameters of the model that computes the loss")
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            if set_to_none:
                _forget_gradients(group["params"])
                continue
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    # ---- state dict ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: {...}}, "param_groups": [{options, "params": [numbers]}]}.

        Parameters are numbered in the order of the groups.  The tensors are those of the optimiser: copy them if they
        are to outlive the next step.
        """
        numbers = {id(param): number for number, param in enumerate(self._all_params())}
        state = {numbers[id(param)]: self._pack(entry) for param, entry in self.state.items() if id(param) in numbers}
        groups = [{**{key: value for key, value in group.items() if key != "params"},
                   "params": [numbers[id(param)] for param in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state.  Tensors are copied, in each parameter's dtype and on its device.

        Raises StateDictError, which names every difference, if groups or shapes do not fit; nothing is changed then.
        """
        lines = _differences(state_dict, self.param_groups)
        if lines:
            raise StateDictError(f"load_state_dict: the state does not fit this {type(self).__name__}:\n  "
                                 + "\n  ".join(lines))
        saved = state_dict["param_groups"]
        numbers = [number for group in saved for number in group["params"]]
        params = dict(zip(numbers, self._all_params(), strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        wrong = []
        for number, entry in state_dict["state"].items():
            param = params.get(number)
            if param is None:
                wrong.append(f"state is given for parameter {number}, which no group has")
                continue
            state[param] = {key: _own_copy(value, param) for key, value in entry.items()}
            for key, value in state[param].items():
                if isinstance(value, Tensor) and value.ndim > 0 and value.shape != param.shape:
                    wrong.append(f"{key} of parameter {number}: the file has {value.shape}, the parameter "
                                 f"{param.shape}")
                elif not isinstance(value, (Tensor, bool, int, float, type(None))):
                    wrong.append(f"{key} of parameter {number} is a {type(value).__name__}, a tensor is needed")
        groups = [{**self.defaults, **{key: value for key, value in given.items() if key != "params"},
                   "params": own["params"]} for given, own in zip(saved, self.param_groups, strict=True)]
        if wrong:
            raise StateDictError(f"load_state_dict: the state does not fit this {type(self).__name__}:\n  "
                                 + "\n  ".join(wrong))
        for group in groups:
            self._check_options(group)
        for param, entry in state.items():
            state[param] = self._unpack(entry)
        self.state, self.param_groups = state, groups

    def _all_params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def _pack(self, entry: dict[str, Any]) -> dict[str, Any]:
        """One parameter's state as the state dict shows it."""
        return dict(entry)

    def _unpack(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The reverse of `_pack`."""
        return entry

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            lines.append(f"\nParameter Group {number}\n")
            lines += [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} ({''.join(lines)})"


def _own_copy(value: Any, param: Tensor) -> Any:
    """A copy of a state value; tensors of more than no dimension follow the parameter's dtype and device."""
    if not isinstance(value, Tensor) and hasattr(value, "__array__"):  # arrays, and tensors of other libraries
        value = from_numpy(np.asarray(value))
    if not isinstance(value, Tensor):
        return value
    if value.ndim == 0 and param.ndim > 0:
        return value.detach().clone()
    return value.detach().to(param.device, param.dtype).clone()


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
        unknown, missing = sorted(set(theirs) - set(ours)), sorted(set(ours) - set(theirs) - {"initial_lr"})
        if unknown and missing:  # one alone is the work of a scheduler, or of another version
            lines.append(f"group {number}: the file is of another kind of optimiser, it has the options "
                         f"{', '.join(unknown)} and not {', '.join(missing)}")
    return lines


def by_device(params: list[Any]) -> list[tuple[str, list[Any]]]:
    """Parameters sorted by the type of device they are on: one kernel call serves one of them."""
    tensor: TensorBase
    for param in params:
        tensor = param
        if type(tensor.array) is not np.ndarray:
            break
    else:
        return [("cpu", params)]
    parts: dict[str, list[Any]] = {}
    for param in params:
        parts.setdefault(backend.device_of(param.array), []).append(param)
    return list(parts.items())


def _with_gradient(params: list[Any]) -> list[Any]:
    """Those parameters that have a gradient."""
    tensor: TensorBase
    found = []
    for param in params:
        tensor = param
        if tensor._grad is not None:
            found.append(param)
    return found


def _bump(params: list[Any], writer: str) -> None:
    """Note that the parameters were written to."""
    tensor: TensorBase
    for param in params:
        tensor = param
        tensor._bump_version(writer)


def _forget_gradients(params: list[Any]) -> None:
    tensor: TensorBase
    for param in params:
        tensor = param
        tensor._grad = None


def arrays_of(params: list[Any]) -> list[Any]:
    """The arrays of parameters."""
    tensor: TensorBase
    found = []
    for param in params:
        tensor = param
        found.append(tensor.array)
    return found


def gradients_of(params: list[Any]) -> list[Any]:
    """The arrays of the gradients of parameters that have one."""
    tensor: TensorBase
    found = []
    for param in params:
        tensor = param
        tensor = tensor._grad
        found.append(tensor.array)
    return found
