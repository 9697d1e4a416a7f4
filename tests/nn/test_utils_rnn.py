"""nn/utils/rnn.py: padding and packing against PyTorch."""

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import assert_close, torch_or_skip
from tinygrad_course.errors import DTypeError, ShapeError
from tinygrad_course.nn.utils import rnn

LENGTHS = {"sorted": [4, 2, 2, 1], "unsorted": [2, 4, 1, 2], "equal": [3, 3], "one": [2]}
lengths = pytest.mark.parametrize("count", LENGTHS.values(), ids=list(LENGTHS))


def sequences(count, lib):
    rng = np.random.default_rng(0)
    return [lib.tensor(rng.standard_normal((n, 3)), requires_grad=True) for n in count]


def same_gradients(ours, theirs, xs, zs):
    """Gradients of the inputs for random upstream ones."""
    torch = torch_or_skip()
    g = np.random.default_rng(1).standard_normal(tuple(ours.shape))
    ours.backward(tgc.tensor(g))
    theirs.backward(torch.tensor(g))
    for x, z in zip(xs, zs, strict=True):
        assert_close(x.grad, z.grad)


@lengths
@pytest.mark.parametrize("batch_first", [False, True])
def test_pack_and_pad(count, batch_first):
    torch = torch_or_skip()
    other = torch.nn.utils.rnn
    shape = (len(count), 5, 3) if batch_first else (5, len(count), 3)
    x = np.random.default_rng(0).standard_normal(shape)
    a, b = tgc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours = rnn.pack_padded_sequence(a, tgc.tensor(count), batch_first, enforce_sorted=False)
    theirs = other.pack_padded_sequence(b, torch.tensor(count), batch_first, enforce_sorted=False)
    assert ours._fields == theirs._fields
    for mine, its in zip(ours, theirs, strict=True):
        assert_close(mine, its)
    mine, n1 = rnn.pad_packed_sequence(ours, batch_first, -1.0, 6)
    its, n2 = other.pad_packed_sequence(theirs, batch_first, -1.0, 6)
    assert_close(mine, its)
    assert_close(n1, n2)
    same_gradients(mine, its, [a], [b])


@lengths
@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_and_unpad(count, side):
    torch = torch_or_skip()
    xs, zs = sequences(count, tgc), sequences(count, torch)
    for batch_first in (False, True):
        ours = rnn.pad_sequence(xs, batch_first, 2.0, side)
        theirs = torch.nn.utils.rnn.pad_sequence(zs, batch_first, 2.0, side)
        assert_close(ours, theirs)
        if side == "right":
            for part, x in zip(rnn.unpad_sequence(ours, tgc.tensor(count), batch_first), xs, strict=True):
                assert_close(part, x)
    same_gradients(ours, theirs, xs, zs)


@lengths
def test_pack_and_unpack(count):
    torch = torch_or_skip()
    xs, zs = sequences(count, tgc), sequences(count, torch)
    ours, theirs = rnn.pack_sequence(xs, False), torch.nn.utils.rnn.pack_sequence(zs, False)
    for mine, its in zip(ours, theirs, strict=True):
        assert_close(mine, its)
    for part, x in zip(rnn.unpack_sequence(ours), xs, strict=True):
        assert_close(part, x)
    same_gradients(ours.data, theirs.data, xs, zs)


def test_conversions_keep_the_order():
    packed = rnn.pack_sequence(sequences([1, 3], tgc), False)
    assert packed.float().data.dtype == tgc.float32
    assert packed.to(tgc.float32).double().data.dtype == tgc.float64
    assert packed.float().unsorted_indices.tolist() == [1, 0]
    made = rnn.PackedSequence(packed.data, packed.batch_sizes, packed.sorted_indices)
    assert made.unsorted_indices.tolist() == [1, 0]
    assert rnn.invert_permutation(tgc.tensor([2, 0, 1])).tolist() == [1, 2, 0]


MISTAKES = [
    (lambda x: rnn.pack_padded_sequence(x, [1, 2]), ValueError, r"\[1, 2\] do not decrease.*enforce_sorted=False"),
    (lambda x: rnn.pack_padded_sequence(x, [5, 2]), ValueError, "length 5 exceeds the 4 steps"),
    (lambda x: rnn.pack_padded_sequence(x, [2, 0]), ValueError, r"at least 1 step.*\[2, 0\]"),
    (lambda x: rnn.pack_padded_sequence(x, [2]), ShapeError, r"2 sequences.*shape \(1,\)"),
    (lambda x: rnn.pack_padded_sequence(x, [2.0, 1.0]), DTypeError, "integers, got float64"),
    (lambda x: rnn.pack_padded_sequence(x[0, 0], [2]), ShapeError, "at least 2 axes"),
    (lambda x: rnn.pad_packed_sequence(x), TypeError, "expected a PackedSequence, got Tensor"),
    (lambda x: rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [4, 2]), total_length=3), ValueError,
     "total_length 3 is less than 4"),
    (lambda x: rnn.pad_sequence([]), ValueError, "at least one sequence"),
    (lambda x: rnn.pad_sequence([x, x[:, 0]]), ShapeError, r"agree in \*"),
    (lambda x: rnn.pad_sequence([x], padding_side="top"), ValueError, "'left' or 'right', got 'top'"),
    (lambda x: rnn.PackedSequence(x, [1]), TypeError, "PackedSequence.*list"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes(number):
    call, kind, message = MISTAKES[number]
    with pytest.raises(kind, match=message):
        call(tgc.ones(4, 2, 3))


def test_types_of_packed_sequences_are_those_of_torch():
    torch = torch_or_skip()
    found = []
    for lib in (tgc, torch):
        packed = lib.nn.utils.rnn.pack_sequence([lib.ones(3, 2), lib.ones(1, 2)])
        types = [str(getattr(packed, name)().data.dtype).removeprefix("torch.")
                 for name in ("half", "float", "double", "long", "int", "short", "char", "byte", "cpu")]
        found.append([types, packed.is_cuda, packed.long().batch_sizes.tolist()])
    assert found[0] == found[1]
