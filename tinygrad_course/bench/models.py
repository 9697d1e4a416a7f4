"""Whole training steps and inference of course-size models, in this package, in PyTorch and in JAX."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tinygrad_course.bench import dense, generative, sequence, vision
from tinygrad_course.bench.check import Agreement, FirstStep, WrongResult, compare, first_step
from tinygrad_course.bench.engines import EAGER, OURS, Engine, copy_weights, named_arrays
from tinygrad_course.bench.jax_process import JAX, JaxProcess
from tinygrad_course.bench.machine import Disturbance, Watchman
from tinygrad_course.bench.measure import Plan, Ratio, Timing, interleave, ratio, repeat
from tinygrad_course.bench.task import Model, Task
from tinygrad_course.errors import DependencyError

REGISTRY: dict[str, Model] = {model.name: model for family in (dense, vision, sequence, generative)
                              for model in family.MODELS}


@dataclass
class Row:
    """One model with one number of threads.  `problem` says why there are no timings, if there are none.

    training, inference  timings by engine
    wrong                true if the engines disagreed on the first step
    absent               by engine, why it is not compared with
    """

    model: str
    title: str
    threads: int
    goal: float
    training: dict[str, Timing] = field(default_factory=dict)
    inference: dict[str, Timing] = field(default_factory=dict)
    agreement: Agreement | None = None
    disturbance: Disturbance | None = None
    problem: str = ""
    wrong: bool = False
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Whether there are timings of both ours and PyTorch's."""
        return {OURS, EAGER} <= set(self.training) & set(self.inference)

    def ratio(self, what: str = "training", to: str = EAGER) -> Ratio:
        """How many times faster ours is than `to`."""
        timings: dict[str, Timing] = getattr(self, what)
        return ratio(timings[OURS], timings[to])

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with medians and ratios beside the samples."""
        content = asdict(self)
        for what in ("training", "inference"):
            for name, timing in getattr(self, what).items():
                content[what][name]["median"] = timing.median
            content[f"{what}_ratio"] = {to: asdict(self.ratio(what, to)) for to in getattr(self, what) if to != OURS}
        return content


def run(names: Sequence[str], threads: Sequence[int], plan: Plan, against: Sequence[str] = (EAGER,),
        progress: Callable[[str], None] = lambda text: None) -> Iterator[Row]:
    """Rows as they are done: all numbers of threads of the first model, then of the next.  Needs PyTorch."""
    engines = [Engine(OURS), *(Engine(name) for name in dict.fromkeys((EAGER, *against)) if name != JAX)]
    for name in names:
        model = REGISTRY[name]
        progress(f"{model.title}: first step")
        rows = [Row(model.name, model.title, n, model.goal) for n in threads]
        tasks: dict[str, Task] = {}
        try:
            start = _prepare(model, engines, tasks, rows)
        except (AttributeError, NotImplementedError) as error:
            for row in rows:
                row.problem = f"not available: {_short(error)}"
                yield row
            continue
        except WrongResult as error:
            for row in rows:
                row.problem, row.wrong = f"wrong result: {_short(error)}", True
                yield row
            continue
        except Exception as error:
            for row in rows:
                row.problem, row.wrong = f"{type(error).__name__}: {_short(error)}", True
                yield row
            continue
        for row in rows:
            row.agreement = start.agreement
            progress(f"{model.title}: {row.threads} thread{'s' * (row.threads > 1)}")
            with contextlib.ExitStack() as stack:
                jax = _start_jax(row, model, start, stack) if JAX in against else None
                _time(row, [engine for engine in engines if engine.name in tasks], tasks, plan, jax)
            yield row
        tasks.clear()
        gc.collect()


@dataclass
class _Start:
    """What all engines start from, by name, and our first step from there."""

    weights: dict[str, Any]
    buffers: dict[str, Any]
    step: FirstStep
    agreement: Agreement


def _prepare(model: Model, engines: Sequence[Engine], tasks: dict[str, Task], rows: Sequence[Row]) -> _Start:
    """Build the model in every engine with the weights of PyTorch's, and compare the first step of ours with PyTorch's."""
    eager = next(engine for engine in engines if engine.name == EAGER)
    tasks[EAGER] = eager.build(model)
    for engine in engines:
        if engine is eager:
            continue
        try:
            task = engine.build(model)
            copy_weights(tasks[EAGER], task, engine)
            tasks[engine.name] = task
        except Exception as error:
            if engine.name == OURS:
                raise
            for row in rows:
                row.absent[engine.name] = _short(error)
    weights, buffers = named_arrays(tasks[EAGER])
    ours = first_step(tasks[OURS])
    return _Start(weights, buffers, ours, compare(ours, first_step(tasks[EAGER]), "PyTorch"))


def _start_jax(row: Row, model: Model, start: _Start, stack: contextlib.ExitStack) -> JaxProcess | None:
    """JAX with the row's number of threads, its first step compared with ours; None if it cannot take part."""
    try:
        jax = stack.enter_context(JaxProcess(model, start.weights, start.buffers, row.threads))
        compare(start.step, jax.first, "JAX")
    except WrongResult as error:
        row.absent[JAX], row.wrong = f"wrong result: {_short(error)}", True
        return None
    except DependencyError as error:
        row.absent[JAX] = _short(error)
        return None
    return jax


def _time(row: Row, engines: Sequence[Engine], tasks: dict[str, Task], plan: Plan, jax: JaxProcess | None) -> None:
    for engine in engines:
        engine.set_num_threads(row.threads)
    watchman = Watchman(lambda: jax.processor_time() if jax else 0.0)
    training = {engine.name: repeat(tasks[engine.name].step) for engine in engines}
    inference = {engine.name: repeat(engine.inference(tasks[engine.name])) for engine in engines}
    if jax:
        training[JAX], inference[JAX] = jax.turn("training"), jax.turn("inference")
    row.training = interleave(training, plan, watchman.calibrate)
    for task in tasks.values():
        task.train(False)
    row.inference = interleave(inference, Plan(plan.repeats, plan.seconds / 2, plan.turn_seconds), watchman.calibrate)
    for task in tasks.values():
        task.train()
    row.disturbance = watchman.report()


def geometric_mean(values: Sequence[float]) -> float:
    """The n-th root of the product; NaN of nothing."""
    product = 1.0
    for value in values:
        product *= value ** (1 / len(values))
    return product if values else float("nan")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 200 else text[:197] + "..."
