"""Each rule of lint finds its mistake in a script that makes it, and a good script is left in peace."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import models, nn, optim
from tinygrad_course.debug import lint
from tinygrad_course.debug.rules import RULES
from tinygrad_course.nn import functional as F

# The losses warn by themselves of what lint explains.
pytestmark = pytest.mark.filterwarnings("ignore:.*gets the result of:UserWarning")

Script = Callable[[], tuple[Any, ...]]
SCRIPTS: dict[str, Script] = {}
LABELS = [0, 1, 1]


def script(function: Script) -> Script:
    """A script that makes the one mistake it is named after; returns the arguments of lint()."""
    SCRIPTS[function.__name__.replace("_", "-")] = function
    return function


def data(*shape: int) -> Any:
    return tgc.tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))


class Net(nn.Module):
    """Two layers, `head` behind them."""

    def __init__(self, head: Callable[[Any], Any] = lambda x: x, outputs: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, outputs)
        self.head = head

    def forward(self, x: Any) -> Any:
        return self.head(self.second(self.first(x).tanh()))


def with_loss(model: Any, criterion: Callable[[Any], Any], *optimizer: Any) -> tuple[Any, ...]:
    return model, criterion(model(data(3, 4))), *optimizer


def cross_entropy(scores: Any) -> Any:
    return F.cross_entropy(scores, tgc.tensor(LABELS))


@script
def nothing_to_learn() -> tuple[Any, ...]:
    return with_loss(Net().requires_grad_(False), cross_entropy)


@script
def loss_not_scalar() -> tuple[Any, ...]:
    return with_loss(Net(), lambda y: F.cross_entropy(y, tgc.tensor(LABELS), reduction="none"))


@script
def softmax_before_cross_entropy() -> tuple[Any, ...]:
    return with_loss(Net(nn.Softmax(1)), cross_entropy)


@script
def softmax_before_nll_loss() -> tuple[Any, ...]:
    return with_loss(Net(nn.Softmax(1)), lambda y: F.nll_loss(y, tgc.tensor(LABELS)))


@script
def sigmoid_before_bce_with_logits() -> tuple[Any, ...]:
    target = tgc.tensor([0.0, 1.0, 1.0])
    return with_loss(Net(nn.Sigmoid(), 1), lambda y: F.binary_cross_entropy_with_logits(y.reshape(3), target))


@script
def double_softmax() -> tuple[Any, ...]:
    return with_loss(Net(lambda y: y.softmax(1).log_softmax(1)), lambda y: -y[:, 0].mean())


@script
def column_against_row() -> tuple[Any, ...]:
    return with_loss(Net(outputs=1), lambda y: ((y - data(3)) ** 2).mean())


@script
def loss_without_input() -> tuple[Any, ...]:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(tgc.tensor([0.5, 1.5]))
            self.b = nn.Parameter(tgc.tensor([0.5, 2.5]))

        def forward(self, x: Any) -> Any:
            return self.a * self.b

    return with_loss(Stubborn(), lambda y: y.sum())


@script
def parameters_not_reached() -> tuple[Any, ...]:
    model = Net()
    model.spare = nn.Linear(2, 2)
    return with_loss(model, cross_entropy)


@script
def parameters_not_optimised() -> tuple[Any, ...]:
    model = Net()
    return with_loss(model, cross_entropy, optim.SGD(model.first.parameters(), lr=0.1))


@script
def parameter_twice() -> tuple[Any, ...]:
    model = Net()
    optimiser = optim.SGD(model.parameters(), lr=0.1)
    optimiser.param_groups[0]["params"].append(model.first.bias)
    return with_loss(model, cross_entropy, optimiser)


@script
def no_zero_grad() -> tuple[Any, ...]:
    model = Net()
    optimiser = optim.SGD(model.parameters(), lr=0.1)
    cross_entropy(model(data(3, 4))).backward()
    optimiser.step()
    return with_loss(model, cross_entropy, optimiser)


@script
def zero_gradients() -> tuple[Any, ...]:
    model = Net(lambda y: y * 0.0)
    loss = cross_entropy(model(data(3, 4)))
    loss.backward()
    return model, loss


@script
def learning_rate() -> tuple[Any, ...]:
    model = Net()
    return with_loss(model, cross_entropy, optim.Adam(model.parameters(), lr=0.5))


@script
def eval_mode() -> tuple[Any, ...]:
    return with_loss(Net(nn.Dropout(0.5)).eval(), cross_entropy)


class BatchNorm2d(nn.Module):
    """What the rule looks for, by name: any batch normalisation, also one of the user's."""

    def forward(self, x: Any) -> Any:
        return x - x.mean((0, 2, 3), keepdim=True)


@script
def batch_norm_of_one_sample() -> tuple[Any, ...]:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), BatchNorm2d())
    return model, (model(data(1, 1, 5, 5)) ** 2).mean()


@script
def dead_relu() -> tuple[Any, ...]:
    model = Net(nn.ReLU())
    with tgc.no_grad():
        model.second.bias.fill_(-100)
    return with_loss(model, cross_entropy)


@script
def raw_integer_inputs() -> tuple[Any, ...]:
    model = models.LeNet5()
    images = tgc.tensor(np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32)).astype("float32"))
    return model, cross_entropy(model(images))


@script
def graph_of_an_earlier_step() -> tuple[Any, ...]:
    cell = nn.Linear(4, 4)
    h = cell(data(3, 4)).tanh()
    (h ** 2).mean().backward()
    return cell, (cell(h) ** 2).mean()


def test_every_rule_has_a_script() -> None:
    assert set(SCRIPTS) == {rule.code for rule in RULES}


@pytest.mark.parametrize("code", SCRIPTS)
def test_the_mistake_is_found_and_no_other(code: str) -> None:
    tgc.manual_seed(0)
    findings = lint(*SCRIPTS[code]())
    assert findings.codes == [code], str(findings)
    (finding,) = findings
    assert str(finding).startswith(f"{code}: {finding.what}")
    for text in (finding.what, finding.why, finding.fix):
        assert len(text) > 8
    assert max(map(len, str(findings).splitlines())) <= 126


@pytest.mark.parametrize("optimiser", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=1e-3)])
def test_good_scripts(optimiser: Any) -> None:
    tgc.manual_seed(0)
    model = models.LeNet5()
    optimizer = optimiser(model.parameters())
    for _ in range(2):
        loss = cross_entropy(model(tgc.rand(3, 1, 32, 32)))
        optimizer.zero_grad()
        assert lint(model, loss, optimizer) == []
        loss.backward()
        assert lint(model, loss, optimizer) == []  # afterwards too
        optimizer.step()
    assert str(lint(model, cross_entropy(model(tgc.rand(3, 1, 32, 32))))).startswith("lint: 1 finding\n\nno-zero-grad:")


def test_good_recurrent_script() -> None:
    cell, h = nn.Linear(4, 4), tgc.zeros(3, 4)
    for _ in range(3):
        h = cell(h.detach() + data(3, 4)).tanh()
        loss = (h ** 2).mean()
        assert lint(cell, loss) == []
        cell.zero_grad()
        loss.backward()


def test_a_state_from_before_the_step() -> None:
    """With retain_graph the old graph is whole, but the step has changed the weights that it needs."""
    cell = nn.Linear(4, 4)
    optimiser = optim.SGD(cell.parameters(), lr=0.1)
    h = cell(cell(data(3, 4)).tanh())
    (h ** 2).mean().backward(retain_graph=True)
    optimiser.step()
    optimiser.zero_grad()
    findings = lint(cell, (cell(h) ** 2).mean(), optimiser)
    assert findings.codes == ["graph-of-an-earlier-step"]
    assert findings[0].what == "what backward needs was written to since, maybe by an optimiser step"


def test_printed() -> None:
    text = str(lint(*SCRIPTS["softmax-before-cross-entropy"]()))
    assert text.splitlines()[:3] == [
        "lint: 1 finding", "", "softmax-before-cross-entropy: softmax before cross_entropy, softmax in Net.head"]
    assert "  fix  remove it from the model" in text
    assert str(lint(*with_loss(Net(), cross_entropy))) == "lint: nothing to complain about"


def test_several_parameters_are_counted() -> None:
    model = Net()
    model.spare = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    (finding,) = lint(*with_loss(model, cross_entropy))
    assert finding.what == "spare.0.weight, spare.0.bias, spare.1.weight and 1 more are not reached by the loss"
