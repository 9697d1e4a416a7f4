"""Lazy modules: they become the plain class at the first call, with PyTorch's shapes; parameters without a shape say so."""

import copy

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, compare_module, to_torch, torch_or_skip
from tinygrad_course import nn, optim
from tinygrad_course.errors import ShapeError, StateDictError, UninitializedError
from tinygrad_course.nn.lazy import LazyModuleMixin
from tinygrad_course.nn.parameter import is_lazy

rng = np.random.default_rng(0)

CASES = {
    "LazyLinear": ((3,), (2, 5, 4)),
    "LazyConv1d": ((6, 3), (2, 4, 7)),
    "LazyConv2d": ((6, 3, 2, 1), (4, 7, 6)),
    "LazyConv3d": ((6, 2), (2, 4, 3, 4, 3)),
    "LazyConvTranspose1d": ((6, 3), (2, 4, 7)),
    "LazyConvTranspose2d": ((6, 3, 2), (4, 5, 3)),
    "LazyConvTranspose3d": ((6, 2), (2, 4, 2, 3, 2)),
    "LazyBatchNorm1d": ((), (5, 4)),
    "LazyBatchNorm2d": ((), (3, 4, 5, 2)),
    "LazyBatchNorm3d": ((), (3, 4, 2, 2, 2)),
    "LazyInstanceNorm1d": ((), (3, 4, 5)),
    "LazyInstanceNorm2d": ((), (3, 4, 5, 2)),
    "LazyInstanceNorm3d": ((), (3, 4, 2, 2, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_becomes_the_plain_class_at_the_first_call(name):
    torch = torch_or_skip()
    args, shape = CASES[name]
    x = rng.standard_normal(shape)
    ours, theirs = getattr(nn, name)(*args).double(), getattr(torch.nn, name)(*args).double()
    before = list(ours.parameters())
    assert before
    assert [repr(p) for p in before] == [repr(p) for p in theirs.parameters()] == ["<UninitializedParameter>"] * len(before)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    ours(tgc.tensor(x))
    theirs(torch.tensor(x))
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    assert repr(ours) == repr(theirs)
    assert all(p is q and type(p) is nn.Parameter for p, q in zip(ours.parameters(), before, strict=True))
    for value in ours.state_dict().values():
        assert np.isfinite(value.numpy()).all()
    compare_module(ours, theirs, x)


@pytest.mark.parametrize("name", CASES)
def test_a_state_dict_gives_shapes(name):
    args, shape = CASES[name]
    x = tgc.tensor(rng.standard_normal(shape), dtype=tgc.float32)
    made = getattr(nn, name)(*args)
    made(x)
    lazy = getattr(nn, name)(*args)
    lazy.load_state_dict(made.state_dict())
    assert not lazy.has_uninitialized_params()
    assert type(lazy) is getattr(nn, name)  # in_features and its like are known at the first call
    made.eval()
    assert lazy.eval()(x).tolist() == made(x).tolist()
    assert repr(lazy) == repr(made)


@pytest.mark.parametrize("build", [lambda: nn.LazyLinear(200), lambda: nn.LazyConv2d(64, (5, 3))])
def test_initial_values_are_those_of_the_plain_class(build):
    layer = build()
    layer(tgc.zeros(1, 10, 100, 100))
    bound = layer.weight[0].numel() ** -0.5
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert 0.9 * bound < np.abs(values).max() <= bound
        assert abs(values.std() / (bound / 3**0.5) - 1) < 0.2


def test_instance_norm_of_one_sample():
    """PyTorch takes the length for the channels here, and fails."""
    norm = nn.LazyInstanceNorm1d()
    norm(tgc.randn(4, 7))
    assert repr(norm).startswith("InstanceNorm1d(4,")


def test_a_network_in_sequence_trains_with_an_optimiser_that_was_built_before():
    """As in PyTorch: the parameters stay the same objects."""
    torch = torch_or_skip()

    def build(lib):
        return lib.Sequential(lib.LazyConv2d(4, 3), lib.LazyBatchNorm2d(), lib.ReLU(), lib.Flatten(),
                              lib.LazyLinear(2)).double()

    ours, theirs = build(nn), build(torch.nn)
    sgd, their_sgd = optim.SGD(ours.parameters(), lr=0.1), torch.optim.SGD(theirs.parameters(), lr=0.1)
    x = rng.standard_normal((5, 3, 6, 5))
    with tgc.no_grad():
        ours(tgc.tensor(x))
    theirs(torch.tensor(x))
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    for _ in range(3):
        (ours(tgc.tensor(x)) ** 2).mean().backward()
        (theirs(torch.tensor(x)) ** 2).mean().backward()
        sgd.step()
        their_sgd.step()
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(p, q, what=name)


def test_copies_types_and_training_mode():
    net = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    other = copy.deepcopy(net).double().eval().requires_grad_(False)
    net(tgc.randn(4, 2))
    assert other[0].has_uninitialized_params()
    assert other[0].weight.dtype == tgc.float64
    other(tgc.randn(1, 5, dtype=tgc.float64))
    assert other[0].in_features == 5
    assert not any(p.requires_grad for p in other.parameters())
    assert not other[1].training
    assert net[0].weight.dtype == tgc.float32
    assert net[0].weight.requires_grad


def test_what_was_loaded_is_kept():
    """Part of a state dict: the rest is drawn, and the part that was loaded is not overwritten."""
    layer = nn.LazyLinear(2)
    layer.load_state_dict({"weight": tgc.ones(2, 3)}, strict=False)
    layer(tgc.zeros(1, 3))
    assert layer.weight.tolist() == [[1.0] * 3] * 2
    assert np.isfinite(layer.bias.detach().numpy()).all()
    norm = nn.LazyBatchNorm1d()
    norm.load_state_dict({"running_mean": tgc.full((3,), 2.0), "num_batches_tracked": tgc.tensor(7)}, strict=False)
    norm.eval()(tgc.zeros(1, 3))
    assert norm.running_mean.tolist() == [2.0] * 3
    assert norm.running_var.tolist() == [1.0] * 3
    assert norm.num_batches_tracked.item() == 7


def test_state_dicts_of_lazy_modules():
    first, second = nn.LazyLinear(2), nn.LazyLinear(2)
    second.load_state_dict(first.state_dict())  # nothing is known yet
    assert second.has_uninitialized_params()
    with pytest.raises(StateDictError, match=r"missing in the file: bias of any shape"):
        second.load_state_dict({"weight": tgc.ones(2, 3)})
    assert is_lazy(second.weight)  # unchanged
    with pytest.raises(UninitializedError, match="no shape and no values yet"):
        nn.Linear(3, 2).load_state_dict(first.state_dict())


class Scale(LazyModuleMixin):
    """A lazy module of one's own, without a plain class to become."""

    def __init__(self):
        super().__init__()
        self.weight = nn.UninitializedParameter()

    def initialize_parameters(self, input, *, factor=1.0):
        self.weight.materialize(input.shape[1:])
        self.weight.fill_(factor)

    def forward(self, input, *, factor=1.0):
        return input * self.weight


def test_a_lazy_module_of_ones_own():
    scale = Scale()
    assert scale(tgc.ones(2, 3), factor=2.0).tolist() == [[2.0] * 3] * 2
    assert scale(tgc.ones(2, 3), factor=5.0).tolist() == [[2.0] * 3] * 2
    assert type(scale) is Scale

    class Plain(nn.Module):
        def forward(self, input):
            return input * self.weight

    class Lazy(LazyModuleMixin, Plain):
        cls_to_become = Plain

        def __init__(self):
            super().__init__()
            self.weight = nn.UninitializedParameter()

        def initialize_parameters(self, input):
            if input.ndim == 2:
                self.weight.materialize(input.shape)
                self.weight.zero_()

    lazy = Lazy()
    with pytest.raises(RuntimeError, match="has not been fully initialized"):
        lazy(tgc.ones(2))
    lazy(tgc.ones(2, 3))
    assert type(lazy) is Plain
    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for Nothing"):
        type("Nothing", (LazyModuleMixin,), {"cls_to_become": Plain})()(1)


def test_hooks_see_the_plain_module():
    lazy, seen = nn.LazyLinear(2), []
    lazy.register_forward_hook(lambda module, args, output: seen.append(type(module).__name__))
    lazy(tgc.ones(1, 3))
    assert seen == ["Linear"]


# ---- parameters without a shape ------------------------------------------------------------------------------------------


USES = {
    "shape": lambda p: p.shape, "numel": lambda p: p.numel(), "item": lambda p: p[0], "len": lambda p: len(p),
    "sum": lambda p: p.sum(), "exp": lambda p: p.exp(), "plus": lambda p: p + 1, "times": lambda p: 2 * p,
    "matmul": lambda p: p @ p, "cat": lambda p: tgc.cat([p, p]), "clone": lambda p: p.clone(), "zero_": lambda p: p.zero_(),
    "add_": lambda p: p.add_(1), "uniform_": lambda p: nn.init.uniform_(p), "list": lambda p: p.tolist(),
    "reshape": lambda p: p.reshape(-1), "T": lambda p: p.T, "relu": lambda p: nn.functional.relu(p), "neg": lambda p: -p,
    "half": lambda p: p.half(),
    "equal": lambda p: p == 1, "linear": lambda p: nn.functional.linear(tgc.ones(2, 3), p), "iter": lambda p: list(p),
    "added": lambda p: tgc.ones(3) + p, "conv": lambda p: nn.functional.conv2d(tgc.ones(1, 1, 3, 3), p),
    "std": lambda p: p.std(),     "Parameter": lambda p: nn.Parameter(p), "where": lambda p: tgc.where(p > 0, p, p),
    "numpy": lambda p: np.add(p.array, 1),
    "normal": lambda p: nn.init.xavier_normal_(p), "max": lambda p: p.max(), "pow": lambda p: p**2,
}  # fmt: skip


@pytest.mark.parametrize("kind", [nn.UninitializedParameter, nn.UninitializedBuffer])
@pytest.mark.parametrize("use", USES)
def test_every_use_says_what_to_do(use, kind):
    with pytest.raises(UninitializedError, match=r"no shape and no values yet.*Call the model once"):
        USES[use](kind())


def test_materialize():
    p = nn.UninitializedParameter(dtype=tgc.float64)
    assert (p.dtype, p.device, p.requires_grad, p.grad, p.is_leaf) == (tgc.float64, tgc.device("cpu"), True, None, True)
    p.materialize((2, 3))
    assert type(p) is nn.Parameter
    assert (p.shape, p.dtype, p.requires_grad) == ((2, 3), tgc.float64, True)
    b = nn.UninitializedBuffer(persistent=False)
    assert repr(b) == "<UninitializedBuffer>"
    b.to(tgc.float64).materialize((2,), dtype=tgc.float32)
    b.materialize([2])
    assert type(b) is nn.Buffer
    assert not b.persistent
    assert not b.requires_grad


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.LazyLinear(2)(tgc.tensor(1.0)), ShapeError, "no axis whose size could be in_features"),
    (lambda: nn.LazyConv2d(2, 3)(tgc.ones(3, 3)), ShapeError, r"LazyConv2d: expected an input with 3 axes .* shape \(3, 3\)"),
    (lambda: nn.LazyConv2d(2, 3, groups=2)(tgc.ones(1, 3, 5, 5)), ShapeError, "divisible by groups=2, .* has 3 channels"),
    (lambda: nn.LazyConv2d(3, 3, groups=2), ValueError, "out_channels must be divisible by groups, got 3 and 2"),
    (lambda: nn.LazyBatchNorm2d()(tgc.ones(2, 3)), ShapeError, r"LazyBatchNorm2d: expected \(N, C, H, W\)"),
    (lambda: nn.Sequential(nn.LazyBatchNorm2d())(tgc.ones(2, 3)), ShapeError, r"in Sequential\.0 \(LazyBatchNorm2d"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_wrong_first_input_leaves_the_module_lazy():
    conv = nn.LazyConv2d(2, 3)
    with pytest.raises(ShapeError):
        conv(tgc.ones(3, 3))
    conv(tgc.ones(1, 4, 5, 5))
    assert conv.in_channels == 4
    linear = nn.LazyLinear(2)
    linear.load_state_dict({"weight": tgc.ones(2, 3), "bias": tgc.ones(2)})
    with pytest.raises(ShapeError, match=r"needs weight of shape \(2, 5\), but \(2, 3\) was loaded"):
        linear(tgc.ones(1, 5))
    assert linear(tgc.ones(1, 3)).tolist() == [[4.0, 4.0]]
