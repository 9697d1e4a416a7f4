"""Spectral norm as a hook: PyTorch's older form, with parameter weight_orig and buffers weight_u, weight_v.

The newer one is nn.utils.parametrizations.spectral_norm."""

from __future__ import annotations

from typing import Any

from tinygrad_course.autograd import no_grad
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.module import PARAMETER, Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.nn.utils.parametrizations import _dim_of, as_matrix, divided_by_sigma, power_method
from tinygrad_course.ops.creation import randn
from tinygrad_course.tensor import Tensor


class SpectralNorm:
    """The forward pre-hook that computes the weight."""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError("Expected n_power_iterations to be positive, but got "
                             f"n_power_iterations={n_power_iterations}")
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """weight_orig / sigma"""
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            power_method(matrix.detach().mT, v, u, self.n_power_iterations, self.eps)  # v first, unlike the newer form
        return divided_by_sigma(weight, matrix, u, v)

    def remove(self, module: Module) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module, False).detach()
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight))

    def __call__(self, module: Module, _: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """w = v / sigma(v), sigma the largest singular value of the weight as a matrix (dim, other axes); returns the module.

    Computed before each forward, in training after n_power_iterations steps of the power method.  dim: 1 for transposed
    convolutions, else 0.  Miyato et al. 2018, arXiv:1802.05957, algorithm 1."""
    if any(isinstance(hook, SpectralNorm) and hook.name == name for hook, _ in module._forward_pre_hooks.values()):
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook = SpectralNorm(name, n_power_iterations, _dim_of(module, dim), eps)
    weight = getattr(module, name) if module._kinds.get(name) == PARAMETER else None
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    with no_grad():
        u, v = (F.normalize(randn(size, dtype=weight.dtype, device=weight.device), dim=0, eps=eps)
                for size in as_matrix(weight, hook.dim).shape)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())  # until the first forward
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo spectral_norm; the weight keeps the normalised value.  Returns the module."""
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")
