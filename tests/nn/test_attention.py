"""nn.MultiheadAttention and the transformer modules against PyTorch: keys, repr, outputs, gradients, warnings."""

import copy
import math
import warnings

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, to_torch, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, ShapeError

RNG = np.random.default_rng(3)
CAUSAL = np.triu(np.full((5, 5), -np.inf), 1)
CROSS = RNG.random((5, 4)) < 0.3
CROSS[:, 0] = False  # every query may look somewhere
PADDING = np.array([[False, False, True, True], [False, False, False, True]])


def tensors(lib, values):
    """Arrays as tensors of `lib`, anything else as it is."""
    return {key: lib.tensor(value) if isinstance(value, np.ndarray) else value for key, value in values.items()}


def compare(ours, theirs, inputs, **kwargs):
    """Same keys and repr; same outputs and gradients of inputs and parameters, in float64, for random upstream gradients.

    An input that is named twice is one tensor."""
    torch = torch_or_skip()
    ours, theirs = ours.double(), theirs.double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with tgc.no_grad():  # biases start from 0: that would hide one that is left out
        for p in ours.parameters():
            if p.ndim == 1:
                p.add_(tgc.tensor(RNG.standard_normal(p.shape) * 0.3))
    theirs.load_state_dict(to_torch(ours.state_dict()))
    found = []
    for lib, module in ((tgc, ours), (torch, theirs)):
        made = {id(x): lib.tensor(x, requires_grad=True) for x in inputs}
        outputs = module(*[made[id(x)] for x in inputs], **tensors(lib, kwargs))
        outputs = [y for y in (outputs if isinstance(outputs, tuple) else (outputs,)) if y is not None]
        rng = np.random.default_rng(5)
        loss = sum((y * lib.tensor(rng.standard_normal(tuple(y.shape)))).sum() for y in outputs)
        loss.backward()
        grads = [p.grad for _, p in module.named_parameters()]
        found.append((outputs, [x.grad for x in made.values()], grads))
    for number, (a, b) in enumerate(zip(*found, strict=True)):
        assert len(a) == len(b)
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_close(x, y, atol=1e-12, what=f"{('output', 'input', 'parameter')[number]} {place}")
    assert len(found[0][0][0].shape) == len(inputs[0].shape)


def draw(*shape):
    return RNG.standard_normal(shape)


X, MEMORY = draw(5, 2, 6), draw(4, 2, 6)  # (T, N, E), (S, N, E)
ATTENTION = {
    "self": ({}, (X, X, X), {}),
    "one head, no weights": ({"num_heads": 1}, (X, X, X), {"need_weights": False}),
    "weights of every head": ({}, (X, MEMORY, MEMORY), {"average_attn_weights": False}),
    "other sizes": ({"kdim": 3, "vdim": 4}, (X, draw(4, 2, 3), draw(4, 2, 4)), {"key_padding_mask": PADDING}),
    "no bias": ({"bias": False}, (X, MEMORY, draw(4, 2, 6)), {"attn_mask": CROSS, "need_weights": False}),
    "extra keys": ({"add_bias_kv": True, "add_zero_attn": True}, (X, MEMORY, MEMORY),
                   {"attn_mask": CROSS, "key_padding_mask": PADDING}),
    "extra keys, batch first": ({"add_bias_kv": True, "batch_first": True}, (draw(2, 5, 6), draw(2, 4, 6), draw(2, 4, 6)),
                                {"key_padding_mask": PADDING, "need_weights": False}),
    "batch first": ({"batch_first": True}, (draw(2, 4, 6),) * 3, {"key_padding_mask": PADDING}),
    "mask of heads": ({}, (X, MEMORY, MEMORY), {"attn_mask": RNG.standard_normal((6, 5, 4)), "need_weights": False}),
    "causal": ({}, (X, X, X), {"attn_mask": CAUSAL, "is_causal": True}),
    "causal hint": ({"batch_first": True}, (draw(2, 5, 6),) * 3,
                    {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False}),
    "without samples": ({"batch_first": True}, (draw(5, 6), draw(4, 6), draw(4, 6)), {"key_padding_mask": PADDING[0]}),
    "value apart": ({}, (X, X, draw(5, 2, 6)), {}),
}


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("train", [True, False])
def test_attention_is_that_of_torch(name, train):
    torch = torch_or_skip()
    options, inputs, kwargs = ATTENTION[name]
    options = {"num_heads": 3, **options}
    compare(nn.MultiheadAttention(6, **options).train(train), torch.nn.MultiheadAttention(6, **options).train(train), inputs,
            **kwargs)


def test_attention_draws_its_weights_like_torch():
    m = nn.MultiheadAttention(60, 3, add_bias_kv=True)
    bound = math.sqrt(6 / (60 + 180))
    values = m.in_proj_weight.detach().numpy()
    assert bound * 0.99 < np.abs(values).max() <= bound
    assert not m.in_proj_bias.detach().numpy().any()
    assert not m.out_proj.bias.detach().numpy().any()
    assert np.abs(m.out_proj.weight.detach().numpy()).max() <= 1 / math.sqrt(60)
    assert m.bias_k.shape == m.bias_v.shape == (1, 1, 60)
    assert abs(m.bias_k.detach().numpy().std() / math.sqrt(2 / (60 + 60)) - 1) < 0.5
    separate = nn.MultiheadAttention(60, 3, kdim=20)
    assert np.abs(separate.k_proj_weight.detach().numpy()).max() > math.sqrt(6 / 80) * 0.98


def test_dropout_of_attention():
    tgc.manual_seed(1)
    m = nn.MultiheadAttention(4, 1, dropout=0.5, batch_first=True)
    x = tgc.randn(2, 300, 4)
    _, weights = m(x, x, x)
    dropped = (weights.detach().numpy() == 0).mean()
    assert abs(dropped - 0.5) < 0.01  # PyTorch returns them after dropout, too
    assert abs(weights.detach().numpy().sum(-1).mean() - 1) < 0.05
    _, weights = m.eval()(x, x, x)
    assert (weights.detach().numpy() > 0).all()


def test_dropout_keeps_its_mask_in_backward_and_in_second_derivatives():
    tgc.manual_seed(2)
    q, k, v = (tgc.tensor(draw(2, 3), requires_grad=True) for _ in range(3))
    g = tgc.tensor(draw(2, 3))

    def run(*inputs):
        tgc.manual_seed(2)
        return nn.functional.scaled_dot_product_attention(*inputs, dropout_p=0.5)

    assert tgc.testing.gradcheck(run, (q, k, v))
    plain = tgc.autograd.grad(run(q, k, v), (q, k, v), g)
    recorded = tgc.autograd.grad(run(q, k, v), (q, k, v), g, create_graph=True)
    for a, b in zip(plain, recorded, strict=True):
        assert_close(a, b)
    assert tgc.testing.gradgradcheck(run, (q, k, v))


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.MultiheadAttention(0, 1), ValueError, "must be greater than 0, got embed_dim=0 and num_heads=1 instead"),
    (lambda: nn.MultiheadAttention(6, 4), ValueError, "divisible by num_heads.*embed_dim=6 and num_heads=4"),
    (lambda: nn.MultiheadAttention(6, 2)(*[tgc.ones(2, 3, 4)] * 3), ShapeError, r"(?s)4 features.*embed_dim=6.*in Multi"),
    (lambda: nn.MultiheadAttention(4, 2)(*[tgc.ones(2, 3, 4)] * 3, attn_mask=tgc.ones(2, 2).long()), DTypeError,
     "attn_mask: only bool and floating types"),
    (lambda: nn.MultiheadAttention(4, 2)(*[tgc.ones(2, 3, 4)] * 3, key_padding_mask=tgc.ones(2, 3)), ShapeError,
     r"key_padding_mask must have the shape \(N, S\) = \(3, 2\)"),
    (lambda: nn.MultiheadAttention(4, 2)(*[tgc.ones(2, 3, 4)] * 3, is_causal=True), ValueError, "attn_mask, which must be"),
    (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), ValueError, "activation should be relu/gelu, not tanh"),
    (lambda: nn.Transformer(4, 2, 1, 1, 4)(tgc.ones(3, 2, 4), tgc.ones(3, 1, 4)), ShapeError,
     "the batch number of src and tgt must be equal"),
    (lambda: nn.Transformer(4, 2, 1, 1, 4)(tgc.ones(3, 2, 4), tgc.ones(3, 2, 5)), ShapeError,
     "the feature number of src and tgt must be equal to d_model.*d_model=4"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_masks_of_different_types_warn_as_in_torch():
    torch = torch_or_skip()
    for lib in (tgc, torch):
        x = lib.ones(4, 2, 4)
        masks = {"attn_mask": lib.zeros(4, 4), "key_padding_mask": lib.tensor(PADDING)}
        with pytest.warns(UserWarning, match="Support for mismatched key_padding_mask and attn_mask is deprecated"):
            lib.nn.MultiheadAttention(4, 2)(x, x, x, **masks)
        with pytest.warns(UserWarning, match="Support for mismatched src_key_padding_mask and src_mask is deprecated"):
            lib.nn.TransformerEncoderLayer(4, 2)(x, masks["attn_mask"], masks["key_padding_mask"])


# ---- transformer ----------------------------------------------------------------------------------------------------

LAYERS = {
    "post-norm": ({}, {}),
    "pre-norm, gelu": ({"norm_first": True, "activation": "gelu"}, {}),
    "batch first, no bias, other eps": ({"batch_first": True, "bias": False, "layer_norm_eps": 0.1}, {}),
    "a function": ({"activation": "silu"}, {}),
    "masks": ({}, {"src_mask": CAUSAL, "src_key_padding_mask": np.where(np.arange(5) > [[3], [2]], -np.inf, 0.0)}),
}


def options_for(lib, options):
    """activation "silu" is given as the library's function."""
    options = {"dropout": 0.0, **options}
    if options.get("activation") == "silu":
        options["activation"] = lib.nn.functional.silu
    return options


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("train", [True, False])
def test_encoder_layer_is_that_of_torch(name, train):
    torch = torch_or_skip()
    options, masks = LAYERS[name]
    ours, theirs = (lib.nn.TransformerEncoderLayer(6, 2, 7, **options_for(lib, options)).train(train) for lib in (tgc, torch))
    compare(ours, theirs, (X,), **masks)


@pytest.mark.parametrize("name", LAYERS)
def test_decoder_layer_is_that_of_torch(name):
    torch = torch_or_skip()
    options, masks = LAYERS[name]
    if masks:
        masks = {"tgt_mask": CAUSAL, "tgt_is_causal": True, "memory_mask": CROSS, "memory_key_padding_mask": PADDING}
    ours, theirs = (lib.nn.TransformerDecoderLayer(6, 2, 7, **options_for(lib, options)) for lib in (tgc, torch))
    first = options.get("batch_first", False)
    compare(ours, theirs, (X.swapaxes(0, 1), MEMORY.swapaxes(0, 1)) if first else (X, MEMORY), **masks)


def test_activation_may_be_a_module():
    torch = torch_or_skip()
    ours, theirs = (lib.nn.TransformerEncoderLayer(6, 2, 7, 0.0, lib.nn.Tanh()) for lib in (tgc, torch))
    compare(ours, theirs, (X,))


@pytest.mark.parametrize("masks", [
    {},
    {"mask": CAUSAL},
    {"mask": ~np.eye(5, dtype=bool), "is_causal": False},
    {"mask": np.isinf(CAUSAL), "src_key_padding_mask": np.arange(5) > np.array([[3], [2]])},
])
@pytest.mark.parametrize("norm", [True, False])
def test_encoder_is_that_of_torch(masks, norm):
    torch = torch_or_skip()
    found = []
    for lib in (tgc, torch):
        layer = lib.nn.TransformerEncoderLayer(6, 2, 7, 0.0)
        end = lib.nn.LayerNorm(6) if norm else None
        found.append(lib.nn.TransformerEncoder(layer, 2, end, enable_nested_tensor=False))
    compare(*found, (X,), **masks)


def test_encoder_in_inference_computes_valid_places_like_torch():
    """PyTorch's fast path leaves zeros at padded places; here they are computed like the others."""
    torch = torch_or_skip()
    found = []
    for lib in (tgc, torch):
        layer = lib.nn.TransformerEncoderLayer(6, 2, 7, batch_first=True)
        found.append(lib.nn.TransformerEncoder(layer, 2).eval().double())
    ours, theirs = found
    theirs.load_state_dict(to_torch(ours.state_dict()))
    x, padding = draw(2, 4, 6), PADDING
    with tgc.no_grad(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        a = ours(tgc.tensor(x), src_key_padding_mask=tgc.tensor(padding)).numpy()
        b = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(padding)).numpy()
    np.testing.assert_allclose(a[~padding], b[~padding], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("masks", [
    {},
    {"src_mask": CROSS[:4].T[:4, :4] & ~np.eye(4, dtype=bool), "tgt_mask": CAUSAL, "memory_mask": CROSS},
    {"src_key_padding_mask": PADDING, "memory_key_padding_mask": PADDING,
     "tgt_key_padding_mask": np.arange(5) > np.array([[3], [4]])},
])
def test_transformer_is_that_of_torch(masks):
    torch = torch_or_skip()
    sizes = (6, 2, 2, 2, 7, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nested tensors, which a transformer without batch_first cannot have
        theirs = torch.nn.Transformer(*sizes)
    compare(nn.Transformer(*sizes), theirs, (MEMORY, X), **masks)


def test_a_mask_of_another_size_is_not_taken_for_the_causal_one():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 7), 1)
    with pytest.raises(ShapeError, match=r"attn_mask must have the shape \(L, S\) = \(4, 4\)"):
        encoder(tgc.ones(4, 2, 6), nn.Transformer.generate_square_subsequent_mask(5))


def test_square_subsequent_mask():
    torch = torch_or_skip()
    ours = nn.Transformer.generate_square_subsequent_mask(4)
    assert ours.tolist() == torch.nn.Transformer.generate_square_subsequent_mask(4).tolist()
    assert ours.dtype == tgc.float32
    assert nn.Transformer.generate_square_subsequent_mask(2, dtype=tgc.float64).dtype == tgc.float64


def test_layers_of_a_stack_are_copies():
    layer = nn.TransformerEncoderLayer(4, 2, 4)
    stack = nn.TransformerEncoder(layer, 2)
    first, second = stack.layers
    assert first is not layer
    assert first.linear1.weight is not second.linear1.weight
    assert first.linear1.weight.tolist() == second.linear1.weight.tolist() == layer.linear1.weight.tolist()
    whole = nn.Transformer(4, 2, 2, 2, 4)  # draws its matrices anew
    assert whole.encoder.layers[0].linear1.weight.tolist() != whole.encoder.layers[1].linear1.weight.tolist()
    assert not whole.encoder.layers[0].self_attn.in_proj_bias.detach().numpy().any()
    custom = nn.Transformer(4, 2, 1, 1, 4, custom_encoder=nn.Identity(), custom_decoder=copy.deepcopy(whole.decoder))
    assert isinstance(custom.encoder, nn.Identity)


def test_bits_do_not_depend_on_the_number_of_threads():
    m = nn.TransformerEncoderLayer(64, 4, 128, 0.1)
    found = []
    for threads in (1, 2):
        tgc.manual_seed(4)
        x = tgc.randn(40, 8, 64, requires_grad=True)
        before = tgc.get_num_threads()
        tgc.set_num_threads(threads)
        try:
            m.zero_grad()
            y = m(x)
            y.backward(tgc.ones_like(y))
        finally:
            tgc.set_num_threads(before)
        found.append([y.detach().numpy().tobytes(), x.grad.numpy().tobytes(),
                      *[p.grad.numpy().tobytes() for p in m.parameters()]])
    assert found[0] == found[1]
