"""Index kernels: against loops over elements and PyTorch, errors, layouts, thread counts."""

import inspect
import itertools

import numpy as np
import pytest

FAMILY = "index"

DTYPES = ["float16", "float32", "float64", "int64", "int32", "uint8", "bool"]
# shape of x, dim, shape of the index
CASES = [
    ((5,), 0, (5,)), ((5,), 0, (9,)), ((5,), 0, (0,)), ((3, 4), 0, (3, 4)), ((3, 4), 1, (3, 4)), ((3, 4), 1, (3, 1)),
    ((3, 4), 0, (7, 4)), ((3, 4), 1, (2, 6)), ((3, 4), 0, (2, 2)), ((2, 3, 4), 1, (2, 5, 4)), ((2, 3, 4), 1, (1, 5, 2)),
    ((2, 3, 4), 2, (2, 3, 2)), ((1, 1), 0, (1, 1)), ((0, 3), 1, (0, 2)), ((3, 0), 0, (2, 0)), ((40, 1000), 1, (40, 1)),
]
cases = pytest.mark.parametrize(("shape", "dim", "index_shape"), CASES, ids=str)


def draw(shape, dtype, seed=0):
    return np.asarray(np.random.default_rng(seed).integers(0, 50, shape) / 4).astype(dtype)


def places(shape, dim, index_shape):
    return np.random.default_rng(1).integers(0, shape[dim], index_shape)


def gathered(x, dim, index):
    out = np.empty(index.shape, x.dtype)
    for at in np.ndindex(*index.shape):
        out[at] = x[(*at[:dim], index[at], *at[dim + 1 :])]
    return out


def scattered(x, dim, index, src):
    out = x.copy()
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1 :])] += src[at]
    return out


@cases
def test_gather(k, shape, dim, index_shape, layout):
    for dtype in DTYPES:
        x, index = layout(draw(shape, dtype)), layout(places(shape, dim, index_shape))
        before = x.copy(), index.copy()
        got = k.gather(x, dim, index)
        assert got.dtype == dtype
        assert got.shape == index_shape
        np.testing.assert_array_equal(got, gathered(x, dim, index))
        assert np.array_equal(x, before[0])
        assert np.array_equal(index, before[1])


@cases
def test_scatter_add(k, shape, dim, index_shape, layout):
    for dtype, extra in itertools.product(DTYPES[:-1], (0, 1)):  # src may be larger than the index
        x, index = layout(draw(shape, dtype)), layout(places(shape, dim, index_shape))
        src = layout(draw([n + extra for n in index_shape], dtype, 2))
        before = x.copy(), src.copy()
        got = k.scatter_add(x, dim, index, src)
        assert got.dtype == dtype
        assert not np.shares_memory(got, x)
        np.testing.assert_array_equal(got, scattered(x, dim, index, src))
        assert np.array_equal(x, before[0])
        assert np.array_equal(src, before[1])


@cases
def test_torch_agrees(k, torch, shape, dim, index_shape, dtype):
    x, index, src = draw(shape, dtype), places(shape, dim, index_shape), draw(index_shape, dtype, 2)
    t, i = torch.tensor(x), torch.tensor(index)
    np.testing.assert_array_equal(k.gather(x, dim, index), t.gather(dim, i).numpy())
    np.testing.assert_array_equal(k.scatter_add(x, dim, index, src), t.scatter_add(dim, i, torch.tensor(src)).numpy())


def test_scalars(k):
    x, zero = np.asarray(3.0, np.float32), np.zeros((), np.int64)
    assert k.gather(x, 0, zero).shape == ()
    assert k.gather(x, 0, zero.reshape(1)).tolist() == [3.0]
    got = k.scatter_add(x, 0, zero.reshape(1), np.ones(1, np.float32))
    assert got.shape == ()
    assert got == 4
    assert k.one_hot(np.asarray(2), 3, np.float32).tolist() == [0, 0, 1]
    assert isinstance(k.take_slice(np.arange(3), 1), np.ndarray)


@pytest.mark.parametrize("bad", [5, -1, 2**40, -(2**63)])
def test_index_out_of_bounds(k, dtype, bad):
    """Also when it is one among thousands, in every kernel that takes an index."""
    x = np.zeros((2, 5), dtype)
    index = np.zeros((2, 3000), np.int64)
    index[1, 2345] = bad
    message = f"index {bad} is out of bounds for dimension 1 with size 5"
    with pytest.raises(IndexError, match=message):
        k.gather(x, 1, index)
    with pytest.raises(IndexError, match=message):
        k.scatter_add(x, 1, index, np.zeros((2, 3000), dtype))
    with pytest.raises(IndexError, match=message.replace("dimension 1", "dimension 2")):
        k.one_hot(index, 5, dtype)


@pytest.mark.parametrize("bad", [5, -6, 2**40])
def test_row_index_out_of_bounds(k, dtype, bad):
    with pytest.raises(IndexError, match=f"index {bad} is out of bounds"):
        k.slice_adjoint(np.zeros((3, 2), dtype), (5, 2), np.array([0, bad, 1]))


def test_shapes_that_do_not_fit(k):
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"has 1 dimensions, input .* has 2"):
        k.gather(x, 1, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"larger than input .* along dimension 0 \(3 > 2\)"):
        k.gather(x, 1, np.zeros((3, 1), np.int64))
    with pytest.raises(ValueError, match=r"larger than src .* along dimension 1 \(4 > 3\)"):
        k.scatter_add(x, 1, np.zeros((2, 4), np.int64), np.zeros((2, 3), np.float32))


KEYS = {
    "int": ((4, 5), 2),
    "negative int": ((4, 5), -1),
    "element": ((4, 5), (1, -2)),
    "slice": ((4, 5), slice(1, 3)),
    "step": ((7, 5), (slice(None, None, 2), slice(4, 0, -2))),
    "ellipsis": ((2, 3, 4), (..., 1)),
    "new axis": ((4, 5), (None, slice(1, 3), None, 2)),
    "nothing": ((4, 5), slice(3, 3)),
    "everything": ((4, 5), ...),
    "empty tuple": ((), ()),
    "rows": ((4, 5), np.array([0, 2, 2, -1, 0])),
    "rows in a tuple": ((4, 5), (np.array([0, 2, 2, -1, 0]),)),
    "rows of int32": ((4, 5), np.array([0, 2, 2], np.int32)),
    "grid of rows": ((4, 3), np.array([[0, 3, 3], [1, 3, 3]])),
    "no rows": ((4, 5), np.array([], np.int64)),
    "one row": ((4, 5), np.array(2)),
    "elements of a vector": ((6,), np.array([5, 5, 0])),
    "columns": ((4, 5), (slice(None), np.array([1, 1, 4]))),
    "pairs": ((4, 5), (np.array([0, 0, 3]), np.array([1, 1, -1]))),
    "pairs and slice": ((4, 3, 5), (np.array([0, 0]), slice(1, None), np.array([1, 1]))),
    "list": ((4, 5), [0, 0, 1]),
    "mask": ((4, 5), np.arange(20).reshape(4, 5) % 3 == 0),
    "row mask": ((4, 5), np.array([True, False, True, True])),
    "slice and mask": ((2, 4, 5), (slice(None), np.array([True, False, True, True]))),
    "slice and mask of two axes": ((2, 4, 5), (slice(None), np.arange(20).reshape(4, 5) % 3 == 0)),
    "mask and slice": ((4, 5), (np.array([True, False, True, True]), slice(1, 4))),
    "mask and index": ((4, 5), (np.array([True, False, False, True]), np.array([1, 1]))),
}
keys = pytest.mark.parametrize("case", list(KEYS))


@keys
def test_take_slice(k, case, layout):
    shape, key = KEYS[case]
    for dtype in DTYPES:
        x = layout(draw(shape, dtype)) if shape else draw(shape, dtype)
        got = k.take_slice(x, key)
        assert isinstance(got, np.ndarray)
        assert got.flags.c_contiguous
        assert got.flags.owndata
        assert not np.shares_memory(got, x)
        np.testing.assert_array_equal(got, x[key])


@keys
def test_slice_adjoint(k, case):
    """Every element of g lands where `take_slice` took it from, which an array of positions tells."""
    shape, key = KEYS[case]
    positions = np.asarray(np.arange(int(np.prod(shape))).reshape(shape)[key])
    for dtype in DTYPES[:-1]:
        g = draw(positions.shape, dtype, 3)
        want = np.zeros(int(np.prod(shape)), dtype)
        for p, v in zip(positions.ravel(), g.ravel(), strict=True):
            want[p] += v
        before = g.copy()
        for view in (g, np.array(g, order="F")):
            got = k.slice_adjoint(view, shape, key)
            assert got.dtype == dtype
            assert got.flags.c_contiguous
            np.testing.assert_array_equal(got, want.reshape(shape))
        assert np.array_equal(g, before)


@pytest.mark.parametrize("shape", [(), (1,), (6,), (0,), (2, 3)], ids=str)
def test_one_hot(k, shape):
    index = np.asarray(np.random.default_rng(0).integers(0, 4, shape))
    for dtype in DTYPES:
        got = k.one_hot(index, 4, np.dtype(dtype))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, (index[..., None] == np.arange(4)).astype(dtype))


def test_threads(compiled, same_for_all_thread_counts, dtype):
    rng = np.random.default_rng(0)
    x, index = rng.normal(size=(50, 9000)).astype(dtype), rng.integers(0, 50, (60, 9000))
    src = rng.normal(size=(60, 9000)).astype(dtype)
    rows = rng.integers(-50, 50, 60)
    same_for_all_thread_counts(lambda: compiled.gather(x, 0, index))
    same_for_all_thread_counts(lambda: compiled.scatter_add(x, 0, index, src))
    same_for_all_thread_counts(lambda: compiled.slice_adjoint(src, (50, 9000), rows))
    few = rng.integers(0, 7, (50, 9000))
    same_for_all_thread_counts(lambda: compiled.scatter_add(x[:, :7], 1, few, x))
    np.testing.assert_array_equal(compiled.scatter_add(x, 0, index, src), scattered_by_rows(x, index, src))


def scattered_by_rows(x, index, src):
    """Rounded in the same order: a row of the index touches each place once."""
    out = x.copy()
    for i in range(index.shape[0]):
        out[index[i], np.arange(x.shape[1])] += src[i]
    return out


def test_compiled_and_reference_have_the_same_signatures(reference, compiled):
    assert set(reference.KERNELS) <= set(compiled.KERNELS)  # the module has kernels of other families as well
    for name in reference.KERNELS:
        ours, theirs = (list(inspect.signature(getattr(m, name)).parameters.values()) for m in (reference, compiled))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16", "uint8"])
@pytest.mark.parametrize("largest", [True, False])
def test_few_of_long_rows(compiled, dtype, largest, same_for_all_thread_counts):
    """Rows of many blocks, with equal numbers, NaN and infinity among them; the best come first, last and in between."""
    x = np.random.default_rng(3).integers(0, 250, (3, 5, 1000)).astype(dtype)
    x[1] = np.sort(x[1], axis=-1)
    x[2] = x[1, :, ::-1]
    if x.dtype.kind == "f":
        x[0, 0, [7, 500, 999]], x[0, 1, [3, 998]] = np.nan, [np.inf, -np.inf]
    for axis, count in ((2, 1), (2, 5), (2, 64), (1, 3)):
        order = np.argsort(x, axis=axis, kind="stable")
        if largest:
            order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
        wanted = np.take(order, range(count), axis)
        np.testing.assert_array_equal(compiled.topk_few_index(x, axis, count, largest), wanted)
    large = np.tile(x, (60, 1, 1))
    same_for_all_thread_counts(lambda: compiled.topk_few_index(large, 2, 5, largest))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_running_results_of_large_arrays(compiled, dtype, same_for_all_thread_counts):
    """Every way of sharing out the work: long rows, short rows, wide and narrow columns."""
    for shape, axis in (((3, 70001), 1), ((20011, 7), 1), ((40, 1300, 3), 1), ((150, 1100), 0)):
        x = draw(shape, dtype)
        for reverse in (False, True):
            way = np.flip(x, axis) if reverse else x
            got, wanted = compiled.cumsum(x, axis, reverse), np.cumsum(way, axis, "float64").astype(dtype)
            np.testing.assert_array_equal(np.flip(got, axis) if reverse else got, wanted)
            same_for_all_thread_counts(lambda x=x, axis=axis, reverse=reverse: compiled.cumsum(x, axis, reverse))
        same_for_all_thread_counts(lambda x=x, axis=axis: compiled.cummax_index(x, axis))
