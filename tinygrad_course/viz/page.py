"""The HTML of a page that is one file: nothing is loaded, nothing runs; for screens of any size and for paper."""

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

PICTURE_DPI = 90
LONGEST_WORD = 20  # characters of a word in a table that are kept together

# The browser itself is told to load nothing and to run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5a5a5a; --paper: #ffffff; --line: #d9d9d9; --mark: #0072b2;
  --wrong: #b34e00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a8a8a8; --paper: #161616; --line: #3a3a3a; --mark: #6cb6e8;
    --wrong: #ff9d57; }
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
.wide, pre { overflow-x: auto; background:  /* a shade at the right edge while there is more to the right */
  linear-gradient(var(--paper), var(--paper)) right -2px top / 1.4rem calc(100% + 1px) no-repeat local,
  linear-gradient(to left, var(--line), transparent) right / 1rem 100% no-repeat scroll; }
table { border-collapse: collapse; margin: 0.5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.3rem; white-space: nowrap; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
th[scope=row] { min-width: min(10rem, 45vw); }
data { white-space: nowrap; }
.long { overflow-wrap: anywhere; min-width: 9rem; }
figure { margin: 1rem 0; }
figure.half { display: inline-block; width: 49%; min-width: 19rem; margin: 0.5rem 0; vertical-align: top; }
img { max-width: 100%; height: auto; background: #ffffff; }
figure.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.2rem, 1fr)); gap: 1rem 0.8rem; }
figure.sample { margin: 0; }
.sample img { display: block; width: 100%; border: 1px solid var(--line); image-rendering: pixelated; }
.sample figcaption { padding-top: 0.2rem; line-height: 1.25; color: var(--ink); overflow-wrap: anywhere; }
.wrong img { border: 4px solid var(--wrong); }
.wrong figcaption { color: var(--wrong); font-weight: bold; }
pre { font: 0.8rem/1.45 ui-monospace, monospace; }
summary { cursor: pointer; color: var(--mark); }
@media (max-width: 40rem) { figure.half { width: 100%; min-width: 0; } body { padding-top: 0.8rem; } }
@media print {
  :root { --ink: #000000; --paper: #ffffff; --line: #bbbbbb; --soft: #444444; --mark: #000000; --wrong: #b34e00; }
  img.chart { filter: none; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  details:not([open]) { display: none; }
  h2, h3, p:not(:last-child) { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  figure.samples { break-inside: auto; grid-template-columns: repeat(8, 1fr); }
  pre { font-size: 6.5pt; white-space: pre-wrap; }
  .wide, pre { overflow: visible; background: none; }
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


def cell(value: Any, tag: str = "td", *, right: bool = True, **attributes: str) -> Markup:
    """A cell of a table: a number to five digits, and every digit of it in <data value="...">; or text.

    right  numbers stand at the right edge, one below the other; not in a column that has text too"""
    if not _is_number(value):
        text = "" if value is None else str(value)
        if any(len(word) > LONGEST_WORD for word in re.split(r"[\s_./-]", text)):
            attributes["class_"] = "long"
        return element(tag, breakable(text), **attributes)
    short = f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
    number = element("data", short, value=repr(value))
    return element(tag, number, class_="number") if right else element(tag, number)


def breakable(text: str) -> Markup:
    """Text whose long names may be cut after the signs that join their words: train_accuracy, layers.0.weight."""
    return Markup(re.sub(r"([_./])(?=[A-Za-z])", r"\1<wbr>", html.escape(text)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(rows: Sequence[Sequence[Any]], head: Sequence[str] = (), caption: str = "") -> Markup:
    """Rows of cells; without a head the first column names what stands beside it."""
    parts = []
    if caption:
        parts.append(element("caption", caption))
    if head:
        numeric = [bool(rows) and all(_is_number(row[i]) or row[i] is None for row in rows) for i in range(len(head))]
        parts.append(element("thead", element("tr", *(
            element("th", breakable(name), scope="col", class_="number" if right else "text")
            for name, right in zip(head, numeric, strict=True)))))
        parts.append(element("tbody", *(element("tr", *map(cell, row)) for row in rows)))
    else:
        right = all(_is_number(value) for row in rows for value in row[1:])
        parts.append(element("tbody", *(
            element("tr", cell(str(row[0]), "th", scope="row"), *(cell(value, right=right) for value in row[1:]))
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


def sample(pixels: np.ndarray, alt: str, caption: Markup, *, wrong: bool) -> Markup:
    """One small image, (H, W) or (H, W, 3) with values from 0 to 1, with text below it; in a frame if it is `wrong`."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", cmap="gray", vmin=0, vmax=1)
    image = element("img", src=_source("image/png", buffer.getvalue()), alt=alt)
    return element("figure", image, element("figcaption", caption), class_="sample wrong" if wrong else "sample")


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
    image = element("img", src=_source(kind, content), alt=alt, class_=class_)
    return element("figure", image, class_="half" if half else "whole")


def _source(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
