"""ParameterList, ParameterDict and Buffer: every operation has PyTorch's result; and what the module lists could not do."""

from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import raised_by, torch_or_skip
from tinygrad_course import nn


def written(module):
    """repr with our names of types."""
    return repr(module).replace("torch.FloatTensor", "float32").replace("torch.", "")


def test_parameter_list():
    torch = torch_or_skip()

    def play(lib):
        row = lib.nn.ParameterList([lib.ones(2, 3), lib.nn.Parameter(lib.zeros(4), requires_grad=False)])
        log = [written(row), written(lib.nn.ParameterList([lib.ones(2)])), repr(lib.nn.ParameterList())]
        kept = row[1]
        row.append(lib.zeros(())).extend([7, lib.nn.Linear(1, 2)])
        row += [lib.nn.Buffer(lib.ones(5))]
        log += [len(row), row[-5] is kept, row[3], [type(value).__name__ for value in row], written(row)]
        log += [written(row[1:4]), len(row[::-2]), row[1:][0] is kept]
        row[0] = lib.zeros(1)
        row[3] = "other"
        log += [list(row.state_dict()), [name for name, _ in row.named_parameters()]]
        log += [[p.requires_grad for p in row.parameters()]]
        log += [[name for name in dir(row) if name.isdigit()], tuple(row[0].shape)]
        log += raised_by(lambda: row[6], lambda: row[-7], lambda: row.extend(3), lambda: row.extend(lib.ones(2)),
                         lambda: row(1), lambda: row.__setitem__(0, 3))
        return log

    assert play(tgc) == play(torch)


def test_parameter_dict():
    torch = torch_or_skip()

    def play(lib):
        d = lib.nn.ParameterDict({"b": lib.ones(2, 3), "a": lib.nn.Parameter(lib.zeros(4)), "n": 7})
        log = [written(d), list(d), list(d.state_dict()), len(d), "a" in d, "x" in d, list(reversed(d)), d["n"]]
        d["c"] = lib.zeros(1)
        log += [d.get("x"), d.get("x", 5), type(d.get("c")).__name__, d.setdefault("e", 3), d.setdefault("e", 4)]
        copy = d.copy()
        log += [copy["a"] is d["a"], list(copy), list(copy.keys()), [k for k, _ in copy.items()], len(list(copy.values()))]
        log += [d.pop("n"), d.popitem(), list(d)]
        del d["b"]
        log += [list(d), list(d.fromkeys(["q", "p"], 1).items())]
        d.update(OrderedDict([("z", lib.ones(1)), ("y", lib.ones(2))]))
        d.update([("w", lib.ones(3))])
        d.update(lib.nn.ParameterDict({"v": lib.ones(1)}))
        log += [list(d.state_dict()), [tuple(p.shape) for p in d.parameters()]]
        both = d | lib.nn.ParameterDict({"w": lib.zeros(9), "new": 2})
        d |= lib.nn.ParameterDict({"last": 0})
        log += [list(both), list(d), tuple(both["w"].shape), tuple(d["w"].shape)]
        names = raised_by(  # each with a copy: PyTorch keeps the key that it refused
            lambda: d["none"], lambda: d.pop("none"), lambda: d.update(3), lambda: d.update([3]),
            lambda: d.update([(1, 2, 3)]), lambda: d(1), lambda: d.copy().__setitem__(3, lib.ones(1)),
            lambda: d.copy().__setitem__("keys", lib.ones(1)), lambda: d.copy().__setitem__("a.b", lib.ones(1)),
            lambda: d.copy().__setitem__("", lib.ones(1)))
        log += ["KeyError" if name == "AttributeError" else name for name in names]  # of d["none"]
        d.clear()
        return [*log, len(d), repr(d)]

    assert play(tgc) == play(torch)


def test_they_are_trained_copied_and_converted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterList([tgc.ones(2), tgc.ones(2)])
            self.named = nn.ParameterDict({"scale": tgc.ones(2)})

        def forward(self, x):
            for weight in self.weights:
                x = x * weight
            return x * self.named["scale"]

    net = Net().double()
    assert list(net.state_dict()) == ["weights.0", "weights.1", "named.scale"]
    net(tgc.tensor([2.0, 3.0], dtype=tgc.float64)).sum().backward()
    assert [p.grad.tolist() for p in net.parameters()] == [[2.0, 3.0]] * 3
    net.load_state_dict({key: value * 2 for key, value in net.state_dict().items()})
    assert net.weights[1].tolist() == [2.0, 2.0]


def test_buffers_register_themselves():
    torch = torch_or_skip()

    def play(lib):
        module = lib.nn.Module()
        module.kept = lib.nn.Buffer(lib.ones(2))
        module.lost = lib.nn.Buffer(lib.zeros(3), persistent=False)
        module.lost, log = lib.nn.Buffer(lib.zeros(4), persistent=False), []
        log += [list(module.state_dict()), [name for name, _ in module.named_buffers()]]
        log += [isinstance(module.kept, lib.nn.Buffer)]
        module.lost = lib.nn.Buffer(lib.zeros(4))
        module.kept = lib.zeros(1)
        log += [list(module.state_dict()), repr(lib.nn.Buffer(lib.ones(2))), lib.nn.Buffer().shape == (0,)]
        module.double()
        log += [str(module.kept.dtype).removeprefix("torch."), list(module.state_dict())]
        module.plain = 3
        module.weight = lib.nn.Parameter(lib.ones(1))
        log += raised_by(lambda: setattr(module, "plain", lib.nn.Buffer(lib.ones(1))),
                         lambda: setattr(module, "weight", lib.nn.Buffer(lib.ones(1))),
                         lambda: setattr(module, "kept", 3))
        return log

    assert play(tgc) == play(torch)


def test_a_buffer_shares_its_memory_and_is_copied():
    import copy

    data = tgc.zeros(2)
    buffer = nn.Buffer(data, persistent=False)
    data.fill_(3)
    assert buffer.tolist() == [3.0, 3.0]
    twin = copy.deepcopy(buffer)
    data.fill_(4)
    assert (twin.tolist(), twin.persistent, type(twin)) == ([3.0, 3.0], False, nn.Buffer)
    assert type(buffer + 1) is tgc.Tensor
    with pytest.raises(TypeError, match=r"Buffer: data must be a Tensor, got list; use tgc\.tensor"):
        nn.Buffer([1.0])


# ---- ModuleList, ModuleDict and Sequential -------------------------------------------------------------------------------


def test_operators_of_sequential_and_lists():
    torch = torch_or_skip()

    def play(lib):
        nn = lib.nn
        a, b = nn.Sequential(nn.Linear(1, 2), nn.ReLU()), nn.Sequential(nn.Tanh())
        log = [repr(a * 2), repr(2 * b), (a * 2)[2] is a[0], list((a * 2).state_dict())]
        c = nn.Sequential(*b)
        c += a
        c *= 2
        log += [repr(c), c[1] is c[4], repr(c.pop(slice(0, 2))), repr(c)]
        row = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(1, 1)])
        log += [repr(row + [nn.Tanh()]), repr(row + row), type(row + row).__name__]  # noqa: RUF005
        log += [[n for n in dir(row) if n.isdigit()]]
        row.insert(1, nn.Tanh())
        log += [repr(row), repr(row.pop(-1)), repr(row.pop(slice(0, 2))), repr(row)]

        class Mine(nn.ModuleList):
            pass

        log += [type(Mine([nn.ReLU()])[:1]).__name__]
        d = nn.ModuleDict([("x", nn.ReLU()), ("a", nn.Tanh())])
        d.update({"z": nn.ReLU(), "b": nn.Tanh()})
        d.update(nn.ModuleDict({"y": nn.ReLU()}))
        d.update([("c", nn.ReLU())])
        log += [list(d), repr(d)]
        log += raised_by(
            lambda: a * 0, lambda: a * 1.5, lambda: a.insert(9, nn.ReLU()), lambda: row.extend(3), lambda: d.update(3),
            lambda: d.update([3]), lambda: d.update([(1, 2, 3)]), lambda: row[9], lambda: d["none"])
        return log

    assert play(tgc) == play(torch)


def test_modules_that_are_shared_are_trained_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False)) * 3
    assert len(list(net.parameters())) == 1
    x = tgc.tensor(np.eye(2, dtype="float32"))
    net[0].weight.data = tgc.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert net(x).tolist() == [[8.0, 0.0], [0.0, 27.0]]
