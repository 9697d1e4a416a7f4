"""Ops and their application: `Op`, the pattern of all ops, and `apply`, which runs one and records it.

The way of a value through `apply(op, inputs, args)`:
1. take the arrays out of the tensors; refuse mixed devices and mixed floating point types;
2. run the op's shape rule, where every user error is raised, before any arithmetic;
3. run forward with the kernels of the inputs' device;
4. wrap the result, and hang a Node on it if recording is on and an input is tracked.
"""

from typing import Any, ClassVar
from weakref import ref

from numpy import ndarray

from tinygrad_course import backend
from tinygrad_course.autograd.base import TensorBase, Version, new_tensor
from tinygrad_course.autograd.node import Node, needs_of_two, new_node, new_output, record
from tinygrad_course.autograd.rule import Rule
from tinygrad_course.autograd.watch import watch
from tinygrad_course.errors import OperandError
from tinygrad_course.kernels.arrays import alike, is_float
from tinygrad_course.kernels.direct import binary as run_binary
from tinygrad_course.kernels.direct import shape_of
from tinygrad_course.kernels.direct import unary as run_unary
from tinygrad_course.kernels.local import recording

registry: dict[str, type["Op"]] = {}  # every op by name; the tests walk it


_cpu_kernels = backend.cpu_kernels
_unrecorded: Node = new_node(None, (), ())  # the ctx of every op that is not recorded: what it is given is forgotten
_unrecorded.closed = True
_unrecorded.needs = (False,) * 16
_refresh: Any = None


class _OpType(type):
    """The class of op classes: what is assigned to an op later, as tests do, reaches its rule."""

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        for op in [cls, *cls.__subclasses__()]:
            if "rule" in op.__dict__ and name != "rule":
                op.rule.update()  # type: ignore[attr-defined]


class Op(metaclass=_OpType):
    """One operation: shape rule, forward, backward, in one class.

    Subclasses are never instantiated; their three functions are static:

        shape(*input_shapes, *args)   -> shape of the output (a tuple of shapes if there are several); raises ShapeError
        forward(ctx, k, *arrays, *args) -> new array(s); `k` holds the kernels of the device, `ctx` is the Node
        backward(ctx, *gradients)     -> per input a gradient Tensor or None, written with ops, so that it can be
                                         differentiated again

    An input may be None (a missing bias).  A subclass registers itself under `name`.

    An elementwise op whose forward is nothing but the kernel `kernel` of its operands says so, and what is saved ("nothing",
    "output", or "operands": of two only those that the other one's gradient needs).  The engine then may run the kernel's
    loop without calling forward, which for small arrays costs more than the arithmetic.
    """

    name: ClassVar[str] = ""
    differentiable: ClassVar[bool] = True  # False: comparisons and the like, whose result never has a graph
    view: ClassVar[bool] = False  # the output may share memory with the first input
    kernel: ClassVar[str] = ""
    saves: ClassVar[str] = ""
    rule: ClassVar[Rule]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.rule = Rule(cls)
        if not cls.name:
            return  # a common base of several ops
        other = registry.get(cls.name)
        if other is not None and other.__module__ != cls.__module__:
            raise TypeError(f"an op named {cls.name!r} exists already in {other.__module__}; choose another name")
        registry[cls.name] = cls

    shape: ClassVar[Any]
    forward: ClassVar[Any]
    backward: ClassVar[Any]


def apply(op: Any, inputs: tuple[Any, ...], args: tuple[Any, ...] = ()) -> Any:
    """Run `op` on tensors (or None) `inputs` and plain `args`; returns a Tensor, or a tuple for several outputs."""
    tensor: TensorBase
    result: TensorBase
    node: Node
    version: Version
    rule: Rule = op.rule
    track = False
    usual = True  # NumPy arrays, floats of one type: the common case needs no further check
    dtype = None
    arrays: list[Any] = []
    shapes: list[Any] = []
    for value in inputs:
        if value is None:
            arrays.append(None)
            shapes.append(None)
            continue
        if not isinstance(value, TensorBase):
            raise _no_tensor(op, value)
        tensor = value
        if tensor.version is not None and tensor.version.rewrites != tensor.seen:
            _refresh(tensor)
        array = tensor.array
        if type(array) is not ndarray:
            usual = False
        elif is_float(array):  # class numbers and indices may have any type
            if dtype is None:
                dtype = array.dtype
            elif array.dtype is not dtype:
                usual = False
        arrays.append(array)
        shapes.append(shape_of(array))
        if tensor.track:
            track = True
    kernels = _cpu_kernels if usual else backend.kernels_for(op.name, arrays)
    # Tuples are added up, because a call f(*x, *y) makes a list of all first and then its tuple.
    shape = rule.shape(*(tuple(shapes) + args))
    track = track and recording() and rule.differentiable
    node = _unrecorded
    if track:
        node = new_node(op, inputs, args)
        node.rule = rule
        node.needs = _tracked(inputs)
        if _share_an_array(arrays):
            arrays = _told_apart(inputs, arrays)
    given: tuple[Any, ...] = (node, kernels)
    out = rule.forward(*(given + tuple(arrays) + args))
    if watch.watcher is not None:
        watch.watcher.forward(op, node, inputs, arrays, args, out)
    if track and type(out) is not tuple and not is_float(out) and out.dtype.kind != "c":
        track = False  # a float cast to an integer has no derivative
    if not track:
        _unrecorded.constants = None
        if type(out) is tuple:
            return tuple([new_tensor(array) for array in out])
        result = new_tensor(out)
    elif type(out) is tuple:
        return _wrap_several(node, out)
    else:
        node.shape = shape
        result = new_tensor(out, node)
        node.seal((result,))
    if rule.view:
        tensor = inputs[0]
        array = tensor.array
        if out.base is not None and (out.base is array or out.base is array.base):  # not where NumPy had to copy
            version = tensor._shared_version()
            result.version = version
            result.base = tensor if tensor.base is None else tensor.base
            result.seen = version.rewrites
    return result


def unary(op: Any, value: Any) -> Any:
    """`apply` for an elementwise op (or its rule) of one tensor: shorter, because these are called most."""
    x: TensorBase
    node: Node
    result: TensorBase
    rule: Rule = op if type(op) is Rule else op.rule
    if not isinstance(value, TensorBase):
        raise _no_tensor(rule.op, value)
    x = value
    if x.version is not None and x.version.rewrites != x.seen:
        _refresh(x)
    result = _looped_unary(rule, x)
    if result is not None:
        return result
    a = x.array
    track = x.track and recording() and rule.differentiable
    kernels = _cpu_kernels if type(a) is ndarray else backend.kernels_for(rule.op.name, [a])
    node = _unrecorded
    if track:
        node = new_node(rule.op, (x,), ())
        node.rule = rule
    out = rule.forward(node, kernels, a)
    if watch.watcher is not None:
        watch.watcher.forward(rule.op, node, (x,), [a], (), out)
    if not track:
        return new_tensor(out)
    node.shape = out.shape
    result = new_tensor(out, node)
    node.seal((result,))
    return result


def binary(op: Any, left: Any, right: Any) -> Any:
    """`apply` for an elementwise op (or its rule) of two tensors, which broadcast.

    Numbers become tensors and types are promoted by `op.operands` first, unless there is nothing to do.  The kernel knows
    whether shapes fit; only when it refuses is the shape rule asked, which says why."""
    rule: Rule = op if type(op) is Rule else op.rule
    if not isinstance(left, TensorBase) or not isinstance(right, TensorBase):
        left, right = _operands(rule, left, right)
    return _two(rule, left, right)


def _operands(rule: Any, left: Any, right: Any) -> Any:
    """Both as tensors of one type."""
    try:
        return rule.op.operands(left, right)
    except OperandError as error:
        raise OperandError(f"{rule.op.name}: {error}") from None


def _looped_unary(rule: Any, x: Any) -> Any:
    """The result of an op that is nothing but one of the kernels' loops, None where its forward has to be called."""
    track = x.track and recording() and rule.differentiable
    if rule.loop < 0 or (track and rule.saves < 0) or watch.watcher is not None:
        return None
    out = run_unary(rule.loop, x.array)
    if out is None:
        return None
    result: TensorBase = new_tensor(out)
    if track:
        record(rule, result, x, None)
    return result


def _two(rule: Any, x: Any, y: Any) -> Any:
    """`binary` for two tensors: with one of the kernels' loops if the op is nothing else, or with its forward."""
    result: TensorBase
    if x.version is not None and x.version.rewrites != x.seen:
        _refresh(x)
    if y.version is not None and y.version.rewrites != y.seen:
        _refresh(y)
    if rule.loop >= 0 and watch.watcher is None:
        track = (x.track or y.track) and recording() and rule.differentiable
        if not track or rule.saves >= 0:
            out = run_binary(rule.loop, x.array, y.array)
            if out is not None:
                result = new_tensor(out)
                if track:
                    record(rule, result, x, y)
                return result
    return _binary(rule, x, y)


def _binary(rule: Any, x: Any, y: Any) -> Any:
    """The result of an elementwise op of two tensors whose forward has to be called."""
    node: Node
    result: TensorBase
    a = x.array
    b = y.array
    track = (x.track or y.track) and recording() and rule.differentiable
    if alike(a, b):
        kernels = _cpu_kernels
    else:
        x, y = rule.op.operands(x, y)
        a = x.array
        b = y.array
        kernels = backend.kernels_for(rule.op.name, [a, b])
        track = (x.track or y.track) and recording() and rule.differentiable
    node = _unrecorded
    if track:
        node = new_node(rule.op, (x, y), ())
        node.rule = rule
        node.needs = needs_of_two(x.track, y.track)
        if a is b and x is not y:
            b = _own_view(y)
    try:
        out = rule.forward(node, kernels, a, b)
    except ValueError:
        rule.op.shape(a.shape, b.shape)  # raises ShapeError
        raise
    if watch.watcher is not None:
        watch.watcher.forward(rule.op, node, (x, y), [a, b], (), out)
    if not track:
        return new_tensor(out)
    node.shape = out.shape
    result = new_tensor(out, node)
    node.seal((result,))
    return result


def _no_tensor(op: Any, value: Any) -> OperandError:
    return OperandError(f"{op.name}: expected a Tensor, got {type(value).__name__}; make one with tgc.tensor(...) or "
                        "tgc.from_numpy(...)")


def set_refresh(function: Any) -> None:
    """Tell the engine how a view gets its new history after its base was written to in a recorded way.

    Called once, by tinygrad_course/ops/inplace.py."""
    global _refresh
    _refresh = function


def up_to_date(tensor: Any) -> None:
    """Give a view its new history, if its memory was written to in a recorded way since it was made."""
    view: TensorBase = tensor
    if view.version is not None and view.version.rewrites != view.seen:
        _refresh(view)


def _own_view(tensor: Any) -> Any:
    """Give a tensor an array object of its own, on the same memory.

    x and x.detach() share one.  Node.save() tells inputs apart by their arrays: what came from x.detach() must not be taken
    for x, whose second derivative would then include it."""
    target: TensorBase = tensor
    target.array = target.array.view()
    return target.array


def _tracked(inputs: tuple[Any, ...]) -> tuple[bool, ...]:
    """Per input whether it is tracked."""
    tensor: TensorBase
    flags = []
    for value in inputs:
        tensor = value
        flags.append(value is not None and tensor.track)
    return tuple(flags)


def _share_an_array(arrays: list[Any]) -> bool:
    for index in range(1, len(arrays)):
        for before in range(index):
            if arrays[index] is arrays[before] and arrays[index] is not None:
                return True
    return False


def _told_apart(inputs: tuple[Any, ...], arrays: list[Any]) -> list[Any]:
    """The arrays, one object per tensor."""
    seen: dict[int, Any] = {}
    for index, array in enumerate(arrays):
        if array is not None and seen.setdefault(id(array), inputs[index]) is not inputs[index]:
            arrays[index] = _own_view(inputs[index])
    return arrays


def _wrap_several(node: Node, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors for the outputs of one node; integer outputs (indices) are constants."""
    results = []
    for index, array in enumerate(arrays):
        output = new_output(node, index, shape_of(array)) if is_float(array) or array.dtype.kind == "c" else None
        results.append(new_tensor(array, output))
    node.shape = tuple([shape_of(array) for array in arrays])
    outputs = tuple(results)
    node.outputs = tuple([ref(tensor) for tensor in outputs])
    node.seal(outputs)
    return outputs
