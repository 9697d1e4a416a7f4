"""Convolution kernels against the defining sum in float64 by loops, and against PyTorch where it is installed."""

import functools
import itertools

import numpy as np
import pytest

FAMILY = "conv"
DTYPES = ["float32", "float64"]
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}  # of the sum of absolute products

# x (N, C, H, W), w (O, C/groups, kh, kw), stride, padding, dilation, groups
CASES = [
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 1, 12, 11), (6, 1, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((3, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 5, 70), (7, 3, 2, 3), (1, 1), (1, 2), (1, 1), 1),
    ((2, 3, 9, 8), (4, 3, 3, 2), (2, 3), (1, 0), (1, 1), 1),
    ((2, 3, 9, 8), (4, 3, 3, 2), (1, 1), (2, 1), (2, 3), 1),
    ((2, 4, 10, 9), (6, 2, 3, 3), (2, 1), (1, 1), (1, 2), 2),
    ((2, 5, 8, 7), (5, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    ((2, 3, 8, 7), (9, 1, 3, 2), (2, 2), (1, 1), (2, 1), 3),
    ((3, 4, 11, 9), (4, 1, 5, 5), (2, 2), (2, 2), (1, 1), 4),  # depthwise: stride, a large kernel, dilation, multiplier
    ((2, 3, 9, 21), (6, 1, 3, 3), (1, 1), (2, 2), (2, 2), 3),
    ((2, 4, 12, 35), (8, 1, 5, 3), (2, 1), (2, 1), (1, 2), 4),
    ((2, 3, 6, 6), (4, 3, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 7, 6), (4, 3, 1, 1), (2, 3), (0, 0), (1, 1), 1),
    ((2, 2, 3, 3), (3, 2, 3, 3), (1, 1), (4, 4), (1, 1), 1),  # windows that lie in the padding altogether
    ((1, 2, 9, 9), (3, 2, 2, 2), (4, 4), (0, 0), (1, 1), 1),  # pixels that no window reads
    ((17, 3, 2, 2), (20, 3, 2, 2), (1, 1), (1, 1), (1, 1), 1),  # columns over several images
    ((2, 40, 4, 4), (33, 40, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # several slices of channels
    ((1, 2, 90, 80), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # several bands of rows
    ((1, 2, 6, 600), (3, 2, 3, 2), (1, 1), (1, 0), (1, 1), 1),  # one row is more than a band wants
    ((2, 3, 9, 26), (4, 3, 3, 3), (3, 3), (1, 2), (1, 1), 1),  # strides of 3 and 4: short rows, and rows of several vectors
    ((2, 2, 7, 150), (5, 2, 2, 5), (4, 3), (0, 1), (1, 1), 1),
    ((2, 2, 10, 31), (3, 2, 2, 4), (2, 4), (0, 1), (1, 1), 1),
    ((1, 2, 5, 203), (5, 2, 2, 3), (1, 4), (1, 0), (1, 1), 1),
    ((0, 3, 8, 8), (4, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 8, 8), (0, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((2, 0, 8, 8), (4, 0, 3, 3), (1, 1), (0, 0), (1, 1), 1),
]
cases = pytest.mark.parametrize("case", CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])


def draw(shape, dtype="float64", seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def terms(size, kernel, stride, padding, dilation):
    """(output, tap, input) positions along one axis of all products that exist, by the definition."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    positions = ((p, i, p * stride - padding + i * dilation) for p in range(count) for i in range(kernel))
    return count, [t for t in positions if 0 <= t[2] < size]


def by_loops(case, x, w, g=None):
    """y, gx, gw: each product of the trilinear form, added where it belongs (g drawn if None, returned last)."""
    shape, kernel, stride, padding, dilation, groups = case
    oh, rows = terms(shape[2], kernel[2], stride[0], padding[0], dilation[0])
    ow, cols = terms(shape[3], kernel[3], stride[1], padding[1], dilation[1])
    y = np.zeros((shape[0], kernel[0], oh, ow))
    g = draw(y.shape, seed=2) if g is None else g
    gx, gw = np.zeros(shape), np.zeros(kernel)
    c, o = kernel[1], kernel[0] // groups
    for group, (p, i, h), (q, j, v) in itertools.product(range(groups), rows, cols):
        cs, os = slice(group * c, (group + 1) * c), slice(group * o, (group + 1) * o)
        y[:, os, p, q] += x[:, cs, h, v] @ w[os, :, i, j].T
        gx[:, cs, h, v] += g[:, os, p, q] @ w[os, :, i, j]
        gw[os, :, i, j] += g[:, os, p, q].T @ x[:, cs, h, v]
    return y, gx, gw, g


def assert_close(z, exact, size, dtype):
    assert type(z) is np.ndarray
    assert z.dtype == dtype
    assert z.shape == exact.shape
    assert z.flags.c_contiguous
    assert np.all(np.abs(z - exact) <= TOLERANCE[dtype] * size)


@functools.cache  # for both backends: the loops take their time
def exact(case, dtype):
    """x, w, g in `dtype`, what the loops give for them, and the sums of absolute products."""
    x, w = draw(case[0], dtype), draw(case[1], dtype, 1)
    size, kernel, stride, padding, dilation, _ = case
    oh, ow = (terms(*axis)[0] for axis in zip(size[2:], kernel[2:], stride, padding, dilation, strict=True))
    g = draw((size[0], kernel[0], oh, ow), seed=2).astype(dtype)
    sums, sizes = (by_loops(case, *(f(a.astype("float64")) for a in (x, w, g)))[:3] for f in (np.positive, np.abs))
    return x, w, g, sums, sizes


@cases
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_loops(k, case, dtype):
    x, w, g, (y, gx, gw), (size_y, size_x, size_w) = exact(case, dtype)
    b = draw(case[1][:1], dtype, 3)
    args = case[2:]
    bias = b[:, None, None].astype("float64")
    assert_close(k.conv2d(x, w, None, *args), y, size_y, dtype)
    assert_close(k.conv2d(x, w, b, *args), y + bias, size_y + np.abs(bias), dtype)
    assert_close(k.conv2d_input(g, w, x.shape, *args), gx, size_x, dtype)
    assert_close(k.conv2d_weight(x, g, w.shape, *args), gw, size_w, dtype)


LARGER = [
    ((5, 16, 32, 32), (16, 16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((3, 70, 8, 8), (130, 70, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 65, 60), (24, 3, 7, 7), (2, 2), (3, 3), (1, 1), 1),
    ((20, 64, 14, 14), (64, 1, 3, 3), (1, 1), (1, 1), (1, 1), 64),
    ((2, 48, 28, 28), (40, 48, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((33, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((4, 64, 16, 16), (32, 64, 4, 4), (2, 2), (1, 1), (1, 1), 1),
    ((1, 600, 5, 5), (40, 600, 3, 3), (1, 1), (2, 2), (2, 2), 1),
    ((9, 128, 8, 8), (96, 128, 4, 4), (2, 2), (1, 1), (1, 1), 1),
    ((5, 20, 7, 9), (34, 20, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((7, 8, 9, 70), (24, 8, 4, 4), (2, 2), (1, 1), (1, 1), 1),
    ((8, 32, 28, 28), (32, 1, 5, 5), (2, 2), (2, 2), (1, 1), 32),
    ((8, 32, 20, 18), (64, 1, 3, 3), (1, 1), (2, 2), (2, 2), 32),
    ((3, 2, 70, 72), (5, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # weight gradient: blocks of rows,
    ((23, 12, 9, 9), (10, 12, 5, 5), (1, 1), (1, 1), (1, 1), 1),  # and of images
    ((6, 24, 31, 29), (24, 1, 9, 11), (2, 2), (4, 5), (1, 1), 24),
]


@pytest.mark.parametrize("case", LARGER, ids=[f"{c[0]}-{c[1]}" for c in LARGER])
def test_against_torch(k, torch, case):
    shape, kernel, stride, padding, dilation, groups = case
    x, w, b = draw(shape, "float32"), draw(kernel, "float32", 1), draw(kernel[:1], "float32", 2)
    tx, tw, tb = (torch.from_numpy(a.astype("float64")).requires_grad_() for a in (x, w, b))
    y = torch.nn.functional.conv2d(tx, tw, tb, stride, padding, dilation, groups)
    g = draw(tuple(y.shape), "float32", 3)
    y.backward(torch.from_numpy(g).double())
    for z, exact in (
        (k.conv2d(x, w, b, *case[2:]), y.detach()),
        (k.conv2d_input(g, w, shape, *case[2:]), tx.grad),
        (k.conv2d_weight(x, g, kernel, *case[2:]), tw.grad),
    ):
        np.testing.assert_allclose(z, exact.numpy(), rtol=1e-5, atol=2e-6 * float(exact.abs().max()))


FOLDED = [
    *CASES,
    ((33, 2, 5, 4), (3, 2, 3, 2), (1, 1), (1, 1), (1, 1), 1),  # a unit of several images, and one of fewer
    ((1, 20, 9, 20), (300, 20, 3, 2), (3, 1), (2, 4), (2, 3), 1),  # two slices of k, parts of the channels, dilation
    ((2, 3, 4, 70), (5, 3, 3, 5), (1, 2), (1, 9), (1, 2), 1),  # rows of several vectors, windows beside the image
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", FOLDED, ids=[f"{c[0]}-{c[1]}" for c in FOLDED])
def test_fold(compiled, same_for_all_thread_counts, case, dtype):
    """The gradient of the input by the algorithm "fold", wherever it can compute it."""
    _, w, g, (_, gx, _), (_, size, _) = exact(case, dtype)
    compiled.force_algorithm("fold")
    try:
        assert_close(compiled.conv2d_input(g, w, gx.shape, *case[2:]), gx, size, dtype)
        same_for_all_thread_counts(lambda: compiled.conv2d_input(g, w, gx.shape, *case[2:]))
    finally:
        compiled.force_algorithm(None)


def test_fold_masks_what_lies_beside_the_image(compiled):
    g, w = draw((2, 3, 6, 7), "float32"), draw((3, 1, 3, 3), "float32", 1)
    g[1, 2, 0, 6] = np.inf
    compiled.force_algorithm("fold")
    try:
        gx = compiled.conv2d_input(g, w, (2, 1, 8, 9))
    finally:
        compiled.force_algorithm(None)
    assert np.argwhere(~np.isfinite(gx[:, 0])).tolist() == [[1, i, j] for i in range(3) for j in (6, 7, 8)]


def test_any_layout(compiled):
    case = CASES[6]
    x, w = draw(case[0]), draw(case[1], seed=1)
    y, gx, gw, g = by_loops(case, x, w)

    def views(a):
        raw = np.zeros(a.nbytes + 1, np.uint8)
        misaligned = raw[1:].view(a.dtype).reshape(a.shape)
        misaligned[...] = a
        yield from (np.asfortranarray(a), np.ascontiguousarray(a[::-1, :, ::-1])[::-1, :, ::-1], misaligned)
        yield np.repeat(a, 2, axis=3)[..., ::2]
        yield a.astype(a.dtype.newbyteorder())

    for vx, vw, vg in zip(views(x), views(w), views(g), strict=True):
        np.testing.assert_allclose(compiled.conv2d(vx, vw, None, *case[2:]), y, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(compiled.conv2d_input(vg, vw, x.shape, *case[2:]), gx, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(compiled.conv2d_weight(vx, vg, w.shape, *case[2:]), gw, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES[:3] + LARGER, ids=[f"{c[0]}-{c[1]}" for c in CASES[:3] + LARGER])
def test_threads_do_not_change_a_bit(compiled, same_for_all_thread_counts, case):
    x, w, b = draw(case[0], "float32"), draw(case[1], "float32", 1), draw(case[1][:1], "float32", 2)
    g = draw(compiled.conv2d(x, w, b, *case[2:]).shape, "float32", 3)
    same_for_all_thread_counts(lambda: compiled.conv2d(x, w, b, *case[2:]))
    same_for_all_thread_counts(lambda: compiled.conv2d_input(g, w, x.shape, *case[2:]))
    same_for_all_thread_counts(lambda: compiled.conv2d_weight(x, g, w.shape, *case[2:]))


@pytest.mark.parametrize("channels", [4, 40], ids=["dot", "outer"])
def test_infinity_spoils_only_what_reads_it(compiled, channels):
    """Junk lanes and padding must not turn an infinite pixel into a NaN elsewhere."""
    x, w = draw((2, 3, 9, 21), "float32"), draw((channels, 3, 3, 3), "float32", 1)
    x[1, 2, 0, 20] = np.inf  # read by tap (0, 2) of one window only
    y = compiled.conv2d(x, w)
    assert np.argwhere(~np.isfinite(y[:, 0])).tolist() == [[1, 0, 18]]
    gw = compiled.conv2d_weight(x, np.ones_like(y), w.shape)
    assert np.argwhere(~np.isfinite(gw[0])).tolist() == [[2, 0, 2]]


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c[0][1] == c[5] and c[0][0] > 1], ids=lambda c: f"{c[0]}-{c[1]}-{c[2]}-{c[4]}"
)
def test_depthwise_adjoints_of_values_that_are_not_finite(compiled, same_for_all_thread_counts, case, value):
    """The last pixel of a row neighbours the next row in the kernel's copy: only the taps that read it may see it."""
    x, w = draw(case[0]), draw(case[1], seed=1)
    g = draw(compiled.conv2d(x, w, None, *case[2:]).shape, seed=2)
    x[1, 0, 0, -1] = value
    y, _, gw, _ = by_loops(case, x, w, g)
    same_for_all_thread_counts(lambda: compiled.conv2d_weight(x, g, w.shape, *case[2:]))
    gw_kernel = compiled.conv2d_weight(x, g, w.shape, *case[2:])
    np.testing.assert_allclose(compiled.conv2d(x, w, None, *case[2:]), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gw_kernel, gw, rtol=1e-12, atol=1e-12)
    g[1, -1, 0, -1] = value  # in the weight gradient it would meet the zeros of the padding
    _, gx, _, _ = by_loops(case, x, w, g)
    np.testing.assert_allclose(compiled.conv2d_input(g, w, x.shape, *case[2:]), gx, rtol=1e-12, atol=1e-12)


def test_rejects_what_it_cannot_do(compiled):
    x, w = draw((1, 2, 5, 5), "float32"), draw((3, 2, 3, 3), "float32")
    with pytest.raises(TypeError, match="float64"):
        compiled.conv2d(x, w.astype("float64"))
    with pytest.raises(TypeError, match="int64"):
        compiled.conv2d(x.astype("int64"), w.astype("int64"))
    with pytest.raises(ValueError, match="do not fit with groups=2"):
        compiled.conv2d(x, w, groups=2)
    with pytest.raises(ValueError, match="must be 4-D"):
        compiled.conv2d(x[0], w)
    with pytest.raises(ValueError, match="must be positive"):
        compiled.conv2d(x, w, stride=(0, 1))
    with pytest.raises(ValueError, match="bias"):
        compiled.conv2d(x, w, x[0, 0, 0])
    with pytest.raises(ValueError, match=r"must have shape \(1, 3, 3, 3\)"):
        compiled.conv2d_input(x, w, x.shape)
    with pytest.raises(ValueError, match=r"must have shape \(1, 3, 3, 3\)"):
        compiled.conv2d_weight(x, x, w.shape)
