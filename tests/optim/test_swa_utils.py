"""Averaged models and their batch norm statistics, against PyTorch and against means."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.optim import swa_utils


def net(lib):
    return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))


def train(lib, model, step):
    """Stand-in for training: other weights, and statistics of a batch."""
    rng = np.random.default_rng(step)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(rng.standard_normal(tuple(p.shape)).astype("float32")))
    model(lib.tensor(rng.standard_normal((5, 3)).astype("float32")))


AVERAGES = {
    "default": lambda lib: {},
    "swa": lambda lib: {"avg_fn": lib.optim.swa_utils.get_swa_avg_fn()},
    "ema": lambda lib: {"avg_fn": lib.optim.swa_utils.get_ema_avg_fn(0.7)},
    "multi swa": lambda lib: {"multi_avg_fn": lib.optim.swa_utils.get_swa_multi_avg_fn()},
    "multi ema": lambda lib: {"multi_avg_fn": lib.optim.swa_utils.get_ema_multi_avg_fn(0.8)},
}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", AVERAGES)
def test_averages_are_torchs(kind, use_buffers):
    torch = torch_or_skip()
    ours, theirs = net(tgc), net(torch)
    # PyTorch's get_swa_multi_avg_fn cannot average the counters of batch norm; the same mean one by one can.
    oracle = "swa" if kind == "multi swa" and use_buffers else kind
    averages = [lib.optim.swa_utils.AveragedModel(model, use_buffers=use_buffers, **AVERAGES[name](lib))
                for lib, model, name in ((tgc, ours, kind), (torch, theirs, oracle))]
    for step in range(5):
        for lib, model, average in ((tgc, ours, averages[0]), (torch, theirs, averages[1])):
            train(lib, model, step)
            average.update_parameters(model)
    mine, other = (average.state_dict() for average in averages)
    assert list(mine) == list(other)
    assert mine["n_averaged"].item() == 5
    for name, value in other.items():
        assert_close(mine[name].double(), value.double(), 1e-5, 1e-6, what=name)
    fresh = torch.optim.swa_utils.AveragedModel(net(torch))
    fresh.load_state_dict(to_torch(dict(mine)))
    swa_utils.AveragedModel(net(tgc)).load_state_dict(mine)
    x = np.random.default_rng(9).standard_normal((4, 3)).astype("float32")
    assert_close(averages[0].eval()(tgc.tensor(x)), averages[1].eval()(torch.tensor(x)), 1e-4, 1e-5)


def test_the_default_is_the_plain_mean_and_leaves_the_model_alone():
    model = nn.Linear(3, 2)
    average = swa_utils.AveragedModel(model)
    seen = []
    for step in range(4):
        with tgc.no_grad():
            model.weight.copy_(tgc.randn(2, 3, generator=tgc.Generator().manual_seed(step)))
        seen.append(model.weight.detach().numpy().copy())
        average.update_parameters(model)
    np.testing.assert_allclose(average.module.weight.detach().numpy(), np.mean(seen, axis=0), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(model.weight.detach().numpy(), seen[-1])
    assert average.module.weight.requires_grad


@pytest.mark.parametrize("with_targets", [True, False])
def test_update_bn_takes_the_means_over_batches(with_targets):
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((6, 3)).astype("float32") for _ in range(4)]
    ours, theirs = net(tgc), net(torch)
    train(tgc, ours, 1)
    train(torch, theirs, 1)
    for lib, model in ((tgc, ours.eval()), (torch, theirs.eval())):
        tensors = [lib.tensor(x) for x in batches]
        lib.optim.swa_utils.update_bn([(x, None) for x in tensors] if with_targets else tensors, model)
        assert not model.training
        assert model[1].momentum == 0.1
    for name, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[name].double(), value.double(), 1e-5, 1e-6, what=name)
    hidden = [x @ ours[0].weight.detach().numpy().T + ours[0].bias.detach().numpy() for x in batches]
    expected = np.mean([h.mean(0) for h in hidden], axis=0)
    np.testing.assert_allclose(ours[1].running_mean.numpy(), expected, rtol=1e-5, atol=1e-6)
    swa_utils.update_bn(iter(()), nn.Linear(2, 2))


def test_mistakes():
    with pytest.raises(ValueError, match=r"Invalid decay value 1\.5 provided"):
        swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="Invalid decay value -1 provided"):
        swa_utils.get_ema_multi_avg_fn(-1)
    with pytest.raises(ValueError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=swa_utils.get_swa_avg_fn(),
                                multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
