"""Several transforms as one."""

from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any

import numpy as np

from tinygrad_course.data.transforms.base import check_probability, uniforms
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import randperm
from tinygrad_course.ops.random import Generator

Step = Callable[[Any], Any]


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Step]) -> None:
        self.transforms = _steps(type(self).__name__, transforms)

    def __call__(self, sample: Any) -> Any:
        for transform in self.transforms:
            sample = transform(sample)
        return sample

    def __repr__(self) -> str:
        lines = "".join("\n" + indent(str(transform), "    ") for transform in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


def _steps(caller: str, transforms: Sequence[Step]) -> list[Step]:
    if not isinstance(transforms, Sequence) or not transforms or not all(map(callable, transforms)):
        raise DataError(f"{caller}: transforms={transforms}. Give a list with at least one transform (or function).")
    return list(transforms)


class RandomApply(Compose):
    """All of the transforms with probability p, otherwise none."""

    def __init__(self, transforms: Sequence[Step], p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__(transforms)
        self.p = check_probability("RandomApply", p)
        self.generator = generator

    def __call__(self, sample: Any) -> Any:
        return super().__call__(sample) if uniforms(1, self.generator)[0] < self.p else sample


class RandomChoice(Compose):
    """One of the transforms; p: how probable each is, in any unit."""

    def __init__(self, transforms: Sequence[Step], p: Sequence[float] | None = None, *,
                 generator: Generator | None = None) -> None:
        super().__init__(transforms)
        weights = np.ones(len(self.transforms)) if p is None else np.asarray(p, dtype=np.float64)
        if weights.shape != (len(self.transforms),) or (weights < 0).any() or not weights.sum() > 0:
            raise DataError(f"RandomChoice: p={p} for {len(self.transforms)} transforms. Give one weight for each, none "
                            "below 0 and not all 0.")
        self.p = (weights / weights.sum()).tolist()
        self.generator = generator

    def __call__(self, sample: Any) -> Any:
        """The sample changed by one of them."""
        ends = np.cumsum(self.p)
        chosen = int(np.searchsorted(ends, uniforms(1, self.generator)[0] * ends[-1], side="right"))
        return self.transforms[chosen](sample)


class RandomOrder(Compose):
    """All of the transforms in a random order."""

    def __init__(self, transforms: Sequence[Step], *, generator: Generator | None = None) -> None:
        super().__init__(transforms)
        self.generator = generator

    def __call__(self, sample: Any) -> Any:
        for number in randperm(len(self.transforms), generator=self.generator).numpy():
            sample = self.transforms[number](sample)
        return sample
