"""Function: custom ops in Python, with PyTorch's interface."""

import copy
from typing import Any, ClassVar
from weakref import ref

from numpy import may_share_memory, ndarray

from tinygrad_course import backend
from tinygrad_course.autograd.base import TensorBase, new_tensor
from tinygrad_course.autograd.function import up_to_date
from tinygrad_course.autograd.grad_mode import is_grad_enabled, switch_grad
from tinygrad_course.autograd.node import Node, new_node, new_output, saved_output, start_node, without_base
from tinygrad_course.autograd.watch import watch
from tinygrad_course.errors import GraphError, ShapeError
from tinygrad_course.kernels.memory import blank


class Function:
    """A custom op in Python, with PyTorch's interface:

        class Square(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                x, = ctx.saved_tensors
                return 2 * x * g

        y = Square.apply(x)

    forward runs with recording off.  backward returns one gradient per argument of forward, None for those that have
    none; written with tensor operations it can be differentiated again, otherwise a second derivative raises.
    """

    name: ClassVar[str] = "Function"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__name__

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Compute the result from tensors and other arguments."""
        raise GraphError("a Function must define the static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the arguments from those of the outputs."""
        raise GraphError("a Function must define the static method backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward on `args` and record it."""
        inputs = tuple([value if isinstance(value, TensorBase) else None for value in args])
        for value in inputs:
            if value is not None:
                up_to_date(value)
        record = is_grad_enabled()
        ctx = FunctionCtx(tuple([record and value is not None and value.track for value in inputs]))
        writes = [0 if value is None else value._shared_version().count for value in inputs]
        before = switch_grad(False)
        try:
            out = cls.forward(ctx, *args)
        finally:
            switch_grad(before)
        if writes != [0 if value is None else value._shared_version().count for value in inputs]:
            raise GraphError(f"{cls.name}.forward wrote into its argument, whose history does not know of it; work on a "
                             "copy, x.clone(), and return that")
        given = out if isinstance(out, tuple) else (out,)
        if not given:
            raise GraphError(f"{cls.name}.forward returned an empty tuple; it must return at least one Tensor")
        for value in given:
            if not isinstance(value, TensorBase):
                raise GraphError(f"{cls.name}.forward must return a Tensor or a tuple of Tensors, it returned "
                                 f"{type(value).__name__}")
        node: FunctionNode | None = None
        if any(ctx.needs_input_grad):
            node = blank(FunctionNode)
            node.start(cls, inputs, ctx, given)
        if watch.watcher is not None and node is not None:
            watch.watcher.forward(cls, node, inputs, [None if value is None else value.array for value in inputs],
                                  (), tuple([value.array for value in given]))
        known = [value.array for value in inputs if value is not None]
        results = tuple([_result(value, index, given, ctx, node, known) for index, value in enumerate(given)])
        if node is not None and len(results) > 1:
            node.outputs = tuple([ref(result) for result in results])
        if node is not None:
            node.seal_function(inputs, given, results)
        return results if isinstance(out, tuple) else results[0]


class FunctionCtx:
    """What a Function is given as `ctx`: PyTorch's interface.

    Any attribute may be set in forward and read in backward.  Tensors that take part in the derivative go through
    `save_for_backward`, which notices in-place changes and keeps second derivatives right.
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._to_save: tuple[Any, ...] = ()
        self._saved: tuple[Any, ...] | None = None  # only while backward runs
        self._not_differentiable: tuple[Any, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for backward.

        Arguments and results of forward keep their place in the graph.  Anything else is kept as a constant, and a
        second derivative through it raises."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, TensorBase):
                raise GraphError(f"save_for_backward takes tensors, got {type(tensor).__name__}; keep other values as "
                                 "attributes: ctx.name = value")
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward was given."""
        if self._saved is None:
            raise GraphError("ctx.saved_tensors can be read only inside backward")
        return self._saved

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Outputs that have no gradient, such as indices."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """PyTorch's way to write into an argument, which does not exist here."""
        raise GraphError("mark_dirty: a forward that writes into its argument is not supported; return a new tensor, and let "
                         "the caller write x.copy_(f(x))")

    def set_materialize_grads(self, value: bool) -> None:
        """False: the gradient of an output that nobody used arrives as None instead of zeros."""
        self._materialize = value


class FunctionNode(Node):
    """The node of a user's Function.  It trusts nothing that backward returns."""

    __slots__ = ("ctx", "input_types", "once", "output_types", "places", "xp")

    ctx: "FunctionCtx"
    input_types: tuple[Any, ...]
    output_types: tuple[Any, ...]
    places: tuple[Any, ...]
    once: bool
    xp: Any

    def start(self, op: Any, inputs: tuple[Any, ...], ctx: FunctionCtx, outputs: tuple[Any, ...]) -> None:
        """Fill a blank node."""
        start_node(self, op, inputs, ())
        self.ctx = ctx
        self.input_types = tuple([None if t is None else (t.array.shape, t.array.dtype) for t in inputs])
        self.output_types = tuple([(t.array.shape, t.array.dtype) for t in outputs])
        self.shape = self.output_types[0][0] if len(outputs) == 1 else tuple([shape for shape, _ in self.output_types])
        self.xp = backend.array_module(outputs[0].array)
        self.places = ()  # per saved tensor: position in Node.saved, or None
        self.once = False  # backward uses something that cannot be differentiated again

    def seal_function(self, inputs: tuple[Any, ...], given: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        """Sort what the user saved into links to inputs, links to outputs, and constants."""
        places: list[Any] = []
        links: list[Any] = []
        for tensor in self.ctx._to_save:
            if tensor is None:
                places.append(None)
            elif any(tensor is other for other in inputs):
                places.append(len(links))
                links.append(tensor if tensor.base is None else without_base(tensor))
            elif any(tensor is other for other in given):
                index = next(i for i, other in enumerate(given) if other is tensor)
                places.append(len(links))
                links.append(saved_output(tensor.array, index, len(given) > 1, results[index]._shared_version()))
                self._outputs_saved = True
            else:  # a constant, which must not change either
                places.append(len(links))
                links.append(tensor.detach())
                self.once = self.once or tensor.array.dtype.kind == "f"
        self.places = tuple(places)
        self.seal(())
        if links:
            self._saved = tuple(links)
            self._versions = self._current_versions()
        self.ctx._to_save = ()
        self.ctx._not_differentiable = ()

    def _copy_to(self, other: Any) -> None:
        super()._copy_to(other)
        for name in FunctionNode.__slots__:
            setattr(other, name, getattr(self, name))

    def run(self, gradients: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
        """Call the user's backward and check its answer."""
        if self.freed:
            return super().run(gradients, create_graph)  # raises
        ctx = copy.copy(self.ctx)  # what belongs to this call stays in it: another thread may walk the same graph
        if ctx._materialize:
            gradients = tuple([_zeros(self, index) if g is None else g for index, g in enumerate(gradients)])
        if create_graph:
            gradients = tuple([_tracked(g) for g in gradients])
        saved = self.saved if any(isinstance(place, int) for place in self.places) else ()
        ctx._saved = tuple([None if place is None else saved[place] for place in self.places])
        ctx.needs_input_grad = self.needs
        writes = [0 if g is None else g._shared_version().count for g in gradients]
        answer = self.op.backward(ctx, *gradients)
        if writes != [0 if g is None else g._shared_version().count for g in gradients]:
            raise GraphError(f"{self.name}.backward wrote into the gradient it was given, which other gradients share; "
                             "work on a copy: g = g.clone()")
        answer = answer if isinstance(answer, tuple) else (answer,)
        return self._checked(answer, create_graph)

    def _checked(self, answer: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
        expected = len(self.input_types)
        if len(answer) > expected and all(g is None for g in answer[expected:]):
            answer = answer[:expected]  # as PyTorch: superfluous None are fine
        if len(answer) != expected:
            raise GraphError(f"{self.name}.backward returned {len(answer)} gradients, but forward takes {expected} "
                             "arguments (ctx not counted). Return one per argument, None where there is none.")
        checked: list[Any] = []
        for index, g in enumerate(answer):
            if g is None or (self.input_types[index] is not None and not self.needs[index]):
                checked.append(None)
                continue
            if not isinstance(g, TensorBase):
                raise GraphError(f"{self.name}.backward returned {type(g).__name__} as the gradient of argument {index}; "
                                 "return a Tensor or None")
            if self.input_types[index] is None:
                raise GraphError(f"{self.name}.backward returned a gradient for argument {index}, which is not a tensor; "
                                 "return None there")
            shape, dtype = self.input_types[index]
            if g.array.shape != shape:
                raise ShapeError(f"{self.name}.backward returned a gradient of shape {g.array.shape} for argument {index} "
                                 f"of shape {shape}. A gradient has its argument's shape: sum over axes that were "
                                 "broadcast, or transpose.")
            if g.array.dtype != dtype:
                g = g.to(dtype)  # type: ignore[attr-defined]  # every TensorBase is a Tensor
            if create_graph and (self.once or not g.track):
                g = self._barrier(g)
            elif not g.track:
                g = new_tensor(g.array)  # it may be a saved tensor: the engine must not take its array for its own
            checked.append(g)
        return tuple(checked)

    def _barrier(self, g: Any) -> Any:
        """A gradient that raises when it is differentiated, since its own derivative would be silently wrong."""
        node = new_node(NotTwiceDifferentiable, (), (self.op.name,))
        node.needs = tuple([edge is not None for edge in self.edges])
        node.edges = self.edges  # it lies on every path that the second derivative would take
        node.shape = g.array.shape
        return new_tensor(g.array, node)


class NotTwiceDifferentiable:
    """The op behind a gradient that was computed outside the graph."""

    name = "NotTwiceDifferentiable"

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        """Refuse."""
        name = ctx.args[0]
        raise GraphError(f"{name}.backward cannot be differentiated: its result does not come from tensor operations on "
                         "the incoming gradient and the saved arguments or results of forward. Write it with tensor "
                         "operations, and return intermediate values that it needs as further outputs of forward.")


class _Tracked:
    """Identity behind the gradient that a user's backward is given, so that one can see whether the result uses it."""

    name = "Gradient"

    @staticmethod
    def backward(ctx: Node, g: Any) -> tuple[Any, ...]:
        """The gradient itself."""
        return (g,)


def _tracked(g: Any) -> Any:
    if g is None or g.track:
        return g
    node = new_node(_Tracked, (), ())
    node.edges = (None,)
    node.needs = (False,)
    node.shape = g.array.shape
    return new_tensor(g.array, node)


def _zeros(node: FunctionNode, index: int) -> Any:
    shape, dtype = node.output_types[index]
    return new_tensor(node.xp.zeros(shape, dtype))


def _overlap(a: Any, b: Any) -> bool:
    """Whether two arrays may show one memory."""
    if isinstance(a, ndarray) and isinstance(b, ndarray):
        return may_share_memory(a, b)
    return a is b or (a.base is not None and a.base is b.base)


def _result(value: Any, index: int, given: tuple[Any, ...], ctx: FunctionCtx, node: Any, known: list[Any]) -> Any:
    """A new tensor for one output.

    What forward returned may be an argument, a view of one, or two views of one thing: then it is copied, because nobody
    would know how a write to the one changes the history of the other."""
    array = value.array
    if any(_overlap(array, other) for other in known):
        array = array.copy()
        result = new_tensor(array)
    else:
        result = new_tensor(array)
        result.version = value._shared_version()
    known.append(array)
    constant = any(value is other for other in ctx._not_differentiable)
    if node is not None and not constant and value.array.dtype.kind in "fc":
        result.node = new_output(node, index, value.array.shape) if len(given) > 1 else node
        result.track = True
    return result
