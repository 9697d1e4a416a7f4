"""ops/products.py: products of vectors, matrices and tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly
from tests.ops.matrices import of_torch, on, regular
from tinygrad_course.errors import DTypeError, ShapeError


def written(equation: str) -> Callable[..., Any]:
    """An oracle: NumPy's einsum, without its shortcut through BLAS."""
    return lambda *arrays: np.einsum(equation, *arrays, optimize=False)


def added(equation: str) -> Callable[..., Any]:
    """The oracle of addmm and its like."""

    def call(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
        product = np.einsum(equation, a, b, optimize=False)
        return alpha * product + (np.zeros_like(product) if beta == 0 else beta * x)

    return call


def chain(*matrices: np.ndarray) -> np.ndarray:
    z = matrices[0]
    for matrix in matrices[1:]:
        z = z @ matrix
    return z


def exponential(x: np.ndarray) -> np.ndarray:
    """The series itself."""
    term = total = np.broadcast_to(np.eye(x.shape[-1]), x.shape)
    for n in range(1, 60):
        term = term @ x / n
        total = total + term
    return total


def powers(x: np.ndarray, N: int | None = None, increasing: bool = False) -> np.ndarray:
    count = x.shape[-1] if N is None else N
    order = range(count) if increasing else range(count - 1, -1, -1)
    return np.stack([x**n for n in order], -1) if count else np.zeros((*x.shape, 0))


def power(x: np.ndarray, n: int) -> np.ndarray:
    one = np.broadcast_to(np.eye(x.shape[-1]), x.shape)
    base = np.stack([np.linalg.inv(m) for m in x.reshape(-1, *x.shape[-2:])]).reshape(x.shape) if n < 0 else x
    for _ in range(abs(n)):
        one = one @ base
    return one


def block(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """kron element by element."""
    n = max(x.ndim, y.ndim)
    a, b = (z.reshape((1,) * (n - z.ndim) + z.shape) for z in (x, y))
    out = np.zeros([i * j for i, j in zip(a.shape, b.shape, strict=True)])
    for place in np.ndindex(out.shape):
        i = tuple(k // size for k, size in zip(place, b.shape, strict=True))
        j = tuple(k % size for k, size in zip(place, b.shape, strict=True))
        out[place] = a[i] * b[j]
    return out


def accumulating(name: str, equation: str, samples: tuple[Any, ...], errors: tuple[Error, ...]) -> Case:
    return Case(
        name,
        getattr(tgc, name),
        added(equation),
        (
            *samples,
            *(S(*s.inputs, beta=0.5, alpha=-2.0) for s in samples[:1]),
            *(S(*s.inputs, beta=0) for s in samples[:1]),
        ),
        errors=errors,
        torch=of_torch(name),
    )


EQUATIONS: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = (
    ("ij,jk->ik", ((2, 3), (3, 2))),
    ("ij,jk", ((2, 3), (3, 2))),
    ("ba,ca", ((2, 3), (4, 3))),
    ("ii", ((3, 3),)),
    ("iij->ij", ((2, 2, 3),)),
    ("iji,jk->ik", ((2, 3, 2), (3, 2))),
    ("...ij,...jk->...ik", ((2, 1, 2, 3), (3, 3, 2))),
    ("...i,j...->ij...", ((2, 3), (2, 2))),
    ("i,j,k->kij", ((2,), (3,), (2,))),
    ("ij,ij->", ((2, 3), (2, 3))),
    ("ij,kl->", ((2, 3), (1, 2))),
    ("ijk->", ((2, 3, 2),)),
    ("bij,bjk,bk->bi", ((2, 2, 3), (2, 3, 2), (2, 2))),
    (",ij->ij", ((), (2, 3))),
    ("ij,jk->ik", ((0, 3), (3, 2))),
    ("ij,jk->ik", ((2, 0), (0, 2))),
)

CASES = (
    Case(
        "mm",
        tgc.mm,
        written("ij,jk->ik"),
        (S((2, 3), (3, 4)), S((1, 1), (1, 1)), S((0, 3), (3, 2)), S((2, 0), (0, 3))),
        torch=of_torch("mm"),
        errors=(
            Error(lambda: tgc.mm(tgc.ones(2, 3), tgc.ones(2, 3)), ShapeError, r"mm.*\(2, 3\).*3 columns times 2 rows"),
            Error(lambda: tgc.mm(tgc.ones(2, 3, 3), tgc.ones(3, 3)), ShapeError, r"mm.*operand 0.*2 axes.*matmul"),
            Error(lambda: tgc.mm(tgc.ones(2, 3), tgc.ones(3, 3).long()), DTypeError, "mm.*int64"),
            Error(lambda: tgc.mm(tgc.ones(2, 3), [[1.0]]), TypeError, "mm.*list"),
        ),
    ),
    Case(
        "bmm",
        tgc.bmm,
        written("bij,bjk->bik"),
        (S((2, 2, 3), (2, 3, 2)), S((0, 2, 3), (0, 3, 1)), S((1, 2, 0), (1, 0, 2))),
        torch=of_torch("bmm"),
        errors=(Error(lambda: tgc.bmm(tgc.ones(2, 2, 3), tgc.ones(1, 3, 2)), ShapeError, "bmm.*2 and 1 matrices"),),
    ),
    Case(
        "mv",
        tgc.mv,
        written("ij,j->i"),
        (S((2, 3), (3,)), S((0, 3), (3,)), S((2, 0), (0,))),
        torch=of_torch("mv"),
        errors=(Error(lambda: tgc.mv(tgc.ones(2, 3), tgc.ones(2)), ShapeError, "mv.*3 columns.*2 rows"),),
    ),
    *(
        Case(
            name,
            getattr(tgc, name),
            written("i,i->"),
            (S((3,), (3,)), S((1,), (1,)), S((0,), (0,))),
            torch=of_torch(name),
            errors=(Error(lambda: tgc.dot(tgc.ones(3), tgc.ones(1)), ShapeError, "dot.*same size"),),
        )
        for name in ("dot", "vdot")
    ),
    Case(
        "inner",
        tgc.inner,
        lambda x, y: x * y if x.ndim == 0 or y.ndim == 0 else np.tensordot(x, y, (-1, -1)),
        (S((2, 3), (4, 3)), S((3,), (3,)), S((3,), (2, 2, 3)), S((), (2, 3)), S((), ()), S((2, 0), (3, 0))),
        torch=of_torch("inner"),
        errors=(Error(lambda: tgc.inner(tgc.ones(3), tgc.ones(2, 1)), ShapeError, "inner.*last axes"),),
    ),
    *(
        Case(
            name,
            getattr(tgc, name),
            written("i,j->ij"),
            (S((2,), (3,)), S((1,), (1,)), S((0,), (2,))),
            torch=of_torch(name),
            integers=("int64",),
            errors=(Error(lambda: tgc.outer(tgc.ones(2, 2), tgc.ones(2)), ShapeError, "outer.*operand 0.*1 axes"),),
        )
        for name in ("outer", "ger")
    ),
    accumulating(
        "addmm",
        "ij,jk->ik",
        (S((2, 4), (2, 3), (3, 4)), S((4,), (2, 3), (3, 4)), S((), (2, 3), (3, 2)), S((2, 1), (2, 0), (0, 2))),
        (
            Error(lambda: tgc.addmm(tgc.ones(3, 2), tgc.ones(2, 2), tgc.ones(2, 2)), ShapeError, r"addmm.*\(3, 2\)"),
            Error(lambda: tgc.addmm(tgc.ones(4, 2, 2), tgc.ones(2, 2), tgc.ones(2, 2)), ShapeError, "addmm.*stretched"),
            Error(
                lambda: tgc.addmm(*[tgc.ones(2, 2).long()] * 3, alpha=0.5), DTypeError, "addmm.*integers.*int64.*0.5"
            ),
        ),
    ),
    accumulating("addmv", "ij,j->i", (S((2,), (2, 3), (3,)), S((1,), (2, 3), (3,)), S((2,), (2, 0), (0,))), ()),
    accumulating("addr", "i,j->ij", (S((2, 3), (2,), (3,)), S((3,), (2,), (3,)), S((), (0,), (3,))), ()),
    accumulating(
        "addbmm",
        "bij,bjk->ik",
        (S((2, 2), (3, 2, 4), (3, 4, 2)), S((2,), (3, 2, 1), (3, 1, 2)), S((2, 2), (0, 2, 3), (0, 3, 2))),
        (
            Error(
                lambda: tgc.addbmm(tgc.ones(2, 2), tgc.ones(2, 2, 3), tgc.ones(3, 3, 2)), ShapeError, "addbmm.*2 and 3"
            ),
        ),
    ),
    accumulating("baddbmm", "bij,bjk->bik", (S((3, 2, 2), (3, 2, 4), (3, 4, 2)), S((2,), (3, 2, 1), (3, 1, 2))), ()),
    Case(
        "einsum",
        lambda *x, equation: tgc.einsum(equation, *x),
        lambda *x, equation: np.einsum(equation, *x, optimize=False),
        tuple(S(*shapes, equation=equation) for equation, shapes in EQUATIONS),
        torch=lambda *x, equation: of_torch("einsum")(equation, *x),
        integers=("int64",),
        errors=(
            Error(lambda: tgc.einsum("ij,jk", tgc.ones(2, 2)), ShapeError, "einsum.*2 operands.*1 are given"),
            Error(lambda: tgc.einsum("ijk", tgc.ones(2, 2)), ShapeError, r"einsum.*operand 0.*2 axes.*names 3"),
            Error(lambda: tgc.einsum("i->j", tgc.ones(2)), ShapeError, "einsum.*'j'.*no operand"),
            Error(lambda: tgc.einsum("i->ii", tgc.ones(2)), ShapeError, "einsum.*'i' twice"),
            Error(lambda: tgc.einsum("ij,jk", tgc.ones(2, 3), tgc.ones(2, 3)), ShapeError, "einsum.*'j'.*size 3.*2"),
            Error(lambda: tgc.einsum("ii", tgc.ones(2, 3)), ShapeError, r"einsum.*'i' is repeated.*\[2, 3\]"),
            Error(lambda: tgc.einsum("i.j->", tgc.ones(2, 3)), ShapeError, "einsum.*letters"),
            Error(lambda: tgc.einsum("i,i", tgc.ones(2), tgc.ones(2).long()), DTypeError, "einsum.*int64"),
        ),
    ),
    Case(
        "tensordot",
        tgc.tensordot,
        lambda x, y, dims=2: np.tensordot(x, y, dims),
        (
            S((2, 3, 4), (3, 4, 2)),
            S((2, 3), (4,), dims=0),
            S((2, 3, 4), (4, 2), dims=([0, -1], [1, 0])),
            S((3,), (3,), dims=1),
            S((2, 0), (0, 2), dims=1),
        ),
        torch=of_torch("tensordot"),
        errors=(
            Error(
                lambda: tgc.tensordot(tgc.ones(2, 3), tgc.ones(3, 2)), ShapeError, "tensordot: axis 0.*axis 0.*equal"
            ),
            Error(lambda: tgc.tensordot(tgc.ones(2, 3), tgc.ones(4, 3), 1), ShapeError, "tensordot.*equal sizes"),
            Error(lambda: tgc.tensordot(tgc.ones(2), tgc.ones(2), 2), ShapeError, "tensordot.*dims = 2"),
            Error(
                lambda: tgc.tensordot(tgc.ones(2), tgc.ones(2), ([0], [])), ShapeError, "tensordot: 1 axes of a and 0"
            ),
            Error(lambda: tgc.tensordot(tgc.ones(2, 2), tgc.ones(2, 2), ([0, 0], [0, 1])), ShapeError, "twice"),
        ),
    ),
    Case(
        "bilinear",
        tgc.bilinear,
        lambda x, y, w, b=None: np.einsum("...i,oij,...j->...o", x, w, y) + (0 if b is None else b),
        (S((2, 3), (2, 4), (2, 3, 4), (2,)), S((3,), (2,), (1, 3, 2)), S((0, 3), (0, 2), (2, 3, 2), (2,))),
        torch=lambda *x: of_torch("bilinear")(*x) if len(x) == 4 else of_torch("bilinear")(*x, None),
        errors=(
            Error(
                lambda: tgc.bilinear(tgc.ones(2, 3), tgc.ones(2, 3), tgc.ones(2, 3, 4)),
                ShapeError,
                r"bilinear.*\(2, 3, 4\)",
            ),
            Error(
                lambda: tgc.bilinear(tgc.ones(2, 3), tgc.ones(2, 3), tgc.ones(2, 3, 3), tgc.ones(3)),
                ShapeError,
                r"bilinear.*bias.*\(3,\)",
            ),
        ),
    ),
    Case(
        "kron",
        tgc.kron,
        block,
        (S((2, 3), (3, 2)), S((2,), (2, 2)), S((), (3,)), S((2, 1, 2), (2, 2)), S((0, 2), (2, 2))),
        torch=of_torch("kron"),
        integers=("int64",),
    ),
    Case(
        "cross",
        tgc.cross,
        lambda x, y, dim=None: np.cross(
            x, y, axis=next(n for n, s in enumerate(x.shape) if s == 3) if dim is None else dim
        ),
        (S((2, 3), (2, 3)), S((3, 2, 3), (3, 2, 3)), S((3, 3), (3, 3), dim=-1), S((1, 3), (2, 3), dim=1)),
        torch=of_torch("cross"),
        integers=("int64",),
        errors=(
            Error(lambda: tgc.cross(tgc.ones(2), tgc.ones(2)), ShapeError, r"cross: no axis of \(2,\) has size 3"),
            Error(lambda: tgc.linalg.cross(tgc.ones(3, 2), tgc.ones(3, 2)), ShapeError, "cross.*axis -1.*size 3"),
            Error(lambda: tgc.linalg.cross(tgc.ones(2, 3), tgc.ones(3)), ShapeError, "cross.*number of axes"),
        ),
    ),
    Case(
        "mul",
        tgc.linalg.vecdot,
        lambda x, y, dim=-1: (x * y).sum(dim),
        (S((2, 3), (2, 3)), S((2, 3), (3,)), S((2, 3, 2), (1, 3, 1), dim=1), S((2, 3), (2, 1), dim=0), S((0,), (0,))),
        torch=of_torch("linalg.vecdot"),
        errors=(Error(lambda: tgc.linalg.vecdot(tgc.ones(()), tgc.ones(())), ShapeError, "vecdot.*axis"),),
    ),
    *(
        Case(
            name,
            call,
            chain,
            samples,
            torch=torch,
            errors=(
                Error(lambda: tgc.linalg.multi_dot([tgc.ones(2)]), ShapeError, "multi_dot.*two.*got 1"),
                Error(lambda: tgc.linalg.multi_dot([tgc.ones(2), tgc.ones(2), tgc.ones(2)]), ShapeError, "tensor 1"),
                Error(lambda: tgc.linalg.multi_dot([tgc.ones(2, 3)] * 2), ShapeError, "multi_dot.*3 columns times 2"),
                Error(lambda: tgc.chain_matmul(tgc.ones(2)), ShapeError, "chain_matmul.*2 axes"),
            ),
        )
        for name, call, torch, samples in (
            (
                "chain_matmul",
                tgc.chain_matmul,
                of_torch("chain_matmul"),
                (S((2, 3), (3, 4), (4, 1)), S((2, 3), (3, 2))),
            ),
            (
                "matmul",
                lambda *x: tgc.linalg.multi_dot(x),
                lambda *x: of_torch("linalg.multi_dot")(x),
                (S((2, 3), (3, 1), (1, 4), (4, 2)), S((3,), (3, 2), (2, 2)), S((3,), (3, 2), (2,)), S((3,), (3,))),
            ),
        )
    ),
    Case(
        "matrix_power",
        on(tgc.matrix_power, regular),
        on(power, regular),
        (*(S((2, 2), args=(n,)) for n in (0, 1, 2, 5, -1, -2)), S((2, 2, 2), args=(3,))),
        torch=on(of_torch("matrix_power"), regular),
        errors=(
            Error(lambda: tgc.matrix_power(tgc.ones(2, 3), 2), ShapeError, "matrix_power.*square.*2 x 3"),
            Error(lambda: tgc.matrix_power(tgc.ones(2, 2), -1), tgc.linalg.LinAlgError, "singular"),
        ),
    ),
    Case(
        "matrix_exp",
        tgc.matrix_exp,
        exponential,
        (S((3, 3)), S((2, 2, 2)), S((1, 1)), S((0, 0)), S((0, 2, 2))),
        torch=of_torch("matrix_exp"),
        errors=(Error(lambda: tgc.matrix_exp(tgc.eye(2).long()), DTypeError, "matrix_exp.*int64.*float"),),
    ),
    Case(
        "vander",  # PyTorch's own has no gradient: it changes what it needs in place
        tgc.vander,
        powers,
        (S((3,)), S((2,), N=4), S((3,), N=2, increasing=True), S((2,), N=0), S(exactly([0.0, 1.0]), N=3)),
        integers=("int64",),
        errors=(
            Error(lambda: tgc.vander(tgc.ones(2, 2)), ShapeError, "vander.*1 axes"),
            Error(lambda: tgc.linalg.vander(tgc.ones(2, 1)), ShapeError, "vander.*greater than 1, got 1"),
        ),
    ),
    Case(
        "cat",
        tgc.linalg.vander,
        lambda x, N=None: powers(x, N, increasing=True),
        (S((2, 3)), S((2, 2), N=3)),
        torch=of_torch("linalg.vander"),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_einsum_with_lists_of_integers(backend: str) -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    a, b = tgc.tensor(x), tgc.tensor(y)
    np.testing.assert_allclose(tgc.einsum(a, [0, 1], b, [1, 2], [0, 2]).array, x @ y)
    np.testing.assert_allclose(tgc.einsum(a, [..., 1], b, [1, 2], [2, ...]).array, (x @ y).T)
    np.testing.assert_allclose(
        tgc.einsum(b, [51, 0], a, [1, 51]).array, (x @ y).T
    )  # implicit: in order of the integers
    np.testing.assert_allclose(tgc.einsum("ij,jk", [a, b]).array, x @ y)


def test_einsum_orders_the_result_by_the_alphabet(backend: str) -> None:
    x = tgc.randn(2, 3, 4)
    assert tgc.einsum("zaB", x).shape == (4, 3, 2)
    assert tgc.einsum("...z", x).shape == (2, 3, 4)
    assert tgc.einsum("b...a", x).shape == (3, 4, 2)


def test_einsum_broadcasts_axes_of_size_1(backend: str) -> None:
    x, y = np.arange(3.0)[:, None], np.arange(6.0).reshape(2, 3)
    assert tgc.einsum("ij,jk->ik", tgc.tensor(x), tgc.tensor(y)).tolist() == (x * y.sum(0)).tolist()
    assert tgc.einsum("ij,kj->j", tgc.tensor(x), tgc.tensor(y)).tolist() == (x.sum(0) * y.sum(0)).tolist()


def test_beta_0_does_not_look_at_the_input(backend: str) -> None:
    """PyTorch's rule: what is multiplied by 0 may be memory that nobody has written."""
    bad, one = tgc.full((2, 2), float("nan")), tgc.eye(2)
    assert tgc.addmm(bad, one, one, beta=0).tolist() == [[1, 0], [0, 1]]
    assert tgc.baddbmm(bad, one[None], one[None], beta=0).tolist() == [[[1, 0], [0, 1]]]
    assert np.isnan(tgc.addmm(bad, one, one, beta=1e-30).array).all()


def test_integer_products_stay_integers(backend: str) -> None:
    x = tgc.tensor([[1, 2], [3, 4]])
    assert tgc.addmm(x, x, x, beta=2, alpha=3).tolist() == [[23, 34], [51, 74]]
    assert tgc.tensordot(x, x, 2).item() == 30
    assert tgc.vander(tgc.tensor([2, 3])).dtype == np.int64


def test_multi_dot_takes_the_cheap_order(backend: str) -> None:
    """(1000, 2) (2, 1000) (1000, 1): from the left it would need a matrix of 1000 x 1000."""
    seen = []
    x, y, z = tgc.ones(1000, 2), tgc.ones(2, 1000), tgc.ones(1000, 1)
    original = tgc.ops.products.matmul
    try:
        tgc.ops.products.matmul = lambda a, b: seen.append((a.shape, b.shape)) or original(a, b)
        tgc.linalg.multi_dot([x, y, z])
    finally:
        tgc.ops.products.matmul = original
    assert [tuple(map(tuple, pair)) for pair in seen] == [((2, 1000), (1000, 1)), ((1000, 2), (2, 1))]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 40.0])
def test_matrix_exp_of_small_and_large_matrices(backend: str, scale: float) -> None:
    """A rotation by any angle; each matrix of a stack has its own scaling."""
    turn = tgc.tensor([[[0.0, -scale], [scale, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], dtype="float64")
    c, s = np.cos(scale), np.sin(scale)
    np.testing.assert_allclose(tgc.matrix_exp(turn).array, [[[c, -s], [s, c]], [[1, 0], [0, 1]]], rtol=0, atol=1e-13)


def test_powers_of_integer_matrices(backend: str) -> None:
    x = tgc.tensor([[1, 1], [1, 0]])
    assert tgc.linalg.matrix_power(x, 10).tolist() == [[89, 55], [55, 34]]
    assert tgc.linalg.matrix_power(x, 1).dtype == tgc.linalg.matrix_power(x, 0).dtype == "int64"
    with pytest.raises(DTypeError, match="int64"):
        tgc.linalg.matrix_power(x, -1)


def test_types_of_integers(backend: str, torch: Any) -> None:
    """Axes of size 1 that meet longer ones are summed first, in the type of the operands; powers are int64."""
    x, y = np.ones((1, 1, 1), "uint8"), np.full((2, 1, 2), 3, "uint8")
    dims = ([0, 1], [2, 0])
    found, wanted = tgc.tensordot(tgc.tensor(x), tgc.tensor(y), dims), torch.tensordot(torch.tensor(x), torch.tensor(y), dims)
    assert (found.tolist(), found.dtype) == (wanted.tolist(), "uint8")
    z = tgc.tensor([[100, 200]], dtype="uint8")
    assert [tgc.einsum(rule, z, z).tolist() for rule in ("ij,kj->k", "ik,ij->j")] == [[50000], [30000, 60000]]
    assert tgc.linalg.vander(tgc.tensor([3, 20], dtype="uint8"), N=3).tolist() == [[1, 3, 9], [1, 20, 400]]
