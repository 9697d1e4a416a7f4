"""torchvision as an oracle of the networks: the same names and shapes, and with the same weights the same numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import to_numpy, to_torch, torch_or_skip
from tinygrad_course import models

_stand_ins: list[Any] = []  # PyTorch forgets a library of ops whose object is gone


def torchvision_or_skip() -> Any:
    """The torchvision module.  Where it is missing the test is skipped, or fails if TGC_REQUIRE_TORCH=1."""
    torch = torch_or_skip()
    try:
        _declare_ops(torch)
        import torchvision
    except ImportError:
        if os.environ.get("TGC_REQUIRE_TORCH") == "1":
            pytest.fail("TGC_REQUIRE_TORCH=1, but torchvision is not installed")
        pytest.skip("torchvision is not installed")
    return torchvision


def _declare_ops(torch: Any) -> None:
    """torchvision's compiled part loads only beside the PyTorch that it was built for, say one with CUDA.  The import
    needs the names of two of its ops, the networks need none."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision")
    if _stand_ins:
        return
    try:
        torch.ops.load_library(str(Path(spec.origin).with_name("_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _stand_ins.append(library)


def build(name: str, device: str = "cpu", **config: Any) -> Any:
    """torchvision's network.  On the device "meta" it has shapes but no values, and costs nothing."""
    torchvision = torchvision_or_skip()
    with torch_or_skip().device(device):
        return torchvision.models.get_model(name, **config)


def check_names(name: str, **config: Any) -> Any:
    """Our network `name` has the modules, arguments, keys and shapes of torchvision's; returns it."""
    ours, theirs = models.get_model(name, **config), build(name, "meta", **config)
    assert repr(ours) == repr(theirs)
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in ours.state_dict().items()}
    assert list(found.items()) == list(expected.items())
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in theirs.named_parameters()]
    return ours


def randomise(model: Any, seed: int = 0) -> Any:
    """Move batch norms away from mean 0, variance 1, weight 1 and bias 0, and linear layers away from bias 0."""
    torch = torch_or_skip()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.num_batches_tracked.fill_(7)
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(0, 0.1, generator=generator)
    return model


def compare(name: str, size: int, batch: int = 2, training: bool = False, change: Callable[[Any, Any], None] | None = None,
            **config: Any) -> None:
    """torchvision's weights, loaded unchanged, give the same scores in float32 and float64, and in float64 the same
    gradients (in float32 they may differ: where an activation is nearly 0, ReLU passes a gradient or not by rounding).

    The upstream gradient is random.  In training also the running statistics afterwards are compared; dropout must be off.
    change(model, nn) is applied to both networks, to make layers smaller.
    """
    torch = torch_or_skip()
    torch.manual_seed(1)
    theirs, ours = build(name, **config), models.get_model(name, **config)
    if change is not None:
        change(theirs, torch.nn)
        change(ours, tgc.nn)
    randomise(theirs).train(training)
    ours.train(training)
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(2)
    image = rng.standard_normal((batch, 3, size, size))
    with tgc.no_grad(), torch.no_grad():
        for part, tpart in zip(_outputs(ours(tgc.tensor(image).float())), _outputs(theirs(torch.tensor(image).float())),
                               strict=True):
            close(part, tpart, 1e-4, "output in float32")

    ours, theirs = ours.double(), theirs.double()
    ours.load_state_dict(theirs.state_dict())  # after training in float32 the statistics differ by roundings
    x, tx = tgc.tensor(image, requires_grad=True), torch.tensor(image, requires_grad=True)
    y, ty = _outputs(ours(x)), _outputs(theirs(tx))
    upstream = [rng.standard_normal(tuple(part.shape)) for part in y]
    sum((part * tgc.tensor(g)).sum() for part, g in zip(y, upstream, strict=True)).backward()
    sum((part * torch.tensor(g)).sum() for part, g in zip(ty, upstream, strict=True)).backward()
    for number, (part, tpart) in enumerate(zip(y, ty, strict=True)):
        close(part, tpart, 1e-9, f"output {number}")
    close(x.grad, tx.grad, 1e-9, "gradient of the images")
    largest = max(to_numpy(parameter.grad.abs().max()) for parameter in theirs.parameters())
    for (key, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        # A bias before a batch norm has the gradient 0 in training, and roundings are all that is there.
        close(parameter.grad, other.grad, 1e-9, f"gradient of {key}", at_least=1e-3 * largest)
    for (key, buffer), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        close(buffer, other, 1e-9, key)


def compare_with(rewritten: Callable[[dict[str, Any], Any], Any], model: Any, *shape: int) -> None:
    """A network that torchvision does not have, against rewritten(state dict, images) in PyTorch's functions, in float64."""
    torch = torch_or_skip()
    rng = np.random.default_rng(2)
    model = model.double()
    for value in model.state_dict().values():  # away from biases of 0 and the like
        if value.ndim == 1:
            value.copy_(tgc.tensor(rng.uniform(0.5, 1.5, tuple(value.shape))))
    weights = to_torch(model.state_dict())
    image = rng.standard_normal(shape)
    x, tx = tgc.tensor(image, requires_grad=True), torch.tensor(image, requires_grad=True)
    y, ty = model(x), rewritten(weights, tx)
    upstream = rng.standard_normal(tuple(y.shape))
    y.backward(tgc.tensor(upstream))
    ty.backward(torch.tensor(upstream))
    close(y, ty, 1e-9, "output")
    close(x.grad, tx.grad, 1e-9, "gradient of the images")


def close(ours: Any, theirs: Any, tolerance: float, what: str, at_least: float = 0.0) -> None:
    """Differences are at most `tolerance` times the largest value, or times `at_least` where that is more."""
    a, b = to_numpy(ours), to_numpy(theirs)
    assert a.shape == b.shape, what
    scale = max(np.abs(b).max(), at_least)
    assert scale > 0, f"{what}: all values are 0, nothing is compared"
    assert np.abs(a - b).max() <= tolerance * scale, f"{what}: {np.abs(a - b).max() / scale:.2e} of the largest value"


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]
