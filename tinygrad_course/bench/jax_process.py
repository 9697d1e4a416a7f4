"""JAX in processes of its own, one for each number of threads.

XLA starts its threads once, as many as the process may use processors, and has no call to change that.  So the process that
runs JAX first limits itself to n processors (`os.sched_setaffinity`) and then imports it: neither XLA's threads nor Python's
get more.  It builds one model, runs the first step, compiles, and waits; the benchmark asks for one turn after the other by
a line of JSON, and the process times the turn with its own clock.  So JAX takes turns with the others, and what crosses the
pipe is not timed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from tinygrad_course.bench.check import FirstStep
from tinygrad_course.bench.task import Model
from tinygrad_course.errors import DependencyError

JAX = "jax"
PAUSE = 0.01  # seconds before and after a turn, in which the idle threads of the engine before stop spinning


class JaxProcess:
    """One model with one number of threads.  As a context manager it ends the process on the way out.

    Raises DependencyError if the number of threads cannot be had, or with the last line that the process wrote.
    """

    def __init__(self, model: Model, weights: Mapping[str, np.ndarray], buffers: Mapping[str, np.ndarray], threads: int,
                 seed: int = 0) -> None:
        available = usable_processors()
        if threads > len(available):
            raise DependencyError(f"{threads} threads need {threads} processors, there are {len(available)}")
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
        np.savez(folder / "buffers.npz", **buffers)  # type: ignore[arg-type]
        np.savez(folder / "batch.npz", **_numbered(model.batch(np.random.default_rng(seed))))  # type: ignore[arg-type]
        self._messages = (folder / "messages").open("w+", encoding="utf-8")
        processors = ",".join(map(str, available[:threads]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tinygrad_course.bench.jax_process", model.name, processors, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, text=True)
        try:
            self.threads: int = self._answer()["threads"]
            with np.load(folder / "first.npz", allow_pickle=False) as file:
                arrays = dict(file)
        except BaseException:
            self.close()
            raise
        self.first = FirstStep(float(arrays.pop("loss")), arrays)

    def __enter__(self) -> JaxProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def turn(self, what: str) -> Callable[[int], float]:
        """A turn for `measure.interleave`; `what` is "training" or "inference"."""
        def turn(n: int) -> float:
            time.sleep(PAUSE)
            seconds: float = self._ask(what, n)["seconds"]
            time.sleep(PAUSE)
            return seconds

        return turn

    def processor_time(self) -> float:
        """Seconds that the process has computed."""
        seconds: float = self._ask("clock", 0)["seconds"]
        return seconds

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()  # it ends when there are no more questions
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()
        self._folder.cleanup()

    def _ask(self, what: str, n: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: the answer says why
            print(json.dumps({"what": what, "n": n}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._messages.seek(0)
            lines = self._messages.read().strip().splitlines() or [f"ended with {self._process.returncode}"]
            raise DependencyError(lines[-1])
        answer: dict[str, Any] = json.loads(line)
        return answer


def usable_processors() -> list[int]:
    """Those that this process may run on.  Raises DependencyError where a process cannot be limited to some."""
    if not hasattr(os, "sched_setaffinity"):
        raise DependencyError("the number of JAX's threads can be set on Linux only")
    return sorted(os.sched_getaffinity(0))


def _numbered(arrays: tuple[Any, ...]) -> dict[str, np.ndarray]:
    return {str(number): array for number, array in enumerate(arrays)}


def _load(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as content:
        return dict(content)


def serve(name: str, processors: set[int], folder: Path, questions: IO[str], answers: IO[str]) -> None:
    """The other side: in a process that has not imported JAX yet."""
    os.sched_setaffinity(0, processors)
    from tinygrad_course.bench import jax_models
    from tinygrad_course.bench.jax_models import IMAGES, WEIGHTS, from_jax, jax, to_jax

    model = jax_models.MODELS[name]
    batch = tuple(to_jax(_load(folder / "batch.npz"), IMAGES).values())
    state = model.start(to_jax(_load(folder / "weights.npz"), WEIGHTS), to_jax(_load(folder / "buffers.npz"), WEIGHTS))
    _, loss, gradients = jax.jit(model.full_step)(state, batch)
    np.savez(folder / "first.npz", loss=np.asarray(loss), **from_jax(gradients, WEIGHTS))  # type: ignore[arg-type]
    del gradients
    step = jax.jit(model.step, donate_argnums=0).lower(state, batch).compile()
    predict = jax.jit(model.predict).lower(*state[:2], batch).compile()

    def training(n: int) -> None:
        nonlocal state
        for _ in range(n):
            state, loss = step(state, batch)
            jax.block_until_ready((state, loss))

    def inference(n: int) -> None:
        for _ in range(n):
            jax.block_until_ready(predict(*state[:2], batch))

    turns = {"training": training, "inference": inference}
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps({"threads": len(os.sched_getaffinity(0))}), file=answers, flush=True)
    for line in questions:
        question = json.loads(line)
        if question["what"] == "clock":
            seconds = time.process_time()
        else:
            start = time.perf_counter()
            turns[question["what"]](question["n"])
            seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], {int(number) for number in sys.argv[2].split(",")}, Path(sys.argv[3]), sys.stdin, sys.stdout)
