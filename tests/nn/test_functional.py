"""nn.functional: PyTorch's signatures, and the same results when called with its arguments."""

import inspect

import numpy as np
import pytest

import tinygrad_course as tgc
import tinygrad_course.nn.functional as F
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course.errors import DTypeError


def parameters(function):
    """(name, default) of each, without what only one of the packages has: a generator; a level of the stack."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in found if p.name not in ("generator", "_stacklevel")]


def test_parameters_and_defaults_are_those_of_torch():
    torch = torch_or_skip()
    compared, wrong = 0, {}
    for name in sorted(dir(F)):
        theirs = getattr(torch.nn.functional, name, None)
        ours = getattr(F, name)
        if not (inspect.isfunction(theirs) and callable(ours)) or name.startswith("_") or "max_pool" in name:
            continue  # PyTorch's max_pool are (*args, **kwargs)
        compared += 1
        if parameters(ours) != parameters(theirs):
            wrong[name] = (parameters(ours), parameters(theirs))
    assert not wrong, "\n".join(f"{name}: {a}\n  PyTorch: {b}" for name, (a, b) in wrong.items())
    assert compared > 60


CASES = {
    "linear": lambda F, t: F.linear(t(2, 5, 4), t(3, 4), t(3)),
    "conv2d": lambda F, t: F.conv2d(t(2, 4, 6, 7), t(6, 2, 3, 2), t(6), (2, 1), 1, (1, 2), 2),
    "conv2d same": lambda F, t: F.conv2d(t(2, 4, 6, 7), t(6, 4, 5, 3), padding="same"),
    "conv2d unbatched": lambda F, t: F.conv2d(t(4, 6, 7), t(6, 4, 3, 2)),
    "max_pool2d": lambda F, t: F.max_pool2d(t(2, 3, 6, 7), 3, stride=1, padding=1),
    "avg_pool2d": lambda F, t: F.avg_pool2d(t(2, 3, 6, 7), (3, 2), None, (1, 1), True, False),
    "relu": lambda F, t: F.relu(t(3, 4), inplace=False),
    "softmax": lambda F, t: F.softmax(t(3, 4), dim=-1),
    "log_softmax": lambda F, t: F.log_softmax(t(3, 4, 2), 1),
    "dropout": lambda F, t: F.dropout(t(3, 4), 0.9, False),
    "mse_loss weighted": lambda F, t: F.mse_loss(t(3, 4), t(3, 4), weight=t(3, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(case):
    torch = torch_or_skip()

    def play(lib, functional):
        rng = np.random.default_rng(len(case))
        made = []

        def t(*shape):
            made.append(lib.tensor(rng.standard_normal(shape), requires_grad=True))
            return made[-1]

        y = CASES[case](functional, t)
        y.backward(lib.tensor(rng.standard_normal(tuple(y.shape))))
        return [y, *(x.grad for x in made)]

    for number, (a, b) in enumerate(zip(play(tgc, F), play(torch, torch.nn.functional), strict=True)):
        assert_close(a, b, what=str(number))


def test_softmax_dtype():
    assert F.softmax(tgc.zeros(2, 2), 1, dtype=tgc.float64).dtype == tgc.float64
    assert F.log_softmax(tgc.zeros(2, 2), 1, dtype=tgc.float64).dtype == tgc.float64


def test_one_hot():
    torch = torch_or_skip()
    index = np.array([[0, 2], [1, 1]])
    for n in (-1, 5):
        np.testing.assert_array_equal(F.one_hot(tgc.tensor(index), n).numpy(),
                                      torch.nn.functional.one_hot(torch.tensor(index), n).numpy())
    assert F.one_hot(tgc.tensor(index)).dtype == tgc.int64
    with pytest.raises(DTypeError, match="float32"):
        F.one_hot(tgc.zeros(2), 3)
    for wrong in ([3], [-1]):
        with pytest.raises(IndexError, match=str(wrong[0])):
            F.one_hot(tgc.tensor(wrong), 3)


def test_dropout_draws_from_its_generator():
    x = tgc.ones(50)
    a, b = (F.dropout(x, 0.5, generator=tgc.Generator().manual_seed(4)).tolist() for _ in range(2))
    assert a == b
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(x, 2.0)
