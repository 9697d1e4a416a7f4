"""PyTorch's own table of ops, run through this package.

PyTorch's wheel carries the table with which it tests itself (`op_db`): about 700 entries, each with sample inputs.
Every entry that has float64 samples, and is neither complex, sparse nor quantised, is called here by the same name and
with the same arguments; value, gradient and second gradient must be PyTorch's.

    python -m tests.parity.opinfo                       all entries
    python -m tests.parity.opinfo cumsum linalg.inv     some
    python -m tests.parity.opinfo --prefix nn.functional.
"""

import argparse
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_course as tgc

# Entries that are not ours to have, by the reason.
EXCLUDED = {
    "complex numbers": (
        "angle", "cdouble", "cfloat", "chalf", "complex", "conj", "conj_physical", "fft.", "imag", "isreal", "linalg.eig",
        "linalg.eigvals", "polar", "real", "resolve_conj", "resolve_neg", "stft", "istft", "view_as_complex", "view_as_real",
    ),
    "sparse": ("sparse.", "to_sparse", "sparse_mask"),
    "types that NumPy does not have": ("bfloat16",),
    "code for the GPU, compiled by a string": ("jiterator_",),
    "internal to PyTorch": (
        "_batch_norm_with_update", "_chunk_cat", "_native_batch_norm_legit", "_segment_reduce", "_softmax_backward_data",
        "_unsafe_masked_index", "_unsafe_masked_index_put_accumulate", "_upsample_bilinear2d_aa", "hash_tensor",
        "torch.ops.aten._safe_softmax.default", "native_batch_norm", "native_dropout_backward", "native_group_norm",
        "native_layer_norm", "max_pool2d_with_indices_backward", "unsafe_chunk", "unsafe_split",
    ),
}
# Entries whose values are drawn, or memory that nobody has written: only shapes and types are compared.
DRAWN = (
    "bernoulli", "cauchy", "empty", "empty_like", "empty_permuted", "empty_strided", "exponential", "geometric", "log_normal",
    "multinomial", "new_empty", "new_empty_strided", "normal", "rand_like", "randint", "randint_like", "randn", "randn_like",
    "uniform", "nn.functional.alpha_dropout", "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.feature_alpha_dropout", "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
    "nn.functional.rrelu", "pca_lowrank", "svd_lowrank", "resize_", "resize_as_",
)  # fmt: skip
# Where PyTorch is wrong, and who says so; the entry is compared as far as the exception allows.
WRONG_IN_TORCH = {
    # PyTorch's series have an error of 4e-7 and 9e-7 (against mpmath with 40 digits).
    "special.bessel_j0": {"value": 1e-6},
    "special.bessel_y1": {"value": 1e-6},
    # PyTorch passes the gradient on where x was overwritten, and none where it was kept.
    "as_strided_scatter": {"gradients": False},
    # The sample is a view whose neighbours in memory PyTorch reads; a tensor made of its values has none.
    "as_strided/partial_views": {"samples": (1, 2, 3)},
}
# PyTorch's names for what a NumPy dtype has by itself, and arguments that have no meaning here.
IGNORED_ARGUMENTS = ("memory_format", "layout", "pin_memory", "device", "requires_grad")


class SkipSample(Exception):
    """The sample needs what is excluded: complex numbers, another device."""


@dataclass
class Outcome:
    """What became of one entry: "pass", "wrong", "error", "missing" or "untested", and the first reason."""

    name: str
    status: str
    samples: int
    reason: str = ""


def entries() -> list[Any]:
    """The entries of the table that are ours to have."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return [entry for entry in op_db if torch.float64 in entry.dtypes and excluded(entry) is None]


def excluded(entry: Any) -> str | None:
    """Why an entry is left out, or None."""
    for reason, names in EXCLUDED.items():
        if any(entry.name == name or (name[-1] in "._" and entry.name.startswith(name)) for name in names):
            return reason
    return None


def full_name(entry: Any) -> str:
    """name, or name/variant."""
    return f"{entry.name}/{entry.variant_test_name}" if entry.variant_test_name else str(entry.name)


def resolve(entry: Any) -> Callable[..., Any] | None:
    """Our function of that name: tgc.a.b, or the method of Tensor."""
    if isinstance(entry.op, types.FunctionType) and entry.op.__module__.startswith("torch.testing"):
        return with_our_package(entry.op)
    value: Any = tgc
    for part in entry.name.split("."):
        value = getattr(value, part, None)
        if value is None:
            break
    if value is not None and callable(value):
        return value
    return getattr(tgc.Tensor, entry.name, None)


class _OursAsTorch:
    """The package with the methods of Tensor as functions, as PyTorch has them: torch.zero_(x)."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(tgc, name, None)
        return getattr(tgc.Tensor, name) if found is None else found


def with_our_package(function: types.FunctionType) -> Callable[..., Any]:
    """A wrapper of the table (`lambda x, n: torch.polygamma(n, x)`) with this package in place of torch."""
    import torch

    def swap(value: Any) -> Any:
        if value is torch:
            return _OursAsTorch()
        if isinstance(value, types.FunctionType) and value.__module__.startswith("torch.testing"):
            return with_our_package(value)
        name = getattr(value, "__name__", "")
        home = str(getattr(value, "__module__", "") or "")
        if callable(value) and (home.startswith("torch.nn.functional") or home.startswith("torch._C._nn")):
            return getattr(tgc.nn.functional, name)
        if callable(value) and home.startswith("torch") and not isinstance(value, type):
            return getattr(tgc, name, getattr(tgc.Tensor, name, value))
        return value

    names = {name: swap(value) if value is torch else value for name, value in function.__globals__.items()}
    cells = tuple(types.CellType(swap(cell.cell_contents)) for cell in function.__closure__ or ())
    ours = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    ours.__kwdefaults__ = function.__kwdefaults__
    return ours


def to_ours(value: Any) -> Any:
    """A sample's argument with our tensors and dtypes in place of PyTorch's."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.is_quantized or value.layout != torch.strided:
            raise SkipSample("complex or sparse")
        if value.dtype in (torch.bfloat16,):
            raise SkipSample("bfloat16")
        array = value.detach().resolve_conj().resolve_neg().numpy()
        copy = np.array(array, order="K") if all(array.strides) else array.copy()
        tensor = tgc.from_numpy(copy if copy.ndim or isinstance(copy, np.ndarray) else np.array(copy))
        return tensor.requires_grad_() if value.requires_grad else tensor
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        if name.startswith(("complex", "bfloat", "q", "float8", "uint1", "uint3", "uint6")):
            raise SkipSample(name)
        return np.dtype(name)
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, complex):
        raise SkipSample("complex")
    if isinstance(value, list):
        return [to_ours(item) for item in value]
    if isinstance(value, tuple):
        return tuple(to_ours(item) for item in value)
    if isinstance(value, dict):
        return {name: to_ours(item) for name, item in value.items()}
    if callable(value) and not isinstance(value, type):
        return with_our_package(value) if isinstance(value, types.FunctionType) else _same_function(value)
    return value


def _same_function(value: Any) -> Any:
    """Our function of the same name for a function of PyTorch given as an argument (a distance, say)."""
    import torch

    if isinstance(value, torch.nn.Module):
        return getattr(tgc.nn, type(value).__name__)()
    return getattr(tgc, value.__name__, getattr(tgc.nn.functional, value.__name__, value))


def seed(number: int) -> None:
    """PyTorch's generator on the CPU.  torch.manual_seed would also note the call stack for GPUs, which takes 3 ms."""
    import torch

    torch.default_generator.manual_seed(number)


def tensors_in(value: Any, kind: type) -> Iterator[Any]:
    """All tensors in nested lists, in order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item, kind)


def near(found: Any, wanted: Any, what: str, tolerance: float = 1e-7) -> None:
    """Raise AssertionError unless shape, type and values agree."""
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, PyTorch {wanted.shape}"
    assert found.dtype == wanted.dtype, f"{what}: type {found.dtype}, PyTorch {wanted.dtype}"
    if found.dtype.kind in "biu":
        assert np.array_equal(found, wanted), f"{what}: {found.ravel()[:6]}, PyTorch {wanted.ravel()[:6]}"
        return
    tolerance = max(tolerance, 1e-4) if wanted.dtype == np.float32 else tolerance  # a weight that the table has in float32
    with np.errstate(all="ignore"):
        largest = np.abs(wanted).max(initial=0.0)
        if not np.isfinite(largest):
            largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
        scale = max(1.0, float(largest))
        wrong = ~(np.abs(found - wanted) <= tolerance * scale)
        if wrong.any():  # infinite in the same way, or no number in both
            wrong &= (found != wanted) & ((found == found) | (wanted == wanted))
    if wrong.any():
        place = np.argwhere(wrong)[0]
        at = tuple(int(i) for i in place)
        raise AssertionError(f"{what}: {int(wrong.sum())} of {wrong.size} differ, at {at}: {found[at]!r}, PyTorch "
                             f"{wanted[at]!r}")


def check_sample(entry: Any, function: Callable[..., Any], sample: Any) -> None:
    """One call in both packages: values, gradients, second gradients."""
    import torch

    kwargs = {name: value for name, value in sample.kwargs.items() if name not in IGNORED_ARGUMENTS}
    ours = to_ours((sample.input, list(sample.args), kwargs))
    seed(0)
    # The wrapper makes inputs symmetric or triangular where an op reads one half of a matrix only.  (That of the masked
    # reductions hides results that are not defined; ours are compared as they are.)
    wrapper = _plainly if entry.name.startswith("masked.") else entry.gradcheck_wrapper
    theirs_out = wrapper(entry.op, sample.input, *sample.args, **sample.kwargs)
    theirs_out = sample.output_process_fn_grad(theirs_out)
    tgc.manual_seed(0)
    ours_out = _ours(wrapper)(function, ours[0], *ours[1], **ours[2])
    ours_out = _ours(sample.output_process_fn_grad)(ours_out)
    theirs = list(tensors_in(theirs_out, torch.Tensor))
    if any(t.is_complex() for t in theirs):
        raise SkipSample("complex result")
    found = list(tensors_in(ours_out, tgc.Tensor))
    if not theirs:
        assert ours_out == theirs_out or str(ours_out) == str(theirs_out), f"{ours_out!r}, PyTorch {theirs_out!r}"
        return
    assert len(found) == len(theirs), f"{len(found)} results, PyTorch {len(theirs)}"
    drawn = entry.name in DRAWN or _drops(entry, sample)
    for number, (y, t) in enumerate(zip(found, theirs, strict=True)):
        wanted = t.detach().resolve_conj().resolve_neg().numpy()
        if drawn:
            assert y.shape == wanted.shape, f"shape {y.shape}, PyTorch {wanted.shape}"
            assert y.dtype == wanted.dtype, f"type {y.dtype}, PyTorch {wanted.dtype}"
        else:
            near(y.detach().numpy(), wanted, f"output {number}", WRONG_IN_TORCH.get(entry.name, {}).get("value", 1e-7))
    if entry.supports_autograd and WRONG_IN_TORCH.get(entry.name, {}).get("gradients", True):
        check_gradients(entry, sample, ours, theirs, found, drawn)


def _drops(entry: Any, sample: Any) -> bool:
    """Whether this sample of an attention draws a dropout mask."""
    if entry.name == "nn.functional.multi_head_attention_forward":
        return sample.args[9] > 0 and sample.kwargs.get("training", True)
    return bool(sample.kwargs.get("dropout_p", 0) > 0)


def _plainly(op: Any, *args: Any, **kwargs: Any) -> Any:
    return op(*args, **kwargs)


def _ours(function: Any) -> Any:
    return with_our_package(function) if isinstance(function, types.FunctionType) else function


def check_gradients(entry: Any, sample: Any, ours: Any, theirs: list[Any], found: list[Any], drawn: bool) -> None:
    """First and second gradients with random upstream gradients."""
    import torch

    their_inputs = [t for t in tensors_in([sample.input, list(sample.args), sample.kwargs], torch.Tensor) if t.requires_grad]
    our_inputs = [t for t in tensors_in(list(ours), tgc.Tensor) if t.requires_grad]
    pairs = [(y, t) for y, t in zip(found, theirs, strict=True) if t.requires_grad]
    if not pairs or not their_inputs:
        return
    for y, _ in pairs:
        assert y.requires_grad, "the result is cut off from the graph"
    rng = np.random.default_rng(1)
    gs = [rng.standard_normal(tuple(t.shape)).astype(t.detach().numpy().dtype) for _, t in pairs]
    twice = bool(entry.supports_gradgrad) and not drawn
    firsts = torch.autograd.grad([t for _, t in pairs], their_inputs, [torch.tensor(g) for g in gs], create_graph=twice,
                                 allow_unused=True)
    ours_first = tgc.autograd.grad([y for y, _ in pairs], our_inputs, [tgc.tensor(g) for g in gs], create_graph=twice,
                                   allow_unused=True)
    if drawn:
        return
    _compare(ours_first, firsts, our_inputs, "gradient")
    if not twice:
        return
    seconds = [(g, t) for g, t in zip(ours_first, firsts, strict=True) if t is not None and t.requires_grad]
    if not seconds:
        return
    vs = [rng.standard_normal(tuple(t.shape)) for _, t in seconds]
    try:
        their_second = torch.autograd.grad([t for _, t in seconds], their_inputs, [torch.tensor(v) for v in vs],
                                           allow_unused=True)
    except RuntimeError as error:
        if "not implemented" in str(error):
            return  # PyTorch has no second derivative either
        raise
    tracked = [(g, v) for (g, _), v in zip(seconds, vs, strict=True) if g is not None and g.requires_grad]
    our_second: Any = [None] * len(our_inputs)
    if tracked:
        our_second = tgc.autograd.grad([g for g, _ in tracked], our_inputs, [tgc.tensor(v) for _, v in tracked],
                                       allow_unused=True)
    # Where PyTorch's second derivative is nan and ours is a number, finite differences judge, in the battery.
    defined = [t is None or bool(torch.isfinite(t).all()) for t in their_second]
    chosen = [[values[n] for n, fine in enumerate(defined) if fine] for values in (our_second, their_second, our_inputs)]
    _compare(*chosen, "second gradient", 1e-6)


def _compare(ours: Any, theirs: Any, inputs: list[Any], what: str, tolerance: float = 1e-7) -> None:
    for number, (g, t, x) in enumerate(zip(ours, theirs, inputs, strict=True)):
        zeros = np.zeros(x.shape, x.dtype)
        wanted = zeros if t is None else t.detach().numpy(force=True)  # a ZeroTensor is made of nothing
        near(zeros if g is None else g.detach().numpy(), wanted, f"{what} {number}", tolerance)


def run(entry: Any) -> Outcome:
    """All samples of an entry."""
    import torch

    name = full_name(entry)
    function = resolve(entry)
    if function is None:
        return Outcome(name, "missing", 0)
    done = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seed(7)
        samples = entry.sample_inputs("cpu", torch.float64, requires_grad=bool(entry.supports_autograd))
        for number, sample in enumerate(samples):
            if number in WRONG_IN_TORCH.get(name, {}).get("samples", ()):
                continue
            try:
                check_sample(entry, function, sample)
            except SkipSample:
                continue
            except AssertionError as error:
                return Outcome(name, "wrong", done, f"sample {number}: {error} -- {_describe(sample)}")
            except Exception as error:
                lines = f"{type(error).__name__}: {error}".splitlines()
                status = "missing" if isinstance(error, AttributeError) and "tinygrad_course" in str(error) else "error"
                return Outcome(name, status, done, f"sample {number}: {lines[0][:300]} -- {_describe(sample)}")
            done += 1
    return Outcome(name, "pass" if done else "untested", done)


def _describe(sample: Any) -> str:
    import torch

    def short(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return f"{tuple(value.shape)}{'' if value.dtype == torch.float64 else str(value.dtype)[5:]}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(short(item) for item in value) + "]"
        return repr(value)[:60]

    parts = [short(sample.input), *map(short, sample.args), *(f"{name}={short(v)}" for name, v in sample.kwargs.items())]
    return ", ".join(parts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--prefix", default=None)
    arguments = parser.parse_args()
    outcomes = []
    for entry in entries():
        chosen = not arguments.names and arguments.prefix is None
        chosen = chosen or entry.name in arguments.names or full_name(entry) in arguments.names
        if chosen or (arguments.prefix is not None and entry.name.startswith(arguments.prefix)):
            outcome = run(entry)
            outcomes.append(outcome)
            print(f"{outcome.status:9s} {outcome.name} ({outcome.samples}) {outcome.reason}", flush=True)
    print(dict(Counter(outcome.status for outcome in outcomes)), "of", len(outcomes))


if __name__ == "__main__":
    main()
