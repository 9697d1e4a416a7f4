"""Learning rate schedules: every rate and momentum of long runs against PyTorch, state dicts both ways, mistakes."""

import copy
import json
import math

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import to_torch, torch_or_skip
from tinygrad_course import optim
from tinygrad_course.optim import lr_scheduler
from tinygrad_course.train import load_checkpoint, save_checkpoint


def warm(lib, optimizer):
    s = lib.optim.lr_scheduler
    return s.SequentialLR(optimizer, [s.LinearLR(optimizer, 0.1, total_iters=4), s.ExponentialLR(optimizer, 0.9),
                                      s.CosineAnnealingLR(optimizer, 7, 1e-3)], [4, 15])


def chain(lib, optimizer):
    s = lib.optim.lr_scheduler
    parts = [s.ConstantLR(optimizer, 0.1, 3), s.ExponentialLR(optimizer, 0.95), s.StepLR(optimizer, 7, 0.5)]
    return s.ChainedScheduler(parts, optimizer)


def simple(name, *args, **kwargs):
    return lambda lib, optimizer, **more: getattr(lib.optim.lr_scheduler, name)(optimizer, *args, **kwargs, **more)


class Decay:
    """A callable object, whose attributes are saved."""

    def __init__(self, rate=0.9):
        self.rate = rate

    def __call__(self, t):
        return self.rate**t


MAKERS = {
    "lambda": simple("LambdaLR", lambda t: 1 / (1 + t)),
    "lambdas": simple("LambdaLR", [lambda t: 0.9**t, Decay()]),
    "multiplicative": simple("MultiplicativeLR", lambda t: 0.95 if t % 3 else 1.1),
    "step": simple("StepLR", 7, 0.5), "multistep": simple("MultiStepLR", [3, 9, 9, 30], 0.3),
    "constant": simple("ConstantLR"), "constant 1": simple("ConstantLR", 0.2, 11),
    "linear": simple("LinearLR"), "linear down": simple("LinearLR", 0.9, 0.0, 23),
    "exponential": simple("ExponentialLR", 0.97),
    "polynomial": simple("PolynomialLR", 30, 0.9), "polynomial 1": simple("PolynomialLR"),
    "cosine": simple("CosineAnnealingLR", 10), "cosine 1": simple("CosineAnnealingLR", 13, 0.02),
    "restarts": simple("CosineAnnealingWarmRestarts", 7), "restarts 1": simple("CosineAnnealingWarmRestarts", 5, 2, 1e-3),
    "cyclic": simple("CyclicLR", 0.01, 0.1, 9), "cyclic 1": simple("CyclicLR", [0.01, 0.02], [0.1, 0.3], 4, 6, "triangular2"),
    "cyclic 2": simple("CyclicLR", 0.01, 0.1, 5, mode="exp_range", gamma=0.98, base_momentum=0.7, max_momentum=0.99),
    "cyclic 3": simple("CyclicLR", 0.01, 0.1, 5, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "cyclic 4": simple("CyclicLR", 0.01, 0.1, 5, scale_fn=Decay(0.8), scale_mode="iterations"),
    "one cycle": simple("OneCycleLR", 0.4, 70),
    "one cycle 1": simple("OneCycleLR", [0.4, 0.1], epochs=9, steps_per_epoch=8, anneal_strategy="linear", three_phase=True),
    "one cycle 2": simple("OneCycleLR", 0.4, 66, pct_start=0.1, cycle_momentum=False, div_factor=5.0, final_div_factor=10.0),
    "sequential": warm, "chained": chain,
    "swa": lambda lib, optimizer: lib.optim.swa_utils.SWALR(optimizer, 0.02),
    "swa 1": lambda lib, optimizer: lib.optim.swa_utils.SWALR(optimizer, [0.02, 0.3], 5, "linear"),
    "swa 2": lambda lib, optimizer: lib.optim.swa_utils.SWALR(optimizer, 0.02, 0),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
OPTIMIZERS = ["SGD", "Adam"]
LENGTH = 65


def setup(lib, make, kind="SGD", lr=0.1, second=0.3):
    """An optimiser with two groups and its schedule."""
    params = [lib.ones(2, requires_grad=True), lib.ones(3, requires_grad=True)]
    for p in params:
        p.grad = lib.zeros(*p.shape)
    momentum = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(lib.optim, kind)([{"params": params[0]}, {"params": params[1], "lr": second}], lr=lr,
                                         **momentum)
    return optimizer, make(lib, optimizer)


def options(optimizer):
    return [[float(group["lr"]), group["betas"][0] if "betas" in group else group["momentum"]]
            for group in optimizer.param_groups]


def run(optimizer, scheduler, steps):
    history = [options(optimizer)]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        assert [float(rate) for rate in scheduler.get_last_lr()] == [pair[0] for pair in options(optimizer)]
        history.append(options(optimizer))
    return np.array(history)


def same(ours, theirs):
    """Nested states are equal, numbers nearly."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            same(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-11)
    else:
        assert ours == theirs


@pytest.mark.parametrize("kind", OPTIMIZERS)
@makers
def test_rates_and_momenta_are_torchs(make, kind):
    torch = torch_or_skip()
    ours, theirs = setup(tgc, make, kind), setup(torch, make, kind)
    np.testing.assert_allclose(run(*ours, LENGTH), run(*theirs, LENGTH), rtol=1e-11, atol=1e-15)
    same(ours[1].state_dict(), theirs[1].state_dict())
    extra = [{key: value for key, value in optimizer.param_groups[1].items() if key != "params"} for optimizer in
             (ours[0], theirs[0])]
    same(*extra)


@makers
def test_states_go_to_torch_and_back(make):
    """Both go on for 20 steps with the other's state; ours in a new scheduler of other numbers, and from a file."""
    torch = torch_or_skip()
    ours, theirs = setup(tgc, make), setup(torch, make)
    run(*ours, 20)
    run(*theirs, 20)
    fresh, fresh_torch = setup(tgc, make), setup(torch, make)
    fresh[1].load_state_dict(theirs[1].state_dict())
    fresh[0].load_state_dict(theirs[0].state_dict())
    fresh_torch[1].load_state_dict(copy.deepcopy(ours[1].state_dict()))
    fresh_torch[0].load_state_dict(to_torch(ours[0].state_dict()))
    expected = run(*theirs, 20)
    for pair in (ours, fresh, fresh_torch):
        np.testing.assert_allclose(run(*pair, 20), expected, rtol=1e-11, atol=1e-15)


@makers
def test_a_state_survives_a_checkpoint(make, tmp_path):
    optimizer, scheduler = setup(tgc, make)
    run(optimizer, scheduler, 11)
    save_checkpoint(tmp_path / "c", {"scheduler": scheduler.state_dict(), "optimizer": optimizer.state_dict()})
    expected = run(optimizer, scheduler, 30)
    other, resumed = setup(tgc, make)
    saved = load_checkpoint(tmp_path / "c")
    resumed.load_state_dict(saved["scheduler"])
    other.load_state_dict(saved["optimizer"])
    np.testing.assert_array_equal(run(other, resumed, 30), expected)
    json.dumps(scheduler.state_dict(), default=dict)


@makers
def test_tensor_rates_are_written_into(make):
    rates = [tgc.tensor(rate, dtype="float64") for rate in (0.1, 0.3)]
    np.testing.assert_allclose(run(*setup(tgc, make, "SGD", *rates), 20), run(*setup(tgc, make), 20), rtol=1e-12, atol=1e-15)


CLOSED = ["step", "multistep", "constant", "linear", "exponential", "polynomial", "cosine", "cosine 1", "lambda", "cyclic"]


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_are_torchs_and_the_chainable_ones(name):
    torch = torch_or_skip()
    ours, theirs = setup(tgc, MAKERS[name]), setup(torch, MAKERS[name])
    chainable = run(*setup(tgc, MAKERS[name]), 40)
    for epoch in (5, 1, 17, 40):
        rates = []
        for optimizer, scheduler in (ours, theirs):
            optimizer.step()
            with pytest.warns(UserWarning, match="epoch parameter"):
                scheduler.step(epoch)
            rates.append(scheduler.get_last_lr())
        np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)
        np.testing.assert_allclose(rates[0], chainable[epoch, :, 0], rtol=1e-10, atol=1e-16)


def test_fractions_of_epochs_restart_where_torch_does():
    torch = torch_or_skip()
    pairs = [setup(lib, MAKERS["restarts 1"]) for lib in (tgc, torch)]
    for epoch in [0.5, 3.25, 5.0, 7.5, 14.9, 15.0, 3.0, 80.0]:
        for _, scheduler in pairs:
            scheduler.step(epoch)
        np.testing.assert_allclose(*[scheduler.get_last_lr() for _, scheduler in pairs], rtol=1e-12)
    with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
        pairs[0][1].step(-1)


@pytest.mark.parametrize("name", ["lambda", "step", "exponential", "cosine", "polynomial", "linear", "cyclic", "one cycle"])
def test_last_epoch_resumes_as_torch_does(name):
    torch = torch_or_skip()
    ends = []
    for lib in (tgc, torch):
        optimizer, scheduler = setup(lib, MAKERS[name])
        run(optimizer, scheduler, 9)
        fresh = setup(lib, lambda lib, optimizer: None)[0]
        fresh.load_state_dict(optimizer.state_dict())
        ends.append(run(fresh, MAKERS[name](lib, fresh, last_epoch=9), 20))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-11, atol=1e-15)
    message = r"param 'initial_lr' is not specified in param_groups\[0\] when resuming.*last_epoch=3"
    with pytest.raises(KeyError, match=message):
        lr_scheduler.StepLR(setup(tgc, lambda lib, optimizer: None)[0], 3, last_epoch=3)


PLATEAUS = [{}, {"mode": "max"}, {"patience": 2, "threshold": 0.05, "cooldown": 3},
            {"factor": 0.5, "patience": 0, "min_lr": 0.01},
            {"threshold_mode": "abs", "threshold": 0.1, "patience": 1, "min_lr": [0.01, 0.1]},
            {"mode": "max", "threshold_mode": "abs", "patience": 1}, {"patience": 1, "eps": 0.05}]


@pytest.mark.parametrize("kwargs", PLATEAUS, ids=str)
def test_plateaus_are_torchs(kwargs):
    torch = torch_or_skip()
    rng = np.random.default_rng(0)
    values = [*np.round(3 * 0.95 ** np.arange(80) + 0.1 * rng.standard_normal(80), 2).tolist(), math.nan, math.nan]
    ours, theirs = (setup(lib, simple("ReduceLROnPlateau", **kwargs)) for lib in (tgc, torch))
    for number, value in enumerate(values):
        ours[1].step(tgc.tensor(value))
        theirs[1].step(torch.tensor(value))
        assert ours[1].get_last_lr() == pytest.approx(theirs[1].get_last_lr())
        assert ours[1].in_cooldown == theirs[1].in_cooldown
        if number == 40:
            same(ours[1].state_dict(), theirs[1].state_dict())
            fresh, fresh_torch = (setup(lib, simple("ReduceLROnPlateau")) for lib in (tgc, torch))
            for (optimizer, scheduler), (from_optimizer, from_scheduler) in ((fresh, theirs), (fresh_torch, ours)):
                scheduler.load_state_dict(from_scheduler.state_dict())
                optimizer.load_state_dict(from_optimizer.state_dict())
            ours, theirs = fresh, fresh_torch
    with pytest.warns(UserWarning, match="epoch parameter"):
        ours[1].step(0.0, 5)


def test_the_order_of_the_two_steps():
    optimizer, scheduler = setup(tgc, MAKERS["step"])
    with pytest.warns(UserWarning, match=r"`lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        scheduler.step()
    optimizer.step()
    scheduler = MAKERS["step"](tgc, optimizer)
    optimizer.step()
    scheduler.step()
    late = setup(tgc, lambda lib, optimizer: None)[0]
    late.step()  # a step before there was a schedule does not count
    scheduler = MAKERS["step"](tgc, late)
    with pytest.warns(UserWarning, match="before"):
        scheduler.step()


def test_a_schedule_of_ones_own():
    class Halves(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = setup(tgc, lambda lib, optimizer: None)[0]
    scheduler = Halves(optimizer)
    assert run(optimizer, scheduler, 3)[:, 0, 0].tolist() == [0.1, 0.05, 0.025, 0.0125]
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        setup(tgc, MAKERS["step"])[1].get_lr()
    with pytest.raises(NotImplementedError, match=r"Bare has no rate for a given step: write get_lr\(\)"):
        type("Bare", (lr_scheduler.LRScheduler,), {})(optimizer)


OPT = optim.SGD([tgc.ones(1, requires_grad=True)], momentum=0.9)
OTHER = optim.SGD([tgc.ones(1, requires_grad=True)])
S = lr_scheduler


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: S.StepLR(3, 1), TypeError, "int is not an Optimizer"),
    (lambda: S.LambdaLR(OPT, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (lambda: S.MultiplicativeLR(OPT, 0.5), TypeError, "lr_lambda should be a function, but got float"),
    (lambda: S.ConstantLR(OPT, 2.0), ValueError, "expected to be between 0 and 1, got 2"),
    (lambda: S.LinearLR(OPT, 0.0), ValueError, "greater than 0 and less or equal to 1, got 0"),
    (lambda: S.LinearLR(OPT, 1.0, 2.0), ValueError, "Ending multiplicative factor .* got 2"),
    (lambda: S.CosineAnnealingWarmRestarts(OPT, 0), ValueError, "Expected positive integer T_0, but got 0"),
    (lambda: S.CosineAnnealingWarmRestarts(OPT, 3, 1.5), ValueError, r"Expected integer T_mult >= 1, but got 1\.5"),
    (lambda: S.CosineAnnealingWarmRestarts(OPT, 3, 1, None), ValueError, "Expected float or int eta_min, but got None"),
    (lambda: S.CyclicLR(OPT, [0.1, 0.2], 1.0), ValueError, "base_lr has 2 values, param_groups has 1"),
    (lambda: S.CyclicLR(OPT, 0.1, 1.0, mode="square"), ValueError, "mode is invalid and scale_fn is None.*'square'"),
    (lambda: S.CyclicLR(optim.Rprop([tgc.ones(1, requires_grad=True)]), 0.1, 1.0), ValueError, "Rprop does not: give"),
    (lambda: S.OneCycleLR(OPT, 0.1), ValueError, r"either total_steps OR \(epochs AND steps_per_epoch\)"),
    (lambda: S.OneCycleLR(OPT, 0.1, -1), ValueError, "Expected positive integer total_steps, but got -1"),
    (lambda: S.OneCycleLR(OPT, 0.1, epochs=2, steps_per_epoch=0.5), ValueError, "integer steps_per_epoch, but got 0.5"),
    (lambda: S.OneCycleLR(OPT, 0.1, 9, pct_start=3.0), ValueError, "between 0 and 1 pct_start, but got 3"),
    (lambda: S.OneCycleLR(OPT, 0.1, 9, anneal_strategy="exp"), ValueError, "'cos' or 'linear', instead got exp"),
    (lambda: S.SequentialLR(OPT, [], []), ValueError, "at least one scheduler"),
    (lambda: S.SequentialLR(OPT, [S.StepLR(OPT, 3)], [3]), ValueError, "schedulers 1 and .* milestones to be equal to 1"),
    (lambda: S.SequentialLR(OPT, [S.StepLR(OTHER, 3)], []), ValueError, "StepLR at index 0, whose optimizer is another one"),
    (lambda: S.SequentialLR(OPT, [S.ReduceLROnPlateau(OPT)], []), ValueError, "does not support `ReduceLROnPlateau`"),
    (lambda: S.ChainedScheduler([]), ValueError, "at least one scheduler to be chained"),
    (lambda: S.ChainedScheduler([3], OPT), TypeError, "at index 0 should have `optimizer`"),
    (lambda: S.ReduceLROnPlateau(OPT, "least"), ValueError, "mode least is unknown"),
    (lambda: S.ReduceLROnPlateau(OPT, threshold_mode="sum"), ValueError, "threshold mode sum is unknown"),
    (lambda: S.ReduceLROnPlateau(OPT, factor=1.0), ValueError, r"Factor should be < 1\.0, got 1"),
    (lambda: S.ReduceLROnPlateau(OPT, min_lr=[1, 2]), ValueError, "expected 1 min_lrs, got 2"),
    (lambda: optim.swa_utils.SWALR(OPT, 0.1, -1), ValueError, "anneal_epochs must be equal or greater than 0, got -1"),
    (lambda: optim.swa_utils.SWALR(OPT, 0.1, 2, "exp"), ValueError, "'cos' or 'linear', instead got exp"),
])
def test_mistakes(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("inner_first", [True, False])
@pytest.mark.parametrize("chained", [True, False])
def test_sequences_and_chains_are_parts_of_sequences(inner_first, chained):
    optimizer = optim.SGD([tgc.ones(1, requires_grad=True)], lr=1.0)
    optimizer.param_groups[0]["params"][0].grad = tgc.zeros(1)
    if chained:
        inner = S.ChainedScheduler([S.ConstantLR(optimizer, 0.5, 2), S.ExponentialLR(optimizer, 0.9)])
        alone = [0.5, 0.45, 0.81, 0.9**3]
    else:
        inner = S.SequentialLR(optimizer, [S.ConstantLR(optimizer, 0.5, 2), S.ExponentialLR(optimizer, 0.9)], [3])
        alone = [0.5, 0.5, 1.0, 1.0, 0.9, 0.81]
    other, rates = S.StepLR(optimizer, 2, 0.7), [1.0, 1.0, 0.7, 0.7, 0.49]
    first, second = (alone, rates) if inner_first else (rates, alone)
    scheduler = S.SequentialLR(optimizer, [inner, other] if inner_first else [other, inner], [len(first)])
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(len(alone + rates) - 1):
        optimizer.step()
        scheduler.step()
        found.append(scheduler.get_last_lr()[0])
    np.testing.assert_allclose(found, first + second)


def test_one_cycle_ends():
    optimizer, scheduler = setup(tgc, simple("OneCycleLR", 0.4, 5))
    run(optimizer, scheduler, 5)
    with pytest.raises(ValueError, match=r"Tried to step 6 times\. The specified number of total steps is 5"):
        scheduler.step()


def test_a_plateau_notices_new_groups():
    optimizer, scheduler = setup(tgc, simple("ReduceLROnPlateau", patience=0, min_lr=[0.01, 0.01]))
    optimizer.add_param_group({"params": tgc.ones(1, requires_grad=True)})
    scheduler.step(1.0)
    with pytest.raises(RuntimeError, match=r"groups in the `optimizer` \(3\) differs from .* \(2\)"):
        scheduler.step(1.0)
