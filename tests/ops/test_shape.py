"""ops/shape.py: other shapes, other orders of axes, stretched axes, windows, strides."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S
from tests.ops.moving import INTEGERS, each_place, same
from tinygrad_course.errors import OperandError, ShapeError
from tinygrad_course.ops.shape import unfold


def reordered(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(x.ravel().tolist(), x.dtype).reshape(shape)


def axes_moved(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """y[i_0, i_1, ...] = x[...] with i_k at axis dims[k] of x."""
    out = np.empty([x.shape[d] for d in dims], x.dtype)
    for place in np.ndindex(out.shape):
        source = [0] * x.ndim
        for axis, at in zip(dims, place, strict=True):
            source[axis] = at
        out[place] = x[tuple(source)]
    return out


def windows(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    starts = range(0, x.shape[dim] - size + 1, step)
    parts = [np.moveaxis(np.take(x, range(k, k + size), dim), dim, -1) for k in starts]
    return np.stack(parts, dim % x.ndim)


def strided(x: np.ndarray, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> np.ndarray:
    memory = x.ravel()
    return each_place(size, lambda *at: memory[offset + sum(i * s for i, s in zip(at, stride, strict=True))], x.dtype)


def strided_scatter(
    x: np.ndarray, src: np.ndarray, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0
) -> np.ndarray:
    memory = x.copy().ravel()
    for at in np.ndindex(size):
        memory[offset + sum(i * s for i, s in zip(at, stride, strict=True))] = src[at]
    return memory.reshape(x.shape)


def in_order(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """What looks at memory is tried on memory in order."""
    return function(x.contiguous(), *args, **kwargs)


def squeezed(x: np.ndarray, dim: Any = None) -> np.ndarray:
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    gone = [d % x.ndim for d in dims if x.shape[d] == 1]
    return x.reshape([n for axis, n in enumerate(x.shape) if axis not in gone])


def atleast_3d(x: np.ndarray) -> np.ndarray:
    return x.reshape({0: (1, 1, 1), 1: (1, -1, 1), 2: (*x.shape, 1)}.get(x.ndim, x.shape))


CASES = (
    Case(
        "reshape",
        tgc.reshape,
        reordered,
        tuple(
            S(a, args=(b,))
            for a, b in [
                ((2, 3), (3, 2)),
                ((2, 3), (6,)),
                ((4,), (2, 2)),
                ((), (1,)),
                ((1,), ()),
                ((2, 0), (0, 5)),
                ((2, 3, 4), (6, 4)),
                ((2, 3, 4), (2, 12)),
                ((1, 1), ()),
            ]
        ),
        torch=lambda x, s: x.reshape(s),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3).reshape(4, 2), ShapeError, r"reshape.*\(2, 3\) has 6.*\(4, 2\) would have 8"),
            Error(lambda: tgc.ones(2, 3).reshape(4, -1), ShapeError, r"reshape.*\(2, 3\).*6.*\(4, -1\)"),
            Error(lambda: tgc.ones(2, 3).reshape(-1, -1), ShapeError, r"reshape.*-1"),
            Error(lambda: tgc.ones(0, 3).reshape(0, -1), ShapeError, r"reshape.*-1"),
            Error(lambda: tgc.ones(2, 3).reshape(-2, -3), ShapeError, "reshape.*negative"),
            Error(lambda: tgc.ones(2, 3).flatten(1, 0), ShapeError, "flatten.*start_dim 1.*end_dim 0"),
            Error(lambda: tgc.ones(2, 3).unsqueeze(4), ShapeError, "unsqueeze.*dim 4"),
            Error(lambda: tgc.ones(2, 3).T.view(6), ShapeError, r"view.*\(3, 2\).*reshape\(\)"),
        ),
    ),
    Case(
        "permute",
        tgc.permute,
        axes_moved,
        tuple(
            S(a, args=(b,))
            for a, b in [
                ((2, 3), (1, 0)),
                ((2, 3, 4), (2, 0, 1)),
                ((2, 3, 4), (1, 2, 0)),
                ((2, 3, 4), (0, 2, 1)),
                ((), ()),
                ((3,), (0,)),
                ((2, 0, 3), (2, 1, 0)),
                ((2, 1, 3, 2), (3, 1, 0, 2)),
            ]
        ),
        torch=lambda x, d: x.permute(d),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: tgc.ones(2, 3).permute(0, 0), ShapeError, r"permute.*\(0, 0\).*2 axes.*once"),
            Error(lambda: tgc.ones(2, 3).permute(0), ShapeError, "permute.*each of the 2 axes"),
            Error(lambda: tgc.ones(2, 3).transpose(0, 2), ShapeError, "transpose.*dim 2"),
            Error(lambda: tgc.ones(2, 3, 4).t(), ShapeError, r"t: expects at most 2 axes.*\(2, 3, 4\)"),
        ),
    ),
    same(
        "view",
        reordered,
        (S((2, 3), args=((3, 2),)), S((2, 3, 4), args=((2, 12),)), S((), args=((1, 1),)), S((0, 2), args=((3, 0),))),
        arrange=in_order,
        view=True,
        errors=(
            Error(lambda: tgc.view(tgc.ones(2, 3).T, 6), ShapeError, r"view.*\(3, 2\).*\(6,\).*reshape\(\)"),
            Error(lambda: tgc.view(tgc.ones(2, 3), 2, 3, size=(6,)), OperandError, "view: size was given twice"),
            Error(lambda: tgc.view(tgc.ones(2, 3), 2.5), OperandError, r"sizes are integers, got \(2\.5,\)"),
        ),
    ),
    same("view_copy", reordered, (S((2, 3), args=((3, 2),)), S((4,), args=((4,),))), arrange=in_order),
    same("view_as", lambda x, y: x.reshape(y.shape), (S((2, 3), (3, 2)), S((4,), (2, 2))), arrange=in_order, view=True),
    same("reshape_as", lambda x, y: x.reshape(y.shape), (S((2, 3), (6,)), S((0, 2), (0,)), S((1,), ())), view=True),
    same(
        "flatten",
        lambda x, a=0, b=-1: x.reshape(
            (1,)
            if not x.ndim
            else (*x.shape[:a], int(np.prod(x.shape[a : b % x.ndim + 1])), *x.shape[b % x.ndim + 1 :])
        ),
        (S((2, 3, 2)), S((2, 3, 2), args=(1,)), S((2, 3, 2), args=(0, -2)), S(()), S((2, 0, 3))),
        view=True,
        errors=(Error(lambda: tgc.flatten(tgc.ones(2, 3), 1, 0), ShapeError, "flatten.*start_dim 1.*end_dim 0"),),
    ),
    same("ravel", lambda x: x.reshape(-1), (S((2, 3)), S(()), S((0, 3))), view=True),
    same(
        "unflatten",
        lambda x, dim, sizes: x.reshape(
            (
                *x.shape[: dim % x.ndim],
                *(x.shape[dim] // 2 if n == -1 else n for n in sizes),
                *x.shape[dim % x.ndim + 1 :],
            )
        ),
        (S((2, 6), args=(1, (2, 3))), S((4, 2), args=(0, (2, -1))), S((3, 4), args=(-1, (-1, 2)))),
        view=True,
        errors=(
            Error(lambda: tgc.unflatten(tgc.ones(6), 0, (4, 2)), ShapeError, r"unflatten: sizes \(4, 2\).*size 6"),
            Error(lambda: tgc.unflatten(tgc.ones(6), 0, (4, -1)), ShapeError, r"unflatten: sizes \(4, -1\).*size 6"),
        ),
    ),
    same(
        "unsqueeze",
        np.expand_dims,
        (S((2, 3), args=(0,)), S((2, 3), args=(-1,)), S((), args=(0,))),
        view=True,
        errors=(Error(lambda: tgc.unsqueeze(tgc.ones(2, 3), 4), ShapeError, "unsqueeze.*dim 4"),),
    ),
    same("unsqueeze_copy", np.expand_dims, (S((2, 3), args=(1,)),)),
    same(
        "squeeze",
        squeezed,
        (S((1, 3, 1)), S((1, 3, 1), args=(0,)), S((1, 3, 1), args=(-2,)), S((1, 3, 1), args=((0, 2),)), S((1, 1))),
        view=True,
    ),
    same("squeeze_copy", squeezed, (S((1, 3, 1)), S((2, 3), args=(0,)))),
    same("atleast_1d", np.atleast_1d, (S(()), S((2, 3))), view=True),
    same("atleast_2d", np.atleast_2d, (S(()), S((3,)), S((0,)), S((1, 2, 1))), view=True),
    same("atleast_3d", atleast_3d, (S(()), S((3,)), S((2, 3)), S((1, 2, 1, 2))), view=True),
    same("permute_copy", axes_moved, (S((2, 3, 2), args=((2, 0, 1),)),)),
    same(
        "transpose", np.swapaxes, (S((2, 3, 4), args=(0, 2)), S((2, 3), args=(-1, 0)), S((2,), args=(0, 0))), view=True
    ),
    same("transpose_copy", np.swapaxes, (S((2, 3), args=(0, 1)), S((2,), args=(0, 0)))),
    same("swapdims", np.swapaxes, (S((2, 3, 4), args=(0, -1)),), view=True),
    same("swapaxes", np.swapaxes, (S((2, 3, 4), args=(1, 2)),), view=True),
    same("t", np.transpose, (S((2, 3)), S((3,)), S(())), view=True),
    same("t_copy", np.transpose, (S((2, 3)), S((3,)))),
    same(
        "adjoint",
        lambda x: np.swapaxes(x, -1, -2),
        (S((2, 3)), S((2, 3, 1))),
        view=True,
        errors=(Error(lambda: tgc.adjoint(tgc.ones(3)), ShapeError, r"adjoint.*\(3,\)"),),
    ),
    same(
        "movedim",
        np.moveaxis,
        (S((2, 3, 4), args=(0, -1)), S((2, 3, 4), args=((0, 2), (2, 0))), S((2, 3, 1), args=((2, 0), (0, 1)))),
        view=True,
        errors=(
            Error(lambda: tgc.movedim(tgc.ones(2, 3), (0, 1), 0), ShapeError, "movedim.*equally many"),
            Error(lambda: tgc.movedim(tgc.ones(2, 3), (0, 0), (0, 1)), ShapeError, "movedim.*each once"),
        ),
    ),
    same("moveaxis", np.moveaxis, (S((2, 3, 4), args=(1, 0)),), view=True),
    same(
        "flip",
        np.flip,
        (S((2, 3), args=((0,),)), S((2, 3, 2), args=((0, -1),)), S((2, 3), args=((),)), S((0, 2), args=((0,),))),
        half=True,
        errors=(
            Error(lambda: tgc.flip(tgc.ones(2, 3), (0, -2)), ShapeError, r"flip.*twice.*\(0, 0\)"),
            Error(lambda: tgc.flip(tgc.ones(2, 3), 2), ShapeError, "flip.*dim 2"),
        ),
    ),
    same(
        "fliplr",
        np.fliplr,
        (S((2, 3)),),
        errors=(Error(lambda: tgc.fliplr(tgc.ones(2)), ShapeError, r"fliplr.*two axes.*\(2,\)"),),
    ),
    same(
        "flipud",
        np.flipud,
        (S((2, 3)), S((3,))),
        errors=(Error(lambda: tgc.flipud(tgc.ones(())), ShapeError, "flipud.*one axis"),),
    ),
    same(
        "rot90",
        np.rot90,
        tuple(S((2, 3, 2), args=(k, dims)) for k, dims in [(1, (0, 1)), (-1, (1, 2)), (2, (0, 2)), (4, (0, 1))]),
        errors=(Error(lambda: tgc.rot90(tgc.ones(2, 3), 1, (0, -2)), ShapeError, r"rot90.*\(0, -2\).*different"),),
    ),
    same(
        "roll",
        np.roll,
        (
            S((2, 3), args=(1,)),
            S((2, 3), args=(-1, 1)),
            S((2, 3), args=((1, 5), (0, 1))),
            S((2, 3), args=((1, 1), (1, 1))),
            S((3,), args=(3, 0)),
            S((0, 3), args=(1, 0)),
        ),
        errors=(Error(lambda: tgc.roll(tgc.ones(2, 3), (1, 2), 0), ShapeError, "roll: 2 shifts for 1 dims"),),
    ),
    same(
        "broadcast_to",
        lambda x, shape: np.broadcast_to(
            x, [x.shape[k] if n == -1 else n for k, n in enumerate(shape, x.ndim - len(shape))]
        ),
        (S((3,), args=((2, 3),)), S((2, 1), args=((-1, 3),)), S((), args=((2,),)), S((1, 3), args=((0, 3),))),
        view=True,
        torch=lambda x, shape: x.expand(shape),
        errors=(
            Error(lambda: tgc.broadcast_to(tgc.ones(2), (3,)), ShapeError, r"expand.*\(2,\).*\(3,\)"),
            Error(lambda: tgc.broadcast_to(tgc.ones(2), (-1, 2)), ShapeError, "expand: size -1 for axis 0"),
        ),
    ),
    same("expand", np.broadcast_to, (S((2, 1), args=((2, 3),)), S((3,), args=((2, 3),))), view=True),
    same("expand_copy", np.broadcast_to, (S((2, 1), args=((2, 3),)), S((3,), args=((3,),)))),
    same("expand_as", lambda x, y: np.broadcast_to(x, y.shape), (S((3,), (2, 3)), S((), (1, 2))), view=True),
    same(
        "broadcast_tensors",
        np.broadcast_arrays,
        (S((3,), (2, 1)), S((), (2,), (1, 1)), S((2, 3))),
        view=True,
        errors=(
            Error(lambda: tgc.broadcast_tensors(tgc.ones(2), tgc.ones(3)), ShapeError, "broadcast_shapes.*2 and 3"),
        ),
    ),
    Case(
        "broadcast_shapes",
        lambda x, y: tgc.zeros(tgc.broadcast_shapes(x.shape, y.shape, 1)),
        lambda x, y: np.zeros(np.broadcast_shapes(x.shape, y.shape)),
        (S((3,), (2, 1)), S((), (0,))),
        differentiable=False,
        out="float32",
    ),
    Case(
        "windows",
        unfold,
        windows,
        (
            S((5,), args=(0, 3, 1)),
            S((5,), args=(0, 2, 3)),
            S((2, 5, 2), args=(1, 3, 2)),
            S((3, 4), args=(-2, 1, 1)),
            S((2, 2), args=(1, 2, 5)),
        ),
        torch=lambda x, *args: x.unfold(*args),
        integers=INTEGERS,
        half=True,
        errors=(
            Error(lambda: unfold(tgc.ones(2, 3), 1, 4, 1), ShapeError, r"unfold: windows of size 4.*dim 1 of \(2, 3\)"),
            Error(lambda: unfold(tgc.ones(2, 3), 1, 2, 0), ShapeError, "unfold.*step at least 1"),
        ),
    ),
    same("unfold_copy", windows, (S((5,), args=(0, 3, 2)),)),
    same(
        "as_strided",
        strided,
        (
            S((2, 3), args=((2, 2), (1, 2))),
            S((6,), args=((3, 3), (1, 1))),
            S((6,), args=((2,), (3,), 1)),
            S((2, 2), args=((), (), 2)),
            S((2,), args=((3, 2), (0, 1))),
            S((4,), args=((0, 2), (1, 1))),
        ),
        arrange=in_order,
        half=True,
        errors=(
            Error(lambda: tgc.as_strided(tgc.ones(4), (2, 2), (2, 2)), ShapeError, "as_strided.*place 4.*4 values"),
            Error(lambda: tgc.as_strided(tgc.ones(4), (2,), (-1,), 3), ShapeError, r"as_strided.*stride \(-1,\)"),
            Error(lambda: tgc.as_strided(tgc.ones(4), (2, 2), (1,)), ShapeError, "equally long"),
        ),
    ),
    same("as_strided_copy", strided, (S((2, 3), args=((2, 2), (1, 2))),), arrange=in_order),
    Case(
        "as_strided_scatter",
        lambda x, src, *args: tgc.as_strided_scatter(x.contiguous(), src, *args),
        strided_scatter,
        (
            S((2, 3), (2, 2), args=((2, 2), (1, 2))),
            S((6,), (2,), args=((2,), (3,), 1)),
            S((3,), (), args=((), (), 2)),
            S((3,), (0,), args=((0,), (1,))),
        ),  # PyTorch's gradient for x is wrong: it is that of the places which were overwritten
        integers=INTEGERS,
        errors=(
            Error(
                lambda: tgc.as_strided_scatter(tgc.ones(4), tgc.ones(3), (2,), (1,)), ShapeError, r"src.*\(3,\).*\(2,\)"
            ),
        ),
    ),
    same("alias_copy", np.copy, (S((2, 3)), S(()))),
    same("detach_copy", np.copy, (S((2, 3)), S(())), differentiable=False),
)


class TestBattery(Battery):
    """See battery.py."""


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.flatten(),
        lambda x: x.flatten(1),
        lambda x: x.flatten(0, 1),
        lambda x: x.unsqueeze(0),
        lambda x: x.unsqueeze(-1),
        lambda x: x.squeeze(),
        lambda x: x.squeeze(1),
        lambda x: x.squeeze(0),
        lambda x: x.transpose(0, -1),
        lambda x: x.mT,
        lambda x: x.reshape(-1, 2),
        lambda x: x.view(2, 6),
        lambda x: x.permute(2, 0, 1, 3),
        lambda x: x.unsqueeze(1).expand(-1, 4, -1, -1, -1),
    ],
    ids=range(14),
)
def test_names_of_pytorch(backend: str, torch: Any, call: Any) -> None:
    x = np.arange(12.0).reshape(2, 1, 3, 2)
    ours, theirs = call(tgc.tensor(x)), call(torch.tensor(x))
    assert ours.shape == tuple(theirs.shape)
    assert ours.tolist() == theirs.tolist()


def test_view_shares_memory_or_refuses(backend: str) -> None:
    x = tgc.tensor(np.arange(24.0).reshape(2, 3, 4))
    for base in (x, x[1], x.detach(), x.permute(0, 1, 2), x[:, :, :]):
        y = base.view(-1)
        assert np.shares_memory(y.array, x.array)
        assert y.tolist() == base.array.ravel().tolist()
    for base in (x.permute(2, 1, 0), x[:, 1], x[:, :, :3]):
        with pytest.raises(ShapeError, match="view"):
            base.view(-1)
        assert base.reshape(-1).tolist() == base.array.ravel().tolist()


def test_sizes_one_by_one_or_together(backend: str) -> None:
    x = tgc.tensor(np.arange(6.0).reshape(2, 3))
    for one, other, named in [
        (tgc.reshape(x, 3, 2), tgc.reshape(x, (3, 2)), tgc.reshape(x, shape=[3, 2])),
        (tgc.view(x, 3, -1), tgc.view(x, [3, -1]), tgc.view(x, size=(3, -1))),
        (tgc.permute(x, 1, 0), tgc.permute(x, (1, 0)), tgc.permute(x, dims=(1, 0))),
        (tgc.flip(x, 0, 1), tgc.flip(x, (0, 1)), tgc.flip(x, dims=[0, 1])),
        (tgc.expand(x, 2, -1, 3), tgc.expand(x, (2, 2, 3)), tgc.expand(x, size=(2, 2, 3))),
    ]:
        assert one.tolist() == other.tolist() == named.tolist()


def test_writes_to_views_are_seen(backend: str) -> None:
    for view in (
        lambda x: unfold(x, 0, 2, 2),
        lambda x: tgc.as_strided(x, (2, 3), (3, 1)),
        lambda x: tgc.movedim(x, 0, 1),
        lambda x: tgc.unflatten(x, 0, (2, 2)),
    ):
        x = tgc.zeros(4, 3)
        y = (x * tgc.ones(4, 3, requires_grad=True)).sum()  # saves x
        view(x).fill_(1)
        assert x.array.sum() >= 6
        with pytest.raises(tgc.errors.GraphError, match="fill_"):
            y.backward()


def test_copies_are_copies_also_where_nothing_moves(backend: str) -> None:
    x = tgc.ones(3)
    for y in (tgc.expand_copy(x, (3,)), tgc.squeeze_copy(x), tgc.view_copy(x, 3), tgc.t_copy(x)):
        assert not np.shares_memory(x.array, y.array)
    assert tgc.squeeze_copy.__name__ == "squeeze_copy"
    assert "shares no memory" in tgc.squeeze_copy.__doc__


def test_strides_see_the_memory_behind_a_view(backend: str, torch: Any) -> None:
    """Base of 12 values, view of 4 of them; the new view also reads values that the old one does not hold."""
    a = np.arange(12.0)
    g = np.array([[1.0, 2.0], [3.0, 5.0]])
    results = []
    for package, tensor in ((tgc, tgc.tensor), (torch, torch.tensor)):
        base = tensor(a, requires_grad=True)
        x = package.as_strided(base, (2, 2), (2, 1), 3)
        y = package.as_strided(x, (2, 2), (1, 3), 2)
        y.backward(tensor(g))
        results.append((y.tolist(), base.grad.tolist(), package.as_strided(x, (2,), (1,)).tolist()))
    assert results[0] == results[1]


def test_an_element_seen_twice_shares_its_gradient(backend: str, torch: Any) -> None:
    grads = []
    for package, tensor in ((tgc, tgc.tensor), (torch, torch.tensor)):
        base = tensor([1.0, 2.0, 3.0], requires_grad=True)
        x = package.as_strided(base, (2, 2), (1, 1))
        package.as_strided(x, (3,), (1,)).backward(tensor([1.0, 2.0, 4.0]))
        grads.append(base.grad.tolist())
    assert grads[0] == grads[1] == [1.0, 2.0, 4.0]


def test_of_several_tensors_each(backend: str) -> None:
    x, y = tgc.ones(()), tgc.ones(2)
    assert [z.shape for z in tgc.atleast_1d(x, y)] == [(1,), (2,)]
    assert [z.shape for z in tgc.atleast_2d([x, y])] == [(1, 1), (1, 2)]
    assert [z.shape for z in tgc.atleast_3d((x, y))] == [(1, 1, 1), (1, 2, 1)]
    assert tgc.broadcast_shapes(5, (1, 5), (3, 1)) == (3, 5)
    assert tgc.broadcast_shapes() == ()


def test_unfold_of_a_number(backend: str, torch: Any) -> None:
    x = tgc.tensor(2.0, requires_grad=True)
    y = unfold(x, 0, 1, 1)
    assert y.tolist() == torch.tensor(2.0).unfold(0, 1, 1).tolist() == [2.0]
    y.backward(tgc.tensor([3.0]))
    assert x.grad.item() == 3.0


def test_flip_wants_its_axes(backend: str) -> None:
    x = tgc.tensor([1, 2])
    assert tgc.flip(x, ()).tolist() == [1, 2]
    with pytest.raises(TypeError, match="flip: the axes"):
        tgc.flip(x)
