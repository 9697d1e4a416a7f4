"""export_onnx: names, dynamic axes, what the file says, what stays as it was, and every reason to refuse."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tinygrad_course as tgc
from tests.io.onnx_oracle import Wrapped, assert_equal, check, exported, imported, run, tensors
from tinygrad_course import nn
from tinygrad_course.autograd import Function
from tinygrad_course.autograd.anomaly import detect_anomaly, is_anomaly_enabled
from tinygrad_course.errors import DataError, DependencyError, ExportError
from tinygrad_course.io import export_onnx
from tinygrad_course.nn import functional as F

RNG = np.random.default_rng(4)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def graph(content: bytes) -> Any:
    return onnx.load_from_string(content).graph


def kinds(content: bytes) -> list[str]:
    return [node.op_type for node in graph(content).node]


def sizes(value: Any) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


class Net(nn.Module):
    """A small classifier with everything that differs between training and evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(12, 2)

    def forward(self, image: Any, scale: Any = None, *, shift: Any = None) -> Any:
        y = self.head(self.features(image).flatten(1))
        y = y if scale is None else y * scale
        return y if shift is None else y + shift


IMAGE = tgc.tensor(normal(2, 1, 4, 4))


# ---- the file --------------------------------------------------------------------------------------------------------


def test_the_file(tmp_path: Path) -> None:
    model = Net()
    model.features[3].eval()
    export_onnx(model, IMAGE, tmp_path / "net.onnx")
    proto = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.producer_name, proto.producer_version) == ("tinygrad_course", tgc.__version__)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
    assert proto.doc_string == Net.__doc__
    assert proto.graph.name == "Net"
    assert [(value.name, sizes(value)) for value in proto.graph.input] == [("image", ["batch", 1, 4, 4])]
    assert [(value.name, sizes(value)) for value in proto.graph.output] == [("output", ["batch", 2])]
    assert [(node.op_type, node.name) for node in proto.graph.node] == [
        ("Conv", "features.0.Conv"), ("BatchNormalization", "features.1.BatchNormalization"), ("Relu", "features.1.Relu"),
        ("Reshape", "Reshape"), ("Gemm", "head.Gemm")]
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    for name, tensor in state.items():
        np.testing.assert_array_equal(stored[name], tensor.numpy())
    assert set(stored) - set(state) == {"constant_1"}
    module = imported(proto.SerializeToString())
    assert set(module.state_dict()) == set(state)
    assert {name for name, _ in module.named_parameters()} == {name for name, _ in model.named_parameters()}
    assert [each.training for each in (model, model.features, model.features[0], model.features[3])] == [
        True, True, True, False]
    np.testing.assert_array_equal(model.features[1].running_mean.numpy(), np.zeros(3))


@pytest.mark.parametrize("opset", range(18, 24))
def test_opsets(opset: int) -> None:
    def forward(x: Any, w: Any) -> Any:
        return F.gelu(x.cumsum(1).amax(2)) @ F.layer_norm(w, (4,)).softmax(1) + F.pad(x, (1, 1)).mean((1, 2))[:, None]

    model = Wrapped(forward, {"w": normal(3, 4)})
    content = check(model, normal(2, 3, 5), others=((normal(4, 3, 5),),), opset=opset)
    assert onnx.load_from_string(content).opset_import[0].version == opset


def test_names_and_keywords() -> None:
    model = Net()
    inputs = (IMAGE, tgc.tensor(2.0), {"shift": tgc.tensor(normal(2))})
    with pytest.warns(UserWarning, match="a batch of 2 only"):  # shift is as long as the batch, and is none
        exported(model, inputs)
    content = exported(model, (IMAGE[:1], *inputs[1:]))
    assert [(value.name, sizes(value)) for value in graph(content).input] == [
        ("image", ["batch", 1, 4, 4]), ("scale", []), ("shift", [2])]
    content = exported(model, inputs, input_names=["a", "b", "c"], output_names=["scores"], dynamic_axes={"a": [0]})
    assert [(value.name, sizes(value)) for value in graph(content).input] == [
        ("a", ["a_dynamic_axis_0", 1, 4, 4]), ("b", []), ("c", [2])]
    assert [(value.name, sizes(value)) for value in graph(content).output] == [("scores", ["a_dynamic_axis_0", 2])]
    file = io.BytesIO()
    tgc.onnx.export(model, (IMAGE,), file, kwargs={"shift": inputs[2]["shift"]}, input_names=["x", "s"], opset_version=20,
                    dynamic_axes={"x": {0: "n"}, "output": {0: "samples"}})
    proto = onnx.load_from_string(file.getvalue())
    assert proto.opset_import[0].version == 20
    assert sizes(proto.graph.input[0]) == ["n", 1, 4, 4]
    assert sizes(proto.graph.output[0]) == ["samples", 2]


def test_fixed_axes() -> None:
    content = exported(Net(), IMAGE, dynamic_axes={})
    assert sizes(graph(content).input[0]) == [2, 1, 4, 4]
    assert sizes(graph(content).output[0]) == [2, 2]


def test_nested_inputs_and_outputs() -> None:
    class Pairs(nn.Module):
        def forward(self, x: Any, state: Any) -> Any:
            return {"y": x + state[0]}, [state[1] * 2, x], tgc.ones(3), None

    content = exported(Pairs(), (tgc.ones(2, 3), (tgc.ones(2, 3), tgc.ones(2, 3))))
    assert [value.name for value in graph(content).input] == ["x", "state.0", "state.1"]
    assert [(value.name, sizes(value)) for value in graph(content).output] == [
        ("output_0", ["batch", 3]), ("output_1", ["batch", 3]), ("output_2", ["batch", 3]), ("output_3", [3])]
    x, a, b = normal(4, 3), normal(4, 3), normal(4, 3)
    assert_equal(run(content, x, a, b), [x + a, b * 2, x, np.ones(3, np.float32)], "pairs")


def test_spatial_axes() -> None:
    """A network without linear layers takes images of every size."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1),
                          nn.Upsample(scale_factor=2))
    axes = {"input": {0: "batch", 2: "height", 3: "width"}}
    with pytest.raises(ExportError, match=r"the axes \['batch', 'height', 'width'\] cannot be dynamic: axis_product in "
                                          r"Sequential\.4: the matrix along a dynamic axis"):
        exported(model, IMAGE, dynamic_axes=axes)
    content = check(model[:4], normal(2, 1, 4, 4), others=((normal(3, 1, 9, 7),),), dynamic_axes=axes)
    assert sizes(graph(content).output[0])[:2] == ["batch", 2]


def test_another_multiple() -> None:
    """Lengths that are multiples of a dynamic axis."""
    model = Wrapped(lambda x: (x.reshape(-1, 2), tgc.zeros(x.shape[0], 2) + 1, x.expand(3, *x.shape),
                               tgc.zeros(2 * x.shape[0], 1) + tgc.ones(1)))
    content = check(model, normal(2, 6), others=((normal(5, 6),),))
    assert [sizes(value) for value in graph(content).output] == [
        ["3*batch", 2], ["batch", 2], [3, "batch", 6], ["2*batch", 1]]


def test_two_dynamic_axes_in_a_reshape() -> None:
    model = Wrapped(lambda x: (x.reshape(x.shape[0], 2 * x.shape[1], 2), x.reshape(-1, 4), x.flatten(1),
                               x.transpose(0, 1).reshape(x.shape[1], x.shape[0], 2, 2)))
    content = check(model, normal(2, 3, 4), others=((normal(5, 7, 4),),),
                    dynamic_axes={"inputs.0": {0: "batch", 1: "time"}})
    assert sizes(graph(content).output[0]) == ["batch", "2*time", 2]


def test_constants_fold() -> None:
    """What depends on no input and no parameter is computed once, now."""
    model = Wrapped(lambda x, w: x * (tgc.arange(4).float() * 2).exp() + w.exp(), {"w": normal(4)})
    content = check(model, normal(2, 4), others=((normal(3, 4),),))
    assert sorted(kinds(content)) == ["Add", "Exp", "Mul"]


def test_positions_along_a_dynamic_axis() -> None:
    model = Wrapped(lambda x, table: x + F.embedding(tgc.arange(x.shape[1]), table), {"table": normal(20, 3)})
    content = check(model, normal(2, 4, 3), others=((normal(3, 9, 3),),), dynamic_axes={"inputs.0": {0: "batch", 1: "time"}})
    assert "Range" in kinds(content)


def test_patterns() -> None:
    """Fused ops are taken apart, a chain of ops that ONNX has a node for becomes that node."""
    norm = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())
    assert kinds(exported(norm, tgc.ones(2, 4))) == ["BatchNormalization", "Relu"]
    assert kinds(check(nn.LocalResponseNorm(5, 0.1), normal(2, 6, 3, 3))) == ["LRN"]
    assert "LRN" not in kinds(check(nn.LocalResponseNorm(4, 0.1), normal(2, 6, 3, 3)))
    assert kinds(check(nn.Upsample(scale_factor=2, mode="bilinear"), normal(2, 6, 3, 3))) == ["Resize"]
    assert kinds(check(nn.AdaptiveAvgPool2d(1), normal(2, 6, 3, 3))) == ["GlobalAveragePool"]
    assert kinds(check(nn.GELU(), normal(2, 6), opset=20)) == ["Gelu"]


def test_double() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    check(model, RNG.standard_normal((2, 3)), tolerance=1e-12)


def test_custom_function() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, = ctx.saved_tensors
            return 2 * x * g

    assert kinds(check(Wrapped(lambda x, w: Square.apply(x * w), {"w": normal(3)}), normal(2, 3))) == ["Mul", "Mul"]


def test_writes_in_place() -> None:
    def forward(x: Any) -> Any:
        y = tgc.zeros(x.shape[0], 4)
        y[:, :3] = x
        y[:, 3] = x.sum(1)
        y += 1
        return y.mul_(2)

    check(Wrapped(forward), normal(2, 3), others=((normal(5, 3),),), gradients=False)


def test_writes_in_place_to_truth_values() -> None:
    def forward(x: Any) -> Any:
        mask = (x > 0).clone()
        mask[:, 0] = True
        mask[:, 1:3] = x[:, :2] > 1  # bool by bool
        mask[:, 3] = x[:, 3]  # cast: what is not 0 is true
        return mask

    check(Wrapped(forward), normal(2, 5), others=((normal(5, 5),),), gradients=False)


def test_other_threads_and_watchers() -> None:
    """Ops of other threads are none of the model's, and anomaly mode is on again afterwards."""
    count = iter(range(99))

    def forward(x: Any) -> Any:
        def work() -> None:
            y = tgc.ones(3)
            for _ in range(next(count)):
                y = y.exp()
            y.mul_(2)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return x * 2

    with detect_anomaly():
        assert kinds(exported(Wrapped(forward), tgc.tensor(normal(2, 3)))) == ["Mul"]
        assert is_anomaly_enabled()


# ---- refusals --------------------------------------------------------------------------------------------------------


def refused(function: Any, match: str, *arrays: np.ndarray, **options: Any) -> None:
    arrays = arrays or (normal(2, 3),)
    with pytest.raises(ExportError, match=match):
        exported(Wrapped(function) if not isinstance(function, nn.Module) else function,
                 tuple(tgc.tensor(array) for array in arrays), **options)


def test_an_op_without_counterpart() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(nn.Linear(3, 3), Wrapped(tgc.digamma))

        def forward(self, x: Any) -> Any:
            return self.blocks(x)

    refused(Deep(), r"the op digamma in Deep\.blocks\.1 has no ONNX counterpart here: write it with ops that have one")


@pytest.mark.parametrize(("function", "match"), [
    (lambda x: x + float(x.mean()), "add in Wrapped: an input of the op was made outside of the ops"),
    (lambda x: x + tgc.from_numpy(x.numpy() * 2), "made outside of the ops"),
    (lambda x: x + tgc.randn(4), "random numbers"),
    (lambda x: x[:, x[0].argmax().item()], "an index is computed from the values"),
    (lambda x: x[:, x[0].argsort()], "an index is computed from the values"),
    (lambda x: x if x[0, 0] > 0 else -x, "the output: what goes in depends on the values|branches on its input"),
    (lambda x: x.exp() if x[0, 0] > 0 else -x, "op 3 of the forward pass is .* for one input and .* for another .*branches"),
    (lambda x: x.max(), r"element in Wrapped: .*use amax\(\)"),
    (lambda x: x.relu().nonzero() + 1, "made outside of the ops|what goes in depends"),
    (lambda x: F.dropout(x, 0.5), "dropout in Wrapped.*so that eval"),
    (lambda x: F.adaptive_max_pool1d(x[None], 3), "parts of unequal size"),
])
def test_what_depends_on_values(function: Any, match: str) -> None:
    refused(function, match, np.array([[1.0, 2.0, 4.0, 3.0], [3.0, -1.0, -5.0, 2.0]], np.float32), dynamic_axes={})


def test_views_of_written_memory() -> None:
    def forward(x: Any) -> Any:
        y = x * 2
        row = y[0]
        y[1] = 0.0
        return y, row + 1

    refused(forward, "a view is used after the memory it shows was written to in place, in Wrapped.*take the view again")


@pytest.mark.parametrize(("function", "reason"), [
    (lambda x: x * x.shape[0], "depends on the values or the sizes"),
    (lambda x: sum(row.exp() for row in x), "loops along a dynamic axis"),
    (lambda x: x + tgc.ones(2, 3), r"the model fails for inputs of shape \(4, 3\)"),
    (lambda x: x.var(0), "the variance over a dynamic axis"),
])
def test_a_fixed_batch(function: Any, reason: str) -> None:
    """Where the batch size cannot be free, the file is for that of the example, and a warning says why."""
    with pytest.warns(UserWarning, match=f"(?s)a batch of 2 only, because .*{reason}.*dynamic_axes={{}}"):
        content = check(Wrapped(function), normal(2, 3))
    assert sizes(graph(content).input[0]) == [2, 3]
    refused(function, rf"(?s)the axes \['n'\] cannot be dynamic: .*{reason}", dynamic_axes={"inputs.0": {0: "n"}})


def test_wrong_arguments() -> None:
    x = tgc.ones(2, 3)
    for arguments, options, match in (
            ((lambda x: x, x), {}, "the model must be an nn.Module, got function"),
            ((nn.Linear(3, 2), (x, x, x)), {}, r"do not fit Linear.forward: .*Give a Tensor, or a tuple"),
            ((Net(), ({"image": None},)), {}, "no Tensor among the inputs"),
            ((nn.Linear(3, 2), x), {"opset": 17}, "opset 17 is not supported; choose one from 18 to 23"),
            ((nn.Linear(3, 2), x), {"input_names": ["a", "b"]}, r"1 tensors go in \(input\), input_names must"),
            ((nn.Linear(3, 2), x), {"output_names": ["input"]}, "1 tensors come out; output_names must"),
            ((nn.Linear(3, 2), x), {"dynamic_axes": {"y": {0: "n"}}}, r"names 'y', but the inputs are \['input'\]"),
            ((nn.Linear(3, 2), x), {"dynamic_axes": {"input": {2: "n"}}}, "names axis 2 of 'input', which has 2 axes"),
            ((nn.Linear(3, 2), x), {"dynamic_axes": {"input": {0: "n", 1: "n"}}}, r"one length.*they have \[2, 3\]")):
        with pytest.raises(ExportError, match=match):
            export_onnx(*arguments, io.BytesIO(), **options)


def test_names_of_parameters_are_taken() -> None:
    """A graph has one namespace; two values of one name would be one."""
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(tgc.tensor(normal(3)))
            self.register_buffer("output", tgc.tensor(normal(3)))

        def forward(self, x: Any) -> Any:
            return x * self.x + self.output

    for options, name in (({}, "x"), ({"input_names": ["y"]}, "output"), ({"output_names": ["y"]}, "x")):
        refused(Scaled(), f"'{name}' is the name of a parameter or buffer and of an input or output.*input_names", **options)
    check(Scaled(), normal(2, 3), input_names=["y"], output_names=["z"])


def test_a_variance_without_freedom() -> None:
    """0 / 0, and something / 0."""
    content = check(Wrapped(lambda x: (x[:, :1].var(1), x.var(1, correction=3))), normal(2, 2), gradients=False)
    assert [np.isnan(y).all() or np.isinf(y).all() for y in run(content, normal(2, 2))] == [True, True]


def test_what_onnx_itself_refuses() -> None:
    refused(tgc.isnan, "ONNX has no op for what the model computes: .*IsNaN.*unsupported type", np.array([[1, 2]]))


def test_warnings_point_at_the_caller() -> None:
    with pytest.warns(UserWarning, match="a batch of 2 only") as caught:
        export_onnx(Wrapped(lambda x: x + tgc.ones(2, 3)), tgc.ones(2, 3), io.BytesIO())
    assert caught[0].filename == __file__


def test_errors_of_the_model_are_its_own() -> None:
    with pytest.raises(ValueError, match=r"^linear: input \(2, 4\)"):
        exported(nn.Linear(3, 2), tgc.ones(2, 4))


def test_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ExportError):
        export_onnx(Wrapped(tgc.digamma), tgc.ones(2), path)
    assert path.read_bytes() == b"old"
    with pytest.raises(DataError, match="folder"):
        export_onnx(nn.Linear(3, 2), tgc.ones(2, 3), tmp_path / "none" / "m.onnx")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DependencyError, match="pip install onnx"):
        export_onnx(nn.Linear(3, 2), tgc.ones(2, 3), tmp_path / "m.onnx")
    with pytest.raises(DependencyError, match="pip install onnx"):
        tgc.io.import_onnx(tmp_path / "m.onnx")


def test_a_graph_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished graph is run before it is written: a wrong writer is found here, not by who uses the file."""
    from tinygrad_course.io.onnx.registry import writers

    monkeypatch.setitem(writers, "silu", lambda g, call, x: g.node("Sigmoid", x))
    with pytest.raises(ExportError, match="computes another output than the model"):
        exported(nn.SiLU(), tgc.ones(2, 3), dynamic_axes={})
    assert len(tensors(nn.SiLU()(tgc.ones(2, 3)))) == 1
