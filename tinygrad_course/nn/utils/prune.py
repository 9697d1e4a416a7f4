"""Pruning: weights that are held at 0 by a mask, while the others are trained on.

    prune.l1_unstructured(layer, "weight", amount=0.3)      layer.weight = layer.weight_orig * layer.weight_mask
    prune.remove(layer, "weight")                           layer.weight is a parameter again, with the zeros in it

The parameter moves to <name>_orig, the mask is the buffer <name>_mask, and a forward pre-hook computes <name> before each
forward.  Gradients reach <name>_orig only where the mask is 1.  Pruning again prunes `amount` of what is left.
LeCun, Denker and Solla 1990, "Optimal brain damage"; by magnitude: Han et al. 2015, arXiv:1506.02626; whole channels:
Li et al. 2017, arXiv:1608.08710.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from tinygrad_course import ops
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.nn.utils.convert_parameters import parameters_to_vector
from tinygrad_course.ops.creation import rand
from tinygrad_course.tensor import Tensor

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]


class BasePruningMethod(ABC):
    """A way to choose what is pruned; it is the forward pre-hook that applies the mask.

    Subclasses write `compute_mask` and say in PRUNING_TYPE on what of a tensor that was pruned before it works:
    "unstructured" on the values that are left, "structured" on the channels of the axis `dim` that are left (those that are
    not all 0), "global" on everything."""

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str = ""

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for importances t, on top of `default_mask`: 0 where either prunes."""

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """<name>_mask * <name>_orig"""
        self._check_applied(module)
        original: Tensor = getattr(module, f"{self._tensor_name}_orig")
        mask: Tensor = getattr(module, f"{self._tensor_name}_mask")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None,
              **kwargs: Any) -> BasePruningMethod:
        """Prune the parameter `name` of the module, and keep it pruned by a hook; returns the hook.

        args, kwargs       of the class
        importance_scores  of the parameter's shape, in place of its values: the least important ones are pruned
        Raises ShapeError for scores of another shape."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        key, before = _hook_of(module, name)
        weight = getattr(module, name)
        scores = _checked_scores(importance_scores, weight, f"parameter {name} of {module}")
        if before is None:
            mask = method.compute_mask(scores, ops.ones_like(weight))
            delattr(module, name)
            module.register_parameter(f"{name}_orig", weight)
        else:
            container = before if isinstance(before, PruningContainer) else PruningContainer(before)
            mask = container._combined(method, scores, getattr(module, f"{name}_mask").clone())
            container.add_pruning_method(method)
            del module._forward_pre_hooks[key]
            method = container
        module.register_buffer(f"{name}_mask", mask.detach())
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of a tensor, of no module."""
        scores = _checked_scores(importance_scores, t, "tensor t")
        return t * self.compute_mask(scores, ops.ones_like(t.detach()) if default_mask is None else default_mask)

    def remove(self, module: Module) -> None:
        """Make <name> a parameter again, the one that <name>_orig is, with the pruned values 0.  The hook is left."""
        name = self._tensor_name
        weight = self.apply_mask(module).detach()
        original: Parameter = getattr(module, f"{name}_orig")
        for attribute in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, attribute)
        original.data = weight
        setattr(module, name, original)

    def _check_applied(self, module: Module) -> None:
        if not self._tensor_name:
            raise ValueError(f"Module {module} has to be pruned first: {type(self).__name__}.apply(module, name, ...)")


class PruningContainer(BasePruningMethod):
    """Several methods for one tensor, applied one after the other; the mask is that of all."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add one for the same tensor."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method._tensor_name != self._tensor_name:
            raise ValueError(f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                             f"PruningContainer {self}. Found '{method._tensor_name}'")
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The newest method's mask for what `default_mask`, of those before it, has left."""
        return self._combined(self._pruning_methods[-1], t, default_mask)

    @staticmethod
    def _combined(method: BasePruningMethod, t: Tensor, mask: Tensor) -> Tensor:
        kind = method.PRUNING_TYPE
        left: Any
        if kind == "unstructured":
            left = mask == 1
        elif kind == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError('Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.')
            dim = _axis(t, method.dim)
            alive = mask.sum(dim=[axis for axis in range(t.ndim) if axis != dim]) != 0
            left = (slice(None),) * dim + (alive,)
        elif kind == "global":
            left = ...
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        combined = mask.detach().to(dtype=t.dtype, copy=True)
        combined[left] = method.compute_mask(t.detach()[left], mask[left]).to(dtype=t.dtype)
        return combined


class Identity(BasePruningMethod):
    """Prunes nothing, but makes <name>_orig and the mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask`"""
        return default_mask


class _Amount(BasePruningMethod):
    """Common base: how much is pruned, a number of units or a share of them."""

    def __init__(self, amount: int | float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        self.whole: bool = isinstance(amount, numbers.Integral)
        if amount < 0 or (not self.whole and amount > 1.0):
            raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
        self.amount: int | float = amount

    def _count(self, size: int) -> int:
        """How many of `size` units are pruned."""
        if not self.whole:
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(f"amount={self.amount} should be smaller than the number of parameters to prune={size}")
        return int(self.amount)


class _Unstructured(_Amount):
    """Common base: single values."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask`, and 0 at the least important values"""
        count = self._count(t.numel())
        flat = default_mask.detach().clone().reshape(-1)
        if count:
            flat[ops.topk(self._importance(t.detach()).reshape(-1), count, largest=False).indices] = 0
        return flat.reshape(default_mask.shape)

    @abstractmethod
    def _importance(self, t: Tensor) -> Tensor:
        """Per value; the smallest are pruned."""


class RandomUnstructured(_Unstructured):
    """Prunes values at random.  amount: a number of values, or a share from 0 to 1 of them."""

    def _importance(self, t: Tensor) -> Tensor:
        return rand(*t.shape, dtype=t.dtype, device=t.device)


class L1Unstructured(_Unstructured):
    """Prunes the values of the smallest magnitude.  amount: a number of values, or a share from 0 to 1 of them."""

    @classmethod
    def apply(cls, module: Module, name: str, amount: int | float,  # type: ignore[override]  # PyTorch's order
              importance_scores: Tensor | None = None) -> BasePruningMethod:
        """Prune the parameter `name`; returns the hook."""
        return super().apply(module, name, amount, importance_scores=importance_scores)

    def _importance(self, t: Tensor) -> Tensor:
        return ops.abs(t)


class _Structured(_Amount):
    """Common base: whole channels, t[..., i, ...] along an axis `dim`."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask`, and 0 in the least important channels"""
        if t.ndim <= 1:
            raise ShapeError(f"Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                             f"{tuple(t.shape)} with {t.ndim} dims")
        dim = _axis(t, self.dim)
        size = t.shape[dim]
        count = self._count(size)
        if not count:
            return default_mask
        channels = ops.ones(size, dtype=default_mask.dtype, device=t.device)
        channels[ops.topk(self._importance(t.detach(), dim), count, largest=False).indices] = 0
        return default_mask * channels.reshape((size,) + (1,) * (t.ndim - dim - 1))

    @abstractmethod
    def _importance(self, t: Tensor, dim: int) -> Tensor:
        """Per channel; the smallest are pruned."""


class RandomStructured(_Structured):
    """Prunes channels at random.  amount: a number of channels along `dim`, or a share from 0 to 1 of them."""

    def _importance(self, t: Tensor, dim: int) -> Tensor:
        return rand(t.shape[dim], dtype=t.dtype, device=t.device)


class LnStructured(_Structured):
    """Prunes the channels of the smallest n-norm.  amount: a number of channels along `dim`, or a share of them.

    n  as `p` of norm(): 1, 2, inf, -inf, "fro" ..."""

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    @classmethod
    def apply(cls, module: Module, name: str, amount: int | float, n: Any, dim: int,  # type: ignore[override]
              importance_scores: Tensor | None = None) -> BasePruningMethod:
        """Prune the parameter `name`; returns the hook."""
        return super().apply(module, name, amount, n, dim, importance_scores=importance_scores)

    def _importance(self, t: Tensor, dim: int) -> Tensor:
        return ops.norm(t, self.n, [axis for axis in range(t.ndim) if axis != dim])


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """`default_mask` * the given one"""
        if default_mask.shape != self.mask.shape:
            raise ShapeError(f"prune: the mask has shape {tuple(self.mask.shape)}, what it is for "
                             f"{tuple(default_mask.shape)}; they must be equal")
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Make <name>_orig and a mask of ones, which prunes nothing; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: int | float) -> Module:
    """Prune values at random; see RandomUnstructured.  Returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: int | float, importance_scores: Tensor | None = None) -> Module:
    """Prune the values of the smallest magnitude; see L1Unstructured.  Returns the module."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: int | float, dim: int) -> Module:
    """Prune channels at random; see RandomStructured.  Returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Module, name: str, amount: int | float, n: Any, dim: int,
                  importance_scores: Tensor | None = None) -> Module:
    """Prune the channels of the smallest norm; see LnStructured.  Returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where the mask is 0; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Iterable[tuple[Module, str]], pruning_method: type[BasePruningMethod],
                        importance_scores: Mapping[tuple[Module, str], Tensor] | None = None, **kwargs: Any) -> None:
    """Prune several parameters as if they were one: `amount` is of all their values together.

    parameters         (module, name) pairs
    pruning_method     an unstructured one, L1Unstructured or RandomUnstructured; kwargs are for it: amount=0.2
    importance_scores  (module, name) -> scores, in place of the values
    Raises TypeError for a method of another kind."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    method: BasePruningMethod = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} '
                        f"of type {method.PRUNING_TYPE}")
    weights = [getattr(module, name).detach() for module, name in pairs]
    scores = parameters_to_vector([given.get(pair, weight).detach() for pair, weight in zip(pairs, weights, strict=True)])
    masks = parameters_to_vector([getattr(module, f"{name}_mask") if _hook_of(module, name)[1] else ops.ones_like(weight)
                                  for (module, name), weight in zip(pairs, weights, strict=True)])
    combined = PruningContainer._combined(method, scores, masks)
    start = 0
    for (module, name), weight in zip(pairs, weights, strict=True):
        custom_from_mask(module, name, combined[start:start + weight.numel()].reshape(weight.shape))
        start += weight.numel()


def remove(module: Module, name: str) -> Module:
    """Take the pruning off: <name> is a parameter again, its pruned values are 0 and free.  Returns the module."""
    key, hook = _hook_of(module, name)
    if hook is None:
        raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")
    hook.remove(module)
    del module._forward_pre_hooks[key]
    return module


def is_pruned(module: Module) -> bool:
    """Whether anything of the module, or of one inside of it, is pruned."""
    return any(isinstance(hook, BasePruningMethod)
               for inner in module.modules() for hook, _ in inner._forward_pre_hooks.values())


def _hook_of(module: Module, name: str) -> tuple[Any, BasePruningMethod | None]:
    """(key, hook) of what prunes the parameter; (None, None) if nothing does."""
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key, hook
    return None, None


def _checked_scores(scores: Tensor | None, weight: Tensor, whose: str) -> Tensor:
    if scores is None:
        return weight.detach()
    if scores.shape != weight.shape:
        raise ShapeError(f"importance_scores should have the same shape as {whose}, got {tuple(scores.shape)} vs "
                         f"{tuple(weight.shape)}")
    return scores.detach()


def _axis(t: Tensor, dim: int) -> int:
    if not -t.ndim <= dim < t.ndim:
        raise IndexError(f"Invalid index {dim} for tensor of size {tuple(t.shape)}")
    return dim % t.ndim
