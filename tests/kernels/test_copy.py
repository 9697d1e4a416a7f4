"""Copies: against NumPy for every type and layout, exact bits, and thread counts."""

import numpy as np
import pytest

from tinygrad_course.backend import cpu

FAMILY = "copy"

DTYPES = ["float32", "float64", "float16", "int64", "int32", "int16", "uint8", "bool", "complex64", "complex128",
          "longdouble", ">f4"]


def draw(shape, dtype, seed=0):
    values = np.random.default_rng(seed).integers(0, 100, shape)
    return (values % 2 == 0) if dtype == "bool" else values.astype(dtype)


# -- copies of every layout, through the kernel that copies without a change ------------------------------------------------

ORDERS = [
    ((64, 33), (1, 0)), ((128, 64), (1, 0)), ((17, 3), (1, 0)), ((3, 200), (1, 0)), ((2, 3, 50, 7), (0, 2, 3, 1)),
    ((2, 40, 9, 16), (0, 2, 3, 1)), ((2, 9, 16, 40), (0, 3, 1, 2)), ((3, 4, 5, 6), (3, 2, 1, 0)), ((4, 1, 30), (2, 1, 0)),
    ((300, 500), (1, 0)), ((4, 70, 20, 20), (1, 0, 3, 2)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "order"), ORDERS, ids=str)
def test_permuted_axes(dtype, shape, order):
    x = draw(shape, dtype).transpose(order)
    y = cpu.table()["cast"](x, x.dtype)
    assert y.flags.c_contiguous
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", [np.s_[::-1], np.s_[:, ::-1], np.s_[..., ::-1], np.s_[..., 39:3:-1],
                                 np.s_[::2, 1::3, ::-2], np.s_[1:, :, 5:9],
                                 np.s_[:0], np.s_[2:3, 1, None]], ids=str)
def test_steps(dtype, key):
    x = draw((7, 20, 41), dtype)
    np.testing.assert_array_equal(cpu.table()["cast"](x[key], x.dtype), x[key])
    np.testing.assert_array_equal(cpu.table()["take_slice"](x, key), x[key])
    g = draw(x[key].shape, dtype, 1)
    expected = np.zeros_like(x)
    expected[key] = g
    np.testing.assert_array_equal(cpu.table()["slice_adjoint"](g, x.shape, key), expected)


def test_broadcast_axes_and_no_axes():
    for x in (np.broadcast_to(draw((5, 1, 3), "float32"), (4, 5, 70, 3)), np.broadcast_to(np.float64(3), (6, 50)),
              np.array(2.5), np.empty((0, 3)).T):
        np.testing.assert_array_equal(cpu.table()["cast"](x, x.dtype), x)


def test_bits_are_not_looked_at():
    """Signalling NaNs, subnormal numbers and negative zeros go through a transposed copy unchanged."""
    for kind, size in (("uint32", "float32"), ("uint64", "float64")):
        bits = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (70, 90), kind, endpoint=True)
        bits[0, :3] = [1, 1 << (8 * bits.itemsize - 1), (0x7FA00000 if kind == "uint32" else 0x7FF4 << 48)]
        y = cpu.table()["cast"](bits.view(size).T, np.dtype(size))
        np.testing.assert_array_equal(y.view(kind), bits.T)


def test_odd_addresses():
    memory = np.zeros(70 * 90 * 4 + 1, np.uint8)
    x = memory[1:].view(np.float32).reshape(70, 90)
    x[...] = draw((70, 90), "float32")
    np.testing.assert_array_equal(cpu.table()["cast"](x.T, x.dtype), x.T)


# -- the kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "axis", "sizes"), [((5,), 0, (1, 4)), ((3, 5, 7), 1, (2, 0, 3)),
                                                      ((3, 5, 7), 2, (1, 1, 33)), ((0, 4), 1, (1, 2)),
                                                      ((2, 6, 9, 8), 1, (16, 3)), ((1, 1), 0, (3,))])
def test_cat(k, layout, shape, axis, sizes):
    for dtype in DTYPES:
        parts = [layout(draw((*shape[:axis], size, *shape[axis + 1:]), dtype, size)) for size in sizes]
        y, expected = k.cat(parts, axis), np.concatenate(parts, axis)
        np.testing.assert_array_equal(y, expected, dtype)
        assert y.dtype == expected.dtype


def test_cat_refuses_what_numpy_refuses(k):
    with pytest.raises(ValueError, match="must match exactly"):
        k.cat([np.zeros((2, 3)), np.zeros((3, 4))], 0)


PADS = [
    ((5,), (1,), (2,)), ((3, 5), (0, 1), (0, 0)), ((2, 3, 5, 6), (0, 0, 1, 1), (0, 0, 1, 1)),
    ((2, 3, 4), (0, 2, 0), (0, 5, 0)), ((2, 3, 4), (3, 0, 0), (0, 0, 0)),
    ((4, 9), (-1, 2), (1, -3)), ((4, 9), (-4, 0), (0, 0)), ((0, 3), (1, 1), (0, 0)),
    ((3, 0), (0, 2), (0, 2)), ((1, 1), (70, 40), (3, 90)), ((2, 1, 1), (0, 0, 3), (1, 2, 0)),
    ((3, 2, 40, 50), (0, 1, 1, 20), (0, 0, 2, 3)),
]


@pytest.mark.parametrize(("shape", "before", "after"), PADS, ids=str)
def test_constant_pad(k, layout, shape, before, after):
    wider = [(max(low, 0), max(high, 0)) for low, high in zip(before, after, strict=True)]
    for dtype in DTYPES:
        x = layout(draw(shape, dtype))
        for value in (0, 1, 3.0, True):
            full = np.pad(x, wider, constant_values=np.full((), value, x.dtype))
            cut = tuple([slice(max(-low, 0), n + min(high, 0))
                         for low, high, n in zip(before, after, full.shape, strict=True)])
            y = k.constant_pad(x, before, after, value)
            np.testing.assert_array_equal(y, full[cut], dtype)
            assert y.dtype == x.dtype.newbyteorder(y.dtype.byteorder)
            assert not np.shares_memory(x, y)


def test_no_axes(k):
    y = k.constant_pad(np.array(2.5), (), (), 1)
    assert y.shape == ()
    assert y == 2.5


def test_infinite_padding(k):
    y = k.constant_pad(np.zeros((2, 3), np.float32), (0, 1), (0, 0), -np.inf)
    assert (y[:, 0] == -np.inf).all()
    assert y.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_large_and_threads(compiled, same_for_all_thread_counts, dtype):
    """Sizes at which the work is cut, with pieces that end within a row."""
    x = draw((6, 37, 61, 67), dtype)

    def results():
        return (cpu.table()["cast"](x.transpose(0, 2, 3, 1), x.dtype), compiled.cat([x, x[:, :5]], 1),
                compiled.constant_pad(x, (0, 0, 1, 2), (0, 3, 1, 0), 7),
                compiled.constant_pad(x, (0, 9, 0, 0), (0, 9, 0, 0), 0))

    expected = (x.transpose(0, 2, 3, 1), np.concatenate([x, x[:, :5]], 1),
                np.pad(x, ((0, 0), (0, 3), (1, 1), (2, 0)), constant_values=7),
                np.pad(x, ((0, 0), (9, 9), (0, 0), (0, 0))))
    for got, want in zip(results(), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    same_for_all_thread_counts(results)
