"""compare: two models layer by layer."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import to_torch
from tinygrad_course import nn
from tinygrad_course.io import compare


def build(lib, inplace=False):
    return lib.Sequential(lib.Conv2d(1, 4, 3), lib.BatchNorm2d(4), lib.ReLU(inplace=inplace), lib.Flatten(),
                          lib.Linear(64, 2))


def pair(torch):
    ours, theirs = build(nn), build(torch.nn, inplace=True)
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    return ours.eval(), theirs.eval()


X = np.random.default_rng(0).standard_normal((2, 1, 6, 6)).astype(np.float32)


def test_equal_models_agree_and_stay_as_they_were(torch):
    ours, theirs = pair(torch)
    ours.train()
    theirs.train()
    ours[0].weight.grad = tgc.ones(4, 1, 3, 3)
    state = {key: value.numpy().copy() for key, value in ours.state_dict().items()}
    their_state = {key: value.clone() for key, value in theirs.state_dict().items()}
    report = compare(ours, theirs, X, gradients=True)
    assert report.ok
    assert report.first is None
    assert [row.path for row in report.rows] == ["0", "1", "2", "3", "4", ""]
    assert [row.path for row in report.gradients] == [name for name, _ in ours.named_parameters()]
    assert max(row.relative for row in report.rows) < 1e-5
    assert "all 6 outputs agree" in str(report)
    for key, value in ours.state_dict().items():  # running statistics
        np.testing.assert_array_equal(value.numpy(), state[key])
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, their_state[key])
    assert ours[0].weight.grad.tolist() == tgc.ones(4, 1, 3, 3).tolist()
    assert ours[4].weight.grad is None
    assert all(p.grad is None for p in theirs.parameters())
    for module in ours.modules():
        assert not module._forward_hooks
        assert not module._hooked
    assert not any(module._forward_hooks for module in theirs.modules())


def test_the_first_layer_that_deviates_is_marked(torch):
    ours, theirs = pair(torch)
    with tgc.no_grad():
        ours[1].weight[2] += 0.5
    report = compare(ours, theirs, tgc.tensor(X))
    assert not report.ok
    assert report.first.path == "1"
    assert report.first.kind == "BatchNorm2d"
    lines = str(report).splitlines()
    assert lines[0].startswith("1 (BatchNorm2d) is the first to deviate")
    assert [line.split("  <--")[1] for line in lines if "<--" in line] == [" first deviation"]
    assert next(line for line in lines if "<--" in line).startswith("1 ")
    assert lines[2].startswith("0 ")
    assert "deviates" not in lines[2]
    # the numbers, by hand: the deviation is 0.5 of the normalised values of channel 2
    normalised = (theirs[0](torch.tensor(X)) / (1 + 1e-5) ** 0.5)[:, 2].abs().max().item()
    np.testing.assert_allclose(report.first.absolute, 0.5 * normalised, rtol=1e-4)


def test_gradients_that_deviate_alone(torch):
    ours, theirs = pair(torch)
    theirs[4].weight.register_hook(lambda g: 2 * g)
    report = compare(ours, theirs, X, gradients=True)
    assert report.first is None
    assert not report.ok
    assert [row.path for row in report.gradients if row.deviates] == ["4.weight"]
    assert "<-- first deviation" in str(report)


def test_against_our_own_and_against_recorded_activations():
    a, b = build(nn), build(nn)
    b.load_state_dict(a.state_dict())
    assert compare(a, b, X, gradients=True).ok
    recorded = {"0": a[0](tgc.tensor(X)).detach().numpy(), "": np.zeros((2, 2)), "head": np.zeros(3)}
    report = compare(a, recorded, X)
    assert [row.path for row in report.rows if row.deviates] == [""]
    assert report.only_reference == ["head"]
    assert report.only_model == ["1", "2", "3", "4"]
    assert "only the reference has: head" in str(report)
    with pytest.raises(TypeError, match="recorded activations have no gradients"):
        compare(a, recorded, X, gradients=True)
    with pytest.raises(TypeError, match="must be a Module, a PyTorch module or a dict of activations, got int"):
        compare(a, 3, X)


def test_other_shapes_nan_and_modes():
    a, b = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 4))
    report = compare(a, b.eval(), np.ones((1, 3), np.float32))
    assert report.first.shape == "(1, 2) against (1, 4)"
    assert "the model is in training mode, the reference in evaluation mode" in str(report)
    c = nn.Sequential(nn.Linear(3, 2))
    c.load_state_dict(a.state_dict())
    with tgc.no_grad():
        c[0].bias.fill_(float("nan"))
    assert compare(c, a, np.ones((1, 3), np.float32)).first.absolute == np.inf
    assert compare(a, c, np.ones((1, 3), np.float32)).first.absolute == np.inf
    assert compare(c, c, np.ones((1, 3), np.float32)).ok
    assert "nothing was compared" in str(compare(a, {"x": np.ones(1)}, np.ones((1, 3), np.float32)))


def test_modules_called_twice_and_several_outputs(torch):
    class Twice:
        def forward(self, x):
            x = self.layer(self.layer(x))
            y, (h, c) = self.rnn(x)
            return {"y": y, "states": [h, c]}

    def make(lib):
        kind = type("Twice", (Twice, lib.Module), {"__init__": lambda self: lib.Module.__init__(self)})
        model = kind()
        model.layer, model.rnn = lib.Linear(3, 3), lib.LSTM(3, 2, batch_first=True)
        return model

    ours, theirs = make(nn), make(torch.nn)
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    report = compare(ours, theirs, np.ones((2, 5, 3), np.float32), gradients=True)
    assert [row.path for row in report.rows] == ["layer", "layer (2)", "rnn", ""]
    assert report.ok
    assert len(report.gradients) == 6
    ours.double()
    assert compare(ours, theirs.double(), np.ones((2, 5, 3))).rtol < 1e-7


def test_inputs_that_a_model_writes_into():
    class Shift(nn.Module):
        def forward(self, x):
            return x.add_(1.0) * 2

    for x in (tgc.zeros(3), np.zeros(3, np.float32)):
        report = compare(Shift(), Shift(), x)
        assert report.ok
        assert x.tolist() == [0, 0, 0]


def test_integer_inputs(torch):
    ours, theirs = nn.Embedding(5, 2), torch.nn.Embedding(5, 2)
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    assert compare(ours, theirs, np.array([[0, 4]]), gradients=True).ok
