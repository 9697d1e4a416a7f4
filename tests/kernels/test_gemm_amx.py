"""Products through AMX, by emulated tiles: float64 sums, the instruction as Intel's manual has it, NaN, denormals, threads.

The code that packs, multiplies and chooses is the one that runs on a processor with AMX; only the tile instructions are
done in C.  Each test runs with the packing of AVX-512, if that is here, and with the one for every processor; and where
there is AMX, with its instructions."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.kernels.conftest import compiled_module
from tinygrad_course import nn
from tinygrad_course.backend.explain import _product_sizes

# Of the sum of absolute products: 2^-24 or 2^-15 are left out, the rest is rounding of sums.
TOLERANCE = {"highest": 3e-7, "high": 2.0**-15 + 3e-7}
# n, k, m: around tiles (16), pairs of them (32), tiles of k (32) and slices of k (1024)
SIZES = [(1, 1, 1), (0, 3, 4), (3, 0, 4), (3, 4, 0), (16, 32, 16), (17, 33, 15), (31, 31, 33), (32, 64, 32), (33, 65, 70),
         (1, 100, 40), (48, 7, 1), (20, 1025, 18), (3, 2100, 18)]


@pytest.fixture(params=["base", "v4", "hardware"])
def tiles(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Whose code packs, and what multiplies."""
    gemm = compiled_module("gemm")
    if request.param == "hardware" and gemm.amx()[0] != "hardware":
        pytest.skip(f"AMX is {gemm.amx()[0]}: {gemm.amx()[1]}")
    if request.param == "v4" and gemm.isa() != "v4":
        pytest.skip("no AVX-512 here")
    return ("v4", "hardware") if request.param == "hardware" else (request.param, "emulated")


@pytest.fixture
def gemm(tiles: tuple[str, str]) -> Iterator[ModuleType]:
    """The compiled module; all its float32 products go through tiles."""
    module = compiled_module("gemm")
    module.force_amx(*tiles)
    assert module.amx()[0] == tiles[1]
    yield module
    module.force_amx(None)
    tgc.set_float32_matmul_precision("highest")


@pytest.fixture
def by_register_tile(gemm: ModuleType, tiles: tuple[str, str]) -> Callable[..., np.ndarray]:
    """The product without AMX."""

    def matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        gemm.force_amx(None)
        try:
            return gemm.matmul(x, y)
        finally:
            gemm.force_amx(*tiles)

    return matmul


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype("float32")


def assert_product(z: np.ndarray, x: np.ndarray, y: np.ndarray, bias: np.ndarray | float = 0.0,
                   precision: str = "highest") -> None:
    exact = np.matmul(x.astype("float64"), y.astype("float64")) + bias
    size = np.matmul(np.abs(x).astype("float64"), np.abs(y).astype("float64")) + np.abs(bias)
    assert z.shape == exact.shape
    assert np.all(np.abs(z - exact) <= TOLERANCE[precision] * size)


def transposed(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.T).T


def every_other(x: np.ndarray) -> np.ndarray:
    wide = np.full((2 * x.shape[0], 3 * x.shape[1]), np.nan, x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def backwards(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


LAYOUTS = (np.ascontiguousarray, transposed, every_other, backwards)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes_and_layouts(gemm: ModuleType, size: tuple[int, int, int], precision: str) -> None:
    tgc.set_float32_matmul_precision(precision)
    n, k, m = size
    x, y, bias = draw(n, k), draw(k, m, seed=1), draw(m)
    for i, lx in enumerate(LAYOUTS):
        for ly in LAYOUTS if k < 1000 else LAYOUTS[i : i + 1]:
            assert_product(gemm.matmul(lx(x), ly(y)), x, y, precision=precision)
    assert_product(gemm.linear(x, y.T, bias), x, y, bias, precision)


def test_two_terms_lose_more_than_three(gemm: ModuleType) -> None:
    x, y = draw(64, 64), draw(64, 64, seed=1)
    exact = x.astype("float64") @ y
    errors = {}
    for precision in ("highest", "high", "medium"):
        tgc.set_float32_matmul_precision(precision)
        errors[precision] = np.sqrt(np.mean((gemm.matmul(x, y) - exact) ** 2))
    assert errors["high"] == errors["medium"]
    assert 5 * errors["highest"] < errors["high"] < 1000 * errors["highest"]


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("size", [(96, 64, 80), (20, 1500, 16)], ids=str)
def test_error_at_most_twice_that_of_torch(gemm: ModuleType, torch: ModuleType, by_register_tile: Callable[..., np.ndarray],
                                           size: tuple[int, int, int], positive: bool) -> None:
    n, k, m = size
    ours, theirs, tile = 0.0, 0.0, 0.0
    for seed in range(2):
        x, y = draw(n, k, seed=2 * seed), draw(k, m, seed=2 * seed + 1)
        if positive:
            x, y = np.abs(x), np.abs(y)
        exact = x.astype("float64") @ y
        ours += np.sqrt(np.mean((gemm.matmul(x, y) - exact) ** 2))
        theirs += np.sqrt(np.mean((torch.from_numpy(x).mm(torch.from_numpy(y)).numpy() - exact) ** 2))
        tile += np.sqrt(np.mean((by_register_tile(x, y) - exact) ** 2))
    assert ours <= 2 * min(theirs, tile)


def test_a_tile_is_what_the_manual_says(gemm: ModuleType) -> None:
    """TDPBF16PS of Intel's Software Developer's Manual, bit by bit: sums over even and over odd places of a row, each step a
    fused multiply-add, both added, and the result added to C.  Numbers of bf16 leave one product; places of a pair are k and
    k + 16."""
    x, y = draw(16, 64), draw(64, 16, seed=1)
    x.view("uint32")[...] &= 0xFFFF0000
    y.view("uint32")[...] &= 0xFFFF0000
    expected = np.zeros((16, 16), "float32")
    for first in (0, 32):
        sums = np.zeros((2, 16, 16), "float32")
        for place in range(16):
            for odd in (0, 1):
                k = first + 16 * odd + place
                sums[odd] = (sums[odd] + np.outer(x[:, k].astype("float64"), y[k].astype("float64"))).astype("float32")
        expected += sums[0] + sums[1]
    assert gemm.matmul(x, y).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shapes", [
    ((2, 3, 4), (4, 5)), ((4, 3), (2, 3, 5)), ((3, 1, 2, 3), (5, 3, 4)), ((0, 3, 4), (4, 5)), ((2, 0, 4), (2, 4, 3)),
    ((2, 40, 30), (1, 30, 50)), ((1400, 2, 3), (1400, 3, 2)),
], ids=str)
def test_batches(gemm: ModuleType, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = draw(*shapes[0]), draw(*shapes[1], seed=1)
    assert_product(gemm.matmul(x, y), x, y)
    x = draw(*shapes[0][:-2], *shapes[0][:-3:-1])
    assert_product(gemm.matmul(x.swapaxes(-1, -2), y), x.swapaxes(-1, -2), y)


def test_more_rows_and_columns_than_a_chunk(gemm: ModuleType) -> None:
    for n, k, m in [(4130, 20, 18), (18, 20, 4130)]:
        x, y, bias = draw(n, k), draw(k, m, seed=1), draw(m)
        assert_product(gemm.linear(x, y.T, bias), x, y, bias)


@pytest.fixture
def products() -> Iterator[None]:
    """Convolutions as matrix products, wherever that is possible."""
    conv = compiled_module("conv")
    conv.force_algorithm("product")
    yield
    conv.force_algorithm(None)


def test_one_pixel_convolutions(gemm: ModuleType, torch: ModuleType, products: None) -> None:
    """Columns of C in runs that tiles cross, chunks that end with an image, the weight gradient as a sum over images."""
    for images, channels, outputs, size in [(3, 20, 33, 7), (90, 4, 17, 7), (2, 33, 18, 8)]:
        x, w, b = draw(images, channels, size, size), draw(outputs, channels, 1, 1), draw(outputs)
        ours = [tgc.from_numpy(value).requires_grad_() for value in (x, w, b)]
        theirs = [torch.from_numpy(value).double().requires_grad_() for value in (x, w, b)]
        y, expected = nn.functional.conv2d(*ours), torch.nn.functional.conv2d(*theirs)
        g = draw(*y.shape)
        y.backward(tgc.from_numpy(g))
        expected.backward(torch.from_numpy(g).double())
        assert np.allclose(y.detach().numpy(), expected.detach().numpy(), 0, 1e-5)
        for our, their in zip(ours, theirs, strict=True):
            assert np.allclose(our.grad.numpy(), their.grad.numpy(), 0, 2e-5 * images**0.5)


def test_recurrent_layer(gemm: ModuleType, torch: ModuleType) -> None:
    """The products for all steps, forward and backward; the latter are added to gradients."""
    ours, theirs = nn.LSTM(20, 33, bidirectional=True), torch.nn.LSTM(20, 33, bidirectional=True)
    ours.load_state_dict({key: tgc.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()})
    x, g = draw(6, 5, 20), draw(6, 5, 66)
    for layer, package in ((ours, tgc), (theirs, torch)):
        layer(package.from_numpy(x))[0].backward(package.from_numpy(g))
    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert np.allclose(our.grad.numpy(), their.grad.numpy(), 1e-4, 1e-5)


def assert_same_places(z: np.ndarray, expected: np.ndarray) -> None:
    """NaN, infinity and minus infinity where they are expected, and elsewhere the same numbers."""
    for place in (np.isnan, np.isposinf, np.isneginf):
        assert np.array_equal(place(z), place(expected))
    finite = np.isfinite(expected)
    assert np.allclose(z[finite], expected[finite], 1e-5, 1e-5)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan], ids=str)
def test_nan_and_infinity_as_in_float32(gemm: ModuleType, by_register_tile: Callable[..., np.ndarray], value: float,
                                        precision: str) -> None:
    """Against whole numbers, whose low terms are zero (infinity times zero would be NaN), and against zeros, where it is."""
    tgc.set_float32_matmul_precision(precision)
    for n, k, m in [(20, 40, 50), (3, 1100, 33)]:
        x, y = np.round(draw(n, k)), np.round(draw(k, m, seed=1))
        x[0, 0] = y[k - 1, 1] = value
        assert_same_places(gemm.matmul(x, y), by_register_tile(x, y))
        assert not np.isfinite(gemm.matmul(x, y)[0]).any()
    batch = draw(3, 20, 40)
    batch[1, 2, 3] = value
    z, y = gemm.matmul(batch, draw(40, 9, seed=1).reshape(1, 40, 9) + np.zeros((3, 1, 1), "f")), draw(40, 9, seed=1)
    assert_product(z[::2], batch[::2], y, precision=precision)
    assert not np.isfinite(z[1, 2]).any()
    assert np.isfinite(z[1, 3:]).all()


def test_numbers_near_the_largest(gemm: ModuleType, by_register_tile: Callable[..., np.ndarray]) -> None:
    """Sums that overflow, and numbers that rounding to bf16 would make infinite."""
    largest = np.finfo("float32").max
    for x, y in [(np.full((3, 40), largest), np.full((40, 5), 0.01)), (np.full((3, 40), largest), np.full((40, 5), 1.0)),
                 (1e30 * draw(3, 40), 1e30 * draw(40, 5)), (np.full((3, 40), 1e19), np.full((40, 5), 1e19))]:
        a, b = x.astype("float32"), y.astype("float32")
        with np.errstate(over="ignore"):
            assert_same_places(gemm.matmul(a, b), by_register_tile(a, b))


@pytest.mark.parametrize(("a", "b"), [(0, 0), (-60, 0), (60, -60), (-20, 80), (-100, 100), (-120, 100), (-126, 0),
                                        (-145, 120), (-80, -60), (-70, -70), (120, -120), (62, 60), (-63, -60)])
def test_every_magnitude(gemm: ModuleType, a: int, b: int) -> None:
    """Operands scaled by powers of two are as exact as before, however small: denormals, too, and denormal results."""
    x, y = np.ldexp(draw(20, 70), a), np.ldexp(draw(70, 18, seed=1), b)
    exact = x.astype("float64") @ y
    size = np.abs(x).astype("float64") @ np.abs(y).astype("float64")
    denormal = 2.0**-149 * (70 + np.abs(y).sum(0)) if a + b < -100 or a < -120 else 0.0
    assert np.all(np.abs(gemm.matmul(x, y) - exact) <= TOLERANCE["highest"] * size + denormal)


def test_rows_and_columns_of_different_magnitude(gemm: ModuleType) -> None:
    """A number is wrong by at most a rounding of the largest of its row times the largest of its column."""
    rng = np.random.default_rng(0)
    for spread in (30, 90, 140):
        x = np.ldexp(draw(40, 50), -rng.integers(0, spread, (40, 1)))
        y = np.ldexp(draw(50, 40, seed=1), -rng.integers(0, spread, (50, 40)))
        x[3], y[:, 4], x[5, ::2] = 0, 0, 1e-42
        exact = x.astype("float64") @ y
        size = np.abs(x).astype("float64") @ np.abs(y).astype("float64")
        largest = np.abs(x).max(1, keepdims=True).astype("float64") * np.abs(y).max(0)
        assert np.all(np.abs(gemm.matmul(x, y) - exact) <= TOLERANCE["highest"] * size + 2.0**-22 * largest + 50 * 2.0**-149)


def test_denormals_beside_large_numbers_are_zero(gemm: ModuleType) -> None:
    """The price, as documented: 1e-20 would be right in the second place."""
    x, y = np.array([[1, 1e-40]], "f"), np.array([[1, 0], [1e20, 1e20]], "f")
    assert gemm.matmul(x, y).tolist() == [[1.0, 0.0]]


def test_threads_do_not_change_a_bit(gemm: ModuleType, threads: Callable[[int], None]) -> None:
    x, y, batch = draw(130, 200), draw(200, 100, seed=1), draw(4, 40, 200)
    batch[2, 0, 0] = np.inf
    bits = set()
    for count in (1, 2, 3, 8):
        threads(count)
        bits.add((gemm.matmul(x, y).tobytes(), gemm.matmul(batch, draw(4, 200, 40)).tobytes(),
                  gemm.linear(x, transposed(draw(33, 200)), draw(33)).tobytes()))
    assert len(bits) == 1


def test_only_large_products_pay() -> None:
    gemm = compiled_module("gemm")
    pays = {n: gemm.amx_pays(n, n, n) for n in (16, 64, 128, 256, 512, 1024, 4096)}
    assert [n for n, it in pays.items() if it] == [256, 512, 1024, 4096]
    assert not gemm.amx_pays(1, 4096, 4096)
    assert not gemm.amx_pays(10, 784, 784)
    assert not gemm.amx_pays(4096, 4096, 3)
    tgc.set_float32_matmul_precision("high")
    try:
        assert gemm.amx_pays(160, 160, 160)
        assert not gemm.amx_pays(64, 64, 64)
    finally:
        tgc.set_float32_matmul_precision("highest")


def test_explain_matmul(gemm: ModuleType) -> None:
    shapes = (8, 16, 32), (32, 40)
    assert "three terms of bf16, six products" in tgc.backend.explain_matmul(*shapes)
    tgc.set_float32_matmul_precision("high")
    assert "two terms of bf16, three products" in tgc.backend.explain_matmul(*shapes)
    assert "AMX has no float64" in tgc.backend.explain_matmul(*shapes, dtype="float64")
    assert "NumPy" in tgc.backend.explain_matmul(*shapes, dtype="float16")
    gemm.force_amx(None)
    assert "register tile" in tgc.backend.explain_matmul(*shapes)
    with pytest.raises(ValueError, match=r"\(\.\.\., n, k\) and \(\.\.\., k, m\)"):
        tgc.backend.explain_matmul((2, 3), (4, 5))


@pytest.mark.parametrize("kernel", [1, 6])
def test_explain_conv_names_the_kernel_of_its_product(gemm: ModuleType, kernel: int) -> None:
    """Sizes of the product as the convolution hands them over: forward, input gradient, weight gradient."""
    conv = (4, 24, 6, 6), (40, 24, kernel, kernel)
    sizes = ([(40, 4 * 36, 24, 1), (24, 4 * 36, 40, 1), (40, 24, 36, 4)] if kernel == 1
             else [(4, 40, 24 * 36, 1), (4, 24 * 36, 40, 1), (40, 24 * 36, 4, 1)])
    assert str(tgc.backend.explain_conv(*conv)).count("product goes through the tiles of AMX") == 3
    assert "AMX has no float64" in tgc.backend.explain_conv(*conv, dtype="float64")
    gemm.force_amx(None)
    assert str(tgc.backend.explain_conv(*conv)).count("product goes through the register tile (") == 3
    x, w = conv
    assert [_product_sizes(name, x, w) for name in ("conv2d", "conv2d_input", "conv2d_weight")] == sizes


@pytest.mark.parametrize(("wish", "state"), [("amx-emulated", "emulated"), ("base", "off"), ("amx", None)])
def test_the_environment_variable(wish: str, state: str | None) -> None:
    compiled_module("gemm")
    code = ("import numpy as np\nfrom tinygrad_course.kernels import gemm\n"
            "x = np.arange(35, dtype='f').reshape(5, 7)\nassert (gemm.matmul(x, x.T) == x @ x.T).all()\nprint(*gemm.amx())")
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TINYGRAD_COURSE_ISA": wish},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in ([state] if state else ["hardware", "off"])


def test_unknown_levels_and_terms() -> None:
    gemm = compiled_module("gemm")
    with pytest.raises(ValueError, match="'v9' is none of base"):
        gemm.force_amx("v9")
    with pytest.raises(ValueError, match="neither 'emulated' nor 'hardware'"):
        gemm.force_amx("base", "software")
    if gemm.amx()[0] == "off":
        with pytest.raises(ValueError, match="no tiles in hardware: "):
            gemm.force_amx("base", "hardware")
    with pytest.raises(ValueError, match="there are 2 and 3"):
        gemm.set_terms(4)
