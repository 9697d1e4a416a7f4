"""The graph behind a loss as a picture: SVG without further programs, or source for Graphviz."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinygrad_course.autograd.node import Node, Output
from tinygrad_course.debug.nodes import Names, caller_variables, kept_inputs, maker, models_of, nodes_of, require_graph
from tinygrad_course.errors import DataError
from tinygrad_course.nn import Module
from tinygrad_course.tensor import Tensor
from tinygrad_course.viz.svg import picture

MAX_BOXES = 150
MAX_BESIDE = 6  # parameters of one box, one below the other


def graph(loss: Tensor, collapse: bool | int = True, names: Mapping[str, Tensor] | Module | None = None,
          max_boxes: int = MAX_BOXES) -> GraphDrawing:
    """Draw what was computed on the way to `loss`: data above, loss below.

    Boxes are ops and modules, ellipses parameters; each arrow has the shape of what flows.

    collapse    True: every layer (module without children) is one box.  A number: so is every module at that depth, 0 being
                the model itself, 1 its children.  False: every op is a box
    names       {"x": x, ...} or a Module; default: the names in the model, and the caller's variables
    max_boxes   more are not drawn: modules are collapsed further, then all ops but the newest and oldest share one box

    A notebook shows the result; `save("graph.svg")`, `.html` or `.dot` writes it.
    """
    require_graph("graph", loss)
    nodes = nodes_of(loss.node)
    known = Names(nodes, names, caller_variables(1))
    ops = [node for node in reversed(nodes) if not isinstance(node, Output)]  # oldest first
    groups, note = _groups(ops, collapse, max_boxes)
    return _Builder(loss, ops, groups, known).drawing(note)


@dataclass
class Shape:
    """Something in the picture.

    kind    "op", "module", "fold" (many ops), "parameter", "data", "loss"
    title   first line
    lines   what stands below it
    beside  parameters and data that only this box uses
    """

    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    beside: list[Shape] = field(default_factory=list)


@dataclass(frozen=True)
class Arrow:
    """From one shape to another (positions), with the shapes of the tensors."""

    source: int
    target: int
    label: str


class GraphDrawing:
    """A drawing of a graph.  `shapes` come in the order of computing; `note` says what it shows."""

    def __init__(self, shapes: list[Shape], arrows: list[Arrow], note: str) -> None:
        self.shapes = shapes
        self.arrows = arrows
        self.note = note

    def svg(self) -> str:
        """The picture as SVG source."""
        return picture(self.shapes, self.arrows, self.note)

    def _repr_svg_(self) -> str:
        return self.svg()

    def dot(self) -> str:
        """The same as source for Graphviz: `dot -Tpdf graph.dot -o graph.pdf`."""
        looks = {"op": 'shape=box, style="rounded,filled", fillcolor="#FFFFFF"',
                 "module": 'shape=box, style="rounded,filled", fillcolor="#DCEBF7"',
                 "fold": 'shape=box, style="dashed"', "parameter": 'shape=ellipse, style=filled, fillcolor="#FBE6D4"',
                 "data": 'shape=box, style=filled, fillcolor="#EEEEEE"',
                 "loss": 'shape=box, style="rounded,filled", fillcolor="#0072B2", fontcolor=white'}
        lines = ["digraph {", f'  graph [label="{_quoted([self.note])}", labelloc=t, fontname="Helvetica"];',
                 '  node [fontname="Helvetica"];', '  edge [fontname="Helvetica", fontsize=11];']
        for number, shape in enumerate(self.shapes):
            lines.append(f'  b{number} [label="{_quoted([shape.title, *shape.lines])}", {looks[shape.kind]}];')
            for place, part in enumerate(shape.beside):
                lines.append(f'  b{number}p{place} [label="{_quoted([part.title, *part.lines])}", '
                             f'{looks[part.kind]}];')
                lines.append(f"  b{number}p{place} -> b{number};")
        lines += [f'  b{arrow.source} -> b{arrow.target} [label="{_quoted([arrow.label])}"];' for arrow in self.arrows]
        return "\n".join([*lines, "}"]) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing; the ending gives the format: .svg, .dot or .html.  Raises DataError if that fails."""
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending not in (".svg", ".dot", ".html"):
            raise DataError(f"{path}: a graph is saved as .svg, .dot or .html, not as {ending or 'a file without ending'}")
        text = self.dot() if ending == ".dot" else self.svg()
        if ending == ".html":
            head = '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Graph</title>'
            text = f"{head}<body>\n{text}\n</body></html>\n"
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise DataError(f"{path}: the drawing cannot be written ({error}). Give a file in an existing folder.") from error


def _quoted(lines: list[str]) -> str:
    return "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)


# ---- which ops share a box -----------------------------------------------------------------------------------------------


@dataclass
class Group:
    """The ops of one box, a stretch of the order of creation.  `scope` is the module that they stand for."""

    ops: list[Node]
    scope: Any = None


def _groups(ops: list[Node], collapse: bool | int, max_boxes: int) -> tuple[list[Group], str]:
    """The boxes, and what had to be hidden."""
    groups = _by_scope(ops, collapse)
    if len(groups) <= max_boxes:
        return groups, ""
    depth = max((_depth(group.scope or group.ops[0].scope) for group in groups), default=0) - 1
    if collapse is not True and collapse is not False:
        depth = min(depth, collapse - 1)
    while depth >= 0:
        coarse = _by_scope(ops, depth)
        if len(coarse) <= max_boxes:
            return coarse, f"modules below depth {depth} collapsed: {len(groups):,} boxes are too many"
        depth -= 1
    n_newest = max_boxes // 2
    n_oldest = max_boxes - n_newest - 1
    middle = groups[n_oldest:len(groups) - n_newest]
    fold = Group([op for group in middle for op in group.ops])
    note = f"{len(fold.ops):,} ops in the middle share one box: {len(groups):,} boxes are too many"
    return [*groups[:n_oldest], fold, *groups[len(groups) - n_newest:]], note


def _by_scope(ops: list[Node], collapse: bool | int) -> list[Group]:
    """Ops of one call of a collapsed module follow each other, so that no box depends on itself."""
    groups: list[Group] = []
    owners: dict[int, Any] = {}
    for op in ops:
        scope = op.scope
        owner = None
        if scope is not None and collapse is not False:
            if id(scope) not in owners:
                owners[id(scope)] = _owner(scope, collapse)
            owner = owners[id(scope)]
        if owner is not None and groups and groups[-1].scope is owner:
            groups[-1].ops.append(op)
        else:
            groups.append(Group([op], owner))
    return groups


def _owner(scope: Any, collapse: bool | int) -> Any:
    """The scope whose box an op in `scope` belongs to; None: to a box of its own."""
    if collapse is not True:
        chain = _chain(scope)
        if len(chain) > collapse:
            return chain[collapse]
    module = scope.module()
    return scope if module is not None and next(iter(module.children()), None) is None else None


def _chain(scope: Any) -> list[Any]:
    """The scopes around a scope and itself, outermost first."""
    chain = []
    while scope is not None:
        chain.append(scope)
        scope = scope.parent
    return chain[::-1]


def _depth(scope: Any) -> int:
    return len(_chain(scope))


# ---- boxes and arrows ----------------------------------------------------------------------------------------------------


class _Builder:
    """Turns groups of ops into shapes and arrows."""

    def __init__(self, loss: Tensor, ops: list[Node], groups: list[Group], names: Names) -> None:
        self.loss = loss
        self.ops = ops
        self.groups = groups
        self.names = names
        self.box_of = {op: number for number, group in enumerate(groups) for op in group.ops}
        models = models_of(ops[::-1])
        whole = len(models) == 1 and next(models[0].children(), None) is not None
        self.prefix = f"{type(models[0]).__name__}." if whole else ""  # of every path: not worth repeating
        self.buffers = {id(buffer) for model in models for buffer in model.buffers()}

    def drawing(self, note: str) -> GraphDrawing:
        """Sources first, then boxes in the order of computing, then the loss."""
        boxes = [self._box(group) for group in self.groups]
        users: dict[Tensor, list[int]] = {}  # leaf or data -> the boxes that use it
        links: dict[tuple[int, int], list[str]] = {}
        for target, group in enumerate(self.groups):
            for op in group.ops:
                for edge in op.edges:
                    if isinstance(edge, Node):
                        source = self.box_of[maker(edge)]
                        if source != target:
                            links.setdefault((source, target), []).append(self._flow(edge))
                    elif edge is not None:
                        users.setdefault(edge, []).append(target)
                for tensor in self._data(op):
                    users.setdefault(tensor, []).append(target)
        inner = {target for _, target in links}  # boxes that an arrow from above leads to
        sources: list[tuple[Shape, list[int], str]] = []
        for tensor, places in users.items():
            once = list(dict.fromkeys(places))
            shape = self._source(tensor, self.groups[once[0]] if len(once) == 1 else None)
            if len(once) == 1 and (shape.kind == "parameter" or once[0] in inner):
                boxes[once[0]].beside.append(Shape(shape.kind, shape.title, [_size(tensor.shape)]))
            else:
                sources.append((shape, once, _size(tensor.shape)))
        for box in boxes:
            if len(box.beside) > MAX_BESIDE:
                counts = Counter(part.kind for part in box.beside)
                box.beside = [Shape(kind, f"{counts[kind]} {word}")
                              for kind, word in (("parameter", "parameters"), ("data", "tensors")) if counts[kind]]
        first = len(sources)
        arrows = [Arrow(number, first + target, size)
                  for number, (_, places, size) in enumerate(sources) for target in places]
        arrows += [Arrow(first + source, first + target, ", ".join(dict.fromkeys(sizes)))
                   for (source, target), sizes in links.items()]
        end = Shape("loss", self.names.node(self.loss.node) or "result")
        last = self.box_of[maker(self.loss.node)]
        arrows.append(Arrow(first + last, first + len(boxes), _size(self.loss.shape)))
        return GraphDrawing([*(shape for shape, _, _ in sources), *boxes, end], arrows, self._note(note))

    def _note(self, hidden: str) -> str:
        leaves = {edge for op in self.ops for edge in op.edges if edge is not None and not isinstance(edge, Node)}
        count = sum(leaf.array.size for leaf in leaves)
        note = f"{len(self.ops):,} op{'s' * (len(self.ops) != 1)}, {count:,} number{'s' * (count != 1)} to learn"
        return f"{self.prefix[:-1] + ': ' if self.prefix else ''}{note}{'; ' + hidden if hidden else ''}"

    def _box(self, group: Group) -> Shape:
        if group.scope is None and len(group.ops) > 1:
            common = Counter(op.name for op in group.ops).most_common(3)
            return Shape("fold", f"{len(group.ops):,} ops", [", ".join(f"{count:,} {name}" for name, count in common)])
        if group.scope is None:
            return Shape("op", group.ops[0].name)
        path = group.scope.path()
        module = group.scope.module()
        kind = type(module).__name__ if module is not None else ""
        extra = module.extra_repr() if module is not None else ""
        line = f"{kind}({extra})" if extra and len(extra) <= 30 else kind
        count = [f"{len(group.ops)} ops"] if len(group.ops) > 1 else []
        return Shape("module", path.removeprefix(self.prefix), [part for part in (line, *count) if part and part != path])

    def _data(self, op: Node) -> list[Tensor]:
        """Inputs without gradient that are worth a place in the picture: no single numbers, no buffers."""
        if all(edge is not None for edge in op.edges):
            return []
        return [tensor for tensor in kept_inputs(op)
                if not tensor.track and tensor.array.size > 1 and id(tensor) not in self.buffers]

    def _source(self, tensor: Tensor, group: Group | None) -> Shape:
        name = self.names.leaf(tensor)
        if not tensor.track:
            return Shape("data", name or "data")
        name = name or "leaf"
        if group is not None and group.scope is not None:
            name = name.removeprefix(group.scope.path().removeprefix(self.prefix) + ".")
        return Shape("parameter", name)

    def _flow(self, node: Node) -> str:
        """What runs along the arrow from a node: the name of the tensor, if it has one, and its shape."""
        name = self.names.node(node)
        return f"{name}: {_size(node.shape)}" if name else _size(node.shape)


def _size(shape: Any) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(length) for length in shape) or "scalar"
