"""nn.utils.prune: the same masks, state, gradients and errors as PyTorch's; what is drawn at random by what it must be."""

import copy
import importlib
import re

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, raised_by, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn.utils import prune

INF = float("inf")
# What is done to a module, with the prune of either library and an array to tensor function.
STEPS = {
    "identity": lambda p, m, t: p.identity(m, "weight"),
    "l1": lambda p, m, t: p.l1_unstructured(m, "weight", 0.3),
    "l1, a number, bias": lambda p, m, t: p.l1_unstructured(p.l1_unstructured(m, "weight", 5), "bias", amount=1),
    "l1, nothing and all": lambda p, m, t: p.l1_unstructured(p.l1_unstructured(m, "weight", 0.0), "bias", 1.0),
    "l1 by scores": lambda p, m, t: p.l1_unstructured(m, "weight", 0.5, t(SCORES)),
    "ln": lambda p, m, t: p.ln_structured(m, "weight", 0.4, 2, 0),
    "ln, input channels": lambda p, m, t: p.ln_structured(m, "weight", 1, n=1, dim=1),
    "ln, inf, last axis": lambda p, m, t: p.ln_structured(m, "weight", amount=1, n=INF, dim=-1),
    "ln by scores": lambda p, m, t: p.ln_structured(m, "weight", 0.5, -INF, 0, t(SCORES)),
    "ln, nothing": lambda p, m, t: p.ln_structured(m, "weight", 0, 2, 0),
    "mask": lambda p, m, t: p.custom_from_mask(m, "weight", t(SCORES > 0)),
    "l1 twice": lambda p, m, t: p.l1_unstructured(p.l1_unstructured(m, "weight", 0.3), "weight", 0.5),
    "l1 after ln": lambda p, m, t: p.l1_unstructured(p.ln_structured(m, "weight", 1, 2, 0), "weight", 0.25),
    "ln after mask, ln": lambda p, m, t: p.ln_structured(
        p.ln_structured(p.custom_from_mask(m, "weight", t(SCORES > 0)), "weight", 1, 2, 0), "weight", 1, 2, 0),
    "four": lambda p, m, t: p.identity(p.custom_from_mask(p.l1_unstructured(
        p.l1_unstructured(m, "weight", 3), "weight", 4), "weight", t(SCORES > 0)), "weight"),
    "global": lambda p, m, t: p.global_unstructured([(m, "weight"), (m, "bias")], p.L1Unstructured, amount=0.4),
    "global after ln, scores": lambda p, m, t: p.global_unstructured(
        [(p.ln_structured(m, "weight", 1, 2, 0), "weight"), (m, "bias")], pruning_method=p.L1Unstructured,
        importance_scores={(m, "weight"): t(SCORES)}, amount=9),
}
SCORES = np.random.default_rng(4).standard_normal((5, 3, 2, 2))


def pair():
    torch = torch_or_skip()
    importlib.import_module("torch.nn.utils.prune")
    tgc.manual_seed(0)
    ours, theirs = nn.Conv2d(3, 5, 2).double(), torch.nn.Conv2d(3, 5, 2).double()
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    return torch, ours, theirs


def compare(torch, ours, theirs):
    """State, output, gradients, and the same after a step that moves all weights."""
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 4))
    for step in range(2):
        found, names = [], []
        for lib, module in ((tgc, ours), (torch, theirs)):
            module.zero_grad()
            y = module(lib.tensor(x))
            y.backward(lib.tensor(np.random.default_rng(step).standard_normal(tuple(y.shape))))
            parameters = list(module.named_parameters())
            found.append([y, module.weight, *module.state_dict().values(), *[p.grad for _, p in parameters]])
            names.append([[name for name, _ in parameters], list(module.state_dict())])
            with lib.no_grad():
                for _, parameter in parameters:
                    parameter -= 0.5 * parameter.grad
        assert names[0] == names[1]
        for number, (a, b) in enumerate(zip(*found, strict=True)):
            assert_close(a, b, what=f"step {step}, {number}")


@pytest.mark.parametrize("name", STEPS)
def test_like_torch(name):
    torch, ours, theirs = pair()
    for module, p, t in ((ours, prune, tgc.tensor), (theirs, torch.nn.utils.prune, torch.tensor)):
        done = STEPS[name](p, module, t)
        assert done is None if "global" in name else done is module
        assert p.is_pruned(module)
        assert p.is_pruned(type(module)(1, 1, 1)) is False
    compare(torch, ours, theirs)
    original = ours.weight_orig
    for module, p in ((ours, prune), (theirs, torch.nn.utils.prune)):
        assert p.remove(module, "weight") is module
        if hasattr(module, "bias_orig"):
            p.remove(module, "bias")
        assert not p.is_pruned(module)
    assert ours.weight is original, "the optimiser keeps what it has"
    compare(torch, ours, theirs)


def test_a_loaded_state_is_that_of_torch():
    torch, ours, theirs = pair()
    torch.nn.utils.prune.l1_unstructured(theirs, "weight", 0.5)
    prune.identity(ours, "weight")
    ours.load_state_dict({key: tgc.tensor(value.detach().numpy()) for key, value in theirs.state_dict().items()})
    compare(torch, ours, theirs)


def test_random():
    tgc.manual_seed(0)
    layer = prune.random_unstructured(nn.Linear(20, 10), "weight", 0.25)
    first = layer.weight_mask.clone()
    assert (first == 0).sum() == 50
    prune.random_unstructured(layer, "weight", 60)  # of the 150 that are left
    assert (layer.weight_mask == 0).sum() == 110
    assert (layer.weight_mask <= first).all()
    for dim in (0, 1, -1):
        layer = prune.random_structured(nn.Linear(20, 10), "weight", 0.5, dim)
        kept = layer.weight_mask.numpy().all(axis=1 - dim % 2)
        dropped = (layer.weight_mask.numpy() == 0).all(axis=1 - dim % 2)
        assert kept.sum() == dropped.sum() == len(kept) // 2
    masks = []
    for seed in (1, 1, 2):
        tgc.manual_seed(seed)
        masks.append(prune.random_unstructured(nn.Linear(20, 10), "weight", 0.5).weight_mask)
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()


def test_methods_and_containers_like_torch():
    torch, ours, theirs = pair()
    for module, p in ((ours, prune), (theirs, torch.nn.utils.prune)):
        assert isinstance(p.L1Unstructured.apply(module, "weight", 3), p.L1Unstructured)
        container = p.LnStructured.apply(module, "weight", 1, 2, 0)
        assert isinstance(container, p.PruningContainer)
        assert p.RandomStructured.apply(module, "weight", 1, dim=1) is container
        assert [type(method).__name__ for method in container] == ["L1Unstructured", "LnStructured", "RandomStructured"]
        assert len(container) == 3
        assert isinstance(container[1], p.LnStructured)
    values = SCORES[:, :, 0, 0]
    for make in (lambda p, lib: p.L1Unstructured(4).prune(lib.tensor(values)),
                 lambda p, lib: p.L1Unstructured(0.2).prune(lib.tensor(values), importance_scores=lib.tensor(-values**3)),
                 lambda p, lib: p.LnStructured(2, 2, 0).prune(lib.tensor(values), lib.tensor((values > 0) * 1.0))):
        assert_close(make(prune, tgc), make(torch.nn.utils.prune, torch))


def test_a_method_of_ones_own():
    """As PyTorch's tutorial has it: every other value."""

    class Alternate(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    Alternate.apply(layer, "weight")
    assert (layer.weight == before * tgc.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])).all()
    Alternate.apply(layer, "weight")  # every other one of those that are left
    assert layer.weight_mask.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_errors_are_those_of_torch():
    torch, ours, theirs = pair()
    kinds = []
    for module, p in ((theirs, torch.nn.utils.prune), (ours, prune)):
        kinds.append(raised_by(
            lambda module=module, p=p: p.l1_unstructured(module, "weight", 1.5),
            lambda module=module, p=p: p.l1_unstructured(module, "weight", -1),
            lambda module=module, p=p: p.l1_unstructured(module, "weight", "a"),
            lambda module=module, p=p: p.l1_unstructured(module, "weight", 61),
            lambda module=module, p=p: p.l1_unstructured(module, "nothing", 1),
            lambda module=module, p=p: p.ln_structured(module, "weight", 1, 2, 4),
            lambda module=module, p=p: p.remove(module, "weight"),
            lambda module=module, p=p: p.global_unstructured([(module, "weight")], p.LnStructured, amount=1, n=2),
            lambda module=module, p=p: p.global_unstructured(3, p.L1Unstructured, amount=1),
            lambda p=p: p.PruningContainer().add_pruning_method(3)))
        assert not p.is_pruned(module)
        assert sorted(name for name, _ in module.named_parameters()) == ["bias", "weight"], "nothing is half done"
    assert kinds[0] == kinds[1]
    assert "" not in kinds[0]
    for call, error, message in (
            (lambda: prune.ln_structured(ours, "bias", 1, 2, 0), ShapeError, "Structured pruning can only be applied to"),
            (lambda: prune.custom_from_mask(ours, "weight", tgc.ones(2)), ShapeError, r"the mask has shape \(2,\), what it"),
            (lambda: prune.l1_unstructured(ours, "bias", 1, tgc.ones(2)), ShapeError, r"same shape as parameter bias"),
            (lambda: prune.L1Unstructured(1).remove(ours), ValueError, "has to be pruned first"),
            (lambda: prune.l1_unstructured(ours, "weight", 1.5), ValueError, re.escape("a float in the range [0, 1]"))):
        with pytest.raises(error, match=message):
            call()


def test_training_and_copies():
    """Zeros stay zero under an optimiser; a module that is pruned can be copied after a forward without a graph."""
    tgc.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    prune.global_unstructured(((net[i], "weight") for i in (0, 2)), prune.L1Unstructured, amount=0.5)
    optimizer = tgc.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        net(tgc.randn(4, 6)).square().mean().backward()
        optimizer.step()
    with tgc.no_grad():
        net(tgc.randn(4, 6))
    other = copy.deepcopy(net)
    assert sum((net[i].weight == 0).sum().item() for i in (0, 2)) == 32
    assert (other[0].weight == net[0].weight).all()
    other[0].weight_orig.data.zero_()
    assert (net[0].weight_orig != 0).all()
