"""state_dict, load_state_dict, and the report when they do not fit."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import StateDictError


def lenet(lib):
    features = lib.Sequential(lib.Conv2d(1, 6, 5, padding=2), lib.Tanh(), lib.AvgPool2d(2), lib.Conv2d(6, 16, 5))
    return lib.ModuleDict({"features": features, "head": lib.Sequential(lib.Flatten(), lib.Linear(16, 10, bias=False))})


def values(module):
    return {key: value.numpy().copy() for key, value in module.state_dict().items()}


def assert_unchanged(module, before):
    for key, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_round_trip():
    a, b = lenet(nn), lenet(nn)
    result = b.load_state_dict(a.state_dict())
    assert result == ([], [])
    assert repr(result) == "<All keys matched successfully>"
    assert_unchanged(b, values(a))
    assert result.missing_keys == result.unexpected_keys == []


def test_keys_shapes_and_layout_are_those_of_torch():
    torch = torch_or_skip()
    ours, theirs = lenet(nn), lenet(torch.nn)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == \
        {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    theirs.load_state_dict(to_torch(ours.state_dict()))
    fresh = lenet(nn)
    fresh.load_state_dict(theirs.state_dict())
    assert_unchanged(fresh, values(ours))


def test_prefix_destination_keep_vars():
    m = nn.Linear(1, 2)
    assert list(m.state_dict(prefix="a.")) == ["a.weight", "a.bias"]
    into = {"x": tgc.zeros(1)}
    assert m.state_dict(destination=into) is into
    assert list(into) == ["x", "weight", "bias"]
    assert m.state_dict(keep_vars=True)["weight"] is m.weight
    assert not m.state_dict()["weight"].requires_grad
    with tgc.no_grad():
        m.weight.fill_(7.0)
    assert into["weight"].tolist() == [[7.0], [7.0]]  # memory is shared


def test_buffers_and_shared_modules():
    m = nn.Module()
    m.a = m.b = nn.Linear(1, 1, bias=False)
    m.register_buffer("mean", tgc.zeros(2))
    m.register_buffer("cache", tgc.zeros(2), persistent=False)
    assert list(m.state_dict()) == ["mean", "a.weight", "b.weight"]
    m.load_state_dict({"mean": np.ones(2), "a.weight": np.ones((1, 1)), "b.weight": np.ones((1, 1))})
    assert m.mean.tolist() == [1.0, 1.0]
    assert m.mean.dtype == tgc.float32


def test_everything_that_is_wrong_is_listed_at_once_and_nothing_is_changed():
    net = lenet(nn)
    before = values(net)
    state = dict(before)
    state["features.0.weight"] = np.zeros((6, 1, 3, 3))
    state["head.1.weight"] = np.zeros((16, 10))
    state["features.3.wieght"] = state.pop("features.3.weight")
    state["extra"] = np.zeros(4)
    del state["features.0.bias"]
    with pytest.raises(StateDictError) as info:
        net.load_state_dict(state)
    assert str(info.value) == (
        "load_state_dict: the state dict does not fit ModuleDict:\n"
        "  missing in the file: features.0.bias (6,), features.3.weight (16, 6, 5, 5)\n"
        "  unexpected in the file: features.3.wieght (16, 6, 5, 5), extra (4,)\n"
        "  shape of features.0.weight: the file has (6, 1, 3, 3), the model needs (6, 1, 5, 5)\n"
        "  shape of head.1.weight: the file has (16, 10), the model needs (10, 16) (the transpose)\n"
        "  hint: probably renamed (shapes agree): features.3.wieght -> features.3.weight\n"
        "        io.remap(state_dict, model, {old name: new name, ...}) renames")
    assert_unchanged(net, before)


def test_not_strict_tolerates_names_but_not_shapes():
    m = nn.Linear(2, 3)
    result = m.load_state_dict({"weight": np.ones((3, 2)), "more": np.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["more"]
    assert "missing_keys=['bias']" in repr(result)
    assert m.weight.tolist() == [[1.0, 1.0]] * 3
    with pytest.raises(StateDictError, match=r"the file has \(2, 2\), the model needs \(3, 2\)"):
        m.load_state_dict({"weight": np.ones((2, 2))}, strict=False)


def test_loading_nothing_at_all_warns():
    with pytest.warns(UserWarning, match="no key of the state dict fits Linear"):
        nn.Linear(1, 1).load_state_dict({"model.weight": np.ones((1, 1))}, strict=False)


def test_hints():
    m = nn.Sequential(nn.Linear(1, 1))
    state = m.state_dict()
    with pytest.raises(StateDictError, match=r"hint: every key of the file begins with 'module\.': load io\.remap"):
        m.load_state_dict({f"module.{key}": value for key, value in state.items()})
    with pytest.raises(StateDictError, match=r"hint: .* its entry 'state_dict' is the state dict"):
        m.load_state_dict({"epoch": 3, "state_dict": state})
    outer = nn.ModuleDict({"backbone": m})
    with pytest.raises(StateDictError, match=r"hint: .* without 'backbone\.': load into model\.backbone, or .*remap"):
        outer.load_state_dict(state)
    with pytest.raises(StateDictError, match=r"hint: io\.propose_mapping\(state_dict, model\) pairs the names"):
        m.load_state_dict({"kernel": np.ones((1, 1)), "shift": np.ones(1)})


def test_values_that_are_no_tensors():
    m = nn.Linear(1, 1)
    with pytest.raises(StateDictError, match=r"value of weight is a list, the model needs a tensor of shape \(1, 1\)"):
        m.load_state_dict({"weight": [[1.0]], "bias": np.ones(1)})
    with pytest.raises(TypeError, match="dict-like, got int"):
        m.load_state_dict(3)


def test_assign_takes_the_tensors_themselves():
    m = nn.Linear(1, 1)
    m.bias.requires_grad_(False)
    weight = tgc.ones(1, 1, dtype=tgc.float64)
    m.load_state_dict({"weight": weight, "bias": np.zeros(1)}, assign=True)
    assert isinstance(m.weight, nn.Parameter)
    assert m.weight.dtype == tgc.float64
    assert m.weight.requires_grad
    assert not m.bias.requires_grad
    with tgc.no_grad():
        weight.fill_(3.0)
    assert m.weight.tolist() == [[3.0]]


def test_read_only_arrays_can_be_assigned_and_trained():
    values = np.ones((1, 1), np.float32)
    values.flags.writeable = False
    m = nn.Linear(1, 1, bias=False)
    m.load_state_dict({"weight": values}, assign=True)
    with tgc.no_grad():
        m.weight.add_(1.0)
    assert values.tolist() == [[1.0]]


def test_files_from_before_the_counters_of_batch_norm_fit():
    torch = torch_or_skip()
    for path, ours, theirs in [("1.", nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
                                torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))),
                               ("", nn.BatchNorm2d(4), torch.nn.BatchNorm2d(4))]:
        state = theirs.state_dict()
        assert state._metadata == ours.state_dict()._metadata
        del state[f"{path}num_batches_tracked"]
        for module, error in ((theirs, RuntimeError), (ours, StateDictError)):  # of the new form: a mistake
            with pytest.raises(error, match="num_batches_tracked"):
                module.load_state_dict(state)
        old = dict(state)
        counter = ours.get_submodule(path[:-1]).num_batches_tracked
        counter.fill_(5)
        assert theirs.load_state_dict(old).missing_keys == ours.load_state_dict(old).missing_keys == []
        assert counter.item() == 5
        del old[f"{path}running_mean"]
        for module, error in ((theirs, RuntimeError), (ours, StateDictError)):
            with pytest.raises(error, match="running_mean"):
                module.load_state_dict(old)


def test_old_files_fit_models_that_have_hooks_too():
    torch = torch_or_skip()
    for lib, error in ((tgc, StateDictError), (torch, RuntimeError)):
        net = lib.nn.Sequential(lib.nn.utils.parametrizations.weight_norm(lib.nn.Linear(2, 3)), lib.nn.BatchNorm1d(3))
        state = net.state_dict()
        del state["1.num_batches_tracked"]
        with pytest.raises(error, match="num_batches_tracked"):
            net.load_state_dict(state)
        assert net.load_state_dict(dict(state)).missing_keys == []


def test_a_hook_that_was_removed_loads_nothing_by_parts():
    layer = nn.Linear(1, 1)
    layer.register_load_state_dict_pre_hook(lambda *args: None).remove()
    before = values(layer)
    with pytest.raises(StateDictError, match=r"hint: every key of the file begins with 'module\.'"):
        layer.load_state_dict({f"module.{key}": value for key, value in layer.state_dict().items()})
    with pytest.raises(StateDictError, match="missing in the file: bias"):
        layer.load_state_dict({"weight": tgc.ones(1, 1)})
    assert_unchanged(layer, before)


def test_another_number_of_classes_is_recognised():
    ten, four = (nn.Sequential(nn.Linear(3, 5), nn.Linear(5, classes)) for classes in (10, 4))
    with pytest.raises(StateDictError, match=r"hint: another number of classes\? Make the model with 10, load, then put a "
                                             r"new layer of 4 in the place of the last; .*leave 1\.weight, 1\.bias out"):
        four.load_state_dict(ten.state_dict())
    with pytest.raises(StateDictError) as caught:  # another width is something else
        four.load_state_dict(nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 4)).state_dict())
    assert "classes" not in str(caught.value)
    rest = {key: value for key, value in ten.state_dict().items() if key not in ("1.weight", "1.bias")}
    assert four.load_state_dict(rest, strict=False).missing_keys == ["1.weight", "1.bias"]
    assert_unchanged(four[0], values(ten[0]))
