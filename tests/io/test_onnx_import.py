"""Files of other programs: graphs built node by node with onnx.helper, run by onnxruntime and by the imported module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tinygrad_course as tgc
from tests.io.onnx_oracle import assert_equal, imported, run
from tinygrad_course.errors import DataError
from tinygrad_course.io import import_onnx
from tinygrad_course.nn import functional as F

RNG = np.random.default_rng(9)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def model(nodes: Sequence[Any], inputs: dict[str, np.ndarray], outputs: Sequence[str], initializers: dict[str, np.ndarray],
          opset: int) -> bytes:
    """A file with these nodes."""
    given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
             for name, array in inputs.items()]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    tensors = [numpy_helper.from_array(array, name) for name, array in initializers.items()]
    graph = helper.make_graph(nodes, "graph", given, results, tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(proto).SerializeToString())


def one_node(kind: str, x: Sequence[np.ndarray | None], fixed: Sequence[np.ndarray | None], attributes: dict[str, Any],
             opset: int, outputs: int = 1) -> tuple[bytes, list[np.ndarray]]:
    """A file with one node, whose first inputs are the graph's and whose others are initialisers."""
    inputs = {f"x{number}": array for number, array in enumerate(x)}
    others = {f"w{number}": array for number, array in enumerate(fixed) if array is not None}
    names = [*inputs, *(f"w{number}" if array is not None else "" for number, array in enumerate(fixed))]
    results = [f"y{number}" for number in range(outputs)]
    return (model([helper.make_node(kind, names, results, **attributes)], inputs, results, others, opset),
            list(inputs.values()))


X, IMAGE, LINE, ROWS = normal(2, 3, 4), normal(2, 4, 7, 6), normal(2, 4, 9), normal(5, 2, 3)
WHOLE = RNG.integers(-9, 9, (2, 3, 4))
CASES: dict[str, tuple[Any, ...]] = {  # kind, inputs of the graph, initialisers, attributes, opset, number of outputs
    "Squeeze 11": ("Squeeze", [normal(2, 1, 3)], [], {"axes": [1]}, 11),
    "Squeeze 13": ("Squeeze", [normal(2, 1, 3)], [ints(-2)], {}, 13),
    "Squeeze all": ("Squeeze", [normal(2, 1, 3, 1)], [], {}, 13),
    "Unsqueeze 11": ("Unsqueeze", [X], [], {"axes": [0, 4]}, 11),
    "Unsqueeze 13": ("Unsqueeze", [X], [ints(-1, 1)], {}, 13),
    "Slice 9": ("Slice", [X], [], {"starts": [0, -2], "ends": [1, 99], "axes": [0, 2]}, 9),
    "Slice 13": ("Slice", [X], [ints(-1, 3), ints(-99, 0), ints(1, 2), ints(-1, -2)], {}, 13),
    "Pad 10": ("Pad", [X], [], {"pads": [0, 1, 2, 0, 0, 1], "value": 3.0}, 10),
    "Pad edge": ("Pad", [X], [ints(0, 1, 2, 0, 0, 1)], {"mode": "edge"}, 13),
    "Pad reflect": ("Pad", [X], [ints(0, 1, 2, 0, 0, 1)], {"mode": "reflect"}, 13),
    "Pad axes": ("Pad", [X], [ints(1, 2), floats(0.5)[0], ints(2)], {}, 18),
    "Split 11": ("Split", [X], [], {"axis": 2, "split": [1, 3]}, 11, 2),
    "Split 18": ("Split", [normal(2, 5)], [], {"axis": 1, "num_outputs": 2}, 18, 2),
    "Flatten": ("Flatten", [IMAGE], [], {"axis": 2}, 13),
    "Flatten 0": ("Flatten", [X], [], {"axis": 0}, 13),
    "Reshape": ("Reshape", [X], [ints(0, -1, 2)], {}, 14),
    "Transpose": ("Transpose", [X], [], {}, 13),
    "Expand": ("Expand", [normal(3, 1)], [ints(2, 1, 4)], {}, 13),
    "Tile": ("Tile", [X], [ints(1, 2, 3)], {}, 13),
    "Clip 6": ("Clip", [X], [], {"min": -0.5, "max": 0.3}, 7),
    "Clip max": ("Clip", [X], [None, floats(0.3)[0]], {}, 13),
    "Gemm": ("Gemm", [normal(4, 2)], [normal(3, 4), normal(2, 1)], {"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1}, 13),
    "Gemm plain": ("Gemm", [normal(2, 4)], [normal(4, 3)], {}, 13),
    "Softmax 11": ("Softmax", [X], [], {}, 11),
    "Softmax 13": ("Softmax", [X], [], {}, 13),
    "LogSoftmax 11": ("LogSoftmax", [X], [], {"axis": 2}, 11),
    "ReduceSum 11": ("ReduceSum", [X], [], {"axes": [0, -1], "keepdims": 0}, 11),
    "ReduceMean 18": ("ReduceMean", [X], [ints(1)], {}, 18),
    "ReduceProd": ("ReduceProd", [X], [], {"axes": [0, 2]}, 13),
    "ReduceL1": ("ReduceL1", [X], [], {"axes": [1]}, 13),
    "ReduceSumSquare": ("ReduceSumSquare", [X], [], {}, 13),
    "ReduceLogSum": ("ReduceLogSum", [np.abs(X)], [], {"axes": [1]}, 13),
    "ReduceMax whole": ("ReduceMax", [WHOLE], [], {"axes": [1]}, 13),
    "no axes": ("ReduceSum", [X], [], {"noop_with_empty_axes": 1}, 13),
    "ArgMax last": ("ArgMax", [np.round(X)], [], {"axis": 1, "select_last_index": 1, "keepdims": 0}, 13),
    "TopK 9": ("TopK", [X], [], {"k": 2, "axis": 1}, 9, 2),
    "TopK 11": ("TopK", [X], [ints(2)], {"largest": 0}, 11, 2),
    "CumSum": ("CumSum", [X], [ints(1)[0]], {"exclusive": 1, "reverse": 1}, 14),
    "Mod": ("Mod", [WHOLE], [np.full((2, 3, 4), -4)], {}, 13),
    "fmod": ("Mod", [X], [np.full((4,), 0.3, np.float32)], {"fmod": 1}, 13),
    "Div whole": ("Div", [WHOLE], [np.full((4,), 4)], {}, 14),
    "Pow": ("Pow", [np.abs(X)], [ints(3)[0]], {}, 13),
    "PRelu": ("PRelu", [X], [normal(3, 1)], {}, 16),
    "ThresholdedRelu": ("ThresholdedRelu", [X], [], {"alpha": 0.4}, 13),
    "Shrink": ("Shrink", [X], [], {"lambd": 0.4, "bias": 0.1}, 13),
    "Selu": ("Selu", [X], [], {}, 13),
    "HardSigmoid": ("HardSigmoid", [X], [], {}, 13),
    "Gelu": ("Gelu", [X], [], {"approximate": "tanh"}, 20),
    "Mean": ("Mean", [X, X * 2, normal(4)], [], {}, 13),
    "Sum": ("Sum", [X, X * 2, normal(4)], [], {}, 13),
    "Max": ("Max", [X, normal(4)], [], {}, 13),
    "Reciprocal": ("Reciprocal", [X], [], {}, 13),
    "IsInf": ("IsInf", [floats(1, np.inf, -np.inf, np.nan)], [], {"detect_negative": 0}, 13),
    "Cast": ("Cast", [X], [], {"to": onnx.TensorProto.INT32}, 13),
    "CastLike": ("CastLike", [X], [ints(1)], {}, 15),
    "Dropout": ("Dropout", [X], [], {}, 13),
    "Gather": ("Gather", [X], [np.array([[0, -1], [2, 2]])], {"axis": 1}, 13),
    "Gather one": ("Gather", [X], [ints(-1)[0]], {"axis": 2}, 13),
    "GatherElements": ("GatherElements", [X], [np.array(RNG.integers(-3, 3, (2, 2, 4)))], {"axis": 1}, 13),
    "GatherND": ("GatherND", [X], [np.array([[0, 2], [1, 0], [1, 1]])], {}, 13),
    "ScatterElements": ("ScatterElements", [X], [np.array([[[2], [0]]]), normal(1, 2, 1)], {"axis": 1}, 16),
    "Scatter add": ("ScatterElements", [X], [np.array([[[2], [2]]]), normal(1, 2, 1)], {"axis": 1, "reduction": "add"}, 16),
    "Scatter max": ("ScatterElements", [X], [np.array([[[2], [0]]]), normal(1, 2, 1)], {"axis": 1, "reduction": "max"}, 18),
    "ScatterND": ("ScatterND", [X], [np.array([[0, 2], [1, 0]]), normal(2, 4)], {}, 16),
    "ScatterND add": ("ScatterND", [X], [np.array([[0, 2], [0, 2]]), normal(2, 4)], {"reduction": "add"}, 16),
    "OneHot": ("OneHot", [ints(0, -1, 2)], [ints(4), floats(0.5, 2.0)], {"axis": 0}, 11),
    "Trilu": ("Trilu", [X], [ints(1)[0]], {"upper": 0}, 14),
    "DepthToSpace": ("DepthToSpace", [normal(2, 8, 3, 2)], [], {"blocksize": 2}, 13),
    "DepthToSpace CRD": ("DepthToSpace", [normal(2, 8, 3, 2)], [], {"blocksize": 2, "mode": "CRD"}, 13),
    "SpaceToDepth": ("SpaceToDepth", [normal(2, 3, 4, 6)], [], {"blocksize": 2}, 13),
    "Shape": ("Shape", [IMAGE], [], {"start": 1, "end": -1}, 15),
    "Size": ("Size", [IMAGE], [], {}, 13),
    "Range": ("Range", [], [ints(3)[0], ints(11)[0], ints(2)[0]], {}, 11),
    "ConstantOfShape": ("ConstantOfShape", [ints(2, 3)], [], {"value": numpy_helper.from_array(ints(7))}, 9),
    "Einsum": ("Einsum", [X], [normal(4, 5)], {"equation": "nij,jk->nki"}, 12),
    "Conv": ("Conv", [IMAGE], [normal(6, 2, 3, 3), normal(6)], {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1]}, 11),
    "Conv same": ("Conv", [IMAGE], [normal(6, 4, 2, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 11),
    "Conv same lower": ("Conv", [IMAGE], [normal(6, 4, 2, 3)], {"auto_pad": "SAME_LOWER"}, 11),
    "Conv valid": ("Conv", [LINE], [normal(6, 4, 3)], {"auto_pad": "VALID", "dilations": [2]}, 11),
    "Conv 3d": ("Conv", [normal(1, 2, 4, 5, 4)], [normal(3, 2, 2, 3, 2)], {"pads": [1, 0, 1, 1, 0, 1]}, 11),
    "ConvTranspose": ("ConvTranspose", [IMAGE], [normal(4, 3, 3, 3), normal(3)],
                      {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}, 11),
    "ConvTranspose shape": ("ConvTranspose", [IMAGE], [normal(4, 3, 3, 3)],
                            {"strides": [2, 2], "output_shape": [14, 12]}, 11),
    "MaxPool": ("MaxPool", [IMAGE], [], {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1], "strides": [2, 2]}, 12),
    "MaxPool indices": ("MaxPool", [IMAGE], [], {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1]}, 12, 2),
    "MaxPool ceil": ("MaxPool", [LINE], [], {"kernel_shape": [2], "strides": [2], "ceil_mode": 1}, 12),
    "AveragePool": ("AveragePool", [IMAGE], [], {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1]}, 11),
    "AveragePool counted": ("AveragePool", [IMAGE], [], {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1],
                                                         "count_include_pad": 1}, 11),
    "AveragePool even": ("AveragePool", [IMAGE], [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, 11),
    "GlobalMaxPool": ("GlobalMaxPool", [IMAGE], [], {}, 1 + 8),
    "GlobalAveragePool": ("GlobalAveragePool", [IMAGE], [], {}, 1 + 8),
    "BatchNormalization": ("BatchNormalization", [IMAGE], [normal(4), normal(4), normal(4), np.abs(normal(4)) + 0.2],
                           {"epsilon": 0.01}, 15),
    "InstanceNormalization": ("InstanceNormalization", [IMAGE], [normal(4), normal(4)], {"epsilon": 0.3}, 13),
    "LayerNormalization": ("LayerNormalization", [X], [normal(4), normal(4)], {"epsilon": 0.3}, 17),
    "LayerNormalization 1": ("LayerNormalization", [X], [normal(3, 1)], {"axis": 1, "epsilon": 0.3}, 17),
    "GroupNormalization": ("GroupNormalization", [IMAGE], [normal(4), normal(4)], {"num_groups": 2, "epsilon": 0.3}, 21),
    "MeanVariance": ("MeanVarianceNormalization", [IMAGE], [], {}, 13),
    "LRN": ("LRN", [IMAGE], [], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 2.0}, 13),
    "LpNormalization": ("LpNormalization", [X], [], {"axis": 1, "p": 1}, 13),
    "Upsample": ("Upsample", [IMAGE], [floats(1, 1, 2, 1.5)], {"mode": "nearest"}, 9),
    "Resize 10": ("Resize", [IMAGE], [floats(1, 1, 2, 3)], {"mode": "linear"}, 10),
}
CASES |= {f"Resize {mode} {coordinates} {nearest}": (
    "Resize", [IMAGE], [None, None, ints(2, 4, 11, 4)],
    {"mode": mode, "coordinate_transformation_mode": coordinates, **({"nearest_mode": nearest} if nearest else {})}, 13)
    for mode, nearest in (("nearest", "floor"), ("nearest", "ceil"), ("nearest", "round_prefer_floor"),
                          ("nearest", "round_prefer_ceil"), ("linear", ""), ("cubic", ""))
    for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")}
for kind, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        CASES[f"{kind} {direction}"] = (
            kind, [ROWS], [normal(count, gates * 4, 3), normal(count, gates * 4, 4), normal(count, gates * 8), None,
                           normal(count, 2, 4), *([normal(count, 2, 4)] if kind == "LSTM" else [])],
            {"hidden_size": 4, "direction": direction, **({"linear_before_reset": 1} if kind == "GRU" else {})}, 14,
            3 if kind == "LSTM" else 2)
CASES["LSTM bare"] = ("LSTM", [ROWS], [normal(1, 16, 3), normal(1, 16, 4)], {"hidden_size": 4}, 7, 3)
CASES["RNN relu"] = ("RNN", [ROWS], [normal(1, 4, 3), normal(1, 4, 4)], {"hidden_size": 4, "activations": ["Relu"]}, 14, 2)


@pytest.mark.parametrize("name", CASES)
def test_node(name: str) -> None:
    content, inputs = one_node(*CASES[name])
    found = imported(content)(*[tgc.tensor(array) for array in inputs])
    results = [value.detach().numpy() for value in (found if isinstance(found, tuple) else (found,))]
    assert_equal(results, run(content, *inputs), name)


@pytest.mark.parametrize("larger", [False, True])
def test_unpooling(larger: bool) -> None:
    """The places of MaxPool count through the whole batch."""
    fixed = {"shape": ints(2, 4, 7, 6)} if larger else {}
    nodes = [helper.make_node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("MaxUnpool", ["y", "places", *fixed], ["z"], kernel_shape=[2, 2], strides=[2, 2])]
    x = IMAGE if larger else normal(2, 4, 6, 6)
    content = model(nodes, {"x": x}, ["z"], fixed, 13)
    assert_equal([imported(content)(tgc.tensor(x)).numpy()], run(content, x), "MaxUnpool")


def network(opset: int) -> tuple[bytes, dict[str, np.ndarray]]:
    """Conv, BatchNormalization, Relu, MaxPool, Flatten, Gemm, as another program would write it."""
    weights = {"features.0.weight": normal(6, 2, 3, 3), "features.0.bias": normal(6), "bn/scale": normal(6),
               "bn/shift": normal(6), "bn/mean": normal(6), "bn/var": np.abs(normal(6)) + 0.5,
               "head.weight": normal(3, 24), "head.bias": normal(3), "low": floats(-1.5)[0]}
    nodes = [helper.make_node("Conv", ["image", "features.0.weight", "features.0.bias"], ["a"], pads=[1, 1, 1, 1]),
             helper.make_node("BatchNormalization", ["a", "bn/scale", "bn/shift", "bn/mean", "bn/var"], ["b"]),
             helper.make_node("Relu", ["b"], ["c"]),
             helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Flatten", ["d"], ["e"]),
             helper.make_node("Gemm", ["e", "head.weight", "head.bias"], ["f"], transB=1),
             helper.make_node("Clip", ["f", "low"], ["scores"])]
    return model(nodes, {"image": normal(5, 2, 4, 4)}, ["scores"], weights, opset), weights


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_network(opset: int) -> None:
    """Outputs as onnxruntime's; names, kinds and gradients of the parameters as those of the same network written here."""
    content, weights = network(opset)
    module = imported(content)
    x = normal(5, 2, 4, 4)
    assert_equal([module(tgc.tensor(x)).detach().numpy()], run(content, x), "scores")
    assert module.input_names == ["image"]
    assert module.output_names == ["scores"]
    assert sorted(name for name, _ in module.named_parameters()) == sorted(set(weights) - {"bn/mean", "bn/var", "low"})
    assert sorted(module.state_dict()) == sorted(set(weights) - {"low"})
    own = {name: tgc.tensor(array, requires_grad=name not in ("bn/mean", "bn/var", "low")) for name, array in weights.items()}
    y = F.conv2d(tgc.tensor(x), own["features.0.weight"], own["features.0.bias"], padding=1)
    y = F.relu(F.batch_norm(y, own["bn/mean"], own["bn/var"], own["bn/scale"], own["bn/shift"]))
    y = F.linear(F.max_pool2d(y, 2).flatten(1), own["head.weight"], own["head.bias"]).clamp(min=-1.5)
    g = tgc.tensor(normal(5, 3))
    y.backward(g)
    module(tgc.tensor(x)).backward(g)
    for name, parameter in module.named_parameters():
        assert_equal([parameter.grad.numpy()], [own[name].grad.numpy()], name)


def test_training_on() -> None:
    """An optimiser step on the imported module lowers the loss."""
    module = imported(network(13)[0])
    x, target = tgc.tensor(normal(5, 2, 4, 4)), tgc.tensor([0, 1, 2, 0, 1])
    optimizer = tgc.optim.SGD(module.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(module(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_awkward_names() -> None:
    """Names that Python or a module has for something else, and names of which one is the beginning of another."""
    names = ["forward", "a", "a.b", "..", "onnx::Add_7"]
    weights = {name: normal(3) for name in names}
    nodes, last = [], "x"
    for number, name in enumerate(names):
        nodes.append(helper.make_node("Add", [last, name], [f"y{number}"]))
        last = f"y{number}"
    content = model(nodes, {"x": normal(3)}, [last], weights, 13)
    module, x = imported(content), normal(3)
    assert_equal([module(tgc.tensor(x)).detach().numpy()], run(content, x), "sum")
    assert len(list(module.parameters())) == len(names)


# ---- errors ----------------------------------------------------------------------------------------------------------


def refused(path: Path, match: str) -> None:
    with pytest.raises(DataError, match=match):
        import_onnx(path)


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    refused(path, "does not exist")
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 20)
    refused(path, "is not an ONNX file")
    path.write_bytes(onnx.TensorProto(name="x").SerializeToString())
    refused(path, "is not an ONNX file")
    content = network(13)[0]
    path.write_bytes(content[: len(content) // 2])
    refused(path, "is not an ONNX file")


@pytest.mark.parametrize("what", ["a name that nothing has", "numbers that are missing"])
def test_damaged_files(tmp_path: Path, what: str) -> None:
    proto = onnx.load_from_string(network(13)[0])
    if what == "a name that nothing has":
        proto.graph.node[2].input[0] = "elsewhere"
    else:
        proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-3]
    (tmp_path / "m").write_bytes(proto.SerializeToString())
    refused(tmp_path / "m", "is damaged or no valid ONNX file: .*Export it again"
            if what == "numbers that are missing" else r"\(Relu\): no node before it.*is 'elsewhere'. Export it again")


@pytest.mark.parametrize("opset", [6, 99])
def test_unsupported_opset(tmp_path: Path, opset: int) -> None:
    proto = onnx.load_from_string(network(13)[0])
    proto.opset_import[0].version = opset
    (tmp_path / "m").write_bytes(proto.SerializeToString())
    refused(tmp_path / "m", rf"opset {opset}; supported are 7 to 23.*version_converter")


def test_unknown_nodes(tmp_path: Path) -> None:
    for node, match in ((helper.make_node("DeformConv", ["x", "x", "x"], ["y"], name="deform"),
                         r"'deform' \(DeformConv\): there is no op here"),
                        (helper.make_node("Attention", ["x"], ["y"], domain="com.microsoft"),
                         r"'y' \(Attention\): its op is of the domain 'com.microsoft'")):
        graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", 1, [2])],
                                  [helper.make_tensor_value_info("y", 1, [2])])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
        (tmp_path / "m").write_bytes(proto.SerializeToString())
        refused(tmp_path / "m", match)


def test_external_data(tmp_path: Path) -> None:
    """Tensors in a file beside it are read; a missing file is named."""
    content, _ = network(13)
    proto = onnx.load_from_string(content)
    onnx.save_model(proto, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    x = normal(5, 2, 4, 4)
    assert_equal([import_onnx(tmp_path / "m.onnx")(tgc.tensor(x)).detach().numpy()], run(content, x), "external")
    (tmp_path / "weights.bin").unlink()
    refused(tmp_path / "m.onnx", r"keeps tensors in other files.*weights\.bin.*Put them beside it")


@pytest.mark.parametrize(("kind", "inputs", "attributes", "match"), [
    ("BatchNormalization", [IMAGE, *[normal(4)] * 4], {"training_mode": 1}, "training mode"),
    ("GRU", [ROWS, normal(1, 12, 3), normal(1, 12, 4)], {"hidden_size": 4}, "linear_before_reset=0"),
    ("LSTM", [ROWS, normal(1, 16, 3), normal(1, 16, 4)], {"hidden_size": 4, "clip": 2.0}, "clip"),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "storage_order": 1}, "storage_order"),
    ("Resize", [IMAGE, None, None, ints(2, 4, 3, 3)], {"antialias": 1, "mode": "linear"}, "antialias"),
    ("LRN", [IMAGE], {"size": 2}, "even size"),
    ("Pad", [X, ints(0, 0, 1, 0, 0, 1)], {"mode": "mirror"}, "mirror"),
])
def test_unsupported_settings(kind: str, inputs: Any, attributes: dict[str, Any], match: str) -> None:
    content, arrays = one_node(kind, inputs[:1], inputs[1:], attributes, 18)
    module = imported(content)
    with pytest.raises(DataError, match=rf"'y0' \({kind}\).*{match}"):
        module(*[tgc.tensor(array) for array in arrays])


def test_calls() -> None:
    module = imported(network(13)[0])
    with pytest.raises(TypeError, match="has the inputs image; 2 were given"):
        module(1, 2)
    assert repr(module).startswith("ONNXModule(\n  image -> scores, 7 nodes")
