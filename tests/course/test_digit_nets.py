"""The samples, the small nets and the loop that rows of chapter C share."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.course.digit_nets import Sample, Watched, clothes, digits, draw, fit, judge, mlp
from tinygrad_course.data import load_digits, load_fashion


def keys(sample):
    """Each pattern as bytes."""
    return [row.tobytes() for row in sample.x.numpy()]


def test_samples_are_the_shipped_images_from_0_to_1():
    for load, make, pixels, white in ((load_digits, digits, 64, 16), (load_fashion, clothes, 784, 255)):
        for split in ("train", "test"):
            images, labels = load(split)
            sample = make(split)
            assert tuple(sample.x.shape) == (len(labels), pixels)
            assert len(sample) == len(labels)
            np.testing.assert_allclose(sample.x.numpy()[5].reshape(images.shape[1:]), images[5] / white, rtol=1e-6)
            np.testing.assert_array_equal(sample.y.numpy(), labels)


@pytest.mark.parametrize("wrong", [0.0, 0.2])
def test_drawn_samples_are_disjoint_and_a_share_of_the_labels_is_false(wrong):
    source = digits()
    true = dict(zip(keys(source), source.y.numpy(), strict=True))
    first, second = draw([300, 100], np.random.default_rng(1), wrong)
    assert (len(first), len(second)) == (300, 100)
    assert not set(keys(first)) & set(keys(second))
    for sample in (first, second):
        y = sample.y.numpy()
        assert y.min() >= 0
        assert y.max() < 10
        assert sum(true[key] != label for key, label in zip(keys(sample), y, strict=True)) == round(wrong * len(sample))
    np.testing.assert_array_equal(source.y.numpy(), digits().y.numpy())  # the source keeps its labels
    again, _ = draw([300, 100], np.random.default_rng(1), wrong)
    np.testing.assert_array_equal(again.y.numpy(), first.y.numpy())
    assert keys(again) == keys(first)


def test_false_labels_are_each_of_the_nine_others_alike():
    source = Sample(tgc.zeros(9000, 1), tgc.zeros(9000, dtype=tgc.int64))
    sample, = draw([9000], np.random.default_rng(2), 1.0, source)
    counts = np.bincount(sample.y.numpy(), minlength=10)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 1000).max() < 5 * math.sqrt(1000 * 8 / 9)


def test_mlp_puts_norm_before_and_extra_behind_each_activation():
    net = mlp(64, 8, 4, 10, activation=nn.Tanh, norm=nn.BatchNorm1d, extra=lambda width: nn.Dropout(0.1))
    assert [type(layer).__name__ for layer in net] == [*["Linear", "BatchNorm1d", "Tanh", "Dropout"] * 2, "Linear"]
    assert [tuple(layer.weight.shape) for layer in net if isinstance(layer, nn.Linear)] == [(8, 64), (4, 8), (10, 4)]
    assert [layer.num_features for layer in net if isinstance(layer, nn.BatchNorm1d)] == [8, 4]
    assert [type(layer).__name__ for layer in mlp(3, 2)] == ["Linear"]


def ten():
    """Ten patterns that say which they are."""
    return Sample(tgc.eye(10), tgc.arange(10))


class Seen(nn.Module):
    """A linear net that notes the patterns it is given while it is trained."""

    def __init__(self):
        super().__init__()
        self.linear, self.patterns = nn.Linear(10, 10), []

    def forward(self, x):
        if self.training:
            self.patterns.append(x.numpy().argmax(axis=1).tolist())
        return self.linear(x)


def test_fit_shows_each_pattern_once_per_epoch_in_a_new_order():
    net, done = Seen(), []
    losses = fit(net, ten(), optim.SGD(net.parameters(), lr=0.1), 6, np.random.default_rng(0), batch=5, after=done.append)
    epochs = [a + b for a, b in zip(net.patterns[::2], net.patterns[1::2], strict=True)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert done == [1, 2, 3, 4, 5, 6]
    assert len(losses) == 6


def test_a_rest_that_is_no_batch_is_left_out():
    net = Seen()
    fit(net, ten(), optim.SGD(net.parameters(), lr=0.1), 4, np.random.default_rng(0), batch=4)
    assert [len(batch) for batch in net.patterns] == [4] * 4
    assert not set(net.patterns[0]) & set(net.patterns[1])


def test_a_step_of_fit_is_one_of_the_loss_with_its_penalty():
    """By hand: softmax minus target, and the gradient of the penalty; the loss that is returned has no penalty."""
    tgc.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 10, bias=False)).double()
    sample = Sample(tgc.eye(10).double(), tgc.arange(10))
    w = net[0].weight.detach().numpy().copy()
    loss, = fit(net, sample, optim.SGD(net.parameters(), lr=0.5), 1, np.random.default_rng(0), batch=10,
                penalty=lambda model: 3 * (model[0].weight ** 2).sum(), augment=lambda x: 2 * x)
    scores = 2 * w.T
    y = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    gradient = (2 * (y - np.eye(10)) / 10).T
    np.testing.assert_allclose(net[0].weight.detach().numpy(), w - 0.5 * (gradient + 6 * w), rtol=1e-10, atol=1e-12)
    assert loss == pytest.approx(float(-np.log(np.diag(y)).mean()), rel=1e-10)


def test_judging_is_in_evaluation_mode_and_leaves_training_mode():
    net = nn.Sequential(nn.Dropout(0.9), nn.Linear(10, 10, bias=False))
    with tgc.no_grad():
        net[1].weight.copy_(5 * tgc.eye(10))
        net[1].weight[3, 3] = 0.0
        net[1].weight[4, 3] = 5.0  # pattern 3 is taken for a 4
    loss, error = judge(net, ten())
    right, false = math.log(math.exp(5) + 9) - 5, math.log(math.exp(5) + 9)
    assert loss == pytest.approx((9 * right + false) / 10, rel=1e-5)
    assert error == pytest.approx(0.1)
    assert net.training
    watched = Watched()
    watched.look(7, net, {"a": ten(), "b": Sample(tgc.eye(10)[:3], tgc.arange(3))})
    assert watched.steps == [7]
    assert watched.error == {"a": [error], "b": [0.0]}
    assert watched.loss["a"] == [loss]
