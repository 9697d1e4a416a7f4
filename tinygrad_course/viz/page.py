"""The HTML of a page that is one file: nothing is loaded, nothing runs; for screens of any size and for paper."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

PICTURE_DPI = 90

# The browser itself is told to load nothing and to run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5a5a5a; --paper: #ffffff; --line: #d9d9d9; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a8a8a8; --paper: #161616; --line: #3a3a3a; --mark: #6cb6e8; }
  img.chart { filter: invert(0.91) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { line-height: 1.2; margin: 0 0 0.3rem; }
h2 { margin: 2.5rem 0 0.8rem; padding-bottom: 0.2rem; border-bottom: 2px solid var(--line); }
h3 { margin: 1.5rem 0 0.5rem; }
a { color: var(--mark); }
nav a { margin-right: 1em; white-space: nowrap; }
.soft, figcaption, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.3rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
figure { margin: 1rem 0; }
figure.half { display: inline-block; width: 49%; min-width: 19rem; margin: 0.5rem 0; vertical-align: top; }
img { max-width: 100%; height: auto; background: #ffffff; }
pre { overflow-x: auto; font: 0.8rem/1.45 ui-monospace, monospace; }
summary { cursor: pointer; color: var(--mark); }
@media (max-width: 40rem) { figure.half { width: 100%; min-width: 0; } body { padding-top: 0.8rem; } }
@media print {
  :root { --ink: #000000; --paper: #ffffff; --line: #bbbbbb; --soft: #444444; --mark: #000000; }
  img.chart { filter: none; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  pre { font-size: 6.5pt; white-space: pre-wrap; }
  .wide { overflow: visible; }
}
"""


class Markup(str):
    """Text that is HTML already; any other text is escaped where it enters the page."""

    __slots__ = ()


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """<tag attribute="...">content</tag>; `class_` is class.  What is no Markup is escaped, in attributes too."""
    pairs = "".join(f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items())
    inner = join(content)
    return Markup(f"<{tag}{pairs}>" if tag in ("img", "meta") else f"<{tag}{pairs}>{inner}</{tag}>")


def join(parts: Iterable[object]) -> Markup:
    """The parts, one after the other, escaped unless they are Markup."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(str(part)) for part in parts))


def cell(value: Any, tag: str = "td") -> Markup:
    """A cell of a table: a number to five digits, and every digit of it in <data value="...">."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return element(tag, "" if value is None else value)
    short = f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    return element(tag, element("data", short, value=repr(value)), class_="number")


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = (), caption: str = "") -> Markup:
    """Rows of cells; without a head the first column names what stands beside it."""
    parts = []
    if caption:
        parts.append(element("caption", caption))
    if head:
        numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
        parts.append(element("thead", element("tr", *(
            element("th", name, scope="col", class_="number" if right else "text")
            for name, right in zip(head, numeric, strict=True)))))
        parts.append(element("tbody", *(element("tr", *map(cell, row)) for row in rows)))
    else:
        parts.append(element("tbody", *(element("tr", element("th", row[0], scope="row"), *map(cell, row[1:]))
                                        for row in rows)))
    return element("div", element("table", *parts), class_="wide")


def chart(drawing: "FigureBase | Axes", alt: str, *, half: bool = False) -> Markup:
    """Lines and bars, as SVG: sharp at any size, light on dark where the reader's screen is dark."""
    buffer = io.BytesIO()
    _root(drawing).savefig(buffer, format="svg", metadata={"Date": None})
    return _figure("image/svg+xml", buffer.getvalue(), alt, "chart", half)


def picture(drawing: "FigureBase | Axes", alt: str) -> Markup:
    """Images, as PNG, in their own colours."""
    buffer = io.BytesIO()
    _root(drawing).savefig(buffer, format="png", dpi=PICTURE_DPI)
    return _figure("image/png", buffer.getvalue(), alt, "picture", False)


def page(title: str, head: Markup, sections: Sequence[tuple[str, Markup]]) -> str:
    """The whole file: heading, links to the sections, the sections."""
    links = [element("a", name, href=f"#part{number}") for number, (name, _) in enumerate(sections)]
    parts = [element("section", element("h2", name, id=f"part{number}"), content)
             for number, (name, content) in enumerate(sections)]
    return "<!DOCTYPE html>\n" + element(
        "html",
        element("head", element("meta", charset="utf-8"),
                Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("title", title), element("style", Markup(_STYLE))),
        "\n", element("body", element("h1", title), head, element("nav", *links), "\n",
                      element("main", *(join((part, "\n")) for part in parts))),
        lang="en") + "\n"


def _root(drawing: Any) -> Any:
    return drawing.figure.get_figure(root=True) if getattr(drawing, "figure", None) is not None else drawing


def _figure(kind: str, content: bytes, alt: str, class_: str, half: bool) -> Markup:
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return element("figure", element("img", src=source, alt=alt, class_=class_), class_="half" if half else "whole")
