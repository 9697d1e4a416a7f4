"""Wide residual networks against the numbers of the paper and layers written in PyTorch."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import compare_with
from tinygrad_course import models


@pytest.mark.parametrize(("depth", "k", "parameters", "millions"), [
    (40, 1, 563_930, 0.6), (40, 2, 2_243_546, 2.2), (40, 4, 8_949_210, 8.9), (16, 8, 10_961_370, 11.0),
    (28, 10, 36_479_194, 36.5)])
def test_parameters_are_those_of_the_paper(depth, k, parameters, millions):
    model = models.wrn(depth=depth, widen_factor=k)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert round(parameters / 1e6, 1) == millions
    convolutions = sum(value.ndim == 4 for value in model.parameters())
    assert convolutions == depth - (k == 1)  # with k = 1 the first shortcut is the identity


def test_maps_have_the_sizes_of_table_1():
    model, sizes = models.wrn(depth=16, widen_factor=2, num_classes=7), []
    for layer in (model.conv1, model.layer1, model.layer2, model.layer3):
        layer.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert model(tgc.randn(2, 3, 32, 32)).shape == (2, 7)
    assert sizes == [(16, 32, 32), (32, 32, 32), (64, 16, 16), (128, 8, 8)]


@pytest.mark.parametrize("training", [True, False])
def test_it_is_what_pytorch_computes_layer_by_layer(torch, training):
    F = torch.nn.functional

    def rewritten(weights, x):
        def active(h, path):
            w = [weights[f"{path}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
            return F.batch_norm(h, *w, training=training).relu()
        h = F.conv2d(x, weights["conv1.weight"], padding=1)
        for layer in (1, 2, 3):
            for index in range(2):
                path, stride = f"layer{layer}.{index}", 2 if layer > 1 and index == 0 else 1
                a = active(h, f"{path}.bn1")
                g = F.conv2d(a, weights[f"{path}.conv1.weight"], stride=stride, padding=1)
                g = F.conv2d(active(g, f"{path}.bn2"), weights[f"{path}.conv2.weight"], padding=1)
                if index == 0:
                    h = F.conv2d(a, weights[f"{path}.shortcut.weight"], stride=stride)
                h = h + g
        return F.linear(active(h, "bn").mean((2, 3)), weights["fc.weight"], weights["fc.bias"])
    compare_with(rewritten, models.wrn(depth=16, widen_factor=2).train(training), 2, 3, 18, 15)


def test_dropout_is_between_the_convolutions():
    model = models.wrn(depth=10, widen_factor=1, dropout=0.3)
    x, seen = tgc.randn(4, 3, 16, 16), []
    model.layer1[0].conv2.register_forward_hook(lambda module, args, out: seen.append((args[0] == 0).float().mean().item()))
    model(x)
    model.eval()(x)
    assert seen[0] > seen[1] + 0.1


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match=r"depth must be 6 n \+ 4 .*got 18"):
        models.wrn(depth=18)
    with pytest.raises(ValueError, match="widen_factor must be 1 or more, got 0"):
        models.wrn(widen_factor=0)
