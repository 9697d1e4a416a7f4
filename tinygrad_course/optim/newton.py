"""Newton's method: full, with conjugate gradients, and with the diagonal alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tinygrad_course import linalg
from tinygrad_course.autograd import enable_grad, grad, no_grad
from tinygrad_course.errors import GraphError, ShapeError
from tinygrad_course.ops.comparison import where
from tinygrad_course.ops.creation import eye
from tinygrad_course.ops.join import stack
from tinygrad_course.ops.like import zeros_like
from tinygrad_course.optim.flat import flatten, move
from tinygrad_course.optim.lbfgs import check_line_search, require_one_group, required_closure
from tinygrad_course.optim.line_search import Point, strong_wolfe
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.options import as_number, check_number
from tinygrad_course.optim.state import Group
from tinygrad_course.tensor import Tensor


class _SecondOrder(Optimizer):
    """What Newton and DiagonalNewton share: the closure is differentiated twice here, and one step goes along d."""

    _numbers = ()

    def add_param_group(self, param_group: Group) -> None:
        """The one group that there is; a second one is refused."""
        require_one_group(self)
        super().add_param_group(param_group)

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_number("damping value", group["damping"])
        check_line_search(group["line_search_fn"])
        if group["curvature"] not in ("hessian", "gauss_newton"):
            raise ValueError(f"curvature: 'hessian' or 'gauss_newton', got {group['curvature']!r}")

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.  `closure()` computes the loss and returns it, without backward(): it is differentiated here.

        With curvature='gauss_newton' it returns the residuals r of a least-squares problem; the loss is r.r / 2.
        Returns the loss before the step; the gradient there is left in the parameters' .grad.
        """
        closure = required_closure(self, closure)
        group = self.param_groups[0]
        params, lr = [param for param in group["params"] if param.requires_grad], as_number(group["lr"])
        outcome, loss = self._forward(closure)
        if not params or not loss.requires_grad:
            self._nothing_to_do()
            return loss.detach()
        with enable_grad():
            g = self._gradient(outcome, loss, params, again=True)
            d = self._direction(group, outcome, g, params)
        g = g.detach()
        for param, part in zip(params, _parts(g, params), strict=True):
            param.grad = part
        if group["line_search_fn"] is not None:
            start = Point(0.0, float(loss), g, float(g.dot(d)))
            here, _ = strong_wolfe(self._along(closure, params, d), start, lr, float(d.abs().max()))
            lr = here.t
        move(params, lr, d, f"{type(self).__name__}.step")
        return loss.detach()

    def _direction(self, group: Group, outcome: Any, g: Any, params: list[Tensor]) -> Any:
        raise NotImplementedError

    def _forward(self, closure: Any) -> tuple[Any, Any]:
        """What the closure returned, and the loss."""
        with enable_grad():
            outcome = closure()
            residuals = self.param_groups[0]["curvature"] == "gauss_newton"
            if not residuals and outcome.numel() != 1:
                raise ShapeError(f"{type(self).__name__}.step: the closure returned a tensor of shape {outcome.shape}; "
                                 "return the loss, one number, or use curvature='gauss_newton' for residuals")
            return outcome, (outcome * outcome).sum() / 2 if residuals else outcome

    def _gradient(self, outcome: Any, loss: Any, params: list[Tensor], again: bool) -> Any:
        try:
            return flatten(grad([loss], params, retain_graph=again, create_graph=again, allow_unused=True), params)
        except GraphError as error:
            raise GraphError(f"{type(self).__name__}.step: the closure must return the loss with its graph, without calling "
                             f"backward(): {error}") from error

    def _along(self, closure: Any, params: list[Tensor], d: Any) -> Callable[[float], Point]:
        """t -> the point x + t d; the parameters are put back each time, exactly."""
        here = [param.detach().clone() for param in params]
        writer = f"{type(self).__name__}.step"

        def evaluate(t: float) -> Point:
            move(params, t, d, writer)
            outcome, loss = self._forward(closure)
            with enable_grad():
                g = self._gradient(outcome, loss, params, again=False).detach()
            for param, value in zip(params, here, strict=True):
                param.copy_(value)
            return Point(t, float(loss), g, float(g.dot(d)))

        return evaluate


class Newton(_SecondOrder):
    """p = p - lr * (H + damping * 1)^-1 g: to the stationary point of the parabola that touches the loss here.

    One step solves a quadratic problem.  Near a minimum the error is squared by each step; far from it the step may lead
    to a saddle or a maximum: damping turns it towards -g and shortens it (Levenberg 1944), a line search lets it only go
    down.  Nocedal & Wright 2006, "Numerical optimization", chapters 3.3 and 3.4.

        def closure():
            return loss_fn(model(x), y)      # no backward()
        optimizer.step(closure)

    lr              length of the step; with a line search the first length that is tried
    damping         is added to the diagonal of H
    line_search_fn  'strong_wolfe' or None.  With it H is made positive definite first, if it is not, by a multiple of the
                    identity (algorithm 3.3)
    solver          'direct': forms H, a backward pass per parameter and N^2 numbers, and solves;
                    'cg': conjugate gradients with products H v, a backward pass each, until |H d + g| is at most
                    min(0.01, |g|) |g| or the curvature along a direction is not positive (algorithm 7.1)
    curvature       'hessian', or 'gauss_newton': J^T J for residuals r with the Jacobian J, never negative; with damping
                    that is the method of Levenberg and Marquardt
    All parameters are one group; nothing is remembered between steps.
    """

    def __init__(self, params: Iterable[Any], lr: Any = 1.0, damping: float = 0.0, line_search_fn: str | None = None,
                 solver: str = "direct", curvature: str = "hessian") -> None:
        super().__init__(params, {"lr": lr, "damping": damping, "line_search_fn": line_search_fn, "solver": solver,
                                  "curvature": curvature})

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if group["solver"] not in ("direct", "cg"):
            raise ValueError(f"solver: 'direct' or 'cg', got {group['solver']!r}")
        if group["solver"] == "cg" and group["curvature"] == "gauss_newton":
            raise ValueError("solver='cg' multiplies with the Hessian; curvature='gauss_newton' needs solver='direct'")

    def _direction(self, group: Group, outcome: Any, g: Any, params: list[Tensor]) -> Any:
        if group["solver"] == "cg":
            return _conjugate_gradients(lambda v: _row(g, v, params) + group["damping"] * v, g.detach())
        if group["curvature"] == "gauss_newton":
            jacobian = stack(list(_rows(outcome.reshape(-1), params)))  # (R, N)
            matrix = jacobian.t() @ jacobian
        else:
            matrix = stack(list(_rows(g, params)))  # (N, N)
            matrix = (matrix + matrix.t()) / 2
        g = g.detach()
        one = eye(len(g), dtype=g.dtype, device=g.device)
        matrix = matrix + group["damping"] * one
        if group["line_search_fn"] is not None:
            factor = _positive(matrix, one)
            return linalg.solve_triangular(factor.t(), linalg.solve_triangular(factor, -g.unsqueeze(1), upper=False),
                                           upper=True).squeeze(1)
        try:
            return linalg.solve(matrix, -g)
        except linalg.LinAlgError as error:
            raise linalg.LinAlgError(f"Newton.step: the matrix of second derivatives is singular ({error}); give damping, "
                                     "for example 1e-3") from error


class DiagonalNewton(_SecondOrder):
    """p_i = p_i - lr * g_i / (|h_i| + damping), where h_i is the second derivative of the loss by p_i alone.

    Becker & LeCun 1988, "Improving the convergence of back-propagation learning with second order methods", equation 12.
    N numbers in place of N^2, and always downhill; what is lost is the valley that is not parallel to an axis.

    curvature  'hessian': the diagonal of H, exactly, a backward pass per parameter; 'gauss_newton': the closure returns
               residuals r, and h_i is the sum of (dr_k / dp_i)^2, a backward pass per residual: LeCun's approximation,
               which is never negative
    lr, damping, line_search_fn and the closure are Newton's.
    """

    def __init__(self, params: Iterable[Any], lr: Any = 1.0, damping: float = 0.0, line_search_fn: str | None = None,
                 curvature: str = "hessian") -> None:
        super().__init__(params, {"lr": lr, "damping": damping, "line_search_fn": line_search_fn, "curvature": curvature})

    def _direction(self, group: Group, outcome: Any, g: Any, params: list[Tensor]) -> Any:
        h = zeros_like(g)
        if group["curvature"] == "gauss_newton":
            for row in _rows(outcome.reshape(-1), params):
                h = h + row * row
        else:
            for index, row in enumerate(_rows(g, params)):
                h[index] = row[index]
        g, h = g.detach(), h.abs() + group["damping"]
        if ((h == 0) & (g != 0)).any():
            raise linalg.LinAlgError("DiagonalNewton.step: a parameter has a slope and no curvature; give damping, for "
                                     "example 1e-3")
        return -g / where(h == 0, 1, h)  # 0 for parameters that the loss does not depend on


def _row(y: Any, v: Any, params: list[Tensor]) -> Any:
    """v^T dy/dp as one vector (N,); `y` is a vector with a graph, or does not depend on the parameters."""
    if not y.requires_grad:
        return flatten([None] * len(params), params)
    return flatten(grad([y], params, [v], retain_graph=True, allow_unused=True), params)


def _rows(y: Any, params: list[Tensor]) -> Iterator[Any]:
    """The rows of the Jacobian dy/dp, one after the other."""
    for index in range(len(y)):
        v = zeros_like(y.detach())
        v[index] = 1
        yield _row(y, v, params)


def _parts(vector: Any, params: list[Tensor]) -> list[Any]:
    """A vector (N,) cut into the shapes of the parameters."""
    sizes = [param.numel() for param in params]
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [vector[end - size:end].reshape(param.shape) for end, size, param in zip(ends, sizes, params, strict=True)]


def _positive(matrix: Any, one: Any) -> Any:
    """The Cholesky factor of matrix + tau * 1 with the first tau of 0, b, 2 b, 4 b ... that has one; b is 0.001, or more to
    lift the smallest entry of the diagonal to it."""
    beta = 1e-3
    smallest = float(matrix.diagonal().min())
    tau = 0.0 if smallest > 0 else beta - smallest
    while True:
        factor, info = linalg.cholesky_ex(matrix + tau * one)
        if int(info) == 0:
            return factor
        if not tau < 1e30:
            raise linalg.LinAlgError("Newton.step: the second derivatives are not finite")
        tau = max(2 * tau, beta)


def _conjugate_gradients(product: Callable[[Any], Any], g: Any) -> Any:
    """d with H d = -g, approximately; `product` is v -> H v."""
    size = float(g.norm())
    tolerance = min(0.01, size) * size
    d, r = zeros_like(g), g.clone()
    p = -r
    for _ in range(2 * len(g)):  # N would do if nothing were rounded
        hp = product(p).detach()
        curvature = float(p.dot(hp))
        if curvature <= 0:
            return -g if not d.any() else d
        rr = float(r.dot(r))
        d = d + rr / curvature * p
        r = r + rr / curvature * hp
        if float(r.norm()) <= tolerance:
            break
        p = -r + float(r.dot(r)) / rr * p
    return d
