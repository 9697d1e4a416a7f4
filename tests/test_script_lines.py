"""Lines around the training loop that PyTorch scripts have: devices, switches, mixed precision, old constructors."""

import math

import numpy as np
import pytest

import tinygrad_course as tgc
import tinygrad_course.backends.cudnn as cudnn
from tinygrad_course import nn
from tinygrad_course.backend.cuda import cupy_state
from tinygrad_course.cuda.amp import GradScaler, autocast


def test_choice_of_device():
    assert tgc.cuda.is_available() == (cupy_state() == "available")
    assert tgc.cuda.device_count() == int(tgc.cuda.is_available())
    device = tgc.device("cuda" if tgc.cuda.is_available() else "mps" if tgc.backends.mps.is_available() else "cpu")
    assert tgc.ones(1).to(device).device.type == device.type
    tgc.cuda.empty_cache()


@pytest.mark.parametrize("seed", [tgc.cuda.manual_seed, tgc.cuda.manual_seed_all])
def test_seeds_of_the_gpu_are_the_seed(seed):
    seed(5)
    first = tgc.rand(3)
    tgc.manual_seed(5)
    assert tgc.equal(first, tgc.rand(3))


def test_switches_are_harmless():
    cudnn.benchmark = True
    tgc.backends.cuda.matmul.allow_tf32 = True
    tgc.use_deterministic_algorithms(True, warn_only=True)
    tgc.set_float32_matmul_precision("high")
    assert not cudnn.is_available()
    assert cudnn.version() is None
    tgc.set_float32_matmul_precision("highest")


def test_inference_mode_records_nothing():
    x = tgc.ones(2, requires_grad=True)
    with tgc.inference_mode():
        assert not (x * 2).requires_grad
        with tgc.inference_mode(False):
            assert (x * 2).requires_grad
    with tgc.inference_mode(mode=False):
        assert (x * 2).requires_grad
    assert not tgc.inference_mode()(lambda: x * 2)().requires_grad
    assert not tgc.inference_mode(lambda: x * 2)().requires_grad
    assert tgc.is_grad_enabled()


def test_loop_of_mixed_precision_is_the_plain_loop():
    def train(mixed):
        tgc.manual_seed(0)
        model = nn.Linear(3, 1)
        optimizer = tgc.optim.SGD(model.parameters(), lr=0.1)
        scaler = GradScaler()
        for _ in range(3):
            optimizer.zero_grad()
            if mixed:
                with autocast(enabled=True), tgc.autocast("cpu", dtype=tgc.float16):
                    loss = model(tgc.ones(2, 3)).square().mean()
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                assert scaler.step(optimizer) is None
                scaler.update()
            else:
                model(tgc.ones(2, 3)).square().mean().backward()
                optimizer.step()
        return model.weight
    assert tgc.equal(train(True), train(False))
    scaler = tgc.amp.GradScaler("cuda", enabled=False)
    scaler.load_state_dict({"scale": 2.0})
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1
    assert not scaler.is_enabled()
    assert tgc.amp.autocast("cpu")(lambda x: x + 1)(1) == 2


def test_compile_gives_the_model_back():
    model = nn.ReLU()
    assert tgc.compile(model, mode="max-autotune") is model

    @tgc.compile(fullgraph=True)
    def double(x):
        return 2 * x
    assert double(3) == 6


def test_old_names():
    assert tgc.LongTensor([1, 2]).dtype == tgc.int64
    assert tgc.FloatTensor(np.ones(2)).dtype == tgc.float32
    assert tgc.DoubleTensor(2, 3).shape == (2, 3)
    assert tgc.BoolTensor().shape == (0,)
    assert tgc.ones(2).type(tgc.ByteTensor).dtype == tgc.uint8
    with pytest.raises(TypeError, match="IntTensor: give one list"):
        tgc.IntTensor([1], [2])
    x = tgc.ones(2, requires_grad=True)
    variable = tgc.autograd.Variable(x * 2, requires_grad=True)
    assert variable.is_leaf
    assert variable.requires_grad
    assert not tgc.autograd.Variable(x).requires_grad


def test_constants_and_classes():
    assert (tgc.pi, tgc.e, tgc.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(tgc.nan)
    assert tgc.ones(2)[:, tgc.newaxis].shape == tgc.Size([2, 1])
    assert isinstance(tgc.ones(1).shape, tgc.Size)
    assert isinstance(tgc.float32, tgc.dtype)
    assert tgc.autograd.gradcheck is tgc.testing.gradcheck
    assert tgc.autograd.gradgradcheck is tgc.testing.gradgradcheck
    assert tgc.func.functional_call is nn.utils.stateless.functional_call
    assert tgc.utils.data.DataLoader is tgc.data.DataLoader


@pytest.mark.parametrize(("name", "message"), [("jit", "drop the line"), ("bfloat16", "float32"), ("channels_last", "C or"),
                                               ("distributions", "log_softmax")])
def test_what_is_absent_says_the_way_around(name, message):
    assert not hasattr(tgc, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*{message}"):
        getattr(tgc, name)
