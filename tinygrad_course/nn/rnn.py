"""RNN, LSTM, GRU over sequences, and their cells of one step.  The arithmetic is in ops/recurrent.py."""

from __future__ import annotations

import math
import warnings
from typing import Any

from tinygrad_course import ops
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.nn import functional as F
from tinygrad_course.nn import init
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.nn.utils.rnn import PackedSequence
from tinygrad_course.ops.creation import empty, zeros
from tinygrad_course.ops.dtypes import require_tensors
from tinygrad_course.ops.recurrent import layer
from tinygrad_course.tensor import Tensor

_KINDS = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "LSTM": "lstm", "GRU": "gru"}
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: layers upon each other, in one or two directions.

    Parameters of layer k: weight_ih_lk (G H, I), weight_hh_lk (G H, H), bias_ih_lk and bias_hh_lk (G H,), with
    proj_size P also weight_hr_lk (P, H); those of the second direction end in _reverse.  All are drawn from U(-b, b),
    b = 1 / sqrt(hidden_size).
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        name = self._get_name()
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability between 0 and 1, got {dropout!r}")
        for what, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name}: {what} must be True or False, got {type(flag).__name__}; the arguments are "
                                "(input_size, hidden_size, num_layers, ...)")
        for what, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(f"{name}: {what} must be an int, got {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name}: {what} must be greater than zero, got {size}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size must be smaller than hidden_size {hidden_size}, or 0 for no projection; got "
                             f"{proj_size}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout acts between layers, after all but the last one; with num_layers=1 dropout="
                          f"{dropout} does nothing", stacklevel=3)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        gates, out = _GATES[mode] * hidden_size, proj_size or hidden_size
        self._weight_names: list[list[str]] = []
        for k in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                inputs = input_size if k == 0 else out * (1 + bidirectional)
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, inputs), "weight_hh": (gates, out)}
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = {f"{kind}_l{k}{suffix}": shape for kind, shape in shapes.items()}
                for parameter, shape in names.items():
                    setattr(self, parameter, Parameter(empty(*shape, device=device, dtype=dtype)))
                self._weight_names.append(list(names))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters per layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._weight_names]

    def flatten_parameters(self) -> None:
        """Nothing to do here; PyTorch's moves the weights together for the GPU."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """input (T, B, I), (B, T, I) with batch_first, (T, I) or a PackedSequence  ->  output, last states.

        output (T, B, D P) of the last layer, D = 2 if bidirectional, P = proj_size or hidden_size; the last h of all layers
        and directions (D L, B, P), for LSTM the pair with c (D L, B, H).  hx: initial states, zeros if None."""
        name = self._get_name()
        sizes = order = back = None
        x = input
        if isinstance(input, PackedSequence):
            x, sizes, order, back = input.data, input.batch_sizes.array, input.sorted_indices, input.unsorted_indices
        self._check_input(x, sizes)
        single = sizes is None and x.ndim == 2
        if single:
            x = ops.unsqueeze(x, 1)
        elif sizes is None and self.batch_first:
            x = ops.transpose(x, 0, 1)
        batch = int(x.shape[1] if sizes is None else sizes[0])
        states = self._initial_states(name, hx, x, batch, single, order)
        y, lasts = self._layers(x, states, sizes)
        last = tuple([part[0].unsqueeze(0) if len(part) == 1 else ops.stack(part) for part in lasts if part])
        if sizes is not None:
            y = PackedSequence(y, input.batch_sizes, order, back)
            if back is not None:
                last = tuple([ops.index_select(part, 1, back) for part in last])
        elif single:
            y, last = ops.squeeze(y, 1), tuple([ops.squeeze(part, 1) for part in last])
        elif self.batch_first:
            y = ops.transpose(y, 0, 1)
        return y, last if self.mode == "LSTM" else last[0]

    def _layers(self, x: Tensor, states: list[Any], sizes: Any) -> tuple[Any, tuple[list[Any], list[Any]]]:
        """(output of the last layer, last h and last c per layer and direction)."""
        directions = 1 + self.bidirectional
        kind, y = _KINDS[self.mode], x
        last_h: list[Any] = []
        last_c: list[Any] = []
        for k in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                at = k * directions + direction
                weights = self.all_weights[at]
                if not self.bias:
                    weights[2:2] = [None, None]  # type: ignore[list-item]
                h, c = states[0][at], states[1][at] if self.mode == "LSTM" else None
                out, h, c = layer(kind, y, h, c, tuple(weights), sizes, direction == 1)
                outputs.append(out)
                last_h.append(h)
                if c is not None:
                    last_c.append(c)
            y = outputs[0] if directions == 1 else ops.cat(outputs, -1)
            if self.dropout and self.training and k < self.num_layers - 1:
                y = F.dropout(y, self.dropout)
        return y, (last_h, last_c)

    def _check_input(self, x: Any, sizes: Any) -> None:
        name = self._get_name()
        require_tensors(name, x)
        shape, weight = tuple(x.shape), self.all_weights[0][0]
        if sizes is None and x.ndim not in (2, 3):
            layout = "(batch, time, features)" if self.batch_first else "(time, batch, features)"
            raise ShapeError(f"{name}: the input must be {layout}, or (time, features) for a single sequence; got {shape}")
        if shape[-1] != self.input_size:
            raise ShapeError(f"{name}: the input {shape} has {shape[-1]} features per step, input_size={self.input_size} is "
                             "needed")
        if x.dtype != weight.dtype:
            raise DTypeError(f"{name}: the input is {x.dtype}, the weights are {weight.dtype}; convert one: x.to(...) or "
                             "model.to(...)")

    def _initial_states(self, name: str, hx: Any, x: Tensor, batch: int, single: bool, order: Any) -> list[Any]:
        """Per state (h, for LSTM also c) a list over layers and directions of (batch, size)."""
        count = self.num_layers * (1 + self.bidirectional)
        widths = [self.proj_size or self.hidden_size, self.hidden_size][:1 + (self.mode == "LSTM")]
        if hx is None:
            return [[zeros(batch, width, dtype=x.dtype, device=x.device)] * count for width in widths]
        if self.mode == "LSTM":
            if not isinstance(hx, tuple | list) or len(hx) != 2:
                raise TypeError(f"{name}: the initial state must be the pair (h_0, c_0), got {type(hx).__name__}")
        elif not isinstance(hx, Tensor):
            raise TypeError(f"{name}: the initial state must be a Tensor, got {type(hx).__name__}")
        states = []
        for what, state, width in zip("hc"[:len(widths)], hx if self.mode == "LSTM" else (hx,), widths, strict=True):
            require_tensors(name, state)
            wanted = (count, width) if single else (count, batch, width)
            if tuple(state.shape) != wanted:
                meaning = "(layers * directions, size)" if single else "(layers * directions, batch, size)"
                raise ShapeError(f"{name}: the initial {what} must be {meaning} = {wanted}, got {tuple(state.shape)}")
            if single:
                state = ops.unsqueeze(state, 1)
            if order is not None:
                state = ops.index_select(state, 1, order)
            states.append([state[k] for k in range(count)])
        return states

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0),
                            ("bidirectional", False)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(RNNBase):
    """h(t) = tanh(W_ih x(t) + b_ih + W_hh h(t-1) + b_hh), or relu of it.  Shapes: RNNBase.forward."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; gates in the rows of the weights: i, f, g, o.  Shapes: RNNBase.forward."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         device, dtype)


class GRU(RNNBase):
    """Gated recurrent unit; gates in the rows of the weights: r, z, n.  Shapes: RNNBase.forward."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device,
                         dtype)


class RNNCellBase(Module):
    """What the cells have in common: weight_ih (G H, I), weight_hh (G H, H), bias_ih and bias_hh (G H,)."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(gates, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(gates, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values from U(-b, b), b = 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, function: Any, input: Any, states: tuple[Any, ...], pair: bool = False) -> Any:
        """One step of `function`; a single sample (I,) gets a batch axis and loses it again."""
        name = self._get_name()
        require_tensors(name, input)
        shape = tuple(input.shape)
        if input.ndim not in (1, 2) or shape[-1] != self.input_size:
            raise ShapeError(f"{name}: the input must be (batch, {self.input_size}) or ({self.input_size},), got {shape}")
        wanted = (*shape[:-1], self.hidden_size)
        for state in states:
            require_tensors(name, state)
            if tuple(state.shape) != wanted:
                raise ShapeError(f"{name}: for input {shape} the state must be {wanted}, got {tuple(state.shape)}")
        if input.ndim == 1:
            input, states = ops.unsqueeze(input, 0), tuple([ops.unsqueeze(state, 0) for state in states])
        out = function(input, states if pair else states[0], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if len(shape) == 2:
            return out
        return tuple([ops.squeeze(value, 0) for value in out]) if pair else ops.squeeze(out, 0)

    def _zeros(self, input: Any) -> Tensor:
        require_tensors(self._get_name(), input)
        return zeros(*input.shape[:-1], self.hidden_size, dtype=input.dtype, device=input.device)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias is True else f"{text}, bias={self.bias}"


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
                 dtype: Any = None) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """input (batch, I), hx (batch, H) or None for zeros -> (batch, H); all of them may lack the batch."""
        function = ops.rnn_tanh_cell if self.nonlinearity == "tanh" else ops.rnn_relu_cell
        return self._step(function, input, (self._zeros(input) if hx is None else hx,))

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(RNNCellBase):
    """One step of an LSTM."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """input (batch, I), hx = (h, c) each (batch, H) or None for zeros -> (h', c'); all of them may lack the batch."""
        if hx is None:
            hx = (self._zeros(input),) * 2
        elif not isinstance(hx, tuple | list) or len(hx) != 2:
            raise TypeError(f"LSTMCell: the state must be the pair (h, c), got {type(hx).__name__}")
        return self._step(ops.lstm_cell, input, tuple(hx), pair=True)


class GRUCell(RNNCellBase):
    """One step of a GRU."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """input (batch, I), hx (batch, H) or None for zeros -> (batch, H); all of them may lack the batch."""
        return self._step(ops.gru_cell, input, (self._zeros(input) if hx is None else hx,))
