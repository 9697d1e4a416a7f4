"""A run that diverges says who made the first number that is none, and leaves everything as it was."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.optim import SGD, Adam
from tinygrad_course.train import DivergenceError, Trainer

ROWS, BATCH = 48, 16


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Sqrt(nn.Module):
    def forward(self, x):
        return x + (0 * x).sqrt()


class Slippery(nn.Module):
    """Divides by zero in about half of the calls, as the default generator says."""

    def forward(self, x):
        return x / (tgc.rand(1) > 0.5).to(x.dtype)


def make_trainer(*layers, lr=0.1, bad=None, optimizer=SGD, **options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 3)).astype(np.float32)
    if bad is not None:
        x[bad] = np.nan
    tgc.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), *layers, nn.Linear(4, 2))
    loader = DataLoader(TensorDataset(x, (x > 0).any(axis=1).astype(np.int64)), BATCH)
    return Trainer(model, optimizer(model.parameters(), lr), nn.CrossEntropyLoss(), loader, epochs=3, **options)


def diverge(trainer):
    with pytest.raises(DivergenceError) as caught:
        trainer.fit()
    return caught.value


def state_of(trainer):
    state = {**trainer.model.state_dict(), "random": tgc.get_rng_state()}
    for number, entry in trainer.optimizer.state_dict()["state"].items():
        state |= {f"{number}.{name}": value for name, value in entry.items()}
    return {name: value.numpy().tobytes() for name, value in state.items()}


def test_data_that_hold_nan_are_named():
    trainer = make_trainer(bad=(BATCH + 5, 1), optimizer=Adam)
    states = []
    trainer.augment = lambda x: states.append(state_of(trainer)) or x  # the last is that before the step
    error = diverge(trainer)
    assert error.step == 2
    assert error.learning_rate == 0.1
    assert error.culprit == "batch[0] holds NaN at (5, 1), 1 of 48 numbers: the data, before any op"
    assert "the loss is nan at step 2: training has diverged" in str(error)
    assert "batch[1] int64 (16,) from 0 to 1" in str(error)
    assert "Clean the data" in str(error)
    # Batch norm has seen the NaN, and the random numbers were drawn, when the loss is looked at.
    assert state_of(trainer) == states[-1]
    assert trainer.steps == 1
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_the_op_that_made_it_in_forward_is_named_with_its_module():
    error = diverge(make_trainer(Log()))
    assert error.step == 1
    assert "log made Inf in forward" in error.culprit
    assert "in Sequential.3 (Log())" in error.culprit
    assert "No step was made before this one" in str(error)


def test_weights_that_were_broken_before_are_named_with_the_step_that_wrote_them():
    trainer = make_trainer()
    trainer.fit(max_steps=2)
    trainer.model[-1].weight.data = tgc.full((2, 4), float("inf"))
    error = diverge(trainer)
    assert error.culprit == ("parameter 3.weight holds Inf at (0, 0), 8 of 8 numbers already: step 2 wrote it")
    assert "Use a smaller learning rate" in str(error)


def test_too_large_a_learning_rate():
    error = diverge(make_trainer(nn.Linear(4, 4), lr=1e25))
    assert error.step > 1
    assert "learning rate 1e+25, epoch 1" in str(error)
    assert "linear made Inf in forward" in error.culprit
    assert "Use a smaller learning rate" in str(error)


def test_a_gradient_that_is_no_number_does_not_reach_the_weights_when_clipped():
    trainer = make_trainer(Sqrt(), clip_grad_norm=float("inf"))
    before = state_of(trainer)
    error = diverge(trainer)
    assert "the norm of the gradients is nan at step 1" in str(error)
    assert "sqrt (in Sequential.3" in error.culprit
    assert "made Inf in backward" in error.culprit
    assert state_of(trainer) == before


def test_the_step_is_repeated_with_the_same_random_numbers():
    for seed in range(5):
        trainer = make_trainer(Slippery(), lr=0.01)
        tgc.manual_seed(seed)
        assert "div made" in diverge(trainer).culprit


def test_several_batches_of_one_step_are_all_looked_at():
    error = diverge(make_trainer(bad=(2 * BATCH, 0), accumulate=3))
    assert error.step == 1
    assert "batch[0] holds NaN at (0, 0)" in error.culprit


@pytest.mark.parametrize(("spoil", "value", "culprit"), [
    ("bias", 1, "parameter 3.bias holds NaN at (1,), 1 of 2 numbers"),
    ("", np.nan, "batch[0] of batch 1 of this evaluation holds NaN at (0, 0), 12 of 12 numbers"),
    ("scale", 3e38, "batch 1 of this evaluation: linear"),
])
def test_a_validation_loss_that_is_no_number(spoil, value, culprit):
    trainer = make_trainer()
    x = np.ones((8, 3), np.float32)
    x[4:] = value
    trainer.val_loader = DataLoader(TensorDataset(x, np.zeros(8, np.int64)), 4)
    trainer.fit(max_steps=3)
    if spoil == "scale":
        trainer.model[0].weight.data = tgc.full((4, 3), 1e3)
    if spoil == "bias":
        trainer.model[-1].bias.data = tgc.tensor([0.0, float("nan")])
    with pytest.raises(DivergenceError, match=r"the val_loss is nan after step 3: training has diverged") as caught:
        trainer.end_epoch()
    assert caught.value.culprit.startswith(culprit)
