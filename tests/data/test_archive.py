"""Files out of packages of every packing, and one clear sentence for each way a package can be broken."""

import gzip
import io
import shutil
import subprocess
import sys
import tarfile

import pytest

from tests.data.packages import ar, deb, npm, tar, zipped
from tinygrad_course.data.archive import read_members
from tinygrad_course.errors import DataError

FILES = {"usr/share/a/one.txt": b"1" * 5, "usr/share/a/two.bin": bytes(range(256)) * 40, "usr/share/b.txt": b""}


def bomb(kind):
    """A header that claims 2 GiB: nothing may be unpacked before it is looked at."""
    if kind == "zip":
        content = zipped({"usr/a": b"1" * 12345})
        return content.replace((12345).to_bytes(4, "little"), (1 << 31).to_bytes(4, "little"))
    member = tarfile.TarInfo("usr/a")
    member.size = 1 << 31
    return gzip.compress(member.tobuf() + bytes(512))


@pytest.fixture
def unpacked(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "unpacked"


@pytest.mark.parametrize("content", [deb(FILES), deb(FILES, "gz"), deb(FILES, "bz2"), tar(FILES), tar(FILES, "w", ""),
                                     zipped(FILES)], ids=["deb", "deb.gz", "deb.bz2", "tar.xz", "tar", "zip"])
def test_every_packing(tmp_path, content):
    path = tmp_path / "package"  # the packing is told by content, not by name
    path.write_bytes(content)
    assert read_members(path, "usr/*") == FILES
    assert list(read_members(path, "*.txt", "usr/share/a/two.bin")) == sorted(FILES)
    assert read_members(path, "usr/share/a/one.txt") == {"usr/share/a/one.txt": b"11111"}


def test_a_folder(unpacked):
    assert read_members(unpacked, "usr/share/a/*", "usr/share/b.txt") == FILES
    assert set(read_members(unpacked, "*/two.bin", "*share/b.txt")) == {"usr/share/a/two.bin", "usr/share/b.txt"}


def test_names_that_lead_elsewhere(tmp_path):
    """Nothing is written, and links are not followed."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, link in (("a.txt", "../secret.txt"), ("b.txt", str(tmp_path / "secret.txt"))):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
        member = tarfile.TarInfo("../c.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"ok"))
    (tmp_path / "x.tar").write_bytes(buffer.getvalue())
    assert read_members(tmp_path / "x.tar", "*.txt") == {"../c.txt": b"ok"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["secret.txt", "x.tar"]


def test_npm_packs_into_a_folder(tmp_path):
    (tmp_path / "x.tgz").write_bytes(npm(FILES))
    assert set(read_members(tmp_path / "x.tgz", "*")) == {f"package/{name}" for name in FILES}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="the system has no dpkg")
def test_a_package_of_dpkg(tmp_path, unpacked):
    """The format as its own program writes it."""
    (unpacked / "DEBIAN").mkdir()
    (unpacked / "DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.x>\nDescription: x\n")
    subprocess.run(["dpkg-deb", "-Zxz", "--build", unpacked, tmp_path / "x.deb"], check=True, capture_output=True)
    assert read_members(tmp_path / "x.deb", "usr/*") == FILES


@pytest.mark.parametrize(("content", "says"), [
    (b"", "truncated, damaged or no package"),
    (b"some text", "truncated, damaged or no package"),
    (b"!<arch>\n", "no complete Debian package"),
    (ar({"debian-binary": b"2.0\n"}), "no complete Debian package"),
    (deb(FILES)[:90], "no complete Debian package"),
    (deb(FILES)[:-100], "is truncated: data.tar.xz should have"),
    (ar({"debian-binary": b"2.0\n", "data.tar.xz": tar(FILES)[:-200]}), "truncated, damaged"),
    (ar({"debian-binary": b"2.0\n", "data.tar.xz": b"no archive"}), "truncated, damaged"),
    (tar(FILES, "w:gz")[:-30], "truncated, damaged"),
    (zipped(FILES)[:-30], "truncated, damaged"),
    (b"!<arch>\n" + f"{'data.tar.xz':<16}{0:<32}{9999999999:<10}`\n".encode(), "have 9,999,999,999 bytes, 0 are there"),
    (zipped(FILES).replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"), "truncated, damaged.*encrypted"),
    (zipped(FILES).replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"), "truncated, damaged.*zip file version"),
    (bomb("zip"), "usr/a would have 2,147,483,648 bytes when unpacked"),
    (bomb("tar"), "usr/a would have 2,147,483,648 bytes when unpacked"),
    (zipped({"other": b"1"}), r"has no file usr/\*. Is it another package, or another version of it\?"),
])
def test_broken(tmp_path, content, says):
    path = tmp_path / "broken-file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_members(path, "usr/*")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_is_noticed(tmp_path):
    content = bytearray(deb(FILES))
    content[-60] ^= 1
    (tmp_path / "x.deb").write_bytes(content)
    with pytest.raises(DataError, match="truncated, damaged"):
        read_members(tmp_path / "x.deb", "usr/*")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads Zstandard")
def test_zstandard_says_what_to_do(tmp_path):
    (tmp_path / "x.deb").write_bytes(ar({"debian-binary": b"2.0\n", "data.tar.zst": b"\x28\xb5\x2f\xfd"}))
    with pytest.raises(DataError, match=r"Python reads from 3.14 on. Install the package, or unpack it \(dpkg-deb -x x.deb"):
        read_members(tmp_path / "x.deb", "usr/*")


def test_missing(tmp_path):
    with pytest.raises(DataError, match=r"none.deb does not exist. Give a package file"):
        read_members(tmp_path / "none.deb", "usr/*")
    with pytest.raises(DataError, match=r"has no file usr/\*"):
        read_members(tmp_path, "usr/*")
