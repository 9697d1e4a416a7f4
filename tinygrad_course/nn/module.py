"""Module: a named tree of parameters, buffers and other modules, with a `forward`."""

from __future__ import annotations

import difflib
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar

from tinygrad_course.autograd import is_grad_enabled, no_grad
from tinygrad_course.autograd.hooks import RemovableHandle
from tinygrad_course.autograd.origin import warn
from tinygrad_course.errors import DTypeError
from tinygrad_course.nn import global_hooks
from tinygrad_course.nn.hooks import BackwardWatch
from tinygrad_course.nn.parameter import Buffer, Parameter
from tinygrad_course.nn.scope import call_module
from tinygrad_course.nn.state import check_state_dict, wanted_shape
from tinygrad_course.nn.state_dict import STATE_HOOKS, SavesAndLoads, load_by_parts, loads_itself, put, save
from tinygrad_course.ops.creation import empty, zeros
from tinygrad_course.ops.dtypes import as_dtype, float16
from tinygrad_course.tensor import Tensor

PARAMETER, BUFFER, MODULE = "parameter", "buffer", "module"
_OWN_STATE = ("_kinds", "_temporary", "_hooked", "_forward_pre_hooks", "_forward_hooks", "_backward_hooks",
              "_backward_pre_hooks")


class LoadResult(namedtuple("LoadResult", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict(strict=False)` did not find in the file, and what it found beside."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if self.missing_keys or self.unexpected_keys else "<All keys matched successfully>"


def _missing_forward(self: Module, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(f'Module [{self._get_name()}] is missing the required "forward" function')


class Module(SavesAndLoads):
    """Base of all layers and models.  Assigning a Parameter or a Module to an attribute registers it.

        class Net(nn.Module):
            def __init__(self):
                super().__init__()                  # before the first assignment
                self.layer = nn.Linear(2, 1)
            def forward(self, x):
                return self.layer(x)

    Values live in the instance's `__dict__` under their own names, so that `self.weight` is one dictionary look-up;
    `_kinds` remembers, in the order of registration, which names are parameters, buffers or modules.
    """

    training: bool
    forward: Callable[..., Any] = _missing_forward
    call_super_init: bool = False  # True: __init__ passes its arguments on, for classes with several bases
    dump_patches: bool = False  # PyTorch's, without effect
    T_destination = TypeVar("T_destination", bound=dict[str, Any])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        state = self.__dict__  # past __setattr__, which needs _kinds
        state["training"] = True
        state["_kinds"] = {}
        state["_temporary"] = set()  # names of buffers that stay out of the state dict
        state["_hooked"] = False  # whether a hook was ever registered
        state["_forward_pre_hooks"] = OrderedDict()  # key -> (hook, with_kwargs)
        state["_forward_hooks"] = OrderedDict()  # key -> (hook, with_kwargs, always_call)
        state["_backward_hooks"] = OrderedDict()  # key -> hook
        state["_backward_pre_hooks"] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)
        elif args or kwargs:
            what = f"{len(args)} positional arguments" if args else f"the keyword argument '{next(iter(kwargs))}'"
            raise TypeError(f"{self._get_name()}: Module.__init__() got {what}; it takes none, unless call_super_init = True "
                            "passes them on to the next base class")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the attributes of another module: what copy.copy and copy.deepcopy do."""
        self.__dict__.update(state)
        for name in (*_OWN_STATE, *STATE_HOOKS):  # tables of its own: copy.copy shares the values, not the registration
            table = state.get(name)
            if isinstance(table, (dict, set)):
                self.__dict__[name] = table.copy()

    # ---- attributes ---------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        kinds = state.get("_kinds")
        if isinstance(value, Parameter):
            if isinstance(getattr(type(self), name, None), property):  # as of a parametrized weight
                super().__setattr__(name, value)
            else:
                self._register(PARAMETER, name, value)
        elif isinstance(value, Module):
            self._register(MODULE, name, value)
        elif isinstance(value, Buffer) and (kinds is None or kinds.get(name, BUFFER) == BUFFER):
            self.register_buffer(name, value, value.persistent)
        elif kinds is not None and name in kinds:
            kind = kinds[name]
            if value is not None and not (kind == BUFFER and isinstance(value, Tensor)):
                raise TypeError(self._wrong_value(kind, name, value))
            state[name] = value
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._kinds.pop(name, None)
        self._temporary.discard(name)

    def __getattr__(self, name: str) -> Any:
        if "_kinds" not in self.__dict__ and name in _OWN_STATE:
            raise AttributeError(f"{self._get_name()}.__init__() has not called super().__init__()")
        if hasattr(type(self), name):  # a property of the class failed inside: show its error, not ours
            return object.__getattribute__(self, name)
        if name.startswith("__"):  # Python asks for these, as deepcopy does of every module: no time for a hint
            raise AttributeError(f"'{self._get_name()}' object has no attribute '{name}'")
        near = difflib.get_close_matches(name, (n for n in dir(self) if n.startswith("_") == name.startswith("_")), n=3)
        hint = f". Near names: {', '.join(near)}" if near else ""
        raise AttributeError(f"'{self._get_name()}' object has no attribute '{name}'{hint}")

    def _register(self, kind: str, name: str, value: Any) -> None:
        kinds = self.__dict__.get("_kinds")
        if kinds is None:
            raise AttributeError(f"cannot assign {kind} '{name}' before Module.__init__() call: let the first line of "
                                 f"{self._get_name()}.__init__ be super().__init__()")
        for hook in tuple(global_hooks.registration[kind].values()) if value is not None else ():
            changed = hook(self, name, value)
            value = value if changed is None else changed
        if kinds.get(name, kind) != kind:
            del kinds[name]  # so that it stands last among those of its new kind
        kinds[name] = kind
        self._temporary.discard(name)
        self.__dict__[name] = value

    def _wrong_value(self, kind: str, name: str, value: Any) -> str:
        expected = {PARAMETER: "nn.Parameter", BUFFER: "Tensor", MODULE: "nn.Module"}[kind]
        message = f"cannot assign '{type(value).__name__}' as {kind} '{name}' ({expected} or None expected)"
        if kind == PARAMETER and isinstance(value, Tensor):
            message += (f". To replace the parameter: m.{name} = nn.Parameter(value). To change its values: "
                        f"with tgc.no_grad(): m.{name}.copy_(value)")
        return message

    def _check_name(self, kind: str, name: str) -> None:
        if "_kinds" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string, got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if (name in self.__dict__ or hasattr(type(self), name)) and self._kinds.get(name) != kind:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name free for one (as Linear does with bias=False)."""
        self._check_name(PARAMETER, name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(self._wrong_value(PARAMETER, name, param))
        self._register(PARAMETER, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not trained; persistent=False keeps it out of state_dict."""
        self._check_name(BUFFER, name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(self._wrong_value(BUFFER, name, tensor))
        self._register(BUFFER, name, tensor)
        if not persistent:
            self._temporary.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`."""
        self._check_name(MODULE, name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._register(MODULE, name, module)

    add_module = register_module

    # ---- walking ------------------------------------------------------------------------------------------------

    def _own(self, kind: str) -> dict[str, Any]:
        """This module's own values of one kind, None among them, in the order of registration."""
        state = self.__dict__
        return {name: state[name] for name, its in self._kinds.items() if its == kind}

    @property
    def _parameters(self) -> Mapping[str, Parameter | None]:
        return MappingProxyType(self._own(PARAMETER))

    @property
    def _buffers(self) -> Mapping[str, Tensor | None]:
        return MappingProxyType(self._own(BUFFER))

    @property
    def _modules(self) -> Mapping[str, Module | None]:
        return MappingProxyType(self._own(MODULE))

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(path, module) for this module and all below it; one that is shared comes once, under its first path."""
        seen = set() if memo is None else memo
        if remove_duplicate and self in seen:
            return
        seen.add(self)
        yield prefix, self
        for name, child in self._own(MODULE).items():
            if child is not None:
                yield from child.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once; remove_duplicate=False: a shared one as often as it has names."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for the direct children, each once."""
        seen: set[Module] = set()
        for name, child in self._own(MODULE).items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        for _, child in self.named_children():
            yield child

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = set()
        owners = (self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse
                  else iter([(prefix, self)]))
        for path, module in owners:
            for name, value in module._own(kind).items():
                if value is None or (remove_duplicate and value in seen):
                    continue
                seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter); one that is shared comes once, under its first path."""
        return self._named(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once, in the order of registration."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer), temporary ones included."""
        return self._named(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; "" is this one.  AttributeError names the part that is missing."""
        module = self
        for name in target.split(".") if target else []:
            child = getattr(module, name)
            if not isinstance(child, Module):
                raise AttributeError(f"{module._get_name()}.{name} is not a Module but a {type(child).__name__}")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        parameter = getattr(owner, name)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"{owner._get_name()}.{name} is not a Parameter but a {type(parameter).__name__}")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        buffer: Tensor = getattr(owner, name)
        if owner._kinds.get(name) != BUFFER:
            raise AttributeError(f"{owner._get_name()}.{name} is not a buffer but a {type(buffer).__name__}")
        return buffer

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted path, in place of the one that is there; strict: there must be one."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: `module` is not an nn.Module, found {type(module).__name__}")
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict and not hasattr(owner, name):
            raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
        if hasattr(owner, name) and not isinstance(getattr(owner, name), Module):
            raise AttributeError(f"{owner._get_name()}.{name} is not a Module but a {type(getattr(owner, name)).__name__}")
        setattr(owner, name, module)

    # ---- state of the whole tree --------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training (dropout draws, ...) or evaluation."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children before parents.  Used to initialise."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _convert(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the values of all parameters, their gradients and all buffers.  Parameters stay the same objects.

        Everything is converted before anything is replaced: a conversion that fails leaves the module as it was.
        """
        with no_grad():
            parameters = [(p, fn(p.detach()).array, None if p.grad is None else fn(p.grad.detach()))
                          for p in self.parameters()]
            buffers = {buffer: fn(buffer) for buffer in self.buffers()}  # one that is shared stays shared
        for parameter, array, grad in parameters:
            parameter.grad = None  # not even for a moment one of another type
            if array is not parameter.array:
                parameter.array = array
                parameter._bump_version("Module.to")
            parameter.grad = grad
        for module in self.modules():
            for name, buffer in module._own(BUFFER).items():
                if buffer is not None:
                    module.__dict__[name] = buffers[buffer]
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """`to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`, as Tensor.to; in place.

        Only floating-point parameters and buffers take the dtype, integer ones keep theirs.  Build optimisers after
        it: what they remember (momentum, ...) is not converted with the model.
        """
        probe = zeros(()).to(*args, **kwargs)
        if probe.dtype.kind != "f":
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={probe.dtype}")

        def convert(tensor: Tensor) -> Tensor:
            return tensor.to(*args, **kwargs) if tensor.dtype.kind == "f" else tensor.to(device=probe.device)
        return self._convert(convert)

    def float(self) -> Self:
        """All floating-point parameters and buffers to float32."""
        return self._convert(lambda tensor: tensor.float() if tensor.dtype.kind == "f" else tensor)

    def double(self) -> Self:
        """All floating-point parameters and buffers to float64."""
        return self._convert(lambda tensor: tensor.double() if tensor.dtype.kind == "f" else tensor)

    def half(self) -> Self:
        """All floating-point parameters and buffers to float16: half the memory; arithmetic takes the slower NumPy bodies."""
        return self._convert(lambda tensor: tensor.to(float16) if tensor.dtype.kind == "f" else tensor)

    def bfloat16(self) -> Self:
        """Not supported: NumPy has no such type."""
        raise DTypeError("bfloat16: NumPy arrays, which tensors are made of, have no such type; use half() for float16")

    def type(self, dst_type: Any) -> Self:
        """All parameters and buffers to `dst_type`, integer buffers too."""
        dtype = as_dtype(dst_type)
        if dtype.kind != "f" and any(parameter.requires_grad for parameter in self.parameters()):
            raise DTypeError(f"{self._get_name()}.type: parameters that require a gradient cannot be {dtype}: only floating "
                             "point tensors have one. Call requires_grad_(False) first")
        return self._convert(lambda tensor: tensor.to(dtype))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """All parameters and buffers to a device, without their values: they hold whatever was in the memory."""
        if not recurse:
            raise NotImplementedError("to_empty(recurse=False): call to_empty on the module that is to be emptied alone")
        return self._convert(lambda tensor: empty(tensor.shape, dtype=tensor.dtype, device=device))

    def share_memory(self) -> Self:
        """Not supported: tensors live in the memory of one process."""
        raise NotImplementedError("share_memory: tensors live in the memory of one process. Send state_dict() as arrays to "
                                  "other processes, or use threads: kernels run without the GIL")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing, so that scripts that call it run: the kernels are compiled already."""

    def cpu(self) -> Self:
        """All parameters and buffers to the CPU."""
        return self._convert(lambda tensor: tensor.cpu())

    def cuda(self) -> Self:
        """All parameters and buffers to the GPU."""
        return self._convert(lambda tensor: tensor.cuda())

    # ---- state dict ---------------------------------------------------------------------------------------------

    def _own_state(self, prefix: str = "") -> Iterator[tuple[str, Module, str]]:
        """(key, this module, name) of every own parameter and persistent buffer."""
        for kind in (PARAMETER, BUFFER):
            for name, value in self._own(kind).items():
                if value is not None and name not in self._temporary:
                    yield prefix + name, self, name

    def _state(self) -> Iterator[tuple[str, Module, str]]:
        """(key, owner, name) of all in the tree; shared ones under each of their keys."""
        for path, module in self.named_modules(remove_duplicate=False):
            yield from module._own_state(f"{path}." if path else "")

    def state_dict(self, *, destination: dict[str, Any] | None = None, prefix: str = "",
                   keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by their dotted path, in torch's order and layout.

        The tensors share memory with the module: copy them if they are to outlive its training.  keep_vars=True
        returns the parameters themselves instead of detached tensors.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # type: ignore[attr-defined]  # versions of the modules' classes
        return save(self, destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> LoadResult:
        """Copy values in by name: Tensors, arrays or PyTorch's tensors, converted to the module's dtype.

        strict=False tolerates missing and unexpected keys (returned), never wrong shapes.  assign=True puts the given
        tensors in place of the module's, dtype and memory included.
        Raises StateDictError with every missing, unexpected and mis-shaped key at once; the module is then unchanged.
        (Where a module of the tree has a hook or method of its own for loading, what did fit has been loaded then.)
        """
        if any(loads_itself(module) for module in self.modules()):
            return load_by_parts(self, state_dict, strict, assign, LoadResult)
        own = {key: (owner, name) for key, owner, name in self._state()}
        wanted = {key: wanted_shape(owner.__dict__[name]) for key, (owner, name) in own.items()}
        values, missing, unexpected = check_state_dict(self._get_name(), wanted, state_dict, strict)
        for key, value in values.items():
            put(*own[key], value, assign)
        return LoadResult(missing, unexpected)

    # ---- calling ------------------------------------------------------------------------------------------------

    __call__ = call_module

    def _has_hooks(self) -> bool:
        """Whether a hook would see a call of this module, hooks on all modules aside."""
        return self._hooked and bool(self._forward_pre_hooks or self._forward_hooks or self._backward_hooks
                                     or self._backward_pre_hooks)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in (*global_hooks.forward_pre.values(), *self._forward_pre_hooks.values()):
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError("a forward pre-hook with with_kwargs=True must return None or a tuple "
                                           f"(args, kwargs), got {changed!r}")
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        watch = None
        before = (*global_hooks.backward_pre.values(), *self._backward_pre_hooks.values())
        after = (*global_hooks.backward.values(), *self._backward_hooks.values())
        if (before or after) and is_grad_enabled():
            watch = BackwardWatch(self, after, before)
            args = watch.enter(args)
        waiting = [*global_hooks.forward.values(), *self._forward_hooks.values()]  # one may remove itself
        result = None
        try:
            result = self.forward(*args, **kwargs)
            while waiting:
                hook, with_kwargs, _ = waiting.pop(0)
                changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
                if changed is not None:
                    result = changed
        except Exception:
            for hook, with_kwargs, always in waiting:
                if always:
                    self._call_in_spite(hook, args, kwargs if with_kwargs else None, result)
            raise
        return result if watch is None else watch.leave(result)

    def _call_in_spite(self, hook: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
                       result: Any) -> None:
        """Call an always_call hook while an error is on its way, which must not be replaced by another one."""
        try:
            hook(self, args, result) if kwargs is None else hook(self, args, kwargs, result)
        except Exception as error:
            warn("module forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
                 f"raised in forward: {error}")

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns, unless None, replaces the arguments."""
        return self._add_hook(self._forward_pre_hooks, hook, (hook, with_kwargs), prepend)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns, unless None, replaces the output.

        always_call: also when forward raises; the output is None then."""
        return self._add_hook(self._forward_hooks, hook, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when backward has passed through the module.

        Both are tuples, one entry per positional argument of forward and per output, None where there is no gradient.
        What the hook returns, unless None, replaces grad_input.
        """
        return self._add_hook(self._backward_hooks, hook, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before backward passes through the module.

        What the hook returns, unless None, replaces grad_output.
        """
        return self._add_hook(self._backward_pre_hooks, hook, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Not supported: PyTorch's deprecated hook sees the gradients of the last op of forward only."""
        raise NotImplementedError(
            "register_backward_hook is deprecated in PyTorch because its grad_input is that of the last op of forward, not "
            "of the module: use register_full_backward_hook, which has the same arguments")

    def _add_hook(self, table: OrderedDict[int, Any], hook: Callable[..., Any], entry: Any,
                  prepend: bool) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be callable, got {type(hook).__name__}")
        handle = RemovableHandle(table, entry)
        if prepend:
            table.move_to_end(handle.id, last=False)
        self.__dict__["_hooked"] = True
        return handle

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if not name[:1].isdigit())  # without the numbered children

    # ---- printing -----------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the brackets in `repr`; layers override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indent(repr(child))}" for name, child in self._own(MODULE).items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({extra})"
        body = "".join(f"\n  {line}" for line in lines + children)
        return f"{self._get_name()}({body}\n)" if body else f"{self._get_name()}()"


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
