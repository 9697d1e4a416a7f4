"""nn/rnn.py: values, gradients, keys and printing against PyTorch, mistakes."""

import math
import warnings

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, OperandError, ShapeError

LAYERS = {
    "rnn": lambda nn: nn.RNN(3, 5),
    "rnn relu": lambda nn: nn.RNN(3, 5, nonlinearity="relu"),
    "lstm": lambda nn: nn.LSTM(3, 5),
    "gru": lambda nn: nn.GRU(3, 5),
    "wide lstm": lambda nn: nn.LSTM(3, 33),
    "lstm without bias": lambda nn: nn.LSTM(3, 5, bias=False),
    "gru, two directions, two layers": lambda nn: nn.GRU(3, 4, 2, bidirectional=True),
    "lstm, two directions, three layers": lambda nn: nn.LSTM(3, 4, 3, bidirectional=True),
    "rnn, batch first, two layers": lambda nn: nn.RNN(3, 4, 2, batch_first=True),
    "lstm, batch first, two directions": lambda nn: nn.LSTM(3, 4, batch_first=True, bidirectional=True),
    "lstm with projection": lambda nn: nn.LSTM(3, 5, proj_size=2),
    "lstm with projections": lambda nn: nn.LSTM(3, 5, 2, bias=False, bidirectional=True, proj_size=2, batch_first=True),
}
CELLS = {
    "rnn": lambda nn: nn.RNNCell(3, 5),
    "relu": lambda nn: nn.RNNCell(3, 5, nonlinearity="relu"),
    "lstm": lambda nn: nn.LSTMCell(3, 5),
    "lstm without bias": lambda nn: nn.LSTMCell(3, 5, bias=False),
    "gru": lambda nn: nn.GRUCell(3, 5),
    "gru without bias": lambda nn: nn.GRUCell(3, 5, bias=False),
}


def pair(build):
    """(ours, theirs) in float64 with the same weights."""
    torch = torch_or_skip()
    ours, theirs = build(nn).double(), build(torch.nn).double()
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(to_torch(dict(state)))
    return ours, theirs


def flat(out):
    """The tensors of nested tuples."""
    if isinstance(out, tuple | list):
        return [tensor for part in out for tensor in flat(part)]
    return [] if out is None else [out]


def compare(ours, theirs, run):
    """run(module, make): outputs and inputs; `make` turns an array into a tensor that has a gradient."""
    torch = torch_or_skip()
    results = []
    for module, lib in ((ours, tgc), (theirs, torch)):
        inputs = []

        def make(array, lib=lib, inputs=inputs):
            inputs.append(lib.tensor(array, requires_grad=True))
            return inputs[-1]

        outputs = [y for y in flat(run(module, make, lib)) if y.requires_grad]
        rng = np.random.default_rng(7)
        total = sum((y * lib.tensor(rng.standard_normal(tuple(y.shape)))).sum() for y in outputs)
        total.backward()
        results.append((outputs, [x.grad for x in inputs], [p.grad for p in module.parameters()]))
    for what, mine, others in zip(("output", "gradient of input", "gradient of parameter"), *results, strict=True):
        assert len(mine) == len(others)
        for number, (a, b) in enumerate(zip(mine, others, strict=True)):
            assert_close(a, b, what=f"{what} {number}")


def states(module, *batch):
    """Arrays for hx."""
    rng = np.random.default_rng(3)
    count = module.num_layers * (1 + module.bidirectional)
    h = rng.standard_normal((count, *batch, module.proj_size or module.hidden_size))
    return (h, rng.standard_normal((count, *batch, module.hidden_size))) if isinstance(module, nn.LSTM) else (h,)


def hx(arrays, make):
    return make(arrays[0]) if len(arrays) == 1 else tuple(make(a) for a in arrays)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(4, 2), (1, 1), (4,)], ids=str)
@pytest.mark.parametrize("initial", [True, False], ids=["states", "zeros"])
def test_layers_are_those_of_torch(name, shape, initial):
    ours, theirs = pair(LAYERS[name])
    x = np.random.default_rng(1).standard_normal((*shape, 3))
    batch = () if len(shape) == 1 else (shape[0] if ours.batch_first else shape[1],)
    given = states(ours, *batch)
    compare(ours, theirs, lambda m, make, lib: m(make(x), hx(given, make)) if initial else m(make(x)))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("ordered", [True, False], ids=["sorted", "unsorted"])
def test_packed_sequences_are_those_of_torch(name, ordered):
    ours, theirs = pair(LAYERS[name])
    lengths = [5, 3, 3, 1] if ordered else [3, 1, 5, 3]
    x = np.random.default_rng(1).standard_normal((5, 4, 3))
    given = states(ours, 4)

    def run(module, make, lib):
        rnn = lib.nn.utils.rnn
        packed = rnn.pack_padded_sequence(make(x), lengths, enforce_sorted=ordered)
        y, last = module(packed, hx(given, make))
        return rnn.pad_packed_sequence(y)[0], last, module(packed)[1]

    compare(ours, theirs, run)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("shape", [(2,), ()], ids=str)
def test_cells_are_those_of_torch(name, shape):
    ours, theirs = pair(CELLS[name])
    rng = np.random.default_rng(1)
    x, h, c = (rng.standard_normal((*shape, n)) for n in (3, 5, 5))
    given = (h, c) if "lstm" in name else (h,)
    compare(ours, theirs, lambda m, make, lib: m(make(x), hx(given, make)))
    ours, theirs = pair(CELLS[name])
    compare(ours, theirs, lambda m, make, lib: m(make(x)))


def test_a_cell_repeated_is_the_layer():
    layer, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = tgc.randn(6, 2, 3)
    state, outputs = None, []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0])
    y, (h, c) = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), tgc.stack(outputs).detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(c[0].detach().numpy(), state[1].detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(h[0].detach().numpy(), state[0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("build", [
    *LAYERS.values(), *CELLS.values(), lambda nn: nn.GRU(3, 4, 2, False, True, 0.25, True),
    lambda nn: nn.RNN(3, 4, 2, "relu", False, True, 0.25, True),
])  # fmt: skip
def test_repr_is_that_of_torch(build):
    torch = torch_or_skip()
    assert repr(build(nn)) == repr(build(torch.nn))


@pytest.mark.parametrize("build", [lambda: nn.LSTM(30, 50, 2), lambda: nn.GRUCell(30, 50)])
def test_initial_values_fill_the_uniform_range_of_torch(build):
    bound = 1 / math.sqrt(50)
    for parameter in build().parameters():
        values = parameter.detach().numpy()
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.9 * bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.2


def test_dropout_acts_between_layers_while_training():
    layer = nn.GRU(3, 40, 2, dropout=0.5)
    x = tgc.randn(4, 2, 3)
    assert layer(x)[0].tolist() != layer(x)[0].tolist()
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()
    zero = nn.LSTM(3, 4, 2, dropout=1.0, bias=False)
    assert zero(x)[0].abs().max() == 0
    with pytest.warns(UserWarning, match=r"LSTM.*num_layers=1 dropout=0.5 does nothing"):
        nn.LSTM(3, 4, dropout=0.5)


def test_second_derivatives_are_those_of_torch():
    ours, theirs = pair(LAYERS["gru, two directions, two layers"])
    torch = torch_or_skip()
    array = np.random.default_rng(2).standard_normal((3, 2, 3))
    found = []
    for module, lib in ((ours, tgc), (theirs, torch)):
        x = lib.tensor(array, requires_grad=True)
        y = module(x)[0]
        (g,) = lib.autograd.grad((y * y).sum(), (x,), create_graph=True)
        (g**2).sum().backward()
        found.append([x.grad, *(p.grad for p in module.parameters())])
    for a, b in zip(*found, strict=True):
        assert_close(a, b)


def test_attributes_of_torch():
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    assert (layer.mode, layer.input_size, layer.hidden_size, layer.num_layers) == ("LSTM", 3, 4, 2)
    assert [len(weights) for weights in layer.all_weights] == [4] * 4
    assert layer.all_weights[1][0] is layer.weight_ih_l0_reverse
    assert layer.flatten_parameters() is None
    assert nn.RNN(3, 4).nonlinearity == "tanh"


MISTAKES = [
    (lambda: nn.LSTM(3, 4)(tgc.ones(5, 2, 7)), ShapeError, r"LSTM.*\(5, 2, 7\) has 7 features.*input_size=3"),
    (lambda: nn.LSTM(3, 4)(tgc.ones(3)), ShapeError, r"LSTM.*\(time, batch, features\).*got \(3,\)"),
    (lambda: nn.LSTM(3, 4, batch_first=True)(tgc.ones(3)), ShapeError, r"\(batch, time, features\)"),
    (lambda: nn.GRU(3, 4)(tgc.ones(5, 2, 3), tgc.ones(1, 3, 4)), ShapeError, r"GRU.*initial h.*\(1, 2, 4\), got \(1, 3, 4\)"),
    (lambda: nn.GRU(3, 4)(tgc.ones(5, 3), tgc.ones(1, 1, 4)), ShapeError, r"GRU.*\(layers \* directions, size\)"),
    (lambda: nn.LSTM(3, 4)(tgc.ones(5, 2, 3), tgc.ones(1, 2, 4)), TypeError, r"LSTM.*pair \(h_0, c_0\)"),
    (lambda: nn.LSTM(3, 4)(tgc.ones(5, 2, 3).double()), DTypeError, r"LSTM.*float64.*float32"),
    (lambda: nn.LSTM(3, 4)(tgc.ones(0, 2, 3)), ShapeError, "no time step"),
    (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3))), OperandError, "ndarray"),
    (lambda: nn.LSTM(0, 4), ValueError, "input_size must be greater than zero"),
    (lambda: nn.LSTM(3, 4.0), TypeError, "hidden_size must be an int, got float"),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size must be smaller than hidden_size 4"),
    (lambda: nn.GRU(3, 4, 1, 1), TypeError, "bias must be True or False, got int"),
    (lambda: nn.GRU(3, 4, 2, dropout=2), ValueError, "dropout must be a probability"),
    (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, "'tanh' or 'relu', got 'gelu'"),
    (lambda: nn.RNNCell(3, 4, nonlinearity="gelu"), ValueError, "'tanh' or 'relu', got 'gelu'"),
    (lambda: nn.GRUCell(3, 4)(tgc.ones(2, 5)), ShapeError, r"GRUCell.*\(batch, 3\) or \(3,\), got \(2, 5\)"),
    (lambda: nn.GRUCell(3, 4)(tgc.ones(2, 3), tgc.ones(4)), ShapeError, r"GRUCell.*state must be \(2, 4\), got \(4,\)"),
    (lambda: nn.LSTMCell(3, 4)(tgc.ones(2, 3), tgc.ones(2, 4)), TypeError, r"LSTMCell.*pair \(h, c\)"),
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes(number):
    call, kind, message = MISTAKES[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind, match=message):
            call()
