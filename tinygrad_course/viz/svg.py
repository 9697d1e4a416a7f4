"""Boxes, ellipses and arrows as SVG."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from tinygrad_course.viz.figure import GREY, TRAIN_COLOUR, VALIDATION_COLOUR
from tinygrad_course.viz.layout import Item, Route, lay_out

if TYPE_CHECKING:
    from tinygrad_course.viz.graph import Arrow, Shape

MARGIN, PADDING = 24.0, 12.0
TITLE, LINE, LABEL = 15.0, 12.5, 12.0  # font sizes
SIDE_HEIGHT, SIDE_STEP, SIDE_GAP = 28.0, 34.0, 30.0  # of what stands beside a box
STUB = 20.0  # straight piece of an arrow, beside which its label stands
LOOKS = {  # fill, stroke, colour of the text
    "op": ("#FFFFFF", "#444444", "#111111"), "module": ("#DCEBF7", TRAIN_COLOUR, "#111111"),
    "fold": ("#F4F4F4", GREY, "#111111"), "parameter": ("#FBE6D4", VALIDATION_COLOUR, "#111111"),
    "data": ("#EEEEEE", GREY, "#111111"), "loss": (TRAIN_COLOUR, TRAIN_COLOUR, "#FFFFFF")}


def picture(shapes: list[Shape], arrows: list[Arrow], note: str) -> str:
    """The SVG source.  Shapes must come after those that lead to them."""
    frames = [_Frame(shape, _leaving(number, arrows)) for number, shape in enumerate(shapes)]
    items = [frame.item for frame in frames]
    routes = lay_out(items, [(arrow.source, arrow.target) for arrow in arrows])
    top = MARGIN + 34
    for item in {id(stop): stop for route in routes for stop in route.stops}.values():
        item.x += MARGIN
        item.y += top
    width = max([item.x + item.right for item in items] + [_width(note, LINE) + MARGIN]) + MARGIN
    height = max(item.y + item.height / 2 for item in items) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif">',
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L10,5 L0,10 z" fill="{GREY}"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#FFFFFF"/>',
        f'<text x="{MARGIN:.0f}" y="{MARGIN + 8:.0f}" font-size="{LINE}" fill="{GREY}">{escape(note)}</text>']
    doors = _doors(frames, routes)
    parts += [_arrow(frames, route, doors[number]) for number, route in enumerate(routes)]
    for frame in frames:
        parts += frame.draw()
    return "\n".join([*parts, "</svg>"])


def _leaving(number: int, arrows: list[Arrow]) -> str:
    """What flows out of a shape: one label for all arrows that carry it."""
    return ", ".join(dict.fromkeys(arrow.label for arrow in arrows if arrow.source == number))


class _Frame:
    """A shape with its size; what stands beside it is part of it, so that nothing can lie over that."""

    def __init__(self, shape: Shape, leaving: str) -> None:
        self.shape = shape
        self.leaving = leaving
        texts = [_width(shape.title, TITLE, bold=True), *(_width(line, LINE) for line in shape.lines)]
        self.width = max([64.0, *(width + 2 * PADDING for width in texts)])
        self.height = 2 * PADDING + TITLE + len(shape.lines) * (LINE + 4)
        if shape.kind in ("parameter", "loss"):
            self.width += 14
        self.parameters = [part for part in shape.beside if part.kind == "parameter"]  # to the left
        self.data = [part for part in shape.beside if part.kind == "data"]  # to the right
        left, right = [self.width / 2 + max((SIDE_GAP + _side_width(part) for part in column), default=0)
                       for column in (self.parameters, self.data)]
        tall = max(len(self.parameters), len(self.data)) * SIDE_STEP
        self.item = Item(left, max(right, _width(leaving, LABEL) + 10), max(self.height, tall))

    def draw(self) -> list[str]:
        """Outline, text, what leaves below, what stands beside."""
        x, y = self.item.x, self.item.y
        parts = [_outline(self.shape.kind, x, y, self.width, self.height)]
        baseline = y - self.height / 2 + PADDING + TITLE - 3
        parts.append(_text(x, baseline, self.shape.title, TITLE, LOOKS[self.shape.kind][2], weight="bold"))
        for number, line in enumerate(self.shape.lines, 1):
            parts.append(_text(x, baseline + number * (LINE + 4), line, LINE, LOOKS[self.shape.kind][2]))
        if self.leaving:
            label = f'<text x="{x + 7:.1f}" y="{y + self.height / 2 + 15:.1f}" font-size="{LABEL}" '
            halo = 'stroke="#FFFFFF" stroke-width="4" stroke-linejoin="round"'
            parts += [f'{label}{look}>{escape(self.leaving)}</text>' for look in (halo, f'fill="{GREY}"')]
        for side, column in ((-1, self.parameters), (1, self.data)):
            edge = x + side * self.width / 2
            for number, shape in enumerate(column):
                width = _side_width(shape)
                middle = y + (number - (len(column) - 1) / 2) * SIDE_STEP
                near = edge + side * SIDE_GAP
                centre = near + side * width / 2
                into = min(max(middle, y - self.height / 2 + 6), y + self.height / 2 - 6)
                parts.append(_outline(shape.kind, centre, middle, width, SIDE_HEIGHT))
                parts.append(_text(centre, middle + 4, _in_one_line(shape), LABEL, "#111111"))
                parts.append(f'<line x1="{near:.1f}" y1="{middle:.1f}" x2="{edge:.1f}" y2="{into:.1f}" '
                             f'stroke="{GREY}" stroke-width="1.3" marker-end="url(#tip)"/>')
        return parts


def _in_one_line(shape: Shape) -> str:
    return ": ".join([shape.title, *shape.lines])


def _side_width(shape: Shape) -> float:
    return _width(_in_one_line(shape), LABEL) + (34 if shape.kind == "parameter" else 2 * PADDING)


def _doors(frames: list[_Frame], routes: list[Route]) -> list[float]:
    """Per route where it enters its target: side by side, in the order in which they come."""
    doors = [0.0] * len(routes)
    arriving: dict[int, list[int]] = {}
    for number, route in enumerate(routes):
        arriving.setdefault(route.target, []).append(number)
    for target, numbers in arriving.items():
        numbers.sort(key=lambda number: routes[number].stops[-2].x)
        frame = frames[target]
        step = min(24.0, 0.6 * frame.width / len(numbers))
        for place, number in enumerate(numbers):
            doors[number] = frame.item.x + (place - (len(numbers) - 1) / 2) * step
    return doors


def _arrow(frames: list[_Frame], route: Route, door: float) -> str:
    """Curves from row to row; straight down where the route passes a row, so that it touches nothing there."""
    source, target = frames[route.source], frames[route.target]
    x, y = source.item.x, source.item.y + source.height / 2
    path = [f"M{x:.1f},{y:.1f}"]
    for before, stop in pairwise(route.stops):
        last = stop is route.stops[-1]
        to_x = door if last else stop.x
        row_top = stop.y - stop.row_height / 2
        row_bottom = before.y + before.row_height / 2
        row_bottom += STUB
        bend = (row_bottom + row_top) / 2
        path.append(f"V{row_bottom:.1f}C{x:.1f},{bend:.1f} {to_x:.1f},{bend:.1f} {to_x:.1f},{row_top:.1f}")
        x = to_x
        path.append(f"V{(target.item.y - target.height / 2 if last else stop.y + stop.row_height / 2):.1f}")
    return f'<path d="{"".join(path)}" fill="none" stroke="{GREY}" stroke-width="1.5" marker-end="url(#tip)"/>'


def _outline(kind: str, x: float, y: float, width: float, height: float) -> str:
    fill, stroke, _ = LOOKS[kind]
    look = f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"'
    if kind == "parameter":
        return f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{width / 2:.1f}" ry="{height / 2:.1f}" {look}/>'
    radius = {"op": 6, "module": 8, "data": 0, "fold": 8, "loss": height / 2}[kind]
    dashes = ' stroke-dasharray="6 4"' if kind == "fold" else ""
    return (f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius:.0f}" {look}{dashes}/>')


def _text(x: float, y: float, text: str, size: float, colour: str, weight: str = "normal") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="middle">{escape(text)}</text>')


def _width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is; rather too much, as the font is the viewer's choice."""
    ems = sum(0.36 if char in "iljtfr.,:;'|!()[] " else 0.95 if char in "mwMW" else 0.74 if char.isupper() else 0.62
              for char in text)
    return ems * size * (1.1 if bold else 1.0)
