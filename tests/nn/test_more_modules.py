"""Modules that PyTorch's own table leaves out, each against PyTorch: rearranging, unpooling, adaptive softmax, ..."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, GraphError, ShapeError
from tinygrad_course.nn import functional as F

rng = np.random.default_rng(0)

MODULES = {
    "Unfold": (lambda nn: nn.Unfold((2, 3), 2, 1, (1, 2)), (2, 3, 7, 8)),
    "Unfold of one image": (lambda nn: nn.Unfold(2), (3, 4, 5)),
    "Fold": (lambda nn: nn.Fold((4, 5), (2, 3), padding=1, stride=(1, 2)), (2, 18, 15)),
    "PixelShuffle": (lambda nn: nn.PixelShuffle(2), (2, 8, 3, 4)),
    "PixelUnshuffle": (lambda nn: nn.PixelUnshuffle(2), (2, 2, 6, 4)),
    "ChannelShuffle": (lambda nn: nn.ChannelShuffle(3), (2, 6, 3, 4)),
    "Unflatten": (lambda nn: nn.Unflatten(1, (2, -1)), (3, 8, 2)),
    "Unflatten and Flatten": (lambda nn: nn.Sequential(nn.Flatten(), nn.Unflatten(-1, (8, 2))), (3, 4, 4)),
    "RReLU in evaluation": (lambda nn: nn.RReLU(0.1, 0.5).eval(), (3, 4)),
    "FeatureAlphaDropout in evaluation": (lambda nn: nn.FeatureAlphaDropout().eval(), (3, 4, 2)),
    "SyncBatchNorm": (lambda nn: nn.SyncBatchNorm(4), (3, 4, 2)),
    "SyncBatchNorm in evaluation": (lambda nn: nn.SyncBatchNorm(4).eval(), (3, 4)),
    "circular padding": (lambda nn: nn.CircularPad2d((1, 2, 0, 3)), (2, 3, 4, 5)),
    "padding that cuts off": (lambda nn: nn.ZeroPad2d((-1, 2, 1, -2)), (2, 3, 4, 5)),
}
LOSSES = {
    "TripletMarginLoss": (lambda nn, r: nn.TripletMarginLoss(0.7, reduction=r), [(5, 4)] * 3),
    "TripletMarginLoss, swapped, of one": (lambda nn, r: nn.TripletMarginLoss(2.0, 1.5, 1e-3, True, reduction=r), [(4,)] * 3),
    "TripletMarginWithDistanceLoss": (lambda nn, r: nn.TripletMarginWithDistanceLoss(reduction=r), [(5, 4)] * 3),
    "TripletMarginWithDistanceLoss, own distance": (lambda nn, r: nn.TripletMarginWithDistanceLoss(
        distance_function=lambda a, b: 1 - nn.CosineSimilarity()(a, b), margin=0.5, swap=True, reduction=r), [(5, 4)] * 3),
}


@pytest.mark.parametrize("case", MODULES)
def test_values_gradients_and_buffers(case):
    torch = torch_or_skip()
    build, shape = MODULES[case]
    ours, theirs = build(nn), build(torch.nn)
    compare_module(ours, theirs, rng.standard_normal(shape))
    for (name, a), (_, b) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert_close(a, b, what=name)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", LOSSES)
def test_losses(case, reduction):
    torch = torch_or_skip()
    build, shapes = LOSSES[case]
    compare_module(build(nn, reduction), build(torch.nn, reduction), *[rng.standard_normal(shape) for shape in shapes])


@pytest.mark.parametrize(("axes", "shape", "output_size"), [
    (1, (2, 3, 8), None), (1, (2, 3, 9), (2, 3, 9)), (2, (2, 3, 6, 8), None), (2, (3, 7, 8), (7, 8)),
    (3, (1, 2, 4, 4, 6), None)])
def test_unpooling_is_the_inverse_of_pooling_at_the_maxima(axes, shape, output_size):
    torch = torch_or_skip()
    x = rng.standard_normal(shape)

    def play(lib, tensor):
        pool = getattr(lib.nn, f"MaxPool{axes}d")(2, return_indices=True)
        unpool = getattr(lib.nn, f"MaxUnpool{axes}d")(2)
        y, places = pool(tensor)
        z = unpool(y, places, output_size=None if output_size is None else list(output_size))
        z.backward(lib.tensor(np.arange(z.numel()).reshape(tuple(z.shape)), dtype=lib.float64))
        return z, tensor.grad

    ours, theirs = play(tgc, tgc.tensor(x, requires_grad=True)), play(torch, torch.tensor(x, requires_grad=True))
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)
    kept = ours[0].detach().numpy() != 0
    np.testing.assert_array_equal(ours[0].detach().numpy()[kept], x[kept])


def test_rrelu_draws_slopes():
    layer, x = nn.RReLU(0.2, 0.4), tgc.full((2000,), -1.0, requires_grad=True)
    y = layer(x)
    slopes = -y.detach().numpy()
    assert 0.2 <= slopes.min() < 0.21
    assert 0.39 < slopes.max() <= 0.4
    assert abs(slopes.mean() - 0.3) < 0.01
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes)


def test_feature_alpha_dropout_drops_channels():
    tgc.manual_seed(0)
    x = tgc.randn(50, 40, 30)
    y = nn.FeatureAlphaDropout(0.3)(x).numpy()
    dropped = np.ptp(y, axis=2) == 0
    assert 0.25 < dropped.mean() < 0.35
    assert abs(y.mean()) < 0.05
    assert abs(y.std() - 1) < 0.05


# ---- one process, one cluster --------------------------------------------------------------------------------------------


def test_convert_sync_batchnorm():
    torch = torch_or_skip()

    def build(lib):
        return lib.Sequential(lib.Linear(3, 4), lib.BatchNorm1d(4, momentum=None),
                              lib.Sequential(lib.BatchNorm1d(4, affine=False)))

    ours, theirs = build(nn), build(torch.nn)
    ours.eval()
    theirs.eval()
    before = list(ours.parameters())
    ours, theirs = nn.SyncBatchNorm.convert_sync_batchnorm(ours), torch.nn.SyncBatchNorm.convert_sync_batchnorm(theirs)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(p is q for p, q in zip(ours.parameters(), before, strict=True))
    assert not ours[1].training
    compare_module(ours.train(), theirs.train(), rng.standard_normal((5, 3)))
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3))) is nn.SyncBatchNorm


# ---- local response ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 5])
def test_cross_map_lrn(size):
    """The formula in NumPy.  PyTorch's sums keep channel 0 for ever; up to the channel where it should go they agree."""
    torch = torch_or_skip()
    x = rng.standard_normal((2, 8, 3, 2))
    padded = np.pad(x**2, ((0, 0), (size // 2, (size - 1) // 2), (0, 0), (0, 0)))
    total = sum(padded[:, shift: shift + 8] for shift in range(size))
    y = nn.CrossMapLRN2d(size, alpha=0.5, beta=0.6, k=2.0)(tgc.tensor(x)).numpy()
    np.testing.assert_allclose(y, x / (2.0 + 0.5 / size * total) ** 0.6, rtol=1e-12)
    first = size // 2 + 1
    theirs = torch.nn.CrossMapLRN2d(size, alpha=0.5, beta=0.6, k=2.0)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(y[:, :first], theirs[:, :first], rtol=1e-12)
    if size % 2:
        compare_module(nn.CrossMapLRN2d(size, alpha=0.5), torch.nn.LocalResponseNorm(size, alpha=0.5), x)


# ---- adaptive softmax ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "target"), [
    ({"cutoffs": [4, 10]}, [0, 3, 4, 9, 10, 19]), ({"cutoffs": [4, 10]}, [5, 5]), ({"cutoffs": [4, 10]}, [0, 1]),
    ({"cutoffs": [4, 10]}, [12]), ({"cutoffs": [4, 10]}, 12), ({"cutoffs": [10], "head_bias": True}, [0, 19, 3]),
    ({"cutoffs": [2, 4, 8], "div_value": 2.0}, [1, 2, 7, 8, 3, 3])])
def test_adaptive_log_softmax(options, target):
    torch = torch_or_skip()
    ours = nn.AdaptiveLogSoftmaxWithLoss(16, 20, **options).double()
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, **options).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    target = np.array(target)
    x = rng.standard_normal((*target.shape, 16))
    a, b = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, t = ours(a, tgc.tensor(target)), theirs(b, torch.tensor(target))
    assert y._fields == t._fields
    assert_close(y.output, t.output)
    assert_close(y.loss, t.loss)
    g = rng.standard_normal(target.shape)
    ((y.output * tgc.tensor(g)).sum() + 0.3 * y.loss).backward()
    ((t.output * torch.tensor(g)).sum() + 0.3 * t.loss).backward()
    assert_close(a.grad, b.grad)
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(p.grad, q.grad, what=name)
    many = rng.standard_normal((9, 16)) * 5
    assert_close(ours.log_prob(tgc.tensor(many)), theirs.log_prob(torch.tensor(many)))
    np.testing.assert_array_equal(ours.predict(tgc.tensor(many)).numpy(), theirs.predict(torch.tensor(many)).numpy())
    np.testing.assert_allclose(np.exp(ours.log_prob(tgc.tensor(many)).detach().numpy()).sum(1), 1.0)


def test_adaptive_log_softmax_is_drawn_anew():
    layer = nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4])
    before = layer.head.weight.tolist(), layer.tail[0][1].weight.tolist()
    layer.reset_parameters()
    assert layer.head.weight.tolist() != before[0]
    assert layer.tail[0][1].weight.tolist() != before[1]


# ---- in place ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args"), [
    ("relu_", ()), ("elu_", (0.5,)), ("celu_", (0.5,)), ("selu_", ()), ("leaky_relu_", (0.2,)), ("hardtanh_", (-0.5, 0.7)),
    ("threshold_", (0.1, 3.0)), ("rrelu_", (0.1, 0.3)), ("elu_", ()), ("hardtanh_", ()), ("leaky_relu_", ()), ("rrelu_", ())])
def test_in_place(name, args):
    torch = torch_or_skip()
    x, g = rng.standard_normal((2, 3, 4))

    def play(lib):
        leaf = lib.tensor(x, requires_grad=True)
        y = leaf * 2
        z = getattr(lib.nn.functional, name)(y, *args)
        assert z is y
        y.backward(lib.tensor(g))
        plain = lib.tensor(x)
        assert getattr(lib.nn.functional, name)(plain, *args) is plain
        return y, leaf.grad, plain

    for a, b in zip(play(tgc), play(torch), strict=True):
        assert_close(a, b)
    with pytest.raises(GraphError, match=rf"{name}: this tensor of shape \(2,\) is a leaf that requires a gradient"):
        getattr(F, name)(tgc.ones(2, requires_grad=True), *(args or ((0.0, 1.0) if name == "threshold_" else ())))


# ---- mistakes ------------------------------------------------------------------------------------------------------------


adaptive = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.Bilinear(0, 2, 3), ValueError, "in1_features must be > 0, but got 0"),
    (lambda: nn.Unflatten(1, 6), TypeError, "must be a tuple of ints, but found type int"),
    (lambda: nn.Unflatten(1, (2, 1.5)), TypeError, "found element of type float at pos 1"),
    (lambda: nn.FractionalMaxPool2d(2), ValueError, "requires specifying either an output_size, or an output_ratio"),
    (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), ValueError, "only one of output_size and output_ratio"),
    (lambda: nn.FractionalMaxPool3d(2, output_ratio=(0.5, 1.5, 0.5)), ValueError, r"must be between 0 and 1 \(got \(0\.5"),
    (lambda: nn.FractionalMaxPool3d((2, 0, 2), 3), ValueError, "kernel_size must be greater than 0"),
    (lambda: nn.CircularPad1d(1)(tgc.ones(1, 2, 3, 4)), ShapeError, r"expected 2 axes .* or 3 .* shape \(1, 2, 3, 4\)"),
    (lambda: nn.MultiMarginLoss(3), ValueError, "only p == 1 and p == 2 supported, got 3"),
    (lambda: nn.MultiMarginLoss(weight=tgc.ones(2, 2)), ValueError, "None or 1D tensor, got 2D"),
    (lambda: nn.TripletMarginLoss(0), ValueError, "margin to be greater than 0, got 0"),
    (lambda: nn.TripletMarginWithDistanceLoss(margin=-1), ValueError, "margin to be greater than 0, got -1"),
    (lambda: nn.LinearCrossEntropyLoss(3, 4, weight=tgc.ones(3)), ShapeError, r"weight shape to be \(4,\), got \(3,\)"),
    (lambda: nn.LinearCrossEntropyLoss(3, 4, label_smoothing=2.0), ValueError, r"in range \[0, 1\], got 2\.0"),
    (lambda: nn.LinearCrossEntropyOptions(acc_policy="best"), ValueError, "invalid acc_policy: 'best'"),
    (lambda: nn.LinearCrossEntropyOptions(chunking_method="auto:2"), ValueError, "invalid chunking_method: 'auto:2'"),
    (lambda: nn.LinearCrossEntropyOptions(batch_chunk_size=0), ValueError, "positive int or None, got 0"),
    (lambda: nn.NLLLoss2d(), FutureWarning, "use `NLLLoss`"),
    (lambda: nn.Hardtanh(min_value=-2.0), FutureWarning, "min_value is deprecated, use min_val"),
    (lambda: nn.SyncBatchNorm(3, process_group="gpus"), ValueError, "there is one process only"),
    (lambda: nn.SyncBatchNorm(3)(tgc.ones(3)), ShapeError, r"SyncBatchNorm: expected \(N, C, \.\.\.\)"),
    (lambda: nn.CrossMapLRN2d(3)(tgc.ones(2, 3, 4)), ShapeError, r"expected \(N, C, H, W\), got .* \(2, 3, 4\)"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, []), ValueError, "length larger than 0"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 3]), ValueError, r"unique, positive integers .* got \[5, 3\]"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 10]), ValueError, "between 1 and n_classes-1 = 9"),
    (lambda: adaptive(tgc.ones(2, 8), tgc.tensor([1, 10])), IndexError, r"in \[0, 9\].*\[1, 10\]"),
    (lambda: adaptive(tgc.ones(2, 8), tgc.tensor([1])), ShapeError, r"\(2, 8\) and \(1,\)"),
    (lambda: adaptive(tgc.ones(2, 8), tgc.ones(2)), DTypeError, r"target\.long\(\)"),
    (lambda: F.cross_entropy(tgc.zeros(2, 3), tgc.zeros(2, 3), ignore_index=1), ValueError, "leave ignore_index out"),
    (lambda: F.nll_loss(tgc.zeros(2, 3), tgc.tensor([0, 1]), tgc.ones(3).double()), DTypeError, r"weight\.to\(input"),
    (lambda: F.batch_norm(tgc.randn(3, 2), None, None, training=True, eps=0.0), ValueError, "eps must be positive"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("call", [
    lambda: nn.Softmax()(tgc.ones(2, 2)), lambda: nn.LogSoftmax()(tgc.ones(2, 2)), lambda: nn.Softmin()(tgc.ones(2, 2)),
    lambda: F.softmax(tgc.ones(2, 2)), lambda: nn.NLLLoss2d(), lambda: nn.Hardtanh(min_value=-2.0)])
def test_warnings_are_for_the_line_that_called(call):
    with pytest.warns((UserWarning, FutureWarning)) as seen:
        call()
    assert [warning.filename for warning in seen] == [__file__]
