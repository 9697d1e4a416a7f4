"""What an op, a layer and an optimiser cost beside the arithmetic: everything on arrays of a few elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tinygrad_course.bench.engines import EAGER, OURS, Engine
from tinygrad_course.bench.measure import Plan, Ratio, Timing, Turn, interleave, ratio, repeat, repeat_second

CHAIN = 100  # nodes of the chain whose backward pass is timed


@dataclass
class OverheadRow:
    """Seconds per piece (an op, a node, a call)."""

    what: str
    timings: dict[str, Timing] = field(default_factory=dict)

    def ratio(self) -> Ratio:
        """How many times faster ours is than PyTorch."""
        return ratio(self.timings[OURS], self.timings[EAGER])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        content = asdict(self) | {"ratio": asdict(self.ratio())}
        for name, timing in self.timings.items():
            content["timings"][name]["median"] = timing.median
        return content


def _operands(torch: Any) -> tuple[Any, Any]:
    return torch.tensor([1.5], requires_grad=True), torch.tensor([0.999], requires_grad=True)


def _product(torch: Any) -> Turn:
    a, b = _operands(torch)
    return repeat(lambda: a * b)


def _product_without_graph(torch: Any) -> Turn:
    a, b = torch.tensor([1.5]), torch.tensor([0.999])
    return repeat(lambda: a * b)


def _chain(torch: Any) -> Turn:
    a, b = _operands(torch)

    def forward() -> Any:
        a.grad = b.grad = None
        y = a
        for _ in range(CHAIN):
            y = y * b
        return y

    turn = repeat_second(forward, lambda y: y.backward())
    return lambda n: turn(n) / CHAIN


def _module(make: Callable[[Any], Any]) -> Callable[[Any], Turn]:
    def turn(torch: Any) -> Turn:
        layer, x = make(torch.nn), torch.ones(1, 4)
        return repeat(lambda: layer(x))

    return turn


def _optimizer(name: str, **options: Any) -> Callable[[Any], Turn]:
    def turn(torch: Any) -> Turn:
        nn = torch.nn
        model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        model(torch.ones(4, 2)).sum().backward()
        return repeat(getattr(torch.optim, name)(model.parameters(), **options).step)

    return turn


def _zero_grad(torch: Any) -> Turn:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return repeat_second(lambda: model(torch.ones(4, 2)).sum().backward(), lambda _: optimizer.zero_grad())


CASES: dict[str, Callable[[Any], Turn]] = {
    "a * b, no graph": _product_without_graph,
    "a * b, recorded": _product,
    "backward per node of a * b": _chain,
    "Identity()(x)": _module(lambda nn: nn.Identity()),
    "Linear(4, 4)(x)": _module(lambda nn: nn.Linear(4, 4)),
    "Sequential of 3 Identity": _module(lambda nn: nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())),
    "SGD step, 4 parameters": _optimizer("SGD", lr=0.1),
    "SGD with momentum, 4 parameters": _optimizer("SGD", lr=0.1, momentum=0.9),
    "Adam step, 4 parameters": _optimizer("Adam", lr=1e-3),
    "zero_grad, 4 parameters": _zero_grad,
    "tensor([1.0])": lambda torch: repeat(lambda: torch.tensor([1.0])),
    "with no_grad()": lambda torch: repeat(lambda: _enter(torch.no_grad())),
}


def _enter(context: Any) -> None:
    with context:
        pass


def run(names: Sequence[str], plan: Plan, progress: Callable[[str], None] = lambda text: None) -> Iterator[OverheadRow]:
    """Rows as they are done."""
    engines = [Engine(OURS), Engine(EAGER)]
    for engine in engines:
        engine.set_num_threads(1)
    for name in names:
        progress(name)
        yield OverheadRow(name, interleave({engine.name: CASES[name](engine.module) for engine in engines}, plan))
