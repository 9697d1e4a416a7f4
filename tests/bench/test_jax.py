"""JAX beside the other engines.  What needs no JAX is tested everywhere, the rest where it is installed."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.bench import models, report
from tinygrad_course.bench.check import FirstStep, WrongResult, compare, first_step
from tinygrad_course.bench.engines import OURS, Engine, named_arrays
from tinygrad_course.bench.jax_process import JAX, JaxProcess
from tinygrad_course.bench.machine import Machine
from tinygrad_course.bench.measure import Plan, Timing
from tinygrad_course.cli import bench, main
from tinygrad_course.errors import DependencyError

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
needs_torch = pytest.mark.skipif(find_spec("torch") is None and os.environ.get("TGC_REQUIRE_TORCH") != "1",
                                 reason="PyTorch is not installed")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be limited to processors")
PYTHONPATH = str(Path(tgc.__file__).parents[1])
STEADY = ("xor", "mlp-sigmoid", "mlp", "autoencoder", "vae", "lenet", "resnet20", "lstm128", "rnn128", "dcgan")
HIDE_JAX = "import sys; sys.modules['jax'] = None; "


@pytest.fixture(autouse=True)
def _children_find_this_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)


def timed_row(model, jax=None, absent=None):
    row = models.Row(model, model.title(), 1, goal=2.0)
    row.training = {"ours": Timing([0.001] * 5), "torch": Timing([0.002] * 5)}
    row.inference = {"ours": Timing([0.0005] * 5), "torch": Timing([0.001] * 5)}
    if jax is not None:
        row.training[JAX], row.inference[JAX] = Timing([jax] * 5), Timing([jax / 4] * 5)
    row.absent = dict(absent or {})
    return row


def our_start(name):
    task = Engine(OURS).build(models.REGISTRY[name])
    return task, *named_arrays(task)


# ---- without JAX ----------------------------------------------------------------------------------------------------

def test_without_jax_one_line_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None if name == "jax" else object())
    assert main(["bench", "models", "--against", "torch,compile,jax"]) == 2
    error = capsys.readouterr().err
    assert "JAX, which is not installed: pip install jax" in error
    assert error.count("\n") == 1


def test_the_package_and_the_benchmark_do_not_import_jax():
    code = HIDE_JAX + "import tinygrad_course, tinygrad_course.cli.bench, tinygrad_course.bench.jax_process"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_programs_say_what_they_need():
    code = HIDE_JAX + "import tinygrad_course.bench.jax_models"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip().endswith("DependencyError: comparing with JAX needs the package jax: pip install jax")


@needs_affinity
def test_more_threads_than_processors_are_refused():
    processors = len(os.sched_getaffinity(0))
    with pytest.raises(DependencyError, match=f"{processors + 1} threads need {processors + 1} processors, there are"):
        JaxProcess(models.REGISTRY["xor"], {}, {}, processors + 1)


@needs_torch
@needs_affinity
@pytest.mark.skipif(find_spec("jax") is not None, reason="JAX is installed")
def test_a_process_that_cannot_start_tells_why_and_the_others_are_timed():
    row, = models.run(["xor"], [1], Plan(1, 0.01, 0.0), ["torch", JAX])
    assert row.timed
    assert not row.wrong
    assert row.absent[JAX].endswith("comparing with JAX needs the package jax: pip install jax")


def test_weights_are_told_from_buffers():
    _, weights, buffers = our_start("resnet20")
    assert {"0.bn1.running_mean", "0.bn1.running_var", "0.bn1.num_batches_tracked"} <= set(buffers)
    assert weights["0.conv1.weight"].shape == (16, 3, 3, 3)
    assert not set(weights) & set(buffers)


def test_the_message_names_the_engine():
    ours, theirs = FirstStep(1.0, {"0.weight": np.ones(3)}), FirstStep(1.5, {"0.weight": np.ones(3)})
    with pytest.raises(WrongResult, match=r"loss 1, JAX has 1\.5"):
        compare(ours, theirs, "JAX")
    theirs = FirstStep(1.0, {"0.weight": np.array([1.0, 1.0, 1.2])})
    with pytest.raises(WrongResult, match=r"gradient of 0\.weight is off"):
        compare(ours, theirs, "JAX")


def test_tables_have_columns_for_jax_and_empty_cells_where_it_is_absent():
    rows = [timed_row("a", jax=0.004), timed_row("b", absent={JAX: "2 threads need 2 processors, there are 1"})]
    with_jax, without = ("\n".join(report.model_lines(row)) for row in rows)
    assert "  against JAX " in with_jax
    assert "4.00x" in with_jax
    assert "JAX: 2 threads need 2 processors, there are 1" in without
    summary, = report.summaries(rows)
    assert summary.others == {JAX: (1, pytest.approx(4.0), pytest.approx(2.0))}
    assert any("against JAX, 1 model: training 4.00x, inference 2.00x" in line for line in report.summary_lines(rows))
    table = report.markdown(report.Report(Machine("", "", 1, "", "", "", "", "", {}, {}, 0.0), rows)).splitlines()
    head, _, first, second = (line for line in table if line.startswith("|"))
    assert head.endswith("| training, JAX (ms) | training, JAX / ours | inference, JAX (ms) | inference, JAX / ours |")
    assert first.endswith("| 4.00 | 4.00x | 1.00 | 2.00x |")
    assert second.endswith("|  |  |  |  |")
    assert head.count("|") == first.count("|") == second.count("|")


def test_without_further_engines_the_tables_are_as_they_were():
    table = report.markdown(report.Report(Machine("", "", 1, "", "", "", "", "", {}, {}, 0.0), [timed_row("a")]))
    assert "JAX" not in table


# ---- with JAX -------------------------------------------------------------------------------------------------------

@needs_jax
@needs_affinity
@pytest.mark.parametrize("name", ["xor", "vae", "lenet", "rnn128"])
def test_the_first_step_is_ours(name):
    task, weights, buffers = our_start(name)
    ours = first_step(task)
    with JaxProcess(models.REGISTRY[name], weights, buffers, 1) as jax:
        assert jax.threads == 1
        assert set(jax.first.gradients) == set(ours.gradients)
        assert compare(ours, jax.first, "JAX").gradient < 1e-3
        assert jax.turn("training")(2) > 0
        assert jax.turn("inference")(2) > 0
        assert jax.processor_time() > 0


@needs_jax
@needs_affinity
def test_a_process_that_ends_early_is_named():
    _, weights, buffers = our_start("xor")
    with JaxProcess(models.REGISTRY["xor"], weights, buffers, 1) as jax:
        jax._process.kill()
        jax._process.wait()
        with pytest.raises(DependencyError):
            jax.turn("training")(1)


@needs_jax
@needs_torch
@needs_affinity
def test_jax_takes_its_turns():
    row, = models.run(["xor"], [1], Plan(2, 0.01, 0.0), ["torch", JAX])
    assert list(row.training) == list(row.inference) == ["ours", "torch", JAX]
    assert len(row.training[JAX].samples) == 2
    assert row.absent == {}


@needs_jax
@needs_torch
@needs_affinity
def test_a_wrong_gradient_is_not_timed(monkeypatch):
    def longer_gradients(task):
        step = first_step(task)
        return FirstStep(step.loss, {name: 1.1 * g for name, g in step.gradients.items()})

    monkeypatch.setattr(models, "first_step", longer_gradients)  # PyTorch's and ours alike, so that only JAX differs
    row, = models.run(["xor"], [1], Plan(1, 0.01, 0.0), ["torch", JAX])
    assert row.timed
    assert row.wrong
    assert JAX not in row.training
    assert row.absent[JAX].startswith("wrong result: gradient of 0.")


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("name", list(models.REGISTRY))
def test_training_and_inference_are_ours(name):
    """Losses of three steps, what they did to the weights, and the output after them, with running statistics."""
    from tinygrad_course.bench.jax_models import IMAGES, MODELS, WEIGHTS, from_jax, jax, to_jax

    task, weights, buffers = our_start(name)
    batch = models.REGISTRY[name].batch(np.random.default_rng(0))
    ours = [float(task.step().detach().numpy()) for _ in range(3)]
    after, _ = named_arrays(task)
    model = MODELS[name]
    inputs = tuple(to_jax({str(n): array for n, array in enumerate(batch)}, IMAGES).values())
    state = model.start(to_jax(weights, WEIGHTS), to_jax(buffers, WEIGHTS))
    losses = []
    step = jax.jit(model.step)
    for _ in range(3):
        state, loss = step(state, inputs)
        losses.append(float(loss))
    np.testing.assert_allclose(losses, ours, rtol=5e-3)
    theirs = from_jax(state[0], WEIGHTS)
    moved, apart = (np.sqrt(sum(np.sum((after[key] - other[key]) ** 2.0) for key in after)) for other in (weights, theirs))
    # MobileNet and the U-Net amplify rounding: after three steps ours and PyTorch's weights are 46 % and 13 % apart.
    if name in STEADY:
        assert apart < 0.05 * moved
    task.train(False)
    with tgc.no_grad():
        expected = task.infer()
    found = jax.jit(model.predict)(*state[:2], inputs)
    if isinstance(expected, tuple):
        expected, found = expected[0], found[0]
    expected, found = expected.numpy(), from_jax({"y": found}, IMAGES)["y"]
    assert np.linalg.norm(found - expected) < 2e-2 * np.linalg.norm(expected)
