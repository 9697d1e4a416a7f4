"""Renaming of state dicts, by rules and by proposal."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course import nn
from tinygrad_course.errors import StateDictError
from tinygrad_course.io import load, propose_mapping, remap, save


def net(*, wide=4):
    return nn.Sequential(nn.Conv2d(1, wide, 3), nn.BatchNorm2d(wide), nn.Conv2d(wide, wide, 3), nn.BatchNorm2d(wide),
                         nn.Flatten(), nn.Linear(wide, 2))


def values(model):
    return {key: value.numpy().copy() for key, value in model.state_dict().items()}


def assert_loads(model, source, state):
    model.load_state_dict(state)
    for key, value in source.items():
        np.testing.assert_array_equal(model.state_dict()[key].numpy(), value)


def test_a_prefix_is_stripped_or_added():
    own = values(net())
    assert_loads(net(), own, remap({f"module.model.{key}": value for key, value in own.items()}, net()))
    outer = nn.ModuleDict({"backbone": net()})
    assert list(remap(own, outer)) == list(outer.state_dict())
    assert remap(own, net()) == own  # nothing to do


def test_renames_prefixes_and_drops():
    own = values(net())
    given = {"conv.w": own["0.weight"], "epoch": np.ones(1),
             **{f"n.{key[2:]}": own[key] for key in own if key.startswith("1.")},
             **{key: own[key] for key in own if key[0] not in "01"}, "n.extra.bias": own["0.bias"]}
    rules = {"conv.w": "0.weight", "n.": "1.", "n.extra.": "0.", "epoch": None}
    assert_loads(net(), own, remap(given, net(), rules))


def test_patterns():
    own = values(net())
    given = {f"layer_{key.replace('weight', 'kernel')}": value for key, value in own.items()}
    assert_loads(net(), own, remap(given, net(), [(r"^layer_(\d)", r"\1"), ("kernel$", "weight")]))
    with pytest.raises(StateDictError, match=r"the rule \('\(', ''\) is no regular expression"):
        remap(given, net(), [("(", "")])


def test_conflicts_are_reported_at_once():
    own = values(net())
    with pytest.raises(StateDictError) as info:
        remap(own, net(), {"0.weight": "2.weight", "0.bias": "9.bias", "nothing": "0.bias", "no.": "", "5.bias": "0.bias"})
    assert str(info.value) == (
        "remap: the rules do not fit:\n"
        "  no name is 'nothing'\n"
        "  no name begins with 'no.'\n"
        "  0.weight and 2.weight would both be 2.weight\n"
        "  0.bias would be 9.bias, which Sequential does not have\n"
        "  5.bias would be 0.bias: the file has (2,), the model needs (4,)")
    with pytest.raises(StateDictError, match="the pattern 'z' changes no name"):
        remap(own, net(), [("z", "y")])


def test_no_prefix_fits():
    with pytest.raises(StateDictError, match=r"no prefix makes the names agree.*propose_mapping"):
        remap({"kernel": np.ones(1)}, net())
    with pytest.raises(StateDictError, match=r"this is a checkpoint.*state_dict\['model'\]"):
        remap({"epoch": 1, "model": values(net())}, net())


def foreign(own):
    """The same weights under names that have nothing in common with ours, in the same order."""
    parts = {"weight": "kernel", "bias": "shift", "running_mean": "running_mean", "running_var": "running_var",
             "num_batches_tracked": "num_batches_tracked"}
    return {f"stage{'abcdef'[int(key[0])]}/{parts[key[2:]]}": value for key, value in own.items()}


def test_a_proposal_by_shape_and_order():
    source = net()
    with tgc.no_grad():
        for number, value in enumerate(source.state_dict().values()):
            value.fill_(float(number + 1))  # buffers and parameters of equal shape can be told apart
    own = values(source)
    model = net()
    before = values(model)
    proposal = propose_mapping(foreign(own), model)
    for key, value in model.state_dict().items():  # nothing is applied
        np.testing.assert_array_equal(value.numpy(), before[key])
    assert proposal == dict(zip(foreign(own), own, strict=True))
    assert proposal.missing == proposal.unused == []
    assert_loads(model, own, remap(foreign(own), model, proposal))
    text = str(proposal)
    assert "nothing is renamed before io.remap" in text
    assert "stagea/kernel" in text
    assert "(4, 1, 3, 3)" in text


def test_a_proposal_for_a_file_that_is_sorted_by_name(tmp_path):
    """safetensors does not keep the order; sorted as text, layer 10 would come before layer 2."""
    ours = nn.Sequential(*[nn.Linear(3, 3) for _ in range(12)])
    given = {f"block{int(key.split('.')[0])}.{key.split('.')[1]}": value for key, value in values(ours).items()}
    save(given, tmp_path / "w.safetensors")
    file = load(tmp_path / "w.safetensors")
    assert list(file) != list(given)
    proposal = propose_mapping(file, nn.Sequential(*[nn.Linear(3, 3) for _ in range(12)]))
    assert proposal["block10.weight"] == "10.weight"
    assert proposal["block2.bias"] == "2.bias"
    assert set(proposal.by_order) == set(given)
    assert "only by order" in str(proposal)


def test_equal_last_parts_decide_between_equal_shapes():
    assert propose_mapping({"n.bias": np.zeros(4)}, nn.BatchNorm1d(4)) == {"n.bias": "bias"}
    assert propose_mapping({"n/running_var": np.zeros(4)}, nn.BatchNorm1d(4)) == {"n/running_var": "running_var"}


def test_what_has_no_partner_and_what_is_uncertain():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3))
    given = {"0.weight": np.zeros((3, 2)), "a": np.zeros(3), "b": np.zeros((3, 3)), "c": np.zeros((7, 7)), "epoch": 3}
    proposal = propose_mapping(given, model)
    assert proposal == {"a": "0.bias", "b": "1.weight"}
    assert proposal.missing == ["1.bias"]
    assert proposal.unused == ["c"]
    assert proposal.uncertain == ["a"]  # both biases have its shape
    assert "1.bias (3,) of the model has no partner" in str(proposal)
    assert "c (7, 7) of the file has no partner" in str(proposal)
    assert "names disagree" in str(proposal)
