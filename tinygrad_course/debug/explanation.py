"""What explain() found, and its three forms: text, LaTeX, HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

UNKNOWN = "   (nobody kept the value)"
SHOWN_NUMBERS = 9  # of an array that is written out; a larger one is told by shape, mean and norm
SHOWN_TERMS = 4  # of a sum: a weight of a recurrent network has one per time step
SHOWN_ROWS = 60  # of the table of leaves


@dataclass(frozen=True)
class Term:
    """One part of a gradient, and the step it came from."""

    source: str
    value: Any


@dataclass
class Sum:
    """A gradient that gathers: the total, and the first few of its terms."""

    total: Any = None
    terms: list[Term] = field(default_factory=list)
    count: int = 0

    def add(self, source: str, g: Any) -> None:
        """One more contribution, from the step called `source`."""
        self.count += 1
        self.total = g if self.total is None else self.total + g
        if len(self.terms) < SHOWN_TERMS:
            self.terms.append(Term(source, g.array))

    def join(self, other: Sum) -> None:
        """Everything another sum has gathered."""
        self.count += other.count
        self.total = other.total if self.total is None else self.total + other.total
        self.terms = [*self.terms, *other.terms][:SHOWN_TERMS]


@dataclass(frozen=True)
class Gift:
    """What a step passes on to one input; `local` is d result / d input where both are single numbers."""

    target: str
    value: Any
    local: Any


@dataclass(frozen=True)
class Step:
    """One op: what it computed, which gradient arrives at its results, what it passes on."""

    number: int
    results: list[str]
    call: str
    value: Any
    rule: str
    path: str
    origin: str
    arrives: list[Sum]
    gifts: list[Gift]


@dataclass(frozen=True)
class End:
    """A leaf, or a tensor that was asked for, and its gradient."""

    name: str
    gradient: Sum


class Explanation:
    """The chain rule of one loss.  `print` it; a notebook shows it as HTML.

    steps   the ops that are shown, newest first
    ends    the gradients they lead to
    """

    def __init__(self, name: str, value: Any, steps: list[Step], ends: list[End], n_ops: int, precision: int) -> None:
        self.name = name
        self.value = value
        self.steps = steps
        self.ends = ends
        self.n_ops = n_ops
        self.precision = precision

    @property
    def gradients(self) -> dict[str, Any]:
        """name -> gradient, as an array."""
        return {end.name: end.gradient.total.array for end in self.ends}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [f"{self._title()}", ""]
        for step, hidden in self._with_gaps():
            lines += self._step_lines(step)
            if hidden:
                lines += [f"      ... {_ops(hidden)} not shown ...", ""]
        lines.append("The gradients")
        lines += [f"  {line}" for line in _aligned([self._end_line(end) for end in self.ends[:SHOWN_ROWS]])]
        if len(self.ends) > SHOWN_ROWS:
            lines.append(f"  ... and {len(self.ends) - SHOWN_ROWS:,} more")
        return "\n".join(lines)

    def latex(self) -> str:
        r"""The chain rule as an `aligned` block: \frac{\partial L}{\partial x} = ... per step."""
        rows = [rf"L &= {_tex_name(self.name)} = {self._tex_value(self.value)}"]
        for step, hidden in self._with_gaps():
            for result, total in zip(step.results, step.arrives, strict=True):
                if total.count > 1:
                    rows.append(f"{_tex_partial('L', result)} &= {self._tex_sum(total)}")
            for gift in step.gifts:
                if gift.local is None:
                    by = r",\ ".join(_tex_partial("L", result) for result in step.results)
                    rows.append(rf"{_tex_partial('L', gift.target)} &\leftarrow {self._tex_value(gift.value)}"
                                rf" \quad\text{{from }} {by} \text{{ by {_tex(step.call)}}}")
                else:
                    result = step.results[0]
                    rows.append(
                        rf"{_tex_partial('L', gift.target)} &\leftarrow {_tex_partial('L', result)}"
                        rf" \cdot {_tex_partial(_tex_name(result), gift.target)} = "
                        rf"{self._tex_factor(step.arrives[0].total.array)} \cdot {self._tex_factor(gift.local)}"
                        rf" = {self._tex_value(gift.value)}")
            if hidden:
                rows.append(rf"&\ \,\vdots \quad \text{{{_ops(hidden)} not shown}}")
        for end in self.ends[:SHOWN_ROWS]:
            rows.append(rf"\boxed{{{_tex_partial('L', end.name)}}} &= {self._tex_sum(end.gradient)}")
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def html(self) -> str:
        """The same as a piece of a page that needs nothing from elsewhere."""
        parts = [f'<div class="tgc-explain"><style>{_STYLE}</style><h3>{escape(self._title())}</h3>']
        for step, hidden in self._with_gaps():
            parts.append(self._step_html(step))
            if hidden:
                parts.append(f'<p class="gap">&#8942; {_ops(hidden)} not shown &#8942;</p>')
        rows = [f"<tr><td>{_partial('L', end.name)}</td><td>{self._html_sum(end.gradient)}</td></tr>"
                for end in self.ends[:SHOWN_ROWS]]
        if len(self.ends) > SHOWN_ROWS:
            rows.append(f"<tr><td></td><td>and {len(self.ends) - SHOWN_ROWS:,} more</td></tr>")
        parts.append(f'<section class="ends"><h4>The gradients</h4><table>{"".join(rows)}</table></section></div>')
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    # ---- what all forms say -------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"L = {self.name} = {self._text(self.value)}: the chain rule through {_ops(self.n_ops)}, newest first"

    def _with_gaps(self) -> list[tuple[Step, int]]:
        """Each step with the number of ops left out after it; numbers of ops that lead elsewhere are no gap."""
        left_out = self.n_ops - len(self.steps)
        widest = max(range(len(self.steps)), key=lambda at: self._distance(at), default=0)
        return [(step, left_out if at == widest else 0) for at, step in enumerate(self.steps)]

    def _distance(self, at: int) -> int:
        after = self.steps[at + 1].number if at + 1 < len(self.steps) else 0
        return self.steps[at].number - after

    def _text(self, array: Any) -> str:
        """An array in few words."""
        if array.size <= SHOWN_NUMBERS:
            return _nested(array.tolist(), self.precision)
        values = array.astype("float64")
        norm = float((values * values).sum()) ** 0.5
        return f"{tuple(array.shape)} with mean {values.mean():.{self.precision}g}, norm {norm:.{self.precision}g}"

    def _factor(self, array: Any) -> str:
        """A single number as it stands in a product."""
        text = _nested(array.item(), self.precision)
        return f"({text})" if text.startswith("-") else text

    # ---- text ---------------------------------------------------------------------------------------------------

    def _step_lines(self, step: Step) -> list[str]:
        label = f"[{step.number}] "
        value = f" = {self._text(step.value)}" if step.value is not None else UNKNOWN if len(step.results) == 1 else ""
        lines = [f"{label}{', '.join(step.results)} = {step.call}{value}"]
        pad = " " * len(label)
        if step.path or step.origin:
            lines.append(f"{pad}in         {', '.join(part for part in (step.path, step.origin) if part)}")
        lines.append(f"{pad}rule       {step.rule}")
        arrives = [(f"dL/d{name}", self._sum_text(total)) for name, total in zip(step.results, step.arrives, strict=True)]
        for word, pairs in (("arrives", arrives), ("passes on", [self._gift_line(step, gift) for gift in step.gifts])):
            for index, line in enumerate(_aligned(pairs)):
                lines.append(f"{pad}{'' if index else word:<10} {line}")
        return [*lines, ""]

    def _gift_line(self, step: Step, gift: Gift) -> tuple[str, str]:
        value = self._text(gift.value)
        if gift.local is not None:
            value = f"{self._factor(step.arrives[0].total.array)} * {self._factor(gift.local)} = {value}"
        return f"to {gift.target}", value

    def _end_line(self, end: End) -> tuple[str, str]:
        return f"dL/d{end.name}", self._sum_text(end.gradient)

    def _sum_text(self, total: Sum) -> str:
        if total.count == 0:
            return "nothing"
        value = self._text(total.total.array)
        if total.count == 1:
            return value
        terms = [f"{self._text(term.value)} from {term.source}" for term in total.terms]
        rest = [f"{total.count - len(terms):,} more terms"] if total.count > len(terms) else []
        line = f"{'  +  '.join(terms + rest)}  =  {value}"
        return line if len(line) <= 100 else "\n  + ".join(["  " + terms[0], *terms[1:], *rest]) + f"\n  = {value}"

    # ---- LaTeX --------------------------------------------------------------------------------------------------

    def _tex_value(self, array: Any) -> str:
        if array.ndim in (1, 2) and 1 < array.size <= SHOWN_NUMBERS:
            rows = array.tolist() if array.ndim == 2 else [array.tolist()]
            body = r" \\ ".join(" & ".join(_tex_number(value, self.precision) for value in row) for row in rows)
            return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}"
        if array.size == 1:
            return _tex_number(array.item(), self.precision)
        return rf"\text{{{self._text(array)}}}"

    def _tex_factor(self, array: Any) -> str:
        text = _tex_number(array.item(), self.precision)
        return f"({text})" if text.startswith("-") else text

    def _tex_sum(self, total: Sum) -> str:
        if total.count == 0:
            return "0"
        terms = [self._tex_value(term.value) for term in total.terms]
        if total.count == 1:
            return terms[0]
        dots = [r"\cdots"] if total.count > len(terms) else []
        return f"{' + '.join(terms + dots)} = {self._tex_value(total.total.array)}"

    # ---- HTML ---------------------------------------------------------------------------------------------------

    def _step_html(self, step: Step) -> str:
        value = "" if step.value is None else f" = <b>{escape(self._text(step.value))}</b>"
        place = ", ".join(part for part in (step.path, step.origin) if part)
        rows = [f"<tr><td>arrives</td><td>{_partial('L', result)}</td><td>= {self._html_sum(total)}</td></tr>"
                for result, total in zip(step.results, step.arrives, strict=True)]
        for gift in step.gifts:
            product = "" if gift.local is None else (f"{self._factor(step.arrives[0].total.array)} &middot; "
                                                     f"{self._factor(gift.local)} = ")
            chain = "" if gift.local is None else (f"{_partial('L', step.results[0])} &middot; "
                                                   f"{_partial(step.results[0], gift.target)} = ")
            rows.append(f"<tr><td>passes on</td><td>to <code>{escape(gift.target)}</code></td>"
                        f"<td>{chain}{product}<b>{escape(self._text(gift.value))}</b></td></tr>")
        where = f'<p class="place">{escape(place)}</p>' if place else ""
        return (f'<section><h4><span>{step.number}</span> <code>{escape(", ".join(step.results))} = {escape(step.call)}'
                f'</code>{value}</h4>{where}<p class="rule">{escape(step.rule)}</p><table>{"".join(rows)}</table></section>')

    def _html_sum(self, total: Sum) -> str:
        if total.count < 2:
            return f"<b>{escape(self._sum_text(total))}</b>"
        terms = [f"{self._text(term.value)} <small>from {term.source}</small>" for term in total.terms]
        if total.count > len(terms):
            terms.append(f"{total.count - len(terms):,} more terms")
        return f"{' + '.join(terms)} = <b>{escape(self._text(total.total.array))}</b>"


def _nested(value: Any, precision: int) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_nested(part, precision) for part in value)}]"
    return f"{value + 0.0:.{precision}g}" if isinstance(value, float) else str(value)  # + 0.0: no -0


def _aligned(pairs: list[tuple[str, str]]) -> list[str]:
    """`name = value` lines; a value of several lines stands below its name."""
    width = max((len(name) for name, _ in pairs), default=0)
    lines: list[str] = []
    for name, value in pairs:
        first, *rest = [f"{name:<{width}} =", *value.split("\n")] if "\n" in value else [f"{name:<{width}} = {value}"]
        lines += [first, *(f"    {line}" for line in rest)]
    return lines


def _ops(count: int) -> str:
    return f"{count:,} op" + ("s" if count != 1 else "")


def _tex(text: str) -> str:
    for char in "\\&%$#_{}~^":
        text = text.replace(char, rf"\{char}" if char not in "\\~^" else " ")
    return text


def _tex_name(name: str) -> str:
    if name[:1] == "v" and name[1:].isdigit():
        return f"v_{{{name[1:]}}}"
    return name if len(name) == 1 and name.isalpha() else rf"\text{{{_tex(name)}}}"


def _tex_partial(above: str, below: str) -> str:
    return rf"\frac{{\partial {above}}}{{\partial {_tex_name(below)}}}"


def _tex_number(value: Any, precision: int) -> str:
    text = _nested(value, precision)
    if "inf" in text:
        return text.replace("inf", r"\infty")
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else text.replace("nan", r"\text{NaN}")


def _partial(above: str, below: str) -> str:
    return (f'<span class="d"><i>&part;{escape(above)}</i><i>&part;{escape(below)}</i></span>')


_STYLE = """
.tgc-explain { font: 15px/1.45 Helvetica, Arial, sans-serif; color: #1a1a1a; background: #fff; max-width: 60em; }
.tgc-explain section { border: 1px solid #ccc; border-left: 5px solid #0072B2; border-radius: 4px;
  margin: .7em 0; padding: .5em .9em; }
.tgc-explain section.ends { border-left-color: #D55E00; }
.tgc-explain h3, .tgc-explain h4 { margin: .2em 0; font-size: 1em; }
.tgc-explain h4 { font-weight: normal; }
.tgc-explain h4 span { color: #fff; background: #0072B2; border-radius: 9px; padding: 0 .55em; font-size: .85em; }
.tgc-explain .rule { color: #0072B2; margin: .2em 0; }
.tgc-explain .place, .tgc-explain .gap { color: #5a5a5a; margin: .2em 0; }
.tgc-explain .gap { text-align: center; }
.tgc-explain table { border-collapse: collapse; }
.tgc-explain td { padding: .25em 1em .25em 0; text-align: left; vertical-align: middle; background: none; }
.tgc-explain .d { display: inline-block; vertical-align: middle; text-align: center; font-size: .85em; line-height: 1.2; }
.tgc-explain .d i { display: block; padding: 0 .2em; }
.tgc-explain .d i:first-child { border-bottom: 1px solid #1a1a1a; }
"""
