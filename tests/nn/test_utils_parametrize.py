"""nn/utils: parametrize, its ready parametrizations, the older weight and spectral norm, stateless, skip_init."""

import copy

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, both, plain, to_numpy, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.nn.utils import parametrizations, parametrize, stateless

SHAPES = {"Linear": (3, 4), "Conv2d": (3, 2, 2), "ConvTranspose1d": (3, 2, 2)}  # arguments of the layer


def compare(ours, theirs, x, steps=1):
    """Same keys and repr; from the same state the same outputs, gradients and state afterwards, in float64."""
    torch = torch_or_skip()
    ours, theirs = ours.double(), theirs.double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    for step in range(steps):
        found = []
        for lib, module in ((tgc, ours), (torch, theirs)):
            x_ = lib.tensor(x, requires_grad=True)
            y = module(x_)
            y.backward(lib.tensor(np.random.default_rng(step).standard_normal(tuple(y.shape))))
            found.append([y, x_.grad, *[p.grad for p in module.parameters()], *module.state_dict().values()])
        for number, (a, b) in enumerate(zip(*found, strict=True)):
            assert_close(a, b, rtol=1e-8, atol=1e-10, what=f"step {step}, {number}")


def pair(kind):
    torch = torch_or_skip()
    tgc.manual_seed(3)
    return [getattr(lib.nn, kind)(*SHAPES[kind]) for lib in (tgc, torch)]


def batch(kind):
    shape = {"Linear": (5, 3), "Conv2d": (2, 3, 4, 4), "ConvTranspose1d": (2, 3, 5)}[kind]
    return np.random.default_rng(0).standard_normal(shape)


# ---- ready parametrizations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(kind, dim):
    torch = torch_or_skip()
    ours, theirs = pair(kind)
    before = ours.weight.detach().numpy().copy()
    assert parametrizations.weight_norm(ours, dim=dim) is ours
    torch.nn.utils.parametrizations.weight_norm(theirs, dim=dim)
    np.testing.assert_allclose(to_numpy(ours.weight), before, rtol=1e-6)
    compare(ours, theirs, batch(kind))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("train", [True, False])
def test_spectral_norm(kind, train):
    torch = torch_or_skip()
    ours, theirs = pair(kind)
    parametrizations.spectral_norm(ours, n_power_iterations=2)
    torch.nn.utils.parametrizations.spectral_norm(theirs, n_power_iterations=2)
    compare(ours.train(train), theirs.train(train), batch(kind), steps=3)


def test_spectral_norm_of_a_vector_and_its_value():
    torch = torch_or_skip()
    ours, theirs = (lib.nn.Linear(3, 4) for lib in (tgc, torch))
    parametrizations.spectral_norm(ours, "bias")
    torch.nn.utils.parametrizations.spectral_norm(theirs, "bias")
    compare(ours, theirs, batch("Linear"))
    layer = parametrizations.spectral_norm(nn.Linear(20, 30).double(), n_power_iterations=60)
    assert np.linalg.svd(to_numpy(layer.weight), compute_uv=False)[0] == pytest.approx(1.0, rel=1e-3)


def test_both_forwards_of_a_gan_step_can_go_backward():
    layer = parametrizations.spectral_norm(nn.Linear(3, 2))
    (layer(tgc.randn(4, 3)).sum() - layer(tgc.randn(4, 3)).sum()).backward()
    assert np.isfinite(layer.parametrizations.weight.original.grad.numpy()).all()


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal(shape, kind, trivial):
    torch = torch_or_skip()
    tgc.manual_seed(1)
    ours, theirs = (lib.nn.Linear(shape[1], shape[0]).double() for lib in (tgc, torch))
    theirs.load_state_dict(to_torch(dict(ours.state_dict())))
    parametrizations.orthogonal(ours, orthogonal_map=kind, use_trivialization=trivial)
    torch.nn.utils.parametrizations.orthogonal(theirs, orthogonal_map=kind, use_trivialization=trivial)
    ours_state = {key: to_numpy(value) for key, value in ours.state_dict().items()}
    for key, value in theirs.state_dict().items():
        if not trivial or shape[0] == shape[1]:  # else the base is completed with random numbers
            np.testing.assert_allclose(ours_state[key], to_numpy(value), atol=1e-12, err_msg=key)
    with tgc.no_grad():
        noise = np.random.default_rng(2).standard_normal(shape) * 0.4
        np.fill_diagonal(noise, 0)  # householder's diagonal is 1 and -1
        ours.parametrizations.weight.original.add_(tgc.tensor(noise))
    w = to_numpy(ours.weight)
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-10)
    compare(ours, theirs, np.random.default_rng(0).standard_normal((2, shape[1])))


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_can_be_assigned_to(shape):
    layer = parametrizations.orthogonal(nn.Linear(shape[1], shape[0]).double())
    target = nn.init.orthogonal_(tgc.empty(shape, dtype=tgc.float64))
    layer.weight = target
    assert_close(layer.weight, target, atol=1e-12)
    layer.weight = target * 3  # made orthogonal
    assert_close(layer.weight, target, atol=1e-12)
    with pytest.raises(ShapeError, match="Expected a matrix or batch of matrices of shape"):
        layer.weight = tgc.ones(2, 2, dtype=tgc.float64)
    fixed = parametrizations.orthogonal(nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False)
    with pytest.raises(NotImplementedError, match="not possible to assign"):
        fixed.weight = tgc.ones(3, 3)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "nothing"), ValueError, "has no parameter or buffer with name"),
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), ShapeError, "Got a tensor of 1 dimensions"),
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"), ValueError, "has to be one of.*Got: qr"),
    (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), dim=2), IndexError, r"expected to be in range of \[-2, 1\]"),
    (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), ValueError, "to be positive"),
    (lambda: parametrizations.weight_norm(nn.Linear(2, 2), "x"), ValueError, "does not have a parameter, a buffer, or"),
    (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), ValueError, "not have a parametrization on"),
    (lambda: parametrize.ParametrizationList([], tgc.ones(1)), ValueError, "requires one or more modules"),
    (lambda: nn.utils.remove_weight_norm(nn.Linear(2, 2)), ValueError, "weight_norm of 'weight' not found"),
    (lambda: nn.utils.remove_spectral_norm(nn.Linear(2, 2)), ValueError, "spectral_norm of 'weight' not found"),
    (lambda: nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), ValueError, "to be positive"),
    (lambda: nn.utils.spectral_norm(nn.Linear(2, 2, bias=False), "bias"), ValueError, "parameter `bias` is None"),
    (lambda: nn.utils.skip_init(nn.ReLU), RuntimeError, "must support a 'device' arg"),
    (lambda: nn.utils.skip_init(3), RuntimeError, "Expected a Module; got 3"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()


# ---- parametrize ----------------------------------------------------------------------------------------------------


def symmetric(lib):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x):
            return x.triu()

    return Symmetric()


def doubled(lib):
    class Doubled(lib.nn.Module):
        def forward(self, x):
            return 2 * x

        def right_inverse(self, x):
            return x / 2

    return Doubled()


def test_life_of_a_parametrization():
    def play(lib, log):
        p = lib.nn.utils.parametrize
        layer = lib.nn.Linear(2, 2, bias=False)
        with lib.no_grad():
            layer.weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
        weight = layer.weight
        log.append(p.register_parametrization(layer, "weight", symmetric(lib)) is layer)
        log.append([type(layer).__name__, isinstance(layer, lib.nn.Linear), repr(layer), list(layer.state_dict())])
        log.append([p.is_parametrized(layer), p.is_parametrized(layer, "weight"), p.is_parametrized(layer, "bias"),
                    p.type_before_parametrizations(layer) is lib.nn.Linear])
        log.append(plain([layer.weight, layer.parametrizations.weight.original]))
        log.append(layer.parametrizations.weight.original is weight)
        p.register_parametrization(layer, "weight", doubled(lib))
        log.append(plain(layer.weight))
        log.append([n for n, _ in layer.named_parameters()])
        layer.weight = lib.tensor([[5.0, 6.0], [6.0, 8.0]])
        log.append(plain([layer.weight, layer.parametrizations.weight.original]))
        layer(lib.ones(1, 2)).sum().backward()
        log.append(plain(weight.grad))
        with p.cached():
            log.append(layer.weight is layer.weight)
        log.append(layer.weight is layer.weight)
        deep = copy.deepcopy(layer)
        log.append([type(deep).__name__, plain(deep.weight)])
        p.remove_parametrizations(layer, "weight", leave_parametrized=False)
        log.append([type(layer) is lib.nn.Linear, layer.weight is weight, plain(layer.weight), list(layer.state_dict())])

    both(play)


def test_a_copy_has_a_class_of_its_own():
    """In PyTorch they share one, and what is removed from the copy is gone from the original."""
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", symmetric(tgc))
    deep = copy.deepcopy(nn.Sequential(layer))[0]
    parametrize.remove_parametrizations(deep, "weight")
    assert type(deep) is nn.Linear
    assert type(layer).__name__ == "ParametrizedLinear"
    assert layer.weight.tolist() == deep.weight.tolist()
    assert layer.parametrizations.weight.original is not deep.weight


def test_parametrized_buffers_and_several_originals():
    def play(lib, log):
        p = lib.nn.utils.parametrize

        class Halves(lib.nn.Module):
            def forward(self, a, b):
                return a + b

            def right_inverse(self, x):
                return x * 0.25, x * 0.75

        module = lib.nn.BatchNorm1d(2)
        p.register_parametrization(module, "running_mean", doubled(lib))
        log.append([list(module.state_dict()), [n for n, _ in module.named_buffers()]])
        p.register_parametrization(module, "weight", doubled(lib))
        log.append(plain(module.eval()(lib.zeros(3, 2))))
        module = lib.nn.Linear(1, 1, bias=False)
        p.register_parametrization(module, "weight", Halves())
        log.append([list(module.state_dict()), repr(module)])
        module.weight = lib.ones(1, 1)
        log.append(plain([module.parametrizations.weight.original0, module.parametrizations.weight.original1]))
        with pytest.raises(ValueError, match="Cannot leave unparametrized"):
            p.remove_parametrizations(module, "weight", leave_parametrized=False)
        p.remove_parametrizations(module, "weight")
        log.append([plain(module.weight), isinstance(module.weight, lib.nn.Parameter)])
        log.append([n for n, _ in module.named_parameters()])

    both(play)


def test_what_a_parametrization_must_keep():
    def play(lib, log):
        p = lib.nn.utils.parametrize

        class Flat(lib.nn.Module):
            def forward(self, x):
                return x.flatten()

        class Wide(lib.nn.Module):
            def forward(self, x):
                return x.double()

        class Nothing(lib.nn.Module):
            def forward(self, x):
                return 3

        class Odd(lib.nn.Module):
            def forward(self, x):
                return x

            def right_inverse(self, x):
                return 3

        for wrong, words in ((Flat(), "may not change the shape"), (Wide(), "may not change the dtype"),
                             (Nothing(), "must return a tensor. Got int"), (Odd(), "right_inverse.*return.*[Tt]ensor")):
            layer = lib.nn.Linear(2, 2)
            with pytest.raises(ValueError, match=words):
                p.register_parametrization(layer, "weight", wrong)
            log.append([type(layer).__name__, list(layer.state_dict())])
            p.register_parametrization(layer, "weight", symmetric(lib))
            with pytest.raises(ValueError, match=words):
                p.register_parametrization(layer, "weight", wrong)
        layer = lib.nn.Linear(2, 2)
        p.register_parametrization(layer, "weight", Flat(), unsafe=True)
        log.append(tuple(layer.weight.shape))
        with pytest.raises(RuntimeError, match="does not implement right_inverse"):
            layer.weight = lib.ones(4)

    both(play)


def test_parametrizations_are_transferred():
    def play(lib, log):
        p = lib.nn.utils.parametrize
        one, two = lib.nn.Linear(2, 2), lib.nn.Linear(2, 2)
        with lib.no_grad():
            one.weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
        p.register_parametrization(one, "weight", symmetric(lib))
        log.append(p.transfer_parametrizations_and_params(one, two) is two)
        log.append([plain(two.weight), list(two.state_dict()), type(two).__name__])
        log.append(p.transfer_parametrizations_and_params(lib.nn.Linear(2, 2), one, "weight") is one)  # there is nothing
        log.append([plain(one.weight), list(one.state_dict())])

    both(play)


def test_a_parameter_that_is_assigned_goes_through_right_inverse():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", doubled(tgc))
    layer.weight = nn.Parameter(tgc.ones(2, 2))
    assert layer.parametrizations.weight.original.tolist() == [[0.5, 0.5]] * 2
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        layer.__getstate__()


def test_state_of_the_older_weight_norm_can_be_loaded():
    torch = torch_or_skip()
    with pytest.warns(FutureWarning, match="weight_norm` is deprecated"):
        old = torch.nn.utils.weight_norm(torch.nn.Linear(2, 3))
    new = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 3)))
    new.load_state_dict({f"0.{key}": value for key, value in old.state_dict().items()})
    assert_close(new[0].weight, old.weight, rtol=1e-6)


# ---- the older forms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dim", [0, None])
def test_older_weight_norm(kind, dim):
    torch = torch_or_skip()
    ours, theirs = pair(kind)
    for lib, layer in ((nn, ours), (torch.nn, theirs)):
        with pytest.warns(FutureWarning, match=r"`torch.nn.utils.weight_norm` is deprecated in favor of"):
            assert lib.utils.weight_norm(layer, dim=dim) is layer
        with pytest.warns(FutureWarning), pytest.raises(RuntimeError, match="Cannot register two weight_norm hooks"):
            lib.utils.weight_norm(layer)
    compare(ours, theirs, batch(kind))
    for lib, layer in ((nn, ours), (torch.nn, theirs)):
        layer.zero_grad()
        lib.utils.remove_weight_norm(layer)
    compare(ours, theirs, batch(kind))


@pytest.mark.parametrize("kind", SHAPES)
def test_older_spectral_norm(kind):
    torch = torch_or_skip()
    ours, theirs = pair(kind)
    for lib, layer in ((nn, ours), (torch.nn, theirs)):
        assert lib.utils.spectral_norm(layer, n_power_iterations=2) is layer
        with pytest.raises(RuntimeError, match="Cannot register two spectral_norm hooks"):
            lib.utils.spectral_norm(layer)
    compare(ours, theirs, batch(kind), steps=3)
    compare(ours.eval(), theirs.eval(), batch(kind))
    for lib, layer in ((nn, ours), (torch.nn, theirs)):
        assert lib.utils.remove_spectral_norm(layer) is layer
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["bias", "weight"]
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert_close(a, b)
    assert ours.weight.requires_grad


# ---- stateless, skip_init -------------------------------------------------------------------------------------------


def test_functional_call():
    torch = torch_or_skip()

    def play(lib, call):
        log = []
        net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
        own = net[0].weight
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        mean = lib.zeros(2)
        given = {"0.weight": w, "0.bias": lib.zeros(2), "1.running_mean": mean}
        x = lib.tensor([[1.0, -1.0], [0.5, 2.0]])
        call(net, given, (x,)).sum().backward()
        log.append([net[0].weight is own, own.grad is None, w.grad is not None, plain(mean), plain(net[1].running_mean)])
        net.eval()
        log.append(np.round(plain(call(net, given, x)), 5).tolist())
        log.append(plain(call(lib.nn.Linear(2, 1), {"weight": lib.ones(1, 2), "bias": lib.ones(1)}, kwargs={"input": x})))
        for keys in ({"nothing": w}, {"0.weight": w}):
            with pytest.raises(RuntimeError):
                call(net, keys, (x,), strict=True)
        log.append(net[0].weight is own)
        tied = lib.nn.Sequential(lib.nn.Linear(2, 2, bias=False), lib.nn.Linear(2, 2, bias=False))
        tied[1].weight = tied[0].weight
        log.append(plain(call(tied, {"0.weight": w}, (x,))))
        with pytest.raises(ValueError, match=r"(?s)multiple values.*tied"):
            call(tied, {"0.weight": w, "1.weight": lib.ones(2, 2)}, (x,))
        log.append(plain(call(tied, {"0.weight": w, "1.weight": lib.ones(2, 2)}, (x,), tie_weights=False)))
        log.append(plain(call(tied, ({"0.weight": w},), (x,), strict=True)))

        class Counts(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("n", lib.zeros(1))

            def forward(self, x):
                self.n = self.n + 1
                return x

        counts, state = Counts(), {"n": lib.ones(1)}
        call(counts, state, (x,))
        log.append(plain([counts.n, state["n"]]))
        return log

    assert play(tgc, stateless.functional_call) == play(torch, torch.func.functional_call)


def test_functional_call_restores_after_an_error():
    layer = nn.Linear(2, 2)
    own = layer.weight
    with pytest.raises(ShapeError):
        stateless.functional_call(layer, {"weight": tgc.ones(2, 3)}, tgc.ones(1, 2))
    assert layer.weight is own
    with pytest.raises(ValueError, match="appeared in multiple dictionaries"):
        stateless.functional_call(layer, ({"weight": own}, {"weight": own}), tgc.ones(1, 2))
    parametrize.register_parametrization(layer, "weight", doubled(tgc))
    with pytest.raises(RuntimeError, match=r"parametrized weight is replaced under parametrizations"):
        stateless.functional_call(layer, {"weight": own}, tgc.ones(1, 2))


def test_skip_init():
    tgc.manual_seed(3)
    expected = tgc.rand(2)
    tgc.manual_seed(3)
    layer = nn.utils.skip_init(nn.Linear, 2, 3, bias=False, dtype=tgc.float64)
    assert tgc.rand(2).tolist() == expected.tolist(), "the default generator has moved"
    assert layer.weight.shape == (3, 2)
    assert layer.weight.dtype == tgc.float64
    assert isinstance(layer.weight, nn.Parameter)
    assert nn.utils.skip_init(nn.BatchNorm1d, 2, device="cpu").running_mean.shape == (2,)
