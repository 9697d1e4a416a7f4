"""The rest of Module, played in both libraries: extra state, hooks of saving and loading, global hooks, access by path."""

import copy
import pickle
import threading

import numpy as np
import pytest

import tinygrad_course as tgc
from tests.nn.torch_oracle import both, plain, torch_or_skip
from tinygrad_course import nn
from tinygrad_course.errors import DTypeError, StateDictError
from tinygrad_course.nn import global_hooks

OUR_MODULE = tgc.nn.Module


# ---- saving and loading ---------------------------------------------------------------------------------------------


def counter(lib):
    class Counter(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = lib.nn.Parameter(lib.ones(2))
            self.inner = lib.nn.Linear(1, 1)
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    return Counter()


def test_extra_state():
    def play(lib, log):
        module = counter(lib)
        state = module.state_dict()
        log.append(list(state))
        log.append(state["_extra_state"])
        other = counter(lib)
        other.count = 0
        log.append(plain(list(other.load_state_dict(state))))
        log.append(other.count)
        del state["_extra_state"]
        log.append(plain(list(other.load_state_dict(state, strict=False))))
        outer = lib.nn.Sequential(lib.nn.ReLU(), module)
        log.append(list(outer.state_dict()))
        with pytest.raises(RuntimeError) as info:
            other.load_state_dict(state)
        assert "_extra_state" in str(info.value)
        with pytest.raises(RuntimeError):
            lib.nn.Linear(1, 1).load_state_dict({**lib.nn.Linear(1, 1).state_dict(), "_extra_state": 3})

    both(play)


def test_modules_that_save_and_load_themselves():
    def play(lib, log):
        class Scaled(lib.nn.Linear):
            """Saved times ten, under another name; loads the files of version 1, too."""

            _version = 2

            def _save_to_state_dict(self, destination, prefix, keep_vars):
                super()._save_to_state_dict(destination, prefix, keep_vars)
                destination[prefix + "times_ten"] = destination.pop(prefix + "weight") * 10

            def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
                log.append((prefix, local_metadata.get("version"), args[0]))
                if prefix + "times_ten" in state_dict:
                    state_dict[prefix + "weight"] = state_dict.pop(prefix + "times_ten") / 10
                super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)
                log.append(plain(self.weight))

        net = lib.nn.Sequential(lib.nn.Linear(1, 2), Scaled(2, 1, bias=False))
        with lib.no_grad():
            net[1].weight.fill_(0.5)
        state = net.state_dict()
        log.append(list(state))
        log.append(plain(state["1.times_ten"]))
        log.append({key: value["version"] for key, value in state._metadata.items()})
        fresh = lib.nn.Sequential(lib.nn.Linear(1, 2), Scaled(2, 1, bias=False))
        log.append(plain(list(fresh.load_state_dict(state))))
        log.append(list(state))  # the loader changed a copy
        log.append(plain(list(fresh.load_state_dict({"1.weight": lib.ones(1, 2), "2.x": lib.ones(1)}, strict=False))))
        with pytest.raises(RuntimeError):
            fresh.load_state_dict({"1.weight": lib.ones(2, 2)}, strict=False)

    both(play)


def test_hooks_of_saving_and_loading():
    def play(lib, log):
        inner = lib.nn.Linear(1, 1, bias=False)
        net = lib.nn.Sequential(inner, lib.nn.ReLU())

        def before_save(module, prefix, keep_vars):
            log.append(("before save", module is inner, prefix, keep_vars))

        def after_save(module, state, prefix, metadata):
            log.append(("after save", module is inner, list(state), prefix, metadata))
            state[prefix + "added"] = 1

        def replace(module, state, prefix, metadata):
            return {f"renamed.{key}": value for key, value in state.items()}

        def before_load(module, state, prefix, metadata, strict, missing, unexpected, errors):
            log.append(("before load", module is inner, list(state), prefix, strict, missing, unexpected, errors))
            if prefix + "old" in state:
                state[prefix + "weight"] = state.pop(prefix + "old")

        def after_load(module, incompatible):
            log.append(("after load", module is net, list(incompatible.missing_keys), list(incompatible.unexpected_keys)))
            incompatible.missing_keys.clear()

        handles = [inner.register_state_dict_pre_hook(before_save), inner.register_state_dict_post_hook(after_save),
                   net._register_state_dict_hook(replace)]
        log.append(list(net.state_dict(keep_vars=True)))
        for handle in handles:
            handle.remove()
        log.append(list(net.state_dict()))
        handle = inner.register_load_state_dict_pre_hook(before_load)
        log.append(plain(list(net.load_state_dict({"0.old": lib.ones(1, 1) * 7}))))
        log.append(plain(inner.weight))
        handle.remove()
        inner._register_load_state_dict_pre_hook(lambda state, prefix, *rest: log.append(("no module", prefix, len(rest))))
        net.register_load_state_dict_post_hook(after_load)
        log.append(plain(list(net.load_state_dict({}))))
        inner.register_state_dict_post_hook(lambda *args: 3)
        with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
            net.state_dict()

    both(play)


def test_loading_by_parts_reports_everything_at_once():
    net = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2), nn.ReLU())
    net[0].register_load_state_dict_pre_hook(lambda *args: None)
    with pytest.raises(StateDictError) as info:
        net.load_state_dict({"0.weight": np.ones((1, 2)), "0.bias": 3, "1.bias": np.ones(2), "1.extra": np.ones(3),
                             "2.weight": np.ones(1), "x.y": np.ones(1)})
    assert str(info.value) == (
        "load_state_dict: the state dict does not fit Sequential:\n"
        "  missing in the file: 1.weight\n"
        "  unexpected in the file: x.y, 1.extra, 2.weight\n"
        "  shape of 0.weight: the file has (1, 2), the model needs (2, 1) (the transpose)\n"
        "  value of 0.bias is a int, the model needs a tensor of shape (2,)")
    with pytest.raises(TypeError, match="dict-like, got list"):
        net.load_state_dict([])
    net.load_state_dict({"0.weight": tgc.ones(2, 1).double(), "0.bias": tgc.ones(2)}, strict=False, assign=True)
    assert net[0].weight.dtype == tgc.float64
    assert isinstance(net[0].weight, nn.Parameter)


def test_loading_by_parts_gives_lazy_parameters_their_shape():
    lazy = nn.Sequential(nn.LazyLinear(2), nn.ReLU())
    lazy.register_load_state_dict_pre_hook(lambda *args: None)
    lazy.load_state_dict(nn.Sequential(nn.Linear(3, 2)).state_dict())
    assert lazy[0].weight.shape == (2, 3)


def test_state_dict_of_a_subclass_is_honoured():
    def play(lib, log):
        class Frozen(lib.nn.Linear):
            def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
                return destination

        log.append(list(lib.nn.Sequential(Frozen(1, 1), lib.nn.Linear(1, 1)).state_dict()))

    both(play)


def test_hooks_die_with_their_module_and_are_copied_with_it():
    seen = []
    layer = nn.Linear(1, 1)
    layer.register_load_state_dict_pre_hook(lambda module, *rest: seen.append(module))
    other = copy.deepcopy(layer)
    other.load_state_dict(layer.state_dict())
    assert seen == [other]


# ---- calling --------------------------------------------------------------------------------------------------------


def test_backward_pre_hooks():
    def play(lib, log):
        layer = lib.nn.Linear(2, 1, bias=False)
        with lib.no_grad():
            layer.weight.copy_(lib.tensor([[1.0, 2.0]]))
        layer.register_full_backward_pre_hook(lambda module, grad: log.append(("second", plain(grad))))
        layer.register_full_backward_pre_hook(lambda module, grad: (grad[0] * 2,), prepend=True)
        layer.register_full_backward_hook(lambda module, before, after: log.append(("after", plain(before), plain(after))))
        x = lib.ones(1, 2, requires_grad=True)
        layer(x).backward(lib.tensor([[3.0]]))
        log.append(plain([x.grad, layer.weight.grad]))
        layer.register_full_backward_pre_hook(lambda module, grad: grad + grad)
        with pytest.raises(RuntimeError, match="2"):
            layer(x).sum().backward()

    both(play)


def test_a_pre_hook_alone_and_without_a_gradient_of_the_input():
    layer = nn.Linear(2, 1, bias=False)
    layer.register_full_backward_pre_hook(lambda module, grad: (grad[0] * 2,))
    layer(tgc.ones(3, 2)).sum().backward()
    assert layer.weight.grad.tolist() == [[6.0, 6.0]]


def test_global_hooks():
    torch = torch_or_skip()

    def play(lib, hooks):
        log = []
        net = lib.nn.Sequential(lib.nn.Identity(), lib.nn.Flatten())
        net[0].register_forward_hook(lambda module, args, out: log.append("own"))
        names = {net: "net", net[0]: "0", net[1]: "1"}
        handles = [
            hooks.register_module_forward_pre_hook(lambda module, args: log.append(("pre", names[module]))),
            hooks.register_module_forward_hook(lambda module, args, out: log.append(("post", names[module]))),
            hooks.register_module_full_backward_pre_hook(lambda module, g: log.append(("backward pre", names[module]))),
            hooks.register_module_full_backward_hook(lambda module, *gs: log.append(("backward", names[module]))),
        ]
        x = lib.ones(1, 2, requires_grad=True)
        net(x).sum().backward()
        for handle in handles:
            handle.remove()
        net(x).sum().backward()
        with hooks.register_module_forward_hook(lambda module, args, kwargs, out: out * 2, with_kwargs=True):
            log.append(plain(net(x)))
        log.append(plain(net(x)))
        return log

    assert play(tgc, global_hooks) == play(torch, torch.nn.modules.module)


def test_global_hooks_see_modules_without_hooks_and_unfuse():
    net, seen = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()), []
    x = tgc.randn(4, 2)
    with global_hooks.register_module_forward_hook(lambda module, args, out: seen.append(type(module).__name__)):
        net(x)
    assert seen == ["BatchNorm1d", "ReLU", "Sequential"]
    net(x)
    assert len(seen) == 3
    handle = net[0].register_full_backward_pre_hook(lambda module, g: seen.append("g"))
    net(x.requires_grad_()).sum().backward()
    handle.remove()
    assert seen[3:] == ["g"]


def test_registration_hooks():
    torch = torch_or_skip()

    def play(lib, hooks):
        log = []
        replacement = lib.nn.ReLU()
        handles = [
            hooks.register_module_parameter_registration_hook(lambda m, name, p: log.append(("parameter", name))),
            hooks.register_module_buffer_registration_hook(lambda m, name, b: log.append(("buffer", name))),
            hooks.register_module_module_registration_hook(lambda m, name, c: replacement if name == "act" else None),
        ]
        module = lib.nn.Module()
        module.weight = lib.nn.Parameter(lib.ones(1))
        module.register_parameter("second", lib.nn.Parameter(lib.ones(1)))
        module.register_buffer("mean", lib.ones(1))
        module.act = lib.nn.Tanh()
        module.add_module("other", lib.nn.Tanh())
        for handle in handles:
            handle.remove()
        module.late = lib.nn.Parameter(lib.ones(1))
        log.append(module.act is replacement)
        log.append(type(module.other).__name__)
        return log

    assert play(tgc, global_hooks) == play(torch, torch.nn.modules.module)


def test_hooks_that_are_always_called():
    def play(lib, log):
        class Fails(lib.nn.Module):
            def forward(self, x):
                raise KeyError("mine")

        module = Fails()
        module.register_forward_hook(lambda *args: log.append("never"))
        module.register_forward_hook(lambda module, args, out: log.append(("always", args, out)), always_call=True)
        with pytest.raises(KeyError, match="mine"):
            module(3)
        module.register_forward_hook(lambda module, args, kwargs, out: log.append(kwargs), always_call=True, with_kwargs=True)
        with pytest.raises(KeyError, match="mine"):
            module(x=4)

        def breaks(*args):
            raise ValueError("of the hook")

        module.register_forward_hook(breaks, always_call=True)
        with pytest.warns(UserWarning, match=r"``always_call=True`` raised an exception that was silenced.*of the hook"), \
                pytest.raises(KeyError, match="mine"):
            module(5)
        calm = lib.nn.Identity()
        calm.register_forward_hook(lambda module, args, out: out + 1, always_call=True)
        log.append(calm(1))

    both(play)


def test_backward_hooks_need_tensors_to_hang_on():
    class Pair(nn.Module):
        def forward(self, x):
            return {"y": x}

    module = Pair()
    module.register_full_backward_hook(lambda *args: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors but received.*dict"):
        module(tgc.ones(1, requires_grad=True))


def test_the_old_backward_hook_says_what_to_use():
    with pytest.raises(NotImplementedError, match="use register_full_backward_hook"):
        nn.ReLU().register_backward_hook(lambda *args: None)


# ---- access, conversion, copies -------------------------------------------------------------------------------------


def test_access_by_path():
    def play(lib, log):
        net = lib.nn.Sequential(lib.nn.Linear(1, 2), lib.nn.Sequential(lib.nn.BatchNorm1d(2)))
        log.append(plain(net.get_buffer("1.0.running_mean")))
        log.append(net.get_parameter("0.bias") is net[0].bias)
        for wrong in ("1.0.weight", "1.0.nothing", "2.x", "1.0.eps"):
            with pytest.raises(AttributeError):
                net.get_buffer(wrong)
        new = lib.nn.ReLU()
        net.set_submodule("1.0", new)
        log.append(net[1][0] is new)
        net.set_submodule("extra", lib.nn.Tanh())
        log.append(repr(net))
        with pytest.raises(AttributeError):
            net.set_submodule("nothing", new, strict=True)
        with pytest.raises(AttributeError):
            net.set_submodule("0.weight", new)
        with pytest.raises(AttributeError):
            net.set_submodule("7.weight", new)
        with pytest.raises(ValueError, match="Cannot set the submodule without a target name!"):
            net.set_submodule("", new)
        with pytest.raises(ValueError, match=r"is not an nn\.Module"):
            net.set_submodule("0", 3)

    both(play)


def test_conversions():
    def play(lib, log):
        net = lib.nn.BatchNorm1d(2)
        log.append(str(net.half().weight.dtype).removeprefix("torch."))
        log.append(str(net.type(lib.float64).running_mean.dtype).removeprefix("torch."))
        log.append(str(net.num_batches_tracked.dtype).removeprefix("torch."))
        log.append(net.to_empty(device="cpu") is net)
        log.append([tuple(p.shape) for p in net.parameters()])
        log.append(all(p.requires_grad for p in net.parameters()))
        log.append("0" in dir(lib.nn.Sequential(net)))
        log.append("weight" in dir(net))

    both(play)
    assert nn.ReLU().compile(mode="default") is None  # so that scripts run


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda m: m.bfloat16(), DTypeError, r"bfloat16.*half\(\)"),
    (lambda m: m.share_memory(), NotImplementedError, "share_memory.*one process"),
    (lambda m: m.type("int64"), DTypeError, "parameters that require a gradient cannot be int64"),
    (lambda m: m.get_extra_state(), NotImplementedError, "override get_extra_state"),
    (lambda m: m.get_buffer("weight"), AttributeError, "Linear.weight is not a buffer but a Parameter"),
    (lambda m: m.register_state_dict_pre_hook(3), TypeError, "callable"),
    (lambda m: pickle.dumps(m), TypeError, "tensors are not pickled; save them with"),
    (lambda m: OUR_MODULE(3), TypeError, "got 1 positional arguments"),
    (lambda m: OUR_MODULE(size=3), TypeError, "got the keyword argument 'size'"),
])
def test_what_does_not_go_says_why(call, error, match):
    with pytest.raises(error, match=match):
        call(nn.Linear(1, 1))


def test_several_bases():
    def play(lib, log):
        class Named:
            def __init__(self, name):
                self.name = name

        class Both(lib.nn.Module, Named):
            call_super_init = True

        module = Both("x")
        module.weight = lib.nn.Parameter(lib.ones(1))
        log.append([module.name, [name for name, _ in module.named_parameters()]])

        class Alone(lib.nn.Module, Named):
            pass

        log.append(hasattr(Alone(), "name"))

    both(play)


def test_copies_with_hooks():
    def play(lib, log):
        net = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.ReLU())
        handle = net.register_forward_hook(lambda module, args, out: log.append(module is net))
        deep = copy.deepcopy(net)
        deep(lib.ones(1, 1))
        net(lib.ones(1, 1))
        handle.remove()
        deep(lib.ones(1, 1))
        net(lib.ones(1, 1))
        log.append([name for name, _ in deep.named_parameters()])
        log.append(deep[0].weight is net[0].weight)
        flat = copy.copy(net[0])
        log.append(flat.weight is net[0].weight)

    both(play)


def test_what_is_registered_in_a_flat_copy_is_not_in_the_original():
    net = nn.Linear(1, 1)
    flat = copy.copy(net)
    flat.extra = nn.Parameter(tgc.ones(1))
    flat.register_forward_hook(lambda *args: 3)
    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in flat.named_parameters()] == ["weight", "bias", "extra"]
    assert isinstance(net(tgc.ones(1, 1)), tgc.Tensor)
    assert flat(tgc.ones(1, 1)) == 3


def test_hooks_from_several_threads():
    """Each thread's calls see the hooks; the flag of the global hooks is one for all."""
    seen = []
    with global_hooks.register_module_forward_hook(lambda module, args, out: seen.append(threading.get_ident())):
        threads = [threading.Thread(target=lambda: nn.Identity()(1)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 3
