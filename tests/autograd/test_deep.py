"""Chains of any length, in subprocesses: a crash of the C stack would take the tests with it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import tinygrad_course as tgc

ROOT = Path(tgc.__file__).resolve().parent.parent
COMPILED_ENGINE = tgc.autograd.engine.__file__.endswith((".so", ".pyd"))
N = 3_000_000 if COMPILED_ENGINE else 100_000


def run(program: str, seconds: int = 300) -> str:
    """Run `program` with a collector that is switched off and a small stack for its threads."""
    head = """
        import gc, resource, sys, threading
        gc.disable()
        import numpy as np
        import tinygrad_course as tgc
        from tinygrad_course.autograd import Function, grad

        def in_a_small_thread(work):
            threading.stack_size(512 * 1024)
            failed = []
            def guarded():
                try:
                    work()
                except BaseException as error:
                    failed.append(error)
            thread = threading.Thread(target=guarded)
            thread.start()
            thread.join()
            if failed:
                raise failed[0]

        def peak():
            try:  # of this program alone: ru_maxrss begins with what the process that started it had needed
                with open("/proc/self/status") as status:
                    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**20  # GiB
            except OSError:
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(program)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout.strip()


@pytest.mark.parametrize("step", ["y * w", "y + w"])
def test_three_million_ops(step: str) -> None:
    """Built, walked and freed in a thread with 512 KB of stack, in less than 2 GB."""
    out = run(f"""
        def work():
            w = tgc.tensor(1.0, requires_grad=True)
            y = w
            for _ in range({N}):
                y = {step}
            y.backward()
            print(w.grad.item())
            del y
        in_a_small_thread(work)
        assert peak() < 2, peak()
        print("done")
    """)
    assert out.split() == [f"{N + 1:.1f}", "done"]


def test_a_chain_that_is_dropped_without_backward() -> None:
    assert (
        run(f"""
        def work():
            w = tgc.tensor(1.0, requires_grad=True)
            y = w
            for _ in range({N // 4}):
                y = y * w
            del y
        in_a_small_thread(work)
        print("done")
    """)
        == "done"
    )


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("saved outputs", "y.tanh()"),
        ("views", "y.reshape(1, 2).reshape(2)[:]"),
        ("several outputs", "tgc.ops.max_pool2d(y.reshape(1, 1, 1, 2), 1, return_indices=True)[0].reshape(2)"),
        ("functions", "Double.apply(y)"),
        ("functions with two outputs", "Split.apply(y)[0]"),
        ("wide", "tgc.cat([y[:1], y[1:]])"),
    ],
)
def test_other_long_chains(name: str, step: str) -> None:
    """Walked once, walked and kept, and never walked."""
    n = 30_000 if COMPILED_ENGINE else 10_000
    assert (
        run(f"""
        class Double(Function):
            @staticmethod
            def forward(ctx, x):
                y = x * 1.0
                ctx.save_for_backward(x, y)
                return y
            @staticmethod
            def backward(ctx, g):
                ctx.saved_tensors
                return g

        class Split(Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1.0, x * 2.0
            @staticmethod
            def backward(ctx, a, b):
                return a

        def work():
            x = tgc.tensor([0.5, 1.5], requires_grad=True)
            for ending in ("backward", "retained", "dropped"):
                y = x
                for _ in range({n}):
                    y = {step}
                if ending != "dropped":
                    y.sum().backward(retain_graph=ending == "retained")
                del y
        in_a_small_thread(work)
        print("done")
    """)
        == "done"
    )


def test_a_long_second_derivative() -> None:
    n = 100_000 if COMPILED_ENGINE else 20_000
    assert (
        run(f"""
        def work():
            x = tgc.tensor(1.0, dtype="float64", requires_grad=True)
            y = x
            for _ in range({n}):
                y = y * x
            g, = grad(y, x, create_graph=True)   # (n + 1) x^n
            h, = grad(g, x)
            assert abs(h.item() / ({n} * ({n} + 1)) - 1) < 1e-9, h.item()
            del y, g, h
        in_a_small_thread(work)
        print("done")
    """)
        == "done"
    )


def test_grad_through_a_long_chain_to_one_input() -> None:
    """The search for what must run takes linear time and no recursion."""
    assert (
        run(f"""
        def work():
            x, w = tgc.tensor(1.0, requires_grad=True), tgc.tensor(1.0, requires_grad=True)
            y = x
            for _ in range({N // 10}):
                y = y * w
            g, = grad(y, x)
            assert g.item() == 1
        in_a_small_thread(work)
        print("done")
    """)
        == "done"
    )
