"""tensor.py: making tensors, what they say of themselves, conversion, printing, methods against PyTorch's."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.errors import DeviceError, DTypeError, GraphError, ShapeError

# ---- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, "int64"),
        (1.5, "float32"),
        (True, "bool"),
        ([1, 2], "int64"),
        ([1, 2.0], "float32"),
        ([[True], [False]], "bool"),
        ([], "float32"),
        ([[]], "float32"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        (np.float64(2), "float64"),
        (np.int32(2), "int32"),
        ((1, 2), "int64"),
        ([np.float32(1.0)], "float32"),
    ],
)
def test_types_of_data(data: Any, dtype: str) -> None:
    x = tgc.tensor(data)
    assert x.dtype == dtype
    assert x.shape == np.shape(data)
    assert tgc.tensor(data, dtype="float64").dtype == np.float64


def test_data_of_tensors_and_lists_of_tensors() -> None:
    x = tgc.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    assert tgc.tensor(x).dtype == np.float64
    assert not tgc.tensor(x).requires_grad
    assert tgc.tensor([x[0].detach(), x[1].detach()]).tolist() == [1, 2]
    assert tgc.tensor([[tgc.tensor(1), 2]]).tolist() == [[1, 2]]


def test_who_copies() -> None:
    a = np.ones(3)
    assert not np.shares_memory(tgc.tensor(a).array, a)
    assert np.shares_memory(tgc.from_numpy(a).array, a)
    assert np.shares_memory(tgc.as_tensor(a).array, a)
    x = tgc.tensor(a)
    assert tgc.as_tensor(x) is x
    assert not np.shares_memory(tgc.tensor(x).array, x.array)
    assert np.shares_memory(x.numpy(), x.array)
    assert np.shares_memory(np.asarray(x), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    assert not np.shares_memory(x.to("float64", copy=True).array, x.array)


FILLED: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "zeros": (lambda t: t.zeros(2, 3), [[0, 0, 0]] * 2),
    "ones": (lambda t: t.ones((2,)), [1, 1]),
    "full": (lambda t: t.full((2,), 7), [7, 7]),
    "full float": (lambda t: t.full((2,), 0.5), [0.5, 0.5]),
    "full bool": (lambda t: t.full((1,), True), [True]),
    "eye": (lambda t: t.eye(2, 3), [[1, 0, 0], [0, 1, 0]]),
    "arange": (lambda t: t.arange(4), [0, 1, 2, 3]),
    "arange step": (lambda t: t.arange(5, 0, -2), [5, 3, 1]),
    "arange float": (lambda t: t.arange(0, 1, 0.25), [0, 0.25, 0.5, 0.75]),
    "linspace": (lambda t: t.linspace(0, 1, 5), [0, 0.25, 0.5, 0.75, 1]),
    "zeros_like": (lambda t: t.zeros_like(t.ones(2).int()), [0, 0]),
    "ones_like": (lambda t: t.ones_like(t.zeros(2).double()), [1, 1]),
    "full_like": (lambda t: t.full_like(t.zeros(2), 3), [3, 3]),
    "0-d": (lambda t: t.zeros(()), 0),
    "empty": (lambda t: t.zeros(0, 2), []),
}


@pytest.mark.parametrize("name", FILLED)
def test_filled_as_in_torch(name: str, torch: Any) -> None:
    make, wanted = FILLED[name]
    ours, theirs = make(tgc), make(torch)
    assert ours.tolist() == theirs.tolist() == wanted
    assert ours.shape == tuple(theirs.shape)
    assert f"torch.{ours.dtype}" == str(theirs.dtype)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tgc.tensor("a"), DTypeError, "tensor: data of type"),
        (lambda: tgc.tensor([[1], [1, 2]]), ShapeError, "different lengths"),
        (lambda: tgc.from_numpy([1]), TypeError, "numpy.ndarray, got list"),
        (lambda: tgc.from_numpy(np.ones(1, complex)), DTypeError, "complex128"),
        (lambda: tgc.zeros(2.5), TypeError, r"integers, got 2\.5"),
        (lambda: tgc.zeros(True), TypeError, "True"),
        (lambda: tgc.ones(2, dtype="complex64"), DTypeError, "complex64"),
        (lambda: tgc.arange(0, 3, 0), ValueError, "step"),
        (lambda: tgc.set_default_dtype("int64"), DTypeError, "floating point"),
        (lambda: tgc.device("tpu"), DeviceError, "'tpu'"),
        (lambda: tgc.ones(1, dtype="int64", requires_grad=True), DTypeError, "floating point"),
    ],
)
def test_errors_in_making(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_default_dtype() -> None:
    assert tgc.get_default_dtype() == np.float32
    tgc.set_default_dtype("float64")
    try:
        assert (
            tgc.tensor(1.5).dtype == tgc.ones(1).dtype == tgc.rand(1).dtype == (tgc.tensor([1]) / 2).dtype == np.float64
        )
    finally:
        tgc.set_default_dtype("float32")


# ---- what it is ------------------------------------------------------------------------------------------------------


def test_properties(torch: Any) -> None:
    for make in (lambda t: t.ones(2, 3), lambda t: t.ones(2, 3).T, lambda t: t.tensor(1.0), lambda t: t.ones(0, 2)):
        ours, theirs = make(tgc), make(torch)
        assert (ours.shape, ours.ndim, ours.dim(), ours.numel(), ours.nelement()) == (
            tuple(theirs.shape),
            theirs.ndim,
            theirs.dim(),
            theirs.numel(),
            theirs.nelement(),
        )
        assert (ours.size(), ours.element_size(), ours.is_contiguous()) == (
            tuple(theirs.size()),
            theirs.element_size(),
            theirs.is_contiguous(),
        )
    x = tgc.ones(2, 3)
    assert (x.size(0), x.size(-1), len(x)) == (2, 3, 2)
    assert x.device == tgc.device("cpu") == "cpu"
    assert not x.is_cuda
    assert x.is_floating_point()
    assert not x.long().is_floating_point()


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("float", "float32"),
        ("double", "float64"),
        ("half", "float16"),
        ("long", "int64"),
        ("int", "int32"),
        ("byte", "uint8"),
        ("bool", "bool"),
    ],
)
def test_conversions(backend: str, method: str, dtype: str) -> None:
    x = tgc.tensor([0.0, 1.0, 2.7])
    y = getattr(x, method)()
    assert y.dtype == dtype
    assert y.tolist() == np.array([0.0, 1.0, 2.7], np.float32).astype(dtype).tolist()
    assert getattr(y, method)() is y
    assert x.to(dtype).tolist() == x.type(dtype).tolist() == y.tolist()
    assert x.to(y).dtype == x.type_as(y).dtype == dtype


def test_numbers() -> None:
    assert tgc.tensor([[2.5]]).item() == 2.5
    assert float(tgc.tensor(2)) == 2.0
    assert int(tgc.tensor(2.7)) == 2
    assert bool(tgc.tensor([0.0])) is False
    assert [10, 20, 30][tgc.tensor(1)] == 20
    assert f"{tgc.tensor(2.345):.1f}" == "2.3"
    assert 2.0 in tgc.tensor([1.0, 2.0])
    assert 3.0 not in tgc.tensor([1.0, 2.0])


def test_comparison_and_hash() -> None:
    x, y = tgc.tensor([1, 2]), tgc.tensor([1, 3])
    assert (x == y).tolist() == [True, False]
    assert (x != 1).tolist() == [False, True]
    assert (x == np.array([1, 3])).tolist() == [True, False]
    assert (x == "a") is False
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert len({x, y, x}) == 2
    assert {x: "first"}[x] == "first"
    assert ((x > 1) & (y > 1)).tolist() == [False, True]
    assert ((x > 1) | (y < 2)).tolist() == [True, True]
    assert (~(x > 1)).tolist() == [True, False]
    assert (x > 1).any().item() is True
    assert (x > 1).all().item() is False


def test_numpy_does_not_take_over(backend: str) -> None:
    """array * tensor is a Tensor, and keeps its graph."""
    x = tgc.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    for y in (
        np.array([3.0, 4.0]) * x,
        np.array([3.0, 4.0]) + x,
        np.float64(2.0) * x,
        np.float64(2.0) - x,
        np.ones(2) / x,
    ):
        assert isinstance(y, tgc.Tensor)
        assert y.requires_grad
    assert np.asarray(x.detach()).tolist() == [1, 2]
    assert np.asarray(x.detach(), dtype=np.float32).dtype == np.float32


# ---- copying, printing -----------------------------------------------------------------------------------------------


def test_deepcopy() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    y = copy.deepcopy({"a": x, "b": x})
    assert y["a"] is y["b"]
    assert y["a"].requires_grad
    assert not np.shares_memory(y["a"].array, x.array)
    assert not np.shares_memory(y["a"].grad.array, x.grad.array)
    with pytest.raises(GraphError, match="only leaves"):
        copy.deepcopy(x * 2)


def test_never_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(tgc.ones(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.tensor([1.0, 2.5]),
        lambda t: t.tensor([1, 2]),
        lambda t: t.tensor(True),
        lambda t: t.tensor([1.0], dtype=t.float64),
        lambda t: t.tensor([1.0], requires_grad=True),
        lambda t: t.tensor(3),
        lambda t: t.tensor([]),
    ],
)
def test_printing_as_in_torch(make: Callable[..., Any], torch: Any) -> None:
    theirs = repr(make(torch)).replace("torch.", "").replace("2.5000", "2.5").replace("1.0000", "1. ")
    assert repr(make(tgc)) == theirs


def test_printing_names_the_types_that_are_not_the_default(torch: Any) -> None:
    makes = [lambda t: t.tensor([1.25], dtype=t.float64), lambda t: t.tensor([1.25], dtype=t.float32)]
    try:
        for package in (tgc, torch):
            package.set_default_dtype(package.float64)
        for make in makes:
            assert repr(make(tgc)) == repr(make(torch)).replace("torch.", "").replace("1.2500", "1.25")
    finally:
        for package in (tgc, torch):
            package.set_default_dtype(package.float32)


def test_printing_says_where_it_comes_from() -> None:
    assert repr(tgc.tensor([1.0], requires_grad=True) * 2) == "tensor([2.], grad_fn=<mulBackward>)"
    assert len(repr(tgc.zeros(1000, 1000))) < 1000
    assert "size=(0, 3)" in repr(tgc.zeros(0, 3))


# ---- methods ---------------------------------------------------------------------------------------------------------

METHODS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (1 + x) * (2 - x) / (x + 3) - 2 / (x + 5) + (-x) ** 2 + 2**x + abs(x - 1.5),
    "named": lambda x: x.add(x, alpha=2).sub(1, alpha=0.5).mul(2).div(3).pow(2).square().neg().abs().sqrt(),
    "functions": lambda x: x.exp().log().tanh().sigmoid().relu() + x.sign(),
    "extrema": lambda x: x.maximum(x * 2 - 1).minimum(x + 0.3),
    "where": lambda x: x.where(x > 1, -x).masked_fill(x > 3, 0.5),
    "comparison": lambda x: (
        x.eq(1).int() + x.ne(1).int() + x.lt(2).int() + x.le(2).int() + x.gt(2).int() + x.ge(2).int()
    ),
    "matrix": lambda x: x.matmul(x.mT) @ x,
    "soft": lambda x: x.softmax(0) + x.log_softmax(-1),
    "reduce": lambda x: x.sum() + x.mean(0) + x.amax(1, keepdim=True) + x.max() + x.max(0)[0] + x.argmax(),
    "shape": lambda x: (
        x.reshape(3, 2).view(-1).unsqueeze(0).squeeze().flatten().expand(2, 6).permute(1, 0).transpose(0, 1).t().T
    ),
    "index": lambda x: x[0, 1:] + x[:, :2][1] + x[-1, ::2],
    "gather": lambda x: x.gather(1, (x > 2).long()) + x.scatter_add(0, (x > 2).long(), x),
    "expand_as": lambda x: x[0].expand_as(x) + x.clone() + x.contiguous() + x.detach(),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_as_in_torch(backend: str, torch: Any, name: str) -> None:
    values = np.arange(6.0).reshape(2, 3) * 0.7 + 0.2
    ours, theirs = tgc.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y = METHODS[name](ours)
    z = METHODS[name](theirs)
    np.testing.assert_allclose(y.detach().array, z.detach().numpy(), rtol=1e-12)
    assert y.requires_grad == z.requires_grad
    if y.requires_grad:
        g = np.random.default_rng(0).standard_normal(y.shape)
        y.backward(tgc.tensor(g))
        z.backward(torch.tensor(g))
        np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_random_fill_in_place() -> None:
    g = tgc.Generator().manual_seed(1)
    x = tgc.empty(1000).uniform_(2.0, 3.0, generator=g)
    assert 2 <= x.array.min() < x.array.max() < 3
    y = tgc.empty(1000).normal_(5.0, 0.1, generator=g)
    assert abs(y.mean().item() - 5) < 0.05
    assert tgc.rand_like(y).shape == tgc.randn_like(y).shape == tgc.empty_like(y).shape == (1000,)


def test_every_public_method_has_a_docstring() -> None:
    for name, member in inspect.getmembers(tgc.Tensor):
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert (member.__doc__ or "").strip(), name


def test_data_can_be_replaced() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    x.data = tgc.tensor([3.0, 4.0])
    assert x.tolist() == [3, 4]
    assert x.requires_grad
    with pytest.raises(DTypeError, match=r"int64.*float\(\)"):
        x.data = tgc.tensor([1, 2])


def test_data_of_another_shape_and_a_graph_from_before() -> None:
    """A gradient of the new shape for a result of the old would be made up."""
    x = tgc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.sum()
    try:
        x.data = tgc.ones(5)
        y.backward()
    except (GraphError, ShapeError):
        return
    assert x.grad is None or x.grad.shape == (3,)


def test_numpy_functions_find_the_method() -> None:
    x = tgc.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert np.mean(x).item() == 3
    assert np.sum(x, axis=0).tolist() == [4, 8]
    with pytest.raises(TypeError, match=r"sum: out= is not there.*copy_"):
        x.sum(out=x)


def test_sizes_are_no_data() -> None:
    with pytest.raises(TypeError, match=r"requires_grad.*tgc\.empty\(2, 3\)"):
        tgc.Tensor(2, 3)
