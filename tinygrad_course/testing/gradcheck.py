"""gradcheck and gradgradcheck: PyTorch's signatures, and a failure says what is wrong and why.

What is compared, for every pair of a differentiable output f and an argument x that requires a gradient:

* each entry of the Jacobian d f[j] / d x[i], by backward and by central differences,
      |analytic - numeric| <= atol + rtol |numeric|.
  Row j by backward is the gradient for the upstream gradient c e_j divided by c, with a random c, |c| in 0.5 .. 2:
  an upstream gradient of 1, as of y.sum(), cannot see a backward that ignores or squares it.
* the gradient for a dense random upstream gradient against upstream @ numeric Jacobian: backward must be linear.
* with `fast_mode` only random projections v @ J @ u, two evaluations per argument instead of two per entry.

The random numbers come from generators of their own with fixed seeds (check.UPSTREAM_SEED): the same call gives the
same verdict, and the global generator is not touched.  The function is called with copies; the caller's tensors, and
their `.grad`, stay as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_course.autograd import grad
from tinygrad_course.errors import GradcheckError, GraphError, TgcError
from tinygrad_course.ops.creation import from_numpy
from tinygrad_course.tensor import Tensor
from tinygrad_course.testing.check import UPSTREAM_SEED, Check
from tinygrad_course.testing.clues import Tolerance, random_upstream
from tinygrad_course.testing.probe import Func, Probe


def gradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of `func` with finite differences.

    func                  takes `inputs`, returns a Tensor or a tuple of Tensors; integer outputs are skipped
    inputs                Tensors and other values; those with requires_grad are checked, and should be float64
    eps, atol, rtol       step of the central differences, tolerances (see the head of this module)
    raise_exception       False: return False where a check fails
    nondet_tol            largest difference allowed between two backward passes over one graph
    check_undefined_grad  with several outputs: using one alone must give the same as zero gradients for the others
    check_grad_dtypes     the backward of the last op must itself return its argument's dtype, before the engine casts

    Returns True, or raises GradcheckError with op, argument, index, both values and a diagnosis.  The other options are
    PyTorch's for what does not exist here (forward mode, batched and masked gradients): setting them raises.
    """
    _refuse("gradcheck", check_batched_grad=check_batched_grad, check_batched_forward_grad=check_batched_forward_grad,
            check_forward_ad=check_forward_ad, masked=bool(masked))
    if not check_backward_ad:
        raise TgcError("gradcheck: check_backward_ad=False leaves nothing to check; there is no forward mode")
    given = _as_tuple(inputs)
    _check_inputs("gradcheck", given)
    try:
        Check(Probe(func, given), "gradcheck", _name(func), Tolerance(eps, atol, rtol), nondet_tol,
              check_undefined_grad, check_grad_dtypes, fast_mode).run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Func,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Any] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare second derivatives with finite differences: gradcheck of (inputs, grad_outputs) -> gradients of `func`.

    grad_outputs                 upstream gradients of the differentiable outputs; random ones if not given
    gen_non_contig_grad_outputs  make the random ones non-contiguous

    The other options as in gradcheck.  A backward that cannot be differentiated is an error that says so.
    """
    _refuse("gradgradcheck", check_batched_grad=check_batched_grad, check_fwd_over_rev=check_fwd_over_rev,
            masked=masked)
    if not check_rev_over_rev:
        raise TgcError("gradgradcheck: check_rev_over_rev=False leaves nothing to check; there is no forward mode")
    given = _as_tuple(inputs)
    _check_inputs("gradgradcheck", given)
    name = _name(func)
    try:
        probe = Probe(func, given)
        if not probe.connected:
            raise GradcheckError(f"gradgradcheck: {name}: no output requires a gradient, so there is no first "
                                 "derivative. Run gradcheck first.")
        if grad_outputs is None:
            upstream = tuple(_random_grad_output(shape, UPSTREAM_SEED - 1 - k, dtype, gen_non_contig_grad_outputs)
                             for k, (shape, dtype) in enumerate(zip(probe.out_shapes, probe.out_dtypes, strict=True)))
        else:
            upstream = _as_tuple(grad_outputs)
            if len(upstream) != len(probe.outs):
                raise GraphError(f"gradgradcheck: {len(upstream)} grad_outputs for {len(probe.outs)} differentiable "
                                 "outputs")
        first = _FirstDerivative(func, len(given), probe.args, probe.outs)
        names = probe.names + [f"grad_{name.replace(' ', '')}" for name in probe.out_names]
        try:
            second = Probe(first, given + upstream, names, "gradient")
        except GraphError as error:
            raise GradcheckError(f"gradgradcheck: {name}: the backward of {name} cannot be differentiated: "
                                 f"{error}") from error
        second.out_names = [f"(gradient of {names[probe.args[first.found[k]]]})" for k in second.outs]
        Check(second, "gradgradcheck", f"second derivative of {name}", Tolerance(eps, atol, rtol), nondet_tol,
               check_undefined_grad, check_grad_dtypes, fast_mode).run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


class _FirstDerivative:
    """(inputs, upstream gradients) -> the gradients of func that exist, recorded so that they can be differentiated."""

    def __init__(self, func: Func, count: int, args: list[int], outs: list[int]) -> None:
        self.func, self.count, self.args, self.outs = func, count, args, outs
        self.found: list[int] = []  # positions in args of the gradients returned

    def __call__(self, *values: Any) -> tuple[Tensor, ...]:
        inputs, upstream = values[:self.count], values[self.count:]
        result = self.func(*inputs)
        outputs = [y for y in (result if isinstance(result, (tuple, list)) else (result,)) if isinstance(y, Tensor)]
        gradients = grad([outputs[k] for k in self.outs], [inputs[i] for i in self.args], list(upstream),
                         create_graph=True, allow_unused=True)
        self.found = [k for k, g in enumerate(gradients) if g is not None]
        return tuple(gradients[k] for k in self.found)


def _as_tuple(inputs: Tensor | Sequence[Any]) -> tuple[Any, ...]:
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)


def _name(func: Func) -> str:
    owner = getattr(func, "__self__", None)
    if isinstance(owner, type):  # SomeFunction.apply
        return owner.__name__
    name = getattr(func, "__name__", type(func).__name__)
    return "the function" if name == "<lambda>" else str(name)


def _refuse(name: str, **options: bool) -> None:
    for option, value in options.items():
        if value:
            missing = ("masked gradients" if option == "masked" else "batched gradients (vmap)" if "batched" in option
                       else "forward mode differentiation")
            raise TgcError(f"{name}: {option}=True asks for {missing}, which tinygrad_course does not have. Leave it "
                           "out.")


def _check_inputs(name: str, inputs: tuple[Any, ...]) -> None:
    checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise GraphError(f"{name}: none of the {len(inputs)} inputs is a tensor with requires_grad=True; there is "
                         "nothing to check. Call x.requires_grad_() on a float64 tensor.")
    for i, x in checked:
        if x.dtype != np.float64:
            warnings.warn(f"{name}: input {i} is {x.dtype}, not float64. Its rounding is of the size of the "
                          "differences to be measured, so this check will probably fail; use "
                          "x.double().", UserWarning, stacklevel=3)


def _random_grad_output(shape: tuple[int, ...], seed: int, dtype: Any, strided: bool) -> Tensor:
    values = random_upstream(shape, seed).astype(dtype)
    if strided and shape:
        values = np.repeat(values, 2, axis=-1)[..., ::2]
    return from_numpy(values).requires_grad_()
