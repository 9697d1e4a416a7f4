"""What goes wrong in workers is said at once, where and why; and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.data.test_workers import nothing_is_left_behind, plain  # noqa: F401  the fixture holds here, too
from tests.data.worker_data import Ends, Failing, TwoArguments
from tinygrad_course import ones
from tinygrad_course.data import DataLoader
from tinygrad_course.errors import DataError, WorkerError

ALL = [None, "thread", "fork"]


def loader(dataset, context, **keywords):
    workers = {"num_workers": 2, "multiprocessing_context": context} if context else {}
    return DataLoader(dataset, **{"batch_size": 2, **workers, **keywords})


def collect(batches, into):
    for batch in batches:
        into.append(plain(batch))


@pytest.mark.parametrize("context", ALL)
@pytest.mark.parametrize(("what", "kind"), [
    ("key", KeyError), ("two", TwoArguments), ("file", FileNotFoundError), ("stop", RuntimeError)])
def test_an_exception_keeps_its_type(context, what, kind):
    """After the batches that were complete, with the sample's number and where it was raised."""
    found = []
    with pytest.raises(kind) as caught:
        collect(loader(Failing(what), context), found)
    assert found == [[0, 1], [2, 3]]
    error = caught.value.__cause__ if what == "stop" else caught.value
    notes = "\n".join(error.__notes__)
    assert "at sample 5 of the data set" in notes
    if context == "fork":
        assert "in worker " in notes
        assert "in happen" in notes  # the worker's traceback
    if what == "file":
        assert error.filename == "a.png"
    if what == "two":
        assert str(error) == "1 and 2"


@pytest.mark.parametrize("context", [None, "thread"])
def test_sys_exit_in_a_sample(context):
    """It ends the program; a thread that it ended alone would let the loop wait for ever."""
    with pytest.raises(SystemExit):
        list(loader(Failing("leave"), context))
    if context:
        with pytest.raises(SystemExit):
            list(loader(range(9), context, worker_init_fn=sys.exit))


@pytest.mark.parametrize("context", ["fork"])
def test_an_exception_that_cannot_be_sent(context):
    with pytest.raises(WorkerError, match="DataLoader: Local: here") as caught:
        list(loader(Failing("local"), context))
    assert "at sample 5" in "\n".join(caught.value.__notes__)


@pytest.mark.parametrize("context", ALL)
def test_other_user_code_that_fails(context):
    def refuse(samples):
        raise ValueError("not these")
    with pytest.raises(ValueError, match="not these") as caught:
        list(loader(range(9), context, collate_fn=refuse))
    assert "while the samples 0, 1 were made into a batch" in "\n".join(caught.value.__notes__)
    with pytest.raises(OSError, match="broke off"):
        list(loader(Ends(1), context))
    with pytest.raises(OSError, match="cannot be opened"):
        list(loader(Ends(0), context))
    if context:
        with pytest.raises(ValueError, match="not these"):
            list(loader(range(9), context, worker_init_fn=refuse))


@pytest.mark.parametrize("context", ["fork"])
def test_batches_that_cannot_be_sent(context):
    with pytest.raises(Exception, match="pickle") as caught:
        list(loader(range(9), context, collate_fn=lambda samples: lambda: samples))
    assert "in worker 0" in "\n".join(caught.value.__notes__)
    x = ones(1, requires_grad=True)
    with pytest.raises(DataError, match=r"its graph cannot leave the worker. Return x.detach\(\)"):
        list(loader(range(9), context, collate_fn=lambda samples: x * 2))


@pytest.mark.parametrize("context", ["fork"])
@pytest.mark.parametrize(("what", "how"), [("kill", "was killed by SIGKILL, as the system does when memory runs out"),
                                           ("exit", "ended with exit code 3")])
def test_a_worker_that_dies(context, what, how):
    """Named with what it was doing; the next pass of a loader with persistent workers has new ones."""
    data = Failing(what)
    batches = loader(data, context, persistent_workers=True)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=rf"worker \d \(process \d+\) {how} while it made batch 2 \(samples 4, 5\)"):
        list(batches)
    assert time.monotonic() - began < 10
    data.what = "key"
    with pytest.raises(KeyError):
        list(batches)


@pytest.mark.parametrize("context", ["fork"])
def test_a_worker_that_is_late(context):
    message = r"no batch came within timeout=0.3 seconds. In the making: worker \d: batch 2 \(samples 4, 5\)"
    with pytest.raises(WorkerError, match=message):
        list(loader(Failing("sleep"), context, timeout=0.3))


def test_what_cannot_be_sent_to_a_new_process():
    with pytest.raises(WorkerError, match=r"cannot be sent to a process that is started by 'spawn'.*no lambdas"):
        list(loader(range(9), "spawn", collate_fn=lambda samples: samples))


PRELUDE = """
import sys, time, os, signal
from tinygrad_course.data import DataLoader, Dataset
class Slow(Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        time.sleep(0.05)
        return os.getpid()
"""


def script(tmp_path, text):
    path = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
    path.write_text(PRELUDE + text)
    return subprocess.Popen([sys.executable, "-W", "error", str(path)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_spawn_without_a_guard_teaches(tmp_path):
    process = script(tmp_path, "list(DataLoader(Slow(), num_workers=1, multiprocessing_context='spawn'))\n")
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "this process is a worker that is still importing the main script" in errors
    assert "ended with exit code 1 while it started" in errors
    assert errors.count("under if __name__ == '__main__'") == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_programs_that_end_early(tmp_path):
    """Ctrl-C in a terminal reaches all processes: one traceback.  A main process that is killed takes its workers along.
    An iterator that still waits at the end of the program is no matter."""
    waiting = """
batches = iter(DataLoader(Slow(), 2, num_workers=2, multiprocessing_context='fork', persistent_workers=True))
print(*next(batches).tolist(), *next(batches).tolist(), flush=True)
"""
    processes = [script(tmp_path, waiting + end) for end in ("time.sleep(60)\n",) * 2 + ("",)]
    workers = [{int(pid) for pid in process.stdout.readline().split()} for process in processes]
    assert [len(pids) for pids in workers] == [2, 2, 2]
    for pid in (processes[0].pid, *workers[0]):
        os.kill(pid, signal.SIGINT)
    processes[1].kill()
    errors = [process.communicate(timeout=20)[1] for process in processes]
    assert errors[0].count("Traceback") == 1
    assert errors[0].rstrip().endswith("KeyboardInterrupt")
    assert errors[1:] == ["", ""]
    assert processes[2].returncode == 0
    deadline = time.monotonic() + 10
    alive = set.union(*workers)
    while alive and time.monotonic() < deadline:
        alive = {pid for pid in alive if is_running(pid)}
        time.sleep(0.02)
    assert not alive


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
