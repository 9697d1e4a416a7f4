"""GoogLeNet against torchvision, GoogLeNet2014 against the numbers of the paper and layers written in PyTorch."""

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import check_names, compare, compare_with
from tinygrad_course import models
from tinygrad_course.errors import ShapeError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_names_shapes_and_parameters():
    assert count(check_names("googlenet", aux_logits=False, init_weights=True)) == 6_624_904
    assert count(check_names("googlenet", init_weights=True)) == 13_004_888


def test_numbers():
    compare("googlenet", size=64, num_classes=20, aux_logits=False, transform_input=True, init_weights=False)


def test_numbers_in_training_with_auxiliary_heads():
    compare("googlenet", size=64, training=True, num_classes=20, dropout=0.0, dropout_aux=0.0, init_weights=False)


def test_outputs():
    model = models.googlenet(num_classes=3)
    x = tgc.randn(2, 3, 32, 32)
    outputs = model(x)
    assert isinstance(outputs, models.GoogLeNetOutputs)
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [part.shape for part in outputs] == [(2, 3)] * 3
    assert model.eval()(x).shape == (2, 3)
    without = models.googlenet(num_classes=3, aux_logits=False)
    assert without(x).shape == (2, 3)
    assert without.aux1 is None


def test_initial_values():
    tgc.manual_seed(0)
    model = models.googlenet()
    assert model.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert model.inception5b.branch2[1].conv.weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_2014_parameters_are_those_of_the_table():
    model = models.googlenet2014(aux_logits=False)
    counts = {name: count(child) for name, child in model.named_children()}
    assert counts["conv1"] == 9_472
    assert counts["conv2"] + counts["conv3"] == 114_944
    assert [counts[f"inception{name}"] for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")] == [
        163_696, 388_736, 376_176, 449_160, 510_104, 605_376, 868_352, 1_043_456, 1_444_080]
    assert counts["fc"] == 1_025_000
    assert count(model) == 6_998_552


def test_2014_maps_have_the_sizes_of_table_1():
    model = models.googlenet2014(num_classes=10)
    shapes = {}

    def note(name):
        return lambda module, args, out: shapes.__setitem__(name, tuple(out.shape[1:]))
    for name, child in model.named_children():
        if name.startswith("aux"):
            continue
        child.register_forward_hook(note(name))
    for head in (model.aux1, model.aux2):
        head.conv.register_forward_hook(lambda module, args, out: shapes.setdefault("aux", []).append(tuple(out.shape[1:])))
    with tgc.no_grad():
        outputs = model(tgc.randn(1, 3, 224, 224))
    assert [part.shape for part in outputs] == [(1, 10)] * 3
    assert {name: shape for name, shape in shapes.items() if name.startswith(("conv", "max", "inc", "avg"))} == {
        "conv1": (64, 112, 112), "maxpool1": (64, 56, 56), "conv2": (64, 56, 56), "conv3": (192, 56, 56),
        "maxpool2": (192, 28, 28), "inception3a": (256, 28, 28), "inception3b": (480, 28, 28), "maxpool3": (480, 14, 14),
        "inception4a": (512, 14, 14), "inception4b": (512, 14, 14), "inception4c": (512, 14, 14),
        "inception4d": (528, 14, 14), "inception4e": (832, 14, 14), "maxpool4": (832, 7, 7), "inception5a": (832, 7, 7),
        "inception5b": (1024, 7, 7), "avgpool": (1024, 1, 1)}
    assert shapes["aux"] == [(128, 4, 4)] * 2


def test_2014_is_what_pytorch_computes_layer_by_layer(torch):
    """The layers of table 1."""
    F = torch.nn.functional

    def rewritten(weights, h):
        def conv(h, name, stride=1):
            weight = weights[f"{name}.conv.weight"]
            return F.conv2d(h, weight, weights[f"{name}.conv.bias"], stride, weight.shape[2] // 2).relu()

        def norm(h):
            return F.local_response_norm(h, 5, alpha=5e-4, beta=0.75, k=2.0)

        def inception(h, name):
            return torch.cat([
                conv(h, f"{name}.branch1"), conv(conv(h, f"{name}.branch2.0"), f"{name}.branch2.1"),
                conv(conv(h, f"{name}.branch3.0"), f"{name}.branch3.1"),
                conv(F.max_pool2d(h, 3, 1, 1), f"{name}.branch4.1")], 1)
        h = norm(F.max_pool2d(conv(h, "conv1", 2), 3, 2, ceil_mode=True))
        h = F.max_pool2d(norm(conv(conv(h, "conv2"), "conv3")), 3, 2, ceil_mode=True)
        for name in ("3a", "3b", "pool", "4a", "4b", "4c", "4d", "4e", "pool", "5a", "5b"):
            if name == "pool":
                h = F.max_pool2d(h, 3 if h.shape[1] == 480 else 2, 2, ceil_mode=True)
            else:
                h = inception(h, f"inception{name}")
        return h.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    compare_with(rewritten, models.googlenet2014(num_classes=5, aux_logits=False).eval(), 2, 3, 64, 64)


def test_other_images_are_refused():
    model = models.googlenet(num_classes=2, aux_logits=False).eval()
    assert model(tgc.zeros(1, 3, 15, 15)).shape == (1, 2)
    with pytest.raises(ShapeError, match=r"GoogLeNet: images of 14 x 30 pixels are too small, the smallest are 15 x 15\."
                                         r"(.|\n)*in GoogLeNet\.maxpool3 \(MaxPool2d"):
        model(tgc.zeros(1, 3, 14, 30))
    with pytest.raises(ShapeError, match=r"have 1 channels, conv1\.conv takes 3.*transform_input needs 3 colours"):
        models.googlenet(num_classes=2, transform_input=True)(tgc.zeros(1, 1, 32, 32))
    with pytest.raises(ShapeError, match=r"averages are 1 x 1, needed are 4 x 4(.|\n)*take aux_logits=False(.|\n)*"
                                         r"in GoogLeNet2014\.aux1"):
        models.googlenet2014(num_classes=2)(tgc.zeros(2, 3, 112, 112))


def test_blocks_can_be_replaced():
    with pytest.raises(ValueError, match="blocks length should be 3 instead of 1"):
        models.GoogLeNet(blocks=[models.googlenet])
