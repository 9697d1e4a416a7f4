"""Random numbers of their own for each batch of a DataLoader.

The rule that makes a pass the same for any number of workers: batch `number` of the pass with `seed` is made with the
default generator, `random` and `np.random` all seeded by batch_seed(seed, number).  So what __getitem__ and collate_fn draw
hangs on neither the other batches nor on who makes them.  A worker process seeds its own three generators; a loader without
workers seeds those of the program and sets them back after the batch.
"""

import ctypes
import functools
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random.mtrand import get_bit_generator, set_bit_generator

from tinygrad_course.ops.random import Generator, default_generator

MT19937_BYTES = 625 * 4  # of the state of an MT19937: 624 words and the position in them


def batch_seed(seed: int, number: int) -> int:
    """A 64-bit seed for batch `number` of a pass, by NumPy's SeedSequence: near numbers give unrelated streams."""
    low, high = np.random.SeedSequence((seed, number)).generate_state(2).tolist()
    return int(low | high << 32)


def seed_all(seed: int) -> None:
    """Seed the default generator, `random` and `np.random`."""
    default_generator.manual_seed(seed)
    _seed_globals(seed)


def _seed_globals(seed: int) -> None:
    random.seed(seed)
    np.random.seed([seed % 2**32, seed >> 32])  # noqa: NPY002  what __getitem__ draws from NumPy's global generator


# Only one thread at a time may exchange Python's and NumPy's generators, which belong to all threads.
_exchange = threading.RLock()
_streams: list[np.random.MT19937] = []  # not in use.  Never freed: another thread may be in the middle of a draw


def _after_fork() -> None:
    global _exchange
    _exchange = threading.RLock()  # its owner may be a thread that the child has not


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, draws follow from `seed`; afterwards the three global generators are where they were.

    While another thread is inside, only the default generator is seeded, which can be done for this thread alone, and the
    other two go on: to wait for that thread could be for ever, if the sample that it makes needs something of this one."""
    previous = default_generator.use_in_this_thread(Generator().manual_seed(seed))
    exchange = _exchange
    alone = exchange.acquire(blocking=False)
    outside = _exchange_globals(seed) if alone else None
    try:
        yield
    finally:
        if outside is not None:
            _exchange_back(*outside)
            exchange.release()
        default_generator.use_in_this_thread(previous)


def _exchange_globals(seed: int) -> tuple[Any, ...]:
    """Let `random` and `np.random` draw what follows from `seed`.  Returns what puts them back.

    NumPy's generator is exchanged for another MT19937 and back, which takes 1 us, where setting its state takes 50;
    only a normal value that np.random keeps in reserve is lost by that, and is taken out before."""
    python, generator = random.getstate(), get_bit_generator()
    reserve = _take_reserve(generator)
    stream = _streams.pop() if _streams else np.random.MT19937()
    set_bit_generator(stream)
    _seed_globals(seed)
    return python, generator, reserve, stream


def _exchange_back(python: Any, generator: Any, reserve: float | None, stream: np.random.MT19937) -> None:
    random.setstate(python)
    set_bit_generator(generator)
    _streams.append(stream)
    if reserve is not None:
        state = np.random.get_state(legacy=False)  # noqa: NPY002
        np.random.set_state({**state, "has_gauss": 1, "gauss": reserve})  # noqa: NPY002


def _take_reserve(generator: Any) -> float | None:
    """The normal value that np.random has in reserve, or None: it makes them in pairs (polar method) and gives one by one.

    np.random.get_state() would say so, in 40 us.  Instead a value is drawn: if that leaves the generator where it was, it
    was the reserve; if not, a second draw takes what is now in reserve, and the generator is put back."""
    if type(generator) is not np.random.MT19937 or not _is_state_in_memory():
        state = np.random.get_state(legacy=False)  # noqa: NPY002
        return state["gauss"] if state["has_gauss"] else None
    address = generator.ctypes.state_address
    before = ctypes.string_at(address, MT19937_BYTES)
    value = np.random.standard_normal()  # noqa: NPY002
    if ctypes.string_at(address, MT19937_BYTES) == before:
        return value
    np.random.standard_normal()  # noqa: NPY002
    ctypes.memmove(address, before, MT19937_BYTES)
    return None


@functools.cache
def _is_state_in_memory() -> bool:
    """Whether this NumPy's MT19937 keeps its words and its position side by side, as all so far."""
    generator = np.random.MT19937(0)
    generator.random_raw(3)
    state: Any = generator.state["state"]
    words = np.append(state["key"], np.uint32(state["pos"]))
    return ctypes.string_at(generator.ctypes.state_address, MT19937_BYTES) == words.tobytes()
