"""inplace=True of layers and functions: what is written, what is returned, and which gradients are right or refused.

Every program runs with this package and with PyTorch."""

import functools
import gc

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, GraphError

F = nn.functional
POINT = np.array([[0.7, -1.2, 0.4, 2.5], [1.1, 0.3, -0.8, -3.5], [6.5, -0.01, 0.01, -2.9]])
LAYERS = [
    ("ReLU", {}), ("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 0.3}), ("ELU", {"alpha": 0.7}), ("SELU", {}),
    ("CELU", {"alpha": 0.5}), ("SiLU", {}), ("Mish", {}), ("Hardswish", {}), ("Hardsigmoid", {}), ("ReLU6", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 2.0}), ("Threshold", {"threshold": 0.1, "value": -2.0}),
]  # fmt: skip
DROPOUTS = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]


def layer(lib, name, options):
    return getattr(lib.nn, name)(**options, inplace=True)


def plain(lib, f, x):
    y = x * 2
    z = f(y)
    assert z is y
    return z


def twice(lib, f, x):
    y = f(x * 2)
    return f(y + 0.3) * y


def view_before(lib, f, x):
    y = x * 2
    row = y[1]
    f(y)
    return row * row


def of_a_view(lib, f, x):
    y = x * 2
    f(y[1:])
    return y * y


def of_a_transposed_view(lib, f, x):
    y = x * 2
    f(y.t())
    return y * y


def of_a_detached_one(lib, f, x):
    y = x * 2
    with lib.no_grad():
        f(y)
    return y * x


PROGRAMS = [plain, twice, view_before, of_a_view, of_a_transposed_view, of_a_detached_one]


def gradients(lib, f, program, x, upstream):
    """Value, first and second derivative under given upstream gradients."""
    y = program(lib, f, x)
    first, = lib.autograd.grad(y, x, upstream, create_graph=not isinstance(f, torch_or_skip().nn.Hardsigmoid))
    if not first.requires_grad:
        return y, first  # PyTorch's hardsigmoid has no second derivative
    second, = lib.autograd.grad((first * first).sum() + (y * upstream).sum(), x)
    return y, first, second


@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_values_and_gradients_are_those_of_torch(name, options):
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    for program in PROGRAMS:
        upstream = rng.standard_normal(program(tgc, lambda t: t, tgc.tensor(POINT)).shape)
        ours = gradients(tgc, layer(tgc, name, options), program, tgc.tensor(POINT, requires_grad=True), tgc.tensor(upstream))
        theirs = gradients(torch, layer(torch, name, options), program, torch.tensor(POINT, requires_grad=True),
                           torch.tensor(upstream))
        for mine, wanted in zip(ours[:len(theirs)], theirs, strict=True):
            # PyTorch's hardsigmoid has the slope 1/6 in float32.
            assert_close(mine, wanted, rtol=1e-6 if name == "Hardsigmoid" else 1e-12)


@pytest.mark.parametrize(("name", "options"), [*LAYERS, ("RReLU", {})])
def test_the_memory_is_written(name, options):
    """By address, through a view, through NumPy, under no_grad; the counter moves and the object is the same."""
    f, wanted = layer(tgc, name, options), getattr(nn, name)(**options).eval()(tgc.tensor(POINT)).numpy()
    f.eval()
    x = tgc.tensor(POINT)
    address, count = x.data_ptr(), x._version
    assert f(x) is x
    assert x.data_ptr() == address
    assert x._version == count + 1
    assert_allclose(x.numpy(), wanted)
    shared = POINT.copy()
    f(tgc.from_numpy(shared))
    assert_allclose(shared, wanted)
    for share in (tgc.Tensor.detach, lambda t: t[:], lambda t: t.view(-1), lambda t: t.data, nn.Parameter,
                  tgc.Tensor.numpy):
        for order in (0, 1):  # which of the two is written to
            pair = [tgc.tensor(POINT)]
            pair.append(share(pair[0]))
            if isinstance(pair[order], np.ndarray):
                continue
            with tgc.no_grad():
                f(pair[order])
            other = pair[1 - order]
            other = other if isinstance(other, np.ndarray) else other.detach().numpy()
            assert_allclose(other.reshape(POINT.shape), wanted)
    x = tgc.tensor(POINT)
    f(x)  # nobody shares its memory
    assert x._version == 1
    assert_allclose(x.numpy(), wanted)


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout(name):
    f, out_of_place = getattr(nn, name)(0.5, inplace=True), getattr(nn, name)(0.5)
    start = tgc.randn(3, 4, 2, 2, 2)
    if name == "Dropout1d":
        start = start.reshape(3, 4, 8)
    elif name == "Dropout2d":
        start = start.reshape(3, 4, 2, 4)
    leaf = start.clone().requires_grad_()
    tgc.manual_seed(3)
    wanted = out_of_place(leaf)
    upstream = tgc.randn(*start.shape)
    expected, = tgc.autograd.grad(wanted, leaf, upstream)
    for shared in (False, True):
        x = leaf * 1
        view = x[:] if shared else None
        tgc.manual_seed(3)
        assert f(x) is x
        assert_close(x, wanted)
        if shared:
            assert_close(view, wanted)
        assert_close(tgc.autograd.grad(x, leaf, upstream)[0], expected)
    f.eval()
    assert f(leaf) is leaf  # nothing is written, so a leaf is allowed, as in PyTorch
    assert leaf._version == 0
    with pytest.raises(GraphError, match=r"_: this tensor of shape .* is a leaf that requires a gradient"):
        f.train()(leaf)


def test_unbatched_channels_stay_the_same_object():
    x = tgc.randn(4, 8)
    kept = x.clone()
    y = F.dropout1d(x, 0.5, True, True)
    assert y is x
    assert x.shape == (4, 8)
    assert ((x == 0).all(1) | (x == 2 * kept).all(1)).all()
    assert F.dropout1d(x, 0.5, False, True) is x


def test_a_leaf_is_refused_as_in_torch():
    torch = torch_or_skip()
    for lib, error in ((torch, RuntimeError), (tgc, GraphError)):
        x = lib.ones(2, requires_grad=True)
        with pytest.raises(error, match="a leaf"):
            lib.nn.ReLU(inplace=True)(x)
        with pytest.raises(error, match="leaf"):
            lib.nn.LeakyReLU(inplace=True)(x[:1])
        with lib.no_grad():
            lib.nn.ReLU(inplace=True)(x)
    with pytest.raises(GraphError, match=r"relu_: this tensor of shape \(2,\) is a leaf that requires a gradient"):
        nn.ReLU(inplace=True)(tgc.ones(2, requires_grad=True))


@pytest.mark.parametrize("saves", ["exp", "sigmoid", "tanh", "sqrt", "square"])
def test_what_a_backward_needs_is_not_overwritten_unnoticed(saves):
    """exp and so on save their output, square its input: an error in both packages."""
    torch = torch_or_skip()
    for lib, error in ((torch, "modified by an inplace operation"), (tgc, "changed in place by 'leaky_relu_'")):
        x = lib.ones(3, requires_grad=True)
        y = x * 2
        z = getattr(y, saves)()
        lib.nn.functional.leaky_relu(y if saves == "square" else z, inplace=True)
        with pytest.raises(RuntimeError, match=error):
            z.sum().backward()


def test_what_it_saved_itself_is_not_overwritten_unnoticed():
    torch = torch_or_skip()
    for lib, error in ((torch, "modified by an inplace operation"), (tgc, "relu: an output .* changed in place by 'mul_'")):
        x = lib.ones(3, requires_grad=True)
        y = lib.nn.functional.relu(x * 2, inplace=True)
        y.mul_(3)
        with pytest.raises(RuntimeError, match=error):
            y.sum().backward()
    for name in ("relu", "elu", "leaky_relu"):  # one after the other
        x = tgc.tensor(POINT, requires_grad=True)
        y = F.dropout(x * 2, 0.0, inplace=True)
        function = functools.partial(getattr(F, name), inplace=True)
        assert function(y) is y
        y.sum().backward()


def test_hooks_and_retained_gradients():
    torch = torch_or_skip()
    found = []
    for lib in (torch, tgc):
        x = lib.tensor(POINT, requires_grad=True)
        y = x * 2
        y.retain_grad()
        seen = []
        y.register_hook(lambda g, seen=seen: seen.append(g))
        lib.nn.functional.elu(y, inplace=True)
        (y * y).sum().backward()
        found.append([seen[0], y.grad, x.grad])
    for theirs, ours in zip(*found, strict=True):
        assert_close(ours, theirs)


def test_sequential_with_batch_norm_is_fused_and_the_same():
    torch = torch_or_skip()
    make = lambda lib: lib.nn.Sequential(  # noqa: E731
        lib.nn.Conv2d(2, 3, 3), lib.nn.BatchNorm2d(3), lib.nn.ReLU(inplace=True), lib.nn.Conv2d(3, 3, 1),
        lib.nn.ReLU(inplace=True), lib.nn.MaxPool2d(2), lib.nn.Flatten(), lib.nn.Linear(27, 4), lib.nn.LeakyReLU(0.2, True),
        lib.nn.Dropout(0.5, True)).double()
    ours, theirs = make(tgc), make(torch)
    ours.load_state_dict({key: tgc.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(1).standard_normal((5, 2, 8, 8))
    for net in (ours, theirs):
        net[-1].eval()
    mine, wanted = ours(tgc.tensor(x)), theirs(torch.tensor(x))
    assert_close(mine, wanted)
    (mine * mine).sum().backward()
    (wanted * wanted).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, rtol=1e-9)
    assert ours[1:3](tgc.randn(2, 3, 4, 4, dtype="float64")).grad_fn.name == "batch_norm"


def test_it_costs_no_memory():
    """No copy of the old values, no second array for the new ones; the graph dies by reference count."""
    for f in (nn.ReLU(inplace=True), nn.LeakyReLU(inplace=True), nn.Dropout(inplace=True)):
        x = tgc.randn(1000, requires_grad=True)
        y = x * 2
        before = y.array
        z = f(y)
        kept = {id(link.array) for link in z.grad_fn._saved or ()}
        assert kept <= {id(before), id(z.array)}
        assert len(kept) <= 1
    gc.collect()
    gc.disable()
    try:
        del x, y, z, before
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_integers():
    x = tgc.tensor([-3, 2, 9])
    assert F.relu(x, inplace=True) is x
    assert F.relu6(x, True).tolist() == [0, 2, 6]
    assert x.tolist() == [0, 2, 6]
    with pytest.raises(DTypeError, match=r"elu_: the result is float32 and cannot be written into int64"):
        F.elu(x, inplace=True)
    assert x.tolist() == [0, 2, 6]
