"""Networks of fully connected layers: XOR, two classifiers of digits, an autoencoder and a variational one.

Each `build` is what a user writes; its argument `torch` is either engine.
"""

from typing import Any

import numpy as np

from tinygrad_course.bench.task import Model, Task, supervised


def _digits(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.random((n, 784), dtype=np.float32), rng.integers(0, 10, n)


def _xor_batch(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def _xor(torch: Any, *batch: Any) -> Task:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return supervised(model, lambda x, t: criterion(model(x), t), optimizer, batch)


def _mlp_sigmoid(torch: Any, *batch: Any) -> Task:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 100), nn.Sigmoid(), nn.Linear(100, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return supervised(model, lambda x, t: criterion(model(x), t), optimizer, batch)


def _mlp(torch: Any, *batch: Any) -> Task:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return supervised(model, lambda x, t: criterion(model(x), t), optimizer, batch)


def _autoencoder(torch: Any, *batch: Any) -> Task:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return supervised(model, lambda x: criterion(model(x), x), optimizer, batch)


def _vae(torch: Any, x: Any, noise: Any) -> Task:
    """Kingma & Welling 2014, arXiv:1312.6114.  The noise is part of the batch, so that both engines draw the same."""
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(784, 400)
            self.mean = nn.Linear(400, 20)
            self.logvar = nn.Linear(400, 20)
            self.fc3 = nn.Linear(20, 400)
            self.fc4 = nn.Linear(400, 784)

        def forward(self, x: Any) -> tuple[Any, Any, Any]:
            h = F.relu(self.fc1(x))
            mean, logvar = self.mean(h), self.logvar(h)
            z = mean + noise * torch.exp(0.5 * logvar)
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mean, logvar

    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss(x: Any, _: Any) -> Any:
        y, mean, logvar = model(x)
        reconstruction = F.binary_cross_entropy(y, x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
        return reconstruction + divergence

    return supervised(model, loss, optimizer, (x, noise))


MODELS = (
    Model("xor", "XOR MLP 2-4-1, batch 4", 4.0, _xor_batch, _xor),
    Model("mlp-sigmoid", "MLP 784-100-10, batch 10", 4.0, lambda rng: _digits(rng, 10), _mlp_sigmoid),
    Model("mlp", "MLP 784-256-128-10, batch 64, Adam", 2.5, lambda rng: _digits(rng, 64), _mlp),
    Model("autoencoder", "Autoencoder 784-256-784, batch 64", 2.5, lambda rng: _digits(rng, 64)[:1], _autoencoder),
    Model("vae", "VAE 784-400-20, batch 128", 2.5,
          lambda rng: (_digits(rng, 128)[0], rng.standard_normal((128, 20), dtype=np.float32)), _vae),
)
