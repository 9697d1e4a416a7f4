"""The training loop on a problem of two classes that takes milliseconds."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import StateDictError
from tinygrad_course.optim import SGD, AdamW, lr_scheduler
from tinygrad_course.train import (
    DivergenceError,
    EarlyStopping,
    Progress,
    Trainer,
    cosine,
    evaluate,
    load_checkpoint,
    save_checkpoint,
)

EPOCHS, STEPS_PER_EPOCH = 4, 6


def data(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    points = rng.standard_normal((n, 3)) + 1.5 * labels[:, None]
    return TensorDataset(points.astype(np.float32), labels)


def make_trainer(seed=0, *, epochs=EPOCHS, patience=EPOCHS, lr=0.05, optimizer=AdamW):
    """With every source of randomness: order, dropout from the default generator, noise from its own."""
    tgc.manual_seed(seed)
    order, noise = tgc.Generator().manual_seed(seed + 1), tgc.Generator().manual_seed(seed + 2)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    return Trainer(
        model, optimizer(model.parameters(), lr), nn.CrossEntropyLoss(),
        DataLoader(data(90, 1), 16, shuffle=True, generator=order), DataLoader(data(40, 2), 16), epochs=epochs,
        patience=patience, schedule=cosine(lr, epochs * STEPS_PER_EPOCH),
        augment=lambda x: x + 0.1 * tgc.randn(*x.shape, generator=noise),
        generators={"default": tgc.default_generator, "noise": noise})


def scheduled(make, every="epoch", seed=0):
    trainer = make_trainer(seed)
    trainer.schedule, trainer.scheduler, trainer.scheduler_every = None, make(trainer.optimizer), every
    return trainer


SCHEDULERS = {
    "epochs": (lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5), "epoch"),
    "steps": (lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, EPOCHS * STEPS_PER_EPOCH), "step"),
    "plateau": (lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.5), "epoch"),
}


@pytest.mark.parametrize(("make", "every"), SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("steps", [4, STEPS_PER_EPOCH, 20])
def test_schedulers_work_and_are_continued_from_a_file(tmp_path, make, every, steps):
    whole = scheduled(make, every)
    whole.fit()
    if every == "step":
        assert whole.scheduler.last_epoch == EPOCHS * STEPS_PER_EPOCH
    else:
        halves = [0.05 / 2**epoch for epoch in range(EPOCHS)]  # the plateau's threshold is never reached
        plateau = isinstance(whole.scheduler, lr_scheduler.ReduceLROnPlateau)
        assert whole.history["learning_rate"] == ([0.05, *halves[:-1]] if plateau else halves)
    first = scheduled(make, every)
    first.fit(max_steps=steps)
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = scheduled(make, every, seed=99)
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    second.fit()
    assert outcome(second) == outcome(whole)


def test_two_schedules_are_refused():
    trainer = make_trainer()
    needed = (trainer.model, trainer.optimizer, trainer.loss_fn, trainer.train_loader, trainer.val_loader)
    scheduler = lr_scheduler.ReduceLROnPlateau(trainer.optimizer)
    for options, match in (({"schedule": cosine(0.1, 5), "scheduler": scheduler}, "give one of them"),
                           ({"scheduler": scheduler, "scheduler_every": "step"}, "once per epoch"),
                           ({"scheduler_every": "batch"}, "scheduler_every is 'epoch' or 'step', got 'batch'")):
        with pytest.raises(ValueError, match=match):
            Trainer(*needed, epochs=1, patience=1, **options)


def test_a_scheduler_is_neither_lost_nor_made_up():
    make, _ = SCHEDULERS["epochs"]
    with pytest.raises(StateDictError, match="this trainer has none, so that the learning rate would stand still"):
        make_trainer().load_state_dict(scheduled(make).state_dict())
    with pytest.raises(StateDictError, match="the state has no scheduler"):
        scheduled(make).load_state_dict(make_trainer().state_dict())


def outcome(trainer):
    """Everything that a run leaves, as comparable bytes."""
    weights = {name: value.numpy().tobytes() for name, value in trainer.model.state_dict().items()}
    best = {name: value.numpy().tobytes() for name, value in trainer.best_weights.items()}
    return weights, best, trainer.history, trainer.stopping


def test_it_learns_and_keeps_the_best_weights():
    trainer = make_trainer(epochs=8)
    assert trainer.fit()
    history = trainer.history
    assert history["epoch"] == list(range(1, 9))
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["val_accuracy"][-1] > 0.85
    best = int(np.argmin(history["val_loss"]))
    assert trainer.stopping.best_epoch == best + 1
    trainer.model.load_state_dict(trainer.best_weights)
    assert evaluate(trainer.model, trainer.val_loader, trainer.loss_fn).loss == history["val_loss"][best]


def test_same_seed_same_bits_and_another_seed_others():
    first, second, third = make_trainer(), make_trainer(), make_trainer(seed=5)
    for trainer, seed in ((first, 0), (second, 0), (third, 5)):
        tgc.manual_seed(seed)
        trainer.fit()
    assert outcome(first) == outcome(second)
    assert outcome(first)[0] != outcome(third)[0]


@pytest.mark.parametrize("steps", [1, 4, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1, 20, 24])
@pytest.mark.parametrize("optimizer", [AdamW, lambda params, lr: SGD(params, lr, momentum=0.9)])
def test_a_run_continued_from_a_file_ends_with_the_same_bits(tmp_path, steps, optimizer):
    whole = make_trainer(optimizer=optimizer)
    whole.fit()
    first = make_trainer(optimizer=optimizer)
    assert not first.fit(max_steps=steps)
    assert first.steps == steps
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = make_trainer(seed=99, optimizer=optimizer)
    tgc.randn(1000)  # whatever happens to the generator between is forgotten
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    assert second.fit()
    assert outcome(second) == outcome(whole)


def test_a_stopped_trainer_goes_on_where_it_was():
    whole, pieces = make_trainer(), make_trainer()
    tgc.manual_seed(7)
    whole.fit()
    tgc.manual_seed(7)
    for steps in (2, 3, 11):
        pieces.fit(max_steps=steps)
    pieces.fit()
    assert outcome(pieces) == outcome(whole)


def test_stop_is_asked_after_each_step():
    trainer = make_trainer()
    assert not trainer.fit(stop=lambda: trainer.steps == 9)
    assert trainer.steps == 9
    assert trainer.epoch == 1
    assert trainer.in_epoch
    trainer.end_epoch()
    assert trainer.epoch == 2
    assert not trainer.in_epoch


def test_early_stopping_counts_epochs_without_a_smaller_loss():
    stopping = EarlyStopping(patience=2)
    said = [stopping.update(epoch, loss) for epoch, loss in enumerate([3.0, 2.0, 2.0, math.inf], start=1)]
    assert said == [True, True, False, False]
    assert stopping.stop
    assert (stopping.best_epoch, stopping.best_loss) == (2, 2.0)


def test_early_stopping_ends_the_run():
    trainer = make_trainer(epochs=50, patience=2, lr=0.3)
    trainer.fit()
    assert trainer.finished
    assert trainer.epoch == trainer.stopping.best_epoch + 2 < 50


def test_callbacks_come_in_order():
    calls = []

    class Recorder(Progress):
        def begin_epoch(self, epoch, epochs, samples, done):
            calls.append(("begin", epoch, epochs, samples, done))

        def step(self, samples, loss, accuracy):
            calls.append(samples)

        def end_epoch(self, row, best):
            calls.append(("end", row["epoch"], best))

        def close(self):
            calls.append("close")

    make_trainer(epochs=1).fit(progress=Recorder(), after_epoch=lambda: calls.append("saved"))
    assert calls == [("begin", 1, 1, 90, 0), 16, 16, 16, 16, 16, 10, ("end", 1, True), "saved", "close"]


def test_divergence_is_an_error_not_a_result():
    trainer = make_trainer(lr=1e20, optimizer=SGD)
    with pytest.raises(DivergenceError, match=r"at step \d+: training has diverged. Use a smaller learning rate"), \
            np.errstate(all="ignore"):
        trainer.fit()


def test_the_learning_rate_follows_the_cosine():
    rate = cosine(0.2, 10)
    assert [rate(0), rate(5), rate(10), rate(11)] == pytest.approx([0.2, 0.1, 0, 0])
    trainer = make_trainer(lr=0.2)
    trainer.fit(max_steps=3)
    assert trainer.optimizer.param_groups[0]["lr"] == cosine(0.2, EPOCHS * STEPS_PER_EPOCH)(2)


def test_evaluate_is_in_evaluation_mode_without_graph():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))
    loader = DataLoader(data(50, 3), 16)
    seen = []
    model.register_forward_hook(lambda module, args, out: seen.append((module.training, out.requires_grad)))
    first = evaluate(model, loader, nn.CrossEntropyLoss())
    assert seen == [(False, False)] * 4
    assert model.training
    assert first.scores.shape == (50, 2)
    assert first.accuracy == np.mean(first.scores.argmax(1) == first.target)
    whole = nn.CrossEntropyLoss()(tgc.from_numpy(first.scores), tgc.from_numpy(first.target)).item()
    assert first.loss == pytest.approx(whole, rel=1e-6)


def test_a_state_that_does_not_fit_is_refused():
    state = make_trainer().state_dict()
    with pytest.raises(StateDictError, match="epochs was 4 when the state was saved and is 5 now"):
        make_trainer(epochs=5).load_state_dict(state)
    with pytest.raises(StateDictError, match="patience was 4"):
        make_trainer(patience=3).load_state_dict(state)
    with pytest.raises(StateDictError, match="has no stopping"):
        make_trainer().load_state_dict({key: value for key, value in state.items() if key != "stopping"})
