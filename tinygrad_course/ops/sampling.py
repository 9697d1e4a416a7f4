"""Draws from distributions.

Every function takes a `generator`, by default the default generator; the same seed gives the same values for any number
of threads.  bernoulli, binomial, normal and poisson draw with tensors as parameters; those have the gradient 0, as in
PyTorch.  For another one write the draw as a function of a fixed draw: mean + std * randn().  uniform, exponential,
geometric, cauchy and log_normal take only the shape, type and place of `input`: x.exponential_() fills x with them.
"""

from typing import Any

import numpy as np

from tinygrad_course import backend
from tinygrad_course.autograd.base import Shape, TensorBase
from tinygrad_course.autograd.grad_mode import is_grad_enabled
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.ops.arguments import integer, number
from tinygrad_course.ops.broadcast import broadcast_shape
from tinygrad_course.ops.cast import cast
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.creation import finish, floating_dtype, sizes
from tinygrad_course.ops.dtypes import float64, require_tensors, result_type
from tinygrad_course.ops.random import Generator, draw

__all__ = [
    "bernoulli", "binomial", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal", "poisson",
    "uniform",
]


def bernoulli(input: Any, p: Any = None, *, generator: Generator | None = None) -> Any:
    """1 with probability `input`, else 0, elementwise; with `p` (a number or tensor) in the shape and type of input."""
    require_tensors("bernoulli", input)
    chances = input.array if p is None else p.array if isinstance(p, TensorBase) else np.asarray(p, float64)
    if chances.dtype.kind != "f":
        raise DTypeError(f"bernoulli: the probabilities must be floating point, got {chances.dtype}")
    if broadcast_shape("bernoulli", input.array.shape, chances.shape) != input.array.shape:
        raise ShapeError(f"bernoulli: p of shape {chances.shape} does not broadcast to the input's {input.array.shape}")
    if not bool(((chances >= 0) & (chances <= 1)).all()):
        raise ValueError("bernoulli: every probability must be between 0 and 1")
    values = _as(input, _uniforms(input.array.shape, generator) < backend.to_device(chances, "cpu"))
    parameters = [input] if p is None else [p] if isinstance(p, TensorBase) else []
    return _drawn(values, *parameters)


def binomial(count: Any, prob: Any, generator: Generator | None = None) -> Any:
    """How many of `count` trials succeed, each with probability `prob`; elementwise, with broadcasting.

    A uniform number per trial: for counts up to some thousands."""
    require_tensors("binomial", count, prob)
    n, p = backend.to_device(count.array, "cpu"), backend.to_device(prob.array, "cpu")
    if n.dtype != p.dtype or n.dtype.kind != "f":
        raise DTypeError(f"binomial: count and prob must be floating point of one type, got {n.dtype} and {p.dtype}")
    if not bool((n >= 0).all() and ((p >= 0) & (p <= 1)).all()):
        raise ValueError("binomial: counts must not be negative, and probabilities be between 0 and 1")
    broadcast_shape("binomial", n.shape, p.shape)
    n, p = np.broadcast_arrays(n, p)
    trials = np.floor(n).astype(np.int64).ravel()
    owner = np.repeat(np.arange(n.size), trials)  # which element a trial belongs to
    won = _uniforms((int(trials.sum()),), generator) < p.ravel()[owner]
    return _drawn(_as(prob, np.bincount(owner[won], minlength=n.size).reshape(n.shape)), count, prob)


def poisson(input: Any, generator: Generator | None = None) -> Any:
    """P(k) = e^-m m^k / k!, elementwise, with the mean m = input."""
    require_tensors("poisson", input)
    mean = backend.to_device(input.array, "cpu")
    if mean.dtype.kind != "f":
        raise DTypeError(f"poisson: the means must be floating point, got {mean.dtype}")
    if not bool(((mean >= 0) & np.isfinite(mean)).all()):
        raise ValueError("poisson: every mean must be finite and not negative")
    flat = mean.astype(float64).ravel()
    counts = backend.get("cpu").sample_poisson(flat, lambda n: _uniforms((n,), generator))
    return _drawn(_as(input, counts.reshape(mean.shape)), input)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Any:
    """`num_samples` category numbers per row, with probabilities proportional to the row.

    input (K,) or (N, K), weights that need not add up to 1  ->  int64 (num_samples,) or (N, num_samples).
    Without replacement no category comes twice; they are in the order in which they would be drawn."""
    require_tensors("multinomial", input)
    weights = np.atleast_2d(backend.to_device(input.array, "cpu"))
    if weights.dtype.kind != "f":
        raise DTypeError(f"multinomial: the weights must be floating point, got {weights.dtype}")
    if input.array.ndim not in (1, 2):
        raise ShapeError(f"multinomial: the weights must have 1 or 2 axes, got shape {input.array.shape}")
    num_samples = integer("multinomial", "num_samples", num_samples)
    if num_samples <= 0:
        raise ValueError(f"multinomial: the number of samples must be positive, got {num_samples}")
    if not bool(((weights >= 0) & np.isfinite(weights)).all()):
        raise ValueError("multinomial: every weight must be finite and not negative")
    categories = (weights > 0).sum(axis=1)
    fewest = int(categories.min(initial=weights.shape[1]))
    if fewest < 1 or (not replacement and num_samples > fewest):
        raise ValueError(f"multinomial: {num_samples} samples of a row in which {fewest} categories have a positive weight"
                         + ("" if replacement else "; draw fewer, or with replacement=True"))
    rows = weights.astype(float64)
    u = _uniforms((len(rows), num_samples if replacement else rows.shape[1]), generator)
    found = backend.get("cpu").sample_weighted(rows, u, bool(replacement))[:, :num_samples]
    return finish(found[0] if input.array.ndim == 1 else np.ascontiguousarray(found), backend.device_of(input.array), False)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: Any = None, requires_grad: bool = False) -> Any:
    """Normal with mean and standard deviation as tensors (elementwise, with broadcasting), or as numbers with a `size`."""
    given = [value for value in (mean, std) if isinstance(value, TensorBase)]
    loc, scale = [value.array if isinstance(value, TensorBase) else number("normal", value) for value in (mean, std)]
    if not bool(np.all(backend.to_device(scale, "cpu") >= 0) if isinstance(std, TensorBase) else scale >= 0):
        raise ValueError("normal: a standard deviation must not be negative")
    if not given or size is not None:
        if size is None:
            raise TypeError("normal: with numbers as mean and std the third argument is the size: normal(0.0, 1.0, (2, 3))")
        z = draw("normal", sizes("normal", (size,)), floating_dtype("normal", dtype), generator)
        return finish((z * number("normal", std) + number("normal", mean)).astype(z.dtype), device, requires_grad)
    shape = broadcast_shape("normal", *[value.array.shape for value in given]) if len(given) == 2 else given[0].array.shape
    kind = floating_dtype("normal", result_type(*given) if len(given) == 2 else given[0].array.dtype)
    z = backend.to_device(draw("normal", shape, kind, generator), backend.device_of(given[0].array))
    return _drawn(_as(given[0], z * scale + loc, kind), *given)


def uniform(input: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Uniform in [a, b), in the shape and type of `input`: what `uniform_` fills a tensor with."""
    a, b = number("uniform", a, "a"), number("uniform", b, "b")
    if not a <= b:
        raise ValueError(f"uniform: [{a}, {b}) is empty; a must not be greater than b")
    kind = _floating("uniform", input)
    return _as(input, draw("uniform", input.array.shape, kind, generator) * (b - a) + a)


def exponential(input: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Waiting times with rate `lambd`, P(y > t) = e^(-lambd t), in the shape and type of `input`."""
    lambd = number("exponential", lambd, "lambd")
    if not lambd > 0:
        raise ValueError(f"exponential: the rate lambd must be positive, got {lambd}")
    _floating("exponential", input)
    return _as(input, backend.get("cpu").sample_exponential(_uniforms(input.array.shape, generator), float(lambd)))


def geometric(input: Any, p: float, *, generator: Generator | None = None) -> Any:
    """The number of trials up to the first success, P(k) = (1 - p)^(k - 1) p for k = 1, 2, ..., shaped like `input`."""
    require_tensors("geometric", input)
    p = number("geometric", p, "p")
    if not 0 < p < 1:
        raise ValueError(f"geometric: the probability p must be between 0 and 1, got {p}")
    return _as(input, backend.get("cpu").sample_geometric(_uniforms(input.array.shape, generator), float(p)))


def cauchy(input: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Any:
    """The density 1 / (pi sigma (1 + ((y - median) / sigma)^2)), in the shape and type of `input`."""
    median, sigma = number("cauchy", median, "median"), number("cauchy", sigma, "sigma")
    if not sigma > 0:
        raise ValueError(f"cauchy: the width sigma must be positive, got {sigma}")
    _floating("cauchy", input)
    u = _uniforms(input.array.shape, generator)
    return _as(input, backend.get("cpu").sample_cauchy(u, float(median), float(sigma)))


def log_normal(input: Any, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Any:
    """e^z with z normal with that mean and standard deviation, in the shape and type of `input`."""
    mean, std = number("log_normal", mean, "mean"), number("log_normal", std, "std")
    if not std > 0:
        raise ValueError(f"log_normal: the standard deviation must be positive, got {std}")
    _floating("log_normal", input)
    with np.errstate(over="ignore"):
        return _as(input, np.exp(draw("normal", input.array.shape, float64, generator) * std + mean))


def _uniforms(shape: Shape, generator: Generator | None) -> Any:
    return draw("uniform", shape, float64, generator)


def _floating(op: str, input: Any) -> Any:
    require_tensors(op, input)
    if input.array.dtype.kind != "f":
        raise DTypeError(f"{op}: the values are floating point numbers, which {input.array.dtype} cannot hold; use x.float()")
    return input.array.dtype


def _drawn(values: Any, *parameters: Any) -> Any:
    """The values in the graph of the tensors they were drawn with, each with the gradient 0."""
    for parameter in parameters:
        if parameter.track and is_grad_enabled():
            never = finish(backend.array_module(values.array).zeros(values.array.shape, bool), None, False)
            values = where(never, cast(parameter, values.array.dtype), values)
    return values


def _as(input: Any, array: Any, dtype: Any = None) -> Any:
    """The values as the type, and in the place, of `input`."""
    with np.errstate(over="ignore"):
        values = np.asarray(array).astype(input.array.dtype if dtype is None else dtype, copy=False)
    return finish(backend.to_device(values, backend.device_of(input.array)), None, False)
