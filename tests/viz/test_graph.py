"""The drawing of a graph: what is in it, and that nothing lies over anything else."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import models, nn
from tinygrad_course.errors import DataError, GraphError
from tinygrad_course.nn import functional as F
from tinygrad_course.viz.graph import GraphDrawing, graph
from tinygrad_course.viz.layout import Item, lay_out

SVG = "{http://www.w3.org/2000/svg}"


class Block(nn.Module):
    """Two layers and a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Linear(width, width)
        self.two = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        return (x + self.two(self.one(x).relu())).relu()


class ResNet(nn.Module):
    """Blocks in a row."""

    def __init__(self, n_blocks: int) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.blocks = nn.Sequential(*(Block(4) for _ in range(n_blocks)))

    def forward(self, x: Any) -> Any:
        return self.blocks(self.stem(x))


def lenet(**options: Any) -> GraphDrawing:
    model, images, labels = models.LeNet5(), tgc.rand(4, 1, 32, 32), tgc.tensor([0, 1, 2, 3])
    loss = F.cross_entropy(model(images), labels)
    return graph(loss, names={"images": images, "labels": labels, "loss": loss}, **options)


def resnet(n_blocks: int = 3, **options: Any) -> GraphDrawing:
    model = ResNet(n_blocks)  # lives until the graph is drawn
    return graph(model(tgc.rand(2, 3)).sum(), **options)


def recurrent() -> GraphDrawing:
    cell, h = nn.Linear(3, 2), tgc.zeros(1, 2)
    for _ in range(5):
        h = tgc.tanh(cell(tgc.cat([tgc.rand(1, 1), h], 1)))
    return graph(h.sum())


def small() -> GraphDrawing:
    w = tgc.tensor(2.0, requires_grad=True)
    b = tgc.tensor(1.0, requires_grad=True)
    y = w * 3 + b
    loss = (y - w) ** 2
    return graph(loss)


def tangled() -> GraphDrawing:
    rng = np.random.default_rng(3)
    tensors = [tgc.tensor(float(number), requires_grad=True) for number in range(4)]
    for _ in range(40):
        first, second = rng.integers(0, len(tensors), 2)
        tensors.append(tensors[first] * tensors[second])
    return graph(sum(tensors))


def deep() -> GraphDrawing:
    x = tgc.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y * 1.5 + x
    return graph(y, max_boxes=20)


def titles(drawing: GraphDrawing, *kinds: str) -> list[str]:
    return [shape.title for shape in drawing.shapes if shape.kind in kinds]


def outlines(svg: str) -> list[tuple[float, float, float, float]]:
    """(left, top, right, bottom) of every box and ellipse."""
    found = []
    for element in ElementTree.fromstring(svg).iter():
        value = {key: float(number) for key, number in element.attrib.items() if re.fullmatch(r"-?[\d.]+", number)}
        if element.tag == f"{SVG}rect" and "x" in value:
            found.append((value["x"], value["y"], value["x"] + value["width"], value["y"] + value["height"]))
        elif element.tag == f"{SVG}ellipse":
            found.append((value["cx"] - value["rx"], value["cy"] - value["ry"],
                          value["cx"] + value["rx"], value["cy"] + value["ry"]))
    return found


def curve_points(svg: str) -> list[list[tuple[float, float]]]:
    """Points along every arrow, its two ends left out."""
    arrows = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if "marker-end" not in element.attrib:
            continue
        x = y = 0.0
        points = []
        for letter, numbers in re.findall(r"([MVC])([^MVC]*)", element.attrib["d"]):
            values = [float(number) for number in re.split("[, ]", numbers)]
            if letter == "M":
                x, y = values
            elif letter == "V":
                points += [(x, y + (values[0] - y) * t) for t in np.linspace(0, 1, 9)]
                y = values[0]
            else:
                ax, ay, bx, by, cx, cy = values
                for t in np.linspace(0, 1, 17):
                    s = 1 - t
                    points.append((s**3 * x + 3 * s**2 * t * ax + 3 * s * t**2 * bx + t**3 * cx,
                                   s**3 * y + 3 * s**2 * t * ay + 3 * s * t**2 * by + t**3 * cy))
                x, y = cx, cy
        top, bottom = points[0][1], points[-1][1]
        arrows.append([point for point in points if top + 1 < point[1] < bottom - 1])
    return arrows


@pytest.mark.parametrize("draw", [lenet, resnet, recurrent, small, tangled, deep, lambda: lenet(collapse=False),
                                  lambda: lenet(collapse=0), lambda: resnet(collapse=2), lambda: resnet(100)])
def test_nothing_overlaps(draw: Any) -> None:
    svg = draw().svg()
    boxes = outlines(svg)
    assert len(boxes) > 1
    for one, two in itertools.combinations(boxes, 2):
        assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1], (one, two)
    for arrow in curve_points(svg):
        for x, y in arrow:
            for left, top, right, bottom in boxes:
                assert not (left + 1 < x < right - 1 and top + 1 < y < bottom - 1), "an arrow runs through a box"
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(left >= 0 and top >= 0 and right <= width and bottom <= height for left, top, right, bottom in boxes)


def test_arrows_point_down() -> None:
    for arrow in curve_points(resnet().svg()):
        heights = [y for _, y in arrow]
        assert heights == sorted(heights)


def test_layers_are_boxes_in_the_order_of_computing() -> None:
    drawing = lenet()
    assert titles(drawing, "op", "module") == [
        "c1", "relu", "s2", "c3", "relu", "s4", "reshape", "c5", "relu", "f6", "relu", "output",
        "cross_entropy"]
    assert titles(drawing, "data", "loss") == ["images", "loss"]
    c1 = next(shape for shape in drawing.shapes if shape.title == "c1")
    assert [(part.kind, part.title, part.lines) for part in c1.beside] == [
        ("parameter", "weight", ["6 × 1 × 5 × 5"]), ("parameter", "bias", ["6"])]
    loss = next(shape for shape in drawing.shapes if shape.title == "cross_entropy")
    assert [(part.kind, part.title) for part in loss.beside] == [("data", "labels")]
    assert [arrow.label for arrow in drawing.arrows][:4] == ["4 × 1 × 32 × 32", "4 × 6 × 28 × 28", "4 × 6 × 28 × 28",
                                                              "4 × 6 × 14 × 14"]
    assert drawing.note == "LeNet5: 13 ops, 61,706 numbers to learn"


def test_depth() -> None:
    assert titles(resnet(collapse=0), "module", "op") == ["ResNet", "sum"]
    assert titles(resnet(collapse=1), "module", "op") == ["stem", "blocks", "sum"]
    assert titles(resnet(collapse=2), "module", "op") == ["stem", "blocks.0", "blocks.1", "blocks.2", "sum"]
    assert titles(resnet(1, collapse=True), "module", "op") == ["stem", "blocks.0.one", "relu", "blocks.0.two", "add", "relu",
                                                                "sum"]
    assert titles(resnet(1, collapse=False), "module", "op") == ["linear", "linear", "relu", "linear", "add", "relu", "sum"]
    (model,) = [shape for shape in resnet(collapse=0).shapes if shape.kind == "module"]
    assert model.lines == ["16 ops"]
    assert [part.title for part in model.beside] == ["14 parameters"]


def test_too_many_boxes_are_collapsed_and_it_says_so() -> None:
    drawing = resnet(100)
    assert titles(drawing, "module")[:3] == ["stem", "blocks.0", "blocks.1"]
    assert drawing.note.endswith("; modules below depth 2 collapsed: 502 boxes are too many")
    drawing = resnet(200)
    assert titles(drawing, "module", "op") == ["stem", "blocks", "sum"]


def test_a_hundred_thousand_ops() -> None:
    drawing = deep()
    assert titles(drawing, "fold") == ["99,981 ops"]
    assert len(titles(drawing, "op")) == 19
    assert drawing.note == ("100,000 ops, 1 number to learn; 99,981 ops in the middle share one box: 100,000 boxes are too "
                            "many")


def test_a_shared_parameter_is_drawn_once() -> None:
    drawing = recurrent()
    assert sorted(titles(drawing, "parameter")) == ["bias", "weight"]
    assert sum(arrow.source < 2 for arrow in drawing.arrows) == 10
    assert titles(drawing, "module") == ["Linear"] * 5


def test_names_of_variables() -> None:
    drawing = small()
    assert titles(drawing, "loss", "parameter") == ["w", "loss"]
    assert "y: scalar" in [arrow.label for arrow in drawing.arrows]


def test_after_backward() -> None:
    model = nn.Linear(2, 2)
    loss = model(tgc.ones(1, 2)).sum()
    loss.backward()
    assert titles(graph(loss), "module", "op") == ["Linear", "sum"]


def test_dot() -> None:
    source = small().dot()
    assert source.startswith("digraph {")
    assert source.count("{") == source.count("}") == 1
    assert 'b0 [label="w", shape=ellipse' in source
    assert re.search(r'b\d+ -> b\d+ \[label="y: scalar"\];', source)
    x = tgc.tensor(1.0, requires_grad=True)
    assert r'label="a\"b\\\nscalar"' in graph(x * 1, names={'a"b\\': x, "x": x}).dot()


def test_text_is_escaped() -> None:
    x = tgc.tensor(1.0, requires_grad=True)
    assert "&lt;x&gt; &amp; y" in graph(x * 1, names={"<x> & y": x}).svg()


def test_save(tmp_path: Any) -> None:
    drawing = small()
    for name in ("graph.svg", "graph.dot", "graph.html"):
        drawing.save(tmp_path / name)
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == drawing.svg() == drawing._repr_svg_()
    assert (tmp_path / "graph.dot").read_text(encoding="utf-8") == drawing.dot()
    assert drawing.svg() in (tmp_path / "graph.html").read_text(encoding="utf-8")
    with pytest.raises(DataError, match=r"saved as \.svg, \.dot or \.html, not as \.png"):
        drawing.save(tmp_path / "graph.png")
    with pytest.raises(DataError, match="cannot be written"):
        drawing.save(tmp_path / "missing" / "graph.svg")


def test_errors() -> None:
    with pytest.raises(GraphError, match="graph: this tensor of shape"):
        graph(tgc.ones(2))


def test_layout_keeps_a_chain_straight() -> None:
    items = [Item(20, 20, 30), Item(40, 20, 30), Item(20, 60, 30)]
    routes = lay_out(items, [(0, 1), (1, 2)])
    assert len({item.x for item in items}) == 1
    assert [item.row for item in items] == [0, 1, 2]
    assert [len(route.stops) for route in routes] == [2, 2]


def test_layout_gives_long_edges_a_place_in_every_row() -> None:
    items = [Item(20, 20, 30) for _ in range(4)]
    routes = lay_out(items, [(0, 1), (1, 2), (2, 3), (0, 3)])
    around = routes[3].stops[1:-1]
    assert [stop.row for stop in around] == [1, 2]
    for stop in around:
        assert abs(stop.x - items[stop.row].x) >= 26
