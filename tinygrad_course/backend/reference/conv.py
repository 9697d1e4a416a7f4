"""Convolution and its two adjoints in NumPy: the readable bodies of kernels/conv.pyx.

The three functions are the partial derivatives of one number that is linear in each of y, w and x:

    sum over n, o, c, i, j, p, q of   y[n, o, p, q] * w[o, c, i, j] * x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw]

(x is 0 outside the image), so each of them differentiates into the other two.

All three go through columns: `columns` gathers, for each of the kh * kw taps, the pixels that it sees in one strided
slice; the sum over channels and taps is then one matrix product per image and group.  `conv2d_input` walks the same way
back, adding slices instead of taking them.  Loops run over taps only.

Letters: N images, C and O channels, H W image, kh kw kernel, oh ow output, P = oh * ow, G groups, K = C/G * kh * kw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_course.backend.reference.linalg import matmul

Array = npt.NDArray[Any]
Pair = tuple[int, int]

KERNELS: tuple[str, ...] = ("conv2d", "conv2d_input", "conv2d_weight")


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """(size + 2p - d(k-1) - 1) // s + 1; below 1 the kernel does not fit."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _tap_slices(i: int, j: int, oh: int, ow: int, stride: Pair, dilation: Pair) -> tuple[slice, slice]:
    """Rows and columns of the padded image that tap (i, j) multiplies, in the order of the output."""
    top, left = i * dilation[0], j * dilation[1]
    rows = slice(top, top + (oh - 1) * stride[0] + 1, stride[0])
    return rows, slice(left, left + (ow - 1) * stride[1] + 1, stride[1])


def _padded_zeros(like: Array, shape: tuple[int, ...], padding: Pair) -> Array:
    n, c, h, w = shape
    return np.zeros_like(like, shape=(n, c, h + 2 * padding[0], w + 2 * padding[1]))


def _interior(x: Array, h: int, w: int, padding: Pair) -> Array:
    return x[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w]


def columns(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """cols[n, c, i, j, p, q] = x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw].

    x (N, C, H, W)  ->  (N, C, kh, kw, oh, ow).
    """
    n, c, h, w = x.shape
    kh, kw = kernel
    oh = max(0, output_size(h, kh, stride[0], padding[0], dilation[0]))
    ow = max(0, output_size(w, kw, stride[1], padding[1], dilation[1]))
    cols = np.empty_like(x, shape=(n, c, kh, kw, oh, ow))
    if cols.size == 0:
        return cols
    if padding != (0, 0):
        padded = _padded_zeros(x, x.shape, padding)
        _interior(padded, h, w, padding)[...] = x
        x = padded
    for i in range(kh):
        for j in range(kw):
            rows, cols_of_tap = _tap_slices(i, j, oh, ow, stride, dilation)
            cols[:, :, i, j] = x[:, :, rows, cols_of_tap]
    return cols


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[n, o, p, q] = b[o] + sum over c, i, j of w[o, c, i, j] * x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw].

    x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None  ->  (N, O, oh, ow).  A cross-correlation, as everywhere in
    machine learning: the kernel is not turned round.
    """
    n, o, g = x.shape[0], w.shape[0], groups
    cols = columns(x, w.shape[2:], stride, padding, dilation)  # (N, C, kh, kw, oh, ow)
    oh, ow = cols.shape[4:]
    k = w.shape[1] * w.shape[2] * w.shape[3]
    y = matmul(w.reshape(g, o // g, k), cols.reshape(n, g, k, oh * ow))  # (N, G, O/G, P)
    y = y.reshape(n, o, oh, ow)
    if b is not None:
        y += b[:, None, None]
    return y


def conv2d_input(
    g: Array,
    w: Array,
    shape: tuple[int, ...],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """gx[n, c, h, w] = sum of g[n, o, p, q] * w[o, c, i, j] over all o, i, j, p, q that read x[n, c, h, w].

    g (N, O, oh, ow), w (O, C/groups, kh, kw), shape (N, C, H, W)  ->  gx of `shape`.
    """
    n, c, h, width = shape
    o, _, kh, kw = w.shape
    oh, ow = g.shape[2:]
    gx = _padded_zeros(g, shape, padding)
    if g.size and gx.size:
        k = w[0].size
        # (G, K, O/G) @ (N, G, O/G, P) -> (N, G, K, P)
        cols = matmul(w.reshape(groups, o // groups, k).swapaxes(1, 2), g.reshape(n, groups, o // groups, oh * ow))
        cols = cols.reshape(n, c, kh, kw, oh, ow)
        for i in range(kh):
            for j in range(kw):
                rows, cols_of_tap = _tap_slices(i, j, oh, ow, stride, dilation)
                gx[:, :, rows, cols_of_tap] += cols[:, :, i, j]
    return np.ascontiguousarray(_interior(gx, h, width, padding))


def conv2d_weight(
    x: Array,
    g: Array,
    shape: tuple[int, ...],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """gw[o, c, i, j] = sum over n, p, q of g[n, o, p, q] * x[n, c, p*sh - ph + i*dh, q*sw - pw + j*dw].

    x (N, C, H, W), g (N, O, oh, ow), shape (O, C/groups, kh, kw)  ->  gw of `shape`.
    """
    n = x.shape[0]
    o, c_group, kh, kw = shape
    oh, ow = g.shape[2:]
    cols = columns(x, (kh, kw), stride, padding, dilation)
    cols = cols.reshape(n, groups, c_group * kh * kw, oh * ow)  # (N, G, K, P)
    # (N, G, O/G, P) @ (N, G, P, K) -> (N, G, O/G, K), then the sum over images
    gw = matmul(g.reshape(n, groups, o // groups, oh * ow), cols.swapaxes(2, 3)).sum(axis=0, dtype=x.dtype)
    return gw.reshape(shape)
