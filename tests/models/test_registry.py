"""Networks by name, and what is said when weights are asked for."""

import inspect
import re

import pytest

import tinygrad_course as tgc
from tests.models.torchvision_oracle import build, randomise
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import models, nn
from tinygrad_course.errors import DataError, ShapeError


def test_names():
    names = models.list_models()
    assert names == sorted(names)
    assert models.list_models(include="resnet1??") == ["resnet101", "resnet110", "resnet152"]
    assert models.list_models(include=["vgg1*", "resnet18"], exclude="*[_3]*") == ["resnet18", "vgg11", "vgg16", "vgg19"]
    assert models.list_models(models.vgg, exclude=["*1*"]) == []
    assert models.list_models(models) == names
    assert all(getattr(models, name) is models.get_model_builder(name) for name in names)
    assert set(names) <= set(models.__all__)


def test_all_have_the_arguments_of_torchvision():
    for name in models.list_models():
        parameters = inspect.signature(models.get_model_builder(name)).parameters
        assert list(parameters)[:2] == ["weights", "progress"], name
        assert models.get_model_builder(name).__doc__


def test_get_model():
    model = models.get_model("ResNet18", weights=None, progress=False, num_classes=3)
    assert isinstance(model, models.ResNet)
    assert model.fc.out_features == 3
    with pytest.raises(ValueError, match="Unknown model resnet19; near names: resnet"):
        models.get_model("resnet19")
    with pytest.raises(ValueError, match=r"Unknown model xyz; list_models\(\)"):
        models.get_model("xyz")
    with pytest.raises(ValueError, match="An entry is already registered under the name 'resnet18'"):
        models.register_model(models.resnet18)


@pytest.mark.parametrize("name", models.list_models())
def test_weights_are_not_downloaded(name):
    with pytest.raises(DataError, match=rf"{name}\(weights='DEFAULT'\): there is no download here(.|\n)*"
                                        rf"load_state_dict\(tgc.io.load\('{name}.pth'\)\)"):
        models.get_model(name, weights="DEFAULT")


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_the_way_that_the_error_names_works(tmp_path, name):
    """With files like torchvision's: without counters of batches, in DenseNet with older names."""
    torch = torch_or_skip()
    theirs = randomise(build(name, num_classes=5))
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value for key, value in theirs.state_dict().items()
           if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    ours = models.get_model(name, num_classes=5)
    assert ours.load_state_dict(tgc.io.load(tmp_path / "weights.pth")) == ([], [])
    for (key, a), (other, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        assert (a.numpy() == b.numpy()).all() or key.endswith("num_batches_tracked")


@pytest.mark.parametrize(("shape", "message"), [
    ((2, 1, 32, 32), r"the images \(2, 1, 32, 32\) have 1 channels, conv1 takes 3\. Grey images: x\.expand\(-1, 3, -1, -1\)"),
    ((2, 32, 32, 3), r"\(N, H, W, C\) becomes \(N, C, H, W\) by x\.permute\(0, 3, 1, 2\)"),
    ((2, 4, 32, 32), r"have 4 channels, conv1 takes 3\. Convert the images, or replace conv1"),
    ((3, 32, 32), r"input \(3, 32, 32\), needed are images \(N, C, H, W\)\. A single image becomes a batch by x\[None\]"),
    ((32, 32), r"input \(32, 32\), needed are images \(N, C, H, W\)\."),
])
def test_other_images_are_refused(shape, message):
    with pytest.raises(ShapeError, match=f"ResNet: .*{message}"):
        models.resnet18(num_classes=2)(tgc.zeros(*shape))


def test_another_first_layer_takes_other_images():
    model = models.resnet18(num_classes=2)
    model.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    assert model(tgc.zeros(2, 1, 64, 64)).shape == (2, 2)
    with pytest.raises(ShapeError, match="have 3 channels, conv1 takes 1"):
        model(tgc.zeros(2, 3, 64, 64))
