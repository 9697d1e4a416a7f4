# cython: annotation_typing=False
"""Optimizer: parameter groups, what is remembered for each parameter, and the step.

Compiled, because a step of a small network takes microseconds.  Hooks and state dicts are in hooks.py and state.py, which
are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd import enable_grad
from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.origin import warn
from tinygrad_course.errors import DTypeError
from tinygrad_course.kernels.arrays import alike
from tinygrad_course.ops.like import full_like
from tinygrad_course.optim.hooks import run_hooks
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import NOTES, Group, Stateful
from tinygrad_course.tensor import Tensor


class Optimizer(Stateful):
    """Base of all optimisers.  A subclass gives `defaults` and writes `_update(group, params)`, or `step` as a whole.

    param_groups  list of dicts: "params" (the list of tensors) and the options of the group
    state         what is remembered for each parameter: state[parameter] is a dict

    `params` are tensors, (name, tensor) pairs as named_parameters() gives them, or dicts with such "params" and options of
    their own.  The learning rate may be a tensor of one element; schedulers then write into it.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__ and not hasattr(cls.__dict__["step"], "hooked"):
            cls.step = run_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self._begin_life()
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

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy has the options and the state, and no hooks."""
        self._begin_life()
        self.__dict__.update(state)

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
        self._take_names(group)
        unknown = sorted(set(group) - set(self.defaults) - NOTES)
        if unknown:
            raise ValueError(f"{type(self).__name__} has no option {', '.join(unknown)}; "
                             f"a group may have {', '.join(sorted(self.defaults))}")
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        self._check_options(group)
        self._check_params(group["params"])
        self.param_groups.append(group)

    def _take_names(self, group: Group) -> None:
        """Pairs (name, tensor) become tensors and "param_names"."""
        params = group["params"]
        named = [isinstance(param, tuple) and len(param) == 2 and isinstance(param[0], str) for param in params]
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing: parameter "
                                 f"{named.index(False)} has none")
            group["params"] = [param for _, param in params]
            group["param_names"] = [name for name, _ in params]
        if any(("param_names" in other) != ("param_names" in group) for other in self.param_groups):
            kind = "with names" if "param_names" in group else "without names"
            raise ValueError("all optimizer param groups should be with/without names. cannot add param group "
                             f"{kind} to the optimizer")

    def _check_params(self, params: list[Any]) -> None:
        earlier = {id(p): f"group {number}" for number, group in enumerate(self.param_groups) for p in group["params"]}
        for position, param in enumerate(params):
            where = f"parameter {position} of group {len(self.param_groups)}"
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but {where} is a {type(param).__name__}")
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
        lr = group["lr"]
        if isinstance(lr, TensorBase) and lr.array.size != 1:
            raise ValueError(f"Tensor lr must be 1-element, got shape {lr.array.shape}")
        check_number("learning rate", as_number(lr))
        check_number("weight_decay value", group.get("weight_decay", 0))
        if group.get("differentiable"):
            raise ValueError("differentiable=True is not supported: a step is one kernel call outside the graph")

    def _update(self, group: Group, params: list[Any]) -> None:
        """Write the new values of `params`, which all have a gradient, in place."""
        raise NotImplementedError(f"{type(self).__name__} has no _update")

    def _advance(self, params: list[Any], arrays: Mapping[str, float], numbers: tuple[str, ...] = ()) -> list[Any]:
        """Count this step, and sort parameters by what one kernel call has in common.

        state[p]["step"] grows by one; where an array is missing it is made, filled with its value in `arrays`.  Returns
        a list of (kernels, parameters, step, *numbers), where all parameters are on one device and agree in the step and
        in the state named by `numbers`: those whose gradients came later, or that were loaded, may be at other ones.
        """
        parts: dict[tuple[Any, ...], list[Any]] = {}
        for device, part in by_device(params):
            for param in part:
                state = self.state[param]
                state["step"] = state.get("step", 0) + 1
                for key, start in arrays.items():
                    if key not in state:
                        state[key] = full_like(param, start)
                parts.setdefault((device, state["step"], *[state[key] for key in numbers]), []).append(param)
        return [(backend.get(key[0]), part, *key[1:]) for key, part in parts.items()]

    def _memories(self, params: list[Any], key: str) -> list[Any]:
        """The arrays that are remembered for parameters under `key`."""
        return [self._memory(param, key) for param in params]

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

    @run_hooks
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
                bump(params, writer)
        if not updated:
            self._nothing_to_do()
        return loss

    def _nothing_to_do(self) -> None:
        warn(f"{type(self).__name__}.step: no parameter has a gradient, so nothing was changed. Call loss.backward() before "
             "step(), and build the optimiser from the parameters of the model that computes the loss")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            if set_to_none:
                _forget_gradients(group["params"])
                continue
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            lines.append(f"\nParameter Group {number}\n")
            lines += [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
        return f"{type(self).__name__} ({''.join(lines)})"


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


def bump(params: list[Any], writer: str) -> None:
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
