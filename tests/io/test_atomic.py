"""Files that are written in one step, and what must not be replaced by a file."""

import os
import stat
import threading

import pytest

from tinygrad_course.errors import DataError
from tinygrad_course.io.atomic import atomic_file, write_atomic


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_stays_a_pipe(tmp_path):
    """So do /dev/null and /dev/stdout, which a test had better not try."""
    pipe, link, read = tmp_path / "pipe", tmp_path / "link", []
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomic(link, b"content")
    reader.join(10)
    assert read == [b"content"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/fd/0"), reason="open files have no paths here")
def test_a_pipe_without_a_name_is_written_to():
    """As /dev/stdout is in `program | other`."""
    end, start = os.pipe()
    try:
        write_atomic(f"/dev/fd/{start}", b"content")
        assert os.read(end, 100) == b"content"
    finally:
        os.close(end)
        os.close(start)


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="folder cannot be written: "):
        write_atomic(tmp_path / "folder", b"content")
    assert os.listdir(tmp_path) == ["folder"]


def test_what_raises_leaves_the_old_file(tmp_path):
    write_atomic(tmp_path / "file", b"old")
    with pytest.raises(TypeError), atomic_file(tmp_path / "file") as file:
        file.writelines([b"new", None])
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
