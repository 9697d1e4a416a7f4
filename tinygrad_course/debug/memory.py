"""graph_memory: what a graph keeps alive until backward frees it, and who keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_course.autograd.base import TensorBase
from tinygrad_course.autograd.custom import FunctionNode
from tinygrad_course.autograd.node import Node, Output, SavedOutput
from tinygrad_course.debug.nodes import Names, caller_variables, maker, nodes_of, path_of, place_of, require_graph
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor

SHOWN_ROWS, SHOWN_KEEPERS = 15, 3
KINDS = ("output", "constant", "input", "parameter")


def graph_memory(loss: Tensor, names: Mapping[str, Tensor] | Module | None = None) -> GraphMemory:
    """The arrays that the graph of `loss` holds: what its ops saved for backward, and the leaves.

    Memory is counted once, however many views and ops look at it.  `print` the result; `.total` is in bytes and `.rows` has
    an entry per piece of memory, the largest first.  After backward() only the leaves are left.

    names   {"x": x, ...} or a Module; default: the names in the model, and the caller's variables
    """
    require_graph("graph_memory", loss)
    nodes = nodes_of(loss.node)
    known = Names(nodes, names, caller_variables(1))
    rows: dict[int, Row] = {}
    for node in reversed(nodes):  # oldest first: the first that keeps an array made it, or was first to need it
        if isinstance(node, Output):
            continue
        for array, kind, name in _held(node, known):
            owner = _owner(array)
            row = rows.get(id(owner))
            if row is None:
                row = rows[id(owner)] = Row(int(owner.nbytes), kind, name, tuple(array.shape), str(array.dtype), node.name,
                                            path_of(node))
            elif KINDS.index(kind) > KINDS.index(row.kind):  # a leaf and a view of it: it is the leaf that counts
                row.kind, row.name = kind, name
            place = place_of(node)
            if place not in row.keepers:
                row.keepers.append(place)
    return GraphMemory(sorted(rows.values(), key=lambda row: -row.bytes), len(nodes))


@dataclass
class Row:
    """One piece of memory.

    kind      "parameter" (a leaf that wants a gradient), "input" (a leaf that does not), "output" of an op, or "constant"
              (masks, indices)
    name      of the leaf, or of the op that made it
    keepers   the ops that keep it, with their modules
    op, path  the first of them
    """

    bytes: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    op: str
    path: str
    keepers: list[str] = field(default_factory=list)


class GraphMemory:
    """What a graph holds.

    rows    one Row per piece of memory, the largest first
    total   bytes of all of them; `of("parameter")`, ... of one kind
    """

    def __init__(self, rows: list[Row], n_nodes: int) -> None:
        self.rows = rows
        self.n_nodes = n_nodes

    @property
    def total(self) -> int:
        """Bytes of all rows."""
        return sum(row.bytes for row in self.rows)

    def of(self, kind: str) -> int:
        """Bytes of one kind: "parameter", "input", "output" or "constant"."""
        return sum(row.bytes for row in self.rows if row.kind == kind)

    def by_op(self) -> dict[str, int]:
        """Bytes per op that keeps them, the largest first; what several keep counts for the first.  Without parameters."""
        return self._summed(lambda row: row.op)

    def by_path(self) -> dict[str, int]:
        """Bytes per module, likewise; "" is what stands outside of modules."""
        return self._summed(lambda row: row.path)

    def _summed(self, key: Any) -> dict[str, int]:
        sums: dict[str, int] = {}
        for row in self.rows:
            if row.kind != "parameter":
                sums[key(row)] = sums.get(key(row), 0) + row.bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind}s {_readable(self.of(kind))}" for kind in KINDS if self.of(kind))
        lines = [f"{self.n_nodes:,} nodes hold {_readable(self.total)} in {len(self.rows):,} arrays: {kinds}"]
        table = [("bytes", "what", "shape", "type", "kept by")]
        for row in self.rows[:SHOWN_ROWS]:
            more = [f"{len(row.keepers) - SHOWN_KEEPERS:,} more"] if len(row.keepers) > SHOWN_KEEPERS else []
            table.append((_readable(row.bytes), f"{row.kind} {row.name}".strip(), " x ".join(map(str, row.shape)) or "scalar",
                          row.dtype, ", ".join(row.keepers[:SHOWN_KEEPERS] + more)))
        lines += ["", *_table(table)]
        rest = self.rows[SHOWN_ROWS:]
        if rest:
            lines.append(f"... {len(rest):,} smaller ones, {_readable(sum(row.bytes for row in rest))}")
        for title, sums in (("op", self.by_op()), ("module", self.by_path())):
            if len(sums) > 1:
                top = [(_readable(size), name or "outside of modules") for name, size in list(sums.items())[:SHOWN_ROWS]]
                lines += ["", *_table([("bytes", f"{title}, without parameters"), *top])]
        return "\n".join(lines)


def _held(node: Node, names: Names) -> Iterator[tuple[Any, str, str]]:
    """(array, kind, name) of everything that a node refers to."""
    for edge in node.edges:
        if edge is not None and not isinstance(edge, Node):
            yield edge.array, "parameter", names.leaf(edge) or ""
    for link in node._saved or ():
        if isinstance(link, SavedOutput):
            yield link.array, "output", f"of {place_of(node)}"
        elif link.node is not None:
            yield link.array, "output", f"of {place_of(maker(link.node))}"
        else:
            yield link.array, "parameter" if link.track else "input", names.leaf(link) or ""
    for array in _arrays(node.constants):
        yield array, "constant", f"of {place_of(node)}"
    for array in _arrays(node.args):
        yield array, "constant", f"of {place_of(node)}"
    if isinstance(node, FunctionNode):
        for array in _arrays(vars(node.ctx)):
            yield array, "constant", f"of {place_of(node)}"


def _arrays(value: Any) -> Iterator[Any]:
    """The arrays in what ops keep: an array, a tensor, or containers of them."""
    if isinstance(value, TensorBase):
        yield value.array
    elif hasattr(value, "nbytes") and hasattr(value, "dtype") and not isinstance(value, np.generic):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _arrays(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _arrays(part)


def _owner(array: Any) -> Any:
    """The array whose memory a view looks at."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "nbytes"):
        array = array.base
    return array


def _readable(size: int) -> str:
    """1,536 B, 15 kB, 1,536 kB, 15 MB: units of 1000."""
    unit = 0
    while size >= 10_000 and unit < 3:
        size = round(size / 1000)
        unit += 1
    return f"{size:,} {('B', 'kB', 'MB', 'GB')[unit]}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of their own width; the first one to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) if not column else cell.ljust(width)
                      for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
