"""Reads pickles that hold data, and refuses those that do anything else.

A pickle is a program for a stack machine.  Python's `pickle` gives it the power to import any name and to call it, which is
why it must not open files from strangers.  This machine has instructions for numbers, texts, lists, tuples and dicts, and
may call only what its user hands it by name; every other instruction ends in DataError before anything happens.  Nothing is
ever imported or looked up outside of that table.  `pickletools` splits the bytes into instructions; it executes none.
"""

import collections
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from tinygrad_course.errors import DataError
from tinygrad_course.tensor import Tensor

DEEPEST = 100  # containers within containers
_MARK = object()
_IGNORED = ("PROTO", "FRAME")
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class Global(NamedTuple):
    """A name that a pickle wants: a class or a function of a module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Machine:
    """Runs pickles for the file `what`.

    calls       what REDUCE may call, by full name: calls["torch.Size"](*arguments)
    names       further names that may stand in a pickle as values, without being called
    persistent  gets what a persistent id stands for
    """

    def __init__(self, what: str, calls: Mapping[str, Callable[..., Any]], names: Callable[[Global], bool],
                 persistent: Callable[[Any], Any]) -> None:
        self.what = what
        self.calls = calls
        self.names = names
        self.persistent = persistent

    def run(self, file: BinaryIO) -> Any:
        """The object that the pickle at the file's position describes; the position is then behind it."""
        try:
            return self._run(file)
        except (ValueError, IndexError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.what} is damaged: its pickle cannot be followed ({error}). Save or download it "
                            "again.") from error

    def _run(self, file: BinaryIO) -> Any:
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        instructions: Iterator[tuple[Any, Any, Any]] = pickletools.genops(file)
        for instruction, argument, position in instructions:
            name: str = instruction.name
            if name in _IGNORED:
                continue
            if name == "STOP":
                if len(stack) != 1:
                    raise ValueError(f"{len(stack)} values are left at the end, not one")
                check_data(stack[0], self.what)
                return stack[0]
            if name == "MARK":
                stack.append(_MARK)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _NUMBERS or name in _TEXTS:
                if isinstance(argument, int) and argument.bit_length() > 64:
                    raise ValueError(f"an integer of {argument.bit_length():,} bits at byte {position}")
                stack.append(argument)
            elif name in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT"):
                stack.append(() if name == "EMPTY_TUPLE" else [] if name == "EMPTY_LIST" else {})
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                count = int(name[-1])
                stack.append(tuple(_take(stack, len(stack) - count)))
            elif name == "TUPLE":
                stack.append(tuple(_to_mark(stack)))
            elif name == "LIST":
                stack.append(_to_mark(stack))
            elif name == "DICT":
                stack.append(_filled({}, _to_mark(stack)))
            elif name in ("APPEND", "APPENDS"):
                values = _take(stack, len(stack) - 1) if name == "APPEND" else _to_mark(stack)
                _top(stack, list).extend(values)
            elif name in ("SETITEM", "SETITEMS"):
                values = _take(stack, len(stack) - 2) if name == "SETITEM" else _to_mark(stack)
                _filled(_top(stack, dict), values)
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = _top(stack, object)
            elif name == "MEMOIZE":
                memo[len(memo)] = _top(stack, object)
            elif name in ("BINGET", "LONG_BINGET"):
                if argument not in memo:
                    raise ValueError(f"entry {argument} of the memo is read at byte {position} before it is written")
                stack.append(memo[argument])
            elif name == "GLOBAL":
                stack.append(self._allowed(Global(*argument.split(" ", 1))))
            elif name == "STACK_GLOBAL":
                module, attribute = _take(stack, len(stack) - 2)
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise ValueError(f"a global at byte {position} is not named by two texts")
                stack.append(self._allowed(Global(module, attribute)))
            elif name == "REDUCE":
                function, arguments = _take(stack, len(stack) - 2)
                stack.append(self._called(function, arguments, position))
            elif name == "BUILD":
                target, state = _top(stack[:-1], object), stack.pop()
                # The state of the OrderedDict of a module's state_dict() is its "_metadata", version numbers of layers.
                if not isinstance(target, collections.OrderedDict) or not isinstance(state, dict):
                    raise self._refused(f"it sets the state of a {type(target).__name__} (BUILD)")
            elif name == "BINPERSID":
                stack.append(self.persistent(_take(stack, len(stack) - 1)[0]))
            else:
                raise self._refused(f"it has the instruction {name} at byte {position}, which tensors, numbers, texts, "
                                    "lists, tuples and dicts do not need")
        raise ValueError("it has no end")

    def _allowed(self, wanted: Global) -> Global:
        if str(wanted) not in self.calls and not self.names(wanted):
            raise self._refused(f"it wants the global {_shown(str(wanted))}")
        return wanted

    def _called(self, function: Any, arguments: Any, position: int) -> Any:
        if not isinstance(function, Global):
            raise self._refused(f"it calls a {type(function).__name__} at byte {position}")
        call = self.calls.get(str(function))
        if call is None:
            raise self._refused(f"it calls {_shown(str(function))}")
        if type(arguments) is not tuple:
            raise ValueError(f"{function} is called without a tuple of arguments")
        return call(*arguments)

    def _refused(self, reason: str) -> DataError:
        return DataError(
            f"{self.what} is refused: {reason}. Only tensors, parameters, numbers, texts, None, lists, tuples and dicts are "
            "read, because a pickle that does more can run any program. If you trust the file, keep the weights only: in "
            "PyTorch, torch.save(torch.load(path, weights_only=False)['state_dict'], new_path) or where they are in it.")


def check_data(root: Any, what: str) -> None:
    """DataError unless `root` is data: no names, nothing that contains itself, not too deep to be walked through."""
    open_: set[int] = set()  # containers on the way from the root to here
    done: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:  # no recursion: the depth is what is in question
        value, leaving = waiting.pop()
        if isinstance(value, Global):
            raise DataError(f"{what} is refused: it holds {_shown(str(value))}, a name and not data.")
        if not isinstance(value, dict | list | tuple):
            if value is not None and not isinstance(value, Tensor | str | int | float):
                raise DataError(f"{what} is refused: it holds a {type(value).__name__} that is not part of a tensor.")
            continue
        if leaving:
            open_.discard(id(value))
            done.add(id(value))
            continue
        if id(value) in open_:
            raise DataError(f"{what} is refused: it has a {type(value).__name__} that contains itself.")
        if id(value) in done:
            continue
        if len(open_) >= DEEPEST:
            raise DataError(f"{what} is refused: it nests more than {DEEPEST} containers.")
        open_.add(id(value))
        waiting.append((value, True))
        waiting += [(part, False) for part in (value.values() if isinstance(value, dict) else value)]


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:100] + "...")


def _take(stack: list[Any], start: int) -> list[Any]:
    """What lies on the stack from `start` on."""
    if start < 0:
        raise ValueError("the stack is empty")
    values = stack[start:]
    if any(value is _MARK for value in values):
        raise ValueError("a mark lies where a value is needed")
    del stack[start:]
    return values


def _to_mark(stack: list[Any]) -> list[Any]:
    """What lies on the stack above the last mark, which goes too."""
    start = len(stack) - 1
    while start >= 0 and stack[start] is not _MARK:
        start -= 1
    if start < 0:
        raise ValueError("a mark is missing")
    values = stack[start + 1:]
    del stack[start:]
    return values


def _top(stack: list[Any], kind: type) -> Any:
    if not stack or stack[-1] is _MARK or not isinstance(stack[-1], kind):
        raise ValueError(f"no {kind.__name__} lies on the stack where one is needed")
    return stack[-1]


def _filled(target: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise ValueError("a dict gets a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if key is not None and not isinstance(key, str | int | float):  # a hash of deeply nested tuples would overflow
            raise ValueError(f"a dict has a {type(key).__name__} as key")
        target[key] = value
    return target
