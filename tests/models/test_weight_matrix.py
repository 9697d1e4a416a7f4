"""Networks given by a weight matrix: against layered ones, loops unit by unit, and powers of the matrix."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close
from tinygrad_course import nn, viz
from tinygrad_course.errors import DataError, ShapeError
from tinygrad_course.models import MLP, WeightMatrixNetwork
from tinygrad_course.models.weight_matrix import (
    feed_forward_layers,
    find_cycle,
    has_shortcuts,
    is_feed_forward,
    layered_matrix,
    period,
    topological_order,
)

RNG = np.random.default_rng(0)


def random_graph(n, share, recurrent):
    """A weight matrix with the numbers of the units shuffled."""
    weights = RNG.standard_normal((n, n)) * (RNG.random((n, n)) < share)
    weights = weights if recurrent else np.tril(weights, -1)
    order = RNG.permutation(n)
    return weights[np.ix_(order, order)]


@pytest.mark.parametrize("n", [1, 2, 5, 9, 14])
def test_order_makes_the_matrix_strictly_lower_triangular(n):
    for _ in range(10):
        weights = random_graph(n, 0.3, recurrent=False)
        order = topological_order(weights)
        assert sorted(order) == list(range(n))
        assert (np.triu(weights[np.ix_(order, order)]) == 0).all()
        assert find_cycle(weights) is None
        assert feed_forward_layers(weights) == viz.network_layers(weights)


def test_cycles_are_reported_and_exist():
    found, longest = set(), 0
    for _ in range(60):
        weights = random_graph(6, 0.15, recurrent=True) * (1 - np.eye(6) * RNG.integers(0, 2))
        powers = [np.trace(np.linalg.matrix_power((weights != 0).astype(int), length)) for length in range(1, 7)]
        cycle = find_cycle(weights)
        assert is_feed_forward(weights) == (cycle is None) == (not any(powers))
        if cycle is not None:
            assert len(set(cycle)) == len(cycle)
            assert all(weights[target, source] for source, target in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
            longest = max(longest, len(cycle))
        found.add(cycle is None)
    assert found == {True, False}
    assert longest >= 3, "of shorter ones the direction does not show"


def test_a_layered_network_and_its_matrix_are_the_same_and_have_the_same_gradients():
    net = MLP(3, [4, 5, 2], activation_layer=nn.Tanh).double()
    matrix, biases = layered_matrix(net.linears)
    order = RNG.permutation(14)
    place = np.argsort(order)  # unit u of the layered network is number place[u]
    ours = WeightMatrixNetwork(matrix[np.ix_(order, order)], biases[order], activation=tgc.tanh,
                               output_activation=lambda h: h, inputs=place[:3], outputs=place[-2:])
    x, g = tgc.randn(2, 7, 3).double(), tgc.randn(2, 7, 2).double()
    assert_close(ours(x), net(x))
    assert_close(ours(x, steps=3), net(x))
    assert [len(layer) for layer in ours.layers] == [3, 4, 5, 2]
    assert not has_shortcuts(ours.matrix)
    (ours(x) * g).sum().backward()
    (net(x) * g).sum().backward()
    at = ours.weight.grad.numpy()[np.ix_(place, place)]
    assert (at[matrix == 0] == 0).all(), "a missing connection learns"
    np.testing.assert_allclose(at[3:7, :3], net.linears[0].weight.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(at[7:12, 3:7], net.linears[1].weight.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(ours.bias.grad.numpy()[place][3:7], net.linears[0].bias.grad.numpy(), rtol=1e-10)
    assert repr(ours).startswith("WeightMatrixNetwork(units=14, connections=42, inputs=3, outputs=2, layers=[3, 4, 5, 2])")


@pytest.mark.parametrize("recurrent", [False, True])
def test_unit_by_unit(recurrent):
    weights = random_graph(8, 0.4, recurrent)
    weights[[2, 5]] = 0  # two inputs
    outputs = [7, 0, 4]
    biases = RNG.standard_normal(8)
    net = WeightMatrixNetwork(weights, biases, inputs=[5, 2], outputs=outputs, activation=tgc.tanh,
                              output_activation=tgc.relu)
    x, state = RNG.standard_normal(2), RNG.standard_normal(8)
    y = state.copy()
    y[[5, 2]] = x
    wanted = [y]
    for _ in range(9):
        h = [sum(weights[i, j] * wanted[-1][j] for j in range(8)) + biases[i] for i in range(8)]
        y = np.array([max(h[i], 0) if i in outputs else np.tanh(h[i]) for i in range(8)])
        y[[5, 2]] = x
        wanted.append(y)
    np.testing.assert_allclose(net.run(tgc.tensor(x), 9, tgc.tensor(state)).detach().numpy(), wanted, atol=1e-10)
    assert net.recurrent == recurrent
    if not recurrent:
        np.testing.assert_allclose(net(tgc.tensor(x)).detach().numpy(), wanted[-1][outputs], atol=1e-10)


@pytest.mark.parametrize("steps", [None, 4])
def test_gradients(steps):
    weights = random_graph(6, 0.6, recurrent=steps is not None)
    weights[[0, 3]] = 0
    net = WeightMatrixNetwork(weights, inputs=[0, 3], outputs=[1, 5], connections=weights != 0)
    x = tgc.randn(2, 2).double().requires_grad_()

    def outputs(x, weight, bias):
        return tgc.func.functional_call(net, {"weight": weight, "bias": bias}, (x, steps))

    assert tgc.testing.gradcheck(outputs, (x, net.weight, net.bias))


def test_connections_with_a_weight_of_0_learn():
    exists = np.tril(np.ones((4, 4), bool), -1)
    exists[1, 0] = False
    net = WeightMatrixNetwork(np.zeros((4, 4)), connections=exists, activation=lambda h: h + 1)
    net(tgc.ones(1, 2).double()).sum().backward()
    assert net.inputs == [0, 1]
    assert (net.weight.grad.numpy() != 0)[3].tolist() == [True, True, True, False]
    assert has_shortcuts(exists)


@pytest.mark.parametrize(("states", "length"), [
    ([3, 1, 2, 2], 1), ([5, 1, 2, 1, 2], 2), ([1, 2, 3, 1, 2, 3], 3), ([1, 2, 3, 4], None), ([1, 2, 3, 1], None),
    ([7], None)])
def test_period(states, length):
    assert period(np.array(states, float)) == length


def test_what_is_refused():
    ring = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(DataError, match=r"none is an output. Name some as outputs, or call run"):
        WeightMatrixNetwork(ring)(tgc.zeros(1, 0).double())
    with pytest.raises(DataError, match=r"recurrent: 0 -> 1 -> 2 -> 0, so there is no order .* Give steps"):
        WeightMatrixNetwork(ring, outputs=[2])(tgc.zeros(1, 0).double())
    with pytest.raises(DataError, match=r"recurrent: 0 -> 1 -> 2 -> 0. A recurrent network has no layers"):
        has_shortcuts(ring)
    with pytest.raises(DataError, match=r"unit 1 is an input, so its value is given, but unit 0 feeds it"):
        WeightMatrixNetwork(ring, inputs=[1])
    with pytest.raises(DataError, match=r"outputs are \[1, 1\]. Name each unit once, by its number from 0 to 2"):
        WeightMatrixNetwork(ring, outputs=[1, 1])
    with pytest.raises(DataError, match=r"W\[0, 2\] is 1, but connections\[0, 2\] is False"):
        WeightMatrixNetwork(ring, connections=np.zeros((3, 3), bool))
    with pytest.raises(ShapeError, match=r"biases have the shape \(2,\) and connections \(3, 3\)"):
        WeightMatrixNetwork(ring, np.zeros(2))
    with pytest.raises(ShapeError, match=r"weights have the shape \(2, 3\), needed is \(N, N\), W\[i, j\] from"):
        WeightMatrixNetwork(np.zeros((2, 3)))
    line = np.array([[0, 0], [1.0, 0]])
    with pytest.raises(ShapeError, match=r"input has the shape \(4, 2\), needed is \(..., 1\): one number"):
        WeightMatrixNetwork(line)(tgc.zeros(4, 2).double())
    with pytest.raises(ShapeError, match=r"units \[0\] are inputs. Give x"):
        WeightMatrixNetwork(line).run(None, 3)
    with pytest.raises(ShapeError, match=r"the state has the shape \(3,\), needed is \(4, 2\)"):
        WeightMatrixNetwork(line).run(tgc.zeros(4, 1).double(), 3, tgc.zeros(3).double())
