"""Every class of torch.nn that is here too: signatures of constructor and forward, what is printed, and the attributes."""

import inspect
import typing
import warnings

import pytest

from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course import nn

# Classes of torch.nn that are not here, and why.
MISSING = {
    "Container": "deprecated by PyTorch itself: subclass Module",
    "DataParallel": "splits a batch over several GPUs",
}

# The same for torch.nn.functional.
MISSING_FUNCTIONS = {
    "conv_tbc": "a convolution for (T, N, C); Conv1d takes (N, C, T)",
    "grouped_mm": "for float8 and bfloat16 on a GPU",
    "scaled_grouped_mm": "for float8 and bfloat16 on a GPU",
    "scaled_mm": "for float8 and bfloat16 on a GPU",
    "assert_int_or_pair": "internal to PyTorch",
    "boolean_dispatch": "internal to PyTorch",
    "handle_torch_function": "internal to PyTorch",
    "has_torch_function": "internal to PyTorch",
    "has_torch_function_unary": "internal to PyTorch",
    "has_torch_function_variadic": "internal to PyTorch",
}

pad1, pad2, pad3 = (1, 2), (1, 2, 3, 4), (1, 2, 3, 4, 5, 6)
# Arguments to build and print each class with; those without an entry are built without arguments.
SAMPLES = {
    "AdaptiveAvgPool1d": [((5,), {})],
    "AdaptiveAvgPool2d": [((5,), {}), (((None, 3),), {})],
    "AdaptiveAvgPool3d": [((5,), {}), (((None, 3, 4),), {})],
    "AdaptiveLogSoftmaxWithLoss": [((16, 20, [4, 10]), {}), ((16, 20, [5]), {"head_bias": True, "div_value": 2.0})],
    "AdaptiveMaxPool1d": [((5,), {}), ((5,), {"return_indices": True})],
    "AdaptiveMaxPool2d": [((5,), {}), (((None, 3),), {})],
    "AdaptiveMaxPool3d": [((5,), {}), (((None, 3, 4),), {})],
    "AlphaDropout": [((), {}), ((0.2, True), {})],
    "AvgPool1d": [((2,), {}), ((3, 2, 1), {"ceil_mode": True})],
    "AvgPool2d": [((2,), {}), (((3, 2), 2, 1), {"divisor_override": 3})],
    "AvgPool3d": [((2,), {}), (((3, 2, 1), 2, 1), {"divisor_override": 3})],
    "BatchNorm1d": [((4,), {}), ((4, 1e-3, None, False), {}), ((4,), {"bias": False, "track_running_stats": False})],
    "BatchNorm2d": [((4,), {})],
    "BatchNorm3d": [((4,), {})],
    "Bilinear": [((2, 3, 4), {}), ((2, 3, 4), {"bias": False})],
    "CELU": [((), {}), ((0.5, True), {})],
    "CTCLoss": [((), {}), ((1, "sum", True), {})],
    "ChannelShuffle": [((2,), {})],
    "CircularPad1d": [((2,), {}), ((pad1,), {})],
    "CircularPad2d": [((2,), {}), ((pad2,), {})],
    "CircularPad3d": [((2,), {}), ((pad3,), {})],
    "ConstantPad1d": [((2, 0.5), {}), ((pad1, 3), {})],
    "ConstantPad2d": [((2, 0.5), {}), ((pad2, 3), {})],
    "ConstantPad3d": [((2, 0.5), {}), ((pad3, 3), {})],
    "Conv1d": [((4, 6, 3), {}), ((4, 6, 3, 2, 1, 2, 2, False, "circular"), {})],
    "Conv2d": [((4, 6, 3), {}), ((4, 6, (3, 2)), {"padding": "same"})],
    "Conv3d": [((4, 6, 3), {}), ((4, 6, 3), {"padding": (1, 2, 3)})],
    "ConvTranspose1d": [((4, 6, 3), {}), ((4, 6, 3, 2, 1, 1, 2, False, 2), {})],
    "ConvTranspose2d": [((4, 6, 3), {}), ((4, 6, (3, 2)), {"stride": 2})],
    "ConvTranspose3d": [((4, 6, 3), {})],
    "CosineEmbeddingLoss": [((), {}), ((0.5,), {"reduction": "sum"})],
    "CosineSimilarity": [((), {}), ((0, 1e-3), {})],
    "CrossEntropyLoss": [((), {}), ((), {"ignore_index": 3, "label_smoothing": 0.1, "reduction": "none"})],
    "CrossMapLRN2d": [((3,), {}), ((5, 1e-3, 0.5, 2), {})],
    "Dropout": [((), {}), ((0.2, True), {})],
    "ELU": [((), {}), ((0.5, True), {})],
    "Embedding": [((5, 3), {}), ((5, 3, -1, 2.0, 1.0, True), {})],
    "EmbeddingBag": [((5, 3), {}), ((5, 3, 2.0, 1.0, True, "sum"), {"padding_idx": 1})],
    "Flatten": [((), {}), ((0, 2), {})],
    "Fold": [(((4, 5), 2), {}), (((4, 5), (2, 3), 2, 1, (1, 2)), {})],
    "FractionalMaxPool2d": [((2,), {"output_size": 3}), (((2, 3),), {"output_ratio": (0.5, 0.7), "return_indices": True})],
    "FractionalMaxPool3d": [((2,), {"output_size": 3}), (((2, 3, 2),), {"output_ratio": 0.5})],
    "GELU": [((), {}), (("tanh",), {})],
    "GLU": [((), {}), ((1,), {})],
    "GRU": [((3, 4), {}), ((3, 4, 2, False, True, 0.1, True), {})],
    "GRUCell": [((3, 4), {}), ((3, 4, False), {})],
    "GaussianNLLLoss": [((), {}), ((), {"full": True, "eps": 1e-3, "reduction": "sum"})],
    "GroupNorm": [((2, 4), {}), ((2, 4, 1e-3, False), {})],
    "Hardshrink": [((0.3,), {})],
    "Hardtanh": [((), {}), ((-2.0, 2.0, True), {})],
    "HingeEmbeddingLoss": [((), {}), ((0.5,), {})],
    "HuberLoss": [((), {}), (("sum", 0.5), {})],
    "Identity": [((), {}), ((54,), {"key": 3})],
    "InstanceNorm1d": [((4,), {}), ((4, 1e-3, 0.2, True, True), {})],
    "InstanceNorm2d": [((4,), {}), ((4,), {"affine": True, "bias": False})],
    "InstanceNorm3d": [((4,), {}), ((4,), {"track_running_stats": True})],
    "KLDivLoss": [((), {}), ((), {"reduction": "batchmean", "log_target": True})],
    "LPPool1d": [((2, 3), {}), ((1.5, 3, 2, True), {})],
    "LPPool2d": [((2, 3), {}), ((2, (3, 2), (2, 1)), {})],
    "LPPool3d": [((2, 3), {}), ((2, (3, 2, 1)), {})],
    "LSTM": [((3, 4), {}), ((3, 4, 2), {"proj_size": 2, "bidirectional": True})],
    "LSTMCell": [((3, 4), {}), ((3, 4, False), {})],
    "LayerNorm": [((4,), {}), (([2, 3], 1e-3, False), {}), ((4,), {"bias": False})],
    "LazyBatchNorm1d": [((), {}), ((1e-3, None, False, False), {}), ((), {"bias": False})],
    "LazyConv1d": [((6, 3), {}), ((6, 3, 2, 1, 2, 2, False, "circular"), {})],
    "LazyConv2d": [((6, 3), {}), ((6, (3, 2)), {"padding": "same"})],
    "LazyConv3d": [((6, 3), {})],
    "LazyConvTranspose1d": [((6, 3), {}), ((6, 3, 2, 1, 1, 2, False, 2), {})],
    "LazyConvTranspose2d": [((6, (3, 2)), {})],
    "LazyConvTranspose3d": [((6, 3), {})],
    "LazyLinear": [((3,), {}), ((3, False), {})],
    "LeakyReLU": [((), {}), ((0.2, True), {})],
    "Linear": [((2, 3), {}), ((2, 3, False), {})],
    "LinearCrossEntropyLoss": [((3, 4), {}), ((3, 4), {"out_features": (2, 5), "bias": True, "ignore_index": 1})],
    "LocalResponseNorm": [((3,), {}), ((3, 1e-3, 0.5, 2.0), {})],
    "MarginRankingLoss": [((), {}), ((0.5,), {})],
    "MaxPool1d": [((2,), {}), ((3, 2, 1, 2, True, True), {})],
    "MaxPool2d": [((2,), {}), (((3, 2), 2, 1, 2, True, True), {})],
    "MaxPool3d": [((2,), {})],
    "MaxUnpool1d": [((2,), {}), ((3, 2, 1), {})],
    "MaxUnpool2d": [((2,), {}), (((3, 2), (2, 1), 1), {})],
    "MaxUnpool3d": [((2,), {}), (((3, 2, 2), 2, 1), {})],
    "MultiheadAttention": [((8, 2), {}), ((8, 2, 0.1, False, True, True, 4, 6, True), {})],
    "MultiMarginLoss": [((), {}), ((2, 0.5), {})],
    "PReLU": [((), {}), ((3, 0.1), {})],
    "PairwiseDistance": [((), {}), ((1.0, 1e-3, True), {})],
    "PixelShuffle": [((2,), {})],
    "PixelUnshuffle": [((2,), {})],
    "PoissonNLLLoss": [((), {}), ((False, True), {"eps": 1e-3})],
    "RMSNorm": [((4,), {}), (([2, 3], 1e-3, False), {})],
    "RNN": [((3, 4), {}), ((3, 4, 2, "relu"), {"batch_first": True})],
    "RNNBase": [(("LSTM", 3, 4), {})],
    "RNNCell": [((3, 4), {}), ((3, 4, False, "relu"), {})],
    "RNNCellBase": [((3, 4, True, 4), {})],
    "RReLU": [((), {}), ((0.1, 0.2, True), {})],
    "ReLU": [((), {}), ((True,), {})],
    "ReflectionPad1d": [((2,), {}), ((pad1,), {})],
    "ReflectionPad2d": [((2,), {}), ((pad2,), {})],
    "ReflectionPad3d": [((2,), {}), ((pad3,), {})],
    "ReplicationPad1d": [((2,), {}), ((pad1,), {})],
    "ReplicationPad2d": [((2,), {}), ((pad2,), {})],
    "ReplicationPad3d": [((2,), {}), ((pad3,), {})],
    "SmoothL1Loss": [((), {}), ((), {"beta": 0.5})],
    "Softmax": [((), {}), ((1,), {})],
    "Softplus": [((), {}), ((2.0, 10.0), {})],
    "Softshrink": [((0.3,), {})],
    "SyncBatchNorm": [((4,), {}), ((4, 1e-3, None, False), {})],
    "Threshold": [((0.1, 20), {}), ((0.1, 20, True), {})],
    "Transformer": [((8, 2, 1, 2, 16), {})],
    "TransformerDecoderLayer": [((8, 2, 16), {}), ((8, 2, 16, 0.2, "gelu"), {"norm_first": True, "bias": False})],
    "TransformerEncoderLayer": [((8, 2, 16), {}), ((8, 2, 16, 0.2, "gelu"), {"batch_first": True})],
    "TripletMarginLoss": [((), {}), ((0.5, 1.0, 1e-3, True), {})],
    "TripletMarginWithDistanceLoss": [((), {}), ((), {"margin": 0.5, "swap": True})],
    "Unflatten": [((1, (2, 3)), {})],
    "Unfold": [((2,), {}), (((2, 3), 2, 1, (1, 2)), {})],
    "Upsample": [((), {"scale_factor": 2}), (((5, 9),), {"mode": "bilinear", "align_corners": True})],
    "UpsamplingBilinear2d": [((5,), {})],
    "UpsamplingNearest2d": [((), {"scale_factor": (2, 3)})],
    "ZeroPad1d": [((2,), {}), ((pad1,), {})],
    "ZeroPad2d": [((2,), {}), ((pad2,), {})],
    "ZeroPad3d": [((2,), {}), ((pad3,), {})],
}
# The tensors that these hold, and the classes behind them, are compared in tests of their own.
NO_SAMPLES = {"Buffer", "LinearCrossEntropyOptions", "Module", "Parameter", "TransformerDecoder", "TransformerEncoder",
              "UninitializedBuffer", "UninitializedParameter"}


def shared():
    """Names of the classes that both libraries have; none without PyTorch, which test_all_classes_are_there reports."""
    try:
        import torch
    except ImportError:
        return []
    return sorted(name for name, value in vars(torch.nn).items() if inspect.isclass(value) and hasattr(nn, name))


def parameters(function):
    """(name, kind, default) of each, without annotations; None for a signature that says nothing."""
    found = [(p.name, p.kind.name, getattr(p.default, "__name__", p.default))  # F.relu is the default of the transformers
             for p in inspect.signature(function).parameters.values() if p.name != "self"]
    return None if {kind for _, kind, _ in found} == {"VAR_POSITIONAL", "VAR_KEYWORD"} else found


def constructor_of(theirs):
    """What PyTorch's class says of its constructor.

    Those of the RNNs are behind overloads, that of NLLLoss2d is in a wrapper."""
    overloads = typing.get_overloads(theirs.__init__) if inspect.isfunction(theirs.__init__) else []
    return parameters(overloads[0]) if overloads else parameters(theirs) or parameters(inspect.unwrap(theirs.__init__))


def test_all_classes_are_there():
    torch = torch_or_skip()
    missing = {name for name, value in vars(torch.nn).items() if inspect.isclass(value) and not hasattr(nn, name)}
    assert missing == set(MISSING)
    assert len(shared()) > 150
    assert set(nn.__all__) >= set(shared())


@pytest.mark.parametrize("name", shared())
def test_signature(name):
    torch = torch_or_skip()
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    if issubclass(ours, nn.Module):
        assert ours._version == theirs._version  # in the metadata of its state dict
    wanted = constructor_of(theirs)
    if name != "Identity":  # which takes anything
        assert parameters(ours) == wanted
    if name != "Module" and "forward" in vars(theirs) and parameters(theirs.forward) is not None:
        assert parameters(ours.forward) == parameters(theirs.forward)


def test_all_functions_are_there_with_their_signatures():
    """Ours may take a generator besides."""
    torch = torch_or_skip()
    theirs = {name: value for name, value in vars(torch.nn.functional).items()
              if not name.startswith("_") and callable(value) and not hasattr(value, "__mro__")
              and not str(getattr(value, "__module__", "")).startswith("typing")}
    assert {name for name in theirs if not hasattr(nn.functional, name)} == set(MISSING_FUNCTIONS)
    compared = 0
    for name, function in theirs.items():
        if name in MISSING_FUNCTIONS or not inspect.isfunction(function) or parameters(function) is None:
            continue  # written in C++, or hidden by PyTorch behind *args, **kwargs
        wanted, found = parameters(function), parameters(getattr(nn.functional, name))
        if not name.endswith("_with_indices"):  # whose return_indices=False means nothing in PyTorch
            assert [p for p in found if p[0] != "generator"] == wanted, name
            compared += 1
    assert compared > 60


@pytest.mark.parametrize("name", sorted(set(shared()) - NO_SAMPLES))
def test_printed_and_attributes(name):
    torch = torch_or_skip()
    for args, kwargs in SAMPLES.get(name, [((), {})]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # NLLLoss2d
            warnings.filterwarnings("ignore", "enable_nested_tensor")  # of PyTorch's encoder
            ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for key, value in vars(theirs).items():
            if not key.startswith("_") and key != "activation_relu_or_gelu":  # of PyTorch's fused encoder layer
                found = getattr(ours, key)
                assert isinstance(value, torch.nn.Module) or callable(value) or found == value, (key, found, value)


@pytest.mark.parametrize("name", [name for name in shared() if "dtype" in inspect.signature(getattr(nn, name)).parameters])
def test_dtype_and_device(name):
    types = set()
    for args, kwargs in SAMPLES.get(name, [((), {})]):
        made = getattr(nn, name)(*args, **kwargs, device="cpu", dtype="float64")
        values = [*made.parameters(), *made.buffers()] if isinstance(made, nn.Module) else [made]
        types |= {str(value.dtype) for value in values}
    assert "float64" in types
    assert types <= {"float64", "int64"}  # num_batches_tracked
