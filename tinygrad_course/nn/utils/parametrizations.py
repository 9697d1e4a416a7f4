"""Ready parametrizations: weight norm, spectral norm, orthogonal matrices.  See parametrize.py for what that is."""

from __future__ import annotations

from typing import Any

from tinygrad_course import linalg, ops
from tinygrad_course.autograd import no_grad
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.utils import parametrize
from tinygrad_course.ops.creation import eye, randn, zeros
from tinygrad_course.ops.factor import geqrf, orgqr
from tinygrad_course.ops.products import mv
from tinygrad_course.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / |v|: length original0 = g and direction original1 = v are trained apart; returns the module.

    The norm is over all axes but `dim` (None: over all).  Salimans and Kingma 2016, arXiv:1602.07868."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_old_names(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        keys = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state_dict for key in keys):
            for number, key in enumerate(keys):
                state_dict[f"{prefix}parametrizations.{name}.original{number}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(take_old_names)
    return module


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """w = v / sigma(v), sigma the largest singular value of the weight as a matrix (dim, other axes); returns the module.

    sigma is found by the power method, n_power_iterations at each access in training.  dim: 1 for transposed convolutions,
    else 0.  Miyato et al. 2018, arXiv:1802.05957, algorithm 1."""
    weight = _weight(module, name)
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, _dim_of(module, dim), eps))
    return module


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:
    """A weight (..., m, n) whose columns, or if it is wide rows, are orthonormal; returns the module.

    orthogonal_map: "matrix_exp", exp(A) with A skew-symmetric; "cayley", (I + A/2)(I - A/2)^-1; "householder", a product of
    reflections, the default for matrices that are not square.  use_trivialization: relative to a fixed orthogonal matrix
    `base`, so that the weight can be assigned to.  Lezcano-Casado 2019, arXiv:1909.09501."""
    weight = _weight(module, name)
    if weight.ndim < 2:
        raise ShapeError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError('orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
                         f"Got: {orthogonal_map}")
    parametrize.register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
    return module


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """g (1, ..., size of dim, ..., 1), v -> g v / |v|"""
        return scaled(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """w -> |w|, w"""
        return norm_except_dim(weight, self.dim), weight


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError("Expected n_power_iterations to be positive, but got "
                             f"n_power_iterations={n_power_iterations}")
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            with no_grad():
                matrix = as_matrix(weight, self.dim)
                for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                    start = randn(size, dtype=weight.dtype, device=weight.device)
                    self.register_buffer(name, F.normalize(start, dim=0, eps=eps))
                power_method(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        """v -> v / sigma(v)"""
        if weight.ndim == 1:
            normalised: Tensor = F.normalize(weight, dim=0, eps=self.eps)
            return normalised
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_method(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        return divided_by_sigma(weight, matrix, self._u, self._v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """w -> w: a weight that is assigned is taken as it is"""
        return value


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """any matrix -> an orthogonal one of the same shape"""
        wide = X.shape[-2] < X.shape[-1]
        X = X.mT if wide else X
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            A = ops.tril(X, -1)
            Q = orgqr(A, 2.0 / (1.0 + (A * A).sum(-2)))
            signs = ops.diagonal(X.detach(), 0, -2, -1).int().to(X.dtype)  # 1 and -1; not trained
            Q = Q * signs.unsqueeze(-2)
        else:
            A = ops.tril(X)
            if n != k:  # a square matrix, of whose result the first k columns count
                A = ops.cat([A, zeros(*X.shape[:-2], n, n - k, dtype=X.dtype, device=X.device)], -1)
            A = A - A.mT
            if self.orthogonal_map == "matrix_exp":
                Q = ops.matrix_exp(A)
            else:
                one = eye(n, dtype=X.dtype, device=X.device)
                Q = linalg.solve(one - 0.5 * A, one + 0.5 * A)
            Q = Q[..., :k] if n != k else Q
        if self.use_trivialization:
            Q = self.base @ Q
        result: Tensor = Q.mT if wide else Q
        return result

    def right_inverse(self, Q: Tensor) -> Tensor:
        """the weight -> what forward makes it of; a weight that is not orthogonal gives the nearest in the sense of QR"""
        if Q.shape != self.shape:
            raise ShapeError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape "
                             f"{Q.shape}.")
        if not self.use_trivialization and self.orthogonal_map != "householder":
            raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley parametrizations "
                                      "when use_trivialization=False.")
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if wide else Q
        n, k = tall.shape[-2:]
        with no_grad():
            if not self.use_trivialization:
                A, tau = geqrf(tall)
                diagonal = ops.sign(ops.diagonal(A, 0, -2, -1))
                place = ops.arange(k)
                A[..., place, place] = ops.where(tau == 0.0, -diagonal, diagonal)  # LAPACK left out reflections with tau = 0
                result: Tensor = A.mT if wide else A
                return result
            if n != k:  # complete it to a square orthogonal matrix
                more = randn(*tall.shape[:-2], n, n - k, dtype=Q.dtype, device=Q.device)
                self.base = _orthogonalised(ops.cat([tall, more], -1))
            else:
                self.base = tall.clone() if _is_orthogonal(tall) else _orthogonalised(tall)
            # -I, whose diagonal makes the product of no reflections the identity
            minus_one = -eye(*Q.shape[-2:], dtype=Q.dtype, device=Q.device)
            return ops.clone(ops.expand(minus_one, Q.shape))


def _orthogonalised(A: Tensor) -> Tensor:
    """The factor Q of A = Q R with a positive diagonal of R."""
    X, tau = geqrf(A)
    Q: Tensor = orgqr(X, tau) * ops.sign(ops.diagonal(X, 0, -2, -1)).unsqueeze(-2)
    return Q


def _is_orthogonal(Q: Tensor) -> bool:
    n, k = Q.shape[-2:]
    limit = 10.0 * n * float(ops.finfo(Q.dtype).eps)
    return bool(ops.allclose(Q.mT @ Q, eye(k, dtype=Q.dtype, device=Q.device), atol=limit))


def _weight(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def _dim_of(module: Module, dim: int | None) -> int:
    """The axis of the outputs."""
    if dim is None:
        return 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0
    return dim


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The norm of v over all axes but `dim`, which stays as an axis beside others of size 1; dim -1: over all, a number."""
    if dim == -1:
        total: Tensor = (v * v).sum().sqrt()
        return total
    others = [axis for axis in range(v.ndim) if axis != dim % v.ndim]
    kept: Tensor = (v * v).sum(others, True).sqrt() if others else v.abs()
    return kept


def scaled(g: Tensor, v: Tensor, dim: int) -> Tensor:
    """g v / |v|"""
    return v * (g / norm_except_dim(v, dim))


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """(size of dim, all others)"""
    matrix: Tensor = ops.movedim(weight, dim, 0).flatten(1)
    return matrix


def power_method(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Move u and v, in place, towards the first left and right singular vectors of the matrix."""
    with no_grad():
        for _ in range(steps):
            u.copy_(F.normalize(mv(matrix, v), dim=0, eps=eps))
            v.copy_(F.normalize(mv(matrix.mT, u), dim=0, eps=eps))


def divided_by_sigma(weight: Tensor, matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """weight / (u^T matrix v).  Of copies of u and v: the next call moves them, before backward may have come."""
    return weight / ops.dot(u.clone(), mv(matrix, v.clone()))
