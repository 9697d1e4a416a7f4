"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_course.autograd import enable_grad, no_grad
from tinygrad_course.optim.flat import add_scaled, gradients, move
from tinygrad_course.optim.line_search import Point, strong_wolfe
from tinygrad_course.optim.optimizer import Optimizer
from tinygrad_course.optim.options import as_number
from tinygrad_course.optim.state import Group
from tinygrad_course.tensor import Tensor


class LBFGS(Optimizer):
    """Quasi-Newton: d = -H g, where H, the inverse of the Hessian, is kept as the last steps s and gradient changes y.

    Nocedal & Wright 2006, "Numerical optimization", algorithms 7.4 (two-loop recursion) and 7.5; Liu & Nocedal 1989.
    A step is up to max_iter iterations, each with the gradient of the same function: give the whole data set, not batches.

        def closure():
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            return loss
        optimizer.step(closure)

    lr                length of a step along d; with a line search the first length that is tried
    max_iter          iterations per step
    max_eval          calls of the closure per step, 1.25 max_iter by default
    tolerance_grad    end when no entry of |g| is larger
    tolerance_change  end when no parameter, or the loss, changes more
    history_size      pairs (s, y) that are kept: the memory is 2 history_size parameter vectors
    line_search_fn    'strong_wolfe' or None: without it a step can increase the loss
    All parameters are one group.  Their common state is kept with the first one.
    """

    _numbers = ()

    def __init__(self, params: Iterable[Any], lr: Any = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn})

    def add_param_group(self, param_group: Group) -> None:
        """The one group that there is; a second one is refused."""
        require_one_group(self)
        super().add_param_group(param_group)

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        check_line_search(group["line_search_fn"])

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations.  `closure()` clears the gradients, computes the loss, calls backward() and returns
        the loss.  Returns the first loss."""
        closure = enable_grad()(required_closure(self, closure))
        group = self.param_groups[0]
        params, lr, tolerance = group["params"], as_number(group["lr"]), group["tolerance_change"]
        state = self.state[params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        if all(param.grad is None for param in params):
            self._nothing_to_do()
        loss, g, evaluations = float(first_loss), gradients(params), 1
        state["func_evals"] += 1
        if _largest(g) <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(state, g, group["history_size"])
            t = min(1.0, 1.0 / float(g.abs().sum())) * lr if state["n_iter"] == 1 else lr
            state["d"], state["t"], state["prev_flat_grad"], state["prev_loss"] = d, t, g, loss
            before, slope, longest = loss, float(g.dot(d)), _largest(d)
            if slope > -tolerance:
                break
            if group["line_search_fn"] is not None:
                evaluate = _along(closure, params, d)
                here, count = strong_wolfe(evaluate, Point(0.0, loss, g, slope), t, longest, tolerance,
                                           group["max_eval"] - evaluations)
                t, loss, g = here.t, here.loss, here.gradient
                state["t"] = t
                move(params, t, d, "LBFGS.step")
            else:
                move(params, t, d, "LBFGS.step")
                count = 0
                if iteration < group["max_iter"]:  # the loss after the last iteration is the first of the next step
                    loss, g, count = float(closure()), gradients(params), 1
            evaluations += count
            state["func_evals"] += count
            if (evaluations >= group["max_eval"] or _largest(g) <= group["tolerance_grad"] or abs(t) * longest <= tolerance
                    or abs(loss - before) < tolerance):
                break
        return first_loss

    def _direction(self, state: dict[str, Any], g: Any, history_size: int) -> Any:
        """-H g, after the change of the gradient since the last iteration was noted."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return g.neg()
        ys, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(y.dot(s))
        if curvature > 1e-10:  # else H would not stay positive definite
            if len(ys) == history_size:
                for memory in (ys, steps, ro):
                    memory.pop(0)
            ys.append(y)
            steps.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / float(y.dot(y))
        al = state.setdefault("al", [None] * history_size)
        d = g.neg()
        for i in reversed(range(len(ys))):
            al[i] = float(steps[i].dot(d)) * ro[i]
            add_scaled(d, -al[i], ys[i])
        d = d * state["H_diag"]
        for i in range(len(ys)):
            add_scaled(d, al[i] - float(ys[i].dot(d)) * ro[i], steps[i])
        return d

    def _problem(self, key: str, value: Any, param: Tensor) -> str:
        """The vectors are as long as all parameters together."""
        length = sum(each.numel() for each in self._all_params())
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, Tensor) and entry.ndim > 0 and entry.shape != (length,):
                return f": the file has {entry.shape}, the parameters have {length} elements"
        return ""

    def _unpack(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {key: [_plain(each) for each in value] if isinstance(value, list) else _plain(value)
                for key, value in entry.items()}


def _plain(value: Any) -> Any:
    """PyTorch keeps the numbers as tensors."""
    return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value


def _largest(vector: Any) -> float:
    return float(vector.abs().max())


def _along(closure: Callable[[], Any], params: list[Tensor], d: Any) -> Callable[[float], Point]:
    """t -> the point x + t d; the parameters are put back each time, exactly."""
    here = [param.detach().clone() for param in params]

    def evaluate(t: float) -> Point:
        move(params, t, d, "LBFGS.step")
        loss = float(closure())
        g = gradients(params)
        for param, value in zip(params, here, strict=True):
            param.copy_(value)
        return Point(t, loss, g, float(g.dot(d)))

    return evaluate


def require_one_group(optimizer: Optimizer) -> None:
    """Raise if the optimiser has a group already."""
    if optimizer.param_groups:
        raise ValueError(f"{type(optimizer).__name__} doesn't support per-parameter options (parameter groups): it moves all "
                         "parameters along one direction")


def required_closure(optimizer: Optimizer, closure: Any) -> Callable[[], Any]:
    """The closure; raises if step() was called without one."""
    if not callable(closure):
        raise TypeError(f"{type(optimizer).__name__}.step: needs a closure, a function that computes the loss again, got "
                        f"{type(closure).__name__}")
    function: Callable[[], Any] = closure
    return function


def check_line_search(name: Any) -> None:
    """Raise for a line search that there is not."""
    if name not in (None, "strong_wolfe"):
        raise ValueError(f"line_search_fn: only 'strong_wolfe' is supported, or None, got {name!r}")
