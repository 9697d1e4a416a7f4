"""Parameters that are computed from others: `module.weight = f(original)`, for any module f.

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

    layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    layer.weight                                     # symmetric; computed anew at each access
    layer.parametrizations.weight.original           # what is trained

The layer becomes of a class of its own, ParametrizedLinear, whose attribute `weight` is a property.  A parametrization
with a method right_inverse(value) can be assigned to: original = right_inverse(value).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.nn.container import ModuleDict, ModuleList
from tinygrad_course.nn.module import BUFFER, PARAMETER, Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.tensor import Tensor

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
           "transfer_parametrizations_and_params", "type_before_parametrizations"]

_depth = 0  # of cached() blocks
_cache: dict[tuple[int, str], Tensor] = {}


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside the block, however often it is used: for weights of recurrent loops.

    Do not change the originals inside."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, the first one applied first, and the tensors it is computed from.

    They are called `original`, or `original0`, `original1`, ... if the first right_inverse returned several.
    unsafe: without the checks that shape and dtype stay."""

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with contextlib.suppress(NotImplementedError):  # taken for the identity, as if there were none
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        if not self.is_tensor and not isinstance(new, Sequence):
            raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                             f"Got {type(new).__name__}")
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if new.dtype != dtype:
                raise ValueError("When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                                 f"original.dtype: {dtype}\nright_inverse(original).dtype: {new.dtype}")
            _set(original, new)  # it stays the same object, which an optimiser may know already
            _register(self, "original", original)
        else:
            for number, tensor in enumerate(new):
                if not isinstance(tensor, Tensor):
                    raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                                     f"element {number} of the sequence with type {type(tensor).__name__}.")
                # of its own memory: for weight norm the second one is the weight itself
                fresh = tensor.detach().clone()
                if isinstance(original, Parameter):
                    fresh = Parameter(fresh, original.requires_grad)
                _register(self, f"original{number}", fresh.requires_grad_(original.requires_grad))
        if not unsafe:
            _check_kept("tensor", self(), shape, dtype)

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`, as far as that is possible."""
        result: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse: the "
                                       "parametrized tensor cannot be assigned to. Assign to "
                                       "parametrizations.<name>.original instead")
                result = module.right_inverse(result)
        own = self._originals()
        values = [result] if self.is_tensor else result
        if not isinstance(values, Sequence) or len(values) != self.ntensors:
            raise ValueError(f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got "
                             + (f"a sequence of length {len(values)}." if isinstance(values, Sequence)
                                else f"{type(values).__name__}."))
        for number, (original, new) in enumerate(zip(own, values, strict=True)):
            if not isinstance(new, Tensor) or new.dtype != original.dtype:
                what = f"dtype {new.dtype}" if isinstance(new, Tensor) else f"type {type(new).__name__}"
                raise ValueError(f"Tensor {number} returned by `right_inverse` has {what} while `original` has dtype "
                                 f"{original.dtype}")
        for original, new in zip(own, values, strict=True):
            _set(original, new)

    def _originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{number}" for number in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def forward(self) -> Tensor:
        """originals -> the parametrized tensor"""
        first, *others = self
        x: Tensor = first(*self._originals())
        for module in others:
            x = module(x)
        return x


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """Let `parametrization` compute module.tensor_name, a parameter or buffer, from its present value; returns the module.

    Several can be registered on one tensor, each takes what the one before returns.  If right_inverse returns several
    tensors, they are new parameters: tell the optimiser about them.  unsafe: the parametrization may change shape and
    dtype."""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        stack: Any = module.parametrizations[tensor_name]
        if not unsafe:
            before = getattr(module, tensor_name)
            with no_grad():
                after = parametrization(before)
                _check_kept(f"module.{tensor_name}", after, before.shape, before.dtype)
                if hasattr(parametrization, "right_inverse"):
                    with contextlib.suppress(NotImplementedError):
                        back = parametrization.right_inverse(after)
                        if not isinstance(back, Tensor) or back.shape != before.shape or back.dtype != before.dtype:
                            raise ValueError("parametrization.right_inverse must return a tensor of the same shape and dtype "
                                             f"as module.{tensor_name}, unless the `unsafe` flag is enabled; got "
                                             + (f"{back.shape}, {back.dtype} for {before.shape}, {before.dtype}"
                                                if isinstance(back, Tensor) else type(back).__name__))
        stack.append(parametrization)
        stack.unsafe |= unsafe
    elif module._kinds.get(tensor_name) in (PARAMETER, BUFFER):
        original = getattr(module, tensor_name)
        stack = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = stack
    else:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
                         f"'{tensor_name}'")
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether this tensor of the module, or any one, is parametrized."""
    stacks = module.__dict__.get("parametrizations")
    if not isinstance(stacks, ModuleDict):
        return False
    return len(stacks) > 0 if tensor_name is None else tensor_name in stacks


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor a plain parameter or buffer again; returns the module.

    It keeps the value it has now, or with leave_parametrized=False gets that of the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    stacks: Any = module.parametrizations
    stack = stacks[tensor_name]
    if stack.is_tensor:
        original = stack.original
        if leave_parametrized:
            with no_grad():
                _set(original, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach().clone()) if value.requires_grad else value
    else:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of "
                         "a sequence of tensors.")
    delattr(type(module), tensor_name)
    del stacks[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of the module as if it had never been parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module: Module, to_module: Module, tensor_name: str | None = None) -> Module:
    """Give to_module the parametrizations of from_module, of one tensor or of all, and the originals; returns to_module."""
    if not is_parametrized(from_module):
        return to_module
    stacks: Any = from_module.parametrizations
    for name in list(stacks) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in stacks[name]:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations
        for key, kind in stacks[name]._kinds.items():
            if kind in (PARAMETER, BUFFER):
                setattr(target[name], key, getattr(stacks[name], key))
    return to_module


def _give_own_class(module: Module) -> None:
    """Make the module the only one of a new class, which can have properties of its own."""
    plain = type(module)

    def deep_copy(self: Any, memo: dict[int, Any]) -> Any:
        # A class of its own for the copy as well: what is removed from one must not go from the other.
        replica = plain.__new__(plain)
        memo[id(self)] = replica
        replica.__dict__.update(copy.deepcopy(self.__dict__, memo))
        _give_own_class(replica)
        for name in replica.__dict__.get("parametrizations", ()):
            _add_property(replica, name)
        return replica

    def get_state(self: Any) -> Any:
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict()")

    module.__class__ = type(f"Parametrized{plain.__name__}", (plain,), {
        "__deepcopy__": deep_copy, "__getstate__": get_state, "__module__": plain.__module__})


def _add_property(module: Module, name: str) -> None:
    def get(self: Any) -> Tensor:
        stack = self.parametrizations[name]
        if not _depth:
            result: Tensor = stack()
            return result
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = stack()
        return _cache[key]

    def assign(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, assign))


def _check_kept(what: str, value: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
    for quality, old, new in (("dtype", dtype, value.dtype), ("shape", shape, value.shape)):
        if old != new:
            raise ValueError(f"Registering a parametrization may not change the {quality} of the tensor, unless `unsafe` "
                             f"flag is enabled.\n{what}.{quality}: {old}\nparametrization({what}).{quality}: {new}")


def _set(original: Tensor, value: Tensor) -> None:
    """Give a tensor, which stays the same object, a new value, perhaps of another shape."""
    if value is not original:
        if value.shape == original.shape:
            with no_grad():
                original.copy_(value)
        else:
            track = original.requires_grad
            original.requires_grad_(False).data = value.detach().clone()
            original.requires_grad_(track)


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)
