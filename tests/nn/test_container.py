"""Sequential, ModuleList, ModuleDict."""

import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn


def layers(lib):
    return [lib.Linear(2, 3), lib.ReLU(), lib.Linear(3, 4), lib.Tanh()]


def test_sequential_calls_in_order():
    net = nn.Sequential(*layers(nn))
    x = tgc.randn(5, 2)
    assert net(x).tolist() == net[3](net[2](net[1](net[0](x)))).tolist()
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_list_operations_agree_with_torch(kind):
    torch = torch_or_skip()

    def play(lib):
        a = layers(lib)
        row = getattr(lib, kind)(*a) if kind == "Sequential" else getattr(lib, kind)(a)
        log = [len(row), row[1] is a[1], row[-1] is a[3], [m is n for m, n in zip(row, a, strict=True)]]
        log.append(repr(row[1:3]))
        row.append(lib.Sigmoid())
        row.extend([lib.Flatten(), lib.Dropout(0.2)])
        row.insert(1, lib.Identity())
        del row[0]
        del row[-2:]
        log.append(type(row.pop(2)).__name__)
        row[0] = lib.Linear(7, 7)
        return [*log, repr(row), list(row.state_dict())]

    assert play(nn) == play(torch.nn)


def test_sequential_with_names():
    torch = torch_or_skip()

    def play(lib):
        net = lib.Sequential(dict(zip("abcd", layers(lib), strict=True)))
        net[0] = lib.Linear(2, 2)
        log = [repr(net), repr(net[1:]), list(net.state_dict())]
        net.append(lib.ReLU())
        return [*log, repr(net)]

    from collections import OrderedDict
    torch_sequential = torch.nn.Sequential

    class Names:  # torch wants an OrderedDict, a plain dict is as good here
        def __getattr__(self, name):
            return getattr(torch.nn, name)

        def Sequential(self, names):
            return torch_sequential(OrderedDict(names))

    assert play(nn) == play(Names())
    assert nn.Sequential({"first": nn.ReLU()}).first is not None


def test_addition():
    both = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    assert [type(m).__name__ for m in both] == ["ReLU", "Tanh"]
    with pytest.raises(TypeError, match="Sequential"):
        _ = both + nn.ReLU()


def test_module_dict():
    d = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 3), "act": nn.ReLU()})
    d["more"] = nn.Linear(1, 1)
    assert list(d) == list(d.keys()) == ["conv", "act", "more"]
    assert "act" in d
    assert len(d) == len(list(d.values())) == len(list(d.items())) == 3
    assert list(d.state_dict()) == ["conv.weight", "conv.bias", "more.weight", "more.bias"]
    assert isinstance(d.pop("act"), nn.ReLU)
    del d["conv"]
    assert list(d) == ["more"]
    d.clear()
    assert repr(d) == "ModuleDict()"
    with pytest.raises(KeyError, match="already exists"):
        d["keys"] = nn.ReLU()


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.Sequential(nn.ReLU(), 3), TypeError, "int is not a Module subclass"),
    (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"list is not a Module subclass: .*\*layers"),
    (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "index 1 is out of range: the Sequential has 1 modules"),
    (lambda: nn.ModuleList([nn.ReLU()])(1), NotImplementedError, "ModuleList"),
    (lambda: nn.ModuleList([None]), TypeError, "NoneType is not a Module"),
    (lambda: nn.ModuleDict({"a": 3}), TypeError, "int is not a Module"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()
