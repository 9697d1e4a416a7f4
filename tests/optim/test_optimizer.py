"""Optimizer: groups, state dicts, closures, version counters, mistakes."""

import copy

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.errors import GraphError, StateDictError


def param(*shape):
    return nn.Parameter(tgc.ones(*shape))


def with_grad(*shape):
    p = param(*shape)
    p.grad = tgc.ones(*shape)
    return p


def test_a_net_learns():
    tgc.manual_seed(0)
    x, y = tgc.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), tgc.tensor([[0.0], [1], [1], [0]])
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = nn.MSELoss()(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_groups_have_options_of_their_own():
    a, b, c = with_grad(1), with_grad(1), with_grad(1)
    optimizer = optim.SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=0.1)
    optimizer.add_param_group({"params": iter([c]), "lr": 0.25})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1, 0.25]
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.5, 0.9, 0.75])
    assert optimizer.state_dict()["param_groups"][2]["params"] == [2]
    assert "Parameter Group 2" in repr(optimizer)


def test_zero_grad():
    p = with_grad(2)
    optimizer = optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    with pytest.warns(UserWarning, match=r"SGD\.step: no parameter has a gradient.*backward\(\)"):
        optimizer.step()
    assert p.tolist() == [1.0, 1.0]


def test_closure_runs_with_gradients():
    p = param(1)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tgc.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 1.0
    assert p.item() == pytest.approx(0.8)


def test_step_writes_in_place_and_tells_the_graph():
    p = param(2)
    x = tgc.ones(2, requires_grad=True)
    loss = (p * x).sum()
    optimizer = optim.SGD([p], lr=0.1)
    array = p.array
    p.grad = tgc.ones(2)
    optimizer.step()
    assert p.array is array
    assert p.requires_grad
    assert p.is_leaf
    with pytest.raises(GraphError, match=r"SGD\.step"):
        loss.backward()


def test_step_leaves_the_gradient_alone():
    p = with_grad(2)
    optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5, maximize=True).step()
    optim.Adam([p], lr=0.1, weight_decay=0.5, maximize=True).step()
    assert p.grad.tolist() == [1.0, 1.0]


def test_shared_parameters_are_stepped_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    net.append(net[0])
    assert len(optim.SGD(net.parameters()).param_groups[0]["params"]) == 1


def test_state_follows_the_dtype_of_the_parameter():
    p = with_grad(2)
    first = optim.Adam([p])
    first.step()
    q = nn.Parameter(tgc.ones(2, dtype=tgc.float64))
    second = optim.Adam([q])
    second.load_state_dict(first.state_dict())
    assert second.state[q]["exp_avg"].dtype == tgc.float64
    assert second.state[q]["step"] == 1


def test_load_lists_what_is_wrong_and_changes_nothing():
    a = optim.SGD([with_grad(2), with_grad(3)], lr=0.1, momentum=0.9)
    a.step()
    b = optim.SGD([param(2), param(4)], lr=0.7, momentum=0.9)
    with pytest.raises(StateDictError, match=r"momentum_buffer of parameter 1: the file has \(3,\), .* \(4,\)"):
        b.load_state_dict(a.state_dict())
    assert b.param_groups[0]["lr"] == 0.7
    assert not b.state
    with pytest.raises(StateDictError, match="group 0: the file has 2 parameters, the optimiser has 1"):
        optim.SGD([param(2)]).load_state_dict(a.state_dict())
    with pytest.raises(StateDictError, match="groups: the file has 1, the optimiser has 2"):
        optim.SGD([{"params": [param(2)]}, {"params": [param(2)]}]).load_state_dict(a.state_dict())
    with pytest.raises(StateDictError, match="keys 'state' and 'param_groups', this one has"):
        b.load_state_dict(nn.Linear(1, 1).state_dict())
    with pytest.raises(StateDictError, match="another kind of optimiser, it has the options dampening, momentum"):
        optim.Adam([param(2), param(3)]).load_state_dict(a.state_dict())
    broken = a.state_dict()
    broken["state"][0]["momentum_buffer"] = [1.0, 2.0]
    with pytest.raises(StateDictError, match="momentum_buffer of parameter 0 is a list"):
        optim.SGD([param(2), param(3)]).load_state_dict(broken)
    partial = optim.Adam([param(2), param(3)]).state_dict()
    partial["state"][0] = {"exp_avg": tgc.ones(2)}
    with pytest.raises(StateDictError, match="has exp_avg; Adam needs step, exp_avg, exp_avg_sq"):
        optim.Adam([param(2), param(3)]).load_state_dict(partial)


def test_adamw_stays_adamw():
    optimizer = optim.AdamW([param(2)])
    optimizer.load_state_dict(optim.Adam([param(2)], lr=0.5).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["decoupled_weight_decay"]


P = param(2)
LEAF = tgc.ones(2, requires_grad=True)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: optim.SGD([]), ValueError, "SGD: optimizer got an empty parameter list"),
    (lambda: optim.SGD(nn.ReLU().parameters()), ValueError, "empty parameter list.*ModuleList"),
    (lambda: optim.SGD(P), TypeError, "one Tensor: put it in a list"),
    (lambda: optim.SGD({P}), TypeError, "set"),
    (lambda: optim.SGD({"params": [P]}), TypeError, "dict"),
    (lambda: optim.SGD([{"params": {P}}]), TypeError, "set"),
    (lambda: optim.SGD([3.0]), TypeError, "can only optimize Tensors, but parameter 0 of group 0 is a float"),
    (lambda: optim.SGD([("p", P), LEAF]), ValueError, "should be with/without names.*parameter 1 has none"),
    (lambda: optim.SGD([("p", P)]).add_param_group({"params": LEAF}), ValueError, "cannot add param group without names"),
    (lambda: optim.SGD([LEAF, LEAF * 2]), ValueError, r"can't optimize a non-leaf Tensor: parameter 1 .*\(2,\)"),
    (lambda: optim.SGD([P, P]), ValueError, "more than one place: parameter 1 of group 0.* this group"),
    (lambda: optim.SGD([{"params": P}, {"params": P}]), ValueError, "parameter 0 of group 1.* in group 0"),
    (lambda: optim.SGD([P], lr=-0.1), ValueError, r"Invalid learning rate: -0\.1"),
    (lambda: optim.SGD([P], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
    (lambda: optim.SGD([P], lr="0.1"), TypeError, "Invalid learning rate: '0.1' is a str"),
    (lambda: optim.SGD([{"params": P, "lr": -1}]), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD([{"params": P, "learning_rate": 1}]), ValueError, "SGD has no option learning_rate"),
    (lambda: optim.SGD([P], momentum=-1), ValueError, "Invalid momentum value: -1"),
    (lambda: optim.SGD([P], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "requires a momentum and zero dampening, got momentum=0"),
    (lambda: optim.SGD([P], differentiable=True), ValueError, "differentiable=True is not supported"),
    (lambda: optim.Adam([P], betas=(1.0, 0.9)), ValueError, r"Invalid beta parameter at index 0: 1\.0"),
    (lambda: optim.Adam([P], betas=(0.9, -0.1)), ValueError, r"Invalid beta parameter at index 1: -0\.1"),
    (lambda: optim.Adam([P], eps=-1.0), ValueError, "Invalid epsilon value"),
    (lambda: optim.SGD([P]).add_param_group(3), TypeError, "must be a dict, but got int"),
    (lambda: optim.SGD([P]).add_param_group({"lr": 3}), ValueError, "no 'params', only"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_model_converted_after_the_optimiser_was_built():
    net = nn.Linear(2, 2)
    optimizer = optim.SGD(net.parameters(), momentum=0.9)
    net(tgc.ones(1, 2)).sum().backward()
    optimizer.step()
    net.double()
    with pytest.raises(TypeError, match=r"momentum_buffer .*float32.*float64"):
        optimizer.step()


EVERY = ["SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adafactor", "RMSprop", "Rprop", "Adamax", "NAdam", "RAdam", "ASGD",
         "Quickprop", "Muon"]


@pytest.mark.parametrize("name", EVERY)
def test_the_learning_rate_may_be_a_tensor(name):
    """It is read at each step, so that a scheduler, or the user, can write into it."""
    rate, ends = tgc.tensor(0.5), []
    for lr in (rate, 0.5):
        p = with_grad(2, 2)
        optimizer = getattr(optim, name)([p], lr=lr)
        optimizer.step()
        if lr is rate:
            rate.fill_(0.25)
        else:
            optimizer.param_groups[0]["lr"] = 0.25
        optimizer.step()
        ends.append(p.tolist())
    assert ends[0] == ends[1]
    saved = optim.SGD([param(1)], lr=rate).state_dict()
    other = optim.SGD([param(1)])
    other.load_state_dict(saved)
    rate.fill_(7.0)
    assert other.param_groups[0]["lr"].item() == 0.25
    with pytest.raises(ValueError, match=r"Tensor lr must be 1-element, got shape \(2,\)"):
        getattr(optim, name)([param(2, 2)], lr=tgc.ones(2))


@pytest.mark.parametrize("name", EVERY)
def test_a_deep_copy_goes_on_by_itself(name):
    p = with_grad(2, 3)
    optimizer = getattr(optim, name)([p], lr=0.5)
    optimizer.register_step_pre_hook(lambda *_: pytest.fail("hooks are not copied"))
    copied = copy.deepcopy(optimizer)
    q = copied.param_groups[0]["params"][0]
    assert q is not p
    copied.step()
    copied.step()
    assert p.tolist() == param(2, 3).tolist()
    twin = getattr(optim, name)([p], lr=0.5)
    twin.step()
    twin.step()
    assert p.tolist() == q.tolist()


def test_named_parameters():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = optim.Adam(net.named_parameters())
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert optimizer.param_groups[0]["param_names"] == names
    assert optimizer.param_groups[0]["params"] == list(net.parameters())
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["param_names"] == names
    assert "param_names: ['0.weight'" in repr(optimizer)

    renamed = optim.Adam([(f"x.{name}", p) for name, p in net.named_parameters()])
    renamed.load_state_dict(optim.Adam(net.parameters(), lr=0.5).state_dict())  # without names: its own stay
    assert renamed.param_groups[0]["lr"] == 0.5
    assert renamed.param_groups[0]["param_names"][0] == "x.0.weight"
    renamed.load_state_dict(saved)
    assert renamed.param_groups[0]["param_names"] == names
    groups = optim.SGD([{"params": net[0].named_parameters(), "name": "first"},
                        {"params": net[1].named_parameters(), "lr": 1}])
    assert [group["param_names"] for group in groups.param_groups] == [["weight", "bias"]] * 2


def test_step_hooks_run_in_order_and_can_change_the_arguments():
    calls = []
    p = with_grad(1)

    class Twice(optim.SGD):
        def step(self, closure=None):
            super().step()
            calls.append("step")
            return super().step(closure)

    optimizer = Twice([p], lr=0.25)
    with (optim.register_optimizer_step_pre_hook(lambda *_: calls.append("every pre")),
          optim.register_optimizer_step_post_hook(lambda *_: calls.append("every post"))):
        optimizer.register_step_post_hook(lambda *_: calls.append("post"))
        handle = optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, {"closure": lambda: 5}))
        assert optimizer.step() == 5
        assert calls == ["every pre", "step", "post", "every post"]
        handle.remove()
    calls.clear()
    assert optimizer.step(closure=lambda: 6) == 6
    assert calls == ["step", "post"]
    assert p.item() == 0
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(RuntimeError, match=r"Twice\.step: a pre-hook must return None or a tuple .* but got 3"):
        optimizer.step()
    with pytest.raises(TypeError, match="a hook must be callable, got int"):
        optimizer.register_step_pre_hook(3)


def test_state_dict_hooks():
    calls = []
    optimizer = optim.SGD([param(1)], lr=0.5)
    optimizer.register_state_dict_pre_hook(lambda opt: calls.append("second"))
    optimizer.register_state_dict_pre_hook(lambda opt: calls.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "note": 1})
    saved = optimizer.state_dict()
    assert calls == ["first", "second"]
    assert saved["note"] == 1

    def halve(opt, state):
        state["param_groups"] = [{**group, "lr": group["lr"] / 2} for group in state["param_groups"]]

    optimizer.register_load_state_dict_pre_hook(halve)
    optimizer.register_load_state_dict_post_hook(lambda opt: calls.append(opt.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert calls[-1] == 0.25
    assert saved["param_groups"][0]["lr"] == 0.5


@pytest.mark.parametrize(("call", "match"), [
    (lambda: optim.Adagrad([P], lr_decay=-1), "Invalid lr_decay value: -1"),
    (lambda: optim.Adagrad([P], initial_accumulator_value=-1), "Invalid initial_accumulator_value value: -1"),
    (lambda: optim.Adagrad([P], eps=-1), "Invalid epsilon value: -1"),
    (lambda: optim.Adadelta([P], rho=1.5), r"Invalid rho value: 1\.5; it must be in \[0, 1\]"),
    (lambda: optim.RMSprop([P], alpha=-1), "Invalid alpha value: -1"),
    (lambda: optim.RMSprop([P], momentum=-1), "Invalid momentum value: -1"),
    (lambda: optim.Rprop([P], etas=(0.5, 0.9)), r"Invalid eta values: 0\.5, 0\.9; they must be 0 < etaminus < 1 < etaplus"),
    (lambda: optim.Rprop([P], step_sizes=3), "step_sizes must be a pair, got 3"),
    (lambda: optim.Adamax([P], betas=(1.0, 0.9)), r"Invalid beta parameter at index 0: 1\.0"),
    (lambda: optim.NAdam([P], momentum_decay=-1), "Invalid momentum_decay value: -1"),
    (lambda: optim.RAdam([P], betas=(0.9,)), r"betas must be a pair, got \(0\.9,\)"),
    (lambda: optim.ASGD([P], weight_decay=-1), "Invalid weight_decay value: -1"),
    (lambda: optim.Quickprop([P], mu=-1), "Invalid mu value: -1"),
    (lambda: optim.RMSprop([P], differentiable=True), "differentiable=True is not supported"),
])
def test_options_out_of_range(call, match):
    with pytest.raises(ValueError, match=match):
        call()
