"""The restricted Boltzmann machine against sums over all of its patterns, taken with NumPy loops."""

import itertools

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import optim
from tinygrad_course.energy import RBM, DeepBeliefNet
from tinygrad_course.energy.rbm import all_patterns
from tinygrad_course.errors import DataError, ShapeError

RNG = np.random.default_rng(0)


def tiny(n_visible=4, n_hidden=3, seed=0):
    rng = np.random.default_rng(seed)
    rbm = RBM(n_visible, n_hidden, generator=tgc.Generator().manual_seed(seed)).double()
    with tgc.no_grad():
        for parameter in rbm.parameters():
            parameter.copy_(tgc.tensor(rng.standard_normal(parameter.shape)))
    return rbm


def table(rbm):
    """p(v, h) of all pairs, {(v, h): p}, and log Z."""
    w, a, b = (p.detach().numpy() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    weights = {}
    for v in itertools.product((0, 1), repeat=rbm.n_visible):
        for h in itertools.product((0, 1), repeat=rbm.n_hidden):
            energy = -sum(a[i] * v[i] for i in range(len(v))) - sum(b[j] * h[j] for j in range(len(h))) \
                - sum(h[j] * w[j, i] * v[i] for i in range(len(v)) for j in range(len(h)))
            weights[v, h] = np.exp(-energy)
    z = sum(weights.values())
    return {pair: weight / z for pair, weight in weights.items()}, np.log(z)


@pytest.mark.parametrize("sizes", [(4, 3), (3, 5), (1, 1)])
def test_probabilities_are_those_of_the_energy(sizes):
    rbm = tiny(*sizes)
    p, log_z = table(rbm)
    np.testing.assert_allclose(rbm.log_partition().item(), log_z, rtol=1e-13)
    for (v, h), value in p.items():
        visible, hidden = tgc.tensor(v, dtype=tgc.float64), tgc.tensor(h, dtype=tgc.float64)
        np.testing.assert_allclose((-rbm.energy(visible, hidden) - log_z).item(), np.log(value), rtol=1e-11, atol=1e-11)
    for v in itertools.product((0, 1), repeat=sizes[0]):
        visible = tgc.tensor(v, dtype=tgc.float64)
        marginal = sum(value for (other, _), value in p.items() if other == v)
        np.testing.assert_allclose(rbm.log_probability(visible).item(), np.log(marginal), rtol=1e-11)
        on = sum(value * np.array(h) for (other, h), value in p.items() if other == v) / marginal
        np.testing.assert_allclose(rbm.hidden_probability(visible).detach().numpy(), on, rtol=1e-11)
    for h in itertools.product((0, 1), repeat=sizes[1]):
        marginal = sum(value for (_, other), value in p.items() if other == h)
        on = sum(value * np.array(v) for (v, other), value in p.items() if other == h) / marginal
        found = rbm.visible_probability(tgc.tensor(h, dtype=tgc.float64))
        np.testing.assert_allclose(found.detach().numpy(), on, rtol=1e-11)


def exact_gradient(rbm, data):
    """d/dw mean log p(data) = <h v>_data - <h v>_model and likewise for the biases, by the table."""
    p, _ = table(rbm)

    def means(weighted):
        total = [0.0, 0.0, 0.0]
        for (v, h), value in weighted.items():
            for k, part in enumerate((np.outer(h, v), np.array(v), np.array(h))):
                total[k] = total[k] + value * part
        return total

    clamped = {}
    for v in map(tuple, data.astype(int)):
        marginal = sum(value for (other, _), value in p.items() if other == v)
        for (other, h), value in p.items():
            if other == v:
                clamped[v, h] = clamped.get((v, h), 0) + value / marginal / len(data)
    return [x - y for x, y in zip(means(clamped), means(p), strict=True)]


@pytest.mark.parametrize("sizes", [(4, 3), (3, 4)])
def test_the_gradient_of_the_exact_log_probability(sizes):
    rbm, data = tiny(*sizes), RNG.integers(0, 2, (6, sizes[0])).astype(float)
    rbm.log_probability(tgc.tensor(data)).mean().backward()
    found = [p.grad.numpy() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]
    for ours, wanted in zip(found, exact_gradient(rbm, data), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-10, atol=1e-12)


def test_cd_with_many_steps_is_the_exact_gradient_and_cd_1_is_not():
    rbm, data = tiny(seed=3), RNG.integers(0, 2, (4, 4)).astype(float)
    wanted = exact_gradient(rbm, data)
    many = tgc.tensor(np.tile(data, (5000, 1)))  # 20,000 chains: standard error below 0.5 / sqrt(20,000) = 0.0035

    def difference(k):
        rbm.zero_grad()
        rbm.contrastive_divergence(many, k)[0].backward()
        found = [-p.grad.numpy() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias)]
        return max(np.abs(x - y).max() for x, y in zip(found, wanted, strict=True))

    assert difference(40) < 5 * 0.0035
    assert difference(1) > 15 * 0.0035


def test_gibbs_sampling_reaches_the_distribution():
    rbm = tiny(seed=1)
    p, _ = table(rbm)
    chain = rbm.gibbs(tgc.zeros(20_000, 4, dtype=tgc.float64), 30).numpy()
    assert set(np.unique(chain)) == {0, 1}
    counts = np.bincount((chain @ [8, 4, 2, 1]).astype(int), minlength=16) / len(chain)
    wanted = np.zeros(16)
    for (v, _), value in p.items():
        wanted[int(np.dot(v, [8, 4, 2, 1]))] += value
    np.testing.assert_array_less(np.abs(counts - wanted), 4.5 * np.sqrt(wanted * (1 - wanted) / len(chain)))


@pytest.mark.parametrize(("persistent", "k", "rate"), [(False, 1, 0.2), (True, 5, 0.1)])
def test_contrastive_divergence_finds_a_distribution(persistent, k, rate):
    """The mixture of two patterns: its entropy is log 2, no machine can do better than log p = -log 2 on average."""
    tgc.manual_seed(0)
    data = tgc.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]] * 10, dtype=tgc.float32)
    rbm = RBM(5, 4, std=0.1).start_from(data)
    means = rbm.visible_probability(tgc.zeros(4)).detach().numpy()
    np.testing.assert_allclose(means, [0.5, 0.5, 0.5 / 21, 0.5, 0.5], rtol=1e-5)
    before = rbm.log_probability(data).mean().item()
    optimizer, chain = optim.SGD(rbm.parameters(), lr=rate), None
    for _ in range(600):
        loss, end = rbm.contrastive_divergence(data, k, chain)
        chain = end if persistent else None
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < -2.5
    assert -np.log(2) - 0.4 < rbm.log_probability(data).mean().item() < -np.log(2)
    assert not end.requires_grad


def test_the_encoder_is_a_copy_of_the_hidden_layer():
    rbm, v = tiny(), tgc.tensor(RNG.random((5, 4)))
    encoder = rbm.as_encoder()
    np.testing.assert_array_equal(encoder(v).detach().numpy(), rbm.encode(v).detach().numpy())
    with tgc.no_grad():
        encoder[0].weight.fill_(0)
    assert np.abs(rbm.weight.detach().numpy()).min() > 0
    assert repr(rbm) == "RBM(n_visible=4, n_hidden=3)"
    assert list(rbm.state_dict()) == ["weight", "visible_bias", "hidden_bias"]


def test_samples_depend_on_the_generator_alone():
    first, second = (RBM(6, 3, std=1.0, generator=tgc.Generator().manual_seed(4)) for _ in range(2))
    start = tgc.zeros(7, 6)
    np.testing.assert_array_equal(first.gibbs(start, 3).numpy(), second.gibbs(start, 3).numpy())


def test_all_patterns():
    assert all_patterns(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: RBM(4, 3).free_energy(tgc.zeros(2, 3)), ShapeError, r"visible layer .* \(2, 3\), needed is \(..., 4\)"),
    (lambda: RBM(4, 3).visible_probability(tgc.zeros(2, 4)), ShapeError, r"hidden layer .* needed is \(..., 3\)"),
    (lambda: RBM(4, 3).contrastive_divergence(tgc.zeros(2, 4), 0), DataError, "k is 0; at least one step"),
    (lambda: RBM(30, 21).log_partition(), DataError, "the smaller layer has 21 units"),
    (lambda: DeepBeliefNet((4,)), DataError, r"sizes are \(4,\); at least two layers"),
])
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_belief_net_generates_what_its_machines_say():
    """p(v) = sum_h p(v | h) p(h), p(h) that of the top machine, by enumeration."""
    net = DeepBeliefNet((3, 2, 3), generator=tgc.Generator().manual_seed(0)).double()
    with tgc.no_grad():
        for parameter in net.parameters():
            parameter.copy_(tgc.tensor(1.5 * RNG.standard_normal(parameter.shape)))
    bottom, top = net.rbms
    v = tgc.tensor(RNG.random((5, 3)))
    np.testing.assert_array_equal(net(v).detach().numpy(),
                                  top.hidden_probability(bottom.hidden_probability(v)).detach().numpy())
    p, _ = table(top)
    wanted = sum(value * bottom.visible_probability(tgc.tensor(h, dtype=tgc.float64)).detach().numpy()
                 for (h, _), value in p.items())
    probabilities, chain = net.generate(tgc.zeros(20_000, 2, dtype=tgc.float64), 30)
    assert chain.shape == (20_000, 2)
    np.testing.assert_allclose(probabilities.numpy().mean(axis=0), wanted, atol=4.5 * 0.5 / np.sqrt(20_000))


def test_a_given_chain_is_where_the_steps_start():
    rbm = RBM(2, 2)
    with tgc.no_grad():  # as good as certain: each layer copies the other
        rbm.weight.copy_(100 * tgc.eye(2))
        rbm.visible_bias.fill_(-50)
        rbm.hidden_bias.fill_(-50)
    data, chain = tgc.tensor([[1.0, 0.0]]), tgc.tensor([[0.0, 1.0]])
    assert rbm.contrastive_divergence(data, 2)[1].tolist() == data.tolist()
    assert rbm.contrastive_divergence(data, 2, chain)[1].tolist() == chain.tolist()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_deep_belief_net_makes_as_many_steps_as_said(steps):
    generator = tgc.Generator().manual_seed(0)
    net = DeepBeliefNet((4, 3), std=1.0, generator=generator)
    start, position = tgc.ones(5, 4), generator.get_state()
    probability, chain = net.generate(start, steps)
    generator.set_state(position)
    for _ in range(steps):
        below = net.rbms[0].visible_probability(net.rbms[0].sample(net.rbms[0].hidden_probability(start)))
        start = net.rbms[0].sample(below)
    assert chain.tolist() == start.tolist()
    assert probability.tolist() == below.tolist()
    with pytest.raises(DataError, match="at least one step"):
        net.generate(start, 0)
