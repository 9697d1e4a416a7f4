"""device: where a tensor's values live."""

from typing import Any

from tinygrad_course.errors import DeviceError


class device:
    """`device("cpu")` or `device("cuda")`, as in PyTorch; compares equal to the name."""

    __slots__ = ("index", "type")

    def __init__(self, name: Any) -> None:
        kind, _, index = str(name).partition(":")
        if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
            raise DeviceError(f"unknown device {str(name)!r}; there are 'cpu' and 'cuda'")
        self.type = kind
        self.index = int(index) if index else None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, device | str):
            return str(self) == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
