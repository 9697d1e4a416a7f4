"""`tinygrad-course info`: what is installed and what it runs on."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from tinygrad_course import __version__, backend, kernels
from tinygrad_course.backend import cpu, cuda
from tinygrad_course.cli.usage import DONE, INSTALL_ALL

HELP = "what is installed and what it runs on"
DESCRIPTION = "Show version, kernels, instruction set, threads, memory pool, packages."
EXAMPLES = """\
examples:
  tinygrad-course info

"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sub-command has no options."""


def run(options: argparse.Namespace) -> int:
    """Print one line per fact."""
    for name, text in [*_facts(), *_packages()]:
        print(f"{name:<16}{text}")
    return DONE


def _facts() -> list[tuple[str, str]]:
    facts = [
        ("tinygrad_course", __version__ if _version("tinygrad_course") else f"{__version__}, run from its sources"),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
    ]
    if kernels.AVAILABLE:
        gemm, memory, threads = (cpu.compiled_module(family) for family in ("linalg", "memory", "threads"))
        facts += [
            ("backend", {"compiled": "compiled kernels", "reference": "reference (compiled kernels are there, but "
                         "switched off)"}[backend.backend_name()]),
            ("instruction set", _isa(gemm.isa())),
            ("AMX", _amx(*gemm.amx())),
            ("threads", f"{backend.get_num_threads()} of {os.cpu_count()} logical cores"),
            ("OpenMP", "yes" if threads.have_openmp() else "no: kernels run on one thread"),
            *(_pool(backend.memory_stats()) if memory.available() else [("memory pool", "not on this platform")]),
        ]
    else:
        facts += [
            ("backend", "reference: NumPy, because the compiled kernels are not installed"),
            ("instruction set", "that of NumPy"),
            ("threads", "1, apart from NumPy's matrix products"),
            ("OpenMP", "no"),
            ("memory pool", "no, it is part of the compiled kernels"),
        ]
    return [*facts, ("CuPy (GPU)", cuda.cupy_state())]


def _packages() -> list[tuple[str, str]]:
    uses = {"pillow": "image files", "matplotlib": "figures", "tqdm": "progress bars"}
    return [(name, _version(name) or f"missing ({use}): {INSTALL_ALL}") for name, use in uses.items()]


def _isa(level: str) -> str:
    meaning = {"base": "every x86-64, or another processor", "v3": "AVX2 and FMA", "v4": "AVX-512"}
    limit = os.environ.get("TINYGRAD_COURSE_ISA")
    limited = f", limited by TINYGRAD_COURSE_ISA={limit}" if limit and not limit.startswith("amx") else ""
    return f"{level} ({meaning.get(level, 'unknown')}){limited}"


def _amx(state: str, why: str) -> str:
    terms = {"highest": "three terms of bf16, precision of float32"}.get(backend.get_float32_matmul_precision(),
                                                                         "two terms of bf16")
    if state == "off":
        return f"off: {why}"
    return f"{'on' if state == 'hardware' else 'emulated, slow'} ({why}); large products in float32 as {terms}"


def _pool(stats: dict[str, int]) -> list[tuple[str, str]]:
    waiting, used, peak, limit = (f"{stats[key] / 2**20:.1f} MiB" for key in ("cached", "live", "peak", "cap"))
    return [("memory pool", f"{used} in use, {peak} at most so far"),
            ("pool free", f"{waiting}, at most {limit}"),
            ("pool requests", f"{stats['hits']:,} served by the pool, {stats['misses']:,} by the system")]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
