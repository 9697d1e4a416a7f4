"""Adafactor and Muon, whose steps look at whole matrices: against PyTorch and against the formulas."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import optim

SHAPES = {"Adafactor": [(3, 4), (5,), (), (2, 3, 2, 2), (6, 2)], "Muon": [(3, 4), (6, 2), (1, 5)]}
OPTIONS = [{}, {"lr": 0.1, "beta2_decay": -0.5, "eps": (0.9, 1e-2), "d": 1.5, "weight_decay": 0.1, "maximize": True}]


def make(lib, name, dtype, **options):
    rng = np.random.default_rng(0)
    params = [lib.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in SHAPES[name]]
    return params, getattr(lib.optim, name)(params, **options)


def run(lib, params, optimizer, steps):
    """Random gradients; the second parameter has none in every third step."""
    for step in steps:
        rng = np.random.default_rng(step)
        for number, p in enumerate(params):
            g = lib.tensor(rng.standard_normal(tuple(p.shape)).astype(str(p.dtype).split(".")[-1]))
            p.grad = None if number == 1 and step % 3 == 0 else g
        optimizer.step()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_adafactor_is_torchs_and_goes_there_and_back(options, dtype):
    torch = torch_or_skip()
    (ours, a), (theirs, b) = make(tgc, "Adafactor", dtype, **options), make(torch, "Adafactor", dtype, **options)
    assert repr(a) == repr(b)
    run(tgc, ours, a, range(6))
    run(torch, theirs, b, range(6))
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"] == other["param_groups"]
    assert {k: list(v) for k, v in mine["state"].items()} == {k: list(v) for k, v in other["state"].items()}
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    for number, entry in other["state"].items():
        for key, value in entry.items():
            assert_close(mine["state"][number][key], value, tolerance, tolerance, what=key)
    fresh, fresh_torch = optim.Adafactor(ours), torch.optim.Adafactor(theirs)
    fresh.load_state_dict(other)
    fresh_torch.load_state_dict(to_torch(mine))
    run(tgc, ours, fresh, range(6, 10))
    run(torch, theirs, fresh_torch, range(6, 10))
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p, q, tolerance, tolerance)


def test_adafactor_leaves_empty_parameters_alone():
    p = tgc.ones(0, 3, requires_grad=True)
    p.grad = tgc.ones(0, 3)
    optimizer = optim.Adafactor([p])
    optimizer.step()
    assert optimizer.state[p] == {"step": 1}


MUON = [{"lr": 0.1}, {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.1, "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "weight_decay": 0.0}]


@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_by_the_formula_and_near_torchs_bfloat16(options):
    torch = torch_or_skip()
    (ours, a), (theirs, b) = make(tgc, "Muon", "float64", **options), make(torch, "Muon", "float64", **options)
    assert repr(a) == repr(b)
    p = ours[0].detach().numpy().copy()
    run(tgc, ours, a, range(5))
    run(torch, theirs, b, range(5))
    for mine, other in zip(ours, theirs, strict=True):
        n, m = mine.shape
        ratio = 0.2 * max(n, m) ** 0.5 if "adjust_lr_fn" in options else max(1, n / m) ** 0.5
        assert_close(mine, other, 0, 0.02 * 5 * 0.1 * ratio)  # 2 % of 5 steps: bfloat16 has 8 bits
    mine, other = a.state_dict()["state"], b.state_dict()["state"]
    assert {k: list(v) for k, v in mine.items()} == {k: list(v) for k, v in other.items()}

    settings = {"nesterov": True, "adjust_lr_fn": None, "ns_steps": 5, "ns_coefficients": (3.4445, -4.775, 2.0315),
                "weight_decay": 0.1, **options}
    buffer = np.zeros((3, 4))
    for step in range(5):
        g = np.random.default_rng(step).standard_normal((3, 4))
        buffer = 0.95 * buffer + 0.05 * g
        u, s, vt = np.linalg.svd(0.05 * g + 0.95 * buffer if settings["nesterov"] else buffer, full_matrices=False)
        s = s / np.sqrt((s**2).sum())
        c1, c3, c5 = settings["ns_coefficients"]
        for _ in range(settings["ns_steps"]):  # the iteration acts on the singular values alone
            s = c1 * s + c3 * s**3 + c5 * s**5
        ratio = 0.2 * 2 if settings["adjust_lr_fn"] else 1.0
        p = (1 - 0.1 * settings["weight_decay"]) * p - 0.1 * ratio * (u * s) @ vt
    assert_close(ours[0], torch.from_numpy(p), 1e-12, 1e-12)


P = tgc.ones(2, 2, requires_grad=True)


@pytest.mark.parametrize(("call", "match"), [
    (lambda: optim.Adafactor([P], beta2_decay=0.1), "beta2_decay should be <= 0 but is: 0.1"),
    (lambda: optim.Adafactor([P], eps=(-1, 1)), "epsilon1 should be >= 0 but is: -1"),
    (lambda: optim.Adafactor([P], eps=(None, -1)), "epsilon2 should be >= 0 but is: -1"),
    (lambda: optim.Adafactor([P], d=0.5), r"Clipping threshold d should be >= 1 but is: 0\.5"),
    (lambda: optim.Muon([tgc.ones(3, requires_grad=True)]), r"only supports 2D parameters .* size: \(3,\); give"),
    (lambda: optim.Muon([P], momentum=-1), "Invalid momentum value: -1"),
    (lambda: optim.Muon([P], ns_steps=100), "less than 100"),
    (lambda: optim.Muon([P], ns_coefficients=(1, 2)), "exactly 3 values"),
    (lambda: optim.Muon([P], adjust_lr_fn="adam"), "Adjust learning rate function adam is not supported"),
])
def test_mistakes(call, match):
    with pytest.raises(ValueError, match=match):
        call()
