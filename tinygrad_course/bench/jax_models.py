"""The benchmark's networks as JAX programs: pure functions of the parameters, in the layout that XLA is written for.

Parameters and running statistics are dictionaries by state-dict name ("0.weight", of module 0 "0.0.weight"), with the
weights of the others: convolutions are turned to HWIO and images to NHWC when they are handed over, see `to_jax`.  What a
batch norm has to remember is returned beside the loss, as a program without side effects must.

Only the process that measures imports this module, after it has limited itself to some processors: XLA starts its threads
at import and never changes their number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_course.errors import DependencyError

try:
    import jax
    import jax.numpy as jnp
    from jax import lax, nn
except ImportError as error:
    raise DependencyError("comparing with JAX needs the package jax: pip install jax") from error

Arrays = dict[str, Any]
IMAGES, WEIGHTS = (0, 2, 3, 1), (2, 3, 1, 0)  # NCHW to NHWC, OIHW to HWIO


class Net:
    """One application of a network: parameters `p` and running statistics by name, and the statistics after it.

    In training, batch norm uses the statistics of the batch and leaves the running ones in `updated`.
    """

    def __init__(self, p: Arrays, running: Arrays, train: bool) -> None:
        self.p, self.running, self.train, self.updated = p, running, train, dict(running)

    def linear(self, name: str, x: Any) -> Any:
        """x W^T + b, weight (outputs, inputs)."""
        return x @ self.p[f"{name}.weight"].T + self.p[f"{name}.bias"]

    def conv(self, name: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
        """Cross-correlation, x (N, H, W, C), weight (kh, kw, C/groups, O)."""
        y = lax.conv_general_dilated(x, self.p[f"{name}.weight"], (stride, stride), [(padding, padding)] * 2,
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups)
        return y + self.p[f"{name}.bias"] if f"{name}.bias" in self.p else y

    def conv_transpose(self, name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
        """The adjoint of `conv`.  PyTorch's weight (I, O, kh, kw) is, as HWIO, that of the convolution it belongs to."""
        w = self.p[f"{name}.weight"]  # (kh, kw, O, I)
        pads = [(k - 1 - padding, k - 1 - padding) for k in w.shape[:2]]
        y = lax.conv_transpose(x, w, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"),
                               transpose_kernel=True)
        return y + self.p[f"{name}.bias"] if f"{name}.bias" in self.p else y

    def batch_norm(self, name: str, x: Any, eps: float = 1e-5, momentum: float = 0.1) -> Any:
        """Over all axes but the last."""
        if self.train:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            n = x.size // x.shape[-1]
            for key, value in (("mean", mean), ("var", var * n / (n - 1))):
                full = f"{name}.running_{key}"
                self.updated[full] = (1 - momentum) * self.updated[full] + momentum * lax.stop_gradient(value)
        else:
            mean, var = (self.running[f"{name}.running_{key}"] for key in ("mean", "var"))
        return (x - mean) * (self.p[f"{name}.weight"] * lax.rsqrt(var + eps)) + self.p[f"{name}.bias"]

    def conv_norm_relu(self, conv: str, norm: str, x: Any, eps: float = 1e-5, **options: int) -> Any:
        """The usual triple."""
        return nn.relu(self.batch_norm(norm, self.conv(conv, x, **options), eps))


def max_pool(x: Any, size: int, stride: int, padding: tuple[int, int] = (0, 0)) -> Any:
    """Maximum over size x size windows of (N, H, W, C)."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1),
                             ((0, 0), padding, padding, (0, 0)))


def flatten(x: Any) -> Any:
    """(N, H, W, C) to (N, C*H*W), in the order that the shared weights of the next layer expect."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def cross_entropy(logits: Any, target: Any) -> Any:
    """Mean of -log softmax(logits)[target] over all but the last axis."""
    return -jnp.mean(jnp.sum(nn.one_hot(target, logits.shape[-1]) * nn.log_softmax(logits), -1))


def bce_with_logits(logits: Any, target: float) -> Any:
    """Mean binary cross-entropy of sigmoid(logits)."""
    return jnp.mean(nn.softplus(logits) - target * logits)


# ---- networks of fully connected layers -----------------------------------------------------------------------------

def _xor(net: Net, x: Any) -> Any:
    return nn.sigmoid(net.linear("0.2", jnp.tanh(net.linear("0.0", x))))


def _mlp_sigmoid(net: Net, x: Any) -> Any:
    return net.linear("0.2", nn.sigmoid(net.linear("0.0", x)))


def _mlp(net: Net, x: Any) -> Any:
    return net.linear("0.4", nn.relu(net.linear("0.2", nn.relu(net.linear("0.0", x)))))


def _autoencoder(net: Net, x: Any) -> Any:
    return nn.sigmoid(net.linear("0.2", nn.relu(net.linear("0.0", x))))


def _vae(net: Net, x: Any, noise: Any) -> tuple[Any, Any, Any]:
    h = nn.relu(net.linear("0.fc1", x))
    mean, logvar = net.linear("0.mean", h), net.linear("0.logvar", h)
    z = mean + noise * jnp.exp(0.5 * logvar)
    return nn.sigmoid(net.linear("0.fc4", nn.relu(net.linear("0.fc3", z)))), mean, logvar


def _vae_loss(net: Net, x: Any, noise: Any) -> Any:
    y, mean, logvar = _vae(net, x, noise)
    # PyTorch's bound: no logarithm is less than -100.
    reconstruction = -jnp.sum(x * jnp.maximum(jnp.log(y), -100) + (1 - x) * jnp.maximum(jnp.log1p(-y), -100))
    return reconstruction - 0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar))


# ---- convolutions ---------------------------------------------------------------------------------------------------

def _lenet(net: Net, x: Any) -> Any:
    x = max_pool(nn.relu(net.conv("0.conv1", x)), 2, 2)
    x = flatten(max_pool(nn.relu(net.conv("0.conv2", x)), 2, 2))
    return net.linear("0.fc3", nn.relu(net.linear("0.fc2", nn.relu(net.linear("0.fc1", x)))))


def _vgg(net: Net, x: Any) -> Any:
    layer = 0
    for _ in range(3):
        for _ in range(2):
            x = net.conv_norm_relu(f"0.{layer}", f"0.{layer + 1}", x, padding=1)
            layer += 3
        x = max_pool(x, 2, 2)
        layer += 1
    return net.linear("0.24", nn.relu(net.linear("0.22", flatten(x))))


def _resnet20(net: Net, x: Any) -> Any:
    x = net.conv_norm_relu("0.conv1", "0.bn1", x, padding=1)
    for layer in (1, 2, 3):
        for block in range(3):
            name, stride = f"0.layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = net.conv_norm_relu(f"{name}.conv1", f"{name}.bn1", x, stride=stride, padding=1)
            y = net.batch_norm(f"{name}.bn2", net.conv(f"{name}.conv2", y, padding=1))
            if stride > 1:
                x = net.batch_norm(f"{name}.shortcut.1", net.conv(f"{name}.shortcut.0", x, stride))
            x = nn.relu(y + x)
    return net.linear("0.linear", x.mean((1, 2)))


def _unet(net: Net, x: Any) -> Any:
    def double_conv(name: str, x: Any) -> Any:
        return net.conv_norm_relu(f"0.{name}.3", f"0.{name}.4",
                                  net.conv_norm_relu(f"0.{name}.0", f"0.{name}.1", x, padding=1), padding=1)

    skips = []
    for level in (1, 2, 3):
        skips.append(double_conv(f"down{level}", x))
        x = max_pool(skips[-1], 2, 2)
    x = double_conv("bottom", x)
    for level in (3, 2, 1):
        x = jnp.concatenate([skips.pop(), net.conv_transpose(f"0.up{level}", x, stride=2)], -1)
        x = double_conv(f"conv{level}", x)
    return net.conv("0.out", x)


def _mobilenet(net: Net, x: Any) -> Any:
    x = net.conv_norm_relu("0.0.0", "0.0.1", x, stride=2, padding=1)
    for block, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), start=1):
        x = net.conv_norm_relu(f"0.{block}.0", f"0.{block}.1", x, stride=stride, padding=1, groups=x.shape[-1])
        x = net.conv_norm_relu(f"0.{block}.3", f"0.{block}.4", x)
    return net.linear("0.16", x.mean((1, 2)))


def _inception(net: Net, x: Any) -> Any:
    def basic(name: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
        return net.conv_norm_relu(f"0.{name}.conv", f"0.{name}.bn", x, eps=1e-3, stride=stride, padding=padding)

    def block(name: str, x: Any) -> Any:
        return jnp.concatenate([
            basic(f"{name}.branch1", x),
            basic(f"{name}.branch2.1", basic(f"{name}.branch2.0", x), padding=1),
            basic(f"{name}.branch3.1", basic(f"{name}.branch3.0", x), padding=2),
            basic(f"{name}.branch4.1", max_pool(x, 3, 1, (1, 1)))], -1)

    x = max_pool(basic("0", x, stride=2, padding=3), 3, 2, (0, 1))  # sizes are even: ceil_mode adds one column
    x = block("5", block("4", basic("3", basic("2", x), padding=1)))
    x = block("7", max_pool(x, 3, 2, (0, 1)))
    return net.linear("0.10", x.mean((1, 2)))


# ---- recurrent networks ---------------------------------------------------------------------------------------------

def _recurrent(net: Net, x: Any, cell: Callable[..., Any], memories: int) -> Any:
    """Tokens (N, T) to logits (N, T, symbols).  The inputs' products are one product before the loop."""
    p = net.p
    gates = p["0.embedding.weight"][x] @ p["0.recurrent.weight_ih_l0"].T + p["0.recurrent.bias_ih_l0"]
    w, b = p["0.recurrent.weight_hh_l0"], p["0.recurrent.bias_hh_l0"]
    start = (jnp.zeros((len(x), w.shape[1])),) * memories
    _, states = lax.scan(lambda state, g: cell(g + state[0] @ w.T + b, *state), start, gates.swapaxes(0, 1))
    return net.linear("0.linear", states.swapaxes(0, 1))


def _lstm(net: Net, x: Any) -> Any:
    def cell(gates: Any, h: Any, c: Any) -> Any:
        i, f, g, o = jnp.split(gates, 4, -1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return _recurrent(net, x, cell, 2)


def _rnn(net: Net, x: Any) -> Any:
    def cell(gates: Any, h: Any) -> Any:
        h = jnp.tanh(gates)
        return (h,), h

    return _recurrent(net, x, cell, 1)


# ---- DCGAN ----------------------------------------------------------------------------------------------------------

def _generator(net: Net, z: Any) -> Any:
    x = nn.relu(net.batch_norm("0.1", net.conv_transpose("0.0", z)))
    for layer in (3, 6):
        x = nn.relu(net.batch_norm(f"0.{layer + 1}", net.conv_transpose(f"0.{layer}", x, 2, 1)))
    return jnp.tanh(net.conv_transpose("0.9", x, 2, 1))


def _discriminator(net: Net, x: Any) -> Any:
    x = nn.leaky_relu(net.conv("1.0", x, 2, 1), 0.2)
    for layer in (2, 5):
        x = nn.leaky_relu(net.batch_norm(f"1.{layer + 1}", net.conv(f"1.{layer}", x, 2, 1)), 0.2)
    return net.conv("1.8", x).reshape(-1)


# ---- losses, optimisers and training steps --------------------------------------------------------------------------

Update = Callable[[Arrays, Arrays, Any], tuple[Arrays, Any]]


@dataclass(frozen=True)
class Optimiser:
    """init(parameters) -> state;  update(parameters, gradients, state) -> parameters, state."""

    init: Callable[[Arrays], Any]
    update: Update


def sgd(lr: float, momentum: float = 0.0) -> Optimiser:
    """v = momentum v + g;  p = p - lr v."""
    def update(p: Arrays, grads: Arrays, v: Any) -> tuple[Arrays, Any]:
        if momentum:
            grads = v = jax.tree.map(lambda v, g: momentum * v + g, v, grads)
        return jax.tree.map(lambda p, g: p - lr * g, p, grads), v

    return Optimiser(lambda p: jax.tree.map(jnp.zeros_like, p) if momentum else (), update)


def adam(lr: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimiser:
    """Kingma & Ba 2015, arXiv:1412.6980, algorithm 1."""
    def update(p: Arrays, grads: Arrays, state: Any) -> tuple[Arrays, Any]:
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
        c1, c2 = 1 - b1**t, 1 - b2**t
        p = jax.tree.map(lambda p, m, v: p - lr * (m / c1) / (jnp.sqrt(v / c2) + eps), p, m, v)
        return p, (m, v, t)

    # Two trees of zeros: buffers that are given away must not be shared.
    return Optimiser(lambda p: (jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.zeros(())), update)


@dataclass(frozen=True)
class JaxModel:
    """A network in JAX.

    loss       loss(net, *batch)
    infer      infer(net, *batch), the output
    optimiser  that of the other engines
    """

    loss: Callable[..., Any]
    infer: Callable[..., Any]
    optimiser: Optimiser

    def start(self, p: Arrays, running: Arrays) -> Any:
        """What a training step hands on to the next."""
        return p, running, self.optimiser.init(p)

    def full_step(self, state: Any, batch: Any) -> tuple[Any, Any, Arrays]:
        """One training step: state, loss and gradients."""
        p, running, memory = state

        def loss(p: Arrays) -> tuple[Any, Arrays]:
            net = Net(p, running, train=True)
            value = self.loss(net, *batch)
            return value, net.updated

        (value, updated), grads = jax.value_and_grad(loss, has_aux=True)(p)
        p, memory = self.optimiser.update(p, grads, memory)
        return (p, updated, memory), value, grads

    def step(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """One training step: state and loss.  XLA drops what only the gradients' caller needs."""
        state, value, _ = self.full_step(state, batch)
        return state, value

    def predict(self, p: Arrays, running: Arrays, batch: Any) -> Any:
        """The output in evaluation mode."""
        return self.infer(Net(p, running, train=False), *batch)


class DCGAN(JaxModel):
    """One update of the discriminator, then one of the generator, whose images both share."""

    def start(self, p: Arrays, running: Arrays) -> Any:
        """The two networks have optimisers of their own."""
        return p, running, tuple(self.optimiser.init(_part(p, number)) for number in "01")

    def full_step(self, state: Any, batch: Any) -> tuple[Any, Any, Arrays]:
        """As PyTorch has them, the discriminator's gradients are the sum of those of both losses."""
        p, running, (g_memory, d_memory) = state
        real, noise = batch
        g, d = _part(p, "0"), _part(p, "1")

        def generate(g: Arrays) -> tuple[Any, Arrays]:
            net = Net(g, running, train=True)
            fake = _generator(net, noise)
            return fake, net.updated

        def d_loss(d: Arrays) -> tuple[Any, Arrays]:
            net = Net(d, running, train=True)
            value = bce_with_logits(_discriminator(net, real), 1) + bce_with_logits(_discriminator(net, fake), 0)
            return value, net.updated

        def g_loss(fake: Any, d: Arrays) -> tuple[Any, Arrays]:
            net = Net(d, running, train=True)
            value = bce_with_logits(_discriminator(net, fake), 1)
            return value, net.updated

        fake, pull_back, running = jax.vjp(generate, g, has_aux=True)
        (d_value, running), d_grads = jax.value_and_grad(d_loss, has_aux=True)(d)
        d, d_memory = self.optimiser.update(d, d_grads, d_memory)
        (g_value, running), (g_fake, more) = jax.value_and_grad(g_loss, (0, 1), has_aux=True)(fake, d)
        g_grads, = pull_back(g_fake)
        g, g_memory = self.optimiser.update(g, g_grads, g_memory)
        return ((g | d, running, (g_memory, d_memory)), d_value + g_value,
                g_grads | jax.tree.map(jnp.add, d_grads, more))


def _part(p: Arrays, number: str) -> Arrays:
    return {name: value for name, value in p.items() if name.startswith(f"{number}.")}


def _classifier(network: Callable[[Net, Any], Any], optimiser: Optimiser) -> JaxModel:
    return JaxModel(lambda net, x, t: cross_entropy(network(net, x), t), lambda net, x, t: network(net, x), optimiser)


def _mse(net: Net, network: Callable[[Net, Any], Any], x: Any, target: Any) -> Any:
    return jnp.mean((network(net, x) - target) ** 2)


_VISION = sgd(0.01, momentum=0.9)
MODELS: dict[str, JaxModel] = {
    "xor": JaxModel(lambda net, x, t: _mse(net, _xor, x, t), lambda net, x, t: _xor(net, x), sgd(0.5)),
    "mlp-sigmoid": _classifier(_mlp_sigmoid, sgd(0.1)),
    "mlp": _classifier(_mlp, adam(1e-3)),
    "autoencoder": JaxModel(lambda net, x: _mse(net, _autoencoder, x, x), _autoencoder, adam(1e-3)),
    "vae": JaxModel(_vae_loss, _vae, adam(1e-3)),
    "lenet": _classifier(_lenet, _VISION),
    "vgg": _classifier(_vgg, _VISION),
    "resnet20": _classifier(_resnet20, _VISION),
    "lstm128": _classifier(_lstm, adam(1e-3)),
    "rnn128": _classifier(_rnn, adam(1e-3)),
    "unet": _classifier(_unet, adam(1e-3)),
    "mobilenet": _classifier(_mobilenet, _VISION),
    "inception": _classifier(_inception, _VISION),
    "dcgan": DCGAN(lambda *_: None, lambda net, real, noise: _generator(net, noise), adam(2e-4, b1=0.5)),
    "lstm512": _classifier(_lstm, adam(1e-3)),
}


def to_jax(arrays: Mapping[str, np.ndarray], axes: tuple[int, ...]) -> Arrays:
    """Arrays with four axes are turned: images by IMAGES, weights of convolutions by WEIGHTS."""
    return {name: jnp.asarray(np.transpose(array, axes) if array.ndim == 4 else array, _dtype(array))
            for name, array in arrays.items()}


def from_jax(values: Arrays, axes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The way back of `to_jax`."""
    back = np.argsort(axes)
    return {name: np.transpose(value, back) if value.ndim == 4 else np.asarray(value) for name, value in values.items()}


def _dtype(array: np.ndarray) -> Any:
    return jnp.int32 if array.dtype.kind == "i" else jnp.float32  # JAX computes with 32 bits
