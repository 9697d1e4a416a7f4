"""Check the compiled op: values against NumPy, first and second derivatives against finite differences, threads."""

import numpy as np
from tgc_squareplus import squareplus

import tinygrad_course as tgc
from tinygrad_course.autograd import registry
from tinygrad_course.testing import gradcheck, gradgradcheck


def test_values() -> None:
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(size=(7, 11)).astype(dtype)[:, ::2]  # strided on purpose
        y = squareplus(tgc.from_numpy(x)).numpy()
        np.testing.assert_allclose(y, (x + np.sqrt(x * x + 4)) / 2, rtol=1e-6)
        assert y.dtype == dtype


def test_gradients() -> None:
    x = tgc.tensor(np.random.default_rng(1).normal(size=(3, 4)), requires_grad=True)
    assert gradcheck(squareplus, (x,))
    assert gradgradcheck(squareplus, (x,))


def test_threads_do_not_change_a_bit() -> None:
    x = tgc.tensor(np.random.default_rng(2).normal(size=200_003))
    before = tgc.get_num_threads()
    results = []
    for threads in (1, 2):
        tgc.set_num_threads(threads)
        results.append(squareplus(x).numpy())
    tgc.set_num_threads(before)
    assert np.array_equal(*results)


if __name__ == "__main__":
    assert "squareplus" in registry
    test_values()
    print("values agree with NumPy in float32 and float64")
    test_gradients()
    print("gradcheck and gradgradcheck pass")
    test_threads_do_not_change_a_bit()
    print("1 and 2 threads give the same bits")
