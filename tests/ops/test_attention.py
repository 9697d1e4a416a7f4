"""ops/attention.py: scaled dot-product and multi-head attention."""

from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, Error, S, exactly
from tinygrad_course import ops
from tinygrad_course.autograd.function import apply
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.ops.attention import Attention, JoinHeads, SplitHeads

Array = np.ndarray
HALF = exactly([[True, False, True], [False, False, False]], "bool")


def attention(q: Array, k: Array, v: Array, mask: Any = None, is_causal: bool = False, scale: Any = None,
              enable_gqa: bool = False) -> Array:  # fmt: skip
    """By loops over queries; one that may look nowhere gives 0."""
    if enable_gqa:
        k, v = np.repeat(k, q.shape[-3] // k.shape[-3], -3), np.repeat(v, q.shape[-3] // v.shape[-3], -3)
    front = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (np.broadcast_to(x, (*front, *x.shape[-2:])) for x in (q, k, v))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(q.shape[:-1]):
        scores = np.array([scale * q[place] @ key for key in k[place[:-1]]])
        if is_causal:
            scores[place[-1] + 1 :] = -np.inf
        if mask is not None:
            row = np.broadcast_to(mask, (*q.shape[:-1], k.shape[-2]))[place]
            scores = np.where(row, scores, -np.inf) if mask.dtype == bool else scores + row
        if np.isfinite(scores).any():
            weights = np.exp(scores - scores.max())
            out[place] = weights @ v[place[:-1]] / weights.sum()
    return out


def ours(q: Any, k: Any, v: Any, mask: Any = None, **kwargs: Any) -> Any:
    return ops.scaled_dot_product_attention(q, k, v, mask, **kwargs)


def theirs(q: Any, k: Any, v: Any, mask: Any = None, **kwargs: Any) -> Any:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):  # the one that can be differentiated twice
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **kwargs)


def multi_head(q: Any, k: Any, v: Any, w: Any, b: Any, wo: Any, bo: Any, lib: Any = ops, **kwargs: Any) -> Any:
    """Two heads of two features."""
    options = {"bias_k": None, "bias_v": None, "add_zero_attn": False, **kwargs}
    extra = [options.pop(name) for name in ("bias_k", "bias_v", "add_zero_attn")]
    return lib.multi_head_attention_forward(q, k, v, 4, 2, w, b, *extra, 0.0, wo, bo, **options)


def multi_head_oracle(q: Array, k: Array, v: Array, w: Array, b: Array, wo: Array, bo: Array, **_: Any) -> list[Array]:
    q, k, v = (x @ w[4 * i : 4 * i + 4].T + b[4 * i : 4 * i + 4] for i, x in enumerate((q, k, v)))
    heads, weights = [], []
    for h in (0, 1):
        part = slice(2 * h, 2 * h + 2)
        qh, kh, vh = (x[..., part].swapaxes(0, 1) for x in (q, k, v))  # (N, L, E / H)
        heads.append(attention(qh, kh, vh).swapaxes(0, 1))
        weights.append(attention(qh, kh, np.broadcast_to(np.eye(kh.shape[1]), (len(kh), *[kh.shape[1]] * 2))))
    return [np.concatenate(heads, -1) @ wo.T + bo, np.mean(weights, 0)]


def torch_multi_head(*args: Any, **kwargs: Any) -> Any:
    import torch

    return multi_head(*args, lib=torch.nn.functional, **kwargs)


def weighted(q: Any, k: Any, v: Any, mask: Any = None, scale: float = 0.7, zeros: bool = True) -> Any:
    """The op itself: output and weights."""
    return apply(Attention, (q, k, v, mask), (scale, zeros, 0.0, 0, 0))


def weighted_oracle(q: Array, k: Array, v: Array, mask: Any = None, scale: float = 0.7, zeros: bool = True) -> list[Array]:
    each = np.broadcast_to(np.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2]))
    return [attention(q, k, x, mask, scale=scale) for x in (v, each)]


def torch_weighted(q: Any, k: Any, v: Any, mask: Any = None, scale: float = 0.7, zeros: bool = True) -> Any:
    scores = scale * q @ k.mT
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return weights @ v, weights


def split(x: Array, parts: int, heads: int, samples: int) -> list[Array]:
    """By loops."""
    n, length, width = x.shape[samples], x.shape[1 - samples], x.shape[2] // (parts * heads)
    out = np.zeros((parts, n, heads, length, width))
    for part, i, h, t, d in np.ndindex(out.shape):
        row = x[i, t] if samples == 0 else x[t, i]
        out[part, i, h, t, d] = row[(part * heads + h) * width + d]
    return list(out)


def join(*parts_and_samples: Any) -> Array:
    """By loops."""
    *parts, samples = parts_and_samples
    n, heads, length, width = parts[0].shape
    out = np.zeros((*((n, length) if samples == 0 else (length, n)), len(parts) * heads * width))
    for part, i, h, t, d in np.ndindex(len(parts), *parts[0].shape):
        out[(i, t) if samples == 0 else (t, i)][(part * heads + h) * width + d] = parts[part][i, h, t, d]
    return out


PROJECTIONS = ((12, 4), (12,), (4, 4), (4,))
Q, K, V = (2, 3), (3, 3), (3, 2)
ONE = tgc.ones(2, 1, 4)

CASES = (
    Case(
        "scaled_dot_product_attention",
        ours,
        attention,
        (
            S((2, 2, 3), (2, 4, 3), (2, 4, 2)),
            S(Q, K, V, HALF),
            S((2, 2, 3), K, V, (2, 3), scale=0.3),
            S((3, 3), K, V, is_causal=True),
            S((4, 2, 2), (2, 3, 2), (1, 3, 2), enable_gqa=True),
            S((2, 0, 2), (2, 3, 2), (2, 3, 2)),
        ),
        torch=theirs,
        errors=(
            Error(lambda: ours(tgc.ones(2, 3), tgc.ones(2, 2), tgc.ones(2, 2)), ShapeError, r"attention.*\(2, 3\), \(2, 2\)"),
            Error(lambda: ours(*[tgc.ones(2, 2)] * 4, is_causal=True), ValueError, "attn_mask or is_causal"),
            Error(lambda: ours(*[tgc.ones(2, 2)] * 3, tgc.ones(2, 2).long()), DTypeError, "attn_mask.*int64"),
            Error(lambda: ours(*[tgc.ones(2, 2)] * 3, enable_gqa=True), ShapeError, "enable_gqa"),
        ),
    ),
    Case(
        "attention",
        weighted,
        weighted_oracle,
        (
            S((2, 3), (4, 3), (4, 2)),
            S((2, 2, 3), (2, 4, 3), (2, 4, 2), (2, 4)),
            S((2, 2, 3), (2, 4, 3), (2, 4, 2), (2, 1, 4), zeros=False),
            S((0, 2), (3, 2), (3, 2)),
        ),
        torch=torch_weighted,
        out=("same", "same"),
        errors=(
            Error(lambda: weighted(*[tgc.ones(2, 3), tgc.ones(2, 2)] * 2), ShapeError, r"attention.*\(2, 3\), \(2, 2\)"),
            Error(lambda: weighted(*[tgc.ones(2, 2)] * 3, tgc.ones(3, 2, 2)), ShapeError, r"mask \(3, 2, 2\).*\(2, 2\)"),
        ),
    ),
    Case(
        "split_heads",
        lambda x, *args: apply(SplitHeads, (x,), args),
        split,
        (S((3, 2, 12), args=(3, 2, 1)), S((3, 2, 4), args=(1, 2, 0)), S((0, 2, 4), args=(2, 1, 1))),
        errors=(Error(lambda: apply(SplitHeads, (tgc.ones(2, 2, 5),), (1, 2, 0)), ShapeError, "split_heads.*1 x 2 heads"),),
    ),
    Case(
        "join_heads",
        lambda *tensors, samples: apply(JoinHeads, tensors, (samples,)),
        lambda *arrays, samples: join(*arrays, samples),
        (S((2, 2, 3, 2), (2, 2, 3, 2), samples=1), S((2, 2, 3, 1), samples=0)),
        errors=(
            Error(
                lambda: apply(JoinHeads, (tgc.ones(2, 2, 3, 1), tgc.ones(2, 2, 3, 2)), (1,)),
                ShapeError,
                "join_heads.*one shape",
            ),
        ),
    ),
    Case(
        "multi_head_attention_forward",
        multi_head,
        multi_head_oracle,
        (S((1, 1, 4), (2, 1, 4), (2, 1, 4), *PROJECTIONS),),
        torch=torch_multi_head,
        out=("same", "same"),
        errors=(
            Error(
                lambda: ops.multi_head_attention_forward(
                    ONE, ONE, ONE, 6, 2, None, None, None, None, False, 0.0, tgc.ones(4, 4), None
                ),
                ShapeError,
                "multi_head.*4 features.*embed_dim=6",
            ),
            Error(
                lambda: multi_head(ONE, ONE, ONE, tgc.ones(12, 4), None, tgc.ones(4, 4), None, is_causal=True),
                ValueError,
                "multi_head.*is_causal.*attn_mask",
            ),
            Error(
                lambda: multi_head(
                    ONE, ONE, ONE, tgc.ones(12, 4), None, tgc.ones(4, 4), None, attn_mask=tgc.ones(3, 3)
                ),
                ShapeError,
                r"multi_head.*attn_mask.*\(2, 2\).*\(3, 3\)",
            ),
        ),
    ),
)


class TestBattery(Battery):
    """See battery.py."""


PADDING = np.array([[False, True, False], [False, False, True]])
CAUSAL = np.triu(np.ones((2, 3), bool), 1)
OPTIONS: dict[str, dict[str, Any]] = {
    "padding": {"key_padding_mask": PADDING},
    "bool mask": {"attn_mask": CAUSAL},
    "mask of numbers per head": {"attn_mask": np.linspace(-1, 1, 24).reshape(4, 2, 3)},
    "both masks": {"attn_mask": np.where(CAUSAL, -np.inf, 0.0), "key_padding_mask": np.where(PADDING, -np.inf, 0.0)},
    "one more key": {"bias_k": np.full((1, 1, 4), 0.3), "bias_v": np.full((1, 1, 4), -0.4), "attn_mask": CAUSAL},
    "zero attention": {"add_zero_attn": True, "key_padding_mask": PADDING},
    "weights of the heads": {"average_attn_weights": False},
    "separate maps": {"use_separate_proj_weight": True, **{f"{n}_proj_weight": np.eye(4) + i for i, n in enumerate("qkv")}},
    "static key and value": {"static_k": np.ones((4, 5, 2)), "static_v": np.arange(40.0).reshape(4, 5, 2)},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_those_of_torch(torch: Any, option: str, need_weights: bool) -> None:
    """Values, and the gradients of everything."""
    inputs = S((2, 2, 4), (3, 2, 4), (3, 2, 4), *PROJECTIONS).arrays("heads")
    found: list[list[Any]] = []
    for lib, functional in ((tgc, ops), (torch, torch.nn.functional)):
        tensors = [lib.tensor(x, requires_grad=True) for x in inputs]
        kwargs = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in OPTIONS[option].items()}
        y, weights = multi_head(*tensors, lib=functional, need_weights=need_weights, **kwargs)
        y.backward(lib.tensor(S(tuple(y.shape)).arrays("upstream")[0]))
        found.append([y.tolist(), [] if weights is None else weights.tolist(),
                      *[[] if x.grad is None else x.grad.tolist() for x in tensors]])  # fmt: skip
    for number, (a, b) in enumerate(zip(*found, strict=True)):
        if a == [] or b == []:  # unused: PyTorch has no gradient, or zeros
            np.testing.assert_allclose(np.sum(np.abs(a or b)), 0.0, err_msg=str(number))
        else:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=str(number))


def test_unbatched_and_causal(torch: Any) -> None:
    inputs = S((3, 4), (3, 4), (3, 4), *PROJECTIONS).arrays("heads")
    mask = np.triu(np.ones((3, 3), bool), 1)
    for need_weights in (True, False):
        found = [
            multi_head(*[lib.tensor(x) for x in inputs], lib=f, need_weights=need_weights, is_causal=True,
                       attn_mask=lib.tensor(mask))
            for lib, f in ((tgc, ops), (torch, torch.nn.functional))
        ]  # fmt: skip
        for a, b in zip(*found, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-12)


def test_a_query_that_may_look_nowhere_has_no_nan_in_its_gradient() -> None:
    q = tgc.ones(2, 2, requires_grad=True)
    y = ours(q, tgc.randn(3, 2), tgc.randn(3, 2), tgc.tensor([[True] * 3, [False] * 3]))
    y.sum().backward()
    assert y.tolist()[1] == [0.0, 0.0]
    assert np.isfinite(q.grad.array).all()
    assert q.grad.tolist()[1] == [0.0, 0.0]


def test_dropout_of_weights() -> None:
    q = tgc.ones(1, 2)
    tgc.manual_seed(0)
    y = ours(q, tgc.ones(4000, 2), tgc.ones(4000, 1), dropout_p=0.5)
    assert abs(y.item() - 1) < 0.05
    assert y.item() != 1.0


def test_a_scale_of_numpy_leaves_the_type() -> None:
    q = tgc.randn(2, 3, 4, requires_grad=True)
    y = ours(q, q, q, scale=1 / np.sqrt(9))
    assert y.dtype == tgc.float32
    assert y.tolist() == ours(q, q, q, scale=1 / 3).tolist()
    (g,) = tgc.autograd.grad(y.sum(), q, create_graph=True)
    assert g.dtype == tgc.float32
    with pytest.raises(OperandError, match="expected a real number or a 0-d tensor as scale, got str"):
        ours(q, q, q, scale="1")


def test_heads_that_nobody_uses_have_a_gradient_of_zeros() -> None:
    x = tgc.randn(2, 1, 6, requires_grad=True)
    q, _, v = apply(SplitHeads, (x,), (3, 2, 1))
    (q.sum() + 2 * v.sum()).backward()
    assert x.grad.tolist() == [[[1.0, 1.0, 0.0, 0.0, 2.0, 2.0]]] * 2
