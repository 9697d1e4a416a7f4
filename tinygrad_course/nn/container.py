"""Modules made of other modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinygrad_course.nn.fusion import run
from tinygrad_course.nn.module import MODULE, Module
from tinygrad_course.tensor import Tensor


def _checked(module: Any) -> Module:
    if not isinstance(module, Module):
        hint = ": unpack it, nn.Sequential(*layers)" if isinstance(module, (list, tuple)) else ""
        if isinstance(module, type):
            raise TypeError(f"{module.__name__} is a class: make a layer of it, {module.__name__}(...)")
        raise TypeError(f"{type(module).__name__} is not a Module subclass{hint}")
    return module


class _Row(Module):
    """Children in a row, registered under "0", "1", ... unless they were given names."""

    def _items(self) -> list[Module]:
        return list(self._own(MODULE).values())

    def _renumber(self, modules: Iterable[Module]) -> None:
        """Make these the children, under new numbers; all are checked before any is touched."""
        row = [_checked(module) for module in modules]
        for name in self._own(MODULE):
            delattr(self, name)
        for number, module in enumerate(row):
            self.register_module(str(number), module)

    def _position(self, index: int) -> int:
        number, size = operator.index(index), len(self)
        if not -size <= number < size:
            raise IndexError(f"index {number} is out of range: the {self._get_name()} has {size} modules")
        return number % size

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(list(self._own(MODULE))[self._position(index)], _checked(module))

    def __delitem__(self, index: int | slice) -> None:
        row = self._items()
        del row[index if isinstance(index, slice) else self._position(index)]
        self._renumber(row)

    def __len__(self) -> int:
        return len(self._own(MODULE))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def append(self, module: Module) -> Self:
        """Add one module at the end."""
        self.register_module(str(len(self)), _checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"{self._get_name()}.extend should be called with an iterable, but got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`; those behind it get new numbers."""
        row = self._items()
        if not -len(row) <= index <= len(row):
            raise IndexError(f"index {index} is out of range: the {self._get_name()} has {len(row)} modules")
        row.insert(index, module)
        self._renumber(row)
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Take a module out, or for a slice several, and return it; those behind it get new numbers."""
        module = self[key]  # type: ignore[index]  # both classes have it
        del self[key]
        return module


class Sequential(_Row):
    """Calls its modules one after the other.  Takes modules, or one dict from names to modules."""

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.register_module(name, _checked(module))
        else:
            self._renumber(args)  # type: ignore[arg-type]  # checks each

    def forward(self, input: Any) -> Any:
        """input -> last(... second(first(input)))"""
        return run(self._items(), input)

    def __getitem__(self, index: int | slice) -> Any:
        """One module, or for a slice a Sequential of the same modules under the same names."""
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._own(MODULE).items())[index]))
        return self._items()[self._position(index)]

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise TypeError(f"Sequential + {type(other).__name__}: the second must be a Sequential too")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Self:
        if not isinstance(other, Sequential):
            raise TypeError(f"Sequential += {type(other).__name__}: the second must be a Sequential too")
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        """The same modules several times over: their parameters are shared."""
        return Sequential(*self._items() * self._factor(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        return self.extend(self._items() * (self._factor(times) - 1))

    def _factor(self, times: int) -> int:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self).__name__} and {type(times).__name__}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self).__name__}")
        return times


class ModuleList(_Row):
    """A list whose modules are registered, which those in a plain Python list are not.  It has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self._renumber(modules)

    def __getitem__(self, index: int | slice) -> Any:
        """One module, or for a slice a ModuleList of the same modules, numbered from 0."""
        if isinstance(index, slice):
            return type(self)(self._items()[index])
        return self._items()[self._position(index)]

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        """Runs of equal modules are folded: `(0-2): 3 x Linear(...)`."""
        runs: list[tuple[int, int, str]] = []  # first, last, text
        for number, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], number, text)
            else:
                runs.append((number, number, text))
        lines = [f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
                 for first, last, text in runs]
        body = "".join(f"\n{line}".replace("\n", "\n  ") for line in lines)
        return f"{self._get_name()}({body}\n)" if body else f"{self._get_name()}()"


def checked_pairs(owner: str, pairs: Any) -> list[tuple[str, Any]]:
    """What update() of a dict of modules or parameters was given, if it is pairs of key and value."""
    if not isinstance(pairs, Iterable) or isinstance(pairs, Tensor):
        raise TypeError(f"{owner}.update should be called with an iterable of key/value pairs, but got "
                        f"{type(pairs).__name__}")
    listed: list[tuple[str, Any]] = list(pairs)
    for number, pair in enumerate(listed):
        if not isinstance(pair, Iterable) or isinstance(pair, Tensor):
            raise TypeError(f"{owner} update sequence element #{number} should be Iterable; is {type(pair).__name__}")
        if len(pair) != 2:
            raise ValueError(f"{owner} update sequence element #{number} has length {len(pair)}; 2 is required")
    return listed


class ModuleDict(Module):
    """A dict whose modules are registered.  It has no forward."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._own(MODULE)[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, _checked(module))

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._own(MODULE))

    def __iter__(self) -> Iterator[str]:
        return iter(self._own(MODULE))

    def __contains__(self, key: str) -> bool:
        return key in self._own(MODULE)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._own(MODULE).keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._own(MODULE).values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """(name, module) pairs."""
        return self._own(MODULE).items()

    def update(self, modules: Mapping[str, Module] | ModuleDict | Iterable[tuple[str, Module]]) -> None:
        """Add or replace several, given as a mapping or as pairs."""
        if isinstance(modules, (Mapping, ModuleDict)):
            modules = modules.items()
        for key, module in checked_pairs("ModuleDict", modules):
            self[key] = module

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        module = self[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Take all out."""
        for key in list(self):
            delattr(self, key)
