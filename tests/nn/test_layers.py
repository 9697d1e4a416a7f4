"""Layers: printing, initial values, values and gradients against PyTorch, mistakes."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import compare_module, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, ShapeError

REPRS = [
    lambda nn: nn.Linear(2, 3), lambda nn: nn.Linear(2, 3, bias=False), lambda nn: nn.Conv2d(3, 4, 3),
    lambda nn: nn.Conv2d(4, 4, (3, 5), 2, (1, 2), 2, 2, bias=False), lambda nn: nn.Conv2d(1, 1, 3, padding="same"),
    lambda nn: nn.Conv2d(1, 1, 3, padding="valid"), lambda nn: nn.MaxPool2d(2), lambda nn: nn.AvgPool2d((2, 3), 1),
    lambda nn: nn.MaxPool2d((3, 2), 2, 1, 1, ceil_mode=True), lambda nn: nn.AvgPool2d(3, 2, 1, True, False),
    lambda nn: nn.ReLU(), lambda nn: nn.ReLU(inplace=True), lambda nn: nn.Sigmoid(), lambda nn: nn.Tanh(),
    lambda nn: nn.Softmax(dim=1), lambda nn: nn.Softmax(), lambda nn: nn.LogSoftmax(-1), lambda nn: nn.Dropout(),
    lambda nn: nn.Dropout(0.2, True), lambda nn: nn.Flatten(), lambda nn: nn.Flatten(2, 3),
    lambda nn: nn.Identity(54, key=3), lambda nn: nn.CrossEntropyLoss(), lambda nn: nn.NLLLoss(),
    lambda nn: nn.MSELoss(), lambda nn: nn.BCEWithLogitsLoss(), lambda nn: nn.Sequential(),
    lambda nn: nn.Sequential(nn.Conv2d(1, 6, 5), nn.Sequential(nn.ReLU(), nn.Flatten()), nn.Linear(3, 4)),
    lambda nn: nn.ModuleList([nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU()), nn.Linear(1, 1)]),
    lambda nn: nn.ModuleList(), lambda nn: nn.ModuleDict({"a": nn.ModuleDict({"b": nn.ReLU()})}),
]


@pytest.mark.parametrize("number", range(len(REPRS)))
def test_repr_is_that_of_torch(number):
    torch = torch_or_skip()
    assert repr(REPRS[number](nn)) == repr(REPRS[number](torch.nn))


def test_repr_of_a_net():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU())
    assert repr(net) == ("Sequential(\n  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))\n  (1): ReLU()\n)")


PARITY = {
    "linear": (lambda nn: nn.Linear(4, 3), (5, 4)),
    "linear without bias": (lambda nn: nn.Linear(4, 3, bias=False), (5, 4)),
    "linear on one sample": (lambda nn: nn.Linear(4, 3), (4,)),
    "linear on a sequence": (lambda nn: nn.Linear(4, 3), (2, 5, 4)),
    "linear on no sample": (lambda nn: nn.Linear(4, 3), (0, 4)),
    "conv": (lambda nn: nn.Conv2d(3, 4, 3), (2, 3, 6, 7)),
    "conv with all": (lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, bias=False), (2, 4, 7, 6)),
    "conv unbatched": (lambda nn: nn.Conv2d(3, 4, 3, padding=1), (3, 6, 7)),
    "conv same": (lambda nn: nn.Conv2d(2, 3, (3, 5), padding="same"), (2, 2, 6, 7)),
    "conv same, even kernel": (lambda nn: nn.Conv2d(2, 3, (2, 4), padding="same", dilation=(1, 2)), (2, 2, 7, 8)),
    "conv same, even kernel, unbatched": (lambda nn: nn.Conv2d(2, 3, 4, padding="same"), (2, 7, 8)),
    "conv valid": (lambda nn: nn.Conv2d(2, 3, 3, padding="valid", stride=2), (2, 2, 6, 7)),
    "max pool": (lambda nn: nn.MaxPool2d(2), (2, 3, 6, 7)),
    "max pool with all": (lambda nn: nn.MaxPool2d((3, 2), (2, 1), 1, (1, 2), ceil_mode=True), (2, 3, 8, 7)),
    "max pool unbatched": (lambda nn: nn.MaxPool2d(2), (3, 6, 7)),
    "avg pool": (lambda nn: nn.AvgPool2d(2), (2, 3, 6, 7)),
    "avg pool with all": (lambda nn: nn.AvgPool2d((3, 2), (2, 1), 1, True, False), (2, 3, 8, 7)),
    "avg pool divisor": (lambda nn: nn.AvgPool2d(2, divisor_override=3), (2, 3, 6, 7)),
    "avg pool unbatched": (lambda nn: nn.AvgPool2d(2), (3, 6, 7)),
    "relu": (lambda nn: nn.ReLU(), (3, 4)),
    "sigmoid": (lambda nn: nn.Sigmoid(), (3, 4)),
    "tanh": (lambda nn: nn.Tanh(), (3, 4)),
    "softmax": (lambda nn: nn.Softmax(0), (3, 4)),
    "log-softmax": (lambda nn: nn.LogSoftmax(-1), (3, 4)),
    "flatten": (lambda nn: nn.Flatten(), (2, 3, 4)),
    "flatten inside": (lambda nn: nn.Flatten(0, -2), (2, 3, 4)),
    "identity": (lambda nn: nn.Identity(), (2, 3)),
    "dropout in evaluation": (lambda nn: nn.Dropout().eval(), (2, 3)),
    "LeNet-5": (lambda nn: nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 84), nn.Sigmoid(), nn.Linear(84, 10), nn.LogSoftmax(1)), (2, 1, 32, 32)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # of PyTorch, about its own speed
@pytest.mark.parametrize("case", PARITY)
def test_values_gradients_and_keys_are_those_of_torch(case):
    torch = torch_or_skip()
    build, shape = PARITY[case]
    x = np.random.default_rng(len(case)).standard_normal(shape)
    compare_module(build(nn), build(torch.nn), x)


def test_max_pool_indices():
    torch = torch_or_skip()
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    y1, i1 = nn.MaxPool2d(2, return_indices=True)(tgc.tensor(x))
    y2, i2 = torch.nn.MaxPool2d(2, return_indices=True)(torch.tensor(x))
    np.testing.assert_array_equal(y1.numpy(), y2.numpy())
    np.testing.assert_array_equal(i1.numpy(), i2.numpy())
    assert i1.dtype == tgc.int64


@pytest.mark.parametrize(("layer", "bound"), [
    (nn.Linear(100, 200), 1 / math.sqrt(100)), (nn.Conv2d(8, 64, (5, 3), groups=2), 1 / math.sqrt(4 * 15))])
def test_initial_values_fill_the_uniform_range_of_torch(layer, bound):
    for values in (layer.weight.detach().numpy(), layer.bias.detach().numpy()):
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.9 * bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.2


def test_the_seed_decides():
    tgc.manual_seed(3)
    a = nn.Linear(4, 4)
    tgc.manual_seed(3)
    b, c = nn.Linear(4, 4), nn.Linear(4, 4)
    assert a.weight.tolist() == b.weight.tolist()
    assert b.weight.tolist() != c.weight.tolist()


def test_dtype_and_device_arguments():
    assert nn.Linear(2, 3, dtype=tgc.float64).weight.dtype == tgc.float64
    assert nn.Conv2d(2, 3, 1, device="cpu", dtype=tgc.float64).bias.dtype == tgc.float64


def test_dropout():
    tgc.manual_seed(0)
    layer = nn.Dropout(0.25)
    x = tgc.ones(100, 100, requires_grad=True)
    y = layer(x)
    values = y.detach().numpy()
    kept = values != 0
    assert 0.73 < kept.mean() < 0.77
    np.testing.assert_allclose(values[kept], 1 / 0.75, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)
    assert (nn.Dropout(1.0)(x).detach().numpy() == 0).all()
    assert nn.Dropout(0.0)(x).tolist() == x.tolist()
    assert layer.eval()(x).tolist() == x.tolist()


def test_unregistered_zero_sized_layers():
    with pytest.warns(UserWarning, match="zero-element"):
        assert nn.Linear(0, 3)(tgc.zeros(2, 0)).shape == (2, 3)


def test_softmax_without_dim_warns_and_does_as_torch():
    with pytest.warns(UserWarning, match="dim=1"):
        y = nn.Softmax()(tgc.zeros(3, 4))
    np.testing.assert_allclose(y.numpy(), 0.25)


# ---- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "match"), [
    ((64, 16, 5, 5), r"input \(64, 16, 5, 5\).* in_features=400 .*16\*5\*5 = 400: put nn\.Flatten\(\)"),
    ((64, 16, 6, 6), r"in_features=400 .*nn\.Flatten\(\) and give Linear in_features=576"),
    ((64, 120), r"last dimension is 120, in_features=400 is needed\. Give Linear\(120, 10\)"),
    ((400, 64), r"samples come first, transpose"),
    ((), "no dimension"),
])
def test_linear_with_a_wrong_last_dimension(shape, match):
    with pytest.raises(ShapeError, match=match):
        nn.Linear(400, 10)(tgc.zeros(*shape))


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups, got 3 and 2"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=0), ValueError, "positive integer, got 0"),
    (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, "Invalid padding string 'full'"),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), ValueError, "not supported for strided"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "reflect, replicate, circular, got 'mirror'"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ValueError, "kernel_size must be an integer or a pair"),
    (lambda: nn.Conv2d(3, 4, 2.5), ValueError, "kernel_size must be an integer or a pair"),
    (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1, but got 1.5"),
    (lambda: nn.Dropout(-0.1), ValueError, "between 0 and 1"),
    (lambda: nn.Conv2d(3, 4, 3)(tgc.zeros(2, 1, 8, 8)), ShapeError, r"\(2, 1, 8, 8\).*3"),
    (lambda: nn.Conv2d(3, 4, 3)(tgc.zeros(8, 8)), ShapeError, r"\(8, 8\)"),
    (lambda: nn.Conv2d(3, 4, 3)(tgc.zeros(2, 3, 2, 8)), ShapeError, "does not fit: along the height"),
    (lambda: nn.Linear(2, 3)(tgc.zeros(1, 2, dtype=tgc.float64)), DTypeError, "float64"),
    (lambda: nn.Linear(2, 3)(tgc.zeros(1, 2, dtype=tgc.int64)), DTypeError, "int64"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()
