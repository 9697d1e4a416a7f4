"""Recurrent networks that predict the next of 65 characters.  The argument `torch` of `build` is either engine."""

from typing import Any

import numpy as np

from tinygrad_course.bench.task import Model, Task, supervised

SYMBOLS = 65


def _text(rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    text = rng.integers(0, SYMBOLS, (n, length + 1))
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])


def _char_model(torch: Any, layer: str, embedding: int, hidden: int, batch: tuple[Any, ...]) -> Task:
    nn, F = torch.nn, torch.nn.functional

    class CharModel(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(SYMBOLS, embedding)
            self.recurrent = getattr(nn, layer)(embedding, hidden, batch_first=True)
            self.linear = nn.Linear(hidden, SYMBOLS)

        def forward(self, x: Any) -> Any:  # (N, T) -> (N, T, SYMBOLS)
            states, _ = self.recurrent(self.embedding(x))
            return self.linear(states)

    model = CharModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss(x: Any, t: Any) -> Any:
        return F.cross_entropy(model(x).view(-1, SYMBOLS), t.view(-1))

    return supervised(model, loss, optimizer, batch)


MODELS = (
    Model("lstm128", "Char LSTM h128, 50 steps, batch 32", 1.3, lambda rng: _text(rng, 32, 50),
          lambda torch, *batch: _char_model(torch, "LSTM", 64, 128, batch)),
    Model("lstm512", "Char LSTM h512, 100 steps, batch 16", 1.3, lambda rng: _text(rng, 16, 100),
          lambda torch, *batch: _char_model(torch, "LSTM", 256, 512, batch)),
    Model("rnn128", "Char RNN h128, 50 steps, batch 32", 1.3, lambda rng: _text(rng, 32, 50),
          lambda torch, *batch: _char_model(torch, "RNN", 64, 128, batch)),
)
