"""The benchmark: short but real runs.  What they measure is never asserted, only that and how it is told."""

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.backend import cpu_kernels
from tinygrad_course.backend.cpu import compiled_module
from tinygrad_course.bench import chart, models, opcases, report
from tinygrad_course.bench.check import WrongResult, compare_first_step
from tinygrad_course.bench.engines import OURS, Engine
from tinygrad_course.bench.machine import Disturbance, Watchman, describe
from tinygrad_course.bench.measure import Plan, Timing, interleave, ratio, repeat, repeat_second
from tinygrad_course.bench.profile import profile, profile_lines
from tinygrad_course.cli import bench, main

needs_torch = pytest.mark.skipif(find_spec("torch") is None and os.environ.get("TGC_REQUIRE_TORCH") != "1",
                                 reason="PyTorch is not installed")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}
SHORT = ("--repeats", "2", "--seconds", "0.01", "--threads", "1")


def run(*arguments, code=0):
    done = subprocess.run([sys.executable, "-m", "tinygrad_course", "bench", *map(str, arguments)], capture_output=True,
                          text=True, timeout=600, check=False, env=ENVIRONMENT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def timed_row(model="xor", threads=1, ours=1.0, theirs=2.0):
    row = models.Row(model, model.title(), threads, goal=4.0)
    row.training = {"ours": Timing([ours] * 5), "torch": Timing([theirs] * 5)}
    row.inference = dict(row.training)
    return row


# ---- the command ----------------------------------------------------------------------------------------------------

@needs_torch
def test_models_write_table_json_markdown_and_chart(tmp_path):
    files = [tmp_path / name for name in ("all.json", "all.md", "all.png")]
    out = run("models", "--only", "xor", *SHORT, "--json", files[0], "--markdown", files[1], "--chart", files[2])
    assert "XOR MLP 2-4-1" in out
    assert "geometric mean of 1 model, 1 thread" in out
    content = json.loads(files[0].read_text())
    assert content["schema"] == report.SCHEMA
    assert {"cpu", "cores", "isa", "amx", "precision", "versions", "settings", "load"} <= set(content["machine"])
    assert {"torch", "tinygrad_course", "numpy"} <= set(content["machine"]["versions"])
    row, = content["models"]
    assert (row["model"], row["threads"], row["problem"]) == ("xor", 1, "")
    assert len(row["training"]["ours"]["samples"]) == 2
    assert row["training_ratio"]["torch"]["low"] <= row["training_ratio"]["torch"]["high"]
    assert {"spread", "others", "steal", "reasons"} <= set(row["disturbance"])
    assert content["summary"][0]["models"] == 1
    assert "| XOR MLP 2-4-1, batch 4 | 1 |" in files[1].read_text()
    assert files[2].read_bytes().startswith(b"\x89PNG")


@needs_torch
@pytest.mark.slow
def test_ops_overhead_and_import(tmp_path):
    out = run("ops", "--only", "mul 64x100,linear 10x784 to 100", *SHORT, "--json", tmp_path / "ops.json")
    rows = json.loads((tmp_path / "ops.json").read_text())["ops"]
    assert [(row["op"], row["direction"]) for row in rows] == [
        (name, direction) for name in ("linear 10x784 to 100", "mul 64x100") for direction in ("forward", "backward")]
    assert rows[0]["unit"] == "GFLOP/s"
    assert rows[2]["unit"] == "GB/s"
    assert "roofline with 1 thread" in out
    assert "Linear(4, 4)(x)" in run("overhead", "--only", "Linear(4, 4)(x)", *SHORT)
    assert "import tinygrad_course" in run("import", "--repeats", "1")


@needs_torch
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_each_engine_in_a_process_of_its_own(tmp_path):
    run("memory", "--only", "xor", "--threads", "1", "--json", tmp_path / "memory.json")
    row, = json.loads((tmp_path / "memory.json").read_text())["memory"]
    assert set(row["footprints"]) == {"ours", "torch"}
    assert all(footprint["peak"] >= 0 for footprint in row["footprints"].values())


def test_profile_needs_no_torch():
    out = run("profile", "xor", "--repeats", "2")
    assert "sgd_step" in out
    assert "in kernels" in out


@pytest.mark.parametrize(("arguments", "message"), [
    (("model",), "unknown benchmark 'model'; did you mean 'models'?"),
    (("models", "--only", "lenett"), "unknown model 'lenett'; did you mean 'lenet'?"),
    (("ops", "--only", "relu 32x64x32x3"), "did you mean 'relu 32x64x32x32'?"),
    (("models", "--against", "torhc"), "unknown engine 'torhc'; did you mean 'torch'?"),
    (("profile",), "which model? Give one of xor,"),
    (("profile", "resnet21"), "did you mean 'resnet20'?"),
    (("models", "lenet"), "choose models by --only lenet"),
    (("import", "--only", "xor"), "--only goes with models, memory, ops, overhead, not with import"),
    (("models", "--threads", "0"), "'0' is not a whole number"),
    (("models", "--json", "nowhere/x.json"), "'nowhere/x.json' is not a file in an existing folder"),
])
def test_wrong_input_is_told_in_one_line(capsys, arguments, message):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_torch_one_line_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert main(["bench", "models"]) == 2
    error = capsys.readouterr().err
    assert "pip install torch" in error
    assert error.count("\n") == 1


# ---- models ---------------------------------------------------------------------------------------------------------

def test_there_are_fifteen_models_with_goals():
    assert len(models.REGISTRY) == 15
    assert all(model.goal >= 1.2 for model in models.REGISTRY.values())


@pytest.mark.parametrize("name", ["xor", "mlp-sigmoid"])
def test_ours_trains(name):
    task = Engine(OURS).build(models.REGISTRY[name])
    losses = [float(task.step().detach().numpy()) for _ in range(200)]
    assert losses[-1] < losses[0]


def test_a_wrong_gradient_is_not_timed():
    ours, theirs = (Engine(OURS).build(models.REGISTRY["mlp-sigmoid"]) for _ in range(2))
    assert compare_first_step(ours, theirs).gradient == 0
    layer = ours.modules[0][0]
    layer.weight.register_hook(lambda g: g * 1.1)
    ours.modules[0].load_state_dict(theirs.modules[0].state_dict())
    with pytest.raises(WrongResult, match=r"gradient of 0\.0\.weight is off by 0\.1 of its length"):
        compare_first_step(ours, theirs)


def test_other_weights_are_noticed():
    ours, theirs = (Engine(OURS).build(models.REGISTRY["mlp-sigmoid"], seed) for seed in (0, 1))
    with pytest.raises(WrongResult, match="loss"):
        compare_first_step(ours, theirs)


@needs_torch
def test_a_model_with_a_missing_layer_says_so_and_the_rest_goes_on(monkeypatch):
    monkeypatch.delattr(tgc.nn, "Tanh")
    lost, kept = models.run(["xor", "mlp-sigmoid"], [1], Plan(1, 0.01, 0.0))
    assert "has no attribute 'Tanh'" in lost.problem
    assert not lost.wrong
    assert kept.timed
    lines = report.summary_lines([lost, kept])
    assert any("without timings: xor" in line for line in lines)


# ---- measuring ------------------------------------------------------------------------------------------------------

def test_turns_alternate():
    seen = []
    interleave({name: repeat(lambda name=name: seen.append(name)) for name in "ab"}, Plan(2, 1.0, 0.0))
    assert "".join(seen[8:]) == "aabbbbaa"  # after eight calls to warm up; a turn starts with an untimed call


def test_only_the_second_part_is_timed():
    turn = repeat_second(lambda: sum(range(200_000)), lambda value: None)
    assert turn(3) < repeat(lambda: sum(range(200_000)))(3)


def test_ratio_is_that_of_the_medians():
    found = ratio(Timing([1.0, 1.0, 4.0]), Timing([2.0, 2.0, 2.0]))
    assert found.value == 2.0
    assert found.low <= 2.0 <= found.high


def test_the_header_says_whether_amx_is_used_and_how_exact_products_are():
    before = tgc.get_float32_matmul_precision()
    tgc.set_float32_matmul_precision("high")
    try:
        lines = report.header(describe())
    finally:
        tgc.set_float32_matmul_precision(before)
    state, why = compiled_module("gemm").amx() if tgc.backend.COMPILED else ("off", "no compiled kernels")
    assert f"AMX {state} ({why}), float32 matrix products: high" in lines
    assert f"AMX {state} ({why}), float32 matrix products: {before}" in report.header(describe())


def test_a_disturbed_machine_is_named():
    assert Disturbance(0.0, 0.0, 0.0).reasons == []
    assert Disturbance(0.5, math.nan, 0.2).reasons == ["a fixed loop varied by 50 %", "the host took 20 %"]
    watchman = Watchman()
    for _ in range(4):
        watchman.calibrate()
    assert watchman.report().spread >= 0


# ---- report and chart -----------------------------------------------------------------------------------------------

def test_geometric_mean_and_models_below_the_goal():
    rows = [timed_row("a", ours=1.0, theirs=2.0), timed_row("b", ours=1.0, theirs=8.0)]
    summary, = report.summaries(rows)
    assert summary.training == pytest.approx(4.0)
    assert summary.below == ["a 2.00x (goal 4x)"]


def test_json_has_no_nan(tmp_path):
    row = timed_row()
    row.disturbance = Disturbance(0.0, math.nan, math.nan)
    report.write_json(tmp_path / "x.json", report.Report(describe(), [row]))
    content = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert content["models"][0]["disturbance"]["others"] is None


def test_chart_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    chart.draw([timed_row(name, threads) for name in ("lenet", "vgg") for threads in (1, 2)], tmp_path / "c.png")
    image = (tmp_path / "c.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert int.from_bytes(image[16:20], "big") > 1000  # width in pixels


# ---- profile and ops ------------------------------------------------------------------------------------------------

def test_profile_adds_up_and_leaves_the_kernels_as_they_were():
    before = dict(vars(cpu_kernels))
    result = profile(Engine(OURS).build(models.REGISTRY["xor"]), steps=3)
    assert dict(vars(cpu_kernels)) == before
    assert sum(line.seconds for line in result.lines) == pytest.approx(result.watched, rel=0.5)
    assert all(0 <= line.inside <= line.seconds for line in result.lines)
    assert {line.phase for line in result.lines} == {"forward", "backward", "update"}
    assert len(profile_lines(result, most=3)) > 3


@pytest.mark.parametrize("name", ["mul 64x100", "cross_entropy 64x10", "conv LeNet 64x6x14x14 to 16 k5s1"])
def test_op_cases_run_in_our_engine(name):
    case = opcases.CASES[name]
    arrays = case.inputs(np.random.default_rng(0))
    out = case.call(tgc, *(tgc.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays))
    out.sum().backward()
