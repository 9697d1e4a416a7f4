"""Autoencoders against PyTorch and formulas in NumPy."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DataError
from tinygrad_course.models import Autoencoder, DenoisingAutoencoder

RNG = np.random.default_rng(0)


def sigmoid(h):
    return 1 / (1 + np.exp(-h))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_reconstruction_and_gradients(tied, output):
    torch = torch_or_skip()
    net = Autoencoder((5, 4, 2), activation=nn.Tanh, output=output, tied=tied).double()
    x = tgc.tensor(RNG.random((6, 5)))
    named = dict(net.named_parameters())
    theirs = {name: torch.tensor(p.detach().numpy().copy(), requires_grad=True) for name, p in named.items()}
    back = [theirs["encoder.2.weight"].T, theirs["encoder.0.weight"].T] if tied else \
        [theirs["decoder.0.weight"], theirs["decoder.2.weight"]]
    h = torch.tensor(x.numpy())
    for weight, bias, last in ((theirs["encoder.0.weight"], theirs["encoder.0.bias"], False),
                               (theirs["encoder.2.weight"], theirs["encoder.2.bias"], False),
                               (back[0], theirs["decoder.0.bias"], False), (back[1], theirs["decoder.2.bias"], True)):
        h = torch.nn.functional.linear(h, weight, bias)
        h = h if last else h.tanh()
    z = h.sigmoid() if output == "sigmoid" else h
    wanted = torch.tensor(x.numpy())
    error = -(wanted * z.log() + (1 - wanted) * (1 - z).log()) if output == "sigmoid" else (wanted - z) ** 2
    error = error.sum(1).mean()
    error.backward()
    assert_close(net(x), z)
    ours = net.reconstruction_error(x)
    ours.backward()
    assert_close(ours, error)
    assert ("decoder.0.weight" in named) == (not tied)
    for name, p in named.items():
        assert_close(p.grad, theirs[name].grad, what=name)


def test_names_are_those_of_the_modules():
    assert list(Autoencoder((5, 2)).state_dict()) == [f"{half}.0.{kind}" for half in ("encoder", "decoder")
                                                      for kind in ("weight", "bias")]
    assert list(Autoencoder((5, 2), tied=True).state_dict()) == ["encoder.0.weight", "encoder.0.bias", "decoder.0.bias"]


def test_masking_takes_its_share_and_leaves_the_rest():
    net = DenoisingAutoencoder((100, 3), amount=0.3, generator=tgc.Generator().manual_seed(1))
    x = tgc.tensor(1 + RNG.random((400, 100)).astype(np.float32))
    damaged = net.corrupt(x).numpy()
    gone = damaged == 0
    assert gone.mean() == pytest.approx(0.3, abs=4.5 * np.sqrt(0.21 / 40_000))
    np.testing.assert_array_equal(damaged[~gone], x.numpy()[~gone])
    assert (net.corrupt(x).numpy() != damaged).any(), "drawn anew each time"
    again = DenoisingAutoencoder((100, 3), amount=0.3, generator=net.generator.manual_seed(1))
    net.generator.manual_seed(1)
    np.testing.assert_array_equal(net.corrupt(x).numpy(), damaged)
    assert again.noise == "masking"


def test_gaussian_noise_has_its_deviation():
    net = DenoisingAutoencoder((100, 3), noise="gaussian", amount=0.2, generator=tgc.Generator().manual_seed(1))
    x = tgc.tensor(RNG.random((400, 100)).astype(np.float32))
    added = net.corrupt(x).numpy() - x.numpy()
    assert added.std() == pytest.approx(0.2, rel=4.5 / np.sqrt(2 * 40_000))
    assert added.mean() == pytest.approx(0, abs=4.5 * 0.2 / 200)


def test_the_denoising_loss_asks_for_the_whole_pattern():
    net = DenoisingAutoencoder((6, 4), amount=0.5, tied=True, generator=tgc.Generator().manual_seed(3)).double()
    x = RNG.random((3, 6))
    found = net.pretraining_loss(tgc.tensor(x)).item()
    net.generator.manual_seed(3)
    damaged = net.corrupt(tgc.tensor(x)).numpy()
    weight, bias, back = (p.detach().numpy() for p in net.parameters())
    z = sigmoid(sigmoid(damaged @ weight.T + bias) @ weight + back)
    assert found == pytest.approx(-(x * np.log(z) + (1 - x) * np.log(1 - z)).sum(axis=1).mean(), rel=1e-12)
    assert "noise='masking', amount=0.5" in repr(net)


def test_the_copy_of_the_encoder_learns_on_its_own():
    net = Autoencoder((5, 3, 2))
    x, encoder = tgc.rand(4, 5), net.as_encoder()
    np.testing.assert_array_equal(encoder(x).detach().numpy(), net.encode(x).detach().numpy())
    with tgc.no_grad():
        encoder[0].weight.fill_(0)
    assert np.abs(net.encoder[0].weight.detach().numpy()).max() > 0


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Autoencoder((4,)), r"sizes are \(4,\); at least two are needed"),
    (lambda: Autoencoder((4, 2), output="tanh"), "output is 'tanh', needed is one of sigmoid, linear"),
    (lambda: DenoisingAutoencoder((4, 2), noise="salt"), "noise is 'salt', needed is one of masking, gaussian"),
    (lambda: DenoisingAutoencoder((4, 2), amount=1.5), "amount is 1.5; needed is a share from 0 to 1 for masking"),
    (lambda: DenoisingAutoencoder((4, 2), noise="gaussian", amount=-1), "a standard deviation of at least 0"),
])
def test_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
