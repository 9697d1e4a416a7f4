"""Small packages in the formats of dpkg, npm and wheels, for tests of their readers."""

import io
import tarfile
import zipfile


def tar(files, mode="w:xz", prefix="./"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def ar(members):
    """The archive format of deb(5); members have an even number of bytes, by a line break behind them if need be."""
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return content


def deb(files, packing="xz"):
    return ar({"debian-binary": b"2.0\n", f"control.tar.{packing}": tar({"control": b"Package: x\n"}, f"w:{packing}"),
               f"data.tar.{packing}": tar(files, f"w:{packing}")})


def npm(files):
    return tar(files, "w:gz", "package/")


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
