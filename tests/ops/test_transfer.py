"""ops/transfer.py: moving between devices.  Without a GPU only the way from the CPU to the CPU can be walked."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.ops.battery import Battery, Case, S
from tinygrad_course.autograd import apply
from tinygrad_course.backend import cuda
from tinygrad_course.errors import DeviceError
from tinygrad_course.ops.transfer import ToDevice

CASES = (
    Case(
        "to_device",
        lambda x: apply(ToDevice, (x,), ("cpu", "cpu")),
        lambda x: x,
        (S((2, 3)), S(()), S((0,))),
        integers=("int64", "bool"),
        half=True,
    ),
)


class TestBattery(Battery):
    """See battery.py."""


def test_staying_is_free() -> None:
    x = tgc.ones(2)
    assert x.cpu() is x
    assert x.to("cpu") is x
    assert x.to(device=tgc.device("cpu")) is x


@pytest.mark.skipif(cuda.cupy_state() == "available", reason="there is a GPU")
def test_no_gpu() -> None:
    for call in (
        lambda: tgc.ones(2).cuda(),
        lambda: tgc.ones(2, device="cuda"),
        lambda: tgc.ones(2).to("cuda:0"),
        lambda: tgc.tensor([1.0], device="cuda"),
    ):
        with pytest.raises(DeviceError, match=r"cuda.*CuPy.*(pip install|device='cpu')"):
            call()


@pytest.mark.gpu
@pytest.mark.skipif(cuda.cupy_state() != "available", reason="no GPU")
def test_there_and_back() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    y = (x.cuda() * 3).cpu()
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), [3, 3])
