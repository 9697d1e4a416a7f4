"""The training loop on a problem of two classes that takes milliseconds."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import metrics, nn
from tinygrad_course.data import DataLoader, TensorDataset
from tinygrad_course.errors import DataError, DTypeError, OperandError, ShapeError, StateDictError
from tinygrad_course.optim import SGD, AdamW, lr_scheduler
from tinygrad_course.train import (
    Callback,
    EarlyStopping,
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


def make_trainer(seed=0, *, epochs=EPOCHS, patience=EPOCHS, lr=0.05, optimizer=AdamW, **options):
    """With every source of randomness: order, dropout from the default generator, noise from its own."""
    tgc.manual_seed(seed)
    order, noise = tgc.Generator().manual_seed(seed + 1), tgc.Generator().manual_seed(seed + 2)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    return Trainer(
        model, optimizer(model.parameters(), lr), nn.CrossEntropyLoss(),
        DataLoader(data(90, 1), 16, shuffle=True, generator=order), DataLoader(data(40, 2), 16), epochs=epochs,
        patience=patience, schedule=cosine(lr, epochs * STEPS_PER_EPOCH),
        augment=lambda x: x + 0.1 * tgc.randn(*x.shape, generator=noise),
        **{"metrics": {"accuracy": metrics.accuracy}, "generators": {"noise": noise}, **options})


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


def test_settings_that_contradict_are_refused():
    trainer = make_trainer()
    needed = (trainer.model, trainer.optimizer, trainer.loss_fn, trainer.train_loader, trainer.val_loader)
    scheduler = lr_scheduler.ReduceLROnPlateau(trainer.optimizer)
    for options, match in (({"schedule": cosine(0.1, 5), "scheduler": scheduler}, "give one of them"),
                           ({"scheduler": scheduler, "scheduler_every": "step"}, "once per epoch"),
                           ({"scheduler_every": "batch"}, "scheduler_every is 'epoch' or 'step', got 'batch'"),
                           ({"accumulate": 0}, "accumulate=0; give a whole number of at least 1"),
                           ({"accumulate": 1.5}, "accumulate=1.5; give a whole"),
                           ({"patience": 0}, "patience=0; give a whole number of at least 1"),
                           ({"epochs": 2.5}, "epochs=2.5; give a whole number of at least 0"),
                           ({"clip_grad_norm": 0}, "with 0 nothing would be learnt"),
                           ({"clip_grad_norm": -1.0}, "clip_grad_norm=-1.0; give a positive"),
                           ({"metrics": {"loss": metrics.accuracy}}, "a metric called loss would take the place"),
                           ({"compute_loss": lambda model, batch: None}, "either loss_fn"),
                           ({"monitor": "val_f1"}, "no column of the history.*val_loss"),
                           ({"monitor": "learning_rate"}, "which values of learning_rate are better"),
                           ({"mode": "best"}, "mode is 'min' or 'max', got 'best'")):
        with pytest.raises(ValueError, match=match):
            Trainer(*needed, **{"epochs": 1, "patience": 1, **options})
    with pytest.raises(OperandError, match=r"give \{name: function"):
        make_trainer(metrics=[metrics.accuracy])


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
    said = [stopping.update(epoch, loss) for epoch, loss in enumerate([math.nan, 3.0, 2.0, 2.0, math.inf], start=1)]
    assert said == [False, True, True, False, False]
    assert stopping.stop
    assert (stopping.best_epoch, stopping.best_value) == (3, 2.0)
    largest = EarlyStopping(patience=None, mode="max")
    assert [largest.update(epoch, value) for epoch, value in enumerate([0.5, 0.4, 0.6])] == [True, False, True]
    assert not largest.stop


def test_early_stopping_ends_the_run():
    trainer = make_trainer(epochs=50, patience=2, lr=0.3)
    trainer.fit()
    assert trainer.finished
    assert trainer.epoch == trainer.stopping.best_epoch + 2 < 50


def test_callbacks_come_in_order():
    calls = []

    class Recorder(Callback):
        def on_fit_begin(self, trainer):
            calls.append("begin")

        def on_epoch_begin(self, trainer):
            calls.append(("epoch", trainer.epoch, trainer.samples))

        def on_step_end(self, trainer):
            calls.append((trainer.steps, trainer.samples))

        def on_epoch_end(self, trainer):
            calls.append(("end", trainer.row()["epoch"], trainer.improved, trainer.epoch_samples))

        def on_fit_end(self, trainer, error):
            calls.append(error)

    assert make_trainer(epochs=1, callbacks=[Recorder(), Callback()]).fit()
    assert calls == ["begin", ("epoch", 0, 0), (1, 16), (2, 32), (3, 48), (4, 64), (5, 80), (6, 90),
                     ("end", 1, True, 90), None]


def test_a_callback_may_stop_the_run_and_hears_of_errors():
    class AtStep(Callback):
        def on_step_end(self, trainer):
            if trainer.steps == 3:
                trainer.stop()
            if trainer.steps == 5:
                raise KeyError("five")

        def on_fit_end(self, trainer, error):
            heard.append(error)

    heard = []
    trainer = make_trainer(callbacks=[AtStep()])
    assert not trainer.fit()
    assert trainer.steps == 3
    with pytest.raises(KeyError):
        trainer.fit()
    assert heard[0] is None
    assert isinstance(heard[1], KeyError)


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
    first = evaluate(model, loader, nn.CrossEntropyLoss(), {"accuracy": metrics.accuracy})
    assert seen == [(False, False)] * 4
    assert model.training
    assert first.output.shape == (50, 2)
    assert first.metrics == {"accuracy": np.mean(first.output.argmax(1) == first.target)}
    whole = nn.CrossEntropyLoss()(tgc.from_numpy(first.output), tgc.from_numpy(first.target)).item()
    assert first.loss == pytest.approx(whole, rel=1e-6)


def test_a_state_that_does_not_fit_is_refused():
    state = make_trainer().state_dict()
    with pytest.raises(StateDictError, match="epochs was 4 when the state was saved and is 5 now"):
        make_trainer(epochs=5).load_state_dict(state)
    with pytest.raises(StateDictError, match="patience was 4"):
        make_trainer(patience=3).load_state_dict(state)
    for options, match in (({"accumulate": 2}, "accumulate was 1"), ({"monitor": "train_loss"}, "monitor was val_loss"),
                           ({"metrics": {}}, "history was .*train_accuracy"), ({"generators": {}}, "generators was")):
        with pytest.raises(StateDictError, match=match):
            make_trainer(**options).load_state_dict(state)
    with pytest.raises(StateDictError, match="has no stopping"):
        make_trainer().load_state_dict({key: value for key, value in state.items() if key != "stopping"})


def test_a_refused_state_changes_nothing():
    """The model takes it, the optimiser or the loader does not: no run with the weights of one and the steps of another."""
    first = make_trainer()
    first.fit(max_steps=3)
    state = first.state_dict()
    for broken, match in (({"optimizer": SGD(first.model.parameters(), 0.1).state_dict()}, "another kind of optimiser"),
                          ({"loader": {**state["loader"], "samples": 91}}, "samples was 91"),
                          ({"generators": {**state["generators"], "default": tgc.zeros(3)}}, "24 bytes of get_state"),
                          ({"model": {"0.weight": state["model"]["0.weight"]}}, "missing in the file: 0.bias")):
        other, same = make_trainer(seed=5), make_trainer(seed=5)
        with pytest.raises((StateDictError, DTypeError), match=match):
            other.load_state_dict({**state, **broken})
        same.fit()
        tgc.manual_seed(5)
        make_trainer(seed=5)  # draws its weights: both begin at the same place of the default generator
        other.fit()
        assert outcome(other) == outcome(same)


# ---- what it trains ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"accumulate": 4, "clip_grad_norm": 0.1}, {"evaluate_train": True},
                                     {"monitor": "val_accuracy", "mode": "max"}, {"metrics": {}}], ids=str)
def test_every_option_is_continued_to_the_same_bits(tmp_path, options):
    whole = make_trainer(**options)
    whole.fit()
    first = make_trainer(**options)
    first.fit(max_steps=3)
    save_checkpoint(tmp_path / "c", first.state_dict())
    second = make_trainer(seed=99, **options)
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    second.fit()
    assert outcome(second) == outcome(whole)


@pytest.mark.parametrize("steps", [2, 4])
def test_a_run_is_continued_behind_a_last_group_that_is_smaller(tmp_path, steps):
    """Six batches make a step of four and one of two: behind that the loader has already ended its pass."""
    whole = make_trainer(accumulate=4)
    whole.fit()
    first = make_trainer(accumulate=4)
    first.fit(max_steps=steps)
    save_checkpoint(tmp_path / "c", first.state_dict())
    first.fit()
    second = make_trainer(seed=99, accumulate=4)
    second.load_state_dict(load_checkpoint(tmp_path / "c"))
    second.fit()
    assert whole.steps == 2 * EPOCHS
    assert outcome(first) == outcome(second) == outcome(whole)


def plain(batch_size, *, inputs=None, targets=None, loss_fn=None, model=None, val=False, n=90, **options):
    """Without any randomness, in float64."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)) if inputs is None else inputs
    y = x @ [[1.0], [-2.0], [0.5]] + 0.1 * rng.standard_normal((n, 1)) if targets is None else targets
    tgc.manual_seed(0)
    model = model or nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, y.shape[1])).double()
    loader = DataLoader(TensorDataset(x, y), batch_size)
    return Trainer(model, SGD(model.parameters(), 0.1), loss_fn or nn.MSELoss(), loader,
                   DataLoader(TensorDataset(x, y), 7) if val else None, **{"epochs": 2, **options})


def weights_of(trainer):
    return np.concatenate([value.numpy().reshape(-1) for value in trainer.model.state_dict().values()])


def test_the_loop_is_the_one_that_would_be_written_by_hand():
    trainer = plain(16)
    trainer.fit()
    by_hand = plain(16)
    model, optimizer, criterion = by_hand.model, by_hand.optimizer, nn.MSELoss()
    for _ in range(2):
        for x, y in by_hand.train_loader:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
    assert weights_of(trainer).tobytes() == weights_of(by_hand).tobytes()


@pytest.mark.parametrize("n", [90, 96, 83])  # the last group: 26 = 6 * 4 + 2 samples, full, 19 = 4 * 4 + 3 (32 per step)
def test_accumulated_small_batches_are_the_big_batch(n):
    small, big = plain(4, n=n, accumulate=8), plain(32, n=n)
    before = weights_of(small)
    small.fit()
    big.fit()
    assert small.steps == big.steps == 2 * -(-n // 32) == 2 * small.steps_per_epoch
    assert np.abs(weights_of(big) - before).max() > 0.1
    np.testing.assert_allclose(weights_of(small), weights_of(big), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(small.history["train_loss"], big.history["train_loss"], rtol=1e-12)


def test_gradients_are_clipped_to_the_norm():
    trainer, free = plain(90, epochs=1, clip_grad_norm=0.01), plain(90, epochs=1)
    before = weights_of(trainer)
    trainer.fit()
    free.fit()
    step, whole = weights_of(trainer) - before, weights_of(free) - before
    assert np.linalg.norm(step) == pytest.approx(0.1 * 0.01, rel=1e-3)  # learning rate times norm
    np.testing.assert_allclose(step / np.linalg.norm(step), whole / np.linalg.norm(whole), rtol=1e-9)


def r_squared(output, target):
    return 1 - ((output - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()


def test_a_regression_with_a_measure_that_is_no_mean_of_batches():
    trainer = plain(16, val=True, epochs=30, metrics={"r2": r_squared}, monitor="val_r2", mode="max")
    trainer.fit()
    assert list(trainer.history) == ["epoch", "learning_rate", "train_loss", "train_r2", "val_loss", "val_r2"]
    x, y = trainer.train_loader.dataset.tensors
    output = trainer.model(x).detach().numpy()
    assert trainer.history["val_r2"][-1] == pytest.approx(r_squared(output, y.numpy()), rel=1e-12)
    assert trainer.history["val_loss"][-1] == pytest.approx(np.mean((output - y.numpy()) ** 2), rel=1e-12)
    assert trainer.stopping.best_epoch == 1 + int(np.argmax(trainer.history["val_r2"]))
    assert trainer.history["val_r2"][-1] > 0.9


def test_without_validation_the_training_loss_is_watched():
    trainer = plain(16, epochs=3)
    assert trainer.fit()
    assert list(trainer.history) == ["epoch", "learning_rate", "train_loss"]
    assert trainer.monitor == "train_loss"
    assert trainer.stopping.best_epoch == 3
    assert trainer.best_weights


def test_the_training_data_are_evaluated_as_the_others_are():
    model = nn.Sequential(nn.Dropout(0.8), nn.Linear(3, 1)).double()
    trainer = plain(16, val=True, model=model, evaluate_train=True, epochs=20)
    trainer.fit()
    assert trainer.history["train_eval_loss"] == pytest.approx(trainer.history["val_loss"], rel=1e-12)  # the same data
    assert trainer.history["train_loss"][-1] > 1.05 * trainer.history["val_loss"][-1]  # dropout


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x, y):
        return self.left(x) + self.right(y)


def test_several_inputs():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40, 3)).astype(np.float32)
    model = Pairs()
    loader = DataLoader(TensorDataset(x, y, x[:, :2]), 8)
    trainer = Trainer(model, SGD(model.parameters(), 0.1), nn.MSELoss(), loader, epochs=20)
    trainer.fit()
    assert trainer.history["train_loss"][-1] < 0.2 * trainer.history["train_loss"][0]


def test_dict_batches_and_a_loss_without_target():
    rows = [{"name": "ab"[i % 2], "image": row} for i, row in enumerate(np.random.default_rng(0).standard_normal((30, 6)))]
    model = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 6)).double()

    def as_batch(samples):
        return tgc.tensor(np.stack([row["image"] for row in samples]))

    def reconstruction(model, batch):
        return ((model(batch["image"]) - batch["image"]) ** 2).mean()

    options = {"epochs": 5, "compute_loss": reconstruction}
    loader = DataLoader(rows, 8, collate_fn=lambda samples: {"name": "names", "image": as_batch(samples)})
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(DataError, match="a batch of type dict does not tell how many samples"):
        Trainer(model, optimizer, None, loader, **options).fit()
    loader.collate_fn = lambda samples: {"image": as_batch(samples)}
    trainer = Trainer(model, optimizer, None, loader, loader, **options)
    trainer.fit()
    assert trainer.history["val_loss"][-1] < trainer.history["val_loss"][0]
    with pytest.raises(DataError, match="returned the loss alone, and accuracy cannot be computed"):
        Trainer(model, optimizer, None, loader, metrics={"accuracy": metrics.accuracy}, **options).fit()


def test_a_step_of_ones_own():
    class SignDescent(Trainer):
        def step(self, batches):
            x, y = batches[0]
            loss = ((self.model(x) - y) ** 2).mean()
            self.count(loss.item(), len(x))
            self.optimizer.zero_grad()
            loss.backward()
            for parameter in self.model.parameters():
                parameter.data = parameter.data - 0.01 * parameter.grad.sign()

    trainer = plain(16, epochs=10)
    trainer.__class__ = SignDescent
    before = weights_of(trainer)
    trainer.fit(max_steps=1)
    np.testing.assert_allclose(np.abs(weights_of(trainer) - before), 0.01, rtol=1e-9)
    trainer.fit()
    assert trainer.history["train_loss"][-1] < 0.5 * trainer.history["train_loss"][0]


def test_an_empty_loader_is_an_error():
    trainer = plain(100)
    trainer.train_loader = DataLoader(trainer.train_loader.dataset, 100, drop_last=True)
    with pytest.raises(DataError, match="gave no batch"):
        trainer.fit()


def test_lazy_modules_take_their_shapes_in_the_first_step():
    model = nn.Sequential(nn.Linear(3, 4), nn.LazyBatchNorm1d(), nn.Linear(4, 1)).double()
    trainer = plain(16, model=nn.Sequential(nn.Linear(3, 1)).double())
    trainer.model, trainer.optimizer = model, SGD(model[0].parameters(), 0.1)
    trainer.fit()
    assert model[1].num_batches_tracked.item() == trainer.steps == 12


BATCH = (tgc.ones(4, 3), tgc.zeros(4, 1))


@pytest.mark.parametrize(("batch", "options", "error", "match"), [
    (dict(zip("xy", BATCH, strict=True)), {}, DataError, r"\(input, ..., target\), the loader gives a dict\. .*compute_loss"),
    (BATCH[0], {}, DataError, "the loader gives a Tensor"),
    (BATCH[:1], {}, DataError, "the loader gives a tuple of 1"),
    (BATCH, {"loss_fn": nn.Identity}, OperandError, r"the loss is of type Identity: .*give an instance, nn.MSELoss\(\)"),
    (BATCH, {"compute_loss": lambda model, batch: 1.0}, OperandError, "the loss is of type float"),
    (BATCH, {"compute_loss": lambda model, batch: {"loss": model(batch[0]).sum()}}, OperandError, "the loss is of type dict"),
    (BATCH, {"compute_loss": lambda model, batch: (model(batch[0]).sum(), batch[1]), "metrics": {"r2": metrics.r2_score}},
     DataError, "returned 2 values, and r2 cannot be computed of that"),
    (BATCH, {"metrics": {"errors": lambda output, target: (output - target)[:, 0]}}, DataError,
     r"the metric errors gives an array \(4,\)"),
    (BATCH, {"metrics": {"r2": lambda output, target: None}}, DataError, "the metric r2 gives None, .* Return one"),
    (BATCH, {"loss_fn": nn.MSELoss(reduction="none")}, ShapeError, r"the loss has the shape \(4, 1\): .*reduction at 'mean'"),
])
def test_what_is_typed_first_and_wrong_is_told(batch, options, error, match):
    loss_fn = None if "compute_loss" in options else options.pop("loss_fn", nn.MSELoss())
    with pytest.raises(error, match=match):
        evaluate(nn.Linear(3, 1), [batch], loss_fn, **options)


@pytest.mark.parametrize("callbacks", [[print], [Callback], Callback()])
def test_what_is_no_list_of_callbacks(callbacks):
    with pytest.raises(OperandError, match=r"callbacks holds .*\. Give a list of objects of classes that derive"):
        make_trainer(callbacks=callbacks)


def test_evaluation_leaves_frozen_modules_frozen():
    model = nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1))
    model[1].eval()
    evaluate(model, [BATCH], nn.MSELoss())
    assert [module.training for module in model.modules()] == [True, True, False]


def test_augmentation_finds_the_input_in_lists_too():
    model = nn.Linear(3, 1)
    trainer = Trainer(model, SGD(model.parameters(), 0.1), nn.MSELoss(), [list(BATCH)], epochs=1, augment=lambda x: 0 * x)
    trainer.fit()
    assert not model.weight.grad.numpy().any()


def test_the_best_weights_are_a_copy_that_later_steps_do_not_change():
    class Uphill(Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch == 1:
                self.best = weights_of(trainer).copy()
                trainer.optimizer.param_groups[0]["lr"] = 30.0  # far beyond what is stable

    uphill = Uphill()
    trainer = plain(32, val=True, callbacks=[uphill])
    trainer.fit()
    assert trainer.stopping.best_epoch == 1
    np.testing.assert_array_equal(np.concatenate([w.numpy().reshape(-1) for w in trainer.best_weights.values()]), uphill.best)
    assert not np.array_equal(weights_of(trainer), uphill.best)
    state = trainer.state_dict()
    other = plain(32, val=True)
    other.load_state_dict(state)
    assert not any(np.shares_memory(value.numpy(), state["best_weights"][name].numpy())
                   for name, value in other.best_weights.items())


def test_every_epoch_is_in_training_mode():
    trainer = plain(32)
    trainer.model.eval()
    trainer.fit(max_steps=1)
    assert trainer.model.training


def test_patience_begins_anew_with_every_better_epoch():
    stopping = EarlyStopping(patience=2)
    stops = []
    for epoch, value in enumerate([3.0, 4.0, 2.0, 3.0, 3.0], 1):
        stopping.update(epoch, value)
        stops.append(stopping.stop)
    assert stops == [False, False, False, False, True]
