"""lint: the usual mistakes of a training script, looked for in the graph of its loss, its model and its optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from tinygrad_course.debug.rules import RULES, Case
from tinygrad_course.nn import Module
from tinygrad_course.optim import Optimizer
from tinygrad_course.tensor import Tensor


@dataclass(frozen=True)
class Finding:
    """One mistake: `code` names the rule, then what, where, why it matters, how to mend it."""

    code: str
    what: str
    where: str
    why: str
    fix: str

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.what}" + (f", {self.where}" if self.where else "")]
        for label, text in (("why", self.why), ("fix", self.fix)):
            lines += wrap(text, 110, initial_indent=f"  {label}  ", subsequent_indent="       ")
        return "\n".join(lines)


class Findings(list[Finding]):
    """What lint() found, as a list; `print` it."""

    @property
    def codes(self) -> list[str]:
        """The code of each finding."""
        return [finding.code for finding in self]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        if not self:
            return "lint: nothing to complain about"
        return "\n\n".join([f"lint: {len(self)} finding{'s' * (len(self) != 1)}", *map(str, self)])


def lint(model: Module, loss: Tensor, optimizer: Optimizer | None = None) -> Findings:
    """Look for the usual mistakes.  Call it in the second step of training, right before loss.backward():

        loss = criterion(model(x), y)
        optimizer.zero_grad()
        print(tgc.lint(model, loss, optimizer))
        loss.backward()

    What it finds is likely a mistake, not certainly: a layer may be left out of the optimiser on purpose.
    """
    case = Case(model, loss, optimizer)
    return Findings([Finding(rule.code, what, where, rule.why, rule.fix)
                     for rule in RULES for what, where in rule.look(case)])
