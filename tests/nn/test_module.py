"""Module: registration, walking, attributes, calling, errors with the module's path."""

import copy

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import ShapeError


class Net(nn.Module):
    """A tree with a shared child, buffers of both kinds and a free parameter name."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(tgc.ones(2))
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        self.head = nn.Linear(2, 2, bias=False)
        self.again = self.head
        self.register_buffer("mean", tgc.zeros(2))
        self.register_buffer("cache", tgc.zeros(5), persistent=False)
        self.register_parameter("offset", None)

    def forward(self, x):
        return self.again(self.head(self.body(x))) * self.scale - self.mean


def test_walking_names_shared_things_once():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias", "head.weight"]
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)][-1] == "again.weight"
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_parameters(prefix="net")][:2] == ["net.scale", "net.body.0.weight"]
    assert [n for n, _ in net.named_buffers()] == ["mean", "cache"]
    assert [n for n, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [n for n, _ in net.named_children()] == ["body", "head"]
    assert len(list(net.parameters())) == 6
    assert len(list(net.buffers())) == 2
    assert next(net.modules()) is net
    assert list(net.children())[1] is net.again


def test_walking_agrees_with_torch():
    torch = torch_or_skip()

    def build(lib, module):
        net = module()
        net.a = lib.Linear(1, 2)
        net.b = lib.Sequential(net.a, lib.Conv2d(1, 2, 3))
        net.p = net.a.weight
        net.c = lib.ModuleList([net.b, lib.ReLU()])
        return net

    ours, theirs = build(nn, nn.Module), build(torch.nn, torch.nn.Module)
    for method in ("named_parameters", "named_modules", "named_children", "named_buffers"):
        assert [n for n, _ in getattr(ours, method)()] == [n for n, _ in getattr(theirs, method)()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)


def test_assignment_registers_and_moves_between_kinds():
    m = nn.Module()
    m.x = nn.Parameter(tgc.ones(1))
    m.y = nn.Parameter(tgc.ones(1))
    m.x = nn.Linear(1, 1)
    assert [n for n, _ in m.named_parameters(recurse=False)] == ["y"]
    assert [n for n, _ in m.named_children()] == ["x"]
    m.x = None
    assert list(m.children()) == []
    assert m.x is None
    m.x = nn.ReLU()
    assert isinstance(m.x, nn.ReLU)
    del m.x
    assert not hasattr(m, "x")
    assert list(m.children()) == []
    m.plain = 3
    assert m.plain == 3
    with pytest.raises(TypeError, match="assignment"):
        m._modules["z"] = nn.ReLU()


def test_none_parameter_can_be_filled_later():
    net = Net()
    assert net.offset is None
    assert "offset" not in net.state_dict()
    net.offset = nn.Parameter(tgc.zeros(2))
    assert "offset" in net.state_dict()


@pytest.mark.parametrize(("name", "value", "match"), [
    ("weight", tgc.zeros(3, 2), r"cannot assign 'Tensor' as parameter 'weight'.*nn\.Parameter\(value\).*copy_"),
    ("weight", 3.0, "cannot assign 'float' as parameter 'weight'"),
])
def test_wrong_value_for_a_parameter(name, value, match):
    m = nn.Linear(2, 3)
    with pytest.raises(TypeError, match=match):
        setattr(m, name, value)
    assert isinstance(m.weight, nn.Parameter)


def test_wrong_value_for_buffer_and_module():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign 'int' as buffer 'mean'"):
        net.mean = 3
    with pytest.raises(TypeError, match=r"cannot assign 'Tensor' as module 'body' .nn\.Module"):
        net.body = tgc.zeros(1)
    net.mean = tgc.ones(2)
    assert net.mean.tolist() == [1.0, 1.0]
    assert [n for n, _ in net.named_buffers()] == ["mean", "cache"]


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"before Module\.__init__\(\) call.*super\(\)\.__init__\(\)"):
        Early()

    class Never(nn.Module):
        def __init__(self):
            self.n = 3

    with pytest.raises(AttributeError, match="has not called super"):
        Never()(tgc.ones(1))


def test_attribute_errors_list_near_names():
    with pytest.raises(AttributeError, match=r"'Linear' object has no attribute 'wieght'. Near names: .*weight"):
        _ = nn.Linear(2, 3).wieght

    class Bad(nn.Module):
        @property
        def size(self):
            return self.nothing_of_the_kind

    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = Bad().size


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda m: m.register_parameter("a.b", None), KeyError, "contain"),
    (lambda m: m.register_parameter("", None), KeyError, "empty string"),
    (lambda m: m.register_parameter(3, None), TypeError, "should be a string"),
    (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
    (lambda m: m.register_parameter("x", tgc.zeros(1)), TypeError, "nn.Parameter"),
    (lambda m: m.register_buffer("weight", tgc.zeros(1)), KeyError, "already exists"),
    (lambda m: m.register_buffer("x", 3), TypeError, "Tensor or None"),
    (lambda m: m.add_module("x", 3), TypeError, "not a Module subclass"),
    (lambda m: m.train(1), ValueError, "boolean"),
    (lambda m: m.to(tgc.int64), TypeError, "floating point"),
    (lambda m: m.get_submodule("a"), AttributeError, "no attribute 'a'"),
    (lambda m: m.get_submodule("weight"), AttributeError, "not a Module"),
    (lambda m: m.get_parameter("in_features"), AttributeError, "not a Parameter"),
    (lambda m: nn.Module()(1), NotImplementedError, "missing the required"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call(nn.Linear(1, 1))


def test_train_eval_requires_grad_zero_grad_apply():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    net(tgc.ones(1, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    order = []
    net.apply(lambda m: order.append(type(m).__name__))
    assert order == ["Linear", "ReLU", "Linear", "Sequential", "Linear", "Net"]


def test_conversion_keeps_the_parameter_objects():
    net = Net()
    net.register_buffer("count", tgc.tensor([3]))
    before = list(net.parameters())
    net(tgc.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {tgc.float64}
    assert {p.grad.dtype for p in net.parameters()} == {tgc.float64}
    assert net.mean.dtype == tgc.float64
    assert net.count.dtype == tgc.int64
    assert net.again.weight is net.head.weight
    assert net(tgc.ones(1, 3, dtype=tgc.float64)).dtype == tgc.float64
    net.to(tgc.float32)
    assert net.mean.dtype == tgc.float32
    assert net.float().cpu().to("cpu", tgc.float64).mean.dtype == tgc.float64
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_a_conversion_that_fails_changes_nothing():
    net = Net()
    net(tgc.ones(1, 3)).sum().backward()

    def refuse(tensor):
        if tensor.shape == (5,):
            raise RuntimeError("no")
        return tensor.double()

    with pytest.raises(RuntimeError, match="no"):
        net._convert(refuse)
    assert {p.dtype for p in net.parameters()} == {tgc.float32}
    assert all(p.grad is not None for p in net.parameters())


def test_deepcopy_is_independent():
    net = Net()
    other = copy.deepcopy(net)
    assert other.again is other.head
    with tgc.no_grad():
        other.scale.fill_(5.0)
    assert net.scale.tolist() == [1.0, 1.0]
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert isinstance(other.scale, nn.Parameter)


def test_parameter():
    p = nn.Parameter(tgc.ones(2))
    assert isinstance(p, tgc.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    assert repr(p).startswith("Parameter containing:\ntensor([1., 1.]")
    assert not nn.Parameter(tgc.ones(2), requires_grad=False).requires_grad
    assert not isinstance(p * 2, nn.Parameter)
    assert not isinstance(p.detach(), nn.Parameter)
    values = tgc.zeros(2)
    q = nn.Parameter(values)
    with tgc.no_grad():
        q.add_(1.0)
    assert values.tolist() == [1.0, 1.0]  # memory is shared, as in PyTorch
    x = tgc.ones(2, requires_grad=True)
    assert nn.Parameter(x * 2).is_leaf
    with pytest.raises(TypeError, match="Tensor"):
        nn.Parameter([1.0, 2.0])


# ---- the path of an error ---------------------------------------------------------------------------------------


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5))
        self.hidden = [nn.Linear(3, 3)]  # not registered

    def forward(self, x):
        return self.features(x)


def test_shape_errors_carry_the_module_path():
    net = LeNet()
    net.features[3] = nn.Conv2d(7, 16, 5)
    with pytest.raises(ShapeError) as info:
        net(tgc.zeros(1, 1, 32, 32))
    text = str(info.value)
    assert text.endswith("\n  in LeNet.features.3 (Conv2d(7, 16, kernel_size=(5, 5), stride=(1, 1)))")
    assert text.count("\n  in ") == 1


def test_path_when_a_grandchild_is_called_directly():
    class Direct(LeNet):
        def forward(self, x):
            return self.features[3](x)

    with pytest.raises(ShapeError, match=r"in Direct\.features\.3 \(Conv2d\("):
        Direct()(tgc.zeros(1, 1, 32, 32))


def test_path_of_a_module_that_is_not_registered():
    class Hidden(LeNet):
        def forward(self, x):
            return self.hidden[0](x)

    with pytest.raises(ShapeError, match=r"in Hidden -> Linear \(Linear\("):
        Hidden()(tgc.zeros(1, 1, 32, 32))


def test_path_of_an_op_in_a_containers_own_forward():
    class Own(LeNet):
        def forward(self, x):
            return x @ tgc.zeros(3, 3)

    with pytest.raises(ShapeError, match=r"in Own \(Own\)$"):
        Own()(tgc.zeros(1, 4))


def test_errors_of_other_kinds_pass_unchanged():
    class Odd(nn.Module):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match=r"^'mine'$"):
        nn.Sequential(Odd())(1)


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.Conv2d(1, 1, 1), nn.MaxPool2d(1), nn.Flatten(), nn.Softmax(1)])
@pytest.mark.parametrize("value", [np.zeros((1, 2), np.float32), [[1.0, 2.0]], None])
def test_input_that_is_no_tensor(layer, value):
    with pytest.raises(TypeError, match=rf"(?s)must be a Tensor, got {type(value).__name__}.*tgc\..*{type(layer).__name__}"):
        layer(value)
