"""Wrong arguments: each is refused before any arithmetic, by a message that names the op, the value and the rule."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, ops, optim
from tinygrad_course.errors import DTypeError, OperandError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.arguments import described, integer, integers, number, require_fit
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.signal import windows
from tinygrad_course.utils.checkpoint import checkpoint, checkpoint_sequential

x23, square = tgc.ones(2, 3), tgc.eye(3)
lu, pivots = tgc.linalg.lu_factor(tgc.eye(3))
classes = tgc.tensor([0, 1])

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # integers
    (lambda: tgc.narrow(x23, 1, 0.5, 1), OperandError, r"narrow: start must be an integer, got 0\.5"),
    (lambda: tgc.narrow(x23, 1, 0, None), OperandError, "narrow: length must be an integer, got None"),
    (lambda: tgc.narrow(x23, 1, tgc.tensor(0.5), 1), OperandError, r"narrow: start must.*Tensor of shape \(\) and type"),
    (lambda: tgc.select(x23, 0, "a"), OperandError, "select: index must be an integer, got 'a'"),
    (lambda: tgc.select_scatter(x23, tgc.ones(3), 0, 0.5), OperandError, r"select_scatter: index must.*0\.5"),
    (lambda: tgc.chunk(x23, 1.5), OperandError, r"chunk: chunks must be an integer, got 1\.5"),
    (lambda: tgc.tensor_split(x23, 1.5), OperandError, r"tensor_split: the number of sections must.*1\.5"),
    (lambda: tgc.tensor_split(x23, [0, None]), OperandError, "tensor_split: every number of indices must.*None"),
    (lambda: tgc.split_with_sizes(x23, 2), OperandError, "split_with_sizes: split_sizes must be a list of integers, got 2"),
    (lambda: tgc.repeat(x23, 1.5, 2), OperandError, r"repeat: every number of repeats must.*1\.5"),
    (lambda: tgc.combinations(tgc.ones(3), "2"), OperandError, "combinations: r must be an integer, got '2'"),
    (lambda: tgc.diag(x23, 0.5), OperandError, r"diag: diagonal must be an integer, got 0\.5"),
    (lambda: tgc.diagonal(x23, None), OperandError, "diagonal: offset must be an integer, got None"),
    (lambda: tgc.diag_embed(x23, "1"), OperandError, "diag_embed: offset must"),
    (lambda: tgc.diagonal_scatter(x23, tgc.ones(2), 0.5), OperandError, "diagonal_scatter: offset must"),
    (lambda: tgc.tril(x23, 1.5), OperandError, r"tril: diagonal must be an integer, got 1\.5"),
    (lambda: tgc.triu(x23, [1]), OperandError, r"triu: diagonal must be an integer, got \[1\]"),
    (lambda: tgc.tril_indices(3, 2.5), OperandError, r"tril_indices: col must be an integer, got 2\.5"),
    (lambda: tgc.rot90(x23, 1.5), OperandError, r"rot90: k must be an integer, got 1\.5"),
    (lambda: tgc.roll(x23, 0.5, 0), OperandError, r"roll: every number of shifts must be an integer, got 0\.5"),
    (lambda: x23.unfold(1, 1.5, 1), OperandError, r"unfold: size must be an integer, got 1\.5"),
    (lambda: tgc.as_strided(x23, (1,), (1,), 0.5), OperandError, "as_strided: storage_offset must"),
    (lambda: tgc.as_strided(x23, None, (1,)), OperandError, "as_strided: sizes are integers, got None"),
    (lambda: tgc.topk(x23, "2"), OperandError, "topk: k must be an integer, got '2'"),
    (lambda: tgc.kthvalue(x23, None), OperandError, "kthvalue: k must be an integer, got None"),
    (lambda: tgc.nonzero_static(x23, size=1.5), OperandError, r"nonzero_static: size must be an integer, got 1\.5"),
    (lambda: tgc.diff(x23, 1.5), OperandError, r"diff: n must be an integer, got 1\.5"),
    (lambda: tgc.matrix_power(square, 1.5), OperandError, r"matrix_power: n must be an integer, got 1\.5"),
    (lambda: tgc.linalg.vander(x23, N=1.5), OperandError, "vander: N must be an integer"),
    (lambda: tgc.linalg.tensorinv(square, ind="2"), OperandError, "tensorinv: ind must be an integer"),
    (lambda: tgc.tensordot(x23, x23, "ab"), OperandError, "tensordot: dims must be a number of axes or two lists.*'ab'"),
    (lambda: tgc.tensordot(x23, x23, ([0.5], [0])), OperandError, r"tensordot: every number of dims must.*0\.5"),
    (lambda: tgc.round(x23, decimals=1.5), OperandError, r"round: decimals must be an integer, got 1\.5"),
    (lambda: tgc.polygamma(1.5, x23), OperandError, r"polygamma: n must be an integer, got 1\.5"),
    (lambda: tgc.mvlgamma(x23, None), OperandError, "mvlgamma: p must be an integer, got None"),
    (lambda: tgc.histc(x23, 1.5), OperandError, r"histc: bins must be an integer, got 1\.5"),
    (lambda: tgc.multinomial(x23, "1"), OperandError, "multinomial: num_samples must be an integer"),
    (lambda: tgc.linspace(0, 1, 2.5), OperandError, r"linspace: steps must be an integer, got 2\.5"),
    (lambda: tgc.randint(3), TypeError, r"randint: a size is needed: randint\(10, \(2, 3\)\)"),
    (lambda: tgc.zeros(tgc.tensor([2, 3])), TypeError, r"zeros: sizes are integers, got Tensor of shape \(2,\)"),
    (lambda: tgc.empty_permuted((2, 3), 1.5), TypeError, r"empty_permuted: sizes are integers, got 1\.5"),
    (lambda: F.group_norm(x23, "1"), OperandError, "group_norm: num_groups must be an integer"),
    (lambda: F.layer_norm(x23, None), OperandError, "layer_norm: normalized_shape must be a list of integers, got None"),
    (lambda: F.local_response_norm(tgc.ones(1, 2, 3), 1.5), OperandError, "local_response_norm: size must be an integer"),
    (lambda: F.pad(x23, (1, None)), OperandError, "pad: every number of pad must be an integer, got None"),
    (lambda: F.max_unpool1d(x23, x23.long(), 1, output_size=0.5), OperandError, "max_unpool1d: every number of output_size"),
    (lambda: windows.hann(1.5), OperandError, r"hann: M must be an integer, got 1\.5"),
    (lambda: tgc.randperm(1.5), OperandError, r"randperm: n must be an integer, got 1\.5"),
    (lambda: tgc.one_hot(classes, 1.5), OperandError, r"one_hot: num_classes must be an integer, got 1\.5"),
    (lambda: tgc.bincount(classes, minlength="a"), OperandError, "bincount: minlength must be an integer, got 'a'"),
    (lambda: tgc.svd_lowrank(square, "a"), OperandError, "svd_lowrank: q must be an integer, got 'a'"),
    (lambda: tgc.histogram(x23, None), OperandError, "histogram: bins must be an integer, got None"),
    (lambda: F.embedding(classes, x23, padding_idx="a"), OperandError, "embedding: padding_idx must be an integer"),
    (lambda: x23.sum(np.ones(2, int)), TypeError, r"sum: an axis is an integer, got ndarray of shape \(2,\)"),
    (lambda: tgc.vander(tgc.ones(3), 1.5), OperandError, r"vander: N must be an integer, got 1\.5"),
    (lambda: tgc.slice_copy(x23, 0, 0.5), OperandError, r"slice: start must be an integer, got 0\.5"),
    (lambda: F.affine_grid(x23[None], 3), OperandError, "affine_grid: size must be a list of integers, got 3"),
    (lambda: F.channel_shuffle(x23[None], None), OperandError, "channel_shuffle: groups must be an integer, got None"),
    # numbers
    (lambda: F.lp_pool1d(x23, 0.0, 1), ValueError, "lp_pool1d: norm_type must not be 0"),
    (lambda: windows.hamming_window(4, alpha="a"), OperandError, "hamming.*: .*as a weight, got str"),
    (lambda: tgc.std(x23, correction="a"), OperandError, "std: .*as correction, got str"),
    (lambda: tgc.linalg.pinv(square, rtol="a"), OperandError, "pinv: .*as tolerance, got str"),
    (lambda: windows.kaiser(4, beta=None), OperandError, "kaiser: .*as beta, got NoneType"),
    (lambda: F.avg_pool2d(x23[None], 1, divisor_override="a"), OperandError, "avg_pool2d: .*as divisor_override"),
    (lambda: F.embedding(classes, x23.clone(), max_norm="a"), OperandError, "embedding: .*as max_norm, got str"),
    (lambda: F.dropout(x23, "a"), OperandError, "dropout: expected a real number or a 0-d tensor as p, got str"),
    (lambda: nn.Dropout("a"), OperandError, "dropout: .*as p, got str"),
    (lambda: F.rrelu(x23, None), OperandError, "rrelu: .*as lower, got NoneType"),
    (lambda: F.rrelu(x23, float("nan")), ValueError, "rrelu: lower nan must not be greater than upper"),
    (lambda: F.batch_norm(x23, None, None, training=True, eps="a"), OperandError, "batch_norm: .*as eps, got str"),
    (lambda: F.layer_norm(x23, (3,), eps="a"), OperandError, "layer_norm: .*as eps, got str"),
    (lambda: F.huber_loss(x23, x23, delta=float("nan")), ValueError, "huber_loss: delta must be greater than 0, got nan"),
    (lambda: F.huber_loss(x23, x23, delta=None), OperandError, "huber_loss: .*as delta, got NoneType"),
    (lambda: F.cross_entropy(x23, classes, label_smoothing="a"), OperandError, "cross_entropy: .*as label_smoothing"),
    (lambda: F.triplet_margin_loss(x23, x23, x23, margin=None), OperandError, "triplet_margin_loss: .*as margin"),
    (lambda: F.interpolate(x23[None], scale_factor=float("nan")), ShapeError, "interpolate: scale_factor must be pos.*nan"),
    (lambda: F.interpolate(x23[None], scale_factor="2"), OperandError, "interpolate: .*as scale_factor, got str"),
    (lambda: F.pad(x23, (1, 1), value="a"), OperandError, "pad: .*as value, got str"),
    (lambda: F.lp_pool1d(x23, "2", 1), OperandError, "lp_pool1d: .*as norm_type"),
    (lambda: tgc.cdist(x23, x23, None), OperandError, "cdist: .*as p, got NoneType"),
    (lambda: tgc.cdist(x23, x23, float("nan")), ValueError, "cdist: p must not be negative, got nan"),
    (lambda: tgc.cosine_similarity(x23, x23, eps=-1.0), ValueError, r"cosine_similarity: eps must not.*-1\.0"),
    (lambda: tgc.renorm(x23, 2, 0, float("nan")), ValueError, "renorm: .*maxnorm = nan"),
    (lambda: tgc.allclose(x23, x23, rtol="a"), OperandError, "isclose: .*as rtol, got str"),
    (lambda: tgc.logit(x23, "a"), OperandError, "logit: .*as eps, got str"),
    (lambda: tgc.quantile(x23, "a"), OperandError, "quantile: .*as q, got str"),
    (lambda: tgc.logspace(0, 1, 2, "a"), OperandError, "logspace: .*as base, got str"),
    (lambda: tgc.uniform(x23, "a"), OperandError, "uniform: .*as a, got str"),
    (lambda: tgc.exponential(x23, None), OperandError, "exponential: .*as lambd, got NoneType"),
    (lambda: tgc.log_normal(x23, 0.0, float("nan")), ValueError, "log_normal: the standard deviation must be positive"),
    (lambda: windows.gaussian(4, std="a"), OperandError, "gaussian: .*as std, got str"),
    (lambda: windows.general_cosine(4, a=1), OperandError, "general_cosine: a must be a list of weights, got 1"),
    # numbers that do not fit into a type: NumPy would cut them off
    (lambda: tgc.full((2,), 300, dtype="uint8"), DTypeError, "full: the value 300 does not fit into the dtype uint8.*255"),
    (lambda: tgc.full((2,), float("nan"), dtype="int64"), DTypeError, "full: the value nan does not fit .* int64"),
    (lambda: tgc.full_like(x23.byte(), -7.5), DTypeError, r"full_like: the value -7\.5 does not fit .* uint8"),
    (lambda: tgc.new_full(x23.int(), (2,), 1e10), DTypeError, "full: the value 10000000000.0 does not fit .* int32"),
    # lists of tensors
    (lambda: tgc.cat(x23, x23), OperandError, r"cat: expected a list of tensors, got Tensor of shape.*cat\(\[x, y\]\)"),
    (lambda: tgc.cat(None), OperandError, "cat: expected a list of tensors, got None"),
    (lambda: tgc.hstack([x23, None]), OperandError, "hstack: expected tensors, number 1 is NoneType"),
    (lambda: tgc.vstack(3), OperandError, "vstack: expected a list of tensors, got 3"),
    (lambda: tgc.dstack([[1.0]]), OperandError, "dstack: expected tensors, number 0 is list"),
    (lambda: tgc.column_stack("ab"), OperandError, "column_stack: expected a list of tensors, got 'ab'"),
    (lambda: tgc.atleast_2d([1.0, 2.0]), OperandError, "atleast_2d: argument 0 must be a Tensor, got float"),
    (lambda: tgc.linalg.multi_dot(x23), OperandError, r"multi_dot: expected a list of tensors.*multi_dot\(\[x, y\]\)"),
    (lambda: tgc.index_put(x23, None, x23), OperandError, r"index_put: indices must be a tuple of tensors.*\(index,\)"),
    # None in place of a tensor that is needed, and of one that may be missing
    (lambda: F.conv2d(tgc.ones(1, 1, 4, 4), None), OperandError, "conv2d: argument 1 must be a Tensor, got NoneType"),
    (lambda: F.linear(x23, None), OperandError, "linear: argument 1 must be a Tensor, got NoneType"),
    (lambda: F.linear(x23, x23, [1.0, 2.0]), OperandError, "linear: bias must be a Tensor or None, got list"),
    (lambda: F.cross_entropy(x23, None), OperandError, "cross_entropy: argument 1 must be a Tensor, got NoneType"),
    (lambda: F.cross_entropy(x23, classes, [1.0]), OperandError, "cross_entropy: weight must be a Tensor or None, got list"),
    (lambda: tgc.gather(x23, 0, None), OperandError, "gather: argument 1 must be a Tensor, got NoneType"),
    (lambda: tgc.masked.amax([1.0], 0), OperandError, "amax: argument 0 must be a Tensor, got list"),
    # shapes and indices that read, or count, something else than was meant
    (lambda: F.nll_loss(x23, classes, tgc.ones(2)), ShapeError, r"nll_loss: 3 classes need a weight of shape \(3,\).*\(2,\)"),
    (lambda: F.cross_entropy(x23, x23, tgc.ones(1)), ShapeError, r"cross_entropy: 3 classes need a weight.*\(1,\)"),
    (lambda: tgc.lu_solve(square, lu, pivots[:2]), ShapeError, r"lu_solve: LU of shape \(3, 3\).*\(3,\), got \(2,\)"),
    (lambda: tgc.lu_unpack(lu, pivots + 5), IndexError, "lu_unpack: the pivots must be between 1 and 3.*6 and 8"),
    (lambda: tgc.lu_solve(square, lu, [1, 2, 3]), OperandError, "lu_solve: argument 1 must be a Tensor, got list"),
    (lambda: tgc.prod(tgc.tensor(2.0), 5), ShapeError, "prod: dim 5 does not exist in a tensor with 0 axes"),
    (lambda: tgc.flatten(tgc.tensor(2.0), 1), ShapeError, "flatten: dim 1 does not exist in a tensor with 0 axes"),
    (lambda: tgc.searchsorted(tgc.ones(4), x23, sorter=classes), ShapeError, r"searchsorted: .*\(4,\).*sorter \(2,\)"),
    (lambda: x23 @ tgc.ones(2), ShapeError, r"matmul: \(2, 3\) @ \(2,\): .*size 3.* 2;.*equal. Did you mean x\.mT @ y"),
    (lambda: tgc.ones(3) @ tgc.ones(2, 4), ShapeError, r"matmul: \(3,\) @ \(2, 4\): .*size 3.*second-to-last.* 2;"),
    (lambda: tgc.cdist(tgc.ones(2, 3, 4), tgc.ones(3, 3, 4)), ShapeError, r"cdist \(leading axes\): .*\(2,\) and \(3,\)"),
    (lambda: F.pairwise_distance(x23, tgc.ones(4, 3)), ShapeError, r"pairwise_distance: the shapes \(2, 3\) and \(4, 3\)"),
    (lambda: tgc.linalg.cross(x23, tgc.ones(4, 3)), ShapeError, r"cross: the shapes \(2, 3\) and \(4, 3\)"),
    (lambda: F.cosine_embedding_loss(x23, x23, tgc.ones(3)), ShapeError, r"cosine_embedding_loss: .*\(3,\) and \(2,\)"),
    (lambda: F.multilabel_soft_margin_loss(x23[0, 0], x23[0, 0]), ShapeError, "multilabel_soft_margin_loss: .*of classes"),
    (lambda: tgc.masked_fill(x23, tgc.ones(2, 4) > 0, 1.0), ShapeError, r"masked_fill: the shapes \(2, 3\) and \(2, 4\)"),
    (lambda: tgc.index_put(x23, (tgc.tensor([5]),), x23[0]), IndexError, r"index_put: .*\(2, 3\).*out of bounds"),
    (lambda: tgc.trapezoid(tgc.ones(2, 2, 3), x23, dim=0), ShapeError, "trapezoid: y has 2 values along dim 0, x 0 places"),
    (lambda: tgc.ormqr(square, tgc.tensor(1.0), square), ShapeError, "ormqr: tau needs an axis"),
    (lambda: tgc.ormqr(square, [1.0], square), OperandError, "ormqr: argument 1 must be a Tensor, got list"),
    (lambda: tgc.histogram(x23, tgc.ones(1, 2)), ShapeError, r"histogram: the edges.*\(1, 2\)"),
    (lambda: tgc.one_hot(tgc.tensor([-1])), IndexError, "one_hot: class -1"),
    (lambda: tgc.broadcast_shapes((2, "a")), OperandError, r"broadcast_shapes: sizes are integers, got \(2, 'a'\)"),
    (lambda: F.grid_sampler(x23, x23, 7, 0, False), OperandError, "grid_sampler: the modes are numbers, 0 to 2.*got 7"),
    # functions of functions
    (lambda: tgc.functional.jacobian(None, x23), OperandError, "jacobian: func must be a function.*NoneType"),
    (lambda: tgc.functional.vjp(tgc.sum, classes), DTypeError, r"vjp: input 0 has dtype int64.*x\.float\(\)"),
    (lambda: checkpoint(None, x23), OperandError, "checkpoint: the first argument must be a function, got NoneType"),
    (lambda: checkpoint_sequential(nn.ReLU(), 1, x23), OperandError, "checkpoint_sequential: functions must be a list.*ReLU"),
    (lambda: checkpoint_sequential([tgc.exp], 0.5, x23), OperandError, "checkpoint_sequential: segments must be an integer"),
    # layers and optimisers
    (lambda: optim.SGD(nn.Linear(2, 3)), TypeError, r"SGD: params must be.*got Linear: give model\.parameters\(\)$"),
    (lambda: optim.SGD(nn.Linear(2, 3).parameters), TypeError, "SGD: .*got method: .*with the brackets"),
    (lambda: nn.Sequential(nn.ReLU), TypeError, r"ReLU is a class: make a layer of it, ReLU\(\.\.\.\)"),
    (lambda: tgc.binomial(tgc.ones(2), tgc.ones(3) / 2), ShapeError, r"binomial: the shapes \(2,\) and \(3,\)"),
    # types
    (lambda: F.max_pool1d(x23 > 0, 1), DTypeError, r"max_pool1d: truth values cannot be pooled; use x\.float\(\)"),
    (lambda: x23.byte() == -1, DTypeError, r"the number -1 does not fit into uint8.*x\.long\(\)"),
    (lambda: tgc.promote_types("float32", "flot"), DTypeError, "dtype 'flot' is not supported"),
    (lambda: x23.type("flot"), DTypeError, "dtype 'flot' is not supported"),
    (lambda: tgc.can_cast(None, "int64"), DTypeError, "dtype None is not supported"),
    (lambda: F.embedding_bag(classes, x23, tgc.zeros(1)), DTypeError, "embedding_bag: the offsets must be integers.*float32"),
    (lambda: F.layer_norm(x23, (3,), tgc.ones(3).double()), DTypeError, "layer_norm: .* float32, the weight float64"),
    (lambda: F.binary_cross_entropy(x23 > 0, x23), DTypeError, "binary_cross_entropy: the input must be floating.*bool"),
    (lambda: F.nll_loss(x23.long(), classes), DTypeError, r"nll_loss: the input must be.*int64; use input\.float\(\)"),
    (lambda: F.multi_margin_loss(x23 > 0, classes), DTypeError, "multi_margin_loss: the input must be floating.*bool"),
    (lambda: F.mse_loss(classes, classes), DTypeError, r"mse_loss: the input is int64 and the target int64.*float\(\)"),
    (lambda: tgc.masked.amax(x23 > 0, 0), DTypeError, "amax: truth values have no extremes"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_message(number: int) -> None:
    call, kind, message = WRONG[number]
    with pytest.raises(kind) as caught:
        call()
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert len(str(caught.value)) < 400


def _attention(**changed: Any) -> None:
    given = {"in_proj_weight": tgc.ones(12, 4), "in_proj_bias": tgc.ones(12), "out_proj_weight": tgc.ones(4, 4),
             "out_proj_bias": tgc.ones(4), "num_heads": 2, "bias_k": None, "bias_v": None} | changed
    x = tgc.ones(3, 1, 4)
    F.multi_head_attention_forward(x, x, x, 4, add_zero_attn=False, dropout_p=0.0, **given)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"in_proj_weight": tgc.ones(13, 4)}, ShapeError, r"in_proj_weight must have the shape \(12, 4\).*\(13, 4\)"),
        ({"in_proj_bias": tgc.ones(13)}, ShapeError, r"in_proj_bias must have the shape \(12,\).*\(13,\)"),
        ({"out_proj_weight": tgc.ones(4, 5)}, ShapeError, r"out_proj_weight must have the shape \(4, 4\)"),
        ({"out_proj_bias": tgc.ones(1)}, ShapeError, r"out_proj_bias must have the shape \(4,\)"),
        ({"bias_k": tgc.ones(()), "bias_v": tgc.ones(1, 1, 4)}, ShapeError, r"bias_k must have the shape.*\(1, 1, 4\)"),
        ({"num_heads": 0}, ShapeError, "num_heads=0"),
        ({"num_heads": None}, OperandError, "num_heads must be an integer, got None"),
        ({"out_proj_weight": None}, OperandError, "must be a Tensor, got NoneType"),
    ],
)
def test_weights_of_attention(changed: dict[str, Any], kind: type[Exception], message: str) -> None:
    _attention()
    with pytest.raises(kind, match="multi_head_attention_forward: .*" + message):
        _attention(**changed)


def test_integer_takes_what_python_takes_for_one() -> None:
    assert [integer("f", "n", n) for n in (3, np.int8(3), True, tgc.tensor(3))] == [3, 3, 1, 3]
    assert integers("f", "n", [1, np.int64(2), tgc.tensor(3)]) == (1, 2, 3)
    assert integers("f", "n", range(3)) == (0, 1, 2)
    for wrong in (1.0, "3", None, tgc.tensor(1.0), tgc.tensor([1, 2])):
        with pytest.raises(OperandError, match="f: n must be an integer"):
            integer("f", "n", wrong)
    for wrong in (3, None, "12", tgc.tensor([1, 2])):
        with pytest.raises(OperandError, match="f: n must be a list of integers"):
            integers("f", "n", wrong)


def test_number_takes_real_numbers() -> None:
    assert [number("f", n) for n in (2, 2.0, np.float32(2), tgc.tensor(2.0), np.array(2))] == [2, 2, 2, 2, 2]
    for wrong in ("2", None, [2.0], 2j, tgc.ones(1)):
        with pytest.raises(OperandError, match="f: expected a real number or a 0-d tensor as n"):
            number("f", wrong, "n")


def test_numbers_fit_the_type_that_holds_them() -> None:
    for value, dtype in ((255, "uint8"), (-128, "int8"), (1e38, "float32"), (float("inf"), "float16"), (5, "bool")):
        require_fit("f", value, np.dtype(dtype))
    for value, dtype in ((256, "uint8"), (-1, "uint8"), (1e39, "float32"), (float("inf"), "int64")):
        with pytest.raises(DTypeError, match=f"f: the value {re.escape(str(value))} does not fit into the dtype {dtype}"):
            require_fit("f", value, np.dtype(dtype))


def test_values_in_messages_are_short() -> None:
    assert described(1.5) == "1.5"
    assert described(tgc.ones(100)) == "Tensor of shape (100,) and type float32"
    assert described(list(range(100))) == "list"


def test_tensors_by_name_may_be_missing() -> None:
    require_tensors("f", x23, bias=None)
    with pytest.raises(OperandError, match="f: argument 1 must be a Tensor, got NoneType"):
        require_tensors("f", x23, None)
    with pytest.raises(OperandError, match="f: bias must be a Tensor or None, got ndarray"):
        require_tensors("f", x23, bias=np.ones(2))


def _takes_a_tensor(name: str) -> bool:
    parameters = list(inspect.signature(getattr(ops, name)).parameters.values())
    return bool(parameters) and parameters[0].name in ("input", "x1", "y", "logits", "A")


@pytest.mark.parametrize("name", [n for n in ops.__all__ if callable(getattr(ops, n)) and _takes_a_tensor(n)])
@pytest.mark.parametrize("wrong", ["text", [1.0, [2.0]]], ids=["str", "list"])
def test_what_is_no_tensor_is_refused(name: str, wrong: Any) -> None:
    """Whatever the function: a TypeError that says so, never an AttributeError from inside."""
    function = getattr(ops, name)
    needed = [p for p in inspect.signature(function).parameters.values()
              if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    with pytest.raises(TypeError):
        function(wrong, *[1] * (len(needed) - 1))
