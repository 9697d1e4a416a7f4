"""Standardiser: against scikit-learn's StandardScaler and PyTorch's BatchNorm."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import tinygrad_course as tgc
from tinygrad_course.data import Standardiser
from tinygrad_course.errors import DataError, ShapeError, StateDictError
from tinygrad_course.io import load_file, save_file


@pytest.fixture
def table(rng):
    x = rng.normal([1e6, -3, 0, 5], [1, 1e-3, 100, 0], (500, 4))
    x[:, 3] = 0.1 + 0.2  # constant, and not a sum of powers of two
    return x


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_scikit_learn(table, dtype):
    train, test = table[:400].astype(dtype), table[400:].astype(dtype)
    ours, theirs = Standardiser().fit(train), StandardScaler().fit(train.astype(np.float64))
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-13)
    np.testing.assert_allclose(ours.std, theirs.scale_, rtol=1e-9)
    wanted = theirs.transform(test.astype(np.float64))
    found = ours.transform(test)
    assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype != np.float64 else 1e-12, atol=1e-6)
    np.testing.assert_allclose(ours.inverse_transform(found), test, rtol=1e-6)


def test_result_and_constant_columns(table):
    x = Standardiser().fit_transform(table)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(x.std(axis=0), [1, 1, 1, 0], atol=1e-9)
    np.testing.assert_array_equal(Standardiser().fit_transform(np.full((7, 2), 1e9 / 3)), 0)


@pytest.mark.parametrize("shape", [(9000, 2), (6, 3, 5, 4), (6, 3, 5)])
def test_channels_are_those_of_batch_norm(torch, rng, shape):
    x = rng.normal(3, 2, shape)
    kind = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shape)]
    wanted = kind(shape[1], eps=1e-30, affine=False).double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(Standardiser().fit_transform(x), wanted, atol=1e-12)


def test_tensors_give_tensors_with_gradients(table):
    scale = Standardiser().fit(tgc.tensor(table))
    x = tgc.tensor(table[:3], requires_grad=True)
    y = scale.transform(x)
    assert (type(y), y.dtype) == (tgc.Tensor, tgc.float64)
    np.testing.assert_array_equal(y.detach().numpy(), scale.transform(table[:3]))
    g = tgc.randn(3, 4, dtype=tgc.float64)
    (y * g).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), g.numpy() / scale.std, rtol=1e-12)
    assert scale.transform(tgc.tensor(table[:3], dtype=tgc.int64)).dtype == tgc.float32
    np.testing.assert_allclose(scale.inverse_transform(y).detach().numpy(), table[:3], rtol=1e-12)


def test_one_feature(rng):
    x = rng.normal(2, 3, 50)
    np.testing.assert_allclose(Standardiser().fit_transform(x), (x - x.mean()) / x.std(), rtol=1e-12)


def test_state_goes_through_a_file(table, tmp_path):
    scale, other = Standardiser().fit(table), Standardiser()
    save_file(scale.state_dict(), tmp_path / "scale.safetensors")
    other.load_state_dict(load_file(tmp_path / "scale.safetensors"))
    np.testing.assert_array_equal(other.transform(table), scale.transform(table))
    for state, message in (({"mean": 1}, "the state has mean"), ({"mean": [1.0], "std": [1.0, 2.0]}, "equally long")):
        with pytest.raises(StateDictError, match=message):
            other.load_state_dict(state)


def test_errors(table):
    scale = Standardiser()
    for call in (scale.transform, scale.inverse_transform, lambda x: scale.state_dict()):
        with pytest.raises(DataError, match=r"nothing was fitted yet. Call fit\(x\) with the training set first"):
            call(table)
    for bad in (np.nan, np.inf):
        broken = table.copy()
        broken[[3, 7], [1, 2]] = bad
        with pytest.raises(DataError, match=r"NaN or infinity in 2 of 4 features \(1, 2\). Leave those samples out"):
            scale.fit(broken)
    with pytest.raises(ShapeError, match=r"shape \(0, 4\) holds nothing"):
        scale.fit(table[:0])
    with pytest.raises(ShapeError, match=r"transform: \(500, 3\) has 3 features along axis 1, fitted were 4"):
        scale.fit(table).transform(table[:, :3])


def test_what_has_no_mean():
    for values in ([["a"]], [[None]], [[1j]]):
        with pytest.raises(DataError, match="are no numbers that have a mean"):
            Standardiser().fit(np.array(values))
