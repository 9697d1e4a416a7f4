"""Files made to do harm: nothing of them is executed, no absurd memory is taken, and the error says what was wrong."""

import os
import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from tinygrad_course.errors import DataError
from tinygrad_course.io import load, load_torch, save_torch
from tinygrad_course.io.torch_read import LEGACY_START


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pt"


def archive(path, pickle_bytes, records=(), compression=zipfile.ZIP_STORED):
    """A zip archive as PyTorch's, with any pickle."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickle_bytes)
        for name, content in records:
            file.writestr(name, content)


def refusal(path):
    """The message of the error; the file must not load, and take little memory in failing."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            load_torch(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


class Harm:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_calls_are_refused_by_name(path, tmp_path, protocol):
    victim = tmp_path / "victim"
    for harm in (Harm(os.system, f"touch {victim}"), Harm(eval, f"open({str(victim)!r}, 'w')"),
                 Harm(exec, "raise SystemExit"), {"nested": [Harm(os.mkdir, str(victim))]}):
        archive(path, pickle.dumps(harm, protocol=protocol))
        message = refusal(path)
        assert ("it wants the global" in message) or ("it has the instruction" in message and protocol == 0)
        assert not victim.exists()


def test_the_global_is_named(path):
    archive(path, pickle.dumps(Harm(os.system, "true"), protocol=2))
    assert "it wants the global 'posix.system'" in refusal(path)
    archive(path, b"\x80\x02c" + b"m" * 900 + b"\nf\n.")
    assert "..." in refusal(path)
    archive(path, b"\x80\x02c" + b"m" * 10_000 + b"\nf\n.")
    assert "names that do not end" in refusal(path)
    archive(path, b"\x80\x02c\\h\n\\x41\n.")  # no escapes
    assert r"it wants the global '\\h.\\x41'" in refusal(path)


def operand(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


ORDERED = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(" + operand("storage") + b"ctorch\nFloatStorage\n" + operand("0") + operand("cpu") + b"K\x04tQ"


def tensor(size=b"K\x04\x85", stride=b"K\x01\x85", offset=b"K\x00", storage=STORAGE, rest=b"\x89N"):
    """The instructions for a tensor on a storage of four floats."""
    return REBUILD + b"(" + storage + offset + size + stride + rest + b"tR"


@pytest.mark.parametrize(("program", "message"), [
    # what is no data
    (b"(ios\nsystem\n.", "the instruction INST"),
    (b"(cos\nsystem\no.", "it wants the global 'os.system'"),
    (operand("os") + operand("system") + b"\x93.", "it wants the global 'os.system'"),
    (b"K\x01K\x02\x93.", "not named by two texts"),
    (b"cbuiltins\ngetattr\n.", "it wants the global 'builtins.getattr'"),
    (ORDERED + b"cos\nsystem\nR.", "it wants the global 'os.system'"),
    (ORDERED + b")\x81.", "the instruction NEWOBJ"),
    (b"\x82\x01.", "the instruction EXT1"),
    (b"\x97.", "the instruction NEXT_BUFFER"),
    (ORDERED + b".", "holds 'collections.OrderedDict', a name and not data"),
    (b"ctorch\nFloatStorage\n)R.", "it calls 'torch.FloatStorage'"),
    (b"K\x01)R.", "it calls a int"),
    (b"})R.", "it calls a dict"),
    (ORDERED + b")R)R.", "it calls a OrderedDict"),
    (b"}}b.", r"it sets the state of a dict \(BUILD\)"),
    (ORDERED + b")R" + b"]b.", "it sets the state of a OrderedDict"),
    (ORDERED + b"]R.", "called without a tuple"),
    (ORDERED + b"K\x01\x85R.", "an OrderedDict is not made of pairs"),
    (ORDERED + b"]]\x85a\x85R.", "an OrderedDict is not made of pairs"),
    (ORDERED + b"K\x01K\x02\x86R.", "positional argument"),
    # a machine out of order
    (b".", "0 values are left"),
    (b"NN.", "2 values are left"),
    (b"(.", "that is not part of a tensor"),
    (b"t.", "a mark is missing"),
    (b"\x85.", "the stack is empty"),
    (b"(\x85.", "a mark lies where a value is needed"),
    (b"Na.", "the stack is empty|no list"),
    (b"NNa.", "no list lies on the stack"),
    (b"}(Nu.", "a key without a value"),
    (b"](Nu.", "no dict lies on the stack"),
    (b"q\x00.", "no object lies on the stack"),
    (b"h\x07.", "entry 7 of the memo is read at byte 2 before it is written"),
    (b"j\xff\xff\xff\xff.", "entry 4294967295 of the memo"),
    (b"}])ss.", "a dict has a list as key"),
    (b"})Ns.", "a dict has a tuple as key"),
    (b"\xfe.", "byte 2 is no instruction"),
    (b"X\xff\xff\xff\xffab.", "4,294,967,295 bytes are needed, 4 are left"),
    (b"\x8d" + b"\xff" * 8 + b".", "18,446,744,073,709,551,615 bytes are needed, 2 are left"),
    (b"J\xff", "4 bytes are needed, 2 are left"),
    (b"\x8b\xff\xff\xff\x7f.", "an integer of 2,147,483,647 bytes"),
    (b"\x8b\xff\xff\xff\xff.", "an integer of -1 bytes"),
    (b"\x8a\xff" + b"\x7f" * 255 + b".", "an integer of 255 bytes"),
    (b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".", "an integer of 100,000 bytes"),
    (b"L" + b"9" * 5_000 + b"L\n.", "the instruction LONG"),
    (b"X\x01\x00\x00\x00\xff.", "can't decode byte 0xff"),
    # recursion and growth
    (b")" + b"\x85" * 50_000 + b".", "nests more than 100 containers"),
    (b"]" * 20_000 + b"a" * 19_999 + b".", "nests more than 100 containers"),
    (b"}" + (operand("k") + b"}") * 1000 + b"s" * 1000 + b".", "nests more than 100 containers"),
    (b"]q\x00h\x00a.", "a list that contains itself"),
    (b"}q\x00" + operand("k") + b"h\x00s.", "a dict that contains itself"),
    # tensors that do not fit
    (tensor(size=b"K\x05\x85"), "a tensor of shape .5,. with strides .1,. from 0 on does not fit its storage of 4 elements"),
    (tensor(offset=b"K\x01"), "does not fit"),
    (tensor(stride=b"K\x02\x85"), "does not fit"),
    (tensor(size=b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), "does not fit"),
    (tensor(size=b"J\xff\xff\xff\xff\x85"), "no whole numbers"),
    (tensor(stride=b"J\xff\xff\xff\xff\x85"), "no whole numbers"),
    (tensor(offset=b"J\xff\xff\xff\xff"), "no whole numbers"),
    (tensor(size=b"\x88\x85"), "no whole numbers"),
    (tensor(size=b"]"), "no whole numbers"),
    (tensor(stride=b")"), "no whole numbers"),
    (tensor(size=b"(" + b"K\x01" * 40 + b"t", stride=b"(" + b"K\x01" * 40 + b"t"), "no whole numbers"),
    (tensor(storage=b"K\x01"), "a tensor has no storage"),
    (tensor(rest=b"\x89NNK\x07"), "takes from 5 to 8 positional arguments but 9 were given"),
    (tensor(rest=b"\x89NK\x07").replace(b"_v2", b"_v3"), "a tensor has the type 7"),
    (tensor(storage=tensor()), "a tensor has no storage"),
    (tensor(rest=b"\x89N}" + operand("neg") + b"\x88s"), "conjugated or negated"),
    (STORAGE, "holds a _Storage that is not part of a tensor"),
    (b"K\x01Q", "a persistent id is no storage"),
    (b"(" + operand("module") + b"NNNNtQ", "a persistent id is no storage; .* no whole modules"),
    (STORAGE.replace(b"K\x04tQ", b"J\xff\xff\xff\xfftQ"), "lacks type, key or number"),
    (STORAGE.replace(b"K\x04tQ", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ftQ"),
     "has 16 bytes, 36,893,488,147,419,103,228 are"),
    (STORAGE.replace(operand("0"), operand("../../etc/passwd")), "the record of storage '../../etc/passwd' is missing"),
    (STORAGE.replace(b"ctorch\nFloatStorage\n", b"cos\nFloatStorage\n"), "it wants the global 'os.FloatStorage'"),
    (STORAGE.replace(b"ctorch\nFloatStorage\n", b"ctorch\nQInt8Storage\n"), "quantised numbers"),
    (b"ctorch._utils\n_rebuild_parameter\n(NN}tR.", "a parameter is no tensor"),
])
def test_hostile_programs(path, program, message):
    archive(path, b"\x80\x02" + program + b".", [("archive/data/0", bytes(16))])
    text = refusal(path)
    assert re.search(message, text), text


def test_the_tensor_of_these_programs_is_one(path):
    archive(path, b"\x80\x02" + tensor() + b".", [("archive/data/0", np.arange(4.0, dtype=np.float32).tobytes())])
    assert load_torch(path).tolist() == [0, 1, 2, 3]
    archive(path, b"\x80\x02" + tensor(rest=b"\x89Nctorch\nuint16\n").replace(b"_v2", b"_v3") + b".",
            [("archive/data/0", np.arange(8, dtype=np.uint16).tobytes())])
    assert load_torch(path).tolist() == [0, 1, 2, 3]


def test_doubling_by_the_memo_takes_no_memory(path):
    """Each list holds the one before twice: 2^60 paths through 60 lists."""
    nested = b"]"
    for _ in range(60):
        nested = b"](" + nested + b"q\x00h\x00e"
    archive(path, b"\x80\x02" + nested + b".")
    value = load_torch(path)
    for _ in range(60):
        assert value[0] is value[1]
        value = value[0]


def test_depth_by_the_memo(path):
    """The chain of 60 tuples is walked through at the end of the list first, where it is not too deep."""
    for further, refused in ((60, True), (30, False)):
        archive(path, b"\x80\x02(" + b"N" + b"\x85" * 60 + b"q\x00" + b"\x85" * further + b"h\x00t.")
        if refused:
            assert "nests more than 100 containers" in refusal(path)
        else:
            assert len(load_torch(path)) == 2


# ---- archives -------------------------------------------------------------------------------------------------------


def test_compressed_records_are_refused(path):
    """A zip bomb: a small file that unpacks to a large one."""
    archive(path, b"\x80\x02N.", [("archive/data/0", bytes(10_000_000))], zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "is compressed or encrypted, which PyTorch never does" in refusal(path)


def test_a_record_that_says_it_is_compressed(path):
    archive(path, b"\x80\x02N.")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] = zipfile.ZIP_DEFLATED
    path.write_bytes(content)
    assert "is compressed or encrypted" in refusal(path)


def test_lying_sizes(path):
    archive(path, b"\x80\x02N.")
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 20:directory + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content)
    assert "ends behind the end of the file" in refusal(path)


@pytest.mark.parametrize(("records", "message"), [
    ([("../../outside", b"")], "names a place outside of the archive"),
    ([("/etc/passwd", b"")], "names a place outside of the archive"),
    ([("archive/..\\..\\outside", b"")], "names a place outside of the archive"),
    ([("other/data.pkl", b"N.")], "the archive has 2 data.pkl"),
])
def test_odd_records(path, records, message):
    archive(path, b"\x80\x02N.", records)
    assert message in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_record_twice(path):
    archive(path, b"\x80\x02N.", [("archive/data.pkl", b"\x80\x02K\x01.")])
    assert "stands twice in the archive" in refusal(path)


def test_zips_of_something_else(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", b"text")
    assert "the archive has no data.pkl" in refusal(path)
    with pytest.raises(DataError, match=r"the archive has no data\.pkl"):
        load(path)


def test_every_truncation_and_flipped_byte_is_refused_or_harmless(path):
    save_torch({"x": np.arange(3.0), "y": [1, "text", {"k": np.ones(2, np.float32)}]}, path)
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load_torch(path)
    random = np.random.default_rng(0)
    loaded = 0
    for place in range(0, len(whole), 2):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        try:
            load_torch(path)
            loaded += 1
        except DataError:
            pass
    assert 0 < loaded < len(whole)


# ---- the older form -------------------------------------------------------------------------------------------------


def legacy(path, *pickles, data=b""):
    path.write_bytes(LEGACY_START + b"".join(pickles) + data)


VERSION, MACHINE = pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2)
OLD_TENSOR = b"\x80\x02" + tensor() + b"."
KEYS = pickle.dumps(["0"], 2)


def test_legacy_by_hand(path):
    whole = struct.pack("<q4f", 4, 1, 2, 3, 4)
    start = (VERSION, MACHINE, OLD_TENSOR)
    harm = pickle.dumps(Harm(os.system, "true"), 2)
    legacy(path, *start, KEYS, data=whole)
    assert load_torch(path).tolist() == [1, 2, 3, 4]
    for pickles, data, message in (
            ((*start, KEYS), whole[:-1], "are needed, and the file has 15 more bytes"),
            ((*start, KEYS), struct.pack("<q", -1) + whole[8:], "has 18,446,744,073,709,551,615 elements"),
            ((*start, KEYS), b"", "are needed, and the file has 0 more"),
            ((*start, pickle.dumps(["1"], 2)), whole, "the list of storages does not fit"),
            ((*start, pickle.dumps(["0", "0"], 2)), whole, "the list of storages does not fit"),
            ((*start, pickle.dumps(3, 2)), whole, "the list of storages does not fit"),
            ((VERSION, MACHINE), b"", "it ends without STOP"),
            ((VERSION, OLD_TENSOR, OLD_TENSOR, KEYS), whole, "storage '0' is needed before the list of storages"),
            ((VERSION, harm), b"", "it wants the global 'posix.system'"),
            ((VERSION, MACHINE, harm), b"", "it wants the global 'posix.system'"),
            ((*start, harm), b"", "it wants the global 'posix.system'")):
        legacy(path, *pickles, data=data)
        assert message in refusal(path)


def test_nothing_is_unpickled(path, monkeypatch, torch):
    """Not even by way of a library."""
    torch.save({"x": torch.ones(2)}, path)

    def caught(*_, **__):
        raise AssertionError("unpickled")
    for name in ("load", "loads", "Unpickler", "_Unpickler", "_load", "_loads"):
        monkeypatch.setattr(pickle, name, caught)
    assert load(path)["x"].tolist() == [1, 1]
