"""Data sets that worker processes can import (tests/data/test_workers.py, test_worker_failures.py)."""

import os
import random
import signal
import sys
import time
from collections import namedtuple

import numpy as np

import tinygrad_course as tgc
from tinygrad_course.data import Dataset, IterableDataset, get_worker_info

Point = namedtuple("Point", ["x", "y"])


class Drawing(Dataset):
    """Samples with random parts from all three global generators; large enough for shared memory."""

    def __init__(self, n=30, size=3000):
        self.n, self.size = n, size

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        noise = np.random.randn(), random.random(), tgc.rand(2)  # noqa: NPY002
        return np.full(self.size, index, np.float32), *noise


class OnlyOurs(Drawing):
    """Random parts from the package's default generator alone."""

    def __getitem__(self, index):
        return tgc.rand(self.size), index


class Counting(IterableDataset):
    """0 ... n - 1, shared out among the workers."""

    def __init__(self, n=23):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        for number in range(start, self.n, step):
            yield number, tgc.rand(1)


class Growing(Dataset):
    """Sample i holds i * 5000 numbers: blocks of shared memory have to grow."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return np.full(index * 5000, index, np.float64)


class Kinds(Dataset):
    """Things of many kinds."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"point": Point(tgc.arange(3), "text"), "parameter": tgc.nn.Parameter(tgc.ones(20000)),
                "scalar": tgc.tensor(2.5, dtype=tgc.float64), "none": None, "flags": np.array([True, False]),
                "strided": np.arange(12).reshape(3, 4).T, "empty": np.zeros((0, 3)), "bytes": b"ab"}


class WhoAmI(Dataset):
    """The worker that made a sample."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        info = get_worker_info()
        return os.getpid(), info.id, info.num_workers, info.seed, len(info.dataset), getattr(self, "mark", -1)


def mark(worker):
    get_worker_info().dataset.mark = worker * 10


class TwoArguments(Exception):
    """Pickle would call it with the one argument that it stores."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
        self.a = a


class Failing(Dataset):
    """Something happens at sample 5."""

    def __init__(self, what):
        self.what = what

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            self.happen()
        return index

    def happen(self):
        class Local(Exception):
            pass
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what == "exit":
            os._exit(3)
        elif self.what == "sleep":
            time.sleep(30)
        elif self.what == "leave":
            sys.exit(4)
        else:
            raise {"key": KeyError("gone"), "two": TwoArguments(1, 2), "local": Local("here"), "stop": StopIteration(),
                   "file": FileNotFoundError(2, "No such file", "a.png")}[self.what]


class Ends(IterableDataset):
    """A stream that fails, when it begins or later."""

    def __init__(self, at):
        self.at = at

    def __iter__(self):
        if self.at == 0:
            raise OSError("cannot be opened")
        return self.samples()

    def samples(self):
        yield 1
        raise OSError("broke off")
