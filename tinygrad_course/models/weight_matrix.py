"""Any weight matrix as a network: W[i, j] is the weight from unit j to unit i, 0 where there is no connection.

    h_i = sum_j W[i, j] y_j + b_i,    y_i = f(h_i),    y_i = x_i at the inputs

Numbered so that every connection goes to a higher number, a feed-forward network has a strictly lower triangular W (a
topological order of its graph).  Layers are first order if all connections lead to the next layer, and second order if some
jump over layers (shortcuts).  If no such numbering exists, some unit reaches itself: the network is recurrent, and its state
goes on in time,

    y(t + 1) = f(W y(t) + b)      (synchronous: all units at once)

A. Kahn, "Topological sorting of large networks", Communications of the ACM 5, 558-562 (1962); D. Rumelhart, G. Hinton,
R. Williams, "Learning internal representations by error propagation", in: Parallel Distributed Processing 1 (1986), for
exclusive or with one hidden unit and shortcuts (figure 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_course import nn
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.ops.creation import as_array, tensor, zeros
from tinygrad_course.ops.join import cat, stack
from tinygrad_course.tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def topological_order(weights: Tensor | np.ndarray) -> list[int] | None:
    """The units in an order in which every connection leads to a later one; None if the network is recurrent.

    Of several possible orders it is the one by layers, in each layer by number.
    """
    found = feed_forward_layers(weights)
    return None if found is None else [unit for layer in found for unit in layer]


def feed_forward_layers(weights: Tensor | np.ndarray) -> list[list[int]] | None:
    """The units in layers: each unit one layer above the highest that feeds it.  None if the network is recurrent."""
    linked = _matrix(weights, "feed_forward_layers") != 0
    missing = linked.sum(axis=1)  # of each unit, how many of its inputs stand in no layer yet
    layers, placed = [], 0
    layer = np.flatnonzero(missing == 0)
    while layer.size:
        layers.append(layer.tolist())
        placed += len(layer)
        missing = missing - linked[:, layer].sum(axis=1)
        missing[layer] = -1
        layer = np.flatnonzero(missing == 0)
    return layers if placed == len(linked) else None


def find_cycle(weights: Tensor | np.ndarray) -> list[int] | None:
    """Units of which each feeds the next and the last the first; None in a feed-forward network."""
    linked = _matrix(weights, "find_cycle") != 0
    left = np.arange(len(linked))
    while left.size:  # units without inputs lie on no cycle
        fed = linked[np.ix_(left, left)].any(axis=1)
        if fed.all():
            break
        left = left[fed]
    if not left.size:
        return None
    path = [int(left[0])]
    while True:  # against the arrows: every unit that is left has an input that is left
        source = int(left[np.flatnonzero(linked[path[-1], left])[0]])
        if source in path:
            cycle = path[path.index(source):][::-1]
            first = cycle.index(min(cycle))
            return cycle[first:] + cycle[:first]
        path.append(source)


def is_feed_forward(weights: Tensor | np.ndarray) -> bool:
    """Whether no unit reaches itself."""
    return feed_forward_layers(weights) is not None


def has_shortcuts(weights: Tensor | np.ndarray) -> bool:
    """Whether a connection of a feed-forward network jumps over a layer (second order).  Raises DataError if recurrent."""
    layers = feed_forward_layers(weights)
    if layers is None:
        raise DataError(f"has_shortcuts: {_cycle_text(weights)}. A recurrent network has no layers to jump over.")
    number = np.empty(sum(map(len, layers)), int)
    for layer, units in enumerate(layers):
        number[units] = layer
    target, source = np.nonzero(_matrix(weights, "has_shortcuts"))
    return bool((number[target] - number[source] > 1).any())


def layered_matrix(linears: Sequence[nn.Linear]) -> tuple[np.ndarray, np.ndarray]:
    """W (N, N) and b (N,) of a stack of linear layers; the units are numbered from the inputs up."""
    widths = [linears[0].in_features, *(linear.out_features for linear in linears)]
    ends = np.cumsum(widths)
    matrix = np.zeros((ends[-1], ends[-1]), linears[0].weight.detach().numpy().dtype)
    biases = np.zeros(ends[-1], matrix.dtype)
    for layer, linear in enumerate(linears):
        rows = slice(ends[layer], ends[layer + 1])
        matrix[rows, ends[layer] - widths[layer]:ends[layer]] = linear.weight.detach().numpy()
        if linear.bias is not None:
            biases[rows] = linear.bias.detach().numpy()
    return matrix, biases


def period(states: Tensor | np.ndarray, tolerance: float = 1e-6) -> int | None:
    """After how many steps the last of some states (T + 1, ...) returns: 1 if it has settled, None if it did not return.

    All states of the last period must be those of the period before, so that a period takes two to be seen.
    """
    values = as_array(states)
    values = values.reshape(len(values), -1)
    for length in range(1, len(values) // 2 + 1):
        if (np.abs(values[-length:] - values[-2 * length:-length]) <= tolerance).all():
            return length
    return None


class WeightMatrixNetwork(nn.Module):
    """The network of W (N, N), W[i, j] from unit j to unit i, trainable.  Connections that are 0 now stay 0.

    weights, biases    W, and b (N,), 0 without it; an input's bias is not used.  Their dtype is that of the network
    inputs, outputs    numbers of units.  Without them: the units that nothing feeds, and the others that feed nothing
    activation         f of all units but the inputs
    output_activation  f of the outputs, if it is another
    connections        bool (N, N), the connections that exist, if some have the weight 0 to begin with

    A feed-forward network is run layer by layer; a recurrent one needs `steps`.
    Raises ShapeError for shapes that do not fit; DataError for units that do not exist or are named twice, inputs that some
    unit feeds, and weights without a connection.
    """

    def __init__(self, weights: Tensor | np.ndarray, biases: Tensor | np.ndarray | None = None, *,
                 inputs: Sequence[int] | np.ndarray | None = None, outputs: Sequence[int] | np.ndarray | None = None,
                 activation: Activation = F.sigmoid, output_activation: Activation | None = None,
                 connections: np.ndarray | None = None) -> None:
        super().__init__()
        matrix = _matrix(weights, "WeightMatrixNetwork")
        matrix = matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)
        n = len(matrix)
        exists = matrix != 0 if connections is None else np.asarray(connections, dtype=bool)
        shifts = np.zeros(n, matrix.dtype) if biases is None else as_array(biases).astype(matrix.dtype)
        if exists.shape != matrix.shape or shifts.shape != (n,):
            raise ShapeError(f"WeightMatrixNetwork: for {n} units, biases have the shape {shifts.shape} and connections "
                             f"{exists.shape}. Needed are ({n},) and ({n}, {n}).")
        if (matrix[~exists] != 0).any():
            i, j = np.argwhere((matrix != 0) & ~exists)[0].tolist()
            raise DataError(f"WeightMatrixNetwork: W[{i}, {j}] is {matrix[i, j]:g}, but connections[{i}, {j}] is False. Set "
                            "the weight to 0 or the connection to True.")
        fed, feeds = np.any(exists, axis=1), np.any(exists, axis=0)
        self.inputs = self._units("inputs", inputs, ~fed, n)
        self.outputs = self._units("outputs", outputs, ~feeds & fed, n)
        if fed[self.inputs].any():
            unit = next(unit for unit in self.inputs if fed[unit])
            raise DataError(f"WeightMatrixNetwork: unit {unit} is an input, so its value is given, but unit "
                            f"{int(np.flatnonzero(exists[unit])[0])} feeds it. Remove the connection, or the unit from "
                            "inputs.")
        self.weight = nn.Parameter(tensor(matrix))
        self.bias = nn.Parameter(tensor(shifts))
        self.mask: Tensor
        self.register_buffer("mask", tensor(exists.astype(matrix.dtype)))
        self.activation, self.output_activation = activation, output_activation
        self.layers = feed_forward_layers(exists)
        self._plan = self._groups()

    @property
    def recurrent(self) -> bool:
        """Whether some unit reaches itself."""
        return self.layers is None

    @property
    def matrix(self) -> Tensor:
        """W (N, N), 0 where there is no connection; so no gradient reaches what is missing."""
        return self.weight * self.mask

    def forward(self, x: Tensor, steps: int | None = None) -> Tensor:
        """Outputs of inputs x (..., inputs): (..., outputs), in the order in which they were named.

        steps  feed-forward: not needed (each step is one layer, the result is that of as many as there are).  Recurrent: how
               often all units change, from a state of 0 with the inputs held.
        Raises DataError for a network without outputs, and for a recurrent one without steps.
        """
        if not self.outputs:
            raise DataError("WeightMatrixNetwork: every unit feeds another, so none is an output. Name some as outputs, or "
                            "call run, which returns the states of all units.")
        if steps is not None:
            return self.run(x, steps)[-1][..., self.outputs]
        if self._plan is None:
            raise DataError(f"WeightMatrixNetwork: {_cycle_text(self.mask)}, so there is no order in which to compute "
                            "the units. Give steps, the number of synchronous updates.")
        self._check_inputs(x)
        matrix = self.matrix
        order = list(self.inputs)                                       # the units of the columns of y
        y = x                                                           # (..., units so far)
        for units, f in self._plan:
            h = F.linear(y, matrix[units][:, order], self.bias[units])  # (..., units of this group)
            y = cat([y, f(h)], dim=-1)
            order += units
        return y[..., [order.index(unit) for unit in self.outputs]]

    def run(self, x: Tensor | None, steps: int, state: Tensor | None = None) -> Tensor:
        """States (steps + 1, ..., N) of all units: the first, and after each synchronous update.

        x      the inputs (..., inputs), which stay as they are; None if there are none
        state  the first state (..., N), 0 without it
        """
        if x is None:
            if self.inputs:
                raise ShapeError(f"WeightMatrixNetwork: units {self.inputs} are inputs. Give x (..., {len(self.inputs)}).")
            x = zeros(*(state.shape[:-1] if state is not None else (1,)), 0, dtype=self.weight.dtype)
        self._check_inputs(x)
        n = self.weight.shape[0]
        shape = (*x.shape[:-1], n)
        y = zeros(*shape, dtype=self.weight.dtype) if state is None else state
        if y.shape != shape:
            raise ShapeError(f"WeightMatrixNetwork: the state has the shape {tuple(y.shape)}, needed is {shape}.")
        inner = [unit for unit in range(n) if unit not in set(self.inputs)]
        groups = self._by_activation(inner)
        changed = [unit for units, _ in groups for unit in units]
        place = np.argsort([*self.inputs, *changed]).tolist()           # of each unit, its column in what a step computes
        if self.inputs:
            y = cat([x, y[..., inner]], dim=-1)[..., np.argsort([*self.inputs, *inner]).tolist()]
        matrix, states = self.matrix, [y]
        for _ in range(steps):
            new = [f(F.linear(y, matrix[units], self.bias[units])) for units, f in groups]
            y = cat([x, *new], dim=-1)[..., place]
            states.append(y)
        return stack(states)

    def extra_repr(self) -> str:
        """Units, connections, layers."""
        kind = "recurrent" if self.layers is None else f"layers={[len(layer) for layer in self.layers]}"
        return (f"units={self.weight.shape[0]}, connections={int(self.mask.sum().item())}, inputs={len(self.inputs)}, "
                f"outputs={len(self.outputs)}, {kind}")

    def _groups(self) -> list[tuple[list[int], Activation]] | None:
        """Units that can be computed together, from below."""
        if self.layers is None:
            return None
        inputs = set(self.inputs)
        return [group for layer in self.layers for group in self._by_activation([u for u in layer if u not in inputs])]

    def _by_activation(self, units: list[int]) -> list[tuple[list[int], Activation]]:
        if self.output_activation is None:
            return [(units, self.activation)] if units else []
        last = set(self.outputs)
        parts = (([u for u in units if u not in last], self.activation), ([u for u in units if u in last],
                                                                          self.output_activation))
        return [(part, f) for part, f in parts if part]

    def _check_inputs(self, x: Tensor) -> None:
        if not x.ndim or x.shape[-1] != len(self.inputs):
            raise ShapeError(f"WeightMatrixNetwork: input has the shape {tuple(x.shape)}, needed is "
                             f"(..., {len(self.inputs)}): one number for each of the units {self.inputs}.")

    @staticmethod
    def _units(what: str, given: Sequence[int] | np.ndarray | None, default: np.ndarray, n: int) -> list[int]:
        units = np.flatnonzero(default).tolist() if given is None else [int(unit) for unit in given]
        if len(set(units)) != len(units) or not set(units) <= set(range(n)):
            raise DataError(f"WeightMatrixNetwork: {what} are {units}. Name each unit once, by its number from 0 to {n - 1}.")
        return units


def _matrix(weights: Tensor | np.ndarray, caller: str) -> np.ndarray:
    matrix = as_array(weights)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"{caller}: weights have the shape {matrix.shape}, needed is (N, N), W[i, j] from unit j to unit i "
                         "of all N units, inputs included.")
    return matrix


def _cycle_text(weights: Tensor | np.ndarray) -> str:
    cycle = find_cycle(weights) or []
    return f"the network is recurrent: {' -> '.join(map(str, [*cycle, *cycle[:1]]))}"
