"""How much of a wrong gradient would the tests notice?  Break every backward rule, one small change at a time, and look.

    python tools/mutation_score.py                 all ops; about three minutes on two cores
    python tools/mutation_score.py mul softmax     some

For every returned gradient of every op: flip its sign, scale it by 2, exchange its elements (transpose), drop it; for
every sum and difference inside: drop either term; for every sum_to and sum_like: leave it out.  A mutant is caught if a
test of the battery (first and second derivative against finite differences, PyTorch's derivatives at kinks and special
values) fails for it.  Those that survive are listed with their line.
"""

import argparse
import ast
import copy
import importlib
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import tinygrad_course as tgc  # noqa: E402
from tests.ops.battery import SLOPES, Battery, Case  # noqa: E402
from tinygrad_course.autograd import Op, registry  # noqa: E402
from tinygrad_course.errors import TgcError  # noqa: E402

SUMS = {"add": (0, 1), "sub": (0, 1)}
UNBROADCAST = ("sum_to", "sum_like")


def exchanged(g: Any) -> Any:
    """The gradient with its elements in other places: transposed if that is possible and changes it, else reversed."""
    if g is None or g.array.size < 2:
        return g
    if g.array.ndim > 1 and g.array.shape[-1] == g.array.shape[-2]:
        turned = g.transpose(-1, -2)
        if not np.allclose(turned.array, g.array, equal_nan=True):
            return turned
    axis = max(range(g.array.ndim), key=lambda a: g.array.shape[a])
    return g[tuple([slice(None)] * axis + [slice(None, None, -1)])]


def negated(g: Any) -> Any:
    """-g."""
    return None if g is None else -g


def doubled(g: Any) -> Any:
    """2 g."""
    return None if g is None else g * 2.0


def dropped(g: Any) -> Any:
    """No gradient."""
    return None if g is None else g * 0.0


def one(g: Any) -> Any:
    """A gradient of 1 where there is none."""
    return None if g is None else g + 1.0


CHANGES: dict[str, Callable[[Any], Any]] = {
    "flip the sign": negated, "scale by 2": doubled, "transpose": exchanged, "drop the gradient": dropped,
}


class Rewrite(ast.NodeTransformer):
    """Replaces the n-th call that `find` accepts."""

    def __init__(self, number: int, find: Callable[[ast.Call], list[ast.expr]]) -> None:
        self.number, self.find, self.line, self.change = number, find, 0, ""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call inside backward."""
        self.generic_visit(node)
        for replacement in self.find(node):
            if self.number == 0:
                self.number, self.line = -1, node.lineno
                self.change = f"{ast.unparse(node)} -> {ast.unparse(replacement)}"
                return replacement
            self.number -= 1
        return node


def terms(node: ast.Call) -> list[ast.expr]:
    """What remains of a sum if a term is dropped."""
    if isinstance(node.func, ast.Name) and node.func.id in SUMS and len(node.args) == 2:
        return [node.args[0], node.args[1]] if node.func.id == "add" else [node.args[0], negative(node.args[1])]
    return []


def negative(node: ast.expr) -> ast.expr:
    """neg(node)."""
    return ast.Call(ast.Name("neg", ast.Load()), [node], [])


def inside_unbroadcast(node: ast.Call) -> list[ast.expr]:
    """The argument of a sum over broadcast axes."""
    return [node.args[0]] if isinstance(node.func, ast.Name) and node.func.id in UNBROADCAST else []


class Mutant:
    """One broken backward rule."""

    def __init__(self, op: type[Op], what: str, line: int, backward: Callable[..., Any]) -> None:
        self.op, self.what, self.line, self.backward = op, what, line, backward

    def __str__(self) -> str:
        return f"{self.op.name}: {self.what} ({self.op.__module__.rsplit('.', 1)[-1]}.py:{self.line})"


def mutants(op: type[Op]) -> Iterator[Mutant]:
    """All broken forms of an op's backward."""
    original = op.backward

    def wrapped(change: Callable[[Any], Any], place: int) -> Callable[..., Any]:
        def backward(ctx: Any, *gs: Any) -> Any:
            answer = list(original(ctx, *gs))
            answer[place] = change(answer[place])
            return tuple(answer)

        return backward

    definition, names = source(op)
    line = definition.lineno if definition is not None else 0
    for place, kind in sorted(_gradients.get(op.name, {}).items()):
        changes = CHANGES if kind == "some" else {"pass on 1 instead of 0": one}
        for what, change in changes.items():
            yield Mutant(op, f"{what} of gradient {place}", line, wrapped(change, place))
    if definition is None:
        return
    for what, find in (("drop a term", terms), ("forget the sum over broadcast axes", inside_unbroadcast)):
        number = 0
        while True:
            rewrite = Rewrite(number, find)
            changed = rewrite.visit(copy.deepcopy(definition))
            if not rewrite.line:
                break
            changed.decorator_list = []
            module = ast.fix_missing_locations(ast.Module([changed], []))
            scope = dict(names)
            exec(compile(module, "<mutant>", "exec"), scope)
            yield Mutant(op, f"{what}, {rewrite.change}", rewrite.line, scope["backward"])
            number += 1


_gradients: dict[str, dict[int, str]] = {}  # op -> place -> "some", or "zero" if that is all it ever was; found by watching


def source(op: type[Op]) -> tuple[ast.FunctionDef | None, dict[str, Any]]:
    """The definition of backward in the op's file, and the names it can see there."""
    module = sys.modules[op.__module__]
    path = ROOT / "tinygrad_course" / "ops" / (op.__module__.rsplit(".", 1)[-1] + ".py")
    tree = ast.parse(path.read_text())
    names: dict[str, Any] = {"neg": tgc.neg}  # a mutant may need it where the file does not
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), str(path), "exec"), names)
    names.update(vars(module))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "backward" and names.get(node.name) is op:
                    return item, names
    return None, names


def all_cases() -> list[Case]:
    """The cases of the battery."""
    found: list[Case] = []
    for path in sorted((ROOT / "tests" / "ops").glob("test_*.py")):
        if path.stem != "test_registry":
            found += getattr(importlib.import_module(f"tests.ops.{path.stem}"), "CASES", ())
    return found


CHECKS = (("test_first_derivative", "samples"), ("test_torch", "kinks"), ("test_special", "special"),
          ("test_second_derivative", "samples"))


def caught(case: Case) -> bool:
    """Whether some derivative test of the case fails."""
    battery = Battery()
    SLOPES.clear()  # those of gradients are the mutant's
    for name, kind in CHECKS:
        check = getattr(battery, name)
        for sample in getattr(case, kind):
            if not case.differentiable or (kind != "samples" and case.torch is None):
                continue
            try:
                check(case, sample, "compiled")
            except (AssertionError, TgcError, ArithmeticError, ValueError, TypeError, IndexError):
                return True
            except BaseException as error:  # pytest's Failed is no Exception
                if type(error).__name__ == "Failed":
                    return True
                raise
    return False


def learn(cases: list[Case]) -> dict[str, list[Case]]:
    """Which cases run which op's backward, and which gradients it returns."""
    users: dict[str, list[Case]] = {name: [] for name in registry}
    originals = {op: op.backward for op in registry.values() if "backward" in vars(op) or hasattr(op, "backward")}
    seen: set[str] = set()

    def spy(op: Any, run: Any) -> Any:
        def backward(ctx: Any, *gs: Any) -> Any:
            answer = run(ctx, *gs)
            seen.add(op.name)
            kinds = _gradients.setdefault(op.name, {})
            for place, g in enumerate(answer):
                if g is not None and kinds.get(place) != "some":
                    kinds[place] = "some" if g.array.any() else "zero"
            return answer

        return staticmethod(backward)

    try:
        for op, run in originals.items():
            op.backward = spy(op, run)
        for case in cases:
            seen.clear()
            if case.differentiable:
                caught(case)
            for name in seen:
                users[name].append(case)
    finally:
        for op, run in originals.items():
            op.backward = staticmethod(run)
    return users


def score(name: str) -> tuple[int, list[str]]:
    """(mutants tried, those that survived) of one op."""
    op = registry[name]
    original = op.backward
    users = sorted(_USERS[name], key=lambda case: (case.op != name, len(case.samples)))
    tried, survived = 0, []
    for mutant in mutants(op):
        tried += 1
        op.backward = staticmethod(mutant.backward)
        try:
            with np.errstate(all="ignore"):
                if not any(caught(case) for case in users):
                    survived.append(str(mutant))
        finally:
            op.backward = staticmethod(original)
    return tried, survived


_USERS: dict[str, list[Case]] = {}


def _prepare() -> None:
    warnings.simplefilter("ignore")
    _USERS.update(learn(all_cases()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    ours = sorted(name for name, op in registry.items()
                  if op.__module__.startswith("tinygrad_course.ops.") and op.differentiable)
    unknown = set(arguments.ops) - set(ours)
    if unknown:
        parser.error(f"no differentiable op is named {', '.join(sorted(unknown))}")
    names = arguments.ops or ours
    tried, survivors, kinds = 0, [], Counter()
    with ProcessPoolExecutor(arguments.jobs, initializer=_prepare) as pool:
        for name, (count, survived) in zip(names, pool.map(score, names), strict=True):
            tried += count
            survivors += survived
            print(f"{name:28s} {count - len(survived):4d} of {count:4d} caught", flush=True)
            for line in survived:
                kinds[line.split(": ", 1)[1].split(" of gradient")[0].split(", ")[0]] += 1
                print(f"    survived: {line}", flush=True)
    print(f"{tried - len(survivors)} of {tried} mutants caught: {100 * (1 - len(survivors) / max(1, tried)):.1f} %")
    for kind, count in kinds.most_common():
        print(f"    {count} survived: {kind}")


if __name__ == "__main__":
    main()
