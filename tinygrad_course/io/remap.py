"""Names of weights from elsewhere, brought to the names that a model has.

`remap` renames by rules that the caller states; `propose_mapping` finds rules for names that have nothing in common, by shape
and order, to be looked at before they are used:

    weights = tgc.io.load("theirs.pth")
    print(proposal := tgc.io.propose_mapping(weights, model))
    model.load_state_dict(tgc.io.remap(weights, model, proposal))
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_course.errors import StateDictError
from tinygrad_course.nn import Module
from tinygrad_course.nn.state import common_prefix

Rules = Mapping[str, str | None] | Sequence[tuple[str, str]]
Shapes = dict[str, tuple[int, ...]]


def remap(state_dict: Mapping[str, Any], model: Module, rules: Rules | None = None) -> dict[str, Any]:
    """A state dict with other names and the same values, for model.load_state_dict.

    rules  None: a prefix that all names of one side have ("module.") is stripped, or added
           {old: new}: a name by its new one; a beginning that ends in "." ("encoder.", or "" for every name) by another
           one; None as the new name leaves the entry out.  A whole name goes before a beginning, a longer one before a
           shorter
           [(pattern, replacement), ...]: regular expressions, applied to each name in turn as by re.sub

    Names that no rule concerns stay: load_state_dict says which are missing or unexpected.
    Raises StateDictError with every conflict at once: rules without effect, two names that become one, new names that the
    model lacks, shapes that do not fit.
    """
    wanted = _shapes(model.state_dict())
    if rules is None:
        rules = _prefix_rule(state_dict, wanted)
    renamed = (_by_names(state_dict, rules) if isinstance(rules, Mapping) else _by_patterns(state_dict, rules))
    conflicts = renamed.idle
    sources: dict[str, list[str]] = {}
    for old, new in renamed.names.items():
        sources.setdefault(new, []).append(old)
    for new, olds in sources.items():
        if len(olds) > 1:
            conflicts.append(f"{' and '.join(olds)} would both be {new}")
            continue
        old = olds[0]
        if old == new:
            continue
        shape = _shape(state_dict[old])
        if new not in wanted:
            conflicts.append(f"{old} would be {new}, which {type(model).__name__} does not have")
        elif shape != wanted[new]:
            conflicts.append(f"{old} would be {new}: the file has {shape}, the model needs {wanted[new]}")
    if conflicts:
        raise StateDictError("remap: the rules do not fit:\n  " + "\n  ".join(conflicts))
    return {new: state_dict[old] for old, new in renamed.names.items()}


def propose_mapping(state_dict: Mapping[str, Any], model: Module) -> Proposal:
    """Which name of a file may be which of the model's, for names that differ: {old: new}, to be read and given to `remap`.

    Names that agree, shapes included, are paired.  The rest is aligned: in the order of both sides (or in that of the sorted
    names, where it fits better: safetensors files do not keep the order of the layers), only equal shapes, as many pairs as
    possible, and among these those whose last parts ("weight", "running_mean") agree.  Nothing is loaded or renamed.
    """
    wanted = _shapes(model.state_dict())
    given = {key: shape for key, value in state_dict.items() if (shape := _shape(value)) is not None}
    same = {key for key, shape in given.items() if wanted.get(key) == shape}
    old, new = [key for key in given if key not in same], [key for key in wanted if key not in same]
    old_orders = [old] if old == _natural(old) else [old, _natural(old)]
    if _is_sorted(old, state_dict):  # as safetensors files are, where block.10 comes before block.2: that says nothing
        old_orders = old_orders[-1:]
    trials = [_aligned(first, second, given, wanted) for first in old_orders for second in (new, _natural(new))]
    pairs = max(trials, key=lambda found: found[0])[1]
    old_shapes, new_shapes = Counter(given[key] for key in old), Counter(wanted[key] for key in new)
    uncertain = [key for key in pairs if max(old_shapes[given[key]], new_shapes[given[key]]) > 1
                 and _last(key) != _last(pairs[key])]
    by_order = [key for key in pairs if max(old_shapes[given[key]], new_shapes[given[key]]) > 1 and key not in uncertain]
    taken = set(pairs.values())
    return Proposal({key: pairs[key] for key in old if key in pairs}, given, wanted,
                    [key for key in new if key not in taken], [key for key in old if key not in pairs], by_order, uncertain)


class Proposal(dict[str, str]):
    """{old name: new name}, with what is to be said about it; `print` it.

    missing    names of the model without a partner
    unused     names of the file without a partner
    by_order   old names whose shape occurs several times: only the order says which is which
    uncertain  among these the pairs whose last parts differ as well
    """

    def __init__(self, pairs: Mapping[str, str], given: Shapes, wanted: Shapes, missing: list[str], unused: list[str],
                 by_order: list[str], uncertain: list[str]) -> None:
        super().__init__(pairs)
        self._given, self._wanted = given, wanted
        self.missing, self.unused, self.by_order, self.uncertain = missing, unused, by_order, uncertain

    def __str__(self) -> str:
        width, height = max(map(len, self), default=0), max(map(len, self.values()), default=0)
        lines = [f"{len(self)} pairs with equal shapes; nothing is renamed before io.remap(state_dict, model, this)"]
        for old, new in self.items():
            note = "  only by order" if old in self.by_order else "  by order, and the names disagree" \
                if old in self.uncertain else ""
            lines.append(f"  {old:<{width}} -> {new:<{height}}  {self._given[old]}{note}")
        lines += [f"  {key} {self._wanted[key]} of the model has no partner" for key in self.missing]
        lines += [f"  {key} {self._given[key]} of the file has no partner" for key in self.unused]
        return "\n".join(lines)

    __repr__ = __str__


class _Renamed:
    """Old names with their new ones, and the rules that did nothing."""

    def __init__(self, names: dict[str, str], idle: list[str]) -> None:
        self.names, self.idle = names, idle


def _by_names(state_dict: Mapping[str, Any], rules: Mapping[str, str | None]) -> _Renamed:
    beginnings = sorted((rule for rule in rules if rule == "" or rule.endswith(".")), key=len, reverse=True)
    used, names = set(), {}
    for key in state_dict:
        rule = key if key in rules else next((start for start in beginnings if key.startswith(start)), None)
        if rule is None:
            names[key] = key
            continue
        used.add(rule)
        new = rules[rule]
        if new is not None:
            names[key] = new if rule == key else new + key[len(rule):]
    return _Renamed(names, [f"no name {'begins with' if rule in beginnings else 'is'} {rule!r}"
                            for rule in rules if rule not in used])


def _by_patterns(state_dict: Mapping[str, Any], rules: Iterable[tuple[str, str]]) -> _Renamed:
    names = {key: key for key in state_dict}
    idle = []
    for pattern, replacement in rules:
        try:
            changed = {key: re.sub(pattern, replacement, name) for key, name in names.items()}
        except re.error as error:
            raise StateDictError(f"remap: the rule ({pattern!r}, {replacement!r}) is no regular expression with its "
                                 f"replacement: {error}") from None
        if changed == names:
            idle.append(f"the pattern {pattern!r} changes no name")
        names = changed
    return _Renamed(names, idle)


def _prefix_rule(state_dict: Mapping[str, Any], wanted: Shapes) -> dict[str, str | None]:
    """The rule that strips or adds a prefix; StateDictError if neither makes the names agree."""
    if all(key in wanted for key in state_dict):
        return {}
    prefix = common_prefix(list(state_dict), set(wanted))
    if prefix:
        return {prefix: ""}
    prefix = common_prefix(list(wanted), set(state_dict))
    if prefix:
        return {"": prefix}
    nested = next((key for key, value in state_dict.items() if isinstance(value, Mapping)), None)
    if nested is not None:
        raise StateDictError(f"remap: this is a checkpoint, not a state dict: give its entry, state_dict[{nested!r}] perhaps")
    raise StateDictError("remap: no prefix makes the names agree. State rules: {old: new}, or [(pattern, replacement)]; "
                         "io.propose_mapping(state_dict, model) proposes some by shape and order.")


def _shapes(state_dict: Mapping[str, Any]) -> Shapes:
    return {key: tuple(value.shape) for key, value in state_dict.items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _last(key: str) -> str:
    return re.split(r"[./]", key)[-1]


def _natural(names: list[str]) -> list[str]:
    """Sorted as people do: block.2 before block.10."""
    return sorted(names, key=lambda name: [(0, int(part), "") if part.isdigit() else (1, 0, part)
                                           for part in re.split(r"(\d+)", name)])


def _is_sorted(names: list[str], state_dict: Mapping[str, Any]) -> bool:
    """Whether the names are in the order of text, within each type of numbers."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(str(getattr(state_dict[name], "dtype", "")), []).append(name)
    return all(group == sorted(group) for group in groups.values())


def _aligned(old: list[str], new: list[str], given: Shapes, wanted: Shapes) -> tuple[int, dict[str, str]]:
    """The best pairs that keep the order of both lists, and their score: 4 a pair, 1 more if the last parts agree.

    Needleman and Wunsch (1970): best[i][j] is the score of the first i and j names."""
    best = [[0] * (len(new) + 1)]
    for key in old:
        row, before = [0], best[-1]
        shape, last = given[key], _last(key)
        for j, other in enumerate(new):
            value = max(row[j], before[j + 1])
            if wanted[other] == shape:
                value = max(value, before[j] + 4 + (_last(other) == last))
            row.append(value)
        best.append(row)
    pairs: dict[str, str] = {}
    i, j = len(old), len(new)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs[old[i]] = new[j]
    return best[-1][-1], pairs
