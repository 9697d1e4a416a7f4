"""Greedy layer-wise pre-training: who learns from what, and what comes out as a classifier."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.energy import RBM
from tinygrad_course.errors import DataError
from tinygrad_course.models import Autoencoder, DenoisingAutoencoder
from tinygrad_course.train import classifier, pretrain

X = tgc.tensor((np.random.default_rng(0).random((40, 1)) < 0.5) * np.linspace(0.2, 0.8, 6, dtype=np.float32))


def sgd(parameters):
    return optim.SGD(parameters, lr=0.1)


def test_each_layer_learns_on_the_finished_codes_of_the_one_below():
    """The same as two separate trainings, the second on the codes of the first."""
    def layers():
        tgc.manual_seed(0)
        return Autoencoder((6, 5)), Autoencoder((5, 3))

    together = layers()
    lines = []
    history = pretrain(together, X, sgd, epochs=3, batch_size=16, generator=tgc.Generator().manual_seed(1), say=lines.append)
    apart, generator = layers(), tgc.Generator().manual_seed(1)
    first = pretrain(apart[:1], X, sgd, epochs=3, batch_size=16, generator=generator)
    with tgc.no_grad():
        codes = apart[0].encode(X)
    second = pretrain(apart[1:], codes, sgd, epochs=3, batch_size=16, generator=generator)
    assert history == first + second
    assert [len(losses) for losses in history] == [3, 3]
    assert history[0][-1] < history[0][0]
    assert [line.split(":")[0] for line in lines] == ["layer 1", "layer 2"]
    for ours, theirs in zip(together, apart, strict=True):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_a_stack_of_any_layers_becomes_a_classifier():
    layers = [RBM(6, 5), DenoisingAutoencoder((5, 4)), Autoencoder((4, 4, 3), activation=nn.Tanh)]
    pretrain(layers, X, sgd, epochs=1)
    net = classifier(layers, 7)
    assert [type(part).__name__ for part in net] == [
        "Linear", "Sigmoid", "Linear", "Sigmoid", "Linear", "Tanh", "Linear", "Tanh", "Linear"]
    codes = X
    for layer in layers:
        codes = layer.encode(codes)
    np.testing.assert_array_equal(net[:-1](X).detach().numpy(), codes.detach().numpy())
    assert (net(X).detach().numpy() == 0).all(), "the head starts at zero"
    assert net(X).shape == (40, 7)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: pretrain([RBM(6, 2)], X, sgd, epochs=0), "epochs is 0 and batch_size 100; both must be at least 1"),
    (lambda: pretrain([RBM(6, 2)], X[:0], sgd, epochs=1), "N >= 1 patterns"),
    (lambda: pretrain([RBM(6, 2)], X * float("nan"), sgd, epochs=1), "without NaN"),
    (lambda: pretrain([RBM(6, 2)], X.numpy(), sgd, epochs=1), "to be a Tensor"),
    (lambda: classifier([], 10), "the layers have no Linear"),
])
def test_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_the_loss_of_an_epoch_counts_a_smaller_last_batch_by_its_size():
    class One(RBM):
        def pretraining_loss(self, v):
            return 1 + 0 * self.weight.sum()

    assert pretrain([One(6, 2)], X[:5], sgd, epochs=2, batch_size=2) == [[1.0, 1.0]]
