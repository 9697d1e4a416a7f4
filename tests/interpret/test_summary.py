"""summary: numbers counted by hand, and a model that is left as it was."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError
from tinygrad_course.models import LeNet5
from tinygrad_course.nn import functional as F


class Call(nn.Module):
    """A model out of a function, and the modules that it uses."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def test_lenet_by_hand():
    found = tgc.summary(LeNet5(), (1, 1, 32, 32))
    rows = {layer.path: (layer.parameters, layer.mult_adds, layer.receptive_field, layer.jump, layer.inputs, layer.outputs)
            for layer in found.layers}
    everything = (math.inf, math.inf)
    assert rows == {
        "": (0, 0, everything, (None, None), [(1, 1, 32, 32)], [(1, 10)]),
        "c1": (6 * 26, 28 * 28 * 6 * 25, (5, 5), (1, 1), [(1, 1, 32, 32)], [(1, 6, 28, 28)]),
        "s2": (0, 0, (6, 6), (2, 2), [(1, 6, 28, 28)], [(1, 6, 14, 14)]),
        "c3": (16 * 151, 10 * 10 * 16 * 150, (14, 14), (2, 2), [(1, 6, 14, 14)], [(1, 16, 10, 10)]),
        "s4": (0, 0, (16, 16), (4, 4), [(1, 16, 10, 10)], [(1, 16, 5, 5)]),
        "c5": (120 * 401, 48_000, everything, (None, None), [(1, 400)], [(1, 120)]),
        "f6": (84 * 121, 10_080, everything, (None, None), [(1, 120)], [(1, 84)]),
        "output": (850, 840, everything, (None, None), [(1, 84)], [(1, 10)]),
    }
    assert (found.total_parameters, found.trainable_parameters) == (61_706, 61_706)
    assert found.mult_adds == 416_520
    assert found.mult_adds_by_op == {"conv2d": 357_600, "linear": 58_920}
    assert found.parameter_bytes == 4 * 61_706
    assert found.input_bytes == 4 * 1024
    # outputs of c1, s2, c3, s4, c5, f6, output, and of four ReLUs
    assert found.forward_bytes == 4 * (2 * 4704 + 1176 + 2 * 1600 + 400 + 2 * 120 + 2 * 84 + 10)
    text = str(found)
    assert "  c3: Conv2d      (1 6 14 14)   (1 16 10 10)       2,416    240,000  14x14, jump 2     6.4 kB" in text
    assert "parameters   61,706, trainable 61,706, frozen 0" in text
    assert "mult-adds    416,520 (conv2d 357,600, linear 58,920)" in text
    assert tgc.summary(LeNet5(), (5, 1, 32, 32)).mult_adds == 5 * 416_520


def test_three_3x3_layers_see_7x7_and_cost_27_c2_against_49_c2():
    c = 8
    three = nn.Sequential(*[nn.Conv2d(c, c, 3, padding=1, bias=False) for _ in range(3)])
    one = nn.Conv2d(c, c, 7, padding=3, bias=False)
    a, b = tgc.summary(three, (1, c, 16, 16)), tgc.summary(one, (1, c, 16, 16))
    assert a.layer("").receptive_field == b.layer("").receptive_field == (7, 7)
    assert (a.total_parameters, b.total_parameters) == (27 * c * c, 49 * c * c)
    assert (a.mult_adds, b.mult_adds) == (27 * c * c * 256, 49 * c * c * 256)


def test_inception_block():
    def conv(inside, outside, kernel):
        return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False)

    pool = nn.MaxPool2d(3, stride=1, padding=1)
    naive = Call(lambda m, x: tgc.cat([m.one(x), m.three(x), m.five(x), m.pool(x)], 1), one=conv(256, 128, 1),
                 three=conv(256, 192, 3), five=conv(256, 96, 5), pool=pool)
    thin = Call(lambda m, x: tgc.cat([m.one(x), m.three(x), m.five(x), m.four(x)], 1), one=conv(256, 128, 1),
                three=nn.Sequential(conv(256, 64, 1), conv(64, 192, 3)),
                five=nn.Sequential(conv(256, 64, 1), conv(64, 96, 5)), four=nn.Sequential(pool, conv(256, 64, 1)))
    a, b = tgc.summary(naive, (1, 256, 28, 28)), tgc.summary(thin, (1, 256, 28, 28))
    assert a.mult_adds == 854_196_224
    assert b.mult_adds == 271_351_808
    assert a.layer("").outputs == [(1, 672, 28, 28)]
    assert b.layer("").outputs == [(1, 480, 28, 28)]
    assert a.layer("").receptive_field == b.layer("").receptive_field == (5, 5)  # the largest of the branches


# ---- multiply-adds ----------------------------------------------------------------------------------------------------

LAYERS = {  # layer: (shape of the input, multiply-adds, parameters)
    "plain": (nn.Conv2d(3, 8, 5), (2, 3, 9, 7), 2 * 8 * 5 * 3 * (3 * 25), 8 * 76),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (1, 4, 5, 5), 6 * 9 * (2 * 9), 6 * 18),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding=1), (1, 4, 5, 5), 8 * 25 * 9, 80),
    "dilated": (nn.Conv2d(1, 1, 3, dilation=2, bias=False), (1, 1, 7, 7), 9 * 9, 9),
    "strided": (nn.Conv2d(1, 2, 3, stride=2, padding=1), (1, 1, 7, 7), 2 * 16 * 9, 20),
    "1-D": (nn.Conv1d(2, 3, 4), (1, 2, 9), 3 * 6 * 8, 27),
    "3-D": (nn.Conv3d(2, 3, (2, 3, 1), padding=1), (1, 2, 4, 4, 4), 3 * 5 * 4 * 6 * 12, 39),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (1, 4, 5, 5), 4 * 25 * (3 * 9), 4 * 27 + 6),
    "transposed 3-D": (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 3, 3), 2 * 27 * (3 * 8), 2 * 24 + 3),
    "linear": (nn.Linear(5, 3), (2, 4, 5), 2 * 4 * 15, 18),
    "rnn": (nn.RNN(3, 4), (7, 2, 3), 14 * 4 * (3 + 4), 4 * 9),
    "gru": (nn.GRU(3, 4, num_layers=2), (7, 2, 3), 14 * 12 * (7 + 8), 12 * 9 + 12 * 10),
    "lstm": (nn.LSTM(3, 4, bidirectional=True), (7, 2, 3), 2 * 14 * 16 * 7, 2 * 16 * 9),
    "projected lstm": (nn.LSTM(3, 4, proj_size=2), (7, 2, 3), 14 * (16 * 5 + 8), 16 * 7 + 8),
    "lstm cell": (nn.LSTMCell(3, 4), (2, 3), 2 * 16 * 7, 16 * 9),
    "batch norm": (nn.BatchNorm2d(3), (2, 3, 4, 4), 96, 6),
    "group norm": (nn.GroupNorm(2, 4), (2, 4, 3, 3), 3 * 72, 8),
    "layer norm": (nn.LayerNorm(5, elementwise_affine=False), (2, 5), 2 * 10, 0),
    "pooling": (nn.AvgPool2d(2), (1, 1, 4, 4), 0, 0),
    "softmax": (nn.Softmax(-1), (3, 4), 0, 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_by_hand(name):
    layer, shape, mult_adds, parameters = LAYERS[name]
    found = tgc.summary(layer, shape)
    assert found.mult_adds == mult_adds
    assert found.total_parameters == parameters
    assert sum(row.parameters for row in found.layers) == parameters


def test_a_convolution_by_counting():
    """The definition, loop by loop: kernel, stride, dilation, groups."""
    layer, (n, c, h, w) = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), groups=2), (2, 4, 9, 8)
    oh, ow = (h - 3) // 2 + 1, w - 2
    count = 0
    for _ in range(n):
        for o in range(6):
            for _ in range(oh * ow):
                for i in range(c):
                    count += (i // 2 == o // 3) * 3 * 2
    assert tgc.summary(layer, (n, c, h, w)).mult_adds == count


def test_functions_in_forward_are_counted():
    weight = nn.Parameter(tgc.ones(6, 2, 3, 3))
    table = {
        "conv": (lambda m, x: F.conv2d(x, m.weight), 2 * 36 * 6 * 18),
        "attention": (lambda m, x: F.scaled_dot_product_attention(x, x, x), 4 * (8 * 8 * 8 + 8 * 8 * 8)),
        "matmul": (lambda m, x: x @ x, 4 * 512),
        "einsum": (lambda m, x: tgc.einsum("nchw,nchv->nwv", x, x), 2 * 8 * 8 * 16),
        "elementwise": (lambda m, x: (x * x + x).relu(), 0),
        "bilinear": (lambda m, x: F.bilinear(x, x, tgc.ones(3, 8, 8)), 32 * (3 * 64 + 3 * 8)),
    }
    for name, (function, count) in table.items():
        model = Call(function)
        model.weight = weight
        found = tgc.summary(model, (2, 2, 8, 8))
        assert found.mult_adds == found.layer("").mult_adds == count, name


def test_batch_norm_in_training_and_mode():
    layer = nn.BatchNorm2d(3)
    assert tgc.summary(layer, (2, 3, 4, 4), mode="train").mult_adds == 2 * 96
    assert tgc.summary(layer.eval(), (2, 3, 4, 4), mode="same").mult_adds == 96
    with pytest.raises(ValueError, match="mode must be 'eval', 'train' or 'same'"):
        tgc.summary(layer, (2, 3, 4, 4), mode="test")


# ---- receptive fields -------------------------------------------------------------------------------------------------


def seen_by_gradient(model, shape):
    """How far the inputs reach apart that some output in the middle depends on: by derivatives, not by formulas."""
    model = model.double()
    for parameter in model.parameters():
        with tgc.no_grad():
            parameter.fill_(1.0)
    x = tgc.ones(*shape, dtype=tgc.float64, requires_grad=True)
    y = model(x)
    spans = []
    for dim in range(2, len(shape)):
        widest = 0
        for shift in range(-2, 3):
            place = [0, 0] + [n // 2 for n in y.shape[2:]]
            place[dim] += shift
            g, = tgc.autograd.grad(y[(0, slice(None), *place[2:])].sum(), x, retain_graph=True)
            used = np.flatnonzero(np.abs(g.numpy()).sum(axis=tuple(axis for axis in range(len(shape)) if axis != dim)))
            widest = max(widest, int(used[-1] - used[0]) + 1)
        spans.append(widest)
    return tuple(spans)


def residual(m, x):
    return m.b(m.a(x)) + m.skip(x)


CHAINS = {
    "plain": (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 5)), (1, 1, 20, 20)),
    "strided and dilated": (nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 2, 3, dilation=2),
                                          nn.Conv2d(2, 1, (3, 1), stride=2)), (1, 1, 60, 60)),
    "pooled": (nn.Sequential(nn.Conv2d(1, 1, 3), nn.AvgPool2d(3, stride=2, padding=1), nn.Conv2d(1, 1, 3), nn.ReLU(),
                             nn.AvgPool2d(2)), (1, 1, 40, 40)),
    "sequence": (nn.Sequential(nn.Conv1d(1, 2, 4, stride=3), nn.AvgPool1d(2), nn.Conv1d(2, 2, 3, dilation=3)), (1, 1, 120)),
    "volume": (nn.Sequential(nn.Conv3d(1, 2, (3, 1, 2), padding=1), nn.AvgPool3d(2), nn.Conv3d(2, 1, 3, dilation=(2, 1, 1))),
               (1, 1, 24, 16, 20)),
    "up by nearest": (nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)),
                      (1, 1, 30, 30)),
    "transposed": (nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1)),
                   (1, 1, 30, 30)),
    "residual": (Call(residual, a=nn.Conv2d(1, 1, 3, padding=1, stride=2), b=nn.Conv2d(1, 1, 3, padding=1),
                      skip=nn.Conv2d(1, 1, 1, stride=2)), (1, 1, 30, 30)),
    "branches": (Call(lambda m, x: tgc.cat([m.a(x), m.b(x), x], 1), a=nn.Conv2d(1, 1, (1, 7), padding=(0, 3)),
                      b=nn.Conv2d(1, 1, (5, 1), padding=(2, 0))), (1, 1, 20, 20)),
    "transposed axes": (Call(lambda m, x: m.a(x.transpose(2, 3)).transpose(2, 3), a=nn.Conv2d(1, 1, (3, 5))), (1, 1, 20, 20)),
    "sliced": (Call(lambda m, x: m.a(m.a(x)[:, :, ::2, 1:]), a=nn.Conv2d(1, 1, 3)), (1, 1, 30, 30)),
    "padded": (Call(lambda m, x: m.a(F.pad(m.a(x), (3, 3, 1, 1))), a=nn.Conv2d(1, 1, 3, stride=2)), (1, 1, 40, 40)),
    "groups": (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 1, 1)), (1, 2, 16, 16)),
    "shuffled channels": (Call(lambda m, x: m.b(m.a(x).reshape(1, 2, 2, 14, 14).transpose(1, 2).reshape(1, 4, 14, 14)),
                               a=nn.Conv2d(1, 4, 3), b=nn.Conv2d(4, 4, 3, groups=2)), (1, 1, 16, 16)),
    "space to depth": (Call(lambda m, x: m.a(x.reshape(1, 1, 10, 2, 10, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 4, 10, 10)),
                            a=nn.Conv2d(4, 1, 3)), (1, 1, 20, 20)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_receptive_fields_against_derivatives(name):
    model, shape = CHAINS[name]
    assert tgc.summary(model, shape).layer("").receptive_field == seen_by_gradient(model, shape)


def test_bilinear_upsampling_is_not_underestimated():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=2, mode="bilinear"))
    found = tgc.summary(model, (1, 1, 20, 20)).layer("")
    assert found.receptive_field == seen_by_gradient(model, (1, 1, 20, 20)) == (4, 4)
    assert found.jump == (0.5, 0.5)


def everything(model, shape):
    return tgc.summary(model, shape).layer("").receptive_field == (math.inf,) * (len(shape) - 2)


def test_global_layers_see_all():
    conv = nn.Conv2d(3, 4, 3, padding=1)
    shape = (2, 3, 8, 6)
    assert everything(nn.Sequential(conv, nn.AdaptiveAvgPool2d(1)), shape)
    assert everything(Call(lambda m, x: m.conv(x).mean((2, 3)), conv=conv), shape)
    assert everything(Call(lambda m, x: m.conv(x).amax((-1, -2), keepdim=True), conv=conv), shape)
    assert everything(nn.Sequential(conv, nn.Flatten(), nn.Linear(192, 2)), shape)
    squeeze = Call(lambda m, x: m.conv(x) * m.conv(x).mean((2, 3), keepdim=True).sigmoid(), conv=conv)
    assert everything(squeeze, shape)

    def attention(m, x):
        tokens = m.conv(x).flatten(2).transpose(1, 2)  # (N, C, H, W) -> (N, H W, C)
        return F.scaled_dot_product_attention(tokens, tokens, tokens)
    assert everything(Call(attention, conv=conv), shape)
    rows = Call(lambda m, x: m.conv(x).mean(3), conv=conv)
    assert tgc.summary(rows, shape).layer("").receptive_field == (3, math.inf)
    assert "3xall, jump 1" in str(tgc.summary(rows, shape))
    lstm = Call(lambda m, x: m.lstm(m.conv(x).permute(2, 0, 1))[0], conv=nn.Conv1d(3, 4, 3), lstm=nn.LSTM(4, 2))
    assert everything(lstm, (2, 3, 8))


def test_a_layer_on_single_places_does_not_see_all():
    """1 x 1 convolutions, layers on channels and norms leave the field as it is."""
    def forward(m, x):
        x = m.norm(m.conv(x))
        return m.inner(x.permute(0, 2, 3, 1)).softmax(-1)  # on the channels
    model = Call(forward, conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), inner=nn.Linear(4, 5))
    assert tgc.summary(model, (2, 3, 8, 8)).layer("").receptive_field == (3, 3)


def test_patches_by_reshape():
    def forward(m, x):
        n, c, h, w = x.shape
        patches = x.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * 16)
        return m.conv(m.linear(patches).transpose(1, 2).reshape(n, 5, h // 4, w // 4))
    model = Call(forward, linear=nn.Linear(48, 5), conv=nn.Conv2d(5, 2, 3))
    assert tgc.summary(model, (2, 3, 16, 24)).layer("conv").receptive_field == (12, 12)
    assert tgc.summary(model, (2, 3, 16, 24)).layer("conv").jump == (4, 4)


def test_larger_than_the_image():
    """The theoretical size, which is what one quotes."""
    model = nn.Sequential(*[nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(5)], nn.Conv2d(1, 1, 3, padding=1))
    assert tgc.summary(model, (1, 1, 16, 16)).layer("").receptive_field == (127, 127)


def test_unknown_and_without_convolution():
    assert tgc.summary(nn.Linear(2, 3), (1, 4, 2)).layer("").receptive_field is None
    mixed = Call(lambda m, x: m.conv(m.conv(x)[:, :, tgc.tensor([3, 0, 2, 1])]), conv=nn.Conv2d(1, 1, 1))
    assert tgc.summary(mixed, (1, 1, 4, 4)).layer("").receptive_field is None


def test_frozen_models_and_no_grad_have_fields():
    """Ops that are not recorded tell their arguments too."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.MaxPool2d(3, 2)).requires_grad_(False)
    found = tgc.summary(model, (1, 1, 20, 20))
    assert found.layer("").receptive_field == (7, 7)
    assert found.backward_bytes == 0
    assert (found.trainable_parameters, found.total_parameters) == (0, 10)


# ---- structure --------------------------------------------------------------------------------------------------------


def test_modules_called_several_times_are_counted_once():
    layer = nn.Linear(4, 4)
    found = tgc.summary(Call(lambda m, x: m.layer(m.layer(m.layer(x))), layer=layer), (1, 4))
    assert [(row.path, row.parameters, row.mult_adds, row.recursive) for row in found.layers] == [
        ("", 0, 0, False), ("layer", 20, 16, False), ("layer", 0, 16, True), ("layer", 0, 16, True)]
    assert found.total_parameters == 20
    assert found.mult_adds == 48
    assert str(found).count("layer: Linear (recursive)") == 2


def test_tied_weights_and_modules_that_are_not_called():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    found = tgc.summary(model, (1, 4))
    assert found.total_parameters == 16
    assert [row.parameters for row in found.layers] == [0, 16, 0]
    idle = Call(lambda m, x: m.a(x), a=nn.Linear(2, 2), spare=nn.Sequential(nn.Linear(2, 3)))
    found = tgc.summary(idle, (1, 2))
    assert [(row.path, row.called, row.parameters) for row in found.layers] == [
        ("", True, 0), ("a", True, 6), ("spare", False, 0), ("spare.0", False, 9)]
    assert "spare: Sequential (not called)" in str(found)
    assert found.total_parameters == sum(row.parameters for row in found.layers)


def test_depth_adds_what_lies_deeper():
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))))
    found = tgc.summary(model, (1, 2), depth=1)
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["Sequential", "0:"]
    assert lines[4].startswith("----")
    assert lines[3].split()[-5:] == ["25", "18", "-", "28", "B"]
    assert [row.parameters for row in found.layers] == [0, 0, 0, 9, 16]  # the layers themselves are not changed by printing
    assert str(tgc.summary(model, (1, 2))).count("Linear") == 2


def test_inputs_of_every_kind():
    for options in ({"input_size": [(5, 2), (5, 3)]}, {"input_size": {"a": (5, 2), "b": (5, 3)}},
                    {"input_data": [tgc.ones(5, 2), tgc.ones(5, 3)]},
                    {"input_data": {"b": tgc.ones(5, 3), "a": tgc.ones(5, 2)}}):
        model = Call(lambda m, a, b: m.l(a) + b, l=nn.Linear(2, 3))
        assert tgc.summary(model, **options).mult_adds == 30
    nested = Call(lambda m, batch: m.l(batch["x"]), l=nn.Linear(2, 3))
    assert tgc.summary(nested, input_data=[{"x": tgc.ones(5, 2)}]).layer("").inputs == [(5, 2)]
    words = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2))
    found = tgc.summary(words, (3, 5), dtypes=tgc.int64)
    assert found.mult_adds == 15 * 8
    assert found.input_bytes == 8 * 15
    states = Call(lambda m, x, h: m.rnn(x, h), rnn=nn.GRU(2, 3))
    assert tgc.summary(states, [(4, 1, 2), (1, 1, 3)]).layer("rnn").outputs == [(4, 1, 3), (1, 1, 3)]
    packed = nn.utils.rnn.pack_padded_sequence(tgc.ones(4, 2, 3), tgc.tensor([4, 2]))
    assert tgc.summary(nn.LSTM(3, 2), input_data=[packed]).mult_adds == 6 * 8 * 5  # six steps, not eight
    assert tgc.summary(nn.Linear(2, 2).double(), (1, 2)).input_bytes == 16


def test_wrong_calls():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="give input_size, shapes with the batch"):
        tgc.summary(layer)
    with pytest.raises(ShapeError, match="input_size must be a shape with the batch"):
        tgc.summary(layer, ["a"])
    with pytest.raises(ShapeError, match="1 inputs, but 2 dtypes"):
        tgc.summary(layer, (1, 2), dtypes=[None, None])
    with pytest.raises(TypeError, match="expected a Module, got int"):
        tgc.summary(3, (1, 2))
    with pytest.raises(KeyError, match="no module 'x'"):
        tgc.summary(layer, (1, 2)).layer("x")


# ---- nothing changes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("mode", ["eval", "train", "same"])
def test_the_model_is_left_as_it_was(mode, fails):
    def forward(m, x):
        y = m.drop(m.norm(m.conv(x)))
        if fails:
            raise RuntimeError("broken")
        return y
    model = Call(forward, conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), drop=nn.Dropout(0.5))
    model.norm.eval()
    model.conv.weight.grad = tgc.ones(2, 1, 3, 3)
    calls = []
    handle = model.conv.register_forward_hook(lambda *_: calls.append(1))
    modes = [module.training for module in model.modules()]
    buffers = {name: (buffer, buffer.numpy().copy()) for name, buffer in model.named_buffers()}
    tgc.manual_seed(3)
    expected = tgc.rand(4).tolist()
    tgc.manual_seed(3)
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            tgc.summary(model, (2, 1, 5, 5), mode=mode)
    else:
        tgc.summary(model, (2, 1, 5, 5), mode=mode)
    assert tgc.rand(4).tolist() == expected
    assert [module.training for module in model.modules()] == modes
    for name, buffer in model.named_buffers():
        assert buffer is buffers[name][0]
        np.testing.assert_array_equal(buffer.numpy(), buffers[name][1])
    assert model.conv.weight.grad.tolist() == tgc.ones(2, 1, 3, 3).tolist()
    assert model.norm.weight.grad is None
    assert calls == [1]
    handle.remove()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert module._hooked == (module is model.conv)
    tgc.ones(2).exp()  # nobody watches any more
    assert tgc.autograd.watch.watch.watcher is None


def test_memory_for_backward_is_that_of_the_graph():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    x = tgc.randn(2, 1, 8, 8)
    found = tgc.summary(model, input_data=x, mode="train")
    # conv2d keeps its input, which does not count; batch norm its input and statistics; ReLU its output, as linear does
    activations = 4 * 2 * 4 * 36
    assert 2 * activations <= found.backward_bytes <= 2 * activations + 4 * 8 * 4 + 8 * 8
    assert found.buffer_bytes == 4 * 4 * 2 + 8
    assert found.forward_bytes == 3 * activations + 4 * 2 * 3
    assert "kept for backward" in str(found)


def test_work_in_other_threads_and_custom_functions_do_not_disturb():
    class Double(tgc.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, g):
            return g * 2.0
    model = Call(lambda m, x: m.conv(Double.apply(m.conv(x))), conv=nn.Conv2d(1, 1, 3))
    found = tgc.summary(model, (1, 1, 9, 9))
    assert found.mult_adds == 9 * (49 + 25)
    assert found.layer("").receptive_field == (5, 5)


def test_writing_in_place():
    def forward(m, x):
        y = m.b(m.a(x))
        y += m.a(x)
        return y.relu_()
    model = Call(forward, a=nn.Conv2d(1, 1, 3, padding=1), b=nn.Conv2d(1, 1, 3, padding=1))
    assert tgc.summary(model, (1, 1, 9, 9)).layer("").receptive_field == (5, 5)
