"""The rules of lint.  Each is a function that yields (what, where) per mistake; its name, with dashes, is the code.

Rules look at what the graph knows: names of ops, edges, shapes, what was saved, the module an op ran in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_course.autograd.node import Node, Output
from tinygrad_course.debug.nodes import kept_inputs, maker, nodes_of, place_of
from tinygrad_course.errors import GraphError
from tinygrad_course.nn import Module
from tinygrad_course.optim import Optimizer
from tinygrad_course.tensor import Tensor

Found = Iterator[tuple[str, str]]  # what, where

_SAME_VALUES = ("reshape", "permute", "slice", "clone", "cast", "expand", "to_device")  # ops that a mistake hides behind
_ERROR_TO_LOSS = ("mean", "sum", "div", "mul", "pow", "abs", "sqrt", *_SAME_VALUES)
_LARGEST_SCALED = 30  # whole numbers above it are pixels that nobody scaled
_LARGE_ADAM_STEP = 0.1


@dataclass(frozen=True)
class Rule:
    """How to find a mistake, why it matters, how to mend it."""

    look: Callable[[Case], Found]
    why: str
    fix: str

    @property
    def code(self) -> str:
        """`softmax-before-cross-entropy`."""
        return self.look.__name__.replace("_", "-")


RULES: list[Rule] = []


def rule(why: str, fix: str) -> Callable[[Callable[[Case], Found]], Callable[[Case], Found]]:
    """Add the decorated function to RULES."""
    def add(look: Callable[[Case], Found]) -> Callable[[Case], Found]:
        RULES.append(Rule(look, why, fix))
        return look
    return add


class Case:
    """What the rules look at: a model, a loss with its graph, maybe an optimiser."""

    def __init__(self, model: Module, loss: Tensor, optimizer: Optimizer | None) -> None:
        self.model = model
        self.loss = loss
        self.groups = [] if optimizer is None else optimizer.param_groups
        self.optimised = [param for group in self.groups for param in group["params"]]
        nodes = [] if loss.node is None else nodes_of(loss.node)
        self.ops = [node for node in nodes if not isinstance(node, Output)]  # newest first
        self.parameters = dict(model.named_parameters())
        self.learning = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        self.leaves: set[int] = set()
        self.users: dict[Node, list[Node]] = {}  # op -> the ops that use it
        for node in self.ops:
            for edge in node.edges:
                if isinstance(edge, Node):
                    self.users.setdefault(maker(edge), []).append(node)
                elif edge is not None:
                    self.leaves.add(id(edge))

    def fed_by(self, names: tuple[str, ...], sources: tuple[str, ...]) -> Iterator[tuple[Node, Node]]:
        """(op, source): ops whose first input comes from a source, reshaped at most."""
        for node in self.ops:
            if node.name in names:
                source = _behind(node.edges[0], _SAME_VALUES)
                if source is not None and source.name in sources:
                    yield node, source


# ---- the loss ------------------------------------------------------------------------------------------------------------


@rule("backward() raises: there is nothing that it could compute a gradient of.",
      "model.requires_grad_() if everything is frozen; compute the loss from the model's output with tensor operations, "
      "outside of no_grad(), without detach() and .numpy()")
def nothing_to_learn(case: Case) -> Found:
    if case.loss.node is None:
        frozen = case.parameters and not case.learning
        yield "no parameter of the model requires a gradient" if frozen else "the loss has no graph", ""


@rule("backward() needs a single number.", 'loss.mean(), or reduction="mean" in the criterion')
def loss_not_scalar(case: Case) -> Found:
    if case.loss.array.size != 1:
        yield f"the loss has shape {tuple(case.loss.shape)}", ""


@rule("cross_entropy takes logits and applies log_softmax itself. Probabilities are no logits: the loss cannot get near 0, "
      "and its gradients are flat. (After log_softmax a second one changes nothing, and costs time.)",
      "remove it from the model; apply it only where you show probabilities")
def softmax_before_cross_entropy(case: Case) -> Found:
    for _, source in case.fed_by(("cross_entropy",), ("softmax", "log_softmax")):
        yield f"{source.name} before cross_entropy", place_of(source)


@rule("nll_loss takes log-probabilities. Of probabilities it makes a loss without logarithm, negative and nearly flat.",
      "use log_softmax, or leave both to cross_entropy")
def softmax_before_nll_loss(case: Case) -> Found:
    for node, source in case.fed_by(("gather",), ("softmax",)):
        users = case.users.get(node, [])
        while users and users[0].name in _SAME_VALUES:
            users = case.users.get(users[0], [])
        if users and users[0].name == "neg":
            yield "softmax before nll_loss", place_of(source)


@rule("The loss applies the sigmoid itself. Two of them squeeze every prediction into 0.5 to 0.73.",
      "remove the sigmoid, or use binary_cross_entropy")
def sigmoid_before_bce_with_logits(case: Case) -> Found:
    for _, source in case.fed_by(("bce_with_logits",), ("sigmoid",)):
        yield "sigmoid before binary_cross_entropy_with_logits", place_of(source)


@rule("The softmax of probabilities is nearly uniform, and little gradient comes through.", "remove one of the two")
def double_softmax(case: Case) -> Found:
    for node, source in case.fed_by(("softmax", "log_softmax"), ("softmax",)):
        if tuple(node.args) == tuple(source.args):  # along the same axis
            yield f"{node.name} of a softmax", place_of(node)


@rule("The two broadcast to a square: every prediction is compared with every target, and the model learns the mean.",
      "prediction.squeeze(1), or target.unsqueeze(1)")
def column_against_row(case: Case) -> Found:
    node = _behind(case.loss.node, _ERROR_TO_LOSS)
    if node is None or node.name != "sub" or len(node.shape) != 2 or node.shape[0] != node.shape[1] or node.shape[0] == 1:
        return
    n = node.shape[0]
    if any(edge is not None and tuple(node.input_shape(index)) in ((n, 1), (n,)) for index, edge in enumerate(node.edges)):
        yield f"({n}, 1) against ({n},) in the loss", place_of(node)


@rule("What the model computed comes from its parameters alone: it says the same for every sample.",
      "look whether forward uses its argument")
def loss_without_input(case: Case) -> Found:
    inner = [node for node in case.ops if node.scope is not None]
    own = {id(parameter) for parameter in case.parameters.values()}
    for node in inner:
        for edge in node.edges:
            if maker(edge).scope is None if isinstance(edge, Node) else edge is None or id(edge) not in own:
                return  # something came in
        if node.freed or node.constants is not None or any(hasattr(value, "dtype") for value in node.args):
            return  # maybe the indices of an embedding
    if inner:
        yield "the loss does not depend on the input", ""


# ---- the parameters ------------------------------------------------------------------------------------------------------


@rule("Their gradient stays None: they never learn.",
      "use them in forward, freeze or delete them; look for a detach(), .numpy() or no_grad() on the way")
def parameters_not_reached(case: Case) -> Found:
    lost = [name for name, parameter in case.learning.items() if id(parameter) not in case.leaves]
    if lost and case.loss.node is not None:
        yield f"{_some(lost, 'is', 'are')} not reached by the loss", ""


@rule("They get gradients, but no step changes them.",
      "build the optimiser from model.parameters() when the model is complete; or freeze them")
def parameters_not_optimised(case: Case) -> Found:
    known = {id(parameter) for parameter in case.optimised}
    lost = [name for name, parameter in case.learning.items() if id(parameter) not in known]
    if case.groups and lost:
        yield f"{_some(lost, 'is', 'are')} not in the optimiser", ""


@rule("Each step is done twice: a doubled learning rate.", "give every parameter once")
def parameter_twice(case: Case) -> Found:
    count = Counter(map(id, case.optimised))
    twice = [name for name, parameter in case.parameters.items() if count[id(parameter)] > 1]
    if twice:
        yield f"{_some(twice, 'is', 'are')} twice in the optimiser", ""


@rule("backward() adds to .grad: each step would go along the sum of all gradients so far.",
      "optimizer.zero_grad() before loss.backward()")
def no_zero_grad(case: Case) -> Found:
    if any(node.freed for node in case.ops):
        return  # backward has run: these gradients belong to this loss
    stale = [name for name, parameter in case.learning.items()
             if parameter.grad is not None and parameter.version is not None and ".step" in parameter.version.last_write]
    if stale:
        yield f"{_some(stale, 'has', 'have')} the gradient of the step before still", ""


@rule("They do not learn: a dead ReLU, a saturated sigmoid or a factor of 0 lies between them and the loss.",
      "print(tgc.explain(loss)) shows where the gradient becomes 0")
def zero_gradients(case: Case) -> Found:
    dead = [name for name, parameter in case.learning.items()
            if parameter.grad is not None and parameter.grad.array.size > 1 and not parameter.grad.array.any()]
    if dead:
        yield f"{_some(dead, 'has', 'have')} a gradient of zeros", ""


@rule("A step moves a weight by about the learning rate times its gradient; with Adam by about the learning rate itself, "
      "whatever the gradient, and weights are seldom larger than 0.1.",
      "lr=1e-3 with Adam, 0.01 to 0.1 with SGD, to start with")
def learning_rate(case: Case) -> Found:
    for number, group in enumerate(case.groups):
        if group["lr"] == 0 or ("betas" in group and group["lr"] >= _LARGE_ADAM_STEP):
            yield f"the learning rate is {group['lr']:g}", f"group {number} of the optimiser"


# ---- the model -----------------------------------------------------------------------------------------------------------


@rule("Layers behave as at test time: Dropout drops nothing, BatchNorm takes the running statistics and leaves them as they "
      "are.", "model.train() before training, model.eval() only to evaluate")
def eval_mode(case: Case) -> Found:
    kinds = {type(module).__name__ for module in case.model.modules() if not module.training}
    affected = sorted(kind for kind in kinds if "Dropout" in kind or "BatchNorm" in kind)
    if affected and not case.model.training and case.loss.node is not None:
        yield f"the model, with {', '.join(affected)}, is in evaluation mode", ""


@rule("Its mean and variance are those of the sample alone: the network cannot see brightness or contrast, and the running "
      "statistics become noise.", "larger batches, DataLoader(drop_last=True), or GroupNorm")
def batch_norm_of_one_sample(case: Case) -> Found:
    for node in case.ops:
        module = node.scope.module() if node.scope is not None else None
        if module is not None and type(module).__name__.startswith("BatchNorm") and module.training \
                and node.shape[:1] == (1,):
            yield "batch normalisation of a single sample", place_of(node)
            return


@rule("No gradient passes it: the layers before it have stopped to learn, for good.",
      "a smaller learning rate, He initialisation, inputs with mean 0, or LeakyReLU")
def dead_relu(case: Case) -> Found:
    for node in case.ops:
        if node.name == "relu" and not node.freed:
            values = node._saved[0].array  # input or output: positive at the same places
            if values.size > 1 and not (values > 0).any():
                yield "a ReLU gives zeros only", place_of(node)


@rule("They look like pixels that nobody scaled: activations and gradients are some hundred times too large.",
      "x / 255, or subtract the mean and divide by the standard deviation")
def raw_integer_inputs(case: Case) -> Found:
    for node in case.ops:
        if node.freed or not (node.name in ("linear", "matmul") or node.name.startswith("conv")):
            continue
        for array in [tensor.array for tensor in kept_inputs(node) if not tensor.track]:
            if array.size > 1 and array.max() > _LARGEST_SCALED and (array == array.round()).all():
                yield f"the inputs are whole numbers from {array.min():g} to {array.max():g}", place_of(node)
                return


@rule("backward() will raise. With retain_graph=True it would become longer, and slower, with every step.",
      "detach() what is carried over from the step before, as h = h.detach() in a recurrent network; write to copies")
def graph_of_an_earlier_step(case: Case) -> Found:
    freed = next((node for node in case.ops if node.freed), None)
    if freed is not None:
        if any(not node.freed and node._saved is not None for node in case.ops):
            yield "the graph reaches into one that backward() has freed", place_of(freed)
        return
    for node in case.ops:
        try:
            node.saved  # noqa: B018  (asking is the check)
        except GraphError:
            yield "what backward needs was written to since, maybe by an optimiser step", place_of(node)
            return


def _behind(edge: Any, names: tuple[str, ...]) -> Node | None:
    """The op that an edge comes from, past the first inputs of ops with these names."""
    while isinstance(edge, Node):
        node = maker(edge)
        if node.name not in names:
            return node
        edge = next((before for before in node.edges if isinstance(before, Node)), None)
    return None


def _some(names: list[str], one: str, several: str) -> str:
    """Up to three names, how many more, and the verb."""
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{rest} {one if len(names) == 1 else several}"
