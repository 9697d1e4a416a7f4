"""Winograd convolutions: error against float64, any shape, NaN and infinity, threads; and how an algorithm is chosen."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.backend.reference import conv as reference_conv

FAMILY = "conv"
# Largest error over the outputs, relative to the largest output, against float64.  Measured over 1000 random shapes at
# three instruction sets: direct 1.2e-6, F(2x2) 7e-7 with 3x3 taps, F(4x4) 2.9e-6 with 3x3 and 1.8e-6 with 2x2; over some
# 80 shapes at one: F(2x2) 3.3e-6 with 5x5.
BOUNDS = {"direct": 2e-6, "winograd 2x2": 1.5e-6, "winograd 4x4": 5e-6}
BOUND_OF_TWO_TAPS = 3e-6
BOUND_OF_FIVE_TAPS = 5e-6
FUNCTIONS = ("conv2d", "conv2d_input", "conv2d_weight")
THREES, PADDED = ((3, 3), (1, 1)), ((3, 3), (1, 1), (1, 1))

# x (N, C, H, W), O, (kernel, stride, padding[, dilation])
CASES = [
    ((1, 1, 3, 3), 1, (*THREES, (0, 0))),
    ((1, 1, 1, 1), 1, PADDED),
    ((2, 3, 1, 9), 5, (*THREES, (1, 0))),
    ((1, 2, 2, 2), 3, (*THREES, (4, 3))),  # windows that lie in the padding altogether; the adjoint has negative padding
    ((3, 16, 8, 8), 16, PADDED),
    ((2, 17, 7, 7), 33, PADDED),
    ((2, 40, 14, 14), 24, (*THREES, (0, 0))),
    ((1, 5, 28, 30), 19, (*THREES, (2, 1))),
    ((1, 8, 57, 56), 8, (*THREES, (1, 2))),  # several bands of rows
    ((1, 3, 9, 600), 4, PADDED),  # a strip of the image is one row of tiles
    ((40, 4, 5, 6), 6, PADDED),  # units of several images
    ((2, 300, 6, 6), 20, PADDED),  # several slices of channels
    # Phases of a stride.
    ((1, 1, 1, 1), 1, ((2, 2), (1, 1), (1, 1))),
    ((2, 3, 6, 9), 5, ((2, 2), (1, 1), (0, 1))),
    ((3, 16, 8, 8), 16, ((4, 4), (2, 2), (1, 1))),
    ((2, 20, 9, 11), 18, ((4, 4), (2, 2), (1, 1))),  # the last pixels are not read
    ((1, 2, 2, 3), 3, ((4, 3), (2, 2), (5, 4))),
    ((2, 17, 7, 6), 33, ((3, 3), (2, 2), (1, 0))),  # phases with one tap
    ((1, 5, 12, 13), 19, ((5, 6), (2, 2), (2, 1))),
    ((1, 4, 10, 9), 6, ((4, 2), (2, 1), (1, 1))),  # a stride in one direction
    ((1, 8, 60, 120), 8, ((4, 4), (2, 2), (1, 2))),
    ((5, 200, 5, 5), 70, ((4, 4), (2, 2), (1, 1))),  # weights that are transformed in slabs, by the tasks
    # Four and five taps.
    ((1, 1, 1, 1), 1, ((5, 5), (1, 1), (2, 2))),
    ((2, 17, 7, 10), 33, ((5, 5), (1, 1), (0, 3))),
    ((1, 5, 30, 29), 19, ((4, 5), (1, 1), (2, 1))),
    ((2, 6, 13, 12), 5, ((7, 9), (2, 2), (3, 4))),
    # Dilation: tiles whose pixels take turns.
    ((1, 1, 3, 5), 1, ((3, 3), (1, 1), (2, 2), (2, 2))),
    ((2, 17, 20, 9), 33, ((3, 3), (1, 1), (4, 1), (4, 2))),
    ((1, 8, 45, 44), 8, ((3, 3), (1, 1), (2, 3), (2, 3))),  # several bands of rows
    ((3, 5, 11, 30), 18, ((2, 2), (1, 1), (0, 7), (1, 5))),
    ((2, 20, 9, 17), 6, ((5, 5), (1, 1), (4, 0), (2, 4))),
]
cases = pytest.mark.parametrize("case", CASES, ids=["-".join(map(str, c)) for c in CASES])


@pytest.fixture(params=list(BOUNDS))
def algorithm(request, compiled):
    compiled.force_algorithm(request.param)
    yield request.param
    compiled.force_algorithm(None)


def draw(case, seed=0):
    """x, w, b, g in float32."""
    (n, c, h, w), o, (kernel, stride, padding, *dilation) = case
    rng = np.random.default_rng([seed, n, c, h, w, o])
    reach = [(k - 1) * d for k, d in zip(kernel, *dilation or [(1, 1)], strict=True)]
    oh, ow = ((size + 2 * p - r - 1) // s + 1 for size, r, s, p in zip((h, w), reach, stride, padding, strict=True))
    shapes = (n, c, h, w), (o, c, *kernel), (o,), (n, o, oh, ow)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def run(k, x, w, b, g, geometry):
    where = geometry[1:]
    return k.conv2d(x, w, b, *where), k.conv2d_input(g, w, x.shape, *where), k.conv2d_weight(x, g, w.shape, *where)


def exactly(arrays, geometry):
    return run(reference_conv, *(a.astype("float64") for a in arrays), geometry)


def error(results, exact):
    """The largest of the three; NaN if any of them is, which max() would pass over."""
    return np.max([np.abs(z - e).max() / np.abs(e).max() for z, e in zip(results, exact, strict=True)])


def errors(k, arrays, geometry):
    return error(run(k, *arrays, geometry), exactly(arrays, geometry))


def bound(algorithm, geometry):
    taps = {-(-k // s) for k, s in zip(*geometry[:2], strict=True)}
    if taps == {2} and algorithm == "winograd 4x4":
        return BOUND_OF_TWO_TAPS
    return BOUND_OF_FIVE_TAPS if taps <= {4, 5} and algorithm == "winograd 2x2" else BOUNDS[algorithm]


@cases
def test_error(compiled, algorithm, case):
    assert errors(compiled, draw(case), case[2]) < bound(algorithm, case[2])


@pytest.mark.parametrize("taps", [2, 3, 5])
def test_error_over_random_shapes(compiled, taps):
    rng = np.random.default_rng(taps)
    for seed in range(20 if taps < 5 else 8):
        n, c, o, h, w, ph, pw, sh, sw = (int(rng.integers(low, high)) for low, high in
                                         ((1, 5), (1, 80), (1, 80), (1, 34), (1, 34), (2, 5), (2, 5), (1, 3), (1, 3)))
        kernel = int(rng.integers((taps - 1) * sh + 1, taps * sh + 1)), int(rng.integers((taps - 1) * sw + 1, taps * sw + 1))
        dilation = tuple(map(int, rng.integers(1, 4, 2))) if sh == sw == 1 else (1, 1)
        geometry = kernel, (sh, sw), (ph, pw), dilation
        arrays = draw(((n, c, h + kernel[0] * dilation[0], w + kernel[1] * dilation[1]), o, geometry), seed)
        exact = exactly(arrays, geometry)
        for algorithm in BOUNDS:
            compiled.force_algorithm(algorithm)
            result = run(compiled, *arrays, geometry)
            compiled.force_algorithm(None)
            assert error(result, exact) < bound(algorithm, geometry), (algorithm, n, c, o, h, w, geometry)


def test_error_with_relu_inputs_and_small_weights(compiled, algorithm):
    """What a network looks like: not negative, one-sided sums; and scales far from one."""
    for geometry in (PADDED, ((4, 4), (2, 2), (1, 1))):
        x, w, b, g = draw(((4, 64, 16, 16), 64, geometry))
        arrays = np.maximum(x, 0) * np.float32(1e-12), w * np.float32(1e-3), b * np.float32(1e-15), g * np.float32(1e10)
        assert errors(compiled, arrays, geometry) < bound(algorithm, geometry)


@cases
def test_threads_do_not_change_a_bit(compiled, algorithm, case, same_for_all_thread_counts):
    arrays = draw(case)
    same_for_all_thread_counts(lambda: run(compiled, *arrays, case[2]))
    before = tgc.backend.get_num_threads()
    expected = [a.tobytes() for a in run(compiled, *arrays, case[2])]
    tgc.backend.set_num_threads(8)
    try:
        assert [a.tobytes() for a in run(compiled, *arrays, case[2])] == expected
    finally:
        tgc.backend.set_num_threads(before)


def test_many_tiles_and_threads(compiled, algorithm, same_for_all_thread_counts):
    """Enough work that the threads are really used: private and shared transforms, one and several chunks."""
    for case in (((16, 32, 16, 16), 32, PADDED), ((8, 96, 7, 7), 160, PADDED), ((2, 16, 64, 64), 16, PADDED),
                 ((8, 48, 16, 16), 64, ((4, 4), (2, 2), (1, 1)))):
        arrays = draw(case)
        same_for_all_thread_counts(lambda arrays=arrays, case=case: run(compiled, *arrays, case[2]))


@cases
def test_neighbours_in_memory_do_not_matter(compiled, algorithm, case):
    """Arrays at an odd address between NaNs: what lies around them is not read into a result."""
    def among_nans(a):
        raw = np.full(a.size + 67, np.nan, "float32")
        view = raw[33 : 33 + a.size].reshape(a.shape)
        view[...] = a
        return view

    arrays = draw(case)
    expected = run(compiled, *arrays, case[2])
    for z, e in zip(run(compiled, *map(among_nans, arrays), case[2]), expected, strict=True):
        np.testing.assert_array_equal(z, e)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("which", ["x", "w", "g"])
@pytest.mark.parametrize("geometry", [PADDED, ((4, 4), (2, 2), (1, 1)), ((3, 5), (2, 2), (0, 1)), ((3, 3), (2, 2), (0, 0)),
                                      ((5, 5), (1, 1), (2, 2)), ((3, 3), (1, 1), (1, 2), (2, 3))],
                         ids=str)
def test_not_finite_as_in_the_direct_algorithm(compiled, algorithm, which, value, geometry):
    """A tile mixes pixels; still only outputs that depend on an infinity, a NaN or an overflow are not finite."""
    arrays = draw(((2, 20, 11, 10), 18, geometry))
    for position in ((1, 3, 0, 0), (0, 17, 1, 2), (1, 0, 2, 1)):
        changed = [a.copy() for a in arrays]
        changed["xwbg".index(which)][position] = value
        compiled.force_algorithm("direct")
        expected = run(compiled, *changed, geometry)
        compiled.force_algorithm(algorithm)
        for z, e in zip(run(compiled, *changed, geometry), expected, strict=True):
            np.testing.assert_array_equal(np.isnan(z), np.isnan(e))
            np.testing.assert_array_equal(np.isinf(z), np.isinf(e))
            finite = np.isfinite(e)
            np.testing.assert_array_equal(np.sign(z[~finite]), np.sign(e[~finite]))
            assert np.abs(z[finite] - e[finite]).max(initial=0) <= 1e-5 * np.abs(e[finite]).max(initial=0)


def test_zero_weights_and_infinite_pixels(compiled, algorithm):
    """0 * inf is NaN here as in PyTorch: a zero weight does not hide an infinite pixel."""
    x, w, b, _ = draw(((1, 16, 8, 8), 16, PADDED))
    x[0, 2, 4, 4] = np.inf
    y = compiled.conv2d(x, np.zeros_like(w), b, (1, 1), (1, 1))
    bad = np.argwhere(np.isnan(y[0, 0]))
    assert bad.min(axis=0).tolist() == [3, 3]
    assert bad.max(axis=0).tolist() == [5, 5]
    assert len(bad) == 9


@pytest.mark.parametrize("level", ["base", "v3"])
def test_lower_instruction_sets(compiled, level):
    code = ("import numpy as np, sys; sys.path[:0] = [sys.argv[1]]\n"
            "import test_winograd as t\nfrom tinygrad_course.kernels import conv\n"
            "for name in ('winograd 2x2', 'winograd 4x4'):\n"
            "    conv.force_algorithm(name)\n"
            "    for case in t.CASES: assert t.errors(conv, t.draw(case), case[2]) < t.bound(name, case[2]), (name, case)\n")
    environment = {**os.environ, "TINYGRAD_COURSE_ISA": level, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, os.path.dirname(__file__)], env=environment, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- the choice

def test_choice_is_the_cheapest_that_can(compiled):
    for x, w, options in (((32, 64, 32, 32), (64, 64, 3, 3), {"padding": (1, 1)}),
                          ((4, 3, 32, 32), (16, 3, 3, 3), {}),
                          ((4, 8, 32, 32), (16, 8, 5, 5), {"stride": (2, 2)})):
        for chosen, costs in compiled.costs(x, w, **options).values():
            can = {name: cost["cycles"] for name, cost in costs.items() if not cost["why_not"]}
            assert set(costs) == set(compiled.algorithms())
            assert chosen == min(can, key=can.__getitem__)


def test_winograd_where_it_pays(compiled):
    for x, o in (((32, 16, 32, 32), 16), ((32, 64, 8, 8), 64), ((2, 64, 64, 64), 64), ((32, 256, 8, 8), 256)):
        for chosen, _ in compiled.costs(x, (o, x[1], 3, 3), padding=(1, 1)).values():
            assert chosen.startswith("winograd")
    for x, o, k, d in (((10, 48, 15, 15), 128, 5, 1), ((8, 32, 45, 45), 32, 3, 2), ((8, 64, 32, 32), 64, 3, 4)):
        for chosen, _ in compiled.costs(x, (o, x[1], k, k), padding=(d, d), dilation=(d, d)).values():
            assert chosen == f"winograd {'2x2' if k == 5 else '4x4'}"
    for x, o, k in (((32, 128, 8, 8), 256, 4), ((32, 64, 16, 16), 128, 4), ((16, 32, 28, 28), 64, 5)):
        for chosen, _ in compiled.costs(x, (o, x[1], k, k), stride=(2, 2), padding=(1, 1)).values():
            assert chosen == "winograd 4x4"


@pytest.mark.parametrize(("shapes", "options", "why"), [
    (((4, 64, 32, 32), (64, 64, 6, 6)), {}, "not 2x2 or 3x3 taps per phase of the stride"),
    (((4, 64, 32, 32), (64, 64, 3, 3)), {"stride": (2, 1)}, "not 2x2 or 3x3 taps per phase of the stride"),
    (((4, 64, 32, 32), (64, 64, 6, 6)), {"stride": (3, 3)}, "stride over 2"),
    (((4, 64, 32, 32), (64, 64, 5, 5)), {"dilation": (1, 2), "stride": (2, 2)}, "stride and dilation"),
    (((4, 64, 32, 32), (64, 32, 3, 3)), {"groups": 2}, "groups not 1"),
    (((4, 64, 32, 32), (64, 64, 3, 3)), {"double": True}, "not float32"),
    (((0, 64, 32, 32), (64, 64, 3, 3)), {}, "nothing to compute"),
])
def test_winograd_where_it_cannot(compiled, shapes, options, why):
    for chosen, costs in compiled.costs(*shapes, **options).values():
        assert not chosen.startswith("winograd")
        assert costs["winograd 4x4"]["why_not"] == why


def test_float64_takes_the_sums_as_they_are_written(compiled):
    x, w, b, _ = (a.astype("float64") for a in draw(((4, 64, 16, 16), 64, PADDED)))
    expected = reference_conv.conv2d(x, w, b, (1, 1), (1, 1))
    np.testing.assert_allclose(compiled.conv2d(x, w, b, (1, 1), (1, 1)), expected, rtol=0, atol=1e-12)


def test_choice_does_not_depend_on_threads(compiled):
    before = tgc.backend.get_num_threads()
    texts = set()
    for n in (1, 2, 8):
        tgc.backend.set_num_threads(n)
        texts.add(str(tgc.backend.explain_conv((32, 32, 16, 16), (32, 32, 3, 3), padding=1)))
    tgc.backend.set_num_threads(before)
    assert len(texts) == 1


def test_explain_conv(compiled):
    text = tgc.backend.explain_conv((32, 64, 32, 32), (64, 64, 3, 3), padding=1)
    assert repr(text) == str(text)
    for title in ("forward: winograd", "input gradient: winograd", "weight gradient: winograd"):
        assert title in text
    assert "M multiplications" in text
    assert "MB" in text
    assert "times less than the next" in text
    strided = tgc.backend.explain_conv((8, 16, 32, 32), (16, 16, 3, 3), stride=(2, 2), padding=(1, 1), dtype=np.float64)
    assert "cannot: not 3x3 to 5x5 taps per phase of the stride" in strided
    with pytest.raises(ValueError, match="do not fit with groups=2"):
        tgc.backend.explain_conv((8, 16, 32, 32), (16, 16, 3, 3), groups=2)


def test_explain_conv_without_a_compiled_kernel():
    assert "NumPy" in tgc.backend.explain_conv((8, 16, 32, 32), (16, 16, 3, 3), dtype="float16")
