"""tgc.linalg: the functions of matrices under the names of torch.linalg."""

from typing import Any

from tinygrad_course.ops.diagonal import diagonal as _diagonal
from tinygrad_course.ops.factor import (
    cholesky,
    cholesky_ex,
    eigh,
    eigvalsh,
    householder_product,
    svdvals,
)
from tinygrad_course.ops.factor import linalg_qr as qr
from tinygrad_course.ops.factor import linalg_svd as svd
from tinygrad_course.ops.linalg import LinAlgError, matmul
from tinygrad_course.ops.lu import ldl_factor, ldl_factor_ex, ldl_solve, lu_factor, lu_factor_ex
from tinygrad_course.ops.lu import linalg_lu as lu
from tinygrad_course.ops.lu import linalg_lu_solve as lu_solve
from tinygrad_course.ops.matrix_norms import cond, matrix_norm
from tinygrad_course.ops.matrix_norms import linalg_norm as norm
from tinygrad_course.ops.norms import vector_norm
from tinygrad_course.ops.products import linalg_cross as cross
from tinygrad_course.ops.products import linalg_vander as vander
from tinygrad_course.ops.products import matrix_exp, matrix_power, multi_dot, vecdot
from tinygrad_course.ops.solve import det as _det
from tinygrad_course.ops.solve import (
    inv,
    inv_ex,
    lstsq,
    matrix_rank,
    pinv,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from tinygrad_course.ops.solve import slogdet as _slogdet

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu",
    "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank",
    "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]


def det(A: Any) -> Any:
    """Determinant of square matrices, (..., n, n) -> (...)."""
    return _det(A)


def slogdet(A: Any) -> Any:
    """(sign, ln |det|) of square matrices, which neither overflows nor underflows; (0, -inf) if a matrix is singular."""
    return _slogdet(A)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The elements with column - row = offset of matrices, as a last axis: a view."""
    return _diagonal(A, offset, dim1, dim2)
