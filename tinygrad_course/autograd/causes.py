"""What most likely made a NaN or an infinity, and what to do: one sentence for an op and the numbers at the bad place."""

from __future__ import annotations

from typing import Any

_TOO_LARGE = ("The numbers are too large for the type: lower the learning rate, scale the inputs, look at the gradients "
              "(clip_grad_norm_)")


def forward_cause(name: str, found: str, operands: list[float | None], arrays: list[Any]) -> str:
    """Why `name` made it in forward.

    operands    per input its value at the first bad place, None where that has no meaning
    """
    x = operands[0] if operands else None
    y = operands[1] if len(operands) > 1 else None
    if name in ("log", "log2", "log10", "log1p", "logit") and x is not None:
        if found == "Inf":
            return (f"{name} is infinite at the edge of its domain: clamp(min=1e-8) or add a small eps first; for "
                    "log(softmax(x)) use log_softmax(x)")
        return (f"{name} is not defined there. If where() drops that element later, its gradient is NaN all the same: "
                f"replace the input before, as in {name}(where(x > 0, x, 1))")
    if name in ("sqrt", "rsqrt", "std", "vector_norm"):
        return (f"{name} of a negative number, often a tiny one from rounding: clamp(min=0) first") if found == "NaN" else (
            f"{name} of 0: add a small eps")
    if name in ("acos", "asin", "acosh", "atanh", "erfinv"):
        return f"{name} is not defined there (or infinite at the edge): clamp the input into its domain first"
    if name in ("div", "reciprocal") and (y == 0 or (name == "reciprocal" and x == 0)):
        return "0 / 0 is NaN: add a small eps to the divisor" if found == "NaN" else (
            "Division by 0: add a small eps to the divisor")
    if name == "pow":
        return ("A negative number to a power that is no integer: take abs() or clamp(min=0) first" if found == "NaN" else
                "0 to a negative power, or a result beyond the type: add a small eps, or compute with logarithms")
    if name in ("exp", "exp2", "expm1", "sinh", "cosh"):
        return (f"{name} overflows, in float32 above 88: subtract the maximum first, or use softmax, logsumexp, "
                "cross_entropy or softplus, which do")
    if name in ("softmax", "log_softmax", "logsumexp"):
        return "A whole row is -inf, every place of it is masked: leave at least one, or do without such rows"
    if name in ("add", "sub", "sum", "cumsum") and found == "NaN":
        return "inf - inf is NaN: look where the infinities come from"
    if name in ("mul", "matmul", "linear") and found == "NaN":
        return "0 * inf is NaN: mask with where() instead of multiplying with 0"
    if name in ("var", "mean", "var_mean") and any(array is not None and array.size < 2 for array in arrays):
        return f"{name} of too few numbers: a variance needs two (or correction=0), a mean one"
    if name == "cast":
        return "The type cannot hold numbers that large (float16: up to 65504): scale them, or stay in float32"
    if found == "Inf" and any(array is not None and array.size and abs(array).max() > 1e4 for array in arrays):
        return _TOO_LARGE
    return f"{name} is not finite for what went in: keep its input away from there (clamp, a small eps)"


def backward_cause(name: str, values: list[float | None], zero_arrived: bool) -> str:
    """Why the backward rule of `name` made it; zero_arrived: the gradient at the bad place was 0."""
    if zero_arrived:
        return (f"The gradient that arrives there is 0, the slope of {name} infinite, and 0 * inf is NaN: where() or a mask "
                f"chose another branch, but too late. Replace the input before {name}, as in {name}(where(ok, x, 1))")
    if name in ("sqrt", "vector_norm", "std", "cdist", "pow", "rsqrt"):
        return f"The slope of {name} is infinite at 0: add a small eps to the input, sqrt(x + eps)"
    if name in ("log", "div", "reciprocal") and 0.0 in values:
        return f"The slope of {name} is infinite at 0: add a small eps, or clamp(min=eps)"
    return _TOO_LARGE
