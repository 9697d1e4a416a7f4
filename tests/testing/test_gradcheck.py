"""gradcheck against Jacobians worked out by hand, against PyTorch's verdicts, and its options one by one."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.autograd import Function
from tinygrad_course.errors import GraphError, TgcError
from tinygrad_course.testing import GradcheckError, gradcheck, gradgradcheck
from tinygrad_course.testing.numeric import numeric_jacobian, ridders
from tinygrad_course.testing.probe import Probe, copy_with_strides


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def tensor(*shape: int, seed: int = 0) -> tgc.Tensor:
    return tgc.tensor(values(*shape, seed=seed), requires_grad=True)


# ------------------------------------------------------------------------------------------------- Jacobians by hand


def by_hand() -> dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], list[np.ndarray]]]:
    x, w = values(2, 3), values(3, 2, seed=1)
    row, s = values(4), 1 / (1 + np.exp(-values(4)))
    p = np.exp(row) / np.exp(row).sum()
    return {
        # y = x w:  d y[n, k] / d x[m, i] = delta(n, m) w[i, k],  d y[n, k] / d w[i, l] = x[n, i] delta(k, l)
        "matmul": (lambda x, w: x @ w, (x, w),
                   [np.einsum("nm,ik->nkmi", np.eye(2), w).reshape(4, 6),
                    np.einsum("ni,kl->nkil", x, np.eye(2)).reshape(4, 6)]),
        "sigmoid": (lambda x: x.sigmoid(), (row,), [np.diag(s * (1 - s))]),
        "softmax": (lambda x: x.softmax(0), (row,), [np.diag(p) - np.outer(p, p)]),
        "mean": (lambda x: x.mean(0), (x,), [np.kron(np.full((1, 2), 0.5), np.eye(3))]),
        "broadcast product": (lambda x, b: x * b, (x, row[:3]),
                              [np.diag(np.tile(row[:3], 2)), np.concatenate([np.diag(x[0]), np.diag(x[1])])]),
        "quadratic form": (lambda x: (x * x).sum(), (row,), [2 * row[None]]),
    }


@pytest.mark.parametrize("name", by_hand())
def test_numeric_jacobian_is_the_one_by_hand(name: str) -> None:
    func, arrays, expected = by_hand()[name]
    probe = Probe(func, [tgc.tensor(x, requires_grad=True) for x in arrays])
    for a, jacobian in enumerate(expected):
        found = numeric_jacobian(probe, probe.point, a, 1e-6)
        assert len(found) == 1
        np.testing.assert_allclose(found[0], jacobian, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", by_hand())
@pytest.mark.parametrize("fast_mode", [False, True])
def test_correct_functions_pass(name: str, fast_mode: bool) -> None:
    func, arrays, _ = by_hand()[name]
    inputs = [tgc.tensor(x, requires_grad=True) for x in arrays]
    assert gradcheck(func, inputs, fast_mode=fast_mode) is True
    assert gradgradcheck(func, inputs, fast_mode=fast_mode) is True


# ------------------------------------------------------------------------------------------------- PyTorch's verdict


def product(xp: Any, scale: float) -> Any:
    """y = x w as a Function of either library, its second gradient multiplied by `scale`."""
    class Product(xp.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, w = ctx.saved_tensors
            return g * w, g * x * scale
    return Product.apply


VERDICTS: dict[str, tuple[bool, Callable[[Any], Callable[..., Any]], tuple[np.ndarray, ...]]] = {
    "product": (True, lambda xp: product(xp, 1.0), (values(2, 3), values(2, 3, seed=1))),
    "product off by 2e-3": (False, lambda xp: product(xp, 1.002), (values(2, 3), values(2, 3, seed=1))),
    "product off by 2e-4": (True, lambda xp: product(xp, 1.0002), (values(2, 3), values(2, 3, seed=1))),
    "matmul": (True, lambda xp: lambda x, w: x @ w, (values(2, 3), values(3, 2, seed=1))),
    "relu at 0": (False, lambda xp: lambda x: x.relu(), (np.array([1.0, 0.0, -1.0]),)),
    "relu": (True, lambda xp: lambda x: x.relu(), (np.array([1.0, 0.5, -1.0]),)),
    "constant": (True, lambda xp: lambda x: 0 * x, (values(3),)),
    "two outputs": (True, lambda xp: lambda x: (x * x, x.exp()), (values(3),)),
    "detached": (False, lambda xp: lambda x, w: x * w.detach(), (values(3), values(3, seed=1))),
    "steep": (True, lambda xp: lambda x: (x * 1e4).exp(), (values(3) * 1e-3,)),
    "unused": (True, lambda xp: lambda x, w: x * 2, (values(3), values(3, seed=1))),
}


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("fast_mode", [False, True])
def test_verdicts(name: str, fast_mode: bool) -> None:
    expected, make, arrays = VERDICTS[name]
    inputs = [tgc.tensor(x, requires_grad=True) for x in arrays]
    assert gradcheck(make(tgc), inputs, raise_exception=False, fast_mode=fast_mode) == expected


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("fast_mode", [False, True])
def test_verdicts_are_those_of_pytorch(name: str, fast_mode: bool) -> None:
    torch = pytest.importorskip("torch", reason="test_verdicts holds the same verdicts without it")
    expected, make, arrays = VERDICTS[name]
    inputs = [torch.tensor(x, requires_grad=True) for x in arrays]
    assert torch.autograd.gradcheck(make(torch), inputs, raise_exception=False, fast_mode=fast_mode) == expected


def test_signatures() -> None:
    names = ("eps", "atol", "rtol", "raise_exception", "nondet_tol", "check_undefined_grad", "fast_mode")
    expected = {"eps": 1e-6, "atol": 1e-5, "rtol": 1e-3, "raise_exception": True, "nondet_tol": 0.0,
                "check_undefined_grad": True, "fast_mode": False}
    for check in (gradcheck, gradgradcheck):
        parameters = inspect.signature(check).parameters
        assert {name: parameters[name].default for name in names} == expected
        assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names)


def test_signatures_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="test_signatures holds the defaults without it")
    for ours, theirs in ((gradcheck, torch.autograd.gradcheck), (gradgradcheck, torch.autograd.gradgradcheck)):
        assert [(p.name, p.kind, p.default) for p in inspect.signature(ours).parameters.values()] == [
            (p.name, p.kind, p.default) for p in inspect.signature(theirs).parameters.values()]


# ---------------------------------------------------------------------------------------------------------- the inputs


def test_nothing_of_the_caller_changes() -> None:
    x, w = tensor(2, 3), tensor(2, 3, seed=1)
    x_before, w_before = x.tolist(), w.tolist()
    state = tgc.default_generator.get_state()
    numpy_state = np.random.get_state()[1].copy()  # type: ignore[union-attr]  # noqa: NPY002
    gradcheck(lambda x, w: x * w, (x, w))
    gradgradcheck(lambda x, w: x * w, (x, w))
    assert x.tolist() == x_before
    assert w.tolist() == w_before
    assert x.grad is None
    assert w.grad is None
    assert np.array_equal(np.asarray(tgc.default_generator.get_state()), np.asarray(state))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[union-attr]  # noqa: NPY002


def test_inputs_without_gradient_and_plain_values_are_passed_on() -> None:
    index = tgc.tensor([0, 2, 2])
    factor = tgc.tensor(values(3, seed=2))
    seen = []

    def pick(x: Any, index: Any, factor: Any, power: int, *, note: str = "") -> Any:
        seen.append((index.dtype, factor.requires_grad, power))
        return (x.gather(0, index) * factor) ** power

    assert gradcheck(pick, (tensor(4), index, factor, 3))
    assert set(seen) == {(np.dtype("int64"), False, 3)}


def test_integer_outputs_are_skipped() -> None:
    def value_and_place(x: Any) -> Any:
        return x * x, x.argmax(0)

    assert gradcheck(value_and_place, tensor(4))


def test_a_single_tensor_and_a_list_are_taken() -> None:
    assert gradcheck(lambda x: x * x, tensor(3))
    assert gradcheck(lambda x: x * x, [tensor(3)])


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0), (1, 1)])
def test_sizes_zero_and_one(shape: tuple[int, ...]) -> None:
    assert gradcheck(lambda x: x * x, tensor(*shape))
    assert gradgradcheck(lambda x: x * x, tensor(*shape))


@pytest.mark.parametrize("key", [np.s_[::2], np.s_[::-1, ::3], np.s_[:, ::-2]])
def test_copies_keep_the_strides(key: Any) -> None:
    x = values(4, 6)[key]
    for array in (x, x.T):
        copy = copy_with_strides(array)
        np.testing.assert_array_equal(copy, array)
        assert copy.strides == array.strides
        assert not np.shares_memory(copy, array)


def test_overlapping_memory_is_copied_apart() -> None:
    x = tgc.tensor(values(1, 3)).expand(4, 3)
    assert copy_with_strides(x.numpy()).strides == (24, 8)
    y = tgc.tensor(values(3))
    assert gradcheck(lambda x: x * y, (x.detach().requires_grad_(),))


def test_the_function_sees_the_strides_of_the_input() -> None:
    seen = set()

    def look(x: Any) -> Any:
        seen.add(x.detach().numpy().strides)
        return x * 2

    x = tgc.from_numpy(values(4, 6)[:, ::2]).requires_grad_()
    assert gradcheck(look, x)
    assert seen == {(48, 16)}


def test_large_values_use_the_step_that_was_taken() -> None:
    x = tgc.tensor([1.0e8], dtype=tgc.float64, requires_grad=True)  # 1e8 + 1e-6 is off by 1 % of 1e-6
    assert gradcheck(lambda x: (x - 1.0e8) * 3, x)


def test_works_inside_no_grad() -> None:
    with tgc.no_grad():
        assert gradcheck(lambda x: x * x, tensor(3))


# ---------------------------------------------------------------------------------------------------------- the options


@pytest.mark.parametrize("option", ["check_batched_grad", "check_batched_forward_grad", "check_forward_ad", "masked"])
def test_what_does_not_exist_is_refused(option: str) -> None:
    with pytest.raises(TgcError, match=f"gradcheck: {option}=True asks for .*, which tinygrad_course does not have"):
        gradcheck(lambda x: x, tensor(3), raise_exception=False, **{option: True})


@pytest.mark.parametrize("option", ["check_batched_grad", "check_fwd_over_rev", "masked"])
def test_what_does_not_exist_is_refused_for_second_derivatives(option: str) -> None:
    with pytest.raises(TgcError, match=f"gradgradcheck: {option}=True asks for"):
        gradgradcheck(lambda x: x, tensor(3), **{option: True})


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(TgcError, match="check_backward_ad=False leaves nothing"):
        gradcheck(lambda x: x, tensor(3), check_backward_ad=False)
    with pytest.raises(TgcError, match="check_rev_over_rev=False leaves nothing"):
        gradgradcheck(lambda x: x, tensor(3), check_rev_over_rev=False)
    with pytest.raises(GraphError, match="none of the 1 inputs is a tensor with requires_grad=True"):
        gradcheck(lambda x: x, tgc.tensor([1.0]))
    with pytest.raises(GraphError, match="the function returned float, not a Tensor"):
        gradcheck(lambda x: 1.0, tensor(3))


def test_float32_warns() -> None:
    x = tgc.tensor([1.0, 2.0], requires_grad=True)
    with pytest.warns(UserWarning, match=r"gradcheck: input 0 is float32, not float64"):
        gradcheck(lambda x: x * 0, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradcheck(lambda x: x * 0, x.detach().double().requires_grad_())


def test_tolerances() -> None:
    off = product(tgc, 1.01)
    inputs = (tensor(3), tensor(3, seed=1))
    assert not gradcheck(off, inputs, raise_exception=False)
    assert gradcheck(off, inputs, rtol=0.02)
    assert gradcheck(off, inputs, atol=0.1, rtol=0.0)


def test_raise_exception_false_hides_only_failed_checks() -> None:
    def broken(x: Any) -> Any:
        raise ValueError("of the function itself")

    with pytest.raises(ValueError, match="of the function itself"):
        gradcheck(broken, tensor(3), raise_exception=False)


def test_check_grad_dtypes_looks_before_the_engine_casts() -> None:
    class Coarse(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return (g * 2).float()

    assert gradcheck(Coarse.apply, tensor(3))
    with pytest.raises(GradcheckError, match="the gradient has dtype float32, the argument float64"):
        gradcheck(Coarse.apply, tensor(3), check_grad_dtypes=True)


class TwoOutputs(Function):
    """(x^2, x^3); a gradient that is not defined arrives as None."""

    careful = True

    @classmethod
    def square_term(cls, g: Any, x: Any) -> Any:
        return 0 * x if g is None and cls.careful else 2 * g * x

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x * x, x * x * x

    @staticmethod
    def backward(ctx: Any, g2: Any, g3: Any) -> Any:
        x, = ctx.saved_tensors
        return TwoOutputs.square_term(g2, x) + (0 * x if g3 is None else 3 * g3 * x * x)


def test_undefined_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gradcheck(TwoOutputs.apply, tensor(3))
    assert gradgradcheck(TwoOutputs.apply, tensor(3))
    monkeypatch.setattr(TwoOutputs, "careful", False)
    assert gradcheck(TwoOutputs.apply, tensor(3), check_undefined_grad=False)
    with pytest.raises(GradcheckError, match=r"backward raised TypeError when only output 1 was used "
                                             r".*check_undefined_grad"):
        gradcheck(TwoOutputs.apply, tensor(3))


def test_the_failing_output_is_named() -> None:
    def both(x: Any) -> Any:
        return x * x, x * x.detach()

    with pytest.raises(GradcheckError, match=r"wrong gradient of both.*, output 1, with respect to argument 0 \(x\)"):
        gradcheck(both, tensor(3))


def test_backward_that_raises() -> None:
    class Stuck(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError("lost")

    with pytest.raises(GradcheckError, match="Stuck: backward raised KeyError: 'lost'"):
        gradcheck(Stuck.apply, tensor(3))


def test_bias_in_backward_shows_with_zero_upstream() -> None:
    class Offset(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 + 1e-6  # inside the tolerance of the comparison

    with pytest.raises(GradcheckError, match="for an upstream gradient of zeros backward gives"):
        gradcheck(Offset.apply, tensor(3))


def test_backward_that_writes_into_the_upstream_gradient() -> None:
    class Greedy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            gx = g * 2
            g.detach().numpy()[...] = 0
            return gx

    with pytest.raises(GradcheckError, match="Greedy: backward writes into the upstream gradient"):
        gradcheck(Greedy.apply, tensor(3))


def test_only_a_dense_upstream_gradient_shows_a_clipped_one() -> None:
    class Clipped(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            norm = float((g * g).sum().detach().item()) ** 0.5
            return g * 2 * min(1.0, 2.5 / norm) if norm else g * 2

    with pytest.raises(GradcheckError) as caught:
        gradcheck(Clipped.apply, tensor(12))
    text = str(caught.value)
    assert "entries of the gradient are wrong; the worst is d sum(g * output) / d x[" in text
    assert "twice the upstream gradient should double the gradient, but it does not grow" in text


def test_fast_mode_finds_one_wrong_entry_and_words_it() -> None:
    mask = np.ones(50)
    mask[17] = 1.1

    class Dented(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * tgc.tensor(2 * mask)

    with pytest.raises(GradcheckError, match=r"1 of 2500 entries .* the worst is d output\[17\] / d x\[17\]"):
        gradcheck(Dented.apply, tensor(50), fast_mode=True)


def test_fast_mode_calls_the_function_a_few_times() -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x * x

    assert gradcheck(counted, tensor(200), fast_mode=True)
    assert len(calls) < 20


# ------------------------------------------------------------------------------------------------- second derivatives


def test_given_grad_outputs() -> None:
    g = tgc.tensor(values(3, seed=5), requires_grad=True)
    assert gradgradcheck(lambda x: x * x * x, tensor(3), g)
    assert gradgradcheck(lambda x: (x * x, x.exp()), tensor(3), (g, g.detach()))
    with pytest.raises(GraphError, match="2 grad_outputs for 1 differentiable outputs"):
        gradgradcheck(lambda x: x * x, tensor(3), (g, g))


def test_non_contiguous_grad_outputs() -> None:
    seen = set()

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            seen.add(g.detach().numpy().flags.c_contiguous)
            return g * 2

    assert gradgradcheck(Look.apply, tensor(2, 3), gen_non_contig_grad_outputs=True)
    assert False in seen


def test_no_first_derivative() -> None:
    with pytest.raises(GradcheckError, match="no output requires a gradient, so there is no first derivative"):
        gradgradcheck(lambda x: x.detach() * 2, tensor(3))


# ------------------------------------------------------------------------------------------------------- extrapolation


def test_ridders() -> None:
    found, error = ridders(lambda t: float(np.exp(1 + t)), 0.1)
    assert found == pytest.approx(np.e, rel=1e-10)
    assert error < 1e-8
