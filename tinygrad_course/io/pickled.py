"""Reads pickles that hold data, and refuses those that do anything else.

A pickle is a program for a stack machine.  Python's `pickle` gives it the power to import any name and to call it, which is
why it must not open files from strangers.  This machine has instructions for numbers, texts, lists, tuples and dicts, and
may call only what its user hands it by name; every other instruction ends in DataError before anything happens.  Nothing is
ever imported or looked up outside of that table.

The instructions are described in Lib/pickletools.py of Python, and by A. Pitrou, PEP 3154, for protocol 4.
"""

import collections
import pickletools
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tinygrad_course.errors import DataError
from tinygrad_course.io.mapped import Stream
from tinygrad_course.tensor import Tensor

DEEPEST = 100  # containers within containers
_MARK = object()
_NAMES = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes}
_IGNORED = ("PROTO", "FRAME")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_FIXED = {  # instructions whose argument is one number, as `struct` has it
    "PROTO": "<B", "FRAME": "<Q", "BININT": "<i", "BININT1": "<B", "BININT2": "<H", "BINFLOAT": ">d", "BINPUT": "<B",
    "LONG_BINPUT": "<I", "BINGET": "<B", "LONG_BINGET": "<I",
}
_COUNTED = {  # those whose argument is bytes, behind their number
    "LONG1": "<B", "LONG4": "<i", "BINUNICODE": "<I", "SHORT_BINUNICODE": "<B", "BINUNICODE8": "<Q",
}
_LONGEST_NAME = 1000  # bytes of a module's or an attribute's name


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

    def run(self, file: Stream) -> Any:
        """The object that the pickle at the file's position describes; the position is then behind it."""
        try:
            return self._run(file)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, struct.error) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.what} is damaged: its pickle cannot be followed ({error}). Save or download it "
                            "again.") from error

    def _run(self, file: Stream) -> Any:
        stack: list[Any] = []
        memo: dict[int, Any] = {}
        for name, argument, position in self._instructions(file):
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
            elif name in ("BININT", "BININT1", "BININT2", "BINFLOAT") or name in _COUNTED:
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
                stack.append(self._allowed(Global(*argument)))
            elif name == "STACK_GLOBAL":
                module, attribute = _take(stack, len(stack) - 2)
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise ValueError(f"a global at byte {position} is not named by two texts")
                stack.append(self._allowed(Global(module, attribute)))
            elif name == "REDUCE":
                function, arguments = _take(stack, len(stack) - 2)
                stack.append(self._called(function, arguments, position))
            elif name == "BUILD":
                state, = _take(stack, len(stack) - 1)
                target = _top(stack, object)
                # The state of the OrderedDict of a module's state_dict() is its "_metadata", version numbers of layers.
                if not isinstance(target, collections.OrderedDict) or not isinstance(state, dict):
                    raise self._refused(f"it sets the state of a {type(target).__name__} (BUILD)")
            elif name == "BINPERSID":
                stack.append(self.persistent(_take(stack, len(stack) - 1)[0]))
            else:
                raise self._refused(f"it has the instruction {name} at byte {position}, which tensors, numbers, texts, "
                                    "lists, tuples and dicts do not need")

    def _instructions(self, file: Stream) -> Iterator[tuple[str, Any, int]]:
        """(name, argument, byte where it stands) of each instruction.  ValueError where there is none.

        Arguments of instructions that are not followed are not read."""
        start = file.tell()
        while True:
            position = file.tell() - start
            code = file.read(1)
            if not code:
                raise ValueError("it ends without STOP")
            name, argument = _NAMES.get(code), None
            if name is None:
                raise ValueError(f"byte {position} is no instruction")
            if name in _FIXED:
                argument, = struct.unpack(_FIXED[name], _read(file, struct.calcsize(_FIXED[name])))
            elif name in _COUNTED:
                count, = struct.unpack(_COUNTED[name], _read(file, struct.calcsize(_COUNTED[name])))
                if name in ("LONG1", "LONG4"):
                    if not 0 <= count <= 8:
                        raise ValueError(f"an integer of {count:,} bytes at byte {position}")
                    argument = int.from_bytes(_read(file, count), "little", signed=True)
                else:
                    argument = _read(file, count).decode("utf-8", "surrogatepass")
            elif name == "GLOBAL":
                lines = [file.read_line(_LONGEST_NAME) for _ in range(2)]
                if not all(line.endswith(b"\n") for line in lines):
                    raise ValueError(f"a global at byte {position} has names that do not end")
                argument = tuple([line[:-1].decode() for line in lines])
            yield name, argument, position

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
    heights: dict[int, int] = {}  # of containers that have been walked through: how many lie within each other, itself too
    waiting: list[tuple[Any, bool]] = [(root, False)]
    too_deep = DataError(f"{what} is refused: it nests more than {DEEPEST} containers.")
    while waiting:  # no recursion: the depth is what is in question
        value, leaving = waiting.pop()
        if isinstance(value, Global):
            raise DataError(f"{what} is refused: it holds {_shown(str(value))}, a name and not data.")
        if not isinstance(value, dict | list | tuple):
            if value is not None and not isinstance(value, Tensor | str | int | float):
                raise DataError(f"{what} is refused: it holds a {type(value).__name__} that is not part of a tensor.")
            continue
        parts = value.values() if isinstance(value, dict) else value
        if leaving:
            open_.discard(id(value))
            heights[id(value)] = 1 + max((heights.get(id(part), 0) for part in parts), default=0)
            if heights[id(value)] > DEEPEST:  # by way of one that was met before, less deep
                raise too_deep
            continue
        if id(value) in open_:
            raise DataError(f"{what} is refused: it has a {type(value).__name__} that contains itself.")
        if id(value) in heights:
            continue
        if len(open_) >= DEEPEST:
            raise too_deep
        open_.add(id(value))
        waiting.append((value, True))
        waiting += [(part, False) for part in parts]


def _read(file: Stream, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise ValueError(f"{count:,} bytes are needed, {len(content):,} are left")
    return content


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
