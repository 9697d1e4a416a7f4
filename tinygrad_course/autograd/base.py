"""TensorBase: what the engine must know of a tensor.  The methods that people use are in `tinygrad_course/tensor.py`."""

from typing import Any

from tinygrad_course.kernels.memory import blank, keep

Shape = tuple[int, ...]


class Version:
    """Counts the in-place writes to one piece of memory.

    Every tensor that looks at that memory (views, `detach()`) shares the counter, so that a write through any of them is
    noticed by a graph that saved any other.

    count       writes so far
    last_write  what wrote last, for the error message
    line        (file, line) of the user's program where that was, if it is known
    rewrites    writes that were recorded in a graph: a view made before has another history now
    outside     None, or (memory, its fingerprint when it became known): NumPy can write there and no counter sees it
    """

    __slots__ = ("count", "last_write", "line", "outside", "rewrites")

    count: int
    last_write: str
    line: Any
    rewrites: int
    outside: Any


class TensorBase:
    """An array and its place in the graph.

    array    the values: numpy.ndarray, or cupy.ndarray on a GPU
    track    whether gradients flow into this tensor (`requires_grad`)
    node     the Node that made it, None for a leaf
    _grad    the accumulated gradient of a leaf
    version  counter of in-place writes, made when first needed: None means that nothing shares it and nobody wrote
    hooks    functions to call with the gradient of a leaf
    post_hooks  functions to call with a leaf whose `.grad` has just been added to
    base     for a view the tensor whose memory it shows, else None
    seen     `version.rewrites` when `node` was last known to be right
    """

    __slots__ = ("__weakref__", "_grad", "_hash", "array", "base", "hooks", "node", "post_hooks", "seen", "track", "version")

    array: Any
    hooks: Any
    post_hooks: Any
    node: Any
    track: bool
    version: Version | None
    base: Any
    seen: int
    _grad: Any
    _hash: int

    def _set(self, array: Any, node: Any, track: bool) -> None:
        self.array = array
        self.node = node
        self.track = track
        self._grad = None
        self.version = None
        self.hooks = None
        self.post_hooks = None
        self.base = None
        self.seen = 0
        self._hash = 0

    def _identity(self) -> int:
        """A hash by identity, since == is elementwise; kept, because the engine asks it for every gradient."""
        if self._hash == 0:
            self._hash = id(self) >> 4
        return self._hash

    def _shared_version(self) -> Version:
        """The counter, made now if nobody needed it before: for views and for saved outputs."""
        version: Version | None = self.version
        if version is None:
            version = blank(Version)
            version.last_write = ""
            self.version = version
        return version

    def _bump_version(self, writer: str) -> None:
        """Note an in-place write by `writer`, so that a graph that saved the old values refuses to use the new ones."""
        version: Version = self._shared_version()
        version.count += 1
        version.last_write = writer
        version.line = None


keep(Version)
tensor_type: type = TensorBase


def set_tensor_type(kind: type) -> None:
    """Tell the engine which class its results have, so that ops return Tensors without importing upwards.

    Called once, by tinygrad_course/tensor.py."""
    global tensor_type
    tensor_type = kind
    keep(kind)


def new_tensor(array: Any, node: Any = None) -> Any:
    """A tensor around `array`, without copying; tracked if a node made it."""
    tensor: TensorBase = blank(tensor_type)
    tensor.array = array
    tensor.node = node
    tensor.track = node is not None
    return tensor
