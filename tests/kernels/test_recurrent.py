"""Recurrent kernels: against step-by-step formulas in float64 and PyTorch, for all sizes, layouts and thread counts."""

import inspect
import warnings

import numpy as np
import pytest

from tinygrad_course.backend.reference import recurrent as formulas

FAMILY = "recurrent"
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
kinds = pytest.mark.parametrize("kind", GATES)
# units, inputs, sequences per step: narrower than a vector, no multiple of one, weights beyond the cache, early ends
SIZES = [
    (1, 1, [1]), (5, 2, [6, 6, 3, 1]), (16, 3, [2]), (33, 7, [5] * 4), (40, 1, [2] * 3), (128, 65, [32] * 4),
    (200, 9, [4, 3, 3]), (300, 20, [17, 17, 2]), (7, 3, [0, 0]), (47, 4, [15, 14, 1, 1]),
]  # fmt: skip
sizes = pytest.mark.parametrize("case", SIZES, ids=str)


@pytest.fixture
def compiled(reference):
    """The module is called after its file."""
    from tests.kernels.conftest import compiled_module

    return compiled_module("rnn")


def draw(kind, units, inputs, steps, dtype, seed=0):
    """x, h0, c0, w_ih, w_hh, b_ih, b_hh and the gradients of y, h, c."""
    rng = np.random.default_rng(seed)
    g, rows, batch = GATES[kind], sum(steps), steps[0]

    def some(*shape, scale=1.0):
        return (rng.uniform(-scale, scale, shape)).astype(dtype)

    bound = 1 / np.sqrt(units)
    c = some(batch, units) if kind == "lstm" else None
    weights = (some(g * units, inputs, scale=bound), some(g * units, units, scale=bound), some(g * units), some(g * units))
    gc = some(batch, units) if kind == "lstm" else None
    return (some(rows, inputs), some(batch, units), c, *weights), (some(rows, units), some(batch, units), gc)


def run(k, kind, arrays, gs, steps, reverse=False, wants_x=True, bias=True):
    """Outputs and gradients."""
    steps = np.array(steps)
    w_hr = arrays[7] if len(arrays) > 7 else None
    biases = arrays[5:7] if bias else (None, None)
    y, h, c, work = k.rnn_forward(*arrays[:5], *biases, kind, steps, reverse, w_hr)
    gradients = k.rnn_backward(*arrays[:5], y, work, *gs, kind, steps, reverse, wants_x, bias, w_hr)
    return [y, h, c, *gradients]


def near(found, wanted, tolerance, what):
    assert (found is None) == (wanted is None), what
    if found is not None:
        assert found.shape == wanted.shape, what
        scale = 1 + np.abs(wanted).max(initial=0)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=what)


def wide(arrays):
    return tuple(None if a is None else a.astype(np.float64) for a in arrays)


@kinds
@sizes
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_values_and_gradients(k, kind, case, reverse, dtype):
    """Against the formulas in float64, whose gradients the tests of ops check with differences."""
    units, inputs, steps = case
    arrays, gs = draw(kind, units, inputs, steps, dtype)
    before = [None if a is None else a.copy() for a in arrays]
    wanted = run(formulas, kind, wide(arrays), wide(gs), steps, reverse)
    for number, (a, b) in enumerate(zip(run(k, kind, arrays, gs, steps, reverse), wanted, strict=True)):
        assert a is None or a.dtype == dtype
        near(a, b, 2e-6 if dtype == np.float32 else 1e-13, f"result {number}")
    for a, b in zip(arrays, before, strict=True):
        assert a is None or a.tobytes() == b.tobytes()


def project(arrays, gs, outputs):
    """`draw` of an lstm, with a projection to `outputs` numbers."""
    rng, units, dtype = np.random.default_rng(3), arrays[1].shape[1], arrays[0].dtype

    def some(*shape, scale=1.0):
        return rng.uniform(-scale, scale, shape).astype(dtype)

    w_hh = some(4 * units, outputs, scale=1 / np.sqrt(outputs))
    rows, batch = len(gs[0]), len(gs[1])
    return (
        (arrays[0], some(batch, outputs), *arrays[2:4], w_hh, *arrays[5:], some(outputs, units, scale=1 / np.sqrt(units))),
        (some(rows, outputs), some(batch, outputs), gs[2]),
    )


# narrower than a vector and not, more outputs than units, early ends; weights that are shared out, on each side
PROJECTED = [
    (5, 2, 3, [6, 6, 3, 1]), (33, 7, 17, [5] * 4), (128, 9, 32, [32] * 4), (7, 3, 40, [4, 2]), (600, 6, 130, [17, 17, 2]),
    (70, 5, 3, [0, 0]),
]  # fmt: skip


@pytest.mark.parametrize("case", PROJECTED, ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_projections(k, case, reverse, dtype):
    units, inputs, outputs, steps = case
    arrays, gs = project(*draw("lstm", units, inputs, steps, dtype), outputs)
    wanted = run(formulas, "lstm", wide(arrays), wide(gs), steps, reverse)
    for number, (a, b) in enumerate(zip(run(k, "lstm", arrays, gs, steps, reverse), wanted, strict=True)):
        assert a is None or a.dtype == dtype
        near(a, b, 2e-6 if dtype == np.float32 else 1e-13, f"result {number}")
    with np.errstate(invalid="ignore"):
        no_gy = run(k, "lstm", arrays, (None, *gs[1:]), steps, reverse)
    for a, b in zip(no_gy, run(formulas, "lstm", wide(arrays), (None, *wide(gs)[1:]), steps, reverse), strict=True):
        near(a, b, 2e-6 if dtype == np.float32 else 1e-13, "without gy")


@pytest.mark.parametrize("case", [(96, 33, 20, [19, 19, 8, 3]), (610, 30, 120, [9] * 8)], ids=str)
def test_thread_counts_of_projections(compiled, same_for_all_thread_counts, case, dtype):
    units, inputs, outputs, steps = case
    arrays, gs = project(*draw("lstm", units, inputs, steps, dtype), outputs)
    others = tuple(a * 2 for a in arrays)

    def results(reverse):
        run(compiled, "lstm", others, gs, steps, reverse)  # leaves other numbers where a thread that does not wait reads
        return [a for a in run(compiled, "lstm", arrays, gs, steps, reverse) if a is not None]

    for reverse in (False, True):
        same_for_all_thread_counts(lambda reverse=reverse: results(reverse))


def test_a_projection_is_as_exact_as_pytorch(compiled, torch):
    """Distance from float64, over a long sequence."""
    steps, units = [8] * 60, 64
    arrays, gs = project(*draw("lstm", units, 32, steps, np.float32), 24)
    x, h, c, *weights = (torch.tensor(a, requires_grad=True) for a in arrays)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        y = torch.lstm(x.reshape(60, 8, 32), (h[None], c[None]), weights, True, 1, 0.0, True, False, False)
    y[0].backward(torch.tensor(gs[0].reshape(60, 8, 24)))
    ours = run(compiled, "lstm", arrays, (gs[0], None, None), steps)
    wanted = run(formulas, "lstm", wide(arrays), (wide(gs)[0], None, None), steps)
    for number, its in ((0, y[0].detach().reshape(-1, 24)), *((3 + at, p.grad) for at, p in ((0, x), (4, weights[1]),
                                                                                          (7, weights[4])))):
        mine, exact = ours[number], wanted[number]
        assert np.abs(mine - exact).max() <= 2 * np.abs(its.numpy() - exact).max() + 1e-7


@kinds
def test_what_is_not_given_counts_as_zero(k, kind, dtype):
    arrays, gs = draw(kind, 9, 4, [3, 3], dtype)
    zeros = [None if g is None else np.zeros_like(g) for g in gs]
    for a, b in zip(
        run(k, kind, arrays, (gs[0], None, None), [3, 3]), run(k, kind, arrays, (gs[0], *zeros[1:]), [3, 3]), strict=True
    ):
        near(a, b, 1e-15, kind)
    for a, b in zip(
        run(k, kind, arrays, (None, *gs[1:]), [3, 3]), run(k, kind, arrays, (zeros[0], *gs[1:]), [3, 3]), strict=True
    ):
        near(a, b, 1e-15, kind)
    plain = (*arrays[:5], *(np.zeros_like(b) for b in arrays[5:]))
    for a, b in zip(
        run(k, kind, arrays, gs, [3, 3], bias=False)[:8], run(k, kind, plain, gs, [3, 3])[:8], strict=True
    ):
        near(a, b, 1e-6 if dtype == np.float32 else 1e-14, kind)
    assert run(k, kind, arrays, gs, [3, 3], wants_x=False)[3] is None


@kinds
def test_layouts(k, kind, layout, dtype):
    arrays, gs = draw(kind, 19, 6, [4, 4, 2], dtype)
    views = tuple(None if a is None else layout(a) for a in arrays)
    found = run(k, kind, views, tuple(None if g is None else layout(g) for g in gs), [4, 4, 2])
    for a, b in zip(found, run(k, kind, arrays, gs, [4, 4, 2]), strict=True):
        near(a, b, 1e-6 if dtype == np.float32 else 1e-14, kind)


@kinds
@pytest.mark.parametrize("case", [(130, 20, [24] * 6), (96, 33, [19, 19, 8, 3]), (610, 30, [9] * 3)], ids=str)
def test_thread_counts(compiled, same_for_all_thread_counts, kind, case, dtype):
    """Rows shared out, and units shared out."""
    units, inputs, steps = case
    arrays, gs = draw(kind, units, inputs, steps, dtype)
    for reverse in (False, True):
        same_for_all_thread_counts(
            lambda reverse=reverse: [a for a in run(compiled, kind, arrays, gs, steps, reverse) if a is not None]
        )


@kinds
def test_more_threads_than_panels(compiled, kind):
    from tinygrad_course.kernels import threads

    arrays, gs = draw(kind, 600, 8, [2] * 40, np.float32)
    before = threads.get_num_threads()
    results = []
    try:
        for n in (1, 8, 40):
            threads.set_num_threads(n)
            results.append([a.tobytes() for a in run(compiled, kind, arrays, gs, [2] * 40) if a is not None])
    finally:
        threads.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@kinds
@pytest.mark.parametrize("repeated", [False, True])
def test_float32_is_as_exact_as_pytorch(compiled, torch, kind, repeated):
    """Distance from float64, over a long sequence."""
    steps, units = [8] * 60, 64
    arrays, gs = draw(kind, units, 32, steps, np.float32)
    if repeated:
        arrays = repeat_rows(arrays, 3)
    x, h, c, *weights = (None if a is None else torch.tensor(a, requires_grad=True) for a in arrays)
    hx = (h[None], c[None]) if kind == "lstm" else h[None]
    name = kind if kind in ("lstm", "gru") else f"rnn_{kind}"
    y = getattr(torch, name)(x.reshape(60, 8, 32), hx, weights, True, 1, 0.0, True, False, False)
    y[0].backward(torch.tensor(gs[0].reshape(60, 8, units)))
    theirs = [y[0].detach().numpy().reshape(-1, units), x.grad.numpy(), weights[0].grad.numpy(), weights[1].grad.numpy()]
    ours = run(compiled, kind, arrays, (gs[0], None, None), steps)
    wanted = run(formulas, kind, wide(arrays), (wide(gs)[0], None, None), steps)
    for number, its in zip((0, 3, 6, 7), theirs, strict=True):
        mine, exact = ours[number], wanted[number]
        assert np.abs(mine - exact).max() <= 2 * np.abs(its - exact).max() + 1e-7


def repeat_rows(arrays, different, seed=1):
    """The same with an x of at most `different` different rows."""
    x = arrays[0]
    return (x[np.random.default_rng(seed).integers(0, different, len(x))], *arrays[1:])


# enough work per row for a search; the rows of the last case differ in one number only, where the hash does not look
@kinds
@pytest.mark.parametrize("case", [(130, 40, [9] * 30, 5), (65, 33, [19, 19, 8, 3], 24), (48, 600, [12] * 9, 1)], ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_rows_that_repeat(compiled, same_for_all_thread_counts, kind, case, reverse, dtype):
    units, inputs, steps, different = case
    arrays, gs = draw(kind, units, inputs, steps, dtype)
    arrays = repeat_rows(arrays, different)
    if different == 1:
        arrays[0][:, 5] = np.arange(len(arrays[0])) // 4
    wanted = run(formulas, kind, wide(arrays), wide(gs), steps, reverse)
    for number, (a, b) in enumerate(zip(run(compiled, kind, arrays, gs, steps, reverse), wanted, strict=True)):
        near(a, b, 2e-6 if dtype == np.float32 else 1e-13, f"result {number}")
    same_for_all_thread_counts(lambda: [a for a in run(compiled, kind, arrays, gs, steps, reverse) if a is not None])


@kinds
def test_repeated_rows_change_no_bit_of_the_output(compiled, kind, dtype):
    """A row's product with the weights does not depend on the other rows."""
    arrays, _ = draw(kind, 130, 40, [8] * 16, dtype)
    x = arrays[0].copy()
    x[64:] = x[0]
    steps, rest = np.array([8] * 16), arrays[1:]
    y = compiled.rnn_forward(x, *rest, kind, steps, False)[0]
    first = compiled.rnn_forward(x[:64].copy(), *rest, kind, steps[:8], False)[0]
    assert y[:64].tobytes() == first.tobytes()


@kinds
def test_nan_stays_in_its_sequence(k, kind, dtype):
    arrays, gs = draw(kind, 21, 4, [3] * 5, dtype)
    x = arrays[0]
    x[2 * 3 + 1] = np.nan  # step 2, sequence 1
    x[0] = np.inf
    with np.errstate(invalid="ignore"):
        y = run(k, kind, arrays, gs, [3] * 5)[0].reshape(5, 3, 21)
    assert np.isnan(y[2:, 1]).all()
    assert not np.isnan(y[:2, 1]).any()
    assert not np.isnan(y[:, 2]).any()


def test_what_does_not_fit_is_refused(compiled):
    arrays, gs = draw("lstm", 4, 3, [2, 2], np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        run(compiled, "lstm", arrays, gs, [2, 3])
    with pytest.raises(ValueError, match="do not fit"):
        run(compiled, "lstm", arrays, gs, [1, 2])
    with pytest.raises(ValueError, match="do not fit"):
        run(compiled, "gru", arrays, gs, [2, 2])
    projected, its = project(arrays, gs, 3)
    with pytest.raises(ValueError, match=r"projection \(2, 4\) does not fit \(16, 3\)"):
        run(compiled, "lstm", (*projected[:7], np.ones((2, 4), np.float32)), its, [2, 2])
    with pytest.raises(TypeError, match="float32 or float64"):
        run(compiled, "lstm", tuple(a.astype(int) for a in arrays), gs, [2, 2])


def test_compiled_and_reference_have_the_same_signatures(reference, compiled):
    assert sorted(reference.KERNELS) == sorted(compiled.KERNELS)
    for name in reference.KERNELS:
        ours, theirs = (list(inspect.signature(getattr(m, name)).parameters.values()) for m in (reference, compiled))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name
