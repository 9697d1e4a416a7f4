"""What people type wrongly, by hand.  Every message must name the op, the numbers and the way to mend it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.backend import cuda
from tinygrad_course.errors import DeviceError, DTypeError, GraphError, ShapeError, TgcError
from tinygrad_course.nn import functional as F

x23 = tgc.ones(2, 3)
NO_GPU = cuda.cupy_state() != "available"


def leaf(*shape: int) -> Any:
    return tgc.ones(*shape, requires_grad=True)


def backward_twice() -> None:
    loss = (leaf(2) ** 2).sum()
    loss.backward()
    loss.backward()


def second_epoch_with_old_state() -> None:
    w, h = leaf(2), tgc.zeros(2)
    for _ in range(2):
        h = (h + w).tanh()
        h.sum().backward()


def in_place_on_saved() -> None:
    w = leaf(2)
    h = w.exp()
    with tgc.no_grad():
        h += 1
    h.sum().backward()
    w.exp().sum().backward()


def in_place_on_saved_output() -> None:
    h = leaf(2).exp()
    with tgc.no_grad():
        h += 1
    h.sum().backward()


def step_between_forward_and_backward() -> None:
    model = nn.Linear(2, 1)
    optimiser = optim.SGD(model.parameters(), lr=0.1)
    x = leaf(4, 2)
    first, second = model(x).sum(), (model(x) ** 2).sum()
    first.backward()
    optimiser.step()
    second.backward()


def wrong_features() -> None:
    nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(100, 10))(tgc.ones(2, 1, 8, 8))


def assign_tracked() -> None:
    out = tgc.zeros(3, dtype="int64")
    out[0] = leaf(1)[0] * 2


CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # shapes
    "add": (
        lambda: x23 + tgc.ones(2),
        ShapeError,
        r"add: .*\(2, 3\) and \(2,\).*axis -1 .*3 and 2.*equal or 1.*unsqueeze",
    ),
    "matmul": (lambda: x23 @ x23, ShapeError, r"matmul: \(2, 3\) @ \(2, 3\): .*size 3.*2.*equal.*x @ y\.mT"),
    "matmul batch": (lambda: tgc.ones(2, 2, 2) @ tgc.ones(3, 2, 2), ShapeError, r"matmul.*\(2,\) and \(3,\)"),
    "linear": (lambda: nn.Linear(4, 2)(x23), ShapeError, r"linear: .*\(2, 3\).* 3, in_features=4.*Linear\(3, 2\)"),
    "linear after conv": (wrong_features, ShapeError, r"linear: .*\(2, 144\).*100.*Linear\(144, 10\).*Sequential\.3"),
    "conv channels": (
        lambda: nn.Conv2d(3, 8, 3)(tgc.ones(2, 1, 8, 8)),
        ShapeError,
        r"conv2d: .*\(2, 1, 8, 8\) has 1 channels.*3",
    ),
    "conv channels last": (
        lambda: nn.Conv2d(3, 8, 3)(tgc.ones(2, 8, 8, 3)),
        ShapeError,
        r"8 channels.*permute.*\(N, C, H, W\)",
    ),
    "conv too small": (
        lambda: nn.Conv2d(1, 1, 5)(tgc.ones(1, 1, 4, 4)),
        ShapeError,
        r"conv2d: .*height.*= 5.*= 4.*padding",
    ),
    "pool too small": (
        lambda: nn.MaxPool2d(4)(tgc.ones(1, 1, 2, 2)),
        ShapeError,
        r"max_pool2d: .*4.*\(1, 1, 2, 2\).*only 2",
    ),
    "reshape": (lambda: x23.reshape(4, 2), ShapeError, r"reshape: \(2, 3\) has 6 values, \(4, 2\) would have 8"),
    "view": (lambda: x23.T.view(6), ShapeError, r"view: .*\(3, 2\).*reshape\(\)"),
    "cat": (lambda: tgc.cat([x23, tgc.ones(2, 2)]), ShapeError, r"cat: tensor 1.*\(2, 2\).*\(2, 3\).*dim 0"),
    "stack": (lambda: tgc.stack([x23, tgc.ones(3)]), ShapeError, r"stack: tensor 1.*\(3,\).*\(2, 3\)"),
    "dim": (lambda: x23.sum(2), ShapeError, r"sum: dim 2.*2 axes.*between -2 and 1"),
    "softmax without dim": (lambda: tgc.softmax(x23, None), ShapeError, r"softmax: dim is needed.*1 for logits"),
    "squeeze": (lambda: x23.squeeze(5), ShapeError, r"squeeze: dim 5"),
    "index": (lambda: x23[3], IndexError, r"\[3\].*\(2, 3\)"),
    "negative size": (lambda: tgc.zeros(2, -1), ShapeError, r"zeros: negative size -1"),
    "ragged": (lambda: tgc.tensor([[1, 2], [3]]), ShapeError, r"tensor: .*different lengths"),
    # losses
    "mse (N,1) (N,)": (
        lambda: F.mse_loss(tgc.ones(4, 1), tgc.ones(4)),
        ShapeError,
        r"mse_loss: .*\(4, 1\).*\(4,\).*every prediction with every target.*squeeze\(-1\).*unsqueeze\(-1\)",
    ),
    "mse (N,) (N,1)": (
        lambda: nn.MSELoss()(tgc.ones(4), tgc.ones(4, 1)),
        ShapeError,
        r"mse_loss: .*\(4,\).*\(4, 1\).*squeeze\(-1\)",
    ),
    "bce (N,1) (N,)": (
        lambda: nn.BCEWithLogitsLoss()(tgc.ones(4, 1), tgc.ones(4)),
        ShapeError,
        r"binary_cross_entropy_with_logits: .*\(4, 1\).*\(4,\).*squeeze\(-1\)",
    ),
    "cross entropy (N,1)": (
        lambda: nn.CrossEntropyLoss()(x23, tgc.zeros(2, 1).long()),
        ShapeError,
        r"cross_entropy: .*\(2, 3\).*\(2,\).*\(2, 1\).*squeeze\(1\)",
    ),
    "cross entropy one-hot": (
        lambda: F.cross_entropy(x23, tgc.ones(2, 3).long()),
        DTypeError,
        r"cross_entropy: .*\(2, 3\).*argmax\(1\)",
    ),
    "cross entropy float": (
        lambda: F.cross_entropy(x23, tgc.zeros(2)),
        ShapeError,
        r"cross_entropy: .*target\.long\(\)",
    ),
    "cross entropy class": (
        lambda: F.cross_entropy(x23, tgc.tensor([0, 3])),
        IndexError,
        r"cross_entropy: target 3.*3 classes.*0\.\.2",
    ),
    "nll float": (lambda: F.nll_loss(x23, tgc.zeros(2)), DTypeError, r"nll_loss: .*float32.*target\.long\(\)"),
    "reduction": (lambda: F.mse_loss(x23, x23, reduction="avg"), ValueError, r"'mean', 'sum' or 'none'.*'avg'"),
    # dtypes
    "mixed floats": (
        lambda: x23 @ tgc.ones(3, 2, dtype="float64"),
        DTypeError,
        r"matmul: .*float32.*float64.*to\(y\.dtype\)",
    ),
    "image of integers": (
        lambda: nn.Conv2d(1, 1, 3)(tgc.ones(1, 1, 8, 8).byte()),
        DTypeError,
        r"conv2d: .*uint8.*float32",
    ),
    "integer input of a layer": (lambda: nn.Linear(3, 2)(x23.long()), DTypeError, r"linear: .*int64.*float32"),
    "requires_grad of integers": (
        lambda: tgc.tensor([1, 2], requires_grad=True),
        DTypeError,
        r"floating point.*int64.*\.float\(\)",
    ),
    "mean of integers": (lambda: tgc.tensor([1, 2]).mean(), DTypeError, r"mean: .*int64.*float\(\)"),
    "not of floats": (lambda: ~x23, DTypeError, r"bitwise_not: .*float32.*\.long\(\)"),
    "and of floats": (lambda: x23 & x23, DTypeError, r"bitwise_and: .*float32.*\.long\(\)"),
    "strings": (lambda: tgc.tensor(["a"]), DTypeError, r"tensor: .*supported"),
    "objects": (lambda: tgc.tensor([None, 1]), DTypeError, r"tensor: data of type object"),
    "complex": (lambda: tgc.tensor([1j]), DTypeError, r"tensor: .*complex128"),
    "unknown dtype": (lambda: tgc.ones(2, dtype="float23"), DTypeError, r"'float23'.*float32, float64"),
    "list operand": (lambda: x23 * [1, 2, 3], TypeError, r"Tensor.*list.*tgc\.tensor"),
    "string operand": (lambda: x23 * "2", TypeError, r"Tensor.*str"),
    "index by floats": (lambda: x23[tgc.ones(2)], DTypeError, r"index.*float32.*\.long\(\)"),
    "gather": (lambda: x23.gather(1, tgc.ones(2, 1)), DTypeError, r"gather: .*float32.*\.long\(\)"),
    # devices
    "unknown device": (lambda: tgc.ones(2, device="gpu"), DeviceError, r"unknown device 'gpu'.*'cpu' and 'cuda'"),
    "unknown device in to": (lambda: x23.to("mps"), (DeviceError, DTypeError), r"'mps'"),
    # graph
    "backward twice": (
        backward_twice,
        GraphError,
        r"pow: backward was called a second time.*retain_graph=True.*detach",
    ),
    "state of the last step": (
        second_epoch_with_old_state,
        GraphError,
        r"tanh: backward was called a second time.*detach\(\)",
    ),
    "in place on a saved output": (in_place_on_saved_output, GraphError, r"exp: an output .*\(2,\).*'\+='.*clone\(\)"),
    "optimiser in between": (
        step_between_forward_and_backward,
        GraphError,
        r"linear: an input .*\(1, 2\).*changed in place by",
    ),
    "in place on a leaf": (
        lambda: leaf(2).add_(1),
        GraphError,
        r"add_: .*\(2,\).*leaf that requires a gradient.*no_grad",
    ),
    "in place on a view of a leaf": (lambda: leaf(2)[:1].mul_(3), GraphError, r"mul_: .*view of a leaf.*no_grad"),
    "assign tracked to integers": (assign_tracked, DTypeError, r"x\[\.\.\.\] = value: .*int64.*\.float\(\).*detach"),
    "backward of a vector": (
        lambda: (leaf(3) * 2).backward(),
        GraphError,
        r"backward: .*\(3,\).*\.sum\(\) or \.mean\(\)",
    ),
    "backward without graph": (
        lambda: x23.sum().backward(),
        GraphError,
        r"backward: .*does not require a gradient.*no_grad\(\)",
    ),
    "gradient shape": (lambda: (leaf(3) * 2).backward(tgc.ones(2)), ShapeError, r"backward: gradient.*\(2,\).*\(3,\)"),
    "numpy of tracked": (lambda: leaf(2).numpy(), GraphError, r"numpy: .*x\.detach\(\)\.numpy\(\)"),
    "np function of tracked": (lambda: np.asarray(leaf(2)), GraphError, r"numpy: .*detach\(\)"),
    "unused input": (
        lambda: tgc.autograd.grad(leaf(2).sum(), leaf(2)),
        GraphError,
        r"grad: input 0 .*allow_unused=True",
    ),
    # conversion and truth
    "item": (lambda: x23.item(), ShapeError, r"item: .*\(2, 3\) holds 6 values.*tolist"),
    "if": (lambda: bool(x23 > 0), ShapeError, r"\(2, 3\) is ambiguous.*\.any\(\) or \.all\(\)"),
    "len": (lambda: len(tgc.tensor(1.0)), TypeError, "0-d"),
    "iterate": (lambda: list(tgc.tensor(1.0)), TypeError, "0-d"),
    "as index": (lambda: [1, 2][tgc.tensor(1.5)], TypeError, r"single integer.*float32"),
    "pickle": (lambda: tgc.ones(2).__reduce_ex__(2), TypeError, r"not pickled.*safetensors"),
    # arguments
    "dropout": (lambda: nn.Dropout(1.5), ValueError, r"1\.5"),
    "groups": (
        lambda: F.conv2d(tgc.ones(1, 4, 4, 4), tgc.ones(2, 4, 2, 2), groups=3),
        ShapeError,
        r"conv2d: groups=3.*4.*2",
    ),
    "stride": (
        lambda: F.conv2d(tgc.ones(1, 1, 4, 4), tgc.ones(1, 1, 2, 2), stride=0),
        ShapeError,
        r"conv2d: stride.*at least 1.*0",
    ),
    "learning rate": (lambda: optim.SGD([leaf(2)], lr=-1), ValueError, r"-1"),
    "no parameters": (lambda: optim.SGD([], lr=0.1), ValueError, r"empty|no parameters"),
    "randint": (lambda: tgc.randint(5, 5, (2,)), ValueError, r"randint: .*\[5, 5\)"),
    "threads": (lambda: tgc.set_num_threads(0), ValueError, r"set_num_threads: .*at least 1.*0"),
}
if NO_GPU:
    CASES["no gpu"] = (lambda: x23.cuda(), DeviceError, r"'cuda': CuPy.*device='cpu'.*pip install")
    CASES["no gpu at creation"] = (lambda: tgc.ones(2, device="cuda:0"), DeviceError, r"'cuda': CuPy")


@pytest.mark.parametrize("name", CASES)
def test_message(backend: str, name: str) -> None:
    call, kind, message = CASES[name]
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert re.search(message, text, re.DOTALL), text
    assert len(text) < 500
    assert "array(" not in text


def test_every_error_is_also_one_of_pythons() -> None:
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)
    assert issubclass(DeviceError, RuntimeError)
    assert issubclass(GraphError, RuntimeError)
    assert all(issubclass(kind, TgcError) for kind in (ShapeError, DTypeError, DeviceError, GraphError))


@pytest.mark.parametrize(
    "typo",
    [
        "tgc.zeroes(2)",
        "x23.sums()",
        "x23.relu6()",
        "tgc.float23",
        "F.rleu_(x23)",
        "nn.Lineal(2, 3)",
        "x23.grads",
        "optim.Sgd([], 1)",
    ],
)
def test_typos_are_attribute_errors(typo: str) -> None:
    with pytest.raises(AttributeError):
        eval(typo)


@pytest.mark.parametrize(
    "call",
    [
        lambda: x23.sum(dims=1),
        lambda: nn.Linear(2, 3, biass=False),
        lambda: tgc.ones(2, requires_grads=True),
        lambda: F.conv2d(x23, x23, stide=2),
        lambda: tgc.tensor([1.0], dtypes="float32"),
    ],
)
def test_misspelt_keywords_are_type_errors(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        call()


def test_nothing_is_left_broken_by_an_error() -> None:
    """After each of these the next operation works as if nothing had been."""
    for call, kind, _ in CASES.values():
        with pytest.raises(kind):
            call()
        assert tgc.is_grad_enabled()
    w = leaf(2)
    (w * w).sum().backward()
    assert w.grad.tolist() == [2, 2]
