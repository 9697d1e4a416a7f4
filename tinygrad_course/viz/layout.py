"""A layered drawing of a directed graph without cycles: who stands in which row, in which order, at which place.

K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", IEEE Transactions on
Systems, Man, and Cybernetics 11(2), 109-125 (1981): 1. rows by longest path; 2. a waypoint in every row that an edge crosses;
3. order within the rows by the mean place of the neighbours; 4. places as near to the neighbours as the widths allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 8  # downwards and upwards, over all rows
ROW_GAP, ITEM_GAP = 52.0, 26.0


@dataclass
class Item:
    """Something with a place in a row.  `left` and `right` are how far it reaches from its axis at x.

    A waypoint of an edge is an Item too.
    """

    left: float
    right: float
    height: float
    row: int = 0
    x: float = 0.0
    y: float = 0.0  # the middle of its row
    row_height: float = 0.0
    above: list[Item] = field(default_factory=list, repr=False)  # neighbours in the row above
    below: list[Item] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Route:
    """An edge and the items it runs through, from its source to its target."""

    source: int
    target: int
    stops: list[Item]


def lay_out(items: list[Item], edges: list[tuple[int, int]]) -> list[Route]:
    """Give every item its row, x and y; returns the way of every edge.

    items   sources before targets
    edges   (source, target), positions in items
    """
    _choose_rows(items, edges)
    routes = [_route(items, source, target) for source, target in edges]
    rows = _rows(items, routes)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _order(row, downwards=sweep % 2 == 0)
    for row in rows:
        _place(row, [item.x for item in row])
    for sweep in range(SWEEPS):
        for row in rows[1:] if sweep % 2 == 0 else reversed(rows[:-1]):
            _place(row, [_wish(item, item.above if sweep % 2 == 0 else item.below) for item in row])
    y = 0.0
    for row in rows:
        height = max(item.height for item in row)
        for item in row:
            item.y = y + height / 2
            item.row_height = height
        y += height + ROW_GAP
    shift = min(item.x - item.left for row in rows for item in row)
    for row in rows:
        for item in row:
            item.x -= shift
    return routes


def _choose_rows(items: list[Item], edges: list[tuple[int, int]]) -> None:
    """As far down as the longest way from above; what has nothing above it stands right over its first target."""
    into: dict[int, list[int]] = {}
    out_of: dict[int, list[int]] = {}
    for source, target in edges:
        into.setdefault(target, []).append(source)
        out_of.setdefault(source, []).append(target)
    for number, item in enumerate(items):
        item.row = max((items[source].row + 1 for source in into.get(number, ())), default=0)
    for number, item in enumerate(items):
        if number not in into and number in out_of:
            item.row = min(items[target].row for target in out_of[number]) - 1


def _route(items: list[Item], source: int, target: int) -> Route:
    first, last = items[source], items[target]
    stops = [first, *(Item(6, 6, 0, row) for row in range(first.row + 1, last.row)), last]
    for upper, lower in pairwise(stops):
        upper.below.append(lower)
        lower.above.append(upper)
    return Route(source, target, stops)


def _rows(items: list[Item], routes: list[Route]) -> list[list[Item]]:
    rows: list[list[Item]] = [[] for _ in range(max(item.row for item in items) + 1)]
    for item in items:
        rows[item.row].append(item)
    for route in routes:
        for stop in route.stops[1:-1]:
            rows[stop.row].append(stop)
    for row in rows:
        for place, item in enumerate(row):
            item.x = float(place)  # the order so far
    return rows


def _order(row: list[Item], downwards: bool) -> None:
    """Sort a row by the mean place of the neighbours; who has none stays where he is."""
    row.sort(key=lambda item: _wish(item, item.above if downwards else item.below))
    for place, item in enumerate(row):
        item.x = float(place)


def _wish(item: Item, neighbours: list[Item]) -> float:
    return sum(other.x for other in neighbours) / len(neighbours) if neighbours else item.x


def _place(row: list[Item], wishes: list[float]) -> None:
    """The places nearest to the wishes (least squares) at which nothing overlaps and the order is kept.

    With the widths taken off, the places must only not decrease: neighbours that would, share the mean of their wishes.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + left.right + ITEM_GAP + right.left)
    blocks: list[tuple[float, int]] = []  # (mean wish, how many)
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, several = blocks.pop()
            mean = (before * several + mean * count) / (several + count)
            count += several
        blocks.append((mean, count))
    places = [mean for mean, count in blocks for _ in range(count)]
    for item, place, offset in zip(row, places, offsets, strict=True):
        item.x = place + offset
