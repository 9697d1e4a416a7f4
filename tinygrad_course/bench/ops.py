"""Single ops, forward and backward, in this package and in PyTorch, with the share of what the machine can do."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tinygrad_course.bench.check import WrongResult
from tinygrad_course.bench.engines import EAGER, OURS, Engine, to_numpy
from tinygrad_course.bench.machine import Disturbance, Watchman
from tinygrad_course.bench.measure import Plan, Ratio, Timing, Turn, interleave, ratio, repeat, repeat_second
from tinygrad_course.bench.opcases import CASES, OpCase

OP_BOUND = 1e-3  # relative, in the L2 norm


@dataclass(frozen=True)
class Peak:
    """What the better of both engines reaches: FLOP/s in a large matrix product, bytes/s in a sum of large arrays."""

    threads: int
    flops: float
    bandwidth: float


@dataclass
class OpRow:
    """One op in one direction with one number of threads.

    flops, bytes  of one call; bytes counts every input, output and gradient once
    attainable    seconds that the roofline allows: the larger of flops over peak and bytes over bandwidth
    """

    op: str
    direction: str
    threads: int
    flops: float = 0.0
    bytes: float = 0.0
    attainable: float = float("nan")
    timings: dict[str, Timing] = field(default_factory=dict)
    disturbance: Disturbance | None = None
    problem: str = ""
    wrong: bool = False

    @property
    def timed(self) -> bool:
        """Whether there are timings."""
        return OURS in self.timings

    def ratio(self) -> Ratio:
        """How many times faster ours is than PyTorch."""
        return ratio(self.timings[OURS], self.timings[EAGER])

    def rate(self) -> tuple[float, str]:
        """What ours reaches: GFLOP/s where there is arithmetic, else GB/s."""
        seconds = self.timings[OURS].median
        return (self.flops / seconds / 1e9, "GFLOP/s") if self.flops else (self.bytes / seconds / 1e9, "GB/s")

    def share(self) -> float:
        """Of the roofline; above 1 where the arrays stay in a cache, which is faster than the memory of the roofline."""
        return self.attainable / self.timings[OURS].median

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        content = asdict(self)
        if self.timed:
            rate, unit = self.rate()
            content |= {"ratio": asdict(self.ratio()), "rate": rate, "unit": unit, "share": self.share()}
            for name, timing in self.timings.items():
                content["timings"][name]["median"] = timing.median
        return content


def measure_peak(engines: Sequence[Engine], threads: int, plan: Plan) -> Peak:
    """The roofline of the machine with so many threads."""
    products: dict[str, Turn] = {}
    sums: dict[str, Turn] = {}
    rng = np.random.default_rng(0)
    square, long = rng.standard_normal((1024, 1024), dtype=np.float32), np.ones(1 << 24, np.float32)
    for engine in engines:
        engine.set_num_threads(threads)
        a, b, x, y = (engine.module.tensor(array) for array in (square, square, long, long))
        products[engine.name] = repeat(partial(operator.matmul, a, b))
        sums[engine.name] = repeat(partial(operator.add, x, y))
    fastest = min(timing.best for timing in interleave(products, plan).values())
    copied = min(timing.best for timing in interleave(sums, plan).values())
    return Peak(threads, 2.0 * 1024**3 / fastest, 3.0 * long.nbytes / copied)


def run(names: Sequence[str], threads: Sequence[int], plan: Plan, peaks: Sequence[Peak],
        progress: Callable[[str], None] = lambda text: None) -> Iterator[OpRow]:
    """Rows as they are done: forward and backward of the first op for all numbers of threads, then of the next."""
    engines = [Engine(OURS), Engine(EAGER)]
    for name in names:
        case = CASES[name]
        progress(name)
        rows = [OpRow(name, direction, n) for n in threads for direction in ("forward", "backward")]
        try:
            contestants = _prepare(case, engines)
        except Exception as error:
            for row in rows:
                row.problem, row.wrong = f"{type(error).__name__}: {' '.join(str(error).split())}", True
                yield row
            continue
        for row in rows:
            for engine in engines:
                engine.set_num_threads(row.threads)
            watchman = Watchman()
            turns = {name: prepared.turn(row.direction) for name, prepared in contestants.items()}
            row.timings = interleave(turns, plan, watchman.calibrate)
            row.disturbance = watchman.report()
            factor = 1 if row.direction == "forward" else 2
            row.flops = factor * case.flops
            row.bytes = contestants[OURS].bytes(row.direction)
            peak = next(peak for peak in peaks if peak.threads == row.threads)
            row.attainable = max(row.flops / peak.flops, row.bytes / peak.bandwidth)
            yield row


class _Prepared:
    """An op with its inputs in one engine."""

    def __init__(self, case: OpCase, engine: Engine) -> None:
        torch = engine.module
        arrays = case.inputs(np.random.default_rng(0))
        self.inputs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
        self.forward: Callable[[], Any] = lambda: case.call(torch, *self.inputs)
        out = self.forward()
        # Random, because a gradient of ones hides wrong factors.
        values = np.random.default_rng(1).standard_normal(tuple(out.shape), dtype=np.float32)
        self.gradient = torch.tensor(values)
        self.results = [to_numpy(out)]
        self.backward(out)
        self.results += [to_numpy(x.grad) for x in self.inputs if x.requires_grad]
        self._in = sum(array.nbytes for array in arrays)
        self._out = values.nbytes

    def start(self) -> Any:
        """The output, with gradients of nothing."""
        for x in self.inputs:
            x.grad = None
        return self.forward()

    def backward(self, out: Any) -> None:
        """From the output to the inputs."""
        out.backward(self.gradient)

    def turn(self, direction: str) -> Turn:
        """What is timed."""
        return repeat(self.forward) if direction == "forward" else repeat_second(self.start, self.backward)

    def bytes(self, direction: str) -> float:
        """Inputs and output; backward the gradient of the output, the inputs and their gradients."""
        return float(self._in + self._out if direction == "forward" else 2 * self._in + self._out)


def _prepare(case: OpCase, engines: Sequence[Engine]) -> dict[str, _Prepared]:
    """The op in both engines; raises WrongResult if output or gradients differ."""
    prepared = {engine.name: _Prepared(case, engine) for engine in engines}
    for number, (ours, theirs) in enumerate(zip(prepared[OURS].results, prepared[EAGER].results, strict=True)):
        error = float(np.linalg.norm((ours - theirs).ravel())) / max(float(np.linalg.norm(theirs.ravel())), 1e-30)
        if not error <= OP_BOUND:
            what = "output" if number == 0 else f"gradient of input {number - 1}"
            raise WrongResult(f"{what} is off by {error:.2g} of its length")
    return prepared
