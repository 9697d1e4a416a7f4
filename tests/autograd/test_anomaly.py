"""Anomaly mode blames the op that made it, at the line of the program, and nobody else."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn, optim
from tinygrad_course.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from tinygrad_course.autograd.watch import set_watcher
from tinygrad_course.errors import AnomalyError, GraphError
from tinygrad_course.nn import functional as F

INF, NAN = float("inf"), float("nan")


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    assert set_watcher(None) is None


def leaf(values: Any, dtype: str = "float32") -> Any:
    return tgc.tensor(values, dtype=dtype, requires_grad=True)


def blamed(program: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(AnomalyError) as caught, detect_anomaly(**options):
        program(*args)
    return str(caught.value)


class TestForward:
    def test_the_whole_message(self) -> None:
        x = leaf([[1.0, 2.0], [0.5, 1.0], [4.0, -0.3]])

        def program() -> None:
            scaled = x * 1.0
            tgc.log(scaled).sum().backward()  # here

        line = inspect.getsourcelines(program)[1] + 2
        assert blamed(program) == (
            f"log made NaN in forward, at test_anomaly.py:{line}: tgc.log(scaled).sum().backward()  # here\n"
            "  input 0 holds -0.3 at (2, 1); 1 of 6 numbers of the result is NaN\n"
            "  log is not defined there. If where() drops that element later, its gradient is NaN all the same: replace the "
            "input before, as in log(where(x > 0, x, 1))")

    @pytest.mark.parametrize(("program", "parts"), [
        (lambda x: (x - 1).log(), ("log made Inf", "input 0 holds 0 at (0,)", "log_softmax")),
        (lambda x: x / (x - 1), ("div made Inf", "input 0 holds 1 and input 1 holds 0 at (0,)", "eps to the divisor")),
        (lambda x: (x - 1) / (x - 1), ("div made NaN", "0 / 0 is NaN")),
        (lambda x: (-x).sqrt(), ("sqrt made NaN", "input 0 holds -1", "clamp(min=0)")),
        (lambda x: (x * 100).exp(), ("exp made Inf", "3 of 3 numbers of the result are Inf", "overflows")),
        (lambda x: (-x) ** 0.5, ("pow made NaN", "input 0 holds -1 and input 1 holds 0.5 at (0,)", "no integer")),
        (lambda x: (x * 1e5).half(), ("cast made Inf", "65504")),
        (lambda x: (x * 1e25) @ (x * 1e25), ("matmul made Inf", "input 0 is from 1e+25 to 3e+25", "learning rate")),
        (lambda x: tgc.where(x > 5, x, -INF).softmax(0), ("softmax made NaN", "A whole row is -inf")),
        (lambda x: tgc.where(x > 5, x, INF) * (x - x), ("mul made NaN", "0 * inf")),
    ])
    def test_ops_and_causes(self, program: Any, parts: tuple[str, ...]) -> None:
        message = blamed(program, leaf([1.0, 2.0, 3.0]))
        for part in parts:
            assert part in message

    def test_scalars_have_no_place(self) -> None:
        assert "input 0 holds -1; 1 of 1 numbers" in blamed(lambda: leaf(-1.0).log())

    def test_the_first_op_is_blamed(self) -> None:
        assert blamed(lambda x: (x.log() * 2).exp().sum(), leaf([-1.0])).startswith("log made NaN")

    def test_the_module_is_named(self) -> None:
        class Head(nn.Module):
            def forward(self, x: Any) -> Any:
                return x.log()

        message = blamed(nn.Sequential(nn.ReLU(), Head()), leaf([-1.0, 2.0]))
        assert message.startswith("log made Inf")
        assert message.endswith("in Sequential.1 (Head())")


class TestNotMade:
    def test_data(self) -> None:
        x = np.ones((2, 3), dtype="float32")
        x[1, 2] = NAN
        message = blamed(nn.Linear(3, 2), tgc.tensor(x))
        assert message.startswith("the data hold NaN: input 0 of linear, shape (2, 3) at (1, 2), at test_anomaly.py:")
        assert "No op of the graph made it" in message

    def test_parameters(self) -> None:
        model = nn.Sequential(nn.Linear(3, 2))
        with tgc.no_grad():
            model[0].bias.fill_(NAN)
        message = blamed(model, tgc.ones(1, 3))
        assert message.startswith("the parameter 0.bias holds NaN at (0,) before linear runs")
        assert "last written by" in message

    def test_before_the_mode(self) -> None:
        y = leaf([-1.0]).log()
        assert "log gave it, before anomaly mode was on" in blamed(lambda: y * 2)

    def test_gradient_of_the_user(self) -> None:
        message = blamed(lambda y: y.backward(gradient=tgc.tensor([NAN])), leaf([1.0]) * 2)
        assert message.startswith("the gradient that arrived at mul holds NaN already")

    @pytest.mark.parametrize("masked", [
        lambda s, mask: tgc.where(mask, s, -INF),
        lambda s, mask: s + tgc.where(mask, 0.0, -INF),
        lambda s, mask: tgc.pad(s, (1, 0), value=-INF),  # an argument, not a tensor
    ])
    def test_attention_masks(self, masked: Any) -> None:
        """The infinities were written; softmax makes zeros of them, and so does its backward."""
        scores = leaf(np.arange(12.0).reshape(3, 4))
        mask = tgc.tensor(np.tri(3, 4, dtype=bool))
        with detect_anomaly():
            weights = masked(scores, mask).softmax(-1)
            (weights * weights).sum().backward()
        assert np.isfinite(scores.grad.numpy()).all()

    def test_nan_that_is_dropped_before_it_is_recorded(self) -> None:
        data = tgc.tensor([1.0, NAN])
        clean = tgc.where(data == data, data / 0.0 * 0.0 + data, 0.0)  # not recorded: nobody's business
        with detect_anomaly():
            (leaf([1.0, 1.0]) * tgc.where(clean == clean, clean, 0.0)).sum().backward()

    def test_training_without_anomalies(self) -> None:
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
        optimiser = optim.Adam(model.parameters())
        with detect_anomaly():
            for _ in range(2):
                optimiser.zero_grad()
                F.cross_entropy(model(tgc.rand(4, 1, 8, 8)), tgc.tensor([0, 1, 2, 0])).backward()
                optimiser.step()


class TestBackward:
    def test_infinite_slope(self) -> None:
        x = leaf([1.0, 0.0])

        def program() -> None:
            y = x.sqrt()
            y.sum().backward()

        line = inspect.getsourcelines(program)[1] + 1
        assert blamed(program) == (
            f"sqrt (at test_anomaly.py:{line}: y = x.sqrt()) made Inf in backward\n"
            "  its output holds 0 at (1,); 1 of 2 numbers of the gradient of input 0 is Inf, the gradient that arrived "
            "is finite\n"
            "  The slope of sqrt is infinite at 0: add a small eps to the input, sqrt(x + eps)")

    def test_where_hides_a_branch(self) -> None:
        message = blamed(lambda x: tgc.where(x > 0, x.sqrt(), x).sum().backward(), leaf([1.0, 0.0]))
        assert message.startswith("sqrt (at test_anomaly.py:")
        assert "made NaN in backward" in message
        assert "Replace the input before sqrt, as in sqrt(where(ok, x, 1))" in message

    def test_only_nan_on_demand(self) -> None:
        x = leaf([1.0, 0.0])
        with detect_anomaly(check_inf=False):
            x.sqrt().sum().backward()
        assert x.grad.numpy()[1] == INF
        assert "made NaN" in blamed(lambda: x.sqrt().mul(x * 0).sum().backward(), check_inf=False)

    def test_nothing_is_written_to_leaves(self) -> None:
        x = leaf([1.0, 0.0])
        blamed(lambda: x.sqrt().sum().backward())
        assert x.grad is None


class TestSwitches:
    def test_nesting_and_exceptions(self) -> None:
        mode = detect_anomaly()
        with mode, mode:
            assert is_anomaly_enabled()
            with set_detect_anomaly(False):
                assert not is_anomaly_enabled()
            assert is_anomaly_enabled()
        with pytest.raises(AnomalyError), mode:
            leaf(-1.0).log()
        assert not is_anomaly_enabled()

    def test_as_a_call(self) -> None:
        set_detect_anomaly(True)
        assert is_anomaly_enabled()
        set_detect_anomaly(False)
        assert not is_anomaly_enabled()

    def test_lines_only(self) -> None:
        """check_nan=False: no search, but other errors know where the op was."""
        x = leaf([1.0, 2.0])
        with detect_anomaly(check_nan=False):
            (x * NAN).sum().backward()
            y = x * 1.0
            z = y * y  # the line
            y.detach().add_(1)
        with pytest.raises(GraphError, match=r"at test_anomaly.py:\d+: z = y \* y  # the line"):
            z.sum().backward()

    def test_errors_are_graph_errors(self) -> None:
        assert issubclass(AnomalyError, GraphError)
