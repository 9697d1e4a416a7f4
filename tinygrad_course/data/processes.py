"""Worker processes of a DataLoader.

How a batch travels.  It is pickled, with the memory of its arrays apart from the rest (pickle's protocol 5).  That memory
goes through a block of shared memory which came along with the order for the batch: samples are stacked there at once, other
arrays copied to it.  What remains fits into the pipe, so a worker goes on with the next batch while the main process is at
work.  The blocks are made, kept for all passes and deleted by
the main process alone: a worker that dies leaves nothing behind.  Until their size is known, and for tiny batches, arrays go
through the pipe.

Each worker has a pipe of its own for each direction: no lock is shared that a killed worker could take with it.
"""

import io
import itertools
import math
import os
import pickle
import queue
import secrets
import signal
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.reduction import ForkingPickler
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.random.mtrand import set_bit_generator

from tinygrad_course import backend
from tinygrad_course.data.collate import from_pool
from tinygrad_course.data.isolation import batch_seed, seed_all
from tinygrad_course.data.workers import (
    CLOSING_S,
    END,
    Failure,
    Maker,
    Recipe,
    WorkerInfo,
    Workers,
    described,
    set_worker_info,
)
from tinygrad_course.errors import DataError, WorkerError
from tinygrad_course.tensor import Tensor

SHARED_FROM = 32 * 1024  # bytes of a batch from which it goes through shared memory
ALIGNMENT = 64


# -- what goes through the pipes -----------------------------------------------------------------------------------------

class _Pickler(ForkingPickler):
    """Tensors are pickled nowhere else, since files must not be; these bytes only pass between our own processes."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.is_leaf:
                raise DataError("DataLoader: a sample is a result that requires a gradient; its graph cannot leave the "
                                "worker. Return x.detach().")
            return _tensor, (type(value), value.detach().cpu().numpy(), value.requires_grad)
        return NotImplemented


def _tensor(kind: type[Tensor], array: np.ndarray, requires_grad: bool) -> Tensor:
    result = kind.__new__(kind)
    result._set(array, None, False)
    return result.requires_grad_() if requires_grad else result


def _dumps(value: Any, keep: Callable[[Any], Any] | None = None) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL, True, keep).dump(value)
    return file.getvalue()


def _portable(error: BaseException) -> bytes:
    """An exception that the main process can raise: the same, or of the same type with the same arguments."""
    with suppress(Exception):
        content = _dumps(error)
        pickle.loads(content)
        return content
    notes = getattr(error, "__notes__", [])
    with suppress(Exception):  # its __init__ takes something else than what it has stored as arguments
        content = _dumps(_Again(type(error), error.args, notes))
        pickle.loads(content)
        return content
    stand_in = WorkerError(f"DataLoader: {type(error).__name__}: {error}")
    stand_in.__notes__ = notes
    return _dumps(stand_in)


@dataclass
class _Again:
    kind: type[BaseException]
    args: tuple[Any, ...]
    notes: list[str]

    def __reduce__(self) -> Any:
        return _error, (self.kind, self.args, self.notes)


def _error(kind: type[BaseException], args: tuple[Any, ...], notes: list[str]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.__notes__ = notes
    return error


def _needed(sizes: list[int]) -> int:
    return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)


# -- the main process ----------------------------------------------------------------------------------------------------

@dataclass
class _Crew:
    """What must be given back when the work is over."""

    processes: list[Any] = field(default_factory=list)
    orders: list[Any] = field(default_factory=list)   # ends of the pipes
    replies: list[Any] = field(default_factory=list)
    blocks: list[SharedMemory] = field(default_factory=list)
    owner: int = field(default_factory=os.getpid)
    at_once: bool = False


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end, and never reaches processes that are started here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _dismiss(crew: _Crew) -> None:
    """End the processes, by force after a while, and give everything back."""
    if os.getpid() != crew.owner:
        return  # a forked child has a copy of this; the processes are not its own
    with _interrupts_held():
        _end(crew)


def _end(crew: _Crew) -> None:
    for pipe in crew.replies:
        pipe.close()  # one that is about to send ends
    for process, pipe in itertools.zip_longest(crew.processes, crew.orders):
        if process is not None and crew.at_once:
            process.terminate()
        with suppress(OSError):
            pipe.send_bytes(b"")
        pipe.close()
    deadline = time.monotonic() + CLOSING_S
    for process in crew.processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for stop in ("terminate", "kill"):
        for process in crew.processes:
            if process.is_alive():
                getattr(process, stop)()
                process.join(1)
    for process in crew.processes:
        with suppress(ValueError):  # not even killed: in a system call that does not end
            process.close()
    for block in crew.blocks:
        block.close()
        block.unlink()
    crew.blocks.clear()


class ProcessWorkers(Workers):
    """Workers in processes of their own.  Raises WorkerError when one cannot be started, dies, or is late."""

    def __init__(self, recipe: Recipe, count: int, timeout: float, init_fn: Callable[[int], None] | None, seed: int,
                 context: Any, size: int) -> None:
        super().__init__(recipe, count, timeout)
        context = get_context() if context is None else context
        self.method = context.get_start_method()
        if getattr(current_process(), "_inheriting", False):
            raise WorkerError("DataLoader: this process is a worker that is still importing the main script, and the script "
                              f"starts workers here again (start method {self.method!r}). Put what the script does under\n"
                              "    if __name__ == '__main__':")
        setup = None if self.method == "fork" else self._sealed((recipe, init_fn))
        self._crew = _Crew()
        self._finish = weakref.finalize(self, _dismiss, self._crew)
        self._answered = [False] * count                 # whether each has said anything yet
        self._lent: dict[int, SharedMemory] = {}         # blocks that came along with orders
        self._free: list[SharedMemory] = []
        self.size = size                                 # bytes of the largest batch so far
        try:
            self._start(context, (recipe, init_fn), seed)
            if setup is not None:
                for worker in range(count):
                    self._tell(worker, setup)
        except BaseException:
            self.close(at_once=True)
            raise

    def _sealed(self, value: Any) -> bytes:
        try:
            return _dumps(value)
        except Exception as error:
            raise WorkerError("DataLoader: the data set, collate_fn or worker_init_fn cannot be sent to a process that is "
                              f"started by {self.method!r} ({type(error).__name__}: {error}). Define what they are made of "
                              "at the top level of a module (no lambdas), or give multiprocessing_context='fork' or "
                              "'thread'.") from error

    def _start(self, context: Any, content: tuple[Any, ...], seed: int) -> None:
        crew = self._crew
        if os.name == "posix":
            from multiprocessing import resource_tracker
            resource_tracker.ensure_running()  # or each worker would start one of its own, which then misses our blocks
        with _interrupts_held(), warnings.catch_warnings():
            # Python 3.12 warns of fork() beside other threads, for their locks.  The threads here are the kernels': idle
            # now, and left alone in the child, which works with one thread (kernels/threads.pyx).
            warnings.filterwarnings("ignore", "(?s).*use of fork", DeprecationWarning)
            for worker in range(self.count):
                orders, own_orders = context.Pipe(duplex=False)
                own_replies, replies = context.Pipe(duplex=False)
                crew.orders.append(own_orders)
                crew.replies.append(own_replies)
                forked = (content, [*crew.orders, *crew.replies]) if self.method == "fork" else None
                process = context.Process(target=_main, name=f"DataLoader worker {worker}", daemon=True, args=(
                    worker, self.count, (seed + worker) % 2**64, orders, replies, forked))
                try:
                    process.start()
                finally:
                    orders.close()
                    replies.close()
                crew.processes.append(process)
        self._sentinels = [process.sentinel for process in crew.processes]

    def begin(self, seed: int) -> None:
        for worker in range(self.count):
            self._tell(worker, pickle.dumps((None, seed, None)))
        waiting = set(range(self.count))
        while waiting:  # what comes before a worker's answer belongs to the pass before
            worker, _, kind, _, _ = self._reply()
            if kind == "ready":
                waiting.discard(worker)
        self.given = [{} for _ in range(self.count)]
        for number in list(self._lent):
            self._take_back(number)

    def _tell(self, worker: int, message: bytes) -> None:
        try:
            self._crew.orders[worker].send_bytes(message)
        except OSError:
            raise self._death(worker) from None

    def _send(self, worker: int, number: int, indices: Any) -> None:
        block = None
        if self.size >= SHARED_FROM:
            block = self._free.pop() if self._free else self._new_block()
            self._lent[number] = block
        self._tell(worker, _dumps((number, indices, None if block is None else block.name)))

    def _new_block(self) -> SharedMemory:
        # Named after the process that owns it: whoever finds one in /dev/shm knows whose it was.
        block = SharedMemory(f"tgc_{os.getpid()}_{secrets.token_hex(4)}", create=True, size=self.size)
        self._crew.blocks.append(block)
        return block

    def _take_back(self, number: int) -> None:
        block = self._lent.pop(number, None)
        if block is None:
            return
        if block.size >= self.size:
            self._free.append(block)
        else:
            self._crew.blocks.remove(block)
            block.close()
            block.unlink()

    def take(self) -> tuple[int, Any]:
        worker, number, kind, head, buffers = self._reply()
        self.given[worker].pop(number, None)
        if kind == "end":
            return number, END
        result = pickle.loads(head, buffers=buffers)
        return number, Failure(result) if kind == "failure" else result

    def _reply(self) -> tuple[int, Any, str, bytes, list[np.ndarray]]:
        """(worker, number of its batch, kind, head, memory) of the next message."""
        crew = self._crew
        ready = connection.wait([*crew.replies, *self._sentinels], self.timeout or None)
        if not ready:
            raise self.late()
        with_news = [worker for worker, pipe in enumerate(crew.replies) if pipe in ready]
        worker = with_news[0] if with_news else self._sentinels.index(ready[0])
        pipe = crew.replies[worker]
        if not with_news and not pipe.poll():
            raise self._death(worker)
        try:
            number, kind, head, sizes, places = pickle.loads(pipe.recv_bytes())
            buffers = [from_pool((size,), np.dtype(np.uint8)) for size in sizes]
            for buffer, begin in zip(buffers, places, strict=True):
                if begin is not None:
                    memoryview(buffer)[:] = self._lent[number].buf[begin:begin + len(buffer)]  # type: ignore[index]
                elif len(buffer):
                    pipe.recv_bytes_into(memoryview(buffer))
        except (EOFError, OSError):
            raise self._death(worker) from None
        self._answered[worker] = True
        if _needed(sizes) > self.size:
            self.size = _needed(sizes) * 5 // 4  # batches of texts grow little by little
        self._take_back(number)
        return worker, number, kind, head, buffers

    def _death(self, worker: int) -> WorkerError:
        process = self._crew.processes[worker]
        process.join(1)
        code = process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            if code == -9:
                how += ", as the system does when memory runs out"
        made = list(self.given[worker].items())
        what = f" while it made {described(*made[0], self.recipe.batched)}" if made else ""
        if not self._answered[worker]:
            what = " while it started"
            if self.method != "fork":
                what += (f". The start method {self.method!r} imports the main script again: if its own output shows that it "
                         "starts workers there, put what the script does under if __name__ == '__main__'")
        return WorkerError(f"DataLoader: worker {worker} (process {process.pid}) {how}{what}.")

    def close(self, at_once: bool = False) -> None:
        self._crew.at_once = at_once
        self._finish()


# -- a worker ------------------------------------------------------------------------------------------------------------

def _main(worker: int, count: int, seed: int, orders: Any, replies: Any, forked: Any) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the main one ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if forked is None:
        try:
            recipe, init_fn = pickle.loads(orders.recv_bytes())
        except EOFError:
            return
    else:
        (recipe, init_fn), inherited = forked
        for pipe in inherited:
            pipe.close()
    if backend.COMPILED:
        backend.set_num_threads(1)
    set_worker_info(WorkerInfo(worker, count, seed, recipe.dataset))
    set_bit_generator(np.random.MT19937())
    seed_all(seed)
    work: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders, work), daemon=True).start()
    blocks: dict[str, SharedMemory] = {}
    try:
        _serve(worker, recipe, init_fn, work, replies, blocks)
    except BrokenPipeError:
        pass  # the main process does not want it any more
    finally:
        for block in blocks.values():
            block.close()


def _listen(orders: Any, work: "queue.SimpleQueue[Any]") -> None:
    """Read orders as they come.  A thread of its own: the main process must never wait for a worker that waits for it."""
    parent: Any = parent_process()
    while True:
        if orders not in connection.wait([orders, parent.sentinel]):
            os._exit(1)  # the main process is gone
        try:
            message = orders.recv_bytes()
        except EOFError:
            message = b""
        order = pickle.loads(message) if message else None
        if order is None or order[0] is None:  # the end, or a new pass: nobody waits for the rest of the old one
            with suppress(queue.Empty):
                while True:
                    work.get_nowait()
        work.put(order)
        if order is None:
            return


def _serve(worker: int, recipe: Recipe, init_fn: Callable[[int], None] | None, work: "queue.SimpleQueue[Any]", replies: Any,
           blocks: dict[str, SharedMemory]) -> None:
    unfit = _attempt(worker, lambda: init_fn and init_fn(worker))[1]  # why no batch can be made, if so
    maker: Any = None
    seed, broken = 0, unfit
    while (order := work.get()) is not None:
        number, content, name = order
        if number is None:
            seed = content
            seed_all(seed)
            maker, broken = (None, unfit) if unfit else _attempt(worker, lambda: Maker(recipe))  # iter(stream) may fail
            _send(replies, _Message(None, "ready", b"", []), _Room(None))
            continue
        room = _Room(_attached(name, blocks))
        message, error = None, broken
        if error is None:
            seed_all(batch_seed(seed, number))
            maker.memory = room.take
            message, error = _attempt(worker, lambda: _packed(number, maker.make(content)))  # noqa: B023  called at once
        if message is None or error is not None:
            message = _Message(number, "failure", _portable(error), [])  # type: ignore[arg-type]
        _send(replies, message, room)


def _attempt(worker: int, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """(result, None) or (None, exception)."""
    try:
        return call(), None
    except Exception as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        error.add_note(f"DataLoader: in worker {worker} (process {os.getpid()}). What happened there:\n{text}")
        return None, error


def _attached(name: str | None, blocks: dict[str, SharedMemory]) -> SharedMemory | None:
    if name is None:
        return None
    if name not in blocks:
        blocks[name] = SharedMemory(name)
    return blocks[name]


@dataclass
class _Message:
    """A reply: the kind is "ready" (for a pass), "batch", "end" (of a stream) or "failure"."""

    number: int | None
    kind: str
    head: bytes
    memory: list[memoryview]


def _packed(number: int, batch: Any) -> _Message:
    if batch is END:
        return _Message(number, "end", b"", [])
    buffers: list[pickle.PickleBuffer] = []
    head = _dumps(batch, buffers.append)
    return _Message(number, "batch", head, [buffer.raw() for buffer in buffers])


class _Room:
    """The shared block of a batch, which is filled from the beginning.  Without a block there is no room."""

    def __init__(self, block: SharedMemory | None) -> None:
        self.memory = None if block is None else np.frombuffer(block.buf, np.uint8)  # type: ignore[arg-type]
        self.used = 0

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array of numbers there, or in other memory if there is no room left."""
        size = math.prod(shape) * dtype.itemsize
        if self.memory is None or dtype.kind not in "biuf" or self.used + size > len(self.memory):
            return from_pool(shape, dtype)
        begin = self.used
        self.used += _needed([size])
        return self.memory[begin:begin + size].view(dtype).reshape(shape)

    def place(self, view: memoryview) -> int | None:
        """Where in the block that memory is, copied there if need be; None if there is no room."""
        if self.memory is None or not view.nbytes:
            return None
        array = np.frombuffer(view, np.uint8)
        begin = array.ctypes.data - self.memory.ctypes.data
        if 0 <= begin <= len(self.memory) - len(array):
            return begin
        if self.used + len(array) > len(self.memory):
            return None
        begin = self.used
        self.memory[begin:begin + len(array)] = array
        self.used += _needed([len(array)])
        return begin


def _send(replies: Any, message: _Message, room: _Room) -> None:
    """The memory lies in the block as far as there is room, the rest comes behind the message."""
    sizes = [view.nbytes for view in message.memory]
    places = [room.place(view) for view in message.memory]
    replies.send_bytes(pickle.dumps((message.number, message.kind, message.head, sizes, places)))
    for view, begin in zip(message.memory, places, strict=True):
        if begin is None and view.nbytes:
            replies.send_bytes(view)
